/* The ways back with the recovery sheet: into a director's account with its *orders* half, and to a new restore card.
 * The *open* half never comes here: the card is made where the sheet is typed, and only its wrap is sent. */
#include <errno.h>
#include "api/internal.h"
#include "crypto/hash.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/totp.h"

#define ADDRESS_TRIES 5
#define NETWORK_TRIES 20
#define WRAP_HEX_MAX 1024

/* ---- whose password the card opens with ---- */

static void card_store(struct api *a, const char *person, bool fits)
{
    json_t *v = json_pack("{s:s,s:b}", "person", person, "fits", fits);
    int r = v ? state_set(a->state, "restore_card", v) : -ENOMEM;
    json_decref(v);
    if (r == 0 && fits)
        alarm_close_key(a, "card", "");
    card_tick(a);
}

void card_fits(struct api *a, const char *person)
{
    card_store(a, person, true);
}

bool card_is_of(struct api *a, const char *person)
{
    json_t *v = state_setting(a->state, "restore_card");
    const char *of = api_str(v, "person");
    /* A box of an older version does not know: then it may be anybody's. */
    bool mine = !v || (api_bool(v, "fits") && (!*of || !strcmp(of, person)));
    json_decref(v);
    return mine;
}

void card_orphaned(struct api *a, const char *person)
{
    json_t *v = state_setting(a->state, "restore_card"), *p = api_row(a, STATE_person_ever, STATE_ARGS(state_t(person)));
    bool known = *api_str(v, "person"), theirs = !strcmp(api_str(v, "person"), person);
    bool director = !strcmp(api_str(p, "role"), "director");
    json_decref(v);
    json_decref(p);
    if (known ? theirs : director)
        card_store(a, known ? person : "", false);
}

void card_unlocked(struct api *a, const char *person)
{
    json_t *v = state_setting(a->state, "restore_card");
    bool unknown = !*api_str(v, "person");
    json_decref(v);
    /* A box of an older version did not keep whose it was: it opened with some director's password, theirs if there is
     * only one. */
    if (unknown)
        card_fits(a, state_number(a->state, STATE_directors, 0, STATE_NONE) == 1 ? person : "");
}

void card_tick(struct api *a)
{
    json_t *v = state_setting(a->state, "restore_card");
    bool missing = v && !api_bool(v, "fits");
    json_decref(v);
    if (!missing || state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("card"))) > 0)
        return;
    struct alarm_new n = { .kind = "card", .state = "look", .key = "card" };
    alarm_open(a, &n);
}

/* ---- the proof ---- */

static void challenge_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    api_reply(c, 200,
        json_pack("{s:s,s:s}", "challenge", api_str(j, "challenge"), "vault", api_str(c->api->keys, "vault")));
    json_decref(j);
}

void h_sheet_challenge(struct api_call *c)
{
    api_ask(c, "K_CHALLENGE", json_object(), challenge_got);
}

static void address_key(const struct api_call *c, char ret[96])
{
    (void)snprintf(ret, 96, "sheet:%s", c->who.remote); /* fits: 72 */
}

/* Nobody on the network can keep the person at the box's own terminal out. */
static bool sheet_waits(struct api_call *c)
{
    char key[96];
    address_key(c, key);
    int64_t wait = fails_wait(c->api, key), all = strcmp(c->who.remote, "local") ? fails_wait(c->api, "sheet-net") : 0;
    wait = wait > all ? wait : all;
    if (!wait)
        return false;
    char n[24];
    (void)snprintf(n, sizeof n, "%lld", (long long)(wait + 59) / 60); /* fits */
    json_t *say = TEXT_SAY(c->lang, T_LOCKED_WAIT, n);
    api_fail_say(c, 423, "locked", NULL, json_string_value(say), json_pack("{s:I}", "wait_s", (json_int_t)wait));
    json_decref(say);
    return true;
}

static void sheet_wrong(struct api_call *c, const char *field)
{
    char key[96];
    address_key(c, key);
    unsigned left = fails_add(c->api, key, ADDRESS_TRIES);
    if (strcmp(c->who.remote, "local"))
        (void)fails_add(c->api, "sheet-net", NETWORK_TRIES);
    if (left == 0) {
        struct alarm_new n = { .kind = "sheet", .state = "look", .key = "sheet",
            .facts = json_pack("{s:s}", "from", c->who.remote) };
        alarm_open(c->api, &n);
    }
    api_fail_say(c, 403, "denied", field, text_get(c->lang, T_SHEET_WRONG),
        json_pack("{s:i}", "tries_left", (int)left));
}

