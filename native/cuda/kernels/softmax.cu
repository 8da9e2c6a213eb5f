// softmax, logSoftmax, their gradients, cross-entropy with its gradient, accuracy: a warp to a row. Launched by
// softmax.cpp. The rule easy to break: the row's maximum is subtracted before exp; a row is written by the lanes that
// read it, so y may be an input's memory.
#include "device.cuh"
#include "softmax.h"

namespace gramian::cuda {

constexpr int kBlock = 256, kWarps = kBlock / 32;

/** body(row, lane) for the rows of this warp; the whole warp takes part. */
template <typename Body>
__device__ __forceinline__ void for_rows(uint32_t rows, const Body& body) {
  const uint32_t lane = threadIdx.x % 32;
#pragma unroll 1
  for (uint32_t row = blockIdx.x * kWarps + threadIdx.x / 32; row < rows; row += gridDim.x * kWarps) body(row, lane);
}

__device__ __forceinline__ float row_max(const float* x, uint32_t cols, uint32_t lane) {
  float best = __int_as_float(0xff800000);
  for (uint32_t i = lane; i < cols; i += 32) best = fmaxf(best, x[i]);
  return warp_max(best);
}

/** The warp's sum of term(i) over the row. */
template <typename Term>
__device__ __forceinline__ float row_sum(uint32_t cols, uint32_t lane, const Term& term) {
  float sum = 0;
  for (uint32_t i = lane; i < cols; i += 32) sum += term(i);
  return warp_sum(sum);
}

/** 1 without class weights; 0 for a label out of range. */
__device__ __forceinline__ float weight_of(const CrossEntropyParams& p, int label) {
  if (static_cast<uint32_t>(label) >= p.cols) return 0;
  return p.class_weights ? p.class_weights[label] : 1.0f;
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) softmax(const SoftmaxParams p) {
  for_rows(p.rows, [&](uint32_t row, uint32_t lane) {
    const float* x = at(p.a, row, p.pitch_a, 0);
    float* y = at(p.y, row, p.pitch_y, 0);
    const float top = row_max(x, p.cols, lane);
    const float sum = row_sum(p.cols, lane, [&](uint32_t i) { return y[i] = exp_of(x[i] - top); });
    const float factor = 1.0f / sum;
    for (uint32_t i = lane; i < p.cols; i += 32) y[i] *= factor;
  });
}

extern "C" __global__ void __launch_bounds__(256) logSoftmax(const SoftmaxParams p) {
  for_rows(p.rows, [&](uint32_t row, uint32_t lane) {
    const float* x = at(p.a, row, p.pitch_a, 0);
    float* y = at(p.y, row, p.pitch_y, 0);
    const float top = row_max(x, p.cols, lane);
    const float log_sum = log_of(row_sum(p.cols, lane, [&](uint32_t i) { return exp_of(x[i] - top); }));
    for (uint32_t i = lane; i < p.cols; i += 32) y[i] = (x[i] - top) - log_sum;
  });
}

// dx = y (dy - sum(dy y))
extern "C" __global__ void __launch_bounds__(256) softmaxGrad(const SoftmaxParams p) {
  for_rows(p.rows, [&](uint32_t row, uint32_t lane) {
    const float *dy = at(p.a, row, p.pitch_a, 0), *y = at(p.b, row, p.pitch_b, 0);
    float* dx = at(p.y, row, p.pitch_y, 0);
    const float mean = row_sum(p.cols, lane, [&](uint32_t i) { return dy[i] * y[i]; });
    for (uint32_t i = lane; i < p.cols; i += 32) dx[i] = y[i] * (dy[i] - mean);
  });
}

// dx = dy - exp(y) sum(dy)
extern "C" __global__ void __launch_bounds__(256) logSoftmaxGrad(const SoftmaxParams p) {
  for_rows(p.rows, [&](uint32_t row, uint32_t lane) {
    const float *dy = at(p.a, row, p.pitch_a, 0), *y = at(p.b, row, p.pitch_b, 0);
    float* dx = at(p.y, row, p.pitch_y, 0);
    const float sum = row_sum(p.cols, lane, [&](uint32_t i) { return dy[i]; });
    for (uint32_t i = lane; i < p.cols; i += 32) dx[i] = fmaf(exp_of(y[i]), -sum, dy[i]);
  });
}

// The sum of the rows' weights, by one block.
extern "C" __global__ void __launch_bounds__(256) crossEntropyTotal(const CrossEntropyParams p) {
  float sum = 0;
  for (uint32_t n = threadIdx.x; n < p.rows; n += kBlock) sum += weight_of(p, p.labels[n]);
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) *p.total = sum;
}

