// First-run wizard. Secrets live in memory only: nothing of them goes to storage, the address line or the history.
import { PrintHead } from '../ui/printhead';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api, setCsrf } from '../api';
import type { Officer, Session, SetupState, Sheet, SheetSecret } from '../api';
import { lang, t } from '../i18n';
import { Link, focusHeading, navigate, usePlace } from '../router';
import { institutionName, useSession } from '../session';
import { T as C } from '../text/common';
import { T as G } from '../text/guide';
import { T } from '../text/setup';
import { T as S } from '../text/signin';
import { longDate, spanOf } from '../time';
import { Choice, Empty, ErrorBox, Head, Qr, SecretField, SelectField, Steps, TextField, Tick } from '../ui/parts';
import { PasswordRules, passwordReason } from '../ui/password';

const STEPS = ['start', 'institution', 'director', 'totp', 'codes', 'sheet', 'confirm', 'done'] as const;
type StepName = typeof STEPS[number];
// The codes are shown until somebody says that they are written down: going away and back must not lose them.
let unconfirmed: string[] = [];
interface Totp { totp_secret: string; totp_uri: string; totp_qr_svg: string }

export function SetupScreen({ state }: { state: SetupState | null }) {
    const { session, reload } = useSession();
    const place = usePlace();
    const kind = session?.kind;
    const [step, setStep] = useState<StepName>(() => firstStep(state, kind));
    const [totp, setTotp] = useState<Totp | null>(null);
    const [codes, setCodes] = useState<string[]>(unconfirmed);
    const [sheet, setSheet] = useState<Sheet | null>(null);
    const [names, setNames] = useState<string[]>([]);
    const [lost, setLost] = useState(false);
    useEffect(() => { setStep((s) => (s === 'start' ? firstStep(state, kind) : s)); }, [state?.step, kind]);
    useEffect(() => {
        focusHeading('#main h1');
        window.scrollTo(0, 0);
    }, [step]);
    useEffect(() => {
        document.body.classList.toggle('is-sheet', step === 'sheet');
        return () => document.body.classList.remove('is-sheet');
    }, [step]);
    if (place.query.has('finish') || step === 'done') return <Wizard step="done"><Finish /></Wizard>;
    if (state?.done && kind !== 'setup') return <div class="narrow"><h1 class="vh">{t(T.title)}</h1><Empty title={t(T.already)}><Link class="btn" href="/">{t(T.toToday)}</Link></Empty></div>;
    return <Wizard step={step}>
        {step === 'start' && <Start onDone={() => setStep('institution')} />}
        {step === 'institution' && <Institution onDone={(name) => { setNames([name]); setStep('director'); }} />}
        {step === 'director' && <Director names={names} onDone={(x) => { setTotp(x); setStep('totp'); }} />}
        {step === 'totp' && <TotpStep totp={totp} onBack={() => setStep('director')} onDone={(c) => { setTotp(null); unconfirmed = c; setCodes(c); setStep('codes'); }} />}
        {step === 'codes' && <Codes codes={codes} onDone={() => { unconfirmed = []; setCodes([]); setStep('sheet'); }} />}
        {step === 'sheet' && <SheetStep sheet={sheet} lost={lost} institution={names[0] ?? institutionName(session)} onMade={setSheet} onDone={() => setStep('confirm')} />}
        {step === 'confirm' && <Confirm sheet={sheet} onBack={() => setStep('sheet')} onLost={() => { setSheet(null); setLost(true); setStep('sheet'); }} onDone={async () => { setSheet(null); setStep('done'); navigate('/setup?finish=1', true); await reload(); }} />}
    </Wizard>;
}

function firstStep(state: SetupState | null, kind: Session['kind'] | undefined): StepName {
    if (kind !== 'setup') return 'start';
    if (unconfirmed.length) return 'codes';
    const at = STEPS.indexOf((state?.step ?? 'institution') as StepName);
    return at <= 0 ? 'institution' : STEPS[at] === 'codes' ? 'sheet' : STEPS[at] === 'confirm' ? 'sheet' : STEPS[at]!;
}

