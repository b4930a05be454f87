// The API of docs/API.md over plain HTTP on loopback, from made-up data. For tests and for working on screens.
// node mock/server.mjs [port]     POST /mock {"scenario","role","setup"} switches; Accept-Language picks the texts.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as D from './data.mjs';
import { ROUTES as LOGS } from './logs.mjs';
import { ROUTES as ENDPOINT, findingsOf } from './endpoint.mjs';

const DIST = process.env.SAKIMORI_WEB_OUT || join(dirname(fileURLToPath(import.meta.url)), '../dist');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json', '.txt': 'text/plain; charset=utf-8' };
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const ROOMS = { director: ['today', 'restore', 'trouble', 'machines', 'endpoint', 'copies', 'retention', 'review', 'people', 'access', 'settings', 'audit', 'card'], manager: ['today', 'restore', 'trouble', 'machines', 'endpoint', 'copies', 'retention', 'review', 'people', 'access', 'settings'], staff: ['today', 'restore', 'trouble', 'copies', 'retention'], vendor: ['today', 'machines', 'endpoint', 'restore', 'copies', 'retention'], counter: ['today'] };

export function startMock(port = 0) {
    const st = fresh();
    const streams = new Set();
    const push = (topic, data) => { for (const s of streams) s.res.write(`event: ${topic}\ndata: ${JSON.stringify(say(data, s.lang))}\n\n`); };
    const server = createServer((req, res) => {
        handle(req, res, st, streams, push).catch((e) => { res.statusCode = 500; res.end(JSON.stringify({ error: { code: 'internal', message: String(e) } })); });
    });
    return new Promise((ok) => server.listen(port, '127.0.0.1', () => ok({
        server, st, url: `http://127.0.0.1:${server.address().port}`, push, set: (x) => Object.assign(st, x), reset: () => { for (const t of st.timers) clearInterval(t); Object.assign(st, fresh()); },
        close: () => { for (const t of st.timers) clearInterval(t); for (const s of streams) s.res.end(); server.closeAllConnections(); return new Promise((r) => server.close(r)); },
    })));
}

function fresh() {
    return { scenario: 'ok', role: 'director', setup: 'done', long: false, step: 'start', unlocked: null, done: false, tries: 5, must_change: false, restore: null, runs: [], copies: null, copying: false, verify: null, empty: false, drop: false, calls: [], timers: [], totp_asked: false, restore_rate: 12, made: [], cardFits: true, cardMine: true, noEscrow: false, needsCard: true, slow: 0, late: false, noPorts: false, shut: false, released: false, savedSearches: undefined, exported: 0, isolated: false, noActs: false, noFindings: false, unguarded: false, mediaMode: undefined, policy: undefined, policyOne: undefined, finding: undefined, large: false, acted: undefined };
}

/** {ja, en} pairs become the text of one language. */
function say(x, lang) {
    if (Array.isArray(x)) return x.map((v) => say(v, lang));
    if (x && typeof x === 'object') {
        if ('ja' in x && 'en' in x && Object.keys(x).length === 2) return x[lang];
        return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, say(v, lang)]));
    }
    return x;
}

async function body(req) {
    const parts = [];
    for await (const c of req) parts.push(c);
    const text = Buffer.concat(parts).toString('utf8');
    return text ? JSON.parse(text) : {};
}

async function handle(req, res, st, streams, push) {
    const url = new URL(req.url, 'http://x');
    if (st.drop) return req.socket.destroy();
    res.setHeader('Content-Security-Policy', CSP);
    res.setHeader('X-Content-Type-Options', 'nosniff');
    if (url.pathname === '/mock') { Object.assign(st, await body(req)); return res.end('{}'); }
    if (!url.pathname.startsWith('/api/v1/')) return file(url.pathname, res);
    const lang = (req.headers['accept-language'] || 'ja').startsWith('en') ? 'en' : 'ja';
    res.setHeader('Content-Type', 'application/json');
    res.setHeader('Cache-Control', 'no-store');
    const send = (data, status = 200) => { res.statusCode = status; res.end(data === null ? '' : JSON.stringify(say(data, lang))); };
    const fail = (status, code, more = {}) => send({ error: { code, message: '', ...more } }, status);
    const path = url.pathname.slice('/api/v1'.length);
    const data = req.method === 'GET' ? {} : await body(req);
    st.calls.push({ method: req.method, path, data, csrf: req.headers['x-csrf-token'] ?? null });
    if (path === '/events') {
        if (st.role === 'nobody') return fail(401, 'not_signed_in');
        res.setHeader('Content-Type', 'text/event-stream');
        res.write(': hello\n\n');
        const s = { res, lang };
        streams.add(s);
        return void req.on('close', () => streams.delete(s));
    }
    for (const [method, pattern, f] of [...ENDPOINT, ...ROUTES, ...LOGS]) {
        if (method !== req.method) continue;
        const m = pattern.exec(path);
        if (!m) continue;
        const open = path.startsWith('/setup') || path === '/recovery' || (path === '/session' && method !== 'DELETE');
        if (!open && st.role === 'nobody') return fail(401, 'not_signed_in');
        if (!open && method !== 'GET' && req.headers['x-csrf-token'] !== 'csrf-1') return fail(403, 'csrf');
        return f({ st, data, query: url.searchParams, id: m[1] ? decodeURIComponent(m[1]) : null, send, fail, push, res });
    }
    return fail(404, 'not_found');
}

