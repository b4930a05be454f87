// A machine in the attacker's hands, by hand: Sakimori's agent protocol and vault format written again from the documents,
// with the stolen certificate and keys of an agent's folder.  Seals rubbish: the box cannot open it and must still keep order.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { request } from './lib.mjs';

export const hash = (...parts) => parts.reduce((h, p) => h.update(p), crypto.createHash('sha256')).digest();
const u16 = (n) => { const b = Buffer.alloc(2); b.writeUInt16LE(n); return b; };
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt.asUintN(64, BigInt(n))); return b; };
const varint = (n) => {
  const out = [];
  for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  return Buffer.from([...out, n]);
};
const blob = (b) => Buffer.concat([varint(b.length), b]);
const random = (n) => crypto.randomBytes(n);
export const zeros = Buffer.alloc(32);

export class Foe {
  constructor(data) {
    const read = (n) => fs.readFileSync(path.join(data, n));
    this.config = JSON.parse(read('agent.json'));
    this.url = this.config.url;
    this.vault = Buffer.from(this.config.vault, 'hex');
    this.client = Buffer.from(this.config.client, 'hex');
    this.set = Buffer.from(this.config.recipients, 'hex');
    const seed = Buffer.from(JSON.parse(read('keys/device.json')).device_seed, 'hex');
    this.key = crypto.createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]), format: 'der', type: 'pkcs8' });
    this.tls = { ca: read('link/ca.pem'), cert: read('link/cert.pem'), key: read('link/tls.key') };
  }

  call(method, route, body, headers = {}, tls = this.tls) {
    return request(method, `${this.url}${route}`, body, { ...tls, headers }).catch((e) => ({ status: 0, text: e.message, json: null }));
  }

  /** What the box orders: source and run of the newest backup. */
  async orders(wait = 5) {
    const r = await this.call('POST', '/agent/v1/poll', { agent_version: '0.1.0', uptime_ms: 1, state: {}, wait_s: wait });
    return (r.json?.orders ?? []).map((o) => JSON.parse(Buffer.from(o.order, 'base64').toString()));
  }

  async open(source, run) {
    const r = await this.call('POST', '/agent/v1/sessions', { source, run, reason: 'adhoc' });
    if (r.status === 200) this.s = { ...r.json, source: Buffer.from(source, 'hex'), run: Buffer.from(run, 'hex') };
    return r;
  }

  header(type, algorithm = 1, client = this.client) {
    return Buffer.concat([Buffer.from('SKO1'), Buffer.from([1, algorithm, type, 0]), client]);
  }

  object(type, sealed) {
    return { type, sealed, cid: hash(sealed) };
  }

  chunk(n = 2000, client = this.client) {
    return this.object(1, Buffer.concat([this.header(1, 1, client), random(12 + n + 16)]));
  }

  page(refs, type = 2, n = 200) {
    const sorted = [...refs].sort(Buffer.compare);
    return this.object(type, Buffer.concat([this.header(type), u32(sorted.length), ...sorted, random(12 + n + 16)]));
  }

  envelope() {
    const n = this.set[0];
    const wraps = Array.from({ length: n }, () => Buffer.concat([u16(80), random(80)]));
    return this.object(4, Buffer.concat([this.header(4), Buffer.from([1]), random(16), random(32), this.set, ...wraps]));
  }

  pack(kind, objects, more = {}) {
    const body = Buffer.concat(objects.map((o) => o.sealed));
    const head = Buffer.concat([Buffer.from('SKP1'), Buffer.from([1, kind]), u16(0), more.vault ?? this.vault, more.client ?? this.client,
      Buffer.from(more.session ?? this.s.session, 'hex'), u32(objects.length), u32(0), u64(body.length), u64(0)]);
    const dir = Buffer.concat(objects.map((o) => Buffer.concat([o.cid, u32(o.sealed.length), Buffer.from([o.type, 0, 0, 0])])));
    return { id: hash('sakimori/v1/pack', head, dir).toString('hex'), bytes: Buffer.concat([head, dir, body]) };
  }

  put(id, bytes, headers = {}, session = this.s.session) {
    return this.call('PUT', `/agent/v1/sessions/${session}/packs/${id}`, bytes, { 'X-Sakimori-Length': String(bytes.length), ...headers });
  }

  manifest(m) {
    const head = Buffer.from(this.s.head ?? '', 'hex');
    const facts = Buffer.from(JSON.stringify(m.facts ?? { facts: 1 }));
    const roots = m.roots;
    const b = Buffer.concat([Buffer.from('SKM1'), Buffer.from([1]), m.vault ?? this.vault, m.client ?? this.client, m.source ?? this.s.source, m.run ?? this.s.run,
      u64(m.number ?? this.s.number), m.previous ?? Buffer.from(this.s.previous, 'hex'), u64(m.seq ?? (head.length ? head.readBigUInt64LE(16) : 0)),
      m.headHash ?? (head.length ? head.subarray(24, 56) : zeros), Buffer.from([m.kind ?? 2, m.status ?? 1]), u64(m.started ?? Math.floor(Date.now() / 1000)),
      u64(m.finished ?? Math.floor(Date.now() / 1000)), m.envelope, varint(roots.length), ...roots, varint(0), blob(random(32 * roots.length + 16)), blob(facts), blob(Buffer.from(m.label ?? ''))]);
    const sig = crypto.sign(null, Buffer.concat([Buffer.from('sakimori/v1/manifest'), hash(b)]), m.key ?? this.key);
    return Buffer.concat([b, sig]);
  }

  send(bytes, session = this.s.session) {
    return this.call('POST', `/agent/v1/sessions/${session}/manifest`, bytes);
  }

  /** A well-formed generation of rubbish: one chunk, one page. */
  async generation(m = {}) {
    const envelope = this.envelope(), chunk = this.chunk(), page = this.page([chunk.cid, envelope.cid]);
    const data = this.pack(1, [chunk]), meta = this.pack(2, [envelope, page]);
    const sent = [await this.put(data.id, data.bytes), await this.put(meta.id, meta.bytes)];
    this.last = { envelope, chunk, page, data, meta };
    const bytes = this.manifest({ envelope: envelope.cid, roots: [page.cid], ...m });
    const r = await this.send(bytes);
    return { ...r, sent, bytes };
  }
}
