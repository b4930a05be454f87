// Deletion by policy, by an order of the recovery sheet, and what stops it: a real box, a machine, weeks by the test clock.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

const DAY = 86400e3;
let w, token, codes;
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const cli = (args, any = false) => L.run(L.programs.cli, ['--data', w.box.data, '--token-file', token, '--lang', 'en', ...args], { any });
const paper = (name, text) => {
  const file = path.join(w.place, name);
  fs.writeFileSync(file, text, { mode: 0o600 });
  return file;
};
/** Some days later; the command line signs in anew, since tokens last hours. */
async function later(days) {
  await w.moveTo(w.now() + days * DAY);
  await cli(['sign-in', 'incho', '--answers', paper('in.json', JSON.stringify({ password: L.password, one_time: codes.shift() }))]);
}
const clean = async (...more) => JSON.parse((await cli(['vault', 'clean', '--json', ...more])).out);
const ids = async () => (await w.generations()).map((g) => g.manifest ?? g.id);
async function copy(name) {
  fs.writeFileSync(path.join(w.root, 'log.txt'), Array.from({ length: 9000 }, (_, i) => `${name} ${i * 7919 % 104729} 診療の記録\n`).join(''));
  await L.sleep(2100);
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  return { id: r.manifest, tree: L.treeOf(w.root) };
}
const packs = () => fs.readdirSync(path.join(w.box.data, 'vault/packs'), { recursive: true }).map(String).filter((x) => x.endsWith('.skp'));

test('generations go after their lock, packs days later, and what is left restores', { timeout: 400e3 }, async () => {
  w = await L.World.start({ name: 'retention', source: { schedule: { every: 'off' } },
    fill: (root) => { L.fillSmall(root); fs.writeFileSync(path.join(root, 'images.bin'), crypto.randomBytes(6 << 20)); } });
  token = path.join(w.place, 'token');
  codes = [...w.person.codes];
  const first = await copy('one');
  await copy('two');
  const last = await copy('three');
  assert.equal((await ids()).length, 3);
  await later(10);
  assert.equal((await clean()).expired, 0, 'no lock opens early');
  await later(5);
  const dry = await clean('--dry-run');
  assert.equal(dry.dry, true);
  assert.equal(dry.expired, 2);
  assert.ok(dry.expire.some((g) => g.manifest === first.id));
  assert.equal((await ids()).length, 3, 'a dry run changes nothing');
  const done = await clean();
  assert.equal(done.expired, 2);
  assert.equal(done.deleted, 0);
  assert.deepEqual(await ids(), [last.id]);
  const before = packs();
  await later(4);
  const gone = await clean();
  await later(4);
  const more = await clean();
  assert.ok(gone.deleted + more.deleted > 0);
  // The box's own backups go on meanwhile and add some.
  const now = packs();
  assert.ok(before.filter((x) => !now.includes(x)).length >= 1);
  await w.unlock();
  assert.deepEqual(await w.fetch(last.id), last.tree);
  const again = await copy('four');
  await w.unlock();
  assert.deepEqual(await w.fetch(again.id), again.tree);
  const check = await L.run(L.programs.cli, ['vault', 'verify', 'data', '--vault', path.join(w.box.data, 'vault'), '--lang', 'en'], { any: true });
  assert.equal(check.code, 0, check.out + check.err);
  say(`2 of 3 expired after 15 days, ${gone.deleted + more.deleted} packs deleted and ${gone.copied} copied out within 8 days, the rest restored equal`);
});

