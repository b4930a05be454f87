/*
 * Requests of a restore's threads over the one channel to link, several under way at once.  The channel is used by whose
 * turn it is: one thread at a time, in the order they came.
 */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H
#include <pthread.h>
#include "sakimori-agent/carrier.h"

#define FETCH_WAYS 3u /* two openers and the walker */

struct fetch_way {
    bool used, done;
    int err;
    uint64_t heard_ms;
    struct sm_buf answer;
};
struct fetch {
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t next, serving;
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
