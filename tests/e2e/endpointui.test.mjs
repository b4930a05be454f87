// The screens of guarded machines in a real browser, against a real box and a real agent: an attacker of our own is stopped, and people
// read, decide and change the policy.  Only one folder of this test is watched, and only what this test started is stopped or ended.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const root = process.getuid() === 0;
const WAIT = 120e3;
const it = (name, fn) => test(name, { timeout: 400e3, skip: !root && 'only as root' }, fn);
const DOCS = 60;
const text = (i) => `診療の記録 ${i}\n${'内科、再診。処方は前回と同じ。血圧は 128/76。\n'.repeat(60 + (i % 7))}`;
let box, c, person, agent, browser, page, dir, attacker;

before(async () => {
  if (!root) return;
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  person = await L.setUp(box);
  c = person.client;
  dir = L.tempDir('endpointui', 0o755);
  for (let i = 0; i < DOCS; i++) {
    fs.mkdirSync(path.join(dir, `f${i % 6}`), { recursive: true });
    fs.writeFileSync(path.join(dir, `f${i % 6}`, `d${i}.txt`), text(i));
  }
  browser = await L.startBrowser();
});
after(async () => {
  try { if (attacker) process.kill(attacker.pid, 'SIGKILL'); } catch { /* gone */ }
  await browser?.close();
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  L.clearUp();
});

const button = (name) => page.getByRole('button', { name, exact: true });
const open = async (where) => {
  await page.goto(where);
  await page.locator('#main h1').first().waitFor();
};
const stateOf = (pid) => { try { return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0]; } catch { return '-'; } };
const endpoint = () => c.get(`devices/${agent.device.id}/endpoint`);
/** What a machine says comes with its next poll: the one that hangs is ended again and again. */
const became = (what, f) => L.until(what, async () => {
  const s = await endpoint();
  if (f(s)) return s;
  await L.poke(agent).catch(() => {}); // it may not be there yet
  await L.sleep(500);
  return null;
}, WAIT);
const differ = () => Array.from({ length: DOCS }, (_, i) => i).filter((i) => { try { return fs.readFileSync(path.join(dir, `f${i % 6}`, `d${i}.txt`), 'utf8') !== text(i); } catch { return true; } }).length;

it('without a guarded machine the menu says nothing of protection; with one it does', async () => {
  page = await (await browser.newContext({ ignoreHTTPSErrors: true, baseURL: box.url, locale: 'ja-JP', timezoneId: 'Asia/Tokyo', serviceWorkers: 'block', viewport: { width: 1280, height: 900 } })).newPage();
  await page.goto('/sign-in');
  await page.locator('input.in').nth(0).fill('incho');
  await page.locator('input.in').nth(1).fill(L.password);
  await button('使いはじめる').click();
  await button('スマートフォンがないとき').click();
  await page.getByLabel('紙に印刷した番号').fill(person.codes[1]);
  await button('確かめる').click();
  await page.locator('.nav').waitFor();
  assert.equal(await page.locator('.nav a[href="/endpoint"]').count(), 0);
  agent = await L.Agent.join(box, c, 'カルテのサーバー');
  await agent.stop();
  fs.writeFileSync(`${agent.data}/policy.conf`, `protect = ${dir}\nrules = ${path.join(L.top, 'rules')}\n`, { mode: 0o644 });
  agent.start();
  await became('the sensors are armed', (s) => s.state?.sensor?.armed);
  await open('/');
  await page.locator('.nav a[href="/endpoint"]').click();
  await page.getByRole('link', { name: 'カルテのサーバー' }).waitFor();
});

it('the page of the machine says how it is watched, its score, what is not known and what to do next', async () => {
  await open(`/machines/${agent.device.id}`);
  const card = page.locator('section', { has: page.getByRole('heading', { name: 'そなえの点数' }) });
  await card.waitFor();
  const words = await card.innerText();
  const p = await c.get(`devices/${agent.device.id}/posture`);
  assert.match(words, new RegExp(`${p.score}\\s*/ 100点`));
  assert.ok(words.includes(p.next.todo), p.next.todo);
  assert.equal(p.facts.find((f) => f.id === 'backup').state, 'bad', 'nothing of it is backed up');
  assert.notEqual(p.facts.find((f) => f.id === 'remote').state, 'unknown', 'inspect told which doors are open');
  assert.ok(!(await c.get('devices')).items[0].os.startsWith('Linux '), 'the system by its own name');
  await page.getByText(/個のフォルダーを見張っています/).waitFor();
  await L.picture(page, 'endpoint-machine');
});

