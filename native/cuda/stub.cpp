// CUDA in a build without it: the device is listed, and says why it is off.
#include "backend.h"

namespace gramian::cuda {

static const char* const kReason = "this build has no CUDA kernels";

DeviceReport report() { return {"cuda", false, "", 0, kReason}; }

std::unique_ptr<Backend> create(const BackendOptions&) {
  throw Error(Code::device, std::string("[cuda] the device is not available: ") + kReason);
}

}  // namespace gramian::cuda
