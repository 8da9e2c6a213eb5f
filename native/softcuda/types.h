// The scalar types of PTX and short names for the machine's own. Included by every file of this room.
// The rule easy to break: this room is a test tool of its own; it includes nothing from the rest of native/.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace softcuda {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i8 = int8_t;
using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;

enum class Type : u8 {
  none,
  pred,
  b8,
  b16,
  b32,
  b64,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  bf16,
  f32,
  f64,
  f16x2,
  bf16x2,
  tf32,
  f32x2
};

struct TypeName {
  const char* name;
  Type type;
  u8 bits;
};
inline constexpr TypeName kTypeNames[] = {
    {"pred", Type::pred, 1},   {"b8", Type::b8, 8},        {"b16", Type::b16, 16},       {"b32", Type::b32, 32},
    {"b64", Type::b64, 64},    {"u8", Type::u8, 8},        {"u16", Type::u16, 16},       {"u32", Type::u32, 32},
    {"u64", Type::u64, 64},    {"s8", Type::s8, 8},        {"s16", Type::s16, 16},       {"s32", Type::s32, 32},
    {"s64", Type::s64, 64},    {"f16", Type::f16, 16},     {"bf16", Type::bf16, 16},     {"f32", Type::f32, 32},
    {"f64", Type::f64, 64},    {"f16x2", Type::f16x2, 32}, {"bf16x2", Type::bf16x2, 32}, {"tf32", Type::tf32, 32},
    {"f32x2", Type::f32x2, 64}};

inline std::optional<Type> parse_type(std::string_view name) {
  for (const TypeName& row : kTypeNames)
    if (name == row.name) return row.type;
  return std::nullopt;
}
/** Width in bits; a predicate has 1. */
inline u32 bits_of(Type type) {
  for (const TypeName& row : kTypeNames)
    if (type == row.type) return row.bits;
  return 0;
}
inline const char* name_of(Type type) {
  for (const TypeName& row : kTypeNames)
    if (type == row.type) return row.name;
  return "none";
}
inline bool is_signed(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64; }
inline bool is_float(Type t) { return t >= Type::f16; }

/** A module that cannot be loaded; the message names the PTX line and the spelling. */
struct LoadError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline u64 round_up(u64 value, u64 to) { return (value + to - 1) / to * to; }

}  // namespace softcuda
