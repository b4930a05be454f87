// Who started whom, as a nested list: the same for eyes, ears and paper.
import { baseName, treeOf } from '../endpoint';
import type { Proc, ProcNode } from '../endpoint';
import { t } from '../i18n';
import { T } from '../text/findings';
import { Badge } from './parts';

const SHOWN_MAX = 60; // more than that is no picture any more; the count says the rest
const DEEP_MAX = 6;   // deeper ones stand under each other

/** when: the moment a process began, as people read it; null where it is not known. */
export function ProcTree({ list, bad, when }: { list: Proc[]; bad: string; when: (p: Proc) => string | null }) {
    if (!list.length) return <p class="sub">{t(T.treeNone)}</p>;
    const shown = list.slice(0, SHOWN_MAX);
    return <><p class="sub">{t(T.treeHelp)}</p><div class="ptree mt-s"><Level nodes={treeOf(shown)} bad={bad} when={when} deep={0} /></div>
        {list.length > shown.length && <p class="sub num">{t(T.pMore, { n: list.length - shown.length })}</p>}</>;
}

function Level({ nodes, bad, when, deep }: { nodes: ProcNode[]; bad: string; when: (p: Proc) => string | null; deep: number }) {
    return <ul class={deep > DEEP_MAX ? 'flat' : undefined}>{nodes.map((n) => <li><One p={n.p} bad={bad} when={when} />{n.below.length > 0 && <Level nodes={n.below} bad={bad} when={when} deep={deep + 1} />}</li>)}</ul>;
}

function One({ p, bad, when }: { p: Proc; bad: string; when: (p: Proc) => string | null }) {
    const at = when(p);
    return <div class={p.exe && p.exe === bad ? 'pr bad' : 'pr'}><p><b>{p.exe ? baseName(p.exe) : t(T.pHidden)}</b>{at && <> <span class="sub num nb">{at}</span></>} <span class="sub num nb">{t(T.pNumber, { n: p.pid })}</span>
        {p.killed ? <> <Badge state="call">{t(T.pKilled)}</Badge></> : p.stopped ? <> <Badge state="look">{t(T.pStopped)}</Badge></> : p.ended ? <span class="sub"> ・ {t(T.pEnded)}</span> : null}</p>
        {p.line && <p class="mono line">{p.line}</p>}</div>;
}
