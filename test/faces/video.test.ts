// Frames of folders and films, and the drawn result. The films come from a stand-in for ffmpeg that writes what ffmpeg would; with
// ffmpeg installed, it decodes a real one too.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, DataError } from '../../src/errors';
import { annotated, labelOf } from '../../src/faces/annotate';
import { dot, GLYPH_HEIGHT, GLYPH_WIDTH } from '../../src/faces/font';
import { detectFaces, framesWith } from '../../src/faces/photos';
import { Recognizer } from '../../src/faces/recognizer';
import type { Image, TrackedFace } from '../../src/faces/types';
import { framesOf, splitPpm } from '../../src/faces/video';
import { tempFolder } from '../data/tempFolder';
import { driftingFaces, fakeClassifier, fakeDetector, plainFrame } from './fakes';
import { frozenFaces, photographPath } from './photographs';

const folder = tempFolder();

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const frameOf = (value: number, width = 4, height = 3): Image => ({
  ...{ pixels: Uint8Array.from({ length: width * height * 3 }, (_, i) => (value + i) % 256), width, height },
  channels: 3,
});

const ppm = ({ pixels, width, height }: Image): Buffer =>
  Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]);

/** An executable that answers as the script says. */
function standIn(name: string, script: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, `#!${process.execPath}\n${script}`);
  chmodSync(file, 0o755);
  return file;
}

describe('splitPpm', () => {
  it.each([1, 3, 7, 50, 1000])('cuts a stream of chunks of %i bytes into frames', async (size) => {
    // White space bytes at the start of the pixels, and frames of several sizes.
    const frames = [frameOf(10), frameOf(32, 1, 1), frameOf(200, 9, 5)];
    const bytes = Buffer.concat(frames.map(ppm));
    const chunks = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    expect(await collected(splitPpm(chunks(), 'a film'))).toEqual(frames);
  });

  it.each([
    ['no picture', 'hello, this is not a picture at all'],
    ['a picture of another kind', 'P5\n4 4\n255\n0123456789abcdef0123456789'],
    ['extents without end', `P6\n99999 99999\n255\n${'x'.repeat(40)}`],
    ['nothing wide', `P6\n0 4\n255\n${'x'.repeat(40)}`],
    ['a cut frame', 'P6\n4 4\n255\n0123'],
    ['a cut header', 'P6\n4'],
  ])('refuses %s', async (_, text) => {
    const chunks = async function* () {
      yield Buffer.from(text, 'latin1');
    };
    await expect(collected(splitPpm(chunks(), 'a film'))).rejects.toThrow(DataError);
  });
});

