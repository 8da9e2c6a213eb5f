// Networks that answer what a test tells them, and frames for them: the pipeline's parts without weights. Used by the tests
// of streams and by whoever serves them. They are deterministic and know nothing of pictures.
import type { Detection, Detector, FaceClassifier, Image } from '../../src/faces/types';

/** A grey frame whose pixels all have one value. */
export function plainFrame(width = 64, height = 48, value = 128): Image {
  return { pixels: new Uint8Array(width * height).fill(value), width, height, channels: 1 };
}

export interface FakeDetector extends Detector {
  /** Images it was shown. */
  readonly calls: number;
  readonly disposed: boolean;
}

/** Answers `script(call)` for its call number 0, 1, 2, ... */
export function fakeDetector(script: (call: number, image: Image) => readonly Detection[]): FakeDetector {
  const state = { calls: 0, disposed: false };
  return {
    name: 'fake',
    get calls() {
      return state.calls;
    },
    get disposed() {
      return state.disposed;
    },
    async detect(image) {
      state.calls += 1;
      return script(state.calls - 1, image);
    },
    dispose() {
      state.disposed = true;
    },
  };
}

/** Says of every face that it is `winner`, by 0.7; the other classes share the rest. */
export function fakeClassifier(classNames: readonly string[], winner: number): FaceClassifier {
  return {
    crop: { size: [48, 48], channels: 1, fit: 'square' },
    classNames,
    async classify(_faces, count) {
      const rest = 0.3 / (classNames.length - 1);
      return Float32Array.from({ length: count * classNames.length }, (_, at) =>
        at % classNames.length === winner ? 0.7 : rest,
      );
    },
    dispose() {},
  };
}

/** Two faces that drift to the right and down, `step` pixels a call; the second has landmarks. */
export function driftingFaces(call: number, step = 2): Detection[] {
  const x = 10 + call * step;
  const y = 8 + call * step;
  const box = { x: x + 100, y, width: 40, height: 40 };
  const at = (dx: number, dy: number) => ({ x: box.x + dx, y: box.y + dy });
  return [
    { box: { x, y, width: 32, height: 36 }, score: 0.95 },
    {
      box,
      score: 0.9,
      landmarks: {
        leftEye: at(12, 14),
        rightEye: at(28, 14),
        nose: at(20, 22),
        mouthLeft: at(14, 30),
        mouthRight: at(26, 30),
      },
    },
  ];
}
