// gramian export: a run's network as ONNX, or its weights as safetensors.
import { EXPORT_FORMATS } from '../../train/exportRun';
import { formatBytes } from '../format';
import { json } from '../io';
import type { OptionTable } from '../options';
import { type Command, jsonOption } from './shared';

const options = {
  format: { type: 'choice', choices: EXPORT_FORMATS, default: 'onnx', help: 'kind of file' },
  out: { type: 'text', value: 'FILE', required: true, help: 'the file to write' },
  json: jsonOption,
} as const satisfies OptionTable;

export const command: Command<typeof options> = {
  spec: {
    name: 'export',
    positionals: { name: 'RUN', min: 1, max: 1 },
    options,
    examples: [
      'gramian export runs/fer --format onnx --out fer.onnx',
      'gramian export runs/fer --format safetensors --out fer.safetensors',
    ],
  },
  async run({ values, positionals }, io, engine) {
    const { format, out } = values;
    const made = await engine.exportRun(positionals[0] as string, { format, out });
    if (values.json) {
      json(io, made);
      return 0;
    }
    io.out(`${made.file}: ${made.tensors} tensors, ${formatBytes(made.bytes)}\n`);
    if (made.comparison) {
      const { version, difference } = made.comparison;
      io.out(`ONNX Runtime ${version} gives the same probabilities, to ${difference.toExponential(1)}\n`);
    } else if (made.comparison === null) {
      io.err('onnxruntime-node is not installed here, so the file was not compared with it\n');
    }
    return 0;
  },
};
