// What the command line does with faces: reads photographs or frames, recognises, and draws. Called by cli/engine.ts; users have
// Recognizer. The rule easy to break: a photograph is a stream of its own, so that its faces are numbered from 1.
import { mkdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { writeAtomic } from '../data/atomicFile';
import { encodePixels, readPixels } from '../data/imageFiles';
import { ArgumentError } from '../errors';
import { annotated } from './annotate';
import { type LoadRecognizerOptions, loadRecognizer } from './load';
import type { Recognizer } from './recognizer';
import type { FaceFrame, Image } from './types';
import { type FramesOfOptions, framesOf } from './video';

export interface DetectOptions extends LoadRecognizerOptions {
  /** Folder for annotated PNGs; none are written when absent. */
  readonly out?: string;
}

export interface WatchOptions extends DetectOptions, FramesOfOptions {
  readonly signal?: AbortSignal;
}

/** One photograph's or frame's faces and where they were drawn. */
export interface DetectedFaces extends FaceFrame {
  readonly image: string;
  readonly annotated?: string;
}

async function draw(out: string, name: string, image: Image, { faces }: FaceFrame): Promise<string> {
  await mkdir(out, { recursive: true });
  const file = path.join(out, name);
  const png = await encodePixels('annotate', annotated(image, faces));
  await writeAtomic(file, (write) => write(png));
  return file;
}

/** @throws ArgumentError where `out` is the folder of the frames, which may have the names of those that are drawn. */
async function checkOut(out: string, source: string): Promise<void> {
  const real = (place: string): Promise<string> => realpath(place).catch(() => path.resolve(place));
  if ((await real(out)) !== (await real(source))) return;
  throw new ArgumentError(`[watch] expected a folder other than that of the frames to draw into, got ${out}`);
}

/** Names of annotated files, `photo.faces.png`; a name that was there before gets a number. */
function fileNames(): (image: string) => string {
  const taken = new Set<string>();
  return (image) => {
    const { name } = path.parse(image);
    let file = `${name}.faces.png`;
    for (let count = 2; taken.has(file); count += 1) file = `${name}-${count}.faces.png`;
    taken.add(file);
    return file;
  };
}

/** The faces of each photograph, in order. Rejects as loadRecognizer(), and with DataError for what cannot be decoded. */
export async function* detectFaces(
  photos: readonly string[],
  { out, ...options }: DetectOptions = {},
): AsyncGenerator<DetectedFaces, void, void> {
  using recognizer = await loadRecognizer(options);
  const nameFor = fileNames();
  for (const image of photos) {
    const pixels = await readPixels('detect', image, 3);
    const frame = await recognizer.stream().process(pixels);
    const drawn = out === undefined ? {} : { annotated: await draw(out, nameFor(image), pixels, frame) };
    yield { image, ...frame, ...drawn };
  }
}

/**
 * The faces of every frame of a folder of images or a film. Rejects as loadRecognizer(), framesOf() and Recognizer.frames(), and
 * with ArgumentError where the frames would be drawn into their own folder.
 */
export async function* watchFaces(
  source: string,
  { out, signal, limit, ffmpeg, ...options }: WatchOptions = {},
): AsyncGenerator<DetectedFaces, void, void> {
  using recognizer = await loadRecognizer(options);
  yield* framesWith(recognizer, source, { out, signal, limit, ffmpeg });
}

/** watchFaces() with a recogniser that the caller has. */
export async function* framesWith(
  recognizer: Pick<Recognizer, 'frames'>,
  source: string,
  { out, signal, limit, ffmpeg }: { [K in keyof WatchOptions]?: WatchOptions[K] | undefined },
): AsyncGenerator<DetectedFaces, void, void> {
  if (out !== undefined) await checkOut(out, source);
  let last: Image | undefined;
  const remembered = async function* () {
    const range = { ...(limit === undefined ? {} : { limit }), ...(ffmpeg === undefined ? {} : { ffmpeg }) };
    for await (const image of framesOf(source, range)) {
      last = image;
      yield image;
    }
  };
  for await (const frame of recognizer.frames(remembered(), signal ? { signal } : {})) {
    const name = `frame-${String(frame.index).padStart(6, '0')}.png`;
    const drawn = out === undefined ? {} : { annotated: await draw(out, name, last!, frame) };
    yield { image: source, ...frame, ...drawn };
  }
}
