// The commands with a fake engine: what goes to which stream, exit codes, interrupts, resuming.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { COMMAND_NAMES, runCli } from '../../src/cli/app';
import type { Engine } from '../../src/cli/engine';
import { processIo } from '../../src/cli/io';
import { AbortError, CheckpointError } from '../../src/errors';
import {
  duplicateReport,
  endEvent,
  evaluation,
  events,
  type FakeEngine,
  type FakeIo,
  fakeEngine,
  fakeFrame,
  fakeIo,
  jsonLines,
} from './fakes';

async function cli(line: string, changes: Partial<Engine> = {}, io: FakeIo = fakeIo()) {
  const engine = fakeEngine(changes);
  const code = await runCli(line.split(' '), io, engine);
  return { code, stdout: io.stdout, stderr: io.stderr, engine, io };
}

describe('--json keeps stdout to JSON lines', () => {
  it('train: events in order, notes on stderr', async () => {
    const { code, stdout, stderr } = await cli('train --json --out runs/x');
    expect(code).toBe(0);
    expect(jsonLines(stdout).map((line) => line.event)).toEqual(['step', 'epoch', 'end']);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ testAccuracy: 0.75, run: 'runs/x', interrupted: false });
    expect(stderr).toBe('note: synthetic faces\n');
  });

  it('train: the end is printed once also when it is only returned', async () => {
    const { stdout } = await cli('train --json', { train: async () => endEvent('runs/y') });
    expect(jsonLines(stdout).map((line) => line.run)).toEqual(['runs/y']);
  });

  it('import and export', async () => {
    const imported = await cli('import w.safetensors --model resnet18 --out runs/r --mean 0.5,0.4,0.3 --json');
    expect(jsonLines(imported.stdout)).toEqual([
      { run: 'runs/r', model: 'resnet18', tensors: 3, parameters: 1234, classes: 7 },
    ]);
    const exported = await cli('export runs/r --out r.onnx --json');
    expect(jsonLines(exported.stdout)).toEqual([
      { file: 'r.onnx', bytes: 2048, tensors: 3, comparison: { version: '1.2', difference: 3e-7 } },
    ]);
  });

  it('train: also on a terminal', async () => {
    const { stdout } = await cli('train --json', {}, fakeIo({ terminal: true }));
    expect(jsonLines(stdout)).toHaveLength(3);
  });

  it('eval, summary, synth, info, predict, duplicates, bench', async () => {
    expect(jsonLines((await cli('eval --run r --data mnist --json')).stdout)).toEqual([evaluation]);
    const [summary] = jsonLines((await cli('summary cfpn --input 32x40x3 --json')).stdout);
    expect(summary).toMatchObject({ model: 'cfpn', input: [32, 40, 3], arenaBytes: { hsic: 1 << 20, bp: 3 << 20 } });
    expect(Object.keys(summary ?? {})).toEqual(expect.arrayContaining(['parameters', 'macs', 'units', 'layers']));
    const [synth] = jsonLines((await cli('synth --out a.csv --count 9 --json')).stdout);
    expect(synth).toMatchObject({ out: 'a.csv', splits: { train: 7, validation: 1, test: 1 }, synthetic: true });
    const [info] = jsonLines((await cli('info --json')).stdout);
    expect(info).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      devices: [
        { id: 'cpu', available: true, isa: 'avx2', threads: 2 },
        { id: 'cuda', available: false, reason: 'no driver' },
      ],
    });
    const predicted = jsonLines((await cli('predict --run r a.png b.png --json')).stdout);
    expect(predicted).toEqual(
      ['a.png', 'b.png'].map((image) => ({ image, label: 'cat', probabilities: { cat: 0.875, dog: 0.125 } })),
    );
    const detected = await cli('predict --detect a.jpg b.jpg --json');
    expect(jsonLines(detected.stdout)).toEqual(
      ['a.jpg', 'b.jpg'].map((image) => ({ image, ...fakeFrame(0), annotated: 'faces/x.png' })),
    );
    const watched = await cli('watch frames --json');
    expect(jsonLines(watched.stdout)).toEqual([0, 1, 2].map((index) => ({ image: 'frames', ...fakeFrame(index) })));
    expect(watched.stderr).toBe('3 frames, detector in 1, 1 faces, 125.0 frames/s\n');
    const [duplicates] = jsonLines((await cli('duplicates --data mnist --pairs 1 --json')).stdout);
    expect(duplicates).toEqual({ ...duplicateReport, pairs: duplicateReport.pairs.slice(0, 1) });
    const [setting, row] = jsonLines((await cli('bench kernels --json')).stdout);
    expect(setting).toMatchObject({ environment: { isa: 'avx2' }, ceilings: { 'gramian bf16': { gflops: 200 } } });
    expect(row).toMatchObject({
      row: 'one',
      ours: { medianMs: 1.5, gflops: 12, gbps: 2, roofline: 0.12 },
      peers: { fast: { medianMs: 3 } },
      ratio: 2,
    });
  });
});

