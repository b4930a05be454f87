// What a machine is seen to do, by a real agent and a real box: programs as they start, and what changes on the machine, also while nobody looked.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
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

const mark = `mark-${process.pid}-${Date.now()}`;
const sensor = async (what, f) => (await became(what, (s) => s.sensor && f(s.sensor))).sensor;

test('a program that ran is an event with its line, its parent and its tree', { skip: !root, timeout: 400e3 }, async () => {
  const s = await sensor('processes are watched', (x) => x.processes);
  if (s.processes !== 'bpf') assert.ok(s.why.length > 0, 'less than the best is explained');
  execFileSync('/bin/sh', ['-c', `/bin/echo ${mark} one; exit 0`]);
  const [e] = await wait(`CommandLine:"/bin/echo ${mark} one"`);
  const text = JSON.stringify(e);
  assert.match(text, /\/usr\/bin\/echo|\/bin\/echo/);
  assert.match(text, /ParentCommandLine/);
  assert.match(text, /Tree/);
});

test('the same program a hundred times is told in few words, none forgotten', { skip: !root, timeout: 400e3 }, async (t) => {
  const s = await sensor('processes are watched', (x) => x.processes);
  if (s.processes === 'none') return t.skip('only looked at once a second here');
  execFileSync('/bin/sh', ['-c', `i=0; while [ $i -lt 100 ]; do /bin/echo ${mark} many; i=$((i+1)); done`], { stdio: 'ignore' });
  const q = `CommandLine:"/bin/echo ${mark} many"`;
  const told = (list) => list.reduce((n, x) => n + Number(x.event.count ?? 1), 0);
  const all = await L.until('all hundred', async () => {
    const got = (await find(q)).filter((x) => x.event.Image.endsWith('/echo')); // not the shell, whose line holds theirs
    return told(got) >= 100 && got;
  }, WAIT);
  assert.equal(told(all), 100);
  assert.ok(all.length < 50, `${all.length} events`);
});

test('a connection names the program that made it', { skip: !root, timeout: 400e3 }, async (t) => {
  const s = await sensor('processes are watched', (x) => x.processes);
  if (s.processes !== 'bpf') return t.skip(`connections are not seen here: ${s.why}`);
  const server = net.createServer((x) => x.end());
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  t.after(() => server.close());
  const { port } = server.address();
  execFileSync('/bin/bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`]);
  const [e] = await wait(`DestinationPort:${port} Image:"/usr/bin/bash"`);
  assert.match(JSON.stringify(e), /bash/);
});
