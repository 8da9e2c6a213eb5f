// Counters on kernels whose counts are worked out by hand: sectors, passes, instructions, lanes.
// The rule easy to break: a float is 4 bytes, a sector 32, a pass 32 banks of 4 bytes; a warp of 32 floats in a row
// takes 4 sectors and 1 pass.
import { beforeAll, describe, expect, it } from 'vitest';
import { build, type Instruction, type Kernel, Script } from './client';
import { kernel } from './ptx';

beforeAll(build, 600_000);

function counts(body: string, { block = 32, grid = 1, length = 4096 } = {}): Kernel {
  const script = new Script();
  const k = script.function(script.module(kernel(body)), 'k');
  const [a, b] = [script.upload(new Float32Array(length)), script.upload(new Float32Array(length))];
  script.launch(k, { grid, block }, [`u64:${a}`, `u64:${b}`, 'u32:0']);
  const result = script.run();
  expect(result.failures(), result.report.errors.join()).toEqual([]);
  return result.kernel('k');
}

const find = ({ instructions }: Kernel, text: string) => instructions.find((each) => each.text === text) as Instruction;

describe('global memory', () => {
  // [what, address of %d6 from tid, load, sectors of one warp, sectors the bytes need]
  const loads: [string, string, string, number, number][] = [
    ['in a row', 'mul.wide.u32 %d6, %r2, 4;', 'ld.global.f32 %f1, [%d6];', 4, 4],
    ['in a row, off by 4 bytes', 'mul.wide.u32 %d6, %r2, 4; add.s64 %d6, %d6, 4;', 'ld.global.f32 %f1, [%d6];', 5, 4],
    ['every second', 'mul.wide.u32 %d6, %r2, 8;', 'ld.global.f32 %f1, [%d6];', 8, 4],
    ['a column: lanes transposed', 'mul.wide.u32 %d6, %r2, 128;', 'ld.global.f32 %f1, [%d6];', 32, 4],
    ['one for all', 'mov.u64 %d6, 0;', 'ld.global.f32 %f1, [%d6];', 1, 4],
    ['vectors of four in a row', 'mul.wide.u32 %d6, %r2, 16;', 'ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d6];', 16, 16],
    ['vectors of two in a row', 'mul.wide.u32 %d6, %r2, 8;', 'ld.global.v2.f32 {%f1, %f2}, [%d6];', 8, 8],
    ['halves in a row', 'mul.wide.u32 %d6, %r2, 2;', 'ld.global.u16 %r9, [%d6];', 2, 2],
    ['backwards', 'sub.s32 %r9, 31, %r2; mul.wide.u32 %d6, %r9, 4;', 'ld.global.f32 %f1, [%d6];', 4, 4],
  ];
  it.each(loads)('%s', (_name, address, load, sectors, ideal) => {
    const found = counts(`${address} add.s64 %d6, %d6, %d1; ${load}`);
    expect(found.globalLoads).toEqual({ requests: 1, sectors, ideal });
    expect(found.globalStores.requests).toBe(0);
  });

  it('unique sectors count what a launch touches once, read or written', () => {
    const body =
      'ld.global.f32 %f1, [%d4]; ld.global.f32 %f2, [%d4+4]; st.global.f32 [%d5], %f1; st.global.f32 [%d5], %f2;';
    const found = counts(body, { block: 64 });
    // 65 floats of a: 9 sectors; 64 of b: 8. Two warps: 4 + 5 and 4 + 5 sectors of loads.
    expect(found).toMatchObject({ uniqueSectors: 17, uniqueSectorsRead: 9, uniqueSectorsWritten: 8 });
    expect(found.globalLoads).toEqual({ requests: 4, sectors: 18, ideal: 16 });
    expect(found.globalStores).toEqual({ requests: 4, sectors: 16, ideal: 16 });
  });
});

