// The page behind the response headers that makers are told to send (docs/production.md): all of it works with them.
import { readFileSync } from 'node:fs';
import { expect, test } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';

const guide = readFileSync(new URL('../../docs/production.md', import.meta.url), 'utf8');
const block = /The response headers to send are\n\n```text\n([^`]+)```/.exec(guide)[1];
const headers = Object.fromEntries(block.trim().split('\n').map((line) => line.split(/: (.*)/, 2)));

test.use({ headers });

test('a logger is updated and set up on a page that came with all headers', async ({ page, device, chooser }) => {
  expect(Object.keys(headers)).toContain('Content-Security-Policy');
  const refused = [];
  page.on('console', (message) => {
    if (/Content Security Policy|Permissions policy/i.test(message.text())) refused.push(message.text());
  });
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.update.getByRole('button', { name: 'Get 1.1.0' }).click();
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await logger.tab('Settings').click();
  await expect(page.getByLabel('Interval')).toBeVisible();
  expect(refused).toEqual([]);
});

test('so does the virtual logger', async ({ page }) => {
  await page.getByRole('button', { name: 'Try a virtual logger' }).click();
  await expect(page.locator('[data-fact="state"]')).toHaveText('Recording');
});
