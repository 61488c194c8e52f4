// Records come into this browser whole and once, are drawn, and leave it as the command line would write them. The logger
// holds a month of what its sensors were told, recorded by its own firmware (tests/src/bin/month.rs).
import AxeBuilder from '@axe-core/playwright';
import { copyFileSync, createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Device } from './device.mjs';
import { expect, test as base } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';
import { month } from './places.mjs';

class RecordsPage extends LoggerPage {
  constructor(page, chooser) {
    super(page, chooser);
    this.card = page.getByRole('region', { name: 'Records' });
    this.chart = page.getByRole('application', { name: 'Chart of the records' });
    this.copy = this.fact('copy');
  }

  button(name) {
    return this.card.getByRole('button', { name, exact: true });
  }

  async open() {
    await this.tab('Records').click();
    await expect(this.card).toBeVisible();
  }

  /** How far copying is, in percent; 100 when there is nothing more to copy. */
  async percent() {
    const bar = this.card.getByRole('progressbar');
    return (await bar.count()) ? Number(await bar.getAttribute('aria-valuenow')) : 100;
  }

  /** How many records are in this browser. */
  async copied() {
    const [number] = (await this.copy.innerText()).match(/^[\d\u202f]+/) ?? ['0'];
    return Number(number.replaceAll(/\D/g, ''));
  }

  /** Saves a table; gives its file. */
  async save(name) {
    const saving = this.page.waitForEvent('download', { timeout: 120_000 });
    await this.button(name).click();
    const saved = await saving;
    return { name: saved.suggestedFilename(), path: await saved.path() };
  }
}

const test = base.extend({
  records: async ({ page, chooser }, use) => use(new RecordsPage(page, chooser)),
});

/** A logger that recorded for a month. */
const withMonth = test.extend({
  folder_of_month: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'logdock-month-'));
    for (const name of ['month.nand', 'month.eeprom']) copyFileSync(join(month, name), join(folder, name));
    await use(folder);
    rmSync(folder, { recursive: true });
  },
  device: async ({ folder_of_month: folder }, use) => {
    const device = await Device.start('factory-1.0.0.hex', [
      '--nand',
      join(folder, 'month.nand'),
      '--eeprom',
      join(folder, 'month.eeprom'),
    ]);
    await use(device);
    await device.stop();
    expect(device.halts, 'the firmware never made the chip stop').toEqual([]);
  },
});

/** What the sensors were told, from which moment on. */
function told() {
  const [, ...lines] = readFileSync(join(month, 'month.csv'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.split(',').map(Number));
}

/** Every line of a table, in cells. */
async function* rows(path) {
  for await (const line of createInterface({ input: createReadStream(path) })) yield line.split(',');
}

/** Watches for tasks that hold up the page; gives a function that says how long the longest was, in milliseconds. */
async function watchTasks(page) {
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ entryTypes: ['longtask'] });
  });
  return () => page.evaluate(() => window.longest);
}

