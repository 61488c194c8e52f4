// Starts the Worker with the virtual logger. It says by itself only what the logger cannot say yet: that another tab
// has it, and that it could not be loaded. The texts are those of virtual-logger/messages.

importScripts('./virtual-logger.js');

const start = async () => {
  const elsewhere = setTimeout(() => postMessage('elsewhere'), 500);
  // Its memories are there once: two tabs must not write them at the same time. The lock goes with the Worker.
  await navigator.locks.request('logdock-virtual-logger', async () => {
    clearTimeout(elsewhere);
    await wasm_bindgen({ module_or_path: './virtual-logger_bg.wasm' });
    await new Promise(() => {});
  });
};

start().catch((error) => postMessage(`failed: ${error.message}`));
