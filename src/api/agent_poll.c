/* What machines hear: held polls, signed orders, their settings. */
#include <errno.h>
#include "api/device_actions.h"
#include "api/endpoint.h"
#include "api/watch.h"

#define ORDERS_AT_ONCE 16
#define ORDERS_BYTES ((size_t)512 << 10) /* of one answer: it must fit into one message */
#define RESEND_S 60
#define WAIT_MAX_S 25
#define THERE_S 90
#define FEATURES_MAX 128

bool device_there(const json_t *device, int64_t now)
{
    int64_t seen = api_int(device, "last_seen_s", 0);
    return seen && now - seen <= THERE_S;
}

static json_t *sources_of(struct api *a, const char *device)
{
    json_t *rows = api_rows(a, STATE_sources_of_device, STATE_ARGS(state_t(device))), *out = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        static const char *const same[] = { "name", "kind", "options", "paths", "include", "exclude",
            "canaries" };
        json_t *s = json_pack("{s:s,s:b,s:I,s:b}", "source", api_str(row, "id"), "one_file_system",
            api_bool(row, "one_fs"), "bandwidth_kib_s", (json_int_t)bandwidth_now(row, api_now()), "low_priority", 1);
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            api_set(s, same[k], json_incref(json_object_get(row, same[k])));
        api_append(out, s);
    }
    json_decref(rows);
    return out;
}

static json_t *orders_due(struct api *a, const char *device)
{
    int64_t now = api_now();
    json_t *rows = api_rows(a, STATE_orders_due,
        STATE_ARGS(state_t(device), state_i(now), state_i(now - RESEND_S), state_i(ORDERS_AT_ONCE)));
    return rows;
}

static json_t *logs_of(struct api *a, const char *device)
{
    json_t *row = api_row(a, STATE_device, STATE_ARGS(state_t(device)));
    json_t *logs = device_logs_settings(row);
    json_decref(row);
    return logs;
}

static void poll_answer(struct api_call *c, json_t *rows)
{
    struct api *a = c->api;
    json_t *orders = json_array(), *row;
    size_t i, bytes = 0;
    json_array_foreach(rows, i, row) {
        bytes += json_string_length(json_object_get(row, "body"));
        if (i > 0 && bytes > ORDERS_BYTES)
            break;
        /* Marked before it goes out: one that is lost goes out again after RESEND_S; the agent remembers ids it has
         * done. */
        if (state_do(a->state, STATE_order_sent, STATE_ARGS(state_i(api_now()), state_t(api_str(row, "id")))) > 0)
            api_append(orders, json_pack("{s:s,s:s}", "order", api_str(row, "body"), "sig", api_str(row, "sig")));
    }
    json_decref(rows);
    char now[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), now);
    c->held = false;
    api_reply(c, 200,
        json_pack("{s:o,s:{s:o,s:o},s:s,s:s,s:s,s:[s,s]}", "orders", orders, "settings", "sources",
            sources_of(a, c->who.device), "logs", logs_of(a, c->who.device), "head", a->head, "now", now, "box_version", SM_VERSION, "features", "files",
            "restore"));
}

/* give: what is due.  An order given to a connection that is dead counts as sent. */
static void poll_let_go(struct api *a, const char *device, bool only_due, bool give)
{
    for (struct api_call *c = a->calls, *next; c; c = next) {
        next = c->next;
        if (!c->held || c->ended || (device && strcmp(device, c->who.device) != 0))
            continue;
        if (only_due && plat_clock_mono_ms() < c->hold_until_ms)
            continue;
        /* One that went away gets no order: it would count as sent. */
        poll_answer(c, c->gone || !give ? json_array() : orders_due(a, c->who.device));
    }
}

void poll_wake(struct api *a, const char *device)
{
    poll_let_go(a, device, false, true);
}

void poll_tick(struct api *a)
{
    poll_let_go(a, NULL, true, true);
}

#define WHOLE_S 15 /* its acceptance may have overtaken this poll */
#define LOST_S 60 /* nothing heard of it, and the machine says it does nothing */

/* Runs that the machine does not know of any more although it said it had begun.  whole: running is all there is, for its
 * backup process began after its link did; else that may carry on with what this link was never told. */
static void lost_runs(struct api *a, const char *device, const json_t *running, bool whole)
{
    json_t *rows = api_rows(a, STATE_runs_running_of, STATE_ARGS(state_t(device))), *row, *v;
    size_t i, k;
    int64_t now = api_now();
    json_array_foreach(rows, i, row) {
        const char *id = api_str(row, "id");
        const json_t *p = json_object_get(a->progress, id);
        int64_t last = api_int(p, "at_s", api_int(row, "started_s", 0));
        bool known = now - last < (whole ? WHOLE_S : 600);
        json_array_foreach(running, k, v)
            known |= json_is_string(v) && !strcmp(json_string_value(v), id);
        if (!known)
            run_died(a, id, "the machine or its agent was restarted during the run, several times");
    }
    json_decref(rows);
}

