/* playbook, response: what is done about an incident by itself or after one word, and what takes it back. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "core/json.h"
#include "plat/fs.h"
#include "sakimori/commands.h"

#define FILE_MAX ((size_t)32 << 10)

int cmd_playbook_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" }, { "enabled", CLI_YES, "動かす", "On" },
        { "steps_n", CLI_TEXT, "手順", "Steps" }, { "made_by", CLI_TEXT, "作った人", "By" }, { "made", CLI_TIME, "時刻", "Made" } };
    json_t *j = NULL, *row;
    size_t i;
    int e = cli_call(c, "GET", "/api/v1/playbooks", NULL, &j);
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        json_array_foreach(json_object_get(j, "items"), i, row)
            json_object_set_new(row, "steps_n", json_integer((json_int_t)json_array_size(json_object_get(row, "steps"))));
        cli_table(c, json_object_get(j, "items"), cols, sizeof cols / sizeof *cols);
    }
    json_decref(j);
    return e;
}

/* What a step can be. */
int cmd_playbook_actions(struct cli *c)
{
    json_t *j = NULL, *a, *p;
    size_t i, k;
    int e = cli_call(c, "GET", "/api/v1/playbooks", NULL, &j);
    const json_t *actions = json_object_get(j, "actions");
    if (e == CLI_OK && c->json)
        cli_json(actions);
    json_array_foreach(actions, i, a) {
        if (c->json)
            break;
        printf("%s  ", cli_str(a, "name"));
        cli_text(stdout, cli_str(a, "title"));
        putchar('\n');
        json_array_foreach(json_object_get(a, "params"), k, p) {
            char *words = json_dumps(json_object_get(p, "one_of"), JSON_COMPACT | JSON_ENCODE_ANY);
            printf("    %s%s  ", cli_str(p, "name"), json_is_true(json_object_get(p, "needed")) ? "" : T(c, "(なくてよい)", " (optional)"));
            cli_text(stdout, cli_str(p, "title"));
            printf("%s%s\n", words && strcmp(words, "null") ? "  " : "", words && strcmp(words, "null") ? words : "");
            free(words);
        }
    }
    json_decref(j);
    return e;
}

int cmd_playbook_add(struct cli *c)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    char why[160] = "";
    json_t *body = NULL, *j = NULL;
    int r = plat_fs_read_file(AT_FDCWD, cli_arg(c, 0), FILE_MAX, &text), e = CLI_USAGE;
    if (r >= 0)
        r = sm_json_parse(sm_buf_span(&text), FILE_MAX, &body, why);
    if (r < 0)
        cli_note(c, "%s: %s", cli_arg(c, 0), *why ? why : sm_strerror(r));
    else
        e = cli_call(c, "POST", "/api/v1/playbooks", body, &j);
    if (e == CLI_OK)
        puts(cli_str(j, "id"));
    sm_buf_wipe(&text);
    json_decref(j);
    return e;
}

static int path_of(struct cli *c, const char *end, char ret[256])
{
    json_t *p = NULL;
    int e = cli_find(c, "/api/v1/playbooks", cli_arg(c, 0), &p);
    (void)snprintf(ret, 256, "/api/v1/playbooks/%s%s", cli_str(p, "id"), end); /* ids are short */
    json_decref(p);
    return e;
}

int cmd_playbook_on(struct cli *c)
{
    char path[256];
    bool on = !strcmp(strchr(c->line.cmd->name, ' ') + 1, "on");
    int e = path_of(c, "", path);
    return e == CLI_OK ? cli_call(c, "PATCH", path, json_pack("{s:b}", "enabled", on), NULL) : e;
}

int cmd_playbook_remove(struct cli *c)
{
    char path[256];
    int e = path_of(c, "", path);
    return e == CLI_OK ? cli_call(c, "DELETE", path, NULL, NULL) : e;
}

int cmd_playbook_try(struct cli *c)
{
    char path[256];
    json_t *j = NULL, *s;
    size_t i;
    int e = path_of(c, "/try", path);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, json_pack("{s:I}", "incident", (json_int_t)strtoll(cli_arg(c, 1), NULL, 10)), &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        puts(json_is_true(json_object_get(j, "fits")) ? T(c, "この件に合います。することは:", "It fits this incident and would:")
                                                      : T(c, "この件には合いません。合うときは:", "It does not fit this incident; if it did, it would:"));
    json_array_foreach(json_object_get(j, "steps"), i, s) {
        if (c->json)
            break;
        printf("%zu. [%s] ", i + 1, cli_word(c, cli_str(s, "mode")));
        cli_text(stdout, *cli_str(s, "error") ? cli_str(s, "error") : cli_str(s, c->ja ? "plan.ja" : "plan.en"));
        putchar('\n');
    }
    json_decref(j);
    return e;
}

/* run, undo, done, skip. */
int cmd_response(struct cli *c)
{
    char path[80];
    (void)snprintf(path, sizeof path, "/api/v1/responses/%lu", strtoul(cli_arg(c, 0), NULL, 10)); /* fits */
    return cli_call(c, "POST", path, json_pack("{s:s}", "do", strchr(c->line.cmd->name, ' ') + 1), NULL);
}
