// Depthwise convolution: forward, gradient by the input, gradient by the filter. Called by conv2d.cpp alone (the
// names in the list are for plan.describe(); no graph has them). Rows come staged from staged_rows.h.
// The gradient by the input is the same correlation on dy, its pixels spread by the stride, with the filter turned.
// The rule easy to break: chunks and the order of every sum are functions of the shape, never of W or of the threads.
#include "cpu/kernels/depthwise_slide.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- forward and gradient by the input

// dx as a correlation of dy, whose pixels lie `stride` apart, with the turned filter.
Window input_gradient_window(const ConvShape& s) {
  Window w = {};
  w.batch = s.batch, w.image_h = s.oh, w.image_w = s.ow, w.out_h = s.h, w.out_w = s.w;
  w.spread_h = s.stride_h, w.spread_w = s.stride_w;
  w.kh = s.kh, w.kw = s.kw, w.stride_h = w.stride_w = 1;
  w.top = s.dilation_h * (s.kh - 1) - s.top, w.left = s.dilation_w * (s.kw - 1) - s.left;
  w.dilation_h = s.dilation_h, w.dilation_w = s.dilation_w;
  w.channels = s.groups * s.o, w.multiplier = 1;
  lay_out(&w, Layout::best);
  return w;
}

struct DepthwiseParams {
  ConvParams conv;
  Window window;
  int64_t fold;              // output channels of the correlation added into one of the result
  int64_t bands, band_rows;  // pieces of one image
  int64_t slots, slot_floats;
  int64_t table_floats;
};

// A row of outputs: of y before it is folded, or of dy staged.
int64_t out_row_floats(const Window& w) { return round_up(w.out_w * (w.flat ? w.channels : w.lanes), 16) + 16; }

void correlate_prepare(KernelCall* call, const Window& window, int64_t fold) {
  DepthwiseParams* params = params_of<DepthwiseParams>(call);
  Window& w = params->window = window;
  params->fold = fold;
  const int64_t bands = min64(ceil_div(kMaxSlots, w.batch), max64(1, w.out_h / 8));
  params->band_rows = ceil_div(w.out_h, bands);
  params->bands = ceil_div(w.out_h, params->band_rows);
  params->slots = min64(kMaxSlots, w.batch * params->bands);
  params->slot_floats = ring_floats(w) + out_row_floats(w);
  params->table_floats = (w.kh * w.kw + 3) * w.lanes;
  call->workspace_bytes = 4 * (params->table_floats + params->slots * params->slot_floats);
  call->variant = w.flat ? "depthwiseFlat" : "depthwise";
}

void correlate_image_rows(const KernelCall* call, const DepthwiseParams& params, const Prologue& prologue,
                          const float* filter, int64_t band, const Ring& ring, float* out_row) {
  const Window& w = params.window;
  const View& y = call->out[0];
  const RowFunction function = row_function(w);
  const bool direct = params.fold == 1 && (!w.flat || y.pitch == w.channels);
  const int64_t n = band / params.bands, begin = band % params.bands * params.band_rows;
  const int64_t end = min64(w.out_h, begin + params.band_rows);
  if (slides(w) && direct) {
    float* const out = floats_out(y) + (n * w.out_h + begin) * w.out_w * y.pitch;
    return slide_image_rows({&w, &prologue, &call->in[0], n, begin, filter, out, y.pitch, false}, end - begin);
  }
  empty_ring(w, ring);
  for (int64_t oh = begin; oh < end; ++oh) {
    OutputRow row = {&w, ring.found, ring.taps, 0, filter, out_row, w.lanes, rows_ahead(w, call->in[0], n, oh), true};
    row.count = find_rows(w, prologue, call->in[0], n, oh, ring);
    float* dst = static_cast<float*>(y.data) + (n * w.out_h + oh) * w.out_w * y.pitch;
    if (direct) row.out = dst, row.out_step = w.flat ? w.lanes : y.pitch;
    function(row);
    if (direct) continue;
    for (int64_t i = 0; i < w.out_w; ++i, dst += y.pitch) {
      const float* src = out_row + i * (w.flat ? w.channels : w.lanes);
      for (int64_t c = 0; c < y.cols; ++c, src += params.fold) {
        float sum = src[0];
        for (int64_t f = 1; f < params.fold; ++f) sum += src[f];
        dst[c] = sum;
      }
    }
  }
}

