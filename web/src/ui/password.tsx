// The rules of passwords, said before and while typing; the box has the last word.
import type { ApiError } from '../api';
import { t } from '../i18n';
import { T } from '../text/signin';
import { Mark } from './parts';

export function PasswordRules({ value, names }: { value: string; names: string[] }) {
    const low = value.toLowerCase();
    const rules: [string, boolean | null][] = [
        [t(T.ruleLength), [...value].length >= 8],
        [t(T.ruleMix), /[a-z]/i.test(value) && /[0-9]/.test(value)],
        [t(T.ruleName), value.length > 0 && !names.some((n) => n.length >= 3 && low.includes(n.toLowerCase()))],
        [t(T.ruleBan), null],
    ];
    return <div><p class="eyebrow">{t(T.rulesTitle)}</p><ul class="rules mt-8">
        {rules.map(([text, met]) => <li><Mark state={met ? 'ok' : 'unknown'} label={met === null ? '' : t(met ? T.ruleMet : T.ruleOpen)} /><span>{text}</span></li>)}</ul></div>;
}

/** The reason of the box in plain words; null when the error is about something else. */
export function passwordReason(e: ApiError): string | null {
    if (e.body.reason && e.message) return e.message; // already in the language asked for
    const why = (e.body.reason ?? (e.field === 'password' || e.field === 'new' ? e.code : '')).toLowerCase();
    if (!why) return null;
    if (why.startsWith('short')) return t(T.badShort);
    if (why === 'letters_digits' || why.startsWith('no_')) return t(T.badMix);
    if (why === 'banned' || why === 'common') return t(T.badCommon);
    if (why === 'repeated') return t(T.badRepeat);
    if (why.startsWith('contains') || why.startsWith('has_')) return t(T.badName);
    return t(T.badOther);
}
