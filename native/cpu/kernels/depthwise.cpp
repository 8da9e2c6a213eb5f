// Depthwise convolution: forward, gradient by the input, gradient by the filter. Called by conv2d.cpp alone (the
// names in the list are for plan.describe(); no graph has them).
// Every image row is first staged into a ring of padded rows (zero border, pitch dropped, the fused batchNorm and
// activation applied once), so the inner loops have no borders. The gradient by the input is the same correlation on
// dy, its pixels spread by the stride, with the filter turned round.
// The rule easy to break: the layout (Window::lanes) and the chunks are functions of the shape with a vector of 16 in
// mind, whatever W is, so that every ISA adds in the same order.
#include "cpu/kernels/conv2d.h"
#include "cpu/kernels/gemm.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- the window

// One correlation. A staged row is a run of columns; two layouts:
//   blocked: a column is `lanes` floats, the channels rounded up to 16;
//   flat (few channels, stride 1): a column is just its channels. Vectors cross columns, and `lanes` is the least
//   common multiple of channels and 16: every `lanes` floats the channels come round again.
struct Window {
  int64_t batch, image_h, image_w;  // the source as it lies
  int64_t spread_h, spread_w;       // its pixels are taken to lie this far apart, with zeros between
  int64_t out_h, out_w, kh, kw, stride_h, stride_w, top, left, dilation_h, dilation_w;
  int64_t channels, multiplier;  // channels after staging; source channels = channels / multiplier
  bool flat;
  int64_t lanes, column_floats;  // floats of one staged column
  int64_t pixel_step, tap_step;  // in a staged row: between the vectors of two outputs, of two taps
  int64_t columns, row_floats, ring_rows;
};

int64_t least_common_multiple_16(int64_t n) {
  int64_t common = 16;
  while (n % common != 0) common /= 2;
  return n * 16 / common;
}

// Fills the derived half of the window.
void lay_out(Window* w) {
  const int64_t rounded = round_up(w->channels, 16);
  w->flat = w->stride_w == 1 && w->channels <= 40 && w->channels * 5 < rounded * 4;
  w->lanes = w->flat ? least_common_multiple_16(w->channels) : rounded;
  w->column_floats = w->flat ? w->channels : rounded;
  w->pixel_step = w->flat ? w->lanes : w->stride_w * w->lanes;
  w->tap_step = w->dilation_w * w->column_floats;
  w->columns = (w->out_w - 1) * w->stride_w + (w->kw - 1) * w->dilation_w + 1;
  w->row_floats = round_up(w->columns * w->column_floats, 16) + 16;
  w->ring_rows = (w->kh - 1) * w->dilation_h + 1;
}

Window forward_window(const ConvShape& s) {
  Window w = {};
  w.batch = s.batch, w.image_h = s.h, w.image_w = s.w, w.out_h = s.oh, w.out_w = s.ow;
  w.spread_h = w.spread_w = 1;
  w.kh = s.kh, w.kw = s.kw, w.stride_h = s.stride_h, w.stride_w = s.stride_w, w.top = s.top, w.left = s.left;
  w.dilation_h = s.dilation_h, w.dilation_w = s.dilation_w;
  w.channels = s.groups * s.o, w.multiplier = s.o;
  lay_out(&w);
  return w;
}

// dx as a correlation of dy, whose pixels lie `stride` apart, with the turned filter.
Window input_gradient_window(const ConvShape& s) {
  Window w = {};
  w.batch = s.batch, w.image_h = s.oh, w.image_w = s.ow, w.out_h = s.h, w.out_w = s.w;
  w.spread_h = s.stride_h, w.spread_w = s.stride_w;
  w.kh = s.kh, w.kw = s.kw, w.stride_h = w.stride_w = 1;
  w.top = s.dilation_h * (s.kh - 1) - s.top, w.left = s.dilation_w * (s.kw - 1) - s.left;
  w.dilation_h = s.dilation_h, w.dilation_w = s.dilation_w;
  w.channels = s.groups * s.o, w.multiplier = 1;
  lay_out(&w);
  return w;
}

// Outputs of one row whose vector of lanes [c0, c0 + W) holds anything.
int64_t pixels_of_block(const Window& w, int64_t c0) {
  return w.flat ? ceil_div(max64(0, w.out_w * w.channels - c0), w.lanes) : w.out_w;
}

