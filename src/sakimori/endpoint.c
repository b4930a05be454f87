/* endpoint: how machines are watched, what they stop and block, what they found. */
#include <string.h>
#include "sakimori/commands.h"

/* Words of the API as people read them here. */
static const struct { const char *word, *ja, *en; } words[] = {
    { "cover:none", "見張りなし", "not watched" },
    { "cover:off", "止まっている", "off" },
    { "cover:starting", "始めているところ", "starting" },
    { "cover:empty", "守るフォルダーがまだない", "no folder to protect yet" },
    { "cover:part", "一部だけ", "in part" },
    { "cover:on", "見張り中", "watched" },
    { "kind:ransomware", "暗号化", "ransomware" },
    { "kind:rule", "怪しい動き", "suspicious" },
    { "kind:malware", "ウイルス", "malware" },
    { "kind:blocked", "止めた通信・プログラム", "blocked" },
    { "kind:tamper", "見張りへの手出し", "tampering" },
    { "kind:media", "USB など", "removable medium" },
    { "state:seen", "見つけた", "seen" },
    { "state:stopped", "止めてある", "stopped" },
    { "state:killed", "終わらせた", "killed" },
    { "state:gone_on", "続けさせた", "let go on" },
    { "state:ended", "終わった", "ended" },
    { "act:isolate", "つなぎを切りはなす", "Cut it off" },
    { "act:release", "つなぎを戻す", "Connect it again" },
    { "act:scan", "いま検査する", "Scan now" },
    { "act:evidence", "証拠を集める", "Collect evidence" },
    { "act:block_address", "相手をふさぐ", "Block an address" },
    { "act:unblock_address", "相手のふさぎを解く", "Unblock an address" },
    { "act:block_file", "プログラムをふさぐ", "Block a program" },
    { "act:unblock_file", "プログラムのふさぎを解く", "Unblock a program" },
    { "act:disable_account", "利用者を止める", "Disable an account" },
    { "act:enable_account", "利用者を戻す", "Enable an account" },
    { "act:kill", "プログラムを終わらせる", "End the program" },
    { "act:resume", "プログラムを続けさせる", "Let the program go on" },
    { "act:stop", "プログラムを止める", "Stop the program" },
    { "act:give_back", "ファイルを元に戻す", "Give files back" },
    { "act:undo_give_back", "元に戻したのを取り消す", "Undo the giving back" },
    { "act:excuse", "うちの作業と覚えさせる", "Learn it as ours" },
    { "act:quarantine", "ファイルを取り分ける", "Set a file aside" },
    { "act:unquarantine", "取り分けた物を返す", "Give a file back" },
    { "act:remove_quarantine", "取り分けた物を消す", "Remove a file set aside" },
    { "act:media_allow", "USBメモリーなどを許す", "Allow a USB device" },
    { "act:uninstall", "守りを外す", "Uninstall" },
    { "act:update_definitions", "ウイルスの見本を新しくする", "Update the virus definitions" },
    { "did:waiting", "これから伝える", "not sent yet" },
    { "did:sent", "返事待ち", "sent" },
    { "did:asked", "返事待ち", "sent" },
    { "did:taken", "しているところ", "under way" },
    { "did:running", "しているところ", "under way" },
    { "did:done", "できた", "done" },
    { "did:failed", "できなかった", "failed" },
    { "did:refused", "断った", "refused" },
    { "did:expired", "間に合わなかった", "too late" },
    { "did:ended", "終わった", "over" },
    { "did:undone", "取り消した", "undone" },
    { "by:policy", "決まり", "policy" },
    { "by:order", "人", "a person" },
    { "how:changed", "書きかえ", "rewritten" },
    { "how:renamed", "名前を変えた", "renamed" },
    { "how:removed", "消した", "removed" },
    { "hold:none", "この機器は見張っていない", "this machine is not watched" },
    { "hold:holds", "機器で効いている", "in force on the machine" },
    { "hold:on_its_way", "機器へ送っている", "on its way to the machine" },
    { "hold:refused", "機器が断った", "refused by the machine" },
};

