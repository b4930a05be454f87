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

int cmd_endpoint_findings(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "at", CLI_TIME, "時刻", "At" }, { "device_name", CLI_TEXT, "機器", "Machine" },
        { "kind", CLI_TEXT, "種類", "Kind" }, { "state", CLI_TEXT, "状態", "State" }, { "program", CLI_TEXT, "プログラム", "Program" },
        { "files.touched", CLI_TEXT, "触れたファイル", "Files touched" }, { "files.given_back", CLI_TEXT, "戻した", "Given back" },
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
        if (!c->json)
            readable(c, row);
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
    json_t *reasons = json_object_get(f, "reasons"), *row;
    size_t i;
    json_array_foreach(reasons, i, row)
        json_object_set(row, "text", json_object_get(row, c->ja ? "ja" : "en"));
    if (json_array_size(reasons))
        cli_table(c, reasons, why, sizeof why / sizeof *why);
    if (json_array_size(json_object_get(f, "processes")))
        cli_table(c, json_object_get(f, "processes"), processes, sizeof processes / sizeof *processes);
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
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
        tables_of(c, j);
    }
    json_decref(j);
    return e;
}
