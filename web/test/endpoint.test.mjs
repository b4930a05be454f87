// The ways through the screens of guarded machines, in a real browser against the mock of the API.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startMock } from '../mock/server.mjs';
import { settled, startBrowser } from './lib.mjs';

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
const pages = (pdf) => pdf.toString('latin1').match(/\/Type\s*\/Page\b(?!s)/g)?.length ?? 0;

test('where no machine is guarded, the menu says nothing of it and a machine has no such part', async () => {
    await open('/machines/d6', { unguarded: true });
    await page.getByRole('heading', { name: 'この機器が送る記録' }).waitFor();
    assert.equal(await page.locator('.nav a', { hasText: '守り' }).count(), 0);
    assert.equal(await page.getByRole('heading', { name: 'そなえの点数' }).count(), 0);
    await page.goto('/findings');
    await page.getByText('この画面を使えるのは、ほかの役の人です').first().waitFor();
});

test('a machine is cut off only after a question that says what goes on working and when it ends', async () => {
    await open('/machines/d6');
    await button('つなぎを切りはなす').click();
    const d = page.locator('dialog[open]');
    for (const words of ['この箱との連絡と、保存', '印刷、共有フォルダー、インターネット', '時間が来ると、ひとりでに元に戻ります。']) await d.getByText(words).waitFor();
    await d.getByRole('button', { name: 'やめておく' }).click();
    assert.equal(calls('POST', '/devices/d6/actions').length, 0, 'leaving it does nothing');
    await button('つなぎを切りはなす').click();
    await page.locator('dialog[open]').getByText('1時間', { exact: true }).click();
    await page.locator('dialog[open] button[type=submit]').click();
    await page.locator('dialog[open]').waitFor({ state: 'detached' });
    assert.deepEqual(calls('POST', '/devices/d6/actions')[0].data, { action: 'isolate', args: {}, for_s: 3600 });
    await page.getByText('機器にたのみました').waitFor();
    await page.locator('li', { hasText: '伝えました。返事を待っています' }).first().waitFor();
});

test('what was done can be taken back from the list', async () => {
    await open('/machines/d6');
    const row = page.locator('li', { hasText: '203.0.113.44' });
    await row.getByRole('button', { name: '取り消す: 相手をふさぐ' }).click();
    await page.locator('dialog[open] button[type=submit]').click();
    await page.locator('dialog[open]').waitFor({ state: 'detached' });
    assert.deepEqual(calls('POST', '/devices/d6/actions')[0].data, { action: 'unblock_address', args: { to: '203.0.113.44' } });
    await page.waitForFunction(() => !document.querySelector('[aria-label="取り消す: 相手をふさぐ"]'));
});

test('an evidence pack is taken in pieces and becomes one file', async () => {
    await open('/machines/d6');
    const [file] = await Promise.all([page.waitForEvent('download'), button('証拠を受け取る').click()]);
    assert.equal(file.suggestedFilename(), 'sakimori-evidence-e1.tar.zst');
    assert.equal((await readFile(await file.path())).length, 9000);
});

test('the vendor cuts off, scans and collects, but blocks nothing and decides nothing', async () => {
    await open('/machines/d6', { role: 'vendor' });
    await button('証拠を集める').waitFor();
    assert.equal(await button('相手をふさぐ').count(), 0);
    await page.goto('/findings/f1');
    await page.getByText('止める・調べるは、院長と事務長が使えます。').waitFor();
    assert.equal(await button('完全に終わらせる').count(), 0);
});

test('to let a stopped program go on one says what work it was, and the order in which things happen is said first', async () => {
    await open('/findings/f1');
    await button('うちの作業でした').click();
    const d = page.locator('dialog[open]');
    await d.getByText('先に、元に戻したファイルを作業の後の形にします。').waitFor();
    await d.locator('button[type=submit]').click();
    await d.getByText('何の作業だったかを入れてください。').waitFor();
    assert.equal(calls('POST', '/findings/f1/actions').length, 0);
    await d.locator('textarea').fill('年末の書類の圧縮');
    await d.locator('button[type=submit]').click();
    await d.waitFor({ state: 'detached' });
    assert.deepEqual(calls('POST', '/findings/f1/actions')[0].data, { action: 'resume', args: { why: '年末の書類の圧縮' } });
});

test('an incident and what was found on its machine lead to each other', async () => {
    await open('/findings/f4', { incident: true });
    await page.getByRole('link', { name: 'こまったことを見る' }).click();
    await page.getByRole('heading', { name: '機器の中で見つけたこと' }).waitFor();
    assert.equal(await page.locator('a[href="/findings/f4"]').count(), 1);
    assert.equal(await page.locator('a[href="/findings/f1"]').count(), 0, 'of another machine');
});

test('a machine of an incident is cut off from its page, with the same question as on its own', async () => {
    await open('/findings/f4', { incident: true });
    await page.getByRole('link', { name: 'こまったことを見る' }).click();
    const card = page.locator('section[aria-labelledby=co]');
    await card.getByText('つながっています。').first().waitFor();
    await card.locator('button').first().click();
    const d = page.locator('dialog[open]');
    await d.getByText('この機器のつなぎを切りはなしますか').waitFor();
    assert.equal(calls('POST', '/devices/d1/actions').length, 0);
    await d.locator('button[type=submit]').click();
    await card.getByText('機器にたのみました').waitFor();
    assert.deepEqual(calls('POST', '/devices/d1/actions')[0].data, { action: 'isolate', args: {}, for_s: 86400 });
});

