// 戻す練習: the proof that what was saved can be restored; one report is one A4 page.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Drill, DrillServer, List, Settings, Source } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive } from '../live';
import { Link, navigate } from '../router';
import { useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/drills';
import { bytesOf, countOf, longDate, stampOf, tookOf, whenOf } from '../time';
import { Badge, Choice, Empty, ErrorBox, Head, Loading, Progress, SelectField, Tick } from '../ui/parts';
import { UnlockForm, useUnlocked } from '../ui/unlock';

export function DrillsScreen({ id }: { id: string | null }) {
    return id ? <Report id={id} /> : <All />;
}

function All() {
    const got = useList<Drill>('/drills');
    const { session } = useSession();
    useLive('restore', got.reload);
    return <><Head title={t(T.title)} lead={t(T.lead)} />
        <div class="stack">{session?.person?.role === 'director' ? <Start onStarted={got.reload} /> : <p class="card">{t(T.director)}</p>}
            {got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !got.data ? <Loading /> : !got.data.items.length ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>
                : <section class="card" aria-labelledby="dl"><h2 id="dl">{t(T.past)}</h2><ul class="files files-2">{got.data.items.map((d) => <li>
                    <span class="nm"><Link href={`/machines/drills/${encodeURIComponent(d.id)}`}>{whenOf(d.created)} {d.source_name}</Link><small>{amount(d)}</small></span><span class="meta"><State d={d} /></span></li>)}</ul>
                    {got.data.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}</section>}
            {['director', 'manager'].includes(session?.person?.role ?? '') && <ByItself />}</div></>;
}

function ByItself() {
    const got = useGet<Settings>('/settings');
    const [error, setError] = useState<ApiError | null>(null);
    if (!got.data) return null;
    const put = async (by_itself: boolean) => {
        setError(null);
        try { await api.patch('/settings', { drills: { by_itself } }); } catch (x) { setError(x as ApiError); }
        got.reload();
    };
    return <section class="card stack" aria-labelledby="da"><h2 id="da">{t(T.auto)}</h2>
        <Tick type="checkbox" name="by-itself" checked={got.data.drills?.by_itself ?? true} onChange={put} title={t(T.autoTick)} text={t(T.autoText)} /><ErrorBox error={error} /></section>;
}

function amount(d: Drill): string {
    return t(d.plan.amount === 'all' ? T.amountAll : T.amountSome, { n: countOf(d.plan.files), all: countOf(d.plan.files_total), size: bytesOf(d.plan.bytes) });
}

function State({ d }: { d: Drill }) {
    if (d.ok === null) return <Badge state="look">{t(d.state === 'waiting' ? T.waiting : T.running)}</Badge>;
    return <Badge state={d.ok ? 'ok' : 'bad'}>{t(d.ok ? T.passed : d.state === 'cancelled' ? T.cancelled : T.failed)}</Badge>;
}

function Start({ onStarted }: { onStarted: () => void }) {
    const sources = useGet<List<Source>>('/sources').data?.items.filter((s) => s.last) ?? [];
    const unlocked = useUnlocked();
    const [source, setSource] = useState('');
    const [amt, setAmt] = useState<'sample' | 'all'>('sample');
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const chosen = source || sources[0]?.id || '';
    const go = async (e: Event) => {
        e.preventDefault();
        if (busy) return;
        setBusy(true);
        setError(null);
        try {
            const { id } = await api.post<{ id: string }>('/drills', { source: chosen, amount: amt });
            onStarted();
            navigate(`/machines/drills/${encodeURIComponent(id)}`);
        } catch (x) { setError(x as ApiError); setBusy(false); }
    };
    if (!sources.length) return null;
    return <section class="card stack" aria-labelledby="ds"><h2 id="ds">{t(T.start)}</h2><p>{t(T.startText)}</p>
        {!unlocked ? <UnlockForm /> : <form class="stack" onSubmit={go} noValidate>
            <div class="narrow-s"><SelectField label={t(T.source)} value={chosen} onInput={setSource} options={sources.map((s) => [s.id, s.name])} /></div>
            <Choice legend={t(T.howMuch)} name="amount" value={amt} onInput={(v: 'sample' | 'all') => setAmt(v)} options={[['sample', t(T.sample), t(T.sampleText)], ['all', t(T.all), t(T.allText)]]} />
            <ErrorBox error={error} /><div class="btn-row"><button type="submit" class="btn btn-main">{t(T.go)}</button></div></form>}</section>;
}

const WHY: Record<string, Text> = { server: T.w_server, room: T.w_room, time: T.w_time, policy: T.w_policy, user: T.w_user, start: T.w_start, none: T.w_none, died: T.w_died, agent: T.w_agent, kind: T.w_kind };

function serverText(s: DrillServer): string {
    if (s.state === 'failed') return t(T.sFailed);
    if (s.state === 'files') return t(T.sFiles, { why: t(WHY[s.why] ?? T.w_died) });
    return t(T.sProved, { version: s.version ?? '', n: countOf(s.databases ?? 0), t: countOf(s.tables ?? 0), rows: countOf(s.rows ?? 0) });
}

function Databases({ list }: { list: NonNullable<DrillServer['list']> }) {
    return <section class="card" aria-labelledby="db"><h2 id="db">{t(T.rServer)}</h2><div class="tbl-wrap"><table class="tbl"><thead><tr><th scope="col">{t(T.dbName)}</th><th scope="col">{t(T.dbTables)}</th><th scope="col">{t(T.dbRows)}</th><th scope="col">{t(T.dbState)}</th></tr></thead>
        <tbody>{list.map((x) => <tr><th scope="row">{x.name}</th><td>{countOf(x.tables)}</td><td>{countOf(x.rows)}</td><td>{t(x.loaded && x.sound && !x.differing ? T.dbOk : T.dbBad)}</td></tr>)}</tbody></table></div></section>;
}

function Report({ id }: { id: string }) {
    const got = useGet<Drill>(`/drills/${encodeURIComponent(id)}`);
    const d = got.data;
    useEffect(() => {
        if (!d || d.ok !== null) return;
        const timer = setInterval(got.reload, 2_000);
        return () => clearInterval(timer);
    }, [d?.ok === null]);
    const back = <p class="no-print"><Link class="more" href="/machines/drills">{t(T.back)}</Link></p>;
    if (!d) return <>{back}<Head title={t(T.report)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const r = d.report;
    const rows: [string, string][] = r ? [
        [t(T.rWhen), d.finished ? stampOf(d.finished) : '─'], [t(T.rSource), `${d.source_name} (${d.device_name})`], [t(T.rAmount), amount(d)],
        [t(T.rFiles), t(T.rFilesText, { n: countOf(r.files), size: bytesOf(r.bytes) })], [t(T.rTook), tookOf(r.restore_ms / 1000)], [t(T.rEstimate), tookOf(r.estimate_s)],
        [t(T.rDiff), t(T.rDiffText, { n: countOf(r.differences) })], [t(T.rProblems), t(T.rDiffText, { n: countOf(r.problems) })], [t(T.rRemoved), t(r.removed ? T.yes : T.no)], [t(T.rWho), d.plan.by_itself ? t(T.byBox, { who: d.by }) : d.by]] : [];
    if (r?.server) rows.splice(6, 0, [t(T.rServer), serverText(r.server)], ...(r.server.state === 'files' ? [] : [[t(T.rServerTook), t(T.rServerTookText, { start: tookOf((r.server.start_ms ?? 0) / 1000), load: tookOf((r.server.load_ms ?? 0) / 1000), check: tookOf((r.server.check_ms ?? 0) / 1000) })] as [string, string]]));
    return <div class="a4">{back}<Head title={t(T.report)} lead={d.institution}>{r && <button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(C.print)}</button>}</Head>
        <div class="stack"><section class="card" aria-labelledby="rs"><h2 id="rs">{t(T.result)}</h2><p><State d={d} /></p>
            {!r && <><p>{t(T.runningText)}</p><Progress part={d.progress?.bytes ?? 0} whole={d.plan.bytes} label={t(T.running)} text={bytesOf(d.progress?.bytes ?? 0, d.plan.bytes)} /></>}
            {r && <><p>{t(d.ok ? T.okText : T.badText)}</p><dl class="dl">{rows.map(([k, v]) => <div><dt>{k}</dt><dd>{v}</dd></div>)}</dl></>}</section>
            {r?.server?.list && r.server.list.length > 0 && <Databases list={r.server.list} />}
            {r && <section class="card" aria-labelledby="rp"><h2 id="rp">{t(T.proof)}</h2><dl class="dl"><div><dt>{t(T.pHash)}</dt><dd class="mono">{d.hash}</dd></div><div><dt>{t(T.pSigned)}</dt><dd>{t(r.signed ? T.pSignedYes : T.pSignedNo)}</dd></div><div><dt>{t(T.pHead)}</dt><dd class="mono">{r.head ? `${r.head.seq} ${r.head.hash}` : '─'}</dd></div><div><dt>{t(T.pGen)}</dt><dd class="mono">{d.manifest}</dd></div></dl><p class="sub">{t(T.pText)}</p></section>}
            {r && <section class="card sign" aria-label={t(T.signName)}><p>{t(T.signDate)} ____________________</p><p class="mt-l">{t(T.signName)} ____________________________</p><p class="sub">{longDate(new Date().toISOString())}</p></section>}
            {r && d.problems && d.problems.length > 0 && <section class="card"><h2>{t(T.problems)}</h2><ul class="plain-list">{d.problems.slice(0, 50).map((p) => <li>{p.path && `${p.path}: `}{p.text}</li>)}</ul></section>}</div></div>;
}
