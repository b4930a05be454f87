/*
 * Findings: cases on this machine, from their first sign until the box has their last word.  A finder (sensor, scan, a rule) tells its
 * view; what is done by the policy is decided here and asked of the parts that can; both together are told to the box, again and again
 * until it has the newest (docs/PROTOCOL-agent.md, "Findings").  No channel and no clock here: struct cases_ways.
 */
#ifndef AGENT_JUDGE_CASES_H
#define AGENT_JUDGE_CASES_H
#include "core/time.h"
#include "detect/sigma/sigma.h"
#include "sakimori-agent/endpoint.h"

enum {
    CASES_MAX = 64,             /* kept here; the oldest that the box has goes first */
    CASES_BODY_MAX = 144 << 10, /* of one, as it is told: processes are left out from the end until it fits */
};

/* How things are done; each may be called from within any function here.  0 or an error. */
struct cases_ways {
    void *ctx;
    int (*post)(void *ctx, const char *id, struct sm_span body); /* to the box; cases_answered comes later, also at once */
    int (*ask)(void *ctx, const char *id, unsigned act, struct sm_span body); /* E_DO to actor; cases_acted comes later */
    int (*tree)(void *ctx, uint64_t tree, const char *what);     /* E_TREE to sensor */
    void (*event)(void *ctx, const json_t *event);               /* an own fact, urgent */
    uint64_t (*now_ms)(void);                                    /* steady */
    int64_t (*wall_ms)(void);
};
struct cases;
/* folder: of the cases alone, taken.  policy and ways are borrowed; what policy says counts as of the moment. */
sm_must_use int cases_open(
    int folder, const struct cases_ways *ways, const struct endpoint_policy *policy, struct cases **ret);
void cases_free(struct cases *c);
/* Body of E_FINDING: a whole view, or {"id","act",…}: more about a known one.  -SM_EFORMAT, -SM_EINVAL, -SM_ENOTFOUND, -ENOMEM. */
sm_must_use int cases_told(struct cases *c, struct sm_span body);
/* What a rule of level high or critical matched. */
struct cases_hit {
    const struct sigma_rule *rule;
    uint64_t tree; /* 0: of no process tree */
    bool log;      /* a line of a log: a case also without a tree, whose programs nobody can stop */
    struct sm_span program, line, user, pid, parent;
};
void cases_hit(struct cases *c, const struct cases_hit *hit);
/* Send what is due; in how many ms there is more to do, UINT64_MAX: when something happens. */
uint64_t cases_go(struct cases *c);
/* status of the box, or an error. */
void cases_answered(struct cases *c, const char *id, int status);
/* err 0: answer is actor's; else it went away (ask again) or would not (answer NULL, refused). */
void cases_acted(struct cases *c, const char *id, unsigned act, int err, bool gone, const json_t *answer);
/* A channel is there (again). */
void cases_link_here(struct cases *c);
void cases_actor_here(struct cases *c);
struct cases_counts {
    size_t open, untold;
    uint64_t lost; /* that had no room, or that the box refused */
};
void cases_counts(const struct cases *c, struct cases_counts *ret);
/* "2026-11-23T05:00:00.250Z". */
void cases_time(int64_t wall_ms, char ret[SM_TIME_TEXT]);
#endif
