// What the machine itself takes care of: how fast it sends at what hour, and reading again what seems unchanged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Agent, Box, backup, clearUp, remove, setUp, sleep, tempDir, until } from './lib.mjs';

let box, c, agent;
before(async () => {
  box = await Box.start();
  c = (await setUp(box)).client;
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
