// conv2d, conv2dGradInput and conv2dGradFilter: chooses the algorithm in prepare and runs it, through table.cpp's list.
// depthwise -> depthwise.cpp; 1x1 stride 1 -> a matrix product on the rows as they lie; the rest -> the same product
// on rows read through the window (ImageRows), so the unfolded image never exists in memory. A batchNorm that was
// joined to a forward product normalises its rows as they are written. The rule easy to break: a gradient by the input
// with stride s is s*s interleaved products, one per phase of the input pixel, each with the filter taps that can reach
// that phase; a phase without taps is zero.
#include "cpu/kernels/conv2d.h"

#include "cpu/kernels/finish.h"
#include "cpu/kernels/gemm.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- operands

// Row (n, i, j) of the unfolded image: for tap (p, q), channel c: image[n, i*stride_h + h0 + p*step_h, ...][c],
// zero outside the image. Columns run over p, then q, then c.
struct ImageRows {
  const float* data;
  int64_t pitch, h, w, c;  // the image; c channels are used, beginning at data
  int64_t rows_h, rows_w;  // (i, j) range of the rows
  int64_t stride_h, stride_w, h0, w0, step_h, step_w;
  int64_t taps_w;
  bool merged;  // the taps of one p are adjacent in memory: one run of taps_w * c floats
  int64_t group_step;

  ImageRows group(int64_t g) const {
    ImageRows other = *this;
    other.data += g * group_step;
    return other;
  }
  Fetch fetch(int64_t, int64_t, int64_t, int64_t) const { return {}; }
  const float* block(int64_t, Range) const { return nullptr; }
  void copy(float* dst, int64_t row, int64_t column, int64_t count) const {
    const uint32_t j = (uint32_t)row % (uint32_t)rows_w, above = (uint32_t)row / (uint32_t)rows_w;
    const uint32_t i = above % (uint32_t)rows_h, n = above / (uint32_t)rows_h;
    const int64_t top = i * stride_h + h0, left = j * stride_w + w0;
    const int64_t run = merged ? taps_w * c : c, runs_w = merged ? 1 : taps_w;
    if (merged && run <= W && column == 0 && count % run == 0 && left >= 0 && left + taps_w <= w)
      return copy_short(dst, data + (n * h * w + left) * pitch, top, run, count / run);
    int64_t index = (uint32_t)column / (uint32_t)run, offset = column - index * run;
    int64_t p = (uint32_t)index / (uint32_t)runs_w, q = index - p * runs_w;
    while (count > 0) {
      const int64_t length = min64(run - offset, count);
      const int64_t y = top + p * step_h, x = left + q * step_w;
      int64_t begin = 0, end = 0;  // the part of the run inside the image
      if (y >= 0 && y < h) {
        if (merged) {
          begin = max64(0, -x) * c, end = max64(0, min64(taps_w, w - x)) * c;
        } else if (x >= 0 && x < w) {
          end = c;
        }
      }
      copy_part(dst, data + ((n * h + y) * w + x) * pitch, offset, length, begin, end);
      dst += length, count -= length, offset = 0;
      if (++q == runs_w) q = 0, ++p;
    }
  }

 private:
  // Whole runs of at most a vector, inside the image sideways: the case of a first layer's one or three channels.
  // Rows of A have W floats of room behind them.
  void copy_short(float* dst, const float* src, int64_t y, int64_t run, int64_t runs) const {
    for (; runs > 0; --runs, y += step_h, dst += run)
      store(dst, y >= 0 && y < h ? load_lanes(src + y * w * pitch, (int)run) : vf{});
  }
  // dst[t] = src[offset + t] where that lies in [begin, end), else 0, for t < length.
  static void copy_part(float* dst, const float* src, int64_t offset, int64_t length, int64_t begin, int64_t end) {
    const int64_t first = min64(length, max64(0, begin - offset)), last = max64(first, min64(length, end - offset));
    if (first > 0) zero_floats(dst, first);
    if (last > first) copy_floats(dst + first, src + offset + first, last - first);
    if (length > last) zero_floats(dst + last, length - last);
  }
};

// B of the gradient by the input: rows over the phase's taps (p, q) and outputs o, columns over input channels.
struct TurnedFilter {
  const float* data;
  int64_t pitch, c, o, kw;
  int64_t p0, p_step, q0, q_step, taps_w;
  int64_t group_step;

