/*
 * house: the record of logs in ClickHouse.  It reads DATA/journal and has a network; it has no key, no database, and
 * writes to no file.  A thread brings closed blocks (follow.c); questions are answered here as by the seeker, from the
 * servers for what they have and from the record for the rest; when the servers are away the record of this box answers
 * all of it, and the answer says so.
 */
#include <errno.h>
#include <curl/curl.h>
#include <stdlib.h>
#include "core/log.h"
#include "crypto/init.h"
#include "plat/clock.h"
#include "sakimorid/house/house_part.h"
#include "sakimorid/wire.h"

enum {
    TELL_MS = 1000,
    TELL_ALWAYS_MS = 30000,
    INIT_MS = 20000,
    MARGIN_MS = 2000 /* of a question's time, for the record of this box */
};

struct part {
    struct seeker k; /* first: what the seeker's handlers see */
    struct follow *follow;
    struct house *house; /* for questions; NULL: to be made */
    struct house_conf conf;
    bool have_conf;
    struct house_set there; /* of the question under way */
    struct house_search search;
    struct sm_timer *tell;
    struct follow_state told;
    uint64_t told_ms;
};

/* ---- settings ---- */

static void take_settings(struct child *c)
{
    struct part *p = c->state;
    const json_t *h = json_object_get(c->config, "house");
    struct house_texts t = {0};
    const char **const to[] = {&t.urls, &t.database, &t.table, &t.user, &t.password, &t.ca};
    static const char *const keys[] = {"urls", "database", "table", "user", "password", "ca"};
    char why[HOUSE_WHY];

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = json_string_value(json_object_get(h, keys[i]));
        *to[i] = text ? text : "";
    }
    house_free(p->house);
    p->house = NULL;
    p->have_conf = house_conf_get(&t, &p->conf, why) >= 0;
    if (p->have_conf)
        follow_conf(p->follow, &p->conf);
    else
        sm_warn("settings of the store: %s", why); /* the parent let nothing else through */
}

/* ---- questions ---- */

static bool stop_search(void *arg)
{
    const struct part *p = arg;

    return p->search.until_ms && plat_clock_mono_ms() > p->search.until_ms;
}

static int make_house(struct part *p)
{
    char box[HOUSE_BOX + 1];
    int r = p->house ? 0 : house_box(p->k.dir, box);

    return r < 0 || p->house ? r : house_open(&p->conf, box, stop_search, p, &p->house);
}

static bool begin(struct child *c)
{
    struct part *p = c->state;
    struct follow_state s;

    p->k.away[0] = '\0';
    p->search = (struct house_search){.reader = p->k.reader, .there = &p->there, .until_ms = p->k.until_ms - MARGIN_MS};
    if (p->have_conf && make_house(p) >= 0 && follow_hold(p->follow, &p->there, &p->search.not_block))
        return true;
    follow_state(p->follow, &s);
    (void)snprintf(p->k.away, sizeof p->k.away, "%s", *s.reason ? s.reason : "starting");
    return false;
}

static void end(struct child *c, int err)
{
    struct part *p = c->state;

    follow_go_on(p->follow);
    house_set_wipe(&p->there);
    if (err < 0 && err != -ENOMEM && err != -SM_ECANCEL && err != -SM_EINVAL && *house_reason(p->house)) {
        (void)snprintf(p->k.away, sizeof p->k.away, "%s", house_reason(p->house)); /* of the same size */
        sm_warn("the store did not answer: %s", house_why(p->house));
        follow_look(p->follow);
        p->k.until_ms = plat_clock_mono_ms() + MARGIN_MS * 8; /* for the record of this box */
    }
}

static int run(struct child *c, const struct evsearch *s, evsearch_fn fn, void *arg, struct evsearch_stats *ret_stats)
{
    struct part *p = c->state;

    return house_run(p->house, &p->search, s, fn, arg, ret_stats);
}

static int histogram(struct child *c, const struct evsearch *s, uint32_t width_s, size_t n, uint64_t *ret_counts,
    struct evsearch_stats *ret_stats)
{
    struct part *p = c->state;

    return house_histogram(p->house, &p->search, s, width_s, n, ret_counts, ret_stats);
}

static int event(struct child *c, uint64_t id, evsearch_fn fn, void *arg)
{
    struct part *p = c->state;

    return house_event(p->house, &p->search, id, fn, arg);
}

