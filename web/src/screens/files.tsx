// What is inside a generation: folders with check boxes, a search by name, the download of one file.
import { useState } from 'preact/hooks';
import { BASE, query } from '../api';
import type { Generation, VaultFile } from '../api';
import { t } from '../i18n';
import { useList } from '../live';
import { T as C } from '../text/common';
import { T } from '../text/restore';
import { bytesOf, whenOf } from '../time';
import { ErrorBox, Loading, TextField } from '../ui/parts';
import type { Pick } from './restore';

/* A path is bytes; the box gives each name as base64. Joining is done on bytes, never on what is shown. */
export function joinB64(dir_b64: string, name_b64: string): string {
    const dir = atob(dir_b64);
    return btoa(dir === '' || dir.endsWith('/') ? dir + atob(name_b64) : `${dir}/${atob(name_b64)}`);
}
/* The contract names a folder by text; one whose bytes are not UTF-8 can only be named by them. */
function pathQuery(b64: string): string {
    const bytes = Uint8Array.from(atob(b64), (c) => c.charCodeAt(0));
    try { return query({ path: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }); } catch { return query({ path_b64: b64 }); }
}
interface Crumb { name: string; b64: string }

export function Files({ gen, picks, onPicks }: { gen: Generation; picks: Pick[]; onPicks: (p: Pick[]) => void }) {
    const [trail, setTrail] = useState<Crumb[]>([]);
    const [typed, setTyped] = useState('');
    const [find, setFind] = useState('');
    const here = trail[trail.length - 1]?.b64 ?? '';
    const base = `/generations/${encodeURIComponent(gen.id)}`;
    const got = useList<VaultFile>(find ? `${base}/find${query({ text: find })}` : `${base}/files${pathQuery(here)}`);
    const b64 = (f: VaultFile) => f.path_b64 ?? joinB64(here, f.name_b64);
    const shown = (f: VaultFile) => f.path ?? [...trail.map((c) => c.name), f.name].join('/').replace(/\/\/+/g, '/');
    const inside = (p: string) => picks.some((x) => x.b64 === p || (x.dir && atob(p).startsWith(atob(x.b64) + '/')));
    const toggle = (f: VaultFile, on: boolean) => {
        const key = b64(f);
        const rest = picks.filter((x) => x.b64 !== key && !atob(x.b64).startsWith(atob(key) + '/'));
        onPicks(on ? [...rest, { b64: key, name: shown(f), size: f.size ?? 0, dir: f.kind === 'dir' }] : rest);
    };
    const open = (f: VaultFile) => { setTyped(''); setFind(''); setTrail([...trail, { name: f.name, b64: b64(f) }]); };
    return <div class="stack">
        <form class="field-row" onSubmit={(e) => { e.preventDefault(); setFind(typed.trim()); }}>
            <TextField label={t(T.fFind)} type="search" value={typed} onInput={setTyped} autocomplete="off" /><button type="submit" class="btn">{t(T.fFindGo)}</button></form>
        {find ? <p role="status">{got.data && t(T.fFound, { text: find, n: got.data.items.length })} <button type="button" class="linkbtn" onClick={() => { setFind(''); setTyped(''); }}>{t(T.fBack)}</button></p>
            : <nav aria-label={t(T.fWhere)}><ol class="crumbs"><li><button type="button" class="linkbtn" onClick={() => setTrail([])}>{t(T.fTop)}</button></li>
                {trail.map((c, i) => <li><button type="button" class="linkbtn" aria-current={i === trail.length - 1 ? 'true' : undefined} onClick={() => setTrail(trail.slice(0, i + 1))}>{c.name}</button></li>)}</ol></nav>}
        {got.error ? <ErrorBox error={got.error} retry={got.reload} /> : !got.data ? <Loading /> : !got.data.items.length ? <p class="sub">{t(T.fEmpty)}</p>
            : <ul class="files">{got.data.items.map((f) => {
                const key = b64(f);
                const on = inside(key);
                return <li class={on ? 'on' : undefined}><label class="pickbox"><span class="vh">{t(T.fPick, { name: f.name })}</span><input type="checkbox" checked={on} onChange={(e) => toggle(f, e.currentTarget.checked)} /></label>
                    <span class="nm">{f.kind === 'dir' && !find ? <button type="button" class="linkbtn" onClick={() => open(f)}>{f.name}</button> : f.name}{find && <small>{f.path}</small>}{f.note && <small>{f.note === 'canary' ? t(T.fCanary) : f.note === 'changed-while-read' ? t(T.fChanged) : f.note}</small>}
                        {f.kind === 'file' && <a class="dl-link" href={`${BASE}${base}/file${query({ path_b64: key })}`} download={f.name} aria-label={t(T.fDownloadName, { name: f.name })}>{t(T.fDownload)}</a>}</span>
                    <span class="meta">{f.kind === 'dir' ? t(T.fFolder) : f.kind === 'symlink' ? t(T.fLink) : bytesOf(f.size ?? 0)}{f.mtime && <><br />{whenOf(f.mtime)}</>}</span></li>;
            })}</ul>}
        {got.data?.next && <p><button type="button" class="linkbtn more" onClick={got.more}>{t(C.more)}</button></p>}
        <p class="sub">{t(T.fRecorded)}</p>
    </div>;
}
