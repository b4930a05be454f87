/*
 * The scrub in the background: packs get their parity once nothing else wants the disk, everything is read again within
 * scrub_days at no more than scrub_rate, and what was found is told to brain.
 */
#include "sakimorid/vault/vaultd.h"

#include <errno.h>

#include "core/log.h"
#include "plat/clock.h"
#include "vault/scrub/scrub.h"

#define REST_MS 1000                 /* between looks when nothing is to be done */
#define QUIET_MS 5000                /* so long after the last upload or restore the disk counts as free */
#define TROUBLE_MS 60000             /* after an error of the system */
#define DAY_S 86400
#define REPORTS_MAX 12
#define PACE_PERCENT 80              /* a round is planned to end after so much of its time */

struct scrubbing {
    struct vaultd *v;
    struct scrub *scrub;
    struct sm_timer *timer;
    json_t *found; /* of the last round, <= VAULTD_DAMAGES_MAX */
    uint64_t busy_ms, done;
    int64_t days, rate;
    int64_t finished_s; /* of the last round that was told */
    bool told_trouble;
};

static const char *verdict_name(enum scrub_verdict r)
{
    return r == SCRUB_HEALED ? "healed" : r == SCRUB_MISSING ? "missing" : r == SCRUB_NO_ROOM ? "no-room" : "damaged";
}

static void on_found(void *arg, const struct scrub_finding *f)
{
    struct scrubbing *s = arg;
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(f->what));
    json_object_set_new(o, "file", json_string(f->file));
    json_object_set_new(o, "result", json_string(verdict_name(f->verdict)));
    wire_int(o, "offset", f->offset);
    wire_int(o, "blocks", f->blocks);
    if (json_array_size(s->found) < VAULTD_DAMAGES_MAX)
        json_array_append_new(s->found, json_deep_copy(o));
    if (f->verdict == SCRUB_HEALED)
        vaultd_event(s->v, "healed", o);
    else
        json_decref(o); /* named with what it hits by verify, which comes next */
}

static json_t *damage_json(const struct verify_damage *d)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(verify_what_name(d->what)));
    json_object_set_new(o, "file", json_string(d->file));
    wire_int(o, "offset", d->offset);
    if (d->has_object)
        wire_hex(o, "object", d->object.b, 32);
    json_object_set_new(o, "why", json_string(d->why));
    return o;
}

/* A journal that went bad on the disk while it is open: opening it anew heals it, if its second copy can. */
static void journal_bad(struct scrubbing *s)
{
    char dir[4096];
    struct spare_healed can = {0};
    snprintf(dir, sizeof dir, "%s/vault", s->v->c->data);
    if (spare_heal(dir, false, &can) == 0 && can.records)
        child_fatal(s->v->c, "the journal is damaged on the disk; it is opened anew and healed from its second copy");
}

static void on_damage(void *arg, const struct verify_damage *d)
{
    struct scrubbing *s = arg;
    vaultd_event(s->v, "damage", damage_json(d));
    if (d->what == VERIFY_JOURNAL)
        journal_bad(s);
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct scrubbing *s = arg;
    vaultd_event(s->v, "damaged-generation", scrubbing_hit(s->v, manifest, damage_json(first)));
}

json_t *scrubbing_hit(struct vaultd *v, const struct cid *manifest, json_t *o)
{
    struct store_generation g;
    wire_hex(o, "manifest", manifest->b, 32);
    if (v->store && store_generation(v->store, manifest, &g) == 0) {
        wire_hex(o, "client", g.client.b, 16);
        wire_hex(o, "source", g.source.b, 16);
        wire_int(o, "number", g.number);
        json_object_set_new(o, "at_s", json_integer(g.time.s));
    }
    return o;
}

/* ---- pace ---- */

static bool is_busy(struct scrubbing *s)
{
    uint64_t now = plat_clock_mono_ms();
    bool busy = s->v->jobs_n > 0;
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX && !busy; i++)
        busy = s->v->uploads[i].handle != 0;
    if (busy)
        s->busy_ms = now;
    return busy || now - s->busy_ms < QUIET_MS;
}

/* Is the round, planned over its days, behind? */
static bool is_behind(const struct scrubbing *s, const struct scrub_state *st)
{
    int64_t gone = plat_clock_wall().s - st->started_s, whole = s->days * DAY_S * PACE_PERCENT / 100;
    if (gone < 0 || gone >= whole)
        return true;
    return (double)st->now.bytes < (double)st->bytes_total * (double)gone / (double)whole;
}

