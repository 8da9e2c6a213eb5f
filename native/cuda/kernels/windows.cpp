// See windows.h.
#include "cuda/kernels/windows.h"

#include <algorithm>

namespace gramian::cuda {
namespace {

/** The largest share of `vectors` up to `most` that divides them, or else equal shares but for the last. */
int64_t share_of(int64_t vectors, int64_t most) {
  if (vectors <= most) return vectors;
  for (int64_t part = most; part * 2 > most; --part)
    if (vectors % part == 0) return part;
  return ceil_div(vectors, ceil_div(vectors, most));
}

int64_t equal_tiles(int64_t size, int64_t tile) { return ceil_div(size, ceil_div(size, tile)); }
int64_t even(int64_t size) { return ceil_div(size, 2) * 2; }

int64_t extent(int64_t outputs, int64_t taps, int64_t stride, int64_t dilation) {
  return (outputs - 1) * stride + (taps - 1) * dilation + 1;
}

constexpr int64_t kNormVectors = 3;  // of a batchNorm, behind the tile

struct Cut {
  int64_t part, tile_h, tile_w;
  int64_t in_h(const WindowNeeds& n) const { return extent(tile_h, n.taps_h, n.stride_h, n.dilation_h); }
  int64_t in_w(const WindowNeeds& n) const { return extent(tile_w, n.taps_w, n.stride_w, n.dilation_w); }
  int64_t bytes(const WindowNeeds& n, int64_t width) const {
    const int64_t pixel = n.pixel_floats > 0 ? n.pixel_floats : part * width;
    return (in_h(n) * in_w(n) + kNormVectors + n.behind) * pixel * int64_t{sizeof(float)} + n.other_bytes;
  }
};

/** Smaller tiles first, down to 4 x 4; then fewer channels. False when nothing is left to cut. */
bool shrink(Cut& cut) {
  const int64_t least = cut.part == 1 ? 2 : 4;
  if (cut.tile_h > least && cut.tile_h >= cut.tile_w) return cut.tile_h = even(ceil_div(cut.tile_h, 2)), true;
  if (cut.tile_w > least - 1) return cut.tile_w = ceil_div(cut.tile_w, 2), true;
  if (cut.part == 1) return false;
  cut.part = ceil_div(cut.part, 2);
  return true;
}

/** The largest that leaves room for others, or else the least. */
Cut cut_of(const WindowNeeds& n, int64_t width) {
  const int64_t vectors = ceil_div(n.channels, width);
  Cut cut = {share_of(vectors, width == 1 ? 32 : 32 / width), even(equal_tiles(n.rows, n.tile_h)),
             equal_tiles(n.cols, n.tile_w)};
  while (cut.bytes(n, width) > kTileBytes && shrink(cut)) continue;
  return cut;
}

}  // namespace

bool window_fits(const Call& call, const WindowNeeds& n, int64_t width) {
  return cut_of(n, width).bytes(n, width) <= call.device.shared_bytes;
}

WindowPlan plan_window(const Call& call, const WindowNeeds& n, int64_t width) {
  const int64_t vectors = ceil_div(n.channels, width);
  Cut cut = cut_of(n, width);
  if (cut.bytes(n, width) > call.device.shared_bytes)
    throw Error(Code::shape, cat("[", call.op, "] cuda takes depthwise filters that span at most about ",
                                 call.device.shared_bytes / 4, " pixels, got ", cut.in_h(n), "x", cut.in_w(n)));
  cut.tile_h = even(equal_tiles(n.rows, cut.tile_h)), cut.tile_w = equal_tiles(n.cols, cut.tile_w);
  const auto i32 = [](int64_t value) { return static_cast<int32_t>(value); };
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  const int64_t across = ceil_div(n.cols, cut.tile_w), down = ceil_div(n.rows, cut.tile_h);
  WindowPlan plan = {};
  plan.tiles = n.batch * across * down;
  plan.parts = ceil_div(vectors, cut.part);
  // Some blocks for every place on the device, so that what a block reads once serves several tiles.
  const int64_t full = ceil_div(int64_t{call.device.multiprocessors} * 16, plan.parts);
  plan.blocks = ceil_div(plan.tiles, ceil_div(plan.tiles, full));
  Window& w = plan.window;
  w.image_h = i32(n.image_h), w.image_w = i32(n.image_w);
  w.stride_h = i32(n.stride_h), w.stride_w = i32(n.stride_w);
  w.dilation_h = i32(n.dilation_h), w.dilation_w = i32(n.dilation_w);
  w.vectors = u32(vectors), w.part = u32(cut.part), w.tiles = u32(plan.tiles);
  w.tile_h = u32(cut.tile_h), w.tile_w = u32(cut.tile_w);
  w.in_h = u32(cut.in_h(n)), w.in_w = u32(cut.in_w(n));
  w.part_of = make_divisor(cut.part), w.in_w_of = make_divisor(w.in_w), w.tile_w_of = make_divisor(cut.tile_w);
  w.multiplier_of = make_divisor(n.multiplier);
  w.across_of = make_divisor(across), w.tiles_of = make_divisor(across * down);
  const int64_t wanted = ceil_div(cut.tile_h * cut.tile_w * cut.part, 32) * 32;
  plan.block = static_cast<unsigned>(std::clamp<int64_t>(wanted, 64, kTileBlock));
  plan.shared_bytes = static_cast<unsigned>(cut.bytes(n, width));
  return plan;
}

}  // namespace gramian::cuda