static const char *word(const struct cli *c, const char *kind, const char *text)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s:%.40s", kind, text); /* cut: it is none of ours then */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].word, key))
            return c->ja ? words[i].ja : words[i].en;
    return text;
}

static int device_path(struct cli *c, const char *which, const char *rest, char path[256])
{
    json_t *d = NULL;
    int e = cli_find(c, "/api/v1/devices", which, &d);
    (void)snprintf(path, 256, "/api/v1/devices/%.128s%s", cli_str(d, "id"), rest); /* ids are short */
    json_decref(d);
    return e;
}

/* ---- status ---- */

static int status_all(struct cli *c)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "名前", "Name" }, { "shown", CLI_TEXT, "見張り", "Watched" },
        { "endpoint.since", CLI_TIME, "足りなくなった時", "Lacking since" }, { "endpoint.said", CLI_TIME, "最後に聞いた時", "Last said" },
        { "endpoint.why", CLI_TEXT, "足りない物", "What lacks" } };
    json_t *j = NULL, *row;
    size_t i;
    int e = cli_items(c, "/api/v1/devices", &j);
    json_array_foreach(json_object_get(j, "items"), i, row)
        if (!c->json)
            json_object_set_new(row, "shown", json_string(word(c, "cover", cli_str(json_object_get(row, "endpoint"), "cover"))));
    if (e == CLI_OK && c->json)
        cli_json(json_object_get(j, "items"));
    else if (e == CLI_OK)
        cli_table(c, json_object_get(j, "items"), cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

int cmd_endpoint_status(struct cli *c)
{
    static const struct cli_col cols[] = { { "shown", CLI_TEXT, "見張り", "Watched" }, { "since", CLI_TIME, "足りなくなった時", "Lacking since" },
        { "why", CLI_TEXT, "足りない物", "What lacks" }, { "said", CLI_TIME, "最後に聞いた時", "Last said" }, { "held", CLI_TEXT, "決まり", "Policy" },
        { "policy.detail", CLI_TEXT, "断った理由", "Refused because" }, { "policy.policy.ransom.mode", CLI_TEXT, "暗号化を見たら", "Ransomware" },
        { "state.sensor.how", CLI_TEXT, "見る範囲", "Watches" }, { "state.sensor.folders", CLI_TEXT, "フォルダーの数", "Folders" },
        { "state.sensor.processes", CLI_TEXT, "処理の見方", "Processes by" }, { "state.judge.rules", CLI_TEXT, "ルールの数", "Rules" },
        { "state.judge.spool.bytes", CLI_BYTES, "送っていない記録", "Not sent yet" }, { "state.judge.spool.dropped", CLI_TEXT, "残せなかった記録", "Dropped" },
        { "findings.open", CLI_TEXT, "終わっていない件", "Open findings" } };
    char path[256];
    json_t *j = NULL;
    if (!cli_arg(c, 0))
        return status_all(c);
    int e = device_path(c, cli_arg(c, 0), "/endpoint", path);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &j);
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        json_object_set_new(j, "shown", json_string(word(c, "cover", cli_str(j, "cover"))));
        json_object_set_new(j, "held", json_string(word(c, "hold", cli_str(json_object_get(j, "policy"), "state"))));
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
    }
    json_decref(j);
    return e;
}

/* ---- policy ---- */

/* "ransom.mode" → where it stands in o; made when wanted.  *ret_key: its last part. */
static json_t *place_of(json_t *o, const char *name, bool make, const char **ret_key)
{
    const char *dot = strchr(name, '.');
    char group[64];
    *ret_key = dot ? dot + 1 : name;
    if (!dot)
        return o;
    (void)snprintf(group, sizeof group, "%.*s", (int)(dot - name), name); /* cut: the box names it */
    json_t *at = json_object_get(o, group);
    if (!at && make) {
        at = json_object();
        json_object_set_new(o, group, at);
    }
    return at;
}

/* A value as JSON where it is that, else the text itself. */
static json_t *value_of(const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    return v ? v : json_string(text);
}

static bool split(const char *text, char name[128], const char **ret_value)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || eq - text > 127)
        return false;
    (void)snprintf(name, 128, "%.*s", (int)(eq - text), text); /* fits */
    *ret_value = eq + 1;
    return true;
}

