// Parameters of reduce.cu. Plain data for host and device code; steps in elements.
#pragma once
#include "nest.h"
#include "span.h"
#include "tile.h"

namespace gramian::cuda {

enum class Join : uint32_t { sum, max, ties, squares };

/** What every walk needs: outputs are items of `kept`, what is joined are items of `reduced`. */
struct ReduceParams {
  const float* x;
  const float* best;  // ties: the maxima, of y's shape
  float* y;
  float* partial;                  // [outputs, chunks, cols] where there are chunks, else null
  Nest<3, kMostAxes / 2> kept;     // x, y, best
  Nest<1, kMostAxes / 2> reduced;  // x
  uint32_t runs;                   // items of `reduced`
  uint32_t chunk;                  // runs (rows: pieces) to a chunk
  Divisor chunks;
  Join join;
  float scale;  // of y, not of partial
};

/** The last axis is kept: an item of the tile is a chunk of an output, its rows are the runs. */
struct ReduceTileParams {
  ReduceParams reduce;
  ColumnTile tile;
};

/** The last axis is kept and runs are few: a thread to a piece of an output. */
struct ReduceSerialParams {
  ReduceParams reduce;
  Span span;
};

/** The last axis is reduced: `lanes` threads of a warp, or a whole block, to a chunk of an output. */
struct ReduceRowsParams {
  ReduceParams reduce;
  Divisor per_run;  // pieces of a run of neighbours
  uint32_t pieces;  // of an output
  uint32_t groups;  // outputs * chunks
  uint32_t lanes;   // a power of two; more than a warp: the block
};

/** dx = x == y ? dy / ties : 0; operands of the nest are dx, x, y, dy, ties. */
struct ShareParams {
  const float *x, *y, *dy, *ties;
  float* dx;
  Nest<5> nest;
  Span span;
  uint32_t inner;  // 1: the last axis is kept, so y, dy and ties step along the row
};

}  // namespace gramian::cuda
