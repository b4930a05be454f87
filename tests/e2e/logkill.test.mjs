// Logs under way while parts are killed at random, and while the disk is full: what was acknowledged is there, once.
//
// What "acknowledged" means: for a machine's batches the answer 200.  Syslog has no acknowledgement: over TCP and TLS a sender only
// knows that its connection still stands.  So: as long as it stands every line that was sent is there, once, whatever part but
// the collector is killed; when the collector itself is killed the connection breaks, and what was in it (unanswered by the
// record, at most 16 MiB) may be lost.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import * as L from './lib.mjs';
import { Foe } from './foe.mjs';

const CYCLES = Number(process.env.SAKIMORI_KILLS ?? (L.long ? 300 : 8));
const say = (text) => console.log(`# ${text}`);
let box, c, person, disk, agent, foe;
const port = L.freePort() + 20000;
const down = async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  agent = box = undefined;
  if (disk) execFileSync('umount', ['-l', disk]);
  disk = undefined;
};
after(async () => { await down(); L.clearUp(); });

const join = async (name) => {
  const data = path.join(L.tempDir(name), 'data');
  const code = await c.post('devices/codes', { name });
  await L.run(L.programs.agent, ['join', box.agentUrl, code.code, '--data', data, '--name', name]);
  foe = new Foe(data);
};
const record = (text) => {
  const b = Buffer.from(text), h = Buffer.alloc(12);
  h.writeUInt32LE(b.length, 0);
  h.writeBigInt64LE(BigInt(Date.now()) * 1000000n, 4);
  return Buffer.concat([h, b]);
};

/** Counts what it sends; a connection that breaks is made again, and nothing is sent twice. */
class Sender {
  constructor(mark) { this.mark = mark; this.sent = 0; this.breaks = []; this.going = true; this.done = this.work(); }

  dial() {
    return new Promise((ok) => {
      const s = net.connect(port, '127.0.0.1', () => ok(s));
      s.on('error', () => ok(null));
    });
  }

  async work() {
    let s = null;
    while (this.going) {
      if (!s || s.destroyed || this.closed) {
        s = await this.dial();
        this.closed = false;
        s?.on('close', () => { this.closed = true; if (this.going) this.breaks.push(this.sent); });
        if (!s) { await L.sleep(50); continue; }
      }
      const lines = [];
      for (let i = 0; i < 10; i++) lines.push(`<34>Nov 23 01:02:03 tcp-1 app[7]: ${this.mark} n${++this.sent}.\n`);
      await new Promise((ok) => {
        s.once('close', ok);
        s.write(lines.join(''), () => { s.off('close', ok); ok(); });
      });
      await L.sleep(20);
    }
    s?.end();
  }

  async stop() { this.going = false; await this.done; }
}

/** Batches of one stream as a machine sends them: again until it is answered. */
class Machine {
  constructor(mark) { this.mark = mark; this.answered = 0; this.going = true; this.refused = 0; this.done = this.work(); }

  async work() {
    for (let n = 1; this.going; n++) {
      const batch = Buffer.concat(Array.from({ length: 20 }, (_, i) => record(`<34>Nov 23 01:02:03 agent-1 app: ${this.mark} n${(n - 1) * 20 + i + 1}.`)));
      for (;;) {
        const r = await foe.call('POST', `/agent/v1/events?stream=${this.mark}&number=${n}`, batch).catch(() => null);
        if (r?.status === 200) break;
        this.refused++;
        if (!this.going) return;
        await L.sleep(100);
      }
      this.answered = n;
    }
  }

  async stop() { this.going = false; await this.done; }
}

/** number → how often it is in the record */
async function kept(mark) {
  const seen = new Map();
  let cursor = '';
  do {
    const r = await c.get(`logs/search?q=${encodeURIComponent(`"${mark}"`)}&limit=500&raw=1&cursor=${cursor}`);
    for (const x of r.items) {
      const n = Number(/ n(\d+)\./.exec(x.raw)?.[1]);
      seen.set(n, (seen.get(n) ?? 0) + 1);
    }
    cursor = r.next;
  } while (cursor);
  return seen;
}
const missing = (seen, n) => Array.from({ length: n }, (_, i) => i + 1).filter((i) => !seen.has(i));
const twice = (seen) => [...seen].filter(([, n]) => n > 1).map(([k]) => k);
const killed = (part) => {
  try { process.kill(box.children()[part], 'SIGKILL'); return true; } catch { return false; }
};

