// The network is cut at every message between a machine and its box: in the middle of each TLS record of a backup and of a restore, in
// both directions.  Nothing that was acknowledged is lost, every run comes to its end.  Bounded to a minute; SAKIMORI_LONG: every record.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import * as L from './lib.mjs';

const long = !!process.env.SAKIMORI_LONG;
const LIMIT = long ? 1800e3 : 25e3;
const SLOW_MS = 15; // so that a run is seen while it is under way
let w, wire;
after(async () => {
  wire?.server.close();
  for (const s of wire?.open ?? []) s.destroy();
  await w?.stop().catch(() => {});
  L.clearUp();
});

/** Carries bytes between a machine and the box, and counts TLS records; armed, it cuts everything in the middle of the n-th. */
class Wire {
  open = new Set();
  records = 0;
  at = 0;
  cuts = 0;

  static async between(port) {
    const x = new Wire();
    x.server = net.createServer((near) => {
      const far = net.connect(port, '127.0.0.1');
      for (const [from, to] of [[near, far], [far, near]]) {
        x.open.add(from);
        from.on('error', () => {});
        from.on('close', () => { x.open.delete(from); to.destroy(); });
        let rest = Buffer.alloc(0), line = Promise.resolve();
        from.on('data', (d) => {
          rest = Buffer.concat([rest, d]);
          while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
            const whole = 5 + rest.readUInt16BE(3), record = rest.subarray(0, whole);
            rest = rest.subarray(whole);
            line = line.then(() => L.sleep(SLOW_MS)).then(() => {
              if (++x.records === x.at) to.write(record.subarray(0, Math.ceil(whole / 2)), () => x.cut());
              else to.write(record);
            });
          }
        });
      }
    });
    await new Promise((ok) => x.server.listen(0, '127.0.0.1', ok));
    x.port = x.server.address().port;
    return x;
  }

  arm(n) { this.records = 0; this.at = n; }
  cut() { this.cuts++; this.at = 0; for (const s of [...this.open]) s.destroy(); }
}

const change = (n) => {
  fs.writeFileSync(path.join(w.root, 'changing.txt'), `${n} ${crypto.randomBytes(30000).toString('hex')}`);
  fs.writeFileSync(path.join(w.root, `p${n % 7}.bin`), crypto.randomBytes(70000));
};

test('a backup whose network is cut in the middle of any message ends complete, and loses nothing', { timeout: LIMIT + 200e3 }, async () => {
  w = await L.World.start({ name: 'netcut', source: { schedule: { every: 'off' }, canaries: false }, fill: (root) => L.fillSmall(root, 20) });
  await w.agent.stop();
  const conf = path.join(w.agent.data, 'agent.json'), was = JSON.parse(fs.readFileSync(conf, 'utf8'));
  const url = new URL(was.url);
  wire = await Wire.between(Number(url.port));
  const mode = fs.statSync(conf);
  fs.writeFileSync(conf, JSON.stringify({ ...was, url: `https://${url.hostname}:${wire.port}` }));
  fs.chownSync(conf, mode.uid, mode.gid);
  w.agent.start();
  await L.until('the machine through the wire', () => wire.records > 8);
  await L.sleep(1000); // its poll is held now: an order that comes sooner may go to the one before
  const kept = [];
  async function once(n) {
    const t0 = Date.now();
    change(kept.length);
    wire.arm(0);
    const { run } = await w.c.post(`sources/${w.source.id}/run`, {});
    const now = () => w.c.get(`runs/${run}`);
    // An order that is lost on its way comes again after a minute (PROTOCOL-agent): cut when it has arrived.
    await L.until('the run', async () => (await now()).state !== 'waiting', 90e3);
    wire.arm(n);
    const r = await L.until('its end', async () => { const x = await now(); return !['waiting', 'running'].includes(x.state) && x; }, 120e3);
    assert.equal(r.state, 'complete', `cut at record ${n}: ${JSON.stringify(r)}`);
    if (process.env.SAKIMORI_LOG) console.log(`# record ${n} cut=${wire.cuts} ${Date.now() - t0} ms`);
    kept.push({ id: r.manifest, tree: L.treeOf(w.root) });
    return wire.records;
  }
  await once(0);
  const total = await once(0);
  assert.ok(total > 6, `${total} records`);
  // Evenly over all of them, in an order that covers the whole soon.
  const order = [...Array(total).keys()].map((i) => 1 + (i * 0x9e37 >>> 0) % total);
  const until = Date.now() + LIMIT;
  const seen = new Set();
  for (const n of order) {
    if (Date.now() > until) break;
    if (seen.has(n)) continue;
    seen.add(n);
    await once(n);
  }
  assert.ok(wire.cuts >= 5, `${wire.cuts} cuts`);
  const have = (await w.generations()).map((g) => g.manifest ?? g.id);
  for (const k of kept) assert.ok(have.includes(k.id), 'an acknowledged generation is gone');
  console.log(`# backups: cut in the middle of ${wire.cuts} of ${total} records, ${kept.length} generations, every run complete`);
  w.kept = kept;
});

test('a restore the same', { timeout: LIMIT + 200e3 }, async () => {
  await w.unlock();
  const from = wire.cuts;
  const some = w.kept.filter((_, i) => i === 0 || i === w.kept.length - 1);
  wire.arm(0);
  for (const k of some) assert.deepEqual(await w.fetch(k.id), k.tree);
  const total = Math.ceil(wire.records / some.length); // with the order's own: a late cut may find nothing left to cut
  const until = Date.now() + (long ? LIMIT : 20e3);
  let n = 0;
  for (const at of [...Array(total).keys()].map((i) => 1 + (i * 0x9e37 >>> 0) % total)) {
    if (Date.now() > until) break;
    const k = w.kept[n++ % w.kept.length];
    await w.unlock();
    const place = path.join(w.place, `back-${n}`);
    wire.arm(0);
    const { id } = await w.c.post('restores', { manifest: k.id, device: w.agent.device.id, paths_b64: [], target: { mode: 'place', place }, existing: 'aside', why: '試験', suspicious_ok: true });
    const now = () => w.c.get(`restores/${id}`);
    await L.until('the restore', async () => (await now()).state !== 'waiting', 90e3);
    wire.arm(at);
    const r = await L.until('its end', async () => { const x = await now(); return !['waiting', 'running'].includes(x.state) && x; }, 120e3);
    assert.equal(r.state, 'complete', `cut at record ${at}: ${JSON.stringify(r)}`);
    assert.deepEqual(L.treeOf(path.join(place, w.root)), k.tree, `cut at record ${at}`);
    fs.rmSync(place, { recursive: true, force: true });
  }
  assert.ok(wire.cuts - from >= 2, `${wire.cuts - from} cuts`);
  wire.arm(0);
  const check = await L.run(L.programs.cli, ['vault', 'verify', 'data', '--vault', path.join(w.box.data, 'vault'), '--lang', 'en'], { any: true });
  assert.equal(check.code, 0, check.out + check.err);
  console.log(`# restores: cut in the middle of ${wire.cuts - from} of ${total} records, ${n} restores equal, the vault is sound`);
});
