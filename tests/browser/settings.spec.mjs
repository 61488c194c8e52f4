// The settings form is the device's own description of its settings, and what is written there stays.
import { readFileSync } from 'node:fs';
import { expect, test } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';

/** The text setting that every logger has: how its owner calls it. Its channels have names, too. */
const nameField = (page) => page.getByRole('group', { name: 'Logger', exact: true }).getByLabel('Name', { exact: true });

test('a setting changed in the form is there after a reboot', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.tab('Settings').click();
  await nameField(page).fill('Greenhouse 3');
  await page.getByRole('button', { name: 'Write to the logger' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Settings written' })).toBeVisible();

  await device.cut();
  await device.plug();
  // A page that remembers nothing: what it shows now, it read from the logger.
  await page.reload();
  await logger.expectConnected();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Greenhouse 3');
  await logger.tab('Settings').click();
  await expect(nameField(page)).toHaveValue('Greenhouse 3');
});

test('a value that the logger does not take is not written', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  const heading = page.getByRole('heading', { level: 1 });
  const before = await heading.innerText();
  await logger.tab('Settings').click();
  const field = nameField(page);
  // 40 letters and 80 bytes: more than any text setting holds.
  await field.evaluate((input) => input.removeAttribute('maxlength'));
  await field.fill('é'.repeat(40));
  await page.getByRole('button', { name: 'Write to the logger' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByRole('status').filter({ hasText: 'Settings written' })).toHaveCount(0);
  await page.reload();
  await expect(heading).toHaveText(before);
});

test('the page sets a clock that does not know the time, and leaves one alone that does', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await expect(logger.fact('clock')).toHaveText('right');
  await page.getByText('Details for a bug report').click();
  const details = page.getByLabel('Details', { exact: true });
  await expect(details).toContainText('not set, set by this page');
  await page.reload();
  await expect(logger.fact('clock')).toHaveText('right');
  await page.getByText('Details for a bug report').click();
  await expect(details).toContainText('ahead of this computer');
  await expect(details).not.toContainText('set by this page');
});

test('what the logger measures now is shown as its owner calls it', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  const card = page.getByRole('region', { name: 'Logger', exact: true });
  await expect(card).toContainText(/Temperature\s*-?\d+\.\d\d °C/);
  await logger.tab('Settings').click();
  const group = page.getByRole('group', { name: 'Temperature', exact: true });
  await group.getByText('Temperature', { exact: true }).click();
  await group.getByLabel('Name', { exact: true }).fill('Soil');
  await group.getByLabel('Gain', { exact: true }).fill('0');
  await group.getByLabel('Offset', { exact: true }).fill('12.5');
  await expect(group).toContainText('3 changed');
  await page.getByRole('button', { name: 'Write to the logger' }).click();
  await expect(card).toContainText(/Soil\s*12\.50 °C/);
});

/** The settings file that the page gives. */
async function saved(page) {
  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save as a file' }).click();
  const download = await saving;
  return { name: download.suggestedFilename(), content: JSON.parse(readFileSync(await download.path(), 'utf8')) };
}

