// Copies outside the box: the rule 3-2-1-1-0 as five lamps, each copy with what it holds, and how one is added.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Copies, Copy, CopyRun, Lamp } from '../api';
import { manualPath, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive } from '../live';
import { isLeader, roleOf, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/copies';
import { bytesOf, countOf, whenOf } from '../time';
import { AddBox, NewCode, ToPeers } from './peers';
import { T as P } from '../text/peers';
import { Badge, Dialog, Empty, ErrorBox, Head, Loading, Mark, Progress, SecretField, SelectField, TextField, Tick } from '../ui/parts';
import type { MarkState } from '../ui/parts';

const LAMP: Record<Lamp['state'], [MarkState, Text]> = { on: ['ok', T.on], look: ['look', T.look], off: ['unknown', T.off] };
const STATE: Record<Copy['state'], MarkState> = { waiting: 'unknown', running: 'unknown', verifying: 'unknown', forked: 'call', failed: 'look', unsound: 'look', never: 'unknown', old: 'look', detach: 'look', ok: 'ok' };
const SAID: Record<Copy['state'], Text> = { waiting: T.s_waiting, running: T.s_running, verifying: T.s_verifying, forked: T.s_forked, failed: T.s_failed, unsound: T.s_unsound, never: T.s_never, old: T.s_old, detach: T.s_detach, ok: T.s_ok };
const KIND: Record<Copy['kind'], Text> = { folder: T.kindFolder, disk: T.kindDisk, s3: T.kindS3, box: P.kindBox };
const RUN: Record<CopyRun['state'], Text> = { complete: T.r_complete, failed: T.r_failed, cancelled: T.r_cancelled, running: T.r_running };

/** The lamps with their words; on Today without what to do. */
export function Lamps({ lamps, short }: { lamps: Lamp[]; short?: boolean }) {
    return <ul class="lamps">{lamps.map((l) => {
        const [state, w] = LAMP[l.state];
        return <li class={`lamp lamp-${l.state}`}><Mark state={state} label={t(w)} />
            <div><p class="lamp-t"><b class="num">{l.number}</b> <b>{l.title}</b> <span class="lamp-w">{t(w)}</span></p>
                {!short && <p>{l.why}</p>}{!short && l.todo && <p class="sub"><b>{t(T.todo)}</b> {l.todo}</p>}</div></li>;
    })}</ul>;
}

export function CopiesScreen() {
    const { session } = useSession();
    const got = useGet<Copies>('/copies');
    useLive('copy', got.reload);
    const c = got.data;
    return <><Head title={t(T.title)} lead={t(T.lead)} />
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!c ? !got.error && <Loading /> : <div class="stack stack-l">
            <section class="card" aria-labelledby="lp"><h2 id="lp">{t(T.lamps)}</h2><p class="sub">{t(T.lampsText)}</p><Lamps lamps={c.lamps} /></section>
            {c.items.length === 0 ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>
                : <section aria-labelledby="ls"><h2 id="ls">{t(T.list)}</h2><div class="two mt">{c.items.map((x) => <One key={x.id} c={x} reload={got.reload} />)}</div></section>}
            {isLeader(session) && <><AddBox reload={got.reload} /><Bucket reload={got.reload} /></>}<Add />
            {(isLeader(session) || roleOf(session) === 'vendor') && <ToPeers />}</div>}</>;
}

function Facts({ c }: { c: Copy }) {
    const when = c.when === 'plugged' ? t(T.whenPlugged) : c.when === 'daily' ? t(T.whenDaily, { hour: c.hour ?? 0 }) : t(T.whenBackup);
    return <dl class="dl"><div><dt>{t(T.covers)}</dt><dd>{c.covers ? whenOf(c.covers) : t(T.never)}</dd></div>
        <div><dt>{t(T.size)}</dt><dd class="num">{t(T.sizeText, { n: countOf(c.generations), size: bytesOf(c.pack_bytes) })}</dd></div>
        {c.kind === 's3' && <><div><dt>{t(T.lockedUntil)}</dt><dd>{c.locked_until ? whenOf(c.locked_until) : t(T.never)}</dd></div>
            <div><dt>{t(T.stored)}</dt><dd class="num">{bytesOf(c.stored_bytes)}</dd></div><div><dt>{t(T.place)}</dt><dd class="mono">{c.place}</dd></div></>}
        {c.total_bytes > 0 && <div><dt>{t(T.free)}</dt><dd class="num">{bytesOf(c.free_bytes)}</dd></div>}
        <div><dt>{t(T.verified)}</dt><dd>{!c.verified ? t(T.never) : c.sound ? whenOf(c.verified) : t(T.verifiedBad, { at: whenOf(c.verified) })}</dd></div>
        <div><dt>{t(T.when)}</dt><dd>{when}</dd></div><div><dt>{t(T.where)}</dt><dd>{t(c.elsewhere ? T.elsewhere : T.here)}</dd></div>
        {c.detachable && <div><dt>{t(T.disk)}</dt><dd>{c.attached ? t(T.attached) : c.detached_at ? t(T.detached, { at: whenOf(c.detached_at) }) : t(T.never)}</dd></div>}</dl>;
}

