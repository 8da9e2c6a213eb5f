// A whole separable convolution in one pass over x: a block makes the depthwise result of a tile, 16 channels at a
// time, as a slice of the pointwise product's left side, which never leaves shared memory. On the way it can leave u
// itself, u's sums over the tile (cells) and the moments of y. Launched by separable.cpp. The rules easy to break:
// outputs outside the map are zero rows of the product and count in no sum; row m of a slice is the upper output of
// pair m below 64, the lower one of pair m - 64 from there on.
#include "separable.h"
#include "slice.cuh"

namespace gramian::cuda {

constexpr uint32_t kPairs = kM / 2, kMostTilePixels = 288;  // pixels of x for a tile

/** A tile's image and what of the map it covers. */
struct Extent {
  uint32_t image;
  int32_t row, col, row_end, col_end;  // the first may be negative where the first cell is

  __device__ __forceinline__ Extent(const SeparableParams& p, uint32_t tile) {
    const uint32_t cell = p.tiles_of.quotient(tile), rest = tile - cell * p.tiles_of.divisor;
    const uint32_t down = p.across_of.quotient(rest), across = rest - down * p.across_of.divisor;
    image = p.cells_of.quotient(cell);
    const uint32_t of_image = cell - image * p.cells_of.divisor, cell_row = p.cells_w_of.quotient(of_image);
    const int32_t top = static_cast<int32_t>(cell_row) * p.cell_h - p.cell_top;
    const int32_t left = static_cast<int32_t>(of_image - cell_row * p.cells_w_of.divisor) * p.cell_w - p.cell_left;
    row = top + static_cast<int32_t>(down * p.tile_h), col = left + static_cast<int32_t>(across * p.tile_w);
    row_end = min(min(p.rows, top + p.cell_h), row + static_cast<int32_t>(p.tile_h));
    col_end = min(min(p.cols, left + p.cell_w), col + static_cast<int32_t>(p.tile_w));
  }
  __device__ __forceinline__ bool holds(int32_t r, int32_t c) const {
    return r >= 0 && r < row_end && c >= 0 && c < col_end;
  }
  /** Outputs of the map in the tile. */
  __device__ __forceinline__ float count() const {
    return static_cast<float>(max(row_end - max(row, 0), 0) * max(col_end - max(col, 0), 0));
  }
};

/** Up to four floats, 0 where there are none; all of them when they are `wide`. */
__device__ __forceinline__ Floats<4> load_some(const float* from, uint32_t count, uint32_t wide) {
  if (wide) return load<4>(from);
  Floats<4> x = zeros<4>();
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i)
    if (i < count) x.lane[i] = from[i];
  return x;
}
__device__ __forceinline__ void store_some(float* to, const Floats<4>& x, uint32_t count, uint32_t wide) {
  if (wide) return store_wide(to, x);
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i)
    if (i < count) to[i] = x.lane[i];
}

/** Of 4 channels, or of as many as there are from `channel` on. */
__device__ __forceinline__ Channels<4> some_channels(const SeparableParams& p, uint32_t channel, uint32_t count) {
  Channels<4> c = {load_some(p.norm.mean + channel, count, p.wide_x),
                   load_some(p.norm.gamma + channel, count, p.wide_x),
                   load_some(p.norm.beta + channel, count, p.wide_x)};
  const Floats<4> variance = load_some(p.norm.variance + channel, count, p.wide_x);
#pragma unroll
  for (int i = 0; i < 4; ++i) c.scale.lane[i] *= inverse_sqrt(variance.lane[i] + p.norm.eps);
  return c;
}

template <int N>
struct Shared {
  float halo[kMostTilePixels][kTerms];
  float left[kTerms][kM];
  float right[kTerms][N];
  float filter[9][kTerms];
  float sums[4][N];
};

