// The oracle's answers for a row of the table, worked out once and compared with every ISA and thread count.
// Used by table.test.ts and kernels.test.ts.
import type { DType, Graph, Shape } from '../../src/graph/graph';
import { ReferenceSession } from '../reference/interpreter';
import { AFTER, BEFORE, FILLER, type Placed, placeRow, type Row } from './case';
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

/** The answers of a row's plain cases, by output or state name, and the values fed. */
function plainAnswers(row: Row, mode: Mode): Map<string, Answer> {
  const { graph, placed } = placeRow(row, mode, [false]);
  const session = new ReferenceSession(graph);
  const values = session.step(Object.assign({}, ...placed.map((item) => item.feeds)));
  const answers = new Map<string, Answer>();
  graph.tensors.forEach(({ name, shape, dtype, kind }, id) => {
    if (kind === 'input') answers.set(name, { shape, dtype, data: values.get(id)!.data });
    if (kind === 'state') answers.set(name, { shape, dtype, data: session.read(name) });
  });
  for (const item of placed) {
    for (const [name, { id, shape, dtype }] of Object.entries(item.outputs)) {
      answers.set(name, { shape, dtype, data: values.get(id)!.data });
    }
  }
  return answers;
}

/** An answer as it lies between the fillers of a pitched case. */
function widened({ shape, dtype, data }: Answer): Answer {
  const cols = shape.at(-1)!;
  const pitch = BEFORE + cols + AFTER;
  const rows = data.length / cols;
  const wide = new Float64Array(rows * pitch).fill(FILLER);
  for (let row = 0; row < rows; row++) wide.set(data.subarray(row * cols, (row + 1) * cols), row * pitch + BEFORE);
  return { shape: [...shape.slice(0, -1), pitch], dtype, data: wide };
}

/** A row in one graph, plain and pitched, with the answers of both. */
export function expectRow(row: Row, mode: Mode, forms = [false, true]): ExpectedRow {
  const plain = plainAnswers(row, mode);
  const { graph, placed } = placeRow(row, mode, forms);
  const cases = placed.map((item): ExpectedCase => {
    const names = [...Object.keys(item.outputs), ...Object.keys(item.states)];
    const answers = names.map((name): [string, Answer] => {
      // c3p_out0 and c3p_wide1 are the pitched forms of c3_out0 and c3_in1.
      const answer = plain.get(name.replace(/^(c\d+)p_/, '$1_').replace('_wide', '_in'))!;
      const wide = name in item.outputs && item.outputs[name]!.shape.at(-1) !== answer.shape.at(-1);
      return [name, wide ? widened(answer) : answer];
    });
    return { ...item, answers: Object.fromEntries(answers) };
  });
  return { graph, cases, feeds: Object.assign({}, ...placed.map((item) => item.feeds)) };
}

/** Whether this case, in this mode, must be met bit for bit. */
export function isExact(item: Placed, mode: Mode): boolean {
  return mode === 'integer' && (item.case.exact ?? item.row.exact);
}
