// The JavaScript side of one plan group: its engine, its store, the promises in flight. Lives on the thread of its
// environment; jobs come back through a threadsafe function.
// The rule easy to break: at environment teardown the cleanup hook joins the engine before Node frees the threadsafe
// function (hooks run in reverse order of registration, and ours is registered after it).
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "binding/engine.h"

namespace gramian {

/** A job, and what JavaScript waits for. */
struct Request : Job {
  napi_deferred deferred = nullptr;
  double id = 0;  // given by the caller, names the request in abort(); 0: not abortable
  Request *newer = nullptr, *older = nullptr;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  static std::shared_ptr<Session> create(Napi::Env env, std::shared_ptr<Backend> backend);
  explicit Session(std::shared_ptr<Backend> backend);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::shared_ptr<Backend>& backend() const { return backend_; }
  Store& store() { return store_; }

  /** A plan begins or ends to use the session; the last one lets the thread end after its queued jobs. */
  void retain() { ++plans_; }
  void release();

  /** A blank request, its buffers kept from an earlier one. */
  std::unique_ptr<Request> take();
  /** Gives back a request that was not submitted. */
  void recycle(std::unique_ptr<Request> request);
  /** Queues it; the promise settles with a list of typed arrays, one typed array, or undefined. */
  Napi::Promise submit(Napi::Env env, std::unique_ptr<Request> request);
  /** Does it on this thread; returns what the promise would resolve to. Throws what it would reject with. */
  Napi::Value perform(Napi::Env env, std::unique_ptr<Request> request);
  void abort(double id);

 private:
  static void deliver(void* self, Job* job);
  static void finished(void* self);
  static void settle(napi_env env, napi_value, void* self, void* request);
  static void finalize(napi_env env, void* self, void*);
  static void cleanup(void* self);

  std::shared_ptr<Backend> backend_;
  Store store_;
  Engine engine_;
  napi_env env_ = nullptr;
  napi_threadsafe_function function_ = nullptr;
  bool hooked_ = false, torn_down_ = false;
  int plans_ = 0;
  int64_t pending_ = 0;
  Request* newest_ = nullptr;
  std::vector<std::unique_ptr<Request>> idle_;
  std::shared_ptr<Session> self_;  // while the threadsafe function may call back
};

}  // namespace gramian
