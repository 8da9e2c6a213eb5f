// The rows of an image as depthwise.cpp reads them: staged into a ring of padded rows (zero border, pitch dropped, the
// fused batchNorm and activation applied once), so that the inner loops have no borders.
// The rule easy to break: the layout (Window::lanes) is a function of the shape with a vector of 16 in mind, whatever W
// is, so that every ISA adds in the same order.
#pragma once
#include "cpu/kernels/activation.h"
#include "cpu/kernels/conv2d.h"
#include "cpu/kernels/floats.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- the window

// One correlation. A staged row holds `columns` columns in one of two layouts:
//   blocked: [channels rounded up / 16][columns][16], so a block's columns are neighbours at constant distances;
//   flat (few channels, stride 1): [columns][channels]. Vectors cross columns, and `lanes` is the least common
//   multiple of channels and 16: every `lanes` floats the channels come round again.
// Per-lane tables (filter, its gradient) are [lanes / 16][taps][16] in both.
struct Window {
  int64_t batch, image_h, image_w;  // the source as it lies
  int64_t spread_h, spread_w;       // its pixels are taken to lie this far apart, with zeros between
  int64_t out_h, out_w, kh, kw, stride_h, stride_w, top, left, dilation_h, dilation_w;
  int64_t channels, multiplier;  // channels after staging; source channels = channels / multiplier
  bool flat;
  int64_t lanes;
  int64_t pixel_step, tap_step;  // in a staged row: between the vectors of two outputs, of two taps
  int64_t columns, row_floats, ring_rows;
};

int64_t least_common_multiple_16(int64_t n) {
  int64_t common = 16;
  while (n % common != 0) common /= 2;
  return n * 16 / common;
}

enum class Layout { best, blocked };

// Fills the derived half of the window.
void lay_out(Window* w, Layout layout) {
  const int64_t rounded = round_up(w->channels, 16);
  w->flat = layout == Layout::best && w->stride_w == 1 && w->channels <= 40 && w->channels * 5 < rounded * 4;
  w->lanes = w->flat ? least_common_multiple_16(w->channels) : rounded;
  w->pixel_step = w->flat ? w->lanes : w->stride_w * 16;
  w->tap_step = w->dilation_w * (w->flat ? w->channels : 16);
  w->columns = (w->out_w - 1) * w->stride_w + (w->kw - 1) * w->dilation_w + 1;
  w->row_floats = round_up(w->columns * (w->flat ? w->channels : rounded), 16) + 16;
  w->ring_rows = (w->kh - 1) * w->dilation_h + 1;
}

// Where lane c0 of column 0 lies in a row of `columns` columns, staged or to be.
int64_t lane_offset(const Window& w, int64_t columns, int64_t c0) {
  return w.flat ? c0 : c0 / 16 * columns * 16 + c0 % 16;
}
// Where lane c0 of tap 0 lies in a table.
int64_t table_offset(const Window& w, int64_t c0) { return c0 / 16 * w.kh * w.kw * 16 + c0 % 16; }

[[maybe_unused]] Window forward_window(const ConvShape& s, Layout layout = Layout::best) {
  Window w = {};
  w.batch = s.batch, w.image_h = s.h, w.image_w = s.w, w.out_h = s.oh, w.out_w = s.ow;
  w.spread_h = w.spread_w = 1;
  w.kh = s.kh, w.kw = s.kw, w.stride_h = s.stride_h, w.stride_w = s.stride_w, w.top = s.top, w.left = s.left;
  w.dilation_h = s.dilation_h, w.dilation_w = s.dilation_w;
  w.channels = s.groups * s.o, w.multiplier = s.o;
  lay_out(&w, layout);
  return w;
}

// Outputs of one row whose vector of lanes [c0, c0 + W) holds anything.
[[maybe_unused]] int64_t pixels_of_block(const Window& w, int64_t c0) {
  return w.flat ? ceil_div(max64(0, w.out_w * w.channels - c0), w.lanes) : w.out_w;
}

// Lanes worth storing of that vector for output p.
[[maybe_unused]] int lanes_left(const Window& w, int64_t p, int64_t c0) {
  return (int)min64(W, w.flat ? w.out_w * w.channels - p * w.lanes - c0 : w.channels - c0);
}

// ---------------------------------------------------------------- the fused batchNorm and activation

struct Prologue {
  const char* activation;  // null: no prologue
  float alpha;
  const float *mean, *scale, *beta;  // tables of `lanes`
  bool alone;                        // the activation: the tables change nothing
};

// An activation folded in alone: (x - 0) * 1 + -0 is x to the last bit.
Prologue activation_prologue(const KernelCall* call, const Window& w, float* tables) {
  Prologue p = {attr_string(call, "inActivation", "none"),
                (float)attr(call, "inAlpha"),
                tables,
                tables + w.lanes,
                tables + 2 * w.lanes,
                true};
  for (int64_t lane = 0; lane < w.lanes; ++lane)
    tables[lane] = 0, tables[w.lanes + lane] = 1, tables[2 * w.lanes + lane] = -0.0f;
  return p;
}

