// The backward of a unit's front, made by native/plan/fuse_backward.cpp: one pass over x (depthwise_backward.cu),
// behind the gradient of the pointwise convolution (products.h) where there was one. in: dy or its pooled cells, w, x,
// mean, variance, gamma, beta (, v) (, other). out: dw, dgamma, dbeta (, dz). The rule easy to break: chunks follow
// from shapes.
#include "cuda/kernels/depthwise_backward.h"

#include <algorithm>

#include "cuda/kernels/norms.h"
#include "cuda/kernels/products.h"
#include "cuda/kernels/windows.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kBlocksWanted = 512, kMostChunks = 256;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int32_t i32(int64_t value) { return static_cast<int32_t>(value); }
int64_t integer(const Call& call, const char* key) { return static_cast<int64_t>(call.number(key)); }

bool pointwise(const Call& call) { return call.number("pointwise") != 0; }
bool pooled(const Call& call) { return call.number("poolKernelH") > 0; }
const View* other_of(const Call& call) { return call.number("addTo") != 0 ? &call.in.back() : nullptr; }
const View* dz_of(const Call& call) { return call.number("storeGradient") != 0 ? &call.out[3] : nullptr; }

struct Cut {
  WindowPlan plan;
  int64_t chunks;

  Cut(const Call& call, int64_t width) {
    const View& x = call.in[2];
    WindowNeeds needs = {};
    needs.batch = x.shape[0], needs.image_h = needs.rows = x.shape[1], needs.image_w = needs.cols = x.shape[2];
    needs.taps_h = needs.taps_w = 3, needs.stride_h = needs.stride_w = needs.dilation_h = needs.dilation_w = 1;
    needs.channels = x.cols, needs.multiplier = 1;
    needs.behind = 9, needs.pixel_floats = kBackwardLanes;
    plan = plan_window(call, needs, width);
    const auto tree = static_cast<unsigned>(3 * kTileBlock * width * int64_t{sizeof(float)});
    plan.shared_bytes = std::max(plan.shared_bytes, tree);
    chunks = std::clamp(kBlocksWanted / plan.parts, int64_t{1}, std::min(kMostChunks, plan.tiles));
    chunks = ceil_div(plan.tiles, ceil_div(plan.tiles, chunks));
  }
  int64_t bytes(const Call& call) const {
    return ceil_div(chunks * kBackwardRows * call.in[2].cols, 64) * 64 * int64_t{sizeof(float)};
  }
};

/** What the widest and the narrowest vectors may need. */
int64_t sums_bytes(const Call& call) { return std::max(Cut(call, 1).bytes(call), Cut(call, 2).bytes(call)); }

/** dy as the depthwise convolution saw it, or its cells; behind a pointwise convolution it is made in the workspace. */
View gradient_of(const Call& call, void* memory) {
  View dy = call.in[0];
  if (!pointwise(call)) return dy;
  dy.cols = dy.pitch = dy.shape.back() = call.in[2].cols;
  dy.data = memory;
  return dy;
}

int64_t gradient_bytes(const Call& call) {
  return ceil_div(gradient_of(call, nullptr).count(), 64) * 64 * int64_t{sizeof(float)};
}

/** The gradient by what a pointwise convolution read: dy times its filter. */
PlainProduct pointwise_product(const Call& call, const View& gradient) {
  PlainProduct product = {call.in[0], call.in[7], gradient};
  product.trans_b = true;
  return product;
}

void prepare(Call& call) {
  call.variant = pointwise(call) ? "pointwise" : pooled(call) ? "pooled" : "dense";
  call.workspace_bytes = sums_bytes(call);
  if (pointwise(call))
    call.workspace_bytes += gradient_bytes(call) + pointwise_product(call, gradient_of(call, nullptr)).prepare(call);
}

bool pairs_fit(const View& view) {
  return reinterpret_cast<uintptr_t>(view.data) % 8 == 0 && (view.pitch % 2 == 0 || view.rows == 1);
}

