// datasetBatch: the images of one training step, chosen, augmented and normalised from a data set in device memory.
// Launched by dataset.cpp; docs/ops.md ("Data on the device") is the specification. The rule easy to break: every draw
// is a function of (seed, epoch, index), and whole numbers have the CPU's bits.
#include "dataset.h"
#include "philox.cuh"

namespace gramian::cuda {

/** Where position i of 0..total-1 goes: a Feistel network on 2 * half_bits bits, walked until inside. */
__device__ __forceinline__ uint32_t permuted(const DrawParams& p, uint32_t epoch, uint32_t i) {
  const uint32_t mask = (1u << p.half_bits) - 1;
  do {
    uint32_t left = i >> p.half_bits, right = i & mask;
#pragma unroll 1
    for (uint32_t round = 0; round < 6; ++round) {
      const uint32_t next = left ^ (philox(p.key, right, round, epoch, kPermutation).x & mask);
      left = right;
      right = next;
    }
    i = left << p.half_bits | right;
  } while (i >= p.total);
  return i;
}

/** Degrees by which a variant turns: 2 and 3 are 45 to the left and right, 7 to 12 are 5, 10 and 15 to either side. */
__device__ __forceinline__ float turn_of(uint32_t variant) {
  if (variant < 2 || (variant > 3 && variant < 7)) return 0;
  const float size = variant < 4 ? 45.0f : 5.0f * static_cast<float>((variant - 5) / 2);
  return variant == 2 || (variant > 3 && (variant & 1)) ? size : -size;
}

__device__ __forceinline__ Draw drawn(const DrawParams& p, uint32_t row) {
  const auto step = static_cast<uint32_t>(max(*p.step, 0));
  const uint32_t epoch = step / p.per_epoch, position = ((step - epoch * p.per_epoch) * p.batch + row) % p.total;
  Draw d;
  d.epoch = epoch;
  d.index = p.shuffle ? permuted(p, epoch, position) : position;
  const uint32_t number = d.index / p.count, variant = static_cast<uint32_t>(p.variants >> 4 * number) & 15;
  d.sample = d.index - number * p.count;
  const uint4 u = philox(p.key, 0, d.index, epoch, kAugmentation);
  const float u4 = uniform(philox(p.key, 1, d.index, epoch, kAugmentation).x);
  const float turned = (2 * uniform(u.y) - 1) * p.rotate;
  const float degrees = turned + turn_of(variant);
  const float drawn_zoom = p.scale_min + uniform(u.z) * (p.scale_max - p.scale_min);
  const float zoom = variant == 4 ? drawn_zoom * 0.5f : variant == 5 ? drawn_zoom * 2 : drawn_zoom;
  const float turns = degrees * (1.0f / 360), per_zoom = 1 / zoom;
  turn(turns - floorf(turns), &d.cosine, &d.sine);
  d.cosine *= per_zoom;
  d.sine *= per_zoom;
  d.flip = (p.flip && uniform(u.x) < 0.5f) != (variant == 1);
  d.shift_x = (2 * uniform(u.w) - 1) * p.shift;
  d.shift_y = (2 * u4 - 1) * p.shift;
  d.noise = variant == 6 ? sqrtf(fmaf(p.noise, p.noise, 0.05f * 0.05f)) : p.noise;
  d.plain = degrees == 0 && zoom == 1 && p.shift == 0 && p.same_size;
  return d;
}

/** A coordinate inside the image; NaN is 0. */
__device__ __forceinline__ float inside(float s, uint32_t size) {
  return s > 0 ? fminf(s, static_cast<float>(size - 1)) : 0.0f;
}

/** The intensity 0..255 that output pixel (oy, ox) reads in channel `from`. */
__device__ __forceinline__ float sampled(const PixelParams& p, const Draw& d, const uint8_t* from, uint32_t oy,
                                         uint32_t ox) {
  const float middle_x = static_cast<float>(ox) + 0.5f - 0.5f * static_cast<float>(p.width.divisor);
  const float middle_y = static_cast<float>(oy) + 0.5f - 0.5f * static_cast<float>(p.height);
  const float right = fmaf(middle_x, p.cols_each, -d.shift_x), v = fmaf(middle_y, p.rows_each, -d.shift_y);
  const float b = d.flip ? -right : right;
  const float sx = inside(b * d.cosine - v * d.sine + 0.5f * static_cast<float>(p.cols - 1), p.cols);
  const float sy = inside(b * d.sine + v * d.cosine + 0.5f * static_cast<float>(p.rows - 1), p.rows);
  const auto x0 = static_cast<uint32_t>(sx), y0 = static_cast<uint32_t>(sy);
  const uint32_t x1 = min(x0 + 1, p.cols - 1), y1 = min(y0 + 1, p.rows - 1);
  const uint8_t *top = from + y0 * p.cols * p.pitch_image, *bottom = from + y1 * p.cols * p.pitch_image;
  const float across = sx - static_cast<float>(x0), down = sy - static_cast<float>(y0);
  const float a = top[x0 * p.pitch_image], c = bottom[x0 * p.pitch_image];
  const float above = fmaf(across, static_cast<float>(top[x1 * p.pitch_image]) - a, a);
  const float below = fmaf(across, static_cast<float>(bottom[x1 * p.pitch_image]) - c, c);
  return fmaf(down, below - above, above);
}

/** Four normal numbers for the elements of a group. */
__device__ __forceinline__ Floats<4> normals(const PixelParams& p, const Draw& d, uint32_t group) {
  const uint4 words = philox(p.key, group, d.index, d.epoch, kNoise);
  const float2 low = box_muller(words.x, words.y), high = box_muller(words.z, words.w);
  return {low.x, low.y, high.x, high.y};
}

}  // namespace gramian::cuda

