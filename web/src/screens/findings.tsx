// What was found on machines: the list, and its rows where others show them.
import { useState } from 'preact/hooks';
import type { FindingHead } from '../endpoint';
import { shortName, shortPath } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList, useLive, useNow } from '../live';
import type { Incident, List } from '../api';
import { Link } from '../router';
import type { Place } from '../router';
import { useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/findings';
import { whenOf } from '../time';
import { Empty, ErrorBox, Head, Loading, Mark } from '../ui/parts';
import type { MarkState } from '../ui/parts';

const KIND: Record<string, Text> = { ransomware: T.k_ransomware, rule: T.k_rule, malware: T.k_malware, blocked: T.k_blocked, tamper: T.k_tamper, media: T.k_media };
export const STATE: Record<string, Text> = { seen: T.y_seen, stopped: T.y_stopped, killed: T.y_killed, gone_on: T.y_gone_on, ended: T.y_ended };

export function findingTitle(f: FindingHead): string { return t(KIND[f.kind] ?? T.k_rule, { machine: f.device_name || f.device }); }
/** Open: nobody decided yet. */
export function isOpen(f: FindingHead): boolean { return f.state === 'stopped' || f.state === 'seen'; }
export function findingMark(f: FindingHead): MarkState { return !isOpen(f) ? 'ok' : f.kind === 'ransomware' || f.kind === 'tamper' ? 'call' : 'look'; }
const MARK_WORD: Record<string, Text> = { ok: C.ok, look: C.look, call: C.call };

export function FindingRow({ f, now, top }: { f: FindingHead; now: number; top?: boolean }) {
    const { session } = useSession();
    const mark = findingMark(f), H = top ? 'h2' : 'h3', may = session?.rooms.includes('endpoint'); // the counter reads the sentence
    return <li class="trouble"><Mark state={mark} label={t(MARK_WORD[mark] ?? C.look)} /><div><H>{may ? <Link data-row={!!top} href={`/findings/${encodeURIComponent(f.id)}`}>{findingTitle(f)}</Link> : findingTitle(f)}</H>
        <p class="sub num">{whenOf(f.at, now)} ・ {t(STATE[f.state] ?? T.y_seen)}{f.program && <> ・ <span class="mono">{shortName(f.program)}</span></>}{f.path && <span class="blk mono">{shortPath(f.path)}</span>}</p></div></li>;
}

function Card({ list, title }: { list: FindingHead[]; title: string }) {
    const now = useNow(60_000);
    return list.length ? <section class="card" aria-labelledby="fo"><h2 id="fo">{title}</h2><ul class="list-card mt-s">{list.slice(0, 10).map((f) => <FindingRow f={f} now={now} />)}</ul></section> : null;
}

/** Those of one machine, for its page; nothing where there is none. */
export function FindingsOfMachine({ device, title }: { device: string; title: string }) {
    const got = useGet<List<FindingHead>>(`/findings?device=${encodeURIComponent(device)}&limit=10`);
    useLive('finding', got.reload);
    return <Card list={got.data?.items ?? []} title={title} />;
}

/** Those that belong to an incident, for its page. */
export function FindingsOfIncident({ inc, title, reload }: { inc: Incident; title: string; reload: () => void }) {
    useLive('finding', reload);
    return <Card list={inc.findings ?? []} title={title} />;
}

export function FindingsScreen({ place }: { place: Place }) {
    const device = place.query.get('device');
    const got = useList<FindingHead>(`/findings${device ? `?device=${encodeURIComponent(device)}` : ''}`);
    const [only, setOnly] = useState(false);
    const now = useNow(60_000);
    useLive('finding', got.reload);
    if (!got.data) return <><Head title={t(T.title)} lead={t(T.lead)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const shown = got.data.items.filter((f) => !only || isOpen(f));
    const open = got.data.items.filter(isOpen).length;
    return <><Head title={t(T.title)} lead={t(T.lead)} />
        {!got.data.items.length ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty> : <>
            <div class="seg" role="group" aria-label={t(T.now)}><button type="button" aria-pressed={!only} onClick={() => setOnly(false)}>{t(T.all)} {got.data.items.length}</button>
                <button type="button" aria-pressed={only} onClick={() => setOnly(true)}>{t(T.open)} {open}</button></div>
            {shown.length ? <ul class="list-card mt-s" data-rows>{shown.map((f) => <FindingRow f={f} now={now} top />)}</ul> : <div class="mt-s"><Empty title={t(T.none)} /></div>}
            {got.data.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}</>}</>;
}
