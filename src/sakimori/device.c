/* devices: the machines that are protected. */
#include <string.h>
#include "sakimori/commands.h"

int cmd_devices_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" },
        { "hostname", CLI_TEXT, "ホスト名", "Host" }, { "state", CLI_WORD, "状態", "State" },
        { "last_seen", CLI_TIME, "最後の応答", "Last seen" }, { "agent_version", CLI_TEXT, "版", "Version" },
        { "cert_until", CLI_TIME, "証明書の期限", "Certificate until" } };
    return cli_list(c, "/api/v1/devices", cols, sizeof cols / sizeof *cols);
}

int cmd_devices_code(struct cli *c)
{
    int64_t days = cli_number(c, "days", 1, 3650);
    if (days == -2)
        return CLI_USAGE;
    json_t *o = json_pack("{s:s}", "name", cli_arg(c, 0)), *answer = NULL;
    if (o && days > 0)
        json_object_set_new(o, "days", json_integer(days));
    int e = o ? cli_call(c, "POST", "/api/v1/devices/codes", o, &answer) : CLI_USAGE;
    if (e == CLI_OK && c->json) {
        cli_json(answer);
    } else if (e == CLI_OK) {
        printf("%s\n", cli_str(answer, "code"));
        cli_note(c, T(c, "15分以内に、新しい機器でこの命令を: %s", "within 15 minutes, on the new machine: %s"),
            cli_str(answer, "command"));
    }
    json_decref(answer);
    return e;
}

static int change(struct cli *c, const char *method, json_t *body)
{
    json_t *d = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &d);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    if (e == CLI_OK)
        return cli_call(c, method, path, body, NULL);
    json_decref(body);
    return e;
}

int cmd_devices_rename(struct cli *c)
{
    return change(c, "PATCH", json_pack("{s:s}", "name", cli_arg(c, 1)));
}

int cmd_devices_revoke(struct cli *c)
{
    const char *why = cli_opt(c, "why");
    return change(c, "DELETE", why ? json_pack("{s:s}", "reason", why) : NULL);
}

/* ---- the logs it sends ---- */

static int logs_get(struct cli *c, char path[256], json_t **ret)
{
    json_t *d = NULL;
    int e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &d);
    (void)snprintf(path, 256, "/api/v1/devices/%.128s/logs", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    return e == CLI_OK ? cli_call(c, "GET", path, NULL, ret) : e;
}

int cmd_devices_logs(struct cli *c)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "名前", "Name" }, { "input", CLI_TEXT, "読み方", "Input" },
        { "state", CLI_WORD, "状態", "State" }, { "last", CLI_TIME, "最後に届いた時刻", "Last sent" },
        { "records", CLI_TEXT, "件数", "Records" }, { "bytes", CLI_BYTES, "量", "Bytes" }, { "cut", CLI_TEXT, "切った行", "Cut" },
        { "gaps", CLI_TEXT, "読めずに消えた", "Gaps" }, { "where", CLI_TEXT, "場所", "Where" } };
    char path[256];
    json_t *j = NULL, *row;
    size_t i;
    int e = logs_get(c, path, &j);
    json_array_foreach(json_object_get(j, "items"), i, row)
        json_object_set(row, "where", *cli_str(row, "detail") ? json_object_get(row, "detail") :
            json_array_get(json_object_get(row, "paths"), 0));
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        cli_table(c, json_object_get(j, "items"), cols, sizeof cols / sizeof *cols);
    if (e == CLI_OK && !c->json && json_is_true(json_object_get(j, "usual")))
        cli_note(c, "%s", T(c, "いつもの設定です", "these are the usual ones"));
    json_decref(j);
    return e;
}

/* The rows as they are set, without what the machine said of them. */
static json_t *settings_of(const json_t *items)
{
    static const char *const same[] = { "name", "input", "paths", "format", "encoding", "from_start", "unless_journal" };
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *o = json_object();
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            if (json_object_get(json_array_get(items, i), same[k]))
                json_object_set(o, same[k], json_object_get(json_array_get(items, i), same[k]));
        json_array_append_new(out, o);
    }
    return out;
}

static int logs_put(struct cli *c, const char *path, json_t *items)
{
    return cli_call(c, "PUT", path, json_pack("{s:o?}", "items", items ? items : json_null()), NULL);
}

int cmd_devices_log_add(struct cli *c)
{
    const char *input = cli_opt(c, "input"), *format = cli_opt(c, "format"), *encoding = cli_opt(c, "encoding"), *v;
    char path[256];
    json_t *j = NULL, *paths = json_array();
    for (size_t i = 0; (v = cli_opt_nth(c, "path", i)) != NULL; i++)
        json_array_append_new(paths, json_string(v));
    int e = logs_get(c, path, &j);
    if (e == CLI_OK) {
        json_t *items = settings_of(json_object_get(j, "items"));
        json_array_append_new(items, json_pack("{s:s,s:s,s:O,s:s,s:s,s:b}", "name", cli_arg(c, 1), "input", input ? input : "file",
            "paths", paths, "format", format ? format : "", "encoding", encoding ? encoding : "", "from_start", cli_flag(c, "from-start")));
        e = logs_put(c, path, items);
    }
    json_decref(paths);
    json_decref(j);
    return e;
}

int cmd_devices_log_remove(struct cli *c)
{
    char path[256];
    json_t *j = NULL;
    int e = logs_get(c, path, &j);
    json_t *items = e == CLI_OK ? settings_of(json_object_get(j, "items")) : NULL;
    size_t n = json_array_size(items);
    for (size_t i = json_array_size(items); i-- > 0;)
        if (!strcmp(cli_str(json_array_get(items, i), "name"), cli_arg(c, 1)))
            (void)json_array_remove(items, i); /* it is there */
    if (e == CLI_OK && json_array_size(items) == n) {
        cli_note(c, T(c, "%s というログはありません", "there is no log %s"), cli_arg(c, 1));
        json_decref(items);
        e = CLI_NOT_FOUND;
    } else if (e == CLI_OK) {
        e = logs_put(c, path, items);
    }
    json_decref(j);
    return e;
}

int cmd_devices_log_usual(struct cli *c)
{
    char path[256];
    json_t *j = NULL;
    int e = logs_get(c, path, &j);
    json_decref(j);
    return e == CLI_OK ? logs_put(c, path, NULL) : e;
}
