// Not a test: makes pictures of the page in its states, for the README and for whoever looks at them.
// `npx playwright test --config pictures.config.mjs`, with the folder in LOGDOCK_PICTURES.
import { join } from 'node:path';
import { expect, test } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

for (const [width, height] of [
  [1280, 900],
  [360, 800],
]) {
  for (const colorScheme of ['light', 'dark']) {
    test.describe(`${width} ${colorScheme}`, () => {
      test.use({ viewport: { width, height }, colorScheme });
      test('pictures', async ({ page, device, chooser }) => {
        const logger = new LoggerPage(page, chooser);
        const picture = (name) =>
          page.screenshot({
            path: join(process.env.LOGDOCK_PICTURES, `${name}-${width}-${colorScheme}.png`),
            fullPage: true,
          });
        await picture('1-welcome');
        await device.plug();
        await logger.connect();
        await expect(logger.fact('records')).not.toHaveText('0');
        await picture('2-connected');
        await logger.drop('logger-1.1.0-other-key.hex', firmwareFile('logger-1.1.0-other-key.hex'));
        await expect(logger.refusal).toBeVisible();
        await picture('3-refused');
        await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
        await expect(logger.startButton).toBeVisible();
        await picture('4-plan');
        await logger.start('1.1.0');
        await expect(logger.step('installed')).toHaveAttribute('data-state', 'now');
        await picture('5-installing');
        await logger.expectRuns('1.1.0');
        await picture('6-done');
        await logger.tab('Settings').click();
        await expect(page.getByLabel('Interval')).toBeVisible();
        await picture('7-settings');
        await page.getByLabel('Interval').fill('2.5');
        await page.getByLabel('Battery', { exact: true }).fill('220');
        const content = { format: 'logdock-settings-1', settings: [{ id: 1, name: 'Logger/Name', value: 'Cellar' }, { id: 60_000, name: 'Radio/Power', value: '3' }] };
        await logger.drop('settings.json', Buffer.from(JSON.stringify(content)));
        await expect(page.getByText('Radio/Power')).toBeVisible();
        await page.getByLabel('Interval').fill('x');
        await page.getByRole('button', { name: 'Write to the logger' }).click();
        await page.getByText('Details for a bug report').click();
        await expect(page.getByLabel('Details', { exact: true })).toContainText('uptime');
        await picture('7-settings-changed');
        await logger.tab('Records').click();
        await page.getByRole('button', { name: 'Read the records' }).click();
        await page.getByRole('application', { name: 'Chart of the records' }).focus();
        await page.keyboard.press('End');
        await expect(page.locator('.readout')).toContainText('record');
        await picture('8-records');
        await page.getByText('Details for a bug report').click();
        await device.unplug();
        await page.waitForTimeout(300);
        await picture('8-lost');
      });
    });
  }
}
