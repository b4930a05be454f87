#include "api/alive.h"

#include <errno.h>
#include <string.h>
#include "api/watch.h"
#include "crypto/hash.h"
#include "crypto/random.h"

enum {
    TICK_GAP_MS = 2500,         /* our own clock ticks every second: past this it was the box that was away */
    FRONT_GRACE_MS = 6000,
    BEGIN_GRACE_MS = 30000,
    BEGIN_SEEN_S = 180,         /* heard of so shortly before the box was started: waited for */
    ALONE_MS = 20000,           /* still away, and the others are not: it is this machine */
    RECORD_MS = 1500,           /* the record takes an event within that time, or the signal is made here */
    SAID_MAX = 16,              /* of one call */
    HOUR_MAX = 120,             /* events of one machine in an hour */
    PARTS_MAX = 32,
    ALWAYS_ON_S = 26 * 3600,    /* nobody who is switched off each evening runs so long */
    BATCH_MAX = 16384,
};

struct one {
    char device[API_ID_TEXT], life[40], left[12], kind[12];
    uint64_t last_ms, left_ms, stands_ms;
    int64_t n, said, hour, hour_n;
    bool closed, told, many, stands;
    json_t *parts;
};

struct alive {
    struct one *of;
    size_t n, cap;
    uint64_t tick_ms, number;
    char life[17];
    json_t *waiting;            /* events that the record did not take yet: number → {until_ms, action, host} */
};

/* How long after its last words a machine may be away, by what it said.  None: for ever. */
static const struct { const char *why; int64_t ms; } byes[] = {
    { "stop", ALIVE_SILENT_MS }, { "restart", 60000 }, { "upgrade", 300000 }, { "shutdown", -1 }, { "sleep", -1 }, { "uninstall", -1 },
};

static const struct { const char *action, *rule, *level, *ja, *en; bool theirs; } kinds[] = {
#define A(action, rule, level, theirs, ja, en) { #action, rule, #level, ja, en, theirs },
#include "api/alive.def"
#undef A
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static uint64_t now_ms(void)
{
    return plat_clock_running_ns() / 1000000;
}

int alive_new(struct alive **ret)
{
    uint8_t life[8];
    struct alive *v = calloc(1, sizeof *v);
    if (!v || !(v->waiting = json_object())) {
        free(v);
        return -ENOMEM;
    }
    crypto_random(life, sizeof life);
    for (size_t i = 0; i < sizeof life; i++)
        (void)snprintf(v->life + 2 * i, 3, "%02x", life[i]); /* fits */
    *ret = v;
    return 0;
}

void alive_free(struct alive *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n; i++)
        json_decref(v->of[i].parts);
    free(v->of);
    json_decref(v->waiting);
    free(v);
}

static struct one *find(const struct alive *v, const char *device)
{
    for (size_t i = 0; i < v->n; i++)
        if (!strcmp(v->of[i].device, device))
            return &v->of[i];
    return NULL;
}

static struct one *make(struct alive *v, const char *device)
{
    struct one *o = find(v, device);
    if (o)
        return o;
    if (v->n == ALIVE_MAX)
        return NULL;
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 16;
        struct one *more = realloc(v->of, cap * sizeof *more);
        if (!more)
            return NULL;
        v->of = more;
        v->cap = cap;
    }
    o = &v->of[v->n++];
    *o = (struct one){ .n = 0 };
    (void)snprintf(o->device, sizeof o->device, "%s", device); /* same size */
    return o;
}

static void forget(struct alive *v, struct one *o)
{
    json_decref(o->parts);
    *o = v->of[--v->n];
}

/* ---- events ---- */

static size_t kind_of(const char *action)
{
    size_t k = 0;
    while (k < KINDS && strcmp(kinds[k].action, action) != 0)
        k++;
    return k;
}

static const char *host_of(const json_t *device)
{
    return *api_str(device, "hostname") ? api_str(device, "hostname") : api_str(device, "name");
}

