// Every screen, Japanese and English, at 360, 768, 1280 and 1440 px: axe (WCAG 2.2 A and AA, best practice) without a
// finding, nothing wider than the window, no error in the console, every target large enough.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { startMock } from '../mock/server.mjs';
import { WIDTHS, startBrowser } from './lib.mjs';
import { SCREENS } from './screens.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
let browser;
let mock;
before(async () => { mock = await startMock(); browser = await startBrowser(); });
after(async () => { await browser?.close(); await mock?.close(); });

/** axe comes in through the debugger, which the page's policy does not concern. */
async function findings(page) {
    return page.evaluate(async (tags) => {
        const r = await window.axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] });
        return r.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + n.html.slice(0, 160)).join(' | ')}`);
    }, TAGS);
}

async function tooWide(page) {
    return page.evaluate(() => {
        const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
        if (over <= 0) return null;
        const who = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.nav, .raw, .vh, svg')).slice(-2);
        return `${over} px: ${who.map((e) => e.outerHTML.slice(0, 120)).join(' | ')}`;
    });
}

/** Drawings are made at the size they are shown: text in them is never scaled down. */
async function scaled(page) {
    return page.evaluate(() => [...document.querySelectorAll('.fig svg[role=img]')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().width > 0 && Math.abs(e.getBoundingClientRect().width - e.viewBox.baseVal.width) > 1)
        .map((e) => `${e.getBoundingClientRect().width} of ${e.viewBox.baseVal.width}`));
}

/** Links inside running text may be as high as the line; everything else that can be pressed is at least 44 px high. */
async function tooSmall(page) {
    return page.evaluate(() => [...document.querySelectorAll('button, a.btn, a.more, select, input:not([type=hidden]):not([type=checkbox]):not([type=radio]), summary, .nav a, .tel a')]
        .filter((e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getBoundingClientRect().height > 0 && e.getBoundingClientRect().height < 43.5)
        .map((e) => `${Math.round(e.getBoundingClientRect().height)} px: ${e.outerHTML.slice(0, 120)}`).slice(0, 3));
}

/** The tests of one language: each is a file of its own, so that both can run at once. */
export function screensIn(lang) {
    describe(`screens in ${lang}`, () => {
        for (const s of SCREENS) {
            if (s.lang && s.lang !== lang) continue; // a page of the manual is in one language
            test(`${s.name} has no finding at any width`, async () => {
                mock.reset();
                mock.set(s.mock ?? {});
                const page = await browser.page({ width: 1280, lang, base: mock.url });
                try {
                    await s.open(page, mock);
                    await page.evaluate(axeSource);
                    for (const width of WIDTHS) {
                        await page.setViewportSize({ width, height: 900 });
                        assert.equal(await tooWide(page), null, `wider than ${width} px`);
                        assert.deepEqual(await scaled(page), [], `scaled drawings at ${width} px`);
                        assert.deepEqual(await tooSmall(page), [], `small targets at ${width} px`);
                        assert.deepEqual(await findings(page), [], `axe at ${width} px`);
                    }
                    assert.deepEqual(page.problems, [], 'console');
                } finally { await page.context().close(); }
            });
        }
    });
}
