// reduceSum, reduceMean, reduceMax over any set of axes, and reduceMax's gradient. Three walks: "tile" and "serial"
// when the last axis is kept (many rows or few to an output), "rows" when it is reduced. Where outputs are too few to
// fill a device, each is cut into chunks whose partial results a second launch joins. The rule easy to break: walks and
// chunks depend on shapes alone, so that every device and every step has the same bits.
#include "cuda/kernels/reduce.h"

#include "cuda/kernels/nests.h"
#include "cuda/kernels/reductions.h"
#include "cuda/kernels/tiles.h"

namespace gramian::cuda {
namespace {

constexpr int kHalf = kMostAxes / 2;
constexpr int64_t kFewRuns = 4;                // a thread joins them alone
constexpr int64_t kManyThreads = 1 << 16;      // enough for any device, so that each may join alone
constexpr int64_t kElementsOfBlock = 1 << 13;  // rows: to a chunk at least

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

/** What is reduced, as shapes tell; no addresses but those of the views. */
struct Reduction {
  Axes<3> kept;      // x, y, best; without the last axis where that is kept
  Axes<1> reduced;   // x; without the run of neighbours
  int64_t cols = 1;  // columns: the kept last axis; rows: the run
  bool columns = false;

  int64_t outputs() const { return kept.items(); }
  int64_t runs() const { return reduced.items(); }
};

int64_t power_below(int64_t value) {
  int64_t power = 1;
  while (power * 2 <= value) power *= 2;
  return power;
}

std::vector<bool> reduced_axes(const Call& call, const View& x) {
  std::vector<bool> reduced(x.shape.size(), false);
  for (double axis : call.list("axes")) reduced[static_cast<size_t>(axis)] = true;
  return reduced;
}

/** `y` and `best` have x's shape without the reduced axes, or with them kept as 1. */
Reduction reduction_of(const Call& call, const View& x, const View& y, const View& best) {
  const std::vector<int64_t> from = strides_of(x), to = strides_of(y), maxima = strides_of(best);
  const std::vector<bool> reduced = reduced_axes(call, x);
  const bool keep_dims = y.shape.size() == x.shape.size();
  const size_t last = x.shape.size() - 1;
  Reduction r;
  r.columns = !reduced[last] && x.shape[last] > 1;
  if (r.columns) r.cols = x.shape[last];
  size_t axis_y = 0;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    const size_t j = keep_dims ? i : axis_y;
    if (reduced[i]) {
      r.reduced.push(x.shape[i], {from[i]});
    } else {
      if (!(r.columns && i == last)) r.kept.push(x.shape[i], {from[i], to[j], maxima[j]});
      ++axis_y;
    }
  }
  const size_t count = r.reduced.count();
  if (!r.columns && count > 0 && r.reduced[count - 1].step[0] == 1) r.cols = r.reduced.take(count - 1).size;
  return r;
}

/** Whether a thread joins an output's rows alone. */
bool is_serial(const Reduction& r) { return r.runs() <= kFewRuns || r.outputs() * r.cols >= 4 * kManyThreads; }

/** How each output is cut; for rows the unit is an element, and chunks are whole vectors. */
Chunks chunks_of(const Reduction& r) {
  const int64_t outputs = r.outputs();
  if (r.columns) {
    if (is_serial(r)) return {1, r.runs()};
    return chunks_for(tiles_for(r.runs(), r.cols, r.cols % 4 == 0), outputs, r.runs());
  }
  const int64_t elements = r.runs() * r.cols;
  const int64_t most = ceil_div(elements, kElementsOfBlock), enough = ceil_div(512, outputs);
  return cut_rows(elements, most < enough ? most : enough);
}

int64_t partial_bytes(const Reduction& r) {
  const int64_t chunks = chunks_of(r).count, cols = r.columns ? r.cols : 1;
  return chunks > 1 ? r.outputs() * chunks * cols * int64_t{sizeof(float)} : 0;
}

/** The second reduction of what the first left in `partial`. */
Reduction joined(const Reduction& r, int64_t chunks) {
  Reduction next;
  next.columns = r.columns;
  const int64_t cols = r.columns ? r.cols : 1;
  int64_t step = chunks * cols * r.outputs();
  for (size_t i = 0; i < r.kept.count(); ++i) {
    step /= r.kept[i].size;
    next.kept.push(r.kept[i].size, {step, r.kept[i].step[1], r.kept[i].step[2]});
  }
  next.cols = r.columns ? r.cols : chunks;
  if (r.columns) next.reduced.push(chunks, {cols});
  return next;
}

struct Source {
  const float* x;
  const float* best;
  float* y;
  Join join;
  double scale;
};

bool is_wide(const Reduction& r, const Source& source, const float* partial) {
  const auto aligned = [](const float* at) { return reinterpret_cast<uintptr_t>(at) % 16 == 0; };
  bool wide = r.cols % 4 == 0 && aligned(source.x);
  for (size_t i = 0; i < r.reduced.count(); ++i) wide = wide && r.reduced[i].step[0] % 4 == 0;
  for (size_t i = 0; i < r.kept.count(); ++i) wide = wide && r.kept[i].step[0] % 4 == 0;
  if (!r.columns) return wide;
  wide = wide && aligned(partial ? partial : source.y) && (source.join != Join::ties || aligned(source.best));
  for (size_t i = 0; i < r.kept.count(); ++i)
    wide = wide && r.kept[i].step[1] % 4 == 0 && (source.join != Join::ties || r.kept[i].step[2] % 4 == 0);
  return wide;
}

/** One launch: from x to y, or to `partial` where there are chunks. */
void enqueue_walk(const Call& call, Queue& queue, const Reduction& r, const Source& source, const Chunks& chunks,
                  float* partial) {
  const bool wide = is_wide(r, source, partial);
  const int64_t row = wide ? r.cols / 4 : r.cols, runs = r.columns ? r.runs() : r.runs() * row;
  const int64_t chunk = r.columns || !wide ? chunks.rows : ceil_div(chunks.rows, 4);
  ReduceParams params = {};
  params.x = source.x;
  params.best = source.best;
  params.y = source.y;
  params.partial = partial;
  params.kept = r.kept.nest<kHalf>();
  params.reduced = r.reduced.nest<kHalf>();
  params.runs = u32(runs);
  params.chunk = u32(chunk);
  params.chunks = make_divisor(chunks.count);
  params.join = source.join;
  params.scale = static_cast<float>(source.scale);
  if (!r.columns) {
    const int64_t lanes = runs >= 512 || chunks.count > 1 ? 256 : power_below(runs < 64 ? (runs + 1) / 2 : 32);
    const int64_t groups = r.outputs() * chunks.count, per_block = 256 / lanes;
    const ReduceRowsParams rows = {params, make_divisor(row), u32(runs), u32(groups), u32(lanes)};
    queue.launch("reduce", wide ? "reduceRows_4" : "reduceRows_1", grid_for(call, groups, per_block), 256, rows);
  } else if (chunks.count == 1 && is_serial(r)) {
    const Spans spans = spans_for(r.outputs(), r.cols, wide);
    launch_span(call, queue, "reduce", "reduceSerial", spans, ReduceSerialParams{params, spans.span});
  } else {
    const bool joins = r.outputs() == 1 && chunks.count == 1 && r.cols <= 1024;
    const ColumnTiles tiles = joins ? join_tiles_for(chunk, r.cols, wide) : tiles_for(chunk, r.cols, wide);
    const Grid grid = {r.outputs() * chunks.count * tiles.blocks()};
    queue.launch("reduce", wide ? "reduceTile_4" : "reduceTile_1", grid, tiles.threads,
                 ReduceTileParams{params, tiles.tile});
  }
}

/** `partial` holds partial_bytes(). */
void enqueue_reduction(const Call& call, Queue& queue, const Reduction& r, const Source& source, float* partial) {
  const Chunks chunks = chunks_of(r);
  if (chunks.count == 1) return enqueue_walk(call, queue, r, source, chunks, nullptr);
  enqueue_walk(call, queue, r, source, chunks, partial);
  const Reduction next = joined(r, chunks.count);
  Source rest = source;
  rest.x = partial;
  if (source.join != Join::max) rest.join = Join::sum;
  enqueue_walk(call, queue, next, rest, {1, next.runs() * (next.columns ? 1 : next.cols)}, nullptr);
}

// ---------------------------------------------------------------- ops

Reduction plain_reduction(const Call& call) { return reduction_of(call, call.in[0], call.out[0], call.out[0]); }

void prepare_reduce(Call& call) {
  const Reduction r = plain_reduction(call);
  call.workspace_bytes = partial_bytes(r);
  call.variant = r.columns ? "columns" : "rows";
}

template <Join How, bool Mean>
void run_reduce(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const double scale = Mean ? static_cast<double>(y.count()) / static_cast<double>(x.count()) : 1;
  const Source source = {x.floats(), nullptr, y.floats(), How, scale};
  enqueue_reduction(call, queue, plain_reduction(call), source, static_cast<float*>(call.workspace));
}

/** The counts of ties as a dense tensor of y's shape. */
View ties_of(const Call& call) {
  View ties = call.in[2];
  ties.pitch = ties.cols;
  ties.data = call.workspace;
  return ties;
}

int64_t ties_bytes(const View& ties) { return ceil_div(ties.count() * int64_t{sizeof(float)}, 256) * 256; }

// in: dy, x, y; workspace: ties, partial results.
void prepare_max_gradient(Call& call) {
  const View ties = ties_of(call);
  call.workspace_bytes = ties_bytes(ties) + partial_bytes(reduction_of(call, call.in[1], ties, call.in[2]));
}

void run_max_gradient(const Call& call, Queue& queue) {
  const View &dy = call.in[0], &x = call.in[1], &y = call.in[2], &dx = call.out[0], ties = ties_of(call);
  const Source source = {x.floats(), y.floats(), ties.floats(), Join::ties, 1};
  auto* partial = reinterpret_cast<float*>(static_cast<char*>(call.workspace) + ties_bytes(ties));
  enqueue_reduction(call, queue, reduction_of(call, x, ties, y), source, partial);

  const std::vector<bool> reduced = reduced_axes(call, x);
  const std::vector<int64_t> to = strides_of(dx), from = strides_of(x), maxima = strides_of(y),
                             gradient = strides_of(dy), counts = strides_of(ties);
  const bool keep_dims = y.shape.size() == x.shape.size();
  Axes<5> axes;
  size_t axis_y = 0;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    const size_t j = keep_dims ? i : axis_y;
    if (reduced[i]) {
      axes.push(x.shape[i], {to[i], from[i], 0, 0, 0});
    } else {
      axes.push(x.shape[i], {to[i], from[i], maxima[j], gradient[j], counts[j]});
      ++axis_y;
    }
  }
  const Walk<5> walk = walk_of<5>(axes, {dx.data, x.data, y.data, dy.data, ties.data});
  const ShareParams params = {x.floats(),  y.floats(), dy.floats(),     ties.floats(),
                              dx.floats(), walk.nest,  walk.spans.span, walk.inner[2]};
  launch_span(call, queue, "reduce", "reduceShare", walk.spans, params);
}

const Kernel kernels[] = {
    {"reduceSum", prepare_reduce, run_reduce<Join::sum, false>},
    {"reduceMean", prepare_reduce, run_reduce<Join::sum, true>},
    {"reduceMax", prepare_reduce, run_reduce<Join::max, false>},
    {"reduceMaxGrad", prepare_max_gradient, run_max_gradient},
};

}  // namespace

void enqueue_squared_norms(const Call& call, const View& x, float* norms, Queue& queue) {
  Reduction r;
  r.kept.push(x.rows, {x.pitch, 1, 1});
  r.cols = x.cols;
  enqueue_walk(call, queue, r, {x.floats(), nullptr, norms, Join::squares, 1}, {1, x.cols}, nullptr);
}

extern const KernelList kReduceKernels;
const KernelList kReduceKernels = list_of(kernels);

}  // namespace gramian::cuda
