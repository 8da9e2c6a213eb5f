// Streams of frames: numbers of faces, order of answers, ends. The networks are fakes.
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { AbortError, ArgumentError, DisposedError } from '../../src/errors';
import { iou } from '../../src/faces/image';
import { matchBoxes } from '../../src/faces/matching';
import { Recognizer } from '../../src/faces/recognizer';
import type { FaceFrame, Image } from '../../src/faces/types';
import { driftingFaces, fakeClassifier, fakeDetector, plainFrame } from './fakes';

const box = (x: number, y: number, width = 10, height = 10) => ({ x, y, width, height });

async function collected(frames: AsyncIterable<FaceFrame>): Promise<FaceFrame[]> {
  const all: FaceFrame[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

describe('boxes', () => {
  it('overlap by the shared area over the joint one', () => {
    expect(iou(box(0, 0), box(0, 0))).toBe(1);
    expect(iou(box(0, 0), box(5, 0))).toBeCloseTo(1 / 3, 12);
    expect(iou(box(0, 0), box(2.5, 5, 5, 10))).toBeCloseTo(25 / 125, 12);
    expect(iou(box(0, 0), box(10, 0))).toBe(0);
    expect(iou(box(0, 0, 0, 0), box(0, 0, 0, 0))).toBe(0);
  });

  it('are matched best pair first, each once', () => {
    // The first detection overlaps both known faces, but the second known one belongs to the second detection.
    expect(matchBoxes([box(0, 0), box(4, 0)], [box(3, 0), box(4, 0)], 0.3)).toEqual([0, 1]);
    expect(matchBoxes([box(0, 0)], [box(1, 0), box(0, 0), box(50, 50)], 0.3)).toEqual([-1, 0, -1]);
    expect(matchBoxes([], [box(0, 0)], 0.3)).toEqual([-1]);
    expect(matchBoxes([box(0, 0)], [box(6, 0)], 0.3)).toEqual([-1]);
  });
});

describe('Recognizer', () => {
  it('keeps the numbers of faces that move', async () => {
    // The left face is missed once, then three times in a row, which gives it up until it is seen again.
    const detector = fakeDetector((call) => {
      const [left, right] = driftingFaces(call);
      return [1, 3, 4, 5].includes(call) ? [right!] : [right!, left!];
    });
    using recognizer = new Recognizer({ detector, detectEvery: 1 });
    const frames = await collected(recognizer.frames(Array.from({ length: 8 }, () => plainFrame(200, 100))));
    const ids = frames.map(({ faces }) => faces.map(({ id }) => id));
    expect(ids).toEqual([[1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1], [1, 2], [1, 2]]);
    expect(frames.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(frames[2]!.faces[0]).toMatchObject({ ...driftingFaces(2)[1], confidence: 1 });
    expect(frames[1]!.faces[1]!.box).toEqual(driftingFaces(0)[0]!.box);
    expect(frames[0]).toMatchObject({ width: 200, height: 100, detected: true });
    expect(frames[0]!.timings.total).toBeGreaterThanOrEqual(frames[0]!.timings.detect);
  });

  it.each([
    ['back in its place after 90 frames', 90, 0, 2],
    ['back later', 91, 0, 3],
    ['back elsewhere', 20, 60, 3],
  ])('numbers a face that was given up and is %s', async (_, hidden, shift, id) => {
    // Missed three times by detector and tracker, the left face is given up at frame 3.
    const [left, right] = driftingFaces(0);
    const shifted = { ...left!, box: { ...left!.box, y: left!.box.y + shift } };
    const detector = fakeDetector((call) =>
      call === 0 ? [right!, left!] : call < 3 + hidden ? [right!] : [right!, shifted],
    );
    using recognizer = new Recognizer({ detector, detectEvery: 1 });
    const frames = await collected(recognizer.frames(Array.from({ length: 4 + hidden }, () => plainFrame(200, 100))));
    const ids = frames.map(({ faces }) => faces.map((face) => face.id));
    expect(ids.slice(2, 4)).toEqual([[1, 2], [1]]);
    expect(ids.at(-2)).toEqual([1]);
    expect(ids.at(-1)).toEqual([1, id]);
  });

  it('gives a neighbour no number of a face that it missed, and a face behind another its own again', async () => {
    const face = (x: number) => ({ box: box(x, 20, 40, 40), score: 0.9 });
    // 30 of 40 pixels aside: an IoU of 0.14. The third face hides the first for a frame.
    const detector = fakeDetector((call) => [[face(20)], [face(50)], [face(24), face(50)]][Math.min(call, 2)]!);
    using recognizer = new Recognizer({ detector, detectEvery: 1 });
    const frames = await collected(recognizer.frames(Array.from({ length: 3 }, () => plainFrame(200, 100))));
    const ids = frames.map(({ faces }) => faces.map(({ id }) => id));
    expect(ids).toEqual([[1], [1, 2], [1, 2]]);

    const crossing = fakeDetector((call) => (call === 1 ? [face(30)] : [face(20), face(34)]));
    using other = new Recognizer({ detector: crossing, detectEvery: 1 });
    const crossed = await collected(other.frames(Array.from({ length: 3 }, () => plainFrame(200, 100))));
    expect(crossed.map(({ faces }) => faces.map(({ id }) => id))).toEqual([[1, 2], [2], [1, 2]]);
  });

  it('answers overlapping calls in their order', async () => {
    const detector = fakeDetector((call) => driftingFaces(call));
    using recognizer = new Recognizer({ detector });
    const answers = await Promise.all([plainFrame(), plainFrame(), plainFrame()].map((one) => recognizer.process(one)));
    expect(answers.map(({ index, faces }) => [index, faces[0]!.box.x])).toEqual([
      [0, 10],
      [1, 12],
      [2, 14],
    ]);
  });

  it('streams have numbers of their own', async () => {
    using recognizer = new Recognizer({ detector: fakeDetector(() => driftingFaces(0)) });
    const other = recognizer.stream();
    await recognizer.process(plainFrame());
    expect((await other.process(plainFrame())).faces.map(({ id }) => id)).toEqual([1, 2]);
    expect((await recognizer.process(plainFrame())).index).toBe(1);
  });

  it.each([
    ['grey', 1],
    ['coloured', 3],
  ] as const)('holds no %s frame that was answered or failed', async (_, channels) => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const detector = fakeDetector((call) => {
      if (call === 1) throw new RangeError('the detector failed');
      return driftingFaces(0);
    });
    using recognizer = new Recognizer({ detector, detectEvery: 1, classifier: fakeClassifier(['a', 'b'], 0) });
    const looked = async (): Promise<WeakRef<Uint8Array>> => {
      const pixels = new Uint8Array(64 * 48 * channels);
      await recognizer.process({ pixels, width: 64, height: 48, channels }).catch(() => undefined);
      return new WeakRef(pixels);
    };
    for (let call = 0; call < 3; call += 1) {
      const held = await looked();
      // A reference of the test's own may live on in a frame of the interpreter for some turns.
      for (let turn = 0; turn < 50 && held.deref(); turn += 1) {
        await setImmediate();
        collectGarbage();
      }
      expect(held.deref()).toBeUndefined();
    }
    expect(detector.calls).toBe(3);
  });

  it('goes on after a frame that it refused', async () => {
    using recognizer = new Recognizer({ detector: fakeDetector(() => driftingFaces(0)) });
    const wrong: unknown[] = [
      { ...plainFrame(), width: 63 },
      { ...plainFrame(), height: 0 },
      { ...plainFrame(), channels: 4 },
      plainFrame(65_537, 1),
      { ...plainFrame(), pixels: [1, 2] },
      undefined,
    ];
    for (const frame of wrong) await expect(recognizer.process(frame as Image)).rejects.toThrow(ArgumentError);
    expect((await recognizer.process(plainFrame())).index).toBe(0);
  });

  it.each([
    ['a box without an area', [{ box: box(1, 2, -3, 4), score: 1 }], '-3x4 at (1, 2)'],
    ['a box that is nowhere', [{ box: box(Number.NaN, 2), score: 1 }], '10x10 at (NaN, 2)'],
    ['points that are nowhere', [{ box: box(1, 2), score: 1, landmarks: {} }], 'finite points'],
    ['no box', [{ score: 1 }], 'undefinedxundefined'],
    ['no array', undefined, 'to answer an array, got undefined'],
  ])('refuses %s of a detector by its name, and goes on', async (_, wrong, says) => {
    const detector = fakeDetector((call) => (call === 1 ? (wrong as never) : driftingFaces(0)));
    using recognizer = new Recognizer({ detector, detectEvery: 1 });
    await recognizer.process(plainFrame(200, 100));
    const refused = recognizer.process(plainFrame(200, 100));
    await expect(refused).rejects.toThrow(ArgumentError);
    await expect(refused).rejects.toThrow('the detector "fake"');
    await expect(refused).rejects.toThrow(says);
    const { index, faces } = await recognizer.process(plainFrame(200, 100));
    expect([index, faces.map(({ id }) => id)]).toEqual([1, [1, 2]]);
  });

  it('ends by the signal, by what the source throws, and by dispose', async () => {
    const detector = fakeDetector(() => driftingFaces(0));
    const recognizer = new Recognizer({ detector });
    const abort = new AbortController();
    const seen: number[] = [];
    const loop = async () => {
      for await (const { index } of recognizer.frames([plainFrame(), plainFrame()], { signal: abort.signal })) {
        seen.push(index);
        abort.abort();
      }
    };
    await expect(loop()).rejects.toThrow(AbortError);
    expect(seen).toEqual([0]);
    const broken = async function* () {
      yield plainFrame();
      throw new RangeError('the camera is gone');
    };
    await expect(collected(recognizer.frames(broken()))).rejects.toThrow('the camera is gone');
    // What a source says once it is stopped is not why the loop ends.
    const stopped = new AbortController();
    const stopping = async function* () {
      yield plainFrame();
      stopped.abort();
      throw new RangeError('the camera is gone');
    };
    const waiting = collected(recognizer.frames(stopping(), { signal: stopped.signal }));
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError', completedSteps: 1 });
    recognizer.dispose();
    recognizer.dispose();
    expect(detector.disposed).toBe(true);
    await expect(recognizer.process(plainFrame())).rejects.toThrow(DisposedError);
    expect(() => new Recognizer({} as never)).toThrow(ArgumentError);
  });
});
