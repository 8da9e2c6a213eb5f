// Runs a launch: blocks one after the other in an order drawn from the seed, the warps of a block in turns whose order
// is drawn too, until every lane has left. Called by the driver through Launch::run. The rule easy to break: a warp
// runs until no lane of it can go on, so what happens between two barriers is judged by the race check and not by the
// order that happened to be drawn.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "groups.h"

namespace softcuda {
namespace {

struct Machine {
  Launch& launch;
  Program& program;
  Block block;
  std::vector<Warp> warps;
  std::vector<u8> registers;
  std::mt19937 random;

  explicit Machine(Launch& l) : launch(l), program(*l.program), random(l.options->seed) {}
  void prepare();
  void prepare_registers(Warp& warp, u32 thread_count);
  void start_block(u32 x, u32 y, u32 z);
  void run_block();
  void run_warp(Warp& warp);
  bool release_barriers();
  void release(u32 number);
  void report_deadlock();
  void set_special(Warp& warp, Special which, u32 value) {
    std::fill_n(cells<u32>(warp, program.special[static_cast<size_t>(which)]), 32, value);
  }
};

void Machine::prepare() {
  const u32 threads = launch.threads[0] * launch.threads[1] * launch.threads[2];
  launch.shared_bytes = program.static_shared + launch.dynamic_shared;
  block.shared.resize(round_up(launch.shared_bytes, 16));
  block.shared_init.resize(block.shared.size() / 4);
  block.words.resize(block.shared.size() / 4);
  warps.resize((threads + 31) / 32);
  const u64 frame = round_up(program.frame_bytes, 64);
  registers.resize(frame * warps.size() + 64);
  u8* base = registers.data() + (64 - reinterpret_cast<uintptr_t>(registers.data()) % 64) % 64;
  for (u32 i = 0; i < warps.size(); ++i) {
    Warp& warp = warps[i];
    warp.registers = base + frame * i;
    warp.id = i;
    warp.launch = &launch;
    warp.block = &block;
    const u32 count = std::min(32u, threads - i * 32);
    warp.present = count == 32 ? kFull : (1u << count) - 1;
    warp.local.resize(static_cast<size_t>(program.local_bytes) * 32);
    warp.local_init.resize(warp.local.size());
    prepare_registers(warp, threads);
  }
}

void Machine::prepare_registers(Warp& warp, u32 threads) {
  for (const Constant& constant : program.constants) {
    if (constant.wide)
      std::fill_n(cells<u64>(warp, constant.slot), 32, constant.value);
    else
      std::fill_n(cells<u32>(warp, constant.slot), 32, static_cast<u32>(constant.value));
  }
  const u32 *size = launch.threads, *grid = launch.grid;
  const auto lane = [&](Special which, auto value) {
    u32* out = cells<u32>(warp, program.special[static_cast<size_t>(which)]);
    for (u32 l = 0; l < 32; ++l) out[l] = value(l);
  };
  lane(Special::tid_x, [&](u32 l) { return (warp.id * 32 + l) % size[0]; });
  lane(Special::tid_y, [&](u32 l) { return (warp.id * 32 + l) / size[0] % size[1]; });
  lane(Special::tid_z, [&](u32 l) { return (warp.id * 32 + l) / (size[0] * size[1]); });
  for (u32 axis = 0; axis < 3; ++axis) {
    set_special(warp, static_cast<Special>(static_cast<u32>(Special::ntid_x) + axis), size[axis]);
    set_special(warp, static_cast<Special>(static_cast<u32>(Special::nctaid_x) + axis), grid[axis]);
  }
  lane(Special::laneid, [](u32 l) { return l; });
  lane(Special::lanemask_eq, [](u32 l) { return 1u << l; });
  lane(Special::lanemask_le, [](u32 l) { return (2u << l) - 1; });
  lane(Special::lanemask_lt, [](u32 l) { return (1u << l) - 1; });
  lane(Special::lanemask_ge, [](u32 l) { return ~((1u << l) - 1); });
  lane(Special::lanemask_gt, [](u32 l) { return ~((2u << l) - 1); });
  set_special(warp, Special::warpid, warp.id);
  set_special(warp, Special::nwarpid, (threads + 31) / 32);
  set_special(warp, Special::dynamic_smem, launch.dynamic_shared);
  set_special(warp, Special::total_smem, launch.shared_bytes);
}

void Machine::start_block(u32 x, u32 y, u32 z) {
  block.id[0] = x;
  block.id[1] = y;
  block.id[2] = z;
  block.epoch += 1;
  block.barriers = {};
  std::fill(block.shared_init.begin(), block.shared_init.end(), 0);
  for (Warp& warp : warps) {
    warp.alive = warp.mask = warp.present;
    warp.pc = 0;
    warp.groups.clear();
    warp.stack.clear();
    warp.async.clear();
    warp.syncs = 1;
    std::fill_n(warp.lane_sync, 32, 0);
    std::fill_n(warp.async_group, 32, 0);
    std::fill(warp.local_init.begin(), warp.local_init.end(), 0);
    park(warp, 0, warp.present, warp.stack);
    set_special(warp, Special::ctaid_x, x);
    set_special(warp, Special::ctaid_y, y);
    set_special(warp, Special::ctaid_z, z);
    set_special(warp, Special::smid, (x + y + z) % 4);
  }
}

void Machine::run_warp(Warp& warp) {
  warp.yield = false;
  warp.mask = 0;
  pick(warp);
  const Instr* code = program.code.data();
  InstrCounts* counts = program.counts.data();
  u64 budget = launch.options->max_instructions - launch.instructions;
  const u64 start = budget;
  while (!warp.yield) {
    const Instr& instr = code[warp.pc];
    if (instr.leader && !warp.groups.empty() && reconverge(warp)) continue;
    if (--budget == 0 || launch.stop) break;
    ++warp.pc;
    InstrCounts& count = counts[instr.index];
    if (instr.guard == kNone || instr.own_guard) {
      ++count.warps;
      count.threads += static_cast<u64>(std::popcount(warp.mask));
      instr.run(warp, instr);
      continue;
    }
    const u32 group = warp.mask;
    warp.mask = guarded(warp, instr);
    ++count.warps;
    count.threads += static_cast<u64>(std::popcount(warp.mask));
    if (warp.mask != 0) instr.run(warp, instr);
    warp.mask = group;
  }
  launch.instructions += start - budget;
  if (budget == 0) {
    report(warp, code[warp.pc], Check::deadlock, 0, "the launch executed more instructions than allowed");
    launch.stop = true;
  }
}

/** Lets the waiting lanes of a complete barrier go on. */
void Machine::release(u32 number) {
  Barrier& barrier = block.barriers[number];
  u32 first = kNone;
  for (Warp& warp : warps)
    for (Group& group : warp.groups) {
      if (group.state != Group::State::barrier || group.need != number) continue;
      const Instr& instr = program.code[group.pc];
      if (first == kNone) first = group.pc;
      if (group.pc != first && (instr.flag || program.code[first].flag)) {
        warp.mask = group.mask;
        report(warp, instr, Check::barrier, std::countr_zero(group.mask),
               "threads of one block wait at different barriers; another is PTX line " +
                   std::to_string(program.info[program.code[first].index].ptx_line));
      }
      if (instr.mode != 0) {
        const u32 bits = instr.mode == 2 ? (barrier.votes == barrier.arrived ? kFull : 0) : barrier.votes ? kFull : 0;
        warp.mask = group.mask;
        if (instr.mode == 1)
          each_lane<u32>(warp, instr.dst[0], [&](u32) { return barrier.votes; });
        else
          set_predicate(warp, instr.dst[0], bits);
      }
      group.state = Group::State::ready;
      group.need = 0;
      ++group.pc;
    }
  barrier = {};
  ++block.epoch;
}

bool Machine::release_barriers() {
  u32 alive = 0;
  for (const Warp& warp : warps) alive += static_cast<u32>(std::popcount(warp.alive));
  bool any = false;
  for (u32 number = 0; number < block.barriers.size(); ++number) {
    const Barrier& barrier = block.barriers[number];
    if (barrier.arrived == 0 || barrier.arrived < (barrier.expected != 0 ? barrier.expected : alive)) continue;
    release(number);
    any = true;
  }
  return any;
}

void Machine::report_deadlock() {
  std::string text = "no thread can go on:";
  Warp* where = nullptr;
  u32 at = 0;
  for (Warp& warp : warps)
    for (const Group& group : warp.groups) {
      const std::string count = std::to_string(std::popcount(group.mask)) + " lanes of warp " + std::to_string(warp.id);
      const std::string line = std::to_string(program.info[program.code[group.pc].index].ptx_line);
      if (text.size() < 400)
        text += " " + count + (group.state == Group::State::sync ? " wait for their warp" : " wait at a barrier") +
                " (PTX line " + line + ");";
      if (where == nullptr || group.state == Group::State::sync) {
        where = &warp;
        at = group.pc;
      }
    }
  if (where != nullptr) report(*where, program.code[at], Check::deadlock, 0, text);
  launch.stop = true;
}

void Machine::run_block() {
  std::vector<u32> order(warps.size());
  std::iota(order.begin(), order.end(), 0);
  while (!launch.stop) {
    if (launch.options->seed != 0) std::shuffle(order.begin(), order.end(), random);
    const u64 before = launch.instructions;
    bool alive = false;
    for (const u32 i : order) {
      if (warps[i].alive == 0 || launch.stop) continue;
      run_warp(warps[i]);
      alive |= warps[i].alive != 0;
    }
    if (!alive) return;
    if (!release_barriers() && launch.instructions == before && !launch.stop) report_deadlock();
  }
}

}  // namespace

void report(Warp& warp, const Instr& instr, Check check, u32 lane, const std::string& message) {
  const Program& program = *warp.launch->program;
  const InstrInfo& info = program.info[instr.index];
  Finding finding{check, program.name, message, info.text, "", info.ptx_line, info.source.line, {}, 0, 0};
  if (const auto file = program.files.find(info.source.file); file != program.files.end()) finding.file = file->second;
  std::copy_n(warp.block->id, 3, finding.block);
  finding.thread = warp.id * 32 + lane;
  warp.launch->findings->add(std::move(finding));
}

void Launch::run() {
  cache.assign(program->info.size(), {});
  random = options->seed * 0x9e3779b97f4a7c15ull + 1;
  Machine machine(*this);
  machine.prepare();
  const u64 blocks = static_cast<u64>(grid[0]) * grid[1] * grid[2];
  // A seeded start and an odd stride visit every block once, in another order for each seed.
  u64 at = 0, stride = 1;
  if (options->seed != 0) {
    at = machine.random() % blocks;
    stride = machine.random() % blocks;
    while (std::gcd(stride, blocks) != 1) stride = (stride + 1) % blocks;
    if (blocks == 1) stride = 1;
  }
  for (u64 n = 0; n < blocks && !stop; ++n, at = (at + stride) % blocks) {
    machine.start_block(static_cast<u32>(at % grid[0]), static_cast<u32>(at / grid[0] % grid[1]),
                        static_cast<u32>(at / grid[0] / grid[1]));
    machine.run_block();
  }
  ++program->launches;
}

}  // namespace softcuda
