// The Records tab as a person meets it, and how smoothly it goes.
import { expect } from '@playwright/test';
import { LoggerPage } from './logger-page.mjs';

export class RecordsPage extends LoggerPage {
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
    const bars = this.card.getByRole('progressbar');
    return bars.evaluateAll(([bar]) => Number(bar?.getAttribute('aria-valuenow') ?? 100));
  }

  /** How many records are in this browser. */
  async copied() {
    const [number] = (await this.copy.innerText()).match(/^[\d\u202f]+/) ?? ['0'];
    return Number(number.replaceAll(/\D/g, ''));
  }

  /** Saves a table; gives its file. */
  async save(name) {
    const saving = this.page.waitForEvent('download', { timeout: 420_000 });
    await this.button(name).click();
    const saved = await saving;
    return { name: saved.suggestedFilename(), path: await saved.path() };
  }

  /** How many records are summed up below the chart. */
  async shown() {
    const [number] = (await this.card.locator('caption').innerText()).match(/^[\d\u202f]+/);
    return Number(number.replaceAll(/\D/g, ''));
  }

  /**
   * Drags the chart there and back, comes closer and goes away again; gives milliseconds from each frame to the next, from
   * the shortest to the longest.
   */
  async moveAbout() {
    const { page } = this;
    await this.chart.scrollIntoViewIfNeeded();
    const box = await this.chart.boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + 100];
    await page.mouse.move(x, y);
    const watched = await page.evaluateHandle(() => {
      const watched = { apart: [], ended: false };
      let before;
      const look = (now) => {
        if (before) watched.apart.push(now - before);
        before = now;
        if (!watched.ended) requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
      return watched;
    });
    await page.mouse.down();
    for (let step = 0; step < 120; step++) await page.mouse.move(x - 2 * (step < 60 ? step : 120 - step), y);
    await page.mouse.up();
    for (let step = 0; step < 60; step++) await page.mouse.wheel(0, step < 30 ? -40 : 40);
    return watched.evaluate((watched) => {
      watched.ended = true;
      return watched.apart.sort((a, b) => a - b);
    });
  }
}

/**
 * Watches what holds up the page; gives a function that ends that and says how long each task took, and how long the page's
 * part of each frame, in milliseconds and from the shortest to the longest.
 *
 * The emulated logger, the helper and the browser itself share the processors with the page, and these may be another
 * computer's too: a task that waits for one takes long by the clock, and one that the whole computer is stopped in takes
 * long by the thread's own clock. The page has its part in what both say.
 */
export async function watchTasks(page) {
  const browser = page.context().browser();
  await browser.startTracing(page, { categories: ['toplevel', 'cc'] });
  return async () => {
    const { traceEvents } = JSON.parse(await browser.stopTracing());
    const isMain = ({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain';
    const thread = ({ pid, tid }) => `${pid}.${tid}`;
    const mains = new Set(traceEvents.filter(isMain).map(thread));
    const events = traceEvents.filter((event) => event.tdur && mains.has(thread(event)));
    const times = (events) => events.map(({ dur, tdur }) => Math.min(dur, tdur) / 1000).sort((a, b) => a - b);
    expect(events.length, 'tasks were seen').toBeGreaterThan(100);
    const frames = times(events.filter(({ name }) => name === 'ProxyMain::BeginMainFrame'));
    expect(frames.length, 'frames were seen').toBeGreaterThan(10);
    return { tasks: times(events), frames };
  };
}

/** What is not exceeded by 19 of 20. */
export const most = (sorted) => sorted[Math.floor(sorted.length * 0.95)];
