// A copy at another box: two real boxes on loopback, a line between them that is cut, a near box that was rolled back, and
// everything restored from what lies at the far one, with the recovery sheet alone.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import * as L from './lib.mjs';

const say = (text) => console.log(`# ${text}`);
let near, far, proxy, copy, peer, tree;
after(async () => {
  proxy?.close();
  await near?.stop().catch(() => {});
  await far?.stop().catch(() => {});
  L.clearUp();
});

/** A line between the boxes that can be cut after so many bytes of a connection. */
class Line {
  constructor(to) {
    this.to = to;
    this.cutAfter = Infinity;
    this.cuts = 0;
    this.sockets = new Set();
    this.server = net.createServer((a) => this.join(a));
  }

  async open() {
    await new Promise((ok) => this.server.listen(0, '127.0.0.1', ok));
    return this.server.address().port;
  }

  join(a) {
    const b = net.connect(this.to, '127.0.0.1');
    let n = 0;
    const end = () => {
      a.destroy();
      b.destroy();
    };
    for (const s of [a, b]) {
      this.sockets.add(s);
      s.on('error', end);
      s.on('close', () => { this.sockets.delete(s); end(); });
    }
    a.on('data', (d) => {
      n += d.length;
      if (n > this.cutAfter) {
        this.cuts++;
        b.write(d.subarray(0, Math.max(0, d.length - (n - this.cutAfter))));
        setImmediate(end);
      } else {
        b.write(d);
      }
    });
    b.on('data', (d) => a.write(d));
  }

  close() {
    for (const s of this.sockets) s.destroy();
    this.server.close();
  }
}

const get = () => near.c.get(`copies/${copy}`);
const settled = (states, ms = 90000) => L.until(`the copy to be ${states}`, async () => {
  const c = await get();
  return states.includes(c.state) && !c.progress && c;
}, ms).catch(async (e) => {
  throw new Error(`${e.message}: ${JSON.stringify(await get())}\nnear ${near.box.log.join('').slice(-2500)}\nfar ${far.box.log.join('').slice(-2500)}`);
});
const vaultThere = () => path.join(far.box.data, 'peers', peer, 'sakimori-copy', 'vault');
const neighbour = () => far.c.get(`peers/${peer}`);
const run = async (verify = false) => {
  await near.c.post(`copies/${copy}/run`, { verify });
  return settled(['ok', 'failed', 'forked', 'unsound', 'old', 'never']);
};
const packsOf = (vault) => fs.readdirSync(path.join(vault, 'packs'), { recursive: true }).filter((f) => f.endsWith('.skp')).map((f) => path.join(vault, 'packs', f)).sort();

async function recoverFrom(vault, manifest) {
  const sheet = path.join(near.place, 'sheet.txt'), to = fs.mkdtempSync(path.join(near.place, 'out-'));
  fs.writeFileSync(sheet, near.person.sheet.open.words_ja.join(' '));
  const v = await L.run(L.programs.cli, ['vault', 'verify', 'data', '--vault', vault, '--lang', 'en'], { any: true });
  assert.equal(v.code, 0, v.out + v.err);
  const r = await L.run(L.programs.cli, ['recover', '--vault', vault, '--sheet', sheet, '--generation', manifest, '--to', to, '--lang', 'en'], { any: true });
  assert.equal(r.code, 0, r.out + r.err);
  assert.deepEqual(L.treeOf(path.join(to, near.root)), tree);
}

