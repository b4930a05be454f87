/* Today: one screen, one answer.  design: worst open line wins, every line names a thing and one verb. */
#include <errno.h>
#include "api/internal.h"

#define CHECK_EVERY_S 300
#define DAY 86400

struct today {
    struct api *a;
    enum text_lang lang;
    int64_t now;
    json_t *lines, *out, *alarms, *sources, *devices;
    unsigned worst;                 /* 0 ok, 1 look, 2 call, 3 unknown */
    const json_t *call_alarm, *look_alarm;
};
static const char *const state_names[] = { "ok", "look", "call", "unknown" };

static void line(struct today *t, unsigned state, json_t *text, const char *device, const char *source)
{
    api_append(t->lines, json_pack("{s:s,s:o,s:s*,s:s*}", "state", state_names[state], "text", text, "device",
                             device && *device ? device : NULL, "source", source && *source ? source : NULL));
    t->worst = state > t->worst ? state : t->worst;
}

/* 「7:10」 of today, else 「11月22日」. */
static json_t *short_time(const struct today *t, int64_t s)
{
    struct sm_civil c;
    char text[48];
    if (!s)
        return text_json(t->lang, T_NEVER);
    sm_time_civil_jst((struct sm_time){ .s = s }, &c);
    if (sm_time_day_jst((struct sm_time){ .s = s }) == sm_time_day_jst((struct sm_time){ .s = t->now }))
        (void)snprintf(text, sizeof text, "%d:%02d", c.hour, c.minute); /* fits */
    else if (t->lang == TEXT_JA)
        (void)snprintf(text, sizeof text, "%d月%d日", c.month, c.day);
    else
        (void)snprintf(text, sizeof text, "%d-%02d-%02d", c.year, c.month, c.day);
    return json_string(text);
}

/* What a red alarm asks for.  An attack: paper, and leave everything as it is.  An order that waits: whoever knows of
 * it has nothing to do.  In the order in which they speak when several are open. */
enum call_as { CALL_ATTACK, CALL_VENDOR, CALL_ORDER };
static enum call_as call_as(const json_t *alarm)
{
    static const struct { const char *kind; enum call_as as; } kinds[] = {
        { "suspicion", CALL_ATTACK }, { "incident", CALL_ATTACK }, { "hostile", CALL_ATTACK }, { "frozen", CALL_ATTACK },
        { "rolledback", CALL_VENDOR }, { "record", CALL_VENDOR }, { "damage", CALL_VENDOR }, { "damaged", CALL_VENDOR },
        { "broken", CALL_VENDOR }, { "servers", CALL_VENDOR }, { "quota", CALL_VENDOR }, { "changelost", CALL_VENDOR },
        { "copy_forked", CALL_VENDOR }, { "peer_forked", CALL_VENDOR }, { "drill", CALL_VENDOR },
        { "deletion", CALL_ORDER }, { "shorter", CALL_ORDER }, { "gaintime", CALL_ORDER }, { "recipients", CALL_ORDER },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].kind, api_str(alarm, "kind")))
            return kinds[i].as;
    return CALL_VENDOR;
}

/* Of several the one that files were rewritten speaks: it knows what is bad and what is safe. */
static bool speaks_before(const json_t *x, const json_t *y)
{
    bool files = !strcmp(api_str(x, "kind"), "suspicion"), too = !strcmp(api_str(y, "kind"), "suspicion");
    return files != too ? files : call_as(x) < call_as(y);
}

static void alarm_lines(struct today *t)
{
    json_t *row;
    size_t i;
    json_array_foreach(t->alarms, i, row) {
        bool call = !strcmp(api_str(row, "state"), "call");
        json_t *j = alarm_json(t->a, row, t->lang);
        line(t, call ? 2 : 1, json_incref(json_object_get(j, "title")), api_str(row, "device"), api_str(row, "source"));
        api_set(row, "words", j);
        if (call && (!t->call_alarm || speaks_before(row, t->call_alarm)))
            t->call_alarm = row;
        if (!call && !t->look_alarm)
            t->look_alarm = row;
    }
}

