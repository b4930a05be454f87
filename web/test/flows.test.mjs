// The ways through the console, in a real browser against the mock of the API.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startMock } from '../mock/server.mjs';
import { settled, startBrowser } from './lib.mjs';
import { fillRecovery, toSetup } from './screens.mjs';

let browser;
let mock;
let page;
before(async () => { mock = await startMock(); browser = await startBrowser(); });
after(async () => { await browser?.close(); await mock?.close(); });
beforeEach(() => { mock.reset(); page = null; });
afterEach(async () => {
    const problems = page?.problems ?? [];
    await page?.context().close();
    assert.deepEqual(problems, [], 'errors in the console of the browser');
});
const open = async (path, state = {}, more = {}) => {
    mock.set(state);
    page = await browser.page({ base: mock.url, ...more });
    await page.goto(path);
    await settled(page);
    return page;
};
const button = (name) => page.getByRole('button', { name, exact: true });
const calls = (method, path) => mock.st.calls.filter((c) => c.method === method && c.path === path);

test('set-up goes through all steps and ends signed in, with the first source next', async () => {
    mock.set({ role: 'nobody', setup: 'open' });
    page = await browser.page({ base: mock.url });
    await page.goto('/');
    await page.waitForURL('**/setup');
    await toSetup(page, 'done');
    assert.equal(await page.locator('h1').innerText(), '設定が終わりました');
    const [inst] = calls('POST', '/setup/institution');
    assert.equal(inst.data.name, 'さくら内科クリニック');
    assert.equal(inst.data.responsible.name, '見本 花子');
    assert.equal(inst.data.vendor_updates, 'unknown');
    assert.deepEqual(calls('POST', '/setup/confirm')[0].data.answers.map((a) => [a.which, a.n]), [['open', 3], ['orders', 17], ['open', 21]]);
    assert.equal(calls('POST', '/setup/confirm')[0].data.printed, true);
    await page.getByRole('link', { name: '保存する場所を決める' }).first().click();
    await page.waitForURL('**/machines/sources/new');
    await page.locator('input[required]').fill('電子カルテのデータ');
    await page.locator('textarea[required]').fill('/srv/karte');
    await button('この内容で決める').click();
    await page.waitForURL('**/machines/sources');
    assert.deepEqual(calls('POST', '/sources')[0].data.paths, ['/srv/karte']);
    assert.equal(calls('POST', '/sources/n1/run').length, 1);
});

test('the run that saved what an attack left is marked suspicious, not good', async () => {
    await open('/machines/sources', { role: 'director' });
    const row = page.locator('li.trouble', { hasText: '疑わしい変化があります' }).first();
    await row.waitFor();
    assert.equal(await row.locator('svg .bar-bad').count(), 1);
    assert.equal(await row.locator('svg .bg-ok').count(), 0);
});

test('the table of machines says how many copies are left, how much room, and how the last drill went', async () => {
    await open('/machines', { role: 'director' });
    const cell = (machine, column) => page.locator('tr', { has: page.locator(`a[href="/machines/${machine}"]`) }).locator(`[data-l="${column}"]`);
    await cell('d1', '残り').waitFor();
    assert.equal(await cell('d1', '残り').innerText(), '24回');
    assert.match(await cell('d2', '残り').innerText(), /90回[\s\S]*あき40%/);
    await cell('d1', '戻す練習').getByText('成功').waitFor();
    assert.equal(await cell('d3', '戻す練習').innerText(), 'まだ');
});

test('the database of ORCA is chosen in one step', async () => {
    mock.set({ role: 'director' });
    page = await browser.page({ base: mock.url });
    await page.goto('/machines/sources/new');
    await page.getByText('ORCA(日レセ)のデータベース').click();
    assert.equal(await page.locator('textarea[required]').count(), 0, 'no folders are asked for');
    await button('この内容で決める').click();
    await page.waitForURL('**/machines/sources');
    const { data } = calls('POST', '/sources').at(-1);
    assert.equal(data.kind, 'postgresql');
    assert.deepEqual(data.options, { access: 'local', databases: ['orca'] });
    assert.equal(data.group, 'receipt');
    assert.equal(data.paths, undefined);
    assert.equal(data.canaries, false);
});

test('going back from the codes shows them again until they are confirmed', async () => {
    mock.set({ role: 'nobody', setup: 'open' });
    page = await browser.page({ base: mock.url });
    await toSetup(page, 'codes');
    const codes = await page.locator('.codes li').allInnerTexts();
    assert.equal(codes.length, 10);
    await page.evaluate(() => { history.pushState(null, '', '/manual'); dispatchEvent(new PopStateEvent('popstate')); });
    await page.locator('.codes').waitFor({ state: 'detached' });
    await page.goBack();
    await page.locator('.codes').waitFor();
    assert.deepEqual(await page.locator('.codes li').allInnerTexts(), codes);
    await button('印刷しました').click();
    await page.locator('.codes').waitFor({ state: 'detached' });
});

test('nothing secret of the set-up stays in the browser', async () => {
    mock.set({ role: 'nobody', setup: 'open' });
    page = await browser.page({ base: mock.url });
    await toSetup(page, 'done');
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state, location.href, document.cookie]));
    for (const secret of ['right-horse-9', 'SAKI-1234', 'JBSWY3DP', 'SKC1-7H2K', 'あいこくしん', 'abandon', '123456']) assert.ok(!kept.includes(secret), secret);
    await page.goBack().catch(() => null); // there may be nothing before it
    assert.ok(!(await page.content()).includes('あいこくしん'), 'going back does not show the words again');
});

test('a wrong set-up code, a refused password and a wrong word are said in plain words', async () => {
    mock.set({ role: 'nobody', setup: 'open' });
    page = await browser.page({ base: mock.url });
    await page.goto('/setup');
    await settled(page);
    await page.locator('input.in').fill('WRONG');
    await button('始める').click();
    await page.getByText('番号がちがいます。あと4回試せます。').waitFor();
    assert.equal(await page.locator('input.in').inputValue(), 'WRONG', 'what was typed stays');
    await toSetup(page, 'director');
    const f = page.locator('form input.in');
    for (const [i, v] of ['見本 花子', 'hanako', 'password1', 'password1'].entries()) await f.nth(i).fill(v);
    await page.locator('button[type=submit]').click();
    await page.getByText('よく使われるパスワードです。ほかのものにしてください。').waitFor();
    mock.reset();
    mock.set({ role: 'nobody', setup: 'open' });
    await toSetup(page, 'confirm');
    for (const i of [0, 1, 2]) await page.locator('form input.in').nth(i).fill('まちがい');
    await button('確かめて終わる').click();
    await page.getByText('言葉がちがいます。番号をもう一度見てください。').first().waitFor();
    assert.equal(await page.locator('[aria-invalid]').count(), 1);
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-invalid') === 'true'); // the focus is on the wrong word
});

test('the sheet must be printed before the words are asked', async () => {
    mock.set({ role: 'nobody', setup: 'open' });
    page = await browser.page({ base: mock.url });
    await toSetup(page, 'sheet');
    await button('次へ').click();
    await page.getByText('印刷してから、印を付けてください。').waitFor();
});

