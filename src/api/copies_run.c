/*
 * When copies are made.  One at a time: a head is signed by the vault, the parent starts the copier for that one target
 * (and mounts its disk), the copier copies and reads back, the parent ends it and unmounts.
 */
#include <errno.h>
#include "api/copies.h"

#define DAY ((int64_t)86400)
#define AGAIN_S 3600                /* after a failure */
#define SETTLE_S 300                /* after a backup: others may follow */
#define VERIFY_EVERY_S (30 * DAY)
#define PREPARE_S 15                /* the label is written after the copy is known */
#define TRIES 3
#define RUNS_KEPT_S (400 * DAY)
#define DAMAGED_KEPT 100
#define LOCK_LOOK_S (30 * DAY)
#define LOCK_DAYS 90                /* of what lies in a bucket */
#define SAMPLE_BYTES ((int64_t)4 << 30)

const struct copy_kind copy_kinds[] = {
    { "folder", "folder", .max_days = 2 },
    { "disk", "folder", .detachable = true, .max_days = 14 },
    { "s3", "s3", .append_only = true, .net = true, .max_days = 2 },
    { "box", "box", .append_only = true, .net = true, .heals = true, .max_days = 2 },
    { NULL },
};

const struct copy_kind *copy_kind(const char *name)
{
    for (const struct copy_kind *k = copy_kinds; k->name; k++)
        if (!strcmp(k->name, name))
            return k;
    return NULL;
}

/* Is the run of now the courier's? */
static bool is_net(const struct api *a)
{
    return a->copying && copy_kind(api_str(a->copying, "kind"))->net;
}

/* ---- the state of a copy, as JSON beside its row ---- */

static json_t *state_of(struct api *a, const char *id)
{
    json_t *row = api_row(a, STATE_copy, STATE_ARGS(state_t(id)));
    json_t *s = json_deep_copy(json_object_get(row, "state"));
    json_decref(row);
    return s ? s : json_object();
}

static void state_put(struct api *a, const char *id, json_t *s /* taken */)
{
    /* A state that is not kept is an older one: the copy is made or checked once more. */
    (void)!state_do(a->state, STATE_copy_state, STATE_ARGS(state_j(s), state_t(id)));
    json_decref(s);
    copy_changed(a, id);
}

void copy_changed(struct api *a, const char *id)
{
    api_event(a, "copy", id, json_pack("{s:s}", "id", id));
}

static void set_int(json_t *s, const char *key, int64_t v)
{
    api_set(s, key, json_integer(v));
}

/* ---- alarms ---- */

static void key_of(char ret[96], const char *what, const char *id)
{
    (void)snprintf(ret, 96, "%s:%.40s", what, id); /* fits */
}

static void raise(struct api *a, const char *kind, const char *state, const char *id, const char *name)
{
    char key[96];
    key_of(key, kind, id);
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0)
        return;
    struct alarm_new n = { .kind = kind, .state = state, .key = key,
        .facts = json_pack("{s:s,s:s}", "what", name, "copy", id) };
    alarm_open(a, &n);
}

static void lower(struct api *a, const char *kind, const char *id)
{
    char key[96];
    key_of(key, kind, id);
    if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0)
        alarm_close_key(a, key, "sakimori");
}

/* ---- what waits ---- */

bool copy_want(struct api *a, const char *id, const char *what, const char *by)
{
    if (copy_doing(a, id))
        return false;
    api_append(a->copies_wanted, json_pack("{s:s,s:s,s:s?}", "copy", id, "what", what, "by", by));
    copy_changed(a, id);
    return true;
}

const char *copy_doing(struct api *a, const char *id)
{
    size_t i;
    json_t *v;
    if (a->copying && !strcmp(api_str(a->copying, "copy"), id))
        return !strcmp(api_str(a->copying, "phase"), "verify") ? "verify" : "copy";
    json_array_foreach(a->copies_wanted, i, v)
        if (!strcmp(api_str(v, "copy"), id))
            return "waiting";
    return NULL;
}

