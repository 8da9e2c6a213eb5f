// The live page's WebSockets: opening, caps, and the way of a frame from a message to its answer. server.ts hands over
// upgrades that the guard let pass. The rule easy to break: a frame is held until it is answered or dropped, no longer,
// and is written nowhere.
import type { IncomingMessage } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import type { RawData, ServerOptions, WebSocket, WebSocketServer } from 'ws';
import { GramianError } from '../errors';
import type { FaceFrame, Image } from '../faces/types';
import { type Place, Turns } from './latest';
import { RateCap, type ServeLimits } from './limits';
import { type Frame, readFrame, type ServerMessage, SUBPROTOCOL } from './page/protocol';

/** What recognises; a Recognizer is one. Whoever made it disposes of it, after the server is closed. */
export interface FaceSource {
  readonly classNames: readonly string[];
  /** A stream of frames with faces and numbers of its own. */
  stream(): { process(frame: Image): Promise<FaceFrame> };
}

/** Close codes of RFC 6455, section 7.4, and one of our own (4000 to 4999). */
const CLOSE = { goingAway: 1001, unsupported: 1003, invalid: 1007, policy: 1008, failed: 1011, idle: 4001 } as const;
const CLOSING = 'the server is closing';
/** Milliseconds between two looks at all sockets. */
const LOOK_MS = 250;
/** TCP reads that one message may be made of: at its smallest segments of half a kilobyte, a whole frame fits. */
const MESSAGE_CHUNKS = 8192;

interface Client {
  readonly socket: WebSocket;
  readonly place: Place<Frame>;
  readonly messages: RateCap;
  readonly frames: RateCap;
  stream: ReturnType<FaceSource['stream']>;
  /** A restart was asked for by a frame that may have been dropped since. */
  restart: boolean;
  closing: boolean;
  lastFrame: number;
  lastPing: number;
  /** A ping is out. */
  pinged: boolean;
}

/** Options of ws 8.23 that its published types do not know. */
interface NewerOptions {
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
  readonly closeTimeout: number;
}

/** Rejects with GramianError ERR_MISSING_PACKAGE without the optional peer dependency `ws`. */
async function loadWs(): Promise<typeof WebSocketServer> {
  try {
    return (await import('ws')).WebSocketServer;
  } catch (cause) {
    const text = '[serve] the live page talks over ws, which is not installed: run `npm install ws`';
    throw new GramianError('ERR_MISSING_PACKAGE', text, { cause });
  }
}

export interface LiveOptions {
  readonly faces: FaceSource;
  /** What finds and what classifies, in words. */
  readonly about: string;
  readonly limits: ServeLimits;
  /** Called with what went wrong inside. */
  onProblem(text: string): void;
}

export class LiveSockets {
  readonly #options: LiveOptions;
  readonly #limits: ServeLimits;
  readonly #server: WebSocketServer;
  readonly #clients = new Set<Client>();
  readonly #turns = new Turns<Frame>();
  readonly #look: NodeJS.Timeout;
  #opening = 0;
  #closing = false;

  static async open(options: LiveOptions): Promise<LiveSockets> {
    return new LiveSockets(options, await loadWs());
  }

