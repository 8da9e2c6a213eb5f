// Driver entries: kernel launches and host functions.
// The rule easy to break: parameters are copied when the launch is made, so the caller's memory may go away after it.
#include <algorithm>
#include <cstring>

#include "device.h"

namespace softcuda {
namespace {

/** extra: {CU_LAUNCH_PARAM_BUFFER_POINTER, p, CU_LAUNCH_PARAM_BUFFER_SIZE, &n, CU_LAUNCH_PARAM_END}. */
void params_from_buffer(KernelCall& call, void** extra, u32 expected) {
  const void* buffer = nullptr;
  const size_t* size = nullptr;
  for (; *extra != kParamEnd; extra += 2) {
    if (*extra == kParamBuffer)
      buffer = extra[1];
    else if (*extra == kParamSize)
      size = static_cast<const size_t*>(extra[1]);
    else
      throw Failure{kInvalidValue, "unknown key among the extra options of a launch"};
  }
  require(buffer != nullptr && size != nullptr, "the parameter buffer or its size is missing");
  if (*size != expected)
    throw Failure{kInvalidValue,
                  "expected " + std::to_string(expected) + " bytes of parameters, came " + std::to_string(*size)};
  std::memcpy(call.params.data(), buffer, *size);
}

}  // namespace

KernelCall kernel_call(Device& device, void* handle, const unsigned* grid, const unsigned* block, unsigned shared,
                       void** parameters, void** extra) {
  KernelCall result;
  Function& function = device.at<Function>(handle, Object::Kind::function);
  const Program& program = *function.program;
  result.function = &function;
  result.shared = shared;
  u64 threads = 1;
  for (u32 axis = 0; axis < 3; ++axis) {
    require(grid[axis] > 0 &&
                grid[axis] <= static_cast<unsigned>(device_attribute(device, kMaxGridX + static_cast<int>(axis))),
            "a grid of no possible size");
    require(block[axis] > 0 &&
                block[axis] <= static_cast<unsigned>(device_attribute(device, kMaxBlockX + static_cast<int>(axis))),
            "a block of no possible size");
    result.grid[axis] = grid[axis];
    result.block[axis] = block[axis];
    threads *= block[axis];
  }
  require(threads <= 1024, "more than 1024 threads in a block");
  if (threads > program.max_threads)
    throw Failure{kInvalidValue, program.name + ": the kernel was compiled for at most " +
                                     std::to_string(program.max_threads) + " threads a block"};
  require(shared <= function.max_dynamic_shared, "more dynamic shared memory than the function allows");
  require(parameters == nullptr || extra == nullptr, "kernelParams and extra are both given");
  result.params.resize(program.param_bytes);
  if (extra != nullptr) {
    params_from_buffer(result, extra, program.param_bytes);
  } else {
    require(program.params.empty() || parameters != nullptr, "the kernel has parameters and none are given");
    for (size_t i = 0; i < program.params.size(); ++i) {
      require(parameters[i] != nullptr, "a parameter's address is null");
      std::memcpy(result.params.data() + program.params[i].offset, parameters[i], program.params[i].bytes);
    }
  }
  return result;
}

Work kernel_work(KernelCall call) {
  Work work;
  work.kind = Work::Kind::kernel;
  work.name = call.function->program->name;
  work.kernel = std::move(call);
  return work;
}

}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void* stream, void** parameters, void** extra) {
  return call("cuLaunchKernel", Need::context, [=](Device& device) {
    const unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
    Stream& on = device.stream(stream);
    device.submit(on, kernel_work(kernel_call(device, function, grid, block, shared, parameters, extra)));
    return kSuccess;
  });
}
Result cuLaunchKernelEx(const LaunchConfig* config, void* function, void** parameters, void** extra) {
  return call("cuLaunchKernelEx", Need::context, [=](Device& device) {
    require(config != nullptr, "no configuration");
    require(config->attribute_count == 0, "launch attributes are not supported", kNotSupported);
    Stream& on = device.stream(config->stream);
    device.submit(
        on, kernel_work(kernel_call(device, function, config->grid, config->block, config->shared, parameters, extra)));
    return kSuccess;
  });
}
Result cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  return call("cuLaunchHostFunc", Need::context, [=](Device& device) {
    require(function != nullptr, "no function");
    Work work;
    work.kind = Work::Kind::host;
    work.name = "a host function";
    work.run = [function, data](const Stamp&) {
      ++Device::get().counters.host_functions;
      function(data);
    };
    device.submit(device.stream(stream), std::move(work));
    return kSuccess;
  });
}
}
