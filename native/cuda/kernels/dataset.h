// Parameters of dataset.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include "divisor.h"
#include "philox.h"

namespace gramian::cuda {

constexpr int kMostChannels = 256;  // with a mean or deviation of their own

/** What one image of the batch is and what happens to it. */
struct Draw {
  uint32_t sample, index, epoch;
  uint32_t flip, plain;  // plain: output pixels are source pixels
  float cosine, sine;    // over the zoom
  float shift_x, shift_y, noise;
};

/** The random part of a batch; a thread to an image. */
struct DrawParams {
  const int32_t *labels, *step;
  int32_t* y;
  Draw* draws;
  Key key;
  uint32_t batch, count, total, per_epoch;  // images, images times variants, steps
  uint32_t half_bits;                       // of the Feistel network's number
  uint32_t shuffle, flip, same_size;
  uint64_t variants;  // four bits each: numbers of the list in dataset.cpp
  float rotate, scale_min, scale_max, shift, noise;
};

/** value = intensity * scale[c] + offset[c], intensity 0..1. */
struct PixelParams {
  const uint8_t* images;
  const Draw* draws;
  float* x;
  Key key;
  Divisor groups;  // of 4 elements of an image
  uint32_t batch, elements;
  Divisor channels, width;
  uint32_t height;             // of the output
  uint32_t rows, cols;         // of an image
  float rows_each, cols_each;  // source pixels to an output pixel
  uint32_t pitch_image, pitch_x;
  uint32_t whole;         // groups are aligned and close together, in the images and in x
  uint32_t each_channel;  // scale and offset differ by channel
  float scale[kMostChannels], offset[kMostChannels];
};

}  // namespace gramian::cuda
