// Not a test: makes pictures of the page in its states, for the README and for whoever looks at them.
// `npx playwright test --config pictures.config.mjs`, with the folder in LOGDOCK_PICTURES.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test as base } from './fixtures.mjs';
import { Device } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

const french = fileURLToPath(new URL('../../assets/text/fr.txt', import.meta.url));
const lines = readFileSync(french, 'utf8').split('\n');

const test = base.extend({
  /** The language that the page speaks. */
  language: ['en', { option: true }],

  /** A text of the page in that language. */
  say: async ({ language }, use) =>
    use((english) => (language === 'en' ? english : lines[3 * lines.filter((_, at) => at % 3 === 0).indexOf(english) + 1])),

  /** The page, and how it is pictured. */
  picture: async ({ page, viewport, colorScheme, language }, use) =>
    use((name) =>
      page.screenshot({
        path: join(process.env.LOGDOCK_PICTURES, `${name}-${viewport.width}-${colorScheme}-${language}.png`),
        fullPage: true,
      }),
    ),
});

for (const [width, height] of [
  [1280, 900],
  [360, 800],
]) {
  for (const colorScheme of ['light', 'dark']) {
    for (const language of ['en', 'fr']) {
      test.describe(`${width} ${colorScheme} ${language}`, () => {
        test.use({ viewport: { width, height }, colorScheme, language, locale: language });

        test('one logger', async ({ page, device, chooser, say, picture }) => {
          const logger = new LoggerPage(page, chooser);
          const button = (name) => page.getByRole('button', { name: say(name) });
          const tab = (name) => page.getByRole('tab', { name: say(name) });
          await picture('1-welcome');
          await button('Connect a logger').click();
          await chooser.cancel();
          await expect(page.getByText(say('No logger was chosen. Nothing was sent to any.'))).toBeVisible();
          await picture('1-welcome-nothing-chosen');
          await device.plug();
          await button('Connect a logger').click();
          await chooser.pickFirst();
          await expect(logger.fact('records')).toHaveText(/[1-9]/);
          await picture('2-connected');
          await logger.drop('logger-1.1.0-other-key.hex', firmwareFile('logger-1.1.0-other-key.hex'));
          await expect(page.locator('.refusal')).toBeVisible();
          await picture('3-refused');
          await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
          const start = page.getByRole('button', { name: say('Update to {to}').replace('{to}', '1.1.0') });
          await expect(start).toBeVisible();
          await picture('4-plan');
          await start.click();
          await expect(logger.step('installed')).toHaveAttribute('data-state', 'now');
          await picture('5-installing');
          await expect(logger.step('confirmed')).toHaveAttribute('data-state', 'done', { timeout: 45_000 });
          await picture('6-done');
          await tab('Settings').click();
          await expect(page.getByLabel('Interval')).toBeVisible();
          await picture('7-settings');
          await page.getByLabel('Interval').fill('2.5');
          await page.getByLabel(say('Battery'), { exact: true }).fill('220');
          const content = { format: 'logdock-settings-1', settings: [{ id: 1, name: 'Logger/Name', value: 'Cellar' }, { id: 60_000, name: 'Radio/Power', value: '3' }] };
          await logger.drop('settings.json', Buffer.from(JSON.stringify(content)));
          await expect(page.getByText('Radio/Power')).toBeVisible();
          await page.getByLabel('Interval').fill('x');
          await button('Write to the logger').click();
          await page.getByText(say('Details for a bug report')).click();
          await expect(page.getByLabel(say('Details'), { exact: true })).toContainText('uptime');
          await picture('7-settings-changed');
          await tab('Records').click();
          await button('Read the records').click();
          await page.getByRole('application', { name: say('Chart of the records') }).focus();
          await page.keyboard.press('End');
          await expect(page.locator('.readout')).toContainText(/\d/);
          await expect(page.locator('.lines caption')).toContainText(/[1-9]/);
          await picture('8-records');
          await page.getByText(say('Details for a bug report')).click();
          await device.unplug();
          await page.waitForTimeout(300);
          await picture('8-lost');
        });

        test('the virtual logger, and how an update works', async ({ page, say, picture }) => {
          const logger = new LoggerPage(page);
          await page.getByRole('button', { name: say('See how an update works') }).click();
          await logger.expectConnected();
          await page.getByRole('button', { name: say('Slow motion') }).click();
          await page.getByRole('button', { name: say('Use the sample update 1.1.0') }).click();
          await page.getByRole('button', { name: say('Update to {to}').replace('{to}', '1.1.0') }).click();
          await expect(logger.step('copied')).toHaveAttribute('data-state', 'now');
          await page.getByRole('button', { name: say('Unplug') }).first().click();
          await picture('9-how-unplugged');
          await page.getByRole('button', { name: say('Plug in') }).first().click();
          await expect(page.locator('.memory .map .d').nth(80)).toBeAttached({ timeout: 60_000 });
          await picture('9-how-installing');
          await page.getByRole('button', { name: say('Slow motion') }).click();
          await expect(logger.step('confirmed')).toHaveAttribute('data-state', 'done', { timeout: 45_000 });
          await picture('9-how');
        });

        test('three loggers, one of them away', async ({ page, chooser, say, picture }) => {
          const devices = await Promise.all(
            [1, 2, 3].map((number) => Device.start('factory-1.0.0.hex', ['--serial', String(number).padStart(24, '0')])),
          );
          const cards = page.locator('.fleet [aria-pressed]');
          for (const [index, device] of devices.entries()) {
            await device.plug();
            const name = say(index === 0 ? 'Connect a logger' : 'Add a logger');
            const there = index === 0 ? page.locator('[data-fact="firmware"]') : cards;
            for (let row = 0; row <= index && (await there.count()) < Math.max(1, index + 1); row++) {
              await page.getByRole('button', { name }).click();
              await chooser.pick(row);
              await expect(there).toHaveCount(index + 1, { timeout: 4000 }).catch(() => {});
            }
          }
          await new LoggerPage(page).drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
          await devices[1].unplug();
          await expect(page.locator('.fleet .away')).toHaveCount(1);
          await picture('10-fleet');
          await page.locator('.fleet .row button').click();
          await expect(page.locator('.fleet .said li')).toHaveCount(2, { timeout: 45_000 });
          await picture('10-fleet-done');
          await page.getByRole('tab', { name: say('Settings') }).click();
          await page.getByLabel('Interval').fill('45');
          await picture('10-fleet-settings');
          for (const device of devices) await device.stop();
        });
      });
    }
  }
}
