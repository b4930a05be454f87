/* logs: searches under a name, classes of retention and holds on them, doors. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/time.h"
#include "sakimori/commands.h"

/* ---- searches ---- */

int cmd_logs_save(struct cli *c)
{
    const char *span = cli_opt(c, "span"), *from = cli_opt(c, "from"), *until = cli_opt(c, "until");
    json_t *body = json_pack("{s:s,s:s,s:s}", "name", cli_arg(c, 0), "q", cli_arg(c, 1), "span", from || until ? "fixed" : span ? span : "all");
    json_t *j = NULL;
    if (!body) {
        cli_note(c, T(c, "文字として読めません(UTF-8 ではありません)", "not UTF-8 text"));
        return CLI_USAGE;
    }
    if (from)
        json_object_set_new(body, "from", json_string(from));
    if (until)
        json_object_set_new(body, "until", json_string(until));
    logs_zone_note(c);
    int e = cli_call(c, "POST", "/api/v1/logs/saved", body, &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    json_decref(j);
    return e;
}

/* By its name, else by the beginning of its id. */
static int saved_find(struct cli *c, const char *text, json_t **ret)
{
    json_t *all = NULL, *row;
    size_t i;
    int e = cli_items(c, "/api/v1/logs/saved", &all);
    json_array_foreach(json_object_get(all, "items"), i, row)
        if (e == CLI_OK && !*ret && !strcmp(cli_str(row, "name"), text))
            *ret = json_incref(row);
    json_decref(all);
    return e != CLI_OK || *ret ? e : cli_find(c, "/api/v1/logs/saved", text, ret);
}

static int saved_run(struct cli *c, const json_t *row)
{
    static const struct { const char *word; long s; } spans[] = { { "1h", 3600 }, { "24h", 86400 }, { "7d", 7 * 86400 }, { "30d", 30 * 86400 } };
    char from[SM_TIME_TEXT] = "";
    struct logs_question q = { cli_str(row, "q"), NULL, NULL };
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (!strcmp(spans[i].word, cli_str(row, "span"))) {
            sm_time_rfc3339((struct sm_time){ .s = time(NULL) - spans[i].s }, from);
            q.from = from;
        }
    if (*cli_str(row, "from")) {
        q.from = cli_str(row, "from");
        q.until = cli_str(row, "until");
    }
    return logs_pages(c, &q);
}

int cmd_logs_saved(struct cli *c)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "名前", "Name" }, { "q", CLI_TEXT, "検索の文", "Query" }, { "span", CLI_WORD, "期間", "Span" },
        { "from", CLI_TIME, "から", "From" }, { "until", CLI_TIME, "まで", "Until" }, { "by", CLI_TEXT, "残した人", "By" }, { "made", CLI_TIME, "残した時", "Made" } };
    const char *what = cli_arg(c, 0), *which = cli_arg(c, 1);
    char path[256];
    json_t *row = NULL;
    if (!what)
        return cli_list(c, "/api/v1/logs/saved", cols, sizeof cols / sizeof *cols);
    bool run = !strcmp(what, "run");
    if (!which || (!run && strcmp(what, "remove") != 0)) {
        cli_note(c, T(c, "run か remove と、検索の名前が要ります", "run or remove, and the name of a search, are needed"));
        return CLI_USAGE;
    }
    int e = saved_find(c, which, &row);
    if (e == CLI_OK && run) {
        e = saved_run(c, row);
    } else if (e == CLI_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/logs/saved/%s", cli_str(row, "id")); /* ids are short */
        e = cli_call(c, "DELETE", path, NULL, NULL);
    }
    json_decref(row);
    return e;
}

/* ---- classes ---- */

