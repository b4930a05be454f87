// For bench/endpoint: a real box and a joined agent.  How long from an attacker's start until the finding, and until the incident of the
// first screen; what all parts of the agent cost while nothing happens.
//   node bench/endpoint-box.mjs ATTACKER MAKE_RANGE rounds idle_seconds      prints one line of JSON
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from '../tests/e2e/lib.mjs';

const [attacker, make, rounds, idle] = [process.argv[2], process.argv[3], Number(process.argv[4]), Number(process.argv[5])];
const WAIT = 120e3, out = { finding_ms: [], incident_ms: [], given_back_equal: true };
const hz = 100;
const cost = (pids) => pids.reduce((sum, p) => {
  try {
    const f = fs.readFileSync(`/proc/${p}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    const pss = Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${p}/smaps_rollup`, 'utf8'))[1]);
    return { cpu: sum.cpu + (Number(f[11]) + Number(f[12])) / hz, pss: sum.pss + pss / 1024 };
  } catch {
    return sum;
  }
}, { cpu: 0, pss: 0 });

const box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
let agent, p;
try {
  const c = (await L.setUp(box)).client;
  const dir = L.tempDir('endpoint', 0o755);
  for (let i = 0; i < rounds; i++) execFileSync('/usr/bin/python3', [make, 'make', `${dir}/${i}`, '120']);
  agent = await L.Agent.join(box, c, 'uketsuke-1', { endpoint: true, protect: [dir] });
  const state = () => c.get(`devices/${agent.device.id}/endpoint`);
  await L.until('its sensors are armed', async () => (await state()).state?.sensor?.armed || (await L.poke(agent).catch(() => {}), await L.sleep(500), null), WAIT);
  await L.sleep(15e3);
  const pids = L.family(agent.process.pid), before = cost(pids), began = performance.now();
  await L.sleep(idle * 1000);
  const after = cost(pids);
  out.idle_percent = 100 * (after.cpu - before.cpu) / ((performance.now() - began) / 1000);
  out.pss_mb = after.pss;
  out.parts = pids.length;
  for (let i = 0; i < rounds; i++) {
    const hash = () => execFileSync('sh', ['-c', `cd ${dir}/${i} && find . -type f | sort | xargs -d '\\n' sha256sum`]).toString();
    const was = hash(), known = new Set((await c.get(`findings?device=${agent.device.id}`)).items.map((f) => f.id));
    const t0 = performance.now();
    p = spawn(attacker, ['in_place', `${dir}/${i}`], { stdio: 'ignore' });
    const f = await L.until('the finding', async () => (await c.get(`findings?device=${agent.device.id}`)).items.find((x) => !known.has(x.id)), WAIT);
    out.finding_ms.push(Math.round(performance.now() - t0));
    await L.until('the incident', async () => {
      const open = (await c.get('incidents?open=1')).items;
      for (const x of open) if ((await c.get(`incidents/${x.id}`)).findings?.some((y) => y.id === f.id)) return x;
      return null;
    }, WAIT);
    out.incident_ms.push(Math.round(performance.now() - t0));
    await L.until('it is given back', async () => (await c.get(`findings/${f.id}`)).acts.some((a) => a.action === 'give_back' && a.state === 'done'), WAIT).catch(() => {});
    process.kill(p.pid, 'SIGKILL');
    await L.sleep(500);
    const now = hash().split('\n'), lines = new Set(now);
    if (!was.split('\n').every((l) => lines.has(l))) out.given_back_equal = false;
  }
} catch (e) {
  out.error = String(e.message ?? e).slice(0, 300);
} finally {
  try { process.kill(p.pid, 'SIGKILL'); } catch { /* gone */ }
  await agent?.stop().catch(() => {});
  await box.stop().catch(() => {});
  L.clearUp();
}
console.log(JSON.stringify(out));
process.exit(0);