/* ---- the strip: one mark for each group ---- */

static json_t *groups_of(struct today *t)
{
    static const struct {
        const char *group;
        enum text_key name;
    } groups[] = { { "emr", T_GROUP_EMR }, { "receipt", T_GROUP_RECEIPT }, { "image", T_GROUP_IMAGE },
        { "share", T_GROUP_SHARE }, { "front", T_GROUP_FRONT }, { "room", T_GROUP_ROOM }, { "other", T_GROUP_OTHER } };
    json_t *out = json_array(), *row;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        int64_t oldest = INT64_MAX;
        unsigned n = 0, late = 0, failing = 0, bad = 0;
        size_t i;
        json_array_foreach(t->sources, i, row) {
            if (strcmp(api_str(row, "group"), groups[g].group) != 0 || !api_bool(row, "enabled"))
                continue;
            int64_t last = api_int(row, "last_ok_s", 0);
            n++;
            failing += source_failing(row);
            late += source_late(row, t->now) || source_failing(row);
            bad += api_bool(json_object_get(row, "last"), "suspicious");
            oldest = last < oldest ? last : oldest;
        }
        if (!n)
            continue;
        char count[16];
        (void)snprintf(count, sizeof count, "%u", late); /* fits */
        json_t *at = short_time(t, oldest);
        json_t *text = bad ? text_json(t->lang, T_GROUP_REWRITTEN)
            : late && failing == late ? TEXT_SAY(t->lang, T_GROUP_FAILING, count) : late ? TEXT_SAY(t->lang, T_GROUP_LATE, count)
            : oldest ? TEXT_SAY(t->lang, T_GROUP_SAVED, json_string_value(at)) : text_json(t->lang, T_GROUP_WAITING);
        json_decref(at);
        api_append(out, json_pack("{s:s,s:o,s:s,s:o}", "group", groups[g].group, "name",
                            text_json(t->lang, groups[g].name), "state",
                            state_names[bad      ? 2
                                        : late   ? 1
                                        : oldest ? 0
                                                 : 3],
                            "text", text));
    }
    return out;
}

/* All its sources that are due have been saved: one that waits for its first time does not hold the others back. */
static bool machine_saved(const struct today *t, const char *device, bool *ret_any)
{
    bool any = false, saved = false, missing = false;
    size_t i;
    json_t *row;
    json_array_foreach(t->sources, i, row) {
        if (!api_bool(row, "enabled") || strcmp(api_str(row, "device"), device) != 0)
            continue;
        any = true;
        missing |= source_late(row, t->now) || source_failing(row);
        saved |= api_int(row, "last_ok_s", 0) > 0;
    }
    *ret_any = any;
    return saved && !missing;
}

static json_t *last_of(struct today *t)
{
    int64_t newest = 0;
    size_t i, good = 0, total = 0;
    json_t *d, *row;
    json_array_foreach(t->sources, i, row)
        if (api_int(row, "last_ok_s", 0) > newest)
            newest = api_int(row, "last_ok_s", 0);
    json_array_foreach(t->devices, i, d) {
        bool any;
        good += machine_saved(t, api_str(d, "id"), &any);
        total += any;
    }
    /* What is really there, not what the rules would allow one day. */
    int64_t oldest = api_int(json_object_get(t->a->vault, "totals"), "oldest_s", 0);
    int64_t kept = oldest && t->now > oldest ? (t->now - oldest) / 86400 : 0;
    const json_t *scrub = json_object_get(t->a->vault, "scrub");
    const json_t *whole = json_object_get(scrub, "last");
    int64_t errors = api_int(whole, "damaged", 0), running = api_int(scrub, "damaged", 0);
    json_t *checked = json_is_object(whole)
        ? json_pack("{s:s,s:I,s:I}", "at", api_str(scrub, "finished"), "errors",
            (json_int_t)(errors > running ? errors : running), "healed", (json_int_t)api_int(whole, "healed", 0))
        : NULL;
    return json_pack("{s:o,s:o,s:I,s:I,s:I,s:o,s:o}", "at", api_time(newest), "ago_s",
        newest ? json_integer(t->now - newest) : json_null(), "devices", (json_int_t)good, "devices_total",
        (json_int_t)total, "kept_days", (json_int_t)kept, "drill", drill_last(t->a, NULL), "checked",
        checked ? checked : json_null());
}

