/* source: what is backed up, when, and who answers for it. */
#include <errno.h>
#include "sakimori/commands.h"

static int lists(struct cli *c, json_t *o)
{
    static const char *const names[][2] = { { "path", "paths" }, { "include", "include" }, { "exclude", "exclude" } };
    for (size_t k = 0; k < 3; k++) {
        const char *v;
        json_t *a = NULL;
        for (size_t i = 0; (v = cli_opt_nth(c, names[k][0], i)) != NULL; i++) {
            a = a ? a : json_array();
            if (json_array_append_new(a, json_string(v)) < 0) {
                cli_note(c, T(c, "--%s: UTF-8 ではありません", "--%s: not UTF-8"), names[k][0]);
                json_decref(a);
                return CLI_USAGE;
            }
        }
        if (a)
            json_object_set_new(o, names[k][1], a);
    }
    return CLI_OK;
}

/* yes, no, absent: 1, 0, -1; else -2 (said). */
static int yes_no(struct cli *c, const char *name)
{
    const char *v = cli_opt(c, name);
    if (!v)
        return -1;
    if (!strcmp(v, "yes") || !strcmp(v, "no"))
        return !strcmp(v, "yes");
    cli_note(c, T(c, "--%s は yes か no です", "--%s: yes or no"), name);
    return -2;
}

static int responsible(struct cli *c, json_t *o)
{
    const char *who = cli_opt(c, "responsible");
    json_t *p = NULL;
    int e = who ? cli_find(c, "/api/v1/people", who, &p) : CLI_OK;
    if (p)
        json_object_set(o, "responsible", json_object_get(p, "id"));
    json_decref(p);
    return e;
}

/* -, absent and a name: take it away, leave it, set it. */
static void hook_name(struct cli *c, json_t *hooks, const char *opt, const char *key)
{
    const char *v = cli_opt(c, opt);
    if (v && !strcmp(v, "-"))
        (void)json_object_del(hooks, key); /* may not be there */
    else if (v)
        json_object_set_new(hooks, key, json_string(v));
}

static void names(struct cli *c, json_t *options, const char *opt, const char *key)
{
    const char *v;
    json_t *a = cli_opt(c, opt) ? json_array() : NULL;
    for (size_t i = 0; a && (v = cli_opt_nth(c, opt, i)) != NULL; i++)
        json_array_append_new(a, json_string(v));
    if (a)
        json_object_set_new(options, key, a);
}

/* "1-6" and "0,3" as a list of days. */
static json_t *days_of(const char *s, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        int from = s[i] - '0', to = i + 2 < n && s[i + 1] == '-' ? s[i + 2] - '0' : from;
        bool ok = from >= 0 && from <= 6 && to >= from && to <= 6;
        i += to != from || (i + 1 < n && s[i + 1] == '-') ? 3 : 1;
        if (!ok || (i < n && s[i] != ',') || i + 1 == n) {
            json_decref(out);
            return NULL;
        }
        for (int d = from; d <= to; d++)
            json_array_append_new(out, json_integer(d));
    }
    return out;
}

/* "1-6 08:30-18:30 500"; the box looks at the times themselves. */
static json_t *hours_row(const char *s)
{
    size_t d = strcspn(s, " ");
    char from[6] = "", to[6] = "";
    int kib = -1, end = 0;
    if (sscanf(s + d, " %5[0-9:]-%5[0-9:] %9d%n", from, to, &kib, &end) != 3 || s[d + (size_t)end])
        return NULL;
    json_t *days = d && d < 32 ? days_of(s, d) : NULL;
    return days ? json_pack("{s:o,s:s,s:s,s:i}", "days", days, "from", from, "to", to, "kib_s", kib) : NULL;
}

static int hours(struct cli *c, json_t *options)
{
    const char *v = cli_opt(c, "hours");
    json_t *a = v ? json_array() : NULL;
    if (v && !strcmp(v, "-")) {
        (void)json_object_del(options, "hours"); /* may not be there */
        json_decref(a);
        return CLI_OK;
    }
    for (size_t i = 0; a && (v = cli_opt_nth(c, "hours", i)) != NULL; i++) {
        json_t *row = hours_row(v);
        if (!row) {
            cli_note(c, T(c, "--hours は \"1-6 08:30-18:30 500\" の形です", "--hours: like \"1-6 08:30-18:30 500\""));
            json_decref(a);
            return CLI_USAGE;
        }
        json_array_append_new(a, row);
    }
    if (a)
        json_object_set_new(options, "hours", a);
    return CLI_OK;
}

