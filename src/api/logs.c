/*
 * Sources of logs: who was heard, what people say of them, what was dropped, and what watch is told of all that.  Alarms
 * when a source falls silent, its clock jumps, records are lost or the record cannot be kept.
 */
#include <errno.h>
#include <inttypes.h>
#include "api/watch.h"

enum { SOURCES_MAX = 9000, SENDERS_MAX = 5000, CLASSES_MAX = LOG_CLASSES_MAX, LOST_LOOK = 1000, FORGET_S = 30 * 86400 };

/* ---- what watch is told ---- */

json_t *logs_classes(struct api *a)
{
    json_t *list = state_setting(a->state, "log_classes");

    if (json_is_array(list))
        return list;
    json_decref(list);
    /* A year and a little more, so that a whole year can be looked at in the month after. */
    return json_pack("[{s:i,s:s,s:s,s:i,s:I}]", "class", 0, "ja", "ふつう", "en", "standard", "days", 400, "bytes", (json_int_t)0);
}

/* What is on hold has no end. */
static json_t *retention(struct api *a)
{
    json_t *list = logs_classes(a), *row, *copy = json_deep_copy(list);
    size_t i;

    json_decref(list);
    json_array_foreach(copy, i, row)
        if (json_is_object(json_object_get(row, "hold"))) {
            api_set(row, "days", json_integer(0));
            api_set(row, "bytes", json_integer(0));
        }
    return copy;
}

void logs_configure(struct api *a, bool reload)
{
    json_t *off = state_setting(a->state, "rules_off");

    if (!a->watch_there) {
        json_decref(off);
        return;
    }
    api_tell(a, "W_OWN", rules_own(a), NULL, NULL);
    json_t *body = json_pack("{s:o,s:o,s:o,s:o,s:o,s:b}", "places", places_patterns(a), "machines", device_logs_hints(a), "hints", api_rows(a, STATE_log_hints, STATE_NONE), "retention", retention(a), "off",
        off ? off : json_array(), "reload", reload);
    api_tell(a, "W_CONFIG", body, NULL, NULL);
}

/* ---- alarms ---- */

static void raise(struct api *a, const char *kind, const char *state, const char *key, const char *what)
{
    struct alarm_new n = { .kind = kind, .state = state, .key = key, .facts = json_pack("{s:s}", "what", what) };

    alarm_open(a, &n);
}

static void lower(struct api *a, const char *key)
{
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0)
        alarm_close_key(a, key, "sakimori");
}

static const char *called(const json_t *row, char ret[160])
{
    const char *name = api_str(row, "name"), *host = api_str(row, "host"), *address = api_str(row, "address");

    (void)snprintf(ret, 160, "%.100s%s%.50s%s", *name ? name : *host ? host : address, *name || *host ? " (" : "", *name || *host ? address : "",
        *name || *host ? ")" : ""); /* cut when it is long */
    while (*ret && !sm_utf8_valid(SM_SPAN_STR(ret)))
        ret[strlen(ret) - 1] = 0;
    return ret;
}

/* A file that was touched while the record was open says which and how; what opening found is one text. */
static void damaged(struct api *a, const json_t *e)
{
    static const struct { const char *word, *ja, *en; } how[] = { { "deleted", "消された", "deleted" }, { "replaced", "入れかえられた", "replaced" },
        { "cut", "切りつめられた", "cut short" }, { "rewritten", "書きかえられた", "rewritten" } };
    const char *kind = api_str(e, "kind"), *file = api_str(e, "file");
    bool en = api_box_lang(a) == TEXT_EN, rescued = json_is_true(json_object_get(e, "rescued"));
    char what[200];

    (void)snprintf(what, sizeof what, "%.150s", api_str(e, "why")); /* cut when it is long */
    for (size_t i = 0; i < sizeof how / sizeof *how; i++)
        if (!strcmp(kind, how[i].word))
            (void)snprintf(what, sizeof what, "%.40s: %s%s", file, en ? how[i].en : how[i].ja, !rescued ? "" : /* fits */
                en ? "; what was in it is kept" : "。中にあったログは残っている");
    raise(a, "log_damaged", "call", "log_damaged", what);
    logkeep_damaged(a);
}

/* W_EVENT. */
void api_on_log_event(struct api *a, const json_t *e)
{
    const char *what = api_str(e, "what");

    if (!strcmp(what, "stopped"))
        raise(a, "log_stopped", "look", "log_stopped", api_str(e, "why"));
    else if (!strcmp(what, "going"))
        lower(a, "log_stopped");
    else if (!strcmp(what, "unsealed"))
        raise(a, "log_unsealed", "call", "log_unsealed", api_str(e, "why"));
    else if (!strcmp(what, "damaged"))
        damaged(a, e);
}

