// The same training on the software CUDA device and on the CPU. Used by train.test.ts and twentySteps.ts.
import { type CompileOptions, compile, type Precision } from '../../src/compile';
import { loadData } from '../../src/data/load';
import { syntheticFaces } from '../../src/data/synthetic';
import type { ImageDataset } from '../../src/data/types';
import type { Graph, Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { composite, dense, separableConv } from '../../src/layers';
import { type ModelFunction, modelNamed } from '../../src/models';
import { OBJECTIVE_DEFAULTS } from '../../src/objectives/options';
import { trainingGraph } from '../../src/train/trainer';

/** Losses of all units, step after step, on both devices. */
export interface Trained {
  readonly cuda: Float32Array;
  readonly cpu: Float32Array;
  readonly units: number;
}

interface Setting {
  readonly model: ModelFunction;
  readonly data: ImageDataset;
  readonly side: number;
  readonly batch: number;
  readonly method: 'bp' | 'cka';
  readonly lr: number;
  readonly precision?: Precision;
}

/** What a step computes, with every draw fixed. */
function graphOf({ model, data, side, batch, method, lr }: Setting): {
  graph: Graph;
  outputs: Record<string, Tensor>;
} {
  return trainingGraph({
    model,
    spec: { classes: data.classes.length, input: [side, side, data.channels], mean: [0.5], std: [0.25] },
    data,
    objective: { ...OBJECTIVE_DEFAULTS, name: method },
    batch,
    seed: 1,
    lr,
  });
}

async function compare(setting: Setting, steps: number): Promise<Trained> {
  const losses = async (device: CompileOptions['device'] & string): Promise<Float32Array> => {
    const { graph, outputs } = graphOf(setting);
    using plan = compile(graph, { outputs, device, precision: setting.precision ?? 'float32' });
    return (await plan.run(steps)).losses as Float32Array;
  };
  const cpu = await losses('cpu');
  return { cuda: await losses('cuda'), cpu, units: cpu.length / steps };
}

/** Two separable convolutions with a pooling between, and a dense layer. */
function smallNet(x: Tensor, { classes }: { classes: number }): Tensor {
  const { graph } = x;
  const first = graph.unit('first', () => separableConv(x, 8));
  const second = graph.unit('second', () => composite(ops.maxPool(first, { kernel: 2 }), 16));
  return graph.unit('head', () => dense('fc', ops.globalAvgPool(second), classes));
}

async function mnist(method: 'bp' | 'cka'): Promise<Setting> {
  const { train } = await loadData('mnist', { limit: 400 });
  return { model: smallNet, data: train, side: 14, batch: 16, method, lr: 0.01 };
}

export const mnistGraph = async (method: 'bp' | 'cka') => graphOf(await mnist(method));
export const mnistSteps = async (method: 'bp' | 'cka', steps: number, precision: Precision = 'float32') =>
  compare({ ...(await mnist(method)), precision }, steps);

/** CFPN of the papers at 48x48, batch 8. */
async function cfpn(method: 'bp' | 'cka'): Promise<Setting> {
  const data = await syntheticFaces({ count: 64, seed: 5 });
  return { model: modelNamed('cfpn'), data, side: 48, batch: 8, method, lr: 1e-4 };
}

export const cfpnGraph = async (method: 'bp' | 'cka') => graphOf(await cfpn(method));

/** Trained with local objectives (NBP). */
export const cfpnSteps = async (steps: number): Promise<Trained> => compare(await cfpn('cka'), steps);

/** The largest difference of a loss relative to that step's largest. */
export function furthest({ cuda, cpu, units }: Trained): number {
  let most = 0;
  for (let begin = 0; begin < cpu.length; begin += units) {
    const want = cpu.subarray(begin, begin + units);
    const size = Math.max(...want.map(Math.abs));
    want.forEach((value, i) => {
      most = Math.max(most, Math.abs(cuda[begin + i]! - value) / size);
    });
  }
  return most;
}
