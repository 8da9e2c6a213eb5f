// The tile kernels of the float32 product (gemm.h): a few rows of A against two vectors of columns of a packed B, in
// registers. Included by gemm_operands.h.
// The rule easy to break: an element of C is one FMA chain over the terms that a kernel is given.
#pragma once
#include "cpu/kernels/bf16.h"
#include "cpu/kernels/floats.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// A tile of C is kMR rows by two vectors, held in registers.
#if defined(__AVX512F__)
constexpr int kMR = 14;
#elif defined(__AVX2__)
constexpr int kMR = 6;
#else
constexpr int kMR = 4;
#endif
constexpr int kNR = 2 * W;
constexpr int64_t kKC = 256;
constexpr int64_t kRowPitch = kKC + 16;  // of a copied row of A: an odd number of cache lines, so rows spread over sets
constexpr int64_t kBlock = 256;          // columns of C (and rows, A transposed) of one piece of work

// ---------------------------------------------------------------- the tile kernels

struct Tile {
  const float* a;   // by rows: a(i,k) = a[i * kRowPitch + k]; by columns: a(i,k) = a[k * a_pitch + i]
  int64_t a_pitch;  // by columns only
  const float* b;   // packed: V vectors for each k, b_step apart
  int64_t b_step;
  int64_t k;        // terms, or pairs of them
  float* const* c;  // a pointer for each row of C
  int64_t column;   // of the tile's first element in those rows
  int rows;         // rows to store; the kernel computes R of them, R even
  int lanes;        // lanes of the last vector to store, 1..W
  bool accumulate;  // add to C instead of replacing it
  // Lines to fetch into the second cache, one for each term: `fetch_lines` of a row, then `fetch_skip` floats on to the
  // next. Only a hint; one at a time, because a burst of fetches holds the arithmetic up.
  const float* fetch;
  int64_t fetch_lines, fetch_skip;
};

/** Asks for the next `count` lines of what is needed soon. */
inline void fetch_ahead(const Tile& tile, int count, const float*& fetch, int64_t& lines) {
  for (int i = 0; i < count; ++i) {
    __builtin_prefetch(fetch, 0, 2);
    fetch += 16;
    if (--lines == 0) fetch += tile.fetch_skip, lines = tile.fetch_lines;
  }
}

template <int R, int V, bool kByRows, bool kPairs>
GRAMIAN_PAIRS_TARGET void tile_kernel(const Tile& tile) {
  vf sum[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[i][v] = vf{};
  const float* a = tile.a;
  const float* b = tile.b;
  const int64_t a_step = kByRows ? 1 : tile.a_pitch;
  const float* fetch = tile.fetch;
  int64_t lines = tile.fetch_lines;
  for (int64_t k = tile.k; k > 0; --k) {
    fetch_ahead(tile, kPairs ? 2 : 1, fetch, lines);
    vf right[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) right[v] = load(b + v * W);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const vf left = set1(a[kByRows ? i * kRowPitch : i]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        sum[i][v] = kPairs ? dot_pairs(left, right[v], sum[i][v]) : fma(left, right[v], sum[i][v]);
    }
    a += a_step;
    b += tile.b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    if (i >= tile.rows) break;
    float* c = tile.c[i] + tile.column;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const bool whole = v < V - 1 || tile.lanes == W;
      vf value = sum[i][v];
      if (tile.accumulate) value = value + (whole ? load(c + v * W) : load_lanes(c + v * W, tile.lanes));
      if (whole) {
        store(c + v * W, value);
      } else {
        store_lanes(c + v * W, value, tile.lanes);
      }
    }
  }
}

#if defined(__AVX512F__)
// A tile of a vector and a half, where the last columns fill no more: three quarters of the arithmetic on processors
// that work a vector off in two halves (Zen 4), and nothing lost on others. Element by element the sums of tile_kernel.
template <int R, bool kByRows, bool kPairs>
GRAMIAN_PAIRS_TARGET void narrow_tile_kernel(const Tile& tile) {
  vf sum[R];
  __m256 half[R];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) sum[i] = vf{}, half[i] = _mm256_setzero_ps();
  const float* a = tile.a;
  const float* b = tile.b;
  const int64_t a_step = kByRows ? 1 : tile.a_pitch;
  const float* fetch = tile.fetch;
  int64_t lines = tile.fetch_lines;
  for (int64_t k = tile.k; k > 0; --k) {
    fetch_ahead(tile, kPairs ? 2 : 1, fetch, lines);
    const vf right = load(b);
    const __m256 right_half = _mm256_loadu_ps(b + W);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const float* from = a + (kByRows ? i * kRowPitch : i);
      const vf left = set1(*from);
      const __m256 left_half = (__m256)__builtin_shufflevector(left, left, 0, 1, 2, 3, 4, 5, 6, 7);
      sum[i] = kPairs ? dot_pairs(left, right, sum[i]) : fma(left, right, sum[i]);
      half[i] =
          kPairs ? dot_half_pairs(left_half, right_half, half[i]) : _mm256_fmadd_ps(left_half, right_half, half[i]);
    }
    a += a_step;
    b += tile.b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    if (i >= tile.rows) break;
    float* c = tile.c[i] + tile.column;
    const vf rest = (vf)__builtin_shufflevector(half[i], half[i], 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    store(c, tile.accumulate ? sum[i] + load(c) : sum[i]);
    store_n(c + W, tile.accumulate ? rest + load_n(c + W, tile.lanes) : rest, tile.lanes);
  }
}
#endif

