// Every screen and the states of it that are worth looking at; the accessibility test and the pictures go through this list.
import { settled } from './lib.mjs';
import { A7, I7 } from '../mock/data.mjs';

const at = (path) => async (page) => { await page.goto(path); await settled(page); };
const UNLOCKED = { unlocked: new Date(Date.parse('2026-11-24T08:43:00+09:00')).toISOString() };
const press = (page, name) => page.getByRole('button', { name }).first().click();
const unfold = (page) => page.evaluate(() => { for (const d of document.querySelectorAll('main details')) d.open = true; });
const J = (page) => page.evaluate(() => document.documentElement.lang === 'ja');
const say = async (page, ja, en) => ((await J(page)) ? ja : en);

export async function toSetup(page, last) {
    await page.goto('/setup');
    await settled(page);
    if (last === 'start') return;
    await page.locator('input.in').first().fill('SAKI-1234');
    await page.locator('button[type=submit]').click();
    await page.waitForSelector('select.sel');
    if (last === 'institution') return settled(page);
    const ins = page.locator('form input.in');
    await ins.nth(0).fill('さくら内科クリニック');
    await ins.nth(1).fill('00-0000-0000');
    await ins.nth(3).fill('見本 花子');
    await page.locator('button[type=submit]').click();
    await page.waitForSelector('input[autocomplete=username]');
    if (last === 'director') return settled(page);
    const d = page.locator('form input.in');
    await d.nth(0).fill('見本 花子');
    await d.nth(1).fill('hanako');
    await d.nth(2).fill('right-horse-9');
    await d.nth(3).fill('right-horse-9');
    await page.locator('button[type=submit]').click();
    await page.waitForSelector('img.qr');
    if (last === 'totp') return settled(page);
    await page.locator('input.in-6').fill('123456');
    await page.locator('button[type=submit]').click();
    await page.waitForSelector('.codes');
    if (last === 'codes') return settled(page);
    await press(page, await say(page, '印刷しました', 'Printed'));
    await press(page, await say(page, '紙を作る', 'Make the sheet'));
    await page.waitForSelector('.rs');
    if (last === 'sheet') return settled(page);
    await page.locator('input[name=printed]').check();
    await press(page, await say(page, '次へ', 'Next'));
    await page.waitForSelector('form input.in');
    if (last === 'confirm') return settled(page);
    const { words } = await import('../mock/data.mjs');
    const all = words('ja');
    const ask = page.locator('form input.in');
    for (const [i, n] of [3, 17, 21].entries()) await ask.nth(i).fill(all[n - 1]);
    await page.locator('button[type=submit]').click();
    await page.waitForSelector('.next');
    return settled(page);
}
export async function fillRecovery(page, words) {
    await page.goto('/recovery');
    await settled(page);
    const ins = page.locator('form .in');
    await ins.nth(0).fill('hanako');
    await ins.nth(1).fill(words);
    await ins.nth(2).fill('right-horse-9');
    await ins.nth(3).fill('right-horse-9');
    await page.locator('button[type=submit]').click();
}
const setup = (step) => ({ name: 'setup-' + step, mock: { role: 'nobody', setup: 'open' }, open: (page) => toSetup(page, step) });
const step = (n, more = {}) => async (page) => {
    await page.goto('/restore');
    await settled(page);
    await page.locator('aside .btn-main').click();
    if (n >= 3) { await page.waitForSelector('input[name=what]'); await page.locator('aside .btn-main').click(); await page.waitForSelector('.dl'); }
    await settled(page);
    if (more.then) await more.then(page);
};

