// "A database is really started from it": drills of databases, with the real servers; what does not load or is not sound fails.
import assert from 'node:assert/strict';
import { after, test as any } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';
import { MariaDb, Postgres, servers } from './servers.mjs';

const root = process.getuid?.() === 0;
const test = (name, options, fn) => any(name, { ...options, skip: !root && 'databases are only tried by an agent that runs as root' }, fn);
let w;
after(async () => {
  if (process.env.SAKIMORI_LOG) console.log(w?.agent?.log.join(''));
  for (const s of servers) await s.stop().catch(() => {});
  await w?.stop().catch(() => {});
  L.clearUp();
});
const left = () => fs.readdirSync('/var/tmp').filter((n) => /^sakimori-(drill|proof)-/.test(n));
const agentOf = (args, options = {}) => L.run(L.programs.agent, [...args, '--data', w.agent.data], options);
const source = (name, more) => w.c.post('sources', { device: w.agent.device.id, name, schedule: { every: 'off' }, canaries: false, ...more });
async function drill(s, more = {}) {
  const { id } = await w.c.post('drills', { source: s.id, ...more });
  return L.until('the drill', async () => { const d = await w.c.get(`drills/${id}`); return d.ok !== null && d; }, 200e3);
}
const sorted = (v) => Array.isArray(v) ? v.map(sorted) : v && typeof v === 'object' ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;
/** Which processes of servers stand in a drill's folder. */
const strays = () => fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n)).filter((n) => { try { return fs.readFileSync(`/proc/${n}/cmdline`, 'utf8').includes('sakimori-proof-'); } catch { return false; } });

test('PostgreSQL: a server is started from the restored dumps, every row is there, the trees are sound', { timeout: 300e3 }, async () => {
  w = await L.World.start({ name: 'proof' });
  w.pg = await Postgres.start();
  await w.pg.sql('postgres', "CREATE ROLE orca LOGIN PASSWORD 'x'; CREATE DATABASE orca OWNER orca TEMPLATE template0 ENCODING 'UTF8'; CREATE DATABASE \"日本 語\" TEMPLATE template0; CREATE DATABASE old TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';");
  await w.pg.sql('orca', `SET ROLE orca; CREATE TABLE tbl_ptinf(ptid bigint PRIMARY KEY, name text NOT NULL, photo bytea);
    INSERT INTO tbl_ptinf SELECT i, E'患者\\n' || i, decode(md5(i::text), 'hex') FROM generate_series(1, 20000) i; CREATE INDEX ON tbl_ptinf(name);
    CREATE SCHEMA "Odd schema"; CREATE TABLE "Odd schema"."T (x)"(a int, "b (c" text); INSERT INTO "Odd schema"."T (x)" VALUES (1, '\\.'), (2, NULL), (3, 'COPY x FROM stdin;'); CREATE TABLE empty(x int);`);
  await w.pg.sql('old', "SET client_encoding='UTF8'; CREATE TABLE 患者(名前 text); INSERT INTO 患者 VALUES ('山田'), ('鈴木');");
  await agentOf(['access', 'add', 'orca', '--kind', 'postgresql', '--host', w.pg.dir, '--port', String(w.pg.port), ...(root ? ['--as', 'postgres'] : [])], { input: '\n' });
  w.orca = await source('日レセ', { kind: 'postgresql', options: { access: 'orca' } });
  assert.equal((await L.backup(w.c, w.orca.id)).state, 'complete');
  await w.unlock();
  const before = left();
  const d = await drill(w.orca);
  const s = d.report?.server;
  assert.equal(d.ok, true, JSON.stringify(d));
  assert.equal(d.plan.amount, 'all', 'a database is tried whole');
  assert.equal(s.state, 'proved', JSON.stringify(d));
  assert.match(s.version, /^PostgreSQL \d+/);
  assert.deepEqual([s.databases, s.loaded, s.differing, s.unsound], [4, 4, 0, 0], JSON.stringify(s));
  assert.deepEqual([s.tables, s.compared, s.rows], [4, 4, 20000 + 3 + 0 + 2], JSON.stringify(s));
  assert.deepEqual(s.list.map((x) => x.name).sort(), ['old', 'orca', 'postgres', '日本 語'].sort());
  assert.ok(s.start_ms > 0 && s.load_ms > 0 && s.check_ms > 0 && d.report.estimate_s * 1000 >= s.load_ms);
  assert.deepEqual(left(), before, 'nothing is left');
  assert.deepEqual(strays(), []);
  // Signed by the machine that did it; its hash in the journal, whose head the box signs.
  assert.equal(d.report.version, 2);
  assert.equal(d.report.signed, true);
  assert.equal(d.report.head_signed.length, 256);
  assert.equal(crypto.createHash('sha256').update(JSON.stringify(sorted(d.report))).digest('hex'), d.hash);
  const pub = Buffer.from(w.agent.device.sign_pub ?? (await w.c.get(`devices/${w.agent.device.id}`)).sign_pub ?? '', 'hex');
  if (pub.length === 32) {
    const key = crypto.createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), pub]), format: 'der', type: 'spki' });
    assert.ok(crypto.verify(null, Buffer.from(`sakimori/v1/drill${JSON.stringify(sorted(d.report.measured))}`), key, Buffer.from(d.report.sig, 'hex')));
  }
  console.log(`# PostgreSQL: start ${s.start_ms} ms, load ${s.load_ms} ms, check ${s.check_ms} ms, ${s.rows} rows`);
});

