// Strangers: requests and messages that must be refused, one row each, and floods under which an honest client is still
// served. The rule easy to break: a refusal is told from an answer by what came back, so every row says what must come.
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { SERVE_LIMITS } from '../../src/serve/limits';
import { SUBPROTOCOL, writeFrame } from '../../src/serve/page/protocol';
import {
  type ClientOptions,
  grey,
  openClient,
  openRaw,
  raw,
  requestText,
  type Started,
  start,
  statusOf,
  untilClosed,
  upgradeHeaders,
} from './helpers';

/** More than these tests ask. */
const MANY = { requestsPerSecond: 5000 };
/** Caps of time short enough to wait for. */
const QUICK = { ...MANY, headersMs: 600, requestMs: 800, stillMs: 900, idleMs: 900, closeMs: 30_000 };

let started: Started;
/** Its caps of time are short. */
let quick: Started;
beforeAll(async () => {
  started = await start({ limits: MANY, run: 'runs/none' });
  quick = await start({ limits: QUICK });
});
afterAll(() => Promise.all([started.server.close(), quick.server.close()]));

const port = () => started.server.port;
type Request = NonNullable<Parameters<typeof requestText>[1]>;

/** What is asked, and the status that must come. */
const REQUESTS: [what: string, request: () => Request, status: number][] = [
  // Other names for this computer: a page of such a name could read what is answered (DNS rebinding).
  ['a foreign Host', () => ({ headers: { Host: 'evil.example' } }), 403],
  ['a foreign Host with the port', () => ({ headers: { Host: `evil.example:${port()}` } }), 403],
  ['a Host that begins as ours', () => ({ headers: { Host: `127.0.0.1.evil.example:${port()}` } }), 403],
  ['a Host with a user', () => ({ headers: { Host: `127.0.0.1:${port()}@evil.example` } }), 403],
  ['a Host without the port', () => ({ headers: { Host: '127.0.0.1' } }), 403],
  ['a Host with another port', () => ({ headers: { Host: `127.0.0.1:${port() ^ 1}` } }), 403],
  ['a Host of all addresses', () => ({ headers: { Host: `0.0.0.0:${port()}` } }), 403],
  ['a Host of IPv6', () => ({ headers: { Host: `[::1]:${port()}` } }), 403],
  ['an empty Host', () => ({ headers: { Host: '' } }), 403],
  ['no Host', () => ({ headers: { Host: undefined } }), 400],
  ['two Hosts', () => ({ headers: { host: 'evil.example' } }), 403],
  // Pages of other sites.
  ['a foreign Origin', () => ({ headers: { Origin: 'https://evil.example' } }), 403],
  ['an Origin of nobody', () => ({ headers: { Origin: 'null' } }), 403],
  ['an Origin of another port', () => ({ headers: { Origin: `http://127.0.0.1:${port() ^ 1}` } }), 403],
  ['an Origin of another scheme', () => ({ headers: { Origin: `https://127.0.0.1:${port()}` } }), 403],
  ['an Origin that begins as ours', () => ({ headers: { Origin: `http://localhost:${port()}.evil.example` } }), 403],
  ['data for another site', () => ({ path: '/api/run', headers: { ...held(), 'Sec-Fetch-Site': 'cross-site' } }), 403],
  ['data for a sister site', () => ({ path: '/api/run', headers: { ...held(), 'Sec-Fetch-Site': 'same-site' } }), 403],
  // Tokens.
  ['data without a token', () => ({ path: '/api/run' }), 401],
  [
    'data with a wrong token',
    () => ({ path: '/api/run', headers: { Authorization: `Bearer ${'A'.repeat(43)}` } }),
    401,
  ],
  ['data with part of the token', () => ({ path: '/api/run', headers: held(started.server.token.slice(0, 42)) }), 401],
  ['data with more than the token', () => ({ path: '/api/run', headers: held(`${started.server.token}A`) }), 401],
  ['data with a very long token', () => ({ path: '/api/run', headers: held('A'.repeat(4000)) }), 401],
  ['data with the token in the address', () => ({ path: `/api/run?token=${started.server.token}` }), 401],
  ['data with the token as a cookie', () => ({ path: '/api/run', headers: { Cookie: started.server.token } }), 401],
  ['data with the token as a password', () => ({ path: '/api/run', headers: { Authorization: basic() } }), 401],
  // Methods and bodies.
  ...['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'].map(
    (method): [string, () => Request, number] => [`the method ${method}`, () => ({ method }), 405],
  ),
  ['a body', () => ({ headers: { 'Content-Length': '5' }, body: 'hello' }), 413],
  ['a body in chunks', () => ({ headers: { 'Transfer-Encoding': 'chunked' }, body: '0\r\n\r\n' }), 413],
  ['a body of two lengths', () => ({ headers: { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' } }), 400],
  ['a negative length', () => ({ headers: { 'Content-Length': '-1' } }), 400],
  // Paths.
  ...[
    '/../package.json',
    '/../../../../etc/passwd',
    '/%2e%2e/package.json',
    '/..%2fpackage.json',
    '/..%5c..%5cpackage.json',
    '/%252e%252e/package.json',
    '//etc/passwd',
    '/./live.js',
    '/live.js/',
    '/live.js%00.html',
    '/LIVE.JS',
    '/page/live.js',
    '/live.ts',
    '/index.html',
    '/package.json',
    '/__proto__',
    '/constructor',
    '/api',
    '/%E0%A4%A',
  ].map((path): [string, () => Request, number] => [`the path ${path}`, () => ({ path }), 404]),
  ['data above its own folder', () => ({ path: '/api/../live.js' }), 401],
  ['data above its own folder with the token', () => ({ path: '/api/../live.js', headers: held() }), 404],
  ['an unknown data route', () => ({ path: '/api/__proto__', headers: held() }), 404],
  ['the socket’s address without an upgrade', () => ({ path: '/api/faces', headers: held() }), 404],
  ['a path with an umlaut', () => ({ path: '/\u00e4' }), 400],
  ['a whole address', () => ({ path: 'http://evil.example/' }), 400],
  ['a path of nothing but a star', () => ({ path: '*' }), 400],
  ['a very long path', () => ({ path: `/${'a'.repeat(2000)}` }), 414],
  ['a very long header', () => ({ headers: { 'X-Long': 'a'.repeat(20_000) } }), 431],
  [
    'very many headers',
    () => ({ headers: Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`x${n}`, '1'])) }),
    431,
  ],
  ['an HTTP version of nobody', () => ({ path: '/ HTTP/9.9\r\nX: ' }), 400],
  ['an expectation of nobody', () => ({ headers: { Expect: 'the unexpected' } }), 417],
];

function held(token = started.server.token): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

function basic(): string {
  return `Basic ${Buffer.from(`:${started.server.token}`).toString('base64')}`;
}

describe('refused requests', () => {
  it.each(REQUESTS)('%s', async (_, request, status) => {
    const answer = await raw(started.server, requestText(started.server, request()));
    expect(statusOf(answer)).toBe(status);
    expect(answer).not.toMatch(/<html|<script|root:|"name": "gramian"/);
    expect(answer).not.toContain(started.server.token);
    expect(answer.toLowerCase()).not.toContain('access-control-allow');
  });

  it.each([
    ['bytes at random', Uint8Array.from({ length: 600 }, (_, index) => (index * 167 + 13) % 251), 400],
    ['a greeting of TLS', Uint8Array.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0]), 400],
    ['a greeting of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a header with a zero', 'GET / HTTP/1.1\r\nHost: a\u0000b\r\n\r\n', 400],
  ])('%s', async (_, bytes, status) => {
    expect(statusOf(await raw(started.server, bytes))).toBe(status);
  });

  it('a tunnel', async () => {
    const answer = await raw(started.server, `CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1:${port()}\r\n\r\n`);
    expect(answer).toBe('');
  });

  it('what is behind a refused request on the same connection', async () => {
    const inner = requestText(started.server, { path: '/live.js' });
    const outer = requestText(started.server, {
      headers: { Connection: 'keep-alive', 'Content-Length': `${inner.length}` },
    });
    const answer = await raw(started.server, outer + inner);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(statusOf(answer)).toBe(413);
  });

  it('more requests than the cap, and not for longer', async () => {
    const strict = await start({ limits: { requestsPerSecond: 20 } });
    const ask = async () => statusOf(await raw(strict.server, requestText(strict.server)));
    const statuses = await Promise.all(Array.from({ length: 40 }, ask));
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(5);
    await expect.poll(ask, { timeout: 5000 }).toBe(200);
    await strict.server.close();
  });
});

