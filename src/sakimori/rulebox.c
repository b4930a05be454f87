/* rule: the rules of the box, their switches and filters, its own rules, and bundles. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori/commands.h"

#define RULE_ID_FULL 36 /* a UUID */
enum { PART = 96 << 10, BUNDLE_MAX = 16 << 20, TEXT_MAX = 64 << 10, CONDITIONS_MAX = 8 };

/* "prefix/ID suffix" with the id escaped. */
static int call_id(struct cli *c, const char *method, const char *prefix, const char *id, const char *suffix, json_t *body, json_t **ret)
{
    struct sm_buf path = SM_BUF_INIT(2048);
    int r = sm_buf_printf(&path, "%s", prefix);

    if (r == 0)
        r = cli_escape(&path, id);
    if (r == 0)
        r = sm_buf_printf(&path, "%s", suffix);
    if (r < 0 || !sm_buf_str(&path)) {
        json_decref(body);
        sm_buf_wipe(&path);
        return CLI_FAILED;
    }
    int e = cli_call(c, method, (const char *)path.p, body, ret);
    sm_buf_wipe(&path);
    return e;
}

/* A whole file, or standard input for "-" or nothing, at most max; said when it cannot be. */
static int read_whole(struct cli *c, const char *file, size_t max, struct sm_buf *ret)
{
    int r = 0;

    if (file && strcmp(file, "-") != 0) {
        r = plat_fs_read_file(AT_FDCWD, file, max, ret);
    } else {
        for (ssize_t n = 1; n > 0 && r >= 0;) {
            uint8_t part[4096];
            n = read(STDIN_FILENO, part, sizeof part);
            r = n < 0 ? -errno : ret->n + (size_t)n > max ? -SM_ELIMIT : sm_buf_put(ret, part, (size_t)n);
        }
    }
    if (r < 0)
        cli_note(c, T(c, "%s を読めません: %s", "cannot read %s: %s"), file ? file : "-", sm_strerror(r));
    return r < 0 ? CLI_NOT_FOUND : CLI_OK;
}

int cmd_rule_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "level", CLI_WORD, "重さ", "Level" }, { "state", CLI_TEXT, "状態", "State" },
        { "hits_30", CLI_TEXT, "30日", "30 days" }, { "source", CLI_TEXT, "出どころ", "Source" }, { "title", CLI_TEXT, "名前", "Title" },
        { "author", CLI_TEXT, "作者", "Author" } };
    char *path = cli_path("/api/v1/rules", "text", cli_arg(c, 0), "state", cli_opt(c, "state"), "level", cli_opt(c, "level"), "product",
        cli_opt(c, "product"), "tag", cli_opt(c, "tag"), "source", cli_opt(c, "source"), "limit", "200", NULL);
    int e = path ? cli_list(c, path, cols, sizeof cols / sizeof *cols) : CLI_FAILED;

    free(path);
    return e;
}

