// Writes FER2013's CSV, row by row through one reused buffer. Called by `synth` and by tests of the reader.
// The rule easy to break: the format cannot say that faces are synthetic, so a note beside the file says it.
import { rm, writeFile } from 'node:fs/promises';
import { DataError } from '../errors';
import { type ByteSink, writeAtomic } from './atomicFile';
import { FER_SIDE, syntheticMark, type Usage } from './ferCsv';
import {
  checkDataset,
  type DataSplits,
  EXPRESSIONS,
  type ImageDataset,
  type JobOptions,
  throwIfAborted,
} from './types';

const PIXELS = FER_SIDE * FER_SIDE;
const CHUNK = 1 << 20;
const [SPACE, COMMA, ZERO] = [32, 44, 48];

/** Text of each byte and its length, `digits` at 4*value: "0".."255". */
const digits = new Uint8Array(256 * 4);
const digitCount = new Uint8Array(256);
for (let value = 0; value < 256; value++)
  digitCount[value] = Buffer.from(digits.buffer).write(String(value), 4 * value);

/** Writes one row at `at`; answers where it ends. A row has at most 4*2304+16 bytes. */
function encodeRow(buffer: Buffer, at: number, image: Uint8Array, label: number, usage: Usage): number {
  let end = at;
  buffer[end++] = ZERO + label;
  buffer[end++] = COMMA;
  for (let i = 0; i < image.length; i++) {
    const value = image[i]!;
    for (let digit = 0; digit < digitCount[value]!; digit++) buffer[end++] = digits[4 * value + digit]!;
    buffer[end++] = SPACE;
  }
  buffer[end - 1] = COMMA; // In place of the space after the last pixel.
  return end + buffer.write(`${usage}\n`, end, 'latin1');
}

async function writeRows(write: ByteSink, path: string, parts: [Usage, ImageDataset][], options: JobOptions) {
  const buffer = Buffer.allocUnsafe(CHUNK + 4 * PIXELS + 64);
  const total = parts.reduce((sum, [, { count }]) => sum + count, 0);
  let filled = buffer.write('emotion,pixels,Usage\n', 0, 'latin1');
  let done = 0;
  for (const [usage, { images, labels, count }] of parts) {
    for (let i = 0; i < count; i++) {
      filled = encodeRow(buffer, filled, images.subarray(i * PIXELS, (i + 1) * PIXELS), labels[i]!, usage);
      done++;
      if (filled < CHUNK && done < total) continue;
      throwIfAborted(options.signal, 'ferCsv');
      await write(buffer.subarray(0, filled));
      filled = 0;
      options.onProgress?.({ stage: `write ${path}`, done, total });
    }
  }
}

/**
 * Writes splits (48x48 grey, seven expressions) as a FER2013 CSV, atomically: train as Training, validation as
 * PublicTest, test as PrivateTest. A synthetic set gets a note beside the file, by which readFerCsv knows it again.
 */
export async function writeFerCsv(
  path: string,
  splits: Pick<DataSplits, 'train' | 'validation' | 'test'>,
  options: JobOptions = {},
): Promise<void> {
  const { train, validation, test } = splits;
  const parts: [Usage, ImageDataset][] = [['Training', train]];
  if (validation) parts.push(['PublicTest', validation]);
  parts.push(['PrivateTest', test]);
  for (const [, part] of parts) {
    checkDataset(part);
    const { height, width, channels, classes, name } = part;
    if (height !== FER_SIDE || width !== FER_SIDE || channels !== 1 || classes.join() !== EXPRESSIONS.join()) {
      throw new DataError(
        `[writeFerCsv] ${name}: expected ${FER_SIDE}x${FER_SIDE}x1 images of the classes ${EXPRESSIONS.join(', ')}, ` +
          `got ${height}x${width}x${channels} of ${classes.join(', ')}`,
      );
    }
  }
  const mark = syntheticMark(path);
  const synthetic = parts.some(([, part]) => part.synthetic);
  // In this order a failure between the two steps may call real rows synthetic, never synthetic rows real.
  if (synthetic) await writeFile(mark, 'Synthetic faces made by Gramian, not FER2013.\n');
  await writeAtomic(path, (write) => writeRows(write, path, parts, options));
  if (!synthetic) await rm(mark, { force: true });
}
