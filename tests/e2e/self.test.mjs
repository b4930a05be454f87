// The box's own backup, and a new box from a copy and the recovery sheet alone: the same people, the same machine at the
// same address, everything restorable; also when the copy is older than the last backups.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w, folder, copy, sheet, orders, both, old, oldDevice, first, second;
const say = (text) => console.log(`# ${text}`);
const mail = { host: '127.0.0.1', port: 2525, tls: 'none', user: 'box', from: 'box@example.jp', to: ['incho@example.jp'], password: 'a-secret-of-mail' };
after(async () => {
  await w?.stop().catch(() => {});
  await old?.stop().catch(() => {});
  L.clearUp();
});
const cli = (args, input) => L.run(L.programs.cli, [...args, '--lang', 'en'], { any: true, input });
const saved = (c) => L.until('the box to save itself', async () => {
  const s = await c.get('self');
  if (s.state === 'failed') throw new Error(JSON.stringify(s));
  return s.state === 'ok' && s;
}, 60000).catch(async (e) => { throw new Error(`${e.message}\n${JSON.stringify(await c.get('self'))}\n${w.box.log.join('').slice(-2500)}`); });
const copied = (id) => L.until('the copy', async () => {
  const c = await w.c.get(`copies/${id}`);
  return c.state === 'ok' && !c.progress && c;
}, 60000);
const takeover = (vault, data, more = []) => cli(['takeover', '--vault', vault, '--sheet', sheet, '--orders', orders, '--data', data, ...more]);
const files = (dir, end) => fs.readdirSync(dir, { recursive: true }).map(String).filter((f) => f.endsWith(end) && !f.startsWith('spare'));

test('the box saves itself, as a client like any other, and shows it', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'self' });
  await w.c.must('PATCH', 'settings', { mail });
  await w.c.post('people', { account: 'jimu', name: '見本 次郎', role: 'manager' });
  let r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  first = { manifest: r.manifest, tree: L.treeOf(w.root) };
  await w.c.post('self/run', {});
  const one = await saved(w.c);
  assert.ok(one.last.files >= 4 && one.last.manifest, JSON.stringify(one));
  await w.c.post('self/run', {});
  await L.until('a second one', async () => (await w.c.get('self')).last.manifest !== one.last.manifest && saved(w.c));
  assert.ok(!w.box.children().selfsave, 'it ends after its work');
  assert.ok(!fs.existsSync(path.join(w.box.data, 'state/self')) && !fs.existsSync(path.join(w.box.data, 'self/stage')), 'nothing plain is left lying');
  const parts = (await w.c.get('box')).children.find((k) => k.name === 'selfsave');
  assert.ok(parts.confined.nnp && parts.confined.landlock, JSON.stringify(parts));
  // No screen and no machine gets at it.
  assert.deepEqual((await w.c.get('generations')).items.map((g) => g.id), [first.manifest]);
  await w.unlock();
  assert.equal((await w.c.call('GET', `generations/${one.last.manifest}/files`)).json.error.code, 'self');
  const no = await w.c.call('POST', 'restores', { manifest: one.last.manifest, device: w.agent.device.id, paths_b64: [], target: { mode: 'place', place: '/tmp/x' }, existing: 'aside', why: 'x' });
  assert.equal(no.json.error.code, 'self', no.text);
  const found = await w.c.get('search?text=p');
  assert.ok(found.items.length && found.items.every((f) => f.generation === first.manifest), JSON.stringify(found).slice(0, 300));
  assert.equal((await w.c.call('DELETE', 'unlock')).status, 200);
  say(`${one.last.files} files, ${one.last.bytes} bytes, ${one.last.stored} stored`);
});

