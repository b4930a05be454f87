/* setup: the wizard on the terminal, or all of it from an answers file. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/net.h"
#include "sakimori/setup.h"

/* ---- the steps ---- */

static int start(struct cli *c, const char *code)
{
    json_t *a = NULL;
    cli_forget_session(c);
    int e = cli_call(c, "POST", "/api/v1/setup/start", json_pack("{s:s}", "code", code ? code : ""), &a);
    if (e == CLI_OK)
        cli_use_csrf(c, cli_str(a, "csrf"));
    json_decref(a);
    return e;
}

/* The director's account, and the authenticator shown to be in step.  *ret gets account, totp_secret and codes. */
static int director(struct cli *c, const json_t *d, json_t **ret)
{
    json_t *a = NULL, *b = NULL;
    char code[8];
    int e = cli_call(c, "POST", "/api/v1/setup/director", json_deep_copy(d), &a);
    if (e == CLI_OK && cli_totp(cli_str(a, "totp_secret"), code) < 0) {
        cli_note(c, T(c, "箱の返事が分かりません", "the box answered something unexpected"));
        e = CLI_FAILED;
    }
    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/setup/director/totp", json_pack("{s:s}", "code", code), &b);
    if (e == CLI_OK)
        *ret = json_pack("{s:s,s:s,s:O}", "account", cli_str(d, "account"), "totp_secret", cli_str(a, "totp_secret"),
            "codes", json_object_get(b, "codes"));
    json_decref(a);
    json_decref(b);
    return e == CLI_OK && !*ret ? CLI_FAILED : e;
}

/* The n-th word of the half `which`, in the language of the person; "" when the box asks for none there is. */
static const char *word_of(const struct cli *c, const json_t *sheet, const json_t *ask)
{
    const json_t *half = json_object_get(sheet, cli_str(ask, "which"));
    json_int_t n = json_integer_value(json_object_get(ask, "n"));
    const char *w = json_string_value(
        json_array_get(json_object_get(half, T(c, "words_ja", "words_en")), n > 0 ? (size_t)n - 1 : 0));
    return w ? w : "";
}

static int confirm(struct cli *c, json_t *answers)
{
    json_t *a = NULL;
    int e = cli_call(c, "POST", "/api/v1/setup/confirm", json_pack("{s:o,s:b}", "answers", answers, "printed", 1), &a);
    if (e == CLI_OK)
        cli_use_csrf(c, cli_str(a, "session.csrf"));
    json_decref(a);
    return e;
}

static int sheet_step(struct cli *c, json_t *secrets, json_t **ret_ask)
{
    static const char *const keep[] = { "open", "orders" };
    json_t *s = NULL;
    int e = cli_call(c, "POST", "/api/v1/setup/sheet", NULL, &s);
    for (size_t i = 0; e == CLI_OK && i < 2; i++) {
        json_t *half = json_object_get(s, keep[i]);
        json_object_del(half, "qr_svg");
        json_object_set(secrets, keep[i], half);
    }
    if (e == CLI_OK) {
        json_object_set(secrets, "card", (json_t *)cli_at(s, "card.text"));
        *ret_ask = json_incref(json_object_get(s, "ask"));
    }
    json_decref(s);
    return e;
}

int setup_run(struct cli *c, const json_t *answers, struct setup_result *ret)
{
    json_t *secrets = NULL, *ask = NULL, *typed = json_array(), *row;
    size_t i;
    int e = start(c, cli_str(answers, "code"));
    if (e == CLI_OK)
        e = cli_call(
            c, "POST", "/api/v1/setup/institution", json_deep_copy(json_object_get(answers, "institution")), NULL);
    if (e == CLI_OK)
        e = director(c, json_object_get(answers, "director"), &secrets);
    if (e == CLI_OK)
        e = sheet_step(c, secrets, &ask);
    json_array_foreach(ask, i, row) json_array_append_new(typed,
        json_pack("{s:O,s:O,s:s}", "which", json_object_get(row, "which"), "n", json_object_get(row, "n"), "word",
            word_of(c, secrets, row)));
    if (e == CLI_OK)
        e = confirm(c, json_incref(typed));
    json_decref(typed);
    json_decref(ask);
    if (e == CLI_OK)
        ret->secrets = secrets;
    else
        json_decref(secrets);
    return e;
}

/* ---- from a file ---- */

