// Guarded machines of the sample clinic: one that stopped an attack this morning, one that wants looking at, one that is silent.
import * as D from './data.mjs';

const L = (ja, en) => ({ ja, en });
const b64 = (s) => Buffer.from(s).toString('base64');
const H = 3_600_000;
const at = D.at;
const name = (id) => D.devices().find((d) => d.id === id)?.name ?? id;
const list = (items) => ({ items, next: null });

const FIRST = D.NOW - 25 * 60_000;
const P = (pid, parent, began, exe, line, more = {}) => ({ pid, start: pid * 10, parent, uid: 1000, exe, line, began: 8_000_000 + began, ended: 0, ...more });
const tree = [
    P(2188, 2140, -4_000, '/tmp/.cache/yoyaku_update', './yoyaku_update --quiet'),
    P(2190, 2188, -3_000, '/usr/bin/find', 'find /srv/share -type f', { ended: 7_999_000 }), P(2191, 2188, -500, '/tmp/.cache/yoyaku_update', './yoyaku_update --worker 1'), P(2192, 2188, -500, '/tmp/.cache/yoyaku_update', './yoyaku_update --worker 2 --list /srv/share/紹介状 /srv/share/予約表 /srv/scan/2026'),
];
const paths = [['/srv/share/予約表.xlsx', 'written', 'ZIP', 'NOISE'], ['/srv/share/紹介状/a.docx', 'written', 'ZIP', 'NOISE'], ['/srv/share/紹介状/b.docx', 'renamed'], ['/srv/scan/2026/0012.pdf', 'written', 'PDF', 'NOISE'], ['/srv/share/READ_ME.txt', 'new']]
    .map(([p, how, was = '', is = '']) => ({ path: b64(p), how, was, is }));
/* As much as one case can hold. */
export const large = () => ({ processes: Array.from({ length: 40 }, (_, i) => P(3000 + i, i ? 3000 + Math.floor((i - 1) / 2) : 1, -1000 + i, '/tmp/.cache/yoyaku_update', './yoyaku_update --worker ' + i + ' /srv/share/' + '長い名前'.repeat(20))),
    reasons: Array.from({ length: 12 }, (_, i) => ({ id: 'r' + i, points: 10, times: 3, ja: 'ファイルの中身が、読めない形に変えられました', en: 'contents became unreadable' })),
    acts: Array.from({ length: 14 }, (_, i) => ({ at: at(i * 60_000), action: i % 2 ? 'give_back' : 'undo_give_back', by: 'order', state: 'done', detail: '' })), files: { touched: 4812, destroyed: 4600, kept: 4812, given_back: 4600, lost: 212 }, state: 'killed', program: '/home/uketsuke/ダウンロード/' + 'とても長い名前の'.repeat(8) + '見積書.pdf.exe' });
const finding = (more) => ({ id: 'f1', rev: 4, device: 'd6', device_name: name('d6'), kind: 'ransomware', at: new Date(FIRST).toISOString(), state: 'stopped', score: 118, threshold: 100, program: '/tmp/.cache/yoyaku_update', sha256: D.hex('bad'),
    reasons: [{ id: 'content', points: 60, times: 4, ja: '中身が、読めない形に変えられました', en: 'contents became unreadable' }, { id: 'decoy', points: 40, times: 1, ja: 'おとりのファイルにさわりました', en: 'a decoy was touched' }, { id: 'fresh', points: 18, times: 1, ja: 'きょう初めて見るプログラムです', en: 'a program first seen today' }],
    processes: tree, files: { touched: 5, destroyed: 3, kept: 5, given_back: 4, lost: 0 }, paths, timing: { first_ms: FIRST, stop_ms: 180, told_ms: 1_400 },
    acts: [{ at: new Date(FIRST + 180).toISOString(), action: 'stop', by: 'policy', state: 'done', detail: '' }, { at: new Date(FIRST + 900).toISOString(), action: 'give_back', by: 'policy', state: 'done', detail: '' }], ...more });

