// softmax and logSoftmax over the last axis, their gradients, the cross-entropy loss with its gradient, and accuracy.
// Called through the table built in table.cpp.
// The rule easy to break: the row's maximum is subtracted before exp, so no finite input overflows; a label outside
// 0..K-1 sets *call->failure and its row counts for nothing, so the outputs stay finite.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

float row_max(const float* x, int64_t n) {
  float best = x[0];
  int64_t i = 0;
  if (n >= W) {
    vf lanes = load(x);
    for (i = W; i + W <= n; i += W) lanes = vmax(lanes, load(x + i));
    best = hmax(lanes);
  }
  for (; i < n; ++i) best = best < x[i] ? x[i] : best;
  return best;
}

// Sum over the row of op(i, lanes): the caller's lanes past the row's end must be 0.
template <typename Op>
inline double row_sum(int64_t n, const Op& op) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    const int64_t end = min64(begin + 1024, n);
    vf sum = {};
    for (int64_t i = begin; i < end; i += W) sum += op(i, (int)min64(W, end - i));
    total += (double)hsum(sum);
  }
  return total;
}

// exp(x - top) with the lanes past the end cleared.
inline vf shifted_exp(const float* x, float top, int lanes) {
  const vf e = vexp(load_lanes(x, lanes) - top);
  if (lanes == W) return e;
  float cleared[W] = {};
  store_n(cleared, e, lanes);
  return load(cleared);
}

// body(row) for every row of a view, rows grouped by size.
template <typename Body>
void for_rows(const KernelCall* call, const View& v, const Body& body) {
  for_groups(call->parallel, v.rows, v.cols * 4, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) body(r);
  });
}

void run_softmax(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  for_rows(call, x, [&](int64_t r) {
    const float* from = floats(x) + r * x.pitch;
    float* to = floats_out(y) + r * y.pitch;
    const float top = row_max(from, x.cols);
    const double sum = row_sum(x.cols, [&](int64_t i, int lanes) {
      const vf e = shifted_exp(from + i, top, lanes);
      store_lanes(to + i, e, lanes);
      return e;
    });
    const float factor = (float)(1 / sum);
    for (int64_t i = 0; i < x.cols; ++i) to[i] *= factor;
  });
}

void run_log_softmax(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  for_rows(call, x, [&](int64_t r) {
    const float* from = floats(x) + r * x.pitch;
    float* to = floats_out(y) + r * y.pitch;
    const float top = row_max(from, x.cols);
    const double sum = row_sum(x.cols, [&](int64_t i, int lanes) { return shifted_exp(from + i, top, lanes); });
    const float log_sum = (float)__builtin_log(sum);
    for (int64_t i = 0; i < x.cols; ++i) to[i] = (from[i] - top) - log_sum;
  });
}

// dx = y (dy - sum(dy y))
void run_softmax_grad(const KernelCall* call) {
  const View &dy = call->in[0], &y = call->in[1], &dx = call->out[0];
  for_rows(call, y, [&](int64_t r) {
    const float *grad = floats(dy) + r * dy.pitch, *value = floats(y) + r * y.pitch;
    float* to = floats_out(dx) + r * dx.pitch;
    const float mean = (float)row_sum(
        y.cols, [&](int64_t i, int lanes) { return load_lanes(grad + i, lanes) * load_lanes(value + i, lanes); });
    for (int64_t i = 0; i < y.cols; ++i) to[i] = value[i] * (grad[i] - mean);
  });
}

// dx = dy - exp(y) sum(dy)
void run_log_softmax_grad(const KernelCall* call) {
  const View &dy = call->in[0], &y = call->in[1], &dx = call->out[0];
  for_rows(call, y, [&](int64_t r) {
    const float *grad = floats(dy) + r * dy.pitch, *value = floats(y) + r * y.pitch;
    float* to = floats_out(dx) + r * dx.pitch;
    const float sum = (float)row_sum(y.cols, [&](int64_t i, int lanes) { return load_lanes(grad + i, lanes); });
    for (int64_t i = 0; i < y.cols; i += W) {
      const int lanes = (int)min64(W, y.cols - i);
      store_lanes(to + i, fma(vexp(load_lanes(value + i, lanes)), set1(-sum), load_lanes(grad + i, lanes)), lanes);
    }
  });
}

