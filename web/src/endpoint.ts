// What the box says of guarded machines (docs/API.md, "Endpoint"), and what the screens count from it.
import type { Device, Incident, List } from './api';
import { t } from './i18n';
import type { Text } from './i18n';
import { T } from './text/endpoint';
import { spanOf } from './time';

export type Guard = 'guarded' | 'look' | 'stopped' | 'none';
export interface Fact { id: string; state: 'good' | 'part' | 'bad' | 'unknown'; points: number; of: number; text: string; todo: string }
export interface Posture { device: string; name: string; state: Guard; score: number; unknown: number; why: string; facts: Fact[]; next: Fact | null }

export interface Sensor {
    armed: boolean; how: 'folders' | 'filesystem' | 'none'; folders: number; files_held: number; processes: 'bpf' | 'connector' | 'none';
    lost?: { events: number; answers: number }; giveback?: { bytes: number; files: number; let_go: number }; why?: string[];
}
export interface Proc { pid: number; start: number; parent: number; uid: number; exe: string; line: string; began?: number; ended?: number; stopped?: boolean; killed?: boolean }
export interface FindingFile { path: string; how: string; was?: string; is?: string }
export interface FindingAct { at: string; action: string; by: string; state: string; detail?: string }
export type FindingKind = 'ransomware' | 'rule' | 'malware' | 'blocked' | 'tamper' | 'media';
export type FindingState = 'seen' | 'stopped' | 'killed' | 'gone_on' | 'ended';
export interface Finding {
    id: string; rev: number; device: string; device_name?: string; kind: FindingKind; at: string; state: FindingState; score: number; threshold: number;
    reasons: { id: string; points: number; times: number; ja: string; en: string }[]; program: string; path?: string | null; processes: Proc[];
    /* stop, told: after first, which is since 1970 */
    files: { touched: number; destroyed: number; kept: number; given_back: number; lost: number }; paths: FindingFile[];
    timing?: { first_ms: number; stop_ms: number; told_ms: number } | null; acts: FindingAct[]; sha256?: string; object?: { sha256?: string } | null;
}
export type FindingHead = Omit<Finding, 'processes' | 'paths' | 'reasons' | 'acts'>;
export interface DeviceAct {
    id: string; action: string; args: Record<string, unknown>; state: 'sent' | 'taken' | 'done' | 'failed' | 'undone' | 'ended' | string;
    at: string; until: string | null; by: string; by_name?: string; detail: string; ended?: string | null; facts?: Record<string, unknown> | null; finding?: string | null; undo?: string | null; pack?: string | null;
}
export type RansomMode = 'off' | 'watch' | 'stop' | 'kill';
export interface Policy {
    v: number; protect: string[]; exclude: string[]; ransom: { mode: RansomMode; give_back: boolean; sensitivity: number }; rules: { answer: 'tell' | 'stop' | 'kill' };
    scan: { on_write: boolean; on_media: boolean; schedule: { weekday: number; hour: number } | null; paths: string[] };
    media: { mode: 'allow' | 'read_only' | 'block'; allow: string[] }; block: { files: string[]; to: string[] }; accounts: { may_disable: boolean }; isolate: { by_rule: boolean };
}
export type Items<T> = List<T>;

/** The last part of a path: what a person knows a program or a file by. */
export function baseName(path: string): string { return path.replace(/\/+$/, '').split('/').pop() || path; }

/** The same, where a sentence has to stay readable: the end is what an attacker hides, so it always stands. */
export function shortName(path: string): string {
    const all = [...baseName(path)];
    return all.length <= 40 ? all.join('') : `${all.slice(0, 20).join('')}…${all.slice(-18).join('')}`;
}

/** A path that came as bytes; one that is not UTF-8 shows its bytes. */
export function pathText(b64: string): string {
    let bytes: Uint8Array;
    try { bytes = Uint8Array.from(atob(b64), (c) => c.charCodeAt(0)); } catch { return b64; }
    try { return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/[\u0000-\u001f\u007f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`); } catch {
        return [...bytes].map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`)).join('');
    }
}

/** A path in a list: its beginning and its end. */
export function shortPath(b64: string): string {
    const all = [...pathText(b64)];
    return all.length <= 60 ? all.join('') : `${all.slice(0, 24).join('')}…${all.slice(-34).join('')}`;
}

