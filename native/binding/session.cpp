// See session.h. Raw Node-API here: in an environment that is shutting down every call may fail, and must be ignored.
#include "binding/session.h"

#include "binding/convert.h"

namespace gramian {

constexpr char kNoArray[] = "[engine] the environment refused an array";
constexpr size_t kIdleRequests = 16;
constexpr size_t kIdleBytes = size_t{64} << 20;  // a larger buffer is not kept

Session::Session(std::shared_ptr<Backend> backend) : backend_(std::move(backend)), engine_(deliver, finished, this) {}

std::shared_ptr<Session> Session::create(Napi::Env env, std::shared_ptr<Backend> backend) {
  auto session = std::make_shared<Session>(std::move(backend));
  session->env_ = env;
  const Napi::String name = Napi::String::New(env, "gramian");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, session.get(), finalize, session.get(), settle,
                                      &session->function_) != napi_ok)
    throw Error(Code::device, "[engine] the environment refused a threadsafe function");
  session->self_ = session;
  napi_unref_threadsafe_function(env, session->function_);
  session->hooked_ = napi_add_env_cleanup_hook(env, cleanup, session.get()) == napi_ok;
  return session;
}

Session::~Session() {
  engine_.cancel();
  while (Request* request = newest_) {
    newest_ = request->older;
    delete request;
  }
}

void Session::release() {
  if (--plans_ > 0 || torn_down_) return;
  if (!engine_.close()) napi_release_threadsafe_function(function_, napi_tsfn_release);
}

std::unique_ptr<Request> Session::take() {
  if (idle_.empty()) return std::make_unique<Request>();
  std::unique_ptr<Request> request = std::move(idle_.back());
  idle_.pop_back();
  return request;
}

void Session::recycle(std::unique_ptr<Request> request) {
  request->plan.reset();
  request->tensor = nullptr;
  request->steps = 1;
  request->staged.clear();
  request->aborted.store(false);
  request->completed = 0;
  request->failed = false;
  request->message.clear();
  request->deferred = nullptr;
  if (idle_.size() < kIdleRequests && request->staging.capacity() + request->results.capacity() <= kIdleBytes)
    idle_.push_back(std::move(request));
}

Napi::Promise Session::submit(Napi::Env env, std::unique_ptr<Request> request) {
  napi_value promise;
  if (napi_create_promise(env, &request->deferred, &promise) != napi_ok)
    throw Error(Code::device, "[engine] the environment refused a promise");
  try {
    engine_.push(request.get());
  } catch (...) {
    // The thread could not be started. Nobody has the promise; settled, it can be freed.
    napi_value nothing;
    if (napi_get_undefined(env, &nothing) == napi_ok) napi_resolve_deferred(env, request->deferred, nothing);
    throw;
  }
  Request* mine = request.release();
  mine->newer = nullptr;
  mine->older = newest_;
  if (newest_) newest_->newer = mine;
  newest_ = mine;
  if (pending_++ == 0) napi_ref_threadsafe_function(env, function_);
  return Napi::Promise(env, promise);
}

Napi::Value Session::perform(Napi::Env env, std::unique_ptr<Request> request) {
  engine_.run_here(*request);
  const bool failed = request->failed;
  const Error error(request->code, request->message);
  napi_value value = nullptr;
  const bool made = !failed && make_result(env, *request, &value);
  recycle(std::move(request));
  if (failed) throw error;
  if (!made) throw Error(Code::device, kNoArray);
  return Napi::Value(env, value);
}

void Session::abort(double id) {
  for (Request* request = newest_; request; request = request->older)
    if (request->id == id) request->aborted.store(true);
}

// On the engine's thread.
void Session::deliver(void* self, Job* job) {
  napi_call_threadsafe_function(static_cast<Session*>(self)->function_, static_cast<Request*>(job), napi_tsfn_blocking);
}

void Session::finished(void* self) {
  napi_release_threadsafe_function(static_cast<Session*>(self)->function_, napi_tsfn_release);
}

// Back on the JavaScript thread. With a null environment the session is about to go, and owns the request still.
void Session::settle(napi_env env, napi_value, void* self, void* data) {
  if (!env) return;
  auto* session = static_cast<Session*>(self);
  std::unique_ptr<Request> request(static_cast<Request*>(data));
  (request->newer ? request->newer->older : session->newest_) = request->older;
  if (request->older) request->older->newer = request->newer;
  if (--session->pending_ == 0) napi_unref_threadsafe_function(env, session->function_);
  napi_value value;
  if (!request->failed && make_result(env, *request, &value)) {
    napi_resolve_deferred(env, request->deferred, value);
  } else {
    const bool failed = request->failed;
    if (make_error(env, failed ? request->code : Code::device, failed ? request->message : kNoArray, request->completed,
                   &value))
      napi_reject_deferred(env, request->deferred, value);
  }
  session->recycle(std::move(request));
}

void Session::finalize(napi_env, void* self, void*) {
  auto* session = static_cast<Session*>(self);
  session->engine_.cancel();  // the thread has ended, or was joined by cleanup()
  if (session->hooked_ && !session->torn_down_) napi_remove_env_cleanup_hook(session->env_, cleanup, session);
  session->torn_down_ = true;
  session->self_.reset();
}

void Session::cleanup(void* self) {
  auto* session = static_cast<Session*>(self);
  session->torn_down_ = true;
  session->engine_.cancel();
}

}  // namespace gramian
