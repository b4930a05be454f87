// What is done to an agent is seen by the box, whatever it is: within ten seconds where the machine has time (the times are printed).
// Only processes and groups that this file started are touched: they are found by the folder of their agent.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const root = process.getuid?.() === 0;
let box, c, agent;
const protect = L.tempDir('protected'), program = path.join(L.tempDir('program', 0o755), 'sakimori-agent');

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
const ready = (a = agent, names = ['supervisor', 'link', 'backup', 'logs', 'guard', 'sensor', 'judge', 'inspect', 'actor', 'media']) => L.until('all parts', () => names.every((n) => parts(a)[n]));
/** The guard has read all it compares with, which is when it says that it is ready. */
const guarded = (a = agent) => L.until('the guard', async () => {
  const { alive } = await c.get(`devices/${a.device.id}`);
  return alive.state === 'alive' && alive.last_ms < 4000 && alive.parts.guard !== undefined && parts(a).guard;
});
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
/** Between agent and box, until it swallows everything without a word: what a cut cable looks like to both. */
class Cable {
  cut = false;
  open = new Set();
  static async to(port) {
    const x = new Cable();
    x.server = net.createServer((near) => {
      const far = net.connect(port, '127.0.0.1');
      for (const [from, to] of [[near, far], [far, near]]) {
        x.open.add(from);
        from.on('error', () => {});
        from.on('data', (d) => { if (!x.cut) to.write(d); });
        from.on('close', () => { x.open.delete(from); if (!x.cut) to.destroy(); });
      }
    });
    await new Promise((ok) => x.server.listen(0, '127.0.0.1', ok));
    x.port = x.server.address().port;
    return x;
  }
  end() {
    this.server.close();
    for (const s of this.open) s.destroy();
  }
}
/** A debugger: seizes a process for a moment, and lets go with its own end. */
const debug = (pid, s) => spawn('python3', ['-c', `
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
if libc.ptrace(0x4206, ${pid}, None, None) != 0:
    sys.exit(1)
print('on', flush=True)
time.sleep(${s})`], { stdio: ['ignore', 'pipe', 'inherit'] });

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
  fs.copyFileSync(L.programs.agent, program);
  fs.chmodSync(program, 0o755);
  agent = await L.Agent.join(box, c, 'サーバー', { endpoint: true, data: dir, protect: [protect], program });
  await ready();
  await guarded();
});
after(async () => {
  endAll(agent);
  await box?.stop().catch(() => {});
  L.clearUp();
});
const it = (name, fn) => test(name, { timeout: 240e3, skip: !root && 'only as root' }, fn);

it('a machine that is left alone raises nothing', async () => {
  await L.until('the agent says that it is alive', async () => (await c.get(`devices/${agent.device.id}`)).alive?.state === 'alive');
  await L.sleep(25000);
  assert.deepEqual((await signals()).filter((s) => Object.values(rule).includes(s.rule)), []); // other tests of this machine may plug in disks
});

it('kill -9 of a part is seen, and the part is there again', async () => {
  for (const name of ['link', 'backup', 'sensor']) {
    const pid = parts()[name];
    await L.sleep(11000); // the same rule about the same machine is told at once, and then every ten seconds
    await seen(`kill -9 of ${name}`, rule.part, () => process.kill(pid, 'SIGKILL'));
    await L.until(`${name} again`, () => parts()[name] && parts()[name] !== pid);
  }
});

