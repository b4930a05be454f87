// Shares of another machine as a source, against a real Samba: what is read over the wire is counted, and the server misbehaves.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import * as L from './lib.mjs';

const root = process.getuid() === 0;
let w;
after(async () => {
  if (process.env.SAKIMORI_LOG) console.log(w?.agent?.log.join(''));
  await w?.samba?.stop().catch(() => {});
  w?.wire?.close();
  await w?.stop().catch(() => {});
  L.clearUp();
});

class Samba {
  password = 'himitsu: no "\\ \' 言葉';
  user = root ? 'nobody' : os.userInfo().username; // one the system has; as root smbd becomes it

  static async start() {
    const s = new Samba();
    s.dir = L.tempDir('samba', 0o755);
    s.share = path.join(s.dir, 'share');
    s.port = L.freePort();
    for (const d of ['lock', 'state', 'cache', 'private', 'pid', 'ncalrpc', 'share', 'open']) fs.mkdirSync(path.join(s.dir, d), { mode: d === 'lock' || d === 'share' || d === 'open' ? 0o755 : 0o700 });
    const at = (d) => path.join(s.dir, d);
    s.conf = at('smb.conf');
    fs.writeFileSync(s.conf, `[global]
 server role = standalone server
 interfaces = 127.0.0.1/8
 bind interfaces only = yes
 smb ports = ${s.port}
 disable netbios = yes
 disable spoolss = yes
 load printers = no
 map to guest = bad user
 lock directory = ${at('lock')}
 state directory = ${at('state')}
 cache directory = ${at('cache')}
 private dir = ${at('private')}
 pid directory = ${at('pid')}
 ncalrpc dir = ${at('ncalrpc')}
 log file = ${at('log')}
 passdb backend = tdbsam:${at('passdb.tdb')}
[karte$]
 path = ${s.share}
 read only = yes
 guest ok = yes
 follow symlinks = yes
 hide dot files = no
 store dos attributes = no
 map archive = no
[open]
 path = ${at('open')}
 read only = no
`);
    await L.run('pdbedit', ['-s', s.conf, '-a', '-u', s.user, '-t'], { input: `${s.password}\n${s.password}\n` });
    await s.begin();
    return s;
  }

  async begin() {
    this.process = L.track(spawn('smbd', ['-F', '--no-process-group', '-s', this.conf], { stdio: 'ignore', detached: true }));
    await L.until('smbd', () => new Promise((ok) => {
      const c = net.connect(this.port, '127.0.0.1', () => { c.destroy(); ok(true); });
      c.on('error', () => ok(false));
    }));
  }

  async stop() {
    if (!this.process || this.process.exitCode !== null || this.process.signalCode !== null) return;
    for (const pid of L.family(this.process.pid).reverse()) process.kill(pid, 'SIGKILL');
    await L.until('the end of smbd', () => this.process.exitCode !== null || this.process.signalCode !== null);
  }
}

/** What stands between the agent and the server: counts what the server says, and lets it fall silent or go away. */
class Wire {
  sent = 0;
  mode = 'pass';
  sockets = new Set();

  static async start(to) {
    const x = new Wire();
    x.server = net.createServer((near) => {
      const far = net.connect(to, '127.0.0.1');
      for (const s of [near, far]) {
        x.sockets.add(s);
        s.on('error', () => {});
        s.on('close', () => { x.sockets.delete(s); near.destroy(); far.destroy(); });
      }
      near.on('data', (d) => { if (x.mode !== 'silent') far.write(d); });
      far.on('data', (d) => {
        x.sent += d.length;
        x.seen ||= x.look?.(d);
        if (x.mode === 'pass') near.write(d);
        x.onData?.();
      });
    });
    await new Promise((ok) => x.server.listen(0, '127.0.0.1', ok));
    x.port = x.server.address().port;
    return x;
  }

