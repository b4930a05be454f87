/*
 * Requests of a restore's threads over the one channel to link, several under way at once.  The channel is used by whose
 * turn it is: one thread at a time, in the order they came.  Of those that wait for an answer one takes in what comes
 * for all of them, and gives its turn away when somebody has something to ask.
 */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H
#include <pthread.h>
#include <stdatomic.h>
#include "sakimori-agent/carrier.h"

#define FETCH_WAYS 4u /* three openers and the walker */

struct fetch_way {
    bool used;
    atomic_bool done; /* set in turn, read by who waits */
    int err;
    uint64_t heard_ms;
    struct sm_buf answer;
    pthread_cond_t come; /* it is done, or nobody takes in any more */
};
struct fetch {
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t next, serving;
    bool pumped; /* somebody takes in; guarded by lock */
    struct fetch_way way[FETCH_WAYS];
};
void fetch_init(struct fetch *f);
void fetch_wipe(struct fetch *f);
void fetch_take_turn(struct fetch *f);
void fetch_give_turn(struct fetch *f);
/*
 * Have link stream what the box answers to body at path; *link may become NULL or another one while it waits (hear is
 * called in turn and may exchange it).  The answer is in *ret until fetch_done.  Errors as carrier_call, and -SM_EAGAIN
 * when FETCH_WAYS are under way.
 */
sm_must_use int fetch_objects(struct fetch *f, struct sm_ipc **link, const char *path, struct sm_span body,
    void (*hear)(void *arg), void *arg, int *ret_status, struct sm_span *ret, struct fetch_way **ret_way);
void fetch_done(struct fetch *f, struct fetch_way *w);
#endif
