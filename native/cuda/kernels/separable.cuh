// A whole separable convolution in one pass over x: a block makes the depthwise result of a tile, 16 channels at a
// time, as a slice of the pointwise product's left side, which never leaves shared memory. On the way it can leave u
// itself, u's sums over the tile (cells) and the moments of y. Included by separable.cu and separable_bf16.cu, which
// say how a slice is kept and multiplied (`Tile`). The rules easy to break: outputs outside the map are zero rows of
// the product and count in no sum; row m of a slice is the upper output of pair m below 64, the lower one of pair m -
// 64 from there on.
#pragma once
#include "norm.cuh"
#include "separable.h"
#include "slice.h"

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

template <typename Tile>
struct Shared {
  float halo[kMostTilePixels][kTerms];
  typename Tile::Memory slice;
  float filter[9][kTerms];
  float means[Tile::kColumns];
  union {
    float sums[4][Tile::kColumns];
    float cells[8][kTerms];  // a warp's sums of u, while the tile's product is made
  };
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
template <typename Tile>
__device__ __forceinline__ void stage_pointwise(const SeparableParams& p, uint32_t first, uint32_t n0,
                                                typename Tile::Memory& slice) {
  constexpr uint32_t across = Tile::kColumns / 4;
  const uint32_t n = threadIdx.x % across * 4;
#pragma unroll
  for (uint32_t k = threadIdx.x / across; k < kTerms; k += 256 / across) {
    const bool there = first + k < p.channels && n0 + n < p.outputs;
    const float* from = p.pointwise + (first + k) * p.pitch_pointwise + n0 + n;
    Tile::put_right(slice, k, n, there ? load_some(from, p.outputs - n0 - n, p.wide_y) : zeros<4>());
  }
}

/** A thread's two outputs, one above the other, of 4 of the 16 channels: to the slice, to u, and to the warp's sums. */
template <typename Tile>
__device__ __forceinline__ void correlate(const SeparableParams& p, const Extent& e, uint32_t first, bool first_part,
                                          Shared<Tile>& shared) {
  const float(&filter)[9][kTerms] = shared.filter;
  const float(&halo)[kMostTilePixels][kTerms] = shared.halo;
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
    if (first_part && p.u && inside[lower] && count > 0)
      store_some(p.u + ((e.image * p.rows + row + lower) * p.cols + col) * p.pitch_u + channel, sum[lower], count,
                 p.wide_x);
    Tile::put_left(shared.slice, vector, pair + lower * kPairs, sum[lower]);
  }
  if (!first_part || !p.cell_sums) return;
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) {
    float both = sum[0].lane[k] + sum[1].lane[k];
#pragma unroll
    for (int step = 16; step > 2; step /= 2) both += __shfl_xor_sync(kFullWarp, both, step);
    if (threadIdx.x % 32 < 4) shared.cells[threadIdx.x / 32][vector + k] = both;
  }
}

/** The sums of u over the tile. */
template <typename Tile>
__device__ __forceinline__ void add_cell(const SeparableParams& p, uint32_t tile, uint32_t channel,
                                         const Shared<Tile>& shared) {
  if (threadIdx.x >= kTerms || channel + threadIdx.x >= p.channels) return;
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < 8; ++warp) sum += shared.cells[warp][threadIdx.x];
  p.cell_sums[tile * p.channels + channel + threadIdx.x] = sum;
}

