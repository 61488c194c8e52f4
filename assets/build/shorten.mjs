// Gives what WebAssembly of the page and of the workbench imports and exports short names, in the programs and in the
// scripts beside them: wasm-bindgen's are long and end in digits that do not compress, a twentieth of all that a first
// visit loads. Then says every script and style in fewer characters. Runs after each build, before dist/ is replaced. It must never change
// what they do, and fails when one of the names is not in both files.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { minify } from '../../tests/browser/node_modules/terser/main.js';

const folder = process.env.TRUNK_STAGING_DIR;
if (!folder) throw new Error('TRUNK_STAGING_DIR is not set: this is run by trunk');

/** Sections (WebAssembly, Binary Format, 5.5). */
const IMPORTS = 2;
const EXPORTS = 7;
/** Kind of an import that is a function; wasm-bindgen's programs import nothing else. */
const FUNCTION = 0;

const uleb = (value) => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...uleb(value >>> 7)]);
const text = (value) => [...uleb(value.length), ...Buffer.from(value)];
const short = (index) => `_${index.toString(36)}`;

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  byte() {
    return this.bytes[this.at++];
  }
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }
  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  text() {
    return this.take(this.number()).toString('latin1');
  }
}

function shorten(wasm) {
  const script = wasm.replace('_bg.wasm', '.js');
  let source = readFileSync(join(folder, script), 'utf8');
  const replace = (long, other) => {
    if (!source.includes(long)) throw new Error(`${script} has no ${long}`);
    source = source.replaceAll(long, other);
  };

  const imports = (reader) => {
    const modules = new Set();
    const count = reader.number();
    const entries = Array.from({ length: count }, (_, index) => {
      modules.add(reader.text());
      const name = reader.text();
      if (reader.byte() !== FUNCTION) throw new Error(`${name} is imported, and is no function`);
      replace(` ${name}:`, ` ${short(index)}:`);
      return [...text('.'), ...text(short(index)), FUNCTION, ...uleb(reader.number())];
    });
    for (const module of modules) replace(`"${module}"`, '"."');
    return [...uleb(count), ...entries.flat()];
  };

  // What the script does not use is exported no more.
  const exports = (reader) => {
    const entries = [];
    for (let count = reader.number(); count > 0; count--) {
      const name = reader.text();
      const what = [reader.byte(), ...uleb(reader.number())];
      const used = new RegExp(`\\bwasm\\.${name}\\b`, 'g');
      if (!used.test(source)) continue;
      const other = short(entries.length);
      source = source.replace(used, `wasm.${other}`);
      entries.push([...text(other), ...what]);
    }
    return [...uleb(entries.length), ...entries.flat()];
  };

  const program = new Reader(readFileSync(join(folder, wasm)));
  const parts = [program.take(8)];
  while (program.at < program.bytes.length) {
    const id = program.byte();
    const content = program.take(program.number());
    const change = { [IMPORTS]: imports, [EXPORTS]: exports }[id];
    const changed = change ? Buffer.from(change(new Reader(content))) : content;
    parts.push(Buffer.from([id, ...uleb(changed.length)]), changed);
  }
  writeFileSync(join(folder, wasm), Buffer.concat(parts));

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
