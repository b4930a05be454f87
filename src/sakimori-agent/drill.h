/*
 * The scratch place of a restore drill: a folder of this machine that nobody else can enter, gone after the drill.  Its
 * name is the drill's, so that a drill that was cut goes on, or is cleared away by the next one.
 */
#ifndef AGENT_DRILL_H
#define AGENT_DRILL_H
#include <stdbool.h>
#include "core/buf.h"

#define DRILL_PARENT "/var/tmp"
#define DRILL_PATH_MAX 96
/* The place of the drill with this id (32 hex digits). */
void drill_path(const char *id, char ret[DRILL_PATH_MAX]);
/* Make it, or find it as an earlier try of the same drill left it.  -SM_EDENIED when something else stands there, -errno. */
sm_must_use int drill_make(const char *path);
/* The folder of a database that is tried out of this drill (proof.c); within it PROOF_IN_IT belongs to who tries it. */
#define PROOF_IN_IT "w"
void proof_path(const char *id, char ret[DRILL_PATH_MAX]);
/* Remove what drills of this user left behind that were cut off days ago. */
void drill_clear(void);
/* Remove it with all that is in it.  True when nothing of it is left but, at most, the empty folder. */
bool drill_remove(const char *path);
#endif
