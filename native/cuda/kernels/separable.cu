// Separable convolutions in one pass (separable.cuh) with float32 products, and what joins the sums of blocks. Launched
// by separable.cpp. The rule easy to break: sums of blocks are joined in one order, whatever the precision.
#include "separable.cuh"
#include "slice.cuh"

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256, 2) separable_64(const SeparableParams p) {
  separable<FloatTile<64>>(p);
}
extern "C" __global__ void __launch_bounds__(256, 2) separable_32(const SeparableParams p) {
  separable<FloatTile<32>>(p);
}

// A cell and 64 of its channels to a block, or 4 cells.
extern "C" __global__ void __launch_bounds__(256) separableCells(const CellsParams p) {
  const uint32_t cell = blockIdx.x * 4 + threadIdx.x / 64, channel = blockIdx.y * 64 + threadIdx.x % 64;
  if (cell >= p.cells || channel >= p.channels) return;
  float sum = 0;
#pragma unroll 4
  for (uint32_t i = 0; i < p.tiles; ++i) sum += p.cell_sums[(cell * p.tiles + i) * p.channels + channel];
  const uint32_t image = p.cells_of.quotient(cell), rest = cell - image * p.cells_of.divisor;
  const uint32_t i = p.cells_w_of.quotient(rest), j = rest - i * p.cells_w_of.divisor;
  const int32_t top = static_cast<int32_t>(i) * p.cell_h - p.cell_top,
                left = static_cast<int32_t>(j) * p.cell_w - p.cell_left;
  const int32_t height = min(top + p.cell_h, p.rows) - max(top, 0), width = min(left + p.cell_w, p.cols) - max(left, 0);
  p.p[cell * p.pitch_p + channel] = sum / static_cast<float>(height * width);
}

// 32 columns by 8 shares of the blocks: first the mean, then the squares about it.
extern "C" __global__ void __launch_bounds__(256) separableJoin(const JoinParams p) {
  __shared__ float counts[8][32], sums[8][32];
  const uint32_t lane = threadIdx.x % 32, share = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  const bool idle = column >= p.outputs;
  const float *mean = p.moments + column, *count = p.moments + 2 * p.blocks * p.outputs;
  float rows = 0, sum = 0;
#pragma unroll 4
  for (uint32_t b = share; b < p.blocks; b += 8) {
    rows += count[b];
    if (!idle) sum = fmaf(count[b], mean[2 * b * p.outputs], sum);
  }
  counts[share][lane] = rows, sums[share][lane] = sum;
  __syncthreads();
  rows = sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < 8; ++i) rows += counts[i][lane], sum += sums[i][lane];
  const float all = sum / rows;
  __syncthreads();
  float squares = 0;
#pragma unroll 4
  for (uint32_t b = share; b < p.blocks; b += 8)
    if (!idle) {
      const float* of = mean + 2 * b * p.outputs;
      const float shift = of[0] - all;
      squares += fmaf(count[b] * shift, shift, of[p.outputs]);
    }
  sums[share][lane] = squares;
  __syncthreads();
  if (idle || share > 0) return;
#pragma unroll
  for (uint32_t i = 1; i < 8; ++i) squares += sums[i][lane];
  p.mean[column] = all;
  p.variance[column] = squares / rows;
}
