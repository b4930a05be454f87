// One rule: what it says, what it found, its switch and filters, trying it on a record; and writing one of the box's own.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import { t } from '../i18n';
import { useGet, useNow } from '../live';
import { Link, navigate } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/rules';
import { countOf, dateOf, whenOf } from '../time';
import { AreaField, Badge, Dialog, ErrorBox, Head, Loading, Said, SelectField, TextField } from '../ui/parts';
import { RuleState, ruleTitle, word } from './rules';
import type { Rule } from './rules';

interface Near { id: string; title: string; title_ja: string; state: Rule['state'] }
interface Condition { field: string; modifier?: string; values: string[] }
interface RuleFilter { id: number; conditions: Condition[]; why: string; by: string; made: string }
interface RuleWhole extends Rule {
    text: string; cut: boolean; line: number; description: string; todo_ja: string; date: string; modified: string; references: string[]; falsepositives: string[]; feeds: Near[]; refers: Near[];
    days: { day: string; n: number }[]; filters: RuleFilter[]; own?: { by: string; changed: string; text: string };
}
interface Line { depth: number; truth: boolean; what: string; want: string; have: string; absent: boolean; field: string }
interface Tried { rules: (Rule & { instead_of?: string })[]; faults: { line: number; why: string }[]; results: { id: string; title: string; match: boolean; lines: Line[] }[]; fields?: [string, string][]; format?: string }