test('the recovery sheet prints on one page with both keys and the card, and the steps to build anew on the next', async () => {
    mock.set({ role: 'nobody', setup: 'open' });
    page = await browser.page({ base: mock.url });
    await toSetup(page, 'sheet');
    assert.equal(await page.locator('.rs-sec .qr, .rs-card .qr').count(), 3);
    assert.equal(await page.locator('.rs-words li').count(), 48);
    assert.equal(pages(await page.pdf({ preferCSSPageSize: true })), 2);
    await page.locator('.rs-guide').evaluate((e) => { e.hidden = true; });
    assert.equal(pages(await page.pdf({ preferCSSPageSize: true })), 1, 'the sheet alone');
});

test('signing in asks for the second factor and then goes where one wanted to go', async () => {
    await open('/machines', { role: 'nobody' });
    await page.waitForURL('**/sign-in?to=*');
    await page.locator('input.in').nth(0).fill('hanako');
    await page.locator('input.in').nth(1).fill('right-horse-9');
    await button('使いはじめる').click();
    await page.locator('.in-6').fill('111111');
    await button('確かめる').click();
    await page.getByText('パスワードか番号がちがいます。あと4回試せます。').waitFor();
    await page.locator('.in-6').fill('123456');
    await button('確かめる').click();
    await page.waitForURL('**/machines');
    await page.getByRole('heading', { name: '機器と保存', level: 1 }).waitFor();
});

test('a code from paper works in place of the phone', async () => {
    await open('/sign-in', { role: 'nobody' });
    await page.locator('input.in').nth(0).fill('hanako');
    await page.locator('input.in').nth(1).fill('right-horse-9');
    await button('使いはじめる').click();
    await button('スマートフォンがないとき').click();
    await page.getByLabel('紙に印刷した番号').fill('abcd-1234');
    await button('確かめる').click();
    await page.waitForURL(mock.url + '/');
    assert.equal(calls('POST', '/session').at(-1).data.one_time, 'abcd-1234');
});

test('an address of another place is never followed after signing in', async () => {
    await open('/sign-in?to=//evil.example/', { role: 'nobody' });
    await page.locator('input.in').nth(0).fill('hanako');
    await page.locator('input.in').nth(1).fill('right-horse-9');
    await button('使いはじめる').click();
    await page.locator('.in-6').fill('123456');
    await button('確かめる').click();
    await page.waitForURL(mock.url + '/');
});

test('the first password must be changed before anything else', async () => {
    await open('/', { must_change: true, role: 'staff' });
    assert.equal(await page.locator('h1').innerText(), '自分のパスワードに変える');
    for (const [i, v] of ['first-one', 'own-horse-7', 'own-horse-7'].entries()) await page.locator('form input.in').nth(i).fill(v);
    await button('このパスワードにする').click();
    await page.getByRole('heading', { name: 'だいじょうぶです' }).waitFor();
    assert.deepEqual(calls('POST', '/session/password')[0].data, { old: 'first-one', new: 'own-horse-7' });
});

test('the menu shows what the role may see', async () => {
    await open('/', { role: 'staff' });
    assert.deepEqual(await page.locator('.nav a').allInnerTexts(), ['きょうの状態', '戻す', 'こまったこと', '箱の外の写し', '保存期間']);
    await page.goto('/machines');
    await settled(page);
    await page.getByText('院長か事務長にたのんでください。').waitFor();
});

test('the counter browser shows Today and the card, and nothing to press', async () => {
    await open('/', { role: 'counter', scenario: 'look' });
    assert.deepEqual(await page.locator('.nav a').allInnerTexts(), ['きょうの状態']);
    assert.equal(await page.locator('.one button').count(), 0);
});

test('Today changes by itself when the box says so', async () => {
    await open('/');
    await page.getByRole('heading', { name: 'だいじょうぶです' }).waitFor();
    mock.set({ scenario: 'call' });
    mock.push('today', {});
    await page.getByRole('heading', { name: 'すぐ電話してください' }).waitFor();
    assert.equal(await page.locator('.state-call').getAttribute('role'), 'alert');
    assert.equal(await page.locator('.tel a').first().getAttribute('href'), 'tel:0000000000');
    assert.match(await page.locator('.lead').innerText(), /止めてあります。\n受付は、紙に切りかえてください。$/);
});

test('the one thing of the day can be done, and says so', async () => {
    await open('/', { scenario: 'look' });
    await button('すみました').click();
    await page.getByText('きょうすることは終わりました').waitFor();
    assert.equal(calls('POST', '/today/tasks/t2')[0].csrf, 'csrf-1');
});

test('an old screen says that it is old, and after ten minutes that nothing is known', async () => {
    await open('/');
    mock.set({ drop: true });
    await page.clock.fastForward(3 * 60_000);
    await page.getByText('この画面は 8:30 のままです').waitFor();
    assert.equal(await page.locator('.state-ok').count(), 1);
    await page.clock.fastForward(8 * 60_000);
    await page.getByRole('heading', { name: 'いまは分かりません' }).waitFor();
    await page.getByText('8:30 には「だいじょうぶです」でした。').waitFor();
    mock.set({ drop: false });
    await page.clock.fastForward(60_000);
    await page.getByRole('heading', { name: 'だいじょうぶです' }).waitFor();
    assert.equal(await page.locator('.ban-wait').count(), 0);
});

test('with the box down the card and its numbers still open', async () => {
    page = await browser.page({ base: mock.url, now: 0, workers: 'allow' });
    await page.goto('/card');
    await page.getByText('電子カルテの業者').first().waitFor();
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    mock.set({ drop: true });
    await page.goto('/card');
    await page.getByText('箱と話せないので').waitFor();
    assert.equal(await page.locator('.c-tel .no').first().innerText(), '00-0000-0000');
    page.problems = [];
});

test('the emergency card prints on exactly one A4 page, in both languages', async () => {
    for (const lang of ['ja', 'en']) {
        await page?.context().close();
        await open('/card', {}, { lang });
        await page.locator('.c-tel tr').nth(4).waitFor();
        const pdf = await page.pdf({ preferCSSPageSize: true });
        assert.equal(pages(pdf), 1, lang);
    }
});

test('a card with many numbers still is one page', async () => {
    await open('/');
    await page.evaluate(async () => {
        const r = await (await fetch('/api/v1/card')).json();
        r.contacts = [...r.contacts, ...r.contacts];
        localStorage.setItem('sakimori.card', JSON.stringify(r));
    });
    mock.set({ role: 'nobody' });
    await page.goto('/card');
    await page.locator('.c-tel tr').nth(8).waitFor();
    assert.equal(pages(await page.pdf({ preferCSSPageSize: true })), 1);
});

test('a test mail says how it went, not that it was asked for', async () => {
    await open('/settings', { mail_fails: true });
    await button('ためしに送る').first().click();
    await page.getByText('送れませんでした').waitFor();
    await page.getByText('Connection refused').waitFor();
    mock.set({ mail_fails: false });
    await page.clock.fastForward(2_000);
    await button('ためしに送る').first().click();
    await page.getByText('に送れました。届いたか見てください。').waitFor();
    assert.equal(await page.getByText('Connection refused').count(), 0);
});

