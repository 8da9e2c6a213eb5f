// The parts charts are made of: safe text, ticks, frames, axes, lines, legends. Data in, SVG text out; no DOM, no
// scripts. charts.ts is its caller. Three rules easy to break: every piece of text goes through escapeText; values that are
// not finite are left out, never written into a path; nothing has a style attribute, which the served page forbids.
import { category } from './color';

export type Point = readonly [x: number, y: number];
export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  /** Dots at the points as well as the line. */
  readonly dots?: boolean;
  /** Drawn thin and pale, behind the others. */
  readonly faint?: boolean;
  /** Index of its colour; by default its place in the list. */
  readonly color?: number;
}
export type Range = readonly [low: number, high: number];

/** Charts' colours and fonts, on light and on dark paper. A page shows it once; a file of its own carries it. */
export const CHART_STYLE = `
.chart{--ink:#1c2230;--muted:#5d6675;--grid:#dfe3ea;--paper:#ffffff;--c1:#2563c9;--c2:#c2410c;--c3:#0f8a5f;--c4:#9333b5;--c5:#a16207;--c6:#0e7490}
.chart text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
.chart .title{font-size:14px;font-weight:600}.chart .tick,.chart .small{font-size:11px;fill:var(--muted)}
.chart .tiny{font-size:10px;fill:var(--muted)}.chart .dark{fill:#111111}.chart .light{fill:#ffffff}.chart .grid{stroke:var(--grid);stroke-width:1}
.chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}.chart .faint{stroke-width:1.2;opacity:.45}
@media (prefers-color-scheme:dark){.chart{--ink:#e7eaf0;--muted:#9aa4b4;--grid:#333b48;--paper:#161a21;--c1:#6ea3ff;--c2:#ff8f5a;--c3:#3fcf9a;--c4:#d08bf0;--c5:#e3b341;--c6:#4cc9e0}}
`.trim();

/** Text made safe inside XML and HTML, in content and in quoted attributes; characters XML forbids become U+FFFD. */
export function escapeText(value: unknown): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return Array.from(String(value), (char) => {
    const code = char.codePointAt(0) ?? 0;
    const allowed =
      code === 9 || code === 10 || code === 13 || (code >= 32 && !(code >= 0xd800 && code <= 0xdfff) && code < 0xfffe);
    return allowed || code > 0xffff ? (names[char] ?? char) : '\ufffd';
  }).join('');
}

/** Round values (1, 2 or 5 times a power of ten apart) inside [low, high], about `count` of them. */
export function niceTicks(low: number, high: number, count = 5): number[] {
  if (!Number.isFinite(low) || !Number.isFinite(high) || high <= low) return Number.isFinite(low) ? [low] : [];
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const ticks: number[] = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
    ticks.push(Number((index * step).toPrecision(12)));
  }
  return ticks;
}

/** A number as a label: at most four digits, an exponent when it would be longer, no trailing zeros. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace('.0e', 'e').replace('e+', 'e');
  if (size >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(4)));
}

/** A coordinate with two decimals. */
export const round = (value: number): string => String(Math.round(value * 100) / 100);
/** Only the points that can be drawn. */
export const finite = (points: readonly Point[]): Point[] =>
  points.filter(([x, y]) => typeof x === 'number' && Number.isFinite(x) && typeof y === 'number' && Number.isFinite(y));

/** Smallest range that holds the values, widened by `margin` of itself; [0, 1] without values. */
export function rangeOf(values: readonly number[], margin = 0): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (typeof value !== 'number' || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const span = high - low || Math.abs(high) || 1;
  return high === low ? [low - span / 2, high + span / 2] : [low - span * margin, high + span * margin];
}

/** Wraps a chart's body; `label` is what screen readers say. */
export function svg(width: number, height: number, label: string, body: string): string {
  const size = `viewBox="0 0 ${round(width)} ${round(height)}" width="${round(width)}" height="${round(height)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="chart" ${size} role="img" aria-label="${escapeText(label)}">${body}</svg>`;
}

/** The chart as a file of its own: with the style and its paper. */
export function standalone(chart: string): string {
  const paper = '<rect width="100%" height="100%" fill="var(--paper)"/>';
  return `<?xml version="1.0" encoding="UTF-8"?>\n${chart.replace('>', `><style>${CHART_STYLE}</style>${paper}`)}\n`;
}

interface TextOptions {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly kind?: string;
  readonly rotate?: number;
}

