// The float32 product behind matmul, gram and the convolutions: C = A B (A may be transposed), blocked and packed.
// Included by matmul.cpp, gram.cpp and conv2d.cpp; their *_prepare calls plan_gemm, their *_run calls run_gemm.
// Operands are small structs: a row source (copies pieces of its rows), a packer of B and a target (rows of C), so an
// image read through a convolution window is an operand like any matrix and is never written out as one.
// The rule easy to break: an element of C is one FMA chain per block of kKC, blocks added in order, chunks of K added
// by a fixed tree; blocks and chunks depend on the shape alone, never on the ISA or the number of threads.
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
    for (int term = 0; term < (kPairs ? 2 : 1); ++term) {
      __builtin_prefetch(fetch, 0, 2);
      fetch += 16;
      if (--lines == 0) fetch += tile.fetch_skip, lines = tile.fetch_lines;
    }
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
    for (int term = 0; term < (kPairs ? 2 : 1); ++term) {
      __builtin_prefetch(fetch, 0, 2);
      fetch += 16;
      if (--lines == 0) fetch += tile.fetch_skip, lines = tile.fetch_lines;
    }
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

// ---------------------------------------------------------------- packing B

// Rows [0, k) of a row-major matrix with n columns.
[[maybe_unused]] inline void pack_rows(float* packed, const float* b, int64_t pitch, int64_t k, int64_t n) {
  for (int64_t row = 0; row < k; ++row, b += pitch) {
    float* panel = packed;
    for (int64_t j = 0; j < n; j += kNR) {
      const int64_t width = panel_width(n - j);
      float* dst = panel + row * width;
      for (int64_t v = 0; v < width; v += W) {
        const int64_t left = n - j - v;
        store(dst + v, left >= W ? load(b + j + v) : load_lanes(b + j + v, (int)left));
      }
      panel += k * width;
    }
  }
}

template <int S, int... L>
inline void exchange_lanes(vf& a, vf& b) {
  const vf low = __builtin_shufflevector(a, b, ((L & S) ? W + L - S : L)...);
  const vf high = __builtin_shufflevector(a, b, ((L & S) ? W + L : L + S)...);
  a = low;
  b = high;
}
template <int S>
inline void transpose_step(vf* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    if (i & S) continue;
#if defined(__AVX512F__)
    exchange_lanes<S, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>(rows[i], rows[i + S]);
#elif defined(__AVX2__)
    exchange_lanes<S, 0, 1, 2, 3, 4, 5, 6, 7>(rows[i], rows[i + S]);
#else
    exchange_lanes<S, 0, 1, 2, 3>(rows[i], rows[i + S]);
#endif
  }
}
// W x W in registers: lane bit S and row bit S change places, for every bit.
inline void transpose_square(vf* rows) {
  transpose_step<1>(rows);
  transpose_step<2>(rows);
#if defined(__AVX2__)
  transpose_step<4>(rows);
#endif
#if defined(__AVX512F__)
  transpose_step<8>(rows);
#endif
}

// Columns [0, k) of a row-major matrix with n rows, as rows k0.. of a packed B of k_total rows.
[[maybe_unused]] inline void pack_columns(float* packed, const float* b, int64_t pitch, int64_t k_total, int64_t k0,
                                          int64_t k, int64_t n) {
  float* panel = packed;
  for (int64_t j = 0; j < n; j += kNR) {
    const int64_t width = panel_width(n - j);
    for (int64_t v = 0; v < width; v += W) {
      const int64_t rows = min64(W, n - j - v);
      for (int64_t col = 0; col < k; col += W) {
        const int64_t cols = min64(W, k - col);
        vf square[W];
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
          const float* src = b + (j + v + i) * pitch + col;
          square[i] = i >= rows ? vf{} : cols == W ? load(src) : load_lanes(src, (int)cols);
        }
        transpose_square(square);
        float* dst = panel + (k0 + col) * width + v;
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i)
          if (i < cols) store(dst + i * width, square[i]);
      }
    }
    panel += k_total * width;
  }
}

