// What the type checker does not see: nothing inline, nothing from outside, no text without a reader.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const walk = (d) => readdirSync(d).flatMap((f) => { const p = join(d, f); return statSync(p).isDirectory() ? walk(p) : [p]; });
const bad = [];
const sources = [...walk(join(root, 'src')), ...walk(join(root, 'static')), ...walk(join(root, 'manual'))];
const RULES = [
    [/\bstyle\s*=/, /\.(tsx|html)$/, 'an inline style: the policy of the box forbids it'],
    [/\son[a-z]+\s*=\s*"/, /\.html$/, 'an inline handler'],
    [/<script(?![^>]*\ssrc=)/, /\.html$/, 'an inline script'],
    [/<style\b/, /\.(html|tsx)$/, 'an inline style sheet'],
    [/dangerouslySetInnerHTML|\.innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function\(/, /\.(tsx?|js)$/, 'text made into markup or code'],
    [/\b(?:https?:)?\/\/(?!www\.w3\.org\/)[a-z0-9.-]+\.[a-z]{2,}/i, /\.(tsx?|html|css|js|webmanifest)$/, 'an address outside the box'],
    [/@import|url\(/, /\.css$/, 'something fetched by a style sheet'],
    [/console\.(log|debug|info)/, /\.(tsx?|js)$/, 'a message left behind'],
    [/placeholder=/, /\.tsx$/, 'a placeholder: say it in the help line'],
    [/\bdisabled(=|\s|>)/, /\.tsx$/, 'a disabled control: say why instead'],
    [/sessionStorage|indexedDB|document\.cookie/, /\.tsx?$/, 'a store of the browser that nobody agreed on'],
    [/\b(TODO|FIXME|XXX)\b/, /./, 'an open end'],
    [/\t/, /\.(tsx?|css|html|js)$/, 'a tab'],
];
for (const f of sources) {
    const text = readFileSync(f, 'utf8');
    text.split('\n').forEach((line, i) => {
        const code = /\.(tsx?|js)$/.test(f) ? line.replace(/(^|\s)\/\/.*$/, '').replace(/(https:\/\/)(?='\)|'|\))/g, '') : line;
        for (const [what, where, why] of RULES) if (where.test(f) && what.test(code)) bad.push(`${relative(root, f)}:${i + 1}: ${why}: ${line.trim().slice(0, 100)}`);
    });
}

/* What may be kept in the browser, by name. */
const KEPT = new Set(['sakimori.lang', 'sakimori.keys', 'sakimori.today', 'sakimori.card']);
for (const f of walk(join(root, 'src')).filter((x) => /\.tsx?$/.test(x)))
    for (const m of readFileSync(f, 'utf8').matchAll(/'(sakimori\.[a-z]+)'/g)) if (!KEPT.has(m[1])) bad.push(`${relative(root, f)}: keeps ${m[1]} in the browser`);

/* Each text is used: by its key, or through the prefixes that are looked up. */
const code = walk(join(root, 'src')).filter((x) => /\.tsx?$/.test(x) && !x.includes('/text/')).map((x) => readFileSync(x, 'utf8')).join('\n');
for (const f of readdirSync(join(root, 'src/text')))
    for (const m of readFileSync(join(root, 'src/text', f), 'utf8').matchAll(/^ {4}(\w+): \{ ja:/gm)) {
        if (/^(f|w|r|a|p|k|y|s|d|st|t|part)_/.test(m[1])) continue;
        if (!new RegExp(`\\b[A-Z]\\.${m[1]}\\b`).test(code)) bad.push(`src/text/${f}: nobody says ${m[1]}`);
    }

for (const b of bad) console.error(b);
if (bad.length) process.exit(1);
console.log(`check: ${sources.length} files are in order`);
