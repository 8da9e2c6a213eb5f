// Random graphs of views, concats, elementwise ops and updates, planned and run, against the plainest evaluation: every
// tensor its own array, in append order. Every op here rounds once, so both sides agree to the bit and one wrong byte
// shows. The rule easy to break: an op may be added here only if its float32 result is that of the JavaScript beside it.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile, type Plan } from '../../src/compile';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

type Values = Map<number, Float32Array>;
type Evaluate = (values: Values) => void;

interface Sample {
  readonly graph: Graph;
  /** In append order. */
  readonly program: Evaluate[];
  readonly outputs: Tensor[];
  readonly temps: Tensor[];
}

const LIMIT = 8;

/** Row-major strides. */
function strides(shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) result[axis] = result[axis + 1]! * shape[axis + 1]!;
  return result;
}

/** y[i] = x[source(coordinates of i)]. */
function moved(y: Tensor, x: Float32Array, source: (at: number[]) => number): Float32Array {
  const step = strides(y.shape);
  return Float32Array.from({ length: sizeOf(y.shape) }, (_, i) => {
    const at = y.shape.map((extent, axis) => Math.floor(i / step[axis]!) % extent);
    return x[source(at)]!;
  });
}

/** A well-known small generator of uniforms in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Builder {
  readonly graph = new Graph();
  readonly program: Evaluate[] = [];
  readonly pool: Tensor[] = [];
  readonly states: Tensor[] = [];
  readonly temps: Tensor[] = [];
  #dice: () => number;

  constructor(dice: () => number) {
    this.#dice = dice;
  }

  int(least: number, most: number): number {
    return least + Math.floor(this.#dice() * (most - least + 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }

  emit(y: Tensor, evaluate: (values: Values) => Float32Array): void {
    this.program.push((values) => values.set(y.id, evaluate(values)));
    this.pool.push(y);
    this.temps.push(y);
  }

  unary(x: Tensor): void {
    const [op, f] = this.pick([
      [ops.relu, (v: number) => Math.max(v, 0)],
      [ops.abs, Math.abs],
      [(t: Tensor) => ops.affine(t, { scale: -1, offset: 1 }), (v: number) => 1 - v],
    ] as const);
    this.emit(op(x), (values) => values.get(x.id)!.map((v) => f(v) + 0));
  }

  binary(x: Tensor): void {
    const fits = this.pool.filter(({ shape }) => shape.join() === x.shape.join());
    const other = this.pick(fits);
    const [op, f] = this.pick([
      [ops.add, (a: number, b: number) => a + b],
      [ops.sub, (a: number, b: number) => a - b],
    ] as const);
    const sum = op(x, other);
    this.emit(sum, (values) => values.get(x.id)!.map((v, i) => f(v, values.get(other.id)![i]!)));
  }

  slice(x: Tensor): void {
    const begin = x.shape.map((extent) => (this.int(0, 1) ? this.int(0, extent - 1) : 0));
    const size = x.shape.map((extent, axis) => this.int(1, extent - begin[axis]!));
    const y = ops.slice(x, begin, size);
    const step = strides(x.shape);
    this.emit(y, (values) =>
      moved(y, values.get(x.id)!, (at) => at.reduce((sum, c, axis) => sum + (c + begin[axis]!) * step[axis]!, 0)),
    );
  }

  reshape(x: Tensor): void {
    const count = sizeOf(x.shape);
    const divisors = Array.from({ length: count }, (_, i) => i + 1).filter((d) => count % d === 0);
    const rows = this.pick(divisors);
    const shape = this.pick([[rows, count / rows], [count], [...x.shape.slice(0, -1), 1, x.shape.at(-1)!]]);
    this.emit(ops.reshape(x, shape.length > 4 ? [count] : shape), (values) => values.get(x.id)!.slice());
  }

  transpose(x: Tensor): void {
    const perm = x.shape.map((_, axis) => axis).reverse();
    const y = ops.transpose(x, perm);
    const step = strides(x.shape);
    this.emit(y, (values) =>
      moved(y, values.get(x.id)!, (at) => at.reduce((sum, c, i) => sum + c * step[perm[i]!]!, 0)),
    );
  }

  concat(x: Tensor): void {
    const axis = this.int(0, 2) ? x.shape.length - 1 : this.int(0, x.shape.length - 1);
    const fits = this.pool.filter(
      ({ shape }) =>
        shape.length === x.shape.length && shape.every((extent, i) => i === axis || extent === x.shape[i]!),
    );
    const parts = [x, ...Array.from({ length: this.int(0, 2) }, () => this.pick(fits))];
    const y = ops.concat(parts, { axis });
    if (sizeOf(y.shape) > 400) return;
    this.emit(y, (values) =>
      moved(y, Float32Array.from(parts.flatMap((part) => [...values.get(part.id)!])), (at) => {
        let c = at[axis]!;
        let base = 0;
        let index = 0;
        while (c >= parts[index]!.shape[axis]!) {
          c -= parts[index]!.shape[axis]!;
          base += sizeOf(parts[index]!.shape);
          index += 1;
        }
        const step = strides(parts[index]!.shape);
        return at.reduce((sum, value, i) => sum + (i === axis ? c : value) * step[i]!, base);
      }),
    );
  }

  alias(x: Tensor): void {
    this.emit(ops.stopGradient(x), (values) => values.get(x.id)!.slice());
  }

  /** s = x: an update that any number of readers stand before and after. */
  update(x: Tensor): void {
    const fits = this.states.filter(({ shape }) => shape.join() === x.shape.join());
    const state =
      fits.length > 0 && this.int(0, 1)
        ? this.pick(fits)
        : this.graph.state(`s${this.states.length}`, [...x.shape], 'f32', this.int(-3, 3));
    if (!this.states.includes(state)) {
      this.states.push(state);
      const initial = this.graph.info(state).data as number;
      this.program.push((values) => {
        if (!values.has(state.id)) values.set(state.id, new Float32Array(sizeOf(state.shape)).fill(initial));
      });
      this.pool.push(state);
    }
    if (x.id === state.id) return;
    this.graph.appendUpdate('ema', [state, x], [state], { momentum: 1, scale: 1 });
    this.program.push((values) => values.set(state.id, values.get(x.id)!.slice()));
  }

  grow(): void {
    const x = this.int(0, 2) ? this.pool.at(-1)! : this.pick(this.pool);
    const kinds = [this.unary, this.unary, this.binary, this.slice, this.reshape, this.transpose];
    kinds.push(this.concat, this.concat, this.concat, this.alias, this.update);
    this.pick(kinds).call(this, x);
  }
}

