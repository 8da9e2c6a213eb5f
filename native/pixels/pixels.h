// Loops over the bytes of images that detectors, the tracker and cuts need for every frame: grey, smaller, sampled,
// described. Compiled once per instruction set tier, as the CPU kernels are, and called by binding/pixels.cpp, on the
// JavaScript thread, with arguments that it has checked. The rule easy to break: results are functions of the pixels
// alone, the same to the last bit on every processor, and a tier's object holds no weak symbol, so no std::vector.
#pragma once
#include <cstdint>

namespace gramian::pixels {

/** Rows of `width` pixels of 1 or 3 bytes, one behind the other. */
struct Image {
  const uint8_t* data;
  int64_t width, height, channels;
};

/** A part of an image: from the first column and row to those behind the last. */
struct Region {
  int64_t left, top, right, bottom;
};

/** Which source pixels each of `count` points reads along one axis: `low`, `high`, and the share of the second. */
struct Axis {
  const int32_t *low, *high;
  const float* share;
  int64_t count;
};

constexpr int64_t kHogChannels = 31, kHogCell = 4;

/** Luma of ITU-R BT.601 of a region of an RGB image, rounded, to the same place of a grey one of its size. */
using Gray = void (*)(const Image& from, const Region& region, uint8_t* to);

/** Means of 2x2 pixels of `from`, rounded, to a region of an image `width` pixels wide. */
using Halve = void (*)(const Image& from, const Region& region, uint8_t* to, int64_t width);

/**
 * Bilinear samples where rows and columns cross, rounded: rows.count x columns.count x channels bytes. `scratch` has
 * 2 * columns.count * channels doubles.
 */
using Sample = void (*)(const Image& from, const Axis& columns, const Axis& rows, uint8_t* out, double* scratch);

/**
 * Bilinear samples of the image in the left upper corner of a black square, as byte / 255 - mean, RGB whatever the
 * channels are: rows.count x columns.count x 3 floats. `scratch` has a float for each value of a row of the square,
 * whose side is the image's longer one.
 */
using SampleSquare = void (*)(const Image& from, const Axis& columns, const Axis& rows, const float* mean, float* out,
                              float* scratch);

/**
 * The 31 channels of every cell of a grey patch of cells * kHogCell pixels a side, as in Felzenszwalb et al. 2010
 * (section 6.1) without its truncation channel; those of cell i go to out[i * stride ...]. `scratch` has
 * hog_scratch(cells) floats.
 */
using Hog = void (*)(const uint8_t* patch, int64_t cells, float* out, int64_t stride, float* scratch);

/** Floats: histograms of 20 and two more values of the cells and a border, then four rows of gradients, both parts. */
static constexpr int64_t hog_scratch(int64_t cells) {
  return 22 * (cells + 2) * (cells + 2) + 2 * kHogCell * kHogCell * (cells + 1);
}

/** What hog.cpp and what sample.cpp make for a tier. */
struct Loops {
  Gray gray;
  Halve halve;
  Sample sample;
  SampleSquare sample_square;
  Hog hog;
};

/** Those of a tier by its name: scalar, sse, avx2 or avx512. They live as long as the process. */
const Loops& loops_of(const char* isa);

}  // namespace gramian::pixels