export function RuleScreen({ id }: { id: string }) {
    const { session } = useSession();
    const got = useGet<RuleWhole>(`/rules/${encodeURIComponent(id)}`);
    const [said, say] = useState<string | null>(null);
    const r = got.data;
    const leader = isLeader(session);
    if (!r) return <><h1 class="vh">{t(T.title)}</h1>{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const done = (text: string) => { say(text); got.reload(); };
    return <article class="stack stack-l"><div><p class="no-print"><Link class="more" href="/rules">{t(T.back)}</Link></p>
        <Head title={ruleTitle(r)} lead={<><RuleState r={r} /> <span>{t(T.level)}: {word('y_', r.level)}</span></>} /><Said text={said} /></div>
        <Facts r={r} />
        <Near r={r} /><Days r={r} />
        <Switch r={r} leader={leader} reload={got.reload} />
        {r.kind === 'rule' && <Filters r={r} leader={leader} done={done} />}
        {r.kind !== 'filter' && <TryBox rule={r.id} />}
        {r.falsepositives.length > 0 && <section class="card" aria-labelledby="fp"><h2 id="fp">{t(T.false)}</h2><ul lang="en">{r.falsepositives.map((x) => <li>{x}</li>)}</ul></section>}
        <section class="card stack" aria-labelledby="tx"><h2 id="tx">{t(T.text)}</h2>{r.own && <Own r={r} leader={leader} />}<pre class="raw" tabIndex={0} role="region" aria-label={r.file} lang="en">{r.text}</pre></section></article>;
}

function Facts({ r }: { r: RuleWhole }) {
    const rows: [string, string][] = [[t(T.author), r.author], [t(T.licence), r.license], [t(T.source), `${word('p_', r.source)} (${r.file})`], [t(T.logsource), [r.product, r.category, r.service].filter(Boolean).join(' / ')],
        [t(T.status), r.status], [t(T.tags), r.tags.join(' ')], [t(T.dates), [r.date, r.modified].filter(Boolean).join('・')], [t(T.id), r.id]];
    return <section class="card stack" aria-labelledby="ds"><h2 id="ds">{t(T.what)}</h2>{r.what_ja && <p>{r.what_ja}</p>}<p lang="en" class="keep-lines">{r.description}</p>{r.todo_ja && <p><b>{t(T.todo)}</b> {r.todo_ja}</p>}
        <dl class="facts">{rows.filter(([, v]) => v).map(([k, v]) => <div><dt>{k}</dt><dd class="wrap-any">{v}</dd></div>)}</dl>
        {r.references.length > 0 && <details><summary>{t(T.references)}<span class="sub num">{r.references.length}</span></summary><ul class="fold wrap-any">{r.references.map((x) => <li>{x}</li>)}</ul></details>}</section>;
}

function Near({ r }: { r: RuleWhole }) {
    const list = (of: Near[]) => <ul>{of.map((n) => <li><Link href={`/rules/${encodeURIComponent(n.id)}`}>{ruleTitle(n)}</Link> <span class="sub">{word('w_', n.state)}</span></li>)}</ul>;
    if (!r.feeds.length && !r.refers.length) return null;
    return <section class="card stack" aria-label={word('w_', 'feeds')}>{r.feeds.length > 0 && <div><p><b>{t(r.state === 'feeds' ? T.feeds : T.feedsOff)}</b></p>{list(r.feeds)}</div>}
        {r.refers.length > 0 && <div><p><b>{t(T.refers)}</b></p>{list(r.refers)}</div>}</section>;
}

function Days({ r }: { r: RuleWhole }) {
    const n = r.days.reduce((a, d) => a + d.n, 0);
    return <section class="card stack" aria-labelledby="hd"><h2 id="hd">{t(T.hits)}</h2>{n === 0 ? <p>{t(T.hitsNone)}</p> : <><p class="lead num"><b>{t(T.hits30, { n: countOf(n) })}</b></p>
        <details><summary>{t(T.hitsTable)}</summary><div class="fold"><table class="tbl"><caption class="vh">{t(T.hitsTable)}</caption><thead><tr><th scope="col">{t(T.day)}</th><th scope="col" class="r">{t(T.count)}</th></tr></thead>
            <tbody>{[...r.days].reverse().map((d) => <tr><th scope="row">{dateOf(d.day)}</th><td class="r num">{countOf(d.n)}</td></tr>)}</tbody></table></div></details></>}</section>;
}

function Switch({ r, leader, reload }: { r: RuleWhole; leader: boolean; reload: () => void }) {
    const now = useNow(60_000);
    const [ask, setAsk] = useState(false);
    const [why, setWhy] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const put = async (on: boolean) => {
        setError(null);
        try { await api.patch(`/rules/${encodeURIComponent(r.id)}`, on ? { on } : { on, why: why.trim() }); setAsk(false); setWhy(''); reload(); } catch (x) { setError(x as ApiError); }
    };
    const go = (e: Event) => { e.preventDefault(); if (!why.trim()) return setBad(t(T.needReason)); setBad(null); void put(false); };
    const off = r.state === 'off';
    return <section class="card stack" aria-labelledby="sw"><h2 id="sw">{t(T.switch)}</h2><ErrorBox error={ask ? null : error} /><p>{off ? t(T.isOff) : r.state === 'on' || r.state === 'feeds' ? t(T.isOn) : word('w_', r.state)}</p>
        {off && r.off_note && <p class="sub">{t(T.offNote, { by: r.off_note.by, at: whenOf(r.off_note.at, now), why: r.off_note.why })}</p>}
        {leader && (off ? <div class="btn-row no-print"><button type="button" class="btn btn-main" onClick={() => void put(true)}>{t(T.turnOn)}</button></div>
            : (r.state === 'on' || r.state === 'feeds') && <div class="btn-row no-print"><button type="button" class="btn" onClick={() => setAsk(true)}>{t(T.turnOff)}</button></div>)}
        {ask && <Dialog title={t(T.offAsk)} onClose={() => setAsk(false)}><form class="stack" onSubmit={go} noValidate><p>{t(T.offText)}</p>{r.refers.length > 0 && <p>{t(T.refers)}</p>}<ErrorBox error={error} />
            <TextField label={t(T.reason)} value={why} onInput={setWhy} error={bad} autocomplete="off" maxLength={160} /><div class="btn-row"><button type="submit" class="btn btn-stop">{t(T.turnOff)}</button><button type="button" class="btn" onClick={() => setAsk(false)}>{t(C.stopIt)}</button></div></form></Dialog>}</section>;
}

/* ---- filters ---- */

const HOW = ['', 'contains', 'startswith', 'endswith', 'cidr', 're'];

function Filters({ r, leader, done }: { r: RuleWhole; leader: boolean; done: (s: string) => void }) {
    const now = useNow(60_000);
    const [adding, setAdding] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const drop = async (f: RuleFilter) => { setError(null); try { await api.del(`/rule-filters/${f.id}`); done(t(T.unfiltered)); } catch (x) { setError(x as ApiError); } };
    return <section class="card stack" aria-labelledby="fl"><h2 id="fl">{t(T.filters)}</h2><p>{t(T.filtersText)}</p><ErrorBox error={error} />
        {r.filters.length === 0 ? <p>{t(T.filtersNone)}</p> : <ul class="lines">{r.filters.map((f) => <li><span aria-hidden="true">・</span><div class="under">{f.conditions.map((c) => <span class="wrap-any"><b>{c.field}</b> {word('f_', c.modifier ?? '')} <span class="mono">{c.values.join(' / ')}</span></span>)}
            <span>{f.why}</span><span class="sub">{t(T.filterBy, { by: f.by, at: whenOf(f.made, now) })}</span>{leader && <span class="no-print"><button type="button" class="btn btn-sm" aria-label={`${t(T.unfilter)}: ${f.why}`} onClick={() => void drop(f)}>{t(T.unfilter)}</button></span>}</div></li>)}</ul>}
        {leader && !adding && <div class="btn-row no-print"><button type="button" class="btn" onClick={() => setAdding(true)}>{t(T.filterAdd)}</button></div>}
        {adding && <AddFilter id={r.id} close={() => setAdding(false)} done={() => { setAdding(false); done(t(T.filterDone)); }} />}</section>;
}

function AddFilter({ id, close, done }: { id: string; close: () => void; done: () => void }) {
    const fresh = () => ({ field: '', modifier: '', values: '' });
    const [list, setList] = useState([fresh()]);
    const [why, setWhy] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const put = (i: number, c: Partial<ReturnType<typeof fresh>>) => setList(list.map((x, k) => (k === i ? { ...x, ...c } : x)));
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        const conditions = list.map((c) => ({ field: c.field.trim(), ...(c.modifier ? { modifier: c.modifier } : {}), values: c.values.split('\n').map((v) => v.trim()).filter(Boolean) }));
        if (!why.trim() || conditions.some((c) => !c.field || !c.values.length)) return setBad(t(T.filterNeed));
        setBad(null);
        try { await api.post(`/rules/${encodeURIComponent(id)}/filters`, { conditions, why: why.trim() }); done(); } catch (x) { setError(x as ApiError); }
    };
    return <form class="stack no-print" onSubmit={go} noValidate><h3>{t(T.filterAdd)}</h3><ErrorBox error={error} />{error && <FaultList list={(error.body as { faults?: Tried['faults'] }).faults} />}
        {list.map((c, i) => <fieldset class="pick stack"><legend class="h3">{t(T.condition, { n: i + 1 })}</legend><TextField label={t(T.field)} value={c.field} onInput={(field) => put(i, { field })} autocomplete="off" spellcheck={false} />
            <SelectField label={t(T.how)} value={c.modifier} onInput={(modifier) => put(i, { modifier })} options={HOW.map((m): [string, string] => [m, word('f_', m)])} /><AreaField label={t(T.values)} value={c.values} onInput={(values) => put(i, { values })} rows={2} /></fieldset>)}
        <div class="btn-row">{list.length < 8 && <button type="button" class="btn btn-sm" onClick={() => setList([...list, fresh()])}>{t(T.moreCondition)}</button>}{list.length > 1 && <button type="button" class="btn btn-sm" onClick={() => setList(list.slice(0, -1))}>{t(T.lessCondition)}</button>}</div>
        <TextField label={t(T.reason)} value={why} onInput={setWhy} error={bad} autocomplete="off" maxLength={160} /><div class="btn-row"><button type="submit" class="btn btn-main">{t(T.filterGo)}</button><button type="button" class="btn" onClick={close}>{t(C.stopIt)}</button></div></form>;
}

