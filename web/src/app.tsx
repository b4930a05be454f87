// The frame: who is here, header, menu, banners, keys, and which screen stands for which path.
import { useCallback, useEffect, useReducer, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { ApiError, api, onSessionLost, setCsrf } from './api';
import type { Session, SetupState, Today } from './api';
import { lang, onLang, proposeLang, setLang, t } from './i18n';
import { useKeys, KeysDialog } from './keys';
import { heardAt, keepToday, keptToday, startLive, stopLive, useLive, useNow } from './live';
import { Link, focusHeading, navigate, usePlace } from './router';
import type { Place } from './router';
import { SessionCtx, institutionName, isLeader, roleOf, useSession } from './session';
import { T } from './text/common';
import { T as E } from './text/endpoint';
import { clock, longDate, spanOf } from './time';
import { Banner, Empty, ErrorBox, Loading } from './ui/parts';
import { TodayScreen } from './screens/today';
import { RetentionScreen } from './screens/retention';
import { RestoreScreen } from './screens/restore';
import { ReviewScreen } from './screens/review';
import { LogsScreen } from './screens/logs';
import { SendersScreen } from './screens/senders';
import { RulesScreen } from './screens/rules';
import { TroubleScreen } from './screens/trouble';
import { MachinesScreen } from './screens/machines';
import { GuardedScreen, isGuardedPath } from './screens/guarded';
import { CopiesScreen } from './screens/copies';
import { PeersScreen } from './screens/peers';
import { PeopleScreen } from './screens/people';
import { AccessScreen } from './screens/access';
import { SettingsScreen } from './screens/settings';
import { CardScreen } from './screens/card';
import { ManualScreen } from './screens/manual';
import { TrustScreen } from './screens/trust';
import { SetupScreen } from './screens/setup';
import { RecipientsScreen, RecoveryScreen, RestoreCardScreen } from './screens/anew';
import { PrintHead } from './ui/printhead';
import { FirstPasswordScreen, SignInScreen } from './screens/signin';

const POLL_MS = 30_000;
const BANNER_MS = 2 * 60_000;
export const UNKNOWN_MS = 10 * 60_000;

/* A screen shows in the menu when the box names its room; the words of the API for rooms are on the left. */
const ROOMS: [room: string, path: string, word: { ja: string; en: string }][] = [
    ['today', '/', T.navToday], ['restore', '/restore', T.navRestore], ['trouble', '/trouble', T.navTrouble], ['machines', '/machines', T.navMachines], ['endpoint', '/endpoint', E.nav], ['copies', '/copies', T.navCopies], ['retention', '/retention', T.navRetention],
    ['review', '/review', T.navReview], ['people', '/people', T.navPeople], ['access', '/access', T.navAccess], ['settings', '/settings', T.navSettings],
];
const PUBLIC = ['/sign-in', '/recovery', '/setup', '/card', '/manual', '/trust-ca'];

export function App() {
    const [, redraw] = useReducer((n: number) => n + 1, 0);
    const [session, set] = useState<Session | null>(null);
    const [setup, setSetup] = useState<SetupState | null>(null);
    const [booted, setBooted] = useState(false);
    const [why, setWhy] = useState<ApiError | null>(null);
    useEffect(() => onLang(() => redraw(undefined)), []);

    const take = useCallback((s: Session | null) => {
        setCsrf(s?.csrf);
        if (s) proposeLang(s.language);
        set(s);
    }, []);
    const reload = useCallback(async () => {
        setWhy(null);
        try {
            const s = await api.get<Session>('/session', true);
            take(s);
            if (s.kind === 'setup') setSetup(await api.get<SetupState>('/setup', true));
        } catch (e) {
            const err = e as ApiError;
            if (err.status === 401) {
                take(null);
                try { setSetup(await api.get<SetupState>('/setup', true)); } catch { /* the sign-in screen still stands */ }
            } else setWhy(err);
        }
        setBooted(true);
    }, []);
    const signOut = useCallback(async () => {
        try { await api.del('/session'); } catch { /* gone either way */ }
        stopLive();
        take(null);
        navigate('/sign-in');
    }, []);
    useEffect(() => { void reload(); }, []);
    useEffect(() => onSessionLost(() => {
        stopLive();
        take(null);
        const from = location.pathname + location.search;
        if (!PUBLIC.some((p) => location.pathname.startsWith(p))) navigate('/sign-in?ended=1&to=' + encodeURIComponent(from), true);
    }), []);

    return <SessionCtx.Provider value={{ session, setSession: take, reload, signOut }}>
        <Frame booted={booted} why={why} setup={setup} key={lang()} />
    </SessionCtx.Provider>;
}

interface FrameProps { booted: boolean; why: ApiError | null; setup: SetupState | null }

function Frame({ booted, why, setup }: FrameProps) {
    const place = usePlace();
    const { session, reload } = useSession();
    const role = roleOf(session);
    const full = session !== null && session.kind !== 'setup' && !session.person?.must_change;
    const [help, setHelp] = useState(false);
    const today = useToday(full);
    const first = useRef(true);
    useKeys({ on: full, help: () => setHelp(true), rooms: session?.rooms ?? [] });

    useEffect(() => { if (full) startLive(); return () => stopLive(); }, [full]);
    useEffect(() => {
        if (first.current) { first.current = false; return; }
        focusHeading();
    }, [place.path]);
    useEffect(() => {
        if (!booted || why) return;
        if (session?.kind === 'setup' && !PUBLIC.includes(place.path)) navigate('/setup', true);
        else if (!session && setup && !setup.done && !['/setup', '/card', '/manual', '/trust-ca'].includes(place.path)) navigate('/setup', true);
        else if (!session && setup?.done !== false && !PUBLIC.some((p) => place.path === p)) navigate('/sign-in' + (place.path === '/' ? '' : '?to=' + encodeURIComponent(place.path + location.search)), true);
        else if (full && (place.path === '/sign-in')) navigate(place.query.get('to')?.startsWith('/') && !place.query.get('to')!.startsWith('//') ? place.query.get('to')! : '/', true);
        else if (full && session.kind !== 'counter' && place.path === '/setup' && setup?.done !== false && !place.query.has('finish')) navigate('/', true);
    }, [booted, why, session, setup, place.path]);

    const alone = place.path === '/card';
    document.body.classList.toggle('is-card', alone);
    let screen: ComponentChildren;
    if (!booted) screen = <Loading />;
    else if (place.path === '/card') screen = <CardScreen down={!!why?.noAnswer} />;
    else if (place.path === '/manual') screen = <ManualScreen />;
    else if (place.path === '/trust-ca') screen = <TrustScreen />;
    else if (why && !session) screen = <Offline error={why} retry={() => void reload()} today={today} />;
    else if (place.path === '/recovery') screen = <RecoveryScreen />;
    else if (place.path === '/setup') screen = <SetupScreen state={setup} />;
    else if (place.path === '/sign-in' || !session) screen = <SignInScreen />;
    else if (session.person?.must_change) screen = <FirstPasswordScreen />;
    else screen = <Screen place={place} today={today} />;

    return <>
        <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById('main')?.focus(); }}>{t(T.skip)}</a>
        <Top today={today} />
        {full && <Nav place={place} today={today} />}
        <main class="wrap ph" id="main" tabIndex={-1}>
            {full && !alone && <Banners today={today} place={place} />}
            {screen}
        </main>
        <footer class="foot"><div class="foot-in">
            {institutionName(session) && <p>{institutionName(session)}</p>}
            {full && role !== 'counter' && <PrintHead page={place.path} />}
            <p>{t(T.footInside)}</p>
            <p class="no-print"><Link href="/manual" class="more">{t(T.footManual)}</Link></p>
            {full && <p class="no-print">{t(T.footKeys)} <kbd>?</kbd> {t(T.footKeysEnd)}</p>}
            <p class="no-print foot-r user">
                <button type="button" class="linkbtn" lang={lang() === 'ja' ? 'en' : 'ja'} onClick={() => setLang(lang() === 'ja' ? 'en' : 'ja')}>{t(T.language)}</button>
                {session?.person && <SignOut name={session.person.name} />}
                {role === 'counter' && <Link href="/sign-in?switch=1" class="more">{t(T.signIn)}</Link>}
            </p>
        </div></footer>
        {help && <KeysDialog onClose={() => setHelp(false)} />}
    </>;
}