async function file(path, res) {
    const name = normalize(path).replace(/^\/+/, '');
    for (const p of [name, 'index.html']) {
        if (p !== name && extname(name)) break;
        try {
            const bytes = await readFile(join(DIST, p));
            res.setHeader('Content-Type', TYPES[extname(p)] ?? 'application/octet-stream');
            return res.end(bytes);
        } catch { /* next */ }
    }
    res.statusCode = 404;
    res.end('not found');
}

const bad = (st) => st.scenario === 'call';
const gens = (st) => (st.empty ? [] : D.generations(bad(st)));
const list = (items) => ({ items, next: null });
const session = (st) => ({ person: st.role === 'counter' || st.role === 'setup' ? null : { id: { director: 'p1', manager: 'p2', staff: 'p3', vendor: 'p4' }[st.role], name: D.people().find((p) => p.role === st.role)?.name ?? '', account: D.people().find((p) => p.role === st.role)?.account ?? '', role: st.role, until: null, ...(st.must_change ? { must_change: true } : {}), needs_card: st.role === 'director' && st.needsCard },
    csrf: 'csrf-1', kind: st.role === 'counter' ? 'counter' : st.role === 'setup' ? 'setup' : 'person', institution: st.role === 'setup' ? '' : D.settings().institution.name, language: 'ja', rooms: (ROOMS[st.role] ?? []).filter((x) => x !== 'endpoint' || !st.unguarded), unlocked_until: st.unlocked });
const later = (min) => new Date(D.NOW + min * 60_000).toISOString();

const LAMP = (id, number, state, title, why, todo = '') => ({ id, number, state, title, why, todo });
const lampsOf = (st) => (st.copies === 'none' ? [LAMP('copies', '3', 'off', '3つのデータ', '箱の外に、写しがありません。', '取り外すディスクを一つ用意して、写しを作る。'), LAMP('media', '2', 'off', '2種類の場所', '箱のディスクと別のものに、写しがありません。', '別のディスクに写しを作る。'), LAMP('elsewhere', '1', 'off', '1つは別の建物', '別の建物に、写しがありません。', 'ディスクを二つ用意する。'), LAMP('offline', '1', 'off', '1つは切りはなし', '外してしまう写しがありません。', '取り外すディスクに写しを作る。'), LAMP('errors', '0', 'look', 'まちがい 0', 'まだ全部は検査していません。', '「箱」の画面で、検査を始める。')]
    : [LAMP('copies', '3', 'on', '3つのデータ', 'もとのデータ、箱の中の保存、「赤いディスク」があります。'), LAMP('media', '2', 'on', '2種類の場所', '「赤いディスク」は、箱とは別のディスクにあります。'), LAMP('elsewhere', '1', 'look', '1つは別の建物', '「青いディスク」が、箱につながったままです。', 'ディスクを外して、別の建物へ持っていく。'), LAMP('offline', '1', 'on', '1つは切りはなし', '「赤いディスク」には、攻撃する人の手がとどきません。'), LAMP('errors', '0', 'off', 'まちがい 0', '「共有」に、まちがいが見つかっています。', 'その写しをもう一度作る。')]);
