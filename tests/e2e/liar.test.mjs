// A lying front between a real agent and a real box: the same lies as tests/agent/hostilebox.c tells, over the wire.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';
import { Liar } from './liar.mjs';

let w, liar, told = 0;
const say = (text) => console.log(`# ${text}`);
after(async () => {
  liar?.close();
  await w?.stop().catch(() => {});
  L.clearUp();
});
const copy = (x) => JSON.parse(JSON.stringify(x));
const flip = (hex, at = 10) => hex.slice(0, at) + (hex[at] === '0' ? '1' : '0') + hex.slice(at + 1);
const status = async () => (await L.run(L.programs.agent, ['status', '--data', w.agent.data], { any: true })).out;
async function lie(name, tells, fn) {
  const lies = tells.map(([method, pattern, fn, swallows]) => (swallows ? liar.swallow(method, pattern, fn) : liar.tell(method, pattern, fn)));
  try { await fn(); } finally { liar.honest(); }
  for (const l of lies) assert.ok(l.told > 0, `${name}: ${l.method} ${l.pattern} was never told`);
  told += lies.length;
  say(`noticed: ${name}`);
}

test('an agent works through a front that only hands on', { timeout: 180e3 }, async () => {
  w = await L.World.start({ name: 'liar' });
  await w.agent.stop();
  liar = await Liar.between(w.box, w.agent.data);
  const moved = await L.run(L.programs.agent, ['move', liar.url, '--data', w.agent.data], { any: true });
  assert.equal(moved.code, 0, moved.out + moved.err);
  w.agent.start();
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete', JSON.stringify(r) + w.agent.log.join(''));
  assert.equal(r.problems_total, 0);
  assert.ok(liar.seen.some((s) => /sessions$/.test(s.path) && s.status === 200), 'all of it went through the front');
  w.first = { manifest: r.manifest, tree: L.treeOf(w.root) };
});

test('an order with a forged signature, and one told again, start nothing', { timeout: 120e3 }, async () => {
  const before = (await w.generations()).length;
  let kept;
  await lie('an order whose signature is forged', [['POST', /\/poll$/, ({ json }) => {
    if (!json?.orders?.length) return undefined;
    const j = copy(json);
    kept ??= copy(json.orders);
    for (const o of j.orders) o.sig = flip(o.sig);
    return j;
  }]], async () => {
    const { run } = await w.c.post(`sources/${w.source.id}/run`);
    await L.until('the refusal', () => /refused/.test(w.agent.log.join('')), 60000).catch((e) => { throw new Error(e.message + w.agent.log.join('')); });
    await L.sleep(1500);
    assert.equal((await w.generations()).length, before);
    await w.c.call('POST', `runs/${run}/cancel`);
  });
  await lie('an order that was carried out is told again', [['POST', /\/poll$/, ({ json }) => {
    if (!json || !w.again) return undefined;
    return { ...copy(json), orders: w.again };
  }]], async () => {
    w.again = undefined;
    liar.lies.unshift({ method: 'POST', pattern: /\/poll$/, told: 0, fn: ({ json }) => { if (json?.orders?.length && !w.good) w.good = copy(json.orders); return undefined; } });
    const r = await L.backup(w.c, w.source.id);
    assert.equal(r.state, 'complete');
    assert.ok(w.good, 'an order was seen');
    const n = (await w.generations()).length;
    w.again = w.good;
    await w.c.must('PATCH', `sources/${w.source.id}`, { enabled: true }); // a held poll is answered
    await L.sleep(4000);
    w.again = undefined;
    assert.equal((await w.generations()).length, n, 'nothing was done twice');
  });
});

test('a head that went back, and one that nobody signed, are named', { timeout: 200e3 }, async () => {
  const old = liar.seen.find((s) => /\/sessions$/.test(s.path) && s.status === 200).json.head;
  fs.writeFileSync(path.join(w.root, 'more.txt'), 'more');
  await lie('an older head at the start of a run', [['POST', /\/sessions$/, ({ json }) => (json?.head ? { ...json, head: old } : undefined)]], async () => {
    const r = await L.backup(w.c, w.source.id);
    assert.ok((r.problems ?? []).some((p) => p.what === 'head'), JSON.stringify(r));
    assert.match(r.problems.find((p) => p.what === 'head').text, /業者に電話/);
    assert.match(await status(), /CALL NOW|すぐ電話/);
  });
  const r = await L.backup(w.c, w.source.id); // honest again
  assert.ok(['complete', 'partial'].includes(r.state), JSON.stringify(r));
  await lie('a head with a changed digit', [['POST', /\/sessions$/, ({ json }) => (json?.head ? { ...json, head: flip(json.head, 60) } : undefined)]], async () => {
    const { run } = await w.c.post(`sources/${w.source.id}/run`);
    const x = await L.until('the end of that run', async () => { const one = await w.c.get(`runs/${run}`); return !['waiting', 'running'].includes(one.state) && one; }, 90000);
    assert.ok(x.state === 'failed' || x.problems.some((p) => p.what === 'head'), JSON.stringify(x));
  });
});