/* What belongs to the kind, over what stands there (present may be NULL); the box replaces it whole. */
static int kind_options(struct cli *c, const json_t *present, json_t *o)
{
    json_t *options = present ? json_deep_copy(present) : json_object(),
           *hooks = json_incref(json_object_get(options, "hooks"));
    int64_t limit = cli_number(c, "limit", 10, 86400), hook_limit = cli_number(c, "hook-limit", 1, 3600);
    const char *failure = cli_opt(c, "hook-failure"), *access = cli_opt(c, "access"), *share = cli_opt(c, "share"),
               *folder = cli_opt(c, "folder");
    json_t *before = json_deep_copy(options);
    int64_t reread_mib = cli_number(c, "reread-limit", 0, 100000000);
    int e = limit == -2 || hook_limit == -2 || reread_mib == -2 ? CLI_USAGE : hours(c, options);
    if (cli_opt(c, "reread"))
        json_object_set_new(options, "reread", json_string(cli_opt(c, "reread")));
    if (reread_mib >= 0)
        json_object_set_new(options, "reread_mib", json_integer(reread_mib));
    hooks = hooks ? hooks : json_object();
    if (access)
        json_object_set_new(options, "access", json_string(access));
    if (share)
        json_object_set_new(options, "share", json_string(share));
    if (folder)
        json_object_set_new(options, "folder", json_string(folder));
    if (limit > 0)
        json_object_set_new(options, "limit_s", json_integer(limit));
    names(c, options, "database", "databases");
    names(c, options, "exclude-database", "exclude_databases");
    hook_name(c, hooks, "hook-before", "before");
    hook_name(c, hooks, "hook-after", "after");
    if (hook_limit > 0)
        json_object_set_new(hooks, "limit_s", json_integer(hook_limit));
    if (failure)
        json_object_set_new(hooks, "on_failure", json_string(failure));
    if (json_object_size(hooks))
        json_object_set(options, "hooks", hooks);
    if (e == CLI_OK && !json_equal(options, before))
        json_object_set(o, "options", options);
    json_decref(before);
    json_decref(hooks);
    json_decref(options);
    return e;
}

static int fields(struct cli *c, const json_t *present, json_t *o)
{
    static const char *const flags[][2] = { { "canaries", "canaries" }, { "one-file-system", "one_file_system" },
        { "enabled", "enabled" } };
    const char *every = cli_opt(c, "every"), *at = cli_opt(c, "at"), *group = cli_opt(c, "group");
    int64_t weekday = cli_number(c, "weekday", 0, 6), bandwidth = cli_number(c, "bandwidth", 0, 100000000);
    if (weekday == -2 || bandwidth == -2)
        return CLI_USAGE;
    for (size_t i = 0; i < 3; i++) {
        int v = yes_no(c, flags[i][0]);
        if (v == -2)
            return CLI_USAGE;
        if (v >= 0)
            json_object_set_new(o, flags[i][1], json_boolean(v));
    }
    if (group)
        json_object_set_new(o, "group", json_string(group));
    if (bandwidth >= 0)
        json_object_set_new(o, "bandwidth_kib_s", json_integer(bandwidth));
    if (!every && (at || weekday >= 0)) {
        cli_note(c, T(c, "--at と --weekday は --every と一緒に使います", "--at and --weekday go with --every"));
        return CLI_USAGE;
    }
    if (every) {
        json_t *s = json_pack("{s:s}", "every", every);
        if (at)
            json_object_set_new(s, "at", json_string(at));
        if (weekday >= 0)
            json_object_set_new(s, "weekday", json_integer(weekday));
        json_object_set_new(o, "schedule", s);
    }
    int e = lists(c, o);
    if (e == CLI_OK)
        e = kind_options(c, present, o);
    return e == CLI_OK ? responsible(c, o) : e;
}

static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" },
    { "state", CLI_WORD, "状態", "State" }, { "kind", CLI_WORD, "種類", "Kind" }, { "where", CLI_TEXT, "場所", "Where" },
    { "schedule.every", CLI_WORD, "予定", "Every" }, { "schedule.at", CLI_TEXT, "時刻", "At" },
    { "last.at", CLI_TIME, "最後", "Last" }, { "next", CLI_TIME, "次", "Next" } };
#define COLS (sizeof cols / sizeof *cols)

static const struct cli_col more[] = { { "include", CLI_TEXT, "これだけ", "Only" }, { "exclude", CLI_TEXT, "除く", "Without" },
    { "enabled", CLI_YES, "予定どおり", "By schedule" }, { "bandwidth_kib_s", CLI_TEXT, "速さの上限", "KiB/s" },
    { "hours_text", CLI_TEXT, "時間ごとの速さ", "By hours" } };

/* A row of hours as --hours takes it: "1-6 08:30-18:30 500". */
static json_t *hours_text(const json_t *row)
{
    const json_t *days = json_object_get(row, "days"), *d;
    char list[32] = "";
    size_t i, at = 0;
    json_array_foreach(days, i, d) {
        json_int_t n = json_integer_value(d), last = n;
        while (i + 1 < json_array_size(days) && json_integer_value(json_array_get(days, i + 1)) == last + 1) {
            last++;
            i++;
        }
        int put = snprintf(list + at, sizeof list - at, last > n ? "%s%d-%d" : "%s%d", at ? "," : "", (int)n, (int)last);
        at += put > 0 && (size_t)put < sizeof list - at ? (size_t)put : 0;
    }
    return json_sprintf("%s %s-%s %lld", list, cli_str(row, "from"), cli_str(row, "to"),
        (long long)json_integer_value(json_object_get(row, "kib_s")));
}

