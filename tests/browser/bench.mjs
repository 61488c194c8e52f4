// Prints the figures of the page in headless Chromium as `name value unit goal`: its weight, how fast a tab reads a
// large .hex, how fast the virtual logger runs in one, and how smoothly a month of records comes and is moved about. It
// fails on none of them.
import { gzipSync } from 'node:zlib';
import { Device } from './device.mjs';
import { launch } from './launch.mjs';
import { LoggerPage, VirtualLogger } from './logger-page.mjs';
import { dist, firmwareFile } from './places.mjs';
import { RecordsPage, most, watchTasks } from './records-page.mjs';
import { serve } from './server.mjs';

const figure = (name, value, unit, goal) => console.log(`${name} ${value} ${unit} ${goal}`);
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const server = await serve(dist);
const { browser, chooser } = await launch();
try {
  const page = await browser.newPage();
  await weigh(page, server.url);
  await read(page, server.url);
  await run(page, server.url);
  await page.close();
  await month(server.url);
} finally {
  chooser.close();
  await browser.close();
  await server.close();
}

/** Everything that the first load fetches, each file as `gzip -9` leaves it. */
async function weigh(page, url) {
  const bodies = [];
  page.on('response', (response) => bodies.push(response.body()));
  await page.goto(url, { waitUntil: 'networkidle' });
  const packed = (await Promise.all(bodies)).map((body) => gzipSync(body, { level: 9 }).length);
  page.removeAllListeners('response');
  figure('page-first-load', (packed.reduce((sum, size) => sum + size, 0) / 1000).toFixed(1), 'kB', '<=96');
}

/**
 * From the file's choice to the page's word on it. The file is whole but too large for any logger, so this is reading,
 * the digest and the check; what the page draws is in it, too.
 */
async function read(page, url) {
  await page.goto(url);
  await page.getByRole('button', { name: 'Try a virtual logger' }).click();
  const logger = new LoggerPage(page);
  await logger.expectConnected();
  const times = [];
  for (let round = 0; round < 7; round++) {
    // No person is quicker; the logger is still getting to be known.
    await page.waitForTimeout(1000);
    const time = await page.evaluate(async (text) => {
      const input = document.querySelector('input[type=file]');
      const region = [...document.querySelectorAll('h2')].find((title) => title.textContent === 'New firmware').parentElement;
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], `round-${performance.now()}.hex`));
      input.files = transfer.files;
      const told = new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          if (region.querySelector('[role=alert]')) {
            observer.disconnect();
            resolve(performance.now());
          }
        });
        observer.observe(region, { childList: true, subtree: true, characterData: true });
      });
      const start = performance.now();
      input.dispatchEvent(new Event('change', { bubbles: true }));
      return (await told) - start;
    }, firmwareFile('bench-large.hex').toString('ascii'));
    times.push(time);
    await page.reload();
    await logger.expectConnected();
  }
  figure('hex-1MB-in-a-tab', median(times).toFixed(1), 'ms', '<=20');
}

/** Virtual seconds a second, at rest and with the core at work on an image. */
async function run(page) {
  const logger = new VirtualLogger(page);
  const { worker } = logger;
  const clock = () => worker.evaluate(() => [wasm_bindgen.virtual_milliseconds(), performance.now()]);
  const speed = ([virtual, real], [laterVirtual, laterReal]) => (laterVirtual - virtual) / (laterReal - real);
  await worker.evaluate(() => wasm_bindgen.set_speed(1000));
  const idle = await clock();
  await page.waitForTimeout(2000);
  figure('virtual-logger-at-rest', speed(idle, await clock()).toFixed(1), 'x', '>=4');
  await logger.pick('bench-full-b.bin', firmwareFile('bench-full-b.bin'));
  await logger.startButton.waitFor();
  const start = await clock();
  await logger.startButton.click();
  await logger.step('confirmed').and(page.locator('[data-state=done]')).waitFor({ timeout: 60_000 });
  figure('virtual-logger-updating', speed(start, await clock()).toFixed(1), 'x', '>=4');
}

/** A month of records, from a logger on a serial port: what holds up the page while they come, and while they are moved. */
async function month(url) {
  const device = await Device.startWithMonth();
  const page = await browser.newPage();
  await page.goto(url);
  await page.evaluate(() => navigator.serial.getPorts());
  await device.pace(4);
  await device.plug();
  const records = new RecordsPage(page, chooser);
  await records.connect();
  await records.open();
  const whole = await watchTasks(page);
  await records.button('Read the records').click();
  while ((await records.percent()) < 100) await page.waitForTimeout(500);
  figure('month-coming-longest-task', (await whole()).tasks.at(-1).toFixed(1), 'ms', '<=50');
  await records.button('Come closer').click();
  const moved = await watchTasks(page);
  const apart = await records.moveAbout();
  const { tasks, frames } = await moved();
  const [seen, time] = [apart.length, apart.reduce((sum, each) => sum + each, 0)];
  figure('a-million-records-moved', ((1000 * seen) / time).toFixed(1), 'frames/s', '>=59');
  figure('a-million-records-frame', most(frames).toFixed(1), 'ms', '<=16');
  figure('a-million-records-longest-task', tasks.at(-1).toFixed(1), 'ms', '<=50');
  await device.stop();
}
