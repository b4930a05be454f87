// A firewall that is told by its API: what is sent, how it ends, and what is never sent.  The firewall is a stand-in on loopback.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const TOKEN = 'fgt-token-0123456789abcdef';
const port = L.freePort() + 20500;
let box, c, wall, incident;

/* A FortiGate as far as this needs one: it bans, it clears, it refuses, it is slow. */
class Wall {
  static async start() {
    const w = new Wall();
    w.heard = [];
    w.mode = 'ok';
    w.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wall-'));
    const [key, cert] = ['key.pem', 'cert.pem'].map((n) => path.join(w.dir, n));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=FortiGate'], { stdio: 'ignore' });
    w.pin = `sha256//${createHash('sha256').update(new X509Certificate(fs.readFileSync(cert)).publicKey.export({ type: 'spki', format: 'der' })).digest('base64')}`;
    w.server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, (q, a) => {
      let body = '';
      q.on('data', (x) => { body += x; });
      q.on('end', () => {
        w.heard.push({ method: q.method, url: q.url, token: q.headers.authorization, body: JSON.parse(body) });
        if (w.mode === 'slow') return; /* never answers */
        a.writeHead(w.mode === 'ok' ? 200 : 403, { 'Content-Type': 'application/json' });
        a.end(JSON.stringify({ status: w.mode === 'ok' ? 'success' : 'error' }));
      });
    });
    await new Promise((ok) => w.server.listen(0, '127.0.0.1', ok));
    w.url = `https://127.0.0.1:${w.server.address().port}`;
    return w;
  }

  stop() { this.server.closeAllConnections(); this.server.close(); fs.rmSync(this.dir, { recursive: true, force: true }); }
}

const send = (line) => new Promise((ok, fail) => { const s = net.connect(port, '127.0.0.1', () => s.end(`${line}\n`, ok)); s.on('error', fail); });
const up = (from, user) => {
  const t = new Date(Date.now() + 9 * 3600e3).toISOString();
  return `<189>date=${t.slice(0, 10)} time=${t.slice(11, 19)} devname="FW1" devid="FGT60FTK1" tz="+0900" logid="0101039424" type="event" subtype="vpn" level="information" action="tunnel-up" tunneltype="ssl-tunnel" remip=${from} tunnelip=10.8.9.${from.split('.')[3]} user="${user}" srccountry="Vietnam" msg="SSL tunnel established"`;
};
const opened = async (from, user) => {
  await send(up(from, user));
  return L.until('the incident', async () => (await c.get('incidents?open=1')).items.find((i) => JSON.stringify(i.entities).includes(from)), 60000);
};
const step = async (id) => (await c.get(`incidents/${id}`)).responses.find((r) => r.action === 'block-address');
const ends = (id, state) => L.until(state, async () => { const r = await step(id); return r?.state === state && r; }, 60000);