static int check_answers(struct cli *c)
{
    static const char *const needed[] = { "code", "institution.name", "institution.kind", "director.account",
        "director.name", "director.password" };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!cli_answer(c, needed[i])) {
            cli_note(c, T(c, "--answers: \"%s\" がありません", "--answers: \"%s\" is missing"), needed[i]);
            return CLI_USAGE;
        }
    }
    if (!cli_opt(c, "sheet")) {
        cli_note(c, T(c, "--answers では --sheet FILE(金庫の紙と戻すカードの保存先)が必要です",
            "with --answers, --sheet FILE is needed: where the recovery sheet and the card go"));
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* Keep a token of this new account: costs the last of the one-time codes, which is then not handed out. */
static int sign_in(struct cli *c, json_t *secrets)
{
    json_t *codes = json_object_get(secrets, "codes"), *a = NULL;
    size_t n = json_array_size(codes);
    const char *code = json_string_value(json_array_get(codes, n ? n - 1 : 0));
    cli_forget_session(c);
    int e = cli_call(c, "POST", "/api/v1/session",
        json_pack("{s:s,s:s,s:s,s:b}", "account", cli_str(secrets, "account"), "password",
            cli_answer(c, "director.password"), "one_time", code ? code : "", "token", 1),
        &a);
    if (e == CLI_OK) {
        json_array_remove(codes, n - 1);
        int r = cli_token_save(c, cli_str(a, "token"));
        if (r < 0) {
            cli_note(c, T(c, "サインインの控えを保存できません: %s", "the token could not be kept: %s"), sm_errtext(r, c->ja));
            e = CLI_FAILED;
        }
    }
    json_decref(a);
    return e;
}

static int write_secrets(struct cli *c, int fd, const json_t *secrets)
{
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    int r = sm_json_dump(secrets, &text);
    if (!r)
        r = sm_buf_put_u8(&text, '\n');
    if (!r)
        r = plat_fs_write_all(fd, sm_buf_span(&text));
    if (!r)
        r = plat_fs_sync(fd);
    sm_buf_wipe(&text);
    if (r < 0)
        cli_note(c, T(c, "%s に書けません: %s", "cannot write %s: %s"), cli_opt(c, "sheet"), sm_errtext(r, c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int from_file(struct cli *c)
{
    struct setup_result got = { 0 };
    int e = check_answers(c), out = e;
    if (e != CLI_OK)
        return e;
    const char *file = cli_opt(c, "sheet");
    int fd = plat_fs_create(AT_FDCWD, file, PLAT_FS_EXCL, 0600);
    if (fd < 0) {
        cli_note(c, T(c, "%s を作れません: %s", "cannot make %s: %s"), file, sm_errtext(fd, c->ja));
        return CLI_FAILED;
    }
    e = setup_run(c, c->answers->o, &got);
    if (e == CLI_OK && cli_flag(c, "sign-in"))
        out = sign_in(c, got.secrets);
    if (e == CLI_OK)
        e = write_secrets(c, fd, got.secrets);
    close(fd);
    if (e != CLI_OK)
        (void)unlink(file); /* empty, or only begun */
    if (e == CLI_OK && c->json)
        printf("{\"done\":true}\n");
    else if (e == CLI_OK)
        cli_note(c, T(c, "設定できました。金庫の紙は %s にあります。紙に移したら消してください",
            "set up.  The recovery sheet is in %s: put it on paper, then remove the file"), file);
    json_decref(got.secrets);
    return e == CLI_OK ? out : e;
}

/* ---- on the terminal ---- */

static int ask_into(struct cli *c, json_t *o, const char *key, const char *prompt, const char *standard)
{
    char *s = cli_ask(c, prompt, standard);
    if (!s)
        return CLI_USAGE;
    json_t *v = json_string(s);
    free(s);
    if (!v) {
        cli_note(c, T(c, "文字コードは UTF-8 にしてください", "please use UTF-8"));
        return CLI_USAGE;
    }
    json_object_set_new(o, key, v);
    return CLI_OK;
}

struct question { const char *key, *standard, *ja, *en, *words; };

/* Is text one of words, which are divided by blanks?  Any text where there are no words. */
static bool is_word(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = words; p && *p; p += strspn(p, " ")) {
        size_t k = strcspn(p, " ");
        if (k == n && !memcmp(p, text, n))
            return true;
        p += k;
    }
    return !words;
}

static int ask_all(struct cli *c, json_t *o, const struct question *q, size_t n)
{
    int e = CLI_OK;
    for (size_t i = 0; i < n && e == CLI_OK;) {
        e = ask_into(c, o, q[i].key, T(c, q[i].ja, q[i].en), q[i].standard);
        if (e == CLI_OK && !is_word(q[i].words, cli_str(o, q[i].key)))
            cli_note(c, T(c, "この中から選んでください: %s", "please choose one of: %s"), q[i].words);
        else
            i++;
    }
    return e;
}

static int ask_institution(struct cli *c, json_t *inst)
{
    static const struct question first[] = { { "name", NULL, "医療機関の名前", "Name of the institution", NULL },
        { "kind", "clinic", "種類(clinic 診療所, dental 歯科, hospital 病院, pharmacy 薬局, other)",
            "Kind (clinic, dental, hospital, pharmacy, other)", "clinic dental hospital pharmacy other" },
        { "address", "", "住所", "Address", NULL }, { "phone", "", "電話", "Phone", NULL },
        { "vendor_updates", "unknown",
            "業者との契約に、すべてのサーバーの更新は業者の責任と書いてありますか(yes, no, unknown)",
            "Does the contract say the vendor answers for updates of all servers? (yes, no, unknown)",
            "yes no unknown" } };
    static const struct question person[] = { { "name", "", "  名前", "  Name", NULL }, { "title", "", "  役職", "  Title", NULL },
        { "phone", "", "  電話", "  Phone", NULL } };
    static const struct {
        const char *key, *ja, *en;
    } people[] = { { "responsible", "安全管理責任者", "Person responsible for safety" },
        { "deputy", "その代わりの人", "Deputy" }, { "vendor", "システムの業者", "Vendor" } };
    int e = ask_all(c, inst, first, sizeof first / sizeof *first);
    for (size_t i = 0; i < 3 && e == CLI_OK; i++) {
        json_t *p = json_object();
        fprintf(stderr, "%s\n", T(c, people[i].ja, people[i].en));
        e = ask_all(c, p, person, 3);
        json_object_set_new(inst, people[i].key, p);
    }
    json_object_set_new(inst, "language", json_string(c->ja ? "ja" : "en"));
    return e;
}

/* True when the box takes the account.  *ret_names becomes false when it is account or name that must be asked again, *ret_e an
 * exit code when the box is gone or the set-up has ended. */
static bool offer_director(struct cli *c, const json_t *d, json_t **ret, bool *ret_names, int *ret_e)
{
    json_t *a = NULL;
    int e = cli_call_quiet(c, "POST", "/api/v1/setup/director", json_deep_copy(d), &a);
    const char *field = cli_str(a, "error.field");
    if (e == CLI_OK) {
        *ret = a;
        return true;
    }
    if (e == CLI_UNREACHABLE)
        cli_no_answer(c);
    else
        cli_complain(c, a);
    if (!strcmp(field, "account") || !strcmp(field, "name"))
        *ret_names = false;
    else if (strcmp(field, "password") != 0)
        *ret_e = e;
    json_decref(a);
    return false;
}

/* Ask again until the box takes account and password. */
static int ask_director(struct cli *c, json_t **ret)
{
    static const struct question q[] = { { "account", "director", "院長のアカウント(英数字)",
                                             "Director's account (letters and digits)", NULL },
        { "name", NULL, "院長の名前", "Director's name", NULL } };
    json_t *d = json_object(), *a = NULL;
    int e = CLI_OK;
    bool taken = false, names = false;
    while (e == CLI_OK && !taken) {
        if (!names && (e = ask_all(c, d, q, 2)) != CLI_OK)
            break;
        names = true;
        char *one = cli_secret(c, "director.password",
            T(c, "パスワード(英字と数字、13文字以上がおすすめ): ",
                "Password (letters and digits, 13 or more are best): "));
        char *two = one ? cli_secret(c, "director.password", T(c, "もう一度: ", "Again: ")) : NULL;
        bool same = two && !strcmp(one, two);
        if (two && !same)
            cli_note(c, T(c, "二つが違います", "they differ"));
        if (same)
            json_object_set_new(d, "password", json_string(one));
        cli_secret_free(one);
        cli_secret_free(two);
        e = two ? CLI_OK : CLI_USAGE;
        if (same)
            taken = offer_director(c, d, &a, &names, &e);
    }
    json_decref(d);
    if (e == CLI_OK)
        *ret = a;
    return e;
}

static int ask_totp(struct cli *c, const json_t *made, json_t **ret)
{
    printf(T(c, "\n認証アプリにこの鍵を入れてください:\n  %s\n  %s\n", "\nPut this secret into the authenticator:\n  %s\n  %s\n"),
        cli_str(made, "totp_secret"), cli_str(made, "totp_uri"));
    fflush(stdout);
    for (;;) {
        char *code = cli_ask(c, T(c, "表示された6桁", "Six digits it shows"), NULL);
        if (!code)
            return CLI_USAGE;
        int e = cli_call(c, "POST", "/api/v1/setup/director/totp", json_pack("{s:s}", "code", code), ret);
        free(code);
        if (e == CLI_OK || e == CLI_UNREACHABLE)
            return e;
    }
}

static void print_half(const struct cli *c, const json_t *secrets, const char *which, const char *title)
{
    static const char *const lists[] = { "words_ja", "words_en" };
    printf("\n== %s\n", title);
    for (size_t k = 0; k < 2; k++) {
        const json_t *words = json_object_get(json_object_get(secrets, which), lists[k]);
        size_t i;
        json_t *w;
        json_array_foreach((json_t *)words, i, w)
            printf("%2zu %s%s", i + 1, json_string_value(w), i % 6 == 5 ? "\n" : "  ");
        putchar('\n');
    }
    printf("QR: %s\n", cli_str(json_object_get(secrets, which), "qr_text"));
    (void)c; /* both languages are on the sheet, whoever reads it later */
}

static void print_sheet(const struct cli *c, const json_t *secrets, const json_t *codes)
{
    size_t i;
    json_t *code;
    print_half(c, secrets, "open", T(c, "金庫の紙・開く鍵(金庫へ)", "Recovery sheet: the key that opens (into the safe)"));
    print_half(c, secrets, "orders", T(c, "金庫の紙・命令の鍵(金庫へ)", "Recovery sheet: the key for orders (into the safe)"));
    printf(T(c, "\n== 戻すカード(院長が持つ)\n%s\n", "\n== Restore card (the director keeps it)\n%s\n"),
        cli_str(secrets, "card"));
    printf("%s", T(c, "\n== 一回限りのコード\n", "\n== One-time codes\n"));
    json_array_foreach(json_object_get(codes, "codes"), i, code)
        printf("%s%s", json_string_value(code), i % 5 == 4 ? "\n" : "  ");
    fflush(stdout);
    cli_note(c, T(c, "\n紙に書き写すか印刷してください。もう表示されません。", "\nWrite or print all of this on paper.  It is not shown again."));
}

static int ask_words(struct cli *c, const json_t *ask)
{
    for (;;) {
        json_t *typed = json_array(), *row;
        size_t i;
        int e = CLI_OK;
        json_array_foreach((json_t *)ask, i, row) {
            char prompt[160];
            (void)snprintf(prompt, sizeof prompt, T(c, "%s の %lld 番目のことば", "word of %s no. %lld"),
                !strcmp(cli_str(row, "which"), "open") ? T(c, "開く鍵", "the key that opens")
                                                       : T(c, "命令の鍵", "the key for orders"),
                (long long)json_integer_value(json_object_get(row, "n"))); /* fits */
            char *w = cli_ask(c, prompt, NULL);
            json_t *one = w ? json_pack("{s:O,s:O,s:s}", "which", json_object_get(row, "which"), "n",
                                  json_object_get(row, "n"), "word", w)
                            : NULL;
            e = one ? e : CLI_USAGE;
            free(w);
            json_array_append_new(typed, one ? one : json_null());
        }
        if (e == CLI_OK)
            e = confirm(c, json_incref(typed));
        json_decref(typed);
        if (e != CLI_FAILED)
            return e;
    }
}

static int wizard(struct cli *c)
{
    json_t *inst = json_object(), *made = NULL, *codes = NULL, *secrets = json_object(), *ask = NULL;
    char *code = cli_secret(c, "code", T(c, "箱の画面に出た設定コード: ", "Set-up code shown by the box: "));
    int e = code ? start(c, code) : CLI_USAGE;
    cli_secret_free(code);
    if (e == CLI_OK)
        e = ask_institution(c, inst);
    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/setup/institution", json_incref(inst), NULL);
    if (e == CLI_OK)
        e = ask_director(c, &made);
    if (e == CLI_OK)
        e = ask_totp(c, made, &codes);
    if (e == CLI_OK)
        e = sheet_step(c, secrets, &ask);
    if (e == CLI_OK) {
        print_sheet(c, secrets, codes);
        e = ask_words(c, ask);
    }
    if (e == CLI_OK && isatty(1)) {
        printf("\033[H\033[2J\033[3J"); /* the secrets leave the screen and its scroll-back */
        fflush(stdout); /* before what is said next, which must stay */
    }
    if (e == CLI_OK)
        cli_note(c, T(c, "設定できました。次は sakimori sign-in と sakimori source add です",
            "set up.  Next: sakimori sign-in, then sakimori source add"));
    json_decref(inst);
    json_decref(made);
    json_decref(codes);
    json_decref(secrets);
    json_decref(ask);
    return e;
}

int cmd_setup(struct cli *c)
{
    json_t *s = NULL;
    int e = cli_answers_load(c);
    if (e == CLI_OK)
        e = cli_call(c, "GET", "/api/v1/setup", NULL, &s);
    bool done = json_is_true(json_object_get(s, "done"));
    json_decref(s);
    if (e == CLI_OK && done) {
        cli_note(c, T(c, "もう設定されています", "it is set up already"));
        return CLI_FAILED;
    }
    if (e != CLI_OK)
        return e;
    return c->answers ? from_file(c) : wizard(c);
}
