// Parameters of hsic.cu. Plain data for host and device code; pitches in elements; everything is m x m for a batch of
// m. The rule easy to break: what a launch reads of the workspace an earlier launch has written; hsic.cpp has the
// order.
#pragma once
#include <stdint.h>

namespace gramian::cuda {

struct HsicMatrix {
  const float* data;  // null: not there
  uint32_t pitch;
};

/** The matrices of whose rows statistics are kept, in this order: the kernel of G, Kx, Ky, G itself. */
enum HsicStatistics : uint32_t { kStatK, kStatX, kStatY, kStatG, kStatCount };

/** Of a row: its mean, its sum off the diagonal / (m - 2), its sum of squares. */
constexpr uint32_t kStatistics = 3;

/** Sums over all pairs (i, j), as one row's share of them. */
enum HsicSum : uint32_t {
  kSumKX,
  kSumKY,
  kSumKK,
  kSumXX,
  kSumYY,
  kSumGG,
  kSumTrace,
  kSumOffX,
  kSumOffY,
  kSumNormX,
  kSumNormY,
  kSumFull,  // of the squares of K, X, Y and G uncentred
  kSumCount = kSumFull + kStatCount,
  kSumPitch = 16
};

enum class HsicKind : uint32_t { hsic, unbiased, nhsic, cka, phsic };

struct HsicParams {
  uint32_t m;
  HsicMatrix of[kStatCount];  // K: of a linear kernel, or E once it is there
  HsicMatrix rx, ry;
  float* kernel;  // E, expm1(-D / g); null: none is wanted
  uint32_t pitch_kernel;
  float* list;          // the distances D_ij, i < j, row after row; null: none is wanted
  const float* median;  // of them; null: g is fixed
  double g;             // a fixed bandwidth
  double features;
  float* sigma;        // reported with E; null: not wanted
  double* statistics;  // [kStatCount][kStatistics][m]
  double* sums;        // [m][kSumPitch]
  uint32_t wanted;     // bit s: statistics s are made

  // The objective.
  HsicKind kind;
  uint32_t gaussian;
  double beta, gamma, scale;        // scale: of hsic's and phsic's terms
  double unbiased;                  // 1 / (m (m - 3)), 0 below m = 4
  const double *inverse, *product;  // nhsic: (Kc + ridge I)^-1, and M (Rx - beta Ry) M
  uint32_t pitch_inverse;
  const double *row_means, *column_means;  // of the product
  double ridge;
  float *loss, *report, *gradient;
  uint32_t pitch_gradient;
};

struct HsicMedianParams {
  const float* list;
  float* median;
  uint32_t count, rank;
};

struct LabelKernelParams {
  const int32_t* labels;
  float* y;
  uint32_t m, pitch;
};

/** Double matrices, whose size is a multiple of 32 and whose rows are as long. */
struct InverseParams {
  HsicMatrix k;
  const double* statistics;  // of K: [kStatistics][m]
  double *from, *to;
  double* band;   // [32][size]: the pivot's rows, swept
  double* floor;  // what no pivot may fall below
  uint32_t m, size, pivot;
  double ridge;
  float* y;  // I - ridge * inverse
  uint32_t pitch_y;
};

/** y = a b; without b its elements are Rx - beta Ry. */
struct DoubleProductParams {
  const double *a, *b;
  HsicMatrix rx, ry;
  double beta;
  double* y;
  uint32_t m, size;
  double *row_means, *column_means;  // of y, by the launch that follows
};

}  // namespace gramian::cuda
