// Logs of the sample clinic: senders, a day of events, kept searches.
import { NOW, at } from './data.mjs';

const L = (ja, en) => ({ ja, en });
const H = 3_600_000;
const B64 = (hex) => Buffer.from(hex, 'hex').toString('base64');

const LINES = [
    ['fw1', 'action="login-failed" user="hoshu" src=203.0.113.9 vpn', { action: 'login-failed', username: 'hoshu', src_ip: '203.0.113.9', Message: L('VPN のサインインに失敗しました。利用者 hoshu、相手 203.0.113.9', 'VPN sign-in failed for hoshu from 203.0.113.9') }, ['vpn-many-failures']],
    ['emr-01', 'sshd[811]: Accepted password for tanaka from 192.0.2.31', { action: 'login', username: 'tanaka', src_ip: '192.0.2.31', Message: 'Accepted password for tanaka from 192.0.2.31 port 50122 ssh2' }, []],
    ['nas-01', null, { Message: L('患者の記録を開きました', 'Patient record opened'), username: '受付' }, []],
    ['rt-1', '[INSPECT] PP[01][in] TCP 198.51.100.7:4431 > 192.0.2.5:443', { src_ip: '198.51.100.7', dst_ip: '192.0.2.5', dst_port: 443, Message: '[INSPECT] PP[01][in] TCP 198.51.100.7:4431 > 192.0.2.5:443' }, []],
];
export const eventOf = (id) => {
    const [host, raw, fields, rules] = LINES[id % LINES.length];
    const time = at((480 - id) * 170_000);
    return { id, block: 3, class: 0, event: { '@timestamp': time, '@host': host, '@product': 'linux', '@format': 'syslog', '@notes': ['no-zone'], ...fields }, rules,
        ...(raw ? { raw: `<38>Nov 24 08:12:0${id % 10} ${host} ${raw}` } : { raw_b64: B64('3c33383e3120' + '8aB38ed282cc8b4c985e82f08a4a82ab82dc82b582bd'.toLowerCase()) }) };
};
export const search = (st, q) => {
    if (st.empty || q.get('q') === 'nothing') return { items: [], more: false, late: false, next: '', stats: { blocks_damaged: 0 } };
    const from = Number(q.get('cursor')) || 479, limit = Number(q.get('limit')) || 50;
    /* The part of a long search that is done when it is asked for. */
    if (st.slow && st.slow-- > 0) return { items: from === 479 ? [eventOf(479)] : [], more: true, late: true, reached_s: Math.floor(NOW / 1000) - 3600 * (20 - st.slow), next: '478', stats: { blocks_damaged: 0 } };
    const ids = Array.from({ length: Math.min(limit, from + 1) }, (_, i) => from - i);
    const next = from - ids.length;
    return { items: ids.map(eventOf), more: next >= 0, late: false, next: next >= 0 ? String(next) : '', stats: { blocks_damaged: 0 } };
};
export const histogram = (st, q) => {
    const n = Number(q.get('buckets')) || 60, from = Date.parse(q.get('from')) / 1000, until = Date.parse(q.get('until')) / 1000;
    return { from_s: from, width_s: Math.ceil((until - from) / n), counts: Array.from({ length: n }, (_, i) => (st.empty ? 0 : i % 9 === 4 ? 900 + i : (i * 37) % 260)), late: !!st.late };
};
export const saved = (st) => (st.savedSearches ??= st.empty ? [] : [{ id: 'q1', name: L('VPN の失敗', 'VPN failures'), q: 'action=login-failed vpn', span: '7d', by: 'hanako', own: true, made: at(30 * H) },
    { id: 'q2', name: L('夜の受付', 'Reception at night'), q: 'host:pc-1 -@service:cron', span: 'fixed', from: at(34 * H), until: at(24 * H), by: 'taro', own: false, made: at(300 * H) }]);
const source = (id, name, more) => ({ id, listener: 'udp', address: '192.0.2.1', host: '', name, state: 'ok', class: 0, format: '', encoding: '', zone_s: 32400, silent_s: 86400, read_as: 'syslog', count: 48210, bytes: 9.1e6, unparsed: 12, cut: 0, first: at(900 * H), last: at(40_000), skew_s: 1, per_minute: 34, silent: false, sender: { received: 4000, dropped: 0, cut: 0, skipped: 0 }, ...more });
export const sources = (st) => (st.empty ? [] : [source('11', L('出入口のルーター', 'Gateway'), { address: '192.0.2.1', host: 'fw1', read_as: 'fortigate' }),
    source('12', L('受付のルーター', 'Router at reception'), { address: '192.0.2.254', host: 'rt-1', last: at(31 * H), silent: true, per_minute: 0 }),
    source('13', '', { listener: 'tcp', address: '192.0.2.33', host: 'nas-01', state: 'new', silent_s: 0, count: 210, unparsed: 96, skew_s: 5400, per_minute: 3 }),
    source('14', L('無線の親機', 'Access point'), { address: '192.0.2.40', sender: { received: 90000, dropped: 5120, cut: 0, skipped: 0 }, cut: 3, per_minute: 4100 }),
    source('15', L('電子カルテ サーバー', 'EMR server'), { listener: 'agent', address: 'emr-01/journal', host: 'emr-01', read_as: 'journald', class: 1 })]);
