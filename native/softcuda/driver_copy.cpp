// Driver entries: copies and memsets.
// The rule easy to break: what an asynchronous copy brings into pinned memory lands when the host waits for it, and
// until then the memory holds 0xa5; a pinned source must keep its bytes until then. Pageable memory is copied at once.
#include <cstring>

#include "device.h"

namespace softcuda {
namespace {

enum class Way : u8 { to_device, to_host, within };

struct Copy {
  u64 to = 0, from = 0, bytes = 0;  // device or host addresses
  Way way = Way::within;
};

void check_range(Device& device, u64 address, u64 bytes, const char* name) {
  // A bad range is refused at the call, before the copy takes its place in a stream.
  const Allocation* range = address >= DeviceMemory::kBase ? device.memory().find(address) : nullptr;
  if (range != nullptr && address + bytes <= range->hi) return;
  device.touch(address, bytes, false, name);  // reports and throws
}

void upload(Device& device, const Copy& copy, const Stamp& stamp, bool pinned) {
  const void* from = reinterpret_cast<const void*>(copy.from);
  u8* to = device.memory().host(copy.to);
  device.touch(copy.to, copy.bytes, true, "copy to the device");
  std::memcpy(to, from, copy.bytes);
  if (!pinned) return;
  std::vector<u8> sent(to, to + copy.bytes);
  device.add_pending({stamp.line, stamp.tick, [&device, from, sent = std::move(sent)] {
                        if (std::memcmp(from, sent.data(), sent.size()) != 0)
                          device.note_finding(Check::host, "copy to the device",
                                              "the pinned source changed before the copy was waited for");
                      }});
}

void download(Device& device, const Copy& copy, const Stamp& stamp, bool pinned) {
  void* to = reinterpret_cast<void*>(copy.to);
  const u8* from = device.memory().host(copy.from);
  device.touch(copy.from, copy.bytes, false, "copy to the host");
  if (!pinned) {
    std::memcpy(to, from, copy.bytes);
    return;
  }
  std::vector<u8> arrived(from, from + copy.bytes);
  std::memset(to, 0xa5, copy.bytes);
  device.add_pending({stamp.line, stamp.tick,
                      [to, arrived = std::move(arrived)] { std::memcpy(to, arrived.data(), arrived.size()); }});
}

/** Copies within the device carry along which bytes were written, so an uninitialised source is no finding yet. */
void move_within(Device& device, const Copy& copy) {
  DeviceMemory& memory = device.memory();
  memory.mark(copy.from, copy.from + copy.bytes, kRead);
  memory.mark(copy.to, copy.to + copy.bytes, kWritten);
  memory.copy_initialised(copy.to, copy.from, copy.bytes);
  std::memmove(memory.host(copy.to), memory.host(copy.from), copy.bytes);
}

Result submit_copy(Device& device, Copy copy, void* handle, bool blocking) {
  Stream& stream = device.stream(handle);
  if (blocking) device.forbid_in_capture(nullptr, "a blocking copy");
  if (copy.bytes == 0) return kSuccess;
  const void* host = reinterpret_cast<const void*>(copy.way == Way::to_device ? copy.from : copy.to);
  if (copy.way != Way::within) require(host != nullptr, "the host address is null");
  if (copy.way != Way::to_device) check_range(device, copy.from, copy.bytes, "copy from the device");
  if (copy.way != Way::to_host) check_range(device, copy.to, copy.bytes, "copy to the device");
  const bool pinned = copy.way != Way::within && device.is_pinned(host, copy.bytes);
  const bool waits = !blocking && copy.way != Way::within && !pinned && stream.capture == nullptr;
  Work work;
  work.kind = Work::Kind::copy;
  work.name = copy.way == Way::to_device ? "copy to the device"
              : copy.way == Way::to_host ? "copy to the host"
                                         : "copy";
  work.run = [&device, copy, pinned](const Stamp& stamp) {
    ++device.counters.copies;
    device.counters.copied_bytes += copy.bytes;
    if (copy.way == Way::to_device) upload(device, copy, stamp, pinned);
    if (copy.way == Way::to_host) download(device, copy, stamp, pinned);
    if (copy.way == Way::within) move_within(device, copy);
  };
  device.submit(stream, std::move(work));
  if (blocking || waits) ++device.counters.blocking_copies;
  // A copy from the device to pageable memory returns when it is done; one to the device when its source is staged.
  if (blocking || (waits && copy.way == Way::to_host)) device.host_waits(stream.clock);
  return kSuccess;
}

Result submit_set(Device& device, u64 address, u32 value, u32 width, size_t count, void* handle, bool blocking) {
  Stream& stream = device.stream(handle);
  if (blocking) device.forbid_in_capture(nullptr, "a memset on the default stream");
  require(address % width == 0, "the address is not a multiple of the element");
  if (count == 0) return kSuccess;
  check_range(device, address, count * width, "memset");
  Work work;
  work.kind = Work::Kind::set;
  work.name = "memset";
  work.run = [&device, address, value, width, count](const Stamp&) {
    ++device.counters.memsets;
    device.touch(address, count * width, true, "memset");
    u8* to = device.memory().host(address);
    for (size_t i = 0; i < count; ++i) std::memcpy(to + i * width, &value, width);
  };
  device.submit(stream, std::move(work));
  return kSuccess;
}

u64 number(const void* address) { return reinterpret_cast<u64>(address); }
bool on_device(u64 address) { return address >= DeviceMemory::kBase; }

Copy any_copy(u64 to, u64 from, size_t bytes) {
  require(on_device(to) || on_device(from), "neither address is one of the device");
  return {to, from, bytes, !on_device(from) ? Way::to_device : !on_device(to) ? Way::to_host : Way::within};
}

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuMemcpyHtoD_v2(u64 to, const void* from, size_t bytes) {
  return call("cuMemcpyHtoD_v2", Need::context, [=](Device& d) {
    return submit_copy(d, {to, number(from), bytes, Way::to_device}, nullptr, true);
  });
}
Result cuMemcpyDtoH_v2(void* to, u64 from, size_t bytes) {
  return call("cuMemcpyDtoH_v2", Need::context, [=](Device& d) {
    return submit_copy(d, {number(to), from, bytes, Way::to_host}, nullptr, true);
  });
}
Result cuMemcpyDtoD_v2(u64 to, u64 from, size_t bytes) {
  return call("cuMemcpyDtoD_v2", Need::context, [=](Device& d) {
    return submit_copy(d, {to, from, bytes, Way::within}, nullptr, true);
  });
}
Result cuMemcpy(u64 to, u64 from, size_t bytes) {
  return call("cuMemcpy", Need::context,
              [=](Device& d) { return submit_copy(d, any_copy(to, from, bytes), nullptr, true); });
}
Result cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t bytes, void* stream) {
  return call("cuMemcpyHtoDAsync_v2", Need::context, [=](Device& d) {
    return submit_copy(d, {to, number(from), bytes, Way::to_device}, stream, false);
  });
}
Result cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t bytes, void* stream) {
  return call("cuMemcpyDtoHAsync_v2", Need::context, [=](Device& d) {
    return submit_copy(d, {number(to), from, bytes, Way::to_host}, stream, false);
  });
}
Result cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, void* stream) {
  return call("cuMemcpyDtoDAsync_v2", Need::context, [=](Device& d) {
    return submit_copy(d, {to, from, bytes, Way::within}, stream, false);
  });
}
Result cuMemcpyAsync(u64 to, u64 from, size_t bytes, void* stream) {
  return call("cuMemcpyAsync", Need::context,
              [=](Device& d) { return submit_copy(d, any_copy(to, from, bytes), stream, false); });
}
Result cuMemsetD8_v2(u64 to, unsigned char value, size_t count) {
  return call("cuMemsetD8_v2", Need::context,
              [=](Device& d) { return submit_set(d, to, value, 1, count, nullptr, true); });
}
Result cuMemsetD16_v2(u64 to, unsigned short value, size_t count) {
  return call("cuMemsetD16_v2", Need::context,
              [=](Device& d) { return submit_set(d, to, value, 2, count, nullptr, true); });
}
Result cuMemsetD32_v2(u64 to, unsigned value, size_t count) {
  return call("cuMemsetD32_v2", Need::context,
              [=](Device& d) { return submit_set(d, to, value, 4, count, nullptr, true); });
}
Result cuMemsetD8Async(u64 to, unsigned char value, size_t count, void* stream) {
  return call("cuMemsetD8Async", Need::context,
              [=](Device& d) { return submit_set(d, to, value, 1, count, stream, false); });
}
Result cuMemsetD16Async(u64 to, unsigned short value, size_t count, void* stream) {
  return call("cuMemsetD16Async", Need::context,
              [=](Device& d) { return submit_set(d, to, value, 2, count, stream, false); });
}
Result cuMemsetD32Async(u64 to, unsigned value, size_t count, void* stream) {
  return call("cuMemsetD32Async", Need::context,
              [=](Device& d) { return submit_set(d, to, value, 4, count, stream, false); });
}
}
