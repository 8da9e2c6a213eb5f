// Keeps what a run reports in one JSON file. Called by the command for --out, and by bench/peers.ts. The rule easy to
// break: the file is written again after every row, so that a run of hours that is stopped leaves what it has.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Growth, Measurement, MemoryMeasurement, Report, Setting } from './reports';

/** The file: the setting, and what was measured in it. */
export interface ResultsFile extends Setting, Partial<Growth> {
  readonly rows: readonly (Measurement | MemoryMeasurement)[];
}

export class Results {
  readonly #fileFor: (setting: Setting) => string;
  readonly #rows: (Measurement | MemoryMeasurement)[] = [];
  #setting: Setting | undefined;
  #growth: Partial<Growth> = {};

  /** @param fileFor the path, which may depend on the setting. */
  constructor(fileFor: (setting: Setting) => string) {
    this.#fileFor = fileFor;
  }

  add(one: Report): void {
    if ('environment' in one) this.#setting = one;
    else if ('growth' in one) this.#growth = one;
    else this.#rows.push(one);
    this.#write();
  }

  /** Where it was written; undefined before the setting is known. */
  get file(): string | undefined {
    return this.#setting && this.#fileFor(this.#setting);
  }

  #write(): void {
    const { file } = this;
    if (file === undefined) return;
    mkdirSync(path.dirname(file), { recursive: true });
    const contents = { ...this.#setting!, rows: this.#rows, ...this.#growth } satisfies ResultsFile;
    writeFileSync(file, `${JSON.stringify(contents, null, 2)}\n`);
  }
}
