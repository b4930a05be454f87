// The record of logs in the vault and its copies: saved, given back with the sheet alone, gone on with by a box that takes over;
// and its files touched by somebody who is root, while the box runs and while it does not.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import * as L from './lib.mjs';

let w, folder, copy, sheet, orders, key, place;
const port = L.freePort() + 20000;
const config = { syslog_tcp: port };
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const say = (text) => console.log(`# ${text}`);
const cli = (args) => L.run(L.programs.cli, [...args, '--lang', 'en'], { any: true });
const journal = (more = '') => path.join(w.box.data, 'journal', more);
const files = (begin) => fs.readdirSync(journal()).filter((n) => n.startsWith(begin)).sort();
const find = async (q) => (await w.c.get(`logs/search?q=${encodeURIComponent(q)}&limit=500`)).items;
const wait = (q, n) => L.until(`${n} of ${q}`, async () => (await find(q)).length === n, 60000);

async function send(mark, n) {
  const s = await new Promise((ok, fail) => {
    const c = net.connect(port, '127.0.0.1', () => ok(c));
    c.on('error', fail);
  });
  for (let i = 0; i < n; i++) await new Promise((ok) => s.write(`<34>Nov 23 01:02:03 srv-1 app[7]: ${mark} n${i} ${'患者の記録 '.repeat(20)}\n`, ok));
  s.end();
  await wait(`"${mark}"`, n);
}
const saved = async () => {
  await L.until('a save to begin', async () => (await w.c.call('POST', 'logs/backup', {})).status === 202, 60000);
  return L.until('the record saved', async () => {
    const s = (await w.c.get('logs')).backup;
    if (s.state === 'failed') throw new Error(JSON.stringify(s) + w.box.log.join('').slice(-2000));
    return s.state === 'ok' && s;
  }, 60000);
};
const verified = async () => {
  await w.c.post('logs/verify', {});
  return L.until('verified', async () => { const v = await w.c.get('logs/verify'); return !v.running && v; }, 60000);
};
const alarm = (kind) => L.until(`the alarm ${kind}`, async () => (await w.c.get('alarms?open=1')).items.find((a) => a.kind === kind), 60000);
const settle = async (kind) => {
  for (const a of (await w.c.get('alarms?open=1')).items.filter((x) => x.kind === kind)) await w.c.post(`alarms/${a.id}`, { action: 'close', note: 'test' });
};

test('the record goes into the vault as a source of the box, and nothing of it twice', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'evidence', agent: false, box: { config } });
  place = w.place;
  key = (await w.c.get('logs')).seal_pub;
  await send('marker-one', 200);
  const one = await saved();
  assert.ok(one.block > 0 && one.last.manifest && one.until, JSON.stringify(one));
  const again = await saved();
  assert.equal(again.last.manifest, one.last.manifest, 'nothing new: no generation');
  await send('marker-two', 50);
  const two = await saved();
  assert.notEqual(two.last.manifest, one.last.manifest);
  assert.ok(two.last.bytes > one.last.bytes);
  assert.equal((await w.c.get('generations')).items.length, 0, 'no screen gives it to a machine');
  assert.ok(!w.box.children().selfsave);
  const log = await verified();
  assert.ok(log.ok && !log.not_sealed, 'all of it was closed and sealed for it');
  say(`saved: ${one.events} events, ${one.last.bytes} bytes, ${one.last.stored} stored; then ${two.last.bytes} bytes, ${two.last.stored} more stored`);
});

