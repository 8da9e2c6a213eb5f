// gramian summary: what a network costs, layer by layer and unit by unit, before it runs.
import type { Summary } from '../../train/summarize';
import { formatBytes, formatCount, table } from '../format';
import { type Io, json } from '../io';
import type { OptionTable } from '../options';
import { type Command, jsonOption, MODEL_NAMES } from './shared';

const options = {
  input: {
    type: 'size',
    extents: ['H', 'W', 'C'],
    min: 1,
    max: 4096,
    default: [48, 48, 1],
    help: 'size of the images',
  },
  batch: { type: 'integer', min: 2, max: 65536, default: 128, help: 'images in a step, for the arena' },
  classes: { type: 'integer', min: 2, max: 100_000, default: 7, help: 'classes of the classifier' },
  json: jsonOption,
} as const satisfies OptionTable;

function say(io: Io, summary: Summary): void {
  const { arenaBytes, layers, units, published } = summary;
  const layerRows = layers.map((layer) => [
    layer.name,
    layer.op,
    layer.shape.join('x'),
    formatCount(layer.parameters),
    formatCount(layer.macs),
  ]);
  io.out(`${table([['layer', 'op', 'output', 'parameters', 'multiply-adds'], ...layerRows])}\n`);
  const unitRows = units.map((unit) => [
    unit.name,
    unit.shape.join('x'),
    formatCount(unit.parameters),
    formatCount(unit.macs),
  ]);
  io.out(`${table([['unit', 'output', 'parameters', 'multiply-adds'], ...unitRows])}\n`);
  io.out(`${summary.model} ${summary.input.join('x')}: ${formatCount(summary.parameters)} parameters, `);
  io.out(`${formatCount(summary.macs)} multiply-adds an image, ${units.length} units\n`);
  if (published) {
    const { paper, parameters, operations } = published;
    io.out(`paper ${paper} gives ${parameters} parameters${operations ? ` and ${operations}` : ''}\n`);
  }
  io.out(`arena of a step of ${summary.batch}: ${formatBytes(arenaBytes.hsic)} by local objectives, `);
  io.out(`${formatBytes(arenaBytes.bp)} by back-propagation\n`);
}

export const command: Command<typeof options> = {
  spec: {
    name: 'summary',
    positionals: { name: 'MODEL', min: 1, max: 1, choices: MODEL_NAMES },
    options,
    examples: ['gramian summary cfpn --input 48x48x1 --batch 128', 'gramian summary denseFpn --json'],
  },
  async run({ values, positionals }, io, engine) {
    const model = positionals[0] as string;
    const [height, width, channels] = values.input as [number, number, number];
    const { batch, classes } = values;
    const summary = await engine.summarize(model, { input: [height, width, channels], batch, classes });
    if (values.json) json(io, summary);
    else say(io, summary);
    return 0;
  },
};
