// Makes words_table.c from the npm package @scure/bip39:
//   npm pack @scure/bip39 && tar xzf scure-bip39-*.tgz && node generate.mjs package > words_table.c
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
const dir = resolve(process.argv[2] ?? 'package', 'wordlists');
const out = ['/* Made by generate.mjs from @scure/bip39 (MIT); see NOTICE.  Do not edit. */',
    '#include "crypto/words_internal.h"', ''];
for (const [file, name] of [['english', 'crypto_words_en'], ['japanese', 'crypto_words_ja']]) {
    const { wordlist } = await import(pathToFileURL(`${dir}/${file}.js`));
    if (wordlist.length !== 2048 || new Set(wordlist.map(w => w.normalize('NFC'))).size !== 2048) {
        throw new Error(`${file}: not 2048 different words`);
    }
    out.push(`const char *const ${name}[2048] = {`);
    for (let i = 0; i < 2048; i += 8) {
        out.push('    ' + wordlist.slice(i, i + 8).map(w => JSON.stringify(w.normalize('NFC'))).join(', ') + ',');
    }
    out.push('};', '');
}
process.stdout.write(out.join('\n').trimEnd() + '\n');
