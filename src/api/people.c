/* People: made with a first password that must be changed, reset, ended; counters; who did what. */
#include <errno.h>
#include <unistd.h>
#include "api/internal.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/totp.h"

static json_t *person_json(struct api *a, const json_t *row)
{
    char key[160];
    (void)snprintf(key, sizeof key, "a:%s", api_str(row, "account")); /* accounts have at most 64 */
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:b,s:b,s:b,s:o}", "id", api_str(row, "id"), "account",
        api_str(row, "account"), "name", api_str(row, "name"), "role", api_str(row, "role"), "until",
        api_time(api_int(row, "until_s", 0)), "totp", api_bool(row, "totp_on"), "locked", fails_wait(a, key) > 0,
        "must_change", api_bool(row, "must_change"), "last_sign_in", api_time(api_int(row, "last_s", 0)));
}

void h_people(struct api_call *c)
{
    json_t *rows = api_rows(c->api, STATE_people, STATE_NONE), *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, person_json(c->api, row));
    json_decref(rows);
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", items, "next"));
}

struct fresh {
    char first[32], hash[CRYPTO_PASS_TEXT], codes[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE],
        secret[2 * CRYPTO_TOTP_SECRET_LEN + 1];
    struct crypto_once once;
    struct crypto_pass_cost cost;
    bool totp, reset;
    int result;
};

static void fresh_work(void *arg)
{
    struct fresh *f = arg;
    f->result = crypto_pass_hash(SM_SPAN_STR(f->first), &f->cost, f->hash);
    if (f->result == 0 && f->totp)
        f->result = crypto_once_new(&f->once, f->codes);
}

static void fresh_free(struct fresh *f)
{
    sm_zero(f, sizeof *f);
    free(f);
}

static struct fresh *fresh_new(struct api *a, bool totp)
{
    struct fresh *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    uint8_t secret[CRYPTO_TOTP_SECRET_LEN];
    crypto_code_new(16, 4, f->first);
    crypto_random(secret, sizeof secret);
    sm_hex(secret, sizeof secret, f->secret);
    sm_zero(secret, sizeof secret);
    f->totp = totp;
    f->result = -SM_ECANCEL; /* what a job that never ran leaves behind */
    f->cost = crypto_pass_sign_in;
    if (a->cfg.pass_memory_kib)
        f->cost.memory_kib = a->cfg.pass_memory_kib;
    return f;
}

void person_paper(json_t *j, const char *account, const char *secret_hex, char codes[][CRYPTO_ONCE_CODE])
{
    uint8_t secret[CRYPTO_TOTP_SECRET_LEN];
    struct sm_buf b32 = SM_BUF_INIT(128), uri = SM_BUF_INIT(4096);
    if (sm_unhex(secret_hex, strlen(secret_hex), secret, sizeof secret) == 0 &&
        sm_base32(SM_SPAN(secret, sizeof secret), &b32) == 0 &&
        crypto_totp_uri(SM_SPAN(secret, sizeof secret), "Sakimori", account, &uri) == 0) {
        api_set(j, "totp_secret", json_stringn((const char *)b32.p, b32.n));
        api_set(j, "totp_uri", json_stringn((const char *)uri.p, uri.n));
        api_set(j, "totp_qr_svg", qr_svg(sm_buf_str(&uri)));
    }
    json_t *list = json_array();
    for (unsigned i = 0; i < CRYPTO_ONCE_CODES; i++)
        api_append(list, json_string(codes[i]));
    api_set(j, "codes", list);
    sm_zero(secret, sizeof secret);
    sm_buf_wipe(&b32);
    sm_buf_wipe(&uri);
}

/* What the person gets on paper, once. */
static json_t *fresh_json(struct fresh *f, const char *id, const char *account)
{
    json_t *j = json_pack("{s:s,s:s,s:s}", "id", id, "account", account, "first_password", f->first);
    if (f->totp)
        person_paper(j, account, f->secret, f->codes);
    return j;
}