  TurnedFilter group(int64_t g) const {
    TurnedFilter other = *this;
    other.data += g * group_step;
    return other;
  }
  void pack(float* packed, int64_t k0, int64_t k, int64_t n0, int64_t n) const {
    for (int64_t done = 0; done < k;) {
      const int64_t tap = (k0 + done) / o, offset = (k0 + done) % o, length = min64(o - offset, k - done);
      const int64_t p = p0 + tap / taps_w * p_step, q = q0 + tap % taps_w * q_step;
      const float* src = data + ((p * kw + q) * c + n0) * pitch + offset;
      pack_columns(packed, src, pitch, k, done, length, n);
      done += length;
    }
  }
};

// Every stride-th pixel of the input gradient.
struct PhaseRows {
  float* data;
  int64_t pitch, w, rows_h, rows_w, stride_h, stride_w, h;
  int64_t group_step;

  PhaseRows group(int64_t g) const {
    PhaseRows other = *this;
    other.data += g * group_step;
    return other;
  }
  float* row(int64_t index) const {
    const uint32_t j = (uint32_t)index % (uint32_t)rows_w, above = (uint32_t)index / (uint32_t)rows_w;
    const uint32_t i = above % (uint32_t)rows_h, n = above / (uint32_t)rows_h;
    return data + ((n * h + i * stride_h) * w + j * stride_w) * pitch;
  }
};

// ---------------------------------------------------------------- choice

ConvWay way_of(const ConvShape& s, const View& x, const View& y) {
  if (s.c == 1 && s.groups > 1) return ConvWay::depthwise;
  if (s.c == 1 && s.o == 1) return ConvWay::depthwise;
  const bool same = x.shape[1] == y.shape[1] && x.shape[2] == y.shape[2];
  if (s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && same && s.top == 0 && s.left == 0 &&
      s.groups == 1)
    return ConvWay::pointwise;
  return ConvWay::general;
}

const char* variant_of(ConvWay way, const ConvShape& s) {
  if (way == ConvWay::pointwise) return "pointwise";
  if (s.groups > 1) return "grouped";
  return s.kh * s.kw == 1 ? "gathered" : "window";
}

struct ProductParams {
  ConvParams conv;
  GemmPlan plan;
};

// Rows and columns of a window's product are told apart by 32-bit arithmetic.
void expect_countable(KernelCall* call, int64_t rows, int64_t columns) {
  if (rows >> 32 != 0 || columns >> 32 != 0)
    call->error = "expected fewer than 2^32 windows of fewer than 2^32 elements each, where the filter is not 1x1";
}

// Fills the head of the params; true when the call is depthwise.cpp's.
bool choose(KernelCall* call, const View& x, const View& filter, const View& y) {
  ConvParams* conv = params_of<ConvParams>(call);
  conv->shape = conv_shape(call, x, filter, y);
  conv->way = way_of(conv->shape, x, y);
  if (conv->way != ConvWay::depthwise) call->variant = variant_of(conv->way, conv->shape);
  return conv->way == ConvWay::depthwise;
}

bool is_depthwise(const KernelCall* call) { return params_of<ConvParams>(call)->way == ConvWay::depthwise; }

ImageRows window_rows(const ConvShape& s, const View& x) {
  return {static_cast<const float*>(x.data),
          x.pitch,
          s.h,
          s.w,
          s.c,
          s.oh,
          s.ow,
          s.stride_h,
          s.stride_w,
          -s.top,
          -s.left,
          s.dilation_h,
          s.dilation_w,
          s.kw,
          s.dilation_w == 1 && x.pitch == s.c && s.kw > 1,
          s.c};
}

// ---------------------------------------------------------------- conv2d

void forward_prepare(KernelCall* call) {
  const View &x = call->in[0], &filter = call->in[1], &y = call->out[0];
  if (choose(call, x, filter, y)) return kDepthwiseKernels.kernels[0].prepare(call);
  ProductParams* params = params_of<ProductParams>(call);
  const ConvShape& s = params->conv.shape;
  const int64_t image = s.oh * s.ow, all = s.batch * image;
  if (params->conv.way == ConvWay::general) expect_countable(call, all, s.kh * s.kw * s.c);
  params->plan = thin_if_few_rows(plan_gemm(call->precision, s.groups, all, s.o, s.kh * s.kw * s.c, false,
                                            attr(call, "perImage") != 0 ? image : all));
  call->workspace_bytes = params->plan.workspace_bytes + finish_bytes(call);
}

