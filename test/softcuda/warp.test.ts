// Warp-wide operations: shuffles, votes and reductions under partial masks and divergence, and the fragment layouts of
// ldmatrix and mma, found with one-hot matrices. The rule easy to break: layouts are stated here from the tables of the
// PTX ISA, not read back from the device.
import { beforeAll, describe, expect, it } from 'vitest';
import { build, Script } from './client';
import { kernel } from './ptx';

const lanes = Array.from({ length: 32 }, (_, l) => l);

/** Runs a body on one warp that leaves its answer in %r9; answers of 32 lanes. */
function warp(body: string, block = 32): number[] {
  const script = new Script();
  const k = script.function(script.module(kernel(`mov.u32 %r9, -1; ${body} st.global.u32 [%d5], %r9;`)), 'k');
  const b = script.upload(new Uint32Array(block));
  script.launch(k, { block }, [`u64:${b}`, `u64:${b}`, 'u32:0']);
  const out = script.download(b, block * 4);
  const result = script.run();
  expect(
    result.failures(),
    result.report.errors.concat(result.report.findings.map(({ message }) => message)).join(),
  ).toEqual([]);
  return [...result.words(out)];
}

const value = 'mad.lo.s32 %r8, %r2, 10, 3;'; // 10 lane + 3
const give = (lane: number) => lane * 10 + 3;
const low = 'setp.lt.u32 %p1, %r2, 16;';

describe('shuffles', () => {
  beforeAll(build, 600_000);
  it.each([
    ['bfly.b32 %r9, %r8, 5, 31', (l: number) => l ^ 5],
    ['down.b32 %r9, %r8, 3, 31', (l: number) => (l + 3 > 31 ? l : l + 3)],
    ['up.b32 %r9, %r8, 3, 0', (l: number) => (l < 3 ? l : l - 3)],
    ['idx.b32 %r9, %r8, 7, 31', () => 7],
    // Segments of 8: the mask in bits 8 to 12 of c is 0x18.
    ['bfly.b32 %r9, %r8, 9, 0x181f', (l: number) => ((l ^ 9) <= ((l & 24) | 7) ? l ^ 9 : l)],
    ['down.b32 %r9, %r8, 1, 0x181f', (l: number) => (l % 8 === 7 ? l : l + 1)],
    ['up.b32 %r9, %r8, 1, 0x1800', (l: number) => (l % 8 === 0 ? l : l - 1)],
    ['idx.b32 %r9, %r8, 2, 0x181f', (l: number) => (l & 24) | 2],
  ])('shfl.sync.%s', (operation, from) => {
    expect(warp(`${value} shfl.sync.${operation}, -1;`)).toEqual(lanes.map((l) => give(from(l))));
  });

  it('the predicate says whether the source was in range', () => {
    const body = `${value} shfl.sync.down.b32 %r7|%p1, %r8, 4, 31, -1; selp.u32 %r9, 1, 0, %p1;`;
    expect(warp(body)).toEqual(lanes.map((l) => Number(l + 4 < 32)));
  });

  it('halves of a warp that have parted shuffle on their own', () => {
    const body = `${value} ${low} @%p1 bra A; shfl.sync.bfly.b32 %r9, %r8, 1, 31, 0xffff0000; bra B; A: shfl.sync.bfly.b32 %r9, %r8, 2, 31, 0xffff; B:`;
    expect(warp(body)).toEqual(lanes.map((l) => give(l < 16 ? l ^ 2 : l ^ 1)));
  });

  it('lanes wait for those that come later by another way', () => {
    // The lower half takes a longer way to the same shuffle.
    const body = `${value} ${low} @!%p1 bra S; mov.u32 %r7, 0; L: add.u32 %r7, %r7, 1; setp.lt.u32 %p2, %r7, 5; @%p2 bra L; add.u32 %r8, %r8, 1000; S: shfl.sync.bfly.b32 %r9, %r8, 16, 31, -1;`;
    expect(warp(body)).toEqual(lanes.map((l) => (l < 16 ? give(l + 16) : give(l - 16) + 1000)));
  });

  it('a device function with a shuffle is called by all lanes', () => {
    const script = new Script();
    const before = `.func (.param .b32 out) half(.param .b32 x) { .reg .b32 %r<4>; .reg .pred %p<2>; ld.param.u32 %r1, [x]; setp.gt.u32 %p1, %r1, 200; @%p1 bra E; add.u32 %r1, %r1, 1; E: shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1; st.param.b32 [out], %r2; ret; }`;
    const body = `${value} { .param .b32 p0; .param .b32 q0; st.param.b32 [p0], %r8; call (q0), half, (p0); ld.param.b32 %r9, [q0]; } st.global.u32 [%d5], %r9;`;
    const k = script.function(script.module(kernel(body, 'k', before)), 'k');
    const b = script.upload(new Uint32Array(32));
    script.launch(k, { block: 32 }, [`u64:${b}`, `u64:${b}`, 'u32:0']);
    const out = script.download(b, 128);
    const result = script.run();
    expect(result.failures(), result.report.errors.join()).toEqual([]);
    const call = (x: number) => (x > 200 ? x : x + 1);
    expect([...result.words(out)]).toEqual(lanes.map((l) => call(give(l ^ 1))));
  });
});

