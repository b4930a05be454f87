// An incident's own parts of the trouble screen, what is kept quiet, and booked remote maintenance.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Booking, Incident, List, Quiet, Signal } from '../api';
import { Lanes, isBad, markedOf } from '../charts/lanes';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useNow } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/incident';
import { whenOf } from '../time';
import { Responses } from './playbooks';
import { AreaField, Dialog, Empty, ErrorBox, Head, Loading, Said, TextField } from '../ui/parts';

const LEVELS: Record<string, Text> = { informational: T.l_informational, low: T.l_low, medium: T.l_medium, high: T.l_high, critical: T.l_critical };
const LEVEL = (s: Signal): string => t(LEVELS[s.level] ?? T.l_medium);
const names = (e: [string, string][]) => e.map(([, text]) => text).join('、');

export function IncidentPath({ inc, reload }: { inc: Incident; reload: () => void }) {
    const now = useNow(60_000);
    const list = inc.timeline.filter((s) => s.what !== 'filtered');
    const marked = markedOf(list);
    return <><section class="card" aria-labelledby="tl"><h2 id="tl">{t(T.path)}</h2><Lanes list={list} />
        {marked.length > 1 && <p class="sub mt-8">{t(T.pathSame)}</p>}
        <ol class="flow mt">{marked.map((s, i) => <li class={isBad(s) ? 'bad' : ''}><span class="n" aria-hidden="true">{i + 1}</span>
            <div><p><time dateTime={s.at}>{whenOf(s.at, now)}</time><span class="at"><span class="nb">{names(s.entities)}</span></span></p>
                <p>{s.text || s.title}{s.times > 1 && <span class="sub num"> {t(T.times, { n: String(s.times) })}</span>}</p></div></li>)}</ol>
        {list.length > marked.length && <p class="sub">{t(T.more, { n: String(list.length - marked.length) })}</p>}</section>
        <Responses inc={inc} reload={reload} />
        <Rests inc={inc} reload={reload} /></>;
}

function Rests({ inc, reload }: { inc: Incident; reload: () => void }) {
    const { session } = useSession();
    const [ask, setAsk] = useState<Signal | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const leader = isLeader(session) && inc.state === 'open';
    return <details><summary>{t(T.why)}<span class="sub num">{inc.timeline.length}</span></summary><div class="fold stack"><Said text={said} />
        <div class="tbl-wrap"><table class="tbl nt tbl-cards"><caption class="vh">{t(T.why)}</caption>
            <thead><tr><th scope="col">{t(T.rule)}</th><th scope="col">{t(T.level)}</th><th scope="col">{t(T.who)}</th>{leader && <th scope="col"><span class="vh">{t(T.falseAlarm)}</span></th>}</tr></thead>
            <tbody>{inc.timeline.map((s) => <tr><th scope="row" data-label={t(T.rule)}>{s.title}<br /><span class="sub mono">{s.rule}</span>{s.facts.author && <><br /><span class="sub">{t(T.author)}: {s.facts.author}</span></>}</th>
                <td data-label={t(T.level)}>{LEVEL(s)}</td><td data-label={t(T.who)} class="mono">{names(s.entities)}</td>
                {leader && <td>{s.what === 'filtered' ? <span class="sub">{t(T.filtered)}</span> : <button type="button" class="btn btn-sm" onClick={() => setAsk(s)}>{t(T.falseAlarm)}</button>}</td>}</tr>)}</tbody></table></div></div>
        {ask && <FalseAlarm s={ask} onClose={() => setAsk(null)} done={() => { setAsk(null); setSaid(t(T.falseDone)); reload(); }} />}</details>;
}

function FalseAlarm({ s, onClose, done }: { s: Signal; onClose: () => void; done: () => void }) {
    const [why, setWhy] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        if (!why.trim()) return setBad(t(T.falseWhyNeed));
        try { await api.post(`/signals/${s.id}/false-alarm`, { why: why.trim() }); done(); } catch (x) { setError(x as ApiError); }
    };
    return <Dialog title={t(T.falseAsk)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><p><b>{s.title}</b></p><p>{t(T.falseText)}</p><ErrorBox error={error} />
        <AreaField label={t(T.falseWhy)} help={t(T.falseWhyHelp)} value={why} onInput={setWhy} error={bad} />
        <div class="btn-row"><button type="button" class="btn btn-main" onClick={onClose}>{t(C.stopIt)}</button><button type="submit" class="btn">{t(T.falseGo)}</button></div></form></Dialog>;
}

export function ToWatchPages() {
    return <p class="btn-row mt-l no-print"><Link class="more" href="/logs">{t(T.toLogs)}</Link><Link class="more" href="/logs/senders">{t(T.toSenders)}</Link><Link class="more" href="/trouble/maintenance">{t(T.toBooked)}</Link><Link class="more" href="/trouble/quiet">{t(T.toQuiet)}</Link><Link class="more" href="/trouble/playbooks">{t(T.toPlaybooks)}</Link><Link class="more" href="/rules">{t(T.toRules)}</Link></p>;
}

