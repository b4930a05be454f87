/*
 * The request target of an HTTP request: path and query, checked and decoded once, before anything else looks at them.
 * RFC 3986; only origin form ("/path?query").
 */
#ifndef FRONT_TARGET_H
#define FRONT_TARGET_H
#include "core/json.h"

#define TARGET_RAW_MAX 4096
#define TARGET_ARGS_MAX 64

struct target {
    char path[TARGET_RAW_MAX];  /* decoded, "/"-rooted, no empty, "." or ".." part; valid UTF-8, no control bytes */
    json_t *query;              /* object name → text */
};
/*
 * Refused, never repaired: a path with "..", ".", "//", NUL or control bytes (plain or as %xx), an encoded '/' or '\', a bad
 * escape, bytes that are not UTF-8; a query name that comes twice.  "+" in a query is a space.
 * -SM_EFORMAT, -SM_ELIMIT, -ENOMEM.  *ret is then untouched; else release with target_wipe.
 */
sm_must_use int target_parse(const char *raw, struct target *ret);
void target_wipe(struct target *t);

#endif