/* Restores that began on this machine, whose process is gone without a word. */
static void lost_restores(struct api *a, const char *device)
{
    json_t *rows = api_rows(a, STATE_restores_open, STATE_NONE), *row;
    size_t i;
    int64_t now = api_now();
    json_array_foreach(rows, i, row) {
        const char *id = api_str(row, "id");
        int64_t last = api_int(json_object_get(a->progress, id), "at_s", api_time_s(api_str(row, "started")));
        if (!strcmp(api_str(row, "device"), device) && !strcmp(api_str(row, "state"), "running") && now - last > LOST_S)
            restore_died(a, id, "the restore process on the machine ended before its work was done, several times");
    }
    json_decref(rows);
}

/* What the link before this one was given and did not acknowledge died with it, or with its connection: it is due again at
 * once.  One that was taken all the same is known by its id there. */
static void link_changed(struct api *a, const char *device, const char *link)
{
    if (!strcmp(api_str(a->links, device), link))
        return;
    if (state_do(a->state, STATE_orders_unsent, STATE_ARGS(state_t(device))) >= 0) /* else after RESEND_S */
        api_set(a->links, device, json_string(link));
}

void h_poll(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj o = SM_OBJ(c->body);
    const char *version = sm_obj_str_opt(&o, "agent_version", 64), *boot = sm_obj_str_opt(&o, "boot_id", 64);
    int64_t wait_s = sm_obj_int_opt(&o, "wait_s", 0, 1000, 0);
    const json_t *confined = sm_obj_obj(&o, "confined"), *st = sm_obj_obj(&o, "state");
    struct sm_obj so = SM_OBJ(st);
    const char *link = sm_obj_str_opt(&o, "link", 40), *os = sm_obj_str_opt(&o, "os", 255);
    const char *last_error = st ? sm_obj_str_opt(&so, "last_error", 2000) : NULL;
    const json_t *running = st && json_object_get(st, "running") ? sm_obj_arr(&so, "running", 256) : NULL;
    const json_t *features = json_object_get(c->body, "features") ? sm_obj_arr(&o, "features", FEATURES_MAX) : NULL;
    for (size_t i = 0; i < json_array_size(features); i++)
        if (json_string_length(json_array_get(features, i)) > 100)
            features = NULL; /* not ours; a person sees them in a list */
    if (api_refused(c, &o) || (st && api_refused(c, &so)))
        return;
    json_t *before = api_row(a, STATE_device, STATE_ARGS(state_t(c->who.device)));
    bool was_there = device_there(before, api_now());
    const char *name = api_str(before, "name");
    bool good = api_do(c, STATE_device_seen,
        STATE_ARGS(state_i(api_now()), state_t(version), state_t(boot), state_j(confined), state_j(features),
            state_t(last_error), state_t(os),
            state_t(c->who.device)));
    if (good)
        signals_know(a, c->who.remote, device_host(before));
    if (good && !was_there)
        device_settled(a);
    if (good && !was_there)
        api_event(
            a, "device", c->who.device, json_pack("{s:s,s:s,s:s}", "id", c->who.device, "name", name, "state", "ok"));
    if (good)
        device_logs_said(a, before, c->body);
    if (good)
        endpoint_said(a, before, c->body);
    json_decref(before);
    if (!good)
        return;
    if (running)
        lost_runs(a, c->who.device, running, st && api_bool(st, "whole"));
    if (st && json_is_false(json_object_get(st, "restore")))
        lost_restores(a, c->who.device);
    schedule_device(a, c->who.device);
    if (link)
        link_changed(a, c->who.device, link);
    poll_let_go(a, c->who.device, false, false); /* an older poll of this machine: its connection is gone or doubled */
    json_t *rows = orders_due(a, c->who.device);
    if (json_array_size(rows) || wait_s == 0) {
        poll_answer(c, rows);
        return;
    }
    json_decref(rows);
    c->held = true;
    c->hold_until_ms = plat_clock_mono_ms() + (uint64_t)(wait_s > WAIT_MAX_S ? WAIT_MAX_S : wait_s) * 1000;
}

/* ---- orders ---- */

/* An order that can never be made: whoever waits for it is told. */
static void order_lost(struct api *a, const char *kind, const char *ref)
{
    static const char why[] = "the order is too long";
    if (!strcmp(kind, "restore"))
        restore_fail(a, ref, why);
    else if (!strcmp(kind, "backup"))
        run_finish(a, ref, "failed", why);
}

