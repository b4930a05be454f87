// The endpoint of a machine, by a real agent and a real box: its policy is signed and holds, its state is told, what it finds arrives once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 90e3;
let box, c, agent, dir;
const root = process.getuid() === 0;
before(async () => {
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
  dir = L.tempDir('endpoint', 0o755);
  agent = await L.Agent.join(box, c, 'karte-server');
  await agent.stop();
  // Only this folder is watched: the machine is shared.
  fs.writeFileSync(`${agent.data}/policy.conf`, `protect = ${dir}\nrules = ${path.join(L.top, 'rules')}\n`, { mode: 0o644 });
  agent.start();
});
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

const state = () => c.get(`devices/${agent.device.id}/endpoint`);
/** What a machine says comes with its next poll: the one that hangs is ended again and again. */
const became = (what, f) => L.until(what, async () => {
  const s = await state();
  if (f(s)) return s;
  await L.poke(agent).catch(() => {}); // it may not be there yet
  await L.sleep(500);
  return null;
}, WAIT);

test('a machine says how it is watched', { skip: !root }, async () => {
  const s = await became('the judge is there', (x) => x.state?.judge?.rules > 0);
  assert.notEqual(s.cover, 'none');
  assert.equal(s.policy.state, 'holds'); // the standard, which nobody had to send
  assert.equal(s.policy.number, 0);
  const d = (await c.get('devices')).items.find((x) => x.id === agent.device.id);
  assert.equal(d.endpoint.cover, s.cover);
});

test('a policy of the institution is signed and holds on the machine, and what is wrong in one is named', { skip: !root }, async () => {
  const bad = await c.call('PUT', 'endpoint/policy', { policy: { ransom: { mode: 'ask' } } });
  assert.equal(bad.status, 400);
  assert.equal((bad.json ?? bad.body).error.field, 'ransom.mode');
  await c.must('PUT', 'endpoint/policy', { policy: { ransom: { mode: 'watch' }, block: { to: ['192.0.2.0/24'] } } });
  const s = await became('the policy holds', (x) => x.policy.state === 'holds' && x.policy.number > 0);
  assert.equal(s.state.number, s.policy.number);
  const kept = JSON.parse(fs.readFileSync(`${agent.data}/judge/policy.json`));
  assert.equal(kept.sig.length, 128);
  await c.must('PUT', `devices/${agent.device.id}/endpoint/policy`, { policy: { ransom: { mode: 'kill' } } });
  const t = await became('the policy of the machine holds', (x) => x.policy.state === 'holds' && x.policy.number > s.policy.number);
  assert.equal(t.policy.policy.ransom.mode, 'kill');
  assert.deepEqual(t.policy.policy.block.to, ['192.0.2.0/24']);
});

test('a policy holds over a restart of the agent', { skip: !root }, async () => {
  const before = await state();
  await agent.stop();
  agent.start();
  const s = await became('the number is said again', (x) => x.state?.number === before.policy.number);
  assert.equal(s.policy.state, 'holds');
});
