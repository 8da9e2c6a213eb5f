// Single ONNX operators where ONNX's own tests do not look: ranks of scalars, integers that do not fit their type, and files that
// break an operator's rules, each of which is an InterchangeError that names the node. Expected values are by hand.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { InterchangeError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import { parseOnnx } from '../../src/interchange/onnx/model';
import {
  type AttributeIn,
  initializerRecord,
  modelRecord,
  nodeRecord,
  valueRecord,
} from '../../src/interchange/onnx/write';

type Node = readonly [op: string, inputs: readonly string[], output: string, attributes?: Record<string, AttributeIn>];
type Known = readonly [shape: readonly number[], values: readonly number[] | readonly bigint[]];

interface Model {
  readonly nodes: readonly Node[];
  /** Initializers: numbers are float32, bigints int64. */
  readonly known?: Readonly<Record<string, Known>>;
  /** Inputs of float32 that the engine computes with. */
  readonly given?: Readonly<Record<string, Known>>;
}

/** Output "y": its shape, and its values wherever they come from. */
async function answer({
  nodes,
  known = {},
  given = {},
}: Model): Promise<{ shape: readonly number[]; values: number[] }> {
  const initializers = Object.entries(known).map(([name, [shape, values]]) => {
    const whole = typeof values[0] === 'bigint';
    const data = whole ? BigInt64Array.from(values as bigint[]) : Float32Array.from(values as number[]);
    return initializerRecord(name, shape, data);
  });
  const inputs = Object.entries(given).map(([name, [shape]]) => valueRecord(11, name, shape));
  const records = nodes.map(([op, from, to, attributes = {}]) => nodeRecord(op, from, [to], attributes));
  const about = { producer: 'test', version: '1', opset: 18, metadata: {} };
  const file = parseOnnx(modelRecord([...records, ...initializers, ...inputs, valueRecord(12, 'y', [])], about));
  const graph = new Graph({ training: false });
  const tensors = Object.entries(given).map(([name, [shape]]) => [name, { tensor: graph.input(name, shape) }] as const);
  const [y] = file.apply(graph, Object.fromEntries(tensors));
  if (y!.data) return { shape: y!.shape, values: [...y!.data] };
  using plan = compile(graph, { outputs: { y: y!.tensor! } });
  const feeds = Object.entries(given).map(
    ([name, [, values]]) => [name, Float32Array.from(values as number[])] as const,
  );
  return { shape: y!.shape, values: [...(await plan.step(Object.fromEntries(feeds))).y!] };
}

async function refusal(model: Model): Promise<string> {
  const error: unknown = await answer(model).then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(InterchangeError);
  return (error as Error).message;
}

describe('operators without the inputs they need', () => {
  const given: Model['given'] = { x: [[2], [1, 2]] };
  it.each([
    ['Where', ['x']],
    ['Where', ['x', 'x']],
    ['Where', ['x', '', 'x']],
    ['Mean', []],
    ['Mean', ['x', '']],
    ['Sum', []],
  ])('%s of %j is refused', async (op, inputs) => {
    expect(await refusal({ nodes: [[op, inputs, 'y']], given })).toMatch(/its input \d is missing/);
  });
});

describe('ScatterElements', () => {
  const given: Model['given'] = {
    x: [
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ],
    u: [
      [2, 2],
      [10, 20, 30, 40],
    ],
  };
  const nodes: Model['nodes'] = [['ScatterElements', ['x', 'i', 'u'], 'y', { axis: { int: 1 } }]];

  it('replaces by row', async () => {
    const { shape, values } = await answer({
      nodes,
      given,
      known: {
        i: [
          [2, 2],
          [0n, 2n, 1n, 0n],
        ],
      },
    });
    expect([shape, values]).toEqual([
      [2, 3],
      [10, 2, 20, 40, 30, 6],
    ]);
  });

  it.each([
    ['of another rank than the data', [4], 'another rank'],
    ['longer than the data', [4, 1], 'longer than its data on axis 0'],
    ['of another shape than the updates', [1, 4], 'its indices are [1, 4], its updates [2, 2]'],
  ])('refuses indices %s', async (_, shape, reason) => {
    expect(await refusal({ nodes, given, known: { i: [shape, [0n, 1n, 1n, 0n]] } })).toContain(reason);
  });
});

