// 守り: the screens of guarded machines, and the first of them with every machine's readiness.
import type { List } from '../api';
import type { Posture, FindingHead } from '../endpoint';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useLive, useNow } from '../live';
import { Link, navigate } from '../router';
import type { Place } from '../router';
import { T } from '../text/endpoint';
import { Badge, Empty, ErrorBox, Head, Loading } from '../ui/parts';
import type { MarkState } from '../ui/parts';
import { EndpointPolicyScreen } from './epolicy';
import { FindingScreen } from './finding';
import { FindingRow, FindingsScreen } from './findings';
import { MediaScreen } from './media';
import { QuarantineScreen } from './quarantine';

const TABS: [path: string, word: Text][] = [['/endpoint', T.tabMachines], ['/findings', T.tabFindings], ['/quarantine', T.tabKept], ['/media', T.tabMedia], ['/endpoint/policy', T.tabPolicy]];
export const GUARD_MARK: Record<Posture['state'], MarkState> = { guarded: 'ok', look: 'look', stopped: 'call', none: 'unknown' };
export const GUARD_WORD: Record<Posture['state'], Text> = { guarded: T.guarded, look: T.look, stopped: T.stopped, none: T.none };

export function isGuardedPath(p: string): boolean { return /^\/(endpoint|findings|quarantine|media)(\/|$)/.test(p); }

export function GuardedScreen({ place }: { place: Place }) {
    const [, first, second] = place.path.split('/');
    const here = first === 'endpoint' && second === 'policy' ? '/endpoint/policy' : `/${first}`;
    const one = first === 'findings' && second;
    return <>{!one && <nav class="sub-nav" aria-label={t(T.pages)}>{TABS.map(([href, word]) => <Link href={href} aria-current={href === here ? 'page' : undefined}>{t(word)}</Link>)}</nav>}
        {one ? <FindingScreen id={decodeURIComponent(second!)} key={second} /> : first === 'findings' ? <FindingsScreen place={place} /> : first === 'quarantine' ? <QuarantineScreen /> : first === 'media' ? <MediaScreen />
            : second === 'policy' ? <EndpointPolicyScreen place={place} key={place.query.get('device') ?? ''} /> : <Home />}</>;
}

function Home() {
    const now = useNow(60_000);
    const got = useGet<List<Posture>>('/posture');
    const found = useGet<List<FindingHead>>('/findings?limit=5');
    useLive('device', got.reload);
    useLive('endpoint', got.reload);
    useLive('finding', found.reload);
    if (!got.data) return <><Head title={t(T.nav)} />{got.error ? <ErrorBox error={got.error} retry={got.reload} /> : <Loading />}</>;
    const rank = { stopped: 0, look: 1, guarded: 2, none: 3 };
    const rows = got.data.items.slice().sort((a, b) => rank[a.state] - rank[b.state] || a.score - b.score || a.name.localeCompare(b.name, 'ja'));
    const open = (id: string) => `/machines/${encodeURIComponent(id)}`;
    return <><Head title={t(T.nav)} lead={t(T.homeLead)} />
        {!rows.length ? <Empty title={t(T.homeNone)}><p>{t(T.homeNoneText)}</p></Empty>
            : <div class="tbl-wrap" data-rows><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.tabMachines)}</caption>
                <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">{t(T.cMachine)}</th><th role="columnheader" scope="col">{t(T.cState)}</th><th role="columnheader" scope="col" class="r">{t(T.cScore)}</th><th role="columnheader" scope="col">{t(T.cNext)}</th></tr></thead>
                <tbody role="rowgroup">{rows.map((p) => <tr role="row"><th role="rowheader" scope="row"><a data-row href={open(p.device)} onClick={(e) => { if (!e.ctrlKey && !e.metaKey && !e.shiftKey) { e.preventDefault(); navigate(open(p.device)); } }}><span class="nb">{p.name}</span></a></th>
                    <td role="cell" class="st"><Badge state={GUARD_MARK[p.state]}><span class="wrap-ok">{t(GUARD_WORD[p.state])}</span></Badge>{p.why && <small>{p.why}</small>}</td>
                    <td role="cell" class="r" data-l={t(T.cScore)}><b class="num">{p.score}</b> <span class="sub">{t(T.points)}</span></td>
                    <td role="cell" class="full" data-l={t(T.cNext)}>{p.next ? p.next.todo : t(T.nextNone)}</td></tr>)}</tbody></table></div>}
        {found.data && found.data.items.length > 0 && <section class="mt-l" aria-labelledby="lf"><h2 id="lf">{t(T.latest)}</h2><ul class="list-card mt-s">{found.data.items.map((f) => <FindingRow f={f} now={now} />)}</ul>
            <p><Link class="more" href="/findings">{t(T.allFindings)}</Link></p></section>}
    </>;
}
