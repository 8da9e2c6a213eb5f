// Kernel matrices and the dependence objectives on them. Launched by hsic.cpp; the inverse that nhsic needs is
// hsic_inverse.cu's. The rules easy to break: E = K - 1 stands for K wherever a centring follows, and K = 1 + E in the
// gradient; sums are float64, because the unbiased estimate is what is left of terms that cancel (this is O(m^2) work,
// so the slow float64 of most cards does not show); every degenerate batch has a finite result.
#include "device.cuh"
#include "double.cuh"
#include "hsic.h"

namespace gramian::cuda {

/** A warp for each of the four matrices, where they are summed on their own. */
constexpr uint32_t kBlock = 32 * kStatCount;

// ---------------------------------------------------------------- the kernel of a Gram matrix

/** A NaN stays. */
__device__ __forceinline__ double distance(const HsicMatrix& g, uint32_t i, uint32_t j) {
  const double d = number(g, i, i) + number(g, j, j) - 2 * number(g, i, j);
  return d < 0 ? 0 : d;
}

__device__ __forceinline__ double bandwidth(const HsicParams& p) {
  return p.median ? 2 * static_cast<double>(*p.median) : p.g;
}

__device__ __forceinline__ void list_row(const HsicParams& p, uint32_t i) {
  float* to = p.list + i * p.m - i * (i + 1) / 2 - i - 1;
#pragma unroll 1
  for (uint32_t j = i + 1 + threadIdx.x; j < p.m; j += kBlock) {
    const auto d = static_cast<float>(distance(p.of[kStatG], i, j));
    to[j] = d == d ? d : 0.0f;
  }
}

__device__ __forceinline__ void kernel_row(const HsicParams& p, uint32_t i) {
  const double g = bandwidth(p);
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.m; j += kBlock) {
    const bool zero = i == j || !(g > 0);
    p.kernel[i * p.pitch_kernel + j] = zero ? 0.0f : expm1_of(static_cast<float>(-distance(p.of[kStatG], i, j) / g));
  }
  if (p.sigma && i == 0 && threadIdx.x == 0) *p.sigma = static_cast<float>(sqrt(g / (2 * p.features)));
}

/** Of row i of the matrices that are wanted, each by a warp. */
__device__ __forceinline__ void statistics_row(const HsicParams& p, uint32_t i) {
  const uint32_t s = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (!(p.wanted >> s & 1)) return;
  const HsicMatrix matrix = p.of[s];
  double sum[2] = {};
#pragma unroll 4
  for (uint32_t j = lane; j < p.m; j += 32) {
    const double x = number(matrix, i, j);
    sum[0] += x, sum[1] += x * x;
  }
  warp_sums(sum);
  if (lane > 0) return;
  const double m = p.m, others = p.m > 2 ? m - 2 : 1;
  double* to = p.statistics + kStatistics * s * p.m + i;
  to[0] = sum[0] / m, to[p.m] = (sum[0] - number(matrix, i, i)) / others, to[2 * p.m] = sum[1];
}

// ---------------------------------------------------------------- centring

/** Row i of a matrix with what centring takes off: H A H, and Song's U-centring. */
struct CentredRow {
  const float* row;
  const double* mean;  // of every row; those off the diagonal lie `m` behind
  uint32_t m;
  double shift, off_shift;

  __device__ __forceinline__ double plain(uint32_t j) const { return static_cast<double>(row[j]); }
  __device__ __forceinline__ double at(double x, uint32_t j) const { return x - shift - mean[j]; }
  __device__ __forceinline__ double off_at(double x, uint32_t j) const { return x - off_shift - mean[m + j]; }
};

/** Row i of the four matrices; all threads take part, and there is a barrier within. */
struct Operands {
  CentredRow of[kStatCount];

  __device__ __forceinline__ Operands(const HsicParams& p, uint32_t i) {
    __shared__ double shifts[kStatCount][2];
    sum_means(p, i, shifts[threadIdx.x / 32]);
    __syncthreads();
#pragma unroll
    for (uint32_t s = 0; s < kStatCount; ++s)
      of[s] = {p.of[s].data + i * p.of[s].pitch, p.statistics + kStatistics * s * p.m, p.m, shifts[s][0], shifts[s][1]};
  }

