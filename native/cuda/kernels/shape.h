// Parameters of shape.cu. Plain data for host and device code; sizes, pitches and steps in elements.
#pragma once
#include "nest.h"
#include "span.h"

namespace gramian::cuda {

/** y = x; operands of the nest are y, x. */
struct MoveParams {
  const void* x;
  void* y;
  Nest<2> nest;
  Span span;
};

/** y[r, c] = x[c, r] for each item of the nest, whose operands are y, x; items are cut into tiles of 32 by 32. */
struct TransposeParams {
  const uint32_t* x;
  uint32_t* y;
  Nest<2> nest;
  Divisor row_tiles, col_tiles;
  uint32_t tiles;  // row_tiles * col_tiles * items
  uint32_t rows, cols, step_x, step_y;
};

/** y = x in row-major order, rows of another length. */
struct ReshapeParams {
  const void* x;
  void* y;
  Divisor cols_x, cols_y;  // in pieces
  uint32_t pieces, pitch_x, pitch_y;
};

/** The axes in front of the last, inner ones first. */
struct PadParams {
  const float* x;
  float* y;
  Span span;
  uint32_t axes;
  Divisor size[kMostAxes];  // of y
  uint32_t before[kMostAxes], size_x[kMostAxes], step_x[kMostAxes];
  uint32_t left, cols_x, pitch_y;
  float value;
};

}  // namespace gramian::cuda
