// What is there before the page's own program: which scripts it may start, and that it works without a network.

{
  const scripts = ['./virtual-logger-worker.js', './offline-worker.js'];
  window.trustedTypes?.createPolicy('default', {
    createScriptURL: (url) => (scripts.includes(url) ? url : null),
  });
  // Where it is not possible, the page needs the network each time.
  navigator.serviceWorker?.register(scripts[1]).catch(() => {});
}
