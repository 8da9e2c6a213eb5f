// What the planner joins on device cuda: batchNorms folded into depthwise convolutions, a unit's backward. The graphs are those of the CPU's tests; the values the float64 oracle's of the graph as appended. For
// three architectures; a second step must give the same bits, and no check may find fault.
import { afterEach, describe, expect, it } from 'vitest';
import { analyze, compile } from '../../src/compile';
import type { Graph } from '../../src/graph/graph';
import { type Arrays, oracle, randomFeeds, type Tensors } from '../kernels/against';
import { CONFIGS as BACKWARD, build as buildBackward } from '../kernels/joined/backward';
import { build as buildFolded } from '../kernels/joined/folded';
import { firstDifference, firstMismatch } from '../kernels/tolerance';
import { findings, forget, images, useImage } from './device';

const GRAPHS: [string, string, { graph: Graph; outputs: Tensors }][] = [
  ['folded batchNorms', 'conv2d', buildFolded()],
  ['the joined backward', 'depthwiseBackward', buildBackward(BACKWARD)],
];

if (images.length > 0) afterEach(forget);

describe.skipIf(images.length === 0)('device cuda', () => {
  describe.each(GRAPHS)('%s', (_, op, { graph, outputs }) => {
    const feeds = randomFeeds(graph, 31);
    let want: Record<string, Float64Array> | undefined;

    it('is what the planner chooses', () => {
      const ops = analyze(graph, { outputs, device: 'cuda' }).launches.map((launch) => launch.op);
      expect(ops).toContain(op);
      expect(ops).not.toContain('batchNorm');
    });

    it.each(images)('%s', async (image) => {
      useImage(image);
      want ??= oracle(graph, outputs, feeds);
      using plan = compile(graph, { outputs, device: 'cuda' });
      const first = (await plan.step(feeds)) as Arrays;
      const again = (await plan.step(feeds)) as Arrays;
      for (const [name, { shape }] of Object.entries(outputs)) {
        expect(firstMismatch(first[name]!, want[name]!, { shape, relative: 1e-5 }), name).toBeUndefined();
        expect(firstDifference(first[name]!, again[name]!, shape), name).toBeUndefined();
      }
      expect(findings()).toEqual([]);
    });
  });
});