test('a neighbour is let in by a code, once, and its copy arrives', { timeout: 240e3 }, async () => {
  near = await L.World.start({ name: 'near' });
  far = await L.World.start({ name: 'far', agent: false });
  proxy = new Line(Number(new URL(far.box.agentUrl).port));
  const url = `https://127.0.0.1:${await proxy.open()}`;
  const code = await far.c.post('peers/codes', { name: 'さくら内科', quota_gib: 2 });
  assert.match(code.code, /^SKP1-/);
  await near.c.must('POST', 'copies', { kind: 'box', name: 'となりの箱', place: url, code: 'SKP1-AAAA' }, 400).catch(() => assert.fail('a code that is none'));
  const made = await near.c.post('copies', { kind: 'box', name: 'となりの箱', place: `${url}/`, code: code.code, elsewhere: true });
  copy = made.id;
  assert.equal(made.place, url);
  assert.equal(JSON.stringify(made).includes('PRIVATE'), false);
  await L.until('the neighbour', async () => (peer = (await far.c.get('peers')).items[0]?.id), 60000);
  await L.backup(near.c, near.source.id);
  tree = L.treeOf(near.root);
  await settled(['ok', 'old', 'never', 'failed']);
  const c = await run();
  assert.equal(c.state, 'ok', JSON.stringify(c) + near.box.log.join('').slice(-2000) + far.box.log.join('').slice(-2000));
  const n = await neighbour();
  assert.equal(n.name, 'さくら内科');
  assert.equal(n.institution, 'さくら内科クリニック');
  assert.equal(n.seq, c.seq);
  assert.equal(n.state, 'ok');
  assert.ok(n.used > 0 && n.generations === 1);
  assert.equal(n.path, path.join(far.box.data, 'peers', peer, 'sakimori-copy'));
  // The code is used up, and the key is in the parent's file only.
  const again = await near.c.post('copies', { kind: 'box', name: 'x', place: 'https://127.0.0.2:9', code: code.code });
  await L.until('the second to fail', async () => (await near.c.get(`copies/${again.id}`)).state === 'failed', 60000);
  await near.c.must('DELETE', `copies/${again.id}`);
  const kept = await L.until('the keys of the removed copy to be gone', () => {
    const all = JSON.parse(fs.readFileSync(path.join(near.box.data, 'copies.json'), 'utf8'));
    return Object.keys(all).join() === copy && all;
  }, 10000);
  assert.match(kept[copy].cert, /BEGIN CERTIFICATE/);
  assert.equal(kept[copy].secret, '');
  assert.equal(fs.statSync(path.join(near.box.data, 'copies.json')).mode & 0o77, 0);
  const lamps = (await near.c.get('copies')).lamps.map((l) => `${l.id} ${l.state}`);
  assert.ok(lamps.includes('elsewhere on') && lamps.includes('offline on'), lamps.join());
});

test('the far folder alone, with the near sheet, gives everything back', { timeout: 120e3 }, async () => {
  await recoverFrom(vaultThere(), (await near.generations())[0].id);
  const label = fs.readFileSync(path.join(vaultThere(), '..', 'label'), 'utf8');
  assert.match(label, /^sakimori copy 1\n/);
});

test('a line that is cut again and again loses nothing, and nothing is counted before it is there', { timeout: 400e3 }, async () => {
  for (let i = 0; i < 6; i++) fs.writeFileSync(path.join(near.root, `new-${i}.bin`), Buffer.from(Array.from({ length: 400000 }, () => Math.floor(Math.random() * 256))));
  await L.sleep(2100);
  await L.backup(near.c, near.source.id);
  tree = L.treeOf(near.root);
  const before = await get();
  let failed = 0;
  for (const bytes of [2500, 9000, 40000, 150000]) {
    proxy.cutAfter = bytes;
    const c = await run();
    if (c.state === 'failed') {
      failed++;
      assert.equal(c.seq, before.seq, 'not counted');
      assert.equal(c.covers, before.covers);
    }
  }
  say(`${proxy.cuts} cuts, ${failed} runs that did not end`);
  assert.ok(proxy.cuts > 5);
  proxy.cutAfter = Infinity;
  const c = await run();
  assert.equal(c.state, 'ok', JSON.stringify(c));
  await recoverFrom(vaultThere(), (await near.generations())[0].id);
});