 private:
  /** What centring takes off the whole row, of a warp's matrix. */
  __device__ __forceinline__ static void sum_means(const HsicParams& p, uint32_t i, double (&shift)[2]) {
    const uint32_t s = threadIdx.x / 32, lane = threadIdx.x % 32;
    const double* mean = p.statistics + kStatistics * s * p.m;
    const double m = p.m;
    double grand[2] = {};
#pragma unroll 4
    for (uint32_t j = lane; j < p.m; j += 32) grand[0] += mean[j], grand[1] += mean[p.m + j];
    warp_sums(grand);
    if (lane > 0) return;
    shift[0] = mean[i] - grand[0] / m, shift[1] = mean[p.m + i] - grand[1] / (p.m > 1 ? m - 1 : 1);
  }
};

// ---------------------------------------------------------------- the objective

/** A Frobenius norm from its square; 0 when it is below 1e-12 or nothing but the rounding of the centring. */
__device__ __forceinline__ double frobenius(double square, double full_square) {
  const double norm = sqrt(square);
  return norm < 1e-12 || norm < 1e-14 * sqrt(full_square) ? 0 : norm;
}
__device__ __forceinline__ double ratio(double a, double b) { return b != 0 ? a / b : 0; }

/** The loss's terms, and its derivative by K: x Xc + y Yc + k Kc, X and Y U-centred for the unbiased kind. */
struct Terms {
  double loss, term_x, term_y;
  double x, y, k;
};

__device__ __forceinline__ Terms terms_of(const HsicParams& p, const double* sum, double n, double nx, double ny) {
  Terms t = {};
  const double weight = p.kind == HsicKind::phsic ? p.gamma : p.beta;
  if (p.kind == HsicKind::nhsic) {  // its derivative is a matrix of its own
    t.term_x = sum[kSumNormX], t.term_y = sum[kSumNormY];
  } else if (p.kind == HsicKind::cka) {
    t.term_x = ratio(sum[kSumKX], n * nx), t.term_y = ratio(sum[kSumKY], n * ny);
    t.x = ratio(1, n * nx), t.y = -p.beta * ratio(1, n * ny);
    t.k = -ratio(t.term_x - p.beta * t.term_y, n * n);
  } else if (p.kind == HsicKind::phsic) {
    t.term_x = sum[kSumKK] * p.scale, t.term_y = sum[kSumKY] * p.scale;
    t.k = 2 * p.scale, t.y = -p.gamma * p.scale;
  } else {
    const bool off = p.kind == HsicKind::unbiased;
    t.term_x = sum[off ? kSumOffX : kSumKX] * p.scale, t.term_y = sum[off ? kSumOffY : kSumKY] * p.scale;
    t.x = p.scale, t.y = -p.beta * p.scale;
  }
  t.loss = t.term_x - weight * t.term_y;
  return t;
}

/** The block's sums, each by 8 threads. */
__device__ __forceinline__ void add_up(const double (&sum)[kSumFull], double* to) {
  constexpr uint32_t sharers = 8;
  __shared__ double parts[kSumFull][kBlock + sharers];  // two sums at a time lie in different banks
#pragma unroll
  for (uint32_t s = 0; s < kSumFull; ++s) parts[s][threadIdx.x] = sum[s];
  __syncthreads();
  const uint32_t s = threadIdx.x / sharers, share = threadIdx.x % sharers;
  double total = 0;
  if (s < kSumFull)
#pragma unroll
    for (uint32_t i = 0; i < kBlock; i += sharers) total += parts[s][i + share];
#pragma unroll
  for (uint32_t step = sharers / 2; step > 0; step /= 2) total += __shfl_xor_sync(kFullWarp, total, step);
  if (share == 0 && s < kSumFull) to[s] = total;
}

/** dL/dK at (i, j). */
__device__ __forceinline__ double derivative(const HsicParams& p, const Operands& o, const Terms& t,
                                             double product_mean, uint32_t i, uint32_t j) {
  if (p.kind == HsicKind::nhsic)
    return p.ridge * (p.product[i * p.pitch_inverse + j] - p.row_means[i] - p.column_means[j] + product_mean);
  const CentredRow &K = o.of[kStatK], &X = o.of[kStatX], &Y = o.of[kStatY];
  const double x = X.plain(j), y = Y.plain(j);
  if (p.kind == HsicKind::unbiased) return i == j ? 0 : t.x * X.off_at(x, j) + t.y * Y.off_at(y, j);
  return t.x * X.at(x, j) + t.y * Y.at(y, j) + t.k * K.at(K.plain(j), j);
}

