// What the recovery sheet makes new: a director's way in (here), and the restore card (explained here, made at the terminal).
// The words live in memory only, and the opening half has no field anywhere.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Secrets } from '../api';
import { t } from '../i18n';
import { useGet } from '../live';
import { Link, focusHeading } from '../router';
import { T as C } from '../text/common';
import { T as G } from '../text/guide';
import { T } from '../text/anew';
import { T as S } from '../text/signin';
import { spanOf, whenOf } from '../time';
import { Banner, ErrorBox, Field, Head, Loading, Mark, SecretField, TextField } from '../ui/parts';
import { PasswordRules, passwordReason } from '../ui/password';
import { TotpPicture } from './setup';

interface Anew extends Secrets { account: string; card_fits: boolean }

export function RecoveryScreen() {
    const [done, setDone] = useState<Anew | null>(null);
    useEffect(() => { focusHeading('#main h1'); }, [done]);
    return <div class="narrow">{done ? <RecoveryDone a={done} /> : <RecoveryForm onDone={setDone} />}</div>;
}

function RecoveryForm({ onDone }: { onDone: (a: Anew) => void }) {
    const [account, setAccount] = useState('');
    const [words, setWords] = useState('');
    const [next, setNext] = useState('');
    const [again, setAgain] = useState('');
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    const refused = (e: ApiError) => {
        const why = passwordReason(e);
        if (e.field === 'account') setBad({ account: e.message });
        else if (why) setBad({ next: why });
        else if (e.code === 'denied') setBad({ words: e.body.tries_left ? t(T.wrongLeft, { n: e.body.tries_left }) : e.message });
        else setError(e);
    };
    const go = async (e: Event) => {
        e.preventDefault();
        const miss: Record<string, string> = {};
        if (!account.trim()) miss.account = t(S.needAccount);
        if (!words.trim()) miss.words = t(T.needWords);
        if ([...next].length < 8) miss.next = t(S.badShort);
        if (next !== again) miss.again = t(S.notSame);
        setBad(miss);
        setError(null);
        if (Object.keys(miss).length) return focusHeading('#main [aria-invalid]');
        if (busy) return;
        setBusy(true);
        try {
            onDone(await api.post<Anew>('/recovery', { account: account.trim(), words: words.trim(), password: next }, true));
        } catch (x) {
            refused(x as ApiError);
            focusHeading('#main [aria-invalid]');
        } finally { setBusy(false); }
    };
    return <><Head title={t(T.title)} lead={t(T.lead)} />
        <div class="stack"><section class="card stack"><h2>{t(T.need)}</h2><ul class="plain-list"><li>{t(T.need1)}</li><li>{t(T.need2)}</li><li>{t(T.need3)}</li></ul><p><b>{t(T.never)}</b></p></section>
            {error?.code === 'locked' ? <Banner state="look" alert title={t(T.locked)}><p>{t(T.lockedDo, { wait: spanOf(error.body.wait_s ?? 300) })}</p></Banner> : <ErrorBox error={error} />}
            <form class="card stack" onSubmit={go} noValidate>
                <TextField label={t(T.account)} help={t(T.accountHelp)} value={account} onInput={setAccount} error={bad.account ?? null} autocomplete="username" autocapitalize="off" spellcheck={false} />
                <Field label={t(T.words)} help={t(T.wordsHelp)} error={bad.words ?? null}>
                    {(a) => <textarea class="in area" rows={5} value={words} autocomplete="off" autocapitalize="off" spellcheck={false} onInput={(e) => setWords(e.currentTarget.value)} {...a} />}</Field>
                <SecretField label={t(S.newPassword)} value={next} onInput={setNext} error={bad.next ?? null} autocomplete="new-password" />
                <PasswordRules value={next} names={[account]} />
                <SecretField label={t(S.newAgain)} value={again} onInput={setAgain} error={bad.again ?? null} autocomplete="new-password" />
                <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(T.go)}</button><Link class="more" href="/sign-in">{t(T.back)}</Link></div></form></div></>;
}

