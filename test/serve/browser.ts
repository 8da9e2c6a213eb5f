// Debian's Chromium without a window, with a film for a camera. Used by the browser's tests. The rule easy to break: a page's
// errors are collected and looked at, because a blocked script or style is silent otherwise.
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

/** The browser, or undefined; `CHROMIUM` names another one. */
export const CHROMIUM = [process.env.CHROMIUM, '/usr/bin/chromium'].find((path) => path && existsSync(path));

export function launch(film: string): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM as string,
    args: [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      ...['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
      `--use-file-for-fake-video-capture=${film}`,
    ],
  });
}

/** A page and everything that went wrong on it, as the browser says it. */
export async function openPage(
  browser: Browser,
  url: string,
  { width = 1280, height = 860, dark = false } = {},
): Promise<{ page: Page; troubles: string[] }> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('dialog', (dialog) => {
    troubles.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url);
  return { page, troubles };
}

/** What an element says. */
export async function textOf(page: Page, selector: string): Promise<string> {
  return (await page.textContent(selector)) ?? '';
}

/** Waits until an element says what it should. */
export function says(page: Page, selector: string, pattern: RegExp): Promise<unknown> {
  return page.waitForFunction(
    ([query, source]) => new RegExp(source as string).test(document.querySelector(query as string)?.textContent ?? ''),
    [selector, pattern.source],
  );
}
