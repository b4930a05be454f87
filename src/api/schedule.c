/*
 * When backups run.  Times are JST, which knows no summer time.  A source is due at next_s; when its machine was off
 * then, exactly one run is made up when it is heard again.
 */
#include <errno.h>
#include "api/internal.h"

#define DAY ((int64_t)86400)
#define JST ((int64_t)9 * 3600)
#define LATE_ENOUGH_S 900        /* begun this much after its time a run is a made-up one */
#define ORDER_LASTS_S (12 * 3600)
#define ADHOC_LASTS_S (24 * 3600)
#define ORDER_AGAIN_S 30
#define ORDERS_A_WORK 4 /* the first, and three after its process died */
#define RUNS_KEPT_S (400 * DAY)

static int64_t minutes_of(const json_t *schedule)
{
    const char *at = api_str(schedule, "at");
    if (strlen(at) != 5 || at[2] != ':')
        return 3 * 60 + 10;
    return ((at[0] - '0') * 10 + (at[1] - '0')) * 60 + (at[3] - '0') * 10 + (at[4] - '0');
}

int64_t schedule_cycle_s(const json_t *schedule)
{
    const char *every = api_str(schedule, "every");
    return !strcmp(every, "hour") ? 3600 : !strcmp(every, "day") ? DAY : !strcmp(every, "week") ? 7 * DAY : 0;
}

/* The first moment after after_s that is phase seconds into a cycle counted from the JST week's Sunday midnight. */
int64_t schedule_next(const json_t *schedule, int64_t after_s)
{
    int64_t cycle = schedule_cycle_s(schedule), minutes = minutes_of(schedule);
    if (cycle == 0)
        return 0;
    int64_t phase = cycle == 3600 ? minutes % 60 * 60 : minutes * 60;
    if (cycle == 7 * DAY)
        phase += api_int(schedule, "weekday", 0) * DAY;
    int64_t sunday = -4 * DAY; /* 1970-01-01 was a Thursday */
    int64_t base = after_s + JST - sunday - phase;
    return (base / cycle + 1) * cycle + sunday + phase - JST;
}

bool source_is_server(const json_t *row)
{
    const char *group = api_str(row, "group");
    return !strcmp(group, "emr") || !strcmp(group, "receipt") || !strcmp(group, "image") || !strcmp(group, "share");
}

bool source_late(const json_t *row, int64_t now)
{
    int64_t cycle = schedule_cycle_s(json_object_get(row, "schedule"));
    int64_t saved = api_int(row, "last_ok_s", 0);
    /* A server that missed one cycle, any other machine a day more; nothing at all after a day is late for each. */
    int64_t limit = cycle + (source_is_server(row) ? 3600 : DAY);
    if (!api_bool(row, "enabled") || (saved && !cycle))
        return false;
    if (!saved && (!cycle || limit > DAY))
        limit = DAY;
    return now - (saved ? saved : api_int(row, "created_s", 0)) > limit;
}

bool source_failing(const json_t *row)
{
    return api_bool(row, "enabled") && api_int(row, "fails", 0) > 0;
}

/* ---- everything anew after an incident ---- */

static const char *anew_key(const char *source, char ret[64])
{
    (void)snprintf(ret, 64, "anew:%.40s", source); /* fits */
    return ret;
}

void schedule_anew(struct api *a, const char *device)
{
    json_t *rows = api_rows(a, STATE_sources_of_device, STATE_ARGS(state_t(device))), *row,
           *at = json_integer((json_int_t)api_now());
    char key[64];
    size_t i;
    json_array_foreach(rows, i, row)
        /* Lost: the vault dropped what it kept all the same. */
        (void)!state_set(a->state, anew_key(api_str(row, "id"), key), at);
    json_decref(at);
    json_decref(rows);
}

static int64_t anew_since(struct api *a, const char *source)
{
    char key[64];
    json_t *v = state_setting(a->state, anew_key(source, key));
    int64_t at = json_is_integer(v) ? json_integer_value(v) : 0;
    json_decref(v);
    return at;
}

