// The tracker on films of 300 frames at 640x480, each of one motion, made from the photographs; with a Python that has OpenCV's
// contributed modules, its KCF on the same frames; and streams with a detector, whose faces should keep their numbers. Called by
// bench/faces.ts.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { GrayFrame } from '../../src/faces/grayFrame';
import { iou } from '../../src/faces/image';
import { type KcfOptions, KcfTracker } from '../../src/faces/kcf';
import type { Recognizer } from '../../src/faces/recognizer';
import type { Box, Image } from '../../src/faces/types';
import { frozenFaces, type Photograph, photograph } from '../../test/faces/photographs';
import { filmOf, MOTIONS, type Motion } from '../../test/faces/sequences';

export interface TrackingRow {
  readonly photograph: string;
  readonly motion: Motion;
  /** Mean IoU, share of frames with an IoU of 0.5 or more, ms a frame. */
  readonly ours: Score;
  readonly opencv?: Score;
  readonly stream?: Numbers;
}

/** What a stream with a detector made of a film's face. */
export interface Numbers {
  /** Frames in which a face overlapped with it by an IoU of a quarter or more: detectors' boxes are wider than the film's. */
  readonly seen: number;
  /** Numbers that it had. */
  readonly numbers: number;
}

export interface Score {
  readonly meanIou: number;
  readonly success: number;
  readonly ms: number;
}

function scored(overlaps: readonly number[], ms: number): Score {
  const mean = overlaps.reduce((sum, value) => sum + value, 0) / overlaps.length;
  return { meanIou: mean, success: overlaps.filter((value) => value >= 0.5).length / overlaps.length, ms };
}

interface Rendered {
  readonly frames: readonly Image[];
  readonly boxes: readonly Box[];
}

async function ours({ frames, boxes }: Rendered, options: KcfOptions): Promise<Score> {
  const tracker = new KcfTracker(options);
  let tracks = await tracker.start(new GrayFrame(frames[0]!), [boxes[0]!]);
  let spent = 0;
  const overlaps: number[] = [];
  for (const [index, frame] of frames.slice(1).entries()) {
    const start = performance.now();
    tracks = await tracker.follow(new GrayFrame(frame), tracks);
    spent += performance.now() - start;
    overlaps.push(iou(tracks[0]!.box, boxes[index + 1]!));
  }
  tracker.dispose();
  return scored(overlaps, spent / overlaps.length);
}

const SEEN = 0.25;

async function numbersOf({ frames, boxes }: Rendered, recognizer: Recognizer): Promise<Numbers> {
  const stream = recognizer.stream();
  const ids: number[] = [];
  for (const [index, frame] of frames.entries()) {
    const { faces } = await stream.process(frame);
    const overlaps = faces.map(({ box }) => iou(box, boxes[index]!));
    const best = overlaps.indexOf(Math.max(...overlaps));
    if (best >= 0 && overlaps[best]! >= SEEN) ids.push(faces[best]!.id);
  }
  return { seen: ids.length, numbers: new Set(ids).size };
}

/** @param python a Python with cv2.TrackerKCF_create. */
function opencv({ frames, boxes }: Rendered, python: string): Score {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gramian-kcf-'));
  try {
    const file = path.join(folder, 'film.raw');
    writeFileSync(file, Buffer.concat(frames.map(({ pixels }) => pixels)));
    const { width, height } = frames[0]!;
    const first = boxes[0]!;
    const film = { file, count: frames.length, width, height, box: [first.x, first.y, first.width, first.height] };
    writeFileSync(path.join(folder, 'films'), `${JSON.stringify(film)}\n`);
    const script = path.join(__dirname, 'opencv_kcf.py');
    const text = execFileSync(python, [script, path.join(folder, 'films')], { encoding: 'utf8', maxBuffer: 1 << 26 });
    const answer = JSON.parse(text) as { boxes: (readonly number[] | null)[]; ms: number };
    const overlaps = answer.boxes.map((box, index) => {
      if (!box) return 0;
      const [x, y, width, height] = box as [number, number, number, number];
      return iou({ x, y, width, height }, boxes[index + 1]!);
    });
    return scored(overlaps, answer.ms);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface TrackingOptions extends KcfOptions {
  readonly photographs: readonly Photograph[];
  readonly python?: string;
  /** Looks at every sixth frame of the streams; no streams without it. */
  readonly recognizer?: Recognizer;
}

export async function* trackingRows({
  photographs,
  python,
  recognizer,
  ...options
}: TrackingOptions): AsyncGenerator<TrackingRow> {
  for (const name of photographs) {
    const photo = await photograph(name, 1);
    const [face] = frozenFaces(name, 'ssd');
    for (const motion of MOTIONS) {
      const film = filmOf(photo, face!.box, motion);
      const indices = Array.from({ length: film.count }, (_, index) => index);
      const rendered = {
        frames: indices.map((index) => film.frame(index)),
        boxes: indices.map((index) => film.box(index)),
      };
      yield {
        ...{ photograph: name, motion, ours: await ours(rendered, options) },
        ...(python === undefined ? {} : { opencv: opencv(rendered, python) }),
        ...(recognizer ? { stream: await numbersOf(rendered, recognizer) } : {}),
      };
    }
  }
}
