// What a person may have a machine do: cut it off, scan, collect evidence, block; and the list of what was done, with the way back.
import { useState } from 'preact/hooks';
import { api } from '../api';
import type { Device, Incident, List } from '../api';
import { worded } from '../endpoint';
import type { DeviceAct, EndpointNow } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import { isLeader, roleOf, useSession } from '../session';
import { T } from '../text/acts';
import { T as C } from '../text/common';
import { whenOf } from '../time';
import { Confirm } from '../ui/confirm';
import { AreaField, Choice, Mark, Said, TextField } from '../ui/parts';
import type { MarkState } from '../ui/parts';
import { TakePack } from './evidence';
import { ACT_WORD } from './finding';

type Ask = 'isolate' | 'release' | 'scan' | 'evidence' | 'block_address';
/** What is taken back with the words it was done with; files set aside and files given back have pages of their own. */
const UNDO = ['release', 'unblock_address', 'unblock_file', 'enable_account'];
const MARK: Record<string, MarkState> = { done: 'ok', failed: 'look', refused: 'look', expired: 'look', undone: 'ok', ended: 'ok' };

export function Acts({ d, isolated, reload }: { d: Device; isolated: boolean; reload: () => void }) {
    const { session } = useSession();
    const path = `/devices/${encodeURIComponent(d.id)}/actions`;
    const got = useList<DeviceAct>(path);
    const now = useNow(30_000);
    const [ask, setAsk] = useState<Ask | null>(null);
    const [undo, setUndo] = useState<DeviceAct | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    useLive<{ device?: string }>('action', (x) => { if (!x.device || x.device === d.id) { got.reload(); reload(); } });
    const done = () => { setAsk(null); setUndo(null); setSaid(t(T.asked)); got.reload(); reload(); };
    const leader = isLeader(session), vendor = roleOf(session) === 'vendor';
    const button = (a: Ask, cls = '') => <button type="button" class={`btn ${cls}`} onClick={() => { setSaid(null); setAsk(a); }}>{ACT_WORD(a)}</button>;
    return <section class="card mt" aria-labelledby="ac"><h2 id="ac">{t(T.title)}</h2>
        {d.state === 'revoked' ? null : leader || vendor ? <div class="btn-row no-print">{button(isolated ? 'release' : 'isolate', isolated ? '' : 'btn-stop')}{button('scan')}{button('evidence')}{leader && button('block_address')}</div> : <p class="sub">{t(T.reader)}</p>}
        <Said text={said} />
        <h3 class="mt">{t(T.list)}</h3>{got.data?.items.length ? <ul class="lines">{got.data.items.map((a) => <Row a={a} now={now} all={got.data as List<DeviceAct>} onUndo={leader ? () => setUndo(a) : undefined} />)}</ul> : <p class="sub">{t(T.listNone)}</p>}
        {got.data?.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}
        {ask && <AskDialog what={ask} path={path} onClose={() => setAsk(null)} onDone={done} />}
        {undo && <Confirm title={t(T.undoAsk)} yes={ACT_WORD(undo.undo!)} onClose={() => setUndo(null)} go={() => api.post(path, { action: undo.undo, args: undo.args }).then(done)}><p><b>{ACT_WORD(undo.action)}</b> <span class="mono">{aboutOf(undo)}</span></p></Confirm>}</section>;
}

/** For an incident's page: each of its machines that can be cut off. */
export function CutOff({ inc }: { inc: Incident }) {
    const { session } = useSession();
    const may = isLeader(session) || roleOf(session) === 'vendor';
    const devices = useGet<List<Device>>(may ? '/devices' : null);
    const hosts = inc.entities.filter(([kind]) => kind === 'host').map(([, text]) => text.toLowerCase());
    const its = (d: Device) => d.state !== 'revoked' && d.endpoint?.cover !== 'none' && ((inc.findings ?? []).some((f) => f.device === d.id) || hosts.includes((d.hostname || d.name).toLowerCase()));
    const list = devices.data?.items.filter(its) ?? [];
    return list.length ? <section class="card no-print" aria-labelledby="co"><h2 id="co">{t(T.cut)}</h2><ul class="lines">{list.map((d) => <CutOffRow key={d.id} d={d} />)}</ul></section> : null;
}

function CutOffRow({ d }: { d: Device }) {
    const path = `/devices/${encodeURIComponent(d.id)}`;
    const got = useGet<EndpointNow>(`${path}/endpoint`);
    const [ask, setAsk] = useState(false);
    const [said, setSaid] = useState<string | null>(null);
    useLive<{ id?: string }>('endpoint', (x) => { if (!x.id || x.id === d.id) got.reload(); });
    useLive<{ device?: string }>('action', (x) => { if (!x.device || x.device === d.id) got.reload(); });
    if (!got.data) return null;
    const cut = !!got.data.state?.actor?.isolated, what = cut ? 'release' : 'isolate';
    return <li><Mark state={cut ? 'look' : 'ok'} /><div><b>{d.name}</b> <span>{t(cut ? T.cutOff : T.cutOn)}</span><Said text={said} />
        <p class="mt-8"><button type="button" class={`btn btn-sm${cut ? '' : ' btn-stop'}`} aria-label={`${ACT_WORD(what)}: ${d.name}`} onClick={() => { setSaid(null); setAsk(true); }}>{ACT_WORD(what)}</button></p>
        {ask && <AskDialog what={what} path={`${path}/actions`} onClose={() => setAsk(false)} onDone={() => { setAsk(false); setSaid(t(T.asked)); got.reload(); }} />}</div></li>;
}

