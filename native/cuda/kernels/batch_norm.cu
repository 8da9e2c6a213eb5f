// Batch statistics, batch normalisation with an activation and its gradients, and row normalisation. Launched by
// batch_norm.cpp. A thread keeps a few channels and walks down the rows (tile.h).
// The rule easy to break: dx may be dy's or other's own memory, so a thread reads its elements before it writes them.
#include "batch_norm.h"
#include "norm.cuh"
#include "tile.cuh"

namespace gramian::cuda {

// Rows under way in a thread; of those that are activated fewer, since each holds the code of every activation.
constexpr int kAtOnce = 4, kActivated = 2;

/** The rows of this block's chunk. */
__device__ __forceinline__ uint32_t first_row(const NormRows& over, const TilePlace& place) {
  return place.item * over.chunk + place.above;
}
__device__ __forceinline__ uint32_t end_row(const NormRows& over, const TilePlace& place) {
  return min(over.rows, (place.item + 1) * over.chunk);
}

template <int V>
__device__ __forceinline__ Floats<V> load_or_zero(bool inside, const float* from) {
  return inside ? load<V>(from) : zeros<V>();
}

// ---------------------------------------------------------------- moments

/** What a thread knows of the rows it has seen: their number, mean and centred sum of squares. */
template <int V>
struct Moments {
  float count;
  Floats<V> mean, squares;
};

/** Joins a few rows, whose mean is taken off before they are squared (Chan, Golub, LeVeque 1983). */
template <int V>
__device__ __forceinline__ void join_rows(Moments<V>& m, const Floats<V> (&x)[kAtOnce], uint32_t rows) {
  const auto count = static_cast<float>(rows);
  const float total = m.count + count, each = 1.0f / count, share = count / total, weight = m.count * share;
#pragma unroll
  for (int i = 0; i < V; ++i) {
    float sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) sum += x[k].lane[i];
    const float mean = sum * each, shift = mean - m.mean.lane[i];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const float d = k < rows ? x[k].lane[i] - mean : 0.0f;
      squares = fmaf(d, d, squares);
    }
    m.mean.lane[i] = fmaf(shift, share, m.mean.lane[i]);
    m.squares.lane[i] += fmaf(shift * shift, weight, squares);
  }
  m.count = total;
}

/** Joins what threads above one another know: the mean of all, then the squares about it. */
template <int V>
__device__ __forceinline__ void join_moments(const ColumnTile& tile, const TilePlace& place, float rows,
                                             Moments<V>& m) {
  __shared__ TileShared<1, V> shared;
  Floats<V> x[1];
#pragma unroll
  for (int i = 0; i < V; ++i) x[0].lane[i] = m.mean.lane[i] * m.count;
  join_above(tile, place, x, shared, Add());
  Floats<V> mean = zeros<V>();
  if (place.active) mean = top_of<V>(tile, place, shared, 0);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    mean.lane[i] *= 1.0f / rows;
    const float shift = m.mean.lane[i] - mean.lane[i];
    x[0].lane[i] = fmaf(shift * shift, m.count, m.squares.lane[i]);
  }
  __syncthreads();
  join_above(tile, place, x, shared, Add());
  m.mean = mean;
  m.squares = x[0];
}

/** Never below zero, NaN kept. */
__device__ __forceinline__ float variance_of(float squares, float rows) {
  const float variance = squares / rows;
  return variance < 0.0f ? 0.0f : variance;
}

template <int V>
__device__ __forceinline__ void moments(const MomentsParams& p) {
  const TilePlace place = place_in(p.over.tile);
  const uint32_t column = place.piece * V, step = p.over.tile.above, end = end_row(p.over, place);
  Moments<V> m = {0, zeros<V>(), zeros<V>()};
#pragma unroll 1
  for (uint32_t row = first_row(p.over, place); place.active && row < end; row += kAtOnce * step) {
    Floats<V> x[kAtOnce];
    uint32_t rows = 0;
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const uint32_t here = row + k * step;
      x[k] = load_or_zero<V>(here < end, at(p.x, here, p.pitch, column));
      rows += here < end ? 1 : 0;
    }
    join_rows(m, x, rows);
  }
  const auto rows = static_cast<float>(end - place.item * p.over.chunk);
  join_moments(p.over.tile, place, rows, m);
  if (!place.active || place.above != 0) return;
  if (p.partial) {
    float* partial = p.partial + place.item * 2 * p.over.cols + column;
    store<V>(partial, m.mean);
    store<V>(partial + p.over.cols, m.squares);
  } else {
    store<V>(p.mean + column, m.mean);
#pragma unroll
    for (float& lane : m.squares.lane) lane = variance_of(lane, rows);
    store<V>(p.variance + column, m.squares);
  }
}

