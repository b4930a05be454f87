// A sample clinic for the mock of the API: made-up names and numbers, one fixed moment, three mornings.
export const NOW = Date.parse(process.env.MOCK_NOW || '2026-11-24T08:30:00+09:00');
const H = 3_600_000;
const D = 24 * H;
export const at = (back_ms) => new Date(NOW - back_ms).toISOString();
const jst = (d, h, m) => Date.parse(`2026-11-${String(d).padStart(2, '0')}T${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}:00+09:00`);
const iso = (ms) => new Date(ms).toISOString();
export const hex = (seed, n = 64) => { let x = 0; for (const c of seed) x = (x * 31 + c.charCodeAt(0)) >>> 0; let s = ''; while (s.length < n) { x = (x * 1664525 + 1013904223) >>> 0; s += x.toString(16).padStart(8, '0'); } return s.slice(0, n); };
export const A7 = 'a7'.padEnd(32, '0');
const L = (ja, en) => ({ ja, en });

export const machineLogs = () => ({ usual: false, told: true, clock_s: 1795478580, items: [
    ['journal', 'journald', [], 'ok', 184_233, 41_000_000, 0, 0], ['auth', 'file', ['/var/log/auth.log', '/var/log/secure'], 'absent', 0, 0, 0, 0], ['nginx', 'file', ['/var/log/nginx/access.log'], 'ok', 92_114, 17_800_000, 3, 1],
    ['orca', 'file', ['/opt/jma/log/*.log'], 'refused', 0, 0, 0, 0], ['audit', 'audit', ['/var/log/audit/audit.log'], 'unknown', 0, 0, 0, 0],
].map(([name, input, paths, state, records, bytes, cut, gaps]) => ({ name, input, paths, format: '', encoding: '', from_start: false, unless_journal: name === 'auth', state, detail: '', files: 1, records, bytes, cut, gaps, last: records ? at(30_000) : null })) });
export const devices = () => [
    ['d1', L('受付パソコン1', 'Reception 1'), 'reception-1', 'Ubuntu 22.04', 'ok'], ['d2', L('受付パソコン2', 'Reception 2'), 'reception-2', 'Ubuntu 22.04', 'late'],
    ['d3', L('電子カルテ サーバー', 'EMR server'), 'emr-01', 'Debian 12', 'ok'], ['d4', L('レセコン(ORCA)', 'Receipts (ORCA)'), 'orca-01', 'Ubuntu 22.04', 'ok'],
    ['d5', L('画像サーバー', 'Image server'), 'pacs-01', 'Debian 12', 'ok'], ['d6', L('ファイル置き場', 'File share'), 'nas-01', 'Debian 12', 'ok'], ['d7', L('予備ノート', 'Spare laptop'), 'spare-nb', 'Debian 12', 'silent'],
].map(([id, name, hostname, os, state]) => ({ id, client: hex('c' + id, 32), name, hostname, os, state, last_seen: state === 'silent' ? at(6 * D) : at(40_000), agent_version: '0.1.0',
    confined: { uid: true, seccomp: true, landlock: id !== 'd2', nnp: true, missing: id === 'd2' ? ['landlock'] : [] }, sources: ['s' + id.slice(1)], kept: { generations: id === 'd1' ? 24 : 90, bytes: 6e10, quota: id === 'd2' ? 1e11 : 0 }, features: ['backup', 'kind:postgresql', 'kind:mariadb', 'kind:sqlite', 'access:postgresql:local', 'access:mariadb:local', ...(id === 'd1' ? ['access:postgresql:kensa', 'hook:tomeru', 'hook:ugokasu'] : [])], cert_until: iso(NOW + 300 * D) }));

const shareGens = (bad) => {
    const rows = [[12, 3, 10, 1.3], [13, 3, 10, 2.6], [14, 3, 10, 1.5], [16, 3, 10, 2.9], [17, 3, 10, 2.2], [18, 3, 10, 2.4], [19, 3, 10, 1.2], [20, 3, 10, 2.7], [21, 3, 10, 1.6], [22, 3, 10, 0.2], [23, 3, 10, 0.2], [24, 3, 10, 0.4], [24, 7, 10, 0.9]];
    const out = rows.map(([d, h, m, gb], i) => gen('s6', 'd6', i + 1, jst(d, h, m), gb * 1e9));
    out[9].drill = { at: out[9].at, ok: true };
    out[4].pinned = true;
    if (bad) out.push({ ...gen('s6', 'd6', 14, jst(24, 8, 10), 9.8e9), suspicion: { score: 92, level: 'high', reasons: [
        { code: 'replaced', share: 0.18, text: L('18%が一度に変化', '18% changed at once') }, { code: 'canary_changed', count: 2, text: L('おとりのファイルが2つ変わりました', '2 decoy files were changed') }, { code: 'renamed', count: 310, text: L('310件の名前が変わりました', '310 files were renamed') }] } });
    const clean = out.filter((g) => g.suspicion.level !== 'high');
    clean[clean.length - 1].last_clean = true;
    return out;
};
function gen(source, device, number, ms, stored) {
    return { id: hex(`${source}-${number}`), source, device, number, at: iso(ms), run_kind: 'scheduled', status: 'complete', bytes: 48.2e9, bytes_new: Math.round(stored * 1.4), stored_new: Math.round(stored), files: 48210,
        suspicion: { score: 3, level: 'none', reasons: [] }, last_clean: false, pinned: false, slots: ['daily'], locked: { days_left: 14 }, drill: null };
}
export const generations = (bad) => {
    const out = shareGens(bad);
    for (const [n, base] of [[1, 0.7], [3, 1.6], [4, 0.9], [5, 4.1]]) {
        for (let i = 0; i < 9; i++) out.push({ ...gen('s' + n, 'd' + n, i + 1, jst(16 + i, n === 5 ? 3 : 7, n === 5 ? 25 : 10), base * 1e9 * (0.3 + ((i * 7) % 10) / 10)), bytes: 12e9, files: 8200 });
        out[out.length - 1].last_clean = true;
    }
    for (let i = 0; i < 5; i++) out.push(gen('s2', 'd2', i + 1, jst(18 + i, 13, 10), 0.5e9 * (1 + (i % 3))));
    out[out.length - 1].last_clean = true;
    out[out.length - 2].status = 'partial';
    return out.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
};

