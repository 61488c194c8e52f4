// What is there before the page's own program: which scripts it may start, that it works without a network, and what
// takes fewer words here than there (src/browser.rs).

{
  const scripts = ['./virtual-logger-worker.js', './helper-worker.js', './offline-worker.js'];
  window.trustedTypes?.createPolicy('default', {
    createScriptURL: (url) => (scripts.includes(url) ? url : null),
  });
  // Where it is not possible, the page needs the network each time.
  navigator.serviceWorker?.register(scripts[2]).catch(() => {});

  let awake = Promise.resolve();
  let helper;
  let styled;
  let workbench;
  const waiting = new Map();
  const help = () => {
    if (!helper) {
      helper = new Worker(scripts[1]);
      helper.onerror = dismiss;
    }
    return helper;
  };
  // Nothing that it still says may reach the one that comes after it.
  const dismiss = () => {
    helper.onerror = null;
    helper.terminate();
    helper = undefined;
    for (const [port, reject] of waiting) {
      port.onmessage = null;
      reject();
    }
    waiting.clear();
  };
  window.logdock = {
    /** Asks the helper; one that failed is started anew for the next question. */
    ask: (question) =>
      new Promise((resolve, reject) => {
        const { port1, port2 } = new MessageChannel();
        waiting.set(port1, reject);
        port1.onmessage = ({ data }) => {
          if ('error' in data) return dismiss();
          port1.close();
          waiting.delete(port1);
          resolve(data.answer);
        };
        // Bytes are made for one question, and go with it.
        const bytes = question.filter(ArrayBuffer.isView).map(({ buffer }) => buffer);
        help().postMessage(question, [port2, ...bytes]);
      }),
    /** Loads the workbench and opens it for one logger. */
    async openWorkbench(...logger) {
      // Whoever has a logger may drop a file at any moment.
      help();
      // Without its style it still works.
      styled ??= new Promise((loaded) => {
        const style = { rel: 'stylesheet', href: './workbench.css', onload: loaded, onerror: loaded };
        document.head.append(Object.assign(document.createElement('link'), style));
      });
      // Once for all loggers, however quickly they come: loaded twice, there would be two programs behind one script.
      workbench ??= import('./workbench.js').then(async (program) => {
        await program.default();
        return new program.Workbenches();
      });
      workbench.catch(() => (workbench = undefined));
      const [workbenches] = await Promise.all([workbench, styled]);
      return workbenches.open(...logger);
    },
    /** Has WebUSB take the place of Web Serial, where there is one and not the other. */
    async findPorts() {
      if (!navigator.serial && navigator.usb) await import('./web-usb.js');
    },
    /** Whether the computer must not fall asleep; where that cannot be asked for, it may. */
    stayAwake(on) {
      awake = awake
        .then((held) => held?.release())
        .then(() => (on ? navigator.wakeLock?.request('screen') : undefined))
        .catch(() => {});
    },
    /** Hands over the files that the page was opened with, now and later. */
    onOpened: (take) =>
      window.launchQueue?.setConsumer(async ({ files }) => take(await Promise.all(files.map((file) => file.getFile())))),
  };

  // A file is on its way.
  addEventListener('dragenter', help, { once: true });

  // On a first visit only what is needed is loaded; from the second on, all that works without a network is there.
  if (navigator.serviceWorker?.controller) {
    addEventListener('load', () => {
      const late = [scripts[1], './helper.js', './helper_bg.wasm', './workbench.js', './workbench_bg.wasm', './workbench.css'];
      for (const file of late) fetch(file).catch(() => {});
    });
  }
}
