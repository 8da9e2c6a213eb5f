// The models by name, as the CLI and checkpoints know them. Add a model here and nowhere else.
import { ArgumentError } from '../errors';
import type { Tensor } from '../graph/graph';
import { nearest } from '../text';
import { cfpn } from './cfpn';
import { denseFpn } from './denseFpn';

export { CFPN_CLASSIFIERS, type CfpnClassifier, type CfpnOptions, cfpn } from './cfpn';
export { type DenseFpnOptions, denseFpn } from './denseFpn';

/** A model: image batch [N,H,W,C] -> logits [N,classes], with its units marked. The last unit is the classifier. */
export type ModelFunction = (x: Tensor, options: { classes: number }) => Tensor;

const blocks =
  (count: number): ModelFunction =>
  (x, options) =>
    denseFpn(x, { ...options, blocks: count });

export const models: Readonly<Record<string, ModelFunction>> = {
  cfpn,
  // As paper 001 prints it: the classifier sees the global pool alone.
  cfpnPooled: (x, options) => cfpn(x, { ...options, classifier: 'pooled' }),
  denseFpn,
  denseFpn1: blocks(1),
  denseFpn2: blocks(2),
  denseFpn3: blocks(3),
  denseFpn4: blocks(4),
};

/** The model of that name; an unknown one is answered with the nearest. */
export function modelNamed(name: string): ModelFunction {
  const model = Object.hasOwn(models, name) ? models[name] : undefined;
  if (!model) throw new ArgumentError(`[model] there is no model "${name}"${nearest(name, Object.keys(models))}`);
  return model;
}
