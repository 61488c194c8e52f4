// The main job with nothing plugged in: the virtual logger in the page's own Worker, with the firmware's real binaries.
import AxeBuilder from '@axe-core/playwright';
import { expect, test } from './fixtures.mjs';
import { VirtualLogger } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

const virtual = test.extend({
  logger: async ({ page, chooser }, use) => {
    const logger = new VirtualLogger(page, chooser);
    await use(logger);
    await expect(page.getByText('The emulated chip stopped'), 'the firmware never made the chip stop').toHaveCount(0);
  },
});

virtual('nothing of the virtual logger is loaded before somebody tries it', async ({ page, logger, site }) => {
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(`${site}?again`);
  await expect(page.getByRole('button', { name: 'Try a virtual logger' })).toBeVisible();
  expect(asked.length).toBeGreaterThan(2);
  const ofTheVirtualLogger = () => asked.filter((url) => /virtual-logger|firmware\//.test(url));
  expect(ofTheVirtualLogger()).toEqual([]);
  await logger.try();
  expect(ofTheVirtualLogger().length).toBeGreaterThan(0);
});

virtual('a person with nothing plugged in updates a logger, and finds it as it was after a reload', async ({
  page,
  logger,
}) => {
  await logger.try();
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
  const serial = await logger.fact('serial').innerText();
  await logger.useSample();
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await logger.expectTheSample();

  await page.reload();
  await logger.expectTheSample();
  await expect(logger.fact('serial')).toHaveText(serial);

  await logger.hand('Start over with a new logger').click();
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
  await expect(logger.fact('serial')).not.toHaveText(serial);
});

virtual('the cable comes out in the middle of the transfer, and the update goes on when it is in again', async ({
  logger,
}) => {
  await logger.try();
  await logger.useSample();
  // Slowly, so that there is a middle, and much to come after it.
  await logger.pace(0.04);
  await logger.start('1.1.0');
  await expect.poll(() => logger.kept(), { intervals: [20] }).toBeGreaterThan(8000);
  await logger.hand('Unplug').click();
  await expect(logger.update).toContainText('The cable came out at');
  const kept = await logger.kept();
  expect(kept).toBeGreaterThan(8000);
  expect(kept, 'it was the middle').toBeLessThan(firmwareFile('logger-1.1.0.bin').length);

  // The next number shown is where the logger goes on.
  await logger.hand('Plug in').click();
  await logger.goesOn();
  expect(await logger.kept(), 'it goes on from where it stood').toBeGreaterThanOrEqual(kept);
  await logger.pace(1);
  await logger.expectRuns('1.1.0');
  await logger.expectTheSample();
});

virtual('an update goes through over a noisy cable, and past a block of memory that fails', async ({ logger }) => {
  await logger.try();
  await logger.hand('Make the cable noisy').click();
  await expect(logger.bench).toContainText('sent again');
  await logger.useSample();
  // Slowly, so that the block that fails is one that the image is being written to.
  await logger.pace(0.1);
  await logger.start('1.1.0');
  await expect.poll(() => logger.kept(), { intervals: [20] }).toBeGreaterThan(8000);
  await logger.hand('Wear out memory').click();
  await logger.pace(1);
  await logger.expectRuns('1.1.0');
  await logger.hand('Mend the cable').click();
  await logger.expectTheSample();
});

virtual('the page is loaded anew in the middle of an update, and goes on with it by itself', async ({ page, logger }) => {
  await logger.try();
  await logger.useSample();
  await logger.pace(0.05);
  await logger.start('1.1.0');
  await expect.poll(() => logger.kept(), { intervals: [20] }).toBeGreaterThan(8000);
  // The page asks whether it is to be left in the middle of an update.
  page.once('dialog', (dialog) => dialog.accept());
  await page.reload();
  await logger.expectRuns('1.1.0');
  await logger.expectTheSample();
  // It is over: the next visit begins with nothing to do.
  await page.reload();
  await logger.expectTheSample();
  await expect(logger.step('copied')).toHaveCount(0);
});

virtual('power goes away again and again while new firmware is installed, and with power it is finished', async ({
  page,
  logger,
}) => {
  await logger.try();
  await logger.useSample();
  await logger.start('1.1.0');
  await expect(logger.step('installed')).toHaveAttribute('data-state', 'now');
  // From the check of the image well into the writing of pages, in virtual milliseconds.
  for (const moment of [100, 300, 500, 700]) {
    await logger.pace(0.5);
    await page.waitForTimeout(2 * moment);
    await logger.hand('Cut the power').click();
    await expect(logger.bench).toContainText('It has no power at all.');
    await expect(logger.step('installed'), 'it is not done yet').toHaveAttribute('data-state', 'now');
    await logger.hand('Plug in').click();
  }
  await logger.pace(1);
  await logger.expectRuns('1.1.0');
  await logger.expectTheSample();
});

virtual('the logger loses power again and again, and is there again each time', async ({ logger }) => {
  await logger.try();
  for (let time = 0; time < 3; time++) {
    await logger.hand('Cut the power').click();
    await expect(logger.fact('state')).toContainText('Plug it in again');
    await logger.hand('Plug in').click();
    await logger.expectRecording();
  }
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
});

virtual('a second tab waits until the first has put the logger away', async ({ page, logger, chooser, started }) => {
  await logger.try();
  const second = new VirtualLogger(await started.context.newPage(), chooser);
  await second.page.goto(page.url());
  await expect(second.page.getByText('Another tab has the virtual logger.')).toBeVisible();
  await logger.hand('Put it away').click();
  await expect(page.getByRole('button', { name: 'Try a virtual logger' })).toBeEnabled();
  await second.expectConnected();
  await second.page.close();
});

virtual('a page that cannot load the virtual logger says so', async ({ page, logger }) => {
  await page.route('**/virtual-logger_bg.wasm', (route) => route.fulfill({ status: 404 }));
  await page.getByRole('button', { name: 'Try a virtual logger' }).click();
  await expect(page.getByText('The virtual logger could not be started.')).toBeVisible();
  await page.unroute('**/virtual-logger_bg.wasm');
  await logger.try();
});

virtual('a browser without Web Serial and WebUSB has the virtual logger, too', async ({ page, logger }) => {
  await page.addInitScript(() => {
    delete Navigator.prototype.serial;
    delete Navigator.prototype.usb;
  });
  await page.reload();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('This browser cannot reach a logger');
  await logger.try();
  await logger.expectRecording();
  await logger.hand('Put it away').click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('This browser cannot reach a logger');
});

for (const colorScheme of ['light', 'dark']) {
  virtual.describe(`in ${colorScheme} colours`, () => {
    virtual.use({ colorScheme });
    virtual('everybody can use the page with a virtual logger', async ({ page, logger }) => {
      const check = async () => {
        const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
      };
      await logger.try();
      await logger.expectRecording();
      await check();
      await logger.tab('Records').click();
      await check();
      await logger.tab('Settings').click();
      await page.getByLabel('Interval').fill('often');
      await page.getByRole('button', { name: 'Write to the logger' }).click();
      await expect(page.getByLabel('Interval')).toBeFocused();
      // What is closed is not looked at.
      await page.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
      await expect(page.getByLabel('Details', { exact: true })).toContainText('uptime');
      await check();
      await logger.hand('Cut the power').click();
      await expect(logger.bench).toContainText('It has no power at all.');
      await check();
    });
  });
}

virtual('the tabs are worked by keyboard', async ({ page, logger }) => {
  await logger.try();
  await logger.expectRecording();
  await logger.tab('Update').focus();
  for (const [key, name] of [
    ['ArrowRight', 'Records'],
    ['ArrowRight', 'Settings'],
    ['ArrowRight', 'Update'],
    ['End', 'Settings'],
  ]) {
    await page.keyboard.press(key);
    await expect(logger.tab(name)).toBeFocused();
    await expect(page.getByRole('tabpanel', { name })).toBeVisible();
  }
  // From the tab into the form: its groups open and close, its fields change, and it is written.
  const group = page.locator('summary', { hasText: 'Start' });
  while (!(await group.evaluate((summary) => summary === document.activeElement))) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('group', { name: 'Start', exact: true }).locator('.field').first()).toBeVisible();
  await page.getByLabel('Interval').focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('2.5');
  await page.keyboard.press('Enter');
  await expect(page.getByText('Settings written. The logger reports them as they stand here.')).toBeVisible();
});
