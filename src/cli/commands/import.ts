// gramian import: weights of other tools as a run's folder, for predict, eval and export.
import { json } from '../io';
import { type OptionTable, UsageError } from '../options';
import { type Command, jsonOption, MODEL_NAMES, present } from './shared';

const numbers = (value: string): string | undefined =>
  value.split(',').every((one) => one.trim() !== '' && Number.isFinite(Number(one)))
    ? undefined
    : `expected numbers joined by commas, got "${value}"`;

const options = {
  model: { type: 'choice', choices: MODEL_NAMES, required: true, help: 'the network the weights are of' },
  out: { type: 'text', value: 'DIR', required: true, help: 'folder of the run to make' },
  input: {
    type: 'size',
    extents: ['H', 'W', 'C'],
    min: 1,
    max: 4096,
    help: "size of the images; by default that of the network's authors",
  },
  classes: { type: 'text', value: 'NAME,NAME...', help: 'names of the classes, in the order of the classifier' },
  mean: { type: 'text', value: 'X,X...', check: numbers, help: 'mean of the pixels in 0..1, one or one a channel' },
  std: { type: 'text', value: 'X,X...', check: numbers, help: 'their deviation' },
  json: jsonOption,
} as const satisfies OptionTable;

const listed = (value: string | undefined): number[] | undefined => value?.split(',').map(Number);

export const command: Command<typeof options> = {
  spec: {
    name: 'import',
    positionals: { name: 'FILE', min: 1, max: 1 },
    options,
    examples: [
      'gramian import resnet18.safetensors --model resnet18 --out runs/resnet18',
      'gramian import face_expression_model-weights_manifest.json --model faceExpressionNet --out runs/face-api',
    ],
  },
  async run({ values, positionals }, io, engine) {
    const { model, out, input, classes, mean, std } = values;
    const classNames = classes?.split(',').map((name) => name.trim());
    if (classNames?.some((name) => name === '')) throw new UsageError(`--classes has an empty name: ${classes}`);
    const size = input as readonly [number, number, number] | undefined;
    const made = await engine.importRun(positionals[0] as string, {
      model,
      out,
      ...present({ input: size, classNames, mean: listed(mean), std: listed(std) }),
    });
    if (values.json) json(io, made);
    else {
      const { tensors, parameters } = made;
      io.out(`${made.run}: ${made.model} with ${made.classes} classes, ${tensors} tensors, ${parameters} parameters\n`);
    }
    return 0;
  },
};
