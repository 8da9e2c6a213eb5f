// A depthwise 3x3 correlation of stride 1 with nothing staged: a few rows of the image slide through the registers, are
// normalised there, and each vector read meets all nine taps. Included by depthwise.cpp and separable.cpp, for the
// windows that slides() names; the others go through depthwise_row.h.
// The rule easy to break: an output is the same FMA chain as there, columns of the filter outside, its rows inside.
#pragma once
#include "cpu/kernels/depthwise_row.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kSlideRows = 4;  // 12 sums, 9 weights, 6 pixels and 3 constants in 32 registers
#else
constexpr int kSlideRows = 2;
#endif

[[maybe_unused]] inline bool slides(const Window& w) {
  return w.kh == 3 && w.kw == 3 && w.stride_h == 1 && w.stride_w == 1 && w.dilation_h == 1 && w.dilation_w == 1 &&
         w.spread_h == 1 && w.spread_w == 1 && w.multiplier == 1 && !w.flat && w.left >= 0 && w.left <= 2 &&
         w.out_w <= w.image_w + w.left;
}

// What becomes of a pixel on its way in.
enum class Inlet { plain, activated, normalized };

// Output rows of one image, from `oh` on.
struct SlidingRows {
  const Window* window;
  const Prologue* prologue;
  const View* image;
  int64_t n, oh;
  const float* filter;  // a table
  float* out;           // of row oh
  int64_t out_pitch;
  bool padded;  // a pixel of out has room for whole vectors
};

// One vector of channels of R output rows.
template <int R>
struct Slide {
  const float* x[R + 2];  // rows of the image, null for those outside it
  int64_t pitch, width, left;
  float* out;
  int64_t out_pitch, out_row;  // out_row: from one output row to the next
  int64_t out_w;
  const float* filter;
  vf mean, scale, beta;
  int lanes;
  bool padded;
};

template <bool kWhole>
inline vf load_some(const float* x, int lanes) {
  return kWhole ? load(x) : load_lanes(x, lanes);
}

// The sums of three output columns: the one that column j ends, the one it is the middle of, the one it begins.
template <int R, bool kWhole, Inlet kInlet, typename Activation>
[[gnu::always_inline]] inline void slide_column(const Slide<R>& s, const Activation& act, int64_t j, vf* ends,
                                                vf* goes_on, vf* begins) {
  vf v[R + 2];
#pragma GCC unroll 6
  for (int i = 0; i < R + 2; ++i) {
    const bool outside = !s.x[i];
    v[i] = outside ? vf{} : load_some<kWhole>(s.x[i] + j * s.pitch, s.lanes);
    if (outside || kInlet == Inlet::plain) continue;
    v[i] = act.value(kInlet == Inlet::normalized ? fma(v[i] - s.mean, s.scale, s.beta) : v[i]);
  }
#pragma GCC unroll 3
  for (int p = 0; p < 3; ++p) {
    const vf first = load(s.filter + p * 48), middle = load(s.filter + p * 48 + 16),
             last = load(s.filter + p * 48 + 32);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      ends[r] = fma(last, v[r + p], ends[r]);
      goes_on[r] = fma(middle, v[r + p], goes_on[r]);
      begins[r] = p == 0 ? first * v[r] : fma(first, v[r + p], begins[r]);
    }
  }
}

template <int R, bool kWhole>
[[gnu::always_inline]] inline void store_column(const Slide<R>& s, int64_t column, const vf* sum) {
  if (column < 0 || column >= s.out_w) return;
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    float* to = s.out + r * s.out_row + column * s.out_pitch;
    if (kWhole || s.padded) {
      store(to, sum[r]);
    } else {
      store_lanes(to, sum[r], s.lanes);
    }
  }
}

// Input column j ends output column j + left - 2. Sums change places by name, three columns at a time.
template <int R, bool kWhole, Inlet kInlet, typename Activation>
void slide_rows(const Slide<R>& s, const Activation& act) {
  vf a[R] = {}, b[R] = {}, c[R] = {};
  int64_t j = 0, out = s.left - 2;
  for (; j + 3 <= s.width; j += 3, out += 3) {
    slide_column<R, kWhole, kInlet>(s, act, j, a, b, c);
    store_column<R, kWhole>(s, out, a);
    slide_column<R, kWhole, kInlet>(s, act, j + 1, b, c, a);
    store_column<R, kWhole>(s, out + 1, b);
    slide_column<R, kWhole, kInlet>(s, act, j + 2, c, a, b);
    store_column<R, kWhole>(s, out + 2, c);
  }
  for (; j < s.width; ++j, ++out) {
    slide_column<R, kWhole, kInlet>(s, act, j, a, b, c);
    store_column<R, kWhole>(s, out, a);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) a[r] = b[r], b[r] = c[r];
  }
  store_column<R, kWhole>(s, out, a);
  store_column<R, kWhole>(s, out + 1, b);
}

template <int R, Inlet kInlet, typename Activation>
void slide_channels(const SlidingRows& rows, const Activation& act) {
  const Window& w = *rows.window;
  const View& x = *rows.image;
  Slide<R> s = {};
  s.pitch = x.pitch, s.width = w.image_w, s.left = w.left;
  s.out_pitch = rows.out_pitch, s.out_row = w.out_w * rows.out_pitch, s.out_w = w.out_w, s.padded = rows.padded;
  const float* const image = floats(x) + rows.n * w.image_h * w.image_w * x.pitch;
  for (int64_t c0 = 0; c0 < w.channels; c0 += W) {
    for (int i = 0; i < R + 2; ++i) {
      const int64_t y = rows.oh - w.top + i;
      s.x[i] = y < 0 || y >= w.image_h ? nullptr : image + y * w.image_w * x.pitch + c0;
    }
    s.out = rows.out + c0;
    s.filter = rows.filter + table_offset(w, c0);
    if (kInlet == Inlet::normalized) {
      s.mean = load(rows.prologue->mean + c0), s.scale = load(rows.prologue->scale + c0);
      s.beta = load(rows.prologue->beta + c0);
    }
    s.lanes = (int)min64(W, w.channels - c0);
    if (s.lanes == W) {
      slide_rows<R, true, kInlet>(s, act);
    } else {
      slide_rows<R, false, kInlet>(s, act);
    }
  }
}

template <Inlet kInlet, typename Activation>
void slide_some(const SlidingRows& rows, int64_t count, const Activation& act) {
  if (count == 1) slide_channels<1, kInlet>(rows, act);
  if (count == 2) slide_channels<2, kInlet>(rows, act);
#if defined(__AVX512F__)
  if (count == 3) slide_channels<3, kInlet>(rows, act);
  if (count == 4) slide_channels<4, kInlet>(rows, act);
#endif
}

// `count` output rows of one image.
[[maybe_unused]] void slide_image_rows(SlidingRows rows, int64_t count) {
  const int64_t step = rows.window->out_w * rows.out_pitch;
  const auto all = [&](auto run) {
    for (int64_t done = 0; done < count; done += kSlideRows) {
      const int64_t some = min64(kSlideRows, count - done);
      run(some);
      rows.oh += some, rows.out += some * step;
    }
  };
  const Prologue& p = *rows.prologue;
  if (!p.activation) return all([&](int64_t some) { slide_some<Inlet::plain>(rows, some, Identity{}); });
  with_activation(p.activation, p.alpha, [&](auto act) {
    all([&](int64_t some) {
      if (p.alone) {
        slide_some<Inlet::activated>(rows, some, act);
      } else {
        slide_some<Inlet::normalized>(rows, some, act);
      }
    });
  });
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
