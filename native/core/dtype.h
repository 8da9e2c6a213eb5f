// Element types and checked sizes, shared by every room below binding. The numbering equals cpu/kernel.h's DType.
// The rule easy to break: any product of dimensions goes through checked_mul before it sizes memory.
#pragma once
#include <cstdint>

#include "core/error.h"

namespace gramian {

enum class DType : int32_t { f32 = 0, i32 = 1, u8 = 2 };

inline const char* dtype_name(DType dtype) { return dtype == DType::f32 ? "f32" : dtype == DType::i32 ? "i32" : "u8"; }
inline int64_t item_bytes(DType dtype) { return dtype == DType::u8 ? 1 : 4; }

/** a*b for non-negative sizes; throws ERR_SHAPE when it leaves int64. */
inline int64_t checked_mul(int64_t a, int64_t b) {
  int64_t product;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
    throw Error(Code::shape, "[size] a product of sizes does not fit in 63 bits");
  return product;
}
/** a+b for non-negative sizes; throws ERR_SHAPE when it leaves int64. */
inline int64_t checked_add(int64_t a, int64_t b) {
  int64_t sum;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum))
    throw Error(Code::shape, "[size] a sum of sizes does not fit in 63 bits");
  return sum;
}

}  // namespace gramian
