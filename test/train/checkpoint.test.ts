// Checkpoints as files that may come from anywhere: what a run writes comes back, and everything else is refused by a
// CheckpointError that names the file and the part that is wrong, before any weight is touched. No engine is needed but
// for the last part, where a run is put to use.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { CheckpointError } from '../../src/errors';
import { Graph, sizeOf, type TensorData } from '../../src/graph/graph';
import * as ops from '../../src/graph/ops';
import { modelNamed } from '../../src/models';
import { loadCheckpoint, type RunState, restore, type SavedTensors, saveCheckpoint } from '../../src/train/checkpoint';
import { loadModel } from '../../src/train/compileModel';
import { resolveConfig } from '../../src/train/config';
import { predict } from '../../src/train/evaluate';
import { encodeSafetensors, type StoredTensor } from '../../src/train/safetensors';

const folder = mkdtempSync(join(tmpdir(), 'gramian-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'run.safetensors');

const good: RunState = {
  config: resolveConfig({ data: 'synthetic:100', model: 'denseFpn1', input: [8, 8] }),
  spec: { classes: 3, input: [8, 8, 1], mean: [0.4], std: [0.2] },
  classNames: ['a', 'b', 'c'],
  step: 12,
  best: { accuracy: 0.5, epoch: 1 },
};

const weights = (): SavedTensors => ({
  'first/weight': { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  'first/bias': { shape: [3], data: Float32Array.of(7, 8, 9) },
  step: { shape: [1], data: Int32Array.of(12) },
});

interface FakeTrainer {
  readState(): Promise<SavedTensors>;
  writeState(state: Record<string, { data: TensorData }>): Promise<void>;
  readonly written: string[];
}

/** What restore needs of a trainer. */
function fakeTrainer(state: SavedTensors = weights()): FakeTrainer {
  const written: string[] = [];
  return {
    written,
    readState: async () => state,
    writeState: async (tensors) => {
      written.push(...Object.keys(tensors).sort());
    },
  };
}

function write(bytes: Uint8Array): void {
  writeFileSync(path, bytes);
}

/** A whole file with a valid checksum, whatever its contents. */
function file(metadata: Record<string, string>, tensors: Record<string, StoredTensor> = weights()): Uint8Array {
  return encodeSafetensors(tensors, metadata);
}

const withMetadata = (gramian: string): Uint8Array => file({ format: '1', gramian });

async function expectRefusal(work: () => Promise<unknown>, reason: string): Promise<void> {
  const error = await work().then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as Error).message).toContain(path);
  expect((error as Error).message).toContain(reason);
}

describe('a checkpoint', () => {
  it('comes back as it was saved', async () => {
    await saveCheckpoint(path, fakeTrainer(), good);
    const { state, tensors } = await loadCheckpoint(path);
    expect(state).toEqual(good);
    expect({ ...tensors }).toEqual(weights());
    const trainer = fakeTrainer();
    await restore(path, trainer, tensors);
    expect(trainer.written).toEqual(['first/bias', 'first/weight', 'step']);
  });

  it.each([
    ['before the first epoch', { step: 0, best: { accuracy: -1, epoch: -1 } }],
    ['with one mean for three channels', { spec: { ...good.spec, input: [8, 8, 3] as const } }],
    [
      'with a mean for each channel',
      { spec: { classes: 3, input: [8, 8, 3] as const, mean: [0.1, -2, 0], std: [1, 2, 3] } },
    ],
  ])('is read %s', async (_, part) => {
    await saveCheckpoint(path, fakeTrainer(), { ...good, ...part });
    expect((await loadCheckpoint(path)).state).toEqual({ ...good, ...part });
  });
});

describe('files that are no checkpoint', () => {
  const whole = withMetadata(JSON.stringify(good));
  const flipped = Buffer.from(whole);
  flipped[flipped.length - 1]! ^= 1;
  const foreign = (): Buffer => {
    const header = Buffer.from('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([length, header, Buffer.alloc(4)]);
  };
  const cases: [string, Uint8Array, string][] = [
    ['an empty file', Buffer.alloc(0), '0 bytes are too few'],
    ['text', Buffer.from('weights of my network\n'), 'is over the format'],
    ['a safetensors file of another tool', foreign(), 'gramian.format is undefined, expected "1"'],
    ['a file without its last byte', whole.subarray(0, whole.length - 1), 'outside the 39 bytes of data'],
    ['a file cut in the header', whole.subarray(0, 100), 'but the file ends after 92'],
    ['a flipped bit', flipped, 'the checksum does not match'],
    ['a byte too many', Buffer.concat([whole, Buffer.alloc(1)]), 'end at byte 40 but there are 41'],
    ['weights without a run', file({}), 'is not a checkpoint of a training run'],
    ['weights with other metadata', file({ format: '1', model: 'cfpn' }), 'is not a checkpoint of a training run'],
    ['no format', file({ gramian: JSON.stringify(good) }), 'has format undefined, this version reads 1'],
    ['a later format', file({ format: '2', gramian: JSON.stringify(good) }), 'has format 2'],
    ['a format with a space', file({ format: ' 1', gramian: JSON.stringify(good) }), 'has format  1'],
    ['a format in other digits', file({ format: '0x1', gramian: JSON.stringify(good) }), 'has format 0x1'],
    ['a format that is a word', file({ format: 'pt', gramian: JSON.stringify(good) }), 'has format pt'],
    ['empty metadata', withMetadata(''), 'unreadable metadata'],
    ['metadata cut short', withMetadata(JSON.stringify(good).slice(0, -1)), 'unreadable metadata'],
    ['metadata with a bare NaN', withMetadata('{"step":NaN}'), 'unreadable metadata'],
    ['metadata nested without end', withMetadata('['.repeat(100_000)), 'unreadable metadata'],
    ['null', withMetadata('null'), 'config.model of the metadata is not a name'],
    ['a number', withMetadata('3'), 'config.model'],
    ['a string', withMetadata('"cfpn"'), 'config.model'],
    ['a list', withMetadata(JSON.stringify([good])), 'config.model'],
    ['an empty object', withMetadata('{}'), 'config.model'],
    [
      'float64 weights',
      file({ format: '1', gramian: JSON.stringify(good) }, { w: { shape: [1], data: Float64Array.of(1) } }),
      'tensor "w" has a type this engine does not train with',
    ],
    [
      'int64 weights',
      file({ format: '1', gramian: JSON.stringify(good) }, { n: { shape: [1], data: BigInt64Array.of(1n) } }),
      'tensor "n" has a type this engine does not train with',
    ],
  ];
  it.each(cases)('refuses %s', async (_, bytes, reason) => {
    write(bytes);
    await expectRefusal(() => loadCheckpoint(path), reason);
  });

  it('names a file that is not there', async () => {
    rmSync(path, { force: true });
    await expectRefusal(() => loadCheckpoint(path), 'cannot be read: ENOENT');
  });
});

describe('metadata with a part that is missing or wrong', () => {
  const set = (place: string, value: unknown): string => {
    const state = JSON.parse(JSON.stringify(good)) as Record<string, unknown>;
    const keys = place.split('.');
    const last = keys.pop()!;
    const parent = keys.reduce((at, key) => at[key] as Record<string, unknown>, state);
    // JSON leaves undefined out, which is a missing part; NaN and infinities become null, as JSON.stringify writes them.
    parent[last] = value;
    return JSON.stringify(state);
  };
  const MEAN = 'spec.mean of the metadata is not a number for each channel';
  const STD = 'spec.std of the metadata is not a positive number for each channel';
  const INPUT = 'spec.input of the metadata is not height, width, channels';
  const NAMES = 'classNames of the metadata is not a name for each class';
  const cases: [string, unknown, string][] = [
    ['config', undefined, 'config.model of the metadata is not a name'],
    ['config', 'cfpn', 'config.model'],
    ['config.model', 7, 'config.model'],
    ['config.data', undefined, 'config.data of the metadata is not a data specification'],
    ['config.data', ['mnist'], 'config.data'],
    ['config.batch', 0, 'wrong settings: [train] batch is an integer from 2'],
    ['config.batch', '128', 'wrong settings: [train] batch'],
    ['config.lr', null, 'wrong settings: [train] lr is a number'],
    ['config.seed', 1.5, 'wrong settings: [train] seed'],
    ['config.objective', 'ckaa', 'wrong settings: [train] objective "ckaa" is not known; did you mean "cka"?'],
    ['config.input', 48, 'wrong settings'],
    ['config.input', ['8', '8'], 'wrong settings: [train] input'],
    ['spec', undefined, 'spec.classes of the metadata is not a positive integer'],
    ['spec', null, 'spec.classes'],
    ['spec.classes', 0, 'spec.classes'],
    ['spec.classes', 2.5, 'spec.classes'],
    ['spec.classes', '3', 'spec.classes'],
    ['spec.input', undefined, INPUT],
    ['spec.input', '8x8x1', INPUT],
    ['spec.input', ['8', '8', '1'], INPUT],
    ['spec.input', [8, 8], INPUT],
    ['spec.input', [8, 8, 1, 1], INPUT],
    ['spec.input', [8, 0, 1], INPUT],
    ['spec.input', [8, 8, -1], INPUT],
    ['spec.input', [8, 7.5, 1], INPUT],
    ['spec.input', [8, 1e300, 1], INPUT],
    ['spec.input', { 0: 8, 1: 8, 2: 1, length: 3 }, INPUT],
    ['spec.mean', undefined, MEAN],
    ['spec.mean', 0.4, MEAN],
    ['spec.mean', [], MEAN],
    ['spec.mean', [Number.NaN], MEAN],
    ['spec.mean', ['0.4'], MEAN],
    ['spec.mean', [0.4, 0.4], MEAN],
    ['spec.std', undefined, STD],
    ['spec.std', [0], STD],
    ['spec.std', [-0.2], STD],
    ['spec.std', [Number.POSITIVE_INFINITY], STD],
    ['spec.std', [0.2, 0.2, 0.2], STD],
    ['classNames', undefined, NAMES],
    ['classNames', 'abc', NAMES],
    ['classNames', ['a', 'b'], NAMES],
    ['classNames', ['a', 'b', 3], NAMES],
    ['step', undefined, 'step of the metadata is not a count of steps'],
    ['step', -1, 'step of the metadata'],
    ['step', 12.5, 'step of the metadata'],
    ['step', '12', 'step of the metadata'],
    ['step', 2 ** 53, 'step of the metadata'],
    ['best', undefined, 'best.accuracy of the metadata is not a number'],
    ['best', null, 'best.accuracy'],
    ['best.accuracy', Number.NaN, 'best.accuracy'],
    ['best.accuracy', '0.5', 'best.accuracy'],
    ['best.epoch', undefined, 'best.epoch of the metadata is not an epoch'],
    ['best.epoch', 0.5, 'best.epoch'],
    ['best.epoch', -2, 'best.epoch'],
  ];
  it.each(cases)('refuses %s = %j', async (place, value, reason) => {
    write(withMetadata(set(place, value)));
    await expectRefusal(() => loadCheckpoint(path), reason);
  });

  it('reads the same file once the part is right', async () => {
    write(withMetadata(set('step', 13)));
    expect((await loadCheckpoint(path)).state.step).toBe(13);
  });
});

describe('tensors that do not fit the network', () => {
  const { 'first/weight': weight, 'first/bias': bias, step } = weights();
  const all = { 'first/weight': weight!, 'first/bias': bias!, step: step! };
  const extra = (name: string): SavedTensors => Object.fromEntries([...Object.entries(all), [name, bias!]]);
  const cases: [string, SavedTensors, string][] = [
    ['none at all', {}, '"first/weight" is missing, "first/bias" is missing, "step" is missing'],
    ['one missing', { 'first/weight': weight!, step: step! }, '"first/bias" is missing'],
    ['one too many', extra('second/weight'), '"second/weight" is not of this network'],
    ['one of another case', extra('First/weight'), '"First/weight" is not of this network'],
    ['one named like a method', extra('toString'), '"toString" is not of this network'],
    ['one named __proto__', extra('__proto__'), '"__proto__" is not of this network'],
    [
      'a transposed one',
      { ...all, 'first/weight': { shape: [3, 2], data: weight!.data } },
      '"first/weight" is Float32Array [3, 2], expected Float32Array [2, 3]',
    ],
    [
      'a flat one',
      { ...all, 'first/weight': { shape: [6], data: weight!.data } },
      '"first/weight" is Float32Array [6], expected',
    ],
    ['a scalar', { ...all, step: { shape: [], data: Int32Array.of(1) } }, '"step" is Int32Array []'],
    ['an empty one', { ...all, 'first/bias': { shape: [0], data: new Float32Array(0) } }, 'is Float32Array [0]'],
    [
      'integers for floats',
      { ...all, 'first/bias': { shape: [3], data: Int32Array.of(1, 2, 3) } },
      '"first/bias" is Int32Array [3], expected Float32Array [3]',
    ],
    [
      'floats for a counter',
      { ...all, step: { shape: [1], data: Float32Array.of(1) } },
      '"step" is Float32Array [1], expected Int32Array [1]',
    ],
    [
      'bytes for floats',
      { ...all, 'first/bias': { shape: [3], data: Uint8Array.of(1, 2, 3) } },
      '"first/bias" is Uint8Array [3]',
    ],
    [
      'many, of which three are named',
      Object.fromEntries(['v', 'w', 'x', 'y', 'z'].map((name) => [name, bias!])),
      '"step" is missing and 5 more',
    ],
  ];
  it.each(cases)('refuses %s, and writes nothing', async (_, tensors, reason) => {
    write(file({ format: '1', gramian: JSON.stringify(good) }, tensors));
    const loaded = await loadCheckpoint(path);
    const trainer = fakeTrainer();
    await expectRefusal(() => restore(path, trainer, loaded.tensors), reason);
    expect(trainer.written).toEqual([]);
  });
});

describe('a run that is put to use', () => {
  const run = join(folder, 'run');
  mkdirSync(run);
  /** The persistent tensors of the network in `good`, as they start. */
  function network(): SavedTensors {
    const graph = new Graph({ training: false });
    const { spec, config } = good;
    modelNamed(config.model)(graph.input('image', [1, ...spec.input]), { classes: spec.classes });
    const persistent = graph.tensors.filter((info) => info.kind === 'param' || info.kind === 'state');
    return Object.fromEntries(
      persistent.map(({ name, shape, data }) => [
        name,
        { shape, data: typeof data === 'number' ? new Float32Array(sizeOf(shape)).fill(data) : data! },
      ]),
    );
  }
  const use = async (tensors: SavedTensors): Promise<unknown> => {
    writeFileSync(join(run, 'last.safetensors'), file({ format: '1', gramian: JSON.stringify(good) }, tensors));
    return predict(run, [], { threads: 1 }).next();
  };

  it('is accepted whole', async () => {
    expect(await use(network())).toEqual({ done: true, value: undefined });
    expect(readFileSync(join(run, 'last.safetensors')).length).toBeGreaterThan(1000);
  });

  it.each(['head/fc/weight', 'block1/layer1/bn/running_mean', 'block1/layer3/bn/running_variance_1'])(
    'is refused without "%s", or with one of another shape',
    async (name) => {
      const { [name]: gone, ...rest } = network();
      await expect(use(rest)).rejects.toThrow(CheckpointError);
      const misshapen = { ...rest, [name]: { shape: [1, ...gone!.shape], data: gone!.data } };
      await expect(use(misshapen)).rejects.toThrow(`lacks "${name}" of shape ${gone!.shape.join('x')}`);
    },
  );

  it('answers for bytes, scaled as the run says', async () => {
    await use(network());
    const { model, spec, classNames } = await loadModel(run, { threads: 1 });
    using loaded = model;
    expect({ spec, classNames }).toEqual({ spec: good.spec, classNames: good.classNames });
    const bytes = Uint8Array.from({ length: 5 * 64 }, (_, index) => (index * 41) % 256);
    const { probabilities } = await loaded.run(bytes);
    const graph = new Graph({ training: false });
    const x = graph.input('x', [5, 8, 8, 1]);
    const y = ops.softmax(modelNamed('denseFpn1')(x, { classes: 3 }));
    using plan = compile(graph, { outputs: { y }, share: loaded.plan });
    const expected = await plan.step({ x: Float32Array.from(bytes, (byte) => (byte / 255 - 0.4) / 0.2) });
    probabilities!.forEach((value, index) => {
      expect(value).toBeCloseTo(expected.y![index]!, 5);
    });
    using larger = (await loadModel(run, { threads: 1, size: [16, 16] })).model;
    await expect(larger.run(bytes)).rejects.toThrow('images of 16x16x1, 256 values each, got 320 values');
  });

  it('is refused without a checkpoint', async () => {
    const empty = join(folder, 'empty');
    await expect(predict(empty, []).next()).rejects.toThrow(CheckpointError);
    await expect(predict(empty, []).next()).rejects.toThrow('holds neither best.safetensors nor last.safetensors');
  });
});
