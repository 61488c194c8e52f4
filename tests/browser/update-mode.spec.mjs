// A logger that has nothing to start: the bootloader itself answers, and the page brings the logger back.
import { expect, test } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

test.use({ flashed: 'bootloader.hex' });

test('a logger in update mode says so, takes a file, and runs it', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await page.getByRole('button', { name: 'Connect a logger' }).click();
  await chooser.pickFirst();
  await expect(page.getByText(/waits in update mode/)).toBeVisible();
  const details = page.getByLabel('Details', { exact: true });
  await expect(details).toHaveText(/^program +bootloader \(update mode\)$/m);
  await expect(details).toHaveText(/^running +none$/m);

  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.update.getByRole('button', { name: 'Install 1.1.0' }).click();
  await logger.expectRuns('1.1.0');
  expect(await device.image()).toEqual({ version: '1.1.0', digest: digestOf(firmwareFile('logger-1.1.0.bin')) });
  await expect(page.getByText(/update mode/)).toHaveCount(0);
});
