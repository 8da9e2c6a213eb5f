// The tiny detector on face-api's photographs against face-api itself, and the networks on faces cut from them against its code
// on TensorFlow.js's wasm backend.
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faceApiPeer } from '../../bench/peers/faceApi';
import { EXPRESSIONS } from '../../src/data/types';
import { ArgumentError, DataError } from '../../src/errors';
import { cropFaces } from '../../src/faces/crop';
import { faceApiAttributes, faceApiClassifier, faceApiWeights } from '../../src/faces/faceApi';
import { loadRecognizer } from '../../src/faces/load';
import { runClassifier } from '../../src/faces/runClassifier';
import { TinyDetector } from '../../src/faces/tinyDetector';
import type { Image } from '../../src/faces/types';
import { loadModel } from '../../src/train/compileModel';
import { train } from '../../src/train/train';
import { tempFolder } from '../data/tempFolder';
import { frozenFaces, PHOTOGRAPHS, type Photograph, photograph } from './photographs';

const images = new Map<Photograph, Image>();
let detectors: Record<'tiny512' | 'tiny416', TinyDetector>;

beforeAll(async () => {
  for (const name of PHOTOGRAPHS) images.set(name, await photograph(name));
  const weights = await faceApiWeights('tiny_face_detector');
  detectors = {
    tiny512: await TinyDetector.load({ weights, size: 512 }),
    tiny416: await TinyDetector.load({ weights, size: 416 }),
  };
});
afterAll(() => {
  for (const detector of Object.values(detectors)) detector.dispose();
});

describe('TinyDetector', () => {
  it('sees as many faces as are known of face-api at 512 pixels', () => {
    expect(PHOTOGRAPHS.map((name) => frozenFaces(name, 'tiny512').length)).toEqual([3, 2, 3, 4, 5, 4]);
    expect(PHOTOGRAPHS.map((name) => frozenFaces(name, 'ssd').length)).toEqual([3, 3, 3, 4, 5, 4]);
  });

  it.each(['tiny512', 'tiny416'] as const)('finds the boxes of face-api, %s', async (size) => {
    for (const name of PHOTOGRAPHS) {
      const ours = await detectors[size].detect(images.get(name)!);
      const theirs = frozenFaces(name, size);
      expect(ours.length).toBe(theirs.length);
      ours.forEach(({ box, score }, index) => {
        const other = theirs[index]!;
        for (const key of ['x', 'y', 'width', 'height'] as const) {
          expect(Math.abs(box[key] - other.box[key]), `${name} ${index} ${key}`).toBeLessThan(0.05);
        }
        expect(Math.abs(score - other.score)).toBeLessThan(2e-4);
      });
    }
  });

  it('takes grey frames, and answers overlapping calls', async () => {
    const gray = await photograph('sample1', 1);
    const frames = [gray, images.get('sample5')!, images.get('sample3')!];
    const together = await Promise.all(frames.map((frame) => detectors.tiny416.detect(frame)));
    expect(together.map((faces) => faces.length)).toEqual([3, 5, 3]);
    for (const [index, frame] of frames.entries()) {
      expect(await detectors.tiny416.detect(frame)).toEqual(together[index]);
    }
  });

  it('finds nothing on a plain frame and refuses what is no frame', async () => {
    const plain = { pixels: new Uint8Array(40 * 30 * 3).fill(90), width: 40, height: 30, channels: 3 } as const;
    expect(await detectors.tiny416.detect(plain)).toEqual([]);
    await expect(detectors.tiny416.detect({ ...plain, width: 41 })).rejects.toThrow(ArgumentError);
    const weights = {};
    for (const wrong of [{ size: 100 }, { size: 0 }, { threshold: 1 }, { threshold: Number.NaN }]) {
      await expect(TinyDetector.load({ weights, ...wrong })).rejects.toThrow(ArgumentError);
    }
  });
});

