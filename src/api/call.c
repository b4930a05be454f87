#include <unistd.h>
/* One request from its arrival to its answer: who calls, may they, what did they send, and the audit line. */
#include <errno.h>
#include <stdarg.h>
#include "api/alive.h"
#include "api/internal.h"
#include "crypto/random.h"

/* ---- small things ---- */

int64_t api_now(void)
{
    return plat_clock_wall().s;
}

void api_id(char ret[API_ID_TEXT])
{
    uint8_t id[API_ID_BYTES];
    crypto_random(id, sizeof id);
    sm_hex(id, sizeof id, ret);
}

bool api_is_hex(const char *s, size_t n)
{
    return s && strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

json_t *api_time(int64_t s)
{
    char text[SM_TIME_TEXT];
    if (s <= 0)
        return json_null();
    sm_time_rfc3339((struct sm_time){ .s = s }, text);
    return json_string(text);
}

int64_t api_time_s(const char *text)
{
    struct sm_time t;
    return text && *text && sm_time_parse(text, &t) == 0 ? t.s : 0;
}

const char *api_str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

int64_t api_int(const json_t *o, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool api_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

void api_set(json_t *o, const char *key, json_t *v)
{
    if (json_object_set_new(o, key, v ? v : json_null()) < 0)
        abort(); /* out of memory: the parent starts brain anew, nothing accepted is lost */
}

void api_append(json_t *a, json_t *v)
{
    if (json_array_append_new(a, v) < 0)
        abort(); /* as above */
}

json_t *api_row(struct api *a, enum state_query q, const struct state_arg *args, size_t n)
{
    json_t *row = NULL;
    return state_row(a->state, q, &row, args, n) < 0 ? NULL : row;
}

json_t *api_rows(struct api *a, enum state_query q, const struct state_arg *args, size_t n)
{
    json_t *rows = NULL;
    return state_rows(a->state, q, &rows, args, n) < 0 ? json_array() : rows;
}

bool api_do(struct api_call *c, enum state_query q, const struct state_arg *args, size_t n)
{
    int r = state_do(c->api->state, q, args, n);
    if (r < 0)
        api_fail_err(c, r, NULL);
    return r >= 0;
}

const char *api_language(struct api *a)
{
    return api_box_lang(a) == TEXT_EN ? "en" : "ja";
}

enum text_lang api_box_lang(struct api *a)
{
    json_t *v = state_setting(a->state, "language");
    bool en = v && json_string_value(v) && !strcmp(json_string_value(v), "en");
    json_decref(v);
    return en ? TEXT_EN : TEXT_JA;
}

bool api_setup_done(struct api *a)
{
    json_t *v = state_setting(a->state, "setup_done");
    bool yes = json_is_true(v);
    json_decref(v);
    return yes;
}

bool api_unlocked(struct api *a)
{
    return a->unlock.until_s > api_now();
}

void api_event(struct api *a, const char *topic, const char *id, json_t *data)
{
    if (a->cfg.ops.event)
        a->cfg.ops.event(a->cfg.ops.arg, topic, id, data);
    json_decref(data);
}

/* ---- the end of a call ---- */

static void call_free(struct api_call *c)
{
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->api->calls_n--;
    sm_json_drop_secret(c->req);   /* cookies and bearer tokens */
    json_decref(c->query);
    sm_json_drop_secret(c->body);  /* passwords, cards, codes */
    sm_json_drop_secret(c->mem);   /* words of the sheet */
    sm_json_drop_secret(c->cookies);
    sm_buf_wipe(&c->raw);
    sm_buf_wipe(&c->keep);
    sm_buf_wipe(&c->answer);
    sm_zero(c, sizeof *c);
    free(c);
}

static const char *audit_who(const struct api_call *c)
{
    if (c->who.bit & (API_DEVICE | API_PEER))
        return c->who.device;
    return c->who.account[0] ? c->who.account : api_caller_name(c->who.bit);
}

/* 0 when no line is needed or it is on disk. */
static int audit_call(struct api_call *c, int status, const char *code)
{
    if (!c->route || !(c->route->flags & API_AUDIT) || c->audit_not || status == 423 || status == 429)
        return 0; /* a flood of refused tries must not fill the disk: the lock itself was recorded */
    bool anonymous = c->who.bit & (API_NOBODY | API_STRANGER | API_COUNTER | API_MONITOR);
    if (anonymous && status >= 400 && (!(c->route->who & c->who.bit) || (status != 401 && status != 403)))
        return 0; /* nobody's malformed requests are nobody's acts */
    char result[96];
    (void)snprintf(result, sizeof result, "%s", status < 400 ? "ok" : code); /* codes are short */
    const struct audit_entry e = { audit_who(c), api_caller_name(c->who.bit), c->who.remote, c->route->act,
        c->audit_what, result };
    int r = audit_add(c->api->audit, &e);
    if (r < 0)
        return r;
    if (status < 400)
        self_acted(c->api, c->route->act);
    struct audit_head h = audit_head(c->api->audit);
    json_t *v = json_pack("{s:I,s:s}", "n", (json_int_t)h.n, "hash", h.hash);
    r = v ? state_set(c->api->state, "audit_head", v) : -ENOMEM;
    json_decref(v);
    return r;
}

static void send(struct api_call *c, int status, struct sm_span body, json_t *headers, json_t *then)
{
    if (c->cookies) {
        if (!headers)
            headers = json_object();
        api_set(headers, "Set-Cookie", json_incref(c->cookies));
    }
    const struct api_response r = { .status = status, .headers = headers, .then = then, .body = body };
    c->ended = true;
    c->done(c->done_arg, &r);
    json_decref(headers);
    json_decref(then);
    if (!c->asking)
        call_free(c); /* else when the late answer comes */
}

static json_t *error_json(const char *code, const char *message, const char *field, json_t *extra)
{
    json_t *e = extra ? extra : json_object();
    api_set(e, "code", json_string(code));
    api_set(e, "message", json_string(message));
    if (field)
        api_set(e, "field", json_string(field));
    return json_pack("{s:o}", "error", e);
}

static void send_json(struct api_call *c, int status, json_t *body)
{
    char allow[API_ALLOWED_MAX];
    struct sm_buf b = SM_BUF_INIT(API_ANSWER_MAX);
    if (body && sm_json_dump(body, &b) < 0) {
        sm_buf_clear(&b);
        status = 500;
    }
    sm_json_drop_secret(body);
    json_t *h = json_pack("{s:s,s:s}", "Content-Type", "application/json", "Cache-Control", "no-store");
    if (status == 405) {
        api_allowed(c->path, allow);
        api_set(h, "Allow", json_string(allow));
    }
    send(c, status, sm_buf_span(&b), h, NULL);
    sm_buf_wipe(&b); /* answers may hold first passwords and words of the sheet */
}

static bool recorded(struct api_call *c, int status, const char *code)
{
    if (audit_call(c, status, code) == 0)
        return true;
    c->cookies = (json_decref(c->cookies), NULL);
    send_json(c, 500, error_json("internal", text_get(c->lang, T_NOT_RECORDED), NULL, NULL));
    return false;
}

void api_reply(struct api_call *c, int status, json_t *body)
{
    if (!recorded(c, status, ""))
        json_decref(body);
    else
        send_json(c, status, body);
}

void api_reply_raw(struct api_call *c, int status, struct sm_span body, json_t *headers, json_t *then)
{
    if (recorded(c, status, "")) {
        send(c, status, body, headers, then);
        return;
    }
    json_decref(headers);
    json_decref(then);
}

void api_fail_say(
    struct api_call *c, int status, const char *code, const char *field, const char *message, json_t *extra)
{
    if (!recorded(c, status, code))
        json_decref(extra);
    else
        send_json(c, status, error_json(code, message, field, extra));
}

static const struct { const char *code; enum text_key key;
} code_texts[] = {
    { "bad_request", T_BAD_REQUEST },
    { "not_signed_in", T_NOT_SIGNED_IN },
    { "totp_needed", T_TOTP_NEEDED },
    { "denied", T_DENIED },
    { "password_first", T_PASSWORD_FIRST },
    { "csrf", T_CSRF },
    { "not_found", T_NOT_FOUND },
    { "conflict", T_CONFLICT }, { "known", T_KNOWN },
    { "needs_order", T_NEEDS_ORDER },
    { "empty", T_EMPTY },
    { "locked", T_LOCKED },
    { "rate", T_RATE },
    { "setup_needed", T_SETUP_NEEDED },
    { "unlock_needed", T_UNLOCK_NEEDED },
    { "too_large", T_TOO_LARGE },
    { "too_many", T_TOO_MANY },
    { "unavailable", T_UNAVAILABLE },
    { "internal", T_INTERNAL },
    { "suspicious", T_SUSPICIOUS_ASK },
    { "self", T_SELF_CLOSED },
    { "password", T_PASSWORD_BAD },
    { "totp_wrong", T_TOTP_WRONG },
    { "word_wrong", T_WORD_WRONG },
    { "method", T_METHOD },
    { "not_plugged", T_NOT_PLUGGED },
};

void api_fail(struct api_call *c, int status, const char *code, const char *field, json_t *extra)
{
    const char *message = text_get(c->lang, T_INTERNAL);
    for (size_t i = 0; i < sizeof code_texts / sizeof *code_texts; i++)
        if (!strcmp(code_texts[i].code, code))
            message = text_get(c->lang, code_texts[i].key);
    api_fail_say(c, status, code, field, message, extra);
}

void api_fail_err(struct api_call *c, int err, const char *text)
{
    static const struct { int err, status; const char *code; } table[] = {
        { SM_ENOTFOUND, 404, "not_found" }, { SM_EEXISTS, 409, "conflict" }, { SM_ESTATE, 409, "conflict" },
        { SM_EDENIED, 403, "denied" }, { SM_EINVAL, 400, "bad_request" }, { SM_EFORMAT, 400, "bad_request" },
        { SM_ELIMIT, 413, "too_large" }, { SM_EAGAIN, 503, "unavailable" }, { SM_EPEER, 503, "unavailable" },
        { SM_ETIME, 503, "unavailable" }, { ENOSPC, 503, "unavailable" }, { SM_EMISSING, 404, "not_found" },
        { SM_EAUTH, 403, "denied" },
    };
    (void)text; /* a peer's words are for its own log */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].err == -err) {
            api_fail(c, table[i].status, table[i].code, NULL, NULL);
            return;
        }
    api_fail(c, 500, "internal", NULL, NULL);
}

