// The pages in a real browser: faces of a film, a photograph and a video are found, drawn and listed by the real networks; a
// run that trains is shown as it trains; keyboard, phone, dark screen. Skipped, and said to be, where there is no Chromium
// (`bash scripts/setup.sh --chromium` installs it). Times are printed and not judged.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadRecognizer, type Recognizer } from '../../src/faces';
import { RunLog } from '../../src/report/log';
import { type PageServer, serve } from '../../src/serve/server';
import { train } from '../../src/train/train';
import { photographPath } from '../faces/photographs';
import { classes, evaluationOf, madeUpEvents } from '../report/madeUpRun';
import { CHROMIUM, launch, openPage, says, textOf } from './browser';
import { FOUR_FACES, writeFilm } from './film';

if (!CHROMIUM) console.warn('skipped: no Chromium; bash scripts/setup.sh --chromium installs it');

describe.skipIf(!CHROMIUM)('in Chromium', () => {
  let dir: string;
  let browser: Browser;
  let recognizer: Recognizer;
  let server: PageServer;
  const problems: string[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'gramian-browser-'));
    await writeFilm(join(dir, 'film.mjpeg'), FOUR_FACES);
    browser = await launch(join(dir, 'film.mjpeg'));
    recognizer = await loadRecognizer();
    const onProblem = (text: string) => problems.push(text);
    server = await serve({ faces: recognizer, about: 'The real networks.', run: join(dir, 'run'), onProblem });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    recognizer?.dispose();
    rmSync(dir, { recursive: true });
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    expect(problems).toEqual([]);
  });

  describe('faces', () => {
    it('of the camera are found, drawn and listed, frame after frame', async () => {
      const { page, troubles } = await openPage(browser, server.url);
      expect(page.url()).toBe(`http://127.0.0.1:${server.port}/`);
      await says(page, '#status', /Ready/);
      await page.click('#camera');
      await page.waitForFunction(() => document.querySelectorAll('.face').length >= 3);
      // Every answer draws anew: a mark put on the canvas is gone with the next.
      for (let frame = 0; frame < 10; frame += 1) {
        await page.evaluate(() => {
          const canvas = document.querySelector<HTMLCanvasElement>('#overlay');
          canvas?.getContext('2d')?.fillRect(0, 0, 3, 3);
        });
        await page.waitForFunction(() => {
          const canvas = document.querySelector<HTMLCanvasElement>('#overlay');
          return canvas?.getContext('2d')?.getImageData(1, 1, 1, 1).data[3] === 0;
        });
      }
      const drawn = await page.evaluate(() => {
        const canvas = document.querySelector<HTMLCanvasElement>('#overlay');
        const data = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
        return data.filter((value, index) => index % 4 === 3 && value > 0).length;
      });
      expect(drawn).toBeGreaterThan(1000);
      const cards = await page.$$eval('.face', (found) =>
        found.map((card) => ({
          title: card.querySelector('h3')?.textContent,
          bars: [...card.querySelectorAll('[role=meter]')].map((bar) => Number(bar.getAttribute('aria-valuenow'))),
        })),
      );
      for (const { title, bars } of cards) {
        expect(title).toMatch(/^Face \d+(neutral|happy|sad|angry|fearful|disgusted|surprised)$/);
        expect(bars).toHaveLength(7);
        expect(bars.reduce((sum, share) => sum + share, 0)).toBeGreaterThan(95);
      }
      await page.waitForFunction(() => Number(document.querySelector('#rate')?.textContent) > 0);
      const figures = await page.$$eval('#rate, #trip, [data-stage]', (found) => found.map((cell) => cell.textContent));
      console.log(`frames a second, there and back, detect, track, crop, classify, all: ${figures.join(', ')}`);
      expect(troubles).toEqual([]);
    });

    it('of a photograph are those the detector finds in it', async () => {
      const { page, troubles } = await openPage(browser, server.url);
      await page.setInputFiles('#photo-file', photographPath('sample6'));
      await page.waitForSelector('.face');
      const limit = Math.sqrt((1280 * 1024) / (1920 * 1537));
      const [width, height] = [Math.floor(1920 * limit), Math.floor(1537 * limit)];
      const resized = sharp(photographPath('sample6')).resize(width, height, { fit: 'fill' }).removeAlpha();
      const pixels = await resized.raw().toBuffer();
      const { faces } = await recognizer.stream().process({ pixels, width, height, channels: 3 });
      expect(faces.length).toBeGreaterThanOrEqual(3);
      expect(await page.locator('.face').count()).toBe(faces.length);
      expect(await textOf(page, '#status')).toContain(`${faces.length} faces in the photograph`);
      expect(troubles).toEqual([]);
    });

    it('of a file that is none are an error in words', async () => {
      const { page } = await openPage(browser, server.url);
      const buffer = Buffer.from('no picture');
      await page.setInputFiles('#photo-file', { name: 'odd<b>.png', mimeType: 'image/png', buffer });
      await says(page, '#status', /cannot read that picture/);
      await page.setInputFiles('#video-file', { name: 'odd.mp4', mimeType: 'video/mp4', buffer });
      await says(page, '#status', /cannot play that video/);
    });

    it.each([
      ['small', 20, 12],
      ['narrow', 3000, 20],
    ])('of a photograph that is too %s are not waited for', async (_, width, height) => {
      const { page, troubles } = await openPage(browser, server.url);
      const buffer = await sharp({ create: { width, height, channels: 3, background: 'grey' } })
        .png()
        .toBuffer();
      await page.setInputFiles('#photo-file', { name: 'strip.png', mimeType: 'image/png', buffer });
      await says(page, '#status', /too small or too narrow/);
      expect(troubles).toEqual([]);
    });

    it('of any camera are looked for where the chosen one is gone', async () => {
      const { page, troubles } = await openPage(browser, server.url);
      await page.click('#camera');
      await page.waitForSelector('.face');
      await page.waitForFunction(() => document.querySelector<HTMLSelectElement>('#devices')?.value);
      await page.keyboard.press('Escape');
      // As the browser answers for a camera that was unplugged.
      await page.evaluate(() => {
        const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = (wanted) =>
          JSON.stringify(wanted).includes('exact')
            ? Promise.reject(new DOMException('', 'OverconstrainedError'))
            : real(wanted);
      });
      await page.click('#camera');
      await says(page, '#status', /There is no such camera/);
      await page.click('#camera');
      await page.waitForSelector('.face');
      expect(troubles).toEqual([]);
    });

    it('of a camera that does not play are not waited for, and it is switched off', async () => {
      const { page, troubles } = await openPage(browser, server.url);
      await page.evaluate(() => {
        const tracks: MediaStreamTrack[] = [];
        let fail = (): void => undefined;
        HTMLVideoElement.prototype.play = function () {
          tracks.push(...(this.srcObject as MediaStream).getTracks());
          return new Promise((_, reject) => {
            fail = () => reject(new DOMException('the words of the browser', 'AbortError'));
          });
        };
        Object.assign(window, { tracks, fail: () => fail() });
      });
      const seen = () =>
        page.evaluate(() => {
          const { tracks, fail } = window as unknown as { tracks: MediaStreamTrack[]; fail(): void };
          fail();
          return tracks.map(({ readyState }) => readyState);
        });
      const asked = (count: number) =>
        page.waitForFunction((n) => (window as unknown as { tracks: unknown[] }).tracks.length === n, count);
      await page.click('#camera');
      await asked(1);
      await seen();
      await says(page, '#status', /The camera could not be started/);
      expect(await seen()).toEqual(['ended']);
      expect(await page.getAttribute('#camera', 'aria-pressed')).toBe('false');
      // Stopped before it played: what the browser says of that is no news.
      await page.click('#camera');
      await asked(2);
      await page.keyboard.press('Escape');
      expect(await seen()).toEqual(['ended', 'ended']);
      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
      expect(await textOf(page, '#status')).toBe('Stopped.');
      expect(troubles).toEqual([]);
    });

    it('of a video file that the browser made itself are found', async () => {
      const { page, troubles } = await openPage(browser, server.url);
      const bytes = await page.evaluate(async () => {
        const stream = await navigator.mediaDevices.getUserMedia({ video: true });
        const recorder = new MediaRecorder(stream, { mimeType: 'video/webm' });
        const parts: Blob[] = [];
        recorder.ondataavailable = ({ data }) => parts.push(data);
        recorder.start();
        await new Promise((resolve) => setTimeout(resolve, 1500));
        const ended = new Promise((resolve) => {
          recorder.onstop = resolve;
        });
        recorder.stop();
        await ended;
        return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
      });
      const file = { name: 'film.webm', mimeType: 'video/webm', buffer: Buffer.from(bytes) };
      await page.setInputFiles('#video-file', file);
      await page.waitForSelector('.face');
      expect(await page.getAttribute('#camera', 'aria-pressed')).toBe('false');
      expect(troubles).toEqual([]);
    });

    it('are had by keyboard alone', async () => {
      const { page } = await openPage(browser, server.url);
      const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.id ?? '');
      for (let presses = 0; presses < 12 && (await focused()) !== 'camera'; presses += 1)
        await page.keyboard.press('Tab');
      expect(await focused()).toBe('camera');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.face');
      expect(await page.getAttribute('#camera', 'aria-pressed')).toBe('true');
      await page.keyboard.press('Escape');
      await says(page, '#status', /Stopped/);
      expect(await page.locator('.face').count()).toBe(0);
      const playing = await page.$eval('#video', (video) => (video as HTMLVideoElement).srcObject !== null);
      expect(playing).toBe(false);
    });

    it('leave nothing behind', async () => {
      const { page } = await openPage(browser, server.url);
      await page.click('#camera');
      await page.waitForSelector('.face');
      const kept = await page.evaluate(async () => ({
        session: Object.keys(sessionStorage),
        local: Object.keys(localStorage),
        databases: (await indexedDB.databases()).length,
        caches: (await caches.keys()).length,
        cookies: document.cookie,
      }));
      expect(kept).toEqual({ session: ['gramian-token'], local: [], databases: 0, caches: 0, cookies: '' });
      expect(readdirSync(dir)).toEqual(['film.mjpeg']);
    });
  });

  describe('a screen', () => {
    it.each([
      ['/', 390, 844],
      ['/run', 390, 844],
      ['/', 320, 560],
      ['/', 1280, 800],
    ])('of %s at %ix%i needs no scrolling sideways', async (path, width, height) => {
      const url = server.url.replace('/#', `${path}#`);
      const { page } = await openPage(browser, url, { width, height });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide).toBeLessThanOrEqual(width);
      if (path === '/') {
        const size = await page.$eval('#camera', (button) => button.getBoundingClientRect().height);
        expect(size).toBeGreaterThanOrEqual(40);
      }
    });

    it.each([false, true])('keeps text readable (dark: %s)', async (dark) => {
      const { page } = await openPage(browser, server.url, { dark });
      // Contrast of WCAG 2.1 between colours of the page.
      const contrasts = await page.evaluate(() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name: string): number => {
          const hex = style.getPropertyValue(name).trim().slice(1);
          const [red, green, blue] = [0, 2, 4].map((at) => {
            const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
          }) as [number, number, number];
          return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        };
        return [
          ['--ink', '--back'],
          ['--ink', '--paper'],
          ['--ink', '--stage'],
          ['--muted', '--back'],
          ['--muted', '--paper'],
          ['--muted', '--stage'],
          ['--accent-ink', '--accent'],
          ['--warn', '--warn-back'],
          ['--good', '--good-back'],
          ['--ink', '--track'],
        ].map(([ink, ground]) => {
          const [a, b] = [light(ink as string), light(ground as string)];
          return { ink, ground, contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) };
        });
      });
      for (const { ink, ground, contrast } of contrasts)
        expect([ink, ground, contrast >= 4.5]).toEqual([ink, ground, true]);
      const [red] = (await page.$eval('body', (body) => getComputedStyle(body).backgroundColor)).match(/\d+/g) ?? [];
      expect(Number(red) < 100).toBe(dark);
    });

    it('names every control', async () => {
      for (const url of [server.url, server.url.replace('/#', '/run#')]) {
        const { page } = await openPage(browser, url);
        const nameless = await page.$$eval('a, button, input, select, video, canvas, [role]', (found) =>
          found
            .filter((one) => one.getAttribute('aria-hidden') !== 'true')
            .filter((one) => {
              const labels = (one as HTMLInputElement).labels ?? [];
              const own =
                one.textContent?.trim() || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby');
              return !own && labels.length === 0 && one.getAttribute('role') !== 'alert';
            })
            .map((one) => one.outerHTML),
        );
        expect(nameless).toEqual([]);
      }
    });
  });

  describe('access', () => {
    it('lasts as long as the tab', async () => {
      const { page } = await openPage(browser, server.url);
      await says(page, '#status', /Ready/);
      await page.reload();
      await says(page, '#status', /Ready/);
      const other = await page.context().newPage();
      await other.goto(`http://127.0.0.1:${server.port}/`);
      await says(other, '#status', /no valid token/);
    });

    it('is not had from a page of another origin', async () => {
      const other = await serve({ run: join(dir, 'run') });
      const { page } = await openPage(browser, other.url);
      const tried = await page.evaluate(
        async ([port, token]) => {
          const asked = await fetch(`http://127.0.0.1:${port}/api/about`, {
            headers: { authorization: `Bearer ${token}` },
          }).then(
            () => 'answered',
            () => 'refused',
          );
          const opened = await new Promise((resolve) => {
            const socket = new WebSocket(`ws://127.0.0.1:${port}/api/faces`, ['gramian.faces.1', token as string]);
            socket.onopen = () => resolve('opened');
            socket.onerror = () => resolve('refused');
          });
          return [asked, opened];
        },
        [String(server.port), server.token],
      );
      expect(tried).toEqual(['refused', 'refused']);
      await other.close();
    });

    it('to faces where there are none is said', async () => {
      const only = await serve({ run: join(dir, 'run') });
      const { page, troubles } = await openPage(browser, only.url.replace('/run#', '/#'));
      await says(page, '#status', /looks for no faces/);
      expect(await page.locator('#to-run').isVisible()).toBe(true);
      expect(troubles).toEqual([]);
      await only.close();
    });

    it('that ends is said', async () => {
      const short = await serve({ faces: recognizer, about: '' });
      const { page } = await openPage(browser, short.url);
      await says(page, '#status', /Ready/);
      await short.close();
      await says(page, '#status', /does not answer|closed the connection/);
    });
  });

  describe('a run', () => {
    it('that trains is shown as it trains', async () => {
      const out = join(dir, 'run');
      const { page, troubles } = await openPage(browser, server.url.replace('/#', '/run#'));
      await says(page, '#state', /waiting/);
      const controller = new AbortController();
      const settings = { model: 'denseFpn1', data: 'synthetic:128', batch: 16, lr: 0.005, out };
      const first = train({ ...settings, epochs: 500 }, { onEvent() {}, signal: controller.signal });
      await says(page, '#state', /training/);
      await page.waitForSelector('#figure-confusion svg');
      const epochs = async () => Number.parseInt(await textOf(page, '[data-fact="epochs"]'), 10);
      const seen = await epochs();
      await page.waitForFunction(
        (before) => Number.parseInt(document.querySelector('[data-fact="epochs"]')?.textContent ?? '', 10) > before,
        seen,
      );
      controller.abort();
      expect((await first).interrupted).toBe(true);
      await says(page, '#state', /interrupted/);
      for (const id of ['loss', 'accuracy', 'hsic-units', 'hsic-plane', 'cka-plane', 'confusion', 'effective-rank']) {
        expect(await page.locator(`#figure-${id} svg`).count()).toBe(1);
      }
      const units = await page.$$eval('#units tbody tr', (rows) => rows.length);
      expect(units).toBeGreaterThan(3);
      expect(await textOf(page, '#title')).toBe('denseFpn1 on synthetic faces (128)');
      expect(troubles).toEqual([]);
      rmSync(out, { recursive: true });
    });

    it('of hostile names shows them as text', async () => {
      const nasty = '<img src=x onerror=alert(1)><script>alert(2)</script>';
      const out = join(dir, 'nasty');
      const log = new RunLog(out, {
        args: { model: nasty, data: nasty, method: nasty, objective: nasty, seed: nasty },
      });
      const evaluation = evaluationOf([nasty, ...classes.slice(1)]);
      for (const event of madeUpEvents(2, 3)) {
        if (event.event === 'epoch') {
          log.event({ ...event, evaluation, units: event.units.map((unit) => ({ ...unit, name: nasty })) });
        }
      }
      log.event({ event: 'note', text: nasty });
      log.close();
      const hostile = await serve({ run: out });
      const { page, troubles } = await openPage(browser, hostile.url);
      await page.waitForSelector('#figure-confusion svg');
      expect(await textOf(page, '#title')).toContain(nasty);
      expect(await textOf(page, '#classes tbody tr:first-child th')).toBe(nasty);
      expect(await page.locator('main script, main img').count()).toBe(0);
      expect(troubles).toEqual([]);
      await hostile.close();
    });
  });
});
