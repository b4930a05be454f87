// One event: its fields, each of which can narrow the search, and the bytes as they came.
import type { LogItem } from '../api';
import { t } from '../i18n';
import { useGet } from '../live';
import { T } from '../text/logs';
import { bytesOf, clock, dateOf, parts } from '../time';
import { ErrorBox, Loading } from '../ui/parts';

const HEX_MAX = 2048;
const ENCODINGS: [string, string][] = [['shift_jis', 'CP932'], ['euc-jp', 'EUC-JP'], ['utf-16le', 'UTF-16']];
/* What every event has and no query asks for in this form. */
const NO_TERM = new Set(['@timestamp', '@seen', '@notes']);

export function dayTime(iso: string, now: number): string {
    const s = Date.parse(iso);
    if (!s) return '';
    return `${dateOf(s, now)} ${clock(s)}:${String(new Date(s).getUTCSeconds()).padStart(2, '0')}`;
}

/** What a line of the list shows: the message, or the record as it came. */
export function textOf(x: LogItem): string {
    const m = x.event['Message'];
    return typeof m === 'string' && m ? m : x.raw ?? Object.entries(x.event).filter(([k, v]) => !k.startsWith('@') && typeof v === 'string').map(([, v]) => v).join(' ');
}

const quote = (v: string) => '"' + v.replaceAll('\\', '\\\\').replaceAll('"', '\\"') + '"';
/** The condition for exactly this value; null where the language has none. */
export function termOf(field: string, value: string): string | null {
    if (NO_TERM.has(field) || !/^[\p{L}\p{N}_.@/-]+$/u.test(field) || [...value].length > 300) return null;
    return /^[\w.:-]+$/.test(value) && value !== '' ? `${field}=${value}` : `${field}=${quote(value)}`;
}

function rowsOf(event: Record<string, unknown>): [string, string][] {
    const out: [string, string][] = [];
    for (const [k, v] of Object.entries(event))
        for (const one of Array.isArray(v) ? v : [v]) out.push([k, typeof one === 'object' && one !== null ? JSON.stringify(one) : String(one)]);
    return out;
}

export function LogEvent({ id, add }: { id: number; add: (term: string) => void }) {
    const got = useGet<LogItem>(`/logs/events/${id}`);
    if (!got.data) return <div class="ev-in">{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</div>;
    const x = got.data;
    return <div class="ev-in stack">
        <Raw x={x} />
        <h3 class="h3">{t(T.fields)}</h3><table class="tbl nt tbl-cards ev-f"><caption class="vh">{t(T.fields)}</caption>
            <thead><tr><th scope="col">{t(T.field)}</th><th scope="col">{t(T.value)}</th><th scope="col"><span class="vh">{t(T.narrow)}</span></th></tr></thead>
            <tbody>{rowsOf(x.event).map(([k, v]) => { const term = termOf(k, v); return <tr><th scope="row" class="mono">{k}</th><td data-l={t(T.value)} class="mono">{/^@(timestamp|seen)$/.test(k) ? `${whenLong(v)}` : v}</td>
                <td class="acts no-print">{term && <span class="btn-row"><button type="button" class="btn btn-sm" aria-label={`${t(T.narrow)}: ${k} ${v.slice(0, 60)}`} onClick={() => add(term)}>{t(T.narrow)}</button>
                    <button type="button" class="btn btn-sm" aria-label={`${t(T.without)}: ${k} ${v.slice(0, 60)}`} onClick={() => add('-' + term)}>{t(T.without)}</button></span>}</td></tr>; })}</tbody></table>
        {x.rules.length > 0 && <div><h3 class="h3">{t(T.ruleList)}</h3><ul class="mono">{x.rules.map((r) => <li>{r}</li>)}</ul></div>}</div>;
}

function whenLong(iso: string): string {
    const s = Date.parse(iso), p = parts(s);
    return s ? `${p.y}-${String(p.m).padStart(2, '0')}-${String(p.d).padStart(2, '0')} ${clock(s)}:${String(new Date(s).getUTCSeconds()).padStart(2, '0')} (JST)` : iso;
}

function Raw({ x }: { x: LogItem }) {
    const bytes = x.raw_b64 ? Uint8Array.from(atob(x.raw_b64), (c) => c.charCodeAt(0)) : null;
    const decoded = bytes ? decode(bytes) : null;
    return <div><h3 class="h3">{t(T.rawAs)}</h3>
        {bytes ? <>{decoded && <><p class="mt-8">{t(T.rawDecoded, { name: decoded.name })}</p><pre class="raw" tabIndex={0}>{decoded.text}</pre></>}
            <p class="sub mt-8">{t(T.rawBytes)}</p><pre class="raw" tabIndex={0}>{hex(bytes.subarray(0, HEX_MAX))}</pre>{bytes.length > HEX_MAX && <p class="sub">{t(T.rawCut, { n: bytesOf(HEX_MAX) })}</p>}</>
            : <pre class="raw" tabIndex={0}>{x.raw ?? ''}</pre>}
        {x.raw_bytes && <p class="sub">{t(T.rawCut, { n: bytesOf((x.raw ?? '').length || bytes?.length || 0) })}</p>}</div>;
}

function decode(bytes: Uint8Array): { name: string; text: string } | null {
    for (const [label, name] of ENCODINGS) {
        if (label === 'utf-16le' && !(bytes[0] === 0xff && bytes[1] === 0xfe)) continue;
        try { return { name, text: new TextDecoder(label, { fatal: true }).decode(bytes) }; } catch { /* the next */ }
    }
    return null;
}

/* 16 bytes a line, with the ASCII ones beside them. */
function hex(bytes: Uint8Array): string {
    const lines: string[] = [];
    for (let i = 0; i < bytes.length; i += 16) {
        const part = [...bytes.subarray(i, i + 16)];
        lines.push(`${i.toString(16).padStart(6, '0')}  ${part.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47)}  ${part.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : '.')).join('')}`);
    }
    return lines.join('\n');
}
