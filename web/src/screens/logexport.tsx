// What matches, as a table in a file: fetched piece by piece, so that it can be stopped and says how far it is.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, fetchPiece, query } from '../api';
import { t } from '../i18n';
import { T as C } from '../text/common';
import { T } from '../text/logs';
import { countOf, parts } from '../time';
import { Choice, Dialog, ErrorBox } from '../ui/parts';
import { download } from '../ui/parts';
import type { Asked } from './logs';

const EVENTS_MAX = 1_000_000; // what a spreadsheet holds; the command line has no such bound
type Encoding = 'utf-8' | 'cp932';

export function ExportDialog({ asked, onClose }: { asked: Asked; onClose: () => void }) {
    const [encoding, setEncoding] = useState<Encoding>('utf-8');
    const [n, setN] = useState<number | null>(null);
    const [done, setDone] = useState<{ n: number; replaced: number; cut: boolean } | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const ctl = useRef<AbortController | null>(null);
    useEffect(() => () => ctl.current?.abort(), []);
    const stop = () => { ctl.current?.abort(); setN(null); };
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setDone(null);
        const c = ctl.current = new AbortController();
        const pieces: ArrayBuffer[] = [];
        let next = '', events = 0, replaced = 0;
        setN(0);
        try {
            do {
                const p = await fetchPiece('/logs/export' + query({ q: asked.q, from: new Date(asked.from_s * 1000).toISOString(), until: new Date(asked.until_s * 1000).toISOString(), as: 'csv', encoding, cursor: next }), c.signal);
                if (c.signal.aborted) return;
                pieces.push(p.bytes);
                next = p.header('X-Sakimori-Next');
                events += Number(p.header('X-Sakimori-Events')) || 0;
                replaced += Number(p.header('X-Sakimori-Replaced')) || 0;
                setN(events);
            } while (next && events < EVENTS_MAX);
        } catch (x) {
            if (!c.signal.aborted) { setError(x as ApiError); setN(null); }
            return;
        }
        const d = parts(Date.now()), z = (v: number) => String(v).padStart(2, '0');
        download(`sakimori-logs-${d.y}${z(d.m)}${z(d.d)}-${z(d.h)}${z(d.min)}.csv`, encoding === 'cp932' ? 'text/csv;charset=Windows-31J' : 'text/csv;charset=utf-8', pieces);
        setN(null);
        setDone({ n: events, replaced, cut: !!next });
    };
    return <Dialog title={t(T.export)} onClose={() => { stop(); onClose(); }}><form class="stack" onSubmit={go} noValidate><p>{t(T.exportText)}</p><p class="sub">{t(T.exportRec)}</p><ErrorBox error={error} />
        <Choice legend={t(T.enc)} name="enc" value={encoding} onInput={(v) => { setEncoding(v); setDone(null); }} options={[['utf-8', t(T.enc_utf), t(T.enc_utfHelp)], ['cp932', t(T.enc_sjis), t(T.enc_sjisHelp)]]} />
        <div role="status">{n !== null && <p><b>{t(T.exporting)}</b> <span class="num">{t(T.exportN, { n: countOf(n) })}</span></p>}
            {done && <><p><b>{t(T.exportDone, { n: countOf(done.n) })}</b></p>{done.replaced > 0 && <p>{t(T.exportReplaced, { n: countOf(done.replaced) })}</p>}{done.cut && <p>{t(T.exportCut, { n: countOf(done.n) })}</p>}</>}</div>
        <div class="btn-row">{n === null ? <button type="submit" class="btn btn-main">{t(T.exportGo)}</button> : <button type="button" class="btn" onClick={stop}>{t(T.exportStop)}</button>}
            <button type="button" class="btn" onClick={() => { stop(); onClose(); }}>{t(C.close)}</button></div></form></Dialog>;
}
