// Starts Chromium, with a chooser of devices that can be worked.
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { chromium as playwright } from '@playwright/test';
import { Chooser, flags } from './chooser.mjs';
import { chromium } from './places.mjs';

// What a computer without network and without a screen needs.
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // An address that counts as elsewhere: what comes from there does not come from this computer.
  '--host-resolver-rules=MAP elsewhere.test 127.0.0.1',
];

/** A browser and its chooser; without the rights that let root open what is not open to it, if it is `unprivileged`. */
export async function launch(unprivileged = false) {
  const port = await freePort();
  const browser = await playwright.launch({
    executablePath: unprivileged ? fileURLToPath(new URL('./unprivileged.sh', import.meta.url)) : chromium,
    args: [...QUIET, ...flags(port)],
    env: { ...process.env, LOGDOCK_CHROMIUM: chromium },
  });
  return { browser, chooser: await Chooser.connect(port) };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
