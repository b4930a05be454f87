/* self: the box's own backup: how it stands, and one more now. */
#include "sakimori/commands.h"

#define LOOK_MS 300
#define LOOKS_MAX 2000

static const struct cli_col cols[] = { { "state", CLI_WORD, "状態", "State" }, { "saved", CLI_TIME, "控えた", "Saved" },
    { "tried", CLI_TIME, "前に試した", "Last try" }, { "next", CLI_TIME, "次", "Next" },
    { "last.files", CLI_TEXT, "ファイル", "Files" }, { "last.bytes", CLI_BYTES, "大きさ", "Size" },
    { "why_text", CLI_TEXT, "理由", "Why" }, { "took_over.at", CLI_TIME, "写しから始まった", "Began from a copy" },
    { "took_over.saved", CLI_TIME, "その控え", "Of the backup" } };

static int show(struct cli *c, const json_t *o)
{
    if (c->json)
        cli_json(o);
    else
        cli_record(c, o, cols, sizeof cols / sizeof *cols);
    return CLI_OK;
}

int cmd_self_status(struct cli *c)
{
    json_t *o = NULL;
    int e = cli_call(c, "GET", "/api/v1/self", NULL, &o);
    if (e == CLI_OK)
        e = show(c, o);
    json_decref(o);
    return e;
}

int cmd_self_run(struct cli *c)
{
    json_t *o = NULL;
    int e = cli_call(c, "POST", "/api/v1/self/run", json_object(), &o);
    for (unsigned i = 0; e == CLI_OK && i < LOOKS_MAX && !strcmp(cli_str(o, "state"), "running"); i++) {
        json_decref(o);
        o = NULL;
        cli_sleep_ms(LOOK_MS);
        e = cli_call(c, "GET", "/api/v1/self", NULL, &o);
    }
    if (e == CLI_OK)
        e = show(c, o);
    if (e == CLI_OK && strcmp(cli_str(o, "state"), "ok") != 0)
        e = CLI_FAILED;
    json_decref(o);
    return e;
}
