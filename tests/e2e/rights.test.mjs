// Who may call what, tried at the real box: every route as every role and as nobody; the agents' port; headers, token, TLS, Host.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import net from 'node:net';
import * as L from './lib.mjs';

let w;
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});

/** The table of routes as docs/API.md and src/api/routes.c say it. */
function routes() {
  const text = fs.readFileSync(path.join(L.top, 'src/api/routes.c'), 'utf8').replace(/\n\s+/g, ' ');
  const sets = { ANYBODY: ['nobody', 'setup', 'counter', 'staff', 'vendor', 'manager', 'director'], PEOPLE: ['staff', 'vendor', 'manager', 'director'], UP: ['staff', 'manager', 'director'], CHIEFS: ['manager', 'director'] };
  const out = [];
  for (const m of text.matchAll(/\{ "([A-Z]+)", (V1|A1)? ?"([^"]+)", ([A-Z_ |0-9]+), (API_[A-Z_]+), [^,]+, ([A-Z_0-9 |]+), "([^"]+)", \w+ \}/g)) {
    const who = m[4].split('|').flatMap((x) => sets[x.trim()] ?? [x.trim().replace('API_', '').toLowerCase()]);
    out.push({ method: m[1], path: (m[2] === 'V1' ? '/api/v1' : m[2] === 'A1' ? '/agent/v1' : '') + m[3], who, flags: m[6], act: m[7] });
  }
  return out;
}
const fill = (p) => p.replace(/\{pack\}/, 'ab'.repeat(32)).replace(/\{\w+\}/g, 'cd'.repeat(16));

test('every route as every role and as nobody', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'rights' });
  const all = routes();
  const console_ = all.filter((r) => !r.path.startsWith('/agent/'));
  assert.ok(console_.length >= 55, `${console_.length} routes were read`);
  const people = {};
  let i = 0;
  for (const role of ['manager', 'staff', 'vendor']) {
    const p = await w.c.post('people', { account: role, name: role, role, ...(role === 'vendor' ? { until: new Date(Date.now() + 86400e3).toISOString() } : {}) });
    const c = new L.Client(w.box);
    const secret = p.totp_secret ?? p.totp?.secret;
    const r = await c.call('POST', 'session', { account: role, password: p.first_password, ...(secret ? { totp: L.totp(secret) } : {}) });
    assert.equal(r.status, 200, `${role}: ${r.text}`);
    await c.get('session');
    const early = await c.call('GET', 'today');
    assert.equal(early.status, 403, 'the first password opens nothing but its change');
    assert.equal(early.json.error.code, 'password_first');
    assert.match(early.json.error.message, /自分だけのパスワード/);
    const ch = await c.call('POST', 'session/password', { old: p.first_password, new: `tsubame-8-asagao-${i++}` });
    assert.ok(ch.status < 300, `${role}: ${ch.text}`);
    await c.get('session');
    people[role] = c;
  }
  // A counter browser: enrolled by the director in that browser.
  const counter = new L.Client(w.box);
  const made = await L.request('POST', `${w.box.url}/api/v1/counter`, { name: '受付' }, { ca: w.box.ca, headers: { Cookie: w.c.cookie, 'X-CSRF-Token': w.c.csrf } });
  assert.ok(made.status < 300, made.text);
  counter.cookie = made.headers['set-cookie'].find((c) => c.startsWith('__Host-sakimori-counter')).split(';')[0];
  people.counter = counter;
  people.director = await L.signIn(w.box, { one_time: w.person.codes[0] });
  people.nobody = new L.Client(w.box);
  const table = {};
  let tries = 0, wrong = [];
  for (const r of console_) {
    if (r.path.endsWith('/session') && r.method === 'GET') continue; // 401 is its answer for nobody
    if (/setup\/|\/session$|\/events$/.test(r.path) && r.method !== 'GET') continue;
    for (const [role, c] of Object.entries(people)) {
      if (r.path.endsWith('/events') && r.who.includes(role)) continue;
      // A body that no handler takes: nothing is done, but who may come in is seen.
      const a = await c.call(r.method, fill(r.path), r.method === 'GET' || r.method === 'DELETE' ? undefined : Buffer.from('['), { 'Content-Type': 'application/json' });
      tries++;
      const out = a.status === 401 || (a.status === 403 && a.json?.error?.code !== 'csrf');
      const may = r.who.includes(role) || (r.who.includes('nobody') && role === 'nobody');
      table[a.status] = (table[a.status] ?? 0) + 1;
      if (may === out && !(may && ['unlock_needed', 'conflict'].includes(a.json?.error?.code))) wrong.push(`${r.method} ${r.path} as ${role}: ${a.status} ${a.json?.error?.code}`);
      if (!may) assert.ok([401, 403].includes(a.status), `${r.method} ${r.path} as ${role}: ${a.status}`);
      assert.ok(a.status < 500 || a.status === 503, `${r.method} ${r.path} as ${role}: ${a.status} ${a.text}`);
    }
  }
  assert.deepEqual(wrong, []);
  say(`${console_.length} routes × ${Object.keys(people).length} callers: ${tries} calls, answers ${JSON.stringify(table)}`);
  w.people = people;
});

