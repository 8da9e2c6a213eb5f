// concat, slice, transpose, reshape and pad. All but the last two are one strided copy over a nest (nests.h).
// The rule easy to break: nothing here is in place; the output never overlaps an input.
#include "cuda/kernels/shape.h"

#include "cuda/kernels/nests.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kTile = 32;
// A side of fewer elements would leave most of a tile's threads idle.
constexpr int64_t kLeastTiled = 8;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

/** The `index`-th element of a view's memory. */
const void* element(const View& view, int64_t index) {
  return static_cast<const char*>(view.data) + index * item_bytes(view.dtype);
}

/** Operand 0 of the axes is y, whose first element is at `to`; operand 1 is x, at `from`. */
void enqueue_move(const Call& call, Queue& queue, const Axes<2>& axes, DType dtype, const void* to, const void* from) {
  const bool bytes = dtype == DType::u8;
  const Walk<2> walk = walk_of<2>(axes, {to, from}, !bytes);
  const MoveParams params = {from, const_cast<void*>(to), walk.nest, walk.spans.span};
  launch_span(call, queue, "shape", bytes ? "moveBytes" : "moveWords", walk.spans, params);
}

void run_concat(const Call& call, Queue& queue) {
  const View& y = call.out[0];
  const auto axis = static_cast<size_t>(call.number("axis"));
  const std::vector<int64_t> to = strides_of(y);
  int64_t begin = 0;
  for (const View& x : call.in) {
    const std::vector<int64_t> from = strides_of(x);
    Axes<2> axes;
    for (size_t i = 0; i < to.size(); ++i) axes.push(x.shape[i], {to[i], from[i]});
    enqueue_move(call, queue, axes, y.dtype, element(y, begin * to[axis]), x.data);
    begin += x.shape[axis];
  }
}

void run_slice(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const std::vector<int64_t> to = strides_of(y), from = strides_of(x);
  const std::vector<double>& begin = call.list("begin");
  Axes<2> axes;
  int64_t offset = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    axes.push(y.shape[i], {to[i], from[i]});
    offset += static_cast<int64_t>(begin[i]) * from[i];
  }
  enqueue_move(call, queue, axes, y.dtype, y.data, element(x, offset));
}

/** The axis along which x steps by 1 while y does not; -1 when tiles would not help. */
int tiled_axis(const Axes<2>& axes) {
  if (axes.count() < 2) return -1;
  const Axis<2>& last = axes[axes.count() - 1];
  if (last.step[0] != 1 || last.step[1] == 1 || last.size < kLeastTiled) return -1;
  for (size_t i = 0; i + 1 < axes.count(); ++i)
    if (axes[i].step[1] == 1 && axes[i].size >= kLeastTiled) return static_cast<int>(i);
  return -1;
}

void run_transpose(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const std::vector<int64_t> to = strides_of(y), from = strides_of(x);
  const std::vector<double>& perm = call.list("perm");
  Axes<2> axes;
  for (size_t i = 0; i < to.size(); ++i) axes.push(y.shape[i], {to[i], from[static_cast<size_t>(perm[i])]});
  const int tiled = tiled_axis(axes);
  if (tiled < 0) return enqueue_move(call, queue, axes, y.dtype, y.data, x.data);
  const Axis<2> cols = axes.take(axes.count() - 1), rows = axes.take(static_cast<size_t>(tiled));
  const int64_t row_tiles = ceil_div(rows.size, kTile), col_tiles = ceil_div(cols.size, kTile);
  TransposeParams params = {};
  params.x = static_cast<const uint32_t*>(x.data);
  params.y = static_cast<uint32_t*>(y.data);
  params.nest = axes.nest();
  params.row_tiles = make_divisor(row_tiles);
  params.col_tiles = make_divisor(col_tiles);
  params.tiles = u32(axes.items() * row_tiles * col_tiles);
  params.rows = u32(rows.size);
  params.cols = u32(cols.size);
  params.step_x = u32(cols.step[1]);
  params.step_y = u32(rows.step[0]);
  queue.launch("shape", "transpose", grid_for(call, params.tiles, 1), 256, params);
}

void run_reshape(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  if (x.cols == y.cols || (x.dense() && y.dense())) return enqueue_copy(x, y, queue);
  const int64_t cols_x = x.dense() ? x.count() : x.cols, cols_y = y.dense() ? y.count() : y.cols;
  const bool bytes = x.dtype == DType::u8;
  const bool wide = !bytes && aligned16(x) && aligned16(y) && cols_x % 4 == 0 && cols_y % 4 == 0;
  const int64_t width = wide ? 4 : 1, pieces = x.count() / width;
  const ReshapeParams params = {
      x.data,       y.data,      make_divisor(cols_x / width), make_divisor(cols_y / width), u32(pieces),
      u32(x.pitch), u32(y.pitch)};
  const char* kernel = bytes ? "reshapeBytes_1" : wide ? "reshapeWords_4" : "reshapeWords_1";
  queue.launch("shape", kernel, grid_for(call, pieces, kSpanBlock), kSpanBlock, params);
}

void run_pad(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const std::vector<double>& before = call.list("before");
  const std::vector<int64_t> from = strides_of(x);
  const size_t last = y.shape.size() - 1;
  PadParams params = {};
  for (Divisor& size : params.size) size = make_divisor(1);
  for (size_t i = last; i-- > 0; ++params.axes) {
    params.size[params.axes] = make_divisor(y.shape[i]);
    params.before[params.axes] = u32(static_cast<int64_t>(before[i]));
    params.size_x[params.axes] = u32(x.shape[i]);
    params.step_x[params.axes] = u32(from[i]);
  }
  Spans spans = row_spans_of(y, {&x, &y});
  const auto left = static_cast<int64_t>(before[last]);
  if (left % 4 != 0 || x.cols % 4 != 0) spans = spans_for(y.rows, y.cols, false);
  params.x = x.floats();
  params.y = y.floats();
  params.span = spans.span;
  params.left = u32(left);
  params.cols_x = u32(x.cols);
  params.pitch_y = u32(y.pitch);
  params.value = static_cast<float>(call.number("value"));
  launch_span(call, queue, "shape", "pad", spans, params);
}

const Kernel kernels[] = {
    {"concat", prepare_nothing, run_concat},   {"slice", prepare_nothing, run_slice},
    {"pad", prepare_nothing, run_pad},         {"transpose", prepare_nothing, run_transpose},
    {"reshape", prepare_nothing, run_reshape},
};

}  // namespace

extern const KernelList kShapeKernels;
const KernelList kShapeKernels = list_of(kernels);

}  // namespace gramian::cuda
