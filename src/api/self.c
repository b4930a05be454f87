/*
 * The box's own backup (docs/FORMAT-vault.md section 13): when it is made, by which steps, and what is told of it.
 * A copy of database and audit log is laid out, selfsave is started, the vault opens a session for it as for any client,
 * selfsave makes the generation, and everything is cleared away.  It goes on no machine: only `sakimori takeover` opens it.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "api/internal.h"
#include "plat/fs.h"

#define DAY ((int64_t)86400)
#define SETTLE_S 600      /* after a change: others may follow */
#define AGAIN_S 3600      /* after a failure */
#define OLD_S (2 * DAY)
#define DAILY_MINUTES (4 * 60 + 40)
#define MARKER "takeover.json"
#define MARKER_MAX ((size_t)64 << 10)
#define BEFORE_MAX 256
#define NAME "この箱 / this box"

/* ---- what is kept of it: a setting ---- */

static json_t *kept(struct api *a)
{
    json_t *s = state_setting(a->state, "self");
    return json_is_object(s) ? s : json_object();
}

static void keep(struct api *a, json_t *s /* taken */)
{
    /* What is not kept is an older state: one more is made then. */
    (void)!state_set(a->state, "self", s);
    json_decref(s);
    api_event(a, "self", "", json_object());
    api_event(a, "today", "", json_object());
}

bool self_is(struct api *a, const char *client)
{
    json_t *s = kept(a), *v;
    bool is = *client && !strcmp(api_str(s, "client"), client);
    size_t i;
    json_array_foreach(json_object_get(s, "before"), i, v)
        is |= *client && json_is_string(v) && !strcmp(json_string_value(v), client);
    json_decref(s);
    return is;
}

/* DATA/self was lost: what it saved under its name until then opens no more easily than before. */
static void remember(json_t *s, const char *client)
{
    const char *was = api_str(s, "client");
    json_t *before = json_object_get(s, "before");
    if (!*was || !strcmp(was, client))
        return;
    if (!before)
        api_set(s, "before", before = json_array());
    if (json_array_size(before) < BEFORE_MAX)
        api_append(before, json_string(was));
}

static void want_in(struct api *a, int64_t seconds)
{
    int64_t at = api_now() + seconds;
    if (!a->self_due_s || at < a->self_due_s)
        a->self_due_s = at;
}

void self_acted(struct api *a, const char *act)
{
    static const char *const acts[] = { "person.", "device.", "join", "settings.change", "contacts.", "source.", "copy.add",
        "copy.change", "copy.forget", "restore-card.", "recovery", "password", "setup.confirm", "monitor.", "counter.",
        "renew" };
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (!strncmp(act, acts[i], strlen(acts[i])))
            want_in(a, SETTLE_S);
}

/* ---- one run ---- */

static json_t *mem_of(struct api *a)
{
    return json_pack("{s:s}", "run", api_str(a->selfing, "run"));
}

static bool mine(struct api *a, const json_t *mem)
{
    return a->selfing && !strcmp(api_str(a->selfing, "run"), api_str(mem, "run"));
}

static bool of_logs(const struct api *a)
{
    return !strcmp(api_str(a->selfing, "what"), "logs");
}

static void over(struct api *a, int err, const char *why)
{
    if (of_logs(a)) {
        json_t *run = a->selfing;
        a->selfing = NULL;
        api_tell(a, "P_SELF", json_pack("{s:b}", "start", 0), NULL, NULL);
        logkeep_over(a, run, err, why);
        json_decref(run);
        return;
    }
    json_t *s = kept(a);
    int64_t now = api_now();
    api_set(s, "tried_s", json_integer(now));
    api_set(s, "error", json_string(err < 0 ? sm_errname(err) : ""));
    api_set(s, "why", json_string(err < 0 ? (why && *why ? why : sm_strerror(err)) : ""));
    if (err < 0) {
        want_in(a, AGAIN_S);
    } else {
        const json_t *r = json_object_get(a->selfing, "result");
        api_set(s, "ok_s", json_integer(now));
        api_set(s, "last", json_deep_copy(r));
    }
    json_decref(a->selfing);
    a->selfing = NULL;
    self_files_remove(a->data);
    api_tell(a, "P_SELF", json_pack("{s:b}", "start", 0), NULL, NULL);
    keep(a, s);
}

