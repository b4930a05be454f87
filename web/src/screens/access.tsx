import { useState } from 'preact/hooks';
import { ApiError, BASE, api, query } from '../api';
import type { AccessLine, Device, List, Person, Worded } from '../api';
import { t } from '../i18n';
import { useGet, useList } from '../live';
import { Link } from '../router';
import type { Place } from '../router';
import { isLeader, roleOf, useSession } from '../session';
import { HeadCheck } from '../ui/printhead';
import { T as C } from '../text/common';
import { T } from '../text/access';
import { clock, countOf, longDate, stampOf, whenOf } from '../time';
import { Banner, Empty, ErrorBox, Field, Head, Loading, SelectField, csv, download } from '../ui/parts';

export function AccessScreen({ place }: { place: Place }) {
    const { session } = useSession();
    const audit = place.path.endsWith('/audit');
    return <>{session?.rooms.includes('audit') && <nav class="sub-nav" aria-label={t(T.tabs)}><Link href="/access" aria-current={audit ? undefined : 'page'}>{t(T.tabAccess)}</Link><Link href="/access/audit" aria-current={audit ? 'page' : undefined}>{t(T.tabAudit)}</Link></nav>}
        {audit ? <Audit /> : <><Access />{(isLeader(session) || roleOf(session) === 'vendor') && <HeadCheck />}</>}</>;
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
    const save = () => download('sakimori-access.csv', 'text/csv', csv([[T.at, T.who, T.what, T.source, T.where, T.why, T.result].map((x) => t(x)), ...items.map((l) => [stampOf(l.at), l.who_name ?? who(l.who), l.what_text, `${name(l.client)} ${l.manifest ?? ''}`.trim(), l.from_text, l.why_text, l.result_text])]));
    const date = (label: string, value: string, set: (v: string) => void, first?: boolean) => <Field label={label}>{(a) => <input class="in num" type="date" data-filter={first ? '' : undefined} value={value} onInput={(e) => set(e.currentTarget.value)} {...a} />}</Field>;
    return <><Head title={t(T.title)} lead={t(T.lead)}>{items.length > 0 && <><button type="button" class="btn btn-sm" onClick={save}>{t(T.export)}</button><button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(C.print)}</button></>}</Head>
        <div class="filters no-print">{date(t(T.from), from, setFrom, true)}{date(t(T.to), to, setTo)}<SelectField label={t(T.person)} value={person} onInput={setPerson} options={[['', t(T.anyone)], ...(people.data?.items ?? []).map((p): [string, string] => [p.account, p.name])]} /></div>
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!got.data ? !got.error && <Loading /> : !items.length ? <div class="mt">{from || to || person ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty> : <Empty title={t(T.noneYet)}><p>{t(T.noneYetText)}</p></Empty>}</div>
            : <div class="tbl-wrap mt"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.list)}</caption><thead role="rowgroup"><tr role="row">{[T.at, T.who, T.what, T.source, T.where, T.why, T.result].map((x) => <th role="columnheader" scope="col">{t(x)}</th>)}</tr></thead>
                <tbody role="rowgroup">{items.map((l) => <tr role="row"><th role="rowheader" scope="row" class="nb">{whenOf(l.at)}</th><td role="cell" data-l={t(T.who)}>{l.who_name ?? who(l.who)}{l.role_text !== (l.who_name ?? '') && <small>{l.role_text}</small>}</td><td role="cell" data-l={t(T.what)}>{l.what_text}</td>
                    <td role="cell" data-l={t(T.source)}>{name(l.client)}{l.manifest && <small class="mono">{l.manifest.slice(0, 12)}</small>}</td><td role="cell" data-l={t(T.where)} class="small">{l.from_text}</td><td role="cell" data-l={t(T.why)}>{l.why_text}</td><td role="cell" data-l={t(T.result)}>{l.result_text}</td></tr>)}</tbody></table></div>}
        {got.data?.next && <p class="mt-s"><button type="button" class="btn" onClick={got.more}>{t(C.more)}</button></p>}</>;
}

/** A line of the audit log, in the words of the box; what it is by key is in the saved record. */
interface AuditLine extends Worded { at: string; who: string; who_name?: string; act_text: string; what_text: string; n: number }

function Audit() {
    const got = useList<AuditLine>('/audit');
    const devices = useGet<List<Device>>('/devices');
    const people = useGet<List<Person>>('/people');
    const who = (id: string) => people.data?.items.find((p) => p.account === id)?.name ?? devices.data?.items.find((d) => d.id === id)?.name ?? id;
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
                    <td role="cell" data-l={t(T.who)}>{l.who_name ?? who(l.who)}<small>{l.role_text !== l.who_name && l.role_text}</small></td><th role="rowheader" scope="row">{l.act_text}</th><td role="cell" data-l={t(T.result)}>{l.result_text}</td><td role="cell" class="small" data-l={t(T.where)}>{l.from_text}</td><td role="cell" class="small wrap-ok" data-l={t(T.detail)}>{l.what_text}</td></tr>)}</tbody></table></div>}
            {got.data?.next && <p><button type="button" class="btn" onClick={got.more}>{t(C.more)}</button></p>}</div></>;
}
