// The part of the CUDA driver API's binary interface that is implemented here, declared by ourselves so that the test
// tool builds without a CUDA toolkit. Values and layouts are those of cuda.h 13.0; abi_check.cpp compares them with the
// real header where there is one. The rule easy to break: structures must keep the header's order and sizes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace softcuda {

using Result = int;  // CUresult
inline constexpr Result kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2, kNotInitialized = 3, kInvalidDevice = 101,
                        kInvalidImage = 200, kInvalidContext = 201, kNoBinary = 209, kInvalidPtx = 218,
                        kInvalidHandle = 400, kNotFound = 500, kNotReady = 600, kIllegalAddress = 700,
                        kLaunchOutOfResources = 701, kMisaligned = 716, kLaunchFailed = 719, kNotSupported = 801,
                        kCaptureUnsupported = 900, kCaptureInvalidated = 901, kCaptureMerge = 902,
                        kCaptureUnmatched = 903, kCaptureUnjoined = 904, kCaptureIsolation = 905,
                        kCaptureImplicit = 906, kCapturedEvent = 907, kHostRegistered = 712, kHostNotRegistered = 713;

struct KernelNodeParams {  // CUDA_KERNEL_NODE_PARAMS_v2
  void* function;
  unsigned grid[3], block[3], shared;
  void** parameters;
  void** extra;
  void* kernel;
  void* context;
};

struct LaunchConfig {  // CUlaunchConfig
  unsigned grid[3], block[3], shared;
  void* stream;
  void* attributes;
  unsigned attribute_count;
};

inline constexpr unsigned kStreamNonBlocking = 1, kCaptureActive = 1, kCaptureInvalid = 2;
inline void* const kLegacyStream = reinterpret_cast<void*>(1);
inline void* const kPerThreadStream = reinterpret_cast<void*>(2);
/** Keys of the `extra` array of a launch. */
inline void* const kParamEnd = reinterpret_cast<void*>(0);
inline void* const kParamBuffer = reinterpret_cast<void*>(1);
inline void* const kParamSize = reinterpret_cast<void*>(2);

/** CUdevice_attribute */
enum Attribute : int {
  kMaxThreadsPerBlock = 1,
  kMaxBlockX,
  kMaxBlockY,
  kMaxBlockZ,
  kMaxGridX,
  kMaxGridY,
  kMaxGridZ,
  kMaxSharedPerBlock,
  kTotalConstant,
  kWarpSize,
  kMaxPitch,
  kMaxRegistersPerBlock,
  kClockRate,
  kTextureAlignment,
  kGpuOverlap,
  kMultiprocessors,
  kIntegrated = 18,
  kConcurrentKernels = 31,
  kPciBus = 33,
  kPciDevice = 34,
  kAsyncEngines = 40,
  kUnifiedAddressing = 41,
  kMaxThreadsPerMultiprocessor = 39,
  kL2Size = 38,
  kMajor = 75,
  kMinor = 76,
  kMaxSharedPerMultiprocessor = 81,
  kMaxRegistersPerMultiprocessor = 82,
  kCooperativeLaunch = 95,
  kMaxSharedOptin = 97,
  kMaxBlocksPerMultiprocessor = 106,
  kReservedShared = 111,
  kMemoryPools = 115
};

/** CUfunction_attribute */
enum FunctionAttribute : int {
  kFunctionMaxThreads = 0,
  kFunctionShared,
  kFunctionConst,
  kFunctionLocal,
  kFunctionRegisters,
  kFunctionPtxVersion,
  kFunctionBinaryVersion,
  kFunctionCacheMode,
  kFunctionMaxDynamicShared,
  kFunctionCarveout
};

}  // namespace softcuda
