// 建て直しの手順: for each machine one A4 page that tells how to build it anew when it is gone.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Device, Guide, List } from '../api';
import { t } from '../i18n';
import { T } from '../text/guide';
import { bytesOf, countOf, longDate, stampOf, tookOf } from '../time';
import { Empty, ErrorBox, Head, Loading } from '../ui/parts';

export function GuideScreen() {
    const [all, setAll] = useState<Guide[] | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const load = () => {
        setError(null);
        api.get<List<Device>>('/devices').then(async ({ items }) => {
            const out: Guide[] = [];
            for (const d of items.filter((x) => x.state !== 'revoked')) out.push(await api.get<Guide>(`/devices/${encodeURIComponent(d.id)}/guide`));
            setAll(out);
        }).catch((e: ApiError) => setError(e));
    };
    useEffect(load, []);
    return <><div class="no-print"><Head title={t(T.title)} lead={t(T.lead)}>{!!all?.length && <button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(T.print)}</button>}</Head></div>
        {error ? <ErrorBox error={error} retry={load} /> : !all ? <Loading /> : !all.length ? <Empty title={t(T.none)} /> : all.map((g) => <One g={g} />)}</>;
}

const isFiles = (kind: string) => kind === 'files' || kind === 'smb';

function One({ g }: { g: Guide }) {
    const m = g.machine;
    const rows: [string, string][] = m ? [
        [t(T.host), m.hostname ?? g.device.hostname ?? ''], [t(T.os), m.os ?? ''], [t(T.kernel), [m.kernel, m.machine].filter(Boolean).join(' ')],
        [t(T.power), m.memory_bytes ? t(T.powerText, { n: countOf(m.cpus ?? 0), size: bytesOf(m.memory_bytes) }) : ''],
        ...(m.disks ?? []).map((d): [string, string] => [t(T.disks), t(T.disk, { mount: d.mount, device: d.device, type: d.type, size: bytesOf(d.bytes), used: bytesOf(d.used_bytes) })]),
        [t(T.net), m.addresses?.length ? t(T.netText, { a: m.addresses.join(', '), g: m.gateway ?? '─', d: m.dns?.join(', ') ?? '─' }) : ''],
        [t(T.users), m.users?.join(', ') ?? ''], [t(T.packages), m.packages?.join(', ') ?? ''], [t(T.services), m.services?.join(', ') ?? ''],
    ] : [];
    const sources = [...g.sources].sort((a, b) => Number(isFiles(b.kind)) - Number(isFiles(a.kind)));
    const id = `g-${g.device.id}`, of = g.estimate_of;
    const rests = [g.estimate_s !== null && t(T.restsOn, { n: countOf(of.measured) }), g.estimate_s !== null && of.guessed > 0 && t(T.restsGuess, { n: countOf(of.guessed) }),
        of.unsaved > 0 && t(T.restsUnsaved, { n: countOf(of.unsaved) })].filter(Boolean).map((x) => ` ${x}`);
    return <article class="a4 guide" aria-labelledby={id}><h2 id={id}>{t(T.title)}: {g.device.name}</h2><p>{g.institution}　{t(T.by)} {longDate(g.made)}</p>
        <div class="stack"><section class="card"><h3>{t(T.machine)}{g.at && <small>({t(T.asOf, { at: stampOf(g.at) })})</small>}</h3>
            {m ? <dl class="dl">{rows.filter(([, v]) => v).map(([k, v]) => <div><dt>{k}</dt><dd>{v}</dd></div>)}</dl> : <p>{t(T.unknown)}</p>}</section>
            <section class="card"><h3>{t(T.order)}</h3><ol class="guide-order">{[T.s1, T.s2, T.s3, T.s4, T.s5, T.s6, T.s7].map((x) => <li>{t(x)}</li>)}</ol></section>
            <section class="card"><h3>{t(T.sources)}</h3><div class="tbl-wrap"><table class="tbl"><thead><tr>{[T.cName, T.cWhere, T.cSize, T.cTook].map((x) => <th scope="col">{t(x)}</th>)}</tr></thead>
                <tbody>{sources.map((s) => <tr><th scope="row">{s.name}</th><td>{(s.where ?? s.paths).join(', ')}</td>{s.saved === 'never' ? <td colSpan={2}><b>{t(T.unsaved)}</b></td> : <>
                    <td>{bytesOf(s.bytes)}{s.saved === 'failing' && <><br /><b>{t(T.failing, { at: stampOf(s.at ?? '') })}</b></>}</td>
                    <td class="nb">{!s.drill ? t(T.never) : s.drill.ok ? tookOf(s.drill.estimate_s) : t(T.drillFailed)}</td></>}</tr>)}</tbody></table></div>
                <p><b>{g.estimate_s === null ? t(T.togetherUnknown, { size: bytesOf(g.bytes) }) : t(T.together, { size: bytesOf(g.bytes), took: tookOf(g.estimate_s) })}</b>{rests}</p></section></div></article>;
}
