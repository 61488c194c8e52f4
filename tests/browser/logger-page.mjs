// The page as a person meets it: what is on it is found by role, name and the facts it states.
import { expect } from '@playwright/test';
import { digestOf } from './device.mjs';
import { firmwareFile } from './places.mjs';

export class LoggerPage {
  constructor(page, chooser) {
    this.page = page;
    this.chooser = chooser;
    this.update = page.getByRole('region', { name: 'Update' });
    this.refusal = this.update.getByRole('alert');
    this.wayBack = this.update.getByText('Go back to the version before');
    this.startButton = this.update.getByRole('button', { name: /^Update to / });
  }

  /** A fact the page states of the logger: firmware, serial, records, digest. */
  fact(name) {
    return this.page.locator(`[data-fact="${name}"]`);
  }

  step(name) {
    return this.page.locator(`ol.steps li[data-step="${name}"]`);
  }

  tab(name) {
    return this.page.getByRole('tab', { name });
  }

  /** First visit: the person allows the logger in the browser's chooser. */
  async connect() {
    await this.page.getByRole('button', { name: 'Connect a logger' }).click();
    await this.chooser.pickFirst();
    await this.expectConnected();
  }

  async expectConnected() {
    await expect(this.fact('firmware')).toBeVisible();
    await expect(this.page.getByRole('heading', { level: 1 })).not.toBeEmpty();
  }

  /** Lets go of a file over the page, as from a file manager. */
  async drop(name, bytes) {
    const transfer = await this.page.evaluateHandle(
      ([name, base64]) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name));
        return transfer;
      },
      [name, bytes.toString('base64')],
    );
    for (const type of ['dragenter', 'dragover', 'drop']) {
      await this.page.dispatchEvent('body', type, { dataTransfer: transfer });
    }
  }

  /** Picks a file in the file dialog. */
  async pick(name, buffer) {
    await this.page.getByLabel('Firmware file').setInputFiles({ name, mimeType: 'application/octet-stream', buffer });
  }

  async start(version) {
    await this.update.getByRole('button', { name: `Update to ${version}` }).click();
  }

  async expectRuns(version) {
    const escaped = version.replaceAll('.', '\\.');
    await expect(this.page.getByRole('status').filter({ hasText: new RegExp(`${escaped} is running`) })).toBeVisible({
      timeout: 45_000,
    });
    await expect(this.fact('firmware')).toContainText(version);
    for (const name of ['checked', 'copied', 'restarted', 'installed', 'started', 'confirmed']) {
      await expect(this.step(name)).toHaveAttribute('data-state', 'done');
    }
  }

  /** How many records the logger has taken, as the page shows it. */
  async records() {
    return Number((await this.fact('records').innerText()).replaceAll(/\D/g, ''));
  }
}

/** The page with its virtual logger, as a person works it. */
export class VirtualLogger extends LoggerPage {
  constructor(page, chooser) {
    super(page, chooser);
    this.bench = page.getByRole('region', { name: 'Virtual logger' });
  }

  async try() {
    await this.page.getByRole('button', { name: 'Try a virtual logger' }).click();
    await this.expectConnected();
  }

  hand(name) {
    return this.bench.getByRole('button', { name });
  }

  async useSample() {
    await this.page.getByRole('button', { name: 'Use the sample update 1.1.0' }).click();
    await expect(this.startButton).toBeVisible();
  }

  /** The Worker that it runs in. */
  get worker() {
    return this.page.workers().find((worker) => worker.url().includes('virtual-logger'));
  }

  /** Virtual seconds a second. */
  pace(speed) {
    return this.worker.evaluate((speed) => wasm_bindgen.set_speed(speed), speed);
  }

  /** How much the logger has kept of the image, in bytes. */
  async kept() {
    return Number(await this.update.getByRole('progressbar').getAttribute('aria-valuenow'));
  }

  /** An interrupted transfer goes on: its rate is shown, however shortly. */
  async goesOn() {
    await expect.poll(() => this.update.textContent(), { intervals: [20] }).toContain('KB/s');
  }

  async expectRecording() {
    await expect(this.fact('state')).toHaveText('Recording');
  }

  /** The logger itself reports the image of the sample update, confirmed. */
  async expectTheSample() {
    await this.expectRecording();
    await expect(this.fact('firmware')).toHaveText('1.1.0');
    await expect(this.fact('digest')).toHaveText(digestOf(firmwareFile('logger-1.1.0.bin')).slice(0, 16));
    await expect(this.page.getByText('confirmed · image')).toBeVisible();
  }
}
