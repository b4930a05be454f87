// Real servers of databases, for tests: on loopback and a socket of their own, never as root.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

const root = process.getuid?.() === 0;
/** What was started: to be stopped. */
export const servers = [];

/** Who a server runs as: never root. */
function userOf(name) {
  if (!root) return { name: process.env.USER, options: {} };
  const [, , uid, gid] = execFileSync('getent', ['passwd', name], { encoding: 'utf8' }).split(':');
  return { name, options: { uid: Number(uid), gid: Number(gid) } };
}

export class Postgres {
  static async start() {
    const p = new Postgres();
    p.user = userOf('postgres');
    p.dir = L.tempDir('pg', 0o755);
    if (root) fs.chownSync(p.dir, p.user.options.uid, p.user.options.gid);
    const versions = fs.readdirSync('/usr/lib/postgresql').map(Number).sort((a, b) => b - a);
    p.bin = `/usr/lib/postgresql/${versions[0]}/bin`;
    p.port = L.freePort();
    await L.run(`${p.bin}/initdb`, ['-D', `${p.dir}/data`, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', p.file('pw', `${p.password}\n`), '-E', 'UTF8', '--locale', 'C', '--no-sync'], p.user.options);
    fs.writeFileSync(`${p.dir}/data/pg_hba.conf`, `local all all peer map=here\nhost all all 127.0.0.1/32 scram-sha-256\n`);
    fs.writeFileSync(`${p.dir}/data/pg_ident.conf`, `here ${p.user.name} postgres\n`);
    p.process = L.track(spawn(`${p.bin}/postgres`, ['-D', `${p.dir}/data`, '-k', p.dir, '-p', String(p.port), '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off', '-c', 'shared_buffers=16MB'],
      { stdio: ['ignore', 'ignore', 'pipe'], ...p.user.options }));
    p.log = '';
    p.process.stderr.on('data', (d) => (p.log += d));
    servers.push(p);
    await L.until('PostgreSQL', () => p.sql('postgres', 'SELECT 1'));
    return p;
  }

  password = 'himitsu: no "\\ \' kotoba';

  file(name, text) {
    const f = path.join(this.dir, name);
    fs.writeFileSync(f, text, { mode: 0o600 });
    if (root) fs.chownSync(f, this.user.options.uid, this.user.options.gid);
    return f;
  }

  async sql(db, text) {
    return (await L.run(`${this.bin}/psql`, ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-h', this.dir, '-p', String(this.port), '-U', 'postgres', '-d', `dbname='${db.replace(/['\\]/g, '\\$&')}'`], { ...this.user.options, input: text })).out;
  }

  /** Everything in a database that a program could read: rows of every table in order, sequences, large objects. */
  async rows(db) {
    const out = {};
    const names = (await this.sql(db, "SELECT quote_ident(schemaname)||'.'||quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog','information_schema') ORDER BY 1")).trim().split('\n');
    for (const t of names) out[t] = await this.sql(db, `COPY (SELECT t::text FROM ${t} t ORDER BY 1) TO STDOUT;`);
    out.sequences = await this.sql(db, 'SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2');
    out.large = await this.sql(db, "SELECT loid, pageno, md5(data) FROM pg_largeobject ORDER BY 1, 2");
    out.made = await this.sql(db, 'SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname=current_database()');
    return out;
  }

  async stop() {
    this.process.kill('SIGINT');
    await L.until('the end of PostgreSQL', () => this.process.exitCode !== null || this.process.signalCode !== null);
  }
}

export class MariaDb {
  password = `himitsu: "no' \\ kotoba #;`;

  static async start() {
    const m = new MariaDb();
    m.user = userOf('mysql');
    m.dir = L.tempDir('maria', 0o755);
    if (root) fs.chownSync(m.dir, m.user.options.uid, m.user.options.gid);
    m.socket = `${m.dir}/s.sock`;
    m.port = L.freePort();
    const common = ['--no-defaults', `--datadir=${m.dir}/data`];
    await L.run('mariadb-install-db', [...common, '--auth-root-authentication-method=normal', '--skip-test-db', '--cross-bootstrap', `--user=${m.user.name}`], m.user.options);
    m.process = L.track(spawn('/usr/sbin/mariadbd', [...common, `--socket=${m.socket}`, `--port=${m.port}`, '--bind-address=127.0.0.1', '--innodb-buffer-pool-size=8M', '--innodb-flush-log-at-trx-commit=0', `--pid-file=${m.dir}/pid`],
      { stdio: 'ignore', ...m.user.options }));
    servers.push(m);
    await L.until('MariaDB', () => m.sql('SELECT 1'));
    return m;
  }

  async sql(text, db) {
    return (await L.run('mariadb', ['--no-defaults', `--socket=${this.socket}`, '-u', 'root', '-N', '-B', '--default-character-set=utf8mb4', ...(db ? [db] : [])], { ...this.user.options, input: text })).out;
  }

  async rows(db) {
    const out = {};
    for (const t of (await this.sql(`SELECT table_name FROM information_schema.tables WHERE table_schema='${db}' AND table_type='BASE TABLE' ORDER BY 1`)).trim().split('\n')) {
      out[t] = await this.sql(`SELECT * FROM \`${t}\` ORDER BY 1`, db);
      out[`${t} made`] = await this.sql(`SHOW CREATE TABLE \`${t}\``, db);
    }
    out.routines = await this.sql(`SELECT routine_name, routine_definition FROM information_schema.routines WHERE routine_schema='${db}' ORDER BY 1`);
    out.triggers = await this.sql(`SELECT trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema='${db}' ORDER BY 1`);
    out.events = await this.sql(`SELECT event_name, event_definition FROM information_schema.events WHERE event_schema='${db}' ORDER BY 1`);
    out.made = await this.sql(`SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name='${db}'`);
    return out;
  }

  async stop() {
    this.process.kill('SIGTERM');
    await L.until('the end of MariaDB', () => this.process.exitCode !== null || this.process.signalCode !== null);
  }
}