function SignOut({ name }: { name: string }) {
    const { signOut } = useSession();
    return <span class="user"><span class="nm">{name}</span><button type="button" class="linkbtn" onClick={() => void signOut()}>{t(T.signOut)}</button></span>;
}

function Screen({ place, today }: { place: Place; today: TodayNow }) {
    const { session } = useSession();
    const p = place.path;
    const may = (room: string) => session?.rooms.includes(room) ?? false;
    if (p === '/') return <TodayScreen now={today} />;
    if (p === '/restore' && may('restore')) return <RestoreScreen place={place} />;
    if ((p === '/trouble' || p.startsWith('/trouble/')) && may('trouble')) return <TroubleScreen place={place} today={today.today} />;
    if (p === '/logs' && isLeader(session)) return <LogsScreen place={place} />;
    if (p === '/logs/senders' && (isLeader(session) || may('machines'))) return <SendersScreen />;
    if ((p === '/machines' || p.startsWith('/machines/')) && may('machines')) return <MachinesScreen place={place} />;
    if (isGuardedPath(p) && may('endpoint')) return <GuardedScreen place={place} />;
    if (p === '/copies' && may('copies')) return <CopiesScreen />;
    if (p === '/copies/kept' && may('copies') && session?.person?.role !== 'staff') return <PeersScreen />;
    if ((p === '/review' || p.startsWith('/review/')) && may('review')) return <ReviewScreen place={place} />;
    if (p === '/people' && may('people')) return <PeopleScreen />;
    if ((p === '/access' || p === '/access/audit') && may('access')) return <AccessScreen place={place} />;
    if (p === '/restore-card' && session?.person?.role === 'director') return <RestoreCardScreen />;
    if (p === '/recipients' && ['director', 'manager', 'vendor'].includes(roleOf(session) ?? '')) return <RecipientsScreen />;
    if (p === '/retention' && may('retention')) return <RetentionScreen />;
    if ((p === '/rules' || p.startsWith('/rules/')) && ['director', 'manager', 'vendor'].includes(roleOf(session) ?? '')) return <RulesScreen place={place} />;
    if (p === '/settings' && may('settings')) return <SettingsScreen />;
    if (p === '/today') return <TodayScreen now={today} />;
    const known = ROOMS.find(([, path]) => path !== '/' && p.startsWith(path)) || p.startsWith('/logs') || p.startsWith('/rules') || isGuardedPath(p);
    return <div class="narrow"><h1 class="vh">{t(known ? T.errDenied : T.notFoundTitle)}</h1>
        <Empty title={t(known ? T.errDenied : T.notFoundTitle)}><p>{t(known ? T.errDeniedDo : T.notFoundText)}</p>
            <Link class="btn" href="/">{t(T.toToday)}</Link></Empty></div>;
}

