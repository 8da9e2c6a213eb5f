// Branches, calls, returns, block barriers and fences. Rows of the opcode table.
// The rule easy to break: handlers here own their guard, since a false guard splits the group instead of skipping
// lanes.
#include "decode.h"
#include "groups.h"

namespace softcuda {
namespace {

void run_nothing(Warp&, const Instr&) {}

void run_branch(Warp& w, const Instr& i) {
  const u32 taken = guarded(w, i), rest = w.mask & ~taken;
  if (taken == 0) return;
  if (rest == 0) {
    w.pc = i.target;
    return;
  }
  park(w, i.target, taken, w.stack);
  park(w, w.pc, rest, w.stack);
  pick(w);
}

void run_branch_indexed(Warp& w, const Instr& i) {
  const std::vector<u32>& table = w.launch->program->jump_tables[i.target];
  const u32 taken = guarded(w, i), rest = w.mask & ~taken;
  const u32* index = cells<u32>(w, i.src[0]);
  for_lanes(taken, [&](u32 l) {
    if (index[l] >= table.size()) report(w, i, Check::trap, l, "brx.idx beyond its table");
    park(w, table[index[l] < table.size() ? index[l] : 0], 1u << l, w.stack);
  });
  if (rest != 0) park(w, w.pc, rest, w.stack);
  pick(w);
}

void copy_words(Warp& w, const std::vector<std::array<u32, 2>>& pairs) {
  for (const auto& [from, to] : pairs) {
    const u32* a = cells<u32>(w, from);
    each_lane<u32>(w, to, [=](u32 l) { return a[l]; });
  }
}

void run_call(Warp& w, const Instr& i) {
  const CallPlan& plan = w.launch->program->calls[i.target];
  const u32 entering = guarded(w, i), rest = w.mask & ~entering;
  if (rest != 0) park(w, w.pc + 1, rest, w.stack);  // behind the copying of results
  if (entering == 0) return switch_group(w);
  w.mask = entering;
  copy_words(w, plan.in);
  w.stack.push_back(w.pc);
  w.pc = plan.entry;
}

void run_exit(Warp& w, const Instr& i) {
  const u32 leaving = guarded(w, i);
  w.alive &= ~leaving;
  w.mask &= ~leaving;
  if (w.mask == 0) pick(w);
}

void run_return(Warp& w, const Instr& i) {
  if (w.stack.empty()) return run_exit(w, i);
  const u32 leaving = guarded(w, i), rest = w.mask & ~leaving;
  if (leaving == 0) return;
  if (rest != 0) park(w, w.pc, rest, w.stack);
  std::vector<u32> stack = w.stack;
  const u32 back = stack.back();
  stack.pop_back();
  park(w, back, leaving, stack);
  switch_group(w);
}

/** bar.sync, barrier.sync, bar.red: the lanes wait; the scheduler lets them go on, see scheduler.cpp. */
void run_barrier(Warp& w, const Instr& i) {
  const u32 arriving = guarded(w, i), rest = w.mask & ~arriving;
  if (arriving == 0) return;
  const u32 first = std::countr_zero(arriving);
  const u32 number = cells<u32>(w, i.src[0])[first] & 15;
  const u32 expected = i.src[1] == kNone ? 0 : cells<u32>(w, i.src[1])[first];
  if (i.flag && arriving != w.alive) {
    const u32 missing = std::countr_zero(w.alive & ~arriving);
    report(w, i, Check::barrier, missing, "a barrier is reached by a part of the warp only; this lane is elsewhere");
    w.launch->stop = true;
  }
  Barrier& barrier = w.block->barriers[number];
  barrier.arrived += static_cast<u32>(std::popcount(arriving));
  barrier.expected = expected;
  if (i.src[2] != kNone) {
    const u32 votes = predicate(w, i.src[2]) ^ (i.sign ? kFull : 0);
    barrier.votes += static_cast<u32>(std::popcount(votes & arriving));
  }
  park(w, w.pc - 1, arriving, w.stack, Group::State::barrier, number);
  if (rest != 0) park(w, w.pc, rest, w.stack);
  switch_group(w);
}

void run_trap(Warp& w, const Instr& i) {
  report(w, i, Check::trap, std::countr_zero(w.mask), "trap");
  w.launch->stop = true;
}

void row_bra(Op& op) {
  op.take("uni");
  op.done();
  op.expect(1, 1);
  op.out.own_guard = true;
  op.out.run = run_branch;
  op.label(0);
}

void row_brx(Op& op) {
  if (!op.take("idx")) op.fail("expected .idx");
  op.take("uni");
  op.done();
  op.expect(2, 2);
  op.out.own_guard = true;
  op.out.run = run_branch_indexed;
  op.out.src[0] = op.src(0, 32);
  op.out.target = op.jump_table(1);
}

void row_call(Op& op) {
  op.take("uni");
  op.done();
  size_t index = 0;
  op.call_plan(&index);
  op.out.own_guard = true;
  op.out.run = run_call;
  op.out.target = static_cast<u32>(index);
}

void row_return(Op& op) {
  op.take("uni");
  op.done();
  op.out.own_guard = true;
  op.out.run = op.ptx.parts[0] == "exit" ? run_exit : run_return;
}

void row_trap(Op& op) {
  op.done();
  op.out.run = run_trap;
}

void row_barrier(Op& op) {
  if (op.take("warp")) return row_bar_warp(op);
  op.take("cta");
  const bool red = op.take("red");
  if (!red && !op.take("sync")) op.fail("only .sync and .red are supported");
  const bool bar = op.ptx.parts[0] == "bar";
  op.out.flag = op.take("aligned") || bar;
  op.out.own_guard = true;
  op.out.run = run_barrier;
  op.info.kind = InstrInfo::Kind::barrier;
  if (!red) {
    op.done();
    op.expect(1, 2);
    op.out.src[0] = op.src(0, 32);
    if (op.count() == 2) op.out.src[1] = op.src(1, 32);
    return;
  }
  const std::string_view kind = op.pick({"popc", "and", "or"});
  op.out.mode = kind == "popc" ? 1 : kind == "and" ? 2 : 3;
  if (kind.empty()) op.fail("expected .popc, .and or .or");
  op.type({kind == "popc" ? Type::u32 : Type::pred});
  op.done();
  op.expect(3, 4);
  op.out.dst[0] = op.dst(0, kind == "popc" ? 32 : 1);
  op.out.src[0] = op.src(1, 32);
  if (op.count() == 4) op.out.src[1] = op.src(2, 32);
  op.out.src[2] = op.src(op.count() - 1, 1);
  op.out.sign = op.at(op.count() - 1).negated;
}

/** Blocks run one after the other and warps in turn, so a fence has nothing left to do. */
void row_fence(Op& op) {
  op.pick({"cta", "gl", "sys"});
  op.pick({"sc", "acq_rel", "acquire", "release"});
  op.pick({"gpu"});
  op.done();
  op.expect(0, 0);
  op.out.run = run_nothing;
}

void row_nanosleep(Op& op) {
  op.type({Type::u32});
  op.done();
  op.out.run = run_nothing;
}

}  // namespace

void run_call_result(Warp& w, const Instr& i) { copy_words(w, w.launch->program->calls[i.target].out); }

void add_control_ops(OpTable& table) {
  table["bra"] = row_bra;
  table["brx"] = row_brx;
  table["call"] = row_call;
  table["ret"] = row_return;
  table["exit"] = row_return;
  table["trap"] = row_trap;
  table["bar"] = row_barrier;
  table["barrier"] = row_barrier;
  table["membar"] = row_fence;
  table["fence"] = row_fence;
  table["nanosleep"] = row_nanosleep;
}

}  // namespace softcuda
