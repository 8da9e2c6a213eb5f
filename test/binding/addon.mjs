// The addon, and plain options of a plan on the CPU, for scripts that run in a process of their own: exit.mjs and
// stress-workers.mjs. The rule easy to break: no TypeScript here, since those processes load nothing but the addon.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const folder = process.env.GRAMIAN_PREBUILD || path.resolve(import.meta.dirname, '../..');
const built = path.join(folder, 'build/Release/gramian.node');
const load = createRequire(import.meta.url);

export const addon = existsSync(built) ? load(built) : load('node-gyp-build')(folder);

export const options = {
  device: 'cpu',
  isa: 'auto',
  threads: 2,
  precision: 'float32',
  deviceIndex: 0,
  memoryLimit: 0,
  tf32: false,
};
