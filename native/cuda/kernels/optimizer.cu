// Parameter updates: adam, sgd, the moving average, the schedule and the step counter. Launched by optimizer.cpp.
// The rule easy to break: outputs are the persistent tensors themselves, so a thread reads its elements before it
// writes.
#include "device.cuh"
#include "optimizer.h"

namespace gramian::cuda {

// Kingma and Ba 2015, algorithm 1; decoupled decay: Loshchilov and Hutter 2019. 1 - beta^t is -expm1(t log beta), which
// needs no double: its relative error is that of the logarithm.
struct AdamStep {
  float rate, correction, shrink;
};

__device__ __forceinline__ AdamStep adam_step(const AdamRule& rule) {
  const float lr = *rule.lr, t = static_cast<float>(*rule.step + 1);
  return {lr / -expm1_of(t * rule.log_beta1), 1.0f / -expm1_of(t * rule.log_beta2), lr * rule.decay};
}

/** W neighbours of a tensor. */
template <int W>
__device__ __forceinline__ void adam_at(const AdamRule& rule, const AdamStep& step, float* to_p, const float* from_g,
                                        float* to_m, float* to_v) {
  Floats<W> x = load<W>(to_p), m = load<W>(to_m), v = load<W>(to_v);
  const Floats<W> gradient = load<W>(from_g);
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const float g = fmaf(rule.added, x.lane[i], gradient.lane[i]);
    m.lane[i] = fmaf(rule.keep1, m.lane[i], rule.take1 * g);
    v.lane[i] = fmaf(rule.keep2, v.lane[i], rule.take2 * g * g);
    x.lane[i] -= fmaf(step.shrink, x.lane[i], step.rate * m.lane[i] / (sqrtf(v.lane[i] * step.correction) + rule.eps));
  }
  store<W>(to_m, m);
  store<W>(to_v, v);
  store<W>(to_p, x);
}

template <int V>
__device__ __forceinline__ void adam(const AdamParams& p) {
  const AdamStep step = adam_step(p.rule);
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    adam_at<W>(p.rule, step, at(p.p, row, p.pitch_p, column), at(p.g, row, p.pitch_g, column),
               at(p.m, row, p.pitch_m, column), at(p.v, row, p.pitch_v, column));
  });
}

/** The tensor of this block: the last whose blocks do not begin behind it. */
__device__ __forceinline__ uint32_t tensor_of_block(const AdamManyParams& p) {
  uint32_t low = 0, high = p.tensors;
#pragma unroll 1
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (p.tensor[middle].first_block <= blockIdx.x)
      low = middle;
    else
      high = middle;
  }
  return low;
}

template <int V>
__device__ __forceinline__ void sgd(const SgdParams& p) {
  const float lr = *p.lr;
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    Floats<W> x = load<W>(at(p.p, row, p.pitch_p, column)), u = load<W>(at(p.velocity, row, p.pitch_velocity, column));
    const Floats<W> gradient = load<W>(at(p.g, row, p.pitch_g, column));
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float g = fmaf(p.decay, x.lane[i], gradient.lane[i]);
      u.lane[i] = fmaf(p.momentum, u.lane[i], g);
      const float direction = p.nesterov ? fmaf(p.momentum, u.lane[i], g) : u.lane[i];
      x.lane[i] = fmaf(-lr, direction, x.lane[i]);
    }
    store<W>(at(p.new_velocity, row, p.pitch_velocity, column), u);
    store<W>(at(p.new_p, row, p.pitch_p, column), x);
  });
}

template <int V>
__device__ __forceinline__ void ema(const EmaParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    Floats<W> s = load<W>(at(p.s, row, p.pitch_s, column));
    const Floats<W> x = load<W>(at(p.x, row, p.pitch_x, column));
#pragma unroll
    for (int i = 0; i < W; ++i) s.lane[i] = fmaf(p.keep, s.lane[i], p.take * x.lane[i]);
    store<W>(at(p.y, row, p.pitch_y, column), s);
  });
}

