// Back to the version before, which the logger keeps: nothing is sent, and nothing happens by one click.
import { expect, test } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

/** A logger that was updated from 1.0.0 to 1.1.0. */
async function updated(page, device, chooser) {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await expect(logger.wayBack, 'a new logger keeps nothing').toHaveCount(0);
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  return logger;
}

async function expectBack(page, logger, device) {
  await expect(page.getByRole('heading', { name: '1.0.0 is back' })).toBeVisible({ timeout: 45_000 });
  await expect(page.getByRole('status').filter({ hasText: '1.0.0 is running and confirmed' })).toBeVisible();
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
  expect(await device.image()).toEqual({ version: '1.0.0', digest: digestOf(firmwareFile('logger-1.0.0.bin')) });
}

test('a logger goes back to the version before, keeps its records, and comes forth again', async ({
  page,
  device,
  chooser,
}) => {
  const logger = await updated(page, device, chooser);
  const records = await logger.records();
  const before = (await device.status()).bytes_to_device;
  const button = page.getByRole('button', { name: 'Go back to 1.0.0' });
  await expect(button, 'one click does not do it').toBeHidden();
  await logger.wayBack.click();
  await expect(logger.update).toContainText('settings and records stay. 1.1.0 is kept in its turn.');
  await button.click();
  await expect(logger.step('copied'), 'nothing is copied').toBeHidden();
  await expectBack(page, logger, device);
  expect((await device.status()).bytes_to_device - before).toBeLessThan(4096);
  await expect.poll(() => logger.records(), 'what was recorded is still there').toBeGreaterThanOrEqual(records);

  await logger.wayBack.click();
  await page.getByRole('button', { name: 'Go back to 1.1.0' }).click();
  await expect(page.getByRole('heading', { name: '1.1.0 is back' })).toBeVisible({ timeout: 45_000 });
  expect((await device.image()).version).toBe('1.1.0');
});

test('a plug pulled, and power cut, on the way back only delay it', async ({ page, device, chooser }) => {
  const logger = await updated(page, device, chooser);
  await logger.wayBack.click();
  await page.getByRole('button', { name: 'Go back to 1.0.0' }).click();
  await expect(logger.step('installed')).toHaveAttribute('data-state', 'now');
  // Its bootloader has no port that could vanish.
  await device.command('cut');
  await expect(logger.step('installed'), 'it is not done yet').toHaveAttribute('data-state', 'now');
  await device.plug();
  await expectBack(page, logger, device);
});

test('a plug pulled before the logger has heard of it is said, and put in again it goes on', async ({
  page,
  device,
  chooser,
}) => {
  const logger = await updated(page, device, chooser);
  await logger.wayBack.click();
  // It all but stands still: what is sent now it does not hear.
  await device.pace(0.001);
  await page.getByRole('button', { name: 'Go back to 1.0.0' }).click();
  await expect(page.getByRole('heading', { name: 'Putting 1.0.0 back' })).toBeVisible();
  await device.unplug();
  await expect(logger.update).toContainText('The cable came out. The logger is fine.');
  await expect(logger.fact('state')).toContainText('Plug it in again');
  await device.pace(1);
  await device.plug();
  await expectBack(page, logger, device);
});
