// Bugs put into small kernels: each must be found by the check meant for it and end the launch with its error, and its
// corrected twin must pass without any finding. Host-side bugs (streams, frees, copies) are in host-bugs.test.ts.
// The rule easy to break: a twin differs from its bug in the one thing that is wrong.
import { beforeAll, describe, expect, it } from 'vitest';
import { build, type Result, Script } from './client';
import { kernel } from './ptx';

interface Bug {
  name: string;
  check: string;
  error: 700 | 716 | 719;
  bug: string;
  fixed: string;
  block?: number;
  before?: string;
  settings?: string;
}

const zero = 'st.shared.u32 [%r5], 0; bar.sync 0;';
const load = 'ld.global.f32 %f1, [%d4];';
const store = 'st.global.f32 [%d5], %f1;';
const reversed = 'mov.u32 %r6, 63; sub.s32 %r6, %r6, %r2; shl.b32 %r6, %r6, 2; add.s32 %r6, %r6, %r3;';
const guard = 'setp.ge.u32 %p1, %r2, %r1; @%p1 ret;';
const next = 'xor.b32 %r6, %r4, 4; add.s32 %r6, %r6, %r3;';

const bugs: Bug[] = [
  {
    name: 'missing barrier between a shared write and a read by another warp',
    check: 'race',
    error: 719,
    bug: `${zero} ${load} ${reversed} st.shared.f32 [%r5], %f1; ld.shared.f32 %f1, [%r6]; ${store}`,
    fixed: `${zero} ${load} ${reversed} st.shared.f32 [%r5], %f1; bar.sync 0; ld.shared.f32 %f1, [%r6]; ${store}`,
  },
  {
    name: 'missing barrier before a shared value is replaced',
    check: 'race',
    error: 719,
    bug: `${load} ${reversed} st.shared.f32 [%r5], %f1; bar.sync 0; ld.shared.f32 %f2, [%r6]; st.shared.f32 [%r5], %f2;`,
    fixed: `${load} ${reversed} st.shared.f32 [%r5], %f1; bar.sync 0; ld.shared.f32 %f2, [%r6]; bar.sync 0; st.shared.f32 [%r5], %f2;`,
  },
  {
    name: 'different values written to one shared word by two warps',
    check: 'race',
    error: 719,
    bug: 'st.shared.u32 [%r3], %r2;',
    fixed: 'setp.eq.u32 %p1, %r2, 0; @%p1 st.shared.u32 [%r3], %r2;',
  },
  {
    name: 'lanes exchange through shared memory without bar.warp.sync',
    check: 'race',
    error: 719,
    block: 32,
    bug: `${load} ${next} st.shared.f32 [%r5], %f1; ld.shared.f32 %f1, [%r6]; ${store}`,
    fixed: `${load} ${next} st.shared.f32 [%r5], %f1; bar.warp.sync -1; ld.shared.f32 %f1, [%r6]; ${store}`,
  },
  {
    name: 'a plain read beside shared atomics',
    check: 'race',
    error: 719,
    bug: 'st.shared.u32 [%r5+4096], 0; bar.sync 0; atom.shared.add.u32 %r6, [%r3+4096], 1; ld.shared.u32 %r7, [%r3+4096];',
    fixed:
      'st.shared.u32 [%r5+4096], 0; bar.sync 0; atom.shared.add.u32 %r6, [%r3+4096], 1; bar.sync 0; ld.shared.u32 %r7, [%r3+4096];',
  },
  {
    name: 'missing guard',
    check: 'bounds',
    error: 700,
    block: 96,
    bug: `${load} ${store}`,
    fixed: `${guard} ${load} ${store}`,
  },
  {
    name: 'write one past the end',
    check: 'bounds',
    error: 700,
    bug: `${load} st.global.f32 [%d5+4], %f1;`,
    fixed: `${load} st.global.f32 [%d5], %f1;`,
  },
  {
    name: 'read before the start',
    check: 'bounds',
    error: 700,
    bug: 'ld.global.f32 %f1, [%d4+-4];',
    fixed: 'ld.global.f32 %f1, [%d4];',
  },
  {
    name: 'shared write past the end',
    check: 'bounds',
    error: 700,
    bug: `${load} st.shared.f32 [%r5+8064], %f1;`,
    fixed: `${load} st.shared.f32 [%r5+7936], %f1;`,
  },
  {
    name: 'local index past the end',
    check: 'bounds',
    error: 700,
    bug: '.local .align 4 .b8 box[16]; mov.u64 %d6, box; st.local.u32 [%d6+16], %r2;',
    fixed: '.local .align 4 .b8 box[16]; mov.u64 %d6, box; st.local.u32 [%d6+12], %r2;',
  },
  {
    name: 'store into a constant',
    check: 'read-only',
    error: 700,
    before: '.const .align 4 .b8 table[256]; .global .align 4 .b8 plain[256];',
    bug: 'mov.u64 %d6, table; add.s64 %d6, %d6, %d3; st.global.u32 [%d6], %r2;',
    fixed: 'mov.u64 %d6, plain; add.s64 %d6, %d6, %d3; st.global.u32 [%d6], %r2;',
  },
  {
    name: 'vector load from an address of single values',
    check: 'alignment',
    error: 716,
    block: 16,
    bug: 'ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d4];',
    fixed: 'mul.wide.u32 %d6, %r2, 16; add.s64 %d6, %d6, %d1; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d6];',
  },
  {
    name: 'misaligned shared vector',
    check: 'alignment',
    error: 716,
    bug: 'st.shared.v2.u32 [%r5], {%r2, %r2};',
    fixed: 'add.s32 %r6, %r5, %r4; st.shared.v2.u32 [%r6], {%r2, %r2};',
  },
  {
    name: 'shared memory read before anything wrote it',
    check: 'uninitialised',
    error: 719,
    bug: `ld.shared.f32 %f1, [%r5]; ${store}`,
    fixed: `mov.f32 %f1, 0f00000000; st.shared.f32 [%r5], %f1; ld.shared.f32 %f1, [%r5]; ${store}`,
  },
  {
    name: 'output read as if it held something',
    check: 'uninitialised',
    error: 719,
    bug: `ld.global.f32 %f1, [%d5]; ${store}`,
    fixed: `ld.global.f32 %f1, [%d4]; ${store}`,
  },
  {
    name: 'local array read before it is filled',
    check: 'uninitialised',
    error: 719,
    bug: '.local .align 4 .b8 box[16]; ld.local.u32 %r6, [box+4];',
    fixed: '.local .align 4 .b8 box[16]; st.local.u32 [box+4], %r2; ld.local.u32 %r6, [box+4];',
  },
  {
    name: 'cp.async without its wait',
    check: 'uninitialised',
    error: 719,
    bug: 'cp.async.ca.shared.global [%r5], [%d4], 4; cp.async.commit_group; ld.shared.f32 %f1, [%r5];',
    fixed:
      'cp.async.ca.shared.global [%r5], [%d4], 4; cp.async.commit_group; cp.async.wait_group 0; ld.shared.f32 %f1, [%r5];',
  },
  {
    name: 'a shuffle mask that lacks half of the lanes',
    check: 'warp-sync',
    error: 719,
    bug: 'shfl.sync.bfly.b32 %r6, %r2, 1, 31, 0xffff;',
    fixed: 'shfl.sync.bfly.b32 %r6, %r2, 1, 31, 0xffffffff;',
  },
  {
    name: 'a shuffle from lanes that have left',
    check: 'warp-sync',
    error: 719,
    bug: 'and.b32 %r7, %r2, 16; setp.ne.u32 %p1, %r7, 0; @%p1 ret; shfl.sync.bfly.b32 %r6, %r2, 16, 31, 0xffffffff;',
    fixed: 'and.b32 %r7, %r2, 16; setp.ne.u32 %p1, %r7, 0; shfl.sync.bfly.b32 %r6, %r2, 16, 31, 0xffffffff; @%p1 ret;',
  },
  {
    name: 'a matrix load by half of a warp',
    check: 'warp-sync',
    error: 719,
    block: 32,
    bug: 'shl.b32 %r6, %r4, 2; st.shared.v4.u32 [%r6], {%r2, %r2, %r2, %r2}; bar.warp.sync -1; setp.lt.u32 %p1, %r2, 16; @%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r7}, [%r6];',
    fixed:
      'shl.b32 %r6, %r4, 2; st.shared.v4.u32 [%r6], {%r2, %r2, %r2, %r2}; bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r7}, [%r6];',
  },
  {
    name: 'a barrier that half of a warp reaches',
    check: 'barrier',
    error: 719,
    bug: 'setp.lt.u32 %p1, %r2, 16; @%p1 bar.sync 0;',
    fixed: 'setp.lt.u32 %p1, %r2, 64; @%p1 bar.sync 0;',
  },
  {
    name: 'warps at different barriers',
    check: 'barrier',
    error: 719,
    bug: 'setp.lt.u32 %p1, %r2, 32; @%p1 bra A; bar.sync 0; bra B; A: bar.sync 0; B:',
    fixed: 'setp.lt.u32 %p1, %r2, 32; @%p1 bra A; mov.u32 %r6, 1; A: bar.sync 0;',
  },
  {
    name: 'a barrier that waits for more threads than there are',
    check: 'deadlock',
    error: 719,
    bug: 'bar.sync 0, 128;',
    fixed: 'bar.sync 0, 64;',
  },
  {
    name: 'a loop without an end',
    check: 'deadlock',
    error: 719,
    settings: 'instructions=100000',
    bug: 'mov.u32 %r6, 0; L: setp.lt.u32 %p1, %r6, 9; @%p1 bra L;',
    fixed: 'mov.u32 %r6, 0; L: add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 9; @%p1 bra L;',
  },
  {
    name: 'a value read through the non-coherent path and written',
    check: 'non-coherent',
    error: 719,
    bug: 'ld.global.nc.f32 %f1, [%d4]; st.global.f32 [%d4], %f1;',
    fixed: 'ld.global.f32 %f1, [%d4]; st.global.f32 [%d4], %f1;',
  },
  {
    name: 'a failed assertion',
    check: 'trap',
    error: 719,
    bug: 'setp.eq.u32 %p1, %r2, 3; @%p1 trap;',
    fixed: 'setp.eq.u32 %p1, %r2, 99; @%p1 trap;',
  },
];

