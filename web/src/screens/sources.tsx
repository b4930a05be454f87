// What is kept: the list with live progress, and the editor with its schedule.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, api, query } from '../api';
import type { Device, List, Person, Run, Schedule, Source, SourceOptions, State } from '../api';
import { t } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { Link, focusHeading, navigate, usePlace } from '../router';
import { isLeader, roleOf, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/machines';
import { bytesOf, countOf, weekday, whenOf } from '../time';
import { AreaField, Badge, Choice, Dialog, Empty, ErrorBox, Field, Head, Loading, Mark, Progress, SelectField, TextField, Tick } from '../ui/parts';
import type { MarkState } from '../ui/parts';
import { HoursField, draftHours, hoursOf } from './hours';
import type { HourDraft } from './hours';

const GROUPS = [['emr', T.gEmr], ['receipt', T.gReceipt], ['image', T.gImage], ['share', T.gShare], ['front', T.gFront], ['room', T.gRoom], ['other', T.gOther]] as const;
export function groupWord(g: string): string { return t(GROUPS.find(([k]) => k === g)?.[1] ?? T.gOther); }
const LIVE = ['waiting', 'running'];
const BLANK_RUN: Run = { id: '', source: '', device: '', kind: 'adhoc', state: 'waiting', started: null, finished: null, progress: null, problems_total: 0, manifest: null };

export function SourcesScreen() {
    const got = useList<Source>('/sources');
    const devices = useGet<List<Device>>('/devices');
    const runs = useGet<List<Run>>('/runs' + query({ limit: 30 }));
    const [live, setLive] = useState<Record<string, Run>>({});
    const now = useNow(30_000);
    const { session } = useSession();
    const [error, setError] = useState<ApiError | null>(null);
    const asked = useRef(new Set<string>()); // requests under way: a second click makes none
    useLive<Partial<Run> & { id: string; source: string; state: Run['state'] }>('run', (r) => {
        setLive((m) => ({ ...m, [r.source]: { ...BLANK_RUN, ...(m[r.source]?.id === r.id ? m[r.source] : {}), ...r } }));
        if (!LIVE.includes(r.state)) { got.reload(); runs.reload(); }
    });
    if (!got.data) return <><Head title={t(T.tabSources)} lead={t(T.srcLead)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const leader = isLeader(session);
    const start = async (s: Source) => {
        if (asked.current.has(s.id)) return;
        asked.current.add(s.id);
        setError(null);
        try {
            const r = await api.post<{ run: string }>(`/sources/${encodeURIComponent(s.id)}/run`);
            setLive((m) => ({ ...m, [s.id]: { ...BLANK_RUN, id: r.run, source: s.id, device: s.device } }));
        } catch (e) {
            if ((e as ApiError).status !== 409) setError(e as ApiError); // one is under way already: that is what was wanted
            else runs.reload();
        } finally { asked.current.delete(s.id); }
    };
    const stop = async (r: Run) => { try { await api.post(`/runs/${encodeURIComponent(r.id)}/cancel`); } catch (e) { setError(e as ApiError); } };
    return <><Head title={t(T.tabSources)} lead={t(T.srcLead)}>{leader && <Link class="btn btn-main btn-sm" href="/machines/sources/new">{t(T.srcNew)}</Link>}</Head><ErrorBox error={error} />
        {!got.data.items.length ? <Empty title={t(T.srcEmpty)}><p>{t(T.srcEmptyText)}</p></Empty>
            : <ul class="order">{got.data.items.map((s) => {
                const r = live[s.id] ?? runs.data?.items.find((x) => x.source === s.id && LIVE.includes(x.state));
                return <li><SourceRow s={s} device={devices.data?.items.find((d) => d.id === s.device)} now={now} />
                    {r && <RunBox r={r} />}
                    {s.kind === 'smb' && <CanWrite r={runs.data?.items.find((x) => x.source === s.id && !LIVE.includes(x.state))} />}
                    <div class="btn-row">{r && LIVE.includes(r.state) ? leader && <button type="button" class="btn btn-sm btn-stop" onClick={() => void stop(r)}>{t(T.runStop)}</button>
                        : roleOf(session) !== 'vendor' && s.enabled && <button type="button" class="btn btn-sm" onClick={() => void start(s)} aria-label={`${t(T.runNow)}: ${s.name}`}>{t(T.runNow)}</button>}
                        {leader && <Link class="more" href={`/machines/sources/${encodeURIComponent(s.id)}`}>{t(T.edit)}<span class="vh">: {s.name}</span></Link>}</div></li>;
            })}</ul>}
        {runs.data && runs.data.items.length > 0 && <section class="mt-l" aria-labelledby="rr"><h2 id="rr">{t(T.runsTitle)}</h2><ul class="list-card mt-s">{runs.data.items.slice(0, 12).map((r) => <li class="trouble"><Mark state={runState(r)} />
            <div><h3>{got.data!.items.find((s) => s.id === r.source)?.name ?? r.source}</h3><p class="sub num">{runWord(r)}{r.finished ? ` ・ ${whenOf(r.finished, now)}` : ''}</p>
                {(r.counters?.changed_while_read ?? 0) > 0 && <p class="sub">{t(T.runChanged, { n: countOf(r.counters!.changed_while_read!) })}</p>}
                {(r.counters?.reread ?? 0) > 0 && <p class="sub">{t(T.runReread, { n: countOf(r.counters!.reread!), size: bytesOf(r.counters!.reread_bytes ?? 0) })}</p>}
                {r.problems_total > 0 && <Problems r={r} />}</div></li>)}</ul></section>}</>;
}

/* An account that could change the files of a share could also destroy them: said where the source is, not only among problems. */
const CAN_WRITE = 'the account could change files on this share; give it the right to read only';
function CanWrite({ r }: { r: Run | undefined }) {
    const got = useGet<Run>(r && r.problems_total > 0 ? `/runs/${encodeURIComponent(r.id)}` : null);
    const p = got.data?.problems?.find((x) => x.what === CAN_WRITE);
    return p ? <p><Badge state="look"><span class="wrap-ok">{p.text}</span></Badge></p> : null;
}

/* The list of runs only counts problems; their names come when somebody looks. */
function Problems({ r }: { r: Run }) {
    const [open, setOpen] = useState(false), silent = Math.min(r.counters?.reread_changed ?? 0, r.problems_total);
    const got = useGet<Run>(open ? `/runs/${encodeURIComponent(r.id)}` : null);
    return <details class="code" onToggle={(e) => setOpen(e.currentTarget.open)}><summary>{[silent ? t(T.runSilent, { n: countOf(silent) }) : '', r.problems_total > silent ? t(T.runProblems, { n: countOf(r.problems_total - silent) }) : ''].filter(Boolean).join(' ・ ')}</summary>
        {got.data && <ul class="plain-list">{(got.data.problems ?? []).slice(0, 100).map((p) => <li><span class="mono">{p.path}</span> <span class="sub">{p.text}</span></li>)}</ul>}</details>;
}

export function sourceState(s: Source): [State | 'bad', string] {
    if (!s.enabled) return ['unknown', t(T.srcOff)];
    if (s.state === 'ok' && !s.last) return ['unknown', t(T.srcNever)];
    return { ok: ['ok', t(T.srcOk)], late: ['look', t(T.srcLate)], running: ['ok', t(T.srcRun)], failed: ['look', t(T.srcFail)], suspicious: ['bad', t(T.srcBad)] }[s.state] as [State | 'bad', string];
}

function SourceRow({ s, device, now }: { s: Source; device: Device | undefined; now: number }) {
    const [state, word] = sourceState(s);
    return <div class="src"><div><h2 class="h3">{s.name}</h2><p class="sub">{device?.name ?? s.device} ・ {groupWord(s.group)} ・ {scheduleWord(s.schedule)}</p><p class={s.kind === 'files' || s.kind === 'sqlite' ? 'mono small' : 'small'}>{hasPaths(s.kind) ? s.paths.slice(0, 3).join('  ') : [kindWord(s), ...(s.kind === 'smb' ? s.where ?? [[s.options.share, s.options.folder].filter(Boolean).join('/')] : s.options.databases ?? []).slice(0, 3)].join(' ・ ')}{hasPaths(s.kind) && s.paths.length > 3 ? ' …' : ''}</p></div>
        <div><p><Badge state={state}>{word}</Badge></p><p class="sub num">{s.last ? t(T.lastAt, { at: whenOf(s.last.at, now) }) : t(T.never)}{s.next && s.enabled && <><br />{t(T.nextAt, { at: whenOf(s.next, now) })}</>}</p></div></div>;
}

export function scheduleWord(s: Schedule): string {
    if (s.every === 'hour') return t(T.evHour);
    if (s.every === 'day') return `${t(T.evDay)} ${s.at ?? ''}`.trim();
    if (s.every === 'week') return `${t(T.evWeek)} ${weekday(s.weekday ?? 0)} ${s.at ?? ''}`.trim();
    return t(T.evOff);
}

function runState(r: Run): MarkState { return r.suspicious ? 'bad' : r.state === 'complete' ? 'ok' : LIVE.includes(r.state) ? 'unknown' : 'look'; }
function runWord(r: Run): string {
    if (r.suspicious) return t(T.runBad);
    return t({ waiting: T.runWait, running: T.runPhase, complete: T.runDone, partial: T.runPartial, failed: T.runFailed, cancelled: T.runCancelled }[r.state]);
}

function RunBox({ r }: { r: Run }) {
    if (r.state === 'waiting') return <p role="status"><Badge state="unknown">{t(T.runWait)}</Badge></p>;
    if (r.state !== 'running') return <p role="status"><Badge state={runState(r)}>{runWord(r)}</Badge></p>;
    const p = r.progress;
    if (!p) return <p role="status">{t(T.runPhase)}</p>;
    const phase = { scan: T.runScan, read: T.runRead, send: T.runSend, finish: T.runFinish }[p.phase] ?? T.runPhase;
    return <div><Progress part={p.bytes_total ? p.bytes : p.files} whole={p.bytes_total || p.files_total} label={t(phase)} text={t(p.files_total ? T.runFiles : T.runFilesN, { all: countOf(p.files_total), n: countOf(p.files), size: bytesOf(p.sent) })} />
        {p.now && <p class="mono small cut">{p.now}</p>}</div>;
}

/* ---- editor ---- */
/* In the words of a clinic: ORCA is one of PostgreSQL, with everything known beforehand. */
const KINDS = [['files', T.kFiles, T.kFilesHelp], ['orca', T.kOrca, T.kOrcaHelp], ['postgresql', T.kPg, null], ['mariadb', T.kMaria, null], ['sqlite', T.kSqlite, T.kSqliteHelp], ['smb', T.kSmb, T.kSmbHelp]] as const;
type Kind = (typeof KINDS)[number][0];
const kindOf = (k: string) => (k === 'orca' ? 'postgresql' : k);
const hasPaths = (k: string) => k === 'files' || k === 'sqlite';
function kindWord(s: Source): string {
    const orca = s.kind === 'postgresql' && s.options.databases?.length === 1 && s.options.databases[0] === 'orca';
    return t(KINDS.find(([k]) => k === (orca ? 'orca' : s.kind))?.[1] ?? T.kFiles);
}
/** Names the machine told of: "access:postgresql:" gives those of PostgreSQL. */
const told = (d: Device | undefined, prefix: string) => (d?.features ?? []).filter((f) => f.startsWith(prefix)).map((f) => f.slice(prefix.length));

interface Draft { kind: Kind; access: string; databases: string; share: string; folder: string; before: string; after: string; hook_limit: string; hook_go: boolean; device: string; name: string; group: string; paths: string; include: string; exclude: string; every: Schedule['every']; at: string; weekday: string; responsible: string; canaries: boolean; one_file_system: boolean; enabled: boolean; bandwidth: string; hours: HourDraft[]; reread: boolean; run_now: boolean }
const FRESH: Draft = { kind: 'files', access: 'local', databases: '', share: '', folder: '', before: '', after: '', hook_limit: '300', hook_go: false, device: '', name: '', group: 'emr', paths: '', include: '', exclude: '', every: 'hour', at: '03:10', weekday: '1', responsible: '', canaries: true, one_file_system: true, enabled: true, bandwidth: '0', hours: [], reread: true, run_now: true };
const linesOf = (s: string) => s.split('\n').map((x) => x.trim()).filter(Boolean);

export function SourceEditor({ id }: { id: string | null }) {
    const { session } = useSession();
    const place = usePlace();
    const devices = useGet<List<Device>>('/devices');
    const people = useGet<List<Person>>('/people');
    const list = useGet<List<Source>>(id ? '/sources' : null);
    const [d, setD] = useState<Draft>({ ...FRESH, device: place.query.get('device') ?? '', responsible: session?.person?.id ?? '' });
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, setError] = useState<ApiError | null>(null);
    const [ask, setAsk] = useState(false);
    const old = list.data?.items.find((s) => s.id === id);
    useEffect(() => { if (old) setD(draftOf(old)); }, [old?.id]);
    useEffect(() => { if (!id && !d.device && devices.data?.items.length) setD((x) => ({ ...x, device: (devices.data!.items.find((v) => v.state === 'ok') ?? devices.data!.items[0]!).id })); }, [devices.data]);
    const put = <K extends keyof Draft>(k: K) => (v: Draft[K]) => setD({ ...d, [k]: v });
    const save = async (e: Event) => {
        e.preventDefault();
        const miss: Record<string, string> = {};
        if (!d.name.trim()) miss.name = t(T.nameNeed);
        const paths = linesOf(d.paths), kind = kindOf(d.kind);
        if (hasPaths(kind)) if (!paths.length || paths.some((p) => !p.startsWith('/'))) miss.paths = t(T.edPathsNeed);
        if (kind === 'smb' && !d.share.trim()) miss.share = t(T.edShareNeed);
        if (kind === 'smb' && !d.access) miss.access = t(T.edSmbAccessNeed);
        setBad(miss);
        setError(null);
        if (Object.keys(miss).length) { focusHeading('#main [aria-invalid]'); return; }
        const body = {
            device: d.device, name: d.name.trim(), group: d.group, kind, options: optionsOf(d, old), ...(hasPaths(kind) ? { paths } : {}), include: linesOf(d.include), exclude: linesOf(d.exclude),
            schedule: { every: d.every, ...(d.every === 'day' || d.every === 'week' ? { at: d.at } : {}), ...(d.every === 'week' ? { weekday: Number(d.weekday) } : {}) },
            responsible: d.responsible || null, canaries: d.canaries && kind === 'files', one_file_system: d.one_file_system, enabled: d.enabled, bandwidth_kib_s: Math.max(0, Math.floor(Number(d.bandwidth) || 0)),
        };
        try {
            if (id) await api.patch(`/sources/${encodeURIComponent(id)}`, body);
            else {
                const made = await api.post<{ id: string }>('/sources', body);
                if (d.run_now) await api.post(`/sources/${encodeURIComponent(made.id)}/run`).catch(() => { /* the schedule runs it all the same */ });
            }
            navigate('/machines/sources');
        } catch (x) {
            const err = x as ApiError;
            if (err.field && err.message) { setBad({ [err.field.startsWith('options.') ? err.field.slice(8).split('.')[0]! : err.field.split(/[.[]/)[0]!]: err.message }); focusHeading('#main [aria-invalid]'); } else setError(err);
        }
    };
    const end = async () => { setAsk(false); try { await api.del(`/sources/${encodeURIComponent(id!)}`); navigate('/machines/sources'); } catch (x) { setError(x as ApiError); } };
    const machine = devices.data?.items.find((v) => v.id === d.device), kind = kindOf(d.kind), hooks = told(machine, 'hook:');
    const accesses = [...new Set([d.access, ...told(machine, `access:${kind}:`)])].filter(Boolean);
    const pickKind = (k: Kind) => setD({ ...d, kind: k, access: k === 'smb' ? told(machine, 'access:smb:')[0] ?? '' : 'local', databases: k === 'orca' ? 'orca' : d.kind === 'orca' ? '' : d.databases, group: k === 'orca' ? 'receipt' : d.group, name: k === 'orca' && !d.name ? t(T.kOrca) : d.name });
    const title = t(id ? T.edChange : T.edNew);
    if (id && !old) return <><Head title={title} />{list.error ? <ErrorBox error={list.error} retry={list.reload} /> : list.data ? <Empty title={t(T.noneFound)} /> : <Loading />}</>;
    if (!id && devices.data && !devices.data.items.length) return <><Head title={title} /><Empty title={t(T.empty)}><p>{t(T.emptyText)}</p><Link class="btn btn-main" href="/machines">{t(T.join)}</Link></Empty></>;
    return <form onSubmit={save} noValidate class="narrow"><p><Link class="more" href="/machines/sources">{t(T.backSources)}</Link></p><Head title={title} lead={id ? undefined : t(T.srcEmptyText)} /><div class="stack"><ErrorBox error={error} />
        <section class="card stack">{!id && <SelectField label={t(T.edDevice)} value={d.device} onInput={put('device')} options={(devices.data?.items ?? []).filter((v) => v.state !== 'revoked').map((v) => [v.id, v.name])} />}
            {!id && <Choice legend={t(T.edKind)} name="kind" value={d.kind} onInput={pickKind} options={KINDS.map(([k, w, h]): [Kind, string, string?] => (h ? [k, t(w), t(h)] : [k, t(w)]))} />}
            {id && old && <p>{t(T.edKind)}: <b>{kindWord(old)}</b></p>}
            {kind !== 'files' && machine?.features && !machine.features.includes(`kind:${kind}`) && <p role="alert"><Badge state="look"><span class="wrap-ok">{t(T.kOld)}</span></Badge></p>}
            <TextField label={t(T.edName)} help={t(T.edNameHelp)} required value={d.name} onInput={put('name')} error={bad.name ?? null} autocomplete="off" />
            <SelectField label={t(T.edGroup)} value={d.group} onInput={put('group')} options={GROUPS.map(([k, w]) => [k as string, t(w)])} />
            {hasPaths(kind) ? <AreaField label={t(kind === 'sqlite' ? T.edSqlite : T.edPaths)} help={t(kind === 'sqlite' ? T.edSqliteHelp : T.edPathsHelp)} required value={d.paths} onInput={put('paths')} error={bad.paths ?? null} />
                : kind === 'smb' ? <SmbFields d={d} put={put} bad={bad} accesses={accesses} />
                : <><SelectField label={t(T.edAccess)} help={t(T.edAccessHelp)} value={d.access} onInput={put('access')} error={bad.access ?? null} options={accesses.map((a) => [a, a === 'local' ? t(T.edAccessLocal) : a])} />
                    <AreaField label={t(T.edDbs)} help={t(T.edDbsHelp)} rows={2} value={d.databases} onInput={put('databases')} error={bad.databases ?? null} /></>}</section>
        <section class="card stack"><Choice legend={t(T.edWhen)} heading name="every" value={d.every} onInput={put('every')} options={[['hour', t(T.evHour), t(T.evHourHelp)], ['day', t(T.evDay), t(T.evDayHelp)], ['week', t(T.evWeek)], ['off', t(T.evOff)]]} />
            {(d.every === 'day' || d.every === 'week') && <div class="form-grid"><Field label={t(T.edAt)} error={bad.schedule ?? null}>{(a) => <input class="in num" type="time" value={d.at} onInput={(e) => put('at')(e.currentTarget.value)} {...a} />}</Field>
                {d.every === 'week' && <SelectField label={t(T.edWeekday)} value={d.weekday} onInput={put('weekday')} options={[0, 1, 2, 3, 4, 5, 6].map((n) => [String(n), weekday(n)])} />}</div>}
            <SelectField label={t(T.edWho)} help={t(T.edWhoHelp)} value={d.responsible} onInput={put('responsible')} options={[['', t(T.edWhoNone)], ...(people.data?.items ?? []).map((p): [string, string] => [p.id, p.name])]} /></section>
        <details><summary>{t(T.edMore)}</summary><div class="fold stack"><AreaField label={t(T.edInclude)} help={t(T.edPatternHelp)} rows={2} value={d.include} onInput={put('include')} error={bad.include ?? null} />
            <AreaField label={t(T.edExclude)} help={t(T.edPatternHelp)} rows={2} value={d.exclude} onInput={put('exclude')} error={bad.exclude ?? null} />
            {(hooks.length > 0 || d.before || d.after) && <><div class="form-grid">
                <SelectField label={t(T.edHookBefore)} help={t(T.edHookHelp)} value={d.before} onInput={put('before')} error={bad.hooks ?? null} options={[['', t(T.edHookNone)], ...[...new Set([d.before, ...hooks])].filter(Boolean).map((h): [string, string] => [h, h])]} />
                <SelectField label={t(T.edHookAfter)} value={d.after} onInput={put('after')} options={[['', t(T.edHookNone)], ...[...new Set([d.after, ...hooks])].filter(Boolean).map((h): [string, string] => [h, h])]} />
                <TextField label={t(T.edHookLimit)} class="num" inputMode="numeric" value={d.hook_limit} onInput={put('hook_limit')} /></div>
                <div class="ticks"><Tick type="checkbox" name="hook_go" checked={d.hook_go} onChange={put('hook_go')} title={t(T.edHookGo)} /></div></>}
            <div class="ticks">{kind === 'files' && <Tick type="checkbox" name="canaries" checked={d.canaries} onChange={put('canaries')} title={t(T.edCanary)} text={t(T.edCanaryHelp)} />}
                {kind === 'files' && <Tick type="checkbox" name="ofs" checked={d.one_file_system} onChange={put('one_file_system')} title={t(T.edOneFs)} />}
                {kind === 'files' && <Tick type="checkbox" name="reread" checked={d.reread} onChange={put('reread')} title={t(T.edReread)} text={t(T.edRereadHelp)} />}
                <Tick type="checkbox" name="enabled" checked={d.enabled} onChange={put('enabled')} title={t(T.edEnabled)} /></div>
            <TextField label={t(T.edBand)} help={t(T.edBandHelp)} class="num" inputMode="numeric" value={d.bandwidth} onInput={put('bandwidth')} error={bad.bandwidth_kib_s ?? null} />
            <HoursField rows={d.hours} onInput={put('hours')} error={bad.hours ?? null} /></div></details>
        {!id && <div class="ticks"><Tick type="checkbox" name="now" checked={d.run_now} onChange={put('run_now')} title={t(T.edRunAfter)} /></div>}
        <div class="btn-row"><button type="submit" class="btn btn-main btn-lg btn-wide">{t(T.edSave)}</button>{id && <button type="button" class="btn btn-stop" onClick={() => setAsk(true)}>{t(T.edDelete)}</button>}</div></div>
        {ask && <Dialog title={t(T.edDeleteAsk)} onClose={() => setAsk(false)}><p>{t(T.edDeleteText)}</p><div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(false)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => void end()}>{t(T.edDelete)}</button></div></Dialog>}
    </form>;
}

function SmbFields({ d, put, bad, accesses }: { d: Draft; put: <K extends keyof Draft>(k: K) => (v: Draft[K]) => void; bad: Record<string, string>; accesses: string[] }) {
    return <>{accesses.length ? <SelectField label={t(T.edSmbAccess)} help={t(T.edSmbAccessHelp)} value={d.access} onInput={put('access')} error={bad.access ?? null} options={accesses.map((a) => [a, a])} />
        : <p role={bad.access ? 'alert' : undefined}><Badge state="look"><span class="wrap-ok">{t(T.edSmbAccessNeed)}</span></Badge></p>}
        <TextField label={t(T.edShare)} help={t(T.edShareHelp)} required value={d.share} onInput={put('share')} error={bad.share ?? null} autocomplete="off" />
        <TextField label={t(T.edFolder)} help={t(T.edFolderHelp)} value={d.folder} onInput={put('folder')} error={bad.folder ?? null} autocomplete="off" />
        <p class="sub">{t(T.edSmbNote)}</p></>;
}

/** What a screen does not show stays as it is. */
function optionsOf(d: Draft, old: Source | undefined): SourceOptions {
    const { hooks: _, hours: _h, reread: _r, ...rest } = old?.options ?? {};
    const o: SourceOptions = { ...rest };
    if (d.kind === 'smb') {
        Object.assign(o, { access: d.access, share: d.share.trim() });
        const folder = d.folder.trim().replace(/\\/g, '/').replace(/^\/+|\/+$/g, '');
        if (folder) o.folder = folder; else delete o.folder;
    } else if (!hasPaths(d.kind)) { o.access = d.access; o.databases = linesOf(d.databases); }
    if (d.before || d.after) o.hooks = { ...(d.before ? { before: d.before } : {}), ...(d.after ? { after: d.after } : {}), limit_s: Math.min(3600, Math.max(1, Math.floor(Number(d.hook_limit) || 300))), on_failure: d.hook_go ? 'partial' : 'fail' };
    if (d.hours.length) o.hours = hoursOf(d.hours);
    if (d.kind === 'files' && !d.reread) o.reread = 'off';
    return o;
}

function draftOf(s: Source): Draft {
    const h = s.options.hooks ?? {};
    return {
        kind: (KINDS.some(([k]) => k === s.kind) ? s.kind : 'files') as Kind, access: s.options.access ?? 'local', databases: (s.options.databases ?? []).join('\n'), share: s.options.share ?? '', folder: s.options.folder ?? '', before: h.before ?? '', after: h.after ?? '',
        hook_limit: String(h.limit_s ?? 300), hook_go: h.on_failure === 'partial',
        device: s.device, name: s.name, group: s.group, paths: s.paths.join('\n'), include: s.include.join('\n'), exclude: s.exclude.join('\n'), every: s.schedule.every, at: s.schedule.at ?? '03:10',
        weekday: String(s.schedule.weekday ?? 1), responsible: s.responsible ?? '', canaries: s.canaries, one_file_system: s.one_file_system, enabled: s.enabled, bandwidth: String(s.bandwidth_kib_s),
        hours: draftHours(s.options.hours), reread: s.options.reread !== 'off', run_now: false,
    };
}