void forward_run(const KernelCall* call) {
  if (is_depthwise(call)) return kDepthwiseKernels.kernels[0].run(call);
  const View &x = call->in[0], &filter = call->in[1], &y = call->out[0];
  const ProductParams* params = params_of<ProductParams>(call);
  const ConvShape& s = params->conv.shape;
  const Matrix b{static_cast<float*>(filter.data), filter.pitch, s.o};
  const Matrix c{static_cast<float*>(y.data), y.pitch, s.o};
  char* const behind = static_cast<char*>(call->workspace) + params->plan.workspace_bytes;
  const Ending ending = ending_of(call, 2, behind);
  if (params->conv.way == ConvWay::pointwise) {
    run_gemm<false>(params->plan, call->workspace, call->parallel, matrix_of(x), b, c, finish_of(ending));
  } else {
    run_gemm<false>(params->plan, call->workspace, call->parallel, window_rows(s, x), b, c, finish_of(ending));
  }
}

// ---------------------------------------------------------------- gradient by the filter

void grad_filter_prepare(KernelCall* call) {
  const View &x = call->in[0], &dy = call->in[1], &dw = call->out[0];
  if (choose(call, x, dw, dy)) return kDepthwiseKernels.kernels[2].prepare(call);
  ProductParams* params = params_of<ProductParams>(call);
  const ConvShape& s = params->conv.shape;
  if (params->conv.way == ConvWay::general) expect_countable(call, s.batch * s.oh * s.ow, s.kh * s.kw * s.c);
  params->plan = plan_gemm(call->precision, s.groups, s.kh * s.kw * s.c, s.o, s.batch * s.oh * s.ow, true);
  call->workspace_bytes = params->plan.workspace_bytes;
}

void grad_filter_run(const KernelCall* call) {
  if (is_depthwise(call)) return kDepthwiseKernels.kernels[2].run(call);
  const View &x = call->in[0], &dy = call->in[1], &dw = call->out[0];
  const ProductParams* params = params_of<ProductParams>(call);
  const ConvShape& s = params->conv.shape;
  const Matrix b{static_cast<float*>(dy.data), dy.pitch, s.o};
  const Matrix c{static_cast<float*>(dw.data), dw.pitch, s.o};
  if (params->conv.way == ConvWay::pointwise) {
    run_gemm<true>(params->plan, call->workspace, call->parallel, matrix_of(x), b, c);
  } else {
    run_gemm<true>(params->plan, call->workspace, call->parallel, window_rows(s, x), b, c);
  }
}

// ---------------------------------------------------------------- gradient by the input

// Along one axis: the taps that reach input pixels congruent to `phase`, and where the first of them reads dy.
struct PhaseTaps {
  int64_t first, step, count;  // taps first, first + step, ...
  int64_t origin, stride;      // input pixel phase + i*stride of tap number t reads dy at i + origin - t*retreat
  int64_t retreat;
  int64_t pixels;
};

PhaseTaps phase_taps(int64_t phase, int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  PhaseTaps taps = {0, 1, 0, 0, stride, 0, size > phase ? ceil_div(size - phase, stride) : 0};
  int64_t second = 0;
  for (int64_t tap = 0; tap < kernel; ++tap) {
    if ((phase + pad - tap * dilation) % stride != 0) continue;
    if (taps.count == 0) taps.first = tap;
    if (taps.count == 1) second = tap;
    ++taps.count;
  }
  if (taps.count > 1) taps.step = second - taps.first;
  if (taps.count > 0) taps.origin = (phase + pad - taps.first * dilation) / stride;
  taps.retreat = taps.step * dilation / stride;
  return taps;
}

// The phases that have pixels.
int64_t phases_h(const ConvShape& s) { return min64(s.stride_h, s.h); }
int64_t phases_w(const ConvShape& s) { return min64(s.stride_w, s.w); }

GemmPlan phase_plan(Precision precision, const ConvShape& s, const PhaseTaps& th, const PhaseTaps& tw) {
  return plan_gemm(precision, s.groups, s.batch * th.pixels * tw.pixels, s.c, th.count * tw.count * s.o, false);
}

PhaseTaps phase_taps_h(const ConvShape& s, int64_t phase) {
  return phase_taps(phase, s.h, s.kh, s.stride_h, s.top, s.dilation_h);
}
PhaseTaps phase_taps_w(const ConvShape& s, int64_t phase) {
  return phase_taps(phase, s.w, s.kw, s.stride_w, s.left, s.dilation_w);
}