function FaultList({ list }: { list?: Tried['faults'] | undefined }) {
    return list?.length ? <ul class="lines" lang="en">{list.map((f) => <li><span aria-hidden="true">・</span><span>{f.line ? t(T.faultAt, { n: f.line, why: f.why }) : f.why}</span></li>)}</ul> : null;
}

/* ---- trying ---- */

function TryBox({ rule, text }: { rule?: string; text?: string }) {
    const [line, setLine] = useState('');
    const [got, setGot] = useState<Tried | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setGot(null);
        if (!line.trim()) return setBad(t(T.tryNeed));
        setBad(null);
        try { setGot(await api.post<Tried>('/rules/test', rule ? { rule, line } : { text, line })); } catch (x) { setError(x as ApiError); }
    };
    return <section class="card stack no-print" aria-labelledby="tr"><h2 id="tr">{t(T.try)}</h2><p>{t(T.tryText)}</p><form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        <AreaField label={t(T.tryLine)} value={line} onInput={setLine} rows={3} error={bad} /><div class="btn-row"><button type="submit" class="btn">{t(T.tryGo)}</button></div></form>
        <div role="status" class="stack">{got && <><FaultList list={got.faults} />{got.results.map((x) => <Result x={x} several={got.results.length > 1} />)}</>}</div>
        {got?.fields && <details><summary>{t(T.read)}<span class="sub num">{got.fields.length}</span></summary><div class="fold"><table class="tbl"><caption class="vh">{t(T.read)}</caption><thead><tr><th scope="col">{t(T.field)}</th><th scope="col">{t(T.value)}</th></tr></thead>
            <tbody>{got.fields.map(([k, v]) => <tr><th scope="row" class="wrap-any">{k}</th><td class="mono wrap-any">{v}</td></tr>)}</tbody></table></div></details>}</section>;
}