void copy_cancel(struct api *a, const char *id)
{
    for (size_t i = json_array_size(a->copies_wanted); i-- > 0;)
        if (!strcmp(api_str(json_array_get(a->copies_wanted, i), "copy"), id))
            (void)json_array_remove(a->copies_wanted, i); /* an index of its own */
    if (a->copying && !strcmp(api_str(a->copying, "copy"), id)) {
        api_set(a->copying, "cancel", json_true());
        api_tell(a, is_net(a) ? "N_CANCEL" : "Y_CANCEL", json_object(), NULL, NULL);
    }
    copy_changed(a, id);
}

/* ---- one run ---- */

static const char *error_word(const char *name, const char *why, bool starting)
{
    static const struct { const char *name, *word; } rows[] = { { "SM_ENOTFOUND", "gone" }, { "ENOENT", "gone" },
        { "SM_EAUTH", "label" }, { "SM_EFORMAT", "label" }, { "ENOSPC", "full" }, { "EDQUOT", "full" },
        { "EACCES", "denied" }, { "EROFS", "denied" }, { "EIO", "read" }, { "ENODEV", "read" }, { "ENXIO", "read" },
        { "ESTALE", "read" }, { "SM_ECORRUPT", "original" }, { "SM_EDENIED", "forked" }, { "SM_ECANCEL", "cancelled" },
        { "SM_EPEER", "box" }, { "SM_ETIME", "box" } };
    if (starting && (!strcmp(name, "EPERM") || !strcmp(name, "SM_EUNSUPPORTED")))
        return "mount";
    if (!strcmp(name, "EPERM"))
        return "denied";
    if (!strcmp(name, "SM_EMISMATCH"))
        return why && !strncmp(why, "label", 5) ? "label" : "foreign";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].word;
    return "other";
}

static bool mine(struct api *a, const json_t *mem)
{
    return a->copying && !strcmp(api_str(a->copying, "run"), api_str(mem, "run"));
}

static json_t *mem_of(struct api *a)
{
    return json_pack("{s:s}", "run", api_str(a->copying, "run"));
}

static void run_over(struct api *a)
{
    json_t *c = a->copying;
    const char *error = api_str(c, "error"), *id = api_str(c, "copy");
    const char *state = !*error ? "complete" : !strcmp(error, "cancelled") ? "cancelled" : "failed";
    a->copying = NULL;
    (void)!state_do(a->state, STATE_copy_run_end,
        STATE_ARGS(state_t(state), state_i(api_now()), state_j(json_object_get(c, "facts")), state_t(api_str(c, "run"))));
    json_t *s = state_of(a, id);
    set_int(s, "tried_s", api_now());
    set_int(s, "fails", !strcmp(state, "failed") ? api_int(s, "fails", 0) + 1 : 0);
    api_set(s, "error", json_string(error));
    api_set(s, "why", json_string(api_str(c, "why")));
    if (!strcmp(error, "forked"))
        raise(a, "copy_forked", "call", id, api_str(c, "name"));
    else if (api_int(s, "fails", 0) >= 2)
        raise(a, "copy_failed", "look", id, api_str(c, "name"));
    if (!*error) {
        lower(a, "copy_failed", id);
        if (!strcmp(api_str(c, "what"), "copy"))
            lower(a, "copy_forked", id);
    }
    state_put(a, id, s);
    json_decref(c);
    api_event(a, "today", "", json_object());
}

static void stopped(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)err; /* the parent gone: nothing goes on then */
    (void)answer;
    (void)text;
    if (mine(a, mem))
        run_over(a);
}

static void stop(struct api *a)
{
    api_set(a->copying, "phase", json_string("stop"));
    api_tell(a, is_net(a) ? "P_COURIER" : "P_COPIER", json_pack("{s:b}", "start", 0), stopped, mem_of(a));
}

