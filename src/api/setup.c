/* First set-up: one institution, one director, the recovery sheet and the restore card; its state survives a restart.
 */
#include <errno.h>
#include <qrencode.h>
#include "api/internal.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/totp.h"

#define CODE_CHARS 20
#define CODE_GROUP 5
#define WRONG_TRIES 5
#define TOTP_TRIES 10

/* ---- QR codes as SVG: one path, no style, sharp at any size ---- */

static int qr_path(const QRcode *q, struct sm_buf *b)
{
    int r = sm_buf_printf(b,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
        "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path d=\"",
        q->width + 8, q->width + 8, q->width + 8, q->width + 8);
    for (int y = 0; y < q->width && r == 0; y++)
        for (int x = 0; x < q->width && r == 0; x++) {
            int run = 0;
            while (x + run < q->width && (q->data[y * q->width + x + run] & 1))
                run++;
            if (run)
                r = sm_buf_printf(b, "M%d %dh%dv1h-%dz", x + 4, y + 4, run, run);
            x += run;
        }
    return r == 0 ? sm_buf_printf(b, "\"/></svg>") : r;
}

json_t *qr_svg(const char *text)
{
    QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    if (!q)
        return json_null();
    struct sm_buf b = SM_BUF_INIT(200000);
    json_t *j = qr_path(q, &b) == 0 ? json_stringn((const char *)b.p, b.n) : json_null();
    sm_zero(q->data, (size_t)q->width * (size_t)q->width);
    QRcode_free(q);
    sm_buf_wipe(&b);
    return j ? j : json_null();
}

/* ---- the keys, made by keyd at its first start ---- */

static void say_code(struct api *a)
{
    if (!a->cfg.ops.note)
        return;
    if (api_setup_done(a)) { /* the parent waits for a word before it says that the box runs */
        json_t *none = json_pack("{s:n}", "setup_code");
        a->cfg.ops.note(a->cfg.ops.arg, none);
        json_decref(none);
        return;
    }
    json_t *v = state_setting(a->state, "setup_code");
    if (json_string_value(v))
        (void)snprintf(a->setup_code, sizeof a->setup_code, "%s", json_string_value(v)); /* ours */
    json_decref(v);
    if (!a->setup_code[0]) {
        crypto_code_new(CODE_CHARS, CODE_GROUP, a->setup_code);
        v = json_string(a->setup_code);
        if (state_set(a->state, "setup_code", v) < 0)
            a->setup_code[0] = 0; /* made again at the next start */
        json_decref(v);
    }
    v = json_pack("{s:s}", "setup_code", a->setup_code);
    a->cfg.ops.note(a->cfg.ops.arg, v);
    json_decref(v);
}

void setup_begin(struct api *a)
{
    say_code(a);
}

static const char *step_of(struct api *a)
{
    json_t *v = state_setting(a->state, "setup_step");
    const char *s = json_string_value(v), *step = "start";
    static const char *const steps[] = { "institution", "director", "totp", "sheet", "confirm", "done" };
    for (size_t i = 0; s && i < sizeof steps / sizeof *steps; i++)
        if (!strcmp(s, steps[i]))
            step = steps[i];
    json_decref(v);
    return step;
}

static bool step_set(struct api_call *c, const char *step)
{
    json_t *v = json_string(step);
    int r = v ? state_set(c->api->state, "setup_step", v) : -ENOMEM;
    json_decref(v);
    if (r < 0)
        api_fail_err(c, r, NULL);
    return r >= 0;
}

void h_setup_get(struct api_call *c)
{
    struct api *a = c->api;
    json_t *j = json_pack("{s:b,s:s,s:o,s:o,s:o,s:o}", "done", api_setup_done(a), "step", step_of(a), "vault",
        json_string(api_str(a->keys, "vault")), "ca_sha256", json_string(api_str(a->keys, "ca_sha256")), "ca_pem",
        json_string(api_str(a->keys, "ca_pem")), "names", json_incref(a->names));
    api_reply(c, 200, j);
}