export const sources = (bad, gens) => [
    ['s3', 'd3', L('電子カルテのデータ', 'Medical records'), 'emr', ['/srv/karte'], 'hour'], ['s4', 'd4', L('レセコンのデータ', 'Receipts'), 'receipt', ['/var/lib/orca'], 'day'], ['s5', 'd5', L('画像(レントゲン)', 'Images'), 'image', ['/srv/dicom'], 'day'],
    ['s6', 'd6', L('共有フォルダ', 'Shared folder'), 'share', ['/srv/share', '/srv/scan'], 'hour'], ['s1', 'd1', L('受付の書類', 'Front desk papers'), 'front', ['/home/reception'], 'hour'], ['s2', 'd2', L('受付2の書類', 'Front desk 2'), 'front', ['/home/reception'], 'day'],
].map(([id, device, name, group, paths, every]) => ({ id, device, name, group, kind: paths[0].startsWith('/postgresql') ? 'postgresql' : 'files', options: paths[0].startsWith('/postgresql') ? { access: 'local', databases: ['orca'] } : {}, paths, include: [], exclude: ['*.tmp'], schedule: every === 'hour' ? { every } : { every, at: '03:10' }, responsible: 'p2', canaries: true, bandwidth_kib_s: 0, one_file_system: true, enabled: true,
    last: gens.find((g) => g.source === id) ?? null, next: iso(NOW + 40 * 60_000), state: bad && id === 's6' ? 'suspicious' : id === 's2' ? 'late' : 'ok' }));

const groups = (kind) => [['emr', L('電子カルテ', 'Medical records'), '3:10'], ['receipt', L('レセコン', 'Receipts'), '3:10'], ['image', L('画像(レントゲン)', 'Images'), '3:25'], ['share', L('ファイル置き場', 'File share'), '7:10'], ['front', L('受付パソコン 3台', 'Front desk, 3'), '7:10'], ['room', L('診察室 2台', 'Surgery, 2'), '7:10']].map(([group, name, h]) => {
    let state = 'ok';
    let text = L(`保存 ${h}`, `kept ${h}`);
    if (kind === 'call') text = L('変化なし', 'no change');
    if (kind === 'call' && group === 'share') { state = 'call'; text = L('310件 書きかえ', '310 altered'); }
    if (kind === 'look' && group === 'front') { state = 'look'; text = L('2台目が停止', 'no. 2 stopped'); }
    return { group, name, state, text };
});

