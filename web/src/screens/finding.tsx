// One finding: what happened, how fast it was stopped, who started what, what became of the files, and what a person may decide.
import { useState } from 'preact/hooks';
import { api } from '../api';
import type { Alarm, Device, Incident, List } from '../api';
import { isOf, pathText, quickOf, shortName, worded } from '../endpoint';
import type { Finding, Kept, PolicyNow, Proc } from '../endpoint';
import { lang, t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive, useNow } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T as A } from '../text/acts';
import { T } from '../text/findings';
import { countOf, stampOf, whenOf } from '../time';
import { Confirm } from '../ui/confirm';
import { AreaField, ErrorBox, Loading, Mark, Said } from '../ui/parts';
import { ProcTree } from '../ui/proctree';
import { STATE, findingMark, findingTitle } from './findings';

const HOW: Record<string, Text> = { changed: T.r_write, malware: T.r_malware, write: T.r_write, written: T.r_written, empty: T.r_empty, new: T.r_new, renamed: T.r_renamed, removed: T.r_removed, read: T.r_read, replaced: T.r_replaced, made: T.r_made };
/* What a file was and is; kinds with a name that people know by it (PDF, JPEG) stay. */
const KINDS: Record<string, Text> = { NONE: T.kd_none, EMPTY: T.kd_empty, CONSTANT: T.kd_constant, NOISE: T.kd_noise, TEXT: T.kd_text, PGPAGE: T.kd_db, INNODB: T.kd_db, SQLITE: T.kd_db, PGDUMP: T.kd_db, ZIP: T.kd_zip, ZIPLOCKED: T.kd_locked, SALTED: T.kd_locked, AGE: T.kd_locked, AESCRYPT: T.kd_locked, LUKS: T.kd_locked, VAULTTEXT: T.kd_locked, PGP: T.kd_locked, PGPTEXT: T.kd_locked, OLE: T.kd_ole };
const sumOf = (f: Finding): number => f.reasons.reduce((n, r) => n + r.points, 0);
const ENDED: Record<string, Text> = { stopped: T.st_stopped, killed: T.st_killed, seen: T.st_seen, gone_on: T.st_gone_on, ended: T.st_ended };
export const ACT_WORD = (action: string): string => worded(A as Record<string, Text>, `a_${action}`).replace(/^a_/, '');

export function FindingScreen({ id }: { id: string }) {
    const got = useGet<Finding>(`/findings/${encodeURIComponent(id)}`);
    const now = useNow(60_000);
    const { session } = useSession();
    useLive<{ id?: string }>('finding', (x) => { if (!x.id || x.id === id) got.reload(); });
    const f = got.data;
    if (!f) return <><h1 class="vh">{t(T.of)}</h1>{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const mark = findingMark(f);
    return <article class="finding"><p class="no-print"><Link class="more" href="/findings">{t(T.back)}</Link></p>
        <p class="paper-only eyebrow">{t(T.paperTitle)}</p>
        <header class={`card inc-head mt-8${mark === 'call' ? '' : ' inc-look'}`}><div class="inc-t"><Mark state={mark} /><div><p class="eyebrow">{t(T.of)}</p><h1>{findingTitle(f)}</h1></div></div>
            <dl class="facts"><div><dt>{t(T.now)}</dt><dd>{t(STATE[f.state] ?? T.y_seen)}</dd></div><div><dt>{t(T.at)}</dt><dd><span class="no-print">{whenOf(f.at, now)}</span><span class="paper-only">{stampOf(f.at)}</span></dd></div>
                <div><dt>{t(T.machine)}</dt><dd>{f.device_name || f.device}</dd></div>{f.program && <div><dt>{t(T.program)}</dt><dd class="mono">{shortName(f.program)}</dd></div>}</dl></header>
        <div class="cols cols-main cols-inc mt"><div class="stack stack-l a"><Story f={f} /><Took f={f} /></div>
            <aside class="stick no-print c"><section class="side stack" aria-labelledby="de"><h2 id="de">{t(T.act)}</h2>{isLeader(session) ? <Decide f={f} reload={got.reload} /> : <p>{t(A.reader)}</p>}</section>
                <p class="btn-row mt-s"><button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(T.paper)}</button></p>
                <p class="under mt-s">{session?.rooms.includes('trouble') && <ToIncident f={f} />}{session?.rooms.includes('machines') && <Link class="more" href={`/machines/${encodeURIComponent(f.device)}`}>{t(T.toMachine)}</Link>}</p></aside>
            <div class="stack stack-l b fcols">
            <section class="card full" aria-labelledby="tr"><h2 id="tr">{t(T.tree)}</h2><ProcTree list={marked(f)} bad={f.program} when={afterFirst(f.processes)} /></section>
            {f.files.touched > 0 && <Files f={f} />}
            {f.reasons.length > 0 && <section class="card reasons" aria-labelledby="re"><h2 id="re">{t(T.reasons)}</h2><ul class="lines">{f.reasons.map((r) => <li><Mark state="look" /><div>{r[lang()] || r.id}<span class="sub blk num">{[r.times > 1 && t(T.times, { n: countOf(r.times) }), r.points > 0 && t(T.points, { n: r.points })].filter(Boolean).join(' ・ ')}</span></div></li>)}{f.score > sumOf(f) && <li><Mark state="look" /><div>{t(T.rest)}<span class="sub blk num">{t(T.points, { n: f.score - sumOf(f) })}</span></div></li>}</ul>
                {f.threshold > 0 && <p class="sub num mt-8">{t(T.score, { n: f.score, of: f.threshold })}</p>}</section>}
            <Done f={f} now={now} /><Numbers f={f} /></div></div>
        <p class="paper-only note-box">{t(T.paperNote)}</p></article>;
}

