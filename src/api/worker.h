/*
 * One thread for what takes long (Argon2id, checking the audit files): jobs one at a time, in order, and the
 * loop goes on meanwhile.  At most WORKER_MAX wait; more are refused, which a caller sees as "come back later".
 */
#ifndef API_WORKER_H
#define API_WORKER_H
#include "core/loop.h"
#define WORKER_MAX 64
struct worker;
/* loop NULL: worker_put does the job at once. */
sm_must_use int worker_new(struct sm_loop *loop, struct worker **ret);
/* Waits for the job under way; jobs not begun are told with done(ctx) all the same. */
void worker_free(struct worker *w);
/* work(ctx) in the thread, then done(ctx) in the loop.  -SM_EAGAIN when full. */
sm_must_use int worker_put(struct worker *w, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);
#endif