function One({ c, reload }: { c: Copy; reload: () => void }) {
    const { session } = useSession();
    const [error, setError] = useState<ApiError | null>(null);
    const [open, setOpen] = useState(false);
    const busy = c.state === 'waiting' || c.state === 'running' || c.state === 'verifying';
    const may = roleOf(session) !== 'vendor' && (!c.detachable || c.attached);
    const act = async (path: string, body: object = {}) => {
        setError(null);
        try { await api.post(`/copies/${c.id}/${path}`, body); } catch (e) { setError(e as ApiError); }
        reload();
    };
    return <section class="card stack" aria-labelledby={'c' + c.id}><div><p class="eyebrow">{t(KIND[c.kind])}</p><h3 id={'c' + c.id}>{c.name}</h3></div>
        <p><Badge state={STATE[c.state]}>{t(SAID[c.state])}</Badge></p><p>{c.text}</p><ErrorBox error={error} />
        {c.progress && c.progress.bytes_total > 0 && <Progress part={c.progress.bytes} whole={c.progress.bytes_total} label={t(SAID[c.state])} text={t(T.progress, { n: bytesOf(c.progress.bytes), all: bytesOf(c.progress.bytes_total) })} />}
        <Facts c={c} />
        <div class="btn-row no-print">{busy ? roleOf(session) !== 'vendor' && <button type="button" class="btn btn-stop" onClick={() => void act('cancel')}>{t(T.cancel)}</button>
            : may && <><button type="button" class="btn" onClick={() => void act('run')}>{t(T.run)}</button>{c.done && <button type="button" class="btn" onClick={() => void act('run', { verify: true })}>{t(T.verify)}</button>}</>}</div>
        <details class="no-print" onToggle={(e) => setOpen(e.currentTarget.open)}><summary>{t(T.more)}</summary>{open && <div class="stack mt"><Own c={c} reload={reload} edit={isLeader(session)} /></div>}</details></section>;
}

function Own({ c, reload, edit }: { c: Copy; reload: () => void; edit: boolean }) {
    const got = useGet<Copy & { runs: CopyRun[] }>(`/copies/${c.id}`);
    return <>{edit && <Change c={c} reload={reload} />}{edit && c.kind === 'box' && <NewCode c={c} reload={reload} />}{edit && c.kind === 's3' && <Keys c={c} reload={reload} />}
        {got.data && got.data.runs.length > 0 && <div><h4>{t(T.history)}</h4><ul class="lines">{got.data.runs.slice(0, 10).map((r) => <li>
            <Mark state={r.state === 'complete' ? 'ok' : r.state === 'failed' ? 'look' : 'unknown'} /><div><b>{t(RUN[r.state])}</b> <span class="sub num">{whenOf(r.started)}{r.facts?.copy && ` ・ ${t(T.hBytes)} ${bytesOf(r.facts.copy.copied_bytes ?? 0)}`}</span>
                {(r.facts?.files ?? []).length > 0 && <ul class="plain-list">{r.facts!.files!.slice(0, 10).map((f) => <li class="mono">{f.file} {f.why}</li>)}</ul>}</div></li>)}</ul></div>}</>;
}

/** New keys for a bucket; the old ones are never shown. */
function Keys({ c, reload }: { c: Copy; reload: () => void }) {
    const [v, set] = useState({ access_key: '', secret_key: '' });
    const [error, setError] = useState<ApiError | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!v.access_key.trim() || !v.secret_key.trim()) return setBad(t(T.keysNeed));
        setBad(null);
        try {
            await api.post(`/copies/${c.id}/keys`, { access_key: v.access_key.trim(), secret_key: v.secret_key.trim() });
            set({ access_key: '', secret_key: '' });
            reload();
        } catch (x) { setError(x as ApiError); }
    };
    return <form class="stack" onSubmit={go} noValidate><h4>{t(T.keys)}</h4><ErrorBox error={error} />
        <TextField label={t(T.s3Access)} class="mono" value={v.access_key} onInput={(access_key) => set({ ...v, access_key })} autocomplete="off" />
        <SecretField label={t(T.s3Secret)} value={v.secret_key} onInput={(secret_key) => set({ ...v, secret_key })} autocomplete="off" />
        {bad && <p class="field" role="alert"><span class="err">{bad}</span></p>}
        <div class="btn-row"><button type="submit" class="btn">{t(T.keysSave)}</button></div></form>;
}

const EMPTY = { name: '', endpoint: 'https://', bucket: '', prefix: '', region: 'ap-northeast-1', access_key: '', secret_key: '' };

