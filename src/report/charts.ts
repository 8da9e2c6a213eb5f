// The kinds of chart a report needs: lines, small multiples, paths through a plane, bars; heat maps are in heatMap.ts.
// Each takes plain data and returns one SVG. figures.ts is the caller. The rule easy to break: sizes are pixels, the
// width is the caller's, and a chart of nothing is still a well-formed one.
import { category, timeColor } from './color';
import {
  axes,
  clip,
  escapeText,
  type Frame,
  finite,
  formatNumber,
  legend,
  lines,
  niceTicks,
  type Point,
  type Range,
  rangeOf,
  round,
  type Series,
  svg,
  text,
  toX,
  toY,
} from './svg';

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  readonly width?: number;
  readonly height?: number;
  readonly yRange?: Range;
  readonly yFormat?: (value: number) => string;
  /** x counts something: its ticks are whole numbers. */
  readonly wholeX?: boolean;
}

export function lineChart(chart: LineChart): string {
  const width = chart.width ?? 560;
  const height = chart.height ?? 320;
  const left = 66;
  const named = chart.series.filter((one) => !one.faint);
  const [key, keyHeight] = legend(left, 42, width - left - 12, named.length > 1 ? named.map((one) => one.name) : []);
  const top = 34 + keyHeight;
  const points = chart.series.flatMap((one) => finite(one.points));
  const frame: Frame = {
    left,
    top,
    width: width - left - 18,
    height: height - top - 46,
    xs: rangeOf(points.map(([x]) => x)),
    ys:
      chart.yRange ??
      rangeOf(
        points.map(([, y]) => y),
        0.04,
      ),
  };
  const { xLabel, yLabel } = chart;
  const ticks = niceTicks(frame.xs[0], frame.xs[1], frame.width / 90);
  const xTicks = chart.wholeX ? ticks.filter(Number.isInteger) : ticks;
  const body = axes(frame, { xLabel, yLabel, xTicks, ...(chart.yFormat ? { yFormat: chart.yFormat } : {}) });
  return svg(
    width,
    height,
    chart.title,
    text(12, 20, chart.title, { kind: 'title' }) + key + body + lines(frame, chart.series),
  );
}

export interface Multiples {
  readonly title: string;
  readonly xLabel: string;
  /** Names of the series, the same in every panel. */
  readonly names: readonly string[];
  readonly panels: readonly { readonly title: string; readonly series: readonly Series[] }[];
  readonly width?: number;
}

/** One small panel for each unit, each with a scale of its own that says its ends; the x axis is shared. */
export function smallMultiples(chart: Multiples): string {
  const width = chart.width ?? 1140;
  const columns = Math.max(1, Math.min(6, chart.panels.length));
  const cell = (width - 16) / columns;
  const panelHeight = 128;
  const [key, keyHeight] = legend(12, 42, width - 24, chart.names);
  const top = 36 + keyHeight;
  const xs = rangeOf(chart.panels.flatMap((panel) => panel.series.flatMap((one) => one.points.map(([x]) => x))));
  const parts = chart.panels.map((panel, index) => {
    const x = 8 + (index % columns) * cell;
    const y = top + Math.floor(index / columns) * panelHeight;
    const ends = rangeOf(panel.series.flatMap((one) => one.points.map(([, value]) => value)));
    const margin = 0.06 * (ends[1] - ends[0]);
    const ys: Range = [ends[0] - margin, ends[1] + margin];
    const frame: Frame = { left: x + 50, top: y + 20, width: cell - 62, height: panelHeight - 48, xs, ys };
    const shown = clip(panel.title, Math.floor((cell - 12) / 6.2));
    return (
      text(x + 4, y + 12, shown, { kind: 'small' }) +
      axes(frame, { yTicks: ends, xTicks: xs, yFormat: (value) => formatNumber(Number(value.toPrecision(2))) }) +
      lines(frame, panel.series)
    );
  });
  const rows = Math.ceil(chart.panels.length / columns);
  const height = top + rows * panelHeight + 22;
  const footer = text(width / 2, height - 8, chart.xLabel, { anchor: 'middle', kind: 'small' });
  return svg(width, height, chart.title, text(12, 20, chart.title, { kind: 'title' }) + key + parts.join('') + footer);
}

