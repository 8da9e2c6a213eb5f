// All kernels of one instruction set tier. table.cpp is the only place that lists the files of kernels/.
#pragma once
#include "cpu/isa.h"
#include "cpu/kernel.h"

namespace gramian::cpu {

/** The kernel of `op` for a tier; null when there is none. */
const Kernel* find_kernel(Isa isa, const char* op);

}  // namespace gramian::cpu
