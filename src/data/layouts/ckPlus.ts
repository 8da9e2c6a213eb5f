// Reads the extended Cohn-Kanade data set (CK+) as distributed: DIR/cohn-kanade-images/S005/001/*.png, sequences from
// neutral to peak, with DIR/Emotion/S005/001/*_emotion.txt for 327 of the 593. Called by load.ts.
// Source: Lucey et al., The extended Cohn-Kanade dataset (CK+), CVPR workshops 2010; frames as in paper 004.
// The rule easy to break: only the sequence is labelled; its first frames are neutral whatever its label.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../errors';
import { type ImageFile, listFolder } from '../imageFiles';
import type { DataSplits } from '../types';
import {
  checkOptions,
  classesFor,
  decodeHeldOut,
  type Expression,
  findFolder,
  imageNames,
  type LayoutOptions,
  sequenceFiles,
  subfolders,
} from './shared';

const OP = 'ckplus';
const EXPECTED =
  'cohn-kanade-images/S005/001/S005_001_00000001.png and Emotion/S005/001/S005_001_00000011_emotion.txt as distributed';

/** Names of the codes 0 to 7 in an emotion file. */
const CODES = ['neutral', 'anger', 'contempt', 'disgust', 'fear', 'happy', 'sad', 'surprise'] as const;

type Code = Expression | 'contempt';

/** The emotion of a sequence, or undefined when it has no file. */
async function emotionOf(folder: string): Promise<Code | undefined> {
  const names = (await listFolder(OP, folder)).map(({ name }) => name).filter((name) => name.endsWith('_emotion.txt'));
  const [name, ...more] = names;
  if (name === undefined) return undefined;
  if (more.length > 0) throw new DataError(`[${OP}] ${folder}: expected one emotion file, got ${names.join(', ')}`);
  const text = (await readFile(join(folder, name), 'utf8')).trim();
  const code = text === '' ? undefined : CODES[Number(text)];
  if (code === undefined) {
    const shown = JSON.stringify(text.slice(0, 40));
    throw new DataError(`[${OP}] ${join(folder, name)}: expected an emotion from 0 to 7, got ${shown}`);
  }
  return code;
}

interface Found {
  readonly files: ImageFile[];
  readonly labelled: number;
  readonly others: number;
}

/** The used frames of every labelled sequence. */
async function findFiles(images: string, emotions: string, options: LayoutOptions): Promise<Found> {
  const files: ImageFile[] = [];
  let [labelled, others] = [0, 0];
  for (const subject of await subfolders(OP, emotions)) {
    for (const sequence of await subfolders(OP, join(emotions, subject))) {
      const expression = await emotionOf(join(emotions, subject, sequence));
      if (expression === undefined) continue;
      labelled++;
      if (expression === 'contempt' || expression === 'neutral') {
        others++;
        continue;
      }
      const folder = join(images, subject, sequence);
      const frames = await imageNames(OP, folder);
      if (frames.length === 0) throw new DataError(`[${OP}] ${folder}: the sequence is labelled but has no images`);
      files.push(...sequenceFiles(folder, frames, { expression, group: subject }, options));
    }
  }
  return { files, labelled, others };
}

/**
 * The last `peakFrames` frames of every sequence labelled with one of the six expressions, and with `neutral` its first
 * frame; a fifth of the subjects becomes the test. Contempt is left out and counted in the notes. Throws DataError naming
 * the folder or file that is missing or wrong.
 */
export async function readCkPlus(folder: string, options: LayoutOptions = {}): Promise<DataSplits> {
  checkOptions(OP, options);
  const images = await findFolder(
    OP,
    folder,
    ['cohn-kanade-images', 'extended-cohn-kanade-images/cohn-kanade-images'],
    EXPECTED,
  );
  const emotions = await findFolder(OP, folder, ['Emotion', 'Emotion_labels/Emotion'], EXPECTED);
  const { files, labelled, others } = await findFiles(images, emotions, options);
  const notes = [`${folder}: ${labelled} labelled sequences, ${others} of them contempt or neutral and left out`];
  const classes = classesFor(options.neutral ?? false);
  return decodeHeldOut({ op: OP, folder, classes, groups: 'subjects', notes }, files, options);
}