describe('on faces cut from the photographs', () => {
  it('expressions, age and gender are those of TensorFlow.js', async () => {
    const peer = await faceApiPeer();
    const classifier = await faceApiClassifier();
    const estimator = await faceApiAttributes();
    const cuts = PHOTOGRAPHS.map((name) => {
      const faces = frozenFaces(name, 'ssd');
      return { count: faces.length, bytes: cropFaces(images.get(name)!, faces, classifier.crop) };
    });
    const bytes = Uint8Array.from(Buffer.concat(cuts.map((cut) => cut.bytes)));
    const count = cuts.reduce((sum, cut) => sum + cut.count, 0);
    const size = bytes.length / count;
    const floats = Array.from({ length: count }, (_, k) => Float32Array.from(bytes.subarray(k * size, (k + 1) * size)));
    const ours = await classifier.classify(bytes, count);
    const theirs = peer.open('FaceExpressionNet', 'face_expression_model', floats, 112).run().result!;
    expect(ours.length).toBe(22 * 7);
    ours.forEach((value, index) => void expect(Math.abs(value - theirs[index]!)).toBeLessThan(2e-6));
    // Faces of people that smile: the answers are not those of noise.
    const happy = floats.filter((_, k) => ours[7 * k + 1]! > 0.5).length;
    expect(happy).toBeGreaterThan(11);

    // Rounded factors move a probability by some thousandths.
    const rounded = await faceApiClassifier({ precision: 'bf16' });
    const coarse = await rounded.classify(bytes, count);
    rounded.dispose();
    coarse.forEach((value, index) => void expect(Math.abs(value - ours[index]!)).toBeLessThan(0.01));
    expect(coarse).not.toEqual(ours);

    const estimates = await estimator.estimate(bytes, count);
    const known = peer.open('AgeGenderNet', 'age_gender_model', floats, 112).run();
    estimates.forEach(({ age, gender }, k) => {
      expect(Math.abs(age - known.age![k]!)).toBeLessThan(2e-6 * 100);
      const male = known.gender![2 * k]!;
      expect(gender.label).toBe(male > 0.5 ? 'male' : 'female');
      expect(Math.abs(gender.probability - Math.max(male, 1 - male))).toBeLessThan(2e-6);
    });
    const ages = estimates.map(({ age }) => age);
    expect(Math.max(...ages) - Math.min(...ages)).toBeGreaterThan(2);
    classifier.dispose();
    estimator.dispose();
  });
});

describe('loadRecognizer', () => {
  it('reads faces of a photograph whole', async () => {
    using recognizer = await loadRecognizer({ attributes: true, size: 512 });
    const { faces, detected } = await recognizer.process(images.get('sample4')!);
    expect(detected).toBe(true);
    expect(faces.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    for (const { expressions, gender, age } of faces) {
      const shares = Object.values(expressions!);
      expect(Object.keys(expressions!)).toEqual([...recognizer.classNames]);
      expect(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1)).toBeLessThan(1e-5);
      expect(gender!.probability).toBeGreaterThanOrEqual(0.5);
      expect(age).toBeGreaterThan(10);
      expect(age).toBeLessThan(90);
    }
  });

  it('tells expressions by a run', async () => {
    const out = path.join(tempFolder(), 'run');
    const settings = { data: 'synthetic:64', model: 'mlp', epochs: 1, batch: 16, method: 'bp', out } as const;
    await train(settings, { onEvent: () => undefined });
    const photo = images.get('sample3')!;
    using recognizer = await loadRecognizer({ run: out, size: 512, margin: 0.1 });
    const { faces } = await recognizer.process(photo);
    expect(recognizer.classNames).toEqual([...EXPRESSIONS]);
    expect(faces.length).toBe(3);
    // What the run's own model answers for the same cuts.
    const { model, spec } = await loadModel(out);
    const [height, width] = spec.input;
    const cuts = cropFaces(photo, faces, { size: [height, width], channels: 1, fit: 'square', margin: 0.1 });
    const { probabilities } = await model.run(cuts);
    model.dispose();
    faces.forEach(({ expressions }, face) => {
      EXPRESSIONS.forEach((name, k) => {
        expect(expressions![name]).toBe(probabilities![EXPRESSIONS.length * face + k]);
      });
    });
  });

  it('says what is missing', async () => {
    const folder = tempFolder();
    await expect(loadRecognizer({ faceApi: folder })).rejects.toThrow(DataError);
    await expect(loadRecognizer({ detector: 'haar' as never })).rejects.toThrow(ArgumentError);
    await expect(loadRecognizer({ run: folder })).rejects.toThrow('[run]');
    await expect(loadRecognizer({ run: folder, margin: Number.NaN })).rejects.toThrow('[runClassifier] margin is');
    await expect(runClassifier(folder, { fit: 'foo' as never })).rejects.toThrow('[runClassifier] fit is');
  });
});
