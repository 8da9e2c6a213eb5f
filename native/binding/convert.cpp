// See convert.h. Every property is read once, so a getter that answers differently the second time changes nothing.
#include "binding/convert.h"

#include <cmath>
#include <cstring>

#include "core/text.h"

namespace gramian {
namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(Code::argument, message); }

Napi::Object read_object(const Napi::Value& value, const std::string& what) {
  if (!value.IsObject() || value.IsArray() || value.IsTypedArray()) fail(cat("[graph] ", what, " is an object"));
  return value.As<Napi::Object>();
}

Napi::Array read_array(const Napi::Value& value, const std::string& what) {
  if (!value.IsArray()) fail(cat("[graph] ", what, " is an array"));
  return value.As<Napi::Array>();
}

std::vector<int32_t> read_ids(const Napi::Value& value, const std::string& what) {
  const Napi::Array array = read_array(value, what);
  std::vector<int32_t> ids;
  for (uint32_t i = 0, count = array.Length(); i < count; ++i)
    ids.push_back(static_cast<int32_t>(read_integer(array[i], -1, INT32_MAX, what)));
  return ids;
}

Kind read_kind(const std::string& name) {
  for (Kind kind : {Kind::input, Kind::param, Kind::state, Kind::constant, Kind::temp})
    if (name == kind_name(kind)) return kind;
  fail(cat("[graph] a kind is one of input, param, state, const, temp, got \"", name, "\""));
}

DType read_dtype(const std::string& name) {
  for (DType dtype : {DType::f32, DType::i32, DType::u8})
    if (name == dtype_name(dtype)) return dtype;
  fail(cat("[graph] a dtype is one of f32, i32, u8, got \"", name, "\""));
}

napi_typedarray_type array_type(DType dtype) {
  return dtype == DType::f32 ? napi_float32_array : dtype == DType::i32 ? napi_int32_array : napi_uint8_array;
}

const char* array_name(DType dtype) {
  return dtype == DType::f32 ? "Float32Array" : dtype == DType::i32 ? "Int32Array" : "Uint8Array";
}

void read_data(const Napi::Value& value, Tensor& tensor, const std::string& what) {
  if (value.IsUndefined()) return;
  tensor.has_data = true;
  if (value.IsNumber()) {
    tensor.fill = value.As<Napi::Number>().DoubleValue();
    const bool integer = tensor.fill == std::trunc(tensor.fill);
    const double low = tensor.dtype == DType::u8 ? 0 : -2147483648.0,
                 high = tensor.dtype == DType::u8 ? 255 : 2147483647.0;
    if (tensor.dtype != DType::f32 && !(integer && tensor.fill >= low && tensor.fill <= high))
      fail(cat("[graph] ", what, " fills ", dtype_name(tensor.dtype), " with ", tensor.fill));
    return;
  }
  int64_t count = 1;
  for (int64_t extent : tensor.shape)
    if (extent < 1 || __builtin_mul_overflow(count, extent, &count)) fail(cat("[graph] ", what, " has no such shape"));
  tensor.data = typed_array_data(value, tensor.dtype, count, what);
  tensor.data_bytes = checked_mul(count, item_bytes(tensor.dtype));
}

/** All of a tensor but its data, which is left in `data`. */
Tensor read_tensor(const Napi::Value& value, uint32_t index, Napi::Value* data) {
  const std::string what = cat("tensor ", index);
  const Napi::Object object = read_object(value, what);
  Tensor tensor;
  tensor.name = read_string(object.Get("name"), what + ".name");
  tensor.kind = read_kind(read_string(object.Get("kind"), what + ".kind"));
  tensor.dtype = read_dtype(read_string(object.Get("dtype"), what + ".dtype"));
  const Napi::Array shape = read_array(object.Get("shape"), what + ".shape");
  const uint32_t rank = shape.Length();
  if (rank < 1 || rank > 6) throw Error(Code::shape, cat("[graph] ", what, " has rank ", rank, ", expected 1 to 6"));
  for (uint32_t i = 0; i < rank; ++i)
    tensor.shape.push_back(read_integer(shape[i], INT64_MIN, INT64_MAX, what + ".shape"));
  *data = object.Get("data");
  return tensor;
}

