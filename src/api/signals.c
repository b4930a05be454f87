/* Signals: from whoever saw something to decide, into the database, and up to an alarm; and the false alarms that were learnt. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "api/watch.h"

#define KEPT_S ((int64_t)400 * 86400)
#define ALONE_MAX 200000            /* rows of signals that belong to no incident */
#define TRIM_EVERY 1024             /* a flood does not wait for the night */
#define WAITS_S ((int64_t)3 * 86400)
#define REPEAT_S ((int64_t)3600)    /* the same that waits is one row an hour */
#define TEXT_BYTES 2000

/* ---- asking decide ---- */

static int decide(struct api *a, const char *what, json_t *in /* taken */, json_t **ret)
{
    json_t *out = NULL;
    int r = !in ? -ENOMEM : a->cfg.decide ? a->cfg.decide(a->cfg.decide_arg, what, in, &out) : -SM_EUNSUPPORTED;
    json_decref(in);
    if (ret && r >= 0)
        *ret = out;
    else
        json_decref(out);
    return r;
}

const char *both_in(const json_t *both, enum text_lang lang)
{
    const char *ja = api_str(both, "ja"), *en = api_str(both, "en");
    return lang == TEXT_JA ? (*ja ? ja : en) : (*en ? en : ja);
}

/* ---- the alarm of an incident ---- */

static void alarm_key(int64_t incident, char ret[64])
{
    (void)snprintf(ret, 64, "incident:%" PRId64, incident); /* fits */
}

static bool says(const json_t *tell, const char *word)
{
    size_t i;
    const json_t *v;
    json_array_foreach(tell, i, v)
        if (!strcmp(json_string_value(v) ? json_string_value(v) : "", word))
            return true;
    return false;
}

static void tell_people(struct api *a, int64_t incident, const json_t *facts, const json_t *tell)
{
    char key[64];
    alarm_key(incident, key);
    if (says(tell, "impact") && !says(tell, "opened") && !says(tell, "call"))
        (void)!state_do(a->state, STATE_alarm_untold, STATE_ARGS(state_t(key))); /* then it is not told again, as before */
    struct alarm_new n = { .kind = "incident",
        .state = api_str(facts, "severity"),
        .key = key,
        .facts = json_pack("{s:I,s:O?,s:O?,s:O?}", "incident", (json_int_t)incident, "what", json_object_get(facts, "title"), "steps",
            json_object_get(facts, "steps"), "signals", json_object_get(facts, "signals")) };
    alarm_open(a, &n);
}

/* ---- what decide said, kept ---- */

static void adopt(struct api *a, int64_t incident, const json_t *answer)
{
    size_t i;
    const json_t *v;
    json_array_foreach(json_object_get(answer, "adopted"), i, v)
        (void)!state_do(a->state, STATE_signal_join, STATE_ARGS(state_i(incident), state_i(json_integer_value(v))));
    json_array_foreach(json_object_get(answer, "merged"), i, v) {
        char key[64];
        int64_t other = json_integer_value(v);
        (void)!state_do(a->state, STATE_signal_move, STATE_ARGS(state_i(incident), state_i(other)));
        (void)!state_do(a->state, STATE_incident_close, STATE_ARGS(state_i(api_now()), state_t("merged"), state_t("sakimori"), state_t(NULL),
            state_i(incident), state_i(other)));
        alarm_key(other, key);
        alarm_close_key(a, key, "sakimori");
    }
}

static json_t *facts_of(struct api *a, int64_t incident)
{
    json_t *facts = NULL;
    return decide(a, "incident", json_pack("{s:I}", "id", (json_int_t)incident), &facts) < 0 ? NULL : facts;
}