void api_changed(struct api_call *c, int rows)
{
    if (rows < 0)
        api_fail_err(c, rows, NULL);
    else if (rows == 0)
        api_fail(c, 404, "not_found", NULL, NULL);
    else
        api_reply(c, 200, json_object());
}

bool api_refused(struct api_call *c, const struct sm_obj *o)
{
    if (o->err >= 0)
        return false;
    char field[64] = "";
    const char *from = strchr(o->why, '"');
    const char *to = from ? strchr(from + 1, '"') : NULL;
    if (to && (size_t)(to - from) <= sizeof field)
        (void)snprintf(field, sizeof field, "%.*s", (int)(to - from - 1), from + 1); /* measured */
    json_t *extra = json_object();
    api_set(extra, "detail", json_string(o->why));
    api_fail(c, 400, "bad_request", field[0] ? field : NULL, extra);
    return true;
}

void api_audit_what(struct api_call *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->audit_what, sizeof c->audit_what, fmt, ap); /* a cut text is still a true one */
    va_end(ap);
    while (c->audit_what[0] && !sm_utf8_valid(SM_SPAN_STR(c->audit_what)))
        c->audit_what[strlen(c->audit_what) - 1] = 0; /* never half a character */
}

/* ---- asking ---- */

static void ask_again(struct api_call *c);

