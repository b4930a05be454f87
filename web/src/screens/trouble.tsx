import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Alarm, Contact, Generation, Incident, List, Step, Today } from '../api';
import { Timeline } from '../charts/timeline';
import { manualPath, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { Link, navigate } from '../router';
import type { Place } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T as F } from '../text/findings';
import { T as S } from '../text/senders';
import { T } from '../text/trouble';
import { bytesOf, countOf, whenOf } from '../time';
import { CutOff } from './endpointacts';
import { FindingsOfIncident } from './findings';
import { PlaybooksScreen } from './playbooks';
import { IncidentPath, MaintenanceScreen, QuietScreen, ToWatchPages } from './incident';
import { AreaField, Dialog, Empty, ErrorBox, Head, Loading, Mark, Said, telHref } from '../ui/parts';

export function TroubleScreen({ place, today }: { place: Place; today: Today | null }) {
    const id = place.path.split('/')[2];
    if (id === 'maintenance') return <MaintenanceScreen />;
    if (id === 'quiet') return <QuietScreen />;
    if (id === 'playbooks') return <PlaybooksScreen />;
    return id ? <Detail id={decodeURIComponent(id)} today={today} /> : <Overview />;
}

function Overview() {
    const { session } = useSession();
    const got = useList<Alarm>('/alarms');
    const now = useNow(60_000);
    useLive('alarm', got.reload);
    if (!got.data) return <><Head title={t(T.title)} lead={t(T.lead)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const open = got.data.items.filter((a) => !a.closed);
    const closed = got.data.items.filter((a) => a.closed);
    const row = (a: Alarm) => <li class="trouble"><Mark state={a.closed ? 'ok' : a.state} label={a.closed ? t(T.closed) : t(a.state === 'call' ? C.call : C.look)} />
        <div><h3><Link href={`/trouble/${encodeURIComponent(a.id)}`}>{a.title}</Link></h3><p class="sub num">{whenOf(a.opened, now)}{a.closed ? ` ・ ${t(T.isClosed, { at: whenOf(a.closed, now) })}` : ''}</p></div></li>;
    return <><Head title={t(T.title)} lead={t(T.lead)} />
        {open.length ? <section aria-labelledby="op"><h2 id="op">{t(T.open)}</h2><ul class="list-card mt-s">{open.map(row)}</ul></section>
            : <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>}
        {closed.length > 0 && <section class="mt-l" aria-labelledby="cl"><h2 id="cl">{t(T.closed)}</h2><ul class="list-card mt-s">{closed.map(row)}</ul></section>}
        {got.data.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}
        {isLeader(session) && <ToWatchPages />}</>;
}

function Detail({ id, today }: { id: string; today: Today | null }) {
    const got = useGet<Alarm>(`/alarms/${encodeURIComponent(id)}`);
    const a = got.data;
    const now = useNow(60_000);
    const { session } = useSession();
    const contacts = useGet<List<Contact>>('/contacts');
    const gens = useGet<List<Generation>>(a?.source ? `/generations?source=${encodeURIComponent(a.source)}&limit=200` : null);
    const detail = useGet<Generation>(a?.manifest ? `/generations/${encodeURIComponent(a.manifest)}` : null);
    const inc = useGet<Incident>(a?.kind === 'incident' ? `/incidents/${Number(a.facts['incident'])}` : null);
    useLive<Alarm>('alarm', (x) => { if (x.id === id) got.reload(); });
    useLive<{ id: number }>('incident', (x) => { if (x.id === a?.facts['incident']) inc.reload(); });
    if (!a) return <><h1 class="vh">{t(T.title)}</h1>{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const bad = detail.data;
    const status = a.closed ? t(T.isClosed, { at: whenOf(a.closed, now) }) : a.seen ? t(T.isSeen) : t(T.isOpen);
    return <article>
        <p class="no-print"><Link class="more" href="/trouble">{t(T.back)}</Link></p>
        <header class={`card inc-head mt-8${a.state === 'look' ? ' inc-look' : ''}`}><div class="inc-t"><Mark state={a.closed ? 'ok' : a.state} /><div><p class="eyebrow">{t(T.number)}{a.kind === 'incident' && ` ${t(T.numbered, { n: String(a.facts['incident']) })}`}</p><h1>{a.title}</h1></div></div>
            <dl class="facts"><div><dt>{t(T.now)}</dt><dd>{status}</dd></div><div><dt>{t(T.started)}</dt><dd>{whenOf(a.opened, now)}</dd></div>{(a.device_name || a.source_name) && <div><dt>{t(T.place)}</dt><dd>{[a.device_name, a.source_name].filter(Boolean).join('・')}</dd></div>}{a.note && <div><dt>{t(T.note)}</dt><dd>{a.note}</dd></div>}</dl></header>
        {a.state === 'call' && !a.closed && today && today.dont.length > 0 && <section class="card dont-row mt" aria-labelledby="dn"><h2 id="dn">{t({ ja: 'しないでください', en: 'Please do not' })}</h2>
            <ul class="dont">{today.dont.map((d) => <li><span class="ic" aria-hidden="true">✕</span><b>{d.title}</b></li>)}</ul></section>}
        <div class="cols cols-main cols-inc mt">
            <section class="a" aria-labelledby="nx"><h2 id="nx">{t(T.next)}</h2><ol class="next mt-s">{(inc.data?.next.map((n): Step => ({ title: n.title, text: n.detail, ...(n.link ? { link: n.link } : {}) })) ?? a.next).slice(0, 3).map((n, i) => <NextThing n={n} i={i} phone={contacts.data?.items.find((c) => c.phone)?.phone ?? today?.calls[0]?.phone} />)}</ol></section>
            <aside class="c stick"><section class="side" aria-labelledby="wh"><h2 id="wh">{t(T.phones)}</h2><Phones contacts={contacts.data?.items ?? []} today={today} /></section></aside>
            <div class="stack b">
                <section class="card" aria-labelledby="sy"><h2 id="sy">{t(T.story)}</h2><div class="story">{a.text.split(/\n+/).map((p) => <p>{p}</p>)}</div></section>
                {inc.data && <FindingsOfIncident inc={inc.data} title={t(F.inTrouble)} reload={inc.reload} />}
                {inc.data && inc.data.state === 'open' && <CutOff inc={inc.data} />}
                {inc.data && <IncidentPath inc={inc.data} reload={inc.reload} />}
                {bad && bad.suspicion.reasons.length > 0 && <section class="card" aria-labelledby="wy"><h2 id="wy">{t(T.why)}</h2><ul class="lines">{bad.suspicion.reasons.map((r) => <li><Mark state={bad.suspicion.level === 'high' ? 'bad' : 'look'} /><span>{r.text}</span></li>)}</ul></section>}
                {gens.data && gens.data.items.length > 1 && <section class="card" aria-labelledby="sh"><h2 id="sh">{t(T.shape)}</h2><Timeline gens={gens.data.items} chosen={null} now={now} />
                    <p class="sub mt-8">{t(T.shapeSame)}</p><GenTable gens={gens.data.items.slice().sort((x, y) => Date.parse(y.at) - Date.parse(x.at)).slice(0, 6)} now={now} />
                    {session?.rooms.includes('restore') && <p><Link class="more" href={`/restore?source=${encodeURIComponent(a.source ?? '')}`}>{t(T.toRestore)}</Link></p>}</section>}
                {isLeader(session) ? !a.closed && <Act a={a} onDone={got.reload} /> : <p class="sub">{t(T.reader)}</p>}
                {a.kind !== 'incident' && <Facts a={a} />}</div></div></article>;
}

function GenTable({ gens, now }: { gens: Generation[]; now: number }) {
    return <ul class="lines mt-s">{gens.map((g) => <li><Mark state={g.suspicion.level === 'high' ? 'bad' : 'ok'} label={t(g.suspicion.level === 'high' ? C.suspicious : C.clean)} />
        <span class="num">{whenOf(g.at, now)} ・ {bytesOf(g.stored_new, Math.max(...gens.map((x) => x.stored_new)))}{g.last_clean && <> <span class="flag">{t(C.lastClean)}</span></>}</span></li>)}</ul>;
}

/* Steps come as sentences; the first that says to call gets the number, one about restoring its screen. */
function NextThing({ n, i, phone }: { n: Step | string; i: number; phone: string | undefined }) {
    const s: Step = typeof n === 'string' ? { title: n.replace(/。$/, ''), ...(i === 0 && phone && /電話|call/i.test(n) ? { phone } : {}), ...(/緊急カード|emergency card/i.test(n) ? { link: '/card' } : n.includes(t(S.title)) ? { link: '/logs/senders' } : n.includes(t(C.navMachines)) ? { link: '/machines' } : {}) } : n;
    return <li><span class="n" aria-hidden="true">{i + 1}</span><div><h3>{s.title}</h3>{s.text && <p>{s.text}</p>}
        {(s.phone || s.link) && <div class="btn-row">{s.phone && <a class={i === 0 ? 'btn btn-main' : 'btn'} href={telHref(s.phone)}>{s.phone}</a>}
            {s.link && (s.link.startsWith('/manual/') ? <a class="more" href={manualPath(s.link)}>{t({ ja: 'やり方を見る', en: 'See how' })}</a>
                : <Link class={i === 0 && !s.phone ? 'btn btn-main' : 'more'} href={s.link}>{linkWord(s.link)}</Link>)}</div>}</div></li>;
}

function linkWord(link: string): string {
    if (link.startsWith('/restore')) return t(T.toRestore);
    if (link.startsWith('/card')) return t(C.card);
    if (link.startsWith('/machines')) return t(C.navMachines);
    if (link.startsWith('/logs/senders')) return t(S.title);
    if (link.startsWith('/findings')) return t(F.of);
    if (link.startsWith('/settings')) return t(C.navSettings);
    return t({ ja: '開く', en: 'Open' });
}

export function Phones({ contacts, today }: { contacts: Contact[]; today: Today | null }) {
    const list = contacts.length ? contacts.slice(0, 5).map((c) => ({ name: c.name, phone: c.phone, note: [c.hours, c.note].filter(Boolean).join('・') })) : (today?.calls ?? []).map((c) => ({ ...c, note: '' }));
    if (!list.length) return <p class="mt-8">{t(T.noPhones)}</p>;
    return <ul class="who mt">{list.map((c, i) => <li><span class="eyebrow">{i + 1} {c.name}</span>{c.phone ? <span class="tel"><a href={telHref(c.phone)}>{c.phone}</a></span> : <span class="sub">{t(T.noNumber)}</span>}{c.note && <span class="sub">{c.note}</span>}</li>)}</ul>;
}

/* A frozen rotation is let go in two ways that must not be mixed up: they differ in what becomes of the bad copies. */
type Doing = 'close' | 'ours' | 'dealt';
const ASK: Record<Doing, { title: Text; text: Text; warn: Text | null; yes: Text }> = {
    close: { title: T.closeAsk, text: T.closeText, warn: null, yes: T.close },
    ours: { title: T.oursAsk, text: T.oursText, warn: T.oursText2, yes: T.ours },
    dealt: { title: T.dealtAsk, text: T.dealtText, warn: T.dealtText2, yes: T.dealt },
};

function Act({ a, onDone }: { a: Alarm; onDone: () => void }) {
    const [note, setNote] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const [ask, setAsk] = useState<Doing | null>(null);
    const act = async (doing: 'seen' | Doing) => {
        setAsk(null);
        setError(null);
        const action = doing === 'ours' || doing === 'dealt' ? 'thaw' : doing;
        if (action !== 'seen' && !note.trim()) return setBad(t(T.noteNeed));
        setBad(null);
        try {
            await api.post(`/alarms/${encodeURIComponent(a.id)}`, { action, note: note.trim(), ...(action === 'thaw' ? { false_alarm: doing === 'ours' } : {}) });
            setSaid(t(T.recorded));
            setNote('');
            onDone();
            if (action !== 'seen') navigate('/trouble');
        } catch (e) { setError(e as ApiError); }
    };
    const frozen = a.kind === 'suspicion';
    return <section class="card stack no-print" aria-labelledby="ac"><h2 id="ac">{t(T.act)}</h2><p>{t(T.actText)}</p><ErrorBox error={error} />
        <AreaField label={t(T.note)} help={t(T.noteHelp)} value={note} onInput={setNote} error={bad} />
        <div class="btn-row">{!a.seen && <button type="button" class="btn" onClick={() => void act('seen')}>{t(T.seen)}</button>}
            <button type="button" class="btn" onClick={() => setAsk('close')}>{t(T.close)}</button></div>
        {frozen && <div class="stack" role="group" aria-labelledby="fz"><h3 id="fz">{t(T.frozen)}</h3><p>{t(T.frozenText)}</p>
            <div><button type="button" class="btn" aria-describedby="fz-d" onClick={() => setAsk('dealt')}>{t(T.dealt)}</button><p class="sub mt-8" id="fz-d">{t(T.dealtHelp)}</p></div>
            <div><button type="button" class="btn" aria-describedby="fz-o" onClick={() => setAsk('ours')}>{t(T.ours)}</button><p class="sub mt-8" id="fz-o">{t(T.oursHelp)}</p></div></div>}
        <Said text={said} />
        {ask && <Dialog title={t(ASK[ask].title)} onClose={() => setAsk(null)}><p>{t(ASK[ask].text)}</p>{ASK[ask].warn && <p class="mt-8"><b>{t(ASK[ask].warn)}</b></p>}
            <div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(null)}>{t(C.stopIt)}</button>
                <button type="button" class="btn btn-stop" onClick={() => void act(ask)}>{t(ASK[ask].yes)}</button></div></Dialog>}
    </section>;
}

function Facts({ a }: { a: Alarm }) {
    const rows = Object.entries(a.facts ?? {}).filter(([k, v]) => v !== null && v !== '' && k !== 'reasons');
    if (!rows.length) return null;
    const label = (k: string) => { const e = (T as Record<string, Text>)['f_' + k]; return e ? t(e) : k; };
    const value = (k: string, v: unknown): string => typeof v === 'number' ? (k === 'share' ? `${Math.round(v * (v <= 1 ? 100 : 1))}%` : k.includes('bytes') ? bytesOf(v) : countOf(v))
        : Array.isArray(v) ? v.map((x) => (typeof x === 'object' ? JSON.stringify(x) : String(x))).join('、') : typeof v === 'object' ? JSON.stringify(v) : String(v);
    return <details><summary>{t(T.facts)}<span class="sub num">{rows.length}</span></summary><div class="fold"><div class="tbl-wrap"><table class="tbl nt"><caption class="vh">{t(T.facts)}</caption>
        <thead class="vh"><tr><th scope="col">{t(T.fact)}</th><th scope="col">{t(T.value)}</th></tr></thead>
        <tbody>{rows.map(([k, v]) => <tr><th scope="row">{label(k)}</th><td class="mono">{value(k, v)}</td></tr>)}</tbody></table></div></div></details>;
}