void correlate_run(const KernelCall* call, bool turned) {
  const DepthwiseParams& params = *params_of<DepthwiseParams>(call);
  const Window& w = params.window;
  float* const filter = static_cast<float*>(call->workspace);
  const Prologue prologue = make_prologue(call, w, filter + w.kh * w.kw * w.lanes);
  spread_filter(w, call->in[1], turned, filter);
  const int64_t pieces = w.batch * params.bands;
  parallel_for(call->parallel, params.slots, [&](int64_t slot) {
    float* const mine = filter + params.table_floats + slot * params.slot_floats;
    const Ring ring = make_ring(w, mine);
    for (int64_t i = slot * pieces / params.slots; i < (slot + 1) * pieces / params.slots; ++i)
      correlate_image_rows(call, params, prologue, filter, i, ring, mine + ring_floats(w));
  });
}

// ---------------------------------------------------------------- gradient by the filter

struct FilterGradParams {
  ConvParams conv;
  Window window;
  int64_t chunks, chunk_rows;  // output rows, all images counted through
  int64_t slot_floats, sum_floats, dy_floats, table_floats;
};

// sums (a table) += sum over the row's outputs of dy * x, for R staged rows and KW taps beginning at tap q. S as in
// add_taps.
template <int S, int R, int KW>
void grad_row(const Window& w, const float* const* rows, const int64_t* taps, int64_t q, const float* dy,
              const Ahead& x_ahead, const Ahead& dy_ahead, float* sums) {
  const int64_t pixel_step = S > 0 ? S * 16 : w.pixel_step, tap_step = S > 0 ? 16 : w.tap_step;
  const int64_t dy_step = S > 0 ? 16 : w.flat ? w.lanes : 16;
  for (int64_t c0 = 0; c0 < w.lanes && (w.flat || c0 < w.channels); c0 += W) {
    const float* x[R];
    vf sum[R][KW];
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
      x[r] = rows[r] + lane_offset(w, w.columns, c0) + q * tap_step;
#pragma GCC unroll 3
      for (int t = 0; t < KW; ++t) sum[r][t] = vf{};
    }
    const float* d = dy + lane_offset(w, w.out_w, c0);
    const int64_t pixels = pixels_of_block(w, c0);
    for (int64_t p = 0; p < pixels; ++p, d += dy_step) {
      if (p % 8 == 0 && c0 % 16 == 0) {
        fetch_ahead(x_ahead, p * w.stride_w, min64(pixels, p + 8) * w.stride_w, c0);
        fetch_ahead(dy_ahead, p, min64(pixels, p + 8), c0);
      }
      const vf gradient = load(d);
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
        for (int t = 0; t < KW; ++t) sum[r][t] = fma(gradient, load(x[r] + t * tap_step), sum[r][t]);
        x[r] += pixel_step;
      }
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
      for (int t = 0; t < KW; ++t) {
        float* total = sums + table_offset(w, c0) + (taps[r] * w.kw + q + t) * 16;
        store(total, load(total) + sum[r][t]);
      }
  }
}

// The staged rows in threes; only the first pass over the row fetches ahead.
template <int S, int KW>
void grad_rows(const Window& w, const Ring& ring, int64_t count, int64_t q, const float* dy, Ahead* x_ahead,
               Ahead* dy_ahead, float* sums) {
  for (int64_t r = 0; r < count; r += 3) {
    const float* const* rows = ring.found + r;
    const int64_t* taps = ring.taps + r;
    if (count - r >= 3) grad_row<S, 3, KW>(w, rows, taps, q, dy, *x_ahead, *dy_ahead, sums);
    if (count - r == 2) grad_row<S, 2, KW>(w, rows, taps, q, dy, *x_ahead, *dy_ahead, sums);
    if (count - r == 1) grad_row<S, 1, KW>(w, rows, taps, q, dy, *x_ahead, *dy_ahead, sums);
    x_ahead->rows = dy_ahead->rows = 0;
  }
}

void add_row_gradient(const Window& w, const Ring& ring, int64_t count, const float* dy, Ahead x_ahead, Ahead dy_ahead,
                      float* sums) {
  const bool neighbours = w.kw == 3 && w.tap_step == 16;
  if (neighbours && w.pixel_step == 16) return grad_rows<1, 3>(w, ring, count, 0, dy, &x_ahead, &dy_ahead, sums);
  if (neighbours && w.pixel_step == 32) return grad_rows<2, 3>(w, ring, count, 0, dy, &x_ahead, &dy_ahead, sums);
  int64_t q = 0;
  for (; w.kw - q >= 3; q += 3) grad_rows<0, 3>(w, ring, count, q, dy, &x_ahead, &dy_ahead, sums);
  for (; q < w.kw; ++q) grad_rows<0, 1>(w, ring, count, q, dy, &x_ahead, &dy_ahead, sums);
}

