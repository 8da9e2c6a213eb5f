// Between JavaScript values and native data: the wire graph, options, feeds, results, errors. Argument checks only;
// what a graph means is checked by graph/validate.cpp.
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "binding/session.h"
#include "plan/plan.h"

namespace gramian {

/** What a wire graph's tensors begin with, one for each, undefined where a tensor has nothing. */
using WireData = std::vector<Napi::Value>;

/** Reads { tensors, nodes, outputs }, which may run getters of the caller's; the data is only kept. Throws Error. */
Graph read_graph(const Napi::Value& wire, WireData& data);

/**
 * Gives the tensors their data, borrowed from typed arrays: it holds until JavaScript runs again, which may free an
 * array's memory, so everything else is read before. Throws ERR_ARGUMENT.
 */
void take_data(const WireData& data, Graph& graph);

struct CompileOptions {
  std::string device = "auto";
  BackendOptions backend;
};
CompileOptions read_options(const Napi::Value& options);

/** Where a dense typed array of this dtype and element count keeps its bytes. Throws ERR_ARGUMENT. */
const void* typed_array_data(const Napi::Value& value, DType dtype, int64_t count, const std::string& what);

/** An integer in [low, high]. Throws ERR_ARGUMENT. */
int64_t read_integer(const Napi::Value& value, int64_t low, int64_t high, const std::string& what);
std::string read_string(const Napi::Value& value, const std::string& what);

Napi::Object write_description(Napi::Env env, const Description& about);

/** A JavaScript error with `code` and `completedSteps`; false when the environment cannot make one. */
bool make_error(napi_env env, Code code, const std::string& message, int64_t completed, napi_value* error);
/** What a request's promise resolves to; false when the environment cannot make it. */
bool make_result(napi_env env, const Request& request, napi_value* result);

/** Runs `body`, turning what it throws into a JavaScript exception with a `code`. */
template <typename Body>
auto guard(Napi::Env env, const Body& body) -> decltype(body()) {
  Code code;
  std::string message;
  try {
    return body();
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  } catch (const std::bad_alloc&) {
    code = Code::device;
    message = "[memory] out of memory";
  }
  napi_value error;
  if (make_error(env, code, message, 0, &error)) throw Napi::Error(env, error);
  throw Napi::Error::New(env, message);
}

}  // namespace gramian