// ---------------------------------------------------------------- gradients

/** act'(x) of the pre-activation. */
template <int V>
__device__ __forceinline__ void times_slope(Floats<V>& d, const Floats<V>& x, const Norm& norm) {
  // The branches are the same for the whole grid.
  if (norm.activation == Activation::none) return;
#pragma unroll
  for (int i = 0; i < V; ++i) {
    const float z = x.lane[i];
    if (norm.activation == Activation::relu)
      d.lane[i] = z > 0.0f ? d.lane[i] : 0.0f;
    else if (norm.activation == Activation::leakyRelu)
      d.lane[i] = z > 0.0f ? d.lane[i] : norm.alpha * d.lane[i];
  }
  if (norm.activation <= Activation::leakyRelu) return;
#pragma unroll
  for (int i = 0; i < V; ++i) {
    const float z = x.lane[i], y = curve(z, norm);
    d.lane[i] *= norm.activation == Activation::elu    ? z > 0.0f ? 1.0f : y + norm.alpha
                 : norm.activation == Activation::tanh ? 1.0f - y * y
                                                       : y * (1.0f - y);
  }
}

/** dy becomes d = dy * act'(pre-activation), x becomes x - mean. */
template <int V>
__device__ __forceinline__ void undo_activation(Floats<V>& dy, Floats<V>& x, const Channels<V>& c, const Norm& norm) {
  Floats<V> before;
#pragma unroll
  for (int i = 0; i < V; ++i) {
    x.lane[i] -= c.mean.lane[i];
    before.lane[i] = fmaf(x.lane[i], c.scale.lane[i], c.beta.lane[i]);
  }
  times_slope(dy, before, norm);
}

template <int V>
__device__ __forceinline__ void gradient_params(const NormGradParams& p) {
  __shared__ TileShared<2, V> shared;
  const TilePlace place = place_in(p.over.tile);
  const uint32_t column = place.piece * V, step = p.over.tile.above, end = end_row(p.over, place);
  Floats<V> sums[2] = {zeros<V>(), zeros<V>()};
  if (place.active) {
    const Channels<V> c = channels_of<V>(p.norm, column);
#pragma unroll 1
    for (uint32_t row = first_row(p.over, place); row < end; row += kActivated * step) {
      Floats<V> d[kActivated], x[kActivated];
#pragma unroll
      for (int k = 0; k < kActivated; ++k) {
        const uint32_t here = row + k * step;
        d[k] = load_or_zero<V>(here < end, at(p.dy, here, p.pitch_dy, column));
        x[k] = load_or_zero<V>(here < end, at(p.x, here, p.pitch_x, column));
      }
#pragma unroll
      for (int k = 0; k < kActivated; ++k) {
        undo_activation(d[k], x[k], c, p.norm);
#pragma unroll
        for (int i = 0; i < V; ++i) {
          sums[0].lane[i] = fmaf(d[k].lane[i], x[k].lane[i], sums[0].lane[i]);
          sums[1].lane[i] += d[k].lane[i];
        }
      }
    }
  }
  join_above(p.over.tile, place, sums, shared, Add());
  if (!place.active || place.above != 0) return;
  if (p.partial) {
    float* partial = p.partial + place.item * 2 * p.over.cols + column;
    store<V>(partial, sums[0]);
    store<V>(partial + p.over.cols, sums[1]);
    return;
  }
  const Floats<V> variance = load<V>(p.norm.variance + column);
#pragma unroll
  for (int i = 0; i < V; ++i) sums[0].lane[i] *= inverse_sqrt(variance.lane[i] + p.norm.eps);
  store<V>(p.dgamma + column, sums[0]);
  store<V>(p.dbeta + column, sums[1]);
}

/** Per channel, what a row of dx is made with. */
template <int V>
struct Correction {
  Channels<V> channels;
  Floats<V> shift, slope;
};

template <int V>
__device__ __forceinline__ Correction<V> correction_of(const NormGradInputParams& p, uint32_t column) {
  Correction<V> c;
  if (p.shift) {
    c.channels.mean = load<V>(p.norm.mean + column);
    c.channels.beta = zeros<V>();
    c.shift = load<V>(p.shift + column);
    c.slope = load<V>(p.slope + column);
#pragma unroll
    for (float& lane : c.channels.scale.lane) lane = 1.0f;
    return c;
  }
  c.channels = channels_of<V>(p.norm, column);
  const Floats<V> variance = load<V>(p.norm.variance + column);
  c.shift = load<V>(p.dbeta + column);
  c.slope = load<V>(p.dgamma + column);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    const float per_row = c.channels.scale.lane[i] * p.per_row;
    c.shift.lane[i] *= per_row;
    c.slope.lane[i] *= per_row * inverse_sqrt(variance.lane[i] + p.norm.eps);
  }
  return c;
}

