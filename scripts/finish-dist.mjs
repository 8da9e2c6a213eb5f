// Turns the compiler's output in dist/ into what package.json promises. Run by `npm run build:ts`, after tsc.
// Puts the page of `gramian serve` into dist/page, and writes the ESM entry as re-exports of the CommonJS one, so that
// `import` and `require` share one addon and one set of classes. The rule easy to break: this must run without a native build, so src/ may not load the addon at import time.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const dist = path.resolve(import.meta.dirname, '../dist');
const header =
  '// Written by scripts/finish-dist.mjs: the ESM face of index.js, which holds the only instance of everything.\n';

function writeEsmEntry() {
  const names = Object.keys(createRequire(import.meta.url)(path.join(dist, 'index.js'))).sort();
  const odd = names.filter((name) => name === 'default' || !/^[A-Za-z_$][\w$]*$/.test(name));
  if (names.length === 0 || odd.length > 0) {
    throw new Error(`finish-dist: index.js must export plain names, got ${names.length}, odd ones: ${odd.join(', ')}`);
  }
  const list = names.map((name) => `  ${name},\n`).join('');
  const body = `import entry from './index.js';\n\nexport const {\n${list}} = entry;\n`;
  writeFileSync(path.join(dist, 'index.mjs'), header + body);
  writeFileSync(path.join(dist, 'index.d.mts'), `${header}export * from './index.js';\n`);
  return names.length;
}

function finishCli() {
  const main = path.join(dist, 'cli/main.js');
  if (!existsSync(main)) throw new Error(`finish-dist: package.json names a program that is not there: ${main}`);
  if (!readFileSync(main, 'utf8').startsWith('#!/usr/bin/env node\n')) {
    throw new Error('finish-dist: src/cli/main.ts must start with the line #!/usr/bin/env node');
  }
  chmodSync(main, 0o755);
}

/** The page in one flat folder: its scripts, which the compiler leaves where their sources lie, and what is copied. */
function finishPage() {
  const page = path.join(dist, 'page');
  const scripts = path.join(page, 'serve/page');
  for (const name of readdirSync(scripts)) renameSync(path.join(scripts, name), path.join(page, name));
  // What only lent the page its types.
  for (const entry of readdirSync(page, { withFileTypes: true })) {
    if (entry.isDirectory()) rmSync(path.join(page, entry.name), { recursive: true });
  }
  const source = path.resolve(dist, '../src/serve/page');
  const copied = readdirSync(source).filter((name) => !name.endsWith('.ts'));
  for (const name of copied) copyFileSync(path.join(source, name), path.join(page, name));
}

finishCli();
finishPage();
console.log(`finish-dist: dist/index.mjs re-exports ${writeEsmEntry()} names`);