/* ---- the one thing ---- */

static json_t *one_thing(
    const char *id, json_t *title, json_t *text, int minutes, const char *action, const char *link, const char *phone)
{
    return json_pack("{s:s,s:o,s:o,s:i,s:s,s:s,s:s*}", "id", id, "title", title, "text", text, "minutes", minutes,
        "action", action, "link", link, "phone", phone && *phone ? phone : NULL);
}

static const char *vendor_phone(const json_t *contacts)
{
    size_t i;
    json_t *v;
    json_array_foreach(contacts, i, v)
        if (*api_str(v, "phone") && strcmp(api_str(v, "role"), "police") != 0)
            return api_str(v, "phone");
    return "";
}

/* Tasks of the week: the card when a number changed or half a year went by. */
static json_t *task_of(struct today *t)
{
    json_t *row = api_row(t->a, STATE_task_open, STATE_ARGS(state_i(t->now)));
    if (!row)
        return NULL;
    static const struct task_words { const char *kind; enum text_key title, text; int minutes; const char *act, *link; } kinds[] = {
        { "card", T_TASK_CARD, T_TASK_CARD_TEXT, 5, "print_card", "/card" },
        { "drill", T_TASK_DRILL, T_TASK_DRILL_TEXT, 10, "none", "/machines/drills" },
        { "date", T_TASK_DATE, T_TASK_DATE_TEXT, 1, "confirm_date", "/today" },
    };
    const struct task_words *k = kinds;
    while (k < kinds + sizeof kinds / sizeof *kinds - 1 && strcmp(k->kind, api_str(row, "kind")) != 0)
        k++;
    json_t *one = one_thing(api_str(row, "id"), text_json(t->lang, k->title), text_json(t->lang, k->text), k->minutes, k->act,
        k->link, NULL);
    json_decref(row);
    return one;
}

static json_t *one_late(struct today *t)
{
    const json_t *words = json_object_get(t->look_alarm, "words");
    json_t *d = api_row(t->a, STATE_device, STATE_ARGS(state_t(api_str(t->look_alarm, "device"))));
    const char *name = api_str(d, "name");
    json_t *one;
    bool silent = !strcmp(api_str(t->look_alarm, "kind"), "late") || !strcmp(api_str(t->look_alarm, "kind"), "never");
    if (silent && d && !device_there(d, t->now))
        one = one_thing(api_str(t->look_alarm, "id"), TEXT_SAY(t->lang, T_ONE_POWER, name),
            text_json(t->lang, T_ONE_POWER_TEXT), 1, "done", "/machines", NULL);
    else
        one = one_thing(api_str(t->look_alarm, "id"), json_incref(json_array_get(json_object_get(words, "next"), 0)),
            json_incref(json_object_get(words, "text")), 5, "none",
            !strcmp(api_str(t->look_alarm, "kind"), "card") ? "/restore-card" : "/trouble", NULL);
    json_decref(d);
    return one;
}

