// See driver.h.
#include "cuda/driver.h"

#include <dlfcn.h>

#include <optional>

#include "core/error.h"
#include "core/text.h"

namespace gramian::cuda {
namespace {

const char* const kUpdate = "install the NVIDIA driver 580 or newer";

using GetProcAddress = int (*)(const char*, void**, int, uint64_t, int*);

struct Search {
  GetProcAddress get = nullptr;
  std::string missing;
};

void* find_entry(void* context, const char* name) {
  auto& search = *static_cast<Search*>(context);
  void* found = nullptr;
  if (search.get(name, &found, kDriverVersion, 0, nullptr) == 0 && found) return found;
  search.missing += search.missing.empty() ? name : cat(", ", name);
  return nullptr;
}

struct Loaded {
  std::optional<Driver> driver;
  std::string problem;
};

Loaded load() {
  Loaded loaded;
  std::string tried;
  void* library = open_library({"libcuda.so.1"}, tried);
  if (!library) return {{}, cat("libcuda.so.1 cannot be opened (", tried, "): ", kUpdate)};
  Search search;
  search.get = reinterpret_cast<GetProcAddress>(dlsym(library, "cuGetProcAddress_v2"));
  if (!search.get) return {{}, cat("the driver is older than CUDA 12: ", kUpdate)};
  const Resolver resolver{&search, find_entry};
  loaded.driver.emplace(resolver);
  if (!search.missing.empty()) return {{}, cat("the driver lacks ", search.missing, ": ", kUpdate)};
  return loaded;
}

/** Asks the driver that was opened whether it can be used. */
std::string first_problem(const Driver& api) {
  if (const int code = api.init.attempt(0)) {
    const char* name = nullptr;
    api.error_name.attempt(code, &name);
    if (code == 100) return "the NVIDIA driver finds no CUDA device";
    return cat("cuInit failed: ", name ? name : "unknown error", " (", code,
               "): is the driver's kernel module loaded?");
  }
  int version = 0, count = 0;
  if (api.version.attempt(&version) || version < kDriverVersion)
    return cat("the NVIDIA driver supports CUDA ", version_text(version), ", expected ", version_text(kDriverVersion),
               " or newer: ", kUpdate);
  if (api.device_count.attempt(&count) || count == 0) return "the NVIDIA driver finds no CUDA device";
  return "";
}

const Loaded& loaded() {
  static const Loaded result = [] {
    Loaded made = load();
    if (made.driver) made.problem = first_problem(*made.driver);
    return made;
  }();
  return result;
}

const char* advice(int code) {
  switch (code) {
    case 2:
      return "the device has not enough free memory; take a smaller batch or stop other programs that use it";
    case 100:
    case 101:
      return "gramian info lists the devices there are";
    case 209:
    case 218:
    case 222:
      return "the driver cannot take our kernels; install the NVIDIA driver 580 or newer";
    case 700:
    case 714:
    case 715:
    case 716:
    case 717:
    case 718:
    case 719:
      return "a kernel failed and the device's context is lost; start the process again, and please report this";
    default:
      return "start the process again; if it stays, the system's log says more about the driver";
  }
}

}  // namespace

void fail_driver(const char* name, int code) {
  const char* text = nullptr;
  if (loaded().driver) loaded().driver->error_name.attempt(code, &text);
  throw Error(Code::device,
              cat("[cuda] ", name, " failed: ", text ? text : "unknown error", " (", code, "): ", advice(code)));
}

const std::string& driver_problem() { return loaded().problem; }

const Driver& driver() {
  const Loaded& made = loaded();
  if (!made.problem.empty()) throw Error(Code::device, cat("[cuda] the device is not available: ", made.problem));
  return *made.driver;
}

std::string version_text(int version) { return cat(version / 1000, ".", version % 1000 / 10); }

}  // namespace gramian::cuda
