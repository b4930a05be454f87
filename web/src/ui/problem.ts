// Why something could not be read or written: 「開くことを許されていません」, with the part of the work where that tells something.
import { lang, t } from '../i18n';
import { T } from '../text/problems';

const USUAL = ['open', 'stat', 'read', 'path'];

export function problemText(p: { error?: string; what?: string }): string {
    const error = p.error ?? '', what = p.what ?? '';
    const text = T[error] ? t(T[error]!) : error, part = T['at ' + what] ? t(T['at ' + what]!) : USUAL.includes(what) && error ? '' : what;
    return text && part ? (lang() === 'ja' ? `${text}(${part})` : `${text} (${part})`) : text || part;
}