/** Sums of the block's columns of term(row, column), numbers of this thread's; given to thread n for column n. */
template <typename Tile, typename Term>
__device__ __forceinline__ float column_sum(const Tile& tile, float (&sums)[4][Tile::kColumns], const Term& term) {
  __syncthreads();
#pragma unroll
  for (uint32_t c = 0; c < Tile::kAcross; ++c) {
    float sum = 0;
#pragma unroll
    for (uint32_t r = 0; r < Tile::kDown; ++r) sum += term(r, c);
    sum = Tile::over_lanes(sum);
    const uint32_t down = Tile::warp_down();
    if (Tile::kWarpsDown == 8) {
      // Two warps share a row of `sums`; the second adds to what the first has left.
      if (Tile::leads() && down < 4) sums[down][tile.column_of(c)] = sum;
      __syncthreads();
      if (Tile::leads() && down >= 4) sums[down - 4][tile.column_of(c)] += sum;
    } else if (Tile::leads()) {
      sums[down][tile.column_of(c)] = sum;
    }
  }
  __syncthreads();
  const uint32_t n = threadIdx.x % Tile::kColumns;
  float sum = 0;
#pragma unroll
  for (uint32_t down = 0; down < (Tile::kWarpsDown < 4 ? Tile::kWarpsDown : 4); ++down) sum += sums[down][n];
  return sum;
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

/** Where row m of a tile lies in y, or nowhere. */
struct Output {
  int32_t row, col;
  bool inside;
};
__device__ __forceinline__ Output output_of(const SeparableParams& p, const Extent& e, uint32_t m) {
  const uint32_t pair = m % kPairs, pair_row = p.tile_w_of.quotient(pair), down = 2 * pair_row + m / kPairs;
  const int32_t row = e.row + static_cast<int32_t>(down),
                col = e.col + static_cast<int32_t>(pair - pair_row * p.tile_w);
  return {row, col, down < p.tile_h && e.holds(row, col)};
}

/** Mean and squares about it of a tile's columns, for threads n < N. */
template <typename Tile>
__device__ __forceinline__ void add_moments(const SeparableParams& p, const Extent& e, const Tile& tile,
                                            Shared<Tile>& shared, Moments& moments) {
  uint32_t inside = 0;
#pragma unroll
  for (uint32_t r = 0; r < Tile::kDown; ++r) inside |= output_of(p, e, tile.row_of(r)).inside << r;
  const float count = e.count(), n = count > 0 ? count : 1;
  const float mean = column_sum(tile, shared.sums, [&](uint32_t r, uint32_t c) { return tile.value(r, c); }) / n;
  if (threadIdx.x < Tile::kColumns) shared.means[threadIdx.x] = mean;
  __syncthreads();
  float mine[Tile::kAcross];
#pragma unroll
  for (uint32_t c = 0; c < Tile::kAcross; ++c) mine[c] = shared.means[tile.column_of(c)];
  const float squares = column_sum(tile, shared.sums, [&](uint32_t r, uint32_t c) {
    const float d = inside >> r & 1 ? tile.value(r, c) - mine[c] : 0.0f;
    return d * d;
  });
  moments.join(count, mean, squares);
}

template <typename Tile>
__device__ __forceinline__ void separable(const SeparableParams& p) {
  constexpr uint32_t columns = Tile::kColumns;
  __shared__ Shared<Tile> shared;
  const uint32_t n0 = blockIdx.y * columns, end = min(p.tiles, (blockIdx.x + 1) * p.per_block);
  const bool first_part = blockIdx.y == 0;
  Moments moments;
#pragma unroll 1
  for (uint32_t index = blockIdx.x * p.per_block; index < end; ++index) {
    const Extent e(p, index);
    Tile tile;
#pragma unroll 1
    for (uint32_t channel = 0; channel < p.channels; channel += kTerms) {
      stage_halo(p, e, channel, shared.filter, shared.halo);
      __syncthreads();
      correlate<Tile>(p, e, channel, first_part, shared);
      stage_pointwise<Tile>(p, channel, n0, shared.slice);
      __syncthreads();
      if (first_part && p.cell_sums) add_cell<Tile>(p, index, channel, shared);
      tile.multiply(shared.slice);
    }
    tile.for_fours([&](uint32_t m, uint32_t column, const Floats<4>& four) {
      // Opaque, so that where rows lie is not worked out before the product and kept in registers through it.
      const Output at = output_of(p, e, opaque(m));
      const uint32_t n = n0 + column;
      if (at.inside && n < p.outputs)
        store_some(p.y + ((e.image * p.rows + at.row) * p.cols + at.col) * p.pitch_y + n, four, p.outputs - n,
                   p.wide_y);
    });
    if (p.moments) add_moments(p, e, tile, shared, moments);
  }
  const uint32_t n = n0 + threadIdx.x;
  if (!p.moments || threadIdx.x >= columns || n >= p.outputs) return;
  float* to = p.moments + 2 * blockIdx.x * p.outputs + n;
  to[0] = moments.mean, to[p.outputs] = moments.squares;
  if (n == 0) p.moments[2 * p.blocks * p.outputs + blockIdx.x] = moments.count;
}

}  // namespace gramian::cuda