function Top({ today }: { today: TodayNow }) {
    const now = useNow();
    const { session } = useSession();
    const name = institutionName(session);
    void today;
    return <header class="top"><div class="top-in">
        <Link class="brand" href="/"><svg viewBox="0 0 40 40" aria-hidden="true"><path d="M20 2.500c5.200 3.400 10.300 4.700 15.500 5v11.700c0 9-6.100 15.200-15.500 18.600C10.600 34.400 4.500 28.200 4.500 19.200V7.500c5.200-.3 10.300-1.600 15.500-5z" class="pin" /><text x="20" y="26" text-anchor="middle" font-size="18" font-weight="700" class="brand-t">守</text></svg>
            <span class="bt"><b>Sakimori</b>{name && <span>{name}</span>}</span></Link>
        <div class="top-r">
            <p class="clock"><span class="long">{longDate(now)}<br /></span><b>{clock(now)}</b><span class="now"> {t(T.now)}</span></p>
            <Link class="btn btn-stop btn-sm" href="/card">{t(T.cardShort)}</Link>
        </div></div></header>;
}

function Nav({ place, today }: { place: Place; today: TodayNow }) {
    const { session } = useSession();
    const ref = useRef<HTMLUListElement>(null);
    const rooms = ROOMS.filter(([room]) => session?.rooms.includes(room));
    /* Logs and rules belong to what is looked into when there is trouble: no entry of their own in the menu. */
    const here = isGuardedPath(place.path) ? '/endpoint' : /^\/(logs|rules)(\/|$)/.test(place.path) ? (session?.rooms.includes('trouble') ? '/trouble' : '/machines') : place.path;
    const at = (path: string) => (path === '/' ? here === '/' : here === path || here.startsWith(path + '/'));
    useEffect(() => {
        const ul = ref.current;
        const cur = ul?.querySelector<HTMLElement>('[aria-current]');
        if (ul && cur) ul.scrollLeft = cur.offsetLeft - ul.offsetLeft - 48;
    }, [place.path]);
    void today;
    return <nav class="nav" aria-label={t(T.mainNav)}><ul ref={ref}>
        {rooms.map(([, path, word]) => <li><Link href={path} aria-current={at(path) ? 'page' : undefined}>{t(word)}</Link></li>)}</ul></nav>;
}

