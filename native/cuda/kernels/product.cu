// Products with float32 sums: pointwise and general convolutions, their gradients, and products that end in a
// batchNorm. Launched by products.cpp. A block makes 128 x N of y from slices (slice.cuh) in two buffers of shared
// memory. The rule easy to break: a thread fetches for one slice while it multiplies the one before.
#include "product.cuh"
#include "slice.cuh"

namespace gramian::cuda {

/**
 * What a thread brings of A: 4 elements in a row of terms for two rows, or, transposed, of rows for two terms. They are
 * held in registers while the slice before is multiplied, but single ones go straight to shared memory.
 */
template <bool Transposed>
struct LeftSide {
  const ProductParams& p;
  const float* data;
  uint32_t m0, k, k_end;
  Corner corner[2];
  Reach reach;
  Floats<4> held[2];

  __device__ __forceinline__ LeftSide(const ProductParams& params, const float* from, uint32_t first, uint32_t end)
      : p(params), data(from), m0(first), k_end(end) {
    const uint32_t t = threadIdx.x;
    if constexpr (Transposed) {
      const uint32_t m = m0 + t % 32 * 4;
      k = t / 32;
      reach = reach_of(p.a, m, m < p.m);
    } else {
      const uint32_t m = m0 + t / 4;
      k = t % 4 * 4;
      corner[0] = corner_of(p.a, m, m < p.m), corner[1] = corner_of(p.a, m + kM / 2, m + kM / 2 < p.m);
    }
  }
  __device__ __forceinline__ void fetch(uint32_t k0) {
    if (!p.wide_a) return;
    if constexpr (!Transposed) reach = reach_of(p.a, k0 + k, k0 + k < k_end);
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t term = k0 + k + half * kTerms / 2;
      const Corner at = Transposed ? corner_of(p.a, term, term < k_end) : corner[half];
      held[half] = element<4>(data, place_of(p.a, at, reach));
    }
  }
  __device__ __forceinline__ void put(uint32_t k0, float (&slice)[kTerms][kM]) const {
    const uint32_t t = threadIdx.x;
    if (!p.wide_a) return put_singly(k0, slice);
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      if constexpr (Transposed) {
        const uint32_t term = k + half * kTerms / 2;
        store<4>(&slice[term][swizzled(term, t % 32 * 4)], held[half]);
      } else {
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) slice[k + i][swizzled(k, t / 4 + half * kM / 2)] = held[half].lane[i];
      }
    }
  }
  /** A warp takes 32 rows of a term. */
  __device__ __forceinline__ void put_singly(uint32_t k0, float (&slice)[kTerms][kM]) const {
    const uint32_t row = threadIdx.x % kM, m = m0 + row;
    const Reach my_reach = Transposed ? reach_of(p.a, m, m < p.m) : Reach();
    const Corner my_corner = Transposed ? Corner() : corner_of(p.a, m, m < p.m);
#pragma unroll 2
    for (uint32_t i = threadIdx.x / kM; i < kTerms; i += 256 / kM) {
      const uint32_t term = k0 + i;
      const Corner from = Transposed ? corner_of(p.a, term, term < k_end) : my_corner;
      const Reach to = Transposed ? my_reach : reach_of(p.a, term, term < k_end);
      slice[i][swizzled(i, row)] = element<1>(data, place_of(p.a, from, to)).lane[0];
    }
  }
};

/** What a thread brings of B: 4 elements along n, or, turned, along k. */
template <int N>
struct RightSide {
  const ProductParams& p;
  const float* data;
  uint32_t k, n, n0, k_end;
  Floats<4> held;

