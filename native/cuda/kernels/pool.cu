// Max and average pooling over NHWC windows, and their gradients. Launched by pool.cpp.
// The rule easy to break: gradients gather (each cell looks for the windows that hold it, in output order), so
// overlapping windows need no atomics.
#include "pool.h"
#include "tile.cuh"

namespace gramian::cuda {

struct Range {
  uint32_t begin, end;
};

/** Cells of the image under output o. */
__device__ __forceinline__ Range cells_of(const WindowAxis& axis, uint32_t o) {
  const int begin = static_cast<int>(o * axis.stride.divisor) - static_cast<int>(axis.pad);
  const int end = min(begin + static_cast<int>(axis.kernel), static_cast<int>(axis.size));
  return {static_cast<uint32_t>(max(begin, 0)), static_cast<uint32_t>(max(end, 0))};
}

/** Outputs whose window holds cell i. */
__device__ __forceinline__ Range outputs_of(const WindowAxis& axis, uint32_t i) {
  const uint32_t last = i + axis.pad, first = last < axis.kernel ? 0 : last - axis.kernel + 1;
  return {axis.stride.quotient(first + axis.stride.divisor - 1), min(axis.stride.quotient(last) + 1, axis.outputs)};
}

__device__ __forceinline__ uint32_t length(const Range& range) {
  return range.end > range.begin ? range.end - range.begin : 0;
}

__device__ __forceinline__ float share_of(const Range& rows, const Range& cols) {
  const uint32_t cells = length(rows) * length(cols);
  return cells > 0 ? 1.0f / static_cast<float>(cells) : 0.0f;
}

struct Cell {
  uint32_t image, row, col;
};

/** The place of row number `row` in the map that is written. */
__device__ __forceinline__ Cell cell_of(const PoolParams& p, uint32_t row) {
  const uint32_t line = p.width.quotient(row), image = p.height.quotient(line);
  return {image, line - image * p.height.divisor, row - line * p.width.divisor};
}

/** body(row of the map read, h, w) for each place of the ranges, in order. */
template <typename Body>
__device__ __forceinline__ void for_window(const Range& rows, const Range& cols, uint32_t image, uint32_t height,
                                           uint32_t width, const Body& body) {
#pragma unroll 1
  for (uint32_t h = rows.begin; h < rows.end; ++h) {
    const uint32_t line = (image * height + h) * width;
#pragma unroll 1
    for (uint32_t w = cols.begin; w < cols.end; ++w) body(line + w, h, w);
  }
}

/** The first maximum and its place. A NaN is above all else; every window has a cell. */
template <int V>
__device__ __forceinline__ void max_pool(const PoolParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Cell at_cell = cell_of(p, row);
    const Range rows = cells_of(p.rows, at_cell.row), cols = cells_of(p.cols, at_cell.col);
    Floats<W> best, place;
#pragma unroll
    for (int i = 0; i < W; ++i) {
      best.lane[i] = __int_as_float(0xff800000);  // minus infinity
      place.lane[i] = __int_as_float(static_cast<int>(rows.begin * p.cols.size + cols.begin));
    }
    for_window(rows, cols, at_cell.image, p.rows.size, p.cols.size, [&](uint32_t from, uint32_t h, uint32_t w) {
      const Floats<W> x = load<W>(at(p.from, from, p.pitch_from, column));
      const auto here = static_cast<int>(h * p.cols.size + w);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        const bool better = !(x.lane[i] <= best.lane[i]) && best.lane[i] == best.lane[i];
        best.lane[i] = better ? x.lane[i] : best.lane[i];
        place.lane[i] = better ? __int_as_float(here) : place.lane[i];
      }
    });
    store<W>(at(p.to, row, p.pitch_to, column), best);
    store<W>(reinterpret_cast<float*>(at(p.place, row, p.pitch_index, column)), place);
  });
}

template <int V>
__device__ __forceinline__ void max_pool_gradient(const PoolParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Cell at_cell = cell_of(p, row);
    const auto here = static_cast<int>(at_cell.row * p.cols.size + at_cell.col);
    const Range rows = outputs_of(p.rows, at_cell.row), cols = outputs_of(p.cols, at_cell.col);
    Floats<W> sum = {};
    for_window(rows, cols, at_cell.image, p.rows.outputs, p.cols.outputs, [&](uint32_t from, uint32_t, uint32_t) {
      const Floats<W> dy = load<W>(at(p.from, from, p.pitch_from, column));
      const Floats<W> place = load<W>(reinterpret_cast<const float*>(at(p.index, from, p.pitch_index, column)));
#pragma unroll
      for (int i = 0; i < W; ++i) sum.lane[i] += __float_as_int(place.lane[i]) == here ? dy.lane[i] : 0.0f;
    });
    store<W>(at(p.to, row, p.pitch_to, column), sum);
  });
}