function run(of: Bug, body: string): { result: Result; code: number } {
  const script = new Script(of.settings);
  const k = script.function(script.module(kernel(body, 'k', of.before)), 'k');
  const a = script.upload(Float32Array.from({ length: 64 }, (_, i) => i));
  const launch = script.launch(k, { block: of.block ?? 64 }, [`u64:${a}`, `u64:${script.alloc(256)}`, 'u32:64']);
  const result = script.run();
  return { result, code: result.code(launch) };
}

describe('a bug in a kernel', () => {
  beforeAll(build, 600_000);
  it.each(bugs.map((of) => [of.name, of] as const))('%s', (_name, of) => {
    const wrong = run(of, of.bug);
    expect(wrong.result.checks(), JSON.stringify(wrong.result.report.findings[0])).toEqual([of.check]);
    expect(wrong.code).toBe(of.error);
    expect(wrong.result.report.findings[0]?.where).toMatch(/^k\b/);
    const right = run(of, of.fixed);
    expect(right.result.report.findings).toEqual([]);
    expect(right.result.failures(), right.result.report.errors.join()).toEqual([]);
  });

  it('names the instruction, the block and the thread', () => {
    const { result } = run(bugs[0] as Bug, 'setp.ne.u32 %p1, %r2, 37; @%p1 ret; ld.global.f32 %f1, [%d4+1024];');
    expect(result.report.findings).toMatchObject([
      { instruction: 'ld.global.f32', thread: 37, block: [0, 0, 0], count: 1 },
    ]);
    expect(result.report.findings[0]?.message).toContain('past the end of an allocation of 256 bytes');
  });

  it('equal values written twice and different bytes of one word are no race', () => {
    const { result } = run(
      bugs[0] as Bug,
      'st.shared.u32 [%r3], 7; shl.b32 %r6, %r2, 1; add.s32 %r6, %r6, %r3; cvt.u16.u32 %rs, %r2; st.shared.u16 [%r6+512], %rs;'.replace(
        'cvt.u16',
        '.reg .b16 %rs; cvt.u16',
      ),
    );
    expect(result.report.findings).toEqual([]);
    expect(result.failures(), result.report.errors.join()).toEqual([]);
  });
});
