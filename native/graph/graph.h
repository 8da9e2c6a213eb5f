// The graph as plain data, as it arrives from JavaScript (src/graph/graph.ts) and as the planner rewrites it.
// Ids index `tensors`. validate() must have accepted a graph before anything below binding looks at it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace gramian {

using Shape = std::vector<int64_t>;

/** The most elements of a tensor, and of what a kernel holds of one; more can only be a mistake. */
constexpr int64_t kMaxElements = int64_t{1} << 40;

enum class Kind { input, param, state, constant, temp };
const char* kind_name(Kind kind);

struct Attribute {
  enum class Type { number, boolean, string, list };
  std::string key;
  Type type = Type::number;
  double number = 0;  // numbers and booleans
  std::string string;
  std::vector<double> list;
};

struct Tensor {
  Shape shape;
  DType dtype = DType::f32;
  Kind kind = Kind::temp;
  std::string name;
  // Initial contents of a persistent tensor or a const: raw bytes borrowed from the caller for the duration of
  // compile, or one number for every element.
  const void* data = nullptr;
  int64_t data_bytes = 0;
  double fill = 0;
  bool has_data = false;

  int64_t cols() const { return shape.back(); }
  int64_t count() const;
  int64_t rows() const { return count() / cols(); }
  int64_t bytes() const { return count() * item_bytes(dtype); }
  bool persistent() const { return kind == Kind::param || kind == Kind::state; }
};

struct Node {
  std::string op;
  std::vector<int32_t> inputs, outputs;
  std::vector<Attribute> attrs;
  int32_t unit = -1;
  std::string name;

  const Attribute* find(const char* key) const;
  /** The number under `key`; contracts.cpp has made sure it is there. */
  double number(const char* key) const;
  const std::string& string(const char* key) const;
  const std::vector<double>& list(const char* key) const;
};

struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  std::vector<int32_t> outputs;
  bool training = true;  // false: the bits of an image's results may not depend on what it is batched with
};

/** Structural checks: ids, kinds, order, names, sizes; then the contract of every op. Throws Error. */
void validate(const Graph& graph);

/** Attributes, counts, dtypes and the shape relations that kernels rely on for memory safety. Throws Error. */
void check_contract(const Graph& graph, const Node& node);

}  // namespace gramian
