// Records come into this browser whole and once, are drawn, and leave it as the command line would write them. The logger
// holds a month of what its sensors were told, recorded by its own firmware (tests/src/bin/month.rs).
import AxeBuilder from '@axe-core/playwright';
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { Device } from './device.mjs';
import { expect, test as base } from './fixtures.mjs';
import { month } from './places.mjs';
import { RecordsPage, most, watchTasks } from './records-page.mjs';

/** How often power failed in the month. */
const CUTS = 2;
/** Milliseconds that nothing may hold up the page's thread for. Half of it is aimed at; what was measured is printed. */
const LONGEST = 50;
/** Milliseconds that are there for a frame. */
const FRAME = 1000 / 60;
/** What the page's memory may grow by from the first quarter of a month to its end, in MB; see `memory`. */
const GROWTH = 8;

const test = base.extend({
  records: async ({ page, chooser }, use) => use(new RecordsPage(page, chooser)),
});

/** A logger that recorded for a month. */
const withMonth = test.extend({
  device: async ({}, use) => {
    const device = await Device.startWithMonth();
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

/** Has page and Workers let go of what nobody holds any more. */
async function collectGarbage(page) {
  const session = await page.context().newCDPSession(page);
  const workers = [];
  session.on('Target.attachedToTarget', ({ sessionId }) => workers.push(sessionId));
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  expect(workers.length, 'the helper is there').toBeGreaterThan(0);
  const method = 'HeapProfiler.collectGarbage';
  for (const sessionId of workers) {
    const done = new Promise((resolve) => session.once('Target.receivedMessageFromTarget', resolve));
    await session.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id: 1, method }) });
    await done;
  }
  await session.send(method);
  await session.detach();
}

/**
 * Memory in MB: what the page's process has for itself, without what nobody holds any more, and the helper's memory in it,
 * which grows and never shrinks. The program of the browser, which all processes share, comes in bit by bit as it is used
 * and is not counted.
 */
async function memory(started, page) {
  await collectGarbage(page);
  const session = await started.context.browser().newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const kilobytes = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => Number(readFileSync(`/proc/${id}/status`, 'utf8').match(/RssAnon:\s+(\d+)/)[1]));
  const worker = page.workers().find((worker) => worker.url().includes('helper'));
  // The program that is there already.
  const helper = await worker.evaluate(async () => (await wasm_bindgen()).memory.buffer.byteLength);
  // The others are the browser's own, and those that it keeps ready.
  return { page: Math.max(...kilobytes) / 1024, helper: helper / 2 ** 20 };
}