/* ---- what is heard ---- */

/* Events of the last whole minute: two counters a source, forgotten with the process. */
static void rate_count(struct api *a, int64_t number, int64_t n)
{
    char key[32];
    int64_t minute = api_now() / 60;

    if (!a->log_rates)
        a->log_rates = json_object();
    (void)snprintf(key, sizeof key, "%" PRId64, number); /* fits */
    json_t *r = json_object_get(a->log_rates, key);
    if (!r) {
        api_set(a->log_rates, key, json_pack("{s:I,s:I,s:i}", "minute", (json_int_t)minute, "n", (json_int_t)n, "before", 0));
        return;
    }
    int64_t at = api_int(r, "minute", 0);
    if (at != minute)
        api_set(r, "before", json_integer(at == minute - 1 ? api_int(r, "n", 0) : 0));
    api_set(r, "n", json_integer((at == minute ? api_int(r, "n", 0) : 0) + n));
    api_set(r, "minute", json_integer(minute));
}

static int64_t rate_of(const struct api *a, const char *id)
{
    const json_t *r = json_object_get(a->log_rates, id);
    int64_t at = api_int(r, "minute", 0), minute = api_now() / 60;

    return at == minute ? api_int(r, "before", 0) : at == minute - 1 ? api_int(r, "n", 0) : 0;
}

static void saw(struct api *a, const json_t *s, int64_t *known)
{
    int64_t number = api_int(s, "number", 0);
    json_t *row = api_row(a, STATE_log_source, STATE_ARGS(state_i(number)));
    char key[64], name[160];

    if (!row && *known >= SOURCES_MAX)
        return; /* who invents senders fills no database: the events are in the record all the same */
    *known += !row;
    rate_count(a, number, api_int(s, "count", 0));
    if (state_do(a->state, STATE_log_source_saw,
            STATE_ARGS(state_i(number), state_t(api_str(s, "listener")), state_t(api_str(s, "address")), state_t(api_str(s, "host")),
                state_t(api_str(s, "format")), state_i(api_int(s, "count", 0)), state_i(api_int(s, "bytes", 0)), state_i(api_int(s, "unparsed", 0)),
                state_i(api_int(s, "cut", 0)), state_i(api_int(s, "first_s", 0)), state_i(api_int(s, "last_s", 0)), state_i(api_int(s, "skew_s", 0)))) < 0) {
        json_decref(row);
        return;
    }
    if (row && !strcmp(api_str(row, "state"), "ok")) {
        (void)snprintf(key, sizeof key, "log_silent:%" PRId64, number); /* fits */
        lower(a, key);
        (void)snprintf(key, sizeof key, "log_clock:%" PRId64, number); /* fits */
        if (api_int(s, "jump_s", 0))
            raise(a, "log_clock", "look", key, called(row, name));
    }
    json_decref(row);
}

/* W_SOURCES: counts since the last one. */
void api_on_log_sources(struct api *a, const json_t *e)
{
    int64_t known = state_number(a->state, STATE_log_sources_n, 0, STATE_NONE);
    const json_t *s;
    size_t i;

    if (state_begin(a->state) < 0)
        return; /* these counts are not added: the record has the events */
    json_array_foreach(json_object_get(e, "sources"), i, s)
        saw(a, s, &known);
    (void)!state_end(a->state, true); /* as above */
    api_event(a, "logs", "", json_object());
}

/* L_SENDERS: totals since the collector began (its stream says which life). */
void api_on_log_senders(struct api *a, const json_t *e)
{
    const json_t *s;
    size_t i;
    int64_t lost = 0;

    if (strcmp(api_str(a->log_senders, "stream"), api_str(e, "stream")) != 0) {
        json_decref(a->log_senders);
        a->log_senders = json_pack("{s:s,s:{}}", "stream", api_str(e, "stream"), "of");
    }
    json_t *of = json_object_get(a->log_senders, "of");
    json_array_foreach(json_object_get(e, "senders"), i, s) {
        char key[128];
        (void)snprintf(key, sizeof key, "%.8s/%.100s", api_str(s, "listener"), api_str(s, "address")); /* fits */
        if (json_object_size(of) < SENDERS_MAX || json_object_get(of, key))
            api_set(of, key, json_deep_copy(s));
        lost += api_int(s, "dropped", 0);
    }
    if (json_object_get(e, "listeners"))
        api_set(a->log_senders, "listeners", json_deep_copy(json_object_get(e, "listeners")));
    json_array_foreach(json_object_get(e, "listeners"), i, s)
        lost += api_int(s, "lost", 0);
    if (lost - a->log_lost_told >= LOST_LOOK) {
        char what[40];
        (void)snprintf(what, sizeof what, "%" PRId64, lost - a->log_lost_told); /* fits */
        raise(a, "log_lost", "look", "log_lost", what);
        a->log_lost_told = lost;
    } else if (lost < a->log_lost_told) {
        a->log_lost_told = lost;
    }
}

