// Unlocking the restore key: password and card of the director, for minutes.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import { t } from '../i18n';
import { useNow } from '../live';
import { useSession } from '../session';
import { Link } from '../router';
import { T } from '../text/restore';
import { spanOf } from '../time';
import { ErrorBox, Mark, SecretField, TextField } from './parts';

export function useUnlocked(): number | null {
    const { session } = useSession();
    const now = useNow(10_000);
    const until = session?.unlocked_until ? Date.parse(session.unlocked_until) : 0;
    return until > now ? until : null;
}

export function UnlockedBar() {
    const { reload } = useSession();
    const until = useUnlocked();
    const now = useNow(10_000);
    if (!until) return null;
    const lock = async () => { try { await api.del('/unlock'); } finally { await reload(); } };
    return <div class="unlocked"><span role="status">{t(T.unlocked, { span: spanOf((until - now) / 1000) })}</span>
        <button type="button" class="btn btn-sm" onClick={() => void lock()}>{t(T.lock)}</button></div>;
}

export function UnlockForm({ onDone }: { onDone?: () => void }) {
    const { session, reload } = useSession();
    const [password, setPassword] = useState('');
    const [card, setCard] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    if (session?.person?.role !== 'director') return <p class="badge"><Mark state="look" />{t(T.notDirector)}</p>;
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!password || !card.trim()) return setBad(t(T.unlockNeed));
        if (busy) return;
        setBad(null);
        setBusy(true);
        try {
            await api.post('/unlock', { password, card: card.trim() }, true);
            setPassword('');
            setCard('');
            await reload();
            onDone?.();
        } catch (x) {
            const err = x as ApiError;
            if (['denied', 'not_signed_in', 'bad_request', 'unlock_needed'].includes(err.code) || err.body.tries_left !== undefined)
                setBad(err.body.tries_left !== undefined ? t(T.unlockBad, { n: err.body.tries_left }) : t(T.unlockBad0));
            else setError(err);
        } finally { setBusy(false); }
    };
    return <form class="stack" onSubmit={go} noValidate><p>{t(T.unlockText)}</p><ErrorBox error={error} />
        <input type="hidden" autocomplete="username" value={session.person.account} />
        <SecretField label={t(T.password)} value={password} onInput={setPassword} autocomplete="current-password" error={bad} />
        <TextField label={t(T.card)} help={t(T.cardHelp)} value={card} onInput={setCard} autocomplete="off" autocapitalize="off" spellcheck={false} class="mono" />
        <div class="btn-row"><button type="submit" class="btn">{t(T.unlock)}</button><Link class="more" href="/restore-card">{t(T.cardLost)}</Link></div></form>;
}
