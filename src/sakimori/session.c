/* sign-in, sign-out, status, today, healthz, box. */
#include "sakimori/commands.h"
#include "sakimori/net.h"

/* Six digits are from the authenticator; anything else is a printed one-time code. */
static bool looks_like_totp(const char *s)
{
    return strlen(s) == 6 && strspn(s, "0123456789") == 6;
}

static int second_factor(struct cli *c, json_t *body)
{
    char code[8];
    const char *secret = cli_answer(c, "totp_secret"), *once = cli_answer(c, "one_time");
    char *typed = NULL;
    if (secret && cli_totp(secret, code) == 0)
        typed = strdup(code);
    else if (once)
        typed = strdup(once);
    else
        typed = cli_secret(c, "totp",
            T(c, "認証アプリの6桁、または一回限りのコード: ", "Six digits of the authenticator, or a one-time code: "));
    if (!typed)
        return CLI_USAGE;
    json_object_set_new(body, looks_like_totp(typed) ? "totp" : "one_time", json_string(typed));
    cli_secret_free(typed);
    return CLI_OK;
}

static int try_sign_in(struct cli *c, json_t *body)
{
    json_t *answer = NULL;
    int e = cli_call_quiet(c, "POST", "/api/v1/session", json_incref(body), &answer);
    if (e == CLI_DENIED && !strcmp(cli_str(answer, "error.code"), "totp_needed")) {
        json_decref(answer);
        answer = NULL;
        e = second_factor(c, body);
        if (e != CLI_OK)
            return e;
        e = cli_call_quiet(c, "POST", "/api/v1/session", json_incref(body), &answer);
    }
    const char *token = cli_str(answer, "token");
    int r = e == CLI_OK && *token ? cli_token_save(c, token) : 0;
    if (e == CLI_UNREACHABLE)
        cli_no_answer(c);
    else if (e != CLI_OK)
        cli_complain(c, answer);
    else if (!*token || r < 0)
        cli_note(c, T(c, "サインインの控えを保存できません: %s", "the token could not be kept: %s"), sm_errtext(r, c->ja));
    if (e == CLI_OK && (!*token || r < 0))
        e = CLI_FAILED;
    if (e == CLI_OK && c->json)
        cli_json(json_object_get(answer, "session"));
    else if (e == CLI_OK)
        cli_note(c, T(c, "%s(%s)としてサインインしました", "signed in as %s (%s)"), cli_str(answer, "session.person.name"),
            cli_word(c, cli_str(answer, "session.person.role")));
    json_decref(answer);
    return e;
}

int cmd_sign_in(struct cli *c)
{
    int e = cli_answers_load(c);
    if (e != CLI_OK)
        return e;
    const char *given = cli_arg(c, 0) ? cli_arg(c, 0) : cli_answer(c, "account");
    char *account = given ? strdup(given) : cli_ask(c, T(c, "アカウント", "Account"), NULL);
    char *password = account ? cli_secret(c, "password", T(c, "パスワード: ", "Password: ")) : NULL;
    if (!account || !password) {
        free(account);
        return CLI_USAGE;
    }
    cli_forget_session(c);
    json_t *body = json_pack("{s:s,s:s,s:b}", "account", account, "password", password, "token", 1);
    cli_secret_free(password);
    free(account);
    e = body ? try_sign_in(c, body) : CLI_USAGE; /* not UTF-8 */
    json_decref(body);
    return e;
}

int cmd_sign_out(struct cli *c)
{
    json_t *answer = NULL;
    int e = cli_call_quiet(c, "DELETE", "/api/v1/session", NULL, &answer);
    json_decref(answer);
    int r = cli_token_drop(c);
    if (r < 0) {
        cli_note(c, T(c, "サインインの控えを消せません: %s", "the token could not be removed: %s"), sm_errtext(r, c->ja));
        return CLI_FAILED;
    }
    /* Not being known any more is what was wanted. */
    return e == CLI_DENIED ? CLI_OK : e;
}

char *cli_new_password(struct cli *c)
{
    char *new = cli_secret(c, "new_password", T(c, "新しいパスワード: ", "New password: "));
    /* On a terminal nobody sees what is typed; a file or a pipe is what it is. */
    bool asked = new && !cli_answer(c, "new_password") && !cli_flag(c, "password-stdin") && !cli_opt(c, "password-fd");
    char *again = asked ? cli_secret(c, "new_password", T(c, "新しいパスワード(もう一度): ", "New password again: ")) : NULL;
    bool same = !asked || (again && !strcmp(new, again));
    if (asked && again && !same)
        cli_note(c, T(c, "二つの新しいパスワードがちがいます", "the two new passwords differ"));
    cli_secret_free(again);
    if (same)
        return new;
    cli_secret_free(new);
    return NULL;
}

/* The restore key is wrapped by password and card together, so a director's change needs the card. */
int cmd_password(struct cli *c)
{
    json_t *me = NULL, *body = NULL;
    int e = cli_answers_load(c);
    if (e == CLI_OK)
        e = cli_call(c, "GET", "/api/v1/session", NULL, &me);
    if (e != CLI_OK)
        return e;
    const json_t *needs = cli_at(me, "person.needs_card");
    bool director = needs ? json_is_true(needs) : !strcmp(cli_str(me, "person.role"), "director");
    json_decref(me);
    char *old = cli_secret(c, "password", T(c, "いまのパスワード: ", "Present password: "));
    char *new = old ? cli_new_password(c) : NULL;
    char *card = new && director ? cli_secret(c, "card", T(c, "戻すカード(SKC1-…): ", "Restore card (SKC1-...): ")) : NULL;
    e = CLI_USAGE;
    if (old && new && (card || !director))
        body = card ? json_pack("{s:s,s:s,s:s}", "old", old, "new", new, "card", card)
                    : json_pack("{s:s,s:s}", "old", old, "new", new); /* NULL: not UTF-8 */
    cli_secret_free(old);
    cli_secret_free(new);
    cli_secret_free(card);
    if (body)
        e = cli_call(c, "POST", "/api/v1/session/password", body, NULL);
    if (e == CLI_OK)
        cli_note(c, T(c, "パスワードを変えました。ほかの機器では、もう一度サインインします",
                        "password changed; other machines have to sign in again"));
    return e;
}

