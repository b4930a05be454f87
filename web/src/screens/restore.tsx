// 戻す: when, what, check and go. The safe choice is always the one already made.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, api, query } from '../api';
import type { Device, Generation, List, Restore, Source } from '../api';
import { Timeline, SizeBar } from '../charts/timeline';
import { t } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { Link, focusHeading, navigate, withQuery } from '../router';
import type { Place } from '../router';
import { useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/restore';
import { bytesOf, clock, countOf, dayName, parts, spanOf, tookOf, weekday, whenOf } from '../time';
import { Badge, Choice, Dialog, Empty, ErrorBox, Head, Loading, Mark, Progress, SelectField, Steps, TextField } from '../ui/parts';
import { UnlockForm, UnlockedBar, useUnlocked } from '../ui/unlock';
import { Files } from './files';
import { Differences, Everywhere } from './past';

export interface Pick { b64: string; name: string; size: number; dir: boolean }
interface Plan {
    what: 'all' | 'some'; picks: Pick[]; mode: 'place' | 'original'; place: string; device: string;
    existing: 'aside' | 'skip' | 'overwrite'; why: string; bad_ok: boolean;
}

export function RestoreScreen({ place }: { place: Place }) {
    if (place.query.get('run')) return <Running id={place.query.get('run')!} />;
    return <Wizard place={place} />;
}

function Wizard({ place }: { place: Place }) {
    const first = useGet<List<Generation>>('/generations?limit=200');
    const { session } = useSession();
    const may = session?.person?.role !== 'staff';
    const sources = useGet<List<Source>>(may ? '/sources' : null);
    const devices = useGet<List<Device>>(may ? '/devices' : null);
    const [plan, setPlan] = useState<Plan>({ what: 'all', picks: [], mode: 'original', place: '', device: '', existing: 'aside', why: '', bad_ok: false });
    const step = Math.min(3, Math.max(1, Number(place.query.get('step') ?? 1)));
    const seen = useRef(step);
    const items = useMemo(() => newestFirst(first.data?.items ?? []), [first.data]);
    const source = place.query.get('source') ?? items.find((g) => g.id === place.query.get('m'))?.source ?? troubled(items);
    const own = useList<Generation>(source ? `/generations?source=${encodeURIComponent(source)}&limit=200` : null);
    const mine = useMemo(() => newestFirst(own.data?.items ?? items.filter((g) => g.source === source)), [own.data, items, source]);
    const gens = items.length && source && !own.data && !mine.length ? own : first;
    const listed = mine.find((g) => g.id === place.query.get('m')) ?? mine.find((g) => g.last_clean) ?? mine.find((g) => g.suspicion.level !== 'high') ?? mine[0];
    const detail = useGet<Generation>(listed ? `/generations/${listed.id}` : null).data; // the list leaves out what is costly to read
    const chosen = listed && detail?.id === listed.id ? { ...listed, files: detail.files ?? listed.files, bytes: detail.bytes, suspicion: detail.suspicion } : listed;
    useEffect(() => {
        if (seen.current !== step) { seen.current = step; focusHeading('#step-title'); }
    }, [step]);
    useEffect(() => { setPlan((p) => ({ ...p, picks: [], what: 'all' })); }, [chosen?.id]);

    const to = (n: number) => navigate(withQuery(place, { step: n === 1 ? null : String(n), m: chosen?.id ?? null, source: source ?? null }));
    const head = <><Head title={t(T.title)} lead={step === 1 || !chosen ? t(T.lead) : <>{t(T.at, { at: whenOf(chosen.at) })} <a href={withQuery(place, { step: null })} onClick={(e) => { e.preventDefault(); to(1); }}>{t(C.change)}</a></>} /><UnlockedBar /></>;
    if (gens.error && !gens.data) return <>{head}<ErrorBox error={gens.error} retry={gens.reload} /></>;
    if (!gens.data) return <>{head}<Loading /></>;
    if (!items.length || !chosen) return <>{head}<Empty title={t(T.empty)}><p>{t(T.emptyText)}</p></Empty></>;
    const device = devices.data?.items.find((d) => d.id === (plan.device || chosen.device));
    // What was made of a database has no place of its own on the machine.
    const homeless = (sources.data?.items.find((s) => s.id === chosen.source)?.kind ?? 'files') !== 'files';
    const where: Plan = homeless && plan.mode === 'original' ? { ...plan, mode: 'place' } : plan;
    return <>{head}
        <Steps label={t(T.stepsLabel)} labels={[t(T.s1), t(T.s2), t(T.s3)]} at={step - 1} />
        {step === 1 && <When place={place} items={items} mine={mine} more={own.data?.next ? own.more : null} chosen={chosen} sources={sources.data?.items ?? []} may={session?.person?.role === 'director' || session?.person?.role === 'manager'} onNext={(ok) => { setPlan({ ...plan, bad_ok: ok }); to(2); }} />}
        {step === 2 && <What gen={chosen} homeless={homeless} plan={where} setPlan={setPlan} devices={devices.data?.items ?? []} device={device} onNext={() => to(3)} onBack={() => to(1)} />}
        {step === 3 && <Go gen={chosen} plan={where} setPlan={setPlan} device={device} onBack={() => to(2)} />}
        {step === 1 && session?.person?.role !== 'vendor' && <History />}
    </>;
}

function newestFirst(list: Generation[]): Generation[] { return [...list].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)); }
export function filesText(g: { files: number | null; bytes: number }): string {
    return g.files === null ? bytesOf(g.bytes) : t(T.holds, { files: countOf(g.files), size: bytesOf(g.bytes) });
}

