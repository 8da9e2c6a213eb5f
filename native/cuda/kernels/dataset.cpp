// datasetBatch: two launches, one that draws what each image of the batch is, and one that makes its pixels.
// docs/ops.md ("Data on the device") is the specification. The rule easy to break: the step is a tensor on the device,
// so everything that follows from it is worked out there.
#include "cuda/kernels/dataset.h"

#include <cmath>

#include "core/text.h"
#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

// dataset.cu knows them by their numbers.
const char* const kVariants[] = {"identity", "flip",     "rotate+45", "rotate-45", "half",      "double",   "noise",
                                 "rotate+5", "rotate-5", "rotate+10", "rotate-10", "rotate+15", "rotate-15"};
constexpr int kMostVariants = 16;  // four bits each

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

struct Variants {
  int64_t count = 0;
  uint64_t packed = 0;
};

/** contracts.cpp knows no other name. */
uint64_t variant_number(const std::string& name) {
  uint64_t number = 0;
  while (name != kVariants[number]) ++number;
  return number;
}

/** Of "a,b,c"; the empty list means identity. */
Variants variants_of(const std::string& names) {
  Variants variants;
  for (size_t begin = 0; begin < names.size();) {
    size_t end = names.find(',', begin);
    if (end == std::string::npos) end = names.size();
    if (variants.count == kMostVariants)
      throw Error(Code::graph,
                  cat("[datasetBatch] expected at most ", kMostVariants, " variants, got \"", names, "\""));
    variants.packed |= variant_number(names.substr(begin, end - begin)) << (4 * variants.count++);
    begin = end + 1;
  }
  if (variants.count == 0) variants.count = 1;
  return variants;
}

void prepare_batch(Call& call) {
  const View& x = call.out[0];
  const Variants variants = variants_of(call.string("variants"));
  const double count = call.number("count");
  if (count * static_cast<double>(variants.count) > INT32_MAX)
    throw Error(Code::shape, "[datasetBatch] expected count times variants below 2^31 on cuda");
  for (const char* key : {"mean", "std"})
    if (call.list(key).size() > 1 && x.cols > kMostChannels)
      throw Error(Code::shape, cat("[datasetBatch] expected one ", key, " or at most ", kMostChannels,
                                   " channels on cuda, got ", x.cols));
  call.workspace_bytes = x.shape[0] * int64_t{sizeof(Draw)};
}

void enqueue_draws(const Call& call, Queue& queue) {
  const View &images = call.in[0], &x = call.out[0];
  const Variants variants = variants_of(call.string("variants"));
  const auto count = static_cast<int64_t>(call.number("count"));
  const int64_t total = count * variants.count, batch = x.shape[0];
  DrawParams params = {};
  params.labels = call.in[1].ints();
  params.step = call.in[2].ints();
  params.y = call.out[1].ints();
  params.draws = static_cast<Draw*>(call.workspace);
  params.key = key_of(call.number("seed"));
  params.batch = u32(batch);
  params.count = u32(count);
  params.total = u32(total);
  params.per_epoch = u32(total / batch > 0 ? total / batch : 1);
  params.half_bits = 1;
  while ((int64_t{1} << (2 * params.half_bits)) < total) ++params.half_bits;
  params.shuffle = call.number("shuffle") != 0;
  params.flip = call.number("flip") != 0;
  params.same_size = x.shape[1] == images.shape[1] && x.shape[2] == images.shape[2];
  params.variants = variants.packed;
  params.rotate = static_cast<float>(call.number("rotate"));
  params.scale_min = static_cast<float>(call.number("scaleMin"));
  params.scale_max = static_cast<float>(call.number("scaleMax"));
  params.shift = static_cast<float>(call.number("shift"));
  params.noise = static_cast<float>(call.number("noise"));
  queue.launch("dataset", "datasetDraw", {ceil_div(batch, 128)}, 128, params);
}

void enqueue_pixels(const Call& call, Queue& queue) {
  const View &images = call.in[0], &x = call.out[0];
  const std::vector<double>&mean = call.list("mean"), &deviation = call.list("std");
  const int64_t elements = x.shape[1] * x.shape[2] * x.cols, groups = ceil_div(elements, 4);
  PixelParams params = {};
  params.images = images.bytes();
  params.draws = static_cast<const Draw*>(call.workspace);
  params.x = x.floats();
  params.key = key_of(call.number("seed"));
  params.groups = make_divisor(groups);
  params.batch = u32(x.shape[0]);
  params.elements = u32(elements);
  params.channels = make_divisor(x.cols);
  params.width = make_divisor(x.shape[2]);
  params.height = u32(x.shape[1]);
  params.rows = u32(images.shape[1]);
  params.cols = u32(images.shape[2]);
  params.rows_each = static_cast<float>(images.shape[1]) / static_cast<float>(x.shape[1]);
  params.cols_each = static_cast<float>(images.shape[2]) / static_cast<float>(x.shape[2]);
  params.pitch_image = u32(images.pitch);
  params.pitch_x = u32(x.pitch);
  params.whole = images.dense() && x.dense() && elements % 4 == 0 &&
                 images.shape[1] * images.shape[2] * images.cols % 4 == 0 &&
                 reinterpret_cast<uintptr_t>(images.data) % 4 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  params.each_channel = mean.size() > 1 || deviation.size() > 1;
  for (size_t c = 0; c < (params.each_channel ? static_cast<size_t>(x.cols) : 1); ++c) {
    const double scale = 1 / deviation[deviation.size() > 1 ? c : 0];
    params.scale[c] = static_cast<float>(scale);
    params.offset[c] = static_cast<float>(-mean[mean.size() > 1 ? c : 0] * scale);
  }
  queue.launch("dataset", "datasetPixels", grid_for(call, x.shape[0] * groups, 256), 256, params);
}

// images u8[T,H,W,C], labels[T], step[1] -> x[B,OH,OW,C], labels[B]
void run_batch(const Call& call, Queue& queue) {
  enqueue_draws(call, queue);
  enqueue_pixels(call, queue);
}

const Kernel kernels[] = {{"datasetBatch", prepare_batch, run_batch}};

}  // namespace

extern const KernelList kDatasetKernels;
const KernelList kDatasetKernels = list_of(kernels);

}  // namespace gramian::cuda
