/* The room's life: made, started once the peers answer, ticking, ended. */
#include <errno.h>
#include "api/alive.h"
#include "api/device_actions.h"
#include "api/internal.h"
#include "api/watch.h"

#define DAY 86400
#define TICK_MS 1000
#define SCHEDULE_EVERY_S 10
#define HEAD_EVERY_S 60
#define ALIVE_EVERY_S 300
#define OFF_LOOK_S (2 * DAY)
#define BACK_LOOK_S 3600

static void on_tick(void *arg)
{
    api_tick(arg);
}

int api_new(const struct api_config *config, struct api **ret)
{
    struct api *a = calloc(1, sizeof *a);
    char dir[4200];
    if (!a)
        return -ENOMEM;
    a->cfg = *config;
    a->state = config->state;
    a->agent_url = strdup(config->agent_url ? config->agent_url : "https://127.0.0.1:8444");
    a->data = strdup(config->data);
    a->names = config->names ? json_deep_copy(config->names) : json_array();
    a->children = json_object();
    a->keys = json_object();
    a->vault = json_object();
    a->progress = json_object();
    a->links = json_object();
    a->endpoint_asked = json_object();
    a->clocks = json_object();
    a->copies_wanted = json_array();
    a->loaded = json_object();
    a->boxes = json_object();
    int n = snprintf(dir, sizeof dir, "%s/state/audit", config->data);
    int r = n < 0 || (size_t)n >= sizeof dir                               ? -SM_ELIMIT
            : a->data && a->agent_url && a->names && a->loaded && a->boxes ? 0
                                                                           : -ENOMEM;
    if (r == 0)
        r = audit_open(dir, &a->audit);
    if (r == 0)
        r = alive_new(&a->alive);
    if (r == 0)
        r = worker_new(config->loop, &a->worker);
    if (r == 0 && config->loop)
        r = sm_loop_timer(config->loop, TICK_MS, TICK_MS, on_tick, a, &a->tick);
    if (r < 0) {
        api_free(a);
        return r;
    }
    signals_begin(a);
    alive_begin(a);
    *ret = a;
    return 0;
}

void api_free(struct api *a)
{
    if (!a)
        return;
    if (a->tick)
        sm_timer_free(a->tick);
    worker_free(a->worker);
    a->worker = NULL;
    for (struct api_call *c = a->calls, *next; c; c = next) {
        next = c->next;
        if (c->ended)
            continue;
        c->asking = false; /* who was asked is gone as well */
        api_fail(c, 503, "unavailable", NULL, NULL);
    }
    audit_close(a->audit);
    json_decref(a->names);
    json_decref(a->children);
    json_decref(a->keys);
    json_decref(a->changes);
    json_decref(a->log_senders);
    json_decref(a->log_rates);
    json_decref(a->clocks);
    alive_free(a->alive);
    json_decref(a->house);
    json_decref(a->vault);
    json_decref(a->verify);
    json_decref(a->progress);
    json_decref(a->links);
    json_decref(a->endpoint_asked);
    json_decref(a->copying);
    json_decref(a->copies_wanted);
    json_decref(a->selfing);
    json_decref(a->disks);
    json_decref(a->loaded);
    json_decref(a->boxes);
    if (a->setup_password)
        sm_zero(a->setup_password, strlen(a->setup_password));
    free(a->setup_password);
    free(a->data);
    free(a->agent_url);
    sm_zero(a, sizeof *a);
    free(a);
}

/* ---- the other processes, each time they come ---- */

static void status_got(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)text;
    (void)mem;
    if (err < 0 || !json_is_object(answer))
        return;
    json_decref(a->vault);
    a->vault = json_deep_copy(answer);
    if (api_bool(answer, "date_ask") && api_setup_done(a))
        task_open(a, "date", api_now());
    if (api_bool(answer, "broken")) {
        struct alarm_new n = { .kind = "broken", .state = "call", .key = "broken", .facts = NULL };
        alarm_open(a, &n);
    }
}

static void head_got(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)text;
    (void)mem;
    const char *head = api_str(answer, "head");
    if (err >= 0 && strlen(head) == 256)
        (void)snprintf(a->head, sizeof a->head, "%s", head); /* measured */
}

/* What the vault's journal holds and our database missed, because brain was away when it was told. */
static void reconcile_got(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)text;
    (void)mem;
    const json_t *items = json_object_get(answer, "items");
    for (size_t i = err < 0 ? 0 : json_array_size(items); i > 0; i--) { /* oldest first */
        const json_t *g = json_array_get(items, i - 1);
        source_saw_generation(a, api_str(g, "source"), json_deep_copy(g));
    }
}

