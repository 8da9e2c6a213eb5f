// Frames a second of the whole pipeline on 640x480 frames with one to five faces, stage by stage, beside face-api on
// TensorFlow.js's wasm backend on the same frames; and what classifying a face takes, by batch. Called by bench/faces.ts.
import type { Precision } from '../../src/compile';
import { cropFaces } from '../../src/faces/crop';
import { faceApiClassifier } from '../../src/faces/faceApi';
import { type LoadRecognizerOptions, loadRecognizer } from '../../src/faces/load';
import type { StageTimings } from '../../src/faces/types';
import { ferCnn, type ModelFunction, modelNamed } from '../../src/models';
import { compileModel } from '../../src/train/compileModel';
import { frozenFaces, photograph } from '../../test/faces/photographs';
import { crowd } from './crowd';
import type { FaceApiPeer } from './peer';

export const STAGES = ['detect', 'track', 'crop', 'classify', 'total'] as const;

export interface SpeedRow {
  readonly faces: number;
  /** Faces that were found in a frame, on average. */
  readonly found: number;
  readonly framesPerSecond: number;
  /** Means over all frames, ms. */
  readonly stages: Readonly<Record<(typeof STAGES)[number], number>>;
  /** Of frames in which the detector looked, ms. */
  readonly detectMs: number;
  readonly peer?: { readonly found: number; readonly framesPerSecond: number };
}

/** Frames before the clock runs. */
const WARM = 12;

async function sources(count: number) {
  const photo = await photograph('sample5');
  return frozenFaces('sample5', 'ssd')
    .slice(0, count)
    .map(({ box }) => ({ photo, face: box }));
}

export interface SpeedOptions extends LoadRecognizerOptions {
  readonly frames: number;
  readonly size: number;
}

export async function* speedRows(
  { frames, size, ...options }: SpeedOptions,
  peer: FaceApiPeer | undefined,
): AsyncGenerator<SpeedRow> {
  using recognizer = await loadRecognizer({ size, ...options });
  for (let count = 1; count <= 5; count += 1) {
    const film = crowd(await sources(count), frames + WARM);
    const stream = recognizer.stream();
    for (const frame of film.slice(0, WARM)) await stream.process(frame);
    const sums: Record<keyof StageTimings, number> = { detect: 0, track: 0, crop: 0, classify: 0, total: 0 };
    let [found, detections] = [0, 0];
    for (const frame of film.slice(WARM)) {
      const { faces, timings, detected } = await stream.process(frame);
      found += faces.length;
      if (detected) detections += 1;
      for (const stage of STAGES) sums[stage] += timings[stage];
    }
    const stages = Object.fromEntries(STAGES.map((stage) => [stage, sums[stage] / frames])) as SpeedRow['stages'];
    const row = {
      ...{ faces: count, found: found / frames, framesPerSecond: 1000 / stages.total, stages },
      detectMs: sums.detect / Math.max(1, detections),
    };
    if (!peer) {
      yield row;
      continue;
    }
    // Slow enough that a tenth of the frames tells.
    const shown = film.slice(WARM, WARM + Math.max(5, Math.round(frames / 10)));
    await peer.recognise(shown[0]!, size);
    const start = performance.now();
    let seen = 0;
    for (const frame of shown) seen += await peer.recognise(frame, size);
    const seconds = (performance.now() - start) / 1000;
    yield { ...row, peer: { found: seen / shown.length, framesPerSecond: shown.length / seconds } };
  }
}

export interface ClassifyRow {
  readonly network: string;
  readonly batch: number;
  readonly msAFace: number;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

async function timed(network: string, batches: readonly number[], run: (count: number) => Promise<unknown>) {
  const rows: ClassifyRow[] = [];
  for (const batch of batches) {
    const times: number[] = [];
    for (let turn = 0; turn < 30; turn += 1) {
      const start = performance.now();
      await run(batch);
      if (turn >= 5) times.push(performance.now() - start);
    }
    rows.push({ network, batch, msAFace: median(times) / batch });
  }
  return rows;
}

/** face-api's network on faces of a photograph, and networks of ours (untrained: time does not depend on weights). */
export async function classifyRows(
  models: readonly string[],
  placement: { readonly threads?: number; readonly precision?: Precision },
): Promise<ClassifyRow[]> {
  const batches = [1, 2, 5, 16];
  const photo = await photograph('sample5');
  const faces = frozenFaces('sample5', 'ssd');
  const api = await faceApiClassifier(placement);
  const cut = cropFaces(
    photo,
    Array.from({ length: 16 }, (_, index) => faces[index % faces.length]!),
    api.crop,
  );
  const size = cut.length / 16;
  const rows = await timed('face-api expressions 112x112', batches, (count) =>
    api.classify(cut.subarray(0, count * size), count),
  );
  api.dispose();
  for (const name of models) {
    const model: ModelFunction = name === 'ferCnn' ? ferCnn : modelNamed(name);
    using compiled = await compileModel(model, {
      ...{ input: [48, 48, 1] as const, classes: 7, pixels: { mean: [0.5], std: [0.25] } },
      ...placement,
    });
    const bytes = new Uint8Array(16 * 48 * 48).map((_, index) => (index * 7919) % 251);
    rows.push(...(await timed(`${name} 48x48`, batches, (count) => compiled.run(bytes.subarray(0, count * 48 * 48)))));
  }
  return rows;
}
