// Prints the tables of results files, or puts them into the README between its marks: npm run bench:table -- FILE...
// [--into README.md]. The rule easy to break: figures in the README come from here, never by hand.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { ResultsFile } from '../src/cli/bench/results';
import { GramianError } from '../src/errors';
import { markdownOf, withResults } from './markdown';

const USAGE = 'Usage: npm run bench:table -- RESULTS.json... [--into README.md]\n';

function main(): void {
  const { values, positionals } = parseArgs({ options: { into: { type: 'string' } }, allowPositionals: true });
  if (positionals.length === 0) throw new TypeError('no file of results was given');
  const tables = markdownOf(positionals.map((file) => JSON.parse(readFileSync(file, 'utf8')) as ResultsFile));
  if (values.into === undefined) {
    process.stdout.write(tables);
    return;
  }
  const root = path.join(__dirname, '..');
  const names = positionals.map((file) => path.relative(root, path.resolve(file)).split(path.sep).join('/'));
  writeFileSync(values.into, withResults(readFileSync(values.into, 'utf8'), names, tables));
}

try {
  main();
} catch (error) {
  const usage = error instanceof TypeError ? USAGE : '';
  process.stderr.write(`table: ${(error as Error).message}\n${usage}`);
  process.exitCode = error instanceof GramianError ? 1 : 2;
}
