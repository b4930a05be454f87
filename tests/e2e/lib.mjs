// What the end-to-end tests share: a box and agents as real processes, and the API as a person's program would use it.
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import http from 'node:http';
import os from 'node:os';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const bin = process.env.SAKIMORI_BIN || path.join(top, 'build/release/src');
export const web = process.env.SAKIMORI_WEB || path.join(top, 'web/dist');
export const programs = {
  box: path.join(bin, 'sakimorid/sakimorid'),
  agent: path.join(bin, 'sakimori-agent/sakimori-agent'),
  cli: path.join(bin, 'sakimori/sakimori'),
  sim: path.join(bin, 'sakimori/sakimori-sim'),
};
export const data = path.join(top, 'tests/data/clinic');
const here = path.join(top, 'tests/e2e');
export const password = 'tsubame-7-yuugata';
export const long = Boolean(process.env.SAKIMORI_LONG);

export const sleep = (ms) => new Promise((ok) => setTimeout(ok, ms));
const late = (ms) => new Promise((ok) => setTimeout(() => ok(null), ms).unref());

/** Wait until fn gives something true, or fail with what after ms. */
export async function until(what, fn, ms = 60000) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const got = await fn();
      if (got) return got;
    } catch (e) {
      last = e;
    }
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}${last ? `: ${last.message}` : ''}`);
    await sleep(100);
  }
}

// What a test started ends with it, and what it wrote is removed, however it ends.
const started = new Set();
const made = new Set();
export function track(p) {
  started.add(p);
  p.on('exit', () => started.delete(p));
  return p;
}
export function remove(file) {
  made.add(file);
}
export function clearUp() {
  for (const p of started) {
    for (const pid of family(p.pid).reverse()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch { /* it ended meanwhile */ }
    }
  }
  if (!process.env.SAKIMORI_KEEP) for (const m of made) fs.rmSync(m, { recursive: true, force: true });
}
process.on('exit', clearUp);
for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => process.exit(1));

/** A process and all its descendants. */
export function family(pid) {
  const parents = new Map();
  for (const n of fs.readdirSync('/proc').filter((x) => /^\d+$/.test(x))) {
    try {
      parents.set(Number(n), Number(/PPid:\t(\d+)/.exec(fs.readFileSync(`/proc/${n}/status`, 'utf8'))[1]));
    } catch { /* it ended meanwhile */ }
  }
  const all = [pid];
  for (let i = 0; i < all.length; i++) for (const [p, up] of parents) if (up === all[i]) all.push(p);
  return all;
}

export function tempDir(name, mode = 0o700) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), `sakimori-${name}-`));
  remove(dir);
  fs.chmodSync(dir, mode);
  return dir;
}

/** RFC 6238 with SHA-1, 6 digits, 30 s. */
export function totp(secret, at = Date.now()) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const c of secret.replace(/[ =-]/g, '').toUpperCase()) bits += alphabet.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
  const h = crypto.createHmac('sha1', key).update(counter).digest();
  const o = h[19] & 15;
  return String((h.readUInt32BE(o) & 0x7fffffff) % 1000000).padStart(6, '0');
}

/** One HTTPS request.  options: {ca, cert, key, headers, socket}.  Gives {status, headers, text, json}. */
export function request(method, url, body, options = {}) {
  return new Promise((ok, fail) => {
    const u = options.socket ? new URL(url, 'http://localhost') : new URL(url);
    const data = body === undefined ? null : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const headers = { 'Accept-Language': 'ja', ...options.headers };
    if (data) {
      headers['Content-Length'] = data.length;
      headers['Content-Type'] ??= Buffer.isBuffer(body) ? 'application/octet-stream' : 'application/json';
    }
    const how = { method, headers, agent: false, timeout: options.timeout ?? 60000 };
    const r = options.socket
      ? http.request({ ...how, socketPath: options.socket, path: u.pathname + u.search })
      : https.request(u, { ...how, ca: options.ca, cert: options.cert, key: options.key, minVersion: 'TLSv1.3', rejectUnauthorized: Boolean(options.ca) });
    r.on('response', (res) => {
      const parts = [];
      res.on('data', (p) => parts.push(p));
      res.on('error', fail);
      res.on('end', () => {
        const raw = Buffer.concat(parts);
        let json = null;
        try {
          json = JSON.parse(raw.toString());
        } catch { /* not JSON */ }
        ok({ status: res.statusCode, headers: res.headers, raw, text: raw.toString(), json });
      });
    });
    r.on('timeout', () => r.destroy(new Error('timeout')));
    r.on('error', fail);
    if (data) r.write(data);
    r.end();
  });
}

/** A person (or nobody) at the console's API. */
export class Client {
  constructor(box) {
    this.box = box;
    this.cookie = null;
    this.csrf = null;
  }

  async call(method, route, body, extra = {}) {
    const headers = { ...extra };
    if (this.cookie) headers.Cookie = this.cookie;
    if (this.csrf && method !== 'GET') headers['X-CSRF-Token'] = this.csrf;
    const r = await request(method, `${this.box.url}${route.startsWith('/') ? route : `/api/v1/${route}`}`, body, { ca: this.box.ca, headers });
    for (const c of r.headers['set-cookie'] ?? []) this.cookie = c.split(';')[0];
    if (r.json?.csrf) this.csrf = r.json.csrf;
    if (r.json?.session?.csrf) this.csrf = r.json.session.csrf;
    return r;
  }

  async must(method, route, body, status = 200) {
    const r = await this.call(method, route, body);
    if (r.status !== status && !(status === 200 && r.status >= 200 && r.status < 300)) throw new Error(`${method} ${route}: ${r.status} ${r.text.slice(0, 400)}`);
    return r.json;
  }

  get(route) {
    return this.must('GET', route);
  }

  post(route, body = {}) {
    return this.must('POST', route, body);
  }
}

export class Box {
  /** Start sakimorid; options: {data, port, agent, args, env}. */
  static async start(options = {}) {
    const b = new Box();
    b.data = options.data ?? tempDir('box');
    b.log = [];
    b.options = { ...options, data: b.data, port: options.port ?? freePort() };
    const more = [];
    if (options.config) {
      const file = `${b.data}.conf`;
      fs.writeFileSync(file, Object.entries(options.config).map(([k, v]) => `${k} = ${v}\n`).join(''), { mode: 0o644 });
      more.push('--config', file);
      remove(file);
    }
    const args = [...more, '--data', b.data, '--port', String(b.options.port), '--headless', '--web', web, ...(options.args ?? [])];
    if (options.agent) args.push('--local-agent', programs.agent);
    if (options.agent && !options.uid) { // as in Agent.join: only tests of the sensors switch them on
      fs.mkdirSync(`${b.data}-agent`, { recursive: true, mode: 0o711 });
      fs.writeFileSync(`${b.data}-agent/policy.conf`, 'endpoint = no\n');
    }
    b.process = spawn(programs.box, args, { env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'], uid: options.uid, gid: options.gid });
    track(b.process);
    b.process.stderr.on('data', (d) => b.log.push(d.toString()));
    b.ended = new Promise((ok) => b.process.on('exit', (code, signal) => ok({ code, signal })));
    let out = '';
    b.process.stdout.on('data', (d) => (out += d));
    const line = await until('the box to start', () => {
      if (b.process.exitCode !== null) throw new Error(`ended with ${b.process.exitCode}: ${b.log.join('').slice(-2000)}`);
      return out.includes('\n') && JSON.parse(out.split('\n')[0]);
    }, 60000).catch((e) => {
      throw new Error(`${e.message}\n${b.log.join('').slice(-3000)}`);
    });
    Object.assign(b, { info: line, url: line.console_url, agentUrl: line.agent_url, code: line.setup_code });
    const s = await until('the API', async () => {
      const r = await request('GET', `${b.url}/api/v1/setup`);
      return r.status === 200 && r.json?.ca_pem && r.json;
    });
    b.ca = s.ca_pem;
    return b;
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGTERM');
    const r = await Promise.race([this.ended, late(30000)]);
    if (!r) {
      this.process.kill('SIGKILL');
      throw new Error('the box did not stop');
    }
    return r;
  }

  /** Pids of the box's children by name. */
  children() {
    const found = {};
    for (const pid of fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
      try {
        const ppid = /PPid:\t(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
        const args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const name = /^--child=(.*)$/.exec(args.find((a) => a.startsWith('--child=')) ?? '')?.[1];
        if (Number(ppid) === this.process.pid && name) found[name] = Number(pid);
      } catch { /* it ended meanwhile */ }
    }
    return found;
  }
}

let port = 20000 + (process.pid % 2000) * 10;
export function freePort() {
  port += 2;
  return port;
}

/** The whole wizard through the API.  Gives a signed-in director and what was printed. */
export async function setUp(box, more = {}) {
  const c = new Client(box);
  await c.post('setup/start', { code: box.code });
  await c.get('session');
  await c.post('setup/institution', {
    name: 'さくら内科クリニック', kind: 'clinic', address: '東京都千代田区1-1', phone: '03-0000-0000',
    responsible: { name: '見本 花子', title: '院長', phone: '090-0000-0000' }, deputy: { name: '見本 太郎', title: '事務長', phone: '090-0000-0001' },
    vendor_updates: 'no', vendor: { name: '見本システム', phone: '03-0000-0001' }, language: 'ja', ...more.institution,
  });
  const d = await c.post('setup/director', { account: 'incho', name: '見本 花子', password });
  const codes = await c.post('setup/director/totp', { code: totp(d.totp_secret) });
  const sheet = await c.post('setup/sheet', {});
  const answers = sheet.ask.map((a) => ({ ...a, word: sheet[a.which].words_ja[a.n - 1] }));
  await c.post('setup/confirm', { answers, printed: true });
  await c.get('session');
  return { client: c, totp_secret: d.totp_secret, codes: codes.codes, sheet, card: sheet.card.text };
}

export async function signIn(box, who, at) {
  const c = new Client(box);
  const body = { account: who.account ?? 'incho', password: who.password ?? password };
  if (who.one_time) body.one_time = who.one_time;
  else if (who.totp_secret) body.totp = totp(who.totp_secret, at);
  await c.post('session', body);
  await c.get('session');
  return c;
}

export class Agent {
  /** Join by a code made by c, then run.  options.at: the folder it is started in, --data is said relative to it. */
  static async join(box, c, name, options = {}) {
    const a = new Agent();
    a.options = options;
    a.data = options.data ?? path.join(tempDir('agent', 0o755), 'data');
    const code = await c.post('devices/codes', { name, ...(options.days && { days: options.days }) });
    a.said = options.at ? path.relative(options.at, a.data) : a.data;
    await run(programs.agent, ['join', box.agentUrl, code.code, '--data', a.said, '--name', name], { uid: options.uid, gid: options.gid, cwd: options.at });
    // What the sensors watch is this test machine, and the work of all who share it: only tests of them switch them on.
    if (options.endpoint) for (const dir of options.protect ?? []) fs.appendFileSync(path.join(a.data, 'policy.conf'), `protect = ${dir}\n`);
    for (const line of options.policy ?? []) fs.appendFileSync(path.join(a.data, 'policy.conf'), `${line}\n`);
    if (!options.endpoint) fs.appendFileSync(path.join(a.data, 'policy.conf'), 'endpoint = no\n');
    a.start();
    a.device = await until('the machine in the list', async () => (await c.get('devices')).items.find((d) => d.name === name && d.state === 'ok')).catch(async (e) => {
      throw new Error(`${e.message}: ${JSON.stringify((await c.get('devices')).items)}\n${a.log.join('')}`);
    });
    return a;
  }

  start() {
    this.log = [];
    this.process = spawn(this.options?.program ?? programs.agent, ['run', '--data', this.said ?? this.data, ...(this.options?.args ?? [])], { stdio: ['ignore', 'ignore', 'pipe'], cwd: this.options?.at, uid: this.options?.uid, gid: this.options?.gid });
    track(this.process);
    this.process.stderr.on('data', (d) => this.log.push(d.toString()));
    this.ended = new Promise((ok) => this.process.on('exit', (code, signal) => ok({ code, signal })));
  }

  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGTERM');
    const r = await Promise.race([this.ended, late(20000)]);
    if (!r) {
      this.process.kill('SIGKILL');
      throw new Error('the agent did not stop');
    }
  }
}

export function run(program, args, options = {}) {
  return new Promise((ok, fail) => {
    const p = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...options.env }, cwd: options.cwd, uid: options.uid, gid: options.gid });
    let out = '', err = '';
    p.stdout.setEncoding('utf8'); // a character may come in two pieces
    p.stderr.setEncoding('utf8');
    p.stdout.on('data', (d) => (out += d));
    p.stderr.on('data', (d) => (err += d));
    p.on('error', fail);
    p.on('exit', (code) => {
      if (code === 0 || options.any) ok({ code, out, err });
      else fail(new Error(`${path.basename(program)} ${args.join(' ')}: ${code}\n${out}${err}`));
    });
    p.stdin.on('error', () => {}); // a program that reads nothing may be gone already
    p.stdin.end(options.input ?? '');
  });
}

/** A pack file's own bytes: what its name covers. The box writes parity behind them, some time later. */
export function packOf(bytes) {
  return bytes.subarray(0, 80 + bytes.readUInt32LE(56) * 40 + Number(bytes.readBigUInt64LE(64)));
}

/** Start a backup of a source and wait for its end. */
export async function backup(c, source, ms = 120000) {
  const { run: id } = await c.post(`sources/${source}/run`, {});
  return until(`run ${id}`, async () => {
    const r = await c.get(`runs/${id}`);
    return ['complete', 'partial', 'failed', 'cancelled'].includes(r.state) && r;
  }, ms);
}

/** Everything that can be told of a tree: type, mode, owner, time, size, target, content. */
export function treeOf(root) {
  const rows = {};
  const walk = (at, name) => {
    const s = fs.lstatSync(at, { bigint: true });
    const row = { mode: Number(s.mode), uid: Number(s.uid), gid: Number(s.gid), mtime: s.mtimeNs.toString(), size: s.isDirectory() ? 0 : Number(s.size) };
    if (s.isSymbolicLink()) row.target = fs.readlinkSync(at, 'buffer').toString('hex');
    if (s.isFile()) row.sha256 = crypto.createHash('sha256').update(fs.readFileSync(at)).digest('hex');
    if (s.isFile() && s.nlink > 1n) row.nlink = Number(s.nlink);
    rows[name] = row;
    if (s.isDirectory()) for (const n of fs.readdirSync(at, 'buffer')) walk(Buffer.concat([Buffer.from(at), Buffer.from('/'), n]), `${name}/${n.toString('latin1')}`);
  };
  walk(root, '.');
  return rows;
}

function tree(...args) {
  return execFileSync('python3', [path.join(here, 'tree.py'), ...args], { maxBuffer: 1 << 28, encoding: 'utf8' });
}
/** The SS-MIX2 sample with everything Linux knows of files beside it. */
export function makeTree(dir, small = false) {
  tree('make', dir, data, ...(small ? ['small'] : []));
}
export function passDay(dir, n) {
  return JSON.parse(tree('day', dir, String(n)));
}
/** All of a tree, metadata too, by hex of the path below dir. */
export function showTree(dir) {
  return JSON.parse(tree('show', dir));
}
/** Differences of two trees in words; extra(name) says which additional paths do not count. */
export function differences(was, is, extra = () => false) {
  const out = [];
  const plain = (n) => Buffer.from(n, 'hex').toString('latin1');
  for (const [n, row] of Object.entries(was)) {
    if (!is[n]) out.push(`${plain(n)}: gone`);
    else for (const k of new Set([...Object.keys(row), ...Object.keys(is[n])])) if (JSON.stringify(row[k]) !== JSON.stringify(is[n][k])) out.push(`${plain(n)}: ${k} ${JSON.stringify(row[k])} -> ${JSON.stringify(is[n][k])}`);
  }
  for (const n of Object.keys(is)) if (!was[n] && !extra(plain(n))) out.push(`${plain(n)}: new`);
  return out;
}

export async function restore(c, manifest, device, more = {}, ms = 180000) {
  const r = await c.post('restores', { manifest, device, paths_b64: [], target: { mode: 'original' }, existing: 'aside', why: '試験', ...more });
  return until(`restore ${r.id}`, async () => {
    const x = await c.get(`restores/${r.id}`);
    return ['complete', 'partial', 'failed', 'cancelled'].includes(x.state) && x;
  }, ms);
}

/** The clock file of the option test_clock: moves the whole box by so many milliseconds. */
export function setClock(file, ms) {
  const b = Buffer.alloc(16);
  b.writeBigInt64LE(BigInt(ms), 0);
  b.writeBigInt64LE(BigInt(ms), 8);
  const fd = fs.openSync(file, fs.existsSync(file) ? 'r+' : 'w');
  fs.writeSync(fd, b, 0, 16, 0);
  fs.closeSync(fd);
}

/** A real browser; pages save pictures to out/e2e. */
export async function startBrowser() {
  const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
  const browser = await chromium.launch({ executablePath: process.env.SAKIMORI_CHROMIUM || '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  const open = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await open(options);
    context.setDefaultTimeout(90e3); // a machine that stands still for a moment is no failure
    return context;
  };
  return browser;
}
export async function picture(page, name) {
  const dir = path.join(top, 'out/e2e');
  fs.mkdirSync(dir, { recursive: true });
  await page.screenshot({ path: path.join(dir, `${name}.png`), fullPage: true });
}

/** A box whose clock can be moved, a machine, a source with a daily schedule: what most tests begin with. */
export class World {
  static async start(options = {}) {
    const w = new World();
    w.place = tempDir(options.name ?? 'world', 0o755);
    w.clock = `${w.place}/clock`;
    w.moved = 0;
    setClock(w.clock, 0);
    w.box = await Box.start({ ...options.box, config: { test_clock: w.clock, ...options.box?.config } });
    w.person = await setUp(w.box);
    w.c = w.person.client;
    if (options.agent === false) return w;
    w.agent = await Agent.join(w.box, w.c, options.machine ?? 'karte-server', options.agent);
    w.root = path.join(w.place, 'data');
    fs.mkdirSync(w.root);
    (options.fill ?? fillSmall)(w.root);
    await sleep(2100); // what was written right before a backup is read again by the next one
    w.source = await w.addSource(w.agent.device.id, w.root, options.source);
    return w;
  }

  addSource(device, root, more = {}) {
    return this.c.post('sources', { device, name: '電子カルテ', group: 'emr', kind: 'files', paths: [root], schedule: { every: 'day', at: '03:10' }, canaries: false, enabled: true, ...more });
  }

  now() {
    return Date.now() + this.moved;
  }

  /** Move the box to a moment; the director signs in again there. */
  async moveTo(ms) {
    this.moved = ms - Date.now();
    setClock(this.clock, this.moved);
    this.c = await signIn(this.box, this.person, this.now());
  }

  generations() {
    return everything(this.c, `generations?source=${this.source.id}`);
  }

  /** The next backup, by the box's own schedule; gives its run. */
  async nextDay(ms = 60000) {
    const s = (await this.c.get('sources')).items.find((x) => x.id === this.source.id);
    await this.moveTo(Date.parse(s.next) + 20e3);
    await poke(this.agent);
    return until('the scheduled run', async () => {
      const r = (await this.c.get('runs?limit=50')).items.find((x) => x.source === this.source.id && Date.parse(x.created ?? x.started) >= Date.parse(s.next));
      return r && !['waiting', 'running'].includes(r.state) && r;
    }, ms);
  }

  unlock() {
    return this.c.post('unlock', { password, card: this.person.card });
  }

  /** Restore a generation whole to an empty place and give the tree. */
  async fetch(manifest, device = this.agent.device.id) {
    const place = path.join(this.place, `back-${crypto.randomBytes(4).toString('hex')}`);
    const r = await restore(this.c, manifest, device, { target: { mode: 'place', place } , suspicious_ok: true });
    if (r.state !== 'complete') throw new Error(`restore of ${manifest}: ${JSON.stringify(r)}`);
    const tree = treeOf(path.join(place, this.root));
    fs.rmSync(place, { recursive: true, force: true });
    return tree;
  }

  async stop() {
    await this.agent?.stop().catch(() => {});
    await this.box?.stop();
  }
}

/** After a jump of the clock the box has not heard of the machine for a day, until its next poll: end the one that hangs. */
export async function poke(agent) {
  const read = (n) => fs.readFileSync(path.join(agent.data, n));
  await request('POST', `${JSON.parse(read('agent.json')).url}/agent/v1/poll`, { agent_version: '0.1.0', uptime_ms: 1, wait_s: 0 }, { ca: read('link/ca.pem'), cert: read('link/cert.pem'), key: read('link/tls.key') });
}

export async function everything(c, route) {
  const all = [];
  for (let cursor = ''; ;) {
    const r = await c.get(`${route}${route.includes('?') ? '&' : '?'}limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
    all.push(...r.items);
    if (!r.next) return all;
    cursor = r.next;
  }
}

