import { useState } from 'preact/hooks';
import { ApiError, api } from '../api';
import type { Person, Role, Secrets, State } from '../api';
import { t } from '../i18n';
import { useList } from '../live';
import { roleOf, roleWord, useSession } from '../session';
import { T as C } from '../text/common';
import { T } from '../text/people';
import { dateOf, parts, whenOf } from '../time';
import { Badge, Choice, Dialog, ErrorBox, Field, Head, Loading, TextField } from '../ui/parts';
import { TotpPicture } from './setup';

type Ask = { what: 'add' } | { what: 'change' | 'reset' | 'remove'; p: Person };

export function PeopleScreen() {
    const got = useList<Person>('/people');
    const { session } = useSession();
    const [ask, setAsk] = useState<Ask | null>(null);
    const [secrets, setSecrets] = useState<(Secrets & { name: string }) | null>(null);
    const director = roleOf(session) === 'director';
    const may = (p: Person) => director || p.role !== 'director';
    const done = (s?: Secrets & { name: string }) => { setAsk(null); if (s) setSecrets(s); got.reload(); };
    return <><Head title={t(T.title)} lead={t(T.lead)}><button type="button" class="btn btn-main btn-sm" onClick={() => setAsk({ what: 'add' })}>{t(T.add)}</button></Head>
        {got.error && <ErrorBox error={got.error} retry={got.reload} />}
        {!got.data ? !got.error && <Loading /> : <div class="tbl-wrap"><table class="tbl tbl-cards" role="table"><caption class="vh">{t(T.list)}</caption>
            <thead role="rowgroup"><tr role="row">{[T.state, T.name, T.role, T.last, T.totp, T.act].map((x) => <th role="columnheader" scope="col">{t(x)}</th>)}</tr></thead>
            <tbody role="rowgroup">{got.data.items.map((p) => {
                const [state, word] = personState(p);
                return <tr role="row"><td role="cell" class="st"><Badge state={state}><span class="wrap-ok">{word}</span></Badge></td>
                    <th role="rowheader" scope="row">{p.name}<span>{p.account}</span></th><td role="cell" data-l={t(T.role)}>{roleWord(p.role)}{p.until && <small>{t(T.untilAt, { at: dateOf(p.until) })}</small>}</td>
                    <td role="cell" data-l={t(T.last)} class="nb">{p.last_sign_in ? whenOf(p.last_sign_in) : t(T.never)}</td><td role="cell" data-l={t(T.totp)}>{t(p.totp ? T.totpOn : T.totpOff)}</td>
                    <td role="cell" class="acts">{may(p) && <><button type="button" class="linkbtn" onClick={() => setAsk({ what: 'change', p })} aria-label={`${t(T.change)}: ${p.name}`}>{t(T.change)}</button>
                        {director && <button type="button" class="linkbtn" onClick={() => setAsk({ what: 'reset', p })} aria-label={`${t(T.reset)}: ${p.name}`}>{t(T.reset)}</button>}
                        {p.id !== session?.person?.id && <button type="button" class="linkbtn" onClick={() => setAsk({ what: 'remove', p })} aria-label={`${t(T.remove)}: ${p.name}`}>{t(T.remove)}</button>}</>}</td></tr>;
            })}</tbody></table></div>}
        {ask && <PersonDialog ask={ask} director={director} onClose={() => setAsk(null)} onDone={done} />}
        {secrets && <SecretsDialog s={secrets} onClose={() => setSecrets(null)} />}</>;
}

function personState(p: Person): [State, string] {
    if (p.locked) return ['look', t(T.locked)];
    if (p.until && Date.parse(p.until) < Date.now()) return ['unknown', t(T.over)];
    return ['ok', t(T.fine)];
}

function dayText(at: string | null): string {
    if (!at) return '';
    const p = parts(at);
    return `${p.y}-${String(p.m).padStart(2, '0')}-${String(p.d).padStart(2, '0')}`;
}

