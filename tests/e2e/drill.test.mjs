// A restore drill: a sample and everything, with real processes; a vault that lost a pack does not pass.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w;
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const scratch = () => fs.readdirSync('/var/tmp').filter((n) => n.startsWith('sakimori-drill-'));
const over = (id) => L.until('the drill', async () => {
  const d = await w.c.get(`drills/${id}`);
  return d.ok !== null && d;
}, 120000);

test('a drill restores a sample, compares it, leaves nothing, and its report stands in the journal', { timeout: 240e3 }, async () => {
  w = await L.World.start({ name: 'drill', fill: (root) => { L.makeTree(path.join(root, 'all'), true); L.fillSmall(path.join(root, 'small'), 400); } });
  assert.equal((await w.c.call('POST', 'drills', { source: w.source.id })).status, 409, 'locked, and no clean generation yet');
  await w.unlock();
  assert.equal((await w.c.call('POST', 'drills', { source: w.source.id })).status, 409, 'no generation yet');
  const run = await L.backup(w.c, w.source.id);
  assert.equal(run.state, 'complete');
  const before = scratch();
  const tree = L.treeOf(w.root);

  const d = await over((await w.c.post('drills', { source: w.source.id })).id);
  assert.equal(d.ok, true, JSON.stringify(d));
  assert.equal(d.plan.amount, 'sample');
  assert.equal(d.plan.files, 200);
  assert.ok(d.plan.files_total > 400);
  assert.ok(d.report.files >= 200 && d.report.differences === 0 && d.report.removed && d.report.restore_ms > 0 && d.report.estimate_s > 0);
  assert.deepEqual(scratch(), before, 'nothing is left');
  assert.deepEqual(L.treeOf(w.root), tree, 'the present files are as they were');
  const sorted = (v) => Array.isArray(v) ? v.map(sorted) : v && typeof v === 'object' ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;
  assert.equal(crypto.createHash('sha256').update(JSON.stringify(sorted(d.report))).digest('hex'), d.hash);
  const access = await L.everything(w.c, 'access');
  assert.ok(access.some((a) => a.what === 'drill' && a.result === 'passed' && a.why.includes(d.hash)), 'the hash of the report is in the journal');

  const all = await over((await w.c.post('drills', { source: w.source.id, amount: 'all' })).id);
  assert.equal(all.ok, true, JSON.stringify(all));
  assert.ok(all.report.files >= all.plan.files_total);
  assert.deepEqual(scratch(), before);
  assert.equal((await w.c.get('today')).last.drill.ok, true);
  assert.equal((await w.c.get(`generations/${run.manifest}`)).drill.ok, true);
  const other = await w.addSource(w.agent.device.id, path.join(w.root, 'small'), { name: '別の物' });
  const theirs = await L.backup(w.c, other.id);
  assert.equal((await w.c.call('POST', 'drills', { source: w.source.id, manifest: theirs.manifest })).status, 400, 'the generation of another source proves nothing of this one');
  assert.equal((await over((await w.c.post('drills', { source: other.id, manifest: theirs.manifest })).id)).ok, true);
  console.log(`# sample ${d.report.files} files ${d.report.restore_ms} + ${d.report.compare_ms} ms, estimate ${d.report.estimate_s} s; all ${all.report.files} files ${all.report.restore_ms} + ${all.report.compare_ms} ms`);
});

test('a drill that is due begins by itself under an unlock, once, and not when that is switched off', { timeout: 600e3 }, async () => {
  const DAY = 86400e3, list = async () => (await w.c.get('drills?limit=100')).items;
  const there = async () => { await L.poke(w.agent); await L.until('the machine', async () => (await w.c.get('devices')).items.find((d) => d.state === 'ok')); };
  const quiet = async () => { // a day of runs is made up at once after such a jump
    await L.until('the runs to end', async () => !(await w.c.get('runs?limit=10')).items.some((r) => ['waiting', 'running'].includes(r.state)), 60000);
    /* Every server was late for a moment; that ends by itself once they are saved. */
    await L.until('no alarm that calls', async () => !(await w.c.get('alarms?open=1')).items.some((x) => x.state === 'call'), 90000)
      .catch(async (e) => { throw new Error(`${e.message} ${JSON.stringify((await w.c.get('alarms?open=1')).items)}`); });
  };
  const before = await list();
  assert.ok(before.every((d) => !d.plan.by_itself), 'what was not due did not begin by itself');
  await w.moveTo(Date.now() + 32 * DAY);
  await there();
  await quiet();
  await w.c.must('PATCH', 'settings', { drills: { by_itself: false } });
  assert.equal((await w.c.get('settings')).drills.by_itself, false);
  await w.unlock();
  await L.sleep(25000);
  assert.equal((await list()).length, before.length);
  await w.c.must('PATCH', 'settings', { drills: { by_itself: true } });
  /* It begins on a machine that is there: one that was late to come back after the jump is asked for. */
  const begun = (ms) => L.until('a drill', async () => {
    const got = (await list()).find((x) => x.plan.by_itself);
    if (!got) await L.poke(w.agent).catch(() => {}).then(() => L.sleep(1000));
    return got;
  }, ms);
  const told = async () => JSON.stringify([(await w.c.get('alarms?open=1')).items, (await w.c.get('audit?limit=12')).items, (await w.c.get('sources')).items.map((x) => [x.id, x.enabled, x.clean, x.created]),
    (await w.c.get('devices')).items.map((x) => [x.id, x.state, x.seen]), new Date(w.now()).toISOString(), w.box.log.join('').slice(-1500)]);
  const d = await begun(60000).catch(async () => { await w.unlock(); return begun(120000); }).catch(async (e) => { throw new Error(`${e.message} ${await told()}`); });
  const done = await over(d.id);
  assert.equal(done.ok, true, JSON.stringify(done));
  assert.equal(done.plan.amount, 'sample');
  assert.equal(done.by, 'incho');
  assert.equal(done.report.plan.by_itself, true, 'the report, whose hash is recorded, says so');
  assert.ok((await L.everything(w.c, 'access')).some((a) => a.what === 'drill' && /by itself/.test(a.why ?? '') && a.from === 'box'));
  await L.sleep(3000);
  assert.equal((await list()).filter((x) => x.plan.by_itself).length, 1, 'one an unlock');
  assert.equal((await w.c.call('PATCH', 'settings', { drills: { by_itself: 'no' } })).status, 400);
  assert.equal((await w.c.call('PATCH', 'settings', { drills: { often: true } })).status, 400);
});

test('a drill of a vault with a damaged pack does not pass, and Today says so', { timeout: 240e3 }, async () => {
  const packs = path.join(w.box.data, 'vault/packs');
  const files = fs.readdirSync(packs, { recursive: true }).map((f) => path.join(packs, String(f))).filter((f) => f.endsWith('.skp'));
  for (const f of files) {
    if (fs.readFileSync(f)[5] !== 1) continue; // data, not folders
    const fd = fs.openSync(f, 'r+'), size = fs.fstatSync(fd).size;
    fs.writeSync(fd, crypto.randomBytes(Math.floor(size / 2)), 0, Math.floor(size / 2), Math.floor(size / 3)); // beyond what can be healed
    fs.closeSync(fd);
  }
  await w.unlock();
  const d = await over((await w.c.post('drills', { source: w.source.id, amount: 'all' })).id);
  assert.equal(d.ok, false);
  assert.ok(d.report.problems > 0);
  const alarms = await w.c.get('alarms?open=1');
  assert.ok(alarms.items.some((a) => a.kind === 'drill'), JSON.stringify(alarms.items.map((a) => a.kind)));
});
