/*
 * Correlation rules of Sigma (specification v2.1.0): hits of rules counted and put in order over time.
 *
 * Time is that of the events; one that lies more than CORRELATE_LATE_S after the box saw it counts as of when it was
 * seen.  An event may come late, by the window of its rule and CORRELATE_LATE_S behind the latest of its group: it
 * still finds its place.  State is bounded: groups of a rule, moments of a group, bytes of all; the group that was
 * quiet longest is dropped first, and it is counted.  One thread.
 */
#ifndef SM_DETECT_CORRELATE_CORRELATE_H
#define SM_DETECT_CORRELATE_CORRELATE_H

#include "detect/sigma/sigma.h"

enum {
    CORRELATE_GROUPS_MAX = 20000,   /* of one rule */
    CORRELATE_MOMENTS_MAX = 4096,   /* of one group */
    CORRELATE_BYTES_MAX = 64 << 20, /* of everything */
    CORRELATE_VALUE_MAX = 512,      /* bytes of a value of group-by or field that are kept */
    CORRELATE_LATE_S = 300,
    CORRELATE_DEPTH_MAX = 8, /* correlations that refer to correlations */
    CORRELATE_REFS_MAX = 32, /* events a hit names */
};

struct correlate;
/* The set (after sigma_link) is borrowed.  -ENOMEM. */
sm_must_use int correlate_new(const struct sigma_set *set, struct event_names *names, struct correlate **ret);
void correlate_free(struct correlate *c);

/* A correlation that held.  Borrowed for the call. */
struct correlate_hit {
    const struct sigma_rule *rule; /* the correlation */
    double value;                  /* count, sum, average ... that met the condition */
    struct event_time first, last; /* of the moments that count */
    const struct event *event;     /* the one that completed it; NULL when the end of a window did */
    size_t group_n;                /* of group-by: names and values */
    const char *const *group_name;
    const struct sm_span *group_value;
    size_t ref_n; /* references given with the moments (correlate_add), oldest first, without repeats */
    const uint64_t *ref;
};
typedef void correlate_hit_fn(void *ctx, const struct correlate_hit *hit);
/*
 * A hit of a detection rule: from sigma_match's callback, for every rule.  ref names the event for whoever asks later
 * (its number in the journal).  A correlation that goes on holding for a group is one burst and said once; it is said
 * again after a timespan in which it did not hold; a value_count of Computer of level high or more (a spread over machines)
 * is also said for each further machine.  Correlations that refer to it hear of it as long as it lasts.
 * Returns how many correlations held, -ENOMEM.
 */
sm_must_use int correlate_add(struct correlate *c, const struct sigma_rule *rule, const struct event *e, uint64_t ref,
    correlate_hit_fn *hit, void *ctx);
/* Forget what is past its window by now.  Call every minute or so; correlations that mean an upper bound (lt, lte, eq)
 * are decided here, when their window has ended.  Returns how many held, -ENOMEM. */
sm_must_use int correlate_tick(struct correlate *c, struct event_time now, correlate_hit_fn *hit, void *ctx);

struct correlate_counts {
    size_t rules, groups, bytes;
    uint64_t added, hits, evicted, cut, late;
};
void correlate_counts(const struct correlate *c, struct correlate_counts *ret);

#endif