export const SCREENS = [
    ...['start', 'institution', 'director', 'totp', 'codes', 'sheet', 'confirm', 'finish'].map(setup),
    { name: 'sign-in', mock: { role: 'nobody' }, open: at('/sign-in') },
    { name: 'sign-in-totp', mock: { role: 'nobody' }, open: async (page) => {
        await at('/sign-in')(page);
        await page.locator('input.in').nth(0).fill('hanako');
        await page.locator('input.in').nth(1).fill('right-horse-9');
        await page.locator('button[type=submit]').click();
        await page.waitForSelector('input.in-6');
    } },
    { name: 'sign-in-wrong', mock: { role: 'nobody' }, open: async (page) => {
        await at('/sign-in')(page);
        await page.locator('input.in').nth(0).fill('hanako');
        await page.locator('input.in').nth(1).fill('wrong');
        await page.locator('button[type=submit]').click();
        await page.waitForSelector('[aria-invalid]');
    } },
    { name: 'sign-in-locked', mock: { role: 'nobody' }, open: async (page) => {
        await at('/sign-in')(page);
        await page.locator('input.in').nth(0).fill('locked');
        await page.locator('input.in').nth(1).fill('x');
        await page.locator('button[type=submit]').click();
        await page.waitForSelector('[role=alert]');
    } },
    { name: 'recovery', mock: { role: 'nobody' }, open: at('/recovery') },
    { name: 'recovery-wrong', mock: { role: 'nobody' }, open: async (page) => { await fillRecovery(page, 'あさひ いけばな'); await page.waitForSelector('[aria-invalid]'); } },
    { name: 'recovery-done', mock: { role: 'nobody' }, open: async (page) => { await fillRecovery(page, Array(24).fill('あさひ').join(' ')); await page.waitForSelector('.codes'); } },
    { name: 'restore-card', open: at('/restore-card') },
    { name: 'restore-card-unfit', mock: { cardFits: false }, open: at('/restore-card') },
    { name: 'restore-card-none', mock: { noEscrow: true }, open: at('/restore-card') },
    { name: 'first-password', mock: { must_change: true }, open: at('/') },
    { name: 'today-ok', open: at('/') },
    { name: 'today-look', mock: { scenario: 'look' }, open: at('/') },
    { name: 'today-call', mock: { scenario: 'call' }, open: at('/') },
    { name: 'today-unknown', mock: { scenario: 'unknown' }, open: at('/') },
    { name: 'today-first', mock: { empty: true }, open: at('/') },
    { name: 'today-counter', mock: { role: 'counter', scenario: 'look' }, open: at('/') },
    { name: 'today-stale', open: async (page, mock) => { await at('/')(page); mock.set({ drop: true }); await page.clock.fastForward(3 * 60_000); await page.waitForSelector('.ban-wait'); mock.set({ drop: false }); } },
    { name: 'today-not-known', open: async (page, mock) => { await at('/')(page); mock.set({ drop: true }); await page.clock.fastForward(12 * 60_000); await page.waitForSelector('.state-wait'); } },
    { name: 'restore-1', mock: { scenario: 'call' }, open: at('/restore') },
    { name: 'restore-1-suspicious', mock: { scenario: 'call' }, open: async (page) => { await at('/restore')(page); await page.locator('.gen input').first().check(); await page.locator('aside .btn-main').click(); await page.waitForSelector('dialog[open]'); } },
    { name: 'restore-1-search', mock: { scenario: 'call', ...UNLOCKED }, open: async (page) => { await at('/restore')(page); await page.locator('details summary').first().click(); await page.locator('details input[type=search]').fill('xlsx'); await page.locator('details .field-row button').click(); await page.waitForSelector('details .files li'); await page.locator('details summary').nth(1).click(); await page.waitForSelector('details:nth-of-type(2) .files li'); } },
    { name: 'restore-1-search-locked', mock: { scenario: 'call' }, open: async (page) => { await at('/restore')(page); await page.locator('details summary').first().click(); await page.waitForSelector('details input[type=password]'); } },
    { name: 'restore-1-empty', mock: { empty: true }, open: at('/restore') },
    { name: 'restore-2', mock: { scenario: 'call' }, open: step(2) },
    { name: 'restore-2-unlock', mock: { scenario: 'call' }, open: step(2, { then: async (page) => { await page.locator('input[name=what]').nth(1).check(); await page.waitForSelector('input[type=password]'); } }) },
    { name: 'restore-2-files', mock: { scenario: 'call', ...UNLOCKED }, open: step(2, { then: async (page) => {
        await page.locator('input[name=what]').nth(1).check();
        for (const name of ['/srv/share']) { await page.locator('.files button', { hasText: name }).click(); await page.waitForFunction((n) => [...document.querySelectorAll('.crumbs button')].some((b) => b.textContent === n), name); await settled(page); }
        await page.locator('.files input').nth(1).check();
    } }) },
    { name: 'restore-3', mock: { scenario: 'call' }, open: step(3) },
    { name: 'restore-3-unlocked', mock: { scenario: 'call', ...UNLOCKED }, open: step(3) },
    { name: 'restore-running', mock: { scenario: 'call', restore: { id: 'r1', state: 'running', progress: { files: 210, files_total: 394, bytes: 0.8e9, bytes_total: 1.5e9 }, set_aside: null, problems: [], started: new Date(Date.parse('2026-11-24T08:27:00+09:00')).toISOString(), finished: null, ms: null } }, open: at('/restore?run=r1') },
    { name: 'restore-done', mock: { scenario: 'call', restore: { id: 'r1', state: 'complete', progress: { files: 394, files_total: 394, bytes: 1.5e9, bytes_total: 1.5e9 }, set_aside: 394, problems: [], started: '2026-11-23T23:27:00Z', finished: '2026-11-23T23:31:12Z', ms: 252_000 } }, open: at('/restore?run=r1') },
    { name: 'restore-part', mock: { scenario: 'call', restore: { id: 'r1', state: 'partial', progress: { files: 390, files_total: 394, bytes: 1.5e9, bytes_total: 1.5e9 }, set_aside: 0, problems: [{ path: '/srv/share/a.docx', error: 'No space left on device' }], started: '2026-11-23T23:27:00Z', finished: '2026-11-23T23:31:12Z', ms: 252_000 } }, open: at('/restore?run=r1') },
    { name: 'trouble', mock: { scenario: 'call' }, open: at('/trouble') },
    { name: 'incident', mock: { incident: true }, open: at('/trouble/' + I7) },
    { name: 'incident-open', mock: { incident: true }, open: async (page) => { await at('/trouble/' + I7)(page); await page.locator('details summary').click(); await settled(page); } },
    { name: 'logs', open: async (page) => { await at('/logs')(page); await page.waitForSelector('.histo-bar', { state: 'attached' }); } },
    { name: 'logs-event', open: async (page) => { await at('/logs?q=vpn&span=7d')(page); await page.waitForSelector('.histo-bar', { state: 'attached' }); await page.locator('.ev').nth(1).click(); await page.waitForSelector('.ev-f'); } },
    { name: 'logs-bytes', open: async (page) => { await at('/logs')(page); await page.waitForSelector('.histo-bar', { state: 'attached' }); await page.locator('.ev').nth(5).click(); await page.waitForSelector('.ev-in .raw'); } },
    { name: 'logs-wrong', open: async (page) => { await at('/logs?q=' + encodeURIComponent('(vpn OR 失敗'))(page); await page.waitForSelector('.q-bad'); } },
    { name: 'logs-none', mock: { empty: true }, open: async (page) => { await at('/logs')(page); await page.waitForSelector('.empty'); await settled(page); } },
    { name: 'logs-slow', mock: { slow: 1e6 }, open: async (page) => { await at('/logs')(page); await page.waitForSelector('.events li'); } },
    { name: 'logs-fixed', mock: { late: true }, open: async (page) => { await at('/logs?span=fixed&from=2026-11-23T23:00:00Z&until=2026-11-23T23:30:00Z')(page); await page.waitForSelector('.histo-bar', { state: 'attached' }); await page.locator('.fig summary').click(); } },
    { name: 'logs-saved', open: async (page) => { await at('/logs')(page); await page.waitForSelector('.histo-bar', { state: 'attached' }); await page.locator('details summary').first().click(); await page.locator('details summary').last().click(); } },
    { name: 'logs-save', open: async (page) => { await at('/logs?q=vpn')(page); await page.waitForSelector('.events li'); await press(page, await say(page, 'この検索を残す', 'Save this search')); await page.waitForSelector('dialog[open]'); } },
    { name: 'logs-export', open: async (page) => { await at('/logs')(page); await page.waitForSelector('.events li'); await press(page, await say(page, '表にして取り出す', 'Export as a table')); await page.locator('dialog input[type=radio]').nth(1).check(); await page.locator('dialog button[type=submit]').click(); await page.waitForSelector('dialog [role=status] p:nth-of-type(2)'); } },
    { name: 'senders', open: async (page) => { await at('/logs/senders')(page); await page.waitForSelector('.door'); for (const d of await page.locator('details summary').all()) await d.click(); } },
    { name: 'senders-none', mock: { empty: true, noPorts: true }, open: async (page) => { await at('/logs/senders')(page); await page.waitForSelector('.door'); } },
    { name: 'senders-vendor', mock: { role: 'vendor' }, open: async (page) => { await at('/logs/senders')(page); await page.waitForSelector('.door'); } },
    { name: 'senders-edit', open: async (page) => { await at('/logs/senders')(page); await page.waitForSelector('.door'); await page.locator('.sender .btn').first().click(); await page.waitForSelector('dialog[open]'); } },
    { name: 'senders-hold', open: async (page) => { await at('/logs/senders')(page); await page.waitForSelector('.door'); await press(page, await say(page, '消さないと決める: ふつう', 'Put on hold: standard')); await page.waitForSelector('dialog[open]'); } },
    { name: 'maintenance', open: at('/trouble/maintenance') },
    { name: 'maintenance-none', mock: { empty: true }, open: at('/trouble/maintenance') },
    { name: 'playbooks', open: at('/trouble/playbooks') },
    { name: 'playbooks-none', mock: { empty: true }, open: at('/trouble/playbooks') },
    { name: 'rules', open: async (page) => { await at('/rules')(page); await page.waitForSelector('.facts'); for (const d of await page.locator('details > summary').all()) await d.click(); await settled(page); } },
    { name: 'rules-none', mock: { empty: true }, open: async (page) => { await at('/rules')(page); await page.waitForSelector('.empty'); } },
    { name: 'rules-older', open: async (page) => { await at('/rules')(page); await page.waitForSelector('input[type=file]'); await page.locator('input[type=file]').setInputFiles({ name: 'old.skrules', mimeType: 'application/zstd', buffer: Buffer.from('x') }); await page.waitForSelector('dialog[open]'); } },
    { name: 'rule', open: async (page) => { await at('/rules/r1')(page); await page.locator('textarea').fill('procdump -ma lsass.exe'); await page.locator('section form button[type=submit]').last().click(); await page.waitForSelector('.explain'); await page.getByRole('button', { name: /除く条件を足す|Add a filter/ }).click(); await settled(page); } },
    { name: 'rule-feeds', open: at('/rules/r2') },
    { name: 'rule-off', open: at('/rules/r4') },
    { name: 'rule-switch', open: async (page) => { await at('/rules/r3')(page); await page.getByRole('button', { name: /^(止める|Switch off)$/ }).click(); await page.waitForSelector('dialog[open]'); } },
    { name: 'rule-own', open: at('/rules/r5') },
    { name: 'rule-vendor', mock: { role: 'vendor' }, open: at('/rules/r1') },
    { name: 'rule-write', open: async (page) => { await at('/rules/new')(page); await page.getByRole('button', { name: /調べる|Check it/ }).click(); await page.waitForSelector('form .badge'); } },
    { name: 'rule-unsound', open: async (page) => { await at('/rules/r5/edit')(page); await page.locator('textarea').first().fill('title: x\nnosuch: 1\n'); await page.getByRole('button', { name: /使いはじめる|Use it/ }).click(); await page.waitForSelector('[role=alert]'); } },
    { name: 'review', open: at('/review') },
    { name: 'review-none', mock: { empty: true }, open: at('/review') },
    { name: 'review-month', open: at('/review/2026-10') },
    { name: 'review-signed', open: at('/review/2026-09') },
    { name: 'quiet', open: at('/trouble/quiet') },
    { name: 'trouble-none', open: at('/trouble') },
    { name: 'trouble-one', mock: { scenario: 'call' }, open: at('/trouble/' + A7) },
    { name: 'machines', mock: { scenario: 'call' }, open: at('/machines') },
    { name: 'machines-join', open: async (page) => { await at('/machines')(page); await page.locator('.head .btn-main').click(); await page.locator('dialog input').fill('受付パソコン4'); await page.locator('dialog button[type=submit]').click(); await page.waitForSelector('dialog .copy'); } },
    { name: 'machines-one', open: at('/machines/d2') },
    { name: 'machine-log-add', open: async (page) => { await at('/machines/d2')(page); await press(page, await say(page, '記録を足す', 'Add a log')); await page.waitForSelector('dialog select, [role=dialog] select'); } },
    { name: 'protection', open: at('/endpoint') },
    { name: 'protection-none', mock: { empty: true, noFindings: true }, open: at('/endpoint') },
    { name: 'machine-guarded', mock: { isolated: true }, open: async (page) => { await at('/machines/d6')(page); await unfold(page); } },
    { name: 'machine-stopped', mock: { noActs: true }, open: at('/machines/d2') },
    { name: 'machine-isolate', open: async (page) => { await at('/machines/d6')(page); await press(page, await say(page, 'つなぎを切りはなす', 'Cut it off')); await page.waitForSelector('dialog[open]'); } },
    { name: 'machine-scan', open: async (page) => { await at('/machines/d6')(page); await press(page, await say(page, 'いま検査する', 'Scan now')); await page.locator('dialog .tick').nth(1).click(); await page.waitForSelector('dialog textarea'); } },
    { name: 'machine-block', open: async (page) => { await at('/machines/d6')(page); await press(page, await say(page, '相手をふさぐ', 'Block an address')); await page.locator('dialog button[type=submit]').click(); await page.waitForSelector('dialog [aria-invalid]'); } },
    { name: 'machine-unguarded', mock: { unguarded: true }, open: at('/machines/d6') },
    { name: 'findings', open: at('/findings') },
    { name: 'findings-none', mock: { noFindings: true }, open: at('/findings') },
    { name: 'finding', open: async (page) => { await at('/findings/f1')(page); await unfold(page); } },
    { name: 'finding-large', mock: { large: true }, open: at('/findings/f1') },
    { name: 'finding-vendor', mock: { role: 'vendor' }, open: at('/findings/f1') },
    { name: 'finding-malware', open: at('/findings/f2') },
    { name: 'finding-went-on', open: at('/findings/f3') },
    { name: 'finding-resume', open: async (page) => { await at('/findings/f1')(page); await press(page, await say(page, 'うちの作業でした', 'It was ours')); await page.locator('dialog button[type=submit]').click(); await page.waitForSelector('dialog [aria-invalid]'); } },
    { name: 'endpoint-policy', open: async (page) => { await at('/endpoint/policy')(page); await page.locator('main details > summary').click(); } },
    { name: 'endpoint-policy-own', mock: { mediaMode: 'read_only' }, open: at('/endpoint/policy?device=d4') },
    { name: 'quarantine', open: at('/quarantine') },
    { name: 'quarantine-remove', open: async (page) => { await at('/quarantine')(page); await page.locator('main .btn-stop').first().click(); await page.waitForSelector('dialog[open]'); } },
    { name: 'quarantine-none', mock: { empty: true }, open: at('/quarantine') },
    { name: 'media', mock: { mediaMode: 'read_only' }, open: at('/media') },
    { name: 'media-none', mock: { empty: true }, open: at('/media') },
    { name: 'sources', mock: { scenario: 'call' }, open: at('/machines/sources') },
    { name: 'sources-running', open: async (page) => { await at('/machines/sources')(page); await page.locator('.order .btn').first().click(); await page.waitForSelector('.progbar'); } },
    { name: 'source-edit', open: at('/machines/sources/s3') },
    { name: 'source-new-database', open: async (page) => { await at('/machines/sources/new')(page); await page.locator('input[name=kind]').nth(2).click(); await page.locator('summary').first().click(); await page.waitForSelector('select'); } },
    { name: 'source-hours', open: async (page) => { await at('/machines/sources/new')(page); await page.locator('summary').first().click(); await page.locator('fieldset button').first().click(); await page.waitForSelector('svg.week'); } },
    { name: 'source-new', mock: { empty: true }, open: at('/machines/sources/new') },
    { name: 'box', open: at('/machines/box') },
    { name: 'copies', open: async (page) => { await at('/copies')(page); await page.locator('details summary').first().click(); await page.waitForSelector('details .lines'); } },
    { name: 'peers', open: async (page) => { await at('/copies/kept')(page); await page.locator('details summary').first().click(); } },
    { name: 'peers-code', open: async (page) => { await at('/copies/kept')(page); await page.locator('details summary').first().click(); await page.getByRole('button', { name: /新しいコード|new code/ }).first().click(); await page.waitForSelector('dialog[open]'); } },
    { name: 'copies-box', open: async (page) => { await at('/copies')(page); await page.getByRole('button', { name: /アドレスとコードを入れる|Enter address and code/ }).click(); } },
    { name: 'copies-none', mock: { copies: 'none' }, open: at('/copies') },
    { name: 'copies-running', mock: { copying: true }, open: at('/copies') },
    { name: 'people', open: at('/people') },
    { name: 'people-add', open: async (page) => { await at('/people')(page); await page.locator('.head .btn-main').click(); await page.waitForSelector('dialog[open]'); } },
    { name: 'people-slip', open: async (page) => { await at('/people')(page); await page.locator('.head .btn-main').click(); await page.locator('dialog input.in').nth(0).fill('新人 さくら'); await page.locator('dialog input.in').nth(1).fill('sakura'); await page.locator('dialog button[type=submit]').click(); await page.waitForSelector('dialog .codes'); } },
    { name: 'access', open: at('/access') },
    { name: 'audit', open: at('/access/audit') },
    { name: 'drills', mock: { ...UNLOCKED }, open: at('/machines/drills') },
    { name: 'drills-locked', open: at('/machines/drills') },
    { name: 'drill-report', open: at('/machines/drills/d1') },
    { name: 'drill-running', open: at('/machines/drills/d2') },
    { name: 'drill-failed', open: at('/machines/drills/d0') },
    { name: 'retention', open: async (page) => { await page.goto('/retention'); await page.waitForSelector('.fig svg', { state: 'attached' }); await settled(page); } },
    { name: 'retention-stop', open: async (page) => { await page.goto('/retention'); await page.waitForSelector('main .btn-stop.btn-sm'); await page.locator('main .btn-stop.btn-sm').first().click(); await settled(page); } },
    { name: 'retention-empty', mock: { empty: true }, open: at('/retention') },
    { name: 'settings', open: at('/settings') },
    { name: 'settings-store', mock: { store: 'up' }, open: at('/settings') },
    { name: 'settings-store-away', mock: { store: 'away' }, open: at('/settings') },
    { name: 'card', open: at('/card') },
    { name: 'card-many', mock: { many_contacts: true }, open: at('/card') },
    { name: 'settings-mail-failed', mock: { sent: { ok: false, at: '2026-11-23T23:10:00Z', detail: 'Connection refused' } }, open: at('/settings') },
    { name: 'manual', open: at('/manual') },
    { name: 'trust-ca', mock: { role: 'nobody' }, open: at('/trust-ca') },
    { name: 'keys', open: async (page) => { await at('/')(page); await page.keyboard.press('?'); await page.waitForSelector('dialog[open]'); } },
    { name: 'not-for-you', mock: { role: 'staff' }, open: at('/machines') },
    ...['index', 'setup', 'every-day', 'restore', 'emergency', 'machines', 'copies', 'logs', 'rules', 'protection'].map((p) => ({ name: 'manual-' + p, lang: 'ja', open: async (page) => { await page.goto(`/manual/${p}.html`); } })),
    ...['index', 'setup', 'every-day', 'restore', 'emergency', 'machines', 'copies', 'logs', 'rules', 'protection'].map((p) => ({ name: 'manual-en-' + p, lang: 'en', open: async (page) => { await page.goto(`/manual/en/${p}.html`); } })),
];