int cmd_rule_faults(struct cli *c)
{
    static const struct cli_col cols[] = { { "file", CLI_TEXT, "ファイル", "File" }, { "line", CLI_TEXT, "行", "Line" }, { "why", CLI_TEXT, "理由", "Why" } };
    json_t *j = NULL;
    int e = cli_call(c, "GET", "/api/v1/rules?faults=1&limit=1", NULL, &j);

    if (e == CLI_OK && c->json)
        cli_json(json_object_get(j, "faults"));
    else if (e == CLI_OK)
        cli_table(c, json_object_get(j, "faults"), cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

static int rule_id(struct cli *c, char id[CLI_ID_TEXT])
{
    return cli_whole_id(c, "/api/v1/rules?limit=200", cli_arg(c, 0), RULE_ID_FULL, id);
}

static int rule_switch(struct cli *c, bool on)
{
    char id[CLI_ID_TEXT];
    int e = rule_id(c, id);
    json_t *body = e == CLI_OK ? json_pack("{s:b}", "on", on) : NULL;

    if (e != CLI_OK)
        return e;
    if (!on && cli_opt(c, "why"))
        json_object_set_new(body, "why", json_string(cli_opt(c, "why")));
    return call_id(c, "PATCH", "/api/v1/rules/", id, "", body, NULL);
}

int cmd_rule_on(struct cli *c)
{
    return rule_switch(c, true);
}

int cmd_rule_off(struct cli *c)
{
    return rule_switch(c, false);
}

int cmd_rule_reload(struct cli *c)
{
    return cli_call(c, "POST", "/api/v1/rules/reload", json_object(), NULL);
}

static const struct cli_col filter_cols[] = { { "id", CLI_TEXT, "番号", "Number" }, { "rule", CLI_SHORT, "ルール", "Rule" },
    { "what", CLI_TEXT, "条件", "Conditions" }, { "why", CLI_TEXT, "理由", "Reason" }, { "by", CLI_TEXT, "した人", "By" } };

/* Conditions as one text, for the table. */
static void say_conditions(json_t *filters)
{
    size_t i, k, n;
    json_t *f, *v, *one;

    json_array_foreach(filters, i, f) {
        struct sm_buf text = SM_BUF_INIT(64 << 10);
        json_array_foreach(json_object_get(f, "conditions"), k, v) {
            const char *modifier = cli_str(v, "modifier");
            (void)!sm_buf_printf(&text, "%s%s%s%s=", k ? ", " : "", cli_str(v, "field"), *modifier ? "|" : "", modifier); /* cut short when too long */
            json_array_foreach(json_object_get(v, "values"), n, one)
                (void)!sm_buf_printf(&text, "%s%s", n ? "/" : "", json_string_value(one)); /* as above */
        }
        json_object_set_new(f, "what", json_string(sm_buf_str(&text)));
        sm_buf_wipe(&text);
    }
}

int cmd_rule_show(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "title", CLI_TEXT, "名前", "Title" }, { "author", CLI_TEXT, "作者", "Author" },
        { "license", CLI_TEXT, "ライセンス", "Licence" }, { "level", CLI_WORD, "重さ", "Level" }, { "state", CLI_TEXT, "状態", "State" },
        { "source", CLI_TEXT, "出どころ", "Source" }, { "file", CLI_TEXT, "ファイル", "File" }, { "off_note.why", CLI_TEXT, "止めた理由", "Off because" },
        { "hits", CLI_TEXT, "読みこんでからの当たり", "Matches since it was loaded" }, { "description", CLI_TEXT, "説明", "Description" } };
    json_t *j = NULL;
    char id[CLI_ID_TEXT];
    int e = rule_id(c, id);

    if (e == CLI_OK)
        e = call_id(c, "GET", "/api/v1/rules/", id, "", NULL, &j);
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
        say_conditions(json_object_get(j, "filters"));
        if (json_array_size(json_object_get(j, "filters")))
            cli_table(c, json_object_get(j, "filters"), filter_cols, sizeof filter_cols / sizeof *filter_cols);
        putchar('\n');
        for (const char *p = cli_str(j, "text"), *end; *p; p = *end ? end + 1 : end) {
            char line[1024];
            end = p + strcspn(p, "\n");
            snprintf(line, sizeof line, "%.*s", (int)(end - p < 1000 ? end - p : 1000), p);
            cli_text(stdout, line);
            putchar('\n');
        }
    }
    json_decref(j);
    return e;
}

/* ---- filters ---- */

/* "Field|modifier=value". */
static json_t *condition(struct cli *c, const char *text)
{
    const char *equal = strchr(text, '='), *bar = strchr(text, '|');
    json_t *j;

    if (!equal || equal == text || bar == text) {
        cli_note(c, T(c, "--where は 項目=値 です: %s", "--where is FIELD=VALUE: %s"), text);
        return NULL;
    }
    if (bar > equal)
        bar = NULL;
    j = json_pack("{s:s%,s:[s]}", "field", text, (size_t)((bar ? bar : equal) - text), "values", equal + 1);
    if (j && bar)
        json_object_set_new(j, "modifier", json_stringn(bar + 1, (size_t)(equal - bar - 1)));
    return j;
}

int cmd_rule_filter(struct cli *c)
{
    json_t *list = json_array(), *j = NULL;
    char id[CLI_ID_TEXT];
    int e = cli_opt(c, "where") && cli_opt(c, "why") ? CLI_OK : CLI_USAGE;

    if (e != CLI_OK)
        cli_note(c, T(c, "--where と --why が要ります", "--where and --why are needed"));
    for (size_t i = 0; e == CLI_OK && cli_opt_nth(c, "where", i); i++)
        if (json_array_append_new(list, i < CONDITIONS_MAX ? condition(c, cli_opt_nth(c, "where", i)) : NULL) < 0)
            e = CLI_USAGE;
    if (e == CLI_OK)
        e = rule_id(c, id);
    if (e == CLI_OK)
        e = call_id(c, "POST", "/api/v1/rules/", id, "/filters", json_pack("{s:O,s:s}", "conditions", list, "why", cli_opt(c, "why")), &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    json_decref(list);
    json_decref(j);
    return e;
}

int cmd_rule_filters(struct cli *c)
{
    char *path = cli_path("/api/v1/rule-filters", "rule", cli_arg(c, 0), "limit", "200", NULL);
    json_t *j = NULL;
    int e = path ? cli_items(c, path, &j) : CLI_FAILED;

    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        say_conditions(json_object_get(j, "items"));
        cli_table(c, json_object_get(j, "items"), filter_cols, sizeof filter_cols / sizeof *filter_cols);
    }
    json_decref(j);
    free(path);
    return e;
}

