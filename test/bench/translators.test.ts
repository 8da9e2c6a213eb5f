// Our graphs as ONNX bytes and as calls of TensorFlow.js, checked without either library. The exporter has tests of its own.
import { describe, expect, it } from 'vitest';
import { onnxOf } from '../../bench/peers/node';
import { type Program, programOf } from '../../bench/translate/program';
import { type Library, runNodes, type Tensor as TfTensor } from '../../bench/translate/tfjs';
import { ROWS, type Workload } from '../../src/cli/bench/rows';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { parseOnnx } from '../../src/interchange/onnx/model';

function workloadFor(build: (x: Tensor) => Tensor, shape: readonly number[]): Workload {
  const graph = new Graph({ training: false });
  const x = graph.input('x', shape);
  return { graph, outputs: {}, results: [build(x)], given: [x], work: { flops: 0, bytes: 0 } };
}

describe('ONNX', () => {
  it('is a model of the small net, with the images as they lie here', () => {
    const model = parseOnnx(onnxOf(ROWS.find(({ id }) => id === 'small-infer-1')!.build()));
    expect(model.inputs.map(({ name, shape }) => [name, shape])).toEqual([['given0', [1, 48, 48, 1]]]);
    expect(model.outputs.map(({ name, shape }) => [name, shape])).toEqual([['result0', [1, 7]]]);
  });
});

/** A library that notes its calls and answers with tensors of no shape. */
function recorder(): { tf: Library; calls: string[] } {
  const calls: string[] = [];
  const isTensor = (value: unknown): boolean => value !== null && typeof value === 'object' && 'dataSync' in value;
  const show = (value: unknown): string => JSON.stringify(value, (_, one) => (isTensor(one) ? 'tensor' : one));
  const made = { shape: [2, 2], dataSync: () => new Float32Array(0), dispose: () => undefined };
  const tf = new Proxy({} as Record<string, (...args: unknown[]) => TfTensor>, {
    get:
      (_, name) =>
      (...args: unknown[]) => {
        calls.push(`${String(name)}(${args.map(show).join(', ')})`);
        return { ...made, mean: made, variance: made, values: made };
      },
  });
  return { tf, calls };
}

function callsOf(program: Program): string[] {
  const { tf, calls } = recorder();
  const value = (id: number): [number, TfTensor] => [
    id,
    { shape: program.tensors[id]!.shape, dataSync: () => new Float32Array(0), dispose: () => undefined },
  ];
  runNodes(tf, program, program.nodes, new Map([...program.weights, ...program.given].map(value)));
  return calls;
}

describe('TensorFlow.js', () => {
  it('is called in our own layout', () => {
    const workload = workloadFor(
      (x) => {
        const depthwise = ops.depthwiseConv2d(x, x.graph.param('d', [3, 3, 1, 4], 1), { stride: 2 });
        const pointwise = ops.conv2d(depthwise, x.graph.param('p', [1, 1, 4, 6], 1));
        return ops.softmax(ops.globalAvgPool(ops.concat([pointwise, depthwise])));
      },
      [2, 8, 8, 4],
    );
    expect(callsOf(programOf(workload))).toEqual([
      'reshape("tensor", [3,3,4,1])',
      'depthwiseConv2d("tensor", "tensor", [2,2], "same")',
      'conv2d("tensor", "tensor", [1,1], "same")',
      'concat(["tensor","tensor"], 3)',
      'mean("tensor", [1,2], false)',
      'softmax("tensor", 1)',
    ]);
  });

  it('pads where its own padding differs', () => {
    const padding = { top: 1, bottom: 1, left: 1, right: 1 };
    const workload = workloadFor(
      (x) => ops.conv2d(x, x.graph.param('w', [3, 3, 4, 6], 1), { stride: 2, padding }),
      [2, 8, 8, 4],
    );
    expect(callsOf(programOf(workload))).toEqual([
      'pad("tensor", [[0,0],[1,1],[1,1],[0,0]])',
      'conv2d("tensor", "tensor", [2,2], "valid")',
    ]);
  });

  it.each(['small-bp-128', 'small-infer-1', 'hsic', 'gram', 'pointwise', 'depthwise'])('knows the ops of %s', (id) => {
    const calls = callsOf(programOf(ROWS.find((row) => row.id === id)!.build()));
    expect(calls.length).toBeGreaterThan(0);
  });

  it('refuses what it has no translation for', () => {
    expect(() => callsOf(programOf(workloadFor((x) => ops.tanh(x), [2, 3])))).toThrow('TensorFlow.js expects ops');
  });
});