static void keep_incident(struct api *a, int64_t incident, const json_t *answer, bool own)
{
    json_t *facts = facts_of(a, incident), *dump = NULL;
    if (!facts || decide(a, "dump", json_pack("{s:I}", "id", (json_int_t)incident), &dump) < 0) {
        json_decref(facts);
        return;
    }
    bool opened = !strcmp(api_str(answer, "what"), "opened");
    int r = opened ? state_do(a->state, STATE_incident_add,
                         STATE_ARGS(state_i(incident), state_t(api_str(facts, "severity")), state_i(api_now()), state_i(api_int(facts, "first_s", 0)),
                             state_i(api_int(facts, "last_s", 0)), state_i(own), state_j(dump), state_j(facts)))
                   : state_do(a->state, STATE_incident_set,
                         STATE_ARGS(state_t(api_str(facts, "severity")), state_i(api_int(facts, "first_s", 0)),
                             state_i(api_int(facts, "last_s", 0)), state_i(own), state_j(dump), state_j(facts), state_i(incident)));
    json_t *row = r < 0 ? NULL : api_row(a, STATE_incident, STATE_ARGS(state_i(incident)));
    bool more = opened || json_array_size(json_object_get(answer, "tell")) || !strcmp(api_str(answer, "what"), "joined");
    if (row && !api_bool(row, "own_alarm") && more)
        tell_people(a, incident, facts, json_object_get(answer, "tell"));
    if (more)
        playbooks_on(a, facts, json_array_size(json_object_get(answer, "tell")) > 0);
    char id[32];
    (void)snprintf(id, sizeof id, "%" PRId64, incident); /* fits */
    if (more)
        api_event(a, "incident", id, json_pack("{s:I}", "id", (json_int_t)incident));
    json_decref(row);
    json_decref(facts);
    json_decref(dump);
}

static void given_up(struct api *a, int64_t incident)
{
    char key[64];
    if (incident == 0)
        return;
    (void)!state_do(a->state, STATE_incident_close, STATE_ARGS(state_i(api_now()), state_t("quiet"), state_t("sakimori"), state_t(NULL),
        state_i(0), state_i(incident)));
    alarm_key(incident, key);
    alarm_close_key(a, key, "sakimori");
}

/* ---- one signal ---- */

struct taken { int64_t id, at_s, times; const json_t *s, *entities; const char *what, *booked; int64_t incident, filter; };

static json_t *text_both(const json_t *s, const char *ja, const char *en, const char *else_key)
{
    const char *j = api_str(s, ja), *e = api_str(s, en);
    return json_pack("{s:s,s:s}", "ja", *j ? j : api_str(s, else_key), "en", *e ? e : api_str(s, else_key));
}

static void keep_signal(struct api *a, const struct taken *t)
{
    const json_t *s = t->s;
    if (!strcmp(t->what, "folded") && state_do(a->state, STATE_signal_fold, STATE_ARGS(state_i(t->times), state_i(t->at_s), state_i(t->incident),
            state_t(api_str(s, "rule")), state_j(t->entities))) > 0)
        return;
    if (!t->incident && state_do(a->state, STATE_signal_repeat, STATE_ARGS(state_i(t->times), state_i(t->at_s), state_t(t->what),
            state_t(api_str(s, "rule")), state_j(t->entities), state_i(api_now() - REPEAT_S))) > 0)
        return;
    json_t *title = text_both(s, "title_ja", "title_en", "title"), *text = text_both(s, "text_ja", "text_en", "text");
    json_t *facts = json_pack("{s:O?,s:O?,s:O?,s:O?,s:O?,s:O?}", "author", json_object_get(s, "author"), "source", json_object_get(s, "source"),
        "ref", json_object_get(s, "ref"), "fields", json_object_get(s, "fields"), "todo_ja", json_object_get(s, "todo_ja"), "reference",
        json_object_get(s, "reference"));
    (void)!state_do(a->state, STATE_signal_add,
        STATE_ARGS(state_i(t->id), state_i(t->at_s), state_i(api_now()), state_t(api_str(s, "rule")), state_t(api_str(s, "level")),
            state_t(api_str(s, "stage")), state_j(title), state_j(text), state_j(t->entities), state_j(facts), state_t(t->what),
            t->incident ? state_i(t->incident) : state_t(NULL), t->filter ? state_i(t->filter) : state_t(NULL), state_t(t->booked),
            state_i(t->times))); /* a full disk: the incident and its alarm are still there */
    json_decref(title);
    json_decref(text);
    json_decref(facts);
}

static bool sound(const json_t *s)
{
    const char *rule = api_str(s, "rule");
    size_t texts = strlen(api_str(s, "title_ja")) + strlen(api_str(s, "title_en")) + strlen(api_str(s, "text_ja")) + strlen(api_str(s, "text_en"));
    return *rule && strlen(rule) < 80 && texts <= 4 * TEXT_BYTES && json_is_integer(json_object_get(s, "at_s"));
}

/* A sign-in of remote maintenance in other words and of another level than its rule's, which speaks of one that nobody booked. */
struct words { const char *level, *title_ja, *title_en, *text_ja, *text_en, *todo_ja; };

