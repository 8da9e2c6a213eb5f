// Image resizing and its transpose: each axis' source coordinates as fractions of whole numbers (docs/ops.md,
// "resize"). The rule easy to break: the fractions hold only while out * 2 * in is below 2^31, which prepare makes sure
// of.
#include "cuda/kernels/resize.h"

#include <numeric>

#include "core/text.h"
#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

struct Fraction {
  int64_t step, start, by;  // (o * step + start) / by
};

/** The source coordinate of output o; for nearest already rounded but for the floor. */
Fraction fraction_of(const std::string& coordinates, bool nearest, int64_t in, int64_t out) {
  if (coordinates == "halfPixel") {
    // s = ((2o+1) in - out) / (2 out); ceil(s - 1/2) = floor(((2o+1) in - 1) / (2 out))
    return {2 * in, nearest ? in - 1 : in - out, 2 * out};
  }
  if (coordinates == "aligned") {
    if (out == 1) return {0, 0, 1};
    // s = o (in-1) / (out-1); floor(s + 1/2) = floor((2o (in-1) + out-1) / (2 (out-1)))
    if (nearest) return {2 * (in - 1), out - 1, 2 * (out - 1)};
    return {in - 1, 0, out - 1};
  }
  return {in, 0, out};
}

ResizeAxis axis_of(const Call& call, int64_t in, int64_t out) {
  const Fraction whole = fraction_of(call.string("coordinates"), call.string("mode") == "nearest", in, out);
  const int64_t common = std::gcd(std::gcd(whole.step, whole.start), whole.by);
  const Fraction f = {whole.step / common, whole.start / common, whole.by / common};
  ResizeAxis axis;
  axis.in = u32(in);
  axis.out = u32(out);
  axis.step = static_cast<int32_t>(f.step);
  axis.start = static_cast<int32_t>(f.start);
  axis.by = make_divisor(f.by);
  axis.each = 1.0f / static_cast<float>(f.by);
  axis.per_step = make_divisor(f.step > 0 ? f.step : 1);
  return axis;
}

void prepare_resize(Call& call) {
  const Shape &x = call.in[0].shape, &y = call.out[0].shape;
  for (size_t axis : {1, 2})
    if (2 * (x[axis] + 1) * (y[axis] + 1) > INT32_MAX)
      throw Error(Code::shape, cat("[", call.op, "] expected maps whose sizes multiply to less than 2^30 on cuda, got ",
                                   x, " and ", y));
}

/** `small` has the shape that is sampled, `large` the one with a tap for each row and column. */
void enqueue(const Call& call, Queue& queue, const View& small, const View& large) {
  const View &from = call.in[0], &to = call.out[0];
  const Spans spans = row_spans_of(to, {&from, &to});
  ResizeParams params = {};
  params.from = from.floats();
  params.to = to.floats();
  params.span = spans.span;
  params.height = make_divisor(to.shape[1]);
  params.width = make_divisor(to.shape[2]);
  params.rows = axis_of(call, small.shape[1], large.shape[1]);
  params.cols = axis_of(call, small.shape[2], large.shape[2]);
  params.nearest = call.string("mode") == "nearest";
  params.pitch_from = u32(from.pitch);
  params.pitch_to = u32(to.pitch);
  launch_span(call, queue, "resize", call.op, spans, params);
}

void run_resize(const Call& call, Queue& queue) { enqueue(call, queue, call.in[0], call.out[0]); }
void run_gradient(const Call& call, Queue& queue) { enqueue(call, queue, call.out[0], call.in[0]); }

const Kernel kernels[] = {
    {"resize", prepare_resize, run_resize},
    {"resizeGrad", prepare_resize, run_gradient},
};

}  // namespace

extern const KernelList kResizeKernels;
const KernelList kResizeKernels = list_of(kernels);

}  // namespace gramian::cuda