// Lanes worth storing of that vector for output p.
int lanes_left(const Window& w, int64_t p, int64_t c0) {
  return (int)min64(W, w.flat ? w.out_w * w.channels - p * w.lanes - c0 : w.channels - c0);
}

// ---------------------------------------------------------------- the fused batchNorm and activation

enum class Act : int32_t { none, relu, leakyRelu, elu, tanh, sigmoid };

struct Prologue {
  bool present;
  Act act;
  float alpha;
  const float *mean, *scale, *beta;  // tables of `lanes`
};

Act act_of(const char* name) {
  if (strcmp(name, "relu") == 0) return Act::relu;
  if (strcmp(name, "leakyRelu") == 0) return Act::leakyRelu;
  if (strcmp(name, "elu") == 0) return Act::elu;
  if (strcmp(name, "tanh") == 0) return Act::tanh;
  if (strcmp(name, "sigmoid") == 0) return Act::sigmoid;
  return Act::none;
}

// Reads inputs 2..5 (mean, variance, gamma, beta) into three tables at `tables`, when the call is a fused one.
Prologue make_prologue(const KernelCall* call, const Window& w, float* tables) {
  Prologue p = {};
  p.present = call->in_count == 6;
  if (!p.present) return p;
  p.act = act_of(attr_string(call, "bnActivation", "none"));
  p.alpha = (float)attr(call, "bnAlpha");
  const float eps = (float)attr(call, "bnEps");
  const float* in[4];
  for (int i = 0; i < 4; ++i) in[i] = static_cast<const float*>(call->in[2 + i].data);
  for (int64_t lane = 0; lane < w.lanes; ++lane) {
    const int64_t channel = lane % w.channels / w.multiplier;
    const bool used = w.flat || lane < w.channels;
    tables[lane] = used ? in[0][channel] : 0;
    tables[w.lanes + lane] = used ? in[2][channel] / __builtin_sqrtf(in[1][channel] + eps) : 0;
    tables[2 * w.lanes + lane] = used ? in[3][channel] : 0;
  }
  p.mean = tables, p.scale = tables + w.lanes, p.beta = tables + 2 * w.lanes;
  return p;
}

template <class Activation>
void normalize_run(const Prologue& p, int64_t lanes, float* row, int64_t count, const Activation& activation) {
  for (int64_t begin = 0; begin < count; begin += lanes) {
    const int64_t n = min64(lanes, count - begin);
    for (int64_t i = 0; i < n; i += W) {
      const vf centred = load(row + begin + i) - load(p.mean + i);
      store(row + begin + i, activation(fma(centred, load(p.scale + i), load(p.beta + i))));
    }
  }
}

// In place on `count` staged floats beginning at channel 0; may touch up to W - 1 floats more.
void normalize(const Prologue& p, int64_t lanes, float* row, int64_t count) {
  const vf alpha = set1(p.alpha);
  switch (p.act) {
    case Act::none:
      return normalize_run(p, lanes, row, count, [](vf x) { return x; });
    case Act::relu:
      return normalize_run(p, lanes, row, count, [](vf x) { return vmax(x, vf{}); });
    case Act::leakyRelu:
      return normalize_run(p, lanes, row, count, [=](vf x) { return select(x > 0.0f, x, alpha * x); });
    case Act::elu:
      return normalize_run(p, lanes, row, count, [=](vf x) { return select(x > 0.0f, x, alpha * vexpm1(x)); });
    case Act::tanh:
      return normalize_run(p, lanes, row, count, [](vf x) { return vtanh(x); });
    case Act::sigmoid:
      return normalize_run(p, lanes, row, count, [](vf x) { return vsigmoid(x); });
  }
}

// ---------------------------------------------------------------- staging

// Columns of an image row (`src`, its pixels `pitch` apart), beginning at pixel `first`, one every `step` floats.
void copy_columns(const Window& w, float* dst, int64_t step, const float* src, int64_t pitch, int64_t count) {
  if (w.multiplier == 1 && step == w.channels && pitch == w.channels) return copy_floats(dst, src, count * step);
  for (int64_t i = 0; i < count; ++i, dst += step, src += pitch) {
    if (w.multiplier == 1) {
      copy_floats(dst, src, w.channels);
    } else {
      for (int64_t c = 0; c < w.channels; ++c) dst[c] = src[c / w.multiplier];
    }
  }
}

