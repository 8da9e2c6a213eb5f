// A Node-API addon that shows the software device inside the process that runs on it: configure(text), snapshot() as
// JSON text and reset(). Loaded by test/cuda/device.ts. The rule easy to break: it links the same libcuda.so.1 that our
// addon opens, so that both see one device.
#define NAPI_VERSION 8
#include <node_api.h>

#include <string>

extern "C" {
int softcudaConfigure(const char*);
const char* softcudaSnapshot();
void softcudaReset();
}

namespace {

napi_value configure(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument, result;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_string_utf8(env, argument, nullptr, 0, &length);
  std::string text(length, ' ');
  napi_get_value_string_utf8(env, argument, text.data(), length + 1, &length);
  napi_create_int32(env, softcudaConfigure(text.c_str()), &result);
  return result;
}

napi_value snapshot(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_string_utf8(env, softcudaSnapshot(), NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value reset(napi_env env, napi_callback_info) {
  napi_value result;
  softcudaReset();
  napi_get_undefined(env, &result);
  return result;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"configure", nullptr, configure, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"snapshot", nullptr, snapshot, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"reset", nullptr, reset, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  napi_define_properties(env, exports, 3, properties);
  return exports;
}
