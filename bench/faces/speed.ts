// Frames a second of the whole pipeline on 640x480 frames with one to five faces, stage by stage, beside face-api on
// TensorFlow.js's wasm backend on the same frames; and what classifying a face takes, by batch. Called by bench/faces.ts.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Precision } from '../../src/compile';
import { cropFaces } from '../../src/faces/crop';
import { faceApiClassifier } from '../../src/faces/faceApi';
import { type LoadRecognizerOptions, loadRecognizer } from '../../src/faces/load';
import type { FaceStream } from '../../src/faces/stream';
import type { Image, StageTimings } from '../../src/faces/types';
import { ferCnn, type ModelFunction, modelNamed } from '../../src/models';
import { compileModel } from '../../src/train/compileModel';
import { frozenFaces, photograph } from '../../test/faces/photographs';
import { crowd } from './crowd';
import type { FaceApiPeer } from './peer';

export const STAGES = ['detect', 'track', 'crop', 'classify', 'total'] as const;
type Stages = Readonly<Record<(typeof STAGES)[number], number>>;

/** Medians over blocks of frames, which both see one right after the other: a busy moment of the machine is in few of them. */
export interface SpeedRow {
  readonly faces: number;
  /** Faces that were found in a frame, on average. */
  readonly found: number;
  readonly framesPerSecond: number;
  /** Of a frame, ms. */
  readonly stages: Stages;
  /** Of a frame in which the detector looked, ms. */
  readonly detectMs: number;
  readonly peer?: { readonly found: number; readonly framesPerSecond: number; readonly ratio: number };
}

/** Frames before the clock runs. */
const WARM = 12;
/** Frames of a block; the detector looks at every sixth. */
const BLOCK = 30;
/** Frames of a block that face-api sees: it is slow enough that a few tell. */
const SHOWN = 5;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

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

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

interface Block {
  readonly found: number;
  readonly stages: Stages;
  readonly detectMs: number;
  readonly peer?: { readonly found: number; readonly ms: number };
}

async function oursOf(stream: FaceStream, frames: readonly Image[]): Promise<Omit<Block, 'peer'>> {
  const sums: Record<keyof StageTimings, number> = { detect: 0, track: 0, crop: 0, classify: 0, total: 0 };
  let [found, detections] = [0, 0];
  for (const frame of frames) {
    const { faces, timings, detected } = await stream.process(frame);
    found += faces.length;
    if (detected) detections += 1;
    for (const stage of STAGES) sums[stage] += timings[stage];
  }
  const stages = Object.fromEntries(STAGES.map((stage) => [stage, sums[stage] / frames.length])) as Stages;
  return { found: found / frames.length, stages, detectMs: sums.detect / Math.max(1, detections) };
}

async function peersOf(peer: FaceApiPeer, frames: readonly Image[], size: number): Promise<Block['peer']> {
  let found = 0;
  const start = performance.now();
  for (const frame of frames) found += await peer.recognise(frame, size);
  return { found: found / frames.length, ms: (performance.now() - start) / frames.length };
}

function rowOf(faces: number, blocks: readonly Block[]): SpeedRow {
  const over = (of: (block: Block) => number): number => median(blocks.map(of));
  const stages = Object.fromEntries(STAGES.map((stage) => [stage, over((block) => block.stages[stage])])) as Stages;
  const row = {
    ...{ faces, stages, framesPerSecond: 1000 / stages.total },
    found: blocks.reduce((sum, { found }) => sum + found, 0) / blocks.length,
    detectMs: over((block) => block.detectMs),
  };
  if (!blocks[0]!.peer) return row;
  const peer = {
    found: blocks.reduce((sum, block) => sum + block.peer!.found, 0) / blocks.length,
    framesPerSecond: 1000 / over((block) => block.peer!.ms),
    ratio: over((block) => block.peer!.ms / block.stages.total),
  };
  return { ...row, peer };
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
    await peer?.recognise(film[0]!, size);
    const blocks: Block[] = [];
    for (let at = WARM; at < film.length; at += BLOCK) {
      const shown = film.slice(at, at + BLOCK);
      // What one leaves behind is not collected in the other's time.
      collectGarbage();
      const ours = await oursOf(stream, shown);
      collectGarbage();
      const theirs = peer ? await peersOf(peer, shown.slice(0, SHOWN), size) : undefined;
      blocks.push({ ...ours, ...(theirs ? { peer: theirs } : {}) });
    }
    yield rowOf(count, blocks);
  }
}

export interface ClassifyRow {
  readonly network: string;
  readonly batch: number;
  readonly msAFace: number;
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
