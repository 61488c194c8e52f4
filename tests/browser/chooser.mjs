// Chromium's own device chooser, worked as a person would: it is browser UI and no part of the page, so Playwright
// does not see it. UI DevTools does, headless too.
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';

/** What the browser must be started with. */
export const flags = (port) => [
  `--enable-ui-devtools=${port}`,
  '--enable-features=ui-debug-tools-enable-synthetic-events',
  '--disable-input-event-activation-protection',
];

/** Height of a row of the list, in pixels. */
const ROW = 26;

export class Chooser {
  #socket;
  #lastId = 0;
  #waiting = new Map();

  /** Connects to the browser that was started with `flags(port)`. */
  static async connect(port) {
    for (let attempt = 0; attempt < 100; attempt++) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/0`);
      const open = await new Promise((resolve) => {
        socket.once('open', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      if (open) {
        const chooser = new Chooser(socket);
        await chooser.#send('DOM.enable');
        return chooser;
      }
      await sleep(50);
    }
    throw new Error(`the browser does not answer on its UI DevTools port ${port}`);
  }

  constructor(socket) {
    this.#socket = socket;
    socket.on('message', (text) => {
      const { id, result, error } = JSON.parse(text);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result);
    });
  }

  /** Waits for the chooser, selects the first device of its list and presses Connect. */
  pickFirst() {
    return this.pick(0);
  }

  /** The same with the device in another row of its list. */
  async pick(row) {
    await this.#within(async (chooser) => {
      const table = find(chooser, (node) => classOf(node) === 'TableView');
      if (!table) return false;
      await this.#click(table, 20, 15 + ROW * row);
      return this.#press(chooser, 'Connect');
    });
  }

  /** Waits for the chooser and presses Cancel. */
  async cancel() {
    await this.#within((chooser) => this.#press(chooser, 'Cancel'));
  }

  close() {
    this.#socket.close();
  }

  async #within(act) {
    for (const end = Date.now() + 10_000; Date.now() < end; await sleep(50)) {
      const { root } = await this.#send('DOM.getDocument');
      const chooser = find(
        root,
        (node) => node.nodeName === 'Widget' && find(node, (inner) => classOf(inner) === 'DeviceChooserContentView'),
      );
      if (chooser && (await act(chooser))) return;
    }
    throw new Error('the chooser did not open, or lists no device');
  }

  async #press(chooser, label) {
    for (const button of all(chooser, (node) => classOf(node) === 'MdTextButton')) {
      const properties = JSON.stringify(await this.#send('CSS.getMatchedStylesForNode', { nodeId: button.nodeId }));
      if (properties.includes(`"value":"${label}"`) && properties.includes('"name":"Enabled","value":"true"')) {
        await this.#click(button, 5, 5);
        return true;
      }
    }
    return false;
  }

  async #click(node, x, y) {
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.#send('DOM.dispatchMouseEvent', {
        nodeId: node.nodeId,
        event: { type, x, y, button: 'left', wheelDirection: 'none' },
      });
    }
  }

  #send(method, params = {}) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject: (error) => reject(new Error(`${method}: ${error.message}`)) });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }
}

function classOf(node) {
  const attributes = node.attributes ?? [];
  const index = attributes.indexOf('class');
  return index < 0 ? '' : attributes[index + 1];
}

const find = (node, matches) => all(node, matches)[0];

function all(node, matches, found = []) {
  if (matches(node)) found.push(node);
  for (const child of node.children ?? []) all(child, matches, found);
  return found;
}
