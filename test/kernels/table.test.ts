// Checks the op table itself, with the oracle alone: that it covers docs/ops.md, that integer cases really are exact
// and compare something, and that the comparison sees what it should.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { references } from '../reference/interpreter';
import { expectRow, isExact } from './expected';
import { table } from './table';
import { allowedError, firstDifference, firstMismatch, shareOfZeros } from './tolerance';

/** Ops named in the first column of the catalogue's tables. */
function cataloguedOps(): string[] {
  const text = readFileSync(join(__dirname, '../../docs/ops.md'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...line.split('|')[1]!.matchAll(/`(\w+)`/g)].map((match) => match[1]!));
}

describe('the op table', () => {
  it('has a row and a reference for every op of docs/ops.md, and no other', () => {
    const ops = cataloguedOps().sort();
    expect(ops.length).toBeGreaterThan(60);
    expect(table.map((row) => row.op).sort()).toEqual(ops);
    expect([...references.keys()].sort()).toEqual(ops);
  });

  it('has more than a thousand cases', () => {
    const cases = table.reduce((sum, row) => sum + row.cases.length, 0);
    expect(cases).toBeGreaterThan(1000);
  });

  describe.each(table.map((row) => [row.op, row] as const))('%s', (_op, row) => {
    it('has integer cases that float32 holds exactly and that are not mostly zeros', () => {
      for (const item of expectRow(row, 'integer', [false]).cases) {
        for (const { data, shape } of Object.values(item.answers)) {
          expect(data.every(Number.isFinite), `${item.label}: an expected value is not finite`).toBe(true);
          if (!isExact(item, 'integer')) continue;
          const single = Float64Array.from(data, Math.fround);
          expect(firstMismatch(single, data, { shape, relative: 0 }), item.label).toBeUndefined();
          const limit = row.zeroLimit ?? 0.7;
          if (data.length > 8) expect(shareOfZeros(data), `mistrusted: ${item.label}`).toBeLessThanOrEqual(limit);
        }
      }
    });
  });
});

describe('the comparison', () => {
  const want = Float64Array.of(1, 2, 3, 4);
  const shape = [2, 2];

  it('names the first mismatch by its index and both values', () => {
    const message = firstMismatch([1, 2, 3.5, 5], want, { shape, relative: 1e-6 });
    expect(message).toContain('[1, 0] of 2x2: expected 3, got 3.5');
  });

  it('is exact at threshold 0, but for the sign of zero', () => {
    expect(firstMismatch([1, 2, 3, 4 + 2 ** -40], want, { shape, relative: 0 })).toContain('[1, 1]');
    expect(firstMismatch([-0], Float64Array.of(0), { shape: [1], relative: 0 })).toBeUndefined();
  });

  it('never accepts NaN for a number, nor a number for NaN or an overflow', () => {
    const one = { shape: [1], relative: 1 };
    expect(firstMismatch([Number.NaN], Float64Array.of(1), one)).toContain('got NaN');
    expect(firstMismatch([1], Float64Array.of(Number.NaN), one)).toContain('expected NaN');
    expect(firstMismatch([3e38], Float64Array.of(1e39), one)).toContain('expected 1e+39');
    expect(firstMismatch([Infinity], Float64Array.of(1e39), one)).toBeUndefined();
  });

  it('measures by the tensor or by the element', () => {
    const large = Float64Array.of(1000, 0.001);
    expect(firstMismatch([1000, 0.0015], large, { shape: [2], relative: 2e-6 })).toBeUndefined();
    expect(firstMismatch([1000, 0.0015], large, { shape: [2], relative: 2e-6, perElement: true })).toContain('[1]');
  });

  it('lets the error grow like the root of the sum', () => {
    expect(allowedError(1, 100)).toBe(1);
    expect(allowedError(1, 1024)).toBe(2);
  });

  it('tells bits apart', () => {
    expect(firstDifference([0, 1], [0, 1], [2])).toBeUndefined();
    expect(firstDifference([0, 1], [-0, 1], [2])).toContain('[0] of 2');
    expect(firstDifference([Number.NaN], [Number.NaN], [1])).toBeUndefined();
  });
});
