// Threads of a block over columns (tile.h): which piece is a thread's, and the tree that joins those above one another.
// Included by kernels/*.cu. The rule easy to break: all threads of the block call join_above, also those without work.
#pragma once
#include "device.cuh"
#include "tile.h"

namespace gramian::cuda {

constexpr uint32_t kTileThreads = 256;

struct TilePlace {
  uint32_t item;   // of the block
  uint32_t piece;  // of a row
  uint32_t above;  // first row of the item's
  bool active;
};

__device__ __forceinline__ TilePlace place_in(const ColumnTile& tile) {
  const uint32_t item = tile.blocks.quotient(blockIdx.x), block = blockIdx.x - item * tile.blocks.divisor;
  const uint32_t above = tile.side.quotient(threadIdx.x), side = threadIdx.x - above * tile.side.divisor;
  const uint32_t piece = block * tile.side.divisor + side;
  return {item, piece, above, above < tile.above && piece < tile.pieces};
}

/** Room for the tree of K pieces of V floats to a thread. */
template <int K, int V>
struct TileShared {
  float lanes[K][kTileThreads * V];
};

/** After it the uppermost threads hold the join of all threads below them, and so does shared memory (top_of). */
template <int K, int V, typename Join>
__device__ __forceinline__ void join_above(const ColumnTile& tile, const TilePlace& at, Floats<V> (&x)[K],
                                           TileShared<K, V>& shared, const Join& join) {
  if (at.active) {
#pragma unroll
    for (int k = 0; k < K; ++k) store<V>(shared.lanes[k] + threadIdx.x * V, x[k]);
  }
  __syncthreads();
#pragma unroll 1
  for (uint32_t left = tile.above; left > 1;) {
    const uint32_t half = (left + 1) / 2;
    if (at.active && at.above < left - half) {
      const uint32_t other = threadIdx.x + half * tile.side.divisor;
#pragma unroll
      for (int k = 0; k < K; ++k) {
        const Floats<V> below = load<V>(shared.lanes[k] + other * V);
#pragma unroll
        for (int i = 0; i < V; ++i) x[k].lane[i] = join(x[k].lane[i], below.lane[i]);
        store<V>(shared.lanes[k] + threadIdx.x * V, x[k]);
      }
    }
    __syncthreads();
    left = half;
  }
}

/** What the uppermost thread of this thread's columns holds after join_above. */
template <int V, int K>
__device__ __forceinline__ Floats<V> top_of(const ColumnTile& tile, const TilePlace& at, const TileShared<K, V>& shared,
                                            int k) {
  return load<V>(shared.lanes[k] + (threadIdx.x - at.above * tile.side.divisor) * V);
}

struct Add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace gramian::cuda
