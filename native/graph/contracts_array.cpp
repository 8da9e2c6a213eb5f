// Contracts of elementwise ops, shape ops and reductions. See contract_case.h.
#include <algorithm>

#include "graph/contract_case.h"

namespace gramian {
namespace {

/** numpy's rule; an empty shape when the two do not go together. */
Shape broadcast(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return {};
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

Shape reduced(const Case& node, const Shape& shape, bool keep) {
  const std::vector<int64_t> axes = node.integers("axes");
  node.expect(!axes.empty(), "at least one axis");
  Shape result;
  for (size_t i = 0; i < axes.size(); ++i) {
    node.expect(axes[i] < static_cast<int64_t>(shape.size()), "axes within the rank");
    node.expect(i == 0 || axes[i] > axes[i - 1], "axes in ascending order");
  }
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const bool gone = std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
    if (!gone) {
      result.push_back(shape[axis]);
    } else if (keep) {
      result.push_back(1);
    }
  }
  if (result.empty()) result.push_back(1);
  return result;
}

}  // namespace

void check_same(const Case& node) {
  for (size_t i = 1; i < node.inputs(); ++i) node.expect_shape(node.in(i), node.in(0).shape);
  node.expect_shape(node.out(0), node.in(0).shape);
}

void check_broadcast(const Case& node) {
  const Shape shape = broadcast(node.in(0).shape, node.in(1).shape);
  node.expect(!shape.empty(), "shapes that broadcast");
  node.expect_shape(node.out(0), shape);
}

void check_fill(const Case&) {}

void check_dropout(const Case& node) {
  node.expect_shape(node.in(1), {1});
  node.expect_shape(node.out(0), node.in(0).shape);
  node.number("rate", 0, 0.9999999);
  node.number("seed", 0, 9007199254740991.0);
  node.integer("node", 0);
}

void check_reshape(const Case& node) {
  node.expect(node.in(0).count() == node.out(0).count(), "as many elements before as after");
}

void check_transpose(const Case& node) {
  const std::vector<int64_t> perm = node.integers("perm");
  const Shape& x = node.in(0).shape;
  node.expect(perm.size() == x.size(), "one entry of perm per dimension");
  std::vector<char> used(x.size());
  Shape shape;
  for (int64_t axis : perm) {
    node.expect(axis < static_cast<int64_t>(x.size()) && !used[axis], "a permutation of the axes");
    used[axis] = 1;
    shape.push_back(x[axis]);
  }
  node.expect_shape(node.out(0), shape);
}

void check_concat(const Case& node) {
  Shape shape = node.in(0).shape;
  const int64_t axis = node.integer("axis", 0, static_cast<int64_t>(shape.size()) - 1);
  if (axis + 1 < static_cast<int64_t>(shape.size()))
    node.expect(node.inputs() <= 12, "at most 12 inputs on an axis other than the last");
  for (size_t i = 1; i < node.inputs(); ++i) {
    const Shape& other = node.in(i).shape;
    node.expect(other.size() == shape.size(), "inputs of one rank");
    for (size_t d = 0; d < shape.size(); ++d)
      node.expect(static_cast<int64_t>(d) == axis || other[d] == shape[d], "inputs that differ on the axis only");
    shape[axis] = checked_add(shape[axis], other[axis]);
  }
  node.expect_shape(node.out(0), shape);
}

void check_slice(const Case& node) {
  const std::vector<int64_t> begin = node.integers("begin"), size = node.integers("size", 1);
  const Shape& x = node.in(0).shape;
  node.expect(begin.size() == x.size() && size.size() == x.size(), "one begin and one size per dimension");
  for (size_t d = 0; d < x.size(); ++d) node.expect(begin[d] + size[d] <= x[d], "a slice inside the tensor");
  node.expect_shape(node.out(0), size);
}

void check_pad(const Case& node) {
  const std::vector<int64_t> before = node.integers("before"), after = node.integers("after");
  Shape shape = node.in(0).shape;
  node.expect(before.size() == shape.size() && after.size() == shape.size(), "one before and one after per dimension");
  for (size_t d = 0; d < shape.size(); ++d) shape[d] += before[d] + after[d];
  node.expect_shape(node.out(0), shape);
}

void check_broadcast_to(const Case& node) {
  node.expect(broadcast(node.in(0).shape, node.out(0).shape) == node.out(0).shape,
              "a shape that broadcasts to the output");
}

void check_gather(const Case& node) {
  node.expect_rank(node.in(0), 3);
  node.expect_rank(node.in(1), 2);
  const Shape &x = node.in(0).shape, &index = node.in(1).shape;
  node.expect(index[0] == x[0], "one row of indices per sample");
  node.expect_shape(node.out(0), {x[0], index[1], x[2]});
}

void check_gather_grad(const Case& node) {
  node.expect_rank(node.in(0), 3);
  node.expect_rank(node.out(0), 3);
  const Shape &dy = node.in(0).shape, &dx = node.out(0).shape;
  node.expect_shape(node.in(1), {dy[0], dy[1]});
  node.expect(dx[0] == dy[0] && dx[2] == dy[2], "samples and features of dy in dx");
}

void check_top_k(const Case& node) {
  node.expect_rank(node.in(0), 3);
  const Shape& x = node.in(0).shape;
  node.expect_shape(node.out(0), {x[0], node.integer("k", 1, x[1])});
}

void check_reduce(const Case& node) {
  node.expect_shape(node.out(0), reduced(node, node.in(0).shape, node.flag("keepDims")));
}

void check_reduce_max_grad(const Case& node) {
  const Shape &x = node.in(1).shape, &y = node.in(2).shape;
  node.expect(y == reduced(node, x, false) || y == reduced(node, x, true), "y reduced from x over the axes");
  node.expect_shape(node.in(0), y);
  node.expect_shape(node.out(0), x);
}

void check_moments(const Case& node) {
  const Shape channels = {node.in(0).cols()};
  node.expect_shape(node.out(0), channels);
  node.expect_shape(node.out(1), channels);
}

}  // namespace gramian
