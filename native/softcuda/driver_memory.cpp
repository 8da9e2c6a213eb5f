// Driver entries: device memory, pools, pinned host memory.
// The rule easy to break: memory from a pool is ordered like work: using it on another stream before its allocation, or
// after its release, is a finding.
#include <cstdlib>

#include "device.h"

namespace softcuda {
namespace {

u64 allocate(Device& device, size_t bytes) {
  require(bytes > 0, "an allocation of no bytes");
  const u64 address = device.memory().allocate(bytes);
  if (address == 0)
    throw Failure{kOutOfMemory, std::to_string(bytes) + " bytes wanted, " +
                                    std::to_string(device.memory().limit - device.memory().used()) + " free"};
  ++device.counters.allocations;
  return address;
}

/** An allocation or release as an operation that touches the whole range. */
void mark_in_order(Device& device, Stream& stream, u64 address, u64 bytes, const char* name) {
  Work work;
  work.name = name;
  work.run = [&device, address, bytes](const Stamp&) { device.memory().mark(address, address + bytes, kWritten); };
  device.submit(stream, std::move(work));
  device.memory().forget_initialised(address, address + bytes);
}

Result allocate_async(Device& device, u64* address, size_t bytes, void* handle) {
  Stream& stream = device.stream(handle);
  device.forbid_in_capture(&stream, "an allocation from a pool (a memory node)");
  *address = allocate(device, bytes);
  mark_in_order(device, stream, *address, bytes, "an allocation");
  return kSuccess;
}

void release(Device& device, u64 address) {
  if (address == 0) return;
  if (device.memory().release(address)) {
    ++device.counters.frees;
    return;
  }
  device.note_finding(
      Check::freed, "a release",
      device.memory().was_freed(address) ? "of memory that is free already" : "of no allocation's start");
  device.findings().take_error();
  throw Failure{kInvalidValue, "no live allocation starts there"};
}

Pool& pool_at(Device& device, void* handle) { return device.at<Pool>(handle, Object::Kind::pool, kInvalidValue); }

void* default_pool(Device& device) {
  for (const auto& [handle, object] : device.objects())
    if (object->kind == Object::Kind::pool) return handle;
  return device.add(std::make_unique<Pool>());
}

Result pin(Device& device, void** memory, size_t bytes) {
  require(memory != nullptr && bytes > 0, "no place for the address, or no bytes");
  *memory = std::aligned_alloc(4096, round_up(bytes, 4096));
  require(*memory != nullptr, "no host memory", kOutOfMemory);
  device.pinned[reinterpret_cast<uintptr_t>(*memory)] = bytes;
  ++device.counters.allocations;
  return kSuccess;
}

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuMemAlloc_v2(u64* address, size_t bytes) {
  return call("cuMemAlloc_v2", Need::context, [=](Device& device) {
    require(address != nullptr, "no place for the address");
    device.forbid_in_capture(nullptr, "cuMemAlloc");
    *address = allocate(device, bytes);
    return kSuccess;
  });
}
Result cuMemFree_v2(u64 address) {
  return call("cuMemFree_v2", Need::context, [=](Device& device) {
    device.forbid_in_capture(nullptr, "cuMemFree");
    release(device, address);
    return kSuccess;
  });
}
Result cuMemGetInfo_v2(size_t* available, size_t* total) {
  return call("cuMemGetInfo_v2", Need::context, [=](Device& device) {
    *total = device.memory().limit;
    *available = device.memory().limit - device.memory().used();
    return kSuccess;
  });
}
Result cuMemAllocAsync(u64* address, size_t bytes, void* stream) {
  return call("cuMemAllocAsync", Need::context,
              [=](Device& device) { return allocate_async(device, address, bytes, stream); });
}
Result cuMemAllocFromPoolAsync(u64* address, size_t bytes, void* pool, void* stream) {
  return call("cuMemAllocFromPoolAsync", Need::context, [=](Device& device) {
    pool_at(device, pool);
    return allocate_async(device, address, bytes, stream);
  });
}
Result cuMemFreeAsync(u64 address, void* stream) {
  return call("cuMemFreeAsync", Need::context, [=](Device& device) {
    Stream& on = device.stream(stream);
    device.forbid_in_capture(&on, "a release into a pool (a memory node)");
    const Allocation* range = device.memory().find(address);
    if (range != nullptr && range->lo == address)
      mark_in_order(device, on, address, range->hi - range->lo, "a release");
    release(device, address);
    return kSuccess;
  });
}
Result cuDeviceGetDefaultMemPool(void** pool, int device) {
  return call("cuDeviceGetDefaultMemPool", Need::init, [=](Device& d) {
    require(device == 0, "there is one device", kInvalidDevice);
    *pool = default_pool(d);
    return kSuccess;
  });
}
Result cuDeviceGetMemPool(void** pool, int device) { return cuDeviceGetDefaultMemPool(pool, device); }
Result cuMemPoolSetAttribute(void* pool, int, void* value) {
  return call("cuMemPoolSetAttribute", Need::context, [=](Device& device) {
    require(value != nullptr, "no value");
    pool_at(device, pool).threshold = *static_cast<u64*>(value);
    return kSuccess;
  });
}
Result cuMemPoolGetAttribute(void* pool, int which, void* value) {
  return call("cuMemPoolGetAttribute", Need::context, [=](Device& device) {
    const Pool& of = pool_at(device, pool);
    // CU_MEMPOOL_ATTR_RELEASE_THRESHOLD is 4, USED_MEM_CURRENT 7, USED_MEM_HIGH 8.
    *static_cast<u64*>(value) = which == 4   ? of.threshold
                                : which == 8 ? device.memory().peak()
                                             : device.memory().used();
    return kSuccess;
  });
}
Result cuMemPoolTrimTo(void* pool, size_t) {
  return call("cuMemPoolTrimTo", Need::context, [=](Device& device) {
    pool_at(device, pool);
    return kSuccess;
  });
}
Result cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
  return call("cuMemHostAlloc", Need::context, [=](Device& device) {
    device.forbid_in_capture(nullptr, "cuMemHostAlloc");
    return pin(device, memory, bytes);
  });
}
Result cuMemAllocHost_v2(void** memory, size_t bytes) {
  return call("cuMemAllocHost_v2", Need::context, [=](Device& device) {
    device.forbid_in_capture(nullptr, "cuMemAllocHost");
    return pin(device, memory, bytes);
  });
}
Result cuMemFreeHost(void* memory) {
  return call("cuMemFreeHost", Need::context, [=](Device& device) {
    require(device.pinned.erase(reinterpret_cast<uintptr_t>(memory)) == 1, "no pinned memory starts there");
    device.wait_for_all();
    std::free(memory);
    ++device.counters.frees;
    return kSuccess;
  });
}
Result cuMemHostRegister_v2(void* memory, size_t bytes, unsigned) {
  return call("cuMemHostRegister_v2", Need::context, [=](Device& device) {
    require(memory != nullptr && bytes > 0, "no memory");
    require(!device.is_pinned(memory, 1), "the memory is registered already", kHostRegistered);
    device.pinned[reinterpret_cast<uintptr_t>(memory)] = bytes;
    return kSuccess;
  });
}
Result cuMemHostUnregister(void* memory) {
  return call("cuMemHostUnregister", Need::context, [=](Device& device) {
    device.wait_for_all();
    require(device.pinned.erase(reinterpret_cast<uintptr_t>(memory)) == 1, "the memory is not registered",
            kHostNotRegistered);
    return kSuccess;
  });
}
}
