// A machine's own logs, by a real agent, into the record of a real box: nothing lost and nothing doubled, whatever is killed or turned over.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 90e3;
const remote = '/lib/systemd/systemd-journal-remote';
const RULE = '0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0e21';
let box, c, person, agent, dir, journal;
before(async () => {
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  dir = L.tempDir('machine-logs', 0o755);
  journal = path.join(dir, 'journal');
  fs.mkdirSync(journal, { mode: 0o755 });
  agent = await L.Agent.join(box, c, 'karte-server');
  await agent.stop();
  fs.writeFileSync(`${agent.data}/policy.conf`, `endpoint = no\nlogs = ${dir}\nnolog = ${dir}/private.log\n`, { mode: 0o644 });
  agent.start();
});
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

const file = (name) => path.join(dir, name);
const append = (name, text) => fs.appendFileSync(file(name), text);
const logs = () => c.get(`devices/${agent.device.id}/logs`);
const state = async (name) => (await logs()).items.find((x) => x.name === name);
const set = (items) => c.must('PUT', `devices/${agent.device.id}/logs`, { items });
/** A machine tells how its logs are with its next poll: the one that hangs is ended again and again. */
const became = (name, what) => L.until(`${name} ${what}`, async () => {
  if ((await state(name))?.state === what) return true;
  await L.poke(agent).catch(() => {}); // it may not be there yet
  return L.sleep(500);
}, WAIT);
const find = async (q) => {
  const all = [];
  let cursor = '';
  do {
    const r = await c.get(`logs/search?q=${encodeURIComponent(q)}&limit=500&raw=1&cursor=${cursor}`);
    all.push(...r.items);
    cursor = r.next;
  } while (cursor);
  return all;
};
const wait = (q, n) => L.until(`${n} of ${q}`, async () => {
  const got = await find(q);
  return got.length >= n && got;
}, WAIT).then((got) => {
  assert.equal(got.length, n, q);
  return got;
});
const partsOf = () => Object.fromEntries(L.family(agent.process.pid).map((pid) => {
  try {
    return [/--part=(\w+)/.exec(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.[1], pid];
  } catch {
    return [undefined, pid];
  }
}).filter(([name]) => name));

test('the usual logs are set until somebody sets others', { timeout: 120e3 }, async () => {
  const now = await logs();
  assert.equal(now.usual, true);
  assert.deepEqual(now.items.map((x) => x.name), ['journal', 'auth', 'syslog', 'audit']);
  assert.equal((await c.call('PUT', `devices/${agent.device.id}/logs`, { items: [{ name: 'x', input: 'file', paths: ['etc/shadow'] }] })).status, 400);
  assert.equal((await c.call('PUT', `devices/${agent.device.id}/logs`, { items: [{ name: 'x', input: 'file', paths: ['/a/b'], format: 'nosuch' }] })).status, 400);
  assert.equal((await c.call('PUT', 'devices/none/logs', { items: [] })).status, 404);
});

test('a named log goes into the record under the machine\'s name, a rule fires on it, and what the machine refuses is not read', { timeout: 240e3 }, async () => {
  fs.writeFileSync(`${box.data}/rules/house.yml`, `title: House web rule\nid: ${RULE}\nstatus: test\nlevel: critical\nlogsource: {category: webserver}\ndetection:\n  a: {cs-uri-stem|contains: marker-webshell}\n  condition: a\n`, { mode: 0o644 });
  await c.post('rules/reload', {});
  append('access.log', '');
  append('private.log', 'marker-private\n');
  fs.symlinkSync('/etc/passwd', file('link.log'));
  await set([
    { name: 'nginx', input: 'file', paths: [file('access.log')], format: 'access' },
    { name: 'private', input: 'file', paths: [file('private.log')], from_start: true },
    { name: 'shadow', input: 'file', paths: ['/etc/shadow'], from_start: true },
    { name: 'link', input: 'file', paths: [file('link.log')], from_start: true },
  ]);
  await became('nginx', 'ok');
  for (const name of ['private', 'shadow', 'link']) await became(name, 'refused');
  append('access.log', '203.0.113.9 - - [23/Nov/2026:10:00:00 +0900] "GET /marker-webshell.php HTTP/1.1" 200 12 "-" "curl/7"\n');
  const [e] = await wait('marker-webshell', 1);
  const host = (await c.get('devices')).items.find((d) => d.id === agent.device.id).hostname;
  assert.equal(e.event['@host'], host);
  assert.deepEqual(e.rules, [RULE]);
  const sig = await L.until('the signal', async () => (await c.get('signals')).items.find((x) => x.rule === RULE), WAIT);
  assert.match(JSON.stringify(sig), new RegExp(host));
  const incident = await L.until('the incident', async () => (await c.get('incidents')).items[0], WAIT);
  assert.match(JSON.stringify(await c.get(`incidents/${incident.id}`)), new RegExp(host));
  assert.equal((await find('marker-private')).length, 0);
  assert.equal((await find('root:x:0')).length, 0);
});

test('nothing is lost and nothing doubled while files are turned over and parts, agent and box are killed', { timeout: 400e3 }, async () => {
  append('app.log', '');
  await set([{ name: 'app', input: 'file', paths: [file('app.log')] }]);
  await became('app', 'ok');
  let n = 0, going = true;
  const writer = (async () => {
    while (going) {
      append('app.log', Array.from({ length: 10 }, () => `<34>Nov 23 01:02:03 srv app[1]: marker-line n${n++}e\n`).join(''));
      await L.sleep(40);
    }
  })();
  const more = async () => {
    const from = n;
    await L.until('more lines', () => n > from + 200, WAIT);
  };
  for (const part of ['logs', 'link', 'logs']) {
    await more();
    process.kill(partsOf()[part], 'SIGKILL');
  }
  await more();
  fs.renameSync(file('app.log'), file('app.log.1'));
  await more();
  for (const pid of L.family(agent.process.pid).reverse()) process.kill(pid, 'SIGKILL');
  await more();
  execFileSync('gzip', [file('app.log.1')]);
  fs.renameSync(file('app.log.1.gz'), file('app.log.2.gz'));
  fs.renameSync(file('app.log'), file('app.log.1'));
  await more();
  agent.start();
  await more();
  for (const part of ['watch', 'brain', 'watch']) {
    process.kill(box.children()[part], 'SIGKILL');
    await more();
  }
  for (const pid of L.family(box.process.pid).reverse()) process.kill(pid, 'SIGKILL');
  await more();
  fs.renameSync(file('app.log.1'), file('app.log.3'));
  fs.renameSync(file('app.log'), file('app.log.1'));
  await more();
  fs.renameSync(file('app.log.1'), file('app.log.2'));
  execFileSync('gzip', ['-f', file('app.log.3')]);
  await more();
  going = false;
  await writer;
  const options = { ...box.options, port: box.options.port };
  box = await L.Box.start(options);
  c = await L.signIn(box, { one_time: person.codes[1] });
  const got = await L.until('all lines', async () => {
    const all = await find('"marker-line"');
    return all.length >= n && all;
  }, 120e3).catch(async (e) => {
    const have = new Set((await find('"marker-line"')).map((x) => /n\d+e/.exec(x.raw)[0]));
    const lost = Array.from({ length: n }, (_, i) => `n${i}e`).filter((k) => !have.has(k));
    const gaps = (await find('"sakimori-agent: gap"')).map((x) => x.raw);
    throw new Error(`${e.message}; ${lost.length} of ${n} are missing, from ${lost[0]} to ${lost.at(-1)}; ${gaps.join(' | ')}; ${JSON.stringify(await state('app'))}`);
  });
  const seen = new Map();
  for (const x of got) {
    const key = /n\d+e/.exec(x.raw)[0];
    seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  for (let i = 0; i < n; i++) assert.equal(seen.get(`n${i}e`), 1, `n${i}e of ${n}`);
  assert.equal(seen.size, n);
  assert.equal((await find('"sakimori-agent: gap"')).length, 0);
});

test('what is gone before it was read is told', { timeout: 240e3 }, async () => {
  await L.until('the agent', async () => (await c.get('devices')).items.find((d) => d.id === agent.device.id)?.state === 'ok', WAIT);
  const had = (await state('app')).gaps;
  await agent.stop();
  append('app.log', 'marker-lost\n');
  for (const name of fs.readdirSync(dir).filter((x) => x.startsWith('app.log'))) fs.rmSync(file(name));
  append('app.log', 'marker-after-gap\n');
  agent.start();
  await wait('marker-after-gap', 1);
  await wait('"sakimori-agent: gap in app"', 1);
  await L.until('the count', async () => (await state('app')).gaps > had, WAIT);
  const alarm = await L.until('the alarm', async () => (await c.get('alarms')).items.find((a) => a.kind === 'log_gap'), WAIT);
  assert.match(JSON.stringify(alarm), /karte-server: app/);
});

test('the journal is read by its cursor, through a kill', { timeout: 240e3, skip: !fs.existsSync(remote) && 'no systemd-journal-remote here' }, async () => {
  const write = (i, text) => execFileSync(remote, ['-o', path.join(journal, 'machine.journal'), '-'], {
    input: `__REALTIME_TIMESTAMP=${(Date.now() * 1000).toString()}\n__MONOTONIC_TIMESTAMP=${1000 + i}\n_BOOT_ID=0123456789abcdef0123456789abcdef\nMESSAGE=${text}\nSYSLOG_IDENTIFIER=sshd\n_COMM=sshd\n_PID=77\nPRIORITY=6\n_HOSTNAME=clinic-srv\n\n`, stdio: ['pipe', 'ignore', 'ignore'],
  });
  write(1, 'marker-journal-before');
  await set([{ name: 'journal', input: 'journald', paths: [journal] }]);
  await became('journal', 'ok');
  write(2, 'Failed password for marker-journal from 203.0.113.7 port 4711 ssh2');
  const [e] = await wait('"marker-journal"', 1);
  assert.equal(e.event['@host'], 'clinic-srv');
  assert.equal(e.event.src_ip, '203.0.113.7');
  process.kill(partsOf().logs, 'SIGKILL');
  write(3, 'Failed password for marker-journal from 203.0.113.7 port 4712 ssh2');
  await wait('"marker-journal"', 2);
  await agent.stop();
  write(4, 'Failed password for marker-journal from 203.0.113.7 port 4713 ssh2');
  agent.start();
  await wait('"marker-journal"', 3);
  assert.equal((await find('marker-journal-before')).length, 0);
  assert.equal((await find('"gap in journal"')).length, 0);
});

test('the records of one audit event are joined', { timeout: 120e3 }, async () => {
  append('audit.log', '');
  await set([{ name: 'audit', input: 'audit', paths: [file('audit.log')], format: 'audit' }]);
  await became('audit', 'ok');
  append('audit.log', 'type=SYSCALL msg=audit(1795395600.100:901): arch=c000003e syscall=59 success=yes exit=0 ppid=10 pid=11 auid=1000 uid=0 comm="curl" exe="/usr/bin/curl"\n');
  append('audit.log', 'type=EXECVE msg=audit(1795395600.100:901): argc=2 a0="curl" a1="http://198.51.100.9/marker-audit"\n');
  append('audit.log', 'type=EOE msg=audit(1795395600.100:901): \ntype=USER_END msg=audit(1795395601.000:902): pid=1 marker-end\n');
  await L.until('the event of both', async () => (await find('"marker-audit"')).some((x) => x.event.CommandLine?.includes('marker-audit') && x.event.Image === '/usr/bin/curl'), WAIT);
});

test('a file with a head of columns is read by it, also after the box was restarted', { timeout: 180e3 }, async () => {
  append('iis.log', '');
  await set([{ name: 'iis', input: 'file', paths: [file('iis.log')], format: 'w3c' }]);
  await became('iis', 'ok');
  append('iis.log', '#Software: IIS\n#Fields: date time c-ip x-marker sc-status\n2026-11-23 01:00:00 203.0.113.5 marker-head-1 404\n');
  const [one] = await wait('"marker-head-1"', 1);
  assert.equal(one.event['x-marker'], 'marker-head-1');
  await L.until('the head on the disk', () => fs.readFileSync(`${box.data}/watch/heads`, 'utf8').includes('/iis'), WAIT);
  process.kill(box.children().watch, 'SIGKILL');
  append('iis.log', '2026-11-23 01:00:01 203.0.113.5 marker-head-2 500\n');
  const [two] = await wait('"marker-head-2"', 1);
  assert.equal(two.event['x-marker'], 'marker-head-2');
});

test('the machine\'s owner may refuse everything, and the parts stay small', { timeout: 120e3 }, async () => {
  const pid = partsOf().logs;
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  assert.ok(Number(/VmHWM:\s+(\d+)/.exec(status)[1]) >> 10 < 64);
  if (process.getuid() === 0) assert.notEqual(/Uid:\s+(\d+)/.exec(status)[1], '0');
  await agent.stop();
  fs.writeFileSync(`${agent.data}/policy.conf`, 'endpoint = no\nlogs = no\n', { mode: 0o644 });
  append('iis.log', '2026-11-23 01:00:02 203.0.113.5 marker-refused 404\n');
  agent.start();
  await became('iis', 'refused');
  assert.equal((await find('marker-refused')).length, 0);
});