static void run_ended(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    if (!mine(a, mem))
        return;
    char why[160] = "";
    if (err >= 0 && strcmp(api_str(answer, "status"), "complete") != 0) {
        const json_t *p = json_array_get(json_object_get(answer, "problems"), 0);
        err = -SM_EPARTIAL;
        (void)snprintf(why, sizeof why, "%.60s: %.60s: %.30s", api_str(p, "path"), api_str(p, "what"), api_str(p, "error"));
        text = why;
    }
    if (err >= 0)
        api_set(a->selfing, "result", json_deep_copy(answer));
    over(a, err, text);
}

static void session_made(struct api *a, int err, const json_t *j, const char *text, json_t *mem)
{
    if (!mine(a, mem))
        return;
    if (err < 0) {
        over(a, err, text);
        return;
    }
    api_set(a->selfing, "number", json_incref(json_object_get(j, "number")));
    api_tell(a, "S_RUN",
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s}", "what", of_logs(a) ? "logs" : "box", "session", api_str(j, "session"), "vault", api_str(a->keys, "vault"), "run",
            api_str(a->selfing, "run"), "number", (json_int_t)api_int(j, "number", 0), "previous", api_str(j, "previous"),
            "recipients", api_str(a->keys, "recipients")),
        run_ended, mem_of(a));
}

static void client_known(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)answer;
    if (!mine(a, mem))
        return;
    if (err < 0) {
        over(a, err, text);
        return;
    }
    api_tell(a, "V_SESSION",
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "client", api_str(a->selfing, "client"), "source", api_str(a->selfing, "source"),
            "run", api_str(a->selfing, "run"), "run_kind", of_logs(a) ? "adhoc" : "scheduled", "from", "box"),
        session_made, mem_of(a));
}

static void said_hello(struct api *a, int err, const json_t *j, const char *text, json_t *mem)
{
    if (!mine(a, mem))
        return;
    if (err < 0 || strlen(api_str(j, "client")) != 32 || strlen(api_str(j, "source")) != 32) {
        over(a, err < 0 ? err : -SM_EPROTO, text);
        return;
    }
    json_t *s = kept(a);
    bool other = *api_str(s, "sign_pub") && !strcmp(api_str(s, "client"), api_str(j, "client")) &&
        strcmp(api_str(s, "sign_pub"), api_str(j, "sign_pub")) != 0;
    remember(s, api_str(j, "client"));
    static const char *const keys[] = { "client", "source", "sign_pub" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        api_set(s, keys[i], json_string(api_str(j, keys[i])));
        api_set(a->selfing, keys[i], json_string(api_str(j, keys[i])));
    }
    if (of_logs(a))
        api_set(a->selfing, "source", json_string(api_str(j, "logs")));
    keep(a, s);
    api_tell(a, "V_CLIENT",
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "client", api_str(j, "client"), "name", NAME, "sign_pub", api_str(j, "sign_pub"),
            "recipients", api_str(a->keys, "fingerprint"), "state", other ? "re-keyed" : "joined"),
        client_known, mem_of(a));
}

static void child_there(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)answer;
    if (!mine(a, mem))
        return;
    if (err < 0)
        over(a, err, text);
    else
        api_tell(a, "S_HELLO", json_object(), said_hello, mem_of(a));
}

void self_child(struct api *a)
{
    api_tell(a, "P_SELF", json_pack("{s:b}", "start", 1), child_there, mem_of(a));
}

struct laying { struct api *api; struct self_files f; };

