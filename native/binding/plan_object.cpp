// See plan_object.h. Arguments are copied before a method returns; what runs later is in the request.
#include "binding/plan_object.h"

#include <cstring>

#include "core/text.h"

namespace gramian {
namespace {

constexpr int64_t kMaxResultBytes = int64_t{1} << 30;
constexpr int64_t kFeedAlign = 64;

}  // namespace

Napi::Function PlanObject::define(Napi::Env env, MakeBackend make_backend) {
  return DefineClass(env, "Plan",
                     {InstanceMethod<&PlanObject::step>("step"), InstanceMethod<&PlanObject::run>("run"),
                      InstanceMethod<&PlanObject::run_sync>("runSync"), InstanceMethod<&PlanObject::profile>("profile"),
                      InstanceMethod<&PlanObject::read>("read"), InstanceMethod<&PlanObject::write>("write"),
                      InstanceMethod<&PlanObject::abort>("abort"), InstanceMethod<&PlanObject::describe>("describe"),
                      InstanceMethod<&PlanObject::dispose>("dispose")},
                     reinterpret_cast<void*>(make_backend));
}

PlanObject::PlanObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PlanObject>(info) {
  guard(info.Env(), [&] { compile(info); });
}

PlanObject::~PlanObject() { release(); }

void PlanObject::compile(const Napi::CallbackInfo& info) {
  const auto make_backend = reinterpret_cast<MakeBackend>(info.Data());
  const bool shares = !info[2].IsUndefined();
  WireData data;
  Graph graph = read_graph(info[0], data);
  const CompileOptions options = shares ? CompileOptions{} : read_options(info[1]);
  std::shared_ptr<Session> session = shares ? shared_session(info) : nullptr;
  take_data(data, graph);
  validate(graph);
  if (!session) session = Session::create(info.Env(), make_backend(options));
  session->retain();
  try {
    executable_ = std::make_shared<Executable>(make_plan(std::move(graph), *session->backend()), session->backend(),
                                               session->store());
  } catch (...) {
    session->release();
    throw;
  }
  session_ = std::move(session);
  reached_ = session_;
  // V8 sees only a small object otherwise, and would be in no hurry to collect it.
  Napi::MemoryManagement::AdjustExternalMemory(Env(), executable_->allocated_bytes());
}

std::shared_ptr<Session> PlanObject::shared_session(const Napi::CallbackInfo& info) {
  const Napi::Function constructor = info.This().As<Napi::Object>().Get("constructor").As<Napi::Function>();
  if (!info[2].IsObject() || !info[2].As<Napi::Object>().InstanceOf(constructor))
    throw Error(Code::argument, "[compile] share is a plan");
  const PlanObject* other = Unwrap(info[2].As<Napi::Object>());
  other->check_alive("compile");
  return other->session_;
}

void PlanObject::release() {
  if (!session_) return;
  Napi::MemoryManagement::AdjustExternalMemory(Env(), -executable_->allocated_bytes());
  executable_.reset();
  session_->release();
  session_.reset();
}

void PlanObject::check_alive(const char* what) const {
  if (!session_) throw Error(Code::disposed, cat("[", what, "] the plan was disposed"));
}

std::unique_ptr<Request> PlanObject::steps_request(Job::Kind kind, int64_t steps, const Napi::Value& feeds,
                                                   const char* what) {
  std::unique_ptr<Request> request = session_->take();
  request->kind = kind;
  request->id = 0;
  request->plan = executable_;
  request->steps = steps;
  int64_t bytes = 0;
  for (int32_t id : executable_->plan().graph.outputs) bytes = checked_add(bytes, executable_->tensor(id).bytes());
  if (steps > 1 && bytes > kMaxResultBytes / steps)
    throw Error(Code::argument, cat("[", what, "] ", steps, " steps would return ", bytes,
                                    " bytes each, together at most ", kMaxResultBytes));
  request->results.resize(bytes * steps);
  stage(*request, steps, feeds, what);
  return request;
}

void PlanObject::stage(Request& request, int64_t steps, const Napi::Value& value, const char* what) {
  const std::vector<int32_t>& inputs = executable_->inputs();
  if (!value.IsArray() || value.As<Napi::Array>().Length() != inputs.size())
    throw Error(Code::argument, cat("[", what, "] feeds is an array of ", inputs.size(), " typed arrays"));
  // Reading may run a getter, which could free an array's memory or dispose the plan, so all are read before any is
  // used.
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Napi::Value> feeds;
  for (uint32_t i = 0; i < inputs.size(); ++i) feeds.push_back(array[i]);
  check_alive(what);
  std::vector<const void*> data;
  int64_t bytes = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& tensor = executable_->tensor(inputs[i]);
    const int64_t count = checked_mul(tensor.count(), steps);
    data.push_back(typed_array_data(feeds[i], tensor.dtype, count, cat("input \"", tensor.name, "\"")));
    request.staged.push_back(bytes);
    bytes += (count * item_bytes(tensor.dtype) + kFeedAlign - 1) / kFeedAlign * kFeedAlign;
  }
  request.staging.resize(bytes);
  for (size_t i = 0; i < inputs.size(); ++i)
    memcpy(request.staging.data() + request.staged[i], data[i], executable_->tensor(inputs[i]).bytes() * steps);
}

