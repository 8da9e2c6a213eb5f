// docs/ops.md against the code: the builders and the gradient rules together write exactly the ops of the catalogue,
// each with exactly the attributes listed there.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { grad, rules, stops } from '../../src/graph/gradients';
import type { Node } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { build, samples } from './samples';

/** Attribute names by op, from the tables of docs/ops.md; `same` repeats the row above. */
function catalogue(): Map<string, string[]> {
  const text = readFileSync(path.resolve(__dirname, '../../docs/ops.md'), 'utf8');
  const attributes = new Map<string, string[]>();
  let above: string[] = [];
  for (const row of text.split('\n').filter((line) => line.startsWith('| `'))) {
    const [names, , listed] = row.split('|').slice(1) as [string, string, string];
    const plain = listed.replaceAll(/\([^)]*\)|\[\]/g, '').trim();
    above = plain === 'same' ? above : plain === '' ? [] : plain.split(',').map((name) => name.trim());
    for (const [, op] of names.matchAll(/`(\w+)`/g)) attributes.set(op as string, above);
  }
  return attributes;
}

/** Every node that a sample's builders and its gradient append. */
function nodesOf(sample: (typeof samples)[string][number]): readonly Node[] {
  const { graph, leaves, output } = build(sample);
  if (output) grad(output, leaves, { seed: ops.fill(graph, output.shape, 2) });
  return graph.nodes;
}

const listed = catalogue();
const nodes = Object.values(samples).flat().flatMap(nodesOf);
/** Helpers that the index exports beside the builders. */
const helpers = ['broadcastShapes', 'samePadding'];
const updates = ['adam', 'sgd', 'ema'];

describe('the catalogue', () => {
  it('is read from the tables', () => {
    expect(listed.size).toBeGreaterThan(70);
    expect(listed.get('maxPoolGrad')).toEqual(listed.get('maxPool'));
    expect(listed.get('reduceMax')).toEqual(['axes', 'keepDims']);
  });

  it('is written in full by the builders and the gradient rules, and nothing else is', () => {
    expect([...new Set(nodes.map((node) => node.op))].sort()).toEqual([...listed.keys()].sort());
  });

  it('has a sample of every builder', () => {
    const builders = Object.entries(ops).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));
    expect(Object.keys(samples).sort()).toEqual(builders.filter((name) => !helpers.includes(name)).sort());
  });

  it.each([...listed.keys()])('%s carries exactly the attributes listed', (op) => {
    const found = nodes.filter((node) => node.op === op);
    expect(found.length).toBeGreaterThan(0);
    for (const node of found) expect(Object.keys(node.attrs).sort()).toEqual([...(listed.get(op) ?? [])].sort());
  });

  it.each([...listed.keys()])('%s has one gradient rule or a reason not to', (op) => {
    const kinds = [Object.hasOwn(rules, op), Object.hasOwn(stops, op), /Grad(Input|Filter|Params)?$/.test(op)];
    // A gradient that is an op of its own as well: the transposed convolution.
    const both = op === 'conv2dGradInput';
    expect(kinds.filter(Boolean).length).toBe(updates.includes(op) ? 0 : both ? 2 : 1);
  });
});