test('every main screen prints without its buttons', async () => {
    await open('/', { scenario: 'call' });
    for (const path of ['/', '/restore', '/trouble/a7'.padEnd(41, '0'), '/machines', '/logs', '/logs/senders', '/people', '/access', '/settings', '/trust-ca']) {
        await page.goto(path);
        await settled(page);
        await page.emulateMedia({ media: 'print' });
        const seen = await page.evaluate(() => [...document.querySelectorAll('.btn:not([href^="tel"]), .nav, .skip')].filter((e) => e.checkVisibility()).length);
        assert.equal(seen, 0, path);
        assert.ok(pages(await page.pdf({ preferCSSPageSize: true })) >= 1, path);
        await page.emulateMedia({ media: 'screen' });
    }
});

test('the whole restore: last clean chosen, safe choices made, unlocked, live progress, result', async () => {
    await open('/restore', { scenario: 'call' });
    assert.equal(await page.locator('.gen.on .flag').innerText(), '最後のきれいな状態');
    await button('この時点に決める').click();
    await page.getByRole('heading', { name: '何を戻しますか' }).waitFor();
    await page.waitForFunction(() => document.activeElement?.id === 'step-title');
    assert.equal(await page.locator('input[name=existing]').first().isChecked(), true);
    await button('次へ').click();
    await page.getByRole('heading', { name: '戻す内容' }).waitFor();
    await button('戻しはじめる').click();
    await page.getByText('わけを短く入れてください。').waitFor();
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-invalid') === 'true'); // typed sooner, the letters would follow the focus
    assert.equal(calls('POST', '/restores').length, 0);
    await page.getByLabel('院長のパスワード').fill('wrong');
    await page.getByLabel('戻すカードの文字').fill('SKC1-7H2K');
    await button('鍵を開ける').click();
    await page.getByText('パスワードかカードがちがいます。あと4回試せます。').waitFor();
    await page.getByLabel('院長のパスワード').fill('right-horse-9');
    await button('鍵を開ける').click();
    await page.getByText('鍵が開いています。').first().waitFor();
    await page.getByLabel('戻すわけ').fill('11月24日の書きかえを戻す');
    await button('戻しはじめる').click();
    await page.waitForURL('**/restore?run=r1');
    await page.getByRole('progressbar').waitFor();
    await page.getByRole('heading', { name: '戻し終わりました' }).waitFor({ timeout: 20_000 });
    await page.getByText('394件を、4分12秒で戻しました。').waitFor();
    await page.getByText('いままであった394件は、消さずに移しました。').waitFor();
    await page.getByText('となりの「フォルダ名.before-restore-時刻」にあります。').waitFor();
    await page.getByText('元のフォルダに戻しました。').waitFor();
    const sent = calls('POST', '/restores')[0].data;
    assert.equal(sent.existing, 'aside');
    assert.equal(sent.target.mode, 'original');
    assert.deepEqual(sent.paths_b64, []);
    assert.equal(sent.suspicious_ok, undefined);
});

test('a suspicious generation needs a second answer', async () => {
    await open('/restore', { scenario: 'call', unlocked: new Date(Date.parse('2026-11-24T08:44:00+09:00')).toISOString() });
    await page.locator('.gen.bad input').check();
    await button('この時点に決める').click();
    await page.getByRole('heading', { name: 'この保存は疑わしいです' }).waitFor();
    await button('最後のきれいな状態をえらぶ').click();
    assert.equal(await page.locator('.gen.on .flag').count(), 1);
    await page.locator('.gen.bad input').check();
    await button('この時点に決める').click();
    await button('それでも、この時点を使う').click();
    await button('次へ').click();
    await page.getByLabel('戻すわけ').fill('調べるため');
    await button('戻しはじめる').click();
    await page.waitForURL('**/restore?run=r1');
    assert.equal(calls('POST', '/restores')[0].data.suspicious_ok, true);
});

test('folders and files are chosen by their bytes, and one file can be downloaded', async () => {
    await open('/restore', { scenario: 'call', unlocked: new Date(Date.parse('2026-11-24T08:44:00+09:00')).toISOString() });
    await button('この時点に決める').click();
    await page.locator('input[name=what]').nth(1).check();
    await page.locator('.files button', { hasText: '/srv/share' }).click();
    await page.getByRole('button', { name: '紹介状' }).waitFor();
    await page.locator('.files li', { hasText: '紹介状' }).locator('input').check();
    await page.locator('.files li', { hasText: '.txt' }).locator('input').check();
    const href = await page.getByRole('link', { name: '予約表.xlsx を受け取る' }).getAttribute('href');
    assert.equal(new URLSearchParams(href.split('?')[1]).get('path_b64'), Buffer.from('/srv/share/予約表.xlsx').toString('base64'));
    await button('次へ').click();
    await page.getByLabel('戻すわけ').fill('試し');
    await button('戻しはじめる').click();
    await page.waitForURL('**/restore?run=r1');
    assert.deepEqual(calls('POST', '/restores')[0].data.paths_b64, [Buffer.from('/srv/share/紹介状').toString('base64'), Buffer.concat([Buffer.from('/srv/share/'), Buffer.from('kLMu', 'base64')]).toString('base64')]);
});

test('a restore can be stopped after a question', async () => {
    await open('/restore?run=r1', { scenario: 'call', restore: { id: 'r1', state: 'running', progress: { files: 10, files_total: 394, bytes: 1e7, bytes_total: 1.5e9 }, set_aside: 0, problems: [], started: '2026-11-23T23:29:00Z', finished: null, ms: null } });
    await button('途中でやめる').click();
    await button('続ける').click();
    assert.equal(calls('POST', '/restores/r1/cancel').length, 0);
    await button('途中でやめる').click();
    await page.locator('dialog').getByRole('button', { name: '途中でやめる' }).click();
    await page.getByRole('heading', { name: '途中でやめました' }).waitFor();
});

test('a run shows its progress live and can be cancelled', async () => {
    await open('/machines/sources');
    await page.getByRole('button', { name: 'いま保存する: 電子カルテのデータ' }).click();
    await page.getByRole('progressbar').waitFor();
    await button('途中でやめる').click();
    await page.getByText('途中でやめました').first().waitFor();
});

test('a second press of the button to keep a copy is no error', async () => {
    await open('/machines/sources');
    const press = page.getByRole('button', { name: 'いま保存する: 電子カルテのデータ' });
    await press.evaluate((b) => { b.click(); b.click(); });
    await page.getByRole('progressbar').waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
    assert.equal(mock.st.calls.filter((c) => c.method === 'POST' && c.path.endsWith('/run')).length, 1);
});

test('a machine joins by a code that is shown with the command to type', async () => {
    await open('/machines');
    await button('機器を加える').click();
    await button('番号を作る').click();
    await page.getByText('名前を入れてください。').waitFor();
    await page.getByLabel('機器の名前').fill('受付パソコン4');
    await button('番号を作る').click();
    await page.getByText('sakimori-agent join https://192.0.2.5:8444').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.activeElement?.textContent === '機器を加える');
});

