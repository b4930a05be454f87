/* What people keep of their work with logs: searches under a name, holds on what would be removed, and which doors for logs are
 * shut. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "api/watch.h"

enum { SAVED_MAX = 200, NAME_MAX_BYTES = 120, QUERY_MAX = 8192 };

/* ---- searches ---- */

static const char *const spans[] = { "1h", "24h", "7d", "30d", "all", "fixed" };

static bool span_known(const char *span)
{
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (!strcmp(span, spans[i]))
            return true;
    return false;
}

void h_logs_saved(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_log_searches, STATE_ARGS(state_i(limit + 1), state_i(offset))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        api_set(row, "own", json_boolean(!strcmp(api_str(row, "by"), c->who.account)));
        if (json_is_null(json_object_get(row, "from")))
            (void)json_object_del(row, "from"); /* not there: as wanted */
        if (json_is_null(json_object_get(row, "until")))
            (void)json_object_del(row, "until"); /* as above */
    }
    api_reply_list(c, rows, limit, offset);
}

static void keep(struct api_call *c)
{
    const json_t *b = c->mem;
    bool fixed = !strcmp(api_str(b, "span"), "fixed");
    char id[API_ID_TEXT];

    if (state_number(c->api->state, STATE_log_search_named, 0, STATE_ARGS(state_t(api_str(b, "name")))) > 0) {
        api_fail_say(c, 409, "conflict", "name",
            c->lang == TEXT_EN ? "There is a search of this name." : "同じ名前の検索が、もうあります。", NULL);
        return;
    }
    if (state_number(c->api->state, STATE_log_searches_n, 0, STATE_NONE) >= SAVED_MAX) {
        api_fail(c, 413, "too_large", NULL, NULL);
        return;
    }
    api_id(id);
    if (api_do(c, STATE_log_search_add,
            STATE_ARGS(state_t(id), state_t(api_str(b, "name")), state_t(api_str(b, "q")), state_t(api_str(b, "span")),
                fixed ? state_i(api_int(b, "from_s", 0)) : state_t(NULL), fixed ? state_i(api_int(b, "until_s", 0)) : state_t(NULL),
                state_t(c->who.account), state_i(api_now()))))
        api_reply(c, 201, json_pack("{s:s}", "id", id));
}

/* The seeker read the text as a question: only one that can be asked is kept. */
static void asked(struct api_call *c, int err, struct sm_span body, const char *text)
{
    (void)body;
    if (err == -SM_EINVAL && text && *text)
        logs_bad_query(c, json_loads(text, 0, NULL));
    else if (err < 0 && err != -SM_ENOTFOUND) /* nothing was logged yet: it is a question all the same */
        api_fail_err(c, err, text);
    else
        keep(c);
}

/* {"name","q","span":"1h|24h|7d|30d|all|fixed","from"?,"until"?} */
void h_logs_saved_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str(&o, "name", 1, NAME_MAX_BYTES), *q = sm_obj_str(&o, "q", 0, QUERY_MAX), *span = sm_obj_str(&o, "span", 2, 8),
               *from = sm_obj_str_opt(&o, "from", 40), *until = sm_obj_str_opt(&o, "until", 40);
    int64_t from_s = 0, until_s = 0;

    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s", name);
    bool fixed = !strcmp(span, "fixed");
    const char *bad = !span_known(span) ? "span" : fixed && (!from || !api_moment(from, false, &from_s)) ? "from"
        : fixed && (!until || !api_moment(until, true, &until_s) || until_s <= from_s) ? "until" : NULL;
    if (bad) {
        api_fail(c, 400, "bad_request", bad, NULL);
        return;
    }
    json_decref(c->mem);
    c->mem = json_pack("{s:s,s:s,s:s,s:I,s:I}", "name", name, "q", q, "span", span, "from_s", (json_int_t)from_s, "until_s", (json_int_t)until_s);
    api_ask(c, "J_SEARCH", json_pack("{s:s,s:i,s:i,s:i}", "q", q, "from_s", 0, "until_s", 1, "limit", 1), asked);
}