/** 16 channels of the depthwise filter and of the pixels that the tile's windows read. */
__device__ __forceinline__ void stage_halo(const SeparableParams& p, const Extent& e, uint32_t first,
                                           float (&filter)[9][kTerms], float (&halo)[kMostTilePixels][kTerms]) {
  const uint32_t vector = threadIdx.x % 4 * 4, channel = first + vector, pixels = (p.tile_h + 2) * p.in_w_of.divisor;
  const uint32_t count = channel < p.channels ? p.channels - channel : 0;
  Channels<4> channels;
  if (count > 0 && p.norm.mean) channels = some_channels(p, channel, count);
  if (threadIdx.x < 36)
    store<4>(&filter[threadIdx.x / 4][vector],
             count > 0 ? load_some(p.depthwise + threadIdx.x / 4 * p.pitch_depthwise + channel, count, p.wide_x)
                       : zeros<4>());
#pragma unroll 1
  for (uint32_t i = threadIdx.x / 4; i < pixels; i += 64) {
    const uint32_t r = p.in_w_of.quotient(i), row = r + e.row + p.top, col = i - r * p.in_w_of.divisor + e.col + p.left;
    Floats<4> value = zeros<4>();
    if (count > 0 && row < static_cast<uint32_t>(p.image_h) && col < static_cast<uint32_t>(p.image_w)) {
      value = load_some(p.x + ((e.image * p.image_h + row) * p.image_w + col) * p.pitch_x + channel, count, p.wide_x);
      if (p.norm.mean) normalize<4>(value, channels, p.norm);
    }
    store<4>(&halo[i][vector], value);
  }
}

/** 16 terms of the pointwise filter. */
template <int N>
__device__ __forceinline__ void stage_pointwise(const SeparableParams& p, uint32_t first, uint32_t n0,
                                                float (&right)[kTerms][N]) {
  const uint32_t k = threadIdx.x / (N / 4), n = threadIdx.x % (N / 4) * 4;
  if (k >= kTerms) return;
  const bool there = first + k < p.channels && n0 + n < p.outputs;
  const float* from = p.pointwise + (first + k) * p.pitch_pointwise + n0 + n;
  store<4>(&right[k][swizzled(k, n)], there ? load_some(from, p.outputs - n0 - n, p.wide_y) : zeros<4>());
}

/** A thread's two outputs, one above the other, of 4 of the 16 channels: to the slice, and to u. */
__device__ __forceinline__ void correlate(const SeparableParams& p, const Extent& e, uint32_t first, bool writes_u,
                                          const float (&filter)[9][kTerms],
                                          const float (&halo)[kMostTilePixels][kTerms], float (&left)[kTerms][kM]) {
  const uint32_t vector = threadIdx.x % 4 * 4, channel = first + vector, pair = threadIdx.x / 4;
  const uint32_t count = channel < p.channels ? p.channels - channel : 0;
  const uint32_t r = 2 * p.tile_w_of.quotient(pair), c = pair - r / 2 * p.tile_w;
  Floats<4> sum[2] = {zeros<4>(), zeros<4>()};
  const int32_t row = e.row + static_cast<int32_t>(r), col = e.col + static_cast<int32_t>(c);
  const bool inside[2] = {r < p.tile_h && e.holds(row, col), r < p.tile_h && e.holds(row + 1, col)};
  if (count > 0 && (inside[0] || inside[1])) {
    const uint32_t in_w = p.in_w_of.divisor;
    Floats<4> taps[3], above[3];  // the filter's row for the upper output, and the one before
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
#pragma unroll
      for (uint32_t j = 0; j < 3; ++j) {
        above[j] = taps[j];
        if (i < 3) taps[j] = load<4>(&filter[i * 3 + j][vector]);
      }
#pragma unroll
      for (uint32_t j = 0; j < 3; ++j) {
        const Floats<4> x = load<4>(&halo[(r + i) * in_w + c + j][vector]);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          if (i < 3) sum[0].lane[k] = fmaf(x.lane[k], taps[j].lane[k], sum[0].lane[k]);
          if (i > 0) sum[1].lane[k] = fmaf(x.lane[k], above[j].lane[k], sum[1].lane[k]);
        }
      }
    }
  }
#pragma unroll
  for (uint32_t lower = 0; lower < 2; ++lower) {
    if (!inside[lower]) sum[lower] = zeros<4>();
    if (writes_u && inside[lower] && count > 0)
      store_some(p.u + ((e.image * p.rows + row + lower) * p.cols + col) * p.pitch_u + channel, sum[lower], count,
                 p.wide_x);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) left[vector + k][swizzled(vector, pair + lower * kPairs)] = sum[lower].lane[k];
  }
}

