// Parameters of optimizer.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "span.h"

namespace gramian::cuda {

/** What the tensors of a step have in common. */
struct AdamRule {
  const float* lr;
  const int32_t* step;
  float keep1, take1, keep2, take2;  // beta1, 1 - beta1, beta2, 1 - beta2
  float log_beta1, log_beta2;
  float eps, added, decay;  // added: decay of the gradient; decay: of the parameter itself, times the rate

#ifndef __CUDACC__
  bool operator==(const AdamRule&) const = default;
#endif
};

struct AdamParams {
  float* p;
  const float* g;
  float *m, *v;
  Span span;
  uint32_t pitch_p, pitch_g, pitch_m, pitch_v;
  AdamRule rule;
};

/** Elements that a block of adamMany updates. */
constexpr uint32_t kAdamChunk = 2048;
constexpr uint32_t kAdamTensors = 64;

/** A dense tensor among many; its blocks are those from `first_block` to the next one's. */
struct AdamTensor {
  float* p;
  const float* g;
  float *m, *v;
  uint32_t count, first_block;
};

struct AdamManyParams {
  AdamRule rule;
  uint32_t tensors;
  AdamTensor tensor[kAdamTensors];
};

struct SgdParams {
  const float *p, *g, *velocity, *lr;
  float *new_p, *new_velocity;
  Span span;
  uint32_t pitch_p, pitch_g, pitch_velocity;
  float momentum, decay;
  int32_t nesterov;
};

struct EmaParams {
  const float *s, *x;
  float* y;
  Span span;
  uint32_t pitch_s, pitch_x, pitch_y;
  float keep, take;
};

constexpr uint32_t kEmaTensors = 16;

/** y = keep s + take x, for a vector among many. */
struct EmaTensor {
  const float *s, *x;
  float* y;
  uint32_t count;
  float keep, take;
};

struct EmaManyParams {
  uint32_t tensors;
  EmaTensor tensor[kEmaTensors];
};

enum class Schedule : int32_t { constant, step, cosine, exponential };

struct ScheduleParams {
  const int32_t* step;
  float* lr;
  Schedule kind;
  double base, floor;
  double warmup, length;  // steps; length: of the cosine's half wave
  double every, log2_factor;
};

struct IncrementParams {
  const int32_t* from;
  int32_t* to;
};

}  // namespace gramian::cuda
