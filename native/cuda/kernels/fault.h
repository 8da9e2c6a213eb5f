// How a kernel says that its data is wrong: it lowers one word of the step to the number of its sentence. Plain data
// for host and device code. The rule easy to break: the kernel must go on without touching memory out of range.
#pragma once

namespace gramian::cuda {

struct Fault {
  unsigned* word;  // 0xffffffff while all is well
  unsigned code;   // the host's index of the sentence
};

constexpr unsigned kNoFault = 0xffffffffu;

}  // namespace gramian::cuda
