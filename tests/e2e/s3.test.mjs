// A copy in a bucket with Object Lock, on a real server of S3 (Ceph's gateway): locks read back from the server, keys that
// are nowhere but in the parent's file, somebody with the keys who puts versions and delete markers over everything, a
// network that goes away, locks made longer, and the whole institution brought back from the bucket alone.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import tls from 'node:tls';
import net from 'node:net';
import path from 'node:path';
import * as L from './lib.mjs';
import { Gateway, missing } from './rgw.mjs';

const say = (text) => console.log(`# ${text}`);
const secret = 'TESTSECRET', bucket = 'clinic-copies', prefix = 'tsubame/box';
const absent = missing();
const skip = absent.length ? `needs ${absent.join(', ')} (packages ceph-mon, ceph-osd, ceph-common, radosgw)` : false;
let w, g, proxy, id, url, tree, manifest, first;
after(async () => {
  await w?.stop().catch(() => {});
  proxy?.server.close();
  g?.stop();
  L.clearUp();
});

// Between box and bucket: bytes pass as long as `left` requests are allowed.
function makeProxy(port) {
  const p = { left: Infinity, requests: 0, open: new Set() };
  p.server = net.createServer((s) => {
    if (p.left <= 0) return s.destroy();
    const to = net.connect(port, '127.0.0.1');
    p.open.add(s);
    s.on('data', (d) => {
      if (/^(GET|PUT|HEAD) /.test(d.toString('latin1', 0, 5))) {
        p.requests++;
        if (p.left-- <= 0) {
          s.destroy();
          to.destroy();
          return;
        }
      }
      to.write(d);
    });
    to.on('data', (d) => s.write(d));
    for (const [a, b] of [[s, to], [to, s]]) {
      a.on('error', () => b.destroy());
      a.on('close', () => b.destroy());
    }
    s.on('close', () => p.open.delete(s));
    return null;
  });
  return new Promise((ok) => p.server.listen(0, '127.0.0.1', () => {
    p.port = p.server.address().port;
    ok(p);
  }));
}

const home = () => path.join(w.place, 'home');
const cli = (args, options = {}) => L.run(L.programs.cli, [...args, '--lang', 'en'], { any: true, env: { HOME: home(), XDG_CONFIG_HOME: path.join(home(), '.config') }, ...options });
const get = (which) => w.c.get(`copies/${which}`);
const settled = (which, states, ms = 40000) => L.until(`copy ${which} to be ${states}`, async () => {
  const c = await get(which);
  return states.includes(c.state) && !c.progress && c;
}, ms).catch(async (e) => {
  throw new Error(`${e.message}: ${JSON.stringify(await get(which)).slice(0, 1500)}\n${w.box.log.join('').slice(-1500)}`);
});
// One run, to its end.
async function run(which, states) {
  const before = (await get(which)).runs.length;
  await w.c.post(`copies/${which}/run`, {});
  await L.until('the run', async () => (await get(which)).runs.length > before);
  return settled(which, states);
}
async function fetchTo(dir, more = []) {
  return cli(['copy', 'fetch', `${g.url}/${bucket}/${prefix}`, '--to', dir, '--plain-http', '--password-stdin', ...more], { input: `TESTACCESS\n${secret}\n` });
}
async function recovered(vault, which, want) {
  const sheet = path.join(w.place, 'sheet.txt'), to = fs.mkdtempSync(path.join(w.place, 'out-'));
  fs.writeFileSync(sheet, w.person.sheet.open.words_ja.join(' '));
  const v = await cli(['vault', 'verify', 'data', '--vault', vault]);
  assert.equal(v.code, 0, v.out + v.err);
  const r = await cli(['recover', '--vault', vault, '--sheet', sheet, '--generation', which, '--to', to]);
  assert.equal(r.code, 0, r.out + r.err);
  assert.deepEqual(L.treeOf(path.join(to, w.root)), want);
}

