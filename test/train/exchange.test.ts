// Runs made of other tools' weights and files made of runs: face-api's published weights in, ONNX and safetensors out, and what
// is refused on the way. ONNX Runtime's part is in test/interchange; here it is compared only where it is installed.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MODELS } from '../../bench/peers/faceApi';
import { compile } from '../../src/compile';
import { ArgumentError, CheckpointError, InterchangeError } from '../../src/errors';
import { Graph } from '../../src/graph/graph';
import { parseOnnx } from '../../src/interchange/onnx/model';
import { modelNamed } from '../../src/models';
import { compileModel, loadModel } from '../../src/train/compileModel';
import { exportRun } from '../../src/train/exportRun';
import { importRun } from '../../src/train/importRun';
import { loadSafetensors, saveSafetensors } from '../../src/train/safetensors';

const folder = mkdtempSync(path.join(tmpdir(), 'gramian-exchange-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => path.join(folder, name);
const FACE_API = path.join(MODELS, 'face_expression_model-weights_manifest.json');

const run = at('face-api');
const bytes = Uint8Array.from({ length: 2 * 112 * 112 * 3 }, (_, index) => (index * 7919) % 256);

describe("face-api's expression net", () => {
  it('becomes a run that answers', async () => {
    const made = await importRun(FACE_API, { model: 'faceExpressionNet', out: run });
    expect(made).toEqual({ run, model: 'faceExpressionNet', tensors: 49, parameters: 323_687, classes: 7 });
    const { model, classNames, spec } = await loadModel(run);
    expect(classNames[1]).toBe('happy');
    expect(spec.input).toEqual([112, 112, 3]);
    const { probabilities } = model.runSync(bytes);
    const shares = probabilities as Float32Array;
    expect(shares.slice(0, 7).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 5);
    model.dispose();
  });

  it('is exported as ONNX that scales its pixels itself', async () => {
    const out = at('net.onnx');
    const exported = await exportRun(run, { format: 'onnx', out });
    expect(exported).toMatchObject({ file: out, tensors: 49 });
    // Where ONNX Runtime is installed it agreed, or nothing would have been written.
    if (exported.comparison) expect(exported.comparison.difference).toBeLessThan(1e-4);
    const { readFileSync } = await import('node:fs');
    const graph = new Graph({ training: false });
    const image = graph.input('image', [2, 112, 112, 3]);
    const file = parseOnnx(readFileSync(out));
    expect(file.inputs.map(({ name, shape }) => [name, shape])).toEqual([['image', ['N', 3, 112, 112]]]);
    const results = file.apply(graph, { image: { tensor: image, layout: 'channelsLast' } });
    expect(results.map(({ name, shape }) => [name, shape])).toEqual([
      ['logits', [2, 7]],
      ['probabilities', [2, 7]],
    ]);
    using plan = compile(graph, { outputs: { probabilities: results[1]!.tensor! } });
    const { probabilities } = await plan.step({ image: Float32Array.from(bytes, (byte) => byte / 255) });
    const { model } = await loadModel(run);
    const { probabilities: expected } = model.runSync(bytes);
    model.dispose();
    probabilities!.forEach((share, index) => {
      expect(share).toBeCloseTo(expected![index]!, 5);
    });
  });

  it('is exported as safetensors, which are a run again', async () => {
    const out = at('net.safetensors');
    await exportRun(run, { format: 'safetensors', out });
    const { metadata } = await loadSafetensors(out);
    expect(metadata).toMatchObject({ model: 'faceExpressionNet', input: '112x112x3' });
    await importRun(out, { model: 'faceExpressionNet', out: at('again') });
    const first = await loadModel(run);
    const second = await loadModel(at('again'));
    expect(second.model.runSync(bytes)).toEqual(first.model.runSync(bytes));
    first.model.dispose();
    second.model.dispose();
  });

  it('does not replace a run', async () => {
    const again = importRun(FACE_API, { model: 'faceExpressionNet', out: run });
    await expect(again).rejects.toThrow(`${run} holds a run already`);
    mkdirSync(at('stopped'));
    copyFileSync(path.join(run, 'best.safetensors'), path.join(at('stopped'), 'last.safetensors'));
    const other = importRun(FACE_API, { model: 'faceExpressionNet', out: at('stopped') });
    await expect(other).rejects.toThrow('holds a run already');
  });
});

describe('a network of ones own', () => {
  const file = at('mlp.safetensors');
  const write = async (): Promise<void> => {
    using compiled = await compileModel(modelNamed('mlp'), { input: [1, 1, 10], classes: 3 });
    const tensors: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
    for (const { name, shape } of compiled.plan.tensors()) {
      tensors[name] = { shape, data: (await compiled.plan.read(name)) as Float32Array };
    }
    await saveSafetensors(file, tensors);
  };

  it('needs an input size and takes names and scaling', async () => {
    await write();
    await expect(importRun(file, { model: 'mlp', out: at('mlp') })).rejects.toThrow('mlp has no input size of its own');
    const input = [1, 1, 10] as const;
    const three = { input, classNames: ['a', 'b', 'c'], mean: [0.5], std: [0.25] };
    await expect(importRun(file, { model: 'mlp', out: at('mlp'), ...three, classNames: ['a'] })).rejects.toThrow(
      'the classifier has 3 classes, got 1 names',
    );
    expect(existsSync(at('mlp'))).toBe(false);
    await importRun(file, { model: 'mlp', out: at('mlp'), ...three });
    const { model, spec, classNames } = await loadModel(at('mlp'));
    expect([spec.mean, spec.std, classNames]).toEqual([[0.5], [0.25], ['a', 'b', 'c']]);
    model.dispose();
    // A number for each channel of an image is only one.
    const out = at('mlp.onnx');
    await exportRun(at('mlp'), { format: 'onnx', out });
    expect(existsSync(out)).toBe(true);
  });

  it('refuses weights that do not fit, other files and folders without a run', async () => {
    const small = importRun(file, { model: 'mlp', out: at('none'), input: [1, 1, 11] });
    await expect(small).rejects.toThrow(CheckpointError);
    await expect(importRun(FACE_API, { model: 'cfpn', out: at('none') })).rejects.toThrow(InterchangeError);
    await expect(importRun(at('x.pth'), { model: 'mlp', out: at('none') })).rejects.toThrow(ArgumentError);
    writeFileSync(at('bad.json'), '[');
    await expect(importRun(at('bad.json'), { model: 'cfpn', out: at('none') })).rejects.toThrow('it is not JSON');
    await expect(exportRun(folder, { format: 'onnx', out: at('y.onnx') })).rejects.toThrow(CheckpointError);
    const nowhere = exportRun(at('mlp'), { format: 'onnx', out: at('no/such/folder/y.onnx') });
    await expect(nowhere).rejects.toThrow(InterchangeError);
    expect(existsSync(at('none'))).toBe(false);
    const unknown = exportRun(at('mlp'), { format: 'pickle' as 'onnx', out: at('y.pkl') });
    await expect(unknown).rejects.toThrow('[export] format is one of onnx, safetensors, got "pickle"');
  });

  it.each([
    ['a deviation of 0', { std: [0] }],
    ['a mean that is no number', { mean: [Number.NaN] }],
    ['more means than channels', { mean: [0, 0] }],
  ])('refuses %s', async (_, scaling) => {
    await write();
    const made = importRun(file, { model: 'mlp', out: at('none'), input: [1, 1, 10], ...scaling });
    await expect(made).rejects.toThrow(ArgumentError);
    await expect(made).rejects.toThrow(/cannot become a run: .*spec\.(mean|std)/);
    expect(existsSync(at('none'))).toBe(false);
  });

  it('refuses a folder that cannot be made', async () => {
    await write();
    const made = importRun(file, { model: 'mlp', out: path.join(file, 'in a file'), input: [1, 1, 10] });
    await expect(made).rejects.toThrow(ArgumentError);
  });
});
