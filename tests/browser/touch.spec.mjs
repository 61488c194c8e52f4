// A phone: fingers, and 360 pixels from side to side.
import { expect, test as base } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

/** As Chrome on Android tells a page of the smallest phones that are common. */
const PHONE = {
  viewport: { width: 360, height: 740 },
  deviceScaleFactor: 3,
  isMobile: true,
  hasTouch: true,
  userAgent: 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Mobile Safari/537.36',
};
/** CSS pixels that what is tapped must have (WCAG 2.2, 2.5.8). */
const TARGET = 24;

const test = base.extend({
  phone: async ({ started, site }, use) => {
    const context = await started.context.browser().newContext({ ...PHONE, serviceWorkers: 'block' });
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(site);
    await use(page);
    await context.close();
    expect(errors, 'the page threw nothing that it did not catch').toEqual([]);
  },
});

/** Nothing has to be moved sideways, and everything can be hit with a finger. */
async function expectItFits(page) {
  const { width, small } = await page.evaluate((least) => {
    const controls = [...document.querySelectorAll('button, select, summary, input, [role="tab"]')];
    const small = controls
      .map((control) => control.closest('label') ?? control)
      .map((control) => [control, control.getBoundingClientRect()])
      // What is shown to screen readers alone is hit by nobody.
      .filter(([, { width, height }]) => width > 1 && height > 1 && (width < least || height < least))
      .map(([control, { width, height }]) => `${control.outerHTML}: ${width} x ${height}`);
    return { width: document.documentElement.scrollWidth, small };
  }, TARGET);
  expect(width).toBeLessThanOrEqual(PHONE.viewport.width);
  expect(small).toEqual([]);
}

test('an update with one finger', async ({ phone }) => {
  const logger = new LoggerPage(phone);
  await expect(phone.getByRole('button', { name: 'Connect a logger' })).toBeVisible();
  await expectItFits(phone);
  await phone.getByRole('button', { name: 'Try a virtual logger' }).tap();
  await logger.expectConnected();
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
  await expectItFits(phone);

  await phone.getByRole('button', { name: 'Use the sample update 1.1.0' }).tap();
  await expectItFits(phone);
  await logger.startButton.tap();
  await expectItFits(phone);
  await logger.expectRuns('1.1.0');
  await expect(logger.fact('digest')).toHaveText(digestOf(firmwareFile('logger-1.1.0.bin')).slice(0, 16));
  await expectItFits(phone);

  for (const tab of await phone.getByRole('tab').all()) {
    await tab.tap();
    await expect(tab).toHaveAttribute('aria-selected', 'true');
    await expect(phone.getByRole('tabpanel')).not.toContainText('Loading…');
    await expectItFits(phone);
  }
});
