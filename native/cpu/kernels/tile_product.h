// A pointwise convolution of a tile of pixels that is in the cache already, with a filter packed once for the launch.
// Included by separable.cpp and depthwise_backward.cpp.
// The rule easy to break: the sum over channels is cut as gemm.h cuts it, so a fused product has the bits of a plain
// one.
#pragma once
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/pixels.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kTilePixels = 144;    // fills the tiles of the product, and fits the second cache with its filter
constexpr int64_t kTileFloats = 36864;  // 144 pixels of 256 channels

// Rows of an image of this width that make a tile, for at most `channels` channels a pixel.
int64_t rows_of_tile(int64_t width, int64_t channels) {
  return ceil_div(min64(kTilePixels, max64(2 * 14, kTileFloats / channels)), width);
}

struct TileProduct {
  Precision precision;
  int64_t terms, outputs, block;  // [terms, outputs], the terms cut into blocks
};

TileProduct tile_product(Precision precision, int64_t terms, int64_t outputs) {
  return {precision, terms, outputs, ceil_div(terms, ceil_div(terms, kKC))};
}
int64_t packed_floats(const TileProduct& p) { return round_up(p.terms * round_up(p.outputs, W), 16); }

// The filter [1,1,C,O] for u -> y (terms C, outputs O) or, transposed, for dy -> du (terms O, outputs C). A large one
// is packed by several threads, panel by panel: the others would wait.
void pack_filter(const Parallel& parallel, const TileProduct& p, const View& filter, bool transposed, float* packed) {
  const int64_t panels = ceil_div(p.outputs, kNR);
  for (int64_t k0 = 0; k0 < p.terms; k0 += p.block) {
    const int64_t k = min64(p.block, p.terms - k0);
    for_groups(parallel, panels, k * kNR, [&](int64_t first, int64_t last) {
      const int64_t j = first * kNR, n = min64(last * kNR, p.outputs) - j;
      if (transposed) {
        pack_columns(packed + k * j, floats(filter) + j * filter.pitch + k0, filter.pitch, k, 0, k, n);
      } else {
        pack_rows(packed + k * j, floats(filter) + k0 * filter.pitch + j, filter.pitch, k, n);
      }
      narrow_packed(p.precision, packed + k * j, k, n);
    });
    packed += k * round_up(p.outputs, W);
  }
}

// How a tile is laid out so that multiply_own_tile() reads it where it lies: rows as the tile kernel wants them, one
// more than there are, when the sum is not cut.
[[maybe_unused]] int64_t own_tile_pitch(const TileProduct& p) {
  return p.block == p.terms ? kRowPitch : round_up(p.terms, 16);
}

// c = a B for `count` pixels of a tile with that pitch, which is narrowed in place: nobody may read it afterwards.
void multiply_tile(const TileProduct& p, const float* filter, const Pixels& a, int64_t count, const Pixels& c,
                   bool ahead);
[[maybe_unused]] void multiply_own_tile(const TileProduct& p, const float* filter, const Pixels& a, int64_t count,
                                        const Pixels& c, Fetch fetch) {
  if (a.pitch != kRowPitch || p.block != p.terms) return multiply_tile(p, filter, a, count, c, false);
  float* c_rows[kMR];
  for (int64_t i0 = 0; i0 < count; i0 += kMR) {
    const int rows = (int)min64(kMR, count - i0);
    for (int i = 0; i < rows; ++i) {
      c_rows[i] = c.pixel(i0 + i);
      narrow_row(p.precision, a.pixel(i0 + i), p.terms);
    }
    multiply_panel<true>(p.precision, a.pixel(i0), 0, rows, filter, p.outputs, p.outputs, p.terms, c_rows, 0, false,
                         &fetch);
  }
}

// c = a B for `count` pixels. With `ahead`, the rows of the next panel of a are fetched meanwhile.
void multiply_tile(const TileProduct& p, const float* filter, const Pixels& a, int64_t count, const Pixels& c,
                   bool ahead) {
  alignas(64) float panel[kMR * kRowPitch];
  float* c_rows[kMR];
  for (int64_t i0 = 0; i0 < count; i0 += kMR) {
    const int rows = (int)min64(kMR, count - i0);
    for (int i = 0; i < rows; ++i) c_rows[i] = c.pixel(i0 + i);
    const float* packed = filter;
    for (int64_t k0 = 0; k0 < p.terms; k0 += p.block) {
      const int64_t k = min64(p.block, p.terms - k0);
      for (int i = 0; i < rows; ++i) {
        copy_floats(panel + i * kRowPitch, a.pixel(i0 + i) + k0, k);
        narrow_row(p.precision, panel + i * kRowPitch, k);
      }
      if (rows & 1) zero_floats(panel + rows * kRowPitch, k);
      Fetch next = ahead ? fetch_rows(a.pixel(i0 + kMR) + k0, a.pitch, k, kMR) : Fetch{};
      multiply_panel<true>(p.precision, panel, 0, rows, packed, p.outputs, p.outputs, k, c_rows, 0, k0 > 0, &next);
      packed += k * round_up(p.outputs, W);
    }
  }
}

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