// A packed B of k rows and n columns, narrowed in place; its panels stay where they are.
[[maybe_unused]] inline void narrow_packed(Precision precision, float* packed, int64_t k, int64_t n) {
  if (precision == Precision::float32) return;
  for (int64_t j = 0; j < n; j += kNR) {
    const int64_t width = panel_width(n - j);
    narrow_rows_together(precision, packed, width, k, width);
    packed += k * width;
  }
}

// ---------------------------------------------------------------- operands

struct Range {
  int64_t begin, count;
};

// A row-major matrix as row source (A, or A' when the product is planned transposed), as B and as C.
struct Matrix {
  float* data;
  int64_t pitch;
  int64_t group_step;  // elements from one group's matrix to the next (0 without groups)

  Matrix group(int64_t g) const { return {data + g * group_step, pitch, group_step}; }
  void copy(float* dst, int64_t row, int64_t column, int64_t count) const {
    copy_floats(dst, data + row * pitch + column, count);
  }
  void pack(float* packed, int64_t k0, int64_t k, int64_t n0, int64_t n) const {
    pack_rows(packed, data + k0 * pitch + n0, pitch, k, n);
  }
  float* row(int64_t i) const { return data + i * pitch; }
  // Only a hint: the place may lie behind the matrix's end.
  Fetch fetch(int64_t row, int64_t column, int64_t count, int64_t rows) const {
    return fetch_rows(data + row * pitch + column, pitch, count, rows);
  }
  // Columns of rows `row` on as a transposed A reads them; null for an odd number, whose last tile would read one more.
  const float* block(int64_t row, Range columns) const {
    return columns.count % 2 == 0 ? data + row * pitch + columns.begin : nullptr;
  }
};

// B given as its transpose, a row-major [n, k] matrix.
struct TransposedMatrix {
  const float* data;
  int64_t pitch;
  int64_t group_step;

  TransposedMatrix group(int64_t g) const { return {data + g * group_step, pitch, group_step}; }
  Fetch fetch(int64_t, int64_t, int64_t, int64_t) const { return {}; }
  void pack(float* packed, int64_t k0, int64_t k, int64_t n0, int64_t n) const {
    pack_columns(packed, data + n0 * pitch + k0, pitch, k, 0, k, n);
  }
};

[[maybe_unused]] inline Matrix matrix_of(const View& view) { return {static_cast<float*>(view.data), view.pitch, 0}; }

// ---------------------------------------------------------------- the plan

struct GemmPlan {
  Precision precision;
  int64_t groups, m, n, k;
  int64_t m_block, n_block, k_chunk;  // one piece of work: that many rows, columns and terms
  int64_t m_blocks, n_blocks, k_chunks;
  int64_t slots, slot_floats;             // each slot runs its share of the pieces in its own scratch
  int64_t partial_pitch, partial_floats;  // one chunk's whole C, when K is cut into chunks
  int64_t workspace_bytes;
};

// Rows of the staging copy of a transposed A: an odd number of cache lines, with room for a tile's overhang.
[[maybe_unused]] inline int64_t stage_pitch(int64_t m_block) {
  const int64_t lines = ceil_div(m_block + kMR + W, 16);
  return (lines | 1) * 16;
}

