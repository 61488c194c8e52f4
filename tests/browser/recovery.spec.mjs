// What a page finds that was not there when it happened: a trial, a rollback, a logger that gave up. All of it is made
// with the firmware's own binaries; the page is closed meanwhile, as a person would.
import { expect, test } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

const UPDATE_MODE = 'In update mode, not recording';

/** Starts the update to 1.1.0, and closes the page as soon as the logger has been told to install it. */
async function leaveInTheMiddle(page, device, chooser) {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await expect(logger.step('installed')).toHaveAttribute('data-state', 'now');
  const { configurations } = await device.status();
  await page.goto('about:blank');
  await expect.poll(async () => (await device.status()).configurations).toBeGreaterThan(configurations);
  expect((await device.image()).version).toBe('1.1.0');
}

/** The page again; the logger was chosen before. */
async function comeBack(page, chooser, site) {
  await page.goto(site);
  return new LoggerPage(page, chooser);
}

test('firmware on trial that answers is confirmed by the page that finds it', async ({ page, device, chooser, site }) => {
  await leaveInTheMiddle(page, device, chooser);
  const logger = await comeBack(page, chooser, site);
  await expect(page.getByText('1.1.0 was new on the logger and on trial.')).toBeVisible();
  await expect(logger.fact('firmware')).toHaveText('1.1.0');
  await expect(page.getByText('confirmed · image')).toBeVisible();
  // It stays: more starts than a trial has do not bring the old one back.
  for (let time = 0; time < 4; time++) await device.cut().then(() => device.plug());
  await expect(logger.fact('firmware')).toHaveText('1.1.0');
  expect((await device.image()).version).toBe('1.1.0');
});

test('firmware that nobody confirmed was taken back, and the page says so', async ({ page, device, chooser, site }) => {
  await leaveInTheMiddle(page, device, chooser);
  // The other starts of its trial, and the one that finds them used up.
  for (let time = 0; time < 3; time++) await device.cut().then(() => device.plug());
  expect((await device.image()).version).toBe('1.0.0');
  const logger = await comeBack(page, chooser, site);
  await expect(page.getByText('1.1.0 did not start properly; 1.0.0 was put back.')).toBeVisible();
  // The file is there still, but it is not tried again unasked: a page that did would have begun by then.
  await page.waitForTimeout(3000);
  await expect(logger.startButton).toBeVisible();
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
  expect((await device.image()).version).toBe('1.0.0');
});

/** The update to 1.1.0, and then as many starts without a healthy run as bring the logger into update mode. */
async function giveUp(page, device, chooser) {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  const state = logger.fact('state');
  for (let starts = 0; starts < 6 && (await state.innerText()) !== UPDATE_MODE; starts++) {
    await device.reset();
    await expect(state).toHaveText(new RegExp(`^(Recording|${UPDATE_MODE})$`));
  }
  await expect(state).toHaveText(UPDATE_MODE);
  return logger;
}

test('firmware that keeps failing ends in update mode, and the page puts back the one before', async ({
  page,
  device,
  chooser,
}) => {
  const logger = await giveUp(page, device, chooser);
  // The update that came before is not what matters any more.
  await expect(page.getByText('1.1.0 was started again and again')).toBeVisible();
  await logger.update.getByRole('button', { name: 'Put 1.0.0 back' }).click();
  await expect(page.getByRole('heading', { name: '1.0.0 is back' })).toBeVisible({ timeout: 45_000 });
  await expect(page.getByRole('status').filter({ hasText: '1.0.0 is running and confirmed' })).toBeVisible();
  await expect(logger.fact('state')).toHaveText('Recording');
  expect((await device.image()).version).toBe('1.0.0');
});

test('a logger in update mode starts its firmware once more when it is told to', async ({ page, device, chooser }) => {
  const logger = await giveUp(page, device, chooser);
  await logger.update.getByRole('button', { name: 'Start 1.1.0 once more' }).click();
  await expect(logger.fact('state')).toHaveText('Recording');
  expect(await device.image()).toEqual({ version: '1.1.0', digest: digestOf(firmwareFile('logger-1.1.0.bin')) });
});
