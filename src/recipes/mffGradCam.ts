// Where MFF-CNN looks: Grad-CAM of its mid-level, high-level and local maps, the local ones with and without selection.
// Reproduces paper 004 Fig. 8.
// Cost: smoke seconds; small about a minute on two cores; full 10 minutes. Seed 1.
// Expected: mid-level evidence is scattered, high-level evidence concentrated; selection darkens some patches.
// Where the paper is silent: "before selection" cannot be seen in a network that selects, since what is not selected has no
// gradient; so the picture before is of the same network trained without selection.
import { type ImageDataset, pixelStatistics, select } from '../data/types';
import { type ModelFunction, models } from '../models';
import { type Canvas, canvasPng, type Gray, grayCanvas, montage, overlay } from '../report/overlay';
import type { NetworkSpec } from '../train/evaluator';
import { type ActivationMap, type GradCam, gradCam } from '../train/gradCam';
import { comparison, type Group } from './charts';
import { type MffName, mffFaces, mffFolds, trainMff } from './mffShared';
import type { Recipe } from './recipe';
import type { RecipeRun } from './run';

const FOLDS = { smoke: 2, small: 10, full: 10 };
const SIDE = { smoke: 40, small: 60, full: 60 };
const FACES = { smoke: 1, small: 4, full: 6 };
const GRID = 4;
const ZOOM = 3;

/** A face as bytes at the network's size, by nearest neighbours as Grad-CAM's input is. */
function faceOf(data: ImageDataset, index: number, side: number): Gray {
  const { height, width, channels } = data;
  const at = (row: number, column: number): number => {
    const pixel =
      (Math.floor(((row + 0.5) * height) / side) * width + Math.floor(((column + 0.5) * width) / side)) * channels;
    return data.images[index * height * width * channels + pixel]!;
  };
  const values = Array.from({ length: side * side }, (_, place) => at(Math.floor(place / side), place % side));
  return { height: side, width: side, data: values };
}

/** The part of a face that patch number `patch` of 16 shows. */
function patchOf(face: Gray, patch: number): Gray {
  const step = face.height / (GRID + 1);
  const [top, left] = [Math.floor(patch / GRID) * step, (patch % GRID) * step];
  const edge = 2 * step;
  const values = Array.from({ length: edge * edge }, (_, place) => {
    return face.data[(top + Math.floor(place / edge)) * face.width + left + (place % edge)]!;
  });
  return { height: edge, width: edge, data: values };
}

const peak = (maps: readonly ActivationMap[]): number => Math.max(...maps.flatMap(({ data }) => Array.from(data)));

/** All patches with their maps, as a square; one scale for all, so that patches compare. */
function patches(face: Gray, cam: GradCam): Canvas {
  const top = peak(cam.maps);
  return montage(
    cam.maps.map((map, patch) => overlay(patchOf(face, patch), map, ZOOM, top)),
    GRID,
    1,
  );
}

/** Share of a map's cells with at least half of its peak: small where evidence is concentrated. */
function spreadOf(maps: readonly ActivationMap[]): number {
  const top = peak(maps);
  const cells = maps.flatMap(({ data }) => Array.from(data));
  return top > 0 ? cells.filter((value) => value >= top / 2).length / cells.length : 0;
}

interface Look {
  readonly mid: GradCam;
  readonly high: GradCam;
  readonly before: GradCam;
  readonly after: GradCam;
}

async function lookAt(run: RecipeRun, spec: NetworkSpec, test: ImageDataset, index: number): Promise<Look> {
  const of = async (name: MffName, unit: string): Promise<GradCam> => {
    const options = { model: models[name] as ModelFunction, spec, weights: await run.weightsOf(name), unit };
    return gradCam(options, test, index, test.labels[index]!);
  };
  return {
    mid: await of('mffCnn', 'image/conv4'),
    high: await of('mffCnn', 'image/conv6'),
    before: await of('mffCnnUnselected', 'patch/conv4'),
    after: await of('mffCnn', 'patch/conv4'),
  };
}

function draw(run: RecipeRun, face: Gray, look: Look, number: number, expression: string): void {
  const global = [
    grayCanvas(face, ZOOM),
    overlay(face, look.mid.maps[0]!, ZOOM),
    overlay(face, look.high.maps[0]!, ZOOM),
  ];
  const caption = `Face ${number} (${expression}): the face, mid-level evidence, high-level evidence`;
  run.picture(`global-${number}`, caption, canvasPng(montage(global, 3)));
  const local = `Face ${number} (${expression}): its 16 patches, trained without selection (left) and with it (right)`;
  run.picture(
    `local-${number}`,
    local,
    canvasPng(montage([patches(face, look.before), patches(face, look.after)], 2, 12)),
  );
}

export const recipe: Recipe = {
  name: 'mff-gradcam',
  title: 'Where MFF-CNN looks',
  reproduces: 'paper 004 Fig. 8',
  cost: { smoke: 'seconds', small: 'about a minute', full: '10 minutes' },
  seed: 1,
  expected: 'mid-level evidence is scattered, high-level evidence concentrated; selection darkens some patches',
  async run(run) {
    const data = await mffFaces(run);
    const [fold] = mffFolds(run, data, run.at(FOLDS), data.groups !== undefined);
    run.expect(2);
    const groups: Group[] = [];
    for (const name of ['mffCnn', 'mffCnnUnselected'] as const) {
      groups.push({ name, results: [await trainMff(run, data, fold!, { key: name, name, keepWeights: true })] });
    }
    run.table(
      'networks',
      'The networks looked into, one fold by person',
      comparison(groups, () => '96.51 %, 95.92 %', 'network'),
    );
    const [train, test] = [select(data, fold!.train), select(data, fold!.test)];
    const side = run.at(SIDE);
    const input = [side, side, data.channels] as const;
    const spec = { classes: data.classes.length, input, ...pixelStatistics(train) };
    const spreads: (string | number)[][] = [];
    for (let index = 0; index < run.at(FACES); index += 1) {
      const expression = data.classes[test.labels[index]!]!;
      const look = await lookAt(run, spec, test, index);
      draw(run, faceOf(test, index, side), look, index + 1, expression);
      spreads.push([expression, ...[look.mid, look.high, look.before, look.after].map(({ maps }) => spreadOf(maps))]);
    }
    run.table('concentration', 'Share of the cells with at least half of the strongest evidence, in percent', {
      columns: [
        { name: 'face', kind: 'text' },
        ...['mid-level', 'high-level', 'local, no selection', 'local, selected'].map(
          (name) => ({ name, kind: 'percent', digits: 1 }) as const,
        ),
      ],
      rows: spreads,
    });
  },
};