test('a copy in a bucket is made with a lock on every object, and read back', { timeout: 120e3, skip }, async (t) => {
  g = await Gateway.start();
  if (g.trouble) {
    say(`the gateway does not start here: ${g.trouble}`);
    t.skip('the gateway does not start here');
    return;
  }
  await g.bucket(bucket);
  await g.bucket('no-lock', false);
  proxy = await makeProxy(g.port);
  url = `http://127.0.0.1:${proxy.port}`;
  w = await L.World.start({ name: 's3' });
  fs.mkdirSync(home());
  const s = await cli(['sign-in', 'incho', '--password-stdin', '--data', w.box.data], { input: `${L.password}\n${w.person.codes[0]}\n` });
  assert.equal(s.code, 0, s.out + s.err);
  const r = await L.backup(w.c, w.source.id);
  manifest = r.manifest;
  tree = L.treeOf(w.root);
  const made = await cli(['copy', 'add', `${url}/${bucket}/${prefix}`, '--name', '遠くの写し', '--plain-http', '--password-stdin', '--wait', '--json', '--data', w.box.data], { input: `TESTACCESS\n${secret}\n` });
  assert.equal(made.code, 0, made.out + made.err);
  const c = (await w.c.get('copies')).items[0];
  id = c.id;
  assert.equal(c.state, 'ok');
  assert.equal(c.generations, 1);
  assert.equal(c.sound, true);
  const all = await g.versions(bucket, prefix), now = Date.now();
  assert.ok(all.length >= 6 && all.every((v) => !v.marker));
  for (const v of all) {
    const lock = await g.lockOf(bucket, v.key, v.version);
    assert.equal(lock.mode, 'COMPLIANCE');
    assert.ok(lock.until > now + 89.9 * 86400e3, `${v.key}: ${new Date(lock.until).toISOString()}`);
    assert.equal((await g.call('DELETE', `${bucket}/${v.key}`, { versionId: v.version })).status, 403);
  }
  const lamps = (await w.c.get('copies')).lamps.map((l) => ({ on: '+', look: '?', off: '-' })[l.state]).join('');
  assert.match(lamps, /^\+\+\+\+.$/);
  first = all.length;
  say(`${all.length} objects, each locked in compliance mode for ${((Date.parse(c.locked_until) - now) / 86400e3).toFixed(1)} days; lamps ${lamps}`);
});

const ready = () => Boolean(id);
const later = (name, ms, fn) => test(name, { timeout: ms, skip }, async (t) => (ready() ? fn(t) : t.skip('no gateway')));

later('the keys are in the file of the parent alone, and the process that has them is confined', 60e3, async () => {
  const file = path.join(w.box.data, 'copies.json');
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.ok(fs.readFileSync(file, 'utf8').includes(secret));
  assert.ok(!JSON.stringify([await w.c.get('copies'), await get(id), await w.c.get('audit?limit=200')]).includes(secret));
  for (const d of ['state', 'public', 'vault/journal']) {
    for (const f of fs.readdirSync(path.join(w.box.data, d))) {
      const p = path.join(w.box.data, d, f);
      if (fs.statSync(p).isFile()) assert.ok(!fs.readFileSync(p).includes(secret), p);
    }
  }
  assert.ok(!w.box.log.join('').includes(secret));
  fs.writeFileSync(path.join(w.root, 'second.bin'), crypto.getRandomValues(new Uint8Array(60000)));
  await L.sleep(2100);
  const r = await L.backup(w.c, w.source.id);
  manifest = r.manifest;
  tree = L.treeOf(w.root);
  const seen = await L.until('the courier', async () => {
    if (!['waiting', 'running'].includes((await get(id)).state)) await w.c.call('POST', `copies/${id}/run`, {});
    return (await w.c.get('box')).children.find((k) => k.name === 'courier' && k.confined);
  }, 20000);
  assert.ok(seen.confined.landlock && seen.confined.nnp, JSON.stringify(seen));
  for (const pid of L.family(w.box.process.pid)) {
    try {
      assert.ok(!fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(secret));
    } catch (e) {
      if (e.code === 'ERR_ASSERTION') throw e;
    }
  }
  const c = await settled(id, ['ok']);
  assert.equal(c.generations, 2);
  const all = await g.versions(bucket, prefix);
  assert.equal(new Set(all.map((v) => v.key)).size, all.length, 'no object was sent twice');
  say(`${all.length - first} objects more for a second generation; seccomp ${seen.confined.seccomp}`);
});