// Row `y` of image n (counted with the spread) with its zero border, normalised; rows of zeros are never asked for.
void stage_row(const Window& w, const Prologue& prologue, const View& image, int64_t n, int64_t y, float* dst) {
  const int64_t span = (w.image_w - 1) * w.spread_w + 1;
  const int64_t first = max64(0, -w.left), last = min64(span, w.columns - w.left);
  if (last <= first) return zero_floats(dst, w.row_floats);
  const float* src = static_cast<const float*>(image.data) + (n * w.image_h + y / w.spread_h) * w.image_w * image.pitch;
  float* inside = dst + (first + w.left) * w.column_floats;
  if (w.spread_w == 1) {
    copy_columns(w, inside, w.column_floats, src + first * image.pitch, image.pitch, last - first);
  } else {
    zero_floats(inside, (last - first) * w.column_floats);
    const int64_t pixel = ceil_div(first, w.spread_w), end = ceil_div(last, w.spread_w);
    copy_columns(w, inside + (pixel * w.spread_w - first) * w.column_floats, w.spread_w * w.column_floats,
                 src + pixel * image.pitch, image.pitch, end - pixel);
  }
  float* const behind = dst + (last + w.left) * w.column_floats;
  if (prologue.present) normalize(prologue, w.lanes, inside, behind - inside);
  zero_floats(dst, inside - dst);
  zero_floats(behind, dst + w.row_floats - behind);
}

// The last rows staged, and where the taps of one output row find theirs.
struct Ring {
  float* rows;          // [ring_rows][row_floats]
  int64_t* held;        // [ring_rows] the image row in each place, -1 for none
  const float** found;  // [kh]
  int64_t* taps;        // [kh] which p each found row belongs to
};

int64_t ring_floats(const Window& w) { return w.ring_rows * w.row_floats + round_up(2 * w.ring_rows + 4 * w.kh, 16); }

Ring make_ring(const Window& w, float* memory) {
  Ring ring;
  ring.rows = memory;
  ring.held = reinterpret_cast<int64_t*>(memory + w.ring_rows * w.row_floats);
  ring.found = reinterpret_cast<const float**>(ring.held + w.ring_rows);
  ring.taps = reinterpret_cast<int64_t*>(ring.found + w.kh);
  if (w.column_floats > w.channels) zero_floats(ring.rows, w.ring_rows * w.row_floats);  // lanes nobody writes
  return ring;
}
void empty_ring(const Window& w, const Ring& ring) {
  for (int64_t i = 0; i < w.ring_rows; ++i) ring.held[i] = -1;
}

// Stages what output row `oh` of image n needs; returns how many of its window's rows lie in the image.
int64_t find_rows(const Window& w, const Prologue& prologue, const View& image, int64_t n, int64_t oh,
                  const Ring& ring) {
  const int64_t span = (w.image_h - 1) * w.spread_h + 1;
  int64_t count = 0;
  for (int64_t p = 0; p < w.kh; ++p) {
    const int64_t y = oh * w.stride_h - w.top + p * w.dilation_h;
    if (y < 0 || y >= span || y % w.spread_h != 0) continue;
    const int64_t place = y % w.ring_rows;
    float* row = ring.rows + place * w.row_floats;
    if (ring.held[place] != y) stage_row(w, prologue, image, n, y, row);
    ring.held[place] = y;
    ring.found[count] = row;
    ring.taps[count++] = p;
  }
  return count;
}

// ---------------------------------------------------------------- one output row

#if defined(__AVX512F__)
constexpr int kTile = 8;
#else
constexpr int kTile = 4;
#endif

struct OutputRow {
  const Window* window;
  const float* const* rows;  // [count] staged rows
  const int64_t* taps;       // [count]
  int64_t count;
  const float* filter;  // [kh * kw][lanes]
  float* out;
  int64_t out_step;
};

