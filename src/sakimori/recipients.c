/*
 * recipients: who can open backups, and changing that with the present recovery sheet (FORMAT-vault.md 2.5, 11).
 *
 * Everything secret is made and stays here: the present sheet opens the escrow, new keys are chosen, the old restore key
 * is linked to the new set, the order is signed.  The box gets public keys, ciphertexts and a signature; nothing is
 * written to a file.
 */
#include <errno.h>
#include "core/time.h"
#include "crypto/pass.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/sign.h"
#include "crypto/words.h"
#include "plat/clock.h"
#include "sakimori/anew.h"
#include "sakimori/commands.h"
#include "vault/seal/restorekey.h"
#include "vault/snapshot/keylink.h"
#include "vault/store/deletion.h"
#include "vault/store/order.h"

struct change {
    bool card, sheet;                       /* what is new */
    struct vault_id vault;
    struct crypto_sheet open, orders;       /* the present sheet */
    struct crypto_x25519_pair old_restore, restore, open_pair;   /* of now; from then on */
    struct crypto_sign_pair old_orders, orders_pair;
    uint8_t code[RESTOREKEY_CARD_LEN];
    struct sm_buf set, link, text, wrap, escrow, card_text;
    uint8_t sig[64];
};

static void change_init(struct change *x)
{
    *x = (struct change){ .set = SM_BUF_INIT(4096), .link = SM_BUF_INIT(KEYLINK_MAX), .text = SM_BUF_INIT(ORDER_TEXT_MAX),
        .wrap = SM_BUF_INIT(RESTOREKEY_WRAP_LEN), .escrow = SM_BUF_INIT(RESTOREKEY_ESCROW_LEN), .card_text = SM_BUF_INIT(128) };
}

static void change_wipe(struct change *x)
{
    struct sm_buf *const bufs[] = { &x->set, &x->link, &x->text, &x->wrap, &x->escrow, &x->card_text };
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        sm_buf_wipe(bufs[i]);
    sm_zero(x, sizeof *x);
}

/* ---- what there is ---- */

int cmd_recipients_show(struct cli *c)
{
    static const struct cli_col set[] = { { "role", CLI_WORD, "鍵", "Key" }, { "key", CLI_TEXT, "はじめの16けた", "First 16 digits" } };
    static const struct cli_col machines[] = { { "name", CLI_TEXT, "機器", "Machine" },
        { "follows", CLI_YES, "いまの鍵で包んでいる", "Wraps for these keys" } };
    static const struct cli_col changes[] = { { "at", CLI_TIME, "命令の時刻", "Ordered" }, { "ended", CLI_TIME, "変わった時刻", "Changed" },
        { "by", CLI_TEXT, "出した人", "By" }, { "reason", CLI_TEXT, "理由", "Reason" } };
    json_t *j = NULL;
    int e = cli_call(c, "GET", "/api/v1/recipients", NULL, &j);
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        cli_table(c, json_object_get(j, "set"), set, 2);
        cli_table(c, json_object_get(j, "machines"), machines, 2);
        if (json_array_size(json_object_get(j, "changes")))
            cli_table(c, json_object_get(j, "changes"), changes, 4);
        if (json_array_size(json_object_get(j, "waiting")))
            puts(T(c, "変える命令が待っています(sakimori order list)。", "An order that changes them is waiting (sakimori order list)."));
    }
    json_decref(j);
    return e;
}

/* ---- the present sheet ---- */

static int hex_of(const json_t *o, const char *key, void *ret, size_t n)
{
    const char *hex = cli_str(o, key);
    return strlen(hex) == 2 * n ? sm_unhex(hex, 2 * n, ret, n) : -SM_EFORMAT;
}

static int sheet_read(struct cli *c, struct change *x, const json_t *now)
{
    uint8_t orders_pub[32];
    if (hex_of(now, "vault", x->vault.b, 16) || hex_of(now, "orders_pub", orders_pub, 32)) {
        cli_note(c, T(c, "箱の返事が分かりません", "the box answered something unexpected"));
        return CLI_FAILED;
    }
    int e = anew_open(c, &x->open, &x->old_restore);
    if (e == CLI_OK)
        e = anew_orders(c, &x->orders);
    if (e == CLI_OK && crypto_sign_from_seed(x->orders.secret, &x->old_orders) < 0)
        e = CLI_FAILED;
    bool other = (x->open.has_vault && memcmp(x->open.vault, x->vault.b, 16)) ||
        (x->orders.has_vault && memcmp(x->orders.vault, x->vault.b, 16)) ||
        memcmp(x->old_orders.public_key, orders_pub, 32);
    if (e == CLI_OK && other) {
        cli_note(c, T(c, "これは、この箱の金庫の紙の「2 命令の鍵」ではありません",
            "this is not the half for orders of this box's recovery sheet"));
        e = CLI_DENIED;
    }
    return e;
}