export interface ProcNode { p: Proc; below: ProcNode[] }
/** Who started whom. A number is used again by the system, so a parent is one that was there when the child began. */
export function treeOf(list: Proc[]): ProcNode[] {
    const nodes = list.map((p): ProcNode => ({ p, below: [] }));
    const tops: ProcNode[] = [];
    for (const n of nodes) {
        const above = nodes.filter((m) => m !== n && m.p.pid === n.p.parent && m.p.start <= n.p.start).sort((a, b) => b.p.start - a.p.start)[0];
        (above && !isBelow(n, above) ? above.below : tops).push(n);
    }
    const sort = (l: ProcNode[]) => { l.sort((a, b) => a.p.start - b.p.start || a.p.pid - b.p.pid); for (const n of l) sort(n.below); };
    sort(tops);
    return tops;
}
function isBelow(top: ProcNode, n: ProcNode): boolean { return top === n || top.below.some((x) => isBelow(x, n)); }

/** A length of time that may be shorter than a second. */
export function quickOf(ms: number): string { return ms < 10_000 ? t(T.seconds, { n: ms < 95 ? (Math.max(0, ms) / 1000).toFixed(2) : (ms / 1000).toFixed(1) }) : spanOf(ms / 1000); }

const AROUND_MS = 3_600_000; // what leads to a finding, and what follows from it
/** Is it part of that incident: the same machine, at its time? */
export function isOf(f: FindingHead, inc: Pick<Incident, 'first' | 'last' | 'entities'>, devices: Device[]): boolean {
    const d = devices.find((x) => x.id === f.device), host = (d?.hostname || d?.name || '').toLowerCase(), at = Date.parse(f.at);
    return host !== '' && at >= Date.parse(inc.first) - AROUND_MS && at <= Date.parse(inc.last) + AROUND_MS && inc.entities.some(([, text]) => text.toLowerCase() === host);
}

export function worded(table: Record<string, Text>, key: string): string { const e = table[key]; return e ? t(e) : key; }

/** GET /devices/{id}/endpoint: how a machine is watched, what it said last, and which policy is its. */
export interface EndpointNow {
    device: string; cover: 'none' | 'off' | 'starting' | 'empty' | 'part' | 'on'; since: string | null; said: string | null; why: string[]; policy: PolicyNow; findings: { open: number; all: number };
    state: {
        sensor?: Sensor; scan?: { definitions?: string | null; running?: boolean; why?: string[]; last?: { at: string; files?: number; found?: number } | null };
        actor?: { isolated?: { until: string | null } | null };
    } | null;
}

/** own: what was set here, null nothing; standard or institution: what holds where nothing is set. */
export interface PolicyNow { policy: Policy; own: Partial<Policy> | null; standard?: Policy; institution?: Policy; number?: number; has?: number; state?: 'none' | 'holds' | 'on_its_way' | 'refused'; detail?: string }

type Tree = Record<string, unknown>;
const isTree = (v: unknown): v is Tree => typeof v === 'object' && v !== null && !Array.isArray(v);
/** Only what differs from base: what is not set here goes on following it. null: nothing differs.  A schedule is one value. */
export function differing(policy: Policy, base: Policy): Partial<Policy> | null {
    const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
    const out: Tree = {};
    for (const [k, v] of Object.entries(policy) as [string, unknown][]) {
        const b = (base as unknown as Tree)[k];
        if (k === 'v' || same(v, b)) continue;
        if (!isTree(v) || !isTree(b)) { out[k] = v; continue; }
        out[k] = Object.fromEntries(Object.entries(v).filter(([key, x]) => !same(x, b[key])));
    }
    return Object.keys(out).length ? (out as Partial<Policy>) : null;
}
export interface Kept { id: string; device: string; device_name?: string; path: string; why: string; by?: string; finding?: string | null; at: string; changed?: string; state: 'kept' | 'given' | 'removed' | string; size?: number; sha256?: string; links?: number }
export interface Medium { device: string; device_name?: string; serial: string; name: string; kind: string; bytes: number; attached: boolean; first: string; last: string; mode?: string | null; failed?: boolean; allowed: boolean }

/** Parts of an agent that need rights over the whole machine for their work: what they do without on purpose is not missing. */
const WIDE: Record<string, string[]> = { actor: ['uid', 'landlock'], media: ['uid', 'landlock'], sensor: ['uid', 'landlock'], guard: ['uid', 'landlock', 'seccomp', 'nnp'] };
const ON_PURPOSE = ['landlock: it looks at other programs, which Landlock does not allow', 'it starts the supervisor again, and keeps the rights that takes'];
/** Which parts are confined less than they could be, and in their own (English) words why, where they say. */
export function lacking(parts: Record<string, unknown>): { part: string; why: string }[] {
    return Object.entries(parts).flatMap(([part, v]) => {
        if (!isTree(v)) return [];
        const why = ON_PURPOSE.reduce((s, x) => s.replace(x, ''), String(v.missing || '')).replace(/^[\s;,]+|[\s;,]+$/g, '');
        return why || Object.entries(v).some(([k, x]) => x === false && !WIDE[part]?.includes(k)) ? [{ part, why }] : [];
    });
}
