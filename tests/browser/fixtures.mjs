// What each test gets: a fresh browser that knows no device, a fresh logger, and the page.
import { test as base, expect } from '@playwright/test';
import { Device } from './device.mjs';
import { launch } from './launch.mjs';
import { dist } from './places.mjs';
import { serve } from './server.mjs';

export const test = base.extend({
  /** The folder that is served as the page. */
  folder: [dist, { option: true }],

  /** What the logger has in flash. */
  flashed: ['factory-1.0.0.hex', { option: true }],

  /** How the virtual logger is started besides. */
  options: [[], { option: true }],

  /** What the server says with each answer. */
  headers: [{}, { option: true }],

  server: async ({ folder, headers }, use) => {
    const server = await serve(folder, headers);
    await use(server);
    await server.close();
  },

  site: async ({ server }, use) => use(server.url),

  device: async ({ flashed, options }, use) => {
    const device = await Device.start(flashed, options);
    await use(device);
    await device.stop();
    expect(device.halts, 'the firmware never made the chip stop').toEqual([]);
  },

  /** Whether the page may keep itself for times without a network; what it keeps no test could take away. */
  serviceWorkers: ['block', { option: true }],

  /** Whether the browser runs without the rights that let root open what is not open to it. */
  unprivileged: [false, { option: true }],

  started: async ({ viewport, colorScheme, locale, serviceWorkers, reducedMotion, unprivileged }, use) => {
    const { browser, chooser } = await launch(unprivileged);
    const context = await browser.newContext({ viewport, colorScheme, locale, serviceWorkers, reducedMotion });
    await use({ chooser, context });
    chooser.close();
    await browser.close();
  },

  /** Whether the person wants things not to move. */
  reducedMotion: [null, { option: true }],

  chooser: async ({ started }, use) => use(started.chooser),

  page: async ({ started, site }, use) => {
    const page = await started.context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(site);
    // Starts the browser's search for devices: events sent before it are lost.
    await page.evaluate(() => navigator.serial.getPorts());
    await use(page);
    expect(errors, 'the page threw nothing that it did not catch').toEqual([]);
  },
});

export { expect };