const copyOf = (id, kind, name, state, text, more = {}) => ({ id, kind, name, place: kind === 'disk' ? '1234-ABCD' : '/mnt/nas', elsewhere: kind === 'disk', detachable: kind === 'disk', when: kind === 'disk' ? 'plugged' : 'backup', hour: null, max_days: 14, enabled: true, state, text, covers: D.at(7e6), done: D.at(7e6), verified: D.at(7e6), sound: true, attached: false, detached_at: D.at(5e6), generations: 54, pack_bytes: 184e9, total_bytes: 1e12, free_bytes: 0.8e12, ...more });
const peerOf = (id, name, state, more) => ({ id, name, institution: 'もみじ会', vault: '0', accepting: true, state, quota: 500 * 2 ** 30, used: 184e9, packs: 900, generations: 61, rotten: 0, head_at: D.at(9e6), joined: D.at(9e9), last_seen: D.at(6e4), checked: D.at(9e7), ...more });
const copiesOf = (st) => (st.copies === 'none' ? [] : [copyOf('c1', 'disk', '赤いディスク', 'ok', 'きのう 22:10 までの保存が、全部入っています。'), copyOf('c2', 'disk', '青いディスク', st.copying ? 'running' : 'detach', st.copying ? '写しています。' : '終わりました。ディスクを外して、しまってください。', { attached: true, detached_at: null, ...(st.copying ? { progress: { phase: 'copy', bytes: 40e9, bytes_total: 184e9 } } : {}) }), copyOf('c3', 'folder', '共有', 'unsound', '読み返して、まちがいが見つかりました。', { sound: false, when: 'daily', hour: 4 })]);
const ROUTES = [
    ['GET', /^\/peers$/, ({ send }) => send({ items: [peerOf('p1', 'となりの医院', 'ok'), peerOf('p2', '駅前歯科', 'damaged', { rotten: 2 }), peerOf('p3', '山の診療所', 'stopped', { accepting: false })], next: null, url: 'https://192.0.2.10:8444' })],
    ['POST', /^\/peers\/codes$/, ({ send }) => send({ code: 'SKP1-JGT3-FGJS-ULPG-GMQL-WKB2-HYGJ-P6GG-TXKK-EK3G-7DCG-LE', until: D.at(-36e5), url: 'https://192.0.2.10:8444' }, 201)],
    ['POST', /^\/peers\/([^/]+)\/check$/, ({ id, send }) => send(peerOf(id, 'となりの医院', 'ok'))],
    ['PATCH', /^\/peers\/([^/]+)$/, ({ id, send }) => send(peerOf(id, 'となりの医院', 'ok'))],
    ['GET', /^\/copies$/, ({ st, send }) => send({ items: copiesOf(st), next: null, lamps: lampsOf(st), box: { uid: 0, gid: 0, disks: '' } })],
    ['GET', /^\/copies\/([^/]+)$/, ({ st, id, send, fail }) => { const c = copiesOf(st).find((x) => x.id === id); return c ? send({ ...c, runs: [{ id: 'r1', what: 'copy', by: null, state: 'complete', started: D.at(7e6), finished: D.at(6.9e6), facts: { copy: { copied_bytes: 1.2e9 } } }, { id: 'r2', what: 'copy', by: 'hanako', state: 'failed', started: D.at(9e7), finished: D.at(8.9e7), facts: { files: [{ file: 'packs/ab/abcd.skp', why: 'its bytes do not match its name' }] } }] }) : fail(404, 'not_found'); }],
    ['POST', /^\/copies\/([^/]+)\/run$/, ({ st, id, send, push }) => { st.copying = true; push('copy', { id }); send(copiesOf(st).find((x) => x.id === id), 202); }],
    ['POST', /^\/copies\/([^/]+)\/cancel$/, ({ st, id, send, push }) => { st.copying = false; push('copy', { id }); send({}); }],
    ['PATCH', /^\/copies\/(.+)$/, ({ send }) => send({})], ['DELETE', /^\/copies\/(.+)$/, ({ st, send }) => { st.copies = 'none'; send({}); }],
    ['GET', /^\/setup$/, ({ st, send }) => send({ done: st.setup === 'done', step: st.step, vault: D.hex('vault', 32), ca_sha256: D.hex('ca'), ca_pem: '-----BEGIN CERTIFICATE-----\nbW9jaw==\n-----END CERTIFICATE-----\n', names: ['127.0.0.1', 'sakimori.local'] })],
    ['POST', /^\/setup\/start$/, ({ st, data, send, fail }) => (data.code !== 'SAKI-1234' ? fail(403, 'denied', { tries_left: --st.tries }) : (st.role = 'setup', st.step = 'institution', send({ csrf: 'csrf-1' })))],
    ['POST', /^\/setup\/institution$/, ({ st, send }) => { st.step = 'director'; send({}); }],
    ['POST', /^\/setup\/director$/, ({ st, data, send, fail }) => (/password|sakura/i.test(data.password) ? fail(422, 'bad_request', { field: 'password', reason: 'banned' }) : (st.step = 'totp', send({ totp_secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', totp_uri: 'otpauth://totp/mock', totp_qr_svg: D.qr('totp') })))],
    ['POST', /^\/setup\/director\/totp$/, ({ st, data, send, fail }) => (data.code === '000000' ? fail(422, 'bad_request', { field: 'code' }) : (st.step = 'sheet', send({ codes: Array.from({ length: 10 }, (_, i) => D.hex('code' + i, 8).replace(/(....)/, '$1-')) })))],
    ['POST', /^\/setup\/sheet$/, ({ st, send }) => { st.step = 'confirm'; const s = (k) => ({ words_ja: D.words('ja'), words_en: D.words('en'), qr_svg: D.qr(k), qr_text: 'SAKIMORI-' + k }); send({ open: s('open'), orders: s('orders'), card: { text: 'SKC1-7H2K-9QWX-M4PD-R8TZ-3VNB-6LFA', qr_svg: D.qr('card') }, ask: [{ which: 'open', n: 3 }, { which: 'orders', n: 17 }, { which: 'open', n: 21 }] }); }],
    ['POST', /^\/setup\/confirm$/, ({ st, data, send, fail }) => { const i = data.answers.findIndex((a) => a.word !== D.words('ja')[a.n - 1] && a.word !== D.words('en')[a.n - 1]); if (i >= 0) return fail(422, 'bad_request', { field: `answers.${i}` }); st.setup = 'done'; st.role = 'director'; st.empty = true; send({ done: true }); }],
    ['POST', /^\/session$/, ({ st, data, send, fail }) => {
        if (data.account === 'locked') return fail(423, 'locked', { wait_s: 300 });
        if (data.password !== 'right-horse-9') return fail(401, 'not_signed_in', { tries_left: --st.tries });
        if (!data.totp && !data.one_time) return fail(401, 'totp_needed');
        if (data.totp && data.totp !== '123456') return fail(401, 'not_signed_in', { tries_left: --st.tries });
        st.role = 'director';
        send({ session: session(st) });
    }],
    ['GET', /^\/session$/, ({ st, send, fail }) => (st.role === 'nobody' ? fail(401, 'not_signed_in') : send(session(st)))],
    ['DELETE', /^\/session$/, ({ st, send }) => { st.role = st.enrolled ? 'counter' : 'nobody'; send({}); }],
    ['POST', /^\/session\/password$/, ({ st, data, send, fail }) => (data.new === 'password1' ? fail(422, 'bad_request', { field: 'new', reason: 'banned' }) : (st.must_change = false, send({})))],
    ['POST', /^\/recovery$/, ({ st, data, send, fail }) => {
        if (data.words === 'locked') return fail(423, 'locked', { wait_s: 300 });
        if (!/^(\S+\s+){23}\S+$/.test(data.words)) return fail(403, 'denied', { tries_left: --st.tries });
        if (data.account !== 'hanako') return fail(422, 'bad_request', { field: 'account', message: 'hanako' });
        st.cardFits = false;
        send({ account: 'hanako', card_fits: false, totp_secret: 'JBSWY3DPEHPK3PXP', totp_uri: 'otpauth://x', totp_qr_svg: D.qr('anew'), codes: Array.from({ length: 10 }, (_, i) => D.hex('anew' + i, 8)) });
    }],
    ['GET', /^\/restore-card$/, ({ st, send }) => send({ escrow: st.noEscrow ? null : D.hex('escrow', 64), vault: D.hex('vault', 32), fits: st.cardFits ?? true, mine: st.cardMine ?? true })],
    ['GET', /^\/today$/, ({ st, send }) => { const x = D.today(st.scenario, D.generations(bad(st)), st.done); x.lamps = lampsOf(st); send(st.keptDays !== undefined ? { ...x, last: { ...x.last, kept_days: st.keptDays } } : st.empty ? { ...x, groups: [], last: { ...x.last, at: null, devices: 0, devices_total: 1, drill: null }, one: null } : x); }],
    ['POST', /^\/today\/tasks\/(.+)$/, ({ st, send }) => { st.done = true; send({}); }],
    ['GET', /^\/alarms$/, ({ st, send }) => send(list([...(st.incident ? [D.incidentAlarm()] : []), ...D.alarms(bad(st), gens(st))]))],
    ['GET', /^\/incidents\/7$/, ({ st, send }) => { const x = { ...D.incident(), findings: findingsOf(st, 'd1') }; if (st.long) x.timeline = Array.from({ length: 16 }, (_, i) => ({ ...x.timeline[i % 4], id: i + 1 })); x.timeline.forEach((s) => { if (st.quiet === s.id) s.what = 'filtered'; }); x.responses = D.responses(); if (st.acted) x.responses.find((r) => r.id === st.acted.id).state = st.acted.state; send(x); }],
    ['POST', /^\/signals\/(.+)\/false-alarm$/, ({ st, id, send }) => { st.quiet = Number(id); send({ id: 4, entities: [] }, 201); }],
    ['GET', /^\/incidents$/, ({ st, send }) => send(list(st.incident ? [D.incident()] : []))],
    ['GET', /^\/playbooks$/, ({ st, send }) => send({ items: st.empty ? [] : D.playbooks(), actions: D.actions(), next: null })],
    ['POST', /^\/playbooks$/, ({ send }) => send({ id: 'p2' }, 201)],
    ['POST', /^\/playbooks\/(.+)\/try$/, ({ send }) => send({ fits: true, steps: [{ action: 'freeze-vault', mode: 'auto', plan: [['ja', 'reception-1 の古い保存を止めます'], ['en', 'Holds the older backups of reception-1']].reduce((o, [k, v]) => ({ ...o, [k]: v }), { undo: true }) }] })],
    ['PATCH', /^\/playbooks\/(.+)$/, ({ send }) => send({})],
    ['DELETE', /^\/playbooks\/(.+)$/, ({ send }) => send({})],
    ['POST', /^\/responses\/(.+)$/, ({ st, id, data, send }) => { st.acted = { id: Number(id), state: { run: 'todo', done: 'done', skip: 'skipped', undo: 'undone' }[data.do] }; send({}); }],
    ['GET', /^\/rules$/, ({ st, query: q, send }) => { const items = (st.empty ? [] : D.rules()).filter((r) => (!q.get('state') || r.state === q.get('state')) && (!q.get('text') || (r.title + r.title_ja).includes(q.get('text')))); send({ items, total: 3805, found: items.length, next: null, faults: st.empty ? [] : D.ruleFaults(), faults_total: st.empty ? 0 : 2, counts: { on: 3700, products: { windows: true, linux: true, fortigate: true } } }); }],
    ['POST', /^\/rules\/test$/, ({ data, send }) => send(data.line ? D.tried(data.line) : data.text.includes('nosuch') ? { rules: [], results: [], faults: [{ line: 9, why: 'modifier nosuch is not known' }] } : { rules: [{ ...D.rules()[4], instead_of: 'LSASS Memory Dump by a Signed Tool' }], faults: [], results: [] })],
    ['POST', /^\/rules\/(.+)\/filters$/, ({ send }) => send({ id: 4 }, 201)], ['DELETE', /^\/rule-filters\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/rules\/(.+)$/, ({ st, id, send, fail }) => { const r = D.rule(id); if (r && st.ruleOff !== undefined && id === 'r1') Object.assign(r, st.ruleOff ? { state: 'off', off: true, off_note: { why: st.ruleOff, by: 'incho', at: D.at(0) } } : {}); return r ? send(r) : fail(404, 'not_found'); }],
    ['PATCH', /^\/rules\/(.+)$/, ({ st, data, send }) => { st.ruleOff = data.on ? '' : data.why; send({}); }],
    ['POST', /^\/own-rules$/, ({ data, send, fail }) => (data.text.includes('nosuch') ? fail(422, 'bad_rule', { faults: [{ line: 9, why: 'modifier nosuch is not known' }] }) : send({ id: 'r5' }, 201))], ['DELETE', /^\/own-rules\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/rule-bundle$/, ({ st, send }) => send(D.bundle(st.empty))], ['POST', /^\/rule-bundle\/part$/, ({ send }) => send({ have: 1 })],
    ['POST', /^\/rule-bundle\/back$/, ({ send }) => { const b = D.bundle(false); send({ ...b, current: b.previous, previous: b.current }); }],
    ['POST', /^\/rule-bundle$/, ({ data, send, fail }) => (data.older ? send(D.bundle(false)) : fail(409, 'bundle_older'))],
    ['POST', /^\/rule-keys$/, ({ send }) => send({ id: 'k2' }, 201)], ['DELETE', /^\/rule-keys\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/reviews$/, ({ st, send }) => send(list(st.empty ? [] : D.reviews(st.signed)))],
    ['GET', /^\/reviews\/(.+)$/, ({ st, id, send }) => send(D.review(id, st.signed))],
    ['POST', /^\/reviews\/(.+)\/sign$/, ({ st, data, send, fail }) => { if (data.password !== 'right-horse-9') return fail(422, 'password'); st.signed = true; send({ hash: 'ab'.repeat(32) }); }],
    ['GET', /^\/signal-filters$/, ({ st, send }) => send(list(st.empty ? [] : D.quiet()))],
    ['DELETE', /^\/signal-filters\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/maintenance$/, ({ st, send }) => send(list(st.empty ? [] : D.bookings()))],
    ['POST', /^\/maintenance$/, ({ data, send, fail }) => (data.address === 'bad' ? fail(400, 'bad_request', { field: 'address' }) : send({ id: 'm3' }, 201))],
    ['DELETE', /^\/maintenance\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/alarms\/(.+)$/, ({ st, id, send, fail }) => { if (id === D.I7) return send(D.incidentAlarm()); const a = D.alarms(true, D.generations(true)).find((x) => x.id === id); return a ? send(st.seen ? { ...a, seen: later(0) } : a) : fail(404, 'not_found'); }],
    ['POST', /^\/alarms\/(.+)$/, ({ st, data, send }) => { if (data.action === 'seen') st.seen = true; if (data.action === 'close') st.scenario = 'ok'; send({}); }],
    ['GET', /^\/devices$/, ({ st, send }) => send(list(D.devices().slice(0, st.empty ? 1 : 99)))],
    ['POST', /^\/devices\/codes$/, ({ send }) => send({ code: 'SKJ1-ABCD-EFGH-IJKL-MNOP-QRST-UVWX', until: later(15), command: 'sakimori-agent join https://192.0.2.5:8444 SKJ1-ABCD-EFGH-IJKL-MNOP-QRST-UVWX' })],
    ['GET', /^\/devices\/[^/]+\/logs$/, ({ send }) => send(D.machineLogs())], ['PUT', /^\/devices\/[^/]+\/logs$/, ({ send }) => send(D.machineLogs())],
    ['PATCH', /^\/devices\/(.+)$/, ({ send }) => send({})], ['DELETE', /^\/devices\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/sources$/, ({ st, send }) => send(list(st.empty ? st.made : D.sources(bad(st), gens(st)).concat(st.made)))],
    ['POST', /^\/sources$/, ({ st, data, send }) => { const s = { id: 'n' + (st.made.length + 1), ...data, responsible: data.responsible ?? null, last: null, next: later(30), state: 'ok' }; st.made.push(s); send(s, 201); }],
    ['POST', /^\/sources\/(.+)\/run$/, ({ st, id, send, push }) => { const r = run(id, 'waiting'); st.runs.unshift(r); drive(st, r, push); send({ run: r.id }); }],
    ['PATCH', /^\/sources\/(.+)$/, ({ send }) => send({})], ['DELETE', /^\/sources\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/runs$/, ({ st, send }) => send(list([...st.runs, ...(st.empty ? [] : [{ ...run('s6', 'complete'), finished: D.at(2e6), suspicious: true }, { ...run('s3', 'complete'), finished: D.at(3e6) }, { ...run('s6', 'partial'), finished: D.at(5e6), problems_total: 2, problems: [{ path: '/srv/share/鍵/a.key', error: 'Permission denied' }, { path: '/srv/share/tmp', error: 'changed while read' }] }])]))],
    ['GET', /^\/runs\/(.+)$/, ({ st, id, send, fail }) => { const r = st.runs.find((x) => x.id === id); return r ? send(r) : fail(404, 'not_found'); }],
    ['POST', /^\/runs\/(.+)\/cancel$/, ({ st, id, send, push }) => { const r = st.runs.find((x) => x.id === id); if (r) { r.state = 'cancelled'; push('run', r); } send({}); }],
    ['GET', /^\/generations$/, ({ st, query, send }) => send(list(gens(st).filter((g) => (!query.get('source') || g.source === query.get('source')) && (!query.get('from') || g.at >= query.get('from')))))],
    ['GET', /^\/generations\/([^/]+)$/, ({ st, id, send, fail }) => { const g = gens(st).find((x) => x.id === id); return g ? send(g) : fail(404, 'not_found'); }],
    ['GET', /^\/generations\/([^/]+)\/files$/, ({ st, query, send, fail }) => (st.unlocked ? send({ ...list(D.files(query.get('path'))), path: query.get('path') ?? '' }) : fail(409, 'unlock_needed'))],
    ['GET', /^\/generations\/([^/]+)\/diff$/, ({ st, send, fail }) => (st.unlocked ? send(list(D.files('/srv/share').slice(0, 3).map((f, i) => ({ ...f, path: '/srv/share/' + f.name, path_b64: '', change: ['added', 'removed', 'changed'][i], what: i === 2 ? ['content', 'meta'] : [], ...(i === 2 ? { was: { ...f, size: 900 } } : {}) })))) : fail(409, 'unlock_needed'))],
    ['GET', /^\/search$/, ({ st, query, send, fail }) => {
        if (!st.unlocked) return fail(409, 'unlock_needed');
        const all = gens(st), page = Number(query.get('cursor') ?? 0);
        const g = all[page];
        send({ items: D.files('/srv/share').filter((f) => f.name.includes(query.get('text'))).map((f) => ({ ...f, path: '/srv/share/' + f.name, path_b64: '', generation: g.id, at: g.at, source: g.source, source_name: '', suspicious: g.suspicion.level === 'high' })), searched: 1, more: false, next: page < 2 ? String(page + 1) : null });
    }],
    ['GET', /^\/generations\/([^/]+)\/find$/, ({ st, query, send, fail }) => (st.unlocked ? send(list(D.files('/srv/share').filter((f) => f.name.includes(query.get('text'))).map((f) => ({ ...f, path: '/srv/share/' + f.name, path_b64: Buffer.from('/srv/share/' + f.name).toString('base64') })))) : fail(409, 'unlock_needed'))],
    ['GET', /^\/generations\/([^/]+)\/file$/, ({ res }) => { res.setHeader('Content-Type', 'application/octet-stream'); res.setHeader('Content-Disposition', 'attachment'); res.end('sample'); }],
    ['POST', /^\/unlock$/, ({ st, data, send, fail }) => (data.password !== 'right-horse-9' ? fail(403, 'denied', { tries_left: --st.tries }) : (st.unlocked = later(15), send({ until: st.unlocked })))],
    ['DELETE', /^\/unlock$/, ({ st, send }) => { st.unlocked = null; send({}); }],
    ['POST', /^\/restores$/, ({ st, data, send, fail, push }) => {
        if (!st.unlocked) return fail(409, 'unlock_needed');
        const g = gens(st).find((x) => x.id === data.manifest);
        if (g?.suspicion.level === 'high' && !data.suspicious_ok) return fail(409, 'suspicious');
        st.restore = { id: 'r1', manifest: data.manifest, device: data.device, target: data.target, state: 'running', progress: { files: 0, files_total: 394, bytes: 0, bytes_total: 1.5e9 }, set_aside: null, problems: [], started: later(0), finished: null, ms: null };
        const timer = setInterval(() => {
            if (st.restore?.state !== 'running') return clearInterval(timer);
            const p = st.restore.progress;
            p.files = Math.min(394, p.files + st.restore_rate); p.bytes = (p.files / 394) * 1.5e9;
            if (p.files === 394) Object.assign(st.restore, { state: 'complete', set_aside: 394, finished: later(4), ms: 252_000 });
            push('restore', st.restore);
        }, 200);
        st.timers.push(timer);
        send({ id: 'r1' }, 201);
    }],
    ['GET', /^\/restores$/, ({ st, send }) => send(list(st.restore ? [st.restore] : []))],
    ['GET', /^\/restores\/([^/]+)$/, ({ st, send, fail }) => (st.restore ? send(st.restore) : fail(404, 'not_found'))],
    ['POST', /^\/restores\/([^/]+)\/cancel$/, ({ st, send, push }) => { st.restore.state = 'cancelled'; push('restore', st.restore); send({}); }],
    ['POST', /^\/verify$/, ({ st, data, send }) => { st.verify = { kind: data.kind, phase: 'structure', packs: 120, packs_total: 412, bytes: 0, bytes_total: 0, generations: 0, generations_total: 54, damaged: 0 }; setTimeout(() => { st.verify = null; st.verified = true; }, 1500); send({}, 202); }],
    ['POST', /^\/scrub$/, ({ st, send }) => { st.scrub = true; setTimeout(() => { st.scrub = false; }, 1500); send({ started: true }, 202); }],
    ['GET', /^\/scrub$/, ({ st, send }) => send({ now: { running: !!st.scrub, phase: st.scrub ? 'packs' : 'idle', by_person: !!st.scrub, started: new Date(Date.now() - 3 * 864e5).toISOString(), finished: new Date(Date.now() - 2 * 864e5).toISOString(), next: new Date(Date.now() + 27 * 864e5).toISOString(), packs: 412, packs_total: 412, bytes: st.scrub ? 92e9 : 184e9, bytes_total: 184e9, protected: 3, bare: 0, healed: 1, damaged: 0, hit: 0, manifests: 54, waiting: 2, days: 30, rate: 33554432, last: { packs: 412, bytes: 184e9, damaged: 0, healed: 1 } }, reports: [], healed: [{ at: new Date(Date.now() - 2 * 864e5).toISOString(), what: 'pack', file: 'packs/ab/' + 'ab'.repeat(32) + '.skp', object: null, blocks: 1, found_by: 'scrub' }], found: [] })],
    ['GET', /^\/verify$/, ({ st, send }) => send({ running: st.verify, last: { kind: 'structure', packs: 412, objects: 81_422, bytes: 184e9, generations: 54, damaged: 0, hit: 0, ms: 131_000, sound: true, cancelled: false }, damaged: [] })],
    ['GET', /^\/people$/, ({ send }) => send(list(D.people()))],
    ['POST', /^\/people$/, ({ data, send, fail }) => (D.people().some((p) => p.account === data.account) ? fail(409, 'conflict', { field: 'account' }) : send({ id: 'p9', first_password: 'kumo-7412-hana', totp_secret: 'JBSWY3DPEHPK3PXP', totp_uri: 'otpauth://x', totp_qr_svg: D.qr('p9'), codes: Array.from({ length: 10 }, (_, i) => D.hex('p9' + i, 8)) }, 201))],
    ['POST', /^\/people\/(.+)\/reset$/, ({ send }) => send({ first_password: 'yuki-3391-mizu', totp_secret: 'JBSWY3DPEHPK3PXP', totp_qr_svg: D.qr('p8'), codes: Array.from({ length: 10 }, (_, i) => D.hex('p8' + i, 8)) })],
    ['PATCH', /^\/people\/(.+)$/, ({ send }) => send({})], ['DELETE', /^\/people\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/head$/, ({ send }) => send({ short: 'SKH1-1841-7K2M-9QXT-4H6D-R3VB', long: 'SKHF-', qr_svg: D.qr('head') })],
    ['GET', /^\/self$/, ({ send }) => send({ state: 'ok', saved: D.at(6e6), tried: D.at(6e6), next: D.at(-8e7), error: '', why: '', why_text: '', last: null, took_over: null, logs: { state: 'ok', until: D.at(3e6), why_text: '' } })],
    ['GET', /^\/access$/, ({ st, query, send }) => send(list(D.access(D.generations(bad(st))).filter(() => !query.get('person') || query.get('person') === 'hanako')))],
    ['GET', /^\/audit$/, ({ send }) => send({ items: D.audit(), next: '200' })],
    ['GET', /^\/audit\/export$/, ({ res }) => { res.setHeader('Content-Type', 'application/octet-stream'); res.end('{}\n'); }],
    ['POST', /^\/audit\/verify$/, ({ st, send }) => send(st.tampered ? { ok: false, lines: 214, first_bad: { line: 88, why: 'hash' } } : { ok: true, lines: 214 })],
    ['GET', /^\/retention$/, ({ st, query, send }) => send(D.retention(st, query.get('source'), D.sources(bad(st), gens(st))))],
    ['GET', /^\/retention\/clean$/, ({ st, send }) => send({ running: null, last: st.cleaned ?? null })],
    ['POST', /^\/retention\/clean$/, ({ st, data, send }) => { st.cleaned = { dry: !!data.dry_run, phase: 'done', at: D.at(0), expired: 3, condemned: 5, bytes_condemned: 82e6, deleted: 2, bytes_deleted: 31e6, blocked: 0 }; send({ started: true }, 202); }],
    ['POST', /^\/retention\/orders\/(.+)\/cancel$/, ({ st, send }) => { st.order_stopped = true; send({}); }],
    ['POST', /^\/retention\/holds$/, ({ send }) => send({ id: 'h2' })], ['POST', /^\/retention\/holds\/(.+)\/release$/, ({ st, send }) => { st.released = true; send({}); }],
    ['POST', /^\/retention\/date$/, ({ send }) => send({ gap_ms: 0, may_ms: 0, gained_ms: 0, ask: false, gained_now_ms: 0 })],
    ['GET', /^\/settings$/, ({ st, send }) => { const s = D.settings(); s.mail.last = st.sent ?? null; send(s); }], ['PATCH', /^\/settings$/, ({ send }) => send({})], ['POST', /^\/settings\/test$/, ({ st, send }) => { st.sent = { ok: !st.mail_fails, at: D.at(-1000 * (st.tests = (st.tests ?? 0) + 1)), detail: st.mail_fails ? 'Connection refused' : '250' }; send({ queued: true }, 202); }],
    ['GET', /^\/contacts$/, ({ st, send }) => send(list(st.empty ? [] : D.contacts()))], ['PUT', /^\/contacts$/, ({ send }) => send({})],
    ['GET', /^\/card$/, ({ st, send }) => send({ institution: D.settings().institution.name, address: '', contacts: st.empty ? [] : st.many_contacts ? [...D.contacts(), ...D.contacts()] : D.contacts() })],
    ['GET', /^\/logs\/store$/, ({ st, send }) => send(D.logStore(st.store))], ['PUT', /^\/logs\/store$/, ({ send, data }) => send({ ...D.logStore('up'), ...data, password: undefined })], ['POST', /^\/logs\/store\/init$/, ({ send }) => send({})],
    ['POST', /^\/monitors$/, ({ send, data }) => { send({ id: 'w2', name: data.name, token: '0123456789abcdef'.repeat(4) }, 201); }],
    ['POST', /^\/drills$/, ({ st, send, fail }) => { if (!st.unlocked) return fail(409, 'unlock_needed'); send({ id: 'd1' }, 202); }],
    ['GET', /^\/drills$/, ({ send }) => send(list(D.drills()))],
    ['GET', /^\/drills\/(.+)$/, ({ id, send, fail }) => { const d = D.drills().find((x) => x.id === id); return d ? send({ ...d, institution: D.settings().institution.name, problems: [] }) : fail(404, 'not_found'); }],
    ['GET', /^\/monitors$/, ({ send }) => send(list([{ id: 'w1', name: { ja: '保守会社の監視', en: 'Support company' }, created: D.at(9e8), last_seen: D.at(6e4), until: null }]))], ['DELETE', /^\/monitors\/(.+)$/, ({ send }) => send({})],
    ['POST', /^\/counter$/, ({ st, send }) => { st.enrolled = true; send({ id: 'k2' }, 201); }],
    ['GET', /^\/counter$/, ({ send }) => send(list([{ id: 'k1', name: { ja: '受付カウンター', en: 'Counter' }, created: D.at(9e8), last_seen: D.at(6e4) }]))], ['DELETE', /^\/counter\/(.+)$/, ({ send }) => send({})],
    ['GET', /^\/box$/, ({ st, send }) => send(D.box(D.generations(bad(st))))],
];

let runs = 0;
function run(source, state) {
    return { id: 'run' + (++runs), source, device: 'd' + source.slice(1), kind: 'adhoc', state, started: D.at(4e6), finished: null, progress: null, problems: [], problems_total: 0, manifest: null };
}
function drive(st, r, push) {
    let n = 0;
    const timer = setInterval(() => {
        if (r.state === 'cancelled') return clearInterval(timer);
        n++;
        r.state = n < 10 ? 'running' : 'complete';
        r.progress = { phase: n < 3 ? 'scan' : 'send', files: n * 800, files_total: 8000, bytes: n * 1e8, bytes_total: 1e9, sent: n * 3e7, now: '/srv/share/予約表.xlsx' };
        if (n >= 10) { r.finished = new Date().toISOString(); clearInterval(timer); }
        push('run', r);
    }, 300);
    st.timers.push(timer);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const m = await startMock(Number(process.argv[2] || 8080));
    console.log(`mock of the Sakimori API: ${m.url}`);
}
