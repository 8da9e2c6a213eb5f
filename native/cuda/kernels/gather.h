// Parameters of gather.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "fault.h"
#include "span.h"

namespace gramian::cuda {

/** Rows of x[N, rows, D] chosen by index[N, picks], or the gradient by x. */
struct GatherParams {
  const float* from;
  const int32_t* index;
  float* to;
  Span span;             // over the rows written
  Divisor rows_to;       // of each sample, written
  uint32_t rows_from;    // of each sample, read
  uint32_t picks, rows;  // K and P
  uint32_t pitch_from, pitch_index, pitch_to;
  Fault fault;  // an index outside 0..rows-1
};

struct TopParams {
  const float* norms;  // [N, rows], squared
  int32_t* index;
  uint32_t samples, rows, picks, pitch_index;
};

}  // namespace gramian::cuda
