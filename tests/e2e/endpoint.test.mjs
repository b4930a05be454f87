// The endpoint of a machine, by a real agent and a real box: its policy is signed and holds, its state is told, what it finds arrives once.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 90e3;
let box, c, agent, dir, person, own, logs;
const files = 60, STOPPED = '3f0f7c7e-52d0-5d8e-9a57-6f1f9a7f0c11'; // rules/sakimori/endpoint_ransomware.yml
const started = [];
const text = (i) => `診療の記録 ${i}\n${'内科、再診。処方は前回と同じ。血圧は 128/76。\n'.repeat(60 + (i % 7))}`;
const root = process.getuid() === 0;
before(async () => {
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  dir = L.tempDir('endpoint', 0o755);
  for (let i = 0; i < files; i++) {
    fs.mkdirSync(path.join(dir, `f${i % 6}`), { recursive: true });
    fs.writeFileSync(path.join(dir, `f${i % 6}`, `d${i}.txt`), text(i));
  }
  const rules = L.tempDir('endpoint-rules', 0o755);
  fs.writeFileSync(path.join(rules, 'own.yml'), `title: A Sleeper
name: e2e_sleeper
logsource:
    product: linux
    category: process_creation
detection:
    selection:
        CommandLine|contains: '600.2580'
    condition: selection
level: high
`, { mode: 0o644 });
  fs.writeFileSync(path.join(rules, 'signin.yml'), `title: A Sign-in By The Test
name: e2e_signin
logsource:
    product: linux
    service: sshd
detection:
    selection:
        username: 'e2e-visitor'
        outcome: success
    condition: selection
level: high
`, { mode: 0o644 });
  logs = L.tempDir('endpoint-logs', 0o755);
  agent = await L.Agent.join(box, c, 'karte-server');
  await agent.stop();
  // Only this folder is watched: the machine is shared.
  own = `logs = ${logs}\nrules = ${path.join(L.top, 'rules')}\nrules = ${rules}\n`;
  fs.writeFileSync(`${agent.data}/policy.conf`, own, { mode: 0o644 });
  agent.start();
});
after(async () => {
  for (const p of started) try { process.kill(p.pid, 'SIGKILL'); } catch { /* gone */ }
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

test('a machine without anything to protect is told as that, not as one that failed', { skip: !root }, async () => {
  const s = await became('its folders were looked for', (x) => x.cover === 'empty');
  assert.equal(s.state.sensor.waits, 'folders');
  const p = await c.get(`devices/${agent.device.id}/posture`);
  assert.equal(p.state, 'look');
  assert.match(p.why, /守るフォルダーが、まだありません/);
  await agent.stop();
  fs.writeFileSync(`${agent.data}/policy.conf`, `protect = ${dir}\n${own}`, { mode: 0o644 });
  agent.start();
});

test('a machine says how it is watched', { skip: !root }, async () => {
  const s = await became('the judge is there', (x) => x.state?.judge?.rules > 0 && x.cover !== 'empty' && x.cover !== 'starting');
  assert.notEqual(s.cover, 'none');
  assert.equal(s.policy.state, 'holds'); // the standard, which nobody had to send
  assert.equal(s.policy.number, 0);
  const d = (await c.get('devices')).items.find((x) => x.id === agent.device.id);
  assert.equal(d.endpoint.cover, s.cover);
});

test('ransomware that is stopped is a finding at once, and an incident', { skip: !root, timeout: 240e3 }, async () => {
  await became('its sensors are armed', (x) => x.state?.sensor?.armed);
  const code = `import os\nfor r, ds, fs in os.walk(${JSON.stringify(dir)}):\n  for f in sorted(fs):\n    p = os.path.join(r, f)\n    h = open(p, 'r+b'); n = len(h.read()); h.seek(0); h.write(os.urandom(n)); h.close()\n`;
  const p = spawn('python3', ['-c', code], { stdio: 'ignore' });
  started.push(p);
  const found = await L.until('the finding', async () => (await c.get(`findings?device=${agent.device.id}`)).items.find((f) => f.state === 'stopped'), WAIT);
  const f = await c.get(`findings/${found.id}`);
  assert.equal(f.kind, 'ransomware');
  assert.ok(f.files.touched < files / 2, JSON.stringify(f));
  assert.ok(f.timing.told_ms >= f.timing.stop_ms, JSON.stringify(f.timing));
  assert.ok(f.acts.some((a) => a.action === 'stop' && a.state === 'done'), JSON.stringify(f.acts));
  assert.ok(f.acts.some((a) => a.action === 'give_back' && a.by === 'policy'), JSON.stringify(f.acts));
  const back = await L.until('its files are given back', async () => {
    const x = await c.get(`findings/${found.id}`);
    return x.acts.some((a) => a.action === 'give_back' && a.state === 'done') && x;
  }, WAIT);
  assert.equal(back.files.lost, 0);
  for (let i = 0; i < files; i++) assert.equal(fs.readFileSync(path.join(dir, `f${i % 6}`, `d${i}.txt`), 'utf8'), text(i), `file ${i}`);
  assert.ok(f.reasons.length > 0 && f.processes.some((x) => x.pid === p.pid));
  const i = await L.until('the incident', async () => (await c.get('incidents?open=1')).items.find((x) => x.entities.some((e) => e[0] === 'host')), WAIT);
  const whole = await c.get(`incidents/${i.id}`);
  assert.equal(whole.severity, 'call');
  assert.equal(whole.timeline.filter((x) => x.rule === STOPPED).length, 1, JSON.stringify(whole.timeline));
  assert.ok(whole.findings.some((x) => x.id === f.id));
  console.log(`# stopped after ${f.timing.stop_ms} ms, told after ${f.timing.told_ms} ms, ${f.files.touched} files touched`);
});

test('a program that a rule knows is a finding with its tree, told and left alone', { skip: !root, timeout: 240e3 }, async () => {
  const p = spawn('sleep', ['600.2580']);
  started.push(p);
  const f = await L.until('the finding', async () => (await c.get(`findings?device=${agent.device.id}`)).items.find((x) => x.kind === 'rule'), WAIT);
  const whole = await c.get(`findings/${f.id}`);
  assert.equal(whole.state, 'seen');
  assert.equal(whole.reasons[0].id, 'e2e_sleeper');
  assert.ok(whole.processes.some((x) => x.line.includes('600.2580')), JSON.stringify(whole.processes));
  assert.notEqual(fs.readFileSync(`/proc/${p.pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0], 'T');
});

test('a sign-in in a log of the machine is judged on the machine, and the box has the line once', { skip: !root, timeout: 240e3 }, async () => {
  const file = path.join(logs, 'auth.log'), now = new Date().toISOString();
  fs.writeFileSync(file, `${now} karte sshd[77]: Server listening on 0.0.0.0 port 22.\n`);
  await c.must('PUT', `devices/${agent.device.id}/logs`, { items: [{ name: 'auth', input: 'file', paths: [file] }] });
  await L.until('the log is read', async () => {
    await L.poke(agent).catch(() => {});
    return (await c.get(`devices/${agent.device.id}/logs`)).items.find((x) => x.name === 'auth')?.state === 'ok';
  }, WAIT);
  fs.appendFileSync(file, `${now} karte sshd[78]: Accepted password for e2e-visitor from 192.0.2.77 port 50022 ssh2\n`);
  const f = await L.until('a finding', async () => {
    for (const x of (await c.get(`findings?device=${agent.device.id}`)).items.filter((y) => y.kind === 'rule')) {
      const whole = await c.get(`findings/${x.id}`);
      if (whole.reasons.some((r) => r.en === 'A Sign-in By The Test')) return whole;
    }
    return null;
  }, WAIT);
  assert.equal(f.kind, 'rule');
  assert.equal(f.processes[0].user, 'e2e-visitor');
  const lines = await L.until('the line in the record', async () => {
    const got = (await c.get(`logs/search?q=${encodeURIComponent('e2e-visitor')}&limit=50`)).items;
    return got.length && got;
  }, WAIT);
  assert.equal(lines.length, 1);
  const s = await became('judge counts lines of logs', (x) => x.state?.judge?.log_lines >= 1);
  assert.equal(s.state.judge.odd, 0);
});

test('findings stay and the spool is emptied, whatever part is killed', { skip: !root, timeout: 240e3 }, async () => {
  const parts = () => Object.fromEntries(fs.readdirSync('/proc').filter((d) => /^\d+$/.test(d)).flatMap((d) => {
    try {
      const [cmd, ppid] = [fs.readFileSync(`/proc/${d}/cmdline`, 'utf8'), Number(/PPid:\s+(\d+)/.exec(fs.readFileSync(`/proc/${d}/status`, 'utf8'))[1])];
      return ppid === agent.process.pid ? [[/--part=(\w+)/.exec(cmd)?.[1], Number(d)]] : [];
    } catch { return []; }
  }));
  for (const part of ['judge', 'link', 'judge']) {
    const pid = parts()[part];
    assert.ok(pid, part);
    process.kill(pid, 'SIGKILL');
    await L.until(`${part} is there again`, () => parts()[part] && parts()[part] !== pid, WAIT);
  }
  await became('the judge tells again', (x) => x.state?.judge?.spool?.batches === 0 && x.state.judge.findings.untold === 0);
  const again = (await c.get(`findings?device=${agent.device.id}`)).items;
  assert.equal(again.length, new Set(again.map((x) => x.id)).size);
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
  const ended = Date.now();
  agent.start();
  const covers = new Set();
  const s = await became('the number is said again', (x) => covers.add(x.cover) && Date.parse(x.said) > ended && x.state?.number === before.policy.number);
  assert.deepEqual([...covers].filter((x) => x === 'none' || x === 'off'), []); // a start is no failure
  assert.equal(s.policy.state, 'holds');
});

test('the command line shows how a machine is watched, its findings, and changes its policy', { skip: !root, timeout: 240e3 }, async () => {
  const place = L.tempDir('endpoint-cli'), answers = path.join(place, 'in.json');
  const cli = async (args, options = {}) => {
    const r = await L.run(L.programs.cli, [...args, '--data', box.data, '--lang', options.lang ?? 'en', '--token-file', path.join(place, 'token')], { any: true, ...options });
    assert.equal(r.code, options.code ?? 0, `${args.join(' ')}: ${r.out}${r.err}`);
    return r.out + r.err;
  };
  fs.writeFileSync(answers, JSON.stringify({ password: L.password, one_time: person.codes[0] }), { mode: 0o600 });
  await cli(['sign-in', 'incho', '--answers', answers]);
  assert.match(await cli(['endpoint', 'status']), /karte-server/);
  assert.equal(JSON.parse(await cli(['endpoint', 'status', 'karte-server', '--json'])).device, agent.device.id);
  await became('the policy holds', (x) => x.policy.state === 'holds'); // the agent was started again just before
  assert.match(await cli(['endpoint', 'status', 'karte-server']), /in force on the machine/);
  const list = JSON.parse(await cli(['endpoint', 'findings', '--device', 'karte-server', '--json']));
  const f = list.find((x) => x.kind === 'ransomware');
  assert.match(await cli(['endpoint', 'findings']), /ransomware/);
  const told = await cli(['endpoint', 'finding', f.id]), ja = await cli(['endpoint', 'finding', f.id], { lang: 'ja' });
  assert.match(told, /Give files back/);
  assert.match(ja, /ファイルを元に戻す/);
  assert.match(ja, /できた/);
  assert.match(told, /\b(root|uid \d+)\b/);
  assert.ok(told.includes(Buffer.from(f.path, 'base64').toString()), told);
  assert.ok((await cli(['endpoint', 'findings'])).includes(Buffer.from(f.path, 'base64').toString()));
  const changed = JSON.parse(await cli(['endpoint', 'policy', '--set', 'ransom.sensitivity=2', '--add', 'block.to=198.51.100.7', '--add', 'block.to=bad.example', '--drop', 'block.to=192.0.2.0/24', '--json']));
  assert.equal(changed.policy.ransom.sensitivity, 2);
  assert.equal(changed.policy.ransom.mode, 'watch'); // set before, and still
  assert.deepEqual(changed.policy.block.to, ['198.51.100.7', 'bad.example']);
  assert.match(await cli(['endpoint', 'policy', '--set', 'ransom.mode=ask'], { code: 1 }), /ransom\.mode/);
  const own = JSON.parse(await cli(['endpoint', 'policy', 'karte-server', '--unset', 'ransom.mode', '--json']));
  assert.equal(own.policy.ransom.mode, 'watch');
  assert.equal(JSON.parse(await cli(['endpoint', 'policy', '--reset', '--json'])).own, null);
});
