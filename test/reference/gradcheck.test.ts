// Every differentiable op and every objective: gradients of grad() against central differences, in float64.
import { describe, expect, it } from 'vitest';
import { grad, rules } from '../../src/graph/gradients';
import { Graph } from '../../src/graph/graph';
import { mul, stopGradient } from '../../src/graph/ops';
import { gradCases } from './gradcases';
import { gradcheck, type LossKind } from './gradcheck';
import { ReferenceSession } from './interpreter';

/** Defined as zero: rows shorter than eps get no gradient. */
const FLAT: ReadonlySet<string> = new Set(['rowNormalize below eps']);

describe.each(['sum', 'weighted'] as const)('gradients under a %s loss', (kind: LossKind) => {
  it.each(gradCases.map((item) => [item.name, item] as const))('%s', (_name, item) => {
    const result = gradcheck(item, kind);
    expect(result.failures).toEqual([]);
    expect(result.checked).toBeGreaterThan(0);
    if (!FLAT.has(item.name)) expect(result.nonZero).toBeGreaterThan(0);
  });
});

describe('the cases', () => {
  it('are at least 120', () => {
    expect(gradCases.length).toBeGreaterThanOrEqual(120);
    expect(new Set(gradCases.map((item) => item.name)).size).toBe(gradCases.length);
  });

  it('reach every op that has a gradient rule', () => {
    const reached = new Set<string>();
    for (const item of gradCases) {
      const graph = new Graph({ training: item.training ?? true });
      const inputs = Object.fromEntries(
        Object.entries(item.inputs).map(([name, input]) => [
          name,
          graph.input(name, input.shape, input.dtype ?? 'f32'),
        ]),
      );
      item.build(inputs, 1);
      for (const node of graph.nodes) reached.add(node.op);
    }
    expect(Object.keys(rules).filter((op) => !reached.has(op))).toEqual([]);
  });
});

it('stops at stopGradient', () => {
  const graph = new Graph();
  const x = graph.input('x', [2]);
  const [dx] = grad(mul(x, stopGradient(x)), [x]);
  const values = new ReferenceSession(graph).step({ x: [3, -4] });
  expect(Array.from(values.get(dx!.id)!.data)).toEqual([3, -4]);
});
