// How long what is kept: the rules in words, a picture of slots and locks with the same facts in a table, orders and holds.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api, query } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive, useNow } from '../live';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/retention';
import { DAY_MS, bytesOf, whenOf } from '../time';
import { Dialog, ErrorBox, Head, Loading, Mark, Said, SelectField, Stripes, TextField, useId } from '../ui/parts';

interface Item { manifest: string; number: number; at: string; slots: string[]; why: string; suspicious: boolean; pinned: boolean; locked_ms: number }
interface Order { id: string; kind: string; state: string; at: string; by: string; reason: string; left_ms: number; manifests: number; ended: string | null; ended_by: string; done: number; kept: number }
interface Hold { id: string; scope: string; what: string; name: string; reason: string; by: string; at: string }
export interface Retention {
    policy: { hourly: number; daily: number; weekly: number; monthly: number; min_days: number };
    date: { gap_ms: number; may_ms: number; gained_ms: number; ask: boolean };
    orders: Order[]; holds: Hold[]; items: Item[]; sources: { id: string; name: string; device: string; device_name: string }[];
    totals: { expired: number; bytes_deleted: number };
}
interface Report { dry: boolean; phase: string; at: string; expired: number; condemned: number; bytes_condemned: number; deleted: number; bytes_deleted: number; blocked: number; error?: string }
interface Clean { running: Report | null; last: Report | null }

const SLOTS = ['hourly', 'daily', 'weekly', 'monthly'] as const;
const word = (prefix: string, key: string): string => { const e = (T as Record<string, Text>)[prefix + key]; return e ? t(e) : key; };
const daysLeft = (ms: number) => Math.ceil(ms / DAY_MS);

export function RetentionScreen() {
    const { session } = useSession();
    const [source, setSource] = useState('');
    const got = useGet<Retention>('/retention' + query({ source }));
    const [said, say] = useState<string | null>(null);
    useLive('today', got.reload);
    const r = got.data;
    const done = (text: string) => { say(text); got.reload(); };
    const may = session?.person?.role;
    useEffect(() => { if (r && !source && r.sources[0]) setSource(r.sources[0].id); }, [r]);
    return <><Head title={t(T.title)} lead={t(T.lead)} />
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}<Said text={said} />
        {!r ? !got.error && <Loading /> : <div class="stack stack-l">
            <Orders r={r} act={may === 'director' || may === 'manager' || may === 'staff'} done={done} />
            <section class="card stack" aria-labelledby="rl"><h2 id="rl">{t(T.rules)}</h2><ul class="plain-list">
                <li>{t(T.rHour, { n: r.policy.hourly })}</li><li>{t(T.rDay, { n: r.policy.daily })}</li><li>{t(T.rWeek, { n: r.policy.weekly })}</li><li>{t(T.rMonth, { n: r.policy.monthly })}</li>
                <li>{t(T.rNew)}</li><li><b>{t(T.rLock, { n: r.policy.min_days })}</b></li><li>{t(T.rEarly)}</li></ul></section>
            <Picture r={r} source={source} setSource={setSource} />
            <Holds r={r} source={source} chief={isLeader(session)} director={may === 'director'} done={done} />
            {may !== 'staff' && <Cleaning r={r} />}
            <DateCard r={r} act={may !== 'vendor'} done={done} />
        </div>}</>;
}

/* ---- the picture ---- */

