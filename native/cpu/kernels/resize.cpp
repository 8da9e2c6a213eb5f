// Image resizing (nearest, bilinear; three coordinate conventions) and its transpose.
// Called through the table built in table.cpp. The sampling positions of each axis are worked out once a run, in
// float64. The rule easy to break: the gradient gathers by input row: each row visits, in output order, the outputs
// that read it, so rows are independent and the sum's order is fixed.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Tap {  // one output position along one axis: (1 - part) * low + part * high
  int32_t low, high;
  float part;
};

struct Sampling {
  bool nearest;
  int coordinates;  // index into the names below
};
const char* const coordinate_names[] = {"halfPixel", "aligned", "asymmetric"};

void prepare(KernelCall* call, const View& large) {
  Sampling& p = *params_of<Sampling>(call);
  const char* mode = attr_string(call, "mode", "bilinear");
  p.nearest = strcmp(mode, "nearest") == 0;
  if (!p.nearest && strcmp(mode, "bilinear") != 0) call->error = "resize's mode must be nearest or bilinear";
  const char* name = attr_string(call, "coordinates", "halfPixel");
  p.coordinates = 0;
  while (p.coordinates < 3 && strcmp(name, coordinate_names[p.coordinates]) != 0) ++p.coordinates;
  if (p.coordinates == 3) call->error = "resize's coordinates must be halfPixel, aligned or asymmetric";
  call->workspace_bytes = (large.shape[1] + large.shape[2]) * (int64_t)sizeof(Tap);
}
void prepare_resize(KernelCall* call) { prepare(call, call->out[0]); }
void prepare_gradient(KernelCall* call) { prepare(call, call->in[0]); }

// The taps of `out` positions over `in` cells, written to taps[0..out).
void find_taps(const Sampling& p, int64_t in, int64_t out, Tap* taps) {
  for (int64_t o = 0; o < out; ++o) {
    double s = 0;
    if (p.coordinates == 0)
      s = ((double)o + 0.5) * (double)in / (double)out - 0.5;
    else if (p.coordinates == 1)
      s = out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0;
    else
      s = (double)o * (double)in / (double)out;
    if (p.nearest) s = p.coordinates == 0 ? __builtin_ceil(s - 0.5) : __builtin_floor(p.coordinates == 1 ? s + 0.5 : s);
    const double last = (double)(in - 1);
    s = s < 0 ? 0 : s > last ? last : s;
    const auto low = (int32_t)s;
    taps[o] = {low, low + 1 < in ? low + 1 : low, (float)(s - (double)low)};
  }
}

struct Axes {
  const Tap *rows, *cols;
};
// `small` is what is sampled, `large` the tensor with one tap per row and column.
Axes find_axes(const KernelCall* call, const View& small, const View& large) {
  const Sampling& p = *params_of<Sampling>(call);
  auto* taps = static_cast<Tap*>(call->workspace);
  find_taps(p, small.shape[1], large.shape[1], taps);
  find_taps(p, small.shape[2], large.shape[2], taps + large.shape[1]);
  return {taps, taps + large.shape[1]};
}

inline vf mix(vf a, vf b, vf part) { return fma(part, b - a, a); }

// x[N,H,W,C] -> y[N,OH,OW,C]
void run_resize(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  const int64_t height = x.shape[1], width = x.shape[2], C = x.cols, OH = y.shape[1], OW = y.shape[2];
  const Axes axes = find_axes(call, x, y);
  for_groups(call->parallel, y.shape[0] * OH, OW * C * 2, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const Tap row = axes.rows[r % OH];
      const float* image = floats(x) + r / OH * height * width * x.pitch;
      const float *top = image + row.low * width * x.pitch, *bottom = image + row.high * width * x.pitch;
      for (int64_t ow = 0; ow < OW; ++ow) {
        const Tap col = axes.cols[ow];
        const int64_t left = col.low * x.pitch, right = col.high * x.pitch;
        float* to = floats_out(y) + (r * OW + ow) * y.pitch;
        for (int64_t c = 0; c < C; c += W) {
          const int n = (int)min64(W, C - c);
          vf value = load_lanes(top + left + c, n);
          if (row.part != 0 || col.part != 0) {
            const vf across = set1(col.part);
            const vf above = mix(value, load_lanes(top + right + c, n), across);
            const vf below = mix(load_lanes(bottom + left + c, n), load_lanes(bottom + right + c, n), across);
            value = mix(above, below, set1(row.part));
          }
          store_lanes(to + c, value, n);
        }
      }
    }
  });
}

// to[c] += weight * from[c]
inline void add_weighted(float* to, const float* from, float weight, int64_t C) {
  for (int64_t c = 0; c < C; c += W) {
    const int n = (int)min64(W, C - c);
    store_lanes(to + c, fma(load_lanes(from + c, n), set1(weight), load_lanes(to + c, n)), n);
  }
}

// Adds one output row, scaled by `weight`, to the input row it reads.
void add_output_row(const Tap* cols, const View& dy, int64_t output_row, float weight, const View& dx, float* to) {
  const int64_t OW = dy.shape[2];
  for (int64_t ow = 0; ow < OW; ++ow) {
    const float* from = floats(dy) + (output_row * OW + ow) * dy.pitch;
    const Tap& col = cols[ow];
    add_weighted(to + col.low * dx.pitch, from, weight * (1 - col.part), dy.cols);
    if (col.part != 0) add_weighted(to + col.high * dx.pitch, from, weight * col.part, dy.cols);
  }
}

// dy[N,OH,OW,C] -> dx[N,H,W,C]
void run_gradient(const KernelCall* call) {
  const View &dy = call->in[0], &dx = call->out[0];
  const int64_t height = dx.shape[1], width = dx.shape[2], OH = dy.shape[1];
  const Axes axes = find_axes(call, dx, dy);
  for_groups(call->parallel, dx.shape[0] * height, width * dx.cols * 4, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t n = r / height, h = r % height;
      float* to = floats_out(dx) + r * width * dx.pitch;
      for (int64_t w = 0; w < width; ++w) memset(to + w * dx.pitch, 0, (size_t)dx.cols * sizeof(float));
      for (int64_t oh = 0; oh < OH; ++oh) {
        const Tap& row = axes.rows[oh];
        if (row.low == h) add_output_row(axes.cols, dy, n * OH + oh, 1 - row.part, dx, to);
        if (row.high == h && row.part != 0) add_output_row(axes.cols, dy, n * OH + oh, row.part, dx, to);
      }
    }
  });
}

const Kernel kernels[] = {
    {"resize", prepare_resize, run_resize},
    {"resizeGrad", prepare_gradient, run_gradient},
};

}  // namespace

extern const KernelList kResizeKernels;
const KernelList kResizeKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