static void signal_here(struct api *a, size_t k, const char *host)
{
    if (!*kinds[k].rule)
        return;
    json_t *s = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[[s,s]]}", "at_s", (json_int_t)api_now(), "rule", kinds[k].rule, "level",
        kinds[k].level, "stage", "defense-evasion", "title_ja", kinds[k].ja, "title_en", kinds[k].en, "text_ja", kinds[k].ja, "text_en",
        kinds[k].en, "entities", "host", host);
    if (s)
        signal_take(a, s, false);
    json_decref(s);
}

static void kept(struct api *a, int err, const json_t *answer, const char *text, json_t *m)
{
    const char *key = api_str(m, "key");
    json_t *w = json_object_get(a->alive->waiting, key);
    (void)answer;
    (void)text;
    if (!w)
        return; /* too late: its signal was made */
    if (err < 0)
        signal_here(a, kind_of(api_str(w, "action")), api_str(w, "host"));
    (void)json_object_del(a->alive->waiting, key);
}

/* The record has not taken it in time. */
static void overdue(struct api *a)
{
    const char *key;
    json_t *w;
    void *next;
    json_object_foreach_safe(a->alive->waiting, next, key, w) {
        if ((int64_t)now_ms() < api_int(w, "until_ms", 0))
            continue;
        signal_here(a, kind_of(api_str(w, "action")), api_str(w, "host"));
        (void)json_object_del(a->alive->waiting, key);
    }
}

/* A batch of one record (src/sakimorid/logbatch.h), as h_agent_events makes them, under the life of this process. */
static int batch_of(const char *device, const char *life, uint64_t number, struct sm_span line, struct sm_buf *ret)
{
    enum { AGENT = 4, RECORD_HEAD = 12 };
    char name[64], numbers[128];
    uint8_t hash[32];
    struct sm_time t = plat_clock_wall();
    (void)snprintf(name, sizeof name, "%s/endpoint", device); /* fits */
    (void)snprintf(numbers, sizeof numbers, "%s\nbox-%s", name, life);
    crypto_sha256(SM_SPAN_STR(numbers), hash);
    int r = sm_buf_put(ret, hash, 16);
    r = r < 0 ? r : sm_buf_put_u64(ret, number);
    r = r < 0 ? r : sm_buf_put_u8(ret, AGENT);
    r = r < 0 ? r : sm_buf_put_u8(ret, (uint8_t)strlen(name));
    r = r < 0 ? r : sm_buf_put_u16(ret, 0);
    r = r < 0 ? r : sm_buf_put_u32(ret, (uint32_t)(RECORD_HEAD + line.n));
    r = r < 0 ? r : sm_buf_put_span(ret, SM_SPAN_STR(name));
    r = r < 0 ? r : sm_buf_put_u32(ret, (uint32_t)line.n);
    r = r < 0 ? r : sm_buf_put_u64(ret, (uint64_t)t.s * 1000000000u + t.ns);
    return r < 0 ? r : sm_buf_put_span(ret, line);
}

void alive_event(struct api *a, const json_t *device, const char *action, json_t *fields)
{
    struct alive *v = a->alive;
    char at[SM_TIME_TEXT], key[24];
    size_t k = kind_of(action);
    struct sm_buf line = SM_BUF_INIT(BATCH_MAX), batch = SM_BUF_INIT(2 * BATCH_MAX);
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *e = json_pack("{s:i,s:s,s:s,s:s,s:s}", "v", 1, "at", at, "service", "sakimori", "action", action, "Computer", host_of(device));
    if (e && fields)
        (void)json_object_update_missing(e, fields); /* what does not fit into memory is left out */
    json_decref(fields);
    v->number++;
    (void)snprintf(key, sizeof key, "%llu", (unsigned long long)v->number); /* fits */
    int r = e && k < KINDS ? sm_json_dump(e, &line) : -ENOMEM;
    json_decref(e);
    if (r >= 0)
        r = batch_of(api_str(device, "id"), v->life, v->number, sm_buf_span(&line), &batch);
    if (r >= 0) {
        api_set(v->waiting, key, json_pack("{s:I,s:s,s:s}", "until_ms", (json_int_t)(now_ms() + RECORD_MS), "action", action, "host",
                                     host_of(device)));
        api_tell_raw(a, "W_EVENTS", sm_buf_span(&batch), kept, json_pack("{s:s}", "key", key));
    } else if (k < KINDS) {
        signal_here(a, k, host_of(device));
    }
    sm_buf_wipe(&line);
    sm_buf_wipe(&batch);
}