/** loss[1], report[8] = loss, X term, Y term, unbiased HSIC with X and Y, CKA with X and Y, effective rank. */
__device__ __forceinline__ void write_report(const HsicParams& p, const double* sum, const Terms& t, double n,
                                             double nx, double ny) {
  const double gram = frobenius(sum[kSumGG], sum[kSumFull + kStatG]);
  float* r = p.report;
  *p.loss = r[0] = static_cast<float>(t.loss);
  r[1] = static_cast<float>(t.term_x), r[2] = static_cast<float>(t.term_y);
  r[3] = static_cast<float>(sum[kSumOffX] * p.unbiased), r[4] = static_cast<float>(sum[kSumOffY] * p.unbiased);
  r[5] = static_cast<float>(ratio(sum[kSumKX], n * nx)), r[6] = static_cast<float>(ratio(sum[kSumKY], n * ny));
  r[7] = static_cast<float>(ratio(sum[kSumTrace] * sum[kSumTrace], gram * gram));
}

// ---------------------------------------------------------------- the median

/** Counts the list by its upper 11 bits, lanes of a warp that have one bin together. All threads take part. */
__device__ __forceinline__ void count_in_few_bins(const HsicMedianParams& p, uint32_t* counts) {
  const uint32_t lane = threadIdx.x % 32;
#pragma unroll 1
  for (uint32_t first = 0; first < p.count; first += blockDim.x) {
    const uint32_t i = first + threadIdx.x;
    const bool real = i < p.count;
    const uint32_t bin = real ? __float_as_uint(p.list[i]) >> 21 : 0;
#pragma unroll 1
    for (uint32_t left = __ballot_sync(kFullWarp, real); left != 0;) {
      const uint32_t leader = __ffs(static_cast<int>(left)) - 1, same = __shfl_sync(kFullWarp, bin, leader);
      const uint32_t with = __ballot_sync(kFullWarp, real && bin == same);
      if (lane == leader) atomicAdd(&counts[same], static_cast<uint32_t>(__popc(with)));
      left &= ~with;
    }
  }
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(256) labelKernel(const LabelKernelParams p) {
  const uint32_t row = blockIdx.x, label = p.labels[row];
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.m; j += 256)
    p.y[row * p.pitch + j] = static_cast<uint32_t>(p.labels[j]) == label ? 1.0f : 0.0f;
}

// Of one row: the distances, or the kernel, and what is wanted of the statistics.
extern "C" __global__ void __launch_bounds__(128, 8) hsicRows(const HsicParams p) {
  const uint32_t i = blockIdx.x;
  if (p.list) list_row(p, i);
  if (p.kernel) {
    kernel_row(p, i);
    __syncthreads();
  }
  if (p.wanted) statistics_row(p, i);
}

// The item of a given rank of the sorted list, by its bits from the highest on (its values are not negative, so they
// are ordered like their bits). Counts are whole numbers, so the order in which they are added does not matter.
extern "C" __global__ void __launch_bounds__(1024) hsicMedian(const HsicMedianParams p) {
  constexpr uint32_t bins = 2048, threads = 1024;
  __shared__ __align__(8) uint32_t counts[bins];
  __shared__ uint32_t totals[32], found[2];
  auto* const pairs = reinterpret_cast<uint2*>(counts);
  const uint32_t t = threadIdx.x, lane = t % 32, warp = t / 32;
  uint32_t prefix = 0, rank = p.rank;
#pragma unroll 1
  for (int shift = 21; shift > -11; shift -= 11) {
    const int low = shift < 0 ? 0 : shift, width = shift < 0 ? 11 + shift : 11;
    pairs[t] = make_uint2(0, 0);
    __syncthreads();
    // In the first round there is nothing above, a shift by 32 is no shift, and all values have few bins.
    if (shift == 21)
      count_in_few_bins(p, counts);
    else
#pragma unroll 4
      for (uint32_t i = t; i < p.count; i += threads) {
        const uint32_t bits = __float_as_uint(p.list[i]);
        if (bits >> (low + width) == prefix >> (low + width)) atomicAdd(&counts[bits >> low & ((1u << width) - 1)], 1u);
      }
    __syncthreads();
    const uint32_t first = pairs[t].x, both = first + pairs[t].y;
    uint32_t sum = both;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const uint32_t below = __shfl_up_sync(kFullWarp, sum, step);
      if (lane >= step) sum += below;
    }
    if (lane == 31) totals[warp] = sum;
    __syncthreads();
    uint32_t before = sum - both;
    for (uint32_t i = 0; i < warp; ++i) before += totals[i];
    if (rank >= before && rank < before + both) {
      const uint32_t second = rank >= before + first;
      found[0] = prefix | (2 * t + second) << low;
      found[1] = rank - before - (second ? first : 0);
    }
    __syncthreads();
    prefix = found[0], rank = found[1];
  }
  if (t == 0) *p.median = __uint_as_float(prefix);
}

