// A first visit is light: what it loads, without the virtual logger, compressed as web servers do it.
import { gzipSync } from 'node:zlib';
import { expect, test } from './fixtures.mjs';

/** Bytes, compressed. */
const MOST = 96_000;

test('a first visit loads little', async ({ page, site }) => {
  const loaded = new Map();
  const load = async (response) => loaded.set(response.url(), gzipSync(await response.body(), { level: 9 }).length);
  const pending = [];
  page.on('response', (response) => pending.push(load(response)));
  await page.reload();
  await expect(page.getByRole('button', { name: 'Connect a logger' })).toBeVisible();
  await page.waitForLoadState('networkidle');
  await Promise.all(pending);
  const accent = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--accent'));
  expect(accent, 'the style was taken').not.toBe('');
  // What the browser loads beside the page, and hides from tests.
  for (const name of ['offline-worker.js', 'logdock.webmanifest']) {
    const response = await page.request.get(`${site}${name}`);
    expect(response.ok()).toBe(true);
    await load(response);
  }
  const kinds = [...loaded.keys()].map((url) => url.match(/\.(wasm|js|css)$/)?.[1]);
  for (const kind of ['wasm', 'js', 'css']) expect(kinds, 'it was all seen').toContain(kind);
  const total = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0);
  console.log(`first visit: ${total} bytes`);
  expect(total).toBeLessThanOrEqual(MOST);
});
