// See few_taps.h and conv2d.h.
#include "cuda/kernels/few_taps.h"

#include <algorithm>

#include "cuda/kernels/conv2d.h"
#include "cuda/kernels/conv_shape.h"

namespace gramian::cuda {
namespace {

/** Pixels of a block at least, and the most blocks; a block's warps take 256 pixels at a time. */
constexpr int64_t kLeastPixels = 1024, kMostChunks = 512, kPixelsAtOnce = 256;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int32_t i32(int64_t value) { return static_cast<int32_t>(value); }

int64_t taps_of(const ConvShape& s) { return s.kh * s.kw * s.c; }
int64_t pixels_of(const ConvShape& s) { return s.batch * s.oh * s.ow; }

int64_t chunk_of(const ConvShape& s) {
  const int64_t chunks = std::clamp<int64_t>(pixels_of(s) / kLeastPixels, 1, kMostChunks);
  return ceil_div(ceil_div(pixels_of(s), chunks), kPixelsAtOnce) * kPixelsAtOnce;
}

}  // namespace

bool has_few_taps(const ConvShape& s) {
  return s.groups == 1 && !s.pointwise() && taps_of(s) <= kMostTaps && s.o >= 8 && pixels_of(s) >= kLeastPixels;
}

int64_t few_taps_bytes(const ConvShape& s) {
  return ceil_div(pixels_of(s), chunk_of(s)) * taps_of(s) * s.o * int64_t{sizeof(float)};
}

void run_few_taps(const Call& call, const ConvShape& s, bool rounded, Queue& queue) {
  const View &x = call.in[0], &dy = call.in[1], &dw = call.out[0];
  FewTapsParams p = {};
  p.x = x.floats(), p.dy = dy.floats(), p.parts = static_cast<float*>(call.workspace);
  p.taps = u32(taps_of(s)), p.outputs = u32(s.o);
  p.pixels = u32(pixels_of(s)), p.chunk = u32(chunk_of(s));
  p.image_h = i32(s.h), p.image_w = i32(s.w);
  p.top = i32(-s.top), p.left = i32(-s.left);
  p.stride_h = i32(s.stride_h), p.stride_w = i32(s.stride_w);
  p.dilation_h = i32(s.dilation_h), p.dilation_w = i32(s.dilation_w);
  p.pitch_x = u32(x.pitch), p.pitch_dy = u32(dy.pitch);
  p.rows_of = make_divisor(s.oh), p.cols_of = make_divisor(s.ow);
  p.taps_w_of = make_divisor(s.kw), p.channels_of = make_divisor(s.c);
  p.rounded = rounded;
  const int64_t chunks = ceil_div(pixels_of(s), chunk_of(s));
  queue.launch("few_taps", p.taps <= 12 ? "fewTaps_12" : "fewTaps_28", {chunks, ceil_div(s.o, 32)}, 256, p);
  enqueue_sum(p.parts, chunks, dw, queue);
}

}  // namespace gramian::cuda
