// datasetBatch: the images of one training step, chosen, augmented and normalised from a data set held in memory.
// Called through the table built in table.cpp. docs/ops.md ("Data on the device") is the specification.
// The rule easy to break: every draw is a function of (seed, epoch, index), never of the row in the batch or the
// thread, so a resumed run sees the same images.
#include "cpu/kernels/normal.h"
#include "cpu/kernels/philox.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int kMaxVariants = 16;
constexpr int64_t kMostTables = 4;    // channels of which every byte's value is worth looking up
constexpr int64_t kFewPixels = 1024;  // of a batch: fewer are computed one by one

struct Variant {
  const char* name;
  bool flip;
  double degrees, zoom, noise;
};
const Variant variant_table[] = {
    {"identity", false, 0, 1, 0},    {"flip", true, 0, 1, 0},         {"rotate+45", false, 45, 1, 0},
    {"rotate-45", false, -45, 1, 0}, {"half", false, 0, 0.5, 0},      {"double", false, 0, 2, 0},
    {"noise", false, 0, 1, 0.05},    {"rotate+5", false, 5, 1, 0},    {"rotate-5", false, -5, 1, 0},
    {"rotate+10", false, 10, 1, 0},  {"rotate-10", false, -10, 1, 0}, {"rotate+15", false, 15, 1, 0},
    {"rotate-15", false, -15, 1, 0},
};

struct Plan {
  int32_t variants;               // at least 1
  int32_t variant[kMaxVariants];  // places in variant_table
  // Offsets in the workspace, bytes: the images' draws; by channel the value of every byte, -1 for none.
  int64_t draws, values;
};

// What one image of the batch is and what happens to it.
struct Draw {
  int64_t sample;
  uint32_t index, epoch;
  bool flip, plain;  // plain: output pixels are source pixels
  double cosine, sine, per_zoom, shift_x, shift_y, noise;
};

// "a,b,c" into places in the table; false when a name is unknown or there are too many.
bool parse_variants(const char* names, Plan* p) {
  p->variants = 0;
  while (*names) {
    size_t length = 0;
    while (names[length] && names[length] != ',') ++length;
    int found = 0;
    const int known = sizeof variant_table / sizeof variant_table[0];
    while (found < known &&
           !(strlen(variant_table[found].name) == length && memcmp(variant_table[found].name, names, length) == 0))
      ++found;
    if (found == known || p->variants == kMaxVariants) return false;
    p->variant[p->variants++] = found;
    names += length + (names[length] == ',');
  }
  if (p->variants == 0) p->variant[p->variants++] = 0;
  return true;
}

void prepare(KernelCall* call) {
  const View &images = call->in[0], &x = call->out[0];
  Plan& p = *params_of<Plan>(call);
  if (!parse_variants(attr_string(call, "variants"), &p))
    call->error = "datasetBatch does not know one of its variants";
  const double count = attr(call, "count");
  if (count < 1 || count > (double)images.shape[0])
    call->error = "datasetBatch's count must be 1 to the number of images";
  p.draws = (x.shape[1] + x.shape[2] + 2 * x.cols) * (int64_t)sizeof(double);
  const bool looks_up = x.cols <= kMostTables && x.rows >= kFewPixels;
  p.values = looks_up ? p.draws + x.shape[0] * (int64_t)sizeof(Draw) : -1;
  call->workspace_bytes =
      p.draws + x.shape[0] * (int64_t)sizeof(Draw) + (looks_up ? x.cols * 256 * (int64_t)sizeof(float) : 0);
}

// ---------------------------------------------------------------- which image, and its random part

// A permutation of 0..n-1: a Feistel network on the smallest even number of bits that covers n, walked until inside.
uint64_t permute(uint64_t n, Key key, uint32_t epoch, uint64_t i) {
  int half = 1;
  while ((1ull << (2 * half)) < n) ++half;
  const uint64_t mask = (1ull << half) - 1;
  do {
    uint64_t left = i >> half, right = i & mask;
    for (uint32_t round = 0; round < 6; ++round) {
      uint32_t words[4];
      philox(key, (uint32_t)right, round, epoch, kPermutation, words);
      const uint64_t next = left ^ (words[0] & mask);
      left = right;
      right = next;
    }
    i = left << half | right;
  } while (i >= n);
  return i;
}

