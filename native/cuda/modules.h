// Which image runs on a device, and the modules loaded from them. Owned by the backend.
// The rule easy to break: a cubin runs on its own architecture only, PTX on that and every newer one.
#pragma once
#include <map>
#include <string>

#include "cuda/driver.h"
#include "cuda/images.h"

namespace gramian::cuda {

/**
 * The image of a module for a device: the exact cubin, else the newest PTX it can take; null when there is none.
 * GRAMIAN_CUDA_IMAGE (ptx80, sm75 ...) asks for one image instead, for tests. Without `cubins`, PTX only.
 */
const Image* choose_image(const std::string& module, int sm, bool cubins = true);

/** The same for the whole addon, as `gramian info` names it: "sm_86 cubin", "compute_80 PTX"; empty when none fits. */
std::string image_name(int sm);

class Modules {
 public:
  explicit Modules(int sm) : sm_(sm) {}
  ~Modules() = default;
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;

  /** Unloads all of them, with their context current. */
  void unload() noexcept;
  /**
   * The kernel of that name, its module loaded if need be and allowed this much dynamic shared memory. Throws
   * ERR_DEVICE, also when the kernel's one parameter has another size than the host's structure.
   */
  Function find(const char* module, const char* kernel, size_t parameter_bytes, unsigned shared_bytes);

 private:
  struct Kernel {
    Function function = nullptr;
    size_t parameter_bytes = 0;
    unsigned shared_bytes = 48 * 1024;
  };
  Module load(const char* module);

  const int sm_;
  std::map<std::string, Module> modules_;
  std::map<std::pair<Module, std::string>, Kernel> kernels_;
};

}  // namespace gramian::cuda