test('a pack that is acknowledged and thrown away is found out when the manifest is laid down, and sent again', { timeout: 200e3 }, async () => {
  fs.writeFileSync(path.join(w.root, 'never-seen.bin'), Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 7919 + (i >> 3)) & 255)));
  let n = 0;
  await lie('a pack that was acknowledged and is not there', [['PUT', /\/packs\/[0-9a-f]{64}$/, ({ path: p }) => {
    const head = liar.seen.filter((x) => x.json?.head).at(-1).json.head;
    return n++ ? undefined : { pack: p.slice(-64), duplicate: false, head };
  }, true]], async () => {
    const r = await L.backup(w.c, w.source.id);
    assert.ok(['complete', 'partial'].includes(r.state), JSON.stringify(r) + w.agent.log.join('').slice(-1500));
    assert.ok(liar.seen.some((x) => /\/manifest$/.test(x.path) && x.status === 409 && x.json?.error?.code === 'missing'), 'the box said what it lacks');
    await w.unlock();
    assert.deepEqual(await w.fetch(r.manifest), L.treeOf(w.root));
  });
});

test('recipients that the sheet did not sign are not used', { timeout: 120e3 }, async () => {
  const forged = { order: JSON.stringify({ version: 1, kind: 'recipients' }), sig: '00'.repeat(64) };
  await lie('a change of recipients by the front', [['POST', /\/recipients$/, ({ status: s, json }) => (s === 200 ? { ...json, changes: [...(json.changes ?? []), forged] } : undefined)]], async () => {
    const r = await L.backup(w.c, w.source.id);
    assert.ok((r.problems ?? []).some((p) => p.what === 'recipients'), JSON.stringify(r));
    assert.ok(r.manifest, 'the backup goes on for the right ones');
    await w.unlock();
    assert.deepEqual(await w.fetch(r.manifest), L.treeOf(w.root), 'and opens with them');
  });
});

test('a restore of another manifest, and of altered objects, is refused or named', { timeout: 200e3 }, async () => {
  const latest = (await w.generations())[0].id;
  await w.unlock();
  const restore = async () => {
    const place = fs.mkdtempSync(path.join(w.place, 'back-'));
    const { id } = await w.c.must('POST', 'restores', { manifest: latest, device: w.agent.device.id, paths_b64: [], target: { mode: 'place', place }, existing: 'aside', why: 'test', suspicious_ok: true });
    return { place, end: await L.until('the restore to end', async () => { const r = await w.c.get(`restores/${id}`); return !['waiting', 'running'].includes(r.state) && r; }, 90000) };
  };
  await lie('a manifest with a changed byte', [['POST', /\/restores\/[^/]+\/key$/, ({ status: s, json }) => {
    if (s !== 200 || !json?.manifest_bytes) return undefined;
    const b = Buffer.from(json.manifest_bytes, 'base64');
    b[b.length - 5] ^= 1;
    return { ...json, manifest_bytes: b.toString('base64') };
  }]], async () => {
    const r = await restore();
    assert.equal(r.end.state, 'failed', JSON.stringify(r.end));
  });
  await lie('objects with changed bytes', [['POST', /\/objects/, ({ status: s, body }) => { if (s !== 200 || body.length < 100) return undefined; const b = Buffer.from(body); for (let i = 60; i < b.length; i += 97) b[i] ^= 1; return b; }]], async () => {
    const r = await restore();
    assert.ok(['failed', 'partial'].includes(r.end.state), JSON.stringify(r.end));
    assert.ok(r.end.problems.length > 0, JSON.stringify(r.end));
    assert.ok(r.end.problems.every((p) => /[ぁ-ん一-龠]/.test(p.text)), JSON.stringify(r.end.problems.slice(0, 3)));
  });
  const good = await restore();
  assert.equal(good.end.state, 'complete', JSON.stringify(good.end));
  say(`${told} lies told over the wire, every one noticed`);
});
