// Who may ask: Host and Origin allow-lists, methods, targets, the token, and the headers every answer carries. server.ts
// and liveSocket.ts call it before they look at anything else. The rule easy to break: a page of another site can reach
// this server from its visitor's browser, under any name that resolves to 127.0.0.1, so Host and Origin are both checked.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { ServeLimits } from './limits';

/** Why a request is refused: an HTTP status and a sentence. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** 256 random bits as base64url, which may stand in a URL's fragment and in a WebSocket subprotocol. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** What is the same for all requests of one server. */
export class Guard {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #token: Buffer;
  readonly #limits: ServeLimits;

  constructor(port: number, token: string, limits: ServeLimits) {
    const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
    // A browser leaves the scheme's own port out.
    if (port === 80) hosts.push('127.0.0.1', 'localhost');
    this.#hosts = new Set(hosts);
    this.#origins = new Set(hosts.map((host) => `http://${host}`));
    this.#token = digest(token);
    this.#limits = limits;
  }

  /** What is wrong with a request of any kind, before its target is looked up. */
  refuse(request: IncomingMessage): Refusal | undefined {
    const { method, headers, rawHeaders, url = '' } = request;
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, reason: 'only GET and HEAD are answered' };
    const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
    if (hosts !== 1 || !this.#hosts.has(headers.host?.toLowerCase() ?? '')) {
      return { status: 403, reason: 'this server answers to 127.0.0.1 and localhost only' };
    }
    if (headers.origin !== undefined && !this.#origins.has(headers.origin)) {
      return { status: 403, reason: 'pages of other sites are not answered' };
    }
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
      return { status: 413, reason: 'requests have no body' };
    }
    if (url.length > this.#limits.targetLength) return { status: 414, reason: 'the address is too long' };
    // No absolute form, no proxy's authority, nothing but printable ASCII.
    if (!/^\/[\x21-\x7e]*$/.test(url)) return { status: 400, reason: 'the address is malformed' };
    return undefined;
  }

  /** What is wrong with a request for data: it carries `Authorization: Bearer TOKEN` and comes from no other site. */
  refuseData(request: IncomingMessage): Refusal | undefined {
    const site = request.headers['sec-fetch-site'];
    if (site !== undefined && site !== 'same-origin' && site !== 'none') {
      return { status: 403, reason: 'pages of other sites are not answered' };
    }
    const bearer = /^Bearer ([\w-]{1,128})$/.exec(request.headers.authorization ?? '')?.[1];
    return this.#holds(bearer) ? undefined : { status: 401, reason: 'the token is missing or wrong' };
  }

  /** What is wrong with a WebSocket's opening: browsers always send an Origin, so one is needed; the token is a subprotocol. */
  refuseSocket(request: IncomingMessage): Refusal | undefined {
    if (request.headers.origin === undefined) return { status: 403, reason: 'an Origin is needed' };
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',', 4).map((name) => name.trim());
    const held = offered.some((name) => name.length <= 128 && this.#holds(name));
    return held ? undefined : { status: 401, reason: 'the token is missing or wrong' };
  }

  #holds(token: string | undefined): boolean {
    return token !== undefined && timingSafeEqual(digest(token), this.#token);
  }
}

/** Headers of every answer. The page needs its own scripts, styles and pictures of memory, and nothing from elsewhere. */
export function securityHeaders(port: number): Readonly<Record<string, string>> {
  const sockets = `ws://127.0.0.1:${port} ws://localhost:${port}`;
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    'media-src blob:',
    `connect-src 'self' ${sockets}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'permissions-policy': 'camera=(self), microphone=(), geolocation=(), display-capture=()',
    'cache-control': 'no-store',
  };
}
