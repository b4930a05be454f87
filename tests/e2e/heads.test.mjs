// The head on mails and paper: it is compared with the record of today, and a box that was put back to an old image shows.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w, token, kept, image;
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const cli = (args, any = false) => L.run(L.programs.cli, ['--data', w.box.data, '--token-file', token, ...(args.includes('--lang') ? [] : ['--lang', 'en']), ...args], { any });
const paper = (name, text) => {
  const file = path.join(w.place, name);
  fs.writeFileSync(file, text, { mode: 0o600 });
  return file;
};
async function restart(change) {
  const options = w.box.options;
  await w.stop();
  change?.();
  w.box = await L.Box.start(options);
  await L.until('the vault', async () => (await w.c.call('GET', 'head').catch(() => ({}))).status === 200, 30e3);
}

test('both forms, a whole mail and a copy of the vault: the record continues them', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'heads' });
  token = path.join(w.place, 'token');
  await cli(['sign-in', 'incho', '--answers', paper('in.json', JSON.stringify({ password: L.password, one_time: w.person.codes[0] }))]);
  await L.backup(w.c, w.source.id);
  image = path.join(w.place, 'image');
  await w.agent.stop();
  await restart(() => execFileSync('cp', ['-a', path.join(w.box.data, 'vault'), image]));
  for (let i = 0; i < 6; i++) await w.c.post('retention/date'); // the record goes on
  await restart();
  kept = await w.c.get('head');
  assert.match(kept.short, /^SKH1-\d+(-[A-Z2-7]{4}){4}$/);
  assert.match(kept.qr_svg, /<svg|^M/);
  for (const text of [kept.short, kept.long, kept.short.toLowerCase().replaceAll('-', ' - '), `> 院長さま\n> ${kept.short}\n> ${kept.long.slice(0, 70)}\n> ${kept.long.slice(70)}\n`]) {
    const r = await w.c.post('head/check', { text });
    assert.equal(r.result, 'continues', text);
  }
  assert.equal((await cli(['head', 'check', kept.short])).code, 0);
  assert.equal((await cli(['head', 'check', '--file', paper('mail.txt', `x\n${kept.long}\n`), '--vault', path.join(w.box.data, 'vault')])).code, 0);
  const old = await cli(['head', 'check', kept.short, '--vault', image], true);
  assert.equal(old.code, 4, 'a copy that is behind is no alarm');
  assert.match(old.out, /cannot tell: this copy is older/);
  const ja = await cli(['--lang', 'ja', 'head', 'check', kept.short, '--vault', image], true);
  assert.match(ja.out, /この写しは、しるし.*より古いです/);
  const disk = path.join(w.place, 'disk'); // the place of a copy is as good as the vault in it
  fs.mkdirSync(path.join(disk, 'sakimori-copy'), { recursive: true });
  execFileSync('cp', ['-a', image, path.join(disk, 'sakimori-copy', 'vault')]);
  for (const place of [disk, path.join(disk, 'sakimori-copy')]) {
    assert.equal((await cli(['head', 'check', kept.short, '--vault', place], true)).code, 4, place);
    assert.match((await cli(['recover', '--list', '--vault', place])).out, /Generation/);
  }
  const one = (await cli(['journal', 'show', '--json', '--vault', image])).out.split('\n').filter(Boolean).map(JSON.parse);
  assert.ok(one.at(-1).seq < Number(kept.short.split('-')[1]));
});

test('mistyped, of another box, and nonsense are told apart and open no alarm', { timeout: 60e3 }, async () => {
  const wrong = kept.short.replace(/.$/, (c) => (c === 'A' ? 'B' : 'A'));
  assert.equal((await w.c.call('POST', 'head/check', { text: wrong })).status, 422);
  assert.equal((await w.c.call('POST', 'head/check', { text: 'なにもない' })).status, 422);
  const letters = kept.long.split('');
  letters[10] = letters[10] === 'A' ? 'B' : 'A'; // in the vault's id
  assert.equal((await w.c.post('head/check', { text: letters.join('') })).result, 'foreign');
  assert.ok(!(await w.c.get('alarms?open=1')).items.some((a) => a.kind === 'rolledback'));
});

test('a box that was put back to an old image is found by the paper, and called out', { timeout: 200e3 }, async () => {
  const later = path.join(w.place, 'later');
  await restart(() => {
    const vault = path.join(w.box.data, 'vault');
    execFileSync('cp', ['-a', vault, later]);
    fs.rmSync(vault, { recursive: true });
    execFileSync('cp', ['-a', image, vault]);
  });
  const short = await w.c.post('head/check', { text: kept.short });
  assert.ok(['rolled-back', 'forked'].includes(short.result), JSON.stringify(short));
  assert.ok(['rolled-back', 'forked'].includes((await w.c.post('head/check', { text: kept.long })).result));
  const today = await w.c.get('today');
  assert.equal(today.state, 'call');
  assert.ok(today.lines.some((x) => x.text.includes('前に書かれたものと合いません')), JSON.stringify(today.lines));
  const c = await cli(['head', 'check', kept.long], true);
  assert.equal(c.code, 1);
  assert.match(c.out, /ROLLED BACK|FORKED/);
  for (const place of [w.box.data, path.join(w.box.data, 'vault')]) {
    const own = await cli(['head', 'check', kept.long, '--vault', place], true);
    assert.equal(own.code, 1, 'the vault of the box itself is never merely behind');
    assert.match(own.out, /ROLLED BACK|FORKED/);
  }
  await w.c.post('retention/date'); // another record than the one that was there
  const fork = await cli(['head', 'check', (await w.c.get('head')).short, '--vault', later], true);
  assert.equal(fork.code, 1, 'a copy with another record at that number is an alarm');
  assert.match(fork.out, /FORKED/);
  say(`the paper of before: ${short.result}`);
});
