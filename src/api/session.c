/* Who is calling: cookies, tokens, device certificates; signing in and out; waiting after wrong tries. */
#include <errno.h>
#include "api/internal.h"
#include "crypto/hash.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/totp.h"

#define COOKIE "__Host-sakimori"
#define COOKIE_COUNTER "__Host-sakimori-counter"
#define SESSION_LONGEST_S (12 * 3600)
#define SESSION_IDLE_S (30 * 60)
#define SETUP_LONGEST_S (12 * 3600)
#define COUNTER_LONGEST_S ((int64_t)365 * 86400)
#define TOUCH_S 30
#define SESSIONS_OF_ONE 20

static void token_hash(const char *token, char ret[65])
{
    uint8_t h[CRYPTO_SHA256_LEN];
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/session"), SM_SPAN_STR(token) };
    crypto_sha256v(parts, 2, h);
    sm_hex(h, sizeof h, ret);
}

/* The cookie's value into ret (64 hex digits); false when absent or of another form. */
static bool cookie_get(const char *all, const char *name, char ret[72])
{
    size_t n = strlen(name);
    for (const char *p = all; p && *p; p = strchr(p, ';') ? strchr(p, ';') + 1 : NULL) {
        while (*p == ' ')
            p++;
        if (strncmp(p, name, n) != 0 || p[n] != '=')
            continue;
        const char *v = p + n + 1;
        size_t vn = strcspn(v, "; ");
        if (vn != 64 || strspn(v, "0123456789abcdef") != 64)
            return false;
        memcpy(ret, v, 64);
        ret[64] = 0;
        return true;
    }
    return false;
}

static void copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from); /* sizes are those of the table's limits */
}

static unsigned role_bit(const char *role)
{
    for (unsigned b = API_STAFF; b <= API_DIRECTOR; b <<= 1)
        if (!strcmp(api_caller_name(b), role))
            return b;
    return API_NOBODY;
}

static bool person_may(const json_t *row, int64_t now)
{
    int64_t until = api_int(row, "until_s", 0);
    return !api_bool(row, "removed") && (!until || until > now);
}

static int64_t idle_of(const json_t *row)
{
    const char *kind = api_str(row, "kind"), *role = api_str(row, "role");
    if (!strcmp(kind, "counter") || !strcmp(kind, "monitor"))
        return COUNTER_LONGEST_S;
    if (!strcmp(kind, "setup"))
        return SETUP_LONGEST_S;
    return !strcmp(role, "staff") || !strcmp(kind, "token") ? SESSION_LONGEST_S : SESSION_IDLE_S;
}

static bool by_token(struct api *a, const char *token, const char *want_kind, struct api_caller_info *ret)
{
    char hash[65];
    token_hash(token, hash);
    json_t *row = api_row(a, STATE_session_by_hash, STATE_ARGS(state_t(hash)));
    if (!row)
        return false;
    int64_t now = api_now(), last = api_int(row, "last_s", 0);
    const char *kind = api_str(row, "kind");
    bool counter = !strcmp(kind, "counter"), setup = !strcmp(kind, "setup"), monitor = !strcmp(kind, "monitor");
    /* A token of a monitoring system travels as a bearer token only, never as a cookie. */
    bool right = want_kind ? !strcmp(kind, want_kind) : !monitor;
    bool good = now < api_int(row, "ends_s", 0) && now - last < idle_of(row) && right;
    if (good && !counter && !setup && !monitor)
        good = person_may(row, now);
    if (good && setup)
        good = !api_setup_done(a);
    if (!good) {
        if (now >= api_int(row, "ends_s", 0) || now - last >= idle_of(row)) /* a clean-up; refused all the same */
            (void)!state_do(a->state, STATE_session_delete, STATE_ARGS(state_t(api_str(row, "id"))));
        json_decref(row);
        return false;
    }
    if (now - last >= TOUCH_S || now < last) /* not to be known is only an earlier end */
        (void)!state_do(a->state, STATE_session_touch, STATE_ARGS(state_i(now), state_t(api_str(row, "id"))));
    ret->bit = counter ? API_COUNTER : setup ? API_SETUP : monitor ? API_MONITOR : role_bit(api_str(row, "role"));
    copy(ret->person, sizeof ret->person, api_str(row, "person"));
    copy(ret->name, sizeof ret->name, api_str(row, "name"));
    copy(ret->account, sizeof ret->account, api_str(row, "account"));
    copy(ret->role, sizeof ret->role, api_str(row, "role"));
    copy(ret->session, sizeof ret->session, api_str(row, "id"));
    copy(ret->csrf, sizeof ret->csrf, api_str(row, "csrf"));
    copy(ret->kind, sizeof ret->kind, kind);
    if (api_int(row, "until_s", 0))
        sm_time_rfc3339((struct sm_time){ .s = api_int(row, "until_s", 0) }, ret->until);
    ret->must_change = api_bool(row, "must_change");
    json_decref(row);
    return true;
}

