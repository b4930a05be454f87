/*
 * Up to 65,536 names, each once, in the order of arrival; sorted when asked.  For the builders and checkers of
 * pages and packs.
 */
#ifndef VAULT_SEAL_REFSET_H
#define VAULT_SEAL_REFSET_H
#include "vault/seal/format.h"

struct refset {
    struct sm_buf cids;   /* struct cid, in order of arrival */
    uint32_t *slot;       /* open addressing: number + 1 */
    size_t slots;         /* a power of two, or 0 */
    struct sm_buf sorted; /* struct cid, after refset_sort */
    struct sm_buf map;    /* uint32_t: arrival number to index in sorted */
};
void refset_wipe(struct refset *s);
void refset_clear(struct refset *s);
size_t refset_n(const struct refset *s);
/* The number of c, added if new.  -ENOMEM, -SM_ELIMIT (PAGE_REFS_MAX). */
sm_must_use int64_t refset_add(struct refset *s, const struct cid *c);
/* Fill sorted and map.  -ENOMEM. */
sm_must_use int refset_sort(struct refset *s);
const struct cid *refset_sorted(const struct refset *s);
uint32_t refset_index(const struct refset *s, uint32_t number);

#endif
