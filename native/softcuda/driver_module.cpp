// Driver entries: modules from PTX text or a fat binary that holds some, functions, their attributes, occupancy.
// The rule easy to break: compiled code (ELF) is refused, so it is always the PTX that runs.
#include <algorithm>
#include <cstring>

#include "decode.h"
#include "device.h"

namespace softcuda {
namespace {

constexpr u32 kElfMagic = 0x464c457f, kFatMagic = 0xba55ed50;

template <class T>
T read(const u8* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/** The newest PTX in a fat binary that the device can take. Header: magic, version, size; then entries. */
std::string text_of_fat_binary(const u8* image, int capability) {
  const u64 header = read<u16>(image + 6), size = read<u64>(image + 8);
  std::string text;
  int best = -1;
  bool compressed = false;
  for (u64 at = header; at < header + size;) {
    const u8* entry = image + at;
    const bool ptx = read<u16>(entry) == 1;
    const u64 entry_header = read<u32>(entry + 4), bytes = read<u64>(entry + 8);
    const int target = static_cast<int>(read<u32>(entry + 28));
    if (ptx && read<u32>(entry + 16) != 0) {
      compressed = true;
    } else if (ptx && target <= capability && target > best) {
      const char* start = reinterpret_cast<const char*>(entry + entry_header);
      text.assign(start, strnlen(start, bytes));
      best = target;
    }
    at += entry_header + bytes;
  }
  require(best >= 0 || !compressed, "the PTX of the fat binary is compressed; build with --no-compress", kNotSupported);
  require(best >= 0, "the fat binary holds no PTX for this device", kNoBinary);
  return text;
}

std::string image_text(const void* image, int capability) {
  require(image != nullptr, "no image");
  const u32 magic = read<u32>(static_cast<const u8*>(image));
  require(magic != kElfMagic, "an ELF image: this device takes PTX only", kNoBinary);
  if (magic == kFatMagic) return text_of_fat_binary(static_cast<const u8*>(image), capability);
  return static_cast<const char*>(image);
}

void place_variables(Device& device, Module& module) {
  for (const ptx::Variable& variable : module.parsed.globals) {
    if (variable.space == ptx::Space::shared) continue;
    const u64 address =
        device.memory().allocate(std::max<u64>(variable.bytes, 1), variable.space == ptx::Space::constant);
    require(address != 0, "no memory for a module's variable", kOutOfMemory);
    std::copy_n(variable.init.begin(), std::min<u64>(variable.init.size(), variable.bytes),
                device.memory().host(address));
    // Variables without an initialiser are zero.
    device.memory().mark(address, address + variable.bytes, kWritten);
    module.addresses[variable.name] = address;
    module.sizes[variable.name] = variable.bytes;
  }
  Stream& stream = device.stream(nullptr);
  const Stamp stamp = device.order().next(stream.line, stream.clock, "the loading of a module");
  device.order().commit(device.memory(), device.findings(), stamp, device.host_clock(), false);
  device.host_waits(stamp.clock);
}

Result load(Device& device, void** handle, const void* image) {
  require(handle != nullptr, "no place for the module");
  const std::string text = image_text(image, device.capability);
  auto module = std::make_unique<Module>();
  module->parsed = ptx::parse_ptx(text);
  require(module->parsed.target <= device.capability, "the PTX is for a newer architecture than the device has",
          kNoBinary);
  place_variables(device, *module);
  for (const ptx::Function& function : module->parsed.functions) {
    if (!function.entry || !function.defined) continue;
    auto object = std::make_unique<Function>();
    object->module = module.get();
    object->program = decode(module->parsed, function, module->addresses);
    require(object->program->static_shared <= 48 * 1024, "more than 48 KiB of static shared memory", kInvalidPtx);
    module->functions[function.name] = device.add(std::move(object));
  }
  *handle = device.add(std::move(module));
  return kSuccess;
}

/** Blocks of a kernel on one multiprocessor. Registers are not known from PTX, so they set no limit here. */
int resident_blocks(const Device& device, const Function& function, int threads, size_t dynamic_shared) {
  const auto limit = [&](int which) { return static_cast<u64>(device_attribute(device, which)); };
  const u64 shared = function.program->static_shared + dynamic_shared + limit(kReservedShared);
  u64 blocks = std::min(limit(kMaxBlocksPerMultiprocessor),
                        limit(kMaxThreadsPerMultiprocessor) / round_up(static_cast<u64>(threads), 32));
  if (shared > 0) blocks = std::min(blocks, limit(kMaxSharedPerMultiprocessor) / shared);
  return static_cast<int>(blocks);
}

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuModuleLoadData(void** module, const void* image) {
  return call("cuModuleLoadData", Need::context, [=](Device& device) { return load(device, module, image); });
}
/** Options for the just-in-time compiler change nothing here. */
Result cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) {
  return call("cuModuleLoadDataEx", Need::context, [=](Device& device) { return load(device, module, image); });
}
Result cuModuleUnload(void* handle) {
  return call("cuModuleUnload", Need::context, [=](Device& device) {
    Module& module = device.at<Module>(handle, Object::Kind::module);
    for (const auto& [name, function] : module.functions) {
      if (function->program->launches > 0)
        device.retired[name + "#" + std::to_string(device.retired.size())] = std::move(function->program);
      device.remove(function);
    }
    for (const auto& [name, address] : module.addresses) device.memory().release(address);
    device.remove(&module);
    return kSuccess;
  });
}
Result cuModuleGetFunction(void** function, void* handle, const char* name) {
  return call("cuModuleGetFunction", Need::context, [=](Device& device) {
    require(function != nullptr && name != nullptr, "no place for the function, or no name");
    Module& module = device.at<Module>(handle, Object::Kind::module);
    const auto found = module.functions.find(name);
    require(found != module.functions.end(), "no such kernel", kNotFound);
    *function = found->second;
    return kSuccess;
  });
}
Result cuModuleGetGlobal_v2(u64* address, size_t* bytes, void* handle, const char* name) {
  return call("cuModuleGetGlobal_v2", Need::context, [=](Device& device) {
    Module& module = device.at<Module>(handle, Object::Kind::module);
    const auto found = module.addresses.find(name);
    require(found != module.addresses.end(), "no such variable", kNotFound);
    if (address != nullptr) *address = found->second;
    if (bytes != nullptr) *bytes = module.sizes[name];
    return kSuccess;
  });
}
Result cuFuncGetAttribute(int* value, int which, void* handle) {
  return call("cuFuncGetAttribute", Need::context, [=](Device& device) {
    const Function& function = device.at<Function>(handle, Object::Kind::function);
    const Program& program = *function.program;
    const int target = function.module->parsed.target;
    switch (which) {
      case kFunctionMaxThreads:
        *value = static_cast<int>(program.max_threads);
        break;
      case kFunctionShared:
        *value = static_cast<int>(program.static_shared);
        break;
      case kFunctionConst:
        *value = 0;
        break;
      case kFunctionLocal:
        *value = static_cast<int>(program.local_bytes);
        break;
      case kFunctionRegisters:
        *value = 32;
        break;  // not known from PTX
      case kFunctionPtxVersion:
      case kFunctionBinaryVersion:
        *value = target;
        break;
      case kFunctionMaxDynamicShared:
        *value = static_cast<int>(function.max_dynamic_shared);
        break;
      case kFunctionCacheMode:
      case kFunctionCarveout:
        *value = 0;
        break;
      default:
        throw Failure{kInvalidValue, "unknown attribute"};
    }
    return kSuccess;
  });
}
Result cuFuncSetAttribute(void* handle, int which, int value) {
  return call("cuFuncSetAttribute", Need::context, [=](Device& device) {
    Function& function = device.at<Function>(handle, Object::Kind::function);
    require(which == kFunctionMaxDynamicShared || which == kFunctionCarveout, "the attribute cannot be set");
    if (which == kFunctionCarveout) return kSuccess;
    const u64 most = static_cast<u64>(device_attribute(device, kMaxSharedOptin));
    require(value >= 0 && static_cast<u64>(value) + function.program->static_shared <= most,
            "more shared memory than a block can have");
    function.max_dynamic_shared = static_cast<u32>(value);
    return kSuccess;
  });
}
Result cuFuncSetCacheConfig(void* handle, int) {
  return call("cuFuncSetCacheConfig", Need::context, [=](Device& device) {
    device.at<Function>(handle, Object::Kind::function);
    return kSuccess;
  });
}
Result cuFuncGetName(const char** name, void* handle) {
  return call("cuFuncGetName", Need::context, [=](Device& device) {
    *name = device.at<Function>(handle, Object::Kind::function).program->name.c_str();
    return kSuccess;
  });
}
Result cuFuncGetParamInfo(void* handle, size_t index, size_t* offset, size_t* bytes) {
  return call("cuFuncGetParamInfo", Need::context, [=](Device& device) {
    const Program& program = *device.at<Function>(handle, Object::Kind::function).program;
    require(index < program.params.size(), "the kernel has fewer parameters");
    *offset = program.params[index].offset;
    if (bytes != nullptr) *bytes = program.params[index].bytes;
    return kSuccess;
  });
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle, int threads, size_t dynamic_shared) {
  return call("cuOccupancyMaxActiveBlocksPerMultiprocessor", Need::context, [=](Device& device) {
    const Function& function = device.at<Function>(handle, Object::Kind::function);
    require(threads > 0 && threads <= static_cast<int>(function.program->max_threads), "a block of no possible size");
    *blocks = resident_blocks(device, function, threads, dynamic_shared);
    return kSuccess;
  });
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* handle, int threads, size_t shared,
                                                            unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, threads, shared);
}
}
