// A file that must not be installed is refused with a reason that a person understands, and the logger goes on logging.
import { expect, test } from './fixtures.mjs';
import { hashedLength } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

/** The .hex with the last digit of one data record's checksum changed. */
function withBadChecksum(hex) {
  const lines = hex.toString('ascii').split('\n');
  const middle = Math.floor(lines.length / 2);
  const line = lines[middle].trimEnd();
  lines[middle] = line.slice(0, -1) + (line.endsWith('0') ? '1' : '0');
  return Buffer.from(lines.join('\n'), 'ascii');
}

/** One bit changed in the middle of what the digest covers. */
function withFlippedBit(image) {
  const changed = Buffer.from(image);
  changed[Math.floor(hashedLength(image) / 2)] ^= 0x10;
  return changed;
}

const firstHalf = (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2));

const refused = [
  {
    what: 'signed with another key',
    name: 'logger-1.1.0-other-key.hex',
    bytes: () => firmwareFile('logger-1.1.0-other-key.hex'),
    reason: /signed|signature|key/i,
  },
  {
    what: 'with one bit flipped',
    name: 'logger-1.1.0.bin',
    bytes: () => withFlippedBit(firmwareFile('logger-1.1.0.bin')),
    reason: /damaged|changed/i,
  },
  {
    what: 'cut short',
    name: 'logger-1.1.0.bin',
    bytes: () => firstHalf(firmwareFile('logger-1.1.0.bin')),
    reason: /cut short|incomplete|not whole|is missing/i,
  },
  {
    what: 'that is a .hex cut short',
    name: 'logger-1.1.0.hex',
    bytes: () => firstHalf(firmwareFile('logger-1.1.0.hex')),
    reason: /cut short|incomplete|not whole|is missing|line \d+/i,
  },
  {
    what: 'with a bad checksum in one line',
    name: 'logger-1.1.0.hex',
    bytes: () => withBadChecksum(firmwareFile('logger-1.1.0.hex')),
    reason: /line \d+/i,
  },
  {
    what: 'that is a text',
    name: 'notes.txt',
    bytes: () => Buffer.from('Greenhouse 3: battery changed on Monday.\n'),
    reason: /not (a )?firmware|no firmware/i,
  },
  {
    what: 'that is empty',
    name: 'logger-1.1.0.bin',
    bytes: () => Buffer.alloc(0),
    reason: /empty/i,
  },
];

for (const { what, name, bytes, reason } of refused) {
  test(`a file ${what} is refused with a reason, and the logger goes on logging`, async ({ page, device, chooser }) => {
    const logger = new LoggerPage(page, chooser);
    await device.plug();
    await logger.connect();
    const before = await device.status();

    await logger.drop(name, bytes());
    await expect(logger.refusal).toContainText(reason);
    await expect(logger.startButton).toHaveCount(0);

    const records = await logger.records();
    await expect.poll(() => logger.records()).toBeGreaterThan(records);
    const after = await device.status();
    expect(after.flash_sha256, 'the flash').toBe(before.flash_sha256);
    expect(after.resets, 'the resets').toEqual(before.resets);
  });
}

test('a sound file dropped after a refused one is taken', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.drop('logger-1.1.0.bin', Buffer.alloc(0));
  await expect(logger.refusal).toBeVisible();
  await logger.drop('logger-1.1.0.hex', firmwareFile('logger-1.1.0.hex'));
  await expect(logger.startButton).toBeVisible();
  await expect(logger.refusal).toHaveCount(0);
});
