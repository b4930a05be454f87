/*
 * link's word to the box every three seconds: the agent is alive, how its parts are, what was done to them (PROTOCOL-agent.md, "Alive").
 * Only where the supervisor asks for it, by its first A_ALIVE.
 */
#ifndef AGENT_ALIVE_H
#define AGENT_ALIVE_H
#include "sakimori-agent/agent.h"
#include "sakimori-agent/http.h"

enum {
    ALIVE_EVERY_MS = 3000,
    ALIVE_BODY_MAX = 16 << 10,
    ALIVE_QUIET_MS = 15000, /* after "sleep" was said: the machine sleeps within that, or it does not */
};

struct alive {
    struct sm_loop *loop;
    struct http *http;
    struct sm_ipc **up;          /* to the supervisor */
    struct sm_timer *timer;
    struct http_call *call;
    json_t *last;                /* the supervisor's last word */
    uint64_t last_ms, quiet_until_ms, n;
    bool again;                  /* there is something new since the call under way began */
};
/* The rest of a is set by the caller.  -ENOMEM, -errno. */
sm_must_use int alive_init(struct alive *a);
void alive_wipe(struct alive *a);
/* A_ALIVE, A_BYE of the supervisor. */
void alive_told(struct alive *a, struct sm_span body);
void alive_bye(struct alive *a, const struct sm_ipc_msg *m);
#endif