/* ---- the state of today, shared by the frame and the first screen ---- */
export interface TodayNow { today: Today | null; heard: number; now: number; stale: 'no' | 'banner' | 'unknown'; error: ApiError | null; reload: () => void; set: (t: Today) => void }

function useToday(on: boolean): TodayNow {
    const kept = useRef(keptToday());
    const [today, set] = useState<Today | null>(kept.current?.today ?? null);
    const [fresh, setFresh] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const now = useNow(5_000);
    const take = useCallback((x: Today) => {
        set(x);
        setFresh(true);
        setError(null);
        keepToday(x);
    }, []);
    const load = useCallback(() => {
        api.get<Today>('/today').then(take, (e: ApiError) => setError(e));
    }, []);
    useEffect(() => {
        if (!on) return;
        load();
        const id = setInterval(load, POLL_MS);
        return () => clearInterval(id);
    }, [on]);
    useLive('today', load); // the event only says that it changed: the words depend on who asks
    useLive('alarm', load);
    const heard = fresh ? heardAt() : kept.current?.heard ?? heardAt();
    const age = now - heard;
    const stale = !on && fresh === false ? 'no' : age > UNKNOWN_MS ? 'unknown' : age > BANNER_MS ? 'banner' : 'no';
    return { today: fresh || stale !== 'no' || error?.noAnswer ? today : null, heard, now, stale, error, reload: load, set: take };
}

function Banners({ today, place }: { today: TodayNow; place: Place }) {
    const { stale, now, heard } = today;
    return <div class="bans" role="status">
        {stale !== 'no' && <Banner state="unknown" title={t(T.staleTitle, { time: clock(heard) })}>
            <p>{t(T.staleText, { span: spanOf((now - heard) / 1000) })}</p><p>{t(T.staleDo)}</p></Banner>}
        {stale === 'no' && today.today?.state === 'call' && place.path !== '/' && !place.path.startsWith('/trouble') && !place.path.startsWith('/restore') &&
            <Banner state="call" title={today.today.headline}><p>{today.today.lead}</p><p class="no-print"><Link class="more" href="/">{t(T.toToday)}</Link></p></Banner>}
    </div>;
}

function Offline({ error, retry, today }: { error: ApiError; retry: () => void; today: TodayNow }) {
    const kept = today.today ?? keptToday()?.today ?? null;
    return <div class="narrow stack"><h1>{t(T.unknown)}</h1><ErrorBox error={error} retry={retry} />
        <p>{t(T.offlineKept)}</p>
        {kept && kept.calls.length > 0 && <section class="card">{kept.calls.map((c) => <div class="tel"><span class="eyebrow">{c.name}</span><a href={'tel:' + c.phone}>{c.phone}</a></div>)}</section>}
        <p><Link class="btn btn-main" href="/card">{t(T.card)}</Link></p></div>;
}
