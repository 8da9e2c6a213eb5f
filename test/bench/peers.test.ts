// Who is compared: what --peers selects, how long a peer is waited for, where tfjs-node is looked for. Peers are small
// scripts here; no other library is needed.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeHosts, tfjsNodeFolder } from '../../bench/peers/node';
import { Pipe } from '../../bench/peers/pipe';
import { NoAnswer, PEERS } from '../../src/cli/bench/peer';
import type { Row } from '../../src/cli/bench/rows';
import { selectById, unknownWord, wordsOf } from '../../src/cli/bench/select';
import { Graph } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';

const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-peers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('--peers', () => {
  const chosen = (list: string): string[] => selectById(PEERS, wordsOf(list)).map(({ id }) => id);

  it('takes ids, which name one each, and their beginnings', () => {
    expect(chosen('torch-eager')).toEqual(['torch-eager']);
    expect(chosen('tfjs,torch-compile-bf16')).toEqual(['torch-compile-bf16', 'tfjs-wasm', 'tfjs-cpu', 'tfjs-node']);
    expect(chosen('torch')).toHaveLength(6);
    expect(selectById(PEERS)).toBe(PEERS);
  });

  it('knows what it does not know', () => {
    expect(unknownWord(PEERS, ['torch', 'tfjs-wsm'])).toBe('there is no "tfjs-wsm"; did you mean "tfjs-wasm"?');
    expect(unknownWord(PEERS, ['tf'])).toContain('there is no "tf"');
    expect(unknownWord(PEERS, ['tfjs'])).toBeUndefined();
  });
});

describe('patience', () => {
  const pipe = (script: string): Pipe => new Pipe('a peer', process.execPath, ['-e', script]);
  const echo = "process.stdin.on('data', (line) => process.stdout.write(line))";

  it('ends a peer that does not answer', async () => {
    const silent = pipe('process.stdin.resume()');
    const error: unknown = await silent.ask({ do: 'check' }, 0.2).catch((caught) => caught);
    expect(error).toBeInstanceOf(NoAnswer);
    expect(error).toMatchObject({ seconds: 0.2, message: expect.stringContaining('of a peer within 0.2 seconds') });
    expect(silent.ended).toBe(true);
    await silent.close();
    await expect(silent.ask({ do: 'sample' })).rejects.toThrow('it took longer than 0.2 seconds');
  });

  it('leaves one alone that does', async () => {
    const quick = pipe(echo);
    expect(await quick.ask({ do: 'one' }, 30)).toEqual({ do: 'one' });
    expect(await quick.ask({ do: 'two' }, 1e9)).toEqual({ do: 'two' });
    expect(quick.ended).toBe(false);
    await quick.close();
    expect(quick.ended).toBe(true);
  });
});

describe('tfjs-node', () => {
  const settings = {
    folder,
    threads: 1,
    device: 'cpu' as const,
    peers: PEERS.filter(({ id }) => id === 'tfjs-node'),
    patience: 60,
  };

  /** A package of that name whose code is `source`, in a folder of its own that has it in its node_modules. */
  function installed(name: string, source: string): { root: string; made: string } {
    const root = path.join(folder, name);
    const made = path.join(root, 'node_modules/@tensorflow/tfjs-node');
    mkdirSync(made, { recursive: true });
    writeFileSync(path.join(made, 'package.json'), '{ "name": "@tensorflow/tfjs-node", "main": "index.js" }');
    writeFileSync(path.join(made, 'index.js'), source);
    return { root, made };
  }

  it('is looked for where the user is, or where the user says', () => {
    const { root, made } = installed('project', '');
    const below = path.join(root, 'src/deep');
    mkdirSync(below, { recursive: true });
    expect(tfjsNodeFolder(undefined, [folder, below])).toBe(made);
    expect(tfjsNodeFolder(undefined, [folder])).toBeUndefined();
    for (const given of [made, root, below]) expect(tfjsNodeFolder(given)).toBe(made);
    expect(() => tfjsNodeFolder(folder)).toThrow(`--tfjs-node expects @tensorflow/tfjs-node in ${folder} or its`);
  });

  it('is absent with advice when it is not installed', async () => {
    const { found, absent } = await nodeHosts(settings, undefined);
    expect(found).toEqual([]);
    expect(absent).toEqual({ 'tfjs-node': expect.stringContaining('not installed; install it where you call this') });
  });

  it('is a peer when it is', async () => {
    const source = "module.exports = { version: { 'tfjs-core': '9.9.9' }, ready: async () => {} };";
    const { found, absent } = await nodeHosts(settings, installed('good', source).made);
    expect(absent).toEqual({});
    expect(found.map(({ name, version }) => [name, version])).toEqual([['tfjs-node', '9.9.9, native']]);
    for (const host of found) await host.close();
  });

  it('is started again for the next row when it was given up at one', async () => {
    const source = `module.exports = { version: {}, ready: async () => {}, tensor: () => { for (;;); }, variable: () => {} };`;
    const patient = { ...settings, patience: 1 };
    const [host] = (await nodeHosts(patient, installed('hangs', source).made)).found;
    const graph = new Graph({ training: false });
    const y = ops.relu(graph.param('x', [4], 1));
    const workload = { graph, outputs: { y }, results: [y], given: [], work: { flops: 0, bytes: 0 } };
    const row: Row = { id: 'relu', group: 'kernels', title: 'relu', peers: true, build: () => workload };
    const task = { row, workload, trace: { given: [], results: [[Float32Array.of(1, 1, 1, 1)]] } };
    for (let turn = 0; turn < 2; turn += 1) {
      const [contender] = await host!.open(task);
      await expect(contender!.check()).rejects.toBeInstanceOf(NoAnswer);
      await contender!.drop();
    }
    await host!.close();
  });

  it('is absent with its reason when it does not load', async () => {
    const broken = installed('broken', "throw new Error('no libtensorflow');");
    const { found, absent } = await nodeHosts(settings, broken.made);
    expect(found).toEqual([]);
    expect(absent['tfjs-node']).toContain('no libtensorflow');
  });
});