static void call_parts(struct today *t, const json_t *contacts)
{
    const json_t *words = json_object_get(t->call_alarm, "words");
    const char *device = api_str(words, "device_name");
    enum call_as as = call_as(t->call_alarm);
    json_t *calls = json_array(), *v;
    size_t i;
    json_array_foreach(contacts, i, v)
        if (*api_str(v, "phone") && json_array_size(calls) < 3 &&
            (as == CALL_ATTACK || strcmp(api_str(v, "role"), "police") != 0))
            api_append(calls, json_pack("{s:s,s:s}", "name", api_str(v, "name"), "phone", api_str(v, "phone")));
    json_t *dont = json_pack("[{s:o,s:o},{s:o,s:o},{s:o,s:o}]", "title", text_json(t->lang, T_DONT_POWER), "text",
        text_json(t->lang, T_DONT_POWER_TEXT), "title", text_json(t->lang, T_DONT_OPEN), "text",
        text_json(t->lang, T_DONT_OPEN_TEXT), "title", text_json(t->lang, T_DONT_ANSWER), "text",
        text_json(t->lang, T_DONT_ANSWER_TEXT));
    api_set(t->out, "calls", calls);
    if (as == CALL_ATTACK)
        api_set(t->out, "dont", json_incref(dont));
    json_decref(dont);
    api_set(t->out, "say", *device ? TEXT_SAY(t->lang, T_SAY_DEVICE, device) : text_json(t->lang, T_SAY));
    api_set(t->out, "one",
        one_thing(api_str(t->call_alarm, "id"), text_json(t->lang, T_ONE_CALL), text_json(t->lang, T_ONE_CALL_TEXT), 5,
            "call", "/trouble", vendor_phone(contacts)));
    json_t *s = api_row(t->a, STATE_source_any, STATE_ARGS(state_t(api_str(t->call_alarm, "source"))));
    const json_t *clean = json_object_get(s, "clean");
    if (json_is_object(clean)) {
        json_t *at = short_time(t, api_time_s(api_str(clean, "at")));
        api_set(t->out, "safe",
            json_pack("{s:s,s:s,s:o}", "manifest", api_str(clean, "manifest"), "at", api_str(clean, "at"), "text",
                TEXT_SAY(t->lang, T_SAFE, json_string_value(at))));
        json_decref(at);
    }
    json_decref(s);
}

/* ---- lines that are no alarm ---- */

static bool notice_failed(const struct today *t, const char *kind)
{
    json_t *sent = state_setting(t->a->state, "sent"), *last = json_object_get(sent, kind);
    bool failed = last && !api_bool(last, "ok");
    json_decref(sent);
    return failed;
}

static void disk_in(void *arg, const char *name)
{
    struct today *t = arg;
    line(t, 1, TEXT_SAY(t->lang, T_LINE_DISK_IN, name), NULL, NULL);
}

static void other_lines(struct today *t)
{
    const json_t *vault = json_object_get(t->a->children, "vault"), *keyd = json_object_get(t->a->children, "keyd");
    bool down =
        (vault && strcmp(api_str(vault, "state"), "up") != 0) || (keyd && strcmp(api_str(keyd, "state"), "up") != 0);
    if (down)
        line(t, 3, text_json(t->lang, T_LINE_BOX_STARTS), NULL, NULL);
    if (api_bool(t->a->vault, "broken"))
        line(t, 2, text_json(t->lang, T_LINE_VAULT_BROKEN), NULL, NULL);
    if (plat_clock_wall().s < 1767225600) /* 2026-01-01: the box was made after that */
        line(t, 3, text_json(t->lang, T_LINE_CLOCK), NULL, NULL);
    if (json_array_size(t->devices) == 0)
        line(t, 1, text_json(t->lang, T_LINE_NO_DEVICE), NULL, NULL);
    else if (json_array_size(t->sources) == 0)
        line(t, 1, text_json(t->lang, T_LINE_NO_SOURCE), NULL, NULL);
    if (state_number(t->a->state, STATE_task_is_open, 0, STATE_ARGS(state_t("date"))) > 0)
        line(t, 1, text_json(t->lang, T_LINE_DATE), NULL, NULL);
    copies_left_in(t->a, disk_in, t);
    json_t *row;
    size_t i;
    if (notice_failed(t, "mail"))
        line(t, 1, text_json(t->lang, T_LINE_MAIL), NULL, NULL);
    if (notice_failed(t, "webhook"))
        line(t, 1, text_json(t->lang, T_LINE_HOOK), NULL, NULL);
    json_array_foreach(t->sources, i, row) /* between two ticks, or not yet told by an alarm */
        if (!api_int(row, "last_ok_s", 0) && api_bool(row, "enabled") && !source_late(row, t->now) &&
            !source_failing(row)) {
            json_t *at = short_time(t, api_int(row, "next_s", 0));
            line(t, 0, TEXT_SAY(t->lang, T_LINE_FIRST, api_str(row, "name"), json_string_value(at)),
                api_str(row, "device"), api_str(row, "id"));
            json_decref(at);
        }
}

