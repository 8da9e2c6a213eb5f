// The addon: { Plan, analyze, devices, packedKernels, unpackKernels, pixels }. The one file that knows which devices
// exist.
#include <napi.h>

#include "backend.h"
#include "binding/convert.h"
#include "binding/pixels.h"
#include "binding/plan_object.h"
#include "core/text.h"

namespace gramian {
namespace {

bool wants_cuda(const std::string& device) {
  return device == "cuda" || (device == "auto" && cuda::report().available);
}

std::unique_ptr<Backend> make_backend(const CompileOptions& options) {
  if (wants_cuda(options.device)) return cuda::create(options.backend);
  if (options.device == "cpu" || options.device == "auto") return cpu::create(options.backend);
  throw Error(Code::argument, cat("[compile] a device is one of auto, cpu, cuda, got \"", options.device, "\""));
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const DeviceReport& report : {cpu::report(), cuda::report()}) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("id", report.id);
    device.Set("available", report.available);
    device.Set("bf16", report.bf16);
    const auto text = [&](const char* key, const std::string& value) {
      if (!value.empty()) device.Set(key, value);
    };
    text("isa", report.isa);
    text("reason", report.reason);
    text("name", report.name);
    text("driver", report.driver);
    text("toolkit", report.toolkit);
    text("image", report.image);
    if (report.threads > 0) device.Set("threads", report.threads);
    if (report.memory_bytes > 0) device.Set("memoryBytes", static_cast<double>(report.memory_bytes));
    list[list.Length()] = device;
  }
  return list;
}

/** packedKernels(device): what must be unpacked before the first plan of that device is made; undefined when nothing.
 */
Napi::Value packed_kernels(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const cuda::PackedImages images = cuda::packed_images();
    if (images.count == 0 || !wants_cuda(read_string(info[0], "a device"))) return env.Undefined();
    return Napi::Buffer<unsigned char>::Copy(env, images.bytes, images.count);
  });
}

Napi::Value unpack_kernels(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsBuffer()) throw Error(Code::argument, "[cuda] unpacked kernels are a buffer");
    const auto bytes = info[0].As<Napi::Buffer<unsigned char>>();
    cuda::unpack_images(bytes.Data(), bytes.Length());
    return info.Env().Undefined();
  });
}

/** pixels(isa): the loops of a tier, or of that which `auto` stands for. */
Napi::Value pixels_of(const Napi::CallbackInfo& info) {
  return guard(info.Env(),
               [&]() -> Napi::Value { return define_pixels(info.Env(), cpu::tier_of(read_string(info[0], "isa"))); });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Plan", PlanObject::define(env, make_backend));
  exports.Set("analyze",
              Napi::Function::New(
                  env, [](const Napi::CallbackInfo& info) { return analyze(info, make_backend); }, "analyze"));
  exports.Set("devices", Napi::Function::New(env, devices, "devices"));
  exports.Set("packedKernels", Napi::Function::New(env, packed_kernels, "packedKernels"));
  exports.Set("unpackKernels", Napi::Function::New(env, unpack_kernels, "unpackKernels"));
  exports.Set("pixels", Napi::Function::New(env, pixels_of, "pixels"));
  return exports;
}

}  // namespace
}  // namespace gramian

static Napi::Object init_module(Napi::Env env, Napi::Object exports) { return gramian::init(env, exports); }
NODE_API_MODULE(gramian, init_module)
