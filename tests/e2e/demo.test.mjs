// `./run --demo --headless`: the story up to the alarm by itself, and its end as whoever tries it would do it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let p;
after(() => L.clearUp());

test('the demo ends at the alarm, and is won with one unlock', { timeout: 280e3 }, async () => {
  const place = L.tempDir('demo', 0o755);
  const ready = process.env.SAKIMORI_BIN && !path.resolve(L.bin).startsWith(path.join(L.top, 'build/release'));
  // With other programs than ./run's own, what ./run would start is started with them.
  const [program, args] = ready ? [L.programs.cli, ['demo', 'clinic', '--bin', L.bin]] : [path.join(L.top, 'run'), ['--demo']];
  const began = Date.now();
  p = L.track(spawn(program, [...args, '--headless', '--data', place, '--port', String(L.freePort())], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, SAKIMORI_WEB: L.web, SAKIMORI_SHARE: path.join(L.top, 'share') } }));
  let out = '', err = '';
  p.stdout.on('data', (d) => (out += d));
  p.stderr.on('data', (d) => (err += d));
  const ended = new Promise((ok) => p.on('exit', (code, signal) => ok({ code, signal })));
  const info = await L.until('the demo', () => {
    if (p.exitCode !== null) throw new Error(`ended with ${p.exitCode}: ${err}`);
    return out.includes('\n') && JSON.parse(out.split('\n')[0]);
  }, 240000).catch((e) => { throw new Error(`${e.message}\n${err.slice(-2000)}`); });
  const took = Date.now() - began;
  const box = { url: info.console_url };
  box.ca = (await L.request('GET', `${box.url}/api/v1/setup`)).json.ca_pem;
  const c = await L.signIn(box, { account: info.account, password: info.password, ...(info.codes ? { one_time: info.codes[0] } : { totp_secret: info.totp_secret }) });
  const today = await c.get('today');
  assert.equal(today.state, 'call');
  assert.equal(today.headline, 'すぐ電話してください');
  const gens = (await L.everything(c, `generations?source=${info.source}`)).sort((a, b) => b.number - a.number);
  const clean = gens.find((g) => g.last_clean);
  assert.ok(clean && gens[0].suspicion.level === 'high');
  assert.ok(gens.filter((g) => g.suspicion.level === 'none').length >= 3, 'three good generations');
  assert.ok((info.attacks ?? []).every((a) => a.refused), JSON.stringify(info.attacks));
  const agent = L.family(p.pid).map((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')).find((a) => a.includes('--skip'));
  assert.equal(agent?.[agent.indexOf('--skip') + 1], path.join(place, 'box'), 'the agent leaves the box out');
  await c.post('unlock', { password: info.password, card: info.card });
  const r = await L.restore(c, clean.id, info.device);
  assert.equal(r.state, 'complete', JSON.stringify(r));
  if (info.reference) {
    const want = L.treeOf(info.reference), have = L.treeOf(path.join(place, 'clinic'));
    for (const [n, row] of Object.entries(want)) if (row.sha256) assert.equal(have[n]?.sha256, row.sha256, n);
    assert.ok(Object.keys(want).length > 100);
  }
  console.log(`# demo: ready after ${Math.round(took / 1000)} s, ${gens.length} generations, ${(info.attacks ?? []).length} attacks refused, restored in ${r.ms} ms`);
  p.kill('SIGTERM');
  const e = await Promise.race([ended, L.sleep(30000)]);
  assert.deepEqual(e, { code: 0, signal: null }, err.slice(-500));
  assert.ok(!fs.readdirSync('/proc').some((n) => /^\d+$/.test(n) && L.family(p.pid).includes(Number(n)) && Number(n) !== p.pid), 'nothing is left running');
});
