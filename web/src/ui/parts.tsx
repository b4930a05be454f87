// The parts of the design: marks, fields, steps, banners, tables, dialogs. Class names are those of base.css.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import type { ApiError, State } from '../api';
import { t } from '../i18n';
import { T } from '../text/common';
import { spanOf } from '../time';

export type MarkState = State | 'bad';
const WORD = { ok: T.ok, look: T.look, call: T.call, unknown: T.unknown, bad: T.suspicious } as const;
const CLASS = { ok: 'ok', look: 'look', call: 'call', unknown: 'wait', bad: 'call' } as const;
export function stateWord(s: MarkState): string { return t(WORD[s]); }

let serial = 0;
export function useId(prefix: string): string {
    const ref = useRef('');
    if (!ref.current) ref.current = `${prefix}${++serial}`;
    return ref.current;
}

/** Red diagonal stripes: the one pattern that means "suspicious". */
export function Stripes({ id }: { id: string }) {
    return <pattern id={id} width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="8" height="8" class="stripe-bg" /><rect width="3.5" height="8" class="stripe-fg" /></pattern>;
}

export function Mark({ state, label, class: c = '' }: { state: MarkState; label?: string; class?: string }) {
    const id = useId('mk');
    const a11y: JSX.SVGAttributes<SVGSVGElement> = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
    if (state === 'bad') return <svg class={`mark ${c}`} viewBox="0 0 24 24" {...a11y}><defs><Stripes id={id} /></defs>
        <rect class="bar-bad" x="3" y="3" width="18" height="18" fill={`url(#${id})`} /></svg>;
    return <svg class={`mark ${c}`} viewBox="0 0 48 48" {...a11y}>
        {state === 'ok' && <><circle class="bg-ok" cx="24" cy="24" r="20" stroke-width="4.5" /><path class="fg-ok" d="M14.5 24.5l6.5 6.5 13-14" fill="none" stroke-width="5" stroke-linecap="round" stroke-linejoin="round" /></>}
        {state === 'look' && <><path class="bg-look" d="M24 5.5L44.5 41.5H3.5Z" stroke-width="3" stroke-linejoin="round" /><path class="fg-look" d="M24 18v11" stroke-width="4.5" stroke-linecap="round" /><circle class="fg-look" cx="24" cy="35.4" r="1.4" stroke-width="2" /></>}
        {state === 'call' && <><rect class="bg-call" x="4" y="4" width="40" height="40" rx="5" /><g transform="rotate(-45 24 24)"><path class="fg-call" stroke="none" d="M10.5 24.2c0-4.6 5.9-8.2 13.5-8.2s13.500 3.600 13.500 8.200v3.300c0 1.100-.9 2-2 2h-5c-1.100 0-2-.9-2-2v-3.600c-1.300-.5-2.900-.8-4.500-.8s-3.200.3-4.500.8v3.600c0 1.100-.9 2-2 2h-5c-1.100 0-2-.9-2-2z" /></g></>}
        {state === 'unknown' && <><circle class="bg-wait" cx="24" cy="24" r="20" stroke-width="3.5" stroke-dasharray="6 4.5" /><path class="fg-wait" d="M24 13v11.5l7.5 5" stroke-width="4" stroke-linecap="round" stroke-linejoin="round" /></>}
    </svg>;
}

export function Badge({ state, children }: { state: MarkState; children?: ComponentChildren }) {
    return <span class={`badge badge-${CLASS[state]}`}><Mark state={state} />{children ?? stateWord(state)}</span>;
}

export function Banner({ state, title, children, alert }: { state: State; title: string; children?: ComponentChildren; alert?: boolean }) {
    return <div class={`ban ban-${CLASS[state]}`} role={alert ? 'alert' : undefined}>
        <Mark state={state} /><div><p class="t">{title}</p>{children}</div></div>;
}

export function Head({ title, lead, children }: { title: string; lead?: ComponentChildren; children?: ComponentChildren }) {
    return <div class="head"><div><h1>{title}</h1>{lead && <p>{lead}</p>}</div>{children && <div class="btn-row">{children}</div>}</div>;
}

export function Steps({ labels, at, label }: { labels: string[]; at: number; label: string }) {
    return <ol class={`steps${labels.length > 3 ? ' steps-many' : ''}`} aria-label={label}>
        {labels.map((s, i) => <li class={i < at ? 'done' : undefined} aria-current={i === at ? 'step' : undefined}>
            <span class="n">{i + 1}</span><span>{s}{i < at && <span class="vh">{t(T.done)}</span>}</span></li>)}
    </ol>;
}

