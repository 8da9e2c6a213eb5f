// atom and red on global and shared memory. Rows of the opcode table.
// The rule easy to break: lanes are served one after the other, in lane order, and each sees what the last one left.
#include <algorithm>
#include <cstring>

#include "decode.h"
#include "memory_access.h"

namespace softcuda {
namespace {

using ptx::Space;

enum class Atomic : u8 { add, min, max, exch, cas, inc, dec, and_, or_, xor_ };
constexpr std::string_view kNames[] = {"add", "min", "max", "exch", "cas", "inc", "dec", "and", "or", "xor"};

template <class T>
T combine(Atomic op, T old, T value, T swap) {
  if constexpr (!std::is_floating_point_v<T>) {
    switch (op) {
      case Atomic::inc:
        return old >= value ? T(0) : static_cast<T>(old + 1);
      case Atomic::dec:
        return old == 0 || old > value ? value : static_cast<T>(old - 1);
      case Atomic::and_:
        return static_cast<T>(old & value);
      case Atomic::or_:
        return static_cast<T>(old | value);
      case Atomic::xor_:
        return static_cast<T>(old ^ value);
      case Atomic::add:
        return static_cast<T>(static_cast<u64>(old) + static_cast<u64>(value));
      default:
        break;
    }
  }
  switch (op) {
    case Atomic::min:
      return std::min(old, value);
    case Atomic::max:
      return std::max(old, value);
    case Atomic::exch:
      return value;
    case Atomic::cas:
      return std::memcmp(&old, &value, sizeof(T)) == 0 ? swap : old;
    default:
      return static_cast<T>(old + value);
  }
}

template <class T>
void run_atomic(Warp& w, const Instr& i) {
  u64 a[32];
  lane_addresses(w, i, a);
  const u32 group = w.mask;
  const Space space = resolve_space(w, i, a);
  uintptr_t base = 0;
  u32 lanes = 0;
  if (space == Space::shared) {
    lanes = check_shared(w, i, a, sizeof(T), Access::atomic);
    base = shared_base(w);
  } else if (space == Space::global && w.mask != 0) {
    lanes = check_global(w, i, a, sizeof(T), Access::atomic).lanes;
    base = global_base(w);
  } else if (w.mask != 0) {
    report(w, i, Check::bounds, std::countr_zero(w.mask), "an atomic outside global and shared memory");
  }
  const T *value = cells<T>(w, i.src[1]), *swap = cells<T>(w, i.src[2] == kNone ? i.src[1] : i.src[2]);
  for_lanes(lanes, [&](u32 l) {
    if (space == Space::shared) touch_shared_atomic(w, i, l, a[l], sizeof(T));
    T old;
    u8* at = reinterpret_cast<u8*>(base + a[l]);
    std::memcpy(&old, at, sizeof(T));
    const T result = combine<T>(static_cast<Atomic>(i.mode), old, value[l], swap[l]);
    std::memcpy(at, &result, sizeof(T));
    if (i.dst[0] != kNone) cells<T>(w, i.dst[0])[l] = old;
  });
  w.mask = group;
}

void atomic_row(Op& op, bool returns) {
  const Space space = op.space();
  op.pick({"relaxed", "acquire", "release", "acq_rel"});
  op.pick({"cta", "gpu", "sys"});
  u8 mode = 255;
  for (u8 n = 0; n < std::size(kNames); ++n)
    if (op.take(kNames[n])) mode = n;
  const Type type = op.type({Type::u32, Type::s32, Type::b32, Type::u64, Type::s64, Type::b64, Type::f32, Type::f64});
  op.done();
  if (mode == 255) op.fail("expected an operation");
  const auto kind = static_cast<Atomic>(mode);
  if (is_float(type) && kind != Atomic::add) op.fail("floats can only be added");
  const size_t first = returns ? 1 : 0, operands = first + (kind == Atomic::cas ? 3 : 2);
  op.expect(operands, operands);
  op.out.mode = mode;
  const u32 bits = bits_of(type);
  op.address(first, space);
  if (returns) op.out.dst[0] = op.dst(0, bits);
  op.out.src[1] = op.src(first + 1, bits);
  if (kind == Atomic::cas) op.out.src[2] = op.src(first + 2, bits);
  op.info.space = space;
  op.info.kind = InstrInfo::Kind::atomic;
  op.out.run = type == Type::f32   ? run_atomic<float>
               : type == Type::f64 ? run_atomic<double>
               : type == Type::s32 ? run_atomic<i32>
               : type == Type::s64 ? run_atomic<i64>
               : bits == 64        ? run_atomic<u64>
                                   : run_atomic<u32>;
}
void row_atom(Op& op) { atomic_row(op, true); }
void row_red(Op& op) { atomic_row(op, false); }

}  // namespace

void add_atomic_ops(OpTable& table) {
  table["atom"] = row_atom;
  table["red"] = row_red;
}

}  // namespace softcuda
