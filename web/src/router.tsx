// Paths by the History API. A screen change moves the focus to its heading and the view to the top.
import { useEffect, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

const listeners = new Set<() => void>();

export function navigate(to: string, replace = false): void {
    if (replace) history.replaceState(null, '', to);
    else history.pushState(null, '', to);
    listeners.forEach((f) => f());
    if (!replace) window.scrollTo(0, 0);
}

export interface Place { path: string; query: URLSearchParams }
function here(): Place { return { path: location.pathname.replace(/(.)\/+$/, '$1'), query: new URLSearchParams(location.search) }; }

export function usePlace(): Place {
    const [place, set] = useState<Place>(here);
    useEffect(() => {
        const f = () => set(here());
        listeners.add(f);
        addEventListener('popstate', f);
        return () => { listeners.delete(f); removeEventListener('popstate', f); };
    }, []);
    return place;
}

/** Adds or removes query values of the place we are at. */
export function withQuery(place: Place, change: Record<string, string | null>): string {
    const q = new URLSearchParams(place.query);
    for (const [k, v] of Object.entries(change)) v === null ? q.delete(k) : q.set(k, v);
    const s = q.toString();
    return place.path + (s ? '?' + s : '');
}

interface LinkProps { href: string; class?: string; children: ComponentChildren; 'aria-current'?: 'page' | undefined; id?: string; 'data-row'?: boolean }

export function Link({ href, children, ...rest }: LinkProps) {
    const go = (e: MouseEvent) => {
        if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
        e.preventDefault();
        navigate(href);
    };
    return <a href={href} onClick={go} {...rest}>{children}</a>;
}

/** Moves the focus to the first heading of the region, for a step or a screen that has just appeared. */
export function focusHeading(selector = '#main h1'): void {
    requestAnimationFrame(() => {
        const h = document.querySelector<HTMLElement>(selector);
        if (!h) return;
        if (!h.hasAttribute('tabindex')) h.tabIndex = -1;
        h.focus({ preventScroll: true });
    });
}