describe('text for people', () => {
  it.each([
    ['train --out runs/x', ['test accuracy 75.00%', 'run: runs/x']],
    ['eval --run r --data mnist', ['accuracy 75.00%', 'specificity', 'true \\ called']],
    ['predict --run r a.png', ['a.png: cat 87.50% (dog 12.50%)']],
    [
      'predict --detect a.jpg',
      ['a.jpg: 1 face in 8 ms, drawn in faces/x.png', '  1 happy 88%, female 31  at 10 20 30 41, score 90.00%'],
    ],
    ['watch frames', ['3 frames, detector in 1, 1 faces, 125.0 frames/s', 'detect', '4.00', 'total', '8.00']],
    ['summary alexnet', ['multiply-adds an image, 1 units\npaper 000 gives 60 M parameters\narena of']],
    ['summary mffCnn', ['paper 004 gives 1.21 M parameters and 4.87 GFLOP\n']],
    ['summary cfpn', ['stem/conv', '24x24x8', '1.23k', '5.6M', '1 MiB by local', '3 MiB by back-propagation']],
    ['info', ['gramian ', 'avx2, 2 threads', 'not available: no driver']],
    ['synth --out a.csv --count 9', ['9 synthetic faces (7 train, 1 validation, 1 test), seed 1']],
    [
      'duplicates --data fer2013:f.csv',
      [
        'exact copies: 1 pairs, 1 of them across parts, 1 with two labels',
        'test: 1 images have an exact copy in train, 0 others a near one',
        'exact  train #3 (cat) = test #1 (dog, S005)\n',
        'near  train #4 (cat) = train #5 (cat)  differs by 1.23, 2 bits',
      ],
    ],
    [
      'bench kernels',
      ['avx2, 2 threads', '1.5 ms', '12 GFLOP/s', '12 % of the roofline', '2.00 x ours', 'disagrees', 'no such op'],
    ],
  ])('%s', async (line, parts) => {
    const { code, stdout } = await cli(line);
    for (const part of parts) expect(stdout).toContain(part);
    expect(code).toBe(0);
  });

  it('info says why nothing loads', async () => {
    const devices = async (): Promise<never> => {
      throw new Error('the addon was not found; run npm run build');
    };
    const { code, stdout } = await cli('info --json', { devices });
    expect(code).toBe(0);
    expect(jsonLines(stdout)[0]).toMatchObject({
      devices: [{ id: 'cpu', available: false, reason: expect.stringContaining('npm run build') }, { id: 'cuda' }],
    });
  });
});

