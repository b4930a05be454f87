// The restore part of a machine is killed as soon as it appears, again and again: what was ordered is done all the same, soon.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w;
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const restorer = () => L.family(w.agent.process.pid).find((pid) => {
  try { return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--part=restore'); } catch { return false; }
});

test('a restore whose process is killed at its birth is done by the next one, without a minute of waiting', { timeout: 400e3 }, async () => {
  w = await L.World.start({ name: 'stillborn' });
  const run = await L.backup(w.c, w.source.id), tree = L.treeOf(w.root);
  const waits = [];
  let killed = 0;
  for (let n = 0; n < 8; n++) {
    await w.unlock();
    const place = path.join(w.place, `r${n}`);
    const { id } = await w.c.post('restores', { manifest: run.manifest, device: w.agent.device.id, paths_b64: [], target: { mode: 'place', place }, existing: 'aside', why: '試験' });
    let pid;
    for (const stop = Date.now() + 20000; !pid && Date.now() < stop;) if (!(pid = restorer())) await L.sleep(3);
    await L.sleep(n * 4);
    try { process.kill(pid, 'SIGKILL'); killed++; } catch { /* it was quicker */ }
    const from = Date.now();
    const end = await L.until(`restore ${n}`, async () => {
      const r = await w.c.get(`restores/${id}`);
      return !['waiting', 'running'].includes(r.state) && r;
    }, 45000);
    waits.push(Date.now() - from);
    assert.equal(end.state, 'complete', JSON.stringify(end.problems));
    assert.deepEqual(L.treeOf(path.join(place, w.root)), tree);
    fs.rmSync(place, { recursive: true, force: true });
  }
  assert.ok(killed >= 4, `${killed} were killed`);
  console.log(`# ${killed} of 8 restores killed at their birth: ended after ${waits.join(', ')} ms`);
});
