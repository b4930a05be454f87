/* How long what is kept: rules, clean-up, orders of the recovery sheet, legal holds, the date, quotas.  The vault decides;
 * this only asks it, names things in words, and tells people. */
#include <errno.h>
#include "api/internal.h"

static void plain_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (j)
        api_reply(c, 200, j);
}

static json_t *who_json(const struct api_call *c)
{
    return json_pack("{s:s,s:s}", "by", c->who.account, "role", c->who.role);
}

/* ---- reading ---- */

static void name_hold(struct api *a, json_t *hold)
{
    const char *scope = api_str(hold, "scope"), *what = api_str(hold, "what");
    json_t *row = NULL;
    if (!strcmp(scope, "client"))
        row = api_row(a, STATE_device_by_client, STATE_ARGS(state_t(what)));
    else if (!strcmp(scope, "source"))
        row = api_row(a, STATE_source_any, STATE_ARGS(state_t(what)));
    api_set(hold, "name", json_string(api_str(row, "name")));
    if (!strcmp(scope, "client")) {
        api_set(hold, "scope", json_string("device"));
        api_set(hold, "what", json_string(api_str(row, "id")));
    } else if (!strcmp(scope, "manifest")) {
        api_set(hold, "scope", json_string("generation"));
    }
    json_decref(row);
}

static json_t *sources_json(struct api *a)
{
    json_t *rows = api_rows(a, STATE_sources, STATE_NONE), *out = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        json_t *d = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device"))));
        api_append(out, json_pack("{s:s,s:s,s:s,s:s}", "id", api_str(row, "id"), "name", api_str(row, "name"), "device",
            api_str(row, "device"), "device_name", api_str(d, "name")));
        json_decref(d);
    }
    json_decref(rows);
    return out;
}

static void retention_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *v;
    size_t i;
    if (!j)
        return;
    json_array_foreach(json_object_get(j, "holds"), i, v)
        name_hold(c->api, v);
    api_set(j, "sources", sources_json(c->api));
    api_reply(c, 200, j);
}

void h_retention(struct api_call *c)
{
    const char *source = api_str(c->query, "source");
    if (*source && !api_is_hex(source, 32))
        api_fail(c, 400, "bad_request", "source", NULL);
    else
        api_ask(c, "V_RETENTION", *source ? json_pack("{s:s}", "source", source) : json_object(), retention_got);
}

/* ---- clean-up ---- */

static void clean_started(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (j)
        api_reply(c, 202, j);
}

void h_clean_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    bool dry = sm_obj_bool(&o, "dry_run", false), cancel = sm_obj_bool(&o, "cancel", false);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s", cancel ? "cancel" : dry ? "dry run" : "start");
    api_ask(c, "V_CLEAN", cancel ? json_pack("{s:b}", "cancel", 1) : json_pack("{s:b,s:b}", "start", 1, "dry", dry),
        clean_started);
}

void h_clean_get(struct api_call *c)
{
    api_ask(c, "V_CLEAN", json_object(), plain_got);
}

/* ---- orders ---- */

static void order_key(const char *id, char ret[96])
{
    (void)snprintf(ret, 96, "order:%.40s", id); /* fits */
}

/* Everybody hears of it while there is time to stop it. */
/* What the order would do, in numbers: what the signer wrote as its reason may be anything. */
static void order_numbers(const json_t *order, char ret[80])
{
    const json_t *p = json_object_get(order, "policy");
    if (json_is_object(p))
        (void)snprintf(ret, 80, "%lld / %lld / %lld / %lld, %lld", (long long)api_int(p, "hourly", 0),
            (long long)api_int(p, "daily", 0), (long long)api_int(p, "weekly", 0), (long long)api_int(p, "monthly", 0),
            (long long)api_int(p, "min_days", 0));
    else if (api_int(order, "credit_ms", 0))
        (void)snprintf(ret, 80, "%lld", (long long)(api_int(order, "credit_ms", 0) / 86400000));
    else
        (void)snprintf(ret, 80, "%lld", (long long)api_int(order, "manifests", 0));
}

static void order_tell(struct api *a, const json_t *order)
{
    char key[96], numbers[80];
    const char *kind = api_str(order, "kind");
    order_numbers(order, numbers);
    order_key(api_str(order, "id"), key);
    struct alarm_new n = { .kind = !strcmp(kind, "delete") ? "deletion" : !strcmp(kind, "policy") ? "shorter" :
            !strcmp(kind, "recipients") ? "recipients" : "gaintime",
        .state = "call", .key = key, .facts = json_pack("{s:s,s:s,s:s,s:s,s:I}", "order", api_str(order, "id"), "what",
            api_str(order, "reason"), "numbers", numbers, "by", api_str(order, "by"), "count",
            (json_int_t)api_int(order, "manifests", 0)) };
    alarm_open(a, &n);
}

static void order_taken(struct api_call *c, int err, struct sm_span body, const char *text)
{
    static const struct { int err, status; const char *code; } row[] = { { -SM_EMISMATCH, 400, "bad_request" },
        { -SM_EFORMAT, 400, "bad_request" }, { -SM_EAUTH, 403, "denied" }, { -SM_ENOTFOUND, 404, "not_found" },
        { -SM_EEXISTS, 409, "conflict" }, { -SM_ELIMIT, 409, "conflict" }, { -SM_ESTATE, 409, "conflict" } };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (err == row[i].err) {
            api_fail_say(c, row[i].status, row[i].code, "order", text && *text ? text : sm_strerror(err), NULL);
            return;
        }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    order_tell(c->api, j);
    api_reply(c, 201, j);
}

void order_hand_in(struct api_call *c, json_t *ask)
{
    api_ask(c, "V_ORDER", ask, order_taken);
}

