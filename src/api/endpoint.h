/* The endpoint of machines in the API: their policy, what they say of it, their findings.  Only files of this room include it. */
#ifndef API_ENDPOINT_H
#define API_ENDPOINT_H
#include "api/internal.h"

/* endpoint_policy.c: each setting is a row of its table.  in: what people set, {} or NULL nothing. */
/* NULL when it is well-formed, else the field that is wrong ("ransom.mode"), which lives until the next call. */
const char *endpoint_policy_check(const json_t *in);
/* Every setting: of the first that says it, else the standard.  The caller's. */
json_t *endpoint_policy_join(const json_t *first, const json_t *second);

/* What holds for a machine (its row).  The caller's. */
json_t *endpoint_policy_of(struct api *a, const json_t *device);
/* A serial of a removable medium into media.allow, or out of it; device NULL: of the institution.  -SM_EINVAL (ret_bad: the field),
 * -SM_ENOTFOUND, -errno. */
sm_must_use int endpoint_allow_medium(struct api *a, const char *device, const char *serial, bool allow, const char **ret_bad);
/* media.c: what a machine says of its removable media; device: its row from before. */
void media_said(struct api *a, const json_t *device, const json_t *said);
/* A machine's poll; device: its row from before. */
void endpoint_said(struct api *a, const json_t *device, const json_t *poll);
/* It did as it was told: it is cut off until then (0: until it is told otherwise), or no longer. */
void endpoint_isolated(struct api *a, const char *device, bool is, int64_t until_s);
/* Its policy is signed and sent when it is another than the machine says it has. */
void endpoint_push(struct api *a, const char *device);
/* How it took the order. */
void endpoint_acked(struct api *a, const json_t *order, const char *state, const char *detail);
/* Findings of the machines of an incident ([[kind, text]]), from shortly before its beginning on; the caller's. */
json_t *findings_of(struct api *a, const json_t *entities, int64_t first_s);
/* {"cover","since","why"} of its row, for lists.  The caller's. */
json_t *endpoint_cover(const json_t *device);
#endif
