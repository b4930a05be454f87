// Box and agent in one home, whose other files are what is backed up: the agent's parts reach all of the home but the box's folder.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

const boxes = [];
after(async () => {
  for (const b of boxes) await b.stop().catch(() => {});
  L.clearUp();
});

const b64 = (s) => Buffer.from(s).toString('base64');
const shown = (x) => JSON.stringify(x).slice(0, 3000);

/** All of root but what its tests made: the box's folders and what restores set aside. */
function filesOf(root) {
  const rows = L.treeOf(root);
  for (const n of Object.keys(rows)) {
    if (n === '.' || n.includes('.before-restore-') || n.startsWith('./.local')) delete rows[n];
    else delete rows[n].mtime; // of folders in which something was put
  }
  return rows;
}

const kinds = [{ name: 'an ordinary user', uid: 65534, gid: 65534 }, { name: 'root', uid: undefined, gid: undefined }];
for (const { name, uid, gid } of kinds) {
  test(`box and agent of ${name} in one home`, { timeout: 300e3, skip: process.getuid() !== 0 && 'needs root to be both' }, async () => {
    const place = L.tempDir('home', 0o755);
    const home = path.join(place, 'home');
    const own = (...p) => uid && fs.chownSync(path.join(home, ...p), uid, gid);
    const mkdir = (...p) => { fs.mkdirSync(path.join(home, ...p)); own(...p); };
    const write = (text, ...p) => { fs.writeFileSync(path.join(home, ...p), text); own(...p); };
    const data = path.join(home, '.local/share/sakimori');
    mkdir('');
    for (const d of [['.local'], ['.local', 'share'], ['records']]) mkdir(...d);
    for (let i = 0; i < 12; i++) write(`患者 ${i}\n`.repeat(400), 'records', `karte-${i}.txt`);
    write('覚え書き\n', 'notes.txt');
    const box = await L.Box.start({ data, agent: true, uid, gid, env: { HOME: home } });
    boxes.push(box);
    const s = await L.setUp(box);
    const c = s.client;
    const device = await L.until('the machine of the box', async () => (await c.get('devices')).items.find((d) => d.state === 'ok'), 60e3);
    const source = (n, ...paths) => c.post('sources', { device: device.id, name: n, group: 'share', kind: 'files', paths, schedule: { every: 'day', at: '03:10' }, canaries: n === 'home', enabled: true });
    const complete = async (src) => {
      const r = await L.backup(c, src.id);
      assert.equal(r.state, 'complete', `${shown(r)}\n${box.log.join('').slice(-2000)}`);
      return r;
    };
    const giveBack = async (manifest, more) => {
      await c.post('unlock', { password: L.password, card: s.card });
      const r = await L.restore(c, manifest, device.id, { suspicious_ok: true, ...more });
      assert.equal(r.state, 'complete', `${shown(r)}\n${box.log.join('').slice(-2000)}`);
      return r;
    };

    // The whole home, decoys in it, and what came after the agent began.
    const all = await source('home', home);
    await L.until('decoys in the home itself', () => fs.readdirSync(home).filter((n) => n !== '.local').length >= 4, 20e3).catch((e) => { throw new Error(`${e.message}\n${box.log.join('').slice(-3000)}`); });
    await complete(all);
    write('新しい\n', 'newfile.txt');
    mkdir('newdir');
    write('もっと新しい\n', 'newdir', 'x.txt');
    fs.writeFileSync(path.join(home, 'notes.new'), '書き直した覚え書き\n'); // as editors save
    own('notes.new');
    fs.renameSync(path.join(home, 'notes.new'), path.join(home, 'notes.txt'));
    await L.sleep(2100); // what was written right before a backup is read again by the next one
    const lend = () => L.family(box.process.pid).find((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--part=lend'));
    process.kill(await L.until('the part that lends', lend), 'SIGKILL'); // a run waits for it to be back
    const whole = await complete(all);
    const was = filesOf(home);
    assert.ok(was['./newdir/x.txt'] && was['./newfile.txt'] && was['./notes.txt']);
    const elsewhere = path.join(home, 'elsewhere');
    await giveBack(whole.manifest, { target: { mode: 'place', place: elsewhere } });
    assert.deepEqual(filesOf(path.join(elsewhere, home)), was);
    assert.ok(!fs.existsSync(path.join(elsewhere, data)), 'the box itself is in no backup');
    fs.rmSync(elsewhere, { recursive: true });

    // A folder beside the path to the box: gone altogether, then changed.
    const records = await source('records', path.join(home, 'records'));
    const run = await complete(records);
    const kept = L.treeOf(path.join(home, 'records'));
    fs.rmSync(path.join(home, 'records'), { recursive: true });
    await giveBack(run.manifest);
    assert.deepEqual(L.treeOf(path.join(home, 'records')), kept);
    write('暗号\n', 'records', 'karte-3.txt');
    write('身代金\n', 'records', 'README');
    const r = await giveBack(run.manifest);
    assert.equal(r.set_aside, 2, shown(r));
    const aside = fs.readdirSync(path.join(home, 'records')).filter((n) => n.startsWith('.before-restore-'));
    assert.equal(aside.length, 1, 'beside the folder nothing may be made, so it is in it');
    assert.equal(fs.readFileSync(path.join(home, 'records', aside[0], 'README'), 'utf8'), '身代金\n');
    assert.equal(fs.readFileSync(path.join(home, 'records/karte-3.txt'), 'utf8'), '患者 3\n'.repeat(400));

    // The whole home, in the folder that the path to the box leads through; and one file of it.
    fs.rmSync(path.join(home, 'notes.txt'));
    fs.rmSync(path.join(home, 'newdir'), { recursive: true });
    write('暗号\n', 'newfile.txt');
    write('身代金\n', 'README');
    const h = await giveBack(whole.manifest);
    assert.ok(h.set_aside >= 2, shown(h));
    assert.deepEqual(filesOf(home), was);
    assert.ok(!fs.readdirSync(home).some((n) => n.startsWith('.sakimori-')), 'nothing is left lying about');
    fs.rmSync(path.join(home, 'notes.txt'));
    await giveBack(whole.manifest, { paths_b64: [b64(path.join(home, 'notes.txt'))] });
    assert.deepEqual(filesOf(home), was);
    fs.rmSync(path.join(home, 'newdir'), { recursive: true });
    await giveBack(whole.manifest, { existing: 'skip' });
    assert.deepEqual(filesOf(home), was);
    assert.ok(fs.existsSync(path.join(data, 'vault')) && fs.existsSync(`${data}-agent/agent.json`));

    // What stays out: a source inside of the box's folder is not read, a restore into it is refused.
    const inside = await source('inside', path.join(data, 'vault'));
    const bad = await L.backup(c, inside.id);
    assert.notEqual(bad.state, 'complete', shown(bad));
    assert.equal(bad.counters?.bytes_read ?? 0, 0, shown(bad));
    assert.ok(bad.problems.some((p) => p.what === 'open'), shown(bad));
    const body = { manifest: run.manifest, device: device.id, paths_b64: [], existing: 'aside', why: '試験', suspicious_ok: true };
    const no = await c.call('POST', 'restores', { ...body, target: { mode: 'place', place: path.join(data, 'x') } });
    assert.equal(no.status, 400, no.text);
    fs.symlinkSync(data, path.join(home, 'way'));
    const refused = await L.restore(c, run.manifest, device.id, { target: { mode: 'place', place: path.join(home, 'way/x') } });
    assert.equal(refused.state, 'failed', shown(refused));
    assert.ok(refused.problems.some((p) => p.what === "the box's own folder" && p.path === path.join(data, 'x')), shown(refused));
    assert.ok(!fs.existsSync(path.join(data, 'x')));

    const confined = (await c.get('devices')).items[0].confined;
    for (const part of ['link', 'backup', 'lend']) assert.equal(confined[part]?.landlock, true, shown(confined));
    assert.equal(confined.backup.uid, !uid, shown(confined));
    assert.deepEqual(await box.stop(), { code: 0, signal: null });
  });
}