/** The source that a person most likely came for: a suspicious one, else the newest. */
function troubled(items: Generation[]): string | undefined {
    return items.find((g) => g.suspicion.level === 'high')?.source ?? items[0]?.source;
}

/* ---- step 1 ---- */
function When({ place, items, mine, more, chosen, sources, may, onNext }: { may: boolean; place: Place; items: Generation[]; mine: Generation[]; more: (() => void) | null; chosen: Generation; sources: Source[]; onNext: (bad_ok: boolean) => void }) {
    const now = useNow(60_000);
    const [limit, setLimit] = useState(8);
    const [ask, setAsk] = useState(false);
    const ids = [...new Set([...items.map((g) => g.source), chosen.source, ...sources.filter((s) => s.last).map((s) => s.id)])];
    const nameOf = (id: string) => sources.find((s) => s.id === id)?.name ?? items.find((g) => g.source === id)?.source_name ?? id;
    const max = Math.max(1, ...mine.map((g) => g.stored_new));
    const clean = mine.find((g) => g.last_clean);
    const firstBad = [...mine].reverse().find((g) => g.suspicion.level === 'high' && Date.parse(g.at) > Date.parse(chosen.at));
    const pick = (id: string) => navigate(withQuery(place, { m: id, source: chosen.source }), true);
    const at = mine.findIndex((g) => g.id === chosen.id);
    const shown = Math.max(limit, at + 1);
    const bad = chosen.suspicion.level === 'high';
    return <div class="cols cols-main"><div class="stack">
        <section class="card" aria-labelledby="step-title"><h2 id="step-title" tabIndex={-1}>{t(T.q1)}</h2>
            {ids.length > 1 && <div class="narrow-s"><SelectField label={t(T.which)} value={chosen.source} onInput={(v) => navigate(withQuery(place, { source: v, m: null }), true)}
                options={ids.map((id) => [id, nameOf(id)])} /></div>}
            <div class="mt-s"><Timeline gens={mine} chosen={chosen.id} now={now} onPick={pick} /></div></section>
        <div class="gens"><fieldset><legend class="vh">{t(T.pick)}</legend>
            {mine.slice(0, shown).map((g) => <GenRow g={g} on={g.id === chosen.id} now={now} max={max} onPick={() => pick(g.id)} />)}</fieldset></div>
        {(mine.length > shown || more) && <button type="button" class="linkbtn more" onClick={() => { setLimit(shown + 20); if (more && mine.length < shown + 20) more(); }}>{t(T.older)}{mine.length > shown && ` (${mine.length - shown}${more ? '+' : ''})`}</button>}
        {may && <><Everywhere key={chosen.source} source={chosen.source} onPick={(m, source) => navigate(withQuery(place, { m, source }), true)} /><Differences key={chosen.id} gen={chosen} older={mine.slice(at + 1, at + 61)} /></>}
    </div>
        <aside class="side stack stick" aria-labelledby="rec"><h2 id="rec">{t(T.chosen)}</h2>
            <p class="big">{clock(chosen.at)}<small>{dayLabel(chosen.at, now)}</small></p>
            <p><Badge state={bad ? 'bad' : chosen.suspicion.level === 'low' ? 'look' : 'ok'}>{t(bad ? T.isBad : chosen.suspicion.level === 'low' ? T.isLow : T.isClean)}</Badge></p>
            {chosen.suspicion.reasons.length > 0 && chosen.suspicion.level !== 'none' && <ul class="plain-list">{chosen.suspicion.reasons.slice(0, 3).map((r) => <li>{r.text}</li>)}</ul>}
            <p class="num">{filesText(chosen)}</p>
            {chosen.status === 'partial' && <p>{t(T.partial)}</p>}
            {chosen.locked && chosen.locked.days_left > 0 && <p>{t(T.lockedDays, { n: chosen.locked.days_left })}</p>}
            {firstBad && <p>{Date.parse(firstBad.at) - Date.parse(chosen.at) < 60_000 ? t(T.beforeSoon) : t(T.before, { span: spanOf((Date.parse(firstBad.at) - Date.parse(chosen.at)) / 1000) })}</p>}
            <p><b>{t(T.reenter, { at: Date.now() - Date.parse(chosen.at) < 86_400_000 ? clock(chosen.at) : whenOf(chosen.at, now) })}</b></p>
            <button type="button" class="btn btn-main btn-lg btn-wide" onClick={() => (bad ? setAsk(true) : onNext(false))}>{t(T.decide)}</button>
            <p><Link class="more" href="/card">{t(T.askVendor)}</Link></p></aside>
        {ask && <Dialog title={t(T.badTitle)} onClose={() => setAsk(false)}><p>{t(T.badText)}</p>
            <ul class="plain-list mt-s">{chosen.suspicion.reasons.map((r) => <li>{r.text}</li>)}</ul>
            <div class="btn-row mt-s">{clean && <button type="button" class="btn btn-main" onClick={() => { setAsk(false); pick(clean.id); }}>{t(T.badBack)}</button>}
                <button type="button" class="btn btn-stop" onClick={() => { setAsk(false); onNext(true); }}>{t(T.badGo)}</button></div></Dialog>}
    </div>;
}

