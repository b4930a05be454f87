// Who sends logs and how they are doing, how another device is connected, and how long what is kept.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { LogClass, LogSource, LogState, State } from '../api';
import { lang, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { Link } from '../router';
import { isLeader, roleOf, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/senders';
import { bytesOf, countOf, dateOf, spanOf, whenOf } from '../time';
import { AreaField, Badge, Dialog, Empty, ErrorBox, Head, Loading, Mark, Said, SelectField, TextField } from '../ui/parts';
import { linkOf } from './logs';

const SKEW_S = 120, UNPARSED = 0.1, MANY = 20;
const GIB = 2 ** 30;
const DOOR = { udp: 'UDP', tcp: 'TCP', tls: 'TLS' } as const;

export const nameOf = (s: LogSource) => s.name || s.host || s.address;

/** What is wrong with a sender, in words, worst first; none: it arrives well. */
export function faultsOf(s: LogSource, now: number): string[] {
    const out: string[] = [];
    if (s.silent) out.push(t(T.silent, { span: spanOf((now - Date.parse(s.last)) / 1000) }));
    if ((s.sender?.dropped ?? 0) > 0) out.push(t(T.dropped, { n: countOf(s.sender!.dropped) }));
    if (s.count >= MANY && s.unparsed / s.count >= UNPARSED) out.push(t(T.unparsed, { p: Math.round((s.unparsed / s.count) * 100) }));
    if (Math.abs(s.skew_s) >= SKEW_S) out.push(t(T.skew, { span: spanOf(Math.abs(s.skew_s)) }));
    if (s.cut > 0) out.push(t(T.cut, { n: countOf(s.cut) }));
    return out;
}

export function SendersScreen() {
    const { session } = useSession();
    const leader = isLeader(session);
    const now = useNow(30_000);
    const got = useList<LogSource>('/logs/sources?limit=200');
    const state = useGet<LogState>('/logs');
    const [edit, setEdit] = useState<LogSource | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    useLive('logs', () => { got.reload(); state.reload(); });
    const rank = (s: LogSource) => (faultsOf(s, now).length ? 0 : s.state === 'new' ? 1 : 2);
    const list = [...(got.data?.items ?? [])].sort((a, b) => rank(a) - rank(b));
    return <><Head title={t(T.title)} lead={t(T.lead)}>{leader && <Link class="btn btn-sm" href="/logs">{t(T.toSearch)}</Link>}</Head><Said text={said} />
        {!got.data ? got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading /> : <div class="stack stack-l">
            {!list.length ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty> : <section aria-labelledby="sl"><h2 id="sl">{t(T.list)}</h2><ul class="list-card mt-s">{list.map((s) => <Sender key={s.id} s={s} now={now} classes={state.data?.classes ?? []} edit={leader ? () => setEdit(s) : null} />)}</ul>
                {got.data.next && <p class="mt-s"><button type="button" class="btn" onClick={got.more}>{t(C.more)}</button></p>}</section>}
            {state.error && <ErrorBox error={state.error} retry={state.reload} />}
            {state.data && <><Connect d={state.data} leader={leader} reload={state.reload} /><Classes d={state.data} reload={state.reload} /></>}</div>}
        {edit && <Edit s={edit} classes={state.data?.classes ?? []} onClose={() => setEdit(null)} done={(name) => { setEdit(null); setSaid(t(T.confirmed, { name })); got.reload(); }} />}</>;
}

const BY: Record<LogSource['listener'], Text> = { udp: T.by_udp, tcp: T.by_tcp, tls: T.by_tls, agent: T.by_agent };
const className = (c: LogClass | undefined) => (c ? (lang() === 'en' && c.en) || c.ja : '');

function Sender({ s, now, classes, edit }: { s: LogSource; now: number; classes: LogClass[]; edit: (() => void) | null }) {
    const { session } = useSession();
    const faults = faultsOf(s, now);
    const mark: State = faults.length ? 'look' : s.state === 'new' ? 'unknown' : 'ok';
    const name = nameOf(s);
    return <li class="sender"><div class="sender-h"><Mark state={mark} /><div><h3 class="h3">{name}</h3>
        <ul>{faults.map((f) => <li><b>{f}</b></li>)}{s.state === 'new' && <li>{t(T.new)}</li>}{!faults.length && s.state === 'ok' && <li>{t(T.ok)}</li>}</ul></div></div>
        <dl class="dl"><div><dt>{t(T.last)}</dt><dd class="num">{whenOf(s.last, now)}</dd></div><div><dt>{t(T.rate)}</dt><dd class="num">{t(T.rateN, { n: countOf(s.per_minute) })}</dd></div>
            <div><dt>{t(T.total)}</dt><dd class="num">{t(T.totalN, { n: countOf(s.count), size: bytesOf(s.bytes) })}</dd></div>
            <div><dt>{t(T.read)}</dt><dd class="mono">{s.read_as || t(T.unknown)}</dd></div><div><dt>{t(T.from)}</dt><dd class="mono">{t(BY[s.listener], { address: s.address })}{s.host && s.host !== name && ` ${s.host}`}</dd></div>
            {classes.length > 1 && <div><dt>{t(T.kept)}</dt><dd>{className(classes.find((c) => c.class === s.class))}</dd></div>}</dl>
        <div class="btn-row no-print">{edit && <button type="button" class={`btn btn-sm${s.state === 'new' ? ' btn-main' : ''}`} aria-label={`${t(T.edit)}: ${name}`} onClick={edit}>{t(T.edit)}</button>}
            {isLeader(session) && <Link class="more" href={linkOf(`@source:${s.id}`, '24h')}>{t(T.seeLogs)}<span class="vh">: {name}</span></Link>}</div></li>;
}

const SILENT = [0, 3600, 21600, 86400, 3 * 86400, 7 * 86400];
const ENCODINGS = ['utf-8', 'cp932', 'euc-jp', 'iso-2022-jp', 'utf-16le'];

function Edit({ s, classes, onClose, done }: { s: LogSource; classes: LogClass[]; onClose: () => void; done: (name: string) => void }) {
    const [v, set] = useState({ name: s.name || s.host, silent: String(s.state === 'new' ? 86400 : s.silent_s), klass: String(s.class), format: s.format, encoding: s.encoding });
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const spans = SILENT.includes(Number(v.silent)) ? SILENT : [...SILENT, Number(v.silent)];
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setBad(null);
        try {
            await api.patch(`/logs/sources/${s.id}`, { state: 'ok', name: v.name.trim(), silent_s: Number(v.silent), class: Number(v.klass), format: v.format.trim(), encoding: v.encoding });
            done(v.name.trim() || nameOf(s));
        } catch (x) { const err = x as ApiError; if (err.field === 'format' && err.message) setBad(err.message); else setError(err); }
    };
    return <Dialog title={t(T.editTitle)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><p class="mono">{t(BY[s.listener], { address: s.address })} {s.host}</p><ErrorBox error={error} />
        <TextField label={t(T.name)} help={t(T.nameHelp)} value={v.name} onInput={(name) => set({ ...v, name })} autocomplete="off" />
        <SelectField label={t(T.tell)} value={v.silent} onInput={(silent) => set({ ...v, silent })} options={spans.map((n): [string, string] => [String(n), n ? t(T.tell_n, { span: spanOf(n) }) : t(T.tell_0)])} />
        {classes.length > 1 && <SelectField label={t(T.class)} value={v.klass} onInput={(klass) => set({ ...v, klass })} options={classes.map((c): [string, string] => [String(c.class), className(c)])} />}
        <SelectField label={t(T.encoding)} value={v.encoding} onInput={(encoding) => set({ ...v, encoding })} options={[['', t(T.auto)], ...ENCODINGS.map((x): [string, string] => [x, x])]} />
        <TextField label={t(T.format)} help={t(T.formatHelp)} class="mono" value={v.format} onInput={(format) => set({ ...v, format })} error={bad} autocomplete="off" spellcheck={false} />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.confirmGo)}</button><button type="button" class="btn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}

/* ---- another device ---- */

const HINTS: [string, Text, (host: string, port: number) => string][] = [
    ['FortiGate', T.hintForti, (h, p) => `config log syslogd setting\n    set status enable\n    set server "${h}"\n    set mode udp\n    set port ${p}\n    set format default\nend`],
    ['Yamaha RTX', T.hintRtx, (h) => `syslog host ${h}\nsyslog notice on\nsyslog info on\nsave`],
    ['NEC UNIVERGE IX', T.hintIx, (h) => `syslog ip enable\nsyslog ip host ${h}\nsyslog function all warn\nsyslog timestamp datetime`],
    ['Cisco', T.hintCisco, (h, p) => `service timestamps log datetime msec localtime show-timezone year\nlogging host ${h} transport udp port ${p}\nlogging trap informational`],
    ['Windows', T.hintWin, (h, p) => `<Extension json>\n    Module  xm_json\n</Extension>\n<Extension syslog>\n    Module  xm_syslog\n</Extension>\n<Input eventlog>\n    Module  im_msvistalog\n</Input>\n<Output sakimori>\n    Module  om_tcp\n    Host    ${h}\n    Port    ${p}\n    Exec    $Message = to_json(); to_syslog_ietf();\n</Output>\n<Route logs>\n    Path    eventlog => sakimori\n</Route>`],
];

function Connect({ d, leader, reload }: { d: LogState; leader: boolean; reload: () => void }) {
    const [ask, setAsk] = useState<LogState['doors'][number] | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const turn = async (name: string, on: boolean) => {
        setError(null);
        setAsk(null);
        try { await api.patch(`/logs/doors/${name}`, { on }); reload(); } catch (x) { setError(x as ApiError); }
    };
    const host = d.addresses.find((a) => /^\d+\.\d+\.\d+\.\d+$/.test(a) && !a.startsWith('127.')) ?? d.addresses[0] ?? '';
    const port = (name: string, other: number) => d.doors.find((x) => x.listener === name && x.port)?.port ?? other;
    const lost = (d.listeners ?? []).reduce((n, x) => n + x.lost, 0);
    const some = d.doors.some((x) => x.port);
    return <section class="card stack" aria-labelledby="co"><h2 id="co">{t(T.connect)}</h2><p>{t(T.connectText)}</p><ErrorBox error={error} />
        <dl class="dl"><div><dt>{t(T.address)}</dt><dd class="mono">{d.addresses.join(' ') || '?'}</dd></div>{lost > 0 && <div><dt>{t(T.doors)}</dt><dd><Badge state="look">{t(T.lost, { n: countOf(lost) })}</Badge></dd></div>}</dl>
        <div><h3 class="h3">{t(T.doors)}</h3><ul>{d.doors.map((x) => <li class="door"><span>{x.port ? <><b class="num">{t(T.door, { name: DOOR[x.listener], port: String(x.port) })}</b> <Badge state={x.on ? 'ok' : 'unknown'}>{t(x.on ? T.doorOn : T.doorOff)}</Badge></> : <span class="sub">{t(T.doorNone, { name: DOOR[x.listener] })}</span>}</span>
            {leader && x.port > 0 && <button type="button" class="btn btn-sm no-print" aria-label={`${t(x.on ? T.shut : T.openIt)}: ${DOOR[x.listener]}`} onClick={() => (x.on ? setAsk(x) : void turn(x.listener, true))}>{t(x.on ? T.shut : T.openIt)}</button>}</li>)}</ul>
            {!some && <><p><b>{t(T.doorNoneAll)}</b></p><p>{t(T.doorNoneDo)}</p><pre class="raw" tabIndex={0}>{'syslog_udp = 514\nsyslog_tcp = 601\nsyslog_tls = 6514'}</pre></>}</div>
        <div class="stack"><h3 class="h3">{t(T.hints)}</h3><p>{t(T.hintsText)}</p>
            {HINTS.map(([name, how, make]) => <details><summary>{name}</summary><div class="fold stack"><p>{t(how)}</p><pre class="raw" tabIndex={0}>{make(host, name === 'Windows' ? port('tcp', 601) : port('udp', 514))}</pre></div></details>)}
            <p>{t(T.hintAfter)}</p></div>
        {ask && <Dialog title={t(T.shutAsk)} onClose={() => setAsk(null)}><p><b>{t(T.door, { name: DOOR[ask.listener], port: String(ask.port) })}</b></p><p>{t(T.shutText)}</p>
            <div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(null)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => void turn(ask.listener, false)}>{t(T.shut)}</button></div></Dialog>}</section>;
}

