// The whole backward of a unit's front, batchNorm -> activation -> depthwise 3x3, when nobody wants the gradient of its
// input: one pass over x gives the filter's gradient and those of gain and offset. Made by
// native/plan/fuse_backward.cpp from conv2dGradInput, conv2dGradFilter and batchNormGradParams, and avgPoolGrad where
// the features were pooled, so that neither the expanded gradient nor the gradient of the activation is ever written to
// memory. in: dy [N,OH,OW,C] or, pooled, [N,PH,PW,C]; w [3,3,1,C]; x [N,H,W,C]; mean, variance, gamma, beta [C]. out:
// dw [3,3,1,C], dgamma [C], dbeta [C]. The rule easy to break: images are summed in chunks fixed by the batch and
// joined by a fixed tree.
#include "cpu/kernels/activation.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int kTaps = 9;
constexpr int kSums = kTaps + 2;  // per channel: nine of dw, then sum t*(x-mean) and sum t
constexpr int64_t kMaxChunks = 64;

struct Params {
  int64_t stride_h, stride_w, pad_top, pad_left;
  int64_t out_height, out_width;  // of dy as the convolution saw it
  int64_t pool_h, pool_w, pool_top, pool_left;
  bool pooled;
  int64_t chunks;
  // Workspace, in bytes from its start.
  int64_t partial_at, scale_at, column_at, cells_at;
};

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

void prepare(KernelCall* call) {
  Params* p = params_of<Params>(call);
  const View &dy = call->in[0], &x = call->in[2];
  p->stride_h = (int64_t)attr(call, "strideH", 1);
  p->stride_w = (int64_t)attr(call, "strideW", 1);
  p->pad_top = (int64_t)attr(call, "padTop");
  p->pad_left = (int64_t)attr(call, "padLeft");
  p->pool_h = (int64_t)attr(call, "poolKernelH");
  p->pool_w = (int64_t)attr(call, "poolKernelW");
  p->pool_top = (int64_t)attr(call, "poolPadTop");
  p->pool_left = (int64_t)attr(call, "poolPadLeft");
  p->pooled = p->pool_h > 0;
  p->out_height = p->pooled ? (int64_t)attr(call, "outHeight") : dy.shape[1];
  p->out_width = p->pooled ? (int64_t)attr(call, "outWidth") : dy.shape[2];
  p->chunks = min64(x.shape[0], kMaxChunks);
  p->partial_at = 0;
  p->scale_at = p->partial_at + aligned(p->chunks * kSums * x.cols * 4);
  p->column_at = p->scale_at + aligned(x.cols * 4);
  p->cells_at = p->column_at + aligned(x.shape[2] * 3 * 8);
  call->workspace_bytes = p->cells_at + (p->pooled ? aligned(dy.rows * dy.cols * 4) : 0);
  call->variant = p->pooled ? "pooled" : "dense";
}

// Everything a row of x needs.
struct Row {
  const float* x;         // [W, C], pitch `pitch`
  const float* dy[3];     // by ky: the row of dy that this row of x reached through it, or null
  const int64_t* column;  // by ix*3 + kx: element offset in such a row, or -1
  int64_t width, pitch;
};