/** What an action was about: the one thing in its words that tells it from another. */
function aboutOf(a: DeviceAct): string {
    const x = a.args ?? {};
    for (const k of ['to', 'address', 'account', 'user', 'path', 'serial', 'sha256', 'pid']) if (typeof x[k] === 'string' || typeof x[k] === 'number') return String(x[k]);
    return '';
}

/* The newest of its kind, not taken back: the box says by what. */
function canUndo(a: DeviceAct, all: DeviceAct[]): boolean {
    if (!a.undo || !UNDO.includes(a.undo)) return false;
    return !all.some((b) => (b.action === a.undo || (b.action === a.action && b.id !== a.id && b.state === 'done')) && aboutOf(b) === aboutOf(a) && Date.parse(b.at) >= Date.parse(a.at) && b.state !== 'failed');
}

function Row({ a, now, all, onUndo }: { a: DeviceAct; now: number; all: List<DeviceAct>; onUndo: (() => void) | undefined }) {
    const about = aboutOf(a), word = ACT_WORD(a.action);
    return <li><Mark state={MARK[a.state] ?? 'unknown'} /><div><b>{word}</b>{about && <> <span class="mono">{about}</span></>} <span>{worded(T as Record<string, Text>, `w_${a.state}`)}</span>
        <span class="sub blk num">{t(T.by, { by: a.by === 'policy' ? t(T.byPolicy) : a.by_name || a.by, at: whenOf(a.at, now) })}{a.until && <> ・ {t(T.until, { at: whenOf(a.until, now) })}</>}</span>
        {a.detail && <span class="sub blk">{a.detail}</span>}
        {a.pack && onUndo && <TakePack id={a.pack} />}
        {onUndo && canUndo(a, all.items) && <button type="button" class="linkbtn no-print" aria-label={t(T.undoOf, { what: word })} onClick={onUndo}>{t(T.undo)}</button>}</div></li>;
}

function AskDialog({ what, path, onClose, onDone }: { what: Ask; path: string; onClose: () => void; onDone: () => void }) {
    const [hours, setHours] = useState<'1' | '24' | '72'>('24');
    const [where, setWhere] = useState<'all' | 'some'>('all');
    const [text, setText] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const lines = text.split('\n').map((x) => x.trim()).filter(Boolean);
    const send = (body: object) => api.post(path, { action: what, ...body }).then(onDone);
    const go = () => {
        if (what === 'isolate') return send({ args: {}, for_s: Number(hours) * 3600 });
        if (what === 'block_address' && !text.trim()) { setBad(t(T.blkNeed)); return null; }
        if (what === 'block_address') return send({ args: { to: text.trim() } });
        if (what === 'scan' && where === 'some' && (!lines.length || lines.some((x) => !x.startsWith('/')))) { setBad(t(T.scanPathsNeed)); return null; }
        return send({ args: what === 'scan' && where === 'some' ? { paths: lines } : {} });
    };
    const title: Record<Ask, Text> = { isolate: T.isoAsk, release: T.relAsk, scan: T.scanAsk, evidence: T.evAsk, block_address: T.blkAsk };
    return <Confirm title={t(title[what])} yes={ACT_WORD(what)} stop={what === 'isolate'} wide={what === 'isolate'} onClose={onClose} go={go}>
        {what === 'isolate' && <><p>{t(T.isoText)}</p><div class="two"><div><h3>{t(T.isoStays)}</h3><ul class="plain-list mt-8"><li>{t(T.isoStay1)}</li><li>{t(T.isoStay2)}</li></ul></div><div><h3>{t(T.isoStops)}</h3><ul class="plain-list mt-8"><li>{t(T.isoStop1)}</li><li>{t(T.isoStop2)}</li><li>{t(T.isoStop3)}</li></ul></div></div>
            <Choice legend={t(T.isoFor)} name="hours" value={hours} onInput={setHours} options={[['24', t(T.isoH24)], ['1', t(T.isoH1)], ['72', t(T.isoH72)]]} /><p class="sub">{t(T.isoEnds)}</p></>}
        {what === 'release' && <p>{t(T.relText)}</p>}
        {what === 'scan' && <><p>{t(T.scanText)}</p><Choice legend={t(T.scanWhat)} name="where" value={where} onInput={setWhere} options={[['all', t(T.scanAll)], ['some', t(T.scanSome)]]} />{where === 'some' && <AreaField label={t(T.scanPaths)} help={t(T.scanPathsHelp)} value={text} onInput={setText} error={bad} required />}</>}
        {what === 'evidence' && <><p>{t(T.evText)}</p><p>{t(T.evText2)}</p></>}
        {what === 'block_address' && <><p>{t(T.blkText)}</p><TextField label={t(T.blkTo)} help={t(T.blkHelp)} value={text} onInput={setText} error={bad} required class="mono" autocomplete="off" spellcheck={false} /></>}</Confirm>;
}
