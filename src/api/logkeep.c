/*
 * The record of logs goes into the vault, every hour in which something was written, as a source of the box's own client
 * (docs/FORMAT-journal.md, "Saved"); and it is checked by the clock: a part of what is stored every night, all of it every month.
 */
#include <inttypes.h>
#include "api/watch.h"

#define DAY ((int64_t)86400)
#define JST_S 32400
enum {
    EVERY_S = 3600, AGAIN_S = 900,
    OLD_S = 2 * 86400,      /* nothing saved for so long is told */
    SHARES = 28,            /* parts of the record, one a night */
    CHECK_MINUTES = 3 * 60 + 20, MONTHS_KEPT = 15, FINDINGS_KEPT = 20, CHECK_MAX_S = 86400,
};

/* ---- what is kept of it: settings ---- */

static json_t *kept(struct api *a, const char *name)
{
    json_t *s = state_setting(a->state, name);

    if (json_is_object(s))
        return s;
    json_decref(s);
    return json_object();
}

static void keep(struct api *a, const char *name, json_t *s /* taken */)
{
    (void)!state_set(a->state, name, s); /* not kept: it is done once more */
    json_decref(s);
    api_event(a, "logs", "", json_object());
}

/* ---- saving ---- */

void logkeep_over(struct api *a, const json_t *run, int err, const char *why)
{
    json_t *s = kept(a, "log_save");
    int64_t now = api_now();

    api_set(s, "tried_s", json_integer(now));
    api_set(s, "error", json_string(err < 0 ? sm_errname(err) : ""));
    api_set(s, "why", json_string(err < 0 ? (why && *why ? why : sm_strerror(err)) : ""));
    if (err >= 0) {
        const json_t *laid = json_object_get(run, "laid"), *result = json_object_get(run, "result");
        static const char *const keys[] = { "block", "seq", "events", "segments", "at_s" };
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            api_set(s, keys[i], json_integer((json_int_t)api_int(laid, keys[i], 0)));
        api_set(s, "ok_s", json_integer(now));
        if (result)
            api_set(s, "last", json_deep_copy(result));
    }
    keep(a, "log_save", s);
}

static void run_over(struct api *a, int err, const char *why)
{
    json_t *run = a->selfing;

    a->selfing = NULL;
    logkeep_over(a, run, err, why);
    json_decref(run);
}

/* Watch laid the copy out.  Nothing new since the last one: that one says it all. */
static void laid_out(struct api *a, int err, const json_t *j, const char *text, json_t *mem)
{
    if (!a->selfing || strcmp(api_str(a->selfing, "run"), api_str(mem, "run")) != 0)
        return;
    if (err < 0) {
        run_over(a, err, text);
        return;
    }
    json_t *s = kept(a, "log_save");
    bool same = api_int(s, "ok_s", 0) && api_int(j, "block", 0) == api_int(s, "block", -1) && api_int(j, "seq", 0) == api_int(s, "seq", -1);
    json_decref(s);
    api_set(a->selfing, "laid", json_deep_copy(j));
    if (same || !api_int(j, "block", 0))
        run_over(a, 0, NULL);
    else
        self_child(a);
}

static void begin(struct api *a)
{
    char run[API_ID_TEXT];

    api_id(run);
    a->logkeep_asked_s = api_now();
    a->selfing = json_pack("{s:s,s:s,s:I}", "run", run, "what", "logs", "began_s", (json_int_t)a->logkeep_asked_s);
    if (a->selfing)
        api_tell(a, "W_SAVE", json_object(), laid_out, json_pack("{s:s}", "run", run));
}

static void old_alarm(struct api *a, const json_t *s, int64_t now)
{
    int64_t since = api_int(s, "ok_s", 0) ? api_int(s, "ok_s", 0) : api_int(s, "since_s", now);
    bool old = now - since > OLD_S, open = state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("log_unsaved"))) > 0;

    if (old && !open) {
        struct alarm_new n = { .kind = "log_unsaved", .state = "look", .key = "log_unsaved",
            .facts = json_pack("{s:s}", "what", api_str(s, "why")) };
        alarm_open(a, &n);
    } else if (!old && open) {
        alarm_close_key(a, "log_unsaved", "sakimori");
    }
}

static void saving_tick(struct api *a, int64_t now)
{
    json_t *s = kept(a, "log_save");
    int64_t tried = api_int(s, "tried_s", 0);
    bool failed = *api_str(s, "error");

    if (!api_int(s, "since_s", 0)) {
        api_set(s, "since_s", json_integer(now));
        keep(a, "log_save", json_incref(s));
    }
    old_alarm(a, s, now);
    if (!a->selfing && a->watch_there && (now - tried >= (failed ? AGAIN_S : EVERY_S) || tried > now))
        begin(a);
    json_decref(s);
}