static void answer(const struct cli *c, json_t *s)
{
    const json_t *rows = cli_at(s, "options.hours"), *row;
    size_t i;
    if (c->json) {
        cli_json(s);
    } else {
        json_t *texts = json_array();
        json_array_foreach(rows, i, row)
            json_array_append_new(texts, hours_text(row));
        json_object_set_new(s, "hours_text", texts);
        cli_record(c, s, cols, COLS);
        cli_record(c, s, more, sizeof more / sizeof *more);
    }
    json_decref(s);
}

int cmd_source_show(struct cli *c)
{
    json_t *s = NULL;
    int e = cli_find(c, "/api/v1/sources", cli_arg(c, 0), &s);
    if (e == CLI_OK)
        answer(c, s);
    return e;
}

int cmd_source_list(struct cli *c)
{
    return cli_list(c, "/api/v1/sources", cols, COLS);
}

/* WebORCA and jma-receipt: one database, of PostgreSQL, on the same machine. */
static int preset(struct cli *c, const char **kind, json_t **ret)
{
    const char *name = cli_opt(c, "preset");
    if (name && strcmp(name, "orca") != 0) {
        cli_note(c, T(c, "--preset は orca です", "--preset: orca"));
        return CLI_USAGE;
    }
    if (name) {
        *kind = "postgresql";
        *ret = json_pack("{s:s,s:[s]}", "access", "local", "databases", "orca");
    }
    return CLI_OK;
}

static bool has_paths(const char *kind)
{
    return !strcmp(kind, "files") || !strcmp(kind, "sqlite");
}

int cmd_source_add(struct cli *c)
{
    const char *kind = cli_opt(c, "kind") ? cli_opt(c, "kind") : "files";
    json_t *ready = NULL;
    if (preset(c, &kind, &ready) != CLI_OK)
        return CLI_USAGE;
    const char *device = cli_opt(c, "device"), *name = cli_arg(c, 0);
    json_t *d = NULL, *all = NULL, *s = NULL;
    if (has_paths(kind) && !cli_opt(c, "path")) {
        cli_note(c, T(c, "--path でフォルダーを一つ以上", "at least one folder with --path"));
        return CLI_USAGE;
    }
    int e = device ? cli_find(c, "/api/v1/devices", device, &d) : cli_items(c, "/api/v1/devices", &all);
    if (e == CLI_OK && !device && json_array_size(json_object_get(all, "items")) != 1) {
        cli_note(c, T(c, "--device でどの機器かを選んでください", "say which machine with --device"));
        e = CLI_USAGE;
    }
    if (e == CLI_OK && !device)
        d = json_incref(json_array_get(json_object_get(all, "items"), 0));
    json_t *o = e == CLI_OK ? json_pack("{s:s,s:s,s:s}", "device", cli_str(d, "id"), "name", name, "kind", kind) : NULL;
    if (o && ready) {
        json_object_set(o, "options", ready);
        json_object_set_new(o, "group", json_string("receipt"));
    }
    if (e == CLI_OK)
        e = o ? fields(c, ready, o) : CLI_USAGE;
    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/sources", json_incref(o), &s);
    if (e == CLI_OK)
        answer(c, s);
    json_decref(ready);
    json_decref(o);
    json_decref(d);
    json_decref(all);
    return e;
}

/* *ret_options, if wanted, is what the source has now. */
static char *path_of(struct cli *c, int *ret_e, json_t **ret_options)
{
    json_t *s = NULL;
    char *path = NULL;
    *ret_e = cli_find(c, "/api/v1/sources", cli_arg(c, 0), &s);
    if (*ret_e == CLI_OK && asprintf(&path, "/api/v1/sources/%s", cli_str(s, "id")) < 0)
        path = NULL;
    if (ret_options)
        *ret_options = json_deep_copy(json_object_get(s, "options"));
    json_decref(s);
    return path;
}

int cmd_source_set(struct cli *c)
{
    int e;
    json_t *o = json_object(), *s = NULL, *present = NULL;
    char *path = path_of(c, &e, &present);
    if (cli_opt(c, "name"))
        json_object_set_new(o, "name", json_string(cli_opt(c, "name")));
    if (path)
        e = fields(c, present, o);
    json_decref(present);
    if (path && e == CLI_OK)
        e = cli_call(c, "PATCH", path, json_incref(o), &s);
    if (path && e == CLI_OK)
        answer(c, s);
    json_decref(o);
    free(path);
    return e;
}

int cmd_source_remove(struct cli *c)
{
    int e;
    char *path = path_of(c, &e, NULL);
    if (path)
        e = cli_call(c, "DELETE", path, NULL, NULL);
    if (path && e == CLI_OK && !c->json)
        cli_note(c, T(c, "止めました。これまでの世代は残ります", "stopped; its generations stay"));
    free(path);
    return e;
}