test('a database whose dump does not load fails the drill, Today says so, and none of its rows is told', { timeout: 200e3 }, async () => {
  await w.pg.sql('postgres', 'CREATE DATABASE broken TEMPLATE template0');
  await w.pg.sql('broken', 'CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS \'SELECT true\'; CREATE TABLE t(x int CHECK (fine(x)), name text); INSERT INTO t VALUES (1, \'YAMADA-TARO-4711\'); CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS \'SELECT $1 > 5\'');
  const s = await source('壊れる', { kind: 'postgresql', options: { access: 'orca', databases: ['broken'] } });
  assert.equal((await L.backup(w.c, s.id)).state, 'complete', 'the backup itself cannot see it');
  await w.unlock();
  const d = await drill(s);
  assert.equal(d.ok, false, JSON.stringify(d));
  assert.equal(d.report.differences, 0, 'the files are what they were');
  assert.deepEqual([d.report.server.state, d.report.server.databases, d.report.server.loaded], ['failed', 1, 0]);
  assert.ok(d.problems.some((p) => p.what === 'an error of the database: SQLSTATE 23514'), JSON.stringify(d.problems));
  assert.ok(!JSON.stringify(d).includes('YAMADA'), JSON.stringify(d));
  for (const x of [w.agent, w.box]) assert.ok(!x.log.join('').includes('YAMADA'));
  const found = await L.run('grep', ['-rlaF', 'YAMADA-TARO', w.box.data], { any: true });
  assert.equal(found.out, '', 'in no file of the box');
  assert.ok((await w.c.get('alarms?open=1')).items.some((a) => a.kind === 'drill'));
});

test('MariaDB the same', { timeout: 200e3 }, async () => {
  w.maria = await MariaDb.start();
  await w.maria.sql(`CREATE DATABASE karte CHARACTER SET utf8mb4; USE karte; CREATE TABLE p(id int PRIMARY KEY AUTO_INCREMENT, name varchar(60), photo blob, KEY(name));
    INSERT INTO p(name, photo) SELECT CONCAT('患者 ''(', seq), UNHEX(MD5(seq)) FROM seq_1_to_20000; INSERT INTO p(name) VALUES (NULL), ('a;b'), ('tab\\t\\\\');
    CREATE TABLE \`odd \`\`t (1\`(a text); INSERT INTO \`odd \`\`t (1\` VALUES (');('), ('INSERT INTO \`p\` VALUES (1)');
    CREATE TABLE my(a int) ENGINE=MyISAM; INSERT INTO my VALUES (1), (2); CREATE TRIGGER tr AFTER INSERT ON my FOR EACH ROW INSERT INTO p(name) VALUES ('x');`);
  await agentOf(['access', 'add', 'maria', '--kind', 'mariadb', '--host', w.maria.socket, '--user', 'root', ...(root ? ['--as', 'mysql'] : [])], { input: '\n' });
  const s = await source('MariaDB', { kind: 'mariadb', options: { access: 'maria' } });
  assert.equal((await L.backup(w.c, s.id)).state, 'complete');
  await w.unlock();
  const d = await drill(s);
  const v = d.report.server;
  assert.equal(d.ok, true, JSON.stringify(d));
  assert.deepEqual([v.state, v.databases, v.loaded, v.tables, v.compared, v.rows, v.differing, v.unsound], ['proved', 1, 1, 3, 3, 20003 + 2 + 2, 0, 0], JSON.stringify(d));
  assert.match(v.version, /MariaDB/);
  assert.deepEqual(strays(), []);
  console.log(`# MariaDB: start ${v.start_ms} ms, load ${v.load_ms} ms, check ${v.check_ms} ms, ${v.rows} rows`);
});