later('wrong keys, no such bucket, a bucket without locks, a strange certificate: said in words, and nothing is copied', 90e3, async () => {
  await w.c.post(`copies/${id}/keys`, { access_key: 'TESTACCESS', secret_key: 'WRONG' });
  assert.match((await settled(id, ['failed'])).text, /アクセスキー/);
  await w.c.post(`copies/${id}/keys`, { access_key: 'TESTACCESS', secret_key: secret });
  await settled(id, ['ok']);
  for (const [name, word] of [['no-lock', /オブジェクトロック/], ['there-is-none', /バケットが見つかりません/]]) {
    const made = await w.c.must('POST', 'copies', { kind: 's3', name, endpoint: url, plain: true, bucket: name, region: 'us-east-1', access_key: 'TESTACCESS', secret_key: secret });
    const c = await settled(made.id, ['failed']);
    assert.match(c.text, word);
    assert.equal(c.covers, null);
    await w.c.must('DELETE', `copies/${made.id}`);
  }
  assert.equal((await g.versions('no-lock')).length, 0);
  // A server whose certificate nobody vouches for gets nothing.
  const key = path.join(w.place, 'tls.key'), cert = path.join(w.place, 'tls.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'ignore' });
  let secured = 0;
  const s = tls.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, (c) => {
    c.on('data', () => secured++);
    c.on('error', () => {});
  });
  s.on('tlsClientError', () => {});
  await new Promise((ok) => s.listen(0, '127.0.0.1', ok));
  const strange = await w.c.must('POST', 'copies', { kind: 's3', name: 'tls', endpoint: `https://localhost:${s.address().port}`, bucket, region: 'us-east-1', access_key: 'TESTACCESS', secret_key: secret });
  assert.match((await settled(strange.id, ['failed'])).text, /証明書/);
  assert.equal(secured, 0);
  await w.c.must('DELETE', `copies/${strange.id}`);
  s.close();
  // Anothers place is not filled.
  const made = await w.c.must('POST', 'copies', { kind: 's3', name: '同じ所', endpoint: g.url, plain: true, bucket, prefix, region: 'us-east-1', access_key: 'TESTACCESS', secret_key: secret });
  assert.match((await settled(made.id, ['failed'])).text, /別の箱/);
  await w.c.must('DELETE', `copies/${made.id}`);
  const left = () => Object.keys(JSON.parse(fs.readFileSync(path.join(w.box.data, 'copies.json'), 'utf8')));
  await L.until('the keys of the removed copies to be gone', () => left().join() === id, 10000);
});

later('a network that goes away marks nothing as copied, and the next run goes on', 90e3, async () => {
  for (let i = 0; i < 3; i++) fs.writeFileSync(path.join(w.root, `net-${i}.bin`), crypto.getRandomValues(new Uint8Array(65536)));
  await L.sleep(2100);
  const was = await get(id);
  await w.c.must('PATCH', `copies/${id}`, { enabled: false });
  const r = await L.backup(w.c, w.source.id);
  manifest = r.manifest;
  tree = L.treeOf(w.root);
  for (const left of [5]) {
    proxy.left = left;
    for (const s of proxy.open) s.destroy();
    const c = await run(id, ['failed']);
    assert.match(c.text, /つながりません/);
    assert.equal(c.generations, was.generations);
    assert.equal(c.covers, was.covers);
  }
  proxy.left = Infinity;
  const c = await run(id, ['ok']);
  assert.equal(c.generations, was.generations + 1);
  await w.c.must('PATCH', `copies/${id}`, { enabled: true });
});