// T outputs of one vector of lanes. KW taps a row (0: any); outputs lie S taps apart (0: unrelated), so that S > 0
// loads each column once for all the taps that see it.
template <int KW, int S, int T>
void forward_tile(const OutputRow& row, int64_t p, int64_t c0) {
  const Window& w = *row.window;
  vf sum[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) sum[t] = vf{};
  for (int64_t r = 0; r < row.count; ++r) {
    const float* x = row.rows[r] + p * w.pixel_step + c0;
    const float* filter = row.filter + row.taps[r] * w.kw * w.lanes + c0;
    if constexpr (S > 0) {
      constexpr int kColumns = (T - 1) * S + KW;
      vf column[kColumns];
#pragma GCC unroll 32
      for (int i = 0; i < kColumns; ++i) column[i] = load(x + i * w.tap_step);
#pragma GCC unroll 8
      for (int q = 0; q < KW; ++q) {
        const vf weight = load(filter + q * w.lanes);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) sum[t] = fma(weight, column[t * S + q], sum[t]);
      }
    } else {
      const int64_t kw = KW > 0 ? KW : w.kw;
      for (int64_t q = 0; q < kw; ++q) {
        const vf weight = load(filter + q * w.lanes);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) sum[t] = fma(weight, load(x + q * w.tap_step + t * w.pixel_step), sum[t]);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    float* out = row.out + (p + t) * row.out_step + c0;
    const int lanes = lanes_left(w, p + t, c0);
    if (lanes == W) {
      store(out, sum[t]);
    } else {
      store_lanes(out, sum[t], lanes);
    }
  }
}

template <int KW, int S, int T>
void forward_rest(const OutputRow& row, int64_t p, int64_t end, int64_t c0) {
  if constexpr (T > 0) {
    if (end - p >= T) {
      forward_tile<KW, S, T>(row, p, c0);
      p += T;
    }
    forward_rest<KW, S, T / 2>(row, p, end, c0);
  }
}

// Columns outside, lanes inside: a tile of columns is read whole while it is in the first cache.
template <int KW, int S>
void forward_row(const OutputRow& row) {
  const Window& w = *row.window;
  const int64_t pixels = pixels_of_block(w, 0);
  for (int64_t p = 0; p < pixels; p += kTile) {
    for (int64_t c0 = 0; c0 < w.lanes && (w.flat || c0 < w.channels); c0 += W) {
      const int64_t end = min64(p + kTile, pixels_of_block(w, c0));
      if (end - p == kTile) {
        forward_tile<KW, S, kTile>(row, p, c0);
      } else {
        forward_rest<KW, S, kTile / 2>(row, p, end, c0);
      }
    }
  }
}

using RowFunction = void (*)(const OutputRow&);
RowFunction row_function(const Window& w) {
  if (w.kw == 3 && w.pixel_step == w.tap_step) return forward_row<3, 1>;
  if (w.kw == 3 && w.pixel_step == 2 * w.tap_step) return forward_row<3, 2>;
  if (w.kw == 3) return forward_row<3, 0>;
  return forward_row<0, 0>;
}

// ---------------------------------------------------------------- forward and gradient by the input

struct DepthwiseParams {
  Window window;
  int64_t fold;              // output channels of the correlation added into one of the result
  int64_t bands, band_rows;  // pieces of one image
  int64_t slots, slot_floats;
  int64_t table_floats;
};

int64_t out_row_floats(const Window& w) { return round_up(w.out_w * w.column_floats, 16) + 16; }

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

// The filter [kh*kw, channels] repeated over the lanes; turned round for the gradient by the input.
void spread_filter(const Window& w, const View& filter, bool turned, float* table) {
  const int64_t taps = w.kh * w.kw;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const float* src = static_cast<const float*>(filter.data) + (turned ? taps - 1 - tap : tap) * filter.pitch;
    for (int64_t lane = 0; lane < w.lanes; ++lane)
      table[tap * w.lanes + lane] = w.flat || lane < w.channels ? src[lane % w.channels] : 0;
  }
}

