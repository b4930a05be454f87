// A hostile client: valid certificate, valid keys, and a protocol spoken by hand.  After every attack: refused, on record,
// and what was there before is there still, restored and compared.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';
import { Foe, hash, zeros } from './foe.mjs';

let w, foe, other;
const trees = new Map(); // manifest -> tree it must restore to
const rows = [];
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});

const journal = () => L.readJournal(path.join(w.box.data, 'vault'));
const records = () => journal().filter((r) => r.type === 11).length;
const vaultFiles = () => {
  const out = {};
  for (const kind of ['packs', 'manifests']) {
    for (const n of fs.readdirSync(path.join(w.box.data, 'vault', kind), { recursive: true })) {
      const p = path.join(w.box.data, 'vault', kind, n);
      if (fs.statSync(p).isFile()) out[`${kind}/${n}`] = hash(p.endsWith('.skp') ? L.packOf(fs.readFileSync(p)) : fs.readFileSync(p)).toString('hex');
    }
  }
  return out;
};
const no = (r) => (r.status >= 400 && r.status < 500) || r.status === 0;

/** Run one attack; want is how every one of its answers is judged. */
async function attack(name, fn, want = no, logged = false) {
  const files = vaultFiles(), before = (await w.generations()).map((g) => g.id), log = records();
  const answers = await fn();
  assert.ok(answers.length, name);
  const bad = answers.filter((r) => !want(r));
  const statuses = [...new Set(answers.map((r) => r.status || 'cut'))].join(' ');
  const now = vaultFiles();
  const changed = Object.entries(files).filter(([n, h]) => now[n] !== h).map(([n]) => n);
  const ids = (await w.generations()).map((g) => g.id);
  rows.push({ name, tries: answers.length, refused: answers.length - bad.length, statuses, recorded: records() - log, kept: before.filter((id) => ids.includes(id)).length });
  assert.deepEqual(bad.map((r) => [r.status, r.text.slice(0, 200)]), [], `${name}: not refused`);
  assert.deepEqual(changed, [], `${name}: files of the vault changed`);
  assert.deepEqual(before.filter((id) => !ids.includes(id)), [], `${name}: a generation is gone`);
  if (logged) assert.ok(records() > log, `${name}: not on record in the journal`);
}

async function session() {
  const { run } = await w.c.post(`sources/${w.source.id}/run`);
  const r = await foe.open(w.source.id, run);
  assert.equal(r.status, 200, r.text);
  foe.runId = run;
  return run;
}
const endRun = () => w.c.post(`runs/${foe.runId}/cancel`).catch(() => {});

async function allEqual(what) {
  await w.unlock();
  let equal = 0;
  for (const [id, tree] of trees) {
    assert.deepEqual(await w.fetch(id), tree, `${what}: ${id}`);
    equal++;
  }
  say(`${what}: ${equal} of ${trees.size} earlier generations restored and equal`);
}

test('six honest days', async () => {
  w = await L.World.start({ name: 'hostile' });
  for (let d = 0; d < 6; d++) {
    fs.writeFileSync(path.join(w.root, `day-${d}.txt`), `karte of day ${d}\n`.repeat(100));
    fs.appendFileSync(path.join(w.root, 'p0/karte-0.txt'), `day ${d}\n`);
    const run = await w.nextDay();
    assert.equal(run.state, 'complete', JSON.stringify(run));
    trees.set(run.manifest, L.treeOf(w.root));
  }
  assert.equal((await w.generations()).length, 6);
  // The marks are made a moment after the last of them.
  await L.until('the slots', async () => (await w.generations()).every((g) => g.slots.includes('daily')), 60000);
  // A second machine, whose data the first must not reach.
  other = await L.Agent.join(w.box, w.c, 'uketsuke');
  const root = path.join(w.place, 'other');
  fs.mkdirSync(root);
  L.fillSmall(root, 5);
  const source = await w.addSource(other.device.id, root, { name: '受付', group: 'front' });
  const run = await L.backup(w.c, source.id);
  assert.equal(run.state, 'complete');
  Object.assign(other, { source, manifest: run.manifest, foe: new Foe(other.data) });
  await other.stop();
  // From here on the first machine is the attacker's.
  await w.agent.stop();
  foe = new Foe(w.agent.data);
});

