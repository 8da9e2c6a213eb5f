// Measures the face pipeline: `npx tsx bench/faces.ts boxes | track | speed`. boxes writes face-api's own answers for its
// photographs, which the tests hold; track compares trackers on known motions; speed gives frames a second and ms a stage. The
// rule easy to break: speed belongs on a quiet machine, and ratios come from one run.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { environment } from '../src/cli/bench/environment';
import { table } from '../src/cli/format';
import { type Io, json, processIo } from '../src/cli/io';
import { type CommandSpec, parseOptions, UsageError, type Values } from '../src/cli/options';
import { devices, type Precision } from '../src/compile';
import { GramianError } from '../src/errors';
import { type LoadDetectorOptions, loadRecognizer } from '../src/faces/load';
import { DETECTORS, type DetectorName } from '../src/faces/names';
import { PRECISIONS } from '../src/train/config';
import { PHOTOGRAPHS, type Photograph, photograph } from '../test/faces/photographs';
import { faceApiPeer } from './faces/peer';
import { classifyRows, type SpeedRow, STAGES, speedRows } from './faces/speed';
import { type Score, type TrackingRow, trackingRows } from './faces/tracking';

const ACTIONS = ['boxes', 'track', 'speed'] as const;

const options = {
  frames: { type: 'integer', min: 12, max: 100_000, default: 300, help: 'speed: frames of each film' },
  detector: { type: 'choice', choices: DETECTORS, default: 'tiny', help: 'speed, track --streams: what finds faces' },
  weights: { type: 'text', value: 'PATH', help: "speed, track --streams: MTCNN's weights" },
  size: {
    type: 'integer',
    min: 32,
    max: 2048,
    default: 416,
    help: "speed, track --streams: the tiny detector's resolution",
  },
  attributes: { type: 'flag', help: 'speed: gender and age too' },
  precision: { type: 'choice', choices: PRECISIONS, default: 'float32', help: 'speed: of the classifying networks' },
  noPeer: { type: 'flag', help: 'speed: without face-api' },
  threads: { type: 'integer', min: 1, max: 256, help: 'threads to compute with' },
  photographs: { type: 'text', value: 'N,...', default: '1,3,5', help: 'track: which of the six' },
  features: { type: 'choice', choices: ['hog', 'gray'], default: 'hog', help: 'track: what is compared' },
  kernel: { type: 'choice', choices: ['gaussian', 'linear'], default: 'gaussian', help: 'track: how' },
  streams: { type: 'flag', help: 'track: whether faces of streams with a detector keep their numbers, too' },
  python: { type: 'text', value: 'PATH', help: 'track: a Python with cv2.TrackerKCF_create, for comparison' },
  out: { type: 'text', value: 'FILE', help: 'boxes: where to write; test/faces/faceApiBoxes.json by default' },
  json: { type: 'flag', help: 'print JSON lines on stdout and nothing else there' },
} as const;
const spec = {
  name: 'faces',
  positionals: { name: 'WHAT', min: 1, max: 1, choices: ACTIONS },
  options,
  examples: [],
} satisfies CommandSpec;
type Asked = Values<typeof options>;