describe('framesOf', () => {
  beforeAll(async () => {
    mkdirSync(path.join(folder, 'frames'));
    mkdirSync(path.join(folder, 'empty'));
    for (const [name, value] of [
      ['f10.png', 10],
      ['f9.png', 9],
      ['f100.png', 100],
    ] as const) {
      const { pixels, width, height } = frameOf(value);
      await sharp(pixels, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(path.join(folder, 'frames', name));
    }
    writeFileSync(path.join(folder, 'frames', 'notes.txt'), 'no frame');
    writeFileSync(path.join(folder, 'film.mp4'), 'a film');
  });

  it('reads a folder in the order of its numbers', async () => {
    const frames = await collected(framesOf(path.join(folder, 'frames')));
    expect(frames).toEqual([frameOf(9), frameOf(10), frameOf(100)]);
    expect(await collected(framesOf(path.join(folder, 'frames'), { limit: 2 }))).toEqual(frames.slice(0, 2));
  });

  it('reads a film through ffmpeg', async () => {
    const frames = Buffer.concat([frameOf(1), frameOf(2)].map(ppm)).toString('base64');
    const ffmpeg = standIn(
      'good',
      `require('node:fs').writeFileSync(${JSON.stringify(path.join(folder, 'args'))}, process.argv.slice(2).join(' '));
       process.stdout.write(Buffer.from('${frames}', 'base64'));`,
    );
    const film = path.join(folder, 'film.mp4');
    expect(await collected(framesOf(film, { ffmpeg, limit: 2 }))).toEqual([frameOf(1), frameOf(2)]);
    const args = readFileSync(path.join(folder, 'args'), 'utf8');
    expect(args).toContain(`-protocol_whitelist file,pipe -i file:${film} -frames:v 2 -f image2pipe`);
  });

  it('ends ffmpeg when nobody wants more', async () => {
    const mark = path.join(folder, 'running');
    const frame = ppm(frameOf(1)).toString('base64');
    const ffmpeg = standIn(
      'endless',
      `const fs = require('node:fs');
       fs.writeFileSync(${JSON.stringify(mark)}, String(process.pid));
       const frame = Buffer.from('${frame}', 'base64');
       const next = () => process.stdout.write(frame, () => setTimeout(next, 1));
       next();`,
    );
    for await (const image of framesOf(path.join(folder, 'film.mp4'), { ffmpeg })) {
      expect(image).toEqual(frameOf(1));
      break;
    }
    const pid = Number(readFileSync(mark, 'utf8'));
    await expect.poll(() => existsSync(`/proc/${pid}/exe`), { timeout: 10_000 }).toBe(false);
  });

  it.each([
    ['not installed', 'gramian-no-such-ffmpeg', 'gramian-no-such-ffmpeg, which is not installed: install it'],
    ['complains', 'complains', 'cannot decode it: moov atom not found'],
    ['fails behind a frame', 'fails', 'cannot decode it: it ended with 3'],
    ['cuts a frame', 'cuts', 'the last frame is cut off'],
  ])('ffmpeg %s', async (_, name, says) => {
    standIn('complains', "process.stderr.write('moov atom not found\\n'); process.exitCode = 1;");
    const frame = ppm(frameOf(1)).toString('base64');
    standIn('fails', `process.stdout.write(Buffer.from('${frame}', 'base64')); process.exitCode = 3;`);
    standIn('cuts', `process.stdout.write(Buffer.from('${frame}', 'base64').subarray(0, 20));`);
    const ffmpeg = name.startsWith('gramian') ? name : path.join(folder, name);
    const frames = collected(framesOf(path.join(folder, 'film.mp4'), { ffmpeg }));
    await expect(frames).rejects.toThrow(says);
    await expect(frames).rejects.toThrow(DataError);
  });

  it.each([0, -1, 1.5, Number.NaN, '2'])('takes no limit of %s', async (limit) => {
    for (const source of ['frames', 'film.mp4']) {
      const frames = collected(framesOf(path.join(folder, source), { limit: limit as number }));
      await expect(frames).rejects.toThrow('[video] limit is an integer of 1 or more');
      await expect(frames).rejects.toThrow(ArgumentError);
    }
  });

  it('says what is no source', async () => {
    await expect(collected(framesOf(path.join(folder, 'empty')))).rejects.toThrow('has no images');
    await expect(collected(framesOf(path.join(folder, 'nowhere')))).rejects.toThrow('cannot be read');
  });

  it.skipIf(spawnSync('ffmpeg', ['-version']).error !== undefined)('reads a real film (ffmpeg)', async () => {
    const film = path.join(folder, 'real.mkv');
    const made = spawnSync('ffmpeg', [
      '-loglevel',
      'error',
      '-f',
      'lavfi',
      '-i',
      'testsrc=size=64x48:rate=5:duration=1',
      '-c:v',
      'ffv1',
      film,
    ]);
    expect(String(made.stderr)).toBe('');
    const frames = await collected(framesOf(film));
    expect(frames.map(({ width, height }) => [width, height])).toEqual(new Array(5).fill([64, 48]));
  });
});

describe('annotated', () => {
  const face: TrackedFace = {
    ...{ id: 1, box: { x: 20, y: 30, width: 20, height: 15 }, score: 1, confidence: 1 },
    expressions: { sad: 0.2, happy: 0.8 },
  };

  it('says the likeliest class, gender and age', () => {
    expect(labelOf(face)).toBe('1 happy 80%');
    expect(labelOf({ ...face, gender: { label: 'male', probability: 0.9 }, age: 41.6 })).toBe('1 happy 80%, male 42');
    const { expressions: _, ...plain } = face;
    expect(labelOf(plain)).toBe('1');
  });

  it('draws boxes and landmarks and leaves the rest', () => {
    const frame = plainFrame(100, 60, 77);
    const [, withLandmarks] = driftingFaces(0);
    const { pixels, channels } = annotated(frame, [
      face,
      { ...face, ...withLandmarks!, id: 2, box: { x: 60, y: 20, width: 20, height: 20 } },
    ]);
    expect(channels).toBe(3);
    const at = (x: number, y: number): number[] => [...pixels.subarray((y * 100 + x) * 3, (y * 100 + x) * 3 + 3)];
    expect(at(19, 40)).toEqual([86, 180, 233]);
    expect(at(30, 45)).toEqual([86, 180, 233]);
    expect(at(30, 40)).toEqual([77, 77, 77]);
    expect(at(59, 30)).toEqual([240, 228, 66]);
    expect([...frame.pixels]).toEqual(new Array(6000).fill(77));
  });

  it('draws what lies outside the frame not at all, and the label inside', () => {
    const image = annotated(plainFrame(40, 30), [
      { ...face, box: { x: -500, y: -500, width: 2000, height: 2000 } },
      { ...face, box: { x: 35, y: 25, width: 90, height: 90 } },
    ]);
    expect(image.pixels.length).toBe(40 * 30 * 3);
    expect(() => annotated({ ...plainFrame(), width: 5 }, [])).toThrow(ArgumentError);
  });

  it('has glyphs that differ, for small letters too', () => {
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%.,-? '];
    const shape = (letter: string): string =>
      Array.from({ length: GLYPH_HEIGHT * GLYPH_WIDTH }, (_, i) =>
        dot(letter, i % GLYPH_WIDTH, Math.floor(i / GLYPH_WIDTH)) ? '#' : '.',
      ).join('');
    expect(new Set(letters.map(shape)).size).toBe(letters.length);
    expect(shape('h')).toBe(shape('H'));
    expect(shape('é')).toBe(shape('?'));
    expect(shape('T')).toBe('#####..#....#....#....#....#....#..');
  });
});

describe('photographs', () => {
  it('are detected and drawn', async () => {
    const out = path.join(folder, 'drawn');
    const photos = [photographPath('sample1'), photographPath('sample1')];
    const found = await collected(detectFaces(photos, { size: 512, out, run: 'none' }));
    expect(found.map(({ image, index, faces }) => [image, index, faces.length])).toEqual(
      photos.map((photo) => [photo, 0, 3]),
    );
    expect(found.map((one) => one.annotated)).toEqual(
      ['sample1.faces.png', 'sample1-2.faces.png'].map((name) => path.join(out, name)),
    );
    expect(found[0]!.faces[0]).toMatchObject({ id: 1, confidence: 1 });
    expect(found[0]!.faces[0]!.box.x).toBeCloseTo(frozenFaces('sample1', 'tiny512')[0]!.box.x, 0);
    const drawn = await sharp(found[0]!.annotated!).raw().toBuffer({ resolveWithObject: true });
    expect([drawn.info.width, drawn.info.height, drawn.info.channels]).toEqual([1920, 1280, 3]);
    await expect(collected(detectFaces([path.join(folder, 'film.mp4')], { run: 'none' }))).rejects.toThrow(
      'cannot be decoded',
    );
  });

  it('frames are drawn one by one', async () => {
    const out = path.join(folder, 'watched');
    using recognizer = new Recognizer({
      detector: fakeDetector((call) => driftingFaces(call)),
      classifier: fakeClassifier(['a', 'b'], 0),
    });
    const frames = await collected(framesWith(recognizer, path.join(folder, 'frames'), { out }));
    expect(frames.map((frame) => frame.annotated)).toEqual(
      [0, 1, 2].map((index) => path.join(out, `frame-00000${index}.png`)),
    );
    for (const { annotated: file } of frames) expect(existsSync(file!)).toBe(true);
  });

  it('frames are not drawn into their own folder, whose names they might take', async () => {
    using recognizer = new Recognizer({ detector: fakeDetector(() => []) });
    const source = path.join(folder, 'frames');
    const alias = path.join(folder, 'alias');
    symlinkSync(source, alias);
    const before = readdirSync(source);
    for (const out of [source, `${source}/../frames/`, alias]) {
      const drawn = collected(framesWith(recognizer, source, { out }));
      await expect(drawn).rejects.toThrow(ArgumentError);
      await expect(drawn).rejects.toThrow('[watch] expected a folder other than that of the frames');
    }
    expect(readdirSync(source)).toEqual(before);
  });
});