function Wizard({ step, children }: { step: StepName; children: preact.ComponentChildren }) {
    const labels = [T.s1, T.s2, T.s3, T.s4, T.s5, T.s6, T.s7, T.s8].map((x) => t(x));
    return <><p class="eyebrow not-sheet steps-top">{t(T.title)}</p><Steps label={t(T.steps)} labels={labels} at={STEPS.indexOf(step)} />
        <div class={step === 'sheet' ? undefined : 'narrow'}>{children}</div></>;
}

/** One submit: clears the error, runs, keeps what was typed when it fails. */
function useSubmit(): [ApiError | null, (f: () => Promise<void>, onError?: (e: ApiError) => boolean) => (e: Event) => void] {
    const [error, set] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    return [error, (f, onError) => (e) => {
        e.preventDefault();
        if (busy) return;
        set(null);
        setBusy(true);
        f().catch((x: ApiError) => { if (!onError?.(x)) set(x); }).finally(() => setBusy(false));
    }];
}

function Start({ onDone }: { onDone: () => void }) {
    const { reload } = useSession();
    const [code, setCode] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, submit] = useSubmit();
    const go = submit(async () => {
        setBad(null);
        if (!code.trim()) return setBad(t(T.codeNeed));
        const r = await api.post<{ csrf?: string } | null>('/setup/start', { code: code.trim() }, true);
        setCsrf(r?.csrf);
        await reload();
        onDone();
    }, (e) => {
        if (e.noAnswer || e.status >= 500) return false;
        setBad(e.body.wait_s ? t(T.codeWait, { wait: spanOf(e.body.wait_s) }) : e.body.tries_left ? t(T.codeWrongLeft, { n: e.body.tries_left }) : t(T.codeWrong));
        return true;
    });
    return <><Head title={t(T.codeTitle)} lead={t(T.lead)} />
        <div class="stack"><section class="card"><h2>{t(T.prepare)}</h2><ul class="do">{[T.prepare1, T.prepare2, T.prepare3].map((x, i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b>{t(x)}</b></div></li>)}</ul></section>
            <form class="card stack" onSubmit={go} noValidate><ErrorBox error={error} />
                <TextField label={t(T.code)} help={t(T.codeHelp)} value={code} onInput={setCode} error={bad} autocomplete="off" autocapitalize="characters" spellcheck={false} class="num" />
                <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(T.start)}</button></div></form></div></>;
}

function digits(s: string): number { return s.replace(/\D/g, '').length; }