void h_setup_start(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    const char *typed = sm_obj_str(&o, "code", 1, 64);
    if (api_refused(c, &o))
        return;
    if (api_setup_done(a)) {
        api_fail(c, 409, "conflict", NULL, NULL);
        return;
    }
    int64_t wait = fails_wait(a, "setup");
    if (wait) {
        api_fail(c, 429, "rate", NULL, json_pack("{s:I}", "wait_s", (json_int_t)wait));
        return;
    }
    char given[40], want[40];
    bool good = a->setup_code[0] && crypto_code_read(typed, given, sizeof given) == 0 &&
                crypto_code_read(a->setup_code, want, sizeof want) == 0 && strlen(given) == strlen(want) &&
                sm_ct_eq(given, want, strlen(want));
    if (!good) {
        unsigned left = fails_add(a, "setup", WRONG_TRIES);
        api_fail_say(c, 403, "denied", "code", text_get(c->lang, T_SETUP_CODE_WRONG),
            json_pack("{s:i}", "tries_left", (int)left));
        return;
    }
    fails_clear(a, "setup");
    char token[72], csrf[72];
    int r = session_make(c, "setup", NULL, NULL, token, csrf);
    sm_zero(token, sizeof token);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else if (strcmp(step_of(a), "start") != 0 || step_set(c, "institution"))
        api_reply(c, 200, json_pack("{s:b,s:s,s:s,s:s}", "ok", 1, "csrf", csrf, "step", step_of(a), "kind", "setup"));
}

/* A person with name, title, phone, copied field by field so that nothing else is stored. */
static json_t *person_of(struct sm_obj *o, const char *key)
{
    const json_t *in = sm_obj_obj(o, key);
    if (!in)
        return json_null();
    struct sm_obj p = SM_OBJ(in);
    const char *name = sm_obj_str_opt(&p, "name", 200), *title = sm_obj_str_opt(&p, "title", 100),
               *phone = sm_obj_str_opt(&p, "phone", 40);
    if (p.err < 0 && o->err >= 0) {
        o->err = p.err;
        (void)snprintf(o->why, sizeof o->why, "%s", p.why); /* same size */
    }
    return json_pack(
        "{s:s,s:s,s:s}", "name", name ? name : "", "title", title ? title : "", "phone", phone ? phone : "");
}

static bool one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(s, *list))
            return true;
    return false;
}

void h_setup_institution(struct api_call *c)
{
    static const char *const kinds[] = { "clinic", "dental", "hospital", "pharmacy", "other", NULL };
    static const char *const answers[] = { "yes", "no", "unknown", NULL };
    static const char *const langs[] = { "ja", "en", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str(&o, "name", 1, 200), *kind = sm_obj_str(&o, "kind", 1, 20);
    const char *address = sm_obj_str_opt(&o, "address", 300), *phone = sm_obj_str_opt(&o, "phone", 40);
    const char *updates = sm_obj_str_opt(&o, "vendor_updates", 10), *lang = sm_obj_str_opt(&o, "language", 5);
    updates = updates ? updates : "unknown";
    lang = lang ? lang : "ja";
    json_t *inst = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "name", name, "kind", kind, "address",
        address ? address : "", "phone", phone ? phone : "", "vendor_updates", updates, "responsible",
        person_of(&o, "responsible"), "deputy", person_of(&o, "deputy"), "vendor", person_of(&o, "vendor"));
    const char *bad = !one_of(kind, kinds)        ? "kind"
                      : !one_of(updates, answers) ? "vendor_updates"
                      : !one_of(lang, langs)      ? "language"
                                                  : NULL;
    if (api_refused(c, &o)) {
        json_decref(inst);
        return;
    }
    if (bad || !inst) {
        json_decref(inst);
        api_fail(c, 400, "bad_request", bad, NULL);
        return;
    }
    json_t *l = json_string(lang);
    int r = state_set(c->api->state, "institution", inst);
    if (r == 0)
        r = state_set(c->api->state, "language", l);
    json_decref(l);
    json_decref(inst);
    api_audit_what(c, "%s", name);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else if (strcmp(step_of(c->api), "institution") != 0 || step_set(c, "director"))
        api_reply(c, 200, json_pack("{s:b,s:s}", "ok", 1, "step", step_of(c->api)));
}

/* ---- the director ---- */

struct making { char password[CRYPTO_PASS_MAX + 1], hash[CRYPTO_PASS_TEXT]; struct crypto_pass_cost cost; int result; };

static void making_free(struct making *m)
{
    sm_zero(m, sizeof *m);
    free(m);
}

static void making_work(void *arg)
{
    struct making *m = arg;
    m->result = crypto_pass_hash(SM_SPAN_STR(m->password), &m->cost, m->hash);
}

