// conv2d, conv2dGradInput and conv2dGradFilter: depthwise.cpp's, few_taps.cpp's, plain products for the gradients of a
// pointwise convolution, and the rest a product (products.h) on pixels read through the window, so that the unfolded
// image never exists in memory. The rule easy to break: a gradient by the input with stride s is s * s products, one
// for each phase of the pixels of x; a phase that no tap reaches is zero.
#include "cuda/kernels/conv2d.h"

#include <algorithm>

#include "cuda/kernels/norms.h"
#include "cuda/kernels/products.h"

namespace gramian::cuda {
namespace {

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int32_t i32(int64_t value) { return static_cast<int32_t>(value); }

const char* variant_of(const ConvShape& s) {
  if (s.depthwise()) return "depthwise";
  if (s.pointwise()) return "pointwise";
  if (s.groups > 1) return "grouped";
  return s.kh * s.kw == 1 ? "gathered" : "window";
}

/** Rows are the pixels of y, columns the taps and channels that y reads of x. */
ProductRows window_rows(const ConvShape& s, const View& x) {
  ProductRows rows = plain_rows(x);
  rows.channels_of = make_divisor(s.c);
  if (s.pointwise()) return rows;
  rows.image_h = i32(s.h), rows.image_w = i32(s.w);
  rows.stride_h = i32(s.stride_h), rows.stride_w = i32(s.stride_w);
  rows.top = i32(-s.top), rows.left = i32(-s.left);
  rows.step_h = i32(s.dilation_h), rows.step_w = i32(s.dilation_w);
  rows.rows_h_of = make_divisor(s.oh), rows.rows_w_of = make_divisor(s.ow);
  rows.taps_w_of = make_divisor(s.kw);
  return rows;
}

// ---------------------------------------------------------------- conv2d

ProductCall forward_product(const Call& call, const ConvShape& s) {
  const View &x = call.in[0], &filter = call.in[1];
  ProductCall product;
  product.params.a = window_rows(s, x);
  product.params.b = plain_columns(filter);
  product.params.group_a = u32(s.c), product.params.group_b = u32(s.o);
  product.m = s.batch * s.oh * s.ow, product.n = s.o, product.k = s.kh * s.kw * s.c, product.groups = s.groups;
  product.rows_alone = call.number("perImage") != 0 ? s.oh * s.ow : 0;
  product.run_a = s.c;
  product.finished = call.find("outEps") != nullptr;
  product.bf16 = call.bf16;
  product.y = call.out[0];
  return product;
}

void prepare_forward(Call& call) {
  const ConvShape s = conv_shape(call, call.in[0], call.in[1], call.out[0]);
  call.variant = variant_of(s);
  if (!s.depthwise()) call.workspace_bytes = product_bytes(forward_product(call, s));
}

void run_forward(const Call& call, Queue& queue) {
  const ConvShape s = conv_shape(call, call.in[0], call.in[1], call.out[0]);
  if (s.depthwise()) return run_depthwise(call, s, queue);
  ProductCall product = forward_product(call, s);
  product.params.finish = norm_of(call, 2, "out");
  run_product(product, call.workspace, queue);
}

// ---------------------------------------------------------------- gradient by the input

PlainProduct pointwise_grad_input(const Call& call) {
  PlainProduct product = {call.in[0], call.in[1], call.out[0]};
  product.trans_b = true;
  return product;
}

void prepare_grad_input(Call& call) {
  const ConvShape s = conv_shape(call, call.out[0], call.in[1], call.in[0]);
  call.variant = variant_of(s);
  if (!s.depthwise() && s.pointwise()) call.workspace_bytes = pointwise_grad_input(call).prepare(call);
}

void run_phase(const Call& call, const ConvShape& s, int64_t a, int64_t b, Queue& queue) {
  const View &dy = call.in[0], &filter = call.in[1], &dx = call.out[0];
  const PhaseTaps h = phase_taps_h(s, a), w = phase_taps_w(s, b);
  if (h.pixels * w.pixels == 0) return;
  ProductCall product;
  product.m = s.batch * h.pixels * w.pixels, product.n = s.c, product.k = h.taps * w.taps * s.o;
  product.groups = s.groups, product.run_a = product.run_b = s.o;
  product.bf16 = call.bf16;
  product.y = dx;
  ProductParams& params = product.params;
  ProductRows& rows = params.a = plain_rows(dy);
  rows.image_h = i32(s.oh), rows.image_w = i32(s.ow);
  rows.top = i32(h.top), rows.left = i32(w.top);
  rows.step_h = i32(h.dilation), rows.step_w = i32(w.dilation);
  rows.rows_h_of = make_divisor(h.pixels), rows.rows_w_of = make_divisor(w.pixels);
  rows.channels_of = make_divisor(s.o), rows.taps_w_of = make_divisor(std::max<int64_t>(1, w.taps));
  params.b = turned_columns(filter);
  params.b.first = i32(h.first * s.kw + w.first);
  params.b.step_h = i32(h.step * s.kw), params.b.step_w = i32(w.step);
  params.b.tap = u32(s.c * filter.pitch);
  params.group_a = params.group_b = u32(s.o);
  params.y_h = i32(s.h), params.y_w = i32(s.w);
  params.y_step_h = i32(s.stride_h), params.y_step_w = i32(s.stride_w);
  params.y_top = i32(a), params.y_left = i32(b);
  run_product(product, nullptr, queue);
}

void run_grad_input(const Call& call, Queue& queue) {
  const View &dy = call.in[0], &filter = call.in[1], &dx = call.out[0];
  const ConvShape s = conv_shape(call, dx, filter, dy);
  if (s.depthwise()) return run_depthwise_grad_input(call, s, queue);
  if (s.pointwise()) return pointwise_grad_input(call).run(call, call.workspace, queue);
  for (int64_t a = 0; a < s.stride_h; ++a)
    for (int64_t b = 0; b < s.stride_w; ++b) run_phase(call, s, a, b, queue);
}

// ---------------------------------------------------------------- gradient by the filter

ProductCall filter_product(const Call& call, const ConvShape& s) {
  const View &x = call.in[0], &dy = call.in[1];
  ProductCall product;
  product.params.a = window_rows(s, x);
  product.params.b = plain_columns(dy);
  product.params.group_a = u32(s.c), product.params.group_b = u32(s.o);
  product.m = s.kh * s.kw * s.c, product.n = s.o, product.k = s.batch * s.oh * s.ow, product.groups = s.groups;
  product.transposed = true;
  product.run_a = s.c;
  product.bf16 = call.bf16;
  product.y = call.out[0];
  return product;
}

PlainProduct pointwise_grad_filter(const Call& call) {
  PlainProduct product = {call.in[0], call.in[1], call.out[0]};
  product.trans_a = true;
  return product;
}

void prepare_grad_filter(Call& call) {
  const ConvShape s = conv_shape(call, call.in[0], call.out[0], call.in[1]);
  call.variant = variant_of(s);
  if (s.depthwise()) return prepare_depthwise_grad_filter(call, s);
  if (has_few_taps(s)) {
    call.variant = "fewTaps";
    call.workspace_bytes = few_taps_bytes(s);
    return;
  }
  call.workspace_bytes =
      s.pointwise() ? pointwise_grad_filter(call).prepare(call) : product_bytes(filter_product(call, s));
}

void run_grad_filter(const Call& call, Queue& queue) {
  const View &x = call.in[0], &dy = call.in[1], &dw = call.out[0];
  const ConvShape s = conv_shape(call, x, dw, dy);
  if (s.depthwise()) return run_depthwise_grad_filter(call, s, queue);
  if (has_few_taps(s)) return run_few_taps(call, s, is_rounded(filter_product(call, s)), queue);
  if (s.pointwise()) return pointwise_grad_filter(call).run(call, call.workspace, queue);
  run_product(filter_product(call, s), call.workspace, queue);
}

const Kernel kernels[] = {
    {"conv2d", prepare_forward, run_forward},
    {"conv2dGradInput", prepare_grad_input, run_grad_input},
    {"conv2dGradFilter", prepare_grad_filter, run_grad_filter},
};

}  // namespace

extern const KernelList kConv2dKernels;
const KernelList kConv2dKernels = list_of(kernels);

}  // namespace gramian::cuda
