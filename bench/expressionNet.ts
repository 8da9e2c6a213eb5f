// Times face-api's expression net through our engine beside face-api itself on TensorFlow.js's wasm backend, taking turns in one
// process. Run by `npm run bench:expressions` on a quiet machine. The rule easy to break: both answer for the same images first, and
// nothing is timed unless their probabilities agree to 2e-6.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { environment } from '../src/cli/bench/environment';
import { alternate, type Sampled } from '../src/cli/bench/statistics';
import { table } from '../src/cli/format';
import { json, processIo } from '../src/cli/io';
import { parseOptions, UsageError } from '../src/cli/options';
import { devices } from '../src/compile';
import { GramianError } from '../src/errors';
import { fromFaceApi } from '../src/interchange/faceApi';
import { loadTfjsWeights } from '../src/interchange/tfjs';
import { FACE_API_EXPRESSIONS, FACE_API_PIXELS, faceExpressionNet } from '../src/models';
import { compileModel } from '../src/train/compileModel';
import { faceApiPeer, MODELS, type Peer } from './peers/faceApi';

const FILE = 'face_expression_model';
const SIDE = 112;
const CLOSE = 2e-6;

const options = {
  seconds: { type: 'number', min: 0, above: true, max: 600, default: 5, help: 'time spent on each contender of a row' },
  threads: { type: 'integer', min: 1, max: 256, help: 'threads of our engine; by default one for each core' },
  out: { type: 'text', value: 'FILE', help: 'write the result there as JSON' },
  json: { type: 'flag', help: 'print JSON lines on stdout and nothing else there' },
} as const;
const spec = { name: 'bench:expressions', options, examples: [] };

interface Row {
  readonly images: number;
  readonly ours: Sampled;
  readonly tfjs: Sampled;
  /** TensorFlow.js's time over ours. */
  readonly ratio: number;
  readonly difference: number;
}

/** Images of bytes that differ from each other. */
const imageOf = (image: number): Uint8Array =>
  Uint8Array.from(
    { length: SIDE * SIDE * 3 },
    (_, at) => 128 + 100 * Math.sin(at / (7 + image)) * Math.cos(at / (431 + image)),
  );

async function measure(peer: Peer, images: number, seconds: number, threads: number | undefined): Promise<Row> {
  const bytes = Array.from({ length: images }, (_, image) => imageOf(image));
  const all = Uint8Array.from(Buffer.concat(bytes));
  using ours = await compileModel(faceExpressionNet, {
    input: [SIDE, SIDE, 3],
    classes: FACE_API_EXPRESSIONS.length,
    pixels: FACE_API_PIXELS,
    weights: fromFaceApi(await loadTfjsWeights(path.join(MODELS, `${FILE}-weights_manifest.json`))),
    ...(threads === undefined ? {} : { threads }),
  });
  const floats = bytes.map((image) => Float32Array.from(image));
  const tfjs = peer.open('FaceExpressionNet', FILE, floats, SIDE);
  const [a, b] = [ours.runSync(all).probabilities as Float32Array, tfjs.run().result as Float32Array];
  const difference = a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
  if (!(difference <= CLOSE))
    throw new UsageError(`expected probabilities that agree to ${CLOSE}, they differ by ${difference}`);
  const timed = (run: () => unknown) => async (count: number) => {
    const started = performance.now();
    for (let done = 0; done < count; done += 1) run();
    return performance.now() - started;
  };
  const contenders = [
    { name: 'ours', sample: timed(() => ours.runSync(all)) },
    { name: 'tfjs', sample: timed(() => tfjs.run()) },
  ];
  const times = await alternate(contenders, { seconds });
  tfjs.dispose();
  const [first, second] = [times.get('ours')!, times.get('tfjs')!];
  return { images, ours: first, tfjs: second, ratio: second.medianMs / first.medianMs, difference };
}

async function main(): Promise<void> {
  const io = processIo();
  try {
    const { values } = parseOptions(spec, process.argv.slice(2));
    const cpu = devices().find(({ id }) => id === 'cpu');
    const threads = values.threads ?? cpu?.threads ?? 1;
    const setting = environment({ isa: cpu?.isa ?? 'unknown', threads });
    const peer = await faceApiPeer();
    const rows: Row[] = [];
    for (const images of [1, 16]) rows.push(await measure(peer, images, values.seconds, values.threads));
    const result = { setting, tfjs: peer.version, rows };
    if (values.out) writeFileSync(values.out, `${JSON.stringify(result, undefined, 2)}\n`);
    if (values.json) json(io, result);
    else {
      const lines = rows.map(({ images, ours, tfjs, ratio }) => [
        `${images} of 112x112x3`,
        `${ours.medianMs.toFixed(2)} ms`,
        `${tfjs.medianMs.toFixed(2)} ms`,
        ratio.toFixed(2),
      ]);
      io.out(
        table([['images', `ours, ${threads} threads`, `face-api on TensorFlow.js ${peer.version}`, 'ratio'], ...lines]),
      );
    }
  } catch (error) {
    io.err(
      `bench:expressions: ${error instanceof GramianError ? error.message : String((error as Error).stack ?? error)}\n`,
    );
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

void main();