function RecoveryDone({ a }: { a: Anew }) {
    useEffect(() => {
        const ask = (e: BeforeUnloadEvent) => { e.preventDefault(); e.returnValue = ''; }; // the browser asks in its own words
        addEventListener('beforeunload', ask);
        return () => removeEventListener('beforeunload', ask);
    }, []);
    const steps = a.card_fits ? [T.do1, T.do2] : [T.do1, T.do2, T.do3];
    return <><Head title={t(T.doneTitle)} lead={t(T.doneLead)} />
        <div class="stack"><section class="card stack"><ol class="do">{steps.map((x, i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b>{t(x)}</b></div></li>)}</ol></section>
            <section class="card stack"><h2>{t(T.phone)}</h2><TotpPicture totp={a} /></section>
            <section class="card stack"><h2>{t(T.codes)}</h2><ol class="codes">{(a.codes ?? []).map((c) => <li>{c}</li>)}</ol>
                <div class="btn-row"><button type="button" class="btn" onClick={() => window.print()}>{t(C.print)}</button></div></section>
            {!a.card_fits && <Banner state="look" title={t(T.cardOld)}><p>{t(T.do3)}</p></Banner>}
            <div class="btn-row"><Link class="btn btn-main btn-lg btn-wide" href={a.card_fits ? '/sign-in' : '/sign-in?to=%2Frestore-card'}>{t(T.signIn)}</Link></div></div></>;
}

interface CardState { escrow: string | null; fits: boolean; mine: boolean }

/** For directors: does the card fit, and how to make a new one. */
export function RestoreCardScreen() {
    const got = useGet<CardState>('/restore-card');
    const c = got.data;
    return <div class="narrow"><Head title={t(T.cardTitle)} lead={t(T.cardLead)} /><p>{t(G.withSheet)} <Link class="more" href="/machines/guide">{t(G.tab)}</Link></p>
        <div class="stack">{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !c ? <Loading /> : <>
            <CardNow c={c} />
            {!c.escrow ? <Banner state="look" title={t(T.none)}><p>{t(T.noneDo)}</p><p>{t(T.noneLost)}</p></Banner> : <CardSteps />}
            <section class="card stack"><h2>{t(T.stolen)}</h2><p>{t(T.stolenDo)}</p><p>{t(T.stolenKeys)}</p><div class="btn-row"><Link class="btn" href="/recipients">{t(T.keysTitle)}</Link></div><p>{t(T.stolenMore)}</p></section></>}</div></div>;
}

function CardNow({ c }: { c: CardState }) {
    if (!c.fits) return <Banner state="look" title={t(T.fitsNot)}><p>{t(T.fitsNotDo)}</p></Banner>;
    if (!c.mine) return <Banner state="ok" title={t(T.fitsOther)}><p>{t(T.fitsOtherDo)}</p></Banner>;
    return <Banner state="ok" title={t(T.fits)} />;
}

function CardSteps() {
    const steps = [[T.s1, T.s1t, null], [T.s2, null, 'sakimori sign-in'], [T.s3, T.s3t, 'sakimori restore-card new'], [T.s4, T.s4t, null], [T.s5, T.s5t, null]] as const;
    return <section class="card stack"><h2>{t(T.steps)}</h2><p>{t(T.why)}</p>
        <ol class="do">{steps.map(([title, text, command], i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b>{t(title)}</b>{command && <p class="mt-8"><code class="copy mono">{command}</code></p>}{text && <p>{t(text)}</p>}</div></li>)}</ol></section>;
}

interface Recipients { set: { role: 'sheet' | 'card'; key: string }[]; changes: { id: string; at: string; ended: string; reason: string; by: string }[]; waiting: { id: string; left_ms: number; reason: string; by: string }[]; machines: { id: string; name: string; follows: boolean | null }[] }

/** Who can open backups from now on; ordered at the terminal, where the sheet is typed. */
export function RecipientsScreen() {
    const got = useGet<Recipients>('/recipients');
    const r = got.data;
    return <div class="narrow"><Head title={t(T.keysTitle)} lead={t(T.keysLead)} />
        <div class="stack">{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !r ? <Loading /> : <>
            {r.waiting.map((w) => <Banner key={w.id} state="call" title={t(T.keysWaiting, { wait: spanOf(Math.round(w.left_ms / 1000)) })}><p>{t(T.keysWaitingBy, { by: w.by, why: w.reason })}</p><p><Link class="more" href="/retention">{t(T.keysStop)}</Link></p></Banner>)}
            <Banner state="look" title={t(T.keysOld)}><p>{t(T.keysOldText)}</p></Banner>
            <RecipientsSteps />
            <RecipientsNow r={r} /></>}</div></div>;
}

function RecipientsSteps() {
    const steps = [[T.s1, T.s1t, null], [T.s2, null, 'sakimori sign-in'], [T.k3, T.k3t, 'sakimori recipients change --card --why "…"'], [T.k4, T.k4t, 'sakimori recipients change --new-sheet --why "…"'], [T.k5, T.k5t, null], [T.k6, T.k6t, null]] as const;
    return <section class="card stack"><h2>{t(T.keysSteps)}</h2><p>{t(T.why)}</p>
        <ol class="do">{steps.map(([title, text, command], i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b>{t(title)}</b>{command && <p class="mt-8"><code class="copy mono">{command}</code></p>}{text && <p>{t(text)}</p>}</div></li>)}</ol></section>;
}

function RecipientsNow({ r }: { r: Recipients }) {
    const said = (m: Recipients['machines'][0]) => t(m.follows === null ? T.mUnknown : m.follows ? T.mYes : T.mNo);
    return <><section class="card stack"><h2>{t(T.keysNow)}</h2>
        <dl class="dl">{r.set.map((k) => <div key={k.key}><dt>{t(k.role === 'sheet' ? T.keySheet : T.keyCard)}</dt><dd class="mono">{k.key}…</dd></div>)}</dl></section>
        <section class="card stack"><h2>{t(T.keysMachines)}</h2>{r.machines.length === 0 ? <p>{t(T.mNone)}</p> : <ul class="lines">{r.machines.map((m) => <li key={m.id}><Mark state={m.follows === false ? 'look' : m.follows ? 'ok' : 'unknown'} label={said(m)} /><div class="under"><b>{m.name}</b><p>{said(m)}</p></div></li>)}</ul>}
            {r.machines.some((m) => m.follows === false) && <p>{t(T.mDo)}</p>}</section>
        {r.changes.length > 0 && <section class="card stack"><h2>{t(T.keysPast)}</h2><ul class="plain-list">{r.changes.map((c) => <li key={c.id}>{whenOf(c.ended)} {c.by}: {c.reason}</li>)}</ul></section>}</>;
}