static void by_certificate(struct api *a, const json_t *req, struct api_caller_info *ret)
{
    ret->bit = API_STRANGER;
    const char *cert = api_str(json_object_get(req, "peer"), "cert_sha256");
    if (!api_is_hex(cert, 64))
        return;
    /* The CA signs both: which of the two a certificate is says its name, and the table that knows it. */
    if (!strncmp(api_str(json_object_get(req, "peer"), "cn"), PEER_CN, sizeof PEER_CN - 1)) {
        peer_by_certificate(a, cert, ret);
        return;
    }
    json_t *row = api_row(a, STATE_device_by_cert, STATE_ARGS(state_t(cert)));
    if (row && !strcmp(api_str(row, "state"), "joined") && api_int(row, "cert_until_s", 0) > api_now()) {
        ret->bit = API_DEVICE;
        copy(ret->device, sizeof ret->device, api_str(row, "id"));
        copy(ret->client, sizeof ret->client, api_str(row, "client"));
    }
    json_decref(row);
}

void session_find(struct api *a, const json_t *req, struct api_caller_info *ret)
{
    *ret = (struct api_caller_info){ .bit = API_NOBODY };
    const json_t *headers = json_object_get(req, "headers");
    const char *port = api_str(req, "port"), *bearer = api_str(headers, "authorization");
    copy(ret->remote, sizeof ret->remote, !strcmp(port, "local") ? "local" : api_str(req, "remote"));
    char token[72];
    if (!strcmp(port, "agent")) {
        by_certificate(a, req, ret);
    } else if (!strncmp(bearer, "Bearer ", 7)) {
        ret->bearer = strlen(bearer + 7) == 64 &&
            (by_token(a, bearer + 7, "token", ret) || by_token(a, bearer + 7, "monitor", ret));
    } else if (!cookie_get(api_str(headers, "cookie"), COOKIE, token) || !by_token(a, token, NULL, ret)) {
        if (cookie_get(api_str(headers, "cookie"), COOKIE_COUNTER, token))
            (void)by_token(a, token, "counter", ret); /* else nobody */
    }
    sm_zero(token, sizeof token);
}

void cookie_set(struct api_call *c, const char *name, const char *value, int64_t max_age_s)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%lld", name, value,
        (long long)max_age_s); /* fits: both are ours */
    if (!c->cookies)
        c->cookies = json_array();
    api_append(c->cookies, json_string(text));
    sm_zero(text, sizeof text);
}