  __device__ __forceinline__ RightSide(const ProductParams& params, const float* from, uint32_t first, uint32_t end)
      : p(params), data(from), n0(first), k_end(end) {
    const uint32_t t = threadIdx.x;
    k = p.b.turned ? t % 4 * 4 : t / (N / 4);
    n = n0 + (p.b.turned ? t / 4 : t % (N / 4) * 4);
  }
  __device__ __forceinline__ int32_t place(uint32_t term, uint32_t column) const {
    if (term >= k_end || column >= p.n) return -1;
    if (!p.b.turned) return static_cast<int32_t>(term * p.b.pitch + column);
    const Tap tap = tap_of(p.a, term);
    const int32_t filter = p.b.first + tap.p * p.b.step_h + tap.q * p.b.step_w;
    return static_cast<int32_t>(filter * p.b.tap + column * p.b.pitch + tap.channel);
  }
  __device__ __forceinline__ bool idle() const { return threadIdx.x >= N * 4; }
  __device__ __forceinline__ void fetch(uint32_t k0) {
    if (p.wide_b && !idle()) held = element<4>(data, place(k0 + k, n));
  }
  __device__ __forceinline__ void put(uint32_t k0, float (&slice)[kTerms][N]) const {
    const uint32_t t = threadIdx.x;
    if (!p.wide_b) {
#pragma unroll 2
      for (uint32_t term = t / N; term < kTerms; term += 256 / N)
        slice[term][swizzled(term, t % N)] = element<1>(data, place(k0 + term, n0 + t % N)).lane[0];
    } else if (!idle() && p.b.turned) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) slice[k + i][swizzled(k, t / 4)] = held.lane[i];
    } else if (!idle()) {
      store<4>(&slice[k][swizzled(k, t % (N / 4) * 4)], held);
    }
  }
};

template <int N>
union Memory {
  struct {
    float a[2][kTerms][kM];
    float b[2][kTerms][N];
  } slices;
  float rows[kM / 2][N];
};

/**
 * The block's sums to y: as they are where rows lie in order, else half of the rows at a time through shared memory,
 * where code that is long stands once.
 */
template <bool Transposed, int N, int R>
__device__ __forceinline__ void write(const ProductParams& p, float (&rows)[kM / 2][N], const Floats<4> (&sum)[R],
                                      uint32_t row, uint32_t col, const Place<N>& at) {
  if (p.plain_y) {
    float* to = at.y + (at.m0 + row) * p.pitch_y + at.n0 + col;
    if (at.n0 + col < p.n)
#pragma unroll
      for (uint32_t r = 0; r < R; ++r, to += p.pitch_y)
        if (at.m0 + row + r < p.m) store_wide(to, sum[r]);
    return;
  }
#pragma unroll 1
  for (uint32_t first = 0; first < kM; first += kM / 2) {
    __syncthreads();
    if (row - first < kM / 2)
#pragma unroll
      for (uint32_t r = 0; r < R; ++r) store<4>(in_row<N>(rows, row - first + r, col), sum[r]);
    __syncthreads();
    write_rows<Transposed, N>(p, rows, first, at);
  }
}

template <bool Transposed, int N>
__device__ __forceinline__ void product(const ProductParams& p) {
  constexpr int R = kRows<N>;
  __shared__ __align__(16) Memory<N> memory;
  auto& slices = memory.slices;
  const Place<N> at(p);
  LeftSide<Transposed> left(p, p.a.data + at.group * p.group_a, at.m0, at.end);
  RightSide<N> right(p, p.b.data + at.group * p.group_b, at.n0, at.end);
  const uint32_t row = first_row<N>(), col = first_column<N>();
  Floats<4> sum[R];
#pragma unroll
  for (auto& one : sum) one = zeros<4>();
    // A slice is fetched while the one before it is multiplied; one more round multiplies the last.
#pragma unroll 1
  for (uint32_t k = at.begin, buffer = 0; k < at.end + kTerms; k += kTerms, buffer ^= 1) {
    if (k < at.end) left.fetch(k), right.fetch(k);
    if (k > at.begin) multiply<N, R>(slices.a[buffer ^ 1], slices.b[buffer ^ 1], row, col, sum);
    if (k < at.end) left.put(k, slices.a[buffer]), right.put(k, slices.b[buffer]);
    __syncthreads();
  }
  write<Transposed, N, R>(p, memory.rows, sum, row, col, at);
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 2) product_64(const ProductParams p) { product<false, 64>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) product_32(const ProductParams p) { product<false, 32>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) transposed_64(const ProductParams p) { product<true, 64>(p); }
