// What the machine itself takes care of: how fast it sends at what hour, and reading again what seems unchanged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Agent, Box, backup, clearUp, differences, makeTree, password, remove, restore, setUp, showTree, sleep, tempDir, until } from './lib.mjs';

let box, c, agent, card;
before(async () => {
  box = await Box.start();
  ({ client: c, card } = await setUp(box));
  agent = await Agent.join(box, c, 'karte');
}, { timeout: 120000 });
after(async () => {
  await agent?.stop();
  await box?.stop();
  clearUp();
}, { timeout: 60000 });

const addSource = async (name, dir, more = {}) => {
  const s = await c.must('POST', 'sources', { device: agent.device.id, name, paths: [dir], schedule: { every: 'off' }, canaries: false, ...more }, 201);
  return s.id;
};

test('opening hours are slow, and lifting the limit counts in the run that is under way', { timeout: 120000 }, async () => {
  const dir = tempDir('hours', 0o755);
  fs.writeFileSync(path.join(dir, 'noise'), crypto.randomBytes(48 << 20));
  const hours = [{ days: [0, 1, 2, 3, 4, 5, 6], from: '00:00', to: '24:00', kib_s: 1024 }];
  const source = await addSource('hours', dir, { options: { hours } });
  const { run } = await c.post(`sources/${source}/run`, {});
  const begun = await until('the run to send', async () => {
    const r = await c.get(`runs/${run}`);
    return r.progress?.sent > 0 && Date.now();
  });
  await sleep(8000);
  const slow = await c.get(`runs/${run}`);
  const passed = (Date.now() - begun) / 1000;
  assert.equal(slow.state, 'running');
  // What was handed over counts as sent: a pack of 6 MiB more than the limit at most, and one while the other is paid for.
  assert.ok(slow.progress.sent <= (passed + 2) * 1048576 + 2 * (6 << 20), `${slow.progress.sent} bytes in ${passed} s`);
  const lifted = Date.now();
  await c.must('PATCH', `sources/${source}`, { options: {} });
  const r = await until('the run to end', async () => {
    const x = await c.get(`runs/${run}`);
    return !['waiting', 'running'].includes(x.state) && x;
  }, 60000);
  assert.equal(r.state, 'complete');
  const rest = (Date.now() - lifted) / 1000;
  assert.ok(rest < (48 << 20) / 1048576 - passed - 6, `${rest} s after the limit was lifted`);
});

test('a wrong row of hours is named', async () => {
  const dir = tempDir('wrong', 0o755);
  const r = await c.call('POST', 'sources', { device: agent.device.id, name: 'wrong', paths: [dir], options: { hours: [{ days: [1], from: '8:30', to: '18:30', kib_s: 1 }] } });
  assert.equal(r.status, 400);
  assert.equal(r.json.error.field, 'options.hours.from');
});

/** Bytes change, times do not: a store through memory that the file system does not see (tmpfs). */
const silently = (file) => execFileSync('python3', ['-c', `
import mmap, os, sys
with open(sys.argv[1], 'r+b') as f:
    m = mmap.mmap(f.fileno(), 0)
    m[10:14] = bytes(b ^ 0x5a for b in m[10:14])
    m.flush()
`, file]);

test('a file with other bytes under the same times is found, kept and told', { timeout: 120000 }, async () => {
  const dir = fs.mkdtempSync('/dev/shm/sakimori-silent-');
  remove(dir);
  fs.chmodSync(dir, 0o755);
  for (let i = 0; i < 40; i++) fs.writeFileSync(path.join(dir, `karte-${i}.txt`), `患者 ${i}\n`.repeat(200 + i));
  await sleep(2500); // old enough for its times to be trusted
  const source = await addSource('silent', dir);
  assert.equal((await backup(c, source)).state, 'complete');
  const victim = path.join(dir, 'karte-17.txt');
  const was = fs.statSync(victim, { bigint: true });
  silently(victim);
  const is = fs.statSync(victim, { bigint: true });
  assert.deepEqual([is.mtimeNs, is.ctimeNs, is.size], [was.mtimeNs, was.ctimeNs, was.size]);
  const quiet = await backup(c, source);
  assert.equal(quiet.counters.files_changed, 0);
  let found = null;
  for (let n = 0; n < 4 && !found; n++) {
    // As if the last run were a month ago: a third of the files is read again in each.
    const state = path.join(agent.data, 'cache', `reread-${source}`);
    const b = fs.readFileSync(state);
    b.writeBigInt64LE(BigInt(Math.floor(Date.now() / 1000) - 31 * 86400), 16);
    crypto.createHash('sha256').update(b.subarray(0, 40)).digest().copy(b, 40, 0, 8);
    fs.writeFileSync(state, b);
    const r = await backup(c, source);
    assert.equal(r.state, 'complete');
    assert.ok(r.counters.reread > 0);
    if (r.counters.reread_changed) found = r;
  }
  assert.ok(found, 'found in a round');
  assert.equal(found.counters.reread_changed, 1);
  assert.deepEqual(found.problems.filter((p) => p.what === 'reread').map((p) => p.path), [victim]);
  const alarm = (await c.get('alarms')).items.find((a) => a.kind === 'silent');
  assert.ok(alarm, 'an alarm');
  assert.match(alarm.title, /日時はそのまま/);
  assert.match(alarm.text, /1件/);
});