function Picture({ r, source, setSource }: { r: Retention; source: string; setSource: (s: string) => void }) {
    const name = r.sources.find((s) => s.id === source)?.name ?? '';
    return <section class="card stack" aria-labelledby="pc"><h2 id="pc">{t(T.picture)}</h2>
        {r.sources.length === 0 ? <p>{t(T.none)}</p> : <SelectField label={t(T.source)} value={source} onInput={setSource} options={r.sources.map((s): [string, string] => [s.id, `${s.name}(${s.device_name})`])} />}
        {source && (r.items.length === 0 ? <p>{t(T.none)}</p> : <><figure class="fig">
            <div class="tl-l"><Lanes r={r} name={name} width={716} /></div><div class="tl-m"><Lanes r={r} name={name} width={540} /></div><div class="tl-s"><Lanes r={r} name={name} width={292} /></div>
            <figcaption><span class="key"><svg viewBox="0 0 20 20" aria-hidden="true"><rect class="bar" x="7" y="3" width="6" height="14" /></svg>{t(T.keySlot)}</span>
                {r.items.some((g) => g.suspicious) && <span class="key"><KeyBad />{t(T.keyBad)}</span>}
                <span class="key"><svg viewBox="0 0 20 20" aria-hidden="true"><rect class="band" x="2" y="3" width="16" height="14" /></svg>{t(T.keyLock)}</span></figcaption></figure><Table items={r.items} /></>)}</section>;
}

function KeyBad() {
    const id = useId('rb');
    return <svg viewBox="0 0 20 20" aria-hidden="true"><defs><Stripes id={id} /></defs><rect class="bar-bad" x="6" y="3" width="8" height="14" fill={`url(#${id})`} /></svg>;
}

/** A lane a kind of slot; the newest at the right, older ones closer together. */
function Lanes({ r, name, width }: { r: Retention; name: string; width: number }) {
    const id = useId('rt');
    const now = useNow(60_000);
    const left = 64;
    const right = width - 12;
    const age = (at: string) => Math.max(0, now - Date.parse(at)) / DAY_MS;
    const oldest = Math.max(r.policy.min_days * 1.5, ...r.items.map((g) => age(g.at)));
    const x = (days: number) => right - (Math.log2(1 + Math.min(days, oldest)) / Math.log2(1 + oldest)) * (right - left);
    const lanes = [...SLOTS.map((s) => ({ word: word('w_', s), items: r.items.filter((g) => g.slots.includes(s)) })), { word: t(T.others), items: r.items.filter((g) => g.slots.length === 0) }];
    const marks = [1, 7, 30, 365].filter((d) => d < oldest * 0.8 && right - x(d) > 56).filter((d, i, all) => i === 0 || x(all[i - 1]!) - x(d) > 60);
    const label = t(T.chart, { name, n: r.items.length, h: lanes[0]!.items.length, d: lanes[1]!.items.length, w: lanes[2]!.items.length, m: lanes[3]!.items.length });
    return <svg viewBox={`0 0 ${width} 232`} width={width} height={232} role="img" aria-label={label}><defs><Stripes id={id} /></defs>
        <rect class="band" x={x(r.policy.min_days)} y={8} width={right - x(r.policy.min_days)} height={190} />
        {lanes.map((l, i) => <g><line class="gr" x1={left} x2={right} y1={38 + i * 38} y2={38 + i * 38} /><text x={left - 8} y={32 + i * 38} text-anchor="end">{l.word}</text>
            {l.items.map((g) => <rect class={g.suspicious ? 'bar-bad' : 'bar'} x={x(age(g.at)) - 2} y={14 + i * 38} width={4} height={24} {...(g.suspicious ? { fill: `url(#${id})` } : {})} />)}</g>)}
        <line class="ax" x1={left} x2={right} y1={198} y2={198} />
        <text x={right} y={218} text-anchor="end">{t(T.now)}</text>{marks.map((d) => <text x={x(d)} y={218} text-anchor="middle">{t(T.agoDays, { n: d })}</text>)}
    </svg>;
}

