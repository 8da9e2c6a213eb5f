// The k-th smallest of an array, in linear time on average: of a long one the values of the right 256th of its range
// are kept, without branches to guess; then Hoare (1961) with the middle of three as pivot. Used for the median
// distance of hsic.cpp and for topK. The rule easy to break: no NaN among the values; the inner loops stop only because
// every value compares.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kBuckets = 256;

// Keeps, at the front, the values of the bucket that holds the k-th smallest; n and k are then counted within it.
// Nothing happens to equal or infinite values.
[[maybe_unused]] inline void keep_bucket(double* values, int64_t* n, int64_t* k) {
  double smallest[4], largest[4];
  for (int i = 0; i < 4; ++i) smallest[i] = largest[i] = values[i];
  for (int64_t j = 0; j + 4 <= *n; j += 4)
    for (int i = 0; i < 4; ++i) {
      smallest[i] = values[j + i] < smallest[i] ? values[j + i] : smallest[i];
      largest[i] = values[j + i] > largest[i] ? values[j + i] : largest[i];
    }
  for (int64_t j = *n / 4 * 4; j < *n; ++j) {
    smallest[0] = values[j] < smallest[0] ? values[j] : smallest[0];
    largest[0] = values[j] > largest[0] ? values[j] : largest[0];
  }
  for (int i = 1; i < 4; ++i) {
    smallest[0] = smallest[i] < smallest[0] ? smallest[i] : smallest[0];
    largest[0] = largest[i] > largest[0] ? largest[i] : largest[0];
  }
  const double first = smallest[0], scale = (double)(kBuckets - 1) / (largest[0] - first);
  if (!(scale > 0 && scale <= 1e300)) return;
  int32_t counts[kBuckets] = {};
  const auto bucket_of = [&](double value) { return (int32_t)((value - first) * scale); };
  for (int64_t i = 0; i < *n; ++i) ++counts[bucket_of(values[i])];
  int32_t bucket = 0;
  while (*k >= counts[bucket]) *k -= counts[bucket++];
  int64_t kept = 0;
  for (int64_t i = 0; i < *n; ++i) {
    const double value = values[i];
    values[kept] = value;
    kept += bucket_of(value) == bucket;
  }
  *n = kept;
}

// values[0..n), 0 <= k < n; what the values are afterwards is not said.
[[maybe_unused]] inline double nth_smallest(double* values, int64_t n, int64_t k) {
  if (n > 4 * kBuckets) keep_bucket(values, &n, &k);
  int64_t low = 0, high = n - 1;
  while (low < high) {
    const double a = values[low], b = values[low + (high - low) / 2], c = values[high];
    const double pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    int64_t i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) ++i;
      while (pivot < values[j]) --j;
      if (i > j) break;
      const double swapped = values[i];
      values[i++] = values[j];
      values[j--] = swapped;
    }
    if (k <= j)
      high = j;
    else if (k >= i)
      low = i;
    else
      break;
  }
  return values[k];
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