/* ---- the new keys ---- */

static int keys_new(struct change *x)
{
    uint8_t open[32], orders[32];
    memcpy(open, x->open.secret, 32);
    memcpy(orders, x->orders.secret, 32);
    if (x->sheet) {
        crypto_random(open, 32);
        crypto_random(orders, 32);
    }
    int r = crypto_x25519_from_secret(open, &x->open_pair);
    if (!r)
        r = crypto_sign_from_seed(orders, &x->orders_pair);
    x->restore = x->old_restore;
    if (!r && x->card)
        r = crypto_x25519_generate(&x->restore);
    sm_zero(open, sizeof open);
    sm_zero(orders, sizeof orders);
    return r;
}

static int card_new(struct change *x, const char *password)
{
    crypto_random(x->code, sizeof x->code);
    int r = restorekey_wrap(SM_SPAN_STR(password), x->code, &crypto_pass_wrap, &x->restore, &x->wrap);
    return r ? r : restorekey_card_text(x->code, &x->card_text);
}

static int order_new(struct change *x, const json_t *now, const char *why)
{
    struct recipients set = { .n = 2, .r = { { RECIPIENT_SHEET, RECIPIENT_X25519, SM_SPAN(x->open_pair.public_key, 32) },
        { RECIPIENT_BOX, RECIPIENT_X25519, SM_SPAN(x->restore.public_key, 32) } } };
    struct order *o = calloc(1, sizeof *o);
    struct sm_buf message = SM_BUF_INIT(ORDER_TEXT_MAX + 256);
    char made[SM_TIME_TEXT];
    int r = o ? recipients_put(&set, &x->set) : -ENOMEM;
    if (!r)
        r = keylink_make(&x->vault, sm_buf_span(&x->set), &x->old_restore, &o->recipients.link, &x->link);
    if (!r)
        r = restorekey_escrow(&x->vault, x->open_pair.public_key, &x->restore, &x->escrow);
    if (!r)
        r = hex_of(now, "fingerprint", o->recipients.before, FINGERPRINT_LEN);
    if (!r) {
        o->kind = ORDER_RECIPIENTS;
        o->vault = x->vault;
        memcpy(o->recipients.orders, x->orders_pair.public_key, 32);
        memcpy(o->recipients.set, x->set.p, x->set.n);
        o->recipients.set_n = x->set.n;
        crypto_random(o->nonce, sizeof o->nonce);
        sm_time_rfc3339(plat_clock_wall(), made);
        (void)snprintf(o->made, sizeof o->made, "%s", made);    /* fits: 30 characters */
        (void)snprintf(o->reason, sizeof o->reason, "%s", why); /* measured */
        r = order_put(o, &x->text);
    }
    if (!r)
        r = order_message(sm_buf_span(&x->text), &message);
    if (!r)
        r = crypto_sign(&x->old_orders, sm_buf_span(&message), x->sig);
    free(o);
    sm_buf_wipe(&message);
    return r;
}

/* ---- on paper ---- */

static int qr_text(const struct change *x, bool orders, char ret[128])
{
    uint8_t raw[16 + 32 + 4], sum[CRYPTO_SHA256_LEN];
    struct sm_buf b = SM_BUF_INIT(127);
    memcpy(raw, x->vault.b, 16);
    memcpy(raw + 16, orders ? x->orders_pair.seed : x->open_pair.secret, 32);
    crypto_sha256(SM_SPAN(raw, 48), sum);
    memcpy(raw + 48, sum, 4);
    int r = sm_base32(SM_SPAN(raw, sizeof raw), &b);
    if (!r)
        (void)snprintf(ret, 128, "SKR1:%c:%.*s", orders ? 'D' : 'O', (int)b.n, (const char *)b.p); /* fits: 91 */
    sm_zero(raw, sizeof raw);
    sm_buf_wipe(&b);
    return r;
}

static void half_print(const struct change *x, bool orders, const char *title)
{
    static const enum crypto_words_lang langs[] = { CRYPTO_WORDS_JA, CRYPTO_WORDS_EN };
    const char *words[CRYPTO_WORDS];
    char text[128] = "";
    printf("\n== %s\n", title);
    for (size_t k = 0; k < 2; k++) {
        crypto_words_list(orders ? x->orders_pair.seed : x->open_pair.secret, langs[k], words);
        for (unsigned i = 0; i < CRYPTO_WORDS; i++)
            printf("%2u %s%s", i + 1, words[i], i % 6 == 5 ? "\n" : "  ");
        putchar('\n');
    }
    if (qr_text(x, orders, text) == 0) {
        printf("QR: %s\n\n", text);
        anew_qr(text);
    }
    sm_zero(text, sizeof text);
}

