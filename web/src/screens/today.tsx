import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Today } from '../api';
import type { TodayNow } from '../app';
import { manualPath, listOf, t } from '../i18n';
import { Link } from '../router';
import { isLeader, roleOf, useSession } from '../session';
import { Lamps } from './copies';
import { T as C } from '../text/common';
import { T } from '../text/today';
import { agoOf, bigWhen, clock, dateOf, spanOf } from '../time';
import { ErrorBox, Loading, Mark, Tel, telHref } from '../ui/parts';

export function TodayScreen({ now }: { now: TodayNow }) {
    const { today, stale, error } = now;
    if (!today) return <>{error ? <><h1 class="vh">{t(T.title)}</h1><ErrorBox error={error} retry={now.reload} /></> : <><h1 class="vh">{t(T.title)}</h1><Loading /></>}</>;
    const call = today.state === 'call' && stale !== 'unknown';
    return <>
        {stale === 'unknown' || today.state === 'unknown' ? <UnknownPanel now={now} today={today} /> : <Panel today={today} now={now.now} />}
        <div class="cols cols-2 mt">{call ? <><CallNow today={today} /><Dont today={today} /></> : <Calm today={today} now={now} />}</div>
        {call && today.lines.length > 1 && <Lines today={today} />}
        <Guarded today={today} />
        <Outside today={today} />
        <Extra today={today} />
    </>;
}

function Panel({ today, now }: { today: Today; now: number }) {
    const next = today.next_check && new Date(today.next_check).getTime() > now ? today.next_check : null;
    return <section class={`state state-${today.state}`} aria-labelledby="st" role={today.state === 'call' ? 'alert' : undefined}><div class="state-in">
        <Mark state={today.state} /><div><p class="eyebrow">{t(T.title)}</p><h1 id="st">{today.headline}</h1>
            <p class="lead"><Lead today={today} /></p>
            <p class="when num">{next ? t(T.checkedNext, { at: clock(today.at), next: clock(next) }) : t(T.checked, { at: clock(today.at) })}</p></div></div></section>;
}

/* The box may have put the sentence about paper into the lead already: it stands once, in bold, on a line of its own. */
function Lead({ today }: { today: Today }) {
    if (!today.paper) return <>{today.lead}</>;
    const [said, rest] = [/\s*(受付は、紙に切りかえてください。|Switch reception to paper\.)\s*$/.exec(today.lead)?.[1], today.lead.replace(/\s*(受付は、紙に切りかえてください。|Switch reception to paper\.)\s*$/, '')];
    return <>{rest}<br /><b>{said ?? t(T.paper)}</b></>;
}

/* A link of the box names a screen; its own trouble when the one thing belongs to one. */
function placeOf(one: NonNullable<Today['one']>): string | null {
    if (!one.link || one.link === '/today') return null;
    if (one.link === '/trouble' && /^[0-9a-f]{32}$/.test(one.id)) return `/trouble/${one.id}`;
    if (one.id === 'source') return '/machines/sources/new';
    return one.link;
}

function UnknownPanel({ now, today }: { now: TodayNow; today: Today }) {
    const stale = now.stale === 'unknown';
    return <section class="state state-wait" aria-labelledby="st"><div class="state-in"><Mark state="unknown" /><div><p class="eyebrow">{t(T.title)}</p>
        <h1 id="st" class="h-state">{stale ? t(T.unknownTitle) : today.headline}</h1>
        <p class="lead">{stale ? t(T.unknownWas, { at: clock(now.heard), state: today.headline }) : today.lead}</p>
        <p class="when">{stale ? t(T.unknownSince, { span: spanOf((now.now - now.heard) / 1000) }) : t(T.checked, { at: clock(today.at) })}</p></div></div></section>;
}

function Calm({ today, now }: { today: Today; now: TodayNow }) {
    const last = <LastCopy today={today} now={now.now} />;
    const one = <OneThing today={today} now={now} />;
    return today.state === 'ok' ? <>{last}{one}</> : <>{one}{last}</>;
}