/* The incident it belongs to, where there is one: its page is that of its alarm. */
function ToIncident({ f }: { f: Finding }) {
    const incidents = useGet<List<Incident>>('/incidents?limit=50');
    const devices = useGet<List<Device>>('/devices');
    const inc = incidents.data && devices.data ? incidents.data.items.find((x) => isOf(f, x, devices.data!.items)) : undefined;
    const alarms = useGet<List<Alarm>>(inc ? '/alarms?limit=200' : null);
    const alarm = alarms.data?.items.find((a) => a.kind === 'incident' && a.facts['incident'] === inc?.id);
    return alarm ? <Link class="more" href={`/trouble/${encodeURIComponent(alarm.id)}`}>{t(T.toIncident)}</Link> : null;
}

/* Machines count from their own start: what can be said is how long after the first of the tree. */
function afterFirst(list: Proc[]): (p: Proc) => string | null {
    const began = list.map((p) => p.began ?? 0).filter((x) => x > 0), first = Math.min(...began);
    return (p) => (!p.began ? null : p.began === first ? t(T.pFirst) : t(T.pAfter, { span: quickOf(p.began - first) }));
}

/* The tree as it stands after what was done: its programs are stopped or ended with it. */
function marked(f: Finding): Proc[] {
    return f.processes.map((p) => ({ ...p, stopped: p.stopped ?? (f.state === 'stopped' && !p.ended), killed: p.killed ?? (f.state === 'killed' && !p.ended) }));
}

function Story({ f }: { f: Finding }) {
    const n = f.files;
    const lines = [f.program && t(n.touched > 0 ? T.st_prog : T.st_prog0, { program: shortName(f.program), n: countOf(n.touched) }), t(ENDED[f.state] ?? T.st_seen),
        n.given_back > 0 && t(T.st_back, { n: countOf(n.given_back) }), n.given_back === 0 && n.kept > 0 && n.touched > 0 && t(T.st_kept, { n: countOf(n.kept) }),
        n.touched > 0 && (n.lost > 0 ? t(T.st_lost, { n: countOf(n.lost) }) : t(T.st_nolost))];
    return <section class="card" aria-labelledby="st"><h2 id="st">{t(T.story)}</h2><div class="story">{lines.filter(Boolean).map((x) => <p>{x}</p>)}</div></section>;
}

