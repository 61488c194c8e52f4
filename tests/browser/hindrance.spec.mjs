// What keeps a person from a logger is said: what happened, what it means for the logger, and what to do.
import { spawn } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { once } from 'node:events';
import { expect, test } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';
import { stranger } from './places.mjs';

const connectButton = (page) => page.getByRole('button', { name: 'Connect a logger' });

/** The path that the logger's port has on this computer. */
const path = async (device) => (await device.plug()).split(' ')[1];

test.describe('in a browser with a user\'s own rights', () => {
  test.use({ unprivileged: true });

  test('a port that another program holds is said to be in use, and is used once it is free', async ({
    page,
    device,
    chooser,
  }) => {
    const port = await path(device);
    // TIOCEXCL (asm-generic/ioctls.h): nobody else may open it.
    const holds = 'open(my $port, "+<", $ARGV[0]) or die $!; ioctl($port, 0x540C, 0) or die $!; print "holds\\n"; <STDIN>';
    const other = spawn('perl', ['-e', `$| = 1; ${holds}`, port], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(other.stdout, 'data');
    await connectButton(page).click();
    await chooser.pickFirst();
    await expect(page.getByText('The browser may not open the logger\'s port.')).toBeVisible();
    await expect(page.getByText('Another program, or this page in another tab')).toBeVisible();
    other.stdin.end();
    await once(other, 'close');
    await new LoggerPage(page, chooser).connect();
    await expect(page.getByText('The browser may not open')).toHaveCount(0);
  });

  test('a port that the user may not open comes with the rule for it', async ({ page, device, chooser }) => {
    await chmod(await path(device), 0);
    await connectButton(page).click();
    await chooser.pickFirst();
    await expect(page.getByText('put the line below into the file /etc/udev/rules.d/70-logdock.rules')).toBeVisible();
    await expect(page.getByLabel('Line for /etc/udev/rules.d/70-logdock.rules')).toHaveText(
      'SUBSYSTEM=="tty", ATTRS{idVendor}=="1209", ATTRS{idProduct}=="0001", TAG+="uaccess"',
    );
  });
});

test('a chooser that is closed without a choice is answered with what to look at', async ({ page, device, chooser }) => {
  await device.plug();
  await connectButton(page).click();
  await chooser.cancel();
  await expect(page.getByText('No logger was chosen.')).toBeVisible();
  await expect(page.getByText('Some cables only charge')).toBeVisible();
  // The next try makes it go away.
  await new LoggerPage(page, chooser).connect();
  await expect(page.getByText('No logger was chosen.')).toHaveCount(0);
});

test.describe('behind an adapter', () => {
  // Firmware that listens at its USB, and not at this USART.
  test.use({ options: ['--usart', 'usart2'] });

  test('an adapter with nothing behind it does not answer, and the page says so', async ({ page, device, chooser }) => {
    await device.command('plug');
    await connectButton(page).click();
    // Its USB is in the list, too; the adapter stands first.
    await chooser.pick(0);
    await expect(page.getByText('What was connected does not answer.')).toBeVisible({ timeout: 30_000 });
    await expect(page.getByText('A serial adapter with nothing behind it is silent')).toBeVisible();
    await expect(connectButton(page)).toBeEnabled();
  });
});

for (const [what, name] of [
  ['a GPS receiver, which talks whether it is asked or not,', 'gps'],
  ['a modem, which says back what it hears,', 'modem'],
]) {
  test(`${what} is told apart from a logger, and a logger in its place is used`, async ({ page, device, chooser }) => {
    const other = spawn(stranger, [name], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(other.stdout, 'data');
    await connectButton(page).click();
    await chooser.pickFirst();
    const said = page.getByText('What answers on this port is no Logdock logger. Nothing in it was changed.');
    await expect(said).toBeVisible({ timeout: 30_000 });
    await expect(said).toContainText('Connect again, and choose another port.');
    await expect(connectButton(page)).toBeEnabled();
    other.stdin.end();
    await once(other, 'close');
    await device.plug();
    await new LoggerPage(page, chooser).connect();
    await expect(said).toHaveCount(0);
  });
}

test('a page over an open connection says why it reaches no logger', async ({ page, site }) => {
  await page.goto(site.replace('localhost', 'elsewhere.test'));
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('This browser cannot reach a logger');
  await expect(page.getByText('Open it with https://')).toBeVisible();
});
