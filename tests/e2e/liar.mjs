// A front that lies: it stands between an agent and a box with the box's own certificate and key (taken from keyd's file, as
// root on the box could), hands everything on, and changes what it is told to.
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import tls from 'node:tls';

const pem = (der) => `-----BEGIN CERTIFICATE-----\n${der.toString('base64').match(/.{1,64}/g).join('\n')}\n-----END CERTIFICATE-----\n`;

export class Liar {
  /** box: its data and agentUrl; agent: the folder whose certificate it may use towards the box. */
  static async between(box, agent) {
    const l = new Liar(), read = (n) => fs.readFileSync(path.join(agent, 'link', n));
    const keys = JSON.parse(fs.readFileSync(path.join(box.data, 'keys/keys.json'), 'utf8')), to = new URL(box.agentUrl);
    l.lies = [];
    l.seen = [];
    l.up = { host: to.hostname, port: to.port, ca: read('ca.pem'), cert: read('cert.pem'), key: read('tls.key') };
    const cert = await new Promise((ok, fail) => {
      const s = tls.connect({ ...l.up, servername: to.hostname === '127.0.0.1' ? 'localhost' : to.hostname, checkServerIdentity: () => undefined }, () => { ok(pem(s.getPeerCertificate().raw)); s.destroy(); });
      s.on('error', fail);
    });
    l.agent = new https.Agent({ keepAlive: true, maxSockets: 16 });
    l.server = https.createServer({ key: keys.server_key, cert, ca: l.up.ca, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3' }, (q, a) => l.carry(q, a));
    await new Promise((ok) => l.server.listen(0, '127.0.0.1', ok));
    l.url = `https://127.0.0.1:${l.server.address().port}`;
    return l;
  }

  /** From now on answers of this method and path (a pattern) go through fn({status, body, json, request}), which gives the
      new body (Buffer, text or object), or undefined to leave it; its count grows with each that was changed. */
  tell(method, pattern, fn) {
    const lie = { method, pattern, fn, told: 0 };
    this.lies.push(lie);
    return lie;
  }

  /** Requests of this kind never reach the box: fn({request, path}) is all the answer there is, undefined lets it pass. */
  swallow(method, pattern, fn) {
    const lie = { method, pattern, fn, told: 0, swallows: true };
    this.lies.push(lie);
    return lie;
  }

  honest() { this.lies = []; }

  carry(q, a) {
    const parts = [];
    q.on('data', (d) => parts.push(d));
    q.on('error', () => a.destroy());
    q.on('end', () => {
      const body = Buffer.concat(parts), headers = { ...q.headers };
      for (const l of this.lies) {
        const said = l.swallows && l.method === q.method && l.pattern.test(q.url) ? l.fn({ request: body, path: q.url }) : undefined;
        if (said === undefined) continue;
        l.told++;
        a.writeHead(200, { 'content-type': 'application/json' });
        a.end(JSON.stringify(said));
        return;
      }
      delete headers.host;
      delete headers.connection;
      delete headers['transfer-encoding'];
      headers['content-length'] = body.length;
      delete headers.expect;
      const u = https.request({ ...this.up, agent: this.agent, checkServerIdentity: () => undefined, method: q.method, path: q.url, headers }, (r) => {
        const got = [];
        r.on('data', (d) => got.push(d));
        r.on('end', () => this.answer(q, body, r, Buffer.concat(got), a));
      });
      u.on('error', () => a.destroy());
      a.on('close', () => u.destroy());
      u.end(body);
    });
  }

  answer(q, request, r, body, a) {
    let status = r.statusCode;
    let json;
    try { json = JSON.parse(body.toString()); } catch { json = undefined; }
    this.seen.push({ method: q.method, path: q.url, status, json });
    for (const l of this.lies) {
      if (l.swallows || l.method !== q.method || !l.pattern.test(q.url)) continue;
      const said = l.fn({ status, body, json, request });
      if (said === undefined) continue;
      l.told++;
      if (said.status) status = said.status;
      const b = said.body ?? said;
      body = Buffer.isBuffer(b) ? b : Buffer.from(typeof b === 'string' ? b : JSON.stringify(b));
    }
    const headers = { ...r.headers, 'content-length': body.length };
    delete headers['transfer-encoding'];
    delete headers.connection;
    a.writeHead(status, headers);
    a.end(body);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
    this.agent.destroy();
  }
}
