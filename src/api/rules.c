/* Rules: the list, one rule with what it found and what people said of it, the switch, and trying one on a line. */
#include <errno.h>
#include <inttypes.h>
#include "api/watch.h"

enum { RULES_OFF_MAX = 10000, HIT_DAYS = 30, KEPT_DAYS = 400, DAY_S = 86400, FILTERS_MAX = 200, WHY_MAX = 500 };

/* ---- how often each matched ---- */

/* W_HITS: [[rule, more], …]. */
void api_on_rule_hits(struct api *a, const json_t *e)
{
    int64_t day = api_now() / DAY_S;
    const json_t *v;
    size_t i;

    if (state_begin(a->state) < 0)
        return; /* counts for people: the record has the events */
    json_array_foreach(json_object_get(e, "hits"), i, v) {
        const char *rule = json_string_value(json_array_get(v, 0));
        json_int_t n = json_integer_value(json_array_get(v, 1));
        if (rule && n > 0)
            (void)!state_do(a->state, STATE_rule_hit, STATE_ARGS(state_t(rule), state_i(day), state_i(n))); /* as above */
    }
    (void)!state_end(a->state, true); /* as above */
}

void rules_daily(struct api *a, int64_t now)
{
    (void)!state_do(a->state, STATE_rule_hits_forget, STATE_ARGS(state_i(now / DAY_S - KEPT_DAYS))); /* tomorrow again */
}

static int64_t since_day(void)
{
    return api_now() / DAY_S - HIT_DAYS + 1;
}

static json_t *hits_by_day(struct api *a, const char *rule)
{
    json_t *rows = api_rows(a, STATE_rule_hits_days, STATE_ARGS(state_t(rule), state_i(since_day()))), *row, *out = json_array();
    size_t i;

    json_array_foreach(rows, i, row)
        api_append(out, json_pack("{s:o,s:I}", "day", api_time(api_int(row, "day", 0) * DAY_S), "n", (json_int_t)api_int(row, "n", 0)));
    json_decref(rows);
    return out;
}

/* ---- what people said ---- */

static json_t *setting_of(struct api *a, const char *key, bool list)
{
    json_t *v = state_setting(a->state, key);

    if (list ? json_is_array(v) : json_is_object(v))
        return v;
    json_decref(v);
    return list ? json_array() : json_object();
}

/* Reason, time and person of a switch; those of versions before have none. */
static void add_note(json_t *rule, const json_t *notes)
{
    json_t *note = json_object_get(notes, api_str(rule, "id"));

    if (note && !api_bool(rule, "replaced"))
        api_set(rule, "off_note", json_incref(note));
}

/* ---- the list, one ---- */

static void rules_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *row;
    size_t i;

    if (!j)
        return;
    json_t *notes = setting_of(c->api, "rules_off_notes", false);
    json_array_foreach(json_object_get(j, "items"), i, row) {
        const char *id = api_str(row, "id");
        api_set(row, "hits_30", json_integer(state_number(c->api->state, STATE_rule_hits_since, 0, STATE_ARGS(state_t(id), state_i(since_day())))));
        if (api_bool(row, "off"))
            add_note(row, notes);
    }
    if (json_object_get(j, "next")) { /* a cursor is a text */
        char next[32];
        (void)snprintf(next, sizeof next, "%" PRId64, api_int(j, "next", 0)); /* fits */
        api_set(j, "next", json_string(next));
    }
    json_decref(notes);
    api_reply(c, 200, j);
}

void h_rules(struct api_call *c)
{
    static const char *const words[] = { "text", "id", "state", "level", "product", "tag", "source", "kind" };
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *ask = json_pack("{s:I,s:I,s:b}", "from", (json_int_t)offset, "limit", (json_int_t)limit, "faults",
        !strcmp(api_str(c->query, "faults"), "1"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *v = api_str(c->query, words[i]);
        json_t *said = *v ? json_stringn(v, strnlen(v, 200)) : NULL;
        if (said)
            api_set(ask, words[i], said);
    }
    api_ask(c, "W_RULES", ask, rules_done);
}

static void rule_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);

    if (!j)
        return;
    const char *id = api_str(j, "id");
    json_t *notes = setting_of(c->api, "rules_off_notes", false), *own = api_row(c->api, STATE_own_rule, STATE_ARGS(state_t(id)));
    if (api_bool(j, "off"))
        add_note(j, notes);
    api_set(j, "days", hits_by_day(c->api, id));
    api_set(j, "filters",
        api_rows(c->api, STATE_rule_filters, STATE_ARGS(state_t(id), state_i(FILTERS_MAX), state_i(0))));
    if (own && !strcmp(api_str(j, "source"), "own"))
        api_set(j, "own", own);
    else
        json_decref(own);
    json_decref(notes);
    api_reply(c, 200, j);
}

