// The door to the manual: the pages themselves are static, readable without signing in.
import { KeyList, KeysSwitch } from '../keys';
import { manualPath, t } from '../i18n';
import { Link } from '../router';
import { T } from '../text/manual';
import { Head } from '../ui/parts';

export function ManualScreen() {
    const pages: [string, { ja: string; en: string }, { ja: string; en: string }][] = [
        ['setup.html', T.m1, T.m1t], ['every-day.html', T.m2, T.m2t], ['restore.html', T.m3, T.m3t], ['emergency.html', T.m4, T.m4t], ['machines.html', T.m5, T.m5t], ['logs.html', T.m9, T.m9t], ['copies.html', T.m7, T.m7t], ['new-box.html', T.m8, T.m8t],
    ];
    return <><Head title={t(T.title)} lead={t(T.lead)} /><ul class="toc">
        {pages.map(([page, title, text]) => <li><a href={manualPath(page)}><b>{t(title)}</b><span>{t(text)}</span></a></li>)}
        <li><Link href="/trust-ca"><b>{t(T.m6)}</b><span>{t(T.m6t)}</span></Link></li></ul>
        <section class="card mt-l" aria-labelledby="ks"><h2 id="ks">{t(T.keys)}</h2><div class="stack"><KeyList /><KeysSwitch /></div></section></>;
}
