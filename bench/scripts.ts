// How a script of bench/ is started in a process of its own. Called by whoever measures in other processes. The rule easy
// to break: the loader is named by its place, because the command may be called from any folder.
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const load = createRequire(path.join(__dirname, 'scripts.ts'));

/** Arguments of node that run a TypeScript file. */
export function scriptArguments(file: string, args: readonly (string | number)[]): string[] {
  return ['--import', pathToFileURL(load.resolve('tsx')).href, file, ...args.map(String)];
}
