// maxPool, avgPool and their gradients. One thread makes a few channels of one cell; an average over many cells is
// shared by the threads of a block. The rule easy to break: a window axis describes the image and the outputs,
// whichever is written.
#include "cuda/kernels/pool.h"

#include "cuda/kernels/spans.h"
#include "cuda/kernels/tiles.h"

namespace gramian::cuda {
namespace {

// From so many cells on a window is worth a tree.
constexpr int64_t kManyCells = 32;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

WindowAxis axis_of(const Call& call, const View& image, const View& output, size_t axis, const char* kernel,
                   const char* stride, const char* pad) {
  return {u32(image.shape[axis]), u32(output.shape[axis]), u32(static_cast<int64_t>(call.number(kernel))),
          u32(static_cast<int64_t>(call.number(pad))), make_divisor(static_cast<int64_t>(call.number(stride, 1)))};
}

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

bool has_large_windows(const Call& call) { return call.number("kernelH") * call.number("kernelW") >= kManyCells; }

void prepare_average(Call& call) { call.variant = has_large_windows(call) ? "tile" : "cell"; }

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
    {"maxPool", prepare_nothing, run_max},
    {"maxPoolGrad", prepare_nothing, run_max_gradient},
    {"avgPool", prepare_average, run_average},
    {"avgPoolGrad", prepare_nothing, run_average_gradient},
};

}  // namespace

extern const KernelList kPoolKernels;
const KernelList kPoolKernels = list_of(kernels);

}  // namespace gramian::cuda
