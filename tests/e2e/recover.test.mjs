// Nothing but the program, the vault's files and the recovery sheet; damage is named and never restored silently wrong;
// the audit log names a changed line.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import * as L from './lib.mjs';

let w, vault, sheet;
const trees = [];
const say = (text) => console.log(`# ${text}`);
after(async () => {
  await w?.stop().catch(() => {});
  L.clearUp();
});
const cli = (args, input) => L.run(L.programs.cli, [...args, '--lang', 'en'], { any: true, input });
const copy = (name) => {
  const to = path.join(w.place, name);
  fs.cpSync(vault, to, { recursive: true });
  return to;
};

test('with box and keys gone, sheet and files bring all generations back', { timeout: 200e3 }, async () => {
  w = await L.World.start({ name: 'recover', fill: (root) => { L.fillSmall(root); fs.writeFileSync(path.join(root, 'image.dcm'), Buffer.alloc(6 << 20, 'noise of a picture')); fs.symlinkSync('p0', path.join(root, 'link')); } });
  for (let n = 0; n < 2; n++) {
    const r = await L.backup(w.c, w.source.id);
    assert.equal(r.state, 'complete');
    trees.push({ id: r.manifest, tree: L.treeOf(w.root) });
    fs.writeFileSync(path.join(w.root, `added-${n}.txt`), `${n}\n`.repeat(500));
  }
  sheet = path.join(w.place, 'sheet.txt');
  fs.writeFileSync(sheet, w.person.sheet.open.words_ja.join(' '));
  const english = path.join(w.place, 'sheet-en.txt'), qr = path.join(w.place, 'sheet-qr.txt'), wrong = path.join(w.place, 'sheet-wrong.txt');
  fs.writeFileSync(english, w.person.sheet.open.words_en.join('\n'));
  fs.writeFileSync(qr, w.person.sheet.open.qr_text);
  fs.writeFileSync(wrong, w.person.sheet.orders.words_ja.join(' '));
  w.audit = (await L.request('GET', `${w.box.url}/api/v1/audit/export`, undefined, { ca: w.box.ca, headers: { Cookie: w.c.cookie } })).text;
  await w.stop();
  vault = path.join(w.place, 'taken');
  fs.cpSync(path.join(w.box.data, 'vault'), vault, { recursive: true });
  fs.rmSync(w.box.data, { recursive: true });
  fs.rmSync(w.agent.data, { recursive: true });
  const list = await cli(['recover', '--vault', vault, '--list', '--json']);
  assert.equal(list.code, 0, list.err);
  const items = JSON.parse(list.out).items;
  assert.deepEqual(new Set(items.map((g) => g.id ?? g.manifest)), new Set(trees.map((t) => t.id)));
  let n = 0;
  for (const [how, t] of [[sheet, trees[0]], [english, trees[1]], [qr, trees[1]]]) {
    const to = path.join(w.place, `out-${n++}`);
    const r = await cli(['recover', '--vault', vault, '--sheet', how, '--generation', t.id, '--to', to]);
    assert.equal(r.code, 0, r.err + r.out);
    assert.deepEqual(L.treeOf(path.join(to, w.root)), t.tree);
  }
  const no = await cli(['recover', '--vault', vault, '--sheet', wrong, '--generation', trees[0].id, '--to', path.join(w.place, 'no')]);
  assert.notEqual(no.code, 0, 'the other key of the sheet opens nothing');
  say(`recovered ${n} times with words in Japanese, in English, and the QR text; equal; the wrong half of the sheet: exit ${no.code}`);
});

test('flipped bits anywhere are found and named, and never restored silently wrong', { timeout: 400e3 }, async () => {
  const clean = await cli(['vault', 'verify', 'data', '--vault', vault]);
  assert.equal(clean.code, 0, clean.out + clean.err);
  const files = fs.readdirSync(vault, { recursive: true }).map(String).filter((f) => /\.(skp|skm|skj)$/.test(f) && !f.startsWith('spare/'));
  const flips = L.long ? 300 : 36;
  let found = 0, refused = 0, equal = 0;
  for (let i = 0; i < flips; i++) {
    const kind = ['.skp', '.skm', '.skj'][i % 3];
    const some = files.filter((f) => f.endsWith(kind));
    const file = some[Math.floor(Math.random() * some.length)];
    const p = path.join(vault, file), b = fs.readFileSync(p), was = Buffer.from(b);
    // Behind a pack stands what heals it: vault scrub looks there.
    const length = kind === '.skp' ? 80 + b.readUInt32LE(56) * 40 + Number(b.readBigUInt64LE(64)) : b.length;
    const at = Math.floor(Math.random() * length), bit = 1 << Math.floor(Math.random() * 8);
    b[at] ^= bit;
    fs.writeFileSync(p, b);
    const what = `${file}, byte ${at} of ${b.length}, bit ${bit}`;
    const v = await cli(['vault', 'verify', 'data', '--vault', vault]);
    assert.notEqual(v.code, 0, `not found: ${what}\n${v.out}`);
    // A journal whose very header is wrong is named as a whole.
    if (!(kind === '.skj' && at < 64 && v.out.includes('the journal cannot be read'))) assert.ok(v.out.includes(path.basename(file).slice(0, 12)) || v.err.includes(path.basename(file).slice(0, 12)), `not named: ${what}\n${v.out}${v.err}`);
    found++;
    const to = path.join(w.place, 'flip');
    const r = await cli(['recover', '--vault', vault, '--sheet', sheet, '--generation', trees[1].id, '--to', to, '--existing', 'overwrite']);
    const back = fs.existsSync(path.join(to, w.root)) ? L.treeOf(path.join(to, w.root)) : {};
    if (r.code === 0) {
      assert.deepEqual(back, trees[1].tree, `restored silently wrong: ${what}`);
      equal++;
    } else {
      // What came back all the same is right, whatever is missing.
      for (const [n, row] of Object.entries(back)) if (row.sha256) assert.equal(row.sha256, trees[1].tree[n]?.sha256, `${what}: ${n} is wrong`);
      refused++;
    }
    fs.rmSync(to, { recursive: true, force: true });
    fs.writeFileSync(p, was);
  }
  const again = await cli(['vault', 'verify', 'data', '--vault', vault]);
  assert.equal(again.code, 0, again.out);
  say(`${flips} flips: ${found} found and named; recovery: ${equal} untouched and equal, ${refused} said so; none silently wrong`);
});

