// Loop nests over strided tensors: broadcasting, reducing and moving data all walk one of these.
// A nest holds N operands' strides for the same dimensions; neighbouring dimensions that every operand steps through
// evenly are merged, so a dense tensor becomes one long row and [N,H,W,C] * [N,1,1,C] becomes N x HW x C.
// The rule easy to break: strides are in elements, and a stride of 0 (broadcast) is only legal on an input.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// Element strides of every dimension of a view.
[[maybe_unused]] inline void strides_of(const View& v, int64_t* stride) {
  int64_t step = 1;
  for (int i = v.rank - 1; i >= 0; --i) {
    stride[i] = step;
    step = i == v.rank - 1 ? v.pitch : step * v.shape[i];
  }
}

template <int N>
struct Nest {
  int rank = 0;
  int64_t shape[kMaxRank + 1] = {};
  int64_t stride[kMaxRank + 1][N] = {};

  // Adds the next inner dimension, merging it with the one before where all operands allow it.
  void push(int64_t size, const int64_t* steps) {
    if (size == 1) return;
    bool merge = rank > 0;
    for (int k = 0; k < N && merge; ++k) merge = stride[rank - 1][k] == steps[k] * size;
    if (!merge) shape[rank++] = 1;
    shape[rank - 1] *= size;
    for (int k = 0; k < N; ++k) stride[rank - 1][k] = steps[k];
  }

  // A last dimension of size 1, for nests whose innermost strides are not what the inner loop handles.
  void push_unit() {
    shape[rank] = 1;
    for (int k = 0; k < N; ++k) stride[rank][k] = 1;
    ++rank;
  }

  int64_t count(int dims) const {
    int64_t product = 1;
    for (int i = 0; i < dims; ++i) product *= shape[i];
    return product;
  }
};

// An odometer over the first `dims` dimensions of a nest; offset[k] is operand k's element offset.
template <int N>
struct Cursor {
  const Nest<N>& nest;
  const int dims;
  int64_t index[kMaxRank + 1];
  int64_t offset[N];

  Cursor(const Nest<N>& nest, int dims, int64_t linear) : nest(nest), dims(dims) {
    for (int k = 0; k < N; ++k) offset[k] = 0;
    for (int i = dims - 1; i >= 0; --i) {
      index[i] = linear % nest.shape[i];
      linear /= nest.shape[i];
      for (int k = 0; k < N; ++k) offset[k] += index[i] * nest.stride[i][k];
    }
  }

  void next() {
    for (int i = dims - 1; i >= 0; --i) {
      for (int k = 0; k < N; ++k) offset[k] += nest.stride[i][k];
      if (++index[i] < nest.shape[i]) return;
      index[i] = 0;
      for (int k = 0; k < N; ++k) offset[k] -= nest.shape[i] * nest.stride[i][k];
    }
  }
};

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
