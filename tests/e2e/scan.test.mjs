// Looking for what is known to be bad, by a real agent, a real clamd with two definitions of our own, YARA and indicators.  Nothing harmful is
// used: the test string of the trade is put together here, and programs are /bin/true with a word behind it.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 120e3;
const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-', 'ANTIVIRUS-TEST-FILE!$H+H*'].join('');
const root = process.getuid() === 0, clam = fs.existsSync('/usr/sbin/clamd');
let box, c, agent, dir, conf, clamd, person;
const sha = (b) => crypto.createHash('sha256').update(b).digest('hex');

async function startClamd() {
  const db = path.join(conf, 'db'), socket = path.join(conf, 'clamd.ctl');
  fs.mkdirSync(db);
  fs.writeFileSync(path.join(db, 'trial.hsb'), `${sha(EICAR)}:${EICAR.length}:Trial.Eicar:73\n`);
  fs.writeFileSync(path.join(conf, 'clamd.conf'), `LocalSocket ${socket}\nLocalSocketMode 666\nDatabaseDirectory ${db}\nForeground yes\nOfficialDatabaseOnly no\nMaxThreads 2\nBytecode no\nTemporaryDirectory ${conf}\n`);
  clamd = spawn('/usr/sbin/clamd', [`--config-file=${path.join(conf, 'clamd.conf')}`], { stdio: 'ignore' });
  await L.until('clamd', () => fs.existsSync(socket), WAIT);
}

before(async () => {
  if (!root) return;
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  dir = L.tempDir('scan', 0o755);
  conf = L.tempDir('scanrules', 0o755);
  fs.mkdirSync(path.join(dir, 'a', 'b'), { recursive: true });
  fs.writeFileSync(path.join(dir, 'a', 'letter.txt'), '紹介状');
  fs.writeFileSync(path.join(dir, 'a', 'b', 'bad\nname.com'), EICAR);
  fs.writeFileSync(path.join(dir, 'listed.bin'), 'a file that a list names');
  fs.writeFileSync(path.join(conf, 'trial.indicators'), `sakimori-indicators 1\nsha256 ${sha('a file that a list names')} Listed by the trial\n`);
  fs.writeFileSync(path.join(conf, 'trial.yar'), 'rule trial_word { strings: $a = "harmless-but-listed-word" condition: $a }\n');
  if (clam) await startClamd();
  agent = await L.Agent.join(box, c, 'karte-server');
  await agent.stop();
  // Only this folder is watched: the machine is shared.
  fs.writeFileSync(`${agent.data}/policy.conf`, `protect = ${dir}\nrules = ${conf}\nclamd = ${path.join(conf, 'clamd.ctl')}\n`, { mode: 0o644 });
  agent.start();
});
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  clamd?.kill('SIGKILL');
});

const state = async () => (await c.get(`devices/${agent.device.id}/endpoint`)).state?.scan;
const became = (what, f) => L.until(what, async () => {
  const s = await state();
  if (s && f(s)) return s;
  await L.poke(agent).catch(() => {}); // it may not be there yet
  await L.sleep(500);
  return null;
}, WAIT);
const malware = async () => (await c.get(`findings?device=${agent.device.id}`)).items.filter((f) => f.kind === 'malware');

test('a machine says by what it scans, and what is missing', { skip: !root }, async () => {
  const s = await became('scan is there', (x) => x.yara && x.indicators === 1 && (!clam || x.engine));
  assert.equal(s.running, false);
  assert.deepEqual(s.why, clam ? [] : ['no_clamd']);
});

test('a program that a YARA rule knows is found when it is started', { skip: !root }, async () => {
  const program = path.join(dir, 'update');
  fs.writeFileSync(program, Buffer.concat([fs.readFileSync('/bin/true'), Buffer.from('harmless-but-listed-word')]), { mode: 0o755 });
  const f = await L.until('the finding', async () => {
    try { execFileSync(program); } catch { /* frozen or refused: found all the same */ }
    await L.sleep(500);
    return (await malware()).find((x) => x.object?.name === 'trial_word');
  }, WAIT);
  assert.equal(f.object.engine, 'yara');
  assert.equal(f.program, program);
  assert.ok(fs.existsSync(program), 'the standard policy tells and leaves it where it is');
  await L.until('the incident', async () => (await c.get('incidents?open=1')).items.length > 0, WAIT);
});

