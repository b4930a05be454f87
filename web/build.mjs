// Builds dist/: app.js, app.css, index.html, sw.js, icons and the manual. Needs Node 18 and nothing from the network.
import { build } from 'esbuild';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHash } from 'node:crypto';

const root = dirname(fileURLToPath(import.meta.url));
const out = process.env.SAKIMORI_WEB_OUT || join(root, 'dist');
const read = (p) => readFileSync(join(root, p), 'utf8');

/* Only the tokens the style sheets use, names and values unchanged. */
function tokens(css) {
    const pkg = 'node_modules/@digital-go-jp/design-tokens';
    const all = new Map();
    for (const m of read(pkg + '/dist/tokens.css').matchAll(/(--[a-z0-9-]+)\s*:\s*([^;]+);/g)) all.set(m[1], m[2].trim());
    const want = new Set();
    const add = (text) => {
        for (const m of text.matchAll(/var\((--(?:color|font|line-height|border-radius|elevation)-[a-z0-9-]+)\)/g)) {
            if (want.has(m[1])) continue;
            if (!all.has(m[1])) throw new Error('no such token: ' + m[1]);
            want.add(m[1]);
            add(all.get(m[1]));
        }
    };
    add(css);
    const lines = [...all].filter(([k]) => want.has(k)).map(([k, v]) => `  ${k}: ${v};`);
    return '/*! Subset of @digital-go-jp/design-tokens 1.1.9. MIT License, Copyright (c) 2023 デジタル庁. See NOTICE.txt. */\n' +
        `:root {\n${lines.join('\n')}\n}\n`;
}

/* One page of the manual: the frame of the console around a fragment whose first line says its title. */
function manualPage(folder, name, other, frame) {
    const text = read(folder + name);
    const m = /^<!-- title: (.+?) -->\n/.exec(text);
    if (!m) throw new Error(folder + name + ': the first line must be <!-- title: … -->');
    return frame.replaceAll('{{title}}', m[1]).replaceAll('{{other}}', `/${other}${name}`).replace('{{body}}', () => text.slice(m[0].length))
        .replace(`<a href="/${folder}${name}">`, `<a href="/${folder}${name}" aria-current="page">`);
}

/* The manual in one language; every page has its twin in the other. */
function manual(folder, other) {
    const frame = read(folder + 'frame.html');
    mkdirSync(join(out, folder), { recursive: true });
    for (const f of readdirSync(join(root, folder)).filter((x) => x.endsWith('.html') && x !== 'frame.html')) {
        if (!existsSync(join(root, other, f))) throw new Error(`${other}${f} is missing`);
        writeFileSync(join(out, folder, f), manualPage(folder, f, other, frame));
    }
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const css = readdirSync(join(root, 'src/css')).filter((f) => f.endsWith('.css')).sort().map((f) => read('src/css/' + f)).join('\n');
const done = await build({
    stdin: { contents: tokens(css) + css, loader: 'css', resolveDir: root },
    write: false, minify: true, legalComments: 'inline', charset: 'utf8', target: ['chrome109', 'firefox115', 'safari16'],
});
writeFileSync(join(out, 'app.css'), done.outputFiles[0].contents);

await build({
    entryPoints: [join(root, 'src/main.tsx')], outfile: join(out, 'app.js'), bundle: true, minify: true, charset: 'utf8',
    format: 'esm', target: ['chrome109', 'firefox115', 'safari16'], legalComments: 'inline', jsx: 'automatic', jsxImportSource: 'preact',
    banner: { js: '/*! Sakimori console, Apache-2.0. Contains Preact (MIT), see NOTICE.txt. */' },
});

cpSync(join(root, 'static'), out, { recursive: true });
const stamp = createHash('sha256').update(readFileSync(join(out, 'app.js'))).update(readFileSync(join(out, 'app.css'))).digest('hex').slice(0, 12);
writeFileSync(join(out, 'sw.js'), read('static/sw.js').replace('{{stamp}}', stamp));

manual('manual/', 'manual/en/');
manual('manual/en/', 'manual/');
if (!existsSync(join(out, 'index.html'))) throw new Error('index.html is missing');
writeFileSync(join(out, 'NOTICE.txt'), [
    read('NOTICE.txt'),
    '---- @digital-go-jp/design-tokens 1.1.9 ----', read('node_modules/@digital-go-jp/design-tokens/LICENSE'),
    '---- preact 10.29.8 ----', read('node_modules/preact/LICENSE'),
].join('\n'));
