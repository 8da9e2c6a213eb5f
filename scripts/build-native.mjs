// Builds the native addon into build/Release through cmake-js. Run by `npm run build:native`, so by every `npm test`;
// an up-to-date tree costs about a second. CMakeLists.txt is the only description of the build: nothing about
// sources or flags belongs here. The rule easy to break: no header may be downloaded; cmake-js takes node-api-headers
// because package.json says "binary": {"napi_versions": [8]}.
// A checkout gets a short list of CUDA images unless GRAMIAN_CUDA_IMAGES says full, as it does for packages.
// Options: --setup (install missing tools first), --out <folder>, and NAME=VALUE definitions passed on to CMake.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');

function works(command, args, input) {
  return spawnSync(command, args, { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0;
}

/** The first missing tool as half a sentence, or null. The same compilers, in the order in which CMake looks for one. */
function missingTool() {
  if (!works('cmake', ['--version'])) return 'CMake is not on PATH';
  if (!works('make', ['--version']) && !works('ninja', ['--version'])) return 'neither make nor ninja is on PATH';
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  const probe = '#include <concepts>\nstatic_assert(std::same_as<int, int>);\n';
  const found = compilers.find((name) => works(name, ['-std=c++20', '-x', 'c++', '-fsyntax-only', '-'], probe));
  return found ? null : `no C++20 compiler is on PATH (tried ${compilers.join(', ')})`;
}

function installTools() {
  console.log('build-native: a build tool is missing, running scripts/setup.sh');
  return spawnSync('bash', [path.join(root, 'scripts/setup.sh')], { stdio: 'inherit' }).status === 0;
}

/** A cache of another checkout, or one whose first configuration failed, cannot be built on. */
function dropStaleCache(out) {
  const cache = path.join(out, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const configured = existsSync(path.join(out, 'Makefile')) || existsSync(path.join(out, 'build.ninja'));
  const ours = readFileSync(cache, 'utf8').includes(`\nCMAKE_HOME_DIRECTORY:INTERNAL=${root}\n`);
  if (!configured || !ours) rmSync(out, { recursive: true });
}

/** cmake-js hands definitions to CMake only when it configures, which an existing tree does not need otherwise. */
function definitionsChanged(out, definitions) {
  const cache = path.join(out, 'CMakeCache.txt');
  if (!existsSync(cache)) return false;
  const text = readFileSync(cache, 'utf8');
  return definitions.some((definition) => {
    const [name, value] = definition.split(/=(.*)/s);
    return text.match(new RegExp(`^${name}:[A-Z]+=(.*)$`, 'm'))?.[1] !== value;
  });
}

function main() {
  const { values, positionals } = parseArgs({
    options: { setup: { type: 'boolean', default: false }, out: { type: 'string', default: 'build' } },
    allowPositionals: true,
  });
  const out = path.resolve(root, values.out);
  dropStaleCache(out);

  if (!existsSync(path.join(out, 'CMakeCache.txt'))) {
    const mayInstall = values.setup || process.env.CI === 'true' || process.getuid?.() === 0;
    if (missingTool() !== null && mayInstall) installTools();
    const missing = missingTool();
    if (missing !== null) {
      console.error(`build-native: ${missing}; on Debian or Ubuntu run: bash scripts/setup.sh`);
      return 1;
    }
  }

  const started = performance.now();
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const images = `GRAMIAN_CUDA_IMAGES=${process.env.GRAMIAN_CUDA_IMAGES ?? 'short'}`;
  const given = positionals.some((definition) => definition.startsWith('GRAMIAN_CUDA_IMAGES='));
  const definitions = given ? positionals : [images, ...positionals];
  const options = ['--out', out, '--parallel', '2', '--log-level', 'warn', ...definitions.map((one) => `--CD${one}`)];
  if (definitionsChanged(out, definitions))
    spawnSync(process.execPath, [cmakeJs, 'configure', ...options], { cwd: root, stdio: 'inherit' });
  const args = [cmakeJs, 'build', ...options];
  const built = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (built.status !== 0) {
    console.error(`build-native: the build failed after ${seconds} s, see the messages above`);
    return 1;
  }
  console.log(`build-native: ${path.relative(root, out)} is up to date (${seconds} s)`);
  return 0;
}

process.exitCode = main();
