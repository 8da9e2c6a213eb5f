// Standard normal numbers from Philox words by Box and Muller (1958), four to a counter, drawn in blocks.
// Used by dataset.cpp for image noise.
// The rule easy to break: elements 0, 1 of a counter share words 0, 1 and elements 2, 3 share words 2, 3.
#pragma once
#include "cpu/kernels/logarithm.h"
#include "cpu/kernels/philox.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// cos and sin of 2 pi t, 0 <= t < 1: t = k/4 + r with |r| <= 1/8, exactly; polynomials in 2 pi r.
[[maybe_unused]] inline void turn(vf t, vf* cosine, vf* sine) {
  const vi k = to_int(t * 4.0f + 0.5f);
  const vf x = (t - to_float(k) * 0.25f) * 6.28318530717958648f, z = x * x;
  vf s = set1(-1.9515295891e-4f);
  s = fma(s, z, set1(8.3321608736e-3f));
  s = fma(s, z, set1(-1.6666654611e-1f));
  s = fma(s * z, x, x);
  vf c = set1(2.443315711809948e-5f);
  c = fma(c, z, set1(-1.388731625493765e-3f));
  c = fma(c, z, set1(4.166664568298827e-2f));
  c = fma(c * z, z, fma(z, set1(-0.5f), set1(1.0f)));
  const vi odd = (k & 1) != 0;
  const vf first = select(odd, s, c), second = select(odd, c, s);
  *cosine = select(((k + 1) & 2) != 0, -first, first);
  *sine = select((k & 2) != 0, -second, second);
}

[[maybe_unused]] inline void box_muller(vu p, vu q, vf* even, vf* odd) {
  const vf above_zero = to_float((vi)(p >> 8) + 1) * 0x1p-24f;
  const vf radius = vsqrt(-2.0f * vlog(above_zero));
  vf cosine, sine;
  turn(to_float((vi)(q >> 8)) * 0x1p-24f, &cosine, &sine);
  *even = radius * cosine;
  *odd = radius * sine;
}

// The normals of the elements of one stream; cheap when elements are asked for in ascending order.
struct Normals {
  Key key;
  uint32_t c1, c2, purpose;
  int64_t block = -1;  // number of the block in `values`
  float values[4 * W];

  float at(int64_t element) {
    if (element / (4 * W) != block) draw(element / (4 * W));
    return values[element % (4 * W)];
  }

  void draw(int64_t wanted) {
    block = wanted;
    vu words[4];
    philox(key, (uint32_t)(block * W), c1, c2, purpose, words);
    vf drawn[4];
    box_muller(words[0], words[1], &drawn[0], &drawn[1]);
    box_muller(words[2], words[3], &drawn[2], &drawn[3]);
    float lanes[4][W];
    for (int w = 0; w < 4; ++w) store(lanes[w], drawn[w]);
    for (int i = 0; i < 4 * W; ++i) values[i] = lanes[i % 4][i / 4];
  }
};

}  // namespace
}  // namespace gramian::cpu::GRAMIAN_ISA