int cmd_rule_unfilter(struct cli *c)
{
    return call_id(c, "DELETE", "/api/v1/rule-filters/", cli_arg(c, 0), "", NULL, NULL);
}

/* ---- trying one ---- */

static void say_line(const struct cli *c, const json_t *l)
{
    int depth = (int)json_integer_value(json_object_get(l, "depth"));

    printf("  %*s%s ", 2 * depth, "", json_is_true(json_object_get(l, "truth")) ? "○" : "×");
    cli_text(stdout, cli_str(l, "what"));
    if (*cli_str(l, "want")) {
        printf(": ");
        cli_text(stdout, cli_str(l, "want"));
        if (json_is_true(json_object_get(l, "absent"))) {
            printf(" ← %s", T(c, "その項目がない", "no such field"));
        } else if (strcmp(cli_str(l, "what"), "log source") != 0) {
            printf(" ← \"");
            cli_text(stdout, cli_str(l, "have"));
            putchar('"');
        }
    }
    putchar('\n');
}

static int say_results(const struct cli *c, const json_t *j)
{
    size_t i, k, matched = 0;
    const json_t *r, *l;

    json_array_foreach(json_object_get(j, "results"), i, r) {
        bool match = json_is_true(json_object_get(r, "match"));
        matched += match;
        if (c->json)
            continue;
        printf("%s ", match ? T(c, "当たり", "match") : T(c, "外れ", "miss"));
        cli_text(stdout, cli_str(r, "title"));
        putchar('\n');
        json_array_foreach(json_object_get(r, "lines"), k, l)
            say_line(c, l);
    }
    if (c->json)
        cli_json(j);
    return matched ? CLI_OK : CLI_NOT_FOUND;
}

int cmd_rule_test(struct cli *c)
{
    struct sm_buf line = SM_BUF_INIT(TEXT_MAX + 1), text = SM_BUF_INIT(TEXT_MAX + 1);
    json_t *body = NULL, *j = NULL;
    char id[CLI_ID_TEXT] = "";
    int e = cli_opt(c, "text") ? read_whole(c, cli_opt(c, "text"), TEXT_MAX, &text) : rule_id(c, id);

    if (e == CLI_OK)
        e = read_whole(c, cli_arg(c, 1), TEXT_MAX, &line);
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (e == CLI_OK && (!sm_buf_str(&line) || !sm_buf_str(&text)))
        e = CLI_FAILED;
    if (e == CLI_OK) {
        body = json_pack("{s:s,s:s}", cli_opt(c, "text") ? "text" : "rule", cli_opt(c, "text") ? (const char *)text.p : id, "line", (const char *)line.p);
        if (cli_opt(c, "format"))
            json_object_set_new(body, "format", json_string(cli_opt(c, "format")));
        e = cli_call(c, "POST", "/api/v1/rules/test", body, &j);
    }
    if (e == CLI_OK)
        e = say_results(c, j);
    json_decref(j);
    sm_buf_wipe(&line);
    sm_buf_wipe(&text);
    return e;
}

/* ---- the box's own ---- */

static void say_faults(struct cli *c, const json_t *answer)
{
    size_t i;
    const json_t *f;

    json_array_foreach(cli_at(answer, "error.faults"), i, f)
        cli_note(c, "%lld: %s", (long long)json_integer_value(json_object_get(f, "line")), cli_str(f, "why"));
}

int cmd_rule_put(struct cli *c)
{
    struct sm_buf text = SM_BUF_INIT(TEXT_MAX + 1);
    json_t *j = NULL;
    int e = read_whole(c, cli_arg(c, 0), TEXT_MAX, &text);

    if (e == CLI_OK && (!sm_buf_str(&text) || !sm_utf8_valid(sm_buf_span(&text)))) {
        cli_note(c, T(c, "UTF-8 の文字ではありません", "not text in UTF-8"));
        e = CLI_USAGE;
    }
    if (e == CLI_OK) {
        e = cli_call_quiet(c, "POST", "/api/v1/own-rules", json_pack("{s:s}", "text", (const char *)text.p), &j);
        if (e != CLI_OK && j)
            cli_complain(c, j);
        else if (e != CLI_OK)
            cli_no_answer(c);
        say_faults(c, j);
    }
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        printf(T(c, "%s を入れました\n", "%s is in use\n"), cli_str(j, "id"));
    json_decref(j);
    sm_buf_wipe(&text);
    return e;
}