function Result({ x, several }: { x: Tried['results'][number]; several: boolean }) {
    return <div class="stack-s"><p><Badge state={x.match ? 'look' : 'ok'}>{t(x.match ? T.match : T.miss)}</Badge>{several && <b> {x.title}</b>}</p>
        <ul class="explain">{x.lines.map((l) => <li class={`in-${Math.min(l.depth, 6)}`}><span class={l.truth ? 'yes' : 'no'} aria-hidden="true">{l.truth ? '○' : '×'}</span><span class="vh">{t(l.truth ? T.yes : T.no)}</span> <b class="mono">{l.what}</b>{l.field && <span class="sub"> ({l.field})</span>}
            {l.want && <span class="sub"> {t(T.want, { v: l.want })}</span>}{l.want && l.what !== 'log source' && <span> {l.absent ? t(T.absent) : t(T.have, { v: l.have || t(T.empty) })}</span>}</li>)}</ul></div>;
}

/* ---- of the box's own ---- */

function Own({ r, leader }: { r: RuleWhole; leader: boolean }) {
    const now = useNow(60_000);
    const [ask, setAsk] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async () => { try { await api.del(`/own-rules/${encodeURIComponent(r.id)}`); navigate('/rules'); } catch (x) { setAsk(false); setError(x as ApiError); } };
    return <><p>{t(T.ownBy, { by: r.own!.by, at: whenOf(r.own!.changed, now) })}</p><ErrorBox error={error} />
        {leader && <div class="btn-row no-print"><Link class="btn" href={`/rules/${encodeURIComponent(r.id)}/edit`}>{t(T.edit)}</Link><button type="button" class="btn" onClick={() => setAsk(true)}>{t(T.remove)}</button></div>}
        {ask && <Dialog title={t(T.removeAsk)} onClose={() => setAsk(false)}><p>{t(T.removeText)}</p><div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(false)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => void go()}>{t(T.remove)}</button></div></Dialog>}</>;
}

const START = (id: string) => `title: \nid: ${id}\nstatus: test\nauthor: \nlevel: medium\nlogsource:\n    product: linux\n    service: sshd\ndetection:\n    selection:\n        Message|contains: ''\n    condition: selection\nfalsepositives:\n    - \n`;

export function EditScreen({ id }: { id: string | null }) {
    const { session } = useSession();
    const got = useGet<RuleWhole>(id ? `/rules/${encodeURIComponent(id)}` : null);
    const start = id ? got.data?.own?.text ?? got.data?.text ?? null : '';
    if (!isLeader(session)) return <><h1>{t(id ? T.editTitle : T.newTitle)}</h1><p>{t(C.errDeniedDo)}</p></>;
    if (start === null) return <><h1 class="vh">{t(T.editTitle)}</h1>{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    return <Edit id={id} start={start} />;
}

function Edit({ id, start }: { id: string | null; start: string }) {
    const [text, setText] = useState(() => start || START(crypto.randomUUID()));
    const [got, setGot] = useState<Tried | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const check = async () => { setError(null); setGot(null); try { setGot(await api.post<Tried>('/rules/test', { text, ...(id ? { instead: id } : {}) })); } catch (x) { setError(x as ApiError); } };
    const keep = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setGot(null);
        try { const x = await api.post<{ id: string }>('/own-rules', { text, ...(id ? { instead: id } : {}) }); navigate(`/rules/${encodeURIComponent(x.id)}`); } catch (x) { setError(x as ApiError); }
    };
    return <div class="stack stack-l"><div><p class="no-print"><Link class="more" href={id ? `/rules/${encodeURIComponent(id)}` : '/rules'}>{t(T.back)}</Link></p><Head title={t(id ? T.editTitle : T.newTitle)} lead={t(T.editLead)} /></div>
        <form class="card stack" onSubmit={keep} noValidate><ErrorBox error={error} /><FaultList list={(error?.body as { faults?: Tried['faults'] } | undefined)?.faults} />
            <AreaField label={t(T.editText)} value={text} onInput={setText} rows={22} />
            <div role="status">{got && (got.faults.length ? <><p><Badge state="look">{t(T.unsound)}</Badge></p><FaultList list={got.faults} /></> : <><p><Badge state="ok">{t(T.sound)}</Badge></p>{got.rules.filter((r) => r.instead_of).map((r) => <p>{t(T.instead, { t: r.instead_of! })}</p>)}</>)}</div>
            <div class="btn-row"><button type="button" class="btn" onClick={() => void check()}>{t(T.check)}</button><button type="submit" class="btn btn-main">{t(T.keep)}</button></div></form>
        <TryBox text={text} /></div>;
}