static void keep_password(struct api *a, const char *password)
{
    if (a->setup_password) {
        sm_zero(a->setup_password, strlen(a->setup_password));
        free(a->setup_password);
    }
    a->setup_password = password ? strdup(password) : NULL;
}

static void director_then(struct api_call *c, void *ctx)
{
    struct making *m = ctx;
    if (!c) {
        making_free(m);
        return;
    }
    struct api *a = c->api;
    uint8_t secret[CRYPTO_TOTP_SECRET_LEN];
    char hex[2 * CRYPTO_TOTP_SECRET_LEN + 1], id[API_ID_TEXT];
    crypto_random(secret, sizeof secret);
    sm_hex(secret, sizeof secret, hex);
    api_id(id);
    struct sm_buf uri = SM_BUF_INIT(4096), b32 = SM_BUF_INIT(128);
    int r = m->result;
    if (r == 0)
        r = crypto_totp_uri(SM_SPAN(secret, sizeof secret), "Sakimori", api_str(c->mem, "account"), &uri);
    if (r == 0)
        r = sm_base32(SM_SPAN(secret, sizeof secret), &b32);
    if (r == 0)
        r = state_begin(a->state);
    if (r == 0) {
        r = state_do(a->state, STATE_people_wipe, STATE_NONE);
        if (r >= 0)
            r = state_do(a->state, STATE_person_add,
                STATE_ARGS(state_t(id), state_t(api_str(c->mem, "account")), state_t(api_str(c->mem, "name")),
                    state_t("director"), state_i(0), state_t(m->hash), state_i(0), state_t(hex), state_i(0),
                    state_t(NULL), state_i(api_now())));
        int e = state_end(a->state, r >= 0);
        r = r < 0 ? r : e;
    }
    keep_password(a, r < 0 ? NULL : m->password);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else if (step_set(c, "totp"))
        api_reply(c, 200,
            json_pack("{s:s,s:s,s:o,s:s}", "totp_secret", sm_buf_str(&b32), "totp_uri", sm_buf_str(&uri), "totp_qr_svg",
                qr_svg(sm_buf_str(&uri)), "step", "totp"));
    sm_zero(secret, sizeof secret);
    sm_zero(hex, sizeof hex);
    sm_buf_wipe(&uri);
    sm_buf_wipe(&b32);
    making_free(m);
}

/* No step may be done out of order; a sheet already confirmed ends it all. */
static bool step_allows(struct api_call *c, const char *const *steps)
{
    if (one_of(step_of(c->api), steps))
        return true;
    api_fail(c, 409, "conflict", "step", NULL);
    return false;
}

static bool account_good(const char *s)
{
    size_t n = strlen(s);
    return n >= 2 && n <= 64 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") == n;
}

