// Firefox: the whole page with the virtual logger, and its own Web Serial as far as it goes here.
//
// Firefox lists only devices that the kernel has in /sys and whose lines answer TIOCMGET; a pseudo-terminal is neither, so
// unlike Chromium it can be given no logger to open. What is left of it is asked for: that it has Web Serial, that a click
// brings up its chooser for this page, and what the page says when nothing was chosen.
import { join } from 'node:path';
import { expect, test as base } from '@playwright/test';
import { digestOf } from './device.mjs';
import { Firefox } from './firefox.mjs';
import { dist, firmware, firmwareFile } from './places.mjs';
import { serve } from './server.mjs';

const test = base.extend({
  page: async ({}, use) => {
    const server = await serve(dist);
    const page = await Firefox.start();
    await page.goto(server.url);
    await use(page);
    await page.stop();
    await server.close();
  },
});

/** Waits until the page states this of the logger. */
const fact = (page, name, value) =>
  page.until(
    `${name} is ${value}`,
    (name, value) => document.querySelector(`[data-fact="${name}"]`)?.innerText === value,
    name,
    value,
  );

test('a firmware file goes onto the virtual logger, and it is there after a reload', async ({ page }) => {
  await page.press('Try a virtual logger');
  await fact(page, 'firmware', '1.0.0');
  await page.pick('input[type="file"]', join(firmware, 'logger-1.1.0.hex'));
  await page.press('Update to 1.1.0');
  await page.until('1.1.0 is running', () =>
    [...document.querySelectorAll('[role="status"]')].some((status) => /1\.1\.0 is running/.test(status.innerText)),
  );
  const expectTheUpdate = async () => {
    await fact(page, 'firmware', '1.1.0');
    await fact(page, 'state', 'Recording');
    await fact(page, 'digest', digestOf(firmwareFile('logger-1.1.0.bin')).slice(0, 16));
  };
  await expectTheUpdate();
  const steps = await page.evaluate(() =>
    [...document.querySelectorAll('ol.steps li[data-step]')].map(({ dataset }) => dataset.state),
  );
  expect(steps.length).toBeGreaterThan(5);
  expect(new Set(steps)).toEqual(new Set(['done']));

  await page.reload();
  await expectTheUpdate();
});

test('its own chooser comes up, and the page says so when nothing was chosen', async ({ page }) => {
  expect(await page.evaluate(() => [typeof navigator.serial?.requestPort, typeof navigator.usb])).toEqual(['function', 'undefined']);
  await page.press('Connect a logger');
  await page.untilInBrowser('the chooser', () => {
    const panel = document.getElementById('webSerial-choosePort-notification');
    if (!panel?.secondaryButton || document.getElementById('notification-popup').state !== 'open') return false;
    panel.secondaryButton.click();
    return true;
  });
  await page.until('what to do', () => document.body.innerText.includes('No logger was chosen.'));
});
