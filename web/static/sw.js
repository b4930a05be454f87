/* Keeps the shell of the console, so that the card and the telephone numbers open with the box down.
 * Network first always; nothing of /api is ever kept here. */
const NAME = 'sakimori-{{stamp}}';
const SHELL = ['/index.html', '/app.js', '/app.css', '/icon.svg', '/manual/index.html', '/manual/emergency.html'];

self.addEventListener('install', (e) => {
    e.waitUntil(caches.open(NAME).then((c) => c.addAll(SHELL)).then(() => self.skipWaiting()));
});
self.addEventListener('activate', (e) => {
    e.waitUntil(caches.keys().then((all) => Promise.all(all.filter((k) => k !== NAME).map((k) => caches.delete(k)))).then(() => self.clients.claim()));
});
self.addEventListener('fetch', (e) => {
    const url = new URL(e.request.url);
    if (e.request.method !== 'GET' || url.origin !== self.location.origin || url.pathname.startsWith('/api/')) return;
    const page = e.request.mode === 'navigate';
    if (!page && !SHELL.includes(url.pathname)) return;
    const key = SHELL.includes(url.pathname) ? url.pathname : '/index.html';
    e.respondWith(fetch(e.request).catch(() => caches.open(NAME).then((c) => c.match(key)).then((r) => r || Response.error())));
});
