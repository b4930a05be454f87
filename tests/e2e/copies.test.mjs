// Copies: a folder and removable disks (loop devices, with the names udev would make), each restored from alone; a pulled
// disk, damage, and a box that was rolled back.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

const root = process.getuid() === 0;
const say = (text) => console.log(`# ${text}`);
let w, folder, id, disks;
const loops = [];
const sh = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).trim();
after(async () => {
  await w?.stop().catch(() => {});
  for (const l of loops) {
    try {
      sh('losetup', '-d', l);
    } catch { /* detached already */ }
  }
  L.clearUp();
});

// The command line as the person: a token of its own home.
const home = () => path.join(w.place, 'home');
async function cli(args, options = {}) {
  return L.run(L.programs.cli, [...args, '--data', w.box.data, '--lang', 'en'], { any: true, env: { HOME: home(), XDG_CONFIG_HOME: path.join(home(), '.config') }, ...options });
}
const get = (what = '') => w.c.get(`copies${what}`);
const settled = (which, states, ms = 60000) => L.until(`copy ${which} to be ${states}`, async () => {
  const c = await get(`/${which}`);
  return states.includes(c.state) && !c.progress && c;
}, ms).catch(async (e) => {
  throw new Error(`${e.message}: ${JSON.stringify(await get(`/${which}`))}\n${w.box.log.join('').slice(-1500)}`);
});
const lamps = async () => (await get()).lamps.map((l) => ({ on: '+', look: '?', off: '-' })[l.state]).join('');

async function recoverFrom(vault, manifest, tree) {
  const sheet = path.join(w.place, 'sheet.txt'), to = fs.mkdtempSync(path.join(w.place, 'out-'));
  fs.writeFileSync(sheet, w.person.sheet.open.words_ja.join(' '));
  const v = await L.run(L.programs.cli, ['vault', 'verify', 'data', '--vault', vault, '--lang', 'en'], { any: true });
  assert.equal(v.code, 0, v.out + v.err);
  const r = await L.run(L.programs.cli, ['recover', '--vault', vault, '--sheet', sheet, '--generation', manifest, '--to', to, '--lang', 'en'], { any: true });
  assert.equal(r.code, 0, r.out + r.err);
  assert.deepEqual(L.treeOf(path.join(to, w.root)), tree);
}

test('a folder is prepared, filled after a backup, read back, and shown', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'copies', box: { config: { disks: path.join(fs.mkdtempSync('/tmp/sakimori-byuuid-'), 'by-uuid') } } });
  disks = path.dirname(/disks = (.*)/.exec(fs.readFileSync(`${w.box.data}.conf`, 'utf8'))[1]);
  L.remove(disks);
  disks = path.join(disks, 'by-uuid');
  fs.mkdirSync(disks);
  fs.mkdirSync(home());
  assert.equal(await lamps(), '----?');
  const p = await cli(['sign-in', 'incho', '--password-stdin'], { input: `${L.password}\n${w.person.codes[0]}\n` });
  assert.equal(p.code, 0, p.out + p.err);
  const inside = await cli(['copy', 'prepare', path.join(w.box.data, 'vault')]);
  assert.notEqual(inside.code, 0, 'not in the box itself');
  assert.match(inside.err, /keeps its own data/);
  if (fs.existsSync('/etc/machine-id') && fs.readFileSync('/etc/machine-id', 'utf8').trim()) {
    const saved = await cli(['copy', 'prepare', w.root]);
    assert.notEqual(saved.code, 0, 'not where it is saved again');
    assert.match(saved.err, /電子カルテ/);
  }
  assert.ok(!fs.existsSync(path.join(w.root, 'sakimori-copy')));
  folder = path.join(w.place, 'second');
  fs.mkdirSync(folder, { mode: 0o755 });
  const made = await cli(['copy', 'prepare', folder, '--name', '二つ目のディスク', '--json']);
  assert.equal(made.code, 0, made.out + made.err);
  id = JSON.parse(made.out).id;
  assert.notEqual((await cli(['copy', 'prepare', folder])).code, 0, 'a place is prepared once');
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  w.first = { manifest: r.manifest, tree: L.treeOf(w.root) };
  // Without being asked: after the first backup.
  const c = await settled(id, ['ok']);
  assert.equal(c.generations, 1);
  assert.equal(c.sound, true);
  assert.ok(c.runs[0].facts.copy.copied_packs > 0 && c.runs[0].facts.verify.sound);
  const box = await w.c.get('box');
  assert.ok(box.version);
  const list = await cli(['copies']);
  assert.equal(list.code, 0);
  assert.match(list.out, /Three copies/);
  assert.match(await lamps(), /^\+.--\?$/);
  say(`filled by itself after the backup: ${c.packs} packs, ${c.pack_bytes} bytes; lamps ${await lamps()}`);
});

