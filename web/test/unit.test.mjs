// Parts that count: days in Japan, the bars of the time line, sizes, paths as bytes, cells of a spreadsheet.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { root } from './lib.mjs';

globalThis.localStorage = { getItem: () => null, setItem: () => {} };
globalThis.document = { documentElement: {} };
const out = await build({
    stdin: { contents: `export * from './src/time'; export * from './src/charts/slots'; export { markedOf } from './src/charts/lanes'; export { joinB64 } from './src/screens/files'; export { csv, telHref } from './src/ui/parts'; export { query } from './src/api'; export { treeOf, pathText, differing, lacking, quickOf, baseName, shortName } from './src/endpoint'; export { deedsOf } from './src/screens/finding'; export { draftHours, hoursOf, stretches } from './src/screens/hours'; export { setLang, fill } from './src/i18n';`, resolveDir: root, loader: 'ts' },
    bundle: true, write: false, format: 'esm', logLevel: 'error', jsx: 'automatic', jsxImportSource: 'preact', absWorkingDir: root, nodePaths: [join(root, 'node_modules')],
});
const m = await import('data:text/javascript;base64,' + Buffer.from(out.outputFiles[0].text).toString('base64'));
const NOW = Date.parse('2026-11-24T08:30:00+09:00');
const gen = (at, gb, more = {}) => ({ id: at, at: new Date(at).toISOString(), stored_new: gb * 1e9, suspicion: { level: 'none' }, last_clean: false, ...more });

test('a time is shown in Japan, whatever the day is elsewhere', () => {
    m.setLang('ja');
    assert.equal(m.whenOf('2026-11-23T22:10:00Z', NOW), 'きょう 7:10');
    assert.equal(m.whenOf('2026-11-22T15:30:00Z', NOW), 'きのう 23日(月) 0:30');
    assert.equal(m.whenOf('2026-11-21T18:10:00Z', NOW), '22日(日) 3:10');
    assert.equal(m.whenOf('2026-10-01T00:00:00Z', NOW), '10月1日(木) 9:00');
    assert.equal(m.bigWhen('2026-11-23T22:10:00Z', NOW), 'けさ 7:10');
    assert.equal(m.longDate(NOW), '令和8年(2026年) 11月24日(火)');
    assert.equal(m.stampOf(NOW), '令和8年(2026年) 11月24日(火) 8:30');
    assert.equal(m.longDate('2019-05-01T00:00:00Z'), '令和元年(2019年) 5月1日(水)');
});

test('lengths of time and sizes read like speech', () => {
    m.setLang('ja');
    assert.equal(m.agoOf(4800), '1時間20分前');
    assert.equal(m.tookOf(252), '4分12秒');
    assert.equal(m.tookOf(0.2), '1秒', 'nothing takes no time');
    assert.equal(m.spanOf(59.7), '1分');
    assert.equal(m.spanOf(-5), '0秒');
    assert.equal(m.bytesOf(9.8e9), '9.8 GB');
    assert.equal(m.bytesOf(0.9e9, 9.8e9), '0.9 GB');
    assert.equal(m.bytesOf(1200, 9.8e9), '1.2 KB');
    assert.equal(m.bytesOf(0), '0 B');
});

test('a day is one bar, today and a mixed day show their generations', () => {
    const d = (day, h) => Date.parse(`2026-11-${day}T${h}:10:00+09:00`);
    const gens = [gen(d(20, '03'), 1), gen(d(20, '04'), 1), gen(d(22, '03'), 1), gen(d(23, '03'), 1, { last_clean: true }), gen(d(23, '22'), 9, { suspicion: { level: 'high' } }), gen(d(24, '03'), 2), gen(d(24, '07'), 1)];
    const s = m.slotsOf(gens, NOW, 15);
    assert.deepEqual(s.map((x) => [x.gens.length, x.single, x.bad]), [[2, false, false], [0, false, false], [1, false, false], [1, true, false], [1, true, true], [1, true, false], [1, true, false]]);
    assert.equal(s[0].bytes, 2e9);
});

test('the time line keeps the newest and what matters when there are too many', () => {
    const many = Array.from({ length: 24 }, (_, i) => gen(NOW - i * 900_000, 1));
    many[20].last_clean = true;
    const s = m.slotsOf(many, NOW, 6);
    assert.ok(s.length <= 6);
    assert.ok(s.some((x) => x.gens.length === 1 && x.gens[0].last_clean), 'the last clean one has a bar of its own');
    assert.equal(s.reduce((n, x) => n + x.gens.length, 0), 24);
    assert.deepEqual(m.slotsOf([], NOW, 6), []);
});

