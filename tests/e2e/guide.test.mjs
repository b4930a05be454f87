// The guide to a bare machine: on the screen to print, on the command line, and beside what `recover` gives back without a box.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w;
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});

test('a machine that was saved once can be built anew from its page', { timeout: 240e3 }, async () => {
  w = await L.World.start({ name: 'guide', fill: (root) => L.fillSmall(root, 60) });
  const before = await w.c.get(`devices/${w.agent.device.id}/guide`);
  assert.equal(before.machine, null, 'nothing was saved yet');
  const run = await L.backup(w.c, w.source.id);
  assert.equal(run.state, 'complete');
  let g = await w.c.get(`devices/${w.agent.device.id}/guide`);
  assert.match(g.machine.os, /./);
  assert.equal(g.machine.kernel, fs.readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
  assert.ok(g.machine.memory_bytes > 1e6 && g.machine.cpus >= 1);
  assert.equal(g.sources.length, 1);
  assert.deepEqual([g.sources[0].name, g.sources[0].drill, g.estimate_s], [w.source.name, null, null]);
  assert.ok(g.sources[0].bytes > 0 && g.bytes === g.sources[0].bytes);
  assert.ok(!JSON.stringify(await w.c.get(`generations/${run.manifest}`)).includes(g.machine.kernel), 'for chiefs and the vendor only');
  await w.unlock();
  const { id } = await w.c.post('drills', { source: w.source.id, amount: 'all' });
  await L.until('the drill', async () => (await w.c.get(`drills/${id}`)).ok !== null, 120e3);
  g = await w.c.get(`devices/${w.agent.device.id}/guide`);
  assert.ok(g.sources[0].drill.ok && g.estimate_s >= 1 && g.estimate_s === g.sources[0].drill.estimate_s, JSON.stringify(g.sources));
  await w.addSource(w.agent.device.id, path.join(w.place, 'not-there'), { name: 'まだの対象' });
  const more = await w.c.get(`devices/${w.agent.device.id}/guide`);
  assert.deepEqual([more.sources[1].saved, more.estimate_s, more.estimate_of], ['never', g.estimate_s, { measured: 1, guessed: 0, unsaved: 1 }]);
  const said = (args) => L.run(L.programs.cli, [...args, '--data', w.box.data, '--token-file', path.join(w.place, 'token')], { any: true });
  const paper = path.join(w.place, 'in.json');
  fs.writeFileSync(paper, JSON.stringify({ password: L.password, one_time: w.person.codes[2] }), { mode: 0o600 });
  const signed = await said(['sign-in', 'incho', '--answers', paper]);
  assert.equal(signed.code, 0, signed.err);
  const told = await said(['guide', w.agent.device.id, '--lang', 'ja']);
  assert.match(told.out, /まだの対象.*一度も保存されていません/, told.err);
  assert.match(told.out, /練習で測った 1 件から/);

  const browser = await L.startBrowser();
  try {
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true, baseURL: w.box.url, locale: 'ja-JP', timezoneId: 'Asia/Tokyo', serviceWorkers: 'block' })).newPage();
    await page.goto('/sign-in?to=' + encodeURIComponent('/machines/guide'));
    await page.locator('input.in').nth(0).fill('incho');
    await page.locator('input.in').nth(1).fill(L.password);
    await page.getByRole('button', { name: '使いはじめる', exact: true }).click();
    await page.getByRole('button', { name: 'スマートフォンがないとき', exact: true }).click();
    await page.getByLabel('紙に印刷した番号').fill(w.person.codes[1]);
    await page.getByRole('button', { name: '確かめる', exact: true }).click();
    await page.waitForURL(/\/(machines\/guide)?$/);
    await page.goto('/machines/guide');
    await page.locator('.guide').waitFor();
    const text = await page.locator('.guide').innerText();
    for (const want of [g.device.name, g.machine.kernel, w.source.name, w.root, 'まだの対象', '一度も保存されていません', '練習で測った1件']) assert.ok(text.includes(want), `${want} is not on the page`);
    await L.picture(page, 'guide');
    const pdf = await page.pdf({ format: 'A4', printBackground: true }).catch(() => null);
    const pages = (pdf?.toString('latin1').match(/\/Type\s*\/Page[^s]/g) ?? []).length;
    assert.ok(pages <= 2, `a machine is one sheet of paper, or two, not ${pages}`);
  } finally {
    await browser.close();
  }
});

test('the same without a box, beside what the sheet brings back; and a machine may keep it to itself', { timeout: 120e3 }, async () => {
  await w.agent.stop();
  fs.writeFileSync(path.join(w.agent.data, 'policy.conf'), 'endpoint = no\nfacts = no\n');
  w.agent.start();
  const kept = await L.backup(w.c, w.source.id);
  assert.equal(kept.state, 'complete');
  assert.equal((await w.c.get(`devices/${w.agent.device.id}/guide`)).machine, null);
  const first = (await w.c.get(`generations?source=${w.source.id}`)).items.at(-1);
  await w.agent.stop();
  await w.box.stop();
  const sheet = path.join(w.place, 'sheet.txt'), to = path.join(w.place, 'anew');
  fs.writeFileSync(sheet, w.person.sheet.open.words_en?.join(' ') ?? w.person.sheet.open.qr, { mode: 0o600 });
  const r = await L.run(L.programs.cli, ['--lang', 'en', 'recover', '--vault', path.join(w.box.data, 'vault'), '--sheet', sheet, '--generation', first.id, '--to', to], { any: true });
  assert.equal(r.code, 0, r.err);
  const text = fs.readFileSync(path.join(to, 'SAKIMORI-GUIDE.txt'), 'utf8');
  assert.match(text, /To build this machine anew/);
  assert.ok(text.includes(fs.readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()), text);
  assert.equal(fs.statSync(path.join(to, 'SAKIMORI-GUIDE.txt')).mode & 0o777, 0o600);
});