template <int V>
__device__ __forceinline__ void gradient_input(const NormGradInputParams& p) {
  const TilePlace place = place_in(p.over.tile);
  if (!place.active) return;
  const uint32_t column = place.piece * V, step = p.over.tile.above, end = end_row(p.over, place);
  const Correction<V> c = correction_of<V>(p, column);
#pragma unroll 1
  for (uint32_t row = first_row(p.over, place); row < end; row += kActivated * step) {
    Floats<V> d[kActivated], x[kActivated], other[kActivated];
#pragma unroll
    for (int k = 0; k < kActivated; ++k) {
      const uint32_t here = row + k * step;
      d[k] = load_or_zero<V>(here < end, at(p.dy, here, p.pitch_dy, column));
      x[k] = load_or_zero<V>(here < end, at(p.x, here, p.pitch_x, column));
      other[k] = load_or_zero<V>(p.other && here < end, at(p.other, here, p.pitch_other, column));
    }
#pragma unroll
    for (int k = 0; k < kActivated; ++k) {
      undo_activation(d[k], x[k], c.channels, p.norm);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float direct = fmaf(d[k].lane[i], c.channels.scale.lane[i], -c.shift.lane[i]);
        d[k].lane[i] = fmaf(-x[k].lane[i], c.slope.lane[i], direct) + other[k].lane[i];
      }
      const uint32_t here = row + k * step;
      if (here < end) store<V>(at(p.dx, here, p.pitch_dx, column), d[k]);
    }
  }
}

template <int V>
__device__ __forceinline__ void batch_norm(const BatchNormParams& p) {
  const TilePlace place = place_in(p.over.tile);
  if (!place.active) return;
  const uint32_t column = place.piece * V, step = p.over.tile.above, end = end_row(p.over, place);
  const Channels<V> c = channels_of<V>(p.norm, column);
#pragma unroll 1
  for (uint32_t row = first_row(p.over, place); row < end; row += kActivated * step) {
    Floats<V> x[kActivated];
#pragma unroll
    for (int k = 0; k < kActivated; ++k)
      x[k] = load_or_zero<V>(row + k * step < end, at(p.x, row + k * step, p.pitch_x, column));
#pragma unroll
    for (int k = 0; k < kActivated; ++k) {
      normalize(x[k], c, p.norm);
      if (row + k * step < end) store<V>(at(p.y, row + k * step, p.pitch_y, column), x[k]);
    }
  }
}

// ---------------------------------------------------------------- row normalisation

/** z.z and z.dy over this block's chunk of a row, given to every thread. */
template <int V>
__device__ __forceinline__ float2 row_dots(const RowNormParams& p, uint32_t row, uint32_t begin) {
  __shared__ float2 shared[kTileThreads / 32];
  float2 dots = {0, 0};
  const uint32_t end = min(p.pieces, begin + p.chunk);
#pragma unroll 4
  for (uint32_t piece = begin + threadIdx.x; piece < end; piece += blockDim.x) {
    const Floats<V> z = load<V>(at(p.z, row, p.pitch_z, piece * V));
    const Floats<V> dy = p.dy ? load<V>(at(p.dy, row, p.pitch_dy, piece * V)) : zeros<V>();
#pragma unroll
    for (int i = 0; i < V; ++i) {
      dots.x = fmaf(z.lane[i], z.lane[i], dots.x);
      dots.y = fmaf(z.lane[i], dy.lane[i], dots.y);
    }
  }
  dots.x = warp_sum(dots.x), dots.y = warp_sum(dots.y);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = dots;
  __syncthreads();
  dots = {0, 0};
  for (uint32_t warp = 0; warp < blockDim.x / 32; ++warp) dots.x += shared[warp].x, dots.y += shared[warp].y;
  return dots;
}