test('every attack is refused, recorded, and changes nothing', { timeout: 300e3 }, async () => {
  const packs = Object.keys(vaultFiles()).filter((n) => n.startsWith('packs/')).map((n) => path.basename(n, '.skp'));
  const file = (id) => fs.readFileSync(path.join(w.box.data, 'vault/packs', id.slice(0, 2), `${id}.skp`));
  const manifests = [...trees.keys()];
  await session();

  await attack('overwrite a pack with other bytes of the same name', async () => {
    const out = [];
    for (const id of packs.slice(0, 6)) {
      const b = file(id);
      b[b.length - 1] ^= 1;
      out.push(await foe.put(id, b));
    }
    return out;
    // "It is here already" is the answer for a name that stands: the bytes are not even read.
  }, (r) => no(r) || r.json?.duplicate === true);
  await attack('DELETE, PUT, PATCH and POST on everything', async () => {
    const out = [];
    const paths = [...packs.slice(0, 2).map((p) => `/agent/v1/sessions/${foe.s.session}/packs/${p}`), `/agent/v1/sessions/${foe.s.session}`, `/agent/v1/sessions/${foe.s.session}/manifest`,
      ...manifests.slice(0, 2).flatMap((m) => [`/agent/v1/generations/${m}`, `/agent/v1/manifests/${m}`, `/api/v1/generations/${m}`]), '/agent/v1/sessions', '/agent/v1/vault', '/agent/v1/policy',
      '/agent/v1/journal', '/agent/v1/forget', '/agent/v1/compact', '/agent/v1/runs/' + foe.runId, `/api/v1/sources/${w.source.id}`, `/api/v1/devices/${w.agent.device.id}`];
    for (const p of paths) for (const m of ['DELETE', 'PATCH', 'PUT', 'MOVE', 'TRUNCATE']) if (!(m === 'PUT' && /packs/.test(p))) out.push(await foe.call(m, p, Buffer.from('{}')));
    return out;
  });
  await attack('truncate', async () => {
    const out = [];
    const { id, bytes } = foe.pack(1, [foe.chunk(), foe.chunk()]);
    for (const n of [0, 1, 79, 80, 119, bytes.length - 1]) out.push(await foe.call('PUT', `/agent/v1/sessions/${foe.s.session}/packs/${id}`, bytes.subarray(0, n), { 'X-Sakimori-Length': String(n) }));
    out.push(await foe.put(packs[0], Buffer.alloc(0), { 'X-Sakimori-Length': '0' }));
    out.push(await foe.put(packs[0], file(packs[0]).subarray(0, 100), { 'X-Sakimori-Length': '100' }));
    return out;
  }, (r) => no(r) || r.json?.duplicate === true);
  await attack('re-order bytes and objects of a pack', async () => {
    const p = foe.pack(1, [foe.chunk(), foe.chunk(3000)]);
    const swapped = Buffer.from(p.bytes);
    const at = p.bytes.length - 3;
    [swapped[at], swapped[at - 1000]] = [swapped[at - 1000] ^ 1, swapped[at]];
    const turned = Buffer.concat([p.bytes.subarray(0, 80), p.bytes.subarray(120, 160), p.bytes.subarray(80, 120), p.bytes.subarray(160)]);
    return [await foe.put(p.id, swapped), await foe.put(p.id, turned), await foe.put(p.id, p.bytes.subarray(100), { 'X-Sakimori-Offset': '100' })];
  });
  await attack('false names: pack id and object id', async () => {
    const a = foe.chunk(), p = foe.pack(1, [a]);
    const lie = { ...a, cid: hash('another') };
    const q = foe.pack(1, [lie]);
    return [await foe.put(hash('x').toString('hex'), p.bytes), await foe.put(q.id, q.bytes), await foe.put('../../journal/00000001.skj', p.bytes), await foe.put('0'.repeat(63), p.bytes)];
  });
  await attack('objects of another client, vault or session', async () => {
    const out = [];
    for (const p of [foe.pack(1, [foe.chunk(100, other.foe.client)]), foe.pack(1, [foe.chunk()], { client: other.foe.client }), foe.pack(1, [foe.chunk()], { vault: crypto.randomBytes(16) }),
      foe.pack(1, [foe.chunk()], { session: 'ab'.repeat(16) }), foe.pack(2, [foe.chunk()])]) out.push(await foe.put(p.id, p.bytes));
    return out;
  });
  await attack('somebody else\'s session, run and source', async () => {
    const { run } = await w.c.post(`sources/${other.source.id}/run`);
    const s = await other.foe.open(other.source.id, run);
    assert.equal(s.status, 200, s.text);
    const theirs = s.json.session, p = foe.pack(1, [foe.chunk()], { session: theirs });
    const out = [await foe.put(p.id, p.bytes, {}, theirs), await foe.call('GET', `/agent/v1/sessions/${theirs}/packs/${p.id}`), await foe.call('POST', `/agent/v1/sessions/${theirs}/have`, zeros),
      await foe.send(Buffer.alloc(300), theirs), await foe.call('POST', '/agent/v1/sessions', { source: other.source.id, run, reason: 'adhoc' }),
      await foe.call('POST', '/agent/v1/sessions', { source: other.source.id, run: foe.runId, reason: 'adhoc' }), await foe.call('POST', '/agent/v1/sessions', { source: w.source.id, run: 'cd'.repeat(16), reason: 'adhoc' }),
      await foe.call('POST', `/agent/v1/runs/${run}/end`, { status: 'complete', counters: {}, problems: [], problems_total: 0 }), await foe.call('POST', `/agent/v1/runs/${run}/progress`, { phase: 'scan' })];
    await w.c.post(`runs/${run}/cancel`);
    return out;
  });
  const old = fs.readFileSync(path.join(w.box.data, 'vault/manifests', `${manifests[0]}.skm`));
  await attack('replay an old manifest', async () => {
    const out = [];
    for (const m of manifests.slice(0, 5)) out.push(await foe.send(fs.readFileSync(path.join(w.box.data, 'vault/manifests', `${m}.skm`))));
    return out;
  }, no, true);
  const envelope = foe.envelope(), chunk = foe.chunk(), page = foe.page([chunk.cid, envelope.cid]);
  for (const p of [foe.pack(1, [chunk]), foe.pack(2, [envelope, page])]) assert.equal((await foe.put(p.id, p.bytes)).status, 200);
  const forge = (m) => foe.send(foe.manifest({ envelope: envelope.cid, roots: [page.cid], ...m }));
  await attack('manifest with a forged or missing signature', async () => {
    const stranger = crypto.generateKeyPairSync('ed25519').privateKey;
    const good = foe.manifest({ envelope: envelope.cid, roots: [page.cid] });
    const flipped = Buffer.from(good);
    flipped[200] ^= 1;
    return [await forge({ key: stranger }), await foe.send(flipped), await foe.send(good.subarray(0, good.length - 64)), await foe.send(Buffer.concat([good, Buffer.alloc(1)])), await foe.send(Buffer.alloc(0)), await foe.send(crypto.randomBytes(4000))];
  }, no, true);
  await attack('manifest of another client, vault, source or run', async () => [await forge({ client: other.foe.client }), await forge({ vault: crypto.randomBytes(16) }), await forge({ source: Buffer.from(other.source.id, 'hex') }),
    await forge({ run: crypto.randomBytes(16) }), await forge({ kind: 1 })], no, true);
  await attack('fork: an old number or an old ancestor', async () => [await forge({ number: 1, previous: zeros }), await forge({ number: 6, previous: Buffer.from(manifests[4], 'hex') }), await forge({ previous: Buffer.from(manifests[2], 'hex') }),
    await forge({ previous: zeros })], no, true);
  await attack('back-dated manifests', async () => {
    const out = [];
    for (const d of [40, 33, 26, 19, 12, 5]) out.push(await forge({ number: 1, previous: zeros, started: Math.floor(w.now() / 1000) - d * 86400, finished: Math.floor(w.now() / 1000) - d * 86400 }));
    return out;
  }, no, true);
  await attack('forward-dated manifests', async () => [await forge({ number: 1000, started: 4e9, finished: 4e9 }), await forge({ number: 8, started: 4e9, finished: 4e9 }), await forge({ number: 2n ** 63n })], no, true);
  await attack('a head the box never had', async () => [await forge({ seq: 10n ** 9n }), await forge({ headHash: hash('fork') })], no, true);
  await attack('a generation that lacks parts, or names foreign ones', async () => {
    const gone = foe.page([hash('not there'), envelope.cid]);
    const p = foe.pack(2, [gone]);
    assert.equal((await foe.put(p.id, p.bytes)).status, 200);
    const theirs = Buffer.from(fs.readFileSync(path.join(w.box.data, 'vault/manifests', `${other.manifest}.skm`)));
    const root = theirs.subarray(205, 237);
    return [await forge({ roots: [gone.cid] }), await forge({ roots: [hash('nowhere')] }), await forge({ envelope: hash('none') }), await forge({ roots: [chunk.cid] }), await forge({ roots: [root] })];
  });
  await attack('read own old data without an order', async () => {
    const cids = [];
    for (const id of packs) {
      const b = file(id);
      for (let i = 0; i < b.readUInt32LE(56); i++) cids.push(b.subarray(80 + 40 * i, 112 + 40 * i));
    }
    const out = [];
    for (const id of [foe.runId, foe.s.session, 'ef'.repeat(16)]) {
      out.push(await foe.call('POST', `/agent/v1/restores/${id}/objects`, Buffer.concat(cids.slice(0, 50))));
      out.push(await foe.call('POST', `/agent/v1/restores/${id}/key`, { eph_pub: '00'.repeat(32), sig: '00'.repeat(64) }));
      out.push(await foe.call('POST', `/agent/v1/restores/${id}/end`, { status: 'complete' }));
    }
    for (const m of manifests.slice(0, 2)) for (const p of [`/agent/v1/generations/${m}`, `/agent/v1/manifests/${m}`, `/agent/v1/objects/${cids[0].toString('hex')}`]) out.push(await foe.call('GET', p));
    const pack = await foe.call('GET', `/agent/v1/sessions/${foe.s.session}/packs/${packs[0]}`);
    assert.ok(pack.text.length < 200, 'the state of a pack is no content');
    return out;
  });
  await attack('read another\'s data', async () => {
    const r = await w.unlock().then(() => w.c.post('restores', { manifest: other.manifest, device: other.device.id, paths_b64: [], target: { mode: 'original' }, existing: 'aside', why: '試験' }));
    const out = [];
    for (const p of ['key', 'objects', 'progress', 'end']) out.push(await foe.call('POST', `/agent/v1/restores/${r.id}/${p}`, p === 'objects' ? zeros : { eph_pub: '00'.repeat(32), sig: '00'.repeat(64), status: 'complete', phase: 'write' }));
    // The machine it is for, with a wrong signature:
    out.push(await other.foe.call('POST', `/agent/v1/restores/${r.id}/key`, { eph_pub: '11'.repeat(32), sig: '00'.repeat(64) }));
    await w.c.post(`restores/${r.id}/cancel`);
    await w.c.call('DELETE', 'unlock');
    const have = await foe.call('POST', `/agent/v1/sessions/${foe.s.session}/have`, hash('x'));
    assert.equal(have.status, 200);
    return out;
  });
  await attack('the console\'s paths at the agent port', async () => {
    const out = [];
    for (const p of ['people', 'settings', 'generations', 'unlock', 'sources', 'session', 'setup', 'audit', 'access', 'restores', 'today', 'box']) for (const m of ['GET', 'POST', 'DELETE']) out.push(await foe.call(m, `/api/v1/${p}`, m === 'GET' ? undefined : {}));
    out.push(await foe.call('GET', '/'), await foe.call('GET', '/agent/v1/%2e%2e/%2e%2e/etc/passwd'), await foe.call('GET', '/agent/v1/../../api/v1/people'));
    return out;
  });
  await attack('flood of begun packs and nonsense', async () => {
    const out = [];
    for (let i = 0; i < 25; i++) {
      out.push(...await Promise.all(Array.from({ length: 12 }, (_, k) => (k % 3 ? foe.put(crypto.randomBytes(32).toString('hex'), Buffer.alloc(80), { 'X-Sakimori-Length': String(32 << 20) })
        : foe.call('POST', `/agent/v1/sessions/${foe.s.session}/manifest`, crypto.randomBytes(k * 10000 + 64))))));
    }
    return out;
  }, (r) => no(r) || r.status === 503); // its own half-sent packs give way to its next ones: "try again"
  const parts = fs.readdirSync(path.join(w.box.data, 'vault/tmp')).filter((n) => n.endsWith('.part'));
  assert.ok(parts.length <= 64, `${parts.length} half-sent packs are held`);
  await attack('bodies over the limit', async () => [await foe.send(Buffer.alloc(300 << 10)), await foe.put(crypto.randomBytes(32).toString('hex'), Buffer.alloc(100), { 'X-Sakimori-Length': String(64 << 20) }),
    await foe.call('POST', '/agent/v1/poll', { x: 'y'.repeat(160 << 10) }), await foe.call('POST', `/agent/v1/sessions/${foe.s.session}/have`, Buffer.alloc(33 * 10000))]);
  await attack('without a certificate, and with one of another authority', async () => {
    const pair = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const out = [];
    for (const p of ['poll', 'sessions', 'renew', 'ancestry', `sessions/${foe.s.session}/have`]) out.push(await foe.call('POST', `/agent/v1/${p}`, {}, {}, { ca: foe.tls.ca }));
    assert.ok(pair.privateKey);
    return out;
  });
  await endRun();
  const alarm = await L.until('an alarm about the machine', async () => (await w.c.get('alarms')).items.find((a) => a.kind === 'hostile'), 10000);
  assert.equal(alarm.state, 'call');
  const audit = await L.everything(w.c, 'audit');
  assert.ok(audit.filter((l) => /manifest|upload|restore/.test(JSON.stringify(l)) && /4\d\d|denied|refused|not_found|fork|replay|signature/.test(JSON.stringify(l))).length > 10, 'the audit log has the refusals too');
  await w.c.post('verify', { kind: 'data' });
  const v = await L.until('the verification', async () => { const x = await w.c.get('verify'); return x.last && !x.running && x.last; }, 60000);
  assert.equal(v.damaged, 0, JSON.stringify(v));
  w.agent.start();
  await allEqual('after all attacks by hand');
  await w.agent.stop();
});

