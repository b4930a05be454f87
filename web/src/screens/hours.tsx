/* How fast a machine may send at what hour: rows of days, times and a speed, and the week as a picture. */
import { t } from '../i18n';
import type { HourRow } from '../api';
import { T } from '../text/machines';
import { weekday } from '../time';
import { Field, TextField, Tick } from '../ui/parts';

export interface HourDraft { days: number[]; from: string; to: string; kib: string }
const CLINIC: HourDraft = { days: [1, 2, 3, 4, 5, 6], from: '08:30', to: '18:30', kib: '500' };
const ROWS_MAX = 16, DAY = 1440;
const WEEK = [1, 2, 3, 4, 5, 6, 0];

/* A browser's field of time ends at 23:59; midnight as an end is 00:00 there, which says the same: not behind `from`, so the next day's. */
export const draftHours = (rows: HourRow[] | undefined): HourDraft[] => (rows ?? []).map((r) => ({ days: r.days, from: r.from, to: r.to === '24:00' ? '00:00' : r.to, kib: String(r.kib_s) }));
export const hoursOf = (rows: HourDraft[]): HourRow[] => rows.map((r) => ({ days: r.days, from: r.from, to: r.to === '00:00' ? '24:00' : r.to, kib_s: Math.max(0, Math.floor(Number(r.kib) || 0)) }));

const minutes = (s: string): number => Number(s.slice(0, 2)) * 60 + Number(s.slice(3, 5));
/** The stretches of one day a row covers; one over midnight has two. */
export function stretches(r: HourDraft, day: number): [number, number][] {
    const from = minutes(r.from), to = r.to === '00:00' ? DAY : minutes(r.to), out: [number, number][] = [];
    if (!Number.isFinite(from) || !Number.isFinite(to) || from === to) return out;
    if (r.days.includes(day)) out.push([from, from < to ? to : DAY]);
    if (from > to && r.days.includes((day + 6) % 7)) out.push([0, to]);
    return out;
}

function Week({ rows }: { rows: HourDraft[] }) {
    return <svg class="week" viewBox="0 0 280 96" role="img" aria-label={t(T.edHoursPicture)}>
        {[0, 6, 12, 18, 24].map((h) => <g key={h}><line class="week-line" x1={24 + h * 10} x2={24 + h * 10} y1={2} y2={82} /><text class="week-text" x={24 + h * 10} y={93} text-anchor="middle">{h}</text></g>)}
        {WEEK.map((day, i) => <g key={day}><text class="week-text" x={4} y={11 + i * 11.5}>{weekday(day)}</text>
            {[...rows].reverse().map((r) => stretches(r, day).map(([a, b]) => <rect key={`${r.from}${a}`} class={Number(r.kib) ? 'bar' : 'bar-old'} x={24 + a / 6} width={(b - a) / 6} y={4 + i * 11.5} height={8} rx={1} />))}</g>)}
    </svg>;
}

export function HoursField({ rows, onInput, error }: { rows: HourDraft[]; onInput: (r: HourDraft[]) => void; error: string | null }) {
    const set = (i: number, more: Partial<HourDraft>) => onInput(rows.map((r, k) => (k === i ? { ...r, ...more } : r)));
    const flip = (r: HourDraft, day: number, on: boolean) => (on ? [...r.days, day].sort((a, b) => a - b) : r.days.filter((x) => x !== day));
    return <fieldset class="stack field"><legend><b>{t(T.edHours)}</b></legend><p class="small">{t(T.edHoursHelp)}</p>
        {error && <p class="err" role="alert">{error}</p>}
        {rows.map((r, i) => <div key={i} class="stack hour-row"><div class="ticks ticks-row">{WEEK.map((day) => <Tick key={day} type="checkbox" name={`day${i}-${day}`} checked={r.days.includes(day)} onChange={(on) => set(i, { days: flip(r, day, on) })} title={weekday(day)} />)}</div>
            <div class="form-grid"><Field label={t(T.edHoursFrom)}>{(a) => <input class="in num" type="time" value={r.from} onInput={(e) => set(i, { from: e.currentTarget.value })} {...a} />}</Field>
                <Field label={t(T.edHoursTo)}>{(a) => <input class="in num" type="time" value={r.to} onInput={(e) => set(i, { to: e.currentTarget.value })} {...a} />}</Field>
                <TextField label={t(T.edBand)} help={t(T.edBandHelp)} class="num" inputMode="numeric" value={r.kib} onInput={(v) => set(i, { kib: v })} /></div>
            <div class="btn-row"><button type="button" class="btn" onClick={() => onInput(rows.filter((_, k) => k !== i))}>{t(T.edHoursLess, { n: String(i + 1) })}</button></div></div>)}
        {rows.length > 0 && <Week rows={rows} />}
        {rows.length < ROWS_MAX && <div class="btn-row"><button type="button" class="btn" onClick={() => onInput([...rows, { ...CLINIC }])}>{t(rows.length ? T.edHoursMore : T.edHoursFirst)}</button></div>}
    </fieldset>;
}