describe('votes, matches and reductions', () => {
  const odd = 'and.b32 %r7, %r2, 1; setp.ne.u32 %p2, %r7, 0;';
  const oddBits = 0xaaaaaaaa;
  it.each([
    ['vote.sync.ballot.b32 %r9, %p2, -1;', () => oddBits],
    ['vote.sync.ballot.b32 %r9, !%p2, -1;', () => 0x55555555],
    ['vote.sync.any.pred %p3, %p2, -1; selp.u32 %r9, 1, 0, %p3;', () => 1],
    ['vote.sync.all.pred %p3, %p2, -1; selp.u32 %r9, 1, 0, %p3;', () => 0],
    ['vote.sync.uni.pred %p3, %p2, -1; selp.u32 %r9, 1, 0, %p3;', () => 0],
    ['match.any.sync.b32 %r9, %r7, -1;', (l: number) => (l % 2 ? oddBits : 0x55555555)],
    ['match.all.sync.b32 %r9|%p3, %r7, -1;', () => 0],
    ['redux.sync.add.u32 %r9, %r2, -1;', () => 496],
    ['neg.s32 %r6, %r2; redux.sync.min.s32 %r9, %r6, -1;', () => 0xffffffe1],
    ['redux.sync.max.u32 %r9, %r2, -1;', () => 31],
    ['redux.sync.or.b32 %r9, %r2, -1;', () => 31],
    ['redux.sync.and.b32 %r9, %r2, -1;', () => 0],
    ['redux.sync.xor.b32 %r9, %r7, -1;', () => 0],
    ['activemask.b32 %r9;', () => 0xffffffff],
    ['@%p2 activemask.b32 %r9;', () => 0xaaaaaaaa],
  ])('%s', (operation, expected) => {
    const got = warp(`${odd} ${operation}`);
    const guarded = operation.startsWith('@');
    expect(got).toEqual(lanes.map((l) => (guarded && l % 2 === 0 ? 0xffffffff : expected(l))));
  });

  it('a vote of the lanes of a branch counts those alone', () => {
    const body = `${odd} ${low} @!%p1 bra B; vote.sync.ballot.b32 %r9, %p2, 0xffff; B:`;
    expect(warp(body)).toEqual(lanes.map((l) => (l < 16 ? 0xaaaa : 0xffffffff)));
  });

  it('bar.red counts, ands and ors over the block', () => {
    const body = `${odd} bar.red.popc.u32 %r9, 0, %p2; bar.red.and.pred %p3, 0, %p2; bar.red.or.pred %p4, 0, !%p2; selp.u32 %r6, 100, 0, %p3; selp.u32 %r7, 1000, 0, %p4; add.u32 %r9, %r9, %r6; add.u32 %r9, %r9, %r7;`;
    expect(warp(body, 96)).toEqual(Array(96).fill(1048));
  });
});

/** Writes 16-bit words to `tile`, runs the body on a warp, and gives each lane's registers. */
function fragments(words: Uint16Array, body: string, registers: string[]): Uint32Array[] {
  const script = new Script();
  const fill =
    'mov.u32 %r20, %r2; F: setp.ge.u32 %p1, %r20, %r1; @%p1 bra G; mul.wide.u32 %d6, %r20, 4; add.s64 %d6, %d6, %d1; ld.global.u32 %r21, [%d6]; shl.b32 %r22, %r20, 2; add.u32 %r22, %r22, %r3; st.shared.u32 [%r22], %r21; add.u32 %r20, %r20, 32; bra F; G: bar.sync 0;';
  const stores = registers.map((register, i) => `st.global.b32 [%d5+${i * 128}], ${register};`).join(' ');
  const k = script.function(script.module(kernel(`${fill} ${body} ${stores}`)), 'k');
  const a = script.upload(words);
  const b = script.upload(new Uint32Array(32 * registers.length));
  script.launch(k, { block: 32 }, [`u64:${a}`, `u64:${b}`, `u32:${words.length / 2}`]);
  const out = script.download(b, 128 * registers.length);
  const result = script.run();
  expect(
    result.failures(),
    result.report.errors.concat(result.report.findings.map(({ message }) => message)).join(),
  ).toEqual([]);
  const all = result.words(out);
  return registers.map((_, i) => all.slice(i * 32, (i + 1) * 32));
}

