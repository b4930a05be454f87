// Box to box: copies that are kept here for others, and how this box's own goes to another one.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Copy, Peer } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/peers';
import { bytesOf, countOf, whenOf } from '../time';
import { Badge, Dialog, Empty, ErrorBox, Head, Loading, TextField, Tick } from '../ui/parts';
import type { MarkState } from '../ui/parts';

const STATE: Record<Peer['state'], [MarkState, Text]> = { ok: ['ok', T.s_ok], empty: ['unknown', T.s_empty], stopped: ['unknown', T.s_stopped], damaged: ['look', T.s_damaged] };
const GIB = 2 ** 30;
interface Code { code: string; until: string; url: string }

/** Another box as the place of this one's copy. */
export function AddBox({ reload }: { reload: () => void }) {
    const empty = { name: '', place: 'https://', code: '', elsewhere: true };
    const [v, set] = useState(empty);
    const [open, setOpen] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!v.name.trim() || !v.code.trim() || v.place.trim().length < 12) return setBad(t(T.boxEmpty));
        setBad(null);
        try {
            await api.post('/copies', { kind: 'box', name: v.name.trim(), place: v.place.trim(), code: v.code.trim(), elsewhere: v.elsewhere });
            set(empty);
            setOpen(false);
            reload();
        } catch (x) { setError(x as ApiError); }
    };
    return <section class="card stack no-print" aria-labelledby="ab"><h2 id="ab">{t(T.boxTitle)}</h2><p>{t(T.boxText)}</p>
        {!open ? <div class="btn-row"><button type="button" class="btn" onClick={() => setOpen(true)}>{t(T.boxOpen)}</button></div>
            : <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
                <TextField label={t(T.boxName)} value={v.name} onInput={(name) => set({ ...v, name })} autocomplete="off" />
                <TextField label={t(T.boxAddress)} class="mono" value={v.place} onInput={(place) => set({ ...v, place })} autocomplete="off" spellcheck={false} />
                <TextField label={t(T.boxCode)} class="mono" value={v.code} onInput={(code) => set({ ...v, code })} autocomplete="off" spellcheck={false} />
                <Tick type="checkbox" name="box-away" checked={v.elsewhere} onChange={(elsewhere) => set({ ...v, elsewhere })} title={t(T.boxAway)} />
                {bad && <p class="err" role="alert">{bad}</p>}
                <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.boxGo)}</button><button type="button" class="btn" onClick={() => { set(empty); setOpen(false); }}>{t(C.stopIt)}</button></div></form>}</section>;
}

/** A further code of a box that is known. */
export function NewCode({ c, reload }: { c: Copy; reload: () => void }) {
    const [code, setCode] = useState('');
    const [error, setError] = useState<ApiError | null>(null);
    const [bad, setBad] = useState<string | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        if (!code.trim()) return setBad(t(T.newCodeNeed));
        setBad(null);
        try { await api.post(`/copies/${c.id}/keys`, { code: code.trim() }); setCode(''); reload(); } catch (x) { setError(x as ApiError); }
    };
    return <form class="stack" onSubmit={go} noValidate><h4>{t(T.newCode)}</h4><p class="sub">{t(T.newCodeText)}</p><ErrorBox error={error} />
        <TextField label={t(T.boxCode)} class="mono" value={code} onInput={setCode} autocomplete="off" spellcheck={false} error={bad} />
        <div class="btn-row"><button type="submit" class="btn">{t(T.newCodeGo)}</button></div></form>;
}

export function ToPeers() {
    return <section class="card stack no-print" aria-labelledby="tp"><h2 id="tp">{t(T.toPeers)}</h2><p>{t(T.toPeersText)}</p>
        <p><Link class="btn" href="/copies/kept">{t(T.toPeersGo)}</Link></p></section>;
}

export function PeersScreen() {
    const { session } = useSession();
    const got = useGet<{ items: Peer[]; url: string }>('/peers');
    const [code, setCode] = useState<Code | null>(null);
    useLive('peer', got.reload);
    const p = got.data;
    return <><Head title={t(T.title)} lead={t(T.lead)}><Link class="btn btn-sm" href="/copies">{t(T.back)}</Link></Head>
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!p ? !got.error && <Loading /> : <div class="stack stack-l">
            {p.items.length === 0 ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>
                : <div class="two">{p.items.map((x) => <One key={x.id} p={x} reload={got.reload} may={isLeader(session)} onCode={setCode} />)}</div>}
            {isLeader(session) && <Invite onCode={setCode} />}</div>}
        {code && <CodeDialog c={code} onClose={() => setCode(null)} />}</>;
}

