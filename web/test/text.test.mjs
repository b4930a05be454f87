// Every text has Japanese and English, says the same values in both, and the Japanese keeps the rules of the design.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { root } from './lib.mjs';

const files = readdirSync(join(root, 'src/text')).filter((f) => f.endsWith('.ts'));
const tables = new Map();
for (const f of files) {
    const out = await build({ entryPoints: [join(root, 'src/text', f)], bundle: true, write: false, format: 'esm', logLevel: 'error' });
    tables.set(f, (await import('data:text/javascript;base64,' + Buffer.from(out.outputFiles[0].text).toString('base64'))).T);
}
const each = (fn) => { for (const [file, table] of tables) for (const [key, text] of Object.entries(table)) fn(`${file} ${key}`, text); };

/* The left column of "Words", and the expert words of the plain-words table. A word in brackets stands beside its plain form. */
const BANNED = ['ステータス', '警告', 'インシデント', 'バックアップ', 'ジョブ', 'エージェント', 'オフライン', 'リストア', 'リカバリ', '正常', '世代', '暗号化', 'エントロピー', 'マルウェア', '検知', '端末', '隔離', '不正アクセス',
    '脆弱性', 'パッチ', 'ファームウェア', '誤操作', '漏えい', 'キャンセル', '詳細', '入力値', '不正', 'タイムアウト', '処理中', 'しばらくお待ち', 'データがありません', '認証に', '権限', 'アラート', '遮断', '復元', 'メディア', '切断', '実行', 'エラー', 'ユーザー', 'ログイン', 'ログを'];
const SENTENCE_MAX = 40;

export function faults(ja) {
    const plain = ja.replace(/\([^)]*\)|（[^）]*）/g, '');
    const bad = BANNED.filter((w) => plain.includes(w)).map((w) => `says ${w}`);
    for (const s of ja.split(/(?<=[。?？])/)) {
        const n = [...s.replace(/\{\w+\}/g, '00').trim()].length;
        if (n > SENTENCE_MAX + 4) bad.push(`${n} characters: ${s}`);
    }
    if (/[！!]/.test(ja)) bad.push('shouts');
    return bad;
}

test('every text has Japanese and English', () => {
    let n = 0;
    each((where, text) => {
        n++;
        assert.deepEqual(Object.keys(text).sort(), ['en', 'ja'], where);
        assert.ok(text.ja.trim(), `${where}: no Japanese`);
        if (!/^(日|〜)$/.test(text.ja)) assert.ok(text.en.trim() || text.en === '', where);
    });
    assert.ok(n > 500, `only ${n} texts were read`);
});

test('both languages of a text fill in the same values', () => {
    each((where, text) => {
        const of = (s) => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join();
        assert.equal(of(text.ja), of(text.en), where);
    });
});

test('the Japanese is short, plain and calm', () => {
    const bad = [];
    each((where, text) => { for (const f of faults(text.ja)) bad.push(`${where}: ${f}`); });
    assert.deepEqual(bad, []);
});

test('the check of the Japanese catches a long, an expert and a loud sentence', () => {
    assert.equal(faults('バックアップジョブが失敗しました').length, 2);
    assert.equal(faults('あ'.repeat(60)).length, 1);
    assert.equal(faults('止まりました!').length, 1);
    assert.deepEqual(faults('データを使えなくして、お金を要求するウイルス(ランサムウェア)'), []);
});

test('English texts hold no Japanese', () => {
    each((where, text) => {
        if (where.endsWith(' language') || where.endsWith(' languageLabel')) return; // names its own language
        assert.ok(!/[\u3040-\u30ff\u4e00-\u9fff]/.test(text.en), `${where}: ${text.en}`);
    });
});

test('the manual keeps the same rules', () => {
    const bad = [];
    for (const f of readdirSync(join(root, 'manual')).filter((x) => x.endsWith('.html') && x !== 'frame.html')) {
        const text = readFileSync(join(root, 'manual', f), 'utf8').replace(/<span class="mono">.*?<\/span>/g, '').replace(/<\/(p|li|td|th|h\d|div|b|span)>/g, '\n').replace(/<[^>]+>/g, '');
        for (const line of text.split('\n').map((x) => x.trim()).filter(Boolean)) for (const x of faults(line)) bad.push(`${f}: ${x}`);
    }
    assert.deepEqual(bad, []);
});