export function text(x: number, y: number, content: unknown, options: TextOptions = {}): string {
  const turn = options.rotate ? ` transform="rotate(${options.rotate} ${round(x)} ${round(y)})"` : '';
  const kind = options.kind ? ` class="${options.kind}"` : '';
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${options.anchor ?? 'start'}"${kind}${turn}>${escapeText(content)}</text>`;
}

/** Width in pixels that `content` needs, on the safe side. */
export function textWidth(content: string, size = 12): number {
  return content.length * size * 0.58;
}

/** The rectangle that data is drawn into, and its two scales. */
export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly xs: Range;
  readonly ys: Range;
}

export const toX = (frame: Frame, x: number): number =>
  frame.left + ((x - frame.xs[0]) / (frame.xs[1] - frame.xs[0])) * frame.width;
export const toY = (frame: Frame, y: number): number =>
  frame.top + frame.height - ((y - frame.ys[0]) / (frame.ys[1] - frame.ys[0])) * frame.height;

interface AxisOptions {
  readonly xLabel?: string;
  readonly yLabel?: string;
  readonly xTicks?: readonly number[];
  readonly yTicks?: readonly number[];
  readonly yFormat?: (value: number) => string;
}

function gridLine(x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="grid" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`;
}

/** Grid, tick labels and axis titles of a frame. */
export function axes(frame: Frame, options: AxisOptions = {}): string {
  const { left, top, width, height, xs, ys } = frame;
  const bottom = top + height;
  const parts: string[] = [];
  for (const tick of options.yTicks ?? niceTicks(ys[0], ys[1], Math.max(2, height / 50))) {
    const y = toY(frame, tick);
    parts.push(gridLine(left, y, left + width, y));
    parts.push(text(left - 6, y + 4, (options.yFormat ?? formatNumber)(tick), { anchor: 'end', kind: 'tick' }));
  }
  for (const tick of options.xTicks ?? niceTicks(xs[0], xs[1], Math.max(2, width / 90))) {
    parts.push(text(toX(frame, tick), bottom + 16, formatNumber(tick), { anchor: 'middle', kind: 'tick' }));
  }
  parts.push(gridLine(left, bottom, left + width, bottom));
  if (options.xLabel)
    parts.push(text(left + width / 2, bottom + 34, options.xLabel, { anchor: 'middle', kind: 'small' }));
  if (options.yLabel) {
    const x = left - 46;
    parts.push(text(x, top + height / 2, options.yLabel, { anchor: 'middle', kind: 'small', rotate: -90 }));
  }
  return parts.join('');
}

/** The lines of a frame, faint ones first. A series of one point is a dot. */
export function lines(frame: Frame, series: readonly Series[]): string {
  const drawn = series.map((one, index) => {
    const points = finite(one.points);
    const color = category(one.color ?? index);
    const path = points.map(([x, y]) => `${round(toX(frame, x))} ${round(toY(frame, y))}`).join('L');
    const line =
      points.length > 1 ? `<path class="line${one.faint ? ' faint' : ''}" stroke="${color}" d="M${path}"/>` : '';
    const showDots = !one.faint && (points.length === 1 || (one.dots && points.length <= 60));
    const dots = showDots
      ? points.map(
          ([x, y]) =>
            `<circle cx="${round(toX(frame, x))}" cy="${round(toY(frame, y))}" r="2.6" fill="${color}"><title>${escapeText(`${one.name}: ${formatNumber(y)} at ${formatNumber(x)}`)}</title></circle>`,
        )
      : [];
    return { faint: one.faint === true, markup: line + dots.join('') };
  });
  return [...drawn.filter((one) => one.faint), ...drawn.filter((one) => !one.faint)].map((one) => one.markup).join('');
}

/** Swatches and names in rows; returns the markup and the height used. */
export function legend(left: number, top: number, width: number, names: readonly string[]): [string, number] {
  let x = left;
  let y = top;
  const parts = names.map((name, index) => {
    const needed = 26 + textWidth(name);
    if (x > left && x + needed > left + width) {
      x = left;
      y += 18;
    }
    const part = `<rect x="${round(x)}" y="${round(y - 9)}" width="12" height="10" rx="2" fill="${category(index)}"/>${text(x + 17, y, name, { kind: 'small' })}`;
    x += needed;
    return part;
  });
  return [parts.join(''), names.length > 0 ? y - top + 18 : 0];
}

/** `text` cut to `length` characters, with the middle left out. */
export function clip(content: string, length: number): string {
  if (content.length <= length) return content;
  const half = Math.max(1, Math.floor((length - 1) / 2));
  return `${content.slice(0, half)}…${content.slice(-half)}`;
}
