// Removable media as the policy wants them: read-only, blocked, allowed by serial.  The medium is an image of this test behind a loop device.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const root = process.getuid?.() === 0;
let box, c, agent, loop, place, at, loops = true;
const sh = (...a) => execFileSync(a[0], a.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const fails = (...a) => { try { sh(...a); return false; } catch (e) { return e.stderr || true; } };
const one = async () => (await c.get('media')).items.find((m) => m.serial === 'stick.img');
const policy = (media) => c.must('PUT', 'endpoint/policy', { policy: { media } });
const treated = (mode) => L.until(`the medium is ${mode}`, async () => { const m = await one(); return m?.mode === mode && !m.failed && m; })
  .catch(async (e) => { throw new Error(`${e.message} ${JSON.stringify(await one())} ${JSON.stringify((await c.get(`devices/${agent.device.id}/endpoint`)))}\n${agent.log.join('')}`); });

before(async () => {
  if (!root) return;
  place = L.tempDir('images', 0o755);
  at = L.tempDir('mounted', 0o755);
  fs.writeFileSync(path.join(place, 'stick.img'), Buffer.alloc(8 << 20));
  try {
    sh('mkfs.ext4', '-q', path.join(place, 'stick.img'));
    loop = sh('losetup', '-f', '--show', path.join(place, 'stick.img')).trim();
  } catch (e) {
    loops = false;
    console.log(`# no loop device here: ${e.message}`);
    return;
  }
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
  agent = await L.Agent.join(box, c, '受付', { endpoint: true, protect: [L.tempDir('protected')], policy: [`media = ${place}`] });
});
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  if (loop) {
    fails('umount', at);
    fails('losetup', '-d', loop);
  }
  L.clearUp();
});
const it = (name, fn) => test(name, { timeout: 240e3, skip: !root && 'only as root' }, async (t) => (loops ? fn() : t.skip('no loop device here')));

it('what is plugged in stands in the list of the house, and is let be while nothing is said of it', async () => {
  const m = await treated('allow');
  assert.equal(m.device, agent.device.id);
  assert.equal(m.bytes, 8 << 20);
  assert.equal(m.attached, true);
  assert.equal(m.allowed, false);
  assert.equal((await c.get(`devices/${agent.device.id}/media`)).policy.mode, 'allow');
  sh('mount', loop, at);
  fs.writeFileSync(path.join(at, 'a'), 'a');
});

it('read-only: what is mounted too, and nobody makes it writable again for long', async () => {
  await policy({ mode: 'read_only' });
  await treated('read_only');
  assert.throws(() => fs.writeFileSync(path.join(at, 'b'), 'b'), /EROFS|ENOENT|EACCES/);
  fails('umount', at);
  assert.ok(fails('mount', '-o', 'rw', loop, at) || /\bro\b/.test(sh('findmnt', '-no', 'OPTIONS', at)));
  fails('umount', at);
  sh('blockdev', '--setrw', loop);
  await L.until('read-only again', () => sh('blockdev', '--getro', loop).trim() === '1');
  await L.until('the undoing is told', async () => (await c.get('logs/search?q=media_undone&limit=5')).items.length > 0);
});

it('one that is allowed by its serial may be written, whatever holds for others', async () => {
  assert.equal((await c.must('POST', 'media/allow', { serial: 'stick.img' })).allowed, true);
  await treated('allow');
  assert.equal((await one()).allowed, true);
  assert.equal(sh('blockdev', '--getro', loop).trim(), '0');
  sh('mount', loop, at);
  fs.writeFileSync(path.join(at, 'c'), 'c');
});

it('blocked: it is taken away, and cannot be mounted until it is allowed on this machine', async () => {
  await c.must('POST', 'media/deny', { serial: 'stick.img' });
  await policy({ mode: 'block' });
  await treated('block');
  await L.until('it is not mounted any more', () => fails('findmnt', '-n', at));
  assert.ok(fails('mount', loop, at));
  await L.until('the signal', async () => (await c.get('signals?limit=50')).items.some((s) => s.rule === '2d9c7f0e-6b1a-4f7d-8c5b-0a3f1be7d642'));
  await c.must('POST', 'media/allow', { serial: 'stick.img', device: agent.device.id });
  await treated('allow');
  sh('mount', loop, at);
  assert.equal(fs.readFileSync(path.join(at, 'c'), 'utf8'), 'c');
  sh('umount', at);
  sh('losetup', '-d', loop);
  await L.until('it is unplugged', async () => (await one()).attached === false);
  loop = null;
  assert.doesNotMatch(agent.log.join(''), /media ended/); // by its filter, or otherwise
});

it('nonsense is refused, and a machine that is none', async () => {
  assert.equal((await c.call('POST', 'media/allow', { serial: 'a b' })).status, 400);
  assert.equal((await c.call('POST', 'media/allow', {})).status, 400);
  assert.equal((await c.call('POST', 'media/allow', { serial: 'x', device: '0'.repeat(32) })).status, 404);
});
