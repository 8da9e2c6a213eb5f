// Grey, half and sampled images. See pixels.h.
// The rule easy to break: samples are computed in float64, across first and then down, so that a pixel's value does not
// depend on which rows were kept from the row before.
#include <vector>

#include "pixels/pixels.h"

namespace gramian::pixels {
namespace {

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
class Rows {
 public:
  Rows(const Image& from, const Axis& columns)
      : from_(from), columns_(columns), values_(2 * columns.count * from.channels) {}

  const double* at(int64_t row) {
    for (int slot : {0, 1})
      if (kept_[slot] == row) return last_ = slot, place(slot);
    // The one that was not asked for just now.
    last_ = 1 - last_;
    kept_[last_] = row;
    across(from_, columns_, row, place(last_));
    return place(last_);
  }

 private:
  double* place(int slot) { return values_.data() + slot * columns_.count * from_.channels; }

  const Image& from_;
  const Axis& columns_;
  std::vector<double> values_;
  int64_t kept_[2] = {-1, -1};
  int last_ = 0;
};

}  // namespace

void gray(const Image& from, const Region& region, uint8_t* to) {
  for (int64_t y = region.top; y < region.bottom; ++y) {
    const uint8_t* rgb = from.data + 3 * (y * from.width + region.left);
    uint8_t* const row = to + y * from.width;
    // Integer weights that sum to 2^16.
    for (int64_t x = region.left; x < region.right; ++x, rgb += 3)
      row[x] = static_cast<uint8_t>((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
  }
}

void halve(const Image& from, const Region& region, uint8_t* to, int64_t width) {
  const int64_t channels = from.channels, pitch = from.width * channels;
  for (int64_t y = region.top; y < region.bottom; ++y) {
    const uint8_t* above = from.data + 2 * y * pitch + 2 * region.left * channels;
    const uint8_t* below = above + pitch;
    uint8_t* out = to + (y * width + region.left) * channels;
    for (int64_t x = region.left; x < region.right; ++x, above += channels, below += channels)
      for (int64_t c = 0; c < channels; ++c, ++above, ++below)
        *out++ = static_cast<uint8_t>((above[0] + above[channels] + below[0] + below[channels] + 2) >> 2);
  }
}

void sample(const Image& from, const Axis& columns, const Axis& rows, uint8_t* out) {
  Rows kept(from, columns);
  const int64_t values = columns.count * from.channels;
  for (int64_t y = 0; y < rows.count; ++y, out += values) {
    const double *const top = kept.at(rows.low[y]), *const bottom = kept.at(rows.high[y]);
    const double share = rows.share[y];
    for (int64_t i = 0; i < values; ++i)
      out[i] = static_cast<uint8_t>(static_cast<int32_t>(top[i] + share * (bottom[i] - top[i]) + 0.5));
  }
}

void sample_square(const Image& from, int64_t side, const Axis& columns, const Axis& rows, const float* mean,
                   float* out) {
  const int64_t channels = from.channels, line = from.width * channels;
  // One row of the square, black at the right; rows behind the image are black.
  std::vector<float> row(side * channels);
  const std::vector<uint8_t> black(line);
  const int64_t second = channels == 3 ? 1 : 0, third = channels == 3 ? 2 : 0;
  for (int64_t y = 0; y < rows.count; ++y) {
    const uint8_t* const above = rows.low[y] < from.height ? from.data + rows.low[y] * line : black.data();
    const uint8_t* const below = rows.high[y] < from.height ? from.data + rows.high[y] * line : black.data();
    const float down = rows.share[y];
    for (int64_t i = 0; i < line; ++i)
      row[i] = static_cast<float>(above[i]) + down * static_cast<float>(below[i] - above[i]);
    for (int64_t x = 0; x < columns.count; ++x, out += 3) {
      const float* const left = row.data() + columns.low[x] * channels;
      const float* const right = row.data() + columns.high[x] * channels;
      const float share = columns.share[x];
      out[0] = (left[0] + share * (right[0] - left[0])) * (1.0f / 255) - mean[0];
      out[1] = (left[second] + share * (right[second] - left[second])) * (1.0f / 255) - mean[1];
      out[2] = (left[third] + share * (right[third] - left[third])) * (1.0f / 255) - mean[2];
    }
  }
}

}  // namespace gramian::pixels