export function today(kind, gens, done) {
    const clean = gens.find((g) => g.source === 's6' && g.last_clean);
    const base = { state: kind, at: at(60_000), next_check: iso(NOW + 4 * 60_000), lines: [], last: { at: iso(jst(24, 7, 10)), ago_s: 4800, devices: 9, devices_total: 9, kept_days: 90, drill: { at: iso(jst(22, 4, 0)), ok: true } },
        one: null, dont: [], calls: [], say: '', paper: false, safe: null, groups: groups(kind), not_watched: [L('ウイルスの動き', 'Behaviour of malware'), L('外からの専用の入口', 'The entrance from outside')], notes: [] };
    if (kind === 'ok') return { ...base, headline: L('だいじょうぶです', 'All is well'), lead: L('診療を始められます。', 'You can start the day.'),
        one: done ? null : { id: 't1', title: L('緊急カードを印刷する', 'Print the emergency card'), text: L('電話番号が変わりました。新しい紙にはりかえます。', 'A telephone number has changed. Put up a new sheet.'), minutes: 2, action: 'print_card', link: '/card' } };
    if (kind === 'look') return { ...base, headline: L('見てください', 'Please look'), lead: L('診療は始められます。受付パソコン2の保存が、2日止まっています。', 'You can start the day. Copies of Reception 2 stopped 2 days ago.'),
        lines: [{ state: 'look', text: L('受付パソコン2 11月22日から', 'Reception 2, since 22 Nov'), device: 'd2', source: 's2' }], last: { ...base.last, devices: 8 },
        one: done ? null : { id: 't2', title: L('受付パソコン2の電源を入れる', 'Switch on Reception 2'), text: L('電源が切れたままのようです。入れると、保存は自動で始まります。', 'It seems to be off. Copies start by themselves once it is on.'), minutes: 1, action: 'done', link: '/machines' } };
    if (kind === 'unknown') return { ...base, headline: L('いまは分かりません', 'Not known now'), lead: L('箱の時計が合っているか、まだ分かりません。', 'It is not known yet whether the clock of the box is right.'),
        one: { id: 't3', title: L('日付を確かめる', 'Confirm the date'), text: L('きょうは11月24日ですか。', 'Is today the 24th of November?'), minutes: 1, action: 'confirm_date', link: null } };
    return { ...base, state: 'call', next_check: null, headline: L('すぐ電話してください', 'Please call now'), lead: L('ファイル置き場の「共有フォルダ」です。18%が一度に書きかえられました。古い保存は消えないように止めてあります。受付は、紙に切りかえてください。', 'It is the shared folder on the file share. 18% was rewritten at once. Older backups are held. Switch reception to paper.'), paper: true,
        lines: [{ state: 'call', text: L('ファイル置き場で、18%が一度に変わりました', 'On the file share 18% changed at once'), device: 'd6', source: 's6' }, { state: 'look', text: L('受付パソコン2の保存が、2日止まっています', 'Copies of Reception 2 stopped 2 days ago'), device: 'd2', source: 's2' }],
        one: { id: A7, title: L('電話する', 'Make the call'), text: L('上の番号から順に電話します。', 'Call the numbers in order.'), minutes: 5, action: 'call', link: '/trouble', phone: '00-0000-0000' },
        dont: [{ title: L('電源を切らないでください', 'Do not switch off'), text: L('何があったかの記録が消えます。', 'The traces would be lost.') }, { title: L('線を元に戻さないでください', 'Do not plug cables back in'), text: L('抜いた線は、業者が来るまでそのままにします。', 'Leave them until the vendor comes.') },
            { title: L('画面の連絡先に返事をしないでください', 'Do not answer whoever is on the screen'), text: L('お金の話は、院長と警察が決めます。', 'Money is for the director and the police.') }],
        calls: [{ name: L('電子カルテの業者(24時間)', 'Vendor of the records (24 h)'), phone: '00-0000-0000' }, { name: L('院長', 'Director'), phone: '000-0000-0000' }], say: L('「Sakimori に『すぐ電話』と出ました。ファイル置き場です。」', '“Sakimori says ‘call now’. It is the file share.”'),
        safe: { manifest: clean.id, at: clean.at, text: L('保存は無事です。7:10 の状態に戻せます。', 'The backups are safe. You can go back to 7:10.') } };
}

/* An incident as the box joins it from signals: booked maintenance and what is kept quiet beside it. */
export const I7 = 'b7'.padEnd(32, '0');
const signal = (id, d, h, m, level, stage, title, text, entities, times = 1, author) => ({ id, at: iso(jst(d, h, m)), rule: `sakimori-${id}`, level, stage, title, text, entities, facts: author ? { author } : {}, what: 'joined', incident: 7, filter: null, booked: null, times });
export const incident = () => ({ id: 7, state: 'open', severity: 'call', title: L('reception-1で、守りや記録が止められました', 'Protection or logs were switched off on reception-1'), opened: iso(jst(18, 2, 39)), first: iso(jst(18, 2, 38)), last: iso(jst(24, 5, 12)), closed: null,
    stages: ['initial-access', 'lateral-movement', 'discovery', 'defense-evasion'], entities: [['host', 'reception-1'], ['account', 'hoshu'], ['address', '203.0.113.9']],
    next: [{ id: 'unplug_machine', title: L('その機器の線を抜く', 'Unplug its network cable'), detail: L('LAN の線だけです。電源は切りません', 'Only the network; leave the power on'), link: '' },
        { id: 'ask_vendor', title: L('業者に電話する', 'Telephone your vendor'), detail: L('番号は、緊急カードにあります', 'The number is on the emergency card'), link: '/card' },
        { id: 'detach_backup', title: L('保存用ディスクの線を抜く', 'Detach the backup disk'), detail: L('抜いて、金庫に入れます', 'Take it out and put it in the safe'), link: '/copies' }],
    timeline: [
        signal(1, 18, 2, 38, 'high', 'initial-access', L('VPN: 失敗が続いたあとに入った', 'VPN: in after failures'), L('hoshu が5回失敗したあと、知らない国から入りました。', 'hoshu came in from an unknown country after five failures.'), [['account', 'hoshu'], ['address', '203.0.113.9'], ['host', 'fw1']], 6),
        signal(2, 18, 2, 46, 'medium', 'lateral-movement', L('遠隔操作で入った', 'Remote desktop'), L('reception-1 に、遠隔操作で入った人がいます。', 'Somebody came to reception-1 by remote desktop.'), [['host', 'reception-1'], ['address', '10.8.0.5']]),
        signal(3, 18, 2, 52, 'high', 'discovery', L('機器を次々に調べた', 'Port sweep'), L('reception-1 が、院内の40台を調べました。', 'reception-1 looked at 40 machines.'), [['host', 'reception-1']], 40, 'Nasreddine Bencherchali (Nextron Systems)'),
        signal(4, 19, 3, 10, 'critical', 'defense-evasion', L('記録が消された', 'Log cleared'), L('pc3 の記録が消されました。写しは残っています。', 'The log of pc3 was cleared. Its copy is kept.'), [['host', 'pc3']])] });
