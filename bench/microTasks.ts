// What micro.ts times, each prepared and then called again and again. Called by micro.ts and its test. The rule easy to
// break: a call does the same work every time and leaves nothing behind.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { analyze, compile } from '../src/compile';
import { readFerCsv } from '../src/data/ferCsv';
import { writeFerCsv } from '../src/data/ferCsvWriter';
import { readFolder } from '../src/data/folder';
import { syntheticSplits } from '../src/data/synthetic';
import { Graph, sizeOf } from '../src/graph/graph';
import * as ops from '../src/graph/ops';
import { cfpn } from '../src/models/cfpn';
import { OBJECTIVE_DEFAULTS } from '../src/objectives/options';
import { encodePng } from '../src/report/png';
import { trainingGraph } from '../src/train/trainer';

export interface Prepared {
  /** One call; what it answers is for the test. */
  run(): unknown;
  /** Bytes and images that one call handles. */
  readonly bytes?: number;
  readonly images?: number;
  close?(): void;
}

export interface MicroTask {
  readonly id: string;
  /** One line for people. */
  readonly title: string;
  /** @param folder empty, for its files. */
  prepare(folder: string): Prepared | Promise<Prepared>;
}

const BATCH = 128;
const SIDE = 48;
const FED = [BATCH, SIDE, SIDE, 1] as const;
const PICTURES = 256;
const FACES = 2000;

/** CFPN's training step over one batch of black images. */
function trainingStep(): ReturnType<typeof trainingGraph> {
  const classes = Array.from({ length: 7 }, (_, index) => String(index));
  const data = {
    ...{ name: 'black', count: BATCH, height: SIDE, width: SIDE, channels: 1, classes, synthetic: true },
    images: new Uint8Array(sizeOf(FED)),
    labels: new Int32Array(BATCH),
  };
  return trainingGraph({
    model: cfpn,
    spec: { classes: classes.length, input: [SIDE, SIDE, 1], mean: [0.5], std: [0.3] },
    data,
    objective: { ...OBJECTIVE_DEFAULTS, name: 'cka' },
    ...{ batch: BATCH, seed: 1, lr: 1e-3 },
  });
}

/** A plan that computes next to nothing of what it is fed. */
function tinyPlan(shape: readonly number[]) {
  const graph = new Graph({ training: false });
  const x = graph.input('x', shape);
  const zeros = shape.map(() => 0);
  const ones = shape.map(() => 1);
  const first = ops.affine(ops.slice(x, zeros, ones), { scale: 2 });
  return {
    plan: compile(graph, { outputs: { first }, device: 'cpu', threads: 1 }),
    feeds: { x: new Float32Array(sizeOf(shape)) },
  };
}

function crossing(shape: readonly number[], sync: boolean, bytes?: number): Prepared {
  const { plan, feeds } = tinyPlan(shape);
  return {
    run: sync ? () => plan.stepSync(feeds) : () => plan.step(feeds),
    close: () => plan.dispose(),
    ...(bytes === undefined ? {} : { bytes }),
  };
}

/** Grey pictures of noise, which deflate cannot make easy, in two classes. */
function pictures(folder: string): number {
  let bytes = 0;
  for (let index = 0; index < PICTURES; index += 1) {
    const place = path.join(folder, index % 2 === 0 ? 'even' : 'odd');
    mkdirSync(place, { recursive: true });
    const pixels = Uint8Array.from(
      { length: SIDE * SIDE },
      (_, at) => (Math.imul(at + 1, 2654435761 + 2 * index) >>> 16) & 255,
    );
    const file = encodePng(SIDE, SIDE, 1, pixels);
    writeFileSync(path.join(place, `${index}.png`), file);
    bytes += file.length;
  }
  return bytes;
}

export const TASKS: readonly MicroTask[] = [
  {
    id: 'graph-forward',
    title: 'build CFPN 48x48, forward',
    prepare: () => ({
      run: () => cfpn(new Graph({ training: true }).input('x', FED), { classes: 7 }),
    }),
  },
  {
    id: 'graph-step',
    title: `build CFPN's training step (cka), batch ${BATCH}`,
    prepare: () => ({ run: () => trainingStep().graph }),
  },
  {
    id: 'plan',
    title: "plan CFPN's training step",
    prepare: () => {
      const { graph, outputs } = trainingStep();
      return { run: () => analyze(graph, { outputs, device: 'cpu' }) };
    },
  },
  {
    id: 'compile',
    title: "plan CFPN's training step and give it memory",
    prepare: () => {
      const { graph, outputs } = trainingStep();
      return {
        run: () => {
          using plan = compile(graph, { outputs, device: 'cpu' });
          return plan.tensors().length;
        },
      };
    },
  },
  { id: 'step-sync', title: 'plan.stepSync of a tiny plan', prepare: () => crossing([1], true) },
  { id: 'step', title: 'plan.step of a tiny plan', prepare: () => crossing([1], false) },
  {
    id: 'feed',
    title: `plan.stepSync that is fed ${FED.join('x')}`,
    prepare: () => crossing(FED, true, 4 * sizeOf(FED)),
  },
  {
    id: 'png',
    title: `decode ${PICTURES} PNG files of ${SIDE}x${SIDE}`,
    prepare: (folder) => {
      const bytes = pictures(folder);
      return { run: () => readFolder(folder), bytes, images: PICTURES };
    },
  },
  {
    id: 'csv',
    title: `read a FER2013 CSV of ${FACES} rows`,
    prepare: async (folder) => {
      const file = path.join(folder, 'faces.csv');
      await writeFerCsv(file, await syntheticSplits(FACES, { seed: 1 }));
      return { run: () => readFerCsv(file), bytes: statSync(file).size, images: FACES };
    },
  },
];
