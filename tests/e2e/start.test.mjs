// A box that cannot start says why, in both languages, and what to do.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import * as L from './lib.mjs';

after(() => L.clearUp());

function start(...args) {
  return new Promise((ok) => {
    const p = spawn(L.programs.box, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    p.stderr.on('data', (d) => (text += d));
    const timer = setTimeout(() => p.kill('SIGKILL'), 20000);
    p.on('exit', (code) => { clearTimeout(timer); ok({ code, text }); });
  });
}

test('a port in use, a bad address and a folder that cannot be made are said with advice', { timeout: 120e3 }, async () => {
  const port = L.freePort(), other = net.createServer();
  await new Promise((ok) => other.listen(port, '127.0.0.1', ok));
  const used = await start('--data', L.tempDir('start'), '--port', String(port), '--headless');
  other.close();
  assert.notEqual(used.code, 0);
  assert.match(used.text, /ほかのプログラムが使っています/);
  assert.match(used.text, /Another program uses this port/);
  const address = await start('--data', L.tempDir('start'), '--listen', '300.1.1.1', '--headless');
  assert.match(address.text, /300\.1\.1\.1/);
  assert.match(address.text, /IPv4 か IPv6 のアドレス/);
  assert.match(address.text, /takes an IPv4 or IPv6 address/);
  const file = path.join(L.tempDir('start'), 'file');
  fs.writeFileSync(file, '');
  const folder = await start('--data', path.join(file, 'box'), '--headless');
  assert.match(folder.text, /--data でほかのフォルダ/);
  assert.match(folder.text, /Choose another with --data/);
});