/* What is to be done now: 1 a step of the round, 2 what is new, 0 nothing. */
static int choose(struct scrubbing *s)
{
    struct scrub_state st;
    scrub_state(s->scrub, &st);
    bool running = st.phase != SCRUB_IDLE, busy = is_busy(s);
    int64_t now = plat_clock_wall().s, age = now - st.started_s;
    if (running && (st.by_person || st.phase == SCRUB_NAMING))
        return 1; /* naming reads little and must not wait */
    if (busy && age < s->days * DAY_S)
        return 0;
    if (!running && (!st.started_s || age < 0 || age >= s->days * DAY_S) && st.fresh == 0 && st.packs_total) {
        scrub_begin(s->scrub, false);
        return 1;
    }
    return running && st.fresh == 0 && is_behind(s, &st) ? 1 : 2;
}

static void say_progress(struct scrubbing *s, bool running)
{
    struct scrub_state st;
    scrub_state(s->scrub, &st);
    uint64_t part = st.bytes_total / 100 + 1, done = st.now.bytes / part;
    if (running && st.phase == SCRUB_IDLE) {
        json_t *o = scrubbing_now(s->v);
        json_object_set_new(o, "complete", json_boolean(st.finished_s != s->finished_s));
        s->finished_s = st.finished_s;
        vaultd_event(s->v, "scrub", o);
    }
    if (running && st.phase != SCRUB_IDLE && done != s->done)
        vaultd_event(s->v, "scrub", scrubbing_now(s->v));
    s->done = done;
}

static void on_timer(void *arg)
{
    struct scrubbing *s = arg;
    uint64_t start = plat_clock_mono_ms();
    int what = s->v->store && !s->v->verify && !store_is_broken(s->v->store) ? choose(s) : 0;
    int r = what == 1 ? scrub_step(s->scrub, SCRUB_STEP_BYTES) : what == 2 ? scrub_protect(s->scrub, SCRUB_STEP_BYTES)
                                                                           : 0;
    if (what == 1)
        say_progress(s, true);
    if (r < 0) {
        if (!s->told_trouble)
            sm_warn("vault: scrub: %s", sm_strerror(r));
        s->told_trouble = true;
        vaultd_after(s->v, r);
    }
    /* A step read a mebibyte at most; the next one not before the rate allows it. */
    uint64_t spent = plat_clock_mono_ms() - start, due = SCRUB_STEP_BYTES * 1000 / (uint64_t)s->rate;
    uint64_t wait = r < 0 ? TROUBLE_MS : r == 0 && what != 1 ? REST_MS : due > spent ? due - spent : 1;
    sm_timer_set(s->timer, wait, 0);
}

/* ---- life ---- */

int scrubbing_start(struct vaultd *v)
{
    struct scrubbing *s = calloc(1, sizeof *s);
    const json_t *settings = json_object_get(v->c->config, "settings");
    const json_t *days = json_object_get(settings, "scrub_days"), *rate = json_object_get(settings, "scrub_rate");
    if (!s)
        return -ENOMEM;
    s->v = v;
    s->days = json_is_integer(days) ? json_integer_value(days) : 30;
    s->rate = json_is_integer(rate) ? json_integer_value(rate) : 32 << 20;
    s->found = json_array();
    s->busy_ms = plat_clock_mono_ms();
    const struct scrub_hooks h = {.found = on_found, .damage = on_damage, .hit = on_hit, .arg = s,
        .head_pub = v->head_pub, .write = true, .record = true};
    int r = s->found ? scrub_new(v->store, &h, &s->scrub) : -ENOMEM;
    if (!r)
        r = sm_loop_timer(v->c->loop, REST_MS, 0, on_timer, s, &s->timer);
    v->scrubbing = s;
    struct scrub_state st = {0};
    if (!r)
        scrub_state(s->scrub, &st);
    s->finished_s = st.finished_s;
    if (r)
        scrubbing_end(v);
    return r;
}

void scrubbing_end(struct vaultd *v)
{
    struct scrubbing *s = v->scrubbing;
    if (!s)
        return;
    sm_timer_free(s->timer);
    scrub_free(s->scrub);
    json_decref(s->found);
    free(s);
    v->scrubbing = NULL;
}

/* The store could not be opened for its journal or format file: heal from the second copies.  1 = something was. */
int scrubbing_heal(struct vaultd *v, const char *dir, struct spare_healed *ret)
{
    int r = spare_heal(dir, true, ret);
    if (r < 0 || (!ret->records && !ret->format))
        return r < 0 ? r : 0;
    sm_warn("vault: healed from the second copy: %s%s%llu records of the journal", ret->format ? "format file, " : "",
        ret->file, (unsigned long long)ret->records);
    (void)v;
    return 1;
}

