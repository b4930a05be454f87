// A process of the agent that is killed in the middle of its work costs seconds: the same run or restore goes on by itself.
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

function part(name) {
  return L.family(agent.process.pid).slice(1).find((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(`--part=${name}`);
    } catch {
      return false;
    }
  });
}

test('a run whose process is killed goes on and is complete; one that dies each time fails with a reason; a restore the same', { timeout: 280e3 }, async () => {
  const dir = `${L.tempDir('died', 0o755)}/d`, data = L.tempDir('died-box'), port = L.freePort();
  fs.mkdirSync(dir);
  box = await L.Box.start({ data, port });
  const s = await L.setUp(box);
  const c = s.client;
  agent = await L.Agent.join(box, c, 'died');
  const src = await c.post('sources', { device: agent.device.id, name: 'died', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true, bandwidth_kib_s: 8000 });
  const grow = (what) => { for (let i = 0; i < 8; i++) fs.writeFileSync(`${dir}/${what}-${i}`, crypto.randomBytes(8e6)); };
  const begun = (run, sent) => L.until('packs on their way', async () => { const r = await c.get(`runs/${run}`); assert.ok(!over(r), `${r.state} too early`); return r.progress?.sent > sent; }, 60000);
  const ended = (kind, id, ms = 90000) => L.until(`the end of ${kind} ${id}`, async () => { const r = await c.get(`${kind}/${id}`).catch(() => null); return r && over(r) && r; }, ms);
  const how = {
    backup: () => process.kill(part('backup'), 'SIGKILL'),
    'the whole agent': async () => {
      for (const pid of L.family(agent.process.pid)) try { process.kill(pid, 'SIGKILL'); } catch { /* with its parent */ }
      await agent.ended;
      agent.start();
    },
  };
  for (const [what, kill] of Object.entries(how)) {
    grow(what);
    const { run } = await c.post(`sources/${src.id}/run`);
    await begun(run, 10e6);
    const at = Date.now();
    await kill();
    const end = await ended('runs', run);
    assert.equal(end.state, 'complete', `${what}: ${JSON.stringify(end.problems)}\n${agent.log.join('')}`);
    console.log(`# ${what}: complete ${Date.now() - at} ms after the kill`);
  }
  const generations = (await c.get(`generations?source=${src.id}`)).items;
  assert.equal(generations.length, 2);

  // Its restore part dies too.
  await c.post('unlock', { password: L.password, card: s.card });
  const to = L.tempDir('died-to', 0o755);
  const { id } = await c.post('restores', { manifest: generations[0].id, device: agent.device.id, paths_b64: [], target: { mode: 'place', place: to }, existing: 'aside', why: '試験', suspicious_ok: true });
  const pid = await L.until('the restore process at work', async () => { const r = await c.get(`restores/${id}`); assert.ok(!over(r), `${r.state} too early`); return r.state === 'running' && part('restore'); }, 30000, 5);
  process.kill(pid, 'SIGKILL');
  const done = await ended('restores', id);
  assert.equal(done.state, 'complete', `${JSON.stringify(done.problems)}\n${agent.log.join('')}`);
  assert.equal(execFileSync('diff', ['-rq', dir, to + dir]).toString(), '');

  // Bounded: what kills it every time is told.
  grow('always');
  const { run } = await c.post(`sources/${src.id}/run`);
  let killed = 0, r;
  for (const until = Date.now() + 90000; Date.now() < until && !over(r = await c.get(`runs/${run}`)); await L.sleep(100)) {
    const p = r.state === 'running' && r.progress && part('backup');
    if (p && p !== killed && killed >= 0) {
      await L.sleep(700);
      try { process.kill(p, 'SIGKILL'); killed = p; } catch { /* it is gone */ }
    }
  }
  assert.equal(r.state, 'failed', JSON.stringify(r));
  assert.match(r.problems.map((p) => p.what).join(), /several times/);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.rmSync(to, { recursive: true, force: true });
});

test('the local agent ends with the box that started it, and the box started next has one again', { timeout: 120e3 }, async () => {
  const data = L.tempDir('orphan-box'), port = L.freePort();
  const first = await L.Box.start({ data, port, agent: true });
  await L.setUp(first);
  const supervisor = (b) => L.family(b.process.pid).find((pid) => {
    try {
      const args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return args[0] === 'sakimori-agent' && args[1] === 'run';
    } catch {
      return false;
    }
  });
  const old = await L.until('the local agent', () => supervisor(first));
  process.kill(first.process.pid, 'SIGKILL');
  await L.until('the end of the local agent', () => !fs.existsSync(`/proc/${old}`) || /State:\tZ/.test(fs.readFileSync(`/proc/${old}/status`, 'utf8')), 20000);
  const second = await L.Box.start({ data, port, agent: true });
  try {
    const again = await L.until('another local agent', () => supervisor(second), 30000);
    assert.notEqual(again, old);
    await L.sleep(3000);
    assert.equal(supervisor(second), again, second.log.join(''));
  } finally {
    await second.stop();
  }
});