test('a program is found when it is written, before anybody starts it', { skip: !root }, async () => {
  const program = path.join(dir, 'viewer');
  await L.until('the finding', async () => {
    fs.writeFileSync(program, Buffer.concat([fs.readFileSync('/bin/true'), Buffer.from(`harmless-but-listed-word ${Math.random()}`)]), { mode: 0o644 });
    await L.sleep(1000);
    return (await malware()).some((x) => x.program === program || JSON.stringify(x).includes('viewer'));
  }, WAIT);
  fs.rmSync(program);
});

test('a YARA rule that comes later holds without a restart, for programs that were looked at before, too', { skip: !root }, async () => {
  const program = path.join(dir, 'printer'), rule = path.join(conf, 'later.yar');
  const start = () => { try { execFileSync(program); } catch { /* frozen or refused: looked at all the same */ } };
  const found = async () => (await malware()).some((f) => f.program === program && f.object?.name === 'later_word');
  const { looked } = await became('scan is there', (s) => s.yara);
  fs.writeFileSync(program, Buffer.concat([fs.readFileSync('/bin/true'), Buffer.from('another-word-of-the-trial')]), { mode: 0o755 });
  start();
  await became('it is looked at', (s) => s.looked > looked);
  assert.equal(await found(), false);
  fs.writeFileSync(path.join(conf, 'broken.yar'), 'rule broken {');
  fs.writeFileSync(rule, 'rule later_word { strings: $a = "another-word-of-the-trial" condition: $a }\n');
  await L.until('the finding', async () => { // not written again: the same file, by the new rule
    start();
    await L.sleep(1000);
    return found();
  }, 300e3);
  fs.rmSync(program);
});

const order = async (action, args = {}) => {
  const { id } = await c.post(`devices/${agent.device.id}/actions`, { action, args });
  return L.until(`${action} is over`, async () => {
    const a = (await c.get(`devices/${agent.device.id}/actions`)).items.find((x) => x.id === id);
    if (a && !['sent', 'taken'].includes(a.state)) return a;
    await L.poke(agent).catch(() => {});
    await L.sleep(500);
    return null;
  }, WAIT);
};
const cli = (args, input) => L.run(L.programs.cli, ['--data', box.data, '--token-file', path.join(conf, 'token'), '--lang', 'en', ...args], { any: true, input });
const kept = async () => (await c.get(`quarantine?device=${agent.device.id}`)).items;
const bytes = (p) => Buffer.from(p).toString('base64');

test('a scan by order finds what clamd and the lists know, and says how it ended', { skip: !root }, async () => {
  const a = await order('scan', { paths: [dir] });
  assert.equal(a.state, 'done', JSON.stringify(a));
  assert.ok(a.facts.files >= 4 && a.facts.found === (clam ? 3 : 2), JSON.stringify(a));
  const all = await L.until('the findings', async () => { const m = await malware(); return m.length >= (clam ? 3 : 2) && m; }, WAIT);
  assert.ok(all.some((f) => f.object.engine === 'indicator' && f.object.name === 'Listed by the trial'));
  if (clam) assert.ok(all.some((f) => f.object.engine === 'clamd' && /^Trial\.Eicar/.test(f.object.name)), JSON.stringify(all.map((f) => f.object)));
  assert.equal((await became('it is told', (s) => s.last?.files >= 4)).running, false);
});

