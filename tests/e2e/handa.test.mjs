// `sakimori demo handa`: the attack on a hospital in its own network; every step is seen and answered, and what is restored is equal. Runs alone.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import * as L from './lib.mjs';

after(() => L.clearUp());
const root = process.getuid() === 0;
let spaces = root;
try {
  execFileSync('ip', ['netns', 'list'], { stdio: 'ignore' });
} catch {
  spaces = false;
}
const names = () => execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n').filter((n) => n.startsWith('sakimori-')).length;

test('the whole attack is seen, stopped, given back and restored', { timeout: 900e3, skip: !spaces && 'needs root and ip(8)' }, async () => {
  const place = path.join(L.tempDir('handa', 0o755), 'demo'), before = names();
  const { code, out, err } = await L.run(L.programs.cli, ['demo', 'handa', '--json', '--lang', 'en', '--bin', path.dirname(path.dirname(L.programs.cli)), '--data', place], { any: true });
  const log = (n) => (fs.existsSync(`${place}/${n}`) ? fs.readFileSync(`${place}/${n}`, 'utf8').slice(-3000) : '');
  const got = JSON.parse(out);
  const told = () => `${err}\n${JSON.stringify(got, null, 1)}\n${log('agent.log')}\n${log('box.log')}`;
  assert.equal(got.steps.length, 14, told());
  assert.deepEqual(got.steps.map((s) => s.n), Array.from({ length: 14 }, (_, i) => i + 1));
  assert.deepEqual(got.steps.filter((s) => s.later).map((s) => s.n), [11, 13]);
  for (const s of got.steps.filter((x) => !x.later)) assert.equal(s.ok, true, `step ${s.n}: ${told()}`);
  for (const s of got.steps.filter((x) => x.n <= 10)) assert.ok(s.seen.length > 5 && s.ms < 60e3, `step ${s.n}: ${told()}`);
  assert.match(got.steps[1].done, /one click/);
  assert.match(got.steps[8].done, /stopped after \d+ ms.*files given back/);
  assert.equal(got.restored_equal, true, told());
  assert.equal(got.one_incident, true, told());
  assert.equal(code, 0, told());
  assert.equal(names(), before, 'the networks are gone');
  console.log(`# ${got.steps.map((s) => `${s.n}: ${s.ms} ms`).join(', ')}`);
});

test('without root it says what it needs and makes nothing', { timeout: 60e3, skip: !root && 'needs root to become somebody else' }, async () => {
  const { code, err } = await L.run(L.programs.cli, ['demo', 'handa', '--json', '--lang', 'en'], { any: true, uid: 65534, gid: 65534 });
  assert.notEqual(code, 0);
  assert.match(err, /as root/);
});
