// A plan: what the passes of this folder make of a graph, in the order planner.cpp calls them. Plain data, no memory
// of its own; executable.cpp gives it memory and runs it. Each pass is one file with a worked example on top.
// The rule easy to break: tensors are addressed through their Place; several tensors may share one Storage.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "backend.h"
#include "graph/graph.h"

namespace gramian {

/** Where a tensor lives: element `offset` of a storage, its rows `pitch` elements apart. */
struct Place {
  int32_t storage = -1;
  int64_t offset = 0;
  int64_t pitch = 0;
};

/** A dense block of rows x cols elements. Temps share the arena; the others have memory of their own. */
struct Storage {
  Kind kind = Kind::temp;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0;
  int32_t tensor = -1;           // the tensor it was made for
  std::vector<int32_t> members;  // every tensor placed in it
  bool merged = false;           // it became a part of another storage
  int32_t first = 0, last = -1;  // the launches between which a temp storage must keep its contents
  int64_t arena_offset = 0;      // bytes

  int64_t bytes() const { return rows * cols * item_bytes(dtype); }
};

struct Step {
  Node node;
  int32_t append = 0;  // its index in append order
  int32_t line = 0;    // the queue it runs in; 0 holds the longest way through the plan
  std::unique_ptr<Launch> launch;
  int64_t workspace_offset = 0;  // bytes, in the arena
  int64_t bytes = 0;             // read and written
};

/** A tensor of labels or indices whose values must lie in 0..limit-1 before a step may begin. */
struct RangeCheck {
  int32_t tensor = -1;
  int64_t limit = 0;
  std::string op;
};

struct Plan {
  Graph graph;
  std::vector<Step> steps;
  std::vector<Place> places;  // by tensor id
  std::vector<Storage> storages;
  std::vector<RangeCheck> checks;
  std::vector<std::string> fused;
  int64_t arena_bytes = 0;
};

// A larger pointwise filter would push the tile of a joined launch out of the second cache.
constexpr int64_t kMostPointwiseWeights = 128 * 1024;

// The passes, in order.
void prune(Plan& plan);
void bypass_identities(Plan& plan);
void share_pools(Plan& plan);
void fold_batch_norms(Plan& plan);
void fold_activations(Plan& plan);
void fuse_backward(Plan& plan);
void fuse_separable(Plan& plan);
void fuse_finish(Plan& plan);
void fuse_sums(Plan& plan);
void fuse_residual(Plan& plan);
void defer_correction(Plan& plan);
void schedule(Plan& plan);
void deal_out(Plan& plan, int queues);
void place_aliases(Plan& plan);
void reuse_inputs(Plan& plan);
void place_concats(Plan& plan);
/** In a graph for inference, products choose how to cut their sums by one image, so that its bits are its own. */
void keep_images_apart(Plan& plan);
void choose_kernels(Plan& plan, Backend& backend);
void lay_out_arena(Plan& plan);
void find_range_checks(Plan& plan);

/** Runs them all. The graph must have been validated. */
Plan make_plan(Graph graph, Backend& backend);

// Questions several passes ask.
/** No step, where an index of one is asked for. */
inline constexpr size_t kNone = static_cast<size_t>(-1);
/** Index of the step that makes a tensor; kNone for what no step makes. */
size_t maker_of(const Plan& plan, int32_t id);
/** By tensor id: whether a node of the plan writes it in place. */
std::vector<char> written_persistents(const Plan& plan);
/** By tensor id: index of the last step that reads or makes it; steps.size() for outputs of the plan; -1 if none. */
std::vector<int32_t> last_uses(const Plan& plan);
Operand operand_of(const Plan& plan, int32_t tensor);
/** Whether a step appended after `from` and before `to` makes or writes one of these tensors. */
bool written_between(const Plan& plan, const std::vector<int32_t>& tensors, int32_t from, int32_t to);
/** Whether a conv2d, or a gradient of one, multiplies every pixel of x by a filter that a joined launch may hold. */
bool is_pointwise(const Node& node, const Shape& x, const Shape& filter, const Shape& y);
/** Whether a node is a matmul or a convolution that multiplies matrices, not a depthwise one. */
bool is_product(const Plan& plan, const Node& node);
/** Whether a node puts its inputs side by side as columns, which place_concats does without a launch. */
bool is_last_axis_concat(const Plan& plan, const Node& node);
/** Whether a node is an activation that kernels can absorb. */
bool is_activation(const Node& node);
/** What an activation node does, as two attributes of the launch it is joined to. */
void push_activation(Node& node, const Node& activation, const char* name, const char* alpha);
/** The node's attribute `key` under another name, for the launch it is joined to. */
Attribute renamed(const Node& node, const char* key, const char* name);
/** A fresh temp tensor like another, with `cols` columns, on behalf of a pass. */
int32_t add_temp(Plan& plan, int32_t like, int64_t cols, const std::string& name);
Attribute number_attribute(const char* key, double value);
/** A fresh temp storage for a tensor, dense. */
void place_alone(Plan& plan, int32_t tensor);

struct LaunchLine {
  std::string op, kernel, name;
  int32_t unit = -1;
  int64_t bytes = 0;
};

/** What plan.describe() shows. */
struct Description {
  std::string device, isa, precision;
  int threads = 0;
  int64_t arena_bytes = 0, persistent_bytes = 0;
  std::vector<LaunchLine> launches;
  std::vector<std::string> fused;
  std::string text;
};
Description describe(const Plan& plan, const Backend& backend);

}  // namespace gramian