// Adds one row's sums for channels [c, c + lanes).
template <typename Activation>
void add_row(const KernelCall* call, const Activation& act, const Row& row, const float* scale, float* sums, int64_t c,
             int lanes) {
  const int64_t channels = call->in[2].cols;
  const vf mean = load_lanes(floats(call->in[3]) + c, lanes), gain = load_lanes(scale + c, lanes);
  const vf beta = load_lanes(floats(call->in[6]) + c, lanes);
  const float* filter = floats(call->in[1]) + c;
  const int64_t filter_pitch = call->in[1].pitch;
  vf w[kTaps], dw[kTaps];
#pragma GCC unroll 9
  for (int k = 0; k < kTaps; ++k) {
    w[k] = load_lanes(filter + k * filter_pitch, lanes);
    dw[k] = load_lanes(sums + k * channels + c, lanes);
  }
  vf gamma_sum = load_lanes(sums + kTaps * channels + c, lanes);
  vf beta_sum = load_lanes(sums + (kTaps + 1) * channels + c, lanes);
  for (int64_t ix = 0; ix < row.width; ++ix) {
    const vf centred = load_lanes(row.x + ix * row.pitch + c, lanes) - mean;
    const vf pre = fma(centred, gain, beta);
    const vf a = act.value(pre);
    vf da = {};
#pragma GCC unroll 3
    for (int ky = 0; ky < 3; ++ky) {
      if (row.dy[ky] == nullptr) continue;
#pragma GCC unroll 3
      for (int kx = 0; kx < 3; ++kx) {
        const int64_t at = row.column[ix * 3 + kx];
        if (at < 0) continue;
        const vf d = load_lanes(row.dy[ky] + at + c, lanes);
        da = fma(w[ky * 3 + kx], d, da);
        dw[ky * 3 + kx] = fma(a, d, dw[ky * 3 + kx]);
      }
    }
    const vf t = da * act.slope(pre);
    gamma_sum = fma(t, centred, gamma_sum);
    beta_sum = beta_sum + t;
  }
#pragma GCC unroll 9
  for (int k = 0; k < kTaps; ++k) store_lanes(sums + k * channels + c, dw[k], lanes);
  store_lanes(sums + kTaps * channels + c, gamma_sum, lanes);
  store_lanes(sums + (kTaps + 1) * channels + c, beta_sum, lanes);
}

// Cells of the pooled gradient divided by the number of map cells each one is the mean of.
void scale_cells(const KernelCall* call, const Params& p, float* cells) {
  const View& dy = call->in[0];
  const int64_t height = dy.shape[1], width = dy.shape[2];
  const auto inside = [](int64_t cell, int64_t size, int64_t pad, int64_t extent) {
    return min64((cell + 1) * size - pad, extent) - max64(cell * size - pad, 0);
  };
  parallel_for(call->parallel, dy.shape[0] * height, [&](int64_t i) {
    const int64_t rows = inside(i % height, p.pool_h, p.pool_top, p.out_height);
    for (int64_t j = 0; j < width; ++j) {
      const float count = (float)(rows * inside(j, p.pool_w, p.pool_left, p.out_width));
      const float* from = floats(dy) + (i * width + j) * dy.pitch;
      float* to = cells + (i * width + j) * dy.cols;
      for (int64_t c = 0; c < dy.cols; c += W) {
        const int lanes = (int)min64(W, dy.cols - c);
        store_lanes(to + c, load_lanes(from + c, lanes) / count, lanes);
      }
    }
  });
}

// column[ix*3+kx]: where in a row of dy (or of its cells) the output column that reads ix through kx lies.
void fill_columns(const KernelCall* call, const Params& p, int64_t* column) {
  const int64_t width = call->in[2].shape[2], pitch = p.pooled ? call->in[0].cols : call->in[0].pitch;
  for (int64_t ix = 0; ix < width; ++ix)
    for (int64_t kx = 0; kx < 3; ++kx) {
      const int64_t shifted = ix + p.pad_left - kx, ox = shifted / p.stride_w;
      const bool read = shifted >= 0 && shifted % p.stride_w == 0 && ox < p.out_width;
      column[ix * 3 + kx] = !read ? -1 : (p.pooled ? (ox + p.pool_left) / p.pool_w : ox) * pitch;
    }
}

