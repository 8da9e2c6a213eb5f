// A peer in a process of its own, asked by JSON lines. Called by the hosts beside this file. The rule easy to break: one
// request at a time, and the process blocks on its pipe in between, so that it takes no time from what is measured.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ExecutionError } from '../../src/errors';

interface Waiting {
  resolve(answer: Record<string, unknown>): void;
  reject(error: Error): void;
}

/** Lines of the peer's stderr that are kept for its obituary. */
const KEPT_LINES = 12;

export class Pipe {
  readonly #child: ChildProcess;
  readonly #label: string;
  readonly #noise: string[] = [];
  #waiting: Waiting | undefined;
  #end: string | undefined;

  constructor(label: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#label = label;
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => this.#died(error.message));
    this.#child.on('exit', (code, signal) => this.#died(`it ended with ${signal ?? code}`));
    this.#child.stdin!.on('error', () => undefined);
    createInterface({ input: this.#child.stderr! }).on('line', (line) => {
      this.#noise.push(line);
      if (this.#noise.length > KEPT_LINES) this.#noise.shift();
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#answered(line));
  }

  #died(why: string): void {
    this.#end ??= why;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(this.#failure(why));
  }

  #failure(why: string): ExecutionError {
    return new ExecutionError(
      `[bench] expected an answer of ${this.#label}, but ${[why, ...this.#noise].join('\n  ')}`,
    );
  }

  #answered(line: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (!waiting) return;
    try {
      const answer = JSON.parse(line) as Record<string, unknown>;
      if (answer.error === undefined) waiting.resolve(answer);
      else waiting.reject(new ExecutionError(`[bench] ${this.#label} answered: ${answer.error}`));
    } catch {
      waiting.reject(this.#failure(`it wrote ${line.slice(0, 200)}`));
    }
  }

  /**
   * @param limitMs how long the answer may take; then the process is ended.
   * @throws ExecutionError when the peer fails, has ended or takes too long.
   */
  async ask(request: Record<string, unknown>, limitMs?: number): Promise<Record<string, unknown>> {
    if (limitMs === undefined) return this.#ask(request);
    const timer = setTimeout(() => {
      this.#died(`it took longer than ${Math.round(limitMs / 60_000)} minutes`);
      this.#child.kill('SIGKILL');
    }, limitMs);
    try {
      return await this.#ask(request);
    } finally {
      clearTimeout(timer);
    }
  }

  #ask(request: Record<string, unknown>): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) reject(this.#failure(this.#end));
      else if (this.#waiting) reject(this.#failure('it was asked twice at once'));
      else {
        this.#waiting = { resolve, reject };
        this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
      }
    });
  }

  /** Ends the process and waits for it. */
  close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.stdin!.end();
    });
  }
}
