// Driver entries: initialisation, the device, its attributes and the primary context.
// The rule easy to break: a thread must make the context current before it may do more than ask about the device.
#include <cstdio>
#include <cstring>
#include <vector>

#include "device.h"

namespace softcuda {
namespace {

void* const kContext = reinterpret_cast<void*>(0x5c0);

thread_local std::vector<void*> current;

}  // namespace

int device_attribute(const Device& device, int which) {
  switch (which) {
    case kMaxThreadsPerBlock:
      return 1024;
    case kMaxBlockX:
    case kMaxBlockY:
      return 1024;
    case kMaxBlockZ:
      return 64;
    case kMaxGridX:
      return 2147483647;
    case kMaxGridY:
    case kMaxGridZ:
      return 65535;
    case kMaxSharedPerBlock:
      return 48 * 1024;
    case kMaxSharedOptin:
      return device.capability >= 90 && device.capability < 120 ? 227 * 1024
             : device.capability == 80                          ? 163 * 1024
             : device.capability == 75                          ? 64 * 1024
                                                                : 99 * 1024;
    case kMaxSharedPerMultiprocessor:
      return device_attribute(device, kMaxSharedOptin) + (device.capability == 75 ? 0 : 1024);
    case kReservedShared:
      return device.capability == 75 ? 0 : 1024;
    case kTotalConstant:
      return 64 * 1024;
    case kWarpSize:
      return 32;
    case kMaxRegistersPerBlock:
    case kMaxRegistersPerMultiprocessor:
      return 65536;
    case kClockRate:
      return 1000000;
    case kTextureAlignment:
      return 512;
    case kMultiprocessors:
      return device.multiprocessors;
    case kMaxThreadsPerMultiprocessor:
      return device.capability == 75 ? 1024 : device.capability >= 86 && device.capability != 90 ? 1536 : 2048;
    case kMaxBlocksPerMultiprocessor:
      return device.capability == 75                              ? 16
             : device.capability == 86                            ? 16
             : device.capability >= 89 && device.capability != 90 ? 24
                                                                  : 32;
    case kL2Size:
      return 4 << 20;
    case kConcurrentKernels:
    case kUnifiedAddressing:
    case kCooperativeLaunch:
    case kMemoryPools:
    case kGpuOverlap:
      return 1;
    case kAsyncEngines:
      return 2;
    case kMajor:
      return device.capability / 10;
    case kMinor:
      return device.capability % 10;
    default:
      return 0;
  }
}

bool has_context() { return !current.empty() && current.back() == kContext; }

}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuInit(unsigned flags) {
  return call("cuInit", Need::nothing, [=](Device& device) {
    require(flags == 0, "flags must be 0");
    device.initialised = true;
    return kSuccess;
  });
}
Result cuDriverGetVersion(int* version) {
  return call("cuDriverGetVersion", Need::nothing, [=](Device&) {
    require(version != nullptr, "no place for the version");
    *version = 13000;
    return kSuccess;
  });
}
Result cuDeviceGetCount(int* count) {
  return call("cuDeviceGetCount", Need::init, [=](Device&) {
    require(count != nullptr, "no place for the count");
    *count = 1;
    return kSuccess;
  });
}
Result cuDeviceGet(int* device, int ordinal) {
  return call("cuDeviceGet", Need::init, [=](Device&) {
    require(device != nullptr, "no place for the device");
    require(ordinal == 0, "there is one device", kInvalidDevice);
    *device = 0;
    return kSuccess;
  });
}
Result cuDeviceGetName(char* name, int length, int device) {
  return call("cuDeviceGetName", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    require(name != nullptr && length > 0, "no place for the name");
    std::snprintf(name, static_cast<size_t>(length), "Software CUDA device (sm_%d)", d.capability);
    return kSuccess;
  });
}
Result cuDeviceGetUuid_v2(void* uuid, int device) {
  return call("cuDeviceGetUuid_v2", Need::init, [=](Device&) {
    require(device == 0, "there is one device", kInvalidDevice);
    std::memcpy(uuid, "softcuda--device", 16);
    return kSuccess;
  });
}
Result cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return call("cuDeviceTotalMem_v2", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    *bytes = d.memory().limit;
    return kSuccess;
  });
}
Result cuDeviceGetAttribute(int* value, int which, int device) {
  return call("cuDeviceGetAttribute", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    require(value != nullptr && which > 0 && which < 200, "unknown attribute");
    *value = device_attribute(d, which);
    return kSuccess;
  });
}
Result cuDevicePrimaryCtxRetain(void** context, int device) {
  return call("cuDevicePrimaryCtxRetain", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    ++d.primary_references;
    *context = kContext;
    return kSuccess;
  });
}
Result cuDevicePrimaryCtxRelease_v2(int device) {
  return call("cuDevicePrimaryCtxRelease_v2", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    require(d.primary_references > 0, "the context is not retained", kInvalidContext);
    --d.primary_references;
    return kSuccess;
  });
}
Result cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  return call("cuDevicePrimaryCtxSetFlags_v2", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    d.primary_flags = flags;
    return kSuccess;
  });
}
Result cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
  return call("cuDevicePrimaryCtxGetState", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    *flags = d.primary_flags;
    *active = d.primary_references > 0;
    return kSuccess;
  });
}
/** Clears an error that has ended the context; what it held is gone, but its addresses are not handed out again. */
Result cuDevicePrimaryCtxReset_v2(int device) {
  return call("cuDevicePrimaryCtxReset_v2", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    d.sticky = kSuccess;
    return kSuccess;
  });
}
Result cuCtxSetCurrent(void* context) {
  return call("cuCtxSetCurrent", Need::init, [=](Device& d) {
    require(context == nullptr || (context == kContext && d.primary_references > 0), "no such context",
            kInvalidContext);
    if (current.empty()) current.push_back(nullptr);
    current.back() = context;
    return kSuccess;
  });
}
Result cuCtxGetCurrent(void** context) {
  return call("cuCtxGetCurrent", Need::init, [=](Device&) {
    *context = current.empty() ? nullptr : current.back();
    return kSuccess;
  });
}
Result cuCtxPushCurrent_v2(void* context) {
  return call("cuCtxPushCurrent_v2", Need::init, [=](Device& d) {
    require(context == kContext && d.primary_references > 0, "no such context", kInvalidContext);
    current.push_back(context);
    return kSuccess;
  });
}
Result cuCtxPopCurrent_v2(void** context) {
  return call("cuCtxPopCurrent_v2", Need::init, [=](Device&) {
    require(!current.empty(), "no context is current", kInvalidContext);
    if (context != nullptr) *context = current.back();
    current.pop_back();
    return kSuccess;
  });
}
Result cuCtxGetDevice(int* device) {
  return call("cuCtxGetDevice", Need::context, [=](Device&) {
    *device = 0;
    return kSuccess;
  });
}
Result cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return call("cuCtxGetStreamPriorityRange", Need::context, [=](Device&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return kSuccess;
  });
}
Result cuCtxSynchronize() {
  return call("cuCtxSynchronize", Need::context, [](Device& device) {
    device.forbid_in_capture(nullptr, "cuCtxSynchronize");
    ++device.counters.synchronisations;
    device.wait_for_all();
    return kSuccess;
  });
}
}
