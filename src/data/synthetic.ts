// Seeded synthetic faces, 48x48 grey, seven expressions, with the class shares and the nuisances of FER2013: identity,
// pose, light, occlusion, noise, wrong labels. Called by load.ts and `synth`. They are drawings: results on them say
// nothing about people, so every set is marked synthetic. Image i depends on (seed, i) alone, never on the count.
import { ArgumentError } from '../errors';
import { Canvas } from './canvas';
import { drawFace, EXPRESSION_SHAPES, type Expression, type Face, type Identity, NEUTRAL } from './faceRenderer';
import { Random } from './random';
import { type DataSplits, EXPRESSIONS, type ImageDataset, type JobOptions, throwIfAborted } from './types';

export const SYNTHETIC_SIDE = 48;
/** FER2013's counts: all images, and its three usages. */
export const FER_COUNTS = { all: 35_887, training: 28_709, publicTest: 3_589, privateTest: 3_589 };
/** Images of each class in FER2013's training part. */
export const FER_SHARES: readonly number[] = [3995, 436, 4097, 7215, 4830, 3171, 4965];

export interface SyntheticOptions extends JobOptions {
  readonly count: number;
  readonly seed?: number | undefined;
  /** Index of the first image, so that splits of one seed share no image. */
  readonly first?: number | undefined;
  /** Relative frequency of each class; FER2013's when left out. */
  readonly shares?: readonly number[] | undefined;
  /** Share of images with a wrong label (0..1), 0.04. */
  readonly labelNoise?: number | undefined;
  /** Share of faces with something in front (0..1), 0.12. */
  readonly occlusion?: number | undefined;
  /** Largest standard deviation of the pixel noise, of full scale, 0.04. */
  readonly noise?: number | undefined;
  /** Scales yaw, pitch and roll; 1 is up to 26, 11 and 11 degrees. */
  readonly pose?: number | undefined;
  /** 0: even light from the front, 1: strong side light for some. */
  readonly light?: number | undefined;
  /** How much people differ from one average face, 0..1. */
  readonly identity?: number | undefined;
  /**
   * Images of one person, who then is their group; 0: everyone is drawn once, and there are no groups. Person i has the
   * images from i*perSubject on, so splits that begin at multiples of it share nobody.
   */
  readonly perSubject?: number | undefined;
}

type Settings = Required<{
  [K in Exclude<keyof SyntheticOptions, keyof JobOptions | 'count'>]: NonNullable<SyntheticOptions[K]>;
}>;

const DEFAULTS: Settings = {
  seed: 1,
  first: 0,
  shares: FER_SHARES,
  labelNoise: 0.04,
  occlusion: 0.12,
  noise: 0.04,
  pose: 1,
  light: 1,
  identity: 1,
  perSubject: 0,
};
/** Cap: 4 GiB of pixels. */
const MAX_COUNT = Math.floor(2 ** 32 / SYNTHETIC_SIDE ** 2);
const IMAGES_PER_SLICE = 256;
const GOLDEN = 0.618_033_988_749_894_9;

function settingsOf(options: SyntheticOptions): Settings {
  const settings: Settings = { ...DEFAULTS };
  for (const [key, value] of Object.entries(options)) {
    if (key in DEFAULTS && value !== undefined) Object.assign(settings, { [key]: value });
  }
  const { count } = options;
  if (!Number.isSafeInteger(count) || count < 1 || count > MAX_COUNT) {
    throw new ArgumentError(`[synthetic] expected a count of 1 to ${MAX_COUNT}, got ${count}`);
  }
  for (const key of ['seed', 'first'] as const) {
    if (!Number.isSafeInteger(settings[key])) {
      throw new ArgumentError(`[synthetic] ${key} is a whole number, got ${settings[key]}`);
    }
  }
  for (const key of ['labelNoise', 'occlusion', 'noise', 'pose', 'light', 'identity'] as const) {
    if (!(settings[key] >= 0 && settings[key] <= 1)) {
      throw new ArgumentError(`[synthetic] ${key} lies between 0 and 1, got ${settings[key]}`);
    }
  }
  if (settings.first < 0) throw new ArgumentError(`[synthetic] first is at least 0, got ${settings.first}`);
  if (!Number.isSafeInteger(settings.perSubject) || settings.perSubject < 0) {
    throw new ArgumentError(`[synthetic] perSubject is a whole number of at least 0, got ${settings.perSubject}`);
  }
  const { shares } = settings;
  const isShare = (share: number) => Number.isFinite(share) && share >= 0;
  if (shares.length !== EXPRESSIONS.length || !shares.every(isShare) || !shares.some((share) => share > 0)) {
    throw new ArgumentError(
      `[synthetic] expected ${EXPRESSIONS.length} shares of at least 0, got [${shares.join(', ')}]`,
    );
  }
  return settings;
}