test('what rots there is found by reading back from here, and put right', { timeout: 240e3 }, async () => {
  let c = await run(true);
  assert.equal(c.state, 'ok', JSON.stringify(c));
  assert.equal(c.sound, true);
  const victim = packsOf(vaultThere())[0], was = fs.readFileSync(victim);
  const bad = Buffer.from(was);
  bad[300] ^= 4;
  fs.writeFileSync(victim, bad);
  c = await run(true);
  assert.equal(c.state, 'unsound');
  c = await run();
  c = await settled(['ok']);
  assert.ok(L.packOf(fs.readFileSync(victim)).equals(L.packOf(was)));
  // The far box, asked by a person there, reads all of it too.
  await far.c.post(`peers/${peer}/check`);
  const n = await L.until('the far check', async () => { const x = await neighbour(); return x.checked && x; }, 60000);
  assert.equal(n.rotten, 0);
});

test('a neighbour that is stopped is told so in words, and goes on when it is accepted again', { timeout: 200e3 }, async () => {
  const there = packsOf(vaultThere()).length;
  const holder = path.join(near.root, 'large.bin');
  fs.writeFileSync(holder, Buffer.alloc(300000, 7));
  await L.sleep(2100);
  await L.backup(near.c, near.source.id);
  await far.c.must('PATCH', `peers/${peer}`, { accepting: false });
  let c = await run();
  assert.equal(c.state, 'failed');
  assert.match(c.text, /受けつけていません/);
  await far.c.must('PATCH', `peers/${peer}`, { accepting: true });
  c = await run();
  assert.equal(c.state, 'ok', JSON.stringify(c));
  assert.ok(packsOf(vaultThere()).length > there);
  tree = L.treeOf(near.root);
});

test('a machine is no neighbour and a neighbour no machine, over real certificates', { timeout: 60e3 }, async () => {
  const kept = JSON.parse(fs.readFileSync(path.join(near.box.data, 'copies.json'), 'utf8'))[copy];
  const as = { ca: kept.ca, cert: kept.cert, key: kept.key };
  const ask = (method, route, body) => L.request(method, `${far.box.agentUrl}/agent/v1/${route}`, body, as);
  assert.equal((await ask('GET', 'peer')).status, 200);
  assert.equal((await ask('POST', 'poll', {})).status, 403);
  assert.equal((await ask('POST', 'sessions', {})).status, 403);
  for (const name of ['../label', '/etc/passwd', 'lock', 'tmp', 'packs/../../label', 'heads/1.head']) {
    assert.equal((await ask('GET', `peer/file?name=${encodeURIComponent(name)}&offset=0&length=10`)).status, 404, name);
  }
  // Its own agents' certificates open nothing there: another CA.
  const machine = { ca: kept.ca, cert: fs.readFileSync(path.join(near.agent.data, 'link/cert.pem')), key: fs.readFileSync(path.join(near.agent.data, 'link/tls.key')) };
  assert.equal((await L.request('GET', `${far.box.agentUrl}/agent/v1/peer`, undefined, machine)).status, 401);
});

test('the command line: invite, look, and give the copy back to a disk, from which it restores', { timeout: 120e3 }, async () => {
  const home = path.join(far.place, 'home'), disk = path.join(far.place, 'disk');
  fs.mkdirSync(home);
  const cli = (args, options = {}) => L.run(L.programs.cli, [...args, '--data', far.box.data, '--lang', 'en'], { any: true, env: { HOME: home, XDG_CONFIG_HOME: path.join(home, '.config') }, ...options });
  const good = async (args, options) => {
    const r = await cli(args, options);
    assert.equal(r.code, 0, `${args}: ${r.out}${r.err}`);
    return r.out;
  };
  await good(['sign-in', 'incho', '--password-stdin'], { input: `${L.password}\n${far.person.codes[0]}\n` });
  assert.match(await good(['peer', 'list']), /さくら内科/);
  assert.match(await good(['peer', 'show', 'さくら内科']), /さくら内科クリニック/);
  assert.match(await good(['peer', 'invite', '山の診療所', '--quota', '10']), /^https:.*\nSKP1-/);
  assert.equal((await cli(['peer', 'invite', '山の診療所'])).code, 2);
  assert.match(await good(['peer', 'set', 'さくら内科', '--quota', '3']), /3(\.0)? GiB/);
  assert.match((await cli(['copy', 'box', 'https://127.0.0.1:1', '--password-stdin'], { input: 'SKP1-AAAA\n' })).err, /code/);
  await good(['peer', 'check', 'さくら内科']);
  await good(['peer', 'export', 'さくら内科', '--to', disk]);
  assert.equal((await cli(['peer', 'export', 'さくら内科', '--to', disk])).code, 1, 'nothing is written over');
  await recoverFrom(path.join(disk, 'sakimori-copy/vault'), (await near.generations())[0].id);
});