int session_make(
    struct api_call *c, const char *kind, const char *person, const char *label, char ret_token[72], char ret_csrf[72])
{
    uint8_t raw[32];
    char id[API_ID_TEXT], hash[65];
    crypto_random(raw, sizeof raw);
    sm_hex(raw, sizeof raw, ret_token);
    crypto_random(raw, sizeof raw);
    sm_hex(raw, sizeof raw, ret_csrf);
    sm_zero(raw, sizeof raw);
    api_id(id);
    token_hash(ret_token, hash);
    bool counter = !strcmp(kind, "counter"), monitor = !strcmp(kind, "monitor");
    bool token = monitor || !strcmp(kind, "token");
    int64_t now = api_now(), ends = counter || monitor ? COUNTER_LONGEST_S : SESSION_LONGEST_S;
    int r = state_do(c->api->state, STATE_session_add,
        STATE_ARGS(state_t(hash), state_t(id), state_t(kind), state_t(person), state_t(ret_csrf), state_i(now),
            state_i(now), state_i(now + ends), state_t(c->who.remote), state_t(label)));
    if (r < 0)
        return r;
    if (person) /* old ones beyond the limit go; that they stay a while is no harm */
        (void)!state_do(
            c->api->state, STATE_sessions_trim, STATE_ARGS(state_t(person), state_t(person), state_i(SESSIONS_OF_ONE)));
    copy(c->who.session, sizeof c->who.session, id);
    copy(c->who.csrf, sizeof c->who.csrf, ret_csrf);
    copy(c->who.kind, sizeof c->who.kind, kind);
    if (!token)
        cookie_set(c, counter ? COOKIE_COUNTER : COOKIE, ret_token, ends);
    return 0;
}

void session_drop_person(struct api *a, const char *person, const char *but_session)
{
    json_t *rows = api_rows(a, STATE_sessions_of, STATE_ARGS(state_t(person)));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        const char *id = api_str(row, "id");
        if (but_session && !strcmp(id, but_session))
            continue;
        if (state_do(a->state, STATE_session_delete, STATE_ARGS(state_t(id))) >= 0 && a->cfg.ops.drop)
            a->cfg.ops.drop(a->cfg.ops.arg, id);
    }
    json_decref(rows);
}

static json_t *rooms_of(struct api *a, unsigned bit)
{
    static const struct { const char *room; unsigned who; } rooms[] = {
        { "today", API_COUNTER | API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR },
        { "restore", API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR },
        { "trouble", API_STAFF | API_MANAGER | API_DIRECTOR },
        { "machines", API_VENDOR | API_MANAGER | API_DIRECTOR },
        { "endpoint", API_VENDOR | API_MANAGER | API_DIRECTOR }, /* where a machine ever said that it has one */
        { "copies", API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR },
        { "retention", API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR },
        { "review", API_MANAGER | API_DIRECTOR },
        { "people", API_MANAGER | API_DIRECTOR }, { "access", API_MANAGER | API_DIRECTOR },
        { "settings", API_MANAGER | API_DIRECTOR }, { "audit", API_DIRECTOR },
        { "card", API_COUNTER | API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR },
    };
    json_t *list = json_array();
    bool guarded = state_number(a->state, STATE_endpoints_n, 0, STATE_NONE) > 0;
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        if ((rooms[i].who & bit) && (guarded || strcmp(rooms[i].room, "endpoint") != 0))
            api_append(list, json_string(rooms[i].room));
    return list;
}

json_t *session_json(struct api *a, const struct api_caller_info *who)
{
    json_t *inst = state_setting(a->state, "institution");
    json_t *person = json_null();
    if (who->person[0])
        person = json_pack("{s:s,s:s,s:s,s:s,s:o,s:b,s:b}", "id", who->person, "name", who->name, "account", who->account,
            "role", who->role, "until", who->until[0] ? json_string(who->until) : json_null(), "must_change",
            who->must_change, "needs_card",
            who->bit == API_DIRECTOR && !who->must_change && card_is_of(a, who->person));
    json_t *j = json_pack("{s:o,s:s,s:s,s:o,s:s,s:o,s:o}", "person", person, "csrf", who->csrf, "kind",
        !strcmp(who->kind, "token") ? "person" : who->kind, "institution", json_incref(json_object_get(inst, "name")),
        "language", api_language(a), "rooms", rooms_of(a, who->bit), "unlocked_until",
        api_unlocked(a) ? json_string(a->unlock.until) : json_null());
    if (!j) /* no institution yet */
        j = json_pack("{s:n,s:s,s:s,s:n,s:s,s:[],s:n}", "person", "csrf", who->csrf, "kind", who->kind, "institution",
            "language", api_language(a), "rooms", "unlocked_until");
    json_decref(inst);
    return j;
}

