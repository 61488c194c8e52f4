// Starts the helper and answers what the page asks: [question, ...values], to the port that comes with it. What needs the
// browser's files is here; what is in them the helper knows.

importScripts('./helper.js');

const started = wasm_bindgen({ module_or_path: './helper_bg.wasm' }).then(wasm_bindgen.warm_up);
// A helper that does not start says so to whoever asks, also when the question comes later than that is known.
started.catch(() => {});
let firmware;
let offers;
/** Copies of logs, by the serial numbers of their loggers. */
const logs = new Map();

const answers = {
  /** Reads a firmware file; answers what it is, or why it is none: null when the browser could not read it. */
  async read(name, content) {
    let bytes;
    try {
      bytes = await new Blob([content]).slice(0, wasm_bindgen.largest_file() + 1).arrayBuffer();
    } catch {
      return null;
    }
    try {
      const read = new wasm_bindgen.Firmware(name, new Uint8Array(bytes));
      firmware?.free();
      firmware = read;
    } catch (why) {
      return why;
    }
    return [firmware.version(), firmware.digest(), firmware.image(), firmware.trailer()];
  },
  /**
   * What is newer for a logger in the maker's catalogue, as `Offers.newer` says it, and why the catalogue or a part of it
   * could not be used.
   */
  offer(bytes, ids, running, language) {
    offers?.free();
    offers = undefined;
    try {
      offers = new wasm_bindgen.Offers(new TextDecoder().decode(bytes));
    } catch (why) {
      return [[], why];
    }
    return [offers.newer(ids, running, language), offers.ignored()];
  },
  /** Reads a firmware file that the catalogue may list. */
  listed: (name, bytes) => offers?.objection(name, bytes) ?? answers.read(name, bytes),
  /** Why a logger would not take the file that was read last. */
  objection: (numbers, ids) => firmware.objection(numbers, ids),

  /**
   * Opens the copy of a logger's log; whether the browser keeps it. Where it keeps no files, or another tab has this one,
   * the copy is held in memory.
   */
  async open(serial) {
    const before = logs.get(serial);
    if (before) return before.kept;
    let file;
    try {
      const folder = await files();
      file = await (await folder.getFileHandle(`${serial}.log`, { create: true })).createSyncAccessHandle();
      for await (const name of folder.keys()) {
        // Tables that were saved before are nobody's any more.
        if (name.startsWith(`${serial}-`)) await folder.removeEntry(name).catch(() => {});
      }
    } catch {
      // See above.
    }
    logs.set(serial, { copy: new wasm_bindgen.LogCopy(file), kept: Boolean(file) });
    return Boolean(file);
  },
  /** Asks a copy that was opened: what it has stands in helper/src/log/page.rs. An answer that is a text is a refusal. */
  log(serial, question, ...values) {
    try {
      return logs.get(serial).copy[question](...values);
    } catch (why) {
      if (typeof why === 'string') return why;
      throw why;
    } finally {
      // What came is in the copy now: to wait until the browser collects it would take as much memory as the log.
      for (const value of values) value.buffer?.transfer?.(0);
    }
  },
  /** Begins a table of a part of a log: in a file, or in pieces that the browser puts where it has room. */
  async table(serial, from, to) {
    const log = logs.get(serial);
    log.writer?.close();
    log.copy.table(from, to);
    log.pieces = [];
    try {
      const name = `${serial}-${Date.now()}.csv`;
      log.file = await (await files()).getFileHandle(name, { create: true });
      log.writer = await log.file.createSyncAccessHandle();
    } catch {
      log.writer = undefined;
    }
  },
  /** Goes on with it: how much of it is done, from 0 to 1; when it is complete, the table and how many records it has. */
  async tableStep(serial) {
    const log = logs.get(serial);
    const text = log.copy.table_step();
    if (text !== undefined) {
      const bytes = new TextEncoder().encode(text);
      if (!log.writer) log.pieces.push(new Blob([bytes]));
      else {
        try {
          if (log.writer.write(bytes) < bytes.length) return 'full';
        } catch {
          return 'full';
        }
      }
      return log.copy.table_done();
    }
    log.writer?.close();
    const table = log.writer ? await log.file.getFile() : new Blob(log.pieces);
    log.writer = undefined;
    log.pieces = [];
    return [table, log.copy.table_records()];
  },
};

/** The page's own folder. */
const files = async () => (await navigator.storage.getDirectory()).getDirectoryHandle('logs', { create: true });

let turn = started;
onmessage = ({ data: [question, ...values], ports: [port] }) => {
  // One after the other: some answers take several steps.
  turn = turn
    .then(() => answers[question](...values))
    .then(
      // Numbers are made for one answer, and go with it.
      (answer) => port.postMessage({ answer }, Array.isArray(answer) ? answer.filter(ArrayBuffer.isView).map(({ buffer }) => buffer) : []),
      (error) => port.postMessage({ error: String(error) }),
    );
};
