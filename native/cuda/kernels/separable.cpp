// A whole separable convolution, made by native/plan/fuse_separable.cpp: one pass (separable.cu) where the window is
// 3x3 with stride 1, else the ops it stands for. in: x, depthwise filter, (mean, variance, gamma,
// beta,) pointwise filter. out: y, then as the attributes say u, p, mean and variance. The rule easy to break: blocks
// and tiles follow from shapes alone, because the moments of y are summed block by block.
#include "cuda/kernels/separable.h"

#include "cuda/kernels/conv_shape.h"
#include "cuda/kernels/norms.h"
#include "cuda/kernels/parts.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kMostPairs = 64, kMostPixels = 288, kMostBlocks = 1024;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int32_t i32(int64_t value) { return static_cast<int32_t>(value); }
int64_t floats(int64_t count) { return ceil_div(count, 64) * 64; }

/** The op as read from its call. */
struct Separable {
  ConvShape shape;
  int64_t outputs;
  const View *u = nullptr, *p = nullptr, *mean = nullptr, *variance = nullptr;
  bool bf16;
  int64_t cell_h, cell_w, cell_top = 0, cell_left = 0, cells_h = 1, cells_w = 1;

  explicit Separable(const Call& call) {
    const View& y = call.out[0];
    View map = y;  // the depthwise result
    map.shape.back() = call.in[0].cols;
    shape = conv_shape(call, call.in[0], call.in[1], map);
    outputs = y.cols, bf16 = call.bf16;
    cell_h = shape.oh, cell_w = shape.ow;
    size_t next = 1;
    if (call.number("storeDepthwise") != 0) u = &call.out[next++];
    if (call.number("poolKernelH") > 0) {
      p = &call.out[next++];
      cell_h = static_cast<int64_t>(call.number("poolKernelH")),
      cell_w = static_cast<int64_t>(call.number("poolKernelW"));
      cell_top = static_cast<int64_t>(call.number("poolPadTop")),
      cell_left = static_cast<int64_t>(call.number("poolPadLeft"));
      cells_h = p->shape[1], cells_w = p->shape[2];
    }
    if (call.number("moments") != 0) mean = &call.out[next], variance = &call.out[next + 1];
  }
  int64_t channels() const { return shape.groups; }
  bool one_pass() const {
    return shape.kh == 3 && shape.kw == 3 && shape.stride_h == 1 && shape.stride_w == 1 && shape.dilation_h == 1 &&
           shape.dilation_w == 1;
  }
};

/** The tile with which a cell takes the fewest, and of those the one that reads least. */
struct Cut {
  int64_t tile_h = 0, tile_w = 0, across = 0, down = 0, tiles = 0, per_block = 0, blocks = 0;

  explicit Cut(const Separable& s) {
    int64_t least = INT64_MAX;
    for (int64_t h = 2; h <= 2 * kMostPairs; h += 2)
      for (int64_t w = 2; h / 2 * w <= kMostPairs; w += 2) {
        const int64_t pixels = (h + 2) * (w + 2), count = ceil_div(s.cell_h, h) * ceil_div(s.cell_w, w);
        if (pixels > kMostPixels || count * 1024 + pixels >= least) continue;
        least = count * 1024 + pixels;
        tile_h = h, tile_w = w;
      }
    across = ceil_div(s.cell_w, tile_w), down = ceil_div(s.cell_h, tile_h);
    tiles = s.shape.batch * s.cells_h * s.cells_w * across * down;
    per_block = ceil_div(tiles, kMostBlocks);
    blocks = ceil_div(tiles, per_block);
  }
};

// ---------------------------------------------------------------- one pass

struct Memory {
  int64_t moments_at, bytes;
  Memory(const Separable& s, const Cut& cut) {
    moments_at = s.p ? floats(cut.tiles * s.channels()) : 0;
    bytes = 4 * (moments_at + (s.mean ? floats(2 * cut.blocks * s.outputs + cut.blocks) : 0));
  }
};

