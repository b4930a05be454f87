/*
 * The names of one folder in byte order, in bounded memory: names gather in memory up to a limit, then sorted runs
 * go to an unlinked temporary file and are merged while reading.
 */
#ifndef VAULT_SCAN_NAMES_H
#define VAULT_SCAN_NAMES_H
#include "core/buf.h"

#define NAMES_RUNS_MAX 1024u       /* sorted runs of one folder */
#define NAMES_RUN_MIN ((size_t)64 << 10)
#define NAMES_ONE_MAX 4096u        /* bytes of one name */

struct names;
/* limit_bytes: of names in memory (at least NAMES_RUN_MIN).  tmp_dir: folder for the temporary file, or -1 (then a
 * folder past the limit is -SM_ELIMIT).  Borrowed until free.  -ENOMEM. */
sm_must_use int names_new(size_t limit_bytes, int tmp_dir, struct names **ret);
void names_free(struct names *n);
/* -SM_ELIMIT (a name or a folder too long), -ENOMEM, -errno. */
sm_must_use int names_add(struct names *n, struct sm_span name, unsigned char type);
/* No more names: sort.  Then next may be called.  -ENOMEM, -errno. */
sm_must_use int names_sort(struct names *n);
/* 1 and the next name (borrowed until the next call; NUL-terminated too), 0 at the end, or -errno, -SM_ECORRUPT. */
int names_next(struct names *n, struct sm_span *ret, unsigned char *ret_type);
size_t names_memory(const struct names *n); /* 0 for NULL */

#endif