template <int V>
__device__ __forceinline__ void row_norm(const RowNormParams& p) {
  const uint32_t row = p.chunks.quotient(blockIdx.x), chunk = blockIdx.x - row * p.chunks.divisor;
  float2 dots = {0, 0};
  if (p.partial) {
    for (uint32_t k = 0; k < p.chunks.divisor; ++k) {
      const float* partial = p.partial + (row * p.chunks.divisor + k) * 2;
      dots.x += partial[0], dots.y += partial[1];
    }
  } else {
    dots = row_dots<V>(p, row, 0);
  }
  const float norm = sqrtf(dots.x), direct = 1.0f / (norm < p.eps ? p.eps : norm), along = dots.y / (norm * norm);
  const bool flat = !(norm > 0.0f) || norm < p.eps;
  const uint32_t begin = chunk * p.chunk, end = min(p.pieces, begin + p.chunk);
#pragma unroll 4
  for (uint32_t piece = begin + threadIdx.x; piece < end; piece += blockDim.x) {
    Floats<V> z = load<V>(at(p.z, row, p.pitch_z, piece * V));
    if (p.dy) {
      const Floats<V> dy = load<V>(at(p.dy, row, p.pitch_dy, piece * V));
#pragma unroll
      for (int i = 0; i < V; ++i) z.lane[i] = flat ? 0.0f : fmaf(-z.lane[i], along, dy.lane[i]) * direct;
    } else {
#pragma unroll
      for (float& lane : z.lane) lane *= direct;
    }
    store<V>(at(p.y, row, p.pitch_y, piece * V), z);
  }
}

template <int V>
__device__ __forceinline__ void row_partials(const RowNormParams& p) {
  const uint32_t row = p.chunks.quotient(blockIdx.x), chunk = blockIdx.x - row * p.chunks.divisor;
  const float2 dots = row_dots<V>(p, row, chunk * p.chunk);
  if (threadIdx.x > 0) return;
  p.partial[blockIdx.x * 2] = dots.x;
  p.partial[blockIdx.x * 2 + 1] = dots.y;
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

#define WIDTHS(name, Params, body)                                                           \
  extern "C" __global__ void __launch_bounds__(256) name##_4(const Params p) { body<4>(p); } \
  extern "C" __global__ void __launch_bounds__(256) name##_1(const Params p) { body<1>(p); }

WIDTHS(moments, MomentsParams, moments)
WIDTHS(batchNorm, BatchNormParams, batch_norm)
WIDTHS(batchNormGradParams, NormGradParams, gradient_params)
WIDTHS(batchNormGradInput, NormGradInputParams, gradient_input)
WIDTHS(rowNorm, RowNormParams, row_norm)
WIDTHS(rowPartials, RowNormParams, row_partials)

// The tile's rows are the chunks.
extern "C" __global__ void __launch_bounds__(256) momentsJoin(const MomentsParams p) {
  const TilePlace place = place_in(p.over.tile);
  Moments<1> m = {0, {0}, {0}};
  if (place.active)
#pragma unroll 4
    for (uint32_t k = place.above; k < p.over.chunks; k += p.over.tile.above) {
      const float* partial = p.partial + k * 2 * p.over.cols + place.piece;
      const auto count = static_cast<float>(min(p.over.chunk, p.over.rows - k * p.over.chunk));
      const float total = m.count + count, share = count / total, shift = partial[0] - m.mean.lane[0];
      m.squares.lane[0] += fmaf(shift * shift, m.count * share, partial[p.over.cols]);
      m.mean.lane[0] = fmaf(shift, share, m.mean.lane[0]);
      m.count = total;
    }
  const auto rows = static_cast<float>(p.over.rows);
  join_moments(p.over.tile, place, rows, m);
  if (!place.active || place.above != 0) return;
  p.mean[place.piece] = m.mean.lane[0];
  p.variance[place.piece] = variance_of(m.squares.lane[0], rows);
}

extern "C" __global__ void __launch_bounds__(256) batchNormGradParamsJoin(const NormGradParams p) {
  __shared__ TileShared<2, 1> shared;
  const TilePlace place = place_in(p.over.tile);
  Floats<1> sums[2] = {};
  if (place.active)
#pragma unroll 4
    for (uint32_t k = place.above; k < p.over.chunks; k += p.over.tile.above) {
      const float* partial = p.partial + k * 2 * p.over.cols + place.piece;
      sums[0].lane[0] += partial[0];
      sums[1].lane[0] += partial[p.over.cols];
    }
  join_above(p.over.tile, place, sums, shared, Add());
  if (!place.active || place.above != 0) return;
  p.dgamma[place.piece] = sums[0].lane[0] * inverse_sqrt(p.norm.variance[place.piece] + p.norm.eps);
  p.dbeta[place.piece] = sums[1].lane[0];
}

extern "C" __global__ void __launch_bounds__(256) batchNormGradTerms(const NormTermsParams p) {
  const uint32_t c = blockIdx.x * 256 + threadIdx.x;
  if (c >= p.cols) return;
  const float istd = inverse_sqrt(p.variance[c] + p.eps), per_row = p.gamma[c] * istd * p.per_row;
  const float shift = per_row * p.dbeta[c], slope = per_row * istd * p.dgamma[c];
  p.shift[c] = p.more_shift ? shift + p.more_shift[c] : shift;
  p.slope[c] = p.more_slope ? slope + p.more_slope[c] : slope;
}
