// ld and st in every state space. Rows of the opcode table.
// The rule easy to break: a list names one register per element; a narrow load fills its whole register.
#include <cstring>

#include "decode.h"
#include "dispatch.h"
#include "memory_access.h"

namespace softcuda {
namespace {

using ptx::Space;

/** Element n of a lane into its register. */
template <class E, class C>
inline void put(C& cell, const u8* from, bool sign) {
  E value;
  std::memcpy(&value, from, sizeof(E));
  cell = sign ? static_cast<C>(static_cast<i64>(static_cast<std::make_signed_t<E>>(value))) : static_cast<C>(value);
}

template <class E, class C>
void gather(Warp& w, const Instr& i, u32 mask, uintptr_t base, const u64* a) {
  for (u32 n = 0; n < i.elements; ++n) {
    C* out = cells<C>(w, i.list[n]);
    for_lanes(mask,
              [&](u32 l) { put<E, C>(out[l], reinterpret_cast<const u8*>(base + a[l] + n * sizeof(E)), i.sign); });
  }
}
template <class E, class C>
void gather_contiguous(Warp& w, const Instr& i, const u8* from) {
  const E* in = reinterpret_cast<const E*>(from);
  if (i.elements == 4) {
    C* out[4];
    for (u32 n = 0; n < 4; ++n) out[n] = cells<C>(w, i.list[n]);
    for (u32 l = 0; l < 32; ++l)
      for (u32 n = 0; n < 4; ++n) out[n][l] = in[l * 4 + n];
    return;
  }
  for (u32 n = 0; n < i.elements; ++n) {
    C* out = cells<C>(w, i.list[n]);
    for (u32 l = 0; l < 32; ++l) out[l] = in[l * i.elements + n];
  }
}

/** Bytes of one lane's vector. */
template <class E, class C>
inline void collect(Warp& w, const Instr& i, u32 l, u8* to) {
  for (u32 n = 0; n < i.elements; ++n) {
    const E value = static_cast<E>(cells<C>(w, i.list[n])[l]);
    std::memcpy(to + n * sizeof(E), &value, sizeof(E));
  }
}

template <class E, class C>
void load_param(Warp& w, const Instr& i, const u64* a) {
  const std::vector<u8>& params = w.launch->params;
  const u32 bytes = sizeof(E) * i.elements;
  u32 good = 0;
  for_lanes(w.mask, [&](u32 l) {
    if (a[l] + bytes <= params.size())
      good |= 1u << l;
    else
      report(w, i, Check::bounds, l, "a load beyond the kernel's parameters");
  });
  gather<E, C>(w, i, good, reinterpret_cast<uintptr_t>(params.data()), a);
}

/** E: an element in memory, C: its register. */
template <class E, class C>
void run_load(Warp& w, const Instr& i) {
  u64 a[32];
  lane_addresses(w, i, a);
  const u32 group = w.mask, bytes = sizeof(E) * i.elements;
  const Space space = resolve_space(w, i, a);
  if (space == Space::shared) {
    gather<E, C>(w, i, check_shared(w, i, a, bytes, Access::load), shared_base(w), a);
  } else if (space == Space::param) {
    load_param<E, C>(w, i, a);
  } else if (space == Space::local) {
    for_lanes(w.mask, [&](u32 l) {
      const u8* from = local_pointer(w, i, l, a[l], bytes, Access::load);
      if (from == nullptr) return;
      for (u32 n = 0; n < i.elements; ++n) put<E, C>(cells<C>(w, i.list[n])[l], from + n * sizeof(E), i.sign);
    });
  } else if (w.mask != 0) {
    const GlobalAccess access = check_global(w, i, a, bytes, Access::load);
    if (access.contiguous && !i.sign)
      gather_contiguous<E, C>(w, i, w.launch->memory->host(a[0]));
    else
      gather<E, C>(w, i, access.lanes, global_base(w), a);
  }
  w.mask = group;
}

template <class E, class C>
void store_global(Warp& w, const Instr& i, const u64* a) {
  const GlobalAccess access = check_global(w, i, a, sizeof(E) * i.elements, Access::store);
  if (access.contiguous) {
    E* out = reinterpret_cast<E*>(w.launch->memory->host(a[0]));
    for (u32 n = 0; n < i.elements; ++n) {
      const C* in = cells<C>(w, i.list[n]);
      for (u32 l = 0; l < 32; ++l) out[l * i.elements + n] = static_cast<E>(in[l]);
    }
    return;
  }
  const uintptr_t base = global_base(w);
  for_lanes(access.lanes, [&](u32 l) { collect<E, C>(w, i, l, reinterpret_cast<u8*>(base + a[l])); });
}

template <class E, class C>
void run_store(Warp& w, const Instr& i) {
  u64 a[32];
  lane_addresses(w, i, a);
  const u32 group = w.mask, bytes = sizeof(E) * i.elements;
  const Space space = resolve_space(w, i, a);
  u8 value[64];
  if (space == Space::shared) {
    for_lanes(check_shared(w, i, a, bytes, Access::store), [&](u32 l) {
      collect<E, C>(w, i, l, value);
      store_shared(w, i, l, a[l], bytes, value);
    });
  } else if (space == Space::local) {
    for_lanes(w.mask, [&](u32 l) {
      if (u8* to = local_pointer(w, i, l, a[l], bytes, Access::store)) collect<E, C>(w, i, l, to);
    });
  } else if (space == Space::param || space == Space::constant) {
    report(w, i, Check::read_only, std::countr_zero(w.mask), "a store into parameters or constants");
  } else if (w.mask != 0) {
    store_global<E, C>(w, i, a);
  }
  w.mask = group;
}

/** The .param variables of calls lie in registers, a u32 of 32 lanes for every 4 bytes. src[0]: the first. */
template <bool store>
void run_call_param(Warp& w, const Instr& i) {
  for (u32 n = 0; n < i.elements; ++n) {
    const u32 at = static_cast<u32>(i.offset) + n * i.width, shift = at % 4 * 8;
    u32 *low = cells<u32>(w, i.src[0] + at / 4 * 128), *high = low + 32;
    const u32 part = i.width >= 4 ? kFull : (1u << (8 * i.width)) - 1;
    for_lanes(w.mask, [&](u32 l) {
      if (store) {
        const u64 value = i.wide ? cells<u64>(w, i.list[n])[l] : cells<u32>(w, i.list[n])[l];
        low[l] = (low[l] & ~(part << shift)) | (static_cast<u32>(value) & part) << shift;
        if (i.width == 8) high[l] = static_cast<u32>(value >> 32);
      } else if (i.wide) {
        cells<u64>(w, i.list[n])[l] = low[l] | (i.width == 8 ? static_cast<u64>(high[l]) << 32 : 0);
      } else {
        u32 value = low[l] >> shift & part;
        if (i.sign && i.width < 4 && (value >> (8 * i.width - 1) & 1)) value |= ~part;
        cells<u32>(w, i.list[n])[l] = value;
      }
    });
  }
}

/** Hints about caches and orders that change nothing here. */
void skip_hints(Op& op, bool load) {
  op.pick({"weak", "relaxed", "acquire", "release", "volatile"});
  op.pick({"cta", "gpu", "sys"});
  if (load) {
    op.pick({"ca", "cg", "cs", "lu", "cv"});
    op.pick({"L2::64B", "L2::128B", "L2::256B"});
  } else {
    op.pick({"wb", "cg", "cs", "wt"});
  }
  op.pick({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
  op.pick({"L2::evict_normal", "L2::evict_first", "L2::evict_last"});
}

template <class E>
Handler memory_handler(bool load, bool wide) {
  if (wide) return load ? run_load<E, u64> : run_store<E, u64>;
  return load ? run_load<E, u32> : run_store<E, u32>;
}

void memory_row(Op& op, bool load) {
  const Space space = op.space();
  if (space == Space::param) op.take("func");
  const std::string_view vector = op.pick({"v2", "v4", "v8"});
  const bool non_coherent = op.take("nc");
  if (non_coherent && (!load || space != Space::global)) op.fail(".nc belongs to ld.global");
  skip_hints(op, load);
  const Type type = op.type();
  op.done();
  op.expect(2, 2);
  op.out.flag = non_coherent;
  op.out.width = static_cast<u8>(bits_of(type) / 8);
  op.out.elements = vector.empty() ? 1 : static_cast<u8>(vector[1] - '0');
  op.out.sign = is_signed(type);
  if (type == Type::pred || op.out.width == 0) op.fail("unknown type of memory");
  if (op.out.width * op.out.elements > 32) op.fail("more than 32 bytes");
  const size_t address = load ? 1 : 0, value = load ? 0 : 1;
  // A register may be wider than the element.
  const ptx::Operand& first = op.parts(value)[0];
  const bool wide = first.kind == ptx::Operand::Kind::reg ? op.width_of(first) == 64 : op.out.width == 8;
  if (op.out.width == 8 && !wide) op.fail("a 64-bit element needs a 64-bit register");
  const u32 bits = wide ? 64 : op.out.width == 4 ? 32 : 16;
  if (op.slots(op.at(value), bits, load) != op.out.elements) op.fail("the vector has another length");
  u32 bytes = 0;
  if (const u32 slot = space == Space::param ? op.param_register(address, &bytes) : kNone; slot != kNone) {
    op.out.offset = op.at(address).offset;
    if (op.out.offset < 0 || op.out.offset + op.out.width * op.out.elements > bytes) op.fail("beyond the parameter");
    op.out.src[0] = slot;
    op.out.wide = wide;
    op.out.run = load ? run_call_param<false> : run_call_param<true>;
    return;
  }
  op.address(address, space);
  op.info.space = space;
  op.info.kind = load ? InstrInfo::Kind::load : InstrInfo::Kind::store;
  op.out.run = op.out.width == 1   ? memory_handler<u8>(load, wide)
               : op.out.width == 2 ? memory_handler<u16>(load, wide)
               : op.out.width == 4 ? memory_handler<u32>(load, wide)
                                   : memory_handler<u64>(load, wide);
}
void row_ld(Op& op) { memory_row(op, true); }
void row_st(Op& op) { memory_row(op, false); }

void run_nothing(Warp&, const Instr&) {}
/** A hint; it may point anywhere. */
void row_prefetch(Op& op) {
  op.space();
  op.pick({"L1", "L2"});
  op.done();
  op.out.run = run_nothing;
}

}  // namespace

void add_memory_ops(OpTable& table) {
  table["ld"] = row_ld;
  table["st"] = row_st;
  table["prefetch"] = row_prefetch;
}

}  // namespace softcuda
