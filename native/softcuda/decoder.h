// The state of decoding one kernel, shared by decode.cpp (layout, labels) and op.cpp (operands of one instruction).
// The rule easy to break: slots are handed out once and never freed, so every name of every function keeps its own.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "decode.h"

namespace softcuda {

/** Bytes of a register for 32 lanes. */
inline constexpr u32 kCell32 = 128, kCell64 = 256, kCellPredicate = 64;

/** A variable a function can name: where it lies in its space. */
struct Symbol {
  ptx::Space space;
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

}  // namespace softcuda
