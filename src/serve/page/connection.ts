// The WebSocket to the engine: connects again when it is lost, and says when another frame may go. live.ts uses it. The
// rule easy to break: at most two frames are on their way, one at work and one behind it, so that answers stay fresh.
import { type Frame, type ServerMessage, SUBPROTOCOL, writeFrame } from './protocol.js';

const MAX_UNDERWAY = 2;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
/** The server's close code for a client that sends nothing. */
const IDLE = 4001;

export interface Handlers {
  /** @param roundTrip milliseconds since the frame was sent. */
  faces(message: Extract<ServerMessage, { type: 'faces' }>, roundTrip: number): void;
  hello(message: Extract<ServerMessage, { type: 'hello' }>): void;
  dropped(): void;
  /** `reason` is the server's own, when it gave one. */
  lost(reason: string): void;
}

export class Connection {
  readonly #token: string;
  readonly #handlers: Handlers;
  readonly #underway = new Map<number, number>();
  #socket: WebSocket | undefined;
  #open = false;
  #sequence = 0;
  #retry = FIRST_RETRY_MS;
  #reason = '';

  constructor(token: string, handlers: Handlers) {
    this.#token = token;
    this.#handlers = handlers;
    this.#connect();
  }

  /** Whether a frame sent now would be worked on soon. Asking connects again after a rest. */
  get ready(): boolean {
    if (!this.#socket) this.#connect();
    return this.#open && this.#underway.size < MAX_UNDERWAY;
  }

  /** Sends a frame and answers its number; the caller asked `ready` first. */
  send(frame: Omit<Frame, 'sequence'>): number {
    const sequence = this.#sequence;
    this.#sequence = (sequence + 1) >>> 0;
    this.#underway.set(sequence, performance.now());
    this.#socket?.send(writeFrame({ ...frame, sequence }));
    return sequence;
  }

  #connect(): void {
    const socket = new WebSocket(`ws://${location.host}/api/faces`, [SUBPROTOCOL, this.#token]);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#message(JSON.parse(String(data)) as ServerMessage);
    socket.onclose = ({ code }) => {
      this.#open = false;
      this.#underway.clear();
      // After a rest it is opened again by the next frame.
      if (code === IDLE) this.#socket = undefined;
      else this.#again();
    };
  }

  #again(): void {
    this.#handlers.lost(this.#reason);
    this.#reason = '';
    setTimeout(() => this.#connect(), this.#retry);
    this.#retry = Math.min(LAST_RETRY_MS, this.#retry * 2);
  }

  #message(message: ServerMessage): void {
    switch (message.type) {
      case 'hello':
        this.#open = true;
        this.#retry = FIRST_RETRY_MS;
        this.#handlers.hello(message);
        break;
      case 'faces': {
        const sent = this.#underway.get(message.sequence);
        this.#underway.delete(message.sequence);
        this.#handlers.faces(message, sent === undefined ? Number.NaN : performance.now() - sent);
        break;
      }
      case 'dropped':
        this.#underway.delete(message.sequence);
        this.#handlers.dropped();
        break;
      case 'error':
        this.#reason = message.message;
        break;
    }
  }
}
