// Makes a Nest for operands of one shape. Host only; used by kernels/*.cpp.
// Neighbouring axes that every operand steps through evenly become one, so equal dense tensors are one long row and
// [N,H,W,C] * [N,1,1,C] is N x HW x C. The rule easy to break: a step of 0 (broadcast) is for inputs only.
#pragma once
#include <array>
#include <vector>

#include "cuda/kernels/nest.h"
#include "cuda/kernels/spans.h"

namespace gramian::cuda {

/** Element strides of every dimension. */
inline std::vector<int64_t> strides_of(const View& view) {
  std::vector<int64_t> strides(view.shape.size());
  int64_t step = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    strides[i] = step;
    step = i + 1 == view.shape.size() ? view.pitch : step * view.shape[i];
  }
  return strides;
}

template <int N>
struct Axis {
  int64_t size;
  std::array<int64_t, N> step;
};

/** Axes as they are pushed, the outermost first. */
template <int N>
class Axes {
 public:
  void push(int64_t size, const std::array<int64_t, N>& step) {
    if (size == 1) return;
    if (!list_.empty() && evenly(step, size)) {
      list_.back().size *= size;
      list_.back().step = step;
    } else {
      list_.push_back({size, step});
    }
  }
  /** Takes an axis out. */
  Axis<N> take(size_t at) {
    const Axis<N> axis = list_[at];
    list_.erase(list_.begin() + static_cast<std::ptrdiff_t>(at));
    return axis;
  }
  size_t count() const { return list_.size(); }
  const Axis<N>& operator[](size_t at) const { return list_[at]; }
  int64_t items() const {
    int64_t product = 1;
    for (const Axis<N>& axis : list_) product *= axis.size;
    return product;
  }
  /** At most `Most` axes may be left. */
  template <int Most = kMostAxes>
  Nest<N, Most> nest() const {
    Nest<N, Most> nest = {};
    for (Divisor& size : nest.size) size = make_divisor(1);
    for (auto axis = list_.rbegin(); axis != list_.rend(); ++axis, ++nest.axes) {
      nest.size[nest.axes] = make_divisor(axis->size);
      for (int k = 0; k < N; ++k) nest.step[nest.axes][k] = static_cast<uint32_t>(axis->step[static_cast<size_t>(k)]);
    }
    return nest;
  }

 private:
  bool evenly(const std::array<int64_t, N>& step, int64_t size) const {
    for (size_t k = 0; k < N; ++k)
      if (list_.back().step[k] != step[k] * size) return false;
    return true;
  }
  std::vector<Axis<N>> list_;
};

/** Axes cut for elementwise work: `inner[k]` is 1 where operand k steps along the row, 0 where it stays. */
template <int N>
struct Walk {
  Nest<N> nest;
  Spans spans;
  uint32_t inner[N];
};

/** Operand 0 is what is written. `addresses` holds each operand's first element; `wide`: pieces of 4 are wanted. */
template <int N>
Walk<N> walk_of(Axes<N> axes, const std::array<const void*, N>& addresses, bool wide = true) {
  Axis<N> row = {1, {}};
  const auto plain = [](const Axis<N>& axis) {
    for (size_t k = 0; k < N; ++k)
      if (axis.step[k] != 1 && (axis.step[k] != 0 || k == 0)) return false;
    return true;
  };
  if (axes.count() > 0 && plain(axes[axes.count() - 1])) row = axes.take(axes.count() - 1);
  Walk<N> walk = {};
  walk.nest = axes.nest();
  wide = wide && (row.size % 4 == 0 || axes.count() == 0);
  for (size_t k = 0; k < N; ++k) {
    walk.inner[k] = static_cast<uint32_t>(row.step[k]);
    if (row.step[k] == 0 && k > 0) continue;
    wide = wide && reinterpret_cast<uintptr_t>(addresses[k]) % 16 == 0;
    for (size_t i = 0; i < axes.count(); ++i) wide = wide && axes[i].step[k] % 4 == 0;
  }
  walk.spans = spans_for(axes.items(), row.size, wide);
  return walk;
}

}  // namespace gramian::cuda