/* Confirmed sources that should have been heard by now; new ones that nobody confirmed and nobody hears any more. */
void logs_tick(struct api *a, int64_t now)
{
    json_t *rows = api_rows(a, STATE_log_silent, STATE_ARGS(state_i(now))), *row;
    size_t i;

    json_array_foreach(rows, i, row) {
        char key[64], name[160];
        (void)snprintf(key, sizeof key, "log_silent:%" PRId64, api_int(row, "id", 0)); /* fits */
        if (a->watch_there && state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) <= 0)
            raise(a, "log_silent", "look", key, called(row, name));
    }
    json_decref(rows);
}

void logs_daily(struct api *a, int64_t now)
{
    (void)!state_do(a->state, STATE_log_sources_forget, STATE_ARGS(state_i(now - FORGET_S))); /* tomorrow again */
    rules_daily(a, now);
}

void logs_on_watch(struct api *a, bool there)
{
    a->watch_there = there;
    if (there)
        logs_configure(a, false);
}

/* ---- routes ---- */

static json_t *log_source_row(struct api *a, json_t *row /* taken */)
{
    char key[128];
    const char *listener = api_str(row, "listener"), *address = api_str(row, "address");

    (void)snprintf(key, sizeof key, "%.8s/%.100s", listener, address); /* fits */
    const json_t *sender = json_object_get(json_object_get(a->log_senders, "of"), key);
    if (sender)
        api_set(row, "sender", json_pack("{s:O?,s:O?,s:O?,s:O?}", "received", json_object_get(sender, "received"), "dropped",
            json_object_get(sender, "dropped"), "cut", json_object_get(sender, "cut"), "skipped", json_object_get(sender, "skipped")));
    char id[32];
    (void)snprintf(id, sizeof id, "%" PRId64, api_int(row, "id", 0)); /* fits */
    api_set(row, "id", json_string(id));
    api_set(row, "per_minute", json_integer(rate_of(a, id)));
    int64_t silent = api_int(row, "silent_s", 0), last = api_int(row, "last_s", 0);
    api_set(row, "silent", json_boolean(silent > 0 && last + silent < api_now()));
    return row;
}

void h_log_sources(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_log_sources, STATE_ARGS(state_i(limit + 1), state_i(offset))), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        (void)log_source_row(c->api, row);
    api_reply_list(c, rows, limit, offset);
}

static bool known_zone(int64_t zone)
{
    return zone >= -14 * 3600 && zone <= 14 * 3600;
}

/* A name that is said and not known is refused, with the names there are.  One that was kept before is let be. */
static bool reading_known(struct api_call *c)
{
    const char *format = api_str(c->body, "format"), *encoding = api_str(c->body, "encoding"), *field = NULL;
    char message[700];
    int n = snprintf(message, sizeof message, "%s", c->lang == TEXT_EN ? "Not known. One of: " : "知られていない名前です。次のどれか: ");

    const struct api_log_names *known = &c->api->cfg.log_names;
    if (*format && known->format && !known->format(format)) {
        const char *name;
        field = "format";
        for (size_t i = 0; (name = known->format_at(i)) != NULL && n < (int)sizeof message; i++)
            n += snprintf(message + n, sizeof message - (size_t)n, "%s%s", i ? ", " : "", name); /* some 25 short names */
    } else if (*encoding && known->encoding && !known->encoding(encoding)) {
        field = "encoding";
        (void)snprintf(message + n, sizeof message - (size_t)n, "utf-8, cp932, euc-jp, iso-2022-jp, utf-16le, utf-16be, latin-1"); /* fits */
    }
    if (field)
        api_fail_say(c, 400, "bad_request", field, message, NULL);
    return !field;
}

