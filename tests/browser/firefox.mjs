// Firefox, driven over Marionette, the protocol that it has itself: length, colon, JSON. Playwright drives only a Firefox
// of its own build. With Marionette the browser's own windows can be worked too, as a person would.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { firefox } from './places.mjs';

/** Longest that anything on the page may take, in milliseconds. */
const PATIENCE = 45_000;
/** Key of an element in WebDriver's JSON (W3C WebDriver, 12.2). */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
/** No talk with servers, and a port for Marionette that is free. */
const PREFERENCES = {
  'marionette.port': 0,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'app.update.disabledForTesting': true,
  'services.settings.server': 'data:,',
};

export class Firefox {
  #child;
  #profile;
  #socket;
  #received = Buffer.alloc(0);
  #lastId = 0;
  #waiting = new Map();
  #output = '';

  /** Starts it with a profile that knows nothing, without a window that is seen. */
  static async start() {
    const browser = new Firefox();
    await browser.#connect();
    await browser.#send('WebDriver:NewSession', { capabilities: { alwaysMatch: { pageLoadStrategy: 'normal' } } });
    return browser;
  }

  constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), 'logdock-firefox-'));
    const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
    writeFileSync(join(this.#profile, 'user.js'), lines.join(''));
    const flags = ['--headless', '--marionette', '--remote-allow-system-access', '--no-remote', '--profile', this.#profile];
    this.#child = spawn(firefox(), flags, { env: { ...process.env, HOME: this.#profile } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.on('data', (text) => (this.#output += text));
    this.#child.on('error', (error) => (this.#output += error.message));
  }

  async #connect() {
    const file = join(this.#profile, 'MarionetteActivePort');
    for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(50)) {
      const port = Number(read(file));
      const socket = port > 0 && (await new Promise((resolve) => {
        const opened = connect(port, '127.0.0.1', () => resolve(opened)).on('error', () => resolve(null));
      }));
      if (socket) {
        this.#socket = socket;
        socket.on('data', (bytes) => this.#take(bytes));
        socket.on('close', () => this.#waiting.forEach(({ reject }) => reject(new Error(`Firefox ended. ${this.#output}`))));
        return;
      }
    }
    throw new Error(`Firefox does not answer. ${this.#output}`);
  }

  #take(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const colon = this.#received.indexOf(':');
      const end = colon + 1 + Number(this.#received.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || this.#received.length < end) return;
      const message = JSON.parse(this.#received.subarray(colon + 1, end));
      this.#received = this.#received.subarray(end);
      // The first one is a greeting.
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new Error(`${error.error}: ${error.message}`));
      else resolve(result);
    }
  }

  #send(name, parameters = {}) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      const text = JSON.stringify([0, id, name, parameters]);
      this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
  }

  goto(url) {
    return this.#send('WebDriver:Navigate', { url });
  }

  reload() {
    return this.#send('WebDriver:Refresh');
  }

  /** What a function gives that runs in the page. */
  async evaluate(script, ...args) {
    const { value } = await this.#send('WebDriver:ExecuteScript', { script: `return (${script})(...arguments)`, args });
    return value;
  }

  /** The same in the browser's own window. */
  async evaluateInBrowser(script, ...args) {
    await this.#send('Marionette:SetContext', { value: 'chrome' });
    try {
      return await this.evaluate(script, ...args);
    } finally {
      await this.#send('Marionette:SetContext', { value: 'content' });
    }
  }

  /** Waits until a function that runs in the page gives something, and gives that. */
  async until(what, script, ...args) {
    return this.#wait(what, () => this.evaluate(script, ...args));
  }

  /** The same in the browser's own window. */
  async untilInBrowser(what, script, ...args) {
    return this.#wait(what, () => this.evaluateInBrowser(script, ...args));
  }

  async #wait(what, look) {
    for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(100)) {
      const seen = await look();
      if (seen) return seen;
    }
    throw new Error(`${what}: not within ${PATIENCE / 1000} s. The page says: ${await this.evaluate(() => document.body.innerText)}`);
  }

  /** Waits for a button that can be pressed, and presses it as a mouse does. */
  async press(label) {
    const xpath = `//button[not(@disabled) and normalize-space()="${label}"]`;
    const element = await this.#find('xpath', xpath);
    await this.#send('WebDriver:ElementClick', { id: element });
  }

  /** Picks a file of this computer in a file dialog. */
  async pick(selector, path) {
    await this.#send('WebDriver:ElementSendKeys', { id: await this.#find('css selector', selector), text: path });
  }

  #find(using, value) {
    return this.#wait(value, async () => {
      const found = await this.#send('WebDriver:FindElements', { using, value });
      return found[0]?.[ELEMENT];
    });
  }

  async stop() {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    // It may end before it answers.
    await this.#send('Marionette:Quit', { flags: ['eForceQuit'] }).catch(() => {});
    await ended;
    clearTimeout(timer);
    rmSync(this.#profile, { recursive: true, force: true });
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
