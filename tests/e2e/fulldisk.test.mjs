// A disk filled to the last byte by something else: the box still starts, and gives back.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as L from './lib.mjs';

let box, agent, disk;
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  if (disk) execFileSync('umount', ['-l', disk]);
});

test('a box on a full disk starts again and restores', { timeout: 180e3, skip: process.getuid() !== 0 && 'only root can make a disk' }, async () => {
  disk = L.tempDir('full', 0o755);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300m', 'tmpfs', disk]);
  const data = `${disk}/box`, port = L.freePort(), dir = `${L.tempDir('full-src', 0o755)}/d`;
  fs.mkdirSync(dir);
  for (let i = 0; i < 20; i++) fs.writeFileSync(`${dir}/f${i}`, `file ${i}`.repeat(500));
  box = await L.Box.start({ data, port, config: { disk_reserve: '64M' } });
  const s = await L.setUp(box);
  agent = await L.Agent.join(box, s.client, 'full');
  const src = await s.client.post('sources', { device: agent.device.id, name: 'full', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true });
  assert.equal((await L.backup(s.client, src.id)).state, 'complete');
  await box.stop();
  const fd = fs.openSync(`${disk}/junk`, 'w');
  const block = Buffer.alloc(65536, 1);
  try { for (;;) fs.writeSync(fd, block); } catch (e) { assert.equal(e.code, 'ENOSPC'); }
  fs.closeSync(fd);
  box = await L.Box.start({ data, port, config: { disk_reserve: '64M' } });
  await s.client.post('unlock', { password: L.password, card: s.card });
  const g = (await s.client.get(`generations?source=${src.id}`)).items[0];
  const to = L.tempDir('full-to', 0o755);
  const done = await L.restore(s.client, g.id, agent.device.id, { target: { mode: 'place', place: to } });
  assert.equal(done.state, 'complete', JSON.stringify(done.problems));
  assert.equal(execFileSync('diff', ['-rq', dir, to + dir]).toString(), '');
  fs.rmSync(to, { recursive: true, force: true });
});