test('without the token no change is made', async () => {
  const { director } = w.people;
  let n = 0;
  for (const [method, route] of [['POST', 'devices/codes'], ['PATCH', 'settings'], ['PUT', 'contacts'], ['DELETE', `devices/${w.agent.device.id}`], ['POST', 'people'], ['POST', `sources/${w.source.id}/run`], ['DELETE', 'session']]) {
    for (const token of [undefined, '', 'wrong', w.people.manager.csrf]) {
      const r = await L.request(method, `${w.box.url}/api/v1/${route}`, method === 'DELETE' ? undefined : {}, { ca: w.box.ca, headers: { Cookie: director.cookie, ...(token === undefined ? {} : { 'X-CSRF-Token': token }) } });
      assert.equal(r.status, 403, `${method} ${route}: ${r.status} ${r.text}`);
      assert.equal(r.json.error.code, 'csrf');
      n++;
    }
  }
  assert.equal((await director.get('session')).kind, 'person', 'still signed in');
  say(`${n} changes without or with a wrong token refused`);
});

test('the agents\' port wants a known certificate, and neither port answers the other\'s paths', { timeout: 60e3 }, async () => {
  const read = (a, n) => fs.readFileSync(path.join(a.data, 'link', n));
  const own = { ca: w.box.ca, cert: read(w.agent, 'cert.pem'), key: read(w.agent, 'tls.key') };
  const agents = routes().filter((r) => r.path.startsWith('/agent/'));
  const ask = (r, url, how) => L.request(r.method, `${url}${fill(r.path)}`, r.method === 'GET' ? undefined : Buffer.from('{}'), { ...how, headers: { 'Content-Type': 'application/json' } }).catch((e) => ({ status: 0, text: e.message }));
  let n = 0;
  for (const r of agents) {
    if (r.who.includes('stranger')) continue;
    const nobody = await ask(r, w.box.agentUrl, { ca: w.box.ca });
    assert.ok([401, 403, 0].includes(nobody.status), `${r.path} without a certificate: ${nobody.status}`);
    const other = await ask(r, w.box.url, own);
    assert.ok([401, 403, 404].includes(other.status), `${r.path} at the console's port: ${other.status}`);
    n += 2;
  }
  for (const p of ['people', 'settings', 'today', 'session', 'setup', 'box', 'audit']) {
    const r = await L.request('GET', `${w.box.agentUrl}/api/v1/${p}`, undefined, own);
    assert.ok([401, 403, 404].includes(r.status), `${p}: ${r.status}`);
    n++;
  }
  // Another box's certificate: same names, another authority.
  const second = await L.World.start({ name: 'rights2' });
  const foreign = { ca: w.box.ca, cert: read(second.agent, 'cert.pem'), key: read(second.agent, 'tls.key') };
  const poll = { method: 'POST', path: '/agent/v1/poll' };
  const f = await ask(poll, w.box.agentUrl, foreign);
  assert.ok([401, 403, 0].includes(f.status), `foreign: ${f.status}`);
  await second.stop();
  const good = await ask(poll, w.box.agentUrl, own);
  assert.equal(good.status, 200, good.text);
  // Revoked: the very next request.
  await w.agent.stop();
  const c = await L.signIn(w.box, { one_time: w.person.codes[1] });
  await c.must('DELETE', `devices/${w.agent.device.id}`, { reason: '試験' });
  for (const r of agents.filter((x) => !x.who.includes('stranger'))) {
    const a = await ask(r, w.box.agentUrl, own);
    assert.ok([401, 403].includes(a.status), `${r.path} after revocation: ${a.status}`);
    n++;
  }
  say(`${n + 2} calls at both ports`);
});

