import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Contact, List, Officer, Sent, Settings } from '../api';
import { lang, setLang, t } from '../i18n';
import type { Lang } from '../i18n';
import { KeysSwitch } from '../keys';
import { useGet, useList } from '../live';
import { Link, navigate } from '../router';
import { useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/settings';
import { T as S } from '../text/setup';
import { longDate, parts, whenOf } from '../time';
import { AreaField, Banner, Choice, Dialog, ErrorBox, Head, Loading, Said, SecretField, SelectField, TextField } from '../ui/parts';
import { OfficerFields } from './setup';
import { PasswordForm } from './signin';

export function SettingsScreen() {
    const got = useGet<Settings>('/settings');
    return <div class="narrow"><Head title={t(T.title)} />{got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!got.data ? !got.error && <Loading /> : <div class="stack stack-l"><Contacts /><Mail s={got.data} reload={got.reload} /><Hook s={got.data} reload={got.reload} /><Places s={got.data} reload={got.reload} /><Wall s={got.data} reload={got.reload} /><Keep s={got.data} reload={got.reload} /><Institution s={got.data} reload={got.reload} /><Counter /><Monitoring /><LogStore /><Own /></div>}</div>;
}

/** One card of settings with its own save: what fails keeps what was typed. */
function useSave(reload: () => void): { error: ApiError | null; said: string | null; say: (s: string | null) => void; save: (body: object) => Promise<ApiError | null> } {
    const [error, setError] = useState<ApiError | null>(null);
    const [said, say] = useState<string | null>(null);
    const save = async (body: object) => {
        setError(null);
        say(null);
        try { await api.patch('/settings', body); say(t(C.saved)); reload(); return null; } catch (e) {
            setError(e as ApiError);
            return e as ApiError;
        }
    };
    return { error, said, say, save };
}
const TEST_LOOKS = 20;
const TEST_LOOK_MS = 1_500;

/** Sends a test and looks until the box knows how it went: "sent" is said only when the other side took it. */
function useTest(what: 'mail' | 'webhook', reload: () => void): { error: ApiError | null; busy: boolean; run: () => Promise<void> } {
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    const run = async () => {
        if (busy) return;
        setError(null);
        setBusy(true);
        try {
            const before = (await api.get<Settings>('/settings'))[what].last?.at;
            await api.post('/settings/test', { what });
            for (let i = 0; i < TEST_LOOKS; i++) {
                await new Promise((ok) => setTimeout(ok, i ? TEST_LOOK_MS : TEST_LOOK_MS / 3));
                if ((await api.get<Settings>('/settings'))[what].last?.at !== before) break;
            }
            reload();
        } catch (e) { setError(e as ApiError); }
        setBusy(false);
    };
    return { error, busy, run };
}

function Last({ last, busy }: { last: Sent | null | undefined; busy: boolean }) {
    return <div role="status">{busy ? <p>{t(T.sending)}</p> : last && (last.ok ? <p>{t(T.lastOk, { at: whenOf(last.at) })}</p>
        : <Banner state="look" title={t(T.lastBad, { at: whenOf(last.at) })}><p>{t(T.lastBadDo)}</p><p class="sub mono wrap-ok">{last.detail}</p></Banner>)}</div>;
}

interface Part { s: Settings; reload: () => void }

function Mail({ s, reload }: Part) {
    const m = s.mail;
    const [v, set] = useState({ to: m.to.join('\n'), from: m.from, host: m.host, port: String(m.port || 587), tls: m.tls || 'starttls', user: m.user });
    const [password, setPassword] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const { error, said, say, save } = useSave(reload);
    const put = (k: keyof typeof v) => (x: string) => set({ ...v, [k]: x });
    const go = async (e: Event) => {
        e.preventDefault();
        const port = Number(v.port);
        if (!Number.isInteger(port) || port < 1 || port > 65535) return setBad(t(T.needNumber));
        setBad(null);
        if (!(await save({ mail: { to: v.to.split('\n').map((x) => x.trim()).filter(Boolean), from: v.from.trim(), host: v.host.trim(), port, tls: v.tls, user: v.user.trim(), ...(password ? { password } : {}) } }))) setPassword('');
    };
    const test = useTest('mail', reload);
    return <form class="card stack" onSubmit={go} noValidate><h2>{t(T.mail)}</h2><p>{t(T.mailLead)}</p><ErrorBox error={error ?? test.error} />
        <AreaField label={t(T.to)} help={t(T.toHelp)} rows={2} value={v.to} onInput={put('to')} />
        <div class="form-grid"><TextField label={t(T.from)} type="email" value={v.from} onInput={put('from')} autocomplete="off" /><TextField label={t(T.host)} value={v.host} onInput={put('host')} autocomplete="off" />
            <TextField label={t(T.port)} class="num" inputMode="numeric" value={v.port} onInput={put('port')} error={bad} autocomplete="off" /><SelectField label={t(T.tls)} value={v.tls} onInput={put('tls')} options={[['starttls', t(T.tlsStart)], ['tls', t(T.tlsOn)], ['none', t(T.tlsNone)]]} />
            <TextField label={t(T.user)} value={v.user} onInput={put('user')} autocomplete="off" /><SecretField label={t(T.password)} help={t(m.password_set ? T.passwordSet : T.passwordNone)} value={password} onInput={setPassword} autocomplete="new-password" /></div>
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button><button type="button" class="btn" onClick={() => { say(null); void test.run(); }}>{t(T.test)}</button></div><Said text={said} /><Last last={m.last} busy={test.busy} /></form>;
}

function Hook({ s, reload }: Part) {
    const [url, setUrl] = useState(s.webhook.url);
    const [bad, setBad] = useState<string | null>(null);
    const { error, said, say, save } = useSave(reload);
    const go = async (e: Event) => {
        e.preventDefault();
        if (url && !url.startsWith('https://')) return setBad(t(T.needUrl));
        setBad(null);
        await save({ webhook: { url: url.trim() } });
    };
    const test = useTest('webhook', reload);
    return <form class="card stack" onSubmit={go} noValidate><h2>{t(T.hook)}</h2><p>{t(T.hookLead)}</p><ErrorBox error={error ?? test.error} />
        <TextField label={t(T.hookUrl)} type="url" value={url} onInput={setUrl} error={bad} autocomplete="off" />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button>{s.webhook.url && <button type="button" class="btn" onClick={() => { say(null); void test.run(); }}>{t(T.test)}</button>}</div><Said text={said} /><Last last={s.webhook.last} busy={test.busy} /></form>;
}

const PIN = /^sha256\/\/[A-Za-z0-9+/]{43}=$/;

/** The firewall's API: what a playbook tells to block an address. */
function Wall({ s, reload }: Part) {
    const w = s.firewall ?? { url: '', pin: '', token_set: false };
    const [v, set] = useState({ url: w.url, pin: w.pin });
    const [token, setToken] = useState('');
    const [bad, setBad] = useState<{ url?: string; pin?: string }>({});
    const { error, said, save } = useSave(reload);
    const go = async (e: Event) => {
        e.preventDefault();
        const wrong = { ...(v.url && !v.url.startsWith('https://') ? { url: t(T.needUrl) } : {}), ...(v.pin && !PIN.test(v.pin.trim()) ? { pin: t(T.wallNeedPin) } : {}) };
        setBad(wrong);
        if (!Object.keys(wrong).length && !(await save({ firewall: { url: v.url.trim(), pin: v.pin.trim(), ...(token ? { token } : {}) } }))) setToken('');
    };
    return <form class="card stack" onSubmit={go} noValidate><h2>{t(T.wall)}</h2><p>{t(T.wallLead)}</p><ErrorBox error={error} />
        <TextField label={t(T.wallUrl)} type="url" value={v.url} onInput={(url) => set({ ...v, url })} error={bad.url} autocomplete="off" />
        <TextField label={t(T.wallPin)} help={t(T.wallPinHelp)} value={v.pin} onInput={(pin) => set({ ...v, pin })} error={bad.pin} autocomplete="off" />
        <SecretField label={t(T.wallToken)} help={t(w.token_set ? T.passwordSet : T.passwordNone)} value={token} onInput={setToken} autocomplete="new-password" />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button></div><Said text={said} />
        {w.last && (w.last.ok ? <p>{t(T.wallOk, { at: whenOf(w.last.at) })}</p> : <Banner state="look" title={t(T.wallBad, { at: whenOf(w.last.at) })}><p class="sub mono wrap-ok">{w.last.detail}</p></Banner>)}</form>;
}

const ADDRESS = /^([0-9a-f:]+:[0-9a-f:]*|\d{1,3}(\.\d{1,3}){3}(\/(8|16|24|32))?)$/i;

/** Places outside that the clinic knows: a line each, the address first. */
function Places({ s, reload }: Part) {
    const [text, setText] = useState((s.places ?? []).map((p) => `${p.address} ${p.name}`).join('\n'));
    const [bad, setBad] = useState<string | null>(null);
    const { error, said, save } = useSave(reload);
    const go = async (e: Event) => {
        e.preventDefault();
        const places = text.split('\n').map((l) => l.trim()).filter(Boolean).map((l) => ({ address: l.split(/\s+/)[0]!, name: l.split(/\s+/).slice(1).join(' ') }));
        const wrong = places.find((p) => !ADDRESS.test(p.address) || !p.name);
        setBad(wrong ? t(T.placesNeed, { line: `${wrong.address} ${wrong.name}`.trim() }) : null);
        if (!wrong) await save({ places });
    };
    return <form class="card stack" onSubmit={go} noValidate><h2>{t(T.places)}</h2><p>{t(T.placesLead)}</p><ErrorBox error={error} />
        <AreaField label={t(T.placesList)} help={t(T.placesHelp)} value={text} onInput={setText} error={bad} />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button></div><Said text={said} /></form>;
}

function Keep({ s, reload }: Part) {
    const r = s.retention;
    const [v, set] = useState<Record<string, string>>({ hourly: String(r.hourly), daily: String(r.daily), weekly: String(r.weekly), monthly: String(r.monthly), min_days: String(r.min_days) });
    const { error, said, save } = useSave(reload);
    const go = (e: Event) => { e.preventDefault(); void save({ retention: Object.fromEntries(Object.entries(v).map(([k, x]) => [k, Math.max(0, Math.floor(Number(x) || 0))])) }); };
    const field = (k: string, label: string) => <TextField label={label} class="num" inputMode="numeric" value={v[k]!} onInput={(x) => set({ ...v, [k]: x })} autocomplete="off" />;
    return <section class="card stack"><h2>{t(T.keep)}</h2><p>{t(T.keepLead)}</p>
        <ul class="plain-list"><li>{t(T.keepHour, { n: r.hourly })}</li><li>{t(T.keepDay, { n: r.daily })}</li><li>{t(T.keepWeek, { n: r.weekly })}</li><li>{t(T.keepMonth, { n: r.monthly })}</li></ul>
        <p><b>{t(T.keepMin, { n: r.min_days })}</b></p><p>{t(T.keepFreeze)}</p><p>{t(T.keepShort)}</p><p><Link class="more" href="/retention">{t(T.keepSee)}</Link></p>
        <details><summary>{t(T.keepEdit)}</summary><form class="fold stack" onSubmit={go} noValidate><ErrorBox error={error} /><div class="form-grid">{field('hourly', t(T.nHour))}{field('daily', t(T.nDay))}{field('weekly', t(T.nWeek))}{field('monthly', t(T.nMonth))}{field('min_days', t(T.nMin))}</div>
            <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button></div><Said text={said} /></form></details></section>;
}

const NOBODY: Officer = { name: '', title: '', phone: '' };

function Institution({ s, reload }: Part) {
    const i = s.institution ?? { name: '' };
    const [v, set] = useState({ name: i.name, phone: i.phone ?? '', address: i.address ?? '', vendor_updates: i.vendor_updates ?? 'unknown' });
    const [who, setWho] = useState<Officer>({ ...NOBODY, ...i.responsible });
    const [dep, setDep] = useState<Officer>({ ...NOBODY, ...i.deputy });
    const [bad, setBad] = useState<string | null>(null);
    const [language, setLanguage] = useState(s.language);
    const { error, said, save } = useSave(reload);
    const { reload: again } = useSession();
    const put = (k: keyof typeof v) => (x: string) => set({ ...v, [k]: x });
    const go = async (e: Event) => {
        e.preventDefault();
        setBad(who.name.trim() ? null : t(S.needName));
        if (who.name.trim() && !(await save({ institution: { ...v, responsible: who, deputy: dep }, language }))) await again();
    };
    return <form class="card stack" onSubmit={go} noValidate><h2>{t(T.inst)}</h2><ErrorBox error={error} />
        <TextField label={t(T.instName)} value={v.name} onInput={put('name')} autocomplete="organization" />
        <div class="form-grid"><TextField label={t(T.phone)} type="tel" value={v.phone} onInput={put('phone')} autocomplete="tel" /><TextField label={t(T.address)} value={v.address} onInput={put('address')} autocomplete="street-address" />
            <SelectField label={t(T.vendorQ)} value={v.vendor_updates} onInput={put('vendor_updates')} options={[['yes', t(T.yes)], ['no', t(T.no)], ['unknown', t(T.unknown)]]} />
            <SelectField label={t(T.lang)} help={t(T.langHelp)} value={language} onInput={setLanguage} options={[['ja', '日本語'], ['en', 'English']]} /></div>
        <OfficerFields inner title={t(S.officer)} help={t(S.officerHelp)} v={who} set={setWho} bad={bad} required />
        <OfficerFields inner title={t(S.deputy)} v={dep} set={setDep} bad={null} />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button></div><Said text={said} /></form>;
}

/* ---- the people on the card ---- */
const ROLES = [['vendor', T.roVendor], ['network', T.roNetwork], ['director', T.roDirector], ['deputy', T.roDeputy], ['police', T.roPolice], ['mhlw', T.roMhlw], ['jma', T.roJma], ['ipa', T.roIpa], ['hokenjo', T.roHokenjo], ['', T.roOther]] as const;
const BLANK: Contact = { name: '', role: '', phone: '', hours: '', note: '', checked_on: null };

function Contacts() {
    const got = useGet<List<Contact>>('/contacts');
    const [list, setList] = useState<Contact[]>([]);
    const [bad, setBad] = useState<number | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    useEffect(() => { if (got.data) setList(got.data.items); }, [got.data]);
    const put = (i: number, x: Partial<Contact>) => { setSaid(null); setList(list.map((c, k) => (k === i ? { ...c, ...x } : c))); };
    const move = (i: number, by: number) => { const next = [...list]; const [c] = next.splice(i, 1); next.splice(i + by, 0, c!); setList(next); };
    const today = () => { const p = parts(Date.now()); return `${p.y}-${String(p.m).padStart(2, '0')}-${String(p.d).padStart(2, '0')}`; };
    const save = async (e: Event) => {
        e.preventDefault();
        const miss = list.findIndex((c) => !c.name.trim());
        setBad(miss < 0 ? null : miss);
        setError(null);
        if (miss >= 0) return;
        try { await api.put('/contacts', { items: list }); setSaid(`${t(C.saved)} ${t(T.cReprint)}`); } catch (x) { setError(x as ApiError); }
    };
    return <form class="card stack" onSubmit={save} noValidate><h2>{t(T.contacts)}</h2><p>{t(T.contactsLead)}</p>
        {got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !got.data ? <Loading /> : <>
            <ol class="order">{list.map((c, i) => <li><div class="form-grid"><TextField label={`${i + 1} ${t(T.cName)}`} value={c.name} onInput={(name) => put(i, { name })} error={bad === i && !c.name.trim() ? t(T.cNameNeed) : null} autocomplete="off" /><SelectField label={t(T.cRole)} value={ROLES.some(([k]) => k === c.role) ? c.role : ''} onInput={(role) => put(i, { role })} options={ROLES.map(([k, w]) => [k, t(w)])} />
                <TextField label={t(T.cPhone)} type="tel" value={c.phone} onInput={(phone) => put(i, { phone })} autocomplete="off" /><TextField label={t(T.cHours)} value={c.hours} onInput={(hours) => put(i, { hours })} autocomplete="off" />
                <div class="full"><TextField label={t(T.cNote)} value={c.note} onInput={(note) => put(i, { note })} autocomplete="off" /></div></div>
                <div class="btn-row"><span class="sub">{t(T.cChecked)}: {c.checked_on ? longDate(`${c.checked_on.slice(0, 10)}T00:00:00+09:00`) : t(T.cNever)}</span>
                    <button type="button" class="linkbtn" onClick={() => put(i, { checked_on: today() })} aria-label={`${t(T.cToday)}: ${c.name}`}>{t(T.cToday)}</button>
                    {i > 0 && <button type="button" class="linkbtn" onClick={() => move(i, -1)} aria-label={`${t(T.cUp)}: ${c.name}`}>{t(T.cUp)}</button>}
                    {i < list.length - 1 && <button type="button" class="linkbtn" onClick={() => move(i, 1)} aria-label={`${t(T.cDown)}: ${c.name}`}>{t(T.cDown)}</button>}
                    <button type="button" class="linkbtn" onClick={() => setList(list.filter((_, k) => k !== i))} aria-label={`${t(T.cRemove)}: ${c.name}`}>{t(T.cRemove)}</button></div></li>)}</ol>
            <ErrorBox error={error} /><div class="btn-row"><button type="submit" class="btn btn-main">{t(T.cSave)}</button><button type="button" class="btn" onClick={() => setList([...list, { ...BLANK }])}>{t(T.cAdd)}</button></div><Said text={said} /></>}</form>;
}

/* ---- the counter ---- */
interface CounterBrowser { id: string; name: string; created?: string; last_seen?: string | null }

function Counter() {
    const got = useList<CounterBrowser>('/counter');
    const { reload } = useSession();
    const [ask, setAsk] = useState(false);
    const [name, setName] = useState('');
    const [error, setError] = useState<ApiError | null>(null);
    const enrol = async () => {
        setAsk(false);
        setError(null);
        try {
            await api.post('/counter', { name: name.trim() || t(C.counter) });
            await api.del('/session').catch(() => { /* the counter cookie takes its place either way */ });
            await reload();
            navigate('/');
        } catch (e) { setError(e as ApiError); }
    };
    const end = async (id: string) => { setError(null); try { await api.del(`/counter/${encodeURIComponent(id)}`); got.reload(); } catch (e) { setError(e as ApiError); } };
    return <section class="card stack"><h2>{t(T.counter)}</h2><p>{t(T.counterLead)}</p><ErrorBox error={error} />
        <TextField label={t(T.counterName)} value={name} onInput={setName} autocomplete="off" />
        <div class="btn-row"><button type="button" class="btn" onClick={() => setAsk(true)}>{t(T.counterAdd)}</button></div>
        {got.data && <div><p class="eyebrow">{t(T.counterList)}</p>{got.data.items.length ? <ul class="lines">{got.data.items.map((c) => <li class="rel"><span aria-hidden="true">・</span><span>{c.name} {c.last_seen && <span class="sub num">{whenOf(c.last_seen)}</span>} <button type="button" class="linkbtn" onClick={() => void end(c.id)} aria-label={`${t(T.counterEnd)}: ${c.name}`}>{t(T.counterEnd)}</button></span></li>)}</ul> : <p class="sub">{t(T.counterNone)}</p>}</div>}
        {ask && <Dialog title={t(T.counterAsk)} onClose={() => setAsk(false)}><p>{t(T.counterAskText)}</p><div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => void enrol()}>{t(T.counterAdd)}</button><button type="button" class="linkbtn" onClick={() => setAsk(false)}>{t(C.stopIt)}</button></div></Dialog>}</section>;
}