test('hole 1 rebuilt: back-dated flood, then the administrator\'s retention: 6 of 6', { timeout: 200e3 }, async () => {
  const good = [...trees.keys()];
  const cleanBefore = (await w.generations()).find((g) => g.last_clean).id;
  let accepted = 0;
  for (const r of (await w.c.get('runs')).items.filter((x) => ['waiting', 'running'].includes(x.state)))
    await foe.call('POST', `/agent/v1/runs/${r.id}/end`, { status: 'failed', counters: {}, problems: [], problems_total: 0 });
  for (const d of [40, 33, 26, 19, 12, 5]) {
    // The attacker answers the box's own scheduled run with an empty generation of an old date; and then tries more of them.
    const s = (await w.c.get('sources')).items.find((x) => x.id === w.source.id);
    await w.moveTo(Date.parse(s.next) + 20e3);
    const seen = await foe.orders(0); // each order is offered once, so what this poll brings counts too
    const order = await L.until('the scheduled order', async () => {
      seen.push(...await foe.orders(2));
      return [...seen].reverse().find((o) => o.kind === 'backup' && o.args.reason !== 'adhoc' && o.args.run !== foe.lastRun);
    }, 90000);
    foe.lastRun = order.args.run;
    assert.equal((await foe.open(w.source.id, order.args.run)).status, 200);
    const at = Math.floor(w.now() / 1000) - d * 86400;
    const lie = { started: at, finished: at, kind: order.args.reason === 'schedule' ? 1 : 3, facts: { facts: 1, files: 100, bytes: 100000 } };
    const first = await foe.generation(lie);
    assert.equal(first.status, 200, first.text);
    accepted++;
    for (let i = 0; i < 3; i++) {
      const again = await foe.open(w.source.id, order.args.run);
      const r = again.status === 200 ? await foe.generation(lie) : again;
      if (r.status === 200) accepted++;
    }
    await foe.call('POST', `/agent/v1/runs/${order.args.run}/end`, { status: 'complete', counters: {}, problems: [], problems_total: 0 });
  }
  /* Whoever has the administrator's session cannot make the box forget: a shorter policy needs the recovery sheet. */
  const shorter = await w.c.call('PATCH', '/api/v1/settings', { retention: { hourly: 0, daily: 40, weekly: 20, monthly: 0, min_days: 1 } });
  assert.equal(shorter.status, 409);
  assert.equal(shorter.json.error.code, 'needs_order');
  await w.c.must('POST', 'retention/clean', {}, 202);
  let all, kept;
  await L.until('the marks', async () => {
    all = await w.generations();
    kept = all.filter((g) => good.includes(g.id) && (g.slots.length || g.pinned));
    return all.every((g) => g.slots.length || g.pinned || g.suspicious) && kept.length === 6;
  }, 60000).catch(() => {});
  rows.push({ name: 'holes.sh 1: back-dated flood, then retention', tries: accepted, refused: '-', statuses: 200, recorded: '-', kept: kept.length });
  assert.equal(kept.length, 6, JSON.stringify(all.map((g) => [g.number, g.at, g.slots, g.pinned, g.suspicion.score])));
  assert.equal(all.find((g) => g.last_clean).id, cleanBefore, 'the flood is not what the console offers');
  assert.equal((await w.c.get('today')).state, 'call');
  w.agent.start();
  await L.until('the machine', async () => (await w.c.get('devices')).items.find((d) => d.id === w.agent.device.id).state === 'ok', 30000);
  await allEqual('hole 1 (restic kept 1 of 6)');
  await w.agent.stop();
});