// The product of `groups` independent [m,k] x [k,n] pairs. transposed: the row source holds A' ([k,m]). like_m: the
// number of rows by which precision and sums are chosen: m, or fewer where a row's bits may not depend on m.
[[maybe_unused]] GemmPlan plan_gemm(Precision precision, int64_t groups, int64_t m, int64_t n, int64_t k,
                                    bool transposed, int64_t like_m) {
  GemmPlan plan = {};
  // A small product costs nothing, and its factors may be few numbers of great effect.
  plan.precision = groups * like_m * n * k < 65536 ? Precision::float32 : precision;
  plan.groups = groups, plan.m = m, plan.n = n, plan.k = k;
  // Equal blocks rather than full ones and a rest.
  plan.n_blocks = ceil_div(n, kBlock);
  plan.n_block = round_up(ceil_div(n, plan.n_blocks), kNR);
  plan.n_blocks = ceil_div(n, plan.n_block);
  const int64_t most_rows = transposed ? kBlock / kMR * kMR : max64(1, 512 / kMR) * kMR;
  const int64_t share = round_up(ceil_div(m * plan.n_blocks * groups, kMaxSlots), kMR);
  plan.m_block = transposed ? most_rows : min64(most_rows, max64(share, 128 / kMR * kMR));
  plan.m_blocks = ceil_div(m, plan.m_block);
  plan.m_block = round_up(ceil_div(m, plan.m_blocks), kMR);
  plan.m_blocks = ceil_div(m, plan.m_block);
  // The chunks of K must not depend on the tile's size, or the bits would depend on the ISA.
  const int64_t areas = groups * ceil_div(like_m, kBlock) * ceil_div(n, kBlock);
  const int64_t by_memory = (8 << 20) / max64(1, groups * like_m * n);
  const int64_t chunks = areas >= 8 ? 1 : max64(1, min64(min64(kMaxChunks / areas, k / 512), by_memory));
  plan.k_chunk = round_up(ceil_div(k, chunks), 16);
  plan.k_chunks = ceil_div(k, plan.k_chunk);
  const int64_t pieces = groups * plan.m_blocks * plan.n_blocks * plan.k_chunks;
  plan.slots = min64(pieces, kMaxSlots);
  const int64_t kc = min64(k, kKC);
  plan.slot_floats = kc * plan.n_block + (transposed ? kc * stage_pitch(plan.m_block) : 0);
  plan.slot_floats = round_up(plan.slot_floats, 16);
  if (plan.k_chunks > 1) {
    plan.partial_pitch = round_up(n, 16);
    plan.partial_floats = groups * m * plan.partial_pitch;
  }
  plan.workspace_bytes = 4 * (plan.slots * plan.slot_floats + plan.k_chunks * plan.partial_floats);
  return plan;
}
[[maybe_unused]] GemmPlan plan_gemm(Precision precision, int64_t groups, int64_t m, int64_t n, int64_t k,
                                    bool transposed) {
  return plan_gemm(precision, groups, m, n, k, transposed, m);
}

// ---------------------------------------------------------------- the run

[[maybe_unused]] inline Range range_of(int64_t index, int64_t step, int64_t total) {
  const int64_t begin = index * step;
  return {begin, min64(step, total - begin)};
}

// What becomes of a part of a row of C once its sums are whole, while it is in the cache; nothing when `row` is null.
// `first` counts columns through all groups.
struct Finish {
  void (*row)(const void* context, float* c, int64_t first, int64_t count);
  const void* context;
};