/* ---- monitoring ---- */
interface Monitor { id: string; name: string; created?: string; last_seen?: string | null; until?: string | null }

function Monitoring() {
    const got = useList<Monitor>('/monitors');
    const [name, setName] = useState('');
    const [bad, setBad] = useState(false);
    const [token, setToken] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const add = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setBad(!name.trim());
        if (!name.trim()) return;
        try {
            setToken((await api.post<{ token: string }>('/monitors', { name: name.trim() })).token);
            setName('');
            got.reload();
        } catch (x) { setError(x as ApiError); }
    };
    const end = async (id: string) => { setError(null); try { await api.del(`/monitors/${encodeURIComponent(id)}`); setToken(null); got.reload(); } catch (e) { setError(e as ApiError); } };
    return <form class="card stack" onSubmit={add} noValidate><h2>{t(T.monitor)}</h2><p>{t(T.monitorLead)}</p><ErrorBox error={error} />
        <TextField label={t(T.monitorName)} value={name} onInput={setName} error={bad ? t(T.monitorNeed) : null} autocomplete="off" />
        <div class="btn-row"><button type="submit" class="btn">{t(T.monitorAdd)}</button></div>
        {token && <div role="status"><p>{t(T.monitorOnce)}</p><p>{t(T.monitorToken)}: <code class="mono">{token}</code></p><p>{t(T.monitorWhere)}: <code class="mono">{location.origin}/metrics</code></p></div>}
        {got.data && <div><p class="eyebrow">{t(T.monitorList)}</p>{got.data.items.length ? <ul class="lines">{got.data.items.map((m) => <li class="rel"><span aria-hidden="true">・</span><span>{m.name} {m.last_seen && <span class="sub num">{whenOf(m.last_seen)}</span>} <button type="button" class="linkbtn" onClick={() => void end(m.id)} aria-label={`${t(T.monitorEnd)}: ${m.name}`}>{t(T.monitorEnd)}</button></span></li>)}</ul> : <p class="sub">{t(T.monitorNone)}</p>}</div>}</form>;
}

