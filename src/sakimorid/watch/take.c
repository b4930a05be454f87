/* Groups of batches: read, match, keep, commit, answer. */
#include <errno.h>
#include <fcntl.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"

enum { AGAIN_MS = 1000 };

static void job_drop(struct watch *w)
{
    struct job *j = w->jobs;

    w->jobs = j->next;
    if (!w->jobs)
        w->jobs_last = &w->jobs;
    w->jobs_n--;
    w->jobs_bytes -= j->body.n;
    sm_buf_wipe(&j->body);
    free(j);
}

static void arm(struct watch *w, uint64_t ms)
{
    w->group_set = true;
    sm_timer_set(w->group, ms, 0);
}

void take_batch(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    struct job *j = NULL;
    int r = w->jobs_n < JOBS_MAX && w->jobs_bytes + m->body.n <= JOBS_BYTES ? 0 : -SM_EAGAIN;

    if (r >= 0 && !(j = calloc(1, sizeof *j)))
        r = -ENOMEM;
    if (r >= 0) {
        j->body = SM_BUF_INIT(SM_IPC_BODY_MAX);
        r = sm_buf_put_span(&j->body, m->body);
    }
    if (r >= 0)
        r = log_batch_get(sm_buf_span(&j->body), &j->batch);
    if (r < 0) {
        if (j)
            sm_buf_wipe(&j->body);
        free(j);
        child_reply_error(ipc, m, r, sm_strerror(r));
        return;
    }
    j->late = child_later(c, peer, m);
    *w->jobs_last = j;
    w->jobs_last = &j->next;
    w->jobs_n++;
    w->jobs_bytes += j->body.n;
    if (w->jobs_bytes >= GROUP_BYTES && !w->full)
        arm(w, 0);
    else if (!w->group_set)
        arm(w, GROUP_MS);
}

/* ---- one record ---- */

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct watch *w = ctx;

    if (rule->off)
        return;
    w->rule_hits[rule->number]++;
    if (w->hits_n < HITS_MAX)
        w->hits[w->hits_n++].rule = rule;
}

/* The moment that correlations and incidents go by: nobody moves others out of their windows by a clock that is ahead. */
static struct event_time moment_of(const struct event *e)
{
    return e->seen.s > 0 && e->time.s > e->seen.s + CORRELATE_LATE_S ? e->seen : e->time;
}

static int keep(struct watch *w, struct event *e, struct origin *o)
{
    struct source *s = source_of(w, o, e->host);
    char rules[EVIDENCE_RULES_MAX];
    size_t n = 0;
    uint64_t id = 0;

    e->source = s ? s->number : 0;
    w->hits_n = 0;
    if (w->matcher) {
        int r = sigma_match(w->matcher, w->scratch, e, on_hit, w);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < w->hits_n; i++) {
        const struct sigma_rule *rule = w->hits[i].rule;
        const char *name = *rule->id ? rule->id : rule->name;
        size_t k = strlen(name);
        if (!k || n + k + 1 > sizeof rules)
            continue;
        if (n)
            rules[n++] = ' ';
        memcpy(rules + n, name, k);
        n += k;
    }
    const struct evidence_extra extra = { .klass = s ? s->klass : 0, .rules = SM_SPAN(rules, n) };
    int r = evidence_append(w->journal, w->names, e, &extra, &id);
    if (r < 0)
        return r;
    w->taken++;
    w->matched += w->hits_n > 0;
    if (s)
        source_saw(w, s, e);
    w->now_source = s;
    w->now_id = id;
    e->time = moment_of(e); /* what was said is in the record */
    for (size_t i = 0; i < w->hits_n; i++) {
        const struct sigma_rule *rule = w->hits[i].rule;
        if (!rule->correlated)
            signals_add(w, rule, e, s, id);
        if (correlate_add(w->correlate, rule, e, id, signals_correlated, w) < 0)
            sm_warn("out of memory: a correlation misses an event"); /* the event is kept all the same */
    }
    return 0;
}

static int take_record(struct watch *w, const struct log_run *run, const struct log_record *rec, struct origin *o)
{
    struct event_time seen = { .s = rec->seen_ns / 1000000000, .ns = 0 };
    int r;

    if (rec->seen_ns > 0)
        seen.ns = (uint32_t)(rec->seen_ns % 1000000000);
    r = normalise_record(w->normalise, &o->hint, rec->bytes, seen, &w->e);
    if (r < 0)
        return r;
    if (rec->cut)
        w->e.notes |= EVENT_CUT;
    r = keep(w, &w->e, o);
    while (r >= 0 && o->state && (r = normalise_more(w->normalise, &o->hint, &w->more)) > 0)
        r = keep(w, &w->more, o);
    return r;
}

