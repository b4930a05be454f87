// The monthly review: one A4 page that the director signs.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { List, Review, ReviewHead } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useNow } from '../live';
import { Link } from '../router';
import type { Place } from '../router';
import { roleOf, useSession } from '../session';
import { T } from '../text/review';
import { countOf, stampOf, whenOf } from '../time';
import { AreaField, Empty, ErrorBox, Head, Loading, Mark, SecretField } from '../ui/parts';

const nameOf = (month: string) => t(T.monthOf, { y: month.slice(0, 4), m: String(Number(month.slice(5))) });
const VERDICT: Record<string, Text> = { attack: T.v_attack, harmless: T.v_harmless, 'false-alarm': T.v_false };

export function ReviewScreen({ place }: { place: Place }) {
    const month = place.path.split('/')[2];
    return month ? <One month={decodeURIComponent(month)} /> : <All />;
}

function All() {
    const got = useGet<List<ReviewHead>>('/reviews');
    const now = useNow(60_000);
    return <><Head title={t(T.title)} lead={t(T.lead)} /><ErrorBox error={got.error} retry={got.reload} />
        {!got.data ? !got.error && <Loading /> : !got.data.items.length ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>
            : <ul class="list-card">{got.data.items.map((r) => <li class="trouble"><Mark state={r.signed ? 'ok' : r.over ? 'look' : 'unknown'} label={t(r.signed ? T.sign : r.over ? T.toSign : T.notOver)} />
                <div><h2 class="h3"><Link href={`/review/${r.month}`}>{nameOf(r.month)}</Link></h2><p class="sub num">{r.signed ? t(T.signedBy, { by: r.by ?? '', at: r.at ? whenOf(r.at, now) : '' }) : t(r.over ? T.toSign : T.notOver)}</p></div></li>)}</ul>}</>;
}

function One({ month }: { month: string }) {
    const got = useGet<Review>(`/reviews/${encodeURIComponent(month)}`);
    const now = useNow(60_000);
    const { session } = useSession();
    const r = got.data;
    const back = <p class="no-print"><Link class="more" href="/review">{t(T.back)}</Link></p>;
    if (!r) return <>{back}<Head title={t(T.title)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const n = (o: Record<string, number>, key: string) => countOf(o[key] ?? 0);
    const sum = (o: Record<string, number>) => Object.values(o).reduce((a, b) => a + b, 0);
    const alarms = sum(r.alarms) - (r.alarms['incident'] ?? 0);
    return <article class="stack stack-l">{back}
        <Head title={`${t(T.title)} ${nameOf(r.month)}`} lead={r.signed ? t(T.signedBy, { by: r.signed.by, at: stampOf(r.signed.at) }) : t(r.over ? T.toSign : T.notOver)}>
            <button type="button" class="btn btn-sm no-print" onClick={() => window.print()}>{t(T.print)}</button></Head>
        <section class="card" aria-labelledby="hp"><h2 id="hp">{t(T.happened)}</h2>
            {!r.incidents.length ? <p class="mt-8">{t(T.happenedNone)}</p> : <ul class="lines mt-s">{r.incidents.map((i) => <li><Mark state={i.closed ? 'ok' : i.severity} />
                <span><b>{i.title}</b><br /><span class="sub num">{whenOf(i.first, now)}・{i.closed ? t(VERDICT[i.verdict ?? ''] ?? T.v_closed) : t(T.open)}{i.note && `・${i.note}`}</span></span></li>)}</ul>}</section>
        <section class="card" aria-labelledby="sn"><h2 id="sn">{t(T.seen)}</h2><p class="mt-8 num">{t(T.seenText, { n: countOf(sum(r.levels)), critical: n(r.levels, 'critical'), high: n(r.levels, 'high'), medium: n(r.levels, 'medium'), low: n(r.levels, 'low') })}</p>
            <p class="num">{t(T.quiet, { n: countOf(r.quiet_rules) })}</p></section>
        {r.log_checks && <section class="card" aria-labelledby="lc"><h2 id="lc">{t(T.checks)}</h2><p class="mt-8 num">{t(T.checksText, { n: countOf(r.log_checks.parts), all: countOf(r.log_checks.whole) })}</p>
            <p>{r.log_checks.faults ? <b>{t(T.checksBad, { n: countOf(r.log_checks.faults) })}</b> : r.log_checks.parts + r.log_checks.whole ? t(T.checksGood) : t(T.checksNone)}</p></section>}
        <section class="card" aria-labelledby="sv"><h2 id="sv">{t(T.saved)}</h2><p class="mt-8 num">{t(T.savedText, { ok: n(r.runs, 'complete'), partial: n(r.runs, 'partial'), failed: n(r.runs, 'failed') })}</p></section>
        <section class="card" aria-labelledby="dr"><h2 id="dr">{t(T.drills)}</h2><p class="mt-8 num">{t(T.drillsText, { ok: countOf(r.drills.passed), bad: countOf(r.drills.failed), n: countOf(r.restores) })}</p>
            {r.drills.passed + r.drills.failed === 0 && <p><b>{t(T.drillsNone)}</b></p>}</section>
        <section class="card" aria-labelledby="mt"><h2 id="mt">{t(T.maintenance)}</h2><p class="mt-8 num">{t(T.maintenanceText, { n: countOf(r.maintenance.booked), s: countOf(r.maintenance.sessions) })}</p></section>
        <section class="card" aria-labelledby="al"><h2 id="al">{t(T.alarms)}</h2><p class="mt-8 num">{t(T.alarmsText, { n: countOf(alarms) })}</p></section>
        <section class="card stack" aria-labelledby="sg"><h2 id="sg">{t(T.paper)}</h2>
            {r.signed ? <><p>{t(T.signedBy, { by: r.signed.by, at: stampOf(r.signed.at) })}</p>{r.signed.note && <p>{r.signed.note}</p>}<p class="sub">{t(T.hash)}: <span class="mono">{r.signed.hash.slice(0, 16)}</span></p></>
                : !r.over ? <p>{t(T.notOver)}</p> : roleOf(session) === 'director' ? <Sign month={r.month} done={got.reload} /> : <p>{t(T.signer)}</p>}</section></article>;
}

function Sign({ month, done }: { month: string; done: () => void }) {
    const [password, setPassword] = useState('');
    const [note, setNote] = useState('');
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        try { await api.post(`/reviews/${month}/sign`, { password, ...(note.trim() ? { note: note.trim() } : {}) }); setPassword(''); done(); } catch (x) { setError(x as ApiError); }
    };
    return <form class="stack no-print" onSubmit={go} noValidate><p>{t(T.signText)}</p><ErrorBox error={error} />
        <AreaField label={t(T.note)} value={note} onInput={setNote} /><SecretField label={t(T.password)} value={password} onInput={setPassword} autocomplete="current-password" />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.signGo)}</button></div></form>;
}
