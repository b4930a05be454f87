// A stolen card and a leaked sheet: new recipients, who open what is older too; machines follow the sheet's signature and
// nobody else's; nothing old is taken back, and that is said.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

const DAY = 86400e3;
let w, token, codes, tree, first, second, made, both;
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const cli = (args, any = false, input = undefined) => L.run(L.programs.cli, ['--data', w.box.data, '--token-file', token, ...(args.includes('--lang') ? [] : ['--lang', 'en']), ...args], { any, input });
const paper = (name, text) => {
  const file = path.join(w.place, name);
  fs.writeFileSync(file, text, { mode: 0o600 });
  return file;
};
const signIn = async () => cli(['sign-in', 'incho', '--answers', paper('in.json', JSON.stringify({ password: L.password, one_time: codes.shift() }))]);
const status = async () => JSON.parse((await L.run(L.programs.agent, ['status', '--json', '--data', w.agent.data], { any: true })).out);
async function copy(name) {
  fs.writeFileSync(path.join(w.root, 'log.txt'), `${name}\n`.repeat(4000));
  await L.sleep(2100);
  const r = await L.backup(w.c, w.source.id);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  return { id: r.manifest, tree: L.treeOf(w.root), run: r };
}
/** recover with the program, the vault's files and one paper; the tree, or null when that paper opens nothing. */
async function recover(sheet, id, name) {
  const to = path.join(w.place, name);
  const r = await L.run(L.programs.cli, ['recover', '--lang', 'en', '--vault', path.join(w.box.data, 'vault'), '--sheet', sheet, '--generation', id, '--to', to], { any: true });
  return r.code === 0 ? L.treeOf(path.join(to, w.root)) : (assert.match(r.err, /does not open it/, r.err), null);
}

test('a change is ordered with the present sheet, told, and holds after seven days', { timeout: 300e3 }, async () => {
  w = await L.World.start({ name: 'recipients', source: { schedule: { every: 'off' } } });
  token = path.join(w.place, 'token');
  codes = [...w.person.codes];
  await signIn();
  first = await copy('first');
  both = paper('both.json', JSON.stringify({ open: w.person.sheet.open, orders: w.person.sheet.orders }));
  const wrong = await cli(['recipients', 'change', '--card', '--json', '--why', 'thief', '--sheet', both, '--orders', paper('o.txt', w.person.sheet.open.words_ja.join(' ')), '--password-stdin'], true, `${L.password}\n`);
  assert.notEqual(wrong.code, 0, 'the opening half orders nothing');
  const mistyped = await cli(['recipients', 'change', '--card', '--new-sheet', '--json', '--why', 'x', '--sheet', both, '--password-stdin'], true, 'not-my-word-7\n');
  assert.notEqual(mistyped.code, 0, 'a card under a mistyped password is not made');
  assert.equal(mistyped.out, '', 'and no key is shown that holds for nothing');
  const r = await cli(['recipients', 'change', '--card', '--new-sheet', '--json', '--why', 'カードが盗まれた', '--sheet', both, '--password-stdin'], true, `${L.password}\n`);
  assert.equal(r.code, 0, r.err);
  made = JSON.parse(r.out);
  assert.match(made.card, /^SKC1-/);
  assert.match(made.sheet.open_qr, /^SKR1:O:/);
  assert.equal(made.order_id, made.order.id);
  const twice = await cli(['recipients', 'change', '--card', '--json', '--why', 'もう一度', '--sheet', both, '--password-stdin'], true, `${L.password}\n`);
  assert.equal(twice.code, 1, 'one waits');
  assert.equal(twice.out, '', 'and no card is shown that would open nothing');
  assert.match(twice.err, new RegExp(`waiting already[^]*order cancel ${made.order.id}`));
  const shown = (await cli(['--lang', 'ja', 'recipients', 'show'])).out;
  assert.match(shown, /金庫の紙/);
  assert.match(shown, /戻すカード/);
  assert.match((await cli(['--lang', 'ja', 'order', 'list'])).out, /新しい鍵/);
  const today = await w.c.get('today');
  assert.equal(today.state, 'call');
  assert.ok(today.lines.some((x) => x.text.includes('鍵を新しくする命令')), JSON.stringify(today.lines));
  let now = await w.c.get('recipients');
  assert.equal(now.waiting.length, 1);
  assert.equal(now.changes.length, 0);
  assert.equal((await w.c.call('POST', 'unlock', { password: L.password, card: made.card })).status, 403, 'the new card holds only then');
  await w.moveTo(w.now() + 6 * DAY);
  await signIn();
  assert.equal(JSON.parse((await cli(['vault', 'clean', '--json'])).out).orders, 0);
  await w.moveTo(w.now() + 2 * DAY);
  await signIn();
  assert.equal(JSON.parse((await cli(['vault', 'clean', '--json'])).out).orders, 1);
  now = await L.until('the new keys', async () => {
    const x = await w.c.get('recipients');
    return x.changes.length === 1 && x.fingerprint === x.changes[0].after && x;
  }, 20e3);
  assert.equal(now.waiting.length, 0);
  assert.ok((await w.c.get('today')).lines.some((x) => x.text.includes('鍵が、新しくなりました')));
  say('ordered, told, waited seven days, holds');
});

