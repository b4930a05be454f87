/*
 * JSON by jansson, with limits and errors that say where.
 * Depth <= 32, text <= the caller's maximum, duplicate keys refused.
 */
#ifndef SM_CORE_JSON_H
#define SM_CORE_JSON_H
#include <jansson.h>
#include "core/buf.h"

/* Parse.  ret_why (>= 160 bytes, may be NULL) gets "line 3 column 7: ..." on failure.
 * -SM_EFORMAT, -SM_ELIMIT, -ENOMEM.  *ret is the caller's (json_decref). */
sm_must_use int sm_json_parse(struct sm_span text, size_t max, json_t **ret, char *ret_why);
/* Append compact JSON with sorted keys (one canonical form, used under hashes). */
sm_must_use int sm_json_dump(const json_t *v, struct sm_buf *ret);
/* Zero the texts of v and of all below it, then drop it.  What somebody else also holds is left as it is.  NULL is fine. */
void sm_json_drop_secret(json_t *v);
void sm_json_free(json_t **v); /* for sm_cleanup */

/*
 * Typed getters over one object, sticky like sm_rd: the first failure is kept in err and
 * why ("field \"port\": a whole number from 1 to 65535"), later gets return defaults.
 */
struct sm_obj { const json_t *o; int err; char why[160]; };
#define SM_OBJ(json) ((struct sm_obj){ .o = (json) })
const char *sm_obj_str(struct sm_obj *o, const char *key, size_t min, size_t max); /* required; "" on error */
const char *sm_obj_str_opt(struct sm_obj *o, const char *key, size_t max);         /* NULL when absent */
int64_t sm_obj_int(struct sm_obj *o, const char *key, int64_t min, int64_t max);
int64_t sm_obj_int_opt(struct sm_obj *o, const char *key, int64_t min, int64_t max, int64_t otherwise);
bool sm_obj_bool(struct sm_obj *o, const char *key, bool otherwise);
const json_t *sm_obj_arr(struct sm_obj *o, const char *key, size_t max);  /* required; NULL on error */
const json_t *sm_obj_obj(struct sm_obj *o, const char *key);              /* optional; NULL when absent */
void sm_obj_hex(struct sm_obj *o, const char *key, void *ret, size_t n);  /* exactly n bytes as hex */
/* Any key not in the NULL-ended list known is an error that names it. */
void sm_obj_only(struct sm_obj *o, const char *const *known);
#endif
