// Products of factors rounded to bfloat16, by tensor cores with float32 sums: pieces of the factors in shared memory,
// and what a warp does with them. Included by kernels/*_bf16.cu; sm_80 and newer. PTX ISA, "Matrix fragments for
// mma.m16n8k16" and "ldmatrix". The rule easy to break: 8 elements side by side in a line are one group, and groups are
// swizzled over the lines, so that neither stores along lines nor loads of 8 x 8 elements meet in a bank.
#pragma once
#include "norm.cuh"
#include "slice.h"

namespace gramian::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* place) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(place));
}

/**
 * kTerms terms of `Extent` rows of the left factor or columns of the right one. A line is one of them with its terms
 * where they lie side by side in memory (AlongTerms), else one term with its rows or columns.
 */
template <bool AlongTerms, uint32_t Extent>
struct alignas(128) Piece {
  static constexpr bool kAlongTerms = AlongTerms;
  static constexpr uint32_t kLength = AlongTerms ? kTerms : Extent, kLines = AlongTerms ? Extent : kTerms;

  uint16_t elements[kLines * kLength];

  static __device__ __forceinline__ uint32_t place(uint32_t line, uint32_t element) {
    constexpr uint32_t groups = kLength / 8;
    constexpr uint32_t swizzles = groups < 8 ? groups : 8, lines = 8 / swizzles;  // lines in 128 bytes
    return line * kLength + ((element / 8) ^ (line / lines % swizzles)) * 8 + element % 8;
  }
};

/** Four elements, rounded to the nearest, ties to even. */
__device__ __forceinline__ void put_four(uint32_t to, const Floats<4>& x) {
  uint32_t low, high;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(low) : "f"(x.lane[1]), "f"(x.lane[0]));
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(high) : "f"(x.lane[3]), "f"(x.lane[2]));
  // Left to itself the compiler makes two stores of it, which meet in their banks.
  asm volatile("st.shared.v2.b32 [%0], {%1, %2};" : : "r"(to), "r"(low), "r"(high) : "memory");
}

/** Four 8 x 8 matrices, of which this lane names one line. */
template <bool Transposed>
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], uint32_t from) {
  if constexpr (Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
  }
}

/** sum += a b: 16 rows, 8 columns, 16 terms. Lane l has columns 2 (l % 4) on, of rows l / 4 and l / 4 + 8. */
__device__ __forceinline__ void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b_low, uint32_t b_high) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %11, %12, %13};"
      : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_low), "r"(b_high), "f"(sum[0]), "f"(sum[1]), "f"(sum[2]),
        "f"(sum[3]));
}

/** Of a warp: MI x 16 rows and NJ x 8 columns. */
template <int MI, int NJ>
struct Sums {
  float of[MI][NJ][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (auto& row : of)
#pragma unroll
      for (auto& tile : row)
#pragma unroll
        for (float& one : tile) one = 0;
  }
  /**
   * body(row, column, four sums side by side), rows and columns of the warp: lanes exchange halves, so that the even
   * ones have whole fours of the upper rows and the odd ones of the lower.
   */
  template <typename Body>
  __device__ __forceinline__ void for_fours(const Body& body) const {
    const uint32_t lane = threadIdx.x % 32;
    const bool odd = lane % 2;
#pragma unroll
    for (int i = 0; i < MI; ++i)
#pragma unroll
      for (int j = 0; j < NJ; ++j) {
        const float* one = of[i][j];
        const float first = __shfl_xor_sync(kFullWarp, odd ? one[0] : one[2], 1);
        const float second = __shfl_xor_sync(kFullWarp, odd ? one[1] : one[3], 1);
        const Floats<4> four =
            odd ? Floats<4>{first, second, one[2], one[3]} : Floats<4>{one[0], one[1], first, second};
        body(i * 16 + lane / 4 + odd * 8, j * 8 + lane % 4 / 2 * 4, four);
      }
  }
};

/**
 * The place whose address this lane gives ldmatrix: lane l names line l % 8 of matrix l / 8. Of the second and the
 * third matrix one is 8 lines on, the other 8 elements.
 */
template <typename Left>
__device__ __forceinline__ uint32_t lane_of_left(uint32_t row) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (Left::kAlongTerms) return Left::place(row + lane % 16, lane / 16 * 8);
  return Left::place(lane % 8 + lane / 16 * 8, row + lane / 8 % 2 * 8);
}
template <typename Right>
__device__ __forceinline__ uint32_t lane_of_right(uint32_t column) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (Right::kAlongTerms) return Right::place(column + lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8);
  return Right::place(lane % 16, column + lane / 16 * 8);
}

/** Its address for rows or columns 16 * i on; across lines they are groups 2 * i on, which the swizzle leaves apart. */
template <typename Side>
__device__ __forceinline__ uint32_t further(uint32_t address, uint32_t i) {
  return Side::kAlongTerms ? address + i * 16 * Side::kLength * 2 : address ^ (i * 32);
}

/** sums += a slice's terms, for the rows and columns of lane_of_left and lane_of_right. */
template <typename Left, typename Right, int MI, int NJ>
__device__ __forceinline__ void multiply(uint32_t left_address, uint32_t right_address, Sums<MI, NJ>& sums) {
  uint32_t right[NJ / 2][4];
#pragma unroll
  for (int j = 0; j < NJ / 2; ++j) load_matrices<!Right::kAlongTerms>(right[j], further<Right>(right_address, j));
#pragma unroll
  for (int i = 0; i < MI; ++i) {
    uint32_t left[4];
    load_matrices<!Left::kAlongTerms>(left, further<Left>(left_address, i));
#pragma unroll
    for (int j = 0; j < NJ; ++j)
      multiply_add(sums.of[i][j], left, right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
  }
}

}  // namespace gramian::cuda
