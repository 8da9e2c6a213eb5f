// MTCNN's training: annotations, crops and their targets, the same weights from the same seed, and that on drawn scenes it learns
// to find drawn faces it has not seen.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type DetectorData, engine } from '../../src/cli/engine';
import { Random } from '../../src/data/random';
import { AbortError, ArgumentError, CheckpointError, DataError } from '../../src/errors';
import { corrected } from '../../src/faces/candidates';
import { iou } from '../../src/faces/image';
import { Mtcnn } from '../../src/faces/mtcnn';
import { Pyramid } from '../../src/faces/pyramid';
import { annotatedFolder } from '../../src/faces/training/annotations';
import { mirrored, randomSquares, type Sample, samplesOf } from '../../src/faces/training/samples';
import { drawnScenes } from '../../src/faces/training/scenes';
import {
  type MtcnnTrainingOptions,
  saveMtcnn,
  type TrainingProgress,
  trainMtcnn,
} from '../../src/faces/training/train';
import type { Box } from '../../src/faces/types';
import { tempFolder } from '../data/tempFolder';

const HEAD = 'file,x,y,width,height';
const POINTS = 'leftEyeX,leftEyeY,rightEyeX,rightEyeY,noseX,noseY,mouthLeftX,mouthLeftY,mouthRightX,mouthRightY';

function folderWith(table: string): string {
  const folder = path.join(tempFolder(), 'faces');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'boxes.csv'), table);
  return folder;
}

describe('annotatedFolder', () => {
  it('reads boxes, points and images without faces', async () => {
    const folder = folderWith(
      `${HEAD},${POINTS}\na.png,1,2,30,40.5,1,2,3,4,5,6,7,8,9,10\r\nsub/b.png\na.png,5,6,7,8\n\n`,
    );
    const pixels = Uint8Array.from({ length: 6 * 4 * 3 }, (_, i) => i);
    await sharp(pixels, { raw: { width: 6, height: 4, channels: 3 } })
      .png()
      .toFile(path.join(folder, 'a.png'));
    const [a, b, ...more] = await annotatedFolder(folder);
    expect(more).toEqual([]);
    expect(a!.faces).toEqual([
      {
        box: { x: 1, y: 2, width: 30, height: 40.5 },
        landmarks: {
          leftEye: { x: 1, y: 2 },
          rightEye: { x: 3, y: 4 },
          nose: { x: 5, y: 6 },
          mouthLeft: { x: 7, y: 8 },
          mouthRight: { x: 9, y: 10 },
        },
      },
      { box: { x: 5, y: 6, width: 7, height: 8 } },
    ]);
    expect([b!.name, b!.faces]).toEqual(['sub/b.png', []]);
    expect(await a!.load()).toEqual({ pixels, width: 6, height: 4, channels: 3 });
    await expect(b!.load()).rejects.toThrow(DataError);
  });

  it('reads a table with a byte order mark', async () => {
    const [image] = await annotatedFolder(folderWith(`\uFEFF${HEAD}\r\na.png,1,2,3,4\r\n`));
    expect(image).toMatchObject({ name: 'a.png', faces: [{ box: { x: 1, y: 2, width: 3, height: 4 } }] });
  });

  it.each([
    ['', 'line 1: expected'],
    ['file,x,y,w,h\n', 'line 1: expected'],
    [`${HEAD}\n`, 'names no image'],
    [`${HEAD}\na.png,1,2,3\n`, 'line 2: expected x, y, and a width and height above 0'],
    [`${HEAD}\na.png,1,2,3,0\n`, 'line 2: expected x, y'],
    [`${HEAD}\na.png,1,2,3,x\n`, 'line 2: expected numbers'],
    [`${HEAD}\na.png,1,2,3,4\n,1,2,3,4\n`, 'line 3: expected file'],
    [`${HEAD}\na.png,1,2,3,4,5\n`, 'line 2: expected file'],
    [`${HEAD}\n../a.png,1,2,3,4\n`, 'line 2: "../a.png" leaves the folder'],
    [`${HEAD}\n/a.png,1,2,3,4\n`, 'leaves the folder'],
    [`${HEAD},${POINTS}\na.png,1,2,3,4,5,6\n`, 'line 2: expected 10 coordinates of points or none, got 2'],
  ])('refuses %j', async (table, says) => {
    const reading = annotatedFolder(folderWith(table));
    await expect(reading).rejects.toThrow(says);
    await expect(reading).rejects.toThrow(DataError);
  });

  it('says where the table is missing', async () => {
    await expect(annotatedFolder(tempFolder())).rejects.toThrow('boxes.csv: cannot be read');
  });
});

