// Rules: the list, what could not be loaded, and the bundle.
import { useState } from 'preact/hooks';
import { ApiError, api, query } from '../api';
import type { List } from '../api';
import { lang, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useNow } from '../live';
import { Link, navigate, withQuery } from '../router';
import type { Place } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/rules';
import { countOf, dateOf, whenOf } from '../time';
import { Badge, Dialog, Empty, ErrorBox, Head, Loading, Progress, Said, SelectField, TextField } from '../ui/parts';
import type { MarkState } from '../ui/parts';
import { EditScreen, RuleScreen } from './rule';

export interface Rule {
    id: string; title: string; title_ja: string; what_ja: string; kind: 'rule' | 'correlation' | 'filter'; level: string; status: string; author: string; license: string; file: string;
    product: string; category: string; service: string; waits: string; off: boolean; tags: string[]; state: 'on' | 'off' | 'feeds' | 'waits' | 'broken' | 'replaced'; source: 'own' | 'bundle' | 'folder' | 'shipped';
    hits?: number; hits_30?: number; off_note?: { why: string; by: string; at: string };
}
interface Fault { file: string; line: number; why: string }
interface Rules extends List<Rule> { total: number; found: number; faults?: Fault[]; faults_total: number; counts: Record<string, number> & { products?: Record<string, boolean> } }
interface BundlePlace { name: string; serial: number; made: string; put: string; by: string; licence: string; note: string }
interface Key { id?: string; name: string; key: string; by?: string; at?: string }
interface Bundle { current: BundlePlace | null; previous: BundlePlace | null; keys: Key[]; project_keys: Key[]; fault: string; can_put_back: boolean; rules: number; faults: number }

export const word = (prefix: string, key: string): string => { const e = (T as Record<string, Text>)[prefix + key]; return e ? t(e) : key; };
export const ruleTitle = (r: { title: string; title_ja?: string }): string => (lang() === 'ja' && r.title_ja) || r.title;
const MARK: Record<Rule['state'], MarkState> = { on: 'ok', feeds: 'ok', off: 'look', waits: 'unknown', broken: 'look', replaced: 'unknown' };
export function RuleState({ r }: { r: Rule }) { return <Badge state={MARK[r.state]}>{word('w_', r.state)}</Badge>; }

export function RulesScreen({ place }: { place: Place }) {
    const parts = place.path.split('/').slice(2).map(decodeURIComponent);
    if (parts[0] === 'new') return <EditScreen id={null} />;
    if (parts[0] && parts[1] === 'edit') return <EditScreen id={parts[0]} />;
    return parts[0] ? <RuleScreen id={parts[0]} /> : <Overview place={place} />;
}

const LEVELS = ['critical', 'high', 'medium', 'low', 'informational'];
const STATES: Rule['state'][] = ['on', 'feeds', 'off', 'waits', 'broken', 'replaced'];
const SOURCES: Rule['source'][] = ['own', 'bundle', 'folder', 'shipped'];

function Overview({ place }: { place: Place }) {
    const { session } = useSession();
    const q = (k: string) => place.query.get(k) ?? '';
    const [text, setText] = useState(q('text'));
    const [tag, setTag] = useState(q('tag'));
    const asked = { text: q('text'), state: q('state'), level: q('level'), product: q('product'), source: q('source'), tag: q('tag') };
    const got = useList<Rule>('/rules' + query({ ...asked, limit: 50 }));
    const d = got.data as Rules | null;
    const faults = useGet<Rules>('/rules?faults=1&limit=1');
    const set = (k: string, v: string) => navigate(withQuery(place, { [k]: v || null }), true);
    const go = (e: Event) => { e.preventDefault(); navigate(withQuery(place, { text: text.trim() || null, tag: tag.trim() || null }), true); };
    const pick = (k: 'state' | 'level' | 'source', label: Text, values: string[], prefix: string) =>
        <SelectField label={t(label)} value={asked[k]} onInput={(v) => set(k, v)} options={[['', t(T.all)], ...values.map((v): [string, string] => [v, word(prefix, v)])]} />;
    const products = Object.keys(d?.counts.products ?? faults.data?.counts.products ?? {}).sort();
    const reload = () => { got.reload(); faults.reload(); };
    return <><Head title={t(T.title)} lead={t(T.lead)}>{isLeader(session) && <Link class="btn btn-sm" href="/rules/new">{t(T.write)}</Link>}</Head>
        <div class="stack stack-l"><BundleBox changed={reload} />
            {(faults.data?.faults?.length ?? 0) > 0 && <Faults list={faults.data!.faults!} total={faults.data!.faults_total} />}
            <section class="stack" aria-labelledby="ls"><h2 id="ls">{t(T.title)}</h2>
                <form class="card stack no-print" role="search" onSubmit={go}><div class="rules-find">
                    <TextField label={t(T.search)} value={text} onInput={setText} autocomplete="off" type="search" />
                    {pick('state', T.state, STATES, 'w_')}{pick('level', T.level, LEVELS, 'y_')}{pick('source', T.source, SOURCES, 'p_')}
                    <SelectField label={t(T.product)} value={asked.product} onInput={(v) => set('product', v)} options={[['', t(T.all)], ...products.map((v): [string, string] => [v, v])]} />
                    <TextField label={t(T.tag)} value={tag} onInput={setTag} autocomplete="off" /></div>
                    <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.find)}</button></div></form>
                <ErrorBox error={got.error} retry={got.reload} />
                {!d ? !got.error && <Loading /> : d.items.length === 0 ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty> : <>
                    <p class="num" role="status">{t(T.found, { n: countOf(d.found ?? d.items.length) })}</p><RuleTable items={d.items} />
                    {d.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}</>}</section></div></>;
}