static void vault_opened(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    status_got(a, err, answer, text, mem);
    if (err < 0)
        return;
    restores_grant_again(a);
    peers_open(a);
    recipients_sync(a);
    api_tell(a, "V_HEAD", json_object(), head_got, NULL);
    api_tell(a, "V_GENERATIONS", json_pack("{s:i}", "limit", 500), reconcile_got, NULL);
}

static void vault_open(struct api *a)
{
    if (*api_str(a->keys, "vault"))
        api_tell(a, "V_STATUS",
            json_pack("{s:s,s:s}", "vault", api_str(a->keys, "vault"), "head_pub", api_str(a->keys, "head_pub")),
            vault_opened, NULL);
}

/* The CA's fingerprint belongs on the terminal and on paper: it is what a browser is checked against. */
static void keys_got(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)text;
    (void)mem;
    a->starting = false;
    if (err < 0 || !*api_str(answer, "vault"))
        return; /* asked again at the next tick */
    json_decref(a->keys);
    a->keys = json_deep_copy(answer);
    if (a->cfg.ops.cert)
        a->cfg.ops.cert(a->cfg.ops.arg, api_str(a->keys, "cert_pem"));
    if (!a->started) {
        a->started = true;
        json_t *note = json_pack("{s:s}", "ca_fingerprint", api_str(a->keys, "ca_sha256"));
        if (a->cfg.ops.note)
            a->cfg.ops.note(a->cfg.ops.arg, note);
        json_decref(note);
        api_tell(a, "K_LOCK", json_object(), NULL, NULL); /* an unlock of our last life is nobody's now */
        api_tell(a, "P_OPENER", json_pack("{s:b}", "start", 0), NULL, NULL);
        copies_start(a);
        self_start(a);
        setup_begin(a);
        card_write(a);
        vault_open(a);
    } else {
        recipients_sync(a); /* a keyd that was restarted has no links */
    }
}

void keys_refresh(struct api *a)
{
    a->starting = true;
    bool names = json_array_size(a->names) > 0;
    api_tell(a, names ? "K_CERT_SERVER" : "K_STATUS", names ? json_pack("{s:O}", "names", a->names) : json_object(),
        keys_got, NULL);
}

bool api_child_lasting(const char *name)
{
    static const char *const at_times[] = { "opener", "copier", "courier", "selfsave", "house" };
    for (size_t i = 0; i < sizeof at_times / sizeof *at_times; i++)
        if (!strcmp(name, at_times[i]))
            return false;
    return true;
}

void api_start(struct api *a)
{
    if (!a->started && !a->starting)
        keys_refresh(a);
}

void api_on_peer(struct api *a, const char *peer, bool there)
{
    if (!strcmp(peer, "collector") && there)
        logs_doors_tell(a);
    if (!strcmp(peer, "front"))
        alive_deaf(a);
    if (!strcmp(peer, "opener")) {
        a->opener_there = there;
        if (!there)
            (void)json_object_clear(a->loaded); /* an object: cannot fail */
    } else if (!strcmp(peer, "copier") || !strcmp(peer, "courier")) {
        if (!there)
            copies_peer_gone(a, peer);
    } else if (!strcmp(peer, "selfsave")) {
        if (!there)
            self_gone(a);
    } else if (!strcmp(peer, "keyd")) {
        if (!there && a->unlock.until_s)
            api_lock(a, "keyd is gone"); /* and the open restore key with it */
        if (there && a->started)
            keys_refresh(a);
    } else if (!strcmp(peer, "seeker")) {
        a->seeker_there = there;
        a->logcheck_run_s = 0; /* a check that went on there is begun again */
    } else if (!strcmp(peer, "watch")) {
        logs_on_watch(a, there);
    } else if (!strcmp(peer, "vault") && there) {
        vault_open(a);
    } else if ((!strcmp(peer, "front") || !strcmp(peer, "collector")) && there && a->started && a->cfg.ops.cert) {
        a->cfg.ops.cert(a->cfg.ops.arg, api_str(a->keys, "cert_pem"));
    }
}

void source_saw_generation(struct api *a, const char *source, json_t *g)
{
    json_t *row = api_row(a, STATE_source_any, STATE_ARGS(state_t(source)));
    int64_t seq = api_int(g, "seq", 0), have = api_int(json_object_get(row, "last"), "seq", 0),
            at = api_time_s(api_str(g, "at"));
    if (row && seq >= have) {
        (void)json_object_del(g, "what"); /* may be absent */
        bool clean = !api_bool(g, "suspicious") && !api_bool(g, "damaged") && !strcmp(api_str(g, "status"), "complete");
        /* If it is not kept now, the next start finds it in the vault's journal again. */
        (void)!state_do(a->state, STATE_source_last, STATE_ARGS(state_j(g), state_i(at), state_i(at), state_t(source)));
        if (clean)
            (void)!state_do(a->state, STATE_source_clean, STATE_ARGS(state_j(g), state_t(source)));
        api_event(a, "today", "", json_object());
    }
    json_decref(row);
    json_decref(g);
}