/* {"cluster"?} → {}: the tables are made. */
static void on_init(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct part *p = c->state;
    json_t *in = wire_body(ipc, m);
    struct sm_obj o = SM_OBJ(in);
    char why[HOUSE_WHY] = "";

    if (!in)
        return;
    const char *cluster = sm_obj_str_opt(&o, "cluster", HOUSE_NAME_MAX);
    int r = o.err ? o.err : p->have_conf ? make_house(p) : -SM_ESTATE;
    if (r >= 0) {
        p->search.until_ms = plat_clock_mono_ms() + INIT_MS;
        r = house_init(p->house, cluster && *cluster ? cluster : NULL, p->search.until_ms);
        (void)snprintf(why, sizeof why, "%s", house_why(p->house)); /* of the same size */
        follow_again(p->follow);
    } else {
        (void)snprintf(why, sizeof why, "%s",
            r == -ENOENT ? "the record has no seal yet: try again in a minute" : sm_strerror(r)); /* short */
    }
    wire_answer(ipc, m, r < 0 ? NULL : json_object(), r, why);
    json_decref(in);
}

/* ---- telling ---- */

static void tell(struct part *p)
{
    const struct follow_state *s = &p->told;
    json_t *j = json_pack("{sb ss ss sI sI sI sI sI sI sI sI}", "there", s->there, "reason", s->reason, "why", s->why,
        "blocks", (json_int_t)s->blocks, "events", (json_int_t)s->events, "waiting", (json_int_t)s->waiting, "odd",
        (json_int_t)s->odd, "odd_first", (json_int_t)s->odd_first, "damaged", (json_int_t)s->damaged, "brought_s",
        (json_int_t)s->brought_s, "since_s", (json_int_t)s->since_s);

    if (j)
        (void)child_notify_json(p->k.c, WHO_BRAIN, H_STATE, j); /* told again when brain is back */
    json_decref(j);
    p->told_ms = plat_clock_mono_ms();
}

static void on_tell(void *arg)
{
    struct part *p = arg;
    struct follow_state now;

    memset(&now, 0, sizeof now);
    follow_state(p->follow, &now);
    bool same = now.there == p->told.there && !strcmp(now.reason, p->told.reason) && now.blocks == p->told.blocks &&
                now.waiting == p->told.waiting && now.odd == p->told.odd && now.damaged == p->told.damaged &&
                now.since_s == p->told.since_s;
    if (same && plat_clock_mono_ms() - p->told_ms < TELL_ALWAYS_MS)
        return;
    p->told = now;
    tell(p);
}

/* ---- life ---- */

static int early(struct child *c)
{
    int r = seek_early(c);

    return r < 0 ? r : curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

static int start(struct child *c)
{
    struct part *p = c->state;

    /* It may read past the owner's rights; only Landlock keeps that to the record. */
    if (c->confined.uid && !c->confined.landlock) {
        child_fatal(c, "this kernel has no Landlock: logs are not brought to ClickHouse");
        return -SM_EUNSUPPORTED;
    }
    evsearch_tune_memory();
    int r = seek_start(c);
    if (r >= 0)
        r = follow_new(p->k.dir, &p->follow);
    if (r >= 0)
        r = sm_loop_timer(c->loop, TELL_MS, TELL_MS, on_tell, p, &p->tell);
    if (r >= 0)
        take_settings(c);
    return r;
}

static void attached(struct child *c, unsigned peer, struct sm_ipc *ipc)
{
    if (peer == WHO_BRAIN)
        tell(c->state);
}

static void finish(struct child *c)
{
    struct part *p = c->state;

    follow_free(p->follow);
    house_free(p->house);
    house_conf_wipe(&p->conf);
    sm_timer_free(p->tell);
    seek_end(c);
    curl_global_cleanup();
}

int house_main(struct child *c)
{
    static const struct child_handler handlers[] = {
        {WHO_BRAIN, H_SEARCH, seek_search},
        {WHO_BRAIN, H_HISTOGRAM, seek_histogram},
        {WHO_BRAIN, H_EVENT, seek_event},
        {WHO_BRAIN, H_EXPORT, seek_export},
        {WHO_BRAIN, H_INIT, on_init},
    };
    static const struct child_spec spec = {
        .handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .early = early,
        .start = start,
        .attached = attached,
        .config = take_settings,
        .end = finish,
        .queue_max = 16 << 20,
    };
    static const struct seek_store store = {
        .begin = begin, .end = end, .run = run, .histogram = histogram, .event = event};
    struct part *p = calloc(1, sizeof *p);

    if (!p)
        return 1;
    p->k.store = &store;
    c->state = p;
    int r = child_run(c, &spec);
    free(p);
    return r;
}
