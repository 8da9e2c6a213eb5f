// See cublas.h.
#include "cuda/cublas.h"

#include <dlfcn.h>

#include <optional>

#include "core/error.h"
#include "core/text.h"

namespace gramian::cuda {
namespace {

constexpr int kPlain = 0, kTransposed = 1, kDefaultMath = 0, kTf32Math = 3;

struct Loaded {
  std::optional<BlasTable> table;
  std::string problem;
};

struct Search {
  void* library;
  std::string missing;
};

void* find_entry(void* context, const char* name) {
  auto& search = *static_cast<Search*>(context);
  void* found = dlsym(search.library, name);
  if (!found) search.missing += search.missing.empty() ? name : cat(", ", name);
  return found;
}

Loaded load() {
  const char* const install =
      "install cuBLAS 13 or 12 (it comes with the CUDA toolkit) and name its folder in GRAMIAN_CUDA_LIBRARY if the "
      "system does not find it";
  std::string tried;
  void* library = open_library({"libcublas.so.13", "libcublas.so.12"}, tried);
  if (!library) return {{}, cat("libcublas cannot be opened (", tried, "): ", install)};
  Search search{library, ""};
  const Resolver resolver{&search, find_entry};
  Loaded loaded;
  loaded.table.emplace(resolver);
  if (!search.missing.empty()) loaded.problem = cat("libcublas lacks ", search.missing, ": ", install);
  return loaded;
}

const Loaded& loaded() {
  static const Loaded result = load();
  return result;
}

const BlasTable& table() {
  if (!loaded().problem.empty()) throw Error(Code::device, cat("[cuda] ", loaded().problem));
  return *loaded().table;
}

const char* status_name(int code) {
  switch (code) {
    case 1:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case 3:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case 7:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case 8:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case 11:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case 13:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case 14:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case 15:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "unknown error";
  }
}

int size32(int64_t value) {
  if (value > INT32_MAX) throw Error(Code::shape, cat("[cuda] cuBLAS takes sizes below 2^31, got ", value));
  return static_cast<int>(value);
}

}  // namespace

void fail_blas(const char* name, int code) {
  const char* const advice =
      code == 3 ? "the device has not enough free memory" : "a kernel may have failed before; start the process again";
  throw Error(Code::device, cat("[cuda] ", name, " failed: ", status_name(code), " (", code, "): ", advice));
}

const std::string& blas_problem() { return loaded().problem; }

Blas::Blas(Stream stream, void* workspace, int64_t workspace_bytes, bool tf32) {
  table().create(&handle_);
  try {
    table().set_stream(handle_, stream);
    // A workspace of our own: without one, cuBLAS may allocate while a graph is captured.
    table().set_workspace(handle_, workspace, static_cast<size_t>(workspace_bytes));
    table().set_math_mode(handle_, tf32 ? kTf32Math : kDefaultMath);
  } catch (...) {
    table().destroy.attempt(handle_);
    throw;
  }
}

Blas::~Blas() { table().destroy.attempt(handle_); }

void Blas::product(const Product& p) const {
  // Row-major y = a b is column-major y' = b' a', and a row-major matrix read column-major is its transpose.
  const int op_b = p.trans_b ? kTransposed : kPlain, op_a = p.trans_a ? kTransposed : kPlain;
  const int n = size32(p.n), m = size32(p.m), k = size32(p.k);
  const int pitch_b = size32(p.b.pitch), pitch_a = size32(p.a.pitch), pitch_y = size32(p.y.pitch);
  table().sgemm(handle_, op_b, op_a, n, m, k, &p.alpha, p.b.data, pitch_b, p.a.data, pitch_a, &p.beta, p.y.data,
                pitch_y);
}

}  // namespace gramian::cuda
