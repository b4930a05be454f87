// The emergency card: one A4 page, black on white. Its data is kept in the browser, so that it opens with the box down.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Card, Contact } from '../api';
import { lang, t } from '../i18n';
import { Link } from '../router';
import { institutionName, isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/card';
import { longDate, parts, wareki } from '../time';

const KEPT = 'sakimori.card';
const ROWS_MAX = 9; // more than fit one page with the steps
function kept(): Card | null { try { return JSON.parse(localStorage.getItem(KEPT) ?? 'null') as Card | null; } catch { return null; } }

export function CardScreen({ down }: { down: boolean }) {
    const { session } = useSession();
    const [card, setCard] = useState<Card | null>(kept());
    const [error, setError] = useState<ApiError | null>(null);
    const here = session !== null && session.kind !== 'setup';
    useEffect(() => {
        if (!here) return;
        api.get<Card>('/card').then((c) => {
            setCard(c);
            setError(null);
            try { localStorage.setItem(KEPT, JSON.stringify(c)); } catch { /* full or private: only this page has it */ }
        }, (e: ApiError) => setError(e));
    }, [here]);
    const name = card?.institution || institutionName(session);
    return <><div class="paper-bar btn-row"><button type="button" class="btn btn-main" onClick={() => window.print()}>{t(T.print)}</button>
        {here && <Link class="more" href="/">{t(C.navToday)}</Link>}{isLeader(session) && <Link class="more" href="/settings">{t(T.setting)}</Link>}
        <p>{t(T.hang)}</p>{(down || error?.noAnswer) && card && <p role="status">{t(T.kept)}</p>}{!here && !down && !card && <p>{t(T.signIn)}</p>}</div>
        <Sheet name={name} contacts={card?.contacts ?? []} /></>;
}

function Sheet({ name, contacts }: { name: string; contacts: Contact[] }) {
    const now = Date.now();
    const rows: [string, { ja: string; en: string }, { ja: string; en: string }[]][] = [
        ['0–3', T.t1, [T.t1a, T.t1b]], ['3–5', T.t2, [T.t2a, T.t2b]], ['5–10', T.t3, [T.t3a, T.t3b]], ['10–15', T.t4, [T.t4a, T.t4b]], ['15–25', T.t5, [T.t5a, T.t5b]], ['25–30', T.t6, [T.t6a, T.t6b]],
    ];
    const blank: Contact[] = [T.p1, T.p2, T.p3, T.p4, T.p5].map((x) => ({ name: t(x), role: '', phone: x === T.p4 ? '#9110' : '', hours: '', note: '', checked_on: null }));
    const list = (contacts.length ? contacts : blank).slice(0, ROWS_MAX);
    return <article class="sheet"><div class="c-top"><div><h1>{t(T.title)}</h1><p>{t(T.lead)}</p></div><div class="clk">{t(T.follow)}<b>{t(T.thirty)}</b></div></div>
        <div class="c-calm"><span>{t(T.calm)}</span><span class="nb">{t(T.noticed)} <span class="c-fill" /></span></div>
        <section class="c-dont"><h2>{t(T.dont)}</h2><ul>{[T.d1, T.d2, T.d3, T.d4].map((x) => <li><span class="c-x" aria-hidden="true"><svg viewBox="0 0 12 12"><path d="M1.500 1.500l9 9m0-9l-9 9" stroke="#fff" stroke-width="2.500" /></svg></span><span>{t(x)}</span></li>)}</ul></section>
        <div class="c-steps">{rows.map(([time, title, items]) => <div class="c-row"><div class="c-time"><b>{time}<small>{t(T.min)}</small></b></div>
            <div class="c-do"><h2>{t(title)}</h2><ul>{items.map((x) => <li><span class="c-box" aria-hidden="true" /><span>{t(x)}</span></li>)}</ul></div></div>)}</div>
        <table class={`c-tel${list.length > 6 ? ' c-tel-many' : ''}`}><caption>{t(T.phones)}{!contacts.length && `(${t(T.noPhones)})`}</caption><tbody>{list.map((c, i) => <tr><th scope="row">{i + 1} {c.name}</th>
            <td class="no">{c.phone ? <a href={'tel:' + c.phone.replace(/[^0-9+#*]/g, '')}>{c.phone}</a> : ''}</td><td>{[c.hours, c.note].filter(Boolean).join(' ')}</td></tr>)}</tbody></table>
        <p class="c-say"><b>{t(T.say)}</b> {t(T.sayText, { name: name || '　　　　' })}<span class="c-fill" />{t(T.sayEnd)}</p>
        <div class="c-foot"><span>{name} {t(T.printed, { at: longDate(now) })}</span><span>{t(T.review, { at: reviewText(now) })} ・ Sakimori(防人)</span></div></article>;
}

/** The numbers are due again in half a year. */
function reviewText(now: number): string {
    const p = parts(now + 182 * 86_400_000);
    return t(T.month, { y: lang() === 'ja' ? wareki(p.y).replace(/\(.*$/, '') : p.y, m: p.m });
}