/* ---- what a machine says ---- */

static void keep_left(struct api *a, const char *device, const char *left)
{
    json_t *v = json_pack("{s:b,s:s}", "on", 1, "left", left);
    (void)!state_do(a->state, STATE_device_alive, STATE_ARGS(state_j(v), state_t(device))); /* told again with the next word */
    json_decref(v);
}

static bool word_good(const char *s, size_t max)
{
    size_t n = strlen(s);
    return n >= 1 && n <= max && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == n;
}

/* A machine that floods has said what there is to say. */
static bool may_say(struct one *o)
{
    int64_t hour = api_now() / 3600;
    o->hour_n = o->hour == hour ? o->hour_n + 1 : 1;
    o->hour = hour;
    return o->hour_n <= HOUR_MAX;
}

/* One thing the agent saw done to itself; the number says whether it was told before. */
static void said_one(struct api *a, const json_t *device, struct one *o, const json_t *row)
{
    struct sm_obj f = SM_OBJ(row);
    int64_t n = sm_obj_int(&f, "n", 1, INT64_MAX);
    const char *action = sm_obj_str(&f, "action", 1, 32), *part = sm_obj_str_opt(&f, "part", 32), *detail = sm_obj_str_opt(&f, "detail", 500),
               *when = sm_obj_str_opt(&f, "at", 40);
    size_t k = f.err ? KINDS : kind_of(action);
    if (f.err || n <= o->said)
        return;
    o->said = n;
    if (k < KINDS && kinds[k].theirs && may_say(o))
        alive_event(a, device, action, json_pack("{s:s?,s:s?,s:s?,s:s}", "part", part, "detail", detail, "seen", when, "by", "agent"));
}

static void parts_keep(struct one *o, const json_t *parts)
{
    const char *name;
    json_t *v, *out = json_object();
    json_object_foreach((json_t *)(uintptr_t)parts, name, v)
        if (out && word_good(name, 16) && json_is_integer(v) && json_integer_value(v) >= 0 && json_object_size(out) < PARTS_MAX)
            (void)!json_object_set(out, name, v); /* without memory it is left out */
    json_decref(o->parts);
    o->parts = out;
}

/* A part that is silent although nobody of the agent says why: the ones that watch it may be standing themselves. */
static void parts_stand(struct api *a, const json_t *device, struct one *o)
{
    const char *name, *who = NULL;
    json_t *v;
    json_object_foreach(o->parts, name, v)
        if (json_integer_value(v) > ALIVE_SILENT_MS)
            who = name;
    if (who && !o->stands && may_say(o))
        alive_event(a, device, "part_stopped", json_pack("{s:s,s:s}", "part", who, "by", "box"));
    o->stands = who != NULL;
}

static void heard(struct api *a, const json_t *device, struct one *o)
{
    bool was = o->told || o->left[0];
    if (o->told && !o->many)
        alive_event(a, device, "agent_back", json_pack("{s:I}", "away_ms", (json_int_t)(now_ms() - o->last_ms)));
    o->last_ms = now_ms();
    o->closed = o->told = o->many = false;
    o->left[0] = 0;
    if (was || !api_bool(json_object_get(device, "alive"), "on") || *api_str(json_object_get(device, "alive"), "left"))
        keep_left(a, o->device, "");
    if (was)
        api_event(a, "device", o->device, json_pack("{s:s,s:s,s:s}", "id", o->device, "name", api_str(device, "name"), "state", "ok"));
}

