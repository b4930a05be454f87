// Shared by the browser tests: one Chromium, one mock, pages of a fixed moment.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { NOW } from '../mock/data.mjs';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const browserPath = process.env.SAKIMORI_CHROMIUM || '/usr/bin/chromium';
export const WIDTHS = [360, 768, 1280, 1440];
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export async function startBrowser() {
    if (!existsSync(browserPath)) throw new Error(`no browser at ${browserPath}`);
    const dir = mkdtempSync(join(tmpdir(), 'sakimori-web-'));
    const first = await chromium.launchPersistentContext(dir, { executablePath: browserPath, args: ARGS, headless: true });
    const browser = first.browser();
    const opened = [];
    return {
        /** A page of its own store, at a width and in a language, whose clock starts at the mock's moment. */
        async page({ width = 1280, height = 900, lang = 'ja', base, now = NOW, workers = 'block' } = {}) {
            const ctx = browser ? await browser.newContext({ viewport: { width, height }, baseURL: base, serviceWorkers: workers, locale: 'ja-JP', timezoneId: 'Asia/Tokyo' }) : first;
            opened.push(ctx);
            await ctx.addInitScript((l) => { try { if (!localStorage.getItem('sakimori.lang')) localStorage.setItem('sakimori.lang', l); } catch { /* no store on this page */ } }, lang);
            const page = await ctx.newPage();
            page.problems = [];
            page.on('pageerror', (e) => page.problems.push(String(e)));
            page.on('console', (m) => { if (m.type() === 'error' && !/status of (4|5)\d\d|ERR_|Failed to load resource/.test(m.text())) page.problems.push(m.text()); });
            if (now) await page.clock.install({ time: now });
            return page;
        },
        async close() {
            await Promise.allSettled(opened.map((c) => c.close()));
            await first.close();
            rmSync(dir, { recursive: true, force: true });
        },
    };
}

/** Waits until the screen has settled: a heading, and nothing loading. */
export async function settled(page) {
    await page.waitForSelector('#main h1', { state: 'attached' });
    await page.waitForFunction(() => !document.querySelector('#main .loading'));
    await page.waitForTimeout(60);
}
