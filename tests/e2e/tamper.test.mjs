// What is done to an agent is seen by the box, whatever it is: within ten seconds where the machine has time (the times are printed).
// Only processes and groups that this file started are touched: they are found by the folder of their agent.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const root = process.getuid?.() === 0;
let box, c, agent;
const protect = L.tempDir('protected');

/** The processes of an agent, by name of their part; "supervisor" is the one without. */
function parts(a = agent) {
  const out = {};
  for (const pid of fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    let args;
    try { args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'); } catch { continue; }
    if (args[args.indexOf('--data') + 1] !== a.data || !/sakimori-agent/.test(args[0])) continue;
    out[args[1] === 'run' ? 'supervisor' : (args.find((x) => x.startsWith('--part=')) ?? '--part=?').slice(7)] = Number(pid);
  }
  return out;
}
const ready = (a = agent, names = ['supervisor', 'link', 'backup', 'logs']) => L.until('all parts', () => names.every((n) => parts(a)[n]));
const signals = async () => (await c.get('signals?limit=200')).items;
const rule = {
  killed: '1a89399c-4226-470f-8373-c6b197908496', silent: 'f5dcd82e-a975-4e0c-8332-cc3414498c9c', ended: 'dc51cd47-0458-47bf-a08e-3ab23d93e0b0',
  part: '3d87d677-f369-4620-938c-8f8a5057eeed', stands: 'd96f03a1-dcf5-4667-9faf-41dbfc914576', debugged: 'b617ebaa-be45-4800-a04b-50bcb9a21b42',
  frozen: 'af8a2fbd-af9f-4c3b-8eda-0e779d90e28c', touched: '235b0122-85b3-4002-966c-cb52bf57431c', full: '7518e5fc-208b-4060-93bc-cd009771b381',
};
/** Do it; then the signal of that rule is there anew, in an incident.  The seconds it took. */
async function seen(what, id, act) {
  const times = async () => (await signals()).filter((s) => s.rule === id).reduce((n, s) => n + s.times, 0);
  const n = await times(), from = Date.now();
  await act();
  await L.until(`${what} on the box`, async () => (await times()) > n && (await signals()).some((s) => s.rule === id && s.incident), 60000)
    .catch(async (e) => { throw new Error(`${e.message} ${JSON.stringify((await signals()).map((s) => [s.rule, s.title, s.what]))}\n${agent.log.join('')}`); });
  console.log(`# ${what}: seen after ${((Date.now() - from) / 1000).toFixed(1)} s`);
}
/** Whatever a test left of an agent. */
function endAll(a) {
  for (let i = 0; i < 20 && a; i++) {
    const left = Object.values(parts(a));
    if (!left.length) return;
    for (const pid of left) try { process.kill(pid, 'SIGKILL'); } catch { /* gone */ }
  }
}

before(async () => {
  if (!root) return;
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
  const dir = path.join(L.tempDir('agent', 0o755), 'data');
  agent = await L.Agent.join(box, c, 'サーバー', { endpoint: true, data: dir, protect: [protect] });
  await ready();
});
after(async () => {
  endAll(agent);
  await box?.stop().catch(() => {});
  L.clearUp();
});
const it = (name, fn) => test(name, { timeout: 240e3, skip: !root && 'only as root' }, fn);

it('a machine that is left alone raises nothing', async () => {
  await L.until('the agent says that it is alive', async () => (await c.get(`devices/${agent.device.id}`)).alive?.state === 'alive');
  await L.sleep(12000);
  assert.deepEqual(await signals(), []);
});

it('kill -9 of a part is seen, and the part is there again', async () => {
  for (const name of ['link', 'backup']) {
    const pid = parts()[name];
    await seen(`kill -9 of ${name}`, rule.part, () => process.kill(pid, 'SIGKILL'));
    await L.until(`${name} again`, () => parts()[name] && parts()[name] !== pid);
  }
});

it('a part that is stopped is continued, and it is seen', async () => {
  for (const name of ['link', 'backup']) {
    const pid = parts()[name];
    await seen(`SIGSTOP of ${name}`, rule.stands, () => process.kill(pid, 'SIGSTOP'));
    await L.until(`${name} runs`, () => !/^State:\tT/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')));
  }
});

it('an orderly stop by a person is told as that, and the way back too', async () => {
  await seen('the service is stopped', rule.ended, () => agent.stop());
  const d = await c.get(`devices/${agent.device.id}`);
  assert.equal(d.alive.state, 'left');
  assert.equal(d.alive.said, 'stop');
  agent.start();
  await L.until('alive again', async () => (await c.get(`devices/${agent.device.id}`)).alive.state === 'alive');
});