template <int V>
__device__ __forceinline__ void average_pool(const PoolParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Cell at_cell = cell_of(p, row);
    const Range rows = cells_of(p.rows, at_cell.row), cols = cells_of(p.cols, at_cell.col);
    Floats<W> sum = {};
    for_window(rows, cols, at_cell.image, p.rows.size, p.cols.size, [&](uint32_t from, uint32_t, uint32_t) {
      const Floats<W> x = load<W>(at(p.from, from, p.pitch_from, column));
#pragma unroll
      for (int i = 0; i < W; ++i) sum.lane[i] += x.lane[i];
    });
    const float share = share_of(rows, cols);
#pragma unroll
    for (float& lane : sum.lane) lane *= share;
    store<W>(at(p.to, row, p.pitch_to, column), sum);
  });
}

template <int V>
__device__ __forceinline__ void average_pool_gradient(const PoolParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Cell at_cell = cell_of(p, row);
    const Range rows = outputs_of(p.rows, at_cell.row), cols = outputs_of(p.cols, at_cell.col);
    Floats<W> sum = {};
    for_window(rows, cols, at_cell.image, p.rows.outputs, p.cols.outputs, [&](uint32_t from, uint32_t oh, uint32_t ow) {
      const Floats<W> dy = load<W>(at(p.from, from, p.pitch_from, column));
      const float share = share_of(cells_of(p.rows, oh), cells_of(p.cols, ow));
#pragma unroll
      for (int i = 0; i < W; ++i) sum.lane[i] = fmaf(dy.lane[i], share, sum.lane[i]);
    });
    store<W>(at(p.to, row, p.pitch_to, column), sum);
  });
}

/** Threads above one another share a window's cells. */
template <int V>
__device__ __forceinline__ void average_tile(const TilePoolParams& tiled) {
  const PoolParams& p = tiled.pool;
  const ColumnTile& tile = tiled.tile;
  __shared__ TileShared<1, V> shared;
  const TilePlace at_tile = place_in(tile);
  const uint32_t column = at_tile.piece * V;
  const Cell cell = cell_of(p, at_tile.item);
  const Range rows = cells_of(p.rows, cell.row), cols = cells_of(p.cols, cell.col);
  Floats<V> sum[1] = {};
  const uint32_t end = at_tile.active ? p.rows.kernel * p.cols.kernel : 0;
#pragma unroll 4
  for (uint32_t i = at_tile.above; i < end; i += tile.above) {
    const uint32_t down = tiled.kernel_cols.quotient(i), across = i - down * p.cols.kernel;
    // Cells in front of the image wrap round to large numbers.
    const uint32_t h = cell.row * p.rows.stride.divisor + down - p.rows.pad;
    const uint32_t w = cell.col * p.cols.stride.divisor + across - p.cols.pad;
    if (h >= p.rows.size || w >= p.cols.size) continue;
    const uint32_t from = (cell.image * p.rows.size + h) * p.cols.size + w;
    const Floats<V> x = load<V>(at(p.from, from, p.pitch_from, column));
#pragma unroll
    for (int k = 0; k < V; ++k) sum[0].lane[k] += x.lane[k];
  }
  join_above(tile, at_tile, sum, shared, Add());
  if (!at_tile.active || at_tile.above != 0) return;
  const float share = share_of(rows, cols);
#pragma unroll
  for (float& lane : sum[0].lane) lane *= share;
  store<V>(at(p.to, at_tile.item, p.pitch_to, column), sum[0]);
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

#define POOL(name, body)                                                                         \
  extern "C" __global__ void __launch_bounds__(256) name##_4(const PoolParams p) { body<4>(p); } \
  extern "C" __global__ void __launch_bounds__(256) name##_1(const PoolParams p) { body<1>(p); }

POOL(maxPool, max_pool)
POOL(maxPoolGrad, max_pool_gradient)
POOL(avgPool, average_pool)
POOL(avgPoolGrad, average_pool_gradient)
extern "C" __global__ void __launch_bounds__(256) avgTile_4(const TilePoolParams p) { average_tile<4>(p); }
extern "C" __global__ void __launch_bounds__(256) avgTile_1(const TilePoolParams p) { average_tile<1>(p); }