static void lay_out(void *ctx)
{
    self_files_make(&((struct laying *)ctx)->f);
}

static void laid_out(void *ctx)
{
    struct laying *l = ctx;
    struct api *a = l->api;
    if (!a->selfing)
        self_files_remove(l->f.data);
    else if (l->f.err < 0)
        over(a, l->f.err, "the copy of the database could not be made");
    else
        self_child(a);
    free(l);
}

static void begin(struct api *a)
{
    char run[API_ID_TEXT];
    struct laying *l = calloc(1, sizeof *l);
    api_id(run);
    a->self_due_s = 0;
    a->selfing = l ? json_pack("{s:s,s:I}", "run", run, "began_s", (json_int_t)api_now()) : NULL;
    if (!a->selfing) {
        free(l);
        want_in(a, AGAIN_S);
        return;
    }
    l->api = a;
    (void)snprintf(l->f.data, sizeof l->f.data, "%s", a->data); /* a longer one fails below */
    api_event(a, "self", "", json_object());
    int r = strlen(a->data) < sizeof l->f.data ? worker_put(a->worker, lay_out, laid_out, l) : -SM_ELIMIT;
    if (r < 0) {
        free(l);
        over(a, r, NULL);
    }
}

void self_gone(struct api *a)
{
    if (a->selfing && *api_str(a->selfing, "client"))
        over(a, -SM_EPEER, "selfsave ended");
}

/* ---- the clock ---- */

static int64_t today_at(int64_t now)
{
    const int64_t jst = 9 * 3600;
    return (now + jst) / DAY * DAY - jst + DAILY_MINUTES * 60;
}

static void old_alarm(struct api *a, const json_t *s, int64_t now)
{
    int64_t ok = api_int(s, "ok_s", 0), since = ok ? ok : api_int(s, "since_s", now);
    bool old = now - since > OLD_S;
    bool open = state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("self_old"))) > 0;
    if (old && !open) {
        struct alarm_new n = { .kind = "self_old", .state = "look", .key = "self_old",
            .facts = json_pack("{s:s}", "what", api_str(s, "why")) };
        alarm_open(a, &n);
    } else if (!old && open) {
        alarm_close_key(a, "self_old", "sakimori");
    }
}

void self_tick(struct api *a)
{
    int64_t now = api_now();
    if (!api_setup_done(a) || !*api_str(a->keys, "recipients"))
        return;
    json_t *s = kept(a);
    int64_t tried = api_int(s, "tried_s", 0);
    if (!api_int(s, "since_s", 0)) {
        api_set(s, "since_s", json_integer(now));
        keep(a, json_incref(s));
    }
    old_alarm(a, s, now);
    if (!tried)
        want_in(a, SETTLE_S);
    bool daily = tried && tried < today_at(now) && now >= today_at(now) && !*api_str(s, "error");
    if (!a->selfing && (daily || (a->self_due_s && now >= a->self_due_s)))
        begin(a);
    json_decref(s);
}

/* ---- after a take-over ---- */

static void took_over(struct api *a, const json_t *m)
{
    struct sm_time t;
    char at[SM_TIME_TEXT] = "?";
    if (sm_time_parse(api_str(m, "saved"), &t) == 0)
        sm_time_jst(t, at);
    char logs[SM_TIME_TEXT] = "";
    if (sm_time_parse(api_str(json_object_get(m, "logs"), "until"), &t) == 0)
        sm_time_jst(t, logs);
    struct alarm_new n = { .kind = "took_over", .state = "look", .key = "took_over",
        .facts = json_pack("{s:s,s:s}", "what", at, "numbers", *logs ? logs : "-") };
    const struct audit_entry e = { "sakimori", "box", "box", "takeover", api_str(m, "seq"), "ok" };
    (void)!state_do(a->state, STATE_sessions_clear, STATE_NONE); /* those of the old box; they end by themselves else */
    (void)!audit_add(a->audit, &e);                              /* the vault's journal tells it too */
    json_t *s = kept(a);
    api_set(s, "took_over", json_deep_copy(m));
    api_set(s, "took_over_s", json_integer(api_now()));
    api_set(s, "ok_s", json_integer(0));
    api_set(s, "since_s", json_integer(api_now()));
    api_set(s, "tried_s", json_integer(0));
    keep(a, s);
    alarm_open(a, &n);
    peers_lost(a);
    access_note(a, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "what", "takeover", "who", "sheet", "role", "sheet", "from", "box",
                       "why", api_str(m, "seq"), "result", "ok"));
}