// Reads inputs first .. first+3 (mean, variance, gamma, beta) into three tables at `tables`, when a batchNorm is folded
// in.
Prologue make_prologue(const KernelCall* call, const Window& w, float* tables, int first = 2) {
  Prologue p = {};
  if (find_attr(call, "inActivation")) return activation_prologue(call, w, tables);
  if (!find_attr(call, "bnEps")) return p;
  p.activation = attr_string(call, "bnActivation", "none");
  p.alpha = (float)attr(call, "bnAlpha");
  const float eps = (float)attr(call, "bnEps");
  const float* in[4];
  for (int i = 0; i < 4; ++i) in[i] = static_cast<const float*>(call->in[first + i].data);
  for (int64_t lane = 0; lane < w.lanes; ++lane) {
    const int64_t channel = lane % w.channels / w.multiplier;
    const bool used = w.flat || lane < w.channels;
    tables[lane] = used ? in[0][channel] : 0;
    tables[w.lanes + lane] = used ? in[2][channel] * (1.0f / __builtin_sqrtf(in[1][channel] + eps)) : 0;
    tables[2 * w.lanes + lane] = used ? in[3][channel] : 0;
  }
  p.mean = tables, p.scale = tables + w.lanes, p.beta = tables + 2 * w.lanes;
  return p;
}

// In place on `columns` staged columns from `row` on; flat, it may touch up to W - 1 floats more. The tables come round
// every `lanes` floats in a flat row; a blocked row has its 16 lanes of them in each block.
void normalize(const Prologue& p, const Window& w, float* row, int64_t columns) {
  const int64_t step = w.flat ? w.lanes : 16, count = columns * (w.flat ? w.channels : 16);
  with_activation(p.activation, p.alpha, [&](auto activation) {
    for (int64_t block = 0; block < w.lanes; block += step, row += w.columns * 16) {
      for (int64_t lane = 0; lane < step; lane += W) {
        const vf mean = load(p.mean + block + lane), scale = load(p.scale + block + lane);
        const vf beta = load(p.beta + block + lane);
        for (int64_t i = lane; i < count; i += step)
          store(row + i, activation.value(fma(load(row + i) - mean, scale, beta)));
      }
    }
  });
}

// ---------------------------------------------------------------- staging

// `count` pixels (`pitch` apart at src) as columns `step` apart of a row of `columns` columns, at `dst`.
void copy_columns(const Window& w, float* dst, int64_t columns, int64_t step, const float* src, int64_t pitch,
                  int64_t count) {
  if (w.multiplier == 1 && w.flat && step == 1 && pitch == w.channels) return copy_floats(dst, src, count * pitch);
  const int64_t column = step * (w.flat ? w.channels : 16), block = columns * 16;
  for (int64_t i = 0; i < count; ++i, dst += column, src += pitch) {
    if (w.multiplier > 1) {
      for (int64_t c = 0; c < w.channels; ++c) dst[lane_offset(w, columns, c)] = src[c / w.multiplier];
    } else if (w.flat) {
      copy_floats(dst, src, w.channels);
    } else {
      float* out = dst;
      int64_t c = 0;
      for (; c + 16 <= w.channels; c += 16, out += block)
        for (int v = 0; v < 16; v += W) store(out + v, load(src + c + v));
      if (c < w.channels) copy_floats(out, src + c, w.channels - c);
    }
  }
}

// copy_columns with step 1 and normalize in one pass, for a blocked row.
void copy_normalized(const Window& w, const Prologue& p, float* dst, const float* src, int64_t pitch, int64_t count) {
  constexpr int kPixels = 4;
  with_activation(p.activation, p.alpha, [&](auto activation) {
    for (int64_t i = 0; i < count; i += kPixels, src += kPixels * pitch, dst += kPixels * 16) {
      const int64_t pixels = min64(kPixels, count - i);
      for (int64_t c = 0; c < w.channels; c += W) {
        const int lanes = (int)min64(W, w.channels - c);
        const vf mean = load(p.mean + c), scale = load(p.scale + c), beta = load(p.beta + c);
        float* out = dst + c / 16 * w.columns * 16 + c % 16;
        const auto put = [&](int64_t t) {
          store(out + t * 16, activation.value(fma(load_lanes(src + t * pitch + c, lanes) - mean, scale, beta)));
        };
        if (pixels == kPixels) {
#pragma GCC unroll 4
          for (int t = 0; t < kPixels; ++t) put(t);
        } else {
          for (int64_t t = 0; t < pixels; ++t) put(t);
        }
      }
    }
  });
}

