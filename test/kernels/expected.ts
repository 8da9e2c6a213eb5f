// The oracle's answers for a row of the table, worked out once and compared with every ISA and thread count.
// Used by table.test.ts and kernels.test.ts.
import type { DType, Graph, Shape } from '../../src/graph/graph';
import { ReferenceSession } from '../reference/interpreter';
import type { Row } from './case';
import { type Placed, placeRow } from './case';
import type { Mode } from './fills';

export interface Answer {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: Float64Array;
}

export interface ExpectedCase extends Placed {
  /** By output name, and by state name for the tensors the op writes. */
  readonly answers: Record<string, Answer>;
}

export interface ExpectedRow {
  readonly graph: Graph;
  readonly cases: readonly ExpectedCase[];
  readonly feeds: Placed['feeds'];
}

export function expectRow(row: Row, mode: Mode): ExpectedRow {
  const { graph, placed } = placeRow(row, mode);
  const feeds: Placed['feeds'] = Object.assign({}, ...placed.map((item) => item.feeds));
  const session = new ReferenceSession(graph);
  const values = session.step(feeds);
  const cases = placed.map((item): ExpectedCase => {
    const answers: Record<string, Answer> = {};
    for (const [name, tensor] of Object.entries(item.outputs)) {
      answers[name] = { shape: tensor.shape, dtype: tensor.dtype, data: values.get(tensor.id)!.data };
    }
    for (const name of Object.keys(item.states)) {
      const info = graph.tensors.find((tensor) => tensor.name === name)!;
      answers[name] = { shape: info.shape, dtype: info.dtype, data: session.read(name) };
    }
    return { ...item, answers };
  });
  return { graph, cases, feeds };
}

/** Whether this case, in this mode, must be met bit for bit. */
export function isExact(item: Placed, mode: Mode): boolean {
  return mode === 'integer' && (item.case.exact ?? item.row.exact);
}
