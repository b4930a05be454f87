/* incident, signal, quiet, maintenance: what was seen, as one story; what is a false alarm; who may come in from outside. */
#include <stdlib.h>
#include <string.h>
#include "sakimori/commands.h"

static const struct cli_col signal_cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "at", CLI_TIME, "時刻", "At" },
    { "level", CLI_WORD, "重さ", "Level" }, { "what", CLI_WORD, "扱い", "Became" }, { "incident", CLI_TEXT, "件", "Incident" },
    { "times", CLI_TEXT, "回数", "Times" }, { "who", CLI_TEXT, "機器・人・相手", "Machine, account, address" },
    { "title", CLI_TEXT, "内容", "Title" } };

/* "reception-1 hoshu 203.0.113.9", in its own column. */
static void add_who(json_t *row)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    size_t i;
    const json_t *e;
    int r = 0;
    json_array_foreach(json_object_get(row, "entities"), i, e)
        if (r >= 0)
            r = sm_buf_printf(&b, "%s%s", b.n ? " " : "", json_string_value(json_array_get(e, 1)) ? json_string_value(json_array_get(e, 1)) : "");
    json_object_set_new(row, "who", json_string(b.n ? sm_buf_str(&b) : ""));
    sm_buf_wipe(&b);
}

static void show_signals(const struct cli *c, json_t *items)
{
    size_t i;
    json_t *row;
    json_array_foreach(items, i, row)
        add_who(row);
    cli_table(c, items, signal_cols, sizeof signal_cols / sizeof *signal_cols);
}

static int list(struct cli *c, const char *path, void (*show)(const struct cli *c, json_t *items))
{
    json_t *j = NULL;
    int e = cli_items(c, path, &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        show(c, json_object_get(j, "items"));
    json_decref(j);
    return e;
}

/* ---- incidents ---- */

int cmd_incident_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "severity", CLI_WORD, "重さ", "Severity" },
        { "state", CLI_WORD, "状態", "State" }, { "first", CLI_TIME, "始まり", "First" }, { "last", CLI_TIME, "最後", "Last" },
        { "title", CLI_TEXT, "内容", "Title" } };
    return cli_list(c, cli_flag(c, "open") ? "/api/v1/incidents?open=1" : "/api/v1/incidents", cols, sizeof cols / sizeof *cols);
}

static const struct cli_col response_cols[] = { { "id", CLI_TEXT, "手順", "Step" }, { "state", CLI_WORD, "状態", "State" },
    { "mode", CLI_WORD, "動き方", "Mode" }, { "text", CLI_TEXT, "すること", "What" }, { "by", CLI_TEXT, "した人", "By" }, { "done", CLI_TIME, "時刻", "At" } };

/* What a person has to enter somewhere, to do a step or to take it back. */
static void show_commands(struct cli *c, const json_t *responses)
{
    size_t i, k;
    const json_t *row, *line;
    json_array_foreach(responses, i, row) {
        bool undone = !strcmp(cli_str(row, "state"), "undone");
        if (!undone && strcmp(cli_str(row, "state"), "todo") != 0)
            continue;
        const json_t *lines = json_object_get(json_object_get(row, "plan"), undone ? "undo_commands" : "commands");
        if (json_array_size(lines))
            printf(T(c, "\n手順 %lld で入れる命令:\n", "\nCommands to enter for step %lld:\n"), (long long)json_integer_value(json_object_get(row, "id")));
        json_array_foreach(lines, k, line) {
            printf("  ");
            cli_text(stdout, json_string_value(line) ? json_string_value(line) : "");
            putchar('\n');
        }
    }
}

static void show_incident(struct cli *c, json_t *j)
{
    size_t i;
    const json_t *step;
    printf("[%s] ", cli_word(c, cli_str(j, "severity")));
    cli_text(stdout, cli_str(j, "title"));
    putchar('\n');
    json_array_foreach(json_object_get(j, "next"), i, step) {
        printf("%zu. ", i + 1);
        cli_text(stdout, cli_str(step, "title"));
        printf("%s", c->ja ? "。" : ". ");
        cli_text(stdout, cli_str(step, "detail"));
        putchar('\n');
    }
    putchar('\n');
    show_signals(c, json_object_get(j, "timeline"));
    if (json_array_size(json_object_get(j, "responses")))
        cli_table(c, json_object_get(j, "responses"), response_cols, sizeof response_cols / sizeof *response_cols);
    show_commands(c, json_object_get(j, "responses"));
}

