// Starts the helper and answers what the page asks: [question, ...values], to the port that comes with it.

importScripts('./helper.js');

const started = wasm_bindgen({ module_or_path: './helper_bg.wasm' });
let firmware;
let offers;

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
  async offer(ids, running, language) {
    offers?.free();
    offers = undefined;
    let text;
    try {
      const response = await fetch('./firmware/catalogue.json', { cache: 'no-cache' });
      if (!response.ok) return [[], 'not there'];
      text = await response.text();
    } catch {
      return [[], 'not loaded'];
    }
    try {
      offers = new wasm_bindgen.Offers(text);
    } catch (why) {
      return [[], why];
    }
    return [offers.newer(ids, running, language), offers.ignored()];
  },
  /** Reads a firmware file that the catalogue may list. */
  listed: (name, bytes) => offers?.objection(name, bytes) ?? answers.read(name, bytes),
  /** Why a logger would not take the file that was read last. */
  objection: (numbers, ids) => firmware.objection(numbers, ids),
};

let turn = started;
onmessage = ({ data: [question, ...values], ports: [port] }) => {
  // One after the other: some answers take several steps.
  turn = turn
    .then(() => answers[question](...values))
    .then(
      (answer) => port.postMessage({ answer }),
      (error) => port.postMessage({ error: String(error) }),
    );
};
