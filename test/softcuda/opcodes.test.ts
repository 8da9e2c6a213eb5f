// Every opcode and modifier that kernels use, against test/softcuda/opcodes.txt.
// The rule easy to break: expected values come from the text of the PTX ISA, never from a run of this implementation.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { build } from './client';
import { type Row, readTable, runRows } from './rows';

const table = readTable(readFileSync(path.join(__dirname, 'opcodes.txt'), 'utf8'));

/** Lanes whose result is another, as objects that vitest prints well. */
function wrong(rows: readonly Row[], settings = '') {
  return runRows(rows, settings).flatMap(({ got, expected }, i) =>
    expected.every((values, lane) => values.every((value, n) => Object.is(value, got[lane]?.[n])))
      ? []
      : [{ row: (rows[i] as Row)[0], expected, got }],
  );
}

describe('opcodes give what the PTX ISA says', () => {
  beforeAll(build, 600_000);
  it.each([...table.keys()])('%s', (name) => {
    expect(wrong(table.get(name) as Row[])).toEqual([]);
  });

  it('sees a wrong expectation', () => {
    expect(wrong([['add.s32', 's32 s32 > s32', [[1n, 2n, 4n]]]])).toHaveLength(1);
  });
});

describe('approximate instructions', () => {
  // 12 inputs each; the bounds are those of the PTX ISA for .f32.
  const inputs = Array.from({ length: 12 }, (_, i) => Math.fround(0.3 + i * 0.37));
  const functions: [string, (x: number) => number, (value: number) => number][] = [
    ['ex2.approx.f32', (x) => 2 ** x, (value) => Math.abs(value) * 2 ** -22],
    ['rsqrt.approx.f32', (x) => 1 / Math.sqrt(x), (value) => Math.abs(value) * 2 ** -22.9],
    ['tanh.approx.f32', Math.tanh, (value) => Math.abs(value) * 2 ** -11],
    ['sin.approx.f32', Math.sin, () => 2 ** -14.7],
  ];
  const rows: Row[] = functions.map(([name]) => [name, 'f32 > f32', inputs.map((x) => [x, 0])]);
  const run = (settings: string) => runRows(rows, settings).map(({ got }) => got.map(([value]) => value as number));

  it('are correctly rounded by default', () => {
    const exact = functions.map(([, f]) => inputs.map((x) => Math.fround(f(x))));
    expect(run('')).toEqual(exact);
  });

  it('err by a seeded amount within the bound when asked to', () => {
    const first = run('approximate=1;seed=1');
    expect(run('approximate=1;seed=1')).toEqual(first);
    expect(run('approximate=1;seed=2')).not.toEqual(first);
    first.forEach((values, n) => {
      const [, f, bound] = functions[n] as (typeof functions)[number];
      values.forEach((value, i) => {
        expect(Math.abs(value - f(inputs[i] as number))).toBeLessThanOrEqual(bound(value) * 1.0001 + 2 ** -150);
      });
      expect(values).not.toEqual(inputs.map((x) => Math.fround(f(x))));
    });
  });
});
