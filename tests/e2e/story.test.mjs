// The whole story with real processes and a real browser: set-up, protect, three days, attack, alarm, restore, equal.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let box, agent, browser;
after(async () => {
  await browser?.close();
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  L.clearUp();
});
const say = (text) => console.log(`# ${text}`);
const day = 86400e3;

test('a clinic is set up, attacked and back, byte for byte', { timeout: 400e3 }, async () => {
  const place = L.tempDir('story', 0o755);
  const clock = `${place}/clock`;
  let moved = 0;
  L.setClock(clock, 0);
  box = await L.Box.start({ config: { test_clock: clock } });
  browser = await L.startBrowser();
  const context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: box.url, viewport: { width: 1280, height: 900 }, locale: 'ja-JP', timezoneId: 'Asia/Tokyo', serviceWorkers: 'block' });
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (e) => problems.push(String(e)));
  page.on('console', (m) => { if (m.type() === 'error' && !/status of (4|5)\d\d|ERR_|Failed to load resource/.test(m.text())) problems.push(m.text()); });
  page.setDefaultTimeout(30000);
  await page.clock.install();
  const button = (name) => page.getByRole('button', { name, exact: true });
  const settled = async () => {
    await page.waitForSelector('#main h1', { state: 'attached' });
    await page.waitForFunction(() => !document.querySelector('#main .loading'));
    await page.waitForTimeout(80);
  };

  // 1. the first run
  await page.goto('/');
  await page.waitForURL('**/setup');
  await settled();
  await page.locator('input.in').first().fill(box.code);
  await L.picture(page, '01-setup-code');
  await button('始める').click();
  await page.waitForSelector('select.sel');
  const inst = page.locator('form input.in');
  await page.getByLabel('医院の名前').fill('さくら内科クリニック');
  await inst.nth(1).fill('03-0000-0000');
  await inst.nth(3).fill('見本 花子');
  await L.picture(page, '02-institution');
  await page.locator('button[type=submit]').click();
  await page.waitForSelector('input[autocomplete=username]');
  for (const [i, v] of ['見本 花子', 'hanako', L.password, L.password].entries()) await page.locator('form input.in').nth(i).fill(v);
  await page.locator('button[type=submit]').click();
  await page.waitForSelector('img.qr');
  await page.getByText('絵を読めないとき').click();
  const secret = (await page.locator('details .copy').innerText()).replace(/\s/g, '');
  assert.match(secret, /^[A-Z2-7]{16,}$/);
  await page.locator('input.in-6').fill(L.totp(secret));
  await page.locator('button[type=submit]').click();
  await page.waitForSelector('.codes');
  assert.equal(await page.locator('.codes li').count(), 10);
  await button('印刷しました').click();
  await button('紙を作る').click();
  await page.waitForSelector('.rs', { timeout: 60000 });
  await L.picture(page, '03-sheet');
  const words = await page.locator('.rs-words li b').allInnerTexts();
  const card = (await page.locator('.rs-card .txt').innerText()).trim();
  assert.equal(words.length, 48);
  await page.locator('input[name=printed]').check();
  await button('次へ').click();
  await page.waitForSelector('form input.in');
  const asked = await page.locator('form .field label').allInnerTexts();
  assert.equal(asked.length, 3);
  for (const [i, label] of asked.entries()) {
    const [, part, n] = /「(.+)」の\D*(\d+)/.exec(label) ?? [];
    assert.ok(part, label);
    await page.locator('form input.in').nth(i).fill(words[(part.startsWith('開ける') ? 0 : 24) + Number(n) - 1]);
  }
  await L.picture(page, '04-words');
  await page.locator('button[type=submit]').click();
  await page.waitForSelector('.next', { timeout: 60000 });
  await L.picture(page, '05-setup-done');
  say('set up in the browser: 8 steps, 48 words, 10 one-time codes');

  // 2. a machine joins with the code the console shows
  await page.goto('/machines');
  await settled();
  await button('機器を加える').click();
  await page.getByLabel('機器の名前').fill('電子カルテサーバー');
  await button('番号を作る').click();
  const command = await page.getByText('sakimori-agent join').innerText();
  await L.picture(page, '06-join-code');
  const [, url, code] = /sakimori-agent join (\S+) (\S+)/.exec(command);
  agent = new L.Agent();
  agent.data = path.join(place, 'agent/data');
  fs.mkdirSync(path.dirname(agent.data));
  await L.run(L.programs.agent, ['join', url, code, '--data', agent.data, '--name', 'karte-server']);
  agent.start();
  await page.keyboard.press('Escape');

  // 3. what to protect
  const root = path.join(place, 'ssmix2');
  L.makeTree(root);
  fs.writeFileSync(path.join(root, '.sakimori-sim-allowed'), 'sakimori-sim\n');
  await page.goto('/machines/sources/new');
  await settled();
  await page.locator('input[required]').fill('電子カルテ');
  await page.locator('textarea[required]').fill(root);
  await page.locator('input[name=every]').nth(1).check();
  await L.picture(page, '07-source');
  await button('この内容で決める').click();
  await page.waitForURL('**/machines/sources');

  // 4. three generations, a day's work between; the second and third start by the box's own schedule
  const director = await L.signIn(box, { account: 'hanako', totp_secret: secret }, Date.now() + 30e3);
  const source = (await director.get('sources')).items[0];
  let c = director;
  const trees = [];
  const generations = async () => (await c.get(`generations?source=${source.id}`)).items;
  const nth = (n) => L.until(`generation ${n}`, async () => {
    const all = await generations();
    return all.length >= n && !(await c.get('runs?limit=5')).items.some((r) => ['waiting', 'running'].includes(r.state)) && all;
  }, 90000);
  await nth(1);
  trees.push(L.showTree(root));
  for (const n of [2, 3]) {
    L.passDay(root, n);
    const before = L.showTree(root);
    moved = Date.parse((await c.get('sources')).items[0].next) + 20e3 - Date.now();
    L.setClock(clock, moved);
    c = await L.signIn(box, { account: 'hanako', totp_secret: secret }, Date.now() + moved);
    await L.poke(agent);
    await nth(n);
    trees.push(before);
  }
  const clean = await generations();
  assert.equal(clean.length, 3);
  assert.ok(clean.every((g) => g.status === 'complete' && g.suspicion.level === 'none'), JSON.stringify(clean));
  assert.equal(clean.filter((g) => g.run_kind === 'scheduled').length, 2, 'two were started by the schedule');
  say(`3 generations (${clean.map((g) => g.run_kind).join(', ')}) of ${Object.keys(trees[2]).length} entries`);

  // 5. the attack: the agent is stopped, every file encrypted, the backups attacked with the stolen keys
  await agent.stop();
  const copy = path.join(place, 'stolen');
  fs.cpSync(agent.data, copy, { recursive: true });
  const sim = JSON.parse((await L.run(L.programs.sim, [root, '--style', 'full,rename,note'])).out);
  assert.ok(sim.files > 4000 && sim.failed <= 1, JSON.stringify(sim));
  const { run } = await c.post(`sources/${source.id}/run`);
  const hostile = await L.run(L.programs.sim, ['hostile', '--agent', copy, '--work', path.join(place, 'work'), '--source', source.id, '--run', run], { any: true });
  const attacks = hostile.out.trim().split('\n').map((l) => JSON.parse(l));
  for (const a of attacks) say(`${a.refused ? 'refused' : 'OPEN'} ${a.attack} (${a.status})`);
  assert.ok(attacks.length >= 12, hostile.err);
  assert.deepEqual(attacks.filter((a) => !a.refused), []);
  await c.call('POST', `runs/${run}/cancel`, {}); // it may be over already
  say(`simulator: ${sim.files} files encrypted, ${sim.renamed} renamed, ${sim.notes} notes; ${attacks.length} attacks with the stolen certificate, all refused`);

  // 6. the next backup raises the alarm
  const had = (await generations()).length;
  agent.start();
  await L.until('the machine is back', async () => (await c.get('devices')).items[0].state === 'ok');
  moved += day;
  L.setClock(clock, moved);
  c = await L.signIn(box, { account: 'hanako', totp_secret: secret }, Date.now() + moved);
  await L.poke(agent);
  await L.until('the backup after the attack', async () => (await generations()).length > had, 120000);
  await L.until('the alarm', async () => (await c.get('today')).state === 'call', 30000);
  await page.clock.setSystemTime(Date.now() + moved);
  await page.goto('/');
  await page.waitForURL('**/sign-in*');
  await page.locator('input.in').nth(0).fill('hanako');
  await page.locator('input.in').nth(1).fill(L.password);
  await button('使いはじめる').click();
  await page.locator('.in-6').fill(L.totp(secret, Date.now() + moved + 30e3));
  await button('確かめる').click();
  await page.getByRole('heading', { name: 'すぐ電話してください' }).waitFor();
  assert.equal(await page.locator('.state-call').getAttribute('role'), 'alert');
  await L.picture(page, '08-alarm');
  const alarms = (await c.get('alarms')).items;
  assert.ok(alarms.some((a) => a.state === 'call' && a.source === source.id), JSON.stringify(alarms));
  // The marks are made a moment after the alarm.
  const after1 = await L.until('the pin', async () => { const all = await generations(); return all.find((g) => g.last_clean)?.pinned && all; }, 60000);
  const best = after1.filter((g) => g.last_clean);
  assert.equal(best.length, 1);
  assert.equal(best[0].id, clean[0].id, 'the last clean one is the third');
  assert.equal(best[0].pinned, true, 'it is pinned: rotation is frozen');
  assert.deepEqual(after1.slice(-3).map((g) => g.id), clean.map((g) => g.id), 'the three good ones are all there');
  await page.goto('/trouble');
  await settled();
  await L.picture(page, '09-trouble');

  // 7. back, with one unlock and three steps
  await page.goto('/restore');
  await settled();
  assert.equal(await page.locator('.gen.on .flag').innerText(), '最後のきれいな状態');
  await L.picture(page, '10-restore-when');
  await button('この時点に決める').click();
  await page.getByRole('heading', { name: '何を戻しますか' }).waitFor();
  assert.ok(await page.locator('input[name=mode]').first().isChecked(), 'the safe choice is the one already made');
  await L.picture(page, '11-restore-what');
  await button('次へ').click();
  await page.getByLabel('院長のパスワード').fill(L.password);
  await page.getByLabel('戻すカードの文字').fill(card);
  await button('鍵を開ける').click();
  await page.getByText('鍵が開いています。').first().waitFor();
  await page.getByLabel('戻すわけ').fill('11月の書きかえを戻す');
  await L.picture(page, '12-restore-go');
  await button('戻しはじめる').click();
  await page.waitForURL('**/restore?run=*');
  await page.getByRole('heading', { name: /戻し終わりました|一部を戻せませんでした|戻せませんでした/ }).waitFor({ timeout: 120000 });
  await page.waitForTimeout(200);
  await L.picture(page, '13-restored');
  const done = (await c.get('restores')).items[0];
  assert.equal(done.state, 'complete', JSON.stringify((await c.get(`restores/${done.id}`)).problems));

  // 8. equal, metadata too; beside it only what the attacker left
  const now = L.showTree(root);
  const extra = (n) => /\.locked$|HOW_TO_GET_BACK\.txt$|before-restore-/.test(Buffer.from(n, 'latin1').toString());
  const wrong = L.differences(trees[2], now, extra);
  assert.deepEqual(wrong.slice(0, 20), [], `${wrong.length} differences`);
  say(`restored: ${Object.keys(trees[2]).length} entries equal in bytes, owners, modes, times, ACLs, xattrs, links and holes; ${done.ms} ms`);
  assert.deepEqual(problems, [], 'errors in the console of the browser');
  await agent.stop();
  assert.deepEqual(await box.stop(), { code: 0, signal: null });
});
