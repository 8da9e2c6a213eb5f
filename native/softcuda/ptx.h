// PTX as plain data, as parse_ptx leaves it: names resolved to registers and symbols, modifiers still spelled out.
// Written by parser.cpp, read by decode.cpp. The rule easy to break: nothing here knows what an opcode means.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "types.h"

namespace softcuda::ptx {

enum class Space : u8 { generic, global, shared, param, local, constant };

struct Operand {
  enum class Kind : u8 { reg, immediate, special, address, symbol, sink, list };
  Kind kind = Kind::sink;
  int reg = -1;               // reg, or the base of an address; -1 for none
  bool negated = false;       // !%p
  u64 value = 0;              // immediate: integer, or the bits of a float
  int float_bits = 0;         // immediate: 32 for 0f..., 64 for 0d..., 0 for an integer
  i64 offset = 0;             // address
  std::string name;           // special register, symbol, or the symbol an address starts from
  std::vector<Operand> list;  // {a, b, c, d} and (a, b)
  int partner = -1;           // the register after | (a predicate), -1 for none
};

/** Where the compiler says an instruction comes from; file indexes Module::files, line 0 means unknown. */
struct Source {
  int file = 0, line = 0;
};

struct Instruction {
  std::string spelling;            // ld.global.v4.f32
  std::vector<std::string> parts;  // spelling split at the dots
  int guard = -1;
  bool guard_negated = false;
  std::vector<Operand> operands;
  int line = 0;  // of the PTX text
  Source source;
};

struct Variable {
  std::string name;
  Space space = Space::generic;
  u32 align = 1;
  u64 bytes = 0;
  bool unsized = false;  // extern .shared x[]
  std::vector<u8> init;
};

struct Register {
  std::string name;
  u32 bits;
};

struct Function {
  std::string name;
  bool entry = false, defined = false;
  std::vector<Variable> params, returns;
  std::vector<Variable> locals;  // shared, local and param variables of the body, in order of declaration
  std::vector<Register> registers;
  std::vector<Instruction> code;
  std::map<std::string, int> labels;                            // -> index into code
  std::map<std::string, std::vector<std::string>> jump_tables;  // .branchtargets
  u32 max_threads = 0;                                          // .maxntid or .reqntid as a product, 0 if absent
  int line = 0;
};

struct Module {
  int target = 0;  // 80 of sm_80
  std::vector<Function> functions;
  std::vector<Variable> globals;  // global, constant and module-level shared
  std::map<int, std::string> files;
};

/** Parses what nvcc writes for 64-bit targets. Throws LoadError with the PTX line. */
Module parse_ptx(std::string_view text);

}  // namespace softcuda::ptx