export function fillSmall(root, n = 60) {
  for (let i = 0; i < n; i++) {
    fs.mkdirSync(path.join(root, `p${i % 7}`), { recursive: true });
    fs.writeFileSync(path.join(root, `p${i % 7}`, `karte-${i}.txt`), `患者 ${i}\n`.repeat(50 + i * 7));
  }
}

/** The vault's journal, read and checked by its format alone (docs/FORMAT-vault.md 6). */
export function readJournal(vault) {
  const records = [];
  let before = null;
  for (const name of fs.readdirSync(path.join(vault, 'journal')).filter((n) => n.endsWith('.skj')).sort()) {
    const b = fs.readFileSync(path.join(vault, 'journal', name));
    if (b.subarray(0, 4).toString() !== 'SKJ1') throw new Error(`${name}: no journal`);
    const begin = b.subarray(32, 64);
    if (before && !before.equals(begin)) throw new Error(`${name}: does not follow`);
    before = begin;
    for (let at = 64; at < b.length;) {
      const n = b.readUInt32LE(at), r = b.subarray(at, at + 4 + n), hash = r.subarray(r.length - 32);
      if (r.length !== 4 + n) break;
      const want = crypto.createHash('sha256').update('sakimori/v1/journal').update(before).update(r.subarray(0, r.length - 32)).digest();
      if (!want.equals(hash)) throw new Error(`${name}: record at ${at} is not chained`);
      records.push({ seq: Number(r.readBigUInt64LE(4)), type: r.readUInt16LE(32), payload: JSON.parse(r.subarray(36, r.length - 32).toString()) });
      before = hash;
      at += 4 + n;
    }
  }
  return records;
}
