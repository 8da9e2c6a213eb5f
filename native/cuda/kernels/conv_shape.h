// The shape of one convolution, read from a call, and which kernels serve it. Host only; used by conv2d.cpp,
// depthwise.cpp and the launches that join convolutions. The rule easy to break: c and o are channels of one group.
#pragma once
#include "cuda/kernel.h"

namespace gramian::cuda {

/** x [batch, h, w, groups * c], filter [kh, kw, c, groups * o], y [batch, oh, ow, groups * o]. */
struct ConvShape {
  int64_t batch, h, w, c, kh, kw, o, oh, ow, groups;
  int64_t stride_h, stride_w, top, left, dilation_h, dilation_w;

  /** One channel of x to each group: multiplied element by element. */
  bool depthwise() const { return c == 1 && (groups > 1 || o == 1); }
  /** A product of the pixels as they lie. */
  bool pointwise() const {
    return kh == 1 && kw == 1 && stride_h == 1 && stride_w == 1 && h == oh && w == ow && top == 0 && left == 0 &&
           groups == 1;
  }
};

inline ConvShape conv_shape(const Call& call, const View& x, const View& filter, const View& y) {
  const auto integer = [&](const char* key, double fallback) {
    return static_cast<int64_t>(call.number(key, fallback));
  };
  ConvShape s = {};
  s.groups = integer("groups", 1);
  s.batch = x.shape[0], s.h = x.shape[1], s.w = x.shape[2], s.c = x.shape[3] / s.groups;
  s.kh = filter.shape[0], s.kw = filter.shape[1], s.o = filter.shape[3] / s.groups;
  s.oh = y.shape[1], s.ow = y.shape[2];
  s.stride_h = integer("strideH", 1), s.stride_w = integer("strideW", 1);
  s.top = integer("padTop", 0), s.left = integer("padLeft", 0);
  s.dilation_h = integer("dilationH", 1), s.dilation_w = integer("dilationW", 1);
  return s;
}

/**
 * Along one axis, the taps that reach the pixels of x congruent to a phase of the stride, as a correlation on dy: pixel
 * phase + i * stride reads dy at top + i + t * dilation, for t < taps, with filter tap first + t * step.
 */
struct PhaseTaps {
  int64_t first, step, taps;
  int64_t top, dilation;
  int64_t pixels;
};

inline PhaseTaps phase_taps(int64_t phase, int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                            int64_t dilation) {
  PhaseTaps found = {0, 0, 0, 0, 1, size > phase ? ceil_div(size - phase, stride) : 0};
  int64_t last = 0;
  for (int64_t tap = 0; tap < kernel; ++tap) {
    if ((phase + pad - tap * dilation) % stride != 0) continue;
    if (found.taps == 1) found.step = tap - last;
    last = tap;
    ++found.taps;
  }
  if (found.taps == 0) return found;
  // The last tap reads the first row of dy.
  if (found.taps > 1) found.dilation = found.step * dilation / stride;
  found.first = last;
  found.step = -found.step;
  found.top = (phase + pad - last * dilation) / stride;
  return found;
}

inline PhaseTaps phase_taps_h(const ConvShape& s, int64_t phase) {
  return phase_taps(phase, s.h, s.kh, s.stride_h, s.top, s.dilation_h);
}
inline PhaseTaps phase_taps_w(const ConvShape& s, int64_t phase) {
  return phase_taps(phase, s.w, s.kw, s.stride_w, s.left, s.dilation_w);
}

}  // namespace gramian::cuda
