// `navigator.usb` of a page, with the emulated USB host behind it and the real firmware behind that.
//
// A real one cannot be had here: Chromium reaches USB devices through the kernel's usbfs (/dev/bus/usb), and a device
// that is made of software gets there only with vhci_hcd or dummy_hcd, modules that a container or a kernel without USB
// lacks. So transfers are passed on as the page asks for them and end as they end on the bus; nothing here knows what is
// in them. What the browser adds of its own is kept as the specification has it: permission by a choice that a click
// led to, devices that are other ones after a restart, states in which a transfer is refused.

/** One logger, and what the page may do with it. */
export class UsbBridge {
  /** How often the person was asked for a device. */
  choices = 0;
  /** Bytes that the logger has taken. */
  taken = 0;
  #page;
  #logger;
  #present = null;
  #generation = 0;
  #allowed = new Set();
  #waiting = { control: [], sent: [], brought: [] };
  /** Transfers are being given up: what still comes belongs to them. */
  #closing = 0;

  /** Puts itself in the place of the page's Web Serial and WebUSB. */
  static async install(page, logger) {
    const bridge = new UsbBridge(page, logger);
    await page.exposeFunction('usbBridge', (what, ...values) => bridge.#answer(what, values));
    await page.addInitScript(inThePage);
    logger.listen((line) => bridge.#news(line));
    return bridge;
  }

  constructor(page, logger) {
    this.#page = page;
    this.#logger = logger;
  }

  async #news(line) {
    const [kind, ...words] = line.split(' ');
    if (kind in this.#waiting) {
      if (!this.#closing) this.#waiting[kind].shift().resolve(words[0] ?? '');
    } else if (kind === 'plugged') {
      const [vendorId, productId] = words[1].split(':').map((digits) => parseInt(digits, 16));
      const { device, configuration } = JSON.parse(await this.#logger.command('usb descriptors'));
      this.#generation += 1;
      this.#present = {
        generation: this.#generation,
        vendorId,
        productId,
        serialNumber: words[2],
        usbVersion: parseInt(device.slice(6, 8), 16),
        configurations: [parse(Buffer.from(configuration, 'hex'))],
      };
      if (this.#visible) await this.#tell('connect', this.#visible);
    } else if (kind === 'unplugged') {
      const gone = this.#visible;
      this.#present = null;
      this.#fail('NetworkError', 'The device was disconnected.');
      if (gone) await this.#tell('disconnect', gone);
    }
  }

  async #tell(event, info) {
    // A page that is being loaded hears of nothing.
    await this.#page.evaluate(([event, info]) => window.usbEvent?.(event, info), [event, info]).catch(() => {});
  }

  get #visible() {
    return this.#present && this.#allowed.has(this.#present.serialNumber) ? this.#present : null;
  }

  #fail(name, message) {
    for (const waiting of Object.values(this.#waiting)) {
      for (const { resolve } of waiting.splice(0)) resolve({ name, message });
    }
  }

  /** `which` is the device that is meant: one that is gone does nothing more. */
  async #answer(what, [which, first, second]) {
    if (what === 'device') return this.#visible;
    if (what === 'choose') {
      this.choices += 1;
      if (!this.#present || !which.some((filter) => matches(this.#present, filter))) return null;
      this.#allowed.add(this.#present.serialNumber);
      return this.#visible;
    }
    if (which !== this.#present?.generation) return { name: 'NetworkError', message: 'The device was disconnected.' };
    switch (what) {
      case 'control':
        return this.#transfer('control', `usb control ${first} ${second}`);
      case 'send': {
        const end = await this.#transfer('sent', `usb send ${first}`);
        if (typeof end === 'string') this.taken += first.length / 2;
        return end;
      }
      case 'ask':
        return this.#transfer('brought', `usb ask ${first}`);
      case 'close':
        this.#fail('AbortError', 'The transfer was cancelled.');
        this.#closing += 1;
        await this.#logger.command('usb cancel');
        this.#closing -= 1;
        return null;
    }
    throw new Error(`${what} is nothing that a page asks`);
  }

  #transfer(kind, command) {
    return new Promise((resolve) => {
      const waiting = { resolve };
      this.#waiting[kind].push(waiting);
      this.#logger.command(command).catch(({ message }) => {
        this.#waiting[kind] = this.#waiting[kind].filter((other) => other !== waiting);
        resolve({ name: 'NetworkError', message });
      });
    });
  }
}

/** USB 2.0, 9.6: what a browser makes of a configuration's descriptors. */
function parse(bytes) {
  const interfaces = [];
  for (let at = 0; at < bytes.length; at += bytes[at]) {
    const [, type, first, second, , fifth, sixth, seventh] = bytes.subarray(at);
    if (type === 4) {
      const alternate = {
        alternateSetting: second,
        interfaceClass: fifth,
        interfaceSubclass: sixth,
        interfaceProtocol: seventh,
        endpoints: [],
      };
      interfaces.push({ interfaceNumber: first, alternates: [alternate] });
    } else if (type === 5) {
      interfaces.at(-1).alternates[0].endpoints.push({
        endpointNumber: first & 0xf,
        direction: first & 0x80 ? 'in' : 'out',
        type: ['control', 'isochronous', 'bulk', 'interrupt'][second & 3],
        packetSize: bytes.readUInt16LE(at + 4),
      });
    }
  }
  return { configurationValue: bytes[5], interfaces };
}