  cut() { for (const s of this.sockets) s.destroy(); }
  close() { this.cut(); this.server.close(); }
}

const agentOf = (args, options = {}) => L.run(L.programs.agent, [...args, '--data', w.agent.data], options);
const access = (name, more = {}) => agentOf(['access', 'add', name, '--kind', 'smb', '--host', more.host ?? '127.0.0.1', '--port', String(more.port ?? w.wire.port), '--user', more.user ?? w.samba.user, '--domain', 'WORKGROUP'], { input: `${more.password ?? w.samba.password}\n` });
const source = (name, options, more = {}) => w.c.post('sources', { device: w.agent.device.id, name, kind: 'smb', options: { access: 'nas', share: 'karte$', ...options }, schedule: { every: 'off' }, ...more });
const run = async (s) => w.c.get(`runs/${(await L.backup(w.c, s.id)).id}`);
const at = (...p) => path.join(w.samba.share, ...p);
const write = (p, bytes) => { fs.mkdirSync(path.dirname(p), { recursive: true, mode: 0o755 }); fs.writeFileSync(p, bytes); fs.chmodSync(p, 0o644); };
const noise = (n) => crypto.randomBytes(n);
/** Names, contents and times (SMB counts 100 ns), not owners. */
function plain(dir) {
  const rows = L.treeOf(dir), out = {};
  for (const [n, r] of Object.entries(rows)) out[n] = { type: r.mode & 0o170000, sha256: r.sha256, size: r.size, mtime: (BigInt(r.mtime) / 100n).toString() };
  return out;
}
async function fetch(manifest) {
  const to = path.join(L.tempDir('back', 0o755), 'out');
  await w.unlock();
  const r = await L.restore(w.c, manifest, w.agent.device.id, { target: { mode: 'place', place: to }, suspicious_ok: true });
  assert.equal(r.state, 'complete', JSON.stringify(r));
  return path.join(to, 'smb');
}

test('a box, a machine and a NAS', { timeout: 120e3 }, async () => {
  w = await L.World.start({ name: 'smb' });
  w.samba = await Samba.start();
  w.wire = await Wire.start(w.samba.port);
  write(at('患者', '山田 太郎.txt'), 'カルテ\n'.repeat(50));
  write(at('患者', 'が NFC.txt'.normalize('NFC')), 'composed');
  write(at('患者', 'が NFD.txt'.normalize('NFD')), 'decomposed');
  write(at('患者', '100% #1 ?a&b.txt'.replace('?', '+')), 'signs');
  write(at('画像', 'CT.img'), noise(9 << 20));
  write(at('画像', 'empty'), '');
  write(at('.隠し'), 'hidden');
  for (let i = 0; i < 1500; i++) write(at('多い', `検査結果 ${String(i).padStart(5, '0')} ${'長'.repeat(i % 40)}.csv`), `id,${i}\n`);
  fs.utimesSync(at('画像', 'CT.img'), 1775001600.123, 1775001600.123);
  fs.utimesSync(at('画像'), 1775001600, 1775001601.5);
  await access('nas');
  const d = await L.until('features', async () => { const x = await w.c.get(`devices/${w.agent.device.id}`); return ['kind:smb', 'access:smb:nas'].every((f) => x.features?.includes(f)) && x; }, 60e3);
  assert.ok(!d.features.includes('access:smb:local'), 'no access of its own');
  assert.deepEqual(d.features.filter((f) => f.includes('127.0.0.1')), ['server:smb:nas:127.0.0.1'], 'the host of a share, and of no other address anything');
  assert.ok(!JSON.stringify(d.features).includes(w.samba.password));
  assert.equal(fs.statSync(path.join(w.agent.data, 'access/nas.json')).mode & 0o777, 0o600);
  const tried = await agentOf(['access', 'test', 'nas', '--kind', 'smb', '--share', 'karte$']);
  assert.deepEqual(tried.out.trim().split('\n').sort(), ['.隠し', '多い/', '患者/', '画像/'].sort());
  assert.equal(tried.err, '');
});

