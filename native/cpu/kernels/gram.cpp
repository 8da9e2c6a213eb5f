// `gram` (G = Z Z', or Zc Zc' with the column means removed) and `gramGrad`. Called through table.cpp's list.
// gram works on blocks of rows: every piece is one pair of blocks over one chunk of the features, computes only tiles
// that reach the lower triangle, and the sum over chunks is mirrored, so G is exactly symmetric.
// The rule easy to break: means are removed from the features before the product (as z - z_0 - mean(z - z_0), z_0 the
// first row), because H G H of a product of uncentred features loses the digits that a shared offset takes up.
#include "cpu/kernels/gemm.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- gram

struct GramParams {
  Precision precision;
  int64_t m, d;
  bool center;
  int64_t blocks, pairs;          // blocks of kBlock rows, and pairs (I, J) of them with I >= J
  int64_t chunk, chunks;          // features of a chunk
  int64_t sum_pitch, sum_floats;  // one piece's part of G
  int64_t slots, slot_floats, row_floats, packed_floats;
};

void gram_prepare(KernelCall* call) {
  GramParams* p = params_of<GramParams>(call);
  p->m = call->in[0].rows, p->d = call->in[0].cols;
  p->center = attr(call, "center") != 0;
  p->precision = call->precision;
  p->blocks = ceil_div(p->m, kBlock);
  p->pairs = p->blocks * (p->blocks + 1) / 2;
  const int64_t chunks = max64(1, min64(kMaxChunks / p->pairs, p->d / 1024));
  p->chunk = round_up(ceil_div(p->d, chunks), 16);
  p->chunks = ceil_div(p->d, p->chunk);
  const int64_t rows = min64(p->m, kBlock), terms = min64(round_up(p->d, 16), kKC);
  p->sum_pitch = round_up(rows, 16);
  p->sum_floats = rows * p->sum_pitch;
  p->row_floats = round_up(rows, 2) * kRowPitch;
  p->packed_floats = terms * round_up(rows, kNR);
  p->slot_floats = p->packed_floats + kRowPitch + p->row_floats * (p->blocks > 1 ? 2 : 1);
  p->slots = min64(kMaxSlots, p->pairs * p->chunks);
  call->workspace_bytes = 4 * (p->pairs * p->chunks * p->sum_floats + p->slots * p->slot_floats);
  call->variant = p->center ? "centred" : "plain";
}

vf load_some(const float* src, int64_t left) { return left >= W ? load(src) : load_lanes(src, (int)left); }

// mean over the rows of z - z_0, for k features beginning at `z`.
void shifted_means(const float* z, int64_t pitch, int64_t rows, int64_t k, float* mean) {
  for (int64_t j = 0; j < k; j += W) store(mean + j, vf{});
  for (int64_t i = 1; i < rows; ++i)
    for (int64_t j = 0; j < k; j += W)
      store(mean + j, load(mean + j) + (load_some(z + i * pitch + j, k - j) - load_some(z + j, k - j)));
  for (int64_t j = 0; j < k; j += W) store(mean + j, load(mean + j) / (float)rows);
}

// Rows of features as tile_kernel reads them, centred when `mean` is given; `first` is row 0 of z at the same feature.
void stage_rows(const float* z, int64_t pitch, int64_t rows, int64_t k, const float* first, const float* mean,
                float* dst) {
  for (int64_t i = 0; i < rows; ++i, z += pitch, dst += kRowPitch) {
    if (!mean) {
      copy_floats(dst, z, k);
      continue;
    }
    for (int64_t j = 0; j < k; j += W)
      store(dst + j, load_some(z + j, k - j) - load_some(first + j, k - j) - load(mean + j));
  }
  if (rows & 1) zero_floats(dst, k);
}