/** Floats of a vector: 2 where all operands allow it, else 1. */
int64_t width_of(const Call& call, const View& dy) {
  const View &w = call.in[1], &x = call.in[2];
  if (x.cols % 2 != 0 || !pairs_fit(dy) || !pairs_fit(w) || !pairs_fit(x)) return 1;
  for (size_t i = 3; i < 7; ++i)
    if (!pairs_fit(call.in[i])) return 1;
  if (other_of(call) && !pairs_fit(*other_of(call))) return 1;
  return dz_of(call) && !pairs_fit(*dz_of(call)) ? 1 : 2;
}

Slope slope_of(const Norm& norm) {
  switch (norm.activation) {
    case Activation::none:
      return {1, 0, 0, 0};
    case Activation::relu:
      return {0, 0, 0, 1};
    case Activation::leakyRelu:
      return {norm.alpha, 0, 0, 1};
    case Activation::elu:
      return {norm.alpha, 1, 0, 1};
    case Activation::tanh:
      return {1, 0, -1, 0};
    case Activation::sigmoid:
      return {0, 1, -1, 0};
  }
  return {};
}

DepthwiseBackwardParams params_of(const Call& call, const View& dy, const Cut& cut, const Norm& norm) {
  const View &w = call.in[1], &x = call.in[2];
  const View *other = other_of(call), *dz = dz_of(call);
  DepthwiseBackwardParams p = {};
  p.window = cut.plan.window;
  p.window.x = x.floats(), p.window.pitch = u32(x.pitch), p.window.norm = norm;
  p.slope = slope_of(norm);
  p.dy = dy.floats(), p.pitch_dy = u32(dy.pitch);
  p.filter = w.floats(), p.pitch_filter = u32(w.pitch);
  if (other) p.other = other->floats(), p.pitch_other = u32(other->pitch);
  if (dz) p.dz = dz->floats(), p.pitch_dz = u32(dz->pitch);
  p.channels = u32(x.cols), p.chunks = u32(cut.chunks);
  p.top = i32(integer(call, "padTop")), p.left = i32(integer(call, "padLeft"));
  p.dy_h = i32(dy.shape[1]), p.dy_w = i32(dy.shape[2]);
  p.pooled = pooled(call);
  p.out_h = p.pooled ? i32(integer(call, "outHeight")) : p.dy_h;
  p.out_w = p.pooled ? i32(integer(call, "outWidth")) : p.dy_w;
  p.stride_h_of = make_divisor(integer(call, "strideH")), p.stride_w_of = make_divisor(integer(call, "strideW"));
  p.pool_h = i32(integer(call, "poolKernelH")), p.pool_w = i32(integer(call, "poolKernelW"));
  p.pool_top = i32(integer(call, "poolPadTop")), p.pool_left = i32(integer(call, "poolPadLeft"));
  p.pool_h_of = make_divisor(std::max(p.pool_h, 1)), p.pool_w_of = make_divisor(std::max(p.pool_w, 1));
  return p;
}

void run(const Call& call, Queue& queue) {
  const View& x = call.in[2];
  char* const memory = static_cast<char*>(call.workspace);
  const View dy = gradient_of(call, memory + sums_bytes(call));
  if (pointwise(call)) pointwise_product(call, dy).run(call, memory + sums_bytes(call) + gradient_bytes(call), queue);
  const int64_t width = width_of(call, dy);
  const Cut cut(call, width);
  const Norm norm = norm_of(call, 3, "bn");
  DepthwiseBackwardParams params = params_of(call, dy, cut, norm);
  params.sums = reinterpret_cast<float*>(memory);
  queue.launch("depthwise_backward", width == 2 ? "depthwiseBackward_2" : "depthwiseBackward_1",
               {cut.chunks, cut.plan.parts}, cut.plan.block, params, cut.plan.shared_bytes);
  const BackwardSumsParams sums = {params.sums,          norm.variance,          call.out[0].floats(),
                                   call.out[1].floats(), call.out[2].floats(),   u32(cut.chunks),
                                   params.channels,      u32(call.out[0].pitch), norm.eps};
  queue.launch("depthwise_backward", "backwardSums", {ceil_div(x.cols, 32), kBackwardRows}, 256, sums);
}

const Kernel kernels[] = {{"depthwiseBackward", prepare, run}};

}  // namespace

extern const KernelList kDepthwiseBackwardKernels;
const KernelList kDepthwiseBackwardKernels = list_of(kernels);

}  // namespace gramian::cuda
