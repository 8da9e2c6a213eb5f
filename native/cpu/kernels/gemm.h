// The float32 product behind matmul, gram and the convolutions: C = A B (A may be transposed), blocked and packed.
// Included by matmul.cpp, gram.cpp and conv2d.cpp; their *_prepare calls plan_gemm, their *_run calls run_gemm.
// Operands are small structs: a row source (copies pieces of its rows), a packer of B and a target (rows of C), so an
// image read through a convolution window is an operand like any matrix and is never written out as one.
// The rule easy to break: an element of C is one FMA chain per block of kKC, blocks added in order, chunks of K added
// by a fixed tree; blocks and chunks depend on the shape alone, never on the ISA or the number of threads.
#pragma once
#include "cpu/kernels/gemm_thin.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- the plan

struct GemmPlan {
  Precision precision;
  int64_t groups, m, n, k;
  int64_t m_block, n_block, k_chunk;  // one piece of work: that many rows, columns and terms
  int64_t m_blocks, n_blocks, k_chunks;
  int64_t slots, slot_floats;             // each slot runs its share of the pieces in its own scratch
  int64_t partial_pitch, partial_floats;  // one chunk's whole C, when K is cut into chunks
  int64_t workspace_bytes;
  bool thin;  // so few rows that B is read as it lies
};

// Rows of the staging copy of a transposed A: an odd number of cache lines, with room for a tile's overhang.
[[maybe_unused]] inline int64_t stage_pitch(int64_t m_block) {
  const int64_t lines = ceil_div(m_block + kMR + W, 16);
  return (lines | 1) * 16;
}

[[maybe_unused]] void lay_out_scratch(GemmPlan* plan) {
  plan->slots = min64(plan->groups * plan->m_blocks * plan->n_blocks * plan->k_chunks, kMaxSlots);
  plan->slot_floats = round_up(plan->slot_floats, 16);
  plan->workspace_bytes = 4 * (plan->slots * plan->slot_floats + plan->k_chunks * plan->partial_floats);
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
  const int64_t kc = min64(k, kKC);
  plan.slot_floats = kc * plan.n_block + (transposed ? kc * stage_pitch(plan.m_block) : 0);
  if (plan.k_chunks > 1) {
    plan.partial_pitch = round_up(n, 16);
    plan.partial_floats = groups * m * plan.partial_pitch;
  }
  lay_out_scratch(&plan);
  return plan;
}
[[maybe_unused]] GemmPlan plan_gemm(Precision precision, int64_t groups, int64_t m, int64_t n, int64_t k,
                                    bool transposed) {
  return plan_gemm(precision, groups, m, n, k, transposed, m);
}

// The same for a B that is a plain matrix, which a product of few rows reads as it lies. What is rounded to bf16 is
// packed all the same.
[[maybe_unused]] GemmPlan thin_if_few_rows(GemmPlan plan) {
  if (plan.m > kThinRows || plan.precision != Precision::float32) return plan;
  plan.thin = true;
  plan.n_block = thin_columns(plan.m, plan.n, plan.groups * plan.k_chunks);
  plan.n_blocks = ceil_div(plan.n, plan.n_block);
  plan.slot_floats = thin_floats(plan.m, plan.n_block);
  lay_out_scratch(&plan);
  return plan;
}

// ---------------------------------------------------------------- the run

[[maybe_unused]] inline Range range_of(int64_t index, int64_t step, int64_t total) {
  const int64_t begin = index * step;
  return {begin, min64(step, total - begin)};
}

// `rows` x `columns` of C, at `data`; rows and columns are counted in all of C and through all groups.
struct Part {
  float* data;
  int64_t pitch;
  Range rows, columns;
};
// What becomes of a part of C once its sums are whole, while it is in the cache; nothing when `run` is null.
struct Finish {
  void (*run)(const void* context, const Part& part);
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
      if (!finish.run || done + k < terms.count) continue;
      const int64_t pitch_of_c = count > 1 ? c_rows[1] - c_rows[0] : 0;
      finish.run(
          finish.context,
          {c_rows[0] + columns.begin, pitch_of_c, {rows.begin + i0, count}, {before + columns.begin, columns.count}});
    }
  }
}

// A piece of a thin product, which has all rows of C.
template <class A, class C>
void finished_thin_piece(const A& a, const Matrix& b, const C& c, int64_t rows, Range columns, Range terms,
                         float* scratch, const Finish& finish, int64_t before) {
  thin_piece(a, b, c, rows, columns, terms, scratch);
  if (!finish.run) return;
  const int64_t pitch = rows > 1 ? c.row(1) - c.row(0) : 0;
  finish.run(finish.context, {c.row(0) + columns.begin, pitch, {0, rows}, {before + columns.begin, columns.count}});
}

template <bool kTransposed, class A, class B, class C>
void run_piece(const GemmPlan& plan, const A& a, const B& b, const C& c, Range rows, Range columns, Range terms,
               float* scratch, const Finish& finish, int64_t before) {
  if constexpr (!kTransposed && kIsMatrix<B>) {
    if (plan.thin) return finished_thin_piece(a, b, c, rows.count, columns, terms, scratch, finish, before);
  }
  gemm_piece<kTransposed>(plan.precision, a, b, c, rows, columns, terms, scratch, finish, before);
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
        run_piece<kTransposed>(plan, a.group(g), b.group(g), c.group(g), rows, columns, terms, mine, finish,
                               g * plan.n);
      } else {
        float* data = partials + chunk * plan.partial_floats + g * plan.m * plan.partial_pitch;
        const Matrix partial{data, plan.partial_pitch, 0};
        run_piece<kTransposed>(plan, a.group(g), b.group(g), partial, rows, columns, terms, mine, {}, 0);
      }
    }
  });
  if (plan.k_chunks == 1) return;
  const int64_t rows = plan.groups * plan.m, tasks = min64(rows, 64);
  parallel_for(parallel, tasks, [&](int64_t task) {
    for (int64_t r = task * rows / tasks; r < (task + 1) * rows / tasks; ++r) {
      float* const row = c.group(r / plan.m).row(r % plan.m);
      sum_chunks(row, partials + r * plan.partial_pitch, plan.partial_floats, plan.k_chunks, plan.n);
      if (finish.run) finish.run(finish.context, {row, 0, {r % plan.m, 1}, {r / plan.m * plan.n, plan.n}});
    }
  });
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