export const findings = (st) => (st.noFindings ? [] : [
    finding(st.large ? large() : st.finding ?? {}),
    finding({ id: 'f2', device: 'd3', device_name: name('d3'), kind: 'malware', at: at(26 * H), state: 'killed', program: '/home/karte/ダウンロード/setup.run', score: 0, threshold: 0, reasons: [], processes: [], files: { touched: 0, destroyed: 0, kept: 0, given_back: 0, lost: 0 }, paths: [], timing: null, acts: [{ at: at(26 * H), action: 'quarantine', by: 'policy', state: 'done', detail: 'Eicar-Test-Signature' }] }),
    finding({ id: 'f3', device: 'd4', device_name: name('d4'), kind: 'ransomware', at: at(50 * H), state: 'gone_on', program: '/usr/bin/7z', score: 104, reasons: [], processes: [P(881, 1, 0, '/usr/bin/7z', '7z a -pXXXX nenmatsu.7z 書類')], files: { touched: 31, destroyed: 0, kept: 31, given_back: 0, lost: 2 }, paths: [], timing: { first_ms: D.NOW - 50 * H, stop_ms: 12_000, told_ms: 13_500 },
        acts: [{ at: at(49 * H), action: 'resume', by: '見本 花子', state: 'done', detail: '' }, { at: at(49 * H), action: 'give_back', by: 'order', state: 'failed', detail: 'EBUSY' }] }),
    finding({ id: 'f4', device: 'd1', device_name: name('d1'), kind: 'rule', at: '2026-11-23T20:10:00Z', state: 'seen', program: '/usr/bin/bash', sha256: undefined, score: 0, threshold: 0, files: { touched: 0, destroyed: 0, kept: 0, given_back: 0, lost: 0 }, paths: [], timing: null, reasons: [{ id: 'rule', points: 0, times: 1, ja: '記録を消すプログラムが動きました', en: 'a program cleared a log' }], processes: [P(771, 1, 0, '/usr/bin/bash', "bash -c 'shred /var/log/auth.log'")], acts: [] }),
]);
const head = ({ processes, paths: p, reasons, acts, ...f }) => ({ ...f, path: p[0]?.path ?? null });
export const findingsOf = (st, device) => (st.unguarded ? [] : findings(st).filter((f) => f.device === device).map(head));

const POLICY = { v: 1, protect: ['auto'], exclude: [], ransom: { mode: 'stop', give_back: true, sensitivity: 1 }, rules: { answer: 'tell' }, scan: { on_write: true, on_media: true, schedule: { weekday: 6, hour: 20 }, paths: [] },
    media: { mode: 'allow', allow: [] }, block: { files: [], to: [] }, accounts: { may_disable: false }, isolate: { by_rule: false } };
const join = (base, own) => Object.fromEntries(Object.entries(base).map(([k, v]) => [k, own?.[k] === undefined ? v : typeof v === 'object' && !Array.isArray(v) ? { ...v, ...own[k] } : own[k]]));
const own = (st) => st.policy ?? (st.mediaMode ? { media: { mode: st.mediaMode, allow: ['4C530001230709116185'] } } : null);
const policy = (st) => ({ policy: join(POLICY, own(st)), own: own(st), standard: POLICY });
const policyOf = (st, id) => { const mine = st.policyOne ?? (id === 'd4' ? { ransom: { mode: 'watch' } } : null); return { policy: join(policy(st).policy, mine), own: mine, institution: policy(st).policy, number: 3, has: id === 'd4' ? 2 : 3, state: id === 'd4' ? 'on_its_way' : 'holds', detail: '' }; };

const state = (st, id) => ({ device: id, cover: id === 'd2' ? 'off' : id === 'd7' ? 'none' : 'on', since: id === 'd2' ? at(H) : null, said: at(8_000), why: id === 'd2' ? ['fanotify: EPERM'] : [], findings: { open: 1, all: 1 }, policy: policyOf(st, id), state: {
    sensor: { armed: id !== 'd2', how: id === 'd2' ? 'none' : 'folders', folders: id === 'd2' ? 0 : 1284, files_held: 900, processes: id === 'd2' ? 'none' : 'bpf', lost: { events: id === 'd5' ? 312 : 0, answers: 0 }, giveback: { bytes: 1.24e9, files: 3120, let_go: 0 }, why: id === 'd2' ? ['fanotify: EPERM'] : [] },
    scan: { definitions: at(id === 'd3' ? 16 * 24 * H : 9 * H), running: id === 'd5', last: { at: at(35 * H), files: 12431, found: id === 'd3' ? 1 : 0 } }, actor: { isolated: st.isolated ? { until: at(-3.4 * H) } : null } } });

