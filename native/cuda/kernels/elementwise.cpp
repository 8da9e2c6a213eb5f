// Unary functions, their gradients, affine, fill and copy: one output element from the same element of each input. The
// kernels are elementwise.cu's, one of the op's name for pieces of 4 floats and one for single ones.
// The rule easy to break: an absent second input is null with pitch 0, and no kernel of one input may read it.
#include "cuda/kernels/elementwise.h"

#include <cstring>

#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

MapParams map_of(const Call& call, const Spans& spans) {
  const View &a = call.in[0], &y = call.out[0];
  MapParams params = {};
  params.a = a.floats();
  params.y = y.floats();
  params.span = spans.span;
  params.pitch_a = static_cast<uint32_t>(a.pitch);
  params.pitch_y = static_cast<uint32_t>(y.pitch);
  if (call.in.size() > 1) {
    params.b = call.in[1].floats();
    params.pitch_b = static_cast<uint32_t>(call.in[1].pitch);
  }
  return params;
}

void run_map(const Call& call, Queue& queue) {
  const View &first = call.in[0], &last = call.in.back();
  const Spans spans = spans_of({&first, &last, &call.out[0]});
  MapParams params = map_of(call, spans);
  params.alpha = static_cast<float>(call.number("alpha"));
  launch_span(call, queue, "elementwise", call.op, spans, params);
}

void run_affine(const Call& call, Queue& queue) {
  const Spans spans = spans_of({&call.in[0], &call.out[0]});
  MapParams params = map_of(call, spans);
  params.alpha = static_cast<float>(call.number("scale", 1));
  params.beta = static_cast<float>(call.number("offset"));
  launch_span(call, queue, "elementwise", "affine", spans, params);
}

/** x may have no data: then y is filled. */
void run_units(const View* x, const View& y, uint32_t value, Queue& queue) {
  const View& from = x ? *x : y;
  Spans spans = spans_of({&from, &y});
  if (y.dtype == DType::u8) {
    spans.wide = false;
    const int64_t rows = from.dense() && y.dense() ? 1 : y.rows, cols = y.count() / rows;
    spans.span = {static_cast<uint32_t>(y.count()), 0, make_divisor(cols)};
  }
  CopyParams params = {};
  params.x = x ? x->data : nullptr;
  params.y = y.data;
  params.span = spans.span;
  params.pitch_x = static_cast<uint32_t>(from.pitch);
  params.pitch_y = static_cast<uint32_t>(y.pitch);
  params.value = value;
  const char* kernel = y.dtype == DType::u8 ? "copy_bytes_1" : spans.wide ? "copy_words_4" : "copy_words_1";
  const Grid grid = {ceil_div(spans.span.vectors > 0 ? spans.span.vectors : 1, kSpanBlock)};
  queue.launch("elementwise", kernel, grid, kSpanBlock, params);
}

void run_fill(const Call& call, Queue& queue) {
  const auto value = static_cast<float>(call.number("value"));
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  run_units(nullptr, call.out[0], bits, queue);
}

void run_copy(const Call& call, Queue& queue) { enqueue_copy(call.in[0], call.out[0], queue); }

const Kernel kernels[] = {
    {"relu", prepare_nothing, run_map},        {"tanh", prepare_nothing, run_map},
    {"sigmoid", prepare_nothing, run_map},     {"exp", prepare_nothing, run_map},
    {"log", prepare_nothing, run_map},         {"sqrt", prepare_nothing, run_map},
    {"square", prepare_nothing, run_map},      {"abs", prepare_nothing, run_map},
    {"leakyRelu", prepare_nothing, run_map},   {"elu", prepare_nothing, run_map},
    {"reluGrad", prepare_nothing, run_map},    {"tanhGrad", prepare_nothing, run_map},
    {"sigmoidGrad", prepare_nothing, run_map}, {"leakyReluGrad", prepare_nothing, run_map},
    {"eluGrad", prepare_nothing, run_map},     {"absGrad", prepare_nothing, run_map},
    {"affine", prepare_nothing, run_affine},   {"fill", prepare_nothing, run_fill},
    {"copy", prepare_nothing, run_copy},
};

}  // namespace

void enqueue_copy(const View& x, const View& y, Queue& queue) {
  const bool dense = x.dense() && y.dense();
  if (x.data == y.data && (dense || x.pitch == y.pitch)) return;
  if (dense) return queue.copy(y.data, x.data, x.count() * item_bytes(x.dtype));
  run_units(&x, y, 0, queue);
}

extern const KernelList kElementwiseKernels;
const KernelList kElementwiseKernels = list_of(kernels);

}  // namespace gramian::cuda