test('a program is blocked on every machine by the policy of all, beside what is set there', async () => {
    await open('/findings/f1', { policy: { ransom: { mode: 'kill' } } });
    await button('すべての機器でふさぐ').click();
    await page.locator('dialog[open] button[type=submit]').click();
    await page.getByText('すべての機器でふさぎました').waitFor();
    const { policy } = calls('PUT', '/endpoint/policy')[0].data;
    assert.deepEqual(policy.ransom, { mode: 'kill' });
    assert.equal(policy.block.files.length, 1);
    assert.match(policy.block.files[0], /^[0-9a-f]{64}$/);
});

test('a finding that changes elsewhere changes here', async () => {
    await open('/findings/f1');
    await page.getByText('いまは動けません。').waitFor();
    mock.set({ finding: { state: 'killed', rev: 9 } });
    mock.push('finding', { id: 'f1' });
    await page.getByText('Sakimori が、プログラムを終わらせました。').waitFor();
    assert.equal(await button('うちの作業でした').count(), 0, 'what has ended cannot go on');
});

test('a finding prints on one page, with the story, the times, the tree, the counts and the numbers', async () => {
    await open('/findings/f1');
    assert.equal(pages(await page.pdf({ preferCSSPageSize: true })), 1);
    mock.set({ large: true });
    await page.reload();
    await settled(page);
    await page.getByText('ほか').first().waitFor({ state: 'attached' });
    assert.equal(pages(await page.pdf({ preferCSSPageSize: true })), 1, 'also one with many programs, reasons and acts');
    mock.set({ large: false });
    await page.reload();
    await settled(page);
    await page.emulateMedia({ media: 'print' });
    for (const words of ['機器で見つけたことの記録', '何が起きたか', '聞いた人・時刻・メモ']) assert.ok(await page.getByText(words, { exact: true }).first().isVisible(), words);
    assert.ok(await page.locator('.paper-only').getByText('/tmp/.cache/yoyaku_update').isVisible());
    assert.equal(await button('完全に終わらせる').isVisible(), false);
});

test('only what was changed of the policy is set, and a machine can go back to the common one', async () => {
    await open('/endpoint/policy');
    await page.getByText('止めて、終わらせる').click();
    await page.getByLabel('いつ検査しますか').selectOption('7');
    await button('この決まりにする').click();
    await page.getByText('決めました。機器に伝えます。').waitFor();
    assert.deepEqual(calls('PUT', '/endpoint/policy')[0].data, { policy: { ransom: { mode: 'kill' }, scan: { schedule: { weekday: 7, hour: 20 } } } });
    await page.goto('/endpoint/policy?device=d4');
    await page.getByText('この機器に、まだ伝わっていません。').waitFor();
    await button('医院の決まりにそろえる').click();
    await page.locator('dialog[open] button[type=submit]').click();
    await page.locator('dialog[open]').waitFor({ state: 'detached' });
    assert.deepEqual(calls('PUT', '/devices/d4/endpoint/policy')[0].data, { policy: null });
});

test('a list of folders that is empty is not taken for everything', async () => {
    await open('/endpoint/policy');
    await page.getByText('自分で決める').click();
    await button('この決まりにする').click();
    await page.getByText('フォルダーを1つ以上入れてください。').waitFor();
    assert.equal(calls('PUT', '/endpoint/policy').length, 0);
});

test('a USB stick is allowed from the list by its serial number', async () => {
    await open('/media');
    await button('いつも使えるようにする: SanDisk Cruzer Blade').click();
    await page.getByText('決まりを変えました').waitFor();
    assert.deepEqual(calls('POST', '/media/allow')[0].data, { serial: '4C530001230709116185' });
    await button('使えるのをやめる: SanDisk Cruzer Blade').waitFor();
});

test('a file that was set aside goes back only after a question', async () => {
    await open('/quarantine');
    await button('返す: setup.run').click();
    await page.getByText('悪い物でないと、業者が確かめたときだけ返します。').waitFor();
    await page.locator('dialog[open] button[type=submit]').click();
    await page.getByText('機器にたのみました').waitFor();
    assert.deepEqual(calls('POST', '/devices/d3/actions')[0].data, { action: 'unquarantine', args: { id: 'q1' } });
});

test('the score says its reasons, what is not known, and the one next thing', async () => {
    await open('/machines/d2');
    await page.getByRole('heading', { name: 'そなえの点数' }).waitFor();
    const card = page.locator('section', { has: page.getByRole('heading', { name: 'そなえの点数' }) });
    assert.match(await card.innerText(), /68[\s\S]*次にすること[\s\S]*見張りが止まっている/);
    await card.locator('summary').click();
    assert.equal(await card.locator('.lines > li').count(), 9);
    assert.match(await card.innerText(), /システムの新しさは分かりません。[\s\S]*分かりません/);
});

test('the arrow keys move over the findings and Enter opens one', async () => {
    await open('/findings');
    await page.locator('#main h1').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/findings/f2');
});

test('the keys G and D lead to protection', async () => {
    await open('/');
    await page.keyboard.press('g');
    await page.keyboard.press('d');
    await page.waitForURL('**/endpoint');
});
