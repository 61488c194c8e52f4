// Web Serial over WebUSB, for browsers that have the one and not the other: as much of it as the page uses
// (src/link/serial.rs). Loaded only there. It knows a logger's interface by its class and nothing of what is said over it.

/** The logger's vendor interface (firmware/board/src/usb.rs), as filters of WebUSB name it. */
const KIND = { classCode: 0xff, subclassCode: 0x4c, protocolCode: 0x44 };
/** What is asked for at a time, in bytes, and how often before the first answer is there. */
const LENGTH = 16_384;
const AHEAD = 2;

const interfaceOf = (device) =>
  device.configurations
    .flatMap(({ interfaces }) => interfaces)
    .find(({ alternates: [{ interfaceClass, interfaceSubclass, interfaceProtocol }] }) =>
      [interfaceClass, interfaceSubclass, interfaceProtocol].every((code, index) => code === Object.values(KIND)[index]),
    );

/** A logger; the same one for as long as the page is there, however often it comes and goes. */
class Port {
  readable = null;
  writable = null;

  getInfo() {
    return { usbVendorId: this.device.vendorId, usbProductId: this.device.productId };
  }

  async open() {
    const { device } = this;
    const { interfaceNumber, alternates } = interfaceOf(device);
    const endpoint = (wanted) => alternates[0].endpoints.find(({ direction }) => direction === wanted).endpointNumber;
    const [from, to] = [endpoint('in'), endpoint('out')];
    await device.open();
    try {
      if (!device.configuration) await device.selectConfiguration(device.configurations[0].configurationValue);
      await device.claimInterface(interfaceNumber);
    } catch (error) {
      await device.close();
      throw error;
    }
    const lose = (controller) => {
      // Whatever the reason, it is not to be read again.
      this.readable = null;
      controller.error(new DOMException('The device has been lost.', 'NetworkError'));
    };
    const asked = [];
    const ask = () => {
      const transfer = device.transferIn(from, LENGTH);
      // One that nobody waits for any more fails when the device is closed.
      transfer.catch(() => {});
      asked.push(transfer);
    };
    this.readable = new ReadableStream(
      {
        async pull(controller) {
          try {
            for (;;) {
              while (asked.length < AHEAD) ask();
              const { data, status } = await asked.shift();
              if (status === 'stall') await device.clearHalt('in', from);
              // An empty one only ends what came before it.
              if (data?.byteLength) return controller.enqueue(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
            }
          } catch {
            lose(controller);
          }
        },
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream({
      // What is under way would not end by itself.
      start: ({ signal }) => signal.addEventListener('abort', () => device.close().catch(() => {})),
      async write(bytes) {
        const { status } = await device.transferOut(to, bytes);
        if (status === 'stall') await device.clearHalt('out', to);
      },
    });
  }

  close() {
    this.readable = this.writable = null;
    return this.device.close();
  }
}

/** Ports by serial number: a logger that restarts is another device to WebUSB. */
const ports = new Map();
const portOf = (device) => {
  const port = ports.get(device.serialNumber) ?? new Port();
  port.device = device;
  ports.set(device.serialNumber, port);
  return port;
};

class Serial extends EventTarget {
  constructor() {
    super();
    navigator.usb.addEventListener('connect', () => this.dispatchEvent(new Event('connect')));
  }

  async getPorts() {
    return (await navigator.usb.getDevices()).filter(interfaceOf).map(portOf);
  }

  async requestPort({ filters }) {
    const ours = filters.map(({ usbVendorId, usbProductId }) => ({
      vendorId: usbVendorId,
      productId: usbProductId,
      ...KIND,
    }));
    return portOf(await navigator.usb.requestDevice({ filters: ours }));
  }
}

Object.defineProperty(navigator, 'serial', { value: new Serial() });
