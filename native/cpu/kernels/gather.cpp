// gather rows by index, its gradient, and topK, which chooses the rows.
// Called through the table built in table.cpp. Samples are independent; within a sample the order is the index order.
// The rule easy to break: an index outside 0..P-1 sets *call->failure and its row reads as 0 and receives nothing.
#include "cpu/kernels/select.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Shape {
  int64_t N, P, K, D;
};

// Whether any index is out of range; said once, before the parallel part.
void check_index(const KernelCall* call, const View& index, int64_t P) {
  for (int64_t n = 0; n < index.rows; ++n)
    for (int64_t k = 0; k < index.cols; ++k) {
      const int32_t i = ints(index)[n * index.pitch + k];
      if (i < 0 || i >= P) *call->failure = "[gather] an index is outside 0..P-1";
    }
}

// x[N,P,D], index[N,K] -> y[N,K,D]
void run_gather(const KernelCall* call) {
  const View &x = call->in[0], &index = call->in[1], &y = call->out[0];
  const Shape s = {x.shape[0], x.shape[1], y.shape[1], x.cols};
  check_index(call, index, s.P);
  for_groups(call->parallel, s.N * s.K, s.D, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t n = r / s.K;
      const int32_t from = ints(index)[n * index.pitch + r % s.K];
      float* to = floats_out(y) + r * y.pitch;
      if (from >= 0 && from < s.P)
        memcpy(to, floats(x) + (n * s.P + from) * x.pitch, (size_t)s.D * sizeof(float));
      else
        memset(to, 0, (size_t)s.D * sizeof(float));
    }
  });
}

// dy[N,K,D], index[N,K] -> dx[N,P,D]
void run_gradient(const KernelCall* call) {
  const View &dy = call->in[0], &index = call->in[1], &dx = call->out[0];
  const Shape s = {dx.shape[0], dx.shape[1], dy.shape[1], dx.cols};
  check_index(call, index, s.P);
  for_groups(call->parallel, s.N, (s.P + s.K) * s.D, [&](int64_t n0, int64_t n1) {
    for (int64_t n = n0; n < n1; ++n) {
      for (int64_t p = 0; p < s.P; ++p)
        memset(floats_out(dx) + (n * s.P + p) * dx.pitch, 0, (size_t)s.D * sizeof(float));
      for (int64_t k = 0; k < s.K; ++k) {
        const int32_t p = ints(index)[n * index.pitch + k];
        if (p < 0 || p >= s.P) continue;
        const float* from = floats(dy) + (n * s.K + k) * dy.pitch;
        float* to = floats_out(dx) + (n * s.P + p) * dx.pitch;
        for (int64_t d = 0; d < s.D; ++d) to[d] += from[d];
      }
    }
  });
}

// Squared L2 norm in float64; a NaN counts as less than any norm.
double squared_norm(const float* x, int64_t n) {
  double lanes[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int lane = 0; lane < 4; ++lane) lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
  for (; i < n; ++i) lanes[0] += (double)x[i] * (double)x[i];
  const double sum = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  return sum == sum ? sum : -1;
}

// Two copies of each sample's norms: one to read, one for the selection to reorder.
void prepare_top(KernelCall* call) {
  const View& x = call->in[0];
  call->workspace_bytes = x.rows * 2 * (int64_t)sizeof(double);
  if (call->out[0].cols > x.shape[1]) call->error = "topK's k is larger than the number of rows";
}

// x[N,P,D] -> index[N,k]
void run_top(const KernelCall* call) {
  const View &x = call->in[0], &index = call->out[0];
  const int64_t N = x.shape[0], P = x.shape[1], k = index.cols;
  for_groups(call->parallel, N, P * x.cols, [&](int64_t n0, int64_t n1) {
    for (int64_t n = n0; n < n1; ++n) {
      double* norms = static_cast<double*>(call->workspace) + n * 2 * P;
      double* scratch = norms + P;
      for (int64_t p = 0; p < P; ++p) norms[p] = scratch[p] = squared_norm(floats(x) + (n * P + p) * x.pitch, x.cols);
      const double threshold = nth_smallest(scratch, P, P - k);
      int64_t ties = k, found = 0;  // how many of the rows equal to the threshold are among the k
      for (int64_t p = 0; p < P; ++p) ties -= norms[p] > threshold;
      int32_t* to = static_cast<int32_t*>(index.data) + n * index.pitch;
      for (int64_t p = 0; p < P && found < k; ++p)
        if (norms[p] > threshold || (norms[p] == threshold && ties-- > 0)) to[found++] = (int32_t)p;
    }
  });
}

const Kernel kernels[] = {
    {"gather", prepare_nothing, run_gather},
    {"gatherGrad", prepare_nothing, run_gradient},
    {"topK", prepare_top, run_top},
};

}  // namespace

extern const KernelList kGatherKernels;
const KernelList kGatherKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
