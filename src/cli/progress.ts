// Training as seen on a terminal: one line that redraws itself with loss, speed and time left, and one lasting line for
// each epoch. Without a terminal the same facts come as plain lines, at most one every ten seconds between epochs.
import type { EpochEvent, StepEvent, TrainEvent } from '../report/events';
import { bar, formatDuration, formatLoss, formatPercent, strip } from './format';
import type { Io } from './io';

const PLAIN_SECONDS = 10;

export class Progress {
  readonly #io: Io;
  readonly #epochs: number;
  readonly #now: () => number;
  readonly #started: number;
  #lastPlain: number;
  #drawn = false;

  /** @param now clock in milliseconds. */
  constructor(io: Io, epochs: number, now: () => number = () => performance.now()) {
    this.#io = io;
    this.#epochs = epochs;
    this.#now = now;
    this.#started = now();
    this.#lastPlain = this.#started;
  }

  event(event: TrainEvent): void {
    if (event.event === 'step') this.#step(event);
    else if (event.event === 'epoch') this.line(this.#epoch(event));
    else if (event.event === 'note') this.line(`note: ${event.text}`);
    else this.clear();
  }

  /** Writes a line that stays. */
  line(text: string): void {
    this.clear();
    this.#io.err(`${text}\n`);
  }

  /** Shows what is going on until the next line; without a terminal it says nothing. */
  status(text: string): void {
    if (!this.#io.terminal) return;
    this.#io.err(`\r\u001b[2K${text.slice(0, Math.max(0, this.#io.columns - 1))}`);
    this.#drawn = true;
  }

  /** Takes the redrawn line away. */
  clear(): void {
    if (this.#drawn) this.#io.err('\r\u001b[2K');
    this.#drawn = false;
  }

  #step(event: StepEvent): void {
    const facts = [
      `epoch ${event.epoch + 1}/${this.#epochs}`,
      `step ${event.step}`,
      `loss ${formatLoss(event.loss)}`,
      `${Math.round(event.imagesPerSecond)} images/s`,
      `ETA ${formatDuration(event.etaSeconds)}`,
    ];
    if (!this.#io.terminal) {
      if (this.#now() - this.#lastPlain < PLAIN_SECONDS * 1000) return;
      this.#lastPlain = this.#now();
      this.#io.err(`${facts.join('  ')}\n`);
      return;
    }
    const elapsed = (this.#now() - this.#started) / 1000;
    const share = elapsed / (elapsed + Math.max(0, event.etaSeconds));
    const text = facts.join('  ');
    const withBar = `${bar(share, 20)} ${text}`;
    this.status(withBar.length < this.#io.columns ? withBar : text);
  }

  #epoch(event: EpochEvent): string {
    const facts = [
      `epoch ${event.epoch + 1}/${this.#epochs}`,
      `loss ${formatLoss(event.loss)}`,
      `train ${formatPercent(event.trainAccuracy)}`,
    ];
    if (event.validationAccuracy !== undefined) facts.push(`validation ${formatPercent(event.validationAccuracy)}`);
    if (event.testAccuracy !== undefined) facts.push(`test ${formatPercent(event.testAccuracy)}`);
    facts.push(`${Math.round(event.imagesPerSecond)} images/s`, formatDuration(event.seconds));
    this.#lastPlain = this.#now();
    const units = event.units.map((unit) => unit.ckaY);
    // One bar for each unit: how much its output knows about the labels.
    return facts.join('  ') + (units.length > 1 ? `  CKA(Z,Y) by unit ${strip(units, 0, 1)}` : '');
  }
}