function dayLabel(at: string, now: number): string {
    const p = parts(at);
    const name = dayName(at, now);
    return /\d/.test(name) ? name : `${name} ${p.d}${t({ ja: '日', en: '' })}(${weekday(p.w)})`;
}

function GenRow({ g, on, now, max, onPick }: { g: Generation; on: boolean; now: number; max: number; onPick: () => void }) {
    const bad = g.suspicion.level === 'high';
    return <label class={`gen${on ? ' on' : ''}${bad ? ' bad' : ''}`}><input type="radio" name="gen" checked={on} onChange={onPick} />
        <span class="gen-t">{whenOf(g.at, now)}</span>
        <span class="gen-b">{g.last_clean ? <span class="flag">{t(C.lastClean)}</span> : bad ? <Badge state="bad" /> : g.suspicion.level === 'low' ? <Badge state="look">{t(T.isLow)}</Badge> : <Badge state="ok">{t(C.clean)}</Badge>}
            {bad && g.suspicion.reasons[0] && <span class="sub">{g.suspicion.reasons[0].text}</span>}
            {g.status === 'partial' && <span class="sub">{t(T.status)}</span>}
            {g.pinned && <span class="sub">{t(T.pinned)}</span>}
            {g.drill?.ok && <span class="sub">{t(T.drillOk)}</span>}</span>
        <span class="gen-s"><SizeBar part={g.stored_new / max} bad={bad} /><span class="nb">{bytesOf(g.stored_new, max)}</span></span></label>;
}

