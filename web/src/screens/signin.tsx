import { useLayoutEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Session } from '../api';
import { t } from '../i18n';
import { Link, usePlace, focusHeading } from '../router';
import { institutionName, useSession } from '../session';
import { T } from '../text/signin';
import { spanOf } from '../time';
import { Banner, ErrorBox, Head, SecretField, TextField } from '../ui/parts';
import { PasswordRules, passwordReason } from '../ui/password';

export function SignInScreen() {
    const place = usePlace();
    const { setSession, reload } = useSession();
    const [account, setAccount] = useState('');
    const [password, setPassword] = useState('');
    const [second, setSecond] = useState(false);
    const [paper, setPaper] = useState(false);
    const [code, setCode] = useState('');
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    useLayoutEffect(() => { // before anybody sees the field, for the fingers are faster than the next picture
        if (!second) return focusHeading('#main h1');
        document.querySelector<HTMLElement>('#main form input')?.focus(); // the code is what comes next, typed without looking
    }, [second, paper]);

    const submit = async (e: Event) => {
        e.preventDefault();
        const miss: Record<string, string> = {};
        if (!account.trim()) miss.account = t(T.needAccount);
        if (!password) miss.password = t(T.needPassword);
        if (second && !paper && !/^\d{6}$/.test(code.trim())) miss.code = t(T.needTotp);
        setBad(miss);
        setError(null);
        if (Object.keys(miss).length || busy) return;
        setBusy(true);
        try {
            const r = await api.post<{ session: Session }>('/session', {
                account: account.trim(), password, ...(second ? (paper ? { one_time: code.trim() } : { totp: code.trim() }) : {}),
            }, true);
            setPassword('');
            setSession(r.session);
            await reload();
        } catch (x) {
            const err = x as ApiError;
            if (err.code === 'totp_needed') { setSecond(true); setCode(''); }
            else if (err.code === 'not_signed_in' || (err.status === 401)) {
                const n = err.body.tries_left;
                const said = n === undefined ? t(T.wrong) : t(T.wrongLeft, { n });
                setBad(second ? { code: said } : { password: said });
            } else setError(err);
        } finally { setBusy(false); }
    };

    const locked = error?.code === 'locked';
    return <div class="narrow-s"><Head title={second ? t(T.step2) : t(T.title)} lead={second ? undefined : t(T.lead)} />
        <div class="stack">
            {place.query.has('ended') && !error && <Banner state="unknown" title={t(T.ended)}><p>{t(T.endedDo)}</p></Banner>}
            {locked ? <Banner state="look" alert title={t(T.locked)}><p>{t(T.lockedDo, { wait: spanOf(error.body.wait_s ?? 300) })}</p></Banner> : <ErrorBox error={error} />}
            <form class="card stack" onSubmit={submit} noValidate>
                {!second ? <>
                    <TextField label={t(T.account)} help={t(T.accountHelp)} value={account} onInput={setAccount} autocomplete="username" autocapitalize="off" spellcheck={false} error={bad.account ?? null} />
                    <SecretField label={t(T.password)} value={password} onInput={setPassword} autocomplete="current-password" error={bad.password ?? null} />
                </> : <>
                    {paper ? <TextField key="paper" label={t(T.oneTime)} help={t(T.oneTimeHelp)} value={code} onInput={setCode} autocomplete="off" autocapitalize="off" spellcheck={false} error={bad.code ?? null} />
                        : <TextField key="phone" label={t(T.totp)} help={t(T.totpHelp)} class="num in-6" value={code} onInput={setCode} inputMode="numeric" maxLength={6} autocomplete="one-time-code" error={bad.code ?? null} />}
                </>}
                <div class="btn-row"><button class="btn btn-main btn-lg btn-wide" type="submit">{t(second ? T.goCheck : T.go)}</button>
                    {second && <button type="button" class="linkbtn" onClick={() => { setPaper(!paper); setCode(''); setBad({}); }}>{t(paper ? T.usePhone : T.usePaper)}</button>}
                    {second && <button type="button" class="linkbtn" onClick={() => { setSecond(false); setPassword(''); setCode(''); setBad({}); }}>{t(T.other)}</button>}</div>
            </form>
            <details><summary>{t(T.forgot)}</summary><div class="fold"><p>{t(T.forgotDo)}</p><p><Link class="more" href="/recovery">{t(T.forgotDirector)}</Link></p></div></details>
        </div></div>;
}

/** Changing the own password; the director's also re-wraps the restore key, so the card is needed. */
export function PasswordForm({ first, onDone }: { first?: boolean; onDone: () => void }) {
    const { session } = useSession();
    const [old, setOld] = useState('');
    const [next, setNext] = useState('');
    const [again, setAgain] = useState('');
    const [card, setCard] = useState('');
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, setError] = useState<ApiError | null>(null);
    const director = (session?.person?.needs_card ?? session?.person?.role === 'director') && !first;
    const submit = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!old) return setBad({ old: t(T.needPassword) });
        if (next !== again) return setBad({ again: t(T.notSame) });
        setBad({});
        try {
            await api.post('/session/password', { old, new: next, ...(director ? { card } : {}) });
            setOld(''); setNext(''); setAgain(''); setCard('');
            onDone();
        } catch (x) {
            const err = x as ApiError;
            const why = passwordReason(err);
            if (why) setBad({ next: why });
            else if (err.field === 'old' || err.code === 'denied') setBad({ old: t(T.wrong) });
            else setError(err);
        }
    };
    return <form class="stack" onSubmit={submit} noValidate><ErrorBox error={error} />
        <input type="hidden" autocomplete="username" value={session?.person?.account ?? ''} />
        <SecretField label={t(T.oldPassword)} value={old} onInput={setOld} autocomplete="current-password" error={bad.old ?? null} />
        <SecretField label={t(T.newPassword)} value={next} onInput={setNext} autocomplete="new-password" error={bad.next ?? null} />
        <PasswordRules value={next} names={[session?.person?.account ?? '', institutionName(session)]} />
        <SecretField label={t(T.newAgain)} value={again} onInput={setAgain} autocomplete="new-password" error={bad.again ?? null} />
        {director && <TextField label={t(T.card)} value={card} onInput={setCard} autocomplete="off" autocapitalize="off" spellcheck={false} />}
        <div class="btn-row"><button class="btn btn-main btn-wide" type="submit">{t(T.changeIt)}</button></div></form>;
}

export function FirstPasswordScreen() {
    const { reload } = useSession();
    return <div class="narrow-s"><Head title={t(T.firstTitle)} lead={t(T.firstLead)} /><section class="card"><PasswordForm first onDone={() => void reload()} /></section></div>;
}
