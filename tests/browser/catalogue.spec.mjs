// What the maker offers beside the page: a newer version is offered, fetched and checked like any file; and whatever is
// wrong with the catalogue, the page goes on.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test as base } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';
import { dist } from './places.mjs';

const test = base.extend({
  /** The page, in a folder that a test may change. */
  folder: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'logdock-page-'));
    cpSync(dist, folder, { recursive: true });
    await use(folder);
    rmSync(folder, { recursive: true });
  },
});

const offered = (logger) => logger.update.getByRole('button', { name: 'Get 1.1.0' });
const catalogue = (folder) => join(folder, 'firmware/catalogue.json');

async function connected(page, device, chooser) {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  return logger;
}

test('a newer version is offered, and installed like any file', async ({ page, device, chooser }) => {
  const logger = await connected(page, device, chooser);
  await expect(logger.update).toContainText('1.1.0 is available');
  await expect(logger.update).toContainText('Averaging');
  await offered(logger).click();
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await expect(offered(logger)).toHaveCount(0);
  expect((await device.image()).version).toBe('1.1.0');
});

test('a file that is not the one that is listed is refused', async ({ page, folder, device, chooser }) => {
  const file = join(folder, 'firmware/logger-1.1.0.hex');
  writeFileSync(file, readFileSync(join(folder, 'firmware/logger-1.0.0.hex')));
  const logger = await connected(page, device, chooser);
  await offered(logger).click();
  await expect(logger.refusal).toContainText('not the one that the catalogue lists');
  await expect(logger.startButton).toHaveCount(0);
});

for (const { what, change, details } of [
  { what: 'there is none', change: (file) => rmSync(file), details: 'not there' },
  { what: 'it is no JSON', change: (file) => writeFileSync(file, '<html>'), details: 'damaged' },
  {
    what: 'the entry that would be offered is wrong',
    change: (file) => writeFileSync(file, readFileSync(file, 'utf8').replaceAll('logger-1.1.0.hex', '../elsewhere.hex')),
    details: 'file is missing or wrong',
  },
]) {
  test(`nothing is offered when ${what}, and the details say why`, async ({ page, folder, device, chooser }) => {
    change(catalogue(folder));
    const logger = await connected(page, device, chooser);
    await page.getByText('Details for a bug report').click();
    await expect(page.getByLabel('Details', { exact: true })).toContainText(details);
    await expect(offered(logger)).toHaveCount(0);
  });
}

test.describe('kept for times without a network', () => {
  test.use({ serviceWorkers: 'allow' });

  test('a catalogue that is newer than the page is taken, and the latest is kept', async ({ page, folder, server, device, chooser }) => {
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload();
    await page.evaluate(() => navigator.serial.getPorts());
    const logger = await connected(page, device, chooser);
    await expect(logger.update).toContainText('Averaging');
    const newer = readFileSync(catalogue(folder), 'utf8').replaceAll('Averaging', 'Smoothing');
    writeFileSync(catalogue(folder), newer);
    await page.reload();
    await expect(logger.update).toContainText('Smoothing');
    await server.close();
    await page.reload();
    await expect(logger.update).toContainText('Smoothing');
  });
});
