// Once visited, the page is there without a network, and does its work; and nothing of it comes from elsewhere.
import { expect, test } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

test.describe('kept for times without a network', () => {
  test.use({ serviceWorkers: 'allow' });

  test('the page updates a logger when its server is gone', async ({ page, server, device, chooser }) => {
    await page.evaluate(() => navigator.serviceWorker.ready);
    // The first visit keeps what it loaded itself; the second one the rest.
    await page.reload();
    for (const file of ['./helper_bg.wasm', './workbench_bg.wasm']) {
      await expect.poll(() => page.evaluate(async (file) => !!(await caches.match(file)), file)).toBe(true);
    }
    await server.close();
    await page.reload();
    await page.evaluate(() => navigator.serial.getPorts());
    const logger = new LoggerPage(page, chooser);
    await device.plug();
    await logger.connect();
    await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
    await logger.start('1.1.0');
    await logger.expectRuns('1.1.0');
    await logger.tab('Settings').click();
    await expect(page.getByLabel('Interval')).toBeVisible();
  });

  test('a virtual logger that was tried once runs without a network', async ({ page, server }) => {
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.getByRole('button', { name: 'Try a virtual logger' }).click();
    await expect(page.locator('[data-fact="state"]')).toHaveText('Recording');
    await server.close();
    await page.reload();
    await expect(page.locator('[data-fact="state"]')).toHaveText('Recording');
  });
});

test('scripts come from the page alone, and only those it names', async ({ page }) => {
  const refused = await page.evaluate(() => {
    const attempt = (act) => {
      try {
        act();
        return 'allowed';
      } catch (error) {
        return error.name;
      }
    };
    return {
      html: attempt(() => (document.createElement('div').innerHTML = '<b>no</b>')),
      worker: attempt(() => new Worker('./elsewhere.js')),
      inline: attempt(() => (document.createElement('script').text = 'no()')),
    };
  });
  expect(refused).toEqual({ html: 'TypeError', worker: 'TypeError', inline: 'TypeError' });
});

test('a part of the page that cannot be loaded is said to be missing, and comes when it can', async ({ page, device, chooser }) => {
  await page.route('**/workbench.js', (route) => route.abort());
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.tab('Settings').click();
  await expect(page.getByRole('alert')).toContainText('could not be loaded');
  await page.unroute('**/workbench.js');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByLabel('Interval')).toBeVisible();
});
