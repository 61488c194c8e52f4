// The main job: a firmware file goes in, and the logger runs it. What the page says is compared with what the
// device's own flash holds.
import AxeBuilder from '@axe-core/playwright';
import { expect, test } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';
import { watchTasks } from './records-page.mjs';

/** Longest that anything may hold up the page, in milliseconds. */
const LONGEST = 50;

test.beforeEach(async ({ device }) => {
  expect((await device.image()).version, 'the factory image').toBe('1.0.0');
});

async function expectTheDeviceAgrees(logger, device) {
  const image = await device.image();
  expect(image).toEqual({ version: '1.1.0', digest: digestOf(firmwareFile('logger-1.1.0.bin')) });
  await expect(logger.fact('digest')).toContainText(image.digest.slice(0, 16));
}

test('dropping logger-1.1.0.hex on a logger that runs 1.0.0 makes it run 1.1.0', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await expect(logger.fact('firmware')).toContainText('1.0.0');
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await expectTheDeviceAgrees(logger, device);
});

test('picking logger-1.1.0.bin does the same', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.pick('logger-1.1.0.bin', firmwareFile('logger-1.1.0.bin'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await expectTheDeviceAgrees(logger, device);
});

test('a confirmed update outlives a power cut', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await device.cut();
  await device.plug();
  await expect(logger.fact('firmware')).toContainText('1.1.0');
  await expectTheDeviceAgrees(logger, device);
});

test('a file dropped before a logger is connected waits for it', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await device.plug();
  await logger.connect();
  await expect(logger.update.getByRole('button', { name: 'Update to 1.1.0' })).toBeVisible();
  expect((await device.image()).version, 'nothing happens before the button is pressed').toBe('1.0.0');
});

test('nothing holds up the page while a logger is updated', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  const watched = await watchTasks(page);
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  expect((await watched()).tasks.at(-1)).toBeLessThan(LONGEST);
});

test('a page that is loaded anew in the middle of a transfer goes on by itself, and asks nobody', async ({
  page,
  device,
  chooser,
}) => {
  const logger = new LoggerPage(page, chooser);
  const file = firmwareFile('logger-1.1.0.bin');
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.bin', file);
  await expect(logger.startButton).toBeVisible();
  const before = (await device.status()).bytes_to_device;
  await device.pace(0.05);
  await logger.start('1.1.0');
  const sent = async () => (await device.status()).bytes_to_device - before;
  await expect.poll(sent, { intervals: [20] }).toBeGreaterThan(file.length / 2);
  // The page asks whether it is to be left in the middle of an update.
  page.once('dialog', (dialog) => dialog.accept());
  await page.reload();
  await device.pace(1);
  await logger.expectRuns('1.1.0');
  await expectTheDeviceAgrees(logger, device);
  expect(await sent(), 'it went on from where it stood').toBeLessThan(file.length * 1.05 + 8192);
});

test('a plug pulled in the middle of a transfer only delays the update', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  const file = firmwareFile('logger-1.1.0.bin');
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.bin', file);
  await expect(logger.startButton).toBeVisible();
  const before = (await device.status()).bytes_to_device;

  // Slowly, so that there is a middle to pull the plug in.
  await device.pace(0.05);
  await logger.start('1.1.0');
  const sent = async () => (await device.status()).bytes_to_device - before;
  await expect.poll(sent, { intervals: [20] }).toBeGreaterThan(file.length / 2);
  expect(await sent(), 'the transfer is still under way').toBeLessThan(file.length * 0.9);
  await device.unplug();
  await device.pace(1);
  await expect(logger.update).toContainText(/plug it in again/i);
  expect((await device.image()).version).toBe('1.0.0');

  await device.plug();
  await logger.expectRuns('1.1.0');
  await expectTheDeviceAgrees(logger, device);
  // What was under way when the plug was pulled goes twice: at most the window, of 8 KB. Whole from the start, all would
  // be 1.5 times the file at least.
  expect(await sent(), 'it went on from where it stood').toBeLessThan(file.length * 1.05 + 8192);
});

for (const [moment, view] of [
  ['before a logger is connected', async () => {}],
  ['with a logger', async (logger, device) => {
    await device.plug();
    await logger.connect();
  }],
  ['with an update ready to start', async (logger, device) => {
    await device.plug();
    await logger.connect();
    await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
    await expect(logger.startButton).toBeVisible();
  }],
]) {
  for (const colorScheme of ['light', 'dark']) {
    test.describe(`in ${colorScheme} colours`, () => {
      test.use({ colorScheme });
      test(`everybody can use the page ${moment}`, async ({ page, device, chooser }) => {
        await view(new LoggerPage(page, chooser), device);
        const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
      });
    });
  }
}
