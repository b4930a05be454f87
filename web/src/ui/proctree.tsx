// Who started whom, as a nested list: the same for eyes, ears and paper.
import { useState } from 'preact/hooks';
import { shortName, treeOf } from '../endpoint';
import type { Proc, ProcNode } from '../endpoint';
import { t } from '../i18n';
import { T } from '../text/findings';
import { Badge } from './parts';

const FIRST_MAX = 12; // what is read at a glance; the rest when asked for
const PAPER_MAX = 6; // on a sheet of paper
const DEEP_MAX = 6;   // deeper ones stand under each other

/** when: the moment a process began, as people read it; null where it is not known. */
export function ProcTree({ list, bad, when }: { list: Proc[]; bad: string; when: (p: Proc) => string | null }) {
    const [all, setAll] = useState(false);
    if (!list.length) return <p class="sub">{t(T.treeNone)}</p>;
    const shown = all ? list : list.slice(0, FIRST_MAX);
    return <><p class="sub tree-help">{t(T.treeHelp)}</p><div class="ptree mt-s"><Level nodes={treeOf(shown)} bad={bad} when={when} deep={0} left={{ n: PAPER_MAX }} /></div>
        {list.length > PAPER_MAX && <p class="paper-only num">{t(T.pMore, { n: list.length - PAPER_MAX })}</p>}
        {list.length > shown.length && <p class="no-print"><button type="button" class="linkbtn more num" onClick={() => setAll(true)}>{t(T.pMoreShow, { n: list.length - shown.length })}</button></p>}</>;
}

/* left: how many more go on paper, counted in reading order. */
function Level({ nodes, bad, when, deep, left }: { nodes: ProcNode[]; bad: string; when: (p: Proc) => string | null; deep: number; left: { n: number } }) {
    return <ul class={deep > DEEP_MAX ? 'flat' : undefined}>{nodes.map((n) => <Item n={n} bad={bad} when={when} deep={deep} left={left} />)}</ul>;
}

function Item({ n, bad, when, deep, left }: { n: ProcNode; bad: string; when: (p: Proc) => string | null; deep: number; left: { n: number } }) {
    const paper = left.n-- > 0;
    return <li class={paper ? undefined : 'no-print'}><One p={n.p} bad={bad} when={when} />{n.below.length > 0 && <Level nodes={n.below} bad={bad} when={when} deep={deep + 1} left={left} />}</li>;
}

function One({ p, bad, when }: { p: Proc; bad: string; when: (p: Proc) => string | null }) {
    const at = when(p);
    return <div class={p.exe && p.exe === bad ? 'pr bad' : 'pr'}><p><b>{p.exe ? shortName(p.exe) : t(T.pHidden)}</b>{at && <> <span class="sub num nb">{at}</span></>} <span class="sub num nb">{t(T.pNumber, { n: p.pid })}</span>
        {p.killed ? <> <Badge state="call">{t(T.pKilled)}</Badge></> : p.stopped ? <> <Badge state="look">{t(T.pStopped)}</Badge></> : p.ended ? <span class="sub"> ・ {t(T.pEnded)}</span> : null}</p>
        {p.line && <p class="mono line">{p.line}</p>}</div>;
}
