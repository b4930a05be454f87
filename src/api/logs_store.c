/*
 * Where logs are searched: on this box alone, or in ClickHouse too (docs/CLICKHOUSE.md).  The address lies here, the
 * password with the parent alone; the process house does the work and says how far it is.
 */
#include <errno.h>
#include "api/watch.h"

enum { AWAY_S = 3600 /* after this somebody is told */, URLS_MAX = 2400 };

/* What was set; the caller's. */
static json_t *store_set(struct api *a)
{
    json_t *s = state_setting(a->state, "log_store");

    if (json_is_object(s))
        return s;
    json_decref(s);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "store", "local", "urls", "", "database", "sakimori", "table",
        "events", "user", "", "ca", "", "password_set", 0);
}

bool logs_store_on(struct api *a)
{
    json_t *s = store_set(a);
    bool on = !strcmp(api_str(s, "store"), "clickhouse");

    json_decref(s);
    return on;
}

static json_t *store_json(struct api *a)
{
    json_t *s = store_set(a);

    api_set(s, "state", logs_store_on(a) && a->house ? json_deep_copy(a->house) : json_null());
    return s;
}

void h_log_store(struct api_call *c)
{
    api_reply(c, 200, store_json(c->api));
}

/* ---- setting it ---- */

static void lower(struct api *a, const char *key)
{
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0)
        alarm_close_key(a, key, "sakimori");
}

static void put_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_EINVAL) {
        api_fail_say(c, 400, "bad_request", "store", text && *text ? text : text_get(c->lang, T_BAD_REQUEST), NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    int r = state_set(c->api->state, "log_store", c->mem);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    json_decref(c->api->house); /* of the servers before */
    c->api->house = NULL;
    lower(c->api, "log_store");
    lower(c->api, "log_store_odd");
    api_reply(c, 200, store_json(c->api));
}

void h_log_store_put(struct api_call *c)
{
    static const char *const known[] = {
        "store", "urls", "database", "table", "user", "password", "ca", "password_set", "state", NULL};
    static const struct {
        const char *name;
        size_t max;
    } texts[] = {{"urls", URLS_MAX}, {"database", 60}, {"table", 60}, {"user", 99}, {"ca", 255}};
    struct sm_obj o = SM_OBJ(c->body);
    json_t *now = store_set(c->api), *parent = json_object();

    sm_obj_only(&o, known);
    const char *store = sm_obj_str(&o, "store", 1, 16), *password = sm_obj_str_opt(&o, "password", 250);
    char was[URLS_MAX + 1];

    (void)snprintf(was, sizeof was, "%s", api_str(now, "urls")); /* it fits */
    api_set(now, "store", json_string(store));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *t = sm_obj_str_opt(&o, texts[i].name, texts[i].max);
        if (t)
            api_set(now, texts[i].name, json_string(t));
        api_set(parent, texts[i].name, json_string(api_str(now, texts[i].name)));
    }
    api_set(parent, "store", json_string(store));
    if (strcmp(api_str(now, "urls"), was) != 0)
        api_set(now, "password_set", json_false()); /* it is for those servers */
    if (password) {
        api_set(parent, "password", json_string(password));
        api_set(now, "password_set", json_boolean(*password != 0));
    }
    api_audit_what(c, "%s %.300s", store, api_str(now, "urls"));
    if (api_refused(c, &o)) {
        json_decref(now);
        sm_json_drop_secret(parent);
        return;
    }
    json_decref(c->mem);
    c->mem = now;
    api_ask(c, "P_HOUSE", parent, put_done);
}

static void init_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err < 0 && text && *text && err != -ENOMEM) { /* in the server's words: whoever makes tables knows them */
        api_fail_say(
            c, err == -SM_EINVAL ? 400 : 502, err == -SM_EINVAL ? "bad_request" : "store_failed", NULL, text, NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (j)
        api_reply(c, 200, j);
}

void h_log_store_init(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    static const char *const known[] = {"cluster", NULL};
    const char *cluster = sm_obj_str_opt(&o, "cluster", 60);

    sm_obj_only(&o, known);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s", cluster ? cluster : "");
    if (!logs_store_on(c->api)) {
        api_fail(c, 409, "conflict", "store", NULL);
        return;
    }
    api_ask(c, "H_INIT", json_pack("{s:s}", "cluster", cluster ? cluster : ""), init_done);
}

/* ---- how far it is ---- */

static void raise(struct api *a, const char *kind, json_t *what /* taken */)
{
    struct alarm_new n = {.kind = kind, .state = "look", .key = kind, .facts = json_pack("{s:o}", "what", what)};

    alarm_open(a, &n);
}

/* H_STATE. */
void api_on_house(struct api *a, const json_t *e)
{
    if (!logs_store_on(a))
        return; /* told before it ended */
    bool changed = !a->house || api_bool(a->house, "there") != api_bool(e, "there");
    json_decref(a->house);
    a->house = json_deep_copy(e);
    if (changed)
        api_event(a, "logs", "", json_object());
    if (api_bool(e, "there"))
        lower(a, "log_store");
    else if (api_int(e, "since_s", 0) && api_now() - api_int(e, "since_s", 0) > AWAY_S)
        raise(a, "log_store", json_string(api_str(e, "why")));
    if (api_int(e, "odd", 0))
        raise(a, "log_store_odd", json_integer(api_int(e, "odd_first", 0)));
    else if (api_bool(e, "there"))
        lower(a, "log_store_odd");
}

/* ---- questions ---- */

void logs_ask(struct api_call *c, const char *what, json_t *body, api_then_fn then)
{
    char message[24];

    (void)snprintf(message, sizeof message, "%s_%.16s", logs_store_on(c->api) ? "H" : "J", what); /* short */
    api_ask(c, message, body, then);
}

bool logs_ask_here(struct api_call *c, int err, api_then_fn then)
{
    struct sm_buf b = SM_BUF_INIT((size_t)64 << 10);
    char message[24];

    if (err != -SM_EPEER || strncmp(c->message, "H_", 2) != 0)
        return false;
    (void)snprintf(message, sizeof message, "J_%.20s", c->message + 2); /* short */
    int r = sm_buf_put_span(&b, sm_buf_span(&c->keep));
    api_set(c->mem, "away", json_string("house"));
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_ask_raw(c, message, sm_buf_span(&b), then);
    sm_buf_wipe(&b);
    return true;
}