/* Which order a paper belongs to: the box names it the same way. */
static void order_name(const struct change *x, char ret[2 * STORE_ORDER_ID + 1])
{
    uint8_t sum[CRYPTO_SHA256_LEN];
    crypto_sha256(sm_buf_span(&x->text), sum);
    sm_hex(sum, STORE_ORDER_ID, ret);
}

static void order_print(struct cli *c, const struct change *x)
{
    char id[2 * STORE_ORDER_ID + 1];
    order_name(x, id);
    printf(T(c, "命令の番号: %s\n", "order: %s\n"), id);
}

static void sheet_print(struct cli *c, const struct change *x)
{
    anew_clear();
    order_print(c, x);
    half_print(x, false, T(c, "新しい金庫の紙・1 開ける鍵(金庫へ)", "New recovery sheet: 1, the key that opens (into the safe)"));
    half_print(x, true, T(c, "新しい金庫の紙・2 命令の鍵(金庫へ)", "New recovery sheet: 2, the key for orders (into the safe)"));
    fflush(stdout);
}

/* Somebody who cannot read the words back has no sheet: nothing is changed then. */
static int words_back(struct cli *c, const struct change *x)
{
    const char *words[2][CRYPTO_WORDS];
    for (unsigned i = 0; i < 3; i++) {
        bool orders = i == 1;
        unsigned n = 8 * i + (unsigned)crypto_random_below(8);
        char prompt[160];
        crypto_words_list(orders ? x->orders_pair.seed : x->open_pair.secret, CRYPTO_WORDS_JA, words[0]);
        crypto_words_list(orders ? x->orders_pair.seed : x->open_pair.secret, CRYPTO_WORDS_EN, words[1]);
        (void)snprintf(prompt, sizeof prompt, T(c, "写した紙を見て: %s の %u 番目のことば", "from your paper: word of %s, no. %u"),
            orders ? T(c, "命令の鍵", "the key for orders") : T(c, "開ける鍵", "the key that opens"), n + 1); /* fits */
        for (;;) {
            char *typed = cli_ask(c, prompt, NULL);
            if (!typed)
                return CLI_USAGE;
            bool right = crypto_words_same(SM_SPAN_STR(typed), words[0][n]) || crypto_words_same(SM_SPAN_STR(typed), words[1][n]);
            free(typed);
            if (right)
                break;
            cli_note(c, T(c, "ちがいます。紙を見て、もう一度", "that is not it: look at the paper and try again"));
        }
    }
    return CLI_OK;
}

/* ---- handing it in ---- */

static void put_hex(json_t *o, const char *key, struct sm_span s)
{
    char *hex = malloc(2 * s.n + 1);
    if (hex) {
        sm_hex(s.p, s.n, hex);
        json_object_set_new(o, key, json_string(hex));
    }
    free(hex);
}

static void keys_json(const struct change *x, json_t *o)
{
    char text[2][128] = { "", "" }, id[2 * STORE_ORDER_ID + 1];
    order_name(x, id);
    json_object_set_new(o, "order_id", json_string(id)); /* also when the box did not answer */
    if (x->card)
        json_object_set_new(o, "card", json_stringn((const char *)x->card_text.p, x->card_text.n));
    if (x->sheet && qr_text(x, false, text[0]) == 0 && qr_text(x, true, text[1]) == 0)
        json_object_set_new(o, "sheet", json_pack("{s:s,s:s}", "open_qr", text[0], "orders_qr", text[1]));
    sm_zero(text, sizeof text);
}