static void on_frame(void *arg, int err, struct sm_span body, bool more, const char *text)
{
    struct api_call *c = arg;
    if (err >= 0 && c->answer.n + body.n <= API_ANSWER_MAX)
        err = sm_buf_put_span(&c->answer, body);
    else if (err >= 0)
        err = -SM_ELIMIT;
    if (err < 0 && more) {
        c->retried = 99; /* the rest is thrown away; the last frame tells */
        return;
    }
    if (more)
        return;
    if (c->retried == 99 && err >= 0)
        err = -SM_ELIMIT;
    c->asking = false;
    if (c->ended) {
        call_free(c);
        return;
    }
    c->then(c, err, err < 0 ? body : sm_buf_span(&c->answer), text);
}

static void ask_again(struct api_call *c)
{
    sm_buf_clear(&c->answer);
    c->answer.max = API_ANSWER_MAX;
    c->retried = 0;
    c->asking = true;
    int r = c->api->cfg.ops.ask(c->api->cfg.ops.arg, c->message, sm_buf_span(&c->keep), c->again, on_frame, c);
    if (r < 0) {
        c->asking = false;
        api_fail_err(c, r, NULL);
    }
}

/* May a request be sent twice without harm when its receiver was restarted in between? */
static bool harmless(const char *message)
{
    static const char *const once[] = { "V_SESSION", "K_UNLOCK", "K_SETUP_SHEET", "K_SETUP_RESTORE", "K_SETUP_CONFIRM",
        "K_GRANT_AGENT", "K_CERT_DEVICE", "V_ACCESS", "V_VERIFY", "V_SCRUB", "X_MAIL", "X_WEBHOOK", "X_SYSLOG", "X_FIREWALL",
        "K_REKEY_PASSWORD", "K_CHECK_SHEET", "K_CARD_NEW", "P_COPIER", "Y_RUN", "P_SELF", "S_RUN" };
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        if (!strcmp(once[i], message))
            return false;
    return true;
}

