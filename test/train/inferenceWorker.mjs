// A worker thread that compiles a model of its own and answers for its images, in calls that overlap. Started by
// compiledModel.test.ts with the weights' file and the images; posts the probabilities of every call.
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { register } from 'tsx/cjs/api';

register();
const load = createRequire(import.meta.url);
const { compileModel } = load('../../src/train/compileModel.ts');
const { tinyNet } = load('./fixtures.ts');

const { weights, images, calls } = workerData;
const model = await compileModel(tinyNet, { input: [8, 8, 1], classes: 4, threads: 2, weights });
const answers = Array.from({ length: calls }, () => model.run(images));
const last = model.runSync(images);
parentPort.postMessage([...(await Promise.all(answers)), last].map(({ probabilities }) => probabilities));
model.dispose();
