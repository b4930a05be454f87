import { useState } from 'preact/hooks';
import { ApiError, BASE, api, query } from '../api';
import type { AccessLine, Device, List, Person } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useList } from '../live';
import { Link } from '../router';
import type { Place } from '../router';
import { isLeader, roleOf, roleWord, useSession } from '../session';
import { HeadCheck } from '../ui/printhead';
import { T as C } from '../text/common';
import { T } from '../text/access';
import { clock, countOf, longDate, whenOf } from '../time';
import { Banner, Empty, ErrorBox, Field, Head, Loading, SelectField, csv, download } from '../ui/parts';

export function AccessScreen({ place }: { place: Place }) {
    const { session } = useSession();
    const audit = place.path.endsWith('/audit');
    return <>{session?.rooms.includes('audit') && <nav class="sub-nav" aria-label={t(T.tabs)}><Link href="/access" aria-current={audit ? undefined : 'page'}>{t(T.tabAccess)}</Link><Link href="/access/audit" aria-current={audit ? 'page' : undefined}>{t(T.tabAudit)}</Link></nav>}
        {audit ? <Audit /> : <><Access />{(isLeader(session) || roleOf(session) === 'vendor') && <HeadCheck />}</>}</>;
}

function word(prefix: string, key: string): string {
    const e = (T as Record<string, Text>)[prefix + key];
    return e ? t(e) : key;
}

/* Days are those of Japan; the box speaks UTC. */
const dayFrom = (d: string) => (d ? new Date(`${d}T00:00:00+09:00`).toISOString() : '');
const dayTo = (d: string) => (d ? new Date(`${d}T23:59:59+09:00`).toISOString() : '');

function Access() {
    const [from, setFrom] = useState('');
    const [to, setTo] = useState('');
    const [person, setPerson] = useState('');
    const people = useGet<List<Person>>('/people');
    const devices = useGet<List<Device>>('/devices');
    const got = useList<AccessLine>('/access' + query({ from: dayFrom(from), to: dayTo(to), person }));
    const name = (client: string | undefined) => devices.data?.items.find((d) => d.client === client)?.name ?? '';
    const who = (account: string) => people.data?.items.find((p) => p.account === account)?.name ?? devices.data?.items.find((d) => d.id === account)?.name ?? account;
    const items = got.data?.items ?? [];
    const save = () => download('sakimori-access.csv', 'text/csv', csv([[T.at, T.who, T.what, T.source, T.where, T.why, T.result].map((x) => t(x)), ...items.map((l) => [l.at, l.who, l.what, `${name(l.client)} ${l.manifest ?? ''}`, l.from, word('y_', l.why ?? ''), l.result])]));
    const date = (label: string, value: string, set: (v: string) => void, first?: boolean) => <Field label={label}>{(a) => <input class="in num" type="date" data-filter={first ? '' : undefined} value={value} onInput={(e) => set(e.currentTarget.value)} {...a} />}</Field>;
    return <><Head title={t(T.title)} lead={t(T.lead)}>{items.length > 0 && <><button type="button" class="btn btn-sm" onClick={save}>{t(T.export)}</button><button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(C.print)}</button></>}</Head>
        <div class="filters no-print">{date(t(T.from), from, setFrom, true)}{date(t(T.to), to, setTo)}<SelectField label={t(T.person)} value={person} onInput={setPerson} options={[['', t(T.anyone)], ...(people.data?.items ?? []).map((p): [string, string] => [p.account, p.name])]} /></div>
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!got.data ? !got.error && <Loading /> : !items.length ? <div class="mt">{from || to || person ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty> : <Empty title={t(T.noneYet)}><p>{t(T.noneYetText)}</p></Empty>}</div>
            : <div class="tbl-wrap mt"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.list)}</caption><thead role="rowgroup"><tr role="row">{[T.at, T.who, T.what, T.source, T.where, T.why, T.result].map((x) => <th role="columnheader" scope="col">{t(x)}</th>)}</tr></thead>
                <tbody role="rowgroup">{items.map((l) => <tr role="row"><th role="rowheader" scope="row" class="nb">{whenOf(l.at)}</th><td role="cell" data-l={t(T.who)}>{l.who_name ?? who(l.who)}{l.who_name && <small class="mono">{l.who.slice(0, 12)}</small>}<small>{roleOfLine(l.role)}</small></td><td role="cell" data-l={t(T.what)}>{word('w_', l.what)}</td>
                    <td role="cell" data-l={t(T.source)}>{name(l.client)}{l.manifest && <small class="mono">{l.manifest.slice(0, 12)}</small>}</td><td role="cell" data-l={t(T.where)} class="mono small">{l.from}</td><td role="cell" data-l={t(T.why)}>{word('y_', l.why ?? '')}</td><td role="cell" data-l={t(T.result)}>{word('r_', l.result)}</td></tr>)}</tbody></table></div>}
        {got.data?.next && <p class="mt-s"><button type="button" class="btn" onClick={got.more}>{t(C.more)}</button></p>}</>;
}