later('locks are made longer early, and the server shows it', 60e3, async () => {
  const s = await w.c.get('settings'), now = Date.now();
  await w.c.must('PATCH', 'settings', { retention: { ...s.retention, min_days: 100 } });
  const c = await L.until('the renewal by itself', async () => {
    const x = await get(id);
    return x.state === 'ok' && Date.parse(x.locked_until) > now + 220 * 86400e3 && x;
  }, 30000).catch(async () => run(id, ['ok']));
  assert.ok(Date.parse(c.locked_until) > now + 227 * 86400e3, c.locked_until);
  const all = (await g.versions(bucket, prefix)).filter((v) => /\/(packs|manifests|journal)\/|\/box$/.test(v.key));
  for (const v of all) assert.ok((await g.lockOf(bucket, v.key, v.version)).until > now + 227 * 86400e3, v.key);
  const renewed = c.runs.map((x) => x.facts?.copy?.renewed ?? 0).reduce((a, b) => Math.max(a, b), 0);
  assert.ok(renewed >= all.length - 2, `${renewed} of ${all.length}`);
  say(`${renewed} locks renewed from 90 to 228 days`);
});

later('somebody with the keys puts versions and delete markers over everything: the bucket alone still brings everything back', 120e3, async () => {
  const all = await g.versions(bucket, prefix), before = new Set(all.map((v) => v.version));
  for (const v of all) {
    await g.must('PUT', `${bucket}/${v.key}`, {}, `garbage ${v.key}`);
    assert.equal((await g.call('DELETE', `${bucket}/${v.key}`)).status, 204);
  }
  const roots = all.filter((v) => v.key.includes('/root/')).map((v) => v.key).sort();
  const good = (await g.must('GET', `${bucket}/${roots.at(-1)}`, { versionId: all.find((v) => v.key === roots.at(-1)).version })).text;
  for (const n of ['000000000000099999', '999999999999999999']) {
    await g.must('PUT', `${bucket}/${prefix}/root/${n}-0123456789abcdef`, {}, good.replace(/^number .*$/m, `number ${Number(n)}`));
  }
  await g.must('PUT', `${bucket}/${prefix}/root/000000000000088888-0123456789abcdef`, {}, good);
  const now = await g.versions(bucket, prefix);
  assert.ok([...before].every((x) => now.some((v) => v.version === x)), 'nothing that was locked is gone');
  // The box itself is not led astray either.
  const c = await run(id, ['ok']);
  assert.equal(c.sound, true);
  await w.stop();
  fs.renameSync(w.box.data, `${w.box.data}-gone`);
  L.remove(`${w.box.data}-gone`);
  const to = path.join(w.place, 'vault');
  const f = await fetchTo(to);
  assert.equal(f.code, 0, f.out + f.err);
  // Once more: what is there stays (a fetch that was cut goes on), and what was damaged meanwhile comes again.
  const packs = fs.readdirSync(path.join(to, 'packs'), { recursive: true }).map(String).filter((x) => x.endsWith('.skp'));
  fs.truncateSync(path.join(to, 'packs', packs[0]), 10);
  assert.equal((await fetchTo(to)).code, 0);
  await recovered(to, manifest, tree);
  const wrong = await cli(['copy', 'fetch', `${g.url}/${bucket}/${prefix}`, '--to', path.join(w.place, 'no'), '--plain-http', '--password-stdin'], { input: 'TESTACCESS\nWRONG\n' });
  assert.equal(wrong.code, 3, wrong.err);
  say(`${now.length - all.length} hostile versions and markers ignored; ${packs.length} packs came back, tree equal`);
});
