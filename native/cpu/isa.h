// Which instruction set tier the CPU kernels run on. Chosen once per backend by CPUID and XGETBV; the environment
// variable GRAMIAN_ISA or the option `isa` can only lower it.
#pragma once
#include <string>

namespace gramian::cpu {

enum class Isa { scalar, sse, avx2, avx512 };

const char* isa_name(Isa isa);
/** The best tier this machine and its operating system can run. */
Isa best_isa();
/** `requested` is auto, scalar, sse, avx2 or avx512. Throws ERR_ARGUMENT for others, ERR_DEVICE for unsupported ones.
 */
Isa choose_isa(const std::string& requested);

/** Whether the processor multiplies pairs of bfloat16 (AVX512-BF16) and the tier may use it. */
bool has_bf16_pairs(Isa isa);

}  // namespace gramian::cpu
