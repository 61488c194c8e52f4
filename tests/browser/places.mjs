// Where the tests find what they need: the built page, the firmware, the virtual logger, a browser.
// It must never build or install anything: `cargo xtask test browser` does that and sets the variables.
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The page as trunk built it. */
export const dist = process.env.LOGDOCK_DIST ?? join(root, 'dist');
/** The page of the tests of the virtual port itself. */
export const selftest = fileURLToPath(new URL('./selftest', import.meta.url));
/** What `cargo xtask firmware` wrote. */
export const firmware = process.env.LOGDOCK_FIRMWARE ?? join(root, 'target/firmware');
/** The program that plugs an emulated logger into this computer. */
export const virtual = process.env.LOGDOCK_VIRTUAL ?? join(root, 'target/debug/emulator-port');
/** The program that plugs something else into this computer; it is built beside the other. */
export const stranger = join(dirname(virtual), 'examples/stranger');
/** What the logger that recorded for a month remembers: `cargo run --package logdock-tests --bin month FOLDER` makes it. */
export const month = process.env.LOGDOCK_MONTH ?? join(root, 'target/month');
/** Chromium or Chrome. */
export const chromium = process.env.LOGDOCK_CHROMIUM ?? inPath('chromium', 'google-chrome', 'google-chrome-stable');
/** Firefox, for the tests that want it. */
export const firefox = () => process.env.LOGDOCK_FIREFOX ?? inPath('firefox-esr', 'firefox');

/** A file of the firmware's build, as bytes. */
export const firmwareFile = (name) => readFileSync(join(firmware, name));

function inPath(...names) {
  for (const name of names) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not in this folder.
      }
    }
  }
  throw new Error(`no browser: none of ${names.join(', ')} is in PATH, and no variable names one`);
}
