// 機器と保存, for the manager and the vendor: machines, what is kept, and the box itself.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Device, Drill, Generation, List, Source, State } from '../api';
import { Spark } from '../charts/timeline';
import { lacking } from '../endpoint';
import { listOf, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { Link, navigate } from '../router';
import type { Place } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T as D } from '../text/drills';
import { T as G } from '../text/guide';
import { T } from '../text/machines';
import { DAY_MS, countOf, dayNumber, longDate, whenOf } from '../time';
import { Badge, Dialog, Empty, ErrorBox, Head, Loading, Mark, Said, TextField, csv, download, stateWord } from '../ui/parts';
import { BoxScreen } from './box';
import { DrillsScreen } from './drills';
import { EndpointCards } from './endpointcard';
import { GuideScreen } from './guide';
import { MachineLogsCard } from './machinelogs';
import { SelfCard } from './self';
import { SourceEditor, SourcesScreen } from './sources';

export function MachinesScreen({ place }: { place: Place }) {
    const [, , a, b] = place.path.split('/');
    const tab = a === 'sources' ? 'sources' : a === 'drills' ? 'drills' : a === 'guide' ? 'guide' : a === 'box' ? 'box' : 'machines';
    const tabs: [string, string, string][] = [['machines', '/machines', t(T.tabMachines)], ['sources', '/machines/sources', t(T.tabSources)], ['drills', '/machines/drills', t(D.tab)], ['guide', '/machines/guide', t(G.tab)], ['box', '/machines/box', t(T.tabBox)]];
    return <><nav class="sub-nav" aria-label={t(T.tabs)}>{tabs.map(([k, href, word]) => <Link href={href} aria-current={k === tab ? 'page' : undefined}>{word}</Link>)}</nav>
        {tab === 'sources' ? (b ? <SourceEditor id={b === 'new' ? null : decodeURIComponent(b)} key={b} /> : <SourcesScreen />) : tab === 'drills' ? <DrillsScreen id={b ? decodeURIComponent(b) : null} key={b} /> : tab === 'guide' ? <GuideScreen /> : tab === 'box' ? <BoxScreen /> : a ? <OneMachine id={decodeURIComponent(a)} /> : <Table />}</>;
}

interface Row { d: Device; state: State; why: string; gens: Generation[]; last: Generation | null; level: 'none' | 'low' | 'high'; next: string | null; days: { bytes: number | null | undefined; bad: boolean }[] }
const RANK = { call: 0, look: 1, unknown: 2, ok: 3 } as const;

function rowsOf(devices: Device[], sources: Source[], gens: Generation[], now: number): Row[] {
    const today = dayNumber(now);
    return devices.map((d) => {
        const mine = gens.filter((g) => g.device === d.id).sort((x, y) => Date.parse(y.at) - Date.parse(x.at));
        const src = sources.filter((s) => s.device === d.id);
        const lasts = src.map((s) => s.last).filter((g): g is Generation => !!g).sort((x, y) => Date.parse(y.at) - Date.parse(x.at));
        const last = mine[0] ?? lasts[0] ?? null;
        const newest = lasts.length ? lasts : last ? [last] : [];
        const level = newest.some((g) => g.suspicion.level === 'high') ? 'high' : newest.some((g) => g.suspicion.level === 'low') ? 'low' : 'none';
        const state: State = level === 'high' ? 'call' : d.state === 'ok' ? (src.some((s) => s.state === 'failed' || s.state === 'late') ? 'look' : src.length > 0 && !src.some((s) => s.last) ? 'unknown' : 'ok') : d.state === 'late' ? 'look' : 'unknown';
        const why = d.state === 'late' ? t(T.stLate) : d.state === 'silent' ? t(T.stSilent) : d.state === 'joining' ? t(T.stJoining) : d.state === 'revoked' ? t(T.stRevoked) : src.some((s) => s.state === 'failed') ? t(T.srcFail) : src.length > 0 && !src.some((s) => s.last) ? t(T.srcNever) : '';
        const next = src.map((s) => s.next).filter((x): x is string => !!x).sort()[0] ?? null;
        /* Before its first copy of all a machine missed none. */
        const oldest = mine[mine.length - 1];
        const first = oldest?.number === 1 ? dayNumber(oldest.at) : 0;
        const days = Array.from({ length: 7 }, (_, i) => {
            const of = mine.filter((g) => dayNumber(g.at) === today - 6 + i);
            return { bytes: of.length ? of.reduce((n, g) => n + g.stored_new, 0) : today - 6 + i < first ? undefined : null, bad: of.some((g) => g.suspicion.level === 'high') };
        });
        return { d, state, why, gens: mine, last, level, next, days };
    });
}

