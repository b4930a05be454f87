// All generations of a vault as read-only folders, with nothing but its files and the recovery sheet.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w, mounted, place;
after(async () => {
  if (mounted) {
    mounted.kill('SIGINT');
    await new Promise((ok) => mounted.on('exit', ok));
  }
  await w?.stop().catch(() => {});
  L.clearUp();
});
const may = fs.existsSync('/dev/fuse') && (process.getuid() === 0 || fs.existsSync('/usr/bin/fusermount3'));
// Patterns that leave out everything but what is on the way to a path and below it.
const only = (p) => p.split('/').slice(1).flatMap((part, n, all) => [...part].map((ch, i) => `/${[...all.slice(0, n), `${part.slice(0, i)}[!${ch}]*`].join('/')}`));
const mount = async (sheet, vault, options = {}) => {
  mounted = spawn(L.programs.cli, ['mount', place, '--vault', vault, '--sheet', sheet, '--lang', 'en'], { stdio: ['ignore', 'inherit', 'pipe'], ...options });
  let said = '';
  mounted.stderr.on('data', (d) => (said += d));
  await L.until('the mount', () => { if (mounted.exitCode !== null) throw new Error(said); return said.includes('generations are at'); }, 30000);
};
const unmount = async () => {
  const ended = new Promise((ok) => mounted.on('exit', ok));
  mounted.kill('SIGINT');
  mounted = null;
  assert.equal(await ended, 0);
  assert.deepEqual(fs.readdirSync(place), []);
};
// What no read-only view can show: sockets and holes look the same, extended attributes of ACLs are the kernel's.
const plain = (tree) => Object.fromEntries(Object.entries(tree).map(([n, r]) => [n, { ...r, nlink: undefined }]));

test('mounted generations hold the files as they were, and nothing can be written', { timeout: 240e3, skip: may ? false : 'no FUSE on this machine' }, async () => {
  w = await L.World.start({ name: 'mount', fill: (root) => { L.makeTree(path.join(root, 'all'), true); L.fillSmall(path.join(root, 'small')); } });
  const trees = [];
  for (let n = 0; n < 3; n++) {
    const r = await L.backup(w.c, w.source.id);
    assert.equal(r.state, 'complete');
    trees.push(plain(L.treeOf(w.root)));
    fs.writeFileSync(path.join(w.root, `added-${n}.txt`), `${n}\n`.repeat(50000));
    await L.sleep(1200);
  }
  const sheet = path.join(w.place, 'sheet.txt');
  fs.writeFileSync(sheet, w.person.sheet.open.words_ja.join(' '), { mode: 0o600 });
  place = path.join(w.place, 'mnt');
  fs.mkdirSync(place);
  await mount(sheet, path.join(w.box.data, 'vault'));

  const tops = fs.readdirSync(place);
  assert.equal(tops.length, 1, tops.join());
  const gens = fs.readdirSync(path.join(place, tops[0])).sort();
  assert.equal(gens.length, 3);
  gens.forEach((g, n) => {
    const at = path.join(place, tops[0], g);
    assert.deepEqual(plain(L.treeOf(at + w.root)), trees[n], `generation ${n}`);
  });
  // The way down to the source's folder is there, and nothing beside it.
  const first = w.root.split('/')[1];
  assert.deepEqual(fs.readdirSync(path.join(place, tops[0], gens[0])), [first]);
  assert.throws(() => fs.readdirSync(path.join(place, tops[0], gens[0], 'nowhere')), { code: 'ENOENT' });
  // Parts of a large file, from the middle.
  const big = path.join(place, tops[0], gens[2] + w.root, 'added-1.txt'), fd = fs.openSync(big, 'r'), b = Buffer.alloc(10);
  assert.equal(fs.readSync(fd, b, 0, 10, 70001), 10);
  assert.equal(b.toString(), '\n1\n1\n1\n1\n1');
  fs.closeSync(fd);
  const xattr = path.join(place, tops[0], gens[0] + w.root, 'all');
  assert.match(execFileSync('getfattr', ['-R', '-h', '-d', '-m', 'user', '--absolute-names', xattr], { encoding: 'utf8' }), /user\.karte\.number/);
  for (const bad of [() => fs.writeFileSync(path.join(place, 'x'), ''), () => fs.appendFileSync(big, 'x'), () => fs.rmSync(big), () => fs.mkdirSync(path.join(place, tops[0], 'y'))])
    assert.throws(bad, (e) => ['EROFS', 'EACCES', 'EPERM'].includes(e.code));
  await unmount();
});

test('the whole machine as one source, and a person who owns none of the files', { timeout: 240e3, skip: may ? false : 'no FUSE on this machine' }, async (t) => {
  const all = await w.addSource(w.agent.device.id, '/', { name: '全部', exclude: only(w.root) });
  assert.equal((await L.backup(w.c, all.id)).state, 'complete');
  const sheet = path.join(w.place, 'sheet.txt'), secret = fs.readFileSync(path.join(w.root, 'added-0.txt'));
  fs.chmodSync(path.join(w.root, 'added-0.txt'), 0o600);
  assert.equal((await L.backup(w.c, all.id)).state, 'complete');
  await mount(sheet, path.join(w.box.data, 'vault'));
  const top = fs.readdirSync(place).find((n) => n.endsWith(all.id.slice(0, 8)));
  const last = () => path.join(place, top, fs.readdirSync(path.join(place, top)).sort().at(-1));
  assert.deepEqual(fs.readdirSync(last()), [w.root.split('/')[1]], 'the top of "/" can be listed');
  assert.deepEqual(plain(L.treeOf(last() + w.root)), plain(L.treeOf(w.root)));
  await unmount();
  if (process.getuid() !== 0 || !(fs.statSync('/dev/fuse').mode & 0o002)) return t.skip('nobody else may mount here');
  const uid = 65534, mine = path.join(w.place, 'mine'), as = { uid, gid: uid };
  fs.cpSync(path.join(w.box.data, 'vault'), path.join(mine, 'vault'), { recursive: true });
  fs.cpSync(sheet, path.join(mine, 'sheet.txt'));
  execFileSync('chown', ['-R', `${uid}:${uid}`, mine, place]);
  await mount(path.join(mine, 'sheet.txt'), path.join(mine, 'vault'), as);
  const gens = execFileSync('ls', [path.join(place, top)], { ...as, encoding: 'utf8' }).trim().split('\n').sort();
  assert.deepEqual(execFileSync('cat', [path.join(place, top, gens.at(-1)) + path.join(w.root, 'added-0.txt')], as), secret);
  await unmount();
});
