#!/usr/bin/env node
// Stands in for node-gyp when prebuildify runs (`npm run build:prebuilds`), because prebuildify can drive nothing else. Its one
// command, `rebuild --target=... --arch=...`, becomes our CMake build, which needs neither target nor headers.
// Called by nobody else. Incremental on purpose: a release is cut from a fresh clone, where the two are the same.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const command = process.argv[2];
if (command !== 'rebuild') throw new Error(`prebuild-node-gyp: expected the command "rebuild", got "${command}"`);
const build = path.join(import.meta.dirname, 'build-native.mjs');
process.exitCode = spawnSync(process.execPath, [build, 'GRAMIAN_CUDA_IMAGES=full'], { stdio: 'inherit' }).status ?? 1;