/* Generations of the last seven days. The box filters page by page: an empty page is the end of them. */
const PAGES_MAX = 10;
function useWeek(): Generation[] {
    const [all, setAll] = useState<Generation[]>([]);
    useEffect(() => {
        let on = true;
        const from = new Date((dayNumber(Date.now()) - 7) * DAY_MS).toISOString();
        void (async () => {
            let cursor: string | null = null;
            const list: Generation[] = [];
            for (let i = 0; i < PAGES_MAX && on; i++) {
                const r: List<Generation> = await api.get(`/generations?from=${encodeURIComponent(from)}&limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
                list.push(...r.items);
                if (on) setAll([...list]);
                cursor = r.next;
                if (!cursor || !r.items.length) break;
            }
        })().catch(() => { /* the table stands without its small bars */ });
        return () => { on = false; };
    }, []);
    return all;
}

function Table() {
    const now = useNow(60_000);
    const devices = useList<Device>('/devices');
    const sources = useGet<List<Source>>('/sources');
    const gens = useWeek();
    const drills = useGet<List<Drill>>('/drills');
    const drillOf = (d: Device) => drills.data?.items.filter((x) => x.device === d.id && x.finished).sort((a, b) => Date.parse(b.finished!) - Date.parse(a.finished!))[0];
    const [filter, setFilter] = useState<State | 'all'>('all');
    const [find, setFind] = useState('');
    const [sort, setSort] = useState<'state' | 'name' | 'last'>('state');
    const [join, setJoin] = useState(false);
    const { session } = useSession();
    useLive('device', devices.reload);
    const rows = useMemo(() => rowsOf(devices.data?.items ?? [], sources.data?.items ?? [], gens, now), [devices.data, sources.data, gens, now]);
    if (!devices.data) return <><Head title={t(T.title)} />{devices.error ? <ErrorBox error={devices.error} retry={devices.reload} /> : <Loading />}</>;
    const n = (s: State) => rows.filter((r) => r.state === s).length;
    const last = (r: Row) => (r.last ? Date.parse(r.last.at) : 0);
    const shown = rows.filter((r) => (filter === 'all' || r.state === filter) && (!find || `${r.d.name} ${r.d.hostname} ${r.d.os}`.toLowerCase().includes(find.toLowerCase())))
        .sort((a, b) => (sort === 'name' ? a.d.name.localeCompare(b.d.name, 'ja') : sort === 'last' ? last(b) - last(a) : RANK[a.state] - RANK[b.state] || a.d.name.localeCompare(b.d.name, 'ja')));
    const save = () => download('sakimori-machines.csv', 'text/csv', csv([[t(T.cState), t(T.cMachine), t(T.host), t(T.cOs), t(T.cLast), t(T.cSus), t(T.cVersion)],
        ...shown.map((r) => [stateWord(r.state), r.d.name, r.d.hostname, r.d.os, r.last?.at ?? '', r.level, r.d.agent_version])]));
    const heading = (key: typeof sort, word: string) => <th scope="col" role="columnheader" aria-sort={sort === key ? (key === 'name' ? 'ascending' : 'descending') : undefined}><button type="button" onClick={() => setSort(key)}>{word}{sort === key && <span aria-hidden="true">{key === 'name' ? '▲' : '▼'}</span>}</button></th>;
    return <><Head title={t(T.title)} lead={t(T.lead, { n: rows.length })}>
        {isLeader(session) && <button type="button" class="btn btn-main btn-sm" onClick={() => setJoin(true)}>{t(T.join)}</button>}
        {rows.length > 0 && <><button type="button" class="btn btn-sm" onClick={save}>{t(T.csv)}</button><button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(C.print)}</button></>}</Head>
        {join && <JoinDialog onClose={() => { setJoin(false); devices.reload(); }} />}
        {!rows.length ? <Empty title={t(T.empty)}><p>{t(T.emptyText)}</p></Empty> : <>
            <div class="tools"><TextField label={t(T.search)} type="search" value={find} onInput={setFind} autocomplete="off" />
                <div class="field" role="group" aria-labelledby="fl"><span class="lab" id="fl">{t(T.filter)}</span><div class="seg">
                    <button type="button" aria-pressed={filter === 'all'} onClick={() => setFilter('all')}>{t(T.all)} {rows.length}</button>
                    {(['call', 'look', 'ok', 'unknown'] as const).map((s) => <button type="button" aria-pressed={filter === s} onClick={() => setFilter(filter === s ? 'all' : s)}><Mark state={s} />{stateWord(s)} {n(s)}</button>)}</div></div></div>
            <p class="kbd mt"><span><kbd>/</kbd> {t(T.kFind)}</span><span><kbd>↑</kbd> <kbd>↓</kbd> {t(T.kRow)}</span><span><kbd>Enter</kbd> {t(T.kOpen)}</span><span><kbd>F</kbd> {t(T.kFilter)}</span><span><kbd>?</kbd> {t(T.kList)}</span></p>
            {shown.length ? <div class="tbl-wrap mt-s" data-rows><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.list)}</caption><thead role="rowgroup"><tr role="row">{heading('state', t(T.cState))}{heading('name', t(T.cMachine))}
                <th role="columnheader" scope="col">{t(T.cOs)}</th>{heading('last', t(T.cLast))}<th role="columnheader" scope="col" class="r">{t(T.cKept)}</th><th role="columnheader" scope="col">{t(T.cWeek)}</th><th role="columnheader" scope="col">{t(T.cSus)}</th><th role="columnheader" scope="col">{t(T.cDrill)}</th><th role="columnheader" scope="col">{t(T.cNext)}</th><th role="columnheader" scope="col">{t(T.cVersion)}</th></tr></thead>
                <tbody role="rowgroup">{shown.map((r) => <tr role="row"><td role="cell" class="st"><Badge state={r.state} /></td>
                    <th role="rowheader" scope="row"><a data-row href={`/machines/${encodeURIComponent(r.d.id)}`} onClick={(e) => { if (!e.ctrlKey && !e.metaKey && !e.shiftKey) { e.preventDefault(); navigate(`/machines/${encodeURIComponent(r.d.id)}`); } }}><span class="nb">{r.d.name}</span></a>
                        <span>{r.d.hostname}{r.why && <> ・ <b class="why">{r.why}</b></>}</span></th>
                    <td role="cell" class="x-s" data-l={t(T.cOs)}>{r.d.os}</td><td role="cell" class="nb" data-l={t(T.cLast)}>{r.last ? whenOf(r.last.at, now) : t(T.never)}</td>
                    <td role="cell" class="r nb" data-l={t(T.cKept)}>{r.d.kept ? <>{t(T.keptN, { n: countOf(r.d.kept.generations) })}{r.d.kept.quota > 0 && <><br /><span class="sub">{t(T.keptRoom, { n: Math.max(0, Math.floor(100 - 100 * r.d.kept.bytes / r.d.kept.quota)) })}</span></>}</> : '─'}</td>
                    <td role="cell" data-l={t(T.cWeek)}><Spark days={r.days} /></td><td role="cell" class="nb" data-l={t(T.cSus)}>{r.level === 'high' ? <b>{t(T.sHigh)}</b> : t(r.level === 'low' ? T.sLow : T.sNone)}</td>
                    <td role="cell" class="nb" data-l={t(T.cDrill)}><DrillCell drill={drillOf(r.d)} now={now} /></td><td role="cell" class="nb" data-l={t(T.cNext)}>{r.next ? whenOf(r.next, now) : '─'}</td><td role="cell" class="nb x-s" data-l={t(T.cVersion)}>{r.d.agent_version || '─'}</td></tr>)}</tbody></table></div>
                : <div class="mt-s"><Empty title={t(T.noneFound)}><button type="button" class="btn" onClick={() => { setFilter('all'); setFind(''); }}>{t(T.all)}</button></Empty></div>}
            <p class="sub mt">{t(T.weekHelp)}</p></>}<SelfCard /></>;
}

function DrillCell({ drill, now }: { drill: Drill | undefined; now: number }) {
    if (!drill) return <>{t(T.drillNone)}</>;
    return <Link href={`/machines/drills/${encodeURIComponent(drill.id)}`}>{t(drill.ok ? T.drillOk : T.drillBad, { at: whenOf(drill.finished!, now) })}</Link>;
}

function JoinDialog({ onClose }: { onClose: () => void }) {
    const [name, setName] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [made, setMade] = useState<{ code: string; until: string; command: string } | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        if (!name.trim()) return setBad(t(T.nameNeed));
        setBad(null);
        try { setMade(await api.post('/devices/codes', { name: name.trim() })); } catch (x) { setError(x as ApiError); }
    };
    const copy = async () => { try { await navigator.clipboard.writeText(made!.command); setSaid(t(T.copied)); } catch { /* it can be marked and copied by hand */ } };
    return <Dialog title={t(T.joinTitle)} onClose={onClose} wide>
        {!made ? <form class="stack" onSubmit={go} noValidate><p>{t(T.joinText)}</p><ErrorBox error={error} />
            <TextField label={t(T.nameLabel)} help={t(T.nameHelp)} value={name} onInput={setName} error={bad} autocomplete="off" />
            <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.joinMake)}</button><button type="button" class="linkbtn" onClick={onClose}>{t(C.stopIt)}</button></div></form>
            : <div class="stack"><div><p class="eyebrow">{t(T.joinCode)}</p><p class="copy">{made.code}</p><p class="sub num">{t(T.joinUntil, { at: whenOf(made.until) })}</p></div>
                <div><p class="eyebrow">{t(T.joinCommand)}</p><p class="copy">{made.command}</p></div><p>{t(T.joinThen)}</p><Said text={said} />
                <div class="btn-row"><button type="button" class="btn" onClick={() => void copy()}>{t(T.copyIt)}</button><button type="button" class="btn btn-main" onClick={onClose}>{t(C.close)}</button></div></div>}</Dialog>;
}

function OneMachine({ id }: { id: string }) {
    const devices = useList<Device>('/devices');
    const sources = useGet<List<Source>>('/sources');
    const { session } = useSession();
    const [ask, setAsk] = useState<'rename' | 'revoke' | null>(null);
    useLive('device', devices.reload);
    const d = devices.data?.items.find((x) => x.id === id);
    if (!devices.data) return <><Head title={t(T.about)} />{devices.error ? <ErrorBox error={devices.error} retry={devices.reload} /> : <Loading />}</>;
    if (!d) return <><Head title={t(T.about)} /><Empty title={t(T.noneFound)}><Link class="btn" href="/machines">{t(T.backAll)}</Link></Empty></>;
    const suspicious = (sources.data?.items ?? []).some((s) => s.device === id && (s.state === 'suspicious' || s.last?.suspicion.level === 'high'));
    const state: State = suspicious ? 'call' : d.state === 'ok' ? 'ok' : d.state === 'late' ? 'look' : 'unknown';
    const word = suspicious ? t(C.call) : { ok: t(C.ok), late: t(T.stLate), silent: t(T.stSilent), joining: t(T.stJoining), revoked: t(T.stRevoked) }[d.state];
    return <><p><Link class="more" href="/machines">{t(T.backAll)}</Link></p><Head title={d.name}>
        {isLeader(session) && d.state !== 'revoked' && <><button type="button" class="btn btn-sm" onClick={() => setAsk('rename')}>{t(T.rename)}</button><button type="button" class="btn btn-sm btn-stop" onClick={() => setAsk('revoke')}>{t(T.revoke)}</button></>}</Head>
        <div class="two"><section class="card"><h2>{t(T.about)}</h2><dl class="dl">
            <div><dt>{t(T.cState)}</dt><dd><Badge state={state}>{word}</Badge></dd></div><div><dt>{t(T.host)}</dt><dd class="mono">{d.hostname}</dd></div><div><dt>{t(T.cOs)}</dt><dd>{d.os}</dd></div>
            <div><dt>{t(T.seen)}</dt><dd>{d.last_seen ? whenOf(d.last_seen) : t(T.never)}</dd></div><div><dt>{t(T.cVersion)}</dt><dd>{d.agent_version || '─'}</dd></div>
            <div><dt>{t(T.cert)}</dt><dd>{d.cert_until ? longDate(d.cert_until) : '─'}</dd></div><div><dt>{t(T.confined)}</dt><dd><Confined c={d.confined} /></dd></div></dl></section>
            <section class="card"><h2>{t(T.tabSources)}</h2>{(sources.data?.items ?? []).filter((s) => s.device === id).length ? <ul class="lines">{(sources.data?.items ?? []).filter((s) => s.device === id).map((s) =>
                <li><Mark state={s.state === 'ok' || s.state === 'running' ? 'ok' : s.state === 'suspicious' ? 'bad' : 'look'} /><div><Link href={`/machines/sources/${encodeURIComponent(s.id)}`}>{s.name}</Link><span class="sub blk num">{s.last ? t(T.lastAt, { at: whenOf(s.last.at) }) : t(T.never)}</span></div></li>)}</ul>
                : <p class="sub">{t(T.srcEmpty)}</p>}
                {isLeader(session) && d.state !== 'revoked' && <p class="mt-s"><Link class="more" href={`/machines/sources/new?device=${encodeURIComponent(id)}`}>{t(T.srcNew)}</Link></p>}</section></div>
        {d.state !== 'revoked' && session?.rooms.includes('endpoint') && <EndpointCards d={d} sources={(sources.data?.items ?? []).filter((s) => s.device === id)} />}
        <MachineLogsCard id={id} leader={isLeader(session) && d.state !== 'revoked'} />
        {ask && <DeviceDialog d={d} what={ask} onClose={() => setAsk(null)} onDone={() => { setAsk(null); devices.reload(); }} />}</>;
}

function DeviceDialog({ d, what, onClose, onDone }: { d: Device; what: 'rename' | 'revoke'; onClose: () => void; onDone: () => void }) {
    const [text, setText] = useState(what === 'rename' ? d.name : '');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const path = `/devices/${encodeURIComponent(d.id)}`;
    const go = async (e: Event) => {
        e.preventDefault();
        if (!text.trim()) return setBad(t(what === 'rename' ? T.nameNeed : T.reasonNeed));
        try {
            await (what === 'rename' ? api.patch(path, { name: text.trim() }) : api.del(path, { reason: text.trim() }));
            onDone();
        } catch (x) { setError(x as ApiError); }
    };
    return <Dialog title={t(what === 'rename' ? T.rename : T.revokeAsk)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        {what === 'revoke' && <><p>{t(T.revokeText)}</p><p>{t(T.revokeText2)}</p></>}
        <TextField label={t(what === 'rename' ? T.nameLabel : T.reason)} help={what === 'rename' ? t(T.nameHelp) : undefined} value={text} onInput={setText} error={bad} autocomplete="off" />
        <div class="btn-row">{what === 'rename' ? <button type="submit" class="btn btn-main">{t(C.save)}</button> : <button type="submit" class="btn btn-stop">{t(T.revoke)}</button>}
            <button type="button" class="linkbtn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}

/** {uid, seccomp, landlock, nnp, missing}: what holds, and what is missing by name. */
export function Confined({ c }: { c: Record<string, unknown> | boolean | null | undefined }) {
    if (c === null || c === undefined) return <>─</>;
    if (typeof c === 'boolean') return <Badge state={c ? 'ok' : 'look'}>{t(c ? T.guarded : T.notGuarded)}</Badge>;
    if (Object.values(c).some((v) => v && typeof v === 'object' && !Array.isArray(v))) return <ConfinedParts less={lacking(c)} />;
    const missing = Array.isArray(c.missing) ? c.missing.map(String) : typeof c.missing === 'string' && c.missing ? [c.missing] : Object.entries(c).filter(([, v]) => v === false).map(([k]) => k);
    return <><Badge state={missing.length ? 'look' : 'ok'}>{t(missing.length ? T.notGuarded : T.guarded)}</Badge>{missing.length > 0 && <span class="sub blk">{t(T.missing, { text: listOf(missing) })}</span>}</>;
}

/** The parts of an agent: which are confined less than they could be; the reasons are the agent's own words. */
function ConfinedParts({ less }: { less: { part: string; why: string }[] }) {
    const words = T as unknown as Record<string, Text>;
    const nameOf = (part: string) => { const w = words[`part_${part}`]; return w ? t(w) : part; };
    return <><Badge state={less.length ? 'look' : 'ok'}>{t(less.length ? T.notGuarded : T.guarded)}</Badge>
        {less.length > 0 && <span class="sub blk">{t(T.missing, { text: listOf(less.map((x) => nameOf(x.part))) })}</span>}
        {less.filter((x) => x.why).map((x) => <span class="sub blk mono" lang="en">{x.part}: {x.why}</span>)}</>;
}