test('a file is set aside by order, listed, and comes back exactly; removed it is gone', { skip: !root }, async () => {
  const file = path.join(dir, 'listed.bin'), before = fs.statSync(file, { bigint: true });
  const a = await order('quarantine', { path: file, reason: 'Listed by the trial' });
  assert.equal(a.state, 'done', JSON.stringify(a));
  assert.ok(!fs.existsSync(file));
  const [k] = await L.until('it is listed', async () => { const l = await kept(); return l.length && l; }, WAIT);
  assert.deepEqual([k.path, k.state, k.why, k.sha256, k.by], [bytes(file), 'kept', 'Listed by the trial', sha('a file that a list names'), 'order']);
  assert.equal((await order('unquarantine', { id: k.id })).state, 'done');
  assert.equal(fs.readFileSync(file, 'utf8'), 'a file that a list names');
  const now = fs.statSync(file, { bigint: true });
  assert.deepEqual([now.mode, now.uid, now.gid, now.mtimeNs], [before.mode, before.uid, before.gid, before.mtimeNs]);
  await L.until('it is given', async () => (await kept())[0].state === 'given', WAIT);
  assert.equal((await order('unquarantine', { id: k.id })).state, 'failed');
  await order('quarantine', { path: file });
  const again = await L.until('the second', async () => (await kept()).find((x) => x.state === 'kept'), WAIT);
  const signed = await cli(['sign-in', 'incho', '--password-stdin'], `${L.password}\n${person.codes[0]}\n`);
  assert.equal(signed.code, 0, signed.err);
  const shown = JSON.parse((await cli(['endpoint', 'quarantine', 'list', '--json'])).out);
  assert.equal((Array.isArray(shown) ? shown : shown.items).length, 2);
  assert.match((await cli(['endpoint', 'quarantine', 'list'])).out, /listed\.bin/);
  const gone = await cli(['endpoint', 'quarantine', 'remove', 'karte-server', again.id]);
  assert.equal(gone.code, 0, gone.err);
  await L.until('it is removed', async () => { await L.poke(agent).catch(() => {}); return (await kept()).find((x) => x.id === again.id).state === 'removed'; }, WAIT);
  assert.ok(!fs.existsSync(file));
});

test('what came of it is told in words: a name that is taken meanwhile, a folder, a scan of nothing', { skip: !root }, async () => {
  const place = path.join(dir, 'words'), file = path.join(place, 'one.txt');
  fs.mkdirSync(place);
  fs.writeFileSync(file, 'one');
  const a = await order('quarantine', { path: file });
  assert.equal(a.state, 'done', JSON.stringify(a));
  fs.writeFileSync(file, 'another');
  const back = await order('unquarantine', { id: a.facts.id });
  assert.match(back.detail, /\.given-back/);
  assert.equal(fs.readFileSync(`${file}.given-back`, 'utf8'), 'one');
  assert.equal(fs.readFileSync(file, 'utf8'), 'another');
  fs.symlinkSync(file, path.join(place, 'link'));
  for (const p of [place, path.join(place, 'link')]) assert.match((await order('quarantine', { path: p })).detail, /フォルダーとリンクは移せません/);
  assert.match((await order('scan', { paths: [place] })).detail, clam ? /見つかった物はありません/ : /ClamAV/);
  fs.mkdirSync(path.join(place, 'empty'));
  assert.match((await order('scan', { paths: [path.join(place, 'empty')] })).detail, /検査するファイルはありません/);
});

test('where the policy says so, what a scan finds is set aside by itself', { skip: !root || !clam }, async () => {
  await c.must('PUT', `devices/${agent.device.id}/endpoint/policy`, { policy: { rules: { answer: 'stop' } } });
  await L.until('it holds', async () => { await L.poke(agent).catch(() => {}); return (await c.get(`devices/${agent.device.id}/endpoint/policy`)).state === 'holds'; }, WAIT);
  fs.writeFileSync(path.join(dir, 'a', 'new.com'), EICAR);
  assert.equal((await order('scan', { paths: [path.join(dir, 'a')] })).state, 'done');
  const k = await L.until('it is set aside', async () => (await kept()).find((x) => x.path === bytes(path.join(dir, 'a', 'new.com'))), WAIT);
  assert.equal(k.by, 'policy');
  assert.ok(!fs.existsSync(path.join(dir, 'a', 'new.com')));
  await L.until('the finding says so', async () => (await c.get(`findings/${k.finding}`)).acts.some((x) => x.action === 'quarantine' && x.state === 'done' && x.by === 'policy'), WAIT);
});