function LastCopy({ today, now }: { today: Today; now: number }) {
    const l = today.last;
    const stopped = today.lines.filter((x) => x.state !== 'ok');
    return <section class="card" aria-labelledby="bk"><h2 id="bk">{t(T.lastCopy)}</h2>
        {l.at ? <p class="big">{bigWhen(l.at, now)}<small>{agoOf((now - new Date(l.at).getTime()) / 1000)}</small></p> : <p class="big">{t(T.noCopy)}</p>}
        <dl class="plain">
            <div><dt>{t(T.machines)}</dt><dd>{!l.devices_total ? t(C.notYet) : l.devices >= l.devices_total ? t(T.machinesAll, { n: l.devices_total }) : t(T.machinesSome, { n: l.devices, all: l.devices_total })}</dd></div>
            {stopped.length > 0 && <div><dt>{t(T.lines)}</dt><dd>{stopped.slice(0, 3).map((x) => <span class="blk">{x.text}</span>)}</dd></div>}
            <div><dt>{t(T.drill)}</dt><dd>{l.drill ? t(l.drill.ok ? T.drillOk : T.drillBad, { at: dateOf(l.drill.at, now) }) : t(C.yet)}</dd></div>
            {l.checked && <div><dt>{t(T.reread)}</dt><dd>{l.checked.errors ? t(T.rereadBad, { n: l.checked.errors }) : t(l.checked.healed ? T.rereadHealed : T.rereadOk, { at: dateOf(l.checked.at, now), n: l.checked.healed })}</dd></div>}
            <div><dt>{t(T.kept)}</dt><dd>{!l.at ? t(C.notYet) : l.kept_days > 1 ? t(T.keptDays, { n: l.kept_days }) : t(l.kept_days === 1 ? T.keptDay : T.keptToday)}</dd></div>
        </dl></section>;
}

function OneThing({ today, now }: { today: Today; now: TodayNow }) {
    const { session } = useSession();
    const [error, setError] = useState<ApiError | null>(null);
    const [done, setDone] = useState<string | null>(null);
    const one = today.one;
    const act = async (body: object) => {
        if (!one) return;
        setError(null);
        try {
            const r = await api.post<Today | null>(`/today/tasks/${encodeURIComponent(one.id)}`, body);
            setDone(one.id);
            if (r && 'state' in r) now.set(r); else now.reload();
        } catch (e) { setError(e as ApiError); }
    };
    const look = today.lines.find((l) => l.state !== 'ok'); // something to look at that is no task: nothing to do would be wrong
    if (!one && !done && look) return <section class="card one" aria-labelledby="one"><h2 id="one">{t(T.one)}</h2><h3>{look.text}</h3></section>;
    if (!one) return <section class="card one" aria-labelledby="one"><h2 id="one">{t(T.oneHead)}</h2>
        <div class="stack"><div role="status"><h3>{done ? t(T.oneDone) : t(T.oneNone)}</h3><p>{t(T.oneNoneText)}</p></div></div></section>;
    const reader = roleOf(session) === 'counter' || roleOf(session) === 'vendor';
    const place = roleOf(session) === 'counter' ? null : placeOf(one);
    return <section class="card one" aria-labelledby="one"><h2 id="one">{t(T.one)}</h2>
        <h3>{one.title}</h3><p>{one.text}</p>
        {one.phone && <div class="mt-8"><Tel phone={one.phone} /></div>}
        {one.minutes ? <p class="sub">{t(T.minutes, { n: one.minutes })}</p> : null}
        <ErrorBox error={error} />
        <div class="btn-row">
            {one.action === 'done' && !reader && <button type="button" class="btn btn-main btn-lg btn-wide" onClick={() => void act({ done: true })}>{t(T.did)}</button>}
            {one.action === 'confirm_date' && !reader && <button type="button" class="btn btn-main btn-lg btn-wide" onClick={() => void act({ done: true })}>{t(T.confirmDate)}</button>}
            {one.action === 'print_card' && <Link class="btn btn-main btn-lg btn-wide" href="/card">{t(T.printCard)}</Link>}
            {one.action === 'open_restore' && <Link class="btn btn-main btn-lg btn-wide" href="/restore">{t(T.openRestore)}</Link>}
            {one.action === 'call' && one.phone && <a class="btn btn-main btn-lg btn-wide" href={telHref(one.phone)}>{one.phone}</a>}
            {one.action === 'none' && place && <Link class="btn btn-main btn-lg btn-wide" href={place}>{t(T.open)}</Link>}
            {one.action !== 'none' && one.action !== 'print_card' && place && <More link={place} text={t(T.how)} />}
            {one.action === 'done' && !reader && <button type="button" class="linkbtn" onClick={() => void act({ later: true })}>{t(T.later)}</button>}
        </div></section>;
}

