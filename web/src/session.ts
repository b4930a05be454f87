// Who is here, and what this person may see.
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Role, Session } from './api';
import { t } from './i18n';
import { T } from './text/common';

export interface Ctx {
    session: Session | null;
    setSession: (s: Session | null) => void;
    reload: () => Promise<void>;
    signOut: () => Promise<void>;
}
export const SessionCtx = createContext<Ctx>({ session: null, setSession: () => {}, reload: async () => {}, signOut: async () => {} });
export function useSession(): Ctx { return useContext(SessionCtx); }

export function roleOf(s: Session | null): Role | null { return s?.kind === 'counter' ? 'counter' : s?.person?.role ?? null; }
export function isLeader(s: Session | null): boolean { const r = roleOf(s); return r === 'director' || r === 'manager'; }
export function institutionName(s: Session | null): string { return !s ? '' : typeof s.institution === 'string' ? s.institution : s.institution?.name ?? ''; }
export function roleWord(r: Role): string {
    return t({ director: T.director, manager: T.manager, staff: T.staff, vendor: T.vendor, counter: T.counter }[r]);
}
