// Single-letter keys of the design: off inside fields, and can be switched off altogether.
import { useEffect, useRef, useState } from 'preact/hooks';
import { manualPath, t } from './i18n';
import { navigate } from './router';
import { T } from './text/common';
import { T as E } from './text/endpoint';
import { Dialog } from './ui/parts';

const KEY = 'sakimori.keys';
export function keysOn(): boolean { try { return localStorage.getItem(KEY) !== 'off'; } catch { return true; } }
export function setKeysOn(on: boolean): void { try { localStorage.setItem(KEY, on ? 'on' : 'off'); } catch { /* this page only */ } }

export const GO: [key: string, room: string, path: string, word: { ja: string; en: string }][] = [
    ['t', 'today', '/', T.navToday], ['r', 'restore', '/restore', T.navRestore], ['i', 'trouble', '/trouble', T.navTrouble], ['l', 'review', '/logs', T.navLogs], ['m', 'machines', '/machines', T.navMachines], ['d', 'endpoint', '/endpoint', E.nav], ['k', 'copies', '/copies', T.navCopies],
    ['u', 'people', '/people', T.navPeople], ['a', 'access', '/access', T.navAccess], ['s', 'settings', '/settings', T.navSettings],
];
const GO_MS = 1500;

function inField(e: KeyboardEvent): boolean {
    const el = e.target as HTMLElement | null;
    return !!el?.closest('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]');
}

/** on: only once the sign-in is complete, for what is typed before may be a code. */
export function useKeys({ on, help, rooms }: { on: boolean; help: () => void; rooms: string[] }): void {
    const go = useRef(0);
    useEffect(() => {
        if (!on) return;
        const f = (e: KeyboardEvent) => {
            if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || inField(e) || !keysOn() || document.querySelector('dialog[open]')) return;
            if (e.key === 'ArrowDown' || e.key === 'ArrowUp') return rows(e);
            const now = Date.now();
            const k = e.key.toLowerCase();
            if (now - go.current < GO_MS) {
                go.current = 0;
                const hit = GO.find(([key, room]) => key === k && rooms.includes(room));
                if (hit) { e.preventDefault(); navigate(hit[2]); }
                return;
            }
            if (k === 'g') { go.current = now; return; }
            if (e.key === '?') { e.preventDefault(); help(); }
            else if (k === 'e') { e.preventDefault(); navigate('/card'); }
            else if (k === 'p') { e.preventDefault(); window.print(); }
            else if (k === '/') focusOn(e, 'input[type=search]');
            else if (k === 'f') focusOn(e, '.seg button, [data-filter]');
        };
        addEventListener('keydown', f);
        return () => removeEventListener('keydown', f);
    }, [on, rooms.join()]);
}

function focusOn(e: KeyboardEvent, selector: string): void {
    const el = document.querySelector<HTMLElement>(selector);
    if (!el) return;
    e.preventDefault();
    el.focus();
}

/* Up and down move over the rows of the table the focus is in, or into the first one. */
function rows(e: KeyboardEvent): void {
    const el = e.target as HTMLElement;
    if (el.matches('input[type=radio]')) return;
    const all = [...document.querySelectorAll<HTMLElement>('[data-row]')];
    if (!all.length || !(el === document.body || el.id === 'main' || el.matches('h1') || el.closest('[data-rows]'))) return;
    const i = all.findIndex((x) => x === el);
    const next = all[e.key === 'ArrowDown' ? Math.min(all.length - 1, i + 1) : Math.max(0, i - 1)];
    if (next) { e.preventDefault(); next.focus(); }
}

export function KeyList() {
    const k = (keys: string[], text: string) => <div><dt>{keys.map((x, i) => <>{i > 0 && ' '}<kbd>{x}</kbd></>)}</dt><dd>{text}</dd></div>;
    return <dl class="keys">
        {GO.map(([key, , , word]) => k(['G', key.toUpperCase()], t(word)))}
        {k(['E'], t(T.keysCard))}{k(['P'], t(T.keysPrint))}{k(['/'], t(T.keysSearch))}{k(['↑', '↓'], t(T.keysRows))}
        {k(['Space'], t(T.keysSelect))}{k(['Enter'], t(T.keysOpen))}{k(['F'], t(T.keysFilter))}{k(['Esc'], t(T.keysEsc))}{k(['?'], t(T.keysHelp))}
    </dl>;
}

export function KeysSwitch() {
    const [on, set] = useState(keysOn());
    return <div><label class="mini"><input type="checkbox" checked={on} onChange={(e) => { setKeysOn(e.currentTarget.checked); set(e.currentTarget.checked); }} /><span>{t(T.keysOff)}</span></label>
        <p class="sub">{t(T.keysOffHelp)}</p></div>;
}

export function KeysDialog({ onClose }: { onClose: () => void }) {
    return <Dialog title={t(T.keysTitle)} onClose={onClose}>
        <p class="sub">{t(T.keysGo)} (<kbd>G</kbd> <kbd>T</kbd>)</p>
        <div class="mt-s"><KeyList /></div>
        <div class="mt-s"><KeysSwitch /></div>
        <div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={onClose}>{t(T.close)}</button>
            <a class="more" href={manualPath('index.html')}>{t(T.footManual)}</a></div>
    </Dialog>;
}