/** A line of the audit log; its keys are shown as they are, only the usual ones have columns. */
/** Those who act are not only people. */
function roleOfLine(role: string): string {
    if (['director', 'manager', 'staff', 'vendor', 'counter'].includes(role)) return roleWord(role as 'staff');
    return role === 'device' ? t(T.roleDevice) : role === 'box' ? t(T.roleBox) : role === 'nobody' ? t(T.roleNobody) : role;
}

type AuditLine = Record<string, unknown> & { at: string; who: string; who_name?: string; act: string; what: string; n: number; from: string; role: string; result: string };

function Audit() {
    const got = useList<AuditLine>('/audit');
    const devices = useGet<List<Device>>('/devices');
    const people = useGet<List<Person>>('/people');
    const who = (id: string) => people.data?.items.find((p) => p.account === id)?.name ?? devices.data?.items.find((d) => d.id === id)?.name ?? word('p_', id);
    const [error, setError] = useState<ApiError | null>(null);
    const [busy, setBusy] = useState(false);
    const [report, setReport] = useState<{ ok: boolean; lines: number; first_bad?: { line: number; why: string } | null } | null>(null);
    const verify = async () => {
        setError(null);
        setReport(null);
        setBusy(true);
        try { setReport(await api.post('/audit/verify')); } catch (e) { setError(e as ApiError); } finally { setBusy(false); }
    };
    return <><Head title={t(T.tabAudit)} lead={t(T.lead)}><a class="btn btn-sm" href={BASE + '/audit/export'} download="sakimori-audit.log">{t(T.export)}</a><button type="button" class="btn btn-main btn-sm" onClick={() => void verify()}>{t(T.verify)}</button></Head>
        <div class="stack"><div role="status">{busy && <p>{t(T.verifying)}</p>}{report?.ok && <Banner state="ok" title={t(T.verifyOk, { n: countOf(report.lines) })} />}</div>
            {report && !report.ok && <Banner state="call" alert title={t(T.verifyBad, { n: report.first_bad?.line ?? 0 })}><p>{t(T.verifyBadDo)}</p><p class="mono">{report.first_bad?.why}</p></Banner>}
            <ErrorBox error={error ?? (got.data ? null : got.error)} />
            {!got.data ? !got.error && <Loading /> : !got.data.items.length ? <Empty title={t(T.none)} /> : <div class="tbl-wrap"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.list)}</caption>
                <thead role="rowgroup"><tr role="row">{[T.line, T.at, T.who, T.what, T.result, T.where, T.detail].map((x) => <th role="columnheader" scope="col">{t(x)}</th>)}</tr></thead>
                <tbody role="rowgroup">{got.data.items.map((l) => <tr role="row"><td role="cell" class="num n" data-l={t(T.line)}>{l.n}</td><td role="cell" class="nb" data-l={t(T.at)}><time dateTime={l.at} title={`${longDate(l.at)} ${clock(l.at)}`}>{whenOf(l.at)}</time></td>
                    <td role="cell" data-l={t(T.who)}>{l.who_name ?? who(l.who)}</td><th role="rowheader" scope="row">{word('a_', l.act.replace(/[.-]/g, '_'))}<small class="sub mono blk">{l.act}</small></th><td role="cell" data-l={t(T.result)}>{resultWord(l.result)}</td><td role="cell" class="mono small" data-l={t(T.where)}>{word('p_', l.from)}</td><td role="cell" class="mono small" data-l={t(T.detail)}>{rest(l)}</td></tr>)}</tbody></table></div>}
            {got.data?.next && <p><button type="button" class="btn" onClick={got.more}>{t(C.more)}</button></p>}</div></>;
}

/* What was not done is refused, whatever the code; the code is for the expert. */
function resultWord(code: string) {
    const known = (T as Record<string, Text>)['r_' + code];
    return known ? t(known) : <>{t(T.r_denied)}<small class="mono">{code}</small></>;
}

function rest(l: AuditLine): string {
    return Object.entries(l).filter(([k, v]) => (k !== 'who' || !!l.who_name) && !['at', 'who_name', 'act', 'n', 'hash', 'prev', 'result', 'from', 'role'].includes(k) && v !== null && v !== '' && v !== undefined)
        .map(([k, v]) => `${k === 'what' ? '' : `${k}=`}${typeof v === 'object' ? JSON.stringify(v) : String(v)}`).join(' ');
}