/** The slice's sums over the tile, 16 threads to a channel. */
__device__ __forceinline__ void add_cell(const SeparableParams& p, uint32_t tile, uint32_t channel,
                                         const float (&left)[kTerms][kM]) {
  const uint32_t k = threadIdx.x / 16, lane = threadIdx.x % 16;
  float sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < kM; i += 16) sum += left[k][(i + lane) ^ (k % 2 * 16)];
#pragma unroll
  for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(kFullWarp, sum, step);
  if (lane == 0 && channel + k < p.channels) p.cell_sums[tile * p.channels + channel + k] = sum;
}

/** Sums of the block's columns of term(row, column) over the rows of the map; given to thread n < N for column n. */
template <int N, typename Term>
__device__ __forceinline__ float column_sum(float (&sums)[4][N], const Term& term) {
  constexpr uint32_t warps_m = 8 / (N / 32);
  const uint32_t lane = threadIdx.x % 32, warp_m = threadIdx.x / 32 / (N / 32), col = first_column<N>();
  __syncthreads();
#pragma unroll
  for (uint32_t c = 0; c < 4; ++c) {
    float sum = 0;
#pragma unroll
    for (uint32_t r = 0; r < kRows<N>; ++r) sum += term(r, c);
    sum += __shfl_xor_sync(kFullWarp, sum, 8);
    sum += __shfl_xor_sync(kFullWarp, sum, 16);
    if (warps_m == 8) {
      // Two warps share a row of `sums`; the second adds to what the first has left.
      if (lane < 8 && warp_m < 4) sums[warp_m][col + c] = sum;
      __syncthreads();
      if (lane < 8 && warp_m >= 4) sums[warp_m - 4][col + c] += sum;
    } else if (lane < 8) {
      sums[warp_m][col + c] = sum;
    }
  }
  __syncthreads();
  const uint32_t n = threadIdx.x % N;
  return sums[0][n] + sums[1][n] + sums[2][n] + sums[3][n];
}

/** What thread n < N knows of column n of y. */
struct Moments {
  float count = 0, mean = 0, squares = 0;

  /** Chan, Golub and LeVeque 1983. */
  __device__ __forceinline__ void join(float n, float other_mean, float other_squares) {
    if (n == 0) return;
    const float share = n / (count + n), shift = other_mean - mean;
    mean += shift * share;
    squares += other_squares + shift * shift * count * share;
    count += n;
  }
};

template <int N>
__device__ __forceinline__ void separable(const SeparableParams& p) {
  constexpr int R = kRows<N>;
  __shared__ __align__(16) Shared<N> shared;
  __shared__ float means[N];
  const uint32_t n0 = blockIdx.y * N, row = first_row<N>(), col = first_column<N>();
  const bool first_part = blockIdx.y == 0, wanted = n0 + col < p.outputs;
  const uint32_t end = min(p.tiles, (blockIdx.x + 1) * p.per_block);
  Moments moments;
#pragma unroll 1
  for (uint32_t tile = blockIdx.x * p.per_block; tile < end; ++tile) {
    const Extent e(p, tile);
    Floats<4> sum[R];
#pragma unroll
    for (auto& one : sum) one = zeros<4>();
#pragma unroll 1
    for (uint32_t channel = 0; channel < p.channels; channel += kTerms) {
      stage_halo(p, e, channel, shared.filter, shared.halo);
      __syncthreads();
      correlate(p, e, channel, first_part && p.u, shared.filter, shared.halo, shared.left);
      stage_pointwise<N>(p, channel, n0, shared.right);
      __syncthreads();
      if (first_part && p.cell_sums) add_cell(p, tile, channel, shared.left);
      multiply<N, R>(shared.left, shared.right, row, col, sum);
    }
    uint32_t inside = 0;
#pragma unroll
    for (uint32_t r = 0; r < R; ++r) {
      const uint32_t m = row + r, pair = m % kPairs, pair_row = p.tile_w_of.quotient(pair);
      const uint32_t down = 2 * pair_row + m / kPairs;
      const int32_t y_row = e.row + static_cast<int32_t>(down),
                    y_col = e.col + static_cast<int32_t>(pair - pair_row * p.tile_w);
      if (down >= p.tile_h || !e.holds(y_row, y_col)) continue;
      inside |= 1u << r;
      if (wanted)
        store_some(p.y + ((e.image * p.rows + y_row) * p.cols + y_col) * p.pitch_y + n0 + col, sum[r],
                   p.outputs - n0 - col, p.wide_y);
    }
    if (p.moments) {
      const float count = e.count(), n = count > 0 ? count : 1;
      const float mean = column_sum<N>(shared.sums, [&](uint32_t r, uint32_t c) { return sum[r].lane[c]; }) / n;
      if (threadIdx.x < N) means[threadIdx.x] = mean;
      __syncthreads();
      float mine[4];
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) mine[c] = means[col + c];
      const float squares = column_sum<N>(shared.sums, [&](uint32_t r, uint32_t c) {
        const float d = inside >> r & 1 ? sum[r].lane[c] - mine[c] : 0.0f;
        return d * d;
      });
      moments.join(count, mean, squares);
    }
  }
  const uint32_t n = n0 + threadIdx.x;
  if (!p.moments || threadIdx.x >= N || n >= p.outputs) return;
  float* to = p.moments + 2 * blockIdx.x * p.outputs + n;
  to[0] = moments.mean, to[p.outputs] = moments.squares;
  if (n == 0) p.moments[2 * p.blocks * p.outputs + blockIdx.x] = moments.count;
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 2) separable_64(const SeparableParams p) { separable<64>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) separable_32(const SeparableParams p) { separable<32>(p); }