function Institution({ onDone }: { onDone: (name: string) => void }) {
    const [v, set] = useState({ name: '', kind: 'clinic', address: '', phone: '', vendor_updates: 'unknown', vendor_name: '', vendor_phone: '' });
    const [who, setWho] = useState<Officer>({ name: '', title: '', phone: '' });
    const [dep, setDep] = useState<Officer>({ name: '', title: '', phone: '' });
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, submit] = useSubmit();
    const put = (k: keyof typeof v) => (x: string) => set({ ...v, [k]: x });
    const go = submit(async () => {
        const miss: Record<string, string> = {};
        if (!v.name.trim()) miss.name = t(T.needName);
        if (digits(v.phone) < 10) miss.phone = t(T.needPhone);
        if (!who.name.trim()) miss.who = t(T.needName);
        if (v.vendor_phone && digits(v.vendor_phone) < 10) miss.vendor_phone = t(T.needPhone);
        setBad(miss);
        if (Object.keys(miss).length) { focusHeading('#main [aria-invalid]'); return; }
        await api.post('/setup/institution', {
            name: v.name.trim(), kind: v.kind, address: v.address.trim(), phone: v.phone.trim(), responsible: who, deputy: dep,
            vendor_updates: v.vendor_updates, vendor: { name: v.vendor_name.trim(), phone: v.vendor_phone.trim() }, language: lang(),
        });
        onDone(v.name.trim());
    }, (e) => { if (e.field) { setBad({ [e.field.split('.').join('_')]: e.message }); return true; } return false; });
    return <form onSubmit={go} noValidate><Head title={t(T.instTitle)} />
        <div class="stack"><ErrorBox error={error} />
            <section class="card stack"><TextField label={t(T.instName)} required value={v.name} onInput={put('name')} error={bad.name ?? null} autocomplete="organization" />
                <div class="form-grid"><SelectField label={t(T.instKind)} value={v.kind} onInput={put('kind')} options={[['clinic', t(T.kClinic)], ['dental', t(T.kDental)], ['hospital', t(T.kHospital)], ['pharmacy', t(T.kPharmacy)], ['other', t(T.kOther)]]} />
                    <TextField label={t(T.phone)} required type="tel" value={v.phone} onInput={put('phone')} error={bad.phone ?? null} autocomplete="tel" /></div>
                <TextField label={t(T.address)} value={v.address} onInput={put('address')} autocomplete="street-address" /></section>
            <OfficerFields title={t(T.officer)} help={t(T.officerHelp)} v={who} set={setWho} bad={bad.who ?? null} required />
            <OfficerFields title={t(T.deputy)} v={dep} set={setDep} bad={null} />
            <section class="card stack"><h2>{t(T.vendorQ)}</h2><p>{t(T.vendorHelp)}</p>
                <Choice legend={t(T.vendorQ)} hidden name="vu" value={v.vendor_updates} onInput={put('vendor_updates')} options={[['yes', t(T.vYes)], ['no', t(T.vNo)], ['unknown', t(T.vUnknown), t(T.vUnknownHelp)]]} />
                <div class="form-grid"><TextField label={t(T.vendorName)} value={v.vendor_name} onInput={put('vendor_name')} />
                    <TextField label={t(T.vendorPhone)} help={t(T.vendorPhoneHelp)} type="tel" value={v.vendor_phone} onInput={put('vendor_phone')} error={bad.vendor_phone ?? null} /></div></section>
            <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(C.next)}</button></div></div></form>;
}

export function OfficerFields({ title, help, v, set, bad, required, inner }: { inner?: boolean; title: string; help?: string; v: Officer; set: (o: Officer) => void; bad: string | null; required?: boolean }) {
    return <section class={inner ? 'stack' : 'card stack'}>{inner ? <h3>{title}</h3> : <h2>{title}</h2>}{help && <p>{help}</p>}
        <div class="form-grid"><TextField label={t(T.name)} required={required} value={v.name} onInput={(name) => set({ ...v, name })} error={bad} />
            <TextField label={t(T.jobTitle)} value={v.title} onInput={(title2) => set({ ...v, title: title2 })} />
            <TextField label={t(T.phone)} type="tel" value={v.phone} onInput={(phone) => set({ ...v, phone })} /></div></section>;
}

function Director({ names, onDone }: { names: string[]; onDone: (x: Totp) => void }) {
    const [account, setAccount] = useState('');
    const [name, setName] = useState('');
    const [password, setPassword] = useState('');
    const [again, setAgain] = useState('');
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, submit] = useSubmit();
    const go = submit(async () => {
        const miss: Record<string, string> = {};
        if (!name.trim()) miss.name = t(T.needName);
        if (!/^[A-Za-z0-9._@-]{2,64}$/.test(account.trim())) miss.account = t(T.needAccount);
        if ([...password].length < 8) miss.password = t(S.badShort);
        if (password !== again) miss.again = t(S.notSame);
        setBad(miss);
        if (Object.keys(miss).length) { focusHeading('#main [aria-invalid]'); return; }
        onDone(await api.post<Totp>('/setup/director', { account: account.trim(), name: name.trim(), password }));
    }, (e) => {
        const why = passwordReason(e);
        if (why) { setBad({ password: why }); return true; }
        if (e.field) { setBad({ [e.field]: e.message }); return true; }
        return false;
    });
    return <form onSubmit={go} noValidate><Head title={t(T.dirTitle)} lead={t(T.dirLead)} /><div class="stack"><ErrorBox error={error} />
        <section class="card stack"><TextField label={t(T.dirName)} required value={name} onInput={setName} error={bad.name ?? null} autocomplete="name" />
            <TextField label={t(T.account)} help={t(T.accountHelp)} required value={account} onInput={setAccount} error={bad.account ?? null} autocomplete="username" autocapitalize="off" spellcheck={false} />
            <SecretField label={t(T.password)} help={t(T.passwordHelp)} required value={password} onInput={setPassword} error={bad.password ?? null} autocomplete="new-password" />
            <PasswordRules value={password} names={[account, ...names]} />
            <SecretField label={t(T.passwordAgain)} required value={again} onInput={setAgain} error={bad.again ?? null} autocomplete="new-password" /></section>
        <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(C.next)}</button></div></div></form>;
}

