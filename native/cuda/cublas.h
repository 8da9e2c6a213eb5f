// cuBLAS as a table of our own, filled from libcublas.so.13 or .12 at first use. Prototypes are those of cublas_v2.h.
// The rule easy to break: cuBLAS is column-major; ours is row-major, so Blas::product hands the factors over swapped.
#pragma once
#include <cstdint>
#include <string>

#include "cuda/driver.h"

namespace gramian::cuda {

using BlasHandle = struct BlasTag*;

class BlasTable {
 public:
  explicit BlasTable(const Resolver& resolver) : resolver_(resolver) {}
  template <typename... Args>
  using Call = Entry<fail_blas, Args...>;

 private:
  const Resolver& resolver_;

 public:
  Call<BlasHandle*> create{resolver_, "cublasCreate_v2"};
  Call<BlasHandle> destroy{resolver_, "cublasDestroy_v2"};
  Call<BlasHandle, Stream> set_stream{resolver_, "cublasSetStream_v2"};
  Call<BlasHandle, void*, size_t> set_workspace{resolver_, "cublasSetWorkspace_v2"};
  Call<BlasHandle, int> set_math_mode{resolver_, "cublasSetMathMode"};
  Call<BlasHandle, int, int, int, int, int, const float*, const float*, int, const float*, int, const float*, float*,
       int>
      sgemm{resolver_, "cublasSgemm_v2"};
};

/** Why there is no cuBLAS and what to do; empty when there is one. */
const std::string& blas_problem();

/** A row-major matrix: element (r, c) at data[r * pitch + c]. */
struct Matrix {
  float* data = nullptr;
  int64_t pitch = 0;
};

/** y[m,n] = alpha op(a) op(b) + beta y; op(a) is [m,k], op(b) is [k,n]. */
struct Product {
  int64_t m = 0, n = 0, k = 0;
  Matrix a, b, y;
  bool trans_a = false, trans_b = false;
  float alpha = 1, beta = 0;
};

/** A cuBLAS handle on one stream. Its calls may be captured; results do not depend on what ran before. */
class Blas {
 public:
  /** `workspace` is device memory that stays for the handle's life. Throws ERR_DEVICE. */
  Blas(Stream stream, void* workspace, int64_t workspace_bytes, bool tf32);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  void product(const Product& product) const;

 private:
  BlasHandle handle_ = nullptr;
};

}  // namespace gramian::cuda
