// What happens to the page after trunk has built it, one step after the other: trunk itself would run them all at once.

await import('./externalize.mjs');
await import('./shorten.mjs');
await import('./firmware.mjs');
await import('./offline.mjs');
