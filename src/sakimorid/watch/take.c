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
    w->jobs_bytes -= j->bytes;
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
    j->bytes = j->body.n;
    w->jobs_bytes += j->bytes;
    w->waiting_n++;
    w->waiting_bytes += j->bytes;
    if (w->waiting_bytes >= GROUP_BYTES && !w->full)
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
    if (r == -SM_EAGAIN) { /* very large records: a commit in the midst of the group, which is only known after its end */
        (void)keeper_wait(w);
        r = evidence_commit(w->journal);
        w->group_first = evidence_next_id(w->journal);
        if (r >= 0)
            r = evidence_append(w->journal, w->names, e, &extra, &id);
    }
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
    if (r > 0 && o->state)
        heads_saw(w, o, rec->bytes);
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

    return r < 0 ? r : space.avail_bytes < w->free_bytes ? -ENOSPC : 0;
}

/* Is batch b one that stands before j in the list, of an earlier try of its sender? */
static bool came_before(const struct watch *w, const struct job *j)
{
    for (const struct job *k = w->jobs; k != j; k = k->next)
        if (!k->bad && k->batch.number >= j->batch.number && !memcmp(k->batch.stream, j->batch.stream, 16))
            return true;
    return false;
}

/* Which batches are kept together. */
static int group_begin(struct watch *w)
{
    size_t records = 0, bytes = 0;
    int r = check_room(w);

    if (r < 0)
        return r;
    for (struct job *j = w->jobs; j; j = j->next) {
        if (j->keeping)
            continue;
        if (bytes && (bytes + j->bytes > GROUP_BYTES || records >= GROUP_RECORDS))
            break;
        j->in_group = true;
        w->waiting_n--;
        w->waiting_bytes -= j->bytes;
        size_t n = count_records(j->batch.runs, &j->bad);
        j->done = !j->bad && (streams_known(w, &j->batch) || came_before(w, j));
        j->intended = !j->bad && !j->done;
        if (!j->intended)
            continue;
        records += n;
        bytes += j->bytes;
    }
    w->group_first = evidence_next_id(w->journal);
    w->group_open = true;
    return 0;
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

/* Read and match; a record that could not be taken is where the next call goes on. */
static int group_fill(struct watch *w)
{
    int r = w->group_open ? 0 : group_begin(w);

    for (struct job *j = w->jobs; r >= 0 && j && j->in_group; j = j->next) {
        if (j->keeping || j->bad || j->done)
            continue;
        r = job_run(w, j);
        if (r < 0)
            break;
        j->done = true;
        sm_buf_wipe(&j->body); /* its events are the journal's now */
    }
    w->group_ready = r >= 0;
    return r;
}

static int group_keep(struct watch *w)
{
    int r = streams_intend(w, keeper_intent(w));

    if (r >= 0)
        r = evidence_hand(w->journal);
    if (r < 0)
        return r;
    for (struct job *j = w->jobs; j && j->in_group; j = j->next)
        j->keeping = true;
    w->group_open = w->group_ready = false;
    w->keeping = true;
    signals_hold(w);
    keeper_go(w);
    return 0;
}

static void group_end(struct watch *w)
{
    streams_done(w);
    while (w->jobs && w->jobs->keeping) {
        struct job *j = w->jobs;
        if (j->bad)
            child_reply_late_error(w->c, &j->late, -SM_EFORMAT, "not a batch of records");
        else
            (void)child_reply_late(w->c, &j->late, 0, SM_SPAN("", 0)); /* gone: it comes again and is known then */
        job_drop(w);
    }
    w->keeping = false;
    signals_kept(w);
}

static void say_full(struct watch *w, int err)
{
    if (w->full == (err < 0))
        return;
    w->full = err < 0;
    w->retire_due_ms = 0; /* what the rules let go goes now, not within the hour */
    if (err < 0)
        sm_error("logs are not taken in any more: %s", sm_strerror(err));
    else
        sm_info("logs are taken in again");
    watch_say(w, json_pack("{ss ss}", "what", err < 0 ? "stopped" : "going", "why", err < 0 ? sm_strerror(err) : ""));
}

/* The next group is read while the one before is being kept; a third one waits. */
static void advance(struct watch *w)
{
    int r = 0;

    if (!w->group_ready && (w->group_open || w->waiting_n))
        r = group_fill(w);
    if (r >= 0 && w->group_ready && !w->keeping)
        r = group_keep(w);
    if (r < 0) {
        say_full(w, r);
        arm(w, AGAIN_MS);
    } else if (w->waiting_n && !w->group_ready && !w->group_set) {
        arm(w, w->waiting_bytes >= GROUP_BYTES ? 0 : GROUP_MS / 2);
    }
}

void take_go(void *arg)
{
    struct watch *w = arg;

    w->group_set = false;
    if (w->keep_failed) {
        w->keep_failed = false;
        keeper_go(w);
    }
    advance(w);
}

void take_kept(struct watch *w)
{
    if (!w->keeping || w->keep_failed || keeper_busy(w))
        return;
    int r = keeper_wait(w);
    say_full(w, r < 0 ? r : 0);
    if (r < 0) {
        w->keep_failed = true;
        arm(w, AGAIN_MS);
        return;
    }
    group_end(w);
    evidence_status(w->journal, &w->status);
    if (w->tick_due)
        watch_due(w);
    advance(w);
}

void take_finish(struct watch *w)
{
    for (int i = 0; i < 1000 && w->jobs && !w->full; i++) {
        take_go(w);
        (void)keeper_wait(w); /* take_kept looks at it */
        take_kept(w);
    }
    (void)keeper_wait(w);
}

void take_free(struct watch *w)
{
    while (w->jobs)
        job_drop(w);
}
