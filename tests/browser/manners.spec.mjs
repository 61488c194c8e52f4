// How the page behaves besides its work: it keeps the computer awake while something is on its way, does not let itself be
// left unasked, takes files from the file manager, is worked by keyboard alone, and moves nothing for whoever wants that.
import { expect, test } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage, VirtualLogger } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

/** A virtual logger with an update under way, slowly. */
async function updating(page, chooser) {
  const logger = new VirtualLogger(page, chooser);
  await logger.try();
  await logger.useSample();
  await logger.pace(0.1);
  await logger.start('1.1.0');
  await expect.poll(() => logger.kept(), { intervals: [20] }).toBeGreaterThan(0);
  return logger;
}

test('the computer stays awake for an update, and no longer', async ({ page, chooser, started }) => {
  await started.context.grantPermissions(['screen-wake-lock']);
  await page.addInitScript(() => {
    window.locks = [];
    const request = WakeLock.prototype.request;
    WakeLock.prototype.request = async function (...kind) {
      const lock = await request.apply(this, kind);
      window.locks.push(lock);
      return lock;
    };
  });
  await page.reload();
  const held = () => page.evaluate(() => window.locks.filter((lock) => !lock.released).length);
  const logger = await updating(page, chooser);
  await expect.poll(held).toBe(1);
  await logger.pace(1);
  await logger.expectRuns('1.1.0');
  await expect.poll(held).toBe(0);
  expect(await page.evaluate(() => window.locks.length), 'it was held once').toBe(1);
});

test('whoever leaves in the middle of an update is asked, and nobody else is', async ({ page, chooser, site }) => {
  const asked = [];
  page.on('dialog', (dialog) => {
    asked.push(dialog.type());
    // Stays.
    dialog.dismiss();
  });
  const logger = await updating(page, chooser);
  // Never come to an end when the person stays.
  await page.evaluate(() => void location.assign('./elsewhere'));
  await expect.poll(() => asked).toEqual(['beforeunload']);
  await logger.pace(1);
  await logger.expectRuns('1.1.0');
  await page.goto(site);
  expect(asked, 'it was asked once').toHaveLength(1);
});

test('a file that is opened from the file manager is taken as if it were dropped', async ({ page, site, chooser }) => {
  const manifest = await (await page.request.get(`${site}logdock.webmanifest`)).json();
  const kinds = manifest.file_handlers.flatMap(({ accept }) => Object.values(accept).flat());
  expect(kinds).toEqual(expect.arrayContaining(['.hex', '.bin']));
  // The system's end of the queue: a file that the page itself may keep stands in for one of the file manager.
  await page.addInitScript(() => {
    Object.defineProperty(window, 'launchQueue', { value: { setConsumer: (take) => (window.launch = take) } });
  });
  await page.reload();
  await page.evaluate(
    async ([name, base64]) => {
      const folder = await navigator.storage.getDirectory();
      const handle = await folder.getFileHandle(name, { create: true });
      const writer = await handle.createWritable();
      await writer.write(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
      await writer.close();
      await window.launch({ files: [handle] });
    },
    ['logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex').toString('base64')],
  );
  await expect(page.getByText('It waits for a logger')).toBeVisible();
  await expect(new LoggerPage(page, chooser).update.locator('.files')).toContainText('1.1.0');
});

/** What has the focus: role-like name and words. */
const focused = (page) =>
  page.evaluate(() => {
    const { tagName, innerText, ariaLabel } = document.activeElement;
    return `${tagName} ${ariaLabel ?? innerText}`;
  });

/** Goes on with Tab until something with these words has the focus. */
async function tabTo(page, words) {
  const seen = [];
  for (let step = 0; step < 60; step++) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    if (words.test(now)) return;
    seen.push(now);
  }
  throw new Error(`no way by keyboard to ${words}: ${seen.join(', ')}`);
}

test('a whole update goes by keyboard alone, and the focus is never lost', async ({ page, chooser }) => {
  const logger = new VirtualLogger(page, chooser);
  await tabTo(page, /Try a virtual logger/);
  await page.keyboard.press('Enter');
  await logger.expectConnected();
  await tabTo(page, /Use the sample update/);
  await page.keyboard.press('Enter');
  await expect(logger.startButton).toBeVisible();
  await logger.pace(0.1);
  // It stands before the button that was pressed.
  for (let step = 0; step < 20 && !/Update to 1\.1\.0/.test(await focused(page)); step++) {
    await page.keyboard.press('Shift+Tab');
  }
  await page.keyboard.press('Enter');
  await expect.poll(() => focused(page), 'where the update is told').toBe('H2 Updating to 1.1.0');
  await tabTo(page, /^BUTTON Stop/);
  await logger.pace(1);
  await expect.poll(() => focused(page), 'the button is gone').toMatch(/^H2 Updat/);
  await logger.expectRuns('1.1.0');
  // Between the tabs with the arrow keys, and one of them is one stop.
  await logger.tab('Update').focus();
  await page.keyboard.press('End');
  await expect.poll(() => focused(page)).toBe('BUTTON Settings');
  await page.keyboard.press('Home');
  await expect.poll(() => focused(page)).toBe('BUTTON Update');
  expect(digestOf(firmwareFile('logger-1.1.0.bin'))).toContain(await logger.fact('digest').innerText());
});

/** The longest transition or animation of anything on the page, in seconds. */
const longestMotion = (page) =>
  page.evaluate(() => {
    const times = [...document.querySelectorAll('*')].flatMap((element) => {
      const { transitionDuration, animationDuration } = getComputedStyle(element);
      return [...transitionDuration.split(','), ...animationDuration.split(',')].map(parseFloat);
    });
    return Math.max(...times);
  });

test('only progress moves, and shortly', async ({ page, chooser }) => {
  await updating(page, chooser);
  expect(await longestMotion(page)).toBeGreaterThan(0);
  expect(await longestMotion(page)).toBeLessThanOrEqual(0.15);
});

test('whoever has colours of their own sees what is where in memory', async ({ page, chooser }) => {
  await page.emulateMedia({ forcedColors: 'active' });
  const logger = new VirtualLogger(page, chooser);
  await logger.try();
  const colour = (what) => page.locator(what).first().evaluate((element) => getComputedStyle(element).backgroundColor);
  expect(await colour('.map .s')).not.toBe(await colour('.memory'));
});

test.describe('for whoever wants nothing to move', () => {
  test.use({ reducedMotion: 'reduce' });
  test('nothing does', async ({ page, chooser }) => {
    await updating(page, chooser);
    expect(await longestMotion(page)).toBeLessThan(0.001);
  });
});
