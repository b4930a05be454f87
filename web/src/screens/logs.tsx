// Searching what devices logged: a query, a time, what was found over time and one by one.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, api, query } from '../api';
import type { LogCounts, LogItem, LogPage, LogSpan, LogState, SavedSearch } from '../api';
import { Histogram, bucketsOf } from '../charts/histo';
import { manualPath, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useNow } from '../live';
import { Link, focusHeading, navigate } from '../router';
import type { Place } from '../router';
import { T as C } from '../text/common';
import { T } from '../text/logs';
import { clock, countOf, dateOf, parts, whenOf } from '../time';
import { Dialog, Empty, ErrorBox, Field, Head, Loading, Mark, Said, TextField } from '../ui/parts';
import { LogEvent, dayTime, textOf } from './logevent';
import { ExportDialog } from './logexport';

const SPANS: [LogSpan, number, Text][] = [['1h', 3600, T.s_1h], ['24h', 86400, T.s_24h], ['7d', 7 * 86400, T.s_7d], ['30d', 30 * 86400, T.s_30d], ['all', 0, T.s_all]];
const PAGE = 50;
const WITHIN_S = 2; // a question of the box is this long, so that "stop" is soon heard

export interface Asked { q: string; span: LogSpan; from_s: number; until_s: number }

function spanOfPlace(place: Place): LogSpan {
    const s = place.query.get('span') as LogSpan | null;
    return s && (s === 'fixed' || SPANS.some(([k]) => k === s)) ? s : '24h';
}

/* The bounds that are asked for: those of a chosen span begin where a bar begins. */
function bounds(place: Place, now_s: number, first_s: number, last_s: number): Asked {
    const span = spanOfPlace(place), q = place.query.get('q') ?? '';
    if (span === 'fixed') return { q, span, from_s: Math.floor(Date.parse(place.query.get('from') ?? '') / 1000) || 0, until_s: Math.floor(Date.parse(place.query.get('until') ?? '') / 1000) || now_s };
    const back = SPANS.find(([k]) => k === span)![1];
    const until = (back ? now_s : Math.max(now_s, last_s)) + 60;
    return { q, span, from_s: bucketsOf(back ? now_s - back : Math.min(first_s || now_s - 86400, now_s - 60), until).from, until_s: until };
}
export const rfc = (s: number) => new Date(s * 1000).toISOString();
const local = (iso: string | null) => { if (!iso || !Date.parse(iso)) return ''; const p = parts(iso), z = (n: number) => String(n).padStart(2, '0'); return `${p.y}-${z(p.m)}-${z(p.d)}T${z(p.h)}:${z(p.min)}`; };
export const linkOf = (q: string, span: LogSpan, from?: string, until?: string) => '/logs' + query({ q, span, ...(span === 'fixed' ? { from, until } : {}) });

interface Found { of: Asked | null; items: LogItem[]; next: string; searching: boolean; reached: number | null; stopped: boolean; error: ApiError | null; damaged: number }
const NOTHING: Found = { of: null, items: [], next: '', searching: false, reached: null, stopped: false, error: null, damaged: 0 };

/** Pages of results; the box answers in short pieces and the next is asked for until a page is full, so that it can be stopped. */
function useSearch(asked: Asked | null): Found & { more: () => void; stop: () => void } {
    const [found, set] = useState<Found>(NOTHING);
    const running = useRef<AbortController | null>(null);
    const run = async (a: Asked, from: Found) => {
        running.current?.abort();
        const ctl = running.current = new AbortController();
        let now: Found = { ...from, of: a, searching: true, stopped: false, error: null };
        const want = now.items.length + PAGE;
        set(now);
        try {
            do {
                const p: LogPage = await api.get('/logs/search' + query({ q: a.q, from: rfc(a.from_s), until: rfc(a.until_s), limit: Math.max(1, want - now.items.length), raw: 1, within: WITHIN_S, cursor: now.next }), false, ctl.signal);
                if (ctl.signal.aborted) return;
                now = { ...now, items: [...now.items, ...p.items], next: p.more ? p.next : '', reached: p.late ? p.reached_s ?? now.reached : now.reached, damaged: Math.max(now.damaged, p.stats?.blocks_damaged ?? 0), searching: p.late && now.items.length + p.items.length < want };
                set(now);
            } while (now.searching && now.next);
            set({ ...now, searching: false });
        } catch (e) {
            if (!ctl.signal.aborted) set({ ...now, searching: false, error: e as ApiError });
        }
    };
    const key = asked ? `${asked.q}\n${asked.span}\n${asked.from_s}\n${asked.until_s}` : '';
    useEffect(() => {
        if (asked) void run(asked, NOTHING);
        return () => running.current?.abort();
    }, [key]);
    return { ...found, more: () => { if (asked) void run(asked, found); }, stop: () => { running.current?.abort(); set((f) => ({ ...f, searching: false, stopped: true })); } };
}