interface FieldProps { label: string; help?: ComponentChildren; error?: string | null; required?: boolean; children: (a: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: 'true' }) => ComponentChildren }
export function Field({ label, help, error, required, children }: FieldProps) {
    const id = useId('f');
    const by = [help && id + 'h', error && id + 'e'].filter(Boolean).join(' ');
    return <div class="field"><label for={id}>{label}{required && <span class="req"> {t(T.required)}</span>}</label>
        {help && <span class="help" id={id + 'h'}>{help}</span>}
        {children({ id, ...(by ? { 'aria-describedby': by } : {}), ...(error ? { 'aria-invalid': 'true' as const } : {}) })}
        {error && <span class="err" id={id + 'e'}><Mark state="look" />{error}</span>}</div>;
}

type InputProps = Omit<JSX.InputHTMLAttributes<HTMLInputElement>, 'onInput' | 'label'>;
export function TextField({ label, help, error, required, value, onInput, class: c, ...rest }: Omit<FieldProps, 'children'> & InputProps & { value: string; onInput: (v: string) => void }) {
    return <Field label={label} help={help} error={error} required={required}>
        {(a) => <input class={`in ${typeof c === 'string' ? c : ''}`} value={value} required={required} onInput={(e) => onInput(e.currentTarget.value)} {...rest} {...a} />}</Field>;
}

/** Password with a button that shows it: what is typed from paper must be readable. */
export function SecretField({ label, help, error, value, onInput, autocomplete, required }: Omit<FieldProps, 'children'> & { value: string; onInput: (v: string) => void; autocomplete: string }) {
    const [shown, show] = useState(false);
    return <div class="stack-s"><TextField label={label} help={help} error={error} required={required} value={value} onInput={onInput} type={shown ? 'text' : 'password'} autocomplete={autocomplete as 'off'} autocapitalize="off" spellcheck={false} />
        <label class="mini"><input type="checkbox" checked={shown} onChange={(e) => show(e.currentTarget.checked)} /><span>{t(T.show)}</span></label></div>;
}

export function AreaField({ label, help, error, required, value, onInput, rows = 3 }: Omit<FieldProps, 'children'> & { value: string; onInput: (v: string) => void; rows?: number }) {
    return <Field label={label} help={help} error={error} required={required}>
        {(a) => <textarea class="in area" rows={rows} value={value} required={required} onInput={(e) => onInput(e.currentTarget.value)} {...a} />}</Field>;
}

export function SelectField<V extends string>({ label, help, error, value, onInput, options }: Omit<FieldProps, 'children'> & { value: V; onInput: (v: V) => void; options: [V, string][] }) {
    return <Field label={label} help={help} error={error}>
        {(a) => <select class="sel" value={value} onChange={(e) => onInput(e.currentTarget.value as V)} {...a}>
            {options.map(([v, s]) => <option value={v} selected={v === value}>{s}</option>)}</select>}</Field>;
}

export function Tick({ type, name, checked, onChange, title, text }: { type: 'radio' | 'checkbox'; name: string; checked: boolean; onChange: (on: boolean) => void; title: ComponentChildren; text?: ComponentChildren }) {
    return <label class="tick"><input type={type} name={name} checked={checked} onChange={(e) => onChange(e.currentTarget.checked)} />
        <span><b>{title}</b>{text && <span class="t">{text}</span>}</span></label>;
}

export function Choice<V extends string>({ legend, name, value, onInput, options, hidden, heading }: { legend: string; name: string; value: V; onInput: (v: V) => void; options: [V, string, string?][]; hidden?: boolean; heading?: boolean }) {
    return <fieldset class="pick"><legend class={hidden ? 'vh' : heading ? undefined : 'lab'}>{heading ? <h2>{legend}</h2> : legend}</legend><div class="ticks mt-8">
        {options.map(([v, title, text]) => <Tick type="radio" name={name} checked={v === value} onChange={() => onInput(v)} title={title} text={text} />)}</div></fieldset>;
}

