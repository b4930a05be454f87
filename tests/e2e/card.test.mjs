// A lost restore card, a forgotten password and a lost telephone are mended with the recovery sheet alone; the old card
// opens nothing any more; what was saved before comes back equal.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w, tree, saved, sheet, orders, token, card, again;
const next = 'kamome-9-asagiri';
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const cli = (args, input) => L.run(L.programs.cli, ['--data', w.box.data, '--token-file', token, ...args], { any: true, input });
const unlock = (c, password, text) => c.call('POST', 'unlock', { password, card: text });
const today = async (c) => (await c.get('today')).lines.map((l) => l.text).join('\n');
async function back(c, name) {
  const to = path.join(w.place, name);
  const r = await L.restore(c, saved.manifest, w.agent.device.id, { target: { mode: 'place', place: to } });
  assert.equal(r.state, 'complete', JSON.stringify(r));
  const found = [to, path.join(to, w.root)].find((p) => fs.existsSync(path.join(p, Object.keys(tree).find((n) => n !== '.').slice(2))));
  assert.ok(found, `nothing below ${to}`);
  const is = L.treeOf(found);
  for (const n of Object.keys(tree)) if (n !== '.') assert.deepEqual(is[n], tree[n], n);
  await c.call('DELETE', 'unlock');
}
/** A text file of only this user, as a person would keep one for a moment. */
function paper(name, text) {
  const file = path.join(w.place, name);
  fs.writeFileSync(file, text, { mode: 0o600 });
  return file;
}

test('a new card takes the place of the lost one and opens what was saved before', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'card' });
  token = path.join(w.place, 'token');
  tree = L.treeOf(w.root);
  saved = await L.backup(w.c, w.source.id);
  assert.equal(saved.state, 'complete');
  sheet = paper('open.txt', w.person.sheet.open.words_ja.join(' '));
  orders = paper('orders.txt', w.person.sheet.orders.words_en.join('\n'));
  const before = (await w.c.get('session')).person;
  assert.equal(before.needs_card, true);
  const signed = await cli(['sign-in', 'incho', '--lang', 'en', '--answers', paper('in.json', JSON.stringify({ password: L.password, one_time: w.person.codes[0] }))]);
  assert.equal(signed.code, 0, signed.err);
  assert.equal((await unlock(w.c, L.password, w.person.card)).status, 200);
  const r = await cli(['restore-card', 'new', '--lang', 'en', '--sheet', sheet, '--orders', orders, '--password-stdin'], `${L.password}\n`);
  assert.equal(r.code, 0, r.err);
  card = /SKC1(-[A-Z2-7]{1,4})+/.exec(r.out)?.[0];
  assert.ok(card && card !== w.person.card, r.out);
  assert.match(r.out, /[█▀▄]{6}/, 'the card has its QR code');
  assert.equal((await w.c.get('session')).unlocked_until, null, 'the unlock ended with the old card');
  assert.equal((await unlock(w.c, L.password, w.person.card)).status, 403, 'the old card');
  assert.equal((await unlock(w.c, L.password, card)).status, 200);
  await back(w.c, 'back-1');
  say('the old card is refused; the new one restores everything equal');
});

test('wrong halves, a wrong password and another sheet change nothing', { timeout: 100e3 }, async () => {
  const tries = [
    ['the orders half as the one that opens', ['--sheet', paper('o.txt', w.person.sheet.orders.words_ja.join(' ')), '--orders', orders], L.password],
    ['the opening half as the one for orders', ['--sheet', sheet, '--orders', paper('p.txt', w.person.sheet.open.words_ja.join(' '))], L.password],
    ['another password', ['--sheet', sheet, '--orders', orders], 'not-my-word-7'],
    ['a word wrong', ['--sheet', paper('q.txt', [...w.person.sheet.open.words_ja.slice(0, 23), w.person.sheet.open.words_ja[0] === 'あいさつ' ? 'あいだ' : 'あいさつ'].join(' ')), '--orders', orders], L.password],
  ];
  for (const [what, args, password] of tries) {
    const r = await cli(['restore-card', 'new', '--lang', 'en', '--password-stdin', ...args], `${password}\n`);
    assert.notEqual(r.code, 0, what);
    assert.doesNotMatch(r.out, /SKC1/, `${what}: no card is shown that opens nothing`);
  }
  assert.equal((await unlock(w.c, L.password, card)).status, 200, 'the card still opens');
  await w.c.call('DELETE', 'unlock');
});