test('a person gets a first password that is shown once', async () => {
    await open('/people');
    await button('人を加える').click();
    await page.locator('dialog input.in').nth(0).fill('保守 次郎');
    await page.locator('dialog input.in').nth(1).fill('jiro');
    await page.getByRole('radio', { name: /業者/ }).check();
    await button('加える').click();
    await page.getByText('期限の日をえらんでください。').waitFor();
    await page.locator('dialog input[type=date]').fill('2026-12-31');
    await button('加える').click();
    await page.getByText('kumo-7412-hana').waitFor();
    assert.equal(calls('POST', '/people')[0].data.until, '2026-12-31T14:59:59Z');
    await button('渡しました').click();
    assert.equal(await page.getByText('kumo-7412-hana').count(), 0);
});

test('an altered record is said loudly', async () => {
    await open('/access/audit', { tampered: true });
    await button('書きかえがないか確かめる').click();
    await page.getByText('88行目から、記録が合いません').waitFor();
    assert.equal(await page.locator('.ban-call').getAttribute('role'), 'alert');
});

test('an alarm is closed only with a note and after a question', async () => {
    await open('/trouble', { scenario: 'call' });
    await page.getByRole('link', { name: 'ファイル置き場で、ファイルが次々に書きかえられました' }).click();
    await button('この件を終わりにする').click();
    await page.locator('dialog').getByRole('button', { name: 'この件を終わりにする' }).click();
    await page.getByText('したことを短く入れてください。').waitFor();
    await page.getByLabel('したこと・分かったこと').fill('業者が確かめた');
    await button('この件を終わりにする').click();
    await page.locator('dialog').getByRole('button', { name: 'この件を終わりにする' }).click();
    await page.waitForURL('**/trouble');
    assert.deepEqual(calls('POST', '/alarms/' + 'a7'.padEnd(32, '0')).map((c) => c.data), [{ action: 'close', note: '業者が確かめた' }]);
});

test('a mark in the drawing has the number that it has in the list, on a narrow screen too', async () => {
    await open('/trouble/' + 'b7'.padEnd(32, '0'), { incident: true, long: true }, { width: 360 });
    await page.locator('ol.flow > li').nth(11).waitFor();
    const numbers = async (size) => (await page.locator(`.tl-${size} svg g > text[text-anchor=middle]`).allTextContents()).filter((x) => /^\d+$/.test(x));
    assert.deepEqual(await numbers('s'), ['7', '8', '9', '10', '11', '12']);
    assert.deepEqual((await numbers('l')).length, 12);
});

test('an incident tells its story in order, and a false alarm is learnt with its reason', async () => {
    await open('/trouble', { incident: true });
    await page.getByRole('link', { name: 'reception-1で、守りや記録が止められました。' }).click();
    await page.getByText('第7号').waitFor();
    const flow = page.locator('ol.flow > li');
    assert.equal(await flow.count(), 4);
    assert.match(await flow.first().innerText(), /hoshu が5回失敗したあと/);
    assert.match(await page.locator('ol.next > li').first().innerText(), /その機器の線を抜く/);
    await page.locator('summary').click();
    await page.getByText('作者: Nasreddine').waitFor();
    await page.getByRole('button', { name: 'まちがいと覚えさせる' }).nth(2).click();
    const dialog = page.locator('dialog');
    await dialog.getByRole('button', { name: '静かにする' }).click();
    await dialog.getByText('わけを短く入れてください。').waitFor();
    await dialog.getByLabel('まちがいと分かったわけ').fill('資産管理の点検');
    await dialog.getByRole('button', { name: '静かにする' }).click();
    await page.getByText('まちがいとして静かにしたもの').waitFor();
    assert.deepEqual(calls('POST', '/signals/3/false-alarm').map((c) => c.data), [{ why: '資産管理の点検' }]);
    assert.equal(await flow.count(), 3);
});

test('remote maintenance is booked in Japan time and can be ended', async () => {
    await open('/trouble/maintenance');
    await page.getByLabel('どの業者か').fill('カルテ社');
    await button('この予定を入れる').click();
    await page.getByText('業者、目的、始まり、終わりを入れてください。').waitFor();
    await page.getByLabel('何をするか').fill('点検');
    await page.getByLabel('始まり').fill('2026-12-01T13:00');
    await page.getByLabel('終わり', { exact: true }).fill('2026-12-01T15:00');
    await page.getByLabel('相手のアドレス').fill('192.0.2.0/24');
    await button('この予定を入れる').click();
    await page.getByText('予定を入れました').waitFor();
    assert.deepEqual(calls('POST', '/maintenance').map((c) => c.data), [{ vendor: 'カルテ社', purpose: '点検', from: '2026-12-01T13:00:00+09:00', until: '2026-12-01T15:00:00+09:00', address: '192.0.2.0/24' }]);
    await button('いま終わりにする: カルテ社').click();
    await page.locator('dialog').getByRole('button', { name: 'いま終わりにする' }).click();
    await page.waitForFunction(() => !document.querySelector('dialog'));
    assert.equal(calls('DELETE', '/maintenance/' + 'm1'.padEnd(32, '0')).length, 1);
});

test('a step of a playbook is done, and a playbook is made, tried and switched off', async () => {
    await open('/trouble/' + 'b7'.padEnd(32, '0'), { incident: true });
    await button('行う: 203.0.113.9 を入口で止めます').click();
    await page.getByText('diagnose user banned-ip add src4 203.0.113.9').waitFor();
    await button('しました、と記録する: 203.0.113.9 を入口で止めます').click();
    await page.getByText('元に戻す').first().waitFor();
    assert.deepEqual(calls('POST', '/responses/2').map((c) => c.data), [{ do: 'run' }, { do: 'done' }]);
    await open('/trouble/playbooks', { incident: true });
    await button('試す: 外から入られたとき').click();
    await page.locator('dialog').getByRole('button', { name: '試す', exact: true }).click();
    await page.getByText('第7号に合います。').waitFor();
    await page.keyboard.press('Escape');
    await page.getByLabel('名前').fill('夜に入られたとき');
    await button('手順を増やす').click();
    await page.getByLabel('すること').nth(1).selectOption('mail');
    await button('この決めごとを作る').click();
    await page.getByText('名前と、手順の空いている所を入れてください。').waitFor();
    await page.getByLabel('宛先(,で区切る)').fill('a@example.jp');
    await page.getByLabel('動き方').nth(1).selectOption('auto');
    await button('この決めごとを作る').click();
    await page.getByText('作りました').waitFor();
    assert.deepEqual(calls('POST', '/playbooks').map((c) => c.data), [{ name: '夜に入られたとき', when: { severity: ['call'] }, steps: [{ action: 'freeze-vault', mode: 'click', params: {} }, { action: 'mail', mode: 'auto', params: { to: 'a@example.jp' } }] }]);
    const off = page.waitForResponse((r) => r.request().method() === 'PATCH');
    await button('止める: 外から入られたとき').click();
    await off;
    assert.deepEqual(calls('PATCH', '/playbooks/' + 'p1'.padEnd(32, '0')).map((c) => c.data), [{ enabled: false }]);
});