/* What people may say of a source. */
void h_log_source_patch(struct api_call *c)
{
    static const char *const words[] = { "name", "state", "format", "encoding", "product", "category", "service" };
    struct sm_obj o = SM_OBJ(c->body);
    int64_t number = strtoll(c->part[0], NULL, 10);
    json_t *row = api_row(c->api, STATE_log_source, STATE_ARGS(state_i(number)));
    const char *v;
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    api_audit_what(c, "%s %s", c->part[0], api_str(row, "address"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((v = sm_obj_str_opt(&o, words[i], 120)) != NULL)
            api_set(row, words[i], json_string(v));
    int64_t klass = sm_obj_int_opt(&o, "class", 0, CLASSES_MAX - 1, api_int(row, "class", 0)),
            zone = sm_obj_int_opt(&o, "zone_s", -50400, 50400, api_int(row, "zone_s", 32400)),
            silent = sm_obj_int_opt(&o, "silent_s", 0, 366 * 86400, api_int(row, "silent_s", 0));
    if (api_refused(c, &o) || !reading_known(c)) {
        json_decref(row);
        return;
    }
    const char *state = api_str(row, "state");
    if ((strcmp(state, "new") != 0 && strcmp(state, "ok") != 0) || !known_zone(zone)) {
        api_fail(c, 400, "bad_request", known_zone(zone) ? "state" : "zone_s", NULL);
    } else if (api_do(c, STATE_log_source_set,
                   STATE_ARGS(state_t(api_str(row, "name")), state_t(state), state_i(klass), state_t(api_str(row, "format")),
                       state_t(api_str(row, "encoding")), state_i(zone), state_t(api_str(row, "product")), state_t(api_str(row, "category")),
                       state_t(api_str(row, "service")), state_i(silent), state_i(number)))) {
        logs_configure(c->api, false);
        json_t *now = api_row(c->api, STATE_log_source, STATE_ARGS(state_i(number)));
        api_reply(c, 200, now ? log_source_row(c->api, now) : json_object());
    }
    json_decref(row);
}

static void status_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    if (json_object_get(c->api->log_senders, "listeners"))
        api_set(j, "listeners", json_deep_copy(json_object_get(c->api->log_senders, "listeners")));
    json_t *list = logs_classes(c->api), *row, *held;
    size_t i, k;
    json_array_foreach(list, i, row)
        json_array_foreach(json_object_get(j, "held"), k, held)
            if (api_int(held, "class", -1) == api_int(row, "class", -2))
                (void)json_object_update_missing(row, held); /* less is said when memory is short */
    (void)json_object_del(j, "held"); /* in the classes now */
    api_set(j, "classes", list);
    api_set(j, "doors", logs_doors(c->api));
    api_set(j, "addresses", json_incref(c->api->names));
    api_set(j, "continued", self_logs_continued(c->api));
    api_set(j, "backup", logkeep_json(c->api, c->lang));
    api_set(j, "checked", logcheck_json(c->api));
    api_set(j, "seal_pub", json_string(api_str(c->api->keys, "seal_pub")));
    api_reply(c, 200, j);
}

void h_logs(struct api_call *c)
{
    api_ask(c, "W_STATUS", json_object(), status_done);
}

static bool class_good(json_t *one, unsigned *seen)
{
    struct sm_obj o = SM_OBJ(one);
    int64_t n = sm_obj_int(&o, "class", 0, CLASSES_MAX - 1);

    (void)sm_obj_str(&o, "ja", 1, 60);
    (void)sm_obj_str_opt(&o, "en", 60);
    (void)sm_obj_int(&o, "days", 0, 36500);
    (void)sm_obj_int_opt(&o, "bytes", 0, INT64_C(1) << 50, 0);
    if (o.err || (*seen >> n & 1))
        return false;
    *seen |= 1u << n;
    return true;
}

/* Holds are not part of what this sets: they stay, and the class of one must, too. */
static const char *holds_carried(struct api *a, json_t *list)
{
    json_t *before = logs_classes(a), *old, *row;
    const char *lost = NULL;
    size_t i, k;

    json_array_foreach(list, i, row)
        (void)json_object_del(row, "hold"); /* not there: as wanted */
    json_array_foreach(before, i, old) {
        json_t *hold = json_object_get(old, "hold"), *found = NULL;
        if (!json_is_object(hold))
            continue;
        json_array_foreach(list, k, row)
            if (api_int(row, "class", -1) == api_int(old, "class", -2))
                found = row;
        if (found)
            api_set(found, "hold", json_incref(hold));
        else
            lost = "消さないと決めた組は、除けません。";
    }
    json_decref(before);
    return lost;
}

void h_log_classes_put(struct api_call *c)
{
    json_t *list = json_object_get(c->body, "classes"), *one;
    unsigned seen = 0;
    size_t i;
    bool good = json_is_array(list) && json_array_size(list) <= CLASSES_MAX;
    json_array_foreach(list, i, one)
        good = good && class_good(one, &seen);
    if (!good || !(seen & 1)) {
        api_fail(c, 400, "bad_request", "classes", NULL);
        return;
    }
    const char *lost = holds_carried(c->api, list);
    if (lost) {
        api_fail_say(c, 409, "conflict", "classes", c->lang == TEXT_EN ? "A class on hold cannot be taken out." : lost, NULL);
        return;
    }
    int r = state_set(c->api->state, "log_classes", list);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    logs_configure(c->api, false);
    api_reply(c, 200, json_pack("{s:O}", "classes", list));
}
