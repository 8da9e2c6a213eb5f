// The compiled kernels inside the addon: for every .cu file of kernels/ a cubin per architecture and PTX, as
// CMakeLists.txt made them. The list is empty in a build without nvcc.
// The rule easy to break: PTX images end with a zero byte, which is not counted in `bytes`.
#pragma once
#include <cstddef>

namespace gramian::cuda {

struct Image {
  const char* module;  // the .cu file's base name
  int sm;              // 75, 80, ...: what it was compiled for
  bool ptx;
  const unsigned char* data;
  size_t bytes;
};

extern const Image kImages[];
extern const size_t kImageCount;
/** The version of nvcc that made them. */
extern const char* const kToolkit;

}  // namespace gramian::cuda
