// The figures of bench/endpoint-answers: a box, a machine of its own beside it, orders one after the other.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from '../tests/e2e/lib.mjs';

const json = process.argv.includes('--json'), at = process.argv.indexOf('--runs');
const runs = at > 0 ? Number(process.argv[at + 1]) : 20, GOAL = 100;
const ns = `ska-${process.pid}`, BOX = '10.78.0.1';
const ip = (...a) => execFileSync('ip', a, { stdio: ['ignore', 'pipe', 'pipe'] });
let box, agent;
try {
  ip('link', 'set', 'lo', 'up');
  ip('netns', 'add', ns);
  ip('link', 'add', 'ska0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns);
  ip('addr', 'add', `${BOX}/24`, 'dev', 'ska0');
  ip('link', 'set', 'ska0', 'up');
  ip('-n', ns, 'addr', 'add', '10.78.0.2/24', 'dev', 'eth0');
  for (const l of ['lo', 'eth0']) ip('-n', ns, 'link', 'set', l, 'up');
  const place = L.tempDir('answers', 0o755), wrapper = path.join(place, 'agent.sh'), data = path.join(place, 'agent');
  fs.writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${ns} ${L.programs.agent} "$@"\n`, { mode: 0o755 });
  L.programs.agent = wrapper;
  fs.mkdirSync(data, { mode: 0o711 });
  fs.mkdirSync(path.join(place, 'watched'));
  fs.writeFileSync(path.join(data, 'policy.conf'), `protect = ${place}/watched\n`);
  box = await L.Box.start({ args: ['--listen', '0.0.0.0'] });
  box.agentUrl = box.agentUrl.replace(/\/\/[^/]*:/, `//${BOX}:`);
  const c = (await L.setUp(box)).client;
  agent = await L.Agent.join(box, c, 'answers', { data, endpoint: true });
  const id = agent.device.id, journal = path.join(data, 'actor/journal-000001.jsonl');
  const ended = (from) => fs.readFileSync(journal, 'utf8').slice(from).split('\n').filter((l) => l.endsWith('}')).map((l) => JSON.parse(l)).find((l) => l.what === 'end');

  /** ms from asking until the machine wrote down that it is so. */
  async function once(action, args, more = {}) {
    const from = fs.existsSync(journal) ? fs.statSync(journal).size : 0, t0 = Date.now();
    await c.post(`devices/${id}/actions`, { action, args, ...more });
    const line = await L.until(action, () => fs.existsSync(journal) && ended(from));
    if (line.state !== 'done') throw new Error(JSON.stringify(line));
    return Date.parse(line.at) - t0;
  }
  const took = { isolate: [], block_address: [] };
  await once('isolate', {}, { for_s: 3600 });
  await once('release', {});
  for (let i = 0; i < runs; i++) {
    took.isolate.push(await once('isolate', {}, { for_s: 3600 }));
    await once('release', {});
    took.block_address.push(await once('block_address', { to: `198.51.100.${i % 250}` }, { for_s: 600 }));
  }
  const figure = (list) => { list.sort((a, b) => a - b); return { p50_ms: list[Math.floor(list.length / 2)], p99_ms: list[Math.min(list.length - 1, Math.floor(list.length * 0.99))] }; };
  const out = { runs, goal_ms: GOAL, isolate: figure(took.isolate), block_address: figure(took.block_address) };
  out.met = out.isolate.p99_ms <= GOAL && out.block_address.p99_ms <= GOAL;
  if (json) console.log(JSON.stringify(out));
  else for (const k of ['isolate', 'block_address']) console.log(`${k}: p50 ${out[k].p50_ms} ms, p99 ${out[k].p99_ms} ms (${runs} runs, goal ${GOAL} ms)`);
} finally {
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
  try { ip('netns', 'del', ns); } catch { /* it was not made */ }
  L.clearUp();
}
process.exit(0);
