// Looking through time: what differs between two generations, and where a name can be found, with a real box.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import * as L from './lib.mjs';

let box, agent;
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

test('differences between generations and names in all of them, by API and by command', { timeout: 240e3 }, async () => {
  box = await L.Box.start();
  const s = await L.setUp(box);
  const c = s.client;
  agent = await L.Agent.join(box, c, 'search');
  const dir = `${L.tempDir('search', 0o755)}/d`;
  fs.mkdirSync(`${dir}/karte`, { recursive: true });
  fs.mkdirSync(`${dir}/quiet`);
  fs.writeFileSync(`${dir}/quiet/karte-old.txt`, 'never changes');
  const src = await c.post('sources', { device: agent.device.id, name: '書類', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true });
  // Twelve generations: more than the opener keeps open, more than one page of a search.
  const made = [];
  for (let n = 0; n < 12; n++) {
    fs.writeFileSync(`${dir}/karte/day-${n}.txt`, `day ${n}`);
    fs.writeFileSync(`${dir}/karte/karte.txt`, `version ${Math.floor(n / 4)}`.repeat(1 + Math.floor(n / 4)));
    if (n === 5) fs.rmSync(`${dir}/karte/day-2.txt`);
    await L.sleep(1200);
    const run = await L.backup(c, src.id);
    assert.equal(run.state, 'complete');
    made.push(run.manifest);
  }
  assert.equal((await c.call('GET', `search?text=karte`)).status, 409, 'locked: nothing is searched');
  await c.post('unlock', { password: L.password, card: s.card });

  const diff = await c.get(`generations/${made[5]}/diff?with=${made[3]}`);
  const told = diff.items.map((x) => `${x.change} ${x.what.includes('content') ? 'c' : ''} ${x.path.slice(dir.length)}`);
  assert.deepEqual(told, ['removed  /karte/day-2.txt', 'added  /karte/day-4.txt', 'added  /karte/day-5.txt', 'changed c /karte/karte.txt']);
  const one = diff.items.find((x) => x.change === 'changed');
  assert.ok(one.was.size < one.size);
  assert.equal((await c.get(`generations/${made[5]}/diff?with=${made[3]}&path=${encodeURIComponent(`${dir}/quiet`)}`)).items.length, 0);
  assert.equal((await c.call('GET', `generations/${made[5]}/diff?with=${made[5]}`)).status, 400);

  const found = [];
  let cursor = '', searched = 0;
  do {
    const page = await c.get(`search?text=KARTE.txt&source=${src.id}${cursor && `&cursor=${cursor}`}`);
    found.push(...page.items);
    searched += page.searched;
    cursor = page.next ?? '';
  } while (cursor);
  assert.equal(searched, 12);
  // karte.txt was written in each generation, so each is a version of its own; a deleted file is found with the last that had it.
  assert.equal(found.filter((x) => x.path.endsWith('/karte.txt')).length, 12);
  const gone = (await c.get('search?text=day-2.txt')).items;
  const rest = (await c.get(`search?text=day-2.txt&cursor=${(await c.get('search?text=day-2.txt')).next}`)).items;
  assert.deepEqual([...gone, ...rest].map((x) => x.generation), [made[4]]);
  const old = (await c.get('search?text=karte-old')).items;
  assert.deepEqual(old.map((x) => x.generation), [made[11]], 'an unchanged file is told once, with the newest generation');

  // A page asked for twice says the same twice, and another's search in between takes nothing away.
  const first = await c.get('search?text=karte.txt');
  await c.get(`search?text=karte.txt&source=${src.id}`);
  await c.get(`search?text=karte.txt&source=${src.id}&cursor=${first.next}`);
  for (let n = 0; n < 2; n++) {
    const page = await c.get(`search?text=karte.txt&cursor=${first.next}`);
    for (const m of made.slice(0, 4)) assert.ok(page.items.some((x) => x.generation === m), `${n} ${m}`);
  }
  // Whoever begins in the middle is on record too.
  const records = async () => (await c.get('access?limit=500')).items.filter((x) => /search/.test(x.why ?? '')).length;
  const before = await records();
  assert.equal((await c.get('search?text=day-1.txt&cursor=999999999')).searched, 8);
  assert.equal(await records(), before + 1);
  // The same file in two sources is two files.
  const twin = await c.post('sources', { device: agent.device.id, name: '書類の写し', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true });
  assert.equal((await L.backup(c, twin.id)).state, 'complete');
  assert.deepEqual((await c.get('search?text=karte-old')).items.map((x) => x.source).sort(), [src.id, twin.id].sort());

  // The opener keeps eight: the ninth takes the place of the one it is compared with, which is brought in again.
  await c.call('DELETE', 'unlock');
  await c.post('unlock', { password: L.password, card: s.card });
  for (const m of made.slice(0, 8)) await c.get(`generations/${m}/files`);
  assert.ok((await c.get(`generations/${made[0]}/diff?with=${made[8]}`)).items.length > 0);
  assert.equal((await c.get(`generations/${made[1]}/files?path=${encodeURIComponent(dir)}`)).items.length, 2);

  // More generations than the opener keeps: the first can still be looked into.
  for (const m of [...made, made[0]]) assert.equal((await c.get(`generations/${m}/files?path=${encodeURIComponent(dir)}`)).items.length, 2);

  // The same by command.
  const home = L.tempDir('search-cli'), answers = `${home}/answers.json`;
  const cli = (...args) => L.run(L.programs.cli, ['--data', box.data, '--token-file', `${home}/token`, '--lang', 'en', ...args]);
  fs.writeFileSync(answers, JSON.stringify({ password: L.password, totp: L.totp(s.totp_secret, Date.now() + 30000), card: s.card }), { mode: 0o600 });
  await cli('sign-in', 'incho', '--answers', answers);
  const rows = JSON.parse((await cli('search', 'day-2.txt', '--json')).out);
  assert.equal(rows.searched, 13);
  assert.deepEqual(rows.items.map((x) => x.generation), [made[4]]);
  const lines = (await cli('generations', 'diff', made[3], made[5], dir)).out;
  assert.match(lines, /removed.*day-2\.txt/);
  assert.match(lines, /changed.*karte\.txt/);
});