/* ---- how long ---- */

type Doing = { what: 'edit' | 'hold' | 'release'; c: LogClass; fresh?: boolean };

function Classes({ d, reload }: { d: LogState; reload: () => void }) {
    const { session } = useSession();
    const now = useNow(60_000);
    const leader = isLeader(session), director = roleOf(session) === 'director';
    const [doing, setDoing] = useState<Doing | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const free = Array.from({ length: 16 }, (_, i) => i).find((i) => !d.classes.some((c) => c.class === i));
    const done = () => { setDoing(null); setSaid(t(T.c_done)); reload(); };
    return <section class="card stack" aria-labelledby="cl"><h2 id="cl">{t(T.classes)}</h2><p>{t(T.classesText)}</p><Said text={said} />
        <dl class="dl"><div><dt>{t(T.record)}</dt><dd class="num">{t(T.recordN, { n: countOf(d.events), size: bytesOf(d.stored_bytes) })}{d.stopped && <><br /><Badge state="look">{t(T.recordStopped)}</Badge></>}{d.damaged && <><br /><Badge state="call">{t(T.recordDamaged)}</Badge></>}</dd></div></dl>
        <div class="tbl-wrap"><table class="tbl nt tbl-cards"><caption class="vh">{t(T.classes)}</caption>
            <thead><tr><th scope="col">{t(T.c_name)}</th><th scope="col">{t(T.c_days)}</th><th scope="col">{t(T.c_most)}</th><th scope="col">{t(T.c_kept)}</th><th scope="col">{t(T.c_oldest)}</th><th scope="col"><span class="vh">{t(T.c_change)}</span></th></tr></thead>
            <tbody>{d.classes.map((c) => <tr><th scope="row">{className(c)}{c.hold && <><br /><span class="sub wrap-ok">{t(T.c_held, { why: c.hold.why, by: c.hold.by, at: dateOf(c.hold.at, now) })}</span></>}</th>
                <td data-l={t(T.c_days)} class="num">{c.days ? t(T.c_daysN, { n: countOf(c.days) }) : t(T.c_ever)}</td><td data-l={t(T.c_most)} class="num">{c.bytes ? bytesOf(c.bytes) : t(T.c_noMost)}</td>
                <td data-l={t(T.c_kept)} class="num">{bytesOf(c.kept_bytes ?? 0)}</td><td data-l={t(T.c_oldest)} class="num">{c.oldest_s ? dateOf(c.oldest_s * 1000, now) : '−'}</td>
                <td class="acts no-print">{leader && <span class="btn-row"><button type="button" class="btn btn-sm" aria-label={`${t(T.c_change)}: ${className(c)}`} onClick={() => setDoing({ what: 'edit', c })}>{t(T.c_change)}</button>
                    {!c.hold ? <button type="button" class="btn btn-sm" aria-label={`${t(T.c_holdGo)}: ${className(c)}`} onClick={() => setDoing({ what: 'hold', c })}>{t(T.c_holdGo)}</button>
                        : director ? <button type="button" class="btn btn-sm" aria-label={`${t(T.c_release)}: ${className(c)}`} onClick={() => setDoing({ what: 'release', c })}>{t(T.c_release)}</button> : <span class="sub">{t(T.c_releaseWho)}</span>}</span>}</td></tr>)}</tbody></table></div>
        {leader && free !== undefined && <div class="btn-row no-print"><button type="button" class="btn btn-sm" onClick={() => setDoing({ what: 'edit', c: { class: free, ja: '', days: 400 }, fresh: true })}>{t(T.c_add)}</button></div>}
        {doing?.what === 'edit' && <ClassDialog c={doing.c} all={d.classes} onClose={() => setDoing(null)} done={done} />}
        {doing && doing.what !== 'edit' && <HoldDialog c={doing.c} release={doing.what === 'release'} onClose={() => setDoing(null)} done={done} />}</section>;
}

