// One output row of a depthwise convolution, from staged rows. Included by depthwise.cpp,
// depthwise_backward.cpp and separable.cpp.
// The rule easy to break: an output is one FMA chain over the filter's taps, columns outside and rows inside, whatever
// the tile or the layout.
#pragma once
#include "cpu/kernels/staged_rows.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTile = 8;
#else
constexpr int kTile = 4;
#endif

struct OutputRow {
  const Window* window;
  const float* const* rows;  // [count] staged rows
  const int64_t* taps;       // [count]
  int64_t count;
  const float* filter;  // a table
  float* out;
  int64_t out_step;
  Ahead ahead;
  bool fetch_out;  // the outputs are not in a cache yet
};

// Three taps at distance 16 of R staged rows (x, and the filter's row for each) for T outputs that lie S taps apart;
// every column is loaded once for all the taps that see it.
template <int S, int R, int T>
inline void add_columns(const float* const* x, const float* const* filter, vf* sum) {
  vf weight[R][3];
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int q = 0; q < 3; ++q) weight[r][q] = load(filter[r] + q * 16);
#pragma GCC unroll 32
  for (int i = 0; i < (T - 1) * S + 3; ++i)
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
      const vf column = load(x[r] + i * 16);
#pragma GCC unroll 3
      for (int q = 0; q < 3; ++q)
        if (i >= q && (i - q) % S == 0 && (i - q) / S < T)
          sum[(i - q) / S] = fma(weight[r][q], column, sum[(i - q) / S]);
    }
}

// Any taps at any distance of `count` staged rows.
template <int T>
inline void add_any(const OutputRow& row, int64_t offset, const float* filter, vf* sum) {
  const Window& w = *row.window;
  for (int64_t q = 0; q < w.kw; ++q, offset += w.tap_step)
    for (int64_t r = 0; r < row.count; ++r) {
      const vf weight = load(filter + (row.taps[r] * w.kw + q) * 16);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) sum[t] = fma(weight, load(row.rows[r] + offset + t * w.pixel_step), sum[t]);
    }
}

// S > 0: three columns of taps at distance 16, outputs S taps apart. S = 0: any.
template <int S, int T>
inline void add_taps(const OutputRow& row, int64_t offset, const float* table, vf* sum) {
  if constexpr (S > 0) {
    const float *x[3], *filter[3];
    for (int r = 0; r < row.count; ++r) x[r] = row.rows[r] + offset, filter[r] = table + row.taps[r] * 48;
    if (row.count == 1) add_columns<S, 1, T>(x, filter, sum);
    if (row.count == 2) add_columns<S, 2, T>(x, filter, sum);
    if (row.count == 3) add_columns<S, 3, T>(x, filter, sum);
  } else {
    add_any<T>(row, offset, table, sum);
  }
}

// T outputs, from p on, of one vector of lanes.
template <int S, int T>
void forward_tile(const OutputRow& row, int64_t p, int64_t c0) {
  const Window& w = *row.window;
  vf sum[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) sum[t] = vf{};
  add_taps<S, T>(row, lane_offset(w, w.columns, c0) + p * w.pixel_step, row.filter + table_offset(w, c0), sum);
  float* out = row.out + p * row.out_step + c0;
  const int last = lanes_left(w, p + T - 1, c0);
  if (last == W) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) store(out + t * row.out_step, sum[t]);
    return;
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) store_lanes(out + t * row.out_step, sum[t], lanes_left(w, p + t, c0));
}

template <int S, int T>
void forward_rest(const OutputRow& row, int64_t p, int64_t end, int64_t c0) {
  if constexpr (T > 0) {
    if (end - p >= T) {
      forward_tile<S, T>(row, p, c0);
      p += T;
    }
    forward_rest<S, T / 2>(row, p, end, c0);
  }
}

// Columns outside, lanes inside: a tile of columns is read whole while it is in the first cache.
template <int S>
void forward_row(const OutputRow& row) {
  const Window& w = *row.window;
  const int64_t pixels = pixels_of_block(w, 0);
  for (int64_t p = 0; p < pixels; p += kTile) {
    for (int64_t c0 = 0; c0 < w.lanes && (w.flat || c0 < w.channels); c0 += W) {
      const int64_t end = min64(p + kTile, pixels_of_block(w, c0));
      if (c0 % 16 == 0) {
        fetch_ahead(row.ahead, p * w.stride_w, end * w.stride_w, c0);
        for (int64_t t = p + kTile; row.fetch_out && t < end + kTile; ++t)
          __builtin_prefetch(row.out + t * row.out_step + c0, 1, 3);
      }
      if (end - p == kTile) {
        forward_tile<S, kTile>(row, p, c0);
      } else {
        forward_rest<S, kTile / 2>(row, p, end, c0);
      }
    }
  }
}

using RowFunction = void (*)(const OutputRow&);
[[maybe_unused]] inline RowFunction row_function(const Window& w) {
  const bool neighbours = w.kw == 3 && w.kh <= 3 && w.tap_step == 16;
  if (neighbours && w.pixel_step == 16) return forward_row<1>;
  if (neighbours && w.pixel_step == 32) return forward_row<2>;
  return forward_row<0>;
}

// The filter [kh*kw, channels] as a table; turned round for the gradient by the input.
[[maybe_unused]] inline void spread_filter(const Window& w, const View& filter, bool turned, float* table) {
  const int64_t taps = w.kh * w.kw;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const float* src = static_cast<const float*>(filter.data) + (turned ? taps - 1 - tap : tap) * filter.pitch;
    for (int64_t lane = 0; lane < w.lanes; ++lane)
      table[table_offset(w, lane) + tap * 16] = w.flat || lane < w.channels ? src[lane % w.channels] : 0;
  }
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
