/* Names of accounts as /etc/passwd has them: read when it changed, without the name service (which may speak with
 * servers). */
#ifndef AGENT_SENSOR_USERS_H
#define AGENT_SENSOR_USERS_H
#include "core/buf.h"

enum { USERS_TEXT = 1 << 20, USERS_NAME = 64 };
struct users;
sm_must_use int users_new(struct users **ret);
void users_free(struct users *u);
/* The name, or the number as text. */
void users_name(struct users *u, uint32_t uid, char ret[USERS_NAME]);
/* The name in a text of that file; -SM_ENOTFOUND. */
sm_must_use int users_find(struct sm_span text, uint32_t uid, char ret[USERS_NAME]);
#endif