test('hole 2 rebuilt: the client deletes, the administrator cleans up: 3 of 3', { timeout: 200e3 }, async () => {
  const three = [...trees.keys()].slice(0, 3);
  await attack('holes.sh 2: delete, then clean-up', async () => {
    const out = [];
    for (const m of three) for (const verb of ['DELETE', 'POST', 'PUT', 'PATCH']) for (const p of [`/agent/v1/generations/${m}`, `/agent/v1/manifests/${m}`, `/agent/v1/generations/${m}/delete`]) out.push(await foe.call(verb, p, {}));
    return out;
  });
  const shorter = await w.c.call('PATCH', '/api/v1/settings', { retention: { hourly: 1, daily: 1, weekly: 1, monthly: 1, min_days: 1 } });
  assert.equal(shorter.status, 409);
  await w.c.must('POST', 'retention/clean', {}, 202);
  await w.c.post('verify', { kind: 'data' });
  await L.until('the verification', async () => { const x = await w.c.get('verify'); return !x.running && x.last; }, 60000);
  w.agent.start();
  for (const id of [...trees.keys()]) if (!three.includes(id)) trees.delete(id);
  await L.until('the machine', async () => (await w.c.get('devices')).items.find((d) => d.id === w.agent.device.id).state === 'ok', 30000);
  await allEqual('hole 2 (borg kept 0 of 3)');
  assert.deepEqual(await w.box.stop(), { code: 0, signal: null });
  const wide = Math.max(...rows.map((r) => r.name.length));
  say(`${'attack'.padEnd(wide)}  tries refused recorded kept  answers`);
  for (const r of rows) say(`${r.name.padEnd(wide)}  ${String(r.tries).padStart(5)} ${String(r.refused).padStart(7)} ${String(r.recorded).padStart(8)} ${String(r.kept).padStart(4)}  ${r.statuses}`);
  say(`${rows.length} kinds of attack, ${rows.reduce((n, r) => n + Number(r.tries), 0)} tries`);
});
