// The two networks paper 003 trains from nothing on SFEW: a perceptron 10-200-7 on five LPQ and five PHOG components, and a
// CNN on 160x160x3 images. Its transfer networks are in resnet.ts. Where the paper is silent: the CNN drops a quarter of
// the features behind each pooling and half between its two fully connected layers, of which the first has 512 neurons (of 128
// most die in the first steps at the paper's rate, docs/models.md); a convolution before a BN has no bias; weights before a
// rectifier start as He et al. 2015.
import { ArgumentError } from '../errors';
import { formatShape, type Tensor } from '../graph/graph';
import * as ops from '../graph/ops';
import { normalize } from '../layers/normalize';
import { convolution, dropout } from '../layers/plain';
import { dense } from '../layers/separable';
import { checkClasses, checkCount, checkImages, type ModelOptions } from './options';

export interface MlpOptions extends ModelOptions {
  /** Hidden neurons, 200. */
  readonly hidden?: number;
}

/** x [N,D] features or [N,H,W,C] images, which are flattened -> logits [N,classes]. Units: the hidden layer, the classifier. */
export function mlp(x: Tensor, options: MlpOptions): Tensor {
  const { classes, hidden = 200 } = options;
  if (x.shape.length !== 2 && x.shape.length !== 4) {
    throw new ArgumentError(`[mlp] expected features [N,D] or images [N,H,W,C], got ${formatShape(x.shape)}`);
  }
  checkClasses('mlp', classes);
  checkCount('mlp', 'hidden', hidden);
  const { graph } = x;
  const features = ops.flatten(x);
  const deviation = Math.sqrt(2 / features.shape[1]!);
  const active = graph.unit('hidden', () => ops.relu(dense('/hidden', features, hidden, { deviation })));
  return graph.unit('head', () => dense('fc', active, classes));
}

export interface SfewCnnOptions extends ModelOptions {
  /** Neurons of the first fully connected layer, 512. */
  readonly hidden?: number;
  /** Share of features dropped behind each pooling, 0.25. */
  readonly dropPooled?: number;
  /** Share of features dropped between the fully connected layers, 0.5. */
  readonly dropHidden?: number;
}

const LEAST = 8;

/** ReLU(BN(conv3x3(x))) */
function convBn(x: Tensor, filters: number): Tensor {
  return normalize('bn', convolution('conv', x, filters), { activation: 'relu' });
}

/** x [N,H,W,C] of at least 8x8 -> logits [N,classes]. Units: every convolution, both fully connected layers. */
export function sfewCnn(x: Tensor, options: SfewCnnOptions): Tensor {
  const { classes, step, hidden = 512, dropPooled = 0.25, dropHidden = 0.5 } = options;
  checkImages('sfewCnn', x, options, LEAST);
  checkCount('sfewCnn', 'hidden', hidden);
  const { graph } = x;
  // What a unit hands on is dropped by its reader, so that the unit's own objective sees all of it.
  let map = x;
  [32, 64, 128].forEach((filters, index) => {
    const input = map;
    const wide = graph.unit(`block${index + 1}/conv1`, () =>
      convBn(index === 0 ? input : dropout(input, dropPooled, step), filters),
    );
    map = graph.unit(`block${index + 1}/conv2`, () => ops.maxPool(convBn(wide, filters), { kernel: 2 }));
  });
  const last = ops.flatten(map);
  const deviation = Math.sqrt(2 / last.shape[1]!);
  const features = graph.unit('fc1', () =>
    ops.relu(dense('/fc1', dropout(last, dropPooled, step), hidden, { deviation })),
  );
  return graph.unit('head', () => dense('fc2', dropout(features, dropHidden, step), classes));
}