describe('ldmatrix', () => {
  const words = Uint16Array.from({ length: 256 }, (_, i) => i); // four matrices of 8 rows of 8
  const at = (matrix: number, row: number, column: number) => matrix * 64 + row * 8 + column;
  const address = 'shl.b32 %r6, %r2, 4; add.u32 %r6, %r6, %r3;';
  it.each([1, 2, 4])('x%i gives lane l row l/4, columns 2(l%%4) and the next', (count) => {
    const registers = ['%r10', '%r11', '%r12', '%r13'].slice(0, count);
    const got = fragments(
      words,
      `${address} ldmatrix.sync.aligned.m8n8.x${count}.shared.b16 {${registers}}, [%r6];`,
      registers,
    );
    got.forEach((words32, m) => {
      expect([...words32]).toEqual(
        lanes.map((l) => at(m, l >> 2, (l % 4) * 2) | (at(m, l >> 2, (l % 4) * 2 + 1) << 16)),
      );
    });
  });
  it('trans gives it column l/4, rows 2(l%4) and the next', () => {
    const registers = ['%r10', '%r11', '%r12', '%r13'];
    const got = fragments(
      words,
      `${address} ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {${registers}}, [%r6];`,
      registers,
    );
    got.forEach((words32, m) => {
      expect([...words32]).toEqual(
        lanes.map((l) => at(m, (l % 4) * 2, l >> 2) | (at(m, (l % 4) * 2 + 1, l >> 2) << 16)),
      );
    });
  });
});

interface Shape {
  name: string;
  k: number;
  pair: boolean;
  one: number;
  two: number;
}

/** Row and column of A, or k and column of B, that element e of register n of a lane holds (PTX ISA, mma fragments). */
const aPlace = ({ pair }: Shape, l: number, n: number, e: number): [number, number] => [
  (l >> 2) + (n % 2) * 8,
  pair ? (l % 4) * 2 + e + (n >> 1) * 8 : (l % 4) + (n >> 1) * 4,
];
const bPlace = ({ pair }: Shape, l: number, n: number, e: number): [number, number] => [
  pair ? (l % 4) * 2 + e + n * 8 : (l % 4) + n * 4,
  l >> 2,
];

describe('mma.sync', () => {
  const shapes: Shape[] = [
    { name: 'm16n8k16.row.col.f32.bf16.bf16.f32', k: 16, pair: true, one: 0x3f80, two: 0x4000 },
    { name: 'm16n8k16.row.col.f32.f16.f16.f32', k: 16, pair: true, one: 0x3c00, two: 0x4000 },
    { name: 'm16n8k8.row.col.f32.f16.f16.f32', k: 8, pair: true, one: 0x3c00, two: 0x4000 },
    { name: 'm16n8k8.row.col.f32.tf32.tf32.f32', k: 8, pair: false, one: 0x3f800000, two: 0x40000000 },
  ];
  it.each(shapes)('$name: one-hot factors meet where the layouts say', (shape) => {
    const per = shape.pair ? 2 : 1;
    const aCount = (16 * shape.k) / 32 / per;
    const bCount = (8 * shape.k) / 32 / per;
    const registers = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `%${prefix}${i}`);
    // For each of some one-hot A elements, B is 2 at the matching k in column 5 and the result must be 2 at (row, 5).
    for (const [row, k] of [
      [0, 0],
      [3, 5],
      [9, 2],
      [15, shape.k - 1],
    ] as const) {
      const words = new Uint32Array(32 * (aCount + bCount));
      const put = (
        place: [number, number],
        want: readonly [number, number],
        index: number,
        e: number,
        bits: number,
      ) => {
        if (place[0] === want[0] && place[1] === want[1]) words[index] = (words[index] as number) | (bits << (16 * e));
      };
      for (const l of lanes) {
        for (let n = 0; n < aCount; n += 1)
          for (let e = 0; e < per; e += 1) put(aPlace(shape, l, n, e), [row, k], n * 32 + l, e, shape.one);
        for (let n = 0; n < bCount; n += 1)
          for (let e = 0; e < per; e += 1) put(bPlace(shape, l, n, e), [k, 5], (aCount + n) * 32 + l, e, shape.two);
      }
      expect(words.filter(Boolean)).toHaveLength(2);
      const [a, b, d] = [registers('a', aCount), registers('b', bCount), registers('o', 4)];
      const loads = [...a, ...b].map((register, i) => `ld.shared.b32 ${register}, [%r5+${i * 128}];`).join(' ');
      const zeros = '0f3F000000'; // C is 0.5 everywhere
      const body = `.reg .b32 %a<8>; .reg .b32 %b<4>; .reg .f32 %o<4>; ${loads} mma.sync.aligned.${shape.name} {${d}}, {${a}}, {${b}}, {${Array(4).fill(zeros)}};`;
      const got = fragments(new Uint16Array(words.buffer), body, d).map(
        (bits) => new Float32Array(bits.buffer, bits.byteOffset, 32),
      );
      const expected = d.map((_, n) =>
        lanes.map((l) => ((l >> 2) + (n >> 1) * 8 === row && (l % 4) * 2 + (n % 2) === 5 ? 2.5 : 0.5)),
      );
      expect(got.map((each) => [...each])).toEqual(expected);
    }
  });
});
