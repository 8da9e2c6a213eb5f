// Products whose factors are rounded to bfloat16 on their way into shared memory, with float32 sums by tensor cores:
// what product.cu does, and plain products and gradients of pointwise convolutions too. Launched by products.cpp on
// sm_80 and newer. A block of 256 makes 128 x N of y; each side of a slice keeps the order it has in memory, and
// ldmatrix turns what lies across. The rule easy to break: terms past the end are zeros on both sides, because 0 * NaN
// is NaN.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#include "bf16.cuh"
#include "product.cuh"

namespace gramian::cuda {

/** The left factor's rows and terms, and the element where they meet. */
template <bool Transposed>
struct LeftSource {
  using Row = std::conditional_t<Transposed, Reach, Corner>;
  using Term = std::conditional_t<Transposed, Corner, Reach>;
  const ProductParams& p;
  const float* data;
  uint32_t end;

  __device__ __forceinline__ bool wide() const { return p.wide_a; }
  __device__ __forceinline__ Row row(uint32_t m) const {
    if constexpr (Transposed)
      return reach_of(p.a, m, m < p.m);
    else
      return corner_of(p.a, m, m < p.m);
  }
  __device__ __forceinline__ Term term(uint32_t k) const {
    if constexpr (Transposed)
      return corner_of(p.a, k, k < end);
    else
      return reach_of(p.a, k, k < end);
  }
  __device__ __forceinline__ int32_t place(const Row& row, const Term& term) const {
    if constexpr (Transposed)
      return place_of(p.a, term, row);
    else
      return place_of(p.a, row, term);
  }
};

/** The right factor's columns and terms: each says how far from data it is, negative past the last. */
template <bool Turned>
struct RightSource {
  using Row = int32_t;
  using Term = int32_t;
  const ProductParams& p;
  const float* data;
  uint32_t end;

  __device__ __forceinline__ bool wide() const { return p.wide_b; }
  __device__ __forceinline__ Row row(uint32_t n) const {
    return n < p.n ? static_cast<int32_t>(Turned ? n * p.b.pitch : n) : -1;
  }
  __device__ __forceinline__ Term term(uint32_t k) const {
    if (k >= end) return -1;
    if constexpr (!Turned) return static_cast<int32_t>(k * p.b.pitch);
    const Tap tap = tap_of(p.a, k);
    const int32_t filter = p.b.first + tap.p * p.b.step_h + tap.q * p.b.step_w;
    return static_cast<int32_t>(filter * p.b.tap + tap.channel);
  }
  __device__ __forceinline__ int32_t place(Row row, Term term) const { return (row | term) < 0 ? -1 : row + term; }
};

/** What a thread brings of one side: fours in a line, held in registers while the slice before is multiplied. */
template <bool AlongTerms, uint32_t Extent, typename Source>
struct Side {
  using Target = Piece<AlongTerms, Extent>;
  static constexpr uint32_t kAcross = Target::kLength / 4, kDown = 256 / kAcross, kFours = Target::kLines / kDown;

  const Source source;
  const uint32_t first;
  typename Source::Row rows[AlongTerms ? kFours : 1];
  Floats<4> held[kFours];

  __device__ __forceinline__ Side(const Source& from, uint32_t first_of_block) : source(from), first(first_of_block) {
#pragma unroll
    for (uint32_t i = 0; i < (AlongTerms ? kFours : 1); ++i)
      rows[i] = source.row(first + (AlongTerms ? line(i) : offset()));
  }
  static __device__ __forceinline__ uint32_t line(uint32_t i) { return threadIdx.x / kAcross + i * kDown; }
  static __device__ __forceinline__ uint32_t offset() { return threadIdx.x % kAcross * 4; }
  /** Where this thread puts its first four; the next are kDown lines on. */
  static __device__ __forceinline__ uint32_t target() { return Target::place(line(0), offset()); }