/* The generations that were saved while it was whole go by themselves in two weeks: the newest of them is held. */
void logkeep_damaged(struct api *a)
{
    json_t *s = kept(a, "log_save");
    const char *id = api_str(json_object_get(s, "last"), "manifest");

    if (*id && !*api_str(s, "held")) {
        api_tell(a, "V_HOLD", json_pack("{s:s,s:s,s:s,s:s,s:s}", "by", "sakimori", "role", "box", "scope", "manifest", "what", id, "reason",
            "ログの記録に傷みが見つかったため / the record of logs was found damaged"), NULL, NULL);
        api_set(s, "held", json_string(id));
        keep(a, "log_save", json_incref(s));
    }
    json_decref(s);
}

json_t *logkeep_json(struct api *a, enum text_lang lang)
{
    json_t *s = kept(a, "log_save");
    bool runs = !strcmp(api_str(a->selfing, "what"), "logs");
    int64_t ok = api_int(s, "ok_s", 0), since = ok ? ok : api_int(s, "since_s", api_now());
    const char *state = runs ? "running" : *api_str(s, "error") ? "failed" : api_now() - since > OLD_S ? "late" : ok ? "ok" : "waiting";
    json_t *j = json_pack("{s:s,s:o,s:o,s:I,s:I,s:o,s:s,s:s,s:O?,s:s}", "state", state, "until", api_time(api_int(s, "at_s", 0)), "saved",
        api_time(ok), "events", (json_int_t)api_int(s, "events", 0), "block", (json_int_t)api_int(s, "block", 0), "tried",
        api_time(api_int(s, "tried_s", 0)), "error", api_str(s, "error"), "why", api_str(s, "why"), "last", json_object_get(s, "last"), "held",
        api_str(s, "held"));

    api_set(j, "why_text", *api_str(s, "error") ? why_words(api_str(s, "error"), api_str(s, "why"), lang) : json_string(""));
    json_decref(s);
    return j;
}

void h_logs_backup(struct api_call *c)
{
    struct api *a = c->api;

    if (a->selfing || !a->watch_there || !*api_str(a->keys, "recipients")) {
        api_fail(c, 409, "conflict", NULL, NULL);
        return;
    }
    begin(a);
    api_reply(c, 202, logkeep_json(a, c->lang));
}

/* ---- checks by the clock ---- */

static void month_name(int64_t s, char ret[16])
{
    struct sm_civil c;

    sm_time_civil_jst((struct sm_time){ .s = s }, &c);
    (void)snprintf(ret, 16, "%04d-%02d", c.year % 10000, c.month % 100); /* fits */
}

static void month_add(json_t *s, int64_t now, bool whole, int64_t faults)
{
    json_t *months = json_object_get(s, "months"), *m;
    char name[16];
    const char *oldest;

    month_name(now, name);
    if (!months)
        api_set(s, "months", months = json_object());
    if (!json_object_get(months, name)) {
        while (json_object_size(months) >= MONTHS_KEPT) {
            const char *k;
            json_t *v;
            oldest = NULL;
            json_object_foreach(months, k, v)
                oldest = !oldest || strcmp(k, oldest) < 0 ? k : oldest;
            (void)json_object_del(months, oldest); /* it is there */
        }
        api_set(months, name, json_pack("{s:i,s:i,s:i}", "parts", 0, "whole", 0, "faults", 0));
    }
    m = json_object_get(months, name);
    api_set(m, whole ? "whole" : "parts", json_integer((json_int_t)api_int(m, whole ? "whole" : "parts", 0) + 1));
    api_set(m, "faults", json_integer((json_int_t)(api_int(m, "faults", 0) + faults)));
}

static void call_for(struct api *a, const json_t *findings)
{
    const json_t *f;
    size_t i;

    json_array_foreach(findings, i, f) {
        if (!json_is_true(json_object_get(f, "fault")))
            continue;
        char what[300];
        (void)snprintf(what, sizeof what, "%.40s %" PRId64 ": %.150s", api_str(f, "file"), api_int(f, "block", 0),
            api_str(f, api_box_lang(a) == TEXT_EN ? "en" : "ja")); /* cut when it is long; whole characters: the texts are short */
        struct alarm_new n = { .kind = "log_damaged", .state = "call", .key = "log_damaged", .facts = json_pack("{s:s}", "what", what) };
        alarm_open(a, &n);
        logkeep_damaged(a);
        return;
    }
}

