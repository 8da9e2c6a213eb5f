// Float arithmetic in the rounding modes other than to nearest. Used by ops_float.cpp; directed.cpp is compiled with
// -frounding-math. The rule easy to break: nothing between setting the mode and restoring it may leave the function.
#pragma once
#include "exec.h"

namespace softcuda {

enum class DirectedOp : u8 { add, sub, mul, fma, div, rcp, sqrt };

/** Instr::mode: 1 toward zero, 2 down, 3 up. Instr::target: the operation. */
template <class T>
void run_directed(Warp& warp, const Instr& instr);
extern template void run_directed<float>(Warp&, const Instr&);
extern template void run_directed<double>(Warp&, const Instr&);

}  // namespace softcuda