function Table({ items }: { items: Item[] }) {
    return <details><summary>{t(T.table)}<span class="sub num">{items.length}</span></summary><div class="fold"><div class="tbl-wrap"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.table)}</caption>
        <thead role="rowgroup"><tr role="row">{[T.at, T.why, T.slots, T.locked].map((h) => <th role="columnheader" scope="col">{t(h)}</th>)}</tr></thead>
        <tbody role="rowgroup">{[...items].reverse().map((g) => <tr role="row"><th role="rowheader" scope="row" class="nb">{whenOf(g.at)}</th><td role="cell" data-l={t(T.why)}>{word('w_', g.why)}{g.suspicious && <small>{t(T.keyBad)}</small>}</td>
            <td role="cell" data-l={t(T.slots)}>{g.slots.map((s) => word('', s)).join(' ')}</td><td role="cell" data-l={t(T.locked)}>{g.locked_ms > 0 ? t(T.days, { n: daysLeft(g.locked_ms) }) : '–'}</td></tr>)}</tbody></table></div></div></details>;
}

/* ---- orders and holds ---- */

/** A question with a reason: stop an order, set or release a hold. */
function Ask({ title, text, yes, stop, close, act }: { title: string; text: string; yes: string; stop?: boolean; close: () => void; act: (why: string) => Promise<unknown> }) {
    const [why, setWhy] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        if (!why.trim()) return setBad(t(T.reasonNeed));
        try { await act(why.trim()); close(); } catch (x) { setError(x as ApiError); }
    };
    return <Dialog title={title} onClose={close}><form class="stack" onSubmit={go} noValidate><p>{text}</p><ErrorBox error={error} /><TextField label={t(T.reason)} value={why} onInput={setWhy} error={bad} autocomplete="off" maxLength={60} />
        <div class="btn-row"><button type="submit" class={`btn ${stop ? 'btn-stop' : 'btn-main'}`}>{yes}</button><button type="button" class="btn" onClick={close}>{t(C.stopIt)}</button></div></form></Dialog>;
}

function state(o: Order): string {
    if (o.state === 'waiting') return t(T.s_waiting, { n: daysLeft(o.left_ms) });
    if (o.state === 'cancelled') return t(T.s_cancelled, { at: o.ended ? whenOf(o.ended) : '', who: o.ended_by });
    if (o.state === 'executed') return t(T.s_executed, { at: o.ended ? whenOf(o.ended) : '', done: o.done, kept: o.kept });
    return t(T.s_refused);
}

function Orders({ r, act, done }: { r: Retention; act: boolean; done: (s: string) => void }) {
    const [ask, setAsk] = useState<Order | null>(null);
    return <section class="card stack" aria-labelledby="od"><h2 id="od">{t(T.orders)}</h2><p>{t(T.ordersLead)}</p>
        {r.orders.length === 0 ? <p>{t(T.ordersNone)}</p> : <ul class="lines">{r.orders.slice(0, 20).map((o) => <li class="rel"><Mark state={o.state === 'waiting' ? 'call' : 'ok'} label={state(o)} /><div class="under"><b>{t((T as Record<string, Text>)['k_' + o.kind] ?? T.k_delete, { n: o.manifests })}</b>
            <span>{state(o)}</span><span class="sub">{t(T.by, { who: o.by, at: whenOf(o.at), why: o.reason })}</span>{act && o.state === 'waiting' && <span><button type="button" class="btn btn-stop btn-sm" onClick={() => setAsk(o)}>{t(T.stop)}</button></span>}</div></li>)}</ul>}
        {ask && <Ask title={t(T.stopAsk)} text={t(T.stopText)} yes={t(T.stop)} stop close={() => setAsk(null)} act={async (why) => { await api.post(`/retention/orders/${ask.id}/cancel`, { why }); done(t(T.stopped)); }} />}</section>;
}