withMonth('a month comes into the browser once, and leaves it as the sensors were told', async ({
  page,
  device,
  records,
  started,
}) => {
  withMonth.setTimeout(900_000);
  await device.pace(4);
  await device.plug();
  await records.connect();
  await records.open();
  await expect(records.card).toContainText('of its memory');
  const kept = Number((await records.card.innerText()).match(/keeps ([\d.]+) MB/)[1]);
  const sent = (await device.status()).bytes_to_program;
  let ended = await watchTasks(page);
  await records.button('Read the records').click();

  // A pause is one: nothing more comes.
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThan(5);
  await records.button('Pause').click();
  await expect(records.button('Go on')).toBeVisible();
  await page.waitForTimeout(1000);
  const paused = await records.copied();
  await page.waitForTimeout(1500);
  expect(await records.copied()).toBe(paused);
  await records.button('Go on').click();

  // The cable comes out, and goes in again.
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThan(20);
  await device.unplug();
  await expect(records.card).toContainText('copying goes on from');
  const before = await records.percent();
  const first = (await ended()).tasks.at(-1);
  expect(first, 'no task held up the page').toBeLessThanOrEqual(LONGEST);
  await device.plug();
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThan(before + 3);

  // The page is loaded anew, and goes on with what it has.
  await page.reload();
  await records.expectConnected();
  await records.open();
  await expect.poll(() => records.copied(), { timeout: 60_000 }).toBeGreaterThan(paused);
  expect(await records.percent()).toBeGreaterThanOrEqual(before);
  await expect.poll(() => records.percent(), { timeout: 60_000 }).toBeGreaterThanOrEqual(25);
  const early = await memory(started, page);
  await expect.poll(() => records.percent(), { timeout: 240_000 }).toBeGreaterThanOrEqual(60);
  const half = await memory(started, page);
  ended = await watchTasks(page);
  await expect.poll(() => records.percent(), { timeout: 240_000 }).toBe(100);
  const second = (await ended()).tasks.at(-1);
  expect(second, 'no task held up the page').toBeLessThanOrEqual(LONGEST);
  const late = await memory(started, page);
  console.log(`longest task ${Math.max(first, second).toFixed(1)} ms`);
  for (const [name, { page, helper }] of Object.entries({ early, half, late })) {
    console.log(`${name}: ${page.toFixed(1)} MB for the page, ${helper.toFixed(1)} MB of it for the helper`);
  }
  for (const later of [half, late]) {
    expect(later.helper, "the helper's memory, whatever it holds").toBe(early.helper);
    expect(later.page - early.page, 'memory does not grow with the log, in MB').toBeLessThan(GROWTH);
  }
  await expect(records.copy).not.toContainText('missing');
  const came = ((await device.status()).bytes_to_program - sent) / 2 ** 20;
  console.log(`${kept} MB in the logger, ${came.toFixed(1)} MB came over the cable`);
  // Frames and answers besides take a twentieth; each break costs what was under way.
  expect(came, 'nothing comes twice').toBeLessThan(kept * 1.08 + 1);

  // A million records are moved about, and come closer: whether that is smooth.
  const copied = await records.copied();
  await records.button('Come closer').click();
  await expect.poll(() => records.shown()).toBeLessThan(copied * 0.8);
  expect(await records.shown()).toBeGreaterThan(1_000_000);
  ended = await watchTasks(page);
  const apart = await records.moveAbout();
  const { tasks, frames } = await ended();
  console.log(
    `moving about: ${apart.length} frames, ${most(apart).toFixed(1)} ms apart at most but for one of 20; ` +
      `of the page's thread ${most(frames).toFixed(1)} ms each, longest task ${tasks.at(-1).toFixed(1)} ms`,
  );
  expect(tasks.at(-1), 'no task held up the page').toBeLessThanOrEqual(LONGEST);
  expect(most(frames), "the page's part of a frame, but for one of 20").toBeLessThanOrEqual(FRAME);

  // The table is what the sensors were told.
  ended = await watchTasks(page);
  const { path, name } = await records.save('Save all as CSV');
  expect((await ended()).tasks.at(-1), 'no task held up the page').toBeLessThanOrEqual(LONGEST);
  expect(name).toBe(`logdock-${await records.fact('serial').innerText()}.csv`);
  const steps = told();
  const seen = new Set();
  let [count, known, off, last, pulses, disordered] = [0, 0, 0, -1, 0, 0];
  let header;
  let firstSession;
  for await (const cells of rows(path)) {
    if (!header) {
      header = cells;
      expect(header.slice(0, 5)).toEqual(['utc', 'record', 'session', 'elapsed_s', 'Supply (V)']);
      continue;
    }
    count++;
    firstSession ??= Number(cells[2]);
    if (Number(cells[1]) <= last) disordered++;
    last = Number(cells[1]);
    pulses += Number(cells[header.indexOf('Events')]);
    const at = Date.parse(cells[0]);
    // What was recorded since the test began was told to nobody.
    if (Number.isNaN(at) || Number(cells[2]) > firstSession + CUTS) continue;
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
  expect(disordered, 'records that come before others with lower numbers').toBe(0);
  expect(off, 'records that are not what the sensors were told').toBe(0);
  const whole = steps.reduce((sum, step) => sum + step[5] * step[6], 0);
  expect(pulses).toBeGreaterThan(whole * 0.99);
  expect(pulses).toBeLessThanOrEqual(whole);
});

/** Records that a logger gathers before it writes them. */
const WRITTEN = 39;

/** A logger out of the box, connected, with its records looked at: more than `least` of them. */
async function begin(device, records, least = 4) {
  // As time would make them, only sooner.
  await device.pace(32);
  await device.plug();
  await records.connect();
  await records.open();
  await expect.poll(() => records.records(), { timeout: 60_000 }).toBeGreaterThan(least);
  await device.pace(1);
  await records.button('Read the records').click();
  await expect.poll(() => records.copied()).toBeGreaterThan(least);
}

/** The same, with so many records that the logger has written some to its memory: that can be erased, and outlives it. */
const beginWithWritten = (device, records) => begin(device, records, WRITTEN + 6);

test('what is recorded now comes by itself, and is there at the next visit', async ({ page, device, records }) => {
  await beginWithWritten(device, records);
  const before = await records.copied();
  await expect.poll(() => records.copied(), 'while one looks').toBeGreaterThan(before + 3);
  await expect(records.copy).toContainText('They stay here for the next visit.');
  await device.cut();
  await device.plug();
  await page.reload();
  await records.expectConnected();
  await records.open();
  await expect.poll(() => records.copied(), 'without being asked again').toBeGreaterThanOrEqual(WRITTEN);
});

test('the chart goes by keys, says what it shows, and selects what is saved', async ({ page, device, records }) => {
  await beginWithWritten(device, records);
  await expect(records.card.getByRole('row', { name: /^Supply \(V\)/ })).toBeVisible();
  await records.chart.focus();
  const readout = records.card.locator('.readout');
  await page.keyboard.press('Home');
  await expect(readout).toContainText('record 0 ');
  await expect(readout).toContainText('the logger was started before it');
  await page.keyboard.press('ArrowRight');
  await expect(readout).toContainText(/record [1-9]/);
  const from = Number((await readout.innerText()).match(/record (\d+)/)[1]);
  for (let step = 0; step < 5; step++) {
    const before = await readout.innerText();
    await page.keyboard.press('Shift+ArrowRight');
    await expect(readout).not.toHaveText(before);
  }
  const to = Number((await readout.innerText()).match(/record (\d+)/)[1]);
  const [, supply] = (await readout.innerText()).match(/Supply ([\d.]+) V/);
  await expect(records.card.getByText(`${to - from + 1} records are selected`)).toBeVisible();
  const { path } = await records.save('Save the selection as CSV');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\r\n').map((line) => line.split(','));
  expect(lines.slice(1).map((cells) => Number(cells[1]))).toEqual(
    Array.from({ length: to - from + 1 }, (_, index) => from + index),
  );
  expect(lines.at(-1)[lines[0].indexOf('Supply (V)')], 'as the chart said').toBe(supply);
  await records.chart.focus();
  await page.keyboard.press('Escape');
  await expect(records.button('Save the selection as CSV')).toBeDisabled();

  // A line that is switched off is not drawn.
  const drawn = () => records.chart.screenshot();
  const all = await drawn();
  const line = records.button('Temperature (°C)');
  await line.click();
  await expect(line).toHaveAttribute('aria-pressed', 'false');
  expect((await drawn()).equals(all)).toBe(false);
});

/** How many rows of the chart's pixels are red, dashes and all, from one end to the other. */
const redRows = (chart) =>
  chart.evaluate((canvas) => {
    const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const isRed = (at) => data[at + 3] > 60 && data[at] - Math.max(data[at + 1], data[at + 2]) > 60;
    const red = (row) => Array.from({ length: width }).filter((_, column) => isRed(4 * (row * width + column))).length;
    return Array.from({ length: height }).filter((_, row) => red(row) > width / 3).length;
  });

test('an alarm threshold is a line in the chart, and told in words', async ({ page, device, records }) => {
  await begin(device, records);
  const row = records.card.getByRole('row', { name: /^Temperature/ });
  await expect(row).toContainText(/\d/);
  const [least, mean, most] = (await row.getByRole('cell').allInnerTexts()).map(Number);
  expect(most, 'a value that hardly changes has room above and below it').toBeLessThan(least * 1.01);
  const threshold = mean * 1.2;
  await expect(row).not.toContainText('alarm');
  const before = await redRows(records.chart);

  await records.tab('Settings').click();
  const group = page.getByRole('group', { name: 'Temperature', exact: true });
  await group.getByText('Temperature', { exact: true }).click();
  await group.getByLabel('Alarm', { exact: true }).selectOption('below');
  await group.getByLabel('Alarm threshold', { exact: true }).fill(threshold.toFixed(3));
  await page.getByRole('button', { name: 'Write to the logger' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Settings written' })).toBeVisible();

  await records.open();
  await expect(row).toContainText(`alarm below ${threshold.toFixed(3)} °C`);
  await expect.poll(() => redRows(records.chart)).toBeGreaterThan(before);
  await expect(row.getByRole('button')).toHaveAccessibleName('Temperature (°C)');
  await row.getByRole('button').click();
  await expect.poll(() => redRows(records.chart), 'it goes with its line').toBeLessThanOrEqual(before);
});

test('the chart goes by mouse and by fingers', async ({ page, device, records }) => {
  await beginWithWritten(device, records);
  // What comes meanwhile would change the count.
  await device.unplug();
  const shown = () => records.shown();
  await expect.poll(shown).toBeGreaterThan(WRITTEN);
  const all = await shown();
  await records.chart.scrollIntoViewIfNeeded();
  const box = await records.chart.boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + 100];

  // The wheel is the page's until the chart is pressed.
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, -20);
  await page.waitForTimeout(600);
  expect(await shown()).toBe(all);
  await records.chart.click({ position: { x: box.width / 2, y: 100 } });
  for (let turn = 0; turn < 3; turn++) await page.mouse.wheel(0, -150);
  await expect.poll(shown).toBeLessThan(all * 0.7);
  const near = await shown();

  // The mouse drags it, and what comes into view is other records.
  const readout = records.card.locator('.readout');
  await page.mouse.move(x, y);
  await expect(readout).toContainText('record');
  const before = await readout.innerText();
  await page.mouse.down();
  await page.mouse.move(x - 200, y, { steps: 5 });
  await page.mouse.up();
  await page.mouse.move(x, y);
  await expect(readout).not.toHaveText(before);

  // Two fingers that go together.
  const session = await page.context().newCDPSession(page);
  const touch = (type, apart) =>
    session.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: apart === null ? [] : [-1, 1].map((side, id) => ({ x: x + (side * apart) / 2, y, id })),
    });
  await touch('touchStart', 300);
  for (let apart = 280; apart >= 60; apart -= 20) await touch('touchMove', apart);
  await touch('touchEnd', null);
  await expect.poll(shown).toBeGreaterThan(near);
});