static void fresh_then(struct api_call *c, void *ctx)
{
    struct fresh *f = ctx;
    if (!c) {
        fresh_free(f);
        return;
    }
    char hex[2 * sizeof f->once + 1];
    sm_hex(&f->once, sizeof f->once, hex);
    const json_t *m = c->mem;
    const char *id = api_str(m, "id"), *account = api_str(m, "account");
    int r = f->result;
    if (r == 0 && f->reset)
        r = state_do(c->api->state, STATE_person_reset,
            STATE_ARGS(state_t(f->hash), state_t(f->totp ? f->secret : NULL), state_i(f->totp),
                state_t(f->totp ? hex : NULL), state_t(id)));
    else if (r == 0)
        r = state_do(c->api->state, STATE_person_add,
            STATE_ARGS(state_t(id), state_t(account), state_t(api_str(m, "name")), state_t(api_str(m, "role")),
                state_i(api_int(m, "until_s", 0)), state_t(f->hash), state_i(1), state_t(f->totp ? f->secret : NULL),
                state_i(f->totp), state_t(f->totp ? hex : NULL), state_i(api_now())));
    if (r < 0) {
        api_fail_err(c, r, NULL);
    } else {
        char key[160];
        (void)snprintf(key, sizeof key, "a:%s", account); /* fits */
        fails_clear(c->api, key);
        session_drop_person(c->api, id, NULL);
        if (f->reset)
            card_orphaned(c->api, id); /* it is wrapped under the password that is gone */
        api_reply(c, f->reset ? 200 : 201, fresh_json(f, id, account));
    }
    fresh_free(f);
}

static bool role_good(struct api_call *c, const char *role)
{
    bool known =
        !strcmp(role, "director") || !strcmp(role, "manager") || !strcmp(role, "staff") || !strcmp(role, "vendor");
    if (!known)
        api_fail(c, 400, "bad_request", "role", NULL);
    else if (!strcmp(role, "director") && c->who.bit != API_DIRECTOR)
        api_fail(c, 403, "denied", "role", NULL);
    else
        return true;
    return false;
}

void h_person_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *account = sm_obj_str(&o, "account", 2, 64), *name = sm_obj_str(&o, "name", 1, 200),
               *role = sm_obj_str(&o, "role", 1, 16);
    const char *until = sm_obj_str_opt(&o, "until", 40);
    bool staff = !strcmp(role, "staff"), totp = sm_obj_bool(&o, "totp", true);
    if (api_refused(c, &o) || !role_good(c, role))
        return;
    int64_t until_s = api_time_s(until);
    size_t n = strlen(account);
    bool plain = strspn(account, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") == n;
    /* A vendor's access always ends. */
    const char *bad = !plain                                    ? "account"
                      : until && *until && until_s <= api_now() ? "until"
                      : !strcmp(role, "vendor") && !until_s     ? "until"
                      : !totp && !staff                         ? "totp"
                                                                : NULL;
    json_t *there = api_row(c->api, STATE_person_by_account_any, STATE_ARGS(state_t(account)));
    struct fresh *f = bad || there ? NULL : fresh_new(c->api, totp);
    api_audit_what(c, "%s %s", account, role);
    if (bad)
        api_fail(c, 400, "bad_request", bad, NULL);
    else if (there)
        api_fail(c, 409, "conflict", "account", NULL);
    else if (!f)
        api_fail_err(c, -ENOMEM, NULL);
    json_decref(there);
    if (!f)
        return;
    char id[API_ID_TEXT];
    api_id(id);
    c->mem = (json_decref(c->mem), json_pack("{s:s,s:s,s:s,s:s,s:I}", "id", id, "account", account, "name", name,
                                       "role", role, "until_s", (json_int_t)until_s));
    api_work(c, fresh_work, f, fresh_then);
}