export const state = (st) => ({ events: 4_812_330, stored_bytes: 612e6, raw_bytes: 4.1e9, stopped: false, damaged: '', first_s: Math.floor(NOW / 1000) - 86400 * 90, last_s: Math.floor(NOW / 1000), rules: 3802, addresses: ['sakimori.local', '192.0.2.10'],
    doors: [{ listener: 'udp', port: st.noPorts ? 0 : 514, on: !st.noPorts && !st.shut }, { listener: 'tcp', port: st.noPorts ? 0 : 601, on: !st.noPorts }, { listener: 'tls', port: 0, on: false }], listeners: [{ listener: 'udp', lost: 0 }],
    classes: [{ class: 0, ja: 'ふつう', en: 'standard', days: 400, bytes: 0, kept_bytes: 540e6, kept_segments: 5, oldest_s: Math.floor(NOW / 1000) - 86400 * 90 },
        { class: 1, ja: '電子カルテ', en: 'EMR', days: 1825, bytes: 53687091200, kept_bytes: 72e6, kept_segments: 1, oldest_s: Math.floor(NOW / 1000) - 86400 * 60, ...(st.released ? {} : { hold: { by: 'hanako', why: L('4月のことを調べるため', 'Inquiry about April'), at: at(60 * H) } }) }] });
export const ROUTES = [
    ['GET', /^\/logs$/, ({ st, send }) => send(state(st))],
    ['GET', /^\/logs\/sources$/, ({ st, send }) => send({ items: sources(st), next: null })],
    ['PATCH', /^\/logs\/sources\/(.+)$/, ({ data, send, fail }) => (data.format === 'abc' ? fail(400, 'bad_request', { field: 'format', message: '知られていない名前です。' }) : send({}))],
    ['PUT', /^\/logs\/classes$/, ({ send }) => send({})],
    ['POST', /^\/logs\/classes\/(\d+)\/hold$/, ({ send }) => send({})],
    ['POST', /^\/logs\/classes\/(\d+)\/release$/, ({ st, send }) => { st.released = true; send({}); }],
    ['PATCH', /^\/logs\/doors\/(.+)$/, ({ st, data, send }) => { st.shut = !data.on; send({}); }],
    ['GET', /^\/logs\/saved$/, ({ st, send }) => send({ items: saved(st), next: null })],
    ['POST', /^\/logs\/saved$/, ({ st, data, send, fail }) => { if (saved(st).some((x) => (x.name.ja ?? x.name) === data.name)) return fail(409, 'conflict', { field: 'name', message: '同じ名前の検索が、もうあります。' }); saved(st).unshift({ id: 'q9', own: true, by: 'hanako', made: at(0), ...data }); send({ id: 'q9' }, 201); }],
    ['DELETE', /^\/logs\/saved\/(.+)$/, ({ st, id, send }) => { st.savedSearches = saved(st).filter((x) => x.id !== id); send({}); }],
    ['GET', /^\/logs\/search$/, ({ st, query, send, fail }) => (query.get('q')?.startsWith('(') ? fail(400, 'bad_query', { field: 'q', at: 6, ja: '「)」が必要です', en: ') was expected', message: '検索の文の 7 文字目: 「)」が必要です' }) : send(search(st, query)))],
    ['GET', /^\/logs\/histogram$/, ({ st, query, send }) => send(histogram(st, query))],
    ['GET', /^\/logs\/events\/(\d+)$/, ({ id, send }) => send(eventOf(Number(id)))],
    ['GET', /^\/logs\/export$/, ({ st, query, res }) => {
        const sjis = query.get('encoding') === 'cp932';
        res.setHeader('Content-Type', sjis ? 'text/csv; charset=Windows-31J' : 'text/csv; charset=utf-8');
        res.setHeader('X-Sakimori-Next', query.get('cursor') ? '' : '1.0.5');
        res.setHeader('X-Sakimori-Events', '2');
        res.setHeader('X-Sakimori-Replaced', sjis ? '1' : '0');
        st.exported = (st.exported ?? 0) + 1;
        res.end(sjis ? Buffer.from('8aB38ed2'.toLowerCase() + '2c3f0d0a', 'hex') : '\ufeff"患者"\r\n');
    }],
];
