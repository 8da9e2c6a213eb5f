// A peer in a process of its own, asked by JSON lines. Called by the hosts beside this file. The rule easy to break: one
// request at a time, and the process blocks on its pipe in between, so that it takes no time from what is measured.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { NoAnswer, type Peer } from '../../src/cli/bench/peer';
import { ExecutionError } from '../../src/errors';

/** What every host is told. */
export interface HostSettings {
  /** Empty, for the files of rows. */
  readonly folder: string;
  readonly threads: number;
  /** Where peers that can choose compute. */
  readonly device: 'cpu' | 'cuda';
  /** The peers that are asked for. */
  readonly peers: readonly Peer[];
  /** Seconds to wait for a peer to load a row and to compute it first. */
  readonly patience: number;
}

interface Waiting {
  resolve(answer: Record<string, unknown>): void;
  reject(error: Error): void;
}

/** Lines of the peer's stderr that are kept for its obituary. */
const KEPT_LINES = 12;
/** Between asking a process to end and ending it. */
const GRACE_MS = 5000;
/** Node's; 24 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

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

  /** Whether the process answers no more. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /**
   * @param patience seconds that the answer may take; then the process is ended. Without it there is no limit.
   * @throws NoAnswer when it takes longer, ExecutionError when the peer fails or has ended.
   */
  async ask(request: Record<string, unknown>, patience?: number): Promise<Record<string, unknown>> {
    if (patience === undefined) return this.#ask(request);
    const timer = setTimeout(
      () => {
        const waiting = this.#waiting;
        this.#waiting = undefined;
        this.#end ??= `it took longer than ${patience} seconds`;
        waiting?.reject(new NoAnswer(this.#label, patience));
        this.#kill();
      },
      Math.min(patience * 1000, LONGEST_TIMER_MS),
    );
    try {
      return await this.#ask(request);
    } finally {
      clearTimeout(timer);
    }
  }

  /** First asks, so that a compiler which the process has started ends with it. */
  #kill(): void {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), GRACE_MS);
    this.#child.once('exit', () => clearTimeout(timer));
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
