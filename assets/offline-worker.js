// Keeps the page, so that it is there without a network. What is kept belongs to one build of the page, whole: a newer
// one takes its place when it is complete. The build fills in its version and its files.

const VERSION = self.VERSION;
const KEPT = self.KEPT;

addEventListener('install', (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(KEPT)));
  skipWaiting();
});

addEventListener('activate', (event) => {
  const forget = async () => {
    for (const name of await caches.keys()) if (name !== VERSION) await caches.delete(name);
    await clients.claim();
  };
  event.waitUntil(forget());
});

const fetchAndKeep = async (request) => {
  const response = await fetch(request);
  if (response.ok) {
    const cache = await caches.open(VERSION);
    await cache.put(request, response.clone());
  }
  return response;
};

addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return;
  const answer = async () => {
    // The page itself comes from the network as long as there is one: it names the files of its build.
    if (request.mode === 'navigate') return fetch(request).catch(() => caches.match('./index.html'));
    // What the maker offers may be newer than the page.
    if (new URL(request.url).pathname.includes('/firmware/')) {
      return fetchAndKeep(request).catch(() => caches.match(request));
    }
    return (await caches.match(request)) ?? fetchAndKeep(request);
  };
  event.respondWith(answer());
});
