// The addon's `Plan` class: new Plan(wire, options, share?) compiles; its methods queue work on the session's engine.
// Typed and documented for JavaScript in src/native.ts.
#pragma once
#include <napi.h>

#include <memory>

#include "binding/convert.h"
#include "binding/session.h"

namespace gramian {

/** Makes the backend a compile asks for; set by module.cpp, the one file that knows the devices. */
using MakeBackend = std::unique_ptr<Backend> (*)(const CompileOptions& options);

class PlanObject : public Napi::ObjectWrap<PlanObject> {
 public:
  static Napi::Function define(Napi::Env env, MakeBackend make_backend);
  explicit PlanObject(const Napi::CallbackInfo& info);
  ~PlanObject() override;

 private:
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value run_sync(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value abort(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  void compile(const Napi::CallbackInfo& info);
  /** The session of the plan that is named third. Throws ERR_ARGUMENT, ERR_DISPOSED. */
  std::shared_ptr<Session> shared_session(const Napi::CallbackInfo& info);
  void check_alive(const char* what) const;
  void release();
  Persistent& persistent(const Napi::Value& name, const char* what) const;
  /** A request for `steps` steps, with room for their outputs and a copy of the arrays they are fed, step after step.
   */
  std::unique_ptr<Request> steps_request(Job::Kind kind, int64_t steps, const Napi::Value& feeds, const char* what);
  void stage(Request& request, int64_t steps, const Napi::Value& value, const char* what);

  std::shared_ptr<Session> session_;
  std::weak_ptr<Session> reached_;  // by abort(), also for work that was queued before dispose()
  std::shared_ptr<Executable> executable_;
};

/** analyze(wire, options): plans without allocating, returns the description. */
Napi::Value analyze(const Napi::CallbackInfo& info, MakeBackend make_backend);

}  // namespace gramian