const F = (id, st, points, of, ja, en, jaDo = '', enDo = '') => ({ id, state: st, points, of, text: L(ja, en), todo: jaDo ? L(jaDo, enDo) : '' });
function posture(st, d) {
    const bad = d.id === 'd2', old = d.id === 'd3', none = d.id === 'd7';
    const facts = [F('agent', none ? 'bad' : 'good', none ? 0 : 15, 15, none ? '6日前から連絡がありません。' : '機器と話せています。', none ? 'Not heard of for 6 days.' : 'The machine is heard.', none ? '機器の電源を入れてください。' : '', none ? 'Switch the machine on.' : ''),
        F('protection', bad ? 'bad' : none ? 'unknown' : 'good', bad || none ? 0 : 25, 25, bad ? '見張りが止まっています。' : none ? '守りの様子は分かりません。' : '見張りが動いています。', bad ? 'Watching has stopped.' : none ? 'Protection is not known.' : 'Watching works.', bad ? '業者に「見張りが止まっている」と伝えてください。' : '', bad ? 'Tell your vendor that watching has stopped.' : ''),
        F('definitions', old ? 'bad' : none ? 'unknown' : 'good', old || none ? 0 : 10, 10, old ? 'ウイルスの見本が16日前の物です。' : 'ウイルスの見本は新しい物です。', old ? 'Virus definitions are 16 days old.' : 'Virus definitions are new.', old ? 'ウイルスの見本を新しくしてください。' : '', old ? 'Bring the virus definitions up to date.' : ''),
        F('backup', 'good', 20, 20, 'きょうの保存があります。', 'There is a backup of today.'), F('decoys', none ? 'unknown' : 'good', none ? 0 : 5, 5, 'おとりのファイルがあります。', 'Decoys are in place.'),
        F('media', 'part', 3, 5, 'USBメモリーなどは、だれでも使えます。', 'Anybody may use USB devices.', 'USBメモリーなどを、読むだけにできます。', 'USB devices can be made read only.'), F('logs', 'good', 10, 10, '機器の記録が届いています。', 'Its logs arrive.'),
        F('system', 'unknown', 0, 5, 'システムの新しさは分かりません。', 'The age of the system is not known.'), F('remote', d.id === 'd4' ? 'bad' : 'good', d.id === 'd4' ? 0 : 5, 5, d.id === 'd4' ? '外から入れる窓口が開いています(SSH)。' : '外から入れる窓口は、開いていません。', d.id === 'd4' ? 'Remote sign-in is open (SSH).' : 'No remote sign-in is open.', d.id === 'd4' ? '使わないなら、業者に閉じてもらいます。' : '', d.id === 'd4' ? 'Unless it is used, have your vendor close it.' : '')];
    const score = facts.reduce((n, f) => n + f.points, 0), todo = facts.filter((f) => f.todo).sort((a, b) => (b.of - b.points) - (a.of - a.points));
    return { device: d.id, name: d.name, at: at(8_000), state: bad ? 'stopped' : none ? 'none' : d.id === 'd6' || old ? 'look' : 'guarded', score, unknown: facts.filter((f) => f.state === 'unknown').length, facts, next: todo[0] ?? null,
        why: bad ? L('見張りが動いていません。ファイルの書きかえを止められません。', 'Nothing watches; rewriting of files cannot be stopped.') : old ? L('ウイルスの見本が古くなっています。', 'The virus definitions are old.') : d.id === 'd6' ? L('止めたプログラムが、あなたの決めるのを待っています。', 'A stopped program waits for your decision.') : '' };
}

