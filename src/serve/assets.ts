// The files of the page, read once into a table of fixed names. Called when the server starts. The rule easy to break: a
// request's path is looked up in this table and never joined to a folder, so there is no path to climb out of.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../errors';
import { CHART_STYLE } from '../report/svg';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
const DOCUMENT = 'text/html; charset=utf-8';

/** Address, file and type. */
const FILES: readonly (readonly [path: string, file: string, type: string])[] = [
  ['/', 'index.html', DOCUMENT],
  ['/run', 'run.html', DOCUMENT],
  ['/style.css', 'style.css', STYLE],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
  ...['access', 'connection', 'faceCards', 'live', 'overlay', 'protocol', 'run', 'sources'].map(
    (name) => [`/${name}.js`, `${name}.js`, SCRIPT] as const,
  ),
];

/** `npm run build` puts the page here; the folder lies two above both src/serve and dist/serve. */
const FOLDER = join(__dirname, '../../dist/page');

/** The page's files by address. Rejects with DataError when the page was not built. */
export async function loadAssets(): Promise<ReadonlyMap<string, Asset>> {
  const charts = ['/charts.css', { type: STYLE, body: Buffer.from(`${CHART_STYLE}\n`) }] as const;
  const files = FILES.map(async ([path, file, type]) => {
    const from = join(FOLDER, file);
    try {
      return [path, { type, body: await readFile(from) }] as const;
    } catch (cause) {
      throw new DataError(`[serve] ${from}: cannot be read; the page is part of npm run build`, { cause });
    }
  });
  return new Map([...(await Promise.all(files)), charts]);
}
