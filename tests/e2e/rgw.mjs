// A real S3 server with Object Lock for the tests: Ceph's gateway from Debian, on loopback, and a small signing client.
import { execFile, execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import * as L from './lib.mjs';

const wanted = ['ceph-mon', 'ceph-osd', 'ceph', 'radosgw', 'radosgw-admin'];
const there = (program) => (process.env.PATH ?? '').split(':').concat('/usr/bin', '/usr/sbin').some((d) => fs.existsSync(path.join(d, program)));
export const missing = () => wanted.filter((p) => !there(p));

const sha = (b) => crypto.createHash('sha256').update(b).digest('hex');
const hmac = (k, t) => crypto.createHmac('sha256', k).update(t).digest();

export class Gateway {
  constructor(port, access = 'TESTACCESS', secret = 'TESTSECRET') {
    Object.assign(this, { port, access, secret, url: `http://127.0.0.1:${port}` });
  }

  /** Starts one below a new folder; null when it does not come up in time. */
  static async start(ms = 45000) {
    const dir = L.tempDir('rgw', 0o755), port = L.freePort();
    const script = path.join(L.top, 'tests/e2e/rgw.sh');
    const up = await new Promise((ok) => {
      const p = execFile('bash', [script, 'up', dir, String(port), String(L.freePort()), String(L.freePort())], { timeout: ms, killSignal: 'SIGKILL' }, (e, out, err) => ok(e ? `${e.message} ${err}`.slice(-400) : ''));
      p.stdin?.end();
    });
    const g = new Gateway(port);
    Object.assign(g, { dir, script, trouble: up });
    return g;
  }

  stop() {
    if (this.dir) execFileSync('bash', [this.script, 'down', this.dir]);
  }

  /** One signed request; query: {name: value}.  Gives {status, headers, text, raw}. */
  call(method, key, query = {}, body = Buffer.alloc(0), more = {}) {
    const esc = (t, slash) => encodeURIComponent(t).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`).replaceAll('%2F', slash ? '/' : '%2F');
    const at = new Date().toISOString().replace(/[-:]|\.\d+/g, ''), day = at.slice(0, 8), data = Buffer.from(body);
    const q = Object.keys(query).sort().map((k) => `${esc(k)}=${esc(query[k])}`).join('&'), where = esc(`/${key}`, true);
    const headers = { host: `127.0.0.1:${this.port}`, 'x-amz-content-sha256': sha(data), 'x-amz-date': at, ...more };
    if (method === 'PUT') headers['content-md5'] = crypto.createHash('md5').update(data).digest('base64');
    const names = Object.keys(headers).sort();
    const canonical = [method, where, q, ...names.map((n) => `${n}:${headers[n]}`), '', names.join(';'), sha(data)].join('\n');
    const scope = `${day}/us-east-1/s3/aws4_request`;
    let k = `AWS4${this.secret}`;
    for (const part of [day, 'us-east-1', 's3', 'aws4_request']) k = hmac(k, part);
    const sig = hmac(k, ['AWS4-HMAC-SHA256', at, scope, sha(canonical)].join('\n')).toString('hex');
    headers.authorization = `AWS4-HMAC-SHA256 Credential=${this.access}/${scope}, SignedHeaders=${names.join(';')}, Signature=${sig}`;
    headers['content-length'] = data.length;
    return new Promise((ok, fail) => {
      const r = http.request({ host: '127.0.0.1', port: this.port, method, path: where + (q ? `?${q}` : ''), headers, agent: false, timeout: 20000 }, (res) => {
        const parts = [];
        res.on('data', (p) => parts.push(p));
        res.on('end', () => ok({ status: res.statusCode, headers: res.headers, raw: Buffer.concat(parts), text: Buffer.concat(parts).toString() }));
        res.on('error', fail);
      });
      r.on('timeout', () => r.destroy(new Error('timeout')));
      r.on('error', fail);
      r.end(data);
    });
  }

  async must(...args) {
    const r = await this.call(...args);
    if (r.status >= 300) throw new Error(`${args[0]} ${args[1]}: ${r.status} ${r.text.slice(0, 300)}`);
    return r;
  }

  bucket(name, lock = true) {
    return this.must('PUT', name, {}, '', lock ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {});
  }

  /** Every version and delete marker: [{key, version, marker, latest}]. */
  async versions(bucket, prefix = '') {
    const all = [];
    for (let more = {}; more;) {
      const r = await this.must('GET', bucket, { versions: '', prefix, ...more });
      for (const [, kind, one] of r.text.matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/gs)) {
        const field = (n) => new RegExp(`<${n}>(.*?)</${n}>`, 's').exec(one)?.[1] ?? '';
        all.push({ key: field('Key'), version: field('VersionId'), marker: kind === 'DeleteMarker', latest: field('IsLatest') === 'true', size: Number(field('Size')) });
      }
      const next = (n) => new RegExp(`<${n}>(.*?)</${n}>`, 's').exec(r.text)?.[1];
      more = next('IsTruncated') === 'true' ? { 'key-marker': next('NextKeyMarker'), 'version-id-marker': next('NextVersionIdMarker') ?? '' } : null;
    }
    return all;
  }

  async lockOf(bucket, key, version) {
    const r = await this.must('GET', `${bucket}/${key}`, { retention: '', versionId: version });
    return { mode: /<Mode>(.*?)</.exec(r.text)?.[1], until: Date.parse(/<RetainUntilDate>(.*?)</.exec(r.text)?.[1]) };
  }
}
