// The shape of one convolution, read from a KernelCall, and the list of depthwise.cpp that conv2d.cpp dispatches to.
// Included by conv2d.cpp and, for the depthwise files, staged_rows.h.
// The rule easy to break: a depthwise call belongs to depthwise.cpp from prepare on, its params included.
#pragma once
#include "cpu/simd.h"

namespace gramian::cpu::GRAMIAN_ISA {

// In this order: forward, gradient by the input, gradient by the filter; each takes the call of its conv2d op.
// conv2d.cpp has filled in the ConvParams.
extern const KernelList kDepthwiseKernels;

namespace {

// x [batch, h, w, groups * c], w [kh, kw, c, groups * o], y [batch, oh, ow, groups * o].
struct ConvShape {
  int64_t batch, h, w, c, kh, kw, o, oh, ow, groups;
  int64_t stride_h, stride_w, top, left, dilation_h, dilation_w;
};

[[maybe_unused]] inline ConvShape conv_shape(const KernelCall* call, const View& x, const View& filter, const View& y) {
  ConvShape s;
  s.groups = (int64_t)attr(call, "groups", 1);
  s.batch = x.shape[0], s.h = x.shape[1], s.w = x.shape[2], s.c = x.shape[3] / s.groups;
  s.kh = filter.shape[0], s.kw = filter.shape[1], s.o = filter.shape[3] / s.groups;
  s.oh = y.shape[1], s.ow = y.shape[2];
  s.stride_h = (int64_t)attr(call, "strideH", 1), s.stride_w = (int64_t)attr(call, "strideW", 1);
  s.top = (int64_t)attr(call, "padTop"), s.left = (int64_t)attr(call, "padLeft");
  s.dilation_h = (int64_t)attr(call, "dilationH", 1), s.dilation_w = (int64_t)attr(call, "dilationW", 1);
  return s;
}

enum class ConvWay : int32_t { depthwise, pointwise, general };

// What every convolution's params begin with, so that conv2d.cpp knows whose call it is.
struct ConvParams {
  ConvShape shape;
  ConvWay way;
};

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
