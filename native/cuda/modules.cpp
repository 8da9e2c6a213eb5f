// See modules.h.
#include "cuda/modules.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "backend.h"
#include "core/error.h"
#include "core/text.h"

namespace gramian::cuda {
namespace {

constexpr int kNoBinaryForDevice = 209;

std::string label(const Image& image) { return cat(image.ptx ? "ptx" : "sm", image.sm); }

bool fits(const Image& image, int sm, const char* wanted) {
  if (image.ptx ? image.sm > sm : image.sm != sm) return false;
  return !wanted || !*wanted || label(image) == wanted;
}

/** The unpacked images of this process, the same for every thread's engine. */
struct Unpacked {
  std::mutex mutex;
  std::unique_ptr<unsigned char[]> bytes;
};

Unpacked& unpacked() {
  static Unpacked images;
  return images;
}

/** What the driver reads a module from. Throws ERR_DEVICE when no one has unpacked the images. */
const unsigned char* bytes_of(const Image& image) {
  Unpacked& images = unpacked();
  const std::lock_guard lock(images.mutex);
  if (!images.bytes) throw Error(Code::device, "[cuda] the kernels of the addon have not been unpacked");
  return images.bytes.get() + image.offset;
}

/** A cubin before PTX, newer PTX before older. */
bool better(const Image& image, const Image* best) {
  if (!best) return true;
  return best->ptx && (!image.ptx || image.sm > best->sm);
}

}  // namespace

PackedImages packed_images() {
  Unpacked& images = unpacked();
  const std::lock_guard lock(images.mutex);
  if (images.bytes) return {};
  return {kPacked, kPackedBytes};
}

void unpack_images(const unsigned char* bytes, size_t count) {
  if (count != kUnpackedBytes)
    throw Error(Code::argument, cat("[cuda] expected ", kUnpackedBytes, " bytes of kernels, got ", count));
  Unpacked& images = unpacked();
  const std::lock_guard lock(images.mutex);
  if (images.bytes) return;
  images.bytes = std::make_unique<unsigned char[]>(count);
  if (count > 0) memcpy(images.bytes.get(), bytes, count);  // a build without nvcc has none, and no address of them
}

const Image* choose_image(const std::string& module, int sm, bool cubins) {
  const char* wanted = getenv("GRAMIAN_CUDA_IMAGE");
  const Image* best = nullptr;
  for (size_t i = 0; i < kImageCount; ++i)
    if (kImages[i].module == module && (cubins || kImages[i].ptx) && fits(kImages[i], sm, wanted) &&
        better(kImages[i], best))
      best = &kImages[i];
  return best;
}

std::string image_name(int sm) {
  const Image* image = kImageCount == 0 ? nullptr : choose_image(kImages[0].module, sm);
  if (!image) return "";
  return image->ptx ? cat("compute_", image->sm, " PTX") : cat("sm_", image->sm, " cubin");
}

void Modules::unload() noexcept {
  for (const auto& [name, module] : modules_) driver().unload_module.attempt(module);
  modules_.clear();
  kernels_.clear();
}

Module Modules::load(const char* name) {
  const auto found = modules_.find(name);
  if (found != modules_.end()) return found->second;
  const Image* image = choose_image(name, sm_);
  if (!image) throw Error(Code::device, cat("[cuda] the addon holds no image of ", name, " for sm_", sm_));
  Module module = nullptr;
  const int code = driver().load_module.attempt(&module, bytes_of(*image));
  if (code == kNoBinaryForDevice && !image->ptx) image = choose_image(name, sm_, false);
  if (code && (code != kNoBinaryForDevice || !image)) fail_driver("cuModuleLoadData", code);
  if (code) driver().load_module(&module, bytes_of(*image));
  return modules_[name] = module;
}

Function Modules::find(const char* module_name, const char* name, size_t parameter_bytes, unsigned shared_bytes) {
  const Module module = load(module_name);
  Kernel& kernel = kernels_[{module, name}];
  if (!kernel.function) {
    size_t offset = 0;
    Function function = nullptr;
    driver().function(&function, module, name);
    driver().parameter(function, 0, &offset, &kernel.parameter_bytes);
    kernel.function = function;
  }
  if (kernel.parameter_bytes != parameter_bytes)
    throw Error(Code::device, cat("[cuda] ", name, " takes a parameter of ", kernel.parameter_bytes, " bytes, got ",
                                  parameter_bytes));
  if (shared_bytes > kernel.shared_bytes) {
    driver().set_function(kernel.function, kMaxDynamicShared, static_cast<int>(shared_bytes));
    kernel.shared_bytes = shared_bytes;
  }
  return kernel.function;
}

}  // namespace gramian::cuda