function sample(seed: number, size: number): Sample {
  const builder = new Builder(mulberry32(seed));
  const { graph } = builder;
  const shape = [builder.int(1, 4), builder.int(1, 4), builder.int(1, 5)];
  const x = graph.input('x', shape);
  builder.pool.push(x);
  for (const name of ['a', 'b', 'c']) graph.unit(name, () => x);
  for (let i = 0; i < size; i += 1) {
    if (builder.int(0, 1)) builder.grow();
    else graph.inUnit(builder.pick(graph.units), () => builder.grow());
  }
  const outputs = builder.pool.filter(() => builder.int(0, 3) === 0);
  return { graph, program: builder.program, outputs, temps: builder.temps };
}

/** -0 and 0 are one value here. */
const plain = (values: Iterable<number>) => Array.from(values, (value) => value + 0);

/** Three steps of the plan and of the program beside it; every output and every state compared. */
async function compare(plan: Plan, { graph, program, outputs }: Sample, seed: number): Promise<void> {
  const input = graph.tensor(0);
  const values: Values = new Map();
  for (let step = 0; step < 3; step += 1) {
    const x = Float32Array.from({ length: sizeOf(input.shape) }, (_, i) => ((i * 7 + step * 3 + seed) % LIMIT) - 3);
    values.set(input.id, x);
    for (const evaluate of program) evaluate(values);
    const results = await plan.step({ x });
    for (const { id, name } of outputs)
      expect(plain(results[id]!), `step ${step}, ${name}`).toEqual(plain(values.get(id)!));
    for (const { name } of plan.tensors()) {
      const id = graph.tensors.findIndex((info) => info.name === name);
      expect(plain(await plan.read(name)), `step ${step}, ${name}`).toEqual(plain(values.get(id)!));
    }
  }
}

describe('random graphs', () => {
  it('give what plain evaluation gives, in an arena no larger than the sum of their tensors', async () => {
    let launches = 0;
    const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 });
    const sizes = fc.integer({ min: 1, max: 40 });
    const property = fc.asyncProperty(seeds, sizes, async (seed, size) => {
      const made = sample(seed, size);
      const outputs = Object.fromEntries(made.outputs.map((tensor) => [`${tensor.id}`, tensor]));
      using plan = compile(made.graph, { outputs, threads: 2 });
      await compare(plan, made, seed);
      const { arenaBytes, launches: list } = plan.describe();
      launches += list.length;
      const copies = list.filter(({ op }) => op === 'copy').reduce((sum, { bytes }) => sum + bytes, 0);
      const sum = made.temps.reduce((bytes, { shape }) => bytes + Math.ceil((sizeOf(shape) * 4) / 64) * 64, 0);
      expect(arenaBytes).toBeLessThanOrEqual(sum + copies);
    });
    await fc.assert(property, { numRuns: 400, seed: 20 });
    // The graphs are not trivial after pruning.
    expect(launches).toBeGreaterThan(2000);
  });
});