/** Memory of the browser's processes that show pages, in MB. */
async function memory(started) {
  const session = await started.context.browser().newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const kilobytes = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => Number(readFileSync(`/proc/${id}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]));
  return kilobytes.reduce((sum, size) => sum + size, 0) / 1024;
}

withMonth('a month comes into the browser once, and leaves it as the sensors were told', async ({
  page,
  device,
  records,
  started,
}) => {
  withMonth.setTimeout(480_000);
  await device.pace(4);
  await device.plug();
  await records.connect();
  await records.open();
  await expect(records.card).toContainText('of its memory');
  let longest = await watchTasks(page);
  await records.button('Read the records').click();

  // A pause is one: nothing more comes.
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThan(5);
  await records.button('Pause').click();
  await expect(records.button('Go on')).toBeVisible();
  await page.waitForTimeout(1000);
  const paused = await records.copied();
  await page.waitForTimeout(1500);
  expect(await records.copied()).toBe(paused);
  const early = await memory(started);
  await records.button('Go on').click();

  // The cable comes out, and goes in again.
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThan(20);
  await device.unplug();
  await expect(records.card).toContainText('copying goes on from');
  const before = await records.percent();
  expect(await longest(), 'no task held up the page').toBeLessThanOrEqual(50);
  await device.plug();
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThan(before + 3);

  // The page is loaded anew, and goes on with what it has.
  await page.reload();
  await records.expectConnected();
  await records.open();
  await expect.poll(() => records.copied(), { timeout: 60_000 }).toBeGreaterThan(paused);
  expect(await records.percent()).toBeGreaterThanOrEqual(before);
  longest = await watchTasks(page);
  await expect.poll(() => records.percent(), { timeout: 240_000 }).toBe(100);
  expect(await longest(), 'no task held up the page').toBeLessThanOrEqual(50);
  const late = await memory(started);
  console.log(`longest task ${await longest()} ms, memory ${early.toFixed(0)} MB early and ${late.toFixed(0)} MB late`);
  expect(late - early, 'memory stays flat, in MB').toBeLessThan(48);
  await expect(records.copy).not.toContainText('missing');

  // Panning over all of it, for as long as it takes to see whether it stays smooth.
  const box = await records.chart.boundingBox();
  longest = await watchTasks(page);
  await records.button('Come closer').click();
  await records.button('Come closer').click();
  await page.mouse.move(box.x + box.width / 2, box.y + 100);
  await page.mouse.down();
  const frames = page.evaluate(
    () =>
      new Promise((resolve) => {
        const times = [];
        const frame = (time) => {
          times.push(time);
          if (times.length < 120) requestAnimationFrame(frame);
          else resolve(times);
        };
        requestAnimationFrame(frame);
      }),
  );
  for (let step = 0; step < 60; step++) await page.mouse.move(box.x + box.width / 2 - 4 * step, box.y + 100);
  await page.mouse.up();
  const times = await frames;
  const gaps = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
  console.log(`panning: longest task ${await longest()} ms, frames ${gaps[60].toFixed(1)} ms apart, worst ${gaps.at(-1).toFixed(1)} ms`);
  expect(await longest(), 'no task held up the page').toBeLessThanOrEqual(50);

  // The table is what the sensors were told.
  longest = await watchTasks(page);
  const { path, name } = await records.save('Save all as CSV');
  expect(await longest(), 'no task held up the page').toBeLessThanOrEqual(50);
  expect(name).toBe(`logdock-${await records.fact('serial').innerText()}.csv`);
  const steps = told();
  const seen = new Set();
  let [count, known, off, last, pulses] = [0, 0, 0, -1, 0];
  let header;
  for await (const cells of rows(path)) {
    if (!header) {
      header = cells;
      expect(header.slice(0, 5)).toEqual(['utc', 'record', 'session', 'elapsed_s', 'Supply (V)']);
      continue;
    }
    count++;
    expect.soft(Number(cells[1]) > last, `record ${cells[1]} behind ${last}`).toBe(true);
    last = Number(cells[1]);
    pulses += Number(cells[header.indexOf('Events')]);
    const at = Date.parse(cells[0]);
    if (Number.isNaN(at) || at > steps.at(-1)[0] + 120_000) continue;
    known++;
    const index = Math.floor((at - steps[0][0]) / 120_000);
    // A record at the very edge of a step may show the one before or behind.
    const fits = [index, index - 1, index + 1].some((index, turn) => {
      const step = steps[index];
      const edge = (at - steps[0][0]) % 120_000;
      if (!step || (turn > 0 && edge > 200 && edge < 119_900)) return false;
      const near = (name, value, by) => Math.abs(Number(cells[header.indexOf(name)]) - value) <= by;
      return (
        near('Supply (V)', step[1] / 1000, 0.004) &&
        near('Temperature (°C)', step[2] / 100, 1) &&
        near('Input A (V)', step[3] / 1000, 0.003) &&
        near('Input B (V)', step[4] / 1000, 0.003)
      );
    });
    if (fits) seen.add(index);
    else if (at > steps[0][0]) off++;
  }
  console.log(`${count} records, ${known} with their time, ${seen.size} of ${steps.length} steps seen, ${off} off`);
  expect(count).toBeGreaterThan(1_600_000);
  expect(off, 'records that are not what the sensors were told').toBe(0);
  const whole = steps.reduce((sum, step) => sum + step[5] * step[6], 0);
  expect(pulses).toBeGreaterThan(whole * 0.99);
  expect(pulses).toBeLessThanOrEqual(whole);
});