test('a morning without a copy yet is not a day without a copy', () => {
    const s = m.slotsOf([gen(NOW - 2 * 86_400_000, 1)], NOW, 6);
    assert.deepEqual(s.map((x) => x.gens.length), [1, 0]);
});

test('the axis begins at zero and covers the largest bar', () => {
    for (const b of [0, 1, 999, 5e5, 9.8e9, 1.01e12]) {
        const a = m.axisOf(b);
        assert.ok(a.top >= b && a.step * 2 === a.top, String(b));
    }
    assert.equal(m.axisOf(9.8e9).unit, 'GB');
});

test('paths are joined as bytes, not as what is shown', () => {
    const b = (x) => Buffer.from(x, 'latin1').toString('base64');
    assert.equal(m.joinB64('', b('/srv/share')), b('/srv/share'));
    assert.equal(m.joinB64(b('/srv'), b('\x90\xb3')), b('/srv/\x90\xb3'));
    assert.equal(m.joinB64(b('/'), b('etc')), b('/etc'));
});

test('a cell that looks like a formula stays text', () => {
    assert.equal(m.csv([['=1+1', 'a"b']]), '\ufeff"\'=1+1","a""b"\r\n');
    assert.equal(m.csv([[' =1', '＠A', 'a=b']]), '\ufeff"\' =1","\'＠A","a=b"\r\n');
    assert.equal(m.telHref('03-6812-7837'), 'tel:0368127837');
    assert.equal(m.query({ a: '', b: null, c: 'x y' }), '?c=x+y');
});

test('a row of hours that ends at midnight opens with its end, is saved as it was and is drawn to the end of the day', () => {
    const rows = [{ days: [1, 2], from: '18:00', to: '24:00', kib_s: 0 }, { days: [0], from: '00:00', to: '24:00', kib_s: 5 }, { days: [3], from: '22:00', to: '06:00', kib_s: 9 }];
    const d = m.draftHours(rows);
    assert.equal(d[0].to, '00:00', 'what a field of time can show');
    assert.deepEqual(m.hoursOf(d), rows);
    assert.deepEqual(m.stretches(d[0], 1), [[1080, 1440]]);
    assert.deepEqual(m.stretches(d[0], 3), []);
    assert.deepEqual(m.stretches(d[1], 0), [[0, 1440]]);
    assert.deepEqual(m.stretches(d[2], 4), [[0, 360]]);
});

test('of a long incident the grave signals are shown, however often a mild one repeats', () => {
    const of = (rule, level) => ({ rule, level, entities: [] });
    const list = [of('tries', 'low'), of('abroad', 'high'), of('guessed', 'high'), ...Array.from({ length: 40 }, () => of('rdp', 'medium')), of('spread', 'high'), ...Array.from({ length: 40 }, () => of('rdp', 'medium')), of('shadow', 'critical'), of('rdp', 'medium')];
    const got = m.markedOf(list);
    assert.equal(got.length, 12);
    for (const rule of ['tries', 'abroad', 'guessed', 'rdp', 'spread', 'shadow']) assert.ok(got.some((s) => s.rule === rule), rule);
    const at = got.map((s) => list.indexOf(s));
    assert.deepEqual(at, [...at].sort((a, b) => a - b));
    const many = Array.from({ length: 30 }, (_, i) => of(`r${i}`, i === 17 ? 'critical' : i % 3 ? 'medium' : 'high'));
    assert.ok(m.markedOf(many).includes(many[17]));
    assert.equal(m.markedOf(many).length, 12);
    assert.equal(m.markedOf(list.slice(0, 12)).length, 12);
});

test('a tree of processes knows who started whom, also when a number was used twice and when one is its own parent', () => {
    const p = (pid, start, parent) => ({ pid, start, parent, exe: '/x', line: '' });
    const shape = (nodes) => nodes.map((n) => [n.p.start, shape(n.below)]);
    assert.deepEqual(shape(m.treeOf([p(10, 1, 1), p(11, 2, 10), p(12, 3, 11), p(10, 9, 12), p(13, 10, 10)])), [[1, [[2, [[3, [[9, [[10, []]]]]]]]]]]);
    assert.deepEqual(shape(m.treeOf([p(5, 1, 5)])), [[1, []]]);
    assert.deepEqual(shape(m.treeOf([p(5, 1, 6), p(6, 1, 5)])).flat(Infinity).length, 2, 'a ring ends');
});

