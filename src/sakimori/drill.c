/* drill: the proof that what was saved can be restored. */
#include <string.h>
#include <unistd.h>
#include "plat/clock.h"
#include "sakimori/commands.h"

static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "created", CLI_TIME, "始めた時刻", "Begun" },
    { "source_name", CLI_TEXT, "対象", "Source" }, { "plan.amount", CLI_WORD, "範囲", "Amount" },
    { "plan.by_itself", CLI_YES, "自動", "By itself" },
    { "state", CLI_WORD, "状態", "State" }, { "ok", CLI_YES, "合格", "Passed" }, { "report.files", CLI_TEXT, "ファイル", "Files" },
    { "report.bytes", CLI_BYTES, "大きさ", "Size" }, { "report.differences", CLI_TEXT, "ちがい", "Differences" },
    { "report.restore_ms", CLI_TEXT, "戻す時間(ミリ秒)", "Restore ms" }, { "report.estimate_s", CLI_TEXT, "全部なら(秒)", "All of it, s" },
    { "report.server.state", CLI_WORD, "データベース", "Database" }, { "report.server.version", CLI_TEXT, "動かした物", "Server" },
    { "report.server.rows", CLI_TEXT, "行", "Rows" }, { "report.signed", CLI_YES, "機器の署名", "Signed" },
    { "hash", CLI_SHORT, "報告の指紋", "Report SHA-256" } };
#define COLS (sizeof cols / sizeof *cols)

int cmd_drill_list(struct cli *c)
{
    return cli_list(c, "/api/v1/drills", cols, COLS);
}

static int show(struct cli *c, const char *id)
{
    char path[256];
    json_t *d = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/drills/%.128s", id);
    int e = cli_call(c, "GET", path, NULL, &d);
    if (e == CLI_OK && c->json)
        cli_json(d);
    else if (e == CLI_OK)
        cli_record(c, d, cols, COLS);
    if (e == CLI_OK && json_is_false(json_object_get(d, "ok")))
        e = CLI_FAILED;
    json_decref(d);
    return e;
}

int cmd_drill_show(struct cli *c)
{
    json_t *d = NULL;
    char id[65] = "";
    int e = cli_find(c, "/api/v1/drills", cli_arg(c, 0), &d);
    if (e == CLI_OK)
        (void)snprintf(id, sizeof id, "%s", cli_str(d, "id")); /* an id is 32 long */
    json_decref(d);
    return e == CLI_OK ? show(c, id) : e;
}

static int wait_end(struct cli *c, const char *id)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/api/v1/drills/%.128s", id);
    for (;;) {
        json_t *d = NULL;
        int e = cli_call(c, "GET", path, NULL, &d);
        if (e != CLI_OK)
            return e;
        const char *state = cli_str(d, "state");
        bool over = strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0;
        const json_t *p = json_object_get(d, "progress");
        cli_progress(c, T(c, "戻す練習", "drill"), (uint64_t)json_integer_value(json_object_get(p, "bytes")),
            (uint64_t)json_integer_value(json_object_get(json_object_get(d, "plan"), "bytes")), "");
        json_decref(d);
        if (over) {
            cli_progress_end(c);
            return show(c, id);
        }
        (void)usleep(500000); /* woken earlier: asked earlier */
    }
}

int cmd_drill_run(struct cli *c)
{
    json_t *s = NULL, *o = NULL, *answer = NULL;
    char id[65] = "";
    int e = cli_find(c, "/api/v1/sources", cli_arg(c, 0), &s);
    if (e == CLI_OK)
        o = json_pack("{s:s,s:s}", "source", cli_str(s, "id"), "amount", cli_flag(c, "all") ? "all" : "sample");
    if (o && cli_opt(c, "generation"))
        json_object_set_new(o, "manifest", json_string(cli_opt(c, "generation")));
    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/drills", o, &answer);
    if (e == CLI_OK)
        (void)snprintf(id, sizeof id, "%s", cli_str(answer, "id")); /* an id is 32 long */
    if (e == CLI_OK && !cli_flag(c, "wait") && c->json)
        cli_json(answer);
    else if (e == CLI_OK && !cli_flag(c, "wait"))
        puts(id);
    json_decref(s);
    json_decref(answer);
    return e == CLI_OK && cli_flag(c, "wait") ? wait_end(c, id) : e;
}