/* A word of the courier about the network comes first. */
static void fail_for(struct api *a, const char *name, const char *why, const char *reason)
{
    bool starting = !strcmp(api_str(a->copying, "phase"), "start"), net = is_net(a);
    const char *word = *reason ? reason : net && !strcmp(name, "EACCES") ? "rights" : error_word(name, why, starting && !net);
    api_set(a->copying, "error", json_string(api_bool(a->copying, "cancel") ? "cancelled" : word));
    api_set(a->copying, "why", json_string(why ? why : name));
    stop(a);
}

static void fail(struct api *a, const char *name, const char *why)
{
    fail_for(a, name, why, "");
}

static void send_run(struct api *a, const char *what);

/* What a reading of the whole copy found. */
static void verified(struct api *a, bool sound)
{
    const char *id = api_str(a->copying, "copy"), *name = api_str(a->copying, "name");
    json_t *s = state_of(a, id);
    set_int(s, "verified_s", api_now());
    api_set(s, "sound", json_boolean(sound));
    state_put(a, id, s);
    if (sound)
        lower(a, "copy_damage", id);
    else
        raise(a, "copy_damage", "look", id, name);
}

static void run_began(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)answer;
    if (err >= 0 || !mine(a, mem))
        return;
    bool verify = !strcmp(api_str(a->copying, "phase"), "verify");
    /* A copy that does not even open as a vault was read, and found wanting. */
    if (verify && (err == -SM_ECORRUPT || err == -SM_EFORMAT || err == -SM_EVERSION)) {
        verified(a, false);
        stop(a);
        return;
    }
    fail(a, sm_errname(err), text);
}

/* However many days a generation is kept, half of the locks' time is more than that and two weeks. */
static int64_t lock_days(struct api *a)
{
    json_t *set = state_setting(a->state, "retention");
    int64_t days = 2 * (api_int(set ? set : json_object_get(a->vault, "policy"), "min_days", 0) + 14);
    json_decref(set);
    return days < LOCK_DAYS ? LOCK_DAYS : days;
}

static void send_run(struct api *a, const char *what)
{
    json_t *c = a->copying;
    const struct copy_kind *kind = copy_kind(api_str(c, "kind"));
    api_set(c, "phase", json_string(!strcmp(what, "verify") ? "verify" : "copy"));
    set_int(c, "bytes", 0);
    copy_changed(a, api_str(c, "copy"));
    json_t *run = json_pack("{s:s,s:s,s:s,s:s,s:s}", "copy", api_str(c, "copy"), "kind", kind->target, "what", what, "head",
        api_str(c, "head"), "head_pub", api_str(a->keys, "head_pub"));
    if (kind->net) {
        set_int(run, "lock_days", lock_days(a));
        /* Reading back costs money and time there: a sample, unless a person wants all. */
        set_int(run, "read_bytes", *api_str(c, "by") ? 0 : SAMPLE_BYTES);
    }
    api_tell(a, kind->net ? "N_RUN" : "Y_RUN", run, run_began, mem_of(a));
}

static void send_first(struct api *a)
{
    bool verify = !strcmp(api_str(a->copying, "what"), "verify");
    send_run(a, verify ? "verify" : api_bool(a->copying, "deep") ? "deep" : "copy");
}

static void copier_there(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)answer;
    if (!mine(a, mem))
        return;
    if (err < 0)
        fail(a, sm_errname(err), text);
    else
        send_first(a);
}

static void head_there(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    if (!mine(a, mem))
        return;
    if (err < 0 || strlen(api_str(answer, "head")) != 256) {
        fail(a, sm_errname(err < 0 ? err : -SM_EPROTO), text);
        return;
    }
    json_t *c = a->copying;
    bool disk = copy_kind(api_str(c, "kind"))->detachable;
    const char *name = is_net(a) ? "copy" : disk ? "disk" : "path";
    api_set(c, "head", json_string(api_str(answer, "head")));
    set_int(c, "head_s", api_now());
    if (strcmp(api_str(c, "phase"), "start") != 0)
        send_first(a); /* again, with a newer head */
    else
        api_tell(a, is_net(a) ? "P_COURIER" : "P_COPIER",
            json_pack("{s:b,s:s}", "start", 1, name, api_str(c, is_net(a) ? "copy" : "place")), copier_there, mem_of(a));
}