test('a share is kept and comes back the same; only what changed is read again', { timeout: 180e3 }, async () => {
  const s = w.s = await source('NAS');
  assert.deepEqual(s.paths, ['/smb']);
  assert.deepEqual(s.where, ['\\\\127.0.0.1\\karte$'], 'the server and the share, as Windows writes it');
  const piece = fs.readFileSync(at('画像', 'CT.img')).subarray(4 << 20, (4 << 20) + 64);
  w.wire.look = (d) => d.includes(piece);
  const first = await run(s);
  assert.equal(first.state, 'complete', JSON.stringify(first));
  assert.ok(!w.wire.seen, 'a server that can encrypt does');
  assert.equal(first.problems_total, 0, JSON.stringify(first.problems));
  const all = Object.values(plain(w.samba.share)).filter((r) => r.sha256);
  assert.equal(first.counters.files, all.length);
  assert.equal(first.counters.bytes_read, all.reduce((n, r) => n + r.size, 0));
  w.first = first.manifest;
  await L.sleep(2500); // what changed in the last two seconds is read again out of caution
  w.wire.sent = 0;
  let again = await run(s);
  w.wire.sent = 0;
  again = await run(s);
  console.log(`unchanged: ${again.counters.bytes_read} bytes read, ${w.wire.sent} over the wire for ${all.length} files`);
  assert.equal(again.state, 'complete', JSON.stringify(again));
  assert.equal(again.counters.bytes_read, 0);
  assert.ok(w.wire.sent < 700e3, `${w.wire.sent} bytes came`);
  const text = 'カルテ 追記\n'.repeat(60);
  write(at('患者', '山田 太郎.txt'), text);
  fs.rmSync(at('多い', fs.readdirSync(at('多い'))[7]));
  w.wire.sent = 0;
  const changed = await run(s);
  assert.equal(changed.state, 'complete', JSON.stringify(changed));
  assert.equal(changed.counters.bytes_read, Buffer.byteLength(text));
  assert.equal(changed.counters.files_changed, 1);
  assert.equal(changed.counters.files_deleted, 1);
  assert.ok(w.wire.sent < 700e3, `${w.wire.sent} bytes came`);
  const back = await fetch(changed.manifest);
  assert.deepEqual(plain(back), plain(w.samba.share));
  assert.equal(Object.keys(plain(await fetch(w.first))).length, all.length + 4, 'the older generation has the deleted file still');
});

test('a folder of the share, and what is excluded, are what a source says', { timeout: 120e3 }, async () => {
  const s = await source('folder', { folder: '患者' }, { exclude: ['*.csv', '100*'] });
  const r = await run(s);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.deepEqual(fs.readdirSync(await fetch(r.manifest)).sort(), fs.readdirSync(at('患者')).filter((n) => !n.startsWith('100')).sort());
  const home = await w.c.call('POST', 'restores', { manifest: r.manifest, device: w.agent.device.id, paths_b64: [], target: { mode: 'original' }, existing: 'aside', why: '試験', suspicious_ok: true });
  assert.equal(home.json.error.field, 'target', 'a share is not written on');
});

test('what may not be read, and a folder in itself, are named; the rest is kept', { timeout: 120e3 }, async () => {
  write(at('院長', '秘密.txt'), 'x');
  write(at('患者', '閉.txt'), 'x');
  fs.chmodSync(at('院長'), 0o700 & (root ? 0o700 : 0));
  fs.chmodSync(at('患者', '閉.txt'), 0);
  fs.symlinkSync('.', at('輪'));
  const r = await run(w.s);
  assert.equal(r.state, 'partial', JSON.stringify(r));
  assert.deepEqual(r.problems.map((p) => [p.path, p.what]).sort(), [['/smb/院長', 'list'], ['/smb/患者/閉.txt', 'open'], ['/smb/輪', 'folder']].sort(), JSON.stringify(r.problems));
  const back = await fetch(r.manifest);
  assert.ok(fs.existsSync(path.join(back, '画像/CT.img')) && !fs.existsSync(path.join(back, '輪/画像')));
  fs.rmSync(at('輪'));
  fs.chmodSync(at('院長'), 0o755);
  fs.chmodSync(at('患者', '閉.txt'), 0o644);
});