test('a rule is found, switched off with a reason and tuned, by keyboard alone', async () => {
    await open('/rules');
    const find = page.getByLabel('名前、番号、作者でさがす');
    await find.focus();
    await page.keyboard.type('LSASS');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelectorAll('.tbl tbody tr th a').length === 1);
    await page.getByRole('link', { name: 'LSASS Memory Dump by a Signed Tool' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/rules/r1');
    await page.getByText('Florian Roth').first().waitFor();
    await button('止める').focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    await page.locator('dialog button[type=submit]').focus();
    await page.keyboard.press('Enter');
    await page.getByText('理由を入れてください。').waitFor();
    await page.locator('dialog input').focus();
    await page.keyboard.type('点検中');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => !document.querySelector('dialog'));
    await page.getByText('この決まりは止めています。').waitFor();
    assert.deepEqual(calls('PATCH', '/rules/r1').map((c) => c.data), [{ on: false, why: '点検中' }]);
    await button('使う').focus();
    await page.keyboard.press('Enter');
    await page.getByText('この決まりで見張っています。').waitFor();
    await button('除く条件を足す').focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('項目の名前').focus();
    await page.keyboard.type('ParentImage');
    await page.getByLabel('比べ方').selectOption('endswith');
    await page.getByLabel('値(1行に1つ。どれかが合えばよい)').focus();
    await page.keyboard.type('a.exe\nb.exe');
    await page.getByLabel('理由').focus();
    await page.keyboard.type('点検の道具');
    await page.keyboard.press('Enter');
    await page.getByText('除く条件を足しました').waitFor();
    assert.deepEqual(calls('POST', '/rules/r1/filters').map((c) => c.data), [{ conditions: [{ field: 'ParentImage', modifier: 'endswith', values: ['a.exe', 'b.exe'] }], why: '点検の道具' }]);
    await page.getByLabel('1件の記録').focus();
    await page.keyboard.type('procdump -ma lsass.exe');
    await button('試す').focus();
    await page.keyboard.press('Enter');
    await page.getByText('当たります').waitFor();
    assert.deepEqual(calls('POST', '/rules/test').map((c) => c.data), [{ rule: 'r1', line: 'procdump -ma lsass.exe' }]);
});

test('an older bundle goes in by an explicit word only, and the one before is put back', async () => {
    await open('/rules');
    await page.waitForSelector('input[type=file]');
    await page.locator('input[type=file]').setInputFiles({ name: 'a.skrules', mimeType: 'application/zstd', buffer: Buffer.alloc(150_000, 7) });
    await page.locator('dialog').getByRole('button', { name: '古い束でも入れる' }).click();
    await page.getByText('新しい束を入れました').waitFor();
    assert.deepEqual(calls('POST', '/rule-bundle').map((c) => c.data), [{ older: false }, { older: true }]);
    const parts = calls('POST', '/rule-bundle/part').map((c) => c.data);
    assert.deepEqual(parts.map((p) => [p.offset, p.total, Buffer.from(p.data, 'base64').length]), [[0, 150_000, 98_304], [98_304, 150_000, 51_696]]);
    await button('1つ前の束にもどす').click();
    await page.locator('dialog').getByRole('button', { name: '1つ前の束にもどす' }).click();
    await page.getByText('1つ前の束にもどしました').waitFor();
    assert.equal(calls('POST', '/rule-bundle/back').length, 1);
});

test('a rule that is not right is not kept, and says where', async () => {
    await open('/rules/new');
    await page.getByLabel('決まり(YAML)').fill('title: x\nnosuch: 1');
    await button('使いはじめる').click();
    await page.getByText('9行目:modifier nosuch is not known').waitFor();
    await page.getByLabel('決まり(YAML)').fill('title: y\nid: r5');
    await button('調べる').click();
    await page.getByText('このまま使えます').waitFor();
    await button('使いはじめる').click();
    await page.waitForURL('**/rules/r5');
    assert.deepEqual(calls('POST', '/own-rules').map((c) => c.data.text), ['title: x\nnosuch: 1', 'title: y\nid: r5']);
});

test('the director signs a month once, with the password', async () => {
    await open('/review');
    await page.getByRole('link', { name: '2026年10月' }).click();
    await page.getByText('知らせ 52件').waitFor();
    await page.getByLabel('パスワードをもう一度').fill('wrong');
    await button('見ました。署名します').click();
    await page.locator('form [role=alert], form .err, form .ban-look, form .ban-call').first().waitFor();
    await page.getByLabel('パスワードをもう一度').fill('right-horse-9');
    await button('見ました。署名します').click();
    await page.getByText('記録の番号').waitFor();
    assert.equal(calls('POST', '/reviews/2026-10/sign').length, 2);
    assert.equal(await page.getByRole('button', { name: '見ました。署名します' }).count(), 0);
});

test('what is kept quiet is listed and taken back', async () => {
    await open('/trouble/quiet');
    await page.getByText('静かにした回数: 12').waitFor();
    const gone = page.waitForResponse((r) => r.request().method() === 'DELETE');
    await button('また知らせる: 夜に大きな通信').click();
    await gone;
    assert.equal(calls('DELETE', '/signal-filters/3').length, 1);
});

test('a frozen rotation is let go as our own change or after an attack, and each says what becomes of the bad copies', async () => {
    for (const [name, title, says, ours] of [
        ['心当たりのある変化でした', '心当たりのある変化でしたか', '疑わしい保存も、きれいな保存として扱います', true],
        ['攻撃の後かたづけが終わりました', '攻撃の後かたづけは終わりましたか', '悪い保存は、疑わしいまま残ります', false]]) {
        await page?.context().close();
        mock.reset();
        await open('/trouble/' + 'a7'.padEnd(32, '0'), { scenario: 'call' });
        await page.getByLabel('したこと・分かったこと').fill('業者が確かめた');
        await button(name).click();
        const dialog = page.getByRole('dialog', { name: title });
        await dialog.getByText(says).waitFor();
        await dialog.getByRole('button', { name, exact: true }).click();
        await page.waitForURL('**/trouble');
        assert.deepEqual(calls('POST', '/alarms/' + 'a7'.padEnd(32, '0')).map((c) => c.data), [{ action: 'thaw', note: '業者が確かめた', false_alarm: ours }]);
    }
});

test('on the first day Today says since today and not 0 days', async () => {
    await open('/', { keptDays: 0 });
    await page.getByText('きょうの分から').waitFor();
    assert.equal(await page.getByText('0日前').count(), 0);
});

/* The answer of the mock, changed on its way. */
const changed = async (path, change) => {
    page = await browser.page({ base: mock.url });
    await page.route((u) => u.pathname === '/api/v1' + path, async (r) => {
        const got = await r.fetch();
        const j = await got.json();
        change(j);
        await r.fulfill({ response: got, json: j });
    });
};

test('with nothing to do today no heading counts a thing to do', async () => {
    await changed('/today', (j) => { j.one = null; });
    await page.goto('/');
    await page.getByText('きょうすることは、ありません').waitFor();
    assert.equal(await page.locator('#one').innerText(), 'きょうすること');
    assert.equal(await page.getByText('きょうすること 1つ').count(), 0);
});

