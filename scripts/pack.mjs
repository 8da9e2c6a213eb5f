// Makes the tarball that is published: `npm run pack` leaves gramian-<version>.tgz in the folder given as argument
// (default: the root). Packs from a staging folder, because the checkout's package.json carries scripts, dev
// dependencies and a binding.gyp, any of which could start a build on a user's machine.
// Needs dist/ (npm run build) and prebuilds/ (npm run build:prebuilds). Prints one line of JSON; test/package reads it.
// The rule easy to break: what a user gets is exactly `published` below plus npm's own README, LICENSE, package.json.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const published = ['dist', 'prebuilds', 'README.md', 'LICENSE'];
const limits = { packed: 20e6, unpacked: 60e6 };

function stage(folder) {
  for (const name of published) {
    const source = path.join(root, name);
    if (!existsSync(source)) throw new Error(`pack: ${name} is missing; run: npm run build && npm run build:prebuilds`);
    cpSync(source, path.join(folder, name), { recursive: true });
  }
  const addons = readdirSync(path.join(folder, 'prebuilds'), { recursive: true }).filter((name) =>
    name.endsWith('.node'),
  );
  if (addons.length === 0) throw new Error('pack: prebuilds/ holds no addon; run: npm run build:prebuilds');
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const { scripts: _scripts, devDependencies: _devDependencies, ...rest } = manifest;
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(rest, null, 2)}\n`);
}

function check(report) {
  const unexpected = report.files
    .map((file) => file.path)
    .filter((name) => name !== 'package.json' && !published.includes(name.split('/')[0]));
  if (unexpected.length > 0) throw new Error(`pack: these do not belong in the package: ${unexpected.join(', ')}`);
  if (report.size > limits.packed) throw new Error(`pack: ${report.size} bytes packed, at most ${limits.packed}`);
  if (report.unpackedSize > limits.unpacked) {
    throw new Error(`pack: ${report.unpackedSize} bytes unpacked, at most ${limits.unpacked}`);
  }
}

const destination = path.resolve(process.argv[2] ?? root);
const staging = mkdtempSync(path.join(tmpdir(), 'gramian-pack-'));
try {
  stage(staging);
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination];
  const [report] = JSON.parse(execFileSync('npm', args, { cwd: staging, encoding: 'utf8' }));
  check(report);
  const { filename, size, unpackedSize, entryCount } = report;
  console.log(JSON.stringify({ file: path.join(destination, filename), size, unpackedSize, entryCount }));
} finally {
  rmSync(staging, { recursive: true });
}