/* One more, or one less, in a list; what holds now is where it begins. */
static void in_list(json_t *own, const json_t *now, const char *name, const char *value, bool add)
{
    const char *key;
    json_t *to = place_of(own, name, true, &key), *list = json_deep_copy(json_object_get(place_of((json_t *)(uintptr_t)now, name, false, &key), key)), *v;
    size_t i;
    if (!json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    json_array_foreach(list, i, v)
        if (json_is_string(v) && !strcmp(json_string_value(v), value))
            (void)json_array_remove(list, i--); /* it is there */
    if (add)
        json_array_append_new(list, json_string(value));
    json_object_set_new(to, key, list);
}

static int changed(struct cli *c, const json_t *answer, json_t **ret)
{
    json_t *own = json_deep_copy(json_object_get(answer, "own"));
    const json_t *now = json_object_get(answer, "policy");
    const char *text, *value, *key;
    char name[128];
    static const char *const lists[] = { "add", "drop" };
    own = json_is_object(own) ? own : (json_decref(own), json_object());
    for (size_t i = 0; (text = cli_opt_nth(c, "set", i)) != NULL; i++) {
        if (!split(text, name, &value))
            goto wrong;
        json_t *at = place_of(own, name, true, &key);
        json_object_set_new(at, key, value_of(value));
    }
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; (text = cli_opt_nth(c, lists[k], i)) != NULL; i++) {
            if (!split(text, name, &value))
                goto wrong;
            const json_t *at = place_of(own, name, true, &key);
            in_list(own, json_object_get(at, key) ? own : now, name, value, k == 0);
        }
    for (size_t i = 0; (text = cli_opt_nth(c, "unset", i)) != NULL; i++) {
        json_t *at = place_of(own, text, false, &key);
        if (at)
            (void)json_object_del(at, key); /* it need not be there */
    }
    *ret = own;
    return CLI_OK;
wrong:
    cli_note(c, T(c, "NAME=VALUE の形で書きます: %s", "NAME=VALUE is expected: %s"), text);
    json_decref(own);
    return CLI_USAGE;
}

static void show_row(json_t *rows, const struct cli *c, const char *name, const json_t *v, bool own)
{
    char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
    json_array_append_new(rows, json_pack("{s:s,s:s,s:s}", "name", name, "value", text ? text : json_string_value(v), "set",
        own ? T(c, "ここで決めた", "set here") : ""));
    free(text);
}

static void show(const struct cli *c, const json_t *answer)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "決まり", "Setting" }, { "value", CLI_TEXT, "値", "Value" }, { "set", CLI_TEXT, "", "" } };
    const json_t *policy = json_object_get(answer, "policy"), *own = json_object_get(answer, "own"), *v, *w;
    json_t *rows = json_array();
    const char *key, *below;
    char name[160];
    json_object_foreach((json_t *)(uintptr_t)policy, key, v) {
        if (!strcmp(key, "v"))
            continue;
        if (!json_is_object(v)) {
            show_row(rows, c, key, v, json_object_get(own, key) != NULL);
            continue;
        }
        json_object_foreach((json_t *)(uintptr_t)v, below, w) {
            (void)snprintf(name, sizeof name, "%.60s.%.60s", key, below); /* names of ours are short */
            show_row(rows, c, name, w, json_object_get(json_object_get(own, key), below) != NULL);
        }
    }
    cli_table(c, rows, cols, sizeof cols / sizeof *cols);
    json_decref(rows);
    if (json_object_get(answer, "state"))
        cli_note(c, "%s%s%s", word(c, "hold", cli_str(answer, "state")), *cli_str(answer, "detail") ? ": " : "", cli_str(answer, "detail"));
}

