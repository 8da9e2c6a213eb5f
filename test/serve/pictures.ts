// Makes the pictures of docs/serve.md: `npx tsx test/serve/pictures.ts [faces faces-phone run]` after `npm run build`, where Chromium is installed. The
// camera is a film made of one of face-api's photographs, the run one that trains meanwhile on MNIST. The rule easy to
// break: pictures are kept small, since everybody who clones the project downloads them.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { loadRecognizer } from '../../src/faces';
import { serve } from '../../src/serve/server';
import { train } from '../../src/train/train';
import { launch, openPage, says } from './browser';
import { FOUR_FACES, writeFilm } from './film';

const folder = resolve(__dirname, '../../docs/images');

async function keep(page: Page, name: string): Promise<void> {
  const path = join(folder, `${name}.png`);
  const { size } = await sharp(await page.screenshot())
    .png({ palette: true, colours: 128, effort: 10, compressionLevel: 9 })
    .toFile(path);
  console.log(`${path}: ${Math.round(size / 1024)} KiB`);
}

async function pictureOfRun(browser: Browser, url: string, out: string): Promise<void> {
  const controller = new AbortController();
  const settings = { model: 'cfpn', data: 'mnist', limit: 4000, batch: 64, epochs: 8, lr: 0.005, out };
  const training = train(settings, { onEvent() {}, signal: controller.signal });
  const { page } = await openPage(browser, url, { width: 1120, height: 1180 });
  await page.waitForFunction(
    () => Number.parseInt(document.querySelector('[data-fact="epochs"]')?.textContent ?? '', 10) >= 4,
    undefined,
    { timeout: 600_000 },
  );
  await keep(page, 'run');
  controller.abort();
  await training;
}

async function main(): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const temp = mkdtempSync(join(tmpdir(), 'gramian-pictures-'));
  const film = join(temp, 'film.mjpeg');
  await writeFilm(film, { ...FOUR_FACES, frames: 120 });
  const recognizer = await loadRecognizer();
  const about =
    'Faces are found by face-api’s tiny network and followed by kernelised correlation filters; expressions are told by face-api’s network.';
  const server = await serve({ faces: recognizer, about, run: join(temp, 'run') });
  const browser = await launch(film);
  const wanted = (name: string): boolean => process.argv.length < 3 || process.argv.includes(name);
  for (const [name, screen] of [
    ['faces', { width: 1120, height: 760 }],
    ['faces-phone', { width: 390, height: 800, dark: true }],
  ] as const) {
    if (!wanted(name)) continue;
    const { page } = await openPage(browser, server.url, screen);
    await says(page, '#status', /Ready/);
    await page.click('#camera');
    await page.waitForFunction(() => document.querySelectorAll('.face').length >= 4);
    await page.waitForTimeout(4000);
    await keep(page, name);
    await page.context().close();
  }
  if (wanted('run')) await pictureOfRun(browser, server.url.replace('/#', '/run#'), join(temp, 'run'));
  await browser.close();
  await server.close();
  recognizer.dispose();
  rmSync(temp, { recursive: true });
}

void main();