describe('refused openings', () => {
  const OPENINGS: [what: string, options: () => ClientOptions & { path?: string }, status: number][] = [
    ['a foreign Origin', () => ({ origin: 'https://evil.example' }), 403],
    ['an Origin of nobody', () => ({ origin: 'null' }), 403],
    ['a foreign Host', () => ({ headers: { Host: 'evil.example' } }), 403],
    ['no token', () => ({ protocols: [SUBPROTOCOL] }), 401],
    ['a wrong token', () => ({ protocols: [SUBPROTOCOL, 'A'.repeat(43)] }), 401],
    ['the token behind many others', () => ({ protocols: ['a', 'b', 'c', 'd', started.server.token] }), 401],
    ['the token without the subprotocol', () => ({ protocols: [started.server.token] }), 400],
    ['another subprotocol', () => ({ protocols: ['gramian.faces.0', started.server.token] }), 400],
  ];
  it.each(OPENINGS)('%s', async (_, options, status) => {
    await expect(openClient(started.server, options())).rejects.toThrow(`Unexpected server response: ${status}`);
  });

  const upgrade = (headers: Record<string, string | undefined>, changes: Request = {}): Promise<string> =>
    raw(
      started.server,
      requestText(started.server, {
        path: '/api/faces',
        ...changes,
        headers: { ...upgradeHeaders(started.server), ...headers },
      }),
    );
  it.each<[string, Record<string, string | undefined>, Request, number]>([
    ['no Origin', { Origin: undefined }, {}, 403],
    ['another address', {}, { path: '/' }, 404],
    ['another protocol', { Upgrade: 'h2c' }, {}, 400],
    ['another method', {}, { method: 'POST' }, 405],
    ['an old version', { 'Sec-WebSocket-Version': '7' }, {}, 400],
    ['a malformed key', { 'Sec-WebSocket-Key': 'short' }, {}, 400],
    ['a body', { 'Content-Length': '3' }, { body: 'abc' }, 413],
  ])('%s', async (_, headers, changes, status) => {
    const answer = await upgrade(headers, changes);
    expect(statusOf(answer)).toBe(status);
    expect(answer).not.toContain('101 Switching');
  });

  it('more sockets than the cap; a place that is left is free again', async () => {
    const clients = await Promise.all(Array.from({ length: SERVE_LIMITS.sockets }, () => openClient(started.server)));
    await expect(openClient(started.server)).rejects.toThrow('503');
    clients[0]?.socket.close();
    await clients[0]?.closed;
    const late = await openClient(started.server);
    for (const { socket } of [...clients, late]) socket.terminate();
    await Promise.all(clients.map(({ closed }) => closed));
  });
});