using namespace gramian::cuda;

extern "C" __global__ void __launch_bounds__(128) datasetDraw(const DrawParams p) {
  const uint32_t row = blockIdx.x * 128 + threadIdx.x;
  if (row >= p.batch) return;
  const Draw d = drawn(p, row);
  p.draws[row] = d;
  p.y[row] = p.labels[d.sample];
}

extern "C" __global__ void __launch_bounds__(256) datasetPixels(const PixelParams p) {
  const uint32_t items = p.batch * p.groups.divisor;
#pragma unroll 1
  for (uint32_t item = blockIdx.x * 256 + threadIdx.x; item < items; item += gridDim.x * 256) {
    const uint32_t row = p.groups.quotient(item), group = item - row * p.groups.divisor, first = group * 4;
    const Draw d = p.draws[row];
    const uint8_t* image = p.images + static_cast<uint64_t>(d.sample) * p.rows * p.cols * p.pitch_image;
    const uint32_t out = row * p.height * p.width.divisor;
    Floats<4> value;
    const bool copied = p.whole && d.plain && !d.flip;
    if (copied) {
      const uchar4 bytes = *reinterpret_cast<const uchar4*>(image + first);
      value = {static_cast<float>(bytes.x), static_cast<float>(bytes.y), static_cast<float>(bytes.z),
               static_cast<float>(bytes.w)};
    }
    const Floats<4> noise = d.noise != 0 ? normals(p, d, group) : Floats<4>{};
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t element = min(first + k, p.elements - 1), pixel = p.channels.quotient(element);
      const uint32_t channel = element - pixel * p.channels.divisor;
      const uint32_t oy = p.width.quotient(pixel), ox = pixel - oy * p.width.divisor;
      const uint32_t entry = p.each_channel ? channel : 0;
      if (!copied) {
        if (d.plain) {
          const uint32_t from = d.flip ? p.cols - 1 - ox : ox;
          value.lane[k] = image[(oy * p.cols + from) * p.pitch_image + channel];
        } else {
          value.lane[k] = sampled(p, d, image + channel, oy, ox);
        }
      }
      const float intensity = fmaf(d.noise, noise.lane[k], value.lane[k] * (1.0f / 255));
      value.lane[k] = fmaf(intensity, p.scale[entry], p.offset[entry]);
      if (!p.whole && first + k < p.elements) at(p.x, out + pixel, p.pitch_x, channel)[0] = value.lane[k];
    }
    if (p.whole) store<4>(p.x + static_cast<uint64_t>(row) * p.elements + first, value);
  }
}
