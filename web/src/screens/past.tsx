// Looking through time: a name in all generations, and what differs between two of them.
import { useRef, useState } from 'preact/hooks';
import { ApiError, api, query } from '../api';
import type { Difference, FoundFile, Generation, Search } from '../api';
import { t } from '../i18n';
import { useList } from '../live';
import { T as C } from '../text/common';
import { T } from '../text/restore';
import { bytesOf, countOf, whenOf } from '../time';
import { Badge, ErrorBox, Loading, SelectField, TextField } from '../ui/parts';
import { UnlockForm, useUnlocked } from '../ui/unlock';

/* Every call looks into a few generations; what is found so far stands on the screen meanwhile. */
export function Everywhere({ source, onPick }: { source: string; onPick: (generation: string, source: string) => void }) {
    const unlocked = useUnlocked();
    const [typed, setTyped] = useState('');
    const [found, setFound] = useState<FoundFile[] | null>(null);
    const [state, setState] = useState<{ text: string; searched: number; busy: boolean; more: boolean }>({ text: '', searched: 0, busy: false, more: false });
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const turn = useRef(0);
    const search = async (e: Event) => {
        e.preventDefault();
        const text = typed.trim(), mine = ++turn.current;
        setBad(text ? null : t(T.xNeed));
        if (!text) return;
        setError(null);
        setFound([]);
        let cursor: string | null = null, searched = 0, more = false;
        const all: FoundFile[] = [];
        try {
            do {
                const page: Search = await api.get<Search>(`/search${query({ text, source, cursor })}`);
                if (turn.current !== mine) return;
                all.push(...page.items);
                searched += page.searched;
                more ||= page.more;
                cursor = page.next;
                setFound([...all]);
                setState({ text, searched, busy: cursor !== null, more });
            } while (cursor);
        } catch (x) { setError(x as ApiError); setState((s) => ({ ...s, busy: false })); }
    };
    const stop = () => { turn.current++; setState((s) => ({ ...s, busy: false })); };
    return <details class="card"><summary>{t(T.xTitle)}</summary><div class="fold stack"><p>{t(T.xLead)}</p>
        {!unlocked ? <UnlockForm /> : <>
            <form class="field-row" onSubmit={search} noValidate><TextField label={t(T.xName)} type="search" value={typed} onInput={setTyped} error={bad} autocomplete="off" />
                {state.busy ? <button type="button" class="btn" onClick={stop}>{t(C.stopIt)}</button> : <button type="submit" class="btn">{t(T.fFindGo)}</button>}</form>
            <ErrorBox error={error} />
            {found && <p role="status">{t(state.busy ? T.xBusy : T.xDone, { text: state.text, n: countOf(found.length), all: countOf(state.searched) })}{state.more && ` ${t(T.xMore)}`}</p>}
            {found && found.length > 0 && <ul class="files files-2">{found.map((f) => <li>
                <span class="nm">{f.name}<small>{f.path}</small><span>{whenOf(f.at)} {f.suspicious ? <Badge state="bad" /> : null} <button type="button" class="linkbtn" onClick={() => onPick(f.generation, f.source)} aria-label={t(T.xPickName, { name: f.name, at: whenOf(f.at) })}>{t(T.xPick)}</button></span></span>
                <span class="meta">{f.kind === 'dir' ? t(T.fFolder) : bytesOf(f.size ?? 0)}{f.mtime && <><br />{whenOf(f.mtime)}</>}</span></li>)}</ul>}</>}
    </div></details>;
}

const CHANGE = { added: ['＋', T.dAdded], removed: ['－', T.dRemoved], changed: ['≠', T.dChanged] } as const;

/* What the chosen generation has that an older one has not, and the other way round. */
export function Differences({ gen, older }: { gen: Generation; older: Generation[] }) {
    const unlocked = useUnlocked();
    const [open, setOpen] = useState(false);
    const [picked, setPicked] = useState('');
    const other = older.find((g) => g.id === picked) ?? older[0];
    const got = useList<Difference>(open && unlocked && other ? `/generations/${gen.id}/diff${query({ with: other.id })}` : null);
    if (!other) return null;
    return <details class="card" onToggle={(e) => setOpen(e.currentTarget.open)}><summary>{t(T.dTitle)}</summary><div class="fold stack">
        <SelectField label={t(T.dWith)} value={other.id} onInput={setPicked} options={older.map((g) => [g.id, whenOf(g.at)])} />
        {!unlocked ? <UnlockForm /> : got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !got.data ? open && <Loading />
            : !got.data.items.length ? <p role="status">{t(T.dNone)}</p>
                : <ul class="files files-2">{got.data.items.map((f) => <li><span class="nm">{f.name}<small><span aria-hidden="true">{CHANGE[f.change][0]}</span> {t(CHANGE[f.change][1])}{f.change === 'changed' && `: ${t(f.what.includes('kind') ? T.dKind : f.what.includes('content') ? T.dContent : T.dMeta)}`}</small><small>{f.path}</small></span>
                    <span class="meta">{f.kind === 'dir' ? t(T.fFolder) : f.was && f.was.size !== f.size ? `${bytesOf(f.was.size ?? 0)} → ${bytesOf(f.size ?? 0)}` : bytesOf(f.size ?? 0)}</span></li>)}</ul>}
        {got.data?.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}
    </div></details>;
}