int cmd_healthz(struct cli *c)
{
    json_t *answer = NULL;
    int e = cli_call_quiet(c, "GET", "/healthz", NULL, &answer);
    if (e == CLI_UNREACHABLE)
        cli_no_answer(c);
    else if (c->json)
        cli_json(answer);
    else if (e == CLI_OK)
        printf(T(c, "動いています(版 %s)\n", "it works (version %s)\n"), cli_str(answer, "version"));
    else
        cli_note(c, T(c, "具合がよくありません: %s", "not well: %s"), cli_str(answer, "why"));
    json_decref(answer);
    return e;
}

int cmd_status(struct cli *c)
{
    static const struct cli_col cols[] = { { "state", CLI_WORD, "状態", "State" },
        { "version", CLI_TEXT, "版", "Version" }, { "setup_done", CLI_TEXT, "初期設定", "Set up" },
        { "session.institution", CLI_TEXT, "医療機関", "Institution" } };
    json_t *answer = NULL, *session = NULL;
    int e = cli_call(c, "GET", "/api/v1/status", NULL, &answer);
    if (e != CLI_OK)
        return e;
    if (cli_call_quiet(c, "GET", "/api/v1/session", NULL, &session) == CLI_OK)
        json_object_set(answer, "session", session);
    if (c->json) {
        cli_json(answer);
    } else {
        cli_record(c, answer, cols, sizeof cols / sizeof *cols);
        if (session && !*cli_str(session, "person.account"))
            puts(T(c, "サインイン: していません", "Signed in: nobody"));
        else if (session)
            printf(T(c, "サインイン: %s(%s)\n", "Signed in: %s (%s)\n"), cli_str(session, "person.account"),
                cli_word(c, cli_str(session, "person.role")));
    }
    json_decref(session);
    json_decref(answer);
    return CLI_OK;
}

/* How far back one can go; 0 days: everything there is was made today. */
static void kept_print(const struct cli *c, const json_t *last)
{
    long long days = json_integer_value(json_object_get(last, "kept_days"));
    if (!*cli_str(last, "at"))
        return;
    if (days == 0)
        puts(T(c, "残っている分: きょうの分から", "Goes back: since today"));
    else if (days == 1)
        puts(T(c, "残っている分: きのうまで", "Goes back: 1 day"));
    else
        printf(T(c, "残っている分: %lld日前まで\n", "Goes back: %lld days\n"), days);
}

static void today_print(const struct cli *c, const json_t *t)
{
    size_t i;
    json_t *line;
    printf("[%s] ", cli_word(c, cli_str(t, "state")));
    cli_text(stdout, cli_str(t, "headline"));
    putchar('\n');
    cli_text(stdout, cli_str(t, "lead"));
    putchar('\n');
    json_array_foreach(json_object_get(t, "lines"), i, line) {
        printf("  %s  ", cli_word(c, cli_str(line, "state")));
        cli_text(stdout, cli_str(line, "text"));
        putchar('\n');
    }
    kept_print(c, json_object_get(t, "last"));
    if (*cli_str(t, "one.title")) {
        printf("%s", T(c, "今日すること: ", "One thing to do: "));
        cli_text(stdout, cli_str(t, "one.title"));
        putchar('\n');
    }
    json_array_foreach(json_object_get(t, "dont"), i, line) {
        printf("%s", T(c, "しないこと: ", "Do not: "));
        cli_text(stdout, cli_str(line, "title"));
        putchar('\n');
    }
}

int cmd_today(struct cli *c)
{
    json_t *t = NULL;
    int e = cli_call(c, "GET", "/api/v1/today", NULL, &t);
    if (e == CLI_OK && c->json)
        cli_json(t);
    else if (e == CLI_OK)
        today_print(c, t);
    json_decref(t);
    return e;
}

int cmd_box(struct cli *c)
{
    static const struct cli_col cols[] = { { "version", CLI_TEXT, "版", "Version" },
        { "addresses", CLI_TEXT, "アドレス", "Addresses" }, { "disk.free", CLI_BYTES, "ディスクの空き", "Disk free" },
        { "vault.generations", CLI_TEXT, "世代", "Generations" }, { "vault.bytes", CLI_BYTES, "保管量", "Stored" },
        { "vault.head.seq", CLI_TEXT, "記録の番号", "Journal" },
        { "not_separated", CLI_TEXT, "分けられていないこと", "Not separated" } };
    static const struct cli_col kids[] = { { "name", CLI_TEXT, "部分", "Part" }, { "state", CLI_WORD, "状態", "State" },
        { "restarts", CLI_TEXT, "再起動", "Restarts" } };
    json_t *b = NULL;
    int e = cli_call(c, "GET", "/api/v1/box", NULL, &b);
    if (e == CLI_OK && c->json) {
        cli_json(b);
    } else if (e == CLI_OK) {
        cli_record(c, b, cols, sizeof cols / sizeof *cols);
        cli_table(c, json_object_get(b, "children"), kids, sizeof kids / sizeof *kids);
    }
    json_decref(b);
    return e;
}