test('what is wrong is said in words', { timeout: 180e3 }, async () => {
  await access('wrong', { password: 'not it' });
  await access('stranger', { user: 'no-such-person' });
  await access('off', { port: 1 });
  await access('nowhere', { host: 'nas.invalid' });
  for (const [options, word] of [[{ access: 'wrong' }, 'the server refused user or password'], [{ access: 'stranger' }, 'the server refused user or password'],
    [{ access: 'off' }, 'the server refused the connection; it may be off, or share nothing'], [{ access: 'nowhere' }, 'the name of the server is not known here'],
    [{ share: 'nix' }, 'the server has no such share'], [{ folder: '患者/nix' }, 'the share has no such folder'],
    [{ access: 'gone' }, 'this machine has no access named gone (sakimori-agent access add)']]) {
    const s = await source(`bad ${word} ${options.access ?? ''}`, options);
    const r = await run(s);
    assert.equal(r.state, 'failed', JSON.stringify(r));
    assert.ok(r.problems.some((p) => p.what === word), `${word}: ${JSON.stringify(r.problems)}`);
    assert.ok(!JSON.stringify(r).includes('127.0.0.1') && !JSON.stringify(r).includes('not it'), JSON.stringify(r));
  }
  assert.ok(!w.agent.log.join('').includes(w.samba.password) && !w.agent.log.join('').includes('not it'));
  const wrong = async (options, field) => {
    const r = await w.c.call('POST', 'sources', { device: w.agent.device.id, name: 'x', kind: 'smb', options, schedule: { every: 'off' } });
    assert.equal(r.status, 400, r.text);
    assert.equal(r.json.error.field, field);
    assert.ok(r.json.error.message.length > 10);
  };
  await wrong({ share: 'x' }, 'options.access');
  await wrong({ access: 'nas' }, 'options.share');
  for (const share of ['', 'a/b', '..', 'a\\b', 'x'.repeat(81), 'a\nb']) await wrong({ access: 'nas', share }, 'options.share');
  for (const folder of ['../x', 'a//b', '/a', 'a/', 'a\\b']) await wrong({ access: 'nas', share: 'x', folder }, 'options.folder');
  await wrong({ access: 'nas', share: 'x', server: '10.0.0.1' }, 'options');
});

test('an account that could write is told of, and nothing is written', { timeout: 120e3 }, async () => {
  const dir = path.join(w.samba.dir, 'open');
  write(path.join(dir, 'a.txt'), 'a');
  fs.chmodSync(path.join(dir, 'a.txt'), 0o666);
  const before = plain(dir);
  const r = await run(await source('open', { share: 'open' }));
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.deepEqual(r.problems.map((p) => p.what), ['the account could change files on this share; give it the right to read only']);
  assert.deepEqual(plain(dir), before);
});

test('files encrypted on the share raise suspicion', { timeout: 120e3 }, async () => {
  const dir = at('書類');
  for (let i = 0; i < 120; i++) write(path.join(dir, `${i}.pdf`), Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(3000, `紹介状 ${i} `)]));
  const s = await source('papers', { folder: '書類' });
  assert.equal((await run(s)).state, 'complete');
  for (let i = 0; i < 120; i++) write(path.join(dir, `${i}.pdf`), noise(3000));
  const r = await run(s);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  const g = (await w.c.get(`generations?source=${s.id}`)).items.find((x) => x.manifest === r.manifest || x.id === r.manifest);
  assert.ok(g && g.suspicion.level === 'high', JSON.stringify(g));
});

