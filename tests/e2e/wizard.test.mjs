// The set-up wizard at a real terminal: a wrong answer is asked again, and what is said last stays on the screen.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import path from 'node:path';
import * as L from './lib.mjs';

let box;
after(() => box?.stop().catch(() => {}));

test('the wizard at a terminal forgives a wrong word, a wrong account and a weak password', { timeout: 120e3 }, async () => {
  box = await L.Box.start();
  const r = await L.run('python3', [path.join(L.top, 'tests/e2e/wizard.py'), L.programs.cli, box.data, box.code]);
  const seen = JSON.parse(r.out);
  assert.equal(seen.status, 0);
  assert.match(seen.after_clear, /設定できました/);
  assert.equal((await L.request('GET', `${box.url}/api/v1/setup`)).json.done, true);
});
