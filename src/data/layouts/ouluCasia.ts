// Reads Oulu-CASIA NIR&VIS as distributed: DIR/VL/Strong/P001/Anger/000.jpeg and on, sequences from neutral to peak of 80
// subjects, by camera (VL visible, NI near-infrared) and light (Strong, Weak, Dark). Called by load.ts.
// Source: Zhao et al., Facial expression recognition from near-infrared videos, 2011; frames as in paper 004.
// The rule easy to break: one camera and one light at a time; the same faces under another light are not new subjects.
import { basename, join } from 'node:path';
import { ArgumentError, DataError } from '../../errors';
import type { ImageFile } from '../imageFiles';
import type { DataSplits } from '../types';
import {
  checkOptions,
  classesFor,
  decodeHeldOut,
  expressionOf,
  findFolder,
  imageNames,
  type LayoutOptions,
  sequenceFiles,
  subfolders,
} from './shared';

export interface OuluOptions extends LayoutOptions {
  /** Visible light or near-infrared; VL. */
  readonly camera?: 'VL' | 'NI' | undefined;
  /** Strong. */
  readonly light?: 'Strong' | 'Weak' | 'Dark' | undefined;
}

const OP = 'oulu-casia';
const CAMERAS = ['VL', 'NI'];
const LIGHTS = ['Strong', 'Weak', 'Dark'];
const SUBJECT = /^P\d{3}$/;

function settingsOf({ camera = 'VL', light = 'Strong' }: OuluOptions) {
  if (!CAMERAS.includes(camera)) throw new ArgumentError(`[${OP}] expected the camera VL or NI, got ${camera}`);
  if (!LIGHTS.includes(light)) throw new ArgumentError(`[${OP}] expected the light Strong, Weak or Dark, got ${light}`);
  return { camera, light };
}

/** The folder that holds the subjects: DIR itself when it already names camera and light. */
async function subjectsFolder(folder: string, options: OuluOptions): Promise<string> {
  const { camera, light } = settingsOf(options);
  if ((await subfolders(OP, folder)).some((name) => SUBJECT.test(name))) return folder;
  const places = [camera, `${camera}_Acropped`].flatMap((part) =>
    ['', 'OriginalImg', 'B_OriginalImg', 'PreProcess Img', 'PreProcess_Img'].map((above) => join(above, part, light)),
  );
  return findFolder(OP, folder, places, `${camera}/${light}/P001/Anger/000.jpeg as distributed`);
}

/** The used frames of one subject; all six expressions must be there. */
async function subjectFiles(folder: string, options: OuluOptions): Promise<ImageFile[]> {
  const folders = await subfolders(OP, folder);
  const files: ImageFile[] = [];
  for (const expression of classesFor(false)) {
    const name = folders.find((one) => expressionOf(one) === expression);
    if (name === undefined) {
      throw new DataError(`[${OP}] ${folder}: there is no folder for ${expression}, it has ${folders.join(', ')}`);
    }
    const frames = await imageNames(OP, join(folder, name));
    if (frames.length === 0) throw new DataError(`[${OP}] ${join(folder, name)}: there are no images in it`);
    files.push(...sequenceFiles(join(folder, name), frames, { expression, group: basename(folder) }, options));
  }
  return files;
}

/**
 * The last `peakFrames` frames of every sequence of one camera and light, and with `neutral` its first; a fifth of the
 * subjects becomes the test. DIR may also be a folder of subjects, such as DIR/NI/Dark. Throws DataError naming the folder
 * that is missing or empty.
 */
export async function readOuluCasia(folder: string, options: OuluOptions = {}): Promise<DataSplits> {
  checkOptions(OP, options);
  const place = await subjectsFolder(folder, options);
  const subjects = (await subfolders(OP, place)).filter((name) => SUBJECT.test(name));
  if (subjects.length === 0) throw new DataError(`[${OP}] ${place}: there is no subject in it, expected P001 and on`);
  const files: ImageFile[] = [];
  for (const subject of subjects) files.push(...(await subjectFiles(join(place, subject), options)));
  const notes = place === folder ? [] : [`${folder}: sequences of ${place}`];
  const classes = classesFor(options.neutral ?? false);
  return decodeHeldOut({ op: OP, folder, classes, groups: 'subjects', notes }, files, options);
}