test('something to look at that is no task is never nothing to do', async () => {
    mock.set({ scenario: 'look' });
    await changed('/today', (j) => { j.one = null; });
    await page.goto('/');
    await page.locator('.one h3').getByText('受付パソコン2 11月22日から').waitFor();
    assert.equal(await page.getByText('きょうすることは、ありません').count(), 0);
});

test('an order that waits is called without paper and without what not to do', async () => {
    mock.set({ scenario: 'call' });
    await changed('/today', (j) => { Object.assign(j, { paper: false, dont: [], safe: null, lead: '心当たりがなければ、すぐ業者に電話してください。' }); });
    await page.goto('/');
    await page.getByRole('heading', { name: 'すぐ電話してください' }).waitFor();
    assert.equal(await page.getByText('受付は、紙に切りかえてください。').count(), 0);
    assert.equal(await page.getByText('しないでください').count(), 0);
});

test('a place that was never saved has no green tick', async () => {
    await changed('/sources', (j) => { for (const s of j.items) Object.assign(s, { last: null, state: 'ok' }); });
    await page.goto('/machines/sources');
    await page.getByText('まだ保存していません').first().waitFor();
    assert.equal(await page.locator('.src .badge-ok').count(), 0);
});

test('the report of a drill prints without the red banner, with its full date', async () => {
    mock.set({ scenario: 'call' });
    await changed('/drills/d1', (j) => { j.finished = '2026-11-23T22:10:00Z'; });
    await page.goto('/machines/drills/d1');
    await settled(page);
    await page.locator('.bans .ban-call').waitFor();
    await page.emulateMedia({ media: 'print' });
    assert.equal(await page.locator('.bans').isVisible(), false);
    assert.equal(await page.getByText('令和8年(2026年) 11月24日(火) 7:10').isVisible(), true);
    assert.doesNotMatch(await page.locator('#main').innerText(), /きょう|きのう/);
});

test('the keyboard walks the console', async () => {
    await open('/');
    await page.keyboard.press('Tab');
    await page.waitForFunction(() => document.activeElement?.textContent === '本文へ移動');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement?.id === 'main');
    for (const [key, path] of [['r', '/restore'], ['i', '/trouble'], ['m', '/machines'], ['u', '/people'], ['a', '/access'], ['s', '/settings'], ['t', '/']]) {
        await page.keyboard.press('g');
        await page.keyboard.press(key);
        await page.waitForURL(mock.url + path);
        await settled(page);
        await page.waitForFunction(() => document.activeElement?.tagName === 'H1');
    }
    await page.keyboard.press('g');
    await page.keyboard.press('m');
    await page.locator('[data-row]').first().waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.waitForFunction(() => [...document.querySelectorAll('[data-row]')].indexOf(document.activeElement) === 1);
    await page.keyboard.press('/');
    await page.waitForFunction(() => document.activeElement?.type === 'search');
    await page.keyboard.type('gt');
    assert.ok(page.url().endsWith('/machines'), 'letters inside a field are only text');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'キーの一覧' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('f');
    await page.waitForFunction(() => document.activeElement?.closest('.seg') !== null === true);
    await page.keyboard.press('e');
    await page.waitForURL('**/card');
});

test('single letters can be switched off', async () => {
    await open('/');
    await page.keyboard.press('?');
    await page.getByLabel('1文字のキーを使う').uncheck();
    await page.keyboard.press('Escape');
    await page.keyboard.press('e');
    await page.keyboard.press('?');
    assert.equal(await page.locator('dialog').count(), 0);
    assert.equal(page.url(), mock.url + '/');
});

test('restore can be walked with the keyboard alone', async () => {
    await open('/restore', { scenario: 'call' });
    await page.locator('.gen input:checked').focus();
    await page.keyboard.press('ArrowDown');
    await page.waitForFunction(() => document.querySelector('.gen.on .gen-t')?.textContent === 'きょう 3:10');
    await page.keyboard.press('ArrowUp');
    await page.waitForFunction(() => document.querySelector('.gen.on .flag'));
    for (let i = 0; i < 6 && (await page.evaluate(() => document.activeElement?.textContent)) !== 'この時点に決める'; i++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: '何を戻しますか' }).waitFor();
});