static void begin(struct api *a, const json_t *want)
{
    const char *id = api_str(want, "copy");
    char run[API_ID_TEXT];
    json_t *row = api_row(a, STATE_copy, STATE_ARGS(state_t(id)));
    const struct copy_kind *kind = row ? copy_kind(api_str(row, "kind")) : NULL;
    if (!kind) {
        json_decref(row);
        return; /* forgotten meanwhile, or of a later program */
    }
    const json_t *s = json_object_get(row, "state");
    int64_t now = api_now(), verified_s = api_int(s, "verified_s", 0);
    bool unsound = verified_s && !api_bool(s, "sound");
    api_id(run);
    a->copying = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:{},s:[]}", "run", run, "copy", id, "kind", kind->name,
        "name", api_str(row, "name"), "place", api_str(row, "place"), "what", api_str(want, "what"), "phase", "start",
        "deep", unsound && (!kind->net || kind->heals), "verify", kind->detachable || unsound || now - verified_s > VERIFY_EVERY_S, "facts", "damaged");
    json_decref(row);
    if (a->copying)
        api_set(a->copying, "by", json_string(api_str(want, "by")));
    if (!a->copying)
        return; /* out of memory: at the next tick */
    const char *by = api_str(want, "by");
    if (state_do(a->state, STATE_copy_run_add,
            STATE_ARGS(state_t(run), state_t(id), state_t(api_str(want, "what")), state_t(*by ? by : NULL),
                state_i(now))) < 0) {
        json_decref(a->copying);
        a->copying = NULL;
        return;
    }
    copy_changed(a, id);
    api_tell(a, "V_HEAD", json_object(), head_there, mem_of(a));
}

/* ---- what the copier says ---- */

static void copied(struct api *a, const json_t *e)
{
    json_t *c = a->copying, *s = state_of(a, api_str(c, "copy"));
    static const char *const keys[] = { "seq", "hash", "generations", "packs", "pack_bytes", "damaged", "same_disk",
        "total_bytes", "free_bytes", "stored_objects", "stored_bytes", "locked_until_s" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(e, keys[i]))
            api_set(s, keys[i], json_incref(json_object_get(e, keys[i])));
    set_int(s, "covers_s", api_int(c, "head_s", 0));
    set_int(s, "done_s", api_now());
    state_put(a, api_str(c, "copy"), s);
}

static void on_result(struct api *a, const json_t *e)
{
    json_t *c = a->copying, *facts = json_deep_copy(e);
    bool ok = api_bool(e, "ok"), verify = !strcmp(api_str(e, "phase"), "verify");
    const char *error = api_str(e, "error");
    if (facts) {
        (void)json_object_del(facts, "copy"); /* names the row it stands in */
        api_set(json_object_get(c, "facts"), verify ? "verify" : "copy", facts);
    }
    if (!ok && !strcmp(error, "SM_EAGAIN") && api_int(c, "tries", 0) < TRIES) {
        set_int(c, "tries", api_int(c, "tries", 0) + 1);
        api_tell(a, "V_HEAD", json_object(), head_there, mem_of(a));
        return;
    }
    if (!ok) {
        fail_for(a, error, api_str(e, "why"), api_str(e, "reason"));
        return;
    }
    if (verify)
        verified(a, api_bool(e, "sound"));
    else
        copied(a, e);
    if (!verify && (api_bool(c, "verify")))
        send_run(a, "verify");
    else
        stop(a);
}