/* Whoever may search is a chief, and a chief may remove any. */
void h_logs_saved_delete(struct api_call *c)
{
    api_audit_what(c, "%s", c->part[0]);
    int r = state_do(c->api->state, STATE_log_search_remove, STATE_ARGS(state_t(c->part[0])));
    api_changed(c, r);
}

/* ---- holds on classes ---- */

static json_t *class_of(json_t *list, int64_t number)
{
    size_t i;
    json_t *row;

    json_array_foreach(list, i, row)
        if (api_int(row, "class", -1) == number)
            return row;
    return NULL;
}

static int64_t class_number(const char *text)
{
    char *end = NULL;
    long n = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;

    return end && !*end && n < LOG_CLASSES_MAX ? n : -1;
}

static void hold_set(struct api_call *c, bool on)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *why = sm_obj_str(&o, "why", 1, 500);

    if (api_refused(c, &o))
        return;
    json_t *list = logs_classes(c->api), *row = class_of(list, class_number(c->part[0]));
    api_audit_what(c, "%s %s", c->part[0], why);
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
    } else if (on == json_is_object(json_object_get(row, "hold"))) {
        api_fail(c, 409, "conflict", NULL, NULL);
    } else {
        api_set(row, "hold", on ? json_pack("{s:s,s:s,s:o}", "by", c->who.account, "why", why, "at", api_time(api_now())) : json_null());
        int r = state_set(c->api->state, "log_classes", list);
        if (r < 0) {
            api_fail_err(c, r, NULL);
        } else {
            logs_configure(c->api, false);
            api_reply(c, 200, json_pack("{s:O}", "classes", list));
        }
    }
    json_decref(list);
}

void h_log_hold(struct api_call *c)
{
    hold_set(c, true);
}

void h_log_release(struct api_call *c)
{
    hold_set(c, false);
}

/* ---- doors ---- */

json_t *logs_doors(struct api *a)
{
    static const char *const names[3] = { "udp", "tcp", "tls" };
    json_t *off = state_setting(a->state, "log_doors_off"), *list = json_array();

    for (size_t i = 0; i < 3; i++)
        api_append(list, json_pack("{s:s,s:i,s:b}", "listener", names[i], "port", (int)a->cfg.log_ports[i], "on",
            a->cfg.log_ports[i] && !json_is_true(json_object_get(off, names[i]))));
    json_decref(off);
    return list;
}

void logs_doors_tell(struct api *a)
{
    if (a->cfg.ops.doors) {
        json_t *list = logs_doors(a);
        a->cfg.ops.doors(a->cfg.ops.arg, list);
        json_decref(list);
    }
}

/* {"on"}: a door of the settings file is shut, or opened again; one without a port has none to open. */
void h_log_door_patch(struct api_call *c)
{
    static const char *const names[3] = { "udp", "tcp", "tls" };
    const json_t *said = json_object_get(c->body, "on");
    size_t i = 0;

    while (i < 3 && strcmp(names[i], c->part[0]) != 0)
        i++;
    api_audit_what(c, "%s %s", c->part[0], json_is_true(said) ? "on" : "off");
    if (i == 3 || !json_is_boolean(said)) {
        api_fail(c, i == 3 ? 404 : 400, i == 3 ? "not_found" : "bad_request", i == 3 ? NULL : "on", NULL);
        return;
    }
    if (!c->api->cfg.log_ports[i]) {
        api_fail_say(c, 409, "conflict", "on", c->lang == TEXT_EN ? "The settings file names no port for it." :
            "設定ファイルに、この口のポートがありません。", NULL);
        return;
    }
    json_t *off = state_setting(c->api->state, "log_doors_off");
    if (!json_is_object(off)) {
        json_decref(off);
        off = json_object();
    }
    api_set(off, names[i], json_boolean(!json_is_true(said)));
    int r = state_set(c->api->state, "log_doors_off", off);
    json_decref(off);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    logs_doors_tell(c->api);
    api_reply(c, 200, json_pack("{s:o}", "doors", logs_doors(c->api)));
}
