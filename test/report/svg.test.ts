// Charts: safe text, sensible ticks, well-formed markup, nothing infinite in a path.
import { describe, expect, it } from 'vitest';
import { barChart, lineChart, plane, smallMultiples } from '../../src/report/charts';
import { heatMap } from '../../src/report/heatMap';
import { escapeText, formatNumber, niceTicks, type Point, rangeOf, standalone } from '../../src/report/svg';
import { wellFormed } from './wellFormed';

const NASTY = `<script>alert("1")</script> & 'x' \u0000\u001b\ud800 ünïcode 😀 ]]>`;

describe('escapeText', () => {
  it('leaves nothing that ends text or an attribute', () => {
    expect(escapeText(`<a href="x" id='y'>&amp;`)).toBe('&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;');
  });
  it('replaces what XML forbids and keeps the rest', () => {
    expect(escapeText('a\u0000b\u001b\ud800\uffff')).toBe('a\ufffdb\ufffd\ufffd\ufffd');
    expect(escapeText('ü😀\n\t')).toBe('ü😀\n\t');
    expect(escapeText(undefined)).toBe('undefined');
  });
});

describe('niceTicks', () => {
  it.each([
    [0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [0, 100, 4, [0, 50, 100]],
    [-1, 1, 4, [-1, -0.5, 0, 0.5, 1]],
    [3, 3, 5, [3]],
    [0.1, 0.35, 5, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35]],
    [Number.NaN, 1, 5, []],
  ])('from %d to %d, about %d', (low, high, count, ticks) => {
    expect(niceTicks(low, high, count)).toEqual(ticks);
  });
  it('stay inside and are few at any scale', () => {
    for (const scale of [1e-12, 1e-3, 7, 1e9]) {
      for (const low of [-3.7, 0, 0.01, 123.4]) {
        const ticks = niceTicks(low * scale, (low + 2.3) * scale, 5);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(8);
        for (const tick of ticks) expect(tick).toBeGreaterThanOrEqual(low * scale - scale * 1e-6);
        for (const tick of ticks) expect(tick).toBeLessThanOrEqual((low + 2.3) * scale + scale * 1e-6);
      }
    }
  });
});

it('formatNumber is short', () => {
  const texts = [0, 12, 0.125, 12345.6, 1e-7, -2.5e9, 1e6, 0.30000000000000004, Number.NaN].map(formatNumber);
  expect(texts).toEqual(['0', '12', '0.125', '12346', '1e-7', '-2.5e9', '1e6', '0.3', 'n/a']);
});

it('rangeOf skips what is not finite', () => {
  expect(rangeOf([3, Number.NaN, -1, Number.POSITIVE_INFINITY])).toEqual([-1, 3]);
  expect(rangeOf([])).toEqual([0, 1]);
  expect(rangeOf([2, 2])).toEqual([1, 3]);
});

const curve: Point[] = [
  [0, 1],
  [1, Number.NaN],
  [2, Number.POSITIVE_INFINITY],
  [3, -2],
];
const lineSeries = [
  { name: NASTY, points: curve, dots: true },
  { name: 'empty', points: [] },
];
const CHARTS: Record<string, string> = {
  line: lineChart({ title: NASTY, xLabel: NASTY, yLabel: NASTY, series: lineSeries }),
  'line of nothing': lineChart({ title: '', xLabel: '', yLabel: '', series: [] }),
  multiples: smallMultiples({
    title: NASTY,
    xLabel: NASTY,
    names: [NASTY],
    panels: Array.from({ length: 35 }, () => ({ title: NASTY, series: lineSeries })),
  }),
  'no multiples': smallMultiples({ title: '', xLabel: '', names: [], panels: [] }),
  plane: plane({ title: NASTY, xLabel: '', yLabel: '', paths: [{ name: NASTY, mark: NASTY, points: curve }] }),
  bars: barChart({ title: NASTY, yLabel: '', categories: [NASTY], series: [{ name: NASTY, values: [2] }] }),
  heat: heatMap({
    title: NASTY,
    rows: [NASTY, 'b'],
    columns: [NASTY, 'd'],
    values: [[1, Number.NaN], [Number.NEGATIVE_INFINITY]],
    cellText: () => [NASTY],
    rowNote: () => NASTY,
    rowTitle: NASTY,
    columnTitle: NASTY,
  }),
  'logarithmic heat': heatMap({ title: '', rows: ['a'], columns: ['b', 'c'], values: [[0, 10]], log: true }),
};

describe.each(Object.entries(CHARTS))('the chart "%s"', (_, chart) => {
  it('is well-formed, also as a file', () => {
    expect(wellFormed(chart)).toBeUndefined();
    expect(wellFormed(standalone(chart))).toBeUndefined();
  });
  it('holds no script and no number that is not finite', () => {
    expect(chart).not.toContain('<script');
    expect(chart).not.toMatch(/="[^"]*(NaN|Infinity)[^"]*"/);
  });
});

it('draws what it is given', () => {
  expect(CHARTS.line?.match(/<circle/g)).toHaveLength(2);
  expect(CHARTS.line).toMatch(/<path class="line"[^>]* d="M[\d.]+ [\d.]+L[\d.]+ [\d.]+"/);
  expect(CHARTS.heat?.match(/<title>/g)).toHaveLength(1);
  const heights = [...barChart({ ...bars([1, 2, 4]) }).matchAll(/height="([\d.]+)" fill="var/g)].map(([, h]) =>
    Number(h),
  );
  expect(heights.slice(-3).map((height) => height / heights.at(-1)!)).toEqual([
    expect.closeTo(0.25, 2),
    expect.closeTo(0.5, 2),
    1,
  ]);
});

function bars(values: number[]) {
  return { title: '', yLabel: '', categories: ['a', 'b', 'c'], series: [{ name: 's', values }] };
}
