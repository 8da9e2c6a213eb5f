// The k-th smallest of an array, in place and in linear time on average (Hoare 1961, middle-of-three pivot).
// Used for the median distance of hsic.cpp and for topK.
// The rule easy to break: no NaN among the values; the inner loops stop only because every value compares.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// values[0..n), 0 <= k < n; reorders the values.
[[maybe_unused]] inline double nth_smallest(double* values, int64_t n, int64_t k) {
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