/* The person of the path, if this caller may change it. */
static json_t *person_to_change(struct api_call *c)
{
    json_t *p = api_row(c->api, STATE_person, STATE_ARGS(state_t(c->part[0])));
    if (!p)
        api_fail(c, 404, "not_found", NULL, NULL);
    else if (!strcmp(api_str(p, "role"), "director") && c->who.bit != API_DIRECTOR)
        api_fail(c, 403, "denied", NULL, NULL);
    else
        return p;
    json_decref(p);
    return NULL;
}

static bool last_director(struct api *a, const json_t *p)
{
    return !strcmp(api_str(p, "role"), "director") && state_number(a->state, STATE_directors, 0, STATE_NONE) <= 1;
}

void h_person_patch(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str_opt(&o, "name", 200), *role = sm_obj_str_opt(&o, "role", 16);
    const json_t *until = json_object_get(c->body, "until");
    json_t *p = NULL;
    if (api_refused(c, &o) || !(p = person_to_change(c)))
        return;
    api_audit_what(c, "%s %s", api_str(p, "account"), role ? role : "");
    int64_t until_s = until ? api_time_s(json_string_value(until)) : api_int(p, "until_s", 0);
    const char *to = role ? role : api_str(p, "role");
    bool staff_only_password = !api_bool(p, "totp_on") && strcmp(to, "staff") != 0;
    if (!role_good(c, to)) {
        json_decref(p);
        return;
    }
    if ((strcmp(to, "director") != 0 && last_director(c->api, p)) || staff_only_password)
        api_fail(c, 409, "conflict", "role", NULL);
    else if (!strcmp(to, "vendor") && !until_s)
        api_fail(c, 400, "bad_request", "until", NULL);
    else if (api_do(c, STATE_person_change,
                 STATE_ARGS(state_t(name && *name ? name : api_str(p, "name")), state_t(to), state_i(until_s),
                     state_t(c->part[0])))) {
        if (role && strcmp(role, api_str(p, "role")) != 0) {
            session_drop_person(c->api, c->part[0], NULL); /* signs in anew with the new role */
            if (!strcmp(api_str(p, "role"), "director"))
                card_orphaned(c->api, c->part[0]);
        }
        json_t *now = api_row(c->api, STATE_person, STATE_ARGS(state_t(c->part[0])));
        api_reply(c, 200, person_json(c->api, now));
        json_decref(now);
    }
    json_decref(p);
}

void h_person_delete(struct api_call *c)
{
    json_t *p = person_to_change(c);
    if (!p)
        return;
    api_audit_what(c, "%s", api_str(p, "account"));
    if (last_director(c->api, p) || !strcmp(c->who.person, c->part[0]))
        api_fail(c, 409, "conflict", NULL, NULL);
    else if (api_do(c, STATE_person_remove, STATE_ARGS(state_t(c->part[0])))) {
        session_drop_person(c->api, c->part[0], NULL);
        card_orphaned(c->api, c->part[0]);
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
    }
    json_decref(p);
}

void h_person_reset(struct api_call *c)
{
    json_t *p = person_to_change(c);
    if (!p)
        return;
    struct fresh *f = fresh_new(c->api, api_bool(p, "totp_on") || strcmp(api_str(p, "role"), "staff") != 0);
    api_audit_what(c, "%s", api_str(p, "account"));
    api_set(c->mem, "id", json_string(api_str(p, "id")));
    api_set(c->mem, "account", json_string(api_str(p, "account")));
    json_decref(p);
    if (!f) {
        api_fail_err(c, -ENOMEM, NULL);
        return;
    }
    f->reset = true;
    api_work(c, fresh_work, f, fresh_then);
}

/* ---- counters: browsers that show Today without signing in ---- */

void h_counter_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str_opt(&o, "name", 100);
    char token[72], csrf[72];
    if (api_refused(c, &o))
        return;
    struct api_caller_info me = c->who;
    api_audit_what(c, "%s", name ? name : "");
    int r = session_make(c, "counter", NULL, name ? name : "", token, csrf);
    char id[API_ID_TEXT];
    (void)snprintf(id, sizeof id, "%s", c->who.session); /* same size */
    c->who = me; /* the audit line names the person */
    sm_zero(token, sizeof token);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 201, json_pack("{s:s}", "id", id));
}