test('a server that goes away fails the run, and nothing counts as deleted; the next run goes on', { timeout: 240e3 }, async () => {
  for (let i = 0; i < 6; i++) write(at('大', `${i}.bin`), noise(6 << 20));
  const s = await source('away', { folder: '大' });
  w.wire.sent = 0;
  w.wire.onData = () => { if (w.wire.sent > 14 << 20 && w.samba.process) { w.wire.onData = null; void w.samba.stop(); w.wire.cut(); } };
  const r = await run(s);
  w.wire.onData = null;
  assert.equal(r.state, 'failed', JSON.stringify(r));
  assert.ok(r.problems.some((p) => p.what === 'the server stopped answering; the next run goes on from here'), JSON.stringify(r.problems));
  assert.equal((await w.c.get(`generations?source=${s.id}`)).items.length, 0);
  await w.samba.begin();
  const next = await run(s);
  assert.equal(next.state, 'complete', JSON.stringify(next));
  const all = 36 << 20;
  console.log(`after the cut: ${next.counters.sent} of ${all} bytes sent`);
  assert.ok(next.counters.sent < all - (4 << 20), 'what was acknowledged is not sent again');
  assert.deepEqual(plain(await fetch(next.manifest)), plain(at('大')));
});

test('a server that only falls silent holds nobody up, and a run can be cancelled meanwhile', { timeout: 120e3 }, async () => {
  write(at('大', 'new.bin'), noise(9 << 20));
  const s = await source('silent', { folder: '大' });
  w.wire.sent = 0;
  w.wire.onData = () => { if (w.wire.sent > 3 << 20) { w.wire.onData = null; w.wire.mode = 'silent'; } };
  const { run: id } = await w.c.post(`sources/${s.id}/run`, {});
  await L.until('silence', () => w.wire.mode === 'silent');
  await L.sleep(1000);
  await w.c.post(`runs/${id}/cancel`, {});
  const r = await L.until('the end', async () => { const x = await w.c.get(`runs/${id}`); return ['cancelled', 'failed'].includes(x.state) && x; }, 30e3);
  assert.equal(r.state, 'cancelled', JSON.stringify(r));
  w.wire.mode = 'pass';
  w.wire.cut();
  assert.equal((await run(s)).state, 'complete');
});

test('the part that speaks SMB holds nothing else', { timeout: 60e3, skip: !root && 'users are only changed as root' }, async () => {
  write(at('大', 'more.bin'), noise(9 << 20));
  const s = await source('rights', { folder: '大' });
  w.wire.sent = 0;
  w.wire.onData = () => { if (w.wire.sent > 3 << 20) { w.wire.onData = null; w.wire.mode = 'silent'; } };
  const { run: id } = await w.c.post(`sources/${s.id}/run`, {});
  await L.until('silence', () => w.wire.mode === 'silent');
  const pid = L.family(w.agent.process.pid).find((p) => fs.readFileSync(`/proc/${p}/cmdline`, 'utf8').includes('--part=prepare'));
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  for (const [key, value] of [['CapEff', '0000000000000000'], ['CapPrm', '0000000000000000'], ['NoNewPrivs', '1'], ['Seccomp', '2']]) assert.match(status, new RegExp(`${key}:\\s+${value}`), key);
  assert.ok(!/^Uid:\s+0\b/m.test(status) && !/^Uid:.*\b0$/m.test(status), status);
  for (const other of L.family(w.agent.process.pid).filter((p) => p !== pid)) assert.ok(!fs.readFileSync(`/proc/${other}/maps`, 'utf8').includes('libsmbclient'), 'the others never load it');
  await w.c.post(`runs/${id}/cancel`, {});
  await L.until('the end', async () => (await w.c.get(`runs/${id}`)).state === 'cancelled', 30e3);
  w.wire.mode = 'pass';
  w.wire.cut();
});