// One row's share of every sum.
extern "C" __global__ void __launch_bounds__(128, 8) hsicSums(const HsicParams p) {
  const uint32_t i = blockIdx.x;
  const Operands o(p, i);
  const CentredRow &K = o.of[kStatK], &X = o.of[kStatX], &Y = o.of[kStatY], &G = o.of[kStatG];
  double sum[kSumFull] = {};
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.m; j += kBlock) {
    const double k = K.at(K.plain(j), j), x = X.at(X.plain(j), j), y = Y.at(Y.plain(j), j), g = G.at(G.plain(j), j);
    sum[kSumKX] += k * x, sum[kSumKY] += k * y, sum[kSumKK] += k * k;
    sum[kSumXX] += x * x, sum[kSumYY] += y * y, sum[kSumGG] += g * g;
  }
  // A loop of its own, because one would need more registers than there are.
#pragma unroll 1
  for (uint32_t j = threadIdx.x; j < p.m; j += kBlock) {
    if (i != j) {
      const double off = K.off_at(K.plain(j), j);
      sum[kSumOffX] += off * X.off_at(X.plain(j), j), sum[kSumOffY] += off * Y.off_at(Y.plain(j), j);
    }
    if (p.kind == HsicKind::nhsic) {
      const double r = (i == j ? 1.0 : 0.0) - p.ridge * p.inverse[i * p.pitch_inverse + j];
      sum[kSumNormX] += r * number(p.rx, i, j), sum[kSumNormY] += r * number(p.ry, i, j);
    }
  }
  if (threadIdx.x == i % kBlock) sum[kSumTrace] = G.at(G.plain(i), i);
  add_up(sum, p.sums + i * kSumPitch);
  const uint32_t s = threadIdx.x;
  if (s < kStatCount) p.sums[i * kSumPitch + kSumFull + s] = p.statistics[(kStatistics * s + 2) * p.m + i];
  if (s == kStatCount) p.sums[i * kSumPitch + kSumCount] = 0;
}

// One row of dG = A, or (2 / g)(S - diag(S 1)) with S = A o (1 + E); the first block writes loss and report too.
extern "C" __global__ void __launch_bounds__(128, 8) hsicGradient(const HsicParams p) {
  __shared__ double shares[kBlock], sum[kSumPitch];
  __shared__ Terms terms;
  const uint32_t i = blockIdx.x, t = threadIdx.x;
  double part = 0;
#pragma unroll 8
  for (uint32_t row = t / kSumPitch; row < p.m; row += kBlock / kSumPitch)
    part += p.sums[row * kSumPitch + t % kSumPitch];
  shares[t] = part;
  const Operands o(p, i);  // with the barrier for the shares
  if (t < kSumPitch) {
    for (uint32_t share = 1; share < kBlock / kSumPitch; ++share) part += shares[share * kSumPitch + t];
    sum[t] = part;
  }
  __syncwarp();
  if (t == 0) {  // a thread of one warp has its square roots and quotients, which are slow in float64
    const double n = frobenius(sum[kSumKK], sum[kSumFull + kStatK]);
    const double nx = frobenius(sum[kSumXX], sum[kSumFull + kStatX]);
    const double ny = frobenius(sum[kSumYY], sum[kSumFull + kStatY]);
    terms = terms_of(p, sum, n, nx, ny);
    if (i == 0) write_report(p, sum, terms, n, nx, ny);
  }
  double grand[1] = {};
  if (p.kind == HsicKind::nhsic)
#pragma unroll 1
    for (uint32_t row = t; row < p.m; row += kBlock) grand[0] += p.row_means[row] / static_cast<double>(p.m);
  block_sums<kBlock>(grand);  // with the barrier for the terms
  const double g = p.gaussian ? bandwidth(p) : 0, scale = g > 0 ? 2 / g : 0;
  double others[1] = {};
  float* to = p.gradient + i * p.pitch_gradient;
#pragma unroll 1
  for (uint32_t j = t; j < p.m; j += kBlock) {
    double s = derivative(p, o, terms, grand[0], i, j);
    if (p.gaussian) {
      s *= scale * (1 + o.of[kStatK].plain(j));
      if (i == j) continue;
      others[0] += s;
    }
    to[j] = static_cast<float>(s);
  }
  if (!p.gaussian) return;
  block_sums<kBlock>(others);
  if (t == 0) to[i] = static_cast<float>(-others[0]);
}