void h_setup_director(struct api_call *c)
{
    static const char *const from[] = { "director", "totp", "sheet", "confirm", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    const char *account = sm_obj_str(&o, "account", 2, 64), *name = sm_obj_str(&o, "name", 1, 200);
    const char *password = sm_obj_str(&o, "password", 1, CRYPTO_PASS_MAX);
    if (api_refused(c, &o) || !step_allows(c, from))
        return;
    if (!account_good(account)) {
        api_fail(c, 400, "bad_request", "account", NULL);
        return;
    }
    json_t *inst = state_setting(c->api->state, "institution");
    enum crypto_pass_reason why = crypto_pass_check(SM_SPAN_STR(password), true, account, api_str(inst, "name"));
    json_decref(inst);
    if (why != CRYPTO_PASS_GOOD) {
        char key[48];
        (void)snprintf(key, sizeof key, "PASS_%s", crypto_pass_reason_name(why)); /* fits */
        const char *say = text_named(c->lang, key);
        api_fail_say(c, 422, "password", "password", say ? say : text_get(c->lang, T_PASSWORD_BAD),
            json_pack("{s:s}", "reason", pass_reason_word((int)why)));
        return;
    }
    struct making *m = calloc(1, sizeof *m);
    if (!m) {
        api_fail_err(c, -ENOMEM, NULL);
        return;
    }
    (void)snprintf(m->password, sizeof m->password, "%s", password); /* checked above */
    m->result = -SM_ECANCEL; /* what a job that never ran leaves behind */
    m->cost = crypto_pass_sign_in;
    if (c->api->cfg.pass_memory_kib)
        m->cost.memory_kib = c->api->cfg.pass_memory_kib;
    api_set(c->mem, "account", json_string(account));
    api_set(c->mem, "name", json_string(name));
    api_audit_what(c, "%s", account);
    api_work(c, making_work, m, director_then);
}

static json_t *the_director(struct api *a)
{
    json_t *all = api_rows(a, STATE_people, STATE_NONE);
    json_t *one = json_incref(json_array_get(all, 0));
    json_decref(all);
    return one;
}

struct codes { struct crypto_once once; char text[CRYPTO_ONCE_CODES][CRYPTO_ONCE_CODE]; int result; };

static void codes_work(void *arg)
{
    struct codes *k = arg;
    k->result = crypto_once_new(&k->once, k->text);
}

static void codes_then(struct api_call *c, void *ctx)
{
    struct codes *k = ctx;
    char hex[2 * sizeof k->once + 1];
    if (c && k->result < 0) {
        api_fail_err(c, k->result, NULL);
    } else if (c) {
        json_t *list = json_array();
        for (unsigned i = 0; i < CRYPTO_ONCE_CODES; i++)
            api_append(list, json_string(k->text[i]));
        sm_hex(&k->once, sizeof k->once, hex);
        bool good = api_do(c, STATE_person_once, STATE_ARGS(state_t(hex), state_t(api_str(c->mem, "person"))));
        if (good && step_set(c, "sheet"))
            api_reply(c, 200, json_pack("{s:o,s:s}", "codes", list, "step", "sheet"));
        else
            json_decref(list);
    }
    sm_zero(k, sizeof *k);
    free(k);
}

void h_setup_totp(struct api_call *c)
{
    static const char *const from[] = { "totp", "sheet", "confirm", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    const char *code = sm_obj_str(&o, "code", 6, 20);
    if (api_refused(c, &o) || !step_allows(c, from))
        return;
    int64_t wait = fails_wait(c->api, "setup-totp");
    if (wait) {
        api_fail(c, 429, "rate", NULL, json_pack("{s:I}", "wait_s", (json_int_t)wait));
        return;
    }
    json_t *p = the_director(c->api);
    uint8_t secret[CRYPTO_TOTP_SECRET_LEN];
    uint64_t counter = 0;
    const char *hex = api_str(p, "totp_secret");
    int r = sm_unhex(hex, strlen(hex), secret, sizeof secret);
    if (r == 0)
        r = crypto_totp_verify(
            SM_SPAN(secret, sizeof secret), code, api_now(), (uint64_t)api_int(p, "totp_counter", 0), &counter);
    sm_zero(secret, sizeof secret);
    api_set(c->mem, "person", json_string(api_str(p, "id")));
    json_decref(p);
    struct codes *k = r == 0 ? calloc(1, sizeof *k) : NULL;
    if (r < 0) {
        (void)fails_add(c->api, "setup-totp", TOTP_TRIES);
        api_fail(c, 422, "totp_wrong", "code", NULL);
    } else if (!k) {
        api_fail_err(c, -ENOMEM, NULL);
    } else if (api_do(
                   c, STATE_person_totp, STATE_ARGS(state_i((int64_t)counter), state_t(api_str(c->mem, "person"))))) {
        k->result = -SM_ECANCEL; /* what a job that never ran leaves behind */
        api_work(c, codes_work, k, codes_then);
    } else {
        free(k);
    }
}

/* ---- the sheet and the card ---- */

static json_t *half(const json_t *sheet, const char *which)
{
    char key[32];
    json_t *h = json_object();
    static const char *const parts[] = { "words_ja", "words_en" };
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(key, sizeof key, "%s_%s", which, parts[i]); /* fits */
        api_set(h, parts[i], json_incref(json_object_get(sheet, key)));
    }
    (void)snprintf(key, sizeof key, "%s_qr", which); /* fits */
    api_set(h, "qr_text", json_string(api_str(sheet, key)));
    api_set(h, "qr_svg", qr_svg(api_str(sheet, key)));
    return h;
}

static void sheet_card(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    const char *card = api_str(j, "card");
    json_t *sheet = json_object_get(c->mem, "sheet");
    json_t *out =
        json_pack("{s:o,s:o,s:{s:s,s:o},s:O,s:s}", "open", half(sheet, "open"), "orders", half(sheet, "orders"), "card",
            "text", card, "qr_svg", qr_svg(card), "ask", json_object_get(sheet, "check"), "step", "confirm");
    sm_json_drop_secret(j);
    if (step_set(c, "confirm"))
        api_reply(c, 200, out);
    else
        sm_json_drop_secret(out);
}

static void sheet_words(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    api_set(c->mem, "sheet", j);
    api_ask(c, "K_SETUP_RESTORE", json_pack("{s:s}", "password", c->api->setup_password ? c->api->setup_password : ""),
        sheet_card);
}

/* After a restart the director's password is gone from memory: the caller types it again.  Nobody else uses the box
 * during set-up, so the check may take its third of a second right here. */
static bool sheet_password(struct api_call *c, const char *password)
{
    json_t *p = the_director(c->api);
    bool good = password && p && crypto_pass_verify(SM_SPAN_STR(password), api_str(p, "pass")) == 0;
    json_decref(p);
    if (good)
        keep_password(c->api, password);
    else
        api_fail(c, 409, "conflict", "password", NULL);
    return good;
}

void h_setup_sheet(struct api_call *c)
{
    static const char *const from[] = { "sheet", "confirm", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    const char *password = sm_obj_str_opt(&o, "password", CRYPTO_PASS_MAX);
    if (api_refused(c, &o) || !step_allows(c, from))
        return;
    if (c->api->setup_password || sheet_password(c, password))
        api_ask(c, "K_SETUP_SHEET", json_object(), sheet_words);
}

static void confirmed(struct api_call *c, int err, struct sm_span body, const char *text);

/* keyd has no sheet to confirm: either it was confirmed before brain could write that down, or keyd was restarted. */
static void confirm_state(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    bool sheet = api_bool(j, "sheet");
    json_decref(j);
    if (sheet)
        confirmed(c, 0, body, NULL);
    else
        api_fail(c, 409, "conflict", "sheet", NULL);
}

static void confirmed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    if (err == -SM_ESTATE) {
        api_ask(c, "K_STATUS", json_object(), confirm_state);
        return;
    }
    if (err == -SM_EMISMATCH || err == -SM_EINVAL) {
        int i = text && text[0] >= '0' && text[0] <= '9' ? text[0] - '0' : 0;
        char field[24];
        (void)snprintf(field, sizeof field, "answers.%d", i); /* fits */
        api_fail(c, 422, "word_wrong", field, NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(a->keys);
    a->keys = j;
    json_t *p = the_director(a), *yes = json_true(), *none = json_string("");
    char token[72], csrf[72], setup_session[API_ID_TEXT];
    (void)snprintf(setup_session, sizeof setup_session, "%s", c->who.session); /* same size */
    int r = state_begin(a->state);
    if (r == 0) {
        r = state_set(a->state, "setup_done", yes);
        if (r == 0)
            r = state_set(a->state, "setup_code", none);
        if (r == 0)
            r = state_do(a->state, STATE_session_delete, STATE_ARGS(state_t(setup_session)));
        if (r >= 0)
            r = session_make(c, "person", api_str(p, "id"), NULL, token, csrf);
        int e = state_end(a->state, r >= 0);
        r = r < 0 ? r : e;
    }
    json_decref(none);
    bool stepped = r >= 0 && step_set(c, "done");
    if (r < 0)
        api_fail_err(c, r, NULL);
    if (stepped) {
        keep_password(a, NULL);
        sm_zero(a->setup_code, sizeof a->setup_code);
        (void)snprintf(c->who.person, sizeof c->who.person, "%s", api_str(p, "id"));       /* from our table */
        (void)snprintf(c->who.name, sizeof c->who.name, "%s", api_str(p, "name"));
        (void)snprintf(c->who.account, sizeof c->who.account, "%s", api_str(p, "account"));
        (void)snprintf(c->who.role, sizeof c->who.role, "director");
        c->who.bit = API_DIRECTOR;
        card_write(a);
        card_fits(a, api_str(p, "id"));
        api_reply(c, 200, json_pack("{s:b,s:o}", "done", 1, "session", session_json(a, &c->who)));
    }
    json_decref(p);
    sm_zero(token, sizeof token);
}

void h_setup_confirm(struct api_call *c)
{
    static const char *const from[] = { "confirm", NULL };
    struct sm_obj o = SM_OBJ(c->body);
    const json_t *answers = sm_obj_arr(&o, "answers", 8);
    bool printed = sm_obj_bool(&o, "printed", false);
    if (api_refused(c, &o) || !step_allows(c, from))
        return;
    if (!printed)
        api_fail(c, 422, "bad_request", "printed", NULL);
    else
        api_ask(c, "K_SETUP_CONFIRM", json_pack("{s:O}", "answers", answers), confirmed);
}