before(async () => {
  wall = await Wall.start();
  box = await L.Box.start({ config: { syslog_tcp: port, rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
});
after(async () => { await box?.stop().catch(() => {}); wall?.stop(); });

test('its address, its public key and its token are a setting; the token is told to nobody', { timeout: 90e3 }, async () => {
  for (const bad of [{ url: 'http://127.0.0.1' }, { pin: 'sha256//short' }, { token: 'a b' }, { colour: 'red' }]) assert.equal((await c.call('PATCH', 'settings', { firewall: bad })).status, 400, JSON.stringify(bad));
  const s = await c.must('PATCH', 'settings', { firewall: { url: `${wall.url}/`, pin: wall.pin, token: TOKEN } });
  assert.deepEqual(s.firewall, { url: `${wall.url}/`, pin: wall.pin, token_set: true, last: null });
  assert.ok(!JSON.stringify(await c.get('settings')).includes(TOKEN));
  assert.ok(!(await c.call('GET', 'audit?limit=50')).text.includes(TOKEN));
  assert.equal(fs.statSync(path.join(box.data, 'firewall.json')).mode & 0o777, 0o600);
  for (const name of ['state', 'brain']) {
    const dir = path.join(box.data, name);
    for (const f of fs.existsSync(dir) && fs.statSync(dir).isDirectory() ? fs.readdirSync(dir) : []) {
      const file = path.join(dir, f);
      if (fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes(TOKEN), file);
    }
  }
});

test('a dry run shows what would be sent and sends nothing; one click blocks for its hours, one more lets in again', { timeout: 180e3 }, async () => {
  const book = await c.post('playbooks', { name: '入口で止める', when: {}, steps: [{ action: 'block-address', params: { device: 'fortigate-api', hours: '12' }, mode: 'click' }] });
  incident = await opened('203.0.113.50', 'dareka');
  const dry = await c.post(`playbooks/${book.id}/try`, { incident: incident.id });
  assert.match(dry.steps[0].plan.commands[0], /^POST \/api\/v2\/monitor\/user\/banned\/add_users .*203\.0\.113\.50.*43200/);
  assert.equal(wall.heard.length, 0);
  const r = await ends(incident.id, 'offered');
  await c.post(`responses/${r.id}`, { do: 'run' });
  await L.until('the request', async () => wall.heard.length === 1, 60000);
  assert.deepEqual(wall.heard[0], { method: 'POST', url: '/api/v2/monitor/user/banned/add_users', token: `Bearer ${TOKEN}`, body: { ip_addresses: ['203.0.113.50'], expiry: 43200 } });
  await ends(incident.id, 'done');
  wall.mode = 'refuse';
  await c.post(`responses/${r.id}`, { do: 'undo' });
  await ends(incident.id, 'failed');
  wall.mode = 'ok';
  wall.heard.length = 1;
  await c.post(`responses/${r.id}`, { do: 'undo' }); // once more
  await L.until('the way back', async () => wall.heard.length === 2, 60000);
  assert.deepEqual([wall.heard[1].url, wall.heard[1].body], ['/api/v2/monitor/user/banned/clear_users', { ip_addresses: ['203.0.113.50'] }]);
  await ends(incident.id, 'undone');
  const said = (await c.call('GET', 'audit?limit=50')).text;
  assert.match(said, /response\.do/);
  assert.match(said, /response\.undo/);
  assert.ok((await c.get('settings')).firewall.last.ok);
});

test('what it refuses, what it does not answer, and a wrong key are said: the step has failed', { timeout: 300e3 }, async () => {
  const cases = [['403', async () => { wall.mode = 'refuse'; }], ['slow', async () => { wall.mode = 'slow'; }],
    ['key', async () => { wall.mode = 'ok'; await c.must('PATCH', 'settings', { firewall: { pin: `sha256//${Buffer.alloc(32).toString('base64')}` } }); }],
    ['authority', async () => { await c.must('PATCH', 'settings', { firewall: { pin: '' } }); }]];
  for (const [k, [name, prepare]] of cases.entries()) {
    await prepare();
    const heard = wall.heard.length, got = await opened(`203.0.113.${60 + k}`, `dareka${k}`);
    const r = await ends(got.id, 'offered');
    await c.post(`responses/${r.id}`, { do: 'run' });
    await ends(got.id, 'failed').catch((e) => { throw new Error(`${name}: ${e.message}`); });
    const { last } = (await c.get('settings')).firewall;
    assert.equal(last.ok, false, name);
    if (name === '403') assert.match(last.detail, /403/);
    if (name === 'key' || name === 'authority') assert.equal(wall.heard.length, heard, 'the token went to somebody who is not the firewall');
  }
  await c.must('PATCH', 'settings', { firewall: { pin: wall.pin } });
});

test('known places and addresses of the house are never sent', { timeout: 120e3 }, async () => {
  await c.must('PATCH', 'settings', { places: [{ address: '198.51.100.0/24', name: '業者の回線' }] });
  const heard = wall.heard.length, got = await opened('198.51.100.9', 'gyosha9');
  const r = await ends(got.id, 'failed');
  assert.match(r.text, /知っている送り先なので、止めません/);
  assert.equal((await c.call('POST', `responses/${r.id}`, { do: 'run' })).status, 409);
  assert.equal((await c.call('POST', 'playbooks', { name: 'x', when: {}, steps: [{ action: 'block-address', params: { device: 'fortigate-api', hours: '999' }, mode: 'auto' }] })).status < 500, true);
  assert.equal(wall.heard.length, heard);
});