// sum[I rows][J rows] of one chunk of features; J's columns only as far as I's rows reach when I = J.
void gram_piece(const GramParams& p, const View& z, int64_t block_i, int64_t block_j, Range terms, float* sum,
                float* scratch) {
  const Range is = range_of(block_i, kBlock, p.m), js = range_of(block_j, kBlock, p.m);
  const float* data = static_cast<const float*>(z.data);
  float* const packed = scratch;
  float* const mean = packed + p.packed_floats;
  float* const rows_i = mean + kRowPitch;
  float* const rows_j = block_i == block_j ? rows_i : rows_i + p.row_floats;
  const int64_t k_block = round_up(ceil_div(terms.count, ceil_div(terms.count, kKC)), 16);
  float* c_rows[kMR];
  for (int64_t done = 0; done < terms.count; done += k_block) {
    const int64_t k = min64(k_block, terms.count - done);
    const float* first = data + terms.begin + done;
    if (p.center) shifted_means(first, z.pitch, p.m, k, mean);
    const float* means = p.center ? mean : nullptr;
    stage_rows(first + is.begin * z.pitch, z.pitch, is.count, k, first, means, rows_i);
    if (rows_j != rows_i) stage_rows(first + js.begin * z.pitch, z.pitch, js.count, k, first, means, rows_j);
    pack_columns(packed, rows_j, kRowPitch, k, 0, k, js.count);
    narrow_packed(p.precision, packed, k, js.count);
    for (int64_t i = 0; i < is.count; ++i) narrow_row(p.precision, rows_i + i * kRowPitch, k);
    Fetch next = fetch_rows(first + k + is.begin * z.pitch, z.pitch, k, is.count);
    for (int64_t i0 = 0; i0 < is.count; i0 += kMR) {
      const int count = (int)min64(kMR, is.count - i0);
      for (int i = 0; i < count; ++i) c_rows[i] = sum + (i0 + i) * p.sum_pitch;
      const int64_t n = block_i == block_j ? min64(js.count, i0 + count) : js.count;
      multiply_panel<true>(p.precision, rows_i + i0 * kRowPitch, 0, count, packed, js.count, n, k, c_rows, 0, done > 0,
                           &next);
    }
  }
}

// Row i of G up to its diagonal, from the chunks of every block to its left.
void gram_row(const GramParams& p, const float* sums, int64_t i, float* row) {
  const int64_t block_i = i / kBlock;
  for (int64_t block_j = 0; block_j <= block_i; ++block_j) {
    const int64_t pair = block_i * (block_i + 1) / 2 + block_j;
    const float* part = sums + pair * p.chunks * p.sum_floats + i % kBlock * p.sum_pitch;
    sum_chunks(row + block_j * kBlock, part, p.sum_floats, p.chunks, min64(kBlock, i + 1 - block_j * kBlock));
  }
}

void gram_run(const KernelCall* call) {
  const GramParams& p = *params_of<GramParams>(call);
  const View& z = call->in[0];
  const Matrix g = matrix_of(call->out[0]);
  float* const sums = static_cast<float*>(call->workspace);
  float* const scratch = sums + p.pairs * p.chunks * p.sum_floats;
  const int64_t pieces = p.pairs * p.chunks;
  parallel_for(call->parallel, p.slots, [&](int64_t slot) {
    for (int64_t i = slot * pieces / p.slots; i < (slot + 1) * pieces / p.slots; ++i) {
      const int64_t pair = i / p.chunks;
      int64_t block_i = 0;
      while ((block_i + 1) * (block_i + 2) / 2 <= pair) ++block_i;
      const int64_t block_j = pair - block_i * (block_i + 1) / 2;
      gram_piece(p, z, block_i, block_j, range_of(i % p.chunks, p.chunk, p.d), sums + i * p.sum_floats,
                 scratch + slot * p.slot_floats);
    }
  });
  const int64_t tasks = min64(p.m, 64);
  parallel_for(call->parallel, tasks, [&](int64_t task) {
    for (int64_t i = task * p.m / tasks; i < (task + 1) * p.m / tasks; ++i) gram_row(p, sums, i, g.row(i));
  });
  parallel_for(call->parallel, tasks, [&](int64_t task) {
    for (int64_t i = task * p.m / tasks; i < (task + 1) * p.m / tasks; ++i)
      for (int64_t j = i + 1; j < p.m; ++j) g.row(i)[j] = g.row(j)[i];
  });
}

