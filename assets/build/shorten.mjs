// Gives what WebAssembly of the page and of the workbench imports short names, in the programs and in the scripts beside
// them: wasm-bindgen's are long and end in digits that do not compress, a twentieth of all that a first visit loads. Then
// says every script and style in fewer characters. Runs after each build, before dist/ is replaced. It must never change
// what they do, and fails when one of the names is not in both files.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { minify } from '../../tests/browser/node_modules/terser/main.js';

const folder = process.env.TRUNK_STAGING_DIR;
if (!folder) throw new Error('TRUNK_STAGING_DIR is not set: this is run by trunk');

/** Section of imports (WebAssembly, Binary Format, 5.5.5). */
const IMPORTS = 2;
/** Kind of an import that is a function; wasm-bindgen's programs import nothing else. */
const FUNCTION = 0;

const uleb = (value) => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...uleb(value >>> 7)]);
const text = (value) => [...uleb(value.length), ...Buffer.from(value)];

class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }
  text() {
    const length = this.number();
    this.at += length;
    return this.bytes.toString('latin1', this.at - length, this.at);
  }
}

function shorten(wasm) {
  const script = wasm.replace('_bg.wasm', '.js');
  const bytes = readFileSync(join(folder, wasm));
  const reader = new Reader(bytes, 8);
  let start = 0;
  let content = 0;
  let id = -1;
  while (id !== IMPORTS) {
    start = reader.at;
    id = bytes[reader.at++];
    const length = reader.number();
    content = reader.at;
    reader.at += length;
  }
  const end = reader.at;
  reader.at = content;

  const names = new Map();
  const modules = new Set();
  const shortened = [];
  const count = reader.number();
  for (let index = 0; index < count; index++) {
    modules.add(reader.text());
    const name = reader.text();
    if (bytes[reader.at++] !== FUNCTION) throw new Error(`${name} is imported, and is no function`);
    names.set(name, `_${index.toString(36)}`);
    shortened.push(...text('.'), ...text(names.get(name)), FUNCTION, ...uleb(reader.number()));
  }
  const section = [...uleb(count), ...shortened];
  writeFileSync(
    join(folder, wasm),
    Buffer.concat([
      bytes.subarray(0, start),
      Buffer.from([IMPORTS, ...uleb(section.length), ...section]),
      bytes.subarray(end),
    ]),
  );

  let source = readFileSync(join(folder, script), 'utf8');
  for (const [name, short] of names) {
    if (!source.includes(` ${name}:`)) throw new Error(`${script} has no ${name}`);
    source = source.replace(` ${name}:`, ` ${short}:`);
  }
  for (const module of modules) {
    if (!source.includes(`"${module}"`)) throw new Error(`${script} gives no ${module}`);
    source = source.replace(`"${module}"`, '"."');
  }
  // What only a deprecated way to load the program needs.
  const unused = /^function initSync[^]*?^}\n|^ *console\.warn\(.*\n/gm;
  source = source.replace(unused, '').replace('initSync, ', '');
  if (source.includes('initSync')) throw new Error(`${script} uses initSync`);
  writeFileSync(join(folder, script), source);
}

const programs = readdirSync(folder).filter((name) => /^(logdock-.*|workbench)_bg\.wasm$/.test(name));
if (programs.length !== 2) throw new Error(`page and workbench, and not ${programs}`);
programs.forEach(shorten);

const files = readdirSync(folder);
for (const name of files.filter((name) => name.endsWith('.js'))) {
  const script = readFileSync(join(folder, name), 'utf8');
  // What a script that is no module names is there for others.
  const module = /^(import|export) /m.test(script);
  const { code } = await minify(script, { module, compress: { passes: 3 } });
  writeFileSync(join(folder, name), code);
}

for (const name of files.filter((name) => name.endsWith('.css'))) {
  const style = readFileSync(join(folder, name), 'utf8').replace(/\/\*[^]*?\*\//g, '');
  writeFileSync(join(folder, name), style.trim().replace(/\s*([{};,])\s*/g, '$1').replace(/: /g, ':'));
}