test('a path shows as text when it is some, and its bytes when it is not; a newline in a name cannot make a second line', () => {
    assert.equal(m.pathText(Buffer.from('/srv/予約表.xlsx').toString('base64')), '/srv/予約表.xlsx');
    assert.equal(m.pathText(Buffer.from([0x2f, 0x61, 0x90, 0xb3]).toString('base64')), '/a\\x90\\xb3');
    assert.equal(m.pathText(Buffer.from('/a\nb').toString('base64')), '/a\\x0ab');
    assert.equal(m.baseName('/usr/bin/7z'), '7z');
    assert.equal(m.baseName('/'), '/');
    assert.equal(m.shortName('/tmp/' + 'あ'.repeat(60) + '.pdf.exe'), 'あ'.repeat(20) + '…' + 'あ'.repeat(10) + '.pdf.exe');
});

test('of a policy only what differs is set, so the rest goes on following', () => {
    const base = { v: 1, protect: ['auto'], exclude: [], ransom: { mode: 'stop', give_back: true, sensitivity: 1 }, scan: { schedule: null, on_write: true } };
    assert.equal(m.differing(base, base), null);
    assert.deepEqual(m.differing({ ...base, ransom: { ...base.ransom, mode: 'kill' } }, base), { ransom: { mode: 'kill' } });
    assert.deepEqual(m.differing({ ...base, protect: ['/srv'], scan: { ...base.scan, schedule: { weekday: 7, hour: 20 } } }, base), { protect: ['/srv'], scan: { schedule: { weekday: 7, hour: 20 } } });
});

test('what can be decided about a finding follows what was done last', () => {
    const f = (state, acts, more = {}) => ({ state, kind: 'ransomware', program: '/tmp/x', acts: acts.map((action) => ({ action, state: 'done' })), files: { touched: 5, destroyed: 3, kept: 5, given_back: 0, lost: 0 }, ...more });
    assert.deepEqual(m.deedsOf(f('stopped', [])), ['kill', 'resume', 'give_back', 'quarantine']);
    assert.ok(m.deedsOf(f('stopped', ['give_back'])).includes('undo_give_back'));
    assert.ok(m.deedsOf(f('stopped', ['give_back', 'undo_give_back'])).includes('give_back'));
    assert.ok(!m.deedsOf(f('killed', [])).includes('resume'), 'what ended cannot go on');
    assert.ok(!m.deedsOf(f('stopped', [], { program: '/usr/bin/python3.11', sha256: 'ab' })).some((d) => d === 'quarantine' || d === 'block'), 'a program of the system stays');
    assert.deepEqual(m.deedsOf(f('seen', [], { kind: 'media', program: '', files: { touched: 0, kept: 0, given_back: 0 } })), []);
});

test('short lengths of time keep their tenths', () => {
    m.setLang('ja');
    assert.equal(m.quickOf(180), '0.2秒');
    assert.equal(m.quickOf(42), '0.04秒');
    assert.equal(m.quickOf(75_000), '1分');
});

test('what a part of an agent does without on purpose is not called missing', () => {
    const whole = { uid: true, seccomp: true, landlock: true, nnp: true, missing: '' }, wide = { ...whole, uid: false, landlock: false };
    const sensor = { ...wide, missing: 'landlock: it looks at other programs, which Landlock does not allow' };
    const guard = { uid: false, seccomp: false, landlock: false, nnp: false, missing: 'it starts the supervisor again, and keeps the rights that takes' };
    assert.deepEqual(m.lacking({ link: whole, actor: wide, media: wide, sensor, guard }), []);
    assert.deepEqual(m.lacking({ link: { ...whole, uid: false } }), [{ part: 'link', why: '' }], 'a part that needs no rights and has them');
    assert.deepEqual(m.lacking({ sensor: { ...sensor, seccomp: false } }), [{ part: 'sensor', why: '' }]);
    assert.deepEqual(m.lacking({ media: { ...wide, missing: 'the mounts of the machine cannot be reached' } }), [{ part: 'media', why: 'the mounts of the machine cannot be reached' }]);
});