function Holds({ r, source, chief, director, done }: { r: Retention; source: string; chief: boolean; director: boolean; done: (s: string) => void }) {
    const [ask, setAsk] = useState<Hold | 'add' | null>(null);
    const name = r.sources.find((s) => s.id === source)?.name;
    return <section class="card stack" aria-labelledby="hd"><h2 id="hd">{t(T.holds)}</h2><p>{t(T.holdsLead)}</p>
        {r.holds.length === 0 ? <p>{t(T.holdsNone)}</p> : <ul class="lines">{r.holds.map((h) => <li class="rel"><span aria-hidden="true">・</span><div class="under"><b>{h.scope === 'generation' ? t(T.generation, { id: h.what.slice(0, 12) }) : h.name}</b>
            <span class="sub">{t(T.holdOf, { who: h.by, at: whenOf(h.at), why: h.reason })}</span>{director && <span><button type="button" class="linkbtn" onClick={() => setAsk(h)}>{t(T.release)}</button></span>}</div></li>)}</ul>}
        {chief && name && <div class="btn-row"><button type="button" class="btn" onClick={() => setAsk('add')}>{t(T.holdAdd)}</button></div>}
        {ask === 'add' && <Ask title={t(T.holdAsk, { name: name ?? '' })} text={t(T.holdText)} yes={t(T.holdAdd)} close={() => setAsk(null)} act={async (reason) => { await api.post('/retention/holds', { scope: 'source', id: source, reason }); done(t(T.held)); }} />}
        {ask && ask !== 'add' && <Ask title={t(T.releaseAsk)} text={t(T.releaseText)} yes={t(T.release)} stop close={() => setAsk(null)} act={async (why) => { await api.post(`/retention/holds/${ask.id}/release`, { why }); done(t(T.released)); }} />}</section>;
}

/* ---- clean-up, the date ---- */

function Cleaning({ r }: { r: Retention }) {
    const got = useGet<Clean>('/retention/clean');
    const [error, setError] = useState<ApiError | null>(null);
    const run = got.data?.running;
    const last = got.data?.last;
    useEffect(() => { if (!run) return; const id = setTimeout(got.reload, 700); return () => clearTimeout(id); }, [got.data]);
    const go = async (dry_run: boolean) => { setError(null); try { await api.post('/retention/clean', { dry_run }); got.reload(); } catch (e) { setError(e as ApiError); } };
    return <section class="card stack" aria-labelledby="cl"><h2 id="cl">{t(T.clean)}</h2><p>{t(T.cleanLead)}</p><ErrorBox error={error ?? got.error} />
        <p>{t(T.sofar, { e: r.totals.expired, b: bytesOf(r.totals.bytes_deleted) })}</p>
        <div role="status">{run ? <p>{t(T.running)}</p> : last && <p>{t(last.dry ? T.didDry : T.did, { at: whenOf(last.at), e: last.expired, c: last.condemned, cb: bytesOf(last.bytes_condemned), d: last.deleted, db: bytesOf(last.bytes_deleted) })}</p>}</div>
        {last && last.blocked > 0 && <p>{t(T.blocked, { n: last.blocked })}</p>}
        {!run && <div class="btn-row"><button type="button" class="btn" onClick={() => void go(true)}>{t(T.dry)}</button><button type="button" class="btn" onClick={() => void go(false)}>{t(T.cleanNow)}</button></div>}</section>;
}

function DateCard({ r, act, done }: { r: Retention; act: boolean; done: (s: string) => void }) {
    const [error, setError] = useState<ApiError | null>(null);
    const go = async () => {
        setError(null);
        try { const x = await api.post<{ gained_now_ms: number }>('/retention/date'); done(t(T.dateDone, { n: Math.round(x.gained_now_ms / 3_600_000) })); } catch (e) { setError(e as ApiError); }
    };
    return <section class="card stack" aria-labelledby="dt"><h2 id="dt">{t(T.date)}</h2><p>{t(T.dateText)}</p>{r.date.gap_ms > DAY_MS / 2 && <p>{t(T.dateGap, { n: Math.round(r.date.gap_ms / DAY_MS * 10) / 10 })}</p>}<ErrorBox error={error} />
        {act && <div class="btn-row"><button type="button" class="btn" onClick={() => void go()}>{t(T.dateOk)}</button></div>}</section>;
}