test('password and telephone lost: the orders half lets the director in, and a new card restores', { timeout: 200e3 }, async () => {
  const r = await cli(['account', 'recover', 'incho', '--json', '--orders', orders, '--password-stdin'], `${next}\n`);
  assert.equal(r.code, 0, r.err);
  const got = JSON.parse(r.out);
  assert.equal(got.card_fits, false);
  assert.equal((await w.c.call('GET', 'session')).status, 401, 'the old session has ended');
  await assert.rejects(L.signIn(w.box, { totp_secret: w.person.totp_secret }), /401/, 'password and telephone of before');
  w.c = await L.signIn(w.box, { password: next, totp_secret: got.totp_secret });
  assert.match(await today(w.c), /戻すカード/, 'Today asks for a new card');
  assert.match(await today(w.c), /金庫の紙で/, 'and tells the directors what happened');
  assert.equal((await unlock(w.c, next, card)).status, 403, 'the card goes with the old password');
  const signed = await cli(['sign-in', 'incho', '--lang', 'en', '--answers', paper('in2.json', JSON.stringify({ password: next, one_time: got.codes[0] }))]);
  assert.equal(signed.code, 0, signed.err);
  const both = paper('both.json', JSON.stringify({ open: w.person.sheet.open, orders: w.person.sheet.orders }));
  const made = await cli(['restore-card', 'new', '--json', '--sheet', both, '--password-stdin'], `${next}\n`);
  assert.equal(made.code, 0, made.err);
  again = JSON.parse(made.out).card;
  assert.doesNotMatch(await today(w.c), /戻すカードを、作り直して/, 'the task is over');
  assert.equal((await unlock(w.c, next, again)).status, 200);
  await back(w.c, 'back-2');
  const who = (await w.c.get('access?limit=200')).items.map((x) => `${x.what} ${x.who}`);
  assert.ok(who.includes('recovery incho') && who.filter((x) => x === 'card incho').length === 2, who.join(', '));
  say('back in with the orders half; the second new card restores everything equal; both are in the access log');
});

test('typed at a terminal: words in pieces, a weak password asked for again, nothing typed stays on the screen', { timeout: 200e3 }, async () => {
  const type = async (args, talk) => JSON.parse((await L.run('python3', [path.join(L.top, 'tests/e2e/type.py')], { input: JSON.stringify({ argv: [L.programs.cli, '--data', w.box.data, '--token-file', token, '--lang', 'ja', ...args], talk }) })).out);
  const { open, orders: o } = w.person.sheet;
  const a = await type(['account', 'recover'], [['院長のアカウント', 'incho'], ['大事な決まり', o.words_ja.join(' ')],
    ['新しいパスワード: ', 'short'], ['もう一度', 'short'], ['8文字以上[\\s\\S]*新しいパスワード: ', next], ['もう一度', next]]);
  assert.equal(a.code, 0, a.out);
  assert.ok(a.out.lastIndexOf(o.words_ja[11]) < a.out.indexOf('\x1b[3J'), 'the words leave the screen');
  const code = /[0-9A-Z]{5}-[0-9A-Z]{5}/.exec(a.out)[0];
  assert.equal((await type(['sign-in', 'incho'], [['パスワード: ', next], ['コード: ', code]])).code, 0);
  const c = await type(['restore-card', 'new'], [['1 開ける鍵', open.words_ja.slice(0, 12).join(' ')], ['続き', open.words_ja.slice(12).join(' ')], ['大事な決まり', o.qr_text], ['院長のパスワード: ', next]]);
  assert.equal(c.code, 0, c.out);
  assert.ok(c.out.lastIndexOf(open.words_ja[11]) < c.out.indexOf('\x1b[3J') && c.out.lastIndexOf('SKR1') < c.out.indexOf('\x1b[3J'));
  assert.match(c.out, /SKC1-/);
  assert.ok(!c.out.includes(next), 'the password is not shown');
});

test('a browser gets in by the typed words; nothing secret is on disk or in the log', { timeout: 100e3 }, async () => {
  const c = new L.Client(w.box);
  const browser = await L.startBrowser();
  let totp_secret;
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: w.box.url, locale: 'ja-JP', serviceWorkers: 'block' });
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    await page.goto('/recovery');
    const ins = page.locator('form .in');
    await ins.nth(0).fill('incho');
    await ins.nth(1).fill(w.person.sheet.orders.words_ja.map((x, i) => `${i + 1} ${x}`).join('\n'));
    await ins.nth(2).fill(L.password);
    await ins.nth(3).fill(L.password);
    await page.locator('button[type=submit]').click();
    await page.waitForSelector('.codes');
    await page.locator('summary').click();
    totp_secret = (await page.locator('.copy').innerText()).replace(/ /g, '');
    assert.match(await page.locator('#main').innerText(), /いまの戻すカードは、新しいパスワードでは使えません/);
  } finally {
    await browser.close();
  }
  assert.equal((await c.call('POST', 'recovery', { account: 'incho', password: L.password, words: w.person.sheet.open.words_ja.join(' ') })).status, 403, 'the opening half is not the one asked for');
  w.c = await L.signIn(w.box, { totp_secret });
  const looked = [];
  const secrets = [w.person.sheet.orders.words_ja.slice(3, 7).join(' '), w.person.sheet.orders.words_en.slice(3, 7).join(' '), w.person.sheet.open.words_ja.slice(3, 7).join(' '), card, again, next].map((s) => Buffer.from(s));
  for (const f of fs.readdirSync(w.box.data, { recursive: true }).map(String)) {
    const p = path.join(w.box.data, f);
    if (!fs.lstatSync(p).isFile()) continue;
    const b = fs.readFileSync(p);
    looked.push(f);
    for (const s of secrets) assert.equal(b.indexOf(s), -1, `${s} is in ${f}`);
  }
  for (const s of secrets) assert.ok(!w.box.log.join('').includes(s.toString()), 'in the log');
  assert.ok(looked.some((f) => f.endsWith('restore.ske')) && looked.some((f) => f.includes('audit')));
  say(`no word, card or password in ${looked.length} files and the log`);
});
