// What product.cu and product_bf16.cu share: where elements of the factors lie, which part of y a block makes, and how
// its rows are written. The rule easy to break: a row of A outside its image has no place, which is a negative number.
#pragma once
#include "norm.cuh"
#include "product.h"
#include "slice.h"

namespace gramian::cuda {

/**
 * A block's part of y. Blocks of the same rows and other columns follow each other, so that the rows of A are in the
 * second cache when they are read again.
 */
template <int N>
struct Place {
  uint32_t m0, n0, group, begin, end;  // terms [begin, end)
  float* y;

  __device__ __forceinline__ explicit Place(const ProductParams& p) {
    const uint32_t across = (p.n + N - 1) / N, down = blockIdx.x / across, chunk = blockIdx.y / p.groups;
    m0 = down * kM, n0 = (blockIdx.x - down * across) * N, group = blockIdx.y - chunk * p.groups;
    begin = chunk * p.chunk, end = min(p.k, begin + p.chunk);
    y = p.y + group * p.group_y + static_cast<uint64_t>(chunk) * p.chunk_y;
  }
};

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

/** Far outside every image, whatever is added to it once. */
constexpr int32_t kNowhere = -(1 << 30);

/** What an element of A's pixel says of its place: where the first tap of its window lies. */
struct Corner {
  int32_t row, col;
  uint32_t from;
};
__device__ __forceinline__ Corner corner_of(const ProductRows& a, uint32_t m, bool there) {
  const Pixel pixel = pixel_of(a, m);
  const int32_t row = a.top + pixel.i * a.stride_h, col = a.left + pixel.j * a.stride_w;
  return {there ? row : kNowhere, col, ((pixel.image * a.image_h + row) * a.image_w + col) * a.pitch};
}

/** What its tap and channel say: how far it is from there. */
struct Reach {
  int32_t down, across;
  uint32_t further;
};
__device__ __forceinline__ Reach reach_of(const ProductRows& a, uint32_t k, bool there) {
  const Tap tap = tap_of(a, k);
  const int32_t down = tap.p * a.step_h, across = tap.q * a.step_w;
  return {there ? down : kNowhere, across, (down * a.image_w + across) * a.pitch + tap.channel};
}

/** Where an element of A lies, from data on; negative outside the image. */
__device__ __forceinline__ int32_t place_of(const ProductRows& a, const Corner& corner, const Reach& reach) {
  const bool inside = static_cast<uint32_t>(corner.row + reach.down) < static_cast<uint32_t>(a.image_h) &&
                      static_cast<uint32_t>(corner.col + reach.across) < static_cast<uint32_t>(a.image_w);
  return inside ? static_cast<int32_t>(corner.from + reach.further) : -1;
}

/** The element that lies `from` floats behind data, 0 where there is none. */
template <int V>
__device__ __forceinline__ Floats<V> element(const float* data, int32_t from) {
  return from < 0 ? zeros<V>() : load<V>(data + from);
}

/**
 * Where four of a block's sums wait for their turn in shared memory. Sums of tensor cores come for rows r, r + 1, r + 8
 * and r + 9 at once, so these keep out of each other's banks.
 */
template <int N>
__device__ __forceinline__ float* in_row(float (&rows)[kM / 2][N], uint32_t row, uint32_t column) {
  return &rows[row][column ^ (row % 2 * 8 + row / 8 % 2 * 16)];
}

/** Normalises rows that wait in shared memory, a column to a thread. All threads of the block call it. */
template <int N>
__device__ __forceinline__ void finish_rows(const ProductParams& p, float (&rows)[kM / 2][N], const Place<N>& at) {
  const uint32_t column = threadIdx.x % N, n = at.n0 + column;
  if (n < p.n) {
    const Channels<1> channels = channels_of<1>(p.finish, at.group * p.n + n);
#pragma unroll 1
    for (uint32_t r = threadIdx.x / N; r < kM / 2; r += 256 / N) {
      float* const place = in_row<N>(rows, r, column);
      Floats<1> sum = load<1>(place);
      normalize<1>(sum, channels, p.finish);
      store<1>(place, sum);
    }
  }
  __syncthreads();
}

/** 64 rows of a block's sums, from row `first` of it on, from shared memory to y, perhaps normalised. */
template <bool Transposed, int N>
__device__ __forceinline__ void write_rows(const ProductParams& p, float (&rows)[kM / 2][N], uint32_t first,
                                           const Place<N>& at) {
  if (!Transposed && p.finish.mean) finish_rows<N>(p, rows, at);
  // Opaque, so that what follows from it is not worked out before the product and kept in registers through it.
  const uint32_t thread = opaque(threadIdx.x), m0 = at.m0 + first, n = at.n0 + thread % (N / 4) * 4;
  if (n >= p.n) return;
  const uint32_t count = p.n - n;
#pragma unroll 1
  for (uint32_t r = thread / (N / 4); r < kM / 2 && m0 + r < p.m; r += 1024 / N) {
    uint32_t row = m0 + r;
    if constexpr (!Transposed) {
      const Pixel pixel = pixel_of(p.a, row);
      row = (pixel.image * p.y_h + p.y_top + pixel.i * p.y_step_h) * p.y_w + p.y_left + pixel.j * p.y_step_w;
    }
    const Floats<4> sum = load<4>(in_row<N>(rows, r, n - at.n0));
    float* to = at.y + row * p.pitch_y + n;
    if (p.wide_y) {
      store<4>(to, sum);
    } else {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c)
        if (c < count) to[c] = sum.lane[c];
    }
  }
}

}  // namespace gramian::cuda