void h_alive(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj f = SM_OBJ(c->body);
    const char *life = sm_obj_str(&f, "life", 1, 39), *kind = sm_obj_str_opt(&f, "machine", 11);
    int64_t n = sm_obj_int(&f, "n", 0, INT64_MAX);
    const json_t *parts = sm_obj_obj(&f, "parts"), *row, *why = json_object_get(c->body, "why") ? sm_obj_arr(&f, "why", SAID_MAX) : NULL;
    size_t i;
    if (api_refused(c, &f))
        return;
    struct one *o = make(a->alive, c->who.device);
    json_t *device = o ? api_row(a, STATE_device, STATE_ARGS(state_t(c->who.device))) : NULL;
    if (!device) {
        api_fail(c, 503, "unavailable", NULL, NULL);
        return;
    }
    if (strcmp(o->life, life) != 0)
        o->said = 0;
    (void)snprintf(o->life, sizeof o->life, "%s", life); /* checked */
    if (kind && word_good(kind, sizeof o->kind - 1))
        (void)snprintf(o->kind, sizeof o->kind, "%s", kind); /* fits */
    o->n = n;
    heard(a, device, o);
    parts_keep(o, parts);
    json_array_foreach((json_t *)(uintptr_t)why, i, row) said_one(a, device, o, row);
    parts_stand(a, device, o);
    json_decref(device);
    api_reply(c, 200, json_pack("{s:I}", "said", (json_int_t)o->said));
}

void h_bye(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj f = SM_OBJ(c->body);
    const char *why = sm_obj_str(&f, "why", 1, 11);
    size_t k = 0;
    if (api_refused(c, &f))
        return;
    while (k < sizeof byes / sizeof *byes && strcmp(byes[k].why, why) != 0)
        k++;
    struct one *o = k < sizeof byes / sizeof *byes ? make(a->alive, c->who.device) : NULL;
    json_t *device = o ? api_row(a, STATE_device, STATE_ARGS(state_t(c->who.device))) : NULL;
    if (!device) {
        api_fail(c, k < sizeof byes / sizeof *byes ? 503 : 400, k < sizeof byes / sizeof *byes ? "unavailable" : "bad_request", "why", NULL);
        return;
    }
    (void)snprintf(o->left, sizeof o->left, "%s", why); /* one of ours */
    o->left_ms = o->last_ms = now_ms();
    o->told = o->many = false;
    keep_left(a, c->who.device, why);
    c->audit_not = !may_say(o);
    if (!c->audit_not)
        alive_event(a, device, "agent_left", json_pack("{s:s,s:s}", "why", why, "by", "agent"));
    json_decref(device);
    api_audit_what(c, "%s", why);
    api_reply(c, 200, json_object());
}

/* ---- silence ---- */

static bool always_on(struct api *a, const struct one *o)
{
    int64_t up_s = api_int(json_object_get(a->clocks, o->device), "up_s", 0);
    return strcmp(o->kind, "portable") != 0 && (strcmp(o->kind, "desktop") != 0 || up_s > ALWAYS_ON_S);
}

static bool waits_for(const struct one *o)
{
    return !o->left[0] && !o->told;
}

static uint64_t age_of(const struct one *o, uint64_t now)
{
    return now > o->last_ms ? now - o->last_ms : 0;
}

/* Silent, though nobody closed its connection: the machine may be off, cut off, or frozen whole. */
static bool hangs(const struct one *o, uint64_t now, uint64_t ms)
{
    return !o->left[0] && !o->closed && age_of(o, now) > ms;
}

static int64_t bye_ms(const struct one *o)
{
    for (size_t k = 0; k < sizeof byes / sizeof *byes; k++)
        if (!strcmp(byes[k].why, o->left))
            return byes[k].ms;
    return -1;
}

/* What is said of one machine that does not answer; true: it is one of this house no more. */
static bool decide_one(struct api *a, struct one *o, uint64_t now)
{
    const char *action = o->left[0] ? "agent_ended" : o->closed ? "agent_killed" : always_on(a, o) ? "agent_silent" : "agent_quiet";
    json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(o->device)));
    bool gone = !device || strcmp(api_str(device, "state"), "joined") != 0;
    o->told = true;
    o->many = false;
    if (!gone) {
        alive_event(a, device, action, json_pack("{s:I,s:s,s:s,s:s}", "silent_ms", (json_int_t)age_of(o, now), "said", o->left, "machine",
                                           o->kind, "by", "box"));
        api_event(a, "device", o->device, json_pack("{s:s,s:s,s:s}", "id", o->device, "name", api_str(device, "name"), "state", "silent"));
    }
    json_decref(device);
    return gone;
}

/* So many at once, and none of them closed its connection: it is not the machines. */
static bool many_silent(const struct alive *v, uint64_t now)
{
    size_t late = 0, all = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct one *o = &v->of[i];
        bool counts = !o->left[0] && !o->closed && (!o->told || o->many);
        all += counts;
        late += counts && age_of(o, now) > ALIVE_LATE_MS;
    }
    return (late >= ALIVE_MANY && 2 * late >= all) || (late >= 2 && late == all);
}

