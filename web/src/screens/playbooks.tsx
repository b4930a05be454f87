// Playbooks: what is done about which incident, and its steps as they came about.
import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Incident, List, Playbook, PlaybookAction, BookStep } from '../api';
import { t } from '../i18n';
import type { Text } from '../i18n';
import { useGet, useNow } from '../live';
import { Link } from '../router';
import { isLeader, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/playbook';
import { whenOf } from '../time';
import { Badge, Dialog, Empty, ErrorBox, Head, Loading, Said, SelectField, TextField } from '../ui/parts';
import type { MarkState } from '../ui/parts';

const STATE: Record<BookStep['state'], [MarkState, Text]> = { offered: ['look', T.s_offered], todo: ['look', T.s_todo], done: ['ok', T.s_done], failed: ['call', T.s_failed], skipped: ['unknown', T.s_skipped], undone: ['unknown', T.s_undone], expired: ['unknown', T.s_expired] };

/** The steps of playbooks in the story of an incident. */
export function Responses({ inc, reload }: { inc: Incident; reload: () => void }) {
    const { session } = useSession();
    const now = useNow(60_000);
    const [error, setError] = useState<ApiError | null>(null);
    const act = async (r: BookStep, what: string) => {
        setError(null);
        try { await api.post(`/responses/${r.id}`, { do: what }); reload(); } catch (x) { setError(x as ApiError); }
    };
    const list = inc.responses ?? [];
    if (!list.length) return null;
    const button = (r: BookStep, what: string, word: Text, main = false) => <button type="button" class={`btn btn-sm${main ? ' btn-main' : ''}`} aria-label={`${t(word)}: ${r.text}`} onClick={() => void act(r, what)}>{t(word)}</button>;
    return <section class="card stack" aria-labelledby="rs"><h2 id="rs">{t(T.does)}</h2><ErrorBox error={error} />
        <ul class="lines">{list.map((r) => <li class="response"><Badge state={STATE[r.state][0]}>{t(STATE[r.state][1])}</Badge><div class="stack-s"><p><b>{r.text}</b></p>
            {r.by && r.done && <p class="sub">{t(T.by, { by: r.by === 'sakimori' ? t(T.box) : r.by, at: whenOf(r.done, now) })}</p>}
            {r.state === 'todo' && r.plan.commands && <><p class="sub">{t(T.commands, { device: r.plan.device ?? '' })}</p><div class="raw" tabIndex={0} role="region" aria-label={t(T.commands, { device: r.plan.device ?? '' })}>{r.plan.commands.join('\n')}</div></>}
            {r.state === 'undone' && r.plan.undo_commands && <><p class="sub">{t(T.undoCommands)}</p><div class="raw" tabIndex={0} role="region" aria-label={t(T.undoCommands)}>{r.plan.undo_commands.join('\n')}</div></>}
            {isLeader(session) && <div class="btn-row no-print">
                {r.state === 'offered' && <>{button(r, 'run', T.run, true)}{button(r, 'skip', T.skip)}</>}
                {r.state === 'todo' && <>{button(r, 'done', T.done, true)}{button(r, 'skip', T.skip)}</>}
                {r.plan.undo && (r.state === 'done' || r.state === 'todo' || (r.state === 'failed' && r.plan.undo_request)) && button(r, 'undo', T.undo)}</div>}</div></li>)}</ul></section>;
}

interface Got { items: Playbook[]; actions: PlaybookAction[] }

export function PlaybooksScreen() {
    const { session } = useSession();
    const got = useGet<Got>('/playbooks');
    const [error, setError] = useState<ApiError | null>(null);
    const [ask, setAsk] = useState<Playbook | null>(null);
    const [trying, setTrying] = useState<Playbook | null>(null);
    const go = async (f: () => Promise<unknown>) => {
        setError(null);
        try { await f(); got.reload(); } catch (x) { setError(x as ApiError); }
    };
    const titleOf = (name: string) => got.data?.actions.find((a) => a.name === name)?.title ?? name;
    return <><Head title={t(T.title)} lead={t(T.lead)}><Link class="btn btn-sm" href="/trouble">{t(C.navTrouble)}</Link></Head><ErrorBox error={error ?? got.error} retry={got.reload} />
        {!got.data ? !got.error && <Loading /> : <div class="stack stack-l">
            {!got.data.items.length ? <Empty title={t(T.none)}><p>{t(T.noneText)}</p></Empty>
                : <ul class="list-card">{got.data.items.map((p) => <li class="trouble"><div><h2 class="h3">{p.name}</h2>
                    <p class="sub">{t(p.when.severity?.length === 1 && p.when.severity[0] === 'call' ? T.whenCall : T.whenAll)}・{t(p.enabled ? T.on : T.off)}</p>
                    <ol class="mt-8">{p.steps.map((s) => <li>{titleOf(s.action)}<span class="sub"> {t(s.mode === 'auto' ? T.auto : T.click)} {Object.values(s.params ?? {}).join(' ')}</span></li>)}</ol>
                    <div class="btn-row no-print mt-8"><button type="button" class="btn btn-sm" aria-label={`${t(T.tryIt)}: ${p.name}`} onClick={() => setTrying(p)}>{t(T.tryIt)}</button>
                        {isLeader(session) && <><button type="button" class="btn btn-sm" aria-label={`${t(p.enabled ? T.turnOff : T.turnOn)}: ${p.name}`} onClick={() => void go(() => api.patch(`/playbooks/${p.id}`, { enabled: !p.enabled }))}>{t(p.enabled ? T.turnOff : T.turnOn)}</button>
                            <button type="button" class="btn btn-sm" aria-label={`${t(T.remove)}: ${p.name}`} onClick={() => setAsk(p)}>{t(T.remove)}</button></>}</div></div></li>)}</ul>}
            {isLeader(session) && <Make actions={got.data.actions} reload={got.reload} />}</div>}
        {trying && <Try p={trying} onClose={() => setTrying(null)} />}
        {ask && <Dialog title={t(T.removeAsk)} onClose={() => setAsk(null)}><p><b>{ask.name}</b></p><p>{t(T.removeText)}</p>
            <div class="btn-row mt-s"><button type="button" class="btn btn-main" onClick={() => setAsk(null)}>{t(C.stopIt)}</button><button type="button" class="btn btn-stop" onClick={() => { const p = ask; setAsk(null); void go(() => api.del(`/playbooks/${p.id}`)); }}>{t(T.remove)}</button></div></Dialog>}</>;
}

interface Tried { fits: boolean; steps: { action: string; plan?: { ja: string; en: string }; error?: string }[] }

function Try({ p, onClose }: { p: Playbook; onClose: () => void }) {
    const open = useGet<List<Incident>>('/incidents?open=1&limit=1');
    const [got, setGot] = useState<Tried | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const first = open.data?.items[0];
    const go = async () => { try { setGot(await api.post<Tried>(`/playbooks/${p.id}/try`, { incident: first!.id })); } catch (x) { setError(x as ApiError); } };
    return <Dialog title={`${t(T.tryIt)}: ${p.name}`} onClose={onClose}><div class="stack"><p>{t(T.tryText)}</p><ErrorBox error={error ?? open.error} />
        {open.data && !first && <p><b>{t(T.tryNone)}</b></p>}
        {got && first && <><p>{t(got.fits ? T.tryFits : T.tryNot, { n: String(first.id) })}</p><ol>{got.steps.map((s) => <li>{s.plan ? t(s.plan) : s.error}</li>)}</ol></>}
        <div class="btn-row">{first && !got && <button type="button" class="btn btn-main" onClick={() => void go()}>{t(T.tryIt)}</button>}<button type="button" class="btn" onClick={onClose}>{t(C.close)}</button></div></div></Dialog>;
}

interface Step { action: string; mode: 'auto' | 'click'; params: Record<string, string> }

function Make({ actions, reload }: { actions: PlaybookAction[]; reload: () => void }) {
    const fresh = (): Step => ({ action: actions[0]?.name ?? '', mode: 'click', params: {} });
    const [name, setName] = useState('');
    const [when, setWhen] = useState<'all' | 'call'>('call');
    const [steps, setSteps] = useState<Step[]>(() => [fresh()]);
    const [bad, setBad] = useState<string | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [said, setSaid] = useState<string | null>(null);
    const put = (i: number, s: Partial<Step>) => setSteps(steps.map((x, k) => (k === i ? { ...x, ...s } : x)));
    const paramsOf = (s: Step) => actions.find((a) => a.name === s.action)?.params ?? [];
    const value = (s: Step, p: PlaybookAction['params'][number]) => s.params[p.name] ?? p.one_of?.[0] ?? '';
    const go = async (e: Event) => {
        e.preventDefault();
        setError(null);
        setSaid(null);
        if (!name.trim() || steps.some((s) => paramsOf(s).some((p) => p.needed && !value(s, p).trim()))) return setBad(t(T.need));
        setBad(null);
        const filled = steps.map((s) => ({ action: s.action, mode: s.mode, params: Object.fromEntries(paramsOf(s).map((p) => [p.name, value(s, p).trim()]).filter(([, v]) => v)) }));
        try {
            await api.post('/playbooks', { name: name.trim(), when: when === 'call' ? { severity: ['call'] } : {}, steps: filled });
            setName('');
            setSteps([fresh()]);
            setSaid(t(T.made));
            reload();
        } catch (x) { setError(x as ApiError); }
    };
    return <section class="card stack no-print" aria-labelledby="mk"><h2 id="mk">{t(T.make)}</h2><Said text={said} />
        <form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
            <TextField label={t(T.name)} value={name} onInput={setName} autocomplete="off" />
            <SelectField label={t(T.when)} value={when} onInput={setWhen} options={[['call', t(T.whenCall)], ['all', t(T.whenAll)]]} />
            {steps.map((s, i) => <fieldset class="pick stack"><legend class="h3">{t(T.step, { n: String(i + 1) })}</legend>
                <SelectField label={t(T.action)} value={s.action} onInput={(action) => put(i, { action, params: {} })} options={actions.map((a): [string, string] => [a.name, a.title])} />
                {paramsOf(s).map((p) => p.one_of
                    ? <SelectField label={p.title} value={value(s, p)} onInput={(v) => put(i, { params: { ...s.params, [p.name]: v } })} options={p.one_of.map((v): [string, string] => [v, v])} />
                    : <TextField label={p.needed ? p.title : `${p.title} ${t(T.optional)}`} value={value(s, p)} onInput={(v) => put(i, { params: { ...s.params, [p.name]: v } })} autocomplete="off" />)}
                <SelectField label={t(T.mode)} value={s.mode} onInput={(mode) => put(i, { mode })} options={[['click', t(T.click)], ['auto', t(T.auto)]]} /></fieldset>)}
            <div class="btn-row">{steps.length < 12 && <button type="button" class="btn btn-sm" onClick={() => setSteps([...steps, fresh()])}>{t(T.moreStep)}</button>}
                {steps.length > 1 && <button type="button" class="btn btn-sm" onClick={() => setSteps(steps.slice(0, -1))}>{t(T.lessStep)}</button>}</div>
            {bad && <p class="err" role="alert">{bad}</p>}
            <div class="btn-row"><button type="submit" class="btn btn-main">{t(T.go)}</button></div></form></section>;
}