static void told(struct cli *c, const struct change *x, json_t *answer, int e)
{
    if (c->json) {
        json_t *o = json_pack("{s:O}", "order", answer);
        if (o)
            keys_json(x, o);
        cli_json(o);
        json_decref(o);
        return;
    }
    if (x->sheet && !cli_has_terminal())
        sheet_print(c, x);
    if (x->card) {
        char line[128];
        (void)snprintf(line, sizeof line, "%.*s", (int)x->card_text.n, (const char *)x->card_text.p); /* fits: 44 */
        printf("\n%s\n\n%s\n\n", T(c, "== 新しい戻すカード(院長が持つ)", "== New restore card (the director keeps it)"), line);
        order_print(c, x);
        anew_qr(line);
        sm_zero(line, sizeof line);
        fflush(stdout);
    }
    cli_note(c, e == CLI_OK
        ? T(c, "受け付けました: %s\n箱が動いている時間で7日たつと、新しい鍵に変わります。それまでは「sakimori order cancel」で止められ、いまの紙とカードを使います。\n"
               "前の世代は、新しい鍵でも開けます。前のカードと紙でも、前の世代はまだ開けます。変えても、取り上げることはできません。\n"
               "取りやめたときは、新しい紙とカードを燃やしてください",
            "taken: %s\nAfter seven days in which the box is on, the new keys hold.  Until then \"sakimori order cancel\" stops it, and the present sheet and card are used.\n"
            "Earlier generations open with the new keys too.  The old card and sheet still open earlier generations: a change takes nothing back.\n"
            "If it is cancelled, burn the new sheet and card")
        : T(c, "箱の返事がありません。%sこの紙とカードは捨てずに、sakimori order list で命令があるか見てください",
            "the box did not answer.  %sKeep this sheet and card, and look with sakimori order list whether the order is there"),
        e == CLI_OK ? cli_str(answer, "id") : "");
}

static int hand_in(struct cli *c, struct change *x, const char *password)
{
    json_t *body = json_object(), *a = NULL;
    if (!body)
        return CLI_FAILED;
    json_object_set_new(body, "order", json_stringn((const char *)x->text.p, x->text.n));
    put_hex(body, "sig", SM_SPAN(x->sig, sizeof x->sig));
    put_hex(body, "link", sm_buf_span(&x->link));
    put_hex(body, "escrow", sm_buf_span(&x->escrow));
    if (x->card) {
        put_hex(body, "wrap", sm_buf_span(&x->wrap));
        json_object_set_new(body, "password", json_string(password));
    }
    int e = cli_call_quiet(c, "POST", "/api/v1/recipients", body, &a);
    if (e != CLI_OK && anew_refused(a))
        cli_complain(c, a);
    else
        told(c, x, a, e);
    json_decref(a);
    return e;
}

static int make(struct cli *c, struct change *x, const json_t *now, const char *why)
{
    int e = sheet_read(c, x, now);
    char *password = e == CLI_OK && x->card ? cli_secret(c, "password", T(c, "院長のパスワード: ", "Director's password: ")) : NULL;
    if (e == CLI_OK && x->card && !password)
        e = CLI_USAGE;
    int r = e == CLI_OK ? keys_new(x) : 0;
    if (e == CLI_OK && !r && x->card)
        r = card_new(x, password);
    if (e == CLI_OK && !r)
        r = order_new(x, now, why);
    if (r < 0) {
        cli_note(c, T(c, "新しい鍵を作れません: %s", "the new keys could not be made: %s"), sm_errtext(r, c->ja));
        e = CLI_FAILED;
    }
    bool person = !c->json && cli_has_terminal();
    if (e == CLI_OK && x->sheet && person) {
        sheet_print(c, x);
        e = words_back(c, x);
        anew_clear();
    }
    if (e == CLI_OK)
        e = hand_in(c, x, password);
    cli_secret_free(password);
    return e;
}

/* Before anything is typed or shown: a second card would open nothing. */
static int none_waits(struct cli *c, const json_t *now)
{
    const char *id = cli_str(json_array_get(json_object_get(now, "waiting"), 0), "id");
    if (!*id)
        return CLI_OK;
    cli_note(c, T(c, "鍵を新しくする命令が、もう待っています(%s)。\nやり直すときは、先に止めてください: sakimori order cancel %s --why 理由",
        "an order for new keys is waiting already (%s).\nTo give another, cancel it first: sakimori order cancel %s --why TEXT"),
        id, id);
    return CLI_FAILED;
}

int cmd_recipients_change(struct cli *c)
{
    struct change x;
    json_t *now = NULL;
    const char *why = cli_opt(c, "why");
    change_init(&x);
    x.card = cli_flag(c, "card");
    x.sheet = cli_flag(c, "new-sheet");
    if (!x.card && !x.sheet) {
        cli_note(c, T(c, "--card か --new-sheet(両方でもよい)がいります", "--card or --new-sheet (or both) is needed"));
        return CLI_USAGE;
    }
    if (!why || !*why || strlen(why) > 200) {
        cli_note(c, T(c, "--why に理由がいります(200バイトまで)", "a reason is needed: --why TEXT (at most 200 bytes)"));
        return CLI_USAGE;
    }
    int e = cli_answers_load(c);
    if (e == CLI_OK)
        e = cli_call(c, "GET", "/api/v1/recipients", NULL, &now);
    if (e == CLI_OK)
        e = none_waits(c, now);
    if (e == CLI_OK)
        e = make(c, &x, now, why);
    json_decref(now);
    change_wipe(&x);
    return e;
}
