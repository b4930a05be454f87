/*
 * Waiting for descriptors and signals: the ground under core/loop.h, used by nobody else.
 * Regular files cannot be watched (-EPERM): they are always ready.
 */
#ifndef SM_PLAT_POLL_H
#define SM_PLAT_POLL_H
#include <stdint.h>
#include "core/err.h"

struct plat_poll;
enum { PLAT_POLL_READ = 1, PLAT_POLL_WRITE = 2, PLAT_POLL_HUP = 4 };
struct plat_poll_event { void *data; unsigned events; int signo; };  /* signo != 0: a signal came, data is NULL */
sm_must_use int plat_poll_new(struct plat_poll **ret);
void plat_poll_free(struct plat_poll *p);
sm_must_use int plat_poll_add(struct plat_poll *p, int fd, unsigned events, void *data);
sm_must_use int plat_poll_change(struct plat_poll *p, int fd, unsigned events, void *data);
void plat_poll_remove(struct plat_poll *p, int fd);
/* Block signo for this thread and have it come as an event. */
sm_must_use int plat_poll_signal(struct plat_poll *p, int signo);
/* Up to max events within timeout_ms (-1 = for ever); their number.  A signal that interrupts is 0. */
sm_must_use int plat_poll_wait(struct plat_poll *p, int timeout_ms, struct plat_poll_event *ret, int max);
/* One descriptor, blocking: 1 ready, 0 timed out. */
sm_must_use int plat_poll_one(int fd, unsigned events, int timeout_ms);
/* Monotonic milliseconds for the loop's timers live in plat/clock.h. */
#endif
