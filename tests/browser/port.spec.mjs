// The virtual port behaves as hardware does. Without this, no test of the page proves anything.
import { expect, test } from './fixtures.mjs';
import { selftest } from './places.mjs';

test.use({ folder: selftest });

/** pid.codes' test identity, which both programs of the logger carry. */
const IDENTITY = { usbVendorId: 0x1209, usbProductId: 0x0001 };
/** No frame: the logger answers that it was damaged. */
const DAMAGED = [1, 2, 3, 4, 5, 6, 0];

const link = (page, call, argument) => page.evaluate(([call, argument]) => window.link[call](argument), [call, argument]);
const value = (page, name) => page.evaluate((name) => window.link[name], name);

async function choose(page, chooser) {
  await page.getByRole('button', { name: 'Choose' }).click();
  await chooser.pickFirst();
  await expect.poll(() => page.evaluate(() => window.link.port !== null)).toBe(true);
}

async function expectAnAnswer(page) {
  const answer = await link(page, 'ask', DAMAGED);
  expect(answer.length, 'bytes before the closing zero').toBeGreaterThan(1);
}

/** Opens the port, lets `happen` take it away, and expects it back with its permission. */
async function loseAndRegain(page, device, happen) {
  await link(page, 'open');
  await expectAnAnswer(page);
  await link(page, 'readUntilLost');
  const connects = await value(page, 'connects');
  await happen();
  expect(await value(page, 'lost')).toBe('NetworkError');
  await expect.poll(() => value(page, 'disconnects')).toBe(1);
  if (!(await device.status()).cable) await device.plug();
  await expect.poll(() => value(page, 'connects')).toBe(connects + 1);
  await link(page, 'open');
  await expectAnAnswer(page);
}

test('a plugged logger stands in the chooser with its identity, and answers', async ({ page, device, chooser }) => {
  await device.plug();
  await choose(page, chooser);
  expect(await page.evaluate(() => window.link.port.getInfo())).toEqual(IDENTITY);
  await link(page, 'open');
  await expectAnAnswer(page);
});

test('a chooser that is cancelled gives no port', async ({ page, device, chooser }) => {
  await device.plug();
  await page.getByRole('button', { name: 'Choose' }).click();
  await chooser.cancel();
  await expect.poll(() => value(page, 'refused')).toBe('NotFoundError');
});

test('a port that was closed can be opened again', async ({ page, device, chooser }) => {
  await device.plug();
  await choose(page, chooser);
  for (let time = 0; time < 3; time++) {
    await link(page, 'open');
    await expectAnAnswer(page);
    await link(page, 'close');
  }
});

test('a pulled plug ends a pending read, and the permission outlives it', async ({ page, device, chooser }) => {
  await device.plug();
  await choose(page, chooser);
  await loseAndRegain(page, device, () => device.unplug());
});

test('a power cut takes the port away, and with power it comes back', async ({ page, device, chooser }) => {
  await device.plug();
  await choose(page, chooser);
  await loseAndRegain(page, device, () => device.cut());
  expect((await device.status()).resets.power_on).toBe(2);
});

test('a reset makes the port vanish and come back by itself', async ({ page, device, chooser }) => {
  await device.plug();
  await choose(page, chooser);
  await loseAndRegain(page, device, () => device.reset());
  expect((await device.status()).resets.pin).toBe(1);
});