static json_t *in_words(const json_t *s, const struct words *w)
{
    json_t *other = json_copy((json_t *)s);
    api_set(other, "level", json_string(w->level));
    api_set(other, "title_ja", json_string(w->title_ja));
    api_set(other, "title_en", json_string(w->title_en));
    api_set(other, "text_ja", json_string(w->text_ja));
    api_set(other, "text_en", json_string(w->text_en));
    api_set(other, "todo_ja", json_string(w->todo_ja));
    return other;
}

/* Somebody uses the vendor's name within its booked window, from elsewhere: that is graver than a session nobody booked. */
static const struct words elsewhere = { "high", "予定の業者の名前で、予定とちがう場所からのサインイン",
    "Sign-in under a vendor's booked account from an address that was not booked",
    "遠隔保守の予定の時間に、予定とちがうアドレスから、業者の名前で接続がありました。",
    "Within booked maintenance somebody came in under the vendor's account from another address.",
    "業者に電話して、本人かどうかを確かめてください。ちがうときは、その接続を切ります。" };
static const struct words as_booked = { "informational", "予定どおりの、外からのサインイン", "Sign-in from outside, as booked",
    "遠隔保守の予定に合う接続です。", "It fits a booked maintenance.", "することはありません。" };

void signal_take(struct api *a, const json_t *s, bool own)
{
    struct taken t = { .s = s, .at_s = api_int(s, "at_s", 0), .times = api_int(s, "times", 1), .entities = json_object_get(s, "entities") };
    json_t *answer = NULL, *none = json_array();
    char *booked = NULL;
    if (!sound(s)) {
        json_decref(none);
        return; /* not of a program of this box */
    }
    t.entities = json_is_array(t.entities) ? t.entities : none;
    t.id = state_number(a->state, STATE_signal_next, 1, STATE_NONE);
    if (api_bool(s, "maintenance"))
        booked = maintenance_covers(a, s, t.at_s);
    json_t *other = booked ? in_words(s, &as_booked)
        : api_bool(s, "maintenance") && maintenance_elsewhere(a, s, t.at_s) ? in_words(s, &elsewhere) : NULL;
    if (other)
        t.s = s = other;
    if (booked) {
        t.what = "booked";
        t.booked = booked;
        keep_signal(a, &t);
    } else if (decide(a, "signal", json_pack("{s:I,s:I,s:s,s:s,s:s,s:O}", "id", (json_int_t)t.id, "at_s", (json_int_t)t.at_s, "rule",
                   api_str(s, "rule"), "level", api_str(s, "level"), "stage", api_str(s, "stage"), "entities", t.entities), &answer) == 0) {
        if (t.id % TRIM_EVERY == 0)
            (void)!state_do(a->state, STATE_signals_trim, STATE_ARGS(state_i(ALONE_MAX))); /* and every day */
        t.what = api_str(answer, "what");
        t.incident = api_int(answer, "incident", 0);
        t.filter = api_int(answer, "filter", 0);
        keep_signal(a, &t);
        if (t.filter)
            (void)!state_do(a->state, STATE_filter_hit, STATE_ARGS(state_i(t.times), state_i(t.at_s), state_i(t.filter)));
        given_up(a, api_int(answer, "given_up", 0));
        if (t.incident) {
            adopt(a, t.incident, answer);
            keep_incident(a, t.incident, answer, own);
        }
    }
    json_decref(answer);
    json_decref(none);
    free(booked);
    json_decref(other);
}

void signal_own_over(struct api *a, const char *rule, const char *host, const char *by, const char *note, bool false_alarm)
{
    json_t *entities = json_pack("[[s,s]]", "host", host), *rows = api_rows(a, STATE_incidents_own, STATE_ARGS(state_t(rule), state_j(entities))), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        incident_close(a, api_int(row, "id", 0), false_alarm ? "false-alarm" : "closed", by, note);
    json_decref(rows);
    json_decref(entities);
}

void signal_own(struct api *a, const char *rule, const char *level, const char *stage, const char *host, const char *title_ja,
    const char *title_en)
{
    json_t *s = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[[s,s]]}", "at_s", (json_int_t)api_now(), "rule", rule, "level", level, "stage",
        stage, "title_ja", title_ja, "title_en", title_en, "text_ja", title_ja, "text_en", title_en, "entities", "host", host);
    if (s)
        signal_take(a, s, true);
    json_decref(s);
}