// CE of a row against (1-s) onehot + s/K, and factor * (softmax - target).
extern "C" __global__ void __launch_bounds__(256) crossEntropyRows(const CrossEntropyParams p) {
  const float total = p.class_weights ? *p.total : static_cast<float>(p.rows);
  for_rows(p.rows, [&](uint32_t row, uint32_t lane) {
    const float* z = at(p.logits, row, p.pitch_logits, 0);
    float* gradient = at(p.gradient, row, p.pitch_gradient, 0);
    const int label = p.labels[row];
    const bool wrong = static_cast<uint32_t>(label) >= p.cols;
    if (wrong && lane == 0) report(p.fault);
    const float factor = total != 0 ? weight_of(p, label) / total : 0.0f;
    if (factor == 0) {  // whatever the row holds
      for (uint32_t i = lane; i < p.cols; i += 32) gradient[i] = 0;
      if (lane == 0) p.losses[row] = 0;
      return;
    }
    const float top = row_max(z, p.cols, lane), spread = p.smoothing / static_cast<float>(p.cols);
    // Read before the gradient is written, which may be the logits' own memory.
    const float at_label = wrong ? top : z[label];
    // Without smoothing a class may be ruled out by minus infinity.
    const float shifted = spread != 0 ? row_sum(p.cols, lane, [&](uint32_t i) { return z[i] - top; }) : 0.0f;
    const float sum = row_sum(p.cols, lane, [&](uint32_t i) { return exp_of(z[i] - top); });
    __syncwarp();
    const float inverse = 1.0f / sum;
    for (uint32_t i = lane; i < p.cols; i += 32) {
      const float target = spread + (static_cast<int>(i) == label ? 1.0f - p.smoothing : 0.0f);
      gradient[i] = factor * (exp_of(z[i] - top) * inverse - target);
    }
    if (lane == 0) p.losses[row] = factor * (log_of(sum) - (1.0f - p.smoothing) * (at_label - top) - spread * shifted);
  });
}

extern "C" __global__ void __launch_bounds__(256) crossEntropyLoss(const CrossEntropyParams p) {
  float sum = 0;
  for (uint32_t n = threadIdx.x; n < p.rows; n += kBlock) sum += p.losses[n];
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) *p.loss = sum;
}

// The share of rows whose first arg-max is the label, by one block. As comparisons have it, a NaN is no maximum, but
// one in front stays the first.
extern "C" __global__ void __launch_bounds__(256) accuracy(const AccuracyParams p) {
  float right = 0;
  for_rows(p.rows, [&](uint32_t row, uint32_t lane) {
    const float* z = at(p.logits, row, p.pitch, 0);
    const float infinite = __int_as_float(0x7f800000);
    float best = -infinite;
    uint32_t where = 0xffffffffu;
    // Without branches, so that no lane waits for another.
    const auto see = [&](float value, uint32_t i) {
      const bool better = (value > best) | ((value == best) & (i < where));
      best = better ? value : best, where = better ? i : where;
    };
    for (uint32_t i = lane; i < p.cols; i += 32) {
      const float value = z[i];
      see((value != value) & (i == 0) ? infinite : fmaxf(value, -infinite), i);  // the larger of NaN and x is x
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
      see(__shfl_xor_sync(kFullWarp, best, step), __shfl_xor_sync(kFullWarp, where, step));
    if (lane == 0 && where == static_cast<uint32_t>(p.labels[row])) right += 1.0f;
  });
  right = block_sum<kBlock>(right);
  if (threadIdx.x == 0) *p.y = right / static_cast<float>(p.rows);
}