static void on_damaged(struct api *a, const json_t *e)
{
    json_t *list = json_object_get(a->copying, "damaged");
    if (json_array_size(list) < DAMAGED_KEPT)
        api_append(list, json_pack("{s:s,s:s,s:b,s:b}", "file", api_str(e, "file"), "why", api_str(e, "why"), "original",
            api_bool(e, "original"), "copy_is_good", api_bool(e, "copy_is_good")));
    api_set(json_object_get(a->copying, "facts"), "files", json_incref(list));
    if (!api_bool(e, "original"))
        return;
    struct alarm_new n = { .kind = "damage", .state = "call", .key = "damage",
        .facts = json_pack("{s:s,s:s,s:s}", "what", api_str(e, "why"), "file", api_str(e, "file"), "copy",
            api_bool(e, "copy_is_good") ? api_str(a->copying, "name") : "") };
    alarm_open(a, &n);
}

void api_on_copier(struct api *a, const json_t *e)
{
    const char *what = api_str(e, "what");
    if (!a->copying || strcmp(api_str(a->copying, "copy"), api_str(e, "copy")) != 0)
        return;
    if (!strcmp(what, "progress")) {
        set_int(a->copying, "bytes", api_int(e, "bytes", 0));
        set_int(a->copying, "bytes_total", api_int(e, "bytes_total", 0));
        progress_bound(a->copying, "bytes", "bytes_total");
        copy_changed(a, api_str(a->copying, "copy"));
    } else if (!strcmp(what, "joined")) {
        copy_joined(a, e);
    } else if (!strcmp(what, "damage")) {
        on_damaged(a, e);
    } else if (!strcmp(what, "result")) {
        on_result(a, e);
    }
}

void copies_peer_gone(struct api *a, const char *peer)
{
    const char *phase = a->copying ? api_str(a->copying, "phase") : "";
    if ((!strcmp(phase, "copy") || !strcmp(phase, "verify")) && is_net(a) == !strcmp(peer, "courier"))
        fail(a, "SM_EPEER", "the process that made the copy ended");
}

bool api_copy_runs(const struct api *a, const char *copy)
{
    return a->copying && !strcmp(api_str(a->copying, "copy"), copy);
}

/* ---- disks ---- */

static bool plugged(const json_t *disks, const char *uuid)
{
    size_t i;
    json_t *v;
    json_array_foreach(disks, i, v)
        if (json_is_string(v) && !strcmp(json_string_value(v), uuid))
            return true;
    return false;
}

void api_on_disks(struct api *a, const json_t *disks)
{
    json_t *rows = api_rows(a, STATE_copies, STATE_NONE), *row;
    size_t i;
    json_decref(a->disks);
    a->disks = json_deep_copy(json_object_get(disks, "disks"));
    json_array_foreach(rows, i, row) {
        const struct copy_kind *k = copy_kind(api_str(row, "kind"));
        const json_t *old = json_object_get(row, "state");
        bool now = plugged(a->disks, api_str(row, "place"));
        if (!k || !k->detachable || now == api_bool(old, "attached"))
            continue;
        json_t *s = json_deep_copy(old);
        api_set(s, "attached", json_boolean(now));
        set_int(s, now ? "attached_s" : "detached_s", api_now());
        state_put(a, api_str(row, "id"), s);
        if (!now && copy_doing(a, api_str(row, "id")))
            copy_cancel(a, api_str(row, "id")); /* the next time goes on from there */
        api_event(a, "today", "", json_object());
    }
    json_decref(rows);
}

void copies_left_in(struct api *a, void (*fn)(void *arg, const char *name), void *arg)
{
    json_t *rows = api_rows(a, STATE_copies, STATE_NONE), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        const json_t *s = json_object_get(row, "state");
        int64_t done = api_int(s, "done_s", 0), in = api_int(s, "attached_s", 0);
        if (api_bool(s, "attached") && done && api_now() - (done > in ? done : in) > COPY_LEFT_IN_S &&
            !copy_doing(a, api_str(row, "id")))
            fn(arg, api_str(row, "name"));
    }
    json_decref(rows);
}

/* ---- the clock ---- */

