// Parameters of batch_norm.cu. Plain data for host and device code; pitches in elements. x is rows of channels.
#pragma once
#include "activation.h"
#include "tile.h"

namespace gramian::cuda {

/** An item of the tile is a chunk of rows. */
struct NormRows {
  ColumnTile tile;
  uint32_t rows, cols, chunk, chunks;
};

struct MomentsParams {
  const float* x;
  float *mean, *variance;
  float* partial;  // [chunks, 2, cols]: mean and centred sum of squares of a chunk; null where there is one chunk
  NormRows over;
  uint32_t pitch;
};

struct BatchNormParams {
  const float* x;
  float* y;
  Norm norm;
  NormRows over;
  uint32_t pitch_x, pitch_y;
};

/** The sums of d and d * (x - mean), d = dy * act'(pre-activation). */
struct NormGradParams {
  const float *dy, *x;
  float *dgamma, *dbeta;
  float* partial;  // [chunks, 2, cols]: of d * (x - mean) and d; null where there is one chunk
  Norm norm;
  NormRows over;
  uint32_t pitch_dy, pitch_x;
};

/** dx = scale * d - shift - slope * (x - mean) (+ other); see batch_norm.cpp. */
struct NormGradInputParams {
  const float *dy, *x, *other;
  float* dx;
  Norm norm;
  const float *dgamma, *dbeta;  // of which shift and slope are made, unless given:
  const float *shift, *slope;   // then scale is 1
  float per_row;                // 1 / rows in training, else 0
  NormRows over;
  uint32_t pitch_dy, pitch_x, pitch_other, pitch_dx;
};

struct NormTermsParams {
  const float *variance, *gamma, *dgamma, *dbeta;
  const float *more_shift, *more_slope;  // null: nothing to add to
  float *shift, *slope;
  float eps, per_row;
  uint32_t cols;
};

/** u = z / max(norm of the row, eps); with dy its gradient. A block to `chunk` pieces of a row. */
struct RowNormParams {
  const float *z, *dy;
  float* y;
  float* partial;  // [rows, chunks, 2]: z.z and z.dy; null where there is one chunk
  Divisor chunks;
  uint32_t pieces, chunk, pitch_z, pitch_dy, pitch_y;
  float eps;
};

}  // namespace gramian::cuda
