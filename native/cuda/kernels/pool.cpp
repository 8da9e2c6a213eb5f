// maxPool, avgPool and their gradients. One thread makes a few channels of one cell; an average over many cells is
// shared by the threads of a block. The rule easy to break: a window axis describes the image and the outputs,
// whichever is written, and is so short that places in it, padding included, are below 2^31.
#include "cuda/kernels/pool.h"

#include <algorithm>
#include <limits>

#include "cuda/kernels/spans.h"
#include "cuda/kernels/tiles.h"

namespace gramian::cuda {
namespace {

// From so many cells on a window is worth a tree.
constexpr int64_t kManyCells = 32;
constexpr int64_t kMostPixels = std::numeric_limits<int32_t>::max();

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

WindowAxis axis_of(const Call& call, const View& image, const View& output, size_t axis, const char* kernel,
                   const char* stride, const char* pad) {
  return {u32(image.shape[axis]), u32(output.shape[axis]), u32(static_cast<int64_t>(call.number(kernel))),
          u32(static_cast<int64_t>(call.number(pad))), make_divisor(static_cast<int64_t>(call.number(stride, 1)))};
}

void expect_short_sides(const Call& call, const View& image) {
  const auto padded = [&](size_t axis, const char* before, const char* behind) {
    return image.shape[axis] + static_cast<int64_t>(call.number(before)) + static_cast<int64_t>(call.number(behind));
  };
  const int64_t height = padded(1, "padTop", "padBottom"), width = padded(2, "padLeft", "padRight");
  if (std::max(height, width) > kMostPixels)
    throw Error(Code::shape, cat("[", call.op, "] cuda takes padded images of at most ", kMostPixels,
                                 " pixels a side, got ", height, "x", width));
}

void prepare_forward(Call& call) { expect_short_sides(call, call.in[0]); }
void prepare_gradient(Call& call) { expect_short_sides(call, call.out[0]); }

/** `image` has the input's shape, `output` the pooled one; `from` is read and `to` written. */
PoolParams params_of(const Call& call, const View& image, const View& output, const View& from, const View& to) {
  PoolParams params = {};
  params.from = from.floats();
  params.to = to.floats();
  params.height = make_divisor(to.shape[1]);
  params.width = make_divisor(to.shape[2]);
  params.rows = axis_of(call, image, output, 1, "kernelH", "strideH", "padTop");
  params.cols = axis_of(call, image, output, 2, "kernelW", "strideW", "padLeft");
  params.pitch_from = u32(from.pitch);
  params.pitch_to = u32(to.pitch);
  return params;
}

void launch(const Call& call, Queue& queue, PoolParams params, const Spans& spans) {
  params.span = spans.span;
  launch_span(call, queue, "pool", call.op, spans, params);
}

// x -> y, index
void run_max(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0], &index = call.out[1];
  PoolParams params = params_of(call, x, y, x, y);
  params.place = index.ints();
  params.pitch_index = u32(index.pitch);
  launch(call, queue, params, row_spans_of(y, {&x, &y, &index}));
}

// dy, index -> dx
void run_max_gradient(const Call& call, Queue& queue) {
  const View &dy = call.in[0], &index = call.in[1], &dx = call.out[0];
  PoolParams params = params_of(call, dx, dy, dy, dx);
  params.index = index.ints();
  params.pitch_index = u32(index.pitch);
  launch(call, queue, params, row_spans_of(dx, {&dy, &index, &dx}));
}

/** Of windows that are larger than the image most cells lie outside, which a tree would visit as well. */
bool has_large_windows(const Call& call) {
  const double cells = call.number("kernelH") * call.number("kernelW");
  const Shape& image = call.in[0].shape;
  return cells >= kManyCells && cells <= static_cast<double>(image[1] * image[2]);
}

void prepare_average(Call& call) {
  prepare_forward(call);
  call.variant = has_large_windows(call) ? "tile" : "cell";
}

void run_average(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const PoolParams params = params_of(call, x, y, x, y);
  const Spans spans = row_spans_of(y, {&x, &y});
  if (!has_large_windows(call)) return launch(call, queue, params, spans);
  const int64_t cells = int64_t{params.rows.kernel} * params.cols.kernel;
  const ColumnTiles tiles = tiles_for(cells, y.cols, spans.wide);
  const TilePoolParams tiled = {params, tiles.tile, make_divisor(params.cols.kernel)};
  queue.launch("pool", tiles.wide ? "avgTile_4" : "avgTile_1", {y.rows * tiles.blocks()}, tiles.threads, tiled);
}

void run_average_gradient(const Call& call, Queue& queue) {
  const View &dy = call.in[0], &dx = call.out[0];
  launch(call, queue, params_of(call, dx, dy, dy, dx), row_spans_of(dx, {&dy, &dx}));
}

const Kernel kernels[] = {
    {"maxPool", prepare_forward, run_max},
    {"maxPoolGrad", prepare_gradient, run_max_gradient},
    {"avgPool", prepare_average, run_average},
    {"avgPoolGrad", prepare_gradient, run_average_gradient},
};

}  // namespace

extern const KernelList kPoolKernels;
const KernelList kPoolKernels = list_of(kernels);

}  // namespace gramian::cuda
