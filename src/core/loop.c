#include "core/loop.h"
#include <errno.h>
#include <limits.h>
#include "plat/clock.h"
#include "plat/poll.h"

enum { BATCH = 64, SIGNALS = 65 };

struct sm_watch {
    struct sm_loop *loop;
    int fd;
    unsigned events;
    bool added, dead;
    sm_watch_fn fn;
    void *arg;
    struct sm_watch *next; /* among the dead */
};

struct sm_timer {
    struct sm_loop *loop;
    uint64_t due_ms, every_ms;
    size_t at; /* place in the heap, SIZE_MAX when not armed */
    sm_timer_fn fn;
    void *arg;
};

struct sm_loop {
    struct plat_poll *poll;
    struct sm_timer **heap;
    size_t heap_n, heap_cap;
    size_t timers; /* all there are: the heap always has room for them, so arming cannot fail */
    struct sm_watch *dead;
    struct {
        sm_signal_fn fn;
        void *arg;
    } on_signal[SIGNALS];
    bool dispatching, stopped;
    int code;
};

int sm_loop_new(struct sm_loop **ret)
{
    struct sm_loop *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    int r = plat_poll_new(&l->poll);
    if (r < 0) {
        free(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void bury(struct sm_loop *l)
{
    while (l->dead) {
        struct sm_watch *w = l->dead;
        l->dead = w->next;
        free(w);
    }
}

void sm_loop_free(struct sm_loop *l)
{
    if (!l)
        return;
    bury(l);
    plat_poll_free(l->poll);
    free(l->heap);
    free(l);
}

static unsigned to_poll(unsigned events)
{
    return (events & SM_READ ? PLAT_POLL_READ : 0u) | (events & SM_WRITE ? PLAT_POLL_WRITE : 0u);
}

int sm_loop_fd(struct sm_loop *l, int fd, unsigned events, sm_watch_fn fn, void *arg, struct sm_watch **ret)
{
    struct sm_watch *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct sm_watch){.loop = l, .fd = fd, .events = events, .fn = fn, .arg = arg};
    int r = events ? plat_poll_add(l->poll, fd, to_poll(events), w) : 0;
    if (r < 0) {
        free(w);
        return r;
    }
    w->added = events != 0;
    *ret = w;
    return 0;
}

/* Nothing wanted means not registered at all: a hang-up nobody asked for would wake the loop for ever. */
void sm_watch_events(struct sm_watch *w, unsigned events)
{
    if (w->events == events)
        return;
    w->events = events;
    if (events == 0) {
        plat_poll_remove(w->loop->poll, w->fd);
        w->added = false;
    } else if (w->added) {
        (void)plat_poll_change(w->loop->poll, w->fd, to_poll(events), w); /* fd is registered */
    } else {
        w->added = plat_poll_add(w->loop->poll, w->fd, to_poll(events), w) == 0;
    }
}

void sm_watch_free(struct sm_watch *w)
{
    if (!w)
        return;
    if (w->added)
        plat_poll_remove(w->loop->poll, w->fd);
    if (!w->loop->dispatching) {
        free(w);
        return;
    }
    w->dead = true; /* the batch in hand may still name it */
    w->next = w->loop->dead;
    w->loop->dead = w;
}

static void place(struct sm_loop *l, size_t at, struct sm_timer *t)
{
    l->heap[at] = t;
    t->at = at;
}

static void sift(struct sm_loop *l, size_t at)
{
    struct sm_timer *t = l->heap[at];
    while (at > 0 && l->heap[(at - 1) / 2]->due_ms > t->due_ms) {
        place(l, at, l->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < l->heap_n && l->heap[child + 1]->due_ms < l->heap[child]->due_ms)
            child++;
        if (child >= l->heap_n || l->heap[child]->due_ms >= t->due_ms)
            break;
        place(l, at, l->heap[child]);
        at = child;
    }
    place(l, at, t);
}

static void disarm(struct sm_timer *t)
{
    struct sm_loop *l = t->loop;
    size_t at = t->at;
    if (at == SIZE_MAX)
        return;
    t->at = SIZE_MAX;
    struct sm_timer *last = l->heap[--l->heap_n];
    if (last == t)
        return;
    place(l, at, last);
    sift(l, at);
}

static void arm(struct sm_timer *t, uint64_t due_ms)
{
    disarm(t);
    t->due_ms = due_ms;
    place(t->loop, t->loop->heap_n++, t);
    sift(t->loop, t->at);
}

static uint64_t later(uint64_t now_ms, uint64_t after_ms)
{
    return after_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + after_ms;
}

int sm_loop_timer(struct sm_loop *l, uint64_t after_ms, uint64_t every_ms, sm_timer_fn fn, void *arg,
    struct sm_timer **ret)
{
    if (l->timers == l->heap_cap) {
        size_t cap = l->heap_cap ? l->heap_cap * 2 : 16;
        struct sm_timer **heap = reallocarray(l->heap, cap, sizeof(struct sm_timer *));
        if (!heap)
            return -ENOMEM;
        l->heap = heap;
        l->heap_cap = cap;
    }
    struct sm_timer *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    *t = (struct sm_timer){.loop = l, .every_ms = every_ms, .at = SIZE_MAX, .fn = fn, .arg = arg};
    l->timers++;
    arm(t, later(plat_clock_mono_ms(), after_ms));
    *ret = t;
    return 0;
}

void sm_timer_set(struct sm_timer *t, uint64_t after_ms, uint64_t every_ms)
{
    t->every_ms = every_ms;
    arm(t, later(plat_clock_mono_ms(), after_ms));
}

void sm_timer_stop(struct sm_timer *t)
{
    disarm(t);
}

void sm_timer_free(struct sm_timer *t)
{
    if (!t)
        return;
    disarm(t);
    t->loop->timers--;
    free(t);
}

int sm_loop_signal(struct sm_loop *l, int signo, sm_signal_fn fn, void *arg)
{
    if (signo < 1 || signo >= SIGNALS)
        return -SM_EINVAL;
    int r = plat_poll_signal(l->poll, signo);
    if (r < 0)
        return r;
    l->on_signal[signo].fn = fn;
    l->on_signal[signo].arg = arg;
    return 0;
}

/* Bounded by the timers there were at the start, so that a timer that arms itself anew at once starves nobody. */
static void fire_timers(struct sm_loop *l)
{
    uint64_t now = plat_clock_mono_ms();
    for (size_t left = l->heap_n; left > 0 && l->heap_n > 0 && !l->stopped; left--) {
        struct sm_timer *t = l->heap[0];
        if (t->due_ms > now)
            return;
        disarm(t);
        if (t->every_ms)
            arm(t, later(now, t->every_ms));
        t->fn(t->arg); /* may free t */
    }
}

static int next_timeout(const struct sm_loop *l, int limit_ms)
{
    if (l->heap_n == 0)
        return limit_ms;
    uint64_t now = plat_clock_mono_ms(), due = l->heap[0]->due_ms;
    uint64_t wait = due > now ? due - now : 0;
    if (limit_ms >= 0 && wait > (uint64_t)limit_ms)
        return limit_ms;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

static void dispatch(struct sm_loop *l, const struct plat_poll_event *e)
{
    if (e->signo) {
        if (e->signo < SIGNALS && l->on_signal[e->signo].fn)
            l->on_signal[e->signo].fn(l->on_signal[e->signo].arg, e->signo);
        return;
    }
    struct sm_watch *w = e->data;
    if (w->dead || !w->added)
        return;
    unsigned events = 0;
    if (e->events & PLAT_POLL_READ)
        events |= SM_READ;
    if (e->events & PLAT_POLL_WRITE)
        events |= SM_WRITE;
    if (e->events & PLAT_POLL_HUP)
        events |= SM_HUP;
    events &= w->events | SM_HUP; /* an earlier callback of this batch may have changed what is wanted */
    if (events)
        w->fn(w->arg, w->fd, events);
}

int sm_loop_once(struct sm_loop *l, int timeout_ms)
{
    struct plat_poll_event e[BATCH];
    int n = plat_poll_wait(l->poll, next_timeout(l, timeout_ms), e, BATCH);
    if (n < 0)
        return n;
    bool outer = !l->dispatching;
    l->dispatching = true;
    for (int i = 0; i < n; i++)
        dispatch(l, &e[i]);
    fire_timers(l);
    if (outer) {
        l->dispatching = false;
        bury(l);
    }
    return 0;
}

int sm_loop_run(struct sm_loop *l)
{
    while (!l->stopped) {
        int r = sm_loop_once(l, -1);
        if (r < 0)
            return r;
    }
    l->stopped = false;
    return l->code;
}

void sm_loop_stop(struct sm_loop *l, int code)
{
    l->stopped = true;
    l->code = code;
}