/* A run that was made after the incident has read everything. */
static void anew_over(struct api *a, const json_t *run)
{
    int64_t since = anew_since(a, api_str(run, "source"));
    json_t *never = json_integer(0);
    char key[64];
    if (since && api_int(run, "created_s", 0) >= since)
        (void)!state_set(a->state, anew_key(api_str(run, "source"), key), never); /* else once more */
    json_decref(never);
}

static json_t *order_args(struct api *a, const char *source, const char *run, const char *kind)
{
    return json_pack("{s:s,s:s,s:s,s:b}", "source", source, "run", run, "reason",
        !strcmp(kind, "scheduled") ? "schedule" : kind, "anew", anew_since(a, source) > 0);
}

int run_make(struct api *a, const json_t *source, const char *kind, const char *by, char ret_run[API_ID_TEXT])
{
    const char *id = api_str(source, "id");
    if (state_number(a->state, STATE_runs_open_of, 0, STATE_ARGS(state_t(id))) > 0)
        return -SM_EEXISTS;
    api_id(ret_run);
    int r = state_do(a->state, STATE_run_add,
        STATE_ARGS(state_t(ret_run), state_t(id), state_t(api_str(source, "device")), state_t(kind), state_t(by),
            state_i(api_now())));
    if (r < 0)
        return r;
    order_make(a, api_str(source, "device"), "backup", ret_run, !strcmp(kind, "adhoc") ? ADHOC_LASTS_S : ORDER_LASTS_S,
        order_args(a, id, ret_run, kind));
    api_event(a, "run", ret_run,
        json_pack("{s:s,s:s,s:s,s:s}", "id", ret_run, "source", id, "state", "waiting", "kind", kind));
    return 0;
}

void run_finish(struct api *a, const char *run, const char *state, const char *why)
{
    json_t *row = api_row(a, STATE_run, STATE_ARGS(state_t(run)));
    bool open = row && (!strcmp(api_str(row, "state"), "waiting") || !strcmp(api_str(row, "state"), "running"));
    int64_t now = api_now();
    if (open && state_do(a->state, STATE_run_end, STATE_ARGS(state_t(state), state_i(now), state_t(run))) > 0) {
        bool good = !strcmp(state, "complete") || !strcmp(state, "partial"), cancelled = !strcmp(state, "cancelled");
        if (why) {
            json_t *p = json_pack("[{s:s,s:s,s:s}]", "path", "", "error", "run", "what", why);
            (void)!state_do(a->state, STATE_run_details,
                STATE_ARGS(state_j(p), state_i(1), state_j(NULL), state_j(NULL), state_t(run)));
            json_decref(p); /* a reason lost leaves the state itself */
        }
        if (good)
            anew_over(a, row);
        if (good)
            (void)!state_do(
                a->state, STATE_source_good, STATE_ARGS(state_i(now), state_i(now), state_t(api_str(row, "source"))));
        else if (!cancelled)
            (void)!state_do(a->state, STATE_source_bad, STATE_ARGS(state_i(now), state_t(api_str(row, "source"))));
        (void)!state_do(a->state, STATE_orders_over, STATE_ARGS(state_t(run)));
        (void)json_object_del(a->progress, run); /* may never have been there */
        api_event(
            a, "run", run, json_pack("{s:s,s:s,s:s}", "id", run, "source", api_str(row, "source"), "state", state));
        json_t *source = api_row(a, STATE_source, STATE_ARGS(state_t(api_str(row, "source"))));
        if (source)
            alarm_source_runs(a, source);
        json_decref(source);
        api_event(a, "today", "", json_object());
    }
    json_decref(row);
}

static void due_one(struct api *a, const json_t *source, int64_t now)
{
    const json_t *schedule = json_object_get(source, "schedule");
    int64_t due = api_int(source, "next_s", 0);
    char run[API_ID_TEXT];
    int64_t next = schedule_next(schedule, now);
    const char *kind = now - due > LATE_ENOUGH_S ? "made-up" : "scheduled";
    /* The next time moves first: after a crash in between one run is missed rather than made twice, and is made up by
     * being late. */
    int r = state_begin(a->state);
    if (r < 0)
        return;
    r = state_do(a->state, STATE_source_next, STATE_ARGS(state_i(next), state_t(api_str(source, "id"))));
    if (r >= 0)
        r = run_make(a, source, kind, NULL, run);
    /* Not kept: tried again at the next tick, so that a run that is still open only puts this one off. */
    (void)!state_end(a->state, r >= 0);
}

