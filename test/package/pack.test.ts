// Packs the real tarball and uses it as a stranger would: an empty project, no install scripts, no network, and a PATH
// that holds node and npm but no compiler and no CMake. Run by `npm run test:package`, which builds dist/ and prebuilds/.
// The rule easy to break: nothing here may resolve into the checkout, so every program runs with the project as its cwd.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.resolve(__dirname, '../..');
const temp = mkdtempSync(path.join(tmpdir(), 'gramian-package-'));
const project = path.join(temp, 'project');
const bin = path.join(temp, 'bin');
const env = { PATH: bin, HOME: temp, npm_config_cache: path.join(temp, 'cache'), npm_config_update_notifier: 'false' };
let tarball: { file: string; size: number; unpackedSize: number };

/** Runs a program of the bare PATH in the user's project and returns what it printed. */
function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd: project, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a tool of the checkout; it fails when the tool does. */
function tool(name: string, ...args: string[]): string {
  const file = path.join(root, 'node_modules/.bin', name);
  return execFileSync(file, args, { cwd: temp, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a script that prints JSON. */
function evaluate<T>(file: string, text: string): T {
  writeFileSync(path.join(project, file), text);
  return JSON.parse(run('node', file)) as T;
}

/** A PATH with these programs only. */
function makeBarePath(): void {
  mkdirSync(bin);
  for (const name of ['node', 'npm', 'npx', 'sh']) {
    symlinkSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), path.join(bin, name));
  }
}

function pack(folder: string): void {
  const printed = execFileSync('node', [path.join(root, 'scripts/pack.mjs'), temp], { cwd: folder, encoding: 'utf8' });
  tarball = JSON.parse(printed.trim().split('\n').at(-1) ?? '');
}

/** A package and everything it depends on that is installed in the checkout (for this platform, that is). */
function closure(name: string, found = new Set<string>()): Set<string> {
  const manifest = path.join(root, 'node_modules', name, 'package.json');
  if (found.has(name) || !existsSync(manifest)) return found;
  found.add(name);
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(manifest, 'utf8'));
  for (const other of Object.keys({ ...dependencies, ...optionalDependencies })) closure(other, found);
  return found;
}

/**
 * Run-time dependencies, and the optional sharp that decodes image files, come as tarballs made from the checkout's own
 * copies, so that npm needs no network.
 */
function packDependencies(): string[] {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const names = [...Object.keys(manifest.dependencies ?? {}), 'sharp'].flatMap((name) => [...closure(name)]);
  return names.map((name) => {
    const folder = path.join(root, 'node_modules', name);
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', temp];
    const [report] = JSON.parse(execFileSync('npm', args, { cwd: folder, encoding: 'utf8' }));
    return path.join(temp, report.filename);
  });
}

beforeAll(() => {
  makeBarePath();
  mkdirSync(project);
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true }));
  pack(root);
  run(
    'npm',
    'install',
    '--ignore-scripts',
    '--offline',
    '--no-audit',
    '--no-fund',
    tarball.file,
    ...packDependencies(),
  );
});

afterAll(() => {
  rmSync(temp, { recursive: true, force: true });
});

