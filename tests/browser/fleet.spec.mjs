// Several loggers at once: each has its card, one file goes onto all of them, and what becomes of one does not touch the
// others.
import AxeBuilder from '@axe-core/playwright';
import { writeFileSync } from 'node:fs';
import { expect, test as base } from './fixtures.mjs';
import { Device, digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

/** First byte of EEPROM that is for settings: see docs/update.md. */
const SETTINGS = 0x40;
/** All that fits there: texts of settings that another firmware has, and this one keeps for it. */
const ROOM = 500;

/** EEPROM without room for one more setting (firmware/update/src/twin.rs, protocol/src/settings.rs). */
function fullEeprom() {
  const setting = (index, length) => [0x80 | index, 6, 3, length, ...Buffer.alloc(length, 'x')];
  const value = Array.from({ length: 14 }, (_, index) => setting(index, index < 13 ? 32 : 28)).flat();
  expect(value).toHaveLength(ROOM);
  const copy = Buffer.alloc(8 + ROOM);
  copy.writeUInt32LE(1, 0);
  copy.writeUInt32LE(ROOM, 4);
  copy.set(value, 8);
  const eeprom = Buffer.alloc(2048);
  eeprom.set(copy, SETTINGS);
  eeprom.writeUInt32LE(crc32(copy), SETTINGS + copy.length);
  return eeprom;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const test = base.extend({
  /** Whether the second logger has no room for settings. */
  secondIsFull: [false, { option: true }],

  /** Three loggers, each with its own serial number. */
  devices: async ({ secondIsFull }, use, info) => {
    const memory = info.outputPath('eeprom');
    if (secondIsFull) writeFileSync(memory, fullEeprom());
    const devices = await Promise.all(
      [1, 2, 3].map((number) => {
        const serial = ['--serial', String(number).padStart(24, '0')];
        const eeprom = secondIsFull && number === 2 ? ['--eeprom', memory] : [];
        return Device.start('factory-1.0.0.hex', [...serial, ...eeprom]);
      }),
    );
    await use(devices);
    for (const device of devices) {
      expect(device.halts, 'the firmware never made the chip stop').toEqual([]);
      await device.stop();
    }
  },
});

/** The page with a fleet on it. */
class FleetPage extends LoggerPage {
  constructor(page, chooser) {
    super(page, chooser);
    this.fleet = page.getByRole('region', { name: 'Loggers' });
    this.cards = this.fleet.getByRole('listitem').locator('button[aria-pressed]');
    this.putAway = this.fleet.getByRole('button', { name: /^Put .+ away$/ });
    this.updateAll = this.fleet.getByRole('button', { name: /^Update \d+ loggers/ });
    this.said = this.fleet.getByRole('status');
  }

  /** Allows them one after the other, as they are plugged in. */
  async connectAll([first, ...others]) {
    await first.plug();
    await this.connect();
    await expect(this.cards, 'one logger looks as one does').toHaveCount(0);
    for (const [index, device] of others.entries()) {
      await device.plug();
      const count = index + 2;
      // In what order the chooser lists them is the browser's matter; one that is connected already is only looked at.
      // On a busy computer one may not answer in time, and is asked once more.
      for (let attempt = 0; attempt < 2 * count && (await this.cards.count()) < count; attempt++) {
        await this.page.getByRole('button', { name: 'Add a logger' }).click();
        await this.chooser.pick(attempt % count);
        await expect(this.cards).toHaveCount(count, { timeout: 4000 }).catch(() => {});
      }
      await expect(this.cards).toHaveCount(count);
    }
  }
}

const versions = (devices) => Promise.all(devices.map(async (device) => (await device.image()).version));

test('each of three loggers has its card, and the one that is looked at its tabs', async ({ page, devices, chooser }) => {
  const fleet = new FleetPage(page, chooser);
  await fleet.connectAll(devices);
  await expect(fleet.fleet.locator('[aria-pressed="true"]')).toHaveCount(1);
  const serials = new Set();
  for (const place of [0, 1, 2]) {
    const card = fleet.cards.nth(place);
    await expect(card).toContainText('1.0.0');
    await expect(card).toContainText('Recording');
    await card.click();
    await expect(card).toHaveAttribute('aria-pressed', 'true');
    await expect(fleet.fact('state')).toHaveText('Recording');
    serials.add(await fleet.fact('serial').innerText());
  }
  expect(serials.size).toBe(3);

  // One goes, stays as a grey card, and is itself again when it comes back; also after a reload, by itself.
  await devices[1].unplug();
  const gone = fleet.cards.filter({ hasText: 'Unplugged' });
  await expect(gone).toHaveCount(1);
  await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(2);
  await devices[1].plug();
  await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(3);
  await page.addInitScript(() => {
    const start = WebAssembly.instantiateStreaming;
    self.started = 0;
    WebAssembly.instantiateStreaming = (...program) => {
      self.started++;
      return start.apply(WebAssembly, program);
    };
  });
  await page.reload();
  await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(3);
  // All three ask for the workbench at once.
  await page.getByRole('tab', { name: 'Settings' }).click();
  await expect(page.getByRole('group', { name: 'Logger', exact: true })).toBeVisible();
  expect(await page.evaluate(() => self.started), 'page and workbench, each once').toBe(2);
});

test('a card whose logger is away can be put away, and the logger may come again', async ({ page, devices, chooser }) => {
  const fleet = new FleetPage(page, chooser);
  await fleet.connectAll(devices);
  await expect(fleet.putAway, 'those that are there stay').toHaveCount(0);
  await fleet.cards.nth(1).click();
  await devices[1].unplug();
  await expect(fleet.putAway).toHaveCount(1);
  await fleet.putAway.focus();
  await page.keyboard.press('Enter');
  await expect(fleet.cards).toHaveCount(2);
  await expect(fleet.fleet.getByRole('list').first(), 'the keyboard goes on from there').toBeFocused();
  await expect(fleet.fleet.locator('[aria-pressed="true"]'), 'another one is looked at').toHaveCount(1);
  await expect(fleet.fact('state')).toHaveText('Recording');
  await devices[1].plug();
  await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(3);

  for (const device of [devices[0], devices[1]]) {
    await device.unplug();
    await fleet.putAway.click();
    await expect(fleet.putAway).toHaveCount(0);
  }
  await expect(fleet.fleet, 'one logger looks as one does').toHaveCount(0);
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused();
  await expect(fleet.fact('serial')).toHaveText(/0003$/);
  await expect(fleet.fact('state')).toHaveText('Recording');
  await devices[0].plug();
  await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(2);
});

test('one file goes onto three loggers, and one that is unplugged in the middle does not hold up the others', async ({
  page,
  devices,
  chooser,
}) => {
  const fleet = new FleetPage(page, chooser);
  await fleet.connectAll(devices);
  await fleet.drop('logger-1.1.0.bin', firmwareFile('logger-1.1.0.bin'));
  await expect(fleet.updateAll).toHaveText('Update 3 loggers to 1.1.0');
  const [, unlucky] = devices;
  const before = (await unlucky.status()).bytes_to_device;
  for (const device of devices) await device.pace(0.05);
  await fleet.updateAll.click();
  await expect
    .poll(async () => (await unlucky.status()).bytes_to_device - before, { intervals: [20] })
    .toBeGreaterThan(8000);
  await unlucky.unplug();
  for (const device of devices) await device.pace(1);
  await expect(fleet.said.getByText('runs 1.1.0, confirmed')).toHaveCount(2, { timeout: 45_000 });
  expect(await versions(devices)).toEqual(['1.1.0', '1.0.0', '1.1.0']);
  await expect(fleet.cards.filter({ hasText: 'Unplugged' })).toHaveCount(1);
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);

  await unlucky.plug();
  await expect(fleet.said.getByText('runs 1.1.0, confirmed')).toHaveCount(3, { timeout: 45_000 });
  expect(await versions(devices)).toEqual(['1.1.0', '1.1.0', '1.1.0']);
  const digest = digestOf(firmwareFile('logger-1.1.0.bin'));
  for (const device of devices) expect((await device.image()).digest).toBe(digest);
  await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(3);
});

test('settings go onto three loggers, and one that is unplugged meanwhile does not hold up the others', async ({
  page,
  devices,
  chooser,
}) => {
  const fleet = new FleetPage(page, chooser);
  await fleet.connectAll(devices);
  await fleet.tab('Settings').click();
  const panel = page.getByRole('tabpanel', { name: 'Settings' });
  const logger = panel.getByRole('group', { name: 'Logger', exact: true });
  const interval = panel.getByRole('textbox', { name: 'Interval' });
  const all = panel.getByRole('button', { name: 'Write to all 3 loggers' });
  const written = panel.getByRole('status').filter({ hasText: /^Logger \d{4}: written\.$|^\d{4}: written\.$/ });
  await expect(all, 'nothing differs').toBeDisabled();
  await logger.getByLabel('Name', { exact: true }).fill('Attic');
  await expect(all, 'a name is for one').toBeDisabled();
  await interval.fill('45');
  await all.click();
  await expect(written).toHaveCount(2);
  await expect(panel.getByText('Settings written.')).toBeVisible();
  await expect(fleet.cards.filter({ hasText: 'Attic' })).toHaveCount(1);
  for (const place of [1, 2, 0]) {
    await fleet.cards.nth(place).click();
    await expect(interval).toHaveValue('45.0');
  }

  const [, unlucky] = devices;
  await interval.fill('50');
  await unlucky.pace(0.02);
  await all.click();
  await unlucky.unplug();
  await unlucky.pace(1);
  await expect(panel.getByRole('alert').filter({ hasText: 'Whether the settings arrived is not certain.' })).toHaveCount(1);
  await expect(written).toHaveCount(1);
  await expect(panel.getByText('Settings written.')).toBeVisible();
});

test.describe('one of them without room for settings', () => {
  test.use({ secondIsFull: true });

  test('settings go onto the others, and what it says is said with its name', async ({ page, devices, chooser }) => {
    const fleet = new FleetPage(page, chooser);
    await fleet.connectAll(devices);
    await fleet.tab('Settings').click();
    const panel = page.getByRole('tabpanel', { name: 'Settings' });
    const interval = panel.getByRole('textbox', { name: 'Interval' });
    const written = panel.getByRole('status').filter({ hasText: /: written\.$/ });
    const own = panel.getByText('Settings written.');
    const refused = panel.getByRole('alert');
    await expect(interval).not.toHaveValue('');
    const before = await interval.inputValue();
    const all = panel.getByRole('button', { name: 'Write to all 3 loggers' });
    await fleet.cards.nth(0).click();
    await interval.fill('45');
    await all.click();
    await expect(refused).toHaveText(/0002: Interval has no room left in the logger's memory, says the logger\.$/);
    await expect(written).toHaveText(/0003: written\.$/);
    await expect(own).toBeVisible();
    // What they have now, they say themselves.
    await page.reload();
    await expect(fleet.cards.filter({ hasText: 'Recording' })).toHaveCount(3);
    await fleet.tab('Settings').click();
    for (const [end, value] of [['0001', '45.0'], ['0002', before], ['0003', '45.0']]) {
      await fleet.cards.filter({ hasText: end }).click();
      await expect(interval).toHaveValue(value);
    }

    // The same when it is the one that is looked at.
    await fleet.cards.filter({ hasText: '0002' }).click();
    await interval.fill('50');
    await all.click();
    await expect(refused).toHaveText(/^The logger refused one value and changed none\./);
    await expect(panel.getByText('Interval has no room left in the logger\'s memory, says the logger.')).toBeVisible();
    await expect(written).toHaveCount(2);
    await expect(own).toHaveCount(0);
  });
});
