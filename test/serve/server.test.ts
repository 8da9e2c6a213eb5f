// What a well-behaved client gets: pages with their headers, data with the token, answers to frames; what the server does
// when frames come faster than it answers, when the engine fails, and when it closes.
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SERVE_LIMITS } from '../../src/serve/limits';
import { serve } from '../../src/serve/server';
import {
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

let started: Started;
beforeEach(async () => {
  started = await start();
});
afterEach(() => started.server.close());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${started.server.port}${path}`, { headers });
const bearer = () => ({ authorization: `Bearer ${started.server.token}` });

describe('pages', () => {
  it.each([
    ['/', 'text/html', '<h1 class="visually-hidden">Faces, live</h1>'],
    ['/run', 'text/html', '<h1 id="title">'],
    ['/style.css', 'text/css', ':root'],
    ['/charts.css', 'text/css', '.chart'],
    ['/icon.svg', 'image/svg+xml', '<svg'],
    ['/live.js', 'text/javascript', "from './connection.js'"],
    ['/protocol.js', 'text/javascript', 'gramian.faces.1'],
    ['/run?later=1', 'text/html', '<h1 id="title">'],
  ])('%s is %s', async (path, type, content) => {
    const response = await get(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain(type);
    expect(await response.text()).toContain(content);
  });

  it('load only what the server has, with no script or style inside', async () => {
    for (const path of ['/', '/run']) {
      const html = await (await get(path)).text();
      expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:/);
      const wanted = [...html.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, address]) => address as string);
      expect(wanted.length).toBeGreaterThan(4);
      for (const address of wanted) expect((await get(address)).status).toBe(200);
    }
  });

  it('find every script that a script imports', async () => {
    const visited = new Set<string>();
    const visit = async (path: string): Promise<void> => {
      if (visited.has(path)) return;
      visited.add(path);
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 200]);
      const imports = [...(await response.text()).matchAll(/from '\.(\/\w+\.js)'/g)];
      for (const [, next] of imports) await visit(next as string);
    };
    await visit('/live.js');
    await visit('/run.js');
    expect(visited.size).toBe(8);
  });

  it('forbid what they do not need', async () => {
    const { headers } = await get('/');
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  it('answer HEAD without a body, and to localhost too', async () => {
    const { server } = started;
    const head = await raw(server, requestText(server, { method: 'HEAD' }));
    expect([statusOf(head), head.split('\r\n\r\n')[1]]).toEqual([200, '']);
    const local = await raw(server, requestText(server, { headers: { Host: `LocalHost:${server.port}` } }));
    expect(statusOf(local)).toBe(200);
  });
});

describe('the address', () => {
  it('holds the token where a browser sends it to nobody', () => {
    const { port, token, url } = started.server;
    expect(url).toBe(`http://127.0.0.1:${port}/#${token}`);
    expect(token).toMatch(/^[\w-]{43}$/);
  });

  it('is new for every server', async () => {
    const other = await start();
    expect(other.server.token).not.toBe(started.server.token);
    await other.server.close();
  });

  it('is bound to this computer only', async () => {
    const { networkInterfaces } = await import('node:os');
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address && !address.internal && address.family === 'IPv4');
    const host = outside?.address ?? '127.0.0.2';
    await expect(fetch(`http://${host}:${started.server.port}/`)).rejects.toThrow();
  });
});

describe('data', () => {
  it('says what is served to whom holds the token', async () => {
    expect(await (await get('/api/about', bearer())).json()).toEqual({ live: true, run: null });
    expect((await get('/api/run', bearer())).status).toBe(404);
    expect((await get('/api/about')).status).toBe(401);
  });
});