test('the copy and the sheet are enough to see whether it can be done; a wrong sheet and a damaged copy are refused', { timeout: 200e3 }, async () => {
  folder = path.join(w.place, 'second');
  fs.mkdirSync(folder, { mode: 0o755 });
  const home = path.join(w.place, 'home');
  fs.mkdirSync(home);
  const env = { HOME: home, XDG_CONFIG_HOME: path.join(home, '.config') };
  const here = (args, input) => L.run(L.programs.cli, [...args, '--data', w.box.data, '--lang', 'en'], { any: true, env, input });
  assert.equal((await here(['sign-in', 'incho', '--password-stdin'], `${L.password}\n${w.person.codes[0]}\n`)).code, 0);
  const s = await here(['self', 'run', '--json']);
  assert.equal(s.code, 0, s.out + s.err);
  assert.equal(JSON.parse((await here(['self', 'status', '--json'])).out).state, 'ok');
  const made = await here(['copy', 'prepare', folder, '--name', '二つ目', '--json']);
  assert.equal(made.code, 0, made.err);
  copy = JSON.parse(made.out).id;
  await L.until('it to be known', async () => (await w.c.call('POST', `copies/${copy}/run`, {})).status === 202, 30000);
  const c = await copied(copy);
  assert.ok(c.generations >= 3);
  [sheet, orders, both] = ['open.txt', 'orders.txt', 'both.txt'].map((n) => path.join(w.place, n));
  fs.writeFileSync(sheet, w.person.sheet.open.words_ja.join(' '));
  fs.writeFileSync(orders, w.person.sheet.orders.words_en.join(' '));
  fs.writeFileSync(both, `${w.person.sheet.open.qr_text}\n${w.person.sheet.orders.qr_text}\n`);
  const check = await cli(['takeover', '--vault', folder, '--sheet', both, '--data', path.join(w.place, 'look'), '--check', '--json']);
  assert.equal(check.code, 0, check.out + check.err);
  assert.ok(JSON.parse(check.out).check);
  assert.deepEqual(fs.readdirSync(path.join(w.place, 'look')), [], 'looking leaves nothing');
  // Who names nothing gets the files, not the box's own.
  const out = path.join(w.place, 'files');
  const plain = await cli(['recover', '--vault', path.join(folder, 'sakimori-copy/vault'), '--sheet', sheet, '--to', out]);
  assert.equal(plain.code, 0, plain.out + plain.err);
  assert.deepEqual(L.treeOf(path.join(out, w.root)), first.tree);
  // The halves the wrong way round, and one half of another sheet.
  const shown = await cli(['takeover', '--vault', folder, '--sheet', both, '--data', path.join(w.place, 'look'), '--check']);
  assert.match(shown.out, /the box's backup: \d{4}-\d\d-\d\d \d\d:\d\d\n/, 'as everywhere, in the time of Japan');
  const wrong = await cli(['takeover', '--vault', folder, '--sheet', orders, '--orders', sheet, '--data', path.join(w.place, 'look')]);
  assert.equal(wrong.code, 3, wrong.out + wrong.err);
  const half = await cli(['takeover', '--vault', folder, '--sheet', sheet, '--orders', sheet, '--data', path.join(w.place, 'look')]);
  assert.equal(half.code, 3, half.out + half.err);
  assert.deepEqual(fs.readdirSync(path.join(w.place, 'look')), []);
  // A flipped byte of the journal.
  const bad = path.join(w.place, 'bad');
  fs.cpSync(path.join(folder, 'sakimori-copy'), bad, { recursive: true });
  const journal = path.join(bad, 'vault/journal', files(path.join(bad, 'vault/journal'), '.skj')[0]), bytes = fs.readFileSync(journal);
  bytes[bytes.length >> 1] ^= 4;
  fs.writeFileSync(journal, bytes);
  const named = await takeover(bad, path.join(w.place, 'look'));
  assert.equal(named.code, 1, named.out + named.err);
  assert.match(named.err, /journal|record|00000001/);
  // One that is cut off behind what it signed.
  fs.cpSync(path.join(folder, 'sakimori-copy/vault/journal'), path.join(bad, 'vault/journal'), { recursive: true });
  fs.truncateSync(journal, fs.statSync(journal).size - 1);
  const cut = await takeover(bad, path.join(w.place, 'look'));
  assert.equal(cut.code, 1, cut.out + cut.err);
  say(`refused: wrong halves, a flipped journal (${named.err.trim().split('\n')[0].slice(0, 120)})`);
});

test('with the box gone, the same machine goes on with the new one; what the copy lacked is sent again', { timeout: 300e3 }, async () => {
  // Later than the copy: the machine has seen a head that no copy holds.
  await w.c.must('PATCH', `copies/${copy}`, { enabled: false });
  fs.writeFileSync(path.join(w.root, 'later.txt'), 'x'.repeat(300000));
  fs.appendFileSync(path.join(w.root, Object.keys(first.tree).find((f) => first.tree[f].size > 0 || fs.statSync(path.join(w.root, f)).isFile())), 'changed after the copy');
  await L.sleep(2100);
  let r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  second = { manifest: r.manifest, tree: L.treeOf(w.root) };
  r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  const cookie = w.c.cookie, mailed = fs.readFileSync(path.join(w.box.data, 'mail.json'), 'utf8'), port = w.box.options.port;
  await w.box.stop();
  oldDevice = `${w.box.data}-old`;
  fs.renameSync(w.box.data, oldDevice); // out of the way: nothing of it is used
  fs.renameSync(path.join(oldDevice, 'vault'), path.join(oldDevice, 'vault-gone'));
  const data = path.join(w.place, 'new');
  const pack = path.join(folder, 'sakimori-copy/vault/packs', files(path.join(folder, 'sakimori-copy/vault/packs'), '.skp')[0]);
  // Killed again and again, at later and later moments: it goes on.
  for (let i = 1; i <= 8; i++) {
    const one = L.track(spawn(L.programs.cli, ['takeover', '--vault', folder, '--sheet', sheet, '--orders', orders, '--data', data], { stdio: 'ignore' }));
    const end = new Promise((ok) => one.on('exit', (code) => ok(code)));
    const timer = setTimeout(() => one.kill('SIGKILL'), i * 40);
    const code = await end;
    clearTimeout(timer);
    if (code === 0) break;
  }
  const t = fs.existsSync(path.join(data, 'keys')) ? { code: 0 } : await takeover(folder, data, ['--json']);
  assert.equal(t.code, 0, t.out + t.err);
  assert.ok(fs.existsSync(pack), 'the copy stays as it is');
  assert.ok(!fs.existsSync(path.join(data, 'takeover')));
  assert.match((await takeover(folder, data)).err, /there is a box/);
  const config = { test_clock: w.clock };
  w.box = await L.Box.start({ data, port, config });
  assert.ok(!w.box.code, 'no set-up');
  assert.equal((await L.request('GET', `${w.box.url}/api/v1/session`, undefined, { ca: w.box.ca, headers: { Cookie: cookie } })).status, 401);
  w.c = await L.signIn(w.box, w.person, w.now() + 30e3); // a code counts once, also one of the old box
  assert.deepEqual((await w.c.get('people')).items.map((p) => p.account).sort(), ['incho', 'jimu']);
  assert.equal(fs.readFileSync(path.join(data, 'mail.json'), 'utf8'), mailed);
  assert.match((await w.c.get('alarms?open=1')).items.find((a) => a.kind === 'took_over').text, /控えは \d{4}-\d\d-\d\d \d\d:\d\d のもの/);
  assert.ok((await w.c.get('self')).took_over.seq > 0);
  assert.ok((await w.c.post('audit/verify', {})).ok);
  assert.deepEqual((await w.generations()).map((g) => g.id), [first.manifest]);
  // The machine by itself, at the same address.
  await L.until('the machine', async () => (await w.c.get('devices')).items.find((d) => d.state === 'ok'), 60000);
  r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete', JSON.stringify(r) + w.agent.log.join('').slice(-1500));
  assert.ok(r.problems.some((p) => p.what === 'takeover'), JSON.stringify(r.problems));
  assert.ok(!r.problems.some((p) => p.what === 'head'));
  const third = r.manifest;
  r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete');
  assert.deepEqual(r.problems, [], 'told once');
  await w.unlock(); // the same card, the same password
  assert.deepEqual(await w.fetch(first.manifest), first.tree);
  assert.deepEqual(await w.fetch(third), second.tree);
  assert.deepEqual(await w.fetch(r.manifest), second.tree);
  const v = await cli(['vault', 'verify', 'data', '--vault', data]);
  assert.equal(v.code, 0, v.out + v.err);
  await w.c.post('self/run', {});
  await saved(w.c);
  assert.ok(!(await w.c.get('alarms?open=1')).items.some((a) => ['hostile', 'damage', 'suspicion'].includes(a.kind)));
  // What `./run` starts beside the box: this machine is joined already, and is not joined a second time.
  const beside = path.join(w.place, 'beside'), count = (await w.c.get('devices')).items.length;
  const local = L.track(spawn(L.programs.agent, ['run', '--data', beside, '--local', path.join(data, 'run/cli.sock'), '--skip', data], { stdio: ['ignore', 'ignore', 'pipe'] }));
  let warned = '';
  local.stderr.on('data', (d) => (warned += d));
  const known = await L.until('the word about it', async () => (await w.c.get('alarms?open=1')).items.find((a) => a.kind === 'local_known'), 30000).catch((e) => { throw new Error(e.message + warned); });
  assert.match(JSON.stringify(known), /…-agent/);
  await L.until('the agent to say it', async () => /joined the box before it was taken over/.test(warned), 10000);
  assert.equal((await w.c.get('devices')).items.length, count);
  local.kill('SIGTERM');
  assert.ok(!fs.existsSync(path.join(beside, 'agent.json')));
  say('same people, password, card, mail password; 1 old and 2 new generations restored, equal');
});

test('both boxes alive: the machine notices the second history', { timeout: 300e3 }, async () => {
  fs.renameSync(path.join(oldDevice, 'vault-gone'), path.join(oldDevice, 'vault'));
  old = await L.Box.start({ data: oldDevice, config: { test_clock: w.clock } });
  const logs = () => `\nagent: ${w.agent.log.join('').slice(-3000)}\nold box: ${old.log.join('').slice(-3000)}\nbox: ${w.box.log.join('').slice(-1500)}`;
  const c = await L.signIn(old, w.person, w.now() + 60e3).catch(() => L.signIn(old, { ...w.person, totp_secret: undefined, one_time: w.person.codes[5] }));
  const seq = (box) => L.readJournal(path.join(box.data, 'vault')).at(-1).seq;
  const move = (url) => L.run(L.programs.agent, ['move', url, '--data', w.agent.data], { any: true });
  const moved = async (url) => {
    await w.agent.stop();
    const to = await move(url);
    assert.equal(to.code, 0, to.out + to.err);
    w.agent.start();
  };
  /* What the machine says of a backup at a box whose record is not the one it knows. */
  const noticed = async () => {
    const from = performance.now(), r = await L.backup(c, w.source.id, 60000).catch((e) => { throw new Error(e.message + logs()); });
    const told = r.problems.find((p) => p.what === 'head');
    assert.ok(told, JSON.stringify(r) + logs());
    say(`${told.error}: run ${r.state} after ${Math.round(performance.now() - from)} ms`);
    return told.error;
  };
  await w.agent.stop();
  const no = await move('https://127.0.0.1:1');
  assert.equal(no.code, 1);
  // Which of the two is longer depends on the hour (saving itself, marks): both are made to come.
  while (seq(w.box) <= seq(old) + 5) await w.c.post('retention/date');
  await moved(w.box.agentUrl);
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete', JSON.stringify(r) + logs());
  await moved(old.agentUrl);
  await L.until('the machine there', async () => (await c.get('devices')).items.find((d) => d.state === 'ok'), 60000).catch((e) => { throw new Error(e.message + logs()); });
  assert.match(await noticed(), /went back/);
  while (seq(old) <= seq(w.box) + 20) await c.post('retention/date');
  await moved(old.agentUrl);
  assert.match(await noticed(), /does not go on from the last one/);
  await w.agent.stop();
  assert.equal((await move(w.box.agentUrl)).code, 0);
  await old.stop();
});