test('settings come from a file, marked, and are written only when the person says so', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.tab('Settings').click();
  const { name, content } = await saved(page);
  expect(name).toBe(`logdock-settings-${await logger.fact('serial').innerText()}.json`);
  const entry = (end) => content.settings.find((entry) => entry.name.endsWith(end));
  const take = (content) =>
    page.getByLabel('Take from a file').setInputFiles({ name: 'settings.json', mimeType: 'application/json', buffer: Buffer.from(content) });

  await take(JSON.stringify(content));
  await expect(page.getByText('The file says what the logger has already.')).toBeVisible();

  entry('Logger/Name').value = 'Cellar';
  entry('/Interval').value = '2.5';
  content.settings.push({ id: 60000, name: 'Radio/Power', value: '3' });
  await take(JSON.stringify(content));
  const note = page.getByRole('status').filter({ hasText: '2 values of the file' });
  await expect(note).toContainText('This logger does not have these: Radio/Power.');
  await expect(nameField(page)).toHaveValue('Cellar');
  await expect(page.getByText('2 settings differ from the logger.')).toBeVisible();
  await expect(page.getByRole('heading', { level: 1 }), 'nothing is written yet').not.toHaveText('Cellar');
  await page.getByRole('button', { name: 'Write to the logger' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Cellar');

  const after = (await saved(page)).content;
  expect(after.settings.find((entry) => entry.name.endsWith('/Interval')).value).toBe('2.5');
  expect(after.settings).toHaveLength(content.settings.length - 1);

  entry('/Interval').value = '0';
  await take(JSON.stringify(content));
  await expect(page.getByRole('alert')).toContainText('The file has “0” for');
  await expect(page.getByRole('alert')).toContainText('Nothing in the form was changed.');
  await take('{"format":"another"}');
  await expect(page.getByRole('alert')).toContainText('This is not a file of logger settings.');
});

test('a settings file may be dropped anywhere, and leaves alone what it does not name', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.tab('Settings').click();
  const before = await nameField(page).inputValue();
  const { content } = await saved(page);
  content.settings = content.settings.filter((entry) => entry.name.endsWith('Logger/Name'));
  content.settings[0].value = 'Roof';
  await page.getByLabel('Interval').fill('2.5');
  await logger.tab('Update').click();
  await logger.drop('settings.json', Buffer.from(JSON.stringify(content)));
  await expect(nameField(page)).toHaveValue('Roof');
  await expect(page.getByLabel('Interval')).toHaveValue('2.5');
  await expect(page.getByText('2 settings differ from the logger.')).toBeVisible();
  await page.getByRole('button', { name: 'Revert' }).click();
  await expect(nameField(page)).toHaveValue(before);
});

test('how long a battery lasts follows what stands in the form', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.tab('Settings').click();
  const estimate = page.locator('[id$="-estimate"]');
  await expect(estimate).toContainText('µA on average');
  await page.getByLabel('Battery', { exact: true }).fill('220');
  await expect(estimate).toContainText('lasts about');
  const current = async () => Number(/([\d.]+) µA/.exec(await estimate.innerText())[1]);
  const before = await current();
  await page.getByLabel('Interval').fill('0.1');
  expect(await current()).toBeGreaterThan(2 * before);
  await page.getByRole('button', { name: 'Revert' }).click();
  expect(await current()).toBe(before);
  await page.getByLabel('Battery', { exact: true }).fill('much');
  await expect(estimate).toHaveText('The capacity must be a number with at most 1 decimal.');
  await page.getByLabel('Battery', { exact: true }).fill('220');
  await page.reload();
  await logger.expectConnected();
  await logger.tab('Settings').click();
  await expect(page.getByLabel('Battery', { exact: true })).toHaveValue('220');
  await expect(estimate).toContainText('lasts about');
});

test('the details say who and how the logger is, also when it is gone', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  const { version, digest } = await device.image();
  const details = page.getByLabel('Details', { exact: true });
  for (const line of [
    /^phase +idle$/m,
    new RegExp(`^running +${version}, \\d+ bytes, ${digest}$`, 'm'),
    /^previous +none$/m,
    /^uptime +\d+ s$/m,
    /^started by +power came up$/m,
    /^resets +0 by the watchdog$/m,
    /^crashes +0$/m,
    /^log +\d+ to \d+, \d+ pending, room for \d+$/m,
    /^memory +0 bad blocks, 0 rounds, 0 pages mended, 0 unreadable$/m,
  ]) {
    // Nobody looks at them yet.
    await expect(details).toHaveText(line);
  }
  await device.unplug();
  await page.getByText('Details for a bug report').click();
  await expect(details).toBeVisible();
  await expect(details).toHaveText(/^connection +unplugged$/m);
  await expect(details).toHaveText(/^phase +idle$/m);
});

test('a cable that comes out while settings are written is said, and they are written when it is in again', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.plug();
  await logger.connect();
  await logger.tab('Settings').click();
  const write = page.getByRole('button', { name: 'Write to the logger' });
  const written = page.getByRole('status').filter({ hasText: 'Settings written' });
  const uncertain = page.getByRole('alert').filter({ hasText: 'Whether the settings arrived is not certain.' });
  await nameField(page).fill('Attic');
  await write.click();
  await device.unplug();
  await expect(written.or(uncertain)).toBeVisible();
  await device.plug();
  await expect(logger.fact('state')).toHaveText('Recording');
  await expect(uncertain, 'the logger was asked again').toHaveCount(0);
  await nameField(page).fill('Loft');
  await write.click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Loft');
  await expect(written).toBeVisible();
});
