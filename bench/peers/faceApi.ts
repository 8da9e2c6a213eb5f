// face-api itself, its own published code over TensorFlow.js's wasm backend, as the independent answer for its networks. Called by
// bench/expressionNet.ts and the tests of the importers. The rule easy to break: the package's entry for Node asks for the whole of
// @tensorflow/tfjs; the core and the few chained calls that it uses are enough, and all that is installed.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const load = createRequire(__filename);

/** Folder of face-api's weights. */
export const MODELS = path.join(path.dirname(load.resolve('@vladmandic/face-api/package.json')), 'model');

interface TfTensor {
  readonly size: number;
  readonly shape: readonly number[];
  dataSync(): Float32Array;
  dispose(): void;
}
type Outputs = Readonly<Record<string, TfTensor>>;
type TfCall = (...args: unknown[]) => TfTensor;

interface Net {
  loadFromWeightMap(map: unknown): void;
  forwardInput(input: unknown, size?: number): TfTensor | Outputs;
}

interface FaceApi {
  readonly FaceExpressionNet: new () => Net;
  readonly AgeGenderNet: new () => Net;
  readonly TinyFaceDetector: new () => Net;
  readonly NetInput: new (images: readonly TfTensor[]) => unknown;
}

interface Core {
  readonly Tensor: { readonly prototype: Record<string, unknown> };
  readonly io: { decodeWeights(bytes: ArrayBuffer, entries: unknown): unknown };
  readonly tensor3d: TfCall;
  readonly div: TfCall;
  readonly reshape: TfCall;
  readonly version_core: string;
  tidy<T>(body: () => T): T;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
}

export type PeerNet = 'FaceExpressionNet' | 'AgeGenderNet' | 'TinyFaceDetector';

/** One network with its input ready. */
export interface LoadedNet {
  /** Its outputs, by name where it has several, else `result`. */
  run(): Record<string, Float32Array>;
  dispose(): void;
}

export interface Peer {
  readonly version: string;
  /** A network with face-api's weights for images [side,side,3] of bytes as floats. */
  open(net: PeerNet, file: string, images: readonly Float32Array[], side: number): LoadedNet;
}

export async function faceApiPeer(): Promise<Peer> {
  const core = load('@tensorflow/tfjs-core') as Core;
  const { prototype } = core.Tensor;
  prototype.div = function (this: TfTensor, by: unknown) {
    return core.div(this, by);
  };
  prototype.as1D = function (this: TfTensor) {
    return core.reshape(this, [this.size]);
  };
  for (const rank of [2, 3, 4]) {
    prototype[`as${rank}D`] = function (this: TfTensor, ...shape: number[]) {
      return core.reshape(this, shape);
    };
  }
  const code = readFileSync(load.resolve('@vladmandic/face-api/dist/face-api.node-wasm.js'), 'utf8');
  const module = { exports: {} };
  const requireOf = (name: string): unknown => (name === '@tensorflow/tfjs' ? core : load(name));
  new Function('module', 'exports', 'require', code)(module, module.exports, requireOf);
  const faceApi = module.exports as FaceApi;
  if (!(await core.setBackend('wasm'))) throw new Error('TensorFlow.js has no wasm backend here');
  await core.ready();
  return {
    version: `${core.version_core}, wasm, 1 thread`,
    open(kind, file, images, side) {
      const net = new faceApi[kind]();
      const manifest = JSON.parse(readFileSync(path.join(MODELS, `${file}-weights_manifest.json`), 'utf8'));
      const bytes = Uint8Array.from(readFileSync(path.join(MODELS, `${file}.bin`)));
      net.loadFromWeightMap(core.io.decodeWeights(bytes.buffer, manifest[0].weights));
      const tensors = images.map((image) => core.tensor3d(image, [side, side, 3]));
      const answer = (): Record<string, Float32Array> => {
        const made = net.forwardInput(new faceApi.NetInput(tensors), side);
        const named = typeof made.dataSync === 'function' ? { result: made as TfTensor } : (made as Outputs);
        return Object.fromEntries(Object.entries(named).map(([name, tensor]) => [name, tensor.dataSync().slice()]));
      };
      return {
        run: () => core.tidy(answer),
        dispose: () => {
          for (const tensor of tensors) tensor.dispose();
        },
      };
    },
  };
}