using TileKernel = void (*)(const Tile&);

// The kernel for `rows` rows (1..kMR) and V vectors.
template <int V, bool kByRows, bool kPairs>
TileKernel kernel_for_rows(int rows) {
#if defined(__AVX512F__)
  if (rows > 12) return tile_kernel<14, V, kByRows, kPairs>;
  if (rows > 10) return tile_kernel<12, V, kByRows, kPairs>;
  if (rows > 8) return tile_kernel<10, V, kByRows, kPairs>;
  if (rows > 6) return tile_kernel<8, V, kByRows, kPairs>;
#endif
#if defined(__AVX2__)
  if (rows > 4) return tile_kernel<6, V, kByRows, kPairs>;
#endif
  if (rows > 2) return tile_kernel<4, V, kByRows, kPairs>;
  return tile_kernel<2, V, kByRows, kPairs>;
}
template <int V, bool kByRows>
TileKernel kernel_for(int rows, Precision precision) {
#if defined(__AVX512F__)
  if (precision == Precision::bf16Pairs) return kernel_for_rows<V, kByRows, true>(rows);
#endif
  (void)precision;
  return kernel_for_rows<V, kByRows, false>(rows);
}

// Rows that will be read soon, fetched a few with each tile kernel, so that the arithmetic hides the wait.
struct Fetch {
  const float* next;
  int64_t pitch, lines, rows;  // lines of a row; rows still to fetch

  // What a tile kernel of `terms` terms fetches.
  void take(Tile* tile, int64_t terms) {
    tile->fetch = next, tile->fetch_lines = lines, tile->fetch_skip = pitch - lines * 16;
    if (rows <= 0) return (void)(tile->fetch = tile->a, tile->fetch_lines = 1, tile->fetch_skip = -16);
    const int64_t some = max64(1, terms / lines);
    next += some * pitch, rows -= some;
  }
};
[[maybe_unused]] inline Fetch fetch_rows(const float* from, int64_t pitch, int64_t floats, int64_t rows) {
  return {from, pitch, max64(1, ceil_div(floats, 16)), rows};
}

// The kernel for two vectors of which the second has `lanes` lanes to store.
template <bool kByRows>
TileKernel pair_kernel_for(int rows, int lanes, Precision precision) {
#if defined(__AVX512F__)
  if (lanes <= W / 2 && rows > 10) {
    const bool pairs = precision == Precision::bf16Pairs;
    if (rows > 12) return pairs ? narrow_tile_kernel<14, kByRows, true> : narrow_tile_kernel<14, kByRows, false>;
    return pairs ? narrow_tile_kernel<12, kByRows, true> : narrow_tile_kernel<12, kByRows, false>;
  }
#endif
  (void)lanes;
  return kernel_for<2, kByRows>(rows, precision);
}

// Packed B is a sequence of panels of kNR columns (W in the last one, when that is enough), each [k][width].
[[maybe_unused]] inline int64_t panel_width(int64_t columns_left) { return columns_left > W ? kNR : W; }

// One panel of up to kMR rows of A against the first n of the packed_n columns of a packed B, both narrowed to the
// precision.
template <bool kByRows>
[[maybe_unused]] void multiply_panel(Precision precision, const float* a, int64_t a_pitch, int rows, const float* b,
                                     int64_t packed_n, int64_t n, int64_t k, float* const* c, int64_t column,
                                     bool accumulate, Fetch* fetch = nullptr) {
  Fetch nothing = {};
  if (!fetch) fetch = &nothing;
  const int64_t steps = precision == Precision::bf16Pairs ? (k + 1) / 2 : k;
  Tile tile{a, a_pitch, b, kNR, steps, c, column, rows, W, accumulate, a, 1, -16};
  const TileKernel wide = kernel_for<2, kByRows>(rows, precision);
  for (; n > W; n -= kNR, packed_n -= kNR) {
    fetch->take(&tile, k);
    tile.lanes = n >= kNR ? W : (int)(n - W);
    if (tile.lanes == W) {
      wide(tile);
    } else {
      pair_kernel_for<kByRows>(rows, tile.lanes, precision)(tile);
    }
    tile.b += k * kNR;
    tile.column += kNR;
  }
  if (n <= 0) return;
  fetch->take(&tile, k);
  tile.lanes = (int)n;
  tile.b_step = panel_width(packed_n);
  kernel_for<1, kByRows>(rows, precision)(tile);
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
