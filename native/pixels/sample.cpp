// Grey, half and sampled images. See pixels.h.
// The rule easy to break: samples are computed in float64, across first and then down, so that a pixel's value does not
// depend on which rows were kept from the row before.
#include <string.h>

#include "pixels/pixels.h"

#if defined(__SSSE3__)
#include <tmmintrin.h>
#endif

namespace gramian::pixels::GRAMIAN_ISA {
namespace {

// ---------------------------------------------------------------- grey

// Integer weights that sum to 2^16.
constexpr uint32_t kRed = 19595, kGreen = 38470, kBlue = 7471, kHalfGray = 32768;

#if defined(__SSSE3__)
/** Four pixels of 12 bytes as luma in 32 bits; 16 bytes are read. */
__m128i four_grays(const uint8_t* rgb) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rgb));
  const __m128i red_green = _mm_setr_epi8(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1);
  const __m128i green_blue = _mm_setr_epi8(1, -1, 2, -1, 4, -1, 5, -1, 7, -1, 8, -1, 10, -1, 11, -1);
  // Green's weight does not fit a signed 16-bit number, so half of it is taken twice.
  const __m128i first =
      _mm_madd_epi16(_mm_shuffle_epi8(bytes, red_green), _mm_set1_epi32(static_cast<int>(kGreen / 2 << 16 | kRed)));
  const __m128i second =
      _mm_madd_epi16(_mm_shuffle_epi8(bytes, green_blue), _mm_set1_epi32(static_cast<int>(kBlue << 16 | kGreen / 2)));
  return _mm_srli_epi32(_mm_add_epi32(_mm_add_epi32(first, second), _mm_set1_epi32(kHalfGray)), 16);
}

/** As many of `count` pixels as make sixteens, with room for what the last load reads beyond; how many that were. */
int64_t gray_sixteens(const uint8_t* rgb, uint8_t* to, int64_t count) {
  int64_t x = 0;
  for (; x + 18 <= count; x += 16, rgb += 48) {
    const __m128i low = _mm_packs_epi32(four_grays(rgb), four_grays(rgb + 12));
    const __m128i high = _mm_packs_epi32(four_grays(rgb + 24), four_grays(rgb + 36));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + x), _mm_packus_epi16(low, high));
  }
  return x;
}
#else
int64_t gray_sixteens(const uint8_t*, uint8_t*, int64_t) { return 0; }
#endif

void gray(const Image& from, const Region& region, uint8_t* to) {
  const int64_t count = region.right - region.left;
  for (int64_t y = region.top; y < region.bottom; ++y) {
    const uint8_t* const rgb = from.data + 3 * (y * from.width + region.left);
    uint8_t* const row = to + y * from.width + region.left;
    for (int64_t x = gray_sixteens(rgb, row, count); x < count; ++x) {
      const uint8_t* const pixel = rgb + 3 * x;
      row[x] = static_cast<uint8_t>((kRed * pixel[0] + kGreen * pixel[1] + kBlue * pixel[2] + kHalfGray) >> 16);
    }
  }
}

// ---------------------------------------------------------------- half

template <int64_t kChannels>
void halve_row(const uint8_t* above, const uint8_t* below, int64_t count, uint8_t* out) {
  for (int64_t x = 0; x < count; ++x)
    for (int64_t c = 0; c < kChannels; ++c) {
      const int64_t at = 2 * x * kChannels + c;
      const int sum = above[at] + above[at + kChannels] + below[at] + below[at + kChannels];
      out[x * kChannels + c] = static_cast<uint8_t>((sum + 2) >> 2);
    }
}

void halve(const Image& from, const Region& region, uint8_t* to, int64_t width) {
  const int64_t channels = from.channels, pitch = from.width * channels, count = region.right - region.left;
  for (int64_t y = region.top; y < region.bottom; ++y) {
    const uint8_t* const above = from.data + 2 * y * pitch + 2 * region.left * channels;
    uint8_t* const out = to + (y * width + region.left) * channels;
    if (channels == 1) {
      halve_row<1>(above, above + pitch, count, out);
    } else {
      halve_row<3>(above, above + pitch, count, out);
    }
  }
}

