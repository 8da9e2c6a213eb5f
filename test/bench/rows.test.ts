// The rows of the benchmarks: what --rows selects, what a graph is counted to cost, and the small net's size.
import { describe, expect, it } from 'vitest';
import { type MeasureOptions, measure, rowsFor } from '../../src/cli/bench';
import { contend, traceOurs } from '../../src/cli/bench/ours';
import { inferRow, ROWS, selectRows } from '../../src/cli/bench/rows';
import { SMALL_NET_PARAMETERS, smallNet } from '../../src/cli/bench/smallNet';
import { workOf } from '../../src/cli/bench/work';
import { compile } from '../../src/compile';
import { DisposedError } from '../../src/errors';
import { grad } from '../../src/graph/gradients';
import { Graph, sizeOf } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const asked = (changes: Partial<MeasureOptions>): MeasureOptions => ({
  target: 'kernels',
  seconds: 0.01,
  device: 'cpu',
  threads: 1,
  ...changes,
});

describe('rows', () => {
  it('have ids of their own', () => {
    expect(new Set(ROWS.map(({ id }) => id)).size).toBe(ROWS.length);
  });

  it('are selected by id or by its beginning', () => {
    const ids = (...words: string[]): string[] => selectRows(ROWS, words).map(({ id }) => id);
    expect(ids('hsic', 'cfpn-bp')).toEqual(['cfpn-bp-64', 'cfpn-bp-128', 'hsic']);
    expect(ids('growth-threads')).toEqual(['growth-threads-1', 'growth-threads-2']);
  });

  it('that do not exist are answered with the nearest', () => {
    expect(() => selectRows(ROWS, ['hsci'])).toThrow('[bench] --rows expects ids of rows, there is no "hsci"');
    expect(() => selectRows(ROWS, ['hsci'])).toThrow('did you mean "hsic"?');
    expect(() => selectRows(ROWS, ['smal-bp-128'])).toThrow('did you mean "small-bp-128"?');
  });

  it('follow the target, or one network', () => {
    expect(rowsFor(asked({ target: 'step' })).map(({ group }) => group)).not.toContain('growth');
    expect(rowsFor(asked({ target: 'peers' })).every(({ peers }) => peers)).toBe(true);
    const net = { model: 'denseFpn1', input: [16, 16, 1] as const, batch: 4, classes: 3 };
    expect(rowsFor(asked({ target: 'infer', net })).map(({ batch }) => batch)).toEqual([1, 4]);
    expect(rowsFor(asked({ target: 'step', net })).map(({ id }) => id)).toEqual(['step-cka', 'step-bp']);
  });

  it('are measured after the machine', async () => {
    const reports = [];
    const options = asked({ rows: ['matmul'] });
    const probe = async () => ({ gflops: 100, gbps: 10 });
    for await (const one of measure(options, { probe })) reports.push(one);
    expect(reports[0]).toMatchObject({ ceilings: { 'gramian float32': {}, 'gramian bf16': {} }, peers: {} });
    expect(reports[1]).toMatchObject({
      row: 'matmul',
      work: { gflop: (2 * 512 ** 3) / 1e9 },
      ours: { medianMs: expect.any(Number), gflops: expect.any(Number), roofline: expect.any(Number) },
      peers: {},
    });
    expect(reports[1]).not.toHaveProperty('ratio');
    expect(reports).toHaveLength(2);
  });
});

describe('rows of inference', () => {
  it('time and check a compiled model, whose probabilities are those of the graph that peers are given', async () => {
    const net = { name: 'small', model: smallNet, input: [16, 16, 1] as const, classes: 7, batch: 37 };
    const workload = inferRow('infer', net).build();
    const placement = { device: 'cpu', threads: 1 } as const;
    const { given, results } = await traceOurs(workload, placement);
    using plan = compile(workload.graph, { outputs: workload.outputs, ...placement });
    const images = given[0]![0]!;
    expect(results).toEqual([[(await plan.step({ images })).probabilities]]);
    const ours = contend(workload, placement);
    expect(ours.arenaBytes).toBeGreaterThan(0);
    expect(await ours.sample(2)).toBeGreaterThan(0);
    ours.dispose();
    await expect(ours.sample(1)).rejects.toThrow(DisposedError);
  });
});

describe('the small net', () => {
  it(`has ${SMALL_NET_PARAMETERS} parameters`, () => {
    const graph = new Graph();
    const logits = smallNet(graph.input('x', [2, 48, 48, 1]), { classes: 7 });
    expect(logits.shape).toEqual([2, 7]);
    const params = graph.tensors.filter(({ kind }) => kind === 'param');
    expect(params.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(SMALL_NET_PARAMETERS);
  });
});

describe('work', () => {
  it('counts products, convolutions and their gradients', () => {
    const graph = new Graph();
    const x = graph.param('x', [2, 8, 8, 4], 1);
    const w = graph.param('w', [3, 3, 4, 6], 1);
    const y = ops.conv2d(x, w);
    const forward = 2 * 2 * 8 * 8 * 6 * 9 * 4;
    expect(workOf(graph, [y])).toEqual({ flops: forward, bytes: 4 * (512 + 216 + 768) });
    const loss = ops.reduceMean(ops.square(y), { axes: [0, 1, 2, 3] });
    expect(workOf(graph, grad(loss, [x, w])).flops).toBe(3 * forward);
  });

  it('leaves out what nobody needs and counts symmetry', () => {
    const graph = new Graph();
    const z = graph.param('z', [4, 10], 1);
    ops.matmul(z, z, { transB: true });
    expect(workOf(graph, [ops.gram(z)]).flops).toBe(4 * 5 * 10);
  });
});
