// Every recipe at scale smoke: it leaves a report whose tables and figures are whole, its numbers are finite, and a second run
// on another number of threads gives the same bits, but for what it measures of time.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { recipes, runRecipe } from '../../src/recipes';
import { decodePng } from '../report/decodePng';
import { wellFormed } from '../report/wellFormed';

const folder = mkdtempSync(join(tmpdir(), 'gramian-recipes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** RFC 4180 fields of a text without line breaks in fields. */
function csvRows(text: string): string[][] {
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((field) => field[1] ?? field[2]!),
  );
}

/** Columns of machine time differ from run to run. */
function withoutTimes(rows: readonly string[][]): string[][] {
  const kept = rows[0]!.map((name) => !/^seconds/.test(name));
  return rows.map((row) => row.filter((_, column) => kept[column]));
}

function checkTables(out: string): void {
  const names = readdirSync(join(out, 'tables')).filter((name) => name.endsWith('.csv'));
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const [head, ...rows] = csvRows(readFileSync(join(out, 'tables', name), 'utf8'));
    expect(rows.length, name).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row.length, `${name}: ${row}`).toBe(head!.length);
      expect(row.join(), name).not.toMatch(/NaN|Infinity|undefined|\[object/);
    }
    const markdown = readFileSync(join(out, 'tables', name.replace('.csv', '.md')), 'utf8')
      .trimEnd()
      .split('\n');
    const lines = markdown.filter((line) => line.startsWith('|'));
    expect(lines.length, name).toBe(rows.length + 2);
    expect(new Set(lines.map((line) => line.replace(/\\\|/g, '').split('|').length)).size, name).toBe(1);
  }
}

function checkFigures(out: string): void {
  const names = readdirSync(join(out, 'figures'));
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const bytes = readFileSync(join(out, 'figures', name));
    if (name.endsWith('.png')) {
      const { width, height } = decodePng(bytes);
      expect(Math.min(width, height), name).toBeGreaterThan(8);
      continue;
    }
    const text = bytes.toString('utf8');
    expect(wellFormed(text), name).toBeUndefined();
    expect(text, name).not.toMatch(/NaN|Infinity|undefined/);
    // A line, a bar or a cell of data beside axes and paper.
    expect(text, name).toMatch(/class="line"|<circle|<rect x=/);
  }
}

function checkReport(out: string): void {
  const report = readFileSync(join(out, 'report.md'), 'utf8');
  const links = [...report.matchAll(/\]\((figures\/[^)]+)\)/g)].map((match) => match[1]!);
  for (const link of links) expect(existsSync(join(out, link)), link).toBe(true);
  const results = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'));
  expect(results.figures.length).toBe(links.length);
  expect(results).toMatchObject({ scale: 'smoke', seed: 1, command: 'gramian run this' });
  expect(report).toContain('scale smoke, seed 1; cpu test; ');
  if (report.includes('generator (seed 1)')) expect(report).toContain('synthetic faces (drawings, not photographs)');
  expect(report).toMatch(/generator \(seed 1\)|mnist/);
}

/** What a second run must repeat, by file name. */
function repeatable(out: string): Record<string, string> {
  const tables = readdirSync(join(out, 'tables')).filter((name) => name.endsWith('.csv'));
  const figures = readdirSync(join(out, 'figures'));
  const text = (name: string): string => readFileSync(join(out, 'tables', name), 'utf8');
  return Object.fromEntries([
    ...tables.map((name) => [name, JSON.stringify(withoutTimes(csvRows(text(name))))]),
    ...figures.map((name) => [name, readFileSync(join(out, 'figures', name)).toString('base64')]),
  ]);
}

const shared = { scale: 'smoke', machine: { cpu: 'test' }, command: 'gramian run this', onProgress: () => {} } as const;

describe('recipes', () => {
  it.each(recipes.map(({ name }) => name))(
    '%s',
    async (name) => {
      const [first, second] = [join(folder, `${name}-1`), join(folder, `${name}-2`)];
      const report = await runRecipe(name, { ...shared, out: first, resume: false, threads: 2 });
      expect(report).toBe(join(first, 'report.md'));
      checkTables(first);
      checkFigures(first);
      checkReport(first);
      await runRecipe(name, { ...shared, out: second, resume: false, threads: 1 });
      expect(repeatable(second)).toEqual(repeatable(first));
    },
    120_000,
  );

  it('have names, costs and papers that a list can show', () => {
    expect(new Set(recipes.map(({ name }) => name)).size).toBe(recipes.length);
    for (const { name, cost, reproduces, expected } of recipes) {
      expect(name).toMatch(/^[a-z][a-z-]+$/);
      expect([cost.smoke, cost.small, cost.full, reproduces, expected].every((text) => text.length > 2)).toBe(true);
    }
  });

  it('state cost, seed and expected result at the head of their files', () => {
    const source = join(__dirname, '../../src/recipes');
    const files = readdirSync(source).filter((name) =>
      readFileSync(join(source, name), 'utf8').includes('export const recipe: '),
    );
    expect(files.length).toBe(recipes.length);
    for (const file of files) {
      const head = readFileSync(join(source, file), 'utf8').split('\nimport')[0]!;
      expect(head, file).toMatch(/^\/\/ Cost: .*small .*full .*Seed 1/m);
      expect(head, file).toMatch(/^\/\/ Expected: /m);
    }
  });
});