test('SQLite: counted and checked whole; an index that lost a row, which the copy could not see, fails', { timeout: 200e3 }, async () => {
  const dir = path.join(w.place, 'アプリ');
  fs.mkdirSync(dir);
  const py = (text) => L.run('python3', ['-c', `import sqlite3\nd=${JSON.stringify(dir)}\n${text}`]);
  await py("c=sqlite3.connect(d+'/a.db'); c.execute('pragma journal_mode=wal'); c.execute('create table t(id integer primary key, v text)'); c.executemany('insert into t(v) values(?)', [('患者 %d' % i,) for i in range(5000)]); c.execute('create table \"odd \"\"x\"(a)'); c.commit()");
  const s = await source('SQLite', { kind: 'sqlite', paths: [`${dir}/*.db`] });
  assert.equal((await L.backup(w.c, s.id)).state, 'complete');
  await w.unlock();
  const good = await drill(s);
  assert.equal(good.ok, true, JSON.stringify(good));
  assert.deepEqual([good.report.server.state, good.report.server.databases, good.report.server.tables, good.report.server.rows], ['proved', 1, 2, 5000], JSON.stringify(good.report.server));
  await py(`
c=sqlite3.connect(d+'/b.db', isolation_level=None); c.execute('create table t(a)'); c.execute('create index i on t(a)'); c.execute('insert into t values(1)')
c.execute('pragma writable_schema=1'); row=c.execute("select rootpage, sql from sqlite_master where name='i'").fetchone(); c.execute("delete from sqlite_master where name='i'"); c.close()
c=sqlite3.connect(d+'/b.db', isolation_level=None); c.execute('insert into t values(2)'); c.execute('pragma writable_schema=1')
c.execute("insert into sqlite_master values('index','i','t',?,?)", row); c.close()
c=sqlite3.connect(d+'/b.db'); assert c.execute('pragma quick_check').fetchone()[0]=='ok'; assert c.execute('pragma integrity_check').fetchone()[0]!='ok'`);
  assert.equal((await L.backup(w.c, s.id)).state, 'complete', 'a quick check passes it');
  const bad = await drill(s);
  assert.equal(bad.ok, false, JSON.stringify(bad));
  assert.deepEqual([bad.report.server.state, bad.report.server.unsound], ['failed', 1]);
  assert.ok(bad.problems.some((p) => p.what === 'an index does not fit its table'), JSON.stringify(bad.problems));
});

test('where nothing may be started only the files are proved, and the report says so', { timeout: 120e3 }, async () => {
  await w.agent.stop();
  fs.writeFileSync(path.join(w.agent.data, 'policy.conf'), 'endpoint = no\nkind = sqlite\n');
  w.agent.start();
  await w.unlock();
  const d = await drill(w.orca);
  assert.equal(d.ok, true, JSON.stringify(d));
  assert.deepEqual([d.report.server.state, d.report.server.why], ['files', 'policy']);
  assert.equal(d.report.differences, 0);
  await w.agent.stop();
  fs.writeFileSync(path.join(w.agent.data, 'policy.conf'), 'endpoint = no\n');
  w.agent.start();
});

test('an agent that is killed in the middle leaves no server, and the drill is done again to its end', { timeout: 200e3 }, async () => {
  await w.unlock();
  const { id } = await w.c.post('drills', { source: w.orca.id });
  await L.until('a server', () => strays().some((n) => fs.readFileSync(`/proc/${n}/cmdline`, 'utf8').includes('listen_addresses')), 60e3);
  for (const pid of L.family(w.agent.process.pid).reverse()) try { process.kill(pid, 'SIGKILL'); } catch { /* it ended meanwhile */ }
  await w.agent.ended;
  await L.until('no server', () => strays().length === 0, 90e3);
  w.agent.start();
  const d = await L.until('the drill', async () => { const x = await w.c.get(`drills/${id}`); return x.ok !== null && x; }, 150e3);
  assert.ok(d.report, JSON.stringify(d));
  assert.deepEqual(strays(), []);
});
