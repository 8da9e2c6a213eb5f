// Products with float32 sums: pointwise and general convolutions, their gradients, and products that end in a
// batchNorm. Launched by products.cpp. A block makes 128 x N of y from slices (slice.cuh) in two buffers of shared
// memory. The rule easy to break: a thread fetches for one slice while it multiplies the one before.
#include "product.h"
#include "slice.cuh"

namespace gramian::cuda {

struct Pixel {
  uint32_t image;
  int32_t i, j;
};
__device__ __forceinline__ Pixel pixel_of(const ProductRows& a, uint32_t m) {
  const uint32_t above = a.rows_w_of.quotient(m), image = a.rows_h_of.quotient(above);
  return {image, static_cast<int32_t>(above - image * a.rows_h_of.divisor),
          static_cast<int32_t>(m - above * a.rows_w_of.divisor)};
}

struct Tap {
  uint32_t channel;
  int32_t p, q;
};
__device__ __forceinline__ Tap tap_of(const ProductRows& a, uint32_t k) {
  const uint32_t tap = a.channels_of.quotient(k), p = a.taps_w_of.quotient(tap);
  return {k - tap * a.channels_of.divisor, static_cast<int32_t>(p),
          static_cast<int32_t>(tap - p * a.taps_w_of.divisor)};
}

/** Where an element of A lies, from data on; negative outside the image. */
__device__ __forceinline__ int32_t place_of(const ProductRows& a, const Pixel& pixel, const Tap& tap) {
  const int32_t row = a.top + pixel.i * a.stride_h + tap.p * a.step_h;
  const int32_t col = a.left + pixel.j * a.stride_w + tap.q * a.step_w;
  const bool inside = static_cast<uint32_t>(row) < static_cast<uint32_t>(a.image_h) &&
                      static_cast<uint32_t>(col) < static_cast<uint32_t>(a.image_w);
  return inside ? static_cast<int32_t>(((pixel.image * a.image_h + row) * a.image_w + col) * a.pitch + tap.channel)
                : -1;
}

/** The element that lies `from` floats behind data, 0 where there is none. */
template <int V>
__device__ __forceinline__ Floats<V> element(const float* data, int32_t from) {
  return from < 0 ? zeros<V>() : load<V>(data + from);
}

/**
 * What a thread brings of A: 4 elements in a row of terms for two rows, or, transposed, of rows for two terms. They are
 * held in registers while the slice before is multiplied, but single ones go straight to shared memory.
 */
template <bool Transposed>
struct LeftSide {
  const ProductParams& p;
  const float* data;
  uint32_t m, k, k_end;
  Pixel pixel[2];
  Tap tap;
  Floats<4> held[2];