test('a copy and the sheet alone give it back, searchable and verified', { timeout: 200e3 }, async () => {
  await w.c.post('self/run', {});
  await L.until('the box saved', async () => (await w.c.get('self')).state === 'ok', 60000);
  folder = path.join(place, 'second');
  fs.mkdirSync(folder, { mode: 0o755 });
  const home = path.join(place, 'home');
  fs.mkdirSync(home);
  const env = { HOME: home, XDG_CONFIG_HOME: path.join(home, '.config') };
  const here = (args, input) => L.run(L.programs.cli, [...args, '--data', w.box.data, '--lang', 'en'], { any: true, env, input });
  assert.equal((await here(['sign-in', 'incho', '--password-stdin'], `${L.password}\n${w.person.codes[0]}\n`)).code, 0);
  assert.match((await here(['logs', 'status'])).out, /Saved up to/);
  const cmd = await here(['logs', 'backup']);
  assert.equal(cmd.code, 0, cmd.out + cmd.err);
  const made = await here(['copy', 'prepare', folder, '--name', '二つ目', '--json']);
  assert.equal(made.code, 0, made.err);
  copy = JSON.parse(made.out).id;
  await L.until('it to be known', async () => (await w.c.call('POST', `copies/${copy}/run`, {})).status === 202, 60000);
  const c = await L.until('the copy', async () => { const x = await w.c.get(`copies/${copy}`); return x.state === 'ok' && !x.progress && x; }, 60000);
  assert.ok(c.generations >= 3, 'those of the record among them');
  [sheet, orders] = ['open.txt', 'orders.txt'].map((n) => path.join(place, n));
  fs.writeFileSync(sheet, w.person.sheet.open.words_ja.join(' '));
  fs.writeFileSync(orders, w.person.sheet.orders.words_en.join(' '));
  const to = path.join(place, 'back');
  const r = await cli(['logs', 'restore', to, '--vault', folder, '--sheet', sheet, '--key', key]);
  assert.equal(r.code, 0, r.out + r.err);
  assert.match(r.out, /nothing altered was found/);
  assert.doesNotMatch(r.out, /not yet sealed/);
  assert.equal((await cli(['journal', 'search', `${to}/journal`, '"marker-two"', '--count'])).out.trim(), '50');
  assert.equal((await cli(['journal', 'search', `${to}/journal`, '患者', '--count'])).out.trim(), '250');
  const j = await cli(['logs', 'restore', path.join(place, 'back2'), '--vault', folder, '--sheet', sheet, '--key', key, '--json']);
  assert.equal(JSON.parse(j.out).sound, true, j.out);
  const wrong = await cli(['logs', 'restore', path.join(place, 'no'), '--vault', folder, '--sheet', orders]);
  assert.notEqual(wrong.code, 0);
  const plain = await cli(['recover', '--vault', path.join(folder, 'sakimori-copy/vault'), '--sheet', sheet, '--to', path.join(place, 'plain')]);
  assert.notEqual(plain.code, 0, 'who names nothing does not mean the box\'s own');
});

test('an open write-ahead file deleted, cut, replaced or rewritten under the running box is told, and costs no event', { timeout: 300e3 }, async () => {
  const harm = {
    deleted: (f) => fs.rmSync(f),
    cut: (f) => fs.truncateSync(f, 40),
    replaced: (f) => { fs.copyFileSync(f, `${f}.x`); fs.renameSync(`${f}.x`, f); },
    rewritten: (f) => {
      const b = fs.readFileSync(f);
      const fd = fs.openSync(f, 'r+');
      fs.writeSync(fd, Buffer.from([b[60] ^ 1]), 0, 1, 60);
      fs.closeSync(fd);
    },
  };
  const words = { deleted: '消された', cut: '切りつめられた', replaced: '入れかえられた', rewritten: '書きかえられた' };
  for (const [kind, act] of Object.entries(harm)) {
    await send(`marker-${kind}`, 20);
    const name = files('wal-').at(-1);
    act(journal(name));
    const a = await alarm('log_damaged');
    assert.equal(a.state, 'call');
    assert.match(a.text, new RegExp(`${name}: ${words[kind]}。中にあったログは残っている`));
    await settle('log_damaged');
    await send(`marker-after-${kind}`, 5);
    assert.equal((await find(`"marker-${kind}"`)).length, 20);
    const v = await verified();
    assert.ok(v.ok, `${kind}: ${JSON.stringify(v.findings)}`);
  }
  assert.match((await w.c.get('logs')).damaged, /wal-.* deleted/);
  assert.ok((await w.c.get('logs')).backup.held, 'what was saved before is held');
  assert.ok((await w.c.get('retention')).holds.length >= 1);
  await w.box.stop();
  w.box = await L.Box.start({ data: w.box.data, port: w.box.options.port, config: { ...config, test_clock: w.clock } });
  assert.equal((await find('"marker-deleted"')).length, 20, 'closed and sealed in time');
});