describe('known integers', () => {
  const known = { a: [[2], [100, 7]], b: [[1], [100]], half: [[1], [1.5]], many: [[2], [2n ** 40n, 3n]] } as const;
  const as = (from: string, to: number): Node => ['Cast', [from], `${from}${to}`, { to: { int: to } }];
  const [UINT8, INT8, INT32, INT64, UINT64] = [2, 3, 6, 7, 13];

  it('of a narrow type are worked out where they fit it', async () => {
    const nodes: Model['nodes'] = [as('a', UINT8), as('b', UINT8), ['Add', ['a2', 'b2'], 'y']];
    expect((await answer({ nodes, known })).values).toEqual([200, 107]);
  });

  it.each<[string, Node[], string]>([
    ['a product', [as('a', UINT8), as('b', UINT8), ['Mul', ['a2', 'b2'], 'y']], 'uint8'],
    ['a difference', [as('a', UINT8), as('b', UINT8), ['Sub', ['a2', 'b2'], 'y']], 'uint8'],
    ['a sum', [as('a', INT8), as('b', INT8), ['Sum', ['a3', 'b3'], 'y']], 'int8'],
    ['a negative', [as('b', UINT64), ['Neg', ['b13'], 'y']], 'uint64'],
    [
      'a reduction',
      [as('a', INT8), as('b', INT8), ['Concat', ['a3', 'b3'], 'c', { axis: { int: 0 } }], ['ReduceSum', ['c'], 'y']],
      'int8',
    ],
    [
      'a cast',
      [
        ['Mul', ['a', 'b'], 'c'],
        ['Cast', ['c'], 'y', { to: { int: UINT8 } }],
      ],
      'uint8',
    ],
    ['a cast of whole numbers', [['Cast', ['many'], 'y', { to: { int: INT32 } }]], 'int32'],
    ['a power', [as('a', INT32), ['Pow', ['a6', 'a6'], 'y']], 'int32'],
  ])('are refused where %s wraps around', async (_, nodes, type) => {
    expect(await refusal({ nodes, known })).toMatch(new RegExp(`is no ${type}`));
  });

  it('are refused where they are no longer whole', async () => {
    const mean: Node[] = [as('a', INT64), ['ReduceMean', ['a7'], 'y', { keepdims: { int: 0 } }]];
    expect(await refusal({ nodes: mean, known })).toMatch(/53\.5 is no int64/);
  });

  it('keep the largest number of 64 bits, as slices have it', async () => {
    const nodes: Model['nodes'] = [['Identity', ['end'], 'y']];
    expect((await answer({ nodes, known: { end: [[1], [2n ** 63n - 1n]] } })).values).toEqual([2 ** 63]);
  });
});

describe('a computed number and a list of one', () => {
  const sum: Node = ['ReduceSum', ['x'], 's', { keepdims: { int: 0 } }];
  const given: Model['given'] = { x: [[3], [1, 2, 3]] };
  const known = { list: [[1], [2]], number: [[], [2]] } as const;
  it.each<[string, string[], number]>([
    ['Add', ['s', 'list'], 8],
    ['Sub', ['list', 's'], -4],
    ['Mul', ['list', 's'], 12],
    ['Div', ['s', 'list'], 3],
    ['Pow', ['s', 'list'], 36],
    ['Max', ['s', 'list'], 6],
  ])('%s of %j is a list', async (op, inputs, value) => {
    expect(await answer({ nodes: [sum, [op, inputs, 'y']], known, given })).toEqual({ shape: [1], values: [value] });
    const plain = inputs.map((name) => (name === 'list' ? 'number' : name));
    expect((await answer({ nodes: [sum, [op, plain, 'y']], known, given })).shape).toEqual([]);
  });
});

describe('Einsum and Trilu', () => {
  const given: Model['given'] = {
    m: [
      [2, 2],
      [1, 2, 3, 4],
    ],
  };
  it.each(['ij->k', 'ij->ijj', 'ij->ii'])('%s of one operand is refused', async (equation) => {
    const nodes: Model['nodes'] = [['Einsum', ['m'], 'y', { equation: { text: equation } }]];
    expect(await refusal({ nodes, given })).toContain('(Einsum)');
  });
  it.each(['ij,ij->ik', 'ij,jk->ikk', 'ij,jk->z'])('%s of two operands is refused', async (equation) => {
    const nodes: Model['nodes'] = [['Einsum', ['m', 'm'], 'y', { equation: { text: equation } }]];
    expect(await refusal({ nodes, given })).toContain('its result');
  });
  it('a triangle wants one number', async () => {
    const nodes: Model['nodes'] = [['Trilu', ['m', 'k'], 'y']];
    expect((await answer({ nodes, given, known: { k: [[], [1n]] } })).values).toEqual([0, 2, 0, 0]);
    expect(await refusal({ nodes, given, known: { k: [[2], [1n, 0n]] } })).toContain('k holds 2 numbers, expected one');
  });
});
