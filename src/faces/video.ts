// Frames of a folder of images, or of a film through the user's ffmpeg. Called by the command line and by users. The rule easy to
// break: ffmpeg is asked for one frame after the other and is ended when nobody wants more of them, so a film is never held in
// memory.
import { type ChildProcess, spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { IMAGE_TYPES, isImage, listFolder, readPixels } from '../data/imageFiles';
import { ArgumentError, DataError } from '../errors';
import type { Image } from './types';

export interface FramesOfOptions {
  /** Frames to take at most, 1 or more; all by default. */
  readonly limit?: number;
  /** Name or path of ffmpeg, `ffmpeg` by default. */
  readonly ffmpeg?: string;
}

/** Cap on a frame's extents, against a stream that is none. */
const MOST_EXTENT = 16_384;
/** What of ffmpeg's complaints an error repeats. */
const COMPLAINT = 300;
/** A header of a binary PPM: P6, width, height, 255, one white space. */
const HEADER = /^P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s/;
const HEADER_BYTES = 32;

/** Cuts a stream of binary PPMs into images. @throws DataError for anything else. */
export async function* splitPpm(chunks: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<Image, void, void> {
  const waiting: Uint8Array[] = [];
  let length = 0;
  /** The first `count` bytes, taken off or only looked at. */
  const take = (count: number, keep: boolean): Buffer => {
    const whole =
      waiting.length === 1 ? Buffer.from(waiting[0]!.buffer, waiting[0]!.byteOffset, length) : Buffer.concat(waiting);
    waiting.length = 0;
    waiting.push(keep ? whole : whole.subarray(count));
    if (!keep) length -= count;
    return whole.subarray(0, count);
  };
  let header: { bytes: number; width: number; height: number } | undefined;
  const next = (ended: boolean): Image | undefined => {
    if (!header && (length >= HEADER_BYTES || (ended && length > 0))) {
      const match = HEADER.exec(take(Math.min(length, HEADER_BYTES), true).toString('latin1'));
      const [width, height] = [Number(match?.[1]), Number(match?.[2])];
      if (!match || width < 1 || height < 1 || width > MOST_EXTENT || height > MOST_EXTENT) {
        throw new DataError(`[video] ${file}: ffmpeg answered something that is no picture`);
      }
      header = { bytes: match[0].length, width, height };
    }
    if (!header || length < header.bytes + header.width * header.height * 3) return undefined;
    const { bytes, width, height } = header;
    const size = width * height * 3;
    const pixels = Uint8Array.from(take(bytes + size, false).subarray(bytes));
    header = undefined;
    return { pixels, width, height, channels: 3 };
  };
  for await (const chunk of chunks) {
    waiting.push(chunk);
    length += chunk.length;
    // Joining is put off until a frame is whole, so that a frame of many chunks is copied once.
    if (header && length < header.bytes + header.width * header.height * 3) continue;
    for (let image = next(false); image; image = next(false)) yield image;
  }
  for (let image = next(true); image; image = next(true)) yield image;
  if (length > 0) throw new DataError(`[video] ${file}: the last frame is cut off`);
}

/** How a process ended, and the end of what it complained of. */
interface End {
  readonly code: number | null;
  readonly error?: NodeJS.ErrnoException;
  readonly complaint: string;
}

function endOf(child: ChildProcess): Promise<End> {
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-COMPLAINT);
  });
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: null, error, complaint }));
    child.on('close', (code) => resolve({ code, complaint: complaint.trim() }));
  });
}

/** Why there are no (more) frames; undefined when ffmpeg ended well. */
function failureOf({ code, error, complaint }: End, ffmpeg: string, file: string): DataError | undefined {
  if (error?.code === 'ENOENT') {
    const ways = 'install it (Debian: apt-get install ffmpeg), or give a folder of images';
    return new DataError(`[video] ${file}: films are decoded by ${ffmpeg}, which is not installed: ${ways}`, {
      cause: error,
    });
  }
  if (!error && code === 0) return undefined;
  const reason = error?.message ?? (complaint || `it ended with ${code}`);
  return new DataError(`[video] ${file}: ${ffmpeg} cannot decode it: ${reason}`, { cause: error });
}

async function* filmFrames(file: string, { limit, ffmpeg = 'ffmpeg' }: FramesOfOptions): AsyncGenerator<Image> {
  const range = limit === undefined ? [] : ['-frames:v', String(limit)];
  const output = ['-f', 'image2pipe', '-c:v', 'ppm', '-pix_fmt', 'rgb24', 'pipe:1'];
  // A local file and nothing that opens a connection.
  const input = ['-nostdin', '-hide_banner', '-loglevel', 'error', '-protocol_whitelist', 'file,pipe'];
  const child = spawn(ffmpeg, [...input, '-i', `file:${file}`, ...range, ...output], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = endOf(child);
  try {
    yield* splitPpm(child.stdout!, file);
  } catch (error) {
    child.kill('SIGKILL');
    const end = await ended;
    throw (end.code === null ? undefined : failureOf(end, ffmpeg, file)) ?? error;
  } finally {
    // Nobody wants more: a consumer that broke its loop ends here too.
    child.kill('SIGKILL');
  }
  const failure = failureOf(await ended, ffmpeg, file);
  if (failure) throw failure;
}

async function* folderFrames(folder: string, { limit = Infinity }: FramesOfOptions): AsyncGenerator<Image> {
  const images = (await listFolder('video', folder)).filter(isImage);
  if (images.length === 0) {
    throw new DataError(`[video] ${folder}: has no images; their names end in ${[...IMAGE_TYPES].join(', ')}`);
  }
  const collator = new Intl.Collator('en', { numeric: true });
  const names = images.map(({ name }) => name).sort(collator.compare);
  for (const name of names.slice(0, limit)) yield readPixels('video', path.join(folder, name), 3);
}

/**
 * RGB frames of a folder of images (in the order of the numbers in their names), or of a film that ffmpeg can read. Rejects
 * with ArgumentError for a wrong limit, DataError for what does not exist or cannot be decoded, and when ffmpeg is not installed.
 */
export async function* framesOf(source: string, options: FramesOfOptions = {}): AsyncGenerator<Image, void, void> {
  const { limit = 1 } = options;
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new ArgumentError(`[video] limit is an integer of 1 or more, got ${String(limit)}`);
  }
  const found = await stat(source).catch((error: Error) => {
    throw new DataError(`[video] ${source}: cannot be read: ${error.message}`, { cause: error });
  });
  yield* found.isDirectory() ? folderFrames(source, options) : filmFrames(path.resolve(source), options);
}