void api_ask_raw(struct api_call *c, const char *message, struct sm_span body, api_then_fn then)
{
    (void)snprintf(c->message, sizeof c->message, "%s", message); /* names are short */
    c->then = then;
    c->again = harmless(message);
    sm_buf_clear(&c->keep);
    int r = sm_buf_put_span(&c->keep, body);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        ask_again(c);
}

void api_ask(struct api_call *c, const char *message, json_t *body, api_then_fn then)
{
    struct sm_buf b = SM_BUF_INIT((size_t)1 << 20);
    int r = body ? sm_json_dump(body, &b) : 0;
    sm_json_drop_secret(body);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_ask_raw(c, message, sm_buf_span(&b), then);
    sm_buf_wipe(&b);
}

void api_ask_join(struct api_call *c, const char *message, json_t *json, struct sm_span raw, api_then_fn then)
{
    struct sm_buf text = SM_BUF_INIT((size_t)1 << 20), b = SM_BUF_INIT((size_t)1 << 20);
    int r = sm_json_dump(json, &text);
    json_decref(json);
    if (r == 0)
        r = sm_buf_put_u32(&b, (uint32_t)text.n);
    if (r == 0)
        r = sm_buf_put_span(&b, sm_buf_span(&text));
    if (r == 0)
        r = sm_buf_put_span(&b, raw);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_ask_raw(c, message, sm_buf_span(&b), then);
    sm_buf_wipe(&text);
    sm_buf_wipe(&b);
}

json_t *api_answer(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    if (err >= 0)
        err = body.n == 0 ? ((j = json_object()), 0) : sm_json_parse(body, API_ANSWER_MAX, &j, NULL);
    if (err >= 0 && !json_is_object(j)) {
        json_decref(j);
        err = -SM_EPROTO;
    }
    if (err < 0) {
        api_fail_err(c, err, text);
        return NULL;
    }
    return j;
}