describe('samples', () => {
  const face: Box = { x: 40, y: 30, width: 40, height: 50 };
  const landmarks = {
    leftEye: { x: 50, y: 45 },
    rightEye: { x: 70, y: 45 },
    nose: { x: 60, y: 55 },
    mouthLeft: { x: 52, y: 68 },
    mouthRight: { x: 68, y: 68 },
  };
  const image = {
    ...{ pixels: Uint8Array.from({ length: 120 * 100 * 3 }, (_, i) => (i * 7) % 256), width: 120, height: 100 },
    channels: 3 as const,
  };
  const faces = [{ box: face, landmarks }];

  it('are of a kind by their overlap, and their offsets lead to the face', () => {
    const squares = randomSquares(120, 100, faces, 24, new Random(1));
    const samples = samplesOf(new Pyramid(image), squares, faces, 12);
    const count = (kind: string): number => samples.filter((sample) => sample.kind === kind).length;
    expect(Math.min(count('negative'), count('positive'), count('part'))).toBeGreaterThan(0);
    const kinds = squares.flatMap((box) => {
      const overlap = iou(box, face);
      const kind = overlap < 0.3 ? 'negative' : overlap >= 0.65 ? 'positive' : overlap >= 0.4 ? 'part' : undefined;
      return kind ? [{ box, kind }] : [];
    });
    expect(samples.map(({ kind }) => kind)).toEqual(kinds.map(({ kind }) => kind));
    samples.forEach(({ kind, offsets, landmarks: points }, index) => {
      const { box } = kinds[index]!;
      if (kind === 'negative') {
        expect([offsets, points]).toEqual([[0, 0, 0, 0], undefined]);
        return;
      }
      const found = corrected({ box, score: 1, offsets: offsets as [number, number, number, number] });
      for (const key of ['x', 'y', 'width', 'height'] as const) expect(found[key]).toBeCloseTo(face[key], 9);
      expect(box.x + points![2]! * box.width).toBeCloseTo(60, 9);
      expect(box.y + points![5 + 4]! * box.height).toBeCloseTo(68, 9);
    });
  });

  it('mirror as the picture of a mirrored frame does', () => {
    const side = 24;
    const box = { x: 35, y: 32, width: 48, height: 48 };
    const flipped = { ...image, pixels: new Uint8Array(image.pixels.length) };
    for (let y = 0; y < 100; y += 1) {
      for (let x = 0; x < 120; x += 1) {
        for (let c = 0; c < 3; c += 1) {
          flipped.pixels[(y * 120 + 119 - x) * 3 + c] = image.pixels[(y * 120 + x) * 3 + c]!;
        }
      }
    }
    const seen = (x: number): number => 120 - x;
    const other = {
      box: { ...face, x: seen(face.x + face.width) },
      landmarks: {
        leftEye: { ...landmarks.rightEye, x: seen(landmarks.rightEye.x) },
        rightEye: { ...landmarks.leftEye, x: seen(landmarks.leftEye.x) },
        nose: { ...landmarks.nose, x: seen(landmarks.nose.x) },
        mouthLeft: { ...landmarks.mouthRight, x: seen(landmarks.mouthRight.x) },
        mouthRight: { ...landmarks.mouthLeft, x: seen(landmarks.mouthLeft.x) },
      },
    };
    const [plain] = samplesOf(new Pyramid(image), [box], faces, side) as [Sample];
    const [turned] = samplesOf(new Pyramid(flipped), [{ ...box, x: seen(box.x + 48) }], [other], side) as [Sample];
    const mirror = mirrored(plain, side);
    expect(mirror.kind).toBe(turned.kind);
    expect(mirror.pixels).toEqual(turned.pixels);
    mirror.offsets.forEach((value, i) => void expect(value).toBeCloseTo(turned.offsets[i]!, 9));
    mirror.landmarks!.forEach((value, i) => void expect(value).toBeCloseTo(turned.landmarks![i]!, 9));
  });
});

