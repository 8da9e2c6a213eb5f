// ptx::Function -> Program: lays out the register file, resolves names to slots and addresses, and asks the opcode
// table for each instruction's handler. Called when a module is loaded. The rule easy to break: a device function lies
// once in the register file of a kernel, so recursion is refused.
#include "decode.h"

#include <algorithm>
#include <set>

namespace softcuda {

using ptx::Operand;
using ptx::Space;

namespace {

constexpr u32 kCell32 = 128, kCell64 = 256, kCellPredicate = 64;

const OpTable& op_table() {
  static const OpTable table = [] {
    OpTable rows;
    add_integer_ops(rows);
    add_bit_ops(rows);
    add_float_ops(rows);
    add_approximate_ops(rows);
    add_compare_ops(rows);
    add_convert_ops(rows);
    add_move_ops(rows);
    add_control_ops(rows);
    add_warp_ops(rows);
    add_memory_ops(rows);
    add_atomic_ops(rows);
    add_async_ops(rows);
    add_matrix_ops(rows);
    return rows;
  }();
  return table;
}

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

/** A variable a function can name: where it lies in its space. */
struct Symbol {
  Space space;
  u64 value;  // offset or address; of a .param variable held in registers its first slot
  u32 bytes;
  bool in_registers = false;
};

/** Names of one function while it is decoded. */
struct Frame {
  const ptx::Function* function;
  std::vector<u32> registers;  // slots
  std::map<std::string, Symbol> symbols;
  std::map<std::string, u32> labels;  // -> index into Program::code
  u32 entry = 0;
};

struct Decoder {
  const ptx::Module& module;
  const SymbolAddresses& globals;
  Program& program;
  std::map<std::pair<u64, bool>, u32> constants;
  std::map<std::string, Frame> frames;
  std::map<std::string, std::vector<size_t>> calls;  // callee -> call plans whose entry is to be set
  std::set<std::string> open;                        // functions being laid out, to see recursion
  Frame* frame = nullptr;
  struct Fixup {
    size_t instr;
    std::string label;
    int line;
  };
  std::vector<Fixup> fixups;
  struct TableFixup {
    size_t table;
    std::vector<std::string> labels;
  };
  std::vector<TableFixup> table_fixups;
  u32 sink32, sink64, sink_predicate;
  std::map<std::string, Symbol> shared_by_all;  // variables of the module

