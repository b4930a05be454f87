/*
 * Files that a journal speaks of and that are not there, until a later record says that they were deleted.  A vault of
 * many years has deleted far more packs than it has, so the list is sorted once and searched.
 */
#ifndef VAULT_COPY_MISSING_H
#define VAULT_COPY_MISSING_H
#include "core/buf.h"
#include "vault/seal/format.h"

#define MISSING_MAX ((size_t)1 << 20) /* ids; 33 bytes each: twelve years at 240 deletions a day */

struct missing {
    struct sm_buf ids;       /* 32 bytes each */
    struct sm_buf explained; /* a byte each, once sorted */
    size_t open;             /* not explained */
    bool sorted;
};
#define MISSING_INIT ((struct missing){ .ids = SM_BUF_INIT(MISSING_MAX * 32), .explained = SM_BUF_INIT(MISSING_MAX) })

/* Before the first missing_explain.  -SM_ELIMIT, -ENOMEM. */
sm_must_use int missing_note(struct missing *m, const struct cid *id);
/* It was deleted: one of those noted by that id is no longer missing.  1, 0 (none was open), -ENOMEM. */
sm_must_use int missing_explain(struct missing *m, const struct cid *id);
/* Those that stayed open, ascending; *at begins at 0.  NULL: no more. */
const struct cid *missing_next(const struct missing *m, size_t *at);
void missing_wipe(struct missing *m);
#endif
