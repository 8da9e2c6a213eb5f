// Reads JAFFE as distributed: one folder of 213 TIFFs named like KA.AN1.39.tiff (subject, expression and take, number).
// Called by load.ts. Source: Lyons et al., Coding facial expressions with Gabor wavelets, FG 1998.
// The rule easy to break: the expression is the two letters before the take, not a folder.
import { join } from 'node:path';
import { DataError } from '../../errors';
import type { ImageFile } from '../imageFiles';
import { type DataSplits, EXPRESSIONS } from '../types';
import { checkOptions, classesFor, decodeHeldOut, expressionOf, imageNames, type LayoutOptions } from './shared';

const OP = 'jaffe';
const NAME = /^([A-Za-z]{2})\.([A-Za-z]{2})\d*\.+\d+\.\w+$/;

/**
 * All images, or with `neutral: false` those of the six expressions (183 of 213); a fifth of the ten subjects becomes the
 * test. Throws DataError naming a file whose name does not say what it shows.
 */
export async function readJaffe(folder: string, options: LayoutOptions = {}): Promise<DataSplits> {
  checkOptions(OP, options);
  const classes = classesFor(options.neutral ?? true);
  const names = await imageNames(OP, folder);
  if (names.length === 0) {
    throw new DataError(
      `[${OP}] ${folder}: there are no images in it, expected KA.AN1.39.tiff and so on as distributed`,
    );
  }
  const all = names.map((name): ImageFile => {
    const [, subject, code] = NAME.exec(name) ?? [];
    const expression = expressionOf(code ?? '');
    if (subject === undefined || expression === undefined) {
      throw new DataError(
        `[${OP}] ${join(folder, name)}: expected a name like KA.AN1.39.tiff with AN, DI, FE, HA, SA, SU or NE`,
      );
    }
    return { path: join(folder, name), label: EXPRESSIONS.indexOf(expression), group: subject.toUpperCase() };
  });
  const files = all.filter(({ label }) => label < classes.length);
  const left = all.length - files.length;
  const notes = left > 0 ? [`${folder}: ${left} neutral images were left out`] : [];
  return decodeHeldOut({ op: OP, folder, classes, groups: 'subjects', notes }, files, options);
}
