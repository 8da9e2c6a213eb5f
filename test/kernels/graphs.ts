// Random networks for graphs.test.ts: three units of random ops each with its own loss, gradients and updates, so that
// placement, views, in-place reuse, folding, scheduling and arena packing all get to make mistakes. Built with the
// public op builders. The rule easy to break: values stay bounded (tanh after every product), or rounding would hide
// in the tolerance what an aliasing bug does.

import { grad } from '../../src/graph/gradients';
import { Graph, sizeOf, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { generator } from './fills';

export interface RandomGraph {
  readonly graph: Graph;
  readonly outputs: Record<string, Tensor>;
  readonly feeds: Record<string, Float32Array>;
}

type Random = () => number;

class Builder {
  readonly graph = new Graph();
  readonly #random: Random;
  #params = 0;

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)]!;
  }

  int(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1));
  }

  values(size: number): Float32Array {
    return Float32Array.from({ length: size }, () => this.#random() * 2 - 1);
  }

  param(shape: number[]): Tensor {
    this.#params += 1;
    return this.graph.param(`w${this.#params}`, shape, this.values(sizeOf(shape)));
  }

  /** Appends one random op on a tensor of the pool; x is [N,H,W,C]. */
  grow(pool: Tensor[]): Tensor {
    const x = this.int(0, 2) > 0 ? pool.at(-1)! : this.pick(pool);
    const [n, h, w, c] = x.shape as [number, number, number, number];
    switch (this.int(0, 15)) {
      case 0:
        return this.pick([ops.relu, ops.tanh, ops.sigmoid, ops.abs])(x);
      case 1:
        return ops.affine(x, { scale: 0.5, offset: 0.25 });
      case 2:
        return this.pick([ops.add, ops.sub, ops.mul])(x, this.pick(pool.filter((other) => sameShape(other, x))));
      case 3:
        return this.pick([ops.add, ops.mul])(x, this.param([c]));
      case 4:
        return this.joined(x, pool, 3);
      case 5:
        return this.joined(x, pool, 1);
      case 6: {
        const begin = this.int(0, c - 1);
        return ops.slice(x, [0, 0, 0, begin], [-1, -1, -1, this.int(1, c - begin)]);
      }
      case 7:
        return ops.slice(x, [0, this.int(0, h - 1), 0, 0], [-1, 1, -1, -1]);
      case 8:
        return ops.reshape(ops.relu(ops.reshape(x, [n * h, w * c])), [n, h, w, c]);
      case 9:
        return ops.transpose(x, [0, 2, 1, 3]);
      case 10:
        return ops.tanh(ops.conv2d(x, this.param([1, 1, c, this.int(1, 9)])));
      case 11:
        return ops.tanh(ops.conv2d(x, this.param([3, 3, c, this.int(1, 5)]), { stride: this.int(1, 2) }));
      case 12:
      case 13:
        return this.separable(x, c);
      case 14:
        return ops.mul(x, ops.stopGradient(x));
      default:
        return this.pick([ops.maxPool, ops.avgPool])(x, { kernel: 2, stride: this.int(1, 2), padding: 'same' });
    }
  }

  /** A concatenation of x with tensors of the pool that fit it. */
  joined(x: Tensor, pool: Tensor[], axis: number): Tensor {
    const fits = pool.filter((other) => other.shape.every((extent, i) => i === axis || extent === x.shape[i]));
    const parts = [x, this.pick(fits), ...(this.int(0, 2) === 0 ? [ops.tanh(x)] : [])];
    const joined = ops.concat(parts, { axis });
    return joined.shape[axis]! > 24 ? x : joined;
  }

  /** batchNorm, depthwise and pointwise convolution: what the planner folds. */
  separable(x: Tensor, c: number): Tensor {
    const gamma = this.param([c]);
    const beta = this.param([c]);
    const activation = this.pick(['none', 'relu', 'elu', 'tanh'] as const);
    const normal = ops.batchNorm(x, { ...ops.moments(x), gamma, beta, activation, eps: 0.1 });
    const mixed = ops.depthwiseConv2d(normal, this.param([3, 3, 1, c]), { stride: this.int(1, 2) });
    return ops.tanh(ops.conv2d(mixed, this.param([1, 1, c, this.int(1, 8)])));
  }

  /** The unit's body: some random ops, the last of which is a product, so that there is something to train. */
  body(input: Tensor, size: number, kept: Tensor[]): Tensor {
    const pool = [input];
    for (let i = 0; i < size; i++) {
      const made = this.grow(pool);
      pool.push(made);
      if (this.int(0, 4) === 0) kept.push(made);
    }
    const last = pool.at(-1)!;
    return ops.tanh(ops.conv2d(last, this.param([1, 1, last.shape[3]!, this.int(2, 6)])));
  }

  /** Loss, gradients and updates of the graph's last unit. */
  train(lr: Tensor, kept: Tensor[]): void {
    const unit = this.graph.units.at(-1)!;
    this.graph.inUnit(unit, () => {
      const loss = ops.reduceMean(ops.square(unit.output!));
      kept.push(loss);
      const gradients = grad(loss, unit.params, { within: unit });
      unit.params.forEach((param, index) => {
        const velocity = this.graph.state(`${param.name}/v`, [...param.shape]);
        ops.sgd(param, gradients[index]!, { velocity, lr }, { momentum: 0.5, nesterov: this.int(0, 1) === 1 });
      });
    });
  }
}

function sameShape(a: Tensor, b: Tensor): boolean {
  return a.shape.length === b.shape.length && a.shape.every((extent, axis) => extent === b.shape[axis]);
}

/** The graph of a seed. Updates stand right after each unit or all at the end, by the seed. */
export function randomGraph(seed: number): RandomGraph {
  const builder = new Builder(seed);
  const { graph } = builder;
  const shape = [builder.int(1, 3), builder.int(2, 7), builder.int(2, 6), builder.int(1, 7)];
  const input = graph.input('x', shape);
  const lr = graph.state('lr', [1], 'f32', 0.125);
  const kept: Tensor[] = [];
  const late = builder.int(0, 1) === 1;
  let flow = input;
  const trainings: (() => void)[] = [];
  for (let index = 0; index < 3; index++) {
    const from = ops.stopGradient(flow);
    flow = graph.unit(`unit${index}`, () => builder.body(from, builder.int(3, 8), kept));
    const unit = graph.units.at(-1)!;
    const train = () => {
      if (graph.units.at(-1) !== unit) throw new Error('units are trained in turn');
      builder.train(lr, kept);
    };
    if (late && index === 2) trainings.push(train);
    else train();
  }
  kept.push(flow);
  for (const train of trainings) train();
  const outputs = Object.fromEntries(kept.map((tensor, index) => [`out${index}`, tensor]));
  return { graph, outputs, feeds: { x: builder.values(sizeOf(shape)) } };
}
