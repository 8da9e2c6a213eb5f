// The package's version, from its package.json, which lies two folders above both src/cli and dist/cli.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../errors';

export function version(): string {
  const path = join(__dirname, '../../package.json');
  const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (typeof content === 'object' && content !== null && 'version' in content && typeof content.version === 'string') {
    return content.version;
  }
  throw new DataError(`[version] ${path} has no version`);
}
