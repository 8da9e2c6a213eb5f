// The machine: decoded programs, warps of 32 lanes whose registers lie lane by lane, blocks and launches. Built by
// decode.cpp, run by scheduler.cpp, worked on by the handlers (ops_*.cpp).
// The rule easy to break: every register of 32 bits or less is an array of 32 u32, every 64-bit register one of 32 u64,
// a predicate one u32 with a bit per lane; a handler must write only the lanes of its mask.
#pragma once
#include <array>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "findings.h"
#include "memory.h"
#include "ptx.h"
#include "types.h"

namespace softcuda {

struct Warp;
struct Instr;
using Handler = void (*)(Warp&, const Instr&);

inline constexpr u32 kNone = ~0u, kFull = ~0u;

/** Generic addresses outside global memory: window + offset. */
inline constexpr u64 kSharedWindow = 5ull << 48, kLocalWindow = 6ull << 48, kParamWindow = 7ull << 48;
inline constexpr u64 kWindowMask = 15ull << 48;

/** One decoded instruction. Slots are byte offsets into a warp's register file. */
struct Instr {
  Handler run = nullptr;
  u32 dst[2] = {kNone, kNone};
  u32 src[4] = {kNone, kNone, kNone, kNone};
  i64 offset = 0;     // of an address
  u32 guard = kNone;  // slot of a predicate
  bool guard_negated = false;
  bool leader = false;     // groups of lanes may meet here
  bool own_guard = false;  // the handler looks at the guard itself
  ptx::Space space = ptx::Space::generic;
  u8 width = 0;               // of memory: bytes of one element; of an address register: see wide
  u8 elements = 1;            // of a vector
  bool wide = true;           // the address register has 64 bits
  bool sign = false;          // a narrow load extends its sign
  bool flag = false;          // non-coherent load, volatile access, .aligned barrier: by opcode
  u8 mode = 0;                // by opcode
  u32 target = 0;             // branch target, or index of a table in the program
  const u32* list = nullptr;  // slots of a vector or a fragment
  u32 index = 0;              // of the original instruction, for counters and messages
};

/** What is counted for one PTX instruction over all launches. */
struct InstrCounts {
  u64 warps = 0, threads = 0;
  u64 cost = 0, ideal = 0;  // global: 32-byte sectors; shared: passes
};

struct InstrInfo {
  std::string text;
  int ptx_line = 0;
  ptx::Source source;
  ptx::Space space = ptx::Space::generic;
  enum class Kind : u8 { other, load, store, atomic, barrier } kind = Kind::other;
};

struct Parameter {
  u32 offset, bytes;
};

/** How one device function is called: where its parameters and results live. */
struct CallPlan {
  u32 entry = 0;
  std::vector<std::array<u32, 2>> in, out;  // pairs of slots, one per 4-byte word: from, to
};

/** An immediate operand, kept as a register that holds it in every lane. */
struct Constant {
  u32 slot;
  u64 value;
  bool wide;
};

/** A kernel ready to run, with every device function it calls behind it. */
struct Program {
  std::string name;
  std::vector<Instr> code;
  std::vector<InstrInfo> info;
  std::vector<InstrCounts> counts;
  std::vector<Constant> constants;
  std::deque<std::vector<u32>> lists;
  std::deque<CallPlan> calls;
  std::vector<std::vector<u32>> jump_tables;
  std::vector<Parameter> params;
  u32 param_bytes = 0, frame_bytes = 0, local_bytes = 0, static_shared = 0, register_words = 0;
  u32 max_threads = 1024;
  std::array<u32, 32> special{};  // slots, by Special
  std::map<int, std::string> files;
  // over all launches
  u64 launches = 0, unique_sectors = 0, read_sectors = 0, written_sectors = 0;
};

enum class Special : u8 {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  lanemask_eq,
  lanemask_le,
  lanemask_lt,
  lanemask_ge,
  lanemask_gt,
  dynamic_smem,
  total_smem,
  count
};

/** What the checks know of one word of shared memory; an epoch is the time between two barriers. */
struct SharedWord {
  u32 write_epoch = 0, read_epoch = 0;
  u32 write_stamp = 0, read_stamp = 0;  // the warp's count of bar.warp.sync
  u16 writer = 0, reader = 0;           // thread, or one of the marks below
  u8 write_mask = 0;                    // bytes written in the epoch
};
inline constexpr u16 kManyThreads = 0xffff, kAtomic = 0xfffe, kManyOfWarp = 0x8000;

/** What has arrived at one of the sixteen barriers of a block. */
struct Barrier {
  u32 arrived = 0, expected = 0;  // threads; expected 0 means all that have not left
  u32 votes = 0;                  // threads whose predicate was true, for bar.red
};

struct Block {
  std::array<Barrier, 16> barriers;
  std::vector<u8> shared, shared_init;  // bytes; of each word, which of its bytes were written
  std::vector<SharedWord> words;
  u32 epoch = 1;
  u32 id[3] = {0, 0, 0};
};

/** Lanes that stand at one place. */
struct Group {
  u32 pc = 0, mask = 0;
  enum class State : u8 { ready, sync, barrier } state = State::ready;
  u32 need = 0;            // sync: the lanes that have to come; barrier: its number
  std::vector<u32> stack;  // return addresses
};

struct Launch;

/** One copy of cp.async that waits for its group. */
struct AsyncCopy {
  u32 lane, shared, bytes;
  u64 data[2];
  u64 group;
  u32 index;
};

struct Warp {
  u8* registers = nullptr;
  u32 mask = 0;   // lanes that execute
  u32 alive = 0;  // lanes that have not left
  u32 pc = 0;
  bool yield = false;
  u32 id = 0;
  u32 present = 0;  // lanes that exist
  Launch* launch = nullptr;
  Block* block = nullptr;
  std::vector<u32> stack;
  std::vector<Group> groups;
  u32 syncs = 1;             // bar.warp.sync executed
  u32 lane_sync[32] = {};    // the last one each lane took part in
  u64 async_group[32] = {};  // of cp.async, per lane: the open group
  std::vector<AsyncCopy> async;
  std::vector<u8> local, local_init;  // lane after lane
};

struct Options {
  u32 seed = 0;
  bool approximate = false;                 // add a seeded error to approximate instructions
  u64 max_instructions = 4'000'000'000ull;  // of warps in a launch; more is a hang
  bool check_uninitialised = true, check_races = true, check_order = true;
};

struct Launch {
  Program* program = nullptr;
  DeviceMemory* memory = nullptr;
  Findings* findings = nullptr;
  const Options* options = nullptr;
  std::vector<u8> params;
  u32 grid[3] = {1, 1, 1}, threads[3] = {1, 1, 1};
  u32 dynamic_shared = 0;
  u32 shared_bytes = 0;
  std::vector<Allocation> cache;  // per instruction: where its last access lay
  u64 instructions = 0;           // of warps so far
  bool stop = false;              // a finding after which going on makes no sense
  u64 random = 0;                 // state of the approximate mode

  /** Runs every block; findings go to `findings`, counters to the program. */
  void run();
};

/** Keeps a finding of this instruction; lane names the thread. */
void report(Warp& warp, const Instr& instr, Check check, u32 lane, const std::string& message);

}  // namespace softcuda
