/* monitors and metrics: the figures of the box for a monitoring system. */
#include <unistd.h>
#include "sakimori/commands.h"

int cmd_monitors_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" },
        { "created", CLI_TIME, "作った日時", "Made" }, { "last_seen", CLI_TIME, "最後に読んだ日時", "Last read" },
        { "until", CLI_TIME, "期限", "Until" } };
    return cli_list(c, "/api/v1/monitors", cols, sizeof cols / sizeof *cols);
}

int cmd_monitors_add(struct cli *c)
{
    json_t *o = json_pack("{s:s}", "name", cli_arg(c, 0)), *answer = NULL;
    int e = o ? cli_call(c, "POST", "/api/v1/monitors", o, &answer) : CLI_USAGE;
    if (e == CLI_OK && c->json) {
        cli_json(answer);
    } else if (e == CLI_OK) {
        printf("%s\n", cli_str(answer, "token"));
        cli_note(c, T(c, "一度しか表示されません。監視サービスの Bearer トークンとして使います(読めるのは /metrics だけ)",
            "this is shown only once; it is the monitoring system's bearer token and reads /metrics, nothing else"));
    }
    json_decref(answer);
    return e;
}

int cmd_monitors_remove(struct cli *c)
{
    json_t *m = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/monitors", cli_arg(c, 0), &m);
    (void)snprintf(path, sizeof path, "/api/v1/monitors/%s", cli_str(m, "id")); /* ids are short */
    json_decref(m);
    return e == CLI_OK ? cli_call(c, "DELETE", path, NULL, NULL) : e;
}

int cmd_metrics(struct cli *c)
{
    (void)fflush(stdout);
    return cli_download(c, "/metrics", STDOUT_FILENO);
}
