// The tracker on films made from photographs by a known motion, and streams that detect one frame and track five. These films
// are small and fast; bench/faces.ts makes the long ones.
import { beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { GrayFrame } from '../../src/faces/grayFrame';
import { iou } from '../../src/faces/image';
import { KcfTracker } from '../../src/faces/kcf';
import { Recognizer } from '../../src/faces/recognizer';
import type { Box, Image } from '../../src/faces/types';
import { fakeClassifier, fakeDetector, plainFrame } from './fakes';
import { frozenFaces, photograph } from './photographs';
import { type Film, filmOf, MOTIONS } from './sequences';

const COUNT = 100;
let photo: Image;
const film = (motion: (typeof MOTIONS)[number], face = 0): Film =>
  filmOf(photo, frozenFaces('sample5', 'ssd')[face]!.box, motion, {
    ...{ width: 320, height: 240, count: COUNT, faceHeight: 60 },
  });

beforeAll(async () => {
  photo = await photograph('sample5', 1);
});

interface Followed {
  readonly overlaps: readonly number[];
  readonly ratios: readonly number[];
}

/** Starts in the first frame and is never told again. */
async function followed(tracker: KcfTracker, { box, frame }: Film): Promise<Followed> {
  let tracks = await tracker.start(new GrayFrame(frame(0)), [box(0)]);
  const overlaps: number[] = [];
  const ratios: number[] = [];
  for (let index = 1; index < COUNT; index += 1) {
    tracks = await tracker.follow(new GrayFrame(frame(index)), tracks);
    overlaps.push(iou(tracks[0]!.box, box(index)));
    ratios.push(tracks[0]!.peakToSidelobe);
  }
  return { overlaps, ratios };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('KcfTracker', () => {
  it.each(MOTIONS)('follows a face through %s', async (motion) => {
    const tracker = new KcfTracker();
    const { overlaps, ratios } = await followed(tracker, film(motion));
    tracker.dispose();
    expect(mean(overlaps)).toBeGreaterThan(0.7);
    expect(overlaps.filter((overlap) => overlap >= 0.5).length / overlaps.length).toBeGreaterThanOrEqual(0.9);
    expect(mean(ratios)).toBeGreaterThan(20);
  });

  it.each([
    { features: 'hog', kernel: 'linear' },
    { features: 'gray', kernel: 'gaussian' },
    { features: 'gray', kernel: 'linear' },
  ] as const)('follows with $features and a $kernel kernel', async (options) => {
    const tracker = new KcfTracker(options);
    expect(mean((await followed(tracker, film('pan'))).overlaps)).toBeGreaterThan(0.7);
    tracker.dispose();
  });

  it('follows growth only where scales are searched', async () => {
    const zoom = film('zoom');
    const [searching, fixed] = [new KcfTracker(), new KcfTracker({ scaleStep: 1 })];
    const [with_, without] = [await followed(searching, zoom), await followed(fixed, zoom)];
    expect(mean(with_.overlaps)).toBeGreaterThan(mean(without.overlaps) + 0.15);
    searching.dispose();
    fixed.dispose();
  });

  it('answers the same for a face alone and among others, on any number of threads', async () => {
    const [one, two] = [new KcfTracker({ threads: 1 }), new KcfTracker({ threads: 2 })];
    const { box, frame } = film('pan');
    const other: Box = { x: 20, y: 20, width: 40, height: 60 };
    let alone = await one.start(new GrayFrame(frame(0)), [box(0)]);
    let among = await two.start(new GrayFrame(frame(0)), [other, box(0)]);
    for (let index = 1; index < 10; index += 1) {
      alone = await one.follow(new GrayFrame(frame(index)), alone);
      among = await two.follow(new GrayFrame(frame(index)), among);
      expect(among[1]!.box).toEqual(alone[0]!.box);
    }
    one.dispose();
    two.dispose();
  });

  it('is unsure where the face is gone', async () => {
    const tracker = new KcfTracker();
    const { box, frame } = film('pan');
    const tracks = await tracker.start(new GrayFrame(frame(0)), [box(0)]);
    const [gone] = await tracker.follow(new GrayFrame(plainFrame(320, 240)), tracks);
    expect(gone!.peakToSidelobe).toBeLessThan(10);
    tracker.dispose();
  });

  it('refuses options out of range', () => {
    const wrong = [
      { cells: 7 },
      { cells: 6 },
      { padding: 0.5 },
      { scaleStep: 2 },
      { scaleStep: 0.9 },
      { learningRate: -0.1 },
      { features: 'lbp' as never },
      { kernel: 'foo' as never },
    ];
    for (const options of wrong) expect(() => new KcfTracker(options)).toThrow(ArgumentError);
  });

  it('starts at no box without an area', async () => {
    const tracker = new KcfTracker();
    const frame = new GrayFrame(plainFrame());
    for (const wrong of [{ width: -8 }, { height: 0 }, { x: Number.NaN }, { y: Infinity }]) {
      const box = { x: 8, y: 8, width: 16, height: 16 };
      const started = tracker.start(frame, [box, { ...box, ...wrong }]);
      await expect(started).rejects.toThrow(ArgumentError);
      await expect(started).rejects.toThrow('[KcfTracker.start] expected a face to have a box with an area');
    }
    tracker.dispose();
  });
});

describe('a stream', () => {
  it('detects one frame, tracks five, and keeps the number', async () => {
    const { box, frame } = film('pan');
    let next = 0;
    const detector = fakeDetector(() => [{ box: box(next), score: 0.9 }]);
    using recognizer = new Recognizer({ detector, classifier: fakeClassifier(['a', 'b', 'c'], 1) });
    for (next = 0; next < 30; next += 1) {
      const { faces, detected } = await recognizer.process(frame(next));
      expect(detected).toBe(next % 6 === 0);
      expect(faces.map(({ id }) => id)).toEqual([1]);
      expect(iou(faces[0]!.box, box(next))).toBeGreaterThan(0.7);
      expect(faces[0]!.expressions!.b).toBeCloseTo(0.7, 5);
    }
    expect(detector.calls).toBe(5);
  });

  it('calls the detector early when a face is gone, and drops it after three misses', async () => {
    const { box, frame } = film('pan');
    let next = 0;
    const detector = fakeDetector(() => (next < 3 ? [{ box: box(next), score: 0.9 }] : []));
    using recognizer = new Recognizer({ detector });
    const seen: (readonly [boolean, number])[] = [];
    for (next = 0; next < 7; next += 1) {
      const { faces, detected } = await recognizer.process(next < 3 ? frame(next) : plainFrame(320, 240));
      seen.push([detected, faces.length]);
    }
    expect(seen).toEqual([
      [true, 1],
      [false, 1],
      [false, 1],
      [true, 1],
      [true, 1],
      [true, 0],
      [true, 0],
    ]);
  });

  it.each([
    [1, 4],
    [6, 6],
    [20, 15],
  ])('that saw a face %i times may miss it %i times while the tracker is sure', async (sightings, misses) => {
    const { frame, box } = film('pan');
    const detector = fakeDetector((call) => (call < sightings ? [{ box: box(0), score: 1 }] : []));
    using recognizer = new Recognizer({ detector, detectEvery: 1 });
    const still = frame(0);
    let known = 0;
    while ((await recognizer.process(still)).faces.length > 0) known += 1;
    expect(known).toBe(sightings + misses);
  });

  it('smooths probabilities over frames', async () => {
    const { frame, box } = film('pan');
    let call = 0;
    const classifier = {
      ...fakeClassifier(['a', 'b'], 0),
      classify: async () => Float32Array.from(call++ === 0 ? [1, 0] : [0, 1]),
    };
    const detector = fakeDetector(() => [{ box: box(0), score: 1 }]);
    using recognizer = new Recognizer({ detector, classifier, smoothing: 0.75 });
    const shares: number[] = [];
    for (let index = 0; index < 3; index += 1) {
      shares.push((await recognizer.process(frame(0))).faces[0]!.expressions!.a!);
    }
    expect(shares).toEqual([1, 0.75, 0.5625]);
  });

  it('changes nothing when a network fails', async () => {
    const { frame, box } = film('pan');
    let fail = false;
    const classifier = {
      ...fakeClassifier(['a', 'b'], 0),
      classify: async () => {
        if (fail) throw new Error('the network failed');
        return Float32Array.of(0.5, 0.5);
      },
    };
    const detector = fakeDetector(() => [{ box: box(0), score: 1 }]);
    using recognizer = new Recognizer({ detector, classifier });
    await recognizer.process(frame(0));
    fail = true;
    await expect(recognizer.process(frame(1))).rejects.toThrow('the network failed');
    fail = false;
    expect(await recognizer.process(frame(1))).toMatchObject({ index: 1, detected: false, faces: [{ id: 1 }] });
  });

  it('refuses options out of range', () => {
    const detector = fakeDetector(() => []);
    for (const wrong of [{ detectEvery: 0 }, { detectEvery: 1.5 }, { smoothing: 1 }, { smoothing: -1 }]) {
      expect(() => new Recognizer({ detector, ...wrong })).toThrow(ArgumentError);
    }
  });
});