export const incidentAlarm = () => ({ id: I7, kind: 'incident', state: 'call', opened: iso(jst(18, 2, 39)), closed: null, seen: null, title: L('reception-1で、守りや記録が止められました。', 'Protection or logs were switched off on reception-1.'),
    text: L('いくつかの知らせを、一つの話にまとめました。順番と、機器の名前は、下にあります。', 'Several signals belong together. Their order and the machines are listed below.'), source: null, client: null, manifest: null, facts: { incident: 7 }, next: [L('業者に電話する。', 'Call your vendor.')] });
const step = (id, action, mode, state, text, plan, by = null) => ({ id, incident: 7, playbook: 'p1', n: id, action, mode, text, state, plan, at: iso(jst(18, 2, 40)), by, done: by ? iso(jst(18, 2, 40)) : null });
export const responses = () => [step(1, 'freeze-vault', 'auto', 'done', L('reception-1 の古い保存を、消えないように止めます', 'Holds the older backups of reception-1'), { undo: true }, 'sakimori'),
    step(2, 'block-address', 'click', 'offered', L('203.0.113.9 を入口で止めます', 'Blocks at the edge: 203.0.113.9'), { undo: true, device: 'fortigate', commands: ['diagnose user banned-ip add src4 203.0.113.9 86400 admin'], undo_commands: ['diagnose user banned-ip delete src4 203.0.113.9'] }),
    step(3, 'task', 'auto', 'todo', L('すること: 業者に電話', 'To do: telephone the vendor'), { undo: false }, 'sakimori')];
export const actions = () => [{ name: 'freeze-vault', title: L('古い保存を消えないように止める', 'hold older backups'), undo: true, params: [] },
    { name: 'block-address', title: L('相手のアドレスを入口で止める', 'block an address at the edge'), undo: true, params: [{ name: 'device', needed: true, one_of: ['fortigate', 'yamaha-rtx'], title: L('入口の機器', 'device at the edge') }, { name: 'address', needed: false, one_of: null, title: L('止めるアドレス', 'address to block') }] },
    { name: 'mail', title: L('メールで知らせる', 'tell by mail'), undo: false, params: [{ name: 'to', needed: true, one_of: null, title: L('宛先(,で区切る)', 'addresses, separated by commas') }] }];
export const playbooks = () => [{ id: 'p1'.padEnd(32, '0'), name: L('外から入られたとき', 'When somebody came in'), enabled: true, when: { severity: ['call'] }, steps: [{ action: 'freeze-vault', mode: 'auto', params: {} }, { action: 'block-address', mode: 'click', params: { device: 'fortigate' } }], made_by: 'jimu', made: at(3 * D) }];
const R = (id, title, title_ja, level, state, source, author, more = {}) => ({ id, title, title_ja, what_ja: '', kind: 'rule', level, status: 'test', author, license: 'DRL 1.1', file: `bundle/rules/${id}.yml`, product: 'windows', category: 'process_creation', service: '', waits: '', off: state === 'off', tags: ['attack.credential-access', 'attack.t1003.001'], state, source, hits: 3, hits_30: 41, ...more });
export const rules = () => [
    R('r1', 'LSASS Memory Dump by a Signed Tool', '', 'high', 'on', 'bundle', 'Florian Roth (Nextron Systems), 見本 作者'),
    R('r2', 'Sign-in to the VPN Failed', 'VPN に入れなかった', 'low', 'feeds', 'shipped', 'Sakimori', { hits_30: 1204, product: 'fortigate', category: '', service: 'vpn', tags: [] }),
    R('r3', 'VPN: In after Failures', 'VPN: 失敗が続いたあとに入った', 'high', 'on', 'shipped', 'Sakimori', { kind: 'correlation', product: '', category: '', hits_30: 1 }),
    R('r4', 'Whoami Run by Somebody', '', 'medium', 'off', 'bundle', 'Yamato Security', { hits_30: 0, off_note: { why: L('検査の道具が毎日使うため', 'a tool for inspections uses it daily'), by: 'jimu', at: at(4 * D) } }),
    R('r5', 'Night Copy of the Clinic', L('夜に院内の写し', ''), 'medium', 'on', 'own', L('見本 太郎', 'Taro Mihon'), { file: 'own/r5', hits_30: 0 })];
