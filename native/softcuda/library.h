// The door between libcublas.so.13 and libcuda.so.1: a call with its operands' ranges and a function that computes it.
// Called by cublas.cpp, implemented in driver_entry.cpp. The rule easy to break: `data` is copied, since a captured
// call runs later, and `compute` gets what makes a host address of a device address.
#pragma once
#include "types.h"

namespace softcuda {

/** rows ranges of `bytes`, `stride` apart. */
struct LibraryRange {
  u64 address, bytes, rows, stride;
  bool read, written;
};

struct LibraryCall {
  const char* name;
  void* stream;
  const LibraryRange* ranges;
  size_t range_count;
  u64 flops;
  const void* data;
  size_t data_bytes;
  void (*compute)(const void* data, uintptr_t memory);
};

}  // namespace softcuda

extern "C" int softcudaLibraryCall(const softcuda::LibraryCall* call);
