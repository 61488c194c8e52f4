// One browser, one device, one test at a time: a plugged port is seen by every browser of the network namespace.
import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.mjs',
  workers: 1,
  retries: 0,
  forbidOnly: true,
  reporter: 'list',
  // Bounds for what hangs, not for how fast a computer is.
  timeout: 180_000,
  expect: { timeout: 30_000 },
  use: { actionTimeout: 30_000 },
  outputDir: process.env.LOGDOCK_TEST_OUTPUT ?? '../../target/browser-tests',
});