test('a changed or removed line of the audit log is named', { timeout: 60e3 }, async () => {
  const file = path.join(w.place, 'audit.log');
  fs.writeFileSync(file, w.audit);
  const good = await cli(['audit', 'verify', '--file', file]);
  assert.equal(good.code, 0, good.out + good.err);
  const lines = w.audit.split('\n').filter(Boolean);
  assert.ok(lines.length > 10);
  let n = 0;
  for (const at of [1, Math.floor(lines.length / 2), lines.length - 2]) {
    for (const kind of ['changed', 'removed', 'swapped']) {
      const l = [...lines];
      if (kind === 'changed') l[at] = l[at].replace(/[0-8]/, (d) => String(Number(d) + 1));
      else if (kind === 'removed') l.splice(at, 1);
      else [l[at], l[at + 1]] = [l[at + 1], l[at]];
      fs.writeFileSync(file, `${l.join('\n')}\n`);
      const r = await cli(['audit', 'verify', '--file', file]);
      assert.notEqual(r.code, 0, `${kind} line ${at + 1} is not found`);
      assert.match(r.out + r.err, new RegExp(`\\b(${at + 1}|${at + 2})\\b`), `${kind} line ${at + 1} is not named: ${r.out}${r.err}`);
      n++;
    }
  }
  say(`${n} tamperings of ${lines.length} lines named`);
});

test('without a box the sources are known by their names; several are listed, and one of the same name hides none', { timeout: 200e3 }, async () => {
  const v = await L.World.start({ name: 'names', source: { name: '受付' } });
  try {
    const folder = (n) => { const p = path.join(v.place, n); fs.mkdirSync(p); fs.writeFileSync(path.join(p, `${n}.txt`), `${n}\n`); return p; };
    const roots = [v.root, folder('b'), folder('c')];
    /* Two of one name at once are refused; one that was removed keeps what it saved, under the name of its successor. */
    const sources = [v.source, await v.addSource(v.agent.device.id, roots[1], { name: '電子カルテ' })];
    for (const s of sources) assert.equal((await L.backup(v.c, s.id)).state, 'complete');
    await v.c.must('DELETE', `sources/${sources[1].id}`, {});
    sources.push(await v.addSource(v.agent.device.id, roots[2], { name: '電子カルテ' }));
    assert.equal((await L.backup(v.c, sources[2].id)).state, 'complete');
    await v.agent.stop();
    await v.box.stop();
    const words = path.join(v.place, 'sheet.txt'), where = ['recover', '--vault', path.join(v.box.data, 'vault'), '--sheet', words];
    fs.writeFileSync(words, v.person.sheet.open.words_ja.join(' '));
    const items = JSON.parse((await cli([...where, '--list', '--json'])).out).items.filter((g) => g.label !== 'sakimori:self');
    assert.deepEqual(items.map((g) => [g.source, g.label]).sort(), sources.map((s) => [s.id, s.name]).sort());
    const to = (n) => ['--to', path.join(v.place, n)];
    const none = await cli([...where, ...to('none')]);
    assert.notEqual(none.code, 0);
    for (const s of sources) assert.ok(none.err.includes(s.id) && none.err.includes(s.name), none.err);
    assert.ok(!none.err.includes('sakimori:self'), none.err);
    const one = await cli([...where, '--source', '受付', ...to('one')]);
    assert.equal(one.code, 0, one.err);
    assert.deepEqual(L.treeOf(path.join(v.place, 'one', v.root)), L.treeOf(v.root));
    const guide = fs.readFileSync(path.join(v.place, 'one', 'SAKIMORI-GUIDE.txt'), 'utf8');
    assert.ok(guide.includes('- 受付') && guide.includes('- 電子カルテ') && !guide.includes(sources[0].id), guide);
    const two = await cli([...where, '--source', '電子カルテ', ...to('two')]);
    assert.notEqual(two.code, 0);
    assert.ok(two.err.includes(sources[1].id) && two.err.includes(sources[2].id) && !two.err.includes(sources[0].id), two.err);
    const third = await cli([...where, '--source', sources[2].id.slice(0, 12), ...to('third')]);
    assert.equal(third.code, 0, third.err);
    assert.ok(fs.existsSync(path.join(v.place, 'third', roots[2], 'c.txt')));
  } finally {
    await v.stop().catch(() => {});
  }
});
