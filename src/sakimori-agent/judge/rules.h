/*
 * The rules of product linux that are shipped with the agent, on the events of this machine: the same engine as on the box, so that the
 * machine decides with the box away.  Files that name no linux are not read: their rules would never match here and cost memory.
 */
#ifndef AGENT_JUDGE_RULES_H
#define AGENT_JUDGE_RULES_H
#include "detect/sigma/sigma.h"

struct rules;
/* rule matched event; of a correlation event may be NULL. */
typedef void rules_hit_fn(void *ctx, const struct sigma_rule *rule, const struct event *event);
/* Every *.yml below each folder; what cannot be loaded is counted.  Folders that are not there are passed over.  -ENOMEM. */
sm_must_use int rules_load(const char *const *folders, size_t n, struct rules **ret);
void rules_free(struct rules *r);
/* One line of E_EVENT.  0; 1: it is no such line (and goes to the box as it is); -ENOMEM. */
sm_must_use int rules_line(struct rules *r, struct sm_span line, struct event_time now, rules_hit_fn *hit, void *ctx);
/*
 * One record of a log of this machine, as the box would read it: log is its name (records of one log belong together), format a row of
 * the table of normalise or NULL.  Starts of processes are not made out of audit's records: sensor tells them, with their tree.
 * 0; 1: nothing to tell; -ENOMEM; -SM_ELIMIT: too many logs.
 */
sm_must_use int rules_log(struct rules *r, const char *log, const char *format, struct sm_span record, struct event_time seen,
    rules_hit_fn *hit, void *ctx);
/* Correlations that end by time: now and then. */
void rules_tick(struct rules *r, struct event_time now, rules_hit_fn *hit, void *ctx);
struct rules_counts {
    size_t rules, faults;
    uint64_t events, hits;
};
void rules_counts(const struct rules *r, struct rules_counts *ret);
/* A value of an event by its name; empty when it has none. */
struct sm_span rules_value(const struct rules *r, const struct event *e, const char *name);
#endif