static void due_rows(struct api *a, json_t *rows)
{
    int64_t now = api_now();
    json_t *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        if (api_int(row, "next_s", 0) == 0) { /* a new or changed source */
            int64_t next = schedule_next(json_object_get(row, "schedule"), now);
            (void)!state_do(a->state, STATE_source_next, STATE_ARGS(state_i(next), state_t(api_str(row, "id"))));
        } else if (device_there(row, now)) {
            due_one(a, row, now);
        }
    }
    json_decref(rows);
}

void schedule_device(struct api *a, const char *device)
{
    due_rows(a, api_rows(a, STATE_sources_due_of, STATE_ARGS(state_t(device), state_i(api_now()))));
}

static void order_again(struct api *a, const json_t *run, int64_t left)
{
    order_make(a, api_str(run, "device"), "backup", api_str(run, "id"), left,
        order_args(a, api_str(run, "source"), api_str(run, "id"), api_str(run, "kind")));
}

bool order_may_again(struct api *a, const char *kind, const char *ref)
{
    /* The orders given already are the count: it outlives a restart of the box. */
    int64_t given = state_number(a->state, STATE_orders_of, ORDERS_A_WORK, STATE_ARGS(state_t(ref), state_t(kind)));
    return given < ORDERS_A_WORK && state_do(a->state, STATE_orders_over, STATE_ARGS(state_t(ref))) >= 0;
}

/*
 * The part of the machine that did it died.  A new order for the same run goes out: what the vault was sent is there
 * and
 * the upload goes on.  One whose generation was accepted is over; only its last word was lost.
 */
void run_died(struct api *a, const char *id, const char *why)
{
    json_t *run = api_row(a, STATE_run, STATE_ARGS(state_t(id)));
    int64_t left = api_int(run, "created_s", 0) + ADHOC_LASTS_S - api_now();
    bool open = !strcmp(api_str(run, "state"), "waiting") || !strcmp(api_str(run, "state"), "running");
    if (open && *api_str(run, "manifest"))
        run_finish(a, id, "partial", why);
    else if (open && api_int(run, "cancel", 0))
        run_finish(a, id, "cancelled", NULL);
    else if (open && left > 0 && order_may_again(a, "backup", id)) {
        /* Waiting: should the order not be made now, it is as for any run without one. */
        (void)!state_do(a->state, STATE_run_again, STATE_ARGS(state_t(id)));
        order_again(a, run, left);
    } else if (open) {
        run_finish(a, id, "failed", why);
    }
    json_decref(run);
}

/* Work that was accepted but has no valid order: brain or keyd was away when it should have been signed, or it expired.
 */
static void orders_missing(struct api *a)
{
    int64_t now = api_now();
    json_t *rows = api_rows(a, STATE_runs_orderless, STATE_ARGS(state_i(now - ORDER_AGAIN_S), state_i(now))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        int64_t left = api_int(row, "created_s", 0) + ADHOC_LASTS_S - now;
        if (left <= 0)
            run_finish(a, api_str(row, "id"), "failed", "the machine did not fetch the order in time");
        else
            order_again(a, row, left);
    }
    json_decref(rows);
}

void schedule_tick(struct api *a)
{
    int64_t now = api_now();
    json_t *rows = api_rows(a, STATE_runs_silent, STATE_ARGS(state_i(now - DAY))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        const json_t *p = json_object_get(a->progress, api_str(row, "id"));
        if (now - api_int(p, "at_s", api_int(row, "started_s", 0)) > DAY)
            run_finish(a, api_str(row, "id"), "failed", "nothing was heard of this run for a day");
    }
    json_decref(rows);
    /* After that: a run given up just now must not keep the next one from being planned. */
    due_rows(a, api_rows(a, STATE_sources_due, STATE_ARGS(state_i(now))));
    orders_missing(a);
    (void)!state_do(a->state, STATE_runs_forget, STATE_ARGS(state_i(now - RUNS_KEPT_S))); /* kept longer is no harm */
}
