#include "api/worker.h"
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job { void (*work)(void *), (*done)(void *); void *ctx; };
/* Ring: [read, begun) are finished, [begun, made) wait or run. */
struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job ring[WORKER_MAX];
    uint64_t read, begun, made;
    bool threaded, stop;
    int fd;
    struct sm_watch *watch;
};

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        if (w->begun == w->made) {
            (void)pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        struct job j = w->ring[w->begun % WORKER_MAX];
        (void)pthread_mutex_unlock(&w->lock);
        j.work(j.ctx);
        (void)pthread_mutex_lock(&w->lock);
        w->begun++;
        uint64_t one = 1;
        ssize_t n = write(w->fd, &one, sizeof one);
        (void)n; /* an eventfd of ours: full only means it is readable already */
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void tell_done(struct worker *w)
{
    for (;;) {
        (void)pthread_mutex_lock(&w->lock);
        bool any = w->read < w->begun;
        struct job j = w->ring[w->read % WORKER_MAX];
        w->read += any;
        (void)pthread_mutex_unlock(&w->lock);
        if (!any)
            return;
        j.done(j.ctx);
    }
}

static void readable(void *arg, int fd, unsigned events)
{
    uint64_t n;
    ssize_t got = read(fd, &n, sizeof n);
    (void)got; /* the count is in the ring */
    (void)events;
    tell_done(arg);
}

int worker_new(struct sm_loop *loop, struct worker **ret)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->fd = -1;
    if (!loop) {
        *ret = w;
        return 0;
    }
    int r = 0;
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0)
        r = -errno;
    else
        r = sm_loop_fd(loop, w->fd, SM_READ, readable, w, &w->watch);
    if (r == 0)
        r = -pthread_mutex_init(&w->lock, NULL);
    if (r == 0)
        r = -pthread_cond_init(&w->more, NULL);
    if (r == 0)
        r = -pthread_create(&w->thread, NULL, thread_main, w);
    if (r < 0) {
        sm_watch_free(w->watch);
        if (w->fd >= 0)
            (void)close(w->fd);
        free(w);
        return r;
    }
    w->threaded = true;
    *ret = w;
    return 0;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->threaded) {
        (void)pthread_mutex_lock(&w->lock);
        w->stop = true;
        (void)pthread_cond_signal(&w->more);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
        w->begun = w->made; /* the rest is told as it is */
        tell_done(w);
        sm_watch_free(w->watch);
        (void)close(w->fd);
        (void)pthread_cond_destroy(&w->more);
        (void)pthread_mutex_destroy(&w->lock);
    }
    free(w);
}

int worker_put(struct worker *w, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
    if (!w->threaded) {
        work(ctx);
        done(ctx);
        return 0;
    }
    (void)pthread_mutex_lock(&w->lock);
    bool full = w->made - w->read >= WORKER_MAX;
    if (!full)
        w->ring[w->made++ % WORKER_MAX] = (struct job){ work, done, ctx };
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
    return full ? -SM_EAGAIN : 0;
}
