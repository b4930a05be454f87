#include "vault/backup/pipe.h"
#include <errno.h>
#include <signal.h>
#include "vault/backup/backup.h"

struct pipe {
    pthread_mutex_t lock;
    pthread_cond_t room, work, front, blocks;
    struct event *slot;
    uint64_t head, tail, next_job;   /* oldest; next to fill; next to look at for a job */
    size_t sealed_bytes;
    bool stop, waiting_front, waiting_room;
    unsigned idle;
    int err;
    struct block *free_big, *free_shared;
    unsigned big, shared;
    pipe_seal_fn seal;
    void *arg;
    pthread_t thread[BACKUP_SEALERS_MAX];
    unsigned threads;
};

static bool is_job(const struct event *e)
{
    return e->kind == EV_CHUNK || e->kind == EV_GROUP;
}

void pipe_fail(struct pipe *p, int err)
{
    pthread_mutex_lock(&p->lock);
    if (!p->err)
        p->err = err;
    pthread_cond_broadcast(&p->room);
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->front);
    pthread_cond_broadcast(&p->blocks);
    pthread_mutex_unlock(&p->lock);
}

int pipe_error(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    int e = p->err;
    pthread_mutex_unlock(&p->lock);
    return e;
}

/* ---- sealers ---- */

/* Jobs that wait, counted as far as it matters. */
static size_t jobs_waiting(const struct pipe *p)
{
    size_t n = 0;
    for (uint64_t i = p->next_job; i < p->tail && n < 2 * PIPE_JOBS; i++)
        n += is_job(&p->slot[i % PIPE_SLOTS]);
    return n;
}

/* The oldest jobs nobody took, of many no more than half: the others are for the next sealer.  0 when the pipe stops. */
static size_t jobs_take(struct pipe *p, struct event **ret)
{
    for (;;) {
        size_t n = 0, most;
        if (p->stop || p->err)
            return 0;
        /* The finisher takes what needs no sealing out by itself: what it has passed is no longer here. */
        if (p->next_job < p->head)
            p->next_job = p->head;
        most = (jobs_waiting(p) + 1) / 2;
        /* What is sealed and not yet packed is bounded too: then the finisher has something to do first. */
        while (p->sealed_bytes < PIPE_SEALED && n < most) {
            struct event *e = &p->slot[p->next_job++ % PIPE_SLOTS];
            if (is_job(e))
                ret[n++] = e;
        }
        if (n)
            return n;
        p->idle++;
        pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
}

static void *sealer(void *arg)
{
    struct pipe *p = arg;
    struct seal_ctx *ctx = NULL;
    struct event *job[PIPE_JOBS];
    size_t n;
    int r = seal_ctx_new(&ctx);
    if (r < 0)
        pipe_fail(p, r);
    pthread_mutex_lock(&p->lock);
    while (r == 0 && (n = jobs_take(p, job)) > 0) {
        pthread_mutex_unlock(&p->lock);
        r = p->seal(p->arg, ctx, job, n);
        for (size_t i = 0; i < n; i++)
            pipe_release(p, job[i]->block);
        if (r < 0)
            pipe_fail(p, r);
        pthread_mutex_lock(&p->lock);
        for (size_t i = 0; i < n; i++) {
            job[i]->done = true;
            p->sealed_bytes += job[i]->sealed_n;
        }
        if (p->waiting_front && p->slot[p->head % PIPE_SLOTS].done)
            pthread_cond_signal(&p->front);
    }
    pthread_mutex_unlock(&p->lock);
    seal_ctx_free(ctx);
    return NULL;
}

/* Signals belong to the program's own thread. */
static int thread_start(pthread_t *ret, struct pipe *p)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(ret, NULL, sealer, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

int pipe_new(unsigned sealers, pipe_seal_fn seal, void *arg, struct pipe **ret)
{
    struct pipe *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->front, NULL);
    pthread_cond_init(&p->blocks, NULL);
    p->seal = seal;
    p->arg = arg;
    p->slot = calloc(PIPE_SLOTS, sizeof *p->slot);
    int r = p->slot ? 0 : -ENOMEM;
    for (; r == 0 && p->threads < sealers; p->threads++) {
        r = thread_start(&p->thread[p->threads], p);
        if (r < 0)
            break;
    }
    if (r < 0) {
        pipe_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

static void blocks_free(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        free(b->p);
        free(b);
        b = next;
    }
}

void pipe_free(struct pipe *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    for (size_t i = 0; p->slot && i < PIPE_SLOTS; i++) {
        struct event *e = &p->slot[i];
        uint64_t at = p->head + (i + PIPE_SLOTS - p->head % PIPE_SLOTS) % PIPE_SLOTS;
        /* A job nobody took still holds its block. */
        if (at < p->tail && at >= p->next_job && is_job(e))
            pipe_release(p, e->block);
        sm_buf_wipe(&e->rec);
        sm_buf_wipe(&e->rec2);
        free(e->sealed);
    }
    blocks_free(p->free_big);
    blocks_free(p->free_shared);
    if (p->slot)
        sm_zero(p->slot, PIPE_SLOTS * sizeof *p->slot);
    free(p->slot);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->room);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->front);
    pthread_cond_destroy(&p->blocks);
    free(p);
}