/* ---- wrong tries ---- */

int64_t fails_wait(struct api *a, const char *key)
{
    int64_t until = state_number(a->state, STATE_fail_until, 0, STATE_ARGS(state_t(key)));
    int64_t now = api_now();
    return until > now ? until - now : 0;
}

unsigned fails_add(struct api *a, const char *key, unsigned free_tries)
{
    int64_t now = api_now();
    int64_t n = state_number(a->state, STATE_fail_count, 0, STATE_ARGS(state_t(key), state_i(now - 86400))) + 1;
    int64_t wait = 0;
    if (n % free_tries == 0) {
        wait = 300;
        for (int64_t round = n / free_tries; round > 1 && wait < 3600; round--)
            wait *= 2;
        wait = wait > 3600 ? 3600 : wait;
    }
    /* If it cannot be kept the try itself was refused all the same. */
    (void)!state_do(
        a->state, STATE_fail_set, STATE_ARGS(state_t(key), state_i(n), state_i(wait ? now + wait : 0), state_i(now)));
    return (unsigned)(free_tries - (uint64_t)n % free_tries) % free_tries;
}

void fails_clear(struct api *a, const char *key)
{
    (void)!state_do(a->state, STATE_fail_clear, STATE_ARGS(state_t(key))); /* kept longer is only stricter */
}

/* ---- signing in ---- */

#define ACCOUNT_TRIES 5
#define ADDRESS_TRIES 20

struct sign_in {
    char password[CRYPTO_PASS_MAX + 1], stored[CRYPTO_PASS_TEXT], one_time[64], totp[32];
    struct crypto_once once;
    bool has_once, wants_once;
    int password_result, once_result;
    unsigned once_index;
    json_t *person;
    bool token;
    char account_key[160], address_key[96];
};

static void sign_in_free(struct sign_in *s)
{
    json_decref(s->person);
    sm_zero(s, sizeof *s);
    free(s);
}

static void sign_in_work(void *arg)
{
    struct sign_in *s = arg;
    s->password_result = crypto_pass_verify(SM_SPAN_STR(s->password), s->stored);
    s->once_result = -SM_EAUTH;
    if (s->password_result == 0 && s->wants_once && s->has_once)
        s->once_result = crypto_once_match(&s->once, s->one_time, &s->once_index);
}

static void sign_in_wrong(struct api_call *c, struct sign_in *s)
{
    unsigned left = fails_add(c->api, s->account_key, ACCOUNT_TRIES);
    (void)fails_add(c->api, s->address_key, ADDRESS_TRIES);
    if (left == 0 && s->person) { /* a name that exists: typed text never gets into an alarm */
        char key[160];
        (void)snprintf(key, sizeof key, "signin:%s", api_str(s->person, "account")); /* 64 at most */
        struct alarm_new x = { .kind = "signin",
            .state = "look",
            .key = key,
            .facts = json_pack("{s:s}", "what", api_str(s->person, "account")) };
        alarm_open(c->api, &x);
    }
    char n[16];
    (void)snprintf(n, sizeof n, "%u", left); /* fits */
    json_t *say = TEXT_SAY(c->lang, T_SIGN_IN_WRONG, n);
    api_fail_say(c, 401, "not_signed_in", NULL, json_string_value(say), json_pack("{s:i}", "tries_left", (int)left));
    json_decref(say);
}

