/*
 * The agent of the box's own machine (`--local-agent`), kept running beside the children: its own program, its own
 * folder, no channel to anything of the box but the local socket and the agent port.
 */
#ifndef SAKIMORID_COMPANION_H
#define SAKIMORID_COMPANION_H
#include "core/loop.h"

struct companion_config {
    struct sm_loop *loop;
    const char *program, *data, *socket, *skip;
}; /* skip: never backed up; all borrowed until free */
struct companion;
/* Start it now and again whenever it ends (after 1, 2, 4 … 30 s).  -ENOMEM, -errno. */
sm_must_use int companion_new(const struct companion_config *c, struct companion **ret);
/* End it; done is called once it is gone (at once if it is not running), at most 10 s later. */
void companion_stop(struct companion *c, void (*done)(void *arg), void *arg);
void companion_free(struct companion *c); /* NULL is fine; kills it if it still runs */
#endif
