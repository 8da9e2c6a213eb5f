// Makes a ColumnTile. Host only; used by kernels/*.cpp.
// The rule easy to break: what is summed in which order follows from the tile, so it is made of shapes alone.
#pragma once
#include <numeric>

#include "cuda/kernel.h"
#include "cuda/kernels/tile.h"

namespace gramian::cuda {

constexpr int64_t kTileThreads = 256, kMostSide = 64;
constexpr int64_t kSector = 8;  // floats of 32 bytes

struct ColumnTiles {
  ColumnTile tile;
  bool wide;  // pieces of 4 columns
  unsigned threads;

  int64_t blocks() const { return tile.blocks.divisor; }
  const char* suffix() const { return wide ? "_4" : "_1"; }
};

/** For `rows` rows of `cols` columns to an item. */
inline ColumnTiles tiles_for(int64_t rows, int64_t cols, bool wide, int64_t most_side = kMostSide) {
  const int64_t pieces = wide ? cols / 4 : cols, blocks = ceil_div(pieces, most_side), side = ceil_div(pieces, blocks);
  // Where rows are no vectors, as many as make whole sectors of 32 bytes.
  const int64_t whole = wide ? 1 : 8 / std::gcd(int64_t{8}, side), fit = kTileThreads / side;
  const int64_t most = fit > whole ? fit / whole * whole : fit, above = rows < most ? rows : most;
  ColumnTiles tiles;
  tiles.tile = {make_divisor(side), make_divisor(blocks), static_cast<uint32_t>(above), static_cast<uint32_t>(pieces)};
  tiles.wide = wide;
  tiles.threads = static_cast<unsigned>(ceil_div(side * above, 32) * 32);
  return tiles;
}

/**
 * For joining what many blocks left, a row each: narrow, so that a thread has few rows to wait for. Joins of a thousand
 * rows by tiles of 64 columns took 120 us on an H200, as long as reading 300 MB.
 */
inline ColumnTiles join_tiles_for(int64_t rows, int64_t cols, bool wide) {
  return tiles_for(rows, cols, wide, wide ? kSector / 4 : kSector);
}

struct Chunks {
  int64_t count, rows;  // rows: of each but the last
};

/** Rows cut into at most `most` chunks, which begin where dense rows do at 32 bytes. */
inline Chunks cut_rows(int64_t rows, int64_t most) {
  const int64_t each = most > 1 ? ceil_div(ceil_div(rows, most), 8) * 8 : rows;
  return {ceil_div(rows, each), each};
}

/** Chunks of each item's rows: 16 rows and more to a thread, and about five hundred blocks in all. */
inline Chunks chunks_for(const ColumnTiles& tiles, int64_t items, int64_t rows) {
  const int64_t most = ceil_div(rows, int64_t{tiles.tile.above} * 16), enough = ceil_div(512, items * tiles.blocks());
  return cut_rows(rows, most < enough ? most : enough);
}

}  // namespace gramian::cuda