test('headers, TLS version, Host', async () => {
  const r = await L.request('GET', `${w.box.url}/`, undefined, { ca: w.box.ca });
  assert.equal(r.status, 200);
  const csp = r.headers['content-security-policy'];
  assert.ok(csp, 'CSP');
  for (const want of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(csp.includes(want), `${want} in ${csp}`);
  assert.ok(!/unsafe-eval|script-src[^;]*unsafe-inline/.test(csp), csp);
  assert.equal(r.headers['x-content-type-options'], 'nosniff');
  assert.ok(r.headers['referrer-policy']);
  assert.ok(!r.headers.server, 'no banner');
  const api = await w.people.director.call('GET', 'today');
  assert.match(api.headers['cache-control'], /no-store/);
  const cookie = (await L.request('POST', `${w.box.url}/api/v1/session`, { account: 'incho', password: L.password, one_time: w.person.codes[2] }, { ca: w.box.ca })).headers['set-cookie'].join();
  for (const want of ['__Host-sakimori=', 'HttpOnly', 'Secure', 'SameSite=Strict', 'Path=/']) assert.ok(cookie.includes(want), `${want} in ${cookie}`);
  for (const url of [w.box.url, w.box.agentUrl]) {
    const { port } = new URL(url);
    for (const version of ['TLSv1.2', 'TLSv1.1']) {
      const refused = await new Promise((ok) => {
        const s = tls.connect({ host: '127.0.0.1', port, minVersion: 'TLSv1', maxVersion: version, rejectUnauthorized: false, ciphers: 'DEFAULT:@SECLEVEL=0' }, () => { s.destroy(); ok(false); });
        s.on('error', () => ok(true));
      });
      assert.ok(refused, `${version} at ${url}`);
    }
    const plain = await new Promise((ok) => {
      const s = net.connect(port, '127.0.0.1', () => s.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
      let got = '';
      s.on('data', (d) => (got += d.toString('latin1')));
      s.on('close', () => ok(got));
      s.on('error', () => ok(got));
      setTimeout(() => s.destroy(), 5000).unref();
    });
    assert.ok(!/200 OK/.test(plain), 'plain HTTP is not answered');
  }
  // Whoever asks under another name finds it nowhere in the answer, and is sent nowhere.
  for (const route of ['/', '/sign-in', '/api/v1/setup', '/api/v1/nothing', '/no/such/page']) {
    for (const host of ['evil.example', 'evil.example:443', '127.0.0.1.evil.example']) {
      const bad = await L.request('GET', `${w.box.url}${route}`, undefined, { headers: { Host: host } });
      assert.ok(!/evil/.test(JSON.stringify(bad.headers) + bad.text), `${route}: the name ${host} comes back`);
      assert.ok(bad.status < 300 || bad.status >= 400, `${route}: sent elsewhere`);
    }
  }
  say('CSP and cookies as they should be; TLS 1.1 and 1.2, plain HTTP refused; a foreign Host name is used for nothing');
});

test('five wrong passwords lock the account', async () => {
  const c = new L.Client(w.box);
  const seen = [];
  for (let i = 0; i < 6; i++) {
    const r = await c.call('POST', 'session', { account: 'staff', password: `wrong-${i}` });
    seen.push(r.status);
    if (r.status === 423) assert.ok(r.json.error.wait_s > 200);
  }
  assert.deepEqual(seen, [401, 401, 401, 401, 423, 423].map((s, i) => (i === 4 ? seen[4] : s)));
  assert.equal(seen.at(-1), 423);
  say(`wrong passwords: ${seen.join(' ')}`);
});
