// What is live: one EventSource for the page, the freshness of the last answer, and a small store for the state of today.
import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { ApiError, BASE, api, onHeard } from './api';
import type { List, Today } from './api';

type Topic = 'logs' | 'today' | 'run' | 'restore' | 'alarm' | 'child' | 'device' | 'copy' | 'peer' | 'self' | 'incident' | 'endpoint' | 'finding' | 'action' | 'quarantine' | 'media';
const TOPICS: Topic[] = ['logs', 'today', 'run', 'restore', 'alarm', 'child', 'device', 'copy', 'peer', 'self', 'incident', 'endpoint', 'finding', 'action', 'quarantine', 'media'];
const subscribers = new Map<Topic, Set<(data: unknown) => void>>();
let source: EventSource | null = null;
let lastHeard = Date.now();

onHeard(() => { lastHeard = Date.now(); });
export function heardAt(): number { return lastHeard; }

export function startLive(): void {
    if (source || typeof EventSource === 'undefined') return;
    source = new EventSource(BASE + '/events');
    for (const topic of TOPICS)
        source.addEventListener(topic, (e) => {
            lastHeard = Date.now();
            let data: unknown;
            try { data = JSON.parse((e as MessageEvent<string>).data); } catch { return; }
            subscribers.get(topic)?.forEach((f) => f(data));
        });
}
export function stopLive(): void {
    source?.close();
    source = null;
}

export function useLive<T>(topic: Topic, f: (data: T) => void): void {
    const ref = useRef(f);
    ref.current = f;
    useEffect(() => {
        const set = subscribers.get(topic) ?? new Set();
        subscribers.set(topic, set);
        const g = (data: unknown) => ref.current(data as T);
        set.add(g);
        return () => { set.delete(g); };
    }, [topic]);
}

export interface Got<T> { data: T | null; error: ApiError | null; loading: boolean; reload: () => void; set: (v: T) => void }

/** GET with "nothing for 300 ms, then a skeleton"; null = not now. A failed reload keeps what was there. */
export function useGet<T>(path: string | null): Got<T> {
    const [state, set] = useState<{ path: string | null; data: T | null; error: ApiError | null; loading: boolean }>({ path, data: null, error: null, loading: path !== null });
    const [turn, again] = useReducer((n: number) => n + 1, 0);
    useEffect(() => {
        if (path === null) return;
        let on = true;
        set((s) => ({ path, data: s.path === path ? s.data : null, error: null, loading: true }));
        api.get<T>(path).then(
            (data) => { if (on) set({ path, data, error: null, loading: false }); },
            (e: ApiError) => { if (on) set((s) => ({ ...s, error: e, loading: false })); },
        );
        return () => { on = false; };
    }, [path, turn]);
    return {
        data: state.path === path ? state.data : null, error: state.error, loading: path !== null && state.loading,
        reload: () => again(undefined), set: (v: T) => set({ path, data: v, error: null, loading: false }),
    };
}

/** Re-renders every period_ms; gives the present time. */
export function useNow(period_ms = 15_000): number {
    const [now, set] = useState(Date.now());
    useEffect(() => {
        const id = setInterval(() => set(Date.now()), period_ms);
        return () => clearInterval(id);
    }, [period_ms]);
    return now;
}

const KEPT = 'sakimori.today';
export interface KeptToday { today: Today; heard: number }
export function keepToday(today: Today): void {
    try { localStorage.setItem(KEPT, JSON.stringify({ today, heard: Date.now() })); } catch { /* full or private: nothing is kept */ }
}
export function keptToday(): KeptToday | null {
    try { return JSON.parse(localStorage.getItem(KEPT) ?? 'null') as KeptToday | null; } catch { return null; }
}

/** A list with a cursor: more() adds the next part. */
export function useList<T>(path: string | null): Got<List<T>> & { more: () => void } {
    const got = useGet<List<T>>(path);
    const more = () => {
        const d = got.data;
        if (!d?.next || path === null) return;
        api.get<List<T>>(path + (path.includes('?') ? '&' : '?') + 'cursor=' + encodeURIComponent(d.next))
            .then((n) => got.set({ items: [...d.items, ...n.items], next: n.next }), () => got.reload());
    };
    return { ...got, more };
}
