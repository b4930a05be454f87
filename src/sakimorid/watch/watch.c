/* The process: its life, its settings, and what it says of itself. */
#include "sakimorid/watch/watch.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "core/log.h"
#include "crypto/init.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/wire.h"

enum { TICK_MS = 1000, TELL_TICKS = 2, HITS_TICKS = 10, CORRELATE_TICKS = 30, CONFIG_MAX = 1 << 20 };

void watch_say(struct watch *w, json_t *body)
{
    if (body)
        (void)child_notify_json(w->c, WHO_BRAIN, W_EVENT, body); /* W_STATUS says it, too, when brain is back */
    json_decref(body);
}

/* {"rules": [{id, text}], "tuning": [{id, rule, conditions}]}: the box's own rules and filters, used from the next W_CONFIG on. */
static void on_own(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    json_t *in = NULL, *rules, *tuning;
    char why[160] = "";
    int r = msg_json(m->body, CONFIG_MAX, &in, why);

    if (r >= 0 && json_is_array(rules = json_object_get(in, "rules")) && json_is_array(tuning = json_object_get(in, "tuning"))) {
        w->own_changed = w->own_changed || !json_equal(rules, w->own_rules) || !json_equal(tuning, w->tuning);
        json_decref(w->own_rules);
        json_decref(w->tuning);
        w->own_rules = json_incref(rules);
        w->tuning = json_incref(tuning);
    }
    wire_answer(ipc, m, r < 0 ? NULL : json_object(), r, why);
    json_decref(in);
}

/* {"hints": [...], "retention": [...], "holds": [...], "off": [rule ids], "places": [patterns], "reload": bool}: what is named replaces what was. */
static void on_config(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    json_t *in = NULL, *v;
    char why[160] = "";
    int r = msg_json(m->body, CONFIG_MAX, &in, why);
    bool load = json_is_true(json_object_get(in, "reload")) || !w->set || w->own_changed;

    if (r >= 0 && json_is_array(v = json_object_get(in, "machines")))
        sources_machines(w, json_incref(v));
    if (r >= 0 && json_is_array(v = json_object_get(in, "hints")))
        sources_hints(w, json_incref(v));
    if (r >= 0 && json_is_array(v = json_object_get(in, "retention")))
        sealing_retention(w, v);
    if (r >= 0 && json_is_array(v = json_object_get(in, "holds")))
        sealing_holds(w, v);
    if (r >= 0 && json_is_array(v = json_object_get(in, "off")) && !json_equal(v, w->off)) {
        json_decref(w->off);
        w->off = json_incref(v);
        load = true;
    }
    if (r >= 0 && json_is_array(v = json_object_get(in, "places")) && !json_equal(v, w->places)) {
        json_decref(w->places);
        w->places = json_incref(v);
        load = true;
    }
    if (r >= 0 && load)
        r = rules_load(w);
    wire_answer(ipc, m, r < 0 ? NULL : json_pack("{sI sI}", "rules", (json_int_t)(w->set ? sigma_count(w->set) : 0), "faults",
        (json_int_t)w->rules.faults_n), r, why);
    json_decref(in);
}

/* What each class keeps that keeps anything. */
static json_t *held_of(const struct watch *w)
{
    json_t *list = json_array();

    for (uint8_t i = 0; i < EVIDENCE_CLASSES_MAX; i++) {
        const struct evidence_class k = w->classes[i];
        if (k.segments) /* left out when memory is short */
            (void)json_array_append_new(list, json_pack("{si sI sI sI}", "class", (int)i, "kept_bytes", (json_int_t)k.bytes, "kept_segments",
                (json_int_t)k.segments, "oldest_s", (json_int_t)k.first.s));
    }
    return list;
}