test('every page of the manual has its English twin with the same parts, and no Japanese in it', () => {
    const pages = (dir) => readdirSync(join(root, dir)).filter((x) => x.endsWith('.html') && x !== 'frame.html').sort();
    assert.deepEqual(pages('manual'), pages('manual/en'));
    const shape = (text) => [...text.matchAll(/<(h2|h3|ol|ul|table|tr)\b/g)].map((m) => m[1]).join(' ');
    for (const f of pages('manual')) {
        const en = readFileSync(join(root, 'manual/en', f), 'utf8');
        assert.ok(!/[\u3040-\u30ff\u4e00-\u9fff]/.test(en), f);
        assert.equal(shape(en), shape(readFileSync(join(root, 'manual', f), 'utf8')), f);
    }
});

test('screens take their words from the tables', () => {
    const loose = [];
    for (const dir of ['src', 'src/screens', 'src/ui', 'src/charts'])
        for (const f of readdirSync(join(root, dir)).filter((x) => x.endsWith('.tsx'))) {
            const text = readFileSync(join(root, dir, f), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').replace(/\{ ja: '[^']*', en: '[^']*' \}/g, '');
            for (const m of text.matchAll(/[\u3040-\u30ff\u4e00-\u9fff]{2,}[^'"<`]*/g)) loose.push(`${f}: ${m[0].slice(0, 30)}`);
        }
    assert.deepEqual(loose.filter((x) => !/日本語|受付は、紙に|保存は無事です|電話|緊急カード|防人/.test(x)), []);
});

/* Acts of the audit log and of the record of use come from the box; an act without a word would stand there as a code. */
test('every act that the box records has its words', () => {
    const api = join(root, '../src/api'), words = readFileSync(join(root, '../src/core/words.def'), 'utf8'), bad = [];
    const has = (set, key) => words.includes(`WORD(${set}, "${key}", "`);
    const rows = readFileSync(join(api, 'routes.c'), 'utf8').split('\n    { "').filter((x) => x.includes('API_AUDIT')).map((x) => /"([a-z][a-z.-]*)",\s*h_\w+ \}/.exec(x)?.[1] ?? x);
    assert.ok(rows.length > 40, `only ${rows.length} routes were read`);
    for (const act of rows) if (!has('ACT', act)) bad.push(act);
    for (const f of readdirSync(api).filter((x) => x.endsWith('.c')))
        for (const m of readFileSync(join(api, f), 'utf8').matchAll(/"what", "([a-z]+)", "who"/g)) if (!has('USE', m[1])) bad.push(`${f} ${m[1]}`);
    assert.deepEqual(bad, []);
});

test('the foot says where the data is, also when copies are elsewhere, the same on screens and in the manual', () => {
    const foot = tables.get('common.ts').footInside;
    for (const [file, text] of [['frame.html', foot.ja], ['en/frame.html', foot.en]]) assert.ok(readFileSync(join(root, 'manual', file), 'utf8').includes(`<p>${text}</p>`), file);
    assert.match(foot.ja, /写しの場所/);
    assert.match(foot.en, /places you chose for copies/);
});

/* One word, one thing: a backup is a generation in the vault, a copy is a second place of the vault. */
test('in English what is in the vault is a backup; a copy is the vault somewhere else', () => {
    const may = new Set(['copyIt', 'copied', 'selfUse']), bad = [];
    for (const f of ['machines.ts', 'restore.ts', 'retention.ts', 'access.ts', 'trouble.ts', 'card.ts', 'past.ts'])
        for (const [k, v] of Object.entries(tables.get(f) ?? {})) if (!may.has(k) && v.en && /\bcop(y|ies)\b/i.test(v.en)) bad.push(`${f} ${k}: ${v.en}`);
    assert.deepEqual(bad, []);
    for (const [f, words] of [['common.ts', /Copies outside/], ['today.ts', /Copies outside the box/]]) assert.ok(Object.values(tables.get(f)).some((v) => words.test(v.en)), f);
});

test('what the box says by a key (src/core/words.def) keeps the rules of the design', () => {
    const rows = [...readFileSync(join(root, '../src/core/words.def'), 'utf8').matchAll(/^WORD\((\w+), "((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"/gm)];
    assert.ok(rows.length > 250, `${rows.length} rows were read`);
    assert.deepEqual(rows.flatMap(([, set, key, ja]) => faults(ja).map((x) => `${set} ${key}: ${x}`)), []);
});
