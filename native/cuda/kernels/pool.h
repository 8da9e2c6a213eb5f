// Parameters of pool.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "span.h"
#include "tile.h"

namespace gramian::cuda {

/** Windows along one axis of an image: output o covers cells o*stride - pad .. + kernel - 1. */
struct WindowAxis {
  uint32_t size, outputs;  // cells of the image, outputs
  uint32_t kernel, pad;
  Divisor stride;
};

struct PoolParams {
  const float* from;
  const int32_t* index;  // maxPoolGrad
  float* to;
  int32_t* place;         // maxPool
  Span span;              // over the rows written
  Divisor width, height;  // of the map written
  WindowAxis rows, cols;
  uint32_t pitch_from, pitch_to, pitch_index;
};

/** avgPool of large windows: an item of the tile is an output, its rows are the window's cells. */
struct TilePoolParams {
  PoolParams pool;
  ColumnTile tile;
  Divisor kernel_cols;
};

}  // namespace gramian::cuda