/* True when the sheet was at hand; else it was answered. */
static bool sheet_proved(struct api_call *c, int err, struct sm_span body, const char *text, const char *field)
{
    char key[96];
    if (err == -SM_EMISMATCH && !strcmp(field, "sig")) {
        api_fail_say(c, 409, "conflict", "challenge", text_get(c->lang, T_SHEET_OVER), NULL);
        return false;
    }
    if (err == -SM_EAUTH || err == -SM_ENOTFOUND || err == -SM_EINVAL || err == -SM_EMISMATCH || err == -SM_EFORMAT) {
        sheet_wrong(c, field);
        return false;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return false;
    json_decref(j);
    address_key(c, key);
    fails_clear(c->api, key);
    return true;
}

/* ---- into a director's account ---- */

struct anew {
    char password[CRYPTO_PASS_MAX + 1], hash[CRYPTO_PASS_TEXT], codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE],
        secret[2 * CRYPTO_TOTP_SECRET_LEN + 1];
    struct crypto_once once;
    struct crypto_pass_cost cost;
    int result;
};

static void anew_free(struct anew *x)
{
    sm_zero(x, sizeof *x);
    free(x);
}

static void anew_work(void *arg)
{
    struct anew *x = arg;
    x->result = crypto_pass_hash(SM_SPAN_STR(x->password), &x->cost, x->hash);
    if (x->result == 0)
        x->result = crypto_once_new(&x->once, x->codes);
}

static int anew_store(struct api *a, const char *id, const struct anew *x)
{
    char hex[2 * sizeof x->once + 1];
    sm_hex(&x->once, sizeof x->once, hex);
    int r = state_begin(a->state);
    if (r < 0)
        return r;
    r = state_do(a->state, STATE_person_reset,
        STATE_ARGS(state_t(x->hash), state_t(x->secret), state_i(1), state_t(hex), state_t(id)));
    if (r > 0) /* chosen by the person, not handed out */
        r = state_do(a->state, STATE_person_password, STATE_ARGS(state_t(x->hash), state_i(0), state_t(id)));
    sm_zero(hex, sizeof hex);
    int e = state_end(a->state, r > 0);
    return r < 0 ? r : r == 0 ? -SM_ENOTFOUND : e;
}

static void anew_told(struct api_call *c, const char *id, const char *account)
{
    struct api *a = c->api;
    char key[160];
    (void)snprintf(key, sizeof key, "a:%s", account); /* accounts have at most 64 */
    fails_clear(a, key);
    session_drop_person(a, id, NULL);
    if (!strcmp(a->unlock.by, id))
        api_lock(a, "recovered");
    access_note(a, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "what", "recovery", "who", account, "role", "director", "from",
                       c->who.remote, "why", "recovery sheet", "result", "ok"));
    (void)snprintf(key, sizeof key, "recovered:%s", account); /* fits */
    struct alarm_new n = { .kind = "recovered", .state = "look", .key = key,
        .facts = json_pack("{s:s,s:s}", "what", account, "from", c->who.remote) };
    alarm_open(a, &n);
    card_orphaned(a, id);
}

static void anew_then(struct api_call *c, void *ctx)
{
    struct anew *x = ctx;
    if (!c) {
        anew_free(x);
        return;
    }
    const char *id = api_str(c->mem, "id"), *account = api_str(c->mem, "account");
    int r = x->result == -SM_ECANCEL ? -SM_EAGAIN : x->result;
    if (r == 0)
        r = anew_store(c->api, id, x);
    if (r < 0) {
        api_fail_err(c, r, NULL);
    } else {
        anew_told(c, id, account);
        json_t *j = json_pack("{s:s,s:b}", "account", account, "card_fits", card_is_of(c->api, id));
        person_paper(j, account, x->secret, x->codes);
        api_reply(c, 200, j);
    }
    anew_free(x);
}

