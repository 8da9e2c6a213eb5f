// Shared libraries of NVIDIA, opened by name when CUDA is first asked for. Used by driver.cpp and cublas.cpp.
// The rule easy to break: with GRAMIAN_SOFTCUDA=1 nothing but the software device of this checkout may be found.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

namespace gramian::cuda {

/**
 * The first of `names` that opens: in the folder GRAMIAN_CUDA_LIBRARY, then wherever the system looks. With
 * GRAMIAN_SOFTCUDA=1 in softcuda/ beside the addon's folder only. Null when none does; `tried` then says what was
 * tried.
 */
void* open_library(const std::vector<std::string>& names, std::string& tried);

/** Gives functions by name, null for those that are missing. */
struct Resolver {
  void* context = nullptr;
  void* (*find)(void* context, const char* name) = nullptr;
};

/** A failed call as an ERR_DEVICE whose message names the call, the error and what to do. */
[[noreturn]] void fail_driver(const char* name, int code);
[[noreturn]] void fail_blas(const char* name, int code);

/** One function of a library: called, it throws when the function fails; attempt() returns the code instead. */
template <void (*fail)(const char*, int), typename... Args>
class Entry {
 public:
  Entry(const Resolver& resolver, const char* name)
      : name_(name), function_(reinterpret_cast<int (*)(Args...)>(resolver.find(resolver.context, name))) {}
  void operator()(std::type_identity_t<Args>... args) const {
    if (const int code = function_(args...)) fail(name_, code);
  }
  int attempt(std::type_identity_t<Args>... args) const noexcept { return function_(args...); }

 private:
  const char* name_;
  int (*function_)(Args...);
};

}  // namespace gramian::cuda
