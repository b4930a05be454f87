// Pictures of every screen for looking at: node test/shots.mjs OUTDIR [name…]
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startMock } from '../mock/server.mjs';
import { startBrowser } from './lib.mjs';
import { SCREENS } from './screens.mjs';

const [out, ...only] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const mock = await startMock();
const browser = await startBrowser();
const langs = (process.env.LANGS || 'ja').split(',');
const widths = (process.env.WIDTHS || '360,1280').split(',').map(Number);
for (const s of SCREENS.filter((x) => !only.length || only.includes(x.name)))
    for (const lang of langs)
        for (const width of widths) {
            mock.reset();
            mock.set(s.mock ?? {});
            const page = await browser.page({ width, lang, base: mock.url });
            await s.open(page, mock);
            await page.screenshot({ path: join(out, `${s.name}-${lang}-${width}.png`), fullPage: true });
            if (page.problems.length) console.log(s.name, lang, width, page.problems);
            await page.context().close();
        }
await browser.close();
await mock.close();