/* The second factor: 1 good, 0 wrong, -1 was answered (asked for). */
static int second_factor(struct api_call *c, struct sign_in *s)
{
    if (!api_bool(s->person, "totp_on"))
        return 1;
    if (s->wants_once) {
        if (s->once_result < 0)
            return 0;
        char hex[2 * sizeof s->once + 1];
        crypto_once_use(&s->once, s->once_index);
        sm_hex(&s->once, sizeof s->once, hex);
        return state_do(c->api->state, STATE_person_once, STATE_ARGS(state_t(hex), state_t(api_str(s->person, "id")))) >
               0;
    }
    if (!s->totp[0]) {
        api_fail(c, 401, "totp_needed", "totp", NULL);
        return -1;
    }
    uint8_t secret[CRYPTO_TOTP_SECRET_LEN];
    uint64_t counter = 0;
    int r =
        sm_unhex(api_str(s->person, "totp_secret"), strlen(api_str(s->person, "totp_secret")), secret, sizeof secret);
    if (r == 0)
        r = crypto_totp_verify(SM_SPAN(secret, sizeof secret), s->totp, api_now(),
            (uint64_t)api_int(s->person, "totp_counter", 0), &counter);
    sm_zero(secret, sizeof secret);
    /* The used counter is on disk before it opens anything. */
    return r == 0 && state_do(c->api->state, STATE_person_counter, STATE_ARGS(state_i((int64_t)counter),
        state_t(api_str(s->person, "id")), state_i((int64_t)counter))) > 0;
}

static void signed_in(struct api_call *c, struct sign_in *s)
{
    char token[72], csrf[72];
    fails_clear(c->api, s->account_key);
    c->who = (struct api_caller_info){ .bit = role_bit(api_str(s->person, "role")),
        .must_change = api_bool(s->person, "must_change"),
        .bearer = s->token };
    copy(c->who.remote, sizeof c->who.remote,
        !strcmp(api_str(c->req, "port"), "local") ? "local" : api_str(c->req, "remote"));
    copy(c->who.person, sizeof c->who.person, api_str(s->person, "id"));
    copy(c->who.name, sizeof c->who.name, api_str(s->person, "name"));
    copy(c->who.account, sizeof c->who.account, api_str(s->person, "account"));
    copy(c->who.role, sizeof c->who.role, api_str(s->person, "role"));
    if (api_int(s->person, "until_s", 0))
        sm_time_rfc3339((struct sm_time){ .s = api_int(s->person, "until_s", 0) }, c->who.until);
    int r = session_make(c, s->token ? "token" : "person", c->who.person, NULL, token, csrf);
    if (r == 0)
        r = state_do(c->api->state, STATE_person_seen, STATE_ARGS(state_i(api_now()), state_t(c->who.person)));
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    json_t *j = json_pack("{s:o}", "session", session_json(c->api, &c->who));
    if (s->token)
        api_set(j, "token", json_string(token));
    sm_zero(token, sizeof token);
    api_reply(c, 200, j);
}

static void sign_in_then(struct api_call *c, void *ctx)
{
    struct sign_in *s = ctx;
    if (!c) {
        sign_in_free(s);
        return;
    }
    if (s->password_result == -SM_ECANCEL) {
        api_fail_err(c, -SM_EAGAIN, NULL);
        sign_in_free(s);
        return;
    }
    bool good = s->password_result == 0 && s->person && person_may(s->person, api_now());
    int second = good ? second_factor(c, s) : 0;
    if (second == 0)
        sign_in_wrong(c, s);
    else if (second > 0)
        signed_in(c, s);
    sign_in_free(s);
}

/* The same work for accounts that do not exist, so that time tells nothing. */
static void stored_or_dummy(struct sign_in *s)
{
    static const char dummy[] = "$argon2id$v=19$m=65536,t=3,p=1$c2FraW1vcmlzYWtpbW9yaQ$"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    copy(s->stored, sizeof s->stored, s->person ? api_str(s->person, "pass") : dummy);
    const char *once = api_str(s->person, "once");
    s->has_once = *once && sm_unhex(once, strlen(once), &s->once, sizeof s->once) == 0;
}

static bool sign_in_waits(struct api_call *c, struct sign_in *s)
{
    int64_t wait = fails_wait(c->api, s->account_key), other = fails_wait(c->api, s->address_key);
    wait = wait > other ? wait : other;
    if (!wait)
        return false;
    char n[24];
    (void)snprintf(n, sizeof n, "%lld", (long long)(wait + 59) / 60); /* fits */
    json_t *say = TEXT_SAY(c->lang, T_LOCKED_WAIT, n);
    api_fail_say(c, 423, "locked", NULL, json_string_value(say), json_pack("{s:I}", "wait_s", (json_int_t)wait));
    json_decref(say);
    return true;
}

