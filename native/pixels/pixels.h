// Loops over the bytes of images that detectors, the tracker and cuts need for every frame: grey, smaller, sampled,
// described. Called by binding/pixels.cpp, on the JavaScript thread, with arguments that it has checked. The rule easy
// to break: results are functions of the pixels alone, the same to the last bit on every processor.
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

/** Luma of ITU-R BT.601 of a region of an RGB image, rounded, to the same place of a grey one of its size. */
void gray(const Image& from, const Region& region, uint8_t* to);

/** Means of 2x2 pixels of `from`, rounded, to a region of an image `width` pixels wide. */
void halve(const Image& from, const Region& region, uint8_t* to, int64_t width);

/** Bilinear samples where rows and columns cross, rounded: rows.count x columns.count x channels bytes. */
void sample(const Image& from, const Axis& columns, const Axis& rows, uint8_t* out);

/**
 * Bilinear samples of the image in the left upper corner of a black square, as byte / 255 - mean, RGB whatever the
 * channels are: rows.count x columns.count x 3 floats. `side` is the square's, in pixels of the image.
 */
void sample_square(const Image& from, int64_t side, const Axis& columns, const Axis& rows, const float* mean,
                   float* out);

constexpr int64_t kHogChannels = 31, kHogCell = 4;

/**
 * The 31 channels of every cell of a grey patch of cells * kHogCell pixels a side, as in Felzenszwalb et al. 2010
 * (section 6.1) without its truncation channel; those of cell i go to out[i * stride ...].
 */
void hog(const uint8_t* patch, int64_t cells, float* out, int64_t stride);

}  // namespace gramian::pixels
