// The compiled kernels inside the addon: for every .cu file of kernels/ a cubin per architecture and PTX, as
// cuda.cmake made them, compressed together by scripts/pack-cuda-images.mjs. JavaScript unpacks them with node:zlib and
// hands them back before the first plan of a CUDA device (src/compile.ts), so no decompressor is needed here.
// The list is empty in a build without nvcc.
// The rule easy to break: PTX images end with a zero byte, which is not counted in `bytes`.
#pragma once
#include <cstddef>

namespace gramian::cuda {

struct Image {
  const char* module;  // the .cu file's base name
  int sm;              // 75, 80, ...: what it was compiled for
  bool ptx;
  size_t offset, bytes;  // in the unpacked images
};

extern const Image kImages[];
extern const size_t kImageCount;
extern const unsigned char* const kPacked;
extern const size_t kPackedBytes, kUnpackedBytes;
/** The version of nvcc that made them. */
extern const char* const kToolkit;

}  // namespace gramian::cuda
