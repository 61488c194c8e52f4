// The settings form is the device's own description of its settings, and what is written there stays.
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