  __device__ __forceinline__ void fetch(uint32_t k0) {
    if (!source.wide()) return;
    typename Source::Term term;
    if constexpr (AlongTerms) term = source.term(k0 + offset());
#pragma unroll
    for (uint32_t i = 0; i < kFours; ++i) {
      if constexpr (!AlongTerms) term = source.term(k0 + line(i));
      held[i] = element<4>(source.data, source.place(rows[AlongTerms ? i : 0], term));
    }
  }
  __device__ __forceinline__ void put(uint32_t k0, uint32_t address) const {
    if (!source.wide()) return put_singly(k0, address);
#pragma unroll
    for (uint32_t i = 0; i < kFours; ++i) put_four(address + i * kDown * Target::kLength * 2, held[i]);
  }
  __device__ __forceinline__ void put_singly(uint32_t k0, uint32_t address) const {
#pragma unroll 1
    for (uint32_t i = 0; i < kFours; ++i, address += kDown * Target::kLength * 2) {
      Floats<4> four;
#pragma unroll
      for (uint32_t lane = 0; lane < 4; ++lane) {
        const uint32_t at = offset() + lane;
        const auto row = source.row(first + (AlongTerms ? line(i) : at));
        four.lane[lane] =
            element<1>(source.data, source.place(row, source.term(k0 + (AlongTerms ? at : line(i))))).lane[0];
      }
      put_four(address, four);
    }
  }
};

template <bool Transposed, int N, int MI, int NJ>
__device__ __forceinline__ void write(const ProductParams& p, float (&rows)[kM / 2][N], const Sums<MI, NJ>& sums,
                                      uint32_t row, uint32_t col, const Place<N>& at) {
  if (p.plain_y) {
    float* const y = at.y + (at.m0 + row) * p.pitch_y + at.n0 + col;
    sums.for_fours([&](uint32_t r, uint32_t c, const Floats<4>& four) {
      if (at.m0 + row + r < p.m && at.n0 + col + c < p.n) store_wide(y + r * p.pitch_y + c, four);
    });
    return;
  }
#pragma unroll 1
  for (uint32_t first = 0; first < kM; first += kM / 2) {
    __syncthreads();
    if (row - first < kM / 2)
      sums.for_fours([&](uint32_t r, uint32_t c, const Floats<4>& four) {
        store<4>(in_row<N>(rows, row - first + r, col + c), four);
      });
    __syncthreads();
    write_rows<Transposed, N>(p, rows, first, at);
  }
}

template <bool Transposed, bool Turned, int N>
__device__ __forceinline__ void product(const ProductParams& p) {
  constexpr uint32_t across = N / 32, rows = kM * across / 8;  // warps side by side, rows of each
  using Left = Side<!Transposed, kM, LeftSource<Transposed>>;
  using Right = Side<Turned, N, RightSource<Turned>>;
  __shared__ union {
    struct {
      typename Left::Target a[2];
      typename Right::Target b[2];
    } slices;
    float rows[kM / 2][N];
  } memory;
  auto& slices = memory.slices;
  const Place<N> at(p);
  Left left({p, p.a.data + at.group * p.group_a, at.end}, at.m0);
  Right right({p, p.b.data + at.group * p.group_b, at.end}, at.n0);
  const uint32_t warp = threadIdx.x / 32, row = warp / across * rows, col = warp % across * 32;
  Sums<rows / 16, 4> sums;
  sums.clear();
  const uint32_t left_from = shared_address(slices.a) + 2 * lane_of_left<typename Left::Target>(row);
  const uint32_t right_from = shared_address(slices.b) + 2 * lane_of_right<typename Right::Target>(col);
  const uint32_t left_to = shared_address(slices.a) + 2 * Left::target();
  const uint32_t right_to = shared_address(slices.b) + 2 * Right::target();
  // A slice is fetched while the one before it is multiplied; one more round multiplies the last.
  constexpr uint32_t left_bytes = sizeof(slices.a[0]), right_bytes = sizeof(slices.b[0]);
#pragma unroll 1
  for (uint32_t k = at.begin, buffer = 0; k < at.end + kTerms; k += kTerms, buffer ^= 1) {
    if (k < at.end) left.fetch(k), right.fetch(k);
    if (k > at.begin) {
      const uint32_t other = buffer ^ 1;
      multiply<typename Left::Target, typename Right::Target>(left_from + other * left_bytes,
                                                              right_from + other * right_bytes, sums);
    }
    if (k < at.end) left.put(k, left_to + buffer * left_bytes), right.put(k, right_to + buffer * right_bytes);
    __syncthreads();
  }
  write<Transposed, N>(p, memory.rows, sums, row, col, at);
}

}  // namespace gramian::cuda
#else
#include "product.h"
namespace gramian::cuda {
/** There is no such instruction; the host does not launch these. */
template <bool Transposed, bool Turned, int N>
__device__ __forceinline__ void product(const ProductParams&) {
  __trap();
}
}  // namespace gramian::cuda
#endif

using gramian::cuda::ProductParams;

extern "C" __global__ void __launch_bounds__(256, 2) product_128(const ProductParams p) {
  gramian::cuda::product<false, false, 128>(p);
}
extern "C" __global__ void __launch_bounds__(256, 3) product_64(const ProductParams p) {
  gramian::cuda::product<false, false, 64>(p);
}
extern "C" __global__ void __launch_bounds__(256, 2) turned_128(const ProductParams p) {
  gramian::cuda::product<false, true, 128>(p);
}
extern "C" __global__ void __launch_bounds__(256, 3) turned_64(const ProductParams p) {
  gramian::cuda::product<false, true, 64>(p);
}
extern "C" __global__ void __launch_bounds__(256, 2) transposed_128(const ProductParams p) {
  gramian::cuda::product<true, false, 128>(p);
}
extern "C" __global__ void __launch_bounds__(256, 3) transposed_64(const ProductParams p) {
  gramian::cuda::product<true, false, 64>(p);
}
extern "C" __global__ void __launch_bounds__(256, 2) transposedTurned_128(const ProductParams p) {
  gramian::cuda::product<true, true, 128>(p);
}
extern "C" __global__ void __launch_bounds__(256, 3) transposedTurned_64(const ProductParams p) {
  gramian::cuda::product<true, true, 64>(p);
}