static void ended(struct api *a, const json_t *j)
{
    json_t *s = kept(a, "log_check"), *few = json_array(), *f;
    int64_t now = api_now(), faults = api_int(j, "faults", 0);
    bool whole = !api_int(j, "of", 0), failed = *api_str(j, "error");
    size_t i;

    a->logcheck_run_s = 0;
    json_array_foreach(json_object_get(j, "findings"), i, f)
        if (json_is_true(json_object_get(f, "fault")) && json_array_size(few) < FINDINGS_KEPT)
            api_append(few, json_deep_copy(f));
    api_set(s, "at_s", json_integer(now));
    api_set(s, "error", json_string(api_str(j, "error")));
    if (!failed) {
        api_set(s, whole ? "whole_s" : "part_s", json_integer(now));
        if (!whole)
            api_set(s, "share", json_integer((json_int_t)((api_int(s, "share", 0) + 1) % SHARES)));
        else
            api_set(s, "whole_faults", json_integer((json_int_t)faults));
        api_set(s, "faults", json_integer((json_int_t)faults));
        api_set(s, "findings", few);
        month_add(s, now, whole, faults);
    } else {
        json_decref(few);
    }
    keep(a, "log_check", s);
    if (faults)
        call_for(a, json_object_get(j, "findings"));
}

static void looked(struct api *a, int err, const json_t *j, const char *text, json_t *mem)
{
    (void)text;
    (void)mem;
    if (err < 0 || !a->logcheck_run_s)
        return; /* asked again at the next turn */
    if (!json_is_true(json_object_get(j, "running")))
        ended(a, j);
}

static int64_t tonight(int64_t now)
{
    return (now + JST_S) / DAY * DAY - JST_S + CHECK_MINUTES * 60;
}

void logcheck_begun(struct api *a)
{
    a->logcheck_run_s = api_now();
}

static void check_begin(struct api *a, const json_t *s, bool whole)
{
    json_t *ask = json_pack("{s:b,s:s}", "start", 1, "key", api_str(a->keys, "seal_pub"));

    if (!whole) {
        api_set(ask, "of", json_integer(SHARES));
        api_set(ask, "share", json_integer((json_int_t)api_int(s, "share", 0)));
    }
    logcheck_begun(a);
    a->logcheck_asked_s = a->logcheck_run_s;
    api_tell(a, "J_VERIFY", ask, NULL, NULL);
}

/* Once a night; all of it when that was not done in this month yet. */
static void check_tick(struct api *a, int64_t now)
{
    char month[16], last[16];

    if (!a->seeker_there)
        return;
    if (a->logcheck_run_s) {
        if (now - a->logcheck_run_s > CHECK_MAX_S || now < a->logcheck_run_s)
            a->logcheck_run_s = 0;
        else
            api_tell(a, "J_VERIFY", json_object(), looked, NULL);
        return;
    }
    json_t *s = kept(a, "log_check");
    int64_t newest = api_int(s, "part_s", 0) > api_int(s, "whole_s", 0) ? api_int(s, "part_s", 0) : api_int(s, "whole_s", 0);
    bool due = now >= tonight(now) && newest < tonight(now) && (now - a->logcheck_asked_s > AGAIN_S || now < a->logcheck_asked_s);
    month_name(now, month);
    month_name(api_int(s, "whole_s", 0), last);
    if (due)
        check_begin(a, s, strcmp(month, last) != 0);
    json_decref(s);
}

json_t *logcheck_json(struct api *a)
{
    json_t *s = kept(a, "log_check");
    json_t *j = json_pack("{s:o,s:o,s:I,s:s,s:o,s:b}", "part", api_time(api_int(s, "part_s", 0)), "whole", api_time(api_int(s, "whole_s", 0)),
        "faults", (json_int_t)api_int(s, "faults", 0), "error", api_str(s, "error"), "findings",
        json_object_get(s, "findings") ? json_deep_copy(json_object_get(s, "findings")) : json_array(), "running", a->logcheck_run_s != 0);

    json_decref(s);
    return j;
}

json_t *logcheck_month(struct api *a, const char *month)
{
    json_t *s = kept(a, "log_check"), *m = json_deep_copy(json_object_get(json_object_get(s, "months"), month));

    json_decref(s);
    return m ? m : json_pack("{s:i,s:i,s:i}", "parts", 0, "whole", 0, "faults", 0);
}

void logkeep_tick(struct api *a)
{
    int64_t now = api_now();

    if (!api_setup_done(a) || !*api_str(a->keys, "recipients"))
        return;
    saving_tick(a, now);
    check_tick(a, now);
}
