// Depthwise convolution and its gradients, for conv2d.cpp, which has told it apart. The kernels are depthwise.cu's.
// The rule easy to break: chunks of the filter's gradient follow from shapes, and there are at most kMostChunks.
#include "cuda/kernels/depthwise.h"

#include <algorithm>

#include "cuda/kernels/conv2d.h"
#include "cuda/kernels/norms.h"
#include "cuda/kernels/windows.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kMostChunks = 256, kBlocksWanted = 512;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int32_t i32(int64_t value) { return static_cast<int32_t>(value); }

/** Vectors of 4 floats need whole, aligned ones everywhere; several outputs of one channel of x rule them out. */
int64_t width_of(std::initializer_list<const View*> views, const Norm& norm, int64_t multiplier) {
  if (multiplier > 1 || !aligned16(norm)) return 1;
  for (const View* view : views)
    if (!aligned16(*view) || view->cols % 4 != 0) return 1;
  return 4;
}

WindowNeeds needs_of(const ConvShape& s) {
  WindowNeeds needs = {};
  needs.batch = s.batch, needs.image_h = s.h, needs.image_w = s.w, needs.rows = s.oh, needs.cols = s.ow;
  needs.taps_h = s.kh, needs.taps_w = s.kw, needs.stride_h = s.stride_h, needs.stride_w = s.stride_w;
  needs.dilation_h = s.dilation_h, needs.dilation_w = s.dilation_w;
  needs.channels = s.groups * s.o, needs.multiplier = s.o;
  return needs;
}

void launch(const Call& call, Queue& queue, WindowNeeds needs, int64_t width, int64_t sets, DepthwiseParams& params,
            const Norm& norm) {
  const View &x = call.in[0], &filter = call.in[1], &y = call.out[0];
  needs.behind = needs.taps_h * needs.taps_w;
  if (!window_fits(call, needs, width)) width = 1;
  const bool near = width == 4 && sets == 1 && needs.taps_h == 3 && needs.taps_w == 3 && needs.dilation_h == 1 &&
                    needs.dilation_w == 1 && needs.stride_h == 1 && needs.stride_w == 1;
  if (near) needs.behind = 0;
  const WindowPlan plan = plan_window(call, needs, width);
  params.window = plan.window;
  params.window.x = x.floats();
  params.window.pitch = u32(x.pitch);
  params.window.norm = norm;
  params.filter = filter.floats();
  params.pitch_filter = u32(filter.pitch);
  params.y = y.floats();
  params.pitch_y = u32(y.pitch);
  params.y_rows = i32(y.shape[1]);
  params.y_cols = i32(y.shape[2]);
  const char* const kernel = near ? "near_4" : width == 4 ? "any_4" : "any_1";
  queue.launch("depthwise", kernel, {plan.blocks, plan.parts, sets}, plan.block, params, plan.shared_bytes);
}

/** Tiles, and how they are dealt out in chunks to the blocks that sum over them. */
struct FilterPlan {
  WindowPlan plan;
  int64_t width;               // floats of a vector
  int64_t blocks_h, blocks_w;  // of 3 x 3 taps
  int64_t chunks;
};

/** In vectors of up to `widest` floats. */
FilterPlan plan_filter(const Call& call, const ConvShape& s, int64_t widest) {
  FilterPlan made = {};
  WindowNeeds needs = needs_of(s);
  needs.taps_h = needs.taps_w = 3;
  made.width = window_fits(call, needs, widest) ? widest : 1;
  made.plan = plan_window(call, needs, made.width);
  made.blocks_h = ceil_div(s.kh, 3), made.blocks_w = ceil_div(s.kw, 3);
  const int64_t others = made.plan.parts * made.blocks_h * made.blocks_w;
  made.chunks = std::clamp(kBlocksWanted / others, int64_t{1}, std::min(kMostChunks, made.plan.tiles));
  made.chunks = ceil_div(made.plan.tiles, ceil_div(made.plan.tiles, made.chunks));
  const auto tree = static_cast<unsigned>(3 * kTileBlock * made.width * int64_t{sizeof(float)});
  made.plan.shared_bytes = std::max(made.plan.shared_bytes, tree);
  return made;
}

}  // namespace