static void on_status(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;

    if (!keeper_busy(w)) {
        evidence_status(w->journal, &w->status);
        for (uint8_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
            evidence_class_status(w->journal, i, &w->classes[i]);
    }
    const struct evidence_status s = w->status;
    wire_answer(ipc, m, json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI sI sb sb sI ss so sI sI sI}", "events", (json_int_t)(s.events + s.open_events),
        "open_events", (json_int_t)s.open_events, "blocks", (json_int_t)s.blocks, "segments", (json_int_t)s.segments, "stored_bytes",
        (json_int_t)s.stored_bytes, "raw_bytes", (json_int_t)s.raw_bytes, "next_block", (json_int_t)s.next_block, "sealed_block",
        (json_int_t)s.sealed_block, "first_s", (json_int_t)s.first.s, "last_s", (json_int_t)s.last.s, "taken", (json_int_t)w->taken,
        "matched", (json_int_t)w->matched, "rules", (json_int_t)(w->set ? sigma_count(w->set) : 0), "stopped", w->full, "unsealed",
        w->broken_seal, "waiting", (json_int_t)w->jobs_n, "damaged", w->damaged, "held", held_of(w), "rules_refused",
        (json_int_t)w->rules.faults_n, "bundle_serial", (json_int_t)bundles_serial(w), "bundle_made_s", (json_int_t)bundles_made_s(w)), 0, NULL);
}

void watch_due(struct watch *w)
{
    uint64_t now = plat_clock_mono_ms();
    int r = w->keep_failed ? 0 : evidence_step(w->journal, now);

    w->tick_due = false;
    if (r < 0)
        sm_warn("a block cannot be closed: %s", sm_strerror(r));
    sealing_tick(w, now);
    keeping_tick(w, now);
    evidence_status(w->journal, &w->status);
}

static void on_tick(void *arg)
{
    struct watch *w = arg;
    uint64_t now = plat_clock_mono_ms();

    if (keeper_busy(w))
        w->tick_due = true;
    else
        watch_due(w);
    if (now / TICK_MS % CORRELATE_TICKS == 0) {
        struct sm_time t = plat_clock_wall();
        if (correlate_tick(w->correlate, (struct event_time){ t.s, t.ns }, signals_correlated, w) < 0)
            sm_warn("out of memory: correlations are late");
    }
    signals_tick(w);
    heads_tick(w);
    if (now / TICK_MS % TELL_TICKS == 0)
        sources_tell(w);
    if (now / TICK_MS % HITS_TICKS == 0)
        rules_hits(w);
}

/* ---- life ---- */

/* The converters of encodings are files of the system. */
static int early(struct child *c)
{
    struct watch *w = c->state;
    int r = crypto_init();

    w->names = event_names_new();
    if (r >= 0 && !w->names)
        r = -ENOMEM;
    if (r >= 0)
        r = normalise_new(w->names, &w->normalise);
    return r;
}

static int open_journal(struct watch *w)
{
    struct evidence_found found = { 0 };
    char path[4200];
    int n = snprintf(path, sizeof path, "%s/journal", w->c->data);
    int r = n < 0 || (size_t)n >= sizeof path ? -SM_ELIMIT :
        evidence_open(path, &(struct evidence_conf){ .apart = true, .block_age_ms = BLOCK_AGE_MS }, &w->journal, &found);

    if (r < 0) {
        child_fatal(w->c, "the record: %s", sm_strerror(r));
        return r;
    }
    if (found.note[0])
        sm_warn("the record: %s", found.note);
    if (found.damaged)
        snprintf(w->damaged, sizeof w->damaged, "%s", found.note);
    n = snprintf(path, sizeof path, "%s/watch", w->c->data);
    w->state_dir = n < 0 || (size_t)n >= sizeof path ? -SM_ELIMIT : plat_fs_open_dir(AT_FDCWD, path);
    if (w->state_dir < 0)
        return w->state_dir;
    heads_open(w);
    r = streams_open(w);
    if (r >= 0 && w->ends_early) {
        size_t k = strlen(w->damaged);
        (void)snprintf(w->damaged + k, sizeof w->damaged - k, "%sthe record ends earlier than it did", k ? "; " : ""); /* cut */
        sm_error("the record ends earlier than it did: a write-ahead file is gone, or the folder was put back");
    }
    return r;
}