static void tell_many(struct api *a, uint64_t now)
{
    struct alive *v = a->alive;
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        struct one *o = &v->of[i];
        if (hangs(o, now, ALIVE_SILENT_MS) && !o->told)
            o->told = o->many = true;
        n += o->many;
    }
    if (n == 0)
        return;
    char text[24];
    (void)snprintf(text, sizeof text, "%zu", n); /* fits */
    struct alarm_new x = { .kind = "machines_away", .state = "look", .key = "alive:many", .facts = json_pack("{s:s}", "what", text) };
    alarm_open(a, &x);
}

/* Most are back: who is not is one by itself; all are: nothing is left of it. */
static void many_over(struct api *a, uint64_t now)
{
    struct alive *v = a->alive;
    bool any = false;
    for (size_t i = 0; i < v->n; i++) {
        struct one *o = &v->of[i];
        if (o->many && age_of(o, now) > ALONE_MS)
            o->told = o->many = false;
        any |= o->many;
    }
    if (!any)
        alarm_close_key(a, "alive:many", "sakimori");
}

static void move_all(struct alive *v, uint64_t to_ms, uint64_t by_ms)
{
    for (size_t i = 0; i < v->n; i++) {
        struct one *o = &v->of[i];
        o->last_ms = to_ms && o->last_ms < to_ms ? to_ms : o->last_ms + by_ms;
        o->left_ms += by_ms;
        o->closed &= !to_ms; /* who closed what is not known: our own end of it went */
    }
}

void alive_tick(struct api *a)
{
    struct alive *v = a->alive;
    uint64_t now = now_ms(), gap = v->tick_ms && now > v->tick_ms ? now - v->tick_ms : 0;
    v->tick_ms = now;
    overdue(a);
    if (gap > TICK_GAP_MS)
        move_all(v, 0, gap); /* the box itself was slow or away: nobody could be heard */
    bool many = many_silent(v, now), any = false;
    if (many)
        tell_many(a, now);
    for (size_t i = 0; i < v->n; i++)
        any |= v->of[i].many;
    if (!many && any)
        many_over(a, now);
    for (size_t i = v->n; i--;) {
        struct one *o = &v->of[i];
        int64_t after = bye_ms(o);
        bool left_long = o->left[0] && !o->told && after >= 0 && (int64_t)(now - o->left_ms) > after;
        bool silent = waits_for(o) && age_of(o, now) > ALIVE_SILENT_MS && (o->closed || !many);
        if ((left_long || silent) && decide_one(a, o, now))
            forget(v, o);
    }
}

void alive_deaf(struct api *a)
{
    move_all(a->alive, now_ms() + FRONT_GRACE_MS, 0);
}

void alive_closed(struct api *a, const char *device)
{
    struct one *o = find(a->alive, device);
    if (o)
        o->closed = true; /* until its next word */
}

void alive_begin(struct api *a)
{
    json_t *rows = api_rows(a, STATE_devices_joined, STATE_NONE), *d;
    size_t i;
    json_array_foreach(rows, i, d) {
        const json_t *v = json_object_get(d, "alive");
        bool lately = api_now() - api_int(d, "last_seen_s", 0) < BEGIN_SEEN_S;
        struct one *o = api_bool(v, "on") && !*api_str(v, "left") && lately ? make(a->alive, api_str(d, "id")) : NULL;
        if (o)
            o->last_ms = now_ms() + BEGIN_GRACE_MS;
    }
    json_decref(rows);
}

json_t *alive_json(struct api *a, const char *device)
{
    const struct one *o = find(a->alive, device);
    uint64_t now = now_ms();
    if (!o)
        return json_pack("{s:s}", "state", "unknown");
    const char *state = o->left[0] ? "left" : o->told ? "silent" : "alive";
    return json_pack("{s:s,s:s,s:s,s:I,s:O?}", "state", state, "said", o->left, "machine", o->kind, "last_ms", (json_int_t)age_of(o, now), "parts",
        o->parts);
}
