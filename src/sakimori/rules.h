/* Rules on files, without a box: what the commands of `rules` share (rules.c, ruleslog.c). */
#ifndef SAKIMORI_RULES_H
#define SAKIMORI_RULES_H
#include "detect/correlate/correlate.h"
#include "detect/load.h"
#include "sakimori/cli.h"

struct rules {
    struct cli *c;
    struct event_names *names;
    struct sigma_set *set;
    struct load_counts counts;
    json_t *faults; /* what was wrong, as it is shown with --json */
};
/* Rules of these paths, with the table of log sources and the lists of the options --sources and --lists.  CLI_OK or an
 * exit code (said). */
int rules_open(struct cli *c, const char *const *path, size_t n, struct rules *r);
void rules_close(struct rules *r);

/* Every event of a log file (EVTX, or any format `normalise` reads).  record counts from 1.  A negative return of each
 * stops and is returned. */
typedef int rules_each(void *ctx, const char *file, uint64_t record, const struct event *e);
sm_must_use int rules_log(struct cli *c, struct event_names *names, const char *file, rules_each *each, void *ctx);

#endif