test('the copier is confined to the vault and the one target', { timeout: 60e3 }, async () => {
  const big = path.join(w.root, 'big.bin');
  fs.writeFileSync(big, Buffer.concat(Array.from({ length: 60 }, () => Buffer.from(crypto.getRandomValues(new Uint8Array(65536))))));
  await L.sleep(2100);
  await L.backup(w.c, w.source.id);
  await w.c.post(`copies/${id}/run`, {});
  const seen = await L.until('the copier', async () => (await w.c.get('box')).children.find((k) => k.name === 'copier' && k.confined), 20000);
  assert.ok(seen.confined.seccomp && seen.confined.landlock && seen.confined.nnp, JSON.stringify(seen));
  if (root) assert.ok(seen.confined.uid);
  await settled(id, ['ok']);
  await L.until('its end', () => !w.box.children().copier);
});

test('damage in the original is named, and the good one in the copy stays', { timeout: 60e3 }, async () => {
  const packs = fs.readdirSync(path.join(w.box.data, 'vault/packs'), { recursive: true }).map(String).filter((f) => f.endsWith('.skp'));
  const one = path.join(w.box.data, 'vault/packs', packs[0]), was = fs.readFileSync(one), his = path.join(folder, 'sakimori-copy/vault/packs', packs[0]);
  const whole = 80 + was.readUInt32LE(56) * 40 + Number(was.readBigUInt64LE(64)); // what follows is its parity, written later
  fs.writeFileSync(one, was.subarray(0, whole >> 1));
  await w.c.post(`copies/${id}/run`, {});
  const c = await settled(id, ['ok']);
  assert.equal(c.damaged, 1);
  assert.ok(c.runs[0].facts.files[0].file.endsWith(packs[0]) && c.runs[0].facts.files[0].copy_is_good);
  assert.deepEqual(fs.readFileSync(his).subarray(0, whole), was.subarray(0, whole));
  const alarm = (await w.c.get('alarms?open=1')).items.find((a) => a.kind === 'damage');
  assert.ok(alarm);
  fs.writeFileSync(one, was);
  await w.c.must('POST', `alarms/${alarm.id}`, { action: 'close', note: 'ディスクを直した' });
  say(`${packs[0].slice(0, 10)}…: named, the copy's stayed`);
});

const noDisks = !root ? 'needs root' : false;

test('a disk is filled when it is plugged in, read back, unmounted, and counts when it is gone', { timeout: 120e3, skip: noDisks }, async () => {
  const plug = (n) => fs.symlinkSync(loops[n], path.join(disks, `disk-${n}`));
  for (let n = 0; n < 2; n++) {
    const image = path.join(w.place, `disk${n}.img`);
    fs.writeFileSync(image, '');
    fs.truncateSync(image, 96 << 20);
    sh('mkfs.ext4', '-q', '-F', '-m', '0', image);
    loops.push(sh('losetup', '-f', '--show', image));
    plug(n);
    const made = await cli(['copy', 'prepare', loops[n], '--name', n ? '青いディスク' : '赤いディスク', '--elsewhere', 'yes', '--json']);
    assert.equal(made.code, 0, made.out + made.err);
    w[`disk${n}`] = JSON.parse(made.out).id;
  }
  for (let n = 0; n < 2; n++) {
    const c = await settled(w[`disk${n}`], ['detach'], 80000);
    assert.equal(c.sound, true);
    assert.equal(c.attached, true);
  }
  assert.ok(!fs.readFileSync('/proc/self/mountinfo', 'utf8').includes('sakimori-copy') && !fs.existsSync(path.join(w.box.data, 'run/disks/disk-0/sakimori-copy')));
  assert.match(await lamps(), /^\+\+\?\?.$/);
  fs.unlinkSync(path.join(disks, 'disk-0'));
  const gone = await settled(w.disk0, ['ok'], 20000);
  assert.ok(gone.detached_at);
  assert.match(await lamps(), /^\+\+\+\+.$/);
  w.plug = plug;
  say(`two disks filled and verified; lamps ${await lamps()} with one of them away`);
});

test('with the vault verified and a disk away all five lamps are on', { timeout: 60e3, skip: noDisks }, async () => {
  await w.c.post('verify', { kind: 'data' });
  await L.until('the verify', async () => (await w.c.get('verify')).last);
  assert.equal(await L.until('five lamps', async () => (await lamps()) === '+++++' && 'all on'), 'all on');
  fs.unlinkSync(path.join(disks, 'disk-1'));
  await settled(w.disk1, ['ok'], 20000);
  w.plug(1);
  await L.until('it in the list', async () => (await get(`/${w.disk1}`)).attached);
});

