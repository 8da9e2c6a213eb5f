// Histograms of oriented gradients with 31 channels a cell: 18 signed orientations, 9 unsigned ones, 4 energies. See
// pixels.h. The rule easy to break: a pixel's gradient reads its four neighbours, so the outermost pixels have none.
#include <math.h>
#include <string.h>

#include "pixels/pixels.h"

namespace gramian::pixels::GRAMIAN_ISA {
namespace {

constexpr int kSigned = 18, kUnsigned = 9;
constexpr int kPitch = 20;                // of a histogram: whole groups of four, those behind the last orientation 0
constexpr float kClip = 0.2f;             // a normalised histogram's entry counts at most this much
constexpr float kEnergyWeight = 0.2357f;  // 1 / sqrt(18): an energy weighs about as much as an orientation
constexpr float kEpsilon = 1e-4f;
constexpr int kSpan = 512, kCentre = 256;  // gradients of bytes lie in -255..255

/** Signed orientation 0..17 of a gradient: the nearest of 18 directions, the lower one for upright gradients. */
struct Orientations {
  uint8_t of[kSpan * kSpan];

  Orientations() {
    for (int dy = -255; dy <= 255; ++dy)
      for (int dx = -255; dx <= 255; ++dx) {
        const double turn = atan2(dy, dx) / (2 * M_PI);
        const int nearest = static_cast<int>(ceil((turn < 0 ? turn + 1 : turn) * kSigned - 0.5));
        of[at(dy, dx)] = static_cast<uint8_t>(nearest % kSigned);
      }
  }
  static int at(int dy, int dx) { return (dy + kCentre) * kSpan + dx + kCentre; }
};

/** Histograms [cells + 2, cells + 2, kPitch], with a border of one cell, and the energies of cells. */
struct Cells {
  int64_t count, bordered;
  float *histograms, *energy, *inverse;  // inverse: 1 / norm of the 2x2 cells whose left upper one it is
  float* rest;                           // of the scratch

  Cells(int64_t cells, float* scratch) : count(cells), bordered(cells + 2), histograms(scratch) {
    const int64_t all = bordered * bordered;
    energy = histograms + all * kPitch, inverse = energy + all, rest = inverse + all;
    memset(histograms, 0, static_cast<size_t>(all * kPitch) * sizeof(float));
  }
  float* histogram(int64_t y, int64_t x) { return histograms + (y * bordered + x) * kPitch; }