const near = (r) => ({ id: r.id, title: r.title, title_ja: r.title_ja, state: r.state });
const YAML = `title: LSASS Memory Dump by a Signed Tool\nid: r1\nauthor: Florian Roth (Nextron Systems), 見本 作者\nlevel: high\nlogsource:\n    product: windows\n    category: process_creation\ndetection:\n    selection_img:\n        Image|endswith: '\\procdump.exe'\n    selection_cli:\n        CommandLine|contains: 'lsass'\n    condition: all of selection_*\nfalsepositives:\n    - Administrators who look into a crash\n`;
export const rule = (id) => { const all = rules(), r = all.find((x) => x.id === id); return r && { ...r, text: YAML, cut: false, line: 1, description: 'Finds the memory of LSASS being written to a file, which gives away the passwords of those who are signed in.', todo_ja: '', date: '2024-05-01', modified: '2026-10-02',
    references: ['https://example.org/lsass'], falsepositives: ['Administrators who look into a crash'], feeds: id === 'r2' ? [near(all[2])] : [], refers: id === 'r3' ? [near(all[1])] : [],
    days: r.hits_30 ? [{ day: iso(jst(17, 9, 0)), n: 12 }, { day: iso(jst(18, 9, 0)), n: 29 }] : [],
    filters: id === 'r1' ? [{ id: 3, rule: id, conditions: [{ field: 'ParentImage', modifier: 'endswith', values: ['\\\\inspect.exe', '\\\\backup.exe'] }], why: L('業者の点検', 'inspection of the vendor'), by: 'jimu', made: at(3 * D) }] : [],
    ...(r.source === 'own' ? { own: { by: 'jimu', changed: at(2 * D), text: YAML } } : {}) }; };
export const ruleFaults = () => [{ file: 'bundle/rules/old_one.yml', line: 14, why: 'timeframe: the old form of counting; correlation rules took its place' }, { file: 'bundle/rules/linux/audit_x.yml', line: 9, why: 'condition: "selection and filtr": nothing is called filtr' }];
const KEY = 'SKRB0-' + 'ab12'.repeat(16);
const place = (serial, days) => ({ name: L('さくら情報', 'Sakura Systems'), serial, made: at(days * D), put: at((days - 1) * D), by: 'jimu', licence: 'Detection Rule License 1.1', note: L('新しい決まり 42、直した決まり 10', '42 new rules, 10 changed') });
export const bundle = (none) => ({ current: none ? null : place(2026112001, 4), previous: none ? null : place(2026110101, 23), keys: none ? [] : [{ id: 'k1', name: L('さくら情報の鍵', 'Sakura Systems'), key: KEY, by: 'incho', at: at(90 * D) }], project_keys: [], fault: '', can_put_back: !none, rules: 3805, faults: none ? 0 : 2 });
export const tried = (line) => { const hit = line.includes('procdump'); return { rules: [], faults: [], format: 'syslog', fields: [['Image', hit ? 'C:\\Tools\\procdump.exe' : 'C:\\Windows\\notepad.exe'], ['CommandLine', 'procdump -ma lsass.exe']],
    results: [{ id: 'r1', title: 'LSASS Memory Dump by a Signed Tool', match: hit, lines: [{ depth: 0, truth: true, what: 'log source', want: 'windows/process_creation', have: '', absent: false, field: '' }, { depth: 0, truth: hit, what: 'condition', want: '', have: '', absent: false, field: '' },
        { depth: 1, truth: hit, what: 'selection_img', want: '', have: '', absent: false, field: '' }, { depth: 2, truth: hit, what: 'Image|endswith', want: '\\procdump.exe', have: hit ? 'C:\\Tools\\procdump.exe' : 'C:\\Windows\\notepad.exe', absent: false, field: 'NewProcessName' },
        { depth: 1, truth: true, what: 'CommandLine|contains', want: 'lsass', have: 'procdump -ma lsass.exe', absent: false, field: '' }, { depth: 1, truth: false, what: 'User', want: 'x', have: '', absent: true, field: '' }] }] }; };
export const reviews = (signed) => [{ month: '2026-11', over: false, signed: false, by: null, at: null }, { month: '2026-10', over: true, signed: !!signed, by: signed ? '見本 花子' : null, at: signed ? at(0) : null },
    { month: '2026-09', over: true, signed: true, by: '見本 花子', at: iso(jst(1, 9, 0)) }];
export const review = (month, signed) => ({ v: 1, month, over: month !== '2026-11', signed: month === '2026-09' || (signed && month === '2026-10') ? { by: '見本 花子', at: iso(jst(24, 9, 0)), hash: 'ab'.repeat(32), note: null } : null,
    incidents: [{ id: 7, title: incident().title, severity: 'call', first: iso(jst(18, 2, 38)), closed: null, verdict: null, note: null }, { id: 6, title: L('ふだんとちがう入り方で、外から入った人がいます', 'Somebody came in from outside in an unusual way'), severity: 'look', first: iso(jst(3, 22, 10)), closed: iso(jst(4, 9, 0)), verdict: 'harmless', note: L('業者の急ぎの作業', 'urgent work of the vendor') }],
    signals: { waits: 12, joined: 5, booked: 4, filtered: 31 }, levels: { low: 30, medium: 14, high: 7, critical: 1 }, alarms: { incident: 2, late: 3 }, runs: { complete: 840, partial: 2, failed: 1 }, drills: { passed: 4, failed: 0 }, maintenance: { booked: 2, sessions: 4 }, quiet_rules: 1, restores: 1, log_checks: { parts: 29, whole: 1, faults: 0 } });
