// resize and its transpose: nearest and bilinear, with half-pixel, aligned or asymmetric coordinates (docs/ops.md).
// The rule easy to break: the gradient adds in output order, and one image is one piece of work, so that the sums do
// not depend on the thread count.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

enum Coordinates { kHalfPixel, kAligned, kAsymmetric };

struct Params {
  bool bilinear;
  Coordinates coordinates;
};

void prepare_resize(KernelCall* call) {
  Params* params = params_of<Params>(call);
  const char *mode = attr_string(call, "mode"), *coordinates = attr_string(call, "coordinates");
  params->bilinear = strcmp(mode, "bilinear") == 0;
  params->coordinates = strcmp(coordinates, "halfPixel") == 0 ? kHalfPixel
                        : strcmp(coordinates, "aligned") == 0 ? kAligned
                                                              : kAsymmetric;
  if (!params->bilinear && strcmp(mode, "nearest") != 0) call->error = "resize's mode must be nearest or bilinear";
  if (params->coordinates == kAsymmetric && strcmp(coordinates, "asymmetric") != 0)
    call->error = "resize's coordinates must be halfPixel, aligned or asymmetric";
  call->variant = params->bilinear ? "bilinear" : "nearest";
}

// The one or two source cells of output cell `o` along an axis; far_weight is 0 for one.
struct Tap {
  int64_t near, far;
  float far_weight;
};

Tap tap_of(const Params& p, int64_t o, int64_t in, int64_t out) {
  double s = 0;
  switch (p.coordinates) {
    case kHalfPixel:
      s = ((double)o + 0.5) * (double)in / (double)out - 0.5;
      break;
    case kAligned:
      s = out == 1 ? 0 : (double)o * (double)(in - 1) / (double)(out - 1);
      break;
    case kAsymmetric:
      s = (double)o * (double)in / (double)out;
      break;
  }
  if (!p.bilinear) {
    const double rounded = p.coordinates == kHalfPixel ? __builtin_ceil(s - 0.5)
                           : p.coordinates == kAligned ? __builtin_floor(s + 0.5)
                                                       : __builtin_floor(s);
    const int64_t cell = max64(0, min64(in - 1, (int64_t)rounded));
    return {cell, cell, 0};
  }
  s = s < 0 ? 0 : s > (double)(in - 1) ? (double)(in - 1) : s;
  const int64_t cell = (int64_t)s;
  return {cell, min64(cell + 1, in - 1), (float)(s - (double)cell)};
}

// The four source rows of an output pixel and their weights; nearest uses the first alone.
struct Corners {
  int64_t at[4];  // element offsets
  float weight[4];
};

Corners corners_of(const Tap& y, const Tap& x, int64_t width, int64_t pitch) {
  return {{(y.near * width + x.near) * pitch, (y.near * width + x.far) * pitch, (y.far * width + x.near) * pitch,
           (y.far * width + x.far) * pitch},
          {(1 - y.far_weight) * (1 - x.far_weight), (1 - y.far_weight) * x.far_weight,
           y.far_weight * (1 - x.far_weight), y.far_weight * x.far_weight}};
}

void run_resize(const KernelCall* call) {
  const Params& p = *params_of<Params>(call);
  const View &x = call->in[0], &y = call->out[0];
  const int64_t height = x.shape[1], width = x.shape[2], out_height = y.shape[1], out_width = y.shape[2];
  parallel_for(call->parallel, y.shape[0] * out_height, [&](int64_t row) {
    const float* image = floats(x) + row / out_height * height * width * x.pitch;
    const Tap tap_y = tap_of(p, row % out_height, height, out_height);
    for (int64_t ox = 0; ox < out_width; ++ox) {
      const Corners k = corners_of(tap_y, tap_of(p, ox, width, out_width), width, x.pitch);
      float* to = floats_out(y) + (row * out_width + ox) * y.pitch;
      if (!p.bilinear) {
        memcpy(to, image + k.at[0], (size_t)x.cols * sizeof(float));
        continue;
      }
      for (int64_t c = 0; c < x.cols; c += W) {
        const int lanes = (int)min64(W, x.cols - c);
        vf sum = load_lanes(image + k.at[0] + c, lanes) * k.weight[0];
        for (int corner = 1; corner < 4; ++corner)
          sum = fma(load_lanes(image + k.at[corner] + c, lanes), set1(k.weight[corner]), sum);
        store_lanes(to + c, sum, lanes);
      }
    }
  });
}

void add_scaled(float* to, const float* from, float weight, int64_t cols) {
  for (int64_t c = 0; c < cols; c += W) {
    const int lanes = (int)min64(W, cols - c);
    store_lanes(to + c, fma(load_lanes(from + c, lanes), set1(weight), load_lanes(to + c, lanes)), lanes);
  }
}

void run_resize_grad(const KernelCall* call) {
  const Params& p = *params_of<Params>(call);
  const View &dy = call->in[0], &dx = call->out[0];
  const int64_t height = dx.shape[1], width = dx.shape[2], out_height = dy.shape[1], out_width = dy.shape[2];
  parallel_for(call->parallel, dx.shape[0], [&](int64_t n) {
    float* image = floats_out(dx) + n * height * width * dx.pitch;
    for (int64_t i = 0; i < height * width; ++i) memset(image + i * dx.pitch, 0, (size_t)dx.cols * sizeof(float));
    for (int64_t oy = 0; oy < out_height; ++oy) {
      const Tap tap_y = tap_of(p, oy, height, out_height);
      for (int64_t ox = 0; ox < out_width; ++ox) {
        const Corners k = corners_of(tap_y, tap_of(p, ox, width, out_width), width, dx.pitch);
        const float* from = floats(dy) + ((n * out_height + oy) * out_width + ox) * dy.pitch;
        if (!p.bilinear) {
          add_scaled(image + k.at[0], from, 1, dx.cols);
          continue;
        }
        for (int corner = 0; corner < 4; ++corner)
          if (k.weight[corner] != 0) add_scaled(image + k.at[corner], from, k.weight[corner], dx.cols);
      }
    }
  });
}

const Kernel kernels[] = {
    {"resize", prepare_resize, run_resize},
    {"resizeGrad", prepare_resize, run_resize_grad},
};

}  // namespace

extern const KernelList kResizeKernels;
const KernelList kResizeKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