test('a copy that was damaged is made good, and says so', async ({ page, device, records }) => {
  await beginWithWritten(device, records);
  // Nobody asks the helper for records while they are not looked at.
  await records.tab('Update').click();
  await page.waitForTimeout(1000);
  const worker = page.workers().find((worker) => worker.url().includes('helper'));
  const spoil = await worker.evaluate(async () => {
    // The page holds the file open: it is asked to let go of it.
    for (const { copy } of logs.values()) copy.free();
    logs.clear();
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('logs');
    for await (const [name, file] of folder.entries()) {
      if (!name.endsWith('.log')) continue;
      const handle = await file.createSyncAccessHandle();
      handle.write(new Uint8Array([0x55]), { at: 100 });
      const size = handle.getSize();
      handle.close();
      return size;
    }
  });
  expect(spoil).toBeGreaterThan(300);
  await page.reload();
  await records.expectConnected();
  await records.open();
  await expect(records.copy).toContainText('damaged');
  await records.button('Read the records').click();
  await expect.poll(() => records.copied()).toBeGreaterThan(WRITTEN);
  await expect(records.copy).not.toContainText('missing');
});

test('without files of its own the page holds records while it is there, and says so', async ({ page, device, records }) => {
  await page.route('**/helper-worker.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `delete StorageManager.prototype.getDirectory;${await response.text()}` });
  });
  await begin(device, records);
  await expect(records.copy).toContainText('at most 32 MB');
  const { path } = await records.save('Save all as CSV');
  expect(readFileSync(path, 'utf8').trimEnd().split('\r\n').length).toBeGreaterThan(5);
});

