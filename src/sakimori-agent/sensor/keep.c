/* The workers: copies too large for the deciding thread, and hashes of programs. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

#define SYNC_S 5
#define AGE_ROUNDS 120u /* what is too old is let go after ten minutes of rest */
#define HASH_BYTES ((size_t)256 << 10)

/* One tree's jobs are done in their order: by one worker. */
int job_add(struct sensor *s, struct job *j)
{
    /* Of the deciding thread alone. */
    size_t w = j->keep.tree % WORKERS;
    pthread_mutex_lock(&s->job_lock);
    bool full = s->job_n >= JOBS_MAX || !s->workers;
    if (!full) {
        j->next = NULL;
        *(s->todo_last[w] ? &s->todo_last[w]->next : &s->todo[w]) = j;
        s->todo_last[w] = j;
        s->job_n++;
        pthread_cond_broadcast(&s->job_cond);
    }
    pthread_mutex_unlock(&s->job_lock);
    struct tree *t = full || j->what != WAIT_COPY ? NULL : trees_find(s, j->keep.tree);
    if (t)
        t->pending++;
    if (!full) {
        j->waiting_next = s->waiting;
        s->waiting = j;
    }
    return full ? -SM_EAGAIN : 0;
}

static int hash_file(struct job *j)
{
    struct crypto_sha256_ctx *c;
    int r = crypto_sha256_new(&c);
    uint8_t *buf = r ? NULL : malloc(HASH_BYTES);
    off_t at = 0;
    ssize_t n = 0;
    if (!r && !buf)
        r = -ENOMEM;
    while (!r && !__atomic_load_n(&j->cancel, __ATOMIC_RELAXED) && (n = pread(j->fd, buf, HASH_BYTES, at)) > 0) {
        crypto_sha256_put(c, SM_SPAN(buf, (size_t)n));
        at += n;
    }
    if (!r && n < 0)
        r = -errno;
    if (!r)
        crypto_sha256_final(c, j->hash);
    free(buf);
    crypto_sha256_free(c);
    return r;
}

static void work(struct sensor *s, struct job *j)
{
    const uint64_t one = 1;
    if (j->what == WAIT_HASH)
        j->err = hash_file(j);
    else
        j->err = giveback_keep(s->give, &j->keep, &j->cancel, &j->id);
    pthread_mutex_lock(&s->job_lock);
    j->next = s->done;
    s->done = j;
    atomic_store(&s->unsynced, true);
    pthread_mutex_unlock(&s->job_lock);
    (void)!write(s->done_fd, &one, sizeof one); /* full: it is readable already */
}

struct worker {
    struct sensor *s;
    size_t number;
};

/* The first one also brings to the disk what was kept, when there is nothing else to do. */
static void sync_now(struct sensor *s)
{
    if (!s->give || (!atomic_exchange(&s->unsynced, false) && ++s->idle_rounds < AGE_ROUNDS))
        return;
    s->idle_rounds = 0;
    pthread_mutex_unlock(&s->job_lock);
    (void)giveback_sync(s->give); /* what fails now is tried again by the next */
    pthread_mutex_lock(&s->job_lock);
}

void *worker_main(void *arg)
{
    struct worker *me = arg;
    struct sensor *s = me->s;
    const size_t w = me->number;
    free(me);
    atomic_store(&s->tid[4 + w], (uint64_t)gettid());
    pthread_mutex_lock(&s->job_lock);
    while (!atomic_load(&s->over)) {
        struct job *j = s->todo[w];
        struct timespec until;
        if (j) {
            s->todo[w] = j->next;
            if (!s->todo[w])
                s->todo_last[w] = NULL;
            pthread_mutex_unlock(&s->job_lock);
            work(s, j);
            pthread_mutex_lock(&s->job_lock);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += SYNC_S;
        if (pthread_cond_timedwait(&s->job_cond, &s->job_lock, &until) == ETIMEDOUT && w == 0)
            sync_now(s);
    }
    pthread_mutex_unlock(&s->job_lock);
    return NULL;
}

/* ---- the deciding thread's side ---- */

void jobs_done(struct sensor *s)
{
    uint64_t n;
    (void)!read(s->done_fd, &n, sizeof n); /* nothing there: the list is looked at all the same */
    pthread_mutex_lock(&s->job_lock);
    struct job *j = s->done, *next;
    s->done = NULL;
    pthread_mutex_unlock(&s->job_lock);
    for (; j; j = next) {
        next = j->next;
        struct tree *t = j->what == WAIT_COPY ? trees_find(s, j->keep.tree) : NULL;
        if (t && t->pending)
            t->pending--;
        for (struct job **at = &s->waiting; *at; at = &(*at)->waiting_next)
            if (*at == j) {
                *at = j->waiting_next;
                break;
            }
        if (j->what == WAIT_HASH)
            programs_hashed(s, j);
        else
            decide_kept(s, j);
        pthread_mutex_lock(&s->job_lock);
        s->job_n--;
        pthread_mutex_unlock(&s->job_lock);
        free(j);
    }
}

void jobs_late(struct sensor *s)
{
    int64_t now = sensor_now_ms();
    for (struct job *j = s->waiting; j; j = j->waiting_next) {
        if (j->answered || now < j->until_ms)
            continue;
        if (j->what == WAIT_HASH) {
            __atomic_store_n(&j->cancel, true, __ATOMIC_RELAXED);
            j->answered = true;
            j->fd = slot_answer_keep(s, j->slot, true);
            atomic_fetch_add(&s->lost_answers, 1);
        } else {
            decide_late(s, j);
        }
    }
}
