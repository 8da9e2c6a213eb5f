// How elementwise work over rows of several operands is cut: `vectors` pieces of 4 floats (or 1), `row.divisor` of them
// to a row, and `tail` single floats behind them. Plain data for host and device code; spans.h makes it. The rule easy
// to break: a tail exists only where all operands are dense, and then there is one row.
#pragma once
#include "divisor.h"

namespace gramian::cuda {

struct Span {
  uint32_t vectors, tail;
  Divisor row;
};

}  // namespace gramian::cuda