/* ---- groups ---- */

static size_t count_records(struct sm_span runs, bool *ret_bad)
{
    struct log_run run;
    struct log_record rec;
    size_t n = 0;
    int r;

    while ((r = log_run_next(&runs, &run)) > 0) {
        while ((r = log_record_next(&run.records, &rec)) > 0)
            n++;
        if (r < 0)
            break;
    }
    *ret_bad = r < 0;
    return n;
}

/* Room on the disk: the record stops before it takes the last of it from the vault and the database. */
static int check_room(const struct watch *w)
{
    struct plat_fs_space space;
    int r = plat_fs_space(w->state_dir, ".", &space);

    return r < 0 ? r : space.avail_bytes < FREE_BYTES ? -ENOSPC : 0;
}

/* Which batches are kept together, and that they are about to be is on the disk; no block is closed in the midst of them. */
static int group_begin(struct watch *w)
{
    struct evidence_status s;
    size_t records = 0, bytes = 0;
    int r = check_room(w);

    if (r < 0)
        return r;
    for (struct job *j = w->jobs; j; j = j->next) {
        if (bytes && (bytes + j->body.n > GROUP_BYTES || records >= GROUP_RECORDS))
            break;
        j->in_group = true;
        j->records = count_records(j->batch.runs, &j->bad);
        j->done = !j->bad && streams_known(w, &j->batch);
        for (struct job *k = w->jobs; k != j && !j->done; k = k->next) /* the same twice, in one group */
            j->done = !memcmp(k->batch.stream, j->batch.stream, 16) && k->batch.number >= j->batch.number;
        if (j->bad || j->done)
            continue;
        records += j->records;
        bytes += j->body.n;
    }
    evidence_status(w->journal, &s);
    if (s.open_events && (s.open_events + records > BLOCK_EVENTS - 1 || s.open_bytes + bytes * 2 > EVIDENCE_BLOCK_BYTES_MAX))
        r = evidence_flush(w->journal);
    if (r >= 0 && records)
        r = streams_intend(w);
    w->group_open = r >= 0;
    return r;
}

static int job_run(struct watch *w, struct job *j)
{
    struct log_record rec;
    struct origin *o = NULL;
    int r;

    for (;;) {
        if (!j->run.records.n) {
            r = log_run_next(&j->batch.runs, &j->run);
            if (r <= 0)
                return r;
            o = NULL;
        }
        if (!o && !(o = origin_of(w, j->run.listener, j->run.address)))
            return -ENOMEM;
        while (j->run.records.n) {
            struct sm_span before = j->run.records;
            r = log_record_next(&j->run.records, &rec);
            if (r > 0)
                r = take_record(w, &j->run, &rec, o);
            if (r < 0) {
                j->run.records = before; /* the same one again */
                return r;
            }
        }
    }
}

static int group_go(struct watch *w)
{
    int r = w->group_open ? 0 : group_begin(w);

    for (struct job *j = w->jobs; r >= 0 && j && j->in_group; j = j->next)
        if (!j->bad && !j->done) {
            r = job_run(w, j);
            j->done = r >= 0;
        }
    if (r >= 0)
        r = evidence_commit(w->journal);
    return r;
}

static void group_end(struct watch *w)
{
    streams_done(w);
    while (w->jobs && w->jobs->in_group) {
        struct job *j = w->jobs;
        if (j->bad)
            child_reply_late_error(w->c, &j->late, -SM_EFORMAT, "not a batch of records");
        else
            (void)child_reply_late(w->c, &j->late, 0, SM_SPAN("", 0)); /* gone: it comes again and is known then */
        job_drop(w);
    }
    w->group_open = false;
    signals_tell(w);
}

static void say_full(struct watch *w, int err)
{
    if (w->full == (err < 0))
        return;
    w->full = err < 0;
    if (err < 0)
        sm_error("logs are not taken in any more: %s", sm_strerror(err));
    else
        sm_info("logs are taken in again");
    watch_say(w, json_pack("{ss ss}", "what", err < 0 ? "stopped" : "going", "why", err < 0 ? sm_strerror(err) : ""));
}

void take_go(void *arg)
{
    struct watch *w = arg;
    int r;

    w->group_set = false;
    if (!w->jobs)
        return;
    r = group_go(w);
    say_full(w, r < 0 ? r : 0);
    if (r < 0) {
        arm(w, AGAIN_MS);
        return;
    }
    group_end(w);
    if (w->jobs)
        arm(w, w->jobs_bytes >= GROUP_BYTES ? 0 : GROUP_MS / 2);
}

void take_free(struct watch *w)
{
    while (w->jobs)
        job_drop(w);
}
