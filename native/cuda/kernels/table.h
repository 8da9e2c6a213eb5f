// Every CUDA op by name, and what the planner may fuse for this device. Used by backend.cpp.
// The rule easy to break: a fusion is answered with yes only when its op, or form of an op, has a kernel here.
#pragma once
#include "cuda/kernel.h"

namespace gramian::cuda {

/** Null when there is no kernel for the op. */
const Kernel* find_kernel(const std::string& op);
bool fuses(Fusion fusion);

}  // namespace gramian::cuda
