/*
 * What is in force on this machine and when it ends: DATA/actor/hold.json, replaced whole before anything of it takes effect, read at
 * every start.  Times are seconds since 1970, 0: without an end.
 *   {"v":1,"isolated":null|{"since","until","by"},"to":[{"to","at":[addresses],"since","until","by"}],
 *    "files":[{"sha256","since","until","by"}],"accounts":{NAME:{"locked":was it before,"expire":text,"since","by"}},
 *    "box":[addresses],"running":[{"id","action","args","for_s","finding"}],"tell":[reports not taken yet]}
 */
#ifndef AGENT_ACTOR_HOLD_H
#define AGENT_ACTOR_HOLD_H
#include "core/json.h"

enum { HOLD_TO_MAX = 400, HOLD_AT_MAX = 64, HOLD_FILES_MAX = 400, HOLD_ACCOUNTS_MAX = 64, HOLD_TEXT_MAX = 1 << 20 };

struct hold { int folder; json_t *o; };
/* folder: DATA/actor, borrowed.  None there: an empty one.  A damaged one is set aside as hold.damaged and *ret is empty: -SM_EFORMAT.
 * -SM_EVERSION of a newer agent, -ENOMEM, -errno. */
sm_must_use int hold_open(int folder, struct hold *ret);
void hold_free(struct hold *h);
sm_must_use int hold_save(const struct hold *h);
json_t *hold_list(const struct hold *h, const char *key);     /* borrowed array: to, files, running, tell, box */
/* The row whose key is value; NULL none. */
json_t *hold_find(const struct hold *h, const char *list, const char *key, const char *value);
void hold_drop(struct hold *h, const char *list, const char *key, const char *value);
/* Remove what is over at now; *ret gets what was removed as [{"what":"isolated|to|files","value"}] (the caller's), NULL when nothing. */
sm_must_use int hold_expire(struct hold *h, int64_t now_s, json_t **ret);
/* When the next one ends; 0: none does. */
int64_t hold_next(const struct hold *h);
#endif
