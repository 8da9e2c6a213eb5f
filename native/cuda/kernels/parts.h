// A joined launch as the ops it stands for, one after the other, where no kernel does it in one pass. Host only; used
// by separable.cpp and depthwise_backward.cpp. The rule easy to break: prepare and run build the same parts, the first
// without memory.
#pragma once
#include <algorithm>
#include <memory>

#include "cuda/kernels/table.h"

namespace gramian::cuda {

class Parts {
 public:
  explicit Parts(const Call& whole) : whole_(whole) {}

  /** The op on these operands, with attributes of its own. */
  void add(const char* op, std::vector<View> in, std::vector<View> out, std::vector<Attribute> attrs) {
    auto part = std::make_unique<Part>();
    part->attrs = std::move(attrs);
    part->kernel = find_kernel(op);
    Call& call = part->call;
    call.op = part->kernel->op;
    call.in = std::move(in), call.out = std::move(out);
    call.attrs = &part->attrs;
    call.device = whole_.device, call.bf16 = whole_.bf16;
    part->kernel->prepare(call);
    parts_.push_back(std::move(part));
  }
  /** Whether one of them calls cuBLAS, and the most that any of them takes as a workspace. */
  bool uses_blas() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const auto& part) { return part->call.uses_blas; });
  }
  int64_t workspace_bytes() const {
    int64_t most = 0;
    for (const auto& part : parts_) most = std::max(most, part->call.workspace_bytes);
    return most;
  }
  void run(void* workspace, Queue& queue) {
    for (const auto& part : parts_) {
      part->call.workspace = workspace;
      part->kernel->run(part->call, queue);
    }
  }

 private:
  struct Part {
    std::vector<Attribute> attrs;
    Call call;
    const Kernel* kernel = nullptr;
  };
  const Call& whole_;
  std::vector<std::unique_ptr<Part>> parts_;
};

inline Attribute number_attribute(const char* key, double value) {
  Attribute attr;
  attr.key = key;
  attr.number = value;
  return attr;
}

/** Attributes of a convolution that multiplies pixels as they lie. */
inline std::vector<Attribute> pointwise_attributes() {
  std::vector<Attribute> attrs;
  for (const char* key : {"padTop", "padBottom", "padLeft", "padRight"}) attrs.push_back(number_attribute(key, 0));
  for (const char* key : {"strideH", "strideW", "dilationH", "dilationW", "groups"})
    attrs.push_back(number_attribute(key, 1));
  return attrs;
}

/** A dense map of x's kind in the workspace. */
inline View temporary(const Shape& shape, void* data) {
  View view;
  view.shape = shape;
  view.cols = view.pitch = shape.back();
  view.rows = count_of(shape) / view.cols;
  view.data = data;
  return view;
}

}  // namespace gramian::cuda
