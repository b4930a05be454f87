/*
 * judge: the part between those that see (sensor, inspect, scan), those that act (actor, sensor) and the box (through link).  It reads
 * what others tell it as data, holds no key but the public one of orders, has no network and no capability, and writes DATA/judge alone:
 * policy.json (endpoint.h), spool/ (spool.h), findings/ (cases.h).
 */
#ifndef AGENT_JUDGE_H
#define AGENT_JUDGE_H
#include "sakimori-agent/judge/cases.h"
#include "sakimori-agent/judge/rules.h"
#include "sakimori-agent/judge/spool.h"

enum judge_peer { JUDGE_SENSOR, JUDGE_INSPECT, JUDGE_SCAN, JUDGE_ACTOR, JUDGE_MEDIA, JUDGE_LOGS, JUDGE_PEERS, JUDGE_SUPERVISOR = JUDGE_PEERS };
extern const char *const judge_peer_names[JUDGE_PEERS + 1]; /* "sensor" … and "tamper" for the supervisor */

struct judge {
    struct agent_config config;
    struct agent_policy local;
    struct endpoint_own own;
    struct endpoint_policy policy;
    char policy_path[AGENT_PATH_MAX + 32], refused[160]; /* refused: why the last policy was not taken */
    json_t *row;                /* of the policy, for E_POLICY; NULL: none was taken */
    struct part_life life;
    struct sm_ipc *link, *peer[JUDGE_PEERS];
    struct rules *rules;
    struct spool *spool;
    struct cases *cases;
    struct cases_ways ways;
    struct sm_timer *go, *tick;
    bool sending, saying;       /* a batch; an own fact */
    uint64_t backoff_ms, not_before_ms;
    json_t *state[JUDGE_PEERS + 1]; /* what each said of itself last */
    json_t *told;               /* to link */
    uint64_t told_ms;
    uint64_t lines, log_lines, odd; /* log_lines: of E_LOG; odd: lines that are no event */
};

/* main.c */
void judge_wake(struct judge *j, uint64_t in_ms);
/* policy.c: an order of link, answered; the row to a part, to all of them.  -errno only from load. */
sm_must_use int judge_policy_load(struct judge *j);
void judge_order(struct judge *j, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void judge_policy_give(struct judge *j, int peer);
/* take.c: what parts tell */
void judge_events(struct judge *j, struct sm_span body);
void judge_log(struct judge *j, struct sm_span body);  /* E_LOG: through the rules; the box has these lines from logs itself */
void judge_fact(struct judge *j, const json_t *event); /* an own fact: matched, kept, sent at once */
void judge_state(struct judge *j, int peer, struct sm_span body);
/* look.c: an event, for scan */
void judge_look(struct judge *j, struct sm_span text);
/* tell.c: batches and findings to the box, how it is to link */
uint64_t judge_send(struct judge *j); /* ms until there is more to do */
void judge_tell(struct judge *j);
extern const struct cases_ways judge_ways; /* but ctx */
#endif