export const quiet = () => [{ id: 3, rule: 'night', title: L('夜に大きな通信', 'Large transfer at night'), entities: [['host', 'srv1'], ['account', 'batch']], why: L('夜の集計', 'nightly totals'), by: 'jimu', made: at(3 * D), hits: 12, last: at(D), gone: null, gone_by: null },
    { id: 2, rule: 'old', title: L('古い決まり', 'An older one'), entities: [], why: L('ためし', 'a try'), by: 'incho', made: at(30 * D), hits: 0, last: null, gone: at(20 * D), gone_by: 'incho' }];
export const bookings = () => [{ id: 'm1'.padEnd(32, '0'), vendor: L('カルテ社', 'EMR company'), purpose: L('月の点検', 'Monthly check'), account: 'hoshu', address: '192.0.2.0/24', from: iso(NOW - 3600e3), until: iso(NOW + 3600e3), made_by: 'jimu', made: at(D), gone: null, gone_by: null, sessions: [{}, {}] },
    { id: 'm2'.padEnd(32, '0'), vendor: L('回線の会社', 'Line provider'), purpose: L('ルーターの更新', 'Router update'), account: null, address: null, from: at(5 * D), until: at(5 * D - 3600e3), made_by: 'jimu', made: at(6 * D), gone: null, gone_by: null, sessions: [] }];

export const alarms = (bad, gens) => (bad ? [{ id: A7, device_name: L('ファイル置き場', 'File share'), source_name: L('共有フォルダ', 'Shared folder'), kind: 'suspicion', state: 'call', opened: iso(jst(24, 8, 12)), closed: null, seen: null, title: L('ファイル置き場で、ファイルが次々に書きかえられました', 'Files on the file share were altered one after another'),
    text: L('けさ 8:10 の保存で、18%のファイルが一度に変わっていました。\nデータを使えなくして、お金を要求するウイルス(ランサムウェア)の動きに似ています。\nSakimori は、古い保存を消す作業を止めました。\n電子カルテとレセコンに、変化はありません。', 'In the copy of 8:10 18% of the files had changed at once.\nIt looks like ransomware.\nSakimori has stopped deleting old copies.\nRecords and receipts show no change.'),
    source: 's6', client: hex('cd6', 32), manifest: gens.find((g) => g.suspicion.level === 'high')?.id ?? null, facts: { files: 48210, files_changed: 8677, renamed: 310, extension_changed: 310, canaries_changed: 2, share: 0.18, score: 92 },
    next: [L('業者に電話して、ファイル置き場のことを伝える。', 'Call your vendor and tell them about the file share.'), L('ファイル置き場のネットワークの線を抜く。電源は切らない。', 'Pull the network cable of the file share. Leave the power on.'), L('受付を紙に切りかえ、緊急カードのとおりに進める。', 'Switch to paper and follow the emergency card.')] }] : []).concat([{ id: 'a6', device_name: L('受付パソコン1', 'Reception 1'), source_name: L('受付の書類', 'Front desk papers'), kind: 'late', state: 'look', opened: at(9 * D), closed: at(8 * D), seen: at(9 * D), title: L('受付パソコン1の保存が、1日止まりました', 'Copies of Reception 1 stopped for a day'), text: L('電源が切れていました。入れたあと、保存は自動で始まりました。', 'It was off. Copies started again once it was on.'), source: 's1', client: null, manifest: null, facts: {},
        next: [L('電源とネットワークの線を見る。', 'Look at the power and the network cable.'), L('電源が入っていれば、「いま保存」を押す。', 'If it is on, start a backup now.'), L('止まったままなら、業者に聞く。', 'If it stays like this, ask your vendor.')] }]);

export const people = () => [['p1', 'hanako', L('見本 花子', 'Hanako Mihon'), 'director', null], ['p2', 'taro', L('見本 太郎', 'Taro Mihon'), 'manager', null], ['p3', 'uketsuke', L('受付 みどり', 'Midori Uketsuke'), 'staff', null], ['p4', 'vendor', L('保守 業者', 'Vendor, maintenance'), 'vendor', iso(NOW + 20 * D)]]
    .map(([id, account, name, role, until], i) => ({ id, account, name, role, until, totp: i !== 2, locked: i === 2, last_sign_in: i === 3 ? null : at((i + 1) * 5 * H) }));
export const contacts = () => [[L('電子カルテの業者', 'Vendor of the records'), '', '00-0000-0000', L('24時間', '24 h'), L('契約番号 A-1024', 'contract A-1024'), '2026-05-12'], [L('ネットワークの業者', 'Vendor of the network'), '', '00-0000-0000', L('平日 9–18時', 'weekdays 9–18'), '', '2026-05-12'],
    [L('院長', 'Director'), L('見本 花子', 'Hanako Mihon'), '000-0000-0000', '', L('つながらなければ事務長', 'else the manager'), '2026-05-12'], [L('警察の相談', 'Police'), '', '#9110', '', L('いま被害が広がるとき 110', 'in an emergency 110'), '2026-05-12'], [L('厚生労働省', 'Ministry of Health'), '', '00-0000-0000', '', L('院長が電話します', 'the director calls'), null]]
    .map(([name, , phone, hours, note, checked_on], i) => ({ name, role: ['vendor', 'network', 'director', 'police', 'mhlw'][i], phone, hours, note, checked_on }));
