// Parameters of separable.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "activation.h"
#include "divisor.h"

namespace gramian::cuda {

/**
 * [batchNorm -> activation ->] depthwise 3x3 (stride 1) -> pointwise. The map is cut into cells, those of the pooling
 * or else one; a cell is cut into tiles of tile_h x tile_w outputs, tile_h even; a block takes `per_block` tiles in a
 * row.
 */
struct SeparableParams {
  const float *x, *depthwise, *pointwise;
  Norm norm;         // of x; no batchNorm: mean is null
  float *y, *u;      // u: the depthwise result; null: not wanted
  float* cell_sums;  // [tile][channels]: of u; null: not pooled
  float* moments;    // [block][mean, squares][outputs] of y, then [block] rows; null: not wanted
  uint32_t pitch_x, pitch_depthwise, pitch_pointwise, pitch_y, pitch_u;
  int32_t image_h, image_w, rows, cols, top, left;  // output (i, j)'s window begins at (i + top, j + left)
  uint32_t channels, outputs;
  int32_t cell_h, cell_w, cell_top, cell_left;  // cell (i, j) begins at output (i * cell_h - cell_top, ...)
  uint32_t tile_h, tile_w, tiles, per_block, blocks;
  uint32_t wide_x,
      wide_y;  // 4 floats at once of x, u, the depthwise filter and the norm; of the pointwise filter and y
  Divisor tile_w_of, in_w_of;
  Divisor across_of, tiles_of;   // tiles across a cell, and of a cell
  Divisor cells_w_of, cells_of;  // cells across an image, and of an image
};

/** p = share * the tiles' sums of a cell. */
struct CellsParams {
  const float* cell_sums;
  float* p;
  uint32_t channels, pitch_p, cells;  // cells of all images
  uint32_t tiles;                     // of a cell
  int32_t rows, cols, cell_h, cell_w, cell_top, cell_left;
  Divisor cells_w_of, cells_of;
};

/** Joins the moments of blocks. */
struct JoinParams {
  const float* moments;
  float *mean, *variance;
  uint32_t blocks, outputs;
};

}  // namespace gramian::cuda