test('parts killed at random during intake over TCP and from a machine', { timeout: L.long ? 3600e3 : 400e3 }, async () => {
  box = await L.Box.start({ config: { syslog_tcp: port, rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  await join('kill-machine');
  const tcp = new Sender('marker-tcp'), machine = new Machine('marker-batch');
  const kills = { watch: 0, keyd: 0, seeker: 0, collector: 0 };
  const parts = ['watch', 'watch', 'keyd', 'seeker'];
  for (let i = 0; i < CYCLES; i++) {
    const before = machine.answered;
    await L.until('answers', () => machine.answered > before + 2, 120000);
    await L.sleep(Math.random() * 300);
    const part = parts[Math.floor(Math.random() * parts.length)];
    kills[part] += killed(part);
  }
  assert.deepEqual(tcp.breaks, [], 'no connection breaks when watch, keyd or seeker die');
  const steady = tcp.sent;
  for (let i = 0; i < Math.max(2, CYCLES / 8); i++) {
    const before = machine.answered;
    await L.until('answers', () => machine.answered > before + 2, 120000);
    kills.collector += killed('collector');
    await L.until('the connection again', () => tcp.breaks.length > i && !tcp.closed, 120000);
  }
  const at = tcp.sent;
  await L.until('more lines', () => tcp.sent > at + 100, 120000);
  await tcp.stop();
  await machine.stop();
  await L.until('the last line', async () => (await kept('marker-tcp')).has(tcp.sent), 120000);
  const [t, m] = [await kept('marker-tcp'), await kept('marker-batch')];
  const lost = missing(t, tcp.sent), late = lost.filter((n) => n <= steady);
  say(`kills: ${Object.entries(kills).map(([k, n]) => `${n} of ${k}`).join(', ')}`);
  say(`machine: ${machine.answered} batches answered, ${machine.answered * 20} records, ${missing(m, machine.answered * 20).length} lost, ${twice(m).length} twice (${machine.refused} tries refused or unanswered)`);
  say(`TCP: ${tcp.sent} lines sent, ${steady} of them while the collector lived: ${late.length} lost, ${twice(t).length} twice; ${lost.length - late.length} lost in ${tcp.breaks.length} connections that broke with the collector`);
  assert.deepEqual(missing(m, machine.answered * 20), []);
  assert.deepEqual(twice(m), []);
  assert.deepEqual(late, []);
  assert.deepEqual(twice(t), []);
  await c.post('logs/verify', {});
  const v = await L.until('verified', async () => { const x = await c.get('logs/verify'); return !x.running && x; }, 120000);
  assert.ok(v.ok, JSON.stringify(v.findings));
  await down();
});

test('a full disk stops logs before it stops backups; nothing acknowledged is lost, and it goes on by itself', { timeout: 600e3, skip: process.getuid() !== 0 && 'only root can make a disk' }, async () => {
  disk = L.tempDir('logfull', 0o755);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=700m', 'tmpfs', disk]);
  box = await L.Box.start({ data: `${disk}/box`, config: { disk_reserve: '64M', syslog_tcp: port } });
  person = await L.setUp(box);
  c = person.client;
  await join('full-machine');
  const dir = `${L.tempDir('logfull-src', 0o755)}/d`;
  fs.mkdirSync(dir);
  for (let i = 0; i < 20; i++) fs.writeFileSync(`${dir}/f${i}`, `file ${i}`.repeat(500));
  agent = await L.Agent.join(box, c, 'full');
  const src = await c.post('sources', { device: agent.device.id, name: 'full', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true });
  const tcp = new Sender('marker-tcp'), machine = new Machine('marker-batch');
  await L.until('answers', () => machine.answered > 3, 120000);
  const fd = fs.openSync(`${disk}/junk`, 'w');
  const room = () => { const s = fs.statfsSync(disk); return s.bavail * s.bsize; };
  const block = Buffer.alloc(1 << 20, 1);
  while (room() > 150 << 20) fs.writeSync(fd, block); // below 192 MiB, above what backups leave
  const alarm = await L.until('the alarm', async () => (await c.get('alarms?open=1')).items.find((a) => a.kind === 'log_stopped'), 120000);
  assert.match(alarm.text, /空き/);
  assert.equal((await c.get('logs')).stopped, true);
  const at = machine.answered, before = room();
  fs.writeFileSync(`${dir}/new`, Buffer.alloc(3 << 20, 7));
  assert.equal((await L.backup(c, src.id)).state, 'complete', 'the vault works');
  await L.sleep(3000);
  assert.ok(machine.answered <= at + 1, `no batch is answered that is not kept (${at}, ${machine.answered})`);
  assert.ok(before - room() < 24 << 20, 'logs take no room');
  const sent = tcp.sent;
  fs.closeSync(fd);
  fs.rmSync(`${disk}/junk`);
  await L.until('answers again', () => machine.answered > at + 3, 120000);
  await L.until('the alarm over', async () => !(await c.get('alarms?open=1')).items.some((a) => a.kind === 'log_stopped'), 120000);
  await tcp.stop();
  await machine.stop();
  await L.until('the last line', async () => (await kept('marker-tcp')).has(tcp.sent), 120000);
  const [t, m] = [await kept('marker-tcp'), await kept('marker-batch')];
  say(`full disk: ${machine.answered * 20} records answered, ${missing(m, machine.answered * 20).length} lost; ${tcp.sent} lines over TCP (${sent} before there was room again), ${missing(t, tcp.sent).length} lost; ${machine.refused} tries of the machine not answered with yes`);
  assert.deepEqual(missing(m, machine.answered * 20), []);
  assert.deepEqual(twice(m), []);
  assert.deepEqual(missing(t, tcp.sent), []);
  assert.deepEqual(tcp.breaks, []);
  assert.ok(!(await c.get('alarms?open=1')).items.some((a) => a.kind === 'log_damaged'));
});