Attribute read_attribute(const Napi::Object& attrs, const Napi::Value& key, const std::string& what) {
  Attribute attr;
  attr.key = read_string(key, what);
  const Napi::Value value = attrs.Get(key);
  const std::string name = cat(what, ".", attr.key);
  if (value.IsNumber()) {
    attr.number = value.As<Napi::Number>().DoubleValue();
  } else if (value.IsBoolean()) {
    attr.type = Attribute::Type::boolean;
    attr.number = value.As<Napi::Boolean>().Value() ? 1 : 0;
  } else if (value.IsString()) {
    attr.type = Attribute::Type::string;
    attr.string = value.As<Napi::String>().Utf8Value();
  } else if (value.IsArray()) {
    attr.type = Attribute::Type::list;
    const Napi::Array list = value.As<Napi::Array>();
    for (uint32_t i = 0, count = list.Length(); i < count; ++i) {
      const Napi::Value item = list[i];
      if (!item.IsNumber()) fail(cat("[graph] ", name, " is a list of numbers"));
      attr.list.push_back(item.As<Napi::Number>().DoubleValue());
    }
  } else {
    fail(cat("[graph] ", name, " is a number, a boolean, a string or a list of numbers"));
  }
  return attr;
}

Node read_node(const Napi::Value& value, uint32_t index) {
  const std::string what = cat("node ", index);
  const Napi::Object object = read_object(value, what);
  Node node;
  node.op = read_string(object.Get("op"), what + ".op");
  node.name = read_string(object.Get("name"), what + ".name");
  node.inputs = read_ids(object.Get("inputs"), what + ".inputs");
  node.outputs = read_ids(object.Get("outputs"), what + ".outputs");
  node.unit = static_cast<int32_t>(read_integer(object.Get("unit"), -1, INT32_MAX, what + ".unit"));
  const Napi::Object attrs = read_object(object.Get("attrs"), what + ".attrs");
  const Napi::Array keys = attrs.GetPropertyNames();
  for (uint32_t i = 0, count = keys.Length(); i < count; ++i)
    node.attrs.push_back(read_attribute(attrs, keys[i], what + ".attrs"));
  return node;
}

}  // namespace

int64_t read_integer(const Napi::Value& value, int64_t low, int64_t high, const std::string& what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(std::fabs(number) <= 9007199254740991.0) || number != std::trunc(number) || number < static_cast<double>(low) ||
      number > static_cast<double>(high)) {
    const bool open = low == INT64_MIN || high == INT64_MAX;
    const std::string range = open ? "" : cat(" from ", low, " to ", high);
    fail(cat("[graph] ", what, " is an integer", range, value.IsNumber() ? cat(", got ", number) : ""));
  }
  return static_cast<int64_t>(number);
}

std::string read_string(const Napi::Value& value, const std::string& what) {
  if (!value.IsString()) fail(cat("[graph] ", what, " is a string"));
  return value.As<Napi::String>().Utf8Value();
}

Graph read_graph(const Napi::Value& wire, WireData& data) {
  const Napi::Object object = read_object(wire, "the wire graph");
  Graph graph;
  const Napi::Array tensors = read_array(object.Get("tensors"), "tensors");
  for (uint32_t i = 0, count = tensors.Length(); i < count; ++i) {
    Napi::EscapableHandleScope scope(wire.Env());
    Napi::Value begins;
    graph.tensors.push_back(read_tensor(tensors[i], i, &begins));
    data.push_back(scope.Escape(begins));
  }
  const Napi::Array nodes = read_array(object.Get("nodes"), "nodes");
  for (uint32_t i = 0, count = nodes.Length(); i < count; ++i) {
    const Napi::HandleScope scope(wire.Env());
    graph.nodes.push_back(read_node(nodes[i], i));
  }
  graph.outputs = read_ids(object.Get("outputs"), "outputs");
  const Napi::Value training = object.Get("training");
  if (!training.IsUndefined() && !training.IsBoolean()) fail("[graph] training is a boolean");
  graph.training = training.IsUndefined() || training.As<Napi::Boolean>().Value();
  return graph;
}

void take_data(const WireData& data, Graph& graph) {
  for (size_t i = 0; i < data.size(); ++i) read_data(data[i], graph.tensors[i], cat("\"", graph.tensors[i].name, "\""));
}

CompileOptions read_options(const Napi::Value& value) {
  CompileOptions options;
  const Napi::Object object = read_object(value, "options");
  options.device = read_string(object.Get("device"), "options.device");
  options.backend.isa = read_string(object.Get("isa"), "options.isa");
  options.backend.threads = static_cast<int>(read_integer(object.Get("threads"), 0, 256, "options.threads"));
  options.backend.device_index =
      static_cast<int>(read_integer(object.Get("deviceIndex"), 0, 1023, "options.deviceIndex"));
  if (!object.Get("tf32").IsBoolean()) throw Error(Code::argument, "[compile] tf32 is a boolean");
  options.backend.tf32 = object.Get("tf32").ToBoolean();
  options.backend.memory_limit = read_integer(object.Get("memoryLimit"), 0, INT64_MAX, "options.memoryLimit");
  const std::string precision = read_string(object.Get("precision"), "options.precision");
  if (precision != "float32" && precision != "bf16")
    throw Error(Code::argument, cat("[compile] precision is float32 or bf16, got \"", precision, "\""));
  options.backend.bf16 = precision == "bf16";
  return options;
}