function More({ link, text }: { link: string; text: string }) {
    return link.startsWith('/manual/') ? <a class="more" href={manualPath(link)}>{text}</a> : <Link class="more" href={link}>{text}</Link>;
}

function CallNow({ today }: { today: Today }) {
    const story = (today.one && placeOf(today.one)) ?? '/trouble';
    const { session } = useSession();
    return <section class="card one" aria-labelledby="one"><h2 id="one">{t(T.oneNow)}</h2>
        <div class="stack">
            {today.calls.length ? today.calls.map((c) => <Tel name={c.name} phone={c.phone} />) : <p>{t(T.noCalls)}</p>}
            {today.say && <p>{t(T.say)}<b>{today.say}</b></p>}
        </div>
        <div class="btn-row">{today.paper && <Link class="btn btn-main btn-lg btn-wide" href="/card">{t(T.printCard)}</Link>}
            {session?.rooms.includes('trouble') && <Link class="more" href={story}>{t(T.story)}</Link>}</div></section>;
}

function Dont({ today }: { today: Today }) {
    const { session } = useSession();
    if (!today.dont.length && !today.safe) return null;
    return <section class="card" aria-labelledby="no"><h2 id="no">{t(today.dont.length ? T.dont : T.safe)}</h2>
        {today.dont.length > 0 && <ul class="dont">{today.dont.map((d) => <li><span class="ic" aria-hidden="true">✕</span><div><b>{d.title}</b>{d.text && <span class="t">{d.text}</span>}</div></li>)}</ul>}
        {today.safe && <>{today.dont.length > 0 && <h3 class="mt">{t(T.safe)}</h3>}<p>{today.safe.text.replace(/^(保存は無事です。|The backups are safe\.)\s*/, '')}</p>
            {session?.rooms.includes('restore') && <p><Link class="more" href={`/restore?m=${encodeURIComponent(today.safe.manifest)}`}>{t(T.toSafe)}</Link></p>}</>}
    </section>;
}

function Lines({ today }: { today: Today }) {
    return <section class="card mt" aria-labelledby="ln"><h2 id="ln">{t(T.lines)}</h2><ul class="lines">
        {today.lines.map((l) => <li><Mark state={l.state} label={t({ ok: C.ok, look: C.look, call: C.call, unknown: C.unknown }[l.state])} /><span>{l.text}</span></li>)}</ul></section>;
}

function Guarded({ today }: { today: Today }) {
    const { session } = useSession();
    return <section class="mt-l" aria-labelledby="pr"><h2 id="pr">{t(T.guarded)}</h2>
        {today.groups.length ? <ul class={`strip strip-${today.groups.length}`}>{today.groups.map((g) => <li>
            <Mark state={g.state} label={t({ ok: C.ok, look: C.look, call: C.call, unknown: C.unknown }[g.state])} /><b>{g.name}</b><span>{g.text}</span></li>)}</ul>
            : <div class="mt-s"><div class="empty"><h3>{t(T.noGroups)}</h3><p>{t(T.noGroupsText)}</p>
                {isLeader(session) && <Link class="btn btn-main" href="/machines/sources/new">{t(T.addSource)}</Link>}</div></div>}
    </section>;
}

function Outside({ today }: { today: Today }) {
    const { session } = useSession();
    if (!today.lamps?.length || !session?.rooms.includes('copies')) return null;
    return <section class="mt-l" aria-labelledby="lamps"><h2 id="lamps">{t(T.lamps)}</h2><Lamps lamps={today.lamps} short />
        <p class="no-print"><Link class="more" href="/copies">{t(T.toCopies)}</Link></p></section>;
}

function Extra({ today }: { today: Today }) {
    if (!today.not_watched.length && !today.notes.length) return null;
    return <div class="mt stack">
        {today.notes.length > 0 && <div><p class="eyebrow">{t(T.notes)}</p><ul class="plain-list">{today.notes.map((n) => <li>{n}</li>)}</ul></div>}
        {today.not_watched.length > 0 && <div><p class="eyebrow">{t(T.notWatched)}</p><p class="sub">{listOf(today.not_watched)}</p></div>}
    </div>;
}