int cmd_endpoint_policy(struct cli *c)
{
    char path[256] = "/api/v1/endpoint/policy";
    json_t *j = NULL, *own = NULL;
    bool change = cli_opt(c, "set") || cli_opt(c, "add") || cli_opt(c, "drop") || cli_opt(c, "unset"), reset = cli_flag(c, "reset");
    int e = cli_arg(c, 0) ? device_path(c, cli_arg(c, 0), "/endpoint/policy", path) : CLI_OK;
    if (e == CLI_OK && !reset)
        e = cli_call(c, "GET", path, NULL, &j);
    if (e == CLI_OK && (change || reset)) {
        e = reset ? CLI_OK : changed(c, j, &own);
        json_decref(j);
        j = NULL;
        if (e == CLI_OK)
            e = cli_call(c, "PUT", path, json_pack("{s:o}", "policy", own ? own : json_null()), &j);
    }
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        show(c, j);
    json_decref(j);
    return e;
}

/* ---- findings ---- */

static void readable(const struct cli *c, json_t *f)
{
    json_object_set_new(f, "kind", json_string(word(c, "kind", cli_str(f, "kind"))));
    json_object_set_new(f, "state", json_string(word(c, "state", cli_str(f, "state"))));
}

/* A path as it came, in base64; bytes that would end a line or a cell as \xNN. */
static json_t *path_text(const char *base64)
{
    struct sm_buf b = SM_BUF_INIT(8192), out = SM_BUF_INIT((size_t)4 * 8192 + 1);
    int r = sm_unbase64(SM_SPAN_STR(base64), &b);
    bool whole = sm_utf8_valid(sm_buf_span(&b));
    for (size_t i = 0; i < b.n && r == 0; i++)
        r = b.p[i] < 0x20 || b.p[i] == 0x7f || (!whole && b.p[i] >= 0x80) ? sm_buf_printf(&out, "\\x%02x", b.p[i])
                                                                          : sm_buf_put_u8(&out, b.p[i]);
    json_t *v = r == 0 && sm_buf_str(&out) ? json_string(sm_buf_str(&out)) : json_string(base64);
    sm_buf_wipe(&b);
    sm_buf_wipe(&out);
    return v;
}

/* What else made the score: points of reasons are this program's own, the score may come from its whole login. */
static void reasons_rest(const struct cli *c, const json_t *f)
{
    json_t *reasons = json_object_get(f, "reasons"), *row;
    json_int_t sum = 0, score = json_integer_value(json_object_get(f, "score"));
    size_t i;
    json_array_foreach(reasons, i, row)
        sum += json_integer_value(json_object_get(row, "points"));
    if (json_array_size(reasons) && score > sum)
        json_array_append_new(reasons, json_pack("{s:I,s:s}", "points", score - sum, "text",
            T(c, "同じ利用者の、ほかのプログラムのぶん", "what other programs of the same login did")));
}

static void finding_words(const struct cli *c, json_t *f)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(f, "reasons"), i, row)
        json_object_set(row, "text", json_object_get(row, c->ja ? "ja" : "en"));
    reasons_rest(c, f);
    json_array_foreach(json_object_get(f, "acts"), i, row) {
        json_object_set_new(row, "action", json_string(word(c, "act", cli_str(row, "action"))));
        json_object_set_new(row, "by", json_string(word(c, "by", cli_str(row, "by"))));
        json_object_set_new(row, "state", json_string(word(c, "did", cli_str(row, "state"))));
    }
    json_array_foreach(json_object_get(f, "processes"), i, row) {
        json_t *uid = json_object_get(row, "uid");
        long long number = json_integer_value(uid);
        if (json_is_integer(uid))
            json_object_set_new(row, "user", number ? json_sprintf("uid %lld", number) : json_string("root"));
    }
    json_array_foreach(json_object_get(f, "paths"), i, row) {
        json_object_set_new(row, "path", path_text(cli_str(row, "path")));
        json_object_set_new(row, "how", json_string(word(c, "how", cli_str(row, "how"))));
    }
}

