// See isa.h. The tiers equal the compiler's x86-64-v2, v3 and v4, so every feature of a level is asked for: a kernel
// may use any of them.
#include "cpu/isa.h"

#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/text.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gramian::cpu {
namespace {

#if defined(__x86_64__)
uint64_t xgetbv() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

bool has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

Isa detect() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::scalar;
  const uint32_t v2 = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B;
  const uint32_t v3 = bit_AVX | bit_FMA | bit_F16C | bit_MOVBE | bit_OSXSAVE;
  if (!has(c, v2)) return Isa::scalar;
  if (!has(c, v3) || (xgetbv() & 0x6) != 0x6) return Isa::sse;  // the system saves the ymm registers
  uint32_t ea, eb, ec, ed;
  if (!__get_cpuid(0x80000001, &ea, &eb, &ec, &ed) || !has(ec, bit_LZCNT)) return Isa::sse;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, bit_AVX2 | bit_BMI | bit_BMI2)) return Isa::sse;
  const uint32_t v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
  if (!has(b, v4) || (xgetbv() & 0xe6) != 0xe6) return Isa::avx2;  // ... and the zmm and mask registers
  return Isa::avx512;
}
#else
Isa detect() { return Isa::scalar; }
#endif

Isa parse(const std::string& name, const char* where) {
  for (Isa isa : {Isa::scalar, Isa::sse, Isa::avx2, Isa::avx512})
    if (name == isa_name(isa)) return isa;
  throw Error(Code::argument, cat("[isa] ", where, " is one of auto, scalar, sse, avx2, avx512, got \"", name, "\""));
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::sse:
      return "sse";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "scalar";
}

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

Isa choose_isa(const std::string& requested) {
  const char* variable = getenv("GRAMIAN_ISA");
  const bool from_variable = requested == "auto" && variable && *variable && std::string(variable) != "auto";
  if (requested == "auto" && !from_variable) return best_isa();
  const Isa isa = parse(from_variable ? variable : requested, from_variable ? "GRAMIAN_ISA" : "isa");
  if (isa > best_isa())
    throw Error(Code::device,
                cat("[isa] ", isa_name(isa), " was asked for, this machine runs up to ", isa_name(best_isa())));
  return isa;
}

bool has_bf16_pairs(Isa isa) {
#if defined(__x86_64__)
  uint32_t a, b, c, d;
  constexpr uint32_t kBf16 = 1 << 5;
  return isa == Isa::avx512 && best_isa() == Isa::avx512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, kBf16);
#else
  (void)isa;
  return false;
#endif
}

}  // namespace gramian::cpu