int cmd_rule_own(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "title", CLI_TEXT, "名前", "Title" }, { "by", CLI_TEXT, "した人", "By" },
        { "changed", CLI_TIME, "いつ", "Changed" } };

    return cli_list(c, "/api/v1/own-rules?limit=200", cols, sizeof cols / sizeof *cols);
}

int cmd_rule_remove(struct cli *c)
{
    return call_id(c, "DELETE", "/api/v1/own-rules/", cli_arg(c, 0), "", NULL, NULL);
}

/* ---- bundles ---- */

static int say_bundle(struct cli *c, const json_t *j)
{
    static const struct cli_col cols[] = { { "current.name", CLI_TEXT, "いまの束", "In use" }, { "current.serial", CLI_TEXT, "番号", "Serial" },
        { "current.made", CLI_TIME, "作られた日", "Made" }, { "current.put", CLI_TIME, "入れた日", "Put in" }, { "current.licence", CLI_TEXT, "ライセンス", "Licence" },
        { "previous.name", CLI_TEXT, "前の束", "Before" }, { "previous.serial", CLI_TEXT, "前の番号", "Serial before" }, { "fault", CLI_TEXT, "困りごと", "Trouble" },
        { "rules", CLI_TEXT, "ルール", "Rules" }, { "faults", CLI_TEXT, "読めなかった", "Refused" } };
    static const struct cli_col keys[] = { { "id", CLI_TEXT, "番号", "Number" }, { "name", CLI_TEXT, "鍵の名前", "Key of" }, { "key", CLI_TEXT, "鍵", "Key" } };

    if (c->json) {
        cli_json(j);
        return CLI_OK;
    }
    cli_record(c, j, cols, sizeof cols / sizeof *cols);
    json_t *all = json_deep_copy(json_object_get(j, "project_keys"));
    (void)json_array_extend(all, json_object_get(j, "keys")); /* fewer when memory is short */
    cli_table(c, all, keys, sizeof keys / sizeof *keys);
    json_decref(all);
    return CLI_OK;
}

static int bundle_call(struct cli *c, const char *method, const char *path, json_t *body)
{
    json_t *j = NULL;
    int e = cli_call(c, method, path, body, &j);

    if (e == CLI_OK)
        e = say_bundle(c, j);
    json_decref(j);
    return e;
}

int cmd_rule_bundle(struct cli *c)
{
    return bundle_call(c, "GET", "/api/v1/rule-bundle", NULL);
}

int cmd_rule_back(struct cli *c)
{
    return bundle_call(c, "POST", "/api/v1/rule-bundle/back", json_object());
}

static int send_part(struct cli *c, const struct sm_buf *file, size_t offset)
{
    size_t n = file->n - offset < PART ? file->n - offset : PART;
    struct sm_buf text = SM_BUF_INIT(2 * PART);
    int e = sm_base64(SM_SPAN(file->p + offset, n), &text) < 0 || !sm_buf_str(&text) ? CLI_FAILED : CLI_OK;

    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/rule-bundle/part", json_pack("{s:I,s:I,s:s}", "offset", (json_int_t)offset, "total", (json_int_t)file->n,
            "data", (const char *)text.p), NULL);
    sm_buf_wipe(&text);
    return e;
}

int cmd_rule_update(struct cli *c)
{
    struct sm_buf file = SM_BUF_INIT(BUNDLE_MAX);
    int e = read_whole(c, cli_arg(c, 0), BUNDLE_MAX, &file);

    for (size_t at = 0; e == CLI_OK && at < file.n; at += PART) {
        cli_progress(c, T(c, "送っています", "sending"), at, file.n, "");
        e = send_part(c, &file, at);
    }
    cli_progress_end(c);
    if (e == CLI_OK)
        e = bundle_call(c, "POST", "/api/v1/rule-bundle", json_pack("{s:b}", "older", cli_flag(c, "older")));
    sm_buf_wipe(&file);
    return e;
}

int cmd_rule_trust(struct cli *c)
{
    json_t *j = NULL;
    int e = cli_call(c, "POST", "/api/v1/rule-keys", json_pack("{s:s,s:s}", "name", cli_arg(c, 0), "key", cli_arg(c, 1)), &j);

    if (e == CLI_OK && c->json)
        cli_json(j);
    json_decref(j);
    return e;
}

int cmd_rule_distrust(struct cli *c)
{
    return call_id(c, "DELETE", "/api/v1/rule-keys/", cli_arg(c, 0), "", NULL, NULL);
}
