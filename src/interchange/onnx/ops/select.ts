// Choosing rows by size and reading them: TopK over sums of squares, and GatherND at the places it found. Called through
// ops/index.ts. The rule easy to break: the engine gives places in ascending order while ONNX's first TopK gives them in the
// order of their values, so they are read only behind a second TopK that sorts them.
import type { Tensor } from '../../../graph/graph';
import * as ops from '../../../graph/ops';
import type { OnnxNode, OperatorTable } from '../node';
import { type AnyValue, computed, type Places, type Value } from '../values';
import { indexing } from './indexing';
import { movement } from './movement';

/** The rows [N,P,D] whose sums of squares a tensor [N,P] is; undefined where it is something else. */
function squaredRows(x: Tensor): Tensor | undefined {
  const { graph } = x;
  const made = graph.producer(x);
  // The axis that was summed over is dropped by a reshape.
  const sum = made?.op === 'reshape' ? graph.producer(graph.tensor(made.inputs[0]!)) : made;
  if (sum?.op !== 'reduceSum' || (sum.attrs.axes as readonly number[]).join() !== '2') return undefined;
  const square = graph.producer(graph.tensor(sum.inputs[0]!));
  const rows = square?.op === 'square' ? graph.tensor(square.inputs[0]!) : undefined;
  return rows?.shape.length === 3 ? rows : undefined;
}

function topK(node: OnnxNode): readonly (AnyValue | undefined)[] {
  if (node.wants(0) === node.wants(1)) node.fail('its values and their places are both read, or neither');
  const given = node.places(0);
  const k = node.integers(1, 'k')[0];
  const axis = node.axis(node.int('axis', -1), 2);
  if (given) {
    const all = axis === 1 && k === given.shape[1] && node.int('largest', 1) === 0 && node.int('sorted', 1) === 1;
    return all ? [{ ...given, sorted: true }] : node.fail('places are only sorted in ascending order, all of them');
  }
  const rows = squaredRows(node.plain(node.value(0)));
  if (!rows || axis !== 1 || node.int('largest', 1) === 0 || !node.wants(1)) {
    node.fail('it is not the places of the largest rows of [N,P,D] by their sum of squares');
  }
  const tensor = ops.topK(rows, { k: k ?? 1 });
  return [undefined, { kind: 'places', type: 'int64', shape: [...tensor.shape], tensor, sorted: false }];
}

/** An axis put behind the places, as GatherND wants it. */
function unsqueezedPlaces(node: OnnxNode, places: Places): Places {
  const axes = node.list('axes', 1);
  if (axes?.length !== 1 || (axes[0] !== 2 && axes[0] !== -1)) node.fail('places get one more axis, the last');
  return { ...places, shape: [...places.shape, 1] };
}

function gatherRows(node: OnnxNode, { tensor, shape, sorted }: Places): Value {
  const x = node.computed(0);
  if (!sorted) node.fail('it reads places in the order of their values');
  if (node.int('batch_dims', 0) !== 1 || x.shape.length !== 3 || shape.length !== 3) {
    node.fail(`it reads [${shape.join(', ')}] places of [${x.shape.join(', ')}], expected [N,k,1] of [N,P,D]`);
  }
  const made = ops.gather(node.plain(x), tensor);
  return computed(made, x.type, [...made.shape]);
}

export const selection: OperatorTable = {
  TopK: topK,
  Unsqueeze: (node) => {
    const places = node.places(0);
    return places ? unsqueezedPlaces(node, places) : movement.Unsqueeze!(node);
  },
  GatherND: (node) => {
    const places = node.places(1);
    return places ? gatherRows(node, places) : indexing.GatherND!(node);
  },
};
