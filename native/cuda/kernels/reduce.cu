// reduceSum, reduceMean, reduceMax over any axes, and the gradient of the maximum. Launched by reduce.cpp.
// The rule easy to break: which thread joins what, and in which order, follows from the parameters, never from the
// device.
#include "reduce.h"
#include "tile.cuh"

namespace gramian::cuda {

constexpr int kAtOnce = 4;  // loads under way in a thread

__device__ __forceinline__ Join opaque(Join join) { return static_cast<Join>(opaque(static_cast<uint32_t>(join))); }

__device__ __forceinline__ float start_of(Join join) { return join == Join::max ? __int_as_float(0xff800000) : 0.0f; }

/** Of what was joined before. A NaN stays. */
struct Joined {
  bool max;
  __device__ __forceinline__ float operator()(float a, float b) const { return max ? max_of(a, b) : a + b; }
};

template <int V>
__device__ __forceinline__ Floats<V> all(float value) {
  Floats<V> x;
#pragma unroll
  for (float& lane : x.lane) lane = value;
  return x;
}

/** Whether x is the maximum `best`: to one of NaN every NaN is. */
__device__ __forceinline__ bool is_max(float x, float best) { return x == best || (x != x && best != best); }

/** What changes nothing when it is joined. */
__device__ __forceinline__ float neutral_of(Join join, float best) {
  return join == Join::ties && best == best ? __int_as_float(0x7fc00000) : start_of(join);
}

template <int V, typename Op>
__device__ __forceinline__ void take(Floats<V>& joined, const Floats<V> (&x)[kAtOnce], const Op& op) {
#pragma unroll
  for (int k = 0; k < kAtOnce; ++k)
#pragma unroll
    for (int i = 0; i < V; ++i) joined.lane[i] = op(joined.lane[i], x[k].lane[i], i);
}

/** Joins x[address(i)] over i = begin, begin + step ... below end; ties counts elements that equal `best`. */
template <int V, typename Address>
__device__ __forceinline__ void join_all(const ReduceParams& p, uint32_t begin, uint32_t end, uint32_t step,
                                         Floats<V>& joined, const Floats<V>& best, const Address& address) {
  Floats<V> neutral;
#pragma unroll
  for (int i = 0; i < V; ++i) neutral.lane[i] = neutral_of(p.join, best.lane[i]);
#pragma unroll 1
  for (uint32_t i = begin; i < end; i += kAtOnce * step) {
    Floats<V> x[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) x[k] = i + k * step < end ? load<V>(address(i + k * step)) : neutral;
    switch (opaque(p.join)) {
      case Join::sum:
        take(joined, x, [](float a, float b, int) { return a + b; });
        break;
      case Join::max:
        take(joined, x, [](float a, float b, int) { return max_of(a, b); });
        break;
      case Join::squares:
        take(joined, x, [](float a, float b, int) { return fmaf(b, b, a); });
        break;
      case Join::ties:
        take(joined, x, [&](float a, float b, int lane) { return is_max(b, best.lane[lane]) ? a + 1.0f : a; });
        break;
    }
  }
}

template <int V>
__device__ __forceinline__ Floats<V> best_at(const ReduceParams& p, uint32_t offset) {
  return p.join == Join::ties ? load<V>(p.best + offset) : Floats<V>{};
}

template <int V>
__device__ __forceinline__ void put(float* to, Floats<V> x, float scale) {
#pragma unroll
  for (float& lane : x.lane) lane *= scale;
  store<V>(to, x);
}

template <int V>
__device__ __forceinline__ void reduce_tile(const ReduceTileParams& tiled) {
  __shared__ TileShared<1, V> shared;
  const ReduceParams& p = tiled.reduce;
  const TilePlace place = place_in(tiled.tile);
  const uint32_t output = p.chunks.quotient(place.item), chunk = place.item - output * p.chunks.divisor;
  const Offsets<3> at = locate(p.kept, output);
  const uint32_t column = place.piece * V;
  Floats<V> joined[1] = {all<V>(start_of(p.join))};
  if (place.active) {
    const float* x = p.x + at.of[0] + column;
    join_all(p, chunk * p.chunk + place.above, min(p.runs, (chunk + 1) * p.chunk), tiled.tile.above, joined[0],
             best_at<V>(p, at.of[2] + column), [&](uint32_t run) { return x + locate(p.reduced, run).of[0]; });
  }
  join_above(tiled.tile, place, joined, shared, Joined{p.join == Join::max});
  if (!place.active || place.above != 0) return;
  if (p.partial)
    store<V>(p.partial + (place.item * tiled.tile.pieces + place.piece) * V, joined[0]);
  else
    put<V>(p.y + at.of[1] + column, joined[0], p.scale);
}

template <int V>
__device__ __forceinline__ void reduce_serial(const ReduceSerialParams& serial) {
  const ReduceParams& p = serial.reduce;
  for_span<V>(serial.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Offsets<3> at = locate(p.kept, row);
    const float* x = p.x + at.of[0] + column;
    Floats<W> joined = all<W>(start_of(p.join));
    join_all(p, 0, p.runs, 1, joined, best_at<W>(p, at.of[2] + column),
             [&](uint32_t run) { return x + locate(p.reduced, run).of[0]; });
    put<W>(p.y + at.of[1] + column, joined, p.scale);
  });
}