void correlate_image_rows(const KernelCall* call, const DepthwiseParams& params, const Prologue& prologue,
                          const float* filter, int64_t band, const Ring& ring, float* out_row) {
  const Window& w = params.window;
  const View& y = call->out[0];
  const RowFunction function = row_function(w);
  const bool direct = params.fold == 1 && (!w.flat || y.pitch == w.channels);
  const int64_t n = band / params.bands, begin = band % params.bands * params.band_rows;
  empty_ring(w, ring);
  for (int64_t oh = begin; oh < min64(w.out_h, begin + params.band_rows); ++oh) {
    OutputRow row = {&w, ring.found, ring.taps, 0, filter, out_row, w.lanes};
    row.count = find_rows(w, prologue, call->in[0], n, oh, ring);
    float* dst = static_cast<float*>(y.data) + (n * w.out_h + oh) * w.out_w * y.pitch;
    if (direct) row.out = dst, row.out_step = w.flat ? w.lanes : y.pitch;
    function(row);
    if (direct) continue;
    for (int64_t i = 0; i < w.out_w; ++i, dst += y.pitch) {
      const float* src = out_row + i * w.column_floats;
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
  Window window;
  int64_t chunks, chunk_rows;  // output rows, all images counted through
  int64_t slot_floats, sum_floats, dy_floats, table_floats;
};

// sums[tap][lanes] += sum over the row's outputs of dy * x, for R staged rows and KW taps beginning at tap q.
template <int R, int KW>
void grad_row(const Window& w, const float* const* rows, const int64_t* taps, int64_t q, const float* dy, float* sums) {
  const float* x[R];
  for (int64_t c0 = 0; c0 < w.lanes && (w.flat || c0 < w.channels); c0 += W) {
    vf sum[R][KW];
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
      x[r] = rows[r] + q * w.tap_step + c0;
#pragma GCC unroll 3
      for (int t = 0; t < KW; ++t) sum[r][t] = vf{};
    }
    const int64_t pixels = pixels_of_block(w, c0);
    for (int64_t p = 0; p < pixels; ++p) {
      const vf d = load(dy + p * w.lanes + c0);
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
        for (int t = 0; t < KW; ++t) sum[r][t] = fma(d, load(x[r] + p * w.pixel_step + t * w.tap_step), sum[r][t]);
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
      for (int t = 0; t < KW; ++t) {
        float* total = sums + (taps[r] * w.kw + q + t) * w.lanes + c0;
        store(total, load(total) + sum[r][t]);
      }
  }
}

template <int KW>
void grad_rows(const Window& w, const Ring& ring, int64_t count, int64_t q, const float* dy, float* sums) {
  int64_t r = 0;
  for (; count - r >= 3; r += 3) grad_row<3, KW>(w, ring.found + r, ring.taps + r, q, dy, sums);
  if (count - r == 2) grad_row<2, KW>(w, ring.found + r, ring.taps + r, q, dy, sums);
  if (count - r == 1) grad_row<1, KW>(w, ring.found + r, ring.taps + r, q, dy, sums);
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
  const int64_t end = min64(w.batch * w.out_h, (chunk + 1) * params.chunk_rows);
  int64_t image = -1;
  for (int64_t row = chunk * params.chunk_rows; row < end; ++row) {
    const int64_t n = row / w.out_h, oh = row % w.out_h;
    if (n != image) empty_ring(w, ring);
    image = n;
    const int64_t count = find_rows(w, prologue, call->in[0], n, oh, ring);
    const float* src = static_cast<const float*>(dy.data) + row * w.out_w * dy.pitch;
    if (w.column_floats == w.channels && dy.pitch == w.channels) {
      copy_floats(dy_row, src, w.out_w * w.channels);
    } else {
      for (int64_t i = 0; i < w.out_w; ++i) copy_floats(dy_row + i * w.column_floats, src + i * dy.pitch, w.channels);
    }
    int64_t q = 0;
    for (; w.kw - q >= 3; q += 3) grad_rows<3>(w, ring, count, q, dy_row, sums);
    for (; q < w.kw; ++q) grad_rows<1>(w, ring, count, q, dy_row, sums);
  }
}

void forward_prepare(KernelCall* call) {
  correlate_prepare(call, forward_window(conv_shape(call, call->in[0], call->in[1], call->out[0])), 1);
}
void forward_run(const KernelCall* call) { correlate_run(call, false); }

void grad_input_prepare(KernelCall* call) {
  const ConvShape s = conv_shape(call, call->out[0], call->in[1], call->in[0]);
  correlate_prepare(call, input_gradient_window(s), s.o);
}
void grad_input_run(const KernelCall* call) { correlate_run(call, true); }

void grad_filter_prepare(KernelCall* call) {
  FilterGradParams* params = params_of<FilterGradParams>(call);
  Window& w = params->window = forward_window(conv_shape(call, call->in[0], call->out[0], call->in[1]));
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
      const float* total = memory + tap * w.lanes;
      float sum = total[c];
      for (int64_t lane = c + w.channels; w.flat && lane < w.lanes; lane += w.channels) sum += total[lane];
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