static void order_signed(struct api *a, int err, const json_t *answer, const char *text, json_t *m)
{
    (void)text;
    if (err == -SM_ELIMIT || err == -SM_EINVAL) {
        order_lost(a, api_str(m, "kind"), api_str(m, "ref"));
        return;
    }
    if (err < 0 || strlen(api_str(answer, "sig")) != 128)
        return; /* the schedule sees a run or restore without an order and asks again */
    struct sm_buf b64 = SM_BUF_INIT((size_t)1 << 20);
    if (sm_base64(SM_SPAN_STR(api_str(m, "text")), &b64) == 0) {
        int r = state_do(a->state, STATE_order_add,
            STATE_ARGS(state_t(api_str(m, "id")), state_t(api_str(m, "device")), state_t(api_str(m, "kind")),
                state_t(api_str(m, "ref")), state_t(sm_buf_str(&b64)), state_t(api_str(answer, "sig")),
                state_i(api_int(m, "issued_s", 0)), state_i(api_int(m, "not_after_s", 0))));
        if (r >= 0)
            poll_wake(a, api_str(m, "device"));
    }
    sm_buf_wipe(&b64);
}

void order_make(struct api *a, const char *device, const char *kind, const char *ref, int64_t lasts_s, json_t *args)
{
    char id[API_ID_TEXT];
    api_id(id);
    int64_t now = api_now();
    /* Kept by the machine from its first order on: what a box that took over has to show (FORMAT section 13). */
    if (!strcmp(kind, "backup") && *api_str(a->keys, "orders_pub"))
        api_set(args, "orders_pub", json_string(api_str(a->keys, "orders_pub")));
    json_t *order = json_pack("{s:i,s:s,s:s,s:s,s:o,s:o,s:o}", "v", 1, "id", id, "device", device, "kind", kind,
        "issued", api_time(now), "not_after", api_time(now + lasts_s), "args", args);
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX);
    if (order && sm_json_dump(order, &text) == 0 && sm_buf_str(&text)) {
        json_t *m = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "id", id, "device", device, "kind", kind, "ref", ref,
            "text", sm_buf_str(&text), "issued_s", (json_int_t)now, "not_after_s", (json_int_t)(now + lasts_s));
        api_tell(a, "K_ORDER_SIGN", json_pack("{s:s}", "order", sm_buf_str(&text)), order_signed, m);
    } else {
        order_lost(a, kind, ref);
    }
    sm_buf_wipe(&text);
    json_decref(order);
}

static void order_refused(struct api *a, const json_t *order, const char *state, const char *detail, const json_t *facts)
{
    const char *kind = api_str(order, "kind"), *ref = api_str(order, "ref");
    bool failed = !strcmp(state, "refused") || !strcmp(state, "failed");
    if (!strcmp(kind, "endpoint"))
        endpoint_acked(a, order, state, detail);
    if (!strcmp(kind, "act") || !strcmp(kind, "scan"))
        device_action_told(a, order, state, detail, facts);
    if (failed && !strcmp(kind, "backup"))
        run_finish(a, ref, "failed", detail);
    else if (failed && !strcmp(kind, "restore"))
        restore_fail(a, ref, detail);
    else if (!strcmp(state, "accepted") && !strcmp(kind, "backup"))
        (void)!state_do(
            a->state, STATE_run_started, STATE_ARGS(state_i(api_now()), state_t(ref))); /* progress says it again */
    else if (!strcmp(state, "accepted") && !strcmp(kind, "restore"))
        (void)!state_do(a->state, STATE_restore_started, STATE_ARGS(state_i(api_now()), state_t(ref)));
}

void h_order_ack(struct api_call *c)
{
    static const char *const states[] = { "accepted", "refused", "done", "failed" };
    struct sm_obj o = SM_OBJ(c->body);
    const char *state = sm_obj_str(&o, "state", 1, 16), *detail = sm_obj_str_opt(&o, "detail", 2000);
    const json_t *facts = sm_obj_obj(&o, "facts");
    if (api_refused(c, &o))
        return;
    bool known = false;
    for (size_t i = 0; i < 4; i++)
        known |= !strcmp(state, states[i]);
    json_t *order = api_row(c->api, STATE_order, STATE_ARGS(state_t(c->part[0])));
    if (!known || !order || strcmp(api_str(order, "device"), c->who.device) != 0) {
        json_decref(order);
        api_fail(c, known ? 404 : 400, known ? "not_found" : "bad_request", known ? NULL : "state", NULL);
        return;
    }
    api_audit_what(c, "%s %s", c->part[0], state);
    if (api_do(c, STATE_order_state, STATE_ARGS(state_t(state), state_t(detail), state_t(c->part[0])))) {
        order_refused(c->api, order, state, detail ? detail : state, facts);
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
    }
    json_decref(order);
}
