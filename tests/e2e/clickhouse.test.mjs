// Logs in ClickHouse: two real servers of Debian's packages and a Distributed table over them.  A real box brings its record there and
// answers from there; a server that goes away, comes back empty, or lies; what a person types is no SQL.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import * as L from './lib.mjs';

const program = ['/usr/sbin/clickhouse-server', '/usr/bin/clickhouse-server'].find((p) => fs.existsSync(p));
const skip = program ? false : 'needs clickhouse-server (package clickhouse-server)';
const password = 'himitsu "quoted\' \\ 2026';
const options = { skip, timeout: 600e3 };
const servers = [];
let box, c;
const port = L.freePort() + 20000;

const free = () => new Promise((ok) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => {
    const { port: p } = s.address();
    s.close(() => ok(p));
  });
});

class House {
  static async make(n) {
    const all = await Promise.all(Array.from({ length: n }, async () => {
      const h = new House();
      h.dir = L.tempDir('house', 0o755);
      [h.http, h.tcp, h.inter] = await Promise.all([free(), free(), free()]);
      return h;
    }));
    const esc = password.replace(/[&<>"']/g, (x) => `&#${x.charCodeAt(0)};`);
    const shards = all.map((h) => `<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>${h.tcp}</port><user>box</user><password>${esc}</password></replica></shard>`).join('');
    for (const h of all) {
      fs.writeFileSync(path.join(h.dir, 'config.xml'), `<yandex><logger><level>error</level><log>${h.dir}/log</log><errorlog>${h.dir}/err</errorlog></logger>
<http_port>${h.http}</http_port><tcp_port>${h.tcp}</tcp_port><interserver_http_port>${h.inter}</interserver_http_port><listen_host>127.0.0.1</listen_host>
<path>${h.dir}/data/</path><tmp_path>${h.dir}/tmp/</tmp_path><users_config>users.xml</users_config><default_profile>default</default_profile>
<default_database>default</default_database><mark_cache_size>67108864</mark_cache_size><timezone>Asia/Tokyo</timezone>
<remote_servers><ward>${shards}</ward></remote_servers></yandex>`);
      fs.writeFileSync(path.join(h.dir, 'users.xml'), `<yandex><profiles><default/></profiles><users><box><password>${esc}</password><networks><ip>127.0.0.1</ip></networks>
<profile>default</profile><quota>default</quota></box></users><quotas><default/></quotas></yandex>`);
      await h.start();
      servers.push(h);
    }
    return all;
  }

  async start() {
    this.process = L.track(spawn(program, [`--config-file=${this.dir}/config.xml`], { stdio: 'ignore', cwd: this.dir }));
    await L.until('ClickHouse', () => this.sql('SELECT 1'), 120000);
  }

  sql(text) {
    return new Promise((ok, fail) => {
      const r = http.request({ port: this.http, host: '127.0.0.1', method: 'POST', auth: `box:${password}`, path: '/' }, (res) => {
        let out = '';
        res.on('data', (d) => (out += d));
        res.on('end', () => (res.statusCode === 200 ? ok(out.trim()) : fail(new Error(out))));
      });
      r.on('error', fail);
      r.end(text);
    });
  }

  async stop(signal = 'SIGKILL') {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await L.until('the end of ClickHouse', () => this.process.exitCode !== null || this.process.signalCode !== null, 60000);
  }
}

after(async () => {
  await box?.stop().catch(() => {});
  for (const s of servers) await s.stop().catch(() => {});
  L.clearUp();
});

const send = (lines) => new Promise((ok, fail) => {
  const s = net.connect(port, '127.0.0.1');
  s.on('error', fail);
  s.on('close', ok);
  s.end(lines.join(''));
  s.resume();
});
const line = (i, text) => `<38>Nov 23 01:${String(Math.floor(i / 60) % 60).padStart(2, '0')}:${String(i % 60).padStart(2, '0')} srv-${i % 5} sshd[${i % 9}]: ${text}\n`;
const words = (i) => (i % 1000 === 0 ? `患者番号${i}のカルテを開いた mimi_katz '; DROP TABLE events; --` : `Failed password for user${i % 17} from 198.51.100.${i % 250} port ${i} ssh2`);
const state = async () => (await c.get('logs/store')).state;
const settled = (ms = 240000) => L.until('all that is closed to be there', async () => {
  const s = await state();
  return s?.there && s.waiting === 0 && s.blocks > 0 && s;
}, ms);
const search = (q, more = '') => c.get(`logs/search?q=${encodeURIComponent(q)}&limit=100&raw=1${more}`);
const span = '&from=2025-01-01T00:00:00Z&until=2030-01-01T00:00:00Z&buckets=500';
const queries = ['', 'mimi_katz', 'カルテ', '番号3000', 'username:user3', 'host:srv-0 カルテ', 'src_ip:198.51.100.0/29', 'src_port>65000', `"'; DROP TABLE events; --"`, 'katz', 'mimi*', 'NOT ssh2', '@id<50', 'pa?sword @id<40'];
const all = async () => {
  const got = [];
  for (const q of queries) {
    for (const order of ['', '&order=oldest']) {
      let cursor = '';
      for (let page = 0; page < 3; page++) {
        const r = await search(q, `${order}&cursor=${cursor}`);
        got.push({ q, order, items: r.items.map(({ block, ...x }) => x) });
        cursor = r.next;
        if (!cursor) break;
      }
    }
    got.push({ q, counts: (await c.get(`logs/histogram?q=${encodeURIComponent(q)}${span}`)).counts });
  }
  return got;
};

let here;
test('the record is brought to two servers, and searched there as here', options, async () => {
  const pair = await House.make(2);
  box = await L.Box.start({ config: { syslog_tcp: port } });
  ({ client: c } = await L.setUp(box));
  for (let i = 0; i < 140000; i += 20000) await send(Array.from({ length: 20000 }, (_, k) => line(i + k, words(i + k))));
  await L.until('all lines in the record', async () => (await search('src_port:139999')).items.length === 1, 240000);
  here = await all();
  for (const x of here) assert.ok(x.counts || x.items.length > 0, `${x.q} finds something`);
  const refused = await c.call('PUT', 'logs/store', { store: 'clickhouse', urls: 'http://192.0.2.7:8123' });
  assert.equal(refused.status, 400);
  assert.match(refused.json.error.message, /https/);
  await c.must('PUT', 'logs/store', { store: 'clickhouse', urls: pair.map((h) => `http://127.0.0.1:${h.http}`).join(', '), user: 'box', password: 'wrong' });
  await L.until('the wrong password to be said', async () => (await state())?.reason === 'keys', 120000);
  assert.equal((await search('mimi_katz')).away, 'keys');
  await c.must('PUT', 'logs/store', { store: 'clickhouse', user: 'box', password });
  await L.until('the missing table to be said', async () => (await state())?.reason === 'table', 120000);
  assert.ok(!fs.readFileSync(path.join(box.data, 'state/state.db')).includes('himitsu'), 'the password is with the parent alone');
  await c.must('POST', 'logs/store/init', { cluster: 'ward' });
  const s = await settled();
  assert.ok(s.blocks >= 2, `${s.blocks} blocks`);
  const local = await Promise.all(pair.map((h) => h.sql('SELECT count() FROM sakimori.events_local')));
  assert.equal(local.map(Number).reduce((a, b) => a + b), s.events, 'each event once');
  assert.equal(Number(await pair[1].sql('SELECT uniqExact(id) FROM sakimori.events')), s.events);
  const r = await search('mimi_katz');
  assert.equal(r.store, 'clickhouse');
  assert.equal(r.away, undefined);
  assert.deepEqual(await all(), here);
  const one = await c.get(`logs/events/${r.items[0].id}`);
  assert.match(one.raw, /mimi_katz/);
  assert.equal((await pair[0].sql('SHOW TABLES FROM sakimori')).split('\n').sort().join(), 'events,events_local');
});

test('what is in the parts alone that a server has is found there: the record on the box is not needed for it', options, async () => {
  const [pair0] = servers;
  const day = await pair0.sql("SELECT count() FROM sakimori.events WHERE process = 'sshd' AND host = 'srv-3'");
  assert.ok(Number(day) > 10000, `columns for people: ${day}`);
});

test('a server that is away is said, the box answers alone, and goes on where it was', options, async () => {
  const [, second] = servers;
  await second.stop();
  const r = await L.until('an answer without it', async () => {
    const got = await search('mimi_katz');
    return got.away && got;
  }, 120000);
  assert.equal(r.store, 'local');
  assert.equal(r.away, 'network');
  assert.ok(r.items.length > 0);
  const told = await L.until('the state', async () => {
    const s = await state();
    return s && !s.there && s;
  }, 120000);
  assert.match(told.why, /answered 500|refused|127\.0\.0\.1/);
  for (let i = 140000; i < 210000; i += 35000) await send(Array.from({ length: 35000 }, (_, k) => line(i + k, words(i + k))));
  await L.until('intake goes on', async () => (await search('src_port:209999')).items.length === 1, 240000);
  const killed = box.children().house;
  process.kill(killed, 'SIGKILL');
  await L.until('the process again', () => box.children().house && box.children().house !== killed, 60000);
  await second.start();
  const s = await settled();
  const n = await second.sql('SELECT count(), uniqExact(id) FROM sakimori.events');
  assert.deepEqual(n.split('\t').map(Number), [s.events, s.events], 'each event once');
  await L.until('the servers to be asked again', async () => (await search('src_port:209999')).store === 'clickhouse', 120000);
});

test('what a server lost is brought again', options, async () => {
  const [first, second] = servers;
  const before = (await state()).events;
  for (const h of [first, second]) {
    await h.sql('DROP TABLE sakimori.events_local');
  }
  await L.until('it to be noticed', async () => {
    await search('x');
    return !(await state()).there;
  }, 120000);
  await c.must('POST', 'logs/store/init', { cluster: 'ward' });
  const s = await L.until('all of it again', async () => {
    const now = await state();
    return now?.there && now.waiting === 0 && now.events >= before && now;
  }, 240000);
  assert.equal(Number(await first.sql('SELECT count() FROM sakimori.events')), s.events);
});

test('kill -9 of the process in the middle of inserts leaves each event once', options, async () => {
  for (const h of servers) await h.sql('TRUNCATE TABLE sakimori.events_local');
  await c.must('PUT', 'logs/store', { store: 'local' });
  await L.until('the process to end', () => !box.children().house, 60000);
  assert.equal((await search('mimi_katz')).store, undefined);
  await c.must('PUT', 'logs/store', { store: 'clickhouse' });
  for (let k = 0; k < 4; k++) {
    const pid = await L.until('the process', () => box.children().house, 60000);
    await L.sleep(700 + 400 * k);
    process.kill(pid, 'SIGKILL');
    await L.until('another', () => box.children().house && box.children().house !== pid, 60000);
  }
  const s = await settled();
  const n = await servers[0].sql('SELECT count(), uniqExact(id), uniqExact(block) FROM sakimori.events');
  assert.deepEqual(n.split('\t').map(Number), [s.events, s.events, s.blocks]);
});

test('the command line sets it, makes the schema, and says why the box answered alone', options, async () => {
  const r = await L.run(L.programs.cli, ['logs', 'store', 'schema', '--cluster', 'ward', '--lang', 'en']);
  assert.match(r.out, /CREATE TABLE IF NOT EXISTS `sakimori`\.`events_local`/);
  assert.match(r.out, /Distributed\(`ward`, `sakimori`, `events_local`, sipHash64\(box, block\)\)/);
  const bad = await L.run(L.programs.cli, ['logs', 'store', 'schema', '--cluster', 'a`b', '--lang', 'en'], { any: true });
  assert.equal(bad.code, 2);
});

test('a server that lies makes nothing but an error', options, async () => {
  let say = () => Buffer.alloc(0);
  const liar = http.createServer((q, res) => {
    let text = '';
    q.on('data', (d) => (text += d.toString('latin1')));
    q.on('end', () => res.end(say(text)));
  });
  await new Promise((ok) => liar.listen(0, '127.0.0.1', ok));
  const list = Buffer.alloc(36);
  list.writeBigUInt64LE(1n, 0);
  list.writeBigUInt64LE(65536n, 8);
  list.writeUInt32LE(65536, 16);
  list.writeBigInt64LE(0n, 20);
  list.writeBigInt64LE(4102444800n, 28);
  const place = Buffer.alloc(20, 1);
  const answers = [Buffer.alloc(7, 255), Buffer.concat([place, place]), Buffer.alloc(1 << 20, 0x80), Buffer.from('Code: 241. DB::Exception: "><script>alert(1)</script>')];
  let n = 0;
  say = (text) => (text.includes('GROUP BY block') ? list : text.includes('system.processes') ? Buffer.alloc(8) : answers[n % answers.length]);
  await c.must('PUT', 'logs/store', { store: 'clickhouse', urls: `http://127.0.0.1:${liar.address().port}`, password: '' });
  await L.until('it to be believed', async () => (await state())?.there, 120000);
  for (n = 0; n < answers.length * 2; n++) {
    const r = await search('mimi_katz');
    assert.equal(r.store, 'local');
    assert.ok(r.items.length > 0);
  }
  liar.closeAllConnections?.();
  liar.close();
  await c.must('PUT', 'logs/store', { store: 'local' });
});
