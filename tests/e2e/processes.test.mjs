// What a machine is seen to do, by a real agent and a real box: programs as they start, and what changes on the machine, also while nobody looked.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 120e3;
const root = process.getuid() === 0;
const has = (...command) => spawnSync(command[0], command.slice(1), { stdio: 'ignore' }).status === 0;
let box, c, agent, dir;
before(async () => {
  if (!root) return;
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
  dir = L.tempDir('processes', 0o755);
  // Only this folder is watched: the machine is shared.
  agent = await L.Agent.join(box, c, 'karte-server', { endpoint: true, protect: [dir] });
});
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

const find = async (q) => (await c.get(`logs/search?q=${encodeURIComponent(q)}&limit=100&raw=1`)).items;
const wait = (q) => L.until(q, async () => {
  const got = await find(q);
  return got.length > 0 && got;
}, WAIT);
/** What a machine says comes with its next poll: the one that hangs is ended again and again. */
const became = (what, f) => L.until(what, async () => {
  const s = (await c.get(`devices/${agent.device.id}/endpoint`)).state;
  if (s && f(s)) return s;
  await L.poke(agent).catch(() => {}); // it may not be there yet
  return L.sleep(500);
}, WAIT);
/** A file as a disk; gone with the test. */
const loop = (name, t) => {
  const file = path.join(dir, name);
  fs.writeFileSync(file, '');
  fs.truncateSync(file, 1 << 20);
  const device = execFileSync('losetup', ['-f', '--show', file], { encoding: 'utf8' }).trim();
  t.after(() => spawnSync('losetup', ['-d', device]));
  return { file, device };
};
const can = root && has('losetup', '-f');

test('a medium is an event and stands in the state of the machine', { skip: !can, timeout: 400e3 }, async (t) => {
  await became('the first look', (s) => s.inspect?.sensors > 0 && s.inspect.looked === s.inspect.sensors);
  const { file, device } = loop('stick.img', t);
  const [e] = await wait(`action:media_attached BackingFile:"${file}"`);
  assert.match(JSON.stringify(e), /"?loop"?/);
  const s = await became('the medium in the state', (x) => x.inspect?.media?.some((m) => m.device === device));
  assert.equal(s.inspect.media.find((m) => m.device === device).kind, 'loop');
});

test('what changed while the agent was off is told at its next start', { skip: !can, timeout: 400e3 }, async (t) => {
  await agent.stop();
  const { file } = loop('night.img', t);
  agent.start();
  const got = await wait(`action:media_attached BackingFile:"${file}"`);
  assert.equal(got.length, 1);
  assert.match(JSON.stringify(got[0]), /WhileOff/);
});
