// (HKH + cI)^-1 in float64, and the products of matrices that nhsic needs. Launched by hsic.cpp. The inverse is made in
// place by sweeping 32 rows and columns at a time (Goodnight 1979); the pivots are the squares of those of Cholesky's
// factor. The rule easy to break: a launch reads one copy of the matrix and writes the other; behind the m-th row both
// hold the identity.
#include "double.cuh"
#include "hsic.h"

namespace gramian::cuda {

constexpr uint32_t kBand = 32, kSide = 16;
constexpr uint32_t kBandPitch = kBand + 8;  // rows of 8 columns at a time lie in different banks

/** A row of a band of the matrix, and every 8th of its columns from one of 8 on, for each of 256 threads. */
struct Place {
  uint32_t row, col;
};
__device__ __forceinline__ Place place_in_band() { return {threadIdx.x / 8, threadIdx.x % 8}; }

/** Sweeps all pivots of a 32 x 32 matrix in shared memory, which becomes its inverse. */
__device__ __forceinline__ void sweep(double (&a)[kBand][kBandPitch], double floor) {
  const Place at = place_in_band();
#pragma unroll 1
  for (uint32_t k = 0; k < kBand; ++k) {
    __syncthreads();
    const double pivot = a[k][k] > floor ? a[k][k] : floor, inverse = 1 / pivot, left = a[at.row][k];
    double top[4], mine[4];
#pragma unroll
    for (uint32_t c = 0; c < kBand; c += 8)
      top[c / 8] = a[k][at.col + c] * inverse, mine[c / 8] = a[at.row][at.col + c];
    __syncthreads();
#pragma unroll
    for (uint32_t c = 0; c < kBand; c += 8) {
      const bool in_row = at.row == k, in_col = at.col + c == k;
      a[at.row][at.col + c] = in_row   ? (in_col ? inverse : top[c / 8])
                              : in_col ? -left * inverse
                                       : mine[c / 8] - left * top[c / 8];
    }
  }
  __syncthreads();
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

// HKH + ridge I, and the least that a pivot may be: the ridge, or something tiny.
extern "C" __global__ void __launch_bounds__(256) inverseBegin(const InverseParams p) {
  const double* mean = p.statistics;
  const double m = p.m;
  double grand[1] = {};
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < p.m; i += 256) grand[0] += mean[i];
  block_sums<256>(grand);
  const uint32_t i = blockIdx.x;
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.size; j += 256) {
    double a = i == j ? 1 : 0;
    if (i < p.m && j < p.m) a = number(p.k, i, j) - mean[i] - mean[j] + grand[0] / m + (i == j ? p.ridge : 0);
    p.from[i * p.size + j] = a;
  }
  if (i > 0) return;
  __shared__ double largest[256];
  double top = 0;
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.m; j += 256) {
    const double a = number(p.k, j, j) - 2 * mean[j] + grand[0] / m + p.ridge;
    top = a > top ? a : top;
  }
  largest[threadIdx.x] = top;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (uint32_t t = 1; t < 256; ++t) top = largest[t] > top ? largest[t] : top;
  const double tiny = top > 0 ? top * 1e-14 : 1;
  *p.floor = p.ridge > tiny ? p.ridge : tiny;
}

// The pivot's rows, swept: P of the pivot itself, P A of the others. Each block sweeps the pivot for itself.
extern "C" __global__ void __launch_bounds__(256) inversePivot(const InverseParams p) {
  __shared__ double pivot[kBand][kBandPitch], right[kBand][kBandPitch];
  const Place at = place_in_band();
  const uint32_t col = blockIdx.x * kBand;
  const double* rows = p.from + (p.pivot + at.row) * p.size;
#pragma unroll
  for (uint32_t c = 0; c < kBand; c += 8) {
    pivot[at.row][at.col + c] = rows[p.pivot + at.col + c];
    right[at.row][at.col + c] = rows[col + at.col + c];
  }
  sweep(pivot, *p.floor);
  double* to = p.band + at.row * p.size + col + at.col;
#pragma unroll
  for (uint32_t c = 0; c < kBand; c += 8) {
    double sum = 0;
    if (col == p.pivot) {
      sum = pivot[at.row][at.col + c];
    } else {
#pragma unroll 8
      for (uint32_t k = 0; k < kBand; ++k) sum += pivot[at.row][k] * right[k][at.col + c];
    }
    to[c] = sum;
  }
}