it('a part that is stopped is continued, and it is seen', async () => {
  for (const name of ['link', 'backup', 'sensor', 'judge']) {
    const pid = parts()[name];
    await L.sleep(11000);
    await seen(`SIGSTOP of ${name}`, rule.stands, () => process.kill(pid, 'SIGSTOP'));
    await L.until(`${name} runs`, () => !/^State:\tT/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')));
  }
});

it('kill -9 of the supervisor, and of the guard: each starts the other again', async () => {
  for (const name of ['guard', 'supervisor']) {
    const pid = parts()[name];
    await L.sleep(11000);
    await seen(`kill -9 of ${name}`, rule.part, () => process.kill(pid, 'SIGKILL'));
    await L.until(`${name} again`, () => parts()[name] && parts()[name] !== pid);
    await ready();
    await guarded();
  }
});

it('a supervisor or a guard that is stopped is continued by the other', async () => {
  for (const name of ['supervisor', 'guard']) {
    const pid = parts()[name];
    await L.sleep(11000);
    await seen(`SIGSTOP of ${name}`, rule.stands, () => process.kill(pid, 'SIGSTOP'));
    await L.until(`${name} runs`, () => !/^State:\tT/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')));
  }
});

it('a debugger is seen, and the part under it is another one', async () => {
  for (const name of ['link', 'supervisor']) {
    const pid = parts()[name];
    let by;
    await L.sleep(name === 'link' ? 0 : 11000);
    await seen(`debugger on ${name}`, rule.debugged, () => new Promise((ok, fail) => {
      by = debug(pid, 8);
      by.stdout.once('data', ok);
      by.once('exit', (code) => fail(new Error(`no debugger: ${code}`)));
    }));
    by.kill('SIGKILL');
    await L.until(`${name} again`, () => parts()[name] && parts()[name] !== pid);
    await ready();
    await guarded();
  }
});

for (const [kind, top_, freeze, on, off] of [['1', '/sys/fs/cgroup/freezer', 'freezer.state', 'FROZEN', 'THAWED'],
  ['2', fs.existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup', 'cgroup.freeze', '1', '0']]) {
  const there = root && fs.existsSync(path.join(top_, 'cgroup.procs'));
  test(`a control group of version ${kind} that is frozen is thawed by who stands outside of it`, { timeout: 240e3, skip: !there && 'no such freezer here' }, async () => {
    const group = path.join(top_, `sakimori-test-${process.pid}`);
    fs.mkdirSync(group);
    try {
      await L.sleep(11000);
      const all = parts();
      delete all.guard;
      for (const pid of Object.values(all)) fs.writeFileSync(path.join(group, 'cgroup.procs'), String(pid));
      await seen(`freezer, version ${kind}`, rule.frozen, () => fs.writeFileSync(path.join(group, freeze), on));
      await L.until('thawed', () => fs.readFileSync(path.join(group, freeze), 'utf8').trim() === off);
      assert.deepEqual(Object.values(all).filter((pid) => !fs.existsSync(`/proc/${pid}`)), []);
      await ready();
    } finally {
      fs.writeFileSync(path.join(group, freeze), off);
      for (const pid of fs.readFileSync(path.join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) try { fs.writeFileSync(path.join(top_, 'cgroup.procs'), pid); } catch { /* gone */ }
      await L.until('the group is empty', () => { try { fs.rmdirSync(group); return true; } catch { return false; } });
    }
  });
}

it('a setting, a key or the program that is changed is told, and so is a removed one', async () => {
  await seen('policy.conf is changed', rule.touched, () => fs.appendFileSync(path.join(agent.data, 'policy.conf'), '# nothing more\n'));
  await L.sleep(11000);
  const key = path.join(agent.data, 'keys/device.json'), bytes = fs.readFileSync(key);
  await seen('a key is removed', rule.touched, () => fs.renameSync(key, `${key}.away`));
  fs.renameSync(`${key}.away`, key);
  assert.deepEqual(fs.readFileSync(key), bytes);
  await L.sleep(11000);
  await seen('the program is another one', rule.touched, () => {
    fs.copyFileSync(program, `${program}.new`);
    fs.appendFileSync(`${program}.new`, 'x');
    fs.chmodSync(`${program}.new`, 0o755);
    fs.renameSync(`${program}.new`, program);
  });
});

it('a full disk under the agent is told', async () => {
  const place = L.tempDir('small', 0o755);
  try { execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=755', 'tmpfs', place]); } catch { console.log('# nothing may be mounted here: no full disk tried'); return; }
  let other;
  try {
    other = await L.Agent.join(box, c, '小さいサーバー', { endpoint: true, data: path.join(place, 'data'), protect: [protect] });
    await ready(other);
    await guarded(other);
    await seen('full disk', rule.full, () => { try { fs.writeFileSync(path.join(place, 'fill'), Buffer.alloc(16 << 20, 1)); } catch { /* ENOSPC is what it is for */ } });
    fs.rmSync(path.join(place, 'fill'));
    await other.stop();
    await c.must('DELETE', `devices/${other.device.id}`, { reason: '試験' });
  } finally {
    endAll(other);
    execFileSync('umount', ['-l', place]);
  }
});

it('all of it ended at once: that alone remains to be seen, by the box', async () => {
  await seen('kill -9 of everything', rule.killed, () => { for (const pid of Object.values(parts())) process.kill(pid, 'SIGKILL'); });
  endAll(agent);
  agent.start();
  await ready();
  await guarded();
});

it('a cable that is cut is seen, and so is its mending', async () => {
  const cable = await Cable.to(Number(new URL(box.agentUrl).port));
  try {
    const file = path.join(agent.data, 'agent.json'), config = JSON.parse(fs.readFileSync(file, 'utf8'));
    await agent.stop();
    fs.writeFileSync(file, JSON.stringify({ ...config, url: `https://127.0.0.1:${cable.port}` }));
    agent.start();
    await ready();
    await guarded();
    await seen('network cut', rule.silent, () => { cable.cut = true; });
    cable.cut = false;
    for (const s of cable.open) s.destroy();
    await guarded();
    await agent.stop();
    fs.writeFileSync(file, JSON.stringify(config));
    agent.start();
    await ready();
    await guarded();
  } finally {
    cable.end();
  }
});

it('with an order of the box the agent may be removed, and its end is no incident', async () => {
  const at = path.join(agent.data, 'actor/uninstall');
  assert.equal(fs.existsSync(at), false);
  const made = await c.must('POST', `devices/${agent.device.id}/actions`, { action: 'uninstall' }, 201).catch(() => c.must('POST', `devices/${agent.device.id}/actions`, { action: 'uninstall' }, 200));
  await L.until('the order is done', () => fs.existsSync(at)).catch((e) => { throw new Error(`${e.message} ${JSON.stringify(made)}\n${agent.log.join('')}`); });
  assert.ok(Number(fs.readFileSync(at, 'utf8')) > Date.now() / 1000 + 3000);
  const before = (await signals()).filter((s) => s.rule === rule.ended).length;
  await agent.stop();
  await L.until('its good-bye', async () => (await c.get(`devices/${agent.device.id}`)).alive.said === 'uninstall');
  await L.sleep(12000);
  assert.equal((await signals()).filter((s) => s.rule === rule.ended).length, before);
  fs.rmSync(at);
  agent.start();
  await ready();
  await guarded();
});

it('an orderly stop by a person is told as that, and the way back too', async () => {
  await L.sleep(11000);
  await seen('the service is stopped', rule.ended, () => agent.stop());
  assert.deepEqual(parts(), {});
  const d = await c.get(`devices/${agent.device.id}`);
  assert.equal(d.alive.state, 'left');
  assert.equal(d.alive.said, 'stop');
  agent.start();
  await L.until('alive again', async () => (await c.get(`devices/${agent.device.id}`)).alive.state === 'alive');
});