function TotpStep({ totp, onBack, onDone }: { totp: Totp | null; onBack: () => void; onDone: (codes: string[]) => void }) {
    const [code, setCode] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, submit] = useSubmit();
    const go = submit(async () => {
        setBad(null);
        if (!/^\d{6}$/.test(code.trim())) return setBad(t(T.totpNeed));
        onDone((await api.post<{ codes: string[] }>('/setup/director/totp', { code: code.trim() })).codes);
    }, (e) => {
        if (e.status === 422 || e.status === 400 || e.status === 401 || e.status === 403) { setBad(t(T.totpWrong)); return true; }
        return false;
    });
    if (!totp) return <><Head title={t(T.totpTitle)} /><div class="card stack"><p>{t(T.totpLost)}</p><button type="button" class="btn btn-main" onClick={onBack}>{t(C.back)}</button></div></>;
    return <form onSubmit={go} noValidate><Head title={t(T.totpTitle)} /><div class="stack"><ErrorBox error={error} />
        <section class="card stack"><ol class="do">{[T.totp1, T.totp2, T.totp3].map((x, i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b>{t(x)}</b></div></li>)}</ol>
            <TotpPicture totp={totp} />
            <TextField label={t(T.totpCode)} class="num in-6" value={code} onInput={setCode} error={bad} inputMode="numeric" maxLength={6} autocomplete="one-time-code" /></section>
        <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(C.next)}</button></div></div></form>;
}

export function TotpPicture({ totp }: { totp: { totp_secret?: string; totp_qr_svg?: string } }) {
    return <div class="stack">{totp.totp_qr_svg && <Qr svg={totp.totp_qr_svg} label={t(T.totpQr)} />}
        {totp.totp_secret && <details><summary>{t(T.totpManual)}</summary><div class="fold"><p>{t(T.totpManualHelp)}</p><p class="mt-8"><span class="copy">{totp.totp_secret.replace(/(.{4})(?=.)/g, '$1 ')}</span></p></div></details>}</div>;
}

function Codes({ codes, onDone }: { codes: string[]; onDone: () => void }) {
    useEffect(() => {
        const ask = (e: BeforeUnloadEvent) => { e.preventDefault(); e.returnValue = ''; }; // the browser asks in its own words
        addEventListener('beforeunload', ask);
        return () => removeEventListener('beforeunload', ask);
    }, []);
    return <><Head title={t(T.codesTitle)} lead={t(T.codesLead)} /><div class="stack">
        <section class="card stack"><p><b>{t(T.codesOnce)}</b></p><ol class="codes">{codes.map((c) => <li>{c}</li>)}</ol>
            <div class="btn-row"><button type="button" class="btn" onClick={() => window.print()}>{t(C.print)}</button></div></section>
        <div class="btn-row"><button type="button" class="btn btn-main btn-lg btn-wide" onClick={onDone}>{t(T.codesDone)}</button></div></div></>;
}

