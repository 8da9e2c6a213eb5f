// Labels and indices that a plan reads memory by: checked before the first launch of a step, wherever they come from. The rule
// easy to break: a step that is refused has changed nothing.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { ExecutionError } from '../../src/errors';
import { Graph, type Tensor } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const range = (count: number) => Float32Array.from({ length: count }, (_, i) => i);

describe('labels and indices', () => {
  it('out of range leave every param and state as it was', async () => {
    const graph = new Graph();
    const logits = graph.input('logits', [2, 3]);
    const labels = graph.input('labels', [2], 'i32');
    const step = graph.state('step', [1], 'i32', 0);
    graph.appendUpdate('increment', [step], [step]);
    const [loss] = graph.append('crossEntropy', [logits, labels], [{ shape: [1] }, { shape: [2, 3] }], {
      labelSmoothing: 0,
    });
    using plan = compile(graph, { outputs: { loss: loss as Tensor } });
    await plan.step({ logits: range(6), labels: Int32Array.of(0, 2) });
    for (const labels of [Int32Array.of(-1, 0), Int32Array.of(0, 2 ** 31 - 1)])
      await expect(plan.step({ logits: range(6), labels })).rejects.toThrow(ExecutionError);
    expect(await plan.read('step')).toEqual(Int32Array.of(1));
  });

  it('that are written later are checked at the next step', async () => {
    const graph = new Graph();
    const logits = graph.input('logits', [2, 3]);
    const labels = graph.state('labels', [2], 'i32', 1);
    const [loss] = graph.append('crossEntropy', [logits, labels], [{ shape: [1] }, { shape: [2, 3] }], {
      labelSmoothing: 0,
    });
    using plan = compile(graph, { outputs: { loss: loss as Tensor } });
    await plan.step({ logits: range(6) });
    await plan.write('labels', Int32Array.of(0, 7));
    await expect(plan.step({ logits: range(6) })).rejects.toThrow('"labels"[1] is 7, expected 0 to 2');
  });

  it('that another plan changes are checked at the next step', async () => {
    const made = (counts: boolean) => {
      const graph = new Graph();
      const logits = graph.input('logits', [1, 2]);
      const label = graph.state('label', [1], 'i32', 0);
      if (counts) graph.appendUpdate('increment', [label], [label]);
      return { graph, outputs: counts ? { label } : { loss: ops.crossEntropy(logits, label) } };
    };
    const [reader, writer] = [made(false), made(true)];
    using plan = compile(reader.graph, { outputs: reader.outputs });
    using other = compile(writer.graph, { outputs: writer.outputs, share: plan });
    const logits = Float32Array.of(1, 2);
    for (const label of [0, 1]) {
      await plan.step({ logits });
      expect((await other.step({ logits })).label).toEqual(Int32Array.of(label + 1));
    }
    await expect(plan.step({ logits })).rejects.toThrow('"label"[0] is 2, expected 0 to 1');
  });

  it('in a const are checked by compile', () => {
    const graph = new Graph();
    const logits = graph.input('logits', [2, 3]);
    const labels = graph.constant('labels', [2], Int32Array.of(1, 5));
    const [loss] = graph.append('crossEntropy', [logits, labels], [{ shape: [1] }, { shape: [2, 3] }], {
      labelSmoothing: 0,
    });
    expect(() => compile(graph, { outputs: { loss: loss as Tensor } })).toThrow(ExecutionError);
  });
});