/** A WebSocket frame of RFC 6455, section 5.2, masked with zeros, so that the payload stays readable. */
function wireFrame(first: number, payload: Uint8Array | string, { masked = true, length = -1 } = {}): Buffer {
  const bytes = Buffer.from(payload);
  const size = length < 0 ? bytes.length : length;
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = (masked ? 0x80 : 0) | 127;
  head.writeBigUInt64BE(BigInt(size), 2);
  const short = size < 126 ? Buffer.from([first, (masked ? 0x80 : 0) | size]) : head;
  return Buffer.concat([short, Buffer.alloc(masked ? 4 : 0), bytes]);
}

/** The connection under a WebSocket of ws, to write bytes that ws would not. */
function wireOf(socket: WebSocket): Socket {
  return (socket as unknown as { _socket: Socket })._socket;
}

/** The code of the Close that the server writes first; its frames are not masked and short ones (RFC 6455, section 5.2). */
function goodbyeOn(wire: Socket): Promise<number> {
  let bytes = Buffer.alloc(0);
  return new Promise((resolve) => {
    wire.on('data', (data: Buffer) => {
      bytes = Buffer.concat([bytes, data]);
      for (;;) {
        const long = bytes.length > 1 && bytes[1] === 126;
        const head = long ? 4 : 2;
        if (bytes.length < head) return;
        const size = long ? bytes.readUInt16BE(2) : bytes[1]!;
        if (bytes.length < head + size) return;
        if (bytes[0] === 0x88) resolve(bytes.readUInt16BE(head));
        bytes = bytes.subarray(head + size);
      }
    });
  });
}