void h_session_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *account = sm_obj_str(&o, "account", 1, 64), *password = sm_obj_str(&o, "password", 1, CRYPTO_PASS_MAX);
    const char *totp = sm_obj_str_opt(&o, "totp", 31), *once = sm_obj_str_opt(&o, "one_time", 63);
    bool token = sm_obj_bool(&o, "token", false);
    if (api_refused(c, &o))
        return;
    struct sign_in *s = calloc(1, sizeof *s);
    if (!s) {
        api_fail_err(c, -ENOMEM, NULL);
        return;
    }
    api_audit_what(c, "%s", account);
    copy(s->password, sizeof s->password, password);
    copy(s->totp, sizeof s->totp, totp ? totp : "");
    copy(s->one_time, sizeof s->one_time, once ? once : "");
    s->wants_once = s->one_time[0];
    s->token = token;
    (void)snprintf(s->account_key, sizeof s->account_key, "a:%s", account);            /* fits: 64 */
    (void)snprintf(s->address_key, sizeof s->address_key, "r:%s", c->who.remote);      /* fits: 72 */
    if (sign_in_waits(c, s)) {
        sign_in_free(s);
        return;
    }
    s->person = api_row(c->api, STATE_person_by_account, STATE_ARGS(state_t(account)));
    stored_or_dummy(s);
    s->password_result = -SM_ECANCEL; /* what a job that never ran leaves behind */
    api_work(c, sign_in_work, s, sign_in_then);
}

void h_session_get(struct api_call *c)
{
    if (c->who.bit == API_NOBODY)
        api_fail(c, 401, "not_signed_in", NULL, NULL);
    else
        api_reply(c, 200, session_json(c->api, &c->who));
}

