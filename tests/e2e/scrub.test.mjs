// The box keeps parity and second copies, reads everything again, heals what it can and names what it cannot.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w, vault, tree, manifest;
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const packs = () => fs.readdirSync(path.join(vault, 'packs'), { recursive: true }).map(String).filter((f) => f.endsWith('.skp')).map((f) => path.join(vault, 'packs', f));
const bytes = (file) => { const b = fs.readFileSync(file); return 80 + b.readUInt32LE(56) * 40 + Number(b.readBigUInt64LE(64)); };
const change = (file, fn) => { const b = fs.readFileSync(file); fn(b); const fd = fs.openSync(file, 'r+'); fs.writeSync(fd, b, 0, b.length, 0); fs.closeSync(fd); };
const round = async () => {
  await w.c.post('scrub', { start: true });
  return L.until('the end of the round', async () => { const s = await w.c.get('scrub'); return !s.now.running && s; }, 60000);
};
const alarms = async (kind) => (await w.c.get('alarms?open=1')).items.filter((a) => a.kind === kind);

test('packs get their parity and manifests and journal their second copy once it is quiet', { timeout: 120e3 }, async () => {
  w = await L.World.start({ name: 'scrub', fill: (root) => { L.fillSmall(root); fs.writeFileSync(path.join(root, 'noise'), crypto.randomBytes(3 << 20)); } });
  vault = path.join(w.box.data, 'vault');
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  manifest = r.manifest;
  tree = L.treeOf(w.root);
  await L.until('all to be protected', async () => (await w.c.get('scrub')).now.waiting === 0, 60000);
  for (const p of packs()) assert.ok(fs.statSync(p).size > bytes(p), `${p} has no trailer`);
  const share = packs().reduce((a, p) => [a[0] + fs.statSync(p).size, a[1] + bytes(p)], [0, 0]);
  await L.until('the second copies', () => fs.existsSync(path.join(vault, 'spare/manifests', `${manifest}.skm`)) && fs.existsSync(path.join(vault, 'spare/journal/00000001.skj')), 20000);
  say(`${packs().length} packs, parity ${((share[0] / share[1] - 1) * 100).toFixed(1)} %`);
});

test('damage in every pack and a manifest is healed, told, and nothing is lost', { timeout: 120e3 }, async () => {
  const all = packs();
  for (const [i, p] of all.entries()) change(p, (b) => { b[i % 2 ? 90 : bytes(p) - 1 - i] ^= 16; });
  change(path.join(vault, 'manifests', `${manifest}.skm`), (b) => { b[99] ^= 1; });
  const s = await round();
  assert.equal(s.now.damaged, 0, JSON.stringify(s));
  assert.equal(s.now.healed, all.length + 1);
  assert.equal(s.reports[0].healed, all.length + 1);
  assert.equal((await alarms('healed')).length, 1);
  assert.equal((await alarms('damage')).length + (await alarms('damaged')).length, 0);
  await w.c.post('verify', { kind: 'data' });
  await L.until('the check', async () => { const v = await w.c.get('verify'); return !v.running && v.last?.sound; }, 30000);
  await w.unlock();
  assert.deepEqual(await w.fetch(manifest), tree);
  const today = await w.c.get('today');
  assert.equal(today.last.checked.errors, 0);
  say(`${all.length} packs and a manifest healed; the restore is equal; Today: ${JSON.stringify(today.last.checked)}`);
});

test('damage beyond parity names the source, and the next backup sends again what was lost', { timeout: 120e3 }, async () => {
  const big = packs().sort((a, b) => bytes(b) - bytes(a))[0];
  change(big, (b) => b.fill(0, 8192, 8192 + 40 * 4096));
  const s = await round();
  assert.ok(s.now.damaged > 0);
  assert.ok(s.found.some((f) => f.result === 'damaged' && f.blocks >= 40), JSON.stringify(s.found));
  const [a] = await L.until('the alarm', async () => { const x = await alarms('damaged'); return x.length && x; });
  assert.equal(a.state, 'call');
  assert.ok(a.title.includes('電子カルテ'), a.title);
  assert.equal(a.manifest, manifest);
  const cli = await L.run(L.programs.cli, ['vault', 'scrub', '--vault', vault, '--lang', 'en'], { any: true });
  assert.equal(cli.code, 1);
  assert.match(cli.out + cli.err, /beyond repair/);
  assert.equal((await w.c.get('today')).state, 'call');
  // Only what has changed is read again by a quick run: touch the file so that its parts are looked at.
  fs.utimesSync(path.join(w.root, 'noise'), new Date(), new Date());
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  const again = await w.fetch(r.manifest);
  assert.equal(again['/noise']?.sha256 ?? again.noise?.sha256, L.treeOf(w.root)['/noise']?.sha256 ?? L.treeOf(w.root).noise?.sha256);
  assert.deepEqual(again, L.treeOf(w.root));
  say(`named: ${a.title}`);
});

test('a journal damaged while the box is off is healed at its start', { timeout: 120e3 }, async () => {
  await L.until('the second journal to follow', async () => {
    const [a, b] = ['journal', 'spare/journal'].map((d) => fs.statSync(path.join(vault, d, '00000001.skj')).size);
    return a === b;
  }, 30000);
  const head = (await w.c.get('box')).vault.head;
  await w.box.stop();
  const file = path.join(vault, 'journal/00000001.skj');
  change(file, (b) => { b[300] ^= 1; b[Math.floor(b.length / 2)] ^= 1; });
  fs.writeFileSync(path.join(vault, 'format'), 'x');
  const off = await L.run(L.programs.cli, ['vault', 'scrub', '--vault', vault, '--lang', 'en'], { any: true });
  assert.equal(off.code, 1);
  w.box = await L.Box.start({ data: w.box.data, config: { test_clock: w.clock } });
  w.c = await L.signIn(w.box, { ...w.person, one_time: w.person.codes[0] });
  const now = (await L.until('the vault', async () => { const b = await w.c.get('box'); return b.vault.head && b; })).vault.head;
  assert.ok(now.seq > head.seq);
  assert.ok((await w.c.get('scrub')).healed.some((h) => h.what === 'journal' && h.found_by === 'open'));
  assert.equal(L.readJournal(vault).length, now.seq);
  assert.ok((await w.generations()).length >= 1);
  say(`journal healed at the start: ${now.seq} records`);
});