/**
 * True class of image i: golden-ratio points under the cumulated shares, so that any run of images has the shares to
 * within a few images, whatever its length.
 */
function classOf(index: number, offset: number, shares: readonly number[]): number {
  const total = shares.reduce((sum, share) => sum + share, 0);
  let point = ((offset + index * GOLDEN) % 1) * total;
  for (const [k, share] of shares.entries()) {
    point -= share;
    if (point < 0) return k;
  }
  return shares.findLastIndex((share) => share > 0);
}

function drawIdentity(random: Random, amount: number): Identity {
  const vary = (middle: number, spread: number) => middle + amount * random.between(-spread, spread);
  const skin = vary(0.66, 0.2);
  const pale = random.uniform() < 0.15 * amount;
  return {
    skin,
    hair: pale ? random.between(0.5, 0.75) : vary(0.16, 0.1) * (0.6 + 0.6 * skin),
    length: vary(1.28, 0.1),
    jaw: vary(0.22, 0.12),
    hairline: vary(-0.62, 0.1),
    eyeSpacing: vary(0.4, 0.04),
    eyeWidth: vary(0.185, 0.025),
    eyeHeight: vary(0.095, 0.02),
    iris: vary(0.16, 0.08),
    browHeight: vary(0.14, 0.04),
    browThickness: vary(0.85, 0.35),
    noseLength: vary(0.36, 0.06),
    noseWidth: vary(0.16, 0.04),
    mouthHeight: vary(0.72, 0.06),
    mouthWidth: vary(0.33, 0.05),
    lips: vary(0.045, 0.02),
    beard: random.uniform() < 0.2 * amount ? random.between(0.4, 1) : 0,
    glasses: random.uniform() < 0.08 * amount,
  };
}

/** The class's shape at a random strength, every part a little off. */
function drawExpression(random: Random, label: number): Expression {
  const strength = random.between(0.5, 1.15);
  const shape = EXPRESSION_SHAPES[label]!;
  const expression = { ...NEUTRAL };
  for (const key of Object.keys(NEUTRAL) as (keyof Expression)[]) {
    const full = shape[key] ?? 0;
    expression[key] = strength * full + 0.1 * random.normal() * (full === 0 ? 0.7 : 1);
  }
  // Some happy faces, angry ones and frightened ones keep the mouth shut; some neutral ones are about to speak.
  const [mouthShut, aboutToSpeak] = [random.uniform() < 0.3, random.uniform() < 0.1];
  if (mouthShut && [0, 1, 3].includes(label)) expression.mouthOpen = 0;
  if (aboutToSpeak && label === 6) expression.mouthOpen = 0.15;
  return expression;
}

/** @param subject of an image that shares its person with others; a person has a stream of numbers of its own. */
function drawParameters(random: Random, label: number, settings: Settings, subject: number | undefined): Face {
  const person = subject === undefined ? random : new Random(settings.seed, -2 - subject);
  const identity = drawIdentity(person, settings.identity);
  const expression = drawExpression(random, label);
  const angle = (limit: number) => settings.pose * limit * 0.58 * random.normal();
  const clamp = (value: number, limit: number) => Math.max(-limit, Math.min(limit, value));
  const middle = SYNTHETIC_SIDE / 2;
  const pose = {
    yaw: clamp(angle(0.45), 0.45),
    pitch: clamp(angle(0.2), 0.2),
    roll: clamp(angle(0.2), 0.2),
    scale: random.between(16.5, 20),
    x: middle + random.between(-2, 2),
    y: middle + random.between(-1.5, 2.5),
  };
  const light = {
    x: settings.light * 0.9 * random.normal(),
    y: -0.4 + settings.light * 0.4 * random.normal(),
    ambient: 1 - settings.light * random.between(0.35, 0.75),
    background: random.between(0.08, 0.9),
    gradient: 0.3 * random.normal(),
  };
  return { identity, expression, pose, light };
}