void scrubbing_healed(struct vaultd *v, const struct spare_healed *h)
{
    char file[64];
    snprintf(file, sizeof file, "journal/%s", h->file);
    if (h->format)
        vaultd_after(v, store_healed(v->store, &(struct store_healed){.what = "format", .file = "format",
            .found_by = "open"}));
    if (h->records)
        vaultd_after(v, store_healed(v->store, &(struct store_healed){.what = "journal", .file = file,
            .blocks = h->records, .found_by = "open"}));
    vaultd_event(v, "healed", json_pack("{s:s,s:s,s:I}", "kind", h->records ? "journal" : "format", "file",
        h->records ? file : "format", "blocks", (json_int_t)h->records));
}

/* ---- asked by brain ---- */

static json_t *time_or_null(int64_t s)
{
    char text[SM_TIME_TEXT];
    if (!s)
        return json_null();
    sm_time_rfc3339((struct sm_time){.s = s}, text);
    return json_string(text);
}

json_t *scrubbing_now(struct vaultd *v)
{
    struct scrubbing *s = v->scrubbing;
    struct scrub_state st;
    if (!s)
        return json_null();
    scrub_state(s->scrub, &st);
    json_t *o = json_object();
    json_object_set_new(o, "running", json_boolean(st.phase != SCRUB_IDLE));
    json_object_set_new(o, "phase", json_string(scrub_phase_name(st.phase)));
    json_object_set_new(o, "by_person", json_boolean(st.by_person));
    json_object_set_new(o, "started", time_or_null(st.started_s));
    json_object_set_new(o, "finished", time_or_null(st.finished_s));
    json_object_set_new(o, "next", time_or_null(st.started_s ? st.started_s + s->days * DAY_S : 0));
    wire_int(o, "packs", st.now.packs);
    wire_int(o, "packs_total", st.packs_total);
    wire_int(o, "bytes", st.now.bytes);
    wire_int(o, "bytes_total", st.bytes_total);
    wire_int(o, "protected", st.now.protected_);
    wire_int(o, "bare", st.now.bare);
    wire_int(o, "healed", st.now.healed);
    wire_int(o, "damaged", st.now.damaged);
    wire_int(o, "hit", st.now.hit);
    wire_int(o, "manifests", st.now.manifests);
    wire_int(o, "waiting", st.fresh);
    json_object_set_new(o, "last", st.finished_s ? json_pack("{s:I,s:I,s:I,s:I}", "packs", (json_int_t)st.last.packs,
        "bytes", (json_int_t)st.last.bytes, "damaged", (json_int_t)st.last.damaged, "healed",
        (json_int_t)st.last.healed) : json_null());
    wire_int(o, "days", (uint64_t)s->days);
    wire_int(o, "rate", (uint64_t)s->rate);
    return o;
}

static int report_row(void *arg, const struct journal_record *r)
{
    json_t *list = arg, *p = NULL;
    char at[SM_TIME_TEXT];
    if (sm_json_parse(r->payload, JOURNAL_PAYLOAD_MAX, &p, NULL) < 0)
        return 0; /* the chain holds it, this program cannot read it */
    sm_time_rfc3339(r->time, at);
    json_object_del(p, "objects"); /* can be long; the journal has them */
    json_object_set_new(p, "at", json_string(at));
    return json_array_append_new(list, p);
}

void scrubbing_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    bool start = sm_obj_bool(&ask.o, "start", false);
    json_t *reports = json_array(), *healed = json_array();
    int r = ask.o.err ? ask.o.err : ask.v->scrubbing ? 0 : -SM_ESTATE;
    if (!r && start) {
        json_array_clear(ask.v->scrubbing->found);
        scrub_begin(ask.v->scrubbing->scrub, true);
        sm_timer_set(ask.v->scrubbing->timer, 1, 0);
    }
    if (!r)
        r = store_log(ask.st, 0, 1u << JOURNAL_SCRUB, REPORTS_MAX, report_row, reports);
    if (!r)
        r = store_log(ask.st, 0, 1u << JOURNAL_HEALED, REPORTS_MAX, report_row, healed);
    json_t *out = r ? NULL : json_object();
    if (out) {
        json_object_set_new(out, "now", scrubbing_now(ask.v));
        json_object_set(out, "reports", reports);
        json_object_set(out, "healed", healed);
        json_object_set(out, "found", ask.v->scrubbing->found);
    }
    json_decref(reports);
    json_decref(healed);
    vaultd_answer(&ask, out, r, ask.o.why);
}
