// The inner part of a product with float32 sums: a block of 256 makes 128 x N of y from slices of 16 terms in shared
// memory; a thread makes kRows<N> rows by 4 columns. Included by product.cu. The rule easy to break:
// element (k, i) of a slice lies at i ^ 8 (k / 4), which keeps both the stores across terms and the loads along rows
// free of conflicts.
#pragma once
#include "norm.cuh"
#include "slice.h"

namespace gramian::cuda {

__device__ __forceinline__ uint32_t swizzled(uint32_t k, uint32_t i) { return i ^ (k / 4 % 4 * 8); }

template <int N>
constexpr int kRows = kM* N / 4 / 256;

/** Of this thread in the block's part of y. */
template <int N>
__device__ __forceinline__ uint32_t first_row() {
  return (threadIdx.x / 32 / (N / 32) * 4 + threadIdx.x % 32 / 8) * kRows<N>;
}
template <int N>
__device__ __forceinline__ uint32_t first_column() {
  return (threadIdx.x / 32 % (N / 32) * 8 + threadIdx.x % 8) * 4;
}

/** sum += the slice's terms for rows `row` on and columns `col` on. */
template <int N, int R>
__device__ __forceinline__ void multiply(const float (&a)[kTerms][kM], const float (&b)[kTerms][N], uint32_t row,
                                         uint32_t col, Floats<4> (&sum)[R]) {
  const float *a_term = a[0], *b_term = b[0];
#pragma unroll 1
  for (uint32_t swizzle = 0; swizzle < 32; swizzle += 8, a_term += 4 * kM, b_term += 4 * N) {
    const float *lefts = a_term + (row ^ swizzle), *rights = b_term + (col ^ swizzle);
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
      const Floats<4> right = load<4>(rights + i * N);
#pragma unroll
      for (int r = 0; r < R; r += 4) {
        const Floats<4> left = load<4>(lefts + i * kM + r);
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
          for (int c = 0; c < 4; ++c) sum[r + j].lane[c] = fmaf(left.lane[j], right.lane[c], sum[r + j].lane[c]);
      }
    }
  }
}

}  // namespace gramian::cuda
