// Taking an evidence pack from the box, piece by piece, into one file.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, fetchPiece } from '../api';
import { t } from '../i18n';
import { T } from '../text/acts';
import { bytesOf } from '../time';
import { ErrorBox, Progress, download } from '../ui/parts';

export function TakePack({ id }: { id: string }) {
    const [at, setAt] = useState<{ n: number; all: number } | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const stop = useRef<AbortController | null>(null);
    useEffect(() => () => stop.current?.abort(), []);
    const take = async () => {
        const c = new AbortController();
        stop.current = c;
        setError(null);
        const parts: ArrayBuffer[] = [];
        try {
            for (let n = 0, all = 1; n < all;) {
                const p = await fetchPiece(`/evidence-packs/${encodeURIComponent(id)}/file?offset=${n}`, c.signal);
                all = Number(p.header('X-Sakimori-Length')) || 0;
                if (!p.bytes.byteLength) break;
                parts.push(p.bytes);
                n += p.bytes.byteLength;
                setAt({ n, all });
            }
            download(`sakimori-evidence-${id}.tar.zst`, 'application/zstd', parts);
        } catch (x) { if (!c.signal.aborted) setError(x as ApiError); }
        setAt(null);
    };
    return <><ErrorBox error={error} />{at ? <><Progress part={at.n} whole={at.all} label={t(T.packTaking)} text={t(T.packPart, { n: bytesOf(at.n, at.all), all: bytesOf(at.all) })} /><button type="button" class="linkbtn" onClick={() => stop.current?.abort()}>{t(T.packStop)}</button></>
        : <button type="button" class="linkbtn no-print" onClick={() => void take()}>{t(T.pack)}</button>}</>;
}
