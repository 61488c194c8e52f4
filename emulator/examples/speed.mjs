// Times the workload of speed.rs in headless Chromium: node speed.mjs SPEED.wasm INSTRUCTIONS, started where
// Playwright is installed. LOGDOCK_CHROMIUM names the browser.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.cwd()}/`)('@playwright/test');
const [, , file, instructions] = process.argv;
const browser = await chromium.launch({ executablePath: process.env.LOGDOCK_CHROMIUM, args: ['--no-sandbox'] });
try {
  const page = await browser.newPage();
  const milliseconds = await page.evaluate(async (encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    const { instance } = await WebAssembly.instantiate(bytes, {});
    const start = performance.now();
    instance.exports.main(0, 0);
    return performance.now() - start;
  }, readFileSync(file).toString('base64'));
  console.log(`emulator-wasm ${(Number(instructions) / milliseconds / 1000).toFixed(0)} MIPS >=60`);
} finally {
  await browser.close();
}
