// The one exception type of native code. Everything thrown on purpose is an Error; `guard` of binding/convert.h makes
// it a JavaScript error with the same `code`, which src/compile.ts maps to a class of src/errors.ts.
// The rule easy to break: messages follow `[op] what was expected, what came`.
#pragma once
#include <exception>
#include <string>
#include <utility>

namespace gramian {

enum class Code { shape, argument, graph, device, execution, disposed, aborted };

/** The `code` of the JavaScript class: `ERR_SHAPE` and so on. */
inline const char* code_name(Code code) {
  switch (code) {
    case Code::shape:
      return "ERR_SHAPE";
    case Code::argument:
      return "ERR_ARGUMENT";
    case Code::graph:
      return "ERR_GRAPH";
    case Code::device:
      return "ERR_DEVICE";
    case Code::execution:
      return "ERR_EXECUTION";
    case Code::disposed:
      return "ERR_DISPOSED";
    case Code::aborted:
      return "ERR_ABORTED";
  }
  return "ERR_GRAPH";
}

class Error : public std::exception {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  Code code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Code code_;
  std::string message_;
};

}  // namespace gramian