int cmd_endpoint_findings(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "at", CLI_TIME, "時刻", "At" }, { "device_name", CLI_TEXT, "機器", "Machine" },
        { "kind", CLI_TEXT, "種類", "Kind" }, { "state", CLI_TEXT, "状態", "State" }, { "program", CLI_TEXT, "プログラム", "Program" },
        { "first", CLI_TEXT, "はじめに触れた物", "First touched" }, { "files.touched", CLI_TEXT, "触れたファイル", "Files touched" },
        { "files.given_back", CLI_TEXT, "戻した", "Given back" },
        { "files.lost", CLI_TEXT, "失われた", "Lost" } };
    json_t *d = NULL, *j = NULL, *row;
    char path[256];
    size_t i;
    int e = cli_opt(c, "device") ? cli_find(c, "/api/v1/devices", cli_opt(c, "device"), &d) : CLI_OK;
    (void)snprintf(path, sizeof path, "/api/v1/findings?device=%.128s%s", cli_str(d, "id"), cli_flag(c, "open") ? "&open=1" : ""); /* fits */
    json_decref(d);
    if (e == CLI_OK)
        e = cli_items(c, path, &j);
    json_array_foreach(json_object_get(j, "items"), i, row)
        if (!c->json) {
            readable(c, row);
            if (*cli_str(row, "path"))
                json_object_set_new(row, "first", path_text(cli_str(row, "path")));
        }
    if (e == CLI_OK && c->json)
        cli_json(json_object_get(j, "items"));
    else if (e == CLI_OK)
        cli_table(c, json_object_get(j, "items"), cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

static void tables_of(const struct cli *c, const json_t *f)
{
    static const struct cli_col why[] = { { "points", CLI_TEXT, "点", "Points" }, { "times", CLI_TEXT, "回数", "Times" }, { "text", CLI_TEXT, "なぜ", "Why" } };
    static const struct cli_col acts[] = { { "at", CLI_TIME, "時刻", "At" }, { "action", CLI_TEXT, "したこと", "Act" }, { "by", CLI_TEXT, "だれが", "By" },
        { "state", CLI_TEXT, "結果", "Result" }, { "detail", CLI_TEXT, "詳しく", "Detail" } };
    static const struct cli_col processes[] = { { "pid", CLI_TEXT, "番号", "Process" }, { "user", CLI_TEXT, "利用者", "User" },
        { "exe", CLI_TEXT, "プログラム", "Program" }, { "line", CLI_TEXT, "命令", "Command" } };
    static const struct cli_col paths[] = { { "how", CLI_TEXT, "どうされたか", "How" }, { "path", CLI_TEXT, "ファイル", "File" } };
    const json_t *reasons = json_object_get(f, "reasons");
    if (json_array_size(reasons))
        cli_table(c, reasons, why, sizeof why / sizeof *why);
    if (json_array_size(json_object_get(f, "processes")))
        cli_table(c, json_object_get(f, "processes"), processes, sizeof processes / sizeof *processes);
    if (json_array_size(json_object_get(f, "paths")))
        cli_table(c, json_object_get(f, "paths"), paths, sizeof paths / sizeof *paths);
    if (json_array_size(json_object_get(f, "acts")))
        cli_table(c, json_object_get(f, "acts"), acts, sizeof acts / sizeof *acts);
}

int cmd_endpoint_finding(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "at", CLI_TIME, "時刻", "At" }, { "device_name", CLI_TEXT, "機器", "Machine" },
        { "kind", CLI_TEXT, "種類", "Kind" }, { "state", CLI_TEXT, "状態", "State" }, { "program", CLI_TEXT, "プログラム", "Program" },
        { "score", CLI_TEXT, "点", "Score" }, { "threshold", CLI_TEXT, "止める点", "Stops at" }, { "files.touched", CLI_TEXT, "触れたファイル", "Files touched" },
        { "files.given_back", CLI_TEXT, "戻したファイル", "Given back" }, { "files.lost", CLI_TEXT, "失われたファイル", "Lost" },
        { "timing.stop_ms", CLI_TEXT, "止めるまでのミリ秒", "Stopped after ms" }, { "timing.told_ms", CLI_TEXT, "知らせるまでのミリ秒", "Told after ms" } };
    char path[256];
    json_t *j = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/findings/%.64s", cli_arg(c, 0)); /* a longer one is none */
    int e = cli_call(c, "GET", path, NULL, &j);
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        readable(c, j);
        finding_words(c, j);
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
        tables_of(c, j);
    }
    json_decref(j);
    return e;
}
