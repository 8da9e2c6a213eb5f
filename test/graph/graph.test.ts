// Names, scopes, units, memoised statistics and the print of a graph.
import { describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import { ArgumentError, GraphError } from '../../src/errors';
import { grad } from '../../src/graph/gradients';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { print } from '../../src/graph/print';

describe('names', () => {
  it('are unique, whatever is appended how often', () => {
    const graph = new Graph();
    const x = graph.input('x', [4, 6]);
    const step = graph.state('step', [1], 'i32');
    for (let round = 0; round < 3; round++) {
      graph.scope('layer', () => {
        ops.relu(x);
        ops.moments(ops.relu(x));
        graph.constant('table', [1], new Float32Array(1));
      });
      ops.increment(step);
    }
    const tensors = graph.tensors.map((info) => info.name);
    expect(new Set(tensors).size).toBe(tensors.length);
    const nodes = graph.nodes.map((node) => node.name);
    expect(new Set(nodes).size).toBe(nodes.length);
    expect(nodes.slice(0, 5)).toEqual(['layer/relu', 'layer/relu_1', 'layer/moments', 'increment', 'layer/relu_2']);
  });

  it('carry the scopes around them, up to the last absolute one', () => {
    const graph = new Graph();
    const names = graph.scope('a', () => [
      graph.scoped('x'),
      graph.scope('b', () => graph.scoped('x')),
      graph.scope('/c', () => graph.scoped('x')),
      graph.scoped('/x'),
    ]);
    expect(names).toEqual(['a/x', 'a/b/x', 'c/x', 'x']);
    expect(graph.scoped('x')).toBe('x');
  });

  it('leave their scope when the body throws', () => {
    const graph = new Graph();
    const fail = (): never => {
      throw new Error('inside');
    };
    expect(() => graph.scope('a', fail)).toThrow('inside');
    expect(() => graph.unit('u', fail)).toThrow('inside');
    expect(graph.scoped('x')).toBe('x');
    ops.relu(graph.input('x', [1]));
    expect(graph.nodes[0]?.unit).toBe(-1);
  });
});

describe('units', () => {
  it('own their params and nodes', () => {
    const graph = new Graph();
    const x = graph.input('x', [4, 6]);
    const y = graph.unit('one', () => ops.matmul(x, graph.param('w', [6, 2], 0)));
    graph.unit('two', () => ops.relu(y));
    ops.relu(y);
    expect(graph.units.map((unit) => [unit.name, unit.params.map((param) => param.name)])).toEqual([
      ['one', ['one/w']],
      ['two', []],
    ]);
    expect(graph.units[0]?.output).toBe(y);
    expect(graph.nodes.map((node) => node.unit)).toEqual([0, 1, -1]);
    expect(graph.tensors.map((info) => info.unit)).toEqual([-1, 0, 0, 1, -1]);
  });

  it('do not nest', () => {
    const graph = new Graph();
    const x = graph.input('x', [1]);
    const nested = (): unknown => graph.unit('outer', () => graph.unit('inner', () => x));
    expect(nested).toThrow(GraphError);
  });

  it('return a tensor of their graph', () => {
    const graph = new Graph();
    const other = new Graph().input('x', [1]);
    expect(() => graph.unit('u', () => other)).toThrow('belongs to another graph');
    expect(() => graph.unit('v', () => undefined as unknown as Tensor)).toThrow('expected a tensor');
  });
});

describe('moments', () => {
  const count = (graph: Graph, op: string): number => graph.nodes.filter((node) => node.op === op).length;

  it('are computed once for each tensor', () => {
    const graph = new Graph();
    const x = graph.input('x', [4, 3]);
    const first = ops.moments(x);
    expect(ops.moments(x)).toEqual(first);
    expect(count(graph, 'moments')).toBe(1);
  });

  it('of a dense block are computed once for each channel, however deep the concatenations', () => {
    const graph = new Graph();
    let x = graph.input('x', [4, 2, 2, 3]);
    const measured: number[] = [];
    for (let layer = 0; layer < 4; layer++) {
      ops.moments(x);
      x = ops.concat([x, graph.input(`new${layer}`, [4, 2, 2, 2])]);
    }
    const { mean, variance } = ops.moments(x);
    for (const node of graph.nodes) {
      if (node.op === 'moments') measured.push(graph.tensor(node.inputs[0]!).shape.at(-1)!);
    }
    expect(measured).toEqual([3, 2, 2, 2, 2]);
    expect([mean.shape, variance.shape]).toEqual([[11], [11]]);
    expect(graph.producer(mean)?.op).toBe('concat');
  });

  it('of a concatenation on another axis are its own', () => {
    const graph = new Graph();
    const x = ops.concat([graph.input('a', [4, 3]), graph.input('b', [2, 3])], { axis: 0 });
    expect(graph.producer(ops.moments(x).mean)?.op).toBe('moments');
  });

  it('of a stopped tensor are those of the tensor, stopped', () => {
    const graph = new Graph();
    const x = graph.input('x', [4, 3]);
    ops.moments(x);
    const { variance } = ops.moments(ops.stopGradient(x));
    expect(count(graph, 'moments')).toBe(1);
    expect(graph.producer(grad(variance, [x])[0]!)?.attrs).toEqual({ value: 0 });
  });
});

describe('print', () => {
  it('lists units, declared tensors and nodes', () => {
    const graph = new Graph();
    const x = graph.input('image', [8, 6, 6, 1]);
    const step = graph.state('step', [1], 'i32');
    const y = graph.unit('stem', () => ops.maxPool(ops.conv2d(x, graph.param('w', [3, 3, 1, 4], 0)), { kernel: 2 }));
    ops.reduceSum(y, { axes: [1, 2] });
    ops.increment(step);
    expect(print(graph)).toMatchInlineSnapshot(`
      "unit 0   stem
      %0 image 8x6x6x1   input
      %1 step i32 1   state
      %2 stem/w 3x3x1x4   param
      %3 stem/conv2d = conv2d(%0 image 8x6x6x1, %2 stem/w 3x3x1x4) strideH=1 strideW=1 padTop=1 padBottom=1 padLeft=1 padRight=1 dilationH=1 dilationW=1 groups=1 -> 8x6x6x4   unit 0
      %4,%5 stem/maxPool = maxPool(%3 stem/conv2d 8x6x6x4) kernelH=2 kernelW=2 strideH=2 strideW=2 padTop=0 padBottom=0 padLeft=0 padRight=0 -> 8x3x3x4, i32 8x3x3x4   unit 0
      %6 reduceSum = reduceSum(%4 stem/maxPool:0 8x3x3x4) axes=[1,2] keepDims=false -> 8x4
      %1 increment = increment(%1 step i32 1) -> i32 1
      "
    `);
  });
});

describe('initial values that are made later', () => {
  /** y = x + w, and how often w was drawn. */
  function net(draw: () => Float32Array = () => Float32Array.of(1, 2, 3)) {
    const graph = new Graph();
    const drawn = { times: 0 };
    const w = graph.param('w', [3], () => {
      drawn.times += 1;
      return draw();
    });
    return { graph, drawn, y: ops.add(graph.input('x', [2, 3]), w) };
  }

  it('are drawn once, at the first reading', () => {
    const { graph, drawn } = net();
    expect(drawn.times).toBe(0);
    const info = graph.tensors.find(({ name }) => name === 'w')!;
    expect([...(info.data as Float32Array)]).toEqual([1, 2, 3]);
    expect(info.data).toBe(info.data);
    expect(drawn.times).toBe(1);
  });

  it('are the plan’s, and those that nobody needs are never drawn', async () => {
    const [first, second, third] = [net(), net(() => Float32Array.of(9, 9, 9)), net()];
    using plan = compile(first.graph, { outputs: { y: first.y } });
    using sharing = compile(second.graph, { outputs: { y: second.y }, share: plan });
    expect(analyze(third.graph, { outputs: { y: third.y } }).persistentBytes).toBeGreaterThan(0);
    expect([first.drawn.times, second.drawn.times, third.drawn.times]).toEqual([1, 0, 0]);
    const { y } = await sharing.step({ x: new Float32Array(6) });
    expect([...y!]).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it('are checked when they are drawn', () => {
    const { graph, y } = net(() => new Float32Array(4));
    expect(() => compile(graph, { outputs: { y } })).toThrow('[param] "w" of shape 3 needs 3 values, got 4');
  });
});

describe('a unit’s cross-entropy', () => {
  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('cannot weigh %s', (crossEntropy) => {
    const graph = new Graph();
    const x = graph.input('x', [2, 3]);
    expect(() => graph.unit('first', () => ops.relu(x), { crossEntropy })).toThrow(ArgumentError);
    expect(() => graph.unit('first', () => ops.relu(x), { crossEntropy })).toThrow(`is above 0, got ${crossEntropy}`);
    expect(graph.units).toEqual([]);
  });
});
