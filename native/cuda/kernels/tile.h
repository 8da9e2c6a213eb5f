// How a block works on columns of a matrix: `side` threads side by side, each with a piece of a row, and `above` of
// them above one another, which share the rows. Plain data for host and device code; tiles.h makes it, tile.cuh uses
// it. The rule easy to break: blocks are numbered item * blocks + block, an item being whatever rows the kernel gives
// it.
#pragma once
#include "divisor.h"

namespace gramian::cuda {

struct ColumnTile {
  Divisor side, blocks;    // blocks: to a row
  uint32_t above, pieces;  // pieces: of a row
};

}  // namespace gramian::cuda