function PersonDialog({ ask, director, onClose, onDone }: { ask: Ask; director: boolean; onClose: () => void; onDone: (s?: Secrets & { name: string }) => void }) {
    const p = ask.what === 'add' ? null : ask.p;
    const [name, setName] = useState(p?.name ?? '');
    const [account, setAccount] = useState('');
    const [role, setRole] = useState<Role>(p?.role ?? 'staff');
    const [until, setUntil] = useState(dayText(p?.until ?? null));
    const [bad, setBad] = useState<Record<string, string>>({});
    const [error, setError] = useState<ApiError | null>(null);
    const path = p ? `/people/${encodeURIComponent(p.id)}` : '/people';
    const form = ask.what === 'add' || ask.what === 'change';
    const go = async (e: Event) => {
        e.preventDefault();
        const miss: Record<string, string> = {};
        if (form && !name.trim()) miss.name = t(T.needName);
        if (ask.what === 'add' && !/^[A-Za-z0-9._@-]{2,64}$/.test(account.trim())) miss.account = t(T.needAccount);
        if (form && role === 'vendor' && !until) miss.until = t(T.untilNeed);
        setBad(miss);
        setError(null);
        if (Object.keys(miss).length) return;
        const body = { name: name.trim(), role, ...(until ? { until: `${until}T14:59:59Z` } : p?.until ? { until: null } : {}) }; // the end of that day in Japan
        try {
            if (ask.what === 'add') onDone({ ...(await api.post<Secrets>(path, { ...body, account: account.trim() })), name: name.trim() });
            else if (ask.what === 'change') { await api.patch(path, body); onDone(); }
            else if (ask.what === 'reset') onDone({ ...(await api.post<Secrets>(path + '/reset')), name: p!.name });
            else { await api.del(path); onDone(); }
        } catch (x) {
            const err = x as ApiError;
            if (err.code === 'conflict' && ask.what === 'add') setBad({ account: t(T.taken) });
            else if (err.field) setBad({ [err.field]: err.message });
            else setError(err);
        }
    };
    const title = t({ add: T.add, change: T.change, reset: T.resetAsk, remove: T.removeAsk }[ask.what]);
    const roles: [Role, string, string][] = [['staff', t(C.staff), t(T.rStaff)], ['manager', t(C.manager), t(T.rManager)], ['vendor', t(C.vendor), t(T.rVendor)], ...(director ? [['director', t(C.director), t(T.rDirector)] as [Role, string, string]] : [])];
    return <Dialog title={title} onClose={onClose}><form class="stack" onSubmit={go} noValidate><ErrorBox error={error} />
        {!form && <><p><b>{p!.name}</b></p><p>{t(ask.what === 'reset' ? T.resetText : T.removeText)}</p></>}
        {form && <TextField label={t(T.name)} required value={name} onInput={setName} error={bad.name ?? null} autocomplete="off" />}
        {ask.what === 'add' && <TextField label={t(T.account)} help={t(T.accountHelp)} required value={account} onInput={setAccount} error={bad.account ?? null} autocomplete="off" autocapitalize="off" spellcheck={false} />}
        {form && <Choice legend={t(T.role)} name="role" value={role} onInput={setRole} options={roles} />}
        {form && role === 'vendor' && <Field label={t(T.until)} help={t(T.untilHelp)} error={bad.until ?? null}>{(a) => <input class="in num" type="date" value={until} onInput={(e) => setUntil(e.currentTarget.value)} {...a} />}</Field>}
        <div class="btn-row"><button type="submit" class={ask.what === 'remove' ? 'btn btn-stop' : 'btn btn-main'}>{t({ add: T.doAdd, change: C.save, reset: T.reset, remove: T.remove }[ask.what])}</button><button type="button" class="linkbtn" onClick={onClose}>{t(C.stopIt)}</button></div></form></Dialog>;
}

function SecretsDialog({ s, onClose }: { s: Secrets & { name: string }; onClose: () => void }) {
    return <Dialog title={t(T.secretTitle, { name: s.name })} onClose={onClose}><div class="stack"><p><b>{t(T.secretLead)}</b></p>
        {s.first_password && <div><p class="eyebrow">{t(T.firstPassword)}</p><p class="copy">{s.first_password}</p></div>}
        {(s.totp_qr_svg || s.totp_secret) && <div><p class="eyebrow">{t(T.totpPart)}</p><TotpPicture totp={s} /></div>}
        {s.codes && s.codes.length > 0 && <div><p class="eyebrow">{t(T.codesPart)}</p><ol class="codes">{s.codes.map((c) => <li>{c}</li>)}</ol></div>}
        <div class="btn-row"><button type="button" class="btn" onClick={() => printDialog()}>{t(C.print)}</button><button type="button" class="btn btn-main" onClick={onClose}>{t(T.handed)}</button></div></div></Dialog>;
}

/* Prints the open dialog alone: everything behind it stays off the paper. */
function printDialog(): void {
    document.body.classList.add('is-slip');
    window.print();
    document.body.classList.remove('is-slip');
}
