// Max and average pooling over NHWC windows, and their gradients.
// Called through the table built in table.cpp. Vectors run across channels; a task is a group of image rows.
// The rule easy to break: gradients gather (each input cell looks for the windows that hold it, in output order), so
// overlapping windows need no atomics and the sum's order never depends on threads.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Window {
  int64_t N, H, W_, C, OH, OW;  // image and output sizes
  int64_t kernel_h, kernel_w, stride_h, stride_w, top, left;
};

// `image` has the input's shape, `output` the pooled one.
void prepare_window(KernelCall* call, const View& image, const View& output) {
  *params_of<Window>(call) = {image.shape[0],
                              image.shape[1],
                              image.shape[2],
                              image.shape[3],
                              output.shape[1],
                              output.shape[2],
                              (int64_t)attr(call, "kernelH"),
                              (int64_t)attr(call, "kernelW"),
                              (int64_t)attr(call, "strideH", 1),
                              (int64_t)attr(call, "strideW", 1),
                              (int64_t)attr(call, "padTop"),
                              (int64_t)attr(call, "padLeft")};
}
void prepare_forward(KernelCall* call) { prepare_window(call, call->in[0], call->out[0]); }
void prepare_gradient(KernelCall* call) { prepare_window(call, call->out[0], call->in[0]); }

struct Range {
  int64_t begin, end;
};
// Image cells under output o: [o*stride - pad, + kernel) cut to [0, size).
inline Range cells_of(int64_t o, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  const int64_t begin = o * stride - pad;
  return {max64(begin, 0), min64(begin + kernel, size)};
}
// Outputs whose window holds image cell i.
inline Range outputs_of(int64_t i, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  const int64_t first = i + pad - kernel + 1;
  return {first <= 0 ? 0 : ceil_div(first, stride), min64((i + pad) / stride + 1, size)};
}

// body(n, row) for every row of every image; `cost` is the elements one row touches.
template <typename Body>
void for_image_rows(const KernelCall* call, int64_t images, int64_t height, int64_t cost, const Body& body) {
  for_groups(call->parallel, images * height, cost, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) body(r / height, r % height);
  });
}

inline vi load_index(const int32_t* p, int lanes) { return (vi)load_lanes(reinterpret_cast<const float*>(p), lanes); }
inline void store_index(int32_t* p, vi v, int lanes) { store_lanes(reinterpret_cast<float*>(p), (vf)v, lanes); }

// The first maximum of a window and its place h*W+w. A NaN is above all else; every window has a cell.
void max_cell(const Window& p, const View& x, int64_t n, Range rows, Range cols, float* y, int32_t* index) {
  for (int64_t c = 0; c < p.C; c += W) {
    const int lanes = (int)min64(W, p.C - c);
    vf best = set1(-__builtin_inff());
    vi place = set1i((int32_t)(rows.begin * p.W_ + cols.begin));
    for (int64_t h = rows.begin; h < rows.end; ++h)
      for (int64_t w = cols.begin; w < cols.end; ++w) {
        const vf value = load_lanes(floats(x) + ((n * p.H + h) * p.W_ + w) * x.pitch + c, lanes);
        const vi here = set1i((int32_t)(h * p.W_ + w));
        const vi better = ~(value <= best) & (best == best);
        best = better ? value : best;
        place = better ? here : place;
      }
    store_lanes(y + c, best, lanes);
    store_index(index + c, place, lanes);
  }
}

void run_max(const KernelCall* call) {
  const Window& p = *params_of<Window>(call);
  const View &x = call->in[0], &y = call->out[0], &index = call->out[1];
  for_image_rows(call, p.N, p.OH, p.OW * p.C * p.kernel_h * p.kernel_w, [&](int64_t n, int64_t oh) {
    const Range rows = cells_of(oh, p.stride_h, p.top, p.kernel_h, p.H);
    for (int64_t ow = 0; ow < p.OW; ++ow) {
      const int64_t at = (n * p.OH + oh) * p.OW + ow;
      max_cell(p, x, n, rows, cells_of(ow, p.stride_w, p.left, p.kernel_w, p.W_), floats_out(y) + at * y.pitch,
               static_cast<int32_t*>(index.data) + at * index.pitch);
    }
  });
}