/* ---- step 2 ---- */
function What({ gen, homeless, plan, setPlan, devices, device, onNext, onBack }: { gen: Generation; homeless: boolean; plan: Plan; setPlan: (p: Plan) => void; devices: Device[]; device: Device | undefined; onNext: () => void; onBack: () => void }) {
    const unlocked = useUnlocked();
    const [bad, setBad] = useState<string | null>(null);
    const name = placeName(gen);
    const put = (x: Partial<Plan>) => { setBad(null); setPlan({ ...plan, ...x }); };
    const next = () => {
        if (plan.what === 'some' && !plan.picks.length) return setBad(t(T.needOne));
        if (plan.mode === 'place' && !(plan.place || name).startsWith('/')) return setBad(t(T.placeNeed));
        onNext();
    };
    const usable = devices.filter((d) => d.state !== 'revoked' && d.state !== 'joining');
    return <div class="cols cols-main"><div class="stack">
        <section class="card stack"><h2 id="step-title" tabIndex={-1}>{t(T.q2)}</h2>
            <Choice legend={t(T.q2)} hidden name="what" value={plan.what} onInput={(what) => put({ what })} options={[
                ['all', t(T.all), filesText(gen)], ['some', t(T.some), t(T.someText)]]} />
            {plan.what === 'some' && (unlocked ? <Files gen={gen} picks={plan.picks} onPicks={(picks) => put({ picks })} /> : <UnlockForm />)}</section>
        <section class="card stack"><Choice legend={t(T.q2b)} heading name="mode" value={plan.mode} onInput={(mode) => put({ mode })} options={[
            ...(homeless ? [] : [['original', t(T.toOrig), t(T.toOrigText, { device: device?.name ?? '' })] as [Plan['mode'], string, string]]), ['place', t(T.toPlace), t(T.toPlaceText, { place: plan.place || name })]]} />
            {plan.mode === 'place' && <TextField label={t(T.place)} help={t(T.placeHelp)} value={plan.place || name} onInput={(v) => put({ place: v })} error={bad === t(T.placeNeed) ? bad : null} spellcheck={false} autocomplete="off" />}
            {plan.mode === 'place' && usable.length > 1 && <SelectField label={t(T.machine)} value={plan.device || gen.device} onInput={(v) => put({ device: v })} options={usable.map((d) => [d.id, d.name])} />}</section>
        {homeless && <p class="sub">{t(T.homeless)}</p>}
        <section class="card"><Choice legend={t(T.q2c)} heading name="existing" value={plan.existing} onInput={(existing) => put({ existing })} options={[
            ['aside', t(T.aside), t(T.asideText)], ['skip', t(T.skip), t(T.skipText)], ['overwrite', t(T.over), t(T.overText)]]} /></section></div>
        <aside class="side stack stick" aria-labelledby="amt"><h2 id="amt">{t(T.amount)}</h2><Amount gen={gen} plan={plan} />
            {bad && <p role="alert"><Badge state="look"><span class="wrap-ok">{bad}</span></Badge></p>}
            <button type="button" class="btn btn-main btn-lg btn-wide" onClick={next}>{t(C.next)}</button>
            <p><button type="button" class="linkbtn more" onClick={onBack}>{t(T.backStep)}</button></p></aside></div>;
}

function placeName(gen: Generation): string {
    const p = parts(gen.at);
    return `/var/tmp/sakimori-${p.y}${String(p.m).padStart(2, '0')}${String(p.d).padStart(2, '0')}-${String(p.h).padStart(2, '0')}${String(p.min).padStart(2, '0')}`;
}

function Amount({ gen, plan }: { gen: Generation; plan: Plan }) {
    if (plan.what === 'all') return gen.files === null ? <p class="big">{bytesOf(gen.bytes)}</p> : <p class="big">{t(T.count, { n: countOf(gen.files) })}<small>{bytesOf(gen.bytes)}</small></p>;
    return <><p class="big">{t(T.chosenN, { n: plan.picks.length })}</p>
        {plan.picks.length > 0 && <ul class="plain-list">{plan.picks.slice(0, 8).map((p) => <li>{p.name}</li>)}</ul>}</>;
}

