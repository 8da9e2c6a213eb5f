// Updates that follow each other in a step share a launch on device cuda only where none touches what another writes
// (native/cuda/turns.h): each seed of the software device takes the blocks of a launch in another order, and all must give what
// the CPU gives. The rule easy to break: seeds are needed, since one order of blocks may be right by chance.
import { afterEach, describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { device, findings, forget, images, onCard, useImage } from './device';

const SIZE = 4;
const SEEDS = onCard ? [0] : [1, 2, 3, 4, 5, 6];

interface Two {
  readonly x: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
  /** An update by Adam of a tensor of that name. */
  adam(name: string, g: Tensor, m: Tensor): void;
}

const momentum = 0.5;
const CASES: [string, (two: Two) => void][] = [
  [
    'an average of what an average writes',
    ({ x, first, second }) => {
      ops.ema(first, x, { momentum });
      ops.ema(second, first, { momentum });
    },
  ],
  [
    'an average of what the next one writes',
    ({ x, first, second }) => {
      ops.ema(second, first, { momentum });
      ops.ema(first, x, { momentum });
    },
  ],
  [
    'two averages into one tensor',
    ({ x, first, second }) => {
      ops.ema(second, x, { momentum });
      ops.ema(second, first, { momentum });
    },
  ],
  [
    'a gradient that another update writes as its moment',
    ({ x, first, second, adam }) => {
      adam('p', x, first);
      adam('q', first, second);
    },
  ],
  [
    'a gradient that the next update writes as its moment',
    ({ x, first, second, adam }) => {
      adam('q', first, second);
      adam('p', x, first);
    },
  ],
];

function graphOf(append: (two: Two) => void): Graph {
  const graph = new Graph();
  const filled = (value: number) => new Float32Array(SIZE).fill(value);
  const x = graph.input('x', [SIZE]);
  const [lr, step] = [graph.input('lr', [1]), graph.state('step', [1], 'i32', Int32Array.of(3))];
  append({
    x,
    first: graph.state('first', [SIZE], 'f32', filled(4)),
    second: graph.state('second', [SIZE], 'f32', filled(1)),
    adam: (name, g, m) =>
      ops.adam(graph.param(name, [SIZE], filled(2)), g, { m, v: graph.state(`${name}.v`, [SIZE]), lr, step }),
  });
  return graph;
}

async function statesOf(graph: Graph, on: 'cpu' | 'cuda'): Promise<Record<string, number[]>> {
  using plan = compile(graph, { outputs: {}, device: on });
  await plan.step({ x: new Float32Array(SIZE).fill(8), lr: Float32Array.of(0.125) });
  const states: Record<string, number[]> = {};
  for (const { name } of plan.tensors()) states[name] = Array.from(await plan.read(name));
  return states;
}

if (images.length > 0) afterEach(forget);

describe.skipIf(images.length === 0)('neighbouring updates on cuda', () => {
  it.each(CASES)('%s', async (_, append) => {
    useImage('ptx80');
    const graph = graphOf(append);
    const want = await statesOf(graph, 'cpu');
    for (const seed of SEEDS) {
      if (!onCard) device().configure(`seed=${seed}`);
      const got = await statesOf(graph, 'cuda');
      for (const [name, values] of Object.entries(want))
        for (const [i, value] of values.entries()) expect(got[name]![i], `${name}, seed ${seed}`).toBeCloseTo(value, 5);
    }
    expect(findings()).toEqual([]);
  });
});
