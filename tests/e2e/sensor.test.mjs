// The sensor with a real kernel: a program that destroys files is stopped within a few of them, whatever else happens.
// Only folders of this file are watched, and only programs that this file started are stopped.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const root = process.getuid() === 0;
const WAIT = 120e3;
const it = (name, fn) => test(name, { timeout: 240e3, skip: !root && 'only as root' }, fn);
const started = [];
const text = (i) => `診療の記録 ${i}\n${'内科、再診。処方は前回と同じ。血圧は 128/76。\n'.repeat(60 + (i % 7))}`;

/** A folder with n documents, and what they are. */
function documents(n = 60) {
  const dir = L.tempDir('sensor', 0o755);
  for (let i = 0; i < n; i++) {
    const at = path.join(dir, `f${i % 6}`);
    fs.mkdirSync(at, { recursive: true });
    fs.writeFileSync(path.join(at, `d${i}.txt`), text(i));
  }
  return { dir, n, differ: () => {
    let differ = 0;
    for (let i = 0; i < n; i++) {
      let now = null;
      try { now = fs.readFileSync(path.join(dir, `f${i % 6}`, `d${i}.txt`), 'utf8'); } catch { /* gone */ }
      differ += now !== text(i) ? 1 : 0;
    }
    return differ;
  } };
}

/** What an attacker does to each file, as a line of python; random bytes stand for what a cipher makes. */
const shapes = {
  'in place': "h = open(p, 'r+b'); n = len(h.read()); h.seek(0); h.write(os.urandom(n)); h.close()",
  'cut and written anew': "n = len(open(p, 'rb').read()); open(p, 'wb').write(os.urandom(n))",
  'copied and removed': "n = len(open(p, 'rb').read()); open(p + '.locked', 'wb').write(os.urandom(n)); os.unlink(p)",
  'renamed over': "n = len(open(p, 'rb').read()); open(p + '.tmp', 'wb').write(os.urandom(n)); os.rename(p + '.tmp', p)",
};
function attacker(dir, act, more = '') {
  const code = `import os, sys, time\n${more}\nfor r, ds, fs in os.walk(${JSON.stringify(dir)}):\n  for f in sorted(fs):\n    p = os.path.join(r, f)\n    ${act}\n`;
  const p = spawn('python3', ['-c', code], { stdio: ['ignore', 'ignore', 'pipe'] });
  p.err = '';
  p.stderr.on('data', (d) => { p.err += d; });
  started.push(p);
  return p;
}
const stateOf = (pid) => { try { return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0]; } catch { return '-'; } };
const end = async (p) => {
  try { process.kill(p.pid, 'SIGKILL'); } catch { /* gone */ }
  await L.until('its end', () => p.exitCode !== null || p.signalCode !== null, WAIT);
};

/** sensor-check on a folder: what it said so far, and its end. */
async function check(args) {
  const p = spawn(L.programs.agent, ['sensor-check', '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(p);
  const c = { p, said: [], err: '' };
  let rest = '';
  p.stdout.on('data', (d) => {
    const lines = (rest + d).split('\n');
    rest = lines.pop();
    for (const l of lines) c.said.push(JSON.parse(l));
  });
  p.stderr.on('data', (d) => { c.err += d; });
  c.all = (kind) => c.said.filter((s) => s.kind === kind).map((s) => s.body);
  c.facts = (action) => c.all('event').filter((e) => e.service === 'sakimori' && e.action === action);
  c.state = () => c.all('state').at(-1) ?? c.all('ready').at(-1);
  c.wait = (what, f) => L.until(what, f, WAIT).catch((e) => { throw new Error(`${e.message}: ${c.err} ${JSON.stringify(c.state())}`); });
  c.stop = async () => { p.kill('SIGTERM'); await L.until('its end', () => p.exitCode !== null || p.signalCode !== null, WAIT); assert.equal(p.exitCode, 0, c.err); };
  await c.wait('it watches', () => c.all('ready').length || p.exitCode !== null);
  assert.equal(p.exitCode, null, c.err);
  return c;
}

after(() => {
  for (const p of started) try { process.kill(p.pid, 'SIGKILL'); } catch { /* gone */ }
  L.clearUp();
});

for (const [name, act] of Object.entries(shapes))
  it(`files destroyed ${name}: stopped within five, all given back`, async () => {
    const d = documents();
    const c = await check(['--protect', d.dir, '--stop', '--keep', L.tempDir('keep'), '--give-back']);
    const a = attacker(d.dir, act);
    await c.wait('the finding', () => c.all('finding').length);
    await c.wait('it stands', () => stateOf(a.pid) === 'T');
    const f = c.all('finding')[0];
    assert.equal(f.state, 'stopped');
    assert.ok(f.score >= f.threshold && f.reasons.length > 0, JSON.stringify(f));
    assert.ok(f.files.touched <= 5, JSON.stringify(f.files));
    assert.ok(f.processes.some((p) => p.pid === a.pid));
    await c.wait('given back', () => c.all('given_back').length);
    assert.equal(c.all('given_back')[0].failed, 0);
    await end(a);
    assert.equal(d.differ(), 0);
    assert.equal(c.facts('ransomware_stopped').length, 1);
    await c.stop();
  });
