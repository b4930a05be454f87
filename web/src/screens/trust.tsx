// How to make this computer trust the box's own certificate authority.
import type { SetupState } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet } from '../live';
import { T as C } from '../text/common';
import { T } from '../text/trust';
import { Head, Loading, download } from '../ui/parts';

export function TrustScreen() {
    const got = useGet<SetupState>('/setup');
    const s = got.data;
    const how: [Text, Text[]][] = [[T.win, [T.w1, T.w2, T.w3, T.w4, T.w5]], [T.mac, [T.a1, T.a2, T.a3]], [T.ff, [T.f1, T.f2, T.f3, T.f4]], [T.linux, [T.l1, T.l2]]];
    return <><Head title={t(T.title)} lead={t(T.lead)}><button type="button" class="btn btn-sm" onClick={() => window.print()}>{t(C.print)}</button></Head>
        <div class="stack"><section class="card stack" aria-labelledby="fp"><h2 id="fp">{t(T.fp)}</h2>
            {s ? <><p class="fp">{grouped(s.ca_sha256)}</p><p>{t(T.fpText)}</p><p><b>{t(T.fpBad)}</b></p>
                <div class="btn-row"><button type="button" class="btn btn-main" onClick={() => download('sakimori-ca.crt', 'application/x-x509-ca-cert', s.ca_pem)}>{t(T.get)}</button></div>
                {s.names?.length > 0 && <div><p class="eyebrow">{t(T.addresses)}</p><p class="mono">{s.names.join('  ')}</p></div>}</>
                : got.error ? <p role="status">{t(T.fpNone)}</p> : <Loading />}</section>
            <div class="two">{how.map(([title, steps]) => <section class="card"><h2>{t(title)}</h2><ol class="do">{steps.map((x, i) => <li><span class="ic" aria-hidden="true">{i + 1}</span><div><b class="plainb">{t(x)}</b></div></li>)}</ol></section>)}</div>
            <section class="card"><h2>{t(T.phone)}</h2><p>{t(T.phoneText)}</p></section></div></>;
}

function grouped(hex: string): string { return (hex.replace(/[^0-9a-f]/gi, '').toUpperCase().match(/.{1,4}/g) ?? []).join(' '); }
