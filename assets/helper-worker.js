// Starts the helper and answers what the page asks: [question, ...values], to the port that comes with it.

importScripts('./helper.js');

const started = wasm_bindgen({ module_or_path: './helper_bg.wasm' });
let firmware;

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