export function QuietScreen() {
    const { session } = useSession();
    const now = useNow(60_000);
    const got = useList<Quiet>('/signal-filters');
    const [error, setError] = useState<ApiError | null>(null);
    const end = async (q: Quiet) => {
        setError(null);
        try { await api.del(`/signal-filters/${q.id}`); got.reload(); } catch (x) { setError(x as ApiError); }
    };
    return <><Head title={t(T.toQuiet)} lead={t(T.quietLead)}><Link class="btn btn-sm" href="/trouble">{t(C.navTrouble)}</Link></Head><ErrorBox error={error ?? got.error} retry={got.reload} />
        {!got.data ? !got.error && <Loading /> : !got.data.items.length ? <Empty title={t(T.quietNone)}><p>{t(T.quietNoneText)}</p></Empty>
            : <ul class="list-card">{got.data.items.map((q) => <li class="trouble"><div><h2 class="h3">{q.title}</h2><p class="mono sub">{q.entities.length ? names(q.entities) : t(T.quietAll)}</p>
                <p class="sub">{t(T.quietBy, { by: q.by, at: whenOf(q.made, now), why: q.why })}</p><p class="num">{t(T.quietHits, { n: String(q.hits) })}</p>
                {q.gone ? <p class="sub">{t(T.quietGone, { by: q.gone_by ?? '' })}</p> : isLeader(session) && <div class="btn-row no-print"><button type="button" class="btn btn-sm" aria-label={`${t(T.quietEnd)}: ${q.title}`} onClick={() => void end(q)}>{t(T.quietEnd)}</button></div>}</div></li>)}</ul>}</>;
}

export function MaintenanceScreen() {
    const { session } = useSession();
    const now = useNow(60_000);
    const got = useGet<List<Booking>>('/maintenance?limit=100');
    const [ask, setAsk] = useState<Booking | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const over = (b: Booking) => b.gone || Date.parse(b.until) <= now;
    const end = async () => {
        setError(null);
        try { await api.del(`/maintenance/${ask!.id}`); setAsk(null); got.reload(); } catch (x) { setError(x as ApiError); setAsk(null); }
    };
    const row = (b: Booking) => <li class="trouble"><div><h3>{b.vendor}</h3><p>{b.purpose}</p>
        <p class="num">{whenOf(b.from, now)} 〜 {whenOf(b.until, now)}</p>{(b.account || b.address) && <p class="mono sub">{[b.account, b.address].filter(Boolean).join(' ')}</p>}
        <p class="sub num">{t(T.came, { n: String(b.sessions.length) })}</p>
        {b.gone ? <p class="sub">{t(T.ended, { by: b.gone_by ?? '' })}</p> : !over(b) && isLeader(session) && <div class="btn-row no-print"><button type="button" class="btn btn-sm" aria-label={`${t(T.end)}: ${b.vendor}`} onClick={() => setAsk(b)}>{t(T.end)}</button></div>}</div></li>;
    const items = got.data?.items ?? [];
    const part = (id: string, title: Text, list: Booking[]) => list.length > 0 && <section aria-labelledby={id}><h2 id={id}>{t(title)}</h2><ul class="list-card mt-s">{list.map(row)}</ul></section>;
    return <><Head title={t(T.toBooked)} lead={t(T.bookedLead)}><Link class="btn btn-sm" href="/trouble">{t(C.navTrouble)}</Link></Head><ErrorBox error={error ?? got.error} retry={got.reload} />
        {!got.data ? !got.error && <Loading /> : <div class="stack stack-l">
            {!items.length && <Empty title={t(T.bookedNone)}><p>{t(T.bookedNoneText)}</p></Empty>}
            {part('bn', T.bookedNow, items.filter((b) => !over(b)))}
            {isLeader(session) && <Book reload={got.reload} />}
            {part('bp', T.bookedPast, items.filter(over))}</div>}
        {ask && <Dialog title={t(T.endAsk)} onClose={() => setAsk(null)}><p><b>{ask.vendor}</b></p><p>{t(T.endText)}</p>
            <div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(null)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => void end()}>{t(T.end)}</button></div></Dialog>}</>;
}

const EMPTY = { vendor: '', purpose: '', from: '', until: '', account: '', address: '' };

/** What a form of the browser gives is Japan's time. */
const jst = (local: string) => (local ? `${local}:00+09:00` : '');

function Book({ reload }: { reload: () => void }) {
    const [v, set] = useState(EMPTY);
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setSaid(null);
        if (!v.vendor.trim() || !v.purpose.trim() || !v.from || !v.until) return setBad(t(T.bookNeed));
        setBad(null);
        try {
            await api.post('/maintenance', { vendor: v.vendor.trim(), purpose: v.purpose.trim(), from: jst(v.from), until: jst(v.until), ...(v.account.trim() ? { account: v.account.trim() } : {}), ...(v.address.trim() ? { address: v.address.trim() } : {}) });
            set(EMPTY);
            setSaid(t(T.booked));
            reload();
        } catch (x) { setError(x as ApiError); }
    };
    const field = (key: keyof typeof EMPTY) => ({ value: v[key], onInput: (x: string) => set({ ...v, [key]: x }) });
    return <section class="card stack no-print" aria-labelledby="bk"><h2 id="bk">{t(T.book)}</h2><Said text={said} />
        <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
            <TextField label={t(T.vendor)} {...field('vendor')} autocomplete="off" /><TextField label={t(T.purpose)} {...field('purpose')} autocomplete="off" />
            <TextField label={t(T.from)} type="datetime-local" {...field('from')} /><TextField label={t(T.until)} type="datetime-local" {...field('until')} />
            <TextField label={t(T.account)} class="mono" {...field('account')} autocomplete="off" spellcheck={false} />
            <TextField label={t(T.address)} help={t(T.addressHelp)} class="mono" {...field('address')} autocomplete="off" spellcheck={false} />
            {bad && <p class="err" role="alert">{bad}</p>}
            <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.bookGo)}</button></div></form></section>;
}

