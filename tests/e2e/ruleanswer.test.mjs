// A rule whose answer is stop or kill ends a tree of programs with the box away; what was done is told when the box is back.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

const WAIT = 120e3, root = process.getuid() === 0;
const mark = (word) => `SAKIMORI_TEST_${word}_${process.pid}`; // no other program on this machine has it on its command line
const started = [];
let box, c, agent;

before(async () => {
  if (!root) return;
  box = await L.Box.start({ config: { rules: path.join(L.top, 'rules') } });
  ({ client: c } = await L.setUp(box));
  const rules = L.tempDir('answer-rules', 0o755);
  fs.writeFileSync(path.join(rules, 'own.yml'), `title: A Program Of The Test
name: e2e_answered
logsource:
    product: linux
    category: process_creation
detection:
    selection:
        CommandLine|contains: '_${process.pid}'
        CommandLine|startswith: 'sh -c : SAKIMORI_TEST_'
    condition: selection
level: high
`, { mode: 0o644 });
  // Only this rule and an empty folder: whatever else runs on this machine is left alone.
  agent = await L.Agent.join(box, c, 'answering', { endpoint: true, protect: [L.tempDir('answer-empty', 0o755)], policy: [`rules = ${rules}`] });
});
after(async () => {
  for (const p of started) try { process.kill(-p.pid, 'SIGKILL'); } catch { /* gone */ }
  await agent?.stop().catch(() => {});
  await box?.stop().catch(() => {});
});

/** The state letter of a process; '' when it is gone. */
const letter = (pid) => {
  try { return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0]; } catch { return ''; }
};
const childOf = (pid) => {
  try { return Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]) || null; } catch { return null; }
};

async function policy(answer) {
  await c.must('PUT', `devices/${agent.device.id}/endpoint/policy`, { policy: { ransom: { mode: 'watch' }, rules: { answer } } });
  await L.until(`${answer} holds`, async () => {
    await L.poke(agent).catch(() => {}); // it may not be there yet
    const s = await c.get(`devices/${agent.device.id}/endpoint`);
    return s.policy.state === 'holds' && s.policy.number > 0 && s.state?.judge?.rules === 1;
  }, WAIT);
}

/** A shell and its child in a group of their own; the shell's words are what the rule knows. */
function program(word) {
  const p = spawn('sh', ['-c', `: ${mark(word)}; sleep 1800 & wait`], { stdio: 'ignore', detached: true });
  started.push(p);
  return p;
}

async function answered(answer, state, is) {
  await policy(answer);
  const options = box.options;
  await box.stop();
  const away = Date.now(), p = program(answer);
  const child = await L.until('its child or its end', () => childOf(p.pid) ?? (is(letter(p.pid)) && -1), WAIT);
  await L.until(`the tree: ${answer}`, () => is(letter(p.pid)) && (child === -1 || is(letter(child))), WAIT);
  await assert.rejects(L.request('GET', `${box.url}/api/v1/setup`)); // nobody told the machine to
  const done = Date.now();
  box = await L.Box.start(options);
  c.box = box;
  const f = await L.until('the finding', async () => {
    await L.poke(agent).catch(() => {});
    const all = (await c.get(`findings?device=${agent.device.id}`)).items.filter((x) => x.kind === 'rule' && x.state === state);
    for (const x of all) {
      const whole = await c.get(`findings/${x.id}`);
      if (whole.processes.some((y) => y.line.includes(mark(answer)))) return whole;
    }
    return null;
  }, WAIT);
  const act = f.acts.find((x) => x.action === answer);
  assert.equal(act?.state, 'done', JSON.stringify(f.acts));
  assert.equal(act.by, 'policy');
  assert.ok(Date.parse(act.at) >= away - 1000 && Date.parse(act.at) <= done + 1000, `${act.at} is not while the box was away`);
  assert.equal(f.reasons[0].id, 'e2e_answered');
}

test('a rule stops a tree while the box is away, and tells it later', { skip: !root, timeout: 600e3 },
  () => answered('stop', 'stopped', (s) => s === 'T'));

test('a rule kills a tree while the box is away, and tells it later', { skip: !root, timeout: 600e3 },
  () => answered('kill', 'killed', (s) => s === '' || s === 'Z'));