function SheetStep({ sheet, lost, institution, onMade, onDone }: { sheet: Sheet | null; lost: boolean; institution: string; onMade: (s: Sheet | null) => void; onDone: () => void }) {
    const [printed, setPrinted] = useState(false);
    const [bad, setBad] = useState(false);
    const [error, submit] = useSubmit();
    const [password, setPassword] = useState<string | null>(null);
    const make = submit(async () => {
        setPrinted(false);
        onMade(await api.post<Sheet>('/setup/sheet', password ? { password } : {}));
        setPassword(null);
    }, (e) => {
        if (e.code !== 'conflict' || e.field !== 'password') return false;
        setPassword((p) => p ?? ''); // the box was started again since: it needs the password of the director once more
        return true;
    });
    return <><div class="not-sheet"><Head title={t(T.sheetTitle)} lead={t(T.sheetLead)} /><ErrorBox error={error} /></div>
        {!sheet ? <section class="card stack narrow">{lost && <p><b>{t(T.sheetLost)}</b></p>}<p>{t(T.sheetMakeHelp)}</p>
            {password !== null && <SecretField label={t(T.sheetPassword)} help={t(T.sheetPasswordHelp)} value={password} onInput={setPassword} autocomplete="current-password" />}<div class="btn-row"><button type="button" class="btn btn-main btn-lg btn-wide" onClick={make}>{t(T.sheetMake)}</button></div></section>
            : <div class="stack"><section class="card dont-row not-sheet"><h2>{t(T.sheetWarn3)}</h2><ul class="dont">{[T.sheetWarn1, T.sheetWarn2].map((x) => <li><span class="ic" aria-hidden="true">✕</span><b>{t(x)}</b></li>)}</ul></section>
                <div class="btn-row not-sheet"><button type="button" class="btn btn-main btn-lg btn-wide" onClick={() => window.print()}>{t(T.sheetPrint)}</button>
                    <button type="button" class="linkbtn" onClick={make}>{t(T.sheetAgain)}</button></div>
                <Paper sheet={sheet} institution={institution} /><Bare institution={institution} />
                <p class="not-sheet narrow">{t(G.withSheet)}</p>
                <div class="not-sheet narrow stack"><div class="ticks"><Tick type="checkbox" name="printed" checked={printed} onChange={(on) => { setPrinted(on); setBad(false); }} title={t(T.sheetPrinted)} text={t(T.sheetPrintedHelp)} /></div>
                    {bad && <p role="alert" class="field"><span class="err">{t(T.sheetNeed)}</span></p>}
                    <div class="btn-row"><button type="button" class="btn btn-main btn-lg btn-wide" onClick={() => (printed ? onDone() : setBad(true))}>{t(C.next)}</button></div></div></div>}</>;
}

function Paper({ sheet, institution }: { sheet: Sheet; institution: string }) {
    return <article class="rs"><div class="rs-top"><div><h2>{t(T.rsTitle)}</h2><p>{institution} ・ {t(T.rsMade)} {longDate(Date.now())}</p></div><b>{t(T.rsKeep)}</b></div>
        <Words title={t(T.rsOpen)} help={t(T.rsOpenHelp)} qr={t(T.rsQrOpen)} s={sheet.open} />
        <Words title={t(T.rsOrders)} help={t(T.rsOrdersHelp)} qr={t(T.rsQrOrders)} s={sheet.orders} />
        <div class="rs-cut"><p>✂ {t(T.rsCut)}</p><div class="rs-card"><Qr svg={sheet.card.qr_svg} label={t(T.rsQrCard)} />
            <div><b>{t(T.rsCard)}</b> <span class="rs-note">{institution}</span><p class="txt">{sheet.card.text}</p><p class="rs-note">{t(T.rsCardHelp)}</p></div></div></div><PrintHead page="sheet" always /></article>;
}

/** Printed with the sheet: what to do with it when a machine is gone, for the day no screen tells. */
function Bare({ institution }: { institution: string }) {
    return <article class="rs rs-guide"><div class="rs-top"><div><h2>{t(G.title)}</h2><p>{institution} ・ {t(G.bareLead)}</p></div></div>
        <ol class="guide-order">{[G.b1, G.b2, G.b3, G.b4, G.b5, G.b6, G.s6, G.s7].map((x) => <li>{t(x)}</li>)}</ol></article>;
}

