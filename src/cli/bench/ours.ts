// Our side of a benchmark row: compiled, run for the check, timed. Called by bench.ts and, for the peak of memory, by
// bench/. The rule easy to break: the plan of a step that is timed returns only small outputs; the plan that is checked is another.
import { type CompileOptions, compile, devices } from '../../compile';
import { Graph, type TensorData } from '../../graph/graph';
import * as ops from '../../graph/ops';
import { CompiledModel } from '../../train/compiledModel';
import { CHECK_STEPS, type Inference, type Workload } from './rows';
import { type Ceilings, type Contender, median } from './statistics';

export type Placement = Pick<CompileOptions, 'device' | 'threads' | 'precision'>;

/** Values of a workload's tensors over some steps: [step][tensor]. */
export interface Trace {
  readonly given: readonly (readonly TensorData[])[];
  readonly results: readonly (readonly TensorData[])[];
}

function modelFor({ model, input, classes }: Inference, placement: Placement): CompiledModel {
  return new CompiledModel(model, { input, classes, ...placement });
}

/** What we compute: five steps of a training, one of anything else. */
export async function traceOurs(workload: Workload, placement: Placement): Promise<Trace> {
  const { graph, results, given, inference } = workload;
  if (inference) {
    using model = modelFor(inference, placement);
    const { probabilities } = model.runSync(inference.images);
    return { given: [[inference.images]], results: [[probabilities!]] };
  }
  const named = [...results, ...given];
  const outputs = Object.fromEntries(named.map((tensor) => [String(tensor.id), tensor]));
  using plan = compile(graph, { outputs, ...placement });
  const trace = { given: [] as TensorData[][], results: [] as TensorData[][] };
  for (let step = 0; step < (workload.training ? CHECK_STEPS : 1); step += 1) {
    const found = await plan.step();
    const values = ({ id }: { id: number }): TensorData => found[id]!;
    trace.given.push(given.map(values));
    trace.results.push(results.map(values));
  }
  return trace;
}

export interface Ours extends Contender {
  readonly arenaBytes: number;
  dispose(): void;
}

/** Our names among the contenders. */
export const OWN = { float32: 'gramian', bf16: 'gramian bf16' } as const;

/** What is timed, and what it needs. */
interface Timed {
  run(count: number): unknown;
  readonly arenaBytes: number;
  dispose(): void;
}

function timedModel(inference: Inference, placement: Placement): Timed {
  const model = modelFor(inference, placement);
  return {
    run: (count) => {
      for (let done = 0; done < count; done += 1) model.runSync(inference.images);
    },
    arenaBytes: model.describe().reduce((sum, { arenaBytes }) => sum + arenaBytes, 0),
    dispose: () => model.dispose(),
  };
}

function timedPlan({ graph, outputs }: Workload, placement: Placement): Timed {
  const plan = compile(graph, { outputs, ...placement });
  const { arenaBytes } = plan.describe();
  return { run: (count) => plan.run(count), arenaBytes, dispose: () => plan.dispose() };
}

export function contend(workload: Workload, placement: Placement): Ours {
  const { inference } = workload;
  const { run, ...rest } = inference ? timedModel(inference, placement) : timedPlan(workload, placement);
  return {
    name: OWN[placement.precision ?? 'float32'],
    async sample(count) {
      const started = performance.now();
      await run(count);
      return performance.now() - started;
    },
    ...rest,
  };
}

/** Rows of a square that keeps a device busy for some milliseconds. */
const PRODUCT = { cpu: 2048, cuda: 8192 } as const;
const COPIED = 2 ** 26;
const TURNS = 7;

/** Milliseconds of a step; of several at once, because a card's are short beside a call's. */
async function timeOf(graph: Graph, first: ReturnType<typeof ops.slice>, placement: Placement): Promise<number> {
  using plan = compile(graph, { outputs: { first }, ...placement });
  const steps = plan.describe().device === 'cuda' ? 10 : 1;
  const times: number[] = [];
  for (let turn = 0; turn <= TURNS; turn += 1) {
    const started = performance.now();
    await plan.run(steps);
    times.push((performance.now() - started) / steps);
  }
  return median(times.slice(1));
}

/** A large product, in the placement's precision, and a large copy by our own kernels. */
export async function measureCeilings(placement: Placement): Promise<Ceilings> {
  const product = new Graph({ training: false });
  const onCuda = placement.device !== 'cpu' && devices().some(({ id, available }) => id === 'cuda' && available);
  const size = PRODUCT[onCuda ? 'cuda' : 'cpu'];
  const square = (name: string) => product.state(name, [size, size], 'f32', 0.5);
  const y = ops.matmul(square('a'), square('b'));
  const productMs = await timeOf(product, ops.slice(y, [0, 0], [1, 1]), placement);
  const copy = new Graph({ training: false });
  const copied = ops.affine(copy.state('x', [COPIED / 4096, 4096], 'f32', 0.5), { scale: 2 });
  const copyMs = await timeOf(copy, ops.slice(copied, [0, 0], [1, 1]), placement);
  return { gflops: (2 * size ** 3) / productMs / 1e6, gbps: (8 * COPIED) / copyMs / 1e6 };
}