static json_t *directors_names(struct api *a)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    json_t *rows = api_rows(a, STATE_people, STATE_NONE), *row;
    size_t i;
    int r = 0;
    json_array_foreach(rows, i, row)
        if (r >= 0 && !strcmp(api_str(row, "role"), "director"))
            r = sm_buf_printf(&b, "%s%s", b.n ? ", " : "", api_str(row, "account"));
    json_decref(rows);
    json_t *names = json_string(b.n ? sm_buf_str(&b) : "");
    sm_buf_wipe(&b);
    return names ? names : json_string("");
}

static void recovery_proved(struct api_call *c, int err, struct sm_span body, const char *text)
{
    const char *account = api_str(c->body, "account"), *password = api_str(c->body, "password");
    if (!sheet_proved(c, err, body, text, *api_str(c->body, "words") ? "words" : "sig"))
        return;
    json_t *p = api_row(c->api, STATE_person_by_account, STATE_ARGS(state_t(account)));
    if (strcmp(api_str(p, "role"), "director") != 0) {
        /* Whoever has the sheet may know the directors' names: the own one is easily forgotten with the rest. */
        json_t *names = directors_names(c->api), *say = TEXT_SAY(c->lang, T_SHEET_NO_DIRECTOR, json_string_value(names));
        api_fail_say(c, 422, "bad_request", "account", json_string_value(say), NULL);
        json_decref(names);
        json_decref(say);
        json_decref(p);
        return;
    }
    api_set(c->mem, "id", json_string(api_str(p, "id")));
    api_set(c->mem, "account", json_string(api_str(p, "account")));
    json_decref(p);
    if (!password_rules(c, "password", account, password, true))
        return;
    struct anew *x = calloc(1, sizeof *x);
    uint8_t secret[CRYPTO_TOTP_SECRET_LEN];
    if (!x) {
        api_fail_err(c, -ENOMEM, NULL);
        return;
    }
    (void)snprintf(x->password, sizeof x->password, "%s", password); /* checked in the body */
    crypto_random(secret, sizeof secret);
    sm_hex(secret, sizeof secret, x->secret);
    sm_zero(secret, sizeof secret);
    x->cost = crypto_pass_sign_in;
    if (c->api->cfg.pass_memory_kib)
        x->cost.memory_kib = c->api->cfg.pass_memory_kib;
    x->result = -SM_ECANCEL; /* what a job that never ran leaves behind */
    api_work(c, anew_work, x, anew_then);
}

/* The proof holds for this account and this password: nobody in between can put another one in. */
static void account_hash(const char *account, const char *password, char ret[65])
{
    uint8_t h[CRYPTO_SHA256_LEN];
    const struct sm_span parts[] = { SM_SPAN_STR(account), SM_SPAN("\0", 1), SM_SPAN_STR(password) };
    crypto_sha256v(parts, 3, h);
    sm_hex(h, sizeof h, ret);
}

void h_recovery(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *account = sm_obj_str(&o, "account", 1, 64), *password = sm_obj_str(&o, "password", 1, CRYPTO_PASS_MAX);
    const char *words = sm_obj_str_opt(&o, "words", 4000), *challenge = sm_obj_str_opt(&o, "challenge", 64),
               *sig = sm_obj_str_opt(&o, "sig", 128);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s", account);
    if (!api_setup_done(c->api)) {
        api_fail(c, 409, "setup_needed", NULL, NULL);
        return;
    }
    bool typed = words && *words, signs = challenge && sig && api_is_hex(challenge, 64) && api_is_hex(sig, 128);
    if (typed == signs) {
        api_fail(c, 400, "bad_request", typed ? "sig" : "words", NULL);
        return;
    }
    if (sheet_waits(c))
        return;
    char over[65];
    account_hash(account, password, over);
    api_ask(c, "K_CHECK_SHEET",
        typed ? json_pack("{s:s}", "words", words)
              : json_pack("{s:s,s:s,s:s,s:s}", "challenge", challenge, "act", "person", "over", over, "sig", sig),
        recovery_proved);
}

/* ---- a new restore card ---- */

static void restore_card_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    if (err != -SM_ENOTFOUND && !(j = api_answer(c, err, body, text)))
        return;
    json_t *v = state_setting(c->api->state, "restore_card");
    api_reply(c, 200,
        json_pack("{s:o,s:s,s:b,s:b}", "escrow", j ? json_string(api_str(j, "escrow")) : json_null(), "vault",
            api_str(c->api->keys, "vault"), "fits", !v || api_bool(v, "fits"), "mine",
            card_is_of(c->api, c->who.person)));
    json_decref(v);
    json_decref(j);
}