/* From the first harmful write: when it was stopped, and when this box knew. */
function Took({ f }: { f: Finding }) {
    const x = f.timing;
    if (!x?.first_ms) return null;
    const row = (cls: string, n: number, word: Text, ms: number | null) => <li class={cls}><span class="n" aria-hidden="true">{n}</span><div><p>{ms !== null && <b class="num">{quickOf(ms)}</b>} {t(word)}</p></div></li>;
    return <section class="card took" aria-labelledby="tk"><h2 id="tk">{t(T.took)}</h2><ol class="flow">{row('bad', 1, T.t_first, null)}{x.stop_ms > 0 && row('us', 2, T.t_stop, x.stop_ms)}{x.told_ms > 0 && row('us', 3, T.t_told, x.told_ms)}</ol></section>;
}

function Files({ f }: { f: Finding }) {
    const n = f.files;
    const { session } = useSession();
    const cell = (word: Text, v: number) => <div><dt>{t(word)}</dt><dd class="num">{countOf(v)}</dd></div>;
    return <section class="card full" aria-labelledby="fi"><h2 id="fi">{t(T.files)}</h2><dl class="counts">{cell(T.fTouched, n.touched)}{cell(T.fDestroyed, n.destroyed)}{cell(T.fKept, n.kept)}{cell(T.fBack, n.given_back)}{cell(T.fLost, n.lost)}</dl>
        {f.paths.length > 0 && <details class="mt-s no-print"><summary>{t(T.fList)}<span class="sub num">{f.paths.length}</span></summary><div class="fold"><ul class="plain-list">{f.paths.map((p) => <li><span class="mono">{pathText(p.path)}</span> <span class="sub">{worded(HOW, p.how)}</span>
            {(p.was || p.is) && <span class="sub blk mono">{[p.was, p.is].filter((x): x is string => !!x).map((x) => worded(KINDS, x)).join(' → ')}</span>}</li>)}</ul>{n.touched > f.paths.length && <p class="sub num mt-8">{t(T.fMore, { n: f.paths.length })}</p>}</div></details>}
        {n.lost > 0 && session?.rooms.includes('restore') && <p class="mt-s no-print"><Link class="more" href="/restore">{t(T.toRestore)}</Link></p>}</section>;
}

function Done({ f, now }: { f: Finding; now: number }) {
    const by = (x: string) => (x === 'policy' ? t(T.byPolicy) : x === 'order' || !x ? t(T.byOrder) : t(T.byPerson, { by: x }));
    return <section class="card" aria-labelledby="dn"><h2 id="dn">{t(T.acts)}</h2>{f.acts.length ? <ol class="lines">{f.acts.map((a) => <li><Mark state={a.state === 'failed' ? 'look' : 'ok'} /><div><b>{ACT_WORD(a.action)}</b> <span class="sub num nb">{whenOf(a.at, now)}</span>
        <span class="sub blk">{by(a.by)} ・ {worded(A as Record<string, Text>, `w_${a.state}`)}</span>{a.detail && <span class="sub blk mono">{a.detail}</span>}</div></li>)}</ol> : <p class="sub">{t(T.actsNone)}</p>}</section>;
}

/* In a fold on the screen, and open on paper. */
function Numbers({ f }: { f: Finding }) {
    const list = <dl class="dl"><div><dt>{t(T.number)}</dt><dd class="mono">{f.id}</dd></div>{f.program && <div><dt>{t(T.program)}</dt><dd class="mono">{f.program}</dd></div>}{shaOf(f) && <div><dt>{t(T.sha)}</dt><dd class="mono">{shaOf(f)}</dd></div>}</dl>;
    return <><details class="no-print"><summary>{t(T.paperFacts)}</summary><div class="fold">{list}</div></details><div class="paper-only full" aria-hidden="true">{list}</div></>;
}

const shaOf = (f: Finding): string => f.sha256 ?? f.object?.sha256 ?? '';
/* python, tar, 7z: others need it, and what it did is somebody's script. */
const isSystems = (f: Finding): boolean => /^\/(usr|s?bin|lib\w*)\//.test(f.program);

type Deed = 'kill' | 'resume' | 'give_back' | 'undo_give_back' | 'quarantine' | 'block';
const DEEDS: Record<Deed, { word: Text; help: Text; ask: Text; stop?: boolean }> = {
    kill: { word: T.kill, help: T.killHelp, ask: T.killAsk, stop: true }, resume: { word: T.resume, help: T.resumeHelp, ask: T.resumeAsk },
    give_back: { word: T.giveBack, help: T.giveBackHelp, ask: T.giveBackAsk }, undo_give_back: { word: T.undoBack, help: T.undoBackHelp, ask: T.undoBackAsk },
    quarantine: { word: T.quarantine, help: T.quarantineHelp, ask: T.quarantineAsk }, block: { word: T.block, help: T.blockHelp, ask: T.blockAsk },
};