static int64_t today_at(int64_t now, int64_t hour)
{
    const int64_t jst = 9 * 3600;
    return (now + jst) / DAY * DAY - jst + hour * 3600;
}

/* Locks in a bucket are renewed when half of their time is over, whether anything new is there or not. */
static bool locks_end_soon(struct api *a, const json_t *s, int64_t now)
{
    int64_t until = api_int(s, "locked_until_s", 0);
    return until && until - now < lock_days(a) * DAY / 2;
}

static bool due(struct api *a, const json_t *row, int64_t now, int64_t newest)
{
    const json_t *s = json_object_get(row, "state");
    const struct copy_kind *k = copy_kind(api_str(row, "kind"));
    int64_t tried = api_int(s, "tried_s", 0), covers = api_int(s, "covers_s", 0), hour = api_int(row, "hour", -1);
    const char *error = api_str(s, "error");
    if (!k || !api_bool(row, "enabled") || !newest || !strcmp(error, "forked") || copy_doing(a, api_str(row, "id")))
        return false;
    if (now - api_int(row, "created_s", 0) < PREPARE_S)
        return false;
    if (k->detachable && (!api_bool(s, "attached") || !a->disks))
        return false;
    if (k->detachable && tried < api_int(s, "attached_s", 0))
        return true;
    if (*error && now - tried < AGAIN_S)
        return false;
    if (k->detachable)
        return *error || now - tried >= DAY;
    if (locks_end_soon(a, s, now))
        return true;
    if (covers >= newest && !(api_int(s, "verified_s", 0) && !api_bool(s, "sound")))
        return false;
    if (hour < 0)
        return now - newest >= SETTLE_S || !covers;
    return now >= today_at(now, hour) && tried < today_at(now, hour);
}

static void old_alarm(struct api *a, const json_t *row, const struct lamp_facts *f)
{
    struct lamp_copy c = copy_facts(row);
    int64_t since = api_int(row, "created_s", 0);
    bool old = c.complete ? c.covers_s < f->newest_s && f->now - c.covers_s > c.max_age_s
        : f->newest_s && f->now - since > c.max_age_s;
    int64_t locked = api_int(json_object_get(row, "state"), "locked_until_s", 0);
    old |= locked && locked - f->now < LOCK_LOOK_S; /* nobody renewed it for long */
    if (old && api_bool(row, "enabled"))
        raise(a, "copy_old", "look", api_str(row, "id"), api_str(row, "name"));
    else
        lower(a, "copy_old", api_str(row, "id"));
}

void copies_tick(struct api *a)
{
    struct lamp_copy room[COPIES_MAX];
    json_t *rows, *row;
    size_t i;
    struct lamp_facts f = copies_facts(a, room, &rows);
    json_array_foreach(rows, i, row) {
        old_alarm(a, row, &f);
        if (due(a, row, f.now, f.newest_s))
            (void)copy_want(a, api_str(row, "id"), "copy", NULL); /* it is not waiting: just asked */
    }
    json_decref(rows);
    if (!a->copying && json_array_size(a->copies_wanted) && *api_str(a->keys, "head_pub")) {
        json_t *want = json_incref(json_array_get(a->copies_wanted, 0));
        (void)json_array_remove(a->copies_wanted, 0); /* there is one */
        begin(a, want);
        json_decref(want);
    }
    (void)!state_do(a->state, STATE_copy_runs_forget, STATE_ARGS(state_i(f.now - RUNS_KEPT_S))); /* kept longer is no harm */
}

/* A copier of our last life is nobody's now. */
void copies_start(struct api *a)
{
    (void)!state_do(a->state, STATE_copy_runs_lost, STATE_ARGS(state_i(api_now()))); /* else shown as running */
    api_tell(a, "P_COPIER", json_pack("{s:b}", "start", 0), NULL, NULL);
    api_tell(a, "P_COURIER", json_pack("{s:b}", "start", 0), NULL, NULL);
}
