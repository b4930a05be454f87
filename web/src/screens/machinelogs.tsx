// Which logs a machine sends, on its page: how they are, one more, one less.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { MachineLog, MachineLogs } from '../api';
import { t } from '../i18n';
import { useGet } from '../live';
import { T as C } from '../text/common';
import { T } from '../text/machinelogs';
import { bytesOf, countOf, whenOf } from '../time';
import { Dialog, ErrorBox, Loading, Mark, SelectField, TextField, Tick } from '../ui/parts';
import type { MarkState } from '../ui/parts';

const MARK: Record<MachineLog['state'], MarkState> = { ok: 'ok', absent: 'unknown', refused: 'unknown', waiting: 'unknown', unknown: 'unknown', error: 'look' };
const WORD: Record<MachineLog['state'], { ja: string; en: string }> = { ok: T.ok, absent: T.absent, refused: T.refused, waiting: T.waiting, unknown: T.unknown, error: T.error };
const settingsOf = ({ name, input, paths, format, encoding, from_start, unless_journal }: MachineLog) => ({ name, input, paths, format, encoding, from_start, unless_journal });

export function MachineLogsCard({ id, leader }: { id: string; leader: boolean }) {
    const path = `/devices/${encodeURIComponent(id)}/logs`;
    const got = useGet<MachineLogs>(path);
    const [add, setAdd] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const put = async (items: unknown) => {
        setError(null);
        try { await api.put(path, { items }); got.reload(); } catch (x) { setError(x as ApiError); }
    };
    if (!got.data) return <section class="card mt"><h2>{t(T.title)}</h2>{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</section>;
    const { items, usual, told } = got.data;
    return <section class="card mt"><h2>{t(T.title)}</h2>{usual && <p class="sub">{t(T.lead)}</p>}{!told && <p class="sub">{t(T.untold)}</p>}<ErrorBox error={error} />
        {items.length ? <ul class="lines">{items.map((x) => <li><Mark state={x.gaps ? 'look' : MARK[x.state]} /><div><b class="mono">{x.name}</b> {t(WORD[x.state])}
            <span class="sub blk">{x.input === 'journald' && !x.paths.length ? t(T.journal) : <span class="mono">{x.paths.join('、')}</span>}</span>
            {x.records > 0 && <span class="sub blk num">{t(T.sent, { n: countOf(x.records), bytes: bytesOf(x.bytes), at: x.last ? whenOf(x.last) : '─' })}</span>}
            {x.gaps > 0 && <span class="blk num"><b>{t(T.gaps, { n: countOf(x.gaps) })}</b></span>}{x.cut > 0 && <span class="sub blk num">{t(T.cut, { n: countOf(x.cut) })}</span>}
            {leader && <button type="button" class="linkbtn" aria-label={t(T.removeOf, { name: x.name })} onClick={() => void put(items.filter((y) => y.name !== x.name).map(settingsOf))}>{t(T.remove)}</button>}</div></li>)}</ul>
            : <p class="sub">{t(T.none)}</p>}
        {leader && <div class="btn-row mt-s"><button type="button" class="btn btn-sm" onClick={() => setAdd(true)}>{t(T.add)}</button>{!usual && <button type="button" class="linkbtn" onClick={() => void put(null)}>{t(T.usual)}</button>}</div>}
        {add && <AddDialog path={path} items={items} onClose={() => setAdd(false)} onDone={() => { setAdd(false); got.reload(); }} />}</section>;
}

function AddDialog({ path, items, onClose, onDone }: { path: string; items: MachineLog[]; onClose: () => void; onDone: () => void }) {
    const [name, setName] = useState('');
    const [file, setFile] = useState('');
    const [format, setFormat] = useState('');
    const [start, setStart] = useState(false);
    const [bad, setBad] = useState<{ name?: string; file?: string }>({});
    const [error, setError] = useState<ApiError | null>(null);
    const go = async (e: Event) => {
        e.preventDefault();
        const nameBad = !/^[a-z0-9_][a-z0-9_-]{0,47}$/.test(name.trim()) || items.some((x) => x.name === name.trim());
        const fileBad = !/^\/.*[^/]$/.test(file.trim());
        setBad({ ...(nameBad && { name: t(T.nameBad) }), ...(fileBad && { file: t(T.pathBad) }) });
        if (nameBad || fileBad) return;
        try {
            await api.put(path, { items: [...items.map(settingsOf), { name: name.trim(), input: 'file', paths: [file.trim()], format, from_start: start }] });
            onDone();
        } catch (x) { setError(x as ApiError); }
    };
    return <Dialog title={t(T.add)} onClose={onClose}><form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        <TextField label={t(T.name)} help={t(T.nameHelp)} value={name} onInput={setName} error={bad.name ?? null} autocomplete="off" />
        <TextField label={t(T.path)} help={t(T.pathHelp)} value={file} onInput={setFile} error={bad.file ?? null} autocomplete="off" />
        <p class="sub">{t(T.elsewhere)}</p>
        <SelectField label={t(T.format)} value={format} onInput={setFormat} options={[['', t(T.fAuto)], ['access', t(T.fAccess)], ['postgresql', t(T.fPostgres)], ['mysql', t(T.fMysql)], ['syslog', t(T.fSyslog)], ['csv', t(T.fCsv)]]} />
        <Tick type="checkbox" name="from_start" checked={start} onChange={setStart} title={t(T.fromStart)} />
        <div class="btn-row"><button type="submit" class="btn btn-main">{t(C.save)}</button><button type="button" class="linkbtn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}