void signals_know(struct api *a, const char *address, const char *host)
{
    static const char *const own[] = { "127.", "::1", "::ffff:127.", "local" };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!*host || !strncmp(address, own[i], strlen(own[i])))
            return; /* the box's own, which is no place in the network */
    (void)!decide(a, "alias", json_pack("{s:s,s:s,s:I}", "address", address, "host", host, "at_s", (json_int_t)api_now()), NULL); /* a hint */
}

void api_on_watch(struct api *a, const json_t *event)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(event, "aliases"), i, s)
        (void)!decide(a, "alias", json_deep_copy(s), NULL); /* a hint */
    if (state_begin(a->state) < 0)
        return; /* the next signals will say the same */
    json_array_foreach(json_object_get(event, "signals"), i, s)
        signal_take(a, s, false);
    (void)!state_end(a->state, true); /* what a full disk did not keep is still in decide and in the journal */
}

/* ---- start and every day ---- */

void signals_begin(struct api *a)
{
    json_t *rows = api_rows(a, STATE_incident_dumps, STATE_NONE), *row;
    size_t i, n;
    if (!a->cfg.decide) {
        json_decref(rows);
        return;
    }
    json_array_foreach(rows, i, row)
        if (decide(a, "restore", json_incref(json_object_get(row, "dump")), NULL) < 0)
            incident_close(a, api_int(row, "id", 0), "quiet", "sakimori", NULL); /* of a program that was newer */
    json_decref(rows);
    rows = api_rows(a, STATE_filters, STATE_ARGS(state_i(1), state_i(1024), state_i(0)));
    json_array_foreach(rows, i, row)
        (void)!decide(a, "filter", json_pack("{s:O,s:O,s:O}", "id", json_object_get(row, "id"), "rule", json_object_get(row, "rule"), "entities",
            json_object_get(row, "entities")), NULL); /* one of 1,024 at most: it fits */
    json_decref(rows);
    rows = api_rows(a, STATE_signals_waiting, STATE_ARGS(state_i(api_now() - WAITS_S)));
    n = json_array_size(rows);
    for (i = 0; i < n; i++) { /* newest first */
        row = json_array_get(rows, n - 1 - i);
        (void)!decide(a, "signal", json_pack("{s:O,s:O,s:O,s:O,s:O,s:O}", "id", json_object_get(row, "id"), "at_s", json_object_get(row, "at_s"),
            "rule", json_object_get(row, "rule"), "level", json_object_get(row, "level"), "stage", json_object_get(row, "stage"),
            "entities", json_object_get(row, "entities")), NULL); /* it waited before, so it waits now */
    }
    json_decref(rows);
}

void signals_daily(struct api *a, int64_t now)
{
    (void)!state_do(a->state, STATE_signals_forget, STATE_ARGS(state_i(now - KEPT_S))); /* tomorrow again */
    (void)!state_do(a->state, STATE_signals_trim, STATE_ARGS(state_i(ALONE_MAX)));
}

void incident_close(struct api *a, int64_t incident, const char *verdict, const char *by, const char *note)
{
    char key[64];
    (void)!decide(a, "close", json_pack("{s:I}", "id", (json_int_t)incident), NULL); /* not there is as good */
    (void)!state_do(a->state, STATE_incident_close, STATE_ARGS(state_i(api_now()), state_t(verdict), state_t(by), state_t(note), state_t(NULL),
        state_i(incident)));
    alarm_key(incident, key);
    alarm_close_key(a, key, by);
}

/* ---- routes: signals ---- */

json_t *signal_json(const json_t *row, enum text_lang lang)
{
    json_t *o = json_deep_copy(row);
    api_set(o, "title", json_string(both_in(json_object_get(row, "title"), lang)));
    api_set(o, "text", json_string(both_in(json_object_get(row, "text"), lang)));
    (void)json_object_del(o, "at_s");
    return o;
}

static bool what_known(const char *what)
{
    static const char *const known[] = { "", "waits", "opened", "joined", "folded", "filtered", "booked" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(what, known[i]))
            return true;
    return false;
}

void h_signals(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    if (!what_known(api_str(c->query, "what"))) {
        api_fail_say(c, 400, "bad_request", "what", c->lang == TEXT_EN ? "One of: waits, opened, joined, folded, filtered, booked." :
            "waits、opened、joined、folded、filtered、booked のどれかです。", NULL);
        return;
    }
    int64_t incident = strtoll(api_str(c->query, "incident"), NULL, 10);
    json_t *rows = api_rows(c->api, STATE_signals, STATE_ARGS(state_t(api_str(c->query, "what")), state_t(api_str(c->query, "rule")),
               state_i(incident), state_i(limit + 1), state_i(offset))),
           *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, signal_json(row, c->lang));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