function Words({ title, help, qr, s }: { title: string; help: string; qr: string; s: SheetSecret }) {
    return <section class="rs-sec"><h3>{title}</h3><Qr svg={s.qr_svg} label={qr} />
        <ol class="rs-words">{s.words_ja.map((w, i) => <li><span class="no">{i + 1}</span><span><b lang="ja">{w}</b><small lang="en">{s.words_en[i]}</small></span></li>)}</ol>
        <p class="rs-note">{help}</p></section>;
}

function Confirm({ sheet, onBack, onLost, onDone }: { sheet: Sheet | null; onBack: () => void; onLost: () => void; onDone: () => Promise<void> }) {
    const [words, setWords] = useState<string[]>([]);
    const [bad, setBad] = useState<Record<number, string>>({});
    const [error, submit] = useSubmit();
    const ask = sheet?.ask ?? [];
    const go = submit(async () => {
        const miss: Record<number, string> = {};
        ask.forEach((_, i) => { if (!words[i]?.trim()) miss[i] = t(T.askNeed); });
        setBad(miss);
        if (Object.keys(miss).length) { focusHeading('#main [aria-invalid]'); return; }
        await api.post('/setup/confirm', { answers: ask.map((a, i) => ({ which: a.which, n: a.n, word: words[i]!.trim() })), printed: true });
        await onDone();
    }, (e) => {
        if (e.code === 'conflict') { onLost(); return true; }
        if (e.status !== 422 && e.status !== 400) return false;
        const i = whichWord(e, ask);
        setBad(i < 0 ? Object.fromEntries(ask.map((_, k) => [k, t(T.askWrong)])) : { [i]: t(T.askWrong) });
        focusHeading('#main [aria-invalid]');
        return true;
    });
    return <form onSubmit={go} noValidate><Head title={t(T.askTitle)} lead={t(T.askLead)} /><div class="stack"><ErrorBox error={error} />
        <section class="card stack">{ask.map((a, i) => <TextField label={t(a.which === 'open' ? T.askOpen : T.askOrders, { n: a.n })} value={words[i] ?? ''} error={bad[i] ?? null}
            onInput={(w) => { const next = [...words]; next[i] = w; setWords(next); }} autocomplete="off" autocapitalize="off" spellcheck={false} />)}</section>
        <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(T.askGo)}</button><button type="button" class="linkbtn" onClick={onBack}>{t(T.backToSheet)}</button></div></div></form>;
}

/* The box names the wrong word as "answers.1", "1", or as which and n. */
function whichWord(e: ApiError, ask: Sheet['ask']): number {
    const m = /(\d+)/.exec(e.field ?? '');
    const which = e.body.which ?? (/(open|orders)/.exec(e.field ?? '')?.[1]);
    const n = e.body.n ?? (which && m ? Number(m[1]) : undefined);
    if (which && n !== undefined) return ask.findIndex((a) => a.which === which && a.n === n);
    return m && Number(m[1]) < ask.length ? Number(m[1]) : -1;
}

function Finish() {
    const rows: [{ ja: string; en: string }, { ja: string; en: string }, { ja: string; en: string } | null, string][] = [
        [T.end1, T.end1Help, T.goSource, '/machines/sources/new'], [T.end2, T.end2Help, null, ''], [T.end3, T.end3Help, T.goCard, '/card'],
    ];
    return <><Head title={t(T.endTitle)} lead={t(T.endLead)} /><ol class="next">
        {rows.map(([title, help, word, href], i) => <li><span class="n" aria-hidden="true">{i + 1}</span><div><h2 class="h3">{t(title)}</h2><p>{t(help)}</p>
            {word && <div class="btn-row"><Link class={i === 0 ? 'btn btn-main' : 'more'} href={href}>{t(word)}</Link></div>}</div></li>)}</ol>
        <p class="mt"><Link class="more" href="/">{t(T.toToday)}</Link></p></>;
}
