#include <errno.h>
#include <signal.h>
#include "plat/clock.h"
#include "vault/restore/restore_internal.h"

#define TELL_MS 250

/* ---- the ring of batches ---- */

struct batch *ring_get(struct restore *r, unsigned stage)
{
    unsigned before = stage == 0 ? STAGES - 1 : stage - 1;
    struct batch *b = NULL;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        uint64_t mine = r->made[stage], theirs = r->made[before];
        bool ready = stage == 0 ? mine - theirs < RESTORE_BATCHES : theirs > mine;
        if (r->err || ready)
            break;
        pthread_cond_wait(&r->turn, &r->lock);
    }
    if (!r->err)
        b = &r->batch[r->made[stage] % RESTORE_BATCHES];
    pthread_mutex_unlock(&r->lock);
    return b;
}

void ring_done(struct restore *r, unsigned stage)
{
    pthread_mutex_lock(&r->lock);
    r->made[stage]++;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

struct batch *ring_take_open(struct restore *r)
{
    struct batch *b = NULL;
    pthread_mutex_lock(&r->lock);
    while (!r->err && !r->open_end && r->open_taken == r->made[STAGE_PLAN])
        pthread_cond_wait(&r->turn, &r->lock);
    if (!r->err && !r->open_end) {
        b = &r->batch[r->open_taken++ % RESTORE_BATCHES];
        b->opened = false;
        r->open_end = b->last;
    }
    if (r->open_end)
        pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
    return b;
}

void ring_done_open(struct restore *r, struct batch *b)
{
    pthread_mutex_lock(&r->lock);
    b->opened = true;
    while (r->made[STAGE_OPEN] < r->open_taken && r->batch[r->made[STAGE_OPEN] % RESTORE_BATCHES].opened)
        r->batch[r->made[STAGE_OPEN]++ % RESTORE_BATCHES].opened = false;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

void restore_fail(struct restore *r, int err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->err)
        r->err = err;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

int restore_error(struct restore *r)
{
    pthread_mutex_lock(&r->lock);
    int e = r->err;
    pthread_mutex_unlock(&r->lock);
    return e;
}

void restore_problem(struct restore *r, struct sm_span path, int err, const char *what)
{
    pthread_mutex_lock(&r->lock);
    r->result->problems++;
    if (r->watch->problem)
        r->watch->problem(r->watch->arg, path, err, what);
    pthread_mutex_unlock(&r->lock);
}

int restore_get(struct restore *r, const struct cid *cids, size_t n, restore_object_fn fn, void *arg)
{
    if (r->source->parallel)
        return r->source->get_many(r->source->arg, cids, n, fn, arg);
    pthread_mutex_lock(&r->source_lock);
    int e = r->source->get_many(r->source->arg, cids, n, fn, arg);
    pthread_mutex_unlock(&r->source_lock);
    return e;
}

bool restore_cancelled(struct restore *r)
{
    return r->watch->cancelled && r->watch->cancelled(r->watch->arg);
}

void restore_progress_tell(struct restore *r)
{
    uint64_t now_ms = plat_clock_mono_ms();
    if (!r->watch->progress || now_ms - r->told_ms < TELL_MS)
        return;
    char now[NOW_MAX];
    r->told_ms = now_ms;
    pthread_mutex_lock(&r->lock);
    memcpy(now, r->now, sizeof now);
    pthread_mutex_unlock(&r->lock);
    struct restore_progress p = { .files = atomic_load(&r->files), .bytes = atomic_load(&r->bytes), .now = now };
    r->watch->progress(r->watch->arg, &p);
}

/* ---- a run ---- */

static int restore_init(struct restore *r)
{
    struct manifest m;
    int e = manifest_parse(r->c->manifest, &m);
    if (e < 0)
        return e;
    r->client = m.client;
    r->path.max = r->resume_at.max = (size_t)64 << 10;
    for (size_t i = 0; i < RESTORE_BATCHES; i++)
        r->batch[i].plain.max = (size_t)64 << 20;
    r->owners = calloc(1, sizeof *r->owners);
    r->ahead = calloc(AHEAD_PAGES, sizeof *r->ahead);
    if (!r->owners || !r->ahead)
        return -ENOMEM;
    struct reader_source s = { .get = plan_get, .file_key = plan_file_key, .names_checked = r->source->names_checked,
        .arg = r };
    return reader_open(&s, r->c->manifest, r->c->device_public, &r->reader);
}

static void restore_wipe(struct restore *r)
{
    plan_wipe(r);
    reader_close(r->reader);
    for (size_t i = 0; i < RESTORE_BATCHES; i++) {
        sm_buf_wipe(&r->batch[i].ops);
        sm_buf_wipe(&r->batch[i].arena);
        sm_buf_wipe(&r->batch[i].plain);
        sm_zero(r->batch[i].chunk, sizeof r->batch[i].chunk);
    }
    sm_buf_wipe(&r->path);
    sm_buf_wipe(&r->parts);
    sm_buf_wipe(&r->resume_at);
    free(r->owners);
    free(r->seen_group);
    pthread_mutex_destroy(&r->source_lock);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->turn);
    free(r);
}

static int threads_run(struct restore *r)
{
    void *(*const work[OPENERS + 1])(void *) = { open_thread, open_thread, open_thread, write_thread };
    pthread_t thread[OPENERS + 1];
    size_t n = 0;
    int e = 0;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the program's own thread */
    while (n < OPENERS + 1 && (e = -pthread_create(&thread[n], NULL, work[n], r)) == 0)
        n++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e == 0)
        e = plan_run(r);
    if (e < 0)
        restore_fail(r, e);
    while (n > 0)
        pthread_join(thread[--n], NULL);
    return restore_error(r);
}

static int run(const struct restore_config *c, const struct restore_source *source, const struct restore_watch *watch,
    bool compare, struct restore_result *ret)
{
    static const struct restore_watch silent;
    memset(ret, 0, sizeof *ret);
    bool ok = source->get_many && source->file_key && (!source->get_held || (source->release && source->parallel)) &&
        c->paths_n <= RESTORE_PATHS_MAX && c->existing <= RESTORE_OVERWRITE &&
        c->target <= RESTORE_PLACE && (c->target != RESTORE_PLACE || (c->place && c->place[0] == '/'));
    struct restore *r = ok ? calloc(1, sizeof *r) : NULL;
    if (!r)
        return ok ? -ENOMEM : -SM_EINVAL;
    *r = (struct restore){ .c = c, .source = source, .watch = watch ? watch : &silent, .compare = compare, .result = ret };
    pthread_mutex_init(&r->source_lock, NULL);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->turn, NULL);
    resume_load(r);
    int e = restore_init(r);
    if (e == 0)
        e = threads_run(r);
    if (e == 0 && !r->found)
        e = -SM_ENOTFOUND;
    if (e == 0 && !compare)
        resume_clear(r);
    restore_wipe(r);
    return e == 0 && ret->problems ? (compare ? -SM_EMISMATCH : -SM_EPARTIAL) : e;
}

int restore_run(const struct restore_config *c, const struct restore_source *source, const struct restore_watch *watch,
    struct restore_result *ret)
{
    return run(c, source, watch, false, ret);
}

int restore_compare(const struct restore_config *c, const struct restore_source *source,
    const struct restore_watch *watch, struct restore_result *ret)
{
    return run(c, source, watch, true, ret);
}