int cmd_incident_show(struct cli *c)
{
    char path[80];
    json_t *j = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/incidents/%lu", strtoul(cli_arg(c, 0), NULL, 10)); /* fits */
    int e = cli_call(c, "GET", path, NULL, &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        show_incident(c, j);
    json_decref(j);
    return e;
}

int cmd_incident_close(struct cli *c)
{
    char path[80];
    const char *why = cli_opt(c, "why"), *verdict = cli_opt(c, "verdict");
    if (!why || !verdict) {
        cli_note(c, T(c, "--verdict と --why が要ります", "--verdict and --why are needed"));
        return CLI_USAGE;
    }
    (void)snprintf(path, sizeof path, "/api/v1/incidents/%lu/close", strtoul(cli_arg(c, 0), NULL, 10)); /* fits */
    return cli_call(c, "POST", path, json_pack("{s:s,s:s}", "verdict", verdict, "note", why), NULL);
}

/* ---- signals and what is kept quiet ---- */

int cmd_signal_list(struct cli *c)
{
    static const char *const known[] = { "waits", "opened", "joined", "folded", "filtered", "booked" };
    const char *what = cli_opt(c, "what");
    bool found = !what;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        found = found || !strcmp(what, known[i]);
    if (!found) {
        cli_note(c, T(c, "--what は waits、opened、joined、folded、filtered、booked のどれかです", "--what: one of waits, opened, joined, folded, filtered, booked"));
        return CLI_USAGE;
    }
    char *path = cli_path("/api/v1/signals", "what", cli_opt(c, "what"), "rule", cli_opt(c, "rule"), NULL);
    int e = path ? list(c, path, show_signals) : CLI_FAILED;
    free(path);
    return e;
}

int cmd_signal_false(struct cli *c)
{
    char path[80];
    const char *why = cli_opt(c, "why");
    json_t *j = NULL;
    if (!why) {
        cli_note(c, T(c, "--why が要ります", "--why is needed"));
        return CLI_USAGE;
    }
    (void)snprintf(path, sizeof path, "/api/v1/signals/%lu/false-alarm", strtoul(cli_arg(c, 0), NULL, 10)); /* fits */
    int e = cli_call(c, "POST", path, json_pack("{s:s,s:s}", "why", why, "scope", cli_flag(c, "everywhere") ? "rule" : "here"), &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        printf(T(c, "静かにする決まり %lld を作りました\n", "rule %lld to keep quiet was made\n"),
            (long long)json_integer_value(json_object_get(j, "id")));
    json_decref(j);
    return e;
}

static void show_quiet(const struct cli *c, json_t *items)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "title", CLI_TEXT, "内容", "Title" },
        { "who", CLI_TEXT, "機器・人・相手", "Machine, account, address" }, { "hits", CLI_TEXT, "静かにした回数", "Kept quiet" },
        { "why", CLI_TEXT, "理由", "Why" }, { "by", CLI_TEXT, "決めた人", "By" }, { "made", CLI_TIME, "時刻", "Made" }, { "gone", CLI_TIME, "やめた", "Ended" } };
    size_t i;
    json_t *row;
    json_array_foreach(items, i, row)
        add_who(row);
    cli_table(c, items, cols, sizeof cols / sizeof *cols);
}

int cmd_quiet_list(struct cli *c)
{
    return list(c, "/api/v1/signal-filters", show_quiet);
}

int cmd_quiet_end(struct cli *c)
{
    char path[80];
    (void)snprintf(path, sizeof path, "/api/v1/signal-filters/%lu", strtoul(cli_arg(c, 0), NULL, 10)); /* fits */
    return cli_call(c, "DELETE", path, NULL, NULL);
}

/* ---- booked maintenance ---- */

static void show_booked(const struct cli *c, json_t *items)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "vendor", CLI_TEXT, "だれが", "Vendor" },
        { "purpose", CLI_TEXT, "何を", "Purpose" }, { "from", CLI_TIME, "から", "From" }, { "until", CLI_TIME, "まで", "Until" },
        { "account", CLI_TEXT, "利用者", "Account" }, { "address", CLI_TEXT, "どこから", "Address" }, { "came", CLI_TEXT, "入った回数", "Sessions" } };
    size_t i;
    json_t *row;
    json_array_foreach(items, i, row)
        json_object_set_new(row, "came", json_integer((json_int_t)json_array_size(json_object_get(row, "sessions"))));
    cli_table(c, items, cols, sizeof cols / sizeof *cols);
}

int cmd_maintenance_list(struct cli *c)
{
    return list(c, cli_flag(c, "open") ? "/api/v1/maintenance?open=1" : "/api/v1/maintenance", show_booked);
}

int cmd_maintenance_book(struct cli *c)
{
    static const char *const keys[] = { "vendor", "purpose", "from", "until", "account", "address" };
    json_t *body = json_object(), *j = NULL;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const char *v = cli_opt(c, keys[k]);
        if (v)
            json_object_set_new(body, keys[k], json_string(v));
        else if (k < 4) {
            cli_note(c, T(c, "--%s が要ります", "--%s is needed"), keys[k]);
            json_decref(body);
            return CLI_USAGE;
        }
    }
    logs_zone_note(c);
    int e = cli_call(c, "POST", "/api/v1/maintenance", body, &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        puts(cli_str(j, "id"));
    json_decref(j);
    return e;
}

int cmd_maintenance_end(struct cli *c)
{
    char path[256];
    json_t *m = NULL;
    int e = cli_find(c, "/api/v1/maintenance", cli_arg(c, 0), &m);
    (void)snprintf(path, sizeof path, "/api/v1/maintenance/%s", cli_str(m, "id")); /* ids are short */
    json_decref(m);
    return e == CLI_OK ? cli_call(c, "DELETE", path, NULL, NULL) : e;
}