Napi::Value PlanObject::step(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("step");
    std::unique_ptr<Request> request = steps_request(Job::Kind::step, 1, info[0], "step");
    request->id = static_cast<double>(read_integer(info[1], 0, INT64_MAX, "the request's id"));
    return session_->submit(info.Env(), std::move(request));
  });
}

Napi::Value PlanObject::run(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("run");
    const int64_t steps = read_integer(info[1], 1, INT64_MAX, "steps");
    std::unique_ptr<Request> request = steps_request(Job::Kind::run, steps, info[0], "run");
    request->id = static_cast<double>(read_integer(info[2], 0, INT64_MAX, "the request's id"));
    return session_->submit(info.Env(), std::move(request));
  });
}

Napi::Value PlanObject::run_sync(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("runSync");
    const int64_t steps = read_integer(info[1], 1, INT64_MAX, "steps");
    return session_->perform(info.Env(), steps_request(Job::Kind::run, steps, info[0], "runSync"));
  });
}

Napi::Value PlanObject::profile(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("profile");
    const int64_t steps = read_integer(info[1], 1, INT64_MAX, "steps");
    std::unique_ptr<Request> request = session_->take();
    request->kind = Job::Kind::profile;
    request->plan = executable_;
    request->steps = steps;
    stage(*request, 1, info[0], "profile");
    request->id = static_cast<double>(read_integer(info[2], 0, INT64_MAX, "the request's id"));
    request->results.assign(executable_->plan().steps.size() * sizeof(double), 0);
    return session_->submit(info.Env(), std::move(request));
  });
}

Persistent& PlanObject::persistent(const Napi::Value& name, const char* what) const {
  const std::string text = read_string(name, "a tensor's name");
  Persistent* found = executable_->find(text);
  if (!found) throw Error(Code::argument, cat("[", what, "] the plan has no param or state \"", text, "\""));
  return *found;
}

Napi::Value PlanObject::read(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("read");
    Persistent& tensor = persistent(info[0], "read");
    std::unique_ptr<Request> request = session_->take();
    request->kind = Job::Kind::read;
    request->id = 0;
    request->plan = executable_;
    request->tensor = &tensor;
    request->results.resize(tensor.bytes);
    return session_->submit(info.Env(), std::move(request));
  });
}

Napi::Value PlanObject::write(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("write");
    Persistent& tensor = persistent(info[0], "write");
    const void* data =
        typed_array_data(info[1], tensor.dtype, tensor.bytes / item_bytes(tensor.dtype), "the data to write");
    std::unique_ptr<Request> request = session_->take();
    request->kind = Job::Kind::write;
    request->id = 0;
    request->plan = executable_;
    request->tensor = &tensor;
    request->staging.resize(tensor.bytes);
    memcpy(request->staging.data(), data, tensor.bytes);
    return session_->submit(info.Env(), std::move(request));
  });
}

Napi::Value PlanObject::abort(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const int64_t id = read_integer(info[0], 1, INT64_MAX, "the request's id");
    if (const std::shared_ptr<Session> session = reached_.lock()) session->abort(static_cast<double>(id));
    return info.Env().Undefined();
  });
}

Napi::Value PlanObject::describe(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    check_alive("describe");
    return write_description(info.Env(), gramian::describe(executable_->plan(), *session_->backend()));
  });
}

Napi::Value PlanObject::dispose(const Napi::CallbackInfo& info) {
  release();
  return info.Env().Undefined();
}

Napi::Value analyze(const Napi::CallbackInfo& info, MakeBackend make_backend) {
  return guard(info.Env(), [&]() -> Napi::Value {
    WireData data;
    Graph graph = read_graph(info[0], data);
    const CompileOptions options = read_options(info[1]);
    take_data(data, graph);
    validate(graph);
    const std::unique_ptr<Backend> backend = make_backend(options);
    const Plan plan = make_plan(std::move(graph), *backend);
    return write_description(info.Env(), gramian::describe(plan, *backend));
  });
}

}  // namespace gramian