// Zeros in columns [first, last) of a staged row; flat, up to the very end of the row when last is its end.
void zero_columns(const Window& w, float* row, int64_t first, int64_t last) {
  if (w.flat) {
    const int64_t end = last == w.columns ? w.row_floats : last * w.channels;
    return zero_floats(row + first * w.channels, end - first * w.channels);
  }
  for (int64_t block = 0; block < w.lanes; block += 16, row += w.columns * 16)
    zero_floats(row + first * 16, (last - first) * 16);
}

// Row `y` of image n (counted with the spread) with its zero border, normalised; rows of zeros are never asked for.
void stage_row(const Window& w, const Prologue& prologue, const View& image, int64_t n, int64_t y, float* dst) {
  const int64_t span = (w.image_w - 1) * w.spread_w + 1;
  const int64_t first = max64(0, -w.left), last = min64(span, w.columns - w.left);
  if (last <= first) return zero_columns(w, dst, 0, w.columns);
  const float* src = static_cast<const float*>(image.data) + (n * w.image_h + y / w.spread_h) * w.image_w * image.pitch;
  const int64_t unit = w.flat ? w.channels : 16;
  const bool at_once = prologue.activation && !w.flat && w.multiplier == 1 && w.spread_w == 1;
  if (at_once) {
    copy_normalized(w, prologue, dst + (first + w.left) * unit, src + first * image.pitch, image.pitch, last - first);
  } else if (w.spread_w == 1) {
    copy_columns(w, dst + (first + w.left) * unit, w.columns, 1, src + first * image.pitch, image.pitch, last - first);
  } else {
    zero_columns(w, dst, first + w.left, last + w.left);
    const int64_t pixel = ceil_div(first, w.spread_w), end = ceil_div(last, w.spread_w);
    copy_columns(w, dst + (pixel * w.spread_w + w.left) * unit, w.columns, w.spread_w, src + pixel * image.pitch,
                 image.pitch, end - pixel);
  }
  if (prologue.activation && !at_once) normalize(prologue, w, dst + (first + w.left) * unit, last - first);
  zero_columns(w, dst, 0, first + w.left);
  zero_columns(w, dst, last + w.left, w.columns);
}

// The last rows staged, and where the taps of one output row find theirs.
struct Ring {
  float* rows;          // [ring_rows][row_floats]
  int64_t* held;        // [ring_rows] the image row in each place, -1 for none
  const float** found;  // [kh]
  int64_t* taps;        // [kh] which p each found row belongs to
};

[[maybe_unused]] int64_t ring_floats(const Window& w) {
  return w.ring_rows * w.row_floats + round_up(2 * w.ring_rows + 4 * w.kh, 16);
}

[[maybe_unused]] Ring make_ring(const Window& w, float* memory) {
  Ring ring;
  ring.rows = memory;
  ring.held = reinterpret_cast<int64_t*>(memory + w.ring_rows * w.row_floats);
  ring.found = reinterpret_cast<const float**>(ring.held + w.ring_rows);
  ring.taps = reinterpret_cast<int64_t*>(ring.found + w.kh);
  if (!w.flat && w.lanes > w.channels) zero_floats(ring.rows, w.ring_rows * w.row_floats);  // lanes nobody writes
  return ring;
}
[[maybe_unused]] void empty_ring(const Window& w, const Ring& ring) {
  for (int64_t i = 0; i < w.ring_rows; ++i) ring.held[i] = -1;
}

// Stages what output row `oh` of image n needs; returns how many of its window's rows lie in the image.
[[maybe_unused]] int64_t find_rows(const Window& w, const Prologue& prologue, const View& image, int64_t n, int64_t oh,
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

// ---------------------------------------------------------------- fetching ahead

// Source rows that the next output row will stage and this one's arithmetic can fetch meanwhile: pixel t of row r has
// its channels at data + r * row_step + t * pixel_step. Only a hint: it may lie behind the tensor's end.
struct Ahead {
  const float* data;
  int64_t rows, row_step, pixel_step;
};

inline void fetch_ahead(const Ahead& ahead, int64_t from, int64_t to, int64_t c0) {
  for (int64_t r = 0; r < ahead.rows; ++r)
    for (int64_t t = from; t < to; ++t)
      __builtin_prefetch(ahead.data + r * ahead.row_step + t * ahead.pixel_step + c0, 0, 2);
}

// What output row oh + 1 of image n adds to row oh's window, when it lies in the image row by row.
[[maybe_unused]] Ahead rows_ahead(const Window& w, const View& image, int64_t n, int64_t oh) {
  const int64_t y = (oh + 1) * w.stride_h - w.top + (w.kh - 1) * w.dilation_h - (w.stride_h - 1);
  const bool usable = w.spread_h == 1 && y >= 0 && y < w.image_h && (!w.flat || image.pitch == w.channels);
  if (!usable) return {};
  const int64_t row_step = w.image_w * image.pitch;
  return {static_cast<const float*>(image.data) + (n * w.image_h + y) * row_step, min64(w.stride_h, w.image_h - y),
          row_step, w.flat ? w.lanes : image.pitch};
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