async function boxes({ out }: Asked, io: Io): Promise<void> {
  const peer = await faceApiPeer();
  const entries: [string, unknown][] = [];
  for (const name of PHOTOGRAPHS) {
    const image = await photograph(name);
    const found = {
      tiny512: await peer.tiny(image, 512),
      tiny416: await peer.tiny(image, 416),
      ssd: await peer.ssd(image),
    };
    entries.push([name, found]);
  }
  const file = out ?? path.join(__dirname, '../test/faces/faceApiBoxes.json');
  const lines = entries.map(([name, found]) => `  ${JSON.stringify(name)}: ${JSON.stringify(found)}`);
  writeFileSync(file, `{\n${lines.join(',\n')}\n}\n`);
  io.err(`face-api ${peer.version}: wrote ${file}\n`);
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const scoreCells = ({ meanIou, success, ms }: Score): string[] => [meanIou.toFixed(3), percent(success), ms.toFixed(2)];

/** The mean over rows of equally many frames. */
function overall(scores: readonly Score[]): Score {
  const mean = (of: (score: Score) => number): number =>
    scores.reduce((sum, score) => sum + of(score), 0) / scores.length;
  return { meanIou: mean((s) => s.meanIou), success: mean((s) => s.success), ms: mean((s) => s.ms) };
}

async function track(asked: Asked, io: Io): Promise<void> {
  const { photographs, python, features, kernel, threads, streams, json: asJson } = asked;
  const names = photographs.split(',').map((word): Photograph => {
    const name = PHOTOGRAPHS[Number(word) - 1];
    if (!name) throw new UsageError(`--photographs expects numbers of 1 to 6, got "${word}"`);
    return name;
  });
  const rows: TrackingRow[] = [];
  const settings = { features, kernel, ...(threads === undefined ? {} : { threads }) };
  const recognizer = streams ? await loadRecognizer({ ...detectorOf(asked), run: 'none' }) : undefined;
  for await (const row of trackingRows({
    ...settings,
    photographs: names,
    ...(python === undefined ? {} : { python }),
    ...(recognizer ? { recognizer } : {}),
  })) {
    rows.push(row);
    if (asJson) json(io, row);
    else io.err(`${row.photograph} ${row.motion}\n`);
  }
  recognizer?.dispose();
  if (asJson) return;
  const opencv = rows.flatMap((row) => (row.opencv ? [row.opencv] : []));
  const heads = ['mean IoU', 'IoU >= 0.5', 'ms a frame'];
  const lines = rows.map((row) => [
    `${row.photograph} ${row.motion}`,
    ...scoreCells(row.ours),
    ...(row.opencv ? scoreCells(row.opencv) : []),
    ...(row.stream ? [String(row.stream.seen), String(row.stream.numbers)] : []),
  ]);
  const all = ['all', ...scoreCells(overall(rows.map((row) => row.ours)))];
  if (opencv.length > 0) all.push(...scoreCells(overall(opencv)));
  io.out(
    table([
      [
        'film',
        ...heads,
        ...(opencv.length > 0 ? heads.map((head) => `OpenCV ${head}`) : []),
        ...(streams ? ['stream: frames seen', 'numbers'] : []),
      ],
      ...lines,
      all,
    ]),
  );
}

function speedCells({ faces, found, framesPerSecond, stages, detectMs, peer }: SpeedRow): string[] {
  return [
    String(faces),
    found.toFixed(2),
    framesPerSecond.toFixed(1),
    ...STAGES.map((stage) => stages[stage].toFixed(2)),
    detectMs.toFixed(2),
    ...(peer ? [peer.found.toFixed(2), peer.framesPerSecond.toFixed(2), peer.ratio.toFixed(1)] : []),
  ];
}

function detectorOf({ detector, weights, size, threads }: Asked): LoadDetectorOptions {
  return {
    ...{ detector: detector as DetectorName, size },
    ...(weights === undefined ? {} : { weights }),
    ...(threads === undefined ? {} : { threads }),
  };
}

async function speed(asked: Asked, io: Io): Promise<void> {
  const { frames, size, attributes, noPeer, threads, json: asJson } = asked;
  const precision = asked.precision as Precision;
  const peer = noPeer ? undefined : await faceApiPeer();
  const placement = threads === undefined ? {} : { threads };
  const settings = { ...detectorOf(asked), frames, size, attributes, precision };
  const rows: SpeedRow[] = [];
  for await (const row of speedRows(settings, peer)) {
    rows.push(row);
    if (asJson) json(io, row);
  }
  const classified = await classifyRows(['ferCnn', 'ferVgg', 'ferResnet18', 'cfpn'], { precision, ...placement });
  if (asJson) {
    for (const row of classified) json(io, row);
    return;
  }
  const theirs = peer ? ['face-api found', 'face-api frames/s', 'ratio'] : [];
  const stages = STAGES.map((stage) => `${stage} ms`);
  io.out(table([['faces', 'found', 'frames/s', ...stages, 'detection ms', ...theirs], ...rows.map(speedCells)]));
  const cells = classified.map(({ network, batch, msAFace }) => [network, String(batch), msAFace.toFixed(3)]);
  io.out(`\n${table([['classifier', 'faces at once', 'ms a face'], ...cells])}`);
}

async function main(): Promise<void> {
  const io = processIo();
  try {
    const { values, positionals } = parseOptions(spec, process.argv.slice(2));
    const cpu = devices().find(({ id }) => id === 'cpu');
    const found = environment({ isa: cpu?.isa ?? 'unknown', threads: values.threads ?? cpu?.threads ?? 1 });
    if (values.json) json(io, { environment: found });
    else io.err(`${found.cpu}, ${found.threads} threads, ${found.isa}, Node ${found.node}, gramian ${found.commit}\n`);
    const actions = { boxes, track, speed } as const;
    await actions[positionals[0] as (typeof ACTIONS)[number]](values, io);
  } catch (error) {
    io.err(`faces: ${error instanceof GramianError ? error.message : ((error as Error).stack ?? String(error))}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

void main();