/* ---- step 3 ---- */
function Go({ gen, plan, setPlan, device, onBack }: { gen: Generation; plan: Plan; setPlan: (p: Plan) => void; device: Device | undefined; onBack: () => void }) {
    const unlocked = useUnlocked();
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    const [ask, setAsk] = useState(false);
    const where = plan.mode === 'original' ? t(T.origPlace) : plan.place || placeName(gen);
    const go = async (bad_ok = plan.bad_ok) => {
        const miss: Record<string, string> = {};
        if (!plan.why.trim()) miss.why = t(T.whyNeed);
        if (!unlocked) miss.key = t(T.unlockFirst);
        setBad(miss);
        setError(null);
        if (Object.keys(miss).length) { if (miss.why) focusHeading('#main [aria-invalid]'); return; }
        if (busy) return;
        setBusy(true);
        try {
            const r = await api.post<{ id: string }>('/restores', {
                manifest: gen.id, device: plan.mode === 'place' && plan.device ? plan.device : gen.device, paths_b64: plan.what === 'all' ? [] : plan.picks.map((p) => p.b64),
                target: plan.mode === 'original' ? { mode: 'original' } : { mode: 'place', place: plan.place || placeName(gen) },
                existing: plan.existing, why: plan.why.trim(), ...(bad_ok ? { suspicious_ok: true } : {}),
            });
            navigate(`/restore?run=${encodeURIComponent(r.id)}`);
        } catch (x) {
            const err = x as ApiError;
            if (err.code === 'unlock_needed') setBad({ key: t(T.unlockFirst) });
            else if (err.code === 'suspicious') setAsk(true);
            else setError(err);
        } finally { setBusy(false); }
    };
    return <div class="cols cols-main"><div class="stack"><ErrorBox error={error} />
        {gen.suspicion.level === 'high' && <p class="card"><Badge state="bad">{t(T.badMark)}</Badge></p>}
        <section class="card stack"><h2 id="step-title" tabIndex={-1}>{t(T.q3)}</h2><dl class="dl">
            <div><dt>{t(T.rWhen)}</dt><dd>{whenOf(gen.at)}</dd></div>
            <div><dt>{t(T.rWhat)}</dt><dd>{plan.what === 'all' ? filesText(gen) : plan.picks.map((p) => <span class="blk">{p.name}</span>)}</dd></div>
            <div><dt>{t(T.rWhere)}</dt><dd>{device && <span class="blk">{device.name}</span>}{where}</dd></div>
            <div><dt>{t(T.rExisting)}</dt><dd>{t({ aside: T.aside, skip: T.skip, overwrite: T.over }[plan.existing])}</dd></div></dl></section>
        <section class="card stack"><h2>{t(T.unlockTitle)}</h2>{unlocked ? <p><Badge state="ok">{t(T.unlocked, { span: spanOf((unlocked - Date.now()) / 1000) })}</Badge></p> : <UnlockForm onDone={() => setBad({})} />}</section>
        <section class="card stack"><TextField label={t(T.why)} help={t(T.whyHelp)} required value={plan.why} onInput={(why) => setPlan({ ...plan, why })} error={bad.why ?? null} maxLength={200} autocomplete="off" /></section></div>
        <aside class="side stack stick" aria-labelledby="bs"><h2 id="bs">{t(T.beforeStart)}</h2><ul class="do">
            <li><span class="ic" aria-hidden="true">1</span><div><b>{t(T.b1)}</b><span class="t">{t(T.b1t)}</span></div></li>
            <li><span class="ic" aria-hidden="true">2</span><div><b>{t(T.b2)}</b><span class="t">{t(T.b2t)}</span></div></li></ul>
            {bad.key && <p role="alert"><Badge state="look">{bad.key}</Badge></p>}
            <button type="button" class="btn btn-main btn-lg btn-wide" onClick={() => void go()}>{t(T.start)}</button>
            <p><button type="button" class="linkbtn more" onClick={onBack}>{t(T.backStep)}</button></p></aside>
        {ask && <Dialog title={t(T.badTitle)} onClose={() => setAsk(false)}><p>{t(T.badText)}</p><div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(false)}>{t(C.stopIt)}</button>
            <button type="button" class="btn btn-stop" onClick={() => { setAsk(false); void go(true); }}>{t(T.badGo)}</button></div></Dialog>}</div>;
}