// ---- the cache, kept sealed by the box ----

const cacheDir = () => path.join(agent.data, 'cache');
const logs = () => fs.readdirSync(path.join(box.data, 'vault/caches')).filter((n) => n.endsWith('.skc')).map((n) => path.join(box.data, 'vault/caches', n));
/** The machine loses its folder of caches. */
async function lose() {
  await agent.stop();
  const was = fs.statSync(cacheDir());
  fs.rmSync(cacheDir(), { recursive: true });
  fs.mkdirSync(cacheDir());
  fs.chmodSync(cacheDir(), was.mode & 0o7777);
  fs.chownSync(cacheDir(), was.uid, was.gid);
  agent.start();
  await until('the machine to be back', async () => (await c.get('devices')).items.find((d) => d.id === agent.device.id && d.state === 'ok'));
}

test('a lost cache is fetched and used; what the box altered, rolled back or lost is not', { timeout: 240000 }, async () => {
  const dir = tempDir('kept', 0o755);
  makeTree(dir);
  await sleep(2500);
  const source = await addSource('kept', dir);
  const first = await backup(c, source);
  assert.ok(first.counters.cache_bytes > 0, agent.log.join('').slice(-2000) + box.log.join('').slice(-2000));
  const early = logs().map((f) => [f, fs.readFileSync(f)]);
  for (let n = 0; n < 3; n++) {
    fs.writeFileSync(path.join(dir, 'karte-new.txt'), `generation ${n}`);
    const r = await backup(c, source);
    assert.ok(r.counters.cache_bytes > 0 && r.counters.cache_bytes < 16384, `${r.counters.cache_bytes} bytes for a tiny change`);
  }
  assert.equal(logs().filter((n) => n.includes(source)).length, 1, 'one log a source');

  await lose();
  const used = await backup(c, source);
  assert.equal(used.counters?.cache, 'fetched', JSON.stringify(used) + agent.log.join('').slice(-3000));
  assert.ok(used.counters.bytes_read < 4096, `${used.counters.bytes_read} bytes read`);
  assert.equal(used.counters.files, first.counters.files + 1);
  const to = path.join(tempDir('back', 0o755), 'r');
  const person = await c.post('unlock', { password, card });
  assert.ok(person);
  const back = await restore(c, used.manifest, agent.device.id, { target: { mode: 'place', place: to } });
  assert.equal(back.state, 'complete');
  assert.deepEqual(differences(showTree(dir), showTree(to + dir)), []);

  // Rolled back by the box: sound, but not of the last generation.  It serves as a hint, and says so.
  const log = logs().find((n) => n.includes(source));
  const now = fs.readFileSync(log);
  fs.writeFileSync(log, early.find(([f]) => f === log)[1]);
  await lose();
  const old = await backup(c, source);
  assert.equal(old.counters.cache, 'old');
  assert.ok(old.counters.bytes_read < first.counters.bytes_read / 4);
  // Altered at its beginning: noticed, not used, everything is read.
  const bad = Buffer.from(now);
  bad[40] ^= 1;
  for (const f of logs().filter((n) => n.includes(source))) fs.writeFileSync(f, bad);
  await lose();
  const refused = await backup(c, source);
  assert.equal(refused.counters.cache, 'refused');
  assert.ok(refused.counters.bytes_read > first.counters.bytes_read / 2);
  // Lost by the box alone: the machine begins a new one.
  for (const f of logs()) fs.rmSync(f);
  await backup(c, source);
  await backup(c, source);
  assert.equal(logs().filter((n) => n.includes(source)).length, 1, 'begun anew');
  // Gone on both sides.
  for (const f of logs()) fs.rmSync(f);
  await lose();
  assert.equal((await backup(c, source)).counters.cache, 'none');
  assert.equal(logs().filter((n) => n.includes(source)).length, 1, 'kept again');
});

test('after an incident nothing of the cache is used: it is dropped, and everything is read', { timeout: 120000 }, async () => {
  const dir = tempDir('incident', 0o755);
  for (let i = 0; i < 30; i++) fs.writeFileSync(path.join(dir, `karte-${i}.txt`), `患者 ${i}\n`.repeat(400));
  await sleep(2500);
  const source = await addSource('incident', dir);
  await backup(c, source);
  await backup(c, source);
  assert.equal(logs().filter((n) => n.includes(source)).length, 1);
  for (let i = 0; i < 30; i++) {
    fs.writeFileSync(path.join(dir, `karte-${i}.txt.locked`), crypto.randomBytes(9000));
    fs.rmSync(path.join(dir, `karte-${i}.txt`));
  }
  await backup(c, source);
  const alarm = await until('the alarm', async () => (await c.get('alarms')).items.find((a) => a.kind === 'suspicion' && !a.closed));
  await sleep(2500);
  const frozen = await backup(c, source);
  assert.equal(frozen.counters.cache_bytes, 0, 'nothing is taken from a machine that is held');
  await c.post(`alarms/${alarm.id}`, { action: 'thaw', note: '試験', false_alarm: true });
  assert.equal(logs().filter((n) => n.includes(source)).length, 0);
  const anew = await backup(c, source);
  assert.equal(anew.counters.bytes_read, 30 * 9000, 'everything is read again');
  const usual = await backup(c, source);
  assert.equal(usual.counters.bytes_read, 0, 'once');
});
