// datasetBatch: draws, augments and scales a batch from a data set that lives on the device as bytes. docs/ops.md says
// which sample is where in which batch and how the affine map is composed.
// The rule easy to break: everything is a function of (seed, step, row), so a resumed run sees the same batches.
#include "cpu/kernels/philox.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int kMaxVariants = 7;
constexpr double kPi = 3.14159265358979323846;

// One of the fixed variants of the papers' sevenfold set.
struct Variant {
  const char* name;
  bool flip;
  double degrees, zoom, noise;
};
const Variant kVariants[kMaxVariants] = {
    {"identity", false, 0, 1, 0},    {"flip", true, 0, 1, 0},    {"rotate+45", false, 45, 1, 0},
    {"rotate-45", false, -45, 1, 0}, {"half", false, 0, 0.5, 0}, {"double", false, 0, 2, 0},
    {"noise", false, 0, 1, 0.05},
};

struct Params {
  int variants[kMaxVariants];
  int variant_count;
};

int variant_named(const char* name, size_t length) {
  for (int i = 0; i < kMaxVariants; ++i)
    if (strlen(kVariants[i].name) == length && memcmp(kVariants[i].name, name, length) == 0) return i;
  return -1;
}

void prepare_dataset(KernelCall* call) {
  Params* params = params_of<Params>(call);
  params->variant_count = 0;
  const char* text = attr_string(call, "variants");
  while (*text != 0) {
    const char* end = strchr(text, ',');
    const size_t length = end ? (size_t)(end - text) : strlen(text);
    const int variant = variant_named(text, length);
    if (variant < 0 || params->variant_count == kMaxVariants) {
      call->error =
          "datasetBatch's variants are up to seven of identity, flip, rotate+45, rotate-45, half, double, noise";
      return;
    }
    params->variants[params->variant_count++] = variant;
    text += length + (end ? 1 : 0);
  }
  if (params->variant_count == 0) params->variants[params->variant_count++] = 0;
}

// The map and noise of one training image.
struct Draw {
  bool flip;
  double angle, zoom, shift_x, shift_y;
  float noise;
};

Draw draw(const KernelCall* call, PhiloxKey key, const Variant& variant, uint32_t index, uint32_t epoch) {
  const Words a = philox(key, 0, index, epoch, 1), b = philox(key, 1, index, epoch, 1);
  const double shift = attr(call, "shift"), noise = attr(call, "noise");
  const double low = attr(call, "scaleMin", 1), high = attr(call, "scaleMax", 1);
  const bool random_flip = attr(call, "flip") != 0 && uniform(a.w[0]) < 0.5f;
  const double degrees = (2 * (double)uniform(a.w[1]) - 1) * attr(call, "rotate") + variant.degrees;
  return {random_flip != variant.flip,
          degrees * kPi / 180,
          (low + (double)uniform(a.w[2]) * (high - low)) * variant.zoom,
          (2 * (double)uniform(a.w[3]) - 1) * shift,
          (2 * (double)uniform(b.w[0]) - 1) * shift,
          (float)__builtin_sqrt(noise * noise + variant.noise * variant.noise)};
}

// One image of the data set and the row of the batch it becomes.
struct Job {
  const uint8_t* image;
  int64_t height, width, channels, out_height, out_width;
  float* out;
  int64_t pitch;  // elements between two pixels of `out`
};

double clamp(double value, double high) { return value < 0 ? 0 : value > high ? high : value; }

// Bilinear sampling through the affine map, pixel values in 0..255.
void sample(const Job& job, const Draw& d) {
  const double cosine = __builtin_cos(d.angle) / d.zoom, sine = __builtin_sin(d.angle) / d.zoom;
  const double middle_x = (double)(job.width - 1) / 2, middle_y = (double)(job.height - 1) / 2;
  for (int64_t oy = 0; oy < job.out_height; ++oy) {
    const double v = ((double)oy + 0.5) * (double)job.height / (double)job.out_height - 0.5 - middle_y - d.shift_y;
    for (int64_t ox = 0; ox < job.out_width; ++ox) {
      double b = ((double)ox + 0.5) * (double)job.width / (double)job.out_width - 0.5 - middle_x - d.shift_x;
      if (d.flip) b = -b;
      const double x = clamp(b * cosine - v * sine + middle_x, (double)(job.width - 1));
      const double y = clamp(b * sine + v * cosine + middle_y, (double)(job.height - 1));
      const int64_t x0 = (int64_t)x, y0 = (int64_t)y;
      const int64_t x1 = min64(x0 + 1, job.width - 1), y1 = min64(y0 + 1, job.height - 1);
      const float fx = (float)(x - (double)x0), fy = (float)(y - (double)y0);
      const uint8_t* top = job.image + y0 * job.width * job.channels;
      const uint8_t* bottom = job.image + y1 * job.width * job.channels;
      float* to = job.out + (oy * job.out_width + ox) * job.pitch;
      for (int64_t c = 0; c < job.channels; ++c) {
        const float upper = (float)top[x0 * job.channels + c] * (1 - fx) + (float)top[x1 * job.channels + c] * fx;
        const float lower = (float)bottom[x0 * job.channels + c] * (1 - fx) + (float)bottom[x1 * job.channels + c] * fx;
        to[c] = upper * (1 - fy) + lower * fy;
      }
    }
  }
}

