// The CLI's only way out: two streams, the terminal's size, interrupts. Commands get one as an argument, so tests hand in
// their own. The rule easy to break: with --json, stdout carries JSON lines and nothing else.

export interface Io {
  /** Results: text for people, or JSON lines. */
  out(text: string): void;
  /** Progress, notes and errors. */
  err(text: string): void;
  /** Whether `err` is a terminal that can be redrawn, and how wide it is. */
  readonly terminal: boolean;
  readonly columns: number;
  /**
   * Calls `first` on the first interrupt (Ctrl-C, SIGTERM) and leaves at once, with code 130, on the second. Answers
   * how to stop listening.
   */
  onInterrupt(first: () => void): () => void;
}

/** One JSON line on stdout. */
export function json(io: Io, value: unknown): void {
  io.out(`${JSON.stringify(value)}\n`);
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
export const INTERRUPTED = 130;

/** The process's own streams and signals. */
export function processIo(): Io {
  // A reader that has had enough (`| head -1`) closes the pipe: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    terminal: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    get columns() {
      return process.stderr.columns ?? 80;
    },
    onInterrupt(first) {
      let seen = false;
      const handler = (): void => {
        if (seen) process.exit(INTERRUPTED);
        seen = true;
        first();
      };
      for (const signal of SIGNALS) process.on(signal, handler);
      return () => {
        for (const signal of SIGNALS) process.off(signal, handler);
      };
    },
  };
}
