// A backup under way goes on where it was when the box is stopped and started, and when its vault dies.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import * as L from './lib.mjs';

let box, agent;
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});
const over = (r) => ['complete', 'partial', 'failed', 'cancelled'].includes(r.state);

test('a run that a restart of the box cuts in the middle is completed, and comes back byte for byte', { timeout: 240e3 }, async () => {
  const dir = `${L.tempDir('restart', 0o755)}/d`, data = L.tempDir('restart-box'), port = L.freePort();
  fs.mkdirSync(dir);
  box = await L.Box.start({ data, port });
  const s = await L.setUp(box);
  const c = s.client;
  agent = await L.Agent.join(box, c, 'restart');
  const src = await c.post('sources', { device: agent.device.id, name: 'restart', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true, bandwidth_kib_s: 12000 });
  const cut = {
    'the box stopped and started': async () => {
      await box.stop();
      box = await L.Box.start({ data, port });
    },
    'the vault killed': async () => {
      const pid = box.children().vault;
      process.kill(pid, 'SIGKILL');
      await L.until('another vault', () => { const p = box.children().vault; return p && p !== pid; });
    },
  };
  for (const [what, how] of Object.entries(cut)) {
    for (let i = 0; i < 12; i++) fs.writeFileSync(`${dir}/${what}-${i}`, crypto.randomBytes(8e6));
    const { run } = await c.post(`sources/${src.id}/run`);
    await L.until('packs on their way', async () => { const r = await c.get(`runs/${run}`); assert.ok(!over(r), `${r.state} too early`); return r.progress?.sent > 20e6; });
    await how();
    const end = await L.until(`the end of the run after ${what}`, async () => { const r = await c.get(`runs/${run}`).catch(() => null); return r && over(r) && r; }, 90000);
    assert.equal(end.state, 'complete', `${what}: ${JSON.stringify(end.problems)}\n${agent.log.join('')}`);
  }
  await c.post('unlock', { password: L.password, card: s.card });
  const g = (await c.get(`generations?source=${src.id}`)).items;
  assert.equal(g.length, 2);
  const to = L.tempDir('restart-to', 0o755);
  const done = await L.restore(c, g[0].id, agent.device.id, { target: { mode: 'place', place: to } });
  assert.equal(done.state, 'complete', JSON.stringify(done.problems));
  assert.equal(execFileSync('diff', ['-rq', dir, to + dir]).toString(), '');
  fs.rmSync(dir, { recursive: true, force: true });
  fs.rmSync(to, { recursive: true, force: true });
});
