// Which bars the time line has: a bar a day, and a bar a generation for today and for days that matter.
import type { Generation } from '../api';
import { DAY_MS, dayNumber } from '../time';

export interface Slot {
    day: number;               // JST day number
    at: number;                // time shown under the bar, ms
    gens: Generation[];        // what the bar stands for; none = a day without a copy
    single: boolean;           // one generation with its hour, not a whole day
    bytes: number;
    bad: boolean;
}

const DETAIL = 4; // at most so many single bars of a day; what is older of that day is one bar

function bar(day: number, gens: Generation[], single: boolean): Slot {
    return {
        day, gens, single, at: gens.length ? Math.max(...gens.map((g) => Date.parse(g.at))) : day * DAY_MS,
        bytes: gens.reduce((n, g) => n + g.stored_new, 0), bad: gens.some((g) => g.suspicion.level === 'high'),
    };
}

export function slotsOf(gens: Generation[], now: number, max: number): Slot[] {
    if (!gens.length) return [];
    const days = new Map<number, Generation[]>();
    for (const g of [...gens].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))) {
        const d = dayNumber(g.at);
        days.set(d, [...(days.get(d) ?? []), g]);
    }
    const today = dayNumber(now);
    const first = Math.min(...days.keys());
    const out: Slot[] = [];
    for (let d = Math.max(first, today - max); d <= today; d++) {
        const list = days.get(d) ?? [];
        if (!list.length) {
            if (d < today) out.push(bar(d, [], false)); // today is not over yet: no cross
            continue;
        }
        const mixed = list.some((g) => g.suspicion.level === 'high') && list.some((g) => g.suspicion.level !== 'high');
        if ((d !== today && !mixed) || (list.length === 1 && d !== today)) { out.push(bar(d, list, false)); continue; }
        const keep = interesting(list);
        let run: Generation[] = [];
        const flush = () => { if (run.length) out.push(bar(d, run, run.length === 1)); run = []; };
        for (const g of list) {
            if (keep.has(g)) { flush(); out.push(bar(d, [g], true)); } else run.push(g);
        }
        flush();
    }
    return out.slice(-max);
}

/* The generations of one day that get a bar of their own: last clean, suspicious, then the newest. */
function interesting(list: Generation[]): Set<Generation> {
    const rank = (g: Generation) => (g.last_clean ? 2 : 0) + (g.suspicion.level === 'high' ? 1 : 0);
    const order = [...list].sort((a, b) => rank(b) - rank(a) || Date.parse(b.at) - Date.parse(a.at));
    return new Set(order.slice(0, DETAIL));
}

/** Zero-based axis with at most three grid lines: top is the next of 1, 2, 5 × 10^n above the largest. */
export function axisOf(max_bytes: number): { top: number; step: number; unit: string; div: number } {
    const units: [string, number][] = [['TB', 1e12], ['GB', 1e9], ['MB', 1e6], ['KB', 1e3], ['B', 1]];
    const m = Math.max(1, max_bytes);
    const [unit, div] = units.find(([, d]) => m >= d) ?? ['B', 1];
    const v = m / div;
    const p = 10 ** Math.floor(Math.log10(v));
    const top = [1, 2, 4, 5, 10].map((k) => k * p).find((k) => k >= v - 1e-9) ?? 10 * p;
    return { top: top * div, step: (top / 2) * div, unit, div };
}