/** A hand, a lock of hair or a bar over part of the face. */
function drawOcclusion(canvas: Canvas, random: Random): void {
  const angle = random.between(0, 2 * Math.PI);
  const distance = random.between(0.25, 0.45) * SYNTHETIC_SIDE;
  const [cx, cy] = [24 + Math.cos(angle) * distance, 24 + Math.sin(angle) * distance];
  const [long, wide] = [random.between(6, 16), random.between(2, 6)];
  const tilt = random.between(0, Math.PI);
  const corners = 10;
  const points = new Float64Array(corners * 2);
  for (let i = 0; i < corners; i++) {
    const at = (i / corners) * 2 * Math.PI;
    const [a, b] = [Math.cos(at) * long, Math.sin(at) * wide * random.between(0.8, 1.2)];
    points[2 * i] = cx + a * Math.cos(tilt) - b * Math.sin(tilt);
    points[2 * i + 1] = cy + a * Math.sin(tilt) + b * Math.cos(tilt);
  }
  canvas.fill(points, random.between(0.05, 0.8), random.between(0.8, 1), 1.5);
}

/** Contrast, brightness, noise, and rounding to bytes. */
function develop(canvas: Canvas, random: Random, noise: number, out: Uint8Array): void {
  const contrast = random.between(0.75, 1.15);
  const brightness = random.between(-0.08, 0.08);
  const sigma = noise * random.uniform();
  const { pixels } = canvas;
  for (let i = 0; i < pixels.length; i++) {
    const value = 0.5 + (pixels[i]! - 0.5) * contrast + brightness + (sigma > 0 ? sigma * random.normal() : 0);
    out[i] = value <= 0 ? 0 : value >= 1 ? 255 : Math.round(value * 255);
  }
}

/**
 * Draws `count` faces. Answers what FER2013 would look like were it drawn by a machine: labels as an annotator would
 * give them, `labelNoise` of them wrong. Yields to the event loop as it goes; the same options give the same bytes.
 */
export async function syntheticFaces(options: SyntheticOptions): Promise<ImageDataset> {
  const settings = settingsOf(options);
  const { count, onProgress, signal } = options;
  const pixels = SYNTHETIC_SIDE ** 2;
  const images = new Uint8Array(count * pixels);
  const labels = new Int32Array(count);
  const groups: string[] = [];
  const canvas = new Canvas(SYNTHETIC_SIDE);
  const offset = new Random(settings.seed, -1).uniform();
  for (let i = 0; i < count; i++) {
    if (i % IMAGES_PER_SLICE === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      throwIfAborted(signal, 'synthetic');
      onProgress?.({ stage: 'draw synthetic faces', done: i, total: count });
    }
    const index = settings.first + i;
    const random = new Random(settings.seed, index);
    const label = classOf(index, offset, settings.shares);
    const subject = settings.perSubject > 0 ? Math.floor(index / settings.perSubject) : undefined;
    drawFace(canvas, drawParameters(random, label, settings, subject));
    if (subject !== undefined) groups.push(`person ${subject}`);
    if (random.uniform() < settings.occlusion) drawOcclusion(canvas, random);
    const wrong = random.uniform() < settings.labelNoise;
    const shift = 1 + random.below(EXPRESSIONS.length - 1);
    labels[i] = wrong ? (label + shift) % EXPRESSIONS.length : label;
    develop(canvas, random, settings.noise, images.subarray(i * pixels, (i + 1) * pixels));
  }
  onProgress?.({ stage: 'draw synthetic faces', done: count, total: count });
  const name = `synthetic faces ${settings.first}..${settings.first + count - 1} (seed ${settings.seed})`;
  const [height, width] = [SYNTHETIC_SIDE, SYNTHETIC_SIDE];
  const whom = settings.perSubject > 0 ? { groups } : {};
  return { name, images, labels, count, height, width, channels: 1, classes: EXPRESSIONS, synthetic: true, ...whom };
}

/**
 * Train, validation and test in FER2013's proportion (8 : 1 : 1), `total` images in all, at least 3. `limit` draws no
 * more than the first that many of each.
 */
export async function syntheticSplits(
  total: number,
  options: Omit<SyntheticOptions, 'count' | 'first'> & { limit?: number | undefined } = {},
): Promise<DataSplits> {
  if (!Number.isSafeInteger(total) || total < 3) {
    throw new ArgumentError(`[synthetic] expected at least 3 images for three splits, got ${total}`);
  }
  const { limit = total, ...rest } = options;
  const held = Math.max(1, Math.round((total * FER_COUNTS.privateTest) / FER_COUNTS.all));
  const training = total - 2 * held;
  const draw = (first: number, count: number) => syntheticFaces({ ...rest, first, count: Math.min(count, limit) });
  const train = await draw(0, training);
  const validation = await draw(training, held);
  const test = await draw(training + held, held);
  const source = `synthetic:${total} (seed ${options.seed ?? DEFAULTS.seed})`;
  return { train, validation, test, source, notes: ['synthetic faces: drawings made by a program, not photographs'] };
}
