// Our graphs as PyTorch source: what is translated, what is detached, and what is refused. Needs no Python.
import { describe, expect, it } from 'vitest';
import { type Program, programOf, weightValue } from '../../bench/translate/program';
import { pythonOf } from '../../bench/translate/python';
import { ROWS, stepRow, type Workload } from '../../src/cli/bench/rows';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { layers } from '../../src/index';

function programFor(build: (x: Tensor) => Tensor, shape: readonly number[] = [2, 9, 9, 3]): Program {
  const graph = new Graph({ training: false });
  const x = graph.input('x', shape);
  const workload = { graph, outputs: {}, results: [build(x)], given: [x], feeds: {}, work: { flops: 0, bytes: 0 } };
  return programOf(workload as Workload);
}

function net(x: Tensor, { classes }: { classes: number }): Tensor {
  const first = x.graph.unit('first', () => layers.stem(x, 8));
  const second = x.graph.unit('second', () => layers.composite(first, 8, { stride: 2 }));
  return x.graph.unit('head', () => layers.dense('fc', ops.globalAvgPool(second), classes));
}

const settings = { name: 'net', model: net, input: [16, 16, 1] as const, classes: 3, batch: 8 };
const step = (method: 'cka' | 'bp'): Program => programOf(stepRow('x', settings, method).build());

describe('a program', () => {
  it('of a training is its forward part', () => {
    const { kind, nodes, given, results, weights, tensors } = step('bp');
    expect(kind).toBe('train');
    expect([given.length, results.length]).toEqual([2, 1]);
    const found = new Set(nodes.map(({ op }) => op));
    for (const op of ['adam', 'datasetBatch', 'moments', 'conv2dGradInput', 'ema']) expect(found).not.toContain(op);
    expect(weights.filter((id) => tensors[id]!.trained)).toHaveLength(7);
    expect(nodes.flatMap(({ detached }) => detached)).not.toContain(true);
  });

  it('by local objectives is detached at borders and where no loss reads', () => {
    const { nodes, tensors, weights } = step('cka');
    const norm = nodes.find(({ op, inputs }) => op === 'batchNorm' && tensors[inputs[1]!]!.trained)!;
    expect(norm.detached).toEqual([true, false, false]);
    // The full map goes to the next unit only; the objective reads a pooled product of the same filter.
    const pointwise = nodes.filter(({ op, inputs }) => op === 'conv2d' && tensors[inputs[1]!]!.shape[0] === 1);
    expect(pointwise.map(({ detached }) => detached)).toContainEqual([true, true]);
    expect(pointwise.map(({ detached }) => detached)).toContainEqual([false, false]);
    expect(new Set(pointwise.map(({ inputs }) => inputs[1])).size).toBe(1);
    expect(weights.length).toBeGreaterThan(0);
  });

  it('has the values its weights begin with', () => {
    const workload = stepRow('x', settings, 'bp').build();
    const { weights, tensors } = programOf(workload);
    for (const id of weights) {
      const size = tensors[id]!.shape.reduce((product, extent) => product * extent, 1);
      expect(weightValue(workload.graph, id)).toHaveLength(size);
    }
  });
});

describe('PyTorch source', () => {
  it('converts axes, windows and layouts', () => {
    const program = programFor((x) => {
      const w = x.graph.param('w', [3, 3, 3, 5], 1);
      const y = ops.conv2d(x, w, { stride: 2 });
      const z = ops.conv2d(ops.maxPool(x, { kernel: 2 }), x.graph.param('v', [1, 1, 3, 5], 1));
      return ops.flatten(ops.concat([ops.resize(y, [4, 4], { mode: 'nearest', coordinates: 'asymmetric' }), z]));
    });
    const { source, layouts } = pythonOf(program);
    expect(source).toContain('F.conv2d(g[0], w[0], None, (2, 2), (1, 1), (1, 1), 1)');
    expect(source).toContain('F.max_pool2d(g[0], (2, 2), (2, 2), (0, 0), 1, False)');
    expect(source).toContain('size=(4, 4), mode="nearest"');
    expect(source).toMatch(/torch\.cat\(\(t\d+, t\d+,\), 1\)/);
    expect(source).toMatch(/t\d+\.permute\(0, 2, 3, 1\)\.reshape\(2, 160\)/);
    expect(Object.values(layouts).sort()).toEqual(['filter', 'filter', 'image']);
  });

  it('pads where the sides differ, and lets windows hang over the end', () => {
    const even = [2, 8, 8, 3];
    const conv = programFor((x) => ops.conv2d(x, x.graph.param('w', [3, 3, 3, 5], 1), { stride: 2 }), even);
    expect(pythonOf(conv).source).toContain('F.conv2d(F.pad(g[0], (0, 1, 0, 1)), w[0], None, (2, 2), 0');
    const pool = programFor((x) => ops.avgPool(x, { kernel: 2, padding: 'same' }));
    expect(pythonOf(pool).source).toContain('F.avg_pool2d(g[0], (2, 2), (2, 2), 0, True, False)');
  });

  it('computes once what an inference does not change', () => {
    const program = programFor((x) => {
      const gain = ops.mul(x.graph.param('a', [3], 1), x.graph.param('b', [3], 1));
      return ops.mul(x, gain);
    });
    const [before, after] = pythonOf(program).source.split('def forward');
    expect(before).toContain('= w[0] * w[1]');
    expect(after).toMatch(/g\[0\] \* t\d+\.view\(1, -1, 1, 1\)/);
  });

  it('refuses what it has no translation for', () => {
    expect(() => pythonOf(programFor((x) => ops.tanh(x)))).toThrow('[bench] PyTorch source expects ops it has');
    expect(() => pythonOf(programFor((x) => ops.tanh(x)))).toThrow('got "tanh"');
    expect(() => pythonOf(programFor((x) => ops.resize(x, [4, 4])))).toThrow('bilinear');
  });

  it.each(ROWS.filter(({ peers }) => peers).map((row) => [row.id, row] as const))('exists for %s', (_, row) => {
    const { source } = pythonOf(programOf(row.build()));
    expect(source).toContain('def forward(w, k, g, r):');
    expect(source).not.toContain('undefined');
  });
});
