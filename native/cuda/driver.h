// The CUDA driver API as a table of our own, filled from libcuda.so.1 through cuGetProcAddress at first use: no header
// or library of CUDA is needed to build or load the addon. Prototypes and values are those of cuda.h 13.0. The rule
// easy to break: cuGetProcAddress takes base names; the version it gives follows from kDriverVersion, but a name that
// cuda.h maps to another one (cuGraphInstantiate) gives the old function: ask for the other name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/library.h"

namespace gramian::cuda {

using DevicePointer = uint64_t;
using Context = struct ContextTag*;
using Module = struct ModuleTag*;
using Function = struct FunctionTag*;
using Stream = struct StreamTag*;
using Event = struct EventTag*;
using GraphHandle = struct GraphTag*;
using GraphExec = struct GraphExecTag*;

constexpr int kDriverVersion = 13000;  // 13.0, the toolkit our PTX comes from; it comes with driver 580

enum DeviceAttribute : int {
  kMultiprocessors = 16,
  kMajor = 75,
  kMinor = 76,
  kMaxSharedOptin = 97,
};
enum FunctionAttribute : int { kMaxDynamicShared = 8 };
enum CaptureMode : int { kCaptureRelaxed = 2 };
enum StreamFlags : unsigned { kStreamNonBlocking = 1 };
enum EventFlags : unsigned { kEventTimed = 0, kEventUntimed = 2 };

class Driver {
 public:
  explicit Driver(const Resolver& resolver) : resolver_(resolver) {}
  template <typename... Args>
  using Call = Entry<fail_driver, Args...>;

 private:
  const Resolver& resolver_;  // first, because those below are made from it

 public:
  Call<unsigned> init{resolver_, "cuInit"};
  Call<int*> version{resolver_, "cuDriverGetVersion"};
  Call<int, const char**> error_name{resolver_, "cuGetErrorName"};
  Call<int*> device_count{resolver_, "cuDeviceGetCount"};
  Call<int*, int> device{resolver_, "cuDeviceGet"};
  Call<char*, int, int> device_name{resolver_, "cuDeviceGetName"};
  Call<size_t*, int> device_memory{resolver_, "cuDeviceTotalMem"};
  Call<int*, int, int> device_attribute{resolver_, "cuDeviceGetAttribute"};
  Call<Context*, int> retain_context{resolver_, "cuDevicePrimaryCtxRetain"};
  Call<int> release_context{resolver_, "cuDevicePrimaryCtxRelease"};
  Call<Context> push_context{resolver_, "cuCtxPushCurrent"};
  Call<Context*> pop_context{resolver_, "cuCtxPopCurrent"};

  Call<Module*, const void*> load_module{resolver_, "cuModuleLoadData"};
  Call<Module> unload_module{resolver_, "cuModuleUnload"};
  Call<Function*, Module, const char*> function{resolver_, "cuModuleGetFunction"};
  Call<Function, size_t, size_t*, size_t*> parameter{resolver_, "cuFuncGetParamInfo"};
  Call<Function, int, int> set_function{resolver_, "cuFuncSetAttribute"};
  Call<Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, void**, void**> launch{
      resolver_, "cuLaunchKernel"};

  Call<DevicePointer*, size_t> allocate{resolver_, "cuMemAlloc"};
  Call<DevicePointer> free{resolver_, "cuMemFree"};
  Call<void**, size_t, unsigned> allocate_host{resolver_, "cuMemHostAlloc"};
  Call<void*> free_host{resolver_, "cuMemFreeHost"};
  Call<DevicePointer, const void*, size_t, Stream> upload{resolver_, "cuMemcpyHtoDAsync"};
  Call<void*, DevicePointer, size_t, Stream> download{resolver_, "cuMemcpyDtoHAsync"};
  Call<DevicePointer, DevicePointer, size_t, Stream> copy{resolver_, "cuMemcpyDtoDAsync"};
  Call<DevicePointer, unsigned char, size_t, Stream> set_bytes{resolver_, "cuMemsetD8Async"};
  Call<DevicePointer, unsigned, size_t, Stream> set_words{resolver_, "cuMemsetD32Async"};

  Call<Stream*, unsigned> create_stream{resolver_, "cuStreamCreate"};
  Call<Stream> destroy_stream{resolver_, "cuStreamDestroy"};
  Call<Stream> synchronize{resolver_, "cuStreamSynchronize"};
  Call<Event*, unsigned> create_event{resolver_, "cuEventCreate"};
  Call<Event> destroy_event{resolver_, "cuEventDestroy"};
  Call<Event, Stream> record{resolver_, "cuEventRecord"};
  Call<Event> wait{resolver_, "cuEventSynchronize"};
  Call<float*, Event, Event> elapsed{resolver_, "cuEventElapsedTime"};
  Call<Stream, Event, unsigned> stream_wait{resolver_, "cuStreamWaitEvent"};

  Call<Stream, int> begin_capture{resolver_, "cuStreamBeginCapture"};
  Call<Stream, GraphHandle*> end_capture{resolver_, "cuStreamEndCapture"};
  Call<GraphExec*, GraphHandle, unsigned long long> instantiate{resolver_, "cuGraphInstantiateWithFlags"};
  Call<GraphHandle> destroy_graph{resolver_, "cuGraphDestroy"};
  Call<GraphExec> destroy_exec{resolver_, "cuGraphExecDestroy"};
  Call<GraphExec, Stream> upload_graph{resolver_, "cuGraphUpload"};
  Call<GraphExec, Stream> launch_graph{resolver_, "cuGraphLaunch"};
};

/** The driver, initialised. Throws ERR_DEVICE with driver_problem() when there is none. */
const Driver& driver();

/** Why there is no driver to use and what to do; empty when there is one. */
const std::string& driver_problem();

/** The version of CUDA a number stands for: 13000 is 13.0. */
std::string version_text(int version);

}  // namespace gramian::cuda
