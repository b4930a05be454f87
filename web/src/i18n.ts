// Texts are pairs; a screen's table lives in src/text/. Japanese is the first language, English the second.
export type Lang = 'ja' | 'en';
export interface Text { readonly ja: string; readonly en: string }
export type Values = Record<string, string | number>;

const KEY = 'sakimori.lang';
const listeners = new Set<() => void>();
let current: Lang = stored() ?? 'ja';

function stored(): Lang | null {
    try {
        const v = localStorage.getItem(KEY);
        return v === 'ja' || v === 'en' ? v : null;
    } catch { return null; }
}

export function lang(): Lang { return current; }

/** Chosen by the person: kept in this browser. */
export function setLang(next: Lang): void {
    try { localStorage.setItem(KEY, next); } catch { /* private window: this page only */ }
    use(next);
}

/** What the box proposes, unless this browser has a choice of its own. */
export function proposeLang(next: unknown): void {
    if (!stored() && (next === 'ja' || next === 'en')) use(next);
}

function use(next: Lang): void {
    document.documentElement.lang = next;
    if (next === current) return;
    current = next;
    listeners.forEach((f) => f());
}

/** A page of the manual in the language of the screen; any other link is left as it is. */
export function manualPath(link: string): string {
    const page = link.startsWith('/manual/') ? link.slice(8) : link;
    return link.startsWith('/') && !link.startsWith('/manual/') ? link : `/manual/${current === 'en' ? 'en/' : ''}${page}`;
}

export function onLang(f: () => void): () => void {
    listeners.add(f);
    return () => { listeners.delete(f); };
}

export function fill(text: string, values?: Values): string {
    return values ? text.replace(/\{(\w+)\}/g, (all, k: string) => (k in values ? String(values[k]) : all)) : text;
}

/** a、b、c or a, b, c */
export function listOf(parts: string[]): string { return parts.join(current === 'ja' ? '、' : ', '); }

export function t(text: Text, values?: Values): string { return fill(text[current], values); }