export function Progress({ part, whole, label, text }: { part: number; whole: number; label: string; text: string }) {
    const p = whole > 0 ? Math.min(100, Math.floor((part * 100) / whole)) : 0;
    return <div><p><b>{label}</b> <span class="num">{text}</span></p>
        <svg class="progbar" width="100%" height="16" role="progressbar" aria-label={label} aria-valuenow={p} aria-valuemin={0} aria-valuemax={100}>
            <rect class="pb-bg" x="0" y="0" width="100%" height="16" rx="8" /><rect class="pb-fg" x="0" y="0" width={`${p}%`} height="16" rx="8" /></svg></div>;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
    return <div class="empty"><h2>{title}</h2>{children}</div>;
}

/** Nothing under 300 ms, then a skeleton and one sentence with a length of time. */
export function Loading() {
    const [late, set] = useState(false);
    useEffect(() => {
        const id = setTimeout(() => set(true), 300);
        return () => clearTimeout(id);
    }, []);
    return <div role="status" class="loading">{late && <><p><b>{t(T.loading)}</b> <span class="sub">{t(T.loadingHelp)}</span></p>
        <div class="stack mt-8" aria-hidden="true"><div class="skel" /><div class="skel" /><div class="skel" /></div></>}</div>;
}

/** What went wrong in plain words; the code only in the fold. */
export function errorText(e: ApiError): { title: string; text: string } {
    if (e.noAnswer) return { title: t(T.errNoAnswer), text: t(T.errNoAnswerDo) };
    if (e.code === 'denied') return { title: t(T.errDenied), text: e.message || t(T.errDeniedDo) };
    if (e.code === 'rate' || e.code === 'locked') return { title: t(T.errRate), text: t(T.errRateDo, { wait: spanOf(e.body.wait_s ?? 60) }) };
    if (e.code === 'not_found') return { title: t(T.errNotFound), text: e.message || t(T.errNotFoundDo) };
    return { title: t(T.errOther), text: e.message || t(T.errOtherDo) };
}

export function ErrorBox({ error, retry }: { error: ApiError | null; retry?: () => void }) {
    if (!error) return null;
    const { title, text } = errorText(error);
    return <div class="ban ban-look" role="alert"><Mark state="look" /><div class="min0"><p class="t">{title}</p><p>{text}</p>
        {retry && <p class="mt-8"><button type="button" class="btn btn-sm" onClick={retry}>{t(T.again)}</button></p>}
        <details class="code"><summary>{t(T.errFold)}</summary><p class="mono">{error.status} {error.code}</p></details></div></div>;
}

/** Success said once, politely. */
export function Said({ text }: { text: string | null }) {
    return <div role="status" class="said">{text && <Badge state="ok">{text}</Badge>}</div>;
}

export function Dialog({ title, onClose, children, wide }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
    const ref = useRef<HTMLDialogElement>(null);
    const id = useId('d');
    useEffect(() => {
        const d = ref.current;
        const before = document.activeElement as HTMLElement | null;
        if (d && !d.open) d.showModal();
        return () => {
            d?.close();
            before?.focus?.();
        };
    }, []);
    return <dialog ref={ref} class={`dialog ph${wide ? ' dialog-wide' : ''}`} aria-labelledby={id} onCancel={(e) => { e.preventDefault(); onClose(); }}>
        <h2 id={id} tabIndex={-1}>{title}</h2>{children}</dialog>;
}

/** QR codes come from the box as SVG text; shown as an image, so nothing in them can act. */
export function Qr({ svg, label }: { svg: string; label: string }) {
    return <img class="qr" alt={label} src={'data:image/svg+xml;utf8,' + encodeURIComponent(svg)} />;
}

export function Tel({ phone, name }: { phone: string; name?: string }) {
    return <div class="tel">{name && <span class="eyebrow">{name}</span>}<a href={telHref(phone)}>{phone}</a></div>;
}
export function telHref(phone: string): string { return 'tel:' + phone.replace(/[^0-9+#*]/g, ''); }

export function download(name: string, type: string, text: BlobPart | BlobPart[]): void {
    const url = URL.createObjectURL(new Blob(Array.isArray(text) ? text : [text], { type }));
    const a = document.createElement('a');
    a.href = url;
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Values from the box may begin with = + - @, behind blanks or in their wide form: in a spreadsheet that must stay text. */
export function csv(rows: string[][]): string {
    const cell = (s: string) => '"' + (/^[\t\r]|^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/u.test(s) ? "'" + s : s).replaceAll('"', '""') + '"';
    return '\ufeff' + rows.map((r) => r.map(cell).join(',')).join('\r\n') + '\r\n';
}