void h_restore_card_get(struct api_call *c)
{
    api_ask(c, "K_ESCROW", json_object(), restore_card_got);
}

struct owner {
    char password[CRYPTO_PASS_MAX + 1], stored[CRYPTO_PASS_TEXT];
    int result;
    void (*then)(struct api_call *c);
};

static void owner_free(struct owner *x)
{
    sm_zero(x, sizeof *x);
    free(x);
}

static void owner_work(void *arg)
{
    struct owner *x = arg;
    x->result = crypto_pass_verify(SM_SPAN_STR(x->password), x->stored);
}

/* The old card is gone by now: that the vault could not note it must not keep the new one from its owner.  The audit
 * log has it in any case. */
static void card_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    (void)err;
    (void)body;
    (void)text;
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

static void card_made(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_EDENIED || err == -SM_ELIMIT || err == -SM_EVERSION || err == -SM_EFORMAT || err == -SM_EINVAL) {
        api_fail_say(c, 422, "bad_request", "wrap", text_get(c->lang, T_CARD_WRONG_KEY), NULL);
        return;
    }
    if (!sheet_proved(c, err, body, text, "sig"))
        return;
    card_fits(c->api, c->who.person);
    api_lock(c->api, "new card");
    api_event(c->api, "today", "", json_object());
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "what", "card", "who", c->who.account, "role", c->who.role, "from",
            c->who.remote, "why", "recovery sheet", "result", "ok"),
        card_noted);
}

static void owner_then(struct api_call *c, void *ctx)
{
    struct owner *x = ctx;
    if (!c) {
        owner_free(x);
        return;
    }
    char key[160];
    (void)snprintf(key, sizeof key, "p:%s", c->who.person); /* fits */
    if (x->result == -SM_ECANCEL) {
        api_fail_err(c, -SM_EAGAIN, NULL);
    } else if (x->result < 0) {
        unsigned left = fails_add(c->api, key, ADDRESS_TRIES);
        password_wrong(c, "password", left);
    } else {
        fails_clear(c->api, key);
        x->then(c);
    }
    owner_free(x);
}

void owner_check(struct api_call *c, const char *password, void (*then)(struct api_call *c))
{
    char key[160];
    (void)snprintf(key, sizeof key, "p:%s", c->who.person); /* fits */
    int64_t wait = fails_wait(c->api, key);
    if (wait) {
        api_fail(c, 423, "locked", NULL, json_pack("{s:I}", "wait_s", (json_int_t)wait));
        return;
    }
    json_t *p = api_row(c->api, STATE_person, STATE_ARGS(state_t(c->who.person)));
    struct owner *x = p ? calloc(1, sizeof *x) : NULL;
    if (x) {
        (void)snprintf(x->password, sizeof x->password, "%s", password);      /* checked above */
        (void)snprintf(x->stored, sizeof x->stored, "%s", api_str(p, "pass")); /* made by crypto_pass_hash */
        x->then = then;
        x->result = -SM_ECANCEL; /* what a job that never ran leaves behind */
        api_work(c, owner_work, x, owner_then);
    } else {
        api_fail_err(c, p ? -ENOMEM : -SM_ENOTFOUND, NULL);
    }
    json_decref(p);
}

static void card_ask(struct api_call *c)
{
    api_ask(c, "K_CARD_NEW",
        json_pack("{s:O,s:O,s:O}", "wrap", json_object_get(c->body, "wrap"), "challenge",
            json_object_get(c->body, "challenge"), "sig", json_object_get(c->body, "sig")),
        card_made);
}

/* The password is asked for once more: a card under a mistyped one would open nothing. */
void h_restore_card_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *password = sm_obj_str(&o, "password", 1, CRYPTO_PASS_MAX), *wrap = sm_obj_str(&o, "wrap", 1, WRAP_HEX_MAX);
    const char *challenge = sm_obj_str(&o, "challenge", 64, 64), *sig = sm_obj_str(&o, "sig", 128, 128);
    if (api_refused(c, &o))
        return;
    if (!api_is_hex(wrap, strlen(wrap)) || !api_is_hex(challenge, 64) || !api_is_hex(sig, 128)) {
        api_fail(c, 400, "bad_request", "wrap", NULL);
        return;
    }
    if (!sheet_waits(c))
        owner_check(c, password, card_ask);
}