/** What can be decided as things stand: the last word on the files, and whether the program still waits. */
export function deedsOf(f: Finding): Deed[] {
    const last = f.acts.filter((a) => (a.action === 'give_back' || a.action === 'undo_give_back') && a.state === 'done').pop();
    const list: Deed[] = [];
    if (f.state === 'stopped') list.push('kill', 'resume');
    if (f.state === 'seen' && (f.kind === 'ransomware' || f.kind === 'rule')) list.push('kill');
    if (f.files.kept > 0 || f.files.given_back > 0) list.push(last?.action === 'give_back' || (!last && f.files.given_back > 0) ? 'undo_give_back' : 'give_back');
    const itself = f.program !== '' && !isSystems(f) && f.kind !== 'tamper' && f.kind !== 'media';
    if (itself) list.push('quarantine');
    if (itself && shaOf(f)) list.push('block');
    return list;
}

function Decide({ f, reload }: { f: Finding; reload: () => void }) {
    const [ask, setAsk] = useState<Deed | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const kept = useGet<List<Kept>>(shaOf(f) ? null : `/quarantine?device=${encodeURIComponent(f.device)}&limit=200`);
    const sha = shaOf(f) || kept.data?.items.find((k) => k.finding === f.id)?.sha256 || '';
    const deeds = deedsOf({ ...f, sha256: sha });
    return <><p>{t(T.actText)}</p><Said text={said} /><ul class="stack">{deeds.map((d, i) => <li><button type="button" class={`btn btn-wide${i === 0 && !DEEDS[d].stop ? ' btn-main' : DEEDS[d].stop ? ' btn-stop' : ''}`} aria-describedby={`dd-${d}`} onClick={() => setAsk(d)}>{t(DEEDS[d].word)}</button><p class="sub mt-8" id={`dd-${d}`}>{t(DEEDS[d].help)}</p></li>)}</ul>
        {f.program && isSystems(f) && <p class="sub">{t(T.ours)}</p>}
        {ask && <DeedDialog f={{ ...f, sha256: sha }} deed={ask} onClose={() => setAsk(null)} onDone={() => { setSaid(t(ask === 'block' ? T.blockDone : T.sent)); setAsk(null); reload(); }} />}</>;
}

/* Into the policy of all machines. */
async function blockEverywhere(sha256: string): Promise<void> {
    const now = await api.get<PolicyNow>('/endpoint/policy');
    if (now.policy.block.files.includes(sha256)) return;
    await api.put('/endpoint/policy', { policy: { ...now.own, block: { ...now.own?.block, files: [...now.policy.block.files, sha256] } } });
}

function DeedDialog({ f, deed, onClose, onDone }: { f: Finding; deed: Deed; onClose: () => void; onDone: () => void }) {
    const d = DEEDS[deed];
    const [why, setWhy] = useState('');
    const [bad, setBad] = useState<string | null>(null);
    const go = () => {
        if (deed === 'resume' && !why.trim()) { setBad(t(T.resumeWhyNeed)); return null; }
        if (deed === 'block') return blockEverywhere(shaOf(f)).then(onDone);
        return api.post(`/findings/${encodeURIComponent(f.id)}/actions`, { action: deed, ...(deed === 'resume' ? { args: { why: why.trim() } } : {}) }).then(onDone);
    };
    return <Confirm title={t(d.ask)} yes={t(d.word)} stop={!!d.stop} onClose={onClose} go={go}><p><b class="mono">{shortName(f.program)}</b></p>
        {deed === 'resume' ? <><p>{t(T.resumeText)}</p><p>{t(T.resumeText2)}</p><p><b>{t(T.resumeText3)}</b></p><AreaField label={t(T.resumeWhy)} help={t(T.resumeWhyHelp)} value={why} onInput={setWhy} error={bad} required /></>
            : <><p>{t(d.help)}</p>{deed === 'kill' && <p>{t(T.killText)}</p>}</>}</Confirm>;
}