function RuleTable({ items }: { items: Rule[] }) {
    return <div class="tbl-wrap"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.title)}</caption>
        <thead role="rowgroup"><tr role="row">{[T.name, T.level, T.state, T.hits, T.source, T.author].map((h) => <th role="columnheader" scope="col">{t(h)}</th>)}</tr></thead>
        <tbody role="rowgroup">{items.map((r) => <tr role="row"><th role="rowheader" scope="row"><Link href={`/rules/${encodeURIComponent(r.id)}`}>{ruleTitle(r)}</Link></th><td role="cell" data-l={t(T.level)}>{word('y_', r.level)}</td>
            <td role="cell" data-l={t(T.state)}><RuleState r={r} /></td><td role="cell" class="num" data-l={t(T.hits)}>{countOf(r.hits_30 ?? 0)}</td><td role="cell" data-l={t(T.source)}>{word('p_', r.source)}</td><td role="cell" data-l={t(T.author)}>{r.author || '–'}</td></tr>)}</tbody></table></div>;
}

function Faults({ list, total }: { list: Fault[]; total: number }) {
    return <details><summary>{t(T.faults)}<span class="sub num">{countOf(total)}</span></summary><div class="fold stack"><p>{t(T.faultsText)}</p><div class="tbl-wrap"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.faults)}</caption>
        <thead role="rowgroup"><tr role="row">{[T.file, T.line, T.why].map((h) => <th role="columnheader" scope="col">{t(h)}</th>)}</tr></thead>
        <tbody role="rowgroup">{list.slice(0, 200).map((f) => <tr role="row"><th role="rowheader" scope="row" class="mono">{f.file}</th><td role="cell" class="num" data-l={t(T.line)}>{f.line || '–'}</td><td role="cell" data-l={t(T.why)} lang="en">{f.why}</td></tr>)}</tbody></table></div></div></details>;
}

/* ---- the bundle ---- */

const PART = 96 << 10;
function base64(bytes: Uint8Array): string {
    let s = '';
    for (let i = 0; i < bytes.length; i += 4096) s += String.fromCharCode(...bytes.subarray(i, i + 4096));
    return btoa(s);
}

