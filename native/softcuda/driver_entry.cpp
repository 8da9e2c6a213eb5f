// cuGetProcAddress, error names, and the one door through which the cuBLAS double enters a stream.
// The rule easy to break: cuGetProcAddress takes base names ("cuMemAlloc") and gives the version the headers map to.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "device.h"
#include "library.h"

namespace softcuda {
namespace {

struct ErrorText {
  Result code;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {kSuccess, "CUDA_SUCCESS", "no error"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {kInvalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kNoBinary, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {kInvalidPtx, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {kNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {kLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {kHostRegistered, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
     "part or all of the requested memory range is already mapped"},
    {kHostNotRegistered, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
     "pointer does not correspond to a registered memory region"},
    {kMisaligned, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {kNotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {kCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {kCaptureMerge, "CUDA_ERROR_STREAM_CAPTURE_MERGE",
     "operation would result in a merge of separate capture sequences"},
    {kCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {kCaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {kCaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {kCaptureImplicit, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {kCapturedEvent, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"}};

const ErrorText* find_error(Result code) {
  for (const ErrorText& row : kErrors)
    if (row.code == code) return &row;
  return nullptr;
}

/**
 * Base name -> exported name where they differ. Not in it: cuGraphInstantiate, for which a driver gives its old form of
 * five parameters whatever version is asked for (seen with driver 580), although cuda.h maps the name to WithFlags.
 */
constexpr std::pair<const char*, const char*> kVersions[] = {
    {"cuDeviceTotalMem", "cuDeviceTotalMem_v2"},
    {"cuDeviceGetUuid", "cuDeviceGetUuid_v2"},
    {"cuDevicePrimaryCtxRelease", "cuDevicePrimaryCtxRelease_v2"},
    {"cuDevicePrimaryCtxReset", "cuDevicePrimaryCtxReset_v2"},
    {"cuDevicePrimaryCtxSetFlags", "cuDevicePrimaryCtxSetFlags_v2"},
    {"cuCtxPushCurrent", "cuCtxPushCurrent_v2"},
    {"cuCtxPopCurrent", "cuCtxPopCurrent_v2"},
    {"cuModuleGetGlobal", "cuModuleGetGlobal_v2"},
    {"cuMemAlloc", "cuMemAlloc_v2"},
    {"cuMemFree", "cuMemFree_v2"},
    {"cuMemGetInfo", "cuMemGetInfo_v2"},
    {"cuMemAllocHost", "cuMemAllocHost_v2"},
    {"cuMemHostRegister", "cuMemHostRegister_v2"},
    {"cuMemcpyHtoD", "cuMemcpyHtoD_v2"},
    {"cuMemcpyDtoH", "cuMemcpyDtoH_v2"},
    {"cuMemcpyDtoD", "cuMemcpyDtoD_v2"},
    {"cuMemcpyHtoDAsync", "cuMemcpyHtoDAsync_v2"},
    {"cuMemcpyDtoHAsync", "cuMemcpyDtoHAsync_v2"},
    {"cuMemcpyDtoDAsync", "cuMemcpyDtoDAsync_v2"},
    {"cuMemsetD8", "cuMemsetD8_v2"},
    {"cuMemsetD16", "cuMemsetD16_v2"},
    {"cuMemsetD32", "cuMemsetD32_v2"},
    {"cuStreamDestroy", "cuStreamDestroy_v2"},
    {"cuEventDestroy", "cuEventDestroy_v2"},
    {"cuEventElapsedTime", "cuEventElapsedTime_v2"},
    {"cuStreamBeginCapture", "cuStreamBeginCapture_v2"},
    {"cuGraphAddKernelNode", "cuGraphAddKernelNode_v2"},
    {"cuGraphKernelNodeGetParams", "cuGraphKernelNodeGetParams_v2"},
    {"cuGraphExecKernelNodeSetParams", "cuGraphExecKernelNodeSetParams_v2"},
    {"cuGetProcAddress", "cuGetProcAddress_v2"}};

void* address_of(const char* base) {
  const std::string name = base;
  if (!name.starts_with("cu")) return nullptr;
  std::string exported = name;
  for (const auto& [plain, version] : kVersions)
    if (name == plain) exported = version;
  // A versioned name is no base name.
  if (exported == name && (name.ends_with("_v2") || name.ends_with("_v3"))) return nullptr;
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&address_of), &self) == 0) return nullptr;
  void* library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return nullptr;
  void* found = dlsym(library, exported.c_str());
  dlclose(library);
  return found;
}

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuGetErrorName(Result code, const char** name) {
  const ErrorText* row = find_error(code);
  *name = row == nullptr ? nullptr : row->name;
  return row == nullptr ? kInvalidValue : kSuccess;
}
Result cuGetErrorString(Result code, const char** text) {
  const ErrorText* row = find_error(code);
  *text = row == nullptr ? nullptr : row->text;
  return row == nullptr ? kInvalidValue : kSuccess;
}

/** status: 0 found, 1 not found. What is missing is also printed, since a caller may take it for an old driver. */
Result cuGetProcAddress_v2(const char* symbol, void** function, int, u64, int* status) {
  return call("cuGetProcAddress_v2", Need::nothing, [=](Device&) {
    require(symbol != nullptr && function != nullptr, "no symbol, or no place for its address");
    *function = address_of(symbol);
    if (status != nullptr) *status = *function == nullptr;
    if (*function != nullptr) return kSuccess;
    std::fprintf(stderr, "softcuda: %s is not implemented\n", symbol);
    throw Failure{kNotFound, std::string(symbol) + " is not implemented"};
  });
}

/** See library.h. */
Result softcudaLibraryCall(const LibraryCall* library) {
  return call(library->name, Need::context, [=](Device& device) {
    const LibraryCall of = *library;
    const std::vector<LibraryRange> ranges(of.ranges, of.ranges + of.range_count);
    const std::vector<u8> data(static_cast<const u8*>(of.data), static_cast<const u8*>(of.data) + of.data_bytes);
    const std::string name = of.name;
    Work work;
    work.kind = Work::Kind::library;
    work.name = name;
    work.run = [&device, of, ranges, data, name](const Stamp&) {
      ++device.counters.library_calls;
      LibraryCount& count = device.library[name];
      ++count.calls;
      count.flops += of.flops;
      for (const LibraryRange& range : ranges)
        for (u64 row = 0; row < range.rows; ++row) {
          const u64 at = range.address + row * range.stride;
          count.bytes += range.bytes;
          try {
            if (range.read) device.touch(at, range.bytes, false, name);
            if (range.written) device.touch(at, range.bytes, true, name);
          } catch (const Failure&) {
            // As a kernel of the library would fail: the finding is kept, nothing is computed.
            device.note_finding(Check::bounds, name, "an operand lies outside its memory");
            return;
          }
        }
      of.compute(data.data(), device.memory().host_offset());
    };
    device.submit(device.stream(of.stream), std::move(work));
    return kSuccess;
  });
}
}
