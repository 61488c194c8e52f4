// Tells the worker that keeps the page for times without a network what to keep. Runs when all other files are as they
// will be served. It fails when the worker has no place for that.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.TRUNK_STAGING_DIR;
if (!folder) throw new Error('TRUNK_STAGING_DIR is not set: this is run by trunk');
const WORKER = 'offline-worker.js';

const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name !== WORKER)
  .map((entry) => join(entry.parentPath, entry.name))
  .sort();
const hash = createHash('sha256');
for (const file of files) hash.update(file.slice(folder.length)).update(readFileSync(file));

// The virtual logger is loaded only when somebody tries it, helper and workbench when they are needed or at the second
// visit; all are kept from then on.
const kept = files
  .map((file) => `.${file.slice(folder.length)}`)
  .filter((file) => !/virtual-logger|helper|workbench|firmware\//.test(file));

const values = { VERSION: hash.digest('hex').slice(0, 16), KEPT: kept };
let worker = readFileSync(join(folder, WORKER), 'utf8');
for (const [name, value] of Object.entries(values)) {
  const place = `self.${name}`;
  if (!worker.includes(place)) throw new Error(`${WORKER} has no ${place}`);
  worker = worker.replace(place, JSON.stringify(value));
}
writeFileSync(join(folder, WORKER), worker);