export interface Plane {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** One path for each unit, in order of time. Its end is marked with `mark`. */
  readonly paths: readonly { readonly name: string; readonly mark: string; readonly points: readonly Point[] }[];
  readonly width?: number;
  readonly height?: number;
}

/** Paths through a plane, coloured by time: start blue, end orange. */
export function plane(chart: Plane): string {
  const width = chart.width ?? 560;
  const height = chart.height ?? 440;
  const points = chart.paths.flatMap((path) => finite(path.points));
  const frame: Frame = {
    left: 66,
    top: 58,
    width: width - 92,
    height: height - 104,
    xs: rangeOf(
      points.map(([x]) => x),
      0.05,
    ),
    ys: rangeOf(
      points.map(([, y]) => y),
      0.05,
    ),
  };
  const drawn = chart.paths.map((path) => {
    const own = finite(path.points).map(([x, y]): Point => [toX(frame, x), toY(frame, y)]);
    const end = own.at(-1);
    if (!end) return '';
    const segments = own.slice(1).map((to, index) => {
      const from = own[index] as Point;
      const color = timeColor((index + 0.5) / (own.length - 1));
      return `<path class="line" stroke="${color}" d="M${round(from[0])} ${round(from[1])}L${round(to[0])} ${round(to[1])}"/>`;
    });
    const dot = `<circle cx="${round(end[0])}" cy="${round(end[1])}" r="3.2" fill="${timeColor(1)}"><title>${escapeText(path.name)}</title></circle>`;
    return segments.join('') + dot + text(end[0] + 5, end[1] + 4, path.mark, { kind: 'tiny' });
  });
  const steps = Array.from({ length: 40 }, (_, index) => {
    const x = width - 26 - 160 + index * 4;
    return `<rect x="${x}" y="34" width="4.5" height="8" fill="${timeColor(index / 39)}"/>`;
  });
  const key = `${steps.join('')}${text(width - 192, 42, 'start', { anchor: 'end', kind: 'tiny' })}${text(width - 22, 42, 'end', { kind: 'tiny' })}`;
  const { xLabel, yLabel } = chart;
  const body = axes(frame, { xLabel, yLabel }) + drawn.join('') + key;
  return svg(width, height, chart.title, text(12, 20, chart.title, { kind: 'title' }) + body);
}

export interface Bars {
  readonly title: string;
  readonly yLabel: string;
  readonly categories: readonly string[];
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
  readonly width?: number;
  readonly height?: number;
}

/** Grouped bars: one group for each category, one bar in it for each series. */
export function barChart(chart: Bars): string {
  const width = chart.width ?? 560;
  const height = chart.height ?? 320;
  const [key, keyHeight] = legend(
    66,
    42,
    width - 78,
    chart.series.map((one) => one.name),
  );
  const top = 34 + keyHeight;
  const high = rangeOf(chart.series.flatMap((one) => one.values))[1];
  const ys: Range = [0, Math.max(high, 1e-9) * 1.05];
  const xs: Range = [0, Math.max(1, chart.categories.length)];
  const frame: Frame = { left: 66, top, width: width - 84, height: height - top - 30, xs, ys };
  const bar = (frame.width / xs[1]) * (0.8 / Math.max(1, chart.series.length));
  const parts = chart.categories.map((name, group) => {
    const start = toX(frame, group + 0.1);
    const bars = chart.series.map((one, index) => {
      const value = one.values[group] ?? 0;
      const y = toY(frame, value);
      const label = `<title>${escapeText(`${one.name}, ${name}: ${value}`)}</title>`;
      return `<rect x="${round(start + index * bar)}" y="${round(y)}" width="${round(bar * 0.94)}" height="${round(Math.max(0, frame.top + frame.height - y))}" fill="${category(index)}">${label}</rect>`;
    });
    const room = Math.max(3, Math.floor(frame.width / xs[1] / 6));
    const label = text(toX(frame, group + 0.5), frame.top + frame.height + 16, clip(name, room), {
      anchor: 'middle',
      kind: 'tick',
    });
    return bars.join('') + label;
  });
  const body = axes(frame, { yLabel: chart.yLabel, xTicks: [] }) + parts.join('');
  return svg(width, height, chart.title, text(12, 20, chart.title, { kind: 'title' }) + key + body);
}
