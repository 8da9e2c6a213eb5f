// The depthwise kernels that only the planner makes, against the oracle's unfolded graph, on each ISA and with one to
// three threads: batchNorm folded into the convolution and its filter gradient, and a unit's local backward joined in
// one launch. The rule they most easily break: padding stays zero, it is not what the batchNorm would make of a zero.
import { describe, expect, it } from 'vitest';
import { analyze } from '../../src/compile';
import { expectOracle, oracle } from './against';
import { availableIsas } from './isas';
import { build } from './joined/folded';

const { graph, outputs, feeds } = build();
const want = oracle(graph, outputs, feeds);

describe('folded and joined depthwise kernels', () => {
  it('are what the planner chooses here', () => {
    const ops = analyze(graph, { outputs, device: 'cpu' }).launches.map(({ op }) => op);
    expect(ops).not.toContain('batchNorm');
    expect(ops.filter((op) => op === 'depthwiseBackward').length).toBeGreaterThan(10);
    expect(ops.filter((op) => op === 'conv2dGradFilter').length).toBeGreaterThan(2);
  });

  it.each(availableIsas())('on %s', async (isa) => {
    await expectOracle(graph, outputs, feeds, want, isa);
  });
});