void grad_chunk(const KernelCall* call, const FilterGradParams& params, const Prologue& prologue, int64_t chunk,
                float* memory) {
  const Window& w = params.window;
  const View& dy = call->in[1];
  float* const sums = memory;
  float* const dy_row = sums + params.sum_floats;
  const Ring ring = make_ring(w, dy_row + params.dy_floats);
  zero_floats(sums, params.sum_floats);
  zero_floats(dy_row, params.dy_floats);
  Window dy_window = w;  // dy has its channels already
  dy_window.multiplier = 1;
  const int64_t end = min64(w.batch * w.out_h, (chunk + 1) * params.chunk_rows);
  int64_t image = -1;
  for (int64_t row = chunk * params.chunk_rows; row < end; ++row) {
    const int64_t n = row / w.out_h, oh = row % w.out_h;
    if (n != image) empty_ring(w, ring);
    image = n;
    const int64_t count = find_rows(w, prologue, call->in[0], n, oh, ring);
    const float* src = static_cast<const float*>(dy.data) + row * w.out_w * dy.pitch;
    copy_columns(dy_window, dy_row, w.out_w, 1, src, dy.pitch, w.out_w);
    const bool dense = !w.flat || dy.pitch == w.channels;
    const Ahead dy_ahead = {src + w.out_w * dy.pitch, dense ? 1 : 0, 0, w.flat ? w.lanes : dy.pitch};
    add_row_gradient(w, ring, count, dy_row, rows_ahead(w, call->in[0], n, oh), dy_ahead, sums);
  }
}

void forward_prepare(KernelCall* call) {
  correlate_prepare(call, forward_window(params_of<ConvParams>(call)->shape), 1);
}
void forward_run(const KernelCall* call) { correlate_run(call, false); }

void grad_input_prepare(KernelCall* call) {
  const ConvShape& s = params_of<ConvParams>(call)->shape;
  correlate_prepare(call, input_gradient_window(s), s.o);
}
void grad_input_run(const KernelCall* call) { correlate_run(call, true); }

void grad_filter_prepare(KernelCall* call) {
  FilterGradParams* params = params_of<FilterGradParams>(call);
  Window& w = params->window = forward_window(params->conv.shape);
  const int64_t rows = w.batch * w.out_h;
  params->chunk_rows = ceil_div(rows, min64(kMaxChunks, max64(1, rows / 8)));
  params->chunks = ceil_div(rows, params->chunk_rows);
  params->sum_floats = w.kh * w.kw * w.lanes;
  params->dy_floats = out_row_floats(w);
  params->slot_floats = params->sum_floats + params->dy_floats + ring_floats(w);
  params->table_floats = 3 * w.lanes;
  call->workspace_bytes = 4 * (params->table_floats + params->chunks * params->slot_floats);
  call->variant = w.flat ? "depthwiseFlat" : "depthwise";
}

void grad_filter_run(const KernelCall* call) {
  const FilterGradParams& params = *params_of<FilterGradParams>(call);
  const Window& w = params.window;
  float* const tables = static_cast<float*>(call->workspace);
  float* const memory = tables + params.table_floats;
  const Prologue prologue = make_prologue(call, w, tables);
  parallel_for(call->parallel, params.chunks,
               [&](int64_t chunk) { grad_chunk(call, params, prologue, chunk, memory + chunk * params.slot_floats); });
  sum_chunks(memory, memory, params.slot_floats, params.chunks, params.sum_floats);
  const View& dw = call->out[0];
  for (int64_t tap = 0; tap < w.kh * w.kw; ++tap) {
    for (int64_t c = 0; c < w.channels; ++c) {
      const float* total = memory + tap * 16;
      float sum = total[table_offset(w, c)];
      for (int64_t lane = c + w.channels; w.flat && lane < w.lanes; lane += w.channels)
        sum += total[table_offset(w, lane)];
      static_cast<float*>(dw.data)[tap * dw.pitch + c] = sum;
    }
  }
}

constexpr Kernel kKernels[] = {{"depthwise", forward_prepare, forward_run},
                               {"depthwiseGradInput", grad_input_prepare, grad_input_run},
                               {"depthwiseGradFilter", grad_filter_prepare, grad_filter_run}};

}  // namespace

const KernelList kDepthwiseKernels = {kKernels, 3};

}  // namespace gramian::cpu::GRAMIAN_ISA