void h_order_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *order = sm_obj_str(&o, "order", 1, 16384), *sig = sm_obj_str(&o, "sig", 128, 128);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%.200s", order);
    order_hand_in(c,
        json_pack("{s:s,s:s,s:s,s:s}", "order", order, "sig", sig, "by", c->who.account, "from", c->who.remote));
}

static void order_cancelled(struct api_call *c, int err, struct sm_span body, const char *text)
{
    char key[96];
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    order_key(c->part[0], key);
    alarm_close_key(c->api, key, c->who.account);
    api_reply(c, 200, j);
}

void h_order_cancel(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *why = sm_obj_str(&o, "why", 1, 200);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s %s", c->part[0], why);
    if (!api_is_hex(c->part[0], 32)) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *ask = who_json(c);
    api_set(ask, "cancel", json_string(c->part[0]));
    api_set(ask, "why", json_string(why));
    api_ask(c, "V_ORDER", ask, order_cancelled);
}

static void orders_looked(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    size_t i;
    json_t *x;
    (void)text;
    (void)mem;
    json_array_foreach(err < 0 ? NULL : json_object_get(answer, "orders"), i, x) {
        char key[96];
        order_key(api_str(x, "id"), key);
        if (strcmp(api_str(x, "state"), "waiting") != 0)
            alarm_close_key(a, key, "sakimori");
        else if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) == 0)
            order_tell(a, x); /* told again at each clean-up as long as it waits, also when an alarm was put away */
    }
}

/* Of the vault: what clean-up did, a freeze nobody looked at, a quota that is full.  true: it was one of these. */
bool retention_event(struct api *a, const json_t *e)
{
    const char *what = api_str(e, "what");
    json_t *d = api_row(a, STATE_device_by_client, STATE_ARGS(state_t(api_str(e, "client"))));
    char key[96];
    bool mine = true;
    if (!strcmp(what, "cleaned")) {
        api_tell(a, "V_RETENTION", json_object(), orders_looked, NULL);
        recipients_sync(a);
        api_event(a, "today", "", json_object());
    } else if (!strcmp(what, "still-frozen")) {
        (void)snprintf(key, sizeof key, "frozen:%.32s:%lld", api_str(e, "client"), (long long)api_int(e, "weeks", 0));
        struct alarm_new n = { .kind = "frozen", .state = "call", .key = key, .device = api_str(d, "id"),
            .facts = json_pack("{s:I}", "weeks", (json_int_t)api_int(e, "weeks", 0)) };
        alarm_open(a, &n);
    } else if (!strcmp(what, "quota")) {
        (void)snprintf(key, sizeof key, "quota:%.32s", api_str(e, "client")); /* fits */
        struct alarm_new n = { .kind = "quota", .state = "call", .key = key, .device = api_str(d, "id"),
            .facts = json_pack("{s:I}", "quota", (json_int_t)api_int(e, "quota", 0)) };
        alarm_open(a, &n);
    } else {
        mine = false;
    }
    json_decref(d);
    return mine;
}

/* ---- legal holds ---- */

void h_hold_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *scope = sm_obj_str(&o, "scope", 1, 16), *what = sm_obj_str(&o, "id", 1, 64),
               *reason = sm_obj_str(&o, "reason", 1, 200);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s %s: %s", scope, what, reason);
    bool device = !strcmp(scope, "device"), generation = !strcmp(scope, "generation"), source = !strcmp(scope, "source");
    json_t *d = device ? api_row(c->api, STATE_device, STATE_ARGS(state_t(what))) : NULL;
    if ((!device && !generation && !source) || (!device && !api_is_hex(what, generation ? 64 : 32)) || (device && !d)) {
        api_fail(c, device ? 404 : 400, device ? "not_found" : "bad_request", "id", NULL);
    } else {
        json_t *ask = who_json(c);
        api_set(ask, "scope", json_string(device ? "client" : generation ? "manifest" : "source"));
        api_set(ask, "what", json_string(device ? api_str(d, "client") : what));
        api_set(ask, "reason", json_string(reason));
        api_ask(c, "V_HOLD", ask, plain_got);
    }
    json_decref(d);
}

void h_hold_release(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *why = sm_obj_str(&o, "why", 1, 200);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s %s", c->part[0], why);
    if (!api_is_hex(c->part[0], 32)) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *ask = who_json(c);
    api_set(ask, "release", json_string(c->part[0]));
    api_set(ask, "why", json_string(why));
    api_ask(c, "V_HOLD", ask, plain_got);
}

/* ---- the date, quotas ---- */

void h_date_post(struct api_call *c)
{
    json_t *ask = who_json(c);
    api_set(ask, "confirm", json_true());
    api_audit_what(c, "confirmed");
    api_ask(c, "V_DATE", ask, plain_got);
}

static void quota_set(struct api_call *c, int err, struct sm_span body, const char *text)
{
    char key[96];
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    (void)snprintf(key, sizeof key, "quota:%.32s", api_str(c->mem, "client")); /* fits */
    alarm_close_key(c->api, key, c->who.account);
    api_reply(c, 200, j);
}

void h_quota_put(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    int64_t bytes = sm_obj_int(&o, "bytes", 0, INT64_MAX);
    if (api_refused(c, &o))
        return;
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    api_audit_what(c, "%s %lld", c->part[0], (long long)bytes);
    if (!d) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    api_set(c->mem, "client", json_string(api_str(d, "client")));
    api_ask(c, "V_QUOTA", json_pack("{s:s,s:I,s:s}", "client", api_str(d, "client"), "bytes", (json_int_t)bytes, "by",
        c->who.account), quota_set);
    json_decref(d);
}
