// How machines protect themselves: few choices in plain words, and beside each what it means for care.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Device } from '../api';
import { differing } from '../endpoint';
import type { Policy, PolicyNow, RansomMode } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive } from '../live';
import { navigate } from '../router';
import type { Place } from '../router';
import { isLeader, useSession } from '../session';
import { T } from '../text/epolicy';
import { AreaField, Choice, ErrorBox, Head, Loading, Said, SelectField, Tick } from '../ui/parts';
import { Confirm } from '../ui/confirm';

const DAYS: [string, Text][] = [['7', T.d_7], ['1', T.d_1], ['2', T.d_2], ['3', T.d_3], ['4', T.d_4], ['5', T.d_5], ['6', T.d_6], ['0', T.d_0]];
const HELD: Record<'holds' | 'on_its_way' | 'refused', Text> = { holds: T.holds, on_its_way: T.onWay, refused: T.refused };
const linesOf = (s: string) => s.split('\n').map((x) => x.trim()).filter(Boolean);

export function EndpointPolicyScreen({ place }: { place: Place }) {
    const device = place.query.get('device');
    const path = device ? `/devices/${encodeURIComponent(device)}/endpoint/policy` : '/endpoint/policy';
    const got = useGet<PolicyNow>(path);
    const devices = useList<Device>('/devices');
    const { session } = useSession();
    const [drop, setDrop] = useState(false);
    const [turn, setTurn] = useState(0);
    const name = devices.data?.items.find((d) => d.id === device)?.name ?? '';
    const select = <SelectField label={t(T.forWhom)} value={device ?? ''} onInput={(v) => navigate(v ? `/endpoint/policy?device=${encodeURIComponent(v)}` : '/endpoint/policy')}
        options={[['', t(T.whole)], ...(devices.data?.items ?? []).filter((d) => d.state !== 'revoked').map((d): [string, string] => [d.id, d.name])]} />;
    const renew = () => { void api.get<PolicyNow>(path).then((x) => { got.set(x); setTurn(turn + 1); }, got.reload); };
    useLive<{ id?: string }>('endpoint', (x) => { if (!x.id || x.id === device) got.reload(); });
    return <div class="narrow"><Head title={t(T.title)} lead={device && name ? t(T.leadOne, { name }) : t(T.lead)} />
        <div class="narrow-s no-print">{select}</div>
        {!got.data ? got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading /> : <>
            {!device && !got.data.own && <p class="sub mt-s">{t(T.never)}</p>}
            {device && got.data.state && got.data.state !== 'none' && <p class="sub mt-s">{t(HELD[got.data.state])}{got.data.detail && <> <span class="mono">{got.data.detail}</span></>}</p>}
            {device && got.data.own && isLeader(session) && <p class="mt-s no-print"><button type="button" class="btn btn-sm" onClick={() => setDrop(true)}>{t(T.useCommon)}</button></p>}
            {!isLeader(session) && <p class="sub mt-s">{t(T.reader)}</p>}
            <Form now={got.data} path={path} may={isLeader(session)} onDone={got.reload} key={`${path} ${turn}`} /></>}
        {drop && <Confirm title={t(T.useCommonAsk)} yes={t(T.useCommon)} onClose={() => setDrop(false)} go={() => api.put(path, { policy: null }).then(() => { setDrop(false); renew(); })} />}</div>;
}