void grad_input_prepare(KernelCall* call) {
  const View &dy = call->in[0], &filter = call->in[1], &dx = call->out[0];
  if (choose(call, dx, filter, dy)) return kDepthwiseKernels.kernels[1].prepare(call);
  ProductParams* params = params_of<ProductParams>(call);
  const ConvShape& s = params->conv.shape;
  if (params->conv.way == ConvWay::pointwise) {
    params->plan = plan_gemm(call->precision, 1, s.batch * s.h * s.w, s.c, s.o, false);
    call->workspace_bytes = params->plan.workspace_bytes;
    return;
  }
  expect_countable(call, s.batch * s.h * s.w, s.kh * s.kw * s.o);
  for (int64_t a = 0; a < phases_h(s); ++a) {
    for (int64_t b = 0; b < phases_w(s); ++b) {
      const PhaseTaps th = phase_taps_h(s, a), tw = phase_taps_w(s, b);
      if (th.pixels * tw.pixels * th.count * tw.count == 0) continue;
      call->workspace_bytes = max64(call->workspace_bytes, phase_plan(call->precision, s, th, tw).workspace_bytes);
    }
  }
}

void run_phase(const KernelCall* call, const ConvShape& s, int64_t a, int64_t b) {
  const View &dy = call->in[0], &filter = call->in[1], &dx = call->out[0];
  const PhaseTaps th = phase_taps_h(s, a), tw = phase_taps_w(s, b);
  const int64_t pixels = s.batch * th.pixels * tw.pixels;
  if (pixels == 0) return;
  const PhaseRows c{static_cast<float*>(dx.data) + (a * s.w + b) * dx.pitch,
                    dx.pitch,
                    s.w,
                    th.pixels,
                    tw.pixels,
                    s.stride_h,
                    s.stride_w,
                    s.h,
                    s.c};
  if (th.count * tw.count == 0) {
    for (int64_t i = 0; i < pixels; ++i) zero_floats(c.row(i), s.c * s.groups);
    return;
  }
  // Sideways the taps are taken from the last, so that dy is read forwards and its runs may merge.
  const int64_t last = tw.count - 1;
  const bool merged = tw.count > 1 && tw.retreat == 1 && dy.pitch == s.o;
  const ImageRows rows{static_cast<const float*>(dy.data),
                       dy.pitch,
                       s.oh,
                       s.ow,
                       s.o,
                       th.pixels,
                       tw.pixels,
                       1,
                       1,
                       th.origin,
                       tw.origin - last * tw.retreat,
                       -th.retreat,
                       tw.retreat,
                       tw.count,
                       merged,
                       s.o};
  const TurnedFilter turned{static_cast<const float*>(filter.data),
                            filter.pitch,
                            s.c,
                            s.o,
                            s.kw,
                            th.first,
                            th.step,
                            tw.first + last * tw.step,
                            -tw.step,
                            tw.count,
                            s.o};
  run_gemm<false>(phase_plan(call->precision, s, th, tw), call->workspace, call->parallel, rows, turned, c);
}

void grad_input_run(const KernelCall* call) {
  if (is_depthwise(call)) return kDepthwiseKernels.kernels[1].run(call);
  const View &dy = call->in[0], &filter = call->in[1], &dx = call->out[0];
  const ProductParams* params = params_of<ProductParams>(call);
  const ConvShape& s = params->conv.shape;
  if (params->conv.way == ConvWay::pointwise) {
    const TransposedMatrix b{static_cast<const float*>(filter.data), filter.pitch, 0};
    run_gemm<false>(params->plan, call->workspace, call->parallel, matrix_of(dy), b, matrix_of(dx));
    return;
  }
  for (int64_t a = 0; a < phases_h(s); ++a)
    for (int64_t b = 0; b < phases_w(s); ++b) run_phase(call, s, a, b);
}

constexpr Kernel kKernels[] = {{"conv2d", forward_prepare, forward_run},
                               {"conv2dGradInput", grad_input_prepare, grad_input_run},
                               {"conv2dGradFilter", grad_filter_prepare, grad_filter_run}};

}  // namespace

extern const KernelList kConv2dKernels;
const KernelList kConv2dKernels = {kKernels, 3};

}  // namespace gramian::cpu::GRAMIAN_ISA
