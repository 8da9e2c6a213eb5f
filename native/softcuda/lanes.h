// Loops over the lanes of a warp, for the handlers. The rule easy to break: f must have no side effect, because with a
// partial mask it is also computed for lanes whose result is thrown away.
#pragma once
#include <type_traits>

#include "exec.h"

namespace softcuda {

/** How a value of T lies in a register: 64-bit types in u64 cells, all others in u32 cells. */
template <class T>
using Cell = std::conditional_t<sizeof(T) == 8, T, std::conditional_t<sizeof(T) == 4, T, u32>>;

template <class T>
inline T* cells(Warp& warp, u32 slot) {
  return reinterpret_cast<T*>(warp.registers + slot);
}

template <class T, class F>
[[gnu::always_inline]] inline void each_lane(Warp& warp, u32 slot, F f) {
  T* out = cells<T>(warp, slot);
  const u32 mask = warp.mask;
  if (mask == kFull) {
#pragma GCC ivdep
    for (u32 l = 0; l < 32; ++l) out[l] = f(l);
  } else {
#pragma GCC ivdep
    for (u32 l = 0; l < 32; ++l) out[l] = (mask >> l & 1) ? f(l) : out[l];
  }
}

/** Calls f(lane) for each lane of the mask, in order; f may have side effects. */
template <class F>
inline void for_lanes(u32 mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(static_cast<u32>(std::countr_zero(mask)));
}

inline u32& predicate(Warp& warp, u32 slot) { return *cells<u32>(warp, slot); }

inline void set_predicate(Warp& warp, u32 slot, u32 bits) {
  if (slot == kNone) return;
  u32& out = predicate(warp, slot);
  out = (out & ~warp.mask) | (bits & warp.mask);
}

template <class T, class F>
inline void unary(Warp& w, const Instr& i, F f) {
  const Cell<T>* a = cells<Cell<T>>(w, i.src[0]);
  each_lane<Cell<T>>(w, i.dst[0], [=](u32 l) { return static_cast<Cell<T>>(f(static_cast<T>(a[l]))); });
}
template <class T, class F>
inline void binary(Warp& w, const Instr& i, F f) {
  const Cell<T>*a = cells<Cell<T>>(w, i.src[0]), *b = cells<Cell<T>>(w, i.src[1]);
  each_lane<Cell<T>>(w, i.dst[0],
                     [=](u32 l) { return static_cast<Cell<T>>(f(static_cast<T>(a[l]), static_cast<T>(b[l]))); });
}
template <class T, class F>
inline void ternary(Warp& w, const Instr& i, F f) {
  const Cell<T>*a = cells<Cell<T>>(w, i.src[0]), *b = cells<Cell<T>>(w, i.src[1]), *c = cells<Cell<T>>(w, i.src[2]);
  each_lane<Cell<T>>(w, i.dst[0], [=](u32 l) {
    return static_cast<Cell<T>>(f(static_cast<T>(a[l]), static_cast<T>(b[l]), static_cast<T>(c[l])));
  });
}

}  // namespace softcuda
