// ptx::Function -> Program: lays out the register file, resolves names to slots and addresses, and asks the opcode
// table for each instruction's handler. Called when a module is loaded. The rule easy to break: a device function lies
// once in the register file of a kernel, so recursion is refused.
#include <algorithm>

#include "decoder.h"

namespace softcuda {

using ptx::Operand;
using ptx::Space;

namespace {

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

}  // namespace

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

}  // namespace softcuda
