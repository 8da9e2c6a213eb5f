// Whose frame is recognised next: every client has one place, a newer frame takes it from an older one, and the places are
// served in turn, one frame at a time. liveSocket.ts fills it. The rule easy to break: nothing queues here, so a client
// that sends faster than the engine answers loses frames and never waits longer than one turn.

/** One client's place. */
export interface Place<Frame> {
  /** Puts a frame here; answers the frame that waited and now never will be worked on. */
  offer(frame: Frame): Frame | undefined;
  /** Gives the place up; a waiting frame is forgotten. The frame in work is finished. */
  leave(): void;
}

interface Seat<Frame> {
  waiting: Frame | undefined;
  readonly work: (frame: Frame) => Promise<void>;
}

/** Places that share one engine. */
export class Turns<Frame> {
  readonly #seats = new Set<Seat<Frame>>();
  #running: Promise<void> | undefined;

  /** @param work recognises a frame and answers it; it must not throw or reject. */
  join(work: (frame: Frame) => Promise<void>): Place<Frame> {
    const seat: Seat<Frame> = { waiting: undefined, work };
    this.#seats.add(seat);
    return {
      offer: (frame) => {
        // A run that found nothing to do would end before it is known to run.
        if (!this.#seats.has(seat)) return undefined;
        const older = seat.waiting;
        seat.waiting = frame;
        this.#running ??= this.#run();
        return older;
      },
      leave: () => {
        seat.waiting = undefined;
        this.#seats.delete(seat);
      },
    };
  }

  /** Settles when the frame in work, if there is one, is done and none waits. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let seat = this.#next(); seat; seat = this.#next()) {
      const frame = seat.waiting as Frame;
      seat.waiting = undefined;
      await seat.work(frame);
    }
    this.#running = undefined;
  }

  /** The first place with a frame, which then goes to the end of the line. */
  #next(): Seat<Frame> | undefined {
    for (const seat of this.#seats) {
      if (seat.waiting === undefined) continue;
      this.#seats.delete(seat);
      this.#seats.add(seat);
      return seat;
    }
    return undefined;
  }
}