static int start(struct child *c)
{
    struct watch *w = c->state;
    const char *shipped = json_string_value(json_object_get(c->config, "rules"));
    char own[4200];
    int n = snprintf(own, sizeof own, "%s/rules", c->data);
    int r = n < 0 || (size_t)n >= sizeof own ? -SM_ELIMIT : 0;

    json_int_t reserve = json_integer_value(json_object_get(json_object_get(c->config, "settings"), "disk_reserve"));
    w->free_bytes = reserve > FREE_BYTES ? (uint64_t)reserve : FREE_BYTES;
    w->shipped = strdup(shipped ? shipped : "");
    w->own = strdup(own);
    w->own_rules = json_array();
    w->tuning = json_array();
    w->signals = json_array();
    w->held = json_array();
    w->ready = json_array();
    w->aliases = json_array();
    w->off = json_array();
    w->places = json_array();
    w->hints = json_array();
    if (r >= 0 && (!w->shipped || !w->own || !w->own_rules || !w->tuning || !w->signals || !w->held || !w->ready || !w->aliases || !w->off || !w->places || !w->hints))
        r = -ENOMEM;
    if (r >= 0)
        r = event_init(&w->e);
    if (r >= 0)
        r = event_init(&w->more);
    if (r >= 0)
        r = keeper_new(w);
    if (r >= 0)
        r = open_journal(w);
    if (r >= 0)
        r = sm_loop_timer(c->loop, UINT64_MAX, 0, take_go, w, &w->group);
    if (r >= 0)
        r = sm_loop_timer(c->loop, TICK_MS, TICK_MS, on_tick, w, &w->tick);
    if (r >= 0)
        r = bundles_open(w);
    if (r >= 0)
        r = rules_load(w);
    return r;
}

static int ready(struct child *c)
{
    return keeper_start(c->state);
}

static void attached(struct child *c, unsigned peer, struct sm_ipc *ipc)
{
    struct watch *w = c->state;

    if (peer == WHO_KEYD)
        sealing_attached(w);
    if (peer == WHO_BRAIN && w->damaged[0] && !w->damage_told) {
        w->damage_told = true; /* once in a life: W_STATUS goes on saying it */
        watch_say(w, json_pack("{ss ss}", "what", "damaged", "why", w->damaged));
    }
}

static void stop(struct child *c)
{
    struct watch *w = c->state;

    take_finish(w);
    int r = w->group_open || w->keeping ? 0 : evidence_flush(w->journal);
    if (r < 0)
        sm_warn("the last block stays open: %s", sm_strerror(r)); /* its events are kept in the write-ahead file */
    sources_tell(w);
    rules_hits(w);
    child_done(c);
}

static void end(struct child *c)
{
    struct watch *w = c->state;

    keeper_free(w);
    take_free(w);
    signals_forget(w);
    rules_free(w);
    bundles_free(w);
    sources_free(w);
    sm_timer_free(w->group);
    sm_timer_free(w->tick);
    evidence_free(w->journal);
    event_wipe(&w->e);
    event_wipe(&w->more);
    normalise_free(w->normalise);
    event_names_free(w->names);
    json_decref(w->own_rules);
    json_decref(w->tuning);
    json_decref(w->signals);
    json_decref(w->held);
    json_decref(w->ready);
    json_decref(w->aliases);
    json_decref(w->off);
    json_decref(w->places);
    sm_buf_wipe(&w->tombstone);
    if (w->state_dir >= 0)
        close(w->state_dir);
    free(w->shipped);
    free(w->own);
}

int watch_main(struct child *c)
{
    static const struct child_handler handlers[] = {
        { WHO_COLLECTOR, L_BATCH, take_batch },
        { WHO_BRAIN, W_EVENTS, take_batch },
        { WHO_BRAIN, W_CONFIG, on_config },
        { WHO_BRAIN, W_STATUS, on_status },
        { WHO_BRAIN, W_RULES, rules_on_list },
        { WHO_BRAIN, W_RULE, rules_on_one },
        { WHO_BRAIN, W_TRY, rules_on_try },
        { WHO_BRAIN, W_BUNDLE, bundles_on },
        { WHO_BRAIN, W_OWN, on_own },
        { WHO_BRAIN, W_SAVE, keeping_on_save },
    };
    static const struct child_spec spec = {
        .handlers = handlers, .handlers_n = sizeof handlers / sizeof handlers[0], .early = early, .start = start,
        .ready = ready, .attached = attached, .stop = stop, .end = end, .queue_max = 8 << 20,
    };
    struct watch *w = calloc(1, sizeof *w);

    if (!w)
        return 1;
    w->c = c;
    w->jobs_last = &w->jobs;
    w->state_dir = -1;
    w->tombstone = SM_BUF_INIT(EVSEAL_BODY_MAX);
    c->state = w;
    int r = child_run(c, &spec);
    free(w);
    return r;
}
