// The box itself: its parts, its disk, what is not separated, and the check of everything that is kept.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Box, ScrubState, VerifyState } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T } from '../text/machines';
import { T as R } from '../text/rules';
import { bytesOf, countOf, tookOf, whenOf } from '../time';
import { Badge, ErrorBox, Head, Loading, Mark, Progress, Said } from '../ui/parts';
import { ShortHead } from '../ui/printhead';
import { Confined } from './machines';
import { SelfCard } from './self';

export function BoxScreen() {
    const got = useGet<Box>('/box');
    useLive('child', got.reload);
    const b = got.data;
    return <><Head title={t(T.tabBox)} lead={t(T.boxLead)}><Link class="btn btn-sm" href="/rules">{t(R.title)}</Link></Head>
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!b ? !got.error && <Loading /> : <div class="stack"><div class="two"><Facts b={b} /><div class="stack"><Verify /><Scrub /></div></div><SelfCard />
            <section class="card" aria-labelledby="ch"><h2 id="ch">{t(T.children)}</h2><ul class="lines">{b.children.map((c) => {
                const up = c.state === 'up' || c.state === 'running' || c.state === 'ready';
                /* Started by an unlock, or for one copy, only. */
                const rests = !up && (c.name === 'opener' || c.name === 'copier' || c.name === 'courier' || c.name === 'selfsave');
                const state = t(up ? T.childUp : rests ? T.childRest : T.childDown);
                const name = (T as Record<string, Text>)['part_' + c.name];
                return <li><Mark state={up || rests ? 'ok' : 'look'} label={state} /><div class="child"><b>{name ? t(name) : c.name} <span class="sub mono">{c.name}</span></b><span>{state}{c.restarts > 0 && ` ・ ${t(T.restarts, { n: c.restarts })}`}</span><span><Confined c={c.confined} /></span></div></li>;
            })}</ul></section>
            <section class="card" aria-labelledby="ns"><h2 id="ns">{t(T.notSep)}</h2>{b.not_separated.length ? <ul class="lines">{b.not_separated.map((x) => <li><Mark state="look" /><span>{x}</span></li>)}</ul> : <p><Badge state="ok">{t(T.notSepNone)}</Badge></p>}</section></div>}</>;
}

function Facts({ b }: { b: Box }) {
    const total = b.disk.free + b.disk.used;
    return <section class="card" aria-labelledby="bf"><h2 id="bf">{t(T.tabBox)}</h2><div class="stack">
        <Progress part={b.disk.used} whole={total} label={t(T.diskUse)} text={t(T.diskText, { free: bytesOf(b.disk.free), used: bytesOf(b.disk.used) })} />
        <dl class="dl"><div><dt>{t(T.vault)}</dt><dd>{t(T.vaultText, { n: countOf(b.vault.generations), size: bytesOf(b.vault.bytes) })}</dd></div>
            <div><dt>{t(T.clock)}</dt><dd>{clockText(b.clock)}</dd></div><div><dt>{t(T.addresses)}</dt><dd>{b.addresses.map((a) => <span class="mono blk">{a}</span>)}</dd></div><div><dt>{t(T.cVersion)}</dt><dd class="mono">{b.version}</dd></div></dl>
        <div><p class="eyebrow">{t(T.head)}</p><p class="copy"><ShortHead /></p><p class="sub">{t(T.headHelp)}</p></div></div></section>;
}

function clockText(c: Record<string, unknown>): string {
    if (typeof c?.text === 'string') return c.text;
    if (typeof c?.now === 'string') return whenOf(c.now) + (c.moved === true ? ` ${t(T.clockMoved)}` : '');
    return Object.entries(c ?? {}).map(([k, v]) => `${k} ${String(v)}`).join('、') || '─';
}