test('erasing says what it erases, and the copy stays until it is removed', async ({ device, records }) => {
  await beginWithWritten(device, records);
  await records.button("Erase the logger's records…").click();
  await expect(records.card.getByRole('alert')).toContainText('in this browser, where they stay');
  await records.button('Keep them').click();
  await records.button("Erase the logger's records…").click();
  await records.button('Erase them').click();
  await expect(records.card.getByText('The logger reports that its records are erased.')).toBeVisible();
  const before = await records.copied();
  expect(before).toBeGreaterThanOrEqual(WRITTEN);
  await records.button('Remove the copy from this browser…').click();
  await expect(records.card.getByRole('alert')).toContainText('older records are gone');
  await records.button('Remove it').click();
  await expect.poll(() => records.copied()).toBe(0);
});

test('a helper that cannot be loaded is said, and tried again', async ({ page, device, records }) => {
  await page.route('**/helper_bg.wasm', (route) => route.fulfill({ status: 404 }));
  await device.plug();
  await records.connect();
  await records.open();
  await expect(records.card.getByRole('alert')).toContainText('could not be loaded');
  // Several may wait for it at once.
  const answers = await page.evaluate(() => Promise.allSettled([logdock.ask(['info']), logdock.ask(['info'])]));
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await page.unroute('**/helper_bg.wasm');
  await records.button('Try again').click();
  await records.button('Read the records').click();
  await expect.poll(() => records.copied()).toBeGreaterThan(0);
});

for (const colorScheme of ['light', 'dark']) {
  test.describe(`in ${colorScheme} colours, on a phone`, () => {
    test.use({ colorScheme, viewport: { width: 360, height: 740 } });
    test('everybody can use the records', async ({ page, device, records }) => {
      await begin(device, records);
      await records.chart.focus();
      await page.keyboard.press('End');
      const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide, 'nothing sticks out').toBeLessThanOrEqual(360);
      const pieces = await page.getByRole('button', { name: 'Temperature' }).evaluate(({ lastChild }) => {
        const range = document.createRange();
        range.setStart(lastChild, 0);
        range.setEnd(lastChild, 'Temperature'.length);
        return range.getClientRects().length;
      });
      expect(pieces, 'no word is broken').toBe(1);
    });
  });
}
