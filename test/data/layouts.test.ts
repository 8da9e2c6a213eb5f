// The face data sets' loaders on made folders of the same layout: which files are taken, with which label and subject, that
// no subject lies on both sides, and what is said when a folder or file is missing.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { holdOutGroups } from '../../src/data/groups';
import { loadData } from '../../src/data/load';
import { type DataSplits, EXPRESSIONS, merge } from '../../src/data/types';
import { ArgumentError, DataError } from '../../src/errors';
import { tempFolder } from './tempFolder';

const folder = tempFolder();
const SIX = EXPRESSIONS.slice(0, 6);

/** A flat grey picture; its value says later which one it was. */
async function picture(path: string, value: number, width = 5, height = 4): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  await sharp(Buffer.alloc(width * height, value), { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .toFile(path);
}

/** One line for each image: grey value, class, group; in order of value. */
function listed(data: Pick<DataSplits, 'train' | 'test'>): string[] {
  const all = merge([data.train, data.test], 'all');
  const size = all.height * all.width * all.channels;
  const lines = Array.from(all.labels, (label, i) => [all.images[i * size]!, all.classes[label], all.groups![i]]);
  return lines.sort((a, b) => (a[0] as number) - (b[0] as number)).map((line) => line.join(' '));
}

function expectApart({ train, test }: DataSplits): void {
  const people = new Set(train.groups);
  expect(test.groups!.some((group) => people.has(group))).toBe(false);
  expect([train.groups!.length, test.groups!.length]).toEqual([train.count, test.count]);
}

describe('ckplus', () => {
  const root = join(folder, 'ck');
  const frame = (subject: string, sequence: string, n: number) =>
    join(root, 'cohn-kanade-images', subject, sequence, `${subject}_${sequence}_${String(n).padStart(8, '0')}.png`);
  const emotion = (subject: string, sequence: string, text: string) => {
    const path = join(root, 'Emotion', subject, sequence, `${subject}_${sequence}_00000004_emotion.txt`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  /** Frame n of sequence s has the value 10 s + n. */
  const make = async () => {
    const sequences: [string, string, number, string | undefined][] = [
      ['S005', '001', 5, '   3.0000000e+00\n'],
      ['S005', '002', 4, '   7.0000000e+00\n'],
      ['S010', '001', 4, '   1.0000000e+00\n'],
      ['S010', '002', 4, undefined],
      ['S011', '001', 4, '   2.0000000e+00\n'],
      ['S011', '005', 2, '   6.0000000e+00\n'],
    ];
    for (const [s, [subject, sequence, frames, text]] of sequences.entries()) {
      for (let n = 1; n <= frames; n++) await picture(frame(subject, sequence, n), 10 * (s + 1) + n);
      if (text !== undefined) emotion(subject, sequence, text);
    }
    mkdirSync(join(root, 'Emotion', 'S010', '002'), { recursive: true });
    writeFileSync(join(root, 'cohn-kanade-images', 'S005', '001', '.DS_Store'), 'x');
  };

  it('takes the last three frames of labelled sequences, with subjects, without contempt', async () => {
    await make();
    const data = await loadData(`ckplus:${root}`);
    expect(data.train.classes).toEqual(SIX);
    expect(listed(data)).toEqual([
      '13 disgust S005',
      '14 disgust S005',
      '15 disgust S005',
      '22 surprise S005',
      '23 surprise S005',
      '24 surprise S005',
      '32 anger S010',
      '33 anger S010',
      '34 anger S010',
      '61 sad S011',
      '62 sad S011',
    ]);
    expectApart(data);
    expect(data.notes).toEqual([
      `${root}: 5 labelled sequences, 1 of them contempt or neutral and left out`,
      expect.stringMatching(/no test part, 1 of 3 subjects \(\d+ of 11 images\) were held out by seed 1/),
    ]);
  });
  it('takes other numbers of frames, and first frames as neutral', async () => {
    const data = await loadData(`ckplus:${root}`, { peakFrames: 1, neutral: true });
    expect(data.train.classes).toEqual(EXPRESSIONS);
    expect(listed(data)).toEqual([
      '11 neutral S005',
      '15 disgust S005',
      '21 neutral S005',
      '24 surprise S005',
      '31 neutral S010',
      '34 anger S010',
      '61 neutral S011',
      '62 sad S011',
    ]);
    const short = await loadData(`ckplus:${root}`, { peakFrames: 4, neutral: true });
    expect(listed(short).filter((line) => line.includes('neutral'))).toEqual(['11 neutral S005']);
  });
  it('holds out other subjects for another seed, the same ones for the same', async () => {
    const held = async (seed: number) => (await loadData(`ckplus:${root}`, { seed })).test.groups![0];
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map(held));
    expect(new Set(all).size).toBeGreaterThan(1);
    expect(await held(1)).toBe(all[0]);
  });
  it('resizes, and asks for a size where images differ', async () => {
    const sized = await loadData(`ckplus:${root}`, { size: [8, 6], limit: 2 });
    expect([sized.train.height, sized.train.width, sized.train.count]).toEqual([8, 6, 2]);
    await picture(frame('S005', '001', 5), 15, 9, 9);
    await expect(loadData(`ckplus:${root}`)).rejects.toThrow(/: give a size/);
    await picture(frame('S005', '001', 5), 15);
  });
  it('names a missing folder, a wrong emotion, a sequence without images', async () => {
    emotion('S005', '001', 'happy');
    await expect(loadData(`ckplus:${root}`)).rejects.toThrow(
      /_emotion.txt: expected an emotion from 0 to 7, got "happy"/,
    );
    for (const text of ['', '8.0', '3.5']) {
      emotion('S005', '001', text);
      await expect(loadData(`ckplus:${root}`)).rejects.toThrow(DataError);
    }
    emotion('S005', '001', '3');
    const twice = join(root, 'Emotion', 'S005', '001', 'S005_001_00000005_emotion.txt');
    writeFileSync(twice, '3');
    await expect(loadData(`ckplus:${root}`)).rejects.toThrow(/expected one emotion file, got S005_001_00000004/);
    rmSync(twice);
    emotion('S005', '009', '3');
    await expect(loadData(`ckplus:${root}`)).rejects.toThrow(/S005.009: cannot be read/);
    mkdirSync(join(root, 'cohn-kanade-images', 'S005', '009'));
    await expect(loadData(`ckplus:${root}`)).rejects.toThrow(/labelled but has no images/);
    renameSync(join(root, 'Emotion'), join(root, 'Emotions'));
    await expect(loadData(`ckplus:${root}`)).rejects.toThrow(/no folder Emotion in it, expected cohn-kanade-images/);
    await expect(loadData(`ckplus:${join(root, 'Emotions')}`)).rejects.toThrow(/no folder cohn-kanade-images in it/);
    await expect(loadData(`ckplus:${join(folder, 'nowhere')}`)).rejects.toThrow(/nowhere: cannot be read/);
    await expect(loadData(`ckplus:${root}`, { peakFrames: 0 })).rejects.toThrow(ArgumentError);
  });
});

describe('jaffe', () => {
  const root = join(folder, 'jaffe');
  const names = [
    'KA.AN1.39',
    'KA.NE1.26',
    'KL.DI2.165',
    'KM.FE1.23',
    'KR.HA1.74',
    'MK.SA2.119',
    'NA.SU1.205',
    'TM.NE3.180',
  ];
  /** As JAFFE's: 8-bit grey, not compressed. */
  const write = async (name: string, value: number, side = 6) => {
    mkdirSync(root, { recursive: true });
    await sharp(Buffer.alloc(side * side, value), { raw: { width: side, height: side, channels: 1 } })
      .toColourspace('b-w')
      .tiff({ compression: 'none' })
      .toFile(join(root, `${name}.tiff`));
  };

  it('reads labels and subjects from the names', async () => {
    for (const [i, name] of names.entries()) await write(name, i);
    writeFileSync(join(root, 'README_FIRST.txt'), 'x');
    const data = await loadData(`jaffe:${root}`);
    expect(listed(data)).toEqual([
      '0 anger KA',
      '1 neutral KA',
      '2 disgust KL',
      '3 fear KM',
      '4 happy KR',
      '5 sad MK',
      '6 surprise NA',
      '7 neutral TM',
    ]);
    expectApart(data);
    expect(data.train.classes).toEqual(EXPRESSIONS);
    expect(data.notes).toEqual([expect.stringMatching(/of 7 subjects/)]);
  });
  it('leaves the neutral ones out when told to, as paper 004 does', async () => {
    const data = await loadData(`jaffe:${root}`, { neutral: false });
    expect([data.train.count + data.test.count, data.train.classes]).toEqual([6, SIX]);
    expect(data.notes[0]).toBe(`${root}: 2 neutral images were left out`);
  });
  it('resizes and colours TIFFs too', async () => {
    const data = await loadData(`jaffe:${root}`, { size: [4, 3], channels: 3 });
    expect([data.train.height, data.train.width, data.train.channels]).toEqual([4, 3, 3]);
    expect(listed(data).map((line) => line.split(' ')[0])).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
  });
  it('names a file that does not fit, and an empty folder', async () => {
    await write('KA.XX1.9', 3);
    await expect(loadData(`jaffe:${root}`)).rejects.toThrow(/KA\.XX1\.9\.tiff: expected a name like KA\.AN1\.39\.tiff/);
    renameSync(join(root, 'KA.XX1.9.tiff'), join(root, 'happy.tiff'));
    await expect(loadData(`jaffe:${root}`)).rejects.toThrow(/happy\.tiff: expected a name/);
    rmSync(join(root, 'happy.tiff'));
    writeFileSync(join(root, 'KA.HA1.29.tiff'), 'II*\0');
    await expect(loadData(`jaffe:${root}`)).rejects.toThrow(/KA\.HA1\.29\.tiff/);
    for (const name of [...names.slice(1), 'KA.HA1.29']) rmSync(join(root, `${name}.tiff`));
    await expect(loadData(`jaffe:${root}`)).rejects.toThrow(/at least 2 subjects, .* got 1/);
    rmSync(join(root, `${names[0]}.tiff`));
    await expect(loadData(`jaffe:${root}`)).rejects.toThrow(/there are no images in it/);
  });
});

describe('oulu-casia', () => {
  const root = join(folder, 'oulu');
  const folders = ['Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness', 'Surprise'];
  /** Frame n of expression e of subject s has the value base + 40 s + 6 e + n, kept apart by steps that JPEG keeps. */
  const make = async (place: string, base: number, subjects: number) => {
    for (let s = 0; s < subjects; s++) {
      for (const [e, name] of folders.entries()) {
        for (let n = 0; n < 4; n++) {
          const file = join(root, place, `P00${s + 1}`, name, `00${n}.jpeg`);
          await picture(file, base + 40 * s + 6 * e + n);
        }
      }
    }
  };

  it('takes visible light, strong, the last three frames', async () => {
    await make('VL/Strong', 0, 3);
    await make('NI/Dark', 120, 2);
    const data = await loadData(`oulu-casia:${root}`);
    const lines = listed(data);
    expect(lines).toHaveLength(3 * 6 * 3);
    expect(lines.slice(0, 4)).toEqual(['1 anger P001', '2 anger P001', '3 anger P001', '7 disgust P001']);
    expect(lines.at(-1)).toBe('113 surprise P003');
    expect(data.train.classes).toEqual(SIX);
    expectApart(data);
    expect(data.notes[0]).toBe(`${root}: sequences of ${join(root, 'VL', 'Strong')}`);
  });
  it('takes another camera and light, by option or by path, and first frames as neutral', async () => {
    const options = { camera: 'NI', light: 'Dark', peakFrames: 1, neutral: true } as const;
    const data = await loadData(`oulu-casia:${root}`, options);
    expect(listed(data).slice(0, 3)).toEqual(['120 neutral P001', '123 anger P001', '126 neutral P001']);
    const { camera: _, light: __, ...rest } = options;
    expect(listed(await loadData(`oulu-casia:${join(root, 'NI', 'Dark')}`, rest))).toEqual(listed(data));
  });
  it('finds the pre-processed folders', async () => {
    const other = join(folder, 'oulu2');
    mkdirSync(join(other, 'PreProcess Img', 'VL_Acropped'), { recursive: true });
    renameSync(join(root, 'VL', 'Strong'), join(other, 'PreProcess Img', 'VL_Acropped', 'Strong'));
    expect((await loadData(`oulu-casia:${other}`, { limit: 5 })).train.count).toBe(5);
  });
  it('names what is missing', async () => {
    await expect(loadData(`oulu-casia:${root}`)).rejects.toThrow(
      /no folder VL.Strong in it, expected VL\/Strong\/P001/,
    );
    await expect(loadData(`oulu-casia:${root}`, { camera: 'IR' as 'NI' })).rejects.toThrow(ArgumentError);
    await expect(loadData(`oulu-casia:${root}`, { light: 'dim' as 'Dark' })).rejects.toThrow(ArgumentError);
    const dark = join(root, 'NI', 'Dark');
    rmSync(join(dark, 'P001', 'Fear'), { recursive: true });
    await expect(loadData(`oulu-casia:${dark}`)).rejects.toThrow(
      /P001: there is no folder for fear, it has Anger, Disgust/,
    );
    mkdirSync(join(dark, 'P001', 'Fear'));
    await expect(loadData(`oulu-casia:${dark}`)).rejects.toThrow(/Fear: there are no images in it/);
    mkdirSync(join(root, 'VL', 'Strong'));
    await expect(loadData(`oulu-casia:${root}`)).rejects.toThrow(/Strong: there is no subject in it/);
  });
});

describe('sfew', () => {
  const root = join(folder, 'sfew');
  const folders = ['Angry', 'Disgust', 'Fear', 'Happy', 'Sad', 'Surprise', 'Neutral'];
  const make = async (part: string, base: number, film: (n: number) => string) => {
    for (const [k, name] of folders.entries()) {
      for (let n = 0; n < 2; n++) {
        const file = `${film(n)}_00012${k}000_0000001${n}.png`;
        await picture(join(root, part, name, file), base + 2 * k + n);
      }
    }
  };

  it('takes Train and Val, with films as groups', async () => {
    await make('Train', 0, (n) => (n ? 'About_A_Boy' : '21'));
    await make('Val', 100, (n) => (n ? 'Airheads' : '21'));
    mkdirSync(join(root, 'Test'));
    const data = await loadData(`sfew:${root}`);
    expect([data.train.count, data.test.count, data.train.classes]).toEqual([14, 14, EXPRESSIONS]);
    const lines = listed(data);
    expect([lines[0], lines[1], lines[13]]).toEqual(['0 anger 21', '1 anger About_A_Boy', '13 neutral About_A_Boy']);
    expect(lines.slice(14, 18)).toEqual([
      '100 anger 21',
      '101 anger Airheads',
      '102 disgust 21',
      '103 disgust Airheads',
    ]);
    expect(data.notes).toEqual([
      `${root}: Val became the test; the labels of SFEW's Test are not given out`,
      `${root}: 1 films have images in Train and in Val`,
    ]);
    const six = await loadData(`sfew:${root}`, { neutral: false });
    expect([six.train.count, six.train.classes]).toEqual([12, SIX]);
  });
  it('takes one folder of classes, apart by film', async () => {
    const data = await loadData(`sfew:${join(root, 'Train')}`);
    expectApart(data);
    expect(data.train.count + data.test.count).toBe(14);
    expect(data.notes.join()).toMatch(/1 of 2 films \(7 of 14 images\) were held out/);
  });
  it('says when a name tells no film, and takes folders of aligned faces', async () => {
    renameSync(join(root, 'Train'), join(root, 'Train_Aligned_Faces'));
    await picture(join(root, 'Train_Aligned_Faces', 'Fear', 'frame1.png'), 60);
    const data = await loadData(`sfew:${root}`);
    expect(data.notes[0]).toMatch(/1 of 15 file names do not say their film/);
    expect(listed(data)).toContain('60 fear Fear/frame1.png');
  });
  it('names what is missing or unknown', async () => {
    mkdirSync(join(root, 'Train_LPQ'));
    await expect(loadData(`sfew:${root}`)).rejects.toThrow(/one folder for train, got Train_Aligned_Faces, Train_LPQ/);
    rmSync(join(root, 'Train_LPQ'), { recursive: true });
    mkdirSync(join(root, 'Val', 'Bored'));
    await expect(loadData(`sfew:${root}`)).rejects.toThrow(/"Bored" is no expression/);
    rmSync(join(root, 'Val', 'Bored'), { recursive: true });
    rmSync(join(root, 'Val', 'Sad'), { recursive: true });
    await expect(loadData(`sfew:${root}`)).rejects.toThrow(/Val: there is no folder for sad/);
    rmSync(join(root, 'Val'), { recursive: true });
    await expect(loadData(`sfew:${root}`)).rejects.toThrow(/there is no folder Val in it/);
    await expect(loadData(`sfew:${join(root, 'Test')}`)).rejects.toThrow(/expected Train and Val, or a folder a class/);
  });
});

describe('holdOutGroups', () => {
  it('takes whole groups until none would bring it closer to the share, and leaves one', () => {
    const groups = [...'aaabbbbccddddde'];
    const chosen = new Set<string>();
    for (const fraction of [0.1, 0.3, 0.5, 0.99]) {
      for (let seed = 0; seed < 20; seed++) {
        const { rest, part } = holdOutGroups(groups, fraction, seed);
        expect([...rest, ...part].sort((a, b) => a - b)).toEqual(groups.map((_, i) => i));
        const [held, left] = [part, rest].map((indices) => [...indices].map((i) => groups[i]!)) as [string[], string[]];
        expect(left.some((group) => held.includes(group))).toBe(false);
        expect(left.length).toBeGreaterThan(0);
        chosen.add(held.join(''));
        if (new Set(left).size === 1) continue;
        const distance = (size: number) => Math.abs(size - fraction * groups.length);
        const sizes = [...new Set(left)].map((group) => left.filter((one) => one === group).length);
        // Groups passed over while fewer were held may fit no better later: the held ones only grow.
        for (const size of sizes) expect(distance(part.length + size)).toBeGreaterThanOrEqual(distance(part.length));
      }
    }
    expect(chosen.size).toBeGreaterThan(8);
  });
  it('holds out the smallest of groups that are all too large', () => {
    expect([...holdOutGroups([...'aaaabbbcccc'], 0.1, 3).part]).toEqual([4, 5, 6]);
  });
  it('refuses impossible splits', () => {
    for (const fraction of [0, 1, Number.NaN])
      expect(() => holdOutGroups(['a', 'b'], fraction, 1)).toThrow(ArgumentError);
    expect(() => holdOutGroups(['a', 'a'], 0.5, 1)).toThrow(DataError);
  });
});
