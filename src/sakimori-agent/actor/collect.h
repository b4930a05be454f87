/*
 * What stands in an evidence pack: a row of the table in collect.c each.  Everything is bounded, what cannot be read is left out and
 * said in `left-out.txt`.  Reads only; no contents of people's files, no passwords (shadow), no keys, no memory.
 */
#ifndef AGENT_ACTOR_COLLECT_H
#define AGENT_ACTOR_COLLECT_H
#include "sakimori-agent/actor/pack.h"

struct collect {
    struct pack *pack;
    const char *data;       /* the agent's folder: its journal and settings */
    struct sm_buf left_out; /* a line for each */
    bool full;              /* there was no more room */
};
/* All rows.  -errno only when the archive itself could not be written. */
sm_must_use int collect_all(struct collect *c);
size_t collect_rows(void);
#endif