function One({ p, reload, may, onCode }: { p: Peer; reload: () => void; may: boolean; onCode: (c: Code) => void }) {
    const [error, setError] = useState<ApiError | null>(null);
    const [ask, setAsk] = useState(false);
    const [said, setSaid] = useState(false);
    const [state, word] = STATE[p.state];
    const act = async (fn: () => Promise<unknown>) => {
        setError(null);
        setAsk(false);
        try { await fn(); } catch (e) { setError(e as ApiError); }
        reload();
    };
    return <section class="card stack" aria-labelledby={'p' + p.id}><div><p class="eyebrow">{p.institution || t(T.institution)}</p><h2 id={'p' + p.id}>{p.name}</h2></div>
        <p><Badge state={state}>{t(word)}</Badge></p><ErrorBox error={error} />
        <dl class="dl"><div><dt>{t(T.covers)}</dt><dd>{p.head_at ? whenOf(p.head_at) : t(T.never)}</dd></div>
            <div><dt>{t(T.content)}</dt><dd class="num">{t(T.contentText, { n: countOf(p.generations) })}</dd></div>
            <div><dt>{t(T.used)}</dt><dd class="num">{t(T.usedText, { used: bytesOf(p.used), quota: bytesOf(p.quota) })}</dd></div>
            <div><dt>{t(T.seen)}</dt><dd>{p.last_seen ? whenOf(p.last_seen) : t(T.never)}</dd></div>
            <div><dt>{t(T.checked)}</dt><dd>{!p.checked ? t(T.never) : p.rotten ? t(T.checkedBad, { at: whenOf(p.checked), n: countOf(p.rotten) }) : whenOf(p.checked)}</dd></div></dl>
        {said && <p class="sub" role="status">{t(T.checking)}</p>}
        {may && <div class="btn-row no-print"><button type="button" class="btn" onClick={() => { setSaid(true); void act(() => api.post(`/peers/${p.id}/check`, {})); }}>{t(T.check)}</button>
            {p.accepting ? <button type="button" class="btn btn-stop" onClick={() => setAsk(true)}>{t(T.stop)}</button>
                : <button type="button" class="btn" onClick={() => void act(() => api.patch(`/peers/${p.id}`, { accepting: true }))}>{t(T.go)}</button>}</div>}
        {may && <details class="no-print"><summary>{t(T.change)}</summary><div class="stack mt"><Change p={p} reload={reload} />
            <div class="btn-row"><button type="button" class="btn" onClick={() => void act(async () => onCode(await api.post<Code>('/peers/codes', { peer: p.id })))}>{t(T.again)}</button></div>
            <p class="sub">{t(T.giveBack)}</p><p class="copy">sudo sakimori peer export {p.id.slice(0, 12)} --to /mnt/disk</p></div></details>}
        {ask && <Dialog title={t(T.stopTitle, { name: p.name })} onClose={() => setAsk(false)}><p>{t(T.stopText)}</p>
            <div class="btn-row"><button type="button" class="btn btn-stop" onClick={() => void act(() => api.patch(`/peers/${p.id}`, { accepting: false }))}>{t(T.stop)}</button><button type="button" class="btn" onClick={() => setAsk(false)}>{t(C.stopIt)}</button></div></Dialog>}</section>;
}

function quotaOf(text: string): number | null {
    const n = Number(text);
    return Number.isInteger(n) && n >= 1 && n <= 1000000 ? n : null;
}

function Change({ p, reload }: { p: Peer; reload: () => void }) {
    const [v, set] = useState({ name: p.name, quota: String(Math.max(1, Math.round(p.quota / GIB))) });
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        const quota = quotaOf(v.quota);
        if (!quota) return setBad(t(T.quotaBad));
        setBad(null);
        setError(null);
        try { await api.patch(`/peers/${p.id}`, { name: v.name.trim() || p.name, quota_gib: quota }); reload(); } catch (x) { setError(x as ApiError); }
    };
    return <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        <TextField label={t(T.name)} value={v.name} onInput={(name) => set({ ...v, name })} autocomplete="off" />
        <TextField label={t(T.quota)} class="num" inputMode="numeric" value={v.quota} onInput={(quota) => set({ ...v, quota })} error={bad} autocomplete="off" />
        <div class="btn-row"><button type="submit" class="btn">{t(C.save)}</button></div></form>;
}

function Invite({ onCode }: { onCode: (c: Code) => void }) {
    const [v, set] = useState({ name: '', quota: '500' });
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        const quota = quotaOf(v.quota);
        if (!quota || !v.name.trim()) return setBad(t(T.inviteBad));
        setBad(null);
        setError(null);
        try { onCode(await api.post<Code>('/peers/codes', { name: v.name.trim(), quota_gib: quota })); set({ name: '', quota: '500' }); } catch (x) { setError(x as ApiError); }
    };
    return <section class="card stack no-print" aria-labelledby="iv"><h2 id="iv">{t(T.invite)}</h2><p>{t(T.inviteText)}</p>
        <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
            <TextField label={t(T.name)} value={v.name} onInput={(name) => set({ ...v, name })} autocomplete="off" />
            <TextField label={t(T.quota)} class="num" inputMode="numeric" value={v.quota} onInput={(quota) => set({ ...v, quota })} autocomplete="off" />
            {bad && <p class="err" role="alert">{bad}</p>}
            <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.inviteGo)}</button></div></form></section>;
}

function CodeDialog({ c, onClose }: { c: Code; onClose: () => void }) {
    return <Dialog title={t(T.codeTitle)} onClose={onClose}><p><b>{t(T.codeUrl)}</b></p><p class="copy">{c.url}</p>
        <p><b>{t(T.codeTitle)}</b></p><p class="copy">{c.code}</p><p>{t(T.codeText, { at: whenOf(c.until) })}</p>
        <div class="btn-row"><button type="button" class="btn" onClick={onClose}>{t(T.close)}</button></div></Dialog>;
}