static json_t *not_watched(struct api *a, enum text_lang lang)
{
    static const enum text_key keys[] = { T_NOT_WATCHED_ENDPOINT, T_NOT_WATCHED_LOGS, T_NOT_WATCHED_COPIES, T_NOT_WATCHED_POSTURE };
    json_t *out = json_array();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if ((keys[i] != T_NOT_WATCHED_ENDPOINT || state_number(a->state, STATE_endpoints_n, 0, STATE_NONE) <= 0) &&
            (keys[i] != T_NOT_WATCHED_COPIES || !copies_any(a)) &&
            (keys[i] != T_NOT_WATCHED_LOGS || state_number(a->state, STATE_log_sources_n, 0, STATE_NONE) <= 0))
            api_append(out, text_json(lang, keys[i]));
    return out;
}

static void head_parts(struct today *t)
{
    static const enum text_key heads[] = { T_HEAD_OK, T_HEAD_LOOK, T_HEAD_CALL, T_HEAD_UNKNOWN };
    static const enum text_key calls[] = { T_LEAD_CALL, T_LEAD_CALL_VENDOR, T_LEAD_CALL_ORDER };
    enum call_as as = t->call_alarm ? call_as(t->call_alarm) : CALL_VENDOR;
    json_t *lead, *row, *first = NULL;
    size_t i;
    json_array_foreach(t->lines, i, row)
        if (!first && !strcmp(api_str(row, "state"), state_names[t->worst]))
            first = row;
    if (t->worst == 0)
        lead = text_json(t->lang, T_LEAD_OK);
    else if (t->worst == 1)
        lead = TEXT_SAY(t->lang, T_LEAD_LOOK, api_str(first, "text"));
    else if (t->worst == 2)
        lead = TEXT_SAY(t->lang, calls[as],
            t->call_alarm ? api_str(json_object_get(t->call_alarm, "words"), "text") : api_str(first, "text"));
    else
        lead = TEXT_SAY(t->lang, T_LEAD_UNKNOWN, api_str(first, "text"));
    api_set(t->out, "state", json_string(state_names[t->worst]));
    api_set(t->out, "headline", text_json(t->lang, heads[t->worst]));
    api_set(t->out, "lead", lead);
    api_set(t->out, "paper", json_boolean(t->worst == 2 && as == CALL_ATTACK));
}

static void one_part(struct today *t)
{
    json_t *contacts = contacts_get(t->a, t->lang), *one = NULL;
    if (t->call_alarm)
        call_parts(t, contacts);
    else if (t->worst == 2)
        one = one_thing("box", text_json(t->lang, T_ONE_CALL), text_json(t->lang, T_ONE_CALL_TEXT), 5, "call",
            "/trouble", vendor_phone(contacts));
    else if (t->look_alarm)
        one = one_late(t);
    else if (json_array_size(t->devices) == 0)
        one = one_thing(
            "join", text_json(t->lang, T_ONE_JOIN), text_json(t->lang, T_ONE_JOIN_TEXT), 10, "none", "/machines", NULL);
    else if (json_array_size(t->sources) == 0)
        one = one_thing("source", text_json(t->lang, T_ONE_SOURCE), text_json(t->lang, T_ONE_SOURCE_TEXT), 5, "none",
            "/machines", NULL);
    else if (notice_failed(t, "mail") || notice_failed(t, "webhook"))
        one = one_thing("notice", text_json(t->lang, T_ONE_NOTICE), text_json(t->lang, T_ONE_NOTICE_TEXT), 5, "none",
            "/settings", NULL);
    else
        one = task_of(t);
    if (one)
        api_set(t->out, "one", one);
    json_decref(contacts);
}

