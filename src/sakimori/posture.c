/* endpoint posture: how well machines are prepared, and what to do next. */
#include <string.h>
#include "sakimori/commands.h"

static const char *state_word(const struct cli *c, const char *state)
{
    static const struct { const char *state, *ja, *en; } words[] = {
        { "guarded", "守られている", "protected" }, { "look", "見てほしい", "look" }, { "stopped", "止まっている", "stopped" },
        { "none", "守りなし", "no protection" }, { "good", "できている", "good" }, { "part", "あと少し", "in part" },
        { "bad", "まだ", "not yet" }, { "unknown", "分からない", "not known" },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].state, state))
            return c->ja ? words[i].ja : words[i].en;
    return state;
}

static void readable(const struct cli *c, json_t *row)
{
    json_object_set_new(row, "shown", json_string(state_word(c, cli_str(row, "state"))));
}

static int all(struct cli *c)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "機器", "Machine" }, { "score", CLI_TEXT, "点", "Score" }, { "shown", CLI_TEXT, "守り", "Protection" },
        { "unknown", CLI_TEXT, "分からないこと", "Not known" }, { "next.todo", CLI_TEXT, "次にすること", "Next" } };
    json_t *j = NULL, *row;
    size_t i;
    int e = cli_items(c, "/api/v1/posture", &j);
    json_array_foreach(json_object_get(j, "items"), i, row)
        if (!c->json)
            readable(c, row);
    if (e == CLI_OK && c->json)
        cli_json(json_object_get(j, "items"));
    else if (e == CLI_OK)
        cli_table(c, json_object_get(j, "items"), cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

int cmd_endpoint_posture(struct cli *c)
{
    static const struct cli_col head[] = { { "score", CLI_TEXT, "点(100まで)", "Score (of 100)" }, { "shown", CLI_TEXT, "守り", "Protection" },
        { "why", CLI_TEXT, "わけ", "Why" }, { "next.todo", CLI_TEXT, "次にすること", "Next" } };
    static const struct cli_col facts[] = { { "points", CLI_TEXT, "点", "Points" }, { "of", CLI_TEXT, "満点", "Of" }, { "shown", CLI_TEXT, "様子", "State" },
        { "text", CLI_TEXT, "こと", "Fact" }, { "todo", CLI_TEXT, "すること", "To do" } };
    char path[256];
    json_t *d = NULL, *j = NULL, *row;
    size_t i;
    if (!cli_arg(c, 0))
        return all(c);
    int e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &d);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%.128s/posture", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &j);
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        readable(c, j);
        json_array_foreach(json_object_get(j, "facts"), i, row)
            readable(c, row);
        cli_record(c, j, head, sizeof head / sizeof *head);
        cli_table(c, json_object_get(j, "facts"), facts, sizeof facts / sizeof *facts);
    }
    json_decref(j);
    return e;
}