/* ---- where logs are stored ---- */
interface StoreState { there: boolean; why: string; events: number; waiting: number; odd: number; since_s: number }
interface Store { store: 'local' | 'clickhouse'; urls: string; database: string; table: string; user: string; ca: string; password_set: boolean; state: StoreState | null }
function LogStore() {
    const got = useGet<Store>('/logs/store');
    return <section class="card stack"><h2>{t(T.store)}</h2><p>{t(T.storeLead)}</p>
        {got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !got.data ? <Loading /> : <StoreForm s={got.data} reload={got.reload} />}</section>;
}
function StoreNow({ s }: { s: StoreState | null }) {
    if (!s?.since_s) return <p role="status">{t(T.storeWait)}</p>;
    return <div role="status">{s.there ? <p>{t(T.storeOk, { n: s.events, m: s.waiting })}</p> : <Banner state="look" title={t(T.storeAway)}><p class="sub mono wrap-ok">{s.why}</p></Banner>}{s.odd > 0 && <Banner state="look" title={t(T.storeOdd)} />}</div>;
}
function StoreForm({ s, reload }: { s: Store; reload: () => void }) {
    const [v, set] = useState({ store: s.store, urls: s.urls.split(/[\s,]+/).join('\n'), database: s.database, table: s.table, user: s.user, ca: s.ca });
    const [password, setPassword] = useState('');
    const [cluster, setCluster] = useState('');
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const put = (k: keyof typeof v) => (x: string) => set({ ...v, [k]: x });
    const run = async (what: () => Promise<unknown>, done: string) => {
        setError(null);
        setSaid(null);
        try { await what(); setSaid(done); reload(); } catch (e) { setError(e as ApiError); }
    };
    const go = (e: Event) => {
        e.preventDefault();
        void run(() => api.put('/logs/store', { ...v, urls: v.urls.split(/\s+/).filter(Boolean).join(' '), ...(password ? { password } : {}) }), t(C.saved));
    };
    return <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        <SelectField label={t(T.storeWhere)} value={v.store} onInput={(store) => set({ ...v, store })} options={[['local', t(T.storeLocal)], ['clickhouse', t(T.storeBoth)]]} />
        {v.store === 'clickhouse' && <><AreaField label={t(T.storeUrls)} help={t(T.storeUrlsHelp)} rows={2} value={v.urls} onInput={put('urls')} />
            <div class="form-grid"><TextField label={t(T.storeDatabase)} value={v.database} onInput={put('database')} autocomplete="off" /><TextField label={t(T.storeTable)} value={v.table} onInput={put('table')} autocomplete="off" />
                <TextField label={t(T.storeUser)} value={v.user} onInput={put('user')} autocomplete="off" /><SecretField label={t(T.password)} help={t(s.password_set ? T.passwordSet : T.passwordNone)} value={password} onInput={setPassword} autocomplete="new-password" />
                <TextField label={t(T.storeCa)} help={t(T.storeCaHelp)} value={v.ca} onInput={put('ca')} autocomplete="off" />
                {s.store === 'clickhouse' && <TextField label={t(T.storeCluster)} help={t(T.storeClusterHelp)} value={cluster} onInput={setCluster} autocomplete="off" />}</div></>}
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button>{s.store === 'clickhouse' && <button type="button" class="btn" onClick={() => void run(() => api.post('/logs/store/init', cluster.trim() ? { cluster: cluster.trim() } : {}), t(T.storeMade))}>{t(T.storeInit)}</button>}</div>
        <Said text={said} />{s.store === 'clickhouse' && <StoreNow s={s.state} />}</form>;
}
function Own() {
    const { session } = useSession();
    const [said, setSaid] = useState<string | null>(null);
    return <section class="card stack"><h2>{t(T.own)}</h2>
        <Choice legend={t(T.ownLang)} name="lang" value={lang()} onInput={(v: Lang) => setLang(v)} options={[['ja', '日本語'], ['en', 'English']]} />
        <div><h3>{t(T.ownKeys)}</h3><KeysSwitch /></div>
        <details><summary>{t(T.ownPassword)}</summary><div class="fold"><PasswordForm onDone={() => setSaid(t(T.ownDone))} /></div></details><Said text={said} />
        {session?.person?.role === 'director' && <><p><Link class="more" href="/restore-card">{t(T.ownCard)}</Link></p><p><Link class="more" href="/recipients">{t(T.ownKeysNew)}</Link></p></>}</section>;
}
