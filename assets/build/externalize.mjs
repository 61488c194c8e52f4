// Moves the scripts that Trunk writes into index.html to files of their own, so that the page's
// Content-Security-Policy needs no exception for inline scripts. Runs after each build, before dist/ is replaced.
// It changes nothing but index.html, takes its comments and blanks out, and fails when an inline script would be left.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.TRUNK_STAGING_DIR;
if (!folder) throw new Error('TRUNK_STAGING_DIR is not set: this is run by trunk');
const index = join(folder, 'index.html');

const page = readFileSync(index, 'utf8').replace(
  /<script(?![^>]*\ssrc=)([^>]*)>([^]*?)<\/script>/g,
  (_, attributes, script) => {
    const hash = createHash('sha256').update(script).digest('hex').slice(0, 16);
    const name = `start-${hash}.js`;
    writeFileSync(join(folder, name), script);
    return `<script${attributes} src="./${name}"></script>`;
  },
);
if (/<script(?![^>]*\ssrc=)/.test(page)) throw new Error('an inline script is left in index.html');
writeFileSync(index, page.replace(/^\s*<!--[^]*?-->\n/gm, '').replace(/^\s+/gm, ''));
