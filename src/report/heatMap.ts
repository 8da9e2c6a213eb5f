// A matrix of coloured cells with names on its sides and a colour bar: confusion matrices and strips over time. Called by
// figures.ts. The rule easy to break: a cell without a finite value stays empty; it is not drawn as the lowest one.
import { inkOn, valueColor } from './color';
import { clip, escapeText, formatNumber, type Range, rangeOf, round, svg, text, textWidth } from './svg';

export interface HeatMap {
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: readonly (readonly number[])[];
  /** What is written in a cell; nothing when absent. */
  readonly cellText?: (row: number, column: number) => readonly string[];
  /** What stands right of a row. */
  readonly rowNote?: (row: number) => string;
  readonly range?: Range;
  /** Colours follow the logarithm; values are then positive. */
  readonly log?: boolean;
  readonly rowTitle?: string;
  readonly columnTitle?: string;
  readonly width?: number;
  readonly cellHeight?: number;
  readonly format?: (value: number) => string;
}

/** Where things are, in pixels, and how a value becomes a share of the colour ramp. */
interface Layout {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly width: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** NaN for what cannot be drawn. */
  readonly share: (value: number | undefined) => number;
  readonly ends: Range;
}

const LONGEST_NAME = 24;

function layoutOf(chart: HeatMap): Layout {
  const width = chart.width ?? 560;
  const longest = Math.max(4, ...chart.rows.map((row) => Math.min(LONGEST_NAME, row.length)));
  const left = 14 + textWidth('m'.repeat(longest), 11) + (chart.rowTitle ? 18 : 0);
  const right = chart.rowNote ? 62 : 16;
  const ends = chart.range ?? rangeOf(chart.values.flat().filter((value) => !chart.log || value > 0));
  const scale = chart.log ? Math.log : (value: number) => value;
  const [low, high] = [scale(ends[0]), scale(ends[1])];
  const share = (value: number | undefined): number => {
    const scaled = typeof value === 'number' ? scale(value) : Number.NaN;
    return Number.isFinite(scaled) ? (scaled - low) / (high - low || 1) : Number.NaN;
  };
  const cellWidth = (width - left - right) / Math.max(1, chart.columns.length);
  return {
    left,
    top: chart.columnTitle ? 74 : 62,
    right,
    width,
    cellWidth,
    cellHeight: chart.cellHeight ?? 16,
    share,
    ends,
  };
}

function cell(chart: HeatMap, layout: Layout, row: number, column: number): string {
  const { cellWidth, cellHeight } = layout;
  const value = chart.values[row]?.[column];
  const share = layout.share(value);
  if (value === undefined || Number.isNaN(share)) return '';
  const x = layout.left + column * cellWidth;
  const y = layout.top + row * cellHeight;
  const said = `${chart.rows[row]}, ${chart.columns[column]}: ${(chart.format ?? formatNumber)(value)}`;
  const size = `width="${round(cellWidth + 0.3)}" height="${round(cellHeight - 1)}"`;
  const box = `<rect x="${round(x)}" y="${round(y)}" ${size} fill="${valueColor(share)}"><title>${escapeText(said)}</title></rect>`;
  const written = (chart.cellText?.(row, column) ?? []).map((line, place, all) => {
    const lineY = y + cellHeight / 2 + 4 + (place - (all.length - 1) / 2) * 13;
    return text(x + cellWidth / 2, lineY, line, { anchor: 'middle', kind: inkOn(share) });
  });
  return box + written.join('');
}

/** Names of rows and columns, notes and titles. Column names that would collide are left out. */
function names(chart: HeatMap, layout: Layout): string {
  const { left, top, right, width, cellWidth, cellHeight } = layout;
  const parts: string[] = [];
  for (const [row, name] of chart.rows.entries()) {
    const y = top + (row + 0.5) * cellHeight + 4;
    parts.push(text(left - 6, y, clip(name, LONGEST_NAME), { anchor: 'end', kind: 'small' }));
    if (chart.rowNote) parts.push(text(width - right + 6, y, chart.rowNote(row), { kind: 'small' }));
  }
  const skip = Math.ceil(textWidth('0000', 11) / cellWidth);
  const room = Math.max(4, Math.floor((cellWidth * skip) / 6));
  for (let column = 0; column < chart.columns.length; column += skip) {
    const shown = clip(chart.columns[column] as string, room);
    parts.push(text(left + (column + 0.5) * cellWidth, top - 6, shown, { anchor: 'middle', kind: 'tick' }));
  }
  const title = { anchor: 'middle', kind: 'small' } as const;
  if (chart.columnTitle) parts.push(text((left + width - right) / 2, top - 24, chart.columnTitle, title));
  if (chart.rowTitle) {
    parts.push(text(16, top + (chart.rows.length * cellHeight) / 2, chart.rowTitle, { ...title, rotate: -90 }));
  }
  return parts.join('');
}

function colorBar(width: number, ends: Range, format: (value: number) => string): string {
  const steps = Array.from({ length: 30 }, (_, index) => {
    return `<rect x="${width - 180 + index * 4}" y="28" width="4.5" height="8" fill="${valueColor(index / 29)}"/>`;
  });
  const low = text(width - 185, 36, format(ends[0]), { anchor: 'end', kind: 'tiny' });
  return `${steps.join('')}${low}${text(width - 55, 36, format(ends[1]), { kind: 'tiny' })}`;
}

export function heatMap(chart: HeatMap): string {
  const layout = layoutOf(chart);
  const cells = chart.rows.flatMap((_, row) => chart.columns.map((__, column) => cell(chart, layout, row, column)));
  const bar = colorBar(layout.width, layout.ends, chart.format ?? formatNumber);
  const height = layout.top + chart.rows.length * layout.cellHeight + 14;
  const title = text(12, 20, chart.title, { kind: 'title' });
  return svg(layout.width, height, chart.title, title + cells.join('') + names(chart, layout) + bar);
}