function ClassDialog({ c, all, onClose, done }: { c: LogClass; all: LogClass[]; onClose: () => void; done: () => void }) {
    const [v, set] = useState({ name: className(c), days: String(c.days), gib: String(Math.round((c.bytes ?? 0) / GIB)) });
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!v.name.trim() || !/^\d{1,5}$/.test(v.days.trim()) || !/^\d{1,6}$/.test(v.gib.trim())) return setBad(t(T.c_bad));
        setBad(null);
        const mine: LogClass = { class: c.class, ja: lang() === 'en' && c.ja ? c.ja : v.name.trim(), ...(lang() === 'en' ? { en: v.name.trim() } : c.en ? { en: c.en } : {}), days: Number(v.days), bytes: Number(v.gib) * GIB };
        const rest = all.filter((x) => x.class !== c.class).map((x) => ({ class: x.class, ja: x.ja, ...(x.en ? { en: x.en } : {}), days: x.days, bytes: x.bytes ?? 0 }));
        try { await api.put('/logs/classes', { classes: [...rest, mine].sort((a, b) => a.class - b.class) }); done(); } catch (x) { setError(x as ApiError); }
    };
    return <Dialog title={t(T.classes)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        <TextField label={t(T.c_nameField)} value={v.name} onInput={(name) => set({ ...v, name })} autocomplete="off" />
        <TextField label={t(T.c_daysField)} class="num" inputMode="numeric" value={v.days} onInput={(days) => set({ ...v, days })} />
        <TextField label={t(T.c_gibField)} class="num" inputMode="numeric" value={v.gib} onInput={(gib) => set({ ...v, gib })} />
        {bad && <p class="err" role="alert"><Mark state="look" />{bad}</p>}
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.c_go)}</button><button type="button" class="btn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}

function HoldDialog({ c, release, onClose, done }: { c: LogClass; release: boolean; onClose: () => void; done: () => void }) {
    const [why, setWhy] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!why.trim()) return setBad(t(T.c_whyNeed));
        try { await api.post(`/logs/classes/${c.class}/${release ? 'release' : 'hold'}`, { why: why.trim() }); done(); } catch (x) { setError(x as ApiError); }
    };
    return <Dialog title={t(release ? T.c_relAsk : T.c_holdAsk)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><p><b>{className(c)}</b></p><p>{t(release ? T.c_relText : T.c_holdText)}</p><ErrorBox error={error} />
        <AreaField label={t(T.c_why)} value={why} onInput={setWhy} error={bad} />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(release ? T.c_release : T.c_holdGo)}</button><button type="button" class="btn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}
