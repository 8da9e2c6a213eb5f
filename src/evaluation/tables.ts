// Tables of results as Markdown for people and as CSV for programs. Called by recipes.
// The rule easy to break: Markdown rounds, CSV does not; a value that is not there is `-` in one and empty in the other.
import { ArgumentError } from '../errors';
import type { ExperimentSummary, Spread } from './summary';

export interface Column {
  readonly name: string;
  /** text; number with `digits` decimals; percent: a share shown times 100; spread: a mean and a deviation, as percents. */
  readonly kind: 'text' | 'number' | 'percent' | 'spread';
  /** Decimals in Markdown; 2. */
  readonly digits?: number | undefined;
}

export type Cell = string | number | Spread | null;

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

function isSpread(cell: Cell): cell is Spread {
  return typeof cell === 'object' && cell !== null;
}

function checkTable({ columns, rows }: Table): void {
  for (const [i, row] of rows.entries()) {
    if (row.length !== columns.length) {
      throw new ArgumentError(`[table] expected ${columns.length} cells, got ${row.length} in row ${i}`);
    }
    for (const [j, cell] of row.entries()) {
      const { kind, name } = columns[j]!;
      const came = isSpread(cell) ? 'spread' : typeof cell;
      const wanted = kind === 'text' ? 'string' : kind === 'spread' ? 'spread' : 'number';
      if (cell !== null && came !== wanted) {
        throw new ArgumentError(`[table] expected a ${wanted} in column ${name}, got a ${came} in row ${i}`);
      }
    }
  }
}

function shown(cell: Cell, { kind, digits = 2 }: Column): string {
  const fixed = (value: number) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
  if (cell === null) return '-';
  if (isSpread(cell)) {
    const mean = fixed(100 * cell.mean);
    return Number.isNaN(cell.deviation) ? mean : `${mean} ± ${fixed(100 * cell.deviation)}`;
  }
  // A bar would end the cell, a line break the table.
  if (typeof cell === 'string') return cell.replace(/\|/g, '\\|').replace(/\s*\r?\n\s*/g, ' ');
  return fixed(kind === 'percent' ? 100 * cell : cell);
}

/** A GitHub-flavoured Markdown table; text to the left, numbers to the right. Shares are shown in percent. */
export function markdownTable(table: Table): string {
  checkTable(table);
  const { columns, rows } = table;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return [
    line(columns.map((column) => shown(column.name, column))),
    line(columns.map(({ kind }) => (kind === 'text' ? '---' : '---:'))),
    ...rows.map((row) => line(row.map((cell, j) => shown(cell, columns[j]!)))),
  ].join('');
}

/**
 * CSV (RFC 4180, but lines end with a line feed): numbers with all their digits, shares as shares, a spread as the two
 * columns NAME and NAME deviation.
 */
export function csvTable(table: Table): string {
  checkTable(table);
  const { columns, rows } = table;
  const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const number = (value: number) => (Number.isFinite(value) ? String(value) : '');
  const cells = (cell: Cell, { kind }: Column): string[] => {
    if (isSpread(cell)) return [number(cell.mean), number(cell.deviation)];
    if (cell === null) return kind === 'spread' ? ['', ''] : [''];
    return [typeof cell === 'string' ? field(cell) : number(cell)];
  };
  const head = columns.flatMap(({ name, kind }) =>
    (kind === 'spread' ? [name, `${name} deviation`] : [name]).map(field),
  );
  return [head, ...rows.map((row) => row.flatMap((cell, j) => cells(cell, columns[j]!)))]
    .map((row) => `${row.join(',')}\n`)
    .join('');
}

/** One line a system: accuracy, balanced accuracy, macro F1 over its runs, and how many those were. */
export function scoreTable(systems: Readonly<Record<string, ExperimentSummary>>): Table {
  return {
    columns: [
      { name: 'system', kind: 'text' },
      { name: 'accuracy', kind: 'spread' },
      { name: 'balanced accuracy', kind: 'spread' },
      { name: 'macro F1', kind: 'spread' },
      { name: 'runs', kind: 'number', digits: 0 },
    ],
    rows: Object.entries(systems).map(([name, { scores, runs }]) => [
      name,
      scores.accuracy,
      scores.balancedAccuracy,
      scores.macroF1,
      runs,
    ]),
  };
}

/** One line a class: precision, recall, specificity, F1 over the runs, and the test samples. */
export function classTable({ classes }: ExperimentSummary): Table {
  return {
    columns: [
      { name: 'class', kind: 'text' },
      ...['precision', 'recall', 'specificity', 'F1'].map((name) => ({ name, kind: 'spread' }) as const),
      { name: 'samples', kind: 'number', digits: 0 },
    ],
    rows: classes.map(({ name, precision, recall, specificity, f1, support }) => [
      ...[name, precision, recall, specificity, f1],
      support,
    ]),
  };
}

/** Rows are the true classes, columns the predicted ones, in shares of the row; null for a class without samples. */
export function confusionTable({ classes, confusion }: Pick<ExperimentSummary, 'classes' | 'confusion'>): Table {
  return {
    columns: [
      { name: 'true \\ predicted', kind: 'text' },
      ...classes.map(({ name }) => ({ name, kind: 'percent' }) as const),
    ],
    rows: confusion.map((row, i) => {
      const total = row.reduce((sum, count) => sum + count, 0);
      return [classes[i]!.name, ...row.map((count) => (total === 0 ? null : count / total))];
    }),
  };
}
