// Tens of thousands of small files, then large ones behind them: nothing hangs, nothing comes back wrong.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as L from './lib.mjs';

let box, agent;
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

test('many small files and large ones behind them are saved and come back byte for byte', { timeout: 240e3 }, async () => {
  const dir = `${L.tempDir('many', 0o755)}/d`;
  fs.mkdirSync(dir);
  for (let d = 0; d < 150; d++) {
    const p = `${dir}/${String(d).padStart(3, '0')}`;
    fs.mkdirSync(p);
    for (let i = 0; i < 200; i++) fs.writeFileSync(`${p}/f${i}`, `folder ${d} file ${i} ${Math.random().toString(36).repeat(5 + ((i * 7) % 20))}`);
  }
  box = await L.Box.start();
  const s = await L.setUp(box);
  const c = s.client;
  agent = await L.Agent.join(box, c, 'many');
  const src = await c.post('sources', { device: agent.device.id, name: 'many', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true });
  await L.sleep(2500);
  const states = [(await L.backup(c, src.id, 90000)).state];
  for (let k = 0; k < 3; k++) {
    for (let i = 0; i < 6; i++) fs.writeFileSync(`${dir}/${k === 2 ? 'zz' : `05${k}`}-large-${k}-${i}`, Buffer.alloc(4e6, Math.random().toString(36)));
    states.push((await L.backup(c, src.id, 60000)).state);
  }
  assert.deepEqual(states, ['complete', 'complete', 'complete', 'complete']);
  await c.post('unlock', { password: L.password, card: s.card });
  const g = (await c.get(`generations?source=${src.id}`)).items[0];
  assert.equal(g.suspicion.level, 'none', JSON.stringify(g.suspicion));
  const to = L.tempDir('many-to', 0o755);
  const r = await c.post('restores', { manifest: g.id, device: agent.device.id, paths_b64: [], target: { mode: 'place', place: to }, existing: 'aside', why: 'test' });
  const done = await L.until('the restore', async () => {
    const x = await c.get(`restores/${r.id}`);
    return ['complete', 'partial', 'failed', 'cancelled'].includes(x.state) && x;
  }, 90000);
  assert.equal(done.state, 'complete', JSON.stringify(done.problems));
  assert.equal(execFileSync('diff', ['-rq', dir, to + dir]).toString(), '');
  fs.rmSync(dir, { recursive: true, force: true });
  fs.rmSync(to, { recursive: true, force: true });
});
