#include "sakimorid/companion.h"

#include <errno.h>
#include <signal.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/proc.h"

#define DELAY_MAX_MS 8000u
#define STEADY_MS 10000
#define STOP_MS 10000

struct companion {
    struct companion_config c;
    struct plat_proc proc;
    struct sm_watch *watch;
    struct sm_timer *timer; /* restart, or end too late */
    unsigned delay_ms;
    uint64_t started_ms;
    void (*done)(void *arg);
    void *arg;
    bool stopping;
};

static void start(struct companion *k);

static void on_end(void *arg, int fd, unsigned events)
{
    struct companion *k = arg;
    char text[48];
    int status = 0;
    (void)fd;
    (void)events;
    if (plat_proc_wait(&k->proc, 0, &status) == -SM_ETIME)
        return;
    plat_proc_status_text(status, text);
    sm_watch_free(k->watch);
    k->watch = NULL;
    plat_proc_close(&k->proc);
    k->proc = PLAT_PROC_NONE;
    if (k->stopping) {
        sm_timer_stop(k->timer);
        k->done(k->arg);
        return;
    }
    bool young = plat_clock_mono_ms() - k->started_ms < STEADY_MS;
    k->delay_ms = !young || !k->delay_ms ? 1000 : k->delay_ms * 2 > DELAY_MAX_MS ? DELAY_MAX_MS : k->delay_ms * 2;
    sm_warn("the local agent ended (%s); it is started again in %u ms", text, k->delay_ms);
    sm_timer_set(k->timer, k->delay_ms, 0);
}

static void on_timer(void *arg)
{
    struct companion *k = arg;
    if (!k->stopping)
        start(k);
    else if (k->proc.pid)
        (void)plat_proc_kill(&k->proc, SIGKILL); /* gone already is as good */
}

static void start(struct companion *k)
{
    char *argv[] = {(char *)(uintptr_t) "sakimori-agent", (char *)(uintptr_t) "run", (char *)(uintptr_t) "--data",
        (char *)(uintptr_t)k->c.data, (char *)(uintptr_t) "--local", (char *)(uintptr_t)k->c.socket,
        (char *)(uintptr_t) "--skip", (char *)(uintptr_t)k->c.skip, NULL};
    const struct plat_spawn sp = {.path = k->c.program, .argv = argv, .with_us = true};
    int r = plat_proc_spawn(&sp, &k->proc);
    k->started_ms = plat_clock_mono_ms();
    if (!r)
        r = sm_loop_fd(k->c.loop, k->proc.fd, SM_READ, on_end, k, &k->watch);
    if (r) {
        sm_error("the local agent %s: %s", k->c.program, sm_strerror(r));
        sm_timer_set(k->timer, DELAY_MAX_MS, 0);
    }
}

int companion_new(const struct companion_config *c, struct companion **ret)
{
    struct companion *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->c = *c;
    k->proc = PLAT_PROC_NONE;
    int r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_timer, k, &k->timer);
    if (r) {
        free(k);
        return r;
    }
    start(k);
    *ret = k;
    return 0;
}

void companion_stop(struct companion *k, void (*done)(void *arg), void *arg)
{
    k->stopping = true;
    k->done = done;
    k->arg = arg;
    if (!k->proc.pid) {
        sm_timer_stop(k->timer);
        done(arg);
        return;
    }
    (void)plat_proc_kill(&k->proc, SIGTERM); /* killed below if it does not hear */
    sm_timer_set(k->timer, STOP_MS, 0);
}

void companion_free(struct companion *k)
{
    int status;
    if (!k)
        return;
    if (k->proc.pid && plat_proc_kill(&k->proc, SIGKILL) >= 0)
        (void)plat_proc_wait(&k->proc, 2000, &status); /* only after a failure of the loop itself */
    sm_watch_free(k->watch);
    sm_timer_free(k->timer);
    plat_proc_close(&k->proc);
    free(k);
}
