// A machine whose certificate ends soon gets the next one by itself, goes on with it, and the first one still opens the door.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w;
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});

test('a certificate with twenty days left is renewed without anybody, also after a restart', { timeout: 180e3 }, async () => {
  w = await L.World.start({ name: 'renew', agent: false });
  L.setClock(w.clock, -345 * 86400e3); // the box believes that it is last year
  const code = await w.c.post('devices/codes', { name: 'karte-server', days: 365 });
  w.agent = Object.assign(new L.Agent(), { options: {}, data: path.join(w.place, 'agent') });
  await L.run(L.programs.agent, ['join', w.box.agentUrl, code.code, '--data', w.agent.data, '--name', 'karte-server']);
  L.setClock(w.clock, 0);
  w.c = await L.signIn(w.box, { ...w.person, totp_secret: undefined, one_time: w.person.codes[1] }); // the jump ended it
  const file = (name) => path.join(w.agent.data, 'link', name), days = (pem) => (Date.parse(new crypto.X509Certificate(pem).validTo) - Date.now()) / 86400e3;
  const first = fs.readFileSync(file('cert.pem'), 'utf8');
  assert.ok(days(first) > 15 && days(first) < 25, `${days(first)} days`);
  w.agent.start();
  await L.until('the next certificate', () => fs.existsSync(file('cert.next.pem')), 60000).catch((e) => { throw new Error(e.message + w.agent.log.join('') + w.box.log.join('').slice(-1500)); });
  const next = fs.readFileSync(file('cert.next.pem'), 'utf8');
  assert.ok(days(next) > 360, `${days(next)} days`);
  assert.equal(fs.statSync(file('cert.next.pem')).mode & 0o777, 0o600);
  const d = await L.until('the box to know it', async () => (await w.c.get('devices')).items.find((x) => Date.parse(x.cert_until) > Date.now() + 350 * 86400e3));
  assert.equal(d.name, 'karte-server');
  await L.sleep(2500);
  const ask = (cert) => L.request('POST', `${w.box.agentUrl}/agent/v1/poll`, { wait_s: 0 }, { ca: fs.readFileSync(file('ca.pem')), cert, key: fs.readFileSync(file('tls.key')) });
  assert.equal((await ask(next)).status, 200);
  assert.equal((await ask(first)).status, 200, 'until its own end: the answer could have been lost');
  // It works on with it, and a restarted agent takes it from the start.
  await w.agent.stop();
  fs.writeFileSync(file('cert.pem'), first);
  w.agent.start();
  w.root = path.join(w.place, 'data');
  fs.mkdirSync(w.root);
  fs.writeFileSync(path.join(w.root, 'a.txt'), 'a');
  w.source = await w.addSource(d.id, w.root);
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.ok((await w.c.get('audit')).items.filter((l) => l.act === 'renew' && l.result === 'ok').length === 1, 'once');
});