describe('shared memory', () => {
  const passes: [string, string, string, number, number][] = [
    ['in a row', 'shl.b32 %r6, %r2, 2;', 'st.shared.u32 [%r6], %r2;', 1, 1],
    ['every second bank', 'shl.b32 %r6, %r2, 3;', 'st.shared.u32 [%r6], %r2;', 2, 1],
    ['a column of 32: padding lost', 'mul.lo.u32 %r6, %r2, 128;', 'st.shared.u32 [%r6], %r2;', 32, 1],
    ['a column of 33: padded', 'mul.lo.u32 %r6, %r2, 132;', 'st.shared.u32 [%r6], %r2;', 1, 1],
    ['vectors of four in a row', 'shl.b32 %r6, %r2, 4;', 'st.shared.v4.u32 [%r6], {%r2, %r2, %r2, %r2};', 4, 4],
    ['vectors of two in a row', 'shl.b32 %r6, %r2, 3;', 'st.shared.v2.u32 [%r6], {%r2, %r2};', 2, 2],
    ['vectors of four, 32 bytes apart', 'shl.b32 %r6, %r2, 5;', 'st.shared.v4.u32 [%r6], {%r2, %r2, %r2, %r2};', 8, 4],
  ];
  it.each(passes)('%s', (_name, address, store, cost, ideal) => {
    expect(counts(`${address} ${store}`).shared).toEqual({ requests: 1, passes: cost, ideal });
  });

  it('one word read by all lanes is one pass', () => {
    const found = counts('st.shared.u32 [%r5], %r2; bar.sync 0; ld.shared.u32 %r9, [%r3];');
    expect(find(found, 'ld.shared.u32')).toMatchObject({ warps: 1, threads: 32, passes: 1, ideal: 1 });
  });
});

describe('instructions', () => {
  it('count warps, lanes and barriers', () => {
    // The prelude has 10 instructions, ret one more; three warps of 32, 32 and 16 lanes in two blocks.
    const found = counts('setp.lt.u32 %p1, %r2, 8; @%p1 add.u32 %r6, %r2, 1; bar.sync 0;', { block: 80, grid: 2 });
    expect(find(found, 'setp.lt.u32')).toMatchObject({ warps: 6, threads: 160 });
    expect(find(found, 'add.u32')).toMatchObject({ warps: 6, threads: 16 });
    expect(found).toMatchObject({
      launches: 1,
      barriers: 6,
      warpInstructions: 6 * 14,
      threadInstructions: 160 * 13 + 16,
    });
  });

  it('a divergent branch runs both ways with the lanes of each', () => {
    const found = counts(
      'setp.lt.u32 %p1, %r2, 8; @%p1 bra A; mul.lo.u32 %r6, %r2, 3; bra B; A: shl.b32 %r7, %r2, 4; B: xor.b32 %r8, %r2, %r2;',
    );
    expect(find(found, 'mul.lo.u32')).toMatchObject({ warps: 1, threads: 24 });
    expect(found.instructions.filter(({ text }) => text === 'shl.b32').map(({ threads }) => threads)).toEqual([32, 8]);
    expect(find(found, 'xor.b32')).toMatchObject({ warps: 1, threads: 32 });
  });
});

describe('the host', () => {
  it('counts launches, copies, allocations and synchronisations', () => {
    const script = new Script();
    const a = script.upload(new Float32Array(16));
    script.call('cuMemAllocHost_v2', '&p', 64);
    const stream = script.stream();
    script.call('cuMemcpyHtoDAsync_v2', a, '$p', 64, stream);
    script.call('cuStreamSynchronize', stream);
    script.call('cuCtxSynchronize');
    script.call('cuMemFree_v2', a);
    const result = script.run();
    expect(result.failures()).toEqual([]);
    expect(result.report.counters).toMatchObject({
      allocations: 2,
      frees: 1,
      copies: 2,
      blockingCopies: 1,
      copiedBytes: 128,
      synchronisations: 2,
      launches: 0,
      memoryUsed: 0,
      memoryPeak: 64,
    });
    expect(result.report.calls).toMatchObject({ cuInit: 1, cuMemAlloc_v2: 1, cuStreamSynchronize: 1 });
  });

  it('reset forgets counters, findings and objects', () => {
    const script = new Script();
    const a = script.alloc(64);
    script.line('reset');
    const after = script.call('cuMemFree_v2', a);
    const result = script.run();
    expect(result.code(after)).toBe(3);
    expect(result.report).toMatchObject({ findings: [], counters: { allocations: 0 } });
  });
});