const UNDO = { isolate: 'release', block_address: 'unblock_address', quarantine: 'unquarantine' };
const ACT = (id, action, args, st, back, more = {}) => ({ id, action, args, state: st, undo: st === 'done' ? UNDO[action] ?? null : null, at: at(back), until: null, by: 'p1', by_name: L('見本 花子', 'Hanako Mihon'), detail: '', finding: null, ...more });
const actions = (st) => [...(st.acted ?? []), ACT('x3', 'isolate', {}, 'done', 20 * 60_000, { until: at(-23.6 * H) }), ACT('x2', 'block_address', { to: '203.0.113.44' }, 'done', 22 * 60_000), ACT('x4', 'evidence', {}, 'done', 21 * 60_000, { pack: 'e1' }), ACT('x1', 'scan', {}, 'failed', 30 * H, { detail: 'clamd' }), ACT('x0', 'quarantine', { path: '/tmp/.cache/yoyaku_update' }, 'sent', 60_000, { by: 'policy', by_name: undefined })];
const kept = () => [{ id: 'q1', device: 'd3', device_name: name('d3'), path: b64('/home/karte/ダウンロード/setup.run'), why: 'Eicar-Test-Signature', at: at(26 * H), state: 'kept', size: 68, sha256: D.hex('q1') }, { id: 'q2', device: 'd6', device_name: name('d6'), path: b64('/tmp/.cache/とても長い名前のフォルダー/さらに長い名前のフォルダー/yoyaku_update'), why: L('ファイルを次々に書きかえたプログラム', 'it rewrote files'), at: at(0.3 * H), state: 'given', size: 2.4e6, sha256: D.hex('q2') }];
const media = (st) => [{ device: 'd1', device_name: name('d1'), serial: '4C530001230709116185', name: 'SanDisk Cruzer Blade', kind: 'usb', bytes: 32e9, attached: true, first: at(40 * 24 * H), last: at(60_000), mode: 'allow', failed: false }, { device: 'd5', device_name: name('d5'), serial: '', name: '', kind: 'disc', bytes: 0, attached: false, first: at(50 * H), last: at(50 * H), mode: 'read_only', failed: false }, { device: 'd4', device_name: name('d4'), serial: 'AA00000000000489', name: 'Generic Mass-Storage', kind: 'usb', bytes: 8e9, attached: false, first: at(70 * H), last: at(60 * H), mode: 'read_only', failed: true }].map((m) => ({ ...m, allowed: policy(st).policy.media.allow.includes(m.serial) }));

export const ROUTES = [
    ['GET', /^\/evidence-packs\/e1\/file$/, ({ query, res }) => { const all = Buffer.alloc(9000, 'e'), from = Number(query.get('offset') ?? 0); res.setHeader('Content-Type', 'application/octet-stream'); res.setHeader('X-Sakimori-Length', String(all.length)); res.end(all.subarray(from, from + 4000)); }],
    ['GET', /^\/posture$/, ({ st, send }) => send(list(st.empty ? [] : D.devices().map((d) => posture(st, d))))],
    ['GET', /^\/devices\/([^/]+)\/posture$/, ({ st, id, send }) => send(posture(st, D.devices().find((d) => d.id === id) ?? D.devices()[0]))],
    ['GET', /^\/devices\/([^/]+)\/endpoint$/, ({ st, id, send }) => send(state(st, id))],
    ['GET', /^\/devices\/([^/]+)\/endpoint\/policy$/, ({ st, id, send }) => send(policyOf(st, id))],
    ['PUT', /^\/devices\/([^/]+)\/endpoint\/policy$/, ({ st, id, send, data }) => { st.policyOne = data.policy; send(policyOf(st, id)); }],
    ['GET', /^\/endpoint\/policy$/, ({ st, send }) => send(policy(st))],
    ['PUT', /^\/endpoint\/policy$/, ({ st, data, send }) => { st.policy = data.policy; send(policy(st)); }],
    ['GET', /^\/findings$/, ({ st, query, send }) => send(list(findings(st).filter((f) => (!query.get('device') || f.device === query.get('device'))).map(head)))],
    ['GET', /^\/findings\/([^/]+)$/, ({ st, id, send, fail }) => { const f = findings(st).find((x) => x.id === id); return f ? send(f) : fail(404, 'not_found'); }],
    ['POST', /^\/findings\/([^/]+)\/actions$/, ({ st, data, send, push }) => { if (data.action === 'kill') st.finding = { state: 'killed' }; push('finding', { id: 'f1' }); send({ id: 'x9' }, 202); }],
    ['GET', /^\/devices\/([^/]+)\/actions$/, ({ st, send }) => send(list(st.noActs ? [] : actions(st)))],
    ['POST', /^\/devices\/([^/]+)\/actions$/, ({ st, data, send, push }) => { st.acted = [ACT('n' + (st.acted?.length ?? 0), data.action, data.args ?? {}, 'sent', -1000), ...(st.acted ?? [])]; push('action', {}); send({ id: 'n' }, 202); }],
    ['GET', /^\/quarantine$/, ({ st, send }) => send(list(st.empty ? [] : kept()))],
    ['GET', /^\/media$/, ({ st, send }) => send(list(st.empty ? [] : media(st)))],
    ['POST', /^\/media\/(allow|deny)$/, ({ st, id, data, send }) => { const have = policy(st).policy.media.allow; st.policy = { ...own(st), media: { ...own(st)?.media, allow: id === 'allow' ? [...have, data.serial] : have.filter((x) => x !== data.serial) } }; send({ serial: data.serial, allowed: id === 'allow' }); }],
];
