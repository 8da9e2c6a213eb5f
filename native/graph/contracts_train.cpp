// Contracts of the dependence objectives, the updates and the data set on the device. See contract_case.h.
#include <string>

#include "graph/contract_case.h"

namespace gramian {
namespace {

/** The size m of a Gram or kernel matrix [m,m]. */
int64_t square(const Case& node, const Tensor& tensor) {
  node.expect_rank(tensor, 2);
  node.expect(tensor.shape[0] == tensor.shape[1], "a square matrix");
  return tensor.shape[0];
}

void kernel(const Case& node) {
  node.word("kernel", {"gaussian", "linear"});
  node.number("sigma");
  node.number("features", 1);
}

/** The update writes its own input: output `out` is input `in`. */
void in_place(const Case& node, size_t out, size_t in) {
  if (!node.writes_input(out, in)) node.fail(Code::graph, cat("output ", out, " is input ", in, ", updated in place"));
}

}  // namespace

void check_gram(const Case& node) {
  node.expect_rank(node.in(0), 2);
  const int64_t m = node.in(0).shape[0];
  node.expect_shape(node.out(0), {m, m});
}

void check_gram_grad(const Case& node) {
  node.expect_rank(node.in(1), 2);
  node.expect(square(node, node.in(0)) == node.in(1).shape[0], "a gradient of z's Gram matrix");
  node.expect_shape(node.out(0), node.in(1).shape);
}

void check_kernel_matrix(const Case& node) {
  kernel(node);
  const int64_t m = square(node, node.in(0));
  node.expect_shape(node.out(0), {m, m});
  node.expect_shape(node.out(1), {1});
}

void check_label_kernel(const Case& node) {
  node.expect_rank(node.in(0), 1);
  const int64_t m = node.in(0).shape[0];
  node.expect_shape(node.out(0), {m, m});
}

void check_hsic_normalize(const Case& node) {
  node.number("eps", 0);
  square(node, node.in(0));
  check_same(node);
}

void check_hsic_objective(const Case& node) {
  const std::string_view kind = node.word("kind", {"hsic", "nhsic", "cka", "phsic"});
  kernel(node);
  const size_t expected = kind == "nhsic" ? 5 : 3;
  if (node.inputs() != expected) node.fail(Code::graph, cat("expected ", expected, " inputs, got ", node.inputs()));
  const int64_t m = square(node, node.in(0));
  node.expect(m >= 2, "two samples or more");
  for (size_t i = 1; i < node.inputs(); ++i) node.expect_shape(node.in(i), {m, m});
  node.expect_shape(node.out(0), {1});
  node.expect_shape(node.out(1), {8});
  node.expect_shape(node.out(2), {m, m});
}

void check_adam(const Case& node) {
  in_place(node, 0, 0);
  in_place(node, 1, 2);
  in_place(node, 2, 3);
  for (size_t i = 1; i < 4; ++i) node.expect_shape(node.in(i), node.in(0).shape);
  node.expect_shape(node.in(4), {1});
  node.expect_shape(node.in(5), {1});
}

void check_sgd(const Case& node) {
  in_place(node, 0, 0);
  in_place(node, 1, 2);
  node.expect_shape(node.in(1), node.in(0).shape);
  node.expect_shape(node.in(2), node.in(0).shape);
  node.expect_shape(node.in(3), {1});
}

void check_ema(const Case& node) {
  in_place(node, 0, 0);
  node.expect_shape(node.in(1), node.in(0).shape);
}

void check_increment(const Case& node) {
  in_place(node, 0, 0);
  node.expect_shape(node.in(0), {1});
}

void check_schedule(const Case& node) {
  node.word("kind", {"constant", "step", "cosine", "exponential"});
  node.expect_shape(node.in(0), {1});
  node.expect_shape(node.out(0), {1});
}

void check_dataset_batch(const Case& node) {
  const Tensor &images = node.in(0), &x = node.out(0);
  node.expect_rank(images, 4);
  node.expect_rank(x, 4);
  node.expect_shape(node.in(1), {images.shape[0]});
  node.expect_shape(node.in(2), {1});
  node.expect(x.shape[3] == images.shape[3], "as many channels after as before");
  node.expect_shape(node.out(1), {x.shape[0]});
  node.integer("count", 1, std::min<int64_t>(images.shape[0], 0x7fffffff));
  node.number("seed", 0, 9007199254740991.0);
  for (const char* key : {"mean", "std"}) {
    const auto size = static_cast<int64_t>(node.list(key).size());
    node.expect(size == 1 || size == images.shape[3], "one mean and std, or one per channel");
  }
  for (const char* key : {"rotate", "shift", "noise"}) node.number(key, 0, 1e6);
  node.number("scaleMin", 1e-3, 1e3);
  node.number("scaleMax", 1e-3, 1e3);
  const std::string& variants = node.string("variants");
  for (size_t at = 0; at < variants.size();) {
    const size_t comma = std::min(variants.find(',', at), variants.size());
    const std::string word = variants.substr(at, comma - at);
    bool known = false;
    for (const char* name : {"identity", "flip", "rotate+45", "rotate-45", "half", "double", "noise", "rotate+5",
                             "rotate-5", "rotate+10", "rotate-10", "rotate+15", "rotate-15"})
      known = known || word == name;
    if (!known) node.fail(Code::graph, cat("there is no variant \"", word, "\""));
    at = comma + 1;
  }
}

}  // namespace gramian