export const access = (gens) => [['unlock', 'ok', L('11月24日の書きかえを戻す', 'undo the changes of 24 Nov')], ['list', 'ok', L('11月24日の書きかえを戻す', 'undo the changes of 24 Nov')], ['download', 'ok', L('紹介状を見る', 'look at a letter')], ['unlock', 'denied', '']]
    .map(([what, result, why], i) => ({ at: at(i * 3 * H + 600_000), who: 'hanako', role: 'director', what, client: hex('cd6', 32), manifest: gens[0].id, from: '192.0.2.10', why, result, role_text: L('院長', 'director'), from_text: '192.0.2.10', why_text: why, what_text: { unlock: L('鍵を開けた', 'unlocked'), list: L('中を見た', 'looked inside'), download: L('1つ受け取った', 'downloaded one file') }[what], result_text: result === 'ok' ? L('できた', 'done') : L('断った', 'refused') }));
export const audit = () => Array.from({ length: 14 }, (_, i) => ({ n: 214 - i, at: at(i * 1.7 * H), who: i % 3 ? 'hanako' : 'sakimori', role: i % 3 ? 'director' : 'box', act: ['sign-in', 'run', 'alarm.act', 'settings.change', 'join'][i % 5], what: '', from: '192.0.2.10', result: 'ok', act_text: [L('入った', 'signed in'), L('保存を始めた', 'started a backup'), L('こまったことを進めた', 'acted on trouble'), L('設定を変えた', 'changed settings'), L('機器が加わった', 'a machine joined')][i % 5], what_text: i % 5 === 1 ? L('「電子カルテ」', '“Records”') : '', from_text: '192.0.2.10', result_text: L('できた', 'done'), role_text: i % 3 ? L('院長', 'director') : L('この箱', 'the box'), ...(i % 3 ? {} : { who_name: L('Sakimori の箱', 'the Sakimori box') }) }));
export const settings = () => ({ mail: { to: ['hanako@example.jp'], from: 'sakimori@example.jp', host: 'mail.example.jp', port: 587, tls: 'starttls', user: 'sakimori', password_set: true, last: null }, webhook: { url: '', last: null }, places: [{ address: '192.0.2.40', name: 'オンライン請求' }], firewall: { url: 'https://192.168.1.1', pin: '', token_set: true, last: null }, retention: { hourly: 48, daily: 35, weekly: 26, monthly: 60, min_days: 14 }, language: 'ja',
    institution: { name: L('さくら内科クリニック', 'Sakura Clinic'), kind: 'clinic', address: '見本県見本市1-2-3', phone: '00-0000-0000', responsible: { name: '見本 花子', title: '院長', phone: '' }, deputy: { name: '見本 太郎', title: '事務長', phone: '' }, vendor_updates: 'unknown' } });
export const box = (gens) => ({ version: '0.1.0', children: ['front', 'keyd', 'brain', 'vault', 'opener', 'out'].map((name) => ({ name, state: name === 'opener' ? 'down' : 'up', restarts: name === 'out' ? 1 : 0, confined: { uid: false, seccomp: true, landlock: true, nnp: true, missing: ['uid'] } })).map((c) => (c.name === 'opener' ? { ...c, state: 'up' } : c)),
    disk: { free: 712e9, used: 288e9, reserve: 20e9 }, vault: { packs: 412, bytes: 184e9, generations: gens.length, head: { seq: 1841, hash: hex('head') } }, clock: { now: iso(NOW), trusted: true }, not_separated: [L('ふつうの利用者で動いているので、働き手どうしの名前が同じです', 'Started by an ordinary user: the parts share one uid')], addresses: ['https://127.0.0.1:8443'] });
export const words = (lang) => Array.from({ length: 24 }, (_, i) => (lang === 'ja' ? ['あいこくしん', 'あさひ', 'いけばな', 'うちわ', 'えがお', 'おんせん', 'かわら', 'きもの', 'くじら', 'けしき', 'こころ', 'さくら'] : ['abandon', 'ability', 'bamboo', 'cabin', 'dawn', 'eager', 'fabric', 'garden', 'harbor', 'island', 'jacket', 'kitchen'])[(i * 5) % 12]);
export function qr(seed) {
    const bits = hex(seed, 400);
    let path = '';
    for (let y = 0; y < 29; y++) for (let x = 0; x < 29; x++) {
        const finder = (a, b) => x >= a && x < a + 7 && y >= b && y < b + 7;
        const f = [[0, 0], [22, 0], [0, 22]].find(([a, b]) => finder(a, b));
        const on = f ? (x - f[0] === 0 || x - f[0] === 6 || y - f[1] === 0 || y - f[1] === 6 || (x - f[0] > 1 && x - f[0] < 5 && y - f[1] > 1 && y - f[1] < 5)) : parseInt(bits[(x * 13 + y * 7) % 400], 16) % 2;
        if (on) path += `M${x + 2} ${y + 2}h1v1h-1z`;
    }
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 33 33"><rect width="33" height="33" fill="#fff"/><path d="${path}"/></svg>`;
}
export const files = (path) => {
    const f = (name, kind, size, note) => ({ name, name_b64: Buffer.from(name).toString('base64'), kind, size, mtime: at(3 * D), mode: 0o644, owner: 'clinic', ...(note ? { note } : {}) });
    if (!path) return [f('/srv/share', 'dir', 0), f('/srv/scan', 'dir', 0)];
    return [f('予約', 'dir', 0), f('紹介状', 'dir', 0), f('予約表.xlsx', 'file', 84_211), f('診療案内.docx', 'file', 42_100), f('休診のお知らせ.pdf', 'file', 312_004), { ...f('\ufffd\ufffd.txt', 'file', 120), name_b64: 'kLMu', note: 'changed-while-read' }];
};

