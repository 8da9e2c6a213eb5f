// What a row of the opcode table gets to see while one instruction is decoded. Used by decode.cpp and the ops_*.cpp.
// The rule easy to break: a row must consume every modifier of the spelling and then call done(); what is left over is
// a load error, so nothing is ever ignored in silence.
#pragma once
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "exec.h"

namespace softcuda {

struct Decoder;  // decode.cpp

/** One instruction on its way from text to Instr. */
class Op {
 public:
  Op(Decoder& decoder, const ptx::Instruction& ptx, Instr& out, InstrInfo& info);

  Instr& out;
  InstrInfo& info;
  const ptx::Instruction& ptx;

  // ---- modifiers
  /** True, once, if the modifier stands in the spelling. */
  bool take(std::string_view name);
  /** The one of the names that stands in the spelling, or "". */
  std::string_view pick(std::initializer_list<std::string_view> names);
  /** The last modifier not yet consumed, which must be a type. */
  Type type();
  /** Consumes a type that must be one of these; `what` names the role in the error. */
  Type type(std::initializer_list<Type> allowed);
  void done() const;
  /** .rn .rz .rm .rp as 0..3; `otherwise` if none stands there. */
  u8 rounding(u8 otherwise = 0);

  // ---- operands
  size_t count() const { return ptx.operands.size(); }
  void expect(size_t low, size_t high) const;
  /** Slot of a register operand whose class (predicate, 32, 64 bits) fits; a sink gets a slot nobody reads. */
  u32 dst(size_t operand, u32 bits);
  u32 dst(const ptx::Operand& operand, u32 bits);
  /** Slot of a source: register, immediate, special register or symbol address. */
  u32 src(size_t operand, u32 bits);
  u32 src(const ptx::Operand& operand, u32 bits);
  /** The usual pattern: dst 0, then sources 1..n of the same width. */
  void operands(u32 sources, u32 bits);
  u32 immediate(u64 value, bool wide);
  /** The number an operand must spell out. */
  u64 literal(size_t operand) const;
  /** Fills offset, src[0], wide and, for a symbol, checks its space. A generic address is left generic. */
  void address(size_t operand, ptx::Space space);
  /** Slots of {a, b, ..} or of a single register, as a list kept by the program. */
  u32 slots(const ptx::Operand& operand, u32 bits, bool destination);
  /** Registers of an operand that holds one value or a list; their number. */
  const std::vector<ptx::Operand>& parts(size_t operand);
  u32 width_of(const ptx::Operand& operand) const;
  const ptx::Operand& at(size_t operand) const;
  u32 label(size_t operand);
  u32 jump_table(size_t operand);
  /** The .param variable of a call sequence or of a device function that an address names, or kNone. */
  u32 param_register(size_t operand, u32* bytes);
  CallPlan& call_plan(size_t* index);
  Program& program();
  Decoder& decoder() { return decoder_; }
  /** The space named by the modifiers (.shared::cta counts as .shared). */
  ptx::Space space();

  [[noreturn]] void fail(const std::string& what) const;

 private:
  Decoder& decoder_;
  std::vector<bool> used_;
  std::vector<ptx::Operand> single_;
};

/** Fills op.out; adds nothing to the program but lists and tables. */
using Row = void (*)(Op&);
using OpTable = std::map<std::string, Row, std::less<>>;

void add_integer_ops(OpTable& table);
void add_bit_ops(OpTable& table);
void add_float_ops(OpTable& table);
void add_approximate_ops(OpTable& table);
void add_compare_ops(OpTable& table);
void add_convert_ops(OpTable& table);
void add_move_ops(OpTable& table);
void add_control_ops(OpTable& table);
void add_warp_ops(OpTable& table);
void add_memory_ops(OpTable& table);
void add_atomic_ops(OpTable& table);
void add_async_ops(OpTable& table);
void add_matrix_ops(OpTable& table);

/** bar.warp.sync, in ops_warp.cpp. */
void row_bar_warp(Op& op);
/** Stands behind every call and copies its results, see ops_control.cpp. */
void run_call_result(Warp& warp, const Instr& instr);

/** Addresses of the module's global and constant variables. */
using SymbolAddresses = std::map<std::string, u64>;

/** Makes the kernel runnable. Throws LoadError naming the PTX line and the spelling it does not know. */
std::unique_ptr<Program> decode(const ptx::Module& module, const ptx::Function& kernel, const SymbolAddresses& globals);

}  // namespace softcuda
