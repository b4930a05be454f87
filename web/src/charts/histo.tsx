// Events over time: bars drawn at text size in three widths; each bar is a button that narrows the time.
import { useRef, useState } from 'preact/hooks';
import type { LogCounts } from '../api';
import { t } from '../i18n';
import { T } from '../text/logs';
import { DAY_MS, clock, countOf, dateOf, parts } from '../time';

const TOP = 16, BASE = 132, HEIGHT = 176, LEFT = 44;
const NICE = [10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
export const BUCKETS = 54;
const JST_S = 9 * 3600;

/** Buckets that begin at round times of Japan: where the first begins, how wide, how many. */
export function bucketsOf(from_s: number, until_s: number): { from: number; width: number; n: number } {
    const width = NICE.find((w) => Math.ceil((until_s - from_s) / w) < BUCKETS) ?? Math.ceil((until_s - from_s) / (BUCKETS - 1) / 86400) * 86400;
    const from = Math.floor((from_s + JST_S) / width) * width - JST_S;
    return { from, width, n: Math.max(1, Math.ceil((until_s - from) / width)) };
}

export interface Bar { from: number; until: number; n: number }
/** Neighbours together, so that as many bars are left as a drawing has room for. */
export function barsOf(c: LogCounts, most: number): Bar[] {
    const per = Math.max(1, Math.ceil(c.counts.length / most));
    const out: Bar[] = [];
    for (let i = 0; i < c.counts.length; i += per) {
        const part = c.counts.slice(i, i + per);
        out.push({ from: (c.from_s + i * c.width_s) * 1000, until: (c.from_s + (i + part.length) * c.width_s) * 1000, n: part.reduce((a, b) => a + b, 0) });
    }
    return out;
}

const moment = (ms: number, now: number) => `${dateOf(ms, now)} ${clock(ms)}`;

export function Histogram({ counts, now, onPick }: { counts: LogCounts; now: number; onPick: (b: Bar) => void }) {
    const total = counts.counts.reduce((a, b) => a + b, 0);
    if (!total) return <p>{t(T.histoEmpty)}</p>;
    const rows = barsOf(counts, 27).filter((b) => b.n > 0);
    return <figure class="fig"><p class="sub">{t(T.histoHelp)}</p>
        <div class="tl-l"><Drawing counts={counts} now={now} onPick={onPick} width={716} most={27} /></div>
        <div class="tl-m"><Drawing counts={counts} now={now} onPick={onPick} width={540} most={18} /></div>
        <div class="tl-s"><Drawing counts={counts} now={now} onPick={onPick} width={292} most={9} /></div>
        {counts.late && <figcaption>{t(T.histoLate)}</figcaption>}
        <details class="mt-8"><summary>{t(T.histoTable)}<span class="sub num">{rows.length}</span></summary><div class="fold"><table class="tbl nt"><caption class="vh">{t(T.histo)}</caption>
            <thead><tr><th scope="col">{t(T.time)}</th><th scope="col">{t(T.count)}</th></tr></thead>
            <tbody>{rows.map((b) => <tr><th scope="row" class="num">{moment(b.from, now)}</th><td class="num">{countOf(b.n)}</td></tr>)}</tbody></table></div></details></figure>;
}

function Drawing({ counts, now, onPick, width, most }: { counts: LogCounts; now: number; onPick: (b: Bar) => void; width: number; most: number }) {
    const ref = useRef<SVGSVGElement>(null);
    const bars = barsOf(counts, most);
    const high = Math.max(1, ...bars.map((b) => b.n));
    const tallest = bars.findIndex((b) => b.n === high);
    const [at, setAt] = useState(tallest);
    const cur = Math.min(at, bars.length - 1);
    const pitch = (width - LEFT - 8) / bars.length;
    const x = (i: number) => LEFT + i * pitch;
    const y = (n: number) => BASE - (n ? Math.max(3, (n / high) * (BASE - TOP)) : 0);
    const total = bars.reduce((a, b) => a + b.n, 0);
    const days = bars[bars.length - 1]!.until - bars[0]!.from > 2 * DAY_MS;
    const tick = (ms: number) => { const p = parts(ms); return days ? `${p.m}/${p.d}` : clock(ms); };
    const every = Math.max(1, Math.ceil(bars.length / (width > 400 ? 6 : 3)));
    const key = (e: KeyboardEvent, i: number) => {
        const to = e.key === 'ArrowRight' ? Math.min(bars.length - 1, i + 1) : e.key === 'ArrowLeft' ? Math.max(0, i - 1) : e.key === 'Home' ? 0 : e.key === 'End' ? bars.length - 1 : -1;
        if (to >= 0) {
            e.preventDefault();
            setAt(to);
            ref.current?.querySelectorAll<SVGGElement>('[role=button]')[to]?.focus();
        } else if (e.key === 'Enter' || e.key === ' ') {
            e.preventDefault();
            onPick(bars[i]!);
        }
    };
    return <svg ref={ref} viewBox={`0 0 ${width} ${HEIGHT}`} width={width} height={HEIGHT} role="group"
        aria-label={t(T.histoName, { from: moment(bars[0]!.from, now), until: moment(bars[bars.length - 1]!.until, now), n: countOf(total), at: moment(bars[tallest]!.from, now), most: countOf(high) })}>
        <line class="gr" x1={LEFT} x2={width - 8} y1={TOP} y2={TOP} /><line class="ax" x1={LEFT} x2={width - 8} y1={BASE} y2={BASE} />
        <text x={LEFT - 6} y={TOP + 5} text-anchor="end">{short(high)}</text><text x={LEFT - 6} y={BASE + 5} text-anchor="end">0</text>
        {bars.map((b, i) => <g class="histo-bar" role="button" tabIndex={i === cur ? 0 : -1} aria-label={t(T.histoBar, { from: moment(b.from, now), until: moment(b.until, now), n: countOf(b.n) })}
            onClick={() => onPick(b)} onKeyDown={(e) => key(e, i)} onFocus={() => setAt(i)}>
            <rect class="histo-hit" x={x(i)} y={TOP - 8} width={pitch} height={BASE - TOP + 10} />
            <rect class="bar" x={x(i) + pitch * 0.14} y={y(b.n)} width={pitch * 0.72} height={BASE - y(b.n)} rx={1} /></g>)}
        {bars.map((b, i) => i % every === 0 && i * pitch < width - LEFT - 40 && <text x={x(i)} y={BASE + 20} aria-hidden="true">{tick(b.from)}</text>)}
        {!days && <text class="b" x={LEFT} y={BASE + 40} aria-hidden="true">{dateOf(bars[0]!.from, now)}</text>}
    </svg>;
}

function short(n: number): string {
    return n >= 1e6 ? `${Math.round(n / 1e5) / 10}M` : n >= 10_000 ? `${Math.round(n / 1000)}k` : String(n);
}