it('an attack is stopped; the first screen says so in three words and leads to the finding', async () => {
  const code = `import os\nfor r, ds, fs in os.walk(${JSON.stringify(dir)}):\n  for f in sorted(fs):\n    p = os.path.join(r, f)\n    n = len(open(p, 'rb').read())\n    open(p, 'wb').write(os.urandom(n))\n`;
  attacker = spawn('python3', ['-c', code], { stdio: 'ignore' });
  await L.until('it stands', () => stateOf(attacker.pid) === 'T', WAIT);
  const f = await L.until('the finding', async () => (await c.get('findings')).items.find((x) => x.kind === 'ransomware'), WAIT);
  const today = await L.until('the state of today', async () => { const t = await c.get('today'); return t.state === 'call' ? t : null; }, WAIT);
  await open('/');
  await page.getByRole('heading', { name: today.headline }).first().waitFor();
  await page.getByText('見張りが止めました。').first().waitFor();
  assert.ok(!today.not_watched.some((x) => x.includes('パソコンの中の動き')), 'what is watched is not said to be unwatched');
  await L.picture(page, 'endpoint-today');
  const alarm = await L.until('its incident', async () => (await c.get('alarms')).items.find((a) => a.kind === 'incident'), WAIT);
  await open(`/trouble/${alarm.id}`);
  await page.getByRole('heading', { name: '機器の中で見つけたこと' }).waitFor();
  await L.picture(page, 'endpoint-incident');
  await page.locator(`a[href="/findings/${f.id}"]`).click();
  await page.getByRole('heading', { name: 'だれが何を動かしたか' }).waitFor();
  assert.match(await page.locator('h1').innerText(), /カルテのサーバーで、ファイルが次々に書きかえられました/);
  assert.match(await page.locator('.ptree').innerText(), new RegExp(`python3[\\s\\S]*番号 ${attacker.pid}`));
  await page.getByText('最初の悪い書きかえ').waitFor();
  await page.getByRole('link', { name: 'こまったことを見る' }).waitFor();
});

it('the files come back, and the page says so without being loaded again', async () => {
  await page.getByText(/変えられたファイル\d+件を、元に戻しました。/).waitFor({ timeout: WAIT });
  await L.until('the files are as they were', () => differ() === 0, WAIT);
  await L.picture(page, 'endpoint-finding');
});

it('a finding is one page of paper', async () => {
  const pdf = await page.pdf({ preferCSSPageSize: true });
  assert.equal((pdf.toString('latin1').match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length, 1);
});

it('a person ends the program for good, after a question; what was done stands in the list', async () => {
  await button('完全に終わらせる').click();
  assert.equal(stateOf(attacker.pid), 'T', 'the question alone does nothing');
  await page.locator('dialog[open] button[type=submit]').click();
  await page.getByText('機器にたのみました').waitFor();
  await L.until('it has ended', () => attacker.exitCode !== null || attacker.signalCode !== null, WAIT);
  await page.getByText('Sakimori が、プログラムを終わらせました。').waitFor({ timeout: WAIT });
  await open(`/machines/${agent.device.id}`);
  await page.locator('li', { hasText: 'プログラムを終わらせる' }).getByText('できました').waitFor({ timeout: WAIT });
  assert.equal(differ(), 0, 'what was given back stays');
});

it('a file that was set aside stands in the list with its reason and is given back from there', async () => {
  const file = path.join(dir, 'f0', '請求書 見本.bin');
  fs.writeFileSync(file, 'harmless bytes of a test\n');
  await c.post(`devices/${agent.device.id}/actions`, { action: 'quarantine', args: { path: file } });
  await L.until('it is gone from its place', () => !fs.existsSync(file), WAIT);
  await L.until('the list has it', async () => (await c.get('quarantine')).items.some((k) => k.state === 'kept'), WAIT);
  await open('/quarantine');
  const row = page.locator('tr', { hasText: '請求書 見本.bin' });
  await row.getByText('カルテのサーバー').waitFor();
  await L.picture(page, 'endpoint-quarantine');
  await button('返す: 請求書 見本.bin').click();
  await page.locator('dialog[open] button[type=submit]').click();
  await page.getByText('機器にたのみました').waitFor();
  await L.until('it is back', () => fs.existsSync(file) && fs.readFileSync(file, 'utf8') === 'harmless bytes of a test\n', WAIT);
  await row.getByText('返しました').waitFor({ timeout: WAIT });
});

it('the policy that is chosen on the screen holds on the machine, and the screen says when it does', async () => {
  await open(`/endpoint/policy?device=${agent.device.id}`);
  await page.getByText('知らせるだけ').click();
  await button('この決まりにする').click();
  await page.getByText('決めました。機器に伝えます。').waitFor();
  const s = await became('the policy holds', (x) => x.policy.state === 'holds' && x.policy.number > 0);
  assert.equal(s.policy.policy.ransom.mode, 'watch');
  assert.deepEqual(s.policy.own, { ransom: { mode: 'watch' } }, 'the rest goes on following the common one');
  await page.getByText('この機器は、この決まりを守っています。').waitFor({ timeout: WAIT });
  await button('医院の決まりにそろえる').click();
  await page.locator('dialog[open] button[type=submit]').click();
  await became('the common policy holds again', (x) => x.policy.own === null && x.policy.state === 'holds');
});
