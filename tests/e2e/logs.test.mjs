// Logs from real senders into the record of a real box, by every way in, with senders that misbehave and parts that are killed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import * as L from './lib.mjs';
import { Foe } from './foe.mjs';

let box, c, person;
const port = { udp: L.freePort() + 20000, tcp: L.freePort() + 20001, tls: L.freePort() + 20000 };
before(async () => {
  box = await L.Box.start({ config: { syslog_udp: port.udp, syslog_tcp: port.tcp, syslog_tls: port.tls, rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
});
after(async () => box?.stop().catch(() => {}));

const dial = (p) => new Promise((ok, fail) => {
  const s = net.connect(p, '127.0.0.1', () => ok(s));
  s.on('error', fail);
});
const dialTls = () => new Promise((ok, fail) => {
  const s = tls.connect({ port: port.tls, host: '127.0.0.1', servername: 'localhost', ca: box.ca }, () => ok(s));
  s.on('error', fail);
});
const push = (s, bytes) => new Promise((ok) => s.write(bytes, ok));
const find = async (q, more = '') => (await c.get(`logs/search?q=${encodeURIComponent(q)}&limit=500&raw=1${more}`)).items;
/** Wait until the query finds exactly n events. */
const wait = (q, n, ms = 30000) => L.until(`${n} of ${q}`, async () => {
  const got = await find(q);
  return got.length >= n && got;
}, ms).then((got) => {
  assert.equal(got.length, n, q);
  return got;
});
const counted = (m) => `${Buffer.byteLength(m)} ${m}`;

test('every way in ends in the record, as it came', { timeout: 90e3 }, async () => {
  execFileSync('logger', ['--server', '127.0.0.1', '--port', String(port.udp), '--udp', '--rfc3164', 'marker-logger-udp']);
  execFileSync('logger', ['--server', '127.0.0.1', '--port', String(port.tcp), '--tcp', '--rfc5424', '--octet-count', 'marker-logger-tcp']);
  const lines = await dial(port.tcp);
  await push(lines, '<34>Nov 23 01:02:03 srv-1 app[7]: marker-lines one\r\n<34>Nov 23 01:02:04 srv-1 app[7]: marker-lines two\n<34>Nov 23 01:02:05 srv-1 app[7]: marker-lines thr');
  await push(lines, 'ee\n');
  const count = await dial(port.tcp);
  await push(count, counted('<165>1 2026-11-23T01:02:03Z host-2 app 9 - - marker-counted a\nb') + counted('<165>1 2026-11-23T01:02:03Z host-2 app 9 - - marker-counted c'));
  const safe = await dialTls();
  await push(safe, counted('<165>1 2026-11-23T01:02:03Z host-3 app 9 - - marker-tls'));
  await wait('marker-logger-udp', 1);
  await wait('marker-logger-tcp', 1);
  const three = await wait('marker-lines', 3);
  assert.ok(three.some((x) => x.raw === '<34>Nov 23 01:02:05 srv-1 app[7]: marker-lines three'));
  assert.equal(three[0].event['@host'], 'srv-1');
  const two = await wait('marker-counted', 2);
  assert.ok(two.some((x) => x.raw.includes('\n')));
  await wait('marker-tls', 1);
  for (const s of [lines, count, safe]) s.destroy();
  const sources = await L.until('the sources', async () => {
    const got = (await c.get('logs/sources')).items;
    return ['udp', 'tcp', 'tls'].every((l) => got.some((s) => s.listener === l)) && got;
  });
  const srv = sources.find((s) => s.host === 'srv-1');
  assert.equal(srv.state, 'new');
  assert.equal(srv.count, 3);
  const set = await c.must('PATCH', `logs/sources/${srv.id}`, { state: 'ok', name: '受付のサーバー', silent_s: 600 });
  assert.equal(set.name, '受付のサーバー');
});

test('bytes of Japan are read and kept as they came', { timeout: 60e3 }, async () => {
  const s = await dial(port.tcp);
  const sjis = Buffer.concat([Buffer.from('<34>Nov 23 01:02:03 nas-1 web[1]: marker-sjis '), Buffer.from('8aB38ed282cc8b4c985e', 'hex'), Buffer.from('\n')]); // 患者の記録
  await push(s, sjis);
  await push(s, Buffer.from('<34>Nov 23 01:02:03 nas-1 web[1]: marker-rubbish \xff\xfe\x00\x01\n', 'latin1'));
  const [one] = await wait('患者 marker-sjis', 1);
  assert.match(JSON.stringify(one.event), /患者の記録/);
  assert.equal(Buffer.from(one.raw_b64, 'base64').compare(sjis.subarray(0, sjis.length - 1)), 0);
  await wait('marker-rubbish', 1);
  s.destroy();
});

test('half frames, a line without end, a stall and a flood harm no other sender', { timeout: 180e3 }, async () => {
  const half = await dial(port.tcp);
  await push(half, '500 <34>Nov 23 01:02:03 half-1 app: marker-half');
  half.end();
  const [h] = await wait('marker-half', 1);
  assert.match(JSON.stringify(h.event['@notes'] ?? []), /cut/);
  const endless = await dial(port.tcp);
  const blob = Buffer.alloc(1 << 20, 'x');
  await push(endless, '<34>Nov 23 01:02:03 long-1 app: marker-endless ');
  for (let i = 0; i < 100; i++) await push(endless, blob);
  await push(endless, '\n<34>Nov 23 01:02:03 long-1 app: marker-after\n');
  await wait('marker-after', 1);
  const [e] = await wait('marker-endless', 1, 60000);
  assert.match(JSON.stringify(e.event['@notes'] ?? []), /cut/);
  endless.destroy();
  const stalled = await Promise.all(Array.from({ length: 40 }, () => dial(port.tcp)));
  for (const s of stalled) await push(s, '<34>Nov 23 01:02');
  let flooding = true;
  const flood = (async () => {
    const d = dgram.createSocket('udp4');
    d.bind(0, '127.0.0.9');
    while (flooding) {
      for (let i = 0; i < 500; i++) d.send(`<34>Nov 23 01:02:03 flood-1 app: flood ${i}`, port.udp, '127.0.0.1');
      await L.sleep(2);
    }
    d.close();
  })();
  const quiet = await dial(port.tcp);
  for (let i = 0; i < 20; i++) {
    await push(quiet, `<34>Nov 23 01:02:03 quiet-1 app: marker-quiet ${i}\n`);
    await L.sleep(50);
  }
  await wait('marker-quiet', 20, 60000);
  flooding = false;
  await flood;
  for (const s of [...stalled, quiet]) s.destroy();
  const kids = box.children();
  for (const part of ['collector', 'watch']) {
    const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${kids[part]}/status`, 'utf8'))[1]) >> 10;
    assert.ok(peak < 400, `${part} took ${peak} MiB`);
  }
});

const record = (text) => {
  const b = Buffer.from(text), h = Buffer.alloc(12);
  h.writeUInt32LE(b.length, 0);
  h.writeBigInt64LE(BigInt(Date.now()) * 1000000n, 4);
  return Buffer.concat([h, b]);
};

test('what a machine was answered for is kept once, whichever part is killed', { timeout: 240e3 }, async () => {
  const data = path.join(L.tempDir('log-machine'), 'data');
  const code = await c.post('devices/codes', { name: 'log-machine' });
  await L.run(L.programs.agent, ['join', box.agentUrl, code.code, '--data', data, '--name', 'log-machine']);
  const foe = new Foe(data); // the machine's certificate, and a protocol spoken by hand
  const send = (n, bytes) => foe.call('POST', `/agent/v1/events?stream=file/messages&number=${n}`, bytes);
  const answered = new Set();
  let number = 0, going = true;
  const sender = (async () => {
    while (going) {
      number++;
      const batch = Buffer.concat(Array.from({ length: 20 }, (_, i) => record(`<34>Nov 23 01:02:03 agent-1 app: marker-once n${number}r${i}`)));
      for (;;) {
        const r = await send(number, batch).catch(() => null);
        if (r?.status === 200) break;
        if (!going) return;
        await L.sleep(100);
      }
      answered.add(number);
      if (number % 7 === 0) assert.ok([0, 200, 500, 503].includes((await send(number, batch)).status)); // as if the answer had been lost
    }
  })();
  for (const part of ['watch', 'collector', 'keyd', 'watch', 'seeker', 'watch', 'brain', 'watch']) {
    const before = answered.size;
    await L.until('some answers', () => answered.size > before + 5, 60000);
    process.kill(box.children()[part], 'SIGKILL');
  }
  const before = answered.size;
  await L.until('answers after the last kill', () => answered.size > before + 5, 60000);
  going = false;
  await sender;
  const seen = new Map();
  let cursor = '';
  do {
    const r = await c.get(`logs/search?q=${encodeURIComponent('"marker-once"')}&limit=500&raw=1&cursor=${cursor}`);
    for (const x of r.items) {
      const key = /n\d+r\d+/.exec(x.raw)[0];
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    cursor = r.next;
  } while (cursor);
  for (const n of answered) for (let i = 0; i < 20; i++) assert.equal(seen.get(`n${n}r${i}`), 1, `n${n}r${i} of ${answered.size} batches`);
  const bad = await send(number + 1, Buffer.from('no records at all'));
  assert.equal(bad.status, 400);
});

// Several groups are on their way at once: one is kept while the next is read.
test('lines of one sender stand in the record in the order they were sent, across groups and blocks', { timeout: 240e3 }, async () => {
  const n = 70_000, s = await dial(port.tcp), had = (await c.get('logs')).taken;
  for (let from = 0; from < n; from += 5000)
    await push(s, Array.from({ length: 5000 }, (_, i) => `<34>Nov 23 01:02:03 srv-9 app[7]: marker-order number ${from + i}${(from + i) % 500 ? '' : ' marker-mile'}\n`).join(''));
  s.destroy();
  await L.until('all of them', async () => (await c.get('logs')).taken >= had + n, 180000);
  const miles = (await wait('"marker-mile"', n / 500, 60000)).sort((a, b) => a.id - b.id);
  assert.deepEqual(miles.map((x) => Number(/number (\d+)/.exec(x.raw)[1])), Array.from({ length: n / 500 }, (_, i) => i * 500));
  assert.ok(miles.every((x, i) => !i || x.id - miles[i - 1].id >= 500), 'each with what stood between');
});

test('killed parts come back and TCP senders are served again', { timeout: 90e3 }, async () => {
  for (const part of ['collector', 'watch', 'keyd']) {
    process.kill(box.children()[part], 'SIGKILL');
    await L.until(`${part} again`, () => box.children()[part], 30000);
    const mark = `marker-back-${part}`;
    await L.until(mark, async () => {
      const s = await dialTls().catch(() => null);
      if (!s) return false;
      await push(s, counted(`<34>1 2026-11-23T01:02:03Z back-1 app - - - ${mark}`));
      s.end();
      await L.sleep(700);
      return (await find(mark)).length > 0;
    }, 40000);
  }
});

test('a rule of the house makes a signal; switched off it makes none', { timeout: 90e3 }, async () => {
  fs.writeFileSync(`${box.data}/rules/house.yml`, 'title: House rule\nid: 0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d11\nstatus: test\nlevel: high\nlogsource: {product: linux}\ndetection:\n  a: {Message|contains: marker-alert}\n  condition: a\n', { mode: 0o644 });
  fs.writeFileSync(`${box.data}/rules/broken.yml`, 'title: Broken\ndetection: [', { mode: 0o644 });
  fs.writeFileSync(`${box.data}/rules/count.yml`, 'title: House count base\nname: house_count_base\nid: 0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d12\nstatus: test\nlevel: low\nlogsource: {product: linux}\ndetection:\n  a: {Message|contains: marker-count}\n  condition: a\n---\ntitle: House count\nid: 0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d13\nstatus: test\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [house_count_base]\n  group-by: [Computer]\n  timespan: 5m\n  condition: {gte: 3}\n', { mode: 0o644 });
  await c.post('rules/reload', {});
  const loaded = await L.until('the rule', async () => (await c.get('rules?faults=1&text=House')).items[0] && c.get('rules?faults=1&text=House'));
  assert.ok(loaded.faults.some((f) => f.file.includes('broken.yml')));
  const s = await dial(port.tcp);
  await push(s, '<34>Nov 23 01:02:03 srv-9 sshd[7]: marker-alert one\n');
  const sig = await L.until('the signal', async () => (await c.get('signals')).items.find((x) => x.rule === '0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d11'), 20000);
  assert.equal(sig.level, 'high');
  await push(s, `<34>1 ${new Date(Date.now() + 3 * 86400e3).toISOString()} srv-ahead sshd 7 - - marker-alert of a clock that is ahead\n`);
  const ahead = await L.until('the signal of the clock', async () => (await c.get('signals')).items.find((x) => JSON.stringify(x.entities).includes('srv-ahead')));
  assert.ok(Math.abs(Date.parse(ahead.at) - Date.now()) < 15 * 60e3, `${ahead.at}: what counts is when it came`);
  assert.ok(Date.parse((await wait('"clock that is ahead"', 1))[0].event['@timestamp']) > Date.now() + 2 * 86400e3, 'the record has what was said');
  const stamp = new Date().toLocaleTimeString('en-GB', { timeZone: 'Asia/Tokyo' });
  const day = new Date().toLocaleDateString('en-US', { timeZone: 'Asia/Tokyo', month: 'short', day: '2-digit' });
  for (let i = 0; i < 3; i++) await push(s, `<34>${day} ${stamp} srv-9 sshd[7]: marker-count ${i}\n`);
  await L.until('the signal of several events', async () => (await c.get('signals')).items.find((x) => x.rule === '0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d13'), 20000);
  assert.equal((await c.get('signals')).items.filter((x) => x.rule === '0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d12').length, 0, 'what only counts is no signal by itself');
  await c.must('PATCH', 'rules/0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d11', { on: false });
  await L.until('the switch', async () => (await c.get('rules?text=House')).items.find((r) => r.title === 'House rule')?.off === true);
  await push(s, '<34>Nov 23 01:02:03 srv-9 sshd[7]: marker-alert two\n');
  const [two] = await wait('"marker-alert two"', 1);
  assert.deepEqual(two.rules, []);
  s.destroy();
  assert.equal((await c.call('PATCH', 'rules/0b2c0a55-6f1', { on: false })).status, 404, 'the beginning of an id is no rule');
  assert.equal((await c.call('PATCH', 'rules/no-such-rule', { on: true })).status, 404);
  fs.rmSync(`${box.data}/rules/house.yml`);
  await c.post('rules/reload', {});
  await L.until('the rule gone', async () => !(await c.get('rules?text=House')).items.some((r) => r.title === 'House rule'));
  await c.must('PATCH', 'rules/0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d11', { on: true });
  assert.equal((await c.call('PATCH', 'rules/0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d11', { on: true })).status, 404, 'neither loaded nor switched off');
});

test('the command line searches, exports and names a wrong query', { timeout: 60e3 }, async () => {
  const cli = (args, o) => L.run(L.programs.cli, args, o);
  const home = L.tempDir('home');
  const env = { SAKIMORI_DATA: box.data, HOME: home, LANG: 'en_US.UTF-8', XDG_CONFIG_HOME: home };
  const answers = `${home}/answers`;
  fs.writeFileSync(answers, JSON.stringify({ account: 'incho', password: L.password, one_time: person.codes[0] }), { mode: 0o600 });
  await cli(['sign-in', '--answers', answers], { env });
  assert.match((await cli(['logs', 'search', 'marker-tls'], { env })).out, /marker-tls/);
  assert.match((await cli(['logs', 'export', 'marker-lines'], { env })).out, /marker-lines one/);
  assert.match((await cli(['logs', 'export', 'marker-lines', '--csv'], { env })).out, /"srv-1"/);
  assert.match((await cli(['logs', 'sources'], { env })).out, /srv-1/);
  assert.match((await cli(['logs', 'verify'], { env })).out, /as they were written/);
  assert.match((await cli(['rule', 'list', 'House count base'], { env })).out, /0b2c0a55-6f1\s/);
  assert.equal((await cli(['rule', 'off', '0b2c0a55-6f1'], { env, any: true })).code, 4, 'two rules begin so');
  assert.equal((await cli(['rule', 'off', '0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0dff'], { env, any: true })).code, 4);
  const [some] = (await c.get('rules?limit=1&source=shipped')).items;
  for (const [word, off] of [['off', true], ['on', false]]) {
    await cli(['rule', word, some.id.slice(0, 12)], { env });
    await L.until(`rule ${word}`, async () => (await c.get(`rules?id=${some.id}&limit=200`)).items[0]?.off === off || (await c.get(`rules?text=${some.id}`)).items[0]?.off === off);
  }
  const bad = await cli(['logs', 'search', 'host:(a OR'], { env, any: true });
  assert.notEqual(bad.code, 0);
  assert.match(bad.err, /\^/);
  const wrong = await cli(['logs', 'export', 'host:((', `${home}/none.jsonl`], { env, any: true });
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.err, /[Qq]uery, character 7: /);
  assert.ok(!fs.existsSync(`${home}/none.jsonl`), 'no empty file stays');
  const [from] = (await c.get('logs/sources')).items;
  for (const [option, name, known] of [['--format', 'nosuch', /format|windows-xml/], ['--encoding', 'klingon', /cp932/]]) {
    const no = await cli(['logs', 'source', from.id, option, name], { env, any: true });
    assert.notEqual(no.code, 0);
    assert.match(no.err, known);
  }
  assert.ok(!(await c.get('logs/sources')).items.some((x) => x.format === 'nosuch' || x.encoding === 'klingon'));
  await cli(['logs', 'source', from.id, '--format', 'syslog', '--encoding', 'cp932'], { env });
  await cli(['logs', 'source', from.id, '--format', '', '--encoding', ''], { env });
  const long = await dial(port.tcp);
  await push(long, `<34>Nov 23 01:02:03 srv-9 app: marker-long ${'長い'.repeat(1000)}\n`);
  long.destroy();
  await wait('"marker-long"', 1);
  assert.ok(Math.max(...(await cli(['logs', 'search', '"marker-long"'], { env })).out.split('\n').map((l) => l.length)) < 400);
  assert.ok((await cli(['logs', 'search', '"marker-long"', '--json'], { env })).out.includes('長い'.repeat(1000)));
  const said = await c.call('GET', 'logs/export?q=((');
  assert.equal(said.status, 400);
  assert.equal(said.json?.error?.field ?? said.body?.error?.field, 'q');
  assert.match((await cli(['logs', 'verify'], { env })).out, /\d+ events (not yet sealed|are as they were written)/);
});

test('a damaged write-ahead file calls a person, and the record says so', { timeout: 60e3 }, async () => {
  for (const mark of ['marker-wal-1', 'marker-wal-2']) {
    const s = await dial(port.tcp);
    await push(s, `<34>Nov 23 01:02:03 srv-9 sshd[7]: ${mark}\n`);
    s.destroy();
    await wait(`"${mark}"`, 1);
  }
  const name = fs.readdirSync(`${box.data}/journal`).filter((n) => n.startsWith('wal-')).sort().at(-1);
  const fd = fs.openSync(`${box.data}/journal/${name}`, 'r+');
  const b = Buffer.alloc(1);
  fs.readSync(fd, b, 0, 1, 60);
  fs.writeSync(fd, Buffer.from([b[0] ^ 4]), 0, 1, 60);
  fs.closeSync(fd);
  process.kill(box.children().watch, 'SIGKILL');
  const alarm = await L.until('the alarm', async () => (await c.get('alarms')).items.find((a) => a.kind === 'log_damaged'), 30000);
  assert.equal(alarm.state, 'call');
  assert.match(JSON.stringify(alarm), /write-ahead file/);
  assert.match((await L.until('watch', () => c.get('logs').catch(() => null))).damaged, /write-ahead file/);
  await c.post('logs/verify', {});
  const done = await L.until('verified', async () => { const v = await c.get('logs/verify'); return !v.running && v; });
  assert.equal(done.ok, false);
  assert.ok(done.findings.some((f) => f.file === name && f.fault));
});