json_t *today_json(struct api *a, enum text_lang lang)
{
    struct today t = { .a = a, .lang = lang, .now = api_now(), .lines = json_array() };
    t.out = json_pack("{s:o,s:o,s:n,s:[],s:[],s:s,s:n}", "at", api_time(t.now), "next_check",
        api_time(t.now + CHECK_EVERY_S), "one", "dont", "calls", "say", "", "safe");
    t.alarms = api_rows(a, STATE_alarms_open, STATE_NONE);
    t.sources = api_rows(a, STATE_sources, STATE_NONE);
    t.devices = api_rows(a, STATE_devices_joined, STATE_NONE);
    alarm_lines(&t);
    other_lines(&t);
    head_parts(&t);
    one_part(&t);
    json_t *notes = not_separated(a, lang), *v;
    size_t i;
    json_array_foreach(json_object_get(a->boxes, "notes"), i, v)
        api_append(notes, json_incref(v));
    api_set(t.out, "lines", t.lines);
    api_set(t.out, "last", last_of(&t));
    api_set(t.out, "groups", groups_of(&t));
    api_set(t.out, "not_watched", not_watched(a, lang));
    api_set(t.out, "notes", notes);
    api_set(t.out, "lamps", lamps_json(a, lang));
    json_decref(t.alarms);
    json_decref(t.sources);
    json_decref(t.devices);
    return t.out;
}

void h_today(struct api_call *c)
{
    api_reply(c, 200, today_json(c->api, c->lang));
}

static void task_end(struct api_call *c, bool finished)
{
    /* An alarm's own thing to do is marked as seen; the alarm closes when its cause is gone. */
    int r = finished
                ? state_do(c->api->state, STATE_task_done,
                      STATE_ARGS(state_i(api_now()), state_t(c->who.account), state_t(c->part[0])))
                : state_do(c->api->state, STATE_task_later, STATE_ARGS(state_i(api_now() + DAY), state_t(c->part[0])));
    if (r == 0)
        r = state_do(c->api->state, STATE_alarm_seen, STATE_ARGS(state_i(api_now()), state_t(c->part[0])));
    if (r <= 0) {
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
        return;
    }
    api_event(c->api, "today", "", json_object());
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

/* The vault counts time switched off only after somebody compared the date with a calendar. */
static void date_told(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    task_end(c, true);
}

void h_task(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    bool finished = sm_obj_bool(&o, "done", false), later = sm_obj_bool(&o, "later", false);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%s %s", c->part[0], finished ? "done" : "later");
    if (finished == later) {
        api_fail(c, 400, "bad_request", "done", NULL);
        return;
    }
    json_t *row = finished ? api_row(c->api, STATE_task_kind, STATE_ARGS(state_t(c->part[0]))) : NULL;
    bool date = !strcmp(api_str(row, "kind"), "date");
    json_decref(row);
    if (date)
        api_ask(c, "V_DATE", json_pack("{s:b,s:s,s:s}", "confirm", 1, "by", c->who.account, "role", c->who.role), date_told);
    else
        task_end(c, finished);
}

void h_events(struct api_call *c)
{
    json_t *topics = json_pack("[s]", "today"); /* no more than the caller may GET */
    if (c->who.bit & (API_STAFF | API_MANAGER | API_DIRECTOR)) {
        api_append(topics, json_string("alarm"));
        api_append(topics, json_string("restore"));
        api_append(topics, json_string("copy"));
    }
    if (c->who.bit & (API_VENDOR | API_MANAGER | API_DIRECTOR)) {
        api_append(topics, json_string("run"));
        api_append(topics, json_string("device"));
        api_append(topics, json_string("endpoint"));
        api_append(topics, json_string("finding"));
        api_append(topics, json_string("action"));
        api_append(topics, json_string("media"));
        api_append(topics, json_string("quarantine"));
        api_append(topics, json_string("child"));
        api_append(topics, json_string("self"));
        api_append(topics, json_string("peer"));
    }
    api_reply_raw(c, 200, SM_SPAN(NULL, 0), NULL, json_pack("{s:o,s:s}", "events", topics, "session", c->who.session));
}
