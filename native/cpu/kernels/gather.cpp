// Selection of rows of a sample: topK by L2 norm (paper 004's feature selection), gather by index and its gradient.
// The rule easy to break: an index from outside is data and may be wrong; it is reported, never followed.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

const char* const kBadIndex = "[gather] an index is outside the rows it selects from";

bool indices_valid(const KernelCall* call, const int32_t* index, int64_t count, int64_t rows) {
  for (int64_t i = 0; i < count; ++i)
    if (index[i] < 0 || index[i] >= rows) {
      __atomic_store_n(call->failure, kBadIndex, __ATOMIC_RELAXED);
      return false;
    }
  return true;
}

void copy_row(float* to, const float* from, int64_t cols) { memcpy(to, from, (size_t)cols * sizeof(float)); }

// x[N,P,D], index[N,K] -> y[N,K,D].
void run_gather(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0], &index = call->in[1];
  const int64_t rows = x.shape[1], picks = y.shape[1], cols = x.shape[2];
  parallel_for(call->parallel, x.shape[0], [&](int64_t n) {
    const int32_t* chosen = ints(index) + n * index.pitch;
    const bool valid = indices_valid(call, chosen, picks, rows);
    for (int64_t k = 0; k < picks; ++k) {
      float* to = floats_out(y) + (n * picks + k) * y.pitch;
      if (valid)
        copy_row(to, floats(x) + (n * rows + chosen[k]) * x.pitch, cols);
      else
        memset(to, 0, (size_t)cols * sizeof(float));
    }
  });
}

// dy[N,K,D], index[N,K] -> dx[N,P,D]: added in the order of the indices.
void run_gather_grad(const KernelCall* call) {
  const View &dy = call->in[0], &index = call->in[1], &dx = call->out[0];
  const int64_t rows = dx.shape[1], picks = dy.shape[1], cols = dx.shape[2];
  parallel_for(call->parallel, dx.shape[0], [&](int64_t n) {
    for (int64_t p = 0; p < rows; ++p)
      memset(floats_out(dx) + (n * rows + p) * dx.pitch, 0, (size_t)cols * sizeof(float));
    const int32_t* chosen = ints(index) + n * index.pitch;
    if (!indices_valid(call, chosen, picks, rows)) return;
    for (int64_t k = 0; k < picks; ++k) {
      const float* from = floats(dy) + (n * picks + k) * dy.pitch;
      float* to = floats_out(dx) + (n * rows + chosen[k]) * dx.pitch;
      int64_t c = 0;
      for (; c + W <= cols; c += W) store(to + c, load(to + c) + load(from + c));
      if (c < cols)
        store_n(to + c, load_n(to + c, (int)(cols - c)) + load_n(from + c, (int)(cols - c)), (int)(cols - c));
    }
  });
}

// Squared norms of a sample's rows, then a threshold found by a heap-free selection: rank each row by how many others
// come before it. P is a few hundred, so P^2 comparisons of numbers already in cache are cheap and need no scratch.
void prepare_top_k(KernelCall* call) {
  call->workspace_bytes = call->in[0].shape[0] * call->in[0].shape[1] * (int64_t)sizeof(double);
}

double squared_norm(const float* row, int64_t cols) {
  double sum = 0;
  for (int64_t c = 0; c < cols; ++c) sum += (double)row[c] * (double)row[c];
  return sum;
}

// x[N,P,D] -> index[N,k], ascending; a NaN norm ranks first, so that it is seen.
void run_top_k(const KernelCall* call) {
  const View &x = call->in[0], &index = call->out[0];
  const int64_t rows = x.shape[1], picks = index.shape[1];
  parallel_for(call->parallel, x.shape[0], [&](int64_t n) {
    double* norm = static_cast<double*>(call->workspace) + n * rows;
    for (int64_t p = 0; p < rows; ++p) {
      norm[p] = squared_norm(floats(x) + (n * rows + p) * x.pitch, x.shape[2]);
      if (norm[p] != norm[p]) norm[p] = __builtin_inf();
    }
    int32_t* to = static_cast<int32_t*>(index.data) + n * index.pitch;
    int64_t found = 0;
    for (int64_t p = 0; p < rows && found < picks; ++p) {
      int64_t before = 0;
      for (int64_t q = 0; q < rows; ++q) before += norm[q] > norm[p] || (norm[q] == norm[p] && q < p);
      if (before < picks) to[found++] = (int32_t)p;
    }
  });
}

const Kernel kernels[] = {
    {"gather", prepare_nothing, run_gather},
    {"gatherGrad", prepare_nothing, run_gather_grad},
    {"topK", prepare_top_k, run_top_k},
};

}  // namespace

extern const KernelList kGatherKernels;
const KernelList kGatherKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
