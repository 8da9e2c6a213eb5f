// Holds the arrows of docs/architecture.md: which room may import which, in src/ and in native/, and a few habits of
// every file. When it fails, move the code to the room where it belongs; widening a row below is a design decision.
// The rule easy to break: a new room must get a row here, and rows name only what a room really needs.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(__dirname, '..');

/** Top to bottom. A room may import itself, what its row names and `everywhere`; '*' is every room below it. */
const srcRooms: Record<string, readonly string[] | '*'> = {
  index: '*',
  cli: '*',
  recipes: '*',
  serve: ['faces', 'report'],
  faces: ['train', 'interchange', 'data', 'models', 'optim', 'compile', 'pixels', 'graph'],
  features: ['train', 'data'],
  evaluation: ['train', 'data'],
  train: '*',
  report: '*',
  interchange: ['data', 'models', 'layers', 'graph'],
  data: [],
  models: ['objectives', 'optim', 'layers', 'graph'],
  objectives: ['optim', 'layers', 'graph'],
  optim: ['graph'],
  layers: ['graph'],
  compile: ['native', 'graph'],
  pixels: ['native'],
  native: ['graph'],
  graph: [],
  errors: [],
  text: [],
};

/** Rooms without arrows of their own, for all. */
const everywhere: readonly string[] = ['errors', 'text'];

const nativeRooms: Record<string, readonly string[]> = {
  binding: ['plan', 'backend.h', 'graph', 'pixels', 'core'],
  plan: ['backend.h', 'graph', 'core'],
  cpu: ['backend.h', 'graph', 'core'],
  cuda: ['backend.h', 'graph', 'core'],
  'backend.h': ['graph', 'core'],
  graph: ['core'],
  pixels: [],
  core: [],
  softcuda: [],
};

/** binding/module.cpp registers the devices, so it alone sees them. */
const nativeExtra: Record<string, readonly string[]> = { 'binding/module.cpp': ['cpu', 'cuda'] };

/** Tables and generated lists may be long; nothing else may. */
const longFiles: readonly string[] = ['native/graph/contracts.cpp'];
const maxLines = 600;

const kernelHeaders = new Set(['stddef.h', 'stdint.h', 'string.h', 'math.h', 'float.h', 'limits.h', 'immintrin.h']);
const codeFile = /\.(ts|mts|mjs|js|cpp|cc|h|hpp|cu|cuh|sh)$/;
const generated = new Set(['node_modules', 'build', 'dist', 'prebuilds', 'runs', 'coverage', '.git']);

/** Every file under a folder of the project, as paths from the root; generated folders are left out. */
function filesUnder(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (!entry.isDirectory()) return entry.isFile() ? [file] : [];
    return generated.has(entry.name) || /^build[-.]/.test(entry.name) ? [] : filesUnder(file);
  });
}

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** Import and export-from specifiers, dynamic imports and requires; comments and strings that only look alike are rare. */
function importsOf(file: string): { from: string; typeOnly: boolean }[] {
  const text = read(file).replace(/^\s*(\/\/|\*).*$/gm, '');
  const statement = /(?:^|\n)\s*(?:import|export)\s+(type\s)?([^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/g;
  const onlyTypes = /^\{(\s*type\s[^,}]+,?)+\s*\}\s+from/;
  const call = /\b(?:import|require)\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [
    ...[...text.matchAll(statement)].map((match) => ({
      from: match[3] as string,
      typeOnly: match[1] !== undefined || onlyTypes.test(match[2] ?? ''),
    })),
    ...[...text.matchAll(call)].map((match) => ({ from: match[1] as string, typeOnly: false })),
  ];
}

const sources = filesUnder('src').filter((file) => /\.m?ts$/.test(file));
const sourceSet = new Set(sources);

/** The project file that a relative import names. */
function target(file: string, from: string): string {
  const base = path.join(path.dirname(file), from.replace(/\.js$/, ''));
  const found = [`${base}.ts`, `${base}/index.ts`, base].find((candidate) => sourceSet.has(candidate));
  if (found === undefined) throw new Error(`${file}: the import "${from}" names no file under src/`);
  return found;
}

/** src/graph/ops/shape.ts is of room graph, src/compile.ts of room compile. */
function srcRoom(file: string): string {
  return (file.split('/')[1] as string).replace(/\.m?ts$/, '');
}

function allowedBelow(room: string): readonly string[] {
  const row = srcRooms[room] ?? [];
  const order = Object.keys(srcRooms);
  return row === '*' ? order.slice(order.indexOf(room) + 1) : [...row, ...everywhere];
}

function sourceBreaches(): string[] {
  return sources.flatMap((file) => {
    const room = srcRoom(file);
    if (!(room in srcRooms)) return [`${file}: the room "${room}" is in no row of test/architecture.test.ts`];
    return importsOf(file)
      .filter(({ from }) => from.startsWith('.'))
      .map(({ from }) => srcRoom(target(file, from)))
      .filter((to) => to !== room && !allowedBelow(room).includes(to))
      .map((to) => `${file}: ${room} may not import ${to}`);
  });
}

/** One cycle of run-time imports as a readable chain, or null. CommonJS runs a cycle with half-made modules. */
function importCycle(): string | null {
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): string | null => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file].join(' -> ');
    if (done.has(file)) return null;
    for (const { from, typeOnly } of importsOf(file)) {
      if (typeOnly || !from.startsWith('.')) continue;
      const cycle = visit(target(file, from), [...trail, file]);
      if (cycle !== null) return cycle;
    }
    done.add(file);
    return null;
  };
  for (const file of sources) {
    const cycle = visit(file, []);
    if (cycle !== null) return cycle;
  }
  return null;
}