struct telling { struct api *api; api_told_fn fn; json_t *mem; struct sm_buf answer; };

static void told(void *arg, int err, struct sm_span body, bool more, const char *text)
{
    struct telling *t = arg;
    if (err >= 0)
        err = sm_buf_put_span(&t->answer, body);
    if (more)
        return;
    json_t *j = NULL;
    if (err >= 0 && t->answer.n)
        err = sm_json_parse(sm_buf_span(&t->answer), API_ANSWER_MAX, &j, NULL);
    if (t->fn)
        t->fn(t->api, err, j, text, t->mem);
    json_decref(j);
    json_decref(t->mem);
    sm_buf_wipe(&t->answer);
    free(t);
}

void api_tell_raw(struct api *a, const char *message, struct sm_span body, api_told_fn fn, json_t *mem)
{
    struct telling *t = calloc(1, sizeof *t);
    int r = t ? 0 : -ENOMEM;
    if (t)
        *t = (struct telling){ .api = a, .fn = fn, .mem = mem, .answer = SM_BUF_INIT(API_ANSWER_MAX) };
    if (r == 0)
        r = a->cfg.ops.ask(a->cfg.ops.arg, message, body, harmless(message), told, t);
    if (r == 0)
        return;
    if (fn)
        fn(a, r, NULL, NULL, mem);
    json_decref(mem);
    free(t);
}

void api_tell(struct api *a, const char *message, json_t *body, api_told_fn fn, json_t *mem)
{
    struct sm_buf b = SM_BUF_INIT((size_t)1 << 20);
    int r = body ? sm_json_dump(body, &b) : 0;
    json_decref(body);
    if (r == 0) {
        api_tell_raw(a, message, sm_buf_span(&b), fn, mem);
    } else {
        if (fn)
            fn(a, r, NULL, NULL, mem);
        json_decref(mem);
    }
    sm_buf_wipe(&b);
}

struct working { struct api_call *call; void (*work)(void *); void *ctx; void (*then)(struct api_call *, void *); };

static void work_do(void *arg)
{
    struct working *w = arg;
    w->work(w->ctx);
}

static void work_done(void *arg)
{
    struct working w = *(struct working *)arg;
    free(arg);
    w.call->asking = false;
    if (w.call->ended) {
        w.then(NULL, w.ctx); /* only to free ctx */
        call_free(w.call);
        return;
    }
    w.then(w.call, w.ctx);
}

void api_work(struct api_call *c, void (*work)(void *ctx), void *ctx, void (*then)(struct api_call *c, void *ctx))
{
    struct working *w = malloc(sizeof *w);
    int r = -ENOMEM;
    if (w) {
        *w = (struct working){ c, work, ctx, then };
        c->asking = true;
        r = worker_put(c->api->worker, work_do, work_done, w);
    }
    if (r == 0)
        return;
    c->asking = false;
    free(w);
    then(NULL, ctx);
    api_fail(c, 429, "rate", NULL, json_pack("{s:i}", "wait_s", 10));
}

/* ---- lists ---- */

bool api_page(struct api_call *c, int64_t *ret_limit, int64_t *ret_offset)
{
    const char *limit = api_str(c->query, "limit"), *cursor = api_str(c->query, "cursor");
    char *end = NULL;
    errno = 0;
    long long l = *limit ? strtoll(limit, &end, 10) : API_LIST_STANDARD;
    bool good = (!*limit || (!errno && !*end && l >= 1)) && l <= 1000000;
    long long o = *cursor ? strtoll(cursor, &end, 10) : 0;
    good = good && (!*cursor || (!errno && !*end && o >= 0 && o < 1000000000));
    if (!good) {
        api_fail(c, 400, "bad_request", *limit ? "limit" : "cursor", NULL);
        return false;
    }
    *ret_limit = l > API_LIST_MAX ? API_LIST_MAX : l;
    *ret_offset = o;
    return true;
}

