// The head of the vault's record at the foot of whatever is printed, and comparing one that was kept.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import { t } from '../i18n';
import { useGet } from '../live';
import { T } from '../text/heads';
import { Banner, ErrorBox, Field, Qr } from './parts';

interface Kept { short: string; long: string; qr_svg: string }

/** On paper only. It is the head of when the page was opened; asked for again with each page. */
export function PrintHead({ page, always }: { page: string; always?: boolean }) {
    const got = useGet<Kept>('/head');
    useEffect(() => { got.reload(); }, [page]);
    const h = got.data;
    return h ? <div class={always ? 'ph-head ph-on' : 'ph-head'} aria-hidden="true"><span class="ph-qr"><Qr svg={h.qr_svg} label="" /></span><div><p><b>{t(T.mark)}</b> <span class="mono">{h.short}</span></p><p class="sub">{t(T.markText)}</p></div></div> : null;
}

/** As it stands on paper and in mails, to be held against them. */
export function ShortHead() {
    const got = useGet<Kept>('/head');
    return <span class="mono">{got.data?.short ?? '─'}</span>;
}

interface Compared { result: 'continues' | 'rolled-back' | 'forked' | 'foreign'; seq: number }

export function HeadCheck() {
    const [text, setText] = useState('');
    const [got, setGot] = useState<Compared | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setGot(null);
        setError(null);
        setBad(text.trim() ? null : t(T.need));
        if (!text.trim()) return;
        try { setGot(await api.post<Compared>('/head/check', { text: text.trim() })); } catch (x) {
            const err = x as ApiError;
            if (err.field === 'text') setBad(err.message); else setError(err);
        }
    };
    return <form class="card stack mt no-print" onSubmit={go} noValidate><h2>{t(T.title)}</h2><p>{t(T.lead)}</p><ErrorBox error={error} />
        <Field label={t(T.label)} help={t(T.help)} error={bad}>{(a) => <textarea class="in area mono" rows={3} value={text} autocomplete="off" autocapitalize="characters" spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} {...a} />}</Field>
        <div class="btn-row"><button type="submit" class="btn">{t(T.go)}</button></div>
        {got?.result === 'continues' && <Banner state="ok" title={t(T.same)}><p>{t(T.sameText, { n: got.seq })}</p></Banner>}
        {(got?.result === 'rolled-back' || got?.result === 'forked') && <Banner state="call" alert title={t(T.other)}><p>{t(got.result === 'forked' ? T.forked : T.back, { n: got.seq })}</p><p><b>{t(T.otherDo)}</b></p></Banner>}
        {got?.result === 'foreign' && <Banner state="look" title={t(T.foreign)}><p>{t(T.foreignText)}</p></Banner>}</form>;
}
