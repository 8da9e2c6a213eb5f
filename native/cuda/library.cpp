// See library.h.
#include "cuda/library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "core/text.h"

namespace gramian::cuda {
namespace {

/** The folder of the addon's own file; a marker whose address lies in it. */
std::string addon_folder() {
  static const char marker = 0;
  Dl_info info;
  if (dladdr(&marker, &info) == 0 || info.dli_fname == nullptr) return ".";
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

void* open_one(const std::string& file, std::string& tried) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library) return library;
  const char* why = dlerror();
  tried += cat(tried.empty() ? "" : "; ", why ? why : file.c_str());
  return nullptr;
}

bool set(const char* value) { return value && *value && std::string(value) != "0"; }

}  // namespace

void* open_library(const std::vector<std::string>& names, std::string& tried) {
  std::vector<std::string> folders;
  const char* folder = getenv("GRAMIAN_CUDA_LIBRARY");
  if (set(getenv("GRAMIAN_SOFTCUDA"))) {
    folders.push_back(addon_folder() + "/../softcuda/");
  } else {
    if (set(folder)) folders.push_back(std::string(folder) + "/");
    folders.push_back("");
  }
  for (const std::string& before : folders)
    for (const std::string& name : names)
      if (void* library = open_one(before + name, tried)) return library;
  return nullptr;
}

}  // namespace gramian::cuda
