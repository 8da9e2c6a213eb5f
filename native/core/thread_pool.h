// A pool of threads that run the pieces of one parallel loop at a time. Owned by a CPU backend; run() is called by the
// plan's thread, which works along. Pieces are handed out by an atomic counter, so which thread takes which piece is
// not fixed, and pieces must not depend on it.
// The rule easy to break: a late worker may only touch the job while it is counted in gate_, which run() closes.
#pragma once
#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <deque>

namespace gramian {

class ThreadPool {
 public:
  using Body = void (*)(void* context, int64_t index);

  /** Starts `threads - 1` workers; the caller of run() is the last one. */
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /** Runs body(context, i) for every i in [0, count); returns when all are done. A nested call runs on its own thread.
   */
  void run(int64_t count, Body body, void* context);

 private:
  struct Worker {
    ThreadPool* pool;
    pthread_t thread;
    std::atomic<pid_t> id{0};  // the system's, written by the thread itself
  };

  static void* main(void* worker);
  void work();
  void drain();
  void wake();
  void keep_apart();

  // gate_ = generation << 16 | open << 15 | workers inside. A worker enters by adding 1 while it is open.
  static constexpr uint64_t kOpen = 1 << 15, kInside = kOpen - 1;
  std::atomic<uint64_t> gate_{0};
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0;
  Body body_ = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> busy_{false};

  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  pthread_mutex_t mutex_;
  pthread_cond_t wakeup_;
  std::deque<Worker> workers_;
  int avoided_ = -1;  // the processor workers were last kept off
};

}  // namespace gramian