Row row_of(const KernelCall* call, const Params& p, const float* cells, const int64_t* column, int64_t n, int64_t iy) {
  const View &dy = call->in[0], &x = call->in[2];
  Row row = {floats(x) + (n * x.shape[1] + iy) * x.shape[2] * x.pitch, {}, column, x.shape[2], x.pitch};
  for (int64_t ky = 0; ky < 3; ++ky) {
    const int64_t shifted = iy + p.pad_top - ky, oy = shifted / p.stride_h;
    if (shifted < 0 || shifted % p.stride_h != 0 || oy >= p.out_height) continue;
    row.dy[ky] = p.pooled ? cells + (n * dy.shape[1] + (oy + p.pool_top) / p.pool_h) * dy.shape[2] * dy.cols
                          : floats(dy) + (n * dy.shape[1] + oy) * dy.shape[2] * dy.pitch;
  }
  return row;
}

// Joins the chunks pairwise and writes the results; dgamma's sum still lacks the factor 1/sqrt(variance + eps).
void finish(const KernelCall* call, const Params& p, float* partial) {
  const int64_t channels = call->in[2].cols, size = kSums * channels;
  for (int64_t step = 1; step < p.chunks; step *= 2)
    parallel_for(call->parallel, ceil_div(p.chunks - step, 2 * step), [&](int64_t pair) {
      float *to = partial + pair * 2 * step * size, *from = to + step * size;
      for (int64_t i = 0; i < size; i += W) {
        const int lanes = (int)min64(W, size - i);
        store_lanes(to + i, load_lanes(to + i, lanes) + load_lanes(from + i, lanes), lanes);
      }
    });
  const View& dw = call->out[0];
  for (int64_t k = 0; k < kTaps; ++k)
    memcpy(floats_out(dw) + k * dw.pitch, partial + k * channels, (size_t)channels * sizeof(float));
  const double eps = attr(call, "bnEps");
  for (int64_t c = 0; c < channels; ++c) {
    const double deviation = __builtin_sqrt((double)floats(call->in[4])[c] + eps);
    floats_out(call->out[1])[c] = (float)((double)partial[kTaps * channels + c] / deviation);
    floats_out(call->out[2])[c] = partial[(kTaps + 1) * channels + c];
  }
}

void run(const KernelCall* call) {
  const Params& p = *params_of<Params>(call);
  const View& x = call->in[2];
  char* base = static_cast<char*>(call->workspace);
  float* partial = reinterpret_cast<float*>(base + p.partial_at);
  float* scale = reinterpret_cast<float*>(base + p.scale_at);
  int64_t* column = reinterpret_cast<int64_t*>(base + p.column_at);
  float* cells = reinterpret_cast<float*>(base + p.cells_at);
  const double eps = attr(call, "bnEps");
  for (int64_t c = 0; c < x.cols; ++c)
    scale[c] = (float)((double)floats(call->in[5])[c] / __builtin_sqrt((double)floats(call->in[4])[c] + eps));
  fill_columns(call, p, column);
  if (p.pooled) scale_cells(call, p, cells);
  const int64_t images = x.shape[0], size = kSums * x.cols;
  with_activation(attr_string(call, "bnActivation", "none"), (float)attr(call, "bnAlpha"), [&](auto act) {
    parallel_for(call->parallel, p.chunks, [&](int64_t chunk) {
      float* sums = partial + chunk * size;
      memset(sums, 0, (size_t)size * sizeof(float));
      for (int64_t n = chunk * images / p.chunks; n < (chunk + 1) * images / p.chunks; ++n)
        for (int64_t iy = 0; iy < x.shape[1]; ++iy) {
          const Row row = row_of(call, p, cells, column, n, iy);
          int64_t c = 0;
          for (; c + W <= x.cols; c += W) add_row(call, act, row, scale, sums, c, W);
          if (c < x.cols) add_row(call, act, row, scale, sums, c, (int)(x.cols - c));
        }
    });
  });
  finish(call, p, partial);
}

const Kernel kernels[] = {{"depthwiseBackward", prepare, run}};

}  // namespace

extern const KernelList kDepthwiseBackwardKernels;
const KernelList kDepthwiseBackwardKernels = {kernels, 1};

}  // namespace gramian::cpu::GRAMIAN_ISA
