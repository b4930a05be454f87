// A machine's protection on its page: how it stands in one sentence, the parts in plain words, and the readiness with its reasons.
import { useMemo } from 'preact/hooks';
import type { Device, Source } from '../api';
import type { EndpointNow, Fact, Posture } from '../endpoint';
import { worded } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive, useNow } from '../live';
import { Link } from '../router';
import { T } from '../text/endpoint';
import { agoOf, bytesOf, countOf, spanOf, whenOf } from '../time';
import { Badge, ErrorBox, Loading, Mark } from '../ui/parts';
import type { MarkState } from '../ui/parts';
import { Acts } from './endpointacts';
import { FindingsOfMachine } from './findings';
import { GUARD_MARK, GUARD_WORD } from './guarded';

const FACT_MARK: Record<Fact['state'], MarkState> = { good: 'ok', part: 'look', bad: 'look', unknown: 'unknown' };
const FACT_WORD: Record<Fact['state'], Text> = { good: T.s_good, part: T.s_part, bad: T.s_bad, unknown: T.s_unknown };

export function EndpointCards({ d, sources }: { d: Device; sources: Source[] }) {
    const path = `/devices/${encodeURIComponent(d.id)}`;
    const got = useGet<EndpointNow>(`${path}/endpoint`);
    const posture = useGet<Posture>(`${path}/posture`);
    const reload = () => { got.reload(); posture.reload(); };
    useLive<{ id?: string }>('endpoint', (x) => { if (!x.id || x.id === d.id) reload(); });
    useLive('device', posture.reload);
    if (!posture.data) return <section class="card mt"><h2>{t(T.card)}</h2>{posture.error ? <ErrorBox error={posture.error} retry={reload} /> : <Loading />}</section>;
    const p = posture.data;
    return <><div class="two mt"><section class="card" aria-labelledby="gd"><h2 id="gd">{t(T.card)}</h2><p class="lead-s"><Badge state={GUARD_MARK[p.state]}><span class="wrap-ok">{t(GUARD_WORD[p.state])}</span></Badge></p>
        {p.state === 'none' ? <p>{t(T.noneText)}</p> : <>{p.why && <p>{p.why}</p>}{got.data && <Parts d={d} e={got.data} decoys={sources.filter((x) => x.canaries && x.enabled)} />}</>}</section>
        <Score p={p} /></div>
        {got.data && p.state !== 'none' && <Acts d={d} isolated={!!got.data.state?.actor?.isolated} reload={reload} />}
        {p.state !== 'none' && <div class="mt"><FindingsOfMachine device={d.id} title={t(T.findings)} /></div>}</>;
}

function Parts({ d, e, decoys }: { d: Device; e: EndpointNow; decoys: Source[] }) {
    const now = useNow(30_000);
    const rows = useMemo(() => partsOf(d, e, decoys, now), [d, e, decoys, now]);
    const places = decoys.flatMap((x) => x.where ?? x.paths);
    return <><dl class="dl mt-s">{rows.map(([word, text]) => <div><dt>{t(word)}</dt><dd>{text}</dd></div>)}</dl>
        {places.length > 0 && <details class="mt-s"><summary>{t(T.decoysWhere)}<span class="sub num">{places.length}</span></summary><div class="fold"><p class="sub">{t(T.decoysHelp)}</p><ul class="plain-list mt-8">{places.map((x) => <li class="mono">{x}</li>)}</ul></div></details>}
        {e.why.length ? <details class="mt-s"><summary>{t(T.why)}</summary><div class="fold"><ul class="plain-list">{e.why.map((x) => <li class="mono">{x}</li>)}</ul></div></details> : null}
        <p class="mt-s">{e.policy.own && <b class="blk">{t(T.policyOwn)}</b>}<Link class="more" href={`/endpoint/policy?device=${encodeURIComponent(d.id)}`}>{t(T.policySee)}</Link></p></>;
}

/* Only what the machine told; what it did not is left out of the list and stands under the score as not known. */
function partsOf(d: Device, e: EndpointNow, decoys: Source[], now: number): [Text, string][] {
    const s = e.state;
    const out: [Text, string][] = [];
    const x = s?.sensor, off = s?.actor?.isolated;
    if (x) out.push([T.sensor, (x.armed ? (x.how === 'filesystem' ? t(T.armedAll) : t(T.armed, { n: countOf(x.folders) })) : t(T.unarmed)) + (x.lost && x.lost.events + x.lost.answers > 0 ? ` ・ ${t(T.lost, { n: countOf(x.lost.events + x.lost.answers) })}` : '')]);
    if (x) out.push([T.procs, worded({ bpf: T.p_bpf, connector: T.p_connector, none: T.p_none }, x.processes)]);
    out.push([T.heard, d.last_seen ? agoOf((now - Date.parse(d.last_seen)) / 1000) : t(T.unknownNow)]);
    const defs = s?.scan?.definitions;
    if (s?.scan) out.push([T.defs, !defs ? t(T.defsNone) : now - Date.parse(defs) < 86_400_000 ? t(T.defsToday) : t(T.defsAge, { span: spanOf((now - Date.parse(defs)) / 1000) })]);
    if (s) out.push([T.net, !off ? t(T.netOn) : off.until ? t(T.netOffLeft, { span: spanOf((Date.parse(off.until) - now) / 1000) }) : t(T.netOff)]);
    const l = s?.scan?.last;
    if (s?.scan?.running) out.push([T.scanned, t(T.scanRunning)]);
    else if (l) out.push([T.scanned, l.files === undefined ? whenOf(l.at, now) : t(l.found ? T.scanFound : T.scanClean, { at: whenOf(l.at, now), n: countOf(l.files), found: countOf(l.found ?? 0) })]);
    const checked = decoys.map((y) => y.last?.at).filter((y): y is string => !!y).sort()[0];
    out.push([T.decoys, !decoys.length ? t(T.decoysNone) : checked ? t(T.decoysChecked, { at: whenOf(checked, now) }) : t(T.decoysIn)]);
    if (x?.giveback) out.push([T.room, t(T.roomText, { n: countOf(x.giveback.files), size: bytesOf(x.giveback.bytes) })]);
    out.push([T.version, d.agent_version || '─']);
    return out;
}

function Score({ p }: { p: Posture }) {
    return <section class="card" aria-labelledby="po"><h2 id="po">{t(T.posture)}</h2><p class="big">{p.score}<small>{t(T.points)}</small></p>
        {p.next ? <div class="todo mt-s"><p class="eyebrow">{t(T.nextOne)}</p><p>{p.next.todo}</p></div> : <p class="mt-s">{t(T.nextNone)}</p>}
        {p.unknown > 0 && <p class="sub mt-s">{t(T.unknownN, { n: p.unknown })}</p>}
        <details class="mt-s"><summary>{t(T.facts)}<span class="sub num">{p.facts.length}</span></summary><div class="fold"><ul class="lines">{p.facts.map((f) => <li><Mark state={FACT_MARK[f.state]} label={t(FACT_WORD[f.state])} /><div>{f.text}<span class="sub blk num">{f.state === 'unknown' ? t(T.s_unknown) : t(T.pointsOf, { n: f.points, of: f.of })}{f.todo && <> ・ {f.todo}</>}</span></div></li>)}</ul></div></details></section>;
}