test('both screens: a code is made there and entered here, one after the other', { timeout: 200e3 }, async () => {
  const browser = await L.startBrowser();
  try {
    const pageOf = async (w) => {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: w.box.url, locale: 'ja-JP', serviceWorkers: 'block' });
      const [name, value] = w.c.cookie.split('=');
      await context.addCookies([{ name, value, url: w.box.url, secure: true }]);
      const page = await context.newPage();
      page.setDefaultTimeout(30000);
      return page;
    };
    const there = await pageOf(far), here = await pageOf(near);
    await there.goto('/copies');
    await there.getByRole('link', { name: '預かっている写しを見る' }).click();
    await there.getByRole('heading', { name: 'さくら内科', exact: true }).waitFor();
    assert.match(await there.locator('#main').innerText(), /さくら内科クリニック[\s\S]*だいじょうぶ/);
    await there.locator('summary').click();
    await L.picture(there, 'peers');
    await there.getByRole('button', { name: /新しいコード/ }).click();
    await there.getByRole('dialog').waitFor();
    await L.picture(there, 'peers-code');
    const code = await there.getByRole('dialog').locator('.copy').nth(1).innerText();
    assert.match(code, /^SKP1-/);
    await here.goto('/copies');
    await here.getByRole('heading', { name: 'となりの箱' }).waitFor();
    await here.getByRole('button', { name: 'アドレスとコードを入れる' }).click();
    await L.picture(here, 'copies-box');
    await here.getByText('設定と記録').click();
    await here.getByLabel('コード(SKP1- ではじまります)').last().waitFor();
    const field = here.locator('details').getByLabel('コード(SKP1- ではじまります)');
    await field.fill(code.toLowerCase());
    await here.getByRole('button', { name: 'このコードを使う' }).click();
    await L.until('the field to be empty again', async () => (await field.inputValue()) === '');
    await settled(['ok']);
    const kept = () => JSON.parse(fs.readFileSync(path.join(near.box.data, 'copies.json'), 'utf8'))[copy];
    await L.until('the new certificate', () => kept().cert && kept().secret === '');
    assert.equal((await far.c.get('peers')).items.length, 1);
  } finally {
    await browser.close();
  }
});

test('the certificate is renewed by itself before it ends, and the one before goes on until its own end', { timeout: 120e3 }, async () => {
  const kept = () => JSON.parse(fs.readFileSync(path.join(near.box.data, 'copies.json'), 'utf8'))[copy];
  const days = (pem) => (Date.parse(new crypto.X509Certificate(pem).validTo) - Date.now()) / 86400e3;
  assert.ok(Math.abs(days(kept().cert) - 397) < 2, `it lasts ${days(kept().cert)} days`);
  // One that has but sixty days left: made while the far box believed it was last year.
  L.setClock(far.clock, -337 * 86400e3);
  const code = await far.c.post('peers/codes', { peer });
  await near.c.must('POST', `copies/${copy}/keys`, { code: code.code }); // it tries at once; the door takes no certificate last year
  await L.until('the new certificate', () => kept().cert && kept().secret === '' && days(kept().cert) < 90, 60000);
  const short = kept().cert;
  L.setClock(far.clock, 0);
  far.c = await L.signIn(far.box, { ...far.person, totp_secret: undefined, one_time: far.person.codes[4] }); // the jumps ended it
  assert.ok(days(short) > 50 && days(short) < 70, `${days(short)}`);
  await settled(['ok', 'failed', 'old']);
  const c = await run();
  assert.equal(c.state, 'ok', JSON.stringify(c));
  await L.until('the renewal', () => days(kept().cert) > 390, 20000).catch((e) => { throw new Error(`${e.message} ${near.box.log.join('').slice(-1500)} ${far.box.log.join('').slice(-1500)}`); });
  const ask = (cert) => L.request('GET', `${far.box.agentUrl}/agent/v1/peer`, undefined, { ca: kept().ca, cert, key: kept().key });
  assert.equal((await ask(kept().cert)).status, 200);
  assert.equal((await ask(short)).status, 200, 'the answer could have been lost');
  assert.equal((await run()).state, 'ok');
  assert.ok((await far.c.get('audit')).items.some((l) => l.act === 'peer.renew' && l.result === 'ok'));
});