json_t *self_joined_before(struct api *a, const char *machine_id)
{
    json_t *s = kept(a), *d = NULL;
    int64_t took_s = api_int(s, "took_over_s", 0);
    if (json_is_object(json_object_get(s, "took_over")) && took_s)
        d = api_row(a, STATE_device_of_machine, STATE_ARGS(state_t(machine_id), state_i(took_s)));
    json_decref(s);
    return d;
}

void self_start(struct api *a)
{
    char path[4200];
    struct sm_buf b = SM_BUF_INIT(MARKER_MAX);
    json_t *m = NULL;
    int n = snprintf(path, sizeof path, "%s/state/" MARKER, a->data);
    self_files_remove(a->data);
    if (n < 0 || (size_t)n >= sizeof path || plat_fs_read_file(AT_FDCWD, path, MARKER_MAX, &b) < 0)
        return;
    if (sm_json_parse(sm_buf_span(&b), MARKER_MAX, &m, NULL) == 0 && json_is_object(m))
        took_over(a, m);
    (void)!plat_fs_unlink(AT_FDCWD, path); /* told twice at worst */
    json_decref(m);
    sm_buf_wipe(&b);
}

json_t *self_logs_continued(struct api *a)
{
    json_t *s = kept(a), *logs = json_deep_copy(json_object_get(json_object_get(s, "took_over"), "logs"));
    json_decref(s);
    return logs ? logs : json_null();
}

/* ---- routes ---- */

static json_t *self_json(struct api *a, enum text_lang lang)
{
    json_t *s = kept(a);
    int64_t ok = api_int(s, "ok_s", 0), now = api_now(), since = api_int(s, "since_s", now);
    const char *state = a->selfing && !of_logs(a)            ? "running"
                        : *api_str(s, "error")               ? "failed"
                        : now - (ok ? ok : since) > OLD_S    ? "late"
                        : ok                                 ? "ok"
                                                             : "waiting";
    const json_t *took = json_object_get(s, "took_over");
    json_t *j = json_pack("{s:s,s:o,s:o,s:o,s:s,s:s,s:O?,s:o}", "state", state, "saved", api_time(ok), "tried",
        api_time(api_int(s, "tried_s", 0)), "next", api_time(a->self_due_s), "error", api_str(s, "error"), "why",
        api_str(s, "why"), "last", json_object_get(s, "last"), "took_over",
        took ? json_pack("{s:o,s:s,s:s}", "at", api_time(api_int(s, "took_over_s", 0)), "saved", api_str(took, "saved"),
                   "seq", api_str(took, "seq"))
             : json_null());
    api_set(j, "logs", logkeep_json(a, lang));
    api_set(j, "why_text", *api_str(s, "error") ? why_words(api_str(s, "error"), api_str(s, "why"), lang) : json_string(""));
    json_decref(s);
    return j;
}

void h_self_get(struct api_call *c)
{
    api_reply(c, 200, self_json(c->api, c->lang));
}

void h_self_run(struct api_call *c)
{
    struct api *a = c->api;
    if (a->selfing || !*api_str(a->keys, "recipients")) {
        api_fail(c, 409, "conflict", NULL, NULL);
        return;
    }
    begin(a);
    api_reply(c, 202, self_json(a, c->lang));
}
