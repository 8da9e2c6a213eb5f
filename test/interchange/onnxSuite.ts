// Runs the tests of the Debian package libonnx-testdata (ONNX's own backend tests): a model, inputs and outputs as files. Used
// by onnxBackend.test.ts and scripts. What is compared, and how closely, is as ONNX's own runner does it: shapes exactly,
// values to a relative 1e-3 and an absolute 1e-7.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type CompileOptions, compile } from '../../src/compile';
import { GramianError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import { type OnnxInput, type OnnxModel, type OnnxResult, parseOnnx } from '../../src/interchange/onnx/model';
import { Message } from '../../src/interchange/onnx/protobuf';
import { readTensor, type TensorData } from '../../src/interchange/onnx/schema';

export const SUITE = '/usr/share/libonnx-testdata/data';
export const PARTS = ['node', 'pytorch-converted', 'pytorch-operator', 'simple'] as const;
export type Part = (typeof PARTS)[number];

/** Where a test is computed. */
export type Placement = Pick<CompileOptions, 'device' | 'threads'>;

export interface Outcome {
  readonly part: Part;
  readonly name: string;
  /** passed: the engine computed it and it is right; folded: all was known at import, and is right; else it is not run. */
  readonly state: 'passed' | 'folded' | 'failed' | 'unsupported';
  readonly reason: string;
}

/** Names of the tests of a part; empty when the package is absent. */
export function testsOf(part: Part): string[] {
  const folder = path.join(SUITE, part);
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** The tensors `input_0.pb`, `input_1.pb` ... of a data set; undefined where one is no tensor of numbers. */
function filesOf(folder: string, prefix: string): (TensorData | undefined)[] {
  const names = readdirSync(folder).filter((name) => name.startsWith(prefix));
  return names.map((_, index) => {
    const file = path.join(folder, `${prefix}${index}.pb`);
    try {
      return readTensor(new Message(readFileSync(file), file));
    } catch {
      return undefined;
    }
  });
}

interface Applied {
  readonly graph: Graph;
  readonly results: OnnxResult[];
  readonly fed: ReadonlyMap<string, TensorData>;
}

/** Applies a model; inputs that it says must be known are made constants, all others are fed. */
function applied(model: OnnxModel, inputs: ReadonlyMap<string, TensorData>): Applied {
  // An empty tensor says something about shapes at most.
  const constants = Object.fromEntries([...inputs].filter(([, { data }]) => data.length === 0));
  for (;;) {
    const graph = new Graph({ training: false });
    const given: Record<string, OnnxInput> = {};
    const fed = new Map<string, TensorData>();
    for (const [name, value] of inputs) {
      if (Object.hasOwn(constants, name)) continue;
      const shape = value.shape.length === 0 ? [1] : value.shape;
      given[name] = { tensor: graph.input(`input ${name}`, shape) };
      fed.set(name, value);
    }
    try {
      return { graph, results: model.apply(graph, given, { constants }), fed };
    } catch (error) {
      const advice = error instanceof GramianError ? error.message.split('give `constants` for ')[1] : undefined;
      const names = [...(advice ?? '').matchAll(/"([^"]*)"/g)].map((match) => match[1] as string);
      const fresh = names.filter((name) => inputs.has(name) && !Object.hasOwn(constants, name));
      if (fresh.length === 0) throw error;
      for (const name of fresh) constants[name] = inputs.get(name)!;
    }
  }
}

function differs(result: OnnxResult, values: ArrayLike<number>, expected: TensorData): string | undefined {
  if (result.shape.join() !== expected.shape.join()) {
    return `${result.name} is [${result.shape.join(', ')}], expected [${expected.shape.join(', ')}]`;
  }
  for (let index = 0; index < expected.data.length; index += 1) {
    const [got, want] = [values[index]!, expected.data[index]!];
    const close = Math.abs(got - want) <= 1e-7 + 1e-3 * Math.abs(want);
    if (!(close || Object.is(got, want) || got === want)) return `${result.name}[${index}] is ${got}, expected ${want}`;
  }
  return undefined;
}

/** The values of all results, computed where they have to be. */
function computedValues({ graph, results, fed }: Applied, placement: Placement): ArrayLike<number>[] {
  const outputs = Object.fromEntries(
    results.flatMap(({ tensor }, index) => (tensor ? [[String(index), tensor] as const] : [])),
  );
  if (Object.keys(outputs).length === 0) return results.map(({ data }) => data!);
  using plan = compile(graph, { outputs, ...placement });
  const feeds = Object.fromEntries(
    [...fed].map(([name, { data }]) => [`input ${name}`, Float32Array.from(data)] as const),
  );
  const made = plan.stepSync(feeds);
  return results.map(({ data }, index) => data ?? made[String(index)]!);
}

/** Runs a test of a part by its name, on one thread of the CPU unless told. */
export function runTest(part: Part, name: string, placement: Placement = { threads: 1 }): Outcome {
  const folder = path.join(SUITE, part, name);
  const outcome = (state: Outcome['state'], reason = ''): Outcome => ({ part, name, state, reason });
  try {
    const model = parseOnnx(readFileSync(path.join(folder, 'model.onnx')), name);
    let nodes = 0;
    for (const set of readdirSync(folder).filter((entry) => entry.startsWith('test_data_set_'))) {
      const values = filesOf(path.join(folder, set), 'input_');
      const expected = filesOf(path.join(folder, set), 'output_');
      if ([...values, ...expected].includes(undefined))
        return outcome('unsupported', 'its data are no tensors of numbers');
      const inputs = new Map(
        model.inputs.slice(0, values.length).map(({ name: input }, index) => [input, values[index]!]),
      );
      const one = applied(model, inputs);
      nodes += one.graph.nodes.length;
      const made = computedValues(one, placement);
      for (const [index, want] of expected.entries()) {
        const wrong = differs(one.results[index]!, made[index]!, want!);
        if (wrong !== undefined) return outcome('failed', wrong);
      }
    }
    return outcome(nodes > 0 ? 'passed' : 'folded');
  } catch (error) {
    if (!(error instanceof GramianError)) throw new Error(`${part} ${name}: ${String(error)}`, { cause: error });
    return outcome('unsupported', error.message.replace(/^\[onnx\] [^:]*: /, ''));
  }
}