// One piece: rows x columns of C over the terms of one chunk, in equal blocks of at most kKC terms. `before`: columns
// of the groups before this one.
template <bool kTransposed, class A, class B, class C>
void gemm_piece(Precision precision, const A& a, const B& b, const C& c, Range rows, Range columns, Range terms,
                float* scratch, const Finish& finish, int64_t before) {
  const int64_t blocks = ceil_div(terms.count, kKC);
  const int64_t k_block = ceil_div(terms.count, blocks);
  float* packed = scratch;
  alignas(64) float panel[kMR * kRowPitch];
  float* c_rows[kMR];
  for (int64_t done = 0; done < terms.count; done += k_block) {
    const int64_t k0 = terms.begin + done, k = min64(k_block, terms.count - done);
    b.pack(packed, k0, k, columns.begin, columns.count);
    narrow_packed(precision, packed, k, columns.count);
    float* const staged = packed + k * round_up(columns.count, W);
    const float* source = staged;
    int64_t pitch = kTransposed ? stage_pitch(rows.count) : 0;
    if constexpr (kTransposed) {
      if (const float* as_it_lies = precision == Precision::float32 ? a.block(k0, rows) : nullptr) {
        source = as_it_lies, pitch = a.pitch;
      } else {
        for (int64_t i = 0; i < k; ++i) a.copy(staged + i * pitch, k0 + i, rows.begin, rows.count);
        narrow_rows_together(precision, staged, pitch, k, round_up(rows.count, W));
      }
    }
    // What the next block of terms will read.
    Fetch next = {}, next_b = {};
    if constexpr (kTransposed) {
      next = a.fetch(k0 + k, rows.begin, rows.count, k);
      next_b = b.fetch(k0 + k, columns.begin, columns.count, k);
    }
    for (int64_t i0 = 0; i0 < rows.count; i0 += kMR) {
      const int count = (int)min64(kMR, rows.count - i0);
      for (int i = 0; i < count; ++i) c_rows[i] = c.row(rows.begin + i0 + i);
      if constexpr (kTransposed) {
        multiply_panel<false>(precision, source + i0, pitch, count, packed, columns.count, columns.count, k, c_rows,
                              columns.begin, done > 0, next.rows > 0 ? &next : &next_b);
      } else {
        for (int i = 0; i < count; ++i) a.copy(panel + i * kRowPitch, rows.begin + i0 + i, k0, k);
        next = a.fetch(rows.begin + i0 + kMR, k0, k, kMR);
        for (int i = 0; i < count; ++i) narrow_row(precision, panel + i * kRowPitch, k);
        if (count & 1) zero_floats(panel + count * kRowPitch, k);
        multiply_panel<true>(precision, panel, 0, count, packed, columns.count, columns.count, k, c_rows, columns.begin,
                             done > 0, &next);
      }
      if (!finish.row || done + k < terms.count) continue;
      for (int i = 0; i < count; ++i)
        finish.row(finish.context, c_rows[i] + columns.begin, before + columns.begin, columns.count);
    }
  }
}

template <bool kTransposed, class A, class B, class C>
void run_gemm(const GemmPlan& plan, void* workspace, const Parallel& parallel, const A& a, const B& b, const C& c,
              const Finish& finish = {}) {
  float* const partials = static_cast<float*>(workspace);
  float* const scratch = partials + plan.k_chunks * plan.partial_floats;
  const int64_t per_chunk = plan.m_blocks * plan.n_blocks, per_group = per_chunk * plan.k_chunks;
  const int64_t pieces = plan.groups * per_group;
  parallel_for(parallel, plan.slots, [&](int64_t slot) {
    float* const mine = scratch + slot * plan.slot_floats;
    for (int64_t p = slot * pieces / plan.slots; p < (slot + 1) * pieces / plan.slots; ++p) {
      const int64_t g = p / per_group, chunk = p % per_group / per_chunk, block = p % per_chunk;
      const Range rows = range_of(block / plan.n_blocks, plan.m_block, plan.m);
      const Range columns = range_of(block % plan.n_blocks, plan.n_block, plan.n);
      const Range terms = range_of(chunk, plan.k_chunk, plan.k);
      if (plan.k_chunks == 1) {
        gemm_piece<kTransposed>(plan.precision, a.group(g), b.group(g), c.group(g), rows, columns, terms, mine, finish,
                                g * plan.n);
      } else {
        float* data = partials + chunk * plan.partial_floats + g * plan.m * plan.partial_pitch;
        const Matrix partial{data, plan.partial_pitch, 0};
        gemm_piece<kTransposed>(plan.precision, a.group(g), b.group(g), partial, rows, columns, terms, mine, {}, 0);
      }
    }
  });
  if (plan.k_chunks == 1) return;
  const int64_t rows = plan.groups * plan.m, tasks = min64(rows, 64);
  parallel_for(parallel, tasks, [&](int64_t task) {
    for (int64_t r = task * rows / tasks; r < (task + 1) * rows / tasks; ++r) {
      float* const row = c.group(r / plan.m).row(r % plan.m);
      sum_chunks(row, partials + r * plan.partial_pitch, plan.partial_floats, plan.k_chunks, plan.n);
      if (finish.row) finish.row(finish.context, row, r / plan.m * plan.n, plan.n);
    }
  });
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
