// Compares abi.h with the real cuda.h at compile time; compiled only where there is a CUDA toolkit, and never linked.
// The rule easy to break: every number and structure of abi.h that a caller can see belongs in here.
#include <cuda.h>

#include "abi.h"

namespace softcuda {

static_assert(sizeof(KernelNodeParams) == sizeof(CUDA_KERNEL_NODE_PARAMS_v2));
static_assert(offsetof(KernelNodeParams, function) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, func));
static_assert(offsetof(KernelNodeParams, grid) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, gridDimX));
static_assert(offsetof(KernelNodeParams, block) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, blockDimX));
static_assert(offsetof(KernelNodeParams, shared) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, sharedMemBytes));
static_assert(offsetof(KernelNodeParams, parameters) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, kernelParams));
static_assert(offsetof(KernelNodeParams, extra) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, extra));
static_assert(offsetof(KernelNodeParams, kernel) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, kern));
static_assert(sizeof(LaunchConfig) == sizeof(CUlaunchConfig));
static_assert(offsetof(LaunchConfig, stream) == offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(LaunchConfig, attribute_count) == offsetof(CUlaunchConfig, numAttrs));

static_assert(kInvalidValue == CUDA_ERROR_INVALID_VALUE && kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY &&
              kNotInitialized == CUDA_ERROR_NOT_INITIALIZED && kInvalidDevice == CUDA_ERROR_INVALID_DEVICE &&
              kInvalidImage == CUDA_ERROR_INVALID_IMAGE && kInvalidContext == CUDA_ERROR_INVALID_CONTEXT &&
              kNoBinary == CUDA_ERROR_NO_BINARY_FOR_GPU && kInvalidPtx == CUDA_ERROR_INVALID_PTX &&
              kInvalidHandle == CUDA_ERROR_INVALID_HANDLE && kNotFound == CUDA_ERROR_NOT_FOUND &&
              kNotReady == CUDA_ERROR_NOT_READY && kIllegalAddress == CUDA_ERROR_ILLEGAL_ADDRESS &&
              kLaunchOutOfResources == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES &&
              kMisaligned == CUDA_ERROR_MISALIGNED_ADDRESS && kLaunchFailed == CUDA_ERROR_LAUNCH_FAILED &&
              kNotSupported == CUDA_ERROR_NOT_SUPPORTED &&
              kHostRegistered == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED &&
              kHostNotRegistered == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
static_assert(kCaptureUnsupported == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED &&
              kCaptureInvalidated == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED &&
              kCaptureMerge == CUDA_ERROR_STREAM_CAPTURE_MERGE &&
              kCaptureUnmatched == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED &&
              kCaptureUnjoined == CUDA_ERROR_STREAM_CAPTURE_UNJOINED &&
              kCaptureIsolation == CUDA_ERROR_STREAM_CAPTURE_ISOLATION &&
              kCaptureImplicit == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT && kCapturedEvent == CUDA_ERROR_CAPTURED_EVENT);
static_assert(kStreamNonBlocking == CU_STREAM_NON_BLOCKING && kCaptureActive == CU_STREAM_CAPTURE_STATUS_ACTIVE &&
              kCaptureInvalid == CU_STREAM_CAPTURE_STATUS_INVALIDATED);

#define SAME(ours, theirs) static_assert(int(ours) == int(CU_DEVICE_ATTRIBUTE_##theirs))
SAME(kMaxThreadsPerBlock, MAX_THREADS_PER_BLOCK);
SAME(kMaxBlockX, MAX_BLOCK_DIM_X);
SAME(kMaxGridX, MAX_GRID_DIM_X);
SAME(kMaxGridZ, MAX_GRID_DIM_Z);
SAME(kMaxSharedPerBlock, MAX_SHARED_MEMORY_PER_BLOCK);
SAME(kTotalConstant, TOTAL_CONSTANT_MEMORY);
SAME(kWarpSize, WARP_SIZE);
SAME(kMaxRegistersPerBlock, MAX_REGISTERS_PER_BLOCK);
SAME(kClockRate, CLOCK_RATE);
SAME(kTextureAlignment, TEXTURE_ALIGNMENT);
SAME(kGpuOverlap, GPU_OVERLAP);
SAME(kMultiprocessors, MULTIPROCESSOR_COUNT);
SAME(kIntegrated, INTEGRATED);
SAME(kConcurrentKernels, CONCURRENT_KERNELS);
SAME(kPciBus, PCI_BUS_ID);
SAME(kPciDevice, PCI_DEVICE_ID);
SAME(kAsyncEngines, ASYNC_ENGINE_COUNT);
SAME(kUnifiedAddressing, UNIFIED_ADDRESSING);
SAME(kMaxThreadsPerMultiprocessor, MAX_THREADS_PER_MULTIPROCESSOR);
SAME(kL2Size, L2_CACHE_SIZE);
SAME(kMajor, COMPUTE_CAPABILITY_MAJOR);
SAME(kMinor, COMPUTE_CAPABILITY_MINOR);
SAME(kMaxSharedPerMultiprocessor, MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
SAME(kMaxRegistersPerMultiprocessor, MAX_REGISTERS_PER_MULTIPROCESSOR);
SAME(kCooperativeLaunch, COOPERATIVE_LAUNCH);
SAME(kMaxSharedOptin, MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(kMaxBlocksPerMultiprocessor, MAX_BLOCKS_PER_MULTIPROCESSOR);
SAME(kReservedShared, RESERVED_SHARED_MEMORY_PER_BLOCK);
SAME(kMemoryPools, MEMORY_POOLS_SUPPORTED);
#undef SAME
#define SAME(ours, theirs) static_assert(int(ours) == int(CU_FUNC_ATTRIBUTE_##theirs))
SAME(kFunctionMaxThreads, MAX_THREADS_PER_BLOCK);
SAME(kFunctionShared, SHARED_SIZE_BYTES);
SAME(kFunctionLocal, LOCAL_SIZE_BYTES);
SAME(kFunctionRegisters, NUM_REGS);
SAME(kFunctionMaxDynamicShared, MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(kFunctionCarveout, PREFERRED_SHARED_MEMORY_CARVEOUT);
#undef SAME

}  // namespace softcuda