// A cell and 64 of its channels to a block, or 4 cells.
extern "C" __global__ void __launch_bounds__(256) separableCells(const CellsParams p) {
  const uint32_t cell = blockIdx.x * 4 + threadIdx.x / 64, channel = blockIdx.y * 64 + threadIdx.x % 64;
  if (cell >= p.cells || channel >= p.channels) return;
  float sum = 0;
#pragma unroll 4
  for (uint32_t i = 0; i < p.tiles; ++i) sum += p.cell_sums[(cell * p.tiles + i) * p.channels + channel];
  const uint32_t image = p.cells_of.quotient(cell), rest = cell - image * p.cells_of.divisor;
  const uint32_t i = p.cells_w_of.quotient(rest), j = rest - i * p.cells_w_of.divisor;
  const int32_t top = static_cast<int32_t>(i) * p.cell_h - p.cell_top,
                left = static_cast<int32_t>(j) * p.cell_w - p.cell_left;
  const int32_t height = min(top + p.cell_h, p.rows) - max(top, 0), width = min(left + p.cell_w, p.cols) - max(left, 0);
  p.p[cell * p.pitch_p + channel] = sum / static_cast<float>(height * width);
}

// 32 columns by 8 shares of the blocks: first the mean, then the squares about it.
extern "C" __global__ void __launch_bounds__(256) separableJoin(const JoinParams p) {
  __shared__ float counts[8][32], sums[8][32];
  const uint32_t lane = threadIdx.x % 32, share = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  const bool idle = column >= p.outputs;
  const float *mean = p.moments + column, *count = p.moments + 2 * p.blocks * p.outputs;
  float rows = 0, sum = 0;
#pragma unroll 4
  for (uint32_t b = share; b < p.blocks; b += 8) {
    rows += count[b];
    if (!idle) sum = fmaf(count[b], mean[2 * b * p.outputs], sum);
  }
  counts[share][lane] = rows, sums[share][lane] = sum;
  __syncthreads();
  rows = sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < 8; ++i) rows += counts[i][lane], sum += sums[i][lane];
  const float all = sum / rows;
  __syncthreads();
  float squares = 0;
#pragma unroll 4
  for (uint32_t b = share; b < p.blocks; b += 8)
    if (!idle) {
      const float* of = mean + 2 * b * p.outputs;
      const float shift = of[0] - all;
      squares += fmaf(count[b] * shift, shift, of[p.outputs]);
    }
  sums[share][lane] = squares;
  __syncthreads();
  if (idle || share > 0) return;
#pragma unroll
  for (uint32_t i = 1; i < 8; ++i) squares += sums[i][lane];
  p.mean[column] = all;
  p.variance[column] = squares / rows;
}
