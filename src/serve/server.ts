// The server of `gramian serve`: node:http on 127.0.0.1 with a fixed table of pages, two data routes and one WebSocket.
// Called by the CLI. The rule easy to break: every request passes the guard first, and everything that is not a page needs
// the token that only the printed address holds.
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import { ArgumentError } from '../errors';
import { type Asset, loadAssets } from './assets';
import { Guard, newToken, type Refusal, securityHeaders } from './guard';
import { RateCap, SERVE_LIMITS, type ServeLimits } from './limits';
import { type FaceSource, LiveSockets } from './liveSocket';
import { SUBPROTOCOL } from './page/protocol';
import { RunView } from './runView';

export interface ServeOptions {
  /** 0 (the default): any free port. */
  readonly port?: number;
  /** What recognises faces; without it there is no live page. */
  readonly faces?: FaceSource;
  /** What finds and what classifies, in words. */
  readonly about?: string;
  /** Folder of a training run; without it there is no run view. */
  readonly run?: string;
  readonly limits?: Partial<ServeLimits>;
  /** Called with what went wrong inside; nothing by default. */
  onProblem?(text: string): void;
}

export interface PageServer {
  readonly port: number;
  /** 256 random bits that data routes and the WebSocket ask for. */
  readonly token: string;
  /** What to open; the token is its fragment, which a browser sends to nobody. */
  readonly url: string;
  /** Stops listening and ends every connection. A second call waits for the first. */
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
/** Milliseconds between two looks for requests that take too long. */
const CHECK_MS = 500;

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: OutgoingHttpHeaders;
}

/** Answers requests; holds what is the same for all of them. */
class Pages {
  readonly #guard: Guard;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #requests: RateCap;
  readonly #parts: Parts;

  constructor(port: number, token: string, limits: ServeLimits, parts: Parts) {
    this.#guard = new Guard(port, token, limits);
    this.#headers = securityHeaders(port);
    this.#requests = new RateCap(limits.requestsPerSecond, performance.now());
    this.#parts = parts;
  }

  async request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = this.#refuse(request);
    const { status, body, headers } = refusal ? refused(refusal) : await this.#find(request);
    response.writeHead(status, { ...this.#headers, 'content-length': body.length, ...headers });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  upgrade(request: IncomingMessage, duplex: Duplex, head: Buffer): void {
    duplex.on('error', () => duplex.destroy());
    const refusal = this.#refuse(request) ?? this.#refuseUpgrade(request);
    if (!refusal) {
      this.#parts.live?.accept(request, duplex, head);
      return;
    }
    const { status, body, headers } = refused(refusal);
    const lines = Object.entries({ ...this.#headers, 'content-length': body.length, ...headers });
    const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    duplex.end(`HTTP/1.1 ${status} Refused\r\n${text}\r\n${body}`, () => duplex.destroy());
  }

  #refuse(request: IncomingMessage): Refusal | undefined {
    if (!this.#requests.take(performance.now())) return { status: 429, reason: 'too many requests' };
    return this.#guard.refuse(request);
  }

  #refuseUpgrade(request: IncomingMessage): Refusal | undefined {
    const { live } = this.#parts;
    if (pathOf(request) !== '/api/faces' || !live) return { status: 404, reason: 'there is no such socket' };
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return { status: 400, reason: 'only WebSockets open' };
    const wrong = this.#guard.refuseSocket(request);
    if (wrong) return wrong;
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(SUBPROTOCOL)) return { status: 400, reason: `the subprotocol is ${SUBPROTOCOL}` };
    return live.full === undefined ? undefined : { status: 503, reason: live.full };
  }

  async #find(request: IncomingMessage): Promise<Answer> {
    const path = pathOf(request);
    const asset = this.#parts.assets.get(path);
    if (asset) return { status: 200, body: asset.body, headers: { 'content-type': asset.type } };
    if (!path.startsWith('/api/')) return refused({ status: 404, reason: 'there is no such page' });
    const refusal = this.#guard.refuseData(request);
    if (refusal) return refused(refusal);
    const { live, run } = this.#parts;
    if (path === '/api/about') return json({ live: live !== undefined, run: run?.folder ?? null });
    if (path === '/api/run' && run) {
      const { tag, text } = await run.read();
      const headers = { etag: tag, 'content-type': 'application/json; charset=utf-8' };
      const known = request.headers['if-none-match'] === tag;
      return { status: known ? 304 : 200, body: Buffer.from(known ? '' : text), headers };
    }
    return refused({ status: 404, reason: 'there is no such data' });
  }
}

interface Parts {
  readonly assets: ReadonlyMap<string, Asset>;
  readonly live: LiveSockets | undefined;
  readonly run: RunView | undefined;
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] as string;
}

function json(value: unknown): Answer {
  return {
    status: 200,
    body: Buffer.from(JSON.stringify(value)),
    headers: { 'content-type': 'application/json; charset=utf-8' },
  };
}

/** Who is refused is also parted from: a body that was not read must not be taken for the next request. */
function refused({ status, reason }: Refusal): Answer {
  const headers: OutgoingHttpHeaders = { 'content-type': 'text/plain; charset=utf-8', connection: 'close' };
  if (status === 405) headers.allow = 'GET, HEAD';
  return { status, body: Buffer.from(`${reason}\n`), headers };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE' || error.code === 'EACCES';
      const text = `[serve] port ${port} of ${HOST} cannot be had (${error.code}); give another one, or 0 for any`;
      reject(taken ? new ArgumentError(text, { cause: error }) : error);
    });
    server.listen({ host: HOST, port, exclusive: true }, resolve);
  });
}

function httpServer(limits: ServeLimits): Server {
  const server = createServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: Math.min(5000, limits.stillMs),
    connectionsCheckingInterval: CHECK_MS,
  });
  server.timeout = limits.stillMs;
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = 1000;
  return server;
}

/**
 * Starts the server on 127.0.0.1. Rejects with ArgumentError for a port that cannot be had or when neither faces nor a run
 * are given, with GramianError ERR_MISSING_PACKAGE when the live page lacks the package ws.
 */
export async function serve(options: ServeOptions): Promise<PageServer> {
  const { port: wanted = 0, faces, about = '', run, onProblem = () => undefined } = options;
  if (!Number.isSafeInteger(wanted) || wanted < 0 || wanted > 65535) {
    throw new ArgumentError(`[serve] a port is a whole number from 0 to 65535, got ${String(wanted)}`);
  }
  if (!faces && run === undefined) throw new ArgumentError('[serve] expected faces, a run or both, got neither');
  const limits = { ...SERVE_LIMITS, ...options.limits };
  const assets = await loadAssets();
  const live = faces ? await LiveSockets.open({ faces, about, limits, onProblem }) : undefined;
  const server = httpServer(limits);
  try {
    await listen(server, wanted);
  } catch (error) {
    await live?.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const token = newToken();
  const pages = new Pages(port, token, limits, { assets, live, run: run === undefined ? undefined : new RunView(run) });
  server.on('request', (request, response) => {
    pages.request(request, response).catch((error: unknown) => {
      onProblem(`a request failed: ${error instanceof Error ? error.message : String(error)}`);
      response.destroy();
    });
  });
  server.on('upgrade', (request, duplex, head) => pages.upgrade(request, duplex, head));
  server.on('error', (error) => onProblem(`the server failed: ${error.message}`));
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
    await live?.close();
    server.closeAllConnections();
    await stopped;
  };
  return {
    port,
    token,
    url: `http://${HOST}:${port}/${live ? '' : 'run'}#${token}`,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}