Draw draw_image(const KernelCall* call, int64_t row) {
  const View& x = call->out[0];
  const Plan& p = *params_of<Plan>(call);
  const Key key = key_of(attr(call, "seed"));
  const auto count = (int64_t)attr(call, "count");
  const int64_t B = x.shape[0], n = count * p.variants, per_epoch = max64(1, n / B);
  const int64_t step = max64(0, ints(call->in[2])[0]), position = (step % per_epoch * B + row) % n;
  Draw d = {};
  d.epoch = (uint32_t)(step / per_epoch);
  d.index = (uint32_t)(attr(call, "shuffle") != 0 ? permute((uint64_t)n, key, d.epoch, (uint64_t)position)
                                                  : (uint64_t)position);
  d.sample = d.index % count;
  const Variant& variant = variant_table[p.variant[d.index / count]];
  uint32_t first[4], second[4];
  philox(key, 0, d.index, d.epoch, kAugmentation, first);
  philox(key, 1, d.index, d.epoch, kAugmentation, second);
  double u[5];
  for (int k = 0; k < 4; ++k) u[k] = (double)uniform(first[k]);
  u[4] = (double)uniform(second[0]);
  const double shift = attr(call, "shift"), noise = attr(call, "noise");
  const double least = attr(call, "scaleMin", 1), most = attr(call, "scaleMax", 1);
  const double degrees = (2 * u[1] - 1) * attr(call, "rotate") + variant.degrees;
  const double zoom = (least + u[2] * (most - least)) * variant.zoom,
               radians = degrees * (3.14159265358979323846 / 180);
  d.flip = (attr(call, "flip") != 0 && u[0] < 0.5) != variant.flip;
  d.cosine = __builtin_cos(radians);
  d.sine = __builtin_sin(radians);
  d.per_zoom = 1 / zoom;
  d.shift_x = (2 * u[3] - 1) * shift;
  d.shift_y = (2 * u[4] - 1) * shift;
  d.noise = __builtin_sqrt(noise * noise + variant.noise * variant.noise);
  d.plain = degrees == 0 && zoom == 1 && shift == 0 && x.shape[1] == call->in[0].shape[1] &&
            x.shape[2] == call->in[0].shape[2];
  return d;
}

// ---------------------------------------------------------------- pixels

struct Tables {
  const double *rows, *cols;     // output positions as source coordinates from the centre, before shift
  const double *scale, *offset;  // value = intensity * scale[c] + offset[c], intensity 0..1
  const float* values;           // [C, 256] of bytes, null for none
};

Tables fill_tables(const KernelCall* call) {
  const View &images = call->in[0], &x = call->out[0];
  const int64_t OH = x.shape[1], OW = x.shape[2], C = x.cols;
  auto* rows = static_cast<double*>(call->workspace);
  double *cols = rows + OH, *scale = cols + OW, *offset = scale + C;
  const auto H = (double)images.shape[1], width = (double)images.shape[2];
  for (int64_t o = 0; o < OH; ++o) rows[o] = ((double)o + 0.5) * H / (double)OH - 0.5 - (H - 1) / 2;
  for (int64_t o = 0; o < OW; ++o) cols[o] = ((double)o + 0.5) * width / (double)OW - 0.5 - (width - 1) / 2;
  const Attr *mean = find_attr(call, "mean"), *deviation = find_attr(call, "std");
  for (int64_t c = 0; c < C; ++c) {
    scale[c] = 1 / deviation->list[deviation->list_size > 1 ? c : 0];
    offset[c] = -mean->list[mean->list_size > 1 ? c : 0] * scale[c];
  }
  Tables tables = {rows, cols, scale, offset, nullptr};
  const int64_t at = params_of<Plan>(call)->values;
  if (at < 0) return tables;
  auto* const values = reinterpret_cast<float*>(static_cast<char*>(call->workspace) + at);
  for (int64_t i = 0; i < 256 * C; ++i) values[i] = (float)((double)(i % 256) / 255 * scale[i / 256] + offset[i / 256]);
  tables.values = values;
  return tables;
}

inline double clamp(double s, double last) { return s > 0 ? (s < last ? s : last) : 0; }  // NaN: 0

