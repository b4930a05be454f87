// Hundreds of files picked one by one: the order for them is longer than a signature takes at once.
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

test('hundreds of picked files come back; more than an order can name is refused with words', { timeout: 200e3 }, async () => {
  // An order takes up to 80 KiB of paths.
  const names = Array.from({ length: 900 }, (_, n) => `${'long-name-'.repeat(5)}${n}.txt`);
  w = await L.World.start({ name: 'picks', fill: (root) => { for (const n of names) fs.writeFileSync(path.join(root, n), `${n}\n`); } });
  const run = await L.backup(w.c, w.source.id);
  assert.equal(run.state, 'complete');
  await w.unlock();
  const b64 = (n) => Buffer.from(path.join(w.root, n)).toString('base64');
  const ask = (place, paths) => w.c.call('POST', 'restores', { manifest: run.manifest, device: w.agent.device.id, paths_b64: paths, target: { mode: 'place', place }, existing: 'aside', why: '試験' });
  for (const n of [10, 300, 600]) {
    const place = path.join(w.place, `some-${n}`), r = await ask(place, names.slice(0, n).map(b64));
    assert.equal(r.status, 202, r.text);
    const done = await L.until(`the restore of ${n}`, async () => {
      const x = await w.c.get(`restores/${r.json.id}`);
      return !['waiting', 'running'].includes(x.state) && x;
    }, 40000);
    assert.equal(done.state, 'complete', JSON.stringify(done.problems));
    const back = fs.readdirSync(path.join(place, w.root));
    assert.equal(back.length, n);
    for (const f of back) assert.equal(fs.readFileSync(path.join(place, w.root, f), 'utf8'), `${f}\n`);
  }
  const long = Array.from({ length: 700 }, (_, n) => Buffer.from(`${w.root}/${'x'.repeat(180)}${n}`).toString('base64'));
  const no = await ask(path.join(w.place, 'no'), long);
  assert.equal(no.status, 413, no.text);
  assert.match(no.json.error.message, /フォルダ/);
});
