// How an incident went over the machines: a lane a machine, time to the right; the list beside it says the same.
import type { Signal } from '../api';
import { lang, t } from '../i18n';
import { T } from '../text/incident';
import { clock, dateOf } from '../time';

const LANES_MAX = 6;
const MARKS_MAX = 12;
const ROW = 48;
const TOP = 34;

/** The machine of a signal; one that names none belongs to whoever is outside. */
export function laneOf(s: Signal): string {
    return s.entities.find(([kind]) => kind === 'host')?.[1] ?? t(T.outside);
}

const GRAVE = ['informational', 'low', 'medium', 'high', 'critical'];

/** The signals that get a mark, in order of time. When there are too many: the first of each rule, the graver ones before; then the first and last of all; then evenly. */
export function markedOf(list: Signal[]): Signal[] {
    if (list.length <= MARKS_MAX) return list;
    const seen = new Set<string>();
    const firsts = list.map((s, i) => ({ i, s })).filter(({ s }) => !seen.has(s.rule) && seen.add(s.rule))
        .sort((a, b) => GRAVE.indexOf(b.s.level) - GRAVE.indexOf(a.s.level) || a.i - b.i).map(({ i }) => i);
    const even = Array.from({ length: MARKS_MAX }, (_, i) => Math.round((i * (list.length - 1)) / (MARKS_MAX - 1)));
    const chosen = new Set<number>();
    for (const i of [...firsts, 0, list.length - 1, ...even]) if (chosen.size < MARKS_MAX) chosen.add(i);
    return [...chosen].sort((a, b) => a - b).map((i) => list[i]!);
}

export const isBad = (s: Signal) => s.level === 'high' || s.level === 'critical';

export function Lanes({ list }: { list: Signal[] }) {
    const marked = markedOf(list);
    const lanes = [...new Set(marked.map(laneOf))].slice(0, LANES_MAX);
    if (marked.length < 2) return null;
    const few = marked.slice(-6);
    return <figure class="fig">
        <div class="tl-l"><Drawing marked={marked} lanes={lanes} width={716} label={150} /></div>
        <div class="tl-m"><Drawing marked={marked} lanes={lanes} width={540} label={130} /></div>
        <div class="tl-s"><Drawing marked={few} lanes={[...new Set(few.map(laneOf))]} width={292} label={92} before={marked.length - few.length} /></div>
        <figcaption><span class="key"><svg viewBox="0 0 20 20" aria-hidden="true"><circle class="node" cx="10" cy="10" r="7" /></svg>{t(T.keyMild)}</span>
            <span class="key"><svg viewBox="0 0 20 20" aria-hidden="true"><rect class="node-bad" x="3" y="3" width="14" height="14" /></svg>{t(T.keyBad)}</span></figcaption></figure>;
}

/** before: so many of the list come before the first mark; a mark has the number that it has in the list. */
function Drawing({ marked, lanes, width, label, before = 0 }: { marked: Signal[]; lanes: string[]; width: number; label: number; before?: number }) {
    const height = TOP + lanes.length * ROW + 8;
    const x = (i: number) => label + 24 + (i * (width - label - 48)) / Math.max(1, marked.length - 1);
    const y = (s: Signal) => TOP + Math.max(0, lanes.indexOf(laneOf(s))) * ROW + ROW / 2;
    const day = (s: Signal) => dateOf(s.at);
    const chars = Math.floor(label / (lang() === 'ja' ? 12 : 8));
    return <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={t(T.chart, { n: String(marked.length), hosts: lanes.join('、') })}>
        {lanes.map((name, i) => <><rect class={i % 2 ? 'lane-alt' : 'lane'} x={0} y={TOP + i * ROW} width={width} height={ROW} />
            <text class="l" x={8} y={TOP + i * ROW + ROW / 2 + 5}>{name.length > chars ? name.slice(0, chars - 1) + '…' : name}</text></>)}
        <polyline class="path" points={marked.map((s, i) => `${x(i)},${y(s)}`).join(' ')} />
        {marked.map((s, i) => <g>
            {(i === 0 || i === marked.length - 1 || (width > 400 && i % 3 === 0)) && <text x={x(i)} y={16} text-anchor={i === 0 ? 'start' : i === marked.length - 1 ? 'end' : 'middle'}>{i === 0 || day(s) !== day(marked[i - 1]!) ? day(s) : clock(s.at)}</text>}
            {isBad(s) ? <rect class="node-bad" x={x(i) - 12} y={y(s) - 12} width={24} height={24} rx={3} /> : <circle class="node" cx={x(i)} cy={y(s)} r={12} />}
            <text class={isBad(s) ? 'k' : 'b'} x={x(i)} y={y(s) + 5} text-anchor="middle">{before + i + 1}</text></g>)}
    </svg>;
}
