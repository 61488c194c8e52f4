// The virtual logger: the emulated chip with the firmware's own binaries, as a serial port of this computer.
// What a test learns here comes from the device's memory, never from the page.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { firmware, month, virtual } from './places.mjs';

/** Where the application's image begins in flash. */
const SLOT = 0x0800_7000;
/** Longest that anything the device does by itself may take, in milliseconds. */
const PATIENCE = 20_000;
const isNews = (line) => /^(plugged |unplugged$|halted: |note: |usart |control |sent$|brought )/.test(line);

export class Device {
  #child;
  #answers = [];
  #news = [];
  #listeners = new Set();
  #errors = '';
  #ended = null;

  /**
   * A logger on its battery, with the cable not yet plugged: as it leaves the factory, running 1.0.0, or with other
   * firmware. `options` are the virtual logger's.
   */
  static async start(file = 'factory-1.0.0.hex', options = []) {
    const device = new Device(file, options);
    await device.status();
    return device;
  }

  /** One that recorded for a month. It works on copies of what it remembers, which go with it. */
  static async startWithMonth() {
    const folder = mkdtempSync(join(tmpdir(), 'logdock-month-'));
    const options = ['nand', 'eeprom'].flatMap((memory) => {
      const copy = join(folder, `month.${memory}`);
      copyFileSync(join(month, `month.${memory}`), copy);
      return [`--${memory}`, copy];
    });
    const device = new Device('factory-1.0.0.hex', options);
    device.#child.once('close', () => rmSync(folder, { recursive: true }));
    await device.status();
    return device;
  }

  constructor(file, options) {
    this.#child = spawn(virtual, ['--unplugged', ...options, join(firmware, file)]);
    this.#child.stderr.on('data', (text) => (this.#errors += text));
    // What a write to an ended program means is said by its end.
    this.#child.stdin.on('error', () => {});
    this.#child.on('error', (error) => this.#end(`${virtual} cannot be started: ${error.message}`));
    this.#child.on('close', () => this.#end(`the virtual logger ended. ${this.#errors}`));
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (isNews(line)) {
        this.#news.push(line);
        for (const listener of [...this.#listeners]) listener(line);
      } else {
        this.#answers.shift()?.resolve(line);
      }
    });
  }

  #end(reason) {
    this.#ended ??= new Error(reason);
    for (const { reject } of this.#answers.splice(0)) reject(this.#ended);
  }

  /** Sends one command and gives its answer. */
  async command(line) {
    if (this.#ended) throw this.#ended;
    const answer = await new Promise((resolve, reject) => {
      this.#answers.push({ resolve, reject });
      this.#child.stdin.write(`${line}\n`);
    });
    if (answer.startsWith('error:')) throw new Error(`${line}: ${answer}`);
    return answer.replace(/^ok ?/, '');
  }

  /** Sends a command and waits for what follows from it. */
  async #commandThen(line, expected) {
    const seen = this.#news.length;
    await this.command(line);
    return this.#newsFrom(expected, seen);
  }

  /** Every report of the chip's having stopped: a fault in the firmware, or something that is not modelled. */
  get halts() {
    return this.#news.filter((line) => line.startsWith('halted: '));
  }

  /** Waits for news that begins with `expected`, from place `from` on. */
  #newsFrom(expected, from) {
    return new Promise((resolve, reject) => {
      const find = () => this.#news.slice(from).find((line) => line.startsWith(expected));
      const done = (finish, value) => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        finish(value);
      };
      const look = () => {
        const line = find();
        if (line) done(resolve, line);
      };
      const timer = setTimeout(() => {
        const heard = this.#news.slice(from).join('; ') || 'nothing';
        done(reject, new Error(`the logger was to say "${expected}", but said: ${heard}. ${this.#errors}`));
      }, PATIENCE);
      this.#listeners.add(look);
      look();
    });
  }

  /** Tells of each piece of news from now on. */
  listen(listener) {
    this.#listeners.add(listener);
  }

  plug() {
    return this.#commandThen('plug', 'plugged');
  }

  unplug() {
    return this.#commandThen('unplug', 'unplugged');
  }

  /** Takes battery and cable away. */
  cut() {
    return this.#commandThen('cut', 'unplugged');
  }

  /** Pulls NRST; the port vanishes and comes back. */
  async reset() {
    const seen = this.#news.length;
    await this.command('reset');
    await this.#newsFrom('unplugged', seen);
    return this.#newsFrom('plugged', seen);
  }

  /** Virtual seconds a second. */
  pace(speed) {
    return this.command(`pace ${speed}`);
  }

  async status() {
    return JSON.parse(await this.command('status'));
  }

  /** Bytes of flash, EEPROM or RAM. */
  async read(address, length) {
    return Buffer.from(await this.command(`read ${address} ${length}`), 'hex');
  }

  /** The image in the application's slot, as the device's own flash holds it: version and SHA-256. */
  async image() {
    const header = await this.read(SLOT, 32);
    const version = `${header[20]}.${header[21]}.${header.readUInt16LE(22)}`;
    const hashed = hashedLength(header);
    const digest = createHash('sha256').update(await this.read(SLOT, hashed)).digest('hex');
    return { version, digest };
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2000);
    await ended;
    clearTimeout(timer);
  }
}

/** Bytes that an image's digest covers: header, payload and protected TLVs (MCUboot's image format). */
export const hashedLength = (header) => header.readUInt16LE(8) + header.readUInt32LE(12) + header.readUInt16LE(10);

/** SHA-256 of an image file (.bin), over the bytes that its digest covers. */
export const digestOf = (image) => createHash('sha256').update(image.subarray(0, hashedLength(image))).digest('hex');
