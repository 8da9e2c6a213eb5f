// Images with the boxes of their faces, as MTCNN is trained on: a folder with a table, or scenes that are drawn. Called by
// train.ts. The rule easy to break: an image is decoded when it is asked for, so a folder larger than memory can be used.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { readPixels } from '../../data/imageFiles';
import { DataError } from '../../errors';
import type { Box, Image, Landmarks } from '../types';

export interface AnnotatedFace {
  readonly box: Box;
  readonly landmarks?: Landmarks;
}

export interface AnnotatedImage {
  readonly name: string;
  readonly faces: readonly AnnotatedFace[];
  /** RGB. */
  load(): Promise<Image>;
}

/** What the table of a folder is called. */
export const BOXES_FILE = 'boxes.csv';

const BOX_COLUMNS = ['file', 'x', 'y', 'width', 'height'] as const;
const POINTS = ['leftEye', 'rightEye', 'nose', 'mouthLeft', 'mouthRight'] as const;
const POINT_COLUMNS = POINTS.flatMap((point) => [`${point}X`, `${point}Y`]);
const ALL_COLUMNS = [...BOX_COLUMNS, ...POINT_COLUMNS];

/** One line's face; none where the file has none. */
function faceOf(cells: readonly string[], refuse: (reason: string) => never): AnnotatedFace | undefined {
  const numbers = cells.slice(1).map((cell) => (cell.trim() === '' ? undefined : Number(cell)));
  const given = numbers.filter((value) => value !== undefined);
  if (!given.every(Number.isFinite)) refuse(`expected numbers, got "${cells.slice(1).join(',')}"`);
  if (given.length === 0) return undefined;
  const [x, y, width, height, ...points] = numbers as number[];
  if (![x, y, width, height].every((value) => value !== undefined) || !(width! > 0 && height! > 0)) {
    refuse(`expected x, y, and a width and height above 0, got "${cells.slice(1, 5).join(',')}"`);
  }
  const box = { x: x!, y: y!, width: width!, height: height! };
  const known = points.filter((value) => value !== undefined).length;
  if (known === 0) return { box };
  if (known !== POINT_COLUMNS.length)
    refuse(`expected ${POINT_COLUMNS.length} coordinates of points or none, got ${known}`);
  const named = POINTS.map((name, index) => [name, { x: points[2 * index]!, y: points[2 * index + 1]! }]);
  return { box, landmarks: Object.fromEntries(named) as unknown as Landmarks };
}

/**
 * The images of a folder's boxes.csv: a head line `file,x,y,width,height`, or that and the ten coordinates
 * `leftEyeX,leftEyeY,rightEyeX,...,mouthRightY`; then a line a face, in pixels of the image as it is shown. A line with a file
 * alone is an image without faces. Files lie in the folder or below it.
 * Rejects with DataError `[boxes] FILE, line N: ...`.
 */
export async function annotatedFolder(folder: string): Promise<AnnotatedImage[]> {
  const file = path.join(folder, BOXES_FILE);
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new DataError(`[boxes] ${file}: cannot be read: ${error.message}`, { cause: error });
  });
  const lines = text.split(/\r?\n/);
  const head = lines[0]!.split(',').map((cell) => cell.trim());
  const fits = [BOX_COLUMNS, ALL_COLUMNS].some((columns) => columns.join() === head.join());
  if (!fits)
    throw new DataError(`[boxes] ${file}, line 1: expected ${ALL_COLUMNS.join()} or its first five, got ${lines[0]}`);
  const faces = new Map<string, AnnotatedFace[]>();
  lines.slice(1).forEach((line, index) => {
    if (line.trim() === '') return;
    const refuse = (reason: string): never => {
      throw new DataError(`[boxes] ${file}, line ${index + 2}: ${reason}`);
    };
    const cells = line.split(',');
    const name = cells[0]!.trim();
    if (name === '' || cells.length > head.length) refuse(`expected ${head.join()}, got "${line.slice(0, 80)}"`);
    if (path.isAbsolute(name) || name.split(/[/\\]/).includes('..')) refuse(`"${name}" leaves the folder`);
    const known = faces.get(name) ?? [];
    const face = faceOf(cells, refuse);
    faces.set(name, face ? [...known, face] : known);
  });
  if (faces.size === 0) throw new DataError(`[boxes] ${file}: names no image`);
  return [...faces].map(([name, list]) => ({
    ...{ name, faces: list },
    load: () => readPixels('boxes', path.join(folder, name), 3),
  }));
}