/** 2^x to about 1 ulp of float. */
__device__ __forceinline__ float exp2_of(double x) {
  const double k = rint(fmin(fmax(x, -200.0), 200.0));
  const float part = exp_of(static_cast<float>((x - k) * 0.693147180559945309));
  // In two halves: a power of two may be out of range where the result is not.
  const int exponent = static_cast<int>(k), half = exponent >> 1;
  return part * __int_as_float((half + 127) << 23) * __int_as_float((exponent - half + 127) << 23);
}

/** (1 + cos(pi x)) / 2 = sin(pi (1-x)/2)^2 for 0 <= x <= 1, small errors where it is small. */
__device__ __forceinline__ float half_wave(double x) {
  // sin(pi t/2) by its series, t = 1-x; beyond 1/2 it is the cosine of the rest.
  const auto t = static_cast<float>(1.0 - x);
  const bool high = t > 0.5f;
  const float angle = (high ? static_cast<float>(x) : t) * 1.57079632679489662f, z = angle * angle;
  float s = -1.9515295891e-4f;
  s = fmaf(s, z, 8.3321608736e-3f);
  s = fmaf(s, z, -1.6666654611e-1f);
  s = fmaf(s * z, angle, angle);
  return high ? 1.0f - s * s : s * s;
}

/** One thread's work, so float64 is what keeps long runs exact. */
__device__ __forceinline__ float scheduled(const ScheduleParams& p) {
  const auto step = static_cast<double>(*p.step);
  if (step < p.warmup) return static_cast<float>(p.base * (step + 1) / p.warmup);
  const double s = step - p.warmup;
  if (p.kind == Schedule::constant) return static_cast<float>(p.base);
  if (p.kind == Schedule::cosine) {
    const double wave = half_wave(fmin(s / p.length, 1.0));
    return static_cast<float>(p.floor + (p.base - p.floor) * wave);
  }
  const double times = p.kind == Schedule::step ? floor(s / p.every) : s / p.every;
  return static_cast<float>(p.base) * exp2_of(times * p.log2_factor);
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) adam_4(const AdamParams p) { adam<4>(p); }
extern "C" __global__ void __launch_bounds__(256) adam_1(const AdamParams p) { adam<1>(p); }
// Every dense tensor of 16-byte aligned memory, a chunk to a block.
extern "C" __global__ void __launch_bounds__(256) adamMany(const __grid_constant__ AdamManyParams p) {
  const AdamStep step = adam_step(p.rule);
  const AdamTensor& tensor = p.tensor[tensor_of_block(p)];
  const uint32_t begin = (blockIdx.x - tensor.first_block) * kAdamChunk;
  const uint32_t end = min(begin + kAdamChunk, tensor.count), whole = end - end % 4;
#pragma unroll 1
  for (uint32_t i = begin + 4 * threadIdx.x; i < whole; i += 4 * 256)
    adam_at<4>(p.rule, step, tensor.p + i, tensor.g + i, tensor.m + i, tensor.v + i);
  const uint32_t last = whole + threadIdx.x;
  if (last < end) adam_at<1>(p.rule, step, tensor.p + last, tensor.g + last, tensor.m + last, tensor.v + last);
}
extern "C" __global__ void __launch_bounds__(256) sgd_4(const SgdParams p) { sgd<4>(p); }
extern "C" __global__ void __launch_bounds__(256) sgd_1(const SgdParams p) { sgd<1>(p); }
extern "C" __global__ void __launch_bounds__(256) ema_4(const EmaParams p) { ema<4>(p); }
extern "C" __global__ void __launch_bounds__(256) ema_1(const EmaParams p) { ema<1>(p); }
extern "C" __global__ void __launch_bounds__(256) emaMany(const __grid_constant__ EmaManyParams p) {
  const EmaTensor& tensor = p.tensor[blockIdx.x];
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < tensor.count; i += 256)
    tensor.y[i] = fmaf(tensor.keep, tensor.s[i], tensor.take * tensor.x[i]);
}
extern "C" __global__ void __launch_bounds__(32) increment(const IncrementParams p) { *p.to = *p.from + 1; }
extern "C" __global__ void __launch_bounds__(32) schedule(const ScheduleParams p) { *p.lr = scheduled(p); }
