/*
 * One event loop a process: descriptors, timers, signals, deferred calls.
 * Single thread.  Callbacks may add and remove anything, themselves included.
 * The waiting itself is plat/poll.h (epoll on Linux).
 */
#ifndef SM_CORE_LOOP_H
#define SM_CORE_LOOP_H
#include <stdint.h>
#include "core/err.h"
struct sm_loop; struct sm_watch; struct sm_timer;
enum { SM_READ = 1, SM_WRITE = 2, SM_HUP = 4 };
typedef void (*sm_watch_fn)(void *arg, int fd, unsigned events);
typedef void (*sm_timer_fn)(void *arg);
typedef void (*sm_signal_fn)(void *arg, int signo);
sm_must_use int sm_loop_new(struct sm_loop **ret);
void sm_loop_free(struct sm_loop *l);
sm_must_use int sm_loop_fd(
    struct sm_loop *l, int fd, unsigned events, sm_watch_fn fn, void *arg, struct sm_watch **ret);
/* 0 pauses it wholly; otherwise SM_HUP comes unasked. */
void sm_watch_events(struct sm_watch *w, unsigned events);
/* Does not close fd: free the watch first, close after. */
void sm_watch_free(struct sm_watch *w);
/* One-shot when every_ms is 0: then it rests until sm_timer_set; free it in any case, watches and timers before the
 * loop. */
sm_must_use int sm_loop_timer(
    struct sm_loop *l, uint64_t after_ms, uint64_t every_ms, sm_timer_fn fn, void *arg, struct sm_timer **ret);
void sm_timer_set(struct sm_timer *t, uint64_t after_ms, uint64_t every_ms);
void sm_timer_stop(struct sm_timer *t);               /* not due any more; sm_timer_set arms it again */
void sm_timer_free(struct sm_timer *t);
/* Block signo and deliver it through the loop. */
sm_must_use int sm_loop_signal(struct sm_loop *l, int signo, sm_signal_fn fn, void *arg);
sm_must_use int sm_loop_run(struct sm_loop *l);       /* until stop; 0 or the stop code */
void sm_loop_stop(struct sm_loop *l, int code);
/* One round: wait at most timeout_ms (-1 = until something comes), call what is due.  For tests and nested waits. */
sm_must_use int sm_loop_once(struct sm_loop *l, int timeout_ms);
#endif