  private constructor(options: LiveOptions, Sockets: typeof WebSocketServer) {
    this.#options = options;
    this.#limits = options.limits;
    const settings: ServerOptions & NewerOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // ws would answer pings without an end to what it piles up for a client that does not read.
      autoPong: false,
      maxPayload: this.#limits.messageBytes,
      maxFragments: this.#limits.messageFragments,
      maxBufferedChunks: MESSAGE_CHUNKS,
      closeTimeout: this.#limits.closeMs,
      handleProtocols: () => SUBPROTOCOL,
    };
    this.#server = new Sockets(settings);
    this.#look = setInterval(() => this.#lookAtAll(performance.now()), LOOK_MS);
    this.#look.unref();
  }

  /** Why no further socket can be opened, or undefined. */
  get full(): string | undefined {
    if (this.#closing) return CLOSING;
    const open = this.#clients.size + this.#opening;
    return open < this.#limits.sockets ? undefined : `there are ${open} live pages already`;
  }

  accept(request: IncomingMessage, duplex: Duplex, head: Buffer): void {
    // Counted until it is open or gone, so that openings at the same time cannot pass the cap together.
    this.#opening += 1;
    let counted = true;
    const count = (): void => {
      if (counted) this.#opening -= 1;
      counted = false;
    };
    duplex.once('close', count);
    this.#server.handleUpgrade(request, duplex, head, (socket) => {
      count();
      this.#welcome(socket);
    });
  }

  /**
   * Says goodbye to all, waits a moment for their answer, and cuts off those who gave none. Afterwards no frame is in work, so
   * the recogniser may be disposed of.
   */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#look);
    const closed = [...this.#clients].map((client) => {
      const gone = new Promise<void>((resolve) => client.socket.once('close', () => resolve()));
      this.#part(client, CLOSE.goingAway, CLOSING);
      return gone;
    });
    await Promise.all(closed);
    await this.#turns.idle();
    this.#server.close();
  }

  #welcome(socket: WebSocket): void {
    const { limits, faces, about } = this.#options;
    const now = performance.now();
    const client: Client = {
      ...{ socket, restart: false, closing: false, lastFrame: now, lastPing: now, pinged: false },
      stream: faces.stream(),
      place: this.#turns.join((frame) => this.#answer(client, frame)),
      messages: new RateCap(limits.messagesPerSecond, now),
      frames: new RateCap(limits.framesPerSecond, now),
    };
    this.#clients.add(client);
    socket.on('message', (data, binary) => this.#message(client, data, binary));
    socket.on('ping', (data) => {
      if (this.#counts(client)) this.#write(client, () => socket.pong(data));
    });
    socket.on('pong', () => {
      client.pinged = false;
      this.#counts(client);
    });
    // What breaks the protocol or a cap of ws arrives here; ws itself closes with the code that says so.
    socket.on('error', () => {
      client.closing = true;
    });
    socket.on('close', () => {
      client.closing = true;
      client.place.leave();
      this.#clients.delete(client);
    });
    const { frame, framesPerSecond } = limits;
    this.#send(client, {
      ...{ type: 'hello', classes: faces.classNames, limits: frame, maxRate: framesPerSecond, about },
    });
  }

  #message(client: Client, data: RawData, binary: boolean): void {
    if (!this.#counts(client)) return;
    if (!binary) {
      this.#part(client, CLOSE.unsupported, 'only binary messages are understood');
      return;
    }
    const frame = readFrame(data as Buffer, this.#limits.frame);
    if (typeof frame === 'string') this.#part(client, CLOSE.invalid, frame);
    else this.#frame(client, frame);
  }

  /** Counts a message of any kind; false for one that is over the cap or comes after the end. */
  #counts(client: Client): boolean {
    if (client.closing) return false;
    if (client.messages.take(performance.now())) return true;
    this.#part(client, CLOSE.policy, 'too many messages');
    return false;
  }

  #frame(client: Client, frame: Frame): void {
    const now = performance.now();
    client.lastFrame = now;
    client.restart ||= frame.restart;
    if (!client.frames.take(now)) {
      this.#send(client, { type: 'dropped', sequence: frame.sequence, reason: 'rate' });
      return;
    }
    const older = client.place.offer(frame);
    if (older) this.#send(client, { type: 'dropped', sequence: older.sequence, reason: 'newer' });
  }

  async #answer(client: Client, frame: Frame): Promise<void> {
    try {
      if (client.restart) client.stream = this.#options.faces.stream();
      client.restart = false;
      const { sequence, pixels, width, height, channels } = frame;
      const faces = await client.stream.process({ pixels, width, height, channels });
      this.#send(client, { type: 'faces', sequence, ...faces });
    } catch (error) {
      this.#options.onProblem(`a frame failed: ${error instanceof Error ? error.message : String(error)}`);
      this.#part(client, CLOSE.failed, 'the engine failed; its terminal says why');
    }
  }

  #send(client: Client, message: ServerMessage): void {
    this.#write(client, () => client.socket.send(JSON.stringify(message)));
  }

  /** Writes to a client that reads; one that does not would make it pile up here and is cut off. */
  #write({ socket }: Client, write: () => void): void {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > this.#limits.unreadBytes) socket.terminate();
    else write();
  }

  /** Says why and closes. */
  #part(client: Client, code: number, reason: string): void {
    if (client.closing) return;
    if (code !== CLOSE.goingAway && code !== CLOSE.idle) this.#send(client, { type: 'error', message: reason });
    client.closing = true;
    client.place.leave();
    client.socket.close(code, reason.slice(0, 120));
  }

  #lookAtAll(now: number): void {
    for (const client of this.#clients) {
      if (now - client.lastFrame > this.#limits.idleMs) {
        this.#part(client, CLOSE.idle, 'no frame came for a while');
      } else if (now - client.lastPing > this.#limits.pongMs) {
        if (client.pinged) client.socket.terminate();
        else client.socket.ping();
        client.pinged = true;
        client.lastPing = now;
      }
    }
  }
}