  void accumulate(const uint8_t* pixels);
  void measure();
  void describe(int64_t y, int64_t x, float* out);
};

/** What a pixel gives the four nearest cells: left and right above, left and right below. */
using Four = float __attribute__((vector_size(16)));

Four load(const float* from) {
  Four four;
  memcpy(&four, from, sizeof four);
  return four;
}
void add(float* to, Four more) {
  more += load(to);
  memcpy(to, &more, sizeof more);
}

/** Adds what a block gives each orientation to the histograms of its four cells. */
void add_block(const Four* sums, float* above, float* below) {
  for (int o = 0; o < kPitch; o += 4) {
    const Four a = sums[o], b = sums[o + 1], c = sums[o + 2], d = sums[o + 3];
    const Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Four ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    add(above + o, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
    add(above + kPitch + o, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
    add(below + o, __builtin_shufflevector(ef, gh, 0, 1, 4, 5));
    add(below + kPitch + o, __builtin_shufflevector(ef, gh, 2, 3, 6, 7));
  }
}

/** The shares of the 4x4 pixels between four cell centres. */
struct Shares {
  Four of[kHogCell * kHogCell];

  Shares() {
    for (int64_t i = 0; i < kHogCell * kHogCell; ++i) {
      const float down = (static_cast<float>(i / kHogCell) + 0.5f) / kHogCell;
      const float across = (static_cast<float>(i % kHogCell) + 0.5f) / kHogCell;
      of[i] = Four{(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across};
    }
  }
};

/** Strength and orientation of the gradients of four rows, with two pixels of none before and behind. */
struct Gradients {
  int64_t side;
  float* strength;
  uint8_t* orientation;

  Gradients(int64_t side_of_patch, float* scratch)
      : side(side_of_patch),
        strength(scratch),
        orientation(reinterpret_cast<uint8_t*>(scratch + kHogCell * (side + kHogCell))) {
    memset(strength, 0, static_cast<size_t>(kHogCell * pitch()) * sizeof(float));
    memset(orientation, 0, static_cast<size_t>(kHogCell * pitch()));
  }
  int64_t pitch() const { return side + kHogCell; }

  /** Of rows first .. first + 3 of the patch; those on its edge and beyond have no gradients. */
  void take(const uint8_t* pixels, int64_t first) {
    static const Orientations orientations;
    for (int64_t i = 0; i < kHogCell; ++i) {
      const int64_t y = first + i;
      float* const to = strength + i * pitch() + 2;
      uint8_t* const direction = orientation + i * pitch() + 2;
      if (y < 1 || y >= side - 1) {
        memset(to, 0, static_cast<size_t>(side) * sizeof(float));
        continue;
      }
      const uint8_t* const p = pixels + y * side;
      for (int64_t x = 1; x < side - 1; ++x) {
        const int dx = p[x + 1] - p[x - 1], dy = p[x + side] - p[x - side];
        to[x] = sqrtf(static_cast<float>(dx * dx + dy * dy));
      }
      for (int64_t x = 1; x < side - 1; ++x)
        direction[x] = orientations.of[Orientations::at(p[x + side] - p[x - side], p[x + 1] - p[x - 1])];
    }
  }
};

/**
 * Sums each pixel's gradient into the histograms of the four nearest cells. Those are the same for 4x4 pixels between
 * four cell centres, so a block's sums are made apart, of all four cells at once.
 */
void Cells::accumulate(const uint8_t* pixels) {
  static const Shares shares;
  Gradients gradients(count * kHogCell, rest);
  const int64_t pitch = gradients.pitch();
  for (int64_t y = 0; y <= count; ++y) {
    gradients.take(pixels, y * kHogCell - kHogCell / 2);
    for (int64_t x = 0; x <= count; ++x) {
      // Two sums, so that neighbours of one orientation need not wait for each other.
      Four sums[kPitch] = {}, others[kSigned] = {};
      const float* const strength = gradients.strength + x * kHogCell;
      const uint8_t* const orientation = gradients.orientation + x * kHogCell;
#pragma GCC unroll 8
      for (int i = 0; i < kHogCell * kHogCell; i += 2) {
        const int64_t at = i / kHogCell * pitch + i % kHogCell;
        sums[orientation[at]] += strength[at] * shares.of[i];
        others[orientation[at + 1]] += strength[at + 1] * shares.of[i + 1];
      }
      for (int o = 0; o < kSigned; ++o) sums[o] += others[o];
      add_block(sums, histogram(y, x), histogram(y + 1, x));
    }
  }
}

/** Energy of every cell: the squared unsigned histogram, summed; the border repeats its neighbours. Then the norms. */
void Cells::measure() {
  for (int64_t y = 1; y <= count; ++y) {
    float* const row = energy + y * bordered;
    for (int64_t x = 1; x <= count; ++x) {
      const float* const h = histogram(y, x);
      float sum = 0;
      for (int o = 0; o < kUnsigned; ++o) sum += (h[o] + h[o + kUnsigned]) * (h[o] + h[o + kUnsigned]);
      row[x] = sum;
    }
    row[0] = row[1], row[count + 1] = row[count];
  }
  for (int64_t x = 0; x < bordered; ++x) {
    energy[x] = energy[bordered + x];
    energy[(bordered - 1) * bordered + x] = energy[(bordered - 2) * bordered + x];
  }
  for (int64_t at = 0; at < (bordered - 1) * bordered - 1; ++at) {
    const float* const e = energy + at;
    inverse[at] = 1 / sqrtf(e[0] + e[1] + e[bordered] + e[bordered + 1] + kEpsilon);
  }
}

/** sums += min(h * norm, kClip) over groups of four lanes; their total. */
template <int kGroups>
float add_clipped(const Four* h, float norm, Four* sums) {
  constexpr Four kMost = {kClip, kClip, kClip, kClip};
  Four total = {};
#pragma GCC unroll 5
  for (int i = 0; i < kGroups; ++i) {
    const Four value = h[i] * norm, share = value < kMost ? value : kMost;
    sums[i] += share;
    total += share;
  }
  return (total[0] + total[1]) + (total[2] + total[3]);
}

void Cells::describe(int64_t y, int64_t x, float* out) {
  const float* const corner = inverse + y * bordered + x;
  const float norms[4] = {corner[0], corner[-1], corner[-bordered], corner[-bordered - 1]};
  const float* const from = histogram(y, x);
  const Four h[5] = {load(from), load(from + 4), load(from + 8), load(from + 12), load(from + 16)};
  const Four both[3] = {h[0] + load(from + 9), h[1] + load(from + 13), Four{from[8] + from[17]}};
  Four sums[5] = {}, both_sums[3] = {};
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) {
    out[kSigned + kUnsigned + n] = kEnergyWeight * add_clipped<5>(h, norms[n], sums);
    add_clipped<3>(both, norms[n], both_sums);
  }
  for (Four& sum : sums) sum *= 0.5f;
  for (Four& sum : both_sums) sum *= 0.5f;
  memcpy(out, sums, kSigned * sizeof(float));
  memcpy(out + kSigned, both_sums, kUnsigned * sizeof(float));
}

void hog(const uint8_t* patch, int64_t cells, float* out, int64_t stride, float* scratch) {
  Cells all(cells, scratch);
  all.accumulate(patch);
  all.measure();
  for (int64_t y = 0; y < cells; ++y)
    for (int64_t x = 0; x < cells; ++x) all.describe(y + 1, x + 1, out + (y * cells + x) * stride);
}

}  // namespace

extern const Hog kHog;
const Hog kHog = hog;

}  // namespace gramian::pixels::GRAMIAN_ISA