function useCounts(asked: Asked | null, on: boolean): LogCounts | null {
    const [counts, set] = useState<LogCounts | null>(null);
    const key = asked ? `${asked.q}\n${asked.from_s}\n${asked.until_s}` : '';
    useEffect(() => { set(null); }, [key]);
    useEffect(() => {
        if (!asked || !on) return;
        const ctl = new AbortController();
        const b = bucketsOf(asked.from_s, asked.until_s);
        const exact = asked.span === 'fixed';
        api.get<LogCounts>('/logs/histogram' + query({ q: asked.q, from: rfc(exact ? asked.from_s : b.from), until: rfc(exact ? asked.until_s : b.from + b.n * b.width), buckets: b.n, within: 10 }), false, ctl.signal)
            .then((c) => { if (!ctl.signal.aborted) set(c); }, () => { /* the list says what went wrong */ });
        return () => ctl.abort();
    }, [key, on]);
    return counts;
}

export function LogsScreen({ place }: { place: Place }) {
    const state = useGet<LogState>('/logs');
    const [turn, setTurn] = useState(0);
    const asked = useRef<{ key: string; a: Asked } | null>(null);
    const where = place.query.toString();
    const ready = state.data || state.error;
    const key = `${where}\n${turn}`;
    if (ready && asked.current?.key !== key) asked.current = { key, a: bounds(place, Math.floor(Date.now() / 1000), state.data?.first_s ?? 0, state.data?.last_s ?? 0) };
    const a = ready ? asked.current!.a : null;
    const found = useSearch(a);
    const counts = useCounts(a, found.of === a && !found.searching && !found.error);
    const now = useNow(60_000);
    const [exporting, setExporting] = useState(false);
    const [saving, setSaving] = useState(false);
    const [said, setSaid] = useState<string | null>(null);
    const saved = useList<SavedSearch>('/logs/saved?limit=200');
    const span = spanOfPlace(place);
    const go = (href: string) => { setSaid(null); if (href === '/logs' + (where ? '?' + where : '')) setTurn((n) => n + 1); else navigate(href); };
    const add = (term: string) => go(linkOf([a?.q, term].filter(Boolean).join(' '), span, place.query.get('from') ?? undefined, place.query.get('until') ?? undefined));
    return <><Head title={t(T.title)} lead={t(T.lead)}><Link class="btn btn-sm" href="/logs/senders">{t(T.toSenders)}</Link></Head>
        <Form place={place} error={found.error} go={go} />
        <div class="stack stack-l mt">
            <Saved list={saved.data?.items ?? []} reload={saved.reload} use={go} now={now} />
            {found.error && found.error.code !== 'bad_query' && <ErrorBox error={found.error} retry={() => setTurn((n) => n + 1)} />}
            {!ready ? <Loading /> : !found.error && <>
                {counts && <section class="card" aria-labelledby="hi"><h2 id="hi">{t(T.histo)}</h2><Histogram key={`${where}${turn}`} counts={counts} now={now} onPick={(b) => go(linkOf(a!.q, 'fixed', new Date(b.from).toISOString(), new Date(b.until).toISOString()))} /></section>}
                <Results found={found} add={add} now={now} />
                <div class="btn-row no-print">{found.items.length > 0 && <button type="button" class="btn" onClick={() => setExporting(true)}>{t(T.export)}</button>}
                    <button type="button" class="btn" onClick={() => setSaving(true)}>{t(T.save)}</button></div></>}
            <Said text={said} />
            <Help /></div>
        {exporting && a && <ExportDialog asked={a} onClose={() => setExporting(false)} />}
        {saving && a && <SaveDialog place={place} q={a.q} onClose={() => setSaving(false)} done={(name) => { setSaving(false); setSaid(t(T.savedNow, { name })); saved.reload(); }} />}</>;
}