void api_reply_list(struct api_call *c, json_t *items, int64_t limit, int64_t offset)
{
    json_t *next = json_null();
    if ((int64_t)json_array_size(items) > limit) {
        char cursor[32];
        (void)snprintf(cursor, sizeof cursor, "%lld", (long long)(offset + limit)); /* fits */
        next = json_string(cursor);
        while ((int64_t)json_array_size(items) > limit)
            (void)json_array_remove(items, (size_t)limit); /* it is there */
    }
    api_reply(c, 200, json_pack("{s:o,s:o}", "items", items, "next", next));
}

/* ---- the beginning of a call ---- */

static json_t *query_of(const json_t *req)
{
    const json_t *q = json_object_get(req, "query");
    return json_is_object(q) ? json_deep_copy(q) : json_object();
}

static enum text_lang lang_of(const json_t *req)
{
    const char *al = api_str(json_object_get(req, "headers"), "accept-language");
    return !strncasecmp(al, "en", 2) ? TEXT_EN : TEXT_JA;
}

/* The local socket tells who is at its other end: root, or the user that runs the box without root. */
static bool local_owner(const struct api_call *c)
{
    const json_t *uid = json_object_get(c->req, "uid");
    return !strcmp(api_str(c->req, "port"), "local") && json_is_integer(uid) &&
        (json_integer_value(uid) == 0 || json_integer_value(uid) == (json_int_t)geteuid());
}

/* Decide from the table alone. */
static bool allowed(struct api_call *c)
{
    if (c->route->flags & API_LOCAL) {
        bool owner = local_owner(c);
        if (!owner)
            api_fail(c, 403, "denied", NULL, NULL); /* c is gone now */
        return owner;
    }
    if (c->who.must_change && !(c->route->flags & API_FIRST_PASSWORD)) { /* whatever the role may: this comes first */
        api_fail(c, 403, "password_first", "password", NULL);
        return false;
    }
    if (c->route->who & c->who.bit)
        return true;
    bool anonymous = c->who.bit & (API_NOBODY | API_STRANGER | API_SETUP | API_COUNTER | API_MONITOR);
    if (anonymous && c->who.bit != API_STRANGER && !api_setup_done(c->api))
        api_fail(c, 409, "setup_needed", NULL, NULL);
    else if (anonymous && (c->who.bit & (API_NOBODY | API_STRANGER)))
        api_fail(c, 401, "not_signed_in", NULL, NULL);
    else
        api_fail(c, 403, "denied", NULL, NULL);
    return false;
}

static bool csrf_good(struct api_call *c)
{
    if (!strcmp(c->route->method, "GET") || (c->route->flags & API_NO_CSRF) || c->who.bearer)
        return true;
    if (c->who.bit & (API_NOBODY | API_STRANGER | API_DEVICE | API_PEER))
        return true; /* nothing of theirs travels with a request by itself */
    const char *sent = api_str(json_object_get(c->req, "headers"), "x-csrf-token");
    if (c->who.csrf[0] && strlen(sent) == strlen(c->who.csrf) && sm_ct_eq(sent, c->who.csrf, strlen(sent)))
        return true;
    api_fail(c, 403, "csrf", NULL, NULL);
    return false;
}

static bool body_good(struct api_call *c, struct sm_span body)
{
    if (c->route->body == API_STREAM)
        return true;
    if (body.n > c->route->body_max && c->route->body != API_NO_BODY) {
        api_fail(c, 413, "too_large", NULL, NULL);
        return false;
    }
    if (c->route->body == API_RAW && sm_buf_put_span(&c->raw, body) < 0) {
        api_fail(c, 503, "unavailable", NULL, NULL);
        return false;
    }
    if (c->route->body != API_JSON)
        return true;
    if (body.n == 0) {
        c->body = json_object();
        return true;
    }
    const char *type = api_str(json_object_get(c->req, "headers"), "content-type");
    char why[160] = "";
    bool typed = !strncasecmp(type, "application/json", 16);
    if (typed && sm_json_parse(body, c->route->body_max, &c->body, why) == 0 && json_is_object(c->body))
        return true;
    json_t *extra = json_object();
    api_set(extra, "detail", json_string(!typed ? "Content-Type: application/json" : why[0] ? why : "a JSON object"));
    api_fail(c, 400, "bad_request", NULL, extra);
    return false;
}

