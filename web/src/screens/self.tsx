// The box itself, among the machines: when it was last saved, save now, and what that is for.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { SelfState } from '../api';
import { manualPath, t } from '../i18n';
import { useGet, useLive } from '../live';
import { T } from '../text/machines';
import { bytesOf, whenOf } from '../time';
import { Badge, ErrorBox, Said } from '../ui/parts';

const MARK = { ok: 'ok', running: 'ok', waiting: 'unknown', late: 'look', failed: 'look' } as const;
const WORD = { ok: T.selfOk, running: T.selfRunning, waiting: T.selfWaiting, late: T.selfLate, failed: T.selfFailed } as const;

export function SelfCard() {
    const got = useGet<SelfState>('/self');
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    useLive('self', got.reload);
    const s = got.data;
    const running = s?.state === 'running';
    useEffect(() => {
        if (!running) return;
        const id = setInterval(got.reload, 2_000);
        return () => clearInterval(id);
    }, [running]);
    const start = async () => {
        setError(null);
        setSaid(null);
        try { await api.post('/self/run', {}); setSaid(t(T.selfStarted)); } catch (e) { setError(e as ApiError); } finally { got.reload(); }
    };
    return <section class="card mt-l" aria-labelledby="sf"><h2 id="sf">{t(T.selfTitle)}</h2><div class="stack"><p>{t(T.selfText)}</p><ErrorBox error={error ?? (s ? null : got.error)} />
        {s && <><p><Badge state={MARK[s.state]} /> {t(WORD[s.state])}{s.state === 'failed' && s.why_text && <span class="sub blk">{s.why_text}</span>}</p>
            <dl class="dl"><div><dt>{t(T.selfSaved)}</dt><dd>{s.saved ? whenOf(s.saved) : '─'}{s.last && <span class="sub"> {bytesOf(s.last.bytes)}</span>}</dd></div>
                {s.logs && <div><dt>{t(T.selfLogs)}</dt><dd><Badge state={MARK[s.logs.state]} /> {s.logs.until ? t(T.selfLogsUntil, { at: whenOf(s.logs.until) }) : t(T.selfLogsNone)}{s.logs.state === 'failed' && s.logs.why_text && <span class="sub blk">{s.logs.why_text}</span>}</dd></div>}
                {s.took_over && <div><dt>{t(T.selfTook)}</dt><dd>{t(T.selfTookText, { at: whenOf(s.took_over.at), saved: whenOf(s.took_over.saved) })}</dd></div>}</dl>
            <p class="sub">{t(T.selfUse)} <a href={manualPath('new-box.html')}>{t(T.selfManual)}</a></p>
            {!running && <div class="btn-row"><button type="button" class="btn" onClick={() => void start()}>{t(T.selfNow)}</button></div>}</>}
        <Said text={said} /></div></section>;
}
