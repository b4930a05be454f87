/* alarms: what to look at, what to do next. */
#include "sakimori/commands.h"

int cmd_alarms_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "state", CLI_WORD, "状態", "State" },
        { "opened", CLI_TIME, "始まり", "Opened" }, { "closed", CLI_TIME, "終わり", "Closed" },
        { "title", CLI_TEXT, "内容", "Title" } };
    return cli_list(c, "/api/v1/alarms", cols, sizeof cols / sizeof *cols);
}

static int path_of(struct cli *c, char ret[256])
{
    json_t *a = NULL;
    int e = cli_find(c, "/api/v1/alarms", cli_arg(c, 0), &a);
    (void)snprintf(ret, 256, "/api/v1/alarms/%s", cli_str(a, "id")); /* ids are short */
    json_decref(a);
    return e;
}

int cmd_alarms_show(struct cli *c)
{
    char path[256];
    json_t *a = NULL, *next;
    size_t i;
    int e = path_of(c, path);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &a);
    if (e == CLI_OK && c->json) {
        cli_json(a);
    } else if (e == CLI_OK) {
        printf("[%s] ", cli_word(c, cli_str(a, "state")));
        cli_text(stdout, cli_str(a, "title"));
        putchar('\n');
        cli_text(stdout, cli_str(a, "text"));
        putchar('\n');
        json_array_foreach(json_object_get(a, "next"), i, next) {
            printf("%zu. ", i + 1);
            cli_text(stdout, json_is_string(next) ? json_string_value(next) : cli_str(next, "title"));
            putchar('\n');
        }
    }
    json_decref(a);
    return e;
}

int cmd_alarms_act(struct cli *c)
{
    char path[256];
    /* The command's second word is the action: seen, close. */
    const char *action = strchr(c->line.cmd->name, ' ') + 1, *note = cli_opt(c, "why");
    int e = path_of(c, path);
    if (e != CLI_OK)
        return e;
    return cli_call(c, "POST", path, json_pack("{s:s,s:s}", "action", action, "note", note ? note : ""), NULL);
}

int cmd_alarms_thaw(struct cli *c)
{
    char path[256];
    const char *note = cli_opt(c, "why");
    bool ours = cli_flag(c, "false-alarm");
    if (!note || !*note) {
        cli_note(c, T(c, "--why でわけを入れてください(記録に残ります)", "say why with --why (it goes on record)"));
        return CLI_USAGE;
    }
    int e = path_of(c, path);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path,
            json_pack("{s:s,s:b,s:s}", "action", "thaw", "false_alarm", ours, "note", note), NULL);
    if (e == CLI_OK)
        cli_note(c, ours ? T(c, "整理を再開しました。疑いのあった世代も、きれいな世代として扱います",
                               "rotation goes on; the suspicious generations count as clean from now on")
                         : T(c, "整理を再開しました。疑いのある世代は、疑いのまま残ります",
                               "rotation goes on; the suspicious generations stay marked as suspicious"));
    return e;
}
