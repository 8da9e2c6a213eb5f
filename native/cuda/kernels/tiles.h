// Makes a Tile. Host only; used by kernels/*.cpp.
// The rule easy to break: what is summed in which order follows from the tile, so it is made of shapes alone.
#pragma once
#include "cuda/kernel.h"
#include "cuda/kernels/tile.h"

namespace gramian::cuda {

constexpr int64_t kTileThreads = 256, kMostSide = 64;

struct Tiles {
  Tile tile;
  bool wide;  // pieces of 4 columns
  unsigned threads;

  int64_t blocks() const { return tile.blocks.divisor; }
  const char* suffix() const { return wide ? "_4" : "_1"; }
};

/** For `rows` rows of `cols` columns to an item. */
inline Tiles tiles_for(int64_t rows, int64_t cols, bool wide) {
  const int64_t pieces = wide ? cols / 4 : cols, blocks = ceil_div(pieces, kMostSide), side = ceil_div(pieces, blocks);
  const int64_t most = kTileThreads / side, above = rows < most ? rows : most;
  Tiles tiles;
  tiles.tile = {make_divisor(side), make_divisor(blocks), static_cast<uint32_t>(above), static_cast<uint32_t>(pieces)};
  tiles.wide = wide;
  tiles.threads = static_cast<unsigned>(ceil_div(side * above, 32) * 32);
  return tiles;
}

/** Into how many chunks each item's rows are cut: 16 rows and more to a thread, and about a thousand blocks in all. */
inline int64_t chunks_for(const Tiles& tiles, int64_t items, int64_t rows) {
  const int64_t most = ceil_div(rows, int64_t{tiles.tile.above} * 16), enough = ceil_div(1024, items * tiles.blocks());
  return most < enough ? most : enough;
}

}  // namespace gramian::cuda