/* ---- the clock ---- */

void task_open(struct api *a, const char *kind, int64_t now)
{
    char id[API_ID_TEXT];
    if (state_number(a->state, STATE_task_is_open, 0, STATE_ARGS(state_t(kind))) > 0)
        return;
    api_id(id);
    (void)!state_do(
        a->state, STATE_task_add, STATE_ARGS(state_t(id), state_t(kind), state_i(now))); /* else at the next look */
}

/* Off for days, or the clock went back: a person compares the date with a calendar. */
static void date_tick(struct api *a, int64_t now)
{
    json_t *v = state_setting(a->state, "alive_s");
    int64_t last = json_is_integer(v) ? json_integer_value(v) : now;
    json_decref(v);
    if (api_setup_done(a) && (now - last > OFF_LOOK_S || last - now > BACK_LOOK_S))
        task_open(a, "date", now);
    v = json_integer(now);
    (void)!state_set(a->state, "alive_s", v); /* told again in some minutes */
    json_decref(v);
}

static void tasks_daily(struct api *a, int64_t now)
{
    int64_t half_year = now - (int64_t)182 * DAY;
    json_t *changed = state_setting(a->state, "card_changed");
    int64_t printed = state_number(a->state, STATE_task_last, 0, STATE_ARGS(state_t("card")));
    int64_t since = json_is_integer(changed) ? json_integer_value(changed) : 0;
    json_decref(changed);
    bool due = api_setup_done(a) && (printed < half_year || printed < since);
    if (due)
        task_open(a, "card", now);
    if (drill_due(a, now))
        task_open(a, "drill", now);
}

/* The audit log's head goes into the vault's journal, so that a log cut short shows there. */
static void daily(struct api *a, int64_t now)
{
    struct audit_head h = audit_head(a->audit);
    char what[128];
    (void)snprintf(what, sizeof what, "audit head %llu %s", (unsigned long long)h.n, h.hash); /* fits */
    if (h.n)
        access_note(a, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "what", "audit", "who", "sakimori", "role", "box", "from",
                           "box", "why", what, "result", "ok"));
    card_write(a);
    keys_refresh(a); /* the server's certificate is made anew before its time is over, however long nothing was restarted */
    tasks_daily(a, now);
    signals_daily(a, now);
    logs_daily(a, now);
    evidence_packs_daily(a);
    (void)!state_do(a->state, STATE_sessions_forget, STATE_ARGS(state_i(now))); /* refused by their end in any case */
    (void)!state_do(a->state, STATE_fails_forget, STATE_ARGS(state_i(now - 2 * DAY)));
    (void)!state_do(a->state, STATE_codes_forget, STATE_ARGS(state_i(now - DAY)));
    (void)!state_do(a->state, STATE_peer_codes_forget, STATE_ARGS(state_i(now - DAY)));
    (void)!state_do(a->state, STATE_orders_forget, STATE_ARGS(state_i(now - 3 * DAY)));
    (void)!state_do(a->state, STATE_uploads_forget, STATE_ARGS(state_i(now - 7 * DAY))); /* a run lasts a day at most */
    (void)!state_do(a->state, STATE_outbox_forget, STATE_ARGS(state_i(now - 30 * DAY)));
}

static bool due(int64_t *last, int64_t now, int64_t every)
{
    if (now >= *last && now - *last < every)
        return false;
    *last = now;
    return true;
}

void api_tick(struct api *a)
{
    int64_t now = api_now();
    if (!a->started) {
        if (!a->starting)
            api_start(a);
        return;
    }
    restores_tick(a);
    drill_tick(a);
    if (due(&a->last_schedule_s, now, SCHEDULE_EVERY_S)) {
        schedule_tick(a);
        copies_tick(a);
        self_tick(a);
        logkeep_tick(a);
        alarms_tick(a);
        logs_tick(a, now);
        outbox_tick(a);
        device_actions_tick(a);
    }
    if (due(&a->last_alive_s, now, ALIVE_EVERY_S))
        date_tick(a, now);
    if (due(&a->last_head_s, now, HEAD_EVERY_S)) {
        api_tell(a, "V_HEAD", json_object(), head_got, NULL);
        api_tell(a, "V_STATUS", json_object(), status_got, NULL);
    }
    if (sm_time_day_jst((struct sm_time){ .s = a->last_daily_s }) != sm_time_day_jst((struct sm_time){ .s = now })) {
        a->last_daily_s = now;
        daily(a, now);
    }
    poll_tick(a);
    alive_tick(a);
}