/** A copy in a bucket, from the console: the box finds out by its first run whether everything is right. */
function Bucket({ reload }: { reload: () => void }) {
    const [v, set] = useState(EMPTY);
    const [open, setOpen] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        const body = Object.fromEntries(Object.entries(v).map(([k, x]) => [k, x.trim()]));
        setError(null);
        if (Object.entries(body).some(([k, x]) => k !== 'prefix' && !x) || body.endpoint === 'https://') return setBad(t(T.s3Empty));
        setBad(null);
        try {
            await api.post('/copies', { kind: 's3', ...body });
            set(EMPTY);
            setOpen(false);
            reload();
        } catch (x) { setError(x as ApiError); }
    };
    const field = (key: keyof typeof EMPTY, label: Text, c = '') => <TextField label={t(label)} class={c} value={v[key]} onInput={(x) => set({ ...v, [key]: x })} autocomplete="off" />;
    return <section class="card stack no-print" aria-labelledby="bk"><h2 id="bk">{t(T.s3Title)}</h2><p>{t(T.s3Text)}</p>
        {!open ? <div class="btn-row"><button type="button" class="btn" onClick={() => setOpen(true)}>{t(T.s3Open)}</button></div>
            : <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />{field('name', T.name)}{field('endpoint', T.s3Endpoint, 'mono')}{field('bucket', T.s3Bucket, 'mono')}{field('prefix', T.s3Prefix, 'mono')}
                {field('region', T.s3Region, 'mono')}{field('access_key', T.s3Access, 'mono')}
                <SecretField label={t(T.s3Secret)} value={v.secret_key} onInput={(secret_key) => set({ ...v, secret_key })} autocomplete="off" />
                {bad && <p class="field" role="alert"><span class="err">{bad}</span></p>}<p class="sub">{t(T.s3Note)}</p>
                <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.s3Go)}</button><button type="button" class="btn" onClick={() => { set(EMPTY); setOpen(false); }}>{t(C.stopIt)}</button></div></form>}</section>;
}

function Change({ c, reload }: { c: Copy; reload: () => void }) {
    const [v, set] = useState({ name: c.name, elsewhere: c.elsewhere, enabled: c.enabled, hour: c.hour === null ? '' : String(c.hour), days: String(c.max_days) });
    const [error, setError] = useState<ApiError | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const [ask, setAsk] = useState(false);
    const go = async (e: Event) => {
        e.preventDefault();
        const days = Number(v.days);
        if (!Number.isInteger(days) || days < 1 || days > 400) return setBad(t(T.daysBad));
        setBad(null);
        setError(null);
        try {
            await api.patch(`/copies/${c.id}`, { name: v.name.trim() || c.name, elsewhere: v.elsewhere, enabled: v.enabled, max_days: days, ...(c.detachable ? {} : { hour: v.hour === '' ? null : Number(v.hour) }) });
            reload();
        } catch (x) { setError(x as ApiError); }
    };
    const forget = async () => {
        setError(null);
        try { await api.del(`/copies/${c.id}`); setAsk(false); reload(); } catch (x) { setError(x as ApiError); setAsk(false); }
    };
    const hours: [string, string][] = [['', t(T.whenBackup)], ...Array.from({ length: 24 }, (_, h): [string, string] => [String(h), t(T.whenDaily, { hour: h })])];
    return <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        <TextField label={t(T.name)} value={v.name} onInput={(name) => set({ ...v, name })} autocomplete="off" />
        <Tick type="checkbox" name={'away' + c.id} checked={v.elsewhere} onChange={(elsewhere) => set({ ...v, elsewhere })} title={t(T.awayTick)} />
        <Tick type="checkbox" name={'auto' + c.id} checked={v.enabled} onChange={(enabled) => set({ ...v, enabled })} title={t(T.autoTick)} />
        {!c.detachable && <SelectField label={t(T.hour)} value={v.hour} onInput={(hour) => set({ ...v, hour })} options={hours} />}
        <TextField label={t(T.days)} class="num" inputMode="numeric" value={v.days} onInput={(days) => set({ ...v, days })} error={bad} autocomplete="off" />
        <div class="btn-row"><button type="submit" class="btn">{t(C.save)}</button><button type="button" class="btn btn-stop" onClick={() => setAsk(true)}>{t(T.forget)}</button></div>
        {ask && <Dialog title={t(T.forgetTitle, { name: c.name })} onClose={() => setAsk(false)}><p>{t(T.forgetText)}</p>
            <div class="btn-row"><button type="button" class="btn btn-stop" onClick={() => void forget()}>{t(T.forget)}</button><button type="button" class="btn" onClick={() => setAsk(false)}>{t(C.stopIt)}</button></div></Dialog>}</form>;
}

function Add() {
    return <section class="card stack no-print" aria-labelledby="ad"><h2 id="ad">{t(T.add)}</h2><p>{t(T.addText)}</p>
        <div><p><b>{t(T.addDisk)}</b></p><p class="copy">{t(T.cmdDisk)}</p></div>
        <div><p><b>{t(T.addFolder)}</b></p><p class="copy">{t(T.cmdFolder)}</p></div>
        <p class="sub">{t(T.addNote)}</p><p><a class="more" href={manualPath('copies.html')}>{t(T.manual)}</a></p></section>;
}
