// concat, slice, transpose, reshape and pad: elements change place, never value. Launched by shape.cpp.
// The rule easy to break: a tile in shared memory has 33 columns, so that neither its rows nor its columns share a
// bank.
#include "device.cuh"
#include "shape.h"

namespace gramian::cuda {

constexpr uint32_t kTile = 32, kTileRows = 8;

/** Units of four words, one word or a byte. */
template <typename Unit, typename Item>
__device__ __forceinline__ void move(const MoveParams& p) {
  constexpr int V = sizeof(Unit) / sizeof(Item);
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    const Offsets<2> at = locate(p.nest, row);
    Item* to = static_cast<Item*>(p.y) + at.of[0] + column;
    const Item* from = static_cast<const Item*>(p.x) + at.of[1] + column;
    if constexpr (decltype(width)::value == V) {
      *reinterpret_cast<Unit*>(to) = *reinterpret_cast<const Unit*>(from);
    } else {
      *to = *from;
    }
  });
}

template <typename Unit, typename Item>
__device__ __forceinline__ void reshape(const ReshapeParams& p) {
  constexpr uint32_t V = sizeof(Unit) / sizeof(Item);
#pragma unroll 1
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < p.pieces; i += gridDim.x * blockDim.x) {
    const uint32_t row_x = p.cols_x.quotient(i), row_y = p.cols_y.quotient(i);
    const Item* from = at(static_cast<const Item*>(p.x), row_x, p.pitch_x, (i - row_x * p.cols_x.divisor) * V);
    Item* to = at(static_cast<Item*>(p.y), row_y, p.pitch_y, (i - row_y * p.cols_y.divisor) * V);
    *reinterpret_cast<Unit*>(to) = *reinterpret_cast<const Unit*>(from);
  }
}

template <int V>
__device__ __forceinline__ void pad(const PadParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    uint32_t rest = row, offset = 0;
    const uint32_t axes = opaque(p.axes), from = column - p.left;
    bool inside = from < p.cols_x;
#pragma unroll
    for (int axis = 0; axis < kMostAxes; ++axis) {
      if (axis >= axes) break;
      const uint32_t outer = p.size[axis].quotient(rest);
      const uint32_t index = rest - outer * p.size[axis].divisor - p.before[axis];
      inside = inside && index < p.size_x[axis];
      offset += index * p.step_x[axis];
      rest = outer;
    }
    Floats<W> x;
#pragma unroll
    for (float& lane : x.lane) lane = p.value;
    if (inside) x = load<W>(p.x + offset + from);
    store<W>(at(p.y, row, p.pitch_y, column), x);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) moveWords_4(const MoveParams p) { move<uint4, uint32_t>(p); }
extern "C" __global__ void __launch_bounds__(256) moveWords_1(const MoveParams p) { move<uint32_t, uint32_t>(p); }
extern "C" __global__ void __launch_bounds__(256) moveBytes_1(const MoveParams p) { move<uint8_t, uint8_t>(p); }

extern "C" __global__ void __launch_bounds__(256) reshapeWords_4(const ReshapeParams p) { reshape<uint4, uint32_t>(p); }
extern "C" __global__ void __launch_bounds__(256) reshapeWords_1(const ReshapeParams p) {
  reshape<uint32_t, uint32_t>(p);
}
extern "C" __global__ void __launch_bounds__(256) reshapeBytes_1(const ReshapeParams p) {
  reshape<uint8_t, uint8_t>(p);
}

extern "C" __global__ void __launch_bounds__(256) pad_4(const PadParams p) { pad<4>(p); }
extern "C" __global__ void __launch_bounds__(256) pad_1(const PadParams p) { pad<1>(p); }

// Threads side by side read neighbours of x, then write neighbours of y.
extern "C" __global__ void __launch_bounds__(256) transpose(const TransposeParams p) {
  __shared__ uint32_t tile[kTile][kTile + 1];
  const uint32_t lane = threadIdx.x % kTile, first = threadIdx.x / kTile;
#pragma unroll 1
  for (uint32_t i = blockIdx.x; i < p.tiles; i += gridDim.x) {
    const uint32_t band = p.col_tiles.quotient(i), item = p.row_tiles.quotient(band);
    const uint32_t col = (i - band * p.col_tiles.divisor) * kTile, row = (band - item * p.row_tiles.divisor) * kTile;
    const Offsets<2> at = locate(p.nest, item);
    const uint32_t* x = p.x + at.of[1] + row + lane;
    uint32_t* y = p.y + at.of[0] + col + lane;
#pragma unroll
    for (uint32_t k = first; k < kTile; k += kTileRows)
      if (row + lane < p.rows && col + k < p.cols) tile[k][lane] = x[(col + k) * p.step_x];
    __syncthreads();
#pragma unroll
    for (uint32_t k = first; k < kTile; k += kTileRows)
      if (col + lane < p.cols && row + k < p.rows) y[(row + k) * p.step_y] = tile[lane][k];
    __syncthreads();
  }
}