int cmd_logs_classes(struct cli *c)
{
    static const struct cli_col cols[] = { { "class", CLI_TEXT, "組", "Class" }, { "ja", CLI_TEXT, "名前", "Name" }, { "days", CLI_TEXT, "残す日数", "Days" },
        { "bytes", CLI_BYTES, "量の上限", "Most" }, { "kept_bytes", CLI_BYTES, "今の量", "Kept" }, { "oldest", CLI_TIME, "いちばん古い", "Oldest" },
        { "hold.why", CLI_TEXT, "消さない理由", "On hold because" } };
    json_t *j = NULL, *row;
    size_t i;
    int e = cli_call(c, "GET", "/api/v1/logs", NULL, &j);
    json_t *list = json_object_get(j, "classes");
    json_array_foreach(list, i, row) {
        char text[SM_TIME_TEXT];
        json_int_t s = json_integer_value(json_object_get(row, "oldest_s"));
        sm_time_rfc3339((struct sm_time){ .s = s }, text);
        if (s)
            json_object_set_new(row, "oldest", json_string(text));
    }
    if (e == CLI_OK && c->json)
        cli_json(list);
    else if (e == CLI_OK)
        cli_table(c, list, cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

/* The list as PUT takes it, with the class changed or added. */
static json_t *classes_with(const json_t *have, int64_t number, const char *name, int64_t days, int64_t gib)
{
    json_t *out = json_array(), *row, *mine = NULL;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)have, i, row) {
        json_t *one = json_pack("{s:O,s:O,s:O?,s:O?,s:O?}", "class", json_object_get(row, "class"), "ja", json_object_get(row, "ja"), "en",
            json_object_get(row, "en"), "days", json_object_get(row, "days"), "bytes", json_object_get(row, "bytes"));
        if (json_integer_value(json_object_get(row, "class")) == number)
            mine = one;
        if (!json_object_get(row, "en"))
            json_object_del(one, "en");
        if (!json_object_get(row, "bytes"))
            json_object_del(one, "bytes");
        json_array_append_new(out, one);
    }
    if (!mine) {
        mine = json_pack("{s:I,s:s,s:i}", "class", (json_int_t)number, "ja", name ? name : "", "days", 400);
        json_array_append_new(out, mine);
    }
    if (name)
        json_object_set_new(mine, "ja", json_string(name));
    if (days >= 0)
        json_object_set_new(mine, "days", json_integer(days));
    if (gib >= 0)
        json_object_set_new(mine, "bytes", json_integer(gib << 30));
    return out;
}

static int64_t class_arg(const struct cli *c)
{
    char *end = NULL;
    long n = strtol(cli_arg(c, 0), &end, 10);
    if (*cli_arg(c, 0) && !*end && n >= 0 && n <= 15)
        return n;
    cli_note(c, T(c, "組は 0 から 15 です", "a class is 0 to 15"));
    return -1;
}

int cmd_logs_class(struct cli *c)
{
    int64_t days = cli_number(c, "days", 0, 36500), gib = cli_number(c, "gib", 0, 1 << 20), number = class_arg(c);
    json_t *j = NULL;
    if (days == -2 || gib == -2 || number < 0)
        return CLI_USAGE;
    int e = cli_call(c, "GET", "/api/v1/logs", NULL, &j);
    if (e == CLI_OK)
        e = cli_call(c, "PUT", "/api/v1/logs/classes", json_pack("{s:o}", "classes", classes_with(json_object_get(j, "classes"), number, cli_opt(c, "name"), days, gib)), NULL);
    json_decref(j);
    return e;
}

/* "logs hold" and "logs release". */
int cmd_logs_hold(struct cli *c)
{
    const char *why = cli_opt(c, "why");
    char path[80];
    int64_t number = class_arg(c);
    if (!why)
        cli_note(c, T(c, "--why が要ります", "--why is needed"));
    if (!why || number < 0)
        return CLI_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/logs/classes/%d/%s", (int)number, strstr(c->line.cmd->name, "hold") ? "hold" : "release"); /* fits */
    return cli_call(c, "POST", path, json_pack("{s:s}", "why", why), NULL);
}

/* ---- doors ---- */

int cmd_logs_door(struct cli *c)
{
    static const struct cli_col cols[] = { { "listener", CLI_TEXT, "口", "Door" }, { "port", CLI_TEXT, "ポート", "Port" }, { "on", CLI_YES, "受ける", "Open" } };
    const char *which = cli_arg(c, 0), *word = cli_arg(c, 1);
    json_t *j = NULL;
    char path[80];
    if (!which) {
        int e = cli_call(c, "GET", "/api/v1/logs", NULL, &j);
        if (e == CLI_OK && c->json)
            cli_json(json_object_get(j, "doors"));
        else if (e == CLI_OK)
            cli_table(c, json_object_get(j, "doors"), cols, sizeof cols / sizeof *cols);
        json_decref(j);
        return e;
    }
    bool known = !strcmp(which, "udp") || !strcmp(which, "tcp") || !strcmp(which, "tls");
    if (!known || !word || (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)) {
        cli_note(c, T(c, "udp、tcp、tls のどれかと、on か off が要ります", "one of udp, tcp, tls, and on or off, are needed"));
        return CLI_USAGE;
    }
    (void)snprintf(path, sizeof path, "/api/v1/logs/doors/%s", which); /* three letters */
    return cli_call(c, "PATCH", path, json_pack("{s:b}", "on", !strcmp(word, "on")), NULL);
}