function Form({ place, error, go }: { place: Place; error: ApiError | null; go: (href: string) => void }) {
    const [q, setQ] = useState(place.query.get('q') ?? '');
    const [span, setSpan] = useState<LogSpan>(spanOfPlace(place));
    const [from, setFrom] = useState(local(place.query.get('from')));
    const [until, setUntil] = useState(local(place.query.get('until')));
    const [bad, setBad] = useState<string | null>(null);
    const where = place.query.toString();
    useEffect(() => { setQ(place.query.get('q') ?? ''); setSpan(spanOfPlace(place)); setFrom(local(place.query.get('from'))); setUntil(local(place.query.get('until'))); setBad(null); }, [where]);
    const wrong = error?.code === 'bad_query' ? error : null;
    const send = (s: LogSpan) => {
        if (s !== 'fixed') return go(linkOf(q.trim(), s));
        const f = Date.parse(`${from}:00+09:00`), u = Date.parse(`${until}:00+09:00`);
        if (!f || !u || u <= f) return setBad(t(T.rangeNeed));
        setBad(null);
        go(linkOf(q.trim(), 'fixed', new Date(f).toISOString(), new Date(u).toISOString()));
    };
    const pick = (s: LogSpan) => { setSpan(s); setBad(null); if (s !== 'fixed') send(s); };
    return <form class="card stack no-print" role="search" onSubmit={(e) => { e.preventDefault(); send(span); }} noValidate>
        <Field label={t(T.q)} help={t(T.qHelp)} error={wrong ? wrong.message : null}>
            {(x) => <div class="field-row"><input class="in mono" type="search" value={q} onInput={(e) => setQ(e.currentTarget.value)} autocomplete="off" autocapitalize="off" spellcheck={false} {...x} />
                <button type="submit" class="btn btn-main">{t(T.go)}</button></div>}</Field>
        {wrong && <p class="q-line mono"><Place q={place.query.get('q') ?? ''} at={wrong.body.at ?? 0} /></p>}
        <div role="group" aria-label={t(T.span)}><p class="lab">{t(T.span)}</p><div class="seg mt-8">
            {SPANS.map(([k, , word]) => <button type="button" aria-pressed={span === k} onClick={() => pick(k)}>{t(word)}</button>)}
            <button type="button" aria-pressed={span === 'fixed'} onClick={() => pick('fixed')}>{t(T.s_fixed)}</button></div></div>
        {span === 'fixed' && <><div class="form-grid"><TextField label={t(T.from)} help={t(T.jst)} type="datetime-local" value={from} onInput={setFrom} /><TextField label={t(T.until)} help={t(T.jst)} type="datetime-local" value={until} onInput={setUntil} /></div>
            {bad && <p class="err" role="alert"><Mark state="look" />{bad}</p>}</>}</form>;
}

/* The text with the place marked from which on it was not understood. */
function Place({ q, at }: { q: string; at: number }) {
    const chars = [...q];
    return <>{chars.slice(0, at).join('')}<mark class="q-bad">{chars.slice(at).join('') || '\u00a0\u00a0'}</mark><span class="vh"> {t(T.badPlace)}</span></>;
}

function Results({ found, add, now }: { found: ReturnType<typeof useSearch>; add: (term: string) => void; now: number }) {
    const at = found.reached ? `${dateOf(found.reached * 1000, now)} ${clock(found.reached * 1000)}` : '';
    const [open, setOpen] = useState<number | null>(null);
    return <section aria-labelledby="rs"><h2 id="rs" tabIndex={-1}>{t(T.found)}</h2>
        <div role="status" class="mt-8">{found.searching ? <p><b>{t(T.searching)}</b>{at && <> <span class="sub num">{t(T.reached, { at, n: countOf(found.items.length) })}</span></>}</p>
            : found.stopped ? <p>{t(T.stopped, { at: at || '…' })}</p>
                : found.items.length > 0 && <p class="sub num">{t(found.next ? T.shown : T.shownAll, { n: countOf(found.items.length) })}</p>}
            {found.damaged > 0 && <p>{t(T.damaged, { n: countOf(found.damaged) })}</p>}</div>
        {found.searching && <p class="no-print mt-8"><button type="button" class="btn btn-sm" onClick={found.stop}>{t(T.stop)}</button></p>}
        {!found.searching && !found.stopped && !found.items.length && !found.next && <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>}
        {found.items.length > 0 && <ul class="list-card events mt-s">{found.items.map((x) => <li key={x.id}>
            <button type="button" class="ev" aria-expanded={open === x.id} onClick={() => setOpen(open === x.id ? null : x.id)}>
                <span class="ev-t">{dayTime(String(x.event['@timestamp'] ?? ''), now)}</span><span class="ev-h">{String(x.event['@host'] ?? '')}</span>
                <span class="ev-m">{textOf(x)}{x.rules.length > 0 && <> <span class="flag">{t(T.rules, { n: x.rules.length })}</span></>}</span></button>
            {open === x.id && <LogEvent id={x.id} add={add} />}</li>)}</ul>}
        {!found.searching && found.next && <p class="mt-s no-print"><button type="button" class="btn" onClick={found.more}>{t(found.stopped ? T.goOn : T.more)}</button></p>}</section>;
}

