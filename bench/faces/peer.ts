// face-api as a whole, on TensorFlow.js's wasm backend: what the face pipeline is compared with and whose boxes the tests hold.
// Called by bench/faces.ts. Its entry for Node asks for the whole of @tensorflow/tfjs; the core with its chained calls is enough.
// The rule easy to break: every tensor that a frame makes is disposed of, or the comparison measures a leak.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Image } from '../../src/faces/types';

const load = createRequire(__filename);

interface Detection {
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  readonly score: number;
}
interface Faces extends Promise<readonly Detection[]> {
  withFaceExpressions(): Promise<readonly { readonly detection: Detection; readonly expressions: object }[]>;
}
interface FaceApi {
  readonly nets: Record<string, { loadFromWeightMap(map: unknown): void }>;
  readonly TinyFaceDetectorOptions: new (options: { inputSize: number }) => unknown;
  readonly SsdMobilenetv1Options: new () => unknown;
  detectAllFaces(image: unknown, options: unknown): Faces;
}
interface Core {
  tensor3d(values: Int32Array, shape: number[], dtype: string): { dispose(): void };
  readonly io: { decodeWeights(bytes: ArrayBuffer, entries: unknown): unknown };
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  readonly engine: () => { startScope(): void; endScope(): void };
}

/** x, y, width, height and score of each face. */
export type Found = number[][];

export interface FaceApiPeer {
  readonly version: string;
  tiny(image: Image, size: number): Promise<Found>;
  ssd(image: Image): Promise<Found>;
  /** Finds faces and tells their expressions, as one would for a frame of a film; answers how many. */
  recognise(image: Image, size: number): Promise<number>;
}

export async function faceApiPeer(): Promise<FaceApiPeer> {
  const core = load('@tensorflow/tfjs-core') as Core;
  load('@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops');
  const manifest = load.resolve('@vladmandic/face-api/package.json');
  const code = readFileSync(load.resolve('@vladmandic/face-api/dist/face-api.node-wasm.js'), 'utf8');
  const module = { exports: {} };
  const requireOf = (name: string): unknown => (name === '@tensorflow/tfjs' ? core : load(name));
  new Function('module', 'exports', 'require', code)(module, module.exports, requireOf);
  const api = module.exports as FaceApi;
  if (!(await core.setBackend('wasm'))) throw new Error('TensorFlow.js has no wasm backend here');
  await core.ready();
  for (const [net, model] of [
    ['tinyFaceDetector', 'tiny_face_detector'],
    ['ssdMobilenetv1', 'ssd_mobilenetv1'],
    ['faceExpressionNet', 'face_expression'],
  ] as const) {
    const base = path.join(path.dirname(manifest), 'model', `${model}_model`);
    const [group] = JSON.parse(readFileSync(`${base}-weights_manifest.json`, 'utf8')) as [{ weights: unknown }];
    const bytes = Uint8Array.from(readFileSync(`${base}.bin`)).buffer;
    api.nets[net]!.loadFromWeightMap(core.io.decodeWeights(bytes, group.weights));
  }
  const withTensor = async <T>(image: Image, work: (tensor: unknown) => Promise<T>): Promise<T> => {
    const values = Int32Array.from(image.pixels);
    const tensor = core.tensor3d(values, [image.height, image.width, 3], 'int32');
    try {
      return await work(tensor);
    } finally {
      tensor.dispose();
    }
  };
  const flat = (faces: readonly Detection[]): Found =>
    faces.map(({ box, score }) => [
      ...[box.x, box.y, box.width, box.height].map((value) => Number(value.toFixed(2))),
      Number(score.toFixed(4)),
    ]);
  const tinyOptions = (inputSize: number) => new api.TinyFaceDetectorOptions({ inputSize });
  return {
    version: (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version,
    tiny: (image, size) =>
      withTensor(image, async (tensor) => flat(await api.detectAllFaces(tensor, tinyOptions(size)))),
    ssd: (image) =>
      withTensor(image, async (tensor) => flat(await api.detectAllFaces(tensor, new api.SsdMobilenetv1Options()))),
    recognise: (image, size) =>
      withTensor(image, async (tensor) => {
        const faces = await api.detectAllFaces(tensor, tinyOptions(size)).withFaceExpressions();
        return faces.length;
      }),
  };
}
