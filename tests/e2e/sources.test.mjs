// Sources in a consistent state through their own tools, against real servers: databases are restored and compared row for row.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';
import { MariaDb, Postgres, servers } from './servers.mjs';

const root = process.getuid?.() === 0;
let w;
after(async () => {
  if (process.env.SAKIMORI_LOG) console.log(w?.agent?.log.join(''));
  for (const s of servers) await s.stop().catch(() => {});
  await w?.stop().catch(() => {});
  L.clearUp();
});

/** Lines that only one of the two has: a whole dump in a message helps nobody. */
function same(is, was, what) {
  assert.deepEqual(Object.keys(is), Object.keys(was), what);
  for (const k of Object.keys(was)) {
    const a = new Set(was[k].split('\n')), b = new Set(is[k].split('\n'));
    const gone = [...a].filter((x) => !b.has(x)), more = [...b].filter((x) => !a.has(x));
    assert.deepEqual([gone.length, more.length], [0, 0], `${what}: ${k}: gone ${gone.slice(0, 3)} more ${more.slice(0, 3)}`);
    assert.ok(is[k] === was[k], `${what}: ${k}: another order`);
  }
}
const agentOf = (args, options = {}) => L.run(L.programs.agent, [...args, '--data', w.agent.data], options);
const place = () => path.join(L.tempDir('back', 0o755), 'out');
/** The generation's files in a folder. */
async function fetch(manifest) {
  const to = place();
  await w.unlock();
  const r = await L.restore(w.c, manifest, w.agent.device.id, { target: { mode: 'place', place: to }, suspicious_ok: true });
  assert.equal(r.state, 'complete', JSON.stringify(r));
  return to;
}
const source = (name, more) => w.c.post('sources', { device: w.agent.device.id, name, schedule: { every: 'off' }, canaries: false, ...more });
const run = async (s) => w.c.get(`runs/${(await L.backup(w.c, s.id)).id}`);
async function change(s, more) {
  const r = await w.c.call('PATCH', `sources/${s.id}`, more);
  assert.equal(r.status, 200, r.text);
}
async function hook(name, text) {
  const f = path.join(w.agent.data, 'hooks', name);
  fs.writeFileSync(f, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

test('a box, a machine and a PostgreSQL server', { timeout: 120e3 }, async () => {
  w = await L.World.start({ name: 'sources' });
  w.pg = await Postgres.start();
  await w.pg.sql('postgres', "CREATE ROLE orca LOGIN PASSWORD 'orca-himitsu'; CREATE DATABASE orca OWNER orca TEMPLATE template0 ENCODING 'UTF8';");
  await w.pg.sql('postgres', `CREATE DATABASE "日本語 / 'x=1'" TEMPLATE template0; CREATE DATABASE empty;`);
  await w.pg.sql('orca', `SET ROLE orca; CREATE TABLE tbl_ptinf(ptid bigint PRIMARY KEY, name text NOT NULL, kana varchar(40), photo bytea, tags text[], at timestamptz DEFAULT '2026-04-01 09:00+09', amount numeric(12,2));
    INSERT INTO tbl_ptinf SELECT i, '患者 ' || i, 'カンジャ' || i, decode(md5(i::text), 'hex'), ARRAY['a' || i, NULL, '髙﨑'], '2026-04-01 09:00+09'::timestamptz + i * interval '7 minutes', i * 1.25 FROM generate_series(1, 40000) i;
    CREATE TABLE tbl_sryact(id serial PRIMARY KEY, ptid bigint REFERENCES tbl_ptinf, note text); INSERT INTO tbl_sryact(ptid, note) SELECT 1 + i % 40000, repeat('診療行為 ', 1 + i % 5) || i FROM generate_series(1, 30000) i;
    CREATE VIEW names AS SELECT ptid, name FROM tbl_ptinf; CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';`);
  await w.pg.sql('orca', "SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex'))");
  await w.pg.sql("日本語 / 'x=1'", "CREATE TABLE t(a int, b text); INSERT INTO t VALUES (1, E'tab\\there'), (2, NULL), (3, '');");
  await agentOf(['access', 'add', 'orca', '--kind', 'postgresql', '--host', w.pg.dir, '--port', String(w.pg.port), ...(root ? ['--as', 'postgres'] : [])], { input: '\n' });
});

test('PostgreSQL comes back row for row, and unchanged parts are not sent again', { timeout: 180e3 }, async () => {
  const s = await source('日レセ', { kind: 'postgresql', group: 'receipt', options: { access: 'orca' } });
  assert.deepEqual(s.paths, ['/postgresql']);
  const first = await run(s);
  assert.equal(first.state, 'complete', JSON.stringify(first));
  assert.equal(fs.readdirSync(path.join(w.agent.data, 'staging')).filter((n) => fs.readdirSync(path.join(w.agent.data, 'staging', n)).length).length, 0, 'nothing of it stays on the disk');
  const before = await w.pg.rows('orca');
  const other = await w.pg.rows("日本語 / 'x=1'");
  await w.pg.sql('orca', "UPDATE tbl_ptinf SET amount = 99 WHERE ptid = 20000; INSERT INTO tbl_sryact(ptid, note) VALUES (5, '新しい');");
  const second = await run(s);
  assert.equal(second.state, 'complete', JSON.stringify(second));
  const gens = (await w.c.get(`generations?source=${s.id}`)).items;
  console.log(`second generation: ${second.counters.bytes} bytes of dumps, ${second.counters.sent} sent`);
  assert.ok(gens.length === 2 && gens.every((g) => g.suspicion.level !== 'high'), JSON.stringify(gens.map((g) => g.suspicion)));
  assert.ok(second.counters.sent < first.counters.sent / 2, `${first.counters.sent} then ${second.counters.sent}`);
  const back = await fetch(first.manifest);
  assert.deepEqual(fs.readdirSync(`${back}/postgresql`).sort(), ['empty.dump', 'globals.sql', 'orca.dump', 'postgres.dump', "日本語%20%2F%20'x=1'.dump"].sort());
  for (const [dir, mode] of [[back, 0o755], [`${back}/postgresql`, 0o755]]) fs.chmodSync(dir, mode);
  assert.match(fs.readFileSync(`${back}/postgresql/globals.sql`, 'utf8'), /CREATE ROLE orca/);
  for (const [file, db, want] of [['orca.dump', 'orca_back', before], ["日本語%20%2F%20'x=1'.dump", 'back_ja', other]]) {
    await agentOf(['db-restore', path.join(back, 'postgresql', file), '--kind', 'postgresql', '--access', 'orca', '--into', db]);
    same(await w.pg.rows(db), want, file);
  }
  assert.equal((await w.pg.sql('orca_back', 'SELECT twice(21)')).trim(), '42');
  // Never over what is there.
  const again = await agentOf(['db-restore', `${back}/postgresql/empty.dump`, '--kind', 'postgresql', '--access', 'orca', '--into', 'orca'], { any: true });
  assert.notEqual(again.code, 0);
  assert.match(again.err, /orca/);
  same(await w.pg.rows('orca_back'), before, 'after the refusal');
  // Told to: the other one keeps its rows under another name.  What cannot be loaded whole is not left half.
  const orca = path.join(back, 'postgresql/orca.dump');
  await agentOf(['db-restore', orca, '--kind', 'postgresql', '--access', 'orca', '--into', 'back_ja', '--replace']);
  same(await w.pg.rows('back_ja'), before, 'replaced');
  const kept = (await w.pg.sql('postgres', "SELECT datname FROM pg_database WHERE datname LIKE 'back_ja_before_%'")).trim();
  same(await w.pg.rows(kept), other, 'what was replaced');
  fs.writeFileSync(`${back}/cut.dump`, fs.readFileSync(orca).subarray(0, 3 << 20));
  for (const into of ['cut', 'orca_back']) {
    const cut = await agentOf(['db-restore', `${back}/cut.dump`, '--kind', 'postgresql', '--access', 'orca', '--into', into, '--replace'], { any: true });
    assert.notEqual(cut.code, 0);
  }
  assert.equal((await w.pg.sql('postgres', "SELECT count(*) FROM pg_database WHERE datname='cut' OR datname LIKE '%_new_%'")).trim(), '0');
  same(await w.pg.rows('orca_back'), before, 'after a cut dump');
  w.first = first;
  w.orca = s;
});

test('a database that fails is named, the others are kept, and the run is partial', { timeout: 120e3 }, async () => {
  await w.pg.sql('empty', "CREATE TABLE t(x int); CREATE FUNCTION bad() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END';");
  await w.pg.sql('postgres', "UPDATE pg_database SET datconnlimit=0 WHERE datname='empty'; ALTER ROLE orca SUPERUSER;");
  const s = await source('some', { kind: 'postgresql', options: { access: 'orca', databases: ['orca', 'nowhere'] } });
  const r = await run(s);
  assert.equal(r.state, 'partial', JSON.stringify(r));
  assert.ok(r.problems.some((p) => p.path === 'nowhere' && /no such database/.test(p.what)), JSON.stringify(r.problems));
  const back = await fetch(r.manifest);
  assert.deepEqual(fs.readdirSync(`${back}/postgresql`).sort(), ['globals.sql', 'orca.dump']);
  const g = await w.c.get(`generations/${r.manifest}`);
  assert.equal(g.status ?? g.generation?.status, 'partial');
});

test('with a password over TCP, which appears nowhere', { timeout: 120e3 }, async () => {
  await agentOf(['access', 'add', 'tcp', '--kind', 'postgresql', '--host', '127.0.0.1', '--port', String(w.pg.port), '--user', 'postgres', ...(root ? ['--as', 'nobody'] : []), '--password-file', w.pg.file('typed', `${w.pg.password}\n`)]);
  const file = path.join(w.agent.data, 'access/tcp.json');
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  const shown = await agentOf(['access', 'test', 'tcp', '--kind', 'postgresql']);
  assert.ok(shown.out.split('\n').includes('orca') && shown.out.includes("日本語 / 'x=1'"), shown.out);
  const s = await source('tcp', { kind: 'postgresql', options: { access: 'tcp', databases: ['orca'] } });
  const seen = [];
  const look = setInterval(() => {
    for (const pid of fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
      try {
        const args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (/^[^\0]*pg_dump/.test(args)) seen.push(args, fs.readFileSync(`/proc/${pid}/environ`, 'utf8'));
      } catch { /* it ended meanwhile */ }
    }
  }, 20);
  const r = await run(s);
  clearInterval(look);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.ok(seen.length, 'pg_dump was seen at work');
  for (const text of [...seen, JSON.stringify(r), JSON.stringify(await w.c.get('sources')), w.agent.log.join('')]) assert.ok(!text.includes('himitsu'), text);
  await agentOf(['access', 'add', 'wrong', '--kind', 'postgresql', '--host', '127.0.0.1', '--port', String(w.pg.port), ...(root ? ['--as', 'nobody'] : [])], { input: 'not-it\n' });
  const refused = await agentOf(['access', 'test', 'wrong', '--kind', 'postgresql'], { any: true });
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /authentication failed/);
  const bad = await run(await source('wrong', { kind: 'postgresql', options: { access: 'wrong' } }));
  assert.equal(bad.state, 'failed');
  assert.ok(bad.problems.some((p) => /authentication failed/.test(p.what)), JSON.stringify(bad.problems));
  fs.chmodSync(file, 0o644);
  const open = await run(s);
  assert.equal(open.state, 'failed', 'a password that others can read is not used');
  fs.chmodSync(file, 0o600);
});

test('a dump that waits is cancelled at once, or given up in time, and leaves nothing', { timeout: 120e3 }, async () => {
  const held = L.track(spawn(`${w.pg.bin}/psql`, ['-X', '-q', '-h', w.pg.dir, '-p', String(w.pg.port), '-U', 'postgres', '-d', 'orca', '-c', 'BEGIN; LOCK TABLE tbl_ptinf IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(100)'], { stdio: 'ignore', ...w.pg.user.options }));
  const waits = () => L.until('a dump that waits', async () => (await w.pg.sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name='sakimori-agent' AND wait_event_type='Lock'")).trim() === '1');
  const gone = () => L.until('the end of the dump', () => !L.family(w.agent.process.pid).some((p) => { try { return fs.readFileSync(`/proc/${p}/cmdline`, 'utf8').includes('pg_dump'); } catch { return false; } }));
  const empty = () => L.until('an empty staging', () => fs.readdirSync(path.join(w.agent.data, 'staging')).length === 0);
  const s = await source('waits', { kind: 'postgresql', options: { access: 'orca', databases: ['orca'] } });
  const { run: id } = await w.c.post(`sources/${s.id}/run`, {});
  await waits();
  const from = Date.now();
  await w.c.post(`runs/${id}/cancel`, {});
  const r = await L.until('the end', async () => { const x = await w.c.get(`runs/${id}`); return x.state === 'cancelled' && x; });
  assert.ok(Date.now() - from < 20000);
  assert.equal(r.manifest, null);
  await gone();
  await empty();
  await change(s, { options: { access: 'orca', databases: ['orca'], limit_s: 10 } });
  await L.sleep(500);
  const late = await run(s);
  assert.equal(late.state, 'failed', JSON.stringify(late));
  assert.ok(late.problems.some((p) => /time limit/.test(p.what)), JSON.stringify(late.problems));
  await gone();
  await empty();
  held.kill('SIGKILL');
  await L.until('the lock is gone', async () => (await w.pg.sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%LOCK TABLE%' AND pid<>pg_backend_pid()")).trim() === '0' || (await w.pg.sql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LOCK TABLE%' AND pid<>pg_backend_pid()"), false));
});

test('MariaDB comes back row for row, with what belongs to it', { timeout: 180e3 }, async () => {
  w.maria = await MariaDb.start();
  await w.maria.sql(`CREATE DATABASE karte CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; CREATE DATABASE old CHARACTER SET cp932;
    CREATE USER 'tool'@'127.0.0.1' IDENTIFIED BY '${w.maria.password.replace(/['\\]/g, '\\$&')}'; GRANT ALL ON *.* TO 'tool'@'127.0.0.1' WITH GRANT OPTION; CREATE USER 'karte'@'localhost' IDENTIFIED BY 'x';
    USE karte; CREATE TABLE p(id int PRIMARY KEY AUTO_INCREMENT, name varchar(60), photo blob, at datetime(3), n decimal(12,3));
    INSERT INTO p(name, photo, at, n) SELECT CONCAT('患者 髙﨑 ', seq), UNHEX(MD5(seq)), '2026-04-01 09:00:00.123' + INTERVAL seq MINUTE, seq / 7 FROM seq_1_to_20000;
    CREATE TABLE log(id int PRIMARY KEY AUTO_INCREMENT, what text); CREATE TRIGGER t AFTER INSERT ON p FOR EACH ROW INSERT INTO log(what) VALUES (NEW.name);
    INSERT INTO p(name) VALUES (NULL), (''), ('tab\\t');
    CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC RETURN x * 2; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM log WHERE id < 0; CREATE VIEW v AS SELECT name FROM p;
    USE old; CREATE TABLE t(a varchar(20)) ENGINE=MyISAM; INSERT INTO t VALUES ('表示'), ('ｶﾅ');`);
  await agentOf(['access', 'add', 'maria', '--kind', 'mariadb', '--host', '127.0.0.1', '--port', String(w.maria.port), '--user', 'tool', ...(root ? ['--as', 'nobody'] : [])], { input: `${w.maria.password}\n` });
  assert.equal((await agentOf(['access', 'test', 'maria', '--kind', 'mariadb'])).out, 'karte\nold\n');
  const s = await source('MariaDB', { kind: 'mariadb', options: { access: 'maria' } });
  const r = await run(s);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.ok(r.problems.some((p) => p.path === '/mariadb/old' && /not InnoDB/.test(p.what)), JSON.stringify(r.problems));
  const want = { karte: await w.maria.rows('karte'), old: await w.maria.rows('old') };
  await w.maria.sql("UPDATE p SET n = 1 WHERE id = 10000", 'karte');
  const second = await run(s);
  console.log(`MariaDB, second generation: ${second.counters.bytes} bytes of dumps, ${second.counters.sent} sent`);
  assert.ok(second.counters.sent < r.counters.sent / 2, `${r.counters.sent} then ${second.counters.sent}`);
  const back = await fetch(r.manifest);
  assert.deepEqual(fs.readdirSync(`${back}/mariadb`).sort(), ['karte.sql', 'old.sql', 'users.users.sql']);
  assert.match(fs.readFileSync(`${back}/mariadb/users.users.sql`, 'utf8'), /karte/);
  for (const db of ['karte', 'old']) {
    await agentOf(['db-restore', `${back}/mariadb/${db}.sql`, '--kind', 'mariadb', '--access', 'maria', '--into', `${db}_back`]);
    same(await w.maria.rows(`${db}_back`), want[db], db);
  }
  assert.equal((await w.maria.sql('SELECT twice(21)', 'karte_back')).trim(), '42');
  const again = await agentOf(['db-restore', `${back}/mariadb/old.sql`, '--kind', 'mariadb', '--access', 'maria', '--into', 'karte'], { any: true });
  assert.notEqual(again.code, 0);
  same(await w.maria.rows('karte'), { ...want.karte, p: await w.maria.sql('SELECT * FROM p ORDER BY 1', 'karte') }, 'after the refusal');
});

test('SQLite databases in use are kept with what stands in the WAL, as they were at one moment', { timeout: 120e3 }, async () => {
  const dir = path.join(w.place, 'アプリ');
  fs.mkdirSync(dir);
  fs.chmodSync(dir, 0o755);
  const py = (text) => L.run('python3', ['-c', `import sqlite3,sys,os,time\nd=${JSON.stringify(dir)}\n${text}`]);
  await py(`
c=sqlite3.connect(d+'/a.db'); c.execute('create table t(id integer primary key, v text, b blob)'); c.executemany('insert into t(v,b) values(?,?)', [('患者 %d' % i, os.urandom(50)) for i in range(20000)]); c.commit()
c=sqlite3.connect(d+'/plain.db'); c.execute('create table t(x)'); c.execute('insert into t values(1)'); c.commit()
open(d+'/no.db','w').write('this is no database')`);
  // A program that goes on writing pairs of rows: a copy must never hold half a pair.
  const writer = L.track(spawn('python3', ['-c', `
import sqlite3, time
c=sqlite3.connect(${JSON.stringify(`${dir}/a.db`)}, isolation_level=None); c.execute('pragma journal_mode=wal'); c.execute('pragma wal_autocheckpoint=0'); c.execute('create table pair(n int, side int)')
for n in range(100000):
    c.execute('begin'); c.execute('insert into pair values(?,0)', (n,)); c.execute('insert into pair values(?,1)', (n,)); c.execute('commit')
    if n == 20: print('go', flush=True)
    time.sleep(0.002)`], { stdio: ['ignore', 'pipe', 'inherit'] }));
  await new Promise((ok) => writer.stdout.once('data', ok));
  assert.ok(fs.existsSync(`${dir}/a.db-wal`));
  const s = await source('SQLite', { kind: 'sqlite', paths: [`${dir}/*`] });
  const r = await run(s);
  assert.equal(r.state, 'partial', JSON.stringify(r));
  assert.deepEqual(r.problems.map((p) => p.path), [`${dir}/no.db`], JSON.stringify(r.problems));
  assert.ok(writer.exitCode === null, 'the program went on');
  writer.kill('SIGKILL');
  const back = await fetch(r.manifest);
  const at = `${back}/sqlite${dir}`;
  assert.deepEqual(fs.readdirSync(at).sort(), ['a.db', 'plain.db']);
  const got = await py(`
a=sqlite3.connect(d+'/a.db'); b=sqlite3.connect(${JSON.stringify(at)}+'/a.db')
assert a.execute('select * from t order by id').fetchall()==b.execute('select * from t order by id').fetchall()
n=[r[0] for r in b.execute('select count(*) from pair group by n').fetchall()]
assert len(n) > 20 and set(n)=={2}, set(n)
m=b.execute('select max(n) from pair').fetchone()[0]; assert m+1==len(n)
assert b.execute('pragma integrity_check').fetchone()[0]=='ok'
print(sqlite3.connect(${JSON.stringify(at)}+'/plain.db').execute('select * from t').fetchall(), len(n))`);
  assert.match(got.out, /^\[\(1,\)\]/);
  // What belongs to others is read as them, and a damaged one is told.
  const size = fs.statSync(`${dir}/plain.db`).size;
  fs.truncateSync(`${dir}/plain.db`, size - 4096);
  if (root) for (const n of fs.readdirSync(dir)) fs.chownSync(path.join(dir, n), 1234, 1234);
  if (root) fs.chownSync(dir, 1234, 1234);
  fs.chmodSync(dir, 0o700);
  const bad = await run(s);
  assert.equal(bad.state, 'partial', JSON.stringify(bad));
  assert.deepEqual(bad.problems.map((p) => p.path).sort(), [`${dir}/no.db`, `${dir}/plain.db`], JSON.stringify(bad.problems));
});

test('hooks run before and after; one that fails or hangs is told, and what it stopped goes on', { timeout: 180e3 }, async () => {
  const diary = path.join(w.place, 'diary');
  const said = () => (fs.existsSync(diary) ? fs.readFileSync(diary, 'utf8').trim().split('\n') : []);
  await hook('stop', `echo "$1 $SAKIMORI_SOURCE" >> ${diary}; echo 止めました`);
  await hook('go', `echo "$1 $SAKIMORI_STATUS" >> ${diary}`);
  await hook('fail', 'echo だめです >&2; exit 3');
  await hook('hang', `sleep 600 & sleep 600`);
  const s = await source('hooked', { kind: 'files', paths: [w.root], options: { hooks: { before: 'stop', after: 'go' } } });
  const r = await run(s);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.deepEqual(said(), [`before ${s.id}`, 'after complete']);
  assert.ok(r.problems.some((p) => p.path === 'hooks/stop' && p.what.includes('止めました')));
  await change(s, { options: { hooks: { before: 'fail', after: 'go' } } });
  await L.sleep(300);
  const bad = await L.until('a failed run', async () => { const x = await run(s); return x.state === 'failed' && x; });
  assert.ok(bad.problems.some((p) => p.path === 'hooks/fail' && p.error === 'exit 3' && p.what.includes('だめです')), JSON.stringify(bad.problems));
  assert.equal(said().at(-1), 'after failed');
  await change(s, { options: { hooks: { before: 'hang', after: 'go', limit_s: 2, on_failure: 'partial' } } });
  const late = await L.until('a partial run', async () => { const x = await run(s); return x.state === 'partial' && x; });
  assert.ok(late.problems.some((p) => p.path === 'hooks/hang' && p.error === 'took longer than 2 s'), JSON.stringify(late.problems));
  assert.ok(late.manifest);
  const children = L.family(w.agent.process.pid).map((p) => { try { return fs.readFileSync(`/proc/${p}/cmdline`, 'utf8'); } catch { return ''; } });
  assert.ok(!children.some((c) => c.startsWith('sleep')), 'what hangs is ended');
  // The box can only name what is there, and what nobody else could have changed.
  for (const [name, why] of [['none', /no such hook/], ['open', /can change the hook/]]) {
    if (name === 'open') { await hook('open', 'true'); fs.chmodSync(path.join(w.agent.data, 'hooks/open'), 0o777); }
    await change(s, { options: { hooks: { before: name } } });
    const x = await L.until(`a refusal of ${name}`, async () => { const y = await run(s); return y.problems.some((p) => p.path === `hooks/${name}`) && y; });
    assert.equal(x.state, 'failed');
    assert.ok(x.problems.some((p) => why.test(p.error)), JSON.stringify(x.problems));
  }
});

test('a hook after the copy of a database does not take the copy away before it is read', { timeout: 120e3 }, async () => {
  const file = path.join(w.place, 'hooked.db'), diary = path.join(w.place, 'copied');
  await L.run('python3', ['-c', `import sqlite3,os; c=sqlite3.connect(${JSON.stringify(file)}); c.execute('create table t(v blob)'); c.executemany('insert into t values(?)', [(os.urandom(1000),) for i in range(500)]); c.commit()`]);
  await hook('linger', `ls -R ${w.agent.data}/staging > ${diary}; sleep 3`);
  const s = await source('コピーの後', { kind: 'sqlite', paths: [file], options: { hooks: { after: 'linger' } } });
  const r = await run(s);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.match(fs.readFileSync(diary, 'utf8'), /hooked\.db/, 'it ran while the copy was there: before it was read');
  const back = await fetch(r.manifest);
  const got = await L.run('python3', ['-c', `import sqlite3; c=sqlite3.connect(${JSON.stringify(`${back}/sqlite${file}`)}); print(c.execute('select count(*) from t').fetchone()[0], c.execute('pragma integrity_check').fetchone()[0])`]);
  assert.equal(got.out.trim(), '500 ok');
  await L.until('an empty staging', () => fs.readdirSync(path.join(w.agent.data, 'staging')).length === 0);
});

test('what a killed agent left is removed, and the hook that starts things again is run', { timeout: 120e3 }, async () => {
  const mark = path.join(w.place, 'again');
  await hook('slow', `sleep 3`);
  await hook('again', `echo x >> ${mark}`);
  const s = await source('killed', { kind: 'postgresql', options: { access: 'orca', hooks: { before: 'slow', after: 'again' } } });
  await w.c.post(`sources/${s.id}/run`, {});
  await L.until('the hook before', () => fs.existsSync(path.join(w.agent.data, 'cache/hook.after')));
  for (const pid of L.family(w.agent.process.pid).reverse()) process.kill(pid, 'SIGKILL');
  const left = path.join(w.agent.data, 'staging', 'ab'.repeat(16));
  fs.mkdirSync(left);
  fs.writeFileSync(path.join(left, 'orca.dump'), 'x');
  await w.agent.ended;
  w.agent.start();
  await L.until('the hook after', () => fs.existsSync(mark));
  assert.ok(!fs.existsSync(left));
  await L.until('its note is gone', () => !fs.existsSync(path.join(w.agent.data, 'cache/hook.after')));
});

test('the same by the command line, ORCA in one word', { timeout: 60e3 }, async () => {
  const token = path.join(w.place, 'token');
  const paper = path.join(w.place, 'in.json');
  fs.writeFileSync(paper, JSON.stringify({ password: L.password, one_time: w.person.codes[0] }), { mode: 0o600 });
  const cli = async (...args) => {
    const r = await L.run(L.programs.cli, ['--data', w.box.data, '--token-file', token, '--lang', 'en', '--json', ...args], { any: true });
    return { ...r, json: r.code === 0 && r.out ? JSON.parse(r.out) : null };
  };
  const signed = await L.run(L.programs.cli, ['--data', w.box.data, '--token-file', token, '--lang', 'en', 'sign-in', 'incho', '--answers', paper], { any: true });
  assert.equal(signed.code, 0, signed.err);
  const orca = (await cli('source', 'add', 'ORCA', '--preset', 'orca', '--every', 'day', '--at', '02:00')).json;
  assert.equal(orca.kind, 'postgresql');
  assert.equal(orca.group, 'receipt');
  assert.deepEqual(orca.options, { access: 'local', databases: ['orca'] });
  await cli('source', 'set', orca.id, '--access', 'orca', '--hook-before', 'stop', '--hook-limit', '60');
  const set = (await cli('source', 'set', orca.id, '--limit', '3600')).json;
  assert.deepEqual(set.options, { access: 'orca', databases: ['orca'], limit_s: 3600, hooks: { before: 'stop', limit_s: 60 } }, 'what is not said stays');
  const off = (await cli('source', 'set', orca.id, '--hook-before', '-')).json;
  assert.deepEqual(off.options.hooks, { limit_s: 60 });
  assert.notEqual((await cli('source', 'add', 'x', '--kind', 'oracle')).code, 0);
  assert.notEqual((await cli('source', 'add', 'x', '--kind', 'sqlite')).code, 0, 'sqlite wants paths');
  const r = await run(orca);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  await cli('source', 'remove', orca.id);
});

test('beside a box the folder of the box is no database of anybody', { timeout: 120e3 }, async () => {
  await w.agent.stop();
  w.agent.options = { args: ['--skip', w.box.data] };
  w.agent.start();
  const state = path.join(w.box.data, 'state/state.db'), link = path.join(w.place, 'innocent');
  assert.ok(fs.existsSync(state));
  fs.symlinkSync(path.join(w.box.data, 'state'), link);
  const s = await source('beside', { kind: 'sqlite', paths: [state, `${link}/*.db`, path.join(w.place, 'アプリ/a.db')] });
  const r = await run(s);
  assert.equal(r.state, 'partial', JSON.stringify(r));
  assert.deepEqual(r.problems.map((p) => p.what), ["this machine's policy", "this machine's policy"], JSON.stringify(r.problems));
  const pg = await run(w.orca);
  assert.equal(pg.state, 'complete', JSON.stringify(pg));
  await w.agent.stop();
  w.agent.options = {};
  w.agent.start();
});

test('the machine decides which kinds there are, and tells the box what it has', { timeout: 120e3 }, async () => {
  const d = await L.until('features', async () => { const x = await w.c.get(`devices/${w.agent.device.id}`); return ['kind:postgresql', 'kind:mariadb', 'kind:sqlite', 'access:postgresql:tcp', 'access:postgresql:local', 'hook:again'].every((f) => x.features?.includes(f)) && x; }, 60e3);
  assert.ok(!JSON.stringify(d.features).includes(w.pg.dir), 'no addresses');
  const wrong = async (more, field) => {
    const r = await w.c.call('POST', 'sources', { device: w.agent.device.id, name: 'x', schedule: { every: 'off' }, ...more });
    assert.equal(r.status, 400, r.text);
    assert.equal(r.json.error.field, field);
    assert.ok(r.json.error.message.length > 10);
  };
  await wrong({ kind: 'oracle', paths: ['/x'] }, 'kind');
  await wrong({ kind: 'postgresql', options: { access: '../x' } }, 'options.access');
  await wrong({ kind: 'postgresql', options: { password: 'x' } }, 'options');
  await wrong({ kind: 'files', paths: ['/x'], options: { hooks: { before: '/bin/sh' } } }, 'options.hooks.before');
  await wrong({ kind: 'files', paths: ['/x'], options: { databases: ['x'] } }, 'options.databases');
  const changed = await w.c.call('PATCH', `sources/${w.orca.id}`, { kind: 'files' });
  assert.equal(changed.status, 400);
  await w.unlock();
  const home = await w.c.call('POST', 'restores', { manifest: w.first.manifest, device: w.agent.device.id, paths_b64: [], target: { mode: 'original' }, existing: 'aside', why: '試験', suspicious_ok: true });
  assert.equal(home.status, 400);
  assert.equal(home.json.error.field, 'target');
  await w.agent.stop();
  fs.writeFileSync(path.join(w.agent.data, 'policy.conf'), 'endpoint = no\nkind = sqlite\n');
  w.agent.start();
  const r = await run(w.orca);
  assert.equal(r.state, 'failed');
  assert.ok(r.problems.some((p) => /policy/.test(p.what)), JSON.stringify(r.problems));
  await w.agent.stop();
  fs.writeFileSync(path.join(w.agent.data, 'policy.conf'), 'endpoint = no\n');
  w.agent.start();
});
