/* What machines are told to do about attacks (device_actions.c).  Only files of this room include it. */
#ifndef API_DEVICE_ACTIONS_H
#define API_DEVICE_ACTIONS_H
#include "api/internal.h"

/* finding, by, by_name: may be NULL (a playbook); for_s 0: as long as is usual. */
struct device_action_new { const char *device, *action; const json_t *args; int64_t for_s; const char *finding, *by, *by_name; };
/* -SM_EINVAL: *ret_field names what is wrong, else it is NULL. */
sm_must_use int device_action_make(
    struct api *a, const struct device_action_new *n, char ret_id[API_ID_TEXT], const char **ret_field);
/* A machine took an order of the kinds act and scan, or ended it.  facts may be NULL. */
void device_action_told(struct api *a, const json_t *order, const char *state, const char *detail, const json_t *facts);
void device_actions_tick(struct api *a);
/* What an action about this finding has to know, beside what was given; the caller's. */
json_t *finding_action_args(const json_t *finding, const char *action, const json_t *given);
/* Evidence packs that grew old, or are too many (evidence_packs.c). */
void evidence_packs_daily(struct api *a);
#endif
