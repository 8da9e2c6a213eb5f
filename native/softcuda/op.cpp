// Modifiers and operands of one instruction, see decode.h. The rule easy to break: the class of a register (predicate,
// up to 32 bits, 64 bits) must be the one its operation expects, since a handler reads its lanes by that width.
#include <algorithm>

#include "decoder.h"

namespace softcuda {

using ptx::Operand;
using ptx::Space;

namespace {

constexpr const char* kSpecialNames[] = {"%tid.x",          "%tid.y",
                                         "%tid.z",          "%ntid.x",
                                         "%ntid.y",         "%ntid.z",
                                         "%ctaid.x",        "%ctaid.y",
                                         "%ctaid.z",        "%nctaid.x",
                                         "%nctaid.y",       "%nctaid.z",
                                         "%laneid",         "%warpid",
                                         "%nwarpid",        "%smid",
                                         "%lanemask_eq",    "%lanemask_le",
                                         "%lanemask_lt",    "%lanemask_ge",
                                         "%lanemask_gt",    "%dynamic_smem_size",
                                         "%total_smem_size"};
static_assert(std::size(kSpecialNames) == static_cast<size_t>(Special::count));

}  // namespace

Op::Op(Decoder& decoder, const ptx::Instruction& ptx, Instr& out, InstrInfo& info)
    : out(out), info(info), ptx(ptx), decoder_(decoder), used_(ptx.parts.size()) {
  used_[0] = true;
}

void Op::fail(const std::string& what) const {
  throw LoadError("[ptx] line " + std::to_string(ptx.line) + ": " + ptx.spelling + ": " + what);
}

Program& Op::program() { return decoder_.program; }

bool Op::take(std::string_view name) {
  for (size_t i = 1; i < used_.size(); ++i)
    if (!used_[i] && ptx.parts[i] == name) return used_[i] = true;
  return false;
}

std::string_view Op::pick(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    if (take(name)) return name;
  return "";
}

Type Op::type() {
  for (size_t i = used_.size(); i-- > 1;) {
    if (used_[i]) continue;
    const auto type = parse_type(ptx.parts[i]);
    if (!type) fail("expected a type, came '." + ptx.parts[i] + "'");
    used_[i] = true;
    return *type;
  }
  fail("expected a type");
}

Type Op::type(std::initializer_list<Type> allowed) {
  const Type found = type();
  if (std::find(allowed.begin(), allowed.end(), found) == allowed.end())
    fail(std::string("the type .") + name_of(found) + " is not supported here");
  return found;
}

void Op::done() const {
  for (size_t i = 0; i < used_.size(); ++i)
    if (!used_[i]) fail("unknown modifier '." + ptx.parts[i] + "'");
}

u8 Op::rounding(u8 otherwise) {
  const std::string_view name = pick({"rn", "rz", "rm", "rp"});
  return name == "rn" ? 0 : name == "rz" ? 1 : name == "rm" ? 2 : name == "rp" ? 3 : otherwise;
}

ptx::Space Op::space() {
  if (take("shared::cta")) return Space::shared;
  const std::string_view name = pick({"global", "shared", "local", "const", "param"});
  return name == "global"   ? Space::global
         : name == "shared" ? Space::shared
         : name == "local"  ? Space::local
         : name == "const"  ? Space::constant
         : name == "param"  ? Space::param
                            : Space::generic;
}

void Op::expect(size_t low, size_t high) const {
  if (count() < low || count() > high)
    fail("expected " + std::to_string(low) + (low == high ? "" : " to " + std::to_string(high)) + " operands, came " +
         std::to_string(count()));
}

const Operand& Op::at(size_t operand) const {
  if (operand >= count()) fail("operand " + std::to_string(operand) + " is missing");
  return ptx.operands[operand];
}

u32 Op::width_of(const Operand& operand) const { return decoder_.frame->function->registers[operand.reg].bits; }

u32 Op::dst(const Operand& operand, u32 bits) {
  if (operand.kind == Operand::Kind::sink)
    return bits == 64 ? decoder_.sink64 : bits == 1 ? decoder_.sink_predicate : decoder_.sink32;
  if (operand.kind != Operand::Kind::reg) fail("expected a register");
  const u32 have = width_of(operand);
  if ((have == 64) != (bits == 64) || (have == 1) != (bits == 1))
    fail("a register of " + std::to_string(have) + " bits where " + std::to_string(bits) + " are meant");
  return decoder_.frame->registers[operand.reg];
}
u32 Op::dst(size_t operand, u32 bits) { return dst(at(operand), bits); }

u32 Op::immediate(u64 value, bool wide) {
  const auto [entry, added] = decoder_.constants.emplace(std::make_pair(value, wide), 0);
  if (added) {
    entry->second = decoder_.take(wide ? kCell64 : kCell32);
    program().constants.push_back({entry->second, value, wide});
  }
  return entry->second;
}

u32 Op::src(const Operand& operand, u32 bits) {
  switch (operand.kind) {
    case Operand::Kind::reg:
      return dst(operand, bits);
    case Operand::Kind::immediate:
      if (operand.float_bits != 0 && operand.float_bits != static_cast<int>(bits)) fail("a float of another width");
      if (bits == 1) return immediate(operand.value ? kFull : 0, false);
      return immediate(bits == 64 ? operand.value : operand.value & (bits == 32 ? 0xffffffffu : 0xffffu), bits == 64);
    case Operand::Kind::special: {
      for (size_t i = 0; i < std::size(kSpecialNames); ++i)
        if (operand.name == kSpecialNames[i] && bits != 64) return program().special[i];
      if (operand.name == "WARP_SZ") return immediate(32, bits == 64);
      fail("unknown special register " + operand.name);
    }
    case Operand::Kind::symbol: {
      if (operand.name == "WARP_SZ") return immediate(32, bits == 64);
      const Symbol* symbol = decoder_.find(operand.name);
      if (symbol == nullptr) fail("unknown symbol '" + operand.name + "'");
      if (symbol->in_registers) fail("the address of a call's parameter is not supported");
      return immediate(symbol->value + operand.offset, bits == 64);
    }
    default:
      fail("an operand of this kind is not supported here");
  }
}
u32 Op::src(size_t operand, u32 bits) { return src(at(operand), bits); }

void Op::operands(u32 sources, u32 bits) {
  expect(sources + 1, sources + 1);
  out.dst[0] = dst(0, bits);
  for (u32 i = 0; i < sources; ++i) out.src[i] = src(i + 1, bits);
}

u64 Op::literal(size_t operand) const {
  if (at(operand).kind != Operand::Kind::immediate) fail("expected a number");
  return at(operand).value;
}

void Op::address(size_t operand, Space space) {
  const Operand& address = at(operand);
  if (address.kind != Operand::Kind::address) fail("expected an address");
  out.space = space;
  out.offset = address.offset;
  if (address.reg >= 0) {
    const u32 bits = width_of(address);
    if (bits != 64 && bits != 32) fail("an address needs a register of 32 or 64 bits");
    if (bits == 32 && space != Space::shared && space != Space::local && space != Space::param)
      fail("global addresses have 64 bits");
    out.wide = bits == 64;
    out.src[0] = decoder_.frame->registers[address.reg];
    return;
  }
  out.wide = true;
  if (address.name.empty()) {
    out.src[0] = immediate(0, true);
    return;
  }
  const Symbol* symbol = decoder_.find(address.name);
  if (symbol == nullptr) fail("unknown symbol '" + address.name + "'");
  if (symbol->space != space) fail("'" + address.name + "' lies in another state space");
  out.src[0] = immediate(symbol->value, true);
}

const std::vector<Operand>& Op::parts(size_t operand) {
  if (at(operand).kind == Operand::Kind::list) return at(operand).list;
  single_ = {at(operand)};
  return single_;
}

u32 Op::slots(const Operand& operand, u32 bits, bool destination) {
  std::vector<u32> list;
  const std::vector<Operand> alone = {operand};
  for (const Operand& part : operand.kind == Operand::Kind::list ? operand.list : alone)
    list.push_back(destination ? dst(part, bits) : src(part, bits));
  program().lists.push_back(std::move(list));
  out.list = program().lists.back().data();
  return static_cast<u32>(program().lists.back().size());
}

u32 Op::label(size_t operand) {
  if (at(operand).kind != Operand::Kind::symbol) fail("expected a label");
  decoder_.fixups.push_back({program().code.size(), at(operand).name, ptx.line});
  return 0;
}

u32 Op::jump_table(size_t operand) {
  const auto& tables = decoder_.frame->function->jump_tables;
  const auto found = tables.find(at(operand).name);
  if (found == tables.end()) fail("expected the label of a .branchtargets list");
  decoder_.table_fixups.push_back({program().jump_tables.size(), found->second});
  program().jump_tables.emplace_back();
  return static_cast<u32>(program().jump_tables.size() - 1);
}

u32 Op::param_register(size_t operand, u32* bytes) {
  const Operand& address = at(operand);
  if (address.kind != Operand::Kind::address || address.name.empty()) return kNone;
  const Symbol* symbol = decoder_.find(address.name);
  if (symbol == nullptr || !symbol->in_registers) return kNone;
  *bytes = symbol->bytes;
  return static_cast<u32>(symbol->value);
}

/** call (results), name, (arguments) with any of the lists left out. */
CallPlan& Op::call_plan(size_t* index) {
  size_t name = 0;
  while (name < count() && at(name).kind != Operand::Kind::symbol) ++name;
  if (name == count()) fail("expected the name of a function; indirect calls are not supported");
  const auto callee = decoder_.frames.find(at(name).name);
  if (callee == decoder_.frames.end()) fail("unknown function '" + at(name).name + "'");
  const auto symbol = [&](Frame& frame, const std::string& variable) -> Symbol {
    const auto found = frame.symbols.find(variable);
    if (found == frame.symbols.end() || !found->second.in_registers) fail("unknown parameter '" + variable + "'");
    return found->second;
  };
  const auto pair = [&](size_t operand, const std::vector<ptx::Variable>& formal, bool in, auto& pairs) {
    const std::vector<Operand> none;
    const std::vector<Operand>& actual = operand < count() && operand != name ? at(operand).list : none;
    if (actual.size() != formal.size()) fail("expected " + std::to_string(formal.size()) + " arguments");
    for (size_t i = 0; i < formal.size(); ++i) {
      const Symbol ours = symbol(*decoder_.frame, actual[i].name), theirs = symbol(callee->second, formal[i].name);
      if (ours.bytes != theirs.bytes) fail("an argument of another size");
      for (u32 word = 0; word * 4 < ours.bytes; ++word) {
        const u32 a = static_cast<u32>(ours.value) + word * kCell32,
                  b = static_cast<u32>(theirs.value) + word * kCell32;
        pairs.push_back(in ? std::array<u32, 2>{a, b} : std::array<u32, 2>{b, a});
      }
    }
  };
  program().calls.emplace_back();
  CallPlan& plan = program().calls.back();
  *index = program().calls.size() - 1;
  decoder_.calls[callee->first].push_back(*index);
  pair(name == 0 ? count() : 0, callee->second.function->returns, false, plan.out);
  pair(name + 1, callee->second.function->params, true, plan.in);
  return plan;
}

}  // namespace softcuda