// The other rows: A - A_ik (P A_kj), with A taken as 0 in the pivot's columns. A block of 16 x 16.
extern "C" __global__ void __launch_bounds__(256) inverseUpdate(const InverseParams p) {
  __shared__ double left[kSide][kBand + 1], right[kBand][kSide + 1];
  const uint32_t r = threadIdx.x / kSide, c = threadIdx.x % kSide, row = blockIdx.y * kSide + r,
                 col = blockIdx.x * kSide + c;
#pragma unroll
  for (uint32_t half = 0; half < kBand; half += kSide) {
    left[r][half + c] = p.from[row * p.size + p.pivot + half + c];
    right[half + r][c] = p.band[(half + r) * p.size + col];
  }
  __syncthreads();
  const bool pivot_row = row - p.pivot < kBand, pivot_col = col - p.pivot < kBand;
  double sum = pivot_col ? 0 : p.from[row * p.size + col];
#pragma unroll 8
  for (uint32_t k = 0; k < kBand; ++k) sum -= left[r][k] * right[k][c];
  if (pivot_row) sum = p.band[(row - p.pivot) * p.size + col];
  p.to[row * p.size + col] = sum;
}

// R = I - ridge * inverse.
extern "C" __global__ void __launch_bounds__(128) inverseEnd(const InverseParams p) {
  const uint32_t i = blockIdx.x;
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.m; j += 128)
    p.y[i * p.pitch_y + j] = static_cast<float>((i == j ? 1.0 : 0.0) - p.ridge * p.from[i * p.size + j]);
}

// y = a b, 16 x 16 of it a block.
extern "C" __global__ void __launch_bounds__(256) doubleProduct(const DoubleProductParams p) {
  __shared__ double left[kSide][kSide + 1], right[kSide][kSide + 1];
  const uint32_t r = threadIdx.x / kSide, c = threadIdx.x % kSide, row = blockIdx.y * kSide + r,
                 col = blockIdx.x * kSide + c;
  double sum = 0;
#pragma unroll 1
  for (uint32_t k = 0; k < p.m; k += kSide) {
    __syncthreads();
    left[r][c] = row < p.m && k + c < p.m ? p.a[row * p.size + k + c] : 0;
    double b = 0;
    if (k + r < p.m && col < p.m)
      b = p.b ? p.b[(k + r) * p.size + col] : number(p.rx, k + r, col) - p.beta * number(p.ry, k + r, col);
    right[r][c] = b;
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < kSide; ++i) sum += left[r][i] * right[i][c];
  }
  if (row < p.m && col < p.m) p.y[row * p.size + col] = sum;
}

// Means of the columns of y, 32 of them by 4 shares of the rows to a block; in the grid's second half of the rows.
extern "C" __global__ void __launch_bounds__(128) doubleMeans(const DoubleProductParams p) {
  __shared__ double shares[4][32];
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * 32;
  const double m = p.m;
  if (blockIdx.y == 0) {
    double sum = 0;
    if (first + lane < p.m)
#pragma unroll 1
      for (uint32_t j = warp; j < p.m; j += 4) sum += p.y[j * p.size + first + lane];
    shares[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && first + lane < p.m)
      p.column_means[first + lane] = (sum + shares[1][lane] + shares[2][lane] + shares[3][lane]) / m;
    return;
  }
#pragma unroll 1
  for (uint32_t i = first + warp; i < first + 32 && i < p.m; i += 4) {
    double sum = 0;
#pragma unroll 1
    for (uint32_t j = lane; j < p.m; j += 32) sum += p.y[i * p.size + j];
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kFullWarp, sum, step);
    if (lane == 0) p.row_means[i] = sum / m;
  }
}
