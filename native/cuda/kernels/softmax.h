// Parameters of softmax.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include <stdint.h>

#include "fault.h"

namespace gramian::cuda {

/** y = f(a), or y = f(a, b) of a gradient, a row at a time. */
struct SoftmaxParams {
  const float *a, *b;
  float* y;
  uint32_t rows, cols, pitch_a, pitch_b, pitch_y;
};

struct CrossEntropyParams {
  const float* logits;
  const int32_t* labels;
  const float* class_weights;  // null: all 1
  float* gradient;
  float* total;   // the weights' sum, where there are class weights
  float* losses;  // of each row, weighted
  float* loss;
  float smoothing;
  uint32_t rows, cols, pitch_logits, pitch_gradient;
  Fault fault;  // a label outside 0..cols-1
};

struct AccuracyParams {
  const float* logits;
  const int32_t* labels;
  float* y;
  uint32_t rows, cols, pitch;
};

}  // namespace gramian::cuda