const plan = { amount: 'sample', files: 200, bytes: 4.1e8, files_total: 48210, bytes_total: 48.2e9 };
const report = { version: 1, files: 200, bytes: 4.1e8, restore_ms: 9200, compare_ms: 4100, differences: 0, problems: 0, removed: true, estimate_s: 2218, head: { seq: 5120, hash: 'ab12'.repeat(16) } };
export const drills = () => [
    { id: 'd2', manifest: 'cd34'.repeat(16), source: 's1', source_name: L('共有フォルダ', 'Shared folder'), device: 'd1', device_name: L('共有サーバー', 'File server'), state: 'running', ok: null, by: 'incho', plan, report: null, hash: null, created: at(3e4), finished: null, progress: { files: 80, bytes: 1.6e8 } },
    { id: 'd1', manifest: 'ef56'.repeat(16), source: 's1', source_name: L('共有フォルダ', 'Shared folder'), device: 'd1', device_name: L('共有サーバー', 'File server'), state: 'complete', ok: true, by: 'incho', plan, report, hash: '12ab'.repeat(16), created: at(2e9), finished: at(1.99e9) },
    { id: 'd0', manifest: '0f56'.repeat(16), source: 's1', source_name: L('共有フォルダ', 'Shared folder'), device: 'd1', device_name: L('共有サーバー', 'File server'), state: 'partial', ok: false, by: 'incho', plan, report: { ...report, differences: 2, problems: 1 }, hash: '34ab'.repeat(16), created: at(4e9), finished: at(3.99e9) },
];
/* ---- how long what is kept ---- */
export function retention(st, source, list) {
    const days = [0, 0.05, 0.2, 0.6, 1, 2, 3, 5, 8, 11, 15, 21, 28, 40, 62, 93, 124, 200];
    const items = source ? days.map((d, i) => ({ manifest: String(i).padStart(64, 'c'), number: 60 - i, at: at(d * 24 * H), slots: [d < 2 && 'hourly', d < 35 && 'daily', i % 3 === 0 && 'weekly', d > 27 && 'monthly'].filter(Boolean),
        why: i === 0 ? 'slot' : i === 6 ? 'span' : i === 9 ? 'locked' : 'slot', suspicious: i === 3, pinned: false, locked_ms: Math.max(0, 14 - d) * 86_400_000 })).reverse() : [];
    const waiting = { id: 'a'.repeat(32), kind: 'delete', state: st.order_stopped ? 'cancelled' : 'waiting', at: at(12 * H), by: 'hanako', reason: '間違えて入れた', left_ms: 6.5 * 86_400_000, manifests: 2, ended: st.order_stopped ? at(0) : null, ended_by: 'hanako', why: '', done: 0, kept: 0 };
    return { policy: { hourly: 48, daily: 35, weekly: 26, monthly: 60, min_days: 14 }, lock_max_days: 400, order_wait_ms: 7 * 86_400_000, pack_wait_ms: 3 * 86_400_000, date: { gap_ms: 2.2 * 86_400_000, may_ms: 86_400_000, gained_ms: 0, ask: true },
        orders: st.empty ? [] : [waiting, { ...waiting, id: 'b'.repeat(32), kind: 'policy', state: 'executed', at: at(400 * H), ended: at(230 * H), done: 1, manifests: 0 }],
        holds: st.empty || st.released ? [] : [{ id: 'h1', scope: 'source', what: 's1', name: '電子カルテ', reason: '診療の記録を調べるため', by: 'hanako', at: at(60 * H) }],
        items, sources: st.empty ? [] : list.map((s) => ({ id: s.id, name: s.name, device: s.device, device_name: 'karte-server' })), totals: { expired: 41, packs_deleted: 12, packs_condemned: 3, bytes_condemned: 82e6, bytes_deleted: 1.2e9 } };
}

/** Where logs are stored: here alone, or in ClickHouse, which is "up" or "away". */
export const logStore = (how) => ({
    store: how ? 'clickhouse' : 'local', urls: how ? 'https://ch1.example.jp:8443 https://ch2.example.jp:8443' : '', database: 'sakimori', table: 'events', user: how ? 'box' : '', ca: '', password_set: Boolean(how),
    state: how ? { there: how === 'up', reason: how === 'up' ? '' : 'network', why: how === 'up' ? '' : 'https://ch1.example.jp:8443: Connection refused', blocks: 763, events: 50000000, waiting: how === 'up' ? 65536 : 1200000, odd: how === 'up' ? 0 : 1, odd_first: 12, damaged: 0, brought_s: 1795000000, since_s: 1795000000 } : null,
});