const nativeFiles = filesUnder('native').filter((file) => /\.(cpp|cc|h|hpp|cu|cuh)$/.test(file));

function includesOf(file: string): { name: string; system: boolean }[] {
  const include = /^[ \t]*#[ \t]*include[ \t]*(?:<([^>]+)>|"([^"]+)")/gm;
  return [...read(file).matchAll(include)].map((match) => ({
    name: (match[1] ?? match[2]) as string,
    system: match[1] !== undefined,
  }));
}

/** native/plan/fuse.cpp is of room plan, native/backend.h of room backend.h. */
function nativeRoom(file: string): string {
  return file.split('/')[1] as string;
}

/** Quoted includes are relative to native/; a bare name is a sibling. */
function nativeBreaches(): string[] {
  return nativeFiles.flatMap((file) => {
    const room = nativeRoom(file);
    const row = nativeRooms[room];
    if (row === undefined) return [`${file}: the room "${room}" is in no row of test/architecture.test.ts`];
    const allowed = [room, ...row, ...(nativeExtra[file.slice('native/'.length)] ?? [])];
    return includesOf(file)
      .filter(({ name, system }) => !system && (name.includes('/') || name === 'backend.h'))
      .map(({ name }) => ({ name, to: name.split('/')[0] as string }))
      .filter(({ to }) => !allowed.includes(to))
      .map(({ name }) => `${file}: ${room} may not include "${name}"`);
  });
}

/** A kernel is compiled once per ISA, so it may not pull in any header whose inline functions could be shared. The table
 * of kernels stands beside them but is compiled once, so it is no kernel, and no kernel may include it. */
function kernelBreaches(): string[] {
  const kernels = nativeFiles.filter((file) => /^native\/cpu\/kernels\/(?!table\.)/.test(file));
  const closed = [...kernels, 'native/cpu/kernel.h', 'native/cpu/simd.h'];
  return closed.flatMap((file) =>
    includesOf(file)
      .filter(({ name, system }) =>
        system
          ? !kernelHeaders.has(name)
          : !/^(cpu\/(simd|kernel)\.h|(cpu\/kernels\/)?(?!table\.)[\w-]+\.h)$/.test(name),
      )
      .map(({ name }) => `${file}: a kernel may not include ${name}`),
  );
}

const projectFiles = filesUnder('.').filter(
  (file) => !/\.(png|jpe?g|gif|ico|node|tgz|gz|bin|safetensors|onnx|npz?)$/.test(file),
);

const codeFiles = projectFiles.filter((file) => codeFile.test(file) || file === '.ci/run');

/** Written so that this file does not contain what it looks for. */
const forbidden: readonly RegExp[] = [
  /\bT[O]DO\b/,
  /\bF[I]XME\b/,
  /\bregistry[.]\w[\w-]*[.](org|com|net|io|dev)\b/,
  /@ts-[i]gnore/,
  /biome-[i]gnore/,
];

describe('architecture', () => {
  it('sees the project it judges', () => {
    expect(sources).toContain('src/errors.ts');
    expect(nativeFiles).toContain('native/cpu/kernel.h');
    expect(importsOf('src/graph/graph.ts')).toContainEqual({ from: '../errors', typeOnly: false });
    expect(includesOf('native/cpu/kernel.h')).toContainEqual({ name: 'stdint.h', system: true });
    expect(projectFiles).toContain('package.json');
  });

  it('imports in src/ point down', () => {
    expect(sourceBreaches()).toEqual([]);
  });

  it('src/ has no cycle of run-time imports', () => {
    expect(importCycle()).toBeNull();
  });

  it('includes in native/ point down, and only the module names the devices', () => {
    expect(nativeBreaches()).toEqual([]);
  });

  it('kernels include only C headers and their own', () => {
    expect(kernelBreaches()).toEqual([]);
  });

  it('every code file opens with a comment', () => {
    const silent = codeFiles.filter((file) => !/^(#!.*\n)?\s*(\/\/|\/\*|#\s*[A-Z])/.test(read(file)));
    expect(silent).toEqual([]);
  });

  it(`no file is longer than ${maxLines} lines`, () => {
    const long = codeFiles.filter((file) => !longFiles.includes(file) && read(file).split('\n').length > maxLines + 1);
    expect(long).toEqual([]);
  });

  it('no file carries a forbidden mark', () => {
    const marked = projectFiles.flatMap((file) => {
      const text = read(file);
      return forbidden.filter((mark) => mark.test(text)).map((mark) => `${file}: ${mark.source}`);
    });
    expect(marked).toEqual([]);
  });
});
