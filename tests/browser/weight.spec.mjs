// A first visit is light: what it loads, without the virtual logger, compressed as web servers do it.
import { gzipSync } from 'node:zlib';
import { expect, test } from './fixtures.mjs';

/** Bytes, compressed. */
const MOST = 96_000;

test('a first visit loads little', async ({ page, site }) => {
  // What the browser loads beside the page, and hides from tests.
  const asked = new Set([`${site}offline-worker.js`, `${site}logdock.webmanifest`]);
  page.on('request', (request) => asked.add(request.url()));
  await page.reload();
  await expect(page.getByRole('button', { name: 'Connect a logger' })).toBeVisible();
  await page.waitForLoadState('networkidle');
  const accent = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--accent'));
  expect(accent, 'the style was taken').not.toBe('');
  for (const kind of [/\.wasm$/, /\.js$/, /\.css$/, /\/$/]) {
    expect([...asked].some((url) => kind.test(url)), `${kind} was seen`).toBe(true);
  }
  expect([...asked].filter((url) => /workbench|helper|virtual-logger|web-usb/.test(url))).toEqual([]);
  let total = 0;
  for (const url of asked) {
    const response = await page.request.get(url);
    expect(response.ok(), url).toBe(true);
    total += gzipSync(await response.body(), { level: 9 }).length;
  }
  console.log(`first visit: ${total} bytes`);
  expect(total).toBeLessThanOrEqual(MOST);
});