SeparableParams params_of(const Call& call, const Separable& s, const Cut& cut) {
  const View &x = call.in[0], &depthwise = call.in[1], &pointwise = call.in.back(), &y = call.out[0];
  auto* const memory = static_cast<float*>(call.workspace);
  SeparableParams p = {};
  p.x = x.floats(), p.depthwise = depthwise.floats(), p.pointwise = pointwise.floats();
  p.norm = norm_of(call, 2, "bn");
  p.y = y.floats(), p.u = s.u ? s.u->floats() : nullptr;
  p.cell_sums = s.p ? memory : nullptr;
  p.moments = s.mean ? memory + Memory(s, cut).moments_at : nullptr;
  p.pitch_x = u32(x.pitch), p.pitch_depthwise = u32(depthwise.pitch), p.pitch_pointwise = u32(pointwise.pitch);
  p.pitch_y = u32(y.pitch), p.pitch_u = s.u ? u32(s.u->pitch) : 0;
  p.image_h = i32(s.shape.h), p.image_w = i32(s.shape.w), p.rows = i32(s.shape.oh), p.cols = i32(s.shape.ow);
  p.top = i32(-s.shape.top), p.left = i32(-s.shape.left);
  p.channels = u32(s.channels()), p.outputs = u32(s.outputs);
  p.cell_h = i32(s.cell_h), p.cell_w = i32(s.cell_w);
  p.cell_top = i32(s.cell_top), p.cell_left = i32(s.cell_left);
  p.tile_h = u32(cut.tile_h), p.tile_w = u32(cut.tile_w);
  p.tiles = u32(cut.tiles), p.per_block = u32(cut.per_block), p.blocks = u32(cut.blocks);
  const bool whole = s.channels() % 4 == 0 && aligned16(x) && aligned16(depthwise) && (!s.u || aligned16(*s.u));
  p.wide_x = whole && aligned16(p.norm);
  p.wide_y = s.outputs % 4 == 0 && aligned16(y) && aligned16(pointwise);
  p.tile_w_of = make_divisor(cut.tile_w), p.in_w_of = make_divisor(cut.tile_w + 2);
  p.across_of = make_divisor(cut.across), p.tiles_of = make_divisor(cut.across * cut.down);
  p.cells_w_of = make_divisor(s.cells_w), p.cells_of = make_divisor(s.cells_h * s.cells_w);
  return p;
}

void run_one_pass(const Call& call, const Separable& s, Queue& queue) {
  const Cut cut(s);
  const SeparableParams params = params_of(call, s, cut);
  const int64_t columns = s.bf16 || s.outputs > 32 ? 64 : 32;
  queue.launch(s.bf16 ? "separable_bf16" : "separable", columns == 64 ? "separable_64" : "separable_32",
               {cut.blocks, ceil_div(s.outputs, columns)}, 256, params);
  if (s.p) {
    CellsParams cells = {
        params.cell_sums, s.p->floats(), params.channels, u32(s.p->pitch), u32(s.p->rows), 0, 0, 0, 0, 0, 0, 0, {}, {}};
    cells.tiles = u32(cut.across * cut.down);
    cells.rows = params.rows, cells.cols = params.cols, cells.cell_h = params.cell_h, cells.cell_w = params.cell_w;
    cells.cell_top = params.cell_top, cells.cell_left = params.cell_left;
    cells.cells_w_of = params.cells_w_of, cells.cells_of = params.cells_of;
    queue.launch("separable", "separableCells", {ceil_div(s.p->rows, 4), ceil_div(s.channels(), 64)}, 256, cells);
  }
  if (s.mean) {
    const JoinParams join = {params.moments, s.mean->floats(), s.variance->floats(), params.blocks, params.outputs};
    queue.launch("separable", "separableJoin", {ceil_div(s.outputs, 32)}, 256, join);
  }
}

// ---------------------------------------------------------------- part by part

int64_t u_bytes(const Separable& s) {
  return s.u ? 0 : 4 * floats(s.shape.batch * s.shape.oh * s.shape.ow * s.channels());
}

Parts parts_of(const Call& call, const Separable& s) {
  const View u = s.u ? *s.u : temporary({s.shape.batch, s.shape.oh, s.shape.ow, s.channels()}, call.workspace);
  Parts parts(call);
  parts.add("conv2d", {call.in.begin(), call.in.end() - 1}, {u}, *call.attrs);
  if (s.p) {
    std::vector<Attribute> pool;
    for (const char* axis : {"H", "W"})
      for (const char* key : {"kernel", "stride"})
        pool.push_back(number_attribute(cat(key, axis).c_str(), call.number(cat("poolKernel", axis).c_str())));
    pool.push_back(number_attribute("padTop", call.number("poolPadTop")));
    pool.push_back(number_attribute("padLeft", call.number("poolPadLeft")));
    pool.push_back(number_attribute("padBottom", static_cast<double>(s.cells_h * s.cell_h - s.cell_top - s.shape.oh)));
    pool.push_back(number_attribute("padRight", static_cast<double>(s.cells_w * s.cell_w - s.cell_left - s.shape.ow)));
    parts.add("avgPool", {u}, {*s.p}, pool);
  }
  parts.add("conv2d", {u, call.in.back()}, {call.out[0]}, pointwise_attributes());
  if (s.mean) parts.add("moments", {call.out[0]}, {*s.mean, *s.variance}, {});
  return parts;
}

void prepare(Call& call) {
  const Separable s(call);
  call.variant = s.one_pass() ? "onePass" : "parts";
  if (s.one_pass()) {
    call.workspace_bytes = Memory(s, Cut(s)).bytes;
    return;
  }
  const Parts parts = parts_of(call, s);
  call.uses_blas = parts.uses_blas();
  call.workspace_bytes = u_bytes(s) + parts.workspace_bytes();
}

void run(const Call& call, Queue& queue) {
  const Separable s(call);
  if (s.one_pass()) return run_one_pass(call, s, queue);
  parts_of(call, s).run(static_cast<char*>(call.workspace) + u_bytes(s), queue);
}

const Kernel kernels[] = {{"separable", prepare, run}};

}  // namespace

extern const KernelList kSeparableKernels;
const KernelList kSeparableKernels = list_of(kernels);

}  // namespace gramian::cuda
