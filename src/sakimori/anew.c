/*
 * anew: what the recovery sheet makes new: the restore card, and a director's sign-in.
 *
 * The *open* half stays in this process: it opens the escrow here, the new card is chosen and wrapped here, and only the
 * wrap goes to the box, with a proof of the *orders* half.  Nothing is ever written to a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <qrencode.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/sheet.h"
#include "crypto/sign.h"
#include "plat/fs.h"
#include "sakimori/anew.h"
#include "sakimori/commands.h"
#include "sakimori/net.h"
#include "vault/seal/restorekey.h"

/* ---- QR on a terminal or on paper: two rows a line, a margin of four ---- */

static bool dark(const QRcode *q, int x, int y)
{
    return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1);
}

void anew_qr(const char *text)
{
    QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    static const char *const blocks[] = { " ", "\u2584", "\u2580", "\u2588" };
    bool screen = isatty(1); /* there black on white is said, whatever colours the terminal has */
    if (!q)
        return;
    for (int y = -4; y < q->width + 4; y += 2) {
        fputs(screen ? "\033[30;107m" : "", stdout);
        for (int x = -4; x < q->width + 4; x++)
            fputs(blocks[2 * dark(q, x, y) + dark(q, x, y + 1)], stdout);
        fputs(screen ? "\033[0m\n" : "\n", stdout);
    }
    sm_zero(q->data, (size_t)q->width * (size_t)q->width);
    QRcode_free(q);
}

/* The words that were typed leave the screen and its scroll-back before anything else is shown. */
void anew_clear(void)
{
    if (isatty(1) && cli_has_terminal())
        fputs("\033[H\033[2J\033[3J", stdout);
}

/* ---- the sheet ---- */

/* Both halves may be in one file, as QR texts: words do not say which half they are of. */
static bool in_one_file(const struct cli *c, struct crypto_sheet *ret)
{
    const char *file = cli_opt(c, "sheet");
    struct sm_buf text = SM_BUF_INIT(CRYPTO_SHEET_TEXT_MAX + 1);
    char why[160];
    bool there = file && strcmp(file, "-") && plat_fs_read_file(AT_FDCWD, file, CRYPTO_SHEET_TEXT_MAX, &text) == 0 &&
        crypto_sheet_parse(sm_buf_span(&text), CRYPTO_SHEET_ORDERS, ret, why) == 0 && ret->has_vault;
    if (!there)
        crypto_sheet_wipe(ret);
    sm_buf_wipe(&text);
    return there;
}

int anew_orders(struct cli *c, struct crypto_sheet *ret)
{
    const char *apart = cli_opt(c, "orders");
    return !apart && in_one_file(c, ret) ? CLI_OK : cli_sheet(c, apart, CRYPTO_SHEET_ORDERS, ret);
}

int cli_orders_key(struct cli *c, struct crypto_sign_pair *ret)
{
    struct crypto_sheet s = { 0 };
    int e = anew_orders(c, &s);
    int r = e == CLI_OK ? crypto_sign_from_seed(s.secret, ret) : 0;
    crypto_sheet_wipe(&s);
    return e != CLI_OK ? e : r < 0 ? CLI_FAILED : CLI_OK;
}

