// Contracts of linear algebra, convolution, normalisation, pooling, resizing and classification. See contract_case.h.
#include <algorithm>

#include "graph/contract_case.h"

namespace gramian {
namespace {

/** Cells that a window of `kernel` cells, `dilation` apart, reaches over. */
int64_t reach_of(int64_t kernel, int64_t dilation) { return checked_add(checked_mul(kernel - 1, dilation), 1); }

/** Places a window can take every `stride` cells on a padded line. */
int64_t window_count(const Case& node, int64_t size, int64_t reach, int64_t stride, int64_t pads) {
  const int64_t room = checked_add(size, pads) - reach;
  node.expect(room >= 0, "a window that fits into the padded image");
  return room / stride + 1;
}

/** The relation of x[N,H,W,C], w[KH,KW,C/groups,O] and y[N,OH,OW,O]. */
void convolution(const Case& node, const Tensor& x, const Tensor& w, const Tensor& y) {
  for (const Tensor* tensor : {&x, &w, &y}) node.expect_rank(*tensor, 4);
  const int64_t groups = node.integer("groups", 1), channels = x.shape[3], filters = w.shape[3];
  node.expect(channels % groups == 0 && filters % groups == 0, "channels and filters divisible by groups");
  node.expect(w.shape[2] == channels / groups, "a filter over channels/groups input channels");
  const int64_t reach_h = reach_of(w.shape[0], node.integer("dilationH", 1));
  const int64_t reach_w = reach_of(w.shape[1], node.integer("dilationW", 1));
  const int64_t pads_h = node.integer("padTop", 0) + node.integer("padBottom", 0);
  const int64_t pads_w = node.integer("padLeft", 0) + node.integer("padRight", 0);
  const int64_t height = window_count(node, x.shape[1], reach_h, node.integer("strideH", 1), pads_h);
  const int64_t width = window_count(node, x.shape[2], reach_w, node.integer("strideW", 1), pads_w);
  node.expect_shape(y, {x.shape[0], height, width, filters});
  // Depthwise kernels hold the padded rows that a window reaches over.
  node.expect(x.shape[2] + pads_w <= kMaxElements / reach_h / std::max(channels, filters),
              "a window over padded rows of at most 2^40 elements in all");
}

/** The relation of x[N,H,W,C] and y[N,OH,OW,C] for a pooling window. */
void pooling(const Case& node, const Tensor& x, const Tensor& y) {
  node.expect_rank(x, 4);
  const int64_t kernel_h = node.integer("kernelH", 1), kernel_w = node.integer("kernelW", 1);
  // Less padding than window, so that every window holds at least one cell of the image.
  const int64_t pad_h = node.integer("padTop", 0, kernel_h - 1) + node.integer("padBottom", 0, kernel_h - 1);
  const int64_t pad_w = node.integer("padLeft", 0, kernel_w - 1) + node.integer("padRight", 0, kernel_w - 1);
  const int64_t height = window_count(node, x.shape[1], kernel_h, node.integer("strideH", 1), pad_h);
  const int64_t width = window_count(node, x.shape[2], kernel_w, node.integer("strideW", 1), pad_w);
  node.expect_shape(y, {x.shape[0], height, width, x.shape[3]});
}

void channel_vectors(const Case& node, size_t first, size_t last, int64_t channels) {
  for (size_t i = first; i <= last; ++i) node.expect_shape(node.in(i), {channels});
}

void activation(const Case& node) {
  node.word("activation", {"none", "relu", "leakyRelu", "elu", "tanh", "sigmoid"});
  node.number("eps", 0);
}

}  // namespace

void check_matmul(const Case& node) {
  for (const Tensor* tensor : {&node.in(0), &node.in(1), &node.out(0)}) node.expect_rank(*tensor, 2);
  const bool ta = node.flag("transA"), tb = node.flag("transB");
  const Shape &a = node.in(0).shape, &b = node.in(1).shape;
  node.expect(a[ta ? 0 : 1] == b[tb ? 1 : 0], "equal inner dimensions");
  node.expect_shape(node.out(0), {a[ta ? 1 : 0], b[tb ? 0 : 1]});
}

void check_conv2d(const Case& node) { convolution(node, node.in(0), node.in(1), node.out(0)); }
void check_conv2d_grad_input(const Case& node) { convolution(node, node.out(0), node.in(1), node.in(0)); }
void check_conv2d_grad_filter(const Case& node) { convolution(node, node.in(0), node.out(0), node.in(1)); }

void check_batch_norm(const Case& node) {
  activation(node);
  channel_vectors(node, 1, 4, node.in(0).cols());
  node.expect_shape(node.out(0), node.in(0).shape);
}

void check_batch_norm_grad_params(const Case& node) {
  activation(node);
  node.expect_shape(node.in(1), node.in(0).shape);
  const int64_t channels = node.in(0).cols();
  channel_vectors(node, 2, 5, channels);
  node.expect_shape(node.out(0), {channels});
  node.expect_shape(node.out(1), {channels});
}

void check_batch_norm_grad_input(const Case& node) {
  activation(node);
  node.expect_shape(node.in(1), node.in(0).shape);
  channel_vectors(node, 2, 7, node.in(0).cols());
  node.expect_shape(node.out(0), node.in(0).shape);
}

void check_row_normalize(const Case& node) {
  node.number("eps", 0);
  node.expect_rank(node.in(0), 2);
  check_same(node);
}

void check_pool(const Case& node) {
  pooling(node, node.in(0), node.out(0));
  if (node.outputs() == 2) {
    node.expect_shape(node.out(1), node.out(0).shape);
    node.expect(node.in(0).shape[1] <= 46340 && node.in(0).shape[2] <= 46340, "an image whose cells fit in 31 bits");
  }
}

void check_pool_grad(const Case& node) {
  if (node.inputs() == 2) node.expect_shape(node.in(1), node.in(0).shape);
  node.expect_rank(node.out(0), 4);
  pooling(node, node.out(0), node.in(0));
}

void check_resize(const Case& node) {
  node.word("mode", {"nearest", "bilinear"});
  node.word("coordinates", {"halfPixel", "aligned", "asymmetric"});
  node.expect_rank(node.in(0), 4);
  node.expect_rank(node.out(0), 4);
  const Shape &x = node.in(0).shape, &y = node.out(0).shape;
  node.expect(x[0] == y[0] && x[3] == y[3], "batch and channels unchanged");
  for (const Shape* shape : {&x, &y})
    node.expect((*shape)[1] <= 1 << 20 && (*shape)[2] <= 1 << 20, "images of at most 2^20 rows and columns");
}

void check_cross_entropy(const Case& node) {
  node.number("labelSmoothing", 0, 1);
  node.expect_rank(node.in(0), 2);
  const Shape& logits = node.in(0).shape;
  node.expect_shape(node.in(1), {logits[0]});
  if (node.inputs() == 3) node.expect_shape(node.in(2), {logits[1]});
  node.expect_shape(node.out(0), {1});
  node.expect_shape(node.out(1), logits);
}

void check_accuracy(const Case& node) {
  node.expect_rank(node.in(0), 2);
  node.expect_shape(node.in(1), {node.in(0).shape[0]});
  node.expect_shape(node.out(0), {1});
}

}  // namespace gramian