  __device__ __forceinline__ LeftSide(const ProductParams& params, const float* from, uint32_t m0, uint32_t end)
      : p(params), data(from), k_end(end) {
    const uint32_t t = threadIdx.x;
    if constexpr (Transposed) {
      k = t / 32, m = m0 + t % 32 * 4;
      tap = tap_of(p.a, m);
    } else {
      k = t % 4 * 4, m = m0 + t / 4;
      pixel[0] = pixel_of(p.a, m), pixel[1] = pixel_of(p.a, m + kM / 2);
    }
  }
  __device__ __forceinline__ void fetch(uint32_t k0) {
    if (!p.wide_a) return;
    if constexpr (!Transposed) tap = tap_of(p.a, k0 + k);
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t term = k0 + k + (Transposed ? half * kTerms / 2 : 0), row = m + (Transposed ? 0 : half * kM / 2);
      const Pixel at = Transposed ? pixel_of(p.a, term) : pixel[half];
      held[half] = element<4>(data, term < k_end && row < p.m ? place_of(p.a, at, tap) : -1);
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
    const uint32_t row = threadIdx.x % kM, first = blockIdx.x * kM + row;
    const Tap my_tap = Transposed ? tap_of(p.a, first) : Tap();
    const Pixel my_pixel = Transposed ? Pixel() : pixel_of(p.a, first);
#pragma unroll 2
    for (uint32_t term = threadIdx.x / kM; term < kTerms; term += 256 / kM) {
      const Pixel at = Transposed ? pixel_of(p.a, k0 + term) : my_pixel;
      const Tap of = Transposed ? my_tap : tap_of(p.a, k0 + term);
      const int32_t from = k0 + term < k_end && first < p.m ? place_of(p.a, at, of) : -1;
      slice[term][swizzled(term, row)] = element<1>(data, from).lane[0];
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

/** 64 rows of a block's sums from shared memory to y, perhaps normalised. */
template <bool Transposed, int N>
__device__ __forceinline__ void write_rows(const ProductParams& p, const float (&rows)[kM / 2][N], uint32_t m0,
                                           uint32_t n0, uint32_t group, float* y) {
  const uint32_t n = n0 + threadIdx.x % (N / 4) * 4;
  if (n >= p.n) return;
  const uint32_t count = min(4u, p.n - n);
#pragma unroll 1
  for (uint32_t r = threadIdx.x / (N / 4); r < kM / 2 && m0 + r < p.m; r += 1024 / N) {
    Floats<4> sum = load<4>(&rows[r][n - n0]);
    if (!Transposed && p.finish.mean) {
      // Vectors may begin anywhere; what they give past the last column is not stored.
      Channels<4> channels;
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) {
        const Channels<1> one = channels_of<1>(p.finish, group * p.n + n + min(c, count - 1));
        channels.mean.lane[c] = one.mean.lane[0], channels.scale.lane[c] = one.scale.lane[0];
        channels.beta.lane[c] = one.beta.lane[0];
      }
      normalize<4>(sum, channels, p.finish);
    }
    uint32_t row = m0 + r;
    if constexpr (!Transposed) {
      const Pixel pixel = pixel_of(p.a, row);
      row = (pixel.image * p.y_h + p.y_top + pixel.i * p.y_step_h) * p.y_w + p.y_left + pixel.j * p.y_step_w;
    }
    float* to = y + row * p.pitch_y + n;
    if (p.wide_y) {
      store<4>(to, sum);
    } else {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c)
        if (c < count) to[c] = sum.lane[c];
    }
  }
}

/**
 * The block's sums to y: as they are where rows lie in order, else half of the rows at a time through shared memory,
 * where code that is long stands once.
 */
template <bool Transposed, int N, int R>
__device__ __forceinline__ void write(const ProductParams& p, float (&rows)[kM / 2][N], const Floats<4> (&sum)[R],
                                      uint32_t row, uint32_t col, uint32_t m0, uint32_t n0, uint32_t group, float* y) {
  if (p.plain_y) {
    float* to = y + (m0 + row) * p.pitch_y + n0 + col;
    if (n0 + col < p.n)
#pragma unroll
      for (uint32_t r = 0; r < R; ++r, to += p.pitch_y)
        if (m0 + row + r < p.m) store_wide(to, sum[r]);
    return;
  }
#pragma unroll 1
  for (uint32_t first = 0; first < kM; first += kM / 2) {
    __syncthreads();
    if (row - first < kM / 2)
#pragma unroll
      for (uint32_t r = 0; r < R; ++r) store<4>(&rows[row - first + r][col], sum[r]);
    __syncthreads();
    write_rows<Transposed, N>(p, rows, m0 + first, n0, group, y);
  }
}

template <bool Transposed, int N>
__device__ __forceinline__ void product(const ProductParams& p) {
  constexpr int R = kRows<N>;
  __shared__ __align__(16) Memory<N> memory;
  auto& slices = memory.slices;
  const uint32_t m0 = blockIdx.x * kM, n0 = blockIdx.y * N, chunk = blockIdx.z / p.groups,
                 group = blockIdx.z - chunk * p.groups;
  const uint32_t begin = chunk * p.chunk, end = min(p.k, begin + p.chunk);
  LeftSide<Transposed> left(p, p.a.data + group * p.group_a, m0, end);
  RightSide<N> right(p, p.b.data + group * p.group_b, n0, end);
  const uint32_t row = first_row<N>(), col = first_column<N>();
  Floats<4> sum[R];
#pragma unroll
  for (auto& one : sum) one = zeros<4>();
    // A slice is fetched while the one before it is multiplied; one more round multiplies the last.
#pragma unroll 1
  for (uint32_t k = begin, buffer = 0; k < end + kTerms; k += kTerms, buffer ^= 1) {
    if (k < end) left.fetch(k), right.fetch(k);
    if (k > begin) multiply<N, R>(slices.a[buffer ^ 1], slices.b[buffer ^ 1], row, col, sum);
    if (k < end) left.put(k, slices.a[buffer]), right.put(k, slices.b[buffer]);
    __syncthreads();
  }
  float* const y = p.y + group * p.group_y + chunk * p.chunk_y;
  write<Transposed, N, R>(p, memory.rows, sum, row, col, m0, n0, group, y);
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 2) product_64(const ProductParams p) { product<false, 64>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) product_32(const ProductParams p) { product<false, 32>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) transposed_64(const ProductParams p) { product<true, 64>(p); }
