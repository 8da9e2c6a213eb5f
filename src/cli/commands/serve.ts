// gramian serve: a page on this computer that finds faces in a camera, and one that shows a training run while it trains. It
// runs until Ctrl-C, which is its ordinary end: the exit code is then 0.
import { existsSync } from 'node:fs';
import { json } from '../io';
import { type OptionTable, UsageError } from '../options';
import { faceOptions, recognizerOptions } from './faceOptions';
import { type Command, jsonOption, present } from './shared';

const options = {
  run: { type: 'text', value: 'DIR', help: 'folder of a training run to show, also while it trains' },
  port: { type: 'integer', min: 0, max: 65535, default: 8047, help: 'port on 127.0.0.1, 0: any that is free' },
  classifier: {
    type: 'text',
    value: 'RUN',
    default: 'face-api',
    help: 'what tells expressions: folder of a run, face-api or none',
  },
  ...faceOptions,
  json: jsonOption,
} as const satisfies OptionTable;

/** Options that only the live page has. */
const FACES = ['classifier', ...Object.keys(faceOptions).filter((key) => key !== 'threads')];

export const command: Command<typeof options> = {
  spec: {
    name: 'serve',
    options,
    examples: ['gramian serve', 'gramian serve --run runs/mine', 'gramian serve --classifier runs/fer --port 0'],
  },
  async run({ values, given }, io, engine) {
    const { run, port, classifier } = values;
    const faces = recognizerOptions({ ...values, run: classifier });
    if (classifier !== 'face-api' && classifier !== 'none' && !existsSync(classifier)) {
      throw new UsageError(`--classifier expects the folder of a run, face-api or none, got "${classifier}"`);
    }
    const needsFaces = run === undefined || FACES.some((key) => given.has(key));
    let stop = (): void => undefined;
    const stopped = new Promise<void>((resolve) => {
      stop = resolve;
    });
    const stopListening = io.onInterrupt(stop);
    try {
      const served = await engine.serve({ port, needsFaces, faces, ...present({ run }) }, (text) =>
        io.err(`gramian: ${text}\n`),
      );
      try {
        const { url, about, missing } = served;
        if (run !== undefined && !existsSync(run))
          io.err(`note: ${run} is not there yet; its run is shown as it comes\n`);
        if (missing !== undefined) io.err(`note: no live page: ${missing}\n`);
        if (values.json) json(io, { url, port: served.port, live: about !== undefined, ...present({ run }) });
        else io.out(`${about === undefined ? '' : `${about}\n`}${url}\nOpen this address in a browser; Ctrl-C ends.\n`);
        await stopped;
      } finally {
        await served.close();
      }
      return 0;
    } finally {
      stopListening();
    }
  },
};