function Verify() {
    const got = useGet<VerifyState>('/verify');
    const { session } = useSession();
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const run = got.data?.running;
    useEffect(() => {
        if (!run) return;
        const id = setInterval(got.reload, 2_000);
        return () => clearInterval(id);
    }, [!!run]);
    const start = async (kind: 'structure' | 'data') => {
        setError(null);
        setSaid(null);
        try { await api.post('/verify', { kind }); setSaid(t(T.vStarted)); got.reload(); } catch (e) { setError(e as ApiError); }
    };
    const stop = async () => { setError(null); try { await api.post('/verify', { cancel: true }); } catch (e) { setError(e as ApiError); } finally { got.reload(); } };
    const v = got.data;
    const part = run ? (run.bytes_total ? [run.bytes, run.bytes_total] : run.packs_total ? [run.packs, run.packs_total] : [run.generations, run.generations_total]) as [number, number] : null;
    const last = v?.last;
    return <section class="card" aria-labelledby="vf"><h2 id="vf">{t(T.verify)}</h2><div class="stack"><p>{t(T.verifyText)}</p><ErrorBox error={error ?? (got.data ? null : got.error)} />
        {part ? <><Progress part={part[0]} whole={part[1]} label={t(T.vRunning)} text={run!.bytes_total ? t(T.vPart, { n: bytesOf(part[0]), all: bytesOf(part[1]) }) : t(T.vPart, { n: countOf(part[0]), all: countOf(part[1]) })} />
            {isLeader(session) && <div class="btn-row"><button type="button" class="btn btn-stop" onClick={() => void stop()}>{t(T.runStop)}</button></div>}</>
            : <div class="btn-row"><button type="button" class="btn" onClick={() => void start('structure')}>{t(T.vStructure)}</button><button type="button" class="btn" onClick={() => void start('data')}>{t(T.vData)}</button></div>}
        <Said text={said} />
        {v && !run && (last ? <ul class="lines"><li><Mark state={last.sound ? 'ok' : last.cancelled ? 'unknown' : 'call'} /><div><b>{last.sound ? t(T.vOk) : last.cancelled ? t(T.runCancelled) : t(T.vBad, { n: countOf(last.damaged) })}</b>
            <span class="sub blk num">{t(last.kind === 'data' ? T.vData : T.vStructure)} ・ {t(T.vCount, { packs: countOf(last.packs), objects: countOf(last.objects) })} ・ {tookOf(last.ms / 1000)}</span>
            {(v.damaged ?? []).length > 0 && <ul class="plain-list">{v.damaged!.slice(0, 20).map((p) => <li class="mono">{p.file} {p.why}</li>)}</ul>}</div></li></ul> : <p class="sub">{t(T.vNone)}</p>)}</div></section>;
}

function Scrub() {
    const got = useGet<ScrubState>('/scrub');
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const now = got.data?.now;
    const hurried = !!now && now.running && now.by_person;
    useEffect(() => {
        if (!hurried) return;
        const id = setInterval(got.reload, 2_000);
        return () => clearInterval(id);
    }, [hurried]);
    const start = async () => {
        setError(null);
        setSaid(null);
        try { await api.post('/scrub', { start: true }); setSaid(t(T.vStarted)); got.reload(); } catch (e) { setError(e as ApiError); }
    };
    const last = now?.last;
    const bad = Math.max(last?.damaged ?? 0, now?.running ? now.damaged : 0);
    return <section class="card" aria-labelledby="sc"><h2 id="sc">{t(T.scrub)}</h2><div class="stack">{now && <p>{t(T.scrubText, { n: now.days })}</p>}<ErrorBox error={error ?? (got.data ? null : got.error)} />
        {now?.running && <Progress part={now.bytes} whole={Math.max(now.bytes_total, 1)} label={t(T.scrubRunning)} text={t(T.vPart, { n: bytesOf(now.bytes), all: bytesOf(now.bytes_total) })} />}
        {now && !hurried && <div class="btn-row"><button type="button" class="btn" onClick={() => void start()}>{t(T.scrubNow)}</button></div>}
        <Said text={said} />
        {now && <><ul class="lines"><li><Mark state={bad ? 'call' : last ? 'ok' : 'unknown'} /><div><b>{bad ? t(T.scrubBad, { n: countOf(bad) }) : !last ? t(T.scrubNone) : last.healed ? t(T.scrubHealed, { n: countOf(last.healed) }) : t(T.scrubOk)}</b></div></li></ul>
            <dl class="dl">{now.finished && <div><dt>{t(T.scrubLast)}</dt><dd>{whenOf(now.finished)}</dd></div>}{now.next && <div><dt>{t(T.scrubNext)}</dt><dd>{whenOf(now.next)}</dd></div>}
                {now.waiting > 0 && <div><dt>{t(T.scrubWaiting)}</dt><dd>{countOf(now.waiting)}</dd></div>}{now.bare > 0 && <div><dt>{t(T.scrubBare)}</dt><dd>{countOf(now.bare)}</dd></div>}</dl>
            {got.data!.found.length > 0 && <ul class="plain-list">{got.data!.found.slice(0, 20).map((f) => <li class="mono">{f.file} {f.result}</li>)}</ul>}
            {got.data!.healed.length > 0 && <div><p class="eyebrow">{t(T.scrubWhat)}</p><ul class="plain-list">{got.data!.healed.map((h) => <li><span class="num">{whenOf(h.at)}</span> <span class="mono">{h.file ?? h.what}</span>{h.blocks > 0 && ` ${t(T.scrubBlocks, { n: countOf(h.blocks) })}`}</li>)}</ul></div>}</>}</div></section>;
}