// The same without a map: pixel for pixel.
void copy_pixels(const Job& job) {
  const int64_t pixels = job.out_height * job.out_width;
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t c = 0; c < job.channels; ++c) job.out[i * job.pitch + c] = (float)job.image[i * job.channels + c];
}

// value = (pixel/255 + noise*normal - mean)/std, in place.
void scale_pixels(const KernelCall* call, const Job& job, PhiloxKey key, float noise, uint32_t index, uint32_t epoch) {
  const Attr *mean = find_attr(call, "mean"), *std = find_attr(call, "std");
  const int64_t elements = job.out_height * job.out_width * job.channels;
  for (int64_t c = 0; c < job.channels; ++c) {
    const float centre = (float)mean->list[c % mean->list_size], width = (float)std->list[c % std->list_size];
    for (int64_t i = 0; i < job.out_height * job.out_width; ++i) {
      float* value = job.out + i * job.pitch + c;
      *value = (*value / 255.0f - centre) / width;
    }
  }
  if (noise == 0) return;
  for (int64_t first = 0; first < elements; first += 4) {
    const Words words = philox(key, (uint32_t)(first / 4), index, epoch, 2);
    float normal[4];
    normal_pair(words.w[0], words.w[1], &normal[0], &normal[1]);
    normal_pair(words.w[2], words.w[3], &normal[2], &normal[3]);
    for (int64_t e = first; e < min64(first + 4, elements); ++e) {
      const int64_t c = e % job.channels;
      job.out[e / job.channels * job.pitch + c] += noise * normal[e - first] / (float)std->list[c % std->list_size];
    }
  }
}

void run_dataset(const KernelCall* call) {
  const View &images = call->in[0], &x = call->out[0];
  const Params* params = params_of<Params>(call);
  const PhiloxKey key = philox_key(attr(call, "seed"));
  const int64_t count = (int64_t)attr(call, "count"), batch = x.shape[0], total = count * params->variant_count;
  const int64_t steps = max64(1, total / batch);
  const int64_t step = static_cast<const int32_t*>(call->in[2].data)[0];
  if (step < 0) {
    *call->failure = "[datasetBatch] the step counter is negative";
    return;
  }
  const uint32_t epoch = (uint32_t)(step / steps);
  const bool shuffle = attr(call, "shuffle") != 0;
  const bool same_size = images.shape[1] == x.shape[1] && images.shape[2] == x.shape[2];
  const int64_t bytes = images.shape[1] * images.shape[2] * images.shape[3];
  parallel_for(call->parallel, batch, [&](int64_t row) {
    const int64_t position = (step % steps * batch + row) % total;
    const int64_t index = shuffle ? permute(key, total, epoch, position) : position;
    const Variant& variant = kVariants[params->variants[index / count]];
    const Draw d = draw(call, key, variant, (uint32_t)index, epoch);
    const Job job = {static_cast<const uint8_t*>(images.data) + index % count * bytes,
                     images.shape[1],
                     images.shape[2],
                     images.shape[3],
                     x.shape[1],
                     x.shape[2],
                     floats_out(x) + row * x.shape[1] * x.shape[2] * x.pitch,
                     x.pitch};
    if (same_size && !d.flip && d.angle == 0 && d.zoom == 1 && d.shift_x == 0 && d.shift_y == 0)
      copy_pixels(job);
    else
      sample(job, d);
    scale_pixels(call, job, key, d.noise, (uint32_t)index, epoch);
    static_cast<int32_t*>(call->out[1].data)[row] = static_cast<const int32_t*>(call->in[1].data)[index % count];
  });
}

const Kernel kernels[] = {{"datasetBatch", prepare_dataset, run_dataset}};

}  // namespace

extern const KernelList kDatasetKernels;
const KernelList kDatasetKernels = {kernels, 1};

}  // namespace gramian::cpu::GRAMIAN_ISA
