// What was attached to machines: USB sticks and the like, and which of them may always be used.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { List } from '../api';
import { worded } from '../endpoint';
import type { Medium, PolicyNow } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T as E } from '../text/endpoint';
import { T } from '../text/kept';
import { bytesOf, whenOf } from '../time';
import { Empty, ErrorBox, Head, Loading, Said } from '../ui/parts';

const MODE: Record<string, Text> = { allow: T.y_allow, read_only: T.y_read_only, block: T.y_block };

export function MediaScreen() {
    const got = useList<Medium>('/media');
    const policy = useGet<PolicyNow>('/endpoint/policy');
    const now = useNow(60_000);
    const { session } = useSession();
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    useLive('media', got.reload);
    useLive('endpoint', () => { got.reload(); policy.reload(); });
    if (!got.data) return <><Head title={t(E.tabMedia)} lead={t(T.mLead)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const p = policy.data?.policy;
    const change = async (m: Medium) => {
        setError(null);
        try { await api.post(`/media/${m.allowed ? 'deny' : 'allow'}`, { serial: m.serial }); setSaid(t(T.mChanged)); got.reload(); } catch (x) { setError(x as ApiError); }
    };
    return <><Head title={t(E.tabMedia)} lead={t(T.mLead)} />{p && <p>{t(T.mMode, { mode: worded(MODE, p.media.mode) })} <Link href="/endpoint/policy">{t(T.toPolicy)}</Link></p>}{p && p.media.mode !== 'allow' && <p class="sub">{t(T.mPhones)}</p>}<ErrorBox error={error} /><Said text={said} />
        {!got.data.items.length ? <div class="mt-s"><Empty title={t(T.mNone)}><p>{t(T.mNoneText)}</p></Empty></div> : <Table list={got.data} now={now} change={isLeader(session) ? change : undefined} />}
        {got.data.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}</>;
}

function Table({ list, now, change }: { list: List<Medium>; now: number; change: ((m: Medium) => Promise<void>) | undefined }) {
    return <div class="tbl-wrap mt-s"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(E.tabMedia)}</caption><thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">{t(T.mName)}</th><th role="columnheader" scope="col">{t(T.cMachine)}</th><th role="columnheader" scope="col" class="r">{t(T.mSize)}</th><th role="columnheader" scope="col">{t(T.mLast)}</th><th role="columnheader" scope="col">{t(T.mMay)}</th></tr></thead>
        <tbody role="rowgroup">{list.items.map((m) => <tr role="row"><th role="rowheader" scope="row">{m.name || '─'}<span class="mono">{t(T.mSerial)} {m.serial || '─'}</span></th>
            <td role="cell" data-l={t(T.cMachine)}><Link href={`/machines/${encodeURIComponent(m.device)}`}>{m.device_name || m.device}</Link></td><td role="cell" class="r nb" data-l={t(T.mSize)}>{m.bytes ? bytesOf(m.bytes) : '─'}</td>
            <td role="cell" class="nb" data-l={t(T.mLast)}>{m.attached ? <b>{t(T.mNow)}</b> : whenOf(m.last, now)}</td>
            <td role="cell" class="acts">{m.failed ? <b>{t(T.mFailed)}</b> : m.allowed ? <b>{t(T.mAllowed)}</b> : m.mode ? worded(MODE, m.mode) : null} {!m.serial ? <span class="sub">{t(T.mNoSerial)}</span> : change && <button type="button" class="btn btn-sm" aria-label={t(m.allowed ? T.mDisallowOf : T.mAllowOf, { name: m.name || m.serial })} onClick={() => void change(m)}>{t(m.allowed ? T.mDisallow : T.mAllow)}</button>}</td></tr>)}</tbody></table></div>;
}