// ---------------------------------------------------------------- cross-entropy

void prepare_cross_entropy(KernelCall* call) { call->workspace_bytes = call->in[0].rows * (int64_t)sizeof(double); }

// The weight of row n, 0 where the label is out of range.
inline double row_weight(const KernelCall* call, int64_t n) {
  const int32_t label = ints(call->in[1])[n];
  if (label < 0 || label >= call->in[0].cols) return 0;
  return call->in_count > 2 ? (double)floats(call->in[2])[label] : 1;
}

// CE of one row against (1-s) onehot + s/K; writes factor * (softmax - target) to `grad`.
double row_cross_entropy(const float* z, int64_t K, int32_t label, double smoothing, double factor, float* grad) {
  const float top = row_max(z, K);
  const double sum = row_sum(K, [&](int64_t i, int lanes) {
    const vf e = shifted_exp(z + i, top, lanes);
    store_lanes(grad + i, e, lanes);
    return e;
  });
  double shifted = 0;
  if (smoothing != 0)
    for (int64_t k = 0; k < K; ++k) shifted += (double)z[k] - (double)top;
  const double spread = smoothing / (double)K;
  for (int64_t k = 0; k < K; ++k) {
    const double target = spread + (k == label ? 1 - smoothing : 0);
    grad[k] = (float)(factor * ((double)grad[k] / sum - target));
  }
  return __builtin_log(sum) - (1 - smoothing) * ((double)z[label] - (double)top) - spread * shifted;
}

// logits[N,K], labels[N] (, classWeights[K]) -> loss[1], dlogits[N,K]
void run_cross_entropy(const KernelCall* call) {
  const View &logits = call->in[0], &grad = call->out[1];
  const int32_t* labels = ints(call->in[1]);
  const double smoothing = attr(call, "labelSmoothing");
  auto* losses = static_cast<double*>(call->workspace);
  double total_weight = 0, loss = 0;
  for (int64_t n = 0; n < logits.rows; ++n) {
    if (labels[n] < 0 || labels[n] >= logits.cols) *call->failure = "[crossEntropy] a label is outside 0..K-1";
    total_weight += row_weight(call, n);
  }
  for_rows(call, logits, [&](int64_t n) {
    float* to = floats_out(grad) + n * grad.pitch;
    const double weight = row_weight(call, n), factor = total_weight != 0 ? weight / total_weight : 0;
    losses[n] = 0;
    if (factor == 0) {
      for (int64_t k = 0; k < logits.cols; ++k) to[k] = 0;
      return;
    }
    losses[n] =
        factor * row_cross_entropy(floats(logits) + n * logits.pitch, logits.cols, labels[n], smoothing, factor, to);
  });
  for (int64_t n = 0; n < logits.rows; ++n) loss += losses[n];
  floats_out(call->out[0])[0] = (float)loss;
}

void run_accuracy(const KernelCall* call) {
  const View& logits = call->in[0];
  const int32_t* labels = ints(call->in[1]);
  int64_t right = 0;
  for (int64_t n = 0; n < logits.rows; ++n) {
    const float* z = floats(logits) + n * logits.pitch;
    int64_t best = 0;
    for (int64_t k = 1; k < logits.cols; ++k)
      if (z[k] > z[best]) best = k;
    right += best == labels[n];
  }
  floats_out(call->out[0])[0] = (float)((double)right / (double)logits.rows);
}

const Kernel kernels[] = {
    {"softmax", prepare_nothing, run_softmax},
    {"logSoftmax", prepare_nothing, run_log_softmax},
    {"softmaxGrad", prepare_nothing, run_softmax_grad},
    {"logSoftmaxGrad", prepare_nothing, run_log_softmax_grad},
    {"crossEntropy", prepare_cross_entropy, run_cross_entropy},
    {"accuracy", prepare_nothing, run_accuracy},
};

}  // namespace

extern const KernelList kSoftmaxKernels;
const KernelList kSoftmaxKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