const void* typed_array_data(const Napi::Value& value, DType dtype, int64_t count, const std::string& what) {
  napi_typedarray_type type;
  size_t length, offset;
  void* data;
  napi_value buffer;
  bool plain = false;
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(value.Env(), value, &type, &length, &data, &buffer, &offset) != napi_ok ||
      type != array_type(dtype))
    fail(cat("[data] ", what, " is a ", array_name(dtype)));
  if (napi_is_arraybuffer(value.Env(), buffer, &plain) != napi_ok || !plain)
    fail(cat("[data] ", what, " is a ", array_name(dtype), " over an ArrayBuffer, not over shared memory"));
  if (static_cast<int64_t>(length) != count || (!data && count > 0))
    fail(cat("[data] ", what, " has ", count, " elements, got ", length));
  return data;
}

Napi::Object write_description(Napi::Env env, const Description& about) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("device", about.device);
  object.Set("isa", about.isa);
  object.Set("precision", about.precision);
  object.Set("threads", about.threads);
  object.Set("arenaBytes", static_cast<double>(about.arena_bytes));
  object.Set("persistentBytes", static_cast<double>(about.persistent_bytes));
  Napi::Array launches = Napi::Array::New(env, about.launches.size());
  for (uint32_t i = 0; i < about.launches.size(); ++i) {
    const LaunchLine& line = about.launches[i];
    Napi::Object launch = Napi::Object::New(env);
    launch.Set("op", line.op);
    launch.Set("kernel", line.kernel);
    launch.Set("name", line.name);
    launch.Set("unit", line.unit);
    launch.Set("bytes", static_cast<double>(line.bytes));
    launches[i] = launch;
  }
  object.Set("launches", launches);
  Napi::Array fused = Napi::Array::New(env, about.fused.size());
  for (uint32_t i = 0; i < about.fused.size(); ++i) fused[i] = Napi::String::New(env, about.fused[i]);
  object.Set("fused", fused);
  object.Set("text", about.text);
  return object;
}

bool make_error(napi_env env, Code code, const std::string& message, int64_t completed, napi_value* error) {
  napi_value text, key, steps;
  return napi_create_string_utf8(env, message.data(), message.size(), &text) == napi_ok &&
         napi_create_string_utf8(env, code_name(code), NAPI_AUTO_LENGTH, &key) == napi_ok &&
         napi_create_error(env, key, text, error) == napi_ok && napi_create_int64(env, completed, &steps) == napi_ok &&
         napi_set_named_property(env, *error, "completedSteps", steps) == napi_ok;
}

namespace {

/** A fresh typed array in V8's memory, filled from `bytes` bytes. */
bool make_array(napi_env env, napi_typedarray_type type, int64_t item, const char* from, int64_t bytes,
                napi_value* array) {
  void* memory;
  napi_value buffer;
  if (napi_create_arraybuffer(env, bytes, &memory, &buffer) != napi_ok) return false;
  if (bytes > 0) memcpy(memory, from, bytes);
  return napi_create_typedarray(env, type, bytes / item, buffer, 0, array) == napi_ok;
}

bool make_array(napi_env env, DType dtype, const char* from, int64_t bytes, napi_value* array) {
  return make_array(env, array_type(dtype), item_bytes(dtype), from, bytes, array);
}

}  // namespace

bool make_result(napi_env env, const Request& request, napi_value* result) {
  if (request.kind == Job::Kind::write) return napi_get_undefined(env, result) == napi_ok;
  const char* from = request.results.data();
  if (request.kind == Job::Kind::read)
    return make_array(env, request.tensor->dtype, from, request.tensor->bytes, result);
  if (request.kind == Job::Kind::profile)
    return make_array(env, napi_float64_array, sizeof(double), from, request.results.size(), result);
  const auto& outputs = request.plan->plan().graph.outputs;
  if (napi_create_array_with_length(env, outputs.size(), result) != napi_ok) return false;
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    const Tensor& tensor = request.plan->tensor(outputs[i]);
    const int64_t bytes = tensor.bytes() * request.steps;
    napi_value array;
    if (!make_array(env, tensor.dtype, from, bytes, &array) || napi_set_element(env, *result, i, array) != napi_ok)
      return false;
    from += bytes;
  }
  return true;
}

}  // namespace gramian