void h_counter_get(struct api_call *c)
{
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", api_rows(c->api, STATE_counters, STATE_NONE), "next"));
}

void h_counter_delete(struct api_call *c)
{
    int r = state_do(c->api->state, STATE_counter_end, STATE_ARGS(state_t(c->part[0])));
    api_audit_what(c, "%s", c->part[0]);
    if (r > 0 && c->api->cfg.ops.drop)
        c->api->cfg.ops.drop(c->api->cfg.ops.arg, c->part[0]);
    if (r <= 0)
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
    else
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

/* ---- the audit log ---- */

void h_audit(struct api_call *c)
{
    const char *cursor = api_str(c->query, "cursor");
    int64_t limit, before;
    if (!api_page(c, &limit, &before))
        return;
    before = *cursor ? before : 0;
    json_t *items = NULL;
    int r = audit_list(c->api->audit, (uint64_t)before, (size_t)limit, &items);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    json_t *line;
    size_t i;
    json_array_foreach(items, i, line) {
        who_name(c->api, line);
        audit_words(c->api, line, c->lang);
    }
    json_t *last = json_array_get(items, json_array_size(items) - 1), *next = json_null();
    if ((int64_t)json_array_size(items) == limit && api_int(last, "n", 0) > 1) {
        char text[32];
        (void)snprintf(text, sizeof text, "%lld", (long long)api_int(last, "n", 0)); /* fits */
        next = json_string(text);
    }
    api_reply(c, 200, json_pack("{s:o,s:o}", "items", items, "next", next));
}

void h_audit_export(struct api_call *c)
{
    struct sm_buf b = SM_BUF_INIT((size_t)900 << 20);
    int r = audit_export(c->api->audit, &b);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply_raw(c, 200, sm_buf_span(&b),
            json_pack("{s:s,s:s}", "Content-Type", "application/x-ndjson", "Content-Disposition",
                "attachment; filename=\"sakimori-audit.jsonl\""),
            NULL);
    sm_buf_wipe(&b);
}

struct checking { char dir[4200]; struct audit_head known; struct audit_report report; int result; };

static void checking_work(void *arg)
{
    struct checking *k = arg;
    k->result = audit_verify(k->dir, &k->known, &k->report);
}

static void checking_then(struct api_call *c, void *ctx)
{
    struct checking *k = ctx;
    if (c && k->result < 0) {
        api_fail_err(c, k->result, NULL);
    } else if (c) {
        json_t *bad = k->report.ok
                          ? json_null()
                          : json_pack("{s:I,s:s}", "line", (json_int_t)k->report.bad_line, "why", k->report.why);
        if (!k->report.ok) {
            struct alarm_new n = { .kind = "record", .state = "call", .key = "audit", .facts = json_deep_copy(bad) };
            alarm_open(c->api, &n);
        }
        api_reply(c, 200,
            json_pack("{s:b,s:I,s:o}", "ok", k->report.ok, "lines", (json_int_t)k->report.lines, "first_bad", bad));
    }
    free(k);
}

void h_audit_verify(struct api_call *c)
{
    struct checking *k = calloc(1, sizeof *k);
    if (!k) {
        api_fail_err(c, -ENOMEM, NULL);
        return;
    }
    (void)snprintf(k->dir, sizeof k->dir, "%s/state/audit", c->api->data); /* a cut path is not found */
    json_t *v = state_setting(c->api->state, "audit_head");
    k->known.n = (uint64_t)api_int(v, "n", 0);
    (void)snprintf(k->known.hash, sizeof k->known.hash, "%s", api_str(v, "hash")); /* 64 digits */
    json_decref(v);
    k->result = -SM_ECANCEL; /* what a job that never ran leaves behind */
    api_work(c, checking_work, k, checking_then);
}
