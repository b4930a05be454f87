/*
 * guard: the other half of the supervisor.  The supervisor starts it, in a session and, where it may, a control group of its own; each sees
 * the other end (pidfd, channel) and stand (a beat every second), and starts or continues it.  It also looks whether the agent's own files are
 * as they were when it began (pins.h).
 *
 * It keeps all of root's rights, since what it starts needs them: so it has no network, opens nothing but files it hashes and what /proc and
 * the control groups say, and parses nothing of them.
 */
#ifndef GUARD_GUARD_H
#define GUARD_GUARD_H
#include "sakimori-agent/agent.h"

enum {
    GUARD_LOOK_MS = 1000,
    GUARD_GO_ON_MS = 4000,   /* a supervisor without a beat for so long is continued, */
    GUARD_END_MS = 9000,     /* and ended: then it is started again */
    GUARD_FILES_MS = 60000,  /* its files are looked at so often, besides when the kernel tells of a change */
    GUARD_TRIES_MAX = 10,
    GUARD_STAYS_MS = 5000,   /* a supervisor that lived so long has a guard of its own */
};
/* The group of its own: by the agent's folder, so that two agents of one machine do not share it.  ret has 40 bytes. */
void guard_group(const char *data, char *ret);
#endif
