// All times are shown in JST. Days are named as people say them: けさ, きょう, きのう, then the date.
import { lang } from './i18n';

export const DAY_MS = 86_400_000;
const JST_MS = 9 * 3_600_000;
const WEEK_JA = ['日', '月', '火', '水', '木', '金', '土'];
const WEEK_EN = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTH_EN = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export interface Parts { y: number; m: number; d: number; w: number; h: number; min: number }

function ms(at: string | number | Date): number {
    return typeof at === 'number' ? at : new Date(at).getTime();
}

export function parts(at: string | number | Date): Parts {
    const j = new Date(ms(at) + JST_MS);
    return { y: j.getUTCFullYear(), m: j.getUTCMonth() + 1, d: j.getUTCDate(), w: j.getUTCDay(), h: j.getUTCHours(), min: j.getUTCMinutes() };
}

/** Number of the JST day since 1970; two times of one day have the same. */
export function dayNumber(at: string | number | Date): number { return Math.floor((ms(at) + JST_MS) / DAY_MS); }
export function weekday(w: number): string { return lang() === 'ja' ? WEEK_JA[w]! : WEEK_EN[w]!; }

export function clock(at: string | number | Date): string {
    const p = parts(at);
    return `${p.h}:${String(p.min).padStart(2, '0')}`;
}

export function dateOf(at: string | number | Date, now: number = Date.now()): string {
    const p = parts(at);
    const year = p.y !== parts(now).y;
    if (lang() === 'en') return `${WEEK_EN[p.w]} ${p.d} ${MONTH_EN[p.m - 1]}${year ? ' ' + p.y : ''}`;
    return `${year ? wareki(p.y) : ''}${p.m}月${p.d}日(${WEEK_JA[p.w]})`;
}

export function wareki(y: number): string { return y >= 2019 ? `令和${y === 2019 ? '元' : y - 2018}年(${y}年)` : `${y}年`; }

/** 令和8年(2026年) 11月24日(火) */
export function longDate(at: string | number | Date): string {
    const p = parts(at);
    if (lang() === 'en') return `${WEEK_EN[p.w]} ${p.d} ${MONTH_EN[p.m - 1]} ${p.y}`;
    return `${wareki(p.y)} ${p.m}月${p.d}日(${WEEK_JA[p.w]})`;
}

/** For paper, which is read on another day: 令和8年(2026年) 11月24日(火) 8:10 */
export function stampOf(at: string | number | Date): string { return `${longDate(at)} ${clock(at)}`; }

/** きょう 8:10, きのう 23日(月) 3:10, 22日(日) 3:10, 10月22日(木) 3:10 */
export function whenOf(at: string | number | Date, now: number = Date.now()): string {
    return `${dayName(at, now)} ${clock(at)}`;
}

export function dayName(at: string | number | Date, now: number = Date.now()): string {
    const p = parts(at);
    const back = dayNumber(now) - dayNumber(at);
    const ja = lang() === 'ja';
    if (back === 0) return ja ? 'きょう' : 'Today';
    if (back === 1) return ja ? `きのう ${p.d}日(${WEEK_JA[p.w]})` : `Yesterday ${p.d} ${MONTH_EN[p.m - 1]}`;
    if (ja && back > 0 && back < 20 && p.m === parts(now).m) return `${p.d}日(${WEEK_JA[p.w]})`;
    return dateOf(at, now);
}

/** けさ 7:10, きのう 22:40: the large line of "last copy" */
export function bigWhen(at: string | number | Date, now: number = Date.now()): string {
    const back = dayNumber(now) - dayNumber(at);
    const h = parts(at).h;
    if (lang() === 'en') return whenOf(at, now);
    if (back === 0) return `${h < 10 ? 'けさ' : 'きょう'} ${clock(at)}`;
    if (back === 1) return `${h >= 18 ? 'ゆうべ' : 'きのう'} ${clock(at)}`;
    return whenOf(at, now);
}

export function spanOf(seconds: number): string {
    const s = Math.max(0, Math.round(seconds));
    const ja = lang() === 'ja';
    if (s < 60) return ja ? `${s}秒` : `${s} s`;
    const min = Math.round(s / 60);
    if (min < 60) return ja ? `${min}分` : `${min} min`;
    const h = Math.floor(min / 60);
    if (h < 24) {
        const rest = min % 60;
        return ja ? `${h}時間${rest ? `${rest}分` : ''}` : `${h} h${rest ? ` ${rest} min` : ''}`;
    }
    const d = Math.floor(h / 24);
    return ja ? `${d}日` : `${d} day${d === 1 ? '' : 's'}`;
}

/** How long something took: with seconds up to an hour. */
export function tookOf(seconds: number): string {
    const s = Math.max(1, Math.round(seconds));
    if (s < 60 || s >= 3600) return spanOf(s);
    const [m, r] = [Math.floor(s / 60), s % 60];
    return lang() === 'ja' ? `${m}分${r ? `${r}秒` : ''}` : `${m} min${r ? ` ${r} s` : ''}`;
}

export function agoOf(seconds: number): string {
    const s = spanOf(seconds);
    return lang() === 'ja' ? `${s}前` : `${s} ago`;
}

/** unit_of: the largest of a list, so that all of it stands in one unit. */
export function bytesOf(n: number, unit_of: number = n): string {
    const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
    let v = Math.max(0, n);
    let scale = Math.max(0, unit_of);
    let i = 0;
    while (scale >= 999.5 && i < units.length - 1) { v /= 1000; scale /= 1000; i++; }
    if (v > 0 && v < 0.05) return bytesOf(n);
    return `${i === 0 || v >= 100 ? Math.round(v) : v.toFixed(1)} ${units[i]}`;
}

export function countOf(n: number): string { return Math.round(n).toLocaleString('en-US'); }
