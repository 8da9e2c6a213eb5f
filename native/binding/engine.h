// A native thread that runs jobs of the plans of one group, first in first out. Knows nothing of JavaScript: session.h
// makes jobs, and gets each back through `deliver`, which is called on the engine's thread.
// The rule easy to break: a job belongs to the engine from push() until deliver(); only `aborted` may be touched.
#pragma once
#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "plan/executable.h"

namespace gramian {

struct Job {
  enum class Kind { step, run, profile, read, write };
  Kind kind = Kind::step;
  std::shared_ptr<Executable> plan;
  int64_t steps = 1;             // of a run or a profile
  Persistent* tensor = nullptr;  // of a read or a write; owned by `plan`
  std::vector<char> staging;     // what inputs are fed, step after step, or the data of a write
  std::vector<int64_t> staged;   // offset of each input's values, 64-byte aligned
  std::vector<char> results;     // every output after another, each `steps` times; a profile's seconds;
                                 // or the data read
  std::atomic<bool> aborted{false};

  // Filled by the engine.
  int64_t completed = 0;
  bool failed = false;
  Code code = Code::execution;
  std::string message;

  Job* next = nullptr;  // in the engine's queue
};

class Engine {
 public:
  using Deliver = void (*)(void* context, Job* job);
  using Finished = void (*)(void* context);

  /** `finished` is called on the engine's thread, as its last act, unless the engine was cancelled. */
  Engine(Deliver deliver, Finished finished, void* context);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /** Queues a job; starts the thread at the first one. Throws ERR_DEVICE when the thread cannot be started. */
  void push(Job* job);
  /** Does the job on the caller's thread, which pushes none meanwhile, after everything queued before it. */
  void run_here(Job& job);
  /** Lets the thread end after the queued jobs. Returns false when there is no thread to call `finished`. */
  bool close();
  /** Stops between two launches, forgets the queued jobs and joins the thread. */
  void cancel();

 private:
  static void* main(void* self);
  void work();
  Job* pop();
  void execute(Job& job);
  /** Feeds the values of the job's step of that number. */
  void feed(const Job& job, int64_t step);
  /** Fetches the outputs of the job's oldest step that has begun. */
  void finish(Job& job);
  void run_steps(Job& job);
  /** Runs the job's steps one by one, all on the values of the first. */
  void profile(Job& job);
  /** Ends a job that was aborted. */
  static void stop(Job& job);

  const Deliver deliver_;
  const Finished finished_;
  void* const context_;
  pthread_t thread_;
  bool started_ = false, joined_ = false;
  pthread_mutex_t mutex_;
  pthread_cond_t changed_, idle_;
  bool running_ = false;  // the thread has a job
  Job *head_ = nullptr, *tail_ = nullptr;
  bool closing_ = false;
  std::atomic<bool> cancelled_{false};
  std::vector<const void*> values_;
  std::vector<void*> outputs_;
};

}  // namespace gramian