void run_max_grad(const KernelCall* call) {
  const Window& p = *params_of<Window>(call);
  const View &dy = call->in[0], &index = call->in[1], &dx = call->out[0];
  for_image_rows(call, p.N, p.H, p.W_ * p.C * 4, [&](int64_t n, int64_t h) {
    const Range rows = outputs_of(h, p.stride_h, p.top, p.kernel_h, p.OH);
    for (int64_t w = 0; w < p.W_; ++w) {
      const Range cols = outputs_of(w, p.stride_w, p.left, p.kernel_w, p.OW);
      const vi here = set1i((int32_t)(h * p.W_ + w));
      float* to = floats_out(dx) + ((n * p.H + h) * p.W_ + w) * dx.pitch;
      for (int64_t c = 0; c < p.C; c += W) {
        const int lanes = (int)min64(W, p.C - c);
        vf sum = {};
        for (int64_t oh = rows.begin; oh < rows.end; ++oh)
          for (int64_t ow = cols.begin; ow < cols.end; ++ow) {
            const int64_t at = (n * p.OH + oh) * p.OW + ow;
            const vf grad = load_lanes(floats(dy) + at * dy.pitch + c, lanes);
            sum += select(load_index(ints(index) + at * index.pitch + c, lanes) == here, grad, vf{});
          }
        store_lanes(to + c, sum, lanes);
      }
    }
  });
}

inline float share_of(Range rows, Range cols) {
  const int64_t cells = max64(0, rows.end - rows.begin) * max64(0, cols.end - cols.begin);
  return cells > 0 ? 1.0f / (float)cells : 0.0f;
}

// Sums a window over G vectors of channels from c on: rows, then columns, so that memory is read as it lies.
template <int G>
inline void average_cell(const View& x, int64_t first_pixel, int64_t row_pixels, Range rows, Range cols, int64_t c,
                         int lanes, float share, float* to) {
  vf sum[G] = {};
  for (int64_t h = rows.begin; h < rows.end; ++h) {
    const float* from = floats(x) + (first_pixel + h * row_pixels + cols.begin) * x.pitch + c;
    for (int64_t w = cols.begin; w < cols.end; ++w, from += x.pitch)
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g) sum[g] += load_lanes(from + g * W, G > 1 ? W : lanes);
  }
  for (int g = 0; g < G; ++g) store_lanes(to + c + g * W, sum[g] * share, G > 1 ? W : lanes);
}

void run_average(const KernelCall* call) {
  const Window& p = *params_of<Window>(call);
  const View &x = call->in[0], &y = call->out[0];
  for_image_rows(call, p.N, p.OH, p.OW * p.C * p.kernel_h * p.kernel_w, [&](int64_t n, int64_t oh) {
    const Range rows = cells_of(oh, p.stride_h, p.top, p.kernel_h, p.H);
    for (int64_t ow = 0; ow < p.OW; ++ow) {
      const Range cols = cells_of(ow, p.stride_w, p.left, p.kernel_w, p.W_);
      const float share = share_of(rows, cols);
      float* to = floats_out(y) + ((n * p.OH + oh) * p.OW + ow) * y.pitch;
      const int64_t first = n * p.H * p.W_;
      int64_t c = 0;
      for (; c + 8 * W <= p.C; c += 8 * W) average_cell<8>(x, first, p.W_, rows, cols, c, W, share, to);
      for (; c < p.C; c += W) average_cell<1>(x, first, p.W_, rows, cols, c, (int)min64(W, p.C - c), share, to);
    }
  });
}

void run_average_grad(const KernelCall* call) {
  const Window& p = *params_of<Window>(call);
  const View &dy = call->in[0], &dx = call->out[0];
  for_image_rows(call, p.N, p.H, p.W_ * p.C * 2, [&](int64_t n, int64_t h) {
    const Range rows = outputs_of(h, p.stride_h, p.top, p.kernel_h, p.OH);
    for (int64_t w = 0; w < p.W_; ++w) {
      const Range cols = outputs_of(w, p.stride_w, p.left, p.kernel_w, p.OW);
      float* to = floats_out(dx) + ((n * p.H + h) * p.W_ + w) * dx.pitch;
      for (int64_t c = 0; c < p.C; c += W) {
        const int lanes = (int)min64(W, p.C - c);
        vf sum = {};
        for (int64_t oh = rows.begin; oh < rows.end; ++oh)
          for (int64_t ow = cols.begin; ow < cols.end; ++ow) {
            const float share = share_of(cells_of(oh, p.stride_h, p.top, p.kernel_h, p.H),
                                         cells_of(ow, p.stride_w, p.left, p.kernel_w, p.W_));
            sum = fma(load_lanes(floats(dy) + ((n * p.OH + oh) * p.OW + ow) * dy.pitch + c, lanes), set1(share), sum);
          }
        store_lanes(to + c, sum, lanes);
      }
    }
  });
}

const Kernel kernels[] = {
    {"maxPool", prepare_forward, run_max},
    {"maxPoolGrad", prepare_gradient, run_max_grad},
    {"avgPool", prepare_forward, run_average},
    {"avgPoolGrad", prepare_gradient, run_average_grad},
};

}  // namespace

extern const KernelList kPoolKernels;
const KernelList kPoolKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
