/*
 * The thread that keeps: while it writes one group down, syncs it and puts its events into blocks, the process reads and matches
 * the next one.  Between keeper_go and its end the journal is the thread's but for evidence_append and evidence_next_id; whoever
 * needs more waits (keeper_wait).
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"

struct keeper {
    struct watch *w;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t go, idle;
    bool threaded, busy, stop;
    int result, fd;
    struct sm_watch *watch;
    struct sm_buf intent;           /* streams.c's; the thread's while it is busy */
};

static int work(struct keeper *k)
{
    int r = k->intent.n ? streams_write(k->w, sm_buf_span(&k->intent)) : 0;

    return r < 0 ? r : evidence_keep(k->w->journal);
}

/* A default mutex of ours, locked and unlocked in pairs: none of these calls can fail. */
static void lock(struct keeper *k)
{
    (void)pthread_mutex_lock(&k->lock);
}

static void unlock(struct keeper *k)
{
    (void)pthread_mutex_unlock(&k->lock);
}

static void *thread_main(void *arg)
{
    struct keeper *k = arg;

    lock(k);
    for (;;) {
        while (!k->busy && !k->stop)
            (void)pthread_cond_wait(&k->go, &k->lock);
        if (!k->busy)
            break;
        unlock(k);
        int r = work(k);
        lock(k);
        k->result = r;
        k->busy = false;
        (void)pthread_cond_signal(&k->idle);
        const uint64_t one = 1;
        ssize_t n = write(k->fd, &one, sizeof one);
        (void)n; /* an eventfd of ours: full only means it is readable already */
    }
    unlock(k);
    return NULL;
}

static void on_idle(void *arg, int fd, unsigned events)
{
    struct keeper *k = arg;
    uint64_t n;
    ssize_t got = read(fd, &n, sizeof n);

    (void)got; /* the state says what was */
    take_kept(k->w);
}

int keeper_new(struct watch *w)
{
    struct keeper *k = calloc(1, sizeof *k);
    int r = k ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    k->w = w;
    k->intent = SM_BUF_INIT(STREAMS_BYTES_MAX);
    k->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = k->fd < 0 ? -errno : sm_loop_fd(w->c->loop, k->fd, SM_READ, on_idle, k, &k->watch);
    if (r >= 0)
        r = -pthread_mutex_init(&k->lock, NULL);
    if (r >= 0)
        r = -pthread_cond_init(&k->go, NULL);
    if (r >= 0)
        r = -pthread_cond_init(&k->idle, NULL);
    w->keeper = k;
    return r;
}

int keeper_start(struct watch *w)
{
    int r = -pthread_create(&w->keeper->thread, NULL, thread_main, w->keeper);

    w->keeper->threaded = r >= 0;
    return r;
}

struct sm_buf *keeper_intent(struct watch *w)
{
    return &w->keeper->intent;
}

void keeper_go(struct watch *w)
{
    struct keeper *k = w->keeper;

    lock(k);
    k->busy = true;
    (void)pthread_cond_signal(&k->go);
    unlock(k);
}

bool keeper_busy(struct watch *w)
{
    struct keeper *k = w->keeper;

    lock(k);
    bool busy = k->busy;
    unlock(k);
    return busy;
}

int keeper_wait(struct watch *w)
{
    struct keeper *k = w->keeper;

    lock(k);
    while (k->busy && k->threaded)
        (void)pthread_cond_wait(&k->idle, &k->lock);
    int r = k->result;
    unlock(k);
    return r;
}

void keeper_free(struct watch *w)
{
    struct keeper *k = w->keeper;

    if (!k)
        return;
    if (k->threaded) {
        lock(k);
        k->stop = true;
        (void)pthread_cond_signal(&k->go);
        unlock(k);
        (void)pthread_join(k->thread, NULL);
    }
    sm_watch_free(k->watch);
    if (k->fd >= 0)
        close(k->fd);
    (void)pthread_cond_destroy(&k->go);
    (void)pthread_cond_destroy(&k->idle);
    (void)pthread_mutex_destroy(&k->lock);
    sm_buf_wipe(&k->intent);
    free(k);
    w->keeper = NULL;
}
