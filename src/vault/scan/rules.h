/*
 * Which files a source takes: include and exclude patterns in the manner of .gitignore, over bytes.
 *
 *   *.tmp        a name, at any depth            /srv/x/cache   one absolute path (and all below it)
 *   ** /x        (without the blank) x at any depth   a/b       a path below the source's folder
 *   dir/         folders only                    *  ?  [a-z]  [!a]  within one part;  **  across parts;  \c  c itself
 *
 * Excluded wins over included.  Without include patterns everything is included; with them a file is taken when it,
 * or a folder above it, matches one.  Matching costs O(pattern × path), whatever the pattern.
 */
#ifndef VAULT_SCAN_RULES_H
#define VAULT_SCAN_RULES_H
#include "core/buf.h"

#define SCAN_PATTERNS_MAX 1024u   /* of one source, include and exclude together */
#define SCAN_PATTERN_BYTES 1024u  /* of one pattern */

struct scan_rules;
/* NUL-terminated patterns, copied.  *ret_bad (may be NULL) is the pattern that was refused, borrowed.
 * -SM_EINVAL (empty, or a bracket that is not closed), -SM_ELIMIT (too many, or too long), -ENOMEM. */
sm_must_use int scan_rules_new(const char *const *include, size_t include_n, const char *const *exclude,
    size_t exclude_n, struct scan_rules **ret, const char **ret_bad);
void scan_rules_free(struct scan_rules *r);

/* path is absolute; its first root_n bytes are the source's folder; its last name_n bytes are the name.  rules NULL:
 * nothing is excluded, everything is included. */
struct scan_subject { struct sm_span path; size_t root_n, name_n; bool dir; };
bool scan_rules_excludes(const struct scan_rules *r, const struct scan_subject *s);
bool scan_rules_includes(const struct scan_rules *r, const struct scan_subject *s);
/* Are there include patterns at all? */
bool scan_rules_selective(const struct scan_rules *r);

#endif