describe('help', () => {
  it('lists every command', async () => {
    for (const line of ['--help', '-h', 'help']) {
      const { code, stdout } = await cli(line);
      expect(code).toBe(0);
      for (const name of COMMAND_NAMES) expect(stdout).toMatch(new RegExp(`^  ${name}  +\\S`, 'm'));
    }
  });

  it.each([...COMMAND_NAMES])('%s names its options and shows examples', async (name) => {
    for (const line of [`${name} --help`, `${name} --nonsense -h`, `help ${name}`]) {
      const { code, stdout } = await cli(line);
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: gramian ${name}`);
      expect(stdout).toContain('--json');
      expect(stdout).toMatch(new RegExp(`Examples:\n {2}gramian ${name}`));
    }
  });

  it('gives ranges and defaults', async () => {
    const { stdout } = await cli('train --help');
    expect(stdout).toMatch(/--lr X +learning rate \[above 0 to 1000; default 0\.001\]/);
    expect(stdout).toMatch(/--method NAME .*\[hsic, bp; default hsic\]/);
  });

  it('--version is the package’s', async () => {
    expect((await cli('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
  });
});

describe('failures', () => {
  it('of the engine end with 1 and a sentence', async () => {
    const evaluate = async (): Promise<never> => {
      throw new CheckpointError('[run] r holds no weights');
    };
    const { code, stdout, stderr } = await cli('eval --run r --data mnist --json', { evaluate });
    expect([code, stdout, stderr]).toEqual([1, '', 'gramian: [run] r holds no weights\n']);
  });

  it('that nobody foresaw show where they came from', async () => {
    const evaluate = async (): Promise<never> => {
      throw new TypeError('surprise');
    };
    const { code, stderr } = await cli('eval --run r --data mnist', { evaluate });
    expect(code).toBe(1);
    expect(stderr).toMatch(/surprise\n\s+at /);
  });
});

describe('faces', () => {
  it('hand their options over and leave the rest to the pipeline', async () => {
    const line = 'predict --detect --run r --detector mtcnn --weights w --min-face 20 --attributes --threads 2 a.jpg';
    const { engine } = await cli(line);
    expect((engine as FakeEngine).faced).toEqual([
      { out: 'faces', detector: 'mtcnn', weights: 'w', minFace: 20, attributes: true, threads: 2, run: 'r' },
    ]);
    const watched = await cli('watch f --size 320 --every 3 --limit 9 --out o --threshold 0.4 --face-api d');
    expect((watched.engine as FakeEngine).faced).toEqual([
      {
        ...{ out: 'o', detector: 'tiny', size: 320, threshold: 0.4, faceApi: 'd', attributes: false },
        ...{ detectEvery: 3, limit: 9, ffmpeg: 'ffmpeg', signal: expect.any(AbortSignal) },
      },
    ]);
  });

  it('train-detector takes a folder or drawn scenes', async () => {
    const folder = await cli('train-detector --data photos --steps 50 --lr 0.01 --seed 3');
    expect(folder.stdout).toBe('trained on 3 faces of 2 images: mtcnn.safetensors\n');
    expect(folder.stderr).toMatch(/^pnet crops of image 2\/2 {2}0s\npnet step 50\/50 {2}loss 0.25 {2}0s\n$/);
    const { detectorsTrained } = folder.engine as FakeEngine;
    expect(detectorsTrained).toEqual([
      {
        data: { folder: 'photos' },
        options: {
          ...{ out: 'mtcnn.safetensors', steps: 50, batch: 128, learningRate: 0.01, minFace: 24, seed: 3 },
          signal: expect.any(AbortSignal),
        },
      },
    ]);
    const scenes = await cli('train-detector --data scenes:9 --out a.safetensors --json');
    expect((scenes.engine as FakeEngine).detectorsTrained[0]!.data).toEqual({ scenes: 9 });
    expect(jsonLines(scenes.stdout).map((line) => line.stage)).toEqual(['sample', 'train', 'end']);
  });

  it('watch redraws a line on a terminal', async () => {
    const { stderr } = await cli('watch f', {}, fakeIo({ terminal: true }));
    expect(stderr).toContain('frame 2  125 frames/s  1 happy 88%, female 31');
  });

  it('watch ends with 130 at an interrupt, and says what it saw', async () => {
    const io = fakeIo();
    const { code, stdout } = await cli(
      'watch f',
      {
        async *watchFaces(image, { signal }) {
          yield { image, ...fakeFrame(0) };
          io.interrupt();
          expect(signal!.aborted).toBe(true);
          throw new AbortError('[frames] stopped by the caller', 1);
        },
      },
      io,
    );
    expect(code).toBe(130);
    expect(stdout).toContain('1 frames, detector in 1');
    expect(io.listening).toBe(false);
  });
});

describe('interrupts', () => {
  it('ask the trainer to stop, which saves and ends with 130', async () => {
    const io = fakeIo();
    const train: Engine['train'] = async (settings, { onEvent, signal }) => {
      io.interrupt();
      expect(signal?.aborted).toBe(true);
      const end = endEvent(settings.out ?? '', true);
      onEvent(end);
      return end;
    };
    const { code, stdout, stderr } = await cli('train --json', { train }, io);
    expect(code).toBe(130);
    expect(jsonLines(stdout)[0]).toMatchObject({ event: 'end', interrupted: true });
    expect(stderr).toContain('finishing the step, then saving');
    expect(io.listening).toBe(false);
  });

  it('end with 130 also when the trainer had nothing to save', async () => {
    const io = fakeIo();
    const train = async (): Promise<never> => {
      io.interrupt();
      throw new AbortError('[loadData] stopped by the caller', 0);
    };
    const { code, stderr } = await cli('train', { train }, io);
    expect(code).toBe(130);
    expect(stderr).toContain('stopped by the caller');
  });

  it('of somebody else are failures', async () => {
    const train = async (): Promise<never> => {
      throw new AbortError('not ours', 0);
    };
    expect((await cli('train', { train })).code).toBe(1);
  });

  it('twice leave at once', () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`exit ${code}`);
    });
    const first = vi.fn();
    const before = process.listenerCount('SIGINT');
    const stop = processIo().onInterrupt(first);
    process.emit('SIGINT');
    expect(first).toHaveBeenCalledTimes(1);
    expect(exit).not.toHaveBeenCalled();
    expect(() => process.emit('SIGINT')).toThrow('exit 130');
    stop();
    expect(process.listenerCount('SIGINT')).toBe(before);
    exit.mockRestore();
  });
});

describe('train', () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });
  function runFolder(files: Record<string, string>): string {
    const folder = mkdtempSync(join(tmpdir(), 'gramian-cli-'));
    folders.push(folder);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    return folder;
  }

  it('hands its options over', async () => {
    const { engine } = await cli('train --data mnist --lr 0.01 --input 32x40 --class-weights --limit 99');
    expect(engine.trained).toHaveLength(1);
    expect(engine.trained[0]).toMatchObject({
      data: 'mnist',
      lr: 0.01,
      input: [32, 40],
      classWeights: true,
      limit: 99,
    });
    expect(engine.trained[0]).not.toHaveProperty('json');
    expect(engine.trained[0]).not.toHaveProperty('threads');
  });

  it('hands over channels as a number', async () => {
    const { engine } = await cli('train --data folder:photos --channels 3');
    expect(engine.trained[0]).toMatchObject({ channels: 3 });
  });

  it('hands over lists of names, rates and milestones', async () => {
    const lists = '--freeze *,!head --rates head=10,stem=.5 --schedule milestones --milestones 100,120';
    const { engine } = await cli(`train --data mnist ${lists} --remove-from 50 --init runs/source`);
    expect(engine.trained[0]).toMatchObject({
      freeze: ['*', '!head'],
      rates: { head: 10, stem: 0.5 },
      milestones: [100, 120],
      removeFrom: 50,
      init: 'runs/source',
    });
  });

  it.each([
    ['--rates head', '--rates expects NAME=X,...'],
    ['--rates head=fast', '--rates expects NAME=X,...'],
    ['--rates =2', '--rates expects NAME=X,...'],
    ['--schedule milestones --milestones 100,0', '--milestones expects epochs from 1, got "100,0"'],
    ['--schedule milestones --milestones 1.5', '--milestones expects epochs from 1'],
    ['--milestones 100', '--milestones is for --schedule milestones'],
  ])('does not understand %s', async (options, message) => {
    const { code, stderr, engine } = await cli(`train --data mnist ${options}`);
    expect([code, engine.trained]).toEqual([2, []]);
    expect(stderr).toContain(message);
  });

  it('resumes with the settings of the run, but for what is given', async () => {
    const saved = { model: 'denseFpn', data: 'mnist', lr: 0.5, epochs: 9, out: 'elsewhere', resume: false, beta: 7 };
    const out = runFolder({ 'args.json': JSON.stringify(saved) });
    const { engine } = await cli(`train --out ${out} --resume --beta 8`);
    const settings = { model: 'denseFpn', data: 'mnist', lr: 0.5, epochs: 9, beta: 8, out, resume: true };
    expect(engine.trained[0]).toMatchObject(settings);
  });

  it('starts from the defaults when there is nothing to resume', async () => {
    const { engine } = await cli(`train --out ${runFolder({})} --resume --data mnist`);
    expect(engine.trained[0]).toMatchObject({ model: 'cfpn', data: 'mnist', lr: 0.001, resume: true });
  });

  it.each(['[]', '{"lr":', 'null'])('refuses to resume from the args.json %s', async (content) => {
    const { code, stderr, engine } = await cli(`train --out ${runFolder({ 'args.json': content })} --resume`);
    expect([code, engine.trained]).toEqual([1, []]);
    expect(stderr).toContain('args.json is not a JSON object');
  });

  it('says that it replaces a run', async () => {
    const out = runFolder({ 'last.safetensors': '' });
    expect((await cli(`train --out ${out}`)).stderr).toContain(`replacing the run in ${out}`);
    expect((await cli(`train --out ${out} --resume`)).stderr).not.toContain('replacing');
  });

  it('shows every event of a run', async () => {
    const { stderr } = await cli('train');
    expect(events.map((event) => event.event)).toEqual(['note', 'step', 'epoch']);
    expect(stderr).toContain('note: synthetic faces');
    expect(stderr).toContain('train 50.00%  test 25.00%');
  });
});

describe('import and export', () => {
  it('pass on what was asked for', async () => {
    const asked: unknown[] = [];
    const importRun: Engine['importRun'] = async (file, options) => {
      asked.push(file, options);
      return { run: options.out, model: options.model, tensors: 1, parameters: 2, classes: 2 };
    };
    const line = 'import w.json --model mlp --out runs/m --input 1x1x10 --classes happy,sad --std 0.2,0.3';
    expect((await cli(line, { importRun })).stdout).toBe('runs/m: mlp with 2 classes, 1 tensors, 2 parameters\n');
    const options = { model: 'mlp', out: 'runs/m', input: [1, 1, 10], classNames: ['happy', 'sad'], std: [0.2, 0.3] };
    expect(asked).toEqual(['w.json', options]);
  });

  it('refuse what is no list', async () => {
    for (const option of ['--mean 0.5,x', '--std ,', '--classes a,,b', '--model resnet19']) {
      const { code, stderr } = await cli(`import w.json --model mlp --out r ${option}`);
      expect([code, stderr.length > 0]).toEqual([2, true]);
    }
  });

  it('say whether ONNX Runtime agreed', async () => {
    const said = await cli('export runs/r --out r.onnx');
    expect(said.stdout).toBe('r.onnx: 3 tensors, 2 KiB\nONNX Runtime 1.2 gives the same probabilities, to 3.0e-7\n');
    const alone: Engine['exportRun'] = async (_, { out }) => ({ file: out, bytes: 1, tensors: 1, comparison: null });
    expect((await cli('export runs/r --out r.onnx', { exportRun: alone })).stderr).toContain('not installed');
    const weights = await cli('export runs/r --format safetensors --out r.safetensors');
    expect(weights.stdout).toBe('r.safetensors: 3 tensors, 2 KiB\n');
    expect(weights.stderr).toBe('');
  });
});