function Form({ now, path, may, onDone }: { now: PolicyNow; path: string; may: boolean; onDone: () => void }) {
    const [p, set] = useState<Policy>(now.policy);
    const [auto, setAuto] = useState(now.policy.protect.includes('auto'));
    const [text, setText] = useState({ protect: now.policy.protect.filter((x) => x !== 'auto').join('\n'), exclude: now.policy.exclude.join('\n'), serials: now.policy.media.allow.join('\n'), to: now.policy.block.to.join('\n'), files: now.policy.block.files.join('\n') });
    const [bad, setBad] = useState<{ protect?: string; files?: string }>({});
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setSaid(null);
        setError(null);
        const paths = linesOf(text.protect), files = linesOf(text.files).map((x) => x.toLowerCase());
        const pBad = !auto && (!paths.length || paths.some((x) => !x.startsWith('/'))), fBad = files.some((x) => !/^[0-9a-f]{64}$/.test(x));
        setBad({ ...(pBad && { protect: t(T.pNeed) }), ...(fBad && { files: t(T.blockFilesBad) }) });
        if (pBad || fBad) return;
        const policy: Policy = { ...p, protect: auto ? ['auto'] : paths, exclude: linesOf(text.exclude), media: { ...p.media, allow: linesOf(text.serials) }, block: { files, to: linesOf(text.to) } };
        try { await api.put(path, { policy: differing(policy, now.standard ?? now.institution ?? policy) }); setSaid(t(T.saved)); onDone(); } catch (x) { setError(x as ApiError); }
    };
    const area = (key: keyof typeof text) => ({ value: text[key], onInput: (v: string) => setText({ ...text, [key]: v }) });
    return <form class="stack stack-l mt" onSubmit={go} noValidate>
        <section class="card stack"><Choice heading legend={t(T.ransom)} name="ransom" value={p.ransom.mode} onInput={(mode: RansomMode) => set({ ...p, ransom: { ...p.ransom, mode } })}
            options={[['stop', t(T.rStop), t(T.rStopHelp)], ['kill', t(T.rKill), t(T.rKillHelp)], ['watch', t(T.rWatch), t(T.rWatchHelp)], ...(p.ransom.mode === 'off' ? [['off', t(T.rOff), t(T.rOffHelp)] as [RansomMode, string, string]] : [])]} />
            {(p.ransom.mode === 'stop' || p.ransom.mode === 'kill') && <div class="ticks"><Tick type="checkbox" name="back" checked={p.ransom.give_back} onChange={(on) => set({ ...p, ransom: { ...p.ransom, give_back: on } })} title={t(T.giveBack)} /></div>}</section>
        <section class="card stack"><Choice heading legend={t(T.protect)} name="protect" value={auto ? 'auto' : 'list'} onInput={(v) => setAuto(v === 'auto')} options={[['auto', t(T.pAuto), t(T.pAutoHelp)], ['list', t(T.pList), t(T.pListHelp)]]} />
            {!auto && <AreaField label={t(T.pPaths)} help={t(T.pPathsHelp)} error={bad.protect ?? null} required {...area('protect')} />}</section>
        <ScanPart p={p} set={set} />
        <section class="card stack"><Choice heading legend={t(T.media)} name="media" value={p.media.mode} onInput={(mode: Policy['media']['mode']) => set({ ...p, media: { ...p.media, mode } })}
            options={[['allow', t(T.mAllow), t(T.mAllowHelp)], ['read_only', t(T.mRead), t(T.mReadHelp)], ['block', t(T.mBlock), t(T.mBlockHelp)]]} />
            {p.media.mode !== 'allow' && <AreaField label={t(T.mSerials)} help={t(T.mSerialsHelp)} {...area('serials')} />}</section>
        <details><summary>{t(T.more)}</summary><div class="fold stack">
            <AreaField label={t(T.exclude)} help={t(T.excludeHelp)} {...area('exclude')} />
            <Choice legend={t(T.sens)} name="sens" value={String(p.ransom.sensitivity) as '0' | '1' | '2'} onInput={(v) => set({ ...p, ransom: { ...p.ransom, sensitivity: Number(v) } })} options={[['0', t(T.s0)], ['1', t(T.s1)], ['2', t(T.s2)]]} />
            <Choice legend={t(T.rules)} name="rules" value={p.rules.answer} onInput={(answer: Policy['rules']['answer']) => set({ ...p, rules: { answer } })} options={[['tell', t(T.ruTell)], ['stop', t(T.ruStop)], ['kill', t(T.ruKill)]]} />
            <AreaField label={t(T.blockTo)} help={t(T.blockToHelp)} {...area('to')} /><AreaField label={t(T.blockFiles)} help={t(T.blockFilesHelp)} error={bad.files ?? null} {...area('files')} />
            <div class="ticks"><Tick type="checkbox" name="acc" checked={p.accounts.may_disable} onChange={(on) => set({ ...p, accounts: { may_disable: on } })} title={t(T.accounts)} />
                <Tick type="checkbox" name="iso" checked={p.isolate.by_rule} onChange={(on) => set({ ...p, isolate: { by_rule: on } })} title={t(T.isolate)} text={t(T.isolateHelp)} /></div></div></details>
        <ErrorBox error={error} /><Said text={said} />
        {may && <div class="btn-row no-print"><button type="submit" class="btn btn-main">{t(T.save)}</button></div>}</form>;
}

function ScanPart({ p, set }: { p: Policy; set: (p: Policy) => void }) {
    const s = p.scan.schedule;
    const change = (more: Partial<Policy['scan']>) => set({ ...p, scan: { ...p.scan, ...more } });
    const day = !s ? '' : String(s.weekday);
    return <section class="card stack"><h2>{t(T.scan)}</h2><div class="form-grid">
        <SelectField label={t(T.scanWhen)} value={day} onInput={(v) => change({ schedule: v === '' ? null : { weekday: Number(v), hour: s?.hour ?? 20 } })} options={[['', t(T.scanNone)], ...DAYS.map(([n, d]): [string, string] => [n, t(d)])]} />
        {s && <SelectField label={t(T.scanHour)} value={String(s.hour)} onInput={(v) => change({ schedule: { ...s, hour: Number(v) } })} options={Array.from({ length: 24 }, (_, i): [string, string] => [String(i), t(T.scanHourN, { n: i })])} />}</div>
        <p class="sub">{t(T.scanHelp)}</p><div class="ticks"><Tick type="checkbox" name="ow" checked={p.scan.on_write} onChange={(on) => change({ on_write: on })} title={t(T.onWrite)} /><Tick type="checkbox" name="om" checked={p.scan.on_media} onChange={(on) => change({ on_media: on })} title={t(T.onMedia)} /></div></section>;
}
