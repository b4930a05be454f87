// kill -9 of every process of box and agent at random moments, a full disk, a power cut: no acknowledged generation is lost,
// no half-written one is listed, and everything goes on by itself.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

const CYCLES = Number(process.env.SAKIMORI_KILLS ?? (L.long ? 1000 : 14));
let w, mount;
const say = (text) => console.log(`# ${text}`);
let fine = 0;
after(async () => {
  if (fine < 3) for (const l of [w?.box?.log, w?.agent?.log]) say(l?.join('').slice(-6000).replaceAll('\n', '\n# '));
  await w?.stop().catch(() => {});
  if (mount) execFileSync('umount', ['-l', mount]);
  L.clearUp();
});

const kept = new Map(); // acknowledged manifest -> tree
const over = (r) => !['waiting', 'running'].includes(r.state);

/** The agent's parts by name. */
function parts(agent) {
  const found = { supervisor: agent.process.pid };
  for (const pid of L.family(agent.process.pid).slice(1)) {
    try {
      const name = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').map((a) => /^--part=(\w+)$/.exec(a)?.[1]).find(Boolean);
      if (name) found[name] = pid;
    } catch { /* it ended meanwhile */ }
  }
  return found;
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

/** Any call while the box heals: tried again until it answers. */
const patient = (fn, ms = 60000) => L.until('an answer', async () => {
  const r = await fn();
  return r === undefined ? true : r;
}, ms);

async function change(n) {
  const dir = path.join(w.root, `c${n % 5}`);
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(path.join(dir, `new-${n % 40}.bin`), crypto.randomBytes(300000 + (n % 200) * 1000));
  fs.appendFileSync(path.join(w.root, 'p0/karte-0.txt'), `cycle ${n}\n`);
}

async function checkAll(what, some = kept.size) {
  const ids = (await patient(() => w.generations())).map((g) => g.id);
  for (const id of kept.keys()) assert.ok(ids.includes(id), `${what}: acknowledged ${id} is not listed`);
  await patient(() => w.unlock());
  const all = [...ids];
  const picked = all.length <= some ? all : [all[0], ...all.slice(1).sort(() => Math.random() - 0.5).slice(0, some - 1)];
  for (const id of picked) {
    const tree = await w.fetch(id);
    if (kept.has(id)) assert.deepEqual(tree, kept.get(id), `${what}: ${id} differs`);
  }
  return `${picked.length} of ${ids.length} listed generations restored (${picked.filter((id) => kept.has(id)).length} compared), ${kept.size} acknowledged, none lost`;
}

test(`${CYCLES} kills at random moments during backups and restores`, { timeout: CYCLES * 60e3 }, async () => {
  w = await L.World.start({ name: 'kill' });
  w.box.process.on('exit', () => {});
  const first = await L.backup(w.c, w.source.id);
  assert.equal(first.state, 'complete');
  kept.set(first.manifest, L.treeOf(w.root));
  const box = ['front', 'brain', 'vault', 'keyd', 'out', 'opener'], agent = ['link', 'backup', 'restore'];
  const victims = [...box, ...agent];
  const counts = {}, ends = {};
  let restarts = 0;
  for (let n = 0; n < CYCLES; n++) {
    const name = victims[n % victims.length];
    const restoring = name === 'opener' || name === 'restore' || (n >= victims.length && n % 3 === 0);
    await change(n);
    const tree = L.treeOf(w.root);
    let job;
    if (restoring) {
      await patient(() => w.unlock());
      const manifest = [...kept.keys()].at(-1), place = path.join(w.place, `r${n}`);
      job = await patient(() => w.c.post('restores', { manifest, device: w.agent.device.id, paths_b64: [], target: { mode: 'place', place }, existing: 'aside', why: '試験', suspicious_ok: true }));
      job = { kind: 'restores', id: job.id, place, manifest };
    } else {
      job = { kind: 'runs', id: (await patient(() => w.c.post(`sources/${w.source.id}/run`))).run };
    }
    // The opener lives only while somebody looks inside.
    const looking = name === 'opener' ? w.c.call('GET', `generations/${job.manifest}/files?path=`).catch(() => {}) : null;
    if (name !== 'restore' && name !== 'opener') await L.sleep(Math.random() * 900);
    let pid;
    for (const end = Date.now() + 20000; !pid && Date.now() < end;) {
      pid = box.includes(name) ? w.box.children()[name] : parts(w.agent)[name];
      if (!pid) await L.sleep(5);
    }
    if (name === 'restore') await L.sleep(Math.random() * 200);
    await (name === 'opener' && L.sleep(Math.random() * 100));
    if (pid && kill(pid)) counts[name] = (counts[name] ?? 0) + 1;
    if (pid && box.includes(name)) {
      // It is there again, and the console says that it was restarted.
      await L.until(`${name} again`, () => { const p = w.box.children()[name]; return (name === 'opener' || (p && p !== pid)); }, 30000);
      const child = await L.until(`${name} in the console`, async () => {
        const c = (await w.c.get('box')).children.find((x) => x.name === name);
        return c && (c.restarts > 0 || name === 'opener') && (c.state === 'up' || name === 'opener') && c;
      }, 40000);
      restarts += child.restarts > 0 ? 1 : 0;
    }
    await looking;
    const end = await L.until(`the end of ${job.kind} ${job.id} after killing ${name}`, async () => {
      const r = await w.c.get(`${job.kind}/${job.id}`);
      return over(r) && r;
    }, 120000);
    const key = `${job.kind === 'runs' ? 'backup' : 'restore'} ${end.state}`;
    ends[key] = (ends[key] ?? 0) + 1;
    if (job.kind === 'runs') {
      if (end.manifest && end.state === 'complete') kept.set(end.manifest, tree);
      else assert.ok(['failed', 'cancelled', 'partial'].includes(end.state), JSON.stringify(end));
    } else if (end.state === 'complete') {
      assert.deepEqual(L.treeOf(path.join(job.place, w.root)), kept.get(job.manifest), 'a restore that says complete is complete');
    }
    if (process.env.SAKIMORI_TELL) say(`${n} ${name}: ${key} ${JSON.stringify(end.problems)}`);
    if (job.place) fs.rmSync(job.place, { recursive: true, force: true });
    if (n % 20 === 19) {
      const was = await checkAll(`cycle ${n}`, 3);
      if (L.long) say(`${n + 1} cycles: ${was}`);
    }
  }
  say(`${CYCLES} kills: ${Object.entries(counts).map(([k, v]) => `${k} ${v}`).join(', ')}; ${Object.entries(ends).map(([k, v]) => `${k} ${v}`).join(', ')}; ${restarts} restarts shown`);
  // On a slow or a very fast machine a part may be gone before its moment comes; most cycles must have killed one.
  const killed = Object.values(counts).reduce((a, b) => a + b, 0);
  assert.ok(killed >= CYCLES * 0.8, `${killed} of ${CYCLES} cycles killed something`);
  // Whatever failed is made good by the next run.
  await change(1000);
  const tree = L.treeOf(w.root);
  const last = await patient(() => L.backup(w.c, w.source.id));
  assert.equal(last.state, 'complete', JSON.stringify(last));
  kept.set(last.manifest, tree);
  say(await checkAll('after all kills', L.long ? 40 : 12));
  fine++;
});

test('the power goes for the whole box and the machine, and everything is there again', { timeout: 200e3 }, async () => {
  const times = L.long ? 10 : 2;
  for (let i = 0; i < times; i++) {
    await change(2000 + i);
    const { run } = await patient(() => w.c.post(`sources/${w.source.id}/run`));
    await L.sleep(200 + Math.random() * 800);
    const all = [...L.family(w.box.process.pid), ...L.family(w.agent.process.pid)];
    for (const pid of all) kill(pid);
    await w.box.ended;
    await w.agent.ended;
    await L.until('all of it to be dead', () => all.every((p) => !fs.existsSync(`/proc/${p}`) || /State:\tZ/.test(fs.readFileSync(`/proc/${p}/status`, 'utf8'))), 5000);
    // What a power cut leaves on disk may lack its end.
    w.box = await L.Box.start(w.box.options);
    w.agent.start();
    w.c = await L.signIn(w.box, w.person, w.now() + 30e3 * (i + 1)).catch(() => L.signIn(w.box, { ...w.person, one_time: w.person.codes[i] }));
    const end = await L.until('the run to end', async () => {
      const r = await w.c.get(`runs/${run}`);
      return over(r) && r;
    }, 90000);
    say(`power cut ${i + 1}: the run ended ${end.state}`);
  }
  const tree = L.treeOf(w.root);
  const run = await L.backup(w.c, w.source.id);
  assert.equal(run.state, 'complete', JSON.stringify(run));
  kept.set(run.manifest, tree);
  say(await checkAll('after the power cuts', L.long ? 40 : 6));
  await w.c.post('verify', { kind: 'data' });
  const v = await L.until('the verification', async () => { const x = await w.c.get('verify'); return x.last && !x.running && x.last; }, 60000);
  assert.equal(v.damaged, 0, JSON.stringify(v));
  L.readJournal(path.join(w.box.data, 'vault'));
  await w.stop();
  fine++;
});

test('a full disk stops cleanly, says so, and goes on when there is room', { timeout: 200e3, skip: process.getuid() !== 0 }, async () => {
  mount = L.tempDir('disk', 0o755);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=112m,mode=0755', 'sakimori-test', mount]);
  kept.clear();
  w = await L.World.start({ name: 'full', box: { data: path.join(mount, 'box'), config: { disk_reserve: '64M' } } });
  const run = await L.backup(w.c, w.source.id);
  assert.equal(run.state, 'complete', JSON.stringify(run));
  kept.set(run.manifest, L.treeOf(w.root));
  for (let i = 0; i < 10; i++) fs.writeFileSync(path.join(w.root, `image-${i}.dcm`), crypto.randomBytes(8 << 20));
  const { run: id } = await w.c.post(`sources/${w.source.id}/run`);
  const full = await L.until('the run to stop', async () => {
    const r = await w.c.get(`runs/${id}`);
    const t = await w.c.get('alarms');
    return (over(r) || t.items.some((a) => a.kind === 'disk')) && { r, alarms: t.items };
  }, 120000);
  say(`full disk: the run ${full.r.state}; alarms: ${full.alarms.map((a) => `${a.kind} 「${a.title}」`).join(', ') || 'none'}; ${(full.r.problems ?? []).map((p) => p.what).join(' / ')}`);
  assert.ok(full.alarms.some((a) => a.kind === 'disk') || (full.r.problems ?? []).some((p) => /full|space|いっぱい|空き/.test(`${p.what}${p.error}`)), 'it says that the disk is full');
  assert.equal((await w.generations()).length, 1, 'nothing half-written is listed');
  const free = fs.statfsSync(mount);
  assert.ok(free.bavail * free.bsize >= 40 << 20, `the reserve was left: ${(free.bavail * free.bsize) >> 20} MiB`);
  say(await checkAll('on the full disk'));
  execFileSync('mount', ['-o', 'remount,size=400m', mount]);
  if (!over(full.r)) await L.until('the run to end', async () => over(await w.c.get(`runs/${id}`)), 120000);
  const tree = L.treeOf(w.root);
  const last = await L.backup(w.c, w.source.id);
  assert.equal(last.state, 'complete', JSON.stringify(last));
  kept.set(last.manifest, tree);
  say(await checkAll('after room was made'));
  await w.stop();
  fine += process.env.SAKIMORI_KEEP ? 0 : 1;
});
