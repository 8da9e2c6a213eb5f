// Every cap of the server in one place; docs/serve.md lists them. Tests hand in smaller ones. The rule easy to break: what
// a stranger can make grow (bytes, sockets, messages, seconds) has its line here.
import type { FrameLimits } from './page/protocol';

export interface ServeLimits {
  readonly frame: FrameLimits;
  /** Bytes of one WebSocket message. */
  readonly messageBytes: number;
  /** Pieces one message may be cut into. */
  readonly messageFragments: number;
  /** Frames a second of one socket; more are dropped. */
  readonly framesPerSecond: number;
  /** Messages a second of one socket; more close it. */
  readonly messagesPerSecond: number;
  /** Open WebSockets, and open TCP connections of any kind. */
  readonly sockets: number;
  readonly connections: number;
  /** Requests a second of all clients together. */
  readonly requestsPerSecond: number;
  /** Bytes waiting for a client that does not read; more cut it off. */
  readonly unreadBytes: number;
  /** Characters of a request's target, bytes of its headers. */
  readonly targetLength: number;
  readonly headerBytes: number;
  /** Milliseconds: for a request's headers, for the whole request, for a connection on which nothing moves. */
  readonly headersMs: number;
  readonly requestMs: number;
  readonly stillMs: number;
  /** Milliseconds a socket may live without finishing a frame, however many bytes it sends. */
  readonly idleMs: number;
  /** Milliseconds within which a ping is answered. */
  readonly pongMs: number;
  /** Milliseconds within which a goodbye is answered; then the connection is cut. */
  readonly closeMs: number;
}

export const SERVE_LIMITS: ServeLimits = {
  frame: { minSide: 16, maxSide: 2048, maxPixels: 1280 * 1024 },
  messageBytes: 12 + 3 * 1280 * 1024,
  messageFragments: 64,
  framesPerSecond: 60,
  messagesPerSecond: 500,
  sockets: 4,
  connections: 64,
  requestsPerSecond: 200,
  unreadBytes: 1 << 20,
  targetLength: 1024,
  headerBytes: 8192,
  headersMs: 5000,
  requestMs: 10_000,
  stillMs: 15_000,
  idleMs: 20_000,
  pongMs: 10_000,
  closeMs: 500,
};

/** A token bucket: `rate` a second, a second's worth at once. */
export class RateCap {
  readonly #rate: number;
  #tokens: number;
  #then: number;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(rate: number, now: number) {
    this.#rate = rate;
    this.#tokens = rate;
    this.#then = now;
  }

  /** Whether one more may pass at `now`. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#rate, this.#tokens + ((now - this.#then) / 1000) * this.#rate);
    this.#then = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