/* Sign what is done with a new challenge; challenge and sig are put into body. */
static int prove(struct cli *c, const struct crypto_sign_pair *orders, const char *act, struct sm_span over, json_t *body)
{
    json_t *a = NULL;
    struct vault_id vault;
    uint8_t challenge[RESTOREKEY_CHALLENGE_LEN], sum[32], sig[64];
    char hex[2 * sizeof sig + 1];
    struct sm_buf text = SM_BUF_INIT(256);
    int e = cli_call(c, "POST", "/api/v1/sheet/challenge", NULL, &a);
    if (e != CLI_OK)
        return e;
    const char *what = cli_str(a, "challenge"), *of = cli_str(a, "vault");
    int r = sm_unhex(what, strlen(what), challenge, sizeof challenge);
    if (!r)
        r = sm_unhex(of, strlen(of), vault.b, sizeof vault.b);
    crypto_sha256(over, sum);
    if (!r)
        r = restorekey_proof_text(challenge, &vault, act, sum, &text);
    if (!r)
        r = crypto_sign(orders, sm_buf_span(&text), sig);
    if (!r) {
        json_object_set(body, "challenge", json_object_get(a, "challenge"));
        sm_hex(sig, sizeof sig, hex);
        json_object_set_new(body, "sig", json_string(hex));
    } else {
        cli_note(c, T(c, "箱の返事が分かりません", "the box answered something unexpected"));
    }
    json_decref(a);
    sm_buf_wipe(&text);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

/* ---- a new restore card ---- */

struct making {
    struct crypto_x25519_pair restore;
    struct crypto_sign_pair orders;
    uint8_t card[RESTOREKEY_CARD_LEN];
    struct sm_buf wrap, text;
};

static void making_wipe(struct making *m)
{
    crypto_x25519_wipe(&m->restore);
    crypto_sign_wipe(&m->orders);
    sm_zero(m->card, sizeof m->card);
    sm_buf_wipe(&m->wrap);
    sm_buf_wipe(&m->text);
}

static int escrow_get(struct cli *c, struct sm_buf *ret)
{
    json_t *a = NULL;
    int e = cli_call(c, "GET", "/api/v1/restore-card", NULL, &a);
    if (e != CLI_OK)
        return e;
    const char *hex = cli_str(a, "escrow");
    size_t n = strlen(hex);
    uint8_t raw[RESTOREKEY_ESCROW_LEN];
    if (!*hex)
        cli_note(c, T(c, "この箱には、まだ戻す鍵の控えがありません(古い版で設定された箱です)。\n"
            "いまの戻すカードで一度 sakimori unlock すると、控えができます。\n"
            "カードがもうなければ、sakimori recover で金庫の紙だけで戻せます",
            "this box keeps no sealed copy of its restore key yet (it was set up by an older version).\n"
            "One sakimori unlock with the present card makes it.\n"
            "Without the card, sakimori recover restores with the recovery sheet alone"));
    else if (n != 2 * sizeof raw || sm_unhex(hex, n, raw, sizeof raw) < 0 || sm_buf_put(ret, raw, sizeof raw) < 0)
        cli_note(c, T(c, "箱の返事が分かりません", "the box answered something unexpected"));
    json_decref(a);
    return ret->n ? CLI_OK : CLI_FAILED;
}

int anew_open(struct cli *c, struct crypto_sheet *s, struct crypto_x25519_pair *ret)
{
    struct sm_buf escrow = SM_BUF_INIT(RESTOREKEY_ESCROW_LEN);
    int e = escrow_get(c, &escrow), r = 0;
    if (e == CLI_OK)
        e = cli_sheet(c, cli_opt(c, "sheet"), CRYPTO_SHEET_OPEN, s);
    if (e == CLI_OK)
        r = restorekey_escrow_open(sm_buf_span(&escrow), s->secret, ret);
    sm_buf_wipe(&escrow);
    if (r == -SM_EMISMATCH)
        cli_note(c, T(c, "これは、この箱の金庫の紙の「1 開ける鍵」ではありません",
            "this is not the opening half of this box's recovery sheet"));
    else if (r < 0)
        cli_note(c, T(c, "戻す鍵の控えがこわれています: %s", "the sealed copy of the restore key is damaged: %s"),
            sm_errtext(r, c->ja));
    return r < 0 ? CLI_DENIED : e;
}

static int open_key(struct cli *c, struct making *m)
{
    struct crypto_sheet s = { 0 };
    int e = anew_open(c, &s, &m->restore);
    crypto_sheet_wipe(&s);
    return e;
}

static void card_print(struct cli *c, const struct making *m)
{
    const char *card = (const char *)m->text.p;
    if (c->json) {
        printf("{\"card\":\"%.*s\"}\n", (int)m->text.n, card);
        return;
    }
    anew_clear();
    printf("%s", T(c, "== 戻すカード(院長が持つ)\n\n", "== Restore card (the director keeps it)\n\n"));
    printf("%.*s\n\n", (int)m->text.n, card);
    char line[128];
    (void)snprintf(line, sizeof line, "%.*s", (int)m->text.n, card); /* fits: 44 */
    anew_qr(line);
    sm_zero(line, sizeof line);
    printf("%s", T(c, "\n院長のパスワードと組で、戻す鍵を開けます。引き出しにしまってください。\n",
        "\nTogether with the director's password it opens the restore key.  Keep it in a drawer.\n"));
    fflush(stdout);
}

/* Was it certainly not taken?  A broken connection or an inner error leaves that open, and then the card is shown. */
bool anew_refused(const json_t *answer)
{
    const char *code = cli_str(answer, "error.code");
    return *code && strcmp(code, "internal") != 0 && strcmp(code, "unavailable") != 0;
}

static int card_send(struct cli *c, struct making *m, json_t *body)
{
    json_t *a = NULL;
    int e = cli_call_quiet(c, "POST", "/api/v1/restore-card", body, &a);
    if (e != CLI_OK && anew_refused(a)) {
        cli_complain(c, a);
    } else {
        card_print(c, m);
        cli_note(c, e == CLI_OK
            ? T(c, "新しい戻すカードです。紙に移してください。もう表示されません。古いカードは、もう何も開けません。切って捨ててください",
                "the new restore card: put it on paper, it is not shown again.  The old card opens nothing any more: cut it up")
            : T(c, "箱の返事がありません。このカードを控え、sakimori unlock で開くか確かめてください。開かなければ古いカードがまだ使えます",
                "the box did not answer.  Keep this card and try it with sakimori unlock; if it does not open, the old one still does"));
    }
    json_decref(a);
    return e;
}

static int card_wrap(struct cli *c, struct making *m, const char *password)
{
    crypto_random(m->card, sizeof m->card);
    int r = restorekey_wrap(SM_SPAN_STR(password), m->card, &crypto_pass_wrap, &m->restore, &m->wrap);
    crypto_x25519_wipe(&m->restore); /* not needed any more */
    if (!r)
        r = restorekey_card_text(m->card, &m->text);
    if (r < 0)
        cli_note(c, T(c, "カードを作れません: %s", "the card could not be made: %s"), sm_errtext(r, c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int card_make(struct cli *c, struct making *m)
{
    char hex[2 * RESTOREKEY_WRAP_LEN + 1];
    int e = open_key(c, m);
    if (e == CLI_OK)
        e = cli_orders_key(c, &m->orders);
    char *password = e == CLI_OK ? cli_secret(c, "password", T(c, "院長のパスワード: ", "Director's password: ")) : NULL;
    if (e == CLI_OK && !password)
        e = CLI_USAGE;
    if (e == CLI_OK)
        e = card_wrap(c, m, password);
    json_t *body = e == CLI_OK ? json_pack("{s:s}", "password", password) : NULL;
    cli_secret_free(password);
    if (e == CLI_OK)
        e = body ? prove(c, &m->orders, "card", sm_buf_span(&m->wrap), body) : CLI_USAGE; /* not UTF-8 */
    if (e != CLI_OK) {
        json_decref(body);
        return e;
    }
    sm_hex(m->wrap.p, m->wrap.n, hex);
    json_object_set_new(body, "wrap", json_string(hex));
    return card_send(c, m, body);
}

int cmd_restore_card_new(struct cli *c)
{
    struct making m = { .wrap = SM_BUF_INIT(RESTOREKEY_WRAP_LEN), .text = SM_BUF_INIT(128) };
    int e = cli_answers_load(c);
    if (e == CLI_OK)
        e = card_make(c, &m);
    making_wipe(&m);
    return e;
}

int cmd_restore_card_show(struct cli *c)
{
    static const struct cli_col cols[] = { { "fits", CLI_YES, "カードが使える", "Card fits" },
        { "mine", CLI_YES, "自分のパスワードと組", "Belongs to my password" },
        { "renewable", CLI_YES, "金庫の紙で作り直せる", "Can be made anew with the sheet" } };
    json_t *a = NULL;
    int e = cli_call(c, "GET", "/api/v1/restore-card", NULL, &a);
    if (e == CLI_OK) {
        json_object_set_new(a, "renewable", json_boolean(*cli_str(a, "escrow")));
        json_object_del(a, "escrow");
    }
    if (e == CLI_OK && c->json)
        cli_json(a);
    else if (e == CLI_OK)
        cli_record(c, a, cols, sizeof cols / sizeof *cols);
    json_decref(a);
    return e;
}

/* ---- a director's sign-in ---- */

static int anew_try(
    struct cli *c, const struct crypto_sign_pair *orders, const char *account, const char *password, json_t **ret)
{
    struct sm_buf over = SM_BUF_INIT(1024);
    json_t *body = json_pack("{s:s,s:s}", "account", account, "password", password);
    int r = sm_buf_put(&over, account, strlen(account) + 1); /* with its zero byte */
    if (!r)
        r = sm_buf_put(&over, password, strlen(password));
    int e = !body || r < 0 ? CLI_USAGE : prove(c, orders, "person", sm_buf_span(&over), body);
    sm_buf_wipe(&over);
    if (e == CLI_OK)
        return cli_call_quiet(c, "POST", "/api/v1/recovery", body, ret);
    json_decref(body);
    return e;
}

static void anew_print(struct cli *c, json_t *a)
{
    size_t i;
    json_t *code;
    if (c->json) {
        json_object_del(a, "totp_qr_svg");
        cli_json(a);
        return;
    }
    anew_clear();
    printf(T(c, "アカウント: %s\n認証アプリの鍵: %s\n\n", "Account: %s\nAuthenticator secret: %s\n\n"), cli_str(a, "account"),
        cli_str(a, "totp_secret"));
    anew_qr(cli_str(a, "totp_uri"));
    printf("%s", T(c, "\n一回限りのコード\n", "\nOne-time codes\n"));
    json_array_foreach(json_object_get(a, "codes"), i, code)
        printf("%s%s", json_string_value(code), i % 5 == 4 ? "\n" : "  ");
    fflush(stdout);
    cli_note(c, T(c, "一度しか表示されません。認証アプリに入れ、コードを紙に移してください",
        "this is shown only once: put the secret into the authenticator and the codes on paper"));
    if (!json_is_true(json_object_get(a, "card_fits")))
        cli_note(c, T(c, "いまの戻すカードは、新しいパスワードでは開きません。続けて sakimori sign-in、sakimori restore-card new を行ってください",
            "the present restore card does not open with the new password: go on with sakimori sign-in, then sakimori restore-card new"));
}

static int anew_account(struct cli *c, const struct crypto_sign_pair *orders, const char *account)
{
    /* A password against the rules is asked for again on a terminal: nobody wants to type 24 words twice. */
    bool asked = !cli_answer(c, "new_password") && !cli_flag(c, "password-stdin") && !cli_opt(c, "password-fd");
    int e = CLI_FAILED;
    for (int tries = 0; tries < 5; tries++) {
        json_t *a = NULL;
        char *password = cli_new_password(c);
        if (!password)
            return CLI_USAGE;
        e = anew_try(c, orders, account, password, &a);
        cli_secret_free(password);
        bool again = asked && e != CLI_OK && !strcmp(cli_str(a, "error.code"), "password");
        if (e == CLI_UNREACHABLE)
            cli_no_answer(c);
        else if (e != CLI_OK && a)
            cli_complain(c, a);
        else if (e == CLI_OK)
            anew_print(c, a);
        json_decref(a);
        if (!again)
            break;
    }
    return e;
}

int cmd_account_recover(struct cli *c)
{
    struct crypto_sign_pair orders = { 0 };
    int e = cli_answers_load(c);
    if (e != CLI_OK)
        return e;
    const char *given = cli_arg(c, 0) ? cli_arg(c, 0) : cli_answer(c, "account");
    char *account = given ? strdup(given) : cli_ask(c, T(c, "院長のアカウント", "Director's account"), NULL);
    if (!account)
        return CLI_USAGE;
    cli_forget_session(c);
    e = cli_orders_key(c, &orders);
    if (e == CLI_OK)
        e = anew_account(c, &orders, account);
    crypto_sign_wipe(&orders);
    free(account);
    return e;
}