void h_session_delete(struct api_call *c)
{
    if (!api_do(c, STATE_session_delete, STATE_ARGS(state_t(c->who.session))))
        return;
    if (c->api->cfg.ops.drop)
        c->api->cfg.ops.drop(c->api->cfg.ops.arg, c->who.session);
    cookie_set(c, COOKIE, "", 0);
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

/* ---- own password ---- */

struct change {
    char old[CRYPTO_PASS_MAX + 1], new[CRYPTO_PASS_MAX + 1], stored[CRYPTO_PASS_TEXT], made[CRYPTO_PASS_TEXT],
        card[128];
    struct crypto_pass_cost cost;
    int old_result, new_result;
};

static void change_work(void *arg)
{
    struct change *x = arg;
    x->old_result = crypto_pass_verify(SM_SPAN_STR(x->old), x->stored);
    x->new_result = x->old_result == 0 ? crypto_pass_hash(SM_SPAN_STR(x->new), &x->cost, x->made) : x->old_result;
}

static void change_free(struct change *x)
{
    sm_zero(x, sizeof *x);
    free(x);
}

static void change_store(struct api_call *c)
{
    if (!api_do(
            c, STATE_person_password, STATE_ARGS(state_t(api_str(c->mem, "made")), state_i(0), state_t(c->who.person))))
        return;
    session_drop_person(c->api, c->who.person, c->who.session);
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

static void change_rekeyed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_EAUTH) {
        api_fail(c, 422, "password", "card", NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    card_fits(c->api, c->who.person);
    change_store(c);
}

void password_wrong(struct api_call *c, const char *field, unsigned left)
{
    char n[16];
    (void)snprintf(n, sizeof n, "%u", left); /* fits */
    json_t *say = TEXT_SAY(c->lang, T_PASSWORD_WRONG, n);
    api_fail_say(c, 422, "password", field, json_string_value(say), json_pack("{s:i}", "tries_left", (int)left));
    json_decref(say);
}

static void change_then(struct api_call *c, void *ctx)
{
    struct change *x = ctx;
    if (!c) {
        change_free(x);
        return;
    }
    char key[160];
    (void)snprintf(key, sizeof key, "p:%s", c->who.person); /* fits */
    if (x->old_result == -SM_ECANCEL) {
        api_fail_err(c, -SM_EAGAIN, NULL);
    } else if (x->old_result < 0) {
        unsigned left = fails_add(c->api, key, ACCOUNT_TRIES);
        password_wrong(c, "old", left);
    } else if (x->new_result < 0) {
        api_fail_err(c, x->new_result, NULL);
    } else {
        fails_clear(c->api, key);
        api_set(c->mem, "made", json_string(x->made));
        if (x->card[0])
            api_ask(c, "K_REKEY_PASSWORD", json_pack("{s:s,s:s,s:s}", "old", x->old, "new", x->new, "card", x->card),
                change_rekeyed);
        else
            change_store(c);
    }
    change_free(x);
}

const char *pass_reason_word(int reason)
{
    switch ((enum crypto_pass_reason)reason) {
    case CRYPTO_PASS_SHORT_8: case CRYPTO_PASS_SHORT_13: return "short";
    case CRYPTO_PASS_NO_LETTER: case CRYPTO_PASS_NO_DIGIT: return "letters_digits";
    case CRYPTO_PASS_HAS_ACCOUNT: case CRYPTO_PASS_HAS_INSTITUTION: return "contains_name";
    default: return "banned";
    }
}

bool password_rules(struct api_call *c, const char *field, const char *account, const char *password, bool second)
{
    json_t *inst = state_setting(c->api->state, "institution");
    enum crypto_pass_reason why = crypto_pass_check(SM_SPAN_STR(password), second, account, api_str(inst, "name"));
    json_decref(inst);
    if (why == CRYPTO_PASS_GOOD)
        return true;
    const char *name = crypto_pass_reason_name(why);
    char key[48];
    (void)snprintf(key, sizeof key, "PASS_%s", name); /* fits */
    const char *say = text_named(c->lang, key);
    api_fail_say(c, 422, "password", field, say ? say : text_get(c->lang, T_PASSWORD_BAD),
        json_pack("{s:s}", "reason", pass_reason_word((int)why)));
    return false;
}

void h_session_password(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *old = sm_obj_str(&o, "old", 1, CRYPTO_PASS_MAX), *new = sm_obj_str(&o, "new", 1, CRYPTO_PASS_MAX);
    const char *card = sm_obj_str_opt(&o, "card", 127);
    if (api_refused(c, &o))
        return;
    char key[160];
    (void)snprintf(key, sizeof key, "p:%s", c->who.person); /* fits */
    int64_t wait = fails_wait(c->api, key);
    json_t *p = api_row(c->api, STATE_person, STATE_ARGS(state_t(c->who.person)));
    if (wait || !p) {
        json_decref(p);
        api_fail(c, 423, "locked", NULL, json_pack("{s:I}", "wait_s", (json_int_t)wait));
        return;
    }
    bool second = api_bool(p, "totp_on"), needs_card = c->who.bit == API_DIRECTOR && !c->who.must_change && card_is_of(c->api, c->who.person);
    struct change *x = calloc(1, sizeof *x);
    if (!x || !password_rules(c, "new", c->who.account, new, second)) {
        if (!x)
            api_fail_err(c, -ENOMEM, NULL);
        free(x);
        json_decref(p);
        return;
    }
    copy(x->old, sizeof x->old, old);
    copy(x->new, sizeof x->new, new);
    copy(x->card, sizeof x->card, card && needs_card ? card : ""); /* a card that is not theirs stays as it is */
    copy(x->stored, sizeof x->stored, api_str(p, "pass"));
    json_decref(p);
    x->old_result = x->new_result = -SM_ECANCEL; /* what a job that never ran leaves behind */
    x->cost = crypto_pass_sign_in;
    if (c->api->cfg.pass_memory_kib)
        x->cost.memory_kib = c->api->cfg.pass_memory_kib;
    if (needs_card && !x->card[0]) {
        change_free(x);
        api_fail(c, 422, "password", "card", NULL);
        return;
    }
    api_work(c, change_work, x, change_then);
}
