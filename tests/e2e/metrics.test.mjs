// A monitoring system reads the figures of a real box with its own token, and nothing else.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import * as L from './lib.mjs';

let box, agent;
after(async () => {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

test('a monitoring system reads the figures of the box and nothing else', { timeout: 120e3 }, async () => {
  box = await L.Box.start();
  const s = await L.setUp(box);
  const c = s.client;
  agent = await L.Agent.join(box, c, 'metrics');
  const dir = L.tempDir('metrics', 0o755);
  L.fillSmall(dir, 5);
  const src = await c.post('sources', { device: agent.device.id, name: '書類', group: 'share', kind: 'files', paths: [dir], schedule: { every: 'off' }, canaries: false, enabled: true });
  assert.equal((await L.backup(c, src.id)).state, 'complete');

  const made = await c.post('monitors', { name: '保守会社' });
  const read = (route, headers) => L.request('GET', `${box.url}${route}`, undefined, { ca: box.ca, headers });
  const mine = { Authorization: `Bearer ${made.token}` };
  const r = await read('/metrics', mine);
  assert.equal(r.status, 200);
  assert.match(r.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  assert.match(r.text, /^sakimori_process_up\{process="vault"\} 1$/m);
  assert.match(r.text, /^sakimori_vault_generations 1$/m);
  assert.match(r.text, /^sakimori_source_last_clean_seconds\{source="[0-9a-f]+",name="書類"\} [1-9]\d{9}$/m);
  assert.match(r.text, /^sakimori_disk_free_bytes [1-9]\d+$/m);
  assert.equal((await read('/metrics')).status, 401);
  assert.equal((await read('/api/v1/sources', mine)).status, 403);
  const agentDoor = await L.request('GET', `${box.agentUrl}/metrics`, undefined, { ca: box.ca, headers: mine });
  assert.equal(agentDoor.status, 404);
  await c.must('DELETE', `monitors/${made.id}`);
  assert.equal((await read('/metrics', mine)).status, 401);
});