describe('the packed tarball', () => {
  it('holds no build file and no script, and is small', () => {
    const installed = path.join(project, 'node_modules/gramian');
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json', 'prebuilds']);
    const manifest = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
    expect(manifest.scripts).toBeUndefined();
    expect(manifest.devDependencies).toBeUndefined();
    expect(manifest.gypfile).toBe(false);
    expect(statSync(tarball.file).size).toBe(tarball.size);
    expect(tarball.size).toBeLessThan(20e6);
    expect(tarball.unpackedSize).toBeLessThan(60e6);
  });

  it('is installed where no compiler is', () => {
    const found = 'for tool in cc gcc g++ c++ clang cmake make python3; do command -v $tool; done; true';
    expect(run('sh', '-c', found)).toBe('');
    expect(run('node', '--version')).toMatch(/^v\d+/);
  });

  it('passes publint and attw', () => {
    expect(tool('publint', 'run', tarball.file, '--strict')).toContain('All good!');
    expect(tool('attw', tarball.file, '--no-definitely-typed', '--no-color')).toContain('No problems found');
  });

  it('gives import and require the same names and the same classes', () => {
    const result = evaluate<{ missing: string[]; extra: string[]; different: string[]; count: number }>(
      'faces.mjs',
      `import * as esm from 'gramian';
       import { createRequire } from 'node:module';
       const cjs = createRequire(import.meta.url)('gramian');
       const names = Object.keys(esm);
       console.log(JSON.stringify({
         count: names.length,
         missing: Object.keys(cjs).filter((name) => !names.includes(name)),
         extra: names.filter((name) => !(name in cjs)),
         different: names.filter((name) => esm[name] !== cjs[name]),
       }));`,
    );
    expect(result).toEqual({ count: expect.any(Number), missing: [], extra: [], different: [] });
    expect(result.count).toBeGreaterThan(20);
  });

  it('compiles and steps a graph with the prebuilt addon', () => {
    const result = evaluate<{ y: number[]; addon: string }>(
      'step.cjs',
      `const { Graph, compile, ops } = require('gramian');
       const graph = new Graph();
       const a = graph.input('a', [2, 3]);
       const b = graph.input('b', [2, 3]);
       const plan = compile(graph, { outputs: { y: ops.relu(ops.add(a, b)) }, device: 'cpu' });
       plan.step({ a: new Float32Array([1, -2, 3, -4, 5, -6]), b: new Float32Array([1, 1, 1, 1, 1, 1]) }).then(({ y }) => {
         plan.dispose();
         const addon = Object.keys(require.cache).find((file) => file.endsWith('.node'));
         console.log(JSON.stringify({ y: [...y], addon }));
       });`,
    );
    expect(result.y).toEqual([2, 0, 4, 0, 6, 0]);
    expect(result.addon).toContain(path.join(project, 'node_modules/gramian/prebuilds/'));
  });

  it('trains, evaluates and predicts an image file', async () => {
    const train = 'train --model denseFpn1 --data synthetic:256 --epochs 2 --batch 32 --lr 0.005 --out run --json';
    const events = run('npx', '--offline', 'gramian', ...train.split(' '))
      .trim()
      .split('\n');
    const end = JSON.parse(events.at(-1)!);
    expect(end).toMatchObject({ event: 'end', epoch: 2 });
    const evaluate = 'eval --run run --data synthetic:256 --split test --json';
    const result = JSON.parse(run('npx', '--offline', 'gramian', ...evaluate.split(' ')));
    expect(result.accuracy).toBeCloseTo(end.testAccuracy, 6);
    const grey = Buffer.alloc(48 * 48, 99);
    await sharp(grey, { raw: { width: 48, height: 48, channels: 1 } }).toFile(path.join(project, 'grey.png'));
    const answer = JSON.parse(run('npx', '--offline', 'gramian', 'predict', '--run', 'run', 'grey.png', '--json'));
    const probabilities = Object.values<number>(answer.probabilities);
    expect(probabilities).toHaveLength(7);
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
  });

  it('serves its pages, without the optional package for the live one', async () => {
    const main = path.join(project, 'node_modules/gramian/dist/cli/main.js');
    const args = [main, 'serve', '--run', 'run', '--port', '0', '--json'];
    const program = spawn(path.join(bin, 'node'), args, { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [line] = (await once(program.stdout, 'data')) as [Buffer];
    const { port, live } = JSON.parse(String(line)) as { port: number; live: boolean };
    expect(live).toBe(false);
    for (const name of ['', 'run', 'live.js', 'run.js', 'style.css', 'charts.css', 'icon.svg']) {
      expect([name, (await fetch(`http://127.0.0.1:${port}/${name}`)).status]).toEqual([name, 200]);
    }
    program.kill('SIGINT');
    expect(await once(program, 'exit')).toEqual([0, null]);
  });

  it('runs its program through npx', () => {
    const info = JSON.parse(run('npx', '--offline', 'gramian', 'info', '--json'));
    expect(JSON.stringify(info)).toContain('"cpu"');
  });
});
