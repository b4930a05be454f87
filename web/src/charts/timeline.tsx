// Generations as bars, drawn at text size: a wide, a middle and a narrow drawing, never scaled-down text.
import type { Generation } from '../api';
import { t } from '../i18n';
import { T as C } from '../text/common';
import { T } from '../text/restore';
import { bytesOf, clock, dateOf, dayName, dayNumber, parts, weekday, whenOf } from '../time';
import { Stripes, useId } from '../ui/parts';
import { axisOf, slotsOf } from './slots';
import type { Slot } from './slots';

interface Props { gens: Generation[]; chosen: string | null; now: number; onPick?: (id: string) => void }
const TOP = 58;
const BASE = 208;

export function Timeline(props: Props) {
    const gaps = slotsOf(props.gens, props.now, 15).some((s) => !s.gens.length);
    return <figure class="fig">
        <div class="tl-l"><Drawing {...props} width={716} slots={15} /></div>
        <div class="tl-m"><Drawing {...props} width={540} slots={11} /></div>
        <div class="tl-s"><Drawing {...props} width={292} slots={6} /></div>
        <figcaption><span class="key"><svg viewBox="0 0 20 20" aria-hidden="true"><rect class="bar" x="3" y="2" width="14" height="16" /></svg>{t(T.keyNew)}</span>
            {props.gens.some((g) => g.suspicion.level === 'high') && <span class="key"><KeyBad />{t(T.keyBad)}</span>}
            {gaps && <span class="key"><svg viewBox="0 0 20 20" aria-hidden="true"><path class="z" d="M5 5l10 10m0-10l-10 10" /></svg>{t(T.keyGap)}</span>}
        </figcaption></figure>;
}

function KeyBad() {
    const id = useId('kb');
    return <svg viewBox="0 0 20 20" aria-hidden="true"><defs><Stripes id={id} /></defs><rect class="bar-bad" x="3" y="2" width="14" height="16" fill={`url(#${id})`} /></svg>;
}

function words(slots: Slot[], now: number): string {
    const full = slots.filter((s) => s.gens.length);
    const most = full.reduce<Slot | null>((a, b) => (!a || b.bytes > a.bytes ? b : a), null);
    const bad = full.filter((s) => s.bad);
    const gaps = slots.length - full.length;
    const name = (s: Slot) => (s.single ? whenOf(s.at, now) : dayName(s.at, now));
    return t(T.chart, {
        text: [most && t(T.chartMost, { day: name(most), size: bytesOf(most.bytes) }), ...bad.slice(0, 3).map((s) => t(T.chartBad, { day: name(s), size: bytesOf(s.bytes) })), gaps > 0 && t(T.chartGap, { n: gaps })].filter(Boolean).join(' '),
    });
}

function Drawing({ gens, chosen, now, onPick, width, slots: max }: Props & { width: number; slots: number }) {
    const id = useId('tl');
    const slots = slotsOf(gens, now, max);
    const axis = axisOf(Math.max(0, ...slots.map((s) => s.bytes)));
    const left = 44;
    const right = width - 12;
    const pitch = Math.min(width > 400 ? 60 : 48, (right - left) / Math.max(1, slots.length));
    const w = pitch * 0.62;
    const x = (i: number) => right - (slots.length - i) * pitch + pitch / 2; // newest at the right edge
    const y = (b: number) => BASE - Math.max(b > 0 ? 3 : 0, (b / axis.top) * (BASE - TOP));
    const today = dayNumber(now);
    const firstToday = slots.findIndex((s) => s.day === today);
    const clean = slots.findIndex((s) => s.gens.some((g) => g.last_clean));
    const num = (v: number) => String(Math.round((v / axis.div) * 100) / 100);
    return <svg viewBox={`0 0 ${width} 256`} width={width} height={256} role="img" aria-label={words(slots, now)}><defs><Stripes id={id} /></defs>
        {firstToday >= 0 && <rect class="band" x={x(firstToday) - pitch / 2} y={52} width={(slots.length - firstToday) * pitch} height={156} />}
        {[axis.step, axis.top].map((v) => <line class="gr" x1={left} x2={right} y1={BASE - (v / axis.top) * (BASE - TOP)} y2={BASE - (v / axis.top) * (BASE - TOP)} />)}
        <line class="ax" x1={left} x2={right} y1={BASE} y2={BASE} />
        {[0, axis.step, axis.top].map((v) => <text x={36} y={BASE - (v / axis.top) * (BASE - TOP) + 5} text-anchor="end">{num(v)}</text>)}
        <text x="0" y="44">{axis.unit}</text>
        {slots.map((s, i) => <Column s={s} prev={slots[i - 1]} cx={x(i)} w={w} y={y(s.bytes)} fill={`url(#${id})`} on={s.gens.some((g) => g.id === chosen)} today={today}
            pick={onPick && s.gens.length ? () => onPick(best(s).id) : undefined} />)}
        <DayNames slots={slots} x={x} now={now} />
        {clean >= 0 && <Flag cx={x(clean)} y={y(slots[clean]!.bytes)} left={left} right={width - 2} />}
    </svg>;
}