test('an order of the sheet is told, can be stopped, and is executed after seven days', { timeout: 400e3 }, async () => {
  const sheet = paper('orders.txt', w.person.sheet.orders.words_ja.join(' ')), wrong = paper('open.txt', w.person.sheet.open.words_ja.join(' '));
  await copy('five');
  await copy('six');
  const [newest, older] = await ids();
  const no = await cli(['order', 'delete', older, '--sheet', wrong, '--why', 'thief'], true);
  assert.notEqual(no.code, 0, 'the other half of the sheet signs nothing');
  await cli(['order', 'delete', older, '--sheet', sheet, '--why', '間違えて入れた']);
  let r = await w.c.get('retention');
  assert.equal(r.orders[0].state, 'waiting');
  let today = await w.c.get('today');
  assert.equal(today.state, 'call');
  assert.ok(today.lines.some((x) => x.text.includes('早く消す命令')));
  await cli(['order', 'cancel', r.orders[0].id, '--why', '心当たりがない']);
  today = await w.c.get('today');
  assert.ok(!today.lines.some((x) => x.text.includes('早く消す命令')));
  await later(8);
  assert.equal((await clean()).orders, 0, 'what was stopped is not executed');
  assert.ok((await ids()).includes(older));
  // What is signed is what was typed, and is shown: no number comes from the box.
  const some = await cli(['order', 'policy', '--daily', '3', '--sheet', sheet, '--why', '容量'], true);
  assert.notEqual(some.code, 0);
  assert.match(some.err, /--hourly/);
  const numbers = ['--hourly', '2', '--daily', '3', '--weekly', '4', '--monthly', '5', '--min-days', '6'];
  const all = await cli(['order', 'policy', ...numbers, '--sheet', sheet, '--why', '容量'], true);
  assert.equal(all.code, 0, all.err);
  for (const n of ['2', '3', '4', '5', '6']) assert.match(all.err, new RegExp(`\\b${n}\\b`));
  r = await w.c.get('retention');
  assert.deepEqual(r.orders[0].policy, { hourly: 2, daily: 3, weekly: 4, monthly: 5, min_days: 6 });
  await cli(['order', 'cancel', r.orders[0].id, '--why', '試し']);
  await cli(['order', 'delete', older, newest, '--sheet', sheet, '--why', '間違えて入れた']);
  const hold = await w.c.post('retention/holds', { scope: 'generation', id: newest, reason: '訴訟' });
  await later(6);
  assert.equal((await clean()).orders, 0, 'six days are not seven');
  await later(2);
  assert.equal((await clean()).orders, 1);
  assert.deepEqual(await ids(), [newest], 'the one on hold stays');
  r = await w.c.get('retention');
  assert.equal(r.orders[0].state, 'executed');
  assert.equal(r.orders[0].kept, 1);
  assert.equal(r.holds[0].id, hold.id);
  await w.c.post(`retention/holds/${hold.id}/release`, { why: '済んだ' });
  assert.equal((await w.c.get('retention')).holds.length, 0);
  const log = await w.c.get('access?limit=200');
  assert.ok(log.items.length > 0);
  say('an order was refused, stopped, executed; a hold outlived it');
});

test('a shorter policy needs the sheet, a longer one does not; a quota refuses in words; the box comes back as it was', { timeout: 400e3 }, async () => {
  const now = (await w.c.get('settings')).retention;
  const shorter = await L.request('PATCH', `${w.box.url}/api/v1/settings`, { retention: { ...now, daily: now.daily - 1 } }, { ca: w.box.ca, headers: { Cookie: w.c.cookie, 'X-CSRF-Token': w.c.csrf } });
  assert.equal(shorter.status, 409);
  assert.equal(shorter.json.error.code, 'needs_order');
  await w.c.must('PATCH', 'settings', { retention: { ...now, daily: now.daily + 1 } });
  assert.equal((await w.c.get('retention')).policy.daily, now.daily + 1);
  const date = await w.c.post('retention/date', {});
  assert.equal(typeof date.gained_now_ms, 'number');
  await w.c.must('PUT', `devices/${w.agent.device.id}/quota`, { bytes: 1 });
  fs.writeFileSync(path.join(w.root, 'more.bin'), Buffer.alloc(3 << 20, 'abcdefg'));
  fs.writeFileSync(path.join(w.root, 'noise.bin'), crypto.randomBytes(2 << 20));
  await L.sleep(2100);
  const full = await L.backup(w.c, w.source.id);
  assert.notEqual(full.state, 'complete');
  await L.until('the alarm of the quota', async () => (await w.c.get('today')).lines.some((x) => x.text.includes('決めた大きさ')));
  await w.c.must('PUT', `devices/${w.agent.device.id}/quota`, { bytes: 0 });
  const fine = await L.backup(w.c, w.source.id);
  assert.equal(fine.state, 'complete');
  const before = await ids();
  await w.box.stop();
  const check = await L.run(L.programs.cli, ['vault', 'verify', 'data', '--vault', path.join(w.box.data, 'vault'), '--lang', 'en'], { any: true });
  assert.equal(check.code, 0, check.out + check.err);
  const sheet = paper('open2.txt', w.person.sheet.open.words_ja.join(' ')), to = path.join(w.place, 'bare');
  const bare = await L.run(L.programs.cli, ['recover', '--vault', path.join(w.box.data, 'vault'), '--sheet', sheet, '--generation', before[0], '--to', to, '--lang', 'en'], { any: true });
  assert.equal(bare.code, 0, bare.err + bare.out);
  assert.deepEqual(L.treeOf(path.join(to, w.root)), L.treeOf(w.root));
  say('policy, quota, verify and a bare restore of a cleaned vault');
});
