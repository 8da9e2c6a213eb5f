// Reductions that other ops need. Host only; reduce.cpp has them.
#pragma once
#include "cuda/kernel.h"

namespace gramian::cuda {

/** norms[r] = the sum of the squares of row r of x; NaN where the row has one. */
void enqueue_squared_norms(const Call& call, const View& x, float* norms, Queue& queue);

}  // namespace gramian::cuda
