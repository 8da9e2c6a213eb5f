// What the command line refuses, and how: exit code 2, a sentence on stderr that names the nearest match or the range,
// nothing on stdout, nothing started. Then what it accepts.
import { describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli/app';
import { command as benchCommand } from '../../src/cli/commands/bench';
import { command as duplicatesCommand } from '../../src/cli/commands/duplicates';
import { command as evalCommand } from '../../src/cli/commands/eval';
import { command as serveCommand } from '../../src/cli/commands/serve';
import { command as summaryCommand } from '../../src/cli/commands/summary';
import { command as synthCommand } from '../../src/cli/commands/synth';
import { command as trainCommand } from '../../src/cli/commands/train';
import { flagOf, type NumberOption, type OptionTable, parseOptions } from '../../src/cli/options';
import { loadData } from '../../src/data/load';
import { resolveConfig } from '../../src/train/config';
import { endEvent, fakeEngine, fakeIo } from './fakes';

/** Command line, and what its message must say. */
const REFUSED: [line: string, says: string][] = [
  // Commands.
  ['', 'a command is missing'],
  ['trian', 'did you mean "train"?'],
  ['TRAIN', 'did you mean "train"?'],
  ['evl', 'did you mean "eval"?'],
  ['predcit', 'did you mean "predict"?'],
  ['sumary', 'did you mean "summary"?'],
  ['inof', 'did you mean "info"?'],
  ['synht', 'did you mean "synth"?'],
  ['benhc', 'did you mean "bench"?'],
  ['xylophones', 'one of train, eval, import, export, predict'],
  ['help trian', 'did you mean "train"?'],
  ['--hlep', 'did you mean "--help"?'],
  ['--json info', 'an option stands behind a command'],
  ['__proto__', 'there is no command "__proto__"'],
  ['constructor', 'there is no command "constructor"'],
  // Unknown options.
  ['train --epoch 3', 'did you mean "--epochs"?'],
  ['train --learning-rate 3', 'no option --learning-rate'],
  ['train --bacth 32', 'did you mean "--batch"?'],
  ['train --labelSmoothing 0.1', 'did you mean "--label-smoothing"?'],
  ['train --no-json', 'no option --no-json'],
  ['train -x', 'no option -x'],
  ['train --__proto__ 1', 'no option --__proto__'],
  ['eval --run r --data mnist --splti test', 'did you mean "--split"?'],
  ['predict --run r --thread 2 a.png', 'did you mean "--threads"?'],
  ['summary cfpn --imput 48x48x1', 'did you mean "--input"?'],
  ['info --jsno', 'did you mean "--json"?'],
  ['synth --output x.csv', 'no option --output'],
  ['bench kernels --second 1', 'did you mean "--seconds"?'],
  // Unknown values.
  ['train --method hisc', 'did you mean "hsic"?'],
  ['train --method HSIC', 'did you mean "hsic"?'],
  ['train --objective cak', 'did you mean "cka"?'],
  ['train --objective bp', '--objective cannot be "bp"'],
  ['train --method bp --objective cka', '--objective is for --method hsic'],
  ['train --kernel gausian', 'did you mean "gaussian"?'],
  ['train --optimizer adm', 'did you mean "adam"?'],
  ['train --schedule cosin', 'did you mean "cosine"?'],
  ['train --augment ligth', 'did you mean "light"?'],
  ['train --device gpu', '--device cannot be "gpu"'],
  ['train --model cfpm', 'did you mean "cfpn"?'],
  ['train --data minst', 'did you mean mnist?'],
  ['train --data mnist:3', 'expected mnist'],
  ['train --data idx:', 'expected idx:DIR'],
  ['train --data fer2013', 'expected fer2013:FILE.csv'],
  ['train --data synthetic:-3', 'takes a whole number'],
  ['eval --run r --data mnist --split tset', 'did you mean "test"?'],
  ['summary cfpm', 'did you mean "cfpn"?'],
  ['bench kernel', 'did you mean "kernels"?'],
  ['bench step --model cfnp', 'did you mean "cfpn"?'],
  ['synth --out faces.png', 'ends in .csv'],
  // Numbers.
  ['train --epochs 0', '--epochs expects an integer from 1 to 1000000, got "0"'],
  ['train --epochs -1', 'got "-1"'],
  ['train --epochs 1.5', 'got "1.5"'],
  ['train --epochs 1e99', 'got "1e99"'],
  ['train --epochs NaN', 'got "NaN"'],
  ['train --epochs ten', 'got "ten"'],
  ['train --epochs 0x10', 'got "0x10"'],
  ['train --epochs Infinity', 'got "Infinity"'],
  ['train --epochs=', 'got ""'],
  ['train --epochs 1_000', 'got "1_000"'],
  ['train --batch 1', '--batch expects an integer from 2 to 65536'],
  ['train --batch 65537', 'got "65537"'],
  ['train --lr 0', '--lr expects a number above 0'],
  ['train --lr -0.1', 'got "-0.1"'],
  ['train --lr 1e4', 'got "1e4"'],
  ['train --lr nan', 'got "nan"'],
  ['train --lr 1,5', 'got "1,5"'],
  ['train --beta -1', '--beta expects a number from 0'],
  ['train --sigma -1', '--sigma expects'],
  ['train --seed -1', '--seed expects'],
  ['train --seed 1.5', 'got "1.5"'],
  ['train --seed 9007199254740993', '--seed expects'],
  ['train --threads 0', '--threads expects'],
  ['train --threads 2000', '--threads expects'],
  ['train --limit 0', '--limit expects'],
  ['train --label-smoothing 1.1', '--label-smoothing expects a number from 0 to 0.999999'],
  ['train --warmup 0.5', '--warmup expects'],
  ['train --pool -4', '--pool expects'],
  ['eval --run r --data mnist --limit 1e99', '--limit expects'],
  ['synth --out x.csv --count 2', '--count expects an integer from 3'],
  ['synth --out x.csv --count 1e99', '--count expects'],
  ['bench kernels --seconds 0', '--seconds expects a number above 0'],
  ['bench peers --patience 0', '--patience expects a number above 0'],
  ['bench peers --peers torch-egaer', 'there is no "torch-egaer"; did you mean "torch-eager"?'],
  ['bench peers --peers ,', '--peers expects peers by id or its beginning; none was given'],
  ['bench peers --peers torch', '--peers torch-eager needs --python PATH'],
  ['bench step --patience 9', '--patience is about peers'],
  ['bench step --tfjs-node .', '--tfjs-node is about peers'],
  // Sizes.
  ['train --input 48', '--input expects HxW'],
  ['train --input 48x48x1', '--input expects HxW'],
  ['train --input 4x4', 'each from 8 to 4096'],
  ['train --input 48x-48', '--input expects HxW'],
  ['summary cfpn --input 48x48', '--input expects HxWxC'],
  ['summary cfpn --input 0x48x1', '--input expects HxWxC'],
  ['summary cfpn --input 48x48x1.5', '--input expects HxWxC'],
  ['summary cfpn --batch 1', '--batch expects'],
  // Values missing, too many, or where none belongs.
  ['train --epochs', '--epochs expects a value'],
  ['train --epochs --batch 3', '--epochs expects a value'],
  ['train --out=', '--out expects DIR'],
  ['train --lr 1 --lr 2', '--lr is given twice'],
  ['train --json=yes', '--json takes no value'],
  ['train --resume --resume', '--resume is given twice'],
  ['train mnist', '"train" takes options only, got "mnist"'],
  ['info cpu', '"info" takes options only'],
  ['eval --data mnist', '"eval" needs --run'],
  ['eval --run r', '"eval" needs --data'],
  ['predict a.png', '"predict" needs --run'],
  ['predict --run r --attributes a.png', '--attributes is for --detect'],
  ['predict --run r --face-api d a.png', '--face-api is for --detect'],
  ['predict --run r --out d a.png', '--out is for --detect'],
  ['predict --detect --detector haar a.png', '--detector cannot be "haar"'],
  ['predict --detect --min-face 3 a.png', '--min-face expects an integer from 12 to 4096'],
  ['predict --detect --weights w a.png', '--weights is for --detector mtcnn'],
  ['predict --detect --detector mtcnn --weights w --size 320 a.png', '--size is for --detector tiny'],
  ['watch frames --weights w', '--weights is for --detector mtcnn'],
  ['watch frames --detector mtcnn', '--detector mtcnn needs --weights PATH'],
  ['watch frames --min-face 30', '--min-face is for --detector mtcnn'],
  ['serve --detector mtcnn --weights w --threshold 0.5', '--threshold is for --detector tiny'],
  ['watch', '"watch" expects DIR|FILE'],
  ['train-detector', '"train-detector" needs --data'],
  ['train-detector --data scenes:many', '--data expects scenes:COUNT'],
  ['train-detector --data d --out weights.bin', '--out expects a name that ends in .safetensors'],
  ['train-detector --data d --steps 0', '--steps expects an integer from 1'],
  ['watch a b', '"watch" expects'],
  ['watch frames --every 0', '--every expects an integer from 1 to 1000'],
  ['predict --run r', '"predict" expects IMAGE...'],
  ['predict --run r a.png ', 'got an empty word'],
  ['summary', '"summary" expects MODEL'],
  ['summary cfpn denseFpn', 'expects MODEL, got "denseFpn" beside'],
  ['synth --count 5', '"synth" needs --out'],
  ['bench', '"bench" expects WHAT'],
  ['sevre', 'did you mean "serve"?'],
  ['serve runs/mine', '"serve" takes options only, got "runs/mine"'],
  ['serve --port 65536', '--port expects an integer from 0 to 65535'],
  ['serve --port -1', 'got "-1"'],
  ['serve --host 0.0.0.0', 'no option --host'],
  ['serve --detector tyni', 'did you mean "tiny"?'],
  ['serve --classifier runs/none', '--classifier expects the folder of a run, face-api or none, got "runs/none"'],
  ['serve --detector mtcnn', '--detector mtcnn needs --weights PATH'],
  ['serve --weights w', '--weights is for --detector mtcnn'],
  ['serve --token a', 'no option --token'],
  ['duplicate --data mnist', 'did you mean "duplicates"?'],
  ['duplicates', '"duplicates" needs --data'],
  ['duplicates --data mnist --bits 16', '--bits expects an integer from 0 to 15'],
  ['duplicates --data mnist --folds 1', '--folds expects an integer from 2'],
  ['duplicates --data mnist --by-subject', '--by-subject is for --folds'],
];

describe('refused command lines', () => {
  it.each(REFUSED)('gramian %s', async (line, says) => {
    const io = fakeIo();
    const engine = fakeEngine({
      async train(settings, { onEvent }) {
        await loadData(settings.data);
        onEvent(endEvent('runs/started'));
        return endEvent('runs/started');
      },
    });
    const code = await runCli(line === '' ? [] : line.split(' '), io, engine);
    expect(io.stderr).toContain(says);
    expect(io.stderr).toMatch(/^gramian: /);
    expect(io.stdout).toBe('');
    expect(code).toBe(2);
  });

  it('are at least sixty', () => {
    expect(REFUSED.length).toBeGreaterThanOrEqual(60);
    expect(new Set(REFUSED.map(([line]) => line)).size).toBe(REFUSED.length);
  });
});

describe('accepted command lines', () => {
  it('fill the defaults', () => {
    const { values, given } = parseOptions(trainCommand.spec, []);
    expect(values).toMatchObject({ model: 'cfpn', method: 'hsic', objective: 'cka', beta: 100, batch: 128, lr: 0.001 });
    expect(values).toMatchObject({ seed: 1, device: 'auto', resume: false, json: false, classWeights: false });
    expect(values.threads).toBeUndefined();
    expect(values.limit).toBeUndefined();
    expect(given.size).toBe(0);
  });

  it.each([
    ['--lr 1e-3', 'lr', 0.001],
    ['--lr=.5', 'lr', 0.5],
    ['--epochs 1e2', 'epochs', 100],
    ['--epochs +7', 'epochs', 7],
    ['--beta 0', 'beta', 0],
    ['--seed 9007199254740991', 'seed', Number.MAX_SAFE_INTEGER],
    ['--input 48x56', 'input', [48, 56]],
    ['--class-weights', 'classWeights', true],
    ['--label-smoothing 0.1', 'labelSmoothing', 0.1],
    ['--data idx:/a:b', 'data', 'idx:/a:b'],
    ['--out=runs/-x', 'out', 'runs/-x'],
  ])('train %s', (line, key, value) => {
    const { values, given } = parseOptions(trainCommand.spec, line.split(' '));
    expect(values[key as keyof typeof values]).toEqual(value);
    expect([...given]).toEqual([key]);
  });

  it('take what follows -- as it is', async () => {
    const io = fakeIo();
    expect(await runCli(['predict', '--run', 'r', '--json', '--', '--odd.png'], io, fakeEngine())).toBe(0);
    expect(JSON.parse(io.stdout)).toMatchObject({ image: '--odd.png', label: 'cat' });
  });
});

describe('tables', () => {
  const tables: [string, OptionTable][] = [
    trainCommand,
    evalCommand,
    summaryCommand,
    synthCommand,
    duplicatesCommand,
    serveCommand,
    benchCommand,
  ].map(({ spec }) => [spec.name, spec.options]);
  const numbers = tables.flatMap(([name, table]) =>
    Object.entries(table).flatMap(([key, option]): [string, string, NumberOption][] =>
      option.type === 'integer' || option.type === 'number' ? [[name, key, option]] : [],
    ),
  );

  it.each(numbers)('%s: the ends and the default of %s lie in its range', (name, key, option) => {
    const spec = { name, options: { [key]: option }, examples: [] };
    const read = (value: number) => parseOptions(spec, [`--${flagOf(key)}=${value}`]).values[key];
    expect(read(option.max)).toBe(option.max);
    if (!option.above) expect(read(option.min)).toBe(option.min);
    if (option.default !== undefined) expect(read(option.default)).toBe(option.default);
  });

  const trainNumbers = numbers.filter(([name]) => name === 'train');
  it.each(trainNumbers)('%s: the trainer accepts the ends of %s', (_, key, option) => {
    for (const value of [option.above ? option.max / 2 : option.min, option.max]) {
      expect(resolveConfig({ data: 'mnist', [key]: value })).toMatchObject({ [key]: value });
    }
  });

  it('train has an option for every setting of the trainer', () => {
    const { epochs, batch, ...rest } = resolveConfig({ data: 'mnist' });
    expect([epochs, batch]).toEqual([trainCommand.spec.options.epochs.default, 128]);
    // Whether features are normalised is a matter of reproducing one paper, not of a command line.
    const settings = Object.keys(rest).filter((key) => key !== 'normalize');
    expect(settings.filter((key) => !(key in trainCommand.spec.options))).toEqual([]);
  });
});