  u32 take(u32 bytes) {
    const u32 at = program.frame_bytes;
    program.frame_bytes += bytes;
    return at;
  }
  void layout(const ptx::Function& function);
  void variables(Frame& target);
  void module_shared(const std::string& name);
  const Symbol* find(const std::string& name) const;
  void function(const ptx::Function& function);
  void instruction(const ptx::Instruction& ptx);
};

void Decoder::variables(Frame& target) {
  const ptx::Function& function = *target.function;
  for (const ptx::Variable& variable : module.globals)
    if (const auto at = globals.find(variable.name); at != globals.end())
      shared_by_all[variable.name] = {variable.space, at->second, static_cast<u32>(variable.bytes)};
  const auto in_registers = [&](const ptx::Variable& variable) {
    const u32 words = static_cast<u32>(round_up(variable.bytes, 8) / 4);
    target.symbols[variable.name] = {Space::param, take(words * kCell32), static_cast<u32>(variable.bytes), true};
  };
  for (const ptx::Variable& variable : function.returns) in_registers(variable);
  for (const ptx::Variable& variable : function.params) {
    if (!function.entry) {
      in_registers(variable);
      continue;
    }
    program.param_bytes = static_cast<u32>(round_up(program.param_bytes, variable.align));
    target.symbols[variable.name] = {Space::param, program.param_bytes, static_cast<u32>(variable.bytes)};
    program.params.push_back({program.param_bytes, static_cast<u32>(variable.bytes)});
    program.param_bytes += static_cast<u32>(variable.bytes);
  }
  for (const ptx::Variable& variable : function.locals) {
    if (variable.space == Space::param) {
      in_registers(variable);
      continue;
    }
    u32& top = variable.space == Space::shared ? program.static_shared : program.local_bytes;
    top = static_cast<u32>(round_up(top, variable.align));
    target.symbols[variable.name] = {variable.space, top, static_cast<u32>(variable.bytes)};
    top += static_cast<u32>(variable.bytes);
  }
}

/** Gives a shared array of the module a place in this kernel; an unsized one starts behind all others, see decode(). */
void Decoder::module_shared(const std::string& name) {
  if (name.empty() || shared_by_all.count(name)) return;
  for (const ptx::Variable& variable : module.globals) {
    if (variable.space != Space::shared || variable.unsized || variable.name != name) continue;
    program.static_shared = static_cast<u32>(round_up(program.static_shared, variable.align));
    shared_by_all[name] = {Space::shared, program.static_shared, static_cast<u32>(variable.bytes)};
    program.static_shared += static_cast<u32>(variable.bytes);
  }
}

const Symbol* Decoder::find(const std::string& name) const {
  if (const auto own = frame->symbols.find(name); own != frame->symbols.end()) return &own->second;
  const auto all = shared_by_all.find(name);
  return all == shared_by_all.end() ? nullptr : &all->second;
}

/** Gives the function and all that it calls their places. */
void Decoder::layout(const ptx::Function& function) {
  if (open.count(function.name)) throw LoadError("[ptx] " + function.name + ": recursion is not supported");
  if (frames.count(function.name)) return;
  if (!function.defined) throw LoadError("[ptx] " + function.name + ": called but not defined in this module");
  open.insert(function.name);
  Frame& target = frames[function.name];
  target.function = &function;
  for (const ptx::Register& reg : function.registers)
    target.registers.push_back(take(reg.bits == 64 ? kCell64 : reg.bits == 1 ? kCellPredicate : kCell32));
  program.register_words += static_cast<u32>(function.registers.size());
  variables(target);
  for (const ptx::Instruction& instruction : function.code) {
    for (const Operand& operand : instruction.operands) module_shared(operand.name);
    if (instruction.parts[0] != "call") continue;
    for (const Operand& operand : instruction.operands)
      for (const ptx::Function& callee : module.functions)
        if (operand.kind == Operand::Kind::symbol && operand.name == callee.name) layout(callee);
  }
  open.erase(function.name);
}

void Decoder::instruction(const ptx::Instruction& ptx) {
  Instr instr;
  InstrInfo info;
  info.text = ptx.spelling;
  info.ptx_line = ptx.line;
  info.source = ptx.source;
  instr.index = static_cast<u32>(program.info.size());
  if (ptx.guard >= 0) {
    if (frame->function->registers[ptx.guard].bits != 1) throw LoadError("[ptx] a guard must be a predicate");
    instr.guard = frame->registers[ptx.guard];
    instr.guard_negated = ptx.guard_negated;
  }
  Op op(*this, ptx, instr, info);
  const auto row = op_table().find(ptx.parts[0]);
  if (row == op_table().end()) op.fail("unknown opcode");
  row->second(op);
  program.info.push_back(std::move(info));
  program.code.push_back(instr);
  if (ptx.parts[0] == "call") {
    Instr result = instr;
    result.run = run_call_result;
    result.index = static_cast<u32>(program.info.size());
    program.info.push_back({"", ptx.line, ptx.source});  // no instruction of the text: reports leave it out
    result.leader = true;
    result.guard = kNone;
    program.code.push_back(result);
  }
}

void Decoder::function(const ptx::Function& function) {
  frame = &frames.at(function.name);
  frame->entry = static_cast<u32>(program.code.size());
  std::vector<u32> index;
  for (const ptx::Instruction& ptx : function.code) {
    index.push_back(static_cast<u32>(program.code.size()));
    instruction(ptx);
  }
  // Falling off the end is a return.
  ptx::Instruction last;
  last.spelling = "ret";
  last.parts = {"ret"};
  last.line = function.line;
  index.push_back(static_cast<u32>(program.code.size()));
  instruction(last);
  for (const auto& [label, at] : function.labels) {
    frame->labels[label] = index[at];
    program.code[index[at]].leader = true;
  }
  for (const Fixup& fixup : fixups) {
    const auto at = frame->labels.find(fixup.label);
    if (at == frame->labels.end())
      throw LoadError("[ptx] line " + std::to_string(fixup.line) + ": unknown label " + fixup.label);
    program.code[fixup.instr].target = at->second;
  }
  for (const TableFixup& fixup : table_fixups)
    for (const std::string& label : fixup.labels) program.jump_tables[fixup.table].push_back(frame->labels.at(label));
  fixups.clear();
  table_fixups.clear();
  // Lanes that did not jump wait behind the branch, so groups may meet there as well.
  for (size_t i = frame->entry; i + 1 < program.code.size(); ++i)
    if (program.code[i].own_guard) program.code[i + 1].leader = true;
}

std::unique_ptr<Program> decode(const ptx::Module& module, const ptx::Function& kernel,
                                const SymbolAddresses& globals) {
  auto program = std::make_unique<Program>();
  program->name = kernel.name;
  program->files = module.files;
  if (kernel.max_threads > 0) program->max_threads = kernel.max_threads;
  Decoder decoder{module, globals, *program, {}, {}, {}, {}, nullptr, {}, {}, 0, 0, 0, {}};
  decoder.sink32 = decoder.take(kCell32);
  decoder.sink64 = decoder.take(kCell64);
  decoder.sink_predicate = decoder.take(kCellPredicate);
  for (u32& slot : program->special) slot = decoder.take(kCell32);
  decoder.layout(kernel);
  u32 align = 16;
  for (const ptx::Variable& variable : module.globals)
    if (variable.space == Space::shared && variable.unsized) align = std::max(align, variable.align);
  program->static_shared = static_cast<u32>(round_up(program->static_shared, align));
  for (const ptx::Variable& variable : module.globals)
    if (variable.space == Space::shared && variable.unsized)
      decoder.shared_by_all[variable.name] = {Space::shared, program->static_shared, 0};
  decoder.function(kernel);
  for (const auto& [name, frame] : decoder.frames)
    if (name != kernel.name) decoder.function(*frame.function);
  for (const auto& [name, plans] : decoder.calls)
    for (const size_t plan : plans) program->calls[plan].entry = decoder.frames.at(name).entry;
  program->counts.resize(program->info.size());
  return program;
}

// ---------------------------------------------------------------- Op

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
