// Fails when a built addon needs a newer glibc than Node.js itself does (2.28), or a newer libstdc++ than Node 20's
// own floor (GLIBCXX_3.4.25, of gcc 8). Usage: node scripts/check-glibc.mjs [addon.node ...]; without arguments it
// looks at build/Release and prebuilds. Run by .ci/run. The rule easy to break: finding no addon is a failure too.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

const floors = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '7.0.0' };

function newer(a, b) {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    if ((left[i] ?? 0) !== (right[i] ?? 0)) return (left[i] ?? 0) > (right[i] ?? 0);
  }
  return false;
}

/** The highest version of each library's symbols that the file takes from outside, with one symbol that needs it. */
function needs(file) {
  const highest = {};
  const table = execFileSync('objdump', ['-T', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  for (const line of table.split('\n')) {
    if (!line.includes('*UND*')) continue;
    const match = /\(?(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)\)?\s+(\S+)$/.exec(line);
    if (match === null) continue;
    const [, library, version, symbol] = match;
    if (highest[library] === undefined || newer(version, highest[library].version))
      highest[library] = { version, symbol };
  }
  return highest;
}

function check(file) {
  let good = true;
  for (const [library, { version, symbol }] of Object.entries(needs(file))) {
    const bad = newer(version, floors[library]);
    console.log(
      `${file}: ${library} ${version} (${symbol}), allowed up to ${floors[library]}${bad ? ': TOO NEW' : ''}`,
    );
    good &&= !bad;
  }
  return good;
}

function builtAddons() {
  const root = path.resolve(import.meta.dirname, '..');
  const folders = ['build/Release', 'prebuilds/linux-x64'].map((folder) => path.join(root, folder));
  const files = folders
    .filter(existsSync)
    .flatMap((folder) => readdirSync(folder).map((name) => path.join(folder, name)));
  return files.filter((file) => file.endsWith('.node'));
}

const files = process.argv.length > 2 ? process.argv.slice(2) : builtAddons();
if (files.length === 0) console.error('check-glibc: found no addon; run: npm run build:native');
const results = files.map(check);
process.exitCode = files.length > 0 && results.every(Boolean) ? 0 : 1;
