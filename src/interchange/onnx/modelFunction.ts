// An ONNX classifier as a model function, so that it compiles, answers and trains by back-propagation like the models here.
// Called by users with what loadOnnx() gave. The rule easy to break: images come as [N,H,W,C] and the file has [N,C,H,W]; no
// value is moved for that, since the importer keeps track of the order.
import { InterchangeError } from '../../errors';
import type { Tensor } from '../../graph/graph';
import * as ops from '../../graph/ops';
import type { ModelFunction } from '../../models';
import type { KnownInput, OnnxModel } from './model';

export interface OnnxFunctionOptions {
  /** The output that holds the logits; the first by default. */
  readonly output?: string;
  /** Values of further inputs by name. */
  readonly constants?: Readonly<Record<string, KnownInput>>;
}

/**
 * A function of images [N,H,W,C] (or features [N,D]) to logits [N,classes]. All of the file's nodes are one unit, `onnx`, whose
 * params and states are named `onnx/` and the initializer; batch normalisation keeps the file's statistics, also in training.
 * Throws InterchangeError when the file has not one input that is left, or another number of classes.
 */
export function onnxFunction(model: OnnxModel, options: OnnxFunctionOptions = {}): ModelFunction {
  const { constants = {}, output = model.outputs[0]?.name } = options;
  const left = model.inputs.filter(({ name }) => !Object.hasOwn(constants, name));
  const [input] = left;
  if (!input || left.length > 1 || output === undefined) {
    const names = left.map(({ name }) => name).join(', ') || 'none';
    throw new InterchangeError(
      `[onnx] expected one input that is not given in \`constants\` and an output, got ${names}`,
    );
  }
  return (x, { classes }) =>
    x.graph.unit('onnx', () => {
      const images = x.shape.length === 4 && (input.shape?.length ?? 4) === 4;
      const given = { [input.name]: { tensor: x, layout: images ? 'channelsLast' : 'plain' } as const };
      const [result] = model.apply(x.graph, given, { constants, outputs: [output], anyBatch: true });
      return logitsOf(result?.tensor, result?.shape ?? [], classes);
    });
}

/** Scores [N,classes], also where axes of extent 1 stand behind them. */
function logitsOf(tensor: Tensor | undefined, shape: readonly number[], classes: number): Tensor {
  const [batch, found, ...rest] = shape;
  if (!tensor || found !== classes || rest.some((extent) => extent !== 1)) {
    throw new InterchangeError(`[onnx] expected scores [N, ${classes}], the file gives [${shape.join(', ')}]`);
  }
  return ops.reshape(tensor, [batch!, classes]);
}