function best(s: Slot): Generation { return s.gens.find((g) => g.last_clean) ?? s.gens[s.gens.length - 1]!; }

function Column({ s, prev, cx, w, y, fill, on, today, pick }: { s: Slot; prev: Slot | undefined; cx: number; w: number; y: number; fill: string; on: boolean; today: number; pick: (() => void) | undefined }) {
    const p = parts(s.gens.length ? s.at : s.day * 86_400_000);
    const month = !prev || parts(prev.day * 86_400_000).m !== parts(s.day * 86_400_000).m;
    const detail = s.single || s.day === today;
    const label = detail ? clock(s.at) : month ? `${p.m}/${p.d}` : String(p.d);
    return <g class={pick ? 'chart-hit' : undefined} onClick={pick}>
        {s.gens.length === 0 ? <path class="z" d={`M${cx - 6} ${BASE - 18}l12 12m0-12l-12 12`} />
            : s.bad ? <rect class="bar-bad" x={cx - w / 2} y={y} width={w} height={BASE - y} fill={fill} />
                : <rect class={on ? 'bar-sel' : 'bar'} x={cx - w / 2} y={y} width={w} height={BASE - y} rx={1} />}
        {s.bad && on && <rect class="sel-ring" x={cx - w / 2 - 4} y={y - 4} width={w + 8} height={BASE - y + 4} rx={3} />}
        <text x={cx} y={228} text-anchor="middle" class={on || s.bad ? 'b' : ''}>{label}</text>
        {!detail && <text x={cx} y={248} text-anchor="middle">{weekday(p.w)}</text>}
    </g>;
}

/* Under single bars stands the day once, in the middle of them. */
function DayNames({ slots, x, now }: { slots: Slot[]; x: (i: number) => number; now: number }) {
    const today = dayNumber(now);
    const groups: { from: number; to: number; at: number; day: number }[] = [];
    slots.forEach((s, i) => {
        if (!(s.single || s.day === today) || !s.gens.length) return;
        const g = groups[groups.length - 1];
        if (g && g.day === s.day && g.to === i - 1) g.to = i; else groups.push({ from: i, to: i, at: s.at, day: s.day });
    });
    return <>{groups.map((g) => {
        const wide = g.to > g.from;
        const p = parts(g.at);
        const text = g.day === today ? `${dayName(g.at, now)}${wide ? ` ${p.d}(${weekday(p.w)})` : ''}` : wide ? dateOf(g.at, now) : `${p.m}/${p.d}`;
        return <text class="b" x={(x(g.from) + x(g.to)) / 2} y={248} text-anchor={g.to === slots.length - 1 && !wide ? 'middle' : 'middle'}>{text}</text>;
    })}</>;
}

function Flag({ cx, y, left, right }: { cx: number; y: number; left: number; right: number }) {
    const word = t(C.lastClean);
    const w = [...word].reduce((n, c) => n + (c.charCodeAt(0) > 255 ? 14 : 8), 24);
    const fx = Math.max(left - 40, Math.min(right - w, cx - w * 0.8));
    return <><line x1={cx} x2={cx} y1={28} y2={y - 14} class="pin-line" /><path class="pin" d={`M${cx - 7} ${y - 16}h14l-7 11z`} />
        <rect class="pin" x={fx} y="0" width={w} height="30" rx="4" /><text class="k" x={fx + w / 2} y="20" text-anchor="middle">{word}</text></>;
}

/** The small bar beside a generation of the list. */
export function SizeBar({ part, bad }: { part: number; bad: boolean }) {
    const id = useId('sb');
    const w = Math.max(2, Math.round(118 * Math.min(1, part)));
    return <svg width="120" height="16" viewBox="0 0 120 16" aria-hidden="true">{bad ? <><defs><Stripes id={id} /></defs><rect class="bar-bad" x="1" y="1" width={w} height="14" fill={`url(#${id})`} /></>
        : <rect class="bar" width={w} height="16" rx="1" />}</svg>;
}

/** Seven days, today right, square-root height; ✕ no copy (null), nothing before the first one (undefined), stripes suspicious. */
export function Spark({ days }: { days: { bytes: number | null | undefined; bad: boolean }[] }) {
    const id = useId('sp');
    const max = Math.max(1, ...days.map((d) => Math.sqrt(d.bytes ?? 0)));
    const label = days.map((d) => (d.bytes === undefined ? '' : d.bytes === null ? '✕' : bytesOf(d.bytes))).join(' ').trim();
    return <svg class="spark" width={84} height={28} viewBox="0 0 84 28" role="img" aria-label={label}><defs><Stripes id={id} /></defs>
        <line x1="0" x2="84" y1="27.5" y2="27.5" />
        {days.map((d, i) => {
            const x = 1 + i * 12;
            if (d.bytes === undefined) return null;
            if (d.bytes === null) return <path class="z" d={`M${x + 2} 20l5 5m0-5l-5 5`} />;
            const h = Math.max(2.6, (Math.sqrt(d.bytes) / max) * 25);
            return d.bad ? <rect class="bar-bad" x={x} y={27 - h} width={9} height={h} fill={`url(#${id})`} /> : <rect class="bar" x={x} y={27 - h} width={9} height={h} />;
        })}</svg>;
}
