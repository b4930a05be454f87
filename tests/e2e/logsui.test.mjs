// The pages for logs in a real browser, against a real box: lines are sent, found, narrowed, exported in both encodings, and a search
// is saved and used.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 90e3;
let box, c, person, browser, page;
const port = { udp: L.freePort() + 20000, tcp: L.freePort() + 20001 };
before(async () => {
  box = await L.Box.start({ config: { syslog_udp: port.udp, syslog_tcp: port.tcp, rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  browser = await L.startBrowser();
});
after(async () => {
  await browser?.close();
  await box?.stop().catch(() => {});
});

/* Syslog with its own time, so that the bars are known: hours ago, of Japan. */
const NOW = Date.now();
const line = (host, ago_min, text) => `<38>1 ${new Date(NOW - ago_min * 60e3).toISOString()} ${host} app 7 - - ${text}\n`;
const send = (lines) => new Promise((ok, fail) => {
  const s = net.connect(port.tcp, '127.0.0.1', () => s.end(lines.join('')));
  s.on('error', fail);
  s.on('close', ok);
});
const found = (q) => c.get(`logs/search?q=${encodeURIComponent(q)}&limit=500`);
const there = (q, n) => L.until(`${n} of ${q}`, async () => (await found(q)).items.length >= n, WAIT);

const open = async (where) => {
  await page.goto(where);
  await page.locator('h1').waitFor();
};
const button = (name) => page.getByRole('button', { name, exact: true });

test('lines that were sent are found on the page, in either width of katakana', { timeout: 400e3 }, async () => {
  await send([...Array.from({ length: 40 }, (_, i) => line('fw-1', 300, `marker-ui old ${i}`)), ...Array.from({ length: 5 }, (_, i) => line('fw-1', 100, `marker-ui later ${i}`)),
    line('nas-1', 20, 'marker-ui ﾊﾞｯｸｱｯﾌﾟ 患者 😀 失敗'), line('nas-1', 10, '=marker-ui バックアップ 終了')]);
  await there('marker-ui', 47);
  page = await (await browser.newContext({ ignoreHTTPSErrors: true, baseURL: box.url, locale: 'ja-JP', timezoneId: 'Asia/Tokyo', serviceWorkers: 'block', acceptDownloads: true })).newPage();
  await page.goto('/sign-in?to=' + encodeURIComponent('/logs'));
  await page.locator('input.in').nth(0).fill('incho');
  await page.locator('input.in').nth(1).fill(L.password);
  await button('使いはじめる').click();
  await button('スマートフォンがないとき').click();
  await page.getByLabel('紙に印刷した番号').fill(person.codes[1]);
  await button('確かめる').click();
  await page.waitForURL(/\/(logs.*)?$/);
  await open('/logs');
  await page.locator('input[type=search]').fill('バックアップ');
  await button('さがす').click();
  await page.getByText('全部で 2件です。').waitFor();
  const rows = await page.locator('.ev').allInnerTexts();
  assert.match(rows[0], /終了/);
  assert.match(rows[1], /ﾊﾞｯｸｱｯﾌﾟ/);
  await page.locator('.ev').nth(1).click();
  await page.locator('.ev-f').waitFor();
  assert.match(await page.locator('.ev-in .raw').first().innerText(), /marker-ui ﾊﾞｯｸｱｯﾌﾟ 患者 😀 失敗/);
  await page.getByRole('button', { name: 'しぼる: @host nas-1', exact: true }).click();
  await page.waitForURL((u) => u.searchParams.get('q') === 'バックアップ @host=nas-1');
  await page.getByText('全部で 2件です。').waitFor();
  await L.picture(page, 'logsui-found');
});

test('a bar narrows the time, and what is wrong with a query is said', { timeout: 300e3 }, async () => {
  await open('/logs?q=marker-ui&span=24h');
  await page.locator('.tl-l .histo-bar').first().waitFor();
  const bars = await page.locator('.tl-l .histo-bar').evaluateAll((all) => all.map((e) => e.getAttribute('aria-label')));
  const tallest = bars.findIndex((x) => / 40件| 4[0-7]件|、4[0-7]件/.test(x));
  assert.ok(tallest >= 0, bars.join(' | '));
  await page.locator('.tl-l .histo-bar').nth(tallest).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/span=fixed/);
  await page.getByText(/全部で 4\d件です|40件/).first().waitFor();
  const texts = await page.locator('.ev').allInnerTexts();
  assert.ok(texts.length >= 40 && texts.filter((x) => x.includes('old')).length === 40, 'what is of that time');
  assert.ok(!texts.some((x) => x.includes('終了')), 'and nothing of another');
  for (const width of [360, 768, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await L.picture(page, `logsui-narrowed-${width}`);
  }
  await open('/logs?q=' + encodeURIComponent('(marker-ui'));
  await page.getByText('検索の文の').waitFor();
  assert.equal(await page.locator('.ev').count(), 0);
  await L.picture(page, 'logsui-wrong');
});

test('a table is exported in both encodings and read back', { timeout: 300e3 }, async () => {
  await open('/logs?q=marker-ui&span=24h');
  await page.locator('.ev').first().waitFor();
  await button('表にして取り出す').click();
  const take = async () => {
    const [file] = await Promise.all([page.waitForEvent('download'), button('取り出す').click()]);
    return fs.readFileSync(await file.path());
  };
  const utf8 = await take();
  assert.equal(utf8.subarray(0, 3).toString('hex'), 'efbbbf', 'the mark that spreadsheets look for');
  const text = utf8.toString('utf8').slice(1).trimEnd().split('\r\n');
  assert.equal(text.length, 48);
  assert.match(text[0], /^"発生日時","受信日時","機器"/);
  assert.match(text.find((x) => x.includes('患者')), /ﾊﾞｯｸｱｯﾌﾟ 患者 😀 失敗/);
  const jst = new Date(NOW - 300 * 60e3 + 9 * 3600e3).toISOString().slice(0, 19).replace('T', ' ');
  assert.ok(text[1].startsWith(`"${jst}`), `oldest first, in Japan's time: ${text[1]}`);
  await page.getByText('古いソフト用(CP932)').click();
  const sjis = await take();
  await page.getByText('CP932 で使えない').waitFor();
  const back = new TextDecoder('shift_jis', { fatal: true }).decode(sjis).trimEnd().split('\r\n');
  assert.equal(back.length, 48);
  assert.match(back.find((x) => x.includes('患者')), /ﾊﾞｯｸｱｯﾌﾟ 患者 \? 失敗/);
  assert.match(back[0], /^"発生日時"/);
  await page.locator('dialog').getByRole('button', { name: '閉じる', exact: true }).click();
  const { headers } = await c.call('GET', 'logs/export?q=marker-ui&as=csv&encoding=cp932');
  assert.equal(Number(headers['x-sakimori-events']), 47);
  assert.ok(Number(headers['x-sakimori-replaced']) >= 1);
});

test('a search is saved, used from the page and from the command line, and removed', { timeout: 300e3 }, async () => {
  await open('/logs?q=' + encodeURIComponent('marker-ui later') + '&span=7d');
  await page.locator('.ev').first().waitFor();
  await button('この検索を残す').click();
  await page.getByLabel('検索の名前').fill('あとの5件');
  await button('残す').click();
  await page.getByText('「あとの5件」を残しました').waitFor();
  await open('/logs');
  await page.locator('summary', { hasText: '残した検索' }).click();
  await page.getByRole('button', { name: '使う: あとの5件' }).click();
  await page.getByText('全部で 5件です。').waitFor();
  assert.deepEqual((await c.get('logs/saved')).items.map((x) => [x.name, x.q, x.span, x.own]), [['あとの5件', 'marker-ui later', '7d', true]]);
  const home = L.tempDir('home'), env = { SAKIMORI_DATA: box.data, HOME: home, LANG: 'ja_JP.UTF-8', XDG_CONFIG_HOME: home };
  fs.writeFileSync(`${home}/answers`, JSON.stringify({ account: 'incho', password: L.password, one_time: person.codes[2] }), { mode: 0o600 });
  const cli = (args, more) => L.run(L.programs.cli, args, { env, ...more });
  await cli(['sign-in', '--answers', `${home}/answers`]);
  const used = (await cli(['logs', 'saved', 'run', 'あとの5件'])).out;
  assert.equal((used.match(/marker-ui later/g) ?? []).length, 5, used);
  assert.equal((await cli(['logs', 'save', 'あとの5件', 'x'], { any: true })).code !== 0, true, 'the name is taken');
  const out = `${home}/logs.csv`;
  const said = await cli(['logs', 'export', 'marker-ui', out, '--csv', '--encoding', 'cp932', '--from', '2026-01-01']);
  assert.match(said.err, /日本時間/);
  assert.match(said.err, /cp932 にない文字 \d+ 個/);
  assert.match(new TextDecoder('shift_jis', { fatal: true }).decode(fs.readFileSync(out)), /ﾊﾞｯｸｱｯﾌﾟ 患者 \? 失敗/);
  assert.equal((await cli(['signal', 'list', '--what', 'foo'], { any: true })).code, 2, 'a word that is none is refused');
  assert.match((await cli(['logs', 'doors'])).out, new RegExp(String(port.tcp)));
  await page.getByRole('button', { name: '除く: あとの5件' }).click();
  await page.locator('dialog').getByRole('button', { name: '除く', exact: true }).click();
  await page.getByRole('button', { name: '使う: あとの5件' }).waitFor({ state: 'detached' });
  assert.deepEqual((await c.get('logs/saved')).items, []);
});

test('senders are seen and confirmed, a shut door takes nothing, a class is put on hold', { timeout: 400e3 }, async () => {
  await page.setViewportSize({ width: 1280, height: 900 });
  await open('/logs/senders');
  await page.getByRole('button', { name: '確かめる・変える: fw-1' }).click();
  await page.getByLabel('呼び名').fill('出入口の機器');
  await button('この内容で確かめた').click();
  await page.getByText('「出入口の機器」を確かめました').waitFor();
  const s = (await c.get('logs/sources')).items.find((x) => x.host === 'fw-1');
  assert.deepEqual([s.name, s.state, s.silent_s, s.silent], ['出入口の機器', 'ok', 86400, false]);
  await page.getByText(`UDP、ポート ${port.udp}`).first().waitFor();
  await L.picture(page, 'logsui-senders');
  await page.getByRole('button', { name: '閉じる: UDP' }).click();
  await page.locator('dialog').getByRole('button', { name: '閉じる', exact: true }).click();
  await page.getByRole('button', { name: '開ける: UDP' }).waitFor();
  const d = dgram.createSocket('udp4');
  const datagram = (text) => new Promise((ok) => d.send(`<38>Nov 23 01:02:03 udp-1 app: ${text}`, port.udp, '127.0.0.1', ok));
  await datagram('marker-shut');
  /* A connection that is shut is ended at once, and by then the datagram was read, too. */
  await c.must('PATCH', 'logs/doors/tcp', { on: false });
  await L.until('a shut door ends connections', () => new Promise((ok) => {
    const t = net.connect(port.tcp, '127.0.0.1');
    t.on('error', () => ok(true));
    t.on('close', () => ok(true));
    t.on('data', () => ok(false));
  }), WAIT);
  await c.must('PATCH', 'logs/doors/tcp', { on: true });
  await page.getByRole('button', { name: '開ける: UDP' }).click();
  await page.getByRole('button', { name: '閉じる: UDP' }).waitFor();
  await L.until('the open door takes again', async () => {
    await datagram('marker-open');
    return (await found('marker-open')).items.length > 0;
  }, WAIT);
  assert.equal((await found('marker-shut')).items.length, 0);
  d.close();
  await page.getByRole('button', { name: '消さないと決める: ふつう' }).click();
  await page.locator('dialog').getByLabel('理由').fill('調べのため');
  await page.locator('dialog').getByRole('button', { name: '消さないと決める', exact: true }).click();
  await page.getByText('消しません。調べのため').waitFor();
  assert.equal((await c.get('logs')).classes[0].hold.why, '調べのため');
  for (const width of [360, 768]) {
    await page.setViewportSize({ width, height: 900 });
    await L.picture(page, `logsui-senders-${width}`);
  }
});