void run_depthwise(const Call& call, const ConvShape& s, Queue& queue) {
  const View &x = call.in[0], &filter = call.in[1], &y = call.out[0];
  const Norm norm = norm_of(call, 2, "bn");
  const int64_t width = width_of({&x, &filter, &y}, norm, s.o);
  DepthwiseParams params = {};
  params.fold = 1;
  params.y_step_h = params.y_step_w = 1;
  params.outputs[0] = {i32(-s.top), i32(-s.left), i32(s.oh), i32(s.ow), i32(s.kh), i32(s.kw), 0, i32(s.kw), 1, 0, 0};
  launch(call, queue, needs_of(s), width, 1, params, norm);
}

void run_depthwise_grad_input(const Call& call, const ConvShape& s, Queue& queue) {
  const View &dy = call.in[0], &filter = call.in[1], &dx = call.out[0];
  const int64_t width = width_of({&dy, &filter, &dx}, {}, s.o);
  DepthwiseParams params = {};
  params.fold = u32(s.o);
  params.y_step_h = i32(s.stride_h), params.y_step_w = i32(s.stride_w);
  WindowNeeds needs = {};
  needs.batch = s.batch, needs.image_h = s.oh, needs.image_w = s.ow, needs.stride_h = needs.stride_w = 1;
  needs.dilation_h = needs.dilation_w = needs.taps_h = needs.taps_w = 1;
  needs.channels = s.groups, needs.multiplier = 1;
  int64_t sets = 0;
  const auto flush = [&] {
    if (sets > 0) launch(call, queue, needs, width, sets, params, {});
    sets = 0;
  };
  for (int64_t a = 0; a < s.stride_h; ++a)
    for (int64_t b = 0; b < s.stride_w; ++b) {
      const PhaseTaps h = phase_taps_h(s, a), w = phase_taps_w(s, b);
      if (h.pixels * w.pixels == 0) continue;
      // Dilations are those of the largest set, or 1 of a single tap, which any other serves as well.
      needs.rows = std::max(needs.rows, h.pixels), needs.cols = std::max(needs.cols, w.pixels);
      needs.taps_h = std::max(needs.taps_h, h.taps), needs.taps_w = std::max(needs.taps_w, w.taps);
      needs.dilation_h = std::max(needs.dilation_h, h.dilation);
      needs.dilation_w = std::max(needs.dilation_w, w.dilation);
      params.outputs[sets++] = {i32(h.top),
                                i32(w.top),
                                i32(h.pixels),
                                i32(w.pixels),
                                i32(h.taps),
                                i32(w.taps),
                                i32(h.first * s.kw + w.first),
                                i32(h.step * s.kw),
                                i32(w.step),
                                i32(a),
                                i32(b)};
      if (sets == kMostOutputs) flush();
    }
  flush();
}

void prepare_depthwise_grad_filter(Call& call, const ConvShape& s) {
  for (const int64_t width : {1, 4}) {
    const int64_t bytes = plan_filter(call, s, width).chunks * call.out[0].count() * int64_t{sizeof(float)};
    call.workspace_bytes = std::max(call.workspace_bytes, bytes);
  }
}

void run_depthwise_grad_filter(const Call& call, const ConvShape& s, Queue& queue) {
  const View &x = call.in[0], &dy = call.in[1], &dw = call.out[0];
  const Norm norm = norm_of(call, 2, "bn");
  const FilterPlan made = plan_filter(call, s, width_of({&x, &dy}, norm, s.o));
  DepthwiseFilterParams params = {};
  params.window = made.plan.window;
  params.window.x = x.floats();
  params.window.pitch = u32(x.pitch);
  params.window.norm = norm;
  params.dy = dy.floats();
  params.pitch_dy = u32(dy.pitch);
  params.sums = static_cast<float*>(call.workspace);
  params.channels = u32(s.groups * s.o);
  params.rows = i32(s.oh), params.cols = i32(s.ow);
  params.top = i32(-s.top), params.left = i32(-s.left);
  params.taps_h = i32(s.kh), params.taps_w = i32(s.kw);
  params.chunks = u32(made.chunks);
  params.blocks_w_of = make_divisor(made.blocks_w);
  const Grid grid = {made.chunks, made.plan.parts, made.blocks_h * made.blocks_w};
  queue.launch("depthwise", made.width == 4 ? "filterGradient_4" : "filterGradient_1", grid, made.plan.block, params,
               made.plan.shared_bytes);
  enqueue_sum(params.sums, made.chunks, dw, queue);
}

}  // namespace gramian::cuda
