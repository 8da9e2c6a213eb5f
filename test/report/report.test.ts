// The report of a made-up run: every section, every figure as a file, data called by its name, all text escaped.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spaced, thin } from '../../src/report/figures';
import { describeData, type ReportData, writeReport } from '../../src/report/report';
import { decodePng } from './decodePng';
import { classes, evaluationOf, madeUpEvents, madeUpRun } from './madeUpRun';
import { wellFormed } from './wellFormed';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'gramian-report-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function report(data: ReportData, name: string): string {
  return readFileSync(writeReport(join(dir, name), data), 'utf8');
}

describe('a whole run', () => {
  let html: string;
  beforeAll(() => {
    html = report(madeUpRun(), 'whole');
  });

  it.each([
    ['results', '81.25%'],
    ['curves', 'Training loss'],
    ['curves', 'Accuracy'],
    ['units', 'HSIC of each unit'],
    ['units', 'HSIC plane'],
    ['units', '35 classifier'],
    ['ranks', 'Effective rank of each unit'],
    ['confusion', 'Confusion matrix'],
    ['confusion', '79.2%'],
    ['confusion', 'specificity'],
    ['labels', 'Labels'],
    ['features', 'data:image/png;base64,'],
    ['features', 'first 64 of 128 channels'],
    ['features', 'label happy, classified as happy'],
    ['arguments', 'objective'],
  ])('the section %s has "%s"', (id, content) => {
    const start = html.indexOf(`<section id="${id}">`);
    expect(start).toBeGreaterThan(0);
    expect(html.slice(start, html.indexOf('</section>', start))).toContain(content);
    expect(html).toContain(`<a href="#${id}">`);
  });

  it('draws one panel and one path end for each unit', () => {
    const units = html.slice(html.indexOf('<section id="units">'), html.indexOf('<section id="ranks">'));
    for (let unit = 1; unit <= 35; unit += 1) expect(units).toMatch(new RegExp(`>${unit} (block|classifier)`));
    expect(units.match(/class="tiny">35</g)).toHaveLength(2);
  });

  it('is well-formed and needs nothing from elsewhere', () => {
    expect(wellFormed(html)).toBeUndefined();
    expect(html).not.toMatch(/<script|<link|@import|url\(|src="(?!data:)|href="(?!#)/);
    expect(html).toContain('prefers-color-scheme:dark');
  });

  it('leaves the same figures as files', () => {
    const files = readdirSync(join(dir, 'whole/figures')).sort();
    expect(files).toEqual([
      'accuracy.svg',
      'cka-labels.svg',
      'cka-plane.svg',
      'confusion.svg',
      'effective-rank.svg',
      'features-1-block1-layer1.png',
      'features-2-block3-layer5.png',
      'features-3-fusion3.png',
      'hsic-plane.svg',
      'hsic-units.svg',
      'labels.svg',
      'loss.svg',
      'sample.png',
    ]);
    for (const file of files) {
      const bytes = readFileSync(join(dir, 'whole/figures', file));
      if (file.endsWith('.svg')) expect(wellFormed(bytes.toString())).toBeUndefined();
      else expect(decodePng(bytes).width).toBeGreaterThan(100);
    }
  });

  it('calls synthetic data synthetic', () => {
    expect(html).toContain('<h1>cfpn on synthetic faces</h1>');
    expect(html).toContain('not photographs');
  });
});

describe('describeData', () => {
  it.each([
    ['synthetic', undefined, 'synthetic faces', true],
    ['synthetic:500', undefined, 'synthetic faces (500)', true],
    ['synthetic', false, 'synthetic faces', true],
    ['fer2013:made.csv', true, 'synthetic fer2013:made.csv', true],
    ['fer2013:real.csv', undefined, 'fer2013:real.csv', false],
    ['mnist', false, 'MNIST', false],
  ])('%s, synthetic %s: %s', (data, synthetic, name, answer) => {
    const config = { data };
    const described = describeData({ ...madeUpRun(), config, ...(synthetic === undefined ? {} : { synthetic }) });
    expect(described).toEqual({ name, synthetic: answer });
  });
});

it('escapes every text that comes from data', () => {
  const bad = '<b onload="x">&\u0000';
  const names = [bad, ...classes.slice(1)];
  const run = madeUpRun(2, 3);
  const html = report(
    {
      ...run,
      config: { ...run.config, model: bad, data: bad, out: bad, method: bad },
      source: bad,
      classes: names,
      evaluation: evaluationOf(names),
      labelCounts: { [bad]: [1, 2, 3, 4, 5, 6, 7] },
      featureMaps: run.featureMaps?.map((map) => ({ ...map, name: bad })) ?? [],
      events: run.events.map((event) =>
        event.event === 'epoch' ? { ...event, units: event.units.map((unit) => ({ ...unit, name: bad })) } : event,
      ),
      ...(run.sample ? { sample: { ...run.sample, label: bad } } : {}),
    },
    'escaped',
  );
  expect(html).not.toContain('<b onload');
  expect(wellFormed(html)).toBeUndefined();
});

describe('a run of which little is known', () => {
  const bare: ReportData = {
    config: {},
    events: [],
    evaluation: evaluationOf(classes),
    classes,
    labelCounts: {},
  };
  it('leaves the empty sections out', () => {
    const html = report(bare, 'bare');
    expect(wellFormed(html)).toBeUndefined();
    expect(html).toContain('This run reported no units.');
    for (const id of ['curves', 'ranks', 'labels', 'features']) expect(html).not.toContain(`id="${id}"`);
    expect(html).toContain('<section id="confusion">');
  });

  it('says that it was interrupted', () => {
    const events = madeUpEvents(1, 2).map((event) => (event.event === 'end' ? { ...event, interrupted: true } : event));
    expect(report({ ...bare, events }, 'interrupted')).toContain('Interrupted: trained for less');
    expect(report({ ...bare, events: madeUpEvents(1, 2) }, 'finished')).not.toContain('Interrupted:');
  });

  it('survives losses that JSON turned into null', () => {
    const events = JSON.parse(
      JSON.stringify(madeUpEvents(2, 2)).replaceAll(/"(loss|ckaY|hsicX)":[^,}]+/g, '"$1":null'),
    );
    expect(wellFormed(report({ ...bare, events }, 'nulls'))).toBeUndefined();
  });
});

it('thin keeps means, spaced keeps ends', () => {
  const line = Array.from({ length: 1000 }, (_, index) => [index, 2 * index] as const);
  const thinned = thin(line, 10);
  expect(thinned).toHaveLength(10);
  expect(thinned[0]).toEqual([99, 99]);
  expect(thinned.at(-1)).toEqual([999, 1899]);
  expect(thin(line.slice(0, 3), 10)).toEqual(line.slice(0, 3));
  expect(spaced([1, 2, 3, 4, 5], 3)).toEqual([1, 3, 5]);
  expect(spaced([1, 2], 3)).toEqual([1, 2]);
});
