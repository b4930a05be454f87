// Rules of a real box: bundles made by the command line, put in, put back and refused; switches, filters and own rules that survive; parts killed in the midst.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

let box, c, person, socket, key, pub, strange;
const port = L.freePort() + 20000;
const work = L.tempDir('rules');
before(async () => {
  box = await L.Box.start({ config: { syslog_tcp: port, rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  socket = await new Promise((ok, fail) => {
    const s = net.connect(port, '127.0.0.1', () => ok(s));
    s.on('error', fail);
  });
});
after(async () => {
  socket?.destroy();
  await box?.stop().catch(() => {});
});

const ID = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const rule = (n, word, more = '') => `title: Marker ${word}
id: ${ID(n)}
name: marker_${n}
author: 見本 作者
status: test
description: A line that says ${word}
logsource:
    product: linux
    service: sshd
detection:
    selection:
        - '${word}'
    condition: selection
level: medium
tags: [attack.t1003]
${more}`;

let made = 0;
/** A folder of rules → a signed file. */
async function bundle(serial, files, { keyFile = key, name = 'さくら情報' } = {}) {
  const dir = path.join(work, `b${++made}`), out = path.join(work, `b${made}.skrules`);
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    fs.writeFileSync(path.join(dir, file), text);
  }
  await L.run(L.programs.cli, ['rules', 'bundle', 'make', dir, '--key', keyFile, '--serial', String(serial), '--name', name, '--licence', 'DRL 1.1', '--note', `note ${serial}`, '--out', out]);
  return out;
}
/** Bring a file to the box, then put it in. */
async function update(file, body = {}) {
  const bytes = fs.readFileSync(file), step = 90 << 10;
  for (let at = 0; at < bytes.length; at += step) {
    const r = await c.call('POST', 'rule-bundle/part', { offset: at, total: bytes.length, data: bytes.subarray(at, at + step).toString('base64') });
    assert.equal(r.status, 200, r.text);
  }
  return c.call('POST', 'rule-bundle', body);
}
const say = (text) => new Promise((ok) => socket.write(`<34>Nov 23 01:02:03 srv-1 sshd[7]: ${text}\n`, ok));
let told = 0;
/** The rules that a line with this text was found by, once it is in the record. */
async function foundBy(text) {
  const mark = `mark${++told}x`;
  await say(`${text} ${mark}`);
  const [one] = await L.until(`${text} in the record`, async () => {
    const got = (await c.get(`logs/search?q=${mark}&limit=5`)).items;
    return got.length && got;
  });
  return (one.rules ?? []).filter((r) => r.startsWith('00000000-0000-4000-8000-'));
}
const one = (n) => c.get(`rules/${ID(n)}`);

test('where there is no bundle there is none to go back to', { timeout: 240e3 }, async () => {
  const r = await c.call('POST', 'rule-bundle/back');
  assert.equal(r.status, 409, r.text);
  assert.equal(r.json.error.code, 'bundle_none');
});

test('a bundle is made by the command line, and a rule of it fires', { timeout: 240e3 }, async () => {
  key = path.join(work, 'key');
  strange = path.join(work, 'strange');
  pub = (await L.run(L.programs.cli, ['rules', 'bundle', 'key', '--out', key])).out.trim();
  await L.run(L.programs.cli, ['rules', 'bundle', 'key', '--out', strange]);
  assert.match(pub, /^SKRB0-[0-9a-f]{64}$/);
  assert.equal(fs.statSync(key).mode & 0o777, 0o600);
  const file = await bundle(10, { 'rules/one.yml': rule(1, 'alphamarker'), 'rules/two.yml': rule(2, 'betamarker'), 'rules/bad.yml': 'title: bad\nid: 1\nlogsource: {product: linux}\ndetection: {s: {a|nosuch: 1}, condition: s}\n', LICENSE: 'DRL 1.1\n' });
  const looked = await L.run(L.programs.cli, ['rules', 'bundle', 'check', file, '--key', pub, '--json']);
  assert.equal(JSON.parse(looked.out).signed, true);
  const refused = await update(file);
  assert.equal(refused.status, 422, refused.text);
  assert.equal(refused.json.error.code, 'bundle_signature');
  assert.equal((await c.get('rule-bundle')).current, null);
  await c.must('POST', 'rule-keys', { name: '業者の鍵', key: pub }, 201);
  const r = await update(file);
  assert.equal(r.status, 200, r.text);
  assert.equal(r.json.current.serial, 10);
  assert.equal(r.json.previous, null);
  assert.deepEqual(await foundBy('alphamarker'), [ID(1)]);
  const shown = await one(1);
  assert.equal(shown.source, 'bundle');
  assert.equal(shown.author, '見本 作者');
  assert.match(shown.text, /alphamarker/);
  assert.equal(shown.state, 'on');
  const list = await c.get('rules?faults=1&source=bundle&tag=t1003');
  assert.deepEqual(list.items.map((x) => x.id).sort(), [ID(1), ID(2)]);
  assert.ok(list.faults.some((f) => f.file === 'bundle/rules/bad.yml' && /nosuch/.test(f.why)), JSON.stringify(list.faults));
  assert.ok(list.counts.on > 2, 'the shipped rules are there, too');
});

test('what is signed by nobody, altered or older changes nothing', { timeout: 240e3 }, async () => {
  const wrong = await bundle(20, { 'one.yml': rule(1, 'gammamarker') }, { keyFile: strange });
  let r = await update(wrong);
  assert.equal(r.json.error.code, 'bundle_signature');
  const altered = await bundle(21, { 'one.yml': rule(1, 'gammamarker') });
  const bytes = fs.readFileSync(altered);
  bytes[bytes.length >> 1] ^= 1;
  fs.writeFileSync(altered, bytes);
  r = await update(altered);
  assert.equal(r.status, 422, r.text);
  const older = await bundle(9, { 'one.yml': rule(1, 'gammamarker') });
  r = await update(older);
  assert.equal(r.status, 409);
  assert.equal(r.json.error.code, 'bundle_older');
  const same = await bundle(10, { 'one.yml': rule(1, 'gammamarker') });
  assert.equal((await update(same)).json.error.code, 'bundle_older');
  assert.equal((await c.get('rule-bundle')).current.serial, 10);
  assert.deepEqual(await foundBy('alphamarker gammamarker'), [ID(1)]);
  assert.deepEqual(await foundBy('gammamarker'), []);
  r = await c.call('POST', 'rule-bundle/part', { offset: 5, total: 10, data: 'AAAA' });
  assert.equal(r.status, 409);
});

test('switch, filter and own rule survive an update; the same id replaces', { timeout: 240e3 }, async () => {
  await c.must('PATCH', `rules/${ID(2)}`, { on: false, why: '検証中' });
  assert.deepEqual(await foundBy('betamarker'), []);
  assert.equal((await one(2)).off_note.why, '検証中');
  const bad = await c.call('POST', `rules/${ID(1)}/filters`, { conditions: [{ field: '@host', modifier: 're', values: ['('] }], why: 'x' });
  assert.equal(bad.status, 422, bad.text);
  const unknown = await c.call('POST', `rules/${ID(1)}/filters`, { conditions: [{ field: '@host', modifier: 'soundslike', values: ['x'] }], why: 'x' });
  assert.equal(unknown.status, 400);
  assert.match(unknown.json.error.message, /soundslike/);
  const f = await c.must('POST', `rules/${ID(1)}/filters`, { conditions: [{ field: '@host', modifier: 'startswith', values: ['srv-'] }], why: 'いつもの機械' }, 201);
  assert.deepEqual(await foundBy('alphamarker'), []);
  const own = await c.must('POST', 'own-rules', { text: rule(3, 'ownmarker') }, 201);
  assert.equal(own.id, ID(3));
  assert.deepEqual(await foundBy('ownmarker'), [ID(3)]);
  const wrong = await c.call('POST', 'own-rules', { text: rule(4, 'x').replace('condition: selection', 'condition: nothing') });
  assert.equal(wrong.status, 422);
  assert.ok(wrong.json.error.faults[0].line > 0, wrong.text);

  const file = await bundle(30, { 'one.yml': rule(1, 'deltamarker'), 'two.yml': rule(2, 'betamarker'), 'three.yml': rule(3, 'notthis') });
  const r = await update(file);
  assert.equal(r.status, 200, r.text);
  assert.equal(r.json.previous.serial, 10);
  assert.deepEqual(await foundBy('betamarker'), [], 'off');
  assert.deepEqual(await foundBy('deltamarker'), [], 'filtered');
  assert.deepEqual(await foundBy('ownmarker'), [ID(3)], 'the own one counts');
  assert.deepEqual(await foundBy('notthis'), []);
  assert.equal((await c.get(`rules?state=replaced&id=${ID(3)}`)).items.length, 1);
  assert.deepEqual((await one(1)).filters.map((x) => x.why), ['いつもの機械']);
  await c.must('DELETE', `rule-filters/${f.id}`);
  assert.deepEqual(await foundBy('deltamarker'), [ID(1)]);
  await c.must('PATCH', `rules/${ID(2)}`, { on: true });
  assert.deepEqual(await foundBy('betamarker'), [ID(2)]);
  await c.must('DELETE', `own-rules/${ID(3)}`);
  assert.deepEqual(await foundBy('notthis'), [ID(3)], 'the one of the bundle comes back');
});

test('the one before is put back, and forward again', { timeout: 240e3 }, async () => {
  let b = await c.post('rule-bundle/back');
  assert.equal(b.current.serial, 10);
  assert.equal(b.previous.serial, 30);
  assert.deepEqual(await foundBy('alphamarker'), [ID(1)]);
  assert.deepEqual(await foundBy('deltamarker'), []);
  b = await c.post('rule-bundle/back');
  assert.equal(b.current.serial, 30);
  const older = await bundle(5, { 'one.yml': rule(1, 'epsilonmarker') });
  assert.equal((await update(older)).status, 409);
  const r = await c.call('POST', 'rule-bundle', { older: true });
  assert.equal(r.status, 200, r.text);
  assert.equal(r.json.current.serial, 5);
  assert.deepEqual(await foundBy('epsilonmarker'), [ID(1)]);
  const audit = await c.get('audit?limit=200');
  for (const act of ['rules.bundle', 'rules.back', 'rules.key', 'rule.filter', 'rule.own']) assert.ok(audit.items.some((x) => x.act === act || x.what === act || JSON.stringify(x).includes(`"${act}"`)), act);
});

test('a rule is tried on a line, field by field', { timeout: 120e3 }, async () => {
  const line = '<34>Nov 23 01:02:03 srv-1 sshd[7]: here is epsilonmarker';
  const hit = await c.post('rules/test', { rule: ID(1), line });
  assert.equal(hit.results[0].match, true, JSON.stringify(hit));
  assert.ok(hit.fields.length > 0);
  const miss = await c.post('rules/test', { rule: ID(1), line: line.replace('epsilon', 'no') });
  assert.equal(miss.results[0].match, false);
  assert.ok(miss.results[0].lines.some((l) => !l.truth && /epsilonmarker/.test(l.want)));
  const text = await c.post('rules/test', { text: rule(7, 'zetamarker'), line: line.replace('epsilon', 'zeta') });
  assert.equal(text.results[0].match, true);
  assert.equal(text.faults.length, 0);
  assert.deepEqual(await foundBy('zetamarker'), [], 'it was not kept');
  assert.equal((await c.call('POST', 'rules/test', { rule: ID(99), line })).status, 404);
});

test('a correlation that is switched off lets its rules speak', { timeout: 240e3 }, async () => {
  const many = `title: Marker many
id: ${ID(51)}
name: marker_many
status: test
correlation:
    type: event_count
    rules: [marker_50]
    timespan: 5m
    condition: {gte: 1000}
level: high
`;
  await c.must('POST', 'own-rules', { text: `${rule(50, 'etamarker')}---\n${many}` }, 201);
  assert.equal((await one(50)).state, 'feeds');
  assert.deepEqual((await one(50)).feeds.map((x) => x.id), [ID(51)]);
  await c.must('PATCH', `rules/${ID(51)}`, { on: false, why: 'x' });
  assert.equal((await one(50)).state, 'on');
  await say('etamarker speaks');
  await L.until('its signal', async () => (await c.get(`signals?rule=${ID(50)}`)).items.length > 0);
  await c.must('PATCH', `rules/${ID(51)}`, { on: true });
  assert.equal((await one(50)).state, 'feeds');
});

test('kill -9 of the part that reads logs leaves the old bundle or the new one', { timeout: 400e3 }, async () => {
  const seen = new Set();
  let serial = 100;
  for (let i = 0; i < 8; i++) {
    const before = (await c.get('rule-bundle')).current.serial;
    serial++;
    const file = await bundle(serial, { 'one.yml': rule(1, `kill${serial}marker`), ...Object.fromEntries(Array.from({ length: 120 }, (_, k) => [`more/${k}.yml`, rule(1000 + k, `nothing${k}`)])) });
    const bytes = fs.readFileSync(file);
    await c.post('rule-bundle/part', { offset: 0, total: bytes.length, data: bytes.toString('base64') });
    const watch = box.children().watch;
    const putting = c.call('POST', 'rule-bundle', {}).catch(() => null);
    await L.sleep(i * 9);
    process.kill(watch, 'SIGKILL');
    await putting;
    const now = await L.until('the part is back', async () => {
      const r = await c.call('GET', 'rule-bundle');
      return r.status === 200 && box.children().watch !== watch && r.json;
    });
    assert.equal(now.fault, '');
    assert.ok(now.current.serial === before || now.current.serial === serial, `${now.current.serial}`);
    seen.add(now.current.serial === serial ? 'new' : 'old');
    if (now.current.serial === serial) assert.deepEqual(await foundBy(`kill${serial}marker`), [ID(1)]);
    const folder = path.join(box.data, 'watch/rules');
    assert.ok(fs.readdirSync(folder).filter((f) => f.startsWith('bundle-')).length <= 2, fs.readdirSync(folder).join(' '));
  }
  console.log(`# after kills: ${[...seen].join(', ')}`);
  const last = await bundle(500, { 'one.yml': rule(1, 'lastmarker') });
  assert.equal((await update(last)).status, 200);
  assert.deepEqual(await foundBy('lastmarker'), [ID(1)]);
});

test('a bundle that rots on the disk is said, and the shipped rules go on', { timeout: 120e3 }, async () => {
  const folder = path.join(box.data, 'watch/rules');
  const state = JSON.parse(fs.readFileSync(path.join(folder, 'state'), 'utf8'));
  const file = path.join(folder, state.current.file), bytes = fs.readFileSync(file);
  bytes[100] ^= 1;
  fs.writeFileSync(file, bytes);
  await c.must('POST', 'rules/reload', {}, 202);
  const b = await L.until('the fault', async () => {
    const now = await c.get('rule-bundle');
    return now.fault && now;
  });
  assert.match(b.fault, /altered/);
  assert.ok((await c.get('rules?source=shipped')).items.length > 5);
  bytes[100] ^= 1;
  fs.writeFileSync(file, bytes);
  await c.must('POST', 'rules/reload', {}, 202);
  await L.until('it is sound again', async () => (await c.get('rule-bundle')).fault === '');
  assert.deepEqual(await foundBy('lastmarker'), [ID(1)]);
});

test('hits of days and figures for a monitoring system', { timeout: 120e3 }, async () => {
  await foundBy('lastmarker');
  const r = await L.until('the count', async () => {
    const now = await one(1);
    return now.days.length && now;
  });
  assert.ok(r.days.at(-1).n > 0);
  const text = (await c.call('GET', '/metrics')).text;
  assert.match(text, /\nsakimori_rule_bundle_serial 500\n/);
  assert.match(text, /\nsakimori_watch_answers 1\n/);
  assert.match(text, /\nsakimori_logs_kept_total\{listener="tcp"\} [1-9]/);
  assert.match(text, /\nsakimori_rules_loaded [1-9]/);
  assert.match(text, /\nsakimori_signals\{level="medium"\} [1-9]/);
});
