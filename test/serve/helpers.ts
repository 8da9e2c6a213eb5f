// A server with a recogniser that knows no pictures, and clients that misbehave on purpose. Used by the tests of
// src/serve. The rule easy to break: what a test opens it closes, or the next one finds the places taken.
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { FaceFrame, Image } from '../../src/faces/types';
import type { FaceSource } from '../../src/serve/liveSocket';
import { type Frame, type ServerMessage, SUBPROTOCOL, writeFrame } from '../../src/serve/page/protocol';
import { type PageServer, type ServeOptions, serve } from '../../src/serve/server';

export interface FakeFaces extends FaceSource {
  /** Frames that were recognised, in order, by the number of their stream; large ones are not kept. */
  readonly seen: { stream: number; image: Image }[];
  /** Frames in work wait for this before they are answered. */
  gate: Promise<void>;
}

/** Finds one face in every frame, at its middle; frames of value 13 fail. */
export function fakeFaces(): FakeFaces {
  const seen: FakeFaces['seen'] = [];
  let streams = 0;
  const faces: FakeFaces = {
    classNames: ['happy', 'sad'],
    seen,
    gate: Promise.resolve(),
    stream() {
      streams += 1;
      const stream = streams;
      let index = 0;
      return {
        async process(image): Promise<FaceFrame> {
          if (image.pixels.length < 1e5) seen.push({ stream, image });
          await faces.gate;
          if (image.pixels[0] === 13) throw new Error('an unlucky frame');
          const { width, height } = image;
          const box = { x: width / 4, y: height / 4, width: width / 2, height: height / 2 };
          const timings = { detect: 1, track: 0, crop: 0.5, classify: 0.25, total: 1.75 };
          const face = { id: 1, box, score: 0.9, confidence: 1, expressions: { happy: 0.75, sad: 0.25 } };
          index += 1;
          return { index: index - 1, width, height, detected: true, faces: [face], timings };
        },
      };
    },
  };
  return faces;
}

export interface Started {
  readonly server: PageServer;
  readonly faces: FakeFaces;
  readonly problems: string[];
}

export async function start(options: Partial<ServeOptions> = {}): Promise<Started> {
  const faces = fakeFaces();
  const problems: string[] = [];
  const server = await serve({ faces, about: 'a fake', onProblem: (text) => problems.push(text), ...options });
  return { server, faces, problems };
}

/** A grey frame of one value. */
export function grey(sequence: number, changes: Partial<Frame> & { value?: number } = {}): Frame {
  const { value = 128, width = 32, height = 24, ...rest } = changes;
  const pixels = new Uint8Array(width * height).fill(value);
  return { sequence, restart: false, channels: 1, width, height, pixels, ...rest };
}

/** A WebSocket with what came over it. */
export interface Client {
  readonly socket: WebSocket;
  readonly messages: ServerMessage[];
  /** Settles with the close code; 1006 when the connection was cut. */
  readonly closed: Promise<number>;
  send(frame: Frame): void;
  /** The first message that `accepts` takes, of those that came or will come. */
  next<M extends ServerMessage['type']>(type: M, sequence?: number): Promise<Extract<ServerMessage, { type: M }>>;
}

export interface ClientOptions {
  readonly origin?: string | undefined;
  readonly protocols?: readonly string[];
  readonly headers?: Record<string, string>;
}

/** Opens a WebSocket as the page does; rejects with the HTTP status in its message when it is refused. */
export async function openClient(server: PageServer, options: ClientOptions = {}): Promise<Client> {
  const { origin = `http://127.0.0.1:${server.port}`, protocols = [SUBPROTOCOL, server.token], headers = {} } = options;
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/faces`, [...protocols], { origin, headers });
  const messages: ServerMessage[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of [...waiting]) look();
  };
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)) as ServerMessage);
    wake();
  });
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  void closed.then(wake);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  return {
    ...{ socket, messages, closed },
    send: (frame) => socket.send(writeFrame(frame)),
    next<M extends ServerMessage['type']>(type: M, sequence?: number) {
      return new Promise<Extract<ServerMessage, { type: M }>>((resolve, reject) => {
        const look = (): void => {
          const found = messages.find(
            (message) =>
              message.type === type &&
              (sequence === undefined || ('sequence' in message && message.sequence === sequence)),
          );
          if (found) resolve(found as Extract<ServerMessage, { type: M }>);
          else if (socket.readyState === socket.CLOSED) reject(new Error(`closed before a message "${type}" came`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      });
    },
  };
}

/** What a server writes on a raw connection until it closes it. */
export function untilClosed(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  return new Promise((resolve) => {
    socket.on('data', (data) => parts.push(data));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')));
  });
}

/** A raw connection, open. */
export async function openRaw(server: PageServer): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: server.port });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Sends bytes as they are and answers all that came back until the server closed the connection. */
export async function raw(server: PageServer, bytes: string | Uint8Array): Promise<string> {
  const socket = await openRaw(server);
  const answer = untilClosed(socket);
  socket.write(bytes);
  return answer;
}

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

/** Headers of a request for the live page's WebSocket. */
export const upgradeHeaders = ({ port, token }: PageServer): Record<string, string> => ({
  ...{ Connection: 'Upgrade', Upgrade: 'websocket', Origin: `http://127.0.0.1:${port}` },
  ...{ 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
  'Sec-WebSocket-Protocol': `${SUBPROTOCOL}, ${token}`,
});

/** A request's text; a header of undefined is left out. */
export function requestText(
  server: PageServer,
  { method = 'GET', path = '/', headers = {} as Record<string, string | undefined>, body = '' } = {},
): string {
  const all = { Host: `127.0.0.1:${server.port}`, Connection: 'close', ...headers };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