// ---------------------------------------------------------------- samples

/** One row of an image at the columns' points, every channel. */
void across(const Image& from, const Axis& columns, int64_t row, double* out) {
  const uint8_t* const pixels = from.data + row * from.width * from.channels;
  if (from.channels == 1) {
    for (int64_t i = 0; i < columns.count; ++i) {
      const double a = pixels[columns.low[i]], b = pixels[columns.high[i]];
      out[i] = a + columns.share[i] * (b - a);
    }
    return;
  }
  for (int64_t i = 0; i < columns.count; ++i, out += 3) {
    const uint8_t *const left = pixels + columns.low[i] * 3, *const right = pixels + columns.high[i] * 3;
    const double share = columns.share[i];
    for (int c = 0; c < 3; ++c) out[c] = left[c] + share * (right[c] - left[c]);
  }
}

/** The last two rows that were asked for; neighbouring points share them. */
struct Rows {
  const Image& from;
  const Axis& columns;
  double* values;
  int64_t kept[2] = {-1, -1};
  int last = 0;

  const double* at(int64_t row) {
    for (int slot = 0; slot < 2; ++slot)
      if (kept[slot] == row) return last = slot, place(slot);
    // The one that was not asked for just now.
    last = 1 - last;
    kept[last] = row;
    across(from, columns, row, place(last));
    return place(last);
  }
  double* place(int slot) { return values + slot * columns.count * from.channels; }
};

void sample(const Image& from, const Axis& columns, const Axis& rows, uint8_t* out, double* scratch) {
  Rows kept{from, columns, scratch};
  const int64_t values = columns.count * from.channels;
  for (int64_t y = 0; y < rows.count; ++y, out += values) {
    const double *const top = kept.at(rows.low[y]), *const bottom = kept.at(rows.high[y]);
    const double share = rows.share[y];
    for (int64_t i = 0; i < values; ++i)
      out[i] = static_cast<uint8_t>(static_cast<int32_t>(top[i] + share * (bottom[i] - top[i]) + 0.5));
  }
}

void sample_square(const Image& from, const Axis& columns, const Axis& rows, const float* mean, float* out,
                   float* scratch) {
  const int64_t channels = from.channels, line = from.width * channels;
  const int64_t side = from.width > from.height ? from.width : from.height;
  // One row of the square, black at the right; rows behind the image are black.
  float* const row = scratch;
  memset(row + line, 0, static_cast<size_t>(side * channels - line) * sizeof(float));
  const int64_t second = channels == 3 ? 1 : 0, third = channels == 3 ? 2 : 0;
  for (int64_t y = 0; y < rows.count; ++y) {
    const bool has_above = rows.low[y] < from.height, has_below = rows.high[y] < from.height;
    const uint8_t* const above = from.data + (has_above ? rows.low[y] * line : 0);
    const uint8_t* const below = from.data + (has_below ? rows.high[y] * line : 0);
    const float down = rows.share[y];
    const int seen_above = has_above ? 255 : 0, seen_below = has_below ? 255 : 0;
    for (int64_t i = 0; i < line; ++i) {
      const int top = above[i] & seen_above, bottom = below[i] & seen_below;
      row[i] = static_cast<float>(top) + down * static_cast<float>(bottom - top);
    }
    for (int64_t x = 0; x < columns.count; ++x, out += 3) {
      const float* const left = row + columns.low[x] * channels;
      const float* const right = row + columns.high[x] * channels;
      const float share = columns.share[x];
      out[0] = (left[0] + share * (right[0] - left[0])) * (1.0f / 255) - mean[0];
      out[1] = (left[second] + share * (right[second] - left[second])) * (1.0f / 255) - mean[1];
      out[2] = (left[third] + share * (right[third] - left[third])) * (1.0f / 255) - mean[2];
    }
  }
}

}  // namespace

extern const Gray kGray;
extern const Halve kHalve;
extern const Sample kSample;
extern const SampleSquare kSampleSquare;
const Gray kGray = gray;
const Halve kHalve = halve;
const Sample kSample = sample;
const SampleSquare kSampleSquare = sample_square;

}  // namespace gramian::pixels::GRAMIAN_ISA
