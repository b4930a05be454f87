/* people: who may do what. */
#include "sakimori/commands.h"

int cmd_people_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "account", CLI_TEXT, "アカウント", "Account" },
        { "name", CLI_TEXT, "名前", "Name" }, { "role", CLI_WORD, "役", "Role" }, { "until", CLI_TIME, "期限", "Until" },
        { "totp", CLI_YES, "二要素", "Second factor" }, { "locked", CLI_YES, "一時停止", "Locked" },
        { "last_sign_in", CLI_TIME, "最後のサインイン", "Last sign-in" } };
    return cli_list(c, "/api/v1/people", cols, sizeof cols / sizeof *cols);
}

/* What the person gets on paper, once. */
static void fresh(const struct cli *c, json_t *answer)
{
    size_t i;
    json_t *code;
    if (c->json) {
        cli_json(answer);
        return;
    }
    printf(T(c, "アカウント: %s\n最初のパスワード: %s\n", "Account: %s\nFirst password: %s\n"), cli_str(answer, "account"),
        cli_str(answer, "first_password"));
    if (*cli_str(answer, "totp_secret"))
        printf(T(c, "認証アプリの鍵: %s\n", "Authenticator secret: %s\n"), cli_str(answer, "totp_secret"));
    json_array_foreach(json_object_get(answer, "codes"), i, code)
        printf("%s%s", json_string_value(code), i % 5 == 4 ? "\n" : "  ");
    cli_note(c, T(c, "一度しか表示されません", "this is shown only once"));
}

int cmd_people_add(struct cli *c)
{
    const char *role = cli_opt(c, "role"), *until = cli_opt(c, "until");
    if (!role) {
        cli_note(c,
            T(c, "--role director|manager|staff|vendor が必要です", "--role director|manager|staff|vendor is needed"));
        return CLI_USAGE;
    }
    json_t *o = json_pack("{s:s,s:s,s:s}", "account", cli_arg(c, 0), "name", cli_arg(c, 1), "role", role),
           *answer = NULL;
    if (o && until)
        json_object_set_new(o, "until", json_string(until));
    if (o && cli_flag(c, "no-totp"))
        json_object_set_new(o, "totp", json_false());
    int e = o ? cli_call(c, "POST", "/api/v1/people", o, &answer) : CLI_USAGE;
    if (e == CLI_OK)
        fresh(c, answer);
    json_decref(answer);
    return e;
}

static int with_person(struct cli *c, const char *method, const char *tail, json_t *body, json_t **ret)
{
    json_t *p = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/people", cli_arg(c, 0), &p);
    (void)snprintf(path, sizeof path, "/api/v1/people/%s%s", cli_str(p, "id"), tail); /* ids are short */
    json_decref(p);
    if (e == CLI_OK)
        return cli_call(c, method, path, body, ret);
    json_decref(body);
    return e;
}

int cmd_people_set(struct cli *c)
{
    static const char *const keys[] = { "name", "role", "until" };
    json_t *o = json_object();
    for (size_t i = 0; i < 3; i++)
        if (cli_opt(c, keys[i]))
            json_object_set_new(o, keys[i], json_string(cli_opt(c, keys[i])));
    return with_person(c, "PATCH", "", o, NULL);
}

int cmd_people_reset(struct cli *c)
{
    json_t *answer = NULL;
    int e = with_person(c, "POST", "/reset", NULL, &answer);
    if (e == CLI_OK)
        fresh(c, answer);
    json_decref(answer);
    return e;
}

int cmd_people_remove(struct cli *c)
{
    return with_person(c, "DELETE", "", NULL, NULL);
}
