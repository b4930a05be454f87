/* backup: run now, list, watch, cancel. */
#include "sakimori/commands.h"

#define WATCH_MS 300
#define WATCH_LOST_MAX 100 /* unanswered looks in a row before giving up */

static int end_of(const struct cli *c, const json_t *o)
{
    const char *state = cli_str(o, "state");
    size_t i;
    json_t *p;
    cli_progress_end(c);
    if (!c->json)
        json_array_foreach(json_object_get(o, "problems"), i, p)
            cli_note(c, "  %s%s%s", cli_str(p, "path"), *cli_str(p, "path") ? ": " : "", cli_str(p, "text"));
    json_int_t changed = json_integer_value(cli_at(o, "counters.changed_while_read"));
    if (!c->json && changed > 0)
        cli_note(c, T(c, "保存の間に書きかえられたファイル: %lld。次の保存で取り直します",
            "files that changed while they were read: %lld; the next backup takes them again"), (long long)changed);
    if (!strcmp(state, "complete"))
        return CLI_OK;
    return !strcmp(state, "partial") ? CLI_PARTIAL : CLI_FAILED;
}

static void show(const struct cli *c, const json_t *o)
{
    const char *phase = cli_str(o, "progress.phase");
    json_int_t done = json_integer_value(cli_at(o, "progress.bytes")),
               all = json_integer_value(cli_at(o, "progress.bytes_total"));
    cli_progress(c, *phase ? phase : cli_word(c, cli_str(o, "state")), (uint64_t)(done > 0 ? done : 0),
        (uint64_t)(all > 0 ? all : 0), cli_str(o, "progress.now"));
}

int cli_watch(struct cli *c, const char *what, const char *id)
{
    char path[256];
    int lost = 0;
    (void)snprintf(path, sizeof path, "/api/v1/%s/%s", what, id); /* ids are short */
    for (;;) {
        json_t *o = NULL;
        int e = cli_call_quiet(c, "GET", path, NULL, &o);
        const char *state = cli_str(o, "state");
        bool going = !strcmp(state, "waiting") || !strcmp(state, "running");
        if (e == CLI_OK && going) {
            show(c, o);
            lost = 0;
        } else if (e == CLI_OK) {
            e = end_of(c, o);
            if (c->json)
                cli_json(o);
            else
                printf("%s: %s\n", id, cli_word(c, state));
            json_decref(o);
            return e;
        } else if (e != CLI_UNREACHABLE || ++lost > WATCH_LOST_MAX) {
            if (e == CLI_UNREACHABLE)
                cli_no_answer(c);
            else
                cli_complain(c, o);
            json_decref(o);
            return e;
        }
        json_decref(o);
        cli_sleep_ms(WATCH_MS);
    }
}

#define RUNS "/api/v1/runs"

int cmd_backup_run(struct cli *c)
{
    json_t *s = NULL, *answer = NULL;
    char path[256], run[80];
    int e = cli_find(c, "/api/v1/sources", cli_arg(c, 0), &s);
    if (e != CLI_OK)
        return e;
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", cli_str(s, "id")); /* ids are short */
    json_decref(s);
    e = cli_call(c, "POST", path, NULL, &answer);
    if (e != CLI_OK)
        return e;
    (void)snprintf(run, sizeof run, "%s", cli_str(answer, "run")); /* ids are short */
    bool wait = cli_flag(c, "wait") || (c->tty_err && !c->json);
    if (!wait && c->json)
        cli_json(answer);
    else if (!wait)
        printf("%s\n", run);
    json_decref(answer);
    return wait ? cli_watch(c, "runs", run) : CLI_OK;
}

static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "state", CLI_WORD, "状態", "State" },
    { "kind", CLI_WORD, "きっかけ", "Kind" }, { "started", CLI_TIME, "開始", "Started" },
    { "finished", CLI_TIME, "終了", "Finished" }, { "problems_total", CLI_TEXT, "読めなかった数", "Problems" },
    { "suspicious", CLI_YES, "疑わしい", "Suspicious" }, { "manifest", CLI_SHORT, "世代", "Generation" } };

int cmd_backup_list(struct cli *c)
{
    json_t *s = NULL;
    int e = cli_opt(c, "source") ? cli_find(c, "/api/v1/sources", cli_opt(c, "source"), &s) : CLI_OK;
    char *path = e == CLI_OK ? cli_path("/api/v1/runs", "source", s ? cli_str(s, "id") : NULL, "limit", "100", NULL)
                             : NULL;
    if (e == CLI_OK)
        e = cli_list(c, path, cols, sizeof cols / sizeof *cols);
    free(path);
    json_decref(s);
    return e;
}

int cmd_backup_watch(struct cli *c)
{
    char id[CLI_ID_TEXT];
    int e = cli_whole_id(c, RUNS, cli_arg(c, 0), CLI_ID_FULL, id);
    return e == CLI_OK ? cli_watch(c, "runs", id) : e;
}

int cmd_backup_show(struct cli *c)
{
    char path[256], id[CLI_ID_TEXT] = "";
    json_t *o = NULL;
    int e = cli_whole_id(c, RUNS, cli_arg(c, 0), CLI_ID_FULL, id);
    (void)snprintf(path, sizeof path, RUNS "/%s", id); /* ids are short */
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &o);
    if (e == CLI_OK && c->json)
        cli_json(o);
    else if (e == CLI_OK)
        cli_record(c, o, cols, sizeof cols / sizeof *cols);
    if (e == CLI_OK && !c->json)
        (void)end_of(c, o); /* only the problems; looking is no failure */
    json_decref(o);
    return e;
}

int cmd_backup_cancel(struct cli *c)
{
    char path[256], id[CLI_ID_TEXT] = "";
    int e = cli_whole_id(c, RUNS, cli_arg(c, 0), CLI_ID_FULL, id);
    (void)snprintf(path, sizeof path, RUNS "/%s/cancel", id); /* ids are short */
    return e == CLI_OK ? cli_call(c, "POST", path, NULL, NULL) : e;
}
