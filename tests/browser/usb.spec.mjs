// A browser with WebUSB and without Web Serial: the same jobs over the logger's vendor interface.
import { readFileSync } from 'node:fs';
import { expect, test as base } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';
import { RecordsPage } from './records-page.mjs';
import { UsbBridge } from './usb-bridge.mjs';

class UsbLoggerPage extends LoggerPage {
  async connect() {
    await this.page.getByRole('button', { name: 'Connect a logger' }).click();
    await this.expectConnected();
  }
}

const test = base.extend({
  /** The page, the logger on it, and what lies between. */
  usb: async ({ started, site, device }, use) => {
    const page = await started.context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    const bridge = await UsbBridge.install(page, device);
    await page.goto(site);
    await use({ page, bridge, logger: new UsbLoggerPage(page) });
    expect(errors, 'the page threw nothing that it did not catch').toEqual([]);
  },
});

async function expectTheDeviceRuns(device, version) {
  expect(await device.image()).toEqual({ version, digest: digestOf(firmwareFile(`logger-${version}.bin`)) });
}

test('an update over WebUSB asks the person once', async ({ usb: { page, bridge, logger }, device }) => {
  await device.plug();
  await logger.connect();
  await expect(logger.fact('firmware')).toContainText('1.0.0');
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  await expectTheDeviceRuns(device, '1.1.0');

  await page.reload();
  await logger.expectConnected();
  await expect(logger.fact('firmware')).toContainText('1.1.0');
  expect(bridge.choices).toBe(1);
  expect((await device.status()).bytes_to_device, 'nothing went over the serial port').toBe(0);
});

test('a plug pulled in the middle of a transfer only delays the update', async ({ usb: { bridge, logger }, device }) => {
  const file = firmwareFile('logger-1.1.0.bin');
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.bin', file);
  await expect(logger.startButton).toBeVisible();
  const before = bridge.taken;

  // Slowly, so that there is a middle to pull the plug in.
  await device.pace(0.05);
  await logger.start('1.1.0');
  const sent = () => bridge.taken - before;
  await expect.poll(sent, { intervals: [20] }).toBeGreaterThan(file.length / 2);
  expect(sent(), 'the transfer is still under way').toBeLessThan(file.length * 0.9);
  await device.unplug();
  await device.pace(1);
  await expect(logger.update).toContainText(/plug it in again/i);
  expect((await device.image()).version).toBe('1.0.0');

  await device.plug();
  await logger.expectRuns('1.1.0');
  await expectTheDeviceRuns(device, '1.1.0');
  expect(bridge.choices).toBe(1);
  expect(sent(), 'it went on from where it stood').toBeLessThan(file.length * 1.05 + 8192);
});

test('a logger that restarts or is unplugged while nothing happens is found again', async ({
  usb: { bridge, logger },
  device,
}) => {
  await device.plug();
  await logger.connect();
  await device.reset();
  await logger.expectConnected();
  await device.unplug();
  await expect(logger.fact('state')).toContainText('Unplugged');
  await device.plug();
  await expect(logger.fact('state')).toHaveText('Recording');
  expect(bridge.choices).toBe(1);
});

test('records come over WebUSB as the logger has them', async ({ usb: { page, logger }, device }) => {
  // More than two segments of them.
  const least = 100;
  await device.pace(32);
  await device.plug();
  await logger.connect();
  const records = new RecordsPage(page);
  await records.open();
  await expect.poll(() => records.records(), { timeout: 30_000 }).toBeGreaterThan(least);
  await device.pace(1);
  await records.button('Read the records').click();
  await expect.poll(() => records.copied()).toBeGreaterThan(least);
  const { path } = await records.save('Save all as CSV');
  const [header, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\r\n').map((line) => line.split(','));
  expect(lines.length).toBeGreaterThan(least);
  expect(lines.map((cells) => Number(cells[header.indexOf('record')]))).toEqual(lines.map((_, index) => index));
  expect((await device.status()).bytes_to_device, 'nothing went over the serial port').toBe(0);
});

test('when no logger is chosen, the page says why the list may have been empty', async ({ usb: { page, bridge } }) => {
  await page.getByRole('button', { name: 'Connect a logger' }).click();
  await expect(page.getByText('No logger was chosen.')).toBeVisible();
  expect(bridge.choices).toBe(1);
});

test('the firmware tells a browser of its kinds of descriptors, and of nothing that it has not', async ({
  usb: { page, logger },
  device,
}) => {
  await device.plug();
  await logger.connect();
  const results = await page.evaluate(async () => {
    const [device] = await navigator.usb.getDevices();
    const ask = async (requestType, request, value, index, length) => {
      const setup = { requestType, recipient: 'device', request, value, index };
      const { status, data } = await device.controlTransferIn(setup, length);
      return data ? Array.from(new Uint8Array(data.buffer)) : status;
    };
    const store = await ask('standard', 6, 0x0f00, 0, 255);
    const [webusb, microsoft] = [store[5 + 22], store[5 + 24 + 26]];
    return {
      version: device.usbVersion,
      store: store.length,
      set: (await ask('vendor', microsoft, 0, 7, 0xfff)).length,
      told: store[5 + 24 + 24] | (store[5 + 24 + 25] << 8),
      page: await ask('vendor', webusb, 1, 2, 255),
      unknown: await ask('vendor', 0x55, 0, 0, 64),
    };
  });
  expect(results).toEqual({ version: 2, store: 57, set: 178, told: 178, page: 'stall', unknown: 'stall' });
});