function BundleBox({ changed }: { changed: () => void }) {
    const { session } = useSession();
    const leader = isLeader(session);
    const got = useGet<Bundle>('/rule-bundle');
    const [error, setError] = useState<ApiError | null>(null);
    const [said, say] = useState<string | null>(null);
    const [sent, setSent] = useState<{ part: number; whole: number } | null>(null);
    const [ask, setAsk] = useState<'older' | 'back' | null>(null);
    const b = got.data;
    const put = async (older: boolean) => {
        setError(null);
        setAsk(null);
        try { got.set(await api.post<Bundle>('/rule-bundle', { older })); say(t(T.updated)); changed(); } catch (x) { (x as ApiError).code === 'bundle_older' && leader ? setAsk('older') : setError(x as ApiError); }
    };
    const send = async (file: File) => {
        setError(null);
        say(null);
        try {
            for (let at = 0; at < file.size; at += PART) {
                setSent({ part: at, whole: file.size });
                await api.post('/rule-bundle/part', { offset: at, total: file.size, data: base64(new Uint8Array(await file.slice(at, at + PART).arrayBuffer())) });
            }
            setSent(null);
            await put(false);
        } catch (x) { setSent(null); setError(x as ApiError); }
    };
    const back = async () => {
        setAsk(null);
        setError(null);
        try { got.set(await api.post<Bundle>('/rule-bundle/back')); say(t(T.putBackDone)); changed(); } catch (x) { setError(x as ApiError); }
    };
    return <section class="card stack" aria-labelledby="bd"><h2 id="bd">{t(T.bundle)}</h2><p>{t(T.bundleLead)}</p><ErrorBox error={error ?? got.error} /><Said text={said} />
        {!b ? !got.error && <Loading /> : <>
            {b.fault && <p class="err" role="alert" lang="en">{b.fault}</p>}
            {b.current ? <PlaceFacts p={b.current} /> : <p>{t(T.bundleNone)}</p>}
            {b.previous && <p class="sub">{t(T.bundleBefore)}: {b.previous.name} {b.previous.serial}</p>}
            {sent ? <Progress part={sent.part} whole={sent.whole} label={t(T.sending)} text={`${Math.floor((sent.part * 100) / sent.whole)}%`} />
                : <div class="stack-s no-print"><label class="field"><span>{t(T.update)}</span><span class="help">{t(T.updateHelp)}</span>
                    <input class="in" type="file" onChange={(e) => { const f = e.currentTarget.files?.[0]; e.currentTarget.value = ''; if (f) void send(f); }} /></label>
                    {leader && b.can_put_back && <div class="btn-row"><button type="button" class="btn" onClick={() => setAsk('back')}>{t(T.putBack)}</button></div>}</div>}
            <Keys b={b} leader={leader} reload={got.reload} /></>}
        {ask === 'older' && <Dialog title={t(T.older)} onClose={() => setAsk(null)}><p>{t(T.olderText)}</p><div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(null)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => void put(true)}>{t(T.olderGo)}</button></div></Dialog>}
        {ask === 'back' && <Dialog title={t(T.putBackAsk)} onClose={() => setAsk(null)}><p>{b?.previous ? `${b.previous.name} ${b.previous.serial}` : t(T.bundleShipped)}</p><p>{t(T.putBackText)}</p><div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => void back()}>{t(T.putBack)}</button><button type="button" class="btn" onClick={() => setAsk(null)}>{t(C.stopIt)}</button></div></Dialog>}</section>;
}

function PlaceFacts({ p }: { p: BundlePlace }) {
    const now = useNow(60_000);
    const rows: [Text, string][] = [[T.bundleNow, p.name], [T.serial, String(p.serial)], [T.made, dateOf(p.made)], [T.put, `${whenOf(p.put, now)} ${p.by}`], [T.licence, p.licence], [T.note, p.note]];
    return <dl class="facts">{rows.filter(([, v]) => v).map(([k, v]) => <div><dt>{t(k)}</dt><dd>{v}</dd></div>)}</dl>;
}

function Keys({ b, leader, reload }: { b: Bundle; leader: boolean; reload: () => void }) {
    const [name, setName] = useState('');
    const [key, setKey] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const act = async (f: () => Promise<unknown>) => { setError(null); try { await f(); setName(''); setKey(''); reload(); } catch (x) { setError(x as ApiError); } };
    const add = (e: Event) => {
        e.preventDefault();
        if (!name.trim() || !key.trim()) return setBad(t(T.keyNeed));
        setBad(null);
        void act(() => api.post('/rule-keys', { name: name.trim(), key: key.trim() }));
    };
    const all = [...b.project_keys, ...b.keys];
    return <details><summary>{t(T.keys)}<span class="sub num">{all.length}</span></summary><div class="fold stack"><p>{t(T.keysText)}</p><ErrorBox error={error} />
        {all.length === 0 ? <p>{t(T.keysNone)}</p> : <ul class="lines">{all.map((k) => <li><span aria-hidden="true">・</span><div class="under"><b>{k.name}</b>{!k.id && <span class="sub">{t(T.keyProject)}</span>}<span class="mono wrap-any">{k.key}</span>
            {leader && k.id && <span class="no-print"><button type="button" class="btn btn-sm" aria-label={`${t(T.keyRemove)}: ${k.name}`} onClick={() => void act(() => api.del(`/rule-keys/${k.id}`))}>{t(T.keyRemove)}</button></span>}</div></li>)}</ul>}
        {leader && <form class="stack no-print" onSubmit={add} noValidate><TextField label={t(T.keyName)} value={name} onInput={setName} autocomplete="off" /><TextField label={t(T.keyText)} value={key} onInput={setKey} autocomplete="off" spellcheck={false} error={bad} />
            <div class="btn-row"><button type="submit" class="btn">{t(T.keyAdd)}</button></div></form>}</div></details>;
}