static void copy_parts(struct api_call *c, const struct api_match *m)
{
    for (unsigned i = 0; i < m->parts; i++) {
        memcpy(c->part[i], m->part[i], m->part_n[i]);
        c->part[i][m->part_n[i]] = 0;
    }
}

static struct api_call *call_new(struct api *a, const json_t *req, api_done_fn done, void *arg)
{
    struct api_call *c = a->calls_n < API_CALLS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->api = a;
    c->id = ++a->next_call;
    c->done = done;
    c->done_arg = arg;
    c->req = json_deep_copy(req);
    c->query = query_of(req);
    c->lang = lang_of(req);
    c->mem = json_object();
    c->raw = SM_BUF_INIT((size_t)1 << 20);
    c->keep = SM_BUF_INIT((size_t)1 << 20);
    c->next = a->calls;
    if (c->next)
        c->next->prev = &c->next;
    c->prev = &a->calls;
    a->calls = c;
    a->calls_n++;
    return c;
}

void api_handle(struct api *a, const json_t *req, struct sm_span body, api_done_fn done, void *arg, uint64_t *ret_call)
{
    struct api_call *c = call_new(a, req, done, arg);
    if (!c) {
        static const char busy[] = "{\"error\":{\"code\":\"unavailable\",\"message\":\"busy\"}}";
        const struct api_response r = { .status = 503, .body = SM_SPAN(busy, sizeof busy - 1) };
        done(arg, &r);
        return;
    }
    if (ret_call)
        *ret_call = c->id;
    const char *path = api_str(req, "path"), *method = api_str(req, "method"), *port = api_str(req, "port");
    session_find(a, req, &c->who);
    struct api_match m;
    (void)snprintf(c->path, sizeof c->path, "%s", path); /* a cut path matches nothing that exists */
    api_match(method, c->path, &m);
    bool agent = !strcmp(port, "agent");
    if (m.route && !strncmp(m.route->path, "/agent/", 7) != agent && strcmp(m.route->path, "/healthz") != 0)
        m.route = NULL; /* the two ports know nothing of each other's routes */
    if (!m.route) {
        api_fail(c, m.other_method ? 405 : 404, m.other_method ? "method" : "not_found", NULL, NULL);
        return;
    }
    c->route = m.route;
    copy_parts(c, &m);
    if (allowed(c) && csrf_good(c) && body_good(c, body)) {
        if ((m.route->flags & API_UNLOCKED) && !api_unlocked(a))
            api_fail(c, 409, "unlock_needed", NULL, NULL);
        else
            m.route->handler(c);
    }
}

void api_by_itself(struct api *a, const struct api_caller_info *who, const char *method, const char *path, json_t *body,
    api_done_fn done, void *arg)
{
    json_t *req = json_pack("{s:s,s:s}", "method", method, "path", path);
    struct api_call *c = req ? call_new(a, req, done, arg) : NULL;
    struct api_match m;
    json_decref(req);
    if (!c) {
        json_decref(body);
        return;
    }
    c->who = *who;
    c->body = body;
    (void)snprintf(c->path, sizeof c->path, "%s", path); /* our own: short */
    api_match(method, c->path, &m);
    c->route = m.route;
    if (!m.route) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    copy_parts(c, &m);
    m.route->handler(c);
}

void api_gone(struct api *a, uint64_t call)
{
    for (struct api_call *c = a->calls; c; c = c->next)
        if (c->id == call && c->held && !c->ended) {
            c->gone = true;
            c->hold_until_ms = 0; /* the next turn of the clock lets it go */
            if (c->who.bit == API_DEVICE)
                alive_closed(a, c->who.device);
            return;
        }
}