test('a disk pulled in the middle loses nothing and goes on', { timeout: 120e3, skip: noDisks }, async () => {
  await settled(w.disk1, ['detach'], 80000);
  fs.unlinkSync(path.join(disks, 'disk-1'));
  await L.until('it to be out', async () => !(await get(`/${w.disk1}`)).attached);
  for (let i = 0; i < 6; i++) fs.writeFileSync(path.join(w.root, `pulled-${i}.bin`), Buffer.concat(Array.from({ length: 60 }, () => Buffer.from(crypto.getRandomValues(new Uint8Array(65536))))));
  await L.sleep(2100);
  const r = await L.backup(w.c, w.source.id);
  w.second = { manifest: r.manifest, tree: L.treeOf(w.root) };
  w.plug(1);
  await L.until('the copier', () => w.box.children().copier, 20000);
  process.kill(w.box.children().copier, 'SIGKILL');
  fs.unlinkSync(path.join(disks, 'disk-1'));
  await L.until('it to be out', async () => !(await get(`/${w.disk1}`)).attached, 20000);
  // What is on it now is a whole copy, old or new.
  const at = fs.mkdtempSync(path.join(w.place, 'mnt-'));
  sh('mount', loops[1], at);
  try {
    await recoverFrom(path.join(at, 'sakimori-copy/vault'), w.first.manifest, w.first.tree);
  } finally {
    sh('umount', at);
  }
  w.plug(1);
  await L.until('it to be filled', async () => {
    const c = await get(`/${w.disk1}`);
    return c.state === 'detach' && c.generations === 3;
  }, 60000);
  fs.unlinkSync(path.join(disks, 'disk-1'));
  await settled(w.disk1, ['ok'], 20000);
});

test('a strange disk under a known name is not filled', { timeout: 60e3, skip: noDisks }, async () => {
  const image = path.join(w.place, 'strange.img');
  fs.writeFileSync(image, '');
  fs.truncateSync(image, 32 << 20);
  sh('mkfs.ext4', '-q', '-F', '-m', '0', image);
  const loop = sh('losetup', '-f', '--show', image), at = fs.mkdtempSync(path.join(w.place, 'mnt-'));
  loops.push(loop);
  sh('mount', loop, at);
  fs.mkdirSync(path.join(at, 'sakimori-copy/vault'), { recursive: true });
  fs.copyFileSync(path.join(folder, 'sakimori-copy/label'), path.join(at, 'sakimori-copy/label')); // of another copy
  sh('chmod', '-R', '0777', at);
  sh('umount', at);
  fs.symlinkSync(loop, path.join(disks, 'disk-0'));
  const c = await settled(w.disk0, ['failed'], 20000);
  assert.match(c.text, /用意された場所ではありません/);
  fs.unlinkSync(path.join(disks, 'disk-0'));
  await L.until('it to be out', async () => !(await get(`/${w.disk0}`)).attached);
});

test('a box that was rolled back does not touch the copy and calls', { timeout: 120e3 }, async () => {
  const state = path.join(w.place, 'yesterday');
  await w.c.post(`copies/${id}/run`, {});
  await settled(id, ['ok']);
  const vault = path.join(w.box.data, 'vault');
  // The vault's image of now, then a day goes on, then the image comes back.
  const options = w.box.options;
  await w.agent.stop();
  await w.box.stop();
  fs.cpSync(vault, state, { recursive: true, preserveTimestamps: true });
  w.box = await L.Box.start(options);
  w.agent.start();
  const c = await L.signIn(w.box, { one_time: w.person.codes[1] });
  w.c = c;
  fs.writeFileSync(path.join(w.root, 'later.txt'), 'later\n'.repeat(1000));
  await L.sleep(2100);
  await L.until('the machine', async () => (await c.get('devices')).items.some((d) => d.state === 'ok'));
  const r = await L.backup(c, w.source.id);
  w.last = { manifest: r.manifest, tree: L.treeOf(w.root) };
  await c.post(`copies/${id}/run`, {});
  await settled(id, ['ok']);
  await w.agent.stop();
  await w.box.stop();
  fs.rmSync(vault, { recursive: true });
  fs.cpSync(state, vault, { recursive: true, preserveTimestamps: true });
  if (root) execFileSync('chown', ['-R', '--reference', path.join(w.box.data, 'state'), vault]);
  w.box = await L.Box.start(options);
  w.c = await L.signIn(w.box, { one_time: w.person.codes[2] });
  await w.c.post(`copies/${id}/run`, {});
  const f = await settled(id, ['forked']);
  assert.match(f.text, /前の状態に戻された/);
  const alarm = (await w.c.get('alarms?open=1')).items.find((a) => a.kind === 'copy_forked');
  assert.equal(alarm.state, 'call');
  say(`alarm: ${alarm.title}`);
});

test('the box is gone: each copy alone, the program and the sheet bring everything back', { timeout: 120e3 }, async () => {
  await w.stop();
  fs.rmSync(w.box.data, { recursive: true });
  fs.rmSync(w.agent.data, { recursive: true });
  await recoverFrom(path.join(folder, 'sakimori-copy/vault'), w.last.manifest, w.last.tree);
  await recoverFrom(path.join(folder, 'sakimori-copy/vault'), w.first.manifest, w.first.tree);
  let n = 2;
  if (!noDisks) {
    const at = fs.mkdtempSync(path.join(w.place, 'mnt-'));
    sh('mount', '-o', 'ro', loops[1], at);
    try {
      await recoverFrom(path.join(at, 'sakimori-copy/vault'), w.second.manifest, w.second.tree);
      n++;
    } finally {
      sh('umount', at);
    }
  }
  assert.match(fs.readFileSync(path.join(folder, 'sakimori-copy/README.txt'), 'utf8'), /sakimori recover/);
  say(`${n} trees restored from copies alone, equal`);
});