/** The join over a group of lanes; for a whole block through shared memory. */
__device__ __forceinline__ float join_group(float x, uint32_t lanes, const Joined& join) {
  __shared__ float shared[kTileThreads / 32];
  const uint32_t warps = blockDim.x / 32;
#pragma unroll 1
  for (uint32_t step = min(lanes, 32u) / 2; step > 0; step /= 2) x = join(x, __shfl_xor_sync(kFullWarp, x, step));
  if (lanes <= 32) return x;
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  x = shared[0];
#pragma unroll 1
  for (uint32_t warp = 1; warp < warps; ++warp) x = join(x, shared[warp]);
  __syncthreads();
  return x;
}

template <int V>
__device__ __forceinline__ void reduce_rows(const ReduceRowsParams& rows) {
  const ReduceParams& p = rows.reduce;
  const uint32_t per_block = blockDim.x / rows.lanes, lane = threadIdx.x % rows.lanes;
  // Every thread of a block makes as many turns, since whole warps take part in a join.
#pragma unroll 1
  for (uint32_t first = blockIdx.x * per_block; first < rows.groups; first += gridDim.x * per_block) {
    const uint32_t group = first + threadIdx.x / rows.lanes;
    const bool real = group < rows.groups;
    const uint32_t output = p.chunks.quotient(group), chunk = group - output * p.chunks.divisor;
    const Offsets<3> at = locate(p.kept, output);
    const float* x = p.x + at.of[0];
    const Floats<V> best = all<V>(real ? best_at<1>(p, at.of[2]).lane[0] : 0.0f);
    Floats<V> joined = all<V>(start_of(p.join));
    join_all(p, chunk * p.chunk + lane, real ? min(rows.pieces, (chunk + 1) * p.chunk) : 0, rows.lanes, joined, best,
             [&](uint32_t piece) {
               const uint32_t run = rows.per_run.quotient(piece);
               return x + locate(p.reduced, run).of[0] + (piece - run * rows.per_run.divisor) * V;
             });
    const Joined join = {p.join == Join::max};
    float value = joined.lane[0];
#pragma unroll
    for (int i = 1; i < V; ++i) value = join(value, joined.lane[i]);
    value = join_group(value, rows.lanes, join);
    if (lane != 0 || !real) continue;
    if (p.partial)
      p.partial[group] = value;
    else
      p.y[at.of[1]] = value * p.scale;
  }
}

template <int V>
__device__ __forceinline__ void share_among_ties(const ShareParams& p) {
  for_span<V>(p.span, [&](auto width, uint32_t row, uint32_t column) {
    constexpr int W = decltype(width)::value;
    const Offsets<5> at = locate(p.nest, row);
    Floats<W> x = load<W>(p.x + at.of[1] + column);
    const Floats<W> y = load_step<W>(p.y + at.of[2], column, p.inner),
                    dy = load_step<W>(p.dy + at.of[3], column, p.inner),
                    ties = load_step<W>(p.ties + at.of[4], column, p.inner);
#pragma unroll
    for (int i = 0; i < W; ++i)
      x.lane[i] = is_max(x.lane[i], y.lane[i]) ? dy.lane[i] / fmaxf(ties.lane[i], 1.0f) : 0.0f;
    store<W>(p.dx + at.of[0] + column, x);
  });
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

#define REDUCE(name, Params, body)                                                                   \
  extern "C" __global__ void __launch_bounds__(256) reduce##name##_4(const Params p) { body<4>(p); } \
  extern "C" __global__ void __launch_bounds__(256) reduce##name##_1(const Params p) { body<1>(p); }

REDUCE(Tile, ReduceTileParams, reduce_tile)
REDUCE(Serial, ReduceSerialParams, reduce_serial)
REDUCE(Rows, ReduceRowsParams, reduce_rows)
REDUCE(Share, ShareParams, share_among_ties)