test('the language changes at once and stays', async () => {
    await open('/');
    await button('English').click();
    await page.getByRole('heading', { name: 'All is well' }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    await page.reload();
    await page.getByRole('heading', { name: 'All is well' }).waitFor();
});

test('when the session ends in the middle, one is told and comes back to the same place', async () => {
    await open('/machines');
    mock.set({ role: 'nobody' });
    await page.locator('.nav a', { hasText: '使う人' }).click();
    await page.getByText('しばらく使わなかったので、いちど閉じました').waitFor();
    assert.match(page.url(), /to=%2Fpeople/);
});

test('the contract is kept: every change carries the token, and nothing goes to another host', async () => {
    const hosts = new Set();
    await open('/settings');
    page.on('request', (r) => hosts.add(new URL(r.url()).host));
    await button('電話する相手を決める').click();
    await page.getByText('緊急カードを印刷し直してください。').waitFor();
    assert.equal(calls('PUT', '/contacts')[0].csrf, 'csrf-1');
    assert.equal(calls('PUT', '/contacts')[0].data.items.length, 5);
    for (const path of ['/', '/restore', '/machines/box']) { await page.goto(path); await settled(page); }
    assert.deepEqual([...hosts], [new URL(mock.url).host]);
});

/** Pages of a PDF, counted by their objects. */
function pages(pdf) { return (pdf.toString('latin1').match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length; }

test('a director who lost everything gets in by keyboard, sees phone key and codes once, and is led to a new card', async () => {
    await open('/sign-in', { role: 'nobody' });
    await page.locator('summary', { hasText: 'なくしたとき' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/recovery');
    await fillRecovery(page, 'たりない ことば');
    await page.waitForSelector('textarea[aria-invalid]');
    await page.waitForFunction(() => document.activeElement?.tagName === 'TEXTAREA');
    assert.match(await page.locator('.field', { has: page.locator('textarea') }).innerText(), /あと4回/);
    await page.locator('textarea').fill(Array(24).fill('あさひ').join('\n'));
    await page.keyboard.press('Tab');
    await page.locator('button[type=submit]').focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('.codes');
    assert.equal(await page.locator('h1').innerText(), '新しいパスワードになりました');
    assert.equal(await page.locator('.codes li').count(), 10);
    assert.equal(await page.locator('img.qr').count(), 1);
    const sent = calls('POST', '/recovery').at(-1).data;
    assert.deepEqual(Object.keys(sent).sort(), ['account', 'password', 'words']);
    assert.equal(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]).includes('あさひ')), false, 'no word is kept');
    await page.getByRole('link', { name: '名前を入れて使う' }).click();
    await page.waitForURL('**/sign-in?to=%2Frestore-card');
    const ins = page.locator('form input.in');
    await ins.nth(0).fill('hanako');
    await ins.nth(1).fill('right-horse-9');
    await page.locator('button[type=submit]').click();
    await page.locator('input.in-6').fill('123456');
    await page.locator('button[type=submit]').click();
    await page.waitForURL('**/restore-card');
    await settled(page);
    assert.match(await page.locator('#main').innerText(), /いまの戻すカードは、使えません[\s\S]*sakimori restore-card new/);
});

test('the responsible person and the deputy are changed in the settings', async () => {
    await open('/settings');
    const part = (name) => page.locator('section', { has: page.getByRole('heading', { name, exact: true, level: 3 }) });
    await part('安全管理の責任者').locator('input').nth(0).fill('');
    const form = page.locator('form', { has: page.getByRole('heading', { name: '医院', exact: true }) });
    await form.getByRole('button', { name: '変更を残す' }).click();
    await part('安全管理の責任者').locator('[aria-invalid=true]').waitFor();
    assert.equal(calls('PATCH', '/settings').length, 0, 'somebody must be named');
    await part('安全管理の責任者').locator('input').nth(0).fill('見本 次郎');
    await part('責任者がいないときの代わりの人').locator('input').nth(2).fill('090-0000-0009');
    await form.getByRole('button', { name: '変更を残す' }).click();
    await form.getByText('残しました').waitFor();
    const { institution } = calls('PATCH', '/settings')[0].data;
    assert.deepEqual(institution.responsible, { name: '見本 次郎', title: '院長', phone: '' });
    assert.deepEqual(institution.deputy, { name: '見本 太郎', title: '事務長', phone: '090-0000-0009' });
});

test('the code of the second step is typed without looking, and no letter is a shortcut before the sign-in is complete', async () => {
    await open('/machines', { role: 'nobody' });
    await page.waitForURL('**/sign-in?to=*');
    await page.locator('h1').click();
    await page.keyboard.press('e');
    await page.keyboard.press('?');
    assert.match(page.url(), /sign-in/);
    assert.equal(await page.locator('dialog[open]').count(), 0);
    await page.locator('input.in').nth(0).fill('hanako');
    await page.locator('input.in').nth(1).fill('right-horse-9');
    await page.keyboard.press('Enter');
    await page.locator('.in-6').waitFor();
    await page.keyboard.type('123456');
    assert.equal(await page.locator('.in-6').inputValue(), '123456');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/machines');
});

test('a director whose password does not go with the card is not asked for it', async () => {
    await open('/settings');
    await page.locator('summary', { hasText: 'パスワードを変える' }).click();
    assert.equal(await page.getByLabel('戻すカードの文字').count(), 1);
    await page.getByRole('link', { name: '戻すカードをなくしたとき' }).click();
    await page.waitForURL('**/restore-card');
    await page.context().close();
    await open('/settings', { needsCard: false });
    await page.locator('summary', { hasText: 'パスワードを変える' }).click();
    assert.equal(await page.getByLabel('戻すカードの文字').count(), 0);
});

test('the page of the restore card is for directors', async () => {
    await open('/restore-card', { role: 'manager' });
    assert.doesNotMatch(await page.locator('#main').innerText(), /restore-card new/);
});

test('an order to delete is stopped by the staff, with a reason, and a dry run tells in words', async () => {
    await open('/retention', { role: 'staff' });
    await page.getByText('保存2回を早く消す').waitFor();
    await page.getByRole('button', { name: 'この命令を止める' }).first().click();
    await page.locator('dialog').getByRole('button', { name: 'この命令を止める' }).click();
    await page.getByText('理由を短く入れてください。').waitFor();
    await page.locator('dialog input').fill('心当たりがない');
    await page.locator('dialog').getByRole('button', { name: 'この命令を止める' }).click();
    await page.getByText('命令を止めました。').waitFor();
    await page.getByText(/hanako が止めました/).waitFor();
    assert.equal(await page.getByRole('button', { name: 'いま整理する' }).count(), 0);
    await open('/retention', { role: 'director' });
    await page.getByRole('button', { name: '何が消えるか見る' }).click();
    await page.getByText('まだ何も変えていません。').waitFor();
});

test('the picture of retention says in its table what it draws', async () => {
    await open('/retention', { role: 'director' });
    await page.locator('.fig svg[role=img]').first().waitFor({ state: 'attached' });
    await page.locator('main summary').first().click();
    const rows = await page.locator('main table tbody tr').count();
    assert.match(await page.locator('.fig svg[role=img]').first().getAttribute('aria-label'), new RegExp(`保存${rows}回`));
});

test('a copy is started, stopped, changed, and given up only after a question', async () => {
    await open('/copies');
    await button('今すぐ写す').first().click();
    await page.getByText('写しています', { exact: true }).first().waitFor();
    assert.equal(calls('POST', '/copies/c2/run').length, 1);
    await button('途中でやめる').click();
    assert.equal(calls('POST', '/copies/c2/cancel').length, 1);
    await page.locator('details summary').first().click();
    await page.locator('details input[inputmode=numeric]').fill('500');
    await button('変更を残す').click();
    await page.getByText('1から400の数を入れてください。').waitFor();
    await page.locator('details input[inputmode=numeric]').fill('30');
    await button('変更を残す').click();
    assert.equal(calls('PATCH', '/copies/c1')[0].data.max_days, 30);
    await button('この写しをやめる').click();
    await page.waitForSelector('dialog[open]');
    assert.equal(calls('DELETE', '/copies/c1').length, 0);
    await page.locator('dialog').getByRole('button', { name: 'この写しをやめる' }).click();
    await page.getByText('箱の外の写しが、まだありません').waitFor();
    assert.equal(calls('DELETE', '/copies/c1').length, 1);
});

test('a vendor sees the copies and starts none', async () => {
    await open('/copies', { role: 'vendor' });
    await page.getByText('赤いディスク', { exact: true }).waitFor();
    assert.equal(await button('今すぐ写す').count(), 0);
});

/* ---- logs ---- */

test('logs are searched, narrowed by a bar, a field left out, all by keyboard', async () => {
    await open('/trouble', { role: 'manager' });
    await page.getByRole('link', { name: '記録をさがす' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/logs');
    assert.equal(await page.locator('.nav a[aria-current=page]').innerText(), 'こまったこと', 'no entry of its own in the menu');
    await page.locator('.events li').first().waitFor();
    await page.locator('h1').focus();
    await page.keyboard.press('/');
    await page.waitForFunction(() => document.activeElement?.getAttribute('type') === 'search');
    await page.keyboard.type('vpn');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/logs?q=vpn&span=24h');
    await page.locator('.tl-l .histo-bar').first().waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('type')), 'search', 'the focus stays where it was');
    const bars = page.locator('.tl-l .histo-bar');
    await page.waitForFunction(() => document.querySelectorAll('.tl-l .histo-bar[tabindex="0"]').length === 1); // one stop of the tab key; the drawing before it may still be going
    await page.locator('.tl-l .histo-bar[tabindex="0"]').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction(() => document.activeElement === document.querySelectorAll('.tl-l .histo-bar')[1]);
    const name = await bars.nth(1).getAttribute('aria-label');
    await page.keyboard.press('Enter');
    await page.waitForURL(/span=fixed/);
    const q = new URL(page.url()).searchParams;
    assert.equal(q.get('q'), 'vpn');
    assert.match(name, /11月23日\(月\) 9:30 〜 11月23日\(月\) 10:30/);
    assert.equal(q.get('from'), '2026-11-23T00:30:00.000Z');
    assert.equal(q.get('until'), '2026-11-23T01:30:00.000Z');
    await page.locator('.ev').nth(3).focus();
    await page.keyboard.press('Enter');
    await page.locator('.ev-f').waitFor();
    assert.match(await page.locator('.ev-in .raw').first().innerText(), /login-failed/);
    await page.getByRole('button', { name: 'のぞく: src_ip 203.0.113.9', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL((u) => u.searchParams.get('q') === 'vpn -src_ip=203.0.113.9');
    await page.waitForFunction(() => document.querySelector('input[type=search]')?.value === 'vpn -src_ip=203.0.113.9');
});

test('a query that is none is said in words, with the place, and what was typed stays', async () => {
    await open('/logs', { role: 'manager' });
    await page.locator('input[type=search]').fill('(vpn OR 失敗');
    await button('さがす').click();
    await page.getByText('検索の文の 7 文字目').waitFor();
    assert.equal(await page.locator('.q-bad').innerText(), 'R 失敗');
    await page.locator('input[type=search][aria-invalid=true]').waitFor();
    assert.equal(await page.locator('input[type=search]').inputValue(), '(vpn OR 失敗');
});

test('a long search says how far it is and can be stopped and gone on with', async () => {
    await open('/logs', { role: 'manager', slow: 1e6 });
    await page.getByText('までさがしました').waitFor();
    await button('さがすのをやめる').click();
    await page.getByText('まででやめました').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('.events li').length === 1);
    mock.set({ slow: 0 });
    await button('続きをさがす').click();
    await page.getByText('51件を出しています').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('.events li').length === 51);
    await button('古いものをもっと見る').click();
    await page.getByText('101件を出しています').waitFor();
});

test('a search is saved, used and removed', async () => {
    await open('/logs?q=vpn&span=7d', { role: 'manager' });
    await page.locator('.events li').first().waitFor();
    await button('この検索を残す').click();
    await button('残す').click();
    await page.getByText('名前を入れてください。').waitFor();
    await page.getByLabel('検索の名前').fill('VPN の失敗');
    await button('残す').click();
    await page.getByText('同じ名前の検索が、もうあります。').waitFor();
    await page.getByLabel('検索の名前').fill('今週の VPN');
    await button('残す').click();
    await page.getByText('「今週の VPN」を残しました').waitFor();
    assert.deepEqual(calls('POST', '/logs/saved').at(-1).data, { name: '今週の VPN', q: 'vpn', span: '7d' });
    await page.locator('summary', { hasText: '残した検索' }).click();
    await page.getByRole('button', { name: '使う: 夜の受付' }).click();
    await page.waitForURL((u) => u.searchParams.get('span') === 'fixed' && u.searchParams.get('q') === 'host:pc-1 -@service:cron');
    await page.getByRole('button', { name: '除く: 夜の受付' }).click();
    await page.locator('dialog').getByRole('button', { name: '除く', exact: true }).click();
    await page.getByRole('button', { name: '使う: 夜の受付' }).waitFor({ state: 'detached' });
    assert.equal(calls('DELETE', '/logs/saved/q2').length, 1);
});

test('an export is fetched piece by piece and says what CP932 lacks', async () => {
    await open('/logs', { role: 'manager' });
    await page.locator('.events li').first().waitFor();
    await button('表にして取り出す').click();
    await page.getByText('古いソフト用(CP932)').click();
    const [file] = await Promise.all([page.waitForEvent('download'), button('取り出す').click()]);
    const { readFileSync } = await import('node:fs');
    const bytes = readFileSync(await file.path());
    assert.equal(bytes.toString('hex'), '8ab38ed22c3f0d0a'.repeat(2), 'both pieces, byte for byte');
    assert.match(file.suggestedFilename(), /^sakimori-logs-20261124-\d{4}\.csv$/);
    await page.getByText('4件を取り出しました。').waitFor();
    await page.getByText('CP932 で使えない 2文字を、? にしました。').waitFor();
});

test('senders say in words how they are; one is confirmed, a door shut, a class put on hold', async () => {
    await open('/logs/senders', { role: 'manager' });
    for (const words of ['1日のあいだ、記録が来ていません', '受け取れなかったものが 5,120件あります', '読み方の分からないものが 46% あります', '時計が 1時間30分 ずれています', 'まだ確かめていません', '順調に届いています']) await page.getByText(words).first().waitFor();
    await page.getByRole('button', { name: '確かめる・変える: nas-01' }).click();
    await page.getByLabel('呼び名').fill('ファイル置き場');
    await page.getByLabel('読み方(空なら自動)').fill('abc');
    await button('この内容で確かめた').click();
    await page.getByText('知られていない名前です。').waitFor();
    await page.getByLabel('読み方(空なら自動)').fill('');
    await button('この内容で確かめた').click();
    await page.getByText('「ファイル置き場」を確かめました').waitFor();
    assert.deepEqual(calls('PATCH', '/logs/sources/13').at(-1).data, { state: 'ok', name: 'ファイル置き場', silent_s: 86400, class: 0, format: '', encoding: '' });
    await page.getByRole('button', { name: '閉じる: UDP' }).click();
    await page.locator('dialog').getByRole('button', { name: '閉じる', exact: true }).click();
    await page.getByRole('button', { name: '開ける: UDP' }).waitFor();
    assert.deepEqual(calls('PATCH', '/logs/doors/udp')[0].data, { on: false });
    await page.getByText('解くのは院長です。').waitFor();
    await page.getByRole('button', { name: '消さないと決める: ふつう' }).click();
    await page.locator('dialog').getByRole('button', { name: '消さないと決める', exact: true }).click();
    await page.getByText('理由を入れてください。').waitFor();
    await page.locator('dialog').getByLabel('理由').fill('調べのため');
    await page.locator('dialog').getByRole('button', { name: '消さないと決める', exact: true }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.deepEqual(calls('POST', '/logs/classes/0/hold')[0].data, { why: '調べのため' });
    await page.getByText('FortiGate', { exact: true }).click();
    await page.getByText('set server "192.0.2.10"').waitFor();
});

test('the vendor sees senders but no logs, and reception neither', async () => {
    await open('/logs/senders', { role: 'vendor' });
    await page.getByText('受付のルーター').first().waitFor();
    assert.equal(await page.getByRole('button', { name: /確かめる・変える|閉じる: |消さないと決める/ }).count(), 0);
    await page.goto('/logs');
    await page.getByRole('heading', { name: 'この画面は' }).or(page.locator('.empty')).first().waitFor();
    assert.equal(await page.locator('.events').count(), 0);
    await page.context().close();
    await open('/logs', { role: 'staff' });
    await page.locator('.empty').waitFor();
    assert.equal(calls('GET', '/logs/search').length, 0);
});
