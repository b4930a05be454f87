// Files that were set aside where they cannot run: given back, or removed for good.
import { useState } from 'preact/hooks';
import { api } from '../api';
import { baseName, pathText, worded } from '../endpoint';
import type { Kept } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useList, useLive, useNow } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T as E } from '../text/endpoint';
import { T } from '../text/kept';
import { bytesOf, whenOf } from '../time';
import { Confirm } from '../ui/confirm';
import { Empty, ErrorBox, Head, Loading, Said } from '../ui/parts';

const STATE: Record<string, Text> = { kept: T.s_kept, given: T.s_given, given_back: T.s_given_back, removed: T.s_removed };

export function QuarantineScreen() {
    const got = useList<Kept>('/quarantine');
    const now = useNow(60_000);
    const { session } = useSession();
    const [ask, setAsk] = useState<{ k: Kept; what: 'back' | 'remove' } | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    useLive('quarantine', got.reload);
    useLive('action', got.reload);
    if (!got.data) return <><Head title={t(E.tabKept)} lead={t(T.qLead)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const name = (k: Kept) => baseName(pathText(k.path));
    const go = ({ k, what }: { k: Kept; what: 'back' | 'remove' }) => api.post(`/devices/${encodeURIComponent(k.device)}/actions`, { action: what === 'back' ? 'unquarantine' : 'remove_quarantine', args: { id: k.id } })
        .then(() => { setAsk(null); setSaid(t(T.sent)); got.reload(); });
    return <><Head title={t(E.tabKept)} lead={t(T.qLead)} /><Said text={said} />
        {!got.data.items.length ? <Empty title={t(T.qNone)}><p>{t(T.qNoneText)}</p></Empty>
            : <div class="tbl-wrap"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(E.tabKept)}</caption><thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">{t(T.cFile)}</th><th role="columnheader" scope="col">{t(T.cMachine)}</th><th role="columnheader" scope="col">{t(T.cWhy)}</th><th role="columnheader" scope="col">{t(T.cWhen)}</th><th role="columnheader" scope="col">{t(T.cDo)}</th></tr></thead>
                <tbody role="rowgroup">{got.data.items.map((k) => <tr role="row"><th role="rowheader" scope="row">{name(k)}<span class="mono">{pathText(k.path)}{k.size !== undefined && <> ・ {bytesOf(k.size)}</>}</span></th>
                    <td role="cell" data-l={t(T.cMachine)}><Link href={`/machines/${encodeURIComponent(k.device)}`}>{k.device_name || k.device}</Link></td><td role="cell" data-l={t(T.cWhy)}>{k.why || t(T.byPerson)}</td><td role="cell" class="nb" data-l={t(T.cWhen)}>{whenOf(k.at, now)}</td>
                    <td role="cell" class="acts">{k.state !== 'kept' ? worded(STATE, k.state) : isLeader(session) ? <span class="btn-row"><button type="button" class="btn btn-sm" aria-label={t(T.backOf, { name: name(k) })} onClick={() => setAsk({ k, what: 'back' })}>{t(T.back)}</button>
                        <button type="button" class="btn btn-sm btn-stop" aria-label={t(T.removeOf, { name: name(k) })} onClick={() => setAsk({ k, what: 'remove' })}>{t(T.remove)}</button></span> : worded(STATE, k.state)}</td></tr>)}</tbody></table></div>}
        {got.data.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}
        {ask && <Confirm title={t(ask.what === 'back' ? T.backAsk : T.removeAsk)} yes={t(ask.what === 'back' ? T.back : T.remove)} stop onClose={() => setAsk(null)} go={() => go(ask)}><p class="mono"><b>{pathText(ask.k.path)}</b></p>{ask.k.why && <p>{ask.k.why}</p>}<p>{t(ask.what === 'back' ? T.backText : T.removeText)}</p></Confirm>}</>;
}