function Saved({ list, reload, use, now }: { list: SavedSearch[]; reload: () => void; use: (href: string) => void; now: number }) {
    const [ask, setAsk] = useState<SavedSearch | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const spanWord = (s: SavedSearch) => (s.span === 'fixed' ? `${whenOf(s.from!, now)} 〜 ${whenOf(s.until!, now)}` : t(SPANS.find(([k]) => k === s.span)![2]));
    const del = async () => {
        setError(null);
        try { await api.del(`/logs/saved/${ask!.id}`); reload(); } catch (x) { setError(x as ApiError); }
        setAsk(null);
    };
    return <details class="no-print"><summary>{t(T.saved)}<span class="sub num">{list.length}</span></summary><div class="fold stack"><ErrorBox error={error} />
        {!list.length ? <p>{t(T.savedNone)}</p> : <ul class="list-card">{list.map((s) => <li class="sender"><div><h2 class="h3">{s.name}</h2><p class="mono q-line">{s.q || '*'}</p><p class="sub num">{spanWord(s)} ・ {t(T.savedBy, { by: s.by, at: whenOf(s.made, now) })}</p></div>
            <div class="btn-row"><button type="button" class="btn btn-sm btn-main" aria-label={`${t(T.savedUse)}: ${s.name}`} onClick={() => use(linkOf(s.q, s.span, s.from, s.until))}>{t(T.savedUse)}</button>
                <button type="button" class="btn btn-sm" aria-label={`${t(T.savedDel)}: ${s.name}`} onClick={() => setAsk(s)}>{t(T.savedDel)}</button></div></li>)}</ul>}</div>
        {ask && <Dialog title={t(T.savedAsk)} onClose={() => setAsk(null)}><p><b>{ask.name}</b></p><p>{t(T.savedAskText)}</p>
            <div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(null)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => void del()}>{t(T.savedDel)}</button></div></Dialog>}</details>;
}

function SaveDialog({ place, q, onClose, done }: { place: Place; q: string; onClose: () => void; done: (name: string) => void }) {
    const [name, setName] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!name.trim()) return setBad(t(T.saveNeed));
        setBad(null);
        const span = spanOfPlace(place);
        try {
            await api.post('/logs/saved', { name: name.trim(), q, span, ...(span === 'fixed' ? { from: place.query.get('from'), until: place.query.get('until') } : {}) });
            done(name.trim());
            focusHeading('#rs');
        } catch (x) { const err = x as ApiError; if (err.field === 'name' && err.message) setBad(err.message); else setError(err); }
    };
    return <Dialog title={t(T.save)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><p>{t(T.saveText)}</p><p class="mono q-line">{q || '*'}</p><ErrorBox error={error} />
        <TextField label={t(T.saveName)} value={name} onInput={setName} error={bad} autocomplete="off" />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.saveGo)}</button><button type="button" class="btn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}

function Help() {
    const rows: [string, Text][] = [[t(T.h_words), T.h_word], ['vpn OR (rdp NOT 192.0.2.1)', T.h_and], ['username:tanaka', T.h_field], ['action=login-failed', T.h_equal], ['user:adm*  file?.exe', T.h_wild],
        ['dst_port>1024  bytes:[1000 TO 9000]', T.h_range], ['src_ip:192.0.2.0/24', T.h_net], ['@time>=2026-11-24T08:30', T.h_time], ['username:*', T.h_exists]];
    return <details class="no-print"><summary>{t(T.help)}</summary><div class="fold stack"><table class="tbl nt"><caption class="vh">{t(T.help)}</caption>
        <thead><tr><th scope="col">{t(T.h_form)}</th><th scope="col">{t(T.h_means)}</th></tr></thead>
        <tbody>{[[t(T.h_quoted), T.h_word] as [string, Text], ...rows].map(([form, means]) => <tr><th scope="row" class="mono plainb q-line">{form}</th><td>{t(means)}</td></tr>)}</tbody></table>
        <p><a class="more" href={manualPath('logs.html')}>{t(T.helpMore)}</a></p></div></details>;
}