describe('drawnScenes', () => {
  it('are the same for a seed, and differ otherwise', async () => {
    const [first, again, other] = await Promise.all([drawnScenes(4), drawnScenes(4), drawnScenes(4, { seed: 2 })]);
    for (const [index, scene] of first.entries()) {
      expect(again[index]!.faces).toEqual(scene.faces);
      expect(await again[index]!.load()).toEqual(await scene.load());
    }
    expect(await other[0]!.load()).not.toEqual(await first[0]!.load());
    await expect(drawnScenes(0)).rejects.toThrow(ArgumentError);
  });
});

describe('trainMtcnn', () => {
  it('answers the same weights for the same seed, on any number of threads', async () => {
    const scenes = await drawnScenes(6);
    const short = { steps: 3, batch: 10, seed: 4 };
    const [one, two] = [
      await trainMtcnn(scenes, { ...short, threads: 1 }),
      await trainMtcnn(scenes, { ...short, threads: 2 }),
    ];
    expect(two).toEqual(one);
    expect(await trainMtcnn(scenes, { ...short, seed: 5 })).not.toEqual(one);
  });

  it('learns to find drawn faces that it has not seen', async () => {
    const events: string[] = [];
    const weights = await trainMtcnn(await drawnScenes(50), {
      ...{ steps: 110, batch: 40, learningRate: 0.003 },
      onProgress: (progress) => void events.push(`${progress.stage} ${progress.net}`),
    });
    expect([...new Set(events)]).toEqual(['pnet', 'rnet', 'onet'].flatMap((net) => [`sample ${net}`, `train ${net}`]));
    const file = path.join(tempFolder(), 'mtcnn.safetensors');
    await saveMtcnn(file, weights);
    const detector = await Mtcnn.load({ weights: file, minFace: 20, thresholds: [0.4, 0.4, 0.4] });
    let [found, known, wrong] = [0, 0, 0];
    for (const { faces, load } of await drawnScenes(30, { seed: 77 })) {
      const seen = await detector.detect(await load());
      known += faces.length;
      found += faces.filter(({ box }) => seen.some((one) => iou(one.box, box) >= 0.5)).length;
      wrong += seen.filter((one) => faces.every(({ box }) => iou(one.box, box) < 0.3)).length;
    }
    detector.dispose();
    expect(known).toBeGreaterThan(20);
    expect(found / known).toBeGreaterThan(0.7);
    expect(wrong).toBeLessThan(known / 2);
  });

  it('on the command line makes the folder of its file, and finds out before it trains that it cannot', async () => {
    const folder = tempFolder();
    const told: TrainingProgress[] = [];
    const trained = (out: string, data = { scenes: 6 } as DetectorData) =>
      engine.trainDetector(data, {
        ...{ out, steps: 1, batch: 5, seed: 4 },
        onProgress: (progress) => void told.push(progress),
      });
    writeFileSync(path.join(folder, 'file'), '');
    mkdirSync(path.join(folder, 'taken.safetensors'));
    for (const out of ['file/m.safetensors', 'taken.safetensors']) {
      const refused = trained(path.join(folder, out));
      await expect(refused).rejects.toThrow(/^\[train-detector\] .*safetensors: cannot be saved: /);
      await expect(refused).rejects.toThrow(CheckpointError);
    }
    await expect(trained(path.join(folder, 'unmade', 'm.safetensors'), { folder })).rejects.toThrow('boxes.csv');
    expect(told).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['file', 'taken.safetensors']);
    await trained(path.join(folder, 'a', 'b', 'm.safetensors'));
    expect(told.length).toBeGreaterThan(0);
    expect(readdirSync(path.join(folder, 'a', 'b'))).toEqual(['m.safetensors']);
  });

  it('refuses what it cannot learn from', async () => {
    const scenes = await drawnScenes(3);
    const wrong: MtcnnTrainingOptions[] = [{ steps: 0 }, { batch: 4 }, { learningRate: 0 }, { minFace: 8 }];
    for (const options of wrong) await expect(trainMtcnn(scenes, options)).rejects.toThrow(ArgumentError);
    const faceless = scenes.map((scene) => ({ ...scene, faces: [] }));
    await expect(trainMtcnn(faceless, { steps: 1 })).rejects.toThrow('hold no face of 24 or more pixels');
    const stopped = trainMtcnn(scenes, { steps: 1, signal: AbortSignal.abort() });
    await expect(stopped).rejects.toThrow(AbortError);
  });
});