void h_rule(struct api_call *c)
{
    api_ask(c, "W_RULE", json_pack("{s:s}", "id", c->part[0]), rule_done);
}

/* ---- the switch ---- */

/* Where id is in the list; its size when it is not. */
static size_t rule_at(const json_t *off, const char *id)
{
    size_t i;
    const json_t *v;

    json_array_foreach(off, i, v)
        if (json_is_string(v) && !strcmp(json_string_value(v), id))
            return i;
    return json_array_size(off);
}

static int keep_switch(struct api_call *c, const json_t *off, bool on)
{
    json_t *notes = setting_of(c->api, "rules_off_notes", false);
    int r = state_begin(c->api->state);

    (void)json_object_del(notes, c->part[0]); /* not there: nothing to take out */
    if (!on)
        api_set(notes, c->part[0], json_pack("{s:s,s:s,s:o}", "why", api_str(c->body, "why"), "by", c->who.account, "at", api_time(api_now())));
    if (r >= 0) {
        r = state_set(c->api->state, "rules_off", off);
        if (r >= 0)
            r = state_set(c->api->state, "rules_off_notes", notes);
        int end = state_end(c->api->state, r >= 0);
        r = r < 0 ? r : end;
    }
    json_decref(notes);
    return r;
}

static void rule_switch(struct api_call *c)
{
    bool on = json_is_true(json_object_get(c->body, "on"));
    json_t *off = setting_of(c->api, "rules_off", true);

    (void)json_array_remove(off, rule_at(off, c->part[0])); /* not there: nothing to take out */
    if (!on && json_array_size(off) >= RULES_OFF_MAX) {
        json_decref(off);
        api_fail(c, 413, "too_large", NULL, NULL);
        return;
    }
    if (!on)
        api_append(off, json_string(c->part[0]));
    int r = keep_switch(c, off, on);
    json_decref(off);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    logs_configure(c->api, false);
    api_reply(c, 200, json_pack("{s:s,s:b}", "id", c->part[0], "on", on));
}

static void rule_known(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    bool known = json_array_size(json_object_get(j, "items")) > 0;

    json_decref(j);
    if (!j)
        return;
    if (known)
        rule_switch(c);
    else
        api_fail(c, 404, "not_found", NULL, NULL);
}

/* Switched off or on again.  The list is a setting: a rule on it can be taken off it also when it is not loaded now. */
void h_rule_patch(struct api_call *c)
{
    const json_t *said = json_object_get(c->body, "on");
    struct sm_obj o = SM_OBJ(c->body);
    const char *why = sm_obj_str_opt(&o, "why", WHY_MAX);

    if (!json_is_boolean(said)) {
        api_fail(c, 400, "bad_request", "on", NULL);
        return;
    }
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s %s%s%.200s", c->part[0], json_is_true(said) ? "on" : "off", why && *why ? ": " : "", why ? why : "");
    json_t *off = setting_of(c->api, "rules_off", true);
    bool listed = rule_at(off, c->part[0]) < json_array_size(off);
    json_decref(off);
    if (listed)
        rule_switch(c);
    else
        api_ask(c, "W_RULES", json_pack("{s:i,s:i,s:s}", "from", 0, "limit", 1, "id", c->part[0]), rule_known);
}

void h_rules_reload(struct api_call *c)
{
    logs_configure(c->api, true);
    api_reply(c, 202, json_object());
}

/* ---- trying one ---- */

static void test_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);

    if (j)
        api_reply(c, 200, j);
}

void h_rule_test(struct api_call *c)
{
    static const struct { const char *key; size_t max; } parts[] = { { "rule", 200 }, { "text", 65536 }, { "line", 65536 }, { "format", 60 },
        { "instead", 200 } };
    struct sm_obj o = SM_OBJ(c->body);
    json_t *ask = json_object();

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *v = sm_obj_str_opt(&o, parts[i].key, parts[i].max);
        if (v)
            api_set(ask, i ? parts[i].key : "id", json_string(v));
    }
    if (!o.err && !json_object_get(ask, "id") && !json_object_get(ask, "text")) {
        json_decref(ask);
        api_fail(c, 400, "bad_request", "rule", NULL);
    } else if (!api_refused(c, &o)) {
        api_ask(c, "W_TRY", ask, test_done);
    } else {
        json_decref(ask);
    }
}
