/* endpoint quarantine, endpoint scan: files that machines set aside, and looking for what is known to be bad. */
#include <string.h>
#include "sakimori/commands.h"

static const struct { const char *state, *ja, *en; } states[] = { { "kept", "取り分けてある", "set aside" },
    { "given", "返した", "given back" }, { "removed", "消した", "removed" } };

/* Base64 of raw bytes, as a person can read them. */
static json_t *path_text(const char *base64)
{
    struct sm_buf raw = SM_BUF_INIT(8192), b = SM_BUF_INIT(40000);
    int r = sm_unbase64(SM_SPAN_STR(base64), &raw);
    bool good = sm_utf8_valid(sm_buf_span(&raw));
    for (size_t i = 0; i < raw.n && !r; i++)
        r = raw.p[i] >= 0x20 && raw.p[i] != 0x7f && (good || raw.p[i] < 0x80) ? sm_buf_put_u8(&b, raw.p[i]) : sm_buf_printf(&b, "\\x%02X", raw.p[i]);
    json_t *v = r ? json_string("?") : json_stringn((const char *)b.p, b.n);
    sm_buf_wipe(&raw);
    sm_buf_wipe(&b);
    return v;
}

static void readable(const struct cli *c, json_t *row)
{
    json_object_set_new(row, "path", path_text(cli_str(row, "path")));
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (!strcmp(cli_str(row, "state"), states[i].state)) {
            json_object_set_new(row, "state", json_string(c->ja ? states[i].ja : states[i].en));
            return;
        }
}

static int list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "at", CLI_TIME, "時刻", "At" }, { "device_name", CLI_TEXT, "機器", "Machine" },
        { "state", CLI_TEXT, "状態", "State" }, { "why", CLI_TEXT, "理由", "Why" }, { "size", CLI_BYTES, "大きさ", "Size" },
        { "path", CLI_TEXT, "場所", "Path" } };
    json_t *d = NULL, *j = NULL, *row;
    char path[256];
    size_t i;
    int e = cli_opt(c, "device") ? cli_find(c, "/api/v1/devices", cli_opt(c, "device"), &d) : CLI_OK;
    (void)snprintf(path, sizeof path, "/api/v1/quarantine?device=%.128s", cli_str(d, "id")); /* fits */
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

/* Ask a machine for an action; takes args. */
static int act(struct cli *c, const char *machine, const char *action, json_t *args)
{
    json_t *d = NULL, *j = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/devices", machine, &d);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%.128s/actions", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, json_pack("{s:s,s:o}", "action", action, "args", args), &j);
    else
        json_decref(args);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        cli_note(c, "%s", c->ja ? "機器へ送りました。" : "Sent to the machine.");
    json_decref(j);
    return e;
}

int cmd_endpoint_quarantine(struct cli *c)
{
    static const struct { const char *word, *action; } rows[] = { { "give-back", "unquarantine" }, { "remove", "remove_quarantine" } };
    const char *what = cli_arg(c, 0);
    if (!what || (!strcmp(what, "list") && !cli_arg(c, 1)))
        return list(c);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(what, rows[i].word) && cli_arg(c, 2))
            return act(c, cli_arg(c, 1), rows[i].action, json_pack("{s:s}", "id", cli_arg(c, 2)));
    cli_note(c, "%s", c->ja ? "list、give-back 機器 番号、remove 機器 番号 のどれかです。" : "One of: list, give-back MACHINE ID, remove MACHINE ID.");
    return CLI_USAGE;
}

int cmd_endpoint_scan(struct cli *c)
{
    json_t *args = json_object();
    if (cli_flag(c, "cancel"))
        json_object_set_new(args, "cancel", json_true());
    for (size_t i = 1; cli_arg(c, i); i++) {
        json_t *paths = json_object_get(args, "paths");
        if (!paths)
            json_object_set_new(args, "paths", paths = json_array());
        json_array_append_new(paths, json_string(cli_arg(c, i)));
    }
    return act(c, cli_arg(c, 0), "scan", args);
}
