// Copies what the virtual logger starts with, and an update to try on it, from the firmware's build to the page. Runs
// after each build, before dist/ is replaced. LOGDOCK_FIRMWARE names another folder than target/firmware.

import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const staging = process.env.TRUNK_STAGING_DIR;
if (!staging) throw new Error('TRUNK_STAGING_DIR is not set: this is run by trunk');
const built = process.env.LOGDOCK_FIRMWARE ?? fileURLToPath(new URL('../../target/firmware', import.meta.url));
const served = join(staging, 'firmware');

mkdirSync(served);
for (const name of ['factory-1.0.0.bin', 'logger-1.1.0.hex']) {
  const file = join(built, name);
  if (!existsSync(file)) throw new Error(`${file} is not there: \`cargo xtask firmware\` builds it`);
  copyFileSync(file, join(served, name));
}