/* ---- while it runs, and after ---- */
function Running({ id }: { id: string }) {
    const got = useGet<Restore>(`/restores/${encodeURIComponent(id)}`);
    const [ask, setAsk] = useState(false);
    const { session } = useSession();
    useLive<Partial<Restore>>('restore', (r) => {
        if (r.id !== id) return;
        if (r.state === 'running' && got.data) got.set({ ...got.data, ...r }); else got.reload(); // an end says only that it is one
    });
    const r = got.data;
    const live = r?.state === 'waiting' || r?.state === 'running';
    useEffect(() => {
        if (!live) return;
        const timer = setInterval(got.reload, 5_000);
        return () => clearInterval(timer);
    }, [live]);
    const done = r && !live;
    useEffect(() => { if (done) focusHeading('#step-title'); }, [!!done]);
    if (!r) return <><Head title={t(T.title)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const stop = async () => { setAsk(false); try { await api.post(`/restores/${encodeURIComponent(id)}/cancel`); } finally { got.reload(); } };
    return <><Head title={t(T.title)} /><UnlockedBar />
        {live ? <section class="card stack narrow"><h2 id="step-title" tabIndex={-1}>{t(r.state === 'waiting' ? T.waiting : T.running)}</h2>
            {r.state === 'waiting' || !r.progress ? <p role="status">{t(T.waitingText)}</p> : <RestoreProgress r={r} />}
            {session?.person?.role === 'director' && <div class="btn-row"><button type="button" class="btn btn-stop" onClick={() => setAsk(true)}>{t(T.stop)}</button></div>}</section>
            : <Result r={r} />}
        {ask && <Dialog title={t(T.stopAsk)} onClose={() => setAsk(false)}><p>{t(T.stopText)}</p><div class="btn-row mt-s">
            <button type="button" class="btn btn-main" onClick={() => setAsk(false)}>{t(T.goOn)}</button><button type="button" class="btn btn-stop" onClick={() => void stop()}>{t(T.stop)}</button></div></Dialog>}
    </>;
}

function RestoreProgress({ r }: { r: Restore }) {
    const p = r.progress!;
    const now = useNow(2_000);
    const ran = r.started ? (now - Date.parse(r.started)) / 1000 : 0;
    const left = p.bytes > 0 && p.bytes_total > p.bytes && ran > 5 ? (ran * (p.bytes_total - p.bytes)) / p.bytes : null;
    return <><Progress part={p.bytes_total ? p.bytes : p.files} whole={p.bytes_total || p.files_total} label={t(T.running)} text={t(T.ofFiles, { all: countOf(p.files_total), n: countOf(p.files) })} />
        <p class="sub num">{left !== null && t(T.left, { span: spanOf(left) })}{t(T.canClose)}</p></>;
}

function Result({ r }: { r: Restore }) {
    const n = countOf(r.progress?.files ?? 0);
    const aside = r.set_aside ?? 0;
    const problems = r.problems ?? [];
    const state = r.state === 'complete' ? 'ok' : r.state === 'failed' ? 'call' : 'look';
    const [title, text] = r.state === 'complete' ? [t(T.okTitle), t(T.okText, { n, span: tookOf((r.ms ?? 0) / 1000) })] : r.state === 'partial' ? [t(T.partTitle), t(T.partText, { n })]
        : r.state === 'failed' ? [t(T.failTitle), t(T.failText)] : [t(T.cancelTitle), t(T.cancelText, { n })];
    return <div class="cols cols-main"><div class="stack">
        <section class={`state state-${state} state-s`} role="status"><div class="state-in"><Mark state={state} /><div><h2 id="step-title" class="h-state" tabIndex={-1}>{title}</h2><p class="lead">{text}</p></div></div></section>
        {(r.progress?.files ?? 0) > 0 && r.target && <section class="card stack"><h2>{t(T.whereTitle)}</h2>
            <p>{r.target.mode === 'original' ? t(T.whereOrig) : <>{t(T.wherePlace)} <span class="mono wrap-ok">{r.target.place}</span></>}</p></section>}
        {aside > 0 && <section class="card stack"><h2>{t(T.asideTitle)}</h2><p>{t(T.asideCount, { n: countOf(aside) })}</p><p>{t(T.asideWhere)}</p><p>{t(T.asideHelp)}</p></section>}
        {problems.length > 0 && <section class="card"><h2>{t(T.problems)}</h2><ul class="plain-list">{problems.slice(0, 200).map((p) => <li><span class="mono">{p.path}</span> <span class="sub">{p.text}</span></li>)}</ul></section>}
    </div><aside class="side stack" aria-labelledby="af"><h2 id="af">{t(T.after)}</h2><ul class="do">
        {[T.a1, T.a2, T.a3].map((x, i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b>{t(x)}</b></div></li>)}</ul>
        <Link class="btn btn-wide" href="/restore">{t(T.another)}</Link></aside></div>;
}

function History() {
    const got = useGet<List<Restore>>('/restores' + query({ limit: 10 }));
    const items = got.data?.items.filter((r) => !r.drill) ?? [];
    if (!items.length) return null;
    const word = { waiting: T.stWait, running: T.stRun, complete: T.stDone, partial: T.stPart, failed: T.stFail, cancelled: T.stCancel } as const;
    return <section class="mt-l" aria-labelledby="hs"><h2 id="hs">{t(T.history)}</h2><ul class="list-card mt-s">
        {items.map((r) => <li class="trouble"><Mark state={r.state === 'complete' ? 'ok' : r.state === 'running' || r.state === 'waiting' ? 'unknown' : 'look'} />
            <div><Link href={`/restore?run=${encodeURIComponent(r.id)}`}><b>{t(word[r.state])}</b></Link><p class="sub num">{r.started ? whenOf(r.started) : ''} {r.progress ? t(T.count, { n: countOf(r.progress.files) }) : ''}</p></div></li>)}</ul></section>;
}