/* ---- routes: false alarms ---- */

/* What is left of the incident without this signal: nothing more to look at, and it ends. */
static void incident_without(struct api_call *c, const json_t *row)
{
    int64_t incident = api_int(row, "incident", 0);
    (void)!state_do(c->api->state, STATE_filter_signals, STATE_ARGS(state_i(state_number(c->api->state, STATE_filter_last, 0, STATE_NONE)),
        state_i(incident), state_t(api_str(row, "rule")), state_i(api_int(row, "id", 0)))); /* its look only */
    if (incident && state_number(c->api->state, STATE_incident_signals, 1, STATE_ARGS(state_i(incident))) == 0)
        incident_close(c->api, incident, "false-alarm", c->who.account, api_str(c->body, "why"));
}

void h_signal_false(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *why = sm_obj_str(&o, "why", 1, 500), *scope = sm_obj_str_opt(&o, "scope", 16);
    if (api_refused(c, &o))
        return;
    bool everywhere = scope && !strcmp(scope, "rule");
    json_t *row = api_row(c->api, STATE_signal, STATE_ARGS(state_i(strtoll(c->part[0], NULL, 10)))), *held = NULL;
    api_audit_what(c, "signal %s %s: %s", c->part[0], everywhere ? "everywhere" : "here", why);
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    if (scope && !everywhere && strcmp(scope, "here") != 0) {
        api_fail(c, 400, "bad_request", "scope", NULL);
    } else if (!everywhere && decide(c->api, "suggest", json_pack("{s:O}", "entities", json_object_get(row, "entities")), &held) < 0) {
        api_fail(c, 500, "internal", NULL, NULL);
    } else {
        json_t *entities = everywhere ? json_array() : json_incref(json_object_get(held, "entities"));
        if (!everywhere && json_array_size(entities) == 0) {
            api_fail(c, 409, "conflict", "scope", NULL); /* nothing particular: it would be the whole rule */
        } else if (state_number(c->api->state, STATE_filter_same, 0, STATE_ARGS(state_t(api_str(row, "rule")), state_j(entities))) > 0) {
            api_fail(c, 409, "conflict", NULL, NULL); /* it is kept quiet already */
        } else if (api_do(c, STATE_filter_add, STATE_ARGS(state_t(api_str(row, "rule")), state_j(json_object_get(row, "title")), state_j(entities),
                       state_t(why), state_t(c->who.account), state_i(api_now())))) {
            int64_t id = state_number(c->api->state, STATE_filter_last, 0, STATE_NONE);
            int r = decide(c->api, "filter", json_pack("{s:I,s:s,s:O}", "id", (json_int_t)id, "rule", api_str(row, "rule"), "entities", entities), NULL);
            incident_without(c, row);
            if (r < 0)
                api_fail_err(c, r, NULL);
            else
                api_reply(c, 201, json_pack("{s:I,s:O}", "id", (json_int_t)id, "entities", entities));
        }
        json_decref(entities);
    }
    json_decref(held);
    json_decref(row);
}

void h_filters(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    bool open = !strcmp(api_str(c->query, "open"), "1");
    json_t *rows = api_rows(c->api, STATE_filters, STATE_ARGS(state_i(open), state_i(limit + 1), state_i(offset))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *title = both_in(json_object_get(row, "title"), c->lang);
        api_set(row, "title", json_string(title));
    }
    api_reply_list(c, rows, limit, offset);
}

void h_filter_delete(struct api_call *c)
{
    int64_t id = strtoll(c->part[0], NULL, 10);
    api_audit_what(c, "filter %s", c->part[0]);
    int r = state_do(c->api->state, STATE_filter_end, STATE_ARGS(state_i(api_now()), state_t(c->who.account), state_i(id)));
    if (r < 0) {
        api_fail_err(c, r, NULL);
    } else if (r == 0) {
        api_fail(c, 404, "not_found", NULL, NULL);
    } else {
        (void)!decide(c->api, "unfilter", json_pack("{s:I}", "id", (json_int_t)id), NULL); /* past its limit it never held */
        api_reply(c, 200, json_object());
    }
}