/** An open WebSocket that writes bytes of its own. */
async function openWire({ server }: Started = started) {
  const client = await openClient(server);
  return { ...client, wire: wireOf(client.socket) };
}

describe('refused messages', () => {
  const good = writeFrame(grey(1));
  const BINARY = 0x82;
  const PART = 0x02;
  const NEXT_PART = 0x00;
  /** What is written, and the close code that must come. */
  const MESSAGES: [what: string, bytes: () => Buffer, code: number][] = [
    ['text', () => wireFrame(0x81, '{"type":"hello"}'), 1003],
    ['text that is no UTF-8', () => wireFrame(0x81, Uint8Array.from([0xc3, 0x28])), 1007],
    ['nothing', () => wireFrame(BINARY, ''), 1007],
    ['a cut frame', () => wireFrame(BINARY, good.subarray(0, 100)), 1007],
    ['a frame and a byte', () => wireFrame(BINARY, Buffer.concat([good, Buffer.from([1])])), 1007],
    [
      'a size that would need gigabytes',
      () => wireFrame(BINARY, Uint8Array.from([1, 3, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0])),
      1007,
    ],
    ['a frame that is too large', () => wireFrame(BINARY, '', { length: SERVE_LIMITS.messageBytes + 1 }), 1009],
    ['a frame of 2^62 bytes', () => wireFrame(BINARY, '', { length: 2 ** 62 }), 1009],
    [
      'parts that together are too large',
      () => Buffer.concat([wireFrame(PART, good), wireFrame(NEXT_PART, '', { length: SERVE_LIMITS.messageBytes })]),
      1009,
    ],
    [
      'very many parts',
      () => Buffer.concat([wireFrame(PART, ''), ...Array.from({ length: 200 }, () => wireFrame(NEXT_PART, ''))]),
      1008,
    ],
    ['a part of nothing', () => wireFrame(NEXT_PART, good), 1002],
    ['a frame that is not masked', () => wireFrame(BINARY, good, { masked: false }), 1002],
    ['a reserved opcode', () => wireFrame(0x83, good), 1002],
    ['a reserved bit', () => wireFrame(0xc2, good), 1002],
    ['a long control frame', () => wireFrame(0x89, Buffer.alloc(200)), 1002],
    ['a control frame in parts', () => wireFrame(0x09, 'a'), 1002],
    [
      'more messages than the cap',
      () => Buffer.concat(Array.from({ length: 2000 }, () => wireFrame(BINARY, good))),
      1008,
    ],
    ['more pings than the cap', () => Buffer.concat(Array.from({ length: 5000 }, () => wireFrame(0x89, 'ping'))), 1008],
    ['more pongs than the cap', () => Buffer.concat(Array.from({ length: 5000 }, () => wireFrame(0x8a, 'pong'))), 1008],
  ];
  it.each(MESSAGES)('%s', async (_, bytes, code) => {
    const { wire, closed } = await openWire();
    wire.write(bytes());
    expect(await closed).toBe(code);
  });

  it('a frame after a refused one is not looked at', async () => {
    const before = started.faces.seen.length;
    const { wire, closed } = await openWire();
    wire.write(Buffer.concat([wireFrame(0x81, 'text'), wireFrame(BINARY, good)]));
    await closed;
    expect(started.faces.seen.length).toBe(before);
  });
});