/** WebUSB, 5.1: whether a device matches a filter. */
function matches({ vendorId, productId, configurations }, filter) {
  const kinds = configurations.flatMap(({ interfaces }) => interfaces.flatMap(({ alternates }) => alternates));
  return (
    (filter.vendorId ?? vendorId) === vendorId &&
    (filter.productId ?? productId) === productId &&
    (filter.classCode === undefined ||
      kinds.some(
        (kind) =>
          kind.interfaceClass === filter.classCode &&
          (filter.subclassCode ?? kind.interfaceSubclass) === kind.interfaceSubclass &&
          (filter.protocolCode ?? kind.interfaceProtocol) === kind.interfaceProtocol,
      ))
  );
}

/** Runs before the page's own scripts. */
function inThePage() {
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const fail = (name, message) => {
    throw new DOMException(message, name);
  };
  const transfer = async (...asked) => {
    const end = await window.usbBridge(...asked);
    return typeof end === 'string' ? end : fail(end.name, end.message);
  };

  class Device {
    opened = false;
    configuration = null;
    #claimed = new Set();

    constructor(info) {
      Object.assign(this, info);
    }

    async open() {
      if (current !== this) fail('NotFoundError', 'The device was disconnected.');
      this.opened = true;
      // The system has configured it.
      [this.configuration] = this.configurations;
    }

    async close() {
      if (!this.opened) return;
      this.opened = false;
      this.#claimed.clear();
      await window.usbBridge('close', this.generation);
    }

    async claimInterface(number) {
      if (!this.opened) fail('InvalidStateError', 'The device must be opened first.');
      const { alternates } = this.configuration.interfaces.find(({ interfaceNumber }) => interfaceNumber === number);
      // The system's own driver has the serial port.
      if (alternates[0].interfaceClass !== 0xff) fail('NetworkError', 'Unable to claim interface.');
      this.#claimed.add(number);
    }

    #check(number, wanted) {
      if (!this.opened) fail('InvalidStateError', 'The device must be opened first.');
      const found = this.configuration.interfaces.some(
        ({ interfaceNumber, alternates: [{ endpoints }] }) =>
          this.#claimed.has(interfaceNumber) &&
          endpoints.some(({ endpointNumber, direction }) => endpointNumber === number && direction === wanted),
      );
      if (!found) fail('NotFoundError', 'The specified endpoint is not part of a claimed interface.');
    }

    async transferIn(endpoint, length) {
      this.#check(endpoint, 'in');
      const data = bytes(await transfer('ask', this.generation, length));
      return { status: 'ok', data: new DataView(data.buffer) };
    }

    async transferOut(endpoint, data) {
      this.#check(endpoint, 'out');
      await transfer('send', this.generation, hex(data));
      return { status: 'ok', bytesWritten: data.length };
    }

    async controlTransferIn({ requestType, recipient, request, value, index }, length) {
      if (!this.opened) fail('InvalidStateError', 'The device must be opened first.');
      const type =
        0x80 | (['standard', 'class', 'vendor'].indexOf(requestType) << 5) | ['device', 'interface', 'endpoint'].indexOf(recipient);
      const halves = [value, index, length].flatMap((half) => [half & 0xff, half >> 8]);
      const end = await transfer('control', this.generation, hex([type, request, ...halves]), '');
      return end === 'stalled' ? { status: 'stall' } : { status: 'ok', data: new DataView(bytes(end).buffer) };
    }
  }

  let current = null;
  const deviceOf = (info) => {
    if (current?.generation !== info?.generation) current = info && new Device(info);
    return current;
  };

  class Usb extends EventTarget {
    async getDevices() {
      const device = deviceOf(await window.usbBridge('device'));
      return device ? [device] : [];
    }

    async requestDevice({ filters }) {
      if (!navigator.userActivation.isActive) fail('SecurityError', 'Must be handling a user gesture.');
      const info = await window.usbBridge('choose', filters);
      return info ? deviceOf(info) : fail('NotFoundError', 'No device selected.');
    }
  }

  const usb = new Usb();
  window.usbEvent = (event, info) => {
    const device = deviceOf(info);
    if (event === 'disconnect') current = null;
    usb.dispatchEvent(Object.assign(new Event(event), { device }));
  };
  // What a browser has is on the prototype; the page's own may go before it.
  Object.defineProperty(Navigator.prototype, 'serial', { value: undefined, configurable: true });
  Object.defineProperty(Navigator.prototype, 'usb', { value: usb });
}
