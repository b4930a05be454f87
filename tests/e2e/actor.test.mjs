// What a machine does for an order: isolated it reaches its box and nobody else, blocked destinations are not reached, trees are killed;
// it ends by itself, by order, and holds over a new start. Everything in network namespaces of its own: the test starts itself in one.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as L from './lib.mjs';

const inside = process.env.SAKIMORI_ACTOR_NS;
const can = () => process.getuid() === 0 && spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up && nft list ruleset']).status === 0;

if (!inside) {
  test('orders to a machine, in a network of its own', { timeout: 600e3, skip: can() ? false : 'needs root, ip and nft' }, async () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env; // else it takes itself for a part of this run
    const p = L.track(spawn('unshare', ['-n', process.execPath, '--test-reporter=spec', fileURLToPath(import.meta.url)],
      { env: { ...env, SAKIMORI_ACTOR_NS: '1' }, stdio: ['ignore', 'pipe', 'pipe'] }));
    let out = '';
    for (const s of [p.stdout, p.stderr]) s.on('data', (d) => (out += d));
    const code = await new Promise((ok) => p.on('exit', ok));
    console.log(out.split('\n').filter((l) => l.includes('ms until')).join('\n'));
    assert.equal(code, 0, out);
    assert.match(out, /tests 10\b/, out);
  });
} else {
  const ns = `skm-${process.pid}`, BOX = '10.77.0.1', OTHER = '10.77.0.9', MACHINE = '10.77.0.2';
  const ip = (...a) => execFileSync('ip', a, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  let box, c, agent, id, place, secret;
  after(async () => {
    await agent?.stop().catch(() => {});
    await box?.stop().catch(() => {});
    L.clearUp();
    try { ip('netns', 'del', ns); } catch { /* it was not made */ }
  });

  /** Does a connection from the machine to this place come about? */
  const reaches = (host, port) => spawnSync('ip', ['netns', 'exec', ns, process.execPath, '-e',
    `const s=require('net').connect(${port},'${host}');s.on('connect',()=>process.exit(0));s.on('error',()=>process.exit(1));setTimeout(()=>process.exit(2),1500)`]).status === 0;
  const table = () => spawnSync('ip', ['netns', 'exec', ns, 'nft', 'list', 'table', 'inet', 'sakimori']).stdout.toString();
  const actions = async () => (await c.get(`devices/${id}/actions`)).items;
  async function order(action, args = {}, more = {}) {
    const r = await c.post(`devices/${id}/actions`, { action, args, ...more });
    return L.until(`${action} to end`, async () => {
      const a = (await actions()).find((x) => x.id === r.id);
      return ['done', 'failed', 'undone', 'ended'].includes(a.state) && a;
    });
  }
  async function done(action, args, more) {
    const a = await order(action, args, more);
    assert.equal(a.state, 'done', JSON.stringify(a));
    return a;
  }
  const cli = (...args) => L.run(L.programs.cli, ['--data', box.data, '--token-file', path.join(place, 'token'), '--lang', 'en', ...args], { any: true });
  /** Every process of this agent at once: its halves would start each other again. Gives how many there were. */
  function killAgent() {
    const own = fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n)).filter((n) => {
      try { return fs.readFileSync(`/proc/${n}/cmdline`, 'utf8').split('\0').includes(agent.data) && !fs.readFileSync(`/proc/${n}/stat`, 'utf8').includes(') Z '); } catch { return false; }
    });
    for (const pid of own) { try { process.kill(Number(pid), 'SIGKILL'); } catch { /* it ended meanwhile */ } }
    return own.length;
  }
  const listen = (host, port) => new Promise((ok) => {
    const s = net.createServer((x) => x.on('error', () => {}).resume());
    s.listen(port, host, () => ok(s));
    s.unref();
  });

  test('a machine joins its box over a network', { timeout: 300e3 }, async () => {
    ip('link', 'set', 'lo', 'up');
    ip('netns', 'add', ns);
    ip('link', 'add', 'skm0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns);
    for (const a of [BOX, OTHER]) ip('addr', 'add', `${a}/24`, 'dev', 'skm0');
    ip('link', 'set', 'skm0', 'up');
    ip('-n', ns, 'addr', 'add', `${MACHINE}/24`, 'dev', 'eth0');
    for (const l of ['lo', 'eth0']) ip('-n', ns, 'link', 'set', l, 'up');
    ip('-n', ns, 'route', 'add', 'default', 'via', BOX);
    await Promise.all([listen(OTHER, 7001), listen(BOX, 7002)]);
    place = L.tempDir('actor', 0o755);
    fs.mkdirSync(path.join(place, 'watched'));
    const wrapper = path.join(place, 'agent.sh');
    fs.writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${ns} ${L.programs.agent} "$@"\n`, { mode: 0o755 });
    L.programs.agent = wrapper;
    box = await L.Box.start({ args: ['--listen', '0.0.0.0'] });
    box.agentUrl = box.agentUrl.replace(/\/\/[^/]*:/, `//${BOX}:`);
    ({ client: c, codes: [secret] } = await L.setUp(box));
    const data = path.join(place, 'agent');
    fs.mkdirSync(data, { mode: 0o711 });
    fs.writeFileSync(path.join(data, 'policy.conf'), `protect = ${place}/watched\n`);
    agent = await L.Agent.join(box, c, 'uketsuke-1', { data, endpoint: true });
    id = agent.device.id;
    assert.ok(reaches(OTHER, 7001) && reaches(BOX, 7002));
  });

  test('an isolated machine reaches its box alone, and is released', { timeout: 300e3 }, async () => {
    const t0 = Date.now();
    const r = await c.post(`devices/${id}/actions`, { action: 'isolate', args: {}, for_s: 3600 });
    await L.until('the table', () => table().includes('apart_out'));
    console.log(`${Date.now() - t0} ms until the table was seen`);
    await L.until('isolate to be done', async () => (await actions()).find((x) => x.id === r.id).state === 'done');
    assert.ok(!reaches(OTHER, 7001), 'another machine');
    assert.ok(!reaches(BOX, 7002), 'another port of the box');
    const a = (await actions()).find((x) => x.id === r.id);
    assert.equal(a.undo, 'release');
    assert.ok(Date.parse(a.until) > Date.now() + 3500e3);
    assert.ok(a.by_name.length > 0);
    // A shorter one does not take its place unless that is asked for.
    const kept = await done('isolate', {}, { for_s: 60 });
    assert.ok(kept.facts.kept_s > 600, JSON.stringify(kept));
    assert.match(kept.detail, /そのまま/);
    assert.ok(Date.parse(kept.until) > Date.now() + 600e3, JSON.stringify(kept));
    const cut = await done('isolate', { shorter: true }, { for_s: 600 });
    assert.ok(Date.parse(cut.until) < Date.now() + 601e3 && !cut.facts.kept_s, JSON.stringify(cut));
    assert.ok(!reaches(OTHER, 7001));
    // The box is still there: the next order comes through.
    await done('release');
    assert.equal((await actions()).find((x) => x.id === r.id).state, 'undone');
    assert.ok(!table().includes('apart_out'));
    assert.ok(reaches(OTHER, 7001));
  });

  test('isolation holds over a new start of the agent and ends by itself', { timeout: 300e3 }, async () => {
    await done('isolate', {}, { for_s: 60 });
    await agent.stop();
    spawnSync('ip', ['netns', 'exec', ns, 'nft', 'delete', 'table', 'inet', 'sakimori']); // as after a new start of the machine
    assert.ok(reaches(OTHER, 7001));
    agent.start();
    await L.until('the table made again', () => table().includes('apart_out'));
    assert.ok(!reaches(OTHER, 7001));
    await L.until('its end', () => !table().includes('apart_out'), 240e3);
    assert.ok(reaches(OTHER, 7001));
    assert.ok(['ended', 'done'].includes((await actions())[0].state));
  });

  test('isolation ends without the agent', { timeout: 300e3 }, async () => {
    await done('isolate', {}, { for_s: 60 });
    await L.until('the agent, its guard too, to be gone', () => !killAgent());
    assert.ok(!reaches(OTHER, 7001));
    fs.writeFileSync(path.join(place, 'in.json'), JSON.stringify({ password: L.password, one_time: secret }), { mode: 0o600 });
    assert.equal((await cli('sign-in', 'incho', '--answers', path.join(place, 'in.json'))).code, 0);
    const late = await cli('endpoint', 'act', 'uketsuke-1', 'release', '--wait', '1');
    assert.equal(late.code, 6, `${late.out}${late.err}`);
    assert.match(late.err, /has not taken the order yet/);
    await L.until('the kernel to end it', () => reaches(OTHER, 7001), 240e3);
    agent.start();
    await done('release');
  });

  test('a blocked destination is not reached, others are; it holds over a new start', { timeout: 300e3 }, async () => {
    await done('block_address', { to: OTHER }, { for_s: 3600 });
    assert.ok(!reaches(OTHER, 7001));
    assert.ok(reaches(BOX, 7002));
    await agent.stop();
    spawnSync('ip', ['netns', 'exec', ns, 'nft', 'delete', 'table', 'inet', 'sakimori']);
    agent.start();
    await L.until('the block made again', () => table().includes(OTHER));
    assert.ok(!reaches(OTHER, 7001));
    await done('unblock_address', { to: OTHER });
    assert.ok(reaches(OTHER, 7001));
    const a = await order('block_address', { to: `${BOX}` });
    assert.equal(a.state, 'failed');
    assert.match(a.detail, /箱/);
    for (const to of ['0.0.0.0/0', '::/0', '128.0.0.0/1', '127.0.0.1', '::1']) {
      const r = await c.call('POST', `devices/${id}/actions`, { action: 'block_address', args: { to } });
      assert.equal(r.status, 400, to);
    }
  });

  test('a tree of processes is killed, and process 1 is not', { timeout: 300e3 }, async () => {
    const p = L.track(spawn('sh', ['-c', 'sleep 1000 & sleep 1000 & wait'], { stdio: 'ignore' }));
    const ended = new Promise((ok) => p.on('exit', (code, signal) => ok(signal)));
    const start = Number(fs.readFileSync(`/proc/${p.pid}/stat`, 'utf8').split(') ')[1].split(' ')[19]);
    await L.until('its children', () => L.family(p.pid).length === 3);
    const family = L.family(p.pid);
    const a = await done('kill', { processes: [{ pid: p.pid, start }] });
    assert.equal(await ended, 'SIGKILL');
    assert.equal(a.facts.killed, 3);
    for (const pid of family.slice(1)) await L.until('its end', () => !fs.existsSync(`/proc/${pid}`) || fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '));
    assert.equal((await c.call('POST', `devices/${id}/actions`, { action: 'kill', args: { processes: [{ pid: 1, start: 1 }] } })).status, 400);
  });

  test('an evidence pack is collected, signed, sent in pieces, and read by the director alone', { timeout: 300e3 }, async () => {
    const a = await L.until('the pack', async () => {
      const r = await c.post(`devices/${id}/actions`, { action: 'evidence', args: {} });
      return L.until('its end', async () => {
        const x = (await actions()).find((y) => y.id === r.id);
        return ['done', 'failed'].includes(x.state) && x;
      }, 200e3);
    });
    assert.equal(a.state, 'done', JSON.stringify(a));
    const p = await c.get(`evidence-packs/${a.pack}`);
    const statement = JSON.parse(p.signed.statement);
    const parts = [];
    for (let at = 0; at < p.bytes;) {
      const r = await c.call('GET', `evidence-packs/${a.pack}/file?offset=${at}`);
      assert.equal(r.status, 200);
      parts.push(r.raw);
      at += r.raw.length;
    }
    const whole = Buffer.concat(parts), file = path.join(place, 'pack.tar.zst'), out = path.join(place, 'pack');
    assert.equal(whole.length, p.bytes);
    assert.equal(crypto.createHash('sha256').update(whole).digest('hex'), p.sha256);
    assert.equal(statement.sha256, p.sha256);
    fs.writeFileSync(file, whole);
    fs.mkdirSync(out);
    const zstd = spawnSync('python3', ['-c', `
import ctypes,ctypes.util,tarfile,io,sys
z=ctypes.CDLL('libzstd.so.1'); z.ZSTD_createDStream.restype=ctypes.c_void_p
class B(ctypes.Structure): _fields_=[('p',ctypes.c_void_p),('n',ctypes.c_size_t),('at',ctypes.c_size_t)]
d=open(sys.argv[1],'rb').read(); s=ctypes.c_void_p(z.ZSTD_createDStream()); z.ZSTD_initDStream(s)
b=ctypes.create_string_buffer(d,len(d)); i=B(ctypes.cast(b,ctypes.c_void_p),len(d),0); o=ctypes.create_string_buffer(1<<20); all=b''
z.ZSTD_decompressStream.restype=ctypes.c_size_t
while i.at<i.n:
    x=B(ctypes.cast(o,ctypes.c_void_p),1<<20,0); r=z.ZSTD_decompressStream(s,ctypes.byref(x),ctypes.byref(i)); assert r<1<<60; all+=o.raw[:x.at]
tarfile.open(fileobj=io.BytesIO(all)).extractall(sys.argv[2])`, file, out]);
    assert.equal(zstd.status, 0, String(zstd.stderr));
    const sums = fs.readFileSync(path.join(out, 'SHA256SUMS'), 'utf8').trim().split('\n').map((l) => l.split('  '));
    for (const [sum, name] of sums) assert.equal(crypto.createHash('sha256').update(fs.readFileSync(path.join(out, name))).digest('hex'), sum, name);
    assert.equal(statement.files.length, sums.length);
    for (const name of ['facts.json', 'processes.jsonl', 'net/tcp', 'maps.txt', 'recent-files.tsv', 'agent/journal-000001.jsonl']) assert.ok(sums.some(([, n]) => n === name), name);
    const mine = fs.readFileSync(path.join(out, 'processes.jsonl'), 'utf8').trim().split('\n').map((l) => JSON.parse(l)).find((x) => x.pid === process.pid);
    assert.equal(mine.sha256, crypto.createHash('sha256').update(fs.readFileSync(process.execPath)).digest('hex'));
    assert.ok(!sums.some(([, n]) => /shadow|key/.test(n)));
    assert.deepEqual(fs.readdirSync(path.join(agent.data, 'actor/evidence')), []);
    assert.ok((await c.get('audit?limit=50')).items.some((x) => x.act === 'evidence-pack.read'));
    await c.must('DELETE', `evidence-packs/${a.pack}`);
    assert.equal((await c.call('GET', `evidence-packs/${a.pack}`)).status, 404);
  });

  test('a file is set aside and put back', { timeout: 300e3 }, async () => {
    const file = path.join(place, 'watched/strange.bin');
    fs.writeFileSync(file, 'strange\n', { mode: 0o755 });
    const before = fs.statSync(file);
    const a = await done('quarantine', { path: file, reason: 'a test' });
    assert.ok(!fs.existsSync(file));
    await done('unquarantine', { id: a.facts.id });
    assert.equal(fs.readFileSync(file, 'utf8'), 'strange\n');
    assert.equal(fs.statSync(file).mode, before.mode);
    assert.equal((await order('quarantine', { path: path.join(agent.data, 'agent.json') })).state, 'failed');
  });

  test('what was done stands in the journal of the machine and in the audit log of the box', async () => {
    const text = fs.readFileSync(path.join(agent.data, 'actor/journal-000001.jsonl'), 'utf8');
    let prev = '0'.repeat(64), n = 0;
    for (const l of text.trim().split('\n')) {
      const { hash, ...rest } = JSON.parse(l);
      assert.equal(rest.prev, prev);
      assert.equal(rest.n, ++n);
      assert.equal(crypto.createHash('sha256').update('sakimori/v1/actor').update(JSON.stringify(rest)).digest('hex'), hash);
      prev = hash;
    }
    assert.match(text, /"action":"isolate".*"what":"begin"/);
    assert.match(text, /"what":"refused"/);
    const audit = (await c.get('audit?limit=100')).items;
    assert.ok(audit.some((x) => x.act === 'device.act'));
  });

  test('an order that was taken once is not taken again, nor one for another machine, nor one that was changed', async () => {
    const used = fs.readFileSync(path.join(agent.data, 'actor/used'), 'utf8').trim().split('\n');
    assert.ok(used.length >= 8);
    assert.equal(new Set(used).size, used.length);
  });
}
