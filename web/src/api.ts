// The only file that speaks HTTP. docs/API.md is the contract.
import type { FindingHead } from './endpoint';
import { lang } from './i18n';

export const BASE = '/api/v1';
let csrf = '';
export function setCsrf(token: string | undefined): void { if (token) csrf = token; }

export class ApiError extends Error {
    constructor(readonly status: number, readonly code: string, message: string, readonly body: ErrorBody = {}) { super(message); }
    get field(): string | undefined { return this.body.field; }
    /** No answer at all: the box is off, or a cable is out. */
    get noAnswer(): boolean { return this.status === 0; }
}
interface ErrorBody { at?: number; code?: string; message?: string; field?: string; wait_s?: number; tries_left?: number; reason?: string; n?: number; which?: string }

let lost: () => void = () => {};
/** What to do when the session has ended in the middle of work. */
export function onSessionLost(f: () => void): void { lost = f; }
let heard: () => void = () => {};
export function onHeard(f: () => void): void { heard = f; }

async function call<T>(method: string, path: string, body?: unknown, quiet = false, signal?: AbortSignal): Promise<T> {
    const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': lang() };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (method !== 'GET' && csrf) headers['X-CSRF-Token'] = csrf;
    let r: Response;
    try {
        r = await fetch(BASE + path, {
            method, headers, credentials: 'same-origin', cache: 'no-store', ...(signal ? { signal } : {}),
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
    } catch {
        throw new ApiError(0, 'no_answer', '');
    }
    heard();
    const text = await r.text();
    let json: unknown = null;
    try { json = text ? JSON.parse(text) : null; } catch { throw new ApiError(r.status, 'unavailable', ''); }
    if (r.ok) return json as T;
    const e = (json as { error?: ErrorBody } | null)?.error ?? {};
    if (r.status === 401 && !quiet && e.code !== 'totp_needed') lost();
    throw new ApiError(r.status, e.code ?? 'internal', e.message ?? '', e);
}

/** A file, or a piece of one, with the headers that say more about it. */
export async function fetchPiece(path: string, signal: AbortSignal): Promise<{ bytes: ArrayBuffer; header: (name: string) => string }> {
    let r: Response;
    try {
        r = await fetch(BASE + path, { headers: { 'Accept-Language': lang() }, credentials: 'same-origin', cache: 'no-store', signal });
    } catch { throw new ApiError(0, 'no_answer', ''); }
    heard();
    if (r.ok) return { bytes: await r.arrayBuffer(), header: (name) => r.headers.get(name) ?? '' };
    const e = ((await r.json().catch(() => null)) as { error?: ErrorBody } | null)?.error ?? {};
    if (r.status === 401) lost();
    throw new ApiError(r.status, e.code ?? 'internal', e.message ?? '', e);
}

export const api = {
    get: <T>(path: string, quiet = false, signal?: AbortSignal) => call<T>('GET', path, undefined, quiet, signal),
    post: <T>(path: string, body: unknown = {}, quiet = false) => call<T>('POST', path, body, quiet),
    put: <T>(path: string, body: unknown) => call<T>('PUT', path, body),
    patch: <T>(path: string, body: unknown) => call<T>('PATCH', path, body),
    del: <T>(path: string, body?: unknown) => call<T>('DELETE', path, body),
};

export function query(values: Record<string, string | number | null | undefined>): string {
    const q = new URLSearchParams();
    for (const [k, v] of Object.entries(values)) if (v !== null && v !== undefined && v !== '') q.set(k, String(v));
    const s = q.toString();
    return s ? '?' + s : '';
}

export interface List<T> { items: T[]; next: string | null }
export type State = 'ok' | 'look' | 'call' | 'unknown';
export type Role = 'director' | 'manager' | 'staff' | 'vendor' | 'counter';

export interface Session {
    person: { id: string; name: string; account: string; role: Role; until: string | null; must_change?: boolean; needs_card?: boolean } | null;
    csrf: string; kind: 'person' | 'setup' | 'counter'; institution: string | { name: string }; language: string; rooms: string[]; unlocked_until: string | null;
}
export interface SetupState { done: boolean; step: string; vault: string; ca_sha256: string; ca_pem: string; names: string[] }
export interface Step { title: string; text?: string; action?: string; link?: string; phone?: string }
export interface Today {
    state: State; at: string; next_check: string | null; headline: string; lead: string;
    lines: { state: State; text: string; device?: string; source?: string }[];
    last: { at: string | null; ago_s: number; devices: number; devices_total: number; kept_days: number; drill: { at: string; ok: boolean } | null; checked?: { at: string; errors: number; healed: number } | null };
    one: { id: string; title: string; text: string; minutes?: number; action: string; link?: string; phone?: string } | null;
    dont: { title: string; text: string }[]; calls: { name: string; phone: string }[]; say: string; paper: boolean;
    safe: { manifest: string; at: string; text: string } | null;
    groups: { group: string; name: string; state: State; text: string }[]; not_watched: string[]; notes: string[]; lamps?: Lamp[];
}
export interface Lamp { id: 'copies' | 'media' | 'elsewhere' | 'offline' | 'errors'; number: string; state: 'on' | 'look' | 'off'; title: string; why: string; todo: string }
export interface Copy {
    id: string; kind: 'folder' | 'disk' | 's3' | 'box'; name: string; place: string; elsewhere: boolean; detachable: boolean; when: 'backup' | 'daily' | 'plugged'; hour: number | null; max_days: number; enabled: boolean;
    state: 'waiting' | 'running' | 'verifying' | 'forked' | 'failed' | 'unsound' | 'never' | 'old' | 'detach' | 'ok'; text: string;
    covers: string | null; done: string | null; verified: string | null; sound: boolean | null; attached: boolean; detached_at: string | null;
    generations: number; pack_bytes: number; total_bytes: number; free_bytes: number; stored_bytes: number; locked_until: string | null; progress?: { phase: string; bytes: number; bytes_total: number };
}
export interface CopyRun { id: string; what: string; by: string | null; state: 'running' | 'complete' | 'failed' | 'cancelled'; started: string; finished: string | null; facts: { copy?: { copied_bytes?: number }; files?: { file: string; why: string }[] } | null }
export interface Peer {
    id: string; name: string; institution: string; accepting: boolean; state: 'ok' | 'empty' | 'stopped' | 'damaged'; quota: number; used: number; packs: number; generations: number; rotten: number;
    head_at: string | null; joined: string | null; last_seen: string | null; checked: string | null;
}
export interface Copies { items: Copy[]; lamps: Lamp[] }
export interface Alarm {
    id: string; kind: string; device_name?: string; source_name?: string; note?: string | null; state: 'look' | 'call'; opened: string; closed: string | null; title: string; text: string;
    source: string | null; client: string | null; manifest: string | null; facts: Record<string, unknown>; next: (Step | string)[];
    seen?: string | null;
}
export interface Signal {
    id: number; at: string; rule: string; level: string; stage: string; title: string; text: string; entities: [string, string][];
    facts: { author?: string; source?: unknown; ref?: unknown }; what: string; incident: number | null; times: number;
}
export interface Incident {
    id: number; state: 'open' | 'closed'; severity: 'look' | 'call'; title: string; opened: string; first: string; last: string; closed: string | null;
    stages: string[]; entities: [string, string][]; next: { id: string; title: string; detail: string; link: string }[]; timeline: Signal[]; responses?: BookStep[]; findings?: FindingHead[];
}
export interface BookStep {
    id: number; incident: number; action: string; mode: 'auto' | 'click'; text: string; state: 'offered' | 'todo' | 'done' | 'failed' | 'skipped' | 'undone' | 'expired';
    plan: { undo?: boolean; undo_request?: object; device?: string; commands?: string[]; undo_commands?: string[] }; at: string; by: string | null; done: string | null;
}
export interface PlaybookAction { name: string; title: string; undo: boolean; params: { name: string; needed: boolean; one_of: string[] | null; title: string }[] }
export interface Playbook { id: string; name: string; enabled: boolean; when: { severity?: string[]; stages?: string[] }; steps: { action: string; mode: string; params?: Record<string, string> }[]; made_by: string; made: string }
export interface ReviewHead { month: string; over: boolean; signed: boolean; by: string | null; at: string | null }
export interface Review {
    month: string; over: boolean; signed: { by: string; at: string; hash: string; note: string | null } | null;
    incidents: { id: number; title: string; severity: 'look' | 'call'; first: string; closed: string | null; verdict: string | null; note: string | null }[];
    signals: Record<string, number>; levels: Record<string, number>; alarms: Record<string, number>; runs: Record<string, number>;
    drills: { passed: number; failed: number }; maintenance: { booked: number; sessions: number }; quiet_rules: number; restores: number; log_checks?: { parts: number; whole: number; faults: number };
}
export interface Quiet { id: number; rule: string; title: string; entities: [string, string][]; why: string; by: string; made: string; hits: number; gone: string | null; gone_by: string | null }
export interface Booking { id: string; vendor: string; purpose: string; account: string | null; address: string | null; from: string; until: string; gone: string | null; gone_by: string | null; sessions: unknown[] }
export interface LogItem { id: number; block: number; class: number; event: Record<string, unknown>; rules: string[]; raw?: string; raw_b64?: string; raw_bytes?: number; large?: boolean }
export interface LogPage { items: LogItem[]; more: boolean; late: boolean; next: string; reached_s?: number; stats: { blocks_damaged: number } }
export interface LogCounts { from_s: number; width_s: number; counts: number[]; late: boolean }
export type LogSpan = '1h' | '24h' | '7d' | '30d' | 'all' | 'fixed';
export interface SavedSearch { id: string; name: string; q: string; span: LogSpan; from?: string; until?: string; by: string; own: boolean; made: string }
export interface LogSource {
    id: string; listener: 'udp' | 'tcp' | 'tls' | 'agent'; address: string; host: string; name: string; state: 'new' | 'ok'; class: number; format: string; encoding: string; silent_s: number; read_as: string;
    count: number; bytes: number; unparsed: number; cut: number; first: string; last: string; skew_s: number; per_minute: number; silent: boolean; sender?: { received: number; dropped: number; cut: number; skipped: number };
}
export interface LogClass { class: number; ja: string; en?: string; days: number; bytes?: number; kept_bytes?: number; kept_segments?: number; oldest_s?: number; hold?: { by: string; why: string; at: string } | null }
export interface LogState {
    events: number; stored_bytes: number; raw_bytes: number; stopped: boolean; damaged: string; first_s: number; last_s: number; classes: LogClass[]; addresses: string[];
    doors: { listener: 'udp' | 'tcp' | 'tls'; port: number; on: boolean }[]; listeners?: { listener: string; lost: number }[];
}
export interface Device {
    id: string; client: string; name: string; hostname: string; os: string; state: 'ok' | 'late' | 'silent' | 'revoked' | 'joining';
    last_seen: string | null; agent_version: string; confined: Record<string, unknown>; sources: string[]; cert_until: string | null; features?: string[]; endpoint?: { cover: string } | null;
    kept?: { generations: number; bytes: number; quota: number };
}
export interface MachineLog {
    name: string; input: 'file' | 'audit' | 'journald'; paths: string[]; format: string; encoding: string; from_start: boolean; unless_journal: boolean;
    state: 'unknown' | 'ok' | 'absent' | 'refused' | 'waiting' | 'error'; detail: string; files: number; records: number; bytes: number; cut: number; gaps: number; last: string | null;
}
export interface MachineLogs { items: MachineLog[]; usual: boolean; told: boolean; clock_s: number | null }
export interface Schedule { every: 'hour' | 'day' | 'week' | 'off'; at?: string; weekday?: number }
export interface HourRow { days: number[]; from: string; to: string; kib_s: number }
export interface SourceOptions {
    access?: string; databases?: string[]; exclude_databases?: string[]; limit_s?: number; share?: string; folder?: string;
    hooks?: { before?: string; after?: string; limit_s?: number; on_failure?: 'fail' | 'partial' };
    hours?: HourRow[]; reread?: 'month' | 'off'; reread_mib?: number;
}
export interface Source {
    id: string; device: string; name: string; group: string; kind: string; options: SourceOptions; paths: string[]; where?: string[]; include: string[]; exclude: string[];
    schedule: Schedule; responsible: string | null; canaries: boolean; bandwidth_kib_s: number; one_file_system: boolean; enabled: boolean;
    last: Generation | null; next: string | null; state: 'ok' | 'late' | 'running' | 'failed' | 'suspicious';
}
export interface Run {
    id: string; source: string; device: string; kind: string; state: 'waiting' | 'running' | 'complete' | 'partial' | 'failed' | 'cancelled';
    started: string | null; finished: string | null;
    progress: { phase: string; files: number; files_total: number; bytes: number; bytes_total: number; sent: number; now: string | null } | null;
    problems?: Problem[]; problems_total: number; manifest: string | null;
    counters?: { changed_while_read?: number; reread?: number; reread_bytes?: number; reread_changed?: number } | null; suspicious?: boolean;
}
export interface Generation {
    id: string; source: string; source_name?: string; device: string; number: number; at: string; run_kind: string; status: string; bytes: number; bytes_new: number;
    stored_new: number; files: number | null;
    suspicion: { score: number; level: 'none' | 'low' | 'high'; reasons: { code: string; share?: number; count?: number; text: string }[] };
    last_clean: boolean; pinned: boolean; slots: string[]; locked: { days_left: number } | null; drill: { at: string; ok: boolean } | null;
}
export interface VaultFile { name: string; name_b64: string; kind: string; size?: number; mtime?: string | null; mode?: number; owner?: string; note?: string; path_b64?: string; path?: string }
export interface Guide {
    made: string; institution: string; device: { id: string; name: string; hostname: string | null; os: string | null }; at: string | null; bytes: number; estimate_s: number | null; estimate_of: { measured: number; guessed: number; unsaved: number };
    machine: { os?: string; kernel?: string; machine?: string; hostname?: string; cpus?: number; memory_bytes?: number; disks?: { mount: string; device: string; type: string; bytes: number; used_bytes: number }[];
        addresses?: string[]; gateway?: string; dns?: string[]; users?: string[]; packages?: string[]; services?: string[] } | null;
    sources: { id: string; name: string; kind: string; paths: string[]; where?: string[]; at: string | null; saved: 'yes' | 'never' | 'failing'; files: number; bytes: number; drill: { at: string; ok: boolean; estimate_s: number } | null }[];
}
export interface DrillServer {
    state: 'proved' | 'failed' | 'files'; why: string; version?: string; databases?: number; loaded?: number; tables?: number; rows?: number; differing?: number; unsound?: number; start_ms?: number; load_ms?: number; check_ms?: number;
    list?: { name: string; loaded: boolean; sound: boolean; tables: number; rows: number; differing: number }[];
}
export interface Drill {
    id: string; manifest: string; source: string; source_name: string; device: string; device_name: string; state: Run['state']; ok: boolean | null; by: string;
    plan: { amount: 'sample' | 'all'; files: number; bytes: number; files_total: number; bytes_total: number; by_itself?: boolean };
    report: { files: number; bytes: number; restore_ms: number; compare_ms: number; differences: number; problems: number; removed: boolean; estimate_s: number; head: { seq: number; hash: string } | null; signed?: boolean; server?: DrillServer } | null;
    hash: string | null; created: string; finished: string | null; progress?: { files: number; bytes: number } | null; institution?: string; problems?: Problem[] | null;
}
export interface FoundFile extends VaultFile { generation: string; at: string; source: string; source_name: string; suspicious: boolean }
export interface Search { items: FoundFile[]; next: string | null; searched: number; more: boolean }
export interface Difference extends VaultFile { change: 'added' | 'removed' | 'changed'; what: ('content' | 'meta' | 'kind')[]; was?: VaultFile }
export interface Restore {
    id: string; manifest?: string; device?: string; state: Run['state']; drill?: boolean;
    progress: { files: number; files_total: number; bytes: number; bytes_total: number } | null;
    target?: { mode: 'original' | 'place'; place?: string }; set_aside: number | null; skipped?: number; problems?: Problem[] | null; started: string | null; finished: string | null; ms: number | null;
}
export interface Person { id: string; account: string; name: string; role: Role; until: string | null; totp: boolean; locked: boolean; last_sign_in: string | null }
export interface Secrets { first_password?: string; totp_secret?: string; totp_uri?: string; totp_qr_svg?: string; codes?: string[] }
/** Words of the box, in the language asked for. */
export interface Worded { result_text: string; role_text: string; from_text: string }
export interface Problem { path: string; error: string; what?: string; code: string; text: string }
export interface AccessLine extends Worded { at: string; who: string; who_name?: string; role: string; what: string; what_text: string; why_text: string; client?: string; manifest?: string; path_count?: number; from: string; why?: string; result: string }
export interface Contact { name: string; role: string; phone: string; hours: string; note: string; checked_on: string | null }
/** How the last message of one kind went. */
export interface Sent { ok: boolean; at: string; detail: string }
export interface Settings {
    mail: { to: string[]; from: string; host: string; port: number; tls: string; user: string; password_set: boolean; last?: Sent | null };
    webhook: { url: string; last?: Sent | null }; retention: { hourly: number; daily: number; weekly: number; monthly: number; min_days: number };
    language: string; institution: { name: string; kind?: string; address?: string; phone?: string; responsible?: Officer; deputy?: Officer; vendor_updates?: string } | null;
    drills?: { by_itself: boolean }; places?: { address: string; name: string }[];
    firewall?: { url: string; pin: string; token_set: boolean; last?: Sent | null };
}
export interface Officer { name: string; title: string; phone: string }
export interface Card { institution: string; address?: string; contacts: Contact[]; printed?: string; say?: string }
export interface Box {
    version: string; children: { name: string; state: string; restarts: number; confined: Record<string, unknown> | boolean }[];
    disk: { free: number; used: number; reserve: number }; vault: { packs: number; bytes: number; generations: number; head: { seq: number; hash: string } };
    clock: Record<string, unknown>; not_separated: string[]; addresses: string[];
}
export interface VerifyState {
    running: { kind: string; phase: string; packs: number; packs_total: number; bytes: number; bytes_total: number; generations: number; generations_total: number; damaged: number } | null;
    last: { kind: string; packs: number; objects: number; bytes: number; generations: number; damaged: number; hit: number; ms: number; sound: boolean; cancelled: boolean; error?: string } | null;
    damaged: { kind: string; file: string; offset: number; why: string }[] | null;
}
export interface SelfState {
    state: 'ok' | 'running' | 'waiting' | 'late' | 'failed'; saved: string | null; tried: string | null; next: string | null; error: string; why: string; why_text: string;
    last: { manifest: string; files: number; bytes: number; stored: number } | null; took_over: { at: string; saved: string; seq: string } | null;
    logs?: { state: 'ok' | 'running' | 'waiting' | 'late' | 'failed'; until: string | null; why_text: string };
}
export interface ScrubState {
    now: { running: boolean; phase: string; by_person: boolean; started: string | null; finished: string | null; next: string | null; packs: number; packs_total: number; bytes: number; bytes_total: number; protected: number; bare: number; healed: number; damaged: number; waiting: number; days: number; rate: number; last: { packs: number; bytes: number; damaged: number; healed: number } | null };
    reports: { at: string; packs: number; bytes: number; protected: number; healed: number; damaged: number; by: string; started: number; ms: number }[];
    healed: { at: string; what: string; file: string | null; blocks: number; found_by: string }[];
    found: { kind: string; file: string; result: string; blocks: number }[];
}
export interface SheetSecret { words_ja: string[]; words_en: string[]; qr_svg: string; qr_text: string }
export interface Sheet { open: SheetSecret; orders: SheetSecret; card: { text: string; qr_svg: string }; ask: { which: 'open' | 'orders'; n: number }[] }