describe('the slow', () => {
  it('headers', async () => {
    const socket = await openRaw(quick.server);
    const ended = untilClosed(socket);
    socket.write('GET / HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('X-Slow: 1\r\n'), 50);
    expect(statusOf(await ended)).toBe(408);
    clearInterval(drip);
  });

  it('connection that says nothing', async () => {
    expect(await raw(quick.server, '')).toMatch(/^$|^HTTP\/1\.1 408/);
  });

  it('connection that is kept and not used', async () => {
    const text = requestText(quick.server, { path: '/icon.svg', headers: { Connection: 'keep-alive' } });
    expect(statusOf(await raw(quick.server, text))).toBe(200);
  });

  it('upload of a frame, a byte at a time', async () => {
    // Its own answer to the goodbye drowns in the frame that it did not finish, so the server waits for one until it cuts the
    // connection; a client that still writes then may lose what it has not read.
    const { wire } = await openWire(quick);
    wire.write(wireFrame(0x82, '', { length: 1000 }));
    const drip = setInterval(() => wire.write('a'), 20);
    expect(await goodbyeOn(wire)).toBe(4001);
    clearInterval(drip);
    wire.destroy();
  });

  it('upload in parts, with pongs in between', async () => {
    const { wire } = await openWire(quick);
    wire.write(wireFrame(0x02, 'a'));
    const drip = setInterval(() => wire.write(wireFrame(0x8a, '')), 20);
    expect(await goodbyeOn(wire)).toBe(4001);
    clearInterval(drip);
    wire.destroy();
  });

  it('client that answers no goodbye is cut off', async () => {
    const { server } = await start({ limits: { idleMs: 300, closeMs: 200 } });
    const { wire, closed } = await openWire({ ...quick, server });
    wire.write(wireFrame(0x82, '', { length: 1000 }));
    await closed;
    await server.close();
  });

  it('client that answers no ping, though it goes on sending frames', async () => {
    const { server } = await start({ limits: { pongMs: 300 } });
    const { socket } = await openClient(server);
    const wire = wireOf(socket);
    wire.removeAllListeners('data');
    wire.resume();
    const frames = setInterval(() => wire.write(wireFrame(0x82, writeFrame(grey(1)))), 50);
    await new Promise((resolve) => wire.once('close', resolve));
    clearInterval(frames);
    await server.close();
  });

  it('client that does not close when it is asked to', async () => {
    const { wire } = await openWire();
    wire.removeAllListeners('data');
    wire.resume();
    wire.write(wireFrame(0x81, 'text'));
    await new Promise((resolve) => wire.once('close', resolve));
  });

  it('client that reads no answers', async () => {
    const patient = await start({ limits: { unreadBytes: 1 << 16, messagesPerSecond: 1e6, framesPerSecond: 1e6 } });
    const { socket } = await openClient(patient.server);
    const wire = wireOf(socket);
    wire.pause();
    const cut = new Promise((resolve) => wire.once('close', resolve));
    const frame = wireFrame(0x89, 'x'.repeat(125));
    const pings = Buffer.concat(Array.from({ length: 2000 }, () => frame));
    const flood = setInterval(() => wire.write(pings), 5);
    // A paused socket learns of its end when it is read again; until then the server has one client less.
    await expect.poll(() => openCount(patient), { timeout: 20_000 }).toBe(SERVE_LIMITS.sockets);
    clearInterval(flood);
    wire.resume();
    await cut;
    await patient.server.close();
  });
});

/** How many sockets can still be opened. */
async function openCount({ server }: Started): Promise<number> {
  const opened = [];
  try {
    for (;;) opened.push(await openClient(server));
  } catch {
    for (const { socket } of opened) socket.terminate();
    await Promise.all(opened.map(({ closed }) => closed));
    return opened.length;
  }
}

describe('floods', () => {
  it('of 200 sockets leave the honest client served, memory and waiting bounded', async () => {
    const { server } = await start({ limits: MANY });
    const honest = await openClient(server);
    const before = process.memoryUsage().rss;
    const largest = writeFrame(
      grey(0, { width: 1280, height: 1024, channels: 3, pixels: new Uint8Array(SERVE_LIMITS.messageBytes - 12) }),
    );
    const flood = Array.from({ length: 200 }, (_, index) => {
      // Every fourth one holds the token, the others do not.
      const protocols = index % 4 === 0 ? [SUBPROTOCOL, server.token] : [SUBPROTOCOL, 'A'.repeat(43)];
      const origin = index % 4 === 3 ? 'https://evil.example' : `http://127.0.0.1:${server.port}`;
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/faces`, protocols, { origin });
      return new Promise<string>((resolve) => {
        socket.on('error', (error) => resolve(error.message));
        socket.on('open', () => {
          resolve('open');
          // Many large frames, and a part of one that never ends.
          for (let times = 0; times < 8; times += 1) socket.send(largest);
          socket.send(largest.subarray(0, 100), { fin: false });
        });
      });
    });
    const waits: number[] = [];
    for (let sequence = 1; sequence <= 30; sequence += 1) {
      const sent = performance.now();
      honest.send(grey(sequence));
      await honest.next('faces', sequence);
      waits.push(performance.now() - sent);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const outcomes = await Promise.all(flood);
    const count = (what: RegExp): number => outcomes.filter((outcome) => what.test(outcome)).length;
    expect(count(/^open$/)).toBeLessThanOrEqual(SERVE_LIMITS.sockets - 1);
    expect(count(/^open$|response: (401|403|503)|ECONNRESET|socket hang up|EPIPE/)).toBe(200);
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    const slowest = Math.max(...waits);
    console.log(
      `200 sockets: slowest answer ${slowest.toFixed(0)} ms, memory of client and server ${grown.toFixed(0)} MiB more`,
    );
    // Client and server share this process: 3 sockets hold 8 frames of 4 MB each on the way and 2 each in the server.
    expect(grown).toBeLessThan(400);
    expect(slowest).toBeLessThan(5000);
    await server.close();
  });

  it('of 300 connections that say nothing end, and a page is had afterwards', async () => {
    const sockets = Array.from({ length: 300 }, () => raw(quick.server, '').catch((error: Error) => error.message));
    await Promise.all(sockets);
    expect(statusOf(await raw(quick.server, requestText(quick.server)))).toBe(200);
  });

  it('of frames are answered by their latest, none is kept', async () => {
    const client = await openClient(started.server);
    for (let sequence = 0; sequence < 50; sequence += 1) client.send(grey(sequence));
    const last = (await client.next('faces', 49).catch(() => undefined)) ?? (await client.next('dropped', 49));
    expect(last).toMatchObject({ sequence: 49 });
    const answers = client.messages.filter(({ type }) => type === 'faces' || type === 'dropped');
    expect(answers).toHaveLength(50);
    client.socket.terminate();
  });
});

it('there are forty cases or more', () => {
  expect(REQUESTS.length).toBeGreaterThanOrEqual(40);
  expect(new Set(REQUESTS.map(([what]) => what)).size).toBe(REQUESTS.length);
});