test('a box that takes over goes on with the record and says what is lost', { timeout: 300e3 }, async () => {
  await send('marker-lost', 30); // after the copy: only the old box had it
  const head = (await verified()).head;
  await w.box.stop();
  fs.renameSync(w.box.data, `${w.box.data}-old`);
  const data = path.join(place, 'new');
  const t = await cli(['takeover', '--vault', folder, '--sheet', sheet, '--orders', orders, '--data', data, '--json']);
  assert.equal(t.code, 0, t.out + t.err);
  assert.ok(JSON.parse(t.out).logs);
  w.box = await L.Box.start({ data, port: w.box.options.port, config: { ...config, test_clock: w.clock } });
  w.c = await L.signIn(w.box, w.person, w.now() + 30e3);
  await wait('"marker-two"', 50);
  assert.equal((await find('"marker-lost"')).length, 0);
  const now = await w.c.get('logs');
  assert.ok(now.continued.until && now.continued.next_block > now.continued.block, JSON.stringify(now.continued));
  assert.notEqual(now.seal_pub, key, 'a new key: the old one forgot and is gone');
  assert.match((await alarm('took_over')).text, /引きついだログの記録: \d{4}-\d\d-\d\d/);
  await send('marker-new', 25);
  await saved();
  const v = await verified();
  assert.ok(v.ok, JSON.stringify(v.findings));
  assert.equal(v.boxes, 2);
  assert.ok(v.findings.some((f) => f.kind === 'continued'));
  for (const k of [now.seal_pub, key]) {
    const r = await cli(['journal', 'verify', journal(), '--key', k]);
    assert.equal(r.code, 0, r.out + r.err);
    assert.match(r.err + r.out, /another box took over/);
  }
  const later = await cli(['journal', 'verify', journal(), '--key', now.seal_pub, '--head', head]);
  assert.equal(later.code, 1, 'a head the old box gave out after it was saved last');
  assert.match(later.err, /cut away/);
  say(`goes on behind block ${now.continued.block}; the record of 2 boxes verifies; the lost end is found by a head`);
});

test('a segment altered by root, keyd\'s present key in hand, is found by the nightly check', { timeout: 300e3 }, async () => {
  await L.until('the end of the last check', async () => { const x = (await w.c.get('logs')).checked; return x.whole && !x.running; }, 120000);
  const seg = files('seg-')[0]; // of the old box; its seal is of a key that is gone
  const b = fs.readFileSync(journal(seg));
  const at = b.length >> 1;
  const fd = fs.openSync(journal(seg), 'r+');
  fs.writeSync(fd, Buffer.from([b[at] ^ 1]), 0, 1, at);
  fs.closeSync(fd);
  const jst = 9 * 3600e3, day = 86400e3;
  const night = async () => {
    const before = (await w.c.get('logs')).checked.part;
    await w.moveTo((Math.floor((w.now() + jst) / day) + 1) * day - jst + 4 * 3600e3); // four at night
    return L.until('the check of the night', async () => { const x = (await w.c.get('logs')).checked; return x.part !== before && x; }, 120000);
  };
  let checked = await night(); // headers and chain of all; of the content the first part of 28
  if (!checked.faults) checked = await night(); // the part in which it lies
  assert.ok(checked.faults > 0);
  assert.ok(checked.findings.some((f) => f.file === seg), JSON.stringify(checked.findings));
  assert.match((await alarm('log_damaged')).text, new RegExp(seg));
  const month = new Date(w.now() + jst).toISOString().slice(0, 7);
  const review = await w.c.get(`reviews/${month}`);
  assert.ok(review.log_checks.parts >= 1 && review.log_checks.faults >= 1, JSON.stringify(review.log_checks));
});
