// One node under examination by the contracts: short names for its shapes and attributes, and failures that say what
// was expected with every shape. Used by contracts*.cpp only.
// The rule easy to break: sizes come from outside, so they are combined with checked_mul and checked_add.
#pragma once
#include <initializer_list>
#include <string_view>

#include "core/text.h"
#include "graph/graph.h"

namespace gramian {

class Case {
 public:
  Case(const Graph& graph, const Node& node) : graph_(graph), node_(node) {}

  size_t inputs() const { return node_.inputs.size(); }
  size_t outputs() const { return node_.outputs.size(); }
  const Tensor& in(size_t i) const { return graph_.tensors[node_.inputs[i]]; }
  const Tensor& out(size_t i) const { return graph_.tensors[node_.outputs[i]]; }
  bool writes_input(size_t output, size_t input) const { return node_.outputs[output] == node_.inputs[input]; }

  /** A finite number in [low, high]. */
  double number(const char* key, double low = -1e300, double high = 1e300) const;
  int64_t integer(const char* key, int64_t low = -0x7fffffff, int64_t high = 0x7fffffff) const;
  std::vector<int64_t> integers(const char* key, int64_t low = 0) const;
  const std::vector<double>& list(const char* key) const { return node_.list(key); }
  /** One of the words; returns it. */
  std::string_view word(const char* key, std::initializer_list<const char*> words) const;
  const std::string& string(const char* key) const { return node_.string(key); }
  bool flag(const char* key) const { return node_.number(key) != 0; }

  void expect(bool holds, std::string_view expectation) const {
    if (!holds) fail(Code::shape, cat("expected ", expectation));
  }
  void expect_rank(const Tensor& tensor, size_t rank) const {
    if (tensor.shape.size() != rank)
      fail(Code::shape, cat("expected rank ", rank, " for \"", tensor.name, "\", got ", tensor.shape));
  }
  void expect_shape(const Tensor& tensor, const Shape& shape) const {
    if (tensor.shape != shape)
      fail(Code::shape, cat("expected shape ", shape, " for \"", tensor.name, "\", got ", tensor.shape));
  }
  void expect_dtype(const Tensor& tensor, DType dtype) const {
    if (tensor.dtype != dtype)
      fail(Code::shape,
           cat("expected ", dtype_name(dtype), " for \"", tensor.name, "\", got ", dtype_name(tensor.dtype)));
  }
  [[noreturn]] void fail(Code code, const std::string& message) const;

 private:
  const Graph& graph_;
  const Node& node_;
};

using Check = void (*)(const Case&);

/** What an op takes and gives. */
struct Contract {
  const char* op;
  size_t min_inputs, max_inputs;
  // One letter each: f f32, i i32, u u8, * any (all the same). The last letter of `inputs` stands for the rest.
  const char* inputs;
  const char* outputs;
  // `key:type` with type n number, b boolean, s string, l list of numbers; separated by spaces.
  const char* attrs;
  Check check;
};

// contracts_array.cpp
void check_same(const Case&);
void check_broadcast(const Case&);
void check_fill(const Case&);
void check_dropout(const Case&);
void check_reshape(const Case&);
void check_transpose(const Case&);
void check_concat(const Case&);
void check_slice(const Case&);
void check_pad(const Case&);
void check_broadcast_to(const Case&);
void check_gather(const Case&);
void check_gather_grad(const Case&);
void check_top_k(const Case&);
void check_reduce(const Case&);
void check_reduce_max_grad(const Case&);
void check_moments(const Case&);

// contracts_layer.cpp
void check_matmul(const Case&);
void check_conv2d(const Case&);
void check_conv2d_grad_input(const Case&);
void check_conv2d_grad_filter(const Case&);
void check_batch_norm(const Case&);
void check_batch_norm_grad_params(const Case&);
void check_batch_norm_grad_input(const Case&);
void check_row_normalize(const Case&);
void check_pool(const Case&);
void check_pool_grad(const Case&);
void check_resize(const Case&);
void check_cross_entropy(const Case&);
void check_accuracy(const Case&);

// contracts_train.cpp
void check_gram(const Case&);
void check_gram_grad(const Case&);
void check_kernel_matrix(const Case&);
void check_label_kernel(const Case&);
void check_hsic_normalize(const Case&);
void check_hsic_objective(const Case&);
void check_adam(const Case&);
void check_sgd(const Case&);
void check_ema(const Case&);
void check_increment(const Case&);
void check_schedule(const Case&);
void check_dataset_batch(const Case&);

}  // namespace gramian
