// Small float formats and directed rounding, one value at a time. Used by conversions, half arithmetic and mma.
// The rule easy to break: `mode` is 0 to nearest even, 1 toward zero, 2 down, 3 up, 4 to nearest with ties away.
#pragma once
#include <cmath>
#include <limits>

#include "types.h"

namespace softcuda {

struct Format {
  int mantissa, exponent;  // explicit bits
};
inline constexpr Format kHalf{10, 5}, kBfloat{7, 8}, kSingle{23, 8}, kTf32{10, 8};

inline long double round_integer(long double x, u32 mode) {
  if (mode == 1) return std::trunc(x);
  if (mode == 2) return std::floor(x);
  if (mode == 3) return std::ceil(x);
  if (mode == 4) return std::round(x);
  const long double down = std::floor(x), fraction = x - down;
  if (fraction != 0.5L) return fraction < 0.5L ? down : down + 1;
  return std::fmod(down, 2.0L) == 0 ? down : down + 1;
}

/** The bits of x rounded to the format; a NaN becomes the format's canonical one (all ones below the sign). */
inline u32 encode(long double x, Format f, u32 mode) {
  const u32 sign = std::signbit(x) ? 1u << (f.mantissa + f.exponent) : 0;
  const u32 infinity = ((1u << f.exponent) - 1) << f.mantissa;
  if (std::isnan(x)) return infinity | ((1u << f.mantissa) - 1);
  if (std::isinf(x)) return sign | infinity;
  if (x == 0) return sign;
  const int bias = (1 << (f.exponent - 1)) - 1;
  int power = std::max(std::ilogb(x), 1 - bias);
  const long double scaled = round_integer(std::ldexp(x, f.mantissa - power), mode);
  u64 digits = static_cast<u64>(std::fabs(scaled));
  if (digits >> (f.mantissa + 1)) {
    digits >>= 1;
    ++power;
  }
  if (power > bias) {
    const bool to_infinity = mode == 0 || mode == 4 || (mode == 2 && sign) || (mode == 3 && !sign);
    return sign | (to_infinity ? infinity : infinity - 1);
  }
  if (!(digits >> f.mantissa)) return sign | static_cast<u32>(digits);  // subnormal
  const u32 fraction = static_cast<u32>(digits) & ((1u << f.mantissa) - 1);
  return sign | static_cast<u32>(power + bias) << f.mantissa | fraction;
}

inline float float_from_half(u32 bits) {
  const u32 sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * std::ldexp(static_cast<float>(fraction), -24);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}
inline float float_from_bfloat(u32 bits) { return std::bit_cast<float>(bits << 16); }

inline float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

}  // namespace softcuda