test('the machine follows; the new card and the new sheet alone open old and new, the old ones only the old', { timeout: 300e3 }, async () => {
  await L.poke(w.agent);
  second = await copy('second');
  const now = await w.c.get('recipients');
  assert.deepEqual(now.machines.map((m) => m.follows), [true]);
  assert.equal((await w.c.call('POST', 'unlock', { password: L.password, card: w.person.card })).status, 403, 'the old card opens this box no more');
  w.person.card = made.card;
  await w.unlock();
  assert.deepEqual(await w.fetch(first.id), first.tree, 'old generation, new card');
  assert.deepEqual(await w.fetch(second.id), second.tree, 'new generation, new card');
  const fresh = paper('new.txt', made.sheet.open_qr), old = paper('old.txt', w.person.sheet.open.words_en.join(' '));
  assert.deepEqual(await recover(fresh, first.id, 'r1'), first.tree, 'old generation, new sheet alone');
  assert.deepEqual(await recover(fresh, second.id, 'r2'), second.tree);
  assert.deepEqual(await recover(old, first.id, 'r3'), first.tree, 'nothing old is taken back');
  assert.equal(await recover(old, second.id, 'r4'), null, 'the old sheet opens nothing new');
  say('old: new card, new sheet, old sheet; new: new card and new sheet, not the old sheet');
});

test('after the key keeper was killed everything still opens', { timeout: 200e3 }, async () => {
  L.setClock(w.clock, 0); // it makes a new certificate, and this program's own clock reads it
  w.moved = 0;
  const before = w.box.children().keyd;
  process.kill(before, 'SIGKILL');
  await L.until('another key keeper', () => w.box.children().keyd && w.box.children().keyd !== before, 20e3);
  await L.until('an unlock', async () => (await w.c.call('POST', 'unlock', { password: L.password, card: made.card })).status === 200, 20e3);
  assert.deepEqual(await w.fetch(first.id), first.tree);
  await w.c.call('DELETE', 'unlock');
});

test('the old sheet orders nothing any more; the new one does, and can be stopped', { timeout: 200e3 }, async () => {
  await signIn();
  const no = await cli(['recipients', 'change', '--card', '--json', '--why', 'x', '--sheet', both, '--password-stdin'], true, `${L.password}\n`);
  assert.notEqual(no.code, 0);
  assert.equal(no.out, '');
  const papers = paper('next.txt', `${made.sheet.open_qr}\n${made.sheet.orders_qr}\n`);
  const r = await cli(['recipients', 'change', '--card', '--json', '--why', '試し', '--sheet', papers, '--password-stdin'], true, `${L.password}\n`);
  assert.equal(r.code, 0, r.err);
  const id = JSON.parse(r.out).order.id;
  const hex = (n) => '0'.repeat(n); // the box looks before anything of it is kept
  const second = await w.c.call('POST', 'recipients', { order: '{}', sig: hex(128), link: hex(2), escrow: hex(332) });
  assert.equal(second.status, 409);
  assert.match(JSON.stringify(second), new RegExp(`order cancel ${id}`));
  assert.equal((await cli(['order', 'cancel', id, '--why', 'やめる'])).code, 0);
  await w.moveTo(w.now() + 20 * DAY);
  await signIn();
  assert.equal(JSON.parse((await cli(['vault', 'clean', '--json'])).out).orders, 0);
  assert.equal((await w.c.get('recipients')).changes.length, 1);
});

test('a set that the sheet did not sign is refused by the machine, and the backup goes on for the right one', { timeout: 200e3 }, async () => {
  // Root on the box: the journal cannot be forged without its chain, but what front hands out can. A box of his own
  // words stands between: the same certificate authority, the box's own answers, and one of his.
  const forged = JSON.parse(fs.readFileSync(path.join(w.agent.data, 'cache/recipients.json')));
  const order = JSON.parse(forged.changes[0].order);
  const thief = crypto.generateKeyPairSync('ed25519'), x = crypto.generateKeyPairSync('x25519');
  const raw = (k) => k.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
  order.recipients.before = (await w.c.get('recipients')).fingerprint;
  order.recipients.set = order.recipients.set.slice(0, -64) + raw(x.publicKey);
  order.nonce = crypto.randomBytes(16).toString('hex');
  const text = JSON.stringify(order);
  const sig = crypto.sign(null, Buffer.concat([Buffer.from('sakimori/v1/vault-order'), Buffer.from(text)]), thief.privateKey).toString('hex');
  const file = path.join(w.agent.data, 'cache/recipients.json');
  fs.writeFileSync(file, JSON.stringify({ changes: [...forged.changes, { order: text, sig }] }), { mode: 0o600 });
  const third = await copy('third');
  assert.deepEqual((await w.c.get('recipients')).machines.map((m) => m.follows), [true], 'the forged set was not taken');
  assert.deepEqual(await recover(paper('new2.txt', made.sheet.open_qr), third.id, 'r5'), third.tree);
  assert.equal((await status()).last?.alarm ?? '', '');
  say('a forged change is refused');
});
