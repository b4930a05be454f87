/* Which records of a tree belong to the names a person chose, and whether somebody else was there after the tree. */
#ifndef SM_GIVEBACK_SELECT_H
#define SM_GIVEBACK_SELECT_H
#include "giveback/internal.h"

/* Sets `chosen`.  -ENOMEM. */
sm_must_use int select_records(struct records *rs, uint64_t tree, uint64_t upto, const struct sm_span *paths, size_t n);
/* A later record of another tree, not given back, of this name or file (object may be NULL). */
bool others_after(const struct records *rs, const struct kept *k, struct sm_span path, const struct plat_object *object);
bool others_below(const struct records *rs, const struct kept *k);
/* Of a renamed file that is gone: does another record of the tree say what becomes of it (made, removed, contents)? */
bool told_elsewhere(const struct records *rs, const struct kept *k);
#endif
