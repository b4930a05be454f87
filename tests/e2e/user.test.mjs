// Box and agent as an ordinary user: all of it works, and what is not separated is said.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let box, agent;
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  L.clearUp();
});

test('an ordinary user runs box and agent, backs up and restores', { timeout: 120e3, skip: process.getuid() !== 0 && 'already an ordinary user' }, async () => {
  const uid = 65534, gid = 65534;
  const place = L.tempDir('user', 0o755);
  for (const d of ['box', 'agent', 'src']) {
    fs.mkdirSync(path.join(place, d));
    fs.chownSync(path.join(place, d), uid, gid);
  }
  fs.chownSync(place, uid, gid);
  box = await L.Box.start({ data: path.join(place, 'box'), uid, gid });
  const s = await L.setUp(box);
  const c = s.client;
  agent = await L.Agent.join(box, c, 'own-machine', { data: path.join(place, 'agent/data'), at: path.join(place, 'agent'), uid, gid });
  for (const pid of [...L.family(box.process.pid), ...L.family(agent.process.pid)]) {
    const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
    assert.match(status, /Uid:\t65534\t65534\t65534\t65534/);
    assert.match(status, /NoNewPrivs:\t1|NoNewPrivs:\t0/);
  }
  const kids = Object.entries(box.children());
  assert.ok(kids.length >= 5);
  for (const [name, pid] of kids) {
    const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
    assert.match(status, /NoNewPrivs:\t1/, name);
    assert.match(status, /Seccomp:\t2/, name);
  }
  const root = path.join(place, 'src');
  L.fillSmall(root, 20);
  for (const n of fs.readdirSync(root, { recursive: true })) fs.chownSync(path.join(root, n), uid, gid);
  const source = await c.post('sources', { device: agent.device.id, name: '予約', group: 'share', kind: 'files', paths: [root], schedule: { every: 'day', at: '03:10' }, canaries: true, enabled: true });
  const run = await L.backup(c, source.id);
  assert.equal(run.state, 'complete', JSON.stringify(run));
  const tree = L.treeOf(root);
  for (const n of fs.readdirSync(root)) if (n.startsWith('p')) fs.rmSync(path.join(root, n), { recursive: true });
  await c.post('unlock', { password: L.password, card: s.card });
  const r = await L.restore(c, run.manifest, agent.device.id);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  assert.deepEqual(L.treeOf(root), tree);
  // A drill of a database: without root there is no user apart for it, so it is one of files, and says so.
  await L.run('python3', ['-c', `import sqlite3; c=sqlite3.connect(${JSON.stringify(path.join(place, 'src/a.db'))}); c.execute('create table t(x)'); c.commit()`], { uid, gid });
  const db = await c.post('sources', { device: agent.device.id, name: 'SQLite', kind: 'sqlite', paths: [path.join(place, 'src/a.db')], schedule: { every: 'off' }, canaries: false });
  assert.equal((await L.backup(c, db.id)).state, 'complete');
  const { id: drill } = await c.post('drills', { source: db.id });
  const d = await L.until('the drill', async () => { const x = await c.get(`drills/${drill}`); return x.ok !== null && x; }, 60e3);
  assert.deepEqual([d.ok, d.report?.server?.state, d.report?.server?.why], [true, 'files', 'user'], JSON.stringify(d));
  const b = await c.get('box');
  assert.ok(b.not_separated.length > 0, 'the console says what is not separated');
  const browser = await L.startBrowser();
  try {
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true, baseURL: box.url, locale: 'ja-JP', timezoneId: 'Asia/Tokyo', serviceWorkers: 'block' })).newPage();
    await page.goto('/sign-in');
    await page.locator('input.in').nth(0).fill('incho');
    await page.locator('input.in').nth(1).fill(L.password);
    await page.getByRole('button', { name: '使いはじめる', exact: true }).click();
    await page.getByRole('button', { name: 'スマートフォンがないとき', exact: true }).click();
    await page.getByLabel('紙に印刷した番号').fill(s.codes[0]);
    await page.getByRole('button', { name: '確かめる', exact: true }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.waitForURL(`${box.url}/`);
    await page.goto('/machines/box');
    await page.waitForFunction(() => document.querySelector('#main h1') && !document.querySelector('#main .loading'));
    await L.picture(page, 'user-box');
    const text = await page.locator('#main').innerText();
    assert.ok(b.not_separated.some((t) => text.includes(t)), `${JSON.stringify(b.not_separated)} is not on the screen`);
  } finally {
    await browser.close();
  }
  console.log(`# as uid ${uid}: ${kids.length} processes with seccomp; said on the screen: ${b.not_separated.join(' / ')}`);
  await agent.stop();
  assert.deepEqual(await box.stop(), { code: 0, signal: null });
});
