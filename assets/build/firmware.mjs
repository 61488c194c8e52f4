// Copies what the virtual logger starts with, the catalogue and the files that it lists, from the firmware's build to the
// page. Runs after each build, before dist/ is replaced. LOGDOCK_FIRMWARE names another folder than target/firmware.

import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const staging = process.env.TRUNK_STAGING_DIR;
if (!staging) throw new Error('TRUNK_STAGING_DIR is not set: this is run by trunk');
const built = process.env.LOGDOCK_FIRMWARE ?? fileURLToPath(new URL('../../target/firmware', import.meta.url));
const served = join(staging, 'firmware');

mkdirSync(served);
const copy = (name) => {
  const file = join(built, name);
  if (!existsSync(file)) throw new Error(`${file} is not there: \`cargo xtask firmware\` builds it`);
  copyFileSync(file, join(served, name));
};
copy('factory-1.0.0.bin');
copy('catalogue.json');
const { firmware } = JSON.parse(readFileSync(join(served, 'catalogue.json'), 'utf8'));
for (const { file } of firmware) copy(file);