test('a near box that was rolled back touches nothing there, and both boxes raise an alarm', { timeout: 240e3 }, async () => {
  const manifest = (await near.generations())[0].id;
  const vault = path.join(near.box.data, 'vault'), old = path.join(near.place, 'old-vault');
  await near.agent.stop();
  await near.box.stop();
  fs.cpSync(vault, old, { recursive: true });
  const again = { ...near.box.options };
  near.box = await L.Box.start(again);
  near.c = await L.signIn(near.box, near.person, near.now());
  await near.c.post('retention/clean', { dry_run: true }).catch(() => {});
  await near.c.must('POST', `copies/${copy}/run`, {});
  await settled(['ok']);
  await L.sleep(500);
  await near.box.stop();
  fs.rmSync(vault, { recursive: true });
  fs.cpSync(old, vault, { recursive: true });
  near.box = await L.Box.start(again);
  near.c = await L.signIn(near.box, near.person, near.now() + 31e3);
  const heads = fs.readFileSync(path.join(vaultThere(), 'heads/0.head'));
  const c = await run();
  assert.equal(c.state, 'forked', JSON.stringify(c));
  const kinds = async (w) => (await w.c.get('alarms?open=1')).items.map((a) => a.kind);
  assert.ok((await kinds(near)).includes('copy_forked'));
  await L.until('the far alarm', async () => (await kinds(far)).includes('peer_forked'), 20000);
  assert.ok(fs.readFileSync(path.join(vaultThere(), 'heads/0.head')).equals(heads));
  await recoverFrom(vaultThere(), manifest);
  assert.ok(L.readJournal(path.join(far.box.data, 'vault')).some((r) => r.type === 40 && r.payload.what === 'refused'));
});

test('with the near box gone, its copy is fetched from the far box with a code, and the sheet alone restores from it', { timeout: 120e3 }, async () => {
  const manifest = (await near.generations())[0].id, code = await far.c.post('peers/codes', { peer });
  await near.stop();
  const to = path.join(near.place, 'fetched'), url = far.box.agentUrl;
  const fetch = (dir, text) => L.run(L.programs.cli, ['copy', 'fetch', url, '--box', '--to', dir, '--password-stdin', '--lang', 'ja'], { any: true, input: `${text}\n` });
  const wrong = await fetch(to, 'SKP1-AAAA');
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /SKP1- で始まります/);
  const pack = packsOf(vaultThere())[0], bytes = fs.readFileSync(pack);
  const r = await fetch(to, code.code.toLowerCase());
  assert.equal(r.code, 0, r.out + r.err);
  assert.match(r.err, /recover --vault/);
  await recoverFrom(to, manifest);
  assert.equal((await fetch(to, code.code)).code, 3, 'a code is good once');
  // What does not fit its name is left out and named, and what is here already is not fetched again.
  const bad = Buffer.from(bytes);
  bad[L.packOf(bytes).length >> 1] ^= 1; // not in the parity behind it
  fs.writeFileSync(pack, bad);
  fs.rmSync(path.join(to, 'packs', path.basename(path.dirname(pack)), path.basename(pack)));
  const again = await far.c.post('peers/codes', { peer });
  const part = await fetch(to, again.code);
  fs.writeFileSync(pack, bytes);
  assert.notEqual(part.code, 0, part.out + part.err);
  assert.ok(part.err.includes(path.basename(pack)), part.err);
  say('fetched, restored, a flipped pack named');
});