describe('frames', () => {
  it('are answered', async () => {
    const client = await openClient(started.server);
    const hello = await client.next('hello');
    expect(hello).toEqual({
      type: 'hello',
      classes: ['happy', 'sad'],
      limits: SERVE_LIMITS.frame,
      maxRate: 60,
      about: 'a fake',
    });
    client.send(grey(41));
    const answer = await client.next('faces');
    expect(answer).toMatchObject({ sequence: 41, width: 32, height: 24, timings: { detect: 1 } });
    expect(answer.faces[0]).toMatchObject({ id: 1, box: { x: 8, y: 6, width: 16, height: 12 } });
    expect(started.faces.seen[0]?.image).toEqual({
      ...{ width: 32, height: 24, channels: 1 },
      pixels: Buffer.alloc(32 * 24, 128),
    });
    client.socket.close();
    expect(await client.closed).toBe(1005);
  });

  it('give way to newer ones while the engine works', async () => {
    let open = (): void => undefined;
    started.faces.gate = new Promise((resolve) => {
      open = resolve;
    });
    const client = await openClient(started.server);
    for (let sequence = 0; sequence < 10; sequence += 1) client.send(grey(sequence));
    await client.next('dropped', 8);
    open();
    await client.next('faces', 9);
    const answered = client.messages.filter((message) => message.type === 'faces').map(({ sequence }) => sequence);
    const dropped = client.messages.filter((message) => message.type === 'dropped').map(({ sequence }) => sequence);
    expect(answered).toEqual([0, 9]);
    expect(dropped).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    client.socket.terminate();
  });

  it('start anew when asked to, even if the frame that asked was dropped', async () => {
    let open = (): void => undefined;
    started.faces.gate = new Promise((resolve) => {
      open = resolve;
    });
    const client = await openClient(started.server);
    client.send(grey(0));
    client.send(grey(1, { restart: true }));
    client.send(grey(2));
    await client.next('dropped', 1);
    open();
    await client.next('faces', 2);
    client.send(grey(3));
    await client.next('faces', 3);
    expect(started.faces.seen.map(({ stream }) => stream)).toEqual([1, 2, 2]);
    client.socket.terminate();
  });

  it('of two clients do not mix', async () => {
    const clients = await Promise.all([openClient(started.server), openClient(started.server)]);
    for (const [index, client] of clients.entries()) client.send(grey(100 + index));
    const answers = await Promise.all(clients.map((client) => client.next('faces')));
    expect(answers.map(({ sequence }) => sequence)).toEqual([100, 101]);
    expect(new Set(started.faces.seen.map(({ stream }) => stream)).size).toBe(2);
    for (const { socket } of clients) socket.terminate();
  });

  it('over the rate are dropped and said to be', async () => {
    await started.server.close();
    started = await start({ limits: { framesPerSecond: 5 } });
    const client = await openClient(started.server);
    for (let sequence = 0; sequence < 20; sequence += 1) client.send(grey(sequence));
    expect(await client.next('dropped', 19)).toEqual({ type: 'dropped', sequence: 19, reason: 'rate' });
    expect(started.faces.seen.length).toBeLessThanOrEqual(7);
    client.socket.terminate();
  });

  it('that the engine fails on end the connection, tell the terminal why, and leave the others alone', async () => {
    const [unlucky, lucky] = [await openClient(started.server), await openClient(started.server)];
    unlucky.send(grey(0, { value: 13 }));
    expect(await unlucky.closed).toBe(1011);
    expect(unlucky.messages.at(-1)).toEqual({ type: 'error', message: 'the engine failed; its terminal says why' });
    expect(started.problems).toEqual(['a frame failed: an unlucky frame']);
    lucky.send(grey(1));
    await lucky.next('faces', 1);
    lucky.socket.terminate();
  });
});

describe('starting and closing', () => {
  it('says which port cannot be had', async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, '127.0.0.1', () => resolve((holder.address() as { port: number }).port));
    });
    await expect(start({ port })).rejects.toThrow(`[serve] port ${port} of 127.0.0.1 cannot be had (EADDRINUSE)`);
    holder.close();
  });

  it.each([-1, 65536, 1.5, Number.NaN])('refuses port %s', async (port) => {
    await expect(start({ port })).rejects.toThrow('a port is a whole number from 0 to 65535');
  });

  it('needs something to show', async () => {
    await expect(serve({})).rejects.toThrow('expected faces, a run or both, got neither');
  });

  it('ends every connection, also those that do not answer', async () => {
    const { server } = started;
    const client = await openClient(server);
    const silent = await openRaw(server);
    const ended = untilClosed(silent);
    const mute = await openClient(server);
    mute.socket.pause();
    await Promise.all([server.close(), server.close()]);
    mute.socket.resume();
    expect(await client.closed).toBe(1001);
    expect(await ended).toBe('');
    await mute.closed;
    await expect(openRaw(server)).rejects.toThrow();
  });

  it('finishes the frame in work before it says that it is closed', async () => {
    let open = (): void => undefined;
    started.faces.gate = new Promise((resolve) => {
      open = resolve;
    });
    const client = await openClient(started.server);
    client.send(grey(0));
    client.send(grey(1));
    await expect.poll(() => started.faces.seen.length).toBe(1);
    let closed = false;
    const closing = started.server.close().then(() => {
      closed = true;
    });
    expect(await client.closed).toBe(1001);
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    open();
    await closing;
    expect(started.faces.seen.length).toBe(1);
    expect(started.problems).toEqual([]);
  });

  it('opens no live page while it closes', async () => {
    const { server, faces } = started;
    let open = (): void => undefined;
    faces.gate = new Promise((resolve) => {
      open = resolve;
    });
    const client = await openClient(server);
    const late = await openRaw(server);
    const answer = untilClosed(late);
    client.send(grey(0));
    await expect.poll(() => faces.seen.length).toBe(1);
    const closing = server.close();
    late.write(requestText(server, { path: '/api/faces', headers: upgradeHeaders(server) }));
    expect(await answer).toMatch(/^HTTP\/1\.1 503 .*the server is closing\n$/s);
    open();
    await closing;
  });

  it('serves a run without a live page', async () => {
    await started.server.close();
    const server = await serve({ run: 'runs/none' });
    started = { ...started, server };
    expect(server.url).toContain('/run#');
    expect(await (await get('/api/about', bearer())).json()).toEqual({ live: false, run: 'runs/none' });
    await expect(openClient(server)).rejects.toThrow('404');
  });
});
