// One question before something is done: what it is, what it means, and the two ways on.
import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api';
import { t } from '../i18n';
import { T as C } from '../text/common';
import { Dialog, ErrorBox } from './parts';

interface ConfirmProps { title: string; yes: string; stop?: boolean; wide?: boolean; onClose: () => void; go: () => Promise<unknown> | null; children?: ComponentChildren }

/** go: the deed; null when a field is not right (the dialog stays and says so itself). */
export function Confirm({ title, yes, stop, wide, onClose, go, children }: ConfirmProps) {
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    const submit = async (e: Event) => {
        e.preventDefault();
        if (busy) return;
        const deed = go();
        if (!deed) return;
        setError(null);
        setBusy(true);
        try { await deed; } catch (x) { setError(x as ApiError); } finally { setBusy(false); }
    };
    return <Dialog title={title} onClose={onClose} wide={!!wide}><form class="stack" onSubmit={submit} noValidate>{children}<ErrorBox error={error} />
        <div class="btn-row"><button type="submit" class={`btn ${stop ? 'btn-stop' : 'btn-main'}`}>{yes}</button><button type="button" class="linkbtn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}