// Where an output pixel reads: four source pixels (as element offsets in the image) and two weights.
struct Site {
  int64_t a, b, c, d;
  double across, down;
};
Site site_of(const Draw& d, const View& images, double from_x, double from_y) {
  const int64_t H = images.shape[1], width = images.shape[2];
  const double b = d.flip ? -(from_x - d.shift_x) : from_x - d.shift_x, v = from_y - d.shift_y;
  const double sx = clamp((b * d.cosine - v * d.sine) * d.per_zoom + (double)(width - 1) / 2, (double)(width - 1));
  const double sy = clamp((b * d.sine + v * d.cosine) * d.per_zoom + (double)(H - 1) / 2, (double)(H - 1));
  const auto x0 = (int64_t)sx, y0 = (int64_t)sy;
  const int64_t x1 = min64(x0 + 1, width - 1), y1 = min64(y0 + 1, H - 1);
  return {(y0 * width + x0) * images.pitch,
          (y0 * width + x1) * images.pitch,
          (y1 * width + x0) * images.pitch,
          (y1 * width + x1) * images.pitch,
          sx - (double)x0,
          sy - (double)y0};
}

// A row whose pixels are source pixels, without noise.
template <int C>
void look_up_row(const float* values, const uint8_t* from, int64_t step, float* to, int64_t pitch, int64_t count) {
  for (int64_t i = 0; i < count; ++i, from += step, to += pitch)
    for (int c = 0; c < C; ++c) to[c] = values[256 * c + from[c]];
}

void look_up_row(int64_t channels, const float* values, const uint8_t* from, int64_t step, float* to, int64_t pitch,
                 int64_t count) {
  if (channels == 1) look_up_row<1>(values, from, step, to, pitch, count);
  if (channels == 2) look_up_row<2>(values, from, step, to, pitch, count);
  if (channels == 3) look_up_row<3>(values, from, step, to, pitch, count);
  if (channels == 4) look_up_row<4>(values, from, step, to, pitch, count);
}

void write_row(const KernelCall* call, const Tables& tables, const Draw& d, int64_t row, int64_t oy) {
  const View &images = call->in[0], &x = call->out[0];
  const int64_t OH = x.shape[1], OW = x.shape[2], C = x.cols, H = images.shape[1], width = images.shape[2];
  const uint8_t* image = static_cast<const uint8_t*>(images.data) + d.sample * H * width * images.pitch;
  if (tables.values && d.plain && d.noise == 0) {
    const uint8_t* const from = image + (oy * width + (d.flip ? width - 1 : 0)) * images.pitch;
    float* const to = floats_out(x) + (row * OH + oy) * OW * x.pitch;
    return look_up_row(C, tables.values, from, d.flip ? -images.pitch : images.pitch, to, x.pitch, OW);
  }
  Normals normals = {key_of(attr(call, "seed")), d.index, d.epoch, kNoise, -1, {}};
  for (int64_t ox = 0; ox < OW; ++ox) {
    float* to = floats_out(x) + ((row * OH + oy) * OW + ox) * x.pitch;
    Site site = {};
    if (d.plain)
      site.a = (oy * width + (d.flip ? width - 1 - ox : ox)) * images.pitch;
    else
      site = site_of(d, images, tables.cols[ox], tables.rows[oy]);
    for (int64_t c = 0; c < C; ++c) {
      double value = image[site.a + c];
      if (!d.plain) {
        const double above = value + site.across * ((double)image[site.b + c] - value);
        const double left = image[site.c + c], below = left + site.across * ((double)image[site.d + c] - left);
        value = above + site.down * (below - above);
      }
      value /= 255;
      if (d.noise != 0) value += d.noise * (double)normals.at((oy * OW + ox) * C + c);
      to[c] = (float)(value * tables.scale[c] + tables.offset[c]);
    }
  }
}

// images u8[T,H,W,C], labels[T], step[1] -> x[B,OH,OW,C], labels[B]
void run(const KernelCall* call) {
  const View& x = call->out[0];
  auto* draws = reinterpret_cast<Draw*>(static_cast<char*>(call->workspace) + params_of<Plan>(call)->draws);
  const Tables tables = fill_tables(call);
  for_groups(call->parallel, x.shape[0], 512, [&](int64_t b0, int64_t b1) {
    for (int64_t b = b0; b < b1; ++b) {
      draws[b] = draw_image(call, b);
      static_cast<int32_t*>(call->out[1].data)[b] = ints(call->in[1])[draws[b].sample];
    }
  });
  const int64_t OH = x.shape[1];
  for_groups(call->parallel, x.shape[0] * OH, x.shape[2] * x.cols * 4, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) write_row(call, tables, draws[r / OH], r / OH, r % OH);
  });
}

const Kernel kernels[] = {
    {"datasetBatch", prepare, run},
};

}  // namespace

extern const KernelList kDatasetKernels;
const KernelList kDatasetKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