// ---------------------------------------------------------------- gramGrad

struct GramGradParams {
  GemmPlan plan;
  bool center;
  int64_t pitch, floats;  // of the m x m factor and the row means in front of the product's workspace
};

// B = z - z_0. The centred factor annihilates the shift; without it a shared offset would cost digits.
struct ShiftedMatrix {
  Matrix matrix;

  ShiftedMatrix group(int64_t) const { return *this; }
  void pack(float* packed, int64_t k0, int64_t k, int64_t n0, int64_t n) const {
    matrix.pack(packed, k0, k, n0, n);
    const float* first = matrix.row(0) + n0;
    for (int64_t j = 0; j < n; j += kNR) {
      const int64_t width = panel_width(n - j);
      for (int64_t v = 0; v < width; v += W) {
        const vf shift = n - j > v ? load_some(first + j + v, n - j - v) : vf{};
        for (int64_t row = 0; row < k; ++row) store(packed + row * width + v, load(packed + row * width + v) - shift);
      }
      packed += k * width;
    }
  }
};

void gram_grad_prepare(KernelCall* call) {
  GramGradParams* params = params_of<GramGradParams>(call);
  const View& z = call->in[1];
  params->center = attr(call, "center") != 0;
  params->plan = plan_gemm(call->precision, 1, z.rows, z.cols, z.rows, false);
  params->pitch = round_up(z.rows, 16);
  params->floats = z.rows * params->pitch + 2 * params->pitch;
  call->workspace_bytes = 4 * params->floats + params->plan.workspace_bytes;
  call->variant = params->center ? "centred" : "plain";
}

// factor = S = dG + dG', or H S H.
void gram_factor(const KernelCall* call, bool center, const Matrix& factor, double* row_mean) {
  const Matrix g = matrix_of(call->in[0]);
  const int64_t m = call->in[0].rows, tasks = min64(m, 64);
  parallel_for(call->parallel, tasks, [&](int64_t task) {
    for (int64_t i = task * m / tasks; i < (task + 1) * m / tasks; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < m; ++j) {
        factor.row(i)[j] = g.row(i)[j] + g.row(j)[i];
        sum += factor.row(i)[j];
      }
      row_mean[i] = sum / (double)m;
    }
  });
  if (!center) return;
  double mean = 0;
  for (int64_t i = 0; i < m; ++i) mean += row_mean[i];
  mean /= (double)m;
  parallel_for(call->parallel, tasks, [&](int64_t task) {
    for (int64_t i = task * m / tasks; i < (task + 1) * m / tasks; ++i)
      for (int64_t j = 0; j < m; ++j)
        factor.row(i)[j] = (float)((double)factor.row(i)[j] - (row_mean[i] + row_mean[j]) + mean);
  });
}

void gram_grad_run(const KernelCall* call) {
  const GramGradParams& params = *params_of<GramGradParams>(call);
  float* const memory = static_cast<float*>(call->workspace);
  double* const row_mean = reinterpret_cast<double*>(memory);
  const Matrix factor{memory + 2 * params.pitch, params.pitch, 0};
  gram_factor(call, params.center, factor, row_mean);
  const Matrix z = matrix_of(call->in[1]), dz = matrix_of(call->out[0]);
  float* const workspace = memory + params.floats;
  if (params.center) {
    run_gemm<false>(params.plan, workspace, call->parallel, factor, ShiftedMatrix{z}, dz);
  } else {
    run_gemm<false>(params.plan, workspace, call->parallel, factor, z, dz);
  }
}

constexpr Kernel kKernels[] = {{"gram", gram_prepare, gram_run}, {"gramGrad", gram_grad_prepare, gram_grad_run}};

}  // namespace

extern const KernelList kGramKernels;
const KernelList kGramKernels = {kKernels, 2};

}  // namespace gramian::cpu::GRAMIAN_ISA
