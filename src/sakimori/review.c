/* review: what happened in a month on one page, and the director's signature under it. */
#include <stdlib.h>
#include <string.h>
#include "sakimori/commands.h"

int cmd_review_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "month", CLI_TEXT, "月", "Month" }, { "over", CLI_YES, "終わった", "Over" },
        { "signed", CLI_YES, "署名", "Signed" }, { "by", CLI_TEXT, "署名した人", "By" }, { "at", CLI_TIME, "時刻", "At" } };
    return cli_list(c, "/api/v1/reviews", cols, sizeof cols / sizeof *cols);
}

/* "2026-11", so that nothing else gets into a path. */
static int path_of(struct cli *c, const char *end, char ret[64])
{
    const char *month = cli_arg(c, 0);
    if (strlen(month) != 7 || strspn(month, "0123456789") != 4 || month[4] != '-' || strspn(month + 5, "0123456789") != 2) {
        cli_note(c, T(c, "月は 2026-11 のように書きます", "a month is written as 2026-11"));
        return CLI_USAGE;
    }
    (void)snprintf(ret, 64, "/api/v1/reviews/%s%s", month, end); /* fits */
    return CLI_OK;
}

/* "high 3, low 12" */
static void counts(const struct cli *c, const char *ja, const char *en, const json_t *o)
{
    const char *key, *between = "";
    json_t *v;
    printf("%s: ", T(c, ja, en));
    json_object_foreach((json_t *)o, key, v) {
        printf("%s", between);
        cli_text(stdout, cli_word(c, key));
        printf(" %lld", (long long)json_integer_value(v));
        between = ", ";
    }
    puts(json_object_size(o) ? "" : T(c, "なし", "none"));
}

static void show(const struct cli *c, const json_t *j)
{
    static const struct cli_col incidents[] = { { "id", CLI_TEXT, "番号", "Id" }, { "severity", CLI_WORD, "重さ", "Severity" },
        { "first", CLI_TIME, "始まり", "First" }, { "closed", CLI_TIME, "終わり", "Closed" }, { "verdict", CLI_WORD, "何だったか", "Verdict" },
        { "title", CLI_TEXT, "内容", "Title" } };
    static const struct cli_col rest[] = { { "drills.passed", CLI_TEXT, "戻す練習(できた)", "Drills passed" },
        { "drills.failed", CLI_TEXT, "戻す練習(できない)", "Drills failed" }, { "log_checks.whole", CLI_TEXT, "記録を全部確かめた回数", "Logs verified whole" },
        { "log_checks.faults", CLI_TEXT, "記録のこわれ", "Log faults" }, { "restores", CLI_TEXT, "戻した回数", "Restores" },
        { "maintenance.booked", CLI_TEXT, "遠隔保守の予定", "Maintenance booked" }, { "maintenance.sessions", CLI_TEXT, "遠隔保守で入った回数", "Sessions" },
        { "quiet_rules", CLI_TEXT, "静かにする決まり", "Kept quiet" }, { "signed.by", CLI_TEXT, "署名した人", "Signed by" },
        { "signed.at", CLI_TIME, "署名した時刻", "Signed at" }, { "signed.note", CLI_TEXT, "書きそえ", "Note" }, { "signed.hash", CLI_TEXT, "しるし", "SHA-256" } };
    cli_table(c, json_object_get(j, "incidents"), incidents, sizeof incidents / sizeof *incidents);
    counts(c, "見つけたこと", "Signals", json_object_get(j, "signals"));
    counts(c, "重さ", "Levels", json_object_get(j, "levels"));
    counts(c, "お知らせ", "Alarms", json_object_get(j, "alarms"));
    counts(c, "保存", "Runs", json_object_get(j, "runs"));
    cli_record(c, j, rest, sizeof rest / sizeof *rest);
    if (!json_is_true(json_object_get(j, "over")))
        cli_note(c, T(c, "この月は、まだ終わっていません", "this month is not over"));
}

int cmd_review_show(struct cli *c)
{
    char path[64];
    json_t *j = NULL;
    int e = path_of(c, "", path);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        show(c, j);
    json_decref(j);
    return e;
}

int cmd_review_sign(struct cli *c)
{
    char path[64];
    json_t *j = NULL;
    const char *note = cli_opt(c, "note");
    int e = path_of(c, "/sign", path);
    char *password = e == CLI_OK ? cli_secret(c, "password", T(c, "院長のパスワード: ", "Director's password: ")) : NULL;
    if (e == CLI_OK)
        e = password ? cli_call(c, "POST", path, json_pack("{s:s,s:s}", "password", password, "note", note ? note : ""), &j) : CLI_USAGE;
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        printf("%s\n", cli_str(j, "hash"));
    cli_secret_free(password);
    json_decref(j);
    return e;
}