/* ---- blocks ---- */

static struct block *block_make(bool shared)
{
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->cap = shared ? BACKUP_SHARED_MAX : PIPE_BLOCK;
    b->shared = shared;
    b->p = malloc(b->cap);
    if (!b->p) {
        free(b);
        return NULL;
    }
    return b;
}

struct block *pipe_block(struct pipe *p, bool shared)
{
    struct block **pool = shared ? &p->free_shared : &p->free_big, *b = NULL;
    unsigned *made = shared ? &p->shared : &p->big, most = shared ? PIPE_SHARED : PIPE_BLOCKS;
    pthread_mutex_lock(&p->lock);
    while (!p->err && !*pool && *made >= most)
        pthread_cond_wait(&p->blocks, &p->lock);
    if (!p->err && *pool) {
        b = *pool;
        *pool = b->next;
    } else if (!p->err) {
        b = block_make(shared);
        *made += b != NULL;
    }
    bool failed = !b && !p->err;
    pthread_mutex_unlock(&p->lock);
    if (failed)
        pipe_fail(p, -ENOMEM);
    if (b)
        atomic_store(&b->refs, 1);
    return b;
}

void pipe_hold(struct block *b)
{
    atomic_fetch_add(&b->refs, 1);
}

void pipe_release(struct pipe *p, struct block *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    struct block **pool = b->shared ? &p->free_shared : &p->free_big;
    pthread_mutex_lock(&p->lock);
    b->next = *pool;
    *pool = b;
    pthread_cond_signal(&p->blocks);
    pthread_mutex_unlock(&p->lock);
}

/* ---- the row ---- */

struct event *pipe_slot(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->err && p->tail - p->head >= PIPE_SLOTS) {
        p->waiting_room = true;
        pthread_cond_wait(&p->room, &p->lock);
    }
    p->waiting_room = false;
    struct event *e = p->err ? NULL : &p->slot[p->tail % PIPE_SLOTS];
    pthread_mutex_unlock(&p->lock);
    if (!e)
        return NULL;
    struct sm_buf rec = e->rec, rec2 = e->rec2;
    *e = (struct event){ .rec = rec, .rec2 = rec2 };
    sm_buf_clear(&e->rec);
    sm_buf_clear(&e->rec2);
    return e;
}

void pipe_push(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    struct event *e = &p->slot[p->tail % PIPE_SLOTS];
    p->tail++;
    bool job = is_job(e);
    e->done = !job;
    if (job && p->idle)
        pthread_cond_signal(&p->work);
    /* Waking the finisher for every unchanged file would cost more than its work; it looks again when some gathered. */
    if (p->waiting_front && (e->kind == EV_END || p->tail - p->head >= PIPE_SLOTS / 4) &&
        p->slot[p->head % PIPE_SLOTS].done)
        pthread_cond_signal(&p->front);
    pthread_mutex_unlock(&p->lock);
}

struct event *pipe_front(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->err && (p->head == p->tail || !p->slot[p->head % PIPE_SLOTS].done)) {
        p->waiting_front = true;
        pthread_cond_wait(&p->front, &p->lock);
    }
    p->waiting_front = false;
    struct event *e = p->err ? NULL : &p->slot[p->head % PIPE_SLOTS];
    pthread_mutex_unlock(&p->lock);
    return e;
}

void pipe_pop(struct pipe *p)
{
    pthread_mutex_lock(&p->lock);
    struct event *e = &p->slot[p->head % PIPE_SLOTS];
    if (e->rec.cap > ((size_t)64 << 10))
        sm_buf_wipe(&e->rec);
    if (e->rec2.cap > ((size_t)64 << 10))
        sm_buf_wipe(&e->rec2);
    free(e->sealed);
    e->sealed = NULL;
    p->head++;
    bool was_full = p->sealed_bytes >= PIPE_SEALED;
    p->sealed_bytes -= is_job(e) ? e->sealed_n : 0;
    if (was_full && p->sealed_bytes < PIPE_SEALED)
        pthread_cond_broadcast(&p->work);
    if (p->waiting_room && p->tail - p->head <= PIPE_SLOTS / 2)
        pthread_cond_signal(&p->room);
    pthread_mutex_unlock(&p->lock);
}
